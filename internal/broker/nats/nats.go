// Package nats is the broker of a NATS server with JetStream, within the process
// or elsewhere.
//
// Messages stand in one stream, and a consumer is a position in it: the number
// and the id of the last message that it has handled, in a key-value bucket. It
// reads on from there through an ordered reader of the server's, in strict order,
// and writes its position once a batch. JetStream's own durable consumers deliver
// a message that was not acknowledged behind those that follow it; this does not,
// and a consumer that comes back goes on at once. A position is changed only by
// who knows its last revision, so that a second subscriber is found out.
//
// A server acknowledges before its disk has the message ([Options.Unsynced]).
// When a machine stops and the newest messages are lost, a position may be beyond
// the stream, or name another message: then it goes back by that time.
//
// The stream keeps what consumers have had for [Options.MaxAge] and up to
// [Options.MaxBytes], and what a consumer has not had for as long as it takes. At
// twice the bytes it takes no more: the publisher waits.
package nats

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pandobase/pando/internal/broker"
	"github.com/pandobase/pando/internal/fault"
)

// Options says how the server is reached. URL or InProcess is required.
type Options struct {
	// URL is nats://user:password@host:port,..., tls:// with TLS; more than one
	// host is separated by commas. The path is Name.
	URL string
	// InProcess is a server of this process, in the place of a URL.
	InProcess nats.InProcessConnProvider
	// Name begins the names of the stream and the bucket, so that applications can
	// share a server. Default "pando".
	Name string
	// Replicas is how many servers of a cluster have the stream. Default 1.
	Replicas int
	// MaxAge is how long messages are kept that every consumer has had. Default 7 days.
	MaxAge time.Duration
	// MaxBytes is how many bytes of them are kept. Default 1 GiB.
	MaxBytes int64
	// Unsynced is how long the server may take from its acknowledgement to its
	// disk (sync_interval). Default 2 minutes, which is the server's.
	Unsynced time.Duration
	// Window is how long an id is remembered. Default 2 minutes.
	Window time.Duration
	// Log is told of connections that are lost. Default: none.
	Log *slog.Logger
}

const (
	defaultAge   = 7 * 24 * time.Hour
	defaultBytes = 1 << 30
	twoMinutes   = 2 * time.Minute
)

func (o Options) withDefaults() Options {
	if o.Name == "" {
		o.Name = "pando"
	}
	if o.Replicas <= 0 {
		o.Replicas = 1
	}
	if o.MaxAge <= 0 {
		o.MaxAge = defaultAge
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = defaultBytes
	}
	if o.Unsynced <= 0 {
		o.Unsynced = twoMinutes
	}
	if o.Window <= 0 {
		o.Window = twoMinutes
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Broker is the connection to one server or cluster.
type Broker struct {
	o    Options
	nc   *nats.Conn
	js   jetstream.JetStream
	stop context.CancelFunc
	run  context.Context //nolint:containedctx // of what goes on until Close
	done sync.WaitGroup

	mu      sync.Mutex
	ready   bool
	kv      jetstream.KeyValue
	joined  chan struct{} // closed, and made anew, when the connection was made again
	turn    sync.Mutex    // one Publish at a time: the order of two is the callers'
	closing sync.Once
}

var (
	_ broker.Broker   = (*Broker)(nil)
	_ broker.Retainer = (*Broker)(nil)
)

// Open returns the broker. It does not wait for the server: that may be
// unreachable meanwhile.
func Open(o Options) (*Broker, error) {
	o = o.withDefaults()
	b := &Broker{o: o, joined: make(chan struct{})}
	opts := []nats.Option{
		nats.Name("pando"), nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true),
		nats.ReconnectWait(250 * time.Millisecond), nats.ReconnectJitter(250*time.Millisecond, time.Second),
		nats.ReconnectBufSize(-1), // what is published without a connection fails: it is published again, in order
		nats.ConnectHandler(func(*nats.Conn) { b.join() }),
		nats.ReconnectHandler(func(*nats.Conn) { b.join(); o.Log.Info("the broker is there again") }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				o.Log.Warn("the connection to the broker was lost: it is made again", "error", err)
			}
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			o.Log.Debug("the broker's connection tells of an error", "error", err)
		}),
	}
	urls, secure, err := o.servers()
	if err != nil {
		return nil, err
	}
	if secure {
		opts = append(opts, nats.Secure())
	}
	if o.InProcess != nil {
		opts = append(opts, nats.InProcessServer(o.InProcess))
	}
	if b.nc, err = nats.Connect(urls, opts...); err != nil {
		return nil, fault.Wrap(err, fault.ConfigInvalid, "the broker's URL is not understood").WithHint("it looks like nats://user:password@host:4222")
	}
	b.js, err = jetstream.New(b.nc, jetstream.WithPublishAsyncMaxPending(maxInFlight), jetstream.WithPublishAsyncTimeout(ackTime))
	if err != nil {
		b.nc.Close()
		return nil, fault.From(err)
	}
	b.run, b.stop = context.WithCancel(context.Background())
	b.done.Go(b.trimming)
	return b, nil
}

// servers are the addresses of the URL, without its path.
func (o *Options) servers() (urls string, secure bool, err error) {
	if o.InProcess != nil {
		return nats.DefaultURL, false, nil
	}
	bad := func() error {
		return fault.New(fault.ConfigInvalid, "the broker's URL is not understood").WithHint("it looks like nats://user:password@host:4222, or tls://... with TLS")
	}
	scheme, rest, ok := strings.Cut(o.URL, "://")
	if !ok || scheme != "nats" && scheme != "tls" || rest == "" {
		return "", false, bad()
	}
	rest, path, _ := strings.Cut(rest, "/")
	if path != "" {
		o.Name = path
	}
	var list []string
	for host := range strings.SplitSeq(rest, ",") {
		u, err := url.Parse(scheme + "://" + host)
		if err != nil || u.Host == "" {
			return "", false, bad()
		}
		list = append(list, u.String())
	}
	return strings.Join(list, ","), scheme == "tls", nil
}

func (b *Broker) streamName() string        { return b.o.Name + "_events" }
func (b *Broker) bucketName() string        { return b.o.Name + "_consumers" }
func (b *Broker) subject(typ string) string { return b.o.Name + ".events." + typ }
func (b *Broker) typeOf(subject string) string {
	return strings.TrimPrefix(subject, b.o.Name+".events.")
}
func (b *Broker) position(consumer string) string { return consumer }

// join tells the subscribers that the server may be another one than before.
func (b *Broker) join() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ready = false
	close(b.joined)
	b.joined = make(chan struct{})
}

// prepare sees to the stream and the bucket, once for each connection. The
// channel is closed when the connection is another one.
func (b *Broker) prepare(ctx context.Context) (jetstream.KeyValue, <-chan struct{}, error) {
	b.mu.Lock()
	kv, joined, ready := b.kv, b.joined, b.ready
	b.mu.Unlock()
	if ready {
		return kv, joined, nil
	}
	if !b.nc.IsConnected() {
		return nil, nil, broker.Unreachable(nats.ErrDisconnected)
	}
	ctx, cancel := context.WithTimeout(ctx, ackTime)
	defer cancel()
	config := jetstream.StreamConfig{
		Name: b.streamName(), Subjects: []string{b.subject(">")}, Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy,
		Discard: jetstream.DiscardNew, MaxBytes: 2 * b.o.MaxBytes, Duplicates: b.o.Window, Replicas: b.o.Replicas,
		Description: "Pando's events. What all consumers have had is removed by age and size.",
	}
	if _, err := b.js.CreateOrUpdateStream(ctx, config); err != nil {
		return nil, nil, b.translate(err)
	}
	kv, err := b.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: b.bucketName(), History: 1, Storage: jetstream.FileStorage, Replicas: b.o.Replicas,
		Description: "How far Pando's consumers are.",
	})
	if err != nil {
		return nil, nil, b.translate(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if joined == b.joined {
		b.kv, b.ready = kv, true
	}
	return kv, joined, nil
}

// translate makes an error of the client a fault.
func (b *Broker) translate(err error) error {
	var f *fault.Error
	var api *jetstream.APIError
	switch {
	case err == nil || errors.As(err, &f):
		return err
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, nats.ErrMaxPayload), errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamMessageExceedsMaximum:
		return fault.Wrap(err, fault.BodyTooLarge, "a message is larger than the broker takes").
			WithHint("set max_payload of the NATS server to 1 MiB or more")
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return fault.Wrap(err, fault.ConfigInvalid, "the NATS server has no JetStream").WithHint("start it with -js, or enable jetstream in its configuration")
	}
	return broker.Unreachable(err)
}

// Ping implements broker.Broker.
func (b *Broker) Ping(ctx context.Context) error {
	if _, _, err := b.prepare(ctx); err != nil {
		return err
	}
	if _, err := b.js.Stream(ctx, b.streamName()); err != nil {
		return b.translate(err)
	}
	return nil
}

// Traits implements broker.Broker.
func (b *Broker) Traits() broker.Traits {
	return broker.Traits{Deduplicates: b.o.Window, Unsynced: b.o.Unsynced}
}

// Close implements broker.Broker. The subscribers have ended.
func (b *Broker) Close() error {
	b.closing.Do(func() {
		b.stop()
		b.done.Wait()
		b.js.CleanupPublisher()
		b.nc.Close()
	})
	return nil
}
