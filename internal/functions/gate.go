package functions

import (
	"context"
	"slices"
	"sync"
	"time"
)

// gate lets a few calls compute at a time, and takes turns: a call that has
// computed for long waits behind those that have not, so that code that never
// ends costs the others little. It is safe for concurrent use.
type gate struct {
	mu      sync.Mutex
	free    int
	queues  [len(ages) + 1][]chan struct{} // by age; the channels have room for one
	granted int
}

// ages are for how long a call may have computed to be of the first age, the
// second, and so on: most calls never leave the first.
//
//nolint:gochecknoglobals // a constant table; Go has no array constants
var ages = [...]time.Duration{3 * time.Millisecond, 50 * time.Millisecond}

const (
	// slice is how long a call computes while another of its age waits.
	slice = 2 * time.Millisecond
	// fair is how many calls may go before an older one that waits.
	fair = 16
)

func newGate(width int) *gate { return &gate{free: width} }

// age is the queue of a call that has computed for so long.
func age(computed time.Duration) int {
	for i, d := range ages {
		if computed < d {
			return i
		}
	}
	return len(ages)
}

// enter waits until the caller may compute, or ctx is done. A caller that may
// has to leave.
func (g *gate) enter(ctx context.Context, age int) error {
	g.mu.Lock()
	if g.free > 0 {
		g.free--
		g.mu.Unlock()
		return nil
	}
	turn := make(chan struct{}, 1)
	g.queues[age] = append(g.queues[age], turn)
	g.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	i := slices.Index(g.queues[age], turn)
	if i >= 0 {
		g.queues[age] = slices.Delete(g.queues[age], i, i+1)
	}
	g.mu.Unlock()
	if i < 0 { // its turn came at the same time
		g.leave()
	}
	return context.Cause(ctx)
}

// leave lets the next one compute.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.free++; g.free < 1 { // more compute than should: see force
		return
	}
	g.granted++
	for i := range g.queues {
		if g.granted%fair == 0 { // from the oldest on
			i = len(g.queues) - 1 - i
		}
		if q := g.queues[i]; len(q) > 0 {
			g.free--
			g.queues[i] = q[1:]
			q[0] <- struct{}{}
			return
		}
	}
}

// waits reports whether a call of the age, which has computed for a while
// without a pause, has to let another one compute.
func (g *gate) waits(age int, computing time.Duration) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, q := range g.queues {
		if len(q) > 0 && (i < age || computing > slice) {
			return true
		}
	}
	return false
}

// force takes a turn without waiting: for a call that is at its end and will
// leave at once.
func (g *gate) force() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.free--
}
