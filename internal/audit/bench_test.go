//go:build unix

package audit_test

import (
	"strconv"
	"syscall"
	"testing"

	"github.com/pandobase/pando/internal/store"
)

// BenchmarkGroup is what a record costs among the writes that share a commit.
func BenchmarkGroup(b *testing.B) {
	for _, with := range []bool{false, true} {
		b.Run("audit="+strconv.FormatBool(with), func(b *testing.B) {
			tr := open(b)
			st := &store.Statement{SQL: `INSERT INTO "b.b" ("x") VALUES ('12345678901234567890')`}
			err := tr.driver.Write(b.Context(), func(tx store.Tx) error {
				_, err := tx.Exec(&store.Statement{SQL: `CREATE TABLE "b.b" ("id" INTEGER PRIMARY KEY, "x" TEXT)`}, nil)
				return err
			})
			if err != nil {
				b.Fatal(err)
			}
			b.SetParallelism(32)
			before := cpuTime(b)
			defer func() { b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op") }()
			b.RunParallel(func(pb *testing.PB) {
				r := number(1)
				for pb.Next() {
					err := tr.driver.Write(b.Context(), func(tx store.Tx) error {
						if _, err := tx.Exec(st, nil); err != nil || !with {
							return err
						}
						return tr.Append(tx, &r)
					})
					if err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
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
