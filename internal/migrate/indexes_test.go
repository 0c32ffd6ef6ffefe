package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/migrate"
	"github.com/pandobase/pando/internal/store"
)

// many is a module whose n entities have an index, a reference and a unique
// key each. extra goes into the last one.
func many(n int, extra string) string {
	var m strings.Builder
	m.WriteString("entities:\n")
	for i := range n {
		more := ""
		if i == n-1 {
			more = extra
		}
		fmt.Fprintf(&m, "  e%d: { fields: { a: { type: text }, b: { type: int, optional: true }, p_id: { ref: e%d, optional: true, as: parent }%s }, index: [[a, b]], unique: [[b]] }\n", i, i/2, more)
	}
	return m.String()
}

// objects is every definition of the schema, sorted.
func objects(t *testing.T, d store.Driver) []string {
	t.Helper()
	var out []string
	err := d.Read(t.Context(), true, func(r store.Reader) error {
		st := &store.Statement{SQL: `SELECT type || ' ' || name || ' ' || tbl_name || ' ' || coalesce(sql, '') FROM sqlite_schema ORDER BY 1`}
		return r.Query(st, nil, func(row store.Row) error {
			out = append(out, string(row.Append(nil, 0)))
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// atOnce is the schema as each table's own statements make it, all together.
func atOnce(t *testing.T, n int, extra string) []string {
	t.Helper()
	d := open(t)
	for i := 1; i <= n; i += 40 { // few enough to be made with their tables
		apply(t, d, load(t, many(min(n, i+39), "")), migrate.Options{})
	}
	if extra != "" {
		apply(t, d, load(t, many(n, extra)), migrate.Options{})
	}
	return objects(t, d)
}

// plainIndexes counts the indexes that no uniqueness needs.
func plainIndexes(objects []string) int {
	n := 0
	for _, o := range objects {
		if strings.Contains(o, " CREATE INDEX ") && !strings.Contains(o, "pando_") {
			n++
		}
	}
	return n
}

// TestLateIndexes: the tables of a large application are made in the first
// part, their indexes in later ones, and the schema in the end is the same as
// if each had come with its table.
func TestLateIndexes(t *testing.T) {
	const n = 130
	app := load(t, many(n, ""))
	d := open(t)
	plan := prepare(t, d, app)
	parts := plan.Steps[len(plan.Steps)-1].Part
	if parts < 4 || plan.Steps[0].Late || slices.ContainsFunc(plan.Steps[1:], func(s *migrate.Step) bool { return !s.Late || len(s.SQL) > 50 }) {
		t.Fatalf("%d parts:\n%s", parts, plan)
	}
	var rest migrate.Rest
	apply(t, d, app, migrate.Options{Additive: true, Later: func(r migrate.Rest) { rest = r }})
	if rest == nil {
		t.Fatal("nothing is left for later")
	}
	if got := plainIndexes(objects(t, d)); got != 0 {
		t.Errorf("%d indexes were made at once", got)
	}
	st, err := migrate.Inspect(t.Context(), d, app)
	if err != nil || len(st.Drift) > 0 || st.Pending.Resumes != 1 || st.History[0].State != migrate.Running || len(st.Pending.Steps) != parts-1 {
		t.Errorf("status meanwhile: %+v, %v", st, err)
	}
	if err := rest(t.Context()); err != nil {
		t.Fatal(fault.From(err))
	}
	settled(t, d, app)
	want := atOnce(t, n, "")
	if diff := cmp.Diff(want, objects(t, d)); diff != "" {
		t.Errorf("schema (-at once +later):\n%s", diff)
	}
	if st, err = migrate.Inspect(t.Context(), d, app); err != nil || len(st.History) != 1 || st.History[0].State != migrate.Done {
		t.Errorf("history: %+v, %v", st, err)
	}
}

// TestLateInterrupted stops the late parts in each way there is: by their
// context, which is no loss, and by a crash, after which a plan that changes
// yet more goes on with them.
func TestLateInterrupted(t *testing.T) {
	const n, extra = 130, ", c: { type: text, optional: true }"
	app := load(t, many(n, ""))
	d := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	var rest migrate.Rest
	apply(t, d, app, migrate.Options{
		Later: func(r migrate.Rest) { rest = r },
		AfterPart: func(part int) error {
			switch part {
			case 2:
				cancel()
			case 4:
				return errInjected
			}
			return nil
		},
	})
	if err := rest(ctx); !fault.Is(err, fault.QueryCanceled) {
		t.Fatalf("a stop: %v", err)
	}
	two := plainIndexes(objects(t, d))
	if two == 0 || two > 50 {
		t.Errorf("%d indexes after the first late part", two)
	}
	if err := rest(t.Context()); !errors.Is(err, errInjected) {
		t.Fatalf("a crash: %v", err)
	}
	if got := plainIndexes(objects(t, d)); got != 3*two {
		t.Errorf("%d indexes after the third late part of %d each", got, two)
	}

	wider := load(t, many(n, extra))
	rest = nil
	apply(t, d, wider, migrate.Options{Additive: true, Later: func(r migrate.Rest) { rest = r }})
	if rest == nil {
		t.Fatal("the next start leaves nothing for later")
	}
	if err := exec(t, d, fmt.Sprintf(`INSERT INTO "m.e%d" (id, a, c) VALUES ('1', 'x', 'y')`, n-1)); err != nil {
		t.Errorf("the new field before the indexes: %v", err)
	}
	if err := rest(t.Context()); err != nil {
		t.Fatal(fault.From(err))
	}
	settled(t, d, wider)
	want := atOnce(t, n, extra)
	if diff := cmp.Diff(want, objects(t, d)); diff != "" {
		t.Errorf("schema (-at once +resumed):\n%s", diff)
	}
}

// TestLateIndexesFollowTheModel: what changed in the model meanwhile is what
// is made, and a migration that ran meanwhile ends what was left.
func TestLateIndexesFollowTheModel(t *testing.T) {
	const n = 130
	app := load(t, many(n, ""))
	d := open(t)
	var rest migrate.Rest
	apply(t, d, app, migrate.Options{Later: func(r migrate.Rest) { rest = r }})
	changed := load(t, strings.ReplaceAll(many(n, ""), "index: [[a, b]]", "index: [[b, a]]"))
	apply(t, d, changed, migrate.Options{})
	settled(t, d, changed)
	if err := rest(t.Context()); !fault.Is(err, fault.Conflict) {
		t.Errorf("the rest of an older migration: %v", err)
	}
	settled(t, d, changed)
	// Back again: each index is dropped and made anew.
	apply(t, d, app, migrate.Options{})
	settled(t, d, app)
	if diff := cmp.Diff(atOnce(t, n, ""), objects(t, d)); diff != "" {
		t.Errorf("schema (-at once +changed twice):\n%s", diff)
	}
}
