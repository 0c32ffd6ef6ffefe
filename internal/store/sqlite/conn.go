package sqlite

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
	zs "zombiezen.com/go/sqlite"
)

// maxStatements bounds what one connection keeps prepared. Shapes come from
// callers, so an unbounded cache would be a way to eat memory.
const maxStatements = 400

// conn is one connection with its prepared statements. Only its current holder
// may use it; the watchdog may interrupt it.
type conn struct {
	c     *zs.Conn
	stmts map[*store.Statement]*prepared
	tick  uint64

	unchecked bool  // references are let through until the commit
	moving    bool  // fences let through, and nothing is captured (Driver.Unlinked)
	kept      []any // for the commit of the transaction

	fault *fault.Error // what a SQL function failed with: SQLite keeps only its text

	held      bool   // a read transaction is open,
	heldAt    uint64 // begun after that many commits,
	heldSince time.Time

	mu          sync.Mutex
	ctx         context.Context //nolint:containedctx // what the watchdog looks at while a statement runs
	stop        chan struct{}
	interrupted bool
}

type prepared struct {
	s    *zs.Stmt
	row  row // s's current row; a statement run inside the rows of another has its own
	used uint64
	busy bool
}

// openConn opens a connection and registers Pando's SQL functions.
func openConn(path string, opt Options, readOnly bool) (*conn, error) {
	z, err := zs.OpenConn(path, zs.OpenReadWrite, zs.OpenCreate)
	if err != nil {
		return nil, translate(err)
	}
	c := &conn{c: z, stmts: map[*store.Statement]*prepared{}}
	if err := c.prime(opt, readOnly); err != nil {
		return nil, errors.Join(err, z.Close())
	}
	c.renew()
	return c, nil
}

func (c *conn) prime(opt Options, readOnly bool) error {
	c.c.SetBusyTimeout(10 * time.Second)
	pragmas := []string{
		// What is deleted is overwritten in its page: an erased person's key, or
		// a row, must not be found in the file.
		"PRAGMA secure_delete=FAST",
		"PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA foreign_keys=ON",
		"PRAGMA temp_store=MEMORY", "PRAGMA cache_size=-" + itoa(opt.CacheKiB), "PRAGMA mmap_size=" + itoa(opt.MmapBytes),
		// A checkpoint stalls the commit that it falls into: the fewer, the better,
		// as far as a start after a crash, which reads the log, allows.
		"PRAGMA wal_autocheckpoint=16000", "PRAGMA journal_size_limit=134217728",
	}
	if readOnly {
		pragmas = append(pragmas, "PRAGMA query_only=ON")
		// The JSON of what is embedded is made in SQLite's memory. A value
		// that is larger cannot be read either.
		c.c.Limit(zs.LimitLength, store.MaxAnswer)
	}
	for _, p := range pragmas {
		if err := c.run(p); err != nil {
			return err
		}
	}
	return registerFunctions(c)
}

// system creates Pando's own tables where they are missing. That the commit
// does not wait for the disk saves a first start some milliseconds and loses
// nothing: the next commit takes it along, and without one the next start
// creates them again.
func (c *conn) system(ddl []string) error {
	script := slices.Concat([]string{"PRAGMA synchronous=NORMAL", "BEGIN IMMEDIATE"}, ddl, []string{"COMMIT", "PRAGMA synchronous=FULL"})
	for _, sql := range script {
		if err := c.run(sql); err != nil {
			return err
		}
	}
	return nil
}

// renew gives the connection a fresh interrupt channel.
func (c *conn) renew() {
	c.stop = make(chan struct{})
	c.interrupted = false
	c.c.SetInterrupt(c.stop)
}

// begin makes ctx's end interrupt what runs from here on.
func (c *conn) begin(ctx context.Context) {
	c.mu.Lock()
	c.ctx = ctx
	c.mu.Unlock()
}

// end undoes begin.
func (c *conn) end() {
	c.mu.Lock()
	c.ctx = nil
	if c.interrupted {
		c.renew()
	}
	c.mu.Unlock()
}

// release ends the read transaction that the connection holds.
func (c *conn) release() error {
	c.held = false
	if c.c.AutocommitEnabled() {
		return nil // an error has ended it
	}
	_, err := c.Exec(ctl.commit, nil)
	return err
}

// watch interrupts the running statement when its context has ended.
func (c *conn) watch() {
	c.mu.Lock()
	if c.ctx != nil && !c.interrupted && c.ctx.Err() != nil {
		c.interrupted = true
		close(c.stop)
	}
	c.mu.Unlock()
}

// run executes one SQL text without parameters or rows.
func (c *conn) run(sql string) error {
	s, _, err := c.c.PrepareTransient(sql)
	if err != nil {
		return c.translate(err)
	}
	for {
		more, err := s.Step()
		if err != nil {
			return c.translate(errors.Join(err, s.Finalize()))
		}
		if !more {
			return c.translate(s.Finalize())
		}
	}
}

func (c *conn) prepare(st *store.Statement) (*prepared, error) {
	c.tick++
	if p := c.stmts[st]; p != nil && !p.busy {
		p.used = c.tick
		return p, nil
	}
	s, trailing, err := c.c.PrepareTransient(st.SQL)
	if err != nil {
		return nil, c.translate(err)
	}
	if trailing != 0 {
		return nil, errors.Join(fault.New(fault.Internal, "a statement holds more than one command"), s.Finalize())
	}
	p := &prepared{s: s, row: row{s}, used: c.tick}
	if c.stmts[st] == nil {
		if len(c.stmts) >= maxStatements {
			c.evict()
		}
		c.stmts[st] = p
	}
	return p, nil
}

// evict finalizes the half of the statements that was used least recently.
func (c *conn) evict() {
	var sum uint64
	for _, p := range c.stmts {
		sum += p.used
	}
	mean := sum / uint64(len(c.stmts))
	for st, p := range c.stmts {
		if p.used <= mean && !p.busy {
			_ = p.s.Finalize() // its error is that of its last step, which was answered
			delete(c.stmts, st)
		}
	}
}

// Query implements store.Reader.
func (c *conn) Query(st *store.Statement, args []value.Value, each func(store.Row) error) (err error) {
	p, err := c.prepare(st)
	if err != nil {
		return err
	}
	p.busy = true
	done := false
	defer func() { // also when each panics: a statement left on a row would hold its transaction open
		p.busy = false
		if !done {
			_ = p.s.Reset() // its error is that of the last step, which was answered
		}
		if c.stmts[st] != p {
			err = errors.Join(err, p.s.Finalize()) // a second run inside the first one's rows
		}
	}()
	bind(p.s, args)
	for {
		more, err := p.s.Step()
		if err != nil || c.fault != nil {
			// zombiezen 1.4.2 gives a function's error no code, so that SQLite
			// goes on with its text as the result.
			return c.translate(err)
		}
		if !more {
			done = true
			return c.translate(p.s.Reset())
		}
		if err := each(&p.row); err != nil {
			return err
		}
	}
}

// Exec implements store.Tx.
func (c *conn) Exec(st *store.Statement, args []value.Value) (int64, error) {
	if err := c.Query(st, args, func(store.Row) error { return nil }); err != nil {
		return 0, err
	}
	return int64(c.c.Changes()), nil
}

// Savepoint implements store.Tx.
func (c *conn) Savepoint(fn func() error) error {
	if _, err := c.Exec(ctl.inner, nil); err != nil {
		return err
	}
	kept := len(c.kept)
	err := fn()
	if err != nil && !c.c.AutocommitEnabled() {
		c.unkeep(kept)
		_, uerr := c.Exec(ctl.undoInner, nil)
		err = errors.Join(err, uerr)
	}
	if c.c.AutocommitEnabled() {
		return err
	}
	_, rerr := c.Exec(ctl.releaseInner, nil)
	return errors.Join(err, rerr)
}

// Unchecked implements store.Tx.
func (c *conn) Unchecked(fn func() error) error {
	// Prepared anew each time: SQLite sets such a flag when it compiles.
	if err := c.run("PRAGMA defer_foreign_keys=ON"); err != nil {
		return err
	}
	c.unchecked = true
	err := fn()
	return errors.Join(err, c.checkReferences())
}

// checkReferences ends what Unchecked began, unless the transaction's end has.
func (c *conn) checkReferences() error {
	if !c.unchecked {
		return nil
	}
	if !c.c.AutocommitEnabled() {
		if err := c.run("PRAGMA defer_foreign_keys=OFF"); err != nil {
			return err
		}
	}
	c.unchecked = false
	return nil
}

func (c *conn) close() error {
	for _, p := range c.stmts {
		_ = p.s.Finalize()
	}
	c.stmts = nil
	return c.c.Close()
}

func bind(s *zs.Stmt, args []value.Value) {
	for i := range args {
		switch v := &args[i]; v.Tag {
		case value.TagInt:
			s.BindInt64(i+1, v.Int)
		case value.TagFloat:
			s.BindFloat(i+1, v.Float)
		case value.TagText:
			s.BindText(i+1, v.Str)
		case value.TagBytes:
			s.BindBytes(i+1, []byte(v.Str))
		case value.TagNull:
			s.BindNull(i + 1)
		}
	}
}

// row is the current row of a statement.
type row struct{ s *zs.Stmt }

func (r *row) Null(i int) bool     { return r.s.ColumnIsNull(i) }
func (r *row) Int(i int) int64     { return r.s.ColumnInt64(i) }
func (r *row) Float(i int) float64 { return r.s.ColumnFloat(i) }

// Append grows dst once and copies the column's bytes into it.
func (r *row) Append(dst []byte, i int) []byte {
	n := r.s.ColumnLen(i)
	if n == 0 {
		return dst
	}
	at := len(dst)
	if cap(dst)-at < n {
		dst = append(dst, make([]byte, n)...)
	} else {
		dst = dst[:at+n]
	}
	r.s.ColumnBytes(i, dst[at:])
	return dst
}

func (r *row) Value(i int) value.Value {
	switch r.s.ColumnType(i) {
	case zs.TypeInteger:
		return value.OfInt(r.s.ColumnInt64(i))
	case zs.TypeFloat:
		return value.OfFloat(r.s.ColumnFloat(i))
	case zs.TypeText:
		return value.OfText(r.s.ColumnText(i))
	case zs.TypeBlob:
		return value.OfBytes(string(r.Append(nil, i)))
	case zs.TypeNull:
	}
	return value.Null()
}
