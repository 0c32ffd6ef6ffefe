package move

import (
	"context"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
)

const (
	attempts = 10              // of a switch, before the move is left as it is
	breath   = 2 * time.Second // between two of them, for the writers
)

// cutOver switches. An attempt that takes too long is undone, so that writers
// wait no longer than they were promised, and made again later.
func (r *run) cutOver(ctx context.Context) error {
	var err error
	for n := range attempts {
		if n > 0 {
			select {
			case <-ctx.Done():
				return stopped(err, "the switch was given up")
			case <-time.After(breath):
			}
		}
		// What has changed since the comparison is brought along, and compared,
		// before writers are held: little is left for then.
		if err := r.catchUp(ctx); err != nil {
			return err
		}
		if err = r.attempt(ctx); err == nil {
			return r.complete(ctx)
		}
		r.cfg.Log.Warn("the switch was given up and is tried again: the application goes on as before", "attempt", n+1, "error", err)
		if !again(err) {
			break
		}
	}
	return stopped(err, "the switch did not come about")
}

// again reports whether another attempt may fare better: time ran out, or a
// side was busy. A difference between the stores stays one.
func again(err error) bool {
	switch fault.From(err).Code { //nolint:exhaustive // the others are no matter of time
	case fault.QueryCanceled, fault.Serialization, fault.TooManyConns, fault.Conflict:
		return true
	}
	return false
}

// attempt holds the writers, fences the source, brings the rest along, compares
// it, and lets the source decide.
func (r *run) attempt(ctx context.Context) (err error) {
	r.step(Frozen)
	began := time.Now()
	// What is under way when ctx ends is brought to its end: half a switch helps
	// nobody.
	frozen, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.cfg.Freeze)
	defer cancel()
	release, err := r.cfg.Hold(frozen)
	if err != nil {
		return err
	}
	defer release()
	next := r.state
	next.Step, next.Epoch = Frozen, r.state.Epoch+1
	f := r.there()
	if err := f.fence(frozen, &next); err != nil {
		return r.thaw(ctx, err)
	}
	b, err := f.drainFenced(frozen)
	if err == nil {
		err = f.compareKeys(frozen, b)
	}
	if err == nil {
		err = r.makeReady(frozen, next)
	}
	if err == nil {
		err = r.cfg.Ready(frozen)
	}
	if err != nil {
		return r.thaw(ctx, err)
	}
	next.Step = Moved
	if err := r.decide(ctx, r.from, r.src, &next); err != nil {
		return r.thaw(ctx, err)
	}
	r.state = next
	r.cfg.Switched()
	r.result.Frozen, r.result.Changes = time.Since(began), r.result.Changes+int64(b.keys)
	r.step(Moved)
	return nil
}

// fence makes the source refuse every writer.
func (f *flow) fence(ctx context.Context, s *State) error {
	return f.from.Write(ctx, func(tx store.Tx) error {
		for _, t := range f.tables {
			if err := exec(tx, f.src.Fence(t.StoredTable)); err != nil {
				return err
			}
		}
		return s.write(tx, f.src)
	})
}

// drainFenced brings the rest along. The log stays: if the switch is given up
// it is brought along once more.
func (f *flow) drainFenced(ctx context.Context) (*batch, error) {
	var b *batch
	err := f.from.Read(ctx, true, func(rd store.Reader) (err error) {
		b, err = f.readLog(rd, 0)
		return err
	})
	if err == nil {
		err = f.apply(ctx, b)
	}
	return b, err
}

// makeReady adds to the target what only a whole state can have.
func (r *run) makeReady(ctx context.Context, s State) error {
	s.Role, s.Step, s.Done = Target, Ready, true
	return r.to.Unlinked(ctx, func(tx store.MoveTx) error {
		for _, t := range r.tables {
			if t.Table != nil {
				if err := exec(tx, r.dst.Link(t.Table)); err != nil {
					return err
				}
			}
		}
		if err := exec(tx, r.dst.Settle()); err != nil {
			return err
		}
		return s.write(tx, r.dst)
	})
}

// decide writes the state that makes the other store the application's. When
// it cannot be told whether it was written, it is asked for.
func (r *run) decide(ctx context.Context, m store.Mover, d store.MoveDialect, s *State) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	err := m.Write(ctx, func(tx store.Tx) error { return s.write(tx, d) })
	for pause := 10 * time.Millisecond; err != nil; pause = min(2*pause, time.Second) {
		now, serr := Standing(ctx, m)
		if serr == nil {
			if now != nil && now.Step == s.Step && now.Epoch == s.Epoch {
				return nil
			}
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
	return nil
}

// thaw lets the source go on after a switch that was given up, and returns why
// it was.
func (r *run) thaw(ctx context.Context, why error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	r.linked = true // until the next catchUp
	s := r.state
	s.Step = Frozen
	err := Thaw(ctx, r.from, &s)
	for pause := 10 * time.Millisecond; err != nil && ctx.Err() == nil; pause = min(2*pause, time.Second) {
		time.Sleep(pause)
		err = Thaw(ctx, r.from, &s)
	}
	if err != nil {
		r.cfg.Log.Error("the store could not be opened for writers again: restart the node", "error", err)
	}
	return why
}

// unlink drops a store's references: they would act on what is brought along.
func (r *run) unlink(ctx context.Context, m store.Mover, d store.MoveDialect) error {
	return m.Unlinked(ctx, func(tx store.MoveTx) error {
		for _, t := range r.tables {
			if t.Table != nil {
				if err := exec(tx, d.Unlink(t.Table)); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// Thaw removes the fence of a switch that was not decided, if there is one. s is
// the store's state, and is changed with it. The caller knows that the process
// which made the fence is gone, or is itself.
func Thaw(ctx context.Context, m store.Mover, s *State) error {
	if s.Step != Frozen {
		return nil
	}
	next := *s
	next.Step = Copying
	if s.Role == Target {
		next.Step = Live
	}
	d, _ := m.Dialect().(store.MoveDialect)
	tables, err := namedTables(ctx, m, s.Tables)
	if err != nil {
		return err
	}
	err = m.Write(ctx, func(tx store.Tx) error {
		for _, t := range tables {
			if err := exec(tx, d.Unfence(t)); err != nil {
				return err
			}
		}
		return next.write(tx, d)
	})
	if err == nil {
		*s = next
	}
	return err
}

// complete ends what the switch leaves for later: the target remembers that it
// is live, and checks the references that were added unchecked.
func (r *run) complete(ctx context.Context) error {
	if err := GoLive(context.WithoutCancel(ctx), r.to); err != nil {
		r.cfg.Log.Warn("the move is complete; the target could not note it and does at the next start", "error", err)
		return nil
	}
	if err := r.validate(ctx, r.to, r.dst); err != nil {
		r.cfg.Log.Warn("the references of the target are not checked yet: `pando move confirm` does it", "error", err)
	}
	return nil
}

// GoLive makes a target note that it is served from. The caller knows that the
// source has decided.
func GoLive(ctx context.Context, m store.Mover) error {
	s, err := Standing(ctx, m)
	if err != nil || s == nil || s.Step != Ready {
		return err
	}
	s.Step = Live
	return m.Write(ctx, func(tx store.Tx) error { return s.write(tx, m.Dialect()) })
}

func (r *run) validate(ctx context.Context, m store.Mover, d store.MoveDialect) error {
	for _, t := range r.tables {
		if t.Table == nil {
			continue
		}
		for _, sql := range d.Validate(t.Table) {
			if err := m.Write(ctx, func(tx store.Tx) error { return exec(tx, []string{sql}) }); err != nil {
				return err
			}
		}
	}
	return nil
}
