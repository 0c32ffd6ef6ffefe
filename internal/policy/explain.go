package policy

import (
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/query"
)

// Explanation is what a rule is for one caller, and why.
type Explanation struct {
	Source string    // of the rule; empty: none was asked
	Pos    model.Pos // where it stands; zero for a built-in rule
	Reason string    // where no rule was asked: why not
	// Callers are the conditions about the caller alone, in the rule's order.
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
		x.Callers = append(x.Callers, Term{Source: term.source, Truth: term.eval(&c.subject), Known: true})
	}
	r, values := c.answer(t)
	x.Filter = r.fill(values)
	x.Folded = Text(u.Entity, x.Filter)
	return x
}

// Row answers every comparison of the filter for one row, in the filter's
// order: which of them said no. The last term is the filter itself. A fault of
// arithmetic leaves its term unknown.
func (x *Explanation) Row(e *model.Entity, row Row) []Term {
	var out []Term
	add := func(c query.Expr) {
		term := Term{Source: Text(e, c)}
		if term.Known = ofOneRow(c); term.Known {
			term.Truth, _ = Eval(e, c, row)
		}
		out = append(out, term)
	}
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
			add(c)
		}
	}
	walk(x.Filter)
	if n := len(out); n != 1 || x.Filter != nil && !isLeaf(x.Filter) {
		add(x.Filter)
	}
	return out
}

func isLeaf(x query.Expr) bool {
	switch x.(type) {
	case *query.Compare, *query.Exists:
		return true
	}
	return false
}
