// Package teststore gives tests of the rooms above the drivers an empty store
// of the kind that PANDO_TEST_STORE names, so that one test holds for both. A
// test binary starts at most one PostgreSQL, when its first test asks for it;
// it is gone when the binary is.
package teststore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/postgres"
	"github.com/pandobase/pando/internal/store/postgres/pgtest"
	"github.com/pandobase/pando/internal/store/sqlite"
)

// Variable names the kind of the stores; without it they are SQLite's.
const Variable = "PANDO_TEST_STORE"

// The kinds of stores.
const (
	SQLite   = "sqlite"
	Postgres = "postgres"
)

// Kind is the kind of store that this run of the tests is about.
func Kind(t testing.TB) string {
	t.Helper()
	switch kind := os.Getenv(Variable); kind {
	case "", SQLite:
		return SQLite
	case Postgres:
		return Postgres
	default:
		t.Fatalf("%s=%q: it is %s or %s", Variable, kind, SQLite, Postgres)
		return ""
	}
}

// Only skips the test on other kinds of stores, and says why.
func Only(t testing.TB, kind, because string) {
	t.Helper()
	if Kind(t) != kind {
		t.Skipf("about %s alone: %s", kind, because)
	}
}

// Database is an empty database, which can be opened more than once. Its zero
// value is none.
type Database struct {
	// Path is SQLite's file; empty on other stores.
	Path string
	url  string
}

// New makes an empty database for a test. It is gone when the test is.
func New(t testing.TB) Database {
	t.Helper()
	return Of(t, Kind(t))
}

// Of is New with a kind of its own.
func Of(t testing.TB, kind string) Database {
	t.Helper()
	if kind == SQLite {
		return Database{Path: filepath.Join(t.TempDir(), "test.db")}
	}
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
	return Database{url: url}
}

//nolint:gochecknoglobals // started once for the binary
var server = sync.OnceValues(func() (*pgtest.Server, error) { return pgtest.Start(false) })

// Open opens the database. Who calls it closes the driver.
func (d Database) Open(t testing.TB) store.Driver {
	t.Helper()
	var driver store.Driver
	var err error
	if d.url == "" {
		driver, err = sqlite.Open(context.Background(), sqlite.Options{Path: d.Path})
	} else {
		driver, err = postgres.Open(context.Background(), postgres.Options{URL: d.url})
	}
	if err != nil {
		t.Fatal(err)
	}
	return driver
}

// Open makes an empty database, opens it, and closes it when the test ends:
// after what the test has registered to happen then.
func Open(t testing.TB) store.Driver {
	t.Helper()
	d := New(t).Open(t)
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}
