package nats

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pandobase/pando/internal/broker"
	"github.com/pandobase/pando/internal/fault"
)

// position is how far a consumer is.
type position struct {
	Seq uint64    `json:"seq"`          // the last message that it has had
	ID  string    `json:"id,omitempty"` // that message's; empty: it was none of its own
	At  time.Time `json:"at"`           // when the position was reached

	revision uint64
}

// headerText is a text as a header takes it.
func headerText(s string) string {
	if strings.ContainsAny(s, "\r\n%") {
		return url.QueryEscape(s)
	}
	return s
}

func textOfHeader(s string) string {
	if strings.Contains(s, "%") {
		if out, err := url.QueryUnescape(s); err == nil {
			return out
		}
	}
	return s
}

// Declare implements broker.Broker.
func (b *Broker) Declare(ctx context.Context, s *broker.Subscription) error {
	kv, _, err := b.prepare(ctx)
	if err != nil {
		return err
	}
	if _, err = kv.Get(ctx, b.position(s.Name)); !errors.Is(err, jetstream.ErrKeyNotFound) {
		return b.translate(err)
	}
	stream, err := b.js.Stream(ctx, b.streamName())
	if err != nil {
		return b.translate(err)
	}
	state := stream.CachedInfo().State
	p := position{At: state.LastTime}
	if p.Seq = state.LastSeq; s.Start == broker.Retained {
		p.Seq = max(state.FirstSeq, 1) - 1
	}
	if _, err = kv.Create(ctx, b.position(s.Name), p.encode()); errors.Is(err, jetstream.ErrKeyExists) {
		return nil
	}
	return b.translate(err)
}

func (p *position) encode() []byte {
	out, err := json.Marshal(p)
	if err != nil {
		panic(err) // numbers, a text and a time
	}
	return out
}

// load reads a consumer's position, and takes it back where the stream has lost
// the message that it names.
func (b *Broker) load(ctx context.Context, kv jetstream.KeyValue, name string) (p position, since *time.Time, err error) {
	entry, err := kv.Get(ctx, b.position(name))
	if err != nil {
		return p, nil, b.translate(err)
	}
	if err := json.Unmarshal(entry.Value(), &p); err != nil {
		return p, nil, fault.Wrap(err, fault.Internal, "the position of the consumer %s is damaged", name)
	}
	p.revision = entry.Revision()
	stream, err := b.js.Stream(ctx, b.streamName())
	if err != nil {
		return p, nil, b.translate(err)
	}
	state := stream.CachedInfo().State
	switch {
	case p.Seq > state.LastSeq:
	case p.ID == "" || p.Seq < state.FirstSeq:
		return p, nil, nil
	default:
		m, err := stream.GetMsg(ctx, p.Seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && m.Header.Get(jetstream.MsgIDHeader) == p.ID {
			return p, nil, nil
		}
		if err != nil {
			return p, nil, b.translate(err)
		}
	}
	b.o.Log.Warn("the broker has lost its newest messages: a consumer goes back", "consumer", name, "by", b.o.Unsynced)
	back := p.At.Add(-b.o.Unsynced)
	return p, &back, nil
}

// Subscribe implements broker.Broker.
func (b *Broker) Subscribe(ctx context.Context, s *broker.Subscription) error {
	for wait := broker.RetryFirst; ; wait = min(2*wait, broker.RetryMax/6) {
		began := time.Now()
		err := b.Declare(ctx, s)
		if err == nil {
			err = b.follow(ctx, s)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			b.o.Log.Debug("a consumer was interrupted: it goes on", "consumer", s.Name, "error", err)
		}
		if time.Since(began) > time.Second {
			wait = broker.RetryFirst
		}
		b.wait(ctx, wait)
	}
}

// wait waits for a while, or for a connection.
func (b *Broker) wait(ctx context.Context, d time.Duration) {
	b.mu.Lock()
	joined := b.joined
	b.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		select {
		case <-joined:
			cancel()
		case <-ctx.Done():
		}
	}()
	broker.Pause(ctx, d)
	cancel()
	<-stop
}

// prefetch bounds what a reader holds, in bytes.
const prefetch = 8 << 20

// follow hands messages to the consumer until something fails, or the connection
// is another one.
func (b *Broker) follow(ctx context.Context, s *broker.Subscription) error {
	kv, joined, err := b.prepare(ctx)
	if err != nil {
		return err
	}
	p, since, err := b.load(ctx, kv, s.Name)
	if err != nil {
		return err
	}
	r, err := b.read(ctx, readFrom{seq: p.Seq + 1, time: since}, s.Types, 2*s.Size())
	if err != nil {
		return err
	}
	defer r.close()
	f := &follower{b: b, s: s, kv: kv, r: r, p: p, seen: p.Seq}
	const idle = 10 * time.Second
	tick := time.NewTicker(idle)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-joined:
			return errors.New("the connection was made again")
		case err := <-r.failed:
			return err
		case m := <-r.messages:
			err = f.take(ctx, m)
		case <-tick.C:
			err = f.advance(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// follower is a subscription on one connection.
type follower struct {
	b     *Broker
	s     *broker.Subscription
	kv    jetstream.KeyValue
	r     *reader
	p     position
	seen  uint64 // the last message that came, wanted or not
	batch []broker.Message
}

// take handles a message with those that have come meanwhile.
func (f *follower) take(ctx context.Context, m entry) error {
	f.batch = f.batch[:0]
	var last string
	for {
		f.seen, last = m.seq, m.ID
		if f.s.Wants(m.Type) {
			f.batch = append(f.batch, m.Message)
		}
		if len(f.batch) == f.s.Size() {
			break
		}
		select {
		case m = <-f.r.messages:
			continue
		default:
		}
		break
	}
	const unwanted = 5000 // messages that a position may lie behind for nothing
	if len(f.batch) == 0 && f.seen-f.p.Seq < unwanted {
		return nil
	}
	if len(f.batch) > 0 {
		if err := broker.Insist(ctx, f.b.o.Log, f.s, f.batch); err != nil {
			return err
		}
		clear(f.batch)
	}
	return f.store(ctx, f.seen, last)
}

// store notes that the consumer has had what came up to seq. It waits for a
// server that is away no longer than the connection: the batch comes again then.
func (f *follower) store(ctx context.Context, seq uint64, id string) error {
	p := position{Seq: seq, ID: id, At: time.Now().UTC()}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ackTime)
	defer cancel()
	revision, err := f.kv.Update(ctx, f.b.position(f.s.Name), p.encode(), f.p.revision)
	if err != nil {
		return f.b.translate(err)
	}
	p.revision = revision
	f.p = p
	return nil
}

// advance moves the position of a consumer that has had all that is for it, so
// that it keeps nothing from being removed.
func (f *follower) advance(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, ackTime)
	defer cancel()
	stream, err := f.b.js.Stream(ctx, f.b.streamName())
	if err != nil {
		return f.b.translate(err)
	}
	last := stream.CachedInfo().State.LastSeq // before it is asked what there is
	info, err := f.r.consumer.Info(ctx)
	if err != nil {
		return f.b.translate(err)
	}
	if info.NumPending > 0 || info.Delivered.Stream > f.seen || len(f.r.messages) > 0 || last <= f.p.Seq {
		return nil
	}
	return f.store(ctx, last, "")
}

// Pending implements broker.Broker. Messages of other types count too.
func (b *Broker) Pending(ctx context.Context, consumer string) (int64, error) {
	kv, _, err := b.prepare(ctx)
	if err != nil {
		return 0, err
	}
	entry, err := kv.Get(ctx, b.position(consumer))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return 0, fault.New(fault.NotFound, "the broker has no consumer %s", consumer)
	}
	if err != nil {
		return 0, b.translate(err)
	}
	var p position
	if err := json.Unmarshal(entry.Value(), &p); err != nil {
		return 0, fault.From(err)
	}
	stream, err := b.js.Stream(ctx, b.streamName())
	if err != nil {
		return 0, b.translate(err)
	}
	state := stream.CachedInfo().State
	return max(0, int64(state.LastSeq)-int64(max(p.Seq, max(state.FirstSeq, 1)-1))), nil //nolint:gosec // numbers of messages
}

// Forget implements broker.Broker.
func (b *Broker) Forget(ctx context.Context, consumer string) error {
	kv, _, err := b.prepare(ctx)
	if err != nil {
		return err
	}
	if err := kv.Purge(ctx, b.position(consumer)); err != nil && !errors.Is(err, jetstream.ErrKeyNotFound) {
		return b.translate(err)
	}
	return nil
}
