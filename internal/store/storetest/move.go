package storetest

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

const families = `  parents:
    fields:
      id: { type: int, primary: true }
  children:
    fields:
      id: { type: uuid, primary: true }
      parent_id: { ref: parents, on_delete: cascade }
      word: { type: text, optional: true }
    unique: [[word]]
    search: [word]
`

// mover is a driver that an application can be moved from and to.
type mover struct {
	*testing.T
	m                 store.Mover
	d                 store.MoveDialect
	app               *model.App
	parents, children *store.StoredTable
}

// move tests the powers that a move needs.
func (s *suite) move(t *testing.T) {
	for _, part := range []struct {
		name string
		run  func(*mover)
	}{
		{"changes are captured", (*mover).captured},
		{"a change that is undone is not captured", (*mover).undone},
		{"changes of many writers are captured once each", (*mover).crowd},
		{"a fence refuses", (*mover).fenced},
		{"a load", (*mover).loaded},
		{"a load that fails", (*mover).failedLoad},
		{"a table in parts", (*mover).inParts},
	} {
		t.Run(part.name, func(t *testing.T) {
			d := s.open(t)
			t.Cleanup(func() { closeDriver(t, d) })
			m, ok := d.(store.Mover)
			if !ok {
				t.Skip("the driver moves nothing")
			}
			app, _ := application(t, "", families)
			if err := createTables(d, app); err != nil {
				t.Fatal(err)
			}
			md, ok := d.Dialect().(store.MoveDialect)
			if !ok {
				t.Fatal("the driver of a Mover has no MoveDialect")
			}
			stored := func(entity string) *store.StoredTable {
				return store.StoredTableOf(store.TableOf(app.Entity("t", entity)))
			}
			part.run(&mover{t, m, md, app, stored("parents"), stored("children")})
		})
	}
}

func (m *mover) must(err error) {
	m.Helper()
	if err != nil {
		m.Fatalf("%v [%v]", err, fault.From(err).Cause)
	}
}

// run executes SQL texts in one write.
func (m *mover) run(sqls ...string) error {
	return m.m.Write(m.Context(), func(tx store.Tx) error { return execAll(tx, sqls) })
}

func execAll(tx store.Tx, sqls []string) error {
	for _, sql := range sqls {
		if _, err := tx.Exec(&store.Statement{SQL: sql}, nil); err != nil {
			return err
		}
	}
	return nil
}

func (m *mover) capture() {
	m.Helper()
	m.must(m.run(slices.Concat(m.d.CaptureLog(), m.d.Capture(m.parents, 1), m.d.Capture(m.children, 2))...))
}

const childA, childB = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"

func (m *mover) parent(id int) string {
	return "INSERT INTO " + m.d.Stored(m.parents) + " (id) VALUES (" + strconv.Itoa(id) + ")"
}

func (m *mover) child(id string, parent int) string {
	return "INSERT INTO " + m.d.Stored(m.children) + " (id,parent_id) VALUES ('" + id + "'," + strconv.Itoa(parent) + ")"
}

// log is what was captured, in order, and is removed.
func (m *mover) log() []string {
	m.Helper()
	var out []string
	m.must(m.m.Read(m.Context(), false, func(r store.Reader) error {
		return r.Query(&store.Statement{SQL: `SELECT "tbl","key" FROM "pando_changes" ORDER BY "seq"`}, nil, func(row store.Row) error {
			out = append(out, strconv.FormatInt(row.Int(0), 10)+strings.ReplaceAll(string(row.Append(nil, 1)), " ", ""))
			return nil
		})
	}))
	m.must(m.run(`DELETE FROM "pando_changes"`))
	return out
}

func (m *mover) logged(what string, want ...string) {
	m.Helper()
	got := m.log()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(slices.Compact(got), want) {
		m.Errorf("%s: captured %q, want %q", what, got, want)
	}
}

func (m *mover) captured() {
	m.must(m.run(m.parent(1)))
	m.capture()
	a, b := `2["`+childA+`"]`, `2["`+childB+`"]`
	m.must(m.run(m.parent(2), m.child(childA, 1), m.child(childB, 2)))
	m.logged("inserts", `1["2"]`, a, b)
	m.must(m.run("UPDATE " + m.d.Stored(m.children) + " SET word='w' WHERE id='" + childA + "'"))
	m.logged("an update", a)
	m.must(m.run("UPDATE " + m.d.Stored(m.children) + " SET id='00000000-0000-4000-8000-00000000000c' WHERE id='" + childB + "'"))
	m.logged("another key", b, `2["00000000-0000-4000-8000-00000000000c"]`)
	m.must(m.run("DELETE FROM " + m.d.Stored(m.parents) + " WHERE id=1"))
	m.logged("a delete that takes a row along", `1["1"]`, a)
	m.must(m.m.Unlinked(m.Context(), func(tx store.MoveTx) error { return execAll(tx, []string{m.parent(9)}) }))
	m.logged("what a move does itself")
	m.must(m.run(slices.Concat(m.d.Release(m.parents, 1), m.d.Release(m.children, 2))...))
	m.must(m.run(m.parent(5)))
	m.logged("after the release")
	m.must(m.run(slices.Concat(m.d.Release(m.parents, 1), m.d.ReleaseLog(), m.d.ReleaseLog())...))
	m.must(m.run(m.parent(6)))
}

func (m *mover) undone() {
	m.capture()
	stop := errors.New("stop")
	err := m.m.Write(m.Context(), func(tx store.Tx) error { return errors.Join(execAll(tx, []string{m.parent(1)}), stop) })
	if !errors.Is(err, stop) {
		m.Fatal(err)
	}
	m.must(m.m.Write(m.Context(), func(tx store.Tx) error {
		_ = tx.Savepoint(func() error { return errors.Join(execAll(tx, []string{m.parent(2)}), stop) })
		return execAll(tx, []string{m.parent(3)})
	}))
	m.logged("undone", `1["3"]`)
}

func (m *mover) crowd() {
	m.capture()
	const writers, each = 8, 25
	var work sync.WaitGroup
	for w := range writers {
		work.Go(func() {
			for i := range each {
				if err := m.run(m.parent(w*each + i)); err != nil {
					m.Error(err)
				}
			}
		})
	}
	work.Wait()
	got := m.log()
	slices.Sort(got)
	if n := len(slices.Compact(slices.Clone(got))); n != writers*each || len(got) != n {
		m.Errorf("%d rows were written, %d entries of %d rows were captured", writers*each, len(got), n)
	}
}

func (m *mover) fenced() {
	m.must(m.run(m.parent(1), m.child(childA, 1)))
	write := &store.Statement{SQL: "UPDATE " + m.d.Stored(m.children) + " SET word='x'"} // prepared before the fence is there
	one := func() error {
		return m.m.Write(m.Context(), func(tx store.Tx) error {
			_, err := tx.Exec(write, nil)
			return err
		})
	}
	m.must(one())
	fence := slices.Concat(m.d.Fence(m.parents), m.d.Fence(m.children))
	m.must(m.run(fence...))
	m.must(m.run(fence...))
	refused := func(what string, err error) {
		m.Helper()
		if !fault.Is(err, fault.StoreMoved) {
			m.Errorf("%s was answered with %v", what, err)
		}
	}
	refused("a statement that was prepared", one())
	refused("an insert", m.run(m.parent(2)))
	refused("a delete", m.run("DELETE FROM "+m.d.Stored(m.parents)))
	m.must(m.m.Unlinked(m.Context(), func(tx store.MoveTx) error { return execAll(tx, []string{m.parent(3)}) }))
	m.must(m.m.Read(m.Context(), false, func(r store.Reader) error {
		return r.Query(&store.Statement{SQL: "SELECT count(*) FROM " + m.d.Stored(m.parents)}, nil, func(row store.Row) error {
			if row.Int(0) != 2 {
				m.Errorf("behind the fence are %d rows", row.Int(0))
			}
			return nil
		})
	}))
	m.must(m.run(slices.Concat(m.d.Unfence(m.parents), m.d.Unfence(m.children), m.d.Unfence(m.children))...))
	m.must(one())
	m.must(m.run(m.parent(4)))
}

// childRows are rows in an order that references forbid.
func childRows(n int) [][]value.Value {
	var rows [][]value.Value
	for i := range n {
		word := value.OfText("word" + strconv.Itoa(i) + " \t\\\n" + `"'`)
		if i == 0 {
			word = value.Null()
		}
		rows = append(rows, []value.Value{value.OfText("00000000-0000-4000-8000-" + strconv.Itoa(100000000000+i)), value.OfInt(int64(i)), word})
	}
	return rows
}

func each(rows [][]value.Value) func() ([]value.Value, error) {
	return func() ([]value.Value, error) {
		if len(rows) == 0 {
			return nil, nil
		}
		row := rows[0]
		rows = rows[1:]
		return row, nil
	}
}

func (m *mover) loaded() {
	rows := childRows(500)
	m.must(m.m.Unlinked(m.Context(), func(tx store.MoveTx) error {
		n, err := tx.Load(m.children, each(rows))
		if err == nil && n != int64(len(rows)) {
			m.Errorf("%d rows were loaded", n)
		}
		if err != nil {
			return err
		}
		var parents [][]value.Value
		for _, row := range rows {
			parents = append(parents, []value.Value{row[1]})
		}
		_, err = tx.Load(m.parents, each(parents))
		return err
	}))
	i := 0
	m.must(m.m.Read(m.Context(), false, func(r store.Reader) error {
		err := r.Query(&store.Statement{SQL: "SELECT id,parent_id,word FROM " + m.d.Stored(m.children) + " ORDER BY parent_id"}, nil, func(row store.Row) error {
			for c := range rows[i] {
				if got := row.Value(c); got != rows[i][c] {
					m.Errorf("row %d holds %v, not %v", i, got, rows[i][c])
				}
			}
			i++
			return nil
		})
		if err != nil {
			return err
		}
		e := m.app.Entity("t", "children")
		found, err := value.ParseSearch(value.SearchPlain, "word77")
		if err != nil {
			return err
		}
		hits := 0
		st := &store.Statement{SQL: "SELECT id FROM " + m.d.Stored(m.children) + " AS a WHERE " + m.d.Search(e, "a", e.Field("word"), m.d.Param(1), m.d.Param(2))}
		err = r.Query(st, []value.Value{m.d.SearchParam(e.Field("word"), found), value.OfInt(0)}, func(store.Row) error {
			hits++
			return nil
		})
		if hits != 1 {
			m.Errorf("a search finds %d of the loaded rows", hits)
		}
		return err
	}))
	if i != len(rows) {
		m.Errorf("%d rows are there", i)
	}
}

func (m *mover) failedLoad() {
	stop := errors.New("stop")
	n := 0
	err := m.m.Unlinked(m.Context(), func(tx store.MoveTx) error {
		_, err := tx.Load(m.parents, func() ([]value.Value, error) {
			if n++; n > 3 {
				return nil, stop
			}
			return []value.Value{value.OfInt(int64(n))}, nil
		})
		return err
	})
	if !errors.Is(err, stop) {
		m.Errorf("a load whose rows end early is %v", err)
	}
	twice := [][]value.Value{{value.OfInt(1)}, {value.OfInt(1)}}
	err = m.m.Unlinked(m.Context(), func(tx store.MoveTx) error {
		_, err := tx.Load(m.parents, each(twice))
		return err
	})
	if !fault.Is(err, fault.Unique) {
		m.Errorf("a key that is there twice is %v", err)
	}
	m.must(m.run(m.parent(1))) // nothing was left, and the driver goes on
}

// inParts makes the tables as a move does: bare, loaded, finished, linked.
func (m *mover) inParts() {
	m.must(m.m.Unlinked(m.Context(), func(tx store.MoveTx) error {
		for _, t := range []*store.StoredTable{m.children, m.parents} {
			if err := execAll(tx, slices.Concat(m.d.Clear(t.Table), m.d.Bare(t.Table))); err != nil {
				return err
			}
		}
		if _, err := tx.Load(m.children, each(childRows(3))); err != nil {
			return err
		}
		if _, err := tx.Load(m.parents, each([][]value.Value{{value.OfInt(0)}, {value.OfInt(1)}, {value.OfInt(2)}})); err != nil {
			return err
		}
		for _, t := range []*store.StoredTable{m.parents, m.children} {
			if err := execAll(tx, slices.Concat(m.d.Finish(t.Table), m.d.Link(t.Table), m.d.Link(t.Table), m.d.Settle())); err != nil {
				return err
			}
		}
		return nil
	}))
	m.must(m.run(m.d.Validate(m.children.Table)...))
	m.must(m.m.Check(context.Background()))
	if err := m.run(m.child(childA, 77)); !fault.Is(err, fault.ForeignKey) {
		m.Errorf("a reference to nothing is %v", err)
	}
	m.must(m.run(m.child(childA, 1)))
	if err := m.run("UPDATE " + m.d.Stored(m.children) + " SET word='same'"); !fault.Is(err, fault.Unique) {
		m.Errorf("a value that is there already is %v", err)
	}
	m.must(m.run("DELETE FROM " + m.d.Stored(m.parents) + " WHERE id=1"))
	n := int64(0)
	m.must(m.m.Read(m.Context(), false, func(r store.Reader) error {
		return r.Query(&store.Statement{SQL: "SELECT count(*) FROM " + m.d.Stored(m.children)}, nil, func(row store.Row) error {
			n = row.Int(0)
			return nil
		})
	}))
	if n != 2 {
		m.Errorf("%d children are left: a delete takes along those that refer to it", n)
	}
}
