package postgres_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/postgres"
	"github.com/pandobase/pando/internal/value"
)

func open(t *testing.T, url string) *postgres.Driver {
	t.Helper()
	d, err := postgres.Open(t.Context(), postgres.Options{URL: url})
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

// psql runs SQL on a connection of its own.
func psql(t *testing.T, url string) func(sql string) {
	t.Helper()
	c, err := pgconn.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return func(sql string) {
		t.Helper()
		if _, err := c.Exec(context.Background(), sql).ReadAll(); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

func TestFolding(t *testing.T) { postgres.FoldsAsGo(t, open(t, database(t))) }

//nolint:gochecknoglobals // constant texts; a Statement is identified by its address
var (
	bump   = &store.Statement{SQL: "UPDATE n SET v=v+1 WHERE id=$1"}
	lookup = &store.Statement{SQL: "SELECT v FROM n WHERE id=$1"}
)

func change(d *postgres.Driver, id int64) error {
	return d.Write(context.Background(), func(tx store.Tx) error {
		tx.Keep(id)
		_, err := tx.Exec(bump, []value.Value{value.OfInt(id)})
		return err
	})
}

func valueOf(t *testing.T, d *postgres.Driver, id int64) (n int64) {
	t.Helper()
	err := d.Read(t.Context(), false, func(r store.Reader) error {
		return r.Query(lookup, []value.Value{value.OfInt(id)}, func(row store.Row) error {
			n = row.Int(0)
			return nil
		})
	})
	if err != nil {
		t.Error(err)
	}
	return n
}

// TestOpenBesideWriters sees that a node which starts waits for nobody who writes
// to Pando's own tables, and holds none of them up.
func TestOpenBesideWriters(t *testing.T) {
	url := database(t)
	open(t, url)
	sql := psql(t, url)
	sql("BEGIN")
	for _, table := range []string{"pando_idempotency", "pando_audit", "pando_jobs", "pando_outbox", "pando_event_retries"} {
		sql("LOCK TABLE " + table + " IN ROW EXCLUSIVE MODE")
	}
	opened := make(chan error, 1)
	go func() {
		d, err := postgres.Open(context.Background(), postgres.Options{URL: url})
		if err == nil {
			err = d.Close()
		}
		opened <- err
	}()
	select {
	case err := <-opened:
		if err != nil {
			t.Error(err)
		}
		sql("ROLLBACK")
	case <-time.After(10 * time.Second):
		t.Error("it waits for a transaction that goes on")
		sql("ROLLBACK")
		if err := <-opened; err != nil {
			t.Error(err)
		}
	}
}

// TestLockWait sees that a write which waits for somebody else's lock leaves
// its group: others commit meanwhile, and it goes on when the lock is free.
func TestLockWait(t *testing.T) {
	url := database(t)
	d, other := open(t, url), psql(t, url)
	var mu sync.Mutex
	before, committed, undone := 0, 0, 0
	d.OnCommit(func(store.Tx, []any) error {
		mu.Lock()
		defer mu.Unlock()
		before++
		return nil
	}, func(ok bool) {
		mu.Lock()
		defer mu.Unlock()
		if ok {
			committed++
		} else {
			undone++
		}
	})
	other("CREATE TABLE n (id bigint PRIMARY KEY, v bigint NOT NULL); INSERT INTO n SELECT i, 0 FROM generate_series(1,9) AS i")
	other("BEGIN; UPDATE n SET v=10 WHERE id=1")
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := change(d, 1); err != nil {
			t.Errorf("the write that waits: %v", err)
		}
	})
	for id := range int64(8) {
		wg.Go(func() {
			if err := change(d, id+2); err != nil {
				t.Error(err)
			}
		})
	}
	for id := range int64(8) {
		for valueOf(t, d, id+2) == 0 && !t.Failed() { // they end while the lock is held, or never
		}
	}
	other("COMMIT")
	wg.Wait()
	if n := valueOf(t, d, 1); n != 11 {
		t.Errorf("the row that was locked holds %d, want 11", n)
	}
	if before != committed || committed == 0 {
		t.Errorf("%d transactions were completed, %d committed, %d undone", before, committed, undone)
	}
}

// TestLockWaitEnds sees that a context ends the wait for a lock.
func TestLockWaitEnds(t *testing.T) {
	url := database(t)
	d, other := open(t, url), psql(t, url)
	other("CREATE TABLE n (id bigint PRIMARY KEY, v bigint NOT NULL); INSERT INTO n VALUES (1,0)")
	other("BEGIN; UPDATE n SET v=10 WHERE id=1")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err := d.Write(ctx, func(tx store.Tx) error {
		_, err := tx.Exec(bump, []value.Value{value.OfInt(1)})
		return err
	})
	if !fault.Is(err, fault.QueryCanceled) {
		t.Errorf("the write ended with %v", err)
	}
	other("ROLLBACK")
	if n := valueOf(t, d, 1); n != 0 {
		t.Errorf("the row holds %d, want 0", n)
	}
}

// TestFailedStatement sees that a statement that fails takes nothing along of
// what the write did before, with and without company.
func TestFailedStatement(t *testing.T) {
	url := database(t)
	d, other := open(t, url), psql(t, url)
	other("CREATE TABLE n (id bigint PRIMARY KEY, v bigint NOT NULL)")
	insert := &store.Statement{SQL: "INSERT INTO n VALUES ($1,$2)"}
	var wg sync.WaitGroup
	for id := range int64(20) {
		wg.Go(func() {
			err := d.Write(t.Context(), func(tx store.Tx) error {
				for _, v := range []int64{1, 2, 3} { // the second and third are refused
					_, err := tx.Exec(insert, []value.Value{value.OfInt(id), value.OfInt(v)})
					if (v > 1) != fault.Is(err, fault.Unique) {
						return err
					}
				}
				return tx.Savepoint(func() error {
					_, err := tx.Exec(bump, []value.Value{value.OfInt(id)})
					return err
				})
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for id := range int64(20) {
		if n := valueOf(t, d, id); n != 2 {
			t.Errorf("row %d holds %d, want 2", id, n)
		}
	}
}

// TestLostConnections sees that the driver heals when the server ends its
// connections.
func TestLostConnections(t *testing.T) {
	url := database(t)
	d, other := open(t, url), psql(t, url)
	other("CREATE TABLE n (id bigint PRIMARY KEY, v bigint NOT NULL); INSERT INTO n VALUES (1,0)")
	if err := change(d, 1); err != nil {
		t.Fatal(err)
	}
	valueOf(t, d, 1)
	other("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname=current_database() AND pid<>pg_backend_pid()")
	healed := func(what string, fn func() error) {
		for range 20 { // each lost connection may fail once
			err := fn()
			if err == nil {
				return
			}
			if !fault.Is(err, fault.StoreUnavailable) {
				t.Errorf("%s on a lost connection: %v", what, err)
			}
		}
		t.Errorf("%s does not heal", what)
	}
	healed("a read", func() error { return d.Ping(t.Context()) })
	healed("a write", func() error { return change(d, 1) })
	if n := valueOf(t, d, 1); n != 2 {
		t.Errorf("the row holds %d, want 2", n)
	}
}

// TestForeignSchemaChange sees that a statement prepared before another node
// changed the schema is prepared anew.
func TestForeignSchemaChange(t *testing.T) {
	url := database(t)
	d, other := open(t, url), psql(t, url)
	other("CREATE TABLE n (id bigint PRIMARY KEY, v bigint NOT NULL); INSERT INTO n VALUES (1,7)")
	all := &store.Statement{SQL: "SELECT * FROM n"}
	for round := range 2 {
		err := d.Read(t.Context(), false, func(r store.Reader) error {
			return r.Query(all, nil, func(row store.Row) error {
				if row.Int(1) != 7 {
					t.Errorf("round %d: the row holds %d", round, row.Int(1))
				}
				return nil
			})
		})
		if err != nil {
			t.Error(err)
		}
		if round == 0 {
			other("ALTER TABLE n ALTER COLUMN v TYPE integer")
		}
	}
}

// TestRefusedServers opens what cannot be served.
func TestRefusedServers(t *testing.T) {
	url := database(t)
	psql(t, url)("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
	latin := strings.Replace(url, url[strings.Index(url, "@/"):strings.Index(url, "?")], "@/latin", 1)
	for name, c := range map[string]struct {
		url  string
		want fault.Code // what only a person can put right is a fault of the configuration
	}{
		"no URL":           {"postgres://user:s3cret@[", fault.ConfigInvalid},
		"nobody there":     {"postgres://pando@/x?host=/nowhere&sslmode=disable", fault.StoreUnavailable},
		"no database":      {strings.Replace(latin, "latin", "missing", 1), fault.ConfigInvalid},
		"another encoding": {latin, fault.ConfigInvalid},
	} {
		d, err := postgres.Open(t.Context(), postgres.Options{URL: c.url})
		if !fault.Is(err, c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
		if err != nil && strings.Contains(fault.From(err).Message+fault.From(err).Details+fault.From(err).Hint, "s3cret") {
			t.Errorf("%s: the password is shown: %v", name, err)
		}
		if d != nil {
			t.Error(errors.Join(errors.New(name+": it opened"), d.Close()))
		}
	}
}

// TestFailsUnsent sees that a write which fails before it has sent anything
// fails alone: the group's begin is still held back then.
func TestFailsUnsent(t *testing.T) {
	url := database(t)
	d, other := open(t, url), psql(t, url)
	other("CREATE TABLE n (id bigint PRIMARY KEY, v bigint NOT NULL); INSERT INTO n SELECT i, 0 FROM generate_series(0,19) AS i")
	var wg, coming sync.WaitGroup
	coming.Add(40)
	wg.Go(func() { // holds the writer until the others are on their way, so that they make groups
		if err := d.Write(t.Context(), func(store.Tx) error { coming.Wait(); return nil }); err != nil {
			t.Error(err)
		}
	})
	for id := range int64(20) {
		wg.Go(func() {
			coming.Done()
			if err := d.Write(t.Context(), func(store.Tx) error { return errors.New("refused") }); err == nil || err.Error() != "refused" {
				t.Errorf("the write that fails: %v", err)
			}
		})
		wg.Go(func() {
			coming.Done()
			if err := change(d, id); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for id := range int64(20) {
		if n := valueOf(t, d, id); n != 1 {
			t.Errorf("row %d holds %d, want 1", id, n)
		}
	}
}
