package advise

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

const (
	// fewRows is how many rows a table is read through as fast as by an index.
	fewRows = 1000
	// fewCalls is how often a plan has to have run to deserve an index.
	fewCalls = 20
	// worthwhile is the part of its cost that a statement may keep with an index
	// that is suggested.
	worthwhile = 0.7
)

// wish is an index that some plans would read by.
type wish struct {
	entity  *model.Entity
	columns []string
	plans   []explained
}

// missingIndexes looks for plans that read a whole table, or sort what they
// read, and would not with an index.
func (a *advisor) missingIndexes(ctx context.Context) error {
	for _, w := range a.wishes() {
		rows, err := a.count(ctx, w.entity)
		if err != nil {
			return err
		}
		if rows < fewRows {
			continue
		}
		if err := a.missing(ctx, w, rows); err != nil {
			return err
		}
	}
	return nil
}

// wishes are the indexes that plans lack. One that begins as another does is
// part of it.
func (a *advisor) wishes() []*wish {
	var out []*wish
	for _, p := range a.plans {
		e := p.Access.Entity
		if p.Calls < fewCalls || !e.Managed || !p.how.Walks() && !p.how.Sorts {
			continue
		}
		columns := lookedFor(&p.Access)
		if len(columns) == 0 || columns[0] == e.Primary.Name || indexed(e, columns) {
			continue
		}
		at := slices.IndexFunc(out, func(w *wish) bool {
			return w.entity == e && (begins(w.columns, columns) || begins(columns, w.columns))
		})
		if at < 0 {
			out = append(out, &wish{entity: e, columns: columns, plans: []explained{p}})
			continue
		}
		out[at].plans = append(out[at].plans, p)
		if len(columns) > len(out[at].columns) {
			out[at].columns = columns
		}
	}
	return out
}

// lookedFor are the columns of the index that an access would be read off: what
// is equal, then the order, or else a bound.
func lookedFor(a *store.Access) []string {
	var out []string
	add := func(fields []*model.Field) {
		for _, f := range fields {
			if !slices.Contains(out, f.Name) && !f.Type.List && f.Type.Kind != value.JSON {
				out = append(out, f.Name)
			}
		}
	}
	add(a.Equal)
	slices.Sort(out)
	switch {
	case len(a.Order) > 0:
		add(a.Order)
	case len(a.Range) > 0:
		add(a.Range[:1])
	}
	if i := slices.Index(out, a.Entity.Primary.Name); i > 0 {
		out = out[:i] // each index ends with the key
	}
	return out
}

func begins(long, short []string) bool {
	return len(long) >= len(short) && slices.Equal(long[:len(short)], short)
}

// indexed reports whether the model has an index that begins with the columns.
func indexed(e *model.Entity, columns []string) bool {
	t := store.TableOf(e)
	return slices.ContainsFunc(slices.Concat(t.Index, t.Unique), func(k store.KeyColumns) bool { return begins(k.Columns, columns) })
}

// missing suggests an index, if the database would read by it.
func (a *advisor) missing(ctx context.Context, w *wish, rows int64) error {
	var calls int64
	var total time.Duration
	slowest := w.plans[0]
	for _, p := range w.plans {
		calls, total = calls+p.Calls, total+p.Total
		if p.Mean() > slowest.Mean() {
			slowest = p
		}
	}
	with := &store.Hypothesis{Table: store.TableOf(w.entity), Columns: append(slices.Clone(w.columns), w.entity.Primary.Name)}
	after, known, err := a.db.Explain(ctx, slowest.Statement, slowest.Sample, with)
	if err != nil {
		return err
	}
	s := Suggestion{
		Kind: MissingIndex, Title: fmt.Sprintf("%s needs an index on (%s)", w.entity.QualifiedName(), strings.Join(w.columns, ", ")),
		Place: w.entity.Pos.String(), Change: "index: [[" + strings.Join(w.columns, ", ") + "]]", weight: total.Seconds(),
		Evidence: []string{
			fmt.Sprintf("%s of it in %s took %s of the store's time, %s each", verb(&slowest.Access, calls), a.since(a.Since), span(total), span(slowest.Mean())),
			how(&slowest, rows),
		},
	}
	if len(w.entity.Index) > 0 {
		s.Change = "add [" + strings.Join(w.columns, ", ") + "] to index"
	}
	before := slowest.how
	switch {
	case !known:
		s.Gain = "estimated: " + a.estimate(&slowest, rows)
		a.noteOnce("indexes are estimated, not tried: the server has no hypopg, or this role may not create it")
	case before.Cost > 0:
		if after.Cost > before.Cost*worthwhile {
			return nil
		}
		s.Gain = fmt.Sprintf("cost %s -> %s, as the database estimates it (hypopg)", number(int64(before.Cost)), number(int64(after.Cost)))
		s.weight *= 1 - after.Cost/before.Cost
	default:
		if after.Walks() || after.Sorts && !before.Walks() {
			return nil // it would not be used
		}
		s.Gain = "tried on a copy of the schema: the index is used; estimated: " + a.estimate(&slowest, rows)
	}
	a.suggest(s)
	return nil
}

// verb is what the plans do, and how often.
func verb(access *store.Access, calls int64) string {
	if access.Write {
		return number(calls) + " changes"
	}
	return number(calls) + " reads"
}

// how says what the database does for want of the index.
func how(p *explained, rows int64) string {
	if p.how.Walks() {
		return fmt.Sprintf("each reads all of about %s rows to find %s", number(rows), found(p))
	}
	return fmt.Sprintf("each sorts what it has read, to answer %s", found(p))
}

func found(p *explained) string {
	n := p.Rows / max(p.Calls, 1)
	if n == 1 {
		return "1 row"
	}
	return number(n) + " rows"
}

// estimate is how many rows less a plan reads.
func (a *advisor) estimate(p *explained, rows int64) string {
	return fmt.Sprintf("reads %s instead of %s", found(p), number(rows))
}

func (a *advisor) noteOnce(text string) {
	if !slices.Contains(a.out.Notes, text) {
		a.note("%s", text)
	}
}

// since says how long ago a time is.
func (a *advisor) since(t time.Time) string { return span(a.Now().Sub(t)) }

// unusedIndexes looks for indexes that only cost: every write keeps them up,
// and nothing reads by them.
func (a *advisor) unusedIndexes(context.Context) error {
	for _, ix := range a.stats.Indexes {
		if !ix.Valid && a.entity(ix.Table) != nil {
			a.suggest(Suggestion{
				Kind: InvalidIndex, Title: fmt.Sprintf("the index %s of %s was never completed", ix.Index, ix.Table),
				Change: "pando migrate apply", Evidence: []string{"the database keeps it up and reads nothing by it"}, Gain: size(ix.Bytes), weight: 1,
			})
		}
	}
	for _, m := range a.App.Modules {
		for _, e := range m.Entities {
			if m.Builtin || !e.Managed {
				continue
			}
			for _, k := range e.Index {
				if !supports(k) {
					a.unused(e, k)
				}
			}
		}
	}
	return nil
}

// supports reports whether an index is there for a reference too: without it
// Pando would make one of its own.
func supports(k model.Key) bool {
	return k.Fields[0].Ref != nil && !k.Fields[0].Ref.Loose
}

func (a *advisor) unused(e *model.Entity, k model.Key) {
	var seen int64
	for _, p := range a.plans {
		if p.Access.Entity != e {
			continue
		}
		seen += p.Calls
		if p.how.By(k.Name) {
			return
		}
	}
	s := Suggestion{
		Kind: UnusedIndex, Place: k.Pos.String(), Title: fmt.Sprintf("nothing reads %s by its index (%s)", e.QualifiedName(), strings.Join(names(k.Fields), ", ")),
		Change: "take [" + strings.Join(names(k.Fields), ", ") + "] out of index", Gain: "writes that keep one index less",
	}
	counted := slices.IndexFunc(a.stats.Indexes, func(ix store.IndexStatistics) bool { return ix.Table == e.QualifiedName() && ix.Index == k.Name })
	switch {
	case counted >= 0:
		ix := a.stats.Indexes[counted]
		if ix.Scans > 0 || a.Now().Sub(a.stats.Since) < a.Quiet {
			return
		}
		s.Evidence = []string{fmt.Sprintf("no scan in %s, as the database counts", a.since(a.stats.Since))}
		s.Gain += ", and " + size(ix.Bytes)
		s.weight = float64(ix.Bytes) / (64 << 20)
	case seen < 1000 || a.Now().Sub(a.Since) < a.Quiet:
		return
	default:
		s.Evidence = []string{fmt.Sprintf("none of %s recorded reads and changes in %s used it", number(seen), a.since(a.Since))}
	}
	a.suggest(s)
}

func names(fields []*model.Field) []string {
	out := make([]string, len(fields))
	for i, f := range fields {
		out[i] = f.Name
	}
	return out
}
