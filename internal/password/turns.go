package password

import (
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/pandobase/pando/internal/fault"
)

// cost is what one hash takes while it runs.
type cost struct {
	memory int64 // bytes
	cpus   int
}

func (c cost) fits(free cost) bool { return c.memory <= free.memory && c.cpus <= free.cpus }

// turns hands out memory and CPUs first come, first served: nobody overtakes,
// so that a large hash is not starved by small ones. A hash that needs more than
// there is counts as all of it and runs alone.
type turns struct {
	whole cost
	most  int // waiting
	wait  time.Duration

	mu      sync.Mutex
	free    cost
	waiting list.List // of *turn
}

type turn struct {
	cost cost
	come chan struct{} // closed when the turn has come
}

func newTurns(whole cost, most int, wait time.Duration) *turns {
	return &turns{whole: whole, most: most, wait: wait, free: whole}
}

// take waits for a turn. Who got nil must give back the same cost.
func (t *turns) take(ctx context.Context, c cost) error {
	if err := ctx.Err(); err != nil {
		return canceled(err)
	}
	c = t.clamp(c)
	t.mu.Lock()
	if t.waiting.Len() == 0 && c.fits(t.free) {
		t.spend(c)
		t.mu.Unlock()
		return nil
	}
	if t.waiting.Len() >= t.most {
		t.mu.Unlock()
		return t.overloaded("too many passwords wait to be checked")
	}
	mine := &turn{cost: c, come: make(chan struct{})}
	place := t.waiting.PushBack(mine)
	t.mu.Unlock()

	timer := time.NewTimer(t.wait)
	defer timer.Stop()
	var err error
	select {
	case <-mine.come:
		return nil
	case <-timer.C:
		err = t.overloaded("the password could not be checked in time")
	case <-ctx.Done():
		err = canceled(ctx.Err())
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-mine.come: // it came while we gave up: hand it on
		t.refund(c)
	default:
		t.waiting.Remove(place)
	}
	t.next() // the first of the queue may have been the one that did not fit
	return err
}

// give hands a turn back.
func (t *turns) give(c cost) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refund(t.clamp(c))
	t.next()
}

// next wakes those whose turn has come. mu is held.
func (t *turns) next() {
	for e := t.waiting.Front(); e != nil; e = t.waiting.Front() {
		first, ok := e.Value.(*turn)
		if !ok || !first.cost.fits(t.free) {
			return
		}
		t.spend(first.cost)
		t.waiting.Remove(e)
		close(first.come)
	}
}

func (t *turns) clamp(c cost) cost {
	return cost{min(c.memory, t.whole.memory), min(c.cpus, t.whole.cpus)}
}

func (t *turns) spend(c cost)  { t.free.memory -= c.memory; t.free.cpus -= c.cpus }
func (t *turns) refund(c cost) { t.free.memory += c.memory; t.free.cpus += c.cpus }

func (t *turns) overloaded(why string) error {
	err := fault.New(fault.Overloaded, "%s", why).WithHint("try again in some seconds")
	err.RetryAfter = max(t.wait, time.Second)
	return err
}

func canceled(cause error) error {
	return fault.Wrap(cause, fault.QueryCanceled, "the request ended before the password was checked")
}
