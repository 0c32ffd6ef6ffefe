package move

import (
	"context"
	"slices"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/migrate"
	"github.com/pandobase/pando/internal/store"
)

// namedTables finds the tables of a store that have these names, in their
// order. It is the order of the locks that are taken: most writers take theirs
// in the same, the audit trail's last.
func namedTables(ctx context.Context, m store.Mover, names []string) ([]*store.StoredTable, error) {
	manifest, err := migrate.Manifest(ctx, m)
	if err != nil {
		return nil, err
	}
	all, err := ownTables(ctx, m)
	if err != nil {
		return nil, err
	}
	for _, t := range manifest {
		all = append(all, store.StoredTableOf(t))
	}
	all = slices.DeleteFunc(all, func(t *store.StoredTable) bool { return !slices.Contains(names, t.Name) })
	slices.SortFunc(all, func(a, b *store.StoredTable) int { return slices.Index(names, a.Name) - slices.Index(names, b.Name) })
	return all, nil
}

// insist runs a change of many tables again where writers were in its way.
func insist(do func() error) error {
	const times = 10
	err := do()
	for n := 1; n < times && fault.Is(err, fault.Serialization); n++ {
		err = do()
	}
	return err
}

// Abort takes a move back that has not switched: the source captures nothing
// any more, the target is empty. to is nil where it cannot be reached; then
// what was copied stays there.
func Abort(ctx context.Context, from, to store.Mover) error {
	s, err := Standing(ctx, from)
	if err != nil {
		return err
	}
	if s != nil && (s.Role == Target || s.Step == Moved) {
		return fault.New(fault.Conflict, "the move has switched already").WithHint("`pando move rollback` takes it back")
	}
	if s != nil {
		if err := release(ctx, from, s); err != nil {
			return err
		}
	}
	if to == nil {
		return nil
	}
	claim, err := Standing(ctx, to)
	if err != nil || claim == nil {
		return err
	}
	if claim.Role != Target || claim.Step == Live || s != nil && claim.ID != s.ID {
		return fault.New(fault.Conflict, "the target holds something else than this move")
	}
	return clear(ctx, to)
}

// release removes every trace of a move from a store that goes on.
func release(ctx context.Context, m store.Mover, s *State) error {
	d, _ := m.Dialect().(store.MoveDialect)
	tables, err := namedTables(ctx, m, s.Tables)
	if err != nil {
		return err
	}
	return insist(func() error {
		return m.Unlinked(ctx, func(tx store.MoveTx) error {
			for _, t := range tables {
				n := slices.Index(s.Tables, t.Name) + 1
				if err := exec(tx, d.Release(t, n), d.Unfence(t)); err != nil {
					return err
				}
			}
			return exec(tx, d.ReleaseLog(), []string{`DELETE FROM "pando_move"`})
		})
	})
}

// clear removes all that a move brought into its target.
func clear(ctx context.Context, m store.Mover) error {
	d, _ := m.Dialect().(store.MoveDialect)
	s, err := Standing(ctx, m)
	if err != nil || s == nil {
		return err
	}
	own, err := ownTables(ctx, m)
	if err != nil {
		return err
	}
	there, err := entityTables(ctx, m)
	if err != nil {
		return err
	}
	return m.Unlinked(ctx, func(tx store.MoveTx) error {
		for _, t := range there {
			n := slices.Index(s.Tables, t.QualifiedName()) + 1
			if n == 0 {
				continue // it is not the move's
			}
			if err := exec(tx, d.Release(store.StoredTableOf(t), n), d.Clear(t)); err != nil {
				return err
			}
		}
		for _, t := range own {
			if n := slices.Index(s.Tables, t.Name) + 1; n > 0 {
				if err := exec(tx, d.Release(t, n)); err != nil {
					return err
				}
			}
		}
		for _, t := range own {
			if err := exec(tx, []string{"DROP TABLE " + d.Stored(t)}); err != nil {
				return err
			}
		}
		return exec(tx, d.ReleaseLog(), []string{`DROP TABLE "pando_move"`}, d.SystemDDL())
	})
}

// Confirm ends a move that has switched: nothing is captured any more, and it
// cannot be taken back. The old store stays fenced. The caller serves from live.
func Confirm(ctx context.Context, live store.Mover) error {
	s, err := Standing(ctx, live)
	if err != nil {
		return err
	}
	if s == nil || s.Role != Target {
		return fault.New(fault.NotFound, "there is no move to be confirmed")
	}
	r := newRun(Config{From: live, To: live}.withDefaults())
	if err := r.readTables(ctx); err != nil {
		return err
	}
	if err := r.validate(ctx, live, r.dst); err != nil {
		return err
	}
	return release(ctx, live, s)
}

// Rollback takes a move back that has switched, with all that was written since.
// c.From is the old store, c.To the one that is served from; Switched is called
// when the old one is the application's again.
func Rollback(ctx context.Context, c Config) (*Result, error) {
	began := time.Now()
	r := newRun(c.withDefaults())
	if err := r.turnBack(ctx); err != nil {
		return nil, err
	}
	f := r.back()
	err := r.unlink(ctx, r.from, r.src)
	for rounds := 0; err == nil && rounds < maxRounds; rounds++ {
		var b *batch
		if b, err = f.drain(ctx, 0); err == nil {
			r.result.Changes += int64(b.keys)
			if b.keys <= fewChanges {
				break
			}
		}
	}
	if err != nil {
		return nil, stopped(err, "what was written since cannot be brought back")
	}
	for n := 0; ; n++ {
		if n > 0 {
			err = r.unlink(ctx, r.from, r.src)
		}
		if err == nil {
			err = r.attemptBack(ctx, f)
		}
		if err == nil || !again(err) || n == attempts {
			break
		}
		select {
		case <-ctx.Done():
			return nil, stopped(err, "the way back was given up")
		case <-time.After(breath):
		}
	}
	if err != nil {
		return nil, stopped(err, "the way back did not come about")
	}
	if err := r.validate(ctx, r.from, r.src); err != nil {
		r.cfg.Log.Warn("the references are not checked yet", "error", err)
	}
	r.result.Took = time.Since(began)
	return &r.result, nil
}

// turnBack checks that the move can be taken back.
func (r *run) turnBack(ctx context.Context) error {
	r.step(Preparing)
	live, err := Standing(ctx, r.to)
	if err != nil {
		return err
	}
	old, err := Standing(ctx, r.from)
	if err != nil {
		return err
	}
	if live == nil || live.Role != Target || old == nil || old.Step != Moved || old.ID != live.ID {
		return fault.New(fault.NotFound, "there is no move to be taken back")
	}
	if live.Step == Returned {
		return fault.New(fault.Conflict, "the move was taken back already")
	}
	if err := Thaw(ctx, r.to, live); err != nil {
		return err
	}
	if live.Step == Ready { // the old store has decided, and the note of it was lost
		if err := GoLive(ctx, r.to); err != nil {
			return err
		}
		live.Step = Live
	}
	then, err := migrate.Manifest(ctx, r.from)
	if err != nil {
		return err
	}
	now, err := migrate.Manifest(ctx, r.to)
	if err != nil {
		return err
	}
	if !migrate.SameTables(then, now) {
		return fault.New(fault.Conflict, "the schema has changed since the move: the old store has no place for what was written").
			WithHint("`pando move confirm` ends the move; a new `pando move` goes to an empty store")
	}
	if err := r.readTables(ctx); err != nil {
		return err
	}
	r.state = *live
	return r.number()
}

// attemptBack is attempt in the other direction: the store that is served from
// decides.
func (r *run) attemptBack(ctx context.Context, f *flow) error {
	r.step(Frozen)
	began := time.Now()
	frozen, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.cfg.Freeze)
	defer cancel()
	release, err := r.cfg.Hold(frozen)
	if err != nil {
		return err
	}
	defer release()
	next := r.state
	next.Step, next.Epoch = Frozen, r.state.Epoch+1
	if err := f.fence(frozen, &next); err != nil {
		return r.thawBack(ctx, err)
	}
	b, err := f.drainFenced(frozen)
	if err == nil {
		err = f.compareKeys(frozen, b)
	}
	if err == nil {
		err = r.from.Unlinked(frozen, func(tx store.MoveTx) error {
			for _, t := range r.tables {
				if t.Table != nil {
					if err := exec(tx, r.src.Link(t.Table)); err != nil {
						return err
					}
				}
			}
			return exec(tx, r.src.Settle())
		})
	}
	if err == nil {
		err = r.cfg.Ready(frozen)
	}
	if err != nil {
		return r.thawBack(ctx, err)
	}
	next.Step = Returned
	if err := r.decide(ctx, r.to, r.dst, &next); err != nil {
		return r.thawBack(ctx, err)
	}
	if err := Reclaim(context.WithoutCancel(ctx), r.from); err != nil {
		r.cfg.Log.Error("the old store could not be opened for writers: restart the node", "error", err)
	}
	r.cfg.Switched()
	r.result.Frozen, r.result.Changes = time.Since(began), r.result.Changes+int64(b.keys)
	r.step(Returned)
	return nil
}

func (r *run) thawBack(ctx context.Context, why error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	s := r.state
	s.Step = Frozen
	if err := Thaw(ctx, r.to, &s); err != nil {
		r.cfg.Log.Error("the store could not be opened for writers again: restart the node", "error", err)
	}
	return why
}

// Reclaim opens the old store again after its move was taken back. The caller
// knows that the other store has decided so.
func Reclaim(ctx context.Context, old store.Mover) error {
	s, err := Standing(ctx, old)
	if err != nil || s == nil {
		return err
	}
	return release(ctx, old, s)
}
