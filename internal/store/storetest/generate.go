package storetest

import (
	"fmt"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/value"
)

// kind is a field's declaration with what its values, as JSON, are drawn from.
type kind struct {
	decl   string
	values []string
}

// kinds are few values each, so that rows meet filters, groups and each other.
func kinds() []kind {
	return []kind{
		{"type: int", []string{"-1", "0", "1", "2", "10"}},
		{"type: text", []string{`""`, `"a"`, `"ab"`, `"B"`, `"b"`, `"é"`, `"É"`, `"a%"`, `"10"`, `"\"\n"`}},
		{"type: decimal, scale: 2", []string{"0", "-0.5", "1.25", "1.30", "10"}},
		{"type: float", []string{"0", "0.5", "-1.5", "2", "1e20"}},
		{"type: bool", []string{"true", "false"}},
		{"type: date", []string{`"2026-01-02"`, `"1999-12-31"`}},
		{"type: timestamp", []string{`"2026-01-02T03:04:05Z"`, `"2026-01-02T03:04:05.5Z"`, `"2026-01-02T04:04:05.25+01:00"`}},
		{"type: json", []string{`1`, `1.0`, `10`, `"a"`, `null`, `true`, `[]`, `{}`, `{"a":1}`, `{"a":1.50,"b":[1,"x",null]}`, `["a",{"a":"b"}]`, `{"a":null}`}},
		{"type: enum, values: [x, y, z]", []string{`"x"`, `"y"`, `"z"`}},
		{"type: bytes", []string{`"\\x"`, `"\\x00"`, `"\\x00ff"`}},
		{"type: text, list: true", []string{`[]`, `["a"]`, `["a","b"]`, `["b","a"]`, `["é"]`}},
		{"type: int, list: true", []string{`[]`, `[1]`, `[1,2]`, `[2]`}},
	}
}

// specimen is a random application with its data.
type specimen struct {
	text   string            // the entities, in the module language
	pools  map[string]kind   // "entity.field"
	rows   map[string]string // JSON objects by entity, one to a line
	names  []string          // of the entities, in the order of creation
	filled map[string]int    // rows by entity

	divided map[string]bool // entities that are partitioned
}

func drawSpecimen(t *rapid.T) *specimen {
	s := &specimen{pools: map[string]kind{}, rows: map[string]string{}, filled: map[string]int{}, divided: map[string]bool{}}
	var b strings.Builder
	for i := range rapid.IntRange(1, 3).Draw(t, "entities") {
		s.drawEntity(t, &b, i)
	}
	s.text = b.String()
	return s
}

// drawEntity adds an entity that may refer to itself and to those before it.
func (s *specimen) drawEntity(t *rapid.T, b *strings.Builder, i int) {
	name := fmt.Sprint("e", i)
	fmt.Fprintf(b, "  %s:\n    fields:\n      id: { type: int, primary: true }\n", name)
	var fields, refs []string
	optional := map[string]bool{}
	all := kinds()
	for j := range rapid.IntRange(1, 4).Draw(t, "fields") {
		k, f := all[rapid.IntRange(0, len(all)-1).Draw(t, "kind")], fmt.Sprint("f", j)
		s.pools[name+"."+f] = k
		fields = append(fields, f)
		if optional[f] = rapid.IntRange(0, 3).Draw(t, "optional") > 0; optional[f] {
			fmt.Fprintf(b, "      %s: { %s, optional: true }\n", f, k.decl)
		} else {
			fmt.Fprintf(b, "      %s: { %s }\n", f, k.decl)
		}
	}
	target := map[string]string{}
	for j := range rapid.IntRange(0, 2).Draw(t, "refs") {
		f := fmt.Sprintf("r%d_id", j)
		target[f], refs = fmt.Sprint("e", rapid.IntRange(0, i).Draw(t, "target")), append(refs, f)
	}
	partition, with := s.drawPartition(t, name, fields, refs, target, optional)
	s.divided[name] = partition != ""
	for j, f := range refs {
		how := "optional: true, "
		switch {
		case f == with:
			how = ""
		case s.divided[target[f]]:
			how += "link: loose, "
		}
		fmt.Fprintf(b, "      %s: { ref: %s, %sinverse: back%d%d }\n", f, target[f], how, i, j)
	}
	unique := ""
	if partition != "" {
		fmt.Fprintf(b, "    partition: { %s }\n", partition)
	} else if len(refs) > 0 {
		switch rapid.IntRange(0, 2).Draw(t, "unique") {
		case 1:
			unique = refs[0]
		case 2:
			unique = strings.Join(refs, ", ")
		}
	}
	if unique != "" {
		fmt.Fprintf(b, "    unique: [[%s]]\n", unique)
	}
	s.names = append(s.names, name)
	s.drawRows(t, name, fields, refs, target, optional, unique, with)
}

// drawPartition may divide an entity: with what it refers to, where that is
// divided and has rows, or by a field. with is the reference that must lead
// somewhere then.
func (s *specimen) drawPartition(t *rapid.T, name string, fields, refs []string, target map[string]string, optional map[string]bool) (partition, with string) {
	if !rapid.Bool().Draw(t, "divided") {
		return "", ""
	}
	for _, f := range refs {
		if to := target[f]; to != name && s.divided[to] && s.filled[to] > 0 {
			return "with: " + strings.TrimSuffix(f, "_id"), f
		}
	}
	for _, f := range fields {
		switch decl := s.pools[name+"."+f].decl; {
		case optional[f], strings.Contains(decl, "list"), decl == "type: json", decl == "type: float", decl == "type: bytes":
		default:
			return "by: " + f + ", into: 3", ""
		}
	}
	return "by: id, into: 2", ""
}

func (s *specimen) drawRows(t *rapid.T, name string, fields, refs []string, target map[string]string, optional map[string]bool, unique, with string) {
	n := rapid.IntRange(0, 7).Draw(t, "rows")
	var lines []string
	seen := map[string]bool{}
	for id := range n {
		line, key := fmt.Sprintf(`{"id":%d`, id), ""
		for _, f := range fields {
			pool := s.pools[name+"."+f].values
			if optional[f] {
				pool = append([]string{"null"}, pool...)
			}
			v := rapid.SampledFrom(pool).Draw(t, f)
			if v == "null" && !optional[f] {
				v = "{}" // JSON's null is no value here
			}
			line += fmt.Sprintf(`,%q:%s`, f, v)
		}
		for _, f := range refs {
			most := s.filled[target[f]]
			if target[f] == name {
				most = n
			}
			v, least := "null", -1
			if f == with {
				least = 0
			}
			if to := rapid.IntRange(least, most-1).Draw(t, f); to >= 0 {
				v = fmt.Sprint(to)
			}
			if strings.Contains(unique, f) {
				key += v + ","
			}
			line += fmt.Sprintf(`,%q:%s`, f, v)
		}
		if !strings.Contains(key, "null") && unique != "" && seen[key] {
			for _, f := range refs { // one of a kind: leave the reference out
				if strings.HasPrefix(unique, f) {
					line = line[:strings.Index(line, `,"`+f+`"`)]
				}
			}
		}
		seen[key] = true
		lines = append(lines, line+"}")
	}
	s.filled[name] = n
	s.rows[name] = strings.Join(lines, "\n")
}

// asker draws queries for a specimen's application.
type asker struct {
	t     *rapid.T
	s     *specimen
	alias int
}

func (a *asker) chance(of int, label string) bool {
	return rapid.IntRange(0, of-1).Draw(a.t, label) == 1
}

func (a *asker) name() string {
	a.alias++
	return fmt.Sprint("x", a.alias)
}

// drawRead draws a read of any entity.
func drawRead(t *rapid.T, s *specimen, app *model.App) *query.Read {
	a := &asker{t: t, s: s}
	e := app.Entity("t", rapid.SampledFrom(s.names).Draw(t, "entity"))
	q := &query.Read{Target: query.Target{Entity: e.Name}}
	q.Node = a.node(e, 0, true)
	return q
}

// node draws one level. many: it may have a page and aggregates.
func (a *asker) node(e *model.Entity, depth int, many bool) query.Node {
	n := query.Node{}
	group := many && a.chance(4, "aggregates")
	switch {
	case group:
		a.aggregates(e, &n)
	case !a.chance(3, "all fields"):
		for range rapid.IntRange(1, 3).Draw(a.t, "columns") {
			n.Select = append(n.Select, a.column(e))
		}
	}
	if len(e.Relations) > 0 && depth < 3 && !group {
		for range rapid.IntRange(0, 2).Draw(a.t, "embeds") {
			if len(n.Select) == 0 {
				n.Select = append(n.Select, query.Star{})
			}
			n.Select = append(n.Select, a.embed(e, depth))
		}
	}
	if a.chance(2, "where") {
		n.Where = a.condition(e, &n, 2)
	}
	if !group {
		a.order(e, &n)
	}
	if many && a.chance(3, "limit") {
		l := int64(rapid.IntRange(0, 4).Draw(a.t, "rows"))
		n.Page.Limit = &l
	}
	if many && a.chance(4, "offset") {
		n.Page.Offset = int64(rapid.IntRange(1, 3).Draw(a.t, "skipped"))
	}
	return n
}

func (a *asker) field(e *model.Entity, ok func(*model.Field) bool) *model.Field {
	var names []string
	for _, f := range e.Fields {
		if ok(f) {
			names = append(names, f.Name)
		}
	}
	return e.Field(rapid.SampledFrom(names).Draw(a.t, "field"))
}

func anyField(*model.Field) bool { return true }

func ordered(f *model.Field) bool { return !f.Type.List }

func (a *asker) path(f *model.Field) query.Path {
	p := query.Path{Field: f.Name}
	if f.Type.Kind != value.JSON || f.Type.List || a.chance(2, "whole") {
		return p
	}
	for range rapid.IntRange(1, 2).Draw(a.t, "steps") {
		p.Steps = append(p.Steps, rapid.SampledFrom([]query.Step{{Key: "a", ByKey: true}, {Key: "b", ByKey: true}, {Index: 0}, {Index: 1}, {Index: -1}}).Draw(a.t, "step"))
	}
	p.Steps[len(p.Steps)-1].Text = a.chance(2, "as text")
	return p
}

func (a *asker) column(e *model.Entity) *query.Column {
	c := &query.Column{Path: a.path(a.field(e, anyField)), Alias: a.name()}
	if a.chance(6, "cast") {
		c.Cast = "text"
	}
	return c
}

// aggregates draws a select list with at least one aggregate.
func (a *asker) aggregates(e *model.Entity, n *query.Node) {
	for range rapid.IntRange(0, 2).Draw(a.t, "groups") {
		f := a.field(e, ordered)
		if slices.ContainsFunc(n.Select, func(it query.Item) bool { c, _ := it.(*query.Column); return c.Path.Field == f.Name }) {
			continue
		}
		if f.Type.Kind == value.JSON {
			continue // equal numbers of different form make one group: which form shows is open
		}
		n.Select = append(n.Select, &query.Column{Path: query.Path{Field: f.Name}, Alias: a.name()})
		if a.chance(2, "order") {
			n.Order = append(n.Order, a.term(query.Path{Field: f.Name}))
		}
	}
	for range rapid.IntRange(1, 2).Draw(a.t, "aggregates") {
		c := &query.Column{Alias: a.name(), Aggregate: query.CountRows}
		if f := a.field(e, anyField); f.Name != "id" {
			c.Path.Field = f.Name
			number := !f.Type.List && (f.Type.Kind == value.Int || f.Type.Kind == value.Decimal || f.Type.Kind == value.Float)
			comparable := !f.Type.List && f.Type.Kind != value.JSON && f.Type.Kind != value.Bool && f.Type.Kind != value.Bytes
			switch {
			case number:
				c.Aggregate = rapid.SampledFrom([]query.Aggregate{query.CountRows, query.Sum, query.Avg, query.Min, query.Max}).Draw(a.t, "fn")
			case comparable:
				c.Aggregate = rapid.SampledFrom([]query.Aggregate{query.CountRows, query.Min, query.Max}).Draw(a.t, "fn")
			}
		}
		n.Select = append(n.Select, c)
	}
}

func (a *asker) term(p query.Path) query.Order {
	return query.Order{
		Path: p, Desc: a.chance(2, "desc"),
		Nulls: rapid.SampledFrom([]query.Nulls{query.NullsDefault, query.NullsFirst, query.NullsLast}).Draw(a.t, "nulls"),
	}
}

func (a *asker) order(e *model.Entity, n *query.Node) {
	for range rapid.IntRange(0, 2).Draw(a.t, "order") {
		var one []*query.Embed
		for _, em := range embeds(n) {
			if toOne(way(e, em)) && !em.Spread {
				one = append(one, em)
			}
		}
		if len(one) > 0 && a.chance(3, "by a relation") {
			em := one[rapid.IntRange(0, len(one)-1).Draw(a.t, "relation")]
			o := a.term(a.path(a.field(way(e, em).To, ordered)))
			o.Relation = em.Name()
			n.Order = append(n.Order, o)
			continue
		}
		n.Order = append(n.Order, a.term(a.path(a.field(e, ordered))))
	}
}

func toOne(r *model.Relation) bool { return r.Cardinality == model.ToOne || r.Unique }

func (a *asker) embed(e *model.Entity, depth int) *query.Embed {
	rel := e.Relations[rapid.IntRange(0, len(e.Relations)-1).Draw(a.t, "relation")]
	em := &query.Embed{Relation: rel.Name, Hint: rel.Ref.Name, Alias: a.name()}
	if a.chance(3, "inner") {
		em.Join = query.Inner
	}
	em.Node = a.node(rel.To, depth+1, !toOne(rel))
	// A star's names would meet those outside.
	star := len(em.Node.Select) == 0 || em.Node.Select[0] == query.Item(query.Star{})
	em.Spread = toOne(rel) && !star && a.chance(3, "spread")
	return em
}
