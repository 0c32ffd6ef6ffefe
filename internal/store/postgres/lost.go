package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
)

// gone reports whether an error says that the server ended the connection, is
// not there, or is no longer what it was: other connections to it are as good
// as this one.
func gone(err error) bool {
	if err == nil {
		return false
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch pg.Code {
		case stateShutdown, stateCrash, stateStarting, stateReadOnly:
			return true
		}
		return len(pg.Code) == 5 && pg.Code[:2] == "08"
	}
	if f, ok := errors.AsType[*fault.Error](err); ok { // what translate makes of an error without a state
		return f.Code == fault.StoreUnavailable && f.Unwrap() != nil
	}
	return !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) // else the socket's own
}

// reset drops the connections that are lent to nobody, and those that are lent
// when they come back: the server that they lead to was lost.
func (p *pool) reset() {
	p.mu.Lock()
	p.epoch++
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, c := range idle {
		_ = c.pg.Conn().Close() // no goodbye to who may not answer
	}
}

// sever is reset for a server that does not answer: what waits for it fails.
func (p *pool) sever() {
	p.reset()
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.lent {
		_ = c.pg.Conn().Close()
	}
}

// read runs fn with a connection of the pool. While fn has been given nothing
// it is run again, once, when the connection turns out to be lost.
func (p *pool) read(ctx context.Context, snapshot bool, fn func(store.Reader) error) error {
	given, err := p.readOnce(ctx, snapshot, fn)
	if given || !gone(err) || ctx.Err() != nil {
		return err
	}
	_, err = p.readOnce(ctx, snapshot, fn)
	return err
}

func (p *pool) readOnce(ctx context.Context, snapshot bool, fn func(store.Reader) error) (given bool, err error) {
	c, err := p.get(ctx)
	if err != nil {
		return false, err
	}
	defer p.put(c)
	c.given = false
	if snapshot {
		if err := c.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"); err != nil {
			return false, err
		}
		defer func() {
			if !c.pg.IsClosed() {
				err = errors.Join(err, c.run("ROLLBACK")) // nothing was written
			}
		}()
	}
	c.begin(ctx)
	defer c.end()
	err = fn(c)
	return c.given, err
}
