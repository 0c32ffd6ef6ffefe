package postgres_test

import (
	"context"
	"strconv"
	"sync"
	"testing"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/postgres"
	"github.com/pandobase/pando/internal/value"
)

// TestSessionsOfTwoNodes raises one number from two nodes, by sessions and by
// plain writes: none is lost.
func TestSessionsOfTwoNodes(t *testing.T) {
	url, ctx := database(t), context.Background()
	var nodes [2]*postgres.Driver
	for i := range nodes {
		d, err := postgres.Open(ctx, postgres.Options{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		}()
		nodes[i] = d
	}
	exec := func(d *postgres.Driver, sql string) {
		t.Helper()
		st := &store.Statement{SQL: sql}
		if err := d.Write(ctx, func(tx store.Tx) error { _, err := tx.Exec(st, nil); return err }); err != nil {
			t.Fatal(err)
		}
	}
	exec(nodes[0], "CREATE TABLE counter (n bigint NOT NULL)")
	exec(nodes[0], "INSERT INTO counter VALUES (0)")
	read, set := &store.Statement{SQL: "SELECT n FROM counter"}, &store.Statement{SQL: "UPDATE counter SET n=$1"}
	raise := &store.Statement{SQL: "UPDATE counter SET n=n+1"}
	get := func(r store.Reader) (n int64, err error) {
		err = r.Query(read, nil, func(row store.Row) error { n = row.Int(0); return nil })
		return n, err
	}
	try := func(d *postgres.Driver, eager bool) error {
		s := d.Begin(ctx, store.SessionOptions{Eager: eager})
		defer s.Rollback()
		var n int64
		err := s.Read(ctx, func(r store.Reader) (err error) { n, err = get(r); return err })
		if err == nil {
			err = s.Write(ctx, func(tx store.Tx) error {
				_, err := tx.Exec(set, []value.Value{value.OfInt(n + 1)})
				return err
			})
		}
		if err == nil {
			err = s.Commit()
		}
		return err
	}
	const workers, each = 4, 15
	var wg sync.WaitGroup
	for w := range 2 * workers {
		d := nodes[w%2]
		wg.Go(func() {
			for i := range each {
				if i%3 == 2 {
					if err := d.Write(ctx, func(tx store.Tx) error { _, err := tx.Exec(raise, nil); return err }); err != nil {
						t.Error(err)
					}
					continue
				}
				err := try(d, false)
				for fault.Is(err, fault.Serialization) {
					err = try(d, true)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	var n int64
	if err := nodes[1].Read(ctx, false, func(r store.Reader) (err error) { n, err = get(r); return err }); err != nil {
		t.Fatal(err)
	}
	if n != 2*workers*each {
		t.Errorf("the number is %s, want %d", strconv.FormatInt(n, 10), 2*workers*each)
	}
}
