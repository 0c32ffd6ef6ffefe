package postgres

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
)

const (
	maxGroup     = 256                  // writes in one commit
	maxGroupTime = 5 * time.Millisecond // after which a group takes no further writes
	maxRetries   = 3                    // of a write that met a deadlock
)

// beginAlter begins a schema change, which no time limit cuts short.
const beginAlter = "BEGIN; SET LOCAL statement_timeout=0; SET CONSTRAINTS ALL DEFERRED; " + createPending + "; SAVEPOINT " + outerPoint

const undoJob = "ROLLBACK TO " + outerPoint

// job is one write on its way to the disk.
type job struct {
	ctx     context.Context //nolint:containedctx // the caller's, for its statements
	fn      func(store.Tx) error
	alter   bool
	session bool // led by code that is not here: it cannot run again
	eager   bool // its statements tell their outcomes at once: one of them has failed
	waits   bool // for a lock: it left its group
	tries   int  // with 1, a connection was lost with it; with 2, it had its other try
	kept    int  // what was kept for the commit before it
	err     error
	done    chan struct{}
}

// writer commits writes that wait together as a group, on a connection of its
// own.
type writer struct {
	c     *conn
	pool  *pool
	log   *slog.Logger
	jobs  chan *job
	done  chan struct{}
	alone sync.WaitGroup // the writes that have left their group
	turn  sync.Mutex     // one commit with hooks after the other

	mu    sync.RWMutex
	shut  bool
	hooks atomic.Pointer[commitHooks]

	track     atomic.Bool // positions are wanted
	positions positions
}

func newWriter(c *conn, p *pool, log *slog.Logger) *writer {
	w := &writer{c: c, pool: p, log: log, jobs: make(chan *job, maxGroup), done: make(chan struct{})}
	go w.loop()
	return w
}

// do hands fn to the writer and waits for its outcome.
func (w *writer) do(ctx context.Context, fn func(store.Tx) error, alter bool) error {
	j := &job{ctx: ctx, fn: fn, alter: alter}
	if err := w.enqueue(j); err != nil {
		return err
	}
	<-j.done
	return j.err
}

func tooLate(err error) error {
	return fault.Wrap(err, fault.QueryCanceled, "the write was canceled before its turn came")
}

func (w *writer) close() error {
	w.mu.Lock()
	if !w.shut {
		w.shut = true
		close(w.jobs)
	}
	w.mu.Unlock()
	<-w.done
	w.alone.Wait()
	err := w.c.close()
	w.pool.discard(w.c)
	return err
}

func (w *writer) loop() {
	defer close(w.done)
	group := make([]*job, 0, maxGroup)
	var next *job
	for {
		first := next
		next = nil
		if first == nil {
			j, ok := <-w.jobs
			if !ok {
				return
			}
			first = j
		}
		if first.alter {
			w.alter(first)
			continue
		}
		group, next = w.gather(append(group[:0], first))
		w.commit(group)
		clear(group)
	}
}

// gather takes what waits already; a schema change ends the group.
func (w *writer) gather(group []*job) (_ []*job, next *job) {
	for len(group) < maxGroup {
		select {
		case j, ok := <-w.jobs:
			if !ok {
				return group, nil
			}
			if j.alter {
				return group, j
			}
			group = append(group, j)
		default:
			return group, nil
		}
	}
	return group, nil
}

// ready sees to a living connection outside of a transaction.
func (w *writer) ready() error {
	if !w.c.usable() || w.c.age != w.pool.set.age.Load() {
		w.pool.discard(w.c)
		c, err := w.pool.connect(w.pool.set.base)
		if err != nil {
			return err
		}
		w.c = c
	}
	return w.c.renew(w.pool.schema.Load())
}

// begin begins a group's transaction, with the first statement that follows. A
// write of a group waits 20 ms for a lock at most: then it leaves the group,
// for the sake of the others.
func (c *conn) beginWrites(group bool) error {
	c.write = 0
	c.unkeep(0)
	err := c.hold(ctl.begin, nil)
	if group {
		err = errors.Join(err, c.hold(ctl.wait, nil))
	}
	if c.set.limit != nil {
		err = errors.Join(err, c.hold(c.set.limit, nil))
	}
	return errors.Join(err, c.hold(ctl.savepoint, nil))
}

// commit runs a group in one transaction and settles every job of it. What the
// jobs write is held back and sent together. When that fails, the job that it
// belonged to and those behind it run once more, and wait for each outcome.
func (w *writer) commit(group []*job) {
	err := w.ready()
	if err == nil {
		err = w.c.beginWrites(true)
	}
	if err != nil && w.c.lost == nil {
		settle(group, err)
		return
	}
	c, start, stale := w.c, time.Now(), false
	for i := 0; c.lost == nil; {
		over := i == len(group) || i > 0 && time.Since(start) > maxGroupTime
		if over {
			// What came first must not wait for what takes long.
			if err := w.between(stale, i-1); err == nil && c.lost == nil {
				w.finish(group[:i])
				if i < len(group) {
					w.commit(group[i:])
				}
				return
			}
		} else if stale, err = w.run(group[i], i, stale); err != nil {
			settle(group[i:], err)
			group = group[:i]
			c.drop(err) // what ran before it is undone, too, and gets another try
			break
		}
		if c.lost != nil {
			group[min(i, len(group)-1)].tries++
			break
		}
		if c.broken == nil {
			i++
			continue
		}
		stale = false
		i = w.redo(group, i)
	}
	w.yieldTurn(c)
	w.retry(group)
}

// redo goes back to the job whose statement has failed, and returns which one
// is next.
func (w *writer) redo(group []*job, at int) int {
	c := w.c
	from, why := c.breaker, c.broken
	if moved(why) {
		c.drop(why)
		return from
	}
	if c.differs {
		w.anew(group)
		return 0
	}
	c.unkeep(min(group[from].kept, len(c.kept)))
	if err := c.mend(undoJob); err != nil {
		c.drop(err) // a transaction that is in doubt ends with its connection
		return from
	}
	for i := from; i < len(group); i++ {
		j := group[i]
		j.eager = true
		if i <= at {
			j.err = nil
		}
	}
	if group[from].waits = contended(why) && !group[from].session; group[from].waits {
		group[from].err = why
		return from + 1
	}
	return from
}

// anew begins the group again, where what a session has read turned out to be
// otherwise behind savepoints that are gone. The sessions that have run end as
// conflicts; the next ones are asked first, for a while.
func (w *writer) anew(group []*job) {
	c := w.c
	c.unkeep(0)
	err := c.mend("ROLLBACK")
	w.yieldTurn(c)
	if err == nil {
		err = c.beginWrites(true)
	}
	if err != nil {
		c.drop(err)
		return
	}
	c.careful = time.Now().Add(carefulTime)
	for _, j := range group {
		j.err, j.waits = nil, false
	}
}

// carefulTime is how long sessions are asked first after one that was not has
// met a conflict.
const carefulTime = 100 * time.Millisecond

// between ends the savepoint of the last write, so that a statement which fails
// behind it leaves it alone, and learns how all writes went.
func (w *writer) between(stale bool, last int) error {
	w.c.write = last
	if err := w.next(stale); err != nil {
		return err
	}
	return w.c.flushOwed()
}

// retry settles a group whose connection is lost before its commit: nothing was
// stored. Each of its jobs gets another try by itself.
func (w *writer) retry(group []*job) {
	for _, j := range group {
		switch {
		case j.waits:
			w.leave(j)
		case j.tries < 2 && (j.err == nil || j.tries > 0):
			j.err = nil
			j.tries = 2
			w.commit([]*job{j})
		default:
			if j.err == nil {
				j.err = translate(w.c.lost)
			}
			settle([]*job{j}, nil)
		}
	}
}

// run runs one job inside a savepoint of its own. stale tells that the savepoint
// w is the one of a job that went well. An error is about the whole group.
func (w *writer) run(j *job, i int, stale bool) (bool, error) {
	c := w.c
	if err := j.ctx.Err(); err != nil {
		j.err = tooLate(err)
		return stale, nil
	}
	c.write, c.later, j.kept = i, !j.eager, len(c.kept)
	var err error
	if j.session {
		err = w.admit(j, stale)
	} else {
		err = w.next(stale)
	}
	switch {
	case c.broken != nil || c.lost != nil:
		return false, nil //nolint:nilerr // the group is undone by it
	case err != nil:
		return false, err
	}
	j.err = c.call(j)
	c.later = false
	if j.err == nil || c.broken != nil || c.lost != nil {
		return true, nil //nolint:nilerr // it is the job's
	}
	if moved(j.err) {
		c.drop(j.err) // a transaction that ends with its connection can be done elsewhere
		return false, nil
	}
	if j.waits = contended(j.err) && !j.session; c.status == 'I' && len(c.owed) == 0 { // else its begin has not been sent
		return false, fault.New(fault.StoreUnavailable, "the transaction ended early")
	}
	if err := c.run(undoJob); err != nil && c.broken == nil {
		c.drop(err)
	}
	return false, nil
}

// moved reports whether a statement met a server that takes no writes any more:
// the primary is another one now.
func moved(err error) bool { return state(err) == stateReadOnly }

// contended reports whether somebody else's write is in the way.
func contended(err error) bool {
	switch state(err) {
	case stateLockTimeout, stateDeadlock, stateSerialization:
		return true
	}
	return false
}

// call runs a job's function on the connection, behind the savepoint w.
func (c *conn) call(j *job) error {
	c.scope, c.depth = scope{point: outerPoint}, 0
	kept := len(c.kept)
	c.begin(j.ctx)
	err := call(j.fn, c)
	c.end()
	c.scope = scope{}
	if err != nil {
		c.unkeep(min(kept, len(c.kept)))
	}
	return err
}

// call keeps a panic in one write from taking the node down.
func call(fn func(store.Tx) error, tx store.Tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.Wrap(panicError{p, debug.Stack()}, fault.Internal, "an internal error occurred")
		}
	}()
	return fn(tx)
}

type panicError struct {
	value any
	stack []byte
}

func (p panicError) Error() string { return "panic in a write: " + string(p.stack) }

// finish commits and settles the group. Who left it goes on alone.
func (w *writer) finish(group []*job) {
	var err error
	if slices.ContainsFunc(group, func(j *job) bool { return j.err == nil }) {
		err = w.seal(w.c)
	} else { // nothing was written
		_ = w.c.run("ROLLBACK") // where it fails the connection is not used again
		w.yieldTurn(w.c)
	}
	var stay []*job
	for _, j := range group {
		if j.waits {
			w.leave(j)
		} else {
			stay = append(stay, j)
		}
	}
	settle(stay, err)
}

// seal commits a connection's transaction with what belongs to the commit.
func (w *writer) seal(c *conn) error {
	err := w.finally(c)
	if err != nil && c.lost == nil && c.status != 'I' {
		err = errors.Join(err, c.mend("ROLLBACK"))
	}
	return err
}

// tracked is where the places of commits are kept; nil: nowhere.
func (w *writer) tracked() *positions {
	if !w.track.Load() {
		return nil
	}
	return &w.positions
}

// leave runs a write that waits for a lock by itself, as long as its context
// lets it.
func (w *writer) leave(j *job) {
	j.waits, j.err = false, nil
	w.alone.Go(func() {
		for range maxRetries {
			j.err = w.separately(j)
			if s := state(j.err); s != stateDeadlock && s != stateSerialization {
				break
			}
		}
		close(j.done)
	})
}

func (w *writer) separately(j *job) error {
	c, err := w.pool.get(j.ctx)
	if err != nil {
		return err
	}
	defer w.pool.put(c)
	if err := c.beginWrites(false); err != nil {
		return err
	}
	if err = c.call(j); err == nil {
		if err = errors.Join(c.hold(ctl.release, nil), c.hold(ctl.savepoint, nil), c.flushOwed()); err == nil {
			return w.seal(c)
		}
	}
	switch {
	case moved(err):
		c.drop(err) // the pool drops it, and the others with it
	case c.lost == nil:
		err = errors.Join(err, c.mend("ROLLBACK"))
	}
	return err
}

// settle tells each job its outcome: its own error, or else err.
func settle(group []*job, err error) {
	for _, j := range group {
		if j.err == nil {
			j.err = err
		}
		close(j.done)
	}
}

// complete ends a schema change: the references that are there are checked,
// those that were put off are added.
func (c *conn) complete() error {
	if err := c.run("SET CONSTRAINTS ALL IMMEDIATE"); err != nil {
		return err
	}
	var sqls []string
	err := c.Query(&store.Statement{SQL: "SELECT sql FROM " + pendingTable + " ORDER BY n"}, nil, func(r store.Row) error {
		sqls = append(sqls, string(r.Append(nil, 0)))
		return nil
	})
	for _, sql := range sqls {
		if err == nil {
			err = c.run(sql)
		}
	}
	return err
}

// beginAlter begins a schema change, on another connection when the writer's
// turns out to be lost.
func (w *writer) beginAlter() error {
	for again := false; ; again = true {
		err := w.ready()
		if err != nil {
			return err
		}
		w.c.unkeep(0)
		if err = w.c.run(beginAlter); !gone(err) || again {
			return err
		}
		w.c.drop(err)
	}
}

// alter runs a schema change. References are checked at its end.
func (w *writer) alter(j *job) {
	err := w.beginAlter()
	c := w.c
	if err == nil {
		if err = c.call(j); err == nil {
			err = c.complete()
		}
		if err == nil {
			err = w.seal(c)
		} else {
			if c.lost == nil {
				err = errors.Join(err, c.mend("ROLLBACK"))
			}
		}
	}
	w.pool.schema.Add(1)
	w.pool.set.types.clear()
	settle([]*job{j}, err)
}
