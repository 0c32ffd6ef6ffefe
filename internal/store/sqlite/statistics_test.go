package sqlite

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/store"
)

// TestSmallTablesAreTakenForLarge: what was a row at the last stop may be a
// million while the node runs.
func TestSmallTablesAreTakenForLarge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	plan := ""
	for range 2 {
		d, err := Open(t.Context(), Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		err = d.Write(t.Context(), func(tx store.Tx) error {
			_, err := tx.Exec(&store.Statement{SQL: `CREATE TABLE IF NOT EXISTS s (id INTEGER PRIMARY KEY, a TEXT) STRICT`}, nil)
			if err != nil {
				return err
			}
			_, err = tx.Exec(&store.Statement{SQL: `INSERT INTO s (a) VALUES ('x')`}, nil)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		plan = ""
		err = d.Read(context.Background(), false, func(r store.Reader) error {
			if err := r.Query(&store.Statement{SQL: `SELECT a FROM s WHERE id BETWEEN 5 AND 10`}, nil, func(store.Row) error { return nil }); err != nil {
				return err
			}
			return r.Query(&store.Statement{SQL: `EXPLAIN QUERY PLAN SELECT a FROM s WHERE id BETWEEN 5 AND 10`}, nil, func(row store.Row) error {
				plan += string(row.Append(nil, 3))
				return nil
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		// A stop of an earlier version left statistics of any size.
		err = d.Write(t.Context(), func(tx store.Tx) error {
			_, err := tx.Exec(&store.Statement{SQL: "ANALYZE"}, nil)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(plan, "SEARCH") {
		t.Errorf("the plan is %q", plan)
	}
}
