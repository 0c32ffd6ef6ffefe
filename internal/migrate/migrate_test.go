package migrate_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/migrate"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/sqlite"
	"github.com/pandobase/pando/internal/value"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write the golden sections anew") //nolint:gochecknoglobals // a flag

// scenario is one file of testdata: a model, rows, another model, and what
// happens on the way.
type scenario struct {
	path    string
	archive *txtar.Archive
}

func (s *scenario) get(name string) string {
	for _, f := range s.archive.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	return ""
}

// golden compares a section, or writes it with -update.
func (s *scenario) golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		s.archive.Files = slices.DeleteFunc(s.archive.Files, func(f txtar.File) bool { return f.Name == name })
		if got != "" {
			s.archive.Files = append(s.archive.Files, txtar.File{Name: name, Data: []byte(got)})
		}
		return
	}
	if diff := cmp.Diff(s.get(name), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func (s *scenario) app(t *testing.T, name string) *model.App {
	t.Helper()
	return load(t, s.get(name))
}

func load(t testing.TB, module string) *model.App {
	t.Helper()
	app, problems := model.Load(fstest.MapFS{
		"pando.yaml":     {Data: []byte("app: test\n")},
		"modules/m.yaml": {Data: []byte("module: m\n" + module)},
	}, nil, model.Features{})
	if problems != nil {
		t.Fatal(problems)
	}
	return app
}

func open(t testing.TB) *sqlite.Driver {
	t.Helper()
	d, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "x.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func prepare(t testing.TB, d store.Driver, app *model.App) *migrate.Plan {
	t.Helper()
	p, err := migrate.Prepare(t.Context(), d, app)
	if err != nil {
		t.Fatal(err, errors.Unwrap(err))
	}
	return p
}

func apply(t testing.TB, d store.Driver, app *model.App, opt migrate.Options) {
	t.Helper()
	if err := migrate.Apply(t.Context(), d, prepare(t, d, app), opt); err != nil {
		t.Fatal(fault.From(err), errors.Unwrap(err))
	}
}

// exec runs the statements of a text, each ended by a semicolon at a line's end.
func exec(t testing.TB, d store.Driver, text string) error {
	t.Helper()
	return d.Write(t.Context(), func(tx store.Tx) error {
		for sql := range strings.SplitSeq(text, ";\n") {
			if strings.TrimSpace(sql) == "" {
				continue
			}
			if _, err := tx.Exec(&store.Statement{SQL: sql}, nil); err != nil {
				return fmt.Errorf("%s: %w", sql, errors.Join(err, errors.Unwrap(err)))
			}
		}
		return nil
	})
}

// dump writes every row of every entity's table, and every index and trigger.
func dump(t testing.TB, d store.Driver, schema bool) string {
	t.Helper()
	var b strings.Builder
	err := d.Read(t.Context(), true, func(r store.Reader) error {
		tables, order := map[string][]string{}, []string{}
		err := r.Query(&store.Statement{SQL: d.Dialect().Catalog()}, nil, func(row store.Row) error {
			name := string(row.Append(nil, 0))
			if tables[name] == nil {
				order = append(order, name)
			}
			column := string(row.Append(nil, 1))
			if schema {
				column += " " + string(row.Append(nil, 2)) + fmt.Sprint(" ", row.Int(3))
			}
			tables[name] = append(tables[name], column)
			return nil
		})
		if err != nil {
			return err
		}
		for _, name := range order {
			slices.Sort(tables[name])
			if schema {
				fmt.Fprintf(&b, "%s: %s\n", name, strings.Join(tables[name], ", "))
				continue
			}
			quoted := `"` + strings.Join(tables[name], `", "`) + `"`
			if err := r.Query(&store.Statement{SQL: `SELECT ` + quoted + ` FROM "` + name + `" ORDER BY ` + quoted}, nil, func(row store.Row) error {
				fmt.Fprintf(&b, "%s:", name)
				for i, c := range tables[name] {
					fmt.Fprintf(&b, " %s=%s", c, show(row.Value(i)))
				}
				b.WriteByte('\n')
				return nil
			}); err != nil {
				return err
			}
		}
		if !schema {
			return nil
		}
		objects := `SELECT type || ' ' || name || ' on ' || tbl_name || ' ' || coalesce(sql, '') FROM sqlite_schema WHERE type IN ('index', 'trigger') ORDER BY 1`
		return r.Query(&store.Statement{SQL: objects}, nil, func(row store.Row) error {
			fmt.Fprintf(&b, "%s\n", row.Append(nil, 0))
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// show writes a value; UUIDs and times, which differ from run to run, as a word.
func show(v value.Value) string {
	switch v.Tag {
	case value.TagInt:
		return fmt.Sprint(v.Int)
	case value.TagFloat:
		return fmt.Sprint(v.Float, "f")
	case value.TagText:
		if u, err := (value.Type{Kind: value.UUID}).FromText(v.Str); err == nil && u.Str[14] == '7' {
			return "<uuid>"
		}
		if _, err := (value.Type{Kind: value.Timestamp}).FromText(v.Str); err == nil && v.Str > "2026-06" {
			return "<now>"
		}
		return fmt.Sprintf("%q", v.Str)
	case value.TagBytes:
		return fmt.Sprintf("x%x", v.Str)
	case value.TagNull:
	}
	return "null"
}

// seeded opens a store with the scenario's old model and rows.
func (s *scenario) seeded(t *testing.T) *sqlite.Driver {
	t.Helper()
	d := open(t)
	apply(t, d, s.app(t, "old"), migrate.Options{})
	if err := exec(t, d, s.get("rows.sql")); err != nil {
		t.Fatal(err)
	}
	return d
}

// settled checks that nothing is left to do and that the store is whole.
func settled(t *testing.T, d store.Driver, app *model.App) {
	t.Helper()
	s, err := migrate.Inspect(t.Context(), d, app)
	if err != nil {
		t.Fatal(err)
	}
	if !s.Pending.Empty() || s.Pending.Resumes != 0 {
		t.Errorf("still pending:\n%s", s.Pending)
	}
	if len(s.Drift) > 0 {
		t.Errorf("drift: %q", s.Drift)
	}
	if err := d.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func scenarios(t *testing.T, run func(t *testing.T, s *scenario)) {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatal("no scenarios", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			run(t, &scenario{path: path, archive: a})
		})
	}
}

// TestScenarios holds plans, refusals and outcomes against testdata.
func TestScenarios(t *testing.T) {
	scenarios(t, func(t *testing.T, s *scenario) {
		d := s.seeded(t)
		app := s.app(t, "new")
		plan := prepare(t, d, app)
		s.golden(t, "plan", plan.String())
		before := dump(t, d, false) + dump(t, d, true)

		refusal := func(opt migrate.Options) string {
			err := migrate.Apply(t.Context(), d, plan, opt)
			if err == nil {
				t.Fatalf("a plan ran that was to be refused:\n%s", plan)
			}
			if now := dump(t, d, false) + dump(t, d, true); now != before {
				t.Errorf("a refused plan changed the store: %s", cmp.Diff(before, now))
			}
			f := fault.From(err)
			return fmt.Sprintf("%s: %s\ndetails: %s\nhint: %s\n", f.Code, f.Message, f.Details, f.Hint)
		}
		var refused string
		if !plan.Additive() {
			refused += "additive: " + refusal(migrate.Options{Additive: true})
		}
		blocked := slices.ContainsFunc(plan.Steps, func(s *migrate.Step) bool { return len(s.Blocked) > 0 })
		if blocked || len(plan.Destructive()) > 0 {
			refused += "not allowed: " + refusal(migrate.Options{})
		}
		if blocked {
			refused += "allowed: " + refusal(migrate.Options{Allow: plan.Destructive()})
		}
		s.golden(t, "refused", refused)
		if !blocked {
			apply(t, d, app, migrate.Options{Allow: plan.Destructive(), Additive: plan.Additive()})
			settled(t, d, app)
			s.golden(t, "after", dump(t, d, false))
		}
		if *update {
			if err := os.WriteFile(s.path, txtar.Format(s.archive), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	})
}

var errInjected = errors.New("injected")

// TestInterrupted stops each migration after each of its steps. What stands
// then takes the writes of the old and the new model, and going on reaches the
// same schema with the same rows.
func TestInterrupted(t *testing.T) {
	scenarios(t, func(t *testing.T, s *scenario) {
		app := s.app(t, "new")
		whole := s.seeded(t)
		plan := prepare(t, whole, app)
		allow := migrate.Options{Allow: plan.Destructive()}
		if err := migrate.Apply(t.Context(), whole, plan, allow); err != nil {
			t.Skip("blocked on these rows: TestScenarios has the reason")
		}
		want, wantSchema := dump(t, whole, false), dump(t, whole, true)
		parts := plan.Steps[len(plan.Steps)-1].Part
		for stop := 1; stop <= parts; stop++ {
			d := s.seeded(t)
			opt := allow
			opt.AfterPart = func(part int) error {
				if part == stop {
					return errInjected
				}
				return nil
			}
			if err := migrate.Apply(t.Context(), d, prepare(t, d, app), opt); !errors.Is(err, errInjected) {
				t.Fatalf("stop after part %d: %v", stop, err)
			}
			if st, err := migrate.Inspect(t.Context(), d, app); err != nil || len(st.Drift) > 0 {
				t.Errorf("after part %d the manifest is not the schema: %q %v", stop, st.Drift, err)
			}
			for _, writes := range []string{"old.sql", "new.sql"} {
				if stop == parts && writes == "old.sql" {
					continue // the end of the way is the new model's alone
				}
				if err := rolledBack(t, d, s.get(writes)); err != nil {
					t.Errorf("after part %d, %s: %v", stop, writes, err)
				}
			}
			rest := prepare(t, d, app)
			if last := stop == parts; (rest.Resumes != 0) == last {
				t.Errorf("after part %d of %d: resumes migration %d", stop, parts, rest.Resumes)
			}
			apply(t, d, app, allow)
			settled(t, d, app)
			if got := dump(t, d, false); got != want {
				t.Errorf("rows after a stop at part %d (-whole +resumed):\n%s", stop, cmp.Diff(want, got))
			}
			if got := dump(t, d, true); got != wantSchema {
				t.Errorf("schema after a stop at part %d (-whole +resumed):\n%s", stop, cmp.Diff(wantSchema, got))
			}
		}
	})
}

// rolledBack tries statements and leaves nothing of them behind.
func rolledBack(t *testing.T, d store.Driver, text string) error {
	t.Helper()
	err := d.Write(t.Context(), func(tx store.Tx) error {
		for sql := range strings.SplitSeq(text, ";\n") {
			if strings.TrimSpace(sql) == "" {
				continue
			}
			if _, err := tx.Exec(&store.Statement{SQL: sql}, nil); err != nil {
				return fmt.Errorf("%s: %w", sql, errors.Join(err, errors.Unwrap(err)))
			}
		}
		return errInjected
	})
	if errors.Is(err, errInjected) {
		return nil
	}
	return err
}
