package queue

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// lease is what gives this node the right to hold jobs: a row with a counter,
// the beat, which the node moves on. Another node that has seen one beat for
// [Config.Lease] removes the row, and with it the right. What a node believes of
// its own lease ends earlier, since it counts from before the beat was written.
// Only spans of time count that one node has measured, so that no clock has to be
// right.
type lease struct {
	mu    sync.Mutex
	node  int64     // this node's id, which no other ever has
	until time.Time // by the monotonic clock
	seen  map[int64]sighting
}

// sighting is a beat of another node, and since when it is the newest.
type sighting struct {
	beat  int64
	since time.Time
}

// holder is the id under which this node holds jobs.
func (l *lease) holder() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.node
}

// register gives this node an id and a slot. Where a store has one process at a
// time, whoever is registered there is gone.
func (q *Queue) register(ctx context.Context) error {
	start := time.Now()
	node := rand.Int64() // not by Config.Random: it must be another one on each node
	var slot int64
	var newest ID
	err := q.write(ctx, func(tx store.Tx) error {
		if !q.shared {
			if _, err := tx.Exec(q.st.removeWorkers, nil); err != nil {
				return err
			}
		}
		taken := map[int64]bool{}
		err := tx.Query(q.st.slots, nil, func(r store.Row) error {
			taken[r.Int(0)] = true
			return nil
		})
		if err != nil {
			return err
		}
		if err := tx.Query(q.st.newestID, nil, func(r store.Row) error { newest = ID(r.Int(0)); return nil }); err != nil {
			return err
		}
		from := int64(q.cfg.Random() * idSlots) // a slot is not taken again at once
		for i := range int64(idSlots) {
			if slot = (from + i) % idSlots; taken[slot] {
				continue
			}
			n, err := tx.Exec(q.st.register, []value.Value{value.OfInt(node), value.OfInt(slot)})
			if err != nil || n > 0 {
				return err
			}
		}
		return fault.New(fault.Overloaded, "%d nodes work on the store", len(taken)).WithHint("at most %d can; those that are gone leave after a while", idSlots)
	})
	if err != nil {
		return err
	}
	q.ids.move(slot, newest)
	q.lease.mu.Lock()
	defer q.lease.mu.Unlock()
	q.lease.node, q.lease.until = node, start.Add(q.cfg.Lease)
	return nil
}

func (q *Queue) unregister(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, q.cfg.Lease)
	defer cancel()
	return q.write(ctx, func(tx store.Tx) error {
		_, err := tx.Exec(q.st.unregister, []value.Value{value.OfInt(q.lease.holder())})
		return err
	})
}

// keepLease renews the lease and watches those of the others.
func (q *Queue) keepLease(ctx context.Context) {
	if !q.shared {
		return
	}
	t := time.NewTicker(max(q.cfg.Lease/4, time.Millisecond))
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		err := q.renew(ctx)
		if err == nil {
			err = q.watchOthers(ctx)
		}
		if err != nil && ctx.Err() == nil {
			q.cfg.Log.Warn("the lease of this node's jobs could not be looked after: it is tried again", "error", fault.From(err))
		}
	}
}

// renew moves this node's beat on. A lease that was lost is replaced by another
// one, and what was held under it is stopped.
func (q *Queue) renew(ctx context.Context) error {
	start, node := time.Now(), q.lease.holder()
	var n int64
	limited, cancel := context.WithTimeout(ctx, q.cfg.Lease/4)
	defer cancel()
	err := q.write(limited, func(tx store.Tx) (err error) {
		n, err = tx.Exec(q.st.beat, []value.Value{value.OfInt(node)})
		return err
	})
	switch {
	case err != nil:
		q.lease.mu.Lock()
		over := time.Now().After(q.lease.until)
		q.lease.mu.Unlock()
		if over {
			q.interrupt(node)
		}
		return err
	case n == 0:
		q.cfg.Log.Warn("this node has been silent for too long: others have taken over its jobs")
		q.interrupt(node)
		return q.register(ctx)
	}
	q.lease.mu.Lock()
	defer q.lease.mu.Unlock()
	q.lease.until = start.Add(q.cfg.Lease)
	return nil
}

// interrupt ends the contexts of the tries that this node holds under an id.
func (q *Queue) interrupt(node int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, t := range q.held {
		if t.node == node {
			t.stop(errLost)
		}
	}
}

// watchOthers takes the right from nodes whose beat stands still, and then takes
// what nobody holds.
func (q *Queue) watchOthers(ctx context.Context) error {
	beats := map[int64]int64{}
	err := q.driver.Read(ctx, false, func(r store.Reader) error {
		return r.Query(q.st.workers, nil, func(row store.Row) error {
			beats[row.Int(0)] = row.Int(1)
			return nil
		})
	})
	if err != nil {
		return err
	}
	for node, beat := range q.lease.silent(beats, time.Now(), q.cfg.Lease) {
		err := q.write(ctx, func(tx store.Tx) error {
			_, err := tx.Exec(q.st.removeWorker, []value.Value{value.OfInt(node), value.OfInt(beat)})
			return err
		})
		if err != nil {
			return err
		}
	}
	return q.rescue(ctx)
}

// silent notes the others' beats and returns those that have stood still for too long.
func (l *lease) silent(beats map[int64]int64, now time.Time, limit time.Duration) map[int64]int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen, out := map[int64]sighting{}, map[int64]int64{}
	for node, beat := range beats {
		s, ok := l.seen[node]
		if !ok || s.beat != beat {
			s = sighting{beat, now}
		}
		seen[node] = s
		if node != l.node && now.Sub(s.since) >= limit {
			out[node] = beat
		}
	}
	l.seen = seen
	return out
}

// rescue makes jobs available that nobody holds any more: their node is gone. The
// try counts, for it may be what the node has died of.
func (q *Queue) rescue(ctx context.Context) error {
	found := false
	err := q.driver.Read(ctx, false, func(r store.Reader) error {
		return r.Query(q.st.orphan, nil, func(store.Row) error { found = true; return nil })
	})
	for err == nil && found {
		var list []*try
		err = q.write(ctx, func(tx store.Tx) error {
			list = list[:0]
			err := tx.Query(q.st.orphans, nil, func(r store.Row) error {
				t := &try{id: ID(r.Int(0)), node: r.Int(1), attempt: r.Int(2), failed: r.Int(3), attempts: r.Int(4), queue: string(r.Append(nil, 6))}
				t.errors = string(r.Append(nil, 5))
				list = append(list, t)
				return nil
			})
			if err != nil {
				return err
			}
			for _, t := range list {
				o := q.failed(t, errNodeLost, q.now())
				if err := q.write1(tx, t, &o, q.now()); err != nil {
					return err
				}
			}
			return nil
		})
		found = len(list) > 0
		if err == nil && found {
			q.cfg.Log.Warn("jobs of a node that is gone run again", "jobs", len(list))
			for _, t := range list {
				q.stats.rescued.Add(1)
				q.events.tell(t.id)
			}
			q.rouseAll()
		}
	}
	return err
}

// never is a time that does not come.
const never = math.MaxInt64
