// Package sqlite is the embedded store: SQLite in WAL mode with
// synchronous=FULL. One goroutine owns the one write connection and commits
// concurrent writes as a group; many connections read.
package sqlite

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// Options configure a database. Only Path is required.
type Options struct {
	Path      string
	Readers   int // read connections; default max(4, 2 per processor)
	Snapshots int // of sessions that read more than once; default 32, opened when needed
	CacheKiB  int // page cache of one connection; default 16384
	MmapBytes int // of the file, mapped into memory; default 2 GiB, the most that SQLite maps
	Log       *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Readers <= 0 {
		o.Readers = max(4, 2*runtime.GOMAXPROCS(0))
	}
	if o.Snapshots <= 0 {
		o.Snapshots = 32
	}
	if o.CacheKiB <= 0 {
		o.CacheKiB = 16384
	}
	if o.MmapBytes <= 0 {
		o.MmapBytes = 2<<30 - 1<<16
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// small are the options of connections that are many and do little.
func (o Options) small() Options {
	o.CacheKiB = min(o.CacheKiB, 2048)
	return o
}

// Driver is an open database. It is safe for concurrent use.
type Driver struct {
	path    string
	opt     Options
	dialect dialect
	pool    *pool
	writer  *writer

	snapshots *pool // for sessions

	stop context.CancelFunc
	done chan struct{}
	once sync.Once
}

var _ store.Driver = (*Driver)(nil)

// Open opens or creates the database file and its system tables.
func Open(ctx context.Context, opt Options) (*Driver, error) {
	opt = opt.withDefaults()
	w, err := openConn(opt.Path, opt, false)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(opt.Path, 0o600); err != nil {
		return nil, errors.Join(err, w.close())
	}
	d := &Driver{path: opt.Path, opt: opt, pool: newPool(opt, opt.Readers), snapshots: newPool(opt.small(), opt.Snapshots), done: make(chan struct{})}
	if err := errors.Join(w.system(d.dialect.SystemDDL()), w.forgetSmall()); err != nil {
		return nil, errors.Join(err, w.close())
	}
	d.writer = newWriter(w, opt.Log)
	watch, stop := context.WithCancel(context.WithoutCancel(ctx))
	d.stop = stop
	go d.watch(watch)
	return d, nil
}

// watch interrupts statements whose context has ended. One goroutine looks at
// all connections now and then: a goroutine for each statement would cost more
// than a point read.
func (d *Driver) watch(ctx context.Context) {
	defer close(d.done)
	t := time.NewTicker(20 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			d.pool.each((*conn).watch)
			d.snapshots.each((*conn).watch)
			d.writer.c.watch()
			d.pool.rest(d.writer.commits.Load())
		}
	}
}

// Dialect implements store.Driver.
func (d *Driver) Dialect() store.Dialect { return d.dialect }

// Read implements store.Driver.
//
// A read transaction costs four system calls for its locks, which is more than
// a point read. While nobody writes, a connection therefore keeps its
// transaction open for the reads that follow; the first commit, and every
// holdTime, ends it. Under writes each read has a transaction of its own, so
// that the log can be reset.
func (d *Driver) Read(ctx context.Context, snapshot bool, fn func(store.Reader) error) (err error) {
	c, err := d.pool.get(ctx)
	if err != nil {
		return err
	}
	defer d.pool.put(c)
	commits, now := d.writer.commits.Load(), time.Now()
	if c.held && (c.heldAt != commits || now.Sub(c.heldSince) > holdTime) {
		if err := c.release(); err != nil {
			return err
		}
	}
	quiet := now.UnixNano()-d.writer.lastCommit.Load() > int64(quietTime)
	if !c.held && (snapshot || quiet) {
		if _, err := c.Exec(ctl.begin, nil); err != nil {
			return err
		}
		c.held, c.heldAt, c.heldSince = true, commits, now
	}
	c.begin(ctx)
	defer func() {
		c.end() // an interrupt is for fn, not for what ends the transaction
		if c.held && (err != nil || !quiet) {
			err = errors.Join(err, c.release())
		}
	}()
	return fn(c)
}

const (
	holdTime  = 100 * time.Millisecond // the longest that a connection keeps one state of the data
	quietTime = 50 * time.Millisecond  // without a commit, after which connections keep theirs
)

// Write implements store.Driver.
func (d *Driver) Write(ctx context.Context, fn func(store.Tx) error) error {
	return d.writer.do(ctx, fn, false)
}

// Alter implements store.Driver.
func (d *Driver) Alter(ctx context.Context, fn func(store.Tx) error) error {
	return d.writer.do(ctx, fn, true)
}

// Check implements store.Driver: SQLite's integrity and foreign key checks.
func (d *Driver) Check(ctx context.Context) error {
	return d.Read(ctx, true, func(r store.Reader) error {
		err := r.Query(&store.Statement{SQL: "PRAGMA integrity_check(20)"}, nil, func(row store.Row) error {
			if s := string(row.Append(nil, 0)); s != "ok" {
				return fault.New(fault.StoreIO, "the database file is damaged").WithDetails("%s", s)
			}
			return nil
		})
		if err != nil {
			return err
		}
		return r.Query(&store.Statement{SQL: "PRAGMA foreign_key_check"}, nil, func(row store.Row) error {
			return fault.New(fault.StoreIO, "a row of %s refers to no row of %s", row.Append(nil, 0), row.Append(nil, 2))
		})
	})
}

// Ping reports whether the store can be read and still takes writes.
func (d *Driver) Ping(ctx context.Context) error {
	if err := d.writer.state(); err != nil {
		return err
	}
	return d.Read(ctx, false, func(r store.Reader) error {
		return r.Query(ctl.ping, nil, func(store.Row) error { return nil })
	})
}

// Size implements store.Driver: the database file and its log.
func (d *Driver) Size(context.Context) (int64, error) {
	var n int64
	for _, suffix := range []string{"", "-wal"} {
		if fi, err := os.Stat(d.path + suffix); err == nil {
			n += fi.Size()
		}
	}
	return n, nil
}

// Close ends the writer after what it has accepted, and closes every
// connection. It is safe to call twice.
func (d *Driver) Close() error {
	var err error
	d.once.Do(func() {
		d.stop()
		<-d.done
		// The readers first: what they hold would keep the log from its last
		// checkpoint.
		err = errors.Join(d.pool.close(), d.snapshots.close(), d.writer.close())
	})
	return err
}

func itoa(n int) string { return strconv.Itoa(n) }

// pool lends read connections, the most recently used one first, so that a
// lightly loaded node stays on connections whose caches are warm.
type pool struct {
	opt  Options
	sem  chan struct{}
	mu   sync.Mutex
	idle []*conn
	all  []*conn
	shut bool
}

func newPool(opt Options, size int) *pool { return &pool{opt: opt, sem: make(chan struct{}, size)} }

func (p *pool) get(ctx context.Context) (*conn, error) {
	select {
	case p.sem <- struct{}{}:
	default:
		select {
		case p.sem <- struct{}{}:
		case <-ctx.Done():
			return nil, fault.Wrap(ctx.Err(), fault.TooManyConns, "no read connection became free in time").WithHint("try again")
		}
	}
	p.mu.Lock()
	if p.shut {
		p.mu.Unlock()
		<-p.sem
		return nil, fault.New(fault.ShuttingDown, "the store is closed")
	}
	if n := len(p.idle); n > 0 {
		c := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return c, nil
	}
	p.mu.Unlock()
	c, err := openConn(p.opt.Path, p.opt, true)
	if err != nil {
		<-p.sem
		return nil, err
	}
	p.mu.Lock()
	p.all = append(p.all, c)
	p.mu.Unlock()
	return c, nil
}

func (p *pool) put(c *conn) {
	p.mu.Lock()
	p.idle = append(p.idle, c)
	p.mu.Unlock()
	<-p.sem
}

func (p *pool) each(fn func(*conn)) {
	p.mu.Lock()
	all := p.all
	p.mu.Unlock()
	for _, c := range all {
		fn(c)
	}
}

// rest lets the idle connections go of states of the data that are no longer
// the newest, so that the log can be reset.
func (p *pool) rest(commits uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.idle {
		if c.held && c.heldAt != commits {
			_ = c.release() // its next read fails in the same way, and says so
		}
	}
}

// close waits until every connection is back.
func (p *pool) close() error {
	p.mu.Lock()
	p.shut = true
	p.mu.Unlock()
	for range cap(p.sem) {
		p.sem <- struct{}{}
	}
	var errs []error
	for _, c := range p.all {
		errs = append(errs, c.close())
	}
	for range cap(p.sem) { // who still comes is told that the store is closed
		<-p.sem
	}
	return errors.Join(errs...)
}

var _ store.Tx = (*conn)(nil)

var noArgs []value.Value //nolint:gochecknoglobals // an empty list, never written
