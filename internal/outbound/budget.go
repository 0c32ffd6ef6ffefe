package outbound

import (
	"sync"
	"time"
)

// The budget of retries: each call earns a fifth of one, each second a whole one,
// and budgetBurst are saved at most.
const (
	budgetPerCall   = 0.2
	budgetPerSecond = 1.0
	budgetBurst     = 10.0
)

// retryBudget bounds retries by the calls that were made, so that they do not
// drown a target that recovers: when every call fails, a client sends a fifth
// more requests, not Retry times as many. failsafe's own budget bounds how many
// run at a time, which quick failures never reach.
type retryBudget struct {
	now func() time.Time

	mu     sync.Mutex
	tokens float64
	at     time.Time
}

func newRetryBudget(now func() time.Time) *retryBudget {
	return &retryBudget{now: now, tokens: budgetBurst, at: now()}
}

// earn counts a call.
func (b *retryBudget) earn() { b.add(budgetPerCall) }

// spend reports whether a retry may be made, and counts it.
func (b *retryBudget) spend() bool { return b.add(-1) }

func (b *retryBudget) add(n float64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	b.tokens = min(budgetBurst, b.tokens+max(0, now.Sub(b.at).Seconds())*budgetPerSecond)
	b.at = now
	if b.tokens+n < 0 {
		return false
	}
	b.tokens = min(budgetBurst, b.tokens+n)
	return true
}
