package postgres_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/postgres"
	"github.com/pandobase/pando/internal/value"
)

//nolint:gochecknoglobals // constant texts; a Statement is identified by its address
var (
	insertAll = &store.Statement{SQL: `INSERT INTO "c" ("id","b","y","t","l","j","at") VALUES ($1,$2,$3,$4,$5,$6,$7)`}
	columns   = []string{`"id"`, `"b"`, `"y"`, `"t"`, `"l"`, `"j"`, `"at"`}
)

// copyRow is the i-th row: a value of every kind, with what a text format gives
// a meaning to.
func copyRow(i int) []value.Value {
	text := value.OfText([]string{"", "a\tb\nc\rd\\e", `\N`, `\.`, "é'\"{},", "null"}[i%6])
	if i%7 == 6 {
		text = value.Null()
	}
	return []value.Value{
		value.OfInt(int64(i)), value.OfInt(int64(i % 2)), value.OfBytes("\x00\\\xff" + strings.Repeat("x", i%3)), text,
		value.OfText(`["a\tb","","\\",","]`), value.OfText(`{"a": "\n\\", "b": [1, null]}`), value.OfText("2026-01-02T03:04:05.6789+00:00"),
	}
}

func table(t *testing.T) (*postgres.Driver, func(string)) {
	t.Helper()
	url := database(t)
	d, other := open(t, url), psql(t, url)
	other(`CREATE TABLE c (id bigint PRIMARY KEY, b boolean, y bytea, t text COLLATE "C", l text[], j jsonb, at timestamptz)`)
	return d, other
}

func all(t *testing.T, d *postgres.Driver) string {
	t.Helper()
	var out strings.Builder
	err := d.Read(t.Context(), false, func(r store.Reader) error {
		return r.Query(&store.Statement{SQL: "SELECT * FROM c ORDER BY id"}, nil, func(row store.Row) error {
			for i := range columns {
				fmt.Fprintf(&out, "%v|", row.Value(i))
			}
			out.WriteByte('\x1e')
			return nil
		})
	})
	if err != nil {
		t.Error(err)
	}
	return out.String()
}

// TestCopy holds copied rows against inserted ones.
func TestCopy(t *testing.T) {
	const rows = 1500 // more than one message's
	inserted, _ := table(t)
	copied, _ := table(t)
	err := inserted.Write(t.Context(), func(tx store.Tx) error {
		for i := range rows {
			if err := store.Send(tx, insertAll, copyRow(i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = copied.Write(t.Context(), func(tx store.Tx) error {
		return tx.(store.Copier).Copy(insertAll, `"c"`, columns, rows, func(i int) ([]value.Value, error) { return copyRow(i), nil })
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := all(t, copied), all(t, inserted); got != want || strings.Count(got, "\x1e") != rows {
		t.Errorf("copied and inserted rows differ:\n%.600s\n%.600s", got, want)
	}
}

// TestCopyFails sees that a copy that fails stores nothing, tells the reason,
// and leaves the rest of its write alone.
func TestCopyFails(t *testing.T) {
	d, _ := table(t)
	mine := fault.New(fault.InvalidBody, "mine")
	err := d.Write(t.Context(), func(tx store.Tx) error {
		c := tx.(store.Copier)
		if err := store.Send(tx, insertAll, copyRow(3)); err != nil { // held back until the copy
			return err
		}
		err := c.Copy(insertAll, "c", columns, 9, func(i int) ([]value.Value, error) { return copyRow(i), nil })
		if !fault.Is(err, fault.Unique) {
			t.Errorf("the same key: %v", err)
		}
		err = c.Copy(insertAll, "c", columns, 9, func(i int) ([]value.Value, error) {
			if i == 5 {
				return nil, mine
			}
			return copyRow(i + 10), nil
		})
		if !fault.Is(err, fault.InvalidBody) {
			t.Errorf("a row that cannot be given: %v", err)
		}
		err = c.Copy(insertAll, "nowhere", columns, 9, func(i int) ([]value.Value, error) { return copyRow(i), nil })
		if err == nil {
			t.Error("a table that is not there was copied to")
		}
		return c.Copy(insertAll, "c", columns, 1, func(int) ([]value.Value, error) { return copyRow(4), nil })
	})
	if err != nil {
		t.Error(err)
	}
	if got := all(t, d); strings.Count(got, "\x1e") != 2 {
		t.Errorf("the table holds:\n%s", got)
	}
}

// TestHeldBack sees that of writes whose statements are held back those that
// fail are told why, and alone fail.
func TestHeldBack(t *testing.T) {
	d, other := table(t)
	other("INSERT INTO c (id) VALUES (5),(17)")
	var mu sync.Mutex
	hold, started := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = d.Write(t.Context(), func(store.Tx) error {
			once.Do(func() { close(started) })
			<-hold
			return nil
		})
	})
	<-started
	runs := map[int]int{}
	var ready sync.WaitGroup
	for i := range 30 {
		ready.Add(1)
		wg.Go(func() {
			ready.Done()
			err := d.Write(t.Context(), func(tx store.Tx) error {
				mu.Lock()
				runs[i]++
				mu.Unlock()
				for _, id := range []int{i, i + 100} {
					if err := store.Send(tx, insertAll, copyRow(id)); err != nil {
						return fault.Wrap(err, fault.From(err).Code, "of %d", i)
					}
				}
				return nil
			})
			if taken := i == 5 || i == 17; taken != fault.Is(err, fault.Unique) || taken && fault.From(err).Message != fmt.Sprint("of ", i) || !taken && err != nil {
				t.Errorf("write %d: %v", i, err)
			}
		})
	}
	ready.Wait()
	close(hold)
	wg.Wait()
	if got := strings.Count(all(t, d), "\x1e"); got != 2*28+2 {
		t.Errorf("%d rows are stored, want %d", got, 2*28+2)
	}
	for i, n := range runs {
		if n > 3 {
			t.Errorf("write %d ran %d times", i, n)
		}
	}
}
