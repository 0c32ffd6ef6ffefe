package functions

import (
	"context"
	"sync"
	"time"
)

// gate lets a few calls compute at a time, and takes turns: a call that has
// computed for long waits behind those that have not, so that code that never
// ends costs the others little. It is safe for concurrent use.
type gate struct {
	mu      sync.Mutex
	free    int
	queues  [2][]*ticket // those that are new; those that have computed for long
	granted int
}

// ticket is a place in a queue.
type ticket struct {
	turn chan struct{}
	gone bool
}

const (
	// young is how long a call computes until it waits behind the others.
	young = 20 * time.Millisecond
	// slice is how long a call computes while another of its age waits.
	slice = 5 * time.Millisecond
	// fair is how many new calls may go before an old one.
	fair = 8
)

func newGate(width int) *gate { return &gate{free: width} }

// age is the queue that a call belongs to that has computed for so long.
func age(computed time.Duration) int {
	if computed < young {
		return 0
	}
	return 1
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
	t := &ticket{turn: make(chan struct{}, 1)}
	g.queues[age] = append(g.queues[age], t)
	g.mu.Unlock()
	select {
	case <-t.turn:
		return nil
	case <-ctx.Done():
		g.mu.Lock()
		t.gone = true
		granted := len(t.turn) > 0
		g.mu.Unlock()
		if granted {
			g.leave()
		}
		return context.Cause(ctx)
	}
}

// leave lets the next one compute.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.free++; g.free < 1 { // more compute than should: see force
		return
	}
	order := [2]int{0, 1}
	if g.granted++; g.granted%fair == 0 {
		order = [2]int{1, 0}
	}
	for _, age := range order {
		for len(g.queues[age]) > 0 {
			t := g.queues[age][0]
			g.queues[age] = g.queues[age][1:]
			if !t.gone {
				g.free--
				t.turn <- struct{}{}
				return
			}
		}
	}
}

// waits reports whether a call of the age, which has computed for a while
// without a pause, has to let another one compute.
func (g *gate) waits(age int, computing time.Duration) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.queues[0]) > 0 && (age > 0 || computing > slice) {
		return true
	}
	return len(g.queues[1]) > 0 && computing > slice
}

// force takes a turn without waiting: for a call that is at its end and will
// leave at once.
func (g *gate) force() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.free--
}
