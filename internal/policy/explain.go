package policy

import (
	"slices"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/query"
)

// Explanation is what a rule is for one caller, and why.
type Explanation struct {
	Source string    // of the rule; empty: none was asked
	Pos    model.Pos // where it stands; zero for a built-in rule
	Reason string    // where no rule was asked: why not
	// Callers are the conditions about the caller alone, in the rule's order;
	// those that are joined by && || and ! stand one by one.
	Callers []Term
	// Filter is what is left of the rule, with the caller's values.
	Filter query.Expr
	Folded string // Filter as an expression; "false": no row
}

// Term is a part of a rule with its truth.
type Term struct {
	Source string
	Truth  Truth
	Known  bool // false: one row does not tell
}

// Explain tells what a rule is for a guard's caller.
func Explain(g Guard, u Use) Explanation {
	c, ok := g.(*caller)
	if !ok {
		return Explanation{Reason: "the guard has no rules", Folded: "false", Filter: &query.Const{}}
	}
	access, t := c.access(u)
	switch access {
	case always:
		reason := "the service role may do everything"
		if c.subject.id.Role != Service {
			reason = "the field has no rule of its own"
		}
		return Explanation{Reason: reason, Folded: "true"}
	case never:
		return Explanation{Reason: c.denied(u).Error(), Folded: "false", Filter: &query.Const{}}
	case judged:
	}
	x := Explanation{Source: t.source.Source, Pos: t.source.Pos}
	for _, term := range t.truths {
		parts := term.parts
		if parts == nil {
			parts = []truthTerm{term}
		}
		for _, p := range parts {
			x.Callers = append(x.Callers, Term{Source: p.source, Truth: p.eval(&c.subject), Known: true})
		}
	}
	r, values := c.answer(t)
	x.Filter = r.fill(values)
	x.Folded = Text(u.Entity, x.Filter)
	return x
}

// Conditions are the comparisons of the filter, in its order, and last the
// filter itself where it is more than one of them.
func (x *Explanation) Conditions() []query.Expr {
	var out []query.Expr
	var walk func(query.Expr)
	walk = func(c query.Expr) {
		switch c := c.(type) {
		case *query.And:
			for _, a := range c.Args {
				walk(a)
			}
		case *query.Or:
			for _, a := range c.Args {
				walk(a)
			}
		case *query.Not:
			walk(c.Arg)
		case *query.Compare, *query.Exists:
			out = append(out, c)
		}
	}
	walk(x.Filter)
	if n := len(out); n != 1 || x.Filter != nil && !isLeaf(x.Filter) {
		out = append(out, x.Filter)
	}
	return out
}

// Row answers the conditions for one row, in memory: which of them said no. A
// fault of arithmetic leaves its term unknown.
func (x *Explanation) Row(e *model.Entity, row Row) []Term {
	var out []Term
	for _, c := range x.Conditions() {
		term := Term{Source: Text(e, c)}
		if term.Known = ofOneRow(c); term.Known {
			term.Truth, _ = Eval(e, c, row)
		}
		out = append(out, term)
	}
	return out
}

// NamesOld reports whether a condition names the row as it was before a write.
func NamesOld(x query.Expr) bool {
	switch x := x.(type) {
	case *query.And:
		return slices.ContainsFunc(x.Args, NamesOld)
	case *query.Or:
		return slices.ContainsFunc(x.Args, NamesOld)
	case *query.Not:
		return NamesOld(x.Arg)
	case *query.Exists:
		return x.Old || x.Where != nil && NamesOld(x.Where)
	case *query.Compare:
		return operandNamesOld(x.Left) || operandNamesOld(x.Right)
	}
	return false
}

func operandNamesOld(o query.Operand) bool {
	switch o := o.(type) {
	case *query.FieldRef:
		return o.Old
	case *query.Call:
		return slices.ContainsFunc(o.Args, operandNamesOld)
	}
	return false
}

func isLeaf(x query.Expr) bool {
	switch x.(type) {
	case *query.Compare, *query.Exists:
		return true
	}
	return false
}
