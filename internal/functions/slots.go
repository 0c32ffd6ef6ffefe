package functions

import (
	"context"
	"slices"
	"sync"

	"github.com/pandobase/pando/internal/fault"
)

// slots bound how many calls run at a time. A call holds its slot while it waits
// for calls that it makes; so that those never wait for it in turn, calls of each
// depth leave some slots to deeper ones: a quarter of all at the outermost, half of
// that behind it, and so on. Where nothing is left to leave, nobody waits. It is safe
// for concurrent use.
type slots struct {
	mu      sync.Mutex
	all     int
	free    int
	most    int // that wait
	waits   int
	waiting [deepest + 1][]*place
}

// deepest is the depth from which on calls are alike.
const deepest = 31

// place is that of a call that waits.
type place struct{ given chan struct{} }

func newSlots(all, most int) *slots { return &slots{all: all, free: all, most: most} }

// left is how many slots a call of a depth leaves.
func (s *slots) left(depth int) int { return s.all >> (depth + 2) }

// take waits for a slot until ctx is done. depth counts the calls that the call
// stands in.
func (s *slots) take(ctx context.Context, depth int) error {
	depth = min(depth, deepest)
	s.mu.Lock()
	switch {
	case s.free > s.left(depth):
		s.free--
		s.mu.Unlock()
		return nil
	case depth > 0 && s.left(depth) == 0:
		s.mu.Unlock()
		return fault.New(fault.Overloaded, "too many calls of functions wait for others that they make").WithHint("try again")
	case s.waits >= s.most:
		s.mu.Unlock()
		return fault.New(fault.Overloaded, "more than %d calls of functions wait already", s.most).WithHint("try again")
	}
	p := &place{given: make(chan struct{})}
	s.waiting[depth] = append(s.waiting[depth], p)
	s.waits++
	s.mu.Unlock()
	select {
	case <-p.given:
		return nil
	case <-ctx.Done():
		s.mu.Lock()
		defer s.mu.Unlock()
		if i := slices.Index(s.waiting[depth], p); i >= 0 {
			s.waiting[depth] = slices.Delete(s.waiting[depth], i, i+1)
			s.waits--
		} else { // it was given one at the same moment
			s.put()
		}
		return context.Cause(ctx)
	}
}

// give gives a slot back.
func (s *slots) give() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put()
}

// put frees a slot and hands out what is free: the deepest first.
func (s *slots) put() {
	s.free++
	for depth := deepest; depth >= 0; depth-- {
		for len(s.waiting[depth]) > 0 && s.free > s.left(depth) {
			close(s.waiting[depth][0].given)
			s.waiting[depth] = s.waiting[depth][1:]
			s.free--
			s.waits--
		}
	}
}

// used is how many calls run.
func (s *slots) used() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all - s.free
}
