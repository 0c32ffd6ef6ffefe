package postgres

import (
	"strconv"

	"github.com/pandobase/pando/internal/store"
)

// commitHooks are what runs with the commits in which something was kept.
type commitHooks struct {
	before func(tx store.Tx, kept []any) error
	after  func(committed bool)
}

// commitLock is the advisory lock that puts the commits of all nodes one behind
// the other, from their hooks on. It ends with the transaction.
const commitLock = systemLock + 1

// OnCommit implements store.Committer.
func (d *Driver) OnCommit(before func(tx store.Tx, kept []any) error, after func(committed bool)) {
	d.writer.hooks.Store(&commitHooks{before, after})
}

// Shared implements store.Committer: other nodes may write to the database.
func (d *Driver) Shared() bool { return true }

// finally commits a connection's transaction, with the hooks if anything was
// kept for them.
func (w *writer) finally(c *conn) error {
	c.scope = scope{point: outerPoint} // a statement of theirs that fails undoes itself alone
	defer func() { c.scope = scope{} }()
	kept, done := store.Kept(c.kept)
	err := w.hooked(c, kept)
	if err == nil {
		for _, fn := range done {
			fn()
		}
	}
	return err
}

func (w *writer) hooked(c *conn, kept []any) error {
	h := w.hooks.Load()
	defer w.yieldTurn(c)
	if h == nil || len(kept) == 0 {
		if !c.turn { // a session that has read must not miss it
			if err := c.run(bounded + shareTurn + strconv.Itoa(commitLock) + ")"); err != nil {
				return err
			}
		}
		return c.commit(w.tracked())
	}
	err := w.takeTurn(c)
	if err == nil {
		err = call(func(tx store.Tx) error { return h.before(tx, kept) }, c)
	}
	if err == nil {
		err = c.commit(w.tracked())
	}
	h.after(err == nil)
	return err
}

// Keep implements store.Tx.
func (c *conn) Keep(v any) { c.kept = append(c.kept, v) }

// unkeep drops all but the first n of what was kept.
func (c *conn) unkeep(n int) {
	clear(c.kept[n:])
	c.kept = c.kept[:n]
}
