package events

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pandobase/pando/internal/broker"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/outbox"
)

// relay publishes what the outbox has, as long as the lease is this node's.
func (e *Events) relay(ctx context.Context, lease *outbox.Lease) error {
	if err := e.declareAll(ctx); err != nil {
		return err
	}
	r := &relay{e: e, lease: lease, acked: map[int64]struct{}{}, recheck: true}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var side sync.WaitGroup
	side.Go(func() { cancel(r.mark(ctx)) })
	side.Go(func() { e.clean(ctx) })
	err := r.publish(ctx)
	cancel(err)
	side.Wait()
	return context.Cause(ctx)
}

// relay is the state of one turn.
type relay struct {
	e     *Events
	lease *outbox.Lease

	mu      sync.Mutex
	acked   map[int64]struct{} // published, and not marked yet
	recheck bool               // whether the broker may have lost what it had
}

// declareAll lets the broker know the consumers before anything is published.
func (e *Events) declareAll(ctx context.Context) error {
	for wait := broker.RetryFirst; ; wait = min(2*wait, broker.RetryMax/6) {
		e.mu.Lock()
		list := slices.Collect(maps.Values(e.consumers))
		e.mu.Unlock()
		var err error
		for _, c := range list {
			if err = e.cfg.Broker.Declare(ctx, &c.sub); err != nil {
				break
			}
		}
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			e.cfg.Log.Warn("the broker is not ready: events wait in the outbox", "error", fault.From(err), "cause", fault.From(err).Cause)
		}
		if !broker.Pause(ctx, wait) {
			return ctx.Err()
		}
	}
}

// publish publishes batch after batch, in the order of the numbers.
func (r *relay) publish(ctx context.Context) error {
	e := r.e
	poll := time.NewTicker(e.cfg.PollEvery)
	defer poll.Stop()
	wait := broker.RetryFirst
	for {
		n, err := r.step(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			e.cfg.Log.Warn("events could not be published: they wait in the outbox", "error", fault.From(err), "cause", fault.From(err).Cause)
			r.recheck = true
			if !broker.Pause(ctx, wait) {
				return ctx.Err()
			}
			wait = min(2*wait, broker.RetryMax/3)
			continue
		case n == e.cfg.Batch:
			wait = broker.RetryFirst
			continue // there is more
		}
		wait = broker.RetryFirst
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-e.cfg.Outbox.Woken():
		case <-poll.C:
		}
	}
}

// step publishes one batch, and returns how many events that were.
func (r *relay) step(ctx context.Context) (int, error) {
	if r.recheck {
		if err := r.look(ctx); err != nil {
			return 0, err
		}
		r.recheck = false
	}
	r.mu.Lock()
	skip := maps.Clone(r.acked)
	r.mu.Unlock()
	list, err := r.e.cfg.Outbox.Publishable(ctx, r.e.cfg.Batch, skip)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	messages := make([]broker.Message, len(list))
	for i := range list {
		if messages[i], err = r.e.message(&list[i]); err != nil {
			return 0, err
		}
	}
	err = r.e.cfg.Broker.Publish(ctx, messages)
	if fault.Is(err, fault.BodyTooLarge) {
		err = r.oneByOne(ctx, messages)
	}
	if err != nil {
		return 0, err
	}
	r.e.meters.published.Add(ctx, int64(len(list)))
	r.mu.Lock()
	for i := range list {
		r.acked[list[i].Seq] = struct{}{}
	}
	r.mu.Unlock()
	return len(list), nil
}

func (e *Events) message(ev *outbox.Event) (broker.Message, error) {
	data, err := Encode(e.cfg.Source, ev)
	return broker.Message{ID: ev.ID, Type: ev.Type, Key: ev.Key, Data: data}, err
}

// RelayName is the consumer of dead events that no broker took.
const RelayName = "relay"

// RelayLease is the task whose holder alone hands on the outbox's events.
const RelayLease = "events/relay"

// oneByOne publishes a batch of which one message is too large for the broker.
// That one becomes a dead event.
func (r *relay) oneByOne(ctx context.Context, messages []broker.Message) error {
	for i := range messages {
		err := r.e.cfg.Broker.Publish(ctx, messages[i:i+1])
		if fault.Is(err, fault.BodyTooLarge) {
			r.e.cfg.Log.Error("the broker does not take an event: it is dead", "event", messages[i].ID, "type", messages[i].Type, "error", fault.From(err))
			err = r.e.bury(ctx, RelayName, messages[i].ID, messages[i].Data, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// look finds out what the broker has lost of what it had acknowledged.
func (r *relay) look(ctx context.Context) error {
	retainer, ok := r.e.cfg.Broker.(broker.Retainer)
	window := r.e.cfg.Broker.Traits().Unsynced
	if !ok || window == 0 {
		return nil
	}
	const margin = time.Minute // between the clocks of the node and of the broker
	n, err := r.e.cfg.Outbox.Recheck(ctx, window, func(since time.Time) (map[string]struct{}, error) {
		there := map[string]struct{}{}
		err := retainer.Read(ctx, since.Add(-window-margin), false, func(m broker.Message, _ time.Time) error {
			there[m.ID] = struct{}{}
			return nil
		})
		return there, err
	})
	if n > 0 {
		r.e.cfg.Log.Warn("the broker has lost events that it had acknowledged: they are published again", "events", n)
	}
	return err
}

// mark notes what was published, a little later than it was.
func (r *relay) mark(ctx context.Context) error {
	tick := time.NewTicker(r.e.cfg.MarkEvery)
	defer tick.Stop()
	for {
		var end bool
		select {
		case <-ctx.Done():
			end = true
		case <-tick.C:
		}
		r.mu.Lock()
		seqs := slices.Sorted(maps.Keys(r.acked))
		r.mu.Unlock()
		if len(seqs) > 0 {
			within, cancel := context.WithTimeout(context.WithoutCancel(ctx), broker.RetryMax)
			err := r.e.cfg.Outbox.Published(within, r.lease, seqs)
			cancel()
			if fault.Is(err, fault.Conflict) {
				return err // the lease is another node's
			}
			if err == nil {
				r.mu.Lock()
				for _, seq := range seqs {
					delete(r.acked, seq)
				}
				r.mu.Unlock()
			} else if !end {
				r.e.cfg.Log.Warn("published events could not be marked: it is tried again", "events", len(seqs), "error", fault.From(err))
			}
		}
		if end {
			return ctx.Err()
		}
	}
}

// clean removes what is old.
func (e *Events) clean(ctx context.Context) {
	tick := time.NewTicker(e.cfg.CleanEvery)
	defer tick.Stop()
	for {
		_, err := e.cfg.Outbox.Purge(ctx)
		if err == nil {
			_, err = e.cfg.Outbox.Prune(ctx)
		}
		if err != nil && ctx.Err() == nil {
			e.cfg.Log.Warn("old events could not be removed: it is tried again", "error", fault.From(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
