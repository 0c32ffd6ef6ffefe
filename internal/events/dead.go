package events

import (
	"context"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/outbox"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// Dead is an event that a consumer could not handle.
type Dead struct {
	Consumer string
	ID       string       // of the event
	At       time.Time    // when it died
	Event    outbox.Event // zero where the broker's message was no event
	Body     []byte       // the message itself
	Tries    int
	Error    string // of the last try
}

// dead notes a dead event.
func (e *Events) dead(tx store.Tx, consumer, id string, body []byte, tries int, why error) error {
	_, err := tx.Exec(e.st.bury, []value.Value{
		value.OfText(consumer), value.OfText(id), value.OfInt(e.cfg.Now().UnixMicro()), value.OfText(storable(body)),
		value.OfInt(int64(tries)), value.OfText(errorText(why)),
	})
	return err
}

// bury is dead in a transaction of its own.
func (e *Events) bury(ctx context.Context, consumer, id string, body []byte, why error) error {
	return e.cfg.Outbox.Driver().Write(ctx, func(tx store.Tx) error { return e.dead(tx, consumer, id, body, 1, why) })
}

// Dead lists dead events by consumer and id: up to limit that come behind the
// given ones, which are empty at first.
func (e *Events) Dead(ctx context.Context, consumer, id string, limit int) ([]Dead, error) {
	var out []Dead
	err := e.cfg.Outbox.Driver().Read(ctx, false, func(r store.Reader) error {
		out = out[:0]
		return r.Query(e.st.deadList, []value.Value{value.OfText(consumer), value.OfText(id), value.OfInt(int64(limit))}, func(row store.Row) error {
			d := Dead{
				Consumer: string(row.Append(nil, 0)), ID: string(row.Append(nil, 1)), At: time.UnixMicro(row.Int(2)).UTC(),
				Body: row.Append(nil, 3), Tries: int(row.Int(4)), Error: string(row.Append(nil, 5)),
			}
			if ev, err := Decode(d.Body); err == nil {
				d.Event = ev
			}
			out = append(out, d)
			return nil
		})
	})
	return out, err
}

// Retry gives a dead event to its consumer again, with all its tries. Events of
// its key that came later have been handled before it. Fault NotFound: it is not
// there.
func (e *Events) Retry(ctx context.Context, consumer, id string) error {
	err := e.cfg.Outbox.Driver().Write(ctx, func(tx store.Tx) error {
		var body []byte
		err := tx.Query(e.st.deadOne, []value.Value{value.OfText(consumer), value.OfText(id)}, func(row store.Row) error {
			body = row.Append(nil, 0)
			return nil
		})
		if err != nil {
			return err
		}
		if body == nil {
			return noDead(consumer, id)
		}
		ev, err := Decode(body)
		if err != nil || consumer == RelayName {
			return fault.New(fault.Conflict, "the message %s cannot be given to a consumer", id).WithHint("drop it")
		}
		if err := e.giveAgain(tx, consumer, &ev, body); err != nil {
			return err
		}
		_, err = tx.Exec(e.st.deadDrop, []value.Value{value.OfText(consumer), value.OfText(id)})
		return err
	})
	if err == nil {
		e.wakeConsumer(consumer)
	}
	return err
}

// Drop removes a dead event for good. Fault NotFound: it is not there.
func (e *Events) Drop(ctx context.Context, consumer, id string) error {
	return e.cfg.Outbox.Driver().Write(ctx, func(tx store.Tx) error {
		n, err := tx.Exec(e.st.deadDrop, []value.Value{value.OfText(consumer), value.OfText(id)})
		if err == nil && n == 0 {
			err = noDead(consumer, id)
		}
		return err
	})
}

func noDead(consumer, id string) error {
	return fault.New(fault.NotFound, "the consumer %s has no dead event %s", consumer, id).WithHint("`pando events dead` lists them")
}

// giveAgain parks an event for a consumer, due at once, beside what is live.
func (e *Events) giveAgain(tx store.Tx, consumer string, ev *outbox.Event, body []byte) error {
	_, err := tx.Exec(e.st.again, []value.Value{
		value.OfText(consumer), value.OfText(ev.ID), value.OfInt(ev.Seq), value.OfText(order(ev)), value.OfText(string(body)),
		value.OfInt(0), value.OfInt(e.cfg.Now().UnixMicro()), value.OfInt(1), value.OfText(""),
	})
	return err
}

// wakeConsumer wakes a consumer of this node. One of another looks by itself.
func (e *Events) wakeConsumer(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r := e.consumers[name]; r != nil {
		r.wake()
	}
}
