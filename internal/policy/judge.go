package policy

import (
	"slices"

	"github.com/pandobase/pando/internal/query"
)

// Judge answers a rule for one row in memory, as a store answers the guard's
// filter in SQL. known is false where one row does not tell: the filter leads
// over relations, or names the row as it was. The guard's fault is returned
// where no rule allows the action; NumericOutOfRange where arithmetic leaves
// its type's range.
func Judge(g Guard, u Use, row Row) (t Truth, known bool, err error) {
	c, ok := g.(*caller)
	if !ok {
		return judgeFilter(g, u, row)
	}
	access, template := c.access(u)
	switch access {
	case always:
		return True, true, nil
	case never:
		return False, true, c.denied(u)
	case judged:
	}
	r, values := c.answer(template)
	if r.truth != Unknown {
		return r.truth, true, nil
	}
	r.once.Do(r.match)
	if r.matcher == nil || r.err != nil {
		return Unknown, false, r.err
	}
	t, err = r.matcher.judge(input{row: row, values: values})
	return t, true, err
}

func judgeFilter(g Guard, u Use, row Row) (Truth, bool, error) {
	x, err := g.Filter(u)
	if err != nil {
		return False, true, err
	}
	if !ofOneRow(x) {
		return Unknown, false, nil
	}
	t, err := Eval(u.Entity, x, row)
	return t, true, err
}

// match makes the matcher of a residual.
func (r *residual) match() {
	event := r.template.event
	if !event && !ofOneRow(r.expr) {
		return
	}
	j, err := (&matching{entity: r.template.entity, holes: true, old: event}).expr(r.expr)
	if err != nil {
		r.err = err
		return
	}
	r.matcher = &Matcher{judge: j}
}

// ofOneRow reports whether a condition names nothing but fields of one row.
func ofOneRow(x query.Expr) bool {
	switch x := x.(type) {
	case *query.And:
		return !slices.ContainsFunc(x.Args, func(a query.Expr) bool { return !ofOneRow(a) })
	case *query.Or:
		return !slices.ContainsFunc(x.Args, func(a query.Expr) bool { return !ofOneRow(a) })
	case *query.Not:
		return ofOneRow(x.Arg)
	case *query.Exists:
		return false
	case *query.Compare:
		return operandOfOneRow(x.Left) && operandOfOneRow(x.Right)
	}
	return true
}

func operandOfOneRow(o query.Operand) bool {
	switch o := o.(type) {
	case *query.FieldRef:
		return len(o.Via) == 0 && o.Up == 0 && !o.Old
	case *query.Call:
		return !slices.ContainsFunc(o.Args, func(a query.Operand) bool { return !operandOfOneRow(a) })
	}
	return true
}
