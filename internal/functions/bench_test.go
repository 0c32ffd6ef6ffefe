package functions

import (
	"context"
	"encoding/json"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const benchSource = `import { pando } from 'pando';
export default async (input: { lines: { product_id: string; qty: number }[] }, ctx: any) => {
  let total = 0;
  for (const line of input.lines) {
    const product = await pando.from('products').select('id,price').eq('id', line.product_id).single();
    total += product.price * line.qty;
  }
  return { total, uid: ctx.auth.uid };
};
export const small = async (input: { n: number }) => ({ n: input.n + 1 });
export const wait = async (input: { ms: number }) => {
  await new Promise((resolve) => setTimeout(resolve, input.ms));
  return { done: true };
};
`

// priceHost answers every read with one product.
func priceHost(context.Context, string, []byte) ([]byte, error) {
	return []byte(`{"status":200,"count":null,"body":{"id":"p","price":5}}`), nil
}

// cpu is what the process has computed.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resident is how much memory the process has that it shares with nobody: Rss
// counts a snapshot's pages once for each isolate that maps them.
func resident() int64 {
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.SplitSeq(string(raw), "\n") {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10
		}
	}
	return 0
}

// BenchmarkCall calls one after the other: p50 and p99, and the processor's time
// with everything around the call.
func BenchmarkCall(b *testing.B) {
	for _, bench := range []struct {
		name string
		call Call
	}{
		{"small", Call{Export: "small", Input: json.RawMessage(`{"n":1}`)}},
		{"rows", Call{Host: hostFunc(priceHost), Input: json.RawMessage(`{"lines":[{"product_id":"a","qty":2},{"product_id":"b","qty":1}]}`), Context: json.RawMessage(`{"auth":{"uid":"u"}}`)}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			rt, _ := start(b, map[string]string{one: benchSource})
			if _, err := invoke(b, rt, bench.call); err != nil {
				b.Fatal(err)
			}
			took := make([]time.Duration, 0, b.N)
			before := cpu()
			for b.Loop() {
				begin := time.Now()
				if _, err := invoke(b, rt, bench.call); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(begin))
			}
			used := cpu() - before
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
			b.ReportMetric(float64(used.Microseconds())/float64(len(took)), "cpu-µs/op")
		})
	}
}

// BenchmarkFirst is the first call of code: with the engine running, and with a
// new process's engine too.
func BenchmarkFirst(b *testing.B) {
	b.Run("code", func(b *testing.B) {
		rt, _ := start(b, nil)
		for b.Loop() {
			b.StopTimer()
			if p := load(rt, map[string]string{one: benchSource + "// " + strconv.Itoa(b.N) + time.Now().String()}); len(p) > 0 {
				b.Fatal(p)
			}
			b.StartTimer()
			if _, err := invoke(b, rt, Call{Export: "small", Input: json.RawMessage(`{"n":1}`)}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("engine", func(b *testing.B) {
		start(b, nil)
		for b.Loop() {
			rt, err := New(Config{Cache: cacheDir()})
			if err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			_ = rt.Close()
			b.StartTimer()
		}
	})
	b.Run("load", func(b *testing.B) {
		rt, _ := start(b, nil)
		for b.Loop() {
			if p := load(rt, map[string]string{one: benchSource + "// " + time.Now().String()}); len(p) > 0 {
				b.Fatal(p)
			}
		}
	})
}

// BenchmarkThousand has 1,000 calls at a time that wait 20 ms each.
func BenchmarkThousand(b *testing.B) {
	for _, isolates := range []int{256, 1000} {
		b.Run(strconv.Itoa(isolates), func(b *testing.B) {
			rt, _ := start(b, map[string]string{one: benchSource}, func(c *Config) { c.Isolates = isolates })
			call := Call{Export: "wait", Input: json.RawMessage(`{"ms":20}`)}
			if _, err := invoke(b, rt, call); err != nil {
				b.Fatal(err)
			}
			runtime.GC()
			before, most := resident(), int64(0)
			var mu sync.Mutex
			for b.Loop() {
				var wg sync.WaitGroup
				for range 1000 {
					wg.Go(func() {
						if _, err := invoke(b, rt, call); err != nil {
							b.Error(err)
						}
						mu.Lock()
						most = max(most, resident())
						mu.Unlock()
					})
				}
				wg.Wait()
			}
			b.ReportMetric(float64(most-before)/1e6, "MB")
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/1000")
		})
	}
}
