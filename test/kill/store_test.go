package kill

import (
	"testing"

	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/sqlite"
)

// checkStore compares the database file with what the writers know.
func checkStore(t *testing.T, path string, c *crew) {
	t.Helper()
	d, err := sqlite.Open(t.Context(), sqlite.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := d.Check(t.Context()); err != nil {
		t.Error("integrity:", err)
	}
	checkRows(t, d, c)
}

// checkRows compares what a store holds with what the writers know.
func checkRows(t *testing.T, d store.Driver, c *crew) {
	t.Helper()
	entries, accounts := d.Dialect().Table("ledger", "entries"), d.Dialect().Table("ledger", "accounts")
	err := d.Read(t.Context(), true, func(r store.Reader) error {
		stored := map[int]map[int]int{} // number -> part -> how often
		err := r.Query(&store.Statement{SQL: "SELECT number, part FROM " + entries}, nil, func(row store.Row) error {
			number, part := int(row.Int(0)), int(row.Int(1))
			if stored[number] == nil {
				stored[number] = map[int]int{}
			}
			stored[number][part]++
			return nil
		})
		if err != nil {
			return err
		}
		for i := range c.preloaded {
			if len(stored[-1-i]) != 1 || stored[-1-i][0] != 1 {
				t.Errorf("the imported row %d is there %v times", i, stored[-1-i])
			}
			delete(stored, -1-i)
		}
		balances := map[string]int{}
		err = r.Query(&store.Statement{SQL: "SELECT id, balance FROM " + accounts}, nil, func(row store.Row) error {
			balances[string(row.Append(nil, 0))] = int(row.Int(1))
			return nil
		})
		if err != nil {
			return err
		}
		for _, problem := range c.compare(stored, balances) {
			t.Error(problem)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
