package password

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pandobase/pando/internal/fault"
)

func TestTurnsComeInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newTurns(cost{100, 1}, 10, time.Minute)
		if err := q.take(t.Context(), cost{10, 1}); err != nil {
			t.Fatal(err)
		}
		var order []int
		for i := range 5 {
			go func() {
				if err := q.take(t.Context(), cost{int64(90 - i), 1}); err != nil {
					t.Error(err)
				}
				order = append(order, i)
				q.give(cost{int64(90 - i), 1})
			}()
			synctest.Wait() // it stands in the queue
		}
		q.give(cost{10, 1})
		synctest.Wait()
		for i, got := range order {
			if got != i {
				t.Fatalf("the order was %v", order)
			}
		}
		if len(order) != 5 || q.free != q.whole || q.waiting.Len() != 0 {
			t.Fatalf("%v were served, %v of %v is free, %d wait", order, q.free, q.whole, q.waiting.Len())
		}
	})
}

// A large hash at the head is not overtaken by small ones that would fit.
func TestTurnsDoNotOvertake(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newTurns(cost{100, 4}, 10, time.Second)
		if err := q.take(t.Context(), cost{60, 1}); err != nil {
			t.Fatal(err)
		}
		var large, small error
		go func() { large = q.take(t.Context(), cost{80, 1}) }()
		time.Sleep(time.Second / 2) // of the bubble's clock
		var served atomic.Bool
		go func() { small = q.take(t.Context(), cost{10, 1}); served.Store(true) }()
		synctest.Wait()
		if served.Load() {
			t.Fatal("the small one overtook")
		}
		time.Sleep(time.Second / 2) // the large one gives up, then the small one fits
		synctest.Wait()
		if !fault.Is(large, fault.Overloaded) || small != nil || !served.Load() {
			t.Fatalf("large: %v; small: %v, served %v", large, small, served.Load())
		}
	})
}

func TestTurnsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newTurns(cost{100, 1}, 1, 5*time.Second)
		if err := q.take(t.Context(), cost{1 << 40, 1 << 10}); err != nil { // more than there is: runs alone
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		canceled := make(chan error)
		go func() { canceled <- q.take(ctx, cost{1, 1}) }()
		synctest.Wait()

		start := time.Now()
		err := q.take(t.Context(), cost{1, 1})
		f, ok := errors.AsType[*fault.Error](err)
		if !ok || f.Code != fault.Overloaded || f.HTTPStatus() != 503 || f.RetryAfter < time.Second || time.Since(start) != 0 {
			t.Fatalf("with a full queue: %v after %v", err, time.Since(start))
		}
		cancel()
		if err := <-canceled; !fault.Is(err, fault.QueryCanceled) || !errors.Is(err, context.Canceled) {
			t.Fatalf("canceled: %v", err)
		}
		if err := q.take(ctx, cost{1, 1}); !fault.Is(err, fault.QueryCanceled) {
			t.Fatalf("canceled before: %v", err)
		}
		if err := q.take(t.Context(), cost{1, 1}); !fault.Is(err, fault.Overloaded) || time.Since(start) != 5*time.Second {
			t.Fatalf("after the wait: %v after %v", err, time.Since(start))
		}
		q.give(cost{1 << 40, 1 << 10})
		if q.free != q.whole || q.waiting.Len() != 0 {
			t.Fatalf("%v of %v is free, %d wait", q.free, q.whole, q.waiting.Len())
		}
	})
}

// Under all races of giving up and being served nothing is lost and the bounds
// hold.
func TestTurnsRace(t *testing.T) {
	t.Parallel()
	q := newTurns(cost{100, 3}, 1000, time.Millisecond)
	var memory, cpus, served atomic.Int64
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 200 {
				c := cost{rand.Int64N(100) + 1, rand.IntN(3) + 1}
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(2000))*time.Microsecond)
				if q.take(ctx, c) == nil {
					served.Add(1)
					if memory.Add(c.memory) > 100 || cpus.Add(int64(c.cpus)) > 3 {
						t.Error("more runs than fits")
					}
					memory.Add(-c.memory)
					cpus.Add(-int64(c.cpus))
					q.give(c)
				}
				cancel()
			}
		})
	}
	all.Wait()
	if q.free != q.whole || q.waiting.Len() != 0 || served.Load() == 0 {
		t.Fatalf("%v of %v is free, %d wait, %d were served", q.free, q.whole, q.waiting.Len(), served.Load())
	}
}
