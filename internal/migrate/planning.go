package migrate

import (
	"context"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/store"
)

// directRows is up to how many rows a table is changed in one transaction, on
// a database that can do without.
const directRows = 10_000

// Planning says how plans are made. The zero value plans all there is to do.
type Planning struct {
	// Expand leaves out what the model before would miss: what tightens and
	// what drops. Plan.Held names it.
	Expand bool
	// Direct is up to how many rows a table is changed at once, on a database
	// that can change it in stages; default 10,000, negative for none.
	Direct int64
}

// Prepare is [Prepare] by this planning.
func (o Planning) Prepare(ctx context.Context, d store.Driver, app *model.App) (*Plan, error) {
	var plan *Plan
	err := d.Read(ctx, true, func(r store.Reader) (err error) {
		plan, err = o.prepare(r, d.Dialect(), app)
		return err
	})
	if err != nil {
		return nil, err
	}
	return plan, nil
}

// Compare is [Compare] by this planning.
func (o Planning) Compare(ctx context.Context, d store.Driver, app *model.App) (pending *Plan, changed []string, err error) {
	err = d.Read(ctx, true, func(r store.Reader) error {
		if pending, err = o.prepare(r, d.Dialect(), app); err != nil {
			return err
		}
		changed, _, err = drift(r, d.Dialect(), pending.tables)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return pending, changed, nil
}

// prepare makes the plan.
func (o Planning) prepare(r store.Reader, d store.Dialect, app *model.App) (*Plan, error) {
	if o.Direct == 0 {
		o.Direct = directRows
	}
	h, tables, err := readHead(r)
	if err != nil {
		return nil, err
	}
	p := newPlanner(r, d, app, tables, o)
	if err := p.run(); err != nil {
		return nil, err
	}
	plan := p.plan
	plan.head, plan.tables, plan.expand = h, tables, o.Expand
	if h.state == Running {
		plan.Resumes = h.id
	}
	if plan.Target, err = digest(p.targets); err != nil {
		return nil, err
	}
	if plan.newer, err = wasAt(r, d, h, plan.Target); err != nil || !o.Expand {
		return plan, err
	}
	o.Expand = false
	full := newPlanner(r, d, app, tables, o)
	if err := full.run(); err != nil {
		return nil, err
	}
	for _, s := range full.plan.Steps {
		if s.Contract {
			plan.Held = append(plan.Held, s.Title)
		}
	}
	return plan, nil
}
