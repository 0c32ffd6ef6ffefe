package server

import (
	"context"
	"fmt"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/migrate"
)

// maxPlans is how often a migration is planned that another node overtakes.
const maxPlans = 5

// overtaken runs a migration, from the plan on, again as long as another node
// has changed the schema since the plan.
func overtaken(run func() error) error {
	var err error
	for range maxPlans {
		if err = run(); !fault.Is(err, fault.Conflict) {
			break
		}
	}
	return err
}

// fit brings the store's schema to an application as far as that only adds. It
// returns what is left to do while the application is served, and whether the
// store is new. A store that a newer release has brought further, to a schema
// that this one can work with, stays as it is.
func (n *Node) fit(ctx context.Context, app *Application) (rest migrate.Rest, fresh bool, err error) {
	plan, changed, err := migrate.Compare(ctx, n.driver, app.Model)
	if err != nil {
		return nil, false, err
	}
	for _, d := range changed {
		n.opt.Log.Warn("the database differs from what Pando made of it", "drift", d)
	}
	if plan.Superseded() {
		n.opt.Note("the store has the schema of a newer release, which this one works with: nothing is changed")
		return nil, false, nil
	}
	if plan.HoldsBack() {
		if plan, err = (migrate.Planning{Expand: true}).Prepare(ctx, n.driver, app.Model); err != nil {
			return nil, false, err
		}
		if len(plan.Held) > 0 {
			n.opt.Note(fmt.Sprintf("%d step(s) are held back until `pando migrate apply`", len(plan.Held)))
		}
	}
	if plan.Empty() && plan.Resumes == 0 {
		return nil, plan.Fresh(), nil
	}
	if err := n.mayMigrate(ctx, plan); err != nil {
		return nil, false, err
	}
	err = migrate.Apply(ctx, n.driver, plan, migrate.Options{
		Additive: !n.opt.Convert, Later: func(r migrate.Rest) { rest = r },
	})
	if err == nil && !plan.Fresh() {
		for _, s := range plan.Steps {
			if !s.Late {
				n.opt.Note("migrated: " + s.Title)
			}
		}
	}
	return rest, plan.Fresh(), err
}
