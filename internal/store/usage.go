package store

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pandobase/pando/internal/value"
)

// Usage is what the runs of one plan took, told by who runs it. The zero value
// is ready. It is safe for concurrent use.
type Usage struct {
	calls, nanos, rows, slowest atomic.Int64

	mu     sync.Mutex
	sample []value.Value // of the slowest run
}

// Add counts a run that answered or changed so many rows. bound are the
// statement's parameters; they are copied when they are kept.
func (u *Usage) Add(took time.Duration, rows int, bound []value.Value) {
	u.nanos.Add(int64(took))
	u.rows.Add(int64(rows))
	if first := u.calls.Add(1) == 1; !first && int64(took) <= u.slowest.Load() {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.slowest.Store(int64(took))
	u.sample = append(u.sample[:0], bound...)
}

// Recorded is what is known of one plan that has been run.
type Recorded struct {
	Access    Access
	Statement *Statement
	// Sample are the parameters of the slowest run. They are the callers' values:
	// the database may see them, nobody else.
	Sample  []value.Value
	Calls   int64
	Total   time.Duration
	Slowest time.Duration
	Rows    int64 // answered or changed, by all runs
}

// Mean is the time of one run.
func (r *Recorded) Mean() time.Duration { return r.Total / time.Duration(max(r.Calls, 1)) }

func (u *Usage) recorded(a Access, st *Statement) (Recorded, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	calls := u.calls.Load()
	return Recorded{
		Access: a, Statement: st, Sample: slices.Clone(u.sample), Calls: calls, Total: time.Duration(u.nanos.Load()),
		Slowest: time.Duration(u.slowest.Load()), Rows: u.rows.Load(),
	}, calls > 0
}

// Recorded tells what the runs of the plan took. ok is false when there were
// none that asked the database.
func (p *ReadPlan) Recorded() (r Recorded, ok bool) { return p.Usage.recorded(p.access(), &p.rows) }

// Recorded is as a read's. A create is not told: no index makes it faster.
func (p *WritePlan) Recorded() (r Recorded, ok bool) {
	if p.asked == nil {
		return Recorded{}, false
	}
	return p.Usage.recorded(p.asked.access(p.Entity), &p.st)
}

// access is how the read looks for its rows.
func (p *ReadPlan) access() Access { return p.asked.access(p.Entity) }

// Bound are the parameters of the page's last run, valid until the next one.
func (pg *Page) Bound() []value.Value { return pg.bound }
