package sqlite

import "github.com/pandobase/pando/internal/store"

// commitHooks are what runs with each commit.
type commitHooks struct {
	before func(store.Tx) error
	after  func(committed bool)
}

var _ store.Committer = (*Driver)(nil)

// OnCommit implements store.Committer.
func (d *Driver) OnCommit(before func(store.Tx) error, after func(committed bool)) {
	d.writer.hooks.Store(&commitHooks{before, after})
}

func (w *writer) before() error {
	if h := w.hooks.Load(); h != nil {
		return call(h.before, w.c)
	}
	return nil
}

func (w *writer) after(committed bool) {
	if h := w.hooks.Load(); h != nil {
		h.after(committed)
	}
}
