package move

import (
	"context"
	"fmt"
	"strings"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/migrate"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// Plan is what a move would do, and what it found.
type Plan struct {
	To       string      `json:"to"`
	Tables   []PlanTable `json:"tables"`
	Rows     int64       `json:"rows"`
	Bytes    int64       `json:"bytes"` // that the source occupies
	Estimate string      `json:"estimate"`
	Resumes  bool        `json:"resumes,omitempty"` // it goes on with one that was stopped
}

// PlanTable is a table with its rows.
type PlanTable struct {
	Table string `json:"table"`
	Rows  int64  `json:"rows"`
}

// rowsPerSecond is what the estimate goes by: a row of some hundred bytes,
// copied and compared, on a small machine.
const rowsPerSecond = 60_000

// Preflight checks everything that can be known before a move and changes
// nothing. It reads every row: a value that the target cannot hold is reported
// with its place.
func Preflight(ctx context.Context, c Config, app *model.App) (*Plan, error) {
	r := newRun(c.withDefaults())
	if err := r.check(ctx, app); err != nil {
		return nil, err
	}
	p, err := r.plan(ctx)
	if err != nil {
		return nil, err
	}
	var bad unfit
	r.at = Progress{Total: p.Rows}
	r.step(Preparing)
	for _, t := range r.tables {
		err := r.from.Read(ctx, true, func(rd store.Reader) error {
			return rd.Query(t.src.all, nil, func(row store.Row) error {
				bad.check(t, t.rowOf(row))
				if r.at.Done++; r.at.Done%tellEvery == 0 {
					r.at.Table = t.Name
					r.cfg.Progress(r.at)
				}
				return nil
			})
		})
		if err != nil {
			return nil, err
		}
	}
	return p, bad.err()
}

// Check is Preflight without reading the rows: what Run is preceded by, which
// looks at each row as it copies it.
func Check(ctx context.Context, c Config, app *model.App) error {
	return newRun(c.withDefaults()).check(ctx, app)
}

func (r *run) check(ctx context.Context, app *model.App) error {
	if err := movable(ctx, r.from, app); err != nil {
		return err
	}
	standing, err := Standing(ctx, r.from)
	if err != nil {
		return err
	}
	if standing != nil && standing.Role == Target {
		return fault.New(fault.Conflict, "the last move to this store has not been confirmed").
			WithHint("`pando move confirm` ends it, `pando move rollback` takes it back")
	}
	if standing != nil && standing.Step == Moved {
		return fault.New(fault.Conflict, "the application has moved to %s already", standing.Peer)
	}
	if err := r.vacant(ctx, standing); err != nil {
		return err
	}
	return r.readTables(ctx)
}

// movable refuses a store that is not what the model says, whole and Pando's.
func movable(ctx context.Context, d store.Driver, app *model.App) error {
	plan, drift, err := migrate.Compare(ctx, d, app)
	if err != nil {
		return err
	}
	if !plan.Empty() || plan.Resumes != 0 {
		return fault.New(fault.Conflict, "the store is not what the modules say, or indexes are still being made").
			WithHint("`pando migrate plan` shows what is left; `pando migrate apply` does it")
	}
	if len(drift) > 0 {
		return fault.New(fault.Conflict, "the database differs from what Pando made of it").WithDetails("%s", strings.Join(drift, "; "))
	}
	var foreign []string
	for _, m := range app.Modules {
		for _, e := range m.Entities {
			if !e.Managed {
				foreign = append(foreign, e.QualifiedName())
			}
		}
	}
	if len(foreign) > 0 {
		return fault.New(fault.Conflict, "entities with managed: false cannot be moved: their tables are somebody else's").
			WithDetails("%s", strings.Join(foreign, ", "))
	}
	return nil
}

// vacant refuses a target that holds anything but a part of this same move, or
// what a move of this application left behind that was taken back.
func (r *run) vacant(ctx context.Context, source *State) error {
	claim, err := Standing(ctx, r.to)
	if err != nil {
		return err
	}
	if claim != nil && claim.Role == Target && (claim.ID == r.cfg.ID || source != nil && claim.ID == source.ID || claim.Step == Returned) {
		return nil
	}
	var there []string
	err = r.to.Read(ctx, true, func(rd store.Reader) error {
		return rd.Query(&store.Statement{SQL: r.dst.Catalog()}, nil, func(row store.Row) error {
			if name := string(row.Append(nil, 0)); len(there) == 0 || there[len(there)-1] != name {
				there = append(there, name)
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	history := false
	err = r.to.Read(ctx, false, func(rd store.Reader) error {
		return rd.Query(&store.Statement{SQL: `SELECT 1 FROM "pando_migrations" LIMIT 1`}, nil, func(store.Row) error {
			history = true
			return nil
		})
	})
	switch {
	case err != nil:
		return err
	case history, claim != nil:
		return fault.New(fault.Conflict, "the target holds another application").WithDetails("%s", summary(there)).
			WithHint("give the application an empty database of its own")
	case len(there) > 0:
		return fault.New(fault.Conflict, "the target is not empty").WithDetails("%s", summary(there)).
			WithHint("give the application an empty database of its own")
	}
	return nil
}

func summary(tables []string) string {
	const most = 5
	if len(tables) > most {
		return fmt.Sprintf("tables %s and %d more", strings.Join(tables[:most], ", "), len(tables)-most)
	}
	return "tables " + strings.Join(tables, ", ")
}

// plan counts the rows.
func (r *run) plan(ctx context.Context) (*Plan, error) {
	p := &Plan{To: r.cfg.Name}
	size, err := r.from.Size(ctx)
	if err != nil {
		return nil, err
	}
	p.Bytes = size
	if err := r.count(ctx); err != nil {
		return nil, err
	}
	for _, t := range r.tables {
		p.Tables = append(p.Tables, PlanTable{t.Name, t.rows})
		p.Rows += t.rows
	}
	switch seconds := p.Rows / rowsPerSecond; {
	case seconds < 2:
		p.Estimate = "a few seconds"
	case seconds < 120:
		p.Estimate = fmt.Sprintf("about %d s", seconds)
	default:
		p.Estimate = fmt.Sprintf("about %d min", seconds/60)
	}
	standing, err := Standing(ctx, r.from)
	p.Resumes = standing != nil
	return p, err
}

// count counts the rows of each table, for the progress.
func (r *run) count(ctx context.Context) error {
	return r.from.Read(ctx, true, func(rd store.Reader) error {
		for _, t := range r.tables {
			if err := rd.Query(t.src.count, []value.Value{}, func(row store.Row) error {
				t.rows = row.Int(0)
				return nil
			}); err != nil {
				return err
			}
		}
		return nil
	})
}
