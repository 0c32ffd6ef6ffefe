// Package advise tells, with evidence, what would make an application's store
// faster or safer: indexes that are missing or unused, tables that are read as
// a whole, partitions and servers under uneven load. It looks at the plans that
// the engine has run and at what the database has counted; it changes nothing.
package advise

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/store"
)

// Kind is what a suggestion is about.
type Kind string

// The kinds.
const (
	MissingIndex Kind = "missing_index"
	UnusedIndex  Kind = "unused_index"
	InvalidIndex Kind = "invalid_index"
	FullScan     Kind = "full_scan"
	HotPartition Kind = "hot_partition"
	StandbyLag   Kind = "standby_lag"
	Connections  Kind = "connections"
)

// Suggestion is one thing to change, why, and what it is worth.
type Suggestion struct {
	Kind     Kind     `json:"kind"`
	Title    string   `json:"title"`
	Place    string   `json:"place,omitempty"`  // modules/orders.yaml:14
	Change   string   `json:"change,omitempty"` // what to write there
	Evidence []string `json:"evidence"`
	Gain     string   `json:"gain,omitempty"` // measured, or said to be estimated

	weight float64 // seconds of the store's time, or their like: the heaviest is told first
}

// Report is what there is to say.
type Report struct {
	Since       time.Time    `json:"since"`                  // of the recorded plans
	Counted     time.Time    `json:"counted_since,omitzero"` // of the database's statistics; zero: it has none
	Plans       int          `json:"plans"`                  // that were looked at
	Suggestions []Suggestion `json:"suggestions"`
	Notes       []string     `json:"notes,omitempty"` // what could not be looked at, and why
}

// Input is what the advice is made from. App and Driver are required.
type Input struct {
	App      *model.App
	Driver   store.Driver
	Recorded []store.Recorded
	Since    time.Time // when recording began
	// Quiet is how long an index must have been unused; default a day.
	Quiet time.Duration
	Now   func() time.Time // default time.Now
}

// advisor is one look at a store.
type advisor struct {
	Input
	db    store.Advisor
	stats *store.Statistics
	rows  map[*model.Entity]int64
	plans []explained
	out   Report
}

// explained is a recorded plan and how the database runs it.
type explained struct {
	store.Recorded
	how store.Explained
}

// Look makes a report. A driver that tells nothing of its work makes an empty
// one with a note.
func Look(ctx context.Context, in Input) (*Report, error) {
	if in.Quiet == 0 {
		in.Quiet = 24 * time.Hour
	}
	if in.Now == nil {
		in.Now = time.Now
	}
	a := &advisor{Input: in, rows: map[*model.Entity]int64{}}
	a.out = Report{Since: in.Since, Suggestions: []Suggestion{}}
	var ok bool
	if a.db, ok = in.Driver.(store.Advisor); !ok {
		a.note("this store tells nothing of its work")
		return &a.out, nil
	}
	var err error
	if a.stats, err = a.db.Statistics(ctx); err != nil {
		return nil, err
	}
	a.out.Counted = a.stats.Since
	for _, look := range []func(context.Context) error{a.explain, a.missingIndexes, a.unusedIndexes, a.fullScans, a.partitions, a.servers} {
		if err := look(ctx); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(a.out.Suggestions, func(x, y Suggestion) int { return cmp.Compare(y.weight, x.weight) })
	return &a.out, nil
}

func (a *advisor) suggest(s Suggestion) { a.out.Suggestions = append(a.out.Suggestions, s) }

func (a *advisor) note(format string, args ...any) {
	a.out.Notes = append(a.out.Notes, fmt.Sprintf(format, args...))
}

// mostPlans bounds how many plans are explained: the ones that took the most
// time of all.
const mostPlans = 200

// explain asks how the recorded plans are run. One that the database no longer
// takes (its table has changed since) is left out.
func (a *advisor) explain(ctx context.Context) error {
	all := slices.Clone(a.Recorded)
	slices.SortFunc(all, func(x, y store.Recorded) int { return cmp.Compare(y.Total, x.Total) })
	if len(all) > mostPlans {
		a.note("%d of %d recorded plans were looked at: those that took the most time", mostPlans, len(all))
		all = all[:mostPlans]
	}
	for i := range all {
		r := &all[i]
		if r.Access.Entity.Module.Builtin {
			continue
		}
		how, ok, err := a.db.Explain(ctx, r.Statement, r.Sample, nil)
		if ctx.Err() != nil {
			return err
		}
		if err != nil || !ok {
			a.note("a plan of %s cannot be explained any more", r.Access.Entity.QualifiedName())
			continue
		}
		a.plans = append(a.plans, explained{*r, how})
	}
	a.out.Plans = len(a.plans)
	return nil
}

// count is how many rows an entity has, approximately.
func (a *advisor) count(ctx context.Context, e *model.Entity) (int64, error) {
	if n, ok := a.rows[e]; ok {
		return n, nil
	}
	var n int64
	known := false
	d := a.Driver.Dialect()
	ask := func(sql string) error {
		return a.Driver.Read(ctx, false, func(r store.Reader) error {
			return r.Query(&store.Statement{SQL: sql}, nil, func(row store.Row) error {
				known, n = !row.Null(0), row.Int(0)
				return nil
			})
		})
	}
	err := ask(d.Estimate(e))
	if err == nil && !known {
		err = ask("SELECT count(*) FROM " + d.Table(e.Table.Schema, e.Table.Name))
	}
	a.rows[e] = n
	return n, err
}

// entity finds the entity of a table, of the application's own modules.
func (a *advisor) entity(table string) *model.Entity {
	for _, m := range a.App.Modules {
		for _, e := range m.Entities {
			if !m.Builtin && e.QualifiedName() == table {
				return e
			}
		}
	}
	return nil
}

// number writes thousands apart: 1,204.
func number(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// span is a duration with as many digits as it deserves.
func span(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d >= 10*time.Second:
		return fmt.Sprintf("%d s", d/time.Second)
	case d >= 10*time.Millisecond:
		return fmt.Sprintf("%d ms", d/time.Millisecond)
	}
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

// size is a number of bytes for people.
func size(n int64) string {
	if n >= 1<<20 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d KiB", n>>10)
}
