package postgres

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// maxStatements bounds what one connection keeps prepared. Shapes come from
// callers, so an unbounded cache would be a way to eat memory.
const maxStatements = 400

// unanswered is how long a server may take to answer a cancel request before
// the connection is given up.
const unanswered = 5 * time.Second

// connectTimeout is how long one server may take to let a connection in, unless
// the URL says otherwise.
const connectTimeout = 5 * time.Second

// conn is one connection with its prepared statements. Only its current holder
// may use it.
type conn struct {
	pg      *pgconn.PgConn
	stmts   map[*store.Statement]*prepared
	names   uint64
	tick    uint64
	schema  uint64 // the generation of the schema that stmts were prepared in
	reading *result
	epoch   uint64 // of the pool, when it was opened
	given   bool   // a statement has answered something since it was lent for a read
	warned  bool   // the server warned of a commit
	scope   scope
	kept    []any           // for the commit of the transaction
	base    context.Context //nolint:containedctx // never ends: for what must be done whatever the holder's says
	ctx     context.Context //nolint:containedctx // the holder's, for the statements that run
}

type prepared struct {
	name string
	desc *pgconn.StatementDescription
	used uint64
}

// connConfig reads a URL and sets what every connection needs. The parameters
// are those that a transaction pooler knows to keep apart.
func connConfig(url string) (*pgconn.Config, error) {
	cfg, err := pgconn.ParseConfig(url)
	if err != nil {
		return nil, fault.New(fault.ConfigInvalid, "the store's URL is wrong"). // the error holds the password
											WithHint("it has the form postgres://user@host:5432/database")
	}
	cfg.RuntimeParams["timezone"] = "UTC"
	cfg.RuntimeParams["datestyle"] = "ISO"
	cfg.RuntimeParams["client_encoding"] = "UTF8"
	if cfg.RuntimeParams["application_name"] == "" {
		cfg.RuntimeParams["application_name"] = "pando"
	}
	cfg.OnNotice = noticed
	if len(cfg.Fallbacks) > 0 && cfg.ValidateConnect == nil { // of several servers one takes writes
		cfg.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = connectTimeout
	}
	cfg.BuildContextWatcherHandler = func(pg *pgconn.PgConn) ctxwatch.Handler {
		return &canceler{pg: pg}
	}
	return cfg, nil
}

// canceler asks the server to cancel the statement whose context has ended. It
// asks again until the statement has ended: a request that overtakes the
// statement finds nothing to cancel. The connection stays usable, unless the
// server does not answer.
type canceler struct {
	pg         *pgconn.PgConn
	stop, done chan struct{}
}

// HandleCancel implements ctxwatch.Handler.
func (h *canceler) HandleCancel(ended context.Context) {
	stop, done := make(chan struct{}), make(chan struct{})
	h.stop, h.done = stop, done
	_ = h.pg.Conn().SetDeadline(time.Now().Add(unanswered)) // a closed connection says so by itself
	go func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ended), unanswered)
		defer cancel()
		for pause := 20 * time.Millisecond; ctx.Err() == nil; pause *= 2 {
			_ = h.pg.CancelRequest(ctx) // where it fails the deadline ends the wait
			select {
			case <-stop:
				return
			case <-time.After(pause):
			}
		}
	}()
}

// HandleUnwatchAfterCancel implements ctxwatch.Handler.
func (h *canceler) HandleUnwatchAfterCancel() {
	close(h.stop)
	<-h.done
	_ = h.pg.Conn().SetDeadline(time.Time{})
}

func openConn(ctx context.Context, cfg *pgconn.Config) (*conn, error) {
	pg, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) { // the connection's own time limit
			return nil, unreachable(err)
		}
		return nil, refused(err, cfg)
	}
	base := context.WithoutCancel(ctx)
	c := &conn{pg: pg, stmts: map[*store.Statement]*prepared{}, base: base, ctx: base}
	pg.CustomData()[connKey] = c
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

// begin makes ctx's end cancel what runs from here on; end undoes it.
func (c *conn) begin(ctx context.Context) { c.ctx = ctx }

// end also sees that no cancel request is left that could hit the next holder:
// one that comes late ends a statement that does nothing.
func (c *conn) end() {
	late := c.ctx.Err() != nil
	c.ctx = c.base
	if late && !c.pg.IsClosed() {
		c.settle()
		_, _ = c.pg.Exec(c.ctx, "").ReadAll() // what it fails with has been answered
	}
}

// usable reports whether the connection can be lent again: alive and outside
// of a transaction.
func (c *conn) usable() bool { return !c.pg.IsClosed() && c.pg.TxStatus() == 'I' }

// run executes SQL without parameters or rows, one command or more, whatever
// the holder's context says.
func (c *conn) run(sql string) error {
	c.settle()
	_, err := c.pg.Exec(c.base, sql).ReadAll()
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

func (c *conn) prepare(st *store.Statement) (*prepared, error) {
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
	var err error
	if p.desc, err = c.pg.Prepare(c.ctx, p.name, st.SQL, nil); err != nil {
		return nil, translate(err)
	}
	c.stmts[st] = p
	return p, nil
}

// evict closes the half of the statements that was used least recently.
func (c *conn) evict() error {
	var sum uint64
	for _, p := range c.stmts {
		sum += p.used
	}
	mean := sum / uint64(len(c.stmts))
	for st, p := range c.stmts {
		if p.used > mean {
			continue
		}
		if err := c.forget(st, p); err != nil {
			return err
		}
	}
	return nil
}

func (c *conn) forget(st *store.Statement, p *prepared) error {
	delete(c.stmts, st)
	return translate(c.pg.Deallocate(c.base, p.name))
}

// renew closes every statement when the schema has changed since.
func (c *conn) renew(schema uint64) error {
	if c.schema == schema {
		return nil
	}
	for st, p := range c.stmts {
		if err := c.forget(st, p); err != nil {
			return err
		}
	}
	c.schema = schema
	return nil
}

// result is the rows of a statement: read one by one, or ahead once another
// statement needs the connection.
type result struct {
	r    *pgconn.ResultReader
	row  row
	rest [][][]byte // rows read ahead
	tag  pgconn.CommandTag
	err  error
	done bool // r is closed
}

func (q *result) next() bool {
	if !q.done {
		if q.r.NextRow() {
			q.row.vals = q.r.Values()
			return true
		}
		q.close()
		return false
	}
	if len(q.rest) == 0 {
		return false
	}
	q.row.vals, q.rest = q.rest[0], q.rest[1:]
	return true
}

func (q *result) close() {
	if !q.done {
		q.tag, q.err = q.r.Close()
		q.done = true
	}
}

// ahead keeps the current row and all that follow.
func (q *result) ahead() {
	if q.done {
		return
	}
	q.row.vals = kept(q.row.vals)
	for q.r.NextRow() {
		q.rest = append(q.rest, kept(q.r.Values()))
	}
	q.close()
}

func kept(vals [][]byte) [][]byte {
	out := make([][]byte, len(vals))
	for i, v := range vals {
		if v != nil {
			out[i] = append(make([]byte, 0, len(v)), v...)
		}
	}
	return out
}

// Query implements store.Reader.
func (c *conn) Query(st *store.Statement, args []value.Value, each func(store.Row) error) error {
	_, err := c.query(st, args, each)
	return err
}

// Exec implements store.Tx.
func (c *conn) Exec(st *store.Statement, args []value.Value) (int64, error) {
	tag, err := c.query(st, args, func(store.Row) error { return nil })
	return tag.RowsAffected(), err
}

func (c *conn) query(st *store.Statement, args []value.Value, each func(store.Row) error) (pgconn.CommandTag, error) {
	c.settle()
	for again := true; ; again = false {
		if err := c.guard(); err != nil {
			return pgconn.CommandTag{}, err
		}
		p, err := c.prepare(st)
		if err != nil {
			return pgconn.CommandTag{}, c.undo(err)
		}
		rows := 0
		tag, err := c.execute(p, args, func(r store.Row) error { rows++; return each(r) })
		if state(err) == stateStalePlan && again && rows == 0 && c.pg.TxStatus() == 'I' {
			if err := c.forget(st, p); err != nil { // another node has changed the schema
				return tag, err
			}
			continue
		}
		c.scope.dirty = c.scope.dirty || !tag.Select()
		return tag, c.undo(err)
	}
}

// guard makes a savepoint before a statement that follows a write: one that
// fails must not take that write with it.
func (c *conn) guard() error {
	s := &c.scope
	if s.point == "" || !s.dirty {
		return nil
	}
	sql := "SAVEPOINT s"
	if s.own {
		sql = "RELEASE s; SAVEPOINT s"
	}
	*s = scope{point: "s", own: true}
	return c.run(sql)
}

// undo goes back behind a failed statement.
func (c *conn) undo(err error) error {
	if err == nil || c.scope.point == "" || c.pg.IsClosed() || c.pg.TxStatus() != 'E' {
		return err
	}
	c.scope.dirty = false
	return errors.Join(err, c.run("ROLLBACK TO "+c.scope.point))
}

func (c *conn) execute(p *prepared, args []value.Value, each func(store.Row) error) (pgconn.CommandTag, error) {
	vals, formats, err := bind(p.desc.ParamOIDs, args)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	q := &result{r: c.pg.ExecPrepared(c.ctx, p.name, vals, formats, nil), row: row{fields: p.desc.Fields}}
	c.reading = q
	defer func() { // also when each panics
		q.close()
		if c.reading == q {
			c.reading = nil
		}
	}()
	for q.next() {
		c.given = true
		if err := each(&q.row); err != nil {
			return pgconn.CommandTag{}, err
		}
	}
	c.given = c.given || q.err == nil
	return q.tag, translate(q.err)
}

// Savepoint implements store.Tx.
func (c *conn) Savepoint(fn func() error) error {
	if err := c.run("SAVEPOINT i"); err != nil {
		return err
	}
	outer := c.scope
	outer.dirty = true
	c.scope = scope{point: "i"}
	kept := len(c.kept)
	err := fn()
	c.scope = outer
	if err != nil {
		c.unkeep(kept)
		return errors.Join(err, c.run("ROLLBACK TO i; RELEASE i"))
	}
	return c.run("RELEASE i")
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
	_ = c.pg.Conn().SetDeadline(time.Now().Add(unanswered)) // a closed connection says so by itself
	return c.pg.Close(c.base)
}
