package storetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pandobase/pando/internal/store"
)

// calls counts what is called behind commits, by name.
type calls struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *calls) keep(tx store.Tx, name string) {
	tx.Keep(store.Committed(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.n == nil {
			c.n = map[string]int{}
		}
		c.n[name]++
	}))
}

func (c *calls) are(s *seam, want ...string) {
	s.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	var got []string
	for name, n := range c.n {
		if got = append(got, name); n != 1 {
			s.Errorf("%s was called %d times", name, n)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		s.Errorf("called were %v, want %v", got, want)
	}
	c.n = nil
}

// committed tests what a write keeps to be called behind its commit.
func (s *seam) committed() {
	var c calls
	var seen atomic.Bool
	err := s.write(func(tx store.Tx) error {
		c.keep(tx, "a write")
		tx.Keep(store.Committed(func() { // on the goroutine that commits, it may look, but not write
			_ = s.d.Read(context.Background(), false, func(r store.Reader) error {
				return r.Query(s.count, nil, func(row store.Row) error { seen.Store(row.Int(0) == 1); return nil })
			})
		}))
		return s.put(tx, 1, "")
	})
	if err != nil {
		s.Fatal(err)
	}
	if !seen.Load() {
		s.Error("it was called before the write was there")
	}
	c.are(s, "a write")
	err = s.write(func(tx store.Tx) error {
		c.keep(tx, "undone")
		return errors.Join(s.put(tx, 2, ""), errMine)
	})
	if !errors.Is(err, errMine) {
		s.Error(err)
	}
	c.are(s)
	err = s.write(func(tx store.Tx) error {
		c.keep(tx, "before")
		if err := tx.Savepoint(func() error { c.keep(tx, "undone"); return errMine }); !errors.Is(err, errMine) {
			s.Error(err)
		}
		return tx.Savepoint(func() error { c.keep(tx, "within"); return s.put(tx, 3, "") })
	})
	if err != nil {
		s.Error(err)
	}
	c.are(s, "before", "within")
	names := []string{"g0", "g1", "g2", "g3", "g4", "g5", "g6", "g7", "g8"}
	s.group(len(names), func(i int, tx store.Tx) error {
		c.keep(tx, names[i])
		err := s.put(tx, int64(10+i), "")
		if i%3 == 1 {
			err = errors.Join(err, s.put(tx, int64(10+i), ""))
		}
		return err
	})
	c.are(s, "g0", "g2", "g3", "g5", "g6", "g8")
}

// committed tests the same in sessions.
func (s *sessioned) committed() {
	var c calls
	t := s.begin("T")
	t.counts(0)
	if err := t.write(func(tx store.Tx) error { c.keep(tx, "first"); return t.put(tx, 1, "") }); err != nil {
		t.Error(err)
	}
	if err := t.write(func(tx store.Tx) error { c.keep(tx, "second"); return t.put(tx, 2, "") }); err != nil {
		t.Error(err)
	}
	c.are(s.seam)
	t.commits()
	c.are(s.seam, "first", "second")
	t = s.begin("undone")
	if err := t.write(func(tx store.Tx) error { c.keep(tx, "undone"); return t.put(tx, 3, "") }); err != nil {
		t.Error(err)
	}
	t.s.Rollback()
	s.stores(map[int64]string{4: ""})
	c.are(s.seam)
	if s.opt.Eager {
		t = s.begin("one of two")
		_ = t.write(func(tx store.Tx) error { c.keep(tx, "failed"); return errors.Join(t.put(tx, 5, ""), errMine) })
		if err := t.write(func(tx store.Tx) error { c.keep(tx, "other"); return t.put(tx, 6, "") }); err != nil {
			t.Error(err)
		}
		t.commits()
		c.are(s.seam, "other")
	}
}

// hooks tests that what a session keeps reaches the hooks of its commit.
func (s *sessioned) hooks() {
	d, ok := s.d.(store.Committer)
	if !ok {
		s.Skip("the driver has no hooks")
	}
	var mu sync.Mutex
	var kept []string
	var after []bool
	inside := false
	d.OnCommit(func(tx store.Tx, list []any) error {
		mu.Lock()
		defer mu.Unlock()
		if inside {
			s.Error("two commits are between their hooks")
		}
		inside = true
		for _, k := range list {
			kept = append(kept, k.(string)) //nolint:forcetypeassert // a test's own
		}
		return s.put(tx, 100+int64(len(kept)), "")
	}, func(committed bool) {
		mu.Lock()
		defer mu.Unlock()
		inside = false
		after = append(after, committed)
	})
	t := s.begin("T")
	t.counts(0)
	if err := t.write(func(tx store.Tx) error { tx.Keep("x"); return t.put(tx, 1, "") }); err != nil {
		t.Error(err)
	}
	t.commits()
	u := s.begin("undone")
	if err := u.write(func(tx store.Tx) error { tx.Keep("undone"); return t.put(tx, 2, "") }); err != nil {
		t.Error(err)
	}
	u.s.Rollback()
	if err := s.write(func(tx store.Tx) error { tx.Keep("y"); return t.put(tx, 3, "") }); err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(kept, []string{"x", "y"}) || !slices.Equal(after, []bool{true, true}) {
		s.Errorf("kept were %v, committed %v", kept, after)
	}
	s.holds(1, 3, 101, 102)
}
