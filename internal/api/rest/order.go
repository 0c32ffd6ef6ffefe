package rest

import (
	"strings"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/query"
)

// parseOrder reads an order:
//
//	order = term *( "," term )
//	term  = ( name [path] / relation "(" name [path] ")" ) [".asc" / ".desc"] [".nullsfirst" / ".nullslast"]
func parseOrder(text string) ([]query.Order, error) {
	s := scanner{what: "order", s: text}
	out := make([]query.Order, 0, strings.Count(text, ",")+1)
	for {
		o, err := s.orderTerm()
		if err != nil {
			return nil, err
		}
		out = append(out, o)
		s.space()
		if s.end() {
			return out, nil
		}
		if !s.accept(',') {
			return nil, s.fail(`".", "," or end of input`)
		}
	}
}

func (s *scanner) orderTerm() (query.Order, error) {
	var o query.Order
	name, err := s.name("a field's name")
	if err != nil {
		return o, err
	}
	if s.accept('(') {
		o.Relation = name
		if name, err = s.name("a field's name"); err != nil {
			return o, err
		}
	}
	o.Path.Field = name
	if o.Path.Steps, err = s.path(); err != nil {
		return o, err
	}
	if o.Relation != "" && !s.accept(')') {
		return o, s.fail(`")": a relation's order has one field`)
	}
	return o, s.direction(&o)
}

func (s *scanner) direction(o *query.Order) error {
	var directed bool
	for s.accept('.') {
		start := s.pos
		word := s.identifier()
		switch {
		case word == "asc" && !directed:
			directed = true
		case word == "desc" && !directed:
			directed, o.Desc = true, true
		case word == "nullsfirst":
			o.Nulls = query.NullsFirst
			return nil
		case word == "nullslast":
			o.Nulls = query.NullsLast
			return nil
		default:
			words := []string{"desc", "asc", "nullsfirst", "nullslast"}
			expecting := "asc, desc, nullsfirst or nullslast"
			if directed {
				words, expecting = words[2:], "nullsfirst or nullslast"
			}
			f := s.failAt(start, "unexpected \""+shorten(word)+"\", expecting "+expecting)
			if n := fault.Nearest(word, words); n != "" {
				return f.WithHint("perhaps you meant %s", n)
			}
			return f
		}
	}
	return nil
}
