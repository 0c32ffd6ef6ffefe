package postgres_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// TestSharedReads lets reads meet that share messages: those that are quick,
// one that turns out slow, and ones that fail. Each gets its own answer.
func TestSharedReads(t *testing.T) {
	url := database(t)
	d, other := open(t, url), psql(t, url)
	other("CREATE TABLE n (id bigint PRIMARY KEY, v bigint NOT NULL); INSERT INTO n SELECT i, 10*i FROM generate_series(1,100) AS i")
	turns := &store.Statement{SQL: "SELECT 100/($1::bigint % 10), pg_sleep(CASE WHEN $1 % 37 = 0 THEN 0.3 ELSE 0 END)::text"}
	var wg sync.WaitGroup
	for worker := range int64(24) {
		wg.Go(func() {
			for i := range int64(60) {
				id := (worker*7+i)%100 + 1
				if n := valueOf(t, d, id); n != 10*id {
					t.Errorf("row %d holds %d", id, n)
				}
				var n int64
				err := d.Read(t.Context(), false, func(r store.Reader) error {
					return r.Query(turns, []value.Value{value.OfInt(id)}, func(row store.Row) error {
						n = row.Int(0)
						return nil
					})
				})
				if by := id % 10; by == 0 && !fault.Is(err, fault.DivisionByZero) || by != 0 && (err != nil || n != 100/by) {
					t.Errorf("100 by %d is %d, %v", by, n, err)
				}
			}
		})
	}
	wg.Wait()
}

// TestExhausted sees that a node whose connections are all at work says so
// soon, and is alive.
func TestExhausted(t *testing.T) {
	d := open(t, database(t))
	ctx, cancel := context.WithCancel(t.Context())
	var wg, busy sync.WaitGroup
	held := make(chan struct{})
	const most = 64 // more than there are connections
	for range most {
		busy.Add(1)
		wg.Go(func() {
			once := sync.OnceFunc(busy.Done)
			defer once()
			err := d.Read(ctx, true, func(r store.Reader) error {
				once()
				<-held
				return nil
			})
			if err != nil && !fault.Is(err, fault.TooManyConns) {
				t.Error(err)
			}
		})
	}
	begin := time.Now()
	if err := d.Ping(t.Context()); err != nil {
		t.Errorf("the store is not alive: %v", err)
	}
	busy.Wait() // each holds a connection or was refused
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("the last one was refused after %v", took)
	}
	if err := d.Ping(t.Context()); err != nil {
		t.Errorf("the store is not alive: %v", err)
	}
	close(held)
	wg.Wait()
	cancel()
	if err := d.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}
