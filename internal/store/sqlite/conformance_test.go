package sqlite_test

import (
	"context"
	"path/filepath"
	"sync"
	"testing"

	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/sqlite"
	"github.com/pandobase/pando/internal/store/storetest"
)

func TestConformance(t *testing.T) { storetest.Run(t, opener()) }

// opener opens one file for each test, however often the test asks.
func opener() storetest.Open {
	var mu sync.Mutex
	dirs := map[*testing.T]string{}
	return func(t *testing.T) store.Driver {
		t.Helper()
		mu.Lock()
		dir, ok := dirs[t]
		if !ok {
			dir = t.TempDir()
			dirs[t] = dir
		}
		mu.Unlock()
		d, err := sqlite.Open(context.Background(), sqlite.Options{Path: filepath.Join(dir, "test.db")})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
}

// TestAgreesWithMemory asks random queries; PANDO_METAMORPHIC says how many.
func TestAgreesWithMemory(t *testing.T) { storetest.Agree(t, opener()) }
