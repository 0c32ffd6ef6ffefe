package postgres

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pandobase/pando/internal/fault"
)

// patience is how long a caller waits for a connection. It is short: who waits
// longer comes too late in any case, and keeps others waiting behind him.
const patience = 2 * time.Second

// pool lends connections, the most recently used one first.
type pool struct {
	set    *settings
	schema atomic.Uint64 // the generation of the schema
	sem    chan struct{}
	back   chan struct{} // a connection came back
	mu     sync.Mutex
	idle   []*conn
	all    []*conn // for the watch; the writer's are among them
	shut   atomic.Bool
	lanes  *lanes

	spareMu sync.Mutex // what answers whether the store is alive
	spare   *conn
}

func newPool(set *settings, size int) *pool {
	p := &pool{set: set, sem: make(chan struct{}, size), back: make(chan struct{}, 1)}
	p.lanes = newLanes(p)
	return p
}

func exhausted(err error) *fault.Error {
	return fault.Wrap(err, fault.TooManyConns, "no connection became free in time").WithHint("try again")
}

func (p *pool) get(ctx context.Context) (*conn, error) {
	select {
	case p.sem <- struct{}{}:
	default:
		if err := p.wait(ctx); err != nil {
			return nil, err
		}
	}
	c, err := p.take(ctx)
	if err != nil {
		<-p.sem
	}
	return c, err
}

// wait waits for a place in the pool.
func (p *pool) wait(ctx context.Context) error {
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case p.sem <- struct{}{}:
		return nil
	case <-ctx.Done():
		return exhausted(ctx.Err())
	case <-t.C:
		return exhausted(nil)
	}
}

// take finds an idle connection that is fit, or opens one. Where the server has
// none left, it waits for one of those that are lent.
func (p *pool) take(ctx context.Context) (*conn, error) {
	var limit *time.Timer
	for {
		c, err := p.pop()
		if err != nil {
			return nil, err
		}
		if c == nil {
			if c, err = p.connect(ctx); err == nil {
				return c, nil
			}
			if !fault.Is(err, fault.TooManyConns) || len(p.sem) < 2 {
				return nil, err
			}
			if limit == nil {
				limit = time.NewTimer(patience)
				defer limit.Stop()
			}
			select {
			case <-p.back:
			case <-ctx.Done():
				return nil, exhausted(ctx.Err())
			case <-limit.C:
				return nil, err
			}
			continue
		}
		if c.age != p.set.age.Load() || c.renew(p.schema.Load()) != nil {
			p.discard(c) // others of its age are lost
			continue
		}
		return c, nil
	}
}

func (p *pool) pop() (*conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.open(); err != nil {
		return nil, err
	}
	n := len(p.idle)
	if n == 0 {
		return nil, nil //nolint:nilnil // none is idle
	}
	c := p.idle[n-1]
	p.idle = p.idle[:n-1]
	return c, nil
}

// connect opens a connection that the watch looks at.
func (p *pool) connect(ctx context.Context) (*conn, error) {
	age := p.set.age.Load()
	c, err := openConn(ctx, p.set)
	if err != nil {
		return nil, err
	}
	c.schema, c.age = p.schema.Load(), age
	p.track(c)
	return c, nil
}

func (p *pool) track(c *conn) {
	p.mu.Lock()
	p.all = append(p.all, c)
	p.mu.Unlock()
}

// discard closes a connection that is not lent again.
func (p *pool) discard(c *conn) {
	_ = c.close() // its failure was answered
	p.mu.Lock()
	if i := slices.Index(p.all, c); i >= 0 {
		p.all = slices.Delete(p.all, i, i+1)
	}
	p.mu.Unlock()
}

// put takes a connection back; one that is lost, or left inside a transaction,
// is not lent again.
func (p *pool) put(c *conn) {
	c.unkeep(0)
	c.scope, c.alone, c.broken, c.differs, c.owed = scope{}, false, nil, false, c.owed[:0]
	if c.lost != nil && c.age == p.set.age.Load() {
		p.reset() // the others lead there too
	}
	if c.usable() && len(c.out) == 0 && c.age == p.set.age.Load() {
		p.mu.Lock()
		p.idle = append(p.idle, c)
		p.mu.Unlock()
	} else {
		p.discard(c)
	}
	<-p.sem
	select {
	case p.back <- struct{}{}:
	default:
	}
}

// reserved calls fn with a connection, be it one beyond the pool's.
func (p *pool) reserved(ctx context.Context, fn func(*conn) error) error {
	p.spareMu.Lock()
	defer p.spareMu.Unlock()
	c := p.spare
	p.spare = nil
	if c == nil || c.age != p.set.age.Load() {
		if c != nil {
			p.discard(c)
		}
		err := p.open()
		if err != nil {
			return err
		}
		if c, err = p.connect(ctx); err != nil {
			return p.instead(ctx, err, fn)
		}
	}
	c.begin(ctx)
	c.alone = true
	err := fn(c)
	c.end()
	c.alone = false
	if !c.usable() || p.open() != nil {
		p.discard(c)
		return err
	}
	p.spare = c
	return err
}

// instead calls fn with a connection of the pool where the server has none
// left. All of them at work, the store is alive.
func (p *pool) instead(ctx context.Context, err error, fn func(*conn) error) error {
	if !fault.Is(err, fault.TooManyConns) {
		return err
	}
	select {
	case p.sem <- struct{}{}:
	default:
		return nil
	}
	c, perr := p.pop()
	if c == nil {
		<-p.sem
		return errors.Join(err, perr)
	}
	defer p.put(c)
	c.begin(ctx)
	defer c.end()
	return fn(c)
}

// open fails when the pool is closed.
func (p *pool) open() error {
	if p.shut.Load() {
		return fault.New(fault.ShuttingDown, "the store is closed")
	}
	return nil
}

// each calls fn for every connection that is open.
func (p *pool) each(fn func(*conn)) {
	p.mu.Lock()
	all := slices.Clone(p.all)
	p.mu.Unlock()
	for _, c := range all {
		fn(c)
	}
}

// close waits until every connection is back.
func (p *pool) close() error {
	p.mu.Lock()
	p.shut.Store(true)
	p.mu.Unlock()
	for range cap(p.sem) {
		p.sem <- struct{}{}
	}
	var errs []error
	for _, c := range p.idle {
		errs = append(errs, c.close())
	}
	p.idle = nil
	errs = append(errs, p.lanes.close())
	p.spareMu.Lock()
	if p.spare != nil {
		errs = append(errs, p.spare.close())
		p.spare = nil
	}
	p.spareMu.Unlock()
	for range cap(p.sem) { // who still comes is told that the store is closed
		<-p.sem
	}
	return errors.Join(errs...)
}
