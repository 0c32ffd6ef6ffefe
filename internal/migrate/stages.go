package migrate

import (
	"context"
	"slices"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
)

// exclusively calls fn while no other node migrates, where several could.
func (r *run) exclusively(ctx context.Context, fn func(context.Context) error) error {
	if r.online == nil {
		return fn(ctx)
	}
	waiting := func() { r.tell(store.StageProgress{Title: "wait for another migration"}) }
	return r.online.Exclusive(ctx, waiting, func(ctx context.Context) error {
		// The plan may be of the time before the wait.
		if err := r.d.Read(ctx, false, func(tx store.Reader) error { return r.head.check(tx) }); err != nil {
			return err
		}
		return fn(ctx)
	})
}

// transact runs a transaction that changes the schema.
func (r *run) transact(ctx context.Context, fn func(store.Tx) error) error {
	if r.online == nil {
		return r.d.Alter(ctx, fn)
	}
	return r.online.Brief(ctx, r.tell, fn)
}

// tell passes on where the part that comes next stands.
func (r *run) tell(st store.StageProgress) {
	if r.opt.Progress == nil {
		return
	}
	p := Progress{Part: min(r.next+1, len(r.parts)), Of: len(r.parts), Stage: &st}
	if r.next < len(r.parts) {
		p.Titles, p.Wait = titles(r.parts[r.next]), r.p.waitOf(r.parts[r.next])
	}
	r.opt.Progress(p)
}

// ahead runs the stages of a part.
func (r *run) ahead(ctx context.Context, part []*Step) error {
	if r.online == nil {
		return nil
	}
	for _, s := range part {
		for _, st := range s.stages {
			if st.guard != nil && slices.Contains(r.opt.Allow, st.guard.name) {
				continue
			}
			if r.opt.BeforeStage != nil {
				if err := r.opt.BeforeStage(st.stage); err != nil {
					return err
				}
			}
			err := r.online.Stage(ctx, st.stage, r.tell)
			if st.guard != nil && fault.Is(err, fault.Check) {
				err = st.guard.refuse("some")
			}
			if err != nil {
				return failed(err, s)
			}
		}
	}
	return nil
}

// finish completes what the transactions left behind.
func (r *run) finish(ctx context.Context) error {
	if r.online == nil {
		return nil
	}
	tables := r.p.tables
	if r.done > 0 {
		tables = r.p.Steps[r.done-1].after
	}
	return r.online.Finish(ctx, tables, !r.opt.Additive && !r.p.expand, r.tell)
}

// close ends a migration whose parts have all been run.
func (r *run) close(ctx context.Context) error {
	if r.online == nil {
		return nil
	}
	if err := r.finish(ctx); err != nil {
		return err
	}
	r.head.state = r.p.end()
	return r.transact(ctx, func(tx store.Tx) error { return settle(tx, r.d.Dialect(), r.head, r.head.state) })
}
