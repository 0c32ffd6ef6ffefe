// Package queue keeps durable jobs in the store and runs them.
//
// A job is enqueued in the transaction of what it belongs to: it is there when
// the transaction is, and not otherwise. It runs at least once. It is run again
// when a try of it fails, takes too long or panics, and when the node that ran it
// is lost, until it has succeeded or its tries are used up; then it is dead, and
// stays for somebody to look at. No job is run by two nodes at a time as long as
// handlers end when their context does, and only the node that holds a job can
// tell how it went.
//
// Jobs of a queue are taken by priority, then by the time at which they are due.
// Those that fail wait for their next try apart from the others and hold nobody
// up. A node takes jobs that were enqueued on it at once, and looks for those of
// other nodes every [Config.Poll].
//
// No clock has to be right for any of it: leases are told by beats that stand
// still for a time that the observer measures, and a tick of a schedule is a row
// of its own, written with its job.
package queue

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
)

// Handler runs one try of a job. Its context ends when the try's time is up, when
// the job is canceled, and when the node stops or has lost its lease. What it
// returns with a nil error is the job's result.
//
// Any error is a failed try; see [RetryAfter], [Discard], [Snooze] and [Unknown]
// for those that say more. A handler may be called again for a job whose try it
// has completed, when the node is lost before that is on disk.
type Handler func(ctx context.Context, w *Work) (result []byte, err error)

// Config says what a queue is made of. Driver is required.
type Config struct {
	Driver store.Driver
	// Queues are the queues that this node works and how many jobs of each it runs
	// at a time. Default: "default", 100.
	Queues map[string]int
	// MaxAttempts of jobs that say nothing of their own. Default 20.
	MaxAttempts int
	// Timeout of a try of jobs that say nothing of their own. Default 5 minutes.
	Timeout time.Duration
	// Backoff is the wait before the second try. It doubles with each, up to
	// MaxBackoff, and is up to a fifth shorter or longer, by chance. Default 1 s.
	Backoff time.Duration
	// MaxBackoff is the longest wait between two tries. Default 1 hour.
	MaxBackoff time.Duration
	// Poll is how often a node looks for jobs that other nodes have enqueued or
	// given back, and for what others have canceled. Default 1 s.
	Poll time.Duration
	// Lease is how long a node may be silent before others take over its jobs; a
	// node that could not renew it stops its own. Default 20 s.
	Lease time.Duration
	// Grace is how long handlers may take to end when their context has, at a stop
	// whose time is up. Default 1 s.
	Grace time.Duration
	// KeepCompleted is how long completed jobs are kept. Negative: they are deleted
	// at once, and nobody can look at them or their results. Default 1 day.
	KeepCompleted time.Duration
	// KeepDead is how long dead and canceled jobs are kept. Default 30 days.
	KeepDead time.Duration
	// Prune is how often finished jobs are looked through for those to delete.
	// Default 1 minute.
	Prune time.Duration
	// MaxArgs and MaxResult bound a job's arguments and result, in bytes. Default 1 MiB.
	MaxArgs, MaxResult int
	// Now is the clock that due times and schedules are told by. Default time.Now.
	Now func() time.Time
	// Random returns a number from 0 to below 1. Default math/rand/v2.
	Random func() float64
	// Log hears of what nobody is told otherwise. Default: nobody.
	Log *slog.Logger
}

func (c Config) withDefaults() Config {
	duration := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	number := func(n *int, def int) {
		if *n <= 0 {
			*n = def
		}
	}
	if len(c.Queues) == 0 {
		c.Queues = map[string]int{DefaultQueue: 100}
	}
	number(&c.MaxAttempts, 20)
	duration(&c.Timeout, 5*time.Minute)
	duration(&c.Backoff, time.Second)
	duration(&c.MaxBackoff, time.Hour)
	duration(&c.Poll, time.Second)
	duration(&c.Lease, 20*time.Second)
	duration(&c.Grace, time.Second)
	duration(&c.KeepCompleted, 24*time.Hour)
	duration(&c.KeepDead, 30*24*time.Hour)
	duration(&c.Prune, time.Minute)
	number(&c.MaxArgs, 1<<20)
	number(&c.MaxResult, 1<<20)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Random == nil {
		c.Random = rand.Float64
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// check reports every value that cannot be worked with.
func (c *Config) check() error {
	for name, n := range c.Queues {
		if err := checkName("queue", name); err != nil {
			return err
		}
		if n < 1 || n > 10_000 {
			return fault.New(fault.ConfigInvalid, "the queue %q runs %d jobs at a time", name, n).WithHint("write a number from 1 to 10000")
		}
	}
	for name, d := range map[string]time.Duration{
		"Timeout": c.Timeout, "Backoff": c.Backoff, "MaxBackoff": c.MaxBackoff, "Poll": c.Poll, "Lease": c.Lease,
		"Grace": c.Grace, "KeepDead": c.KeepDead, "Prune": c.Prune,
	} {
		if d < 0 {
			return fault.New(fault.ConfigInvalid, "the queue's %s is %s", name, d).WithHint("it is a positive time, or 0 for the default")
		}
	}
	return nil
}

// Queue is the queue of one store, as one node sees it. A process has one for a
// driver. It is safe for concurrent use.
type Queue struct {
	cfg    Config
	driver store.Driver
	st     *statements
	shared bool // other nodes may work on the store
	ids    ids
	lease  lease
	stats  counters
	events watchers

	wakes      map[string]store.Committed // what commits call, by queue; the empty one is for all others
	completing completions
	schedules  schedules

	mu      sync.Mutex
	pools   []*pool
	held    map[ID]*try // what this node runs
	due     int64       // when the next scheduled job can be taken, in µs; may be too early
	wake    chan struct{}
	idle    *sync.Cond // told when held has become empty
	started bool
	stopped bool

	handler  Handler
	intake   context.Context //nolint:containedctx // ends when the stop begins
	noIntake context.CancelFunc
	work     context.Context //nolint:containedctx // the handlers'; ends when the stop's time is up
	noWork   context.CancelCauseFunc
	loops    sync.WaitGroup // those that take in work
	settler  sync.WaitGroup // the one that stores what has been done
	closing  chan struct{}  // closed when the settler has to end
	progress atomic.Int64   // tries that have progress to store
}

// pool is one queue's share of the node.
type pool struct {
	name string
	size int
	used int
	more bool // there may be jobs to take
}

// Open returns the queue of the driver's store, to which jobs can be enqueued.
// The driver is closed by its owner, after [Queue.Stop].
func Open(ctx context.Context, c Config) (*Queue, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	q := &Queue{
		cfg: c, driver: c.Driver, st: newStatements(c.Driver.Dialect()), shared: true,
		held: map[ID]*try{}, wake: make(chan struct{}, 1), closing: make(chan struct{}), wakes: map[string]store.Committed{},
	}
	if committer, ok := c.Driver.(store.Committer); ok {
		q.shared = committer.Shared()
	}
	q.idle = sync.NewCond(&q.mu)
	q.completing.init()
	q.events.init()
	for name, n := range c.Queues {
		p := &pool{name: name, size: n, more: true}
		q.pools = append(q.pools, p)
		q.wakes[name] = func() { q.rouse(p) }
	}
	if err := q.register(ctx); err != nil {
		return nil, err
	}
	q.intake, q.noIntake = context.WithCancel(context.WithoutCancel(ctx))
	q.work, q.noWork = context.WithCancelCause(context.WithoutCancel(ctx))
	q.loops.Go(func() { q.keepLease(q.intake) })
	return q, nil
}

// Start begins to run jobs with h. What a process that is gone has left running in
// a store which only one process uses runs again at once.
func (q *Queue) Start(ctx context.Context, h Handler) error {
	if err := q.rescue(ctx); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.started || q.stopped {
		return fault.New(fault.Internal, "an internal error occurred").WithDetails("a queue is started once, before it is stopped")
	}
	q.started, q.handler = true, h
	q.loops.Go(func() { q.fetch(q.intake) })
	q.loops.Go(func() { q.listen(q.intake) })
	q.loops.Go(func() { q.runSchedules(q.intake) })
	q.loops.Go(func() { q.keepPruned(q.intake) })
	q.settler.Go(q.settle)
	return nil
}

// Stop takes no further jobs and waits for those that run. When ctx ends, it ends
// the handlers' contexts, waits [Config.Grace] for them, and gives the jobs back:
// another node, or the next start, takes them at once. An error tells that jobs
// were given back, or that the store could not be told; such jobs run again when
// the lease has run out. It is safe to call twice, and before Start.
func (q *Queue) Stop(ctx context.Context) error {
	q.mu.Lock()
	if q.stopped {
		q.mu.Unlock()
		return nil
	}
	q.stopped = true
	started := q.started
	q.mu.Unlock()
	q.noIntake()
	q.loops.Wait()
	var err error
	if started {
		if !q.await(ctx) {
			q.noWork(errStopping)
			grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), q.cfg.Grace)
			q.await(grace)
			cancel()
			err = q.giveBack() //nolint:contextcheck // the time is up: it takes its own
		}
		close(q.closing)
		q.settler.Wait()
	}
	q.noWork(errStopping)
	if rerr := q.unregister(context.WithoutCancel(ctx)); err == nil {
		err = rerr
	}
	return err
}

// await waits until nothing runs any more, and reports whether that was so before
// ctx ended.
func (q *Queue) await(ctx context.Context) bool {
	stop := context.AfterFunc(ctx, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.idle.Broadcast()
	})
	defer stop()
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.held) > 0 && ctx.Err() == nil {
		q.idle.Wait()
	}
	return len(q.held) == 0
}

func (q *Queue) now() int64 { return q.cfg.Now().UnixMicro() }

// write runs fn in a transaction of the queue's own.
func (q *Queue) write(ctx context.Context, fn func(store.Tx) error) error {
	return q.driver.Write(ctx, fn)
}
