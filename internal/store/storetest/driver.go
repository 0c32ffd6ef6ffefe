package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// driver tests the seam without an engine.
func (s *suite) driver(t *testing.T) {
	for _, part := range []struct {
		name string
		run  func(*seam)
	}{
		{"write and read", (*seam).writeAndRead},
		{"a failing write is undone", (*seam).failure},
		{"one of a group fails alone", (*seam).groupFailure},
		{"a panic fails its write alone", (*seam).panics},
		{"a write whose context has ended", (*seam).endedContext},
		{"savepoints", (*seam).savepoints},
		{"statements nest", (*seam).nesting},
		{"a snapshot stands still", (*seam).snapshot},
		{"a long read is interrupted", (*seam).interrupt},
		{"a long write is interrupted", (*seam).interruptWrite},
		{"schema changes", (*seam).alter},
		{"many at once", (*seam).crowd},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(s.seam(t)) })
	}
	t.Run("what was acknowledged survives", s.durability)
	t.Run("closed", s.closed)
}

// seam is a driver with one table of numbers: n and a text.
type seam struct {
	*testing.T
	d                                  store.Driver
	slack                              time.Duration
	insert, all, count, updateAll, one *store.Statement
	update, extend                     *store.Statement
}

const numbers = `  numbers:
    fields:
      id: { type: int, primary: true }
      word: { type: text, optional: true }
`

func (s *suite) seam(t *testing.T) *seam {
	d := s.open(t)
	t.Cleanup(func() { closeDriver(t, d) })
	app, _ := application(t, "", numbers)
	if err := createTables(d, app); err != nil {
		t.Fatal(err)
	}
	m := newSeam(t, d)
	m.slack = s.slack
	return m
}

func newSeam(t *testing.T, d store.Driver) *seam {
	dl := d.Dialect()
	table, id, word := dl.Table("t", "numbers"), dl.Ident("id"), dl.Ident("word")
	return &seam{
		T: t, d: d,
		insert:    &store.Statement{SQL: "INSERT INTO " + table + " (" + id + "," + word + ") VALUES (" + dl.Param(1) + "," + dl.Param(2) + ")"},
		all:       &store.Statement{SQL: "SELECT " + id + "," + word + " FROM " + table + " ORDER BY " + id},
		count:     &store.Statement{SQL: "SELECT count(*) FROM " + table},
		updateAll: &store.Statement{SQL: "UPDATE " + table + " SET " + word + "=" + dl.Param(1)},
		update:    &store.Statement{SQL: "UPDATE " + table + " SET " + word + "=" + dl.Param(1) + " WHERE " + id + "=" + dl.Param(2)},
		extend:    &store.Statement{SQL: "UPDATE " + table + " SET " + word + "=" + word + "||" + dl.Param(1) + " WHERE " + id + "=" + dl.Param(2)},
		one:       &store.Statement{SQL: "SELECT " + word + " FROM " + table + " WHERE " + id + "=" + dl.Param(1)},
	}
}

func (s *seam) put(tx store.Tx, n int64, word string) error {
	changed, err := tx.Exec(s.insert, []value.Value{value.OfInt(n), value.OfText(word)})
	if err == nil && changed != 1 {
		return fmt.Errorf("an insert changed %d rows", changed)
	}
	return err
}

// holds checks the numbers that are stored.
func (s *seam) holds(want ...int64) {
	s.Helper()
	var got []int64
	err := s.d.Read(context.Background(), false, func(r store.Reader) error {
		return r.Query(s.all, nil, func(row store.Row) error {
			got = append(got, row.Int(0))
			return nil
		})
	})
	if err != nil {
		s.Fatal(err)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		s.Errorf("the table holds %v, want %v", got, want)
	}
}

func (s *seam) write(fn func(store.Tx) error) error { return s.d.Write(context.Background(), fn) }

func (s *seam) writeAndRead() {
	err := s.write(func(tx store.Tx) error {
		if err := s.put(tx, 1, "a\"b\n"); err != nil {
			return err
		}
		if _, err := tx.Exec(s.insert, []value.Value{value.OfInt(2), value.Null()}); err != nil {
			return err
		}
		n, err := tx.Exec(s.updateAll, []value.Value{value.OfText("x")})
		if n != 2 {
			s.Errorf("an update changed %d rows, want 2", n)
		}
		if err != nil {
			return err
		}
		_, err = tx.Exec(&store.Statement{SQL: s.insert.SQL}, []value.Value{value.OfInt(3), value.Null()})
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
	err = s.d.Read(context.Background(), false, func(r store.Reader) error {
		return r.Query(s.all, nil, func(row store.Row) error {
			id, null := row.Value(0), row.Null(1)
			if id != value.OfInt(row.Int(0)) || null != (id.Int == 3) || null != row.Value(1).IsNull() {
				s.Errorf("the row is %v, %v", id, row.Value(1))
			}
			if !null && (string(row.Append([]byte(">"), 1)) != ">x" || row.Value(1) != value.OfText("x")) {
				s.Errorf("the word is %q", row.Append(nil, 1))
			}
			return nil
		})
	})
	if err != nil {
		s.Error(err)
	}
	if size, err := s.d.Size(context.Background()); err != nil || size <= 0 {
		s.Errorf("the size is %d, %v", size, err)
	}
	s.holds(1, 2, 3)
}

var errMine = errors.New("mine")

func (s *seam) failure() {
	err := s.write(func(tx store.Tx) error { return errors.Join(s.put(tx, 1, ""), errMine) })
	if !errors.Is(err, errMine) {
		s.Errorf("the write's error is %v", err)
	}
	s.holds()
	err = s.write(func(tx store.Tx) error { return errors.Join(s.put(tx, 1, ""), s.put(tx, 1, "")) })
	if !fault.Is(err, fault.Unique) {
		s.Errorf("the same key twice: %v", err)
	}
	err = s.write(func(tx store.Tx) error {
		_, err := tx.Exec(&store.Statement{SQL: "no statement"}, nil)
		return err
	})
	if !fault.Is(err, fault.Internal) {
		s.Errorf("wrong SQL: %v", err)
	}
	s.holds()
}

// group runs writes so that they wait together: the first holds the writer
// until all others are under way.
func (s *seam) group(n int, fn func(i int, tx store.Tx) error) []error {
	errs := make([]error, n)
	var running, ready sync.WaitGroup
	hold := make(chan struct{})
	started := make(chan struct{})
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
			errs[i] = s.write(func(tx store.Tx) error { return fn(i, tx) })
		})
	}
	ready.Wait()
	close(hold)
	running.Wait()
	return errs
}

func (s *seam) groupFailure() {
	var want []int64
	errs := s.group(40, func(i int, tx store.Tx) error {
		if err := s.put(tx, int64(i), ""); err != nil {
			return err
		}
		switch i % 4 {
		case 1:
			return errMine
		case 2:
			return s.put(tx, int64(i), "") // the same key again
		}
		return nil
	})
	for i, err := range errs {
		switch i % 4 {
		case 1:
			if !errors.Is(err, errMine) {
				s.Errorf("write %d: %v", i, err)
			}
		case 2:
			if !fault.Is(err, fault.Unique) {
				s.Errorf("write %d: %v", i, err)
			}
		default:
			want = append(want, int64(i))
			if err != nil {
				s.Errorf("write %d: %v", i, err)
			}
		}
	}
	s.holds(want...)
}

func (s *seam) panics() {
	errs := s.group(12, func(i int, tx store.Tx) error {
		if err := s.put(tx, int64(i), ""); err != nil {
			return err
		}
		if i == 5 {
			return tx.Query(s.all, nil, func(store.Row) error { panic("in the middle of a row") })
		}
		return nil
	})
	for i, err := range errs {
		if (i == 5) != fault.Is(err, fault.Internal) {
			s.Errorf("write %d: %v", i, err)
		}
	}
	s.holds(0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11)

	func() { // a read's panic is its caller's, and leaves the connection usable
		defer func() {
			if recover() == nil {
				s.Error("a panic in a read was lost")
			}
		}()
		_ = s.d.Read(context.Background(), true, func(r store.Reader) error {
			return r.Query(s.all, nil, func(store.Row) error { panic("in the middle of a row") })
		})
	}()
	if err := s.write(func(tx store.Tx) error { return s.put(tx, 5, "") }); err != nil {
		s.Error(err)
	}
	s.holds(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
	if err := s.d.Read(context.Background(), true, func(r store.Reader) error {
		return r.Query(s.count, nil, func(row store.Row) error {
			if row.Int(0) != 12 {
				s.Errorf("a snapshot after the panic sees %d rows, want 12", row.Int(0))
			}
			return nil
		})
	}); err != nil {
		s.Error(err)
	}
}

func (s *seam) endedContext() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	ran := false
	err := s.d.Write(ctx, func(tx store.Tx) error {
		ran = true
		return s.put(tx, 1, "")
	})
	if !fault.Is(err, fault.QueryCanceled) || ran {
		s.Errorf("a write whose context had ended: %v, ran %v", err, ran)
	}
	s.holds()
	err = s.d.Read(ctx, false, func(r store.Reader) error {
		return r.Query(s.count, nil, func(store.Row) error { return nil })
	})
	if err != nil && !fault.Is(err, fault.QueryCanceled) && !fault.Is(err, fault.TooManyConns) {
		s.Errorf("a read whose context had ended: %v", err)
	}
	if err := s.write(func(tx store.Tx) error { return s.put(tx, 1, "") }); err != nil {
		s.Error(err)
	}
	s.holds(1)
}

func (s *seam) savepoints() {
	err := s.write(func(tx store.Tx) error {
		if err := s.put(tx, 1, ""); err != nil {
			return err
		}
		err := tx.Savepoint(func() error {
			if err := s.put(tx, 2, ""); err != nil {
				return err
			}
			err := tx.Savepoint(func() error { return errors.Join(s.put(tx, 3, ""), errMine) })
			if !errors.Is(err, errMine) {
				s.Errorf("the inner savepoint's error is %v", err)
			}
			return nil
		})
		if err != nil {
			return err
		}
		err = tx.Savepoint(func() error { return errors.Join(s.put(tx, 4, ""), s.put(tx, 1, "")) })
		if !fault.Is(err, fault.Unique) {
			s.Errorf("the second savepoint's error is %v", err)
		}
		return s.put(tx, 5, "")
	})
	if err != nil {
		s.Fatal(err)
	}
	s.holds(1, 2, 5)
}

// nesting runs statements inside the rows of others, the same one included.
func (s *seam) nesting() {
	err := s.write(func(tx store.Tx) error {
		for n := range int64(4) {
			if err := s.put(tx, n, fmt.Sprint("w", n)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
	nested := func(r store.Reader) error {
		var seen []string
		err := r.Query(s.all, nil, func(outer store.Row) error {
			if err := r.Query(s.one, []value.Value{value.OfInt(outer.Int(0))}, func(inner store.Row) error {
				seen = append(seen, string(inner.Append(nil, 0))+"="+string(outer.Append(nil, 1)))
				return nil
			}); err != nil {
				return err
			}
			n := 0
			if err := r.Query(s.all, nil, func(store.Row) error { n++; return nil }); err != nil || n != 4 {
				return fmt.Errorf("the same statement inside its own rows saw %d rows, %w", n, err)
			}
			seen = append(seen, string(outer.Append(nil, 1)))
			return nil
		})
		if want := "[w0=w0 w0 w1=w1 w1 w2=w2 w2 w3=w3 w3]"; fmt.Sprint(seen) != want {
			s.Errorf("nested statements saw %v, want %s", seen, want)
		}
		return err
	}
	if err := s.d.Read(context.Background(), false, nested); err != nil {
		s.Error(err)
	}
	if err := s.write(func(tx store.Tx) error { return nested(tx) }); err != nil {
		s.Error(err)
	}
}

func (s *seam) snapshot() {
	count := func(r store.Reader) (n int64) {
		if err := r.Query(s.count, nil, func(row store.Row) error { n = row.Int(0); return nil }); err != nil {
			s.Error(err)
		}
		return n
	}
	err := s.d.Read(context.Background(), true, func(r store.Reader) error {
		before := count(r)
		if err := s.write(func(tx store.Tx) error { return s.put(tx, 1, "") }); err != nil {
			return err
		}
		if after := count(r); after != before {
			s.Errorf("a snapshot saw %d rows, then %d", before, after)
		}
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
	s.holds(1) // a read after an acknowledged write sees it
}

// endless is a statement that runs for minutes.
func endless(s *seam) *store.Statement {
	from := s.d.Dialect().Table("t", "numbers")
	tables := make([]string, 8)
	for i := range tables {
		tables[i] = fmt.Sprintf("%s AS a%d", from, i)
	}
	return &store.Statement{SQL: "SELECT count(*) FROM " + strings.Join(tables, " CROSS JOIN ")}
}

const slack = 100 * time.Millisecond // within which an interrupt takes effect

func (s *seam) interrupted(run func(ctx context.Context, fn func(store.Reader) error) error) {
	s.Helper()
	err := s.write(func(tx store.Tx) error {
		for n := range int64(60) {
			if err := s.put(tx, n, ""); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
	st := endless(s)
	// The connection is usable again, and interruptible again. The quickest of
	// three counts: another program may take the processor meanwhile.
	least := time.Hour
	for range 3 {
		ctx, cancel := context.WithCancel(context.Background())
		var ended atomic.Int64
		time.AfterFunc(30*time.Millisecond, func() {
			ended.Store(time.Now().UnixNano())
			cancel()
		})
		err := run(ctx, func(r store.Reader) error { return r.Query(st, nil, func(store.Row) error { return nil }) })
		late := time.Duration(time.Now().UnixNano() - ended.Load())
		if !fault.Is(err, fault.QueryCanceled) {
			s.Fatalf("the interrupted statement ended with %v", err)
		}
		least = min(least, late)
	}
	if least > s.slack*raceFactor {
		s.Errorf("the interrupt took %v, want at most %v", least, s.slack)
	}
}

func (s *seam) interrupt() {
	s.interrupted(func(ctx context.Context, fn func(store.Reader) error) error { return s.d.Read(ctx, true, fn) })
	s.noOldSnapshot()
}

// noOldSnapshot sees that a snapshot does not outlive its interrupt.
func (s *seam) noOldSnapshot() {
	if err := s.write(func(tx store.Tx) error { return s.put(tx, 1000, "") }); err != nil {
		s.Error(err)
	}
	for range 8 {
		err := s.d.Read(context.Background(), true, func(r store.Reader) error {
			return r.Query(s.count, nil, func(row store.Row) error {
				if row.Int(0) != 61 {
					s.Errorf("a snapshot after the interrupt sees %d rows, want 61", row.Int(0))
				}
				return nil
			})
		})
		if err != nil {
			s.Fatal(err)
		}
	}
}

func (s *seam) interruptWrite() {
	s.interrupted(func(ctx context.Context, fn func(store.Reader) error) error {
		return s.d.Write(ctx, func(tx store.Tx) error {
			if err := s.put(tx, 500, ""); err != nil {
				return err
			}
			return fn(tx)
		})
	})
	if err := s.write(func(tx store.Tx) error { return s.put(tx, 500, "") }); err != nil {
		s.Errorf("after an interrupted write: %v", err)
	}
}

func (s *seam) alter() {
	ctx := context.Background()
	if err := s.write(func(tx store.Tx) error { return s.put(tx, 1, "x") }); err != nil {
		s.Fatal(err)
	}
	dl := s.d.Dialect()
	table := dl.Table("t", "numbers")
	err := s.d.Alter(ctx, func(tx store.Tx) error {
		if _, err := tx.Exec(&store.Statement{SQL: "ALTER TABLE " + table + " ADD COLUMN more TEXT"}, nil); err != nil {
			return err
		}
		return errMine
	})
	if !errors.Is(err, errMine) {
		s.Errorf("the change's error is %v", err)
	}
	more := &store.Statement{SQL: "SELECT more FROM " + table}
	look := func(r store.Reader) error { return r.Query(more, nil, func(store.Row) error { return nil }) }
	if err := s.d.Read(ctx, false, look); err == nil {
		s.Error("a failed change of the schema stayed")
	}
	err = s.d.Alter(ctx, func(tx store.Tx) error {
		_, err := tx.Exec(&store.Statement{SQL: "ALTER TABLE " + table + " ADD COLUMN more TEXT"}, nil)
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
	if err := s.d.Read(ctx, false, look); err != nil {
		s.Error(err)
	}
	s.holds(1)
	if err := s.write(func(tx store.Tx) error { return s.put(tx, 2, "y") }); err != nil {
		s.Error(err)
	}
	s.holds(1, 2)
}

// crowd lets 32 writers and readers meet, with schema changes between.
func (s *seam) crowd() {
	const writers, each = 32, 10
	var wg sync.WaitGroup
	var acknowledged atomic.Int64
	ctx := context.Background()
	for i := range int64(writers) {
		wg.Go(func() {
			for j := range int64(each) {
				err := s.write(func(tx store.Tx) error {
					if err := s.put(tx, i*each+j, ""); err != nil || j%3 != 1 {
						return err
					}
					return errMine
				})
				if j%3 == 1 {
					if !errors.Is(err, errMine) {
						s.Errorf("a failing write: %v", err)
					}
					continue
				}
				if err != nil {
					s.Error(err)
					continue
				}
				acknowledged.Add(1)
			}
		})
		wg.Go(func() {
			for range each {
				least := acknowledged.Load()
				err := s.d.Read(ctx, i%2 == 0, func(r store.Reader) error {
					return r.Query(s.count, nil, func(row store.Row) error {
						if row.Int(0) < least {
							s.Errorf("a read saw %d rows after %d were acknowledged", row.Int(0), least)
						}
						return nil
					})
				})
				if err != nil {
					s.Error(err)
				}
			}
		})
	}
	wg.Go(func() {
		for range 3 {
			if err := s.d.Alter(ctx, func(store.Tx) error { return nil }); err != nil {
				s.Error(err)
			}
		}
	})
	wg.Wait()
	n := int64(0)
	_ = s.d.Read(ctx, false, func(r store.Reader) error {
		return r.Query(s.count, nil, func(row store.Row) error { n = row.Int(0); return nil })
	})
	if n != acknowledged.Load() {
		s.Errorf("%d rows are stored, %d were acknowledged", n, acknowledged.Load())
	}
}

func (su *suite) closed(t *testing.T) {
	d := su.open(t)
	app, _ := application(t, "", numbers)
	if err := createTables(d, app); err != nil {
		t.Fatal(err)
	}
	s := newSeam(t, d)
	if err := s.write(func(tx store.Tx) error { return s.put(tx, 1, "") }); err != nil {
		s.Fatal(err)
	}
	if err := d.Check(context.Background()); err != nil {
		s.Error(err)
	}
	for range 2 {
		if err := d.Close(); err != nil {
			s.Errorf("closing: %v", err)
		}
	}
	if err := s.write(func(tx store.Tx) error { return s.put(tx, 2, "") }); !fault.Is(err, fault.ShuttingDown) {
		s.Errorf("a write after the end: %v", err)
	}
	err := d.Read(context.Background(), false, func(store.Reader) error { return nil })
	if !fault.Is(err, fault.ShuttingDown) {
		s.Errorf("a read after the end: %v", err)
	}
}

// durability opens the same database again and again.
func (s *suite) durability(t *testing.T) {
	app, _ := application(t, "", numbers)
	var want []int64
	for round := range int64(4) {
		d := s.open(t)
		if round == 0 {
			if err := createTables(d, app); err != nil {
				t.Fatal(err)
			}
		}
		m := newSeam(t, d)
		m.holds(want...)
		if err := m.write(func(tx store.Tx) error { return m.put(tx, round, "") }); err != nil {
			t.Fatal(err)
		}
		want = append(want, round)
		closeDriver(t, d)
	}
}
