package policy

import (
	"strconv"
	"strings"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/value"
)

// Text writes a condition about an entity's rows as an expression that a person
// can read, with its values: what a [Guard.Filter] means. A nil condition is
// "true".
func Text(e *model.Entity, x query.Expr) string {
	if x == nil {
		return "true"
	}
	p := &printer{root: e}
	p.expr(x, looseTernary)
	return p.b.String()
}

// printer writes one condition.
type printer struct {
	b      strings.Builder
	root   *model.Entity
	frames []printed // the rows of the exists() around, the outermost first
}

type printed struct {
	name   string
	entity *model.Entity
}

func (p *printer) expr(x query.Expr, outer int) {
	switch x := x.(type) {
	case *query.And:
		p.join(x.Args, " && ", looseAnd, outer, "true")
	case *query.Or:
		p.join(x.Args, " || ", looseOr, outer, "false")
	case *query.Not:
		if e, ok := x.Arg.(*query.Exists); ok {
			if n, ok := e.Where.(*query.Not); ok {
				p.exists(e, "all", n.Arg)
				return
			}
		}
		p.b.WriteByte('!')
		p.expr(x.Arg, looseUnary)
	case *query.Const:
		p.b.WriteString(strconv.FormatBool(x.Value))
	case *query.Exists:
		p.exists(x, "exists", x.Where)
	case *query.Compare:
		p.compare(x, outer)
	}
}

func (p *printer) join(args []query.Expr, symbol string, precedence, outer int, empty string) {
	if len(args) == 0 {
		p.b.WriteString(empty)
		return
	}
	if precedence < outer {
		p.b.WriteByte('(')
		defer p.b.WriteByte(')')
	}
	for i, a := range args {
		if i > 0 {
			p.b.WriteString(symbol)
		}
		p.expr(a, precedence+1)
	}
}

func (p *printer) exists(x *query.Exists, macro string, where query.Expr) {
	e := p.path(x.Via, x.Up, x.Old)
	p.b.WriteString("." + x.Relation + "." + macro + "(")
	r := relation(e, x.Relation)
	name := x.Relation
	for p.named(name) {
		name += "_"
	}
	p.b.WriteString(name + ", ")
	var to *model.Entity
	if r != nil {
		to = r.To
	}
	p.frames = append(p.frames, printed{name: name, entity: to})
	if where == nil {
		p.b.WriteString("true")
	} else {
		p.expr(where, looseTernary)
	}
	p.frames = p.frames[:len(p.frames)-1]
	p.b.WriteByte(')')
}

func (p *printer) named(name string) bool {
	for _, f := range p.frames {
		if f.name == name {
			return true
		}
	}
	return name == varRow || name == varOld || name == varAuth || name == varRequest
}

// path writes a row, and tells its entity.
func (p *printer) path(via []string, up int, old bool) *model.Entity {
	e, name := p.root, varRow
	if old {
		name = varOld
	}
	if at := len(p.frames) - 1 - up; at >= 0 {
		e, name = p.frames[at].entity, p.frames[at].name
	}
	p.b.WriteString(name)
	for _, v := range via {
		p.b.WriteString("." + v)
	}
	return along(e, via)
}

// along follows relations to one row.
func along(e *model.Entity, via []string) *model.Entity {
	for _, v := range via {
		if e == nil {
			return nil
		}
		r := relation(e, v)
		if r == nil {
			return nil
		}
		e = r.To
	}
	return e
}

func (p *printer) compare(x *query.Compare, outer int) {
	t := p.typeOf(x.Left)
	if t.Kind == value.Invalid {
		t = p.typeOf(x.Right)
	}
	if c, ok := x.Left.(*query.Call); ok && x.Op == query.Eq && c.Func >= query.StartsWith && c.Func <= query.HasSubstring {
		p.operand(c, t)
		return
	}
	if x.Op == query.Match {
		p.operand(x.Left, t)
		p.b.WriteString(".matches(")
		p.operand(x.Right, value.Type{Kind: value.Text})
		p.b.WriteByte(')')
		return
	}
	if looseRelation < outer {
		p.b.WriteByte('(')
		defer p.b.WriteByte(')')
	}
	switch x.Op {
	case query.Is:
		p.operand(x.Left, t)
		if w, ok := x.Right.(*query.Word); ok && w.Word == "null" {
			p.b.WriteString(" == null")
		} else {
			p.b.WriteString(" != null")
		}
	case query.Contains:
		if l, ok := x.Right.(*query.Literal); ok && t.List {
			list := p.literal(l.Text, t)
			p.b.WriteString(strings.TrimSuffix(strings.TrimPrefix(list, "["), "]"))
		}
		p.b.WriteString(" in ")
		p.operand(x.Left, t)
	default:
		p.operand(x.Left, t)
		p.b.WriteString(" " + symbolOf(x.Op) + " ")
		p.operand(x.Right, t)
	}
}

func symbolOf(op query.Op) string {
	switch op {
	case query.Eq:
		return "=="
	case query.Neq:
		return "!="
	case query.Gt:
		return ">"
	case query.Gte:
		return ">="
	case query.Lt:
		return "<"
	case query.Lte:
		return "<="
	case query.In:
		return "in"
	case query.Like, query.ILike, query.Match, query.IMatch, query.Is, query.IsDistinct, query.Contains, query.ContainedBy,
		query.Overlaps, query.FTS, query.PlainFTS, query.PhraseFTS, query.WebFTS:
	}
	return "?" // no rule compiles to it
}

// typeOf is the type that a literal beside o has.
func (p *printer) typeOf(o query.Operand) value.Type {
	switch o := o.(type) {
	case *query.FieldRef:
		if len(o.Path.Steps) > 0 {
			return value.Type{Kind: value.Text}
		}
		e := p.root
		if at := len(p.frames) - 1 - o.Up; at >= 0 {
			e = p.frames[at].entity
		}
		if e = along(e, o.Via); e != nil {
			if f := fieldOf(e, o.Path.Field); f != nil {
				return f.Type
			}
		}
	case *query.Call:
		switch o.Func {
		case query.Length:
			return value.Type{Kind: value.Int}
		case query.StartsWith, query.EndsWith, query.HasSubstring:
			return value.Type{Kind: value.Text}
		case query.Add, query.Sub, query.Mul, query.Neg:
		}
		for _, a := range o.Args {
			if t := p.typeOf(a); t.Kind != value.Invalid {
				return t
			}
		}
	case *query.Literal, *query.List, *query.Word:
	}
	return value.Type{}
}

func (p *printer) operand(o query.Operand, t value.Type) {
	switch o := o.(type) {
	case *query.FieldRef:
		p.path(o.Via, o.Up, o.Old)
		p.b.WriteString("." + o.Path.Field)
		for _, s := range o.Path.Steps {
			if s.ByKey {
				p.b.WriteString("." + s.Key)
			} else {
				p.b.WriteString("[" + strconv.FormatInt(s.Index, 10) + "]")
			}
		}
	case *query.Literal:
		p.b.WriteString(p.literal(o.Text, t))
	case *query.List:
		p.b.WriteByte('[')
		for i, text := range o.Texts {
			if i > 0 {
				p.b.WriteString(", ")
			}
			p.b.WriteString(p.literal(text, t))
		}
		p.b.WriteByte(']')
	case *query.Word:
		p.b.WriteString(o.Word)
	case *query.Call:
		p.call(o)
	}
}

func (p *printer) call(c *query.Call) {
	t := p.typeOf(c)
	switch c.Func {
	case query.Length:
		p.b.WriteString("size(")
		p.operand(c.Args[0], t)
		p.b.WriteByte(')')
	case query.StartsWith, query.EndsWith, query.HasSubstring:
		name := map[query.Func]string{query.StartsWith: "startsWith", query.EndsWith: "endsWith", query.HasSubstring: "contains"}[c.Func]
		p.operand(c.Args[0], t)
		p.b.WriteString("." + name + "(")
		p.operand(c.Args[1], t)
		p.b.WriteByte(')')
	case query.Neg:
		p.b.WriteString("-")
		p.operand(c.Args[0], t)
	case query.Add, query.Sub, query.Mul:
		symbol := map[query.Func]string{query.Add: " + ", query.Sub: " - ", query.Mul: " * "}[c.Func]
		p.b.WriteByte('(')
		p.operand(c.Args[0], t)
		p.b.WriteString(symbol)
		p.operand(c.Args[1], t)
		p.b.WriteByte(')')
	}
}

// literal is a literal's text as an expression writes it.
func (p *printer) literal(text string, t value.Type) string {
	if t.List {
		v, err := t.FromText(text)
		if err != nil {
			return quote(text)
		}
		elements, err := listValues(t, v)
		if err != nil {
			return quote(text)
		}
		t.List = false
		out := make([]string, len(elements))
		for i, e := range elements {
			out[i] = p.literal(string(t.AppendText(nil, e)), t)
		}
		return "[" + strings.Join(out, ", ") + "]"
	}
	switch t.Kind {
	case value.Int, value.Float, value.Decimal, value.Bool:
		return text
	case value.Timestamp:
		return "timestamp(" + quote(text) + ")"
	case value.Text, value.UUID, value.Date, value.Time, value.Enum, value.File, value.JSON, value.Bytes, value.Invalid:
	}
	return quote(text)
}
