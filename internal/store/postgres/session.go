package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"strconv"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

var _ store.Serial = (*Driver)(nil)

// Begin implements store.Serial.
//
// What a session reads is asked again behind the lock that puts all commits in
// order, at READ COMMITTED, in the transaction of the group that it writes with.
// PostgreSQL's own serializable transactions would need a connection each from
// their first statement on, could share no commit, and would not see the writes
// of others, which are not of that level.
func (d *Driver) Begin(ctx context.Context, opt store.SessionOptions) *store.Session {
	return store.NewSession(ctx, sessions{d}, opt)
}

// sessions is what sessions need of the driver.
type sessions struct{ *Driver }

var _ store.SessionSource = sessions{}

// Snapshot implements store.SessionSource. At most half of the pool's
// connections are lent: others read meanwhile.
func (d sessions) Snapshot(ctx context.Context) (store.Reader, func(), error) {
	if err := d.snapshots.take(ctx); err != nil {
		return nil, nil, err
	}
	c, err := d.pool.get(ctx)
	if err != nil {
		<-d.snapshots
		return nil, nil, err
	}
	c.begin(ctx)
	back := func() {
		if c.lost == nil {
			_ = c.mend("ROLLBACK") // nothing was written; where it fails the connection is not used again
		}
		c.end()
		d.pool.put(c)
		<-d.snapshots
	}
	if err := errors.Join(c.hold(beginSnapshot, nil), c.hold(ctl.savepoint, nil)); err != nil {
		back()
		return nil, nil, err
	}
	c.scope = scope{point: outerPoint} // a statement that fails does not end the state
	return c, back, nil
}

// places bounds how many may have something at the same time.
type places chan struct{}

func (p places) take(ctx context.Context) error {
	select {
	case p <- struct{}{}:
		return nil
	default:
	}
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case p <- struct{}{}:
		return nil
	case <-ctx.Done():
		return exhausted(ctx.Err())
	case <-t.C:
		return exhausted(nil)
	}
}

// Hand implements store.SessionSource.
func (d sessions) Hand(ctx context.Context, eager bool, fn func(store.Tx) error) (store.Handed, error) {
	j := &job{ctx: ctx, fn: fn, eager: eager, session: true}
	return handed{j}, d.writer.enqueue(j)
}

// handed is a job as store.Handed.
type handed struct{ *job }

// Done implements store.Handed.
func (h handed) Done() <-chan struct{} { return h.done }

// Err implements store.Handed.
func (h handed) Err() error { return h.err }

// At implements store.SessionSource: other nodes' commits are not counted.
func (sessions) At() uint64 { return 0 }

// Unchanged implements store.SessionSource.
func (sessions) Unchanged(uint64) bool { return false }

// Ended implements store.SessionSource.
func (sessions) Ended(tx store.Tx) bool {
	c, ok := tx.(*conn)
	return ok && (c.broken != nil || c.lost != nil)
}

// Whole implements store.SessionSource.
func (sessions) Whole(dst []byte, r store.Row) []byte {
	for _, v := range r.(*row).vals { //nolint:forcetypeassert // the driver's own
		n := uint32(len(v)) //nolint:gosec // bounded by maxMessage
		if v == nil {
			n = 1<<32 - 1
		}
		dst = append(binary.LittleEndian.AppendUint32(dst, n), v...)
	}
	return dst
}

var _ store.Verifier = (*conn)(nil)

// Verifies implements store.Verifier.
func (c *conn) Verifies() bool { return c.later && time.Now().After(c.careful) }

// Verify implements store.Verifier.
func (c *conn) Verify(st *store.Statement, args []value.Value, each func(store.Row), same func() bool) error {
	if c.broken != nil {
		return c.broken
	}
	p, err := c.prepare(st)
	if err != nil {
		return err
	}
	if err := c.put(st, p, args); err != nil {
		return err
	}
	return c.owe(owed{c.write, each, same})
}

// The turns of commits. Whoever has the first one commits alone; those that have
// the second exclude him, and not each other.
const (
	lockTurn  = "SELECT pg_advisory_xact_lock("
	shareTurn = "SELECT pg_advisory_xact_lock_shared("
)

// bounded are the limits of the wait for a turn, and of the time that it is kept:
// a node that stands still in the middle of its commit must not stop the others
// for ever. The server ends its session.
const bounded = "SET LOCAL lock_timeout=15000; SET LOCAL idle_in_transaction_session_timeout=10000; "

// takeTurn waits for the commits that are on their way, and keeps others from
// theirs until the connection's transaction ends, which yieldTurn has to follow.
func (w *writer) takeTurn(c *conn) error {
	if c.turn {
		return nil
	}
	w.turn.Lock() // of this node's own commits, which need not wait at the server
	c.turn = true
	err := c.run(bounded + lockTurn + strconv.Itoa(commitLock) + ")")
	if err != nil {
		w.yieldTurn(c)
	}
	return err
}

// yieldTurn lets the next commit of this node go on.
func (w *writer) yieldTurn(c *conn) {
	if c.turn {
		c.turn = false
		w.turn.Unlock()
	}
}

// admit makes a session's savepoint, behind the turn: going back to a savepoint
// ends the locks that were taken behind it.
func (w *writer) admit(j *job, stale bool) error {
	c := w.c
	if j.eager { // what others of the group have left must not become its failure
		if err := c.flushOwed(); err != nil {
			return err
		}
	}
	if c.turn {
		return w.next(stale)
	}
	if err := c.hold(ctl.release, nil); err != nil {
		return err
	}
	if err := w.takeTurn(c); err != nil {
		return err
	}
	return errors.Join(c.hold(ctl.wait, nil), c.hold(ctl.savepoint, nil))
}

// next makes a savepoint for the next write, unless the one that is there is its.
func (w *writer) next(stale bool) error {
	if !stale {
		return nil
	}
	return errors.Join(w.c.hold(ctl.release, nil), w.c.hold(ctl.savepoint, nil))
}

// enqueue hands a job to the writer.
func (w *writer) enqueue(j *job) error {
	j.done = make(chan struct{})
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.shut {
		return fault.New(fault.ShuttingDown, "the store is closed")
	}
	select {
	case w.jobs <- j:
		return nil
	case <-j.ctx.Done():
		return tooLate(j.ctx.Err())
	}
}
