package move_test

import (
	"context"
	"testing"

	"github.com/pandobase/pando/internal/audit"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/keys"
	"github.com/pandobase/pando/internal/migrate"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/move"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// directions runs fn for each pair of databases.
func directions(t *testing.T, fn func(t *testing.T, from, to place)) {
	t.Helper()
	makers := []struct {
		name string
		make func(testing.TB) place
	}{{"sqlite", sqlitePlace}, {"postgres", postgresPlace}}
	for _, a := range makers {
		for _, b := range makers {
			t.Run(a.name+" to "+b.name, func(t *testing.T) { fn(t, a.make(t), b.make(t)) })
		}
	}
}

// world is an application on a store, with writers.
type world struct {
	t        *testing.T
	app      *model.App
	from, to store.Mover
	wrapper  *keys.Wrapper
	crew     *crew
	next     *audit.Log
}

func newWorld(t *testing.T, from, to place, writers int) *world {
	t.Helper()
	w := &world{t: t, app: application(t), from: from.must(t), to: to.must(t), wrapper: wrapper(t)}
	migrated(t, w.from, w.app)
	trail := openAudit(t, w.from, w.wrapper)
	t.Cleanup(func() { _ = trail.Close(context.Background()) })
	fill(t, w.from, w.app, thingCount)
	w.crew = hire(t, w.app, w.from, trail, writers)
	return w
}

func (w *world) config() move.Config {
	return move.Config{
		From: w.from, To: w.to, ID: "a", Name: "target", Hold: w.crew.hold, Freeze: freezeForTests,
		Ready: func(ctx context.Context) (err error) {
			w.next, err = audit.Open(ctx, audit.Config{Driver: w.to, Wrapper: w.wrapper})
			return err
		},
		Switched: func() { w.crew.driver, w.crew.trail = w.to, w.next },
	}
}

// freezeForTests is long: the machine may be busy.
const freezeForTests = 20e9

func TestMoveUnderWriters(t *testing.T) {
	directions(t, func(t *testing.T, from, to place) {
		w := newWorld(t, from, to, 4)
		if err := move.Check(t.Context(), w.config(), w.app); err != nil {
			t.Fatal(show(err))
		}
		res, err := move.Run(t.Context(), w.config())
		if err != nil {
			t.Fatal(show(err))
		}
		old := dump(t, w.from, w.app) // fenced: it is what it was at the switch
		before := w.crew.written.Load()
		w.crew.waitFor(before + 50)
		w.crew.dismiss()
		t.Logf("%d rows, %d changes, copied in %v, frozen for %v, %d writes", res.Rows, res.Changes, res.Copied, res.Frozen, w.crew.written.Load())
		w.checkAcknowledged(w.to)
		w.checkTrail(w.to)
		w.checkModel(w.to)
		if err := w.to.Check(t.Context()); err != nil {
			t.Error("the target: ", show(err))
		}
		if len(old) == 0 || res.Rows < thingCount {
			t.Errorf("%d rows were moved", res.Rows)
		}
		w.checkFenced(w.from)
	})
}

// waitFor returns when so many writes were acknowledged.
func (c *crew) waitFor(n int64) {
	for c.written.Load() < n && !c.t.Failed() {
		c.gate.RLock()
		c.gate.RUnlock() //nolint:staticcheck // it lets the writers on
	}
}

// checkAcknowledged compares the things with what the writers know.
func (w *world) checkAcknowledged(d store.Driver) {
	w.t.Helper()
	stored := map[string]int{}
	err := d.Read(w.t.Context(), true, func(r store.Reader) error {
		return r.Query(&store.Statement{SQL: "SELECT code FROM " + d.Dialect().Table("m", "things")}, nil, func(row store.Row) error {
			stored[string(row.Append(nil, 0))]++
			return nil
		})
	})
	if err != nil {
		w.t.Fatal(show(err))
	}
	for code := range w.crew.made {
		if stored[code] != 1 {
			w.t.Errorf("%s was acknowledged and is there %d times", code, stored[code])
		}
	}
	for code := range w.crew.gone {
		if stored[code] != 0 {
			w.t.Errorf("%s was deleted and is there", code)
		}
	}
	if len(stored) != len(w.crew.made)+thingCount {
		w.t.Errorf("%d things are stored, %d were made", len(stored), len(w.crew.made)+thingCount)
	}
}

func (w *world) checkTrail(d store.Driver) {
	w.t.Helper()
	l := openAudit(w.t, d, w.wrapper)
	defer func() { _ = l.Close(context.Background()) }()
	rep, err := l.Verify(w.t.Context(), nil)
	if err != nil {
		w.t.Fatal(show(err))
	}
	if len(rep.Findings) > 0 {
		w.t.Errorf("the audit trail: %+v", rep.Findings)
	}
	if rep.Records == 0 {
		w.t.Error("the audit trail is empty")
	}
}

// checkModel sees that the target's schema is what the model and the history say.
func (w *world) checkModel(d store.Driver) {
	w.t.Helper()
	plan, drift, err := migrate.Compare(w.t.Context(), d, w.app)
	if err != nil {
		w.t.Fatal(show(err))
	}
	if !plan.Empty() || len(drift) > 0 {
		w.t.Errorf("the target differs from the model: %v %v", plan, drift)
	}
}

// checkFenced sees that the database itself refuses writers.
func (w *world) checkFenced(d store.Driver) {
	w.t.Helper()
	for _, sql := range []string{
		"UPDATE " + d.Dialect().Table("m", "children") + " SET slot='x' WHERE id=1",
		"DELETE FROM " + d.Dialect().Table("m", "parents"),
		`INSERT INTO pando_meta ("key","value") VALUES ('a','b')`,
	} {
		err := d.Write(w.t.Context(), func(tx store.Tx) error {
			_, err := tx.Exec(&store.Statement{SQL: sql}, nil)
			return err
		})
		if !fault.Is(err, fault.StoreMoved) {
			w.t.Errorf("%s was answered with %s", sql, show(err))
		}
	}
}

// TestWayBack moves and takes it back, with what was written in between.
func TestWayBack(t *testing.T) {
	directions(t, func(t *testing.T, from, to place) {
		w := newWorld(t, from, to, 3)
		if _, err := move.Run(t.Context(), w.config()); err != nil {
			t.Fatal(show(err))
		}
		w.crew.waitFor(w.crew.written.Load() + 200)
		c := w.config()
		c.Ready = func(ctx context.Context) (err error) {
			w.next, err = audit.Open(ctx, audit.Config{Driver: w.from, Wrapper: w.wrapper})
			return err
		}
		c.Switched = func() { w.crew.driver, w.crew.trail = w.from, w.next }
		res, err := move.Rollback(t.Context(), c)
		if err != nil {
			t.Fatal(show(err))
		}
		other := dump(t, w.to, w.app)
		w.crew.waitFor(w.crew.written.Load() + 50)
		w.crew.dismiss()
		t.Logf("%d changes were brought back, frozen for %v", res.Changes, res.Frozen)
		w.checkAcknowledged(w.from)
		w.checkTrail(w.from)
		w.checkModel(w.from)
		w.checkFenced(w.to)
		if err := w.from.Check(t.Context()); err != nil {
			t.Error(show(err))
		}
		if s, err := move.Standing(t.Context(), w.from); s != nil || err != nil {
			t.Errorf("the old store remembers %+v %v", s, err)
		}
		if len(other) == 0 {
			t.Error("the other store is empty")
		}
		// And away once more, to the same place.
		w.crew = hire(t, w.app, w.from, openAudit(t, w.from, w.wrapper), 0)
		if err := move.Check(t.Context(), w.config(), w.app); err != nil {
			t.Fatal(show(err))
		}
		before := dump(t, w.from, w.app)
		if _, err := move.Run(t.Context(), w.config()); err != nil {
			t.Fatal(show(err))
		}
		same(t, before, dump(t, w.to, w.app))
		if err := move.Confirm(t.Context(), w.to); err != nil {
			t.Fatal(show(err))
		}
		if s, err := move.Standing(t.Context(), w.to); s != nil || err != nil {
			t.Errorf("after the confirmation the store remembers %+v %v", s, err)
		}
		if err := w.to.Write(t.Context(), func(tx store.Tx) error {
			return insert(tx, w.to, w.app, "things", map[string]value.Value{"code": value.OfText("last")})
		}); err != nil {
			t.Error(show(err))
		}
	})
}
