package storetest

import (
	"slices"
	"strings"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/value"
)

// memory answers reads over rows that it holds, by the plainest code that says
// what they mean: nested loops, no index, no plan.
type memory struct {
	rows map[*model.Entity][]*record
	most int64 // the limit of rows
}

// record is one row.
type record struct {
	e    *model.Entity
	vals []value.Value // by field
}

// Value implements policy.Row. Of a row that is not there it is null.
func (r *record) Value(f *model.Field) value.Value {
	if r == nil {
		return value.Null()
	}
	return r.vals[slices.Index(r.e.Fields, f)]
}

// related are the rows that a relation leads to from a row.
func (m *memory) related(r *record, rel *model.Relation) []*record {
	var out []*record
	from := r.Value(rel.Local)
	if from.IsNull() {
		return nil
	}
	for _, o := range m.rows[rel.To] {
		if rel.Cardinality != model.ManyToMany {
			if o.Value(rel.Foreign) == from {
				out = append(out, o)
			}
			continue
		}
		for _, via := range m.rows[rel.Via] {
			if via.Value(rel.ViaLocal) == from && via.Value(rel.ViaForeign) == o.Value(rel.Foreign) {
				out = append(out, o)
			}
		}
	}
	return out
}

// way finds the relation of an embed that the generator made.
func way(e *model.Entity, em *query.Embed) *model.Relation {
	for _, r := range e.Relations {
		if r.Name == em.Relation && (em.Hint == "" || r.Ref.Name == em.Hint) {
			return r
		}
	}
	panic("the generator made up the relation " + em.Relation)
}

func embeds(n *query.Node) []*query.Embed {
	var out []*query.Embed
	for _, it := range n.Select {
		if em, ok := it.(*query.Embed); ok {
			out = append(out, em)
		}
	}
	return out
}

// partners are the related rows that meet the embed's own conditions.
func (m *memory) partners(r *record, em *query.Embed) []*record {
	if r == nil {
		return nil
	}
	var out []*record
	for _, o := range m.related(r, way(r.e, em)) {
		if m.meets(o, &em.Node) {
			out = append(out, o)
		}
	}
	return out
}

// meets reports whether a row is among those of a node.
func (m *memory) meets(r *record, n *query.Node) bool {
	for _, em := range embeds(n) {
		if em.Join == query.Inner && len(m.partners(r, em)) == 0 {
			return false
		}
	}
	return n.Where == nil || m.truth(r, n, n.Where) == policy.True
}

// truth answers a condition in three-valued logic.
func (m *memory) truth(r *record, n *query.Node, e query.Expr) policy.Truth {
	switch e := e.(type) {
	case *query.Not:
		return m.truth(r, n, e.Arg).Not()
	case *query.And:
		out := policy.True
		for _, a := range e.Args {
			out = min(out, m.truth(r, n, a))
		}
		return out
	case *query.Or:
		out := policy.False
		for _, a := range e.Args {
			out = max(out, m.truth(r, n, a))
		}
		return out
	case *query.Compare:
		ref, _ := e.Left.(*query.FieldRef)
		for _, em := range embeds(n) {
			if em.Name() == ref.Path.Field {
				word, _ := e.Right.(*query.Word)
				if (len(m.partners(r, em)) == 0) == (word.Word == "null") {
					return policy.True
				}
				return policy.False
			}
		}
	}
	t, err := policy.Eval(r.e, e, r)
	if err != nil {
		panic("the generator made a wrong condition: " + err.Error())
	}
	return t
}

// pathValue is the value of a field or of a place in a JSON field, with its type.
func pathValue(r *record, e *model.Entity, p query.Path) (value.Value, value.Type) {
	f := e.Field(p.Field)
	if len(p.Steps) == 0 {
		return r.Value(f), f.Type
	}
	v, err := memberOf(r.Value(f), p.Steps)
	if err != nil {
		panic(err)
	}
	if p.Steps[len(p.Steps)-1].Text {
		return v, value.Type{Kind: value.Text}
	}
	return v, value.Type{Kind: value.JSON}
}

// compare orders two values of a type; null is neither.
func compare(t value.Type, a, b value.Value) int {
	if t.Kind == value.JSON && !t.List {
		return value.CompareJSON(a.Str, b.Str)
	}
	return value.Compare(a, b)
}

// beside orders two values with null where the term says.
func beside(t value.Type, a, b value.Value, o query.Order) int {
	first := o.Desc
	if o.Nulls != query.NullsDefault {
		first = o.Nulls == query.NullsFirst
	}
	switch {
	case a.IsNull() && b.IsNull():
		return 0
	case a.IsNull() || b.IsNull():
		if a.IsNull() == first {
			return -1
		}
		return 1
	}
	c := compare(t, a, b)
	if o.Desc {
		return -c
	}
	return c
}

// ordered sorts the rows of a node: by its terms, then by the key in the
// direction of the last term.
func (m *memory) ordered(rows []*record, e *model.Entity, n *query.Node) []*record {
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(a, b *record) int {
		desc := false
		for _, o := range n.Order {
			x, y, at := a, b, e
			if o.Relation != "" {
				for _, em := range embeds(n) {
					if em.Name() == o.Relation {
						x, y, at = m.only(a, em), m.only(b, em), way(e, em).To
					}
				}
			}
			v, t := pathValue(x, at, o.Path)
			u, _ := pathValue(y, at, o.Path)
			if c := beside(t, v, u, o); c != 0 {
				return c
			}
			desc = o.Desc
		}
		c := value.Compare(a.Value(e.Primary), b.Value(e.Primary))
		if desc {
			return -c
		}
		return c
	})
	return rows
}

// only is the row of a to-one embed, or nil.
func (m *memory) only(r *record, em *query.Embed) *record {
	if p := m.partners(r, em); len(p) > 0 {
		return p[0]
	}
	return nil
}

func page[T any](rows []T, p query.Page, most int64) []T {
	limit := most
	if p.Limit != nil {
		limit = min(limit, *p.Limit)
	}
	rows = rows[min(p.Offset, int64(len(rows))):]
	return rows[:min(limit, int64(len(rows)))]
}

// answer is the JSON array of a node's rows among the candidates, and how many
// there are without the page.
func (m *memory) answer(candidates []*record, e *model.Entity, n *query.Node) (string, int) {
	all := m.all(candidates, e, n)
	return "[" + strings.Join(page(all, n.Page, m.most), ",") + "]", len(all)
}

// all is the JSON of a node's rows, or groups, without its page.
func (m *memory) all(candidates []*record, e *model.Entity, n *query.Node) []string {
	var rows []*record
	for _, r := range candidates {
		if m.meets(r, n) {
			rows = append(rows, r)
		}
	}
	if aggregated(n) {
		return m.groups(rows, e, n)
	}
	var out []string
	for _, r := range m.ordered(rows, e, n) {
		out = append(out, "{"+strings.Join(m.object(r, e, n), ",")+"}")
	}
	return out
}

// object lists a row's members; of a row that is not there all are null.
func (m *memory) object(r *record, e *model.Entity, n *query.Node) []string {
	items := n.Select
	if len(items) == 0 {
		items = []query.Item{query.Star{}}
	}
	var out []string
	member := func(name, text string) { out = append(out, string(value.AppendQuoted(nil, name))+":"+text) }
	for _, it := range items {
		switch it := it.(type) {
		case query.Star:
			for _, f := range e.Fields {
				member(f.Name, string(f.Type.AppendJSON(nil, r.Value(f))))
			}
		case *query.Column:
			v, t := pathValue(r, e, it.Path)
			if it.Cast == "text" {
				if !v.IsNull() {
					v = value.OfText(string(t.AppendText(nil, v)))
				}
				t = value.Type{Kind: value.Text}
			}
			member(it.Alias, string(t.AppendJSON(nil, v)))
		case *query.Embed:
			rel := way(e, it)
			switch {
			case rel.Cardinality != model.ToOne && !rel.Unique:
				if r == nil {
					member(it.Name(), "null")
					continue
				}
				text, _ := m.answer(m.related(r, rel), rel.To, &it.Node)
				member(it.Name(), text)
			case it.Spread:
				out = append(out, m.object(m.only(r, it), rel.To, &it.Node)...)
			default:
				text := "null"
				if o := m.only(r, it); o != nil {
					text = "{" + strings.Join(m.object(o, rel.To, &it.Node), ",") + "}"
				}
				member(it.Name(), text)
			}
		}
	}
	return out
}
