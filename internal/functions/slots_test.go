package functions

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/pandobase/pando/internal/fault"
)

// TestSlots: as many run as there are slots, those that are outermost leave some to
// deeper ones, and the deepest never waits.
func TestSlots(t *testing.T) {
	s, ctx := newSlots(16, 2), t.Context()
	gone, cancel := context.WithCancel(ctx)
	cancel()
	fill := func(depth int) (n int) {
		for s.take(gone, depth) == nil {
			n++
		}
		return n
	}
	for depth, want := range []int{12, 2, 1, 1, 0, 0} {
		if n := fill(depth); n != want {
			t.Errorf("at the depth %d there is room for %d calls; want %d", depth, n, want)
		}
	}
	if err := s.take(ctx, 3); !fault.Is(err, fault.Overloaded) {
		t.Errorf("the deepest: %v", err)
	}
	var wg sync.WaitGroup
	order := make(chan int, 2)
	wait := func(depth int) {
		wg.Go(func() {
			if err := s.take(ctx, depth); err != nil {
				t.Error(err)
			}
			order <- depth
		})
		waitFor(t, func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.waiting[depth]) == 1 })
	}
	wait(0)
	wait(1)
	if err := s.take(ctx, 0); !fault.Is(err, fault.Overloaded) {
		t.Errorf("one more than may wait: %v", err)
	}
	for range 3 { // what is free behind that is left to the third depth
		s.give()
	}
	if got := <-order; got != 1 {
		t.Errorf("a call of the depth %d went first", got)
	}
	for range 3 {
		s.give()
	}
	<-order
	wg.Wait()
	if s.used() != 16-6+2 || s.waits != 0 {
		t.Errorf("%d are used, %d wait", s.used(), s.waits)
	}
	if err := newSlots(1, 1).take(gone, 0); err != nil {
		t.Errorf("the only slot: %v", err)
	}
	if err := s.take(gone, 0); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
