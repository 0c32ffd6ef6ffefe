package auth

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
)

// The bounds of what is done behind the answers: mails wait for slow servers.
const (
	maxJobs    = 1024
	workers    = 8
	jobTimeout = time.Minute
	drainTime  = 10 * time.Second // at most, for what was accepted when the node stops
)

// Work behind an answer begins when the answer has left, at a moment that is
// not known: on a machine whose processors are busy it would hold the answer up,
// or the next one of whoever asks twice, and there is more of it for an address
// that has an account. test/timing measures it.
const (
	leastPause = 10 * time.Millisecond
	mostPause  = 100 * time.Millisecond
)

// housekeepEvery is how often what has expired is removed.
const housekeepEvery = 10 * time.Minute

// keepUsed is how long a used refresh token is kept to recognise its reuse.
const keepUsed = 30 * 24 * time.Hour

// job is work behind an answer.
type job struct {
	name  string
	begin time.Time
	do    func(context.Context) error
}

// work is what runs beside the requests.
type work struct {
	mu      sync.RWMutex // of running against those who hand jobs in
	running bool
	jobs    chan job
	hurry   chan struct{}  // closed by Stop: no job waits for its moment any more
	open    sync.WaitGroup // jobs that were handed in and are not done
	count   atomic.Int64   // how many those are
	tasks   sync.WaitGroup // the goroutines
	end     context.CancelFunc
}

// Start makes the signing keys if there are none, and starts what runs beside
// the requests. [Auth.Stop] ends it.
func (a *Auth) Start(ctx context.Context) error {
	a.work.mu.Lock()
	defer a.work.mu.Unlock()
	if a.work.running {
		return nil
	}
	if err := a.openKeys(ctx); err != nil {
		return err
	}
	run, end := context.WithCancel(context.WithoutCancel(ctx))
	a.work.jobs, a.work.hurry, a.work.end, a.work.running = make(chan job, maxJobs), make(chan struct{}), end, true
	jobs, hurry := a.work.jobs, a.work.hurry
	for range workers {
		a.work.tasks.Go(func() { a.labour(run, jobs, hurry) })
	}
	a.work.tasks.Go(func() { a.watch(run) })
	return nil
}

// Stop takes no more work, finishes what was accepted while ctx allows but for
// ten seconds at most, and returns when nothing runs any more. It is safe to
// call twice and before Start.
func (a *Auth) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	a.work.mu.Lock()
	if !a.work.running {
		a.work.mu.Unlock()
		return nil
	}
	a.work.running = false
	close(a.work.jobs)
	close(a.work.hurry)
	a.work.mu.Unlock()
	done := make(chan struct{})
	go func() { // ends with the jobs, which end with their context at the latest
		defer close(done)
		a.work.open.Wait()
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = fault.Wrap(ctx.Err(), fault.ShuttingDown, "mails were still on their way")
	}
	a.work.end()
	<-done
	a.work.tasks.Wait()
	return err
}

// Idle returns when no work behind an answer waits or runs. The caller keeps
// those away who hand more in.
func (a *Auth) Idle(ctx context.Context) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for a.work.count.Load() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fault.Wrap(ctx.Err(), fault.QueryCanceled, "mails are still on their way")
		}
	}
	return nil
}

// later does work behind the answer, within a tenth of a second, so that the
// answer's time tells nothing of it. Where too much waits already it is a [fault.Overloaded].
func (a *Auth) later(name string, do func(context.Context) error) error {
	a.work.mu.RLock()
	defer a.work.mu.RUnlock()
	if !a.work.running {
		return fault.New(fault.ShuttingDown, "the node is stopping")
	}
	a.work.open.Add(1)
	a.work.count.Add(1)
	pause := leastPause + rand.N(mostPause-leastPause) //nolint:gosec // it blurs times and guards no secret
	select {
	case a.work.jobs <- job{name, time.Now().Add(pause), do}:
		return nil
	default:
		a.work.count.Add(-1)
		a.work.open.Done()
		f := fault.New(fault.Overloaded, "too many mails are waiting").WithHint("try again later")
		f.RetryAfter = jobTimeout
		return f
	}
}

func (a *Auth) labour(ctx context.Context, jobs <-chan job, hurry <-chan struct{}) {
	for j := range jobs {
		timer := time.NewTimer(time.Until(j.begin))
		select {
		case <-timer.C:
		case <-hurry:
			timer.Stop()
		}
		a.perform(ctx, j)
	}
}

func (a *Auth) perform(ctx context.Context, j job) {
	defer a.work.open.Done()
	defer a.work.count.Add(-1)
	defer func() {
		if p := recover(); p != nil {
			a.log.Error("work behind an answer panicked", "work", j.name, "panic", p)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, jobTimeout)
	defer cancel()
	if err := j.do(ctx); err != nil {
		a.log.Error("work behind an answer failed", "work", j.name, "error", err, "cause", fault.From(err).Cause)
	}
}

// watch reads the signing keys again and removes what has expired.
func (a *Auth) watch(ctx context.Context) {
	reload, clean := time.NewTicker(reloadEvery), time.NewTicker(housekeepEvery)
	defer reload.Stop()
	defer clean.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-reload.C:
			err = a.loadKeys(ctx)
		case <-clean.C:
			err = a.housekeep(ctx)
		}
		if err != nil && ctx.Err() == nil {
			a.log.Error("identity cannot be kept in order", "error", err, "cause", fault.From(err).Cause)
		}
	}
}

// housekeep removes what has expired: sessions with their refresh tokens, used
// refresh tokens, codes, flows and challenges.
func (a *Auth) housekeep(ctx context.Context) error {
	now := a.now()
	a.cache.sweep(now)
	for _, c := range []struct {
		st     *store.Statement
		before time.Time
	}{
		{a.st.oneTimeExpired, now},
		{a.st.flowsExpired, now},
		{a.st.challengesExpired, now},
		{a.st.sessionsExpired, now},
		{a.st.refreshExpired, now.Add(-keepUsed)},
	} {
		// Each in a transaction of its own: nobody waits long for the writer.
		err := a.cfg.Driver.Write(ctx, func(tx store.Tx) error {
			_, err := tx.Exec(c.st, args(at(c.before)))
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
