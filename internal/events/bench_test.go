//go:build unix

package events_test

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/events"
	"github.com/pandobase/pando/internal/outbox"
	"github.com/pandobase/pando/internal/store"
)

// counting is a consumer that does nothing but count, with the inbox.
func counting(name string, at func(d *events.Delivery)) events.Consumer {
	return events.Consumer{Name: name, Batch: 512, Apply: func(_ context.Context, _ store.Tx, batch []events.Delivery) error {
		for i := range batch {
			at(&batch[i])
		}
		return nil
	}}
}

// BenchmarkThroughput is how fast events that wait in the outbox reach a consumer
// with an inbox, one event an iteration.
func BenchmarkThroughput(b *testing.B) {
	w := newWorld(b)
	var got atomic.Int64
	n := w.outbox(outbox.Config{MaxBacklog: 1 << 40, AlarmAge: time.Hour, AlarmAt: 1 << 40})
	n.broker = w.embedded()
	for from := 0; from < b.N; from += 256 {
		err := n.driver.Write(b.Context(), func(tx store.Tx) error {
			list := make([]*outbox.Event, 0, 256)
			for i := from; i < min(b.N, from+256); i++ {
				list = append(list, &outbox.Event{Type: "t.changed", Key: "t.rows/" + strconv.Itoa(i%1000), Data: json.RawMessage(`{"row":{"id":1,"name":"a name of some length","status":"paid"}}`)})
			}
			return n.box.Append(tx, list...)
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	before := cpuTime(b)
	n.begin(events.Config{}, counting("c", func(*events.Delivery) { got.Add(1) }))
	for got.Load() < int64(b.N) {
		time.Sleep(time.Millisecond) // between two looks
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
	n.end()
}

// BenchmarkLatency is the time from a write's call, and from its return, to the
// consumer, at 1,000 writes a second by 50 writers. One iteration is one write.
func BenchmarkLatency(b *testing.B) {
	w := newWorld(b)
	var mu sync.Mutex
	var fromCall []time.Duration
	seen := func(d *events.Delivery) {
		mu.Lock()
		fromCall = append(fromCall, time.Since(d.Time))
		mu.Unlock()
	}
	n := w.start(counting("c", seen))
	const writers, rate = 50, 1000
	writes := make([]time.Duration, b.N)
	var wg sync.WaitGroup
	start := time.Now()
	b.ResetTimer()
	for k := range writers {
		wg.Go(func() {
			for i := k; i < b.N; i += writers {
				time.Sleep(time.Until(start.Add(time.Duration(i) * time.Second / rate))) // the rate
				begin := time.Now()
				if err := n.touch(b.Context(), strconv.Itoa(i%200)); err != nil {
					b.Error(err)
				}
				writes[i] = time.Since(begin)
			}
		})
	}
	wg.Wait()
	eventually(b, "all are there", func() bool { mu.Lock(); defer mu.Unlock(); return len(fromCall) >= b.N })
	b.StopTimer()
	report := func(list []time.Duration, name string) {
		slices.Sort(list)
		for _, p := range []int{50, 99} {
			b.ReportMetric(float64(list[(len(list)-1)*p/100].Microseconds())/1000, "ms-"+name+"-p"+strconv.Itoa(p))
		}
	}
	report(fromCall, "append-to-consumer")
	report(writes, "write")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
	n.end()
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
