package store

import (
	"slices"

	"github.com/pandobase/pando/internal/query"
)

// inOrder joins conditions of which some may fail: from the left, and only as
// far as it takes, as PostgreSQL does and SQLite does not. A condition on the
// left is evaluated once.
func (l *level) inOrder(parts []string, or bool) string {
	sql := parts[len(parts)-1]
	decides, goesOn := l.c.d.Bool(or), l.c.d.Bool(!or)
	for i := len(parts) - 2; i >= 0; i-- {
		unknown := "(" + sql + ")"
		if !or {
			unknown = "NOT " + unknown
		}
		sql = "CASE (" + parts[i] + ") WHEN " + decides + " THEN " + decides + " WHEN " + goesOn + " THEN (" + sql + ")" +
			" ELSE CASE WHEN " + unknown + " THEN " + decides + " END END"
	}
	return "(" + sql + ")"
}

// mayFail reports whether a condition holds arithmetic that is a fault where it
// leaves its type's range.
func mayFail(e query.Expr) bool {
	found := false
	switch e := e.(type) {
	case *query.And:
		for _, a := range e.Args {
			found = found || mayFail(a)
		}
	case *query.Or:
		for _, a := range e.Args {
			found = found || mayFail(a)
		}
	case *query.Not:
		return mayFail(e.Arg)
	case *query.Exists:
		return e.Where != nil && mayFail(e.Where)
	case *query.Compare:
		return strict(e.Left) || strict(e.Right)
	}
	return found
}

func strict(o query.Operand) bool {
	c, ok := o.(*query.Call)
	if !ok {
		return false
	}
	switch c.Func {
	case query.Add, query.Sub, query.Mul, query.Neg:
		if !c.Lenient {
			return true
		}
	case query.Length, query.StartsWith, query.EndsWith, query.HasSubstring:
	}
	return slices.ContainsFunc(c.Args, strict)
}
