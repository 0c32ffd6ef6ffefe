package migrate_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/migrate"
	"github.com/pandobase/pando/internal/store"
)

const (
	oneText  = "entities: { t: { fields: { a: { type: text } } } }\n"
	twoTexts = "entities: { t: { fields: { a: { type: text }, b: { type: text, optional: true } } } }\n"
	unique   = "entities: { t: { fields: { a: { type: text }, b: { type: text, optional: true } }, unique: [[a]] } }\n"
)

// TestRowsAfterThePlan: what a plan counted may have changed when it runs.
func TestRowsAfterThePlan(t *testing.T) {
	d := open(t)
	apply(t, d, load(t, twoTexts), migrate.Options{})
	if err := exec(t, d, `INSERT INTO "m.t" VALUES ('1', 'x', NULL)`); err != nil {
		t.Fatal(err)
	}
	plan := prepare(t, d, load(t, oneText))
	if names := plan.Destructive(); len(names) != 0 {
		t.Fatalf("a field without values loses nothing, got %q", names)
	}
	if err := exec(t, d, `INSERT INTO "m.t" VALUES ('2', 'y', 'precious')`); err != nil {
		t.Fatal(err)
	}
	err := migrate.Apply(t.Context(), d, plan, migrate.Options{})
	if f := fault.From(err); f == nil || f.Code != fault.MigrationRefused || !strings.Contains(f.Details, "1 values of m.t.b") || !strings.Contains(f.Hint, `--allow "drop m.t.b"`) {
		t.Errorf("got %+v", f)
	}
	if got := dump(t, d, false); !strings.Contains(got, "precious") {
		t.Errorf("the value is lost:\n%s", got)
	}
	apply(t, d, load(t, oneText), migrate.Options{Allow: []string{"drop m.t.b"}})
	settled(t, d, load(t, oneText))
}

// TestStepFails: a failing part undoes itself, the ones before it stand.
func TestStepFails(t *testing.T) {
	d := open(t)
	apply(t, d, load(t, oneText), migrate.Options{})
	app := load(t, unique)
	plan := prepare(t, d, app)
	if err := exec(t, d, `INSERT INTO "m.t" (id, a) VALUES ('1', 'x'), ('2', 'x')`); err != nil {
		t.Fatal(err)
	}
	err := migrate.Apply(t.Context(), d, plan, migrate.Options{})
	f := fault.From(err)
	if f == nil || f.Code != fault.Unique || !strings.Contains(f.Message, "(a) must be unique") || !strings.Contains(f.Details, "1 of 2 transactions are done") {
		t.Fatalf("got %+v", f)
	}
	rest := prepare(t, d, app)
	if rest.Resumes == 0 || len(rest.Steps) != 1 || len(rest.Steps[0].Blocked) != 1 {
		t.Fatalf("the rest of the plan:\n%s", rest)
	}
	if err := exec(t, d, `DELETE FROM "m.t" WHERE id = '2'`); err != nil {
		t.Fatal(err)
	}
	apply(t, d, app, migrate.Options{})
	settled(t, d, app)
}

// TestConflict: a plan made before another migration ran is not run.
func TestConflict(t *testing.T) {
	d := open(t)
	apply(t, d, load(t, oneText), migrate.Options{})
	stale := prepare(t, d, load(t, unique))
	apply(t, d, load(t, twoTexts), migrate.Options{})
	before := dump(t, d, true)
	if err := migrate.Apply(t.Context(), d, stale, migrate.Options{}); !fault.Is(err, fault.Conflict) {
		t.Errorf("got %v", err)
	}
	if got := dump(t, d, true); got != before {
		t.Error(cmp.Diff(before, got))
	}
}

// TestGivenUp: an interrupted migration whose model was taken back has nothing
// left to do, and is closed.
func TestGivenUp(t *testing.T) {
	d := open(t)
	apply(t, d, load(t, oneText), migrate.Options{})
	stop := migrate.Options{AfterPart: func(int) error { return errInjected }}
	if err := migrate.Apply(t.Context(), d, prepare(t, d, load(t, unique)), stop); !errors.Is(err, errInjected) {
		t.Fatal(err)
	}
	apply(t, d, load(t, twoTexts), migrate.Options{})
	settled(t, d, load(t, twoTexts))
}

func TestAllowByAnotherName(t *testing.T) {
	d := open(t)
	apply(t, d, load(t, twoTexts), migrate.Options{})
	if err := exec(t, d, `INSERT INTO "m.t" VALUES ('1', 'x', 'y')`); err != nil {
		t.Fatal(err)
	}
	err := migrate.Apply(t.Context(), d, prepare(t, d, load(t, oneText)), migrate.Options{Allow: []string{"drop m.t.bb"}})
	if f := fault.From(err); f == nil || f.Code != fault.MigrationRefused || !strings.Contains(f.Hint, `did you mean --allow "drop m.t.b"`) {
		t.Errorf("got %+v", f)
	}
}

// TestStatus: history, progress, JSON, and what was changed behind Pando's back.
func TestStatus(t *testing.T) {
	d := open(t)
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	var told []string
	opt := migrate.Options{
		Now:      func() time.Time { return at },
		Progress: func(p migrate.Progress) { told = append(told, fmt.Sprint(p.Part, "/", p.Of, " ", p.Titles)) },
	}
	apply(t, d, load(t, oneText), opt)
	apply(t, d, load(t, unique), opt)
	want := []string{"1/1 [create m.t, the 11 tables of auth]", "1/2 [add m.t.b]", "2/2 [m.t: (a) must be unique]"}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Error(diff)
	}
	s, err := migrate.Inspect(t.Context(), d, load(t, twoTexts))
	if err != nil {
		t.Fatal(err)
	}
	history := []migrate.Migration{
		{ID: 1, At: at, State: migrate.Done, Step: 1, Steps: []string{"create m.t, the 11 tables of auth"}},
		{ID: 2, At: at, State: migrate.Done, Step: 2, Steps: []string{"add m.t.b", "m.t: (a) must be unique"}},
	}
	if diff := cmp.Diff(history, s.History); diff != "" {
		t.Error(diff)
	}
	js, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	pending := `"pending":{"steps":[{"part":1,"title":"m.t: (a) need no longer be unique","sql":["DROP INDEX \"m.t_a_key\""],"risk":{"level":"none"},"wait":"\u003c 10 ms","additive":true}],"target":"`
	if !strings.Contains(string(js), pending) || !strings.HasSuffix(string(js), `"drift":[]}`) {
		t.Errorf("JSON: %s", js)
	}
	err = d.Alter(t.Context(), func(tx store.Tx) error {
		for _, sql := range []string{
			`ALTER TABLE "m.t" DROP COLUMN b`, `ALTER TABLE "m.t" ADD COLUMN mine INTEGER`,
			`CREATE TABLE "m.other" (x)`, `CREATE TABLE unrelated (x)`, `DROP TABLE "auth.users"`,
		} {
			if _, err := tx.Exec(&store.Statement{SQL: sql}, nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err = migrate.Inspect(t.Context(), d, load(t, unique))
	if err != nil {
		t.Fatal(err)
	}
	drift := []string{"column m.t.b is missing", "column m.t.mine is not Pando's", "table auth.users is missing", "table m.other is not Pando's"}
	if diff := cmp.Diff(drift, s.Drift); diff != "" {
		t.Error(diff)
	}
}

func TestWait(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "< 10 ms", 9 * time.Millisecond: "< 10 ms", 12 * time.Millisecond: "~10 ms", 47 * time.Millisecond: "~50 ms",
		944 * time.Millisecond: "~940 ms", 950 * time.Millisecond: "~1 s", 1600 * time.Millisecond: "~2 s", 89 * time.Second: "~89 s",
		90 * time.Second: "~2 min", 29 * time.Minute: "~29 min",
	} {
		if got := migrate.Wait(d).String(); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

// TestEstimate holds the estimate against the clock. The bounds are wide: the
// estimate has to tell a moment from a coffee, on any machine.
func TestEstimate(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 100,000 rows")
	}
	const rows = 100_000
	d := open(t)
	base := "entities: { u: { fields: { n: { type: text } } }, t: { fields: { a: { type: text }, b: { type: int }, u_id: { ref: u }%s } %s } }\n"
	apply(t, d, load(t, fmt.Sprintf(base, "", "")), migrate.Options{})
	if err := exec(t, d, fmt.Sprintf(`INSERT INTO "m.u" VALUES ('u', 'n');
INSERT INTO "m.t" WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < %d) SELECT printf('00000000-0000-7000-8000-%%012d', value), printf('some text of a row, number %%d, %%d', value, value * 7919 %% 100003), value %% 1000, 'u' FROM n`, rows)); err != nil {
		t.Fatal(err)
	}
	more := ", c: { type: text, default: x }"
	for _, c := range []struct{ name, module string }{
		{"add column", fmt.Sprintf(base, more, "")},
		{"index", fmt.Sprintf(base, more, ", index: [[a, b]]")},
		{"search", fmt.Sprintf(base, more, ", index: [[a, b]], search: [a]")},
		{"rebuild", fmt.Sprintf(strings.Replace(base, "b: { type: int }", "b: { type: text }", 1), more, ", index: [[a, b]], search: [a]")},
		{"no search", fmt.Sprintf(strings.Replace(base, "b: { type: int }", "b: { type: text }", 1), more, ", index: [[a, b]]")},
		{"drop column", fmt.Sprintf(strings.Replace(base, "b: { type: int }", "b: { type: text }", 1), "", ", index: [[a, b]]")},
	} {
		plan := prepare(t, d, load(t, c.module))
		began := time.Now()
		if err := migrate.Apply(t.Context(), d, plan, migrate.Options{Allow: plan.Destructive()}); err != nil {
			t.Fatal(err)
		}
		took, guess := time.Since(began), time.Duration(plan.Wait())
		t.Logf("%-12s %s, took %v: %d ns per row", c.name, plan.Wait(), took.Round(time.Millisecond), took.Nanoseconds()/rows)
		if took > time.Second && (guess > 20*took || took > 20*guess) {
			t.Errorf("%s: %v estimated, %v taken", c.name, guess, took)
		}
	}
}

// BenchmarkFresh is an application with a thousand entities on a new store:
// until it can be served, until it is complete, and the longest that a writer
// waits in between.
func BenchmarkFresh(b *testing.B) {
	app := load(b, many(1000, ""))
	for b.Loop() {
		b.StopTimer()
		d := open(b)
		b.StartTimer()
		var rest migrate.Rest
		var longest time.Duration
		last := time.Now()
		apply(b, d, app, migrate.Options{Additive: true, Later: func(r migrate.Rest) { rest = r }, AfterPart: func(part int) error {
			if part > 1 {
				longest = max(longest, time.Since(last))
			}
			last = time.Now()
			return nil
		}})
		b.StopTimer()
		began := time.Now()
		last = began
		if err := rest(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(time.Since(began).Microseconds())/1000, "ms/late")
		b.ReportMetric(float64(longest.Microseconds())/1000, "ms/longest-wait")
		began = time.Now()
		if !prepare(b, d, app).Empty() {
			b.Fatal("not settled")
		}
		b.ReportMetric(float64(time.Since(began).Microseconds())/1000, "ms/second-start")
		b.StartTimer()
	}
}
