package postgres

import (
	"context"
	"time"
)

// unanswered is how long a server may take to answer a cancel request before
// the connection is given up.
const unanswered = 5 * time.Second

// watchTime is how often the watch looks: a statement whose context has ended
// runs on for so long at most.
const watchTime = 20 * time.Millisecond

// watch cancels statements whose context has ended. One goroutine looks at all
// connections now and then: a goroutine for each statement, and the timer that
// its context would need, would cost more than a point read.
func (d *Driver) watch(ctx context.Context) {
	defer close(d.done)
	t := time.NewTicker(watchTime)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			d.pool.lanes.look(now) //nolint:contextcheck // it makes an ended one of its own
			d.pool.each(func(c *conn) { c.look(now) })
		}
	}
}

// begin makes ctx's end cancel what runs from here on; end undoes it.
func (c *conn) begin(ctx context.Context) {
	c.mu.Lock()
	c.ctx = ctx
	c.mu.Unlock()
}

// look asks the server to cancel the statement of a context that has ended. It
// asks again until the statement has ended: a request that overtakes the
// statement finds nothing to cancel. The connection stays usable, unless the
// server does not answer.
//
//nolint:contextcheck,nolintlint // the request is made because the context has ended; the linter looks at callers
func (c *conn) look(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx == nil || c.ctx.Err() == nil || now.Before(c.nextAsk) {
		return
	}
	if c.ended == nil {
		c.ended = c.ctx
		_ = c.nc.SetDeadline(now.Add(unanswered)) // a closed connection says so by itself
	}
	c.nextAsk = now.Add(watchTime << min(c.asked, 6))
	c.asked++
	pg, base := c.pg, c.set.base
	c.asking.Go(func() {
		ctx, cancel := context.WithTimeout(base, unanswered)
		defer cancel()
		_ = pg.CancelRequest(ctx) // where it fails the deadline ends the wait
	})
}

// end also sees that no cancel request is left that could hit the next holder:
// one that comes late ends a statement that does nothing.
func (c *conn) end() {
	c.mu.Lock()
	c.ctx = nil
	asked := c.asked
	c.mu.Unlock()
	if asked == 0 {
		return
	}
	c.asking.Wait()
	c.settle()
	if c.lost == nil {
		_ = c.nc.SetDeadline(time.Time{})
		if c.broken == nil {
			_ = c.run("") // what it fails with has been answered
		}
	}
	c.mu.Lock()
	c.ended, c.asked, c.nextAsk = nil, 0, time.Time{}
	c.mu.Unlock()
}
