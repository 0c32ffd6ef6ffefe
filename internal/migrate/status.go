package migrate

import (
	"context"
	"fmt"
	"slices"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/store"
)

// Status is where a store's schema stands.
type Status struct {
	Pending *Plan       `json:"pending"`
	History []Migration `json:"history"` // the oldest first
	// Drift lists where the database differs from the manifest, which only
	// happens when something other than Pando changed it.
	Drift []string `json:"drift"`
	// HeldBack: the last migration only expanded; what contracts is pending.
	HeldBack bool `json:"held_back,omitempty"`
	// Superseded: a newer release's schema is there, and this model works with it.
	Superseded bool `json:"superseded,omitempty"`
}

// Inspect returns the pending steps, the history, and what was changed in the
// database behind Pando's back. It changes nothing.
func Inspect(ctx context.Context, d store.Driver, app *model.App) (*Status, error) {
	s := &Status{}
	err := d.Read(ctx, true, func(r store.Reader) (err error) {
		if s.Pending, err = (Planning{}).prepare(r, d.Dialect(), app); err != nil {
			return err
		}
		if s.Drift, _, err = drift(r, d.Dialect(), s.Pending.tables); err != nil {
			return err
		}
		s.HeldBack, s.Superseded = s.Pending.HoldsBack(), s.Pending.Superseded()
		s.History, err = readHistory(r)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Compare is Inspect without the history: what a start needs.
func Compare(ctx context.Context, d store.Driver, app *model.App) (pending *Plan, changed []string, err error) {
	return Planning{}.Compare(ctx, d, app)
}

// Broken tells what is missing in the database, or has another type, of what Pando
// made of it: the application cannot be served without it.
func Broken(ctx context.Context, d store.Driver) (broken []string, err error) {
	err = d.Read(ctx, true, func(r store.Reader) error {
		_, tables, err := readHead(r)
		if err == nil {
			_, broken, err = drift(r, d.Dialect(), tables)
		}
		return err
	})
	return broken, err
}

// drift compares the manifest with what the database holds. broken is the part of
// it that no query can do without.
func drift(r store.Reader, d store.Dialect, tables []*store.Table) (all, broken []string, err error) {
	type column struct {
		kind    string
		notNull bool
	}
	real := map[string]map[string]column{}
	err = r.Query(&store.Statement{SQL: d.Catalog()}, nil, func(row store.Row) error {
		t := string(row.Append(nil, 0))
		if real[t] == nil {
			real[t] = map[string]column{}
		}
		real[t][string(row.Append(nil, 1))] = column{kind: string(row.Append(nil, 2)), notNull: row.Int(3) != 0}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	out := []string{}
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	lacks := func(format string, args ...any) {
		say(format, args...)
		broken = append(broken, out[len(out)-1])
	}
	for _, t := range tables {
		name := t.QualifiedName()
		have, ok := real[name]
		delete(real, name)
		if !ok {
			lacks("table %s is missing", name)
			continue
		}
		for _, c := range t.Columns {
			switch h, ok := have[c.Name]; {
			case !ok:
				lacks("column %s.%s is missing", name, c.Name)
			case h.kind != d.StorageType(c):
				lacks("column %s.%s is %s, not %s", name, c.Name, h.kind, d.StorageType(c))
			case h.notNull && !c.NotNull:
				say("column %s.%s refuses null", name, c.Name)
			case !h.notNull && c.NotNull:
				say("column %s.%s allows null", name, c.Name)
			}
			delete(have, c.Name)
		}
		for c := range have {
			say("column %s.%s is not Pando's", name, c)
		}
	}
	for t := range real {
		say("table %s is not Pando's", t)
	}
	slices.Sort(out)
	return out, broken, nil
}
