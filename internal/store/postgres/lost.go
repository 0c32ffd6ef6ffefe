package postgres

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pandobase/pando/internal/fault"
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
	p.set.reset()
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	p.all = slices.DeleteFunc(p.all, func(c *conn) bool { return slices.Contains(idle, c) })
	p.mu.Unlock()
	for _, c := range idle {
		c.sever() // no goodbye to who may not answer
	}
}

// sever is reset for a server that does not answer: what waits for it fails.
func (p *pool) sever() {
	p.reset()
	p.each((*conn).sever)
}

// sever closes the connection under whoever uses it.
func (c *conn) sever() {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.nc.Close() // it is lost
}
