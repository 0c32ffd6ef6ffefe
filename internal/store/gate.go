package store

import (
	"slices"
	"strings"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/value"
)

// gate judges rows before they are written, so that what a key or a reference
// refuses is told only to who may write the row. One column of its statement
// is one verdict: 1 where the rule is true.
type gate struct {
	st     Statement
	params []param
	width  int            // of a gate that answers rows
	uses   []policy.Use   // by column
	faults []*fault.Error // by column
}

// known judges a new row by itself. ok is false where it takes the store.
func (g *gate) known(guard policy.Guard, row policy.Row) (ok bool, err error) {
	for i, u := range g.uses {
		t, known, err := policy.Judge(guard, u, row)
		if err != nil || !known {
			return false, err
		}
		if t != policy.True {
			told := *g.faults[i]
			return true, &told
		}
	}
	return true, nil
}

// newRow is a row of values, one for each field of its entity.
type newRow struct {
	fields []*model.Field
	vals   []value.Value
}

// Value implements [policy.Row].
func (r *newRow) Value(f *model.Field) value.Value { return r.vals[slices.Index(r.fields, f)] }

// run judges the rows of the statement, and counts them.
func (g *gate) run(r Reader, values []value.Value, args []query.Arg) (found int, err error) {
	bound, err := bindParams(g.params, values, args, nil)
	if err != nil {
		return 0, err
	}
	err = r.Query(&g.st, bound, func(row Row) error {
		found++
		for i, f := range g.faults {
			if row.Int(i) == 0 {
				told := *f
				return &told
			}
		}
		return nil
	})
	return found, err
}

// keys are the values of the statement's one column.
func (g *gate) keys(r Reader, values []value.Value, args []query.Arg) (out []value.Value, err error) {
	bound, err := bindParams(g.params, values, args, nil)
	if err != nil {
		return nil, err
	}
	err = r.Query(&g.st, bound, func(row Row) error {
		out = append(out, row.Value(0))
		return nil
	})
	return out, err
}

// rows are the rows of the statement, whose columns are all fields of an entity.
func (g *gate) rows(r Reader, values []value.Value, args []query.Arg) (out [][]value.Value, err error) {
	bound, err := bindParams(g.params, values, args, nil)
	if err != nil {
		return nil, err
	}
	err = r.Query(&g.st, bound, func(row Row) error {
		out = append(out, rowOf(row, g.width))
		return nil
	})
	return out, err
}

// rowOf are the first n columns of a row.
func rowOf(r Row, n int) []value.Value {
	out := make([]value.Value, n)
	for i := range out {
		out[i] = r.Value(i)
	}
	return out
}

// verdicts collects the columns of a gate.
type verdicts struct {
	sqls   []string
	uses   []policy.Use
	faults []*fault.Error
}

// add compiles a rule about a level's row into a verdict. What always holds
// needs none.
func (v *verdicts) add(l *level, u policy.Use, f *fault.Error) error {
	rule, err := l.c.rule(u)
	if err != nil {
		return err
	}
	sql, err := l.judge(rule)
	if err != nil || sql == "" {
		return err
	}
	v.sqls = append(v.sqls, "coalesce("+sql+","+l.c.d.Bool(false)+")")
	v.uses, v.faults = append(v.uses, u), append(v.faults, f)
	return nil
}

// gate makes the gate of the verdicts about the rows of from; nil when there
// is nothing to judge.
func (v *verdicts) gate(c *compiler, from string) *gate {
	if len(v.sqls) == 0 {
		return nil
	}
	return &gate{st: Statement{SQL: "SELECT " + strings.Join(v.sqls, ",") + from}, params: c.params, uses: v.uses, faults: v.faults}
}

func violates(e *model.Entity, rule string) *fault.Error {
	return fault.New(fault.Forbidden, "new row violates the %s policy of %q", rule, e)
}

// ColumnDenied is the fault of a field that is given and is not the caller's
// to write, in this row or in any.
func ColumnDenied(f *model.Field) *fault.Error {
	return fault.New(fault.Forbidden, "permission denied for column %q of %q", f, f.Entity)
}

// places tells where in a run's values those of the fields stand.
func places(fields, of []*model.Field) map[*model.Field]int {
	at := make(map[*model.Field]int, len(fields))
	for i, f := range of {
		for _, g := range fields {
			if f == g {
				at[f] = i
			}
		}
	}
	return at
}

// writeRules adds the verdicts of the given fields' own rules, about each of
// the rows.
func (v *verdicts) writeRules(given []*model.Field, rows ...*level) error {
	for _, f := range given {
		if f.Write == nil {
			continue
		}
		for _, l := range rows {
			if err := v.add(l, policy.Use{Entity: f.Entity, Rule: policy.RuleWrite, Field: f}, ColumnDenied(f)); err != nil {
				return err
			}
		}
	}
	return nil
}

// created judges a row that is to be created: by the create policy, unless it
// is judged behind the insert, and by the rules of the fields that are given.
func (c *compiler) created(e *model.Entity, given []*model.Field, before bool) (*gate, error) {
	c.statement()
	l := &level{c: c, e: e, given: places(e.Fields, e.Fields)}
	var v verdicts
	if before {
		if err := v.add(l, policy.Use{Entity: e, Rule: policy.RuleCreate}, violates(e, "create")); err != nil {
			return nil, err
		}
	}
	if err := v.writeRules(given, l); err != nil {
		return nil, err
	}
	return v.gate(c, ""), nil
}

// merged judges the stored row that an upsert meets: it must be one that the
// caller reads and may change, into what it becomes. Which of these fails is
// not told: the row may be one of which the caller must not know.
func (c *compiler) merged(e *model.Entity, in *Insert) (*gate, error) {
	c.statement()
	stored := &level{c: c, e: e, alias: c.newAlias()}
	after := &level{c: c, e: e, alias: stored.alias, given: places(in.Set, e.Fields)}
	var v verdicts
	for _, r := range []policy.Rule{policy.RuleRead, policy.RuleUpdate, policy.RuleCheck} {
		l := stored
		if r == policy.RuleCheck {
			l = after
		}
		if err := v.add(l, policy.Use{Entity: e, Rule: r}, violates(e, "update")); err != nil {
			return nil, err
		}
	}
	given := slices.DeleteFunc(slices.Clone(in.Given), func(f *model.Field) bool {
		return !slices.Contains(in.Set, f) || slices.Contains(in.Conflict, f)
	})
	if err := v.writeRules(given, stored, after); err != nil {
		return nil, err
	}
	next := &level{c: c, e: e, given: places(in.Conflict, e.Fields)}
	met := c.conflict(e, in.Conflict, stored.col, func(i int) string { return c.newValue(i, e.Fields[i]) }, func(k *model.Field, _ int) string {
		return stored.equal(k, next, k)
	})
	return v.gate(c, " FROM "+stored.from()+" WHERE "+met+c.d.Lock(stored.alias)), nil
}

// changed judges what the rows of an update become, where RETURNING cannot:
// set fields have their new values, old names the stored ones, and relations
// start from the new values. Rules of fields judge both rows.
func (c *compiler) changed(w *query.Write, e *model.Entity, set, given []*model.Field, check bool) (*gate, error) {
	c.statement()
	reach, err := c.reach(w, e)
	if err != nil {
		return nil, err
	}
	stored := &level{c: c, e: e, alias: "t0"}
	after := &level{c: c, e: e, alias: "t0", given: places(set, set)}
	var v verdicts
	if check {
		if err := v.add(after, policy.Use{Entity: e, Rule: policy.RuleCheck}, violates(e, "update")); err != nil {
			return nil, err
		}
	}
	if err := v.writeRules(given, stored, after); err != nil {
		return nil, err
	}
	return v.gate(c, " FROM "+stored.from()+reach+c.d.Lock(stored.alias)), nil
}

// plain reports whether a rule is about one row by itself: RETURNING answers
// it about the row that is written.
func plain(e query.Expr) bool {
	ok := true
	eachRef(e, func(ref *query.FieldRef) {
		ok = ok && ref != nil && len(ref.Via) == 0 && !ref.Old
	})
	return ok
}

// eachRef calls fn for the fields that an expression names, and with nil for
// each relation whose rows it looks through.
func eachRef(e query.Expr, fn func(*query.FieldRef)) {
	switch e := e.(type) {
	case *query.And:
		for _, a := range e.Args {
			eachRef(a, fn)
		}
	case *query.Or:
		for _, a := range e.Args {
			eachRef(a, fn)
		}
	case *query.Not:
		eachRef(e.Arg, fn)
	case *query.Exists:
		fn(nil)
		eachRef(e.Where, fn)
	case *query.Compare:
		eachOperandRef(e.Left, fn)
		eachOperandRef(e.Right, fn)
	}
}

func eachOperandRef(o query.Operand, fn func(*query.FieldRef)) {
	switch o := o.(type) {
	case *query.FieldRef:
		fn(o)
	case *query.Call:
		for _, a := range o.Args {
			eachOperandRef(a, fn)
		}
	}
}
