// Package events carries events from the outbox to those who wait for them.
//
// The relay publishes what the outbox has to the broker. One node does it at a
// time, in the order of the events' numbers, so that the events of one key are
// published in the order of their commits.
//
// A [Consumer] with Apply gets events in a transaction of our own store: that the
// event was handled is noted in the same transaction, so that its effects happen
// once, however often the broker delivers it. A consumer with Notify has no
// transaction: it gets each event at least once.
//
// The events of one key come in order, one after the other. When one fails it is
// parked in the store (pando_event_retries) and tried again after growing pauses;
// later events of its key wait behind it, those of others flow. After
// [Consumer.Tries] it is a dead event (pando_dead_events), and the next one of its
// key has its turn. Parking and dying are in the transaction that notes the event
// as handled: no event is ever in two places, or in none.
//
// An operator reads events with [Events.Tail], and gives them to a consumer again
// with [Events.Replay]. Both read what the broker retains where it retains
// anything (embedded and nats: 7 days unless configured), and else the rows that
// the outbox still has (10 minutes, and all that wait). A replayed event is
// handed to the consumer although the inbox knows it: its effects happen again.
package events

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/pandobase/pando/internal/broker"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/outbox"
)

// Config says what carries which events. Outbox and Broker are required.
type Config struct {
	Outbox *outbox.Outbox
	Broker broker.Broker
	// Source is the CloudEvents source. Default "/pando".
	Source string
	Now    func() time.Time // default time.Now
	Log    *slog.Logger     // default: none
	Meter  metric.Meter     // default: none

	// Batch is how many events are published together, at most. Default 1000.
	Batch int
	// MarkEvery is how long a published event may wait to be marked as such: it is
	// published again when the node stops before. Default 50 ms.
	MarkEvery time.Duration
	// PollEvery is how often the outbox is looked at when nothing wakes the relay:
	// for what other nodes append. Default 50 ms where there may be others, else
	// 1 s.
	PollEvery time.Duration
	// CleanEvery is how often old rows are removed. Default 30 seconds.
	CleanEvery time.Duration
	// RetryEvery is how often parked events are looked for that are due. Default
	// 500 ms.
	RetryEvery time.Duration
}

func (c Config) withDefaults() Config {
	if c.Source == "" {
		c.Source = "/pando"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Meter == nil {
		c.Meter = noop.Meter{}
	}
	if c.Batch <= 0 {
		c.Batch = 1000
	}
	if c.MarkEvery <= 0 {
		c.MarkEvery = 50 * time.Millisecond
	}
	if c.PollEvery <= 0 {
		if c.PollEvery = time.Second; c.Outbox.Shared() {
			c.PollEvery = 50 * time.Millisecond
		}
	}
	if c.CleanEvery <= 0 {
		c.CleanEvery = 30 * time.Second
	}
	if c.RetryEvery <= 0 {
		c.RetryEvery = 500 * time.Millisecond
	}
	return c
}

// Events is the relay and the consumers of one node. It is safe for concurrent
// use.
type Events struct {
	cfg    Config
	st     *statements
	meters meters

	mu        sync.Mutex
	consumers map[string]*running
	ended     bool

	run  context.Context //nolint:containedctx // of what goes on until Close
	stop context.CancelFunc
	done sync.WaitGroup
}

// running is a consumer at work.
type running struct {
	*consumer

	stop context.CancelFunc
	done chan struct{}
}

// Start begins to work for the given consumers. It does not wait for the broker,
// which may be away. The relay publishes nothing before the broker knows the
// consumers, so that a new one misses nothing that is written from now on.
func Start(c Config, consumers ...Consumer) (*Events, error) {
	c = c.withDefaults()
	e := &Events{cfg: c, st: newStatements(c.Outbox.Driver().Dialect()), consumers: map[string]*running{}}
	var err error
	if e.meters, err = newMeters(c.Meter); err != nil {
		return nil, fault.From(err)
	}
	e.run, e.stop = context.WithCancel(context.Background())
	if err := e.Use(consumers...); err != nil {
		e.stop()
		return nil, err
	}
	e.done.Go(func() { e.lead(RelayLease, e.relay) })
	return e, nil
}

// Use exchanges the consumers: those of other names than before begin, those
// whose names are gone end, and one of the same name goes on with what it is now.
// It waits for the handlers that run. The broker keeps what comes for those that
// are gone: see [Events.Forget].
func (e *Events) Use(consumers ...Consumer) error {
	next := make(map[string]*consumer, len(consumers))
	for i := range consumers {
		c, err := e.newConsumer(consumers[i])
		if err != nil {
			return err
		}
		if next[c.Name] != nil {
			return fault.New(fault.ConfigInvalid, "two consumers are named %s", c.Name)
		}
		next[c.Name] = c
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended {
		return fault.New(fault.ShuttingDown, "the events have ended")
	}
	for _, r := range e.consumers {
		r.stop()
	}
	for name, r := range e.consumers {
		<-r.done
		delete(e.consumers, name)
	}
	for name, c := range next {
		ctx, stop := context.WithCancel(e.run)
		r := &running{consumer: c, stop: stop, done: make(chan struct{})}
		e.consumers[name] = r
		go func() {
			defer close(r.done)
			e.consume(ctx, c)
		}()
	}
	return nil
}

// Close ends the relay and the consumers, and waits for handlers that run. Broker
// and outbox are closed by their owner, afterwards. It is safe to call twice.
func (e *Events) Close() error {
	e.stop()
	e.mu.Lock()
	e.ended = true
	for _, r := range e.consumers {
		<-r.done
	}
	clear(e.consumers)
	e.mu.Unlock()
	e.done.Wait()
	return nil
}

// lead does a task whenever this node has it, until the end.
func (e *Events) lead(name string, task func(context.Context, *outbox.Lease) error) {
	e.leading(e.run, name, task)
}

func (e *Events) leading(ctx context.Context, name string, task func(context.Context, *outbox.Lease) error) {
	for wait := broker.RetryFirst; ; wait = min(2*wait, broker.RetryMax/3) {
		began := time.Now()
		err := e.cfg.Outbox.Lead(ctx, name, task)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			e.cfg.Log.Error("a task of the events was interrupted: it goes on", "task", name, "error", fault.From(err), "cause", fault.From(err).Cause)
		}
		if time.Since(began) > time.Minute {
			wait = broker.RetryFirst
		}
		if !broker.Pause(ctx, wait) {
			return
		}
	}
}

// Pending is about how many events wait for a consumer at the broker.
func (e *Events) Pending(ctx context.Context, consumer string) (int64, error) {
	return e.cfg.Broker.Pending(ctx, consumer)
}

// Forget lets the broker keep no more events for a consumer that is gone.
func (e *Events) Forget(ctx context.Context, consumer string) error {
	e.mu.Lock()
	_, there := e.consumers[consumer]
	e.mu.Unlock()
	if there {
		return fault.New(fault.Conflict, "the consumer %s is at work", consumer).WithHint("take it out of the application first")
	}
	return e.cfg.Broker.Forget(ctx, consumer)
}

// meters are what is counted.
type meters struct {
	published, handled, failed, dead metric.Int64Counter
}

func newMeters(m metric.Meter) (out meters, err error) {
	for _, c := range []struct {
		to         *metric.Int64Counter
		name, what string
	}{
		{&out.published, "pando.events.published", "Events that the broker has acknowledged."},
		{&out.handled, "pando.events.handled", "Events that a consumer has handled."},
		{&out.failed, "pando.events.failed", "Tries that failed."},
		{&out.dead, "pando.events.dead", "Events that failed for the last time."},
	} {
		if *c.to, err = m.Int64Counter(c.name, metric.WithUnit("{event}"), metric.WithDescription(c.what)); err != nil {
			return out, err
		}
	}
	return out, nil
}
