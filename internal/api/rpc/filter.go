package rpc

import (
	"strings"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/query"
)

// deepest is how deep and, or and not nest.
const deepest = 32

// filtering reads a filter message.
type filtering struct {
	call *call
	left int // conditions that it may still have
}

// where is the condition of a request's filter; nil: there is none.
func (c *call) where(in *given) (query.Expr, error) {
	g, err := in.message(nameFilter)
	if g == nil || err != nil {
		return nil, err
	}
	f := &filtering{call: c, left: c.door.limits.Filters}
	return f.all(g, 0)
}

// all is the condition that everything in a message holds; nil: it is empty.
func (f *filtering) all(g *given, depth int) (query.Expr, error) {
	if depth > deepest {
		return nil, fault.New(fault.LimitExceeded, "a filter nests %d deep at most", deepest)
	}
	var args []query.Expr
	for _, m := range g.of.fields {
		for _, v := range g.items[m.index] {
			inner, err := m.message.read(v.bytes)
			if err != nil {
				return nil, err
			}
			if m.model != nil {
				if args, err = f.compare(args, m, inner); err != nil {
					return nil, err
				}
				continue
			}
			if m.number == orNumber {
				continue
			}
			e, err := f.all(inner, depth+1)
			if err != nil {
				return nil, err
			}
			if e == nil { // what asks nothing holds for every row
				e = &query.Const{Value: true}
			}
			if m.number == notNumber {
				e = &query.Not{Arg: e}
			}
			args = append(args, e)
		}
	}
	or, err := f.any(g, depth)
	if err != nil {
		return nil, err
	}
	if or != nil {
		args = append(args, or)
	}
	switch len(args) {
	case 0:
		return nil, nil //nolint:nilnil // no condition, and nothing is wrong
	case 1:
		return args[0], nil
	}
	return &query.And{Args: args}, nil
}

// any is the condition that one of the message's alternatives holds.
func (f *filtering) any(g *given, depth int) (query.Expr, error) {
	alternatives, err := g.messages("or")
	if err != nil || len(alternatives) == 0 {
		return nil, err
	}
	or := &query.Or{}
	for _, a := range alternatives {
		e, err := f.all(a, depth+1)
		if err != nil {
			return nil, err
		}
		if e == nil {
			e = &query.Const{Value: true}
		}
		or.Args = append(or.Args, e)
	}
	return or, nil
}

// compare appends the comparisons of one field.
func (f *filtering) compare(args []query.Expr, m *field, g *given) ([]query.Expr, error) {
	before := len(args)
	f.call.names(m)
	for _, o := range g.of.fields {
		if !g.has(o) {
			continue
		}
		if f.left--; f.left < 0 {
			return nil, fault.New(fault.LimitExceeded, "a filter has %d conditions at most", f.call.door.limits.Filters).WithHint("in takes a list")
		}
		right, err := f.right(m, o, g.items[o.index][0])
		if err != nil {
			return nil, err
		}
		args = append(args, &query.Compare{Left: ref(m), Op: operatorOf(o), Right: right})
	}
	if len(args) == before {
		out := fault.New(fault.Parse, "the filter of %s compares with nothing", m.name).WithHint("give it an operator such as eq, or leave %s out", m.name)
		out.Field = m.name
		return nil, out
	}
	return args, nil
}

// operatorOf is the operator of a filter's member.
func operatorOf(o *field) query.Op {
	for i := range operators {
		if operators[i].number == int(o.number) {
			return operators[i].op
		}
	}
	return query.Eq // every filter is made of the table
}

// right is what a field is compared with.
func (f *filtering) right(m, o *field, v item) (query.Operand, error) {
	if o.enum == f.call.schema.filters.is {
		if v.number == 0 || v.number >= uint64(len(isWords)) {
			return nil, about(fault.New(fault.Parse, "%s.is has no value %d", m.name, v.number), m.name)
		}
		return &query.Word{Word: isWords[v.number]}, nil
	}
	if o.message == nil {
		s, err := o.literal(v)
		if err != nil {
			return nil, about(err, m.name)
		}
		return &query.Literal{Text: s}, nil
	}
	list, err := o.message.read(v.bytes)
	if err != nil {
		return nil, err
	}
	values := o.message.fields[0]
	if m.list || operatorOf(o) != query.In {
		array, err := list.appendField(nil, values)
		if err != nil {
			return nil, about(err, m.name)
		}
		return &query.Literal{Text: string(array)}, nil
	}
	out := &query.List{Texts: make([]string, 0, len(list.items[0]))}
	for _, v := range list.items[0] {
		s, err := values.literal(v)
		if err != nil {
			return nil, about(err, m.name)
		}
		out.Texts = append(out.Texts, s)
	}
	return out, nil
}

// order reads order_by (https://google.aip.dev/132): fields, each with asc or desc.
func (c *call) order(in *given) ([]query.Order, error) {
	text := strings.TrimSpace(in.text(nameOrder))
	if text == "" {
		return nil, nil
	}
	var out []query.Order
	for term := range strings.SplitSeq(text, ",") {
		words := strings.Fields(term)
		bad := len(words) == 0 || len(words) > 2 || len(words) == 2 && words[1] != "desc" && words[1] != "asc"
		if bad || len(out) == c.door.limits.Filters {
			f := fault.New(fault.Parse, "order_by is not understood").WithDetails("at %q", shorten(strings.TrimSpace(term))).
				WithHint("name fields, each with desc where it descends: \"created_at desc, id\"")
			f.Field = nameOrder
			return nil, f
		}
		f, err := c.field(words[0])
		if err != nil {
			return nil, err
		}
		out = append(out, query.Order{Path: query.Path{Field: f.json}, Desc: len(words) == 2 && words[1] == "desc"})
	}
	return out, nil
}
