package rest

import (
	"strings"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/query"
)

// selection reads a select list:
//
//	list   = item *( "," item )
//	item   = "*" / [alias ":"] field / [alias ":"] embed / "..." embed
//	field  = name [path] ["::" cast] ["." aggregate "()"] ["::" cast] / "count()" ["::" cast]
//	embed  = name *2( "!" ( "inner" / "left" / hint ) ) "(" list ")"
type selection struct {
	scanner
	columns []query.Column // one block of memory: there are commas+1 columns
	depth   int            // deepest nesting that is allowed
}

func parseSelect(text string, depth int) ([]query.Item, error) {
	s := selection{scanner: scanner{what: "select parameter", s: text}, depth: depth}
	s.columns = make([]query.Column, 0, strings.Count(text, ",")+1)
	if strings.Trim(text, " \t") == "" {
		return nil, fault.New(fault.NotImplemented, "an empty select is not supported").
			WithHint("leave select out for every field, or use Prefer: return=minimal for none")
	}
	items, err := s.list(0)
	if err != nil {
		return nil, err
	}
	if !s.end() {
		return nil, s.fail(`"," or end of input`)
	}
	return items, nil
}

// list reads the items of one level, up to the end or the closing bracket.
func (s *selection) list(level int) ([]query.Item, error) {
	if level > s.depth {
		return nil, tooDeep(s.depth, "relations are embedded")
	}
	items := make([]query.Item, 0, 4)
	for {
		item, err := s.item(level)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
		s.space()
		if !s.accept(',') {
			return items, nil
		}
	}
}

func tooDeep(depth int, what string) error {
	return fault.New(fault.LimitExceeded, "%s more than %d levels deep", what, depth).
		WithHint("limits.depth in pando.yaml is %d", depth)
}

func (s *selection) item(level int) (query.Item, error) {
	s.space()
	if s.accept('*') {
		s.space()
		if !s.atItemEnd() {
			return nil, s.fail(`")", "," or end of input`)
		}
		return query.Star{}, nil
	}
	spread := s.acceptText("...")
	start := s.pos
	name, err := s.name("a field's name (* or [a..z0..9_$])")
	if err != nil {
		return nil, err
	}
	alias := ""
	if !spread && s.peek() == ':' && !strings.HasPrefix(s.rest(), "::") {
		s.pos++
		alias = name
		start = s.pos
		if name, err = s.name("a field's name after the alias"); err != nil {
			return nil, err
		}
	}
	switch {
	case name == "count" && !spread && s.s[start] != '"' && s.acceptText("()"):
		c := s.column(query.Path{}, alias)
		c.Aggregate = query.CountRows
		return s.finish(c)
	case s.peek() == '!' || s.peek() == '(':
		return s.embed(name, alias, spread, level)
	case spread:
		return nil, s.fail(`"!" or "(": only a relation can be spread`)
	}
	steps, err := s.path()
	if err != nil {
		return nil, err
	}
	return s.field(query.Path{Field: name, Steps: steps}, alias)
}

// column returns a new column in the list's block of memory.
func (s *selection) column(p query.Path, alias string) *query.Column {
	s.columns = append(s.columns, query.Column{Path: p, Alias: alias})
	return &s.columns[len(s.columns)-1]
}

func (s *selection) field(p query.Path, alias string) (query.Item, error) {
	c := s.column(p, alias)
	var err error
	if s.acceptText("::") {
		if c.Cast, err = s.cast(); err != nil {
			return nil, err
		}
	}
	if s.accept('.') {
		if c.Aggregate, err = s.aggregate(); err != nil {
			return nil, err
		}
		return s.finish(c)
	}
	return c, s.itemEnd()
}

// finish reads what may follow an aggregate.
func (s *selection) finish(c *query.Column) (query.Item, error) {
	if s.acceptText("::") {
		var err error
		if c.AggCast, err = s.cast(); err != nil {
			return nil, err
		}
	}
	return c, s.itemEnd()
}

func (s *selection) atItemEnd() bool {
	return s.end() || s.peek() == ',' || s.peek() == ')'
}

func (s *selection) itemEnd() error {
	s.space()
	if s.atItemEnd() {
		return nil
	}
	return s.fail(`"->", "->>", "::", ".", "(", ")", "," or end of input`)
}

func (s *selection) cast() (string, error) {
	if c := s.identifier(); c != "" {
		return c, nil
	}
	return "", s.fail("a type after ::")
}

func (s *selection) aggregate() (query.Aggregate, error) {
	start := s.pos
	name := s.identifier()
	var a query.Aggregate
	switch name {
	case "count":
		a = query.CountRows
	case "sum":
		a = query.Sum
	case "avg":
		a = query.Avg
	case "min":
		a = query.Min
	case "max":
		a = query.Max
	default:
		f := s.failAt(start, "unknown aggregate \""+shorten(name)+`", expecting count(), sum(), avg(), min() or max()`)
		if n := fault.Nearest(name, []string{"count", "sum", "avg", "min", "max"}); n != "" {
			return 0, f.WithHint("perhaps you meant %s()", n)
		}
		return 0, f.WithHint("the aggregates are count(), sum(), avg(), min() and max()")
	}
	if !s.acceptText("()") {
		return 0, s.fail(`"()" after the aggregate`)
	}
	return a, nil
}

func (s *selection) embed(name, alias string, spread bool, level int) (query.Item, error) {
	e := &query.Embed{Relation: name, Alias: alias, Spread: spread}
	var joined bool
	for s.accept('!') {
		start := s.pos
		p, err := s.name("inner, left or a hint")
		if err != nil {
			return nil, err
		}
		switch {
		case (p == "inner" || p == "left") && !joined:
			joined = true
			if p == "inner" {
				e.Join = query.Inner
			}
		case p != "inner" && p != "left" && e.Hint == "":
			e.Hint = p
		default:
			return nil, s.failAt(start, "a relation takes one hint and one of inner and left")
		}
	}
	if !s.accept('(') {
		return nil, s.fail(`"!" or "("`)
	}
	s.space()
	if s.peek() == ')' {
		return nil, fault.New(fault.NotImplemented, "an empty embed is not supported: %s()", shorten(name)).
			WithDetails("in the select parameter at column %d", s.pos+1).
			WithHint("name what is wanted of it: %s(*); to filter only by its existence use %s=not.is.null", shorten(name), shorten(name))
	}
	items, err := s.list(level + 1)
	if err != nil {
		return nil, err
	}
	if !s.accept(')') {
		return nil, s.fail(`")" or ","`)
	}
	e.Node.Select = items
	return e, s.itemEnd()
}
