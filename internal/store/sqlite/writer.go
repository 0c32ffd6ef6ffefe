package sqlite

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
)

// Statements of the transaction control, prepared once per connection.
type control struct {
	begin, beginImmediate, commit, rollback *store.Statement
	ping                                    *store.Statement
	savepoint, release, rollbackTo          *store.Statement // around a write of a group
	inner, releaseInner, undoInner          *store.Statement // inside a write
}

//nolint:gochecknoglobals // constant texts; a Statement is identified by its address
var ctl = control{
	ping: &store.Statement{SQL: "SELECT 1"}, begin: &store.Statement{SQL: "BEGIN"}, beginImmediate: &store.Statement{SQL: "BEGIN IMMEDIATE"},
	commit: &store.Statement{SQL: "COMMIT"}, rollback: &store.Statement{SQL: "ROLLBACK"},
	savepoint: &store.Statement{SQL: "SAVEPOINT w"}, release: &store.Statement{SQL: "RELEASE w"},
	rollbackTo: &store.Statement{SQL: "ROLLBACK TO w"},
	inner:      &store.Statement{SQL: "SAVEPOINT i"}, releaseInner: &store.Statement{SQL: "RELEASE i"},
	undoInner: &store.Statement{SQL: "ROLLBACK TO i"},
}

// job is one write on its way to the disk.
type job struct {
	ctx   context.Context //nolint:containedctx // the caller's, looked at before its turn
	fn    func(store.Tx) error
	alter bool
	moves bool // an alter that no reference is checked for (Driver.Unlinked)
	err   error
	done  chan struct{}
}

// writer owns the write connection. Jobs that wait while a commit is on its
// way to the disk form the next group (group commit, DeWitt et al. 1984).
type writer struct {
	c    *conn
	log  *slog.Logger
	jobs chan *job
	done chan struct{}

	mu   sync.RWMutex
	shut bool

	written bool // a write has run in the transaction that is open

	commits    atomic.Uint64
	lastCommit atomic.Int64 // in nanoseconds since 1970

	// broken is set when the disk failed a commit: what the page cache holds
	// is then unknown, so nothing more is written until a restart.
	broken atomic.Pointer[error]

	hooks atomic.Pointer[commitHooks]
}

func newWriter(c *conn, log *slog.Logger) *writer {
	w := &writer{c: c, log: log, jobs: make(chan *job, maxGroup), done: make(chan struct{})}
	go w.loop()
	return w
}

// do hands fn to the writer and waits for its outcome. It never returns before
// the outcome is known, so an error means that nothing was written.
func (w *writer) do(ctx context.Context, fn func(store.Tx) error, alter bool) error {
	return w.hand(&job{ctx: ctx, fn: fn, alter: alter})
}

// hand hands a job to the writer and waits for its outcome.
func (w *writer) hand(j *job) error {
	if err := w.enqueue(j); err != nil {
		return err
	}
	<-j.done
	return j.err
}

func (w *writer) close() error {
	w.mu.Lock()
	if !w.shut {
		w.shut = true
		close(w.jobs)
	}
	w.mu.Unlock()
	<-w.done
	_ = w.c.analyze()                              // for the next start; its failure harms nothing
	_ = w.c.run("PRAGMA wal_checkpoint(TRUNCATE)") // the same
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
			w.alone(first)
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

// commit runs a group in one transaction and settles every job of it. When
// SQLite itself rolls the whole transaction back because of one job, the
// others have lost their work too and are run again, each alone.
func (w *writer) commit(group []*job) {
	if err := w.state(); err != nil {
		settle(group, err)
		return
	}
	if err := w.exec(ctl.beginImmediate); err != nil {
		settle(group, err)
		return
	}
	w.c.unkeep(0)
	w.written = false
	start := time.Now()
	for i, j := range group {
		if i > 0 && time.Since(start) > maxGroupTime {
			// What came first must not wait for what takes long.
			w.finish(group[:i])
			w.commit(group[i:])
			return
		}
		j.err = w.run(j, len(group) > 1)
		w.written = true
		if w.c.c.AutocommitEnabled() { // rolled back as a whole
			if j.err == nil {
				j.err = fault.New(fault.StoreIO, "the transaction ended early")
			}
			for _, o := range group {
				if o.err == nil {
					w.commit([]*job{o})
				} else {
					settle([]*job{o}, nil)
				}
			}
			return
		}
	}
	w.finish(group)
}

// run runs one job, inside a savepoint of its own when it has company.
func (w *writer) run(j *job, company bool) (err error) {
	if err := j.ctx.Err(); err != nil {
		return fault.Wrap(err, fault.QueryCanceled, "the write was canceled before its turn came")
	}
	if company {
		if err := w.exec(ctl.savepoint); err != nil {
			return err
		}
	}
	kept := len(w.c.kept)
	w.c.begin(j.ctx)
	err = call(j.fn, w.c)
	w.c.end()
	if err != nil {
		w.c.unkeep(kept)
	}
	if w.c.c.AutocommitEnabled() {
		return err
	}
	switch {
	case company && err != nil:
		return errors.Join(err, w.exec(ctl.rollbackTo), w.exec(ctl.release), w.c.checkReferences())
	case company:
		return w.exec(ctl.release)
	case err != nil:
		return errors.Join(err, w.exec(ctl.rollback))
	}
	return nil
}

// call keeps a panic in one write from taking the node down.
func call(fn func(store.Tx) error, tx store.Tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.New(fault.Internal, "an internal error occurred")
			err.(*fault.Error).Cause = panicError{p, debug.Stack()} //nolint:errorlint,forcetypeassert // made one line above
		}
	}()
	return fn(tx)
}

type panicError struct {
	value any
	stack []byte
}

func (p panicError) Error() string { return "panic in a write: " + string(p.stack) }

// finish commits and settles the group.
func (w *writer) finish(group []*job) {
	err := w.seal()
	w.lastCommit.Store(time.Now().UnixNano())
	w.commits.Add(1) // before anybody is told: who knows of a write must read it
	if err != nil {
		if !w.c.c.AutocommitEnabled() {
			err = errors.Join(err, w.exec(ctl.rollback))
		}
		if fault.Is(err, fault.StoreIO) {
			w.broken.Store(&err)
			w.log.Error("the disk failed a commit: no further write is accepted until a restart", "error", fault.From(err).Cause)
		}
	}
	settle(group, err)
}

// state is the fault that keeps the store from taking writes; nil: none.
func (w *writer) state() error {
	if err := w.broken.Load(); err != nil {
		return fault.Wrap(*err, fault.StoreIO, "the disk failed an earlier commit: the store takes no writes until the node is restarted")
	}
	return nil
}

func (w *writer) exec(st *store.Statement) error {
	_, err := w.c.Exec(st, noArgs)
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

// alone runs a schema change: foreign keys are off while it runs (SQLite's
// table rebuild procedure asks for that) and checked before it commits.
func (w *writer) alone(j *job) {
	// Without legacy_alter_table, renaming a table rewrites the references of
	// other tables to a name that the rebuild is about to drop.
	err := errors.Join(w.c.run("PRAGMA foreign_keys=OFF"), w.c.run("PRAGMA legacy_alter_table=ON"))
	if err == nil {
		inner := *j
		inner.done = make(chan struct{})
		w.c.moving = j.moves
		inner.fn = func(tx store.Tx) error {
			if err := j.fn(tx); err != nil || j.moves {
				return err
			}
			return tx.Query(&store.Statement{SQL: "PRAGMA foreign_key_check"}, nil, func(r store.Row) error {
				return fault.New(fault.ForeignKey, "a row of %s refers to no row of %s", r.Append(nil, 0), r.Append(nil, 2))
			})
		}
		w.commit([]*job{&inner})
		w.c.moving = false
		err = inner.err
	}
	err = errors.Join(err, w.c.run("PRAGMA legacy_alter_table=OFF"), w.c.run("PRAGMA foreign_keys=ON"))
	settle([]*job{j}, err)
}
