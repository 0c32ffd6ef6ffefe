package postgres

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

var _ store.Online = (*Driver)(nil)

const (
	// lockBudget is how long one attempt of a schema change waits for locks,
	// all in all: whoever comes behind it waits as long.
	lockBudget = 50 * time.Millisecond
	// The pauses between two attempts, and how long they go on.
	firstPause   = 50 * time.Millisecond
	maxPause     = 2 * time.Second
	lockPatience = 5 * time.Minute
	// turnPause is how often a node asks whether another's migration has ended.
	turnPause = 200 * time.Millisecond
	// migrationLock is the advisory lock of who migrates.
	migrationLock = systemLock + 1
)

// own opens a connection for work that takes long, which no pool should miss.
func (d *Driver) own(ctx context.Context) (*conn, error) { return d.pool.connect(ctx) }

// Exclusive implements store.Online. The lock belongs to a transaction, so that
// it holds behind a transaction pooler too. It is asked for again and again: a
// statement that waited would have a snapshot, for whose end the creation of an
// index on the other node would wait in turn.
func (d *Driver) Exclusive(ctx context.Context, waiting func(), fn func(context.Context) error) error {
	c, err := d.own(ctx)
	if err != nil {
		return err
	}
	defer d.pool.discard(c) // and with it the lock
	for told := false; ; told = true {
		if err := c.run("BEGIN; SET LOCAL idle_in_transaction_session_timeout=0"); err != nil {
			return err
		}
		got, err := c.tryMigrate()
		if err != nil {
			return err
		}
		if got {
			return fn(ctx)
		}
		if err := c.run("ROLLBACK"); err != nil {
			return err
		}
		if !told && waiting != nil {
			waiting()
		}
		if err := pause(ctx, turnPause); err != nil {
			return err
		}
	}
}

// tryMigrate asks for the lock by the simple protocol. The extended one leaves
// a portal behind, whose snapshot lasts as long as the transaction. That the
// lock is another's is told by a division by zero, which ends the transaction.
func (c *conn) tryMigrate() (bool, error) {
	err := c.run("SELECT 1/pg_try_advisory_xact_lock(" + strconv.Itoa(migrationLock) + ")::int")
	if fault.Is(err, fault.DivisionByZero) {
		return false, nil
	}
	return err == nil, err
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return canceled(ctx.Err())
	case <-t.C:
		return nil
	}
}

// Brief implements store.Online.
func (d *Driver) Brief(ctx context.Context, told func(store.StageProgress), fn func(store.Tx) error) error {
	c, err := d.own(ctx)
	if err != nil {
		return err
	}
	defer d.pool.discard(c)
	defer d.pool.schema.Add(1)
	return patiently(ctx, told, func() error { return c.briefly(ctx, beginAlter, c.complete, fn) })
}

// patiently calls fn again as long as it meets somebody else's lock.
func patiently(ctx context.Context, told func(store.StageProgress), fn func() error) error {
	began, wait := time.Now(), firstPause
	for tries := 1; ; tries++ {
		err := fn()
		switch state(err) {
		case stateLockTimeout, stateDeadlock, stateSerialization:
		default:
			return err
		}
		if time.Since(began) > lockPatience {
			return fault.Wrap(err, fault.Serialization, "a lock was not to be had in %s", lockPatience).
				WithDetails("%d attempts met a transaction that goes on", tries).
				WithHint("look for it in pg_stat_activity (the oldest xact_start), end it, and run the migration again: it goes on where it stood")
		}
		if told != nil {
			told(store.StageProgress{Title: "wait for a lock", Tries: tries})
		}
		if err := pause(ctx, wait/2+rand.N(wait)); err != nil { //nolint:gosec // jitter
			return err
		}
		wait = min(2*wait, maxPause)
	}
}

// briefly runs fn in one transaction that waits for locks no longer than the
// budget.
func (c *conn) briefly(ctx context.Context, begin string, end func() error, fn func(store.Tx) error) error {
	if err := c.run(begin); err != nil {
		return err
	}
	c.begin(ctx)
	tx := &hasty{conn: c, began: time.Now()}
	err := call(fn, tx)
	if err == nil {
		if err = tx.hurry(); err == nil {
			err = end()
		}
	}
	c.end()
	switch {
	case c.lost != nil:
		return err
	case err == nil && c.status == 'T':
		return c.run("COMMIT")
	}
	return errors.Join(err, c.mend("ROLLBACK"))
}

// hasty is a transaction whose statements share the budget.
type hasty struct {
	*conn
	began time.Time
}

// hurry sets what is left for the next statement's locks.
func (h *hasty) hurry() error {
	left := max(lockBudget-time.Since(h.began), time.Millisecond)
	return h.run("SET LOCAL lock_timeout=" + strconv.FormatInt(left.Milliseconds(), 10))
}

// Exec implements store.Tx.
func (h *hasty) Exec(st *store.Statement, args []value.Value) (int64, error) {
	if err := h.hurry(); err != nil {
		return 0, err
	}
	if len(args) == 0 { // no schema change is worth preparing
		return 0, h.run(st.SQL)
	}
	return h.conn.Exec(st, args)
}

// Stage implements store.Online.
func (d *Driver) Stage(ctx context.Context, s store.Stage, told func(store.StageProgress)) error {
	c, err := d.own(ctx)
	if err != nil {
		return err
	}
	defer d.pool.discard(c)
	defer d.pool.schema.Add(1)
	return c.stage(ctx, s, told)
}

func (c *conn) stage(ctx context.Context, s store.Stage, told func(store.StageProgress)) error {
	if told == nil {
		told = func(store.StageProgress) {}
	}
	switch s := s.(type) {
	case *pair:
		told(store.StageProgress{Title: s.title})
		for _, one := range s.stages {
			if err := c.stage(ctx, one, nil); err != nil {
				return err
			}
		}
		return nil
	case *stage:
		if s.title != "" {
			told(store.StageProgress{Title: s.title})
		}
		return c.work(ctx, s, told)
	}
	return fault.New(fault.Internal, "an internal error occurred").WithDetails("%T is no stage of this driver", s)
}

// work runs a stage that has not been done, and takes back what it has made
// when the rows refuse it.
func (c *conn) work(ctx context.Context, s *stage, told func(store.StageProgress)) error {
	if s.done != "" {
		if done, err := c.any(ctx, s.done); err != nil || done {
			return err
		}
	}
	err := c.steps(ctx, s, told)
	if err != nil && s.undo != nil && (fault.Is(err, fault.Check) || fault.Is(err, fault.ForeignKey)) {
		return errors.Join(err, c.statements(context.WithoutCancel(ctx), s.undo, told))
	}
	return err
}

func (c *conn) steps(ctx context.Context, s *stage, told func(store.StageProgress)) error {
	if len(s.brief) > 0 {
		if err := c.statements(ctx, s.brief, told); err != nil {
			return err
		}
	}
	for _, sql := range s.alone {
		if err := patiently(ctx, told, func() error { return c.single(ctx, sql) }); err != nil {
			return err
		}
	}
	if s.index != nil {
		if err := c.build(ctx, s.index, told); err != nil {
			return err
		}
	}
	if s.fill != nil {
		return c.backfill(ctx, s.title, s.fill, told)
	}
	return nil
}

// statements runs a few in one brief transaction.
func (c *conn) statements(ctx context.Context, sqls []string, told func(store.StageProgress)) error {
	return patiently(ctx, told, func() error {
		return c.briefly(ctx, "BEGIN", func() error { return nil }, func(tx store.Tx) error {
			for _, sql := range sqls {
				if _, err := tx.Exec(&store.Statement{SQL: sql}, nil); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// single runs one statement outside of a transaction. ctx cancels it.
func (c *conn) single(ctx context.Context, sql string) error {
	c.begin(ctx)
	defer c.end()
	return c.run(sql)
}

// any reports whether a statement answers a row.
func (c *conn) any(ctx context.Context, sql string) (found bool, err error) {
	c.begin(ctx)
	defer c.end()
	err = c.Query(&store.Statement{SQL: sql}, nil, func(store.Row) error { found = true; return nil })
	return found, err
}

// validIndex answers a row where an index of that quoted name is complete.
func validIndex(name string) string {
	return "SELECT 1 FROM pg_index WHERE indisvalid AND indexrelid=to_regclass(" + literal(name) + ")"
}

// build makes an index. What an interrupted run has left of it is not valid
// and of no use.
func (c *conn) build(ctx context.Context, b *build, told func(store.StageProgress)) error {
	name := quote(b.schema) + "." + quote(b.name)
	exists := "SELECT 1 FROM pg_index WHERE indexrelid=to_regclass(" + literal(name) + ")"
	drop := func(ctx context.Context) error {
		there, err := c.any(ctx, exists)
		if err != nil || !there {
			return err
		}
		return patiently(ctx, told, func() error { return c.single(ctx, "DROP INDEX CONCURRENTLY "+name) })
	}
	if done, err := c.any(ctx, validIndex(name)); err != nil || done {
		return err
	}
	return patiently(ctx, told, func() error {
		if err := drop(ctx); err != nil {
			return err
		}
		err := c.single(ctx, b.create)
		if err == nil || c.lost != nil {
			return err
		}
		return errors.Join(err, drop(context.WithoutCancel(ctx)))
	})
}
