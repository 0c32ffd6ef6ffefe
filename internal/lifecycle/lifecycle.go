// Package lifecycle starts the parts of a process in order and stops them in
// reverse. A start that fails undoes what it had started; a stop reaches every
// part, however many of them fail; a stop is safe twice and before the start.
//
// Each part gets two contexts (see [Life]), because draining outlives intake:
// what takes in new work ends at once, what finishes work already taken has
// until the stop's time is up.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// ErrStopped is returned by Start after Stop was called.
var ErrStopped = errors.New("already stopped")

// ErrStarted is returned by a second Start.
var ErrStarted = errors.New("already started")

// Life is what a part lives by after its start has returned.
type Life struct {
	// Intake ends when the stop begins: take no new work after it.
	Intake context.Context
	// Drain ends when every part has stopped, or when the stop's time is up,
	// whichever comes first: work already taken runs under it.
	Drain context.Context
	// Fail reports that the part can work no longer. The first report is
	// given by [Group.Failed]; the owner of the group then stops it. Fail
	// never blocks and is safe for concurrent use.
	Fail func(err error)
}

// Part is one thing with a lifetime.
type Part struct {
	// Name stands in errors.
	Name string
	// Start returns when the part is ready. Its context bounds the start
	// only; it ends when Stop is called meanwhile. When Start fails it has
	// released what it had taken: Stop is not called. Nil: nothing to do.
	Start func(ctx context.Context, life Life) error
	// Stop returns when the part has released everything, or with an error
	// when its context ends before. It is called at most once, only after a
	// successful start. Nil: nothing to do.
	Stop func(ctx context.Context) error
}

// Background is a part that is one goroutine: run starts with the part, must
// return soon after its Intake ends, and is waited for by the part's stop.
func Background(name string, run func(life Life)) Part {
	done := make(chan struct{})
	return Part{
		Name: name,
		Start: func(_ context.Context, life Life) error {
			go func() {
				defer close(done)
				run(life)
			}()
			return nil
		},
		Stop: func(ctx context.Context) error {
			select {
			case <-done:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		},
	}
}

// Group is an ordered list of parts. Make it with [New]; it lives once. Its
// methods are safe for concurrent use.
type Group struct {
	parts  []Part
	failed chan error

	mu      sync.Mutex
	started chan struct{} // non-nil: Start was called; closed when it returned
	running []Part        // started successfully, in order; owned by Start until started is closed
	stopped chan struct{} // non-nil: Stop was called; closed when it finished
	stopErr error         // valid when stopped is closed

	intake    context.Context
	endIntake context.CancelFunc
	drain     context.Context
	endDrain  context.CancelFunc
}

// New returns a group of parts that will start in the given order.
func New(parts ...Part) *Group {
	g := &Group{parts: parts, failed: make(chan error, 1)}
	g.intake, g.endIntake = context.WithCancel(context.Background())
	g.drain, g.endDrain = context.WithCancel(context.Background())
	return g
}

// Start starts the parts, one after the other. When one fails, or ctx ends, or
// Stop is called meanwhile, the parts already started are stopped in reverse
// and the error names the part; the group is then stopped for good.
//
// ctx bounds the start only, and gives the undoing of a failed start no limit
// of its own: the parts' Stop gets a context that is not yet done.
func (g *Group) Start(ctx context.Context) error {
	g.mu.Lock()
	switch {
	case g.started != nil:
		g.mu.Unlock()
		return ErrStarted
	case g.stopped != nil:
		g.mu.Unlock()
		return ErrStopped
	}
	started := make(chan struct{})
	g.started = started
	g.mu.Unlock()

	err := g.start(ctx)
	close(started)
	if err == nil {
		return nil
	}
	return errors.Join(err, g.Stop(context.WithoutCancel(ctx)))
}

func (g *Group) start(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(g.intake, func() { cancel(ErrStopped) })() //nolint:contextcheck // the one context ends with the other

	life := Life{Intake: g.intake, Drain: g.drain, Fail: g.fail}
	for _, p := range g.parts {
		if ctx.Err() != nil {
			return fmt.Errorf("start %s: %w", p.Name, context.Cause(ctx))
		}
		if p.Start != nil {
			if err := p.Start(ctx, life); err != nil {
				return fmt.Errorf("start %s: %w", p.Name, err)
			}
		}
		g.running = append(g.running, p)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("start: %w", context.Cause(ctx))
	}
	return nil
}

func (g *Group) fail(err error) {
	select {
	case g.failed <- err:
	default: // an earlier report stands
	}
}

// Failed gives the first error that a part reported through [Life.Fail]. It
// is never closed.
func (g *Group) Failed() <-chan error { return g.failed }

// Stop ends the intake, then stops the started parts in reverse. Each part's
// stop is called, also when an earlier one failed or ctx has ended; the errors
// are joined. When ctx ends before all parts have stopped, Drain ends too.
//
// A stop while the start is under way ends that start and waits for it. A
// second stop waits for the first and returns what it returned, or the cause
// of its own ctx when that ends before. A stop before the start succeeds.
func (g *Group) Stop(ctx context.Context) error {
	g.mu.Lock()
	if done := g.stopped; done != nil {
		g.mu.Unlock()
		select {
		case <-done:
			return g.stopErr
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	done := make(chan struct{})
	g.stopped = done
	started := g.started
	g.mu.Unlock()

	g.endIntake()
	if started != nil {
		<-started // its context has just ended
	}
	unbound := context.AfterFunc(ctx, g.endDrain)
	var errs []error
	for _, p := range slices.Backward(g.running) {
		if p.Stop == nil {
			continue
		}
		if err := p.Stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", p.Name, err))
		}
	}
	unbound()
	g.endDrain()
	g.stopErr = errors.Join(errs...)
	close(done)
	return g.stopErr
}
