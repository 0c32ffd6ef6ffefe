package limit

import (
	"hash/maphash"
	"sync"
	"time"
)

const (
	shardCount     = 16
	sweepPerInsert = 4 // more than one, so that expired entries go faster than new ones come
	sampleWhenFull = 16
)

// table maps keys to small values that expire. It holds a bounded number of
// them and never more memory than that. Every operation takes constant time;
// there is no goroutine: each new key looks at a few old ones and drops those
// whose time has passed.
//
// When it is full of values that still count, the one of a few that would
// expire first makes room. To refuse new keys instead would let somebody with
// many addresses shut everybody else out; this way they can only make the
// table forget what mattered least, and need all of its keys to do so.
//
// Keys are kept as 128 bits of a hash with a random seed: callers' keys can be
// long and chosen by strangers, and nobody can make two of them meet.
type table[V any] struct {
	seeds  [2]maphash.Seed
	shards [shardCount]shard[V]
}

type hashed [2]uint64

type shard[V any] struct {
	mu    sync.Mutex
	max   int
	index map[hashed]int
	slots []slot[V]
	hand  int // where the next sweep begins
}

type slot[V any] struct {
	key     hashed
	expires time.Duration // since the table's epoch
	value   V
}

func newTable[V any](maxKeys int) *table[V] {
	t := &table[V]{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
	for i := range t.shards {
		t.shards[i].max = max(1, maxKeys/shardCount)
		t.shards[i].index = map[hashed]int{}
	}
	return t
}

func (t *table[V]) hash(key string) hashed {
	return hashed{maphash.String(t.seeds[0], key), maphash.String(t.seeds[1], key)}
}

// update lets change replace the value of key, which is V's zero value where
// there is none or it has expired, and keeps it until expires. An expiry that
// is not after now removes it. No other update of the key runs meanwhile.
func (t *table[V]) update(key string, now time.Duration, change func(V) (V, time.Duration)) {
	h := t.hash(key)
	s := &t.shards[h[0]%shardCount]
	s.mu.Lock()
	defer s.mu.Unlock()
	i, known := s.index[h]
	var old V
	if known && s.slots[i].expires > now {
		old = s.slots[i].value
	}
	value, expires := change(old)
	switch {
	case expires <= now:
		if known {
			s.remove(i)
		}
	case known:
		s.slots[i].value, s.slots[i].expires = value, expires
	default:
		s.insert(slot[V]{key: h, expires: expires, value: value}, now)
	}
}

func (s *shard[V]) insert(n slot[V], now time.Duration) {
	s.sweep(now)
	if len(s.slots) >= s.max {
		s.evict()
	}
	s.index[n.key] = len(s.slots)
	s.slots = append(s.slots, n)
}

// sweep drops expired entries among the next few.
func (s *shard[V]) sweep(now time.Duration) {
	for range min(sweepPerInsert, len(s.slots)) {
		if len(s.slots) == 0 {
			return
		}
		s.hand %= len(s.slots)
		if s.slots[s.hand].expires <= now {
			s.remove(s.hand) // another entry stands there now: the hand stays
			continue
		}
		s.hand++
	}
}

// evict drops the entry of the next few that expires first.
func (s *shard[V]) evict() {
	victim := s.hand % len(s.slots)
	for k := range min(sampleWhenFull, len(s.slots)) {
		if i := (s.hand + k) % len(s.slots); s.slots[i].expires < s.slots[victim].expires {
			victim = i
		}
	}
	s.hand += sampleWhenFull
	s.remove(victim)
}

// remove moves the last entry into the place of the i-th.
func (s *shard[V]) remove(i int) {
	last := len(s.slots) - 1
	delete(s.index, s.slots[i].key)
	if i != last {
		s.slots[i] = s.slots[last]
		s.index[s.slots[i].key] = i
	}
	s.slots[last] = slot[V]{}
	s.slots = s.slots[:last]
}
