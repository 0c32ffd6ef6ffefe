package storetest

import (
	"strconv"
	"strings"

	"pgregory.net/rapid"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/value"
)

// condition draws a condition on rows of a node.
func (a *asker) condition(e *model.Entity, n *query.Node, depth int) query.Expr {
	if depth > 0 {
		switch rapid.IntRange(0, 6).Draw(a.t, "connective") {
		case 1:
			return &query.Not{Arg: a.condition(e, n, depth-1)}
		case 2:
			return &query.And{Args: []query.Expr{a.condition(e, n, depth-1), a.condition(e, n, depth-1)}}
		case 3:
			return &query.Or{Args: []query.Expr{a.condition(e, n, depth-1), a.condition(e, n, depth-1)}}
		}
	}
	if ems := embeds(n); len(ems) > 0 && a.chance(3, "partner") {
		word := rapid.SampledFrom([]string{"null", "not_null"}).Draw(a.t, "word")
		em := ems[rapid.IntRange(0, len(ems)-1).Draw(a.t, "relation")]
		return &query.Compare{Left: &query.FieldRef{Path: query.Path{Field: em.Name()}}, Op: query.Is, Right: &query.Word{Word: word}}
	}
	return a.comparison(e)
}

func (a *asker) comparison(e *model.Entity) query.Expr {
	f := a.field(e, anyField)
	p := a.path(f)
	t := f.Type
	if len(p.Steps) > 0 {
		t = value.Type{Kind: value.JSON}
		if p.Steps[len(p.Steps)-1].Text {
			t.Kind = value.Text
		}
	}
	c := &query.Compare{Left: &query.FieldRef{Path: p}}
	c.Op = rapid.SampledFrom(operatorsOf(t)).Draw(a.t, "op")
	switch {
	case c.Op == query.Is:
		words := []string{"null", "not_null"}
		if t.Kind == value.Bool && !t.List {
			words = append(words, "true", "false", "unknown")
		}
		c.Right = &query.Word{Word: rapid.SampledFrom(words).Draw(a.t, "word")}
	case c.Op == query.In || c.Op <= query.IMatch && !t.List && a.chance(5, "several"):
		if c.Op != query.In {
			c.Quant = rapid.SampledFrom([]query.Quant{query.Any, query.All}).Draw(a.t, "quantifier")
		}
		l := &query.List{Texts: []string{}}
		for range rapid.IntRange(0, 3).Draw(a.t, "values") {
			l.Texts = append(l.Texts, a.literal(e, f, t, c.Op))
		}
		c.Right = l
	default:
		c.Right = &query.Literal{Text: a.literal(e, f, t, c.Op)}
	}
	return c
}

func operatorsOf(t value.Type) []query.Op {
	ops := []query.Op{query.Eq, query.Neq, query.Is, query.IsDistinct}
	switch {
	case t.List:
		return append(ops, query.Contains, query.ContainedBy, query.Overlaps)
	case t.Kind == value.JSON:
		return append(ops, query.Contains, query.ContainedBy, query.In)
	case t.Kind == value.Text || t.Kind == value.Enum:
		ops = append(ops, query.Like, query.ILike, query.Match, query.IMatch)
	}
	return append(ops, query.Gt, query.Gte, query.Lt, query.Lte, query.In)
}

// literal draws a value as a filter has it: text.
func (a *asker) literal(e *model.Entity, f *model.Field, t value.Type, op query.Op) string {
	switch op {
	case query.Like, query.ILike:
		return rapid.SampledFrom([]string{"%", "a%", "_", "%É%", "a\\%", "B", ""}).Draw(a.t, "pattern")
	case query.IMatch: // without case only ASCII letters are matched
		return rapid.SampledFrom([]string{"^A", "b$", "", "^$", "[A-Z]+"}).Draw(a.t, "pattern")
	case query.Match:
		return rapid.SampledFrom([]string{"^a", "b$", "é|1", "", "^$", "[a-z]+"}).Draw(a.t, "pattern")
	default:
	}
	pool := []string{"0", "1", "5"} // keys
	if k, ok := a.s.pools[e.Name+"."+f.Name]; ok {
		pool = k.values
	}
	if t.Kind == value.Text && f.Type.Kind == value.JSON {
		pool = []string{`"a"`, `"1"`, `"1.50"`, `"x"`, `"b"`}
	}
	raw := rapid.SampledFrom(pool).Draw(a.t, "value")
	if strings.HasPrefix(raw, `"`) && (t.Kind != value.JSON || t.List) {
		if text, err := strconv.Unquote(raw); err == nil {
			return text
		}
	}
	return raw
}
