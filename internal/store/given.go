package store

import (
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/value"
)

// plainColumns tells for each column of a statement which field of the root it
// is; nil when one is anything else than a stored field.
func (l *level) plainColumns(cols *resultColumns) []int {
	if l.aggregated || len(l.joins) > 0 {
		return nil
	}
	fields := make(map[string]int, len(l.e.Fields))
	for i, f := range l.e.Fields {
		fields[l.col(f)] = i
	}
	out := make([]int, len(cols.sqls))
	for i, sql := range cols.sqls {
		f, ok := fields[sql]
		if !ok {
			return nil
		}
		out[i] = f
	}
	return out
}

// Encode appends the rows whose values are given, one for each field of the
// entity, as a run of the plan would answer them: those that the guard lets be
// read. ok is false when the plan answers more than stored fields, or when a
// rule takes the store: then it has to be run.
func (p *ReadPlan) Encode(rows [][]value.Value, g policy.Guard, opt RunOptions, pg *Page) (ok bool) {
	if p.plain == nil {
		return false
	}
	pg.reset(p, opt)
	pg.start()
	given := &givenRow{plain: p.plain}
	stored := &newRow{fields: p.Entity.Fields}
	for _, vals := range rows {
		given.vals, stored.vals = vals, vals
		t, known, err := policy.Judge(g, policy.Use{Entity: p.Entity, Rule: policy.RuleRead}, stored)
		if err != nil || !known {
			return false
		}
		if t != policy.True {
			continue
		}
		if err := pg.row(given); err != nil {
			return false
		}
	}
	pg.finish()
	return true
}

// givenRow is a row that does not come from the database.
type givenRow struct {
	plain []int
	vals  []value.Value
}

var _ Row = (*givenRow)(nil)

func (r *givenRow) Null(i int) bool         { return r.vals[r.plain[i]].IsNull() }
func (r *givenRow) Int(i int) int64         { return r.vals[r.plain[i]].Int }
func (r *givenRow) Float(i int) float64     { return r.vals[r.plain[i]].Float }
func (r *givenRow) Value(i int) value.Value { return r.vals[r.plain[i]] }
func (r *givenRow) Append(dst []byte, i int) []byte {
	return append(dst, r.vals[r.plain[i]].Str...)
}
