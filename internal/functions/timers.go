package functions

import (
	"container/heap"
	"iter"
	"time"
)

// timers are the timers of one call, soonest first, and in the order in which
// they were set where they are due together.
type timers struct {
	list []timer
	set  int
}

type timer struct {
	id  float64
	at  time.Time
	seq int
}

func (t *timers) add(id float64, at time.Time) {
	t.set++
	heap.Push((*timerHeap)(&t.list), timer{id: id, at: at, seq: t.set})
}

func (t *timers) remove(id float64) {
	for i, have := range t.list {
		if have.id == id {
			heap.Remove((*timerHeap)(&t.list), i)
			return
		}
	}
}

// next is when the next one is due.
func (t *timers) next() (time.Time, bool) {
	if len(t.list) == 0 {
		return time.Time{}, false
	}
	return t.list[0].at, true
}

func (t *timers) isDue(now time.Time) bool {
	at, ok := t.next()
	return ok && !at.After(now)
}

// waits reports whether one of the function's own is set.
func (t *timers) waits() bool {
	return len(t.list) > 1 || len(t.list) == 1 && t.list[0].id != abortTimer
}

// due takes those that were due at a time; what is set meanwhile waits for the
// next turn.
func (t *timers) due(now time.Time) iter.Seq[float64] {
	last := t.set
	return func(yield func(float64) bool) {
		for t.isDue(now) && t.list[0].seq <= last {
			if !yield(heap.Pop((*timerHeap)(&t.list)).(timer).id) {
				return
			}
		}
	}
}

type timerHeap []timer

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, j int) bool {
	if !h[i].at.Equal(h[j].at) {
		return h[i].at.Before(h[j].at)
	}
	return h[i].seq < h[j].seq
}
func (h timerHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *timerHeap) Push(x any)   { *h = append(*h, x.(timer)) }
func (h *timerHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
