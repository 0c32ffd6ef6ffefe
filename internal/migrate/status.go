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
}

// Inspect returns the pending steps, the history, and what was changed in the
// database behind Pando's back. It changes nothing.
func Inspect(ctx context.Context, d store.Driver, app *model.App) (*Status, error) {
	plan, err := Prepare(ctx, d, app)
	if err != nil {
		return nil, err
	}
	s := &Status{Pending: plan}
	err = d.Read(ctx, true, func(r store.Reader) error {
		_, tables, err := readHead(r)
		if err != nil {
			return err
		}
		if s.History, err = readHistory(r); err != nil {
			return err
		}
		s.Drift, err = drift(r, d.Dialect(), tables)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// drift compares the manifest with what the database holds.
func drift(r store.Reader, d store.Dialect, tables []*store.Table) ([]string, error) {
	type column struct {
		kind    string
		notNull bool
	}
	real := map[string]map[string]column{}
	err := r.Query(&store.Statement{SQL: d.Catalog()}, nil, func(row store.Row) error {
		t := string(row.Append(nil, 0))
		if real[t] == nil {
			real[t] = map[string]column{}
		}
		real[t][string(row.Append(nil, 1))] = column{kind: string(row.Append(nil, 2)), notNull: row.Int(3) != 0}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := []string{}
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for _, t := range tables {
		name := t.QualifiedName()
		have, ok := real[name]
		delete(real, name)
		if !ok {
			say("table %s is missing", name)
			continue
		}
		for _, c := range t.Columns {
			switch h, ok := have[c.Name]; {
			case !ok:
				say("column %s.%s is missing", name, c.Name)
			case h.kind != d.StorageType(c):
				say("column %s.%s is %s, not %s", name, c.Name, h.kind, d.StorageType(c))
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
	return out, nil
}
