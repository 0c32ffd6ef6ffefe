package storetest

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/value"
)

func aggregated(n *query.Node) bool {
	return slices.ContainsFunc(n.Select, func(it query.Item) bool {
		c, ok := it.(*query.Column)
		return ok && c.Aggregate != query.NoAggregate
	})
}

// group is what the rows with the same values of the plain columns make.
type group struct {
	by   []value.Value
	rows []*record
}

// groups answers a node with aggregates: it groups by its other columns.
func (m *memory) groups(rows []*record, e *model.Entity, n *query.Node) []string {
	var plain []*query.Column
	for _, it := range n.Select {
		if c, ok := it.(*query.Column); ok && c.Aggregate == query.NoAggregate {
			plain = append(plain, c)
		}
	}
	types := make([]value.Type, len(plain))
	var all []*group
	if len(plain) == 0 {
		all = []*group{{rows: rows}}
		rows = nil
	}
	for _, r := range rows {
		by := make([]value.Value, len(plain))
		for i, c := range plain {
			by[i], types[i] = pathValue(r, e, c.Path)
		}
		at := slices.IndexFunc(all, func(g *group) bool {
			for i := range by {
				if g.by[i].IsNull() != by[i].IsNull() || compare(types[i], g.by[i], by[i]) != 0 {
					return false
				}
			}
			return true
		})
		if at < 0 {
			at, all = len(all), append(all, &group{by: by})
		}
		all[at].rows = append(all[at].rows, r)
	}
	slices.SortFunc(all, func(a, b *group) int {
		for _, o := range n.Order {
			i := slices.IndexFunc(plain, func(c *query.Column) bool { return c.Path.Field == o.Path.Field })
			if c := beside(types[i], a.by[i], b.by[i], o); c != 0 {
				return c
			}
		}
		for i := range plain {
			if c := beside(types[i], a.by[i], b.by[i], query.Order{}); c != 0 {
				return c
			}
		}
		return 0
	})
	out := make([]string, len(all))
	for i, g := range all {
		out[i] = g.object(e, n, types)
	}
	return out
}

func (g *group) object(e *model.Entity, n *query.Node, types []value.Type) string {
	var members []string
	i := 0
	for _, it := range n.Select {
		c, ok := it.(*query.Column)
		if !ok {
			continue
		}
		var text string
		if c.Aggregate == query.NoAggregate {
			text = string(types[i].AppendJSON(nil, g.by[i]))
			i++
		} else {
			text = g.aggregate(e, c)
		}
		members = append(members, `"`+c.Alias+`":`+text)
	}
	return "{" + strings.Join(members, ",") + "}"
}

func (g *group) aggregate(e *model.Entity, c *query.Column) string {
	integer := value.Type{Kind: value.Int}
	if c.Path.Field == "" {
		return string(integer.AppendJSON(nil, value.OfInt(int64(len(g.rows)))))
	}
	t := e.Field(c.Path.Field).Type
	var vals []value.Value
	for _, r := range g.rows {
		if v := r.Value(e.Field(c.Path.Field)); !v.IsNull() {
			vals = append(vals, v)
		}
	}
	if c.Aggregate == query.CountRows {
		return string(integer.AppendJSON(nil, value.OfInt(int64(len(vals)))))
	}
	if len(vals) == 0 {
		return "null"
	}
	sum := value.Value{Tag: vals[0].Tag}
	var floats value.FloatSum
	least, most := vals[0], vals[0]
	for _, v := range vals {
		sum.Int += v.Int
		floats.Add(v.Float)
		if compare(t, v, least) < 0 {
			least = v
		}
		if compare(t, v, most) > 0 {
			most = v
		}
	}
	sum.Float, _ = floats.Sum()
	out := sum
	switch c.Aggregate {
	case query.Min:
		out = least
	case query.Max:
		out = most
	case query.Avg:
		if t.Kind == value.Float {
			out = value.OfFloat(sum.Float / float64(len(vals)))
			break
		}
		n, err := value.DivideScaled(sum.Int, int64(len(vals)), 6)
		if err != nil {
			panic(err)
		}
		t = value.Type{Kind: value.Decimal, Scale: t.Scale + 6}
		out = value.OfInt(n)
	case query.Sum, query.CountRows, query.NoAggregate:
	}
	return string(t.AppendJSON(nil, out))
}

// memberOf follows a path into a JSON value; null where it leads nowhere.
func memberOf(v value.Value, steps []query.Step) (value.Value, error) {
	if v.IsNull() {
		return v, nil
	}
	raw, text := json.RawMessage(v.Str), false
	for _, s := range steps {
		var found json.RawMessage
		if s.ByKey {
			var o map[string]json.RawMessage
			if raw[0] == '{' && json.Unmarshal(raw, &o) == nil {
				found = o[s.Key]
			}
		} else {
			var a []json.RawMessage
			if raw[0] == '[' && json.Unmarshal(raw, &a) == nil {
				i := s.Index
				if i < 0 {
					i += int64(len(a))
				}
				if i >= 0 && i < int64(len(a)) {
					found = a[i]
				}
			}
		}
		if found == nil {
			return value.Null(), nil
		}
		raw, text = found, s.Text
	}
	switch {
	case !text:
		return value.OfText(string(raw)), nil
	case string(raw) == "null":
		return value.Null(), nil
	case raw[0] == '"':
		return value.Type{Kind: value.Text}.FromJSON(string(raw))
	}
	return value.OfText(string(raw)), nil
}
