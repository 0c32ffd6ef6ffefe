package events

import (
	"context"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// park is an event that waits for a later try, or behind one that does.
type park struct {
	d     Delivery
	tries int   // that have failed
	err   error // of the last one
}

const maxError = 4 << 10 // bytes of an error's text that are kept

// errorText is what is kept of an error.
func errorText(err error) string {
	if err == nil {
		return ""
	}
	s := err.Error()
	if f := fault.From(err); f != nil && f.Code != fault.Internal && f.Details == "" && f.Cause != nil {
		s += " (" + f.Cause.Error() + ")"
	}
	if len(s) > maxError {
		s = s[:maxError]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// dies reports whether it has had all its tries.
func (c *consumer) dies(p *park) bool { return p.tries >= c.Tries }

// park stores events that wait. Those that have had all their tries die.
func (c *consumer) park(tx store.Tx, list []*park) error {
	for _, p := range list {
		body, err := Encode(c.e.cfg.Source, &p.d.Event)
		if err != nil {
			return err
		}
		if c.dies(p) {
			if err := c.die(tx, p, body); err != nil {
				return err
			}
			continue
		}
		_, err = tx.Exec(c.e.st.park, []value.Value{
			value.OfText(c.Name), value.OfText(p.d.ID), value.OfInt(p.d.Seq), value.OfText(order(&p.d.Event)), value.OfText(string(body)),
			value.OfInt(int64(p.tries)), value.OfInt(c.due(p.tries).UnixMicro()), value.OfInt(0), value.OfText(errorText(p.err)),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *consumer) die(tx store.Tx, p *park, body []byte) error {
	return c.e.dead(tx, c.Name, p.d.ID, body, p.tries, p.err)
}

// due is when an event that has failed so often is tried again.
func (c *consumer) due(tries int) time.Time {
	now := c.e.cfg.Now()
	if tries == 0 {
		return now
	}
	pause := c.Max
	const most = 40 // doublings
	if doublings := min(tries-1, most); c.First <= c.Max>>doublings {
		pause = c.First << doublings
	}
	const spread = 5
	return now.Add(pause - pause/spread/2 + rand.N(pause/spread+1)) //nolint:gosec // spreads load
}

// loadParked finds out which keys have parked events.
func (c *consumer) loadParked(ctx context.Context) error {
	parked := map[string]int{}
	err := c.e.cfg.Outbox.Driver().Read(ctx, false, func(r store.Reader) error {
		clear(parked)
		return r.Query(c.e.st.parked, []value.Value{value.OfText(c.Name)}, func(row store.Row) error {
			parked[string(row.Append(nil, 0))] = int(row.Int(1))
			return nil
		})
	})
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.parked = parked
	c.mu.Unlock()
	return nil
}

// retryLoop tries parked events when they are due.
func (c *consumer) retryLoop(ctx context.Context) {
	tick := time.NewTicker(c.e.cfg.RetryEvery)
	defer tick.Stop()
	for {
		again, err := c.retryDue(ctx)
		if err != nil && ctx.Err() == nil {
			c.e.cfg.Log.Warn("parked events could not be tried: it is tried again", "consumer", c.Name, "error", fault.From(err), "cause", fault.From(err).Cause)
		}
		if again && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-c.poke:
		}
	}
}

// waiting is a parked event.
type waiting struct {
	d      Delivery
	key    string
	replay bool
}

// retryDue tries those that are due, the first of each key, and reports whether
// there may be more.
func (c *consumer) retryDue(ctx context.Context) (bool, error) {
	const most = 256
	var list []waiting
	var broken error
	err := c.e.cfg.Outbox.Driver().Read(ctx, false, func(r store.Reader) error {
		list = list[:0]
		args := []value.Value{value.OfText(c.Name), value.OfInt(c.e.cfg.Now().UnixMicro()), value.OfInt(most)}
		return r.Query(c.e.st.due, args, func(row store.Row) error {
			ev, err := Decode(row.Append(nil, 1))
			if err != nil {
				broken = err
				return nil //nolint:nilerr // it is told when the others are handled
			}
			list = append(list, waiting{
				d:   Delivery{Event: ev, Try: int(row.Int(2)) + 1, Replayed: row.Int(3) != 0},
				key: string(row.Append(nil, 0)), replay: row.Int(3) != 0,
			})
			return nil
		})
	})
	if err != nil || len(list) == 0 {
		return false, err
	}
	if broken != nil {
		c.e.cfg.Log.Error("a parked event is damaged", "consumer", c.Name, "error", broken)
	}
	if c.Apply != nil && len(list) > 1 {
		done, err := c.retryTogether(ctx, list)
		if done || err != nil {
			return done, err
		}
	}
	for i := range list {
		if err := c.retry(ctx, &list[i]); err != nil {
			return false, err
		}
	}
	return true, nil
}

// retryTogether tries events in one transaction; done tells that all went well.
func (c *consumer) retryTogether(ctx context.Context, list []waiting) (done bool, err error) {
	batch := make([]Delivery, len(list))
	for i := range list {
		batch[i] = list[i].d
	}
	var failed error
	err = c.e.cfg.Outbox.Driver().Write(ctx, func(tx store.Tx) error {
		failed = nil
		if err := c.lease.Check(tx); err != nil {
			return err
		}
		if failed = tx.Savepoint(func() error { return c.call(ctx, tx, batch) }); failed != nil {
			return failed
		}
		for i := range list {
			if err := c.unpark(tx, &list[i]); err != nil {
				return err
			}
		}
		return nil
	})
	switch {
	case err == nil:
		for i := range list {
			c.freed(&list[i])
		}
		c.count(ctx, len(list), 0, nil)
		return true, nil
	case failed != nil && !general(ctx, failed):
		return false, nil
	}
	return false, err
}

// retry tries one parked event.
func (c *consumer) retry(ctx context.Context, w *waiting) error {
	var failed error
	if c.Notify != nil {
		failed = c.tell(ctx, w.d)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	gone := false
	err := c.e.cfg.Outbox.Driver().Write(ctx, func(tx store.Tx) error {
		gone = false
		if err := c.lease.Check(tx); err != nil {
			return err
		}
		if c.Apply != nil {
			failed = tx.Savepoint(func() error { return c.call(ctx, tx, []Delivery{w.d}) })
			if failed != nil && general(ctx, failed) {
				return failed
			}
		}
		if failed == nil {
			gone = true
			return c.unpark(tx, w)
		}
		p := &park{d: w.d, tries: w.d.Try, err: failed}
		if c.dies(p) {
			gone = true
			body, err := Encode(c.e.cfg.Source, &w.d.Event)
			if err != nil {
				return err
			}
			if err := c.die(tx, p, body); err != nil {
				return err
			}
			return c.unpark(tx, w)
		}
		_, err := tx.Exec(c.e.st.later, []value.Value{
			value.OfInt(int64(p.tries)), value.OfInt(c.due(p.tries).UnixMicro()), value.OfText(errorText(failed)), value.OfText(c.Name), value.OfText(w.d.ID), w.mark(),
		})
		return err
	})
	if err != nil {
		return err
	}
	if gone {
		c.freed(w)
	}
	if failed == nil {
		c.count(ctx, 1, 0, nil)
	} else {
		c.count(ctx, 0, 1, []*park{{d: w.d, tries: w.d.Try, err: failed}})
	}
	return nil
}

func (c *consumer) unpark(tx store.Tx, w *waiting) error {
	_, err := tx.Exec(c.e.st.unpark, []value.Value{value.OfText(c.Name), value.OfText(w.d.ID), w.mark()})
	return err
}

// mark tells a replayed event from the same one that is live.
func (w *waiting) mark() value.Value {
	if w.replay {
		return value.OfInt(1)
	}
	return value.OfInt(0)
}

// freed lets what comes for the key flow again, when nothing is parked before it.
func (c *consumer) freed(w *waiting) {
	if w.replay {
		return // nothing waits behind those
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.parked[w.key]--; c.parked[w.key] == 0 {
		delete(c.parked, w.key)
	}
}
