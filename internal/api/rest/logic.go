package rest

import (
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/query"
)

// junction is and/or with its members.
//
//	tree   = "(" member *( "," member ) ")"
//	member = ["not."] ( "and" / "or" ) tree / name [path] "." condition
type junction struct {
	scanner
	depth   int            // nesting that is allowed
	filters *filterCounter // comparisons of the whole request
}

// filterCounter counts a request's comparisons against limits.filters.
type filterCounter struct{ n, limit int }

func (c *filterCounter) add() error {
	c.n++
	if c.n > c.limit {
		return fault.New(fault.LimitExceeded, "more than %d filters in one request", c.limit).
			WithHint("limits.filters in pando.yaml is %d; many values of one field fit into one in.(…)", c.limit)
	}
	return nil
}

// parseTree reads the value of an and or or parameter.
func parseTree(text string, or, negated bool, depth int, filters *filterCounter) (query.Expr, error) {
	j := junction{scanner: scanner{what: "logic tree", s: text}, depth: depth, filters: filters}
	e, err := j.tree(or, negated, 1)
	if err != nil {
		return nil, err
	}
	j.space()
	if !j.end() {
		return nil, j.fail("end of input")
	}
	return e, nil
}

func (j *junction) tree(or, negated bool, level int) (query.Expr, error) {
	if level > j.depth {
		return nil, tooDeep(j.depth, "and and or are nested")
	}
	j.space()
	if !j.accept('(') {
		return nil, j.fail(`"("`)
	}
	args := make([]query.Expr, 0, 2)
	for {
		e, err := j.member(level)
		if err != nil {
			return nil, err
		}
		args = append(args, e)
		j.space()
		if j.accept(')') {
			break
		}
		if !j.accept(',') {
			return nil, j.fail(`"," or ")"`)
		}
	}
	return join(args, or, negated), nil
}

func join(args []query.Expr, or, negated bool) query.Expr {
	var e query.Expr
	switch {
	case len(args) == 1:
		e = args[0]
	case or:
		e = &query.Or{Args: args}
	default:
		e = &query.And{Args: args}
	}
	if negated {
		return &query.Not{Arg: e}
	}
	return e
}

func (j *junction) member(level int) (query.Expr, error) {
	j.space()
	if or, negated, ok := j.operator(); ok {
		return j.tree(or, negated, level+1)
	}
	name, err := j.name("a field's name, not, and or or")
	if err != nil {
		return nil, err
	}
	steps, err := j.path()
	if err != nil {
		return nil, err
	}
	if !j.accept('.') {
		return nil, j.fail(`"." and an operator`)
	}
	if err := j.filters.add(); err != nil {
		return nil, err
	}
	return j.condition(query.Path{Field: name, Steps: steps}, true)
}

// operator consumes a nested and, or, not.and or not.or when its bracket
// follows.
func (j *junction) operator() (or, negated, ok bool) {
	start := j.pos
	negated = j.acceptText("not.")
	switch {
	case j.acceptText("and"):
	case j.acceptText("or"):
		or = true
	default:
		j.pos = start
		return false, false, false
	}
	j.space()
	if j.peek() != '(' {
		j.pos = start
		return false, false, false
	}
	return or, negated, true
}
