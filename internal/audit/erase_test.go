package audit_test

import (
	"bytes"
	"os"
	"strconv"
	"testing"

	"github.com/pandobase/pando/internal/audit"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/teststore"
)

// TestErasedKeysAreOverwritten: after an erasure and a stop, the key is nowhere
// in the database's files, not even in what its pages have free.
func TestErasedKeysAreOverwritten(t *testing.T) {
	teststore.Only(t, teststore.SQLite, "PostgreSQL overwrites what is deleted when it vacuums")
	tr := open(t)
	for i := range 300 {
		tr.write(caller("u" + strconv.Itoa(i)))
	}
	keys := map[string][]byte{}
	err := tr.driver.Read(t.Context(), false, func(r store.Reader) error {
		return r.Query(&store.Statement{SQL: `SELECT "subject","key" FROM "pando_audit_subjects"`}, nil, func(row store.Row) error {
			keys[string(row.Append(nil, 0))] = row.Append(nil, 1)
			return nil
		})
	})
	if err != nil || len(keys) != 300 {
		t.Fatal(len(keys), err)
	}
	by := audit.FromIdentity(&policy.Identity{Role: policy.Service})
	for i := range 100 {
		if there, err := tr.Erase(t.Context(), by, "u"+strconv.Itoa(3*i)); err != nil || !there {
			t.Fatal(there, err)
		}
	}
	tr.end()
	defer tr.start()
	for _, path := range []string{tr.db.Path, tr.db.Path + "-wal"} {
		file, err := os.ReadFile(path)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		for i := range 300 {
			subject := "u" + strconv.Itoa(i)
			if bytes.Contains(file, keys[subject]) && i%3 == 0 {
				t.Errorf("the key of %s is still in %s", subject, path)
			}
		}
	}
}
