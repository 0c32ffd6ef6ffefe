package postgres

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// maxStatements bounds what one connection keeps prepared. Shapes come from
// callers, so an unbounded cache would be a way to eat memory.
const maxStatements = 400

// A connection holds back what nobody waits for until so much of it has
// gathered. Their answers, which nobody reads meanwhile, must fit into the
// buffers of a socket: else both ends would wait for each other to read.
const (
	maxOwed = 256
	maxHeld = 64 << 10
)

// conn is one connection with its prepared statements. Only its current holder
// may use it; the watch may cancel what runs.
//
// Statements whose outcome nobody waits for (the control of a transaction, and
// what is sent through store.Sender) are held back and go out in one write with
// the next one that somebody does wait for, in one group of the protocol: where
// one fails, the server skips the rest.
type conn struct {
	*link
	set     *settings
	stmts   map[*store.Statement]*prepared
	names   uint64
	tick    uint64
	schema  uint64 // the generation of the schema that stmts were prepared in
	age     uint64 // the generation of connections that it belongs to
	reading *result
	free    *result // kept for the next statement
	scope   scope

	owed    []owed        // held-back statements, in order
	write   int           // the write that runs
	later   bool          // it lets its statements wait
	broken  error         // what a held-back statement failed with; until the group is undone
	breaker int           // the write that it belonged to
	differs bool          // it is an answer that differs, behind which the server went on
	careful time.Time     // until which no answers are waited for later
	depth   int           // of the savepoints inside a write
	retire  bool          // the connection must not be lent again
	turn    bool          // it has the turn to commit
	alone   bool          // outside of a transaction: a lost connection may be replaced
	took    time.Duration // by the last statement, up to its first row

	given bool  // a statement has answered something since it was lent for a read
	kept  []any // for the commit of the transaction

	mu      sync.Mutex      // for what the watch looks at
	ctx     context.Context //nolint:containedctx // the holder's, for the statements that run
	ended   context.Context //nolint:containedctx // ctx, once the watch has seen its end
	asked   int
	nextAsk time.Time
	asking  sync.WaitGroup
}

// prepared is a statement that the server knows, or, behind a pooler, one whose
// types are known.
type prepared struct {
	name   string
	params []uint32
	fields []uint32
	used   uint64
}

func openConn(ctx context.Context, set *settings) (*conn, error) {
	l, err := dial(ctx, set.cfg)
	if err != nil {
		if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) { // the connection's own time limit
			return nil, unreachable(err)
		}
		return nil, refused(err, set.cfg)
	}
	c := &conn{link: l, set: set, stmts: map[*store.Statement]*prepared{}}
	if set.pooled {
		return c, nil
	}
	// Compiling a statement to machine code takes longer than most run, and
	// cannot be canceled. No start-up parameter: poolers refuse those they do
	// not know.
	if err := c.run("SET jit=off"); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// scope is what a statement that fails is undone to: PostgreSQL ends a
// transaction at the first failure unless it goes back to a savepoint.
type scope struct {
	point string // the savepoint; empty outside of a write
	own   bool   // it was made for a statement, and goes when the next is made
	dirty bool   // something was written behind it
}

// usable reports whether the connection can be lent again: alive and outside
// of a transaction.
func (c *conn) usable() bool { return c.lost == nil && c.status == 'I' && !c.retire }

// run executes SQL without parameters or rows, one command or more, behind what
// was held back.
func (c *conn) run(sql string) error {
	c.settle()
	if err := c.flushOwed(); err != nil {
		return err
	}
	c.query(sql)
	if err := c.flush(); err != nil {
		return translate(err)
	}
	return c.translate(c.drain())
}

// mend forgets what a held-back statement failed with, and undoes it.
func (c *conn) mend(sql string) error {
	c.broken, c.differs, c.owed = nil, false, c.owed[:0]
	return c.run(sql)
}

// drain reads up to the end of a group and returns the first failure in it.
func (c *conn) drain() (first error) {
	for {
		kind, body, err := c.next()
		switch {
		case err != nil:
			return errors.Join(first, err)
		case kind == ansError && first == nil:
			first = failure(body)
		case kind == ansReady:
			return first
		}
	}
}

// translate maps an error, and retires the connection where it tells that the
// server takes no writes, or is about to go.
func (c *conn) translate(err error) error {
	if err == nil {
		return nil
	}
	if state(err) != "" && gone(err) {
		c.retire = true
		c.set.reset()
	}
	if c.lost != nil {
		c.set.reset()
		c.mu.Lock()
		ended := c.ended
		c.mu.Unlock()
		if ended != nil {
			return canceled(ended.Err())
		}
	}
	return translate(err)
}

// settle reads the rows of an open result ahead, so that the connection is
// free for another statement.
func (c *conn) settle() {
	if c.reading != nil {
		c.reading.ahead()
		c.reading = nil
	}
}

// hold adds a statement whose outcome nobody waits for.
func (c *conn) hold(st *store.Statement, args []value.Value) error {
	if c.broken != nil {
		return c.broken
	}
	c.settle()
	p, err := c.prepare(st)
	if err != nil {
		return err
	}
	if err := c.put(st, p, args); err != nil {
		return err
	}
	return c.owe(owed{write: c.write})
}

// owed is a statement that was held back.
type owed struct {
	write int // that it belongs to
	each  func(store.Row)
	same  func() bool // nil: the answer is of no interest
}

func (c *conn) owe(o owed) error {
	if c.owed = append(c.owed, o); len(c.owed) >= maxOwed || len(c.out) >= maxHeld {
		return c.flushOwed()
	}
	return nil
}

// put adds a statement to the messages that go out next.
func (c *conn) put(st *store.Statement, p *prepared, args []value.Value) error {
	begin := len(c.out)
	if c.set.pooled {
		c.parse("", st.SQL)
	}
	if err := c.bind(p.name, p.params, args); err != nil {
		c.out = c.out[:begin]
		return err
	}
	if c.set.pooled {
		c.describe('P', "")
	}
	c.execute()
	return nil
}

// flushOwed sends what was held back and reads the outcomes.
func (c *conn) flushOwed() error {
	if c.broken != nil {
		return c.broken
	}
	if len(c.owed) == 0 {
		return nil
	}
	c.sync()
	if err := c.flush(); err != nil {
		return c.translate(err)
	}
	if err := c.collect(); err != nil {
		return err
	}
	return c.translate(c.drain())
}

// collect reads the outcomes of what was held back. At a failure the rest of
// the group was skipped: it is read to its end.
func (c *conn) collect() error {
	for _, o := range c.owed {
		same, err := c.outcome(&o)
		switch {
		case err == nil && same, c.differs && err == nil:
			continue
		case !c.differs: // the first of them
			c.breaker = o.write
		}
		if err == nil {
			c.differs = true
			continue // the server went on
		}
		c.owed = c.owed[:0]
		if c.lost == nil {
			err = errors.Join(err, c.drain())
		}
		c.broken = c.translate(err)
		return c.broken
	}
	c.owed = c.owed[:0]
	if c.differs {
		err := error(fault.New(fault.Serialization, "a concurrent change is in the way").WithHint("try again"))
		c.broken = errors.Join(err, c.translate(c.drain()))
	}
	return c.broken
}

// outcome reads the answers to one command. same is false for rows that are
// others than they were.
func (c *conn) outcome(o *owed) (same bool, err error) {
	var r row
	for {
		kind, body, err := c.next()
		switch {
		case err != nil:
			return false, err
		case kind == ansError:
			return false, failure(body)
		case kind == ansRow && o.same != nil:
			r.vals = appendRow(r.vals[:0], body)
			o.each(&r)
		case kind == ansComplete, kind == ansEmpty:
			return o.same == nil || o.same(), nil
		}
	}
}

func (c *conn) prepare(st *store.Statement) (*prepared, error) {
	if c.set.pooled {
		return c.typed(st)
	}
	c.tick++
	if p := c.stmts[st]; p != nil {
		p.used = c.tick
		return p, nil
	}
	if len(c.stmts) >= maxStatements {
		if err := c.evict(); err != nil {
			return nil, err
		}
	}
	c.names++
	p := &prepared{name: "p" + strconv.FormatUint(c.names, 10), used: c.tick}
	if err := c.ask(p, st.SQL); err != nil {
		return nil, err
	}
	c.stmts[st] = p
	return p, nil
}

// ask has the server prepare a statement and tell its types.
func (c *conn) ask(p *prepared, sql string) error {
	c.parse(p.name, sql)
	c.describe('S', p.name)
	c.sync()
	if err := c.flush(); err != nil {
		return c.translate(err)
	}
	if err := c.collect(); err != nil {
		return err
	}
	var first error
	for {
		kind, body, err := c.next()
		if err != nil {
			return c.translate(errors.Join(first, err))
		}
		switch kind {
		case ansError:
			first = failure(body)
		case ansParameters:
			p.params = oidsIn(body)
		case ansFields:
			p.fields = fieldsIn(body)
		case ansReady:
			return c.translate(first)
		}
	}
}

// evict closes the half of the statements that was used least recently.
func (c *conn) evict() error {
	var sum uint64
	for _, p := range c.stmts {
		sum += p.used
	}
	mean := sum / uint64(len(c.stmts))
	var sql strings.Builder
	for st, p := range c.stmts {
		if p.used <= mean {
			delete(c.stmts, st)
			sql.WriteString("DEALLOCATE " + p.name + ";")
		}
	}
	return c.run(sql.String())
}

func (c *conn) forget(st *store.Statement, p *prepared) error {
	if c.set.pooled {
		c.set.types.forget(st)
		return nil
	}
	delete(c.stmts, st)
	return c.run("DEALLOCATE " + p.name)
}

// renew closes every statement when the schema has changed since.
func (c *conn) renew(schema uint64) error {
	if c.schema == schema {
		return nil
	}
	c.schema = schema
	if len(c.stmts) == 0 {
		return nil
	}
	clear(c.stmts)
	return c.run("DEALLOCATE ALL")
}

// Query implements store.Reader.
func (c *conn) Query(st *store.Statement, args []value.Value, each func(store.Row) error) error {
	_, err := c.exec(st, args, each)
	return err
}

// Exec implements store.Tx.
func (c *conn) Exec(st *store.Statement, args []value.Value) (int64, error) {
	return c.exec(st, args, nil)
}

// Send implements store.Sender.
func (c *conn) Send(st *store.Statement, args []value.Value) error {
	if !c.later || c.depth > 0 {
		_, err := c.exec(st, args, nil)
		return err
	}
	c.scope.dirty = true
	return c.hold(st, args)
}

func (c *conn) exec(st *store.Statement, args []value.Value, each func(store.Row) error) (int64, error) {
	c.settle()
	for again := true; ; again = false {
		if err := c.ready(); err != nil {
			return 0, err
		}
		p, err := c.prepare(st)
		if err == nil {
			n, started, err := c.execute1(st, p, args, each)
			switch {
			case err == nil || started || !again:
				return n, c.undo(err)
			case state(err) == stateStalePlan && c.status == 'I':
				if err := c.forget(st, p); err != nil { // another node has changed the schema
					return 0, err
				}
				continue
			}
			if !c.replace(err) {
				return n, c.undo(err)
			}
			continue
		}
		if !again || !c.replace(err) {
			return 0, c.undo(err)
		}
	}
}

// ready sees that a statement can run: nothing has failed before it, the
// context goes on, and what was written before is safe from its failure.
func (c *conn) ready() error {
	if c.broken != nil {
		return c.broken
	}
	if c.ctx != nil {
		if err := c.ctx.Err(); err != nil {
			return canceled(err)
		}
	}
	return c.guard()
}

// replace puts a new connection in the place of one that turned out to be lost
// before anything of a read was answered.
//
//nolint:contextcheck,nolintlint // the holder's, which is the connection's meanwhile; the linter looks at callers
func (c *conn) replace(err error) bool {
	if !c.alone || c.lost == nil && (state(err) == "" || !gone(err)) || c.ctx != nil && c.ctx.Err() != nil {
		return false
	}
	ctx := c.ctx
	if ctx == nil {
		ctx = c.set.base
	}
	fresh, ferr := openConn(ctx, c.set)
	if ferr != nil {
		return false
	}
	_ = c.link.close() // its failure was the reason
	c.mu.Lock()
	c.link = fresh.link
	c.mu.Unlock()
	clear(c.stmts)
	c.retire, c.age = false, c.set.age.Load()
	return true
}

// guard makes a savepoint before a statement that follows a write: one that
// fails must not take that write with it.
func (c *conn) guard() error {
	s := &c.scope
	if s.point == "" || !s.dirty {
		return nil
	}
	own := s.own
	*s = scope{point: "s", own: true}
	if own {
		if err := c.hold(ctl.releaseOwn, nil); err != nil {
			return err
		}
	}
	return c.hold(ctl.own, nil)
}

// undo goes back behind a failed statement.
func (c *conn) undo(err error) error {
	if err == nil || c.broken != nil || c.scope.point == "" || c.lost != nil || c.status != 'E' {
		return err
	}
	c.scope.dirty = false
	return errors.Join(err, c.run("ROLLBACK TO "+c.scope.point))
}

// execute1 runs a statement and hands its rows on. started tells whether a row
// was handed on.
func (c *conn) execute1(st *store.Statement, p *prepared, args []value.Value, each func(store.Row) error) (n int64, started bool, err error) {
	if err := c.put(st, p, args); err != nil {
		return 0, false, err
	}
	c.sync()
	if err := c.flush(); err != nil {
		return 0, false, c.translate(err)
	}
	if err := c.collect(); err != nil {
		return 0, false, err
	}
	q := c.open(p)
	defer c.finish(q) // also when each panics
	sent := time.Now()
	for q.next() {
		if !started {
			started, c.given, c.took = true, true, time.Since(sent)
		}
		if each == nil {
			continue
		}
		if err := each(&q.row); err != nil {
			return 0, true, err
		}
	}
	if !q.read {
		c.scope.dirty = true
	}
	if !started {
		c.took = time.Since(sent)
	}
	c.given = c.given || started || q.err == nil
	return q.rows, started, c.translate(q.err)
}

// Savepoint implements store.Tx.
func (c *conn) Savepoint(fn func() error) error {
	c.settle()
	if err := c.hold(ctl.inner, nil); err != nil {
		return err
	}
	outer := c.scope
	outer.dirty = true
	c.scope = scope{point: "i"}
	c.depth++
	kept := len(c.kept)
	err := fn()
	c.depth--
	c.scope = outer
	if err != nil {
		c.unkeep(kept)
		return errors.Join(err, c.run("ROLLBACK TO i; RELEASE i"))
	}
	return c.hold(ctl.releaseInner, nil)
}

// Unchecked implements store.Tx: references are checked behind fn.
func (c *conn) Unchecked(fn func() error) error {
	if err := c.run("SET CONSTRAINTS ALL DEFERRED"); err != nil {
		return err
	}
	if err := fn(); err != nil {
		return err
	}
	return c.run("SET CONSTRAINTS ALL IMMEDIATE")
}

func (c *conn) close() error {
	if c.lost == nil {
		_ = c.nc.SetDeadline(time.Now().Add(unanswered)) // a closed connection says so by itself
	}
	return c.link.close()
}

// Statements of the transaction control.
type control struct {
	begin, wait, savepoint, release, commit *store.Statement // around writes
	own, releaseOwn                         *store.Statement // around a statement
	inner, releaseInner                     *store.Statement // inside a write
}

//nolint:gochecknoglobals // constant texts; a Statement is identified by its address
var ctl = control{
	begin: &store.Statement{SQL: "BEGIN"}, wait: &store.Statement{SQL: "SET LOCAL lock_timeout=20"},
	savepoint: &store.Statement{SQL: "SAVEPOINT " + outerPoint}, release: &store.Statement{SQL: "RELEASE " + outerPoint},
	commit: &store.Statement{SQL: "COMMIT"},
	own:    &store.Statement{SQL: "SAVEPOINT s"}, releaseOwn: &store.Statement{SQL: "RELEASE s"},
	inner: &store.Statement{SQL: "SAVEPOINT i"}, releaseInner: &store.Statement{SQL: "RELEASE i"},
}

// outerPoint is the savepoint around a write.
const outerPoint = "w"
