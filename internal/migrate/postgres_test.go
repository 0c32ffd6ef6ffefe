package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/migrate"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/postgres"
	"github.com/pandobase/pando/internal/store/postgres/pgtest"
	"github.com/rogpeppe/go-internal/txtar"
)

// server is the instance of all tests, or why there is none.
//
//nolint:gochecknoglobals // started once for the binary
var (
	server  = sync.OnceValues(func() (*pgtest.Server, error) { started = true; return pgtest.Start(false) })
	started bool // read when all tests have ended
)

func TestMain(m *testing.M) {
	code := m.Run()
	if started {
		if s, err := server(); err == nil {
			if err := s.Stop(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = 1
			}
		}
	}
	os.Exit(code)
}

// database creates an empty PostgreSQL database and returns its URL.
func database(t *testing.T) string {
	t.Helper()
	s, err := server()
	if errors.Is(err, pgtest.ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	url, err := s.Database()
	if err != nil {
		t.Fatal(err)
	}
	return url
}

func openPostgres(t *testing.T, url string) *postgres.Driver {
	t.Helper()
	d, err := postgres.Open(context.Background(), postgres.Options{URL: url})
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

// The ways to change a table: at once, as a small one, and in stages.
//
//nolint:gochecknoglobals // a constant table
var ways = []struct {
	name     string
	planning migrate.Planning
}{{"at once", migrate.Planning{}}, {"in stages", migrate.Planning{Direct: -1}}}

func plan(t *testing.T, d store.Driver, how migrate.Planning, app *model.App) *migrate.Plan {
	t.Helper()
	p, err := how.Prepare(t.Context(), d, app)
	if err != nil {
		t.Fatal(err, errors.Unwrap(err))
	}
	return p
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		f := fault.From(err)
		t.Fatalf("%s: %s; %s; %v", f.Code, f.Message, f.Details, errors.Unwrap(err))
	}
}

// rowsOf and schemaOf are what a database holds.
func rowsOf(t *testing.T, d store.Driver) string {
	t.Helper()
	var tables []string
	texts(t, d, `SELECT DISTINCT quote_ident(n.nspname)||'.'||quote_ident(c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid=c.relnamespace WHERE c.relkind='r' AND n.nspname='m' ORDER BY 1`, &tables)
	var out []string
	for _, table := range tables {
		texts(t, d, `SELECT '`+table+` '||(to_jsonb(row_)-'tag'-'seen')::text||coalesce(' '||left((to_jsonb(row_)->>'tag')::uuid::text,0),'') FROM `+table+` row_ ORDER BY 1`, &out)
	}
	return strings.Join(out, "\n") + "\n"
}

func schemaOf(t *testing.T, d store.Driver) string {
	t.Helper()
	var out []string
	texts(t, d, `SELECT c.relname||'.'||a.attname||' '||format_type(a.atttypid,a.atttypmod)||CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
		FROM pg_attribute a JOIN pg_class c ON c.oid=a.attrelid JOIN pg_namespace n ON n.oid=c.relnamespace WHERE n.nspname='m' AND c.relkind='r' AND a.attnum>0 AND NOT a.attisdropped
		UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname='m' AND NOT (indexname LIKE '%.%' AND tablename LIKE '%.%')
		UNION ALL SELECT conrelid::regclass||' '||conname||' '||pg_get_constraintdef(k.oid) FROM pg_constraint k JOIN pg_namespace n ON n.oid=k.connamespace WHERE n.nspname='m'
		UNION ALL SELECT tgrelid::regclass||' '||tgname FROM pg_trigger WHERE NOT tgisinternal AND tgrelid::regclass::text LIKE 'm.%'
		UNION ALL SELECT 'function '||proname FROM pg_proc p JOIN pg_namespace n ON n.oid=p.pronamespace WHERE n.nspname='m'
		ORDER BY 1`, &out)
	return strings.Join(out, "\n") + "\n"
}

func texts(t *testing.T, d store.Driver, sql string, out *[]string) {
	t.Helper()
	err := d.Read(t.Context(), true, func(r store.Reader) error {
		return r.Query(&store.Statement{SQL: sql}, nil, func(row store.Row) error {
			*out = append(*out, string(row.Append(nil, 0)))
			return nil
		})
	})
	if err != nil {
		t.Fatal(err, errors.Unwrap(err))
	}
}

func (s *scenario) seededOn(t *testing.T, d store.Driver) {
	t.Helper()
	must(t, migrate.Apply(t.Context(), d, plan(t, d, migrate.Planning{}, s.app(t, "old")), migrate.Options{}))
	if err := exec(t, d, s.get("rows.sql")); err != nil {
		t.Fatal(err)
	}
}

func postgresScenarios(t *testing.T, run func(t *testing.T, s *scenario)) {
	t.Helper()
	paths, err := filepath.Glob("testdata/postgres/*.txtar")
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

// TestPostgres: both ways lead to the rows of the scenario and to the schema
// that a new store gets.
func TestPostgres(t *testing.T) {
	postgresScenarios(t, func(t *testing.T, s *scenario) {
		app := s.app(t, "new")
		fresh := openPostgres(t, database(t))
		must(t, migrate.Apply(t.Context(), fresh, plan(t, fresh, migrate.Planning{}, app), migrate.Options{}))
		want := schemaOf(t, fresh)
		for _, way := range ways {
			d := openPostgres(t, database(t))
			s.seededOn(t, d)
			p := plan(t, d, way.planning, app)
			s.golden(t, way.name, p.String())
			opt := migrate.Options{Allow: p.Destructive()}
			if slices.ContainsFunc(p.Steps, func(s *migrate.Step) bool { return s.Locks != "" }) {
				if err := migrate.Apply(t.Context(), d, p, opt); !fault.Is(err, fault.MigrationRefused) {
					t.Errorf("a step that locks was not refused: %v", err)
				}
				opt.AllowLock = true
			}
			must(t, migrate.Apply(t.Context(), d, p, opt))
			settled(t, d, app)
			s.golden(t, "after", rowsOf(t, d))
			if diff := cmp.Diff(want, schemaOf(t, d)); diff != "" {
				t.Errorf("%s: schema (-new store +migrated):\n%s", way.name, diff)
			}
		}
		if *update {
			if err := os.WriteFile(s.path, txtar.Format(s.archive), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestPostgresInterrupted stops each migration before each of its stages, and
// after each of its parts. What stands then takes the writes of the models that
// it is to take, going on reaches the same rows and schema, and so does going
// back as long as nothing but stages has been run.
func TestPostgresInterrupted(t *testing.T) {
	postgresScenarios(t, func(t *testing.T, s *scenario) {
		app := s.app(t, "new")
		seeded := openPostgres(t, database(t))
		s.seededOn(t, seeded)
		before := schemaOf(t, seeded)
		points := s.points(t, seeded)
		wantRows, wantSchema := rowsOf(t, seeded), schemaOf(t, seeded)
		for n := range points {
			if os.Getenv("PANDO_MIGRATION_ROWS") == "" && n%4 != len(s.path)%4 { // a few of them each time are enough
				continue
			}
			d := openPostgres(t, database(t))
			s.seededOn(t, d)
			opt, at := stopAt(n)
			p := plan(t, d, ways[1].planning, app)
			opt.Allow, opt.AllowLock = p.Destructive(), true
			if err := migrate.Apply(t.Context(), d, p, opt); !errors.Is(err, errInjected) {
				t.Fatalf("stop at %d: %v", n, err)
			}
			if st, err := migrate.Inspect(t.Context(), d, app); err != nil || len(st.Drift) > 0 {
				t.Errorf("at %s the manifest is not the schema: %q %v", *at, st.Drift, err)
			}
			if !dropped(p, *at) {
				if err := rolledBack(t, d, s.get("old.sql")); err != nil {
					t.Errorf("at %s, old.sql: %v", *at, err)
				}
			}
			if complete(t, d, app) {
				if err := rolledBack(t, d, s.get("new.sql")); err != nil {
					t.Errorf("at %s, new.sql: %v", *at, err)
				}
			}
			if at1 := strings.HasPrefix(*at, "stage of part 1:"); at1 {
				must(t, migrate.Apply(t.Context(), d, plan(t, d, ways[1].planning, s.app(t, "old")), migrate.Options{}))
				if diff := cmp.Diff(before, schemaOf(t, d)); diff != "" {
					t.Errorf("back from %s: schema (-before +after):\n%s", *at, diff)
				}
			}
			p = plan(t, d, ways[1].planning, app)
			must(t, migrate.Apply(t.Context(), d, p, migrate.Options{Allow: p.Destructive(), AllowLock: true}))
			settled(t, d, app)
			if diff := cmp.Diff(wantRows, rowsOf(t, d)); diff != "" {
				t.Errorf("rows after a stop at %s (-whole +resumed):\n%s", *at, diff)
			}
			if diff := cmp.Diff(wantSchema, schemaOf(t, d)); diff != "" {
				t.Errorf("schema after a stop at %s (-whole +resumed):\n%s", *at, diff)
			}
		}
	})
}

// dropped reports whether a plan has dropped what the old model names.
func dropped(p *migrate.Plan, at string) bool {
	var done int
	_, _ = fmt.Sscanf(at, "part %d", &done)
	if done == 0 {
		_, _ = fmt.Sscanf(at, "stage of part %d", &done)
	}
	return slices.ContainsFunc(p.Steps, func(s *migrate.Step) bool { return s.Part <= done && strings.HasPrefix(s.Title, "drop m.") })
}

// complete reports whether what is left to expand is indexes.
func complete(t *testing.T, d store.Driver, app *model.App) bool {
	t.Helper()
	rest := plan(t, d, migrate.Planning{Expand: true, Direct: -1}, app)
	return !slices.ContainsFunc(rest.Steps, func(s *migrate.Step) bool { return !strings.Contains(s.Title, ": index (") })
}

// points runs the whole migration and counts where it can be stopped.
func (s *scenario) points(t *testing.T, d store.Driver) int {
	t.Helper()
	opt, _ := stopAt(-1)
	n := 0
	before, after := opt.BeforeStage, opt.AfterPart
	opt.BeforeStage = func(st store.Stage) error { n++; return before(st) }
	opt.AfterPart = func(part int) error { n++; return after(part) }
	p := plan(t, d, ways[1].planning, s.app(t, "new"))
	opt.Allow, opt.AllowLock = p.Destructive(), true
	must(t, migrate.Apply(t.Context(), d, p, opt))
	return n
}

// stopAt stops at the n-th point, and says where that is.
func stopAt(n int) (migrate.Options, *string) {
	var at string
	count, part := 0, 1
	stop := func(where string) error {
		if count++; count-1 == n {
			at = where
			return errInjected
		}
		return nil
	}
	return migrate.Options{
		BeforeStage: func(st store.Stage) error { return stop(fmt.Sprintf("stage of part %d: %s", part, st.Title())) },
		AfterPart:   func(p int) error { part = p + 1; return stop(fmt.Sprintf("part %d", p)) },
	}, &at
}
