package storetest

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pandobase/pando/internal/query"
)

// read parses a read in a short form of the suite's own, so that its tables
// show what is asked beside what is answered:
//
//	books(id,t:title,author!inner(name){where=name.eq.A}){where=and(a.gt.1,not.b.is.null);order=title.desc;limit=2}
//
// A value between single quotes may hold any other character.
func read(spec string) *query.Read {
	p := &parser{s: spec}
	em := p.embed(p.word("!({"))
	if p.i != len(p.s) {
		p.fail("the end")
	}
	q := &query.Read{Node: em.Node}
	if module, entity, ok := strings.Cut(em.Relation, "."); ok {
		q.Target = query.Target{Module: module, Entity: entity}
	} else {
		q.Target.Entity = em.Relation
	}
	return q
}

// where parses a condition alone.
func where(s string) query.Expr {
	p := &parser{s: s}
	e := p.expr()
	if p.i != len(p.s) {
		p.fail("the end")
	}
	return e
}

// parser panics at a mistake: the specs are the suite's own.
type parser struct {
	s string
	i int
}

func (p *parser) fail(want string) {
	panic(fmt.Sprintf("spec %q: expected %s at byte %d", p.s, want, p.i))
}

func (p *parser) take(prefix string) bool {
	if strings.HasPrefix(p.s[p.i:], prefix) {
		p.i += len(prefix)
		return true
	}
	return false
}

func (p *parser) must(prefix string) {
	if !p.take(prefix) {
		p.fail(prefix)
	}
}

func (p *parser) word(until string) string {
	n := strings.IndexAny(p.s[p.i:], until)
	if n < 0 {
		n = len(p.s) - p.i
	}
	w := p.s[p.i : p.i+n]
	p.i += n
	return w
}

// embed parses what follows a relation's or the entity's name.
func (p *parser) embed(name string) *query.Embed {
	em := &query.Embed{Relation: name}
	for p.take("!") {
		switch w := p.word("!({,)"); w {
		case "inner":
			em.Join = query.Inner
		case "left":
		default:
			em.Hint = w
		}
	}
	if p.take("(") {
		for !p.take(")") {
			em.Node.Select = append(em.Node.Select, p.item())
			p.take(",")
		}
	}
	if p.take("{") {
		for !p.take("}") {
			p.option(&em.Node)
			p.take(";")
		}
	}
	return em
}

func (p *parser) option(n *query.Node) {
	key := p.word("=")
	p.must("=")
	switch key {
	case "where":
		n.Where = p.expr()
	case "order":
		n.Order = p.order()
	case "limit":
		l := p.number()
		n.Page.Limit = &l
	case "offset":
		n.Page.Offset = p.number()
	default:
		p.fail("where, order, limit or offset")
	}
}

func (p *parser) number() int64 {
	n, err := strconv.ParseInt(p.word(";}"), 10, 64)
	if err != nil {
		p.fail("a number")
	}
	return n
}

// item parses a member of a select list.
func (p *parser) item() query.Item {
	spread := p.take("...")
	w := p.word(",(){!")
	if w == "*" {
		return query.Star{}
	}
	alias := ""
	if a, rest, ok := cutAlias(w); ok {
		alias, w = a, rest
	}
	if fn, ok := aggregates()[w[strings.LastIndexByte(w, '.')+1:]]; ok && p.take("()") {
		return p.aggregate(alias, w, fn)
	}
	if p.i < len(p.s) && strings.IndexByte("(!{", p.s[p.i]) >= 0 {
		em := p.embed(w)
		em.Alias, em.Spread = alias, spread
		return em
	}
	w, cast, _ := strings.Cut(w, "::")
	return &query.Column{Path: path(w), Alias: alias, Cast: cast}
}

func cutAlias(w string) (alias, rest string, ok bool) {
	for i := range len(w) {
		if w[i] == ':' {
			if i+1 < len(w) && w[i+1] == ':' {
				return "", w, false
			}
			return w[:i], w[i+1:], true
		}
	}
	return "", w, false
}

func aggregates() map[string]query.Aggregate {
	return map[string]query.Aggregate{"count": query.CountRows, "sum": query.Sum, "avg": query.Avg, "min": query.Min, "max": query.Max}
}

// aggregate parses "field::cast.fn()" after its name, and "::cast" behind it.
func (p *parser) aggregate(alias, w string, fn query.Aggregate) *query.Column {
	c := &query.Column{Alias: alias, Aggregate: fn}
	if dot := strings.LastIndexByte(w, '.'); dot >= 0 {
		field, cast, _ := strings.Cut(w[:dot], "::")
		c.Path, c.Cast = path(field), cast
	}
	if p.take("::") {
		c.AggCast = p.word(",)")
	}
	return c
}

// path parses "field->key->0->>text".
func path(s string) query.Path {
	parts := strings.Split(s, "->")
	out := query.Path{Field: parts[0]}
	for _, k := range parts[1:] {
		k, text := strings.CutPrefix(k, ">")
		st := query.Step{Text: text}
		if n, err := strconv.ParseInt(k, 10, 64); err == nil {
			st.Index = n
		} else {
			st.Key, st.ByKey = strings.Trim(k, "'"), true
		}
		out.Steps = append(out.Steps, st)
	}
	return out
}

func (p *parser) order() []query.Order {
	var out []query.Order
	for {
		var o query.Order
		w := p.word(",;}.(")
		if p.take("(") {
			o.Relation = w
			w = p.word(")")
			p.must(")")
		}
		o.Path = path(w)
		for p.take(".") {
			switch p.word(".,;}") {
			case "desc":
				o.Desc = true
			case "asc":
			case "nullsfirst":
				o.Nulls = query.NullsFirst
			case "nullslast":
				o.Nulls = query.NullsLast
			default:
				p.fail("a direction")
			}
		}
		out = append(out, o)
		if !p.take(",") {
			return out
		}
	}
}

func (p *parser) expr() query.Expr {
	switch {
	case p.take("not."):
		return &query.Not{Arg: p.expr()}
	case p.take("and("):
		return &query.And{Args: p.exprs()}
	case p.take("or("):
		return &query.Or{Args: p.exprs()}
	}
	left := &query.FieldRef{Path: path(p.word("."))}
	p.must(".")
	return p.compare(left)
}

func (p *parser) exprs() []query.Expr {
	var out []query.Expr
	for !p.take(")") {
		out = append(out, p.expr())
		p.take(",")
	}
	return out
}

func operators() map[string]query.Op {
	return map[string]query.Op{
		"eq": query.Eq, "neq": query.Neq, "gt": query.Gt, "gte": query.Gte, "lt": query.Lt, "lte": query.Lte,
		"like": query.Like, "ilike": query.ILike, "match": query.Match, "imatch": query.IMatch, "is": query.Is,
		"isdistinct": query.IsDistinct, "in": query.In, "cs": query.Contains, "cd": query.ContainedBy, "ov": query.Overlaps,
		"fts": query.FTS, "plfts": query.PlainFTS, "phfts": query.PhraseFTS, "wfts": query.WebFTS,
	}
}

func (p *parser) compare(left query.Operand) query.Expr {
	w := p.word(".(")
	op, ok := operators()[w]
	if !ok {
		p.fail("an operator")
	}
	c := &query.Compare{Left: left, Op: op}
	switch {
	case p.take("(any)"):
		c.Quant = query.Any
	case p.take("(all)"):
		c.Quant = query.All
	}
	p.must(".")
	switch {
	case op == query.Is:
		c.Right = &query.Word{Word: p.word(",;})")}
	case op == query.In || c.Quant != query.NoQuant:
		p.must("(")
		l := &query.List{Texts: []string{}}
		for !p.take(")") {
			l.Texts = append(l.Texts, p.value())
			p.take(",")
		}
		c.Right = l
	default:
		c.Right = &query.Literal{Text: p.value()}
	}
	return c
}

func (p *parser) value() string {
	if !p.take("'") {
		return p.word(",;})")
	}
	v := p.word("'")
	p.must("'")
	return v
}
