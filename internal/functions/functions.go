package functions

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pandobase/pando/internal/fault"
)

// Config says how functions run.
type Config struct {
	// Cache is a folder for compiled code and bundles, which is made. Anybody who
	// can write to it can run code in the process. Default: none; QuickJS is
	// compiled at each start, which takes half a second.
	Cache string
	// Folder is the application's folder on the disk, where node_modules is.
	// Default: none; then functions import nothing from npm.
	Folder string
	// Memory is the most that one call may use, in bytes, a multiple of 64 KiB.
	// Default: 64 MiB.
	Memory int64
	// Isolates is how many calls run at a time, those that wait for an answer
	// included; further ones queue until their deadline. A quarter is left to calls
	// that others wait for. Each has 6 MiB to write to without asking. Default: 256.
	Isolates int
	// Queue is how many calls may queue. Default: 10000.
	Queue int
	// Budget is how much memory all calls together may use beyond their 6 MiB,
	// in bytes. The most that functions use is therefore Isolates times 6 MiB +
	// Budget + Snapshots. Default: 512 MiB.
	Budget int64
	// Snapshots is how much memory the snapshots of entries may use, in bytes;
	// those unused for longest go first, and are made again when they are called.
	// Default: 128 MiB.
	Snapshots int64
	// Computing is how many calls compute at a time. Default: one less than
	// GOMAXPROCS, at least 1.
	Computing int
	// Idle is how many isolates are kept ready. Default: 64.
	Idle int
	// Limits are those of calls that do not say otherwise.
	Limits Limits
	// Log gets what functions log, and why they failed. Default: nobody.
	Log *slog.Logger
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Random fills a buffer with random bytes fit for keys. Default: crypto/rand.
	Random func([]byte)
}

// leastMemory is what a call needs to begin.
const leastMemory = 8 << 20

// fill sets defaults and returns what is wrong.
func (c *Config) fill() error {
	fill(&c.Memory, 64<<20)
	fill(&c.Isolates, 256)
	fill(&c.Queue, 10_000)
	fill(&c.Budget, 512<<20)
	fill(&c.Snapshots, 128<<20)
	fill(&c.Computing, max(1, runtime.GOMAXPROCS(0)-1))
	fill(&c.Idle, 64)
	c.Limits = c.Limits.or(Limits{
		Memory: c.Memory, Timeout: 30 * time.Second, Calls: 1000, Concurrent: 32, Input: 10 << 20, Output: 10 << 20,
		LogLines: 1000, LogBytes: 64 << 10, Timers: 1000,
	})
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Random == nil {
		c.Random = func(b []byte) { _, _ = rand.Read(b) } // never fails
	}
	const most = 4 << 30
	if c.Memory < leastMemory || c.Memory > most || c.Memory%pageSize != 0 {
		return fault.New(fault.ConfigInvalid, "the memory of a function is %d bytes", c.Memory).
			WithHint("give 8 MiB to 4 GiB, in steps of 64 KiB")
	}
	if min(c.Isolates, c.Queue, c.Computing, c.Idle) < 0 || min(c.Budget, c.Snapshots) < 0 {
		return fault.New(fault.ConfigInvalid, "a limit of functions is negative")
	}
	return nil
}

// Runtime runs the functions of one application. It is safe for concurrent use.
type Runtime struct {
	cfg     Config
	engine  *engine
	gate    *gate
	slots   *slots
	loading sync.Mutex // one Load at a time
	entries atomic.Pointer[map[string]*entry]
	kept    snapshots

	mu     sync.Mutex
	idle   []*isolate // the last one was used last
	closed bool
	wg     sync.WaitGroup // calls, and isolates that are made ready
}

// New starts the engine. The runtime has no functions until [Runtime.Load].
func New(cfg Config) (*Runtime, error) {
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	e, err := newEngine(context.Background(), cfg)
	if err != nil {
		return nil, err
	}
	rt := &Runtime{cfg: cfg, engine: e, gate: newGate(cfg.Computing), slots: newSlots(cfg.Isolates, cfg.Queue)}
	rt.kept.most = cfg.Snapshots
	rt.entries.Store(&map[string]*entry{})
	return rt, nil
}

// Close waits for the calls that run and frees everything. Calls that come
// later are refused. It may be called twice.
func (rt *Runtime) Close() error {
	rt.mu.Lock()
	was := rt.closed
	rt.closed = true
	rt.mu.Unlock()
	if was {
		return nil
	}
	rt.wg.Wait()
	var errs []error
	for _, iso := range rt.idle {
		errs = append(errs, iso.close())
	}
	rt.idle = nil
	rt.kept.clear()
	return errors.Join(append(errs, rt.engine.close())...)
}

// Invoke calls a function and waits for its result. Errors are faults: what the
// function threw for its caller, or what ended it. Every call runs in an
// isolate of its own, which is as new.
func (rt *Runtime) Invoke(ctx context.Context, call Call) (Result, error) {
	arrival := time.Now()
	if !rt.begin() {
		return Result{}, fault.New(fault.ShuttingDown, "the node is shutting down")
	}
	defer rt.wg.Done()
	call.Limits = call.Limits.or(rt.cfg.Limits)
	call.Limits.Memory = max(min(call.Limits.Memory, rt.cfg.Memory), leastMemory)
	if err := call.check(); err != nil {
		return Result{}, err
	}
	e := (*rt.entries.Load())[call.Entry]
	if e == nil {
		return Result{}, fault.New(fault.UnknownOperation, "there is no function %s", call.Entry)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, call.Limits.Timeout, errTimeout)
	defer cancel()
	b := e.current.Load()
	if b == nil {
		b = &bundle{entry: e.name, mapping: &sourceMap{}}
	}
	r := &run{
		rt: rt, ctx: ctx, call: &call, bundle: b, arrival: arrival, wake: make(chan struct{}, 1),
		logger: rt.cfg.Log.With(slog.String("function", call.Entry), slog.String("request_id", call.RequestID)),
	}
	if err := rt.slots.take(ctx, call.Depth); err != nil {
		if fault.Is(err, fault.Overloaded) {
			return Result{}, err
		}
		return Result{}, r.stopped()
	}
	var out json.RawMessage
	var err error
	if e.module != nil {
		out, err = rt.runModule(r, e.module) //nolint:contextcheck // the run has it
	} else {
		out, err = rt.run(r) //nolint:contextcheck // an isolate outlives the call
	}
	cancel()
	r.wg.Wait()
	return Result{Output: out, Computed: r.computed, Calls: r.calls}, err
}

// begin counts a call, unless the runtime is closed.
func (rt *Runtime) begin() bool {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if !rt.closed {
		rt.wg.Add(1)
	}
	return !rt.closed
}

// run runs an admitted call, and ends its admission.
func (rt *Runtime) run(r *run) (json.RawMessage, error) {
	snap, err := rt.snapshotOf(r)
	if err != nil {
		rt.slots.give()
		return nil, err
	}
	iso, err := rt.isolate(snap)
	if err != nil {
		snap.drop()
		rt.slots.give()
		return nil, fault.Wrap(err, fault.Overloaded, "there is no memory left for functions").WithHint("try again")
	}
	r.iso, r.snap, r.began = iso, snap, rt.cfg.Now()
	out, err := r.execute()
	rt.wg.Go(func() {
		rt.recycle(iso, snap)
		rt.slots.give()
	})
	return out, err
}

// isolate returns an isolate that is as the snapshot.
func (rt *Runtime) isolate(snap *snapshot) (*isolate, error) {
	rt.mu.Lock()
	var iso *isolate
	for i, like := range slices.Backward(rt.idle) {
		if like.img == snap {
			rt.idle = slices.Delete(rt.idle, i, i+1)
			rt.mu.Unlock()
			return like, nil
		}
	}
	if len(rt.idle) > 0 {
		iso, rt.idle = rt.idle[0], rt.idle[1:]
	}
	rt.mu.Unlock()
	if iso == nil {
		var err error
		if iso, err = rt.engine.newIsolate(); err != nil {
			return nil, err
		}
	}
	if err := iso.restore(snap); err != nil {
		return nil, errors.Join(err, iso.close())
	}
	return iso, nil
}

// recycle makes an isolate as new for the next call, or closes one that cannot
// be: whose engine stopped within, or whose memory grew.
func (rt *Runtime) recycle(iso *isolate, snap *snapshot) {
	defer snap.drop()
	if !iso.trapped && !iso.arena.grown(snap.img) && iso.restore(snap) == nil {
		rt.mu.Lock()
		if len(rt.idle) < rt.cfg.Idle {
			rt.idle = append(rt.idle, iso)
			iso = nil
		}
		rt.mu.Unlock()
	}
	if iso != nil {
		if err := iso.close(); err != nil {
			rt.cfg.Log.Warn("an isolate does not close", slog.String("error", err.Error()))
		}
	}
}

// snapshotOf returns the snapshot of an entry, which it makes when there is none.
// The caller drops it.
func (rt *Runtime) snapshotOf(r *run) (*snapshot, error) {
	b := r.bundle
	if s := b.snapshot(); s != nil {
		rt.kept.used(b)
		return s, nil
	}
	select { // one of those who call it makes it
	case b.making <- struct{}{}:
	case <-r.ctx.Done():
		return nil, r.stopped()
	}
	defer func() { <-b.making }()
	if s := b.snapshot(); s != nil {
		return s, nil
	}
	if err := r.enter(); err != nil {
		return nil, r.stopped()
	}
	defer r.leave()
	iso, err := rt.isolate(rt.engine.base)
	if err != nil {
		return nil, fault.Wrap(err, fault.Overloaded, "there is no memory left for functions").WithHint("try again")
	}
	r.iso, r.snap, r.loading, r.began = iso, rt.engine.base, true, rt.cfg.Now()
	s, err := rt.engine.makeSnapshot(iso, r, b)
	r.iso, r.snap, r.loading = nil, nil, false
	if err != nil {
		return nil, fault.From(errors.Join(r.failed(fmt.Errorf("load: %w", err)), iso.close()))
	}
	if err := iso.close(); err != nil {
		s.drop()
		return nil, fault.From(err)
	}
	s.take()
	rt.kept.keep(b, s)
	return s, nil
}
