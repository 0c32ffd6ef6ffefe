package queue

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/pandobase/pando/internal/store"
)

// WaitBuckets are the upper bounds of [Stats.Waits].
func WaitBuckets() []time.Duration { return waitBuckets[:] }

//nolint:gochecknoglobals // a constant table
var waitBuckets = [...]time.Duration{
	time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 500 * time.Millisecond, time.Second, 5 * time.Second, 30 * time.Second, time.Minute, 10 * time.Minute, time.Hour,
}

// counters count what this node has done.
type counters struct {
	enqueued, completed, failed, dead, canceled, snoozed, lost, rescued atomic.Int64

	waits   [len(waitBuckets) + 1]atomic.Int64
	waitSum atomic.Int64 // in µs
}

func (c *counters) waited(micros int64) {
	micros = max(micros, 0) // a clock may have been set
	c.waitSum.Add(micros)
	i := 0
	for i < len(waitBuckets) && micros > waitBuckets[i].Microseconds() {
		i++
	}
	c.waits[i].Add(1)
}

func (c *counters) ended(o *outcome) {
	switch o.kind {
	case completed:
		c.completed.Add(1)
	case retried:
		if o.snoozed {
			c.snoozed.Add(1)
		} else {
			c.failed.Add(1)
		}
	case deadJob:
		c.failed.Add(1)
		c.dead.Add(1)
	case canceledJob:
		c.canceled.Add(1)
	case givenBack:
	}
}

// Stats is what this node has done since it was opened.
type Stats struct {
	Enqueued  int64 // jobs whose transaction is on disk
	Completed int64
	Failed    int64 // tries
	Dead      int64 // jobs
	Canceled  int64 // while they ran here
	Snoozed   int64 // tries that were put off
	Lost      int64 // tries that ended when this node did not hold the job any more
	Rescued   int64 // jobs of other nodes that were gone

	Running int // tries that this node holds now

	// Waits counts the jobs taken, by how long they had been due: up to each bound
	// of [WaitBuckets], and beyond.
	Waits   []int64
	WaitSum time.Duration
}

// Stats returns what this node has done.
func (q *Queue) Stats() Stats {
	c := &q.stats
	s := Stats{
		Enqueued: c.enqueued.Load(), Completed: c.completed.Load(), Failed: c.failed.Load(), Dead: c.dead.Load(), Canceled: c.canceled.Load(),
		Snoozed: c.snoozed.Load(), Lost: c.lost.Load(), Rescued: c.rescued.Load(), Waits: make([]int64, len(c.waits)),
		WaitSum: time.Duration(c.waitSum.Load()) * time.Microsecond,
	}
	for i := range c.waits {
		s.Waits[i] = c.waits[i].Load()
	}
	q.mu.Lock()
	s.Running = len(q.held)
	q.mu.Unlock()
	return s
}

// Count is how many jobs of a queue are in a state.
type Count struct {
	Queue string
	State State
	Jobs  int64
}

// Depth counts the jobs of each queue that wait, run, or are dead or canceled. It
// asks indexes alone, whatever else the table holds.
func (q *Queue) Depth(ctx context.Context) ([]Count, error) { return q.count(ctx, q.st.depth) }

// Counts counts all jobs, completed ones too: it reads the whole table.
func (q *Queue) Counts(ctx context.Context) ([]Count, error) { return q.count(ctx, q.st.counts) }

func (q *Queue) count(ctx context.Context, st *store.Statement) (out []Count, err error) {
	err = q.driver.Read(ctx, false, func(r store.Reader) error {
		out = out[:0]
		return r.Query(st, nil, func(row store.Row) error {
			out = append(out, Count{string(row.Append(nil, 0)), State(row.Int(1)), row.Int(2)})
			return nil
		})
	})
	return out, err
}
