package queue_test

import (
	"testing"

	"github.com/pandobase/pando/internal/queue"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/teststore"
)

// BenchmarkEnqueue measures what a job adds to a transaction, without its commit.
func BenchmarkEnqueue(b *testing.B) {
	for _, kind := range []string{teststore.SQLite, teststore.Postgres} {
		b.Run(kind, func(b *testing.B) {
			d := teststore.Of(b, kind).Open(b)
			defer func() {
				if err := d.Close(); err != nil {
					b.Error(err)
				}
			}()
			q, err := queue.Open(b.Context(), queue.Config{Driver: d})
			if err != nil {
				b.Fatal(err)
			}
			defer func() {
				if err := q.Stop(b.Context()); err != nil {
					b.Error(err)
				}
			}()
			b.ReportAllocs()
			err = d.Write(b.Context(), func(tx store.Tx) error {
				for b.Loop() {
					if _, err := q.Enqueue(tx, queue.Job{Kind: "tasks.created", Args: []byte(`{"id":"0198f000-0000-7000-8000-000000000000"}`)}); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		})
	}
}
