//go:build unix

package outbox_test

import (
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/pandobase/pando/internal/outbox"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/teststore"
)

// BenchmarkAppend is what an event costs a durable create.
func BenchmarkAppend(b *testing.B) {
	for _, with := range []bool{false, true} {
		for _, parallel := range []int{1, 32} {
			b.Run("event="+strconv.FormatBool(with)+"/writers="+strconv.Itoa(parallel), func(b *testing.B) {
				d := teststore.Open(b)
				o := open(b, d, outbox.Config{MaxBacklog: 1 << 40})
				err := d.Alter(b.Context(), func(tx store.Tx) error {
					_, err := tx.Exec(&store.Statement{SQL: `CREATE TABLE "b.b" ("id" text PRIMARY KEY, "x" text, "y" text)`}, nil)
					return err
				})
				if err != nil {
					b.Fatal(err)
				}
				st := &store.Statement{SQL: `INSERT INTO "b.b" VALUES (` + map[bool]string{true: `gen_random_uuid()::text`, false: `lower(hex(randomblob(16)))`}[teststore.Kind(b) == teststore.Postgres] + `,'12345678901234567890','12345678901234567890')`}
				var wg sync.WaitGroup
				b.ReportAllocs()
				b.ResetTimer()
				before := cpuTime(b)
				for w := range parallel {
					wg.Go(func() {
						for i := w; i < b.N; i += parallel {
							err := d.Write(b.Context(), func(tx store.Tx) error {
								if _, err := tx.Exec(st, nil); err != nil || !with {
									return err
								}
								return o.Append(tx, event(i))
							})
							if err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
			})
		}
	}
}

// cpuTime is what the process has used, in nanoseconds.
func cpuTime(b *testing.B) int64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
