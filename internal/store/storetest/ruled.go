package storetest

import (
	"slices"

	"pgregory.net/rapid"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/value"
)

// rules draws a read rule for each entity and masks for some of the fields.
func drawRules(t *rapid.T, s *specimen, app *model.App) *ruled {
	a := &asker{t: t, s: s}
	g := &ruled{app: app, rules: map[policy.Use]query.Expr{}}
	for _, name := range s.names {
		e := app.Entity("t", name)
		read := policy.Use{Entity: e, Rule: policy.RuleRead}
		if g.rules[read] = nil; a.chance(2, "a read rule") {
			g.rules[read] = a.rule([]*model.Entity{e}, 2)
		}
		for _, f := range e.Fields {
			if f.Read = nil; !f.Primary && a.chance(4, "a mask") {
				f.Read = &model.Expression{Source: "drawn"}
				g.rules[policy.Use{Entity: e, Rule: policy.RuleMask, Field: f}] = a.rule([]*model.Entity{e}, 1)
			}
		}
	}
	return g
}

// rule draws a rule about the row of around[0], inside the rows of relations
// for the others, the innermost last.
func (a *asker) rule(around []*model.Entity, depth int) query.Expr {
	if depth > 0 {
		switch rapid.IntRange(0, 6).Draw(a.t, "connective") {
		case 1:
			return &query.Not{Arg: a.rule(around, depth-1)}
		case 2:
			return &query.And{Args: []query.Expr{a.rule(around, depth-1), a.rule(around, depth-1)}}
		case 3:
			return &query.Or{Args: []query.Expr{a.rule(around, depth-1), a.rule(around, depth-1)}}
		case 4, 5:
			if x := a.existence(around, depth); x != nil {
				return x
			}
		}
	}
	if a.chance(12, "constant") {
		return &query.Const{Value: a.chance(2, "holds")}
	}
	up, via, e := a.way(around)
	c, ok := a.comparison(e).(*query.Compare)
	if !ok {
		panic("a comparison is none")
	}
	ref, ok := c.Left.(*query.FieldRef)
	if !ok {
		panic("the left side is no field")
	}
	ref.Via, ref.Up = via, up
	if a.chance(4, "with a field") {
		if other := a.other(around, e.Field(ref.Path.Field)); other != nil && len(ref.Path.Steps) == 0 {
			c.Op, c.Quant, c.Right = rapid.SampledFrom([]query.Op{query.Eq, query.Neq, query.Lt, query.Gte, query.IsDistinct}).Draw(a.t, "op"), query.NoQuant, other
		}
	}
	return c
}

// other draws a field of the same type as f of a row around, or nil.
func (a *asker) other(around []*model.Entity, f *model.Field) query.Operand {
	up, via, e := a.way(around)
	for _, o := range e.Fields {
		if o.Type.Kind == f.Type.Kind && !f.Type.List && !o.Type.List && f.Type.Kind != value.JSON {
			return &query.FieldRef{Path: query.Path{Field: o.Name}, Via: via, Up: up}
		}
	}
	return nil
}

// way draws a row around and a way from it over to-one relations.
func (a *asker) way(around []*model.Entity) (up int, via []string, e *model.Entity) {
	up = rapid.IntRange(0, len(around)-1).Draw(a.t, "up")
	e = around[len(around)-1-up]
	for range rapid.IntRange(0, 2).Draw(a.t, "hops") {
		var one []*model.Relation
		for _, r := range e.Relations {
			if r.Cardinality == model.ToOne {
				one = append(one, r)
			}
		}
		if len(one) == 0 {
			break
		}
		r := one[rapid.IntRange(0, len(one)-1).Draw(a.t, "hop")]
		via, e = append(via, r.Name), r.To
	}
	return up, via, e
}

// existence draws a condition on the rows of a relation, or nil.
func (a *asker) existence(around []*model.Entity, depth int) query.Expr {
	up, via, e := a.way(around)
	var named []*model.Relation
	for _, r := range e.Relations {
		if !slices.ContainsFunc(e.Relations, func(o *model.Relation) bool { return o != r && o.Name == r.Name }) {
			named = append(named, r)
		}
	}
	if len(named) == 0 {
		return nil
	}
	r := named[rapid.IntRange(0, len(named)-1).Draw(a.t, "relation")]
	x := &query.Exists{Via: via, Up: up, Relation: r.Name}
	if !a.chance(4, "any row") {
		x.Where = a.rule(append(slices.Clip(around), r.To), depth-1)
	}
	return x
}

// seen is what a guard lets through, as rows of their own: without those that
// the read rules hide, and with null where a mask does. The answers of a caller
// are those that anybody would get if nothing else were stored.
func (m *memory) seen(g *ruled) *memory {
	out := &memory{rows: map[*model.Entity][]*record{}, most: m.most}
	for e, rows := range m.rows {
		for _, r := range rows {
			if m.judge([]*record{r}, g.rules[policy.Use{Entity: e, Rule: policy.RuleRead}]) != policy.True {
				continue
			}
			shown := &record{e: e, vals: slices.Clone(r.vals)}
			for i, f := range e.Fields {
				if m.judge([]*record{r}, g.rules[policy.Use{Entity: e, Rule: policy.RuleMask, Field: f}]) != policy.True {
					shown.vals[i] = value.Null()
				}
			}
			out.rows[e] = append(out.rows[e], shown)
		}
	}
	return out
}

// judge answers a rule in three-valued logic. around are the rows as in
// [asker.rule]; relations lead over all rows.
func (m *memory) judge(around []*record, e query.Expr) policy.Truth {
	switch e := e.(type) {
	case nil:
		return policy.True
	case *query.Not:
		return m.judge(around, e.Arg).Not()
	case *query.And:
		out := policy.True
		for _, a := range e.Args {
			out = min(out, m.judge(around, a))
		}
		return out
	case *query.Or:
		out := policy.False
		for _, a := range e.Args {
			out = max(out, m.judge(around, a))
		}
		return out
	case *query.Const:
		if e.Value {
			return policy.True
		}
		return policy.False
	case *query.Exists:
		at, ent := m.follow(around, e.Up, e.Via)
		out := policy.False
		if at == nil {
			return out
		}
		for _, o := range m.related(at, named(ent, e.Relation)) {
			out = max(out, m.judge(append(slices.Clip(around), o), e.Where))
		}
		return out
	case *query.Compare:
		return m.compared(around, e)
	}
	panic("the generator made up an expression")
}

func (m *memory) compared(around []*record, c *query.Compare) policy.Truth {
	left, _ := c.Left.(*query.FieldRef)
	at, e := m.follow(around, left.Up, left.Via)
	if right, ok := c.Right.(*query.FieldRef); ok {
		r, o := m.follow(around, right.Up, right.Via)
		f, g := e.Field(left.Path.Field), o.Field(right.Path.Field)
		return sides(c.Op, f.Type, g.Type, at.Value(f), r.Value(g))
	}
	t, err := policy.Eval(e, &query.Compare{Left: &query.FieldRef{Path: left.Path}, Op: c.Op, Quant: c.Quant, Right: c.Right}, at)
	if err != nil {
		panic("the generator made a wrong rule: " + err.Error())
	}
	return t
}

// sides compares two values of one kind.
func sides(op query.Op, t, u value.Type, a, b value.Value) policy.Truth {
	if a.IsNull() || b.IsNull() {
		switch {
		case op != query.IsDistinct:
			return policy.Unknown
		case a.IsNull() && b.IsNull():
			return policy.False
		}
		return policy.True
	}
	if t.Scale != u.Scale {
		panic("the kinds have one scale")
	}
	c := value.Compare(a, b)
	if map[query.Op]bool{query.Eq: c == 0, query.Neq: c != 0, query.IsDistinct: c != 0, query.Lt: c < 0, query.Gte: c >= 0}[op] {
		return policy.True
	}
	return policy.False
}

// follow goes from a row around over to-one relations; nil where they end.
func (m *memory) follow(around []*record, up int, via []string) (*record, *model.Entity) {
	at := around[len(around)-1-up]
	e := at.e
	for _, name := range via {
		r := named(e, name)
		e = r.To
		if at == nil {
			continue
		}
		if to := m.related(at, r); len(to) > 0 {
			at = to[0]
		} else {
			at = nil
		}
	}
	return at, e
}

func named(e *model.Entity, name string) *model.Relation {
	for _, r := range e.Relations {
		if r.Name == name {
			return r
		}
	}
	panic("the generator made up the relation " + name)
}
