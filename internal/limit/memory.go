package limit

import (
	"context"
	"time"
)

// DefaultKeys is how many keys a [Memory] or [Attempts] holds unless configured:
// about 30 MiB when full.
const DefaultKeys = 1 << 18

// MemoryConfig configures what counts in memory.
type MemoryConfig struct {
	Keys int              // how many are held at most; default DefaultKeys
	Now  func() time.Time // default time.Now
}

func (c MemoryConfig) filled() MemoryConfig {
	if c.Keys <= 0 {
		c.Keys = DefaultKeys
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Memory is a [Limiter] for one process. It takes constant time and a bounded
// number of keys, and has no goroutine. When all keys are in use a new one
// makes it forget the one of a few that would be free again first.
//
// The algorithm is the generic cell rate algorithm as virtual scheduling (ITU-T
// I.371, annex A): a key's state is the theoretical arrival time of its next
// event if events came evenly.
type Memory struct {
	now   func() time.Time
	epoch time.Time
	keys  *table[time.Duration] // theoretical arrival time, since the epoch
}

var _ Limiter = (*Memory)(nil)

// NewMemory returns an empty limiter.
func NewMemory(cfg MemoryConfig) *Memory {
	cfg = cfg.filled()
	return &Memory{now: cfg.Now, epoch: cfg.Now(), keys: newTable[time.Duration](cfg.Keys)}
}

// Take implements [Limiter]; it never fails.
func (m *Memory) Take(_ context.Context, key string, r Rate) (ok bool, retry time.Duration, err error) {
	interval := r.interval()
	if interval == 0 {
		return false, r.Per, nil
	}
	burst := interval * time.Duration(r.Count) // at least Per; overflows only past 290 years
	now := m.now().Sub(m.epoch)
	m.keys.update(key, now, func(arrival time.Duration) (time.Duration, time.Duration) {
		// Not further ahead than a full burst: the rate may have been lowered.
		arrival = min(max(arrival, now), now+burst)
		next := arrival + interval
		if wait := next - burst - now; wait > 0 {
			retry = wait
			return arrival, arrival
		}
		ok = true
		return next, next
	})
	return ok, retry, nil
}
