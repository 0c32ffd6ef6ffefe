package outbox

import (
	"context"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// Lease is a task that one node has. A fence grows with each holder, so that a
// node which stood still while another took over changes nothing more: see
// [Lease.Check].
type Lease struct {
	o     *Outbox
	name  string
	fence int64
}

// Check fails the transaction when another node has the task now
// (fault.Conflict). It is a sign of life too.
func (l *Lease) Check(tx store.Tx) error {
	if !l.o.shared {
		return nil
	}
	n, err := tx.Exec(l.o.st.beat, []value.Value{value.OfText(l.name), value.OfInt(l.fence)})
	if err == nil && n == 0 {
		err = fault.New(fault.Conflict, "another node has taken over %s", l.name)
	}
	return err
}

// Lead waits until the task of that name is this node's, and calls fn. Its
// context ends when the task may be another node's, or when ctx ends. Lead
// returns what fn returns, or ctx's error.
//
// No clock of two machines is compared: who waits takes over when the lease's row
// has not changed for [Config.LeaseTime] of its own steady clock, and the holder
// gives up after two thirds of that time without having changed it. Where the
// store is one process's, the task is its own at once.
func (o *Outbox) Lead(ctx context.Context, name string, fn func(context.Context, *Lease) error) error {
	l := &Lease{o: o, name: name}
	if !o.shared {
		return fn(ctx, l)
	}
	if err := l.acquire(ctx); err != nil {
		return err
	}
	held, lost := context.WithCancel(ctx)
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		l.keep(held, lost)
	}()
	err := fn(held, l)
	lost()
	<-kept
	l.release(context.WithoutCancel(ctx))
	return err
}

// seen is a lease's row.
type seen struct {
	holder      string
	fence, beat int64
}

// acquire waits for the lease.
func (l *Lease) acquire(ctx context.Context) error {
	const looks = 20 // within the lease's time
	tick := time.NewTicker(l.o.cfg.LeaseTime / looks)
	defer tick.Stop()
	var last seen
	since := time.Now()
	for {
		now, found, err := l.look(ctx)
		if err == nil {
			if now != last {
				last, since = now, time.Now()
			}
			if !found || now.holder == "" || time.Since(since) >= l.o.cfg.LeaseTime {
				var taken bool
				if taken, err = l.take(ctx, now, found); taken {
					return nil
				}
			}
		}
		if err != nil && ctx.Err() == nil {
			l.o.cfg.Log.Debug("a lease could not be taken: it is tried again", "lease", l.name, "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func (l *Lease) look(ctx context.Context) (s seen, found bool, err error) {
	err = l.o.cfg.Driver.Read(ctx, false, func(r store.Reader) error {
		found = false
		return r.Query(l.o.st.lease, []value.Value{value.OfText(l.name)}, func(row store.Row) error {
			found, s = true, seen{string(row.Append(nil, 0)), row.Int(1), row.Int(2)}
			return nil
		})
	})
	return s, found, err
}

// take takes the lease as it was seen.
func (l *Lease) take(ctx context.Context, s seen, found bool) (bool, error) {
	var n int64
	name, holder := value.OfText(l.name), value.OfText(l.o.holder)
	err := l.o.cfg.Driver.Write(ctx, func(tx store.Tx) (err error) {
		if !found {
			n, err = tx.Exec(l.o.st.takeFirst, []value.Value{name, holder})
			return err
		}
		n, err = tx.Exec(l.o.st.take, []value.Value{holder, name, value.OfInt(s.fence), value.OfInt(s.beat)})
		return err
	})
	l.fence = s.fence + 1
	return err == nil && n == 1, err
}

// keep gives signs of life until the lease is lost.
func (l *Lease) keep(ctx context.Context, lost context.CancelFunc) {
	defer lost()
	const signs = 5 // within the lease's time
	tick := time.NewTicker(l.o.cfg.LeaseTime / signs)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		before := time.Now()
		limit := l.o.cfg.LeaseTime * 2 / 3
		within, cancel := context.WithDeadline(ctx, last.Add(limit))
		err := l.o.cfg.Driver.Write(within, l.Check)
		cancel()
		switch {
		case err == nil:
			last = before
		case fault.Is(err, fault.Conflict), time.Since(last) >= limit:
			if ctx.Err() == nil {
				l.o.cfg.Log.Warn("a task of this node may be another node's now", "lease", l.name, "error", err)
			}
			return
		}
	}
}

// release lets the next node take the lease at once.
func (l *Lease) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, l.o.cfg.LeaseTime)
	defer cancel()
	err := l.o.cfg.Driver.Write(ctx, func(tx store.Tx) error {
		_, err := tx.Exec(l.o.st.free, []value.Value{value.OfText(l.name), value.OfInt(l.fence)})
		return err
	})
	if err != nil {
		l.o.cfg.Log.Debug("a lease could not be given back: it runs out", "lease", l.name, "error", err)
	}
}
