package postgres

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// reader is one Read outside of a snapshot. It takes a connection when it has a
// statement that cannot share one.
type reader struct {
	p    *pool
	ctx  context.Context //nolint:containedctx // the caller's, for the statements that run
	c    *conn
	row  row
	busy bool // row is in use
}

// read is Driver.Read on a pool.
func (p *pool) read(ctx context.Context, snapshot bool, fn func(store.Reader) error) (err error) {
	if err := p.open(); err != nil {
		return err
	}
	if !snapshot {
		r := &reader{p: p, ctx: ctx}
		defer r.close()
		return fn(r)
	}
	given, err := p.snapshot(ctx, fn)
	if given || !gone(err) || ctx.Err() != nil {
		return err
	}
	_, err = p.snapshot(ctx, fn)
	return err
}

// snapshot runs fn in a transaction that sees one state of the data. Where fn
// was given nothing it can be run again on another connection.
func (p *pool) snapshot(ctx context.Context, fn func(store.Reader) error) (given bool, err error) {
	c, err := p.get(ctx)
	if err != nil {
		return false, err
	}
	defer p.put(c)
	c.given = false
	c.begin(ctx)
	defer c.end()
	if err := c.hold(beginSnapshot, nil); err != nil {
		return false, err
	}
	defer func() {
		if c.lost == nil {
			err = errors.Join(err, c.mend("ROLLBACK")) // nothing was written
		}
	}()
	err = fn(c)
	return c.given, err
}

func (r *reader) close() {
	if r.c != nil {
		r.c.end()
		r.p.put(r.c)
		r.c = nil
	}
}

// Query implements store.Reader.
func (r *reader) Query(st *store.Statement, args []value.Value, each func(store.Row) error) error {
	proof := r.p.lanes.of(st)
	if !r.busy && r.c == nil && proof.holds() {
		done, err := r.share(st, args, proof, each)
		if done {
			return err
		}
	}
	if r.c == nil {
		c, err := r.p.get(r.ctx)
		if err != nil {
			return err
		}
		c.begin(r.ctx)
		c.alone = true
		r.c = c
	}
	err := r.c.Query(st, args, each)
	if err == nil {
		proof.ran(r.c.took)
	}
	return err
}

// share runs a statement in a lane; done tells whether it was answered.
func (r *reader) share(st *store.Statement, args []value.Value, proof *proof, each func(store.Row) error) (done bool, err error) {
	if err := r.ctx.Err(); err != nil {
		return true, canceled(err)
	}
	t := tickets.Get().(*ticket) //nolint:forcetypeassert // the pool holds nothing else
	t.st, t.args, t.proof = st, args, proof
	defer t.release()
	if !r.p.lanes.ask(t) {
		return false, nil
	}
	r.busy = true
	defer func() { r.busy = false }()
	r.row.fields = t.typed.fields
	for rest := t.rows; len(rest) >= 4; {
		n := binary.BigEndian.Uint32(rest)
		r.row.vals = appendRow(r.row.vals[:0], rest[4:4+n])
		rest = rest[4+n:]
		if err := each(&r.row); err != nil {
			return true, err
		}
	}
	return true, nil
}
