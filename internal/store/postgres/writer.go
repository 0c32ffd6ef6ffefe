package postgres

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
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

// The transaction control. A group's write waits 20 ms for a lock at most: then
// it leaves the group, for the sake of the others.
const (
	beginGroup = "BEGIN; SET LOCAL lock_timeout=20; SAVEPOINT w"
	beginAlone = "BEGIN; SAVEPOINT w"
	beginAlter = "BEGIN; SET CONSTRAINTS ALL DEFERRED; " + createPending + "; SAVEPOINT w"
	nextJob    = "RELEASE w; SAVEPOINT w"
	undoJob    = "ROLLBACK TO w"
)

// job is one write on its way to the disk.
type job struct {
	ctx   context.Context //nolint:containedctx // the caller's, for its statements
	fn    func(store.Tx) error
	alter bool
	waits bool // for a lock: it left its group
	again bool // it has lost a connection once already
	err   error
	done  chan struct{}
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
	j := &job{ctx: ctx, fn: fn, alter: alter, done: make(chan struct{})}
	w.mu.RLock()
	if w.shut {
		w.mu.RUnlock()
		return fault.New(fault.ShuttingDown, "the store is closed")
	}
	select {
	case w.jobs <- j:
	case <-ctx.Done():
		w.mu.RUnlock()
		return tooLate(ctx.Err())
	}
	w.mu.RUnlock()
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
	return w.c.close()
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
	if !w.c.usable() {
		_ = w.c.close() // it is lost
		c, err := openConn(w.c.base, w.pool.cfg)
		if err != nil {
			return err
		}
		c.schema = w.pool.schema.Load()
		w.c = c
	}
	return w.c.renew(w.pool.schema.Load())
}

// begin opens a transaction, on another connection when the writer's turns out
// to be lost.
func (w *writer) begin(sql string) error {
	for again := false; ; again = true {
		err := w.ready()
		if err != nil {
			return err
		}
		if err = w.c.start(sql); !gone(err) || again {
			return err
		}
		_ = w.c.close() // it is lost already
		w.pool.reset()
	}
}

// commit runs a group in one transaction and settles every job of it.
func (w *writer) commit(group []*job) {
	err := w.begin(beginGroup)
	company := len(group) > 1
	if err != nil {
		settle(group, err)
		return
	}
	start := time.Now()
	for i, j := range group {
		if i > 0 && time.Since(start) > maxGroupTime {
			// What came first must not wait for what takes long.
			w.finish(group[:i])
			w.commit(group[i:])
			return
		}
		j.err = w.run(j, company)
		if moved(j.err) || w.c.pg.IsClosed() || w.c.pg.TxStatus() != 'T' && (company || j.err == nil) {
			w.lost(group[:i+1], group[i+1:])
			return
		}
	}
	w.finish(group)
}

// lost settles a group whose transaction has ended early, or whose connection
// is gone: of those that ran, nothing was stored.
func (w *writer) lost(ran, rest []*job) {
	_ = w.c.close() // a transaction that is in doubt ends with its connection
	last := ran[len(ran)-1]
	switch {
	case last.err == nil:
		last.err = fault.New(fault.StoreUnavailable, "the transaction ended early")
	case gone(last.err):
		w.pool.reset()
		if !last.again && last.ctx.Err() == nil { // no COMMIT was sent: it can be done elsewhere
			last.again, last.err = true, nil
		}
	}
	for _, j := range ran {
		switch {
		case j.waits:
			w.leave(j)
		case j.err == nil:
			w.commit([]*job{j})
		default:
			settle([]*job{j}, nil)
		}
	}
	if len(rest) > 0 {
		w.commit(rest)
	}
}

// moved reports whether a statement met a server that takes no writes any more:
// the primary is another one now.
func moved(err error) bool { return state(err) == stateReadOnly }

// run runs one job, inside a savepoint of its own when it has company.
func (w *writer) run(j *job, company bool) error {
	if err := j.ctx.Err(); err != nil {
		return tooLate(err)
	}
	err := w.c.call(j)
	switch state(err) {
	case stateLockTimeout, stateDeadlock, stateSerialization:
		j.waits = true
	}
	switch {
	case w.c.pg.IsClosed():
		return err
	case err != nil:
		if company {
			return errors.Join(err, w.c.run(undoJob))
		}
		return errors.Join(err, w.c.run("ROLLBACK"))
	case company:
		return w.c.run(nextJob)
	}
	return nil
}

// call runs a job's function on the connection, behind the savepoint w.
func (c *conn) call(j *job) error {
	c.scope = scope{point: "w"}
	kept := len(c.kept)
	c.begin(j.ctx)
	err := call(j.fn, c)
	c.end()
	c.scope = scope{}
	if err != nil {
		c.unkeep(kept)
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
	if w.c.pg.TxStatus() == 'T' {
		err = w.seal(w.c)
	} // else the one job of the group has failed
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
	if err != nil && !c.pg.IsClosed() && c.pg.TxStatus() != 'I' {
		err = errors.Join(err, c.run("ROLLBACK"))
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
	if err := c.start(beginAlone); err != nil {
		return err
	}
	if err = c.call(j); err == nil {
		return w.seal(c)
	}
	switch {
	case moved(err):
		_ = c.close() // the pool drops it, and the others with it
	case !c.pg.IsClosed():
		err = errors.Join(err, c.run("ROLLBACK"))
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

// alter runs a schema change. References are checked at its end.
func (w *writer) alter(j *job) {
	err := w.begin(beginAlter)
	if err == nil {
		err = w.c.call(j)
		switch {
		case w.c.pg.IsClosed():
		case err == nil && w.c.pg.TxStatus() == 'T':
			if err = w.c.complete(); err == nil {
				err = w.seal(w.c)
				break
			}
			fallthrough
		default:
			err = errors.Join(err, w.c.run("ROLLBACK"))
		}
	}
	w.pool.schema.Add(1)
	settle([]*job{j}, err)
}
