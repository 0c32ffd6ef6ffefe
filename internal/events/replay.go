package events

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/pandobase/pando/internal/broker"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/outbox"
	"github.com/pandobase/pando/internal/store"
)

// Filter chooses events. Its zero value chooses all.
type Filter struct {
	Types []string // any of them
	Key   string   // of this key
}

func (f *Filter) match(e *outbox.Event) bool {
	return (len(f.Types) == 0 || slices.Contains(f.Types, e.Type)) && (f.Key == "" || f.Key == e.Key)
}

// Tail calls each for events in the order in which they were published: those
// that happened at or after from and are still there, and with follow those that
// come, until ctx ends. An error of each ends it and is returned.
func (e *Events) Tail(ctx context.Context, f Filter, from time.Time, follow bool, each func(*outbox.Event) error) error {
	return e.walk(ctx, from, follow, func(ev *outbox.Event, _ []byte) error {
		if ev.Time.Before(from) || !f.match(ev) {
			return nil
		}
		return each(ev)
	})
}

// slack is how long before a message an event may have happened at the most, for
// where reading begins. Events that waited longer are found by their time.
const slack = time.Minute

// walk reads what the broker retains, or else what the outbox has.
func (e *Events) walk(ctx context.Context, from time.Time, follow bool, each func(*outbox.Event, []byte) error) error {
	if r, ok := e.cfg.Broker.(broker.Retainer); ok {
		return r.Read(ctx, from.Add(-slack), follow, func(m broker.Message, _ time.Time) error {
			ev, err := Decode(m.Data)
			if err != nil {
				return nil //nolint:nilerr // it is in the dead events of every consumer
			}
			return each(&ev, m.Data)
		})
	}
	row := func(ev *outbox.Event) error {
		body, err := Encode(e.cfg.Source, ev)
		if err != nil {
			return err
		}
		return each(ev, body)
	}
	seen := map[int64]struct{}{} // a lower number may appear late
	var after int64
	for {
		last := after
		err := e.cfg.Outbox.Each(ctx, after, func(ev *outbox.Event) error {
			last = max(last, ev.Seq)
			if _, ok := seen[ev.Seq]; ok {
				return nil
			}
			if follow {
				seen[ev.Seq] = struct{}{}
			}
			return row(ev)
		})
		if err != nil || !follow {
			return err
		}
		const late = 10_000 // numbers behind the newest that are looked at again
		after = max(after, last-late)
		for seq := range seen {
			if seq <= after {
				delete(seen, seq)
			}
		}
		if !broker.Pause(ctx, e.cfg.RetryEvery) {
			return ctx.Err()
		}
	}
}

// Range is what Replay gives again.
type Range struct {
	From time.Time // when events happened, at the earliest
	ID   string    // in its place: this event, and those published behind it
	To   time.Time // before which they happened. Zero: now
	Filter
}

// Replayed tells what Replay has done.
type Replayed struct {
	Events int
	// Source is where they were read: "broker" or "outbox".
	Source string
	// Oldest is when the first of them happened: where that is later than was
	// asked for, what lies before is not kept any more.
	Oldest time.Time
}

// Replay gives events to a consumer again, as they are: it hears of them once
// more although it has handled them, so their effects happen again, and its
// handler sees [Delivery.Replayed]. They come in order by key, beside those that
// are live and after what these did: nobody waits for a replay. They are stored
// with the consumer's parked events before Replay returns, and handled by the
// node that has the consumer. An event that is being replayed already is not
// added twice. Faults: NotFound where the consumer is none of this node's, or
// where the event of that id is not kept any more.
func (e *Events) Replay(ctx context.Context, consumer string, r Range) (Replayed, error) {
	out := Replayed{Source: "outbox"}
	if _, ok := e.cfg.Broker.(broker.Retainer); ok {
		out.Source = "broker"
	}
	e.mu.Lock()
	c := e.consumers[consumer]
	names := make([]string, 0, len(e.consumers))
	for name := range e.consumers {
		names = append(names, name)
	}
	e.mu.Unlock()
	if c == nil {
		f := fault.New(fault.NotFound, "there is no consumer %s", consumer)
		if near := fault.Nearest(consumer, names); near != "" {
			f = f.WithHint("did you mean %s?", near)
		}
		return out, f
	}
	if r.To.IsZero() {
		r.To = e.cfg.Now()
	}
	from, found := r.From, r.ID == ""
	if !found {
		var ok bool
		if from, ok = timeOf(r.ID); !ok {
			return out, fault.New(fault.BadRequest, "%q is no event's id", r.ID).WithHint("an id is a UUID of version 7")
		}
		from = from.Add(-slack)
	}
	type item struct {
		ev   outbox.Event
		body []byte
	}
	const step = 200
	var list []item
	flush := func() error {
		err := e.cfg.Outbox.Driver().Write(ctx, func(tx store.Tx) error {
			for i := range list {
				if err := e.giveAgain(tx, consumer, &list[i].ev, list[i].body); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil {
			out.Events += len(list)
			list = list[:0]
		}
		return err
	}
	err := e.walk(ctx, from, false, func(ev *outbox.Event, body []byte) error {
		found = found || ev.ID == r.ID
		if !found || r.ID == "" && ev.Time.Before(r.From) || !ev.Time.Before(r.To) || !c.sub.Wants(ev.Type) || !r.match(ev) {
			return nil
		}
		if out.Oldest.IsZero() || ev.Time.Before(out.Oldest) {
			out.Oldest = ev.Time
		}
		if list = append(list, item{*ev, body}); len(list) == step {
			return flush()
		}
		return nil
	})
	if err == nil && len(list) > 0 {
		err = flush()
	}
	if err == nil && !found {
		err = fault.New(fault.NotFound, "the event %s is not kept any more", r.ID).WithHint("give a time to begin with what there is")
	}
	c.wake()
	return out, err
}

// timeOf is when a UUID of version 7 was made.
func timeOf(id string) (time.Time, bool) {
	const length, version = 36, 14
	if len(id) != length || id[version] != '7' || id[8] != '-' {
		return time.Time{}, false
	}
	ms, err := strconv.ParseInt(id[:8]+id[9:13], 16, 64)
	return time.UnixMilli(ms), err == nil
}
