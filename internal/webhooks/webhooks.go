// Package webhooks tells other systems of events, and knows who may tell this one.
//
// Outgoing webhooks are signed and tried as Standard Webhooks 1.0 says
// (standardwebhooks.com). [Webhooks.Deliver] is one try; whoever calls it keeps
// the delivery until it has worked, by [Next]. Each endpoint has a rate and a
// breaker of its own, so that one that hangs holds up no other. One that has
// failed for days, or says that it is gone, is disabled, and somebody is told. An
// endpoint that was removed, disabled, or has lost its signing secret is sent
// nothing from that moment. Failed deliveries are kept for a while and can be
// replayed.
//
// Incoming ones are judged by [Verify].
package webhooks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/limit"
	"github.com/pandobase/pando/internal/outbound"
	"github.com/pandobase/pando/internal/store"
)

// Config says what webhooks stand on. Driver, Outbound and Secrets are required.
type Config struct {
	Driver   store.Driver
	Outbound *outbound.Outbound
	// Secrets looks up what signs, at each try.
	Secrets func(name string) (string, error)
	Now     func() time.Time // default time.Now
	Limiter limit.Limiter    // of the endpoints' rates; default: in memory
	Log     *slog.Logger     // default: none
	// Notice is told of an endpoint that was disabled, once. Default: nobody.
	Notice func(ctx context.Context, n Notice)

	DisableAfter time.Duration // an endpoint that has failed for so long; default 5 days
	Keep         time.Duration // how long deliveries can be looked up and replayed; default 7 days
	KeepRows     int           // how many of an endpoint at most; default 10,000
	FlushEvery   time.Duration // how often what has worked is stored; default 1 s
}

// The defaults.
const (
	DefaultTimeout      = 15 * time.Second
	DefaultDisableAfter = 5 * 24 * time.Hour
	DefaultKeep         = 7 * 24 * time.Hour
	DefaultKeepRows     = 10_000
)

// leastFailures is how many failures it takes to disable an endpoint, however
// long ago the first was: a clock that jumps does not.
const leastFailures = 5

// maxKept bounds a body that is kept for replay, in bytes.
const maxKept = 256 << 10

// Endpoint is one receiver. Name and URL are required.
type Endpoint struct {
	Name    string
	URL     string        // or secret:NAME
	Sign    string        // the secret that signs, by its name; empty: not signed
	Private bool          // outbound.Target.Private
	Timeout time.Duration // of one try; default 15 s
	Rate    limit.Rate    // of tries; default 100 per second
	// DisableAfter is for how long it may fail; default Config.DisableAfter.
	DisableAfter time.Duration
}

// Notice tells of an endpoint that was disabled.
type Notice struct {
	Endpoint string
	Since    time.Time // of its first failure
	Reason   string
}

// Delivery is one event on its way to one endpoint.
type Delivery struct {
	Endpoint string
	ID       string // webhook-id: the same for every try; at most MaxID visible ASCII characters without a full stop
	Event    string // its name, for the log
	Body     []byte // sent as it is
	// ContentType of the body. Default application/cloudevents+json.
	ContentType string
	Try         int // counted from 1
}

// Failed is the error of a try that has not worked.
type Failed struct { //nolint:errname // what came of a try, in the first place
	Permanent bool          // no further try helps
	Deferred  bool          // it was not sent: the endpoint's rate, or its breaker; it does not count as a try
	After     time.Duration // not before
	Status    int           // of the answer; 0: there was none
	Reason    string        // for the log and the console
	Cause     error
}

// Error implements error.
func (f *Failed) Error() string { return f.Reason }

// Unwrap returns the cause.
func (f *Failed) Unwrap() error { return f.Cause }

// Webhooks sends to the endpoints of one application. It is safe for concurrent
// use.
type Webhooks struct {
	cfg Config
	st  *statements

	mu        sync.RWMutex
	endpoints map[string]*receiver

	journal journal
	stop    context.CancelFunc
	done    chan struct{}
	once    sync.Once
}

// receiver is an endpoint with its client.
type receiver struct {
	Endpoint
	client *outbound.Client
}

// Open returns webhooks without endpoints. [Webhooks.Close] ends them.
func Open(ctx context.Context, c Config) *Webhooks {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Limiter == nil {
		c.Limiter = limit.NewMemory(limit.MemoryConfig{Now: c.Now, Keys: 1 << 12})
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Notice == nil {
		c.Notice = func(context.Context, Notice) {}
	}
	if c.DisableAfter <= 0 {
		c.DisableAfter = DefaultDisableAfter
	}
	if c.Keep <= 0 {
		c.Keep = DefaultKeep
	}
	if c.KeepRows <= 0 {
		c.KeepRows = DefaultKeepRows
	}
	if c.FlushEvery <= 0 {
		c.FlushEvery = time.Second
	}
	w := &Webhooks{cfg: c, st: newStatements(c.Driver.Dialect()), endpoints: map[string]*receiver{}, done: make(chan struct{})}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	w.stop = stop
	go w.run(run)
	return w
}

// Close waits for tries that run, and stores what is not stored yet. It is safe
// to call twice; the driver is closed by its owner, afterwards.
func (w *Webhooks) Close(ctx context.Context) error {
	var err error
	w.once.Do(func() {
		err = w.Set(nil) //nolint:contextcheck // no client is made of no endpoint
		w.stop()
		<-w.done
		err = errors.Join(err, w.Flush(ctx))
	})
	return err
}

// Set makes these the endpoints: others are sent nothing any more when it returns,
// and a try that runs is waited for. With an error nothing is changed.
func (w *Webhooks) Set(endpoints []Endpoint) error {
	w.mu.Lock()
	next := make(map[string]*receiver, len(endpoints))
	var made, old []*outbound.Client
	for _, e := range endpoints {
		if e.Timeout <= 0 {
			e.Timeout = DefaultTimeout
		}
		if e.Rate == (limit.Rate{}) {
			e.Rate = limit.Rate{Count: 100, Per: time.Second}
		}
		if was := w.endpoints[e.Name]; was != nil && was.Endpoint == e {
			next[e.Name] = was // with the state of its breaker
			continue
		}
		c, err := w.cfg.Outbound.Client(outbound.Target{
			Name: e.Name, URL: e.URL, Private: e.Private, Timeout: e.Timeout, MaxResponse: 64 << 10, Cut: true,
			Breaker: outbound.Breaker{Failures: 5, Open: 30 * time.Second}, Concurrent: 16, QueueWait: 100 * time.Millisecond,
		})
		if err != nil {
			w.mu.Unlock()
			for _, c := range made {
				c.Close()
			}
			return err
		}
		made = append(made, c)
		next[e.Name] = &receiver{e, c}
	}
	for name, was := range w.endpoints {
		if next[name] != was {
			old = append(old, was.client)
		}
	}
	w.endpoints = next
	w.mu.Unlock()
	for _, c := range old {
		c.Close()
	}
	return nil
}

// Deliver tries a delivery once. nil: the endpoint has taken it (2xx). A *Failed
// says whether and when to try again; another error means that the store could
// not be asked, and nothing was sent.
func (w *Webhooks) Deliver(ctx context.Context, d Delivery) error {
	w.mu.RLock()
	r := w.endpoints[d.Endpoint]
	w.mu.RUnlock()
	if r == nil {
		return &Failed{Permanent: true, Reason: "there is no such endpoint any more"}
	}
	if !validID(d.ID) {
		return &Failed{Permanent: true, Reason: "the event's id cannot be sent"}
	}
	s, err := w.state(ctx, r.Name)
	if err != nil {
		return err
	}
	if !s.Disabled.IsZero() {
		f := &Failed{Permanent: true, Reason: "the endpoint is disabled"}
		w.note(ctx, &d, f, 0)
		return f
	}
	ok, after, err := w.cfg.Limiter.Take(ctx, "webhook "+r.Name, r.Rate)
	if err != nil {
		return err
	}
	if !ok {
		return &Failed{Deferred: true, After: after, Reason: "the endpoint's rate is reached"}
	}
	begin := w.cfg.Now()
	status, failed := w.send(ctx, r, &d)
	took := w.cfg.Now().Sub(begin)
	if failed == nil {
		w.worked(ctx, &s, &d, status, took)
		return nil
	}
	if !failed.Deferred {
		w.note(ctx, &d, failed, took)
	}
	return failed
}

// send sends a delivery once. It returns the answer's status, and what went wrong
// or nil.
func (w *Webhooks) send(ctx context.Context, r *receiver, d *Delivery) (int, *Failed) {
	now := w.cfg.Now()
	h := http.Header{"Content-Type": {d.ContentType}, HeaderID: {d.ID}, HeaderTimestamp: {strconv.FormatInt(now.Unix(), 10)}, "User-Agent": {"Pando-Webhooks"}}
	if d.ContentType == "" {
		h.Set("Content-Type", "application/cloudevents+json")
	}
	if r.Sign != "" {
		secret, err := w.cfg.Secrets(r.Sign)
		if err == nil {
			var signature string
			if signature, err = Sign(secret, d.ID, now, d.Body); err == nil {
				h.Set(HeaderSignature, signature)
			}
		}
		if err != nil { // it is never sent without
			return 0, &Failed{Reason: "it cannot be signed: " + err.Error(), Cause: err}
		}
	}
	resp, err := r.client.Do(ctx, &outbound.Request{Method: http.MethodPost, Header: h, Body: d.Body})
	if err != nil {
		f := fault.From(err)
		reason := f.Message
		if f.Details != "" {
			reason += ": " + f.Details
		}
		return 0, &Failed{
			Permanent: f.Code == fault.OutboundRefused, Reason: reason, Cause: err, After: f.RetryAfter,
			// Its breaker is open or its places are taken, or this node stops.
			Deferred: f.HTTPStatus() == http.StatusServiceUnavailable || errors.Is(err, context.Canceled),
		}
	}
	switch {
	case resp.Status >= 200 && resp.Status < 300:
		return resp.Status, nil
	case resp.Status == http.StatusGone:
		return resp.Status, &Failed{Permanent: true, Status: resp.Status, Reason: "the endpoint says that it is gone (410)"}
	default:
		return resp.Status, &Failed{
			Status: resp.Status, After: min(outbound.RetryAfter(resp.Header, w.cfg.Now()), maxAfter),
			Reason: strings.TrimSpace(fmt.Sprintf("the endpoint answered %d %s", resp.Status, http.StatusText(resp.Status))),
		}
	}
}

// worked notes a success: at once where the endpoint failed before, else with
// the next batch.
func (w *Webhooks) worked(ctx context.Context, s *Status, d *Delivery, status int, took time.Duration) {
	entry := w.entry(d, Delivered, took)
	entry.Status = status
	if !s.Failing.IsZero() || !w.journal.add(entry) {
		w.keep(ctx, entry, nil)
	}
}

// note stores a failure, and disables the endpoint when it is time.
func (w *Webhooks) note(ctx context.Context, d *Delivery, failed *Failed, took time.Duration) {
	outcome := Failing
	if failed.Permanent || d.Try >= Tries {
		outcome = Lost
	}
	entry := w.entry(d, outcome, took)
	entry.Status, entry.Error = failed.Status, failed.Reason
	if len(d.Body) <= maxKept {
		entry.body = slices.Concat([]byte{}, d.Body)
	}
	w.keep(ctx, entry, failed)
}

// keep stores what came of a try. The try has happened: that its caller's time is
// up does not stop this, and when the store fails, the try still was what it was.
func (w *Webhooks) keep(ctx context.Context, e Entry, failed *Failed) {
	const longest = 10 * time.Second
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), longest)
	defer cancel()
	if err := w.write(ctx, []Entry{e}, failed); err != nil {
		w.cfg.Log.Error("what came of a delivery could not be stored", "webhook", e.Endpoint, "id", e.ID, "error", err)
	}
}

func (w *Webhooks) entry(d *Delivery, o Outcome, took time.Duration) Entry {
	return Entry{Endpoint: d.Endpoint, ID: d.ID, Event: d.Event, At: w.cfg.Now(), Outcome: o, Tries: max(1, d.Try), Took: took}
}
