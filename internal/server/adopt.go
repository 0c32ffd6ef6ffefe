package server

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/store"
)

// adopt finds the tables of the entities that are not managed. What is
// otherwise in the database than in the model is a problem of the application.
func (n *Node) adopt(ctx context.Context, app *Application) error {
	adopter, ok := n.driver.(store.Adopter)
	if !ok {
		return n.plainTables(ctx, app)
	}
	misfits, err := adopter.Adopt(ctx, app.Model)
	if err != nil || len(misfits) == 0 {
		return err
	}
	invalid := &InvalidError{}
	for _, m := range misfits {
		invalid.Problems = append(invalid.Problems, model.Problem{Pos: m.Pos, Message: m.Message, Hint: m.Hint})
	}
	return invalid
}

// foreign are the entities whose tables Pando does not make.
func foreign(app *model.App) []*model.Entity {
	var out []*model.Entity
	for _, m := range app.Modules {
		for _, e := range m.Entities {
			if !e.Managed {
				out = append(out, e)
			}
		}
	}
	return out
}

// plainTables checks tables in a store that has them only as Pando itself
// would make them.
func (n *Node) plainTables(ctx context.Context, app *Application) error {
	entities := foreign(app.Model)
	if len(entities) == 0 {
		return nil
	}
	there := map[string]bool{}
	err := n.driver.Read(ctx, false, func(r store.Reader) error {
		return r.Query(&store.Statement{SQL: n.driver.Dialect().Catalog()}, nil, func(row store.Row) error {
			table := string(row.Append(nil, 0))
			there[table], there[table+"."+string(row.Append(nil, 1))] = true, true
			return nil
		})
	})
	if err != nil {
		return err
	}
	invalid := &InvalidError{}
	report := func(pos model.Pos, hint, format string, args ...any) {
		invalid.Problems = append(invalid.Problems, model.Problem{Pos: pos, Message: fault.New(fault.ConfigInvalid, format, args...).Message, Hint: hint})
	}
	for _, e := range entities {
		name := e.QualifiedName()
		if e.Table != (model.Table{Schema: e.Module.Name, Name: e.Name}) {
			report(e.Pos, "leave table: out, and name module and entity after it", "this store knows %s by no other name", name)
			continue
		}
		for _, f := range e.Fields {
			if f.Made() {
				report(f.Pos, "give it a default of Pando's", "this store makes no values, as %s.%s asks for", name, f.Name)
			}
		}
		if !there[name] {
			report(e.Pos, "create it, or leave managed: false out", "the store has no table %s, which is not managed", name)
			continue
		}
		for _, f := range e.Fields {
			if !there[name+"."+f.Column] {
				report(f.Pos, "name the column with column:, or leave the field out", "the table %s has no column %s", name, f.Column)
			}
		}
	}
	if len(invalid.Problems) > 0 {
		return invalid
	}
	return nil
}

// drift is what is known of a schema that somebody else has changed.
type drift struct {
	mu     sync.Mutex
	at     time.Time // of the last look
	reason string    // empty: everything fits
}

// driftPause is how often the catalog is read again while it does not fit.
const driftPause = time.Second

// drifted is told by the engine of an application that a statement does not
// fit the schema. It looks at the catalog anew: where that fits, statements are
// made anew, and the caller may try again; else the caller is told what does
// not. Applications whose tables are all Pando's have no such thing.
func (n *Node) drifted(app *Application) func(context.Context, error) error {
	if len(foreign(app.Model)) == 0 {
		return nil
	}
	return func(ctx context.Context, cause error) error {
		d := &n.drift
		d.mu.Lock()
		defer d.mu.Unlock()
		if time.Since(d.at) >= driftPause {
			d.reason = ""
			switch err := n.adopt(ctx, app); {
			case err != nil:
				d.reason = err.Error()
				n.opt.Log.Error("the database's schema has changed, and the application does not fit it", "reason", d.reason)
			case n.Application() == app: // not one that has been replaced meanwhile
				n.opt.Log.Warn("the database's schema has changed: statements are made anew", "cause", cause)
				if err := n.use(app); err != nil { //nolint:contextcheck // it outlives the call
					n.opt.Log.Error("the application cannot be served anew", "error", err)
				}
			}
			d.at = time.Now()
		}
		f := fault.Wrap(cause, fault.StoreUnavailable, "the database's schema has changed")
		if d.reason != "" {
			return f.WithDetails("%s", strings.TrimSpace(d.reason)).WithHint("bring the table back, or change the module to fit it")
		}
		return f.WithHint("try again")
	}
}
