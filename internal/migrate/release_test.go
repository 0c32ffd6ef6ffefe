package migrate_test

import (
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/migrate"
	"github.com/pandobase/pando/internal/store"
)

// TestTwoReleases expands for a new release while the old one still starts and
// writes, and contracts when that is gone.
func TestTwoReleases(t *testing.T) {
	old := load(t, before)
	next := load(t, strings.Replace(after, "n: { type: text }", "n: { type: int }", 1))
	run := func(t *testing.T, d store.Driver, table string, how migrate.Planning) {
		t.Helper()
		apply(t, d, old, migrate.Options{})
		if err := exec(t, d, "INSERT INTO "+table+" (id, a, n, gone) VALUES (1, 'one fish', 1, 'kept')"); err != nil {
			t.Fatal(err)
		}
		how.Expand = true
		p := plan(t, d, how, next)
		if len(p.Held) == 0 || strings.Contains(p.String(), "DROP COLUMN") {
			t.Fatalf("the plan does not hold back what drops:\n%s", p)
		}
		must(t, migrate.Apply(t.Context(), d, p, migrate.Options{}))

		if p := plan(t, d, migrate.Planning{}, old); !p.Superseded() {
			t.Errorf("the old release does not know the schema of the new one:\n%s", p)
		}
		if err := exec(t, d, "INSERT INTO "+table+" (id, a, n, gone) VALUES (2, 'two fish', 2, 'x');\nUPDATE "+table+" SET a = 'red fish' WHERE id = 1"); err != nil {
			t.Errorf("the old release cannot write: %v", err)
		}
		if p := plan(t, d, migrate.Planning{}, next); p.Superseded() || !p.HoldsBack() || p.Empty() {
			t.Errorf("what is held back is not pending:\n%s", p)
		}
		if p := plan(t, d, how, next); !p.Empty() {
			t.Errorf("the new release has more to expand:\n%s", p)
		}

		how.Expand = false
		p = plan(t, d, how, next)
		must(t, migrate.Apply(t.Context(), d, p, migrate.Options{Allow: p.Destructive()}))
		settled(t, d, next)
		if plan(t, d, migrate.Planning{}, old).Superseded() {
			t.Error("the old release believes that it works without its field")
		}
		if plan(t, d, migrate.Planning{}, next).HoldsBack() {
			t.Error("something is still held back")
		}
	}
	t.Run("sqlite", func(t *testing.T) { run(t, open(t), `"m.t"`, migrate.Planning{}) })
	for _, way := range ways {
		t.Run("postgres "+way.name, func(t *testing.T) {
			d := openPostgres(t, database(t))
			run(t, d, "m.t", way.planning)
			var found []string
			texts(t, d, `SELECT id::text FROM m.t WHERE "a.search" @@ 'fish' AND "a.search" @@ CASE id WHEN 1 THEN 'red' ELSE 'two' END::tsquery ORDER BY 1`, &found)
			if strings.Join(found, " ") != "1 2" {
				t.Errorf("a search finds %q of what the old release wrote", found)
			}
		})
	}
}
