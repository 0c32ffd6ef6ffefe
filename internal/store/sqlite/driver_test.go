package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/sqlite"
)

// TestDurable: whatever Open relaxes for itself, commits wait for the disk.
func TestDurable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	for range 2 { // a new file, and one that is there
		d, err := sqlite.Open(t.Context(), sqlite.Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		const full = 2
		for name, transact := range map[string]func(func(store.Tx) error) error{
			"Write": func(fn func(store.Tx) error) error { return d.Write(t.Context(), fn) },
			"Alter": func(fn func(store.Tx) error) error { return d.Alter(t.Context(), fn) },
		} {
			var got int64
			err := transact(func(tx store.Tx) error {
				return tx.Query(&store.Statement{SQL: "PRAGMA synchronous"}, nil, func(r store.Row) error {
					got = r.Int(0)
					return nil
				})
			})
			if err != nil || got != full {
				t.Errorf("%s: synchronous is %d, %v", name, got, err)
			}
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}
