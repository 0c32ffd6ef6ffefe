package queue

import (
	"sync"
	"time"
)

// An id holds 41 bits of milliseconds since 2025, the slot of the node (11 bits),
// and a number within the millisecond (11 bits).
const (
	idEpoch  = 1735689600000 // 2025-01-01, in milliseconds since 1970
	idBits   = 22
	idSlots  = 1 << 11
	idNumber = 1 << 11
)

// ids makes ids that grow, whatever the clock does. No two nodes have the same
// slot at a time, and no id is before those in the store when the slot was taken.
type ids struct {
	mu   sync.Mutex
	slot int64
	ms   int64
	next int64 // number within ms
}

// take makes n ids, and calls each with them.
func (g *ids) take(now time.Time, n int, each func(int, ID)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if ms := now.UnixMilli() - idEpoch; ms > g.ms {
		g.ms, g.next = ms, 0
	}
	for i := range n {
		if g.next == idNumber {
			g.ms, g.next = g.ms+1, 0
		}
		each(i, ID(g.ms<<idBits|g.slot<<11|g.next))
		g.next++
	}
}

// move changes the slot. newest is the greatest id in the store.
func (g *ids) move(slot int64, newest ID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if ms := int64(newest) >> idBits; ms >= g.ms {
		g.ms, g.next = ms+1, 0
	}
	g.slot = slot
}

// idAt is an id that those enqueued before t are below.
func idAt(t time.Time) ID { return ID(max(0, t.UnixMilli()-idEpoch) << idBits) }
