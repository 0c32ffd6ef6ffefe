package queue

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

const (
	maxSettle  = 500  // outcomes in one transaction
	maxPending = 5000 // outcomes that wait; then no further jobs are taken
	// progressEvery is how often progress is stored.
	progressEvery = 500 * time.Millisecond
)

// outcomeKind is what has come of a try.
type outcomeKind uint8

const (
	completed outcomeKind = iota
	retried               // failed, or put off: it is due again at a time
	deadJob
	canceledJob
	givenBack // the node could not go on with it
)

// outcome is what has come of a try, on its way to the store.
type outcome struct {
	kind    outcomeKind
	result  []byte
	at      int64 // of the next try, in µs
	failed  int64
	errors  string
	snoozed bool
}

// done is a try with its outcome.
type done struct {
	t    *try
	o    outcome
	lost bool // the try did not hold its job any more
}

// completions are the outcomes that are to be stored. A try stays held until its
// outcome is.
type completions struct {
	mu   sync.Mutex
	list []done
	wake chan struct{}
}

func (c *completions) init() { c.wake = make(chan struct{}, 1) }

func (c *completions) add(t *try, o outcome) {
	c.mu.Lock()
	c.list = append(c.list, done{t: t, o: o})
	first := len(c.list) == 1
	c.mu.Unlock()
	if first {
		c.poke()
	}
}

func (c *completions) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// room is how many more outcomes may come to wait.
func (c *completions) room() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maxPending - len(c.list)
}

// next takes some of what waits.
func (c *completions) next() []done {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(c.list), maxSettle)
	if n == 0 {
		return nil
	}
	batch := slices.Clone(c.list[:n])
	if rest := copy(c.list, c.list[n:]); rest < len(c.list) {
		clear(c.list[rest:])
		c.list = c.list[:rest]
	}
	return batch
}

// settle stores outcomes, and progress, until the queue is closed.
func (q *Queue) settle() {
	ctx := context.WithoutCancel(q.work)
	tick := time.NewTicker(progressEvery)
	tick.Stop()
	ticking := false
	for {
		batch := q.completing.next()
		if len(batch) > 0 {
			q.store(ctx, batch)
			continue
		}
		if want := q.progress.Load() > 0; want != ticking {
			if ticking = want; want {
				tick.Reset(progressEvery)
			} else {
				tick.Stop()
			}
		}
		select {
		case <-q.completing.wake:
		case <-tick.C:
			q.storeProgress(ctx)
		case <-q.closing:
			if q.completing.room() == maxPending {
				tick.Stop()
				return
			}
		}
	}
}

// store stores a batch. Where the store cannot take it, it is tried again until the
// queue is stopped: as long as this node has its lease, nobody else would run the
// jobs, and without it what is stored does not count.
func (q *Queue) store(ctx context.Context, batch []done) {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		now := q.now()
		err := q.write(ctx, func(tx store.Tx) error { return q.apply(tx, batch, now) })
		if err == nil {
			break
		}
		q.cfg.Log.Warn("what has come of jobs could not be stored", "jobs", len(batch), "error", fault.From(err))
		if q.ending() {
			for i := range batch {
				batch[i].lost = true
			}
			break
		}
		pause(ctx, wait)
	}
	q.release(batch)
}

// ending reports whether the queue is to be closed at once.
func (q *Queue) ending() bool {
	select {
	case <-q.closing:
		return true
	default:
		return q.work.Err() != nil
	}
}

// release lets go of tries whose outcomes are stored.
func (q *Queue) release(batch []done) {
	again := false
	due := int64(never)
	q.mu.Lock()
	for _, d := range batch {
		if q.held[d.t.id] == d.t {
			delete(q.held, d.t.id)
		}
		switch d.o.kind { //nolint:exhaustive // the others leave nothing to be taken
		case retried:
			due = min(due, d.o.at)
		case givenBack:
			d.t.pool.more, again = true, true
		}
	}
	if len(q.held) == 0 {
		q.idle.Broadcast()
	}
	if due < q.due {
		q.due, again = due, true
	}
	for _, p := range q.pools {
		again = again || p.more
	}
	q.mu.Unlock()
	for _, d := range batch {
		if d.lost {
			q.stats.lost.Add(1)
		} else {
			q.stats.ended(&d.o)
		}
		q.events.tell(d.t.id)
		d.t.mu.Lock()
		if d.t.told {
			d.t.told = false
			q.progress.Add(-1)
		}
		d.t.mu.Unlock()
	}
	if again {
		q.poke()
	}
}

// plainKey tells the completions that one statement can store.
type plainKey struct {
	node, attempt int64
	unique        bool
}

// apply writes a batch of outcomes, and notes which tries did not hold their jobs
// any more.
func (q *Queue) apply(tx store.Tx, batch []done, now int64) error {
	plain := map[plainKey][]ID{}
	doubt := map[ID]*done{}
	for i := range batch {
		d := &batch[i]
		d.lost = false
		if t := d.t; d.o.kind == completed && d.o.result == nil && d.o.errors == "" {
			k := plainKey{t.node, t.attempt, t.unique}
			plain[k] = append(plain[k], t.id)
			continue
		}
		if err := q.write1(tx, d.t, &d.o, now); err != nil {
			return err
		}
		if q.shared {
			doubt[d.t.id] = d
		}
	}
	missing := false
	for k, list := range plain {
		slices.Sort(list) // nodes that meet take the rows in one order
		n, err := q.completePlain(tx, k, list, now)
		if err != nil {
			return err
		}
		missing = missing || int(n) < len(list)
	}
	if missing {
		for i := range batch {
			doubt[batch[i].t.id] = &batch[i]
		}
	}
	return q.findLost(tx, doubt)
}

// findLost notes which of the tries have not written their outcome.
func (q *Queue) findLost(tx store.Tx, doubt map[ID]*done) error {
	if len(doubt) == 0 {
		return nil
	}
	list := make([]ID, 0, len(doubt))
	for id, d := range doubt {
		list = append(list, id)
		d.lost = q.cfg.KeepCompleted >= 0 || d.o.kind != completed
	}
	return tx.Query(q.st.statesOf, []value.Value{q.st.idList(list)}, func(r store.Row) error {
		d := doubt[ID(r.Int(0))]
		d.lost = r.Int(1) != d.t.attempt || !d.o.leaves(State(r.Int(2)))
		return nil
	})
}

// leaves reports whether the outcome leaves its job in a state.
func (o *outcome) leaves(s State) bool {
	switch o.kind {
	case completed:
		return s == Completed
	case deadJob:
		return s == Dead
	case canceledJob:
		return s == Canceled
	case retried, givenBack:
	}
	return s == Scheduled || s == Available || s == Canceled
}

func (q *Queue) completePlain(tx store.Tx, k plainKey, list []ID, now int64) (int64, error) {
	node, attempt, ids := value.OfInt(k.node), value.OfInt(k.attempt), q.st.idList(list)
	switch {
	case q.cfg.KeepCompleted < 0 && !k.unique:
		return tx.Exec(q.st.forget, []value.Value{node, attempt, ids})
	case k.unique:
		return tx.Exec(q.st.completeUnique, []value.Value{value.OfInt(now), value.OfInt(now), node, attempt, ids})
	}
	return tx.Exec(q.st.complete, []value.Value{value.OfInt(now), node, attempt, ids})
}

// write1 writes one outcome, unless the try does not hold its job any more.
func (q *Queue) write1(tx store.Tx, t *try, o *outcome, now int64) error {
	id, node, attempt, at := value.OfInt(int64(t.id)), value.OfInt(t.node), value.OfInt(t.attempt), value.OfInt(now)
	switch o.kind {
	case completed:
		return store.Send(tx, q.st.completeWith, []value.Value{at, at, bytesOrNull(o.result), null(o.errors), id, node, attempt})
	case deadJob:
		return store.Send(tx, q.st.end, []value.Value{value.OfInt(int64(Dead)), at, at, value.OfInt(o.failed), null(o.errors), id, node, attempt})
	case canceledJob:
		return store.Send(tx, q.st.end, []value.Value{value.OfInt(int64(Canceled)), at, at, value.OfInt(t.failed), null(t.errors), id, node, attempt})
	case retried, givenBack:
	}
	state, run, failed, errs := Scheduled, o.at, o.failed, o.errors
	if o.kind == givenBack {
		run, failed, errs = t.due, t.failed, t.errors
	}
	if run <= now {
		state = Available
	}
	return store.Send(tx, q.st.again, []value.Value{value.OfInt(int64(state)), at, at, value.OfInt(run), value.OfInt(failed), null(errs), id, node, attempt})
}

// storeProgress stores what the tries have said since the last time.
func (q *Queue) storeProgress(ctx context.Context) {
	type said struct {
		t        *try
		fraction int64
		message  string
	}
	var list []said
	q.mu.Lock()
	for _, t := range q.held {
		t.mu.Lock()
		if t.told {
			t.told = false
			q.progress.Add(-1)
			list = append(list, said{t, t.fraction, t.message})
		}
		t.mu.Unlock()
	}
	q.mu.Unlock()
	if len(list) == 0 {
		return
	}
	err := q.write(ctx, func(tx store.Tx) error {
		for _, s := range list {
			args := []value.Value{value.OfInt(s.fraction), null(s.message), value.OfInt(int64(s.t.id)), value.OfInt(s.t.node), value.OfInt(s.t.attempt)}
			if err := store.Send(tx, q.st.progress, args); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		q.cfg.Log.Warn("the progress of jobs could not be stored", "error", fault.From(err))
		return
	}
	for _, s := range list {
		q.events.tell(s.t.id)
	}
}

// giveBack makes what still runs available to others, and returns an error about it.
func (q *Queue) giveBack() error {
	q.mu.Lock()
	var batch []done
	for _, t := range q.held {
		if !t.ended {
			batch = append(batch, done{t: t, o: outcome{kind: givenBack}})
		}
	}
	q.mu.Unlock()
	if len(batch) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), q.cfg.Lease)
	defer cancel()
	err := q.write(ctx, func(tx store.Tx) error { return q.apply(tx, batch, q.now()) })
	if err != nil {
		return err
	}
	q.release(batch)
	return fault.New(fault.ShuttingDown, "%d jobs did not end in time", len(batch)).WithHint("they run again; give the stop more time where that matters")
}
