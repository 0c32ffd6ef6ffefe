package postgres_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
)

//nolint:gochecknoglobals // constant texts; a Statement is identified by its address
var suicide = &store.Statement{SQL: "SELECT pg_terminate_backend(pg_backend_pid())"}

// TestLostBeforeCommit: a write whose connection is lost before its COMMIT is
// done again, once, and its neighbours with it.
func TestLostBeforeCommit(t *testing.T) {
	url := database(t)
	d := open(t, url)
	psql(t, url)("CREATE TABLE n (id bigint PRIMARY KEY, v bigint NOT NULL); INSERT INTO n SELECT i, 0 FROM generate_series(1,9) AS i")
	runs := 0
	var wg sync.WaitGroup
	wg.Go(func() {
		err := d.Write(context.Background(), func(tx store.Tx) error {
			runs++
			if _, err := tx.Exec(bump, firstRow); err != nil || runs > 1 {
				return err
			}
			return tx.Query(suicide, nil, func(store.Row) error { return nil })
		})
		if err != nil {
			t.Errorf("the write: %v", err)
		}
	})
	for i := range int64(8) {
		wg.Go(func() {
			if err := change(d, i+2); err != nil {
				t.Errorf("its neighbour: %v", err)
			}
		})
	}
	wg.Wait()
	if runs != 2 {
		t.Errorf("it ran %d times", runs)
	}
	for i := range int64(9) {
		if n := valueOf(t, d, i+1); n != 1 {
			t.Errorf("row %d holds %d", i+1, n)
		}
	}
	// One that ends its connection each time is given up.
	runs = 0
	err := d.Write(context.Background(), func(tx store.Tx) error {
		runs++
		return tx.Query(suicide, nil, func(store.Row) error { return nil })
	})
	if !fault.Is(err, fault.StoreUnavailable) || runs != 2 {
		t.Errorf("after %d runs: %v", runs, err)
	}
	if err := change(d, 1); err != nil {
		t.Errorf("the next write: %v", err)
	}
}

// TestLostReads: connections that were lost while nobody used them are not
// noticed, and one that is lost in use is, if something was read already.
func TestLostReads(t *testing.T) {
	url := database(t)
	d, other := open(t, url), psql(t, url)
	other("CREATE TABLE n (id bigint PRIMARY KEY, v bigint NOT NULL); INSERT INTO n VALUES (1,7)")
	if n := valueOf(t, d, 1); n != 7 {
		t.Fatal(n)
	}
	other("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname=current_database() AND pid<>pg_backend_pid()")
	if n := valueOf(t, d, 1); n != 7 {
		t.Errorf("the row holds %d", n)
	}
	runs := 0
	look := func(r store.Reader) error {
		runs++
		err := r.Query(lookup, firstRow, func(store.Row) error { return nil })
		if err == nil && runs == 1 {
			err = r.Query(suicide, nil, func(store.Row) error { return nil })
		}
		return err
	}
	if err := d.Read(t.Context(), false, look); !fault.Is(err, fault.StoreUnavailable) || runs != 1 {
		t.Errorf("after %d runs: %v", runs, err)
	}
	runs = 0
	if err := d.ReadFrom(t.Context(), false, store.Wish{}, look); err != nil || runs != 2 {
		t.Errorf("a caller's read, after %d runs: %v", runs, err)
	}
}

// TestInDoubt: a commit that waits for a standby when its connection is lost, or
// its wait is ended, is in doubt. It is not done again.
func TestInDoubt(t *testing.T) {
	p := newPair(t, 1)
	p.open(0)
	p.must(p.primary.Synchronous("one"))
	p.must(p.standbys[0].Halt())
	const waits = "FROM pg_stat_activity WHERE wait_event='SyncRep' AND backend_type='client backend'"
	for i, end := range []string{"pg_terminate_backend", "pg_cancel_backend"} {
		done := make(chan error, 1)
		go func() { done <- change(p.d, 1) }()
		p.must(p.primary.Await("SELECT count(*)=1 " + waits))
		p.must(p.primary.Exec(p.database, "SELECT "+end+"(pid) "+waits))
		err := <-done
		if !fault.Is(err, fault.StoreUnavailable) || !strings.Contains(err.Error(), "whether the write is stored is not known") {
			t.Errorf("%s: %v", end, err)
		}
		if n := valueOf(t, p.d, 1); n != int64(i)+1 {
			t.Errorf("%s: the row holds %d", end, n)
		}
	}
	p.must(p.primary.Synchronous())
	p.must(change(p.d, 1))
	if n := valueOf(t, p.d, 1); n != 3 {
		t.Errorf("the row holds %d", n)
	}
	p.must(p.standbys[0].Restart())
}
