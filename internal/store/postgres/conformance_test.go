package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/postgres"
	"github.com/pandobase/pando/internal/store/postgres/pgtest"
	"github.com/pandobase/pando/internal/store/storetest"
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

func TestConformance(t *testing.T) { storetest.Run(t, opener()) }

// TestAgreesWithMemory asks random queries; PANDO_METAMORPHIC says how many.
func TestAgreesWithMemory(t *testing.T) { storetest.Agree(t, opener()) }

// opener opens one database for each test, however often the test asks.
func opener() storetest.Open { return openerOf(database) }

func openerOf(database func(*testing.T) string) storetest.Open {
	var mu sync.Mutex
	urls := map[*testing.T]string{}
	of := func(t *testing.T) string {
		t.Helper()
		mu.Lock()
		defer mu.Unlock() // database may end the test
		url, ok := urls[t]
		if !ok {
			url = database(t)
			urls[t] = url
		}
		return url
	}
	return func(t *testing.T) store.Driver {
		t.Helper()
		d, err := postgres.Open(context.Background(), postgres.Options{URL: of(t)})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
}

// database creates an empty database and returns its URL.
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
