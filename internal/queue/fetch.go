package queue

import (
	"context"
	"slices"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

const (
	maxTake    = 500  // jobs of a queue that one transaction takes
	maxPromote = 1000 // scheduled jobs that one transaction makes available
)

// ask is how many jobs of a queue this node can take.
type ask struct {
	pool  *pool
	n     int
	taken []*try
}

// rouse tells that a queue has jobs.
func (q *Queue) rouse(p *pool) {
	q.mu.Lock()
	p.more = true
	q.mu.Unlock()
	q.poke()
}

// rouseAll tells that any queue may have jobs.
func (q *Queue) rouseAll() {
	q.mu.Lock()
	for _, p := range q.pools {
		p.more = true
	}
	q.mu.Unlock()
	q.poke()
}

// expect tells that a scheduled job is due at a time, in µs.
func (q *Queue) expect(due int64) {
	q.mu.Lock()
	earlier := due < q.due
	if earlier {
		q.due = due
	}
	q.mu.Unlock()
	if earlier {
		q.poke()
	}
}

// poke makes fetch look again.
func (q *Queue) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// fetch takes jobs as long as there are some and this node has room.
func (q *Queue) fetch(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		asks, due := q.asks()
		if len(asks) > 0 || due {
			if err := q.take(ctx, asks, due); err != nil && ctx.Err() == nil {
				q.cfg.Log.Warn("no jobs could be taken: it is tried again", "error", fault.From(err))
				pause(ctx, q.cfg.Poll)
			}
			continue
		}
		timer.Reset(q.untilDue())
		select {
		case <-ctx.Done():
		case <-q.wake:
		case <-timer.C:
		}
	}
}

// pause waits for a while, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// asks are the queues to take jobs from; due reports that scheduled ones are due.
func (q *Queue) asks() (asks []ask, due bool) {
	room := q.completing.room()
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, p := range q.pools {
		if n := min(p.size-p.used, maxTake, room); p.more && n > 0 {
			p.more = false
			asks = append(asks, ask{pool: p, n: n})
		}
	}
	return asks, q.due <= q.now()
}

// untilDue is the time until the next scheduled job, looked at anew at least every
// [Config.Poll], since the clock may be set.
func (q *Queue) untilDue() time.Duration {
	q.mu.Lock()
	due := q.due
	q.mu.Unlock()
	if due == never {
		return time.Hour
	}
	return min(max(time.Duration(due-q.now())*time.Microsecond, 0)+time.Millisecond, q.cfg.Poll)
}

// take takes jobs in one transaction and runs them.
func (q *Queue) take(ctx context.Context, asks []ask, due bool) error {
	node := q.lease.holder()
	now := q.now()
	next, promoted := int64(never), 0
	err := q.write(ctx, func(tx store.Tx) (err error) {
		if due {
			if promoted, next, err = q.promote(tx, now); err != nil {
				return err
			}
		}
		for i := range asks {
			if err := q.takeFrom(tx, &asks[i], node, now); err != nil {
				return err
			}
		}
		return nil
	})
	q.mu.Lock()
	defer q.mu.Unlock()
	if err != nil {
		for _, a := range asks {
			a.pool.more = true
		}
		return err
	}
	if due {
		q.due = next
		if promoted == maxPromote {
			q.due = now
		}
	}
	if promoted > 0 {
		for _, p := range q.pools {
			p.more = true
		}
	}
	for i := range asks {
		a := &asks[i]
		a.pool.more = a.pool.more || len(a.taken) == a.n
		a.pool.used += len(a.taken)
		for _, t := range a.taken {
			t.pool = a.pool
			q.held[t.id] = t
			q.stats.waited(now - t.due)
			t.begin(q) //nolint:contextcheck // a try has the context of its job
		}
	}
	return nil
}

// promote makes scheduled jobs available whose time has come, and returns how many
// there were and when the next one is due.
func (q *Queue) promote(tx store.Tx, now int64) (n int, next int64, err error) {
	var list []ID
	err = tx.Query(q.st.dueJobs, []value.Value{value.OfInt(now), value.OfInt(maxPromote)}, func(r store.Row) error {
		list = append(list, ID(r.Int(0)))
		return nil
	})
	if err == nil && len(list) > 0 {
		_, err = tx.Exec(q.st.promote, []value.Value{q.st.idList(list)})
	}
	if err == nil {
		next, err = q.readDue(tx)
	}
	return len(list), next, err
}

func (q *Queue) readDue(r store.Reader) (int64, error) {
	next := int64(never)
	err := r.Query(q.st.nextDue, nil, func(r store.Row) error {
		if !r.Null(0) {
			next = r.Int(0)
		}
		return nil
	})
	return next, err
}

// takeFrom takes jobs of one queue.
func (q *Queue) takeFrom(tx store.Tx, a *ask, node, now int64) error {
	a.taken = a.taken[:0]
	ids := make([]ID, 0, 64)
	args := []value.Value{value.OfText(a.pool.name), value.OfInt(node), value.OfText(a.pool.name), value.OfInt(int64(a.n))}
	err := tx.Query(q.st.take, args, func(r store.Row) error {
		t := &try{
			id: ID(r.Int(0)), node: node, queue: a.pool.name, kind: string(r.Append(nil, 1)), args: r.Append(nil, 2),
			priority: r.Int(5), due: r.Int(6), attempt: r.Int(7) + 1, failed: r.Int(8), attempts: r.Int(9),
			timeout: time.Duration(r.Int(10)), unique: !r.Null(12),
		}
		if !r.Null(3) {
			t.caller = r.Append(nil, 3)
		}
		if !r.Null(4) {
			t.trace = string(r.Append(nil, 4))
		}
		if !r.Null(11) {
			t.errors = string(r.Append(nil, 11))
		}
		a.taken = append(a.taken, t)
		ids = append(ids, t.id)
		return nil
	})
	if err != nil || len(ids) == 0 {
		return err
	}
	slices.Sort(ids)
	return store.Send(tx, q.st.taken, []value.Value{value.OfInt(node), value.OfInt(now), q.st.idList(ids)})
}

// listen looks for what other nodes have done: jobs that they enqueued, gave back
// or canceled. Where there are none it finds jobs that were canceled while they
// were being taken.
func (q *Queue) listen(ctx context.Context) {
	t := time.NewTicker(q.cfg.Poll)
	defer t.Stop()
	for {
		if err := q.look(ctx); err != nil && ctx.Err() == nil {
			q.cfg.Log.Warn("the store's jobs could not be looked at: it is tried again", "error", fault.From(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// look looks once.
func (q *Queue) look(ctx context.Context) error {
	q.mu.Lock()
	holds := len(q.held) > 0
	q.mu.Unlock()
	var canceled []ID
	var full []*pool
	due := int64(never)
	err := q.driver.Read(ctx, false, func(r store.Reader) (err error) {
		for _, p := range q.pools {
			name := value.OfText(p.name)
			err := r.Query(q.st.anyAvailable, []value.Value{name, name}, func(store.Row) error { full = append(full, p); return nil })
			if err != nil {
				return err
			}
		}
		if due, err = q.readDue(r); err != nil || !holds {
			return err
		}
		return r.Query(q.st.canceled, []value.Value{value.OfInt(q.lease.holder())}, func(row store.Row) error {
			canceled = append(canceled, ID(row.Int(0)))
			return nil
		})
	})
	if err != nil {
		return err
	}
	for _, p := range full {
		q.rouse(p)
	}
	q.expect(due)
	for _, id := range canceled {
		q.stopHeld(id, errCanceled)
	}
	return nil
}

// stopHeld ends the context of a try that this node holds.
func (q *Queue) stopHeld(id ID, why error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if t := q.held[id]; t != nil {
		t.stop(why)
	}
}
