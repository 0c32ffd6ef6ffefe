package sqlite

import "github.com/pandobase/pando/internal/store"

// commitHooks are what runs with each commit.
type commitHooks struct {
	before func(tx store.Tx, kept []any) error
	after  func(committed bool)
}

var _ store.Committer = (*Driver)(nil)

// OnCommit implements store.Committer.
func (d *Driver) OnCommit(before func(tx store.Tx, kept []any) error, after func(committed bool)) {
	d.writer.hooks.Store(&commitHooks{before, after})
}

// Shared implements store.Committer: there is one process at a time.
func (d *Driver) Shared() bool { return false }

// seal commits with what belongs to the commit.
func (w *writer) seal() error {
	kept, done := store.Kept(w.c.kept)
	err := w.hooked(kept)
	if err == nil {
		for _, fn := range done {
			fn()
		}
	}
	return err
}

func (w *writer) hooked(kept []any) error {
	h := w.hooks.Load()
	if h == nil || len(kept) == 0 {
		return w.exec(ctl.commit)
	}
	err := call(func(tx store.Tx) error { return h.before(tx, kept) }, w.c)
	if err == nil {
		err = w.exec(ctl.commit)
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
