package storetest

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// sessions tests transactions that code leads. Each runs with its writes' outcomes
// told late and told at once.
func (s *suite) sessions(t *testing.T) {
	for _, part := range []struct {
		name string
		run  func(*sessioned)
	}{
		{"reads, writes and commits", (*sessioned).plain},
		{"a lost update is a conflict", (*sessioned).lostUpdate},
		{"a write skew of two sessions is a conflict", (*sessioned).writeSkew},
		{"a write skew with a plain write is a conflict", (*sessioned).skewWithPlain},
		{"a phantom is a conflict", (*sessioned).phantom},
		{"a failing read is a conflict when it no longer fails", (*sessioned).failingRead},
		{"the anomaly of a transaction that only reads", (*sessioned).readOnlyAnomaly},
		{"nothing is read that was not committed", (*sessioned).dirtyRead},
		{"a read repeats", (*sessioned).repeatableRead},
		{"a write that changes no answer is not in the way", (*sessioned).unrelated},
		{"its own writes are read", (*sessioned).ownWrites},
		{"a failing write is undone alone", (*sessioned).failingWrite},
		{"a panic is a failing write", (*sessioned).panics},
		{"undone", (*sessioned).undone},
		{"a context that ends", (*sessioned).endedContext},
		{"one that only reads", (*sessioned).readOnly},
		{"the end", (*sessioned).end},
		{"one that is slow is undone, and others go on", (*sessioned).slow},
		{"one that thinks keeps nobody", (*sessioned).thinks},
		{"a neighbour that fails", (*sessioned).neighbours},
		{"calls at the same time", (*sessioned).overlapping},
		{"what is called behind the commit", (*sessioned).committed},
		{"the hooks of a commit", (*sessioned).hooks},
		{"they share commits", (*sessioned).shared},
		{"counters under contention", (*sessioned).counters},
		{"histories are serializable", (*sessioned).histories},
	} {
		t.Run(part.name, func(t *testing.T) {
			for _, eager := range []bool{false, true} {
				t.Run(map[bool]string{false: "late", true: "eager"}[eager], func(t *testing.T) {
					m := s.seam(t)
					d, ok := m.d.(store.Serial)
					if !ok {
						t.Log("the driver has no sessions")
						t.Skip()
					}
					part.run(&sessioned{seam: m, serial: d, opt: store.SessionOptions{Eager: eager}})
				})
			}
		})
	}
	t.Run("what a write keeps to be called", func(t *testing.T) { s.seam(t).committed() })
}

// sessioned is a seam with sessions. The tests hold their steps in one goroutine,
// so each interleaving is the one that is written down.
type sessioned struct {
	*seam
	serial store.Serial
	opt    store.SessionOptions
}

// txn is one session that a test leads.
type txn struct {
	*sessioned
	name string
	s    *store.Session
}

func (s *sessioned) begin(name string) *txn {
	t := &txn{s, name, s.serial.Begin(context.Background(), s.opt)}
	s.Cleanup(t.s.Rollback)
	return t
}

// get reads the word of a number; "" where there is none.
func (t *txn) get(n int64) (word string, err error) {
	err = t.s.Read(context.Background(), func(r store.Reader) error {
		return r.Query(t.one, []value.Value{value.OfInt(n)}, func(row store.Row) error {
			word = string(row.Append(nil, 0))
			return nil
		})
	})
	return word, err
}

func (t *txn) reads(n int64, want string) {
	t.Helper()
	if got, err := t.get(n); err != nil || got != want {
		t.Errorf("%s reads %q of %d, %v; want %q", t.name, got, n, err, want)
	}
}

func (t *txn) counts(want int64) {
	t.Helper()
	got := int64(-1)
	err := t.s.Read(context.Background(), func(r store.Reader) error {
		return r.Query(t.count, nil, func(row store.Row) error { got = row.Int(0); return nil })
	})
	if err != nil || got != want {
		t.Errorf("%s counts %d, %v; want %d", t.name, got, err, want)
	}
}

func (t *txn) write(fn func(store.Tx) error) error { return t.s.Write(context.Background(), fn) }

// set changes the word of a number, or creates it.
func (s *seam) set(tx store.Tx, n int64, word string) error {
	changed, err := tx.Exec(s.update, []value.Value{value.OfText(word), value.OfInt(n)})
	if err == nil && changed == 0 {
		err = s.put(tx, n, word)
	}
	return err
}

func (t *txn) set(n int64, word string) error {
	return t.write(func(tx store.Tx) error { return t.seam.set(tx, n, word) })
}

func (t *txn) sets(n int64, word string) {
	t.Helper()
	if err := t.set(n, word); err != nil {
		t.Errorf("%s sets %d: %v", t.name, n, err)
	}
}

func (t *txn) commits() {
	t.Helper()
	if err := t.s.Commit(); err != nil {
		t.Errorf("%s commits: %v", t.name, explain(err))
	}
}

// conflicts expects that an error, or the commit behind it, is a conflict.
func (t *txn) conflicts(err error) {
	t.Helper()
	if err != nil && !fault.Is(err, fault.Serialization) {
		t.Errorf("%s: %v, want a conflict", t.name, err)
	}
	if err := t.s.Commit(); !fault.Is(err, fault.Serialization) {
		t.Errorf("%s commits: %v, want a conflict", t.name, err)
	}
}

// stores sets words by plain writes.
func (s *seam) stores(words map[int64]string) {
	s.Helper()
	for n, w := range words {
		if err := s.write(func(tx store.Tx) error { return s.set(tx, n, w) }); err != nil {
			s.Fatal(err)
		}
	}
}

// has checks a word that is stored.
func (s *seam) has(n int64, want string) {
	s.Helper()
	got := ""
	err := s.d.Read(context.Background(), false, func(r store.Reader) error {
		return r.Query(s.one, []value.Value{value.OfInt(n)}, func(row store.Row) error {
			got = string(row.Append(nil, 0))
			return nil
		})
	})
	if err != nil || got != want {
		s.Errorf("%d has the word %q, %v; want %q", n, got, err, want)
	}
}

func (s *sessioned) plain() {
	s.stores(map[int64]string{1: "a", 2: "b"})
	t := s.begin("T")
	t.reads(1, "a")
	t.reads(2, "b")
	t.counts(2)
	t.sets(3, "c")
	t.sets(1, "d")
	t.counts(3)
	s.has(1, "a") // nobody else sees it yet
	t.commits()
	s.holds(1, 2, 3)
	s.has(1, "d")
	blind := s.begin("blind")
	blind.sets(4, "e")
	blind.commits()
	s.holds(1, 2, 3, 4)
}

func (s *sessioned) lostUpdate() {
	s.stores(map[int64]string{1: "0"})
	a, b := s.begin("A"), s.begin("B")
	a.reads(1, "0")
	b.reads(1, "0")
	a.sets(1, "a")
	a.commits()
	b.conflicts(b.set(1, "b"))
	s.has(1, "a")
}

func (s *sessioned) writeSkew() {
	s.stores(map[int64]string{1: "on call", 2: "on call"})
	a, b := s.begin("A"), s.begin("B")
	for _, t := range []*txn{a, b} {
		t.reads(1, "on call")
		t.reads(2, "on call")
	}
	a.sets(1, "off")
	a.commits()
	b.conflicts(b.set(2, "off"))
	s.has(2, "on call")
}

func (s *sessioned) skewWithPlain() {
	s.stores(map[int64]string{1: "on call", 2: "on call"})
	t := s.begin("T")
	t.reads(1, "on call")
	s.stores(map[int64]string{1: "off"})
	t.conflicts(t.set(2, "off"))
	s.has(2, "on call")
}

func (s *sessioned) phantom() {
	s.stores(map[int64]string{1: "a"})
	t := s.begin("T")
	t.counts(1)
	t.reads(1, "a")
	s.stores(map[int64]string{2: "b"})
	t.counts(1)
	t.conflicts(t.set(3, "one"))
	s.holds(1, 2)
	t = s.begin("of a missing row")
	t.reads(7, "")
	s.stores(map[int64]string{7: "there"})
	t.conflicts(t.set(8, "7 is not there"))
	s.holds(1, 2, 7)
}

func (s *sessioned) failingRead() {
	s.stores(map[int64]string{1: "no number"})
	dl := s.d.Dialect()
	divide := &store.Statement{SQL: "SELECT " + dl.Ident("id") + " FROM " + dl.Table("t", "numbers") + " WHERE length(" + dl.Ident("word") + ")=" + dl.Param(1)}
	t := s.begin("T")
	broken := errors.New("enough")
	err := t.s.Read(context.Background(), func(r store.Reader) error {
		return r.Query(divide, []value.Value{value.OfInt(9)}, func(store.Row) error { return broken })
	})
	if !errors.Is(err, broken) {
		t.Errorf("the reader's own error is %v", err)
	}
	s.stores(map[int64]string{1: "no"})
	t.conflicts(t.set(2, "x"))
}

// readOnlyAnomaly is that of A. Fekete, E. O'Neil, P. O'Neil, "A Read-Only
// Transaction Anomaly Under Snapshot Isolation", SIGMOD Record 33(3), 2004.
func (s *sessioned) readOnlyAnomaly() {
	s.stores(map[int64]string{1: "0", 2: "0"}) // checking, savings
	withdraw, deposit := s.begin("withdraw"), s.begin("deposit")
	withdraw.reads(1, "0")
	withdraw.reads(2, "0")
	deposit.reads(2, "0")
	deposit.sets(2, "20")
	deposit.commits()
	report := s.begin("report")
	report.reads(1, "0")
	report.reads(2, "20")
	report.commits()
	withdraw.conflicts(withdraw.set(1, "-11"))
	s.has(1, "0")
}

func (s *sessioned) dirtyRead() {
	s.stores(map[int64]string{1: "a"})
	a, b := s.begin("A"), s.begin("B")
	a.sets(1, "b")
	b.reads(1, "a")
	a.s.Rollback()
	b.reads(1, "a")
	b.sets(2, "saw a")
	b.commits()
	s.has(1, "a")
}

func (s *sessioned) repeatableRead() {
	s.stores(map[int64]string{1: "a", 2: "a"})
	t := s.begin("T")
	t.reads(1, "a")
	t.reads(2, "a")
	s.stores(map[int64]string{1: "b", 2: "b"})
	t.reads(1, "a")
	t.counts(2)
	t.commits() // it has written nothing: it was before the others
	// After one read no state is held. Where it answers otherwise at the second,
	// there is none in which both are true.
	t = s.begin("U")
	t.reads(1, "b")
	s.stores(map[int64]string{1: "c"})
	if s.opt.Eager { // one is held from the beginning on
		t.reads(2, "b")
		t.reads(1, "b")
		t.commits()
		return
	}
	_, err := t.get(2)
	t.conflicts(err)
}

func (s *sessioned) unrelated() {
	s.stores(map[int64]string{1: "a"})
	t := s.begin("T")
	t.reads(1, "a")
	s.stores(map[int64]string{2: "x"})
	t.reads(1, "a")
	s.stores(map[int64]string{3: "x"})
	t.sets(4, "y")
	t.commits()
	s.holds(1, 2, 3, 4)
}

func (s *sessioned) ownWrites() {
	t := s.begin("T")
	t.reads(1, "")
	t.sets(1, "a")
	t.reads(1, "a")
	t.sets(1, "b")
	t.reads(1, "b")
	t.counts(1)
	t.commits()
	s.has(1, "b")
}

func (s *sessioned) failingWrite() {
	s.stores(map[int64]string{1: "a"})
	t := s.begin("T")
	t.reads(1, "a")
	t.sets(2, "before")
	err := t.write(func(tx store.Tx) error { return errors.Join(t.put(tx, 3, "undone"), t.put(tx, 1, "twice")) })
	if !fault.Is(err, fault.Unique) {
		t.Errorf("a key that is there: %v", err)
	}
	err = t.write(func(tx store.Tx) error { return errors.Join(t.put(tx, 4, "undone"), errMine) })
	if !s.opt.Eager {
		t.conflicts(err) // whoever goes on behind a failure begins again, eagerly
		s.holds(1)
		return
	}
	if !errors.Is(err, errMine) {
		t.Errorf("the function's own error: %v", err)
	}
	t.reads(2, "before")
	t.reads(3, "")
	t.sets(5, "behind")
	t.commits()
	s.holds(1, 2, 5)
}

func (s *sessioned) panics() {
	t := s.begin("T")
	err := t.write(func(tx store.Tx) error {
		_ = t.put(tx, 1, "")
		panic("in the middle")
	})
	if !fault.Is(err, fault.Internal) {
		t.Errorf("a panic: %v", err)
	}
	t.s.Rollback()
	s.holds()
	s.stores(map[int64]string{2: ""})
}

func (s *sessioned) undone() {
	for _, reads := range []int{0, 1, 2} {
		t := s.begin("T")
		for range reads {
			t.counts(0)
		}
		t.sets(1, "a")
		t.s.Rollback()
		t.s.Rollback()
		if err := t.s.Commit(); !fault.Is(err, fault.BadRequest) {
			t.Errorf("a commit behind the end: %v", err)
		}
		s.holds()
	}
}

func (s *sessioned) endedContext() {
	ctx, cancel := context.WithCancel(context.Background())
	t := &txn{s, "T", s.serial.Begin(ctx, s.opt)}
	defer t.s.Rollback()
	t.counts(0)
	t.sets(1, "a")
	cancel()
	s.stores(map[int64]string{2: "b"}) // the writer went on
	if err := t.set(3, "c"); !fault.Is(err, fault.QueryCanceled) {
		t.Errorf("a write behind the context's end: %v", err)
	}
	if err := t.s.Commit(); !fault.Is(err, fault.QueryCanceled) {
		t.Errorf("the commit: %v", err)
	}
	s.holds(2)
}

func (s *sessioned) readOnly() {
	s.stores(map[int64]string{1: "a"})
	s.opt.ReadOnly = true
	t := s.begin("T")
	t.reads(1, "a")
	t.counts(1)
	s.stores(map[int64]string{2: "b"})
	t.counts(1)
	if err := t.set(3, "c"); !fault.Is(err, fault.ReadOnlyTransaction) {
		t.Errorf("a write of one that only reads: %v", err)
	}
	t.counts(1)
	t.commits()
	s.holds(1, 2)
}

func (s *sessioned) end() {
	t := s.begin("T")
	t.sets(1, "a")
	t.commits()
	if _, err := t.get(1); !fault.Is(err, fault.BadRequest) {
		t.Errorf("a read behind the end: %v", err)
	}
	if err := t.set(1, "b"); !fault.Is(err, fault.BadRequest) {
		t.Errorf("a write behind the end: %v", err)
	}
	t.s.Rollback()
	s.has(1, "a")
}

// slow lets a session stand still behind its first write.
func (s *sessioned) slow() {
	t := s.begin("T")
	t.counts(0)
	t.sets(1, "a")
	start := time.Now()
	s.stores(map[int64]string{2: "b"})
	if took := time.Since(start); took > store.HoldTime+10*s.slack {
		t.Errorf("another write took %v", took)
	}
	if err := t.set(3, "c"); !fault.Is(err, fault.TransactionTimeout) {
		t.Errorf("a write of the slow one: %v", err)
	}
	if err := t.s.Commit(); !fault.Is(err, fault.TransactionTimeout) {
		t.Errorf("the slow one's commit: %v", err)
	}
	s.holds(2)
	// One whose statement takes too long.
	t = s.begin("U")
	st := endless(s.seam)
	start = time.Now()
	err := t.write(func(tx store.Tx) error {
		for n := range int64(60) {
			if err := s.put(tx, 100+n, ""); err != nil {
				return err
			}
		}
		return tx.Query(st, nil, func(store.Row) error { return nil })
	})
	if !fault.Is(err, fault.TransactionTimeout) || time.Since(start) > store.HoldTime+10*s.slack {
		t.Errorf("a long statement: %v after %v", err, time.Since(start))
	}
	if err := t.s.Commit(); !fault.Is(err, fault.TransactionTimeout) {
		t.Errorf("the commit behind a long statement: %v", err)
	}
	s.stores(map[int64]string{5: "e"})
	s.holds(2, 5)
}

// thinks holds more sessions between their reads and their writes than there
// are connections.
func (s *sessioned) thinks() {
	s.stores(map[int64]string{1: "a"})
	s.opt.Eager = false // which holds a state from the beginning on
	var all []*txn
	for i := range 50 {
		t := s.begin(strconv.Itoa(i))
		t.reads(1, "a")
		all = append(all, t)
	}
	s.stores(map[int64]string{2: "b"})
	s.has(1, "a")
	for i, t := range all {
		t.sets(int64(10+i), "c")
		t.commits()
	}
	s.has(59, "c")
}

// neighbours commits sessions in groups with writes that fail.
func (s *sessioned) neighbours() {
	s.stores(map[int64]string{0: "a"})
	const n = 24
	errs := s.among(n, func(i int64) error {
		fail := i%3 == 1
		if i%2 == 0 {
			return s.write(func(tx store.Tx) error {
				err := s.put(tx, 100+i, "")
				if fail {
					err = errors.Join(err, s.put(tx, 100+i, ""))
				}
				return err
			})
		}
		return s.retried(func(t *txn) error {
			if _, err := t.get(0); err != nil {
				return err
			}
			if err := t.set(100+i, ""); err != nil || !fail {
				return err
			}
			return errMine
		})
	})
	want := []int64{0}
	for i, err := range errs {
		switch {
		case i%3 != 1:
			want = append(want, int64(100+i))
			if err != nil {
				s.Errorf("%d: %v", i, explain(err))
			}
		case i%2 == 0 && !fault.Is(err, fault.Unique), i%2 == 1 && !errors.Is(err, errMine):
			s.Errorf("%d: %v", i, err)
		}
	}
	s.holds(want...)
}

// among runs functions while the writer is held until all have begun.
func (s *seam) among(n int, fn func(i int64) error) []error {
	errs := make([]error, n)
	var running, ready sync.WaitGroup
	hold, started := make(chan struct{}), make(chan struct{})
	var once sync.Once
	running.Go(func() {
		if err := s.write(func(store.Tx) error {
			once.Do(func() { close(started) })
			<-hold
			return nil
		}); err != nil {
			s.Error(err)
		}
	})
	<-started
	for i := range n {
		ready.Add(1)
		running.Go(func() {
			ready.Done()
			errs[i] = fn(int64(i))
		})
	}
	ready.Wait()
	close(hold)
	running.Wait()
	return errs
}

// retried runs a session until it ends without a conflict.
func (s *sessioned) retried(fn func(*txn) error) error {
	opt := s.opt
	for {
		t := &txn{s, "", s.serial.Begin(context.Background(), opt)}
		err := fn(t)
		if err == nil {
			err = t.s.Commit()
		}
		t.s.Rollback()
		// A busy machine may take longer behind a first write than sessions may.
		if !fault.Is(err, fault.Serialization) && !fault.Is(err, fault.TransactionTimeout) {
			return err
		}
		opt.Eager = true
	}
}

func (s *sessioned) overlapping() {
	t := s.begin("T")
	var wg sync.WaitGroup
	for i := range int64(20) {
		wg.Go(func() {
			t.counts0()
			t.sets(i, "x")
			if _, err := t.get(i); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	t.commits()
	if got := s.total(); got != 20 {
		s.Errorf("%d rows are stored", got)
	}
}

func (t *txn) counts0() {
	err := t.s.Read(context.Background(), func(r store.Reader) error {
		return r.Query(t.count, nil, func(store.Row) error { return nil })
	})
	if err != nil {
		t.Error(err)
	}
}

func (s *seam) total() (n int64) {
	err := s.d.Read(context.Background(), false, func(r store.Reader) error {
		return r.Query(s.count, nil, func(row store.Row) error { n = row.Int(0); return nil })
	})
	if err != nil {
		s.Error(err)
	}
	return n
}

// counters lets many sessions raise few numbers: none is lost.
func (s *sessioned) counters() {
	const workers, each, numbers = 16, 20, 3
	var wg sync.WaitGroup
	for w := range int64(workers) {
		wg.Go(func() {
			for i := range int64(each) {
				n := (w + i) % numbers
				if i%5 == 4 {
					if err := s.write(func(tx store.Tx) error { return s.put(tx, 1000+w*each+i, "") }); err != nil {
						s.Error(err)
					}
				}
				err := s.retried(func(t *txn) error {
					word, err := t.get(n)
					if err != nil {
						return err
					}
					k, _ := strconv.Atoi(word)
					return t.set(n, strconv.Itoa(k+1))
				})
				if err != nil {
					s.Error(explain(err))
				}
			}
		})
	}
	wg.Wait()
	sum := 0
	for n := range int64(numbers) {
		word, err := s.begin("").get(n)
		if err != nil {
			s.Error(err)
		}
		k, _ := strconv.Atoi(word)
		sum += k
	}
	if sum != workers*each {
		s.Errorf("the numbers sum up to %d, want %d", sum, workers*each)
	}
}

// shared counts the commits of sessions and plain writes that come together.
func (s *sessioned) shared() {
	d, ok := s.d.(store.Committer)
	if !ok {
		s.Skip("the driver has no hooks")
	}
	s.stores(map[int64]string{0: "a"})
	var commits atomic.Int64
	d.OnCommit(func(store.Tx, []any) error { commits.Add(1); return nil }, func(bool) {})
	const n = 60
	write := func(tx store.Tx, i int64) error {
		tx.Keep(i)
		return s.put(tx, 100+i, "")
	}
	for i, err := range s.among(n, func(i int64) error {
		if i%3 == 0 {
			return s.write(func(tx store.Tx) error { return write(tx, i) })
		}
		return s.retried(func(t *txn) error {
			if _, err := t.get(0); err != nil {
				return err
			}
			return t.write(func(tx store.Tx) error { return write(tx, i) })
		})
	}) {
		if err != nil {
			s.Errorf("%d: %v", i, explain(err))
		}
	}
	s.Logf("%d transactions in %d commits", n, commits.Load())
	if commits.Load() > n/2 {
		s.Errorf("%d transactions took %d commits", n, commits.Load())
	}
}
