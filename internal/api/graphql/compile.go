package graphql

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/value"
)

// question is a field of a root type as a read.
type question struct {
	read *query.Read
	// members, not nil, are what is told of the rows that the read answers; else it
	// answers an array of at most one element, which is the value.
	members []query.Member
}

func targetOf(e *model.Entity) query.Target {
	return query.Target{Module: e.Module.Name, Entity: e.Name}
}

// rows compiles a connection at the root. Where it asks for the rows of a page
// and at most where that stands, they are a plain read, whose rows need no
// database to be put into an array.
func (c *call) rows(f *collected, e *model.Entity) (*question, error) {
	q := &question{read: &query.Read{Target: targetOf(e)}}
	n := &q.read.Node
	c.names(e)
	if err := c.page(n, f.field(), e); err != nil {
		return nil, err
	}
	members, err := fixedPart(c, f, c.members)
	if err != nil {
		return nil, err
	}
	rows, edges, plain := plainly(members, nil)
	if !plain || rows == nil || n.Page.Last || n.Page.Limit != nil && *n.Page.Limit == 0 {
		n.Connection = members
		return q, nil
	}
	q.members, n.Select, q.read.Edges = members, rows.Items, edges
	return q, nil
}

// plainly finds the rows among members; plain is false where there are others
// than these, where they stand, and texts.
func plainly(members []query.Member, rows *query.Member) (found *query.Member, edges, plain bool) {
	for i := range members {
		m := &members[i]
		switch m.Kind {
		case query.MemberFixed:
		case query.MemberRows:
			if rows != nil {
				return nil, false, false
			}
			rows = m
		case query.MemberNext, query.MemberPrevious, query.MemberFirstCursor, query.MemberLastCursor:
			edges = true
		case query.MemberObject:
			var inner bool
			if rows, inner, plain = plainly(m.Members, rows); !plain {
				return nil, false, false
			}
			edges = edges || inner
		case query.MemberGroups, query.MemberTotals, query.MemberCount:
			return nil, false, false
		}
	}
	return rows, edges, true
}

// appendMembers appends what is told of the rows of a plain read.
func appendMembers(dst []byte, members []query.Member, n *query.Node, res *engine.Result) []byte {
	dst = append(dst, '{')
	for i := range members {
		m := &members[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(value.AppendQuoted(dst, m.Name), ':')
		switch m.Kind {
		case query.MemberRows:
			dst = append(dst, res.Body...)
		case query.MemberNext:
			dst = strconv.AppendBool(dst, res.More)
		case query.MemberPrevious:
			dst = strconv.AppendBool(dst, n.After != nil || n.Page.Offset > 0)
		case query.MemberFirstCursor:
			dst = appendText(dst, res.First)
		case query.MemberLastCursor:
			dst = appendText(dst, res.Last)
		case query.MemberObject:
			dst = appendMembers(dst, m.Members, n, res)
		default:
			dst = value.AppendQuoted(dst, m.Text)
		}
	}
	return append(dst, '}')
}

// appendText appends a text, or null where it is empty.
func appendText(dst []byte, text string) []byte {
	if text == "" {
		return append(dst, "null"...)
	}
	return value.AppendQuoted(dst, text)
}

// byKey compiles a row that is asked for by its key.
func (c *call) byKey(f *collected, e *model.Entity) (*question, error) {
	c.names(e)
	where, err := c.keyed(f.field(), e)
	if err != nil {
		return nil, err
	}
	items, err := fixedPart(c, f, c.items)
	if err != nil {
		return nil, err
	}
	return &question{read: &query.Read{Target: targetOf(e), Node: query.Node{Select: items, Where: where}}}, nil
}

// keyed is the condition of the arguments that name one row.
func (c *call) keyed(f *ast.Field, e *model.Entity) (query.Expr, error) {
	name, _ := c.schema.view.FieldName(e.Primary)
	val, _ := c.argument(f, name)
	text, err := c.text(e.Primary.Type, val)
	if err != nil {
		return nil, err
	}
	return comparison(query.Path{Field: e.Primary.Name}, query.Eq, &query.Literal{Text: text}), nil
}

func comparison(p query.Path, op query.Op, right query.Operand) *query.Compare {
	return &query.Compare{Left: &query.FieldRef{Path: p}, Op: op, Right: right}
}

// page compiles the arguments of a connection.
func (c *call) page(n *query.Node, f *ast.Field, e *model.Entity) error {
	var err error
	if val, given := c.argument(f, "where"); given && val != nil {
		if n.Where, err = c.where(e, val); err != nil {
			return err
		}
	}
	if val, given := c.argument(f, "orderBy"); given && val != nil {
		if n.Order, err = c.order(e, val); err != nil {
			return err
		}
	}
	first, err := c.count(f, "first")
	if err != nil {
		return err
	}
	last, err := c.count(f, "last")
	if err != nil {
		return err
	}
	offset, err := c.count(f, "offset")
	if err != nil {
		return err
	}
	if first != nil && last != nil {
		return fault.New(fault.InvalidRange, "a page has `first` or `last`, not both")
	}
	n.Page.Limit = first
	if last != nil {
		n.Page.Limit, n.Page.Last = last, true
	}
	if offset != nil {
		n.Page.Offset = *offset
	}
	if n.After, err = c.cursor(f, "after"); err != nil {
		return err
	}
	n.Before, err = c.cursor(f, "before")
	return err
}

// count is an argument that counts rows; nil: it is not given.
func (c *call) count(f *ast.Field, name string) (*int64, error) {
	val, given := c.argument(f, name)
	if !given || val == nil {
		return nil, nil
	}
	num, _ := val.(json.Number)
	n, err := num.Int64()
	if err != nil || n < 0 {
		return nil, fault.New(fault.InvalidRange, "`%s` must not be negative", name)
	}
	return &n, nil
}

func (c *call) cursor(f *ast.Field, name string) (*query.Keys, error) {
	val, given := c.argument(f, name)
	text, ok := val.(string)
	if !given || !ok {
		return nil, nil
	}
	return query.OpenRowCursor(text)
}

// members compiles what is selected of a connection.
func (c *call) members(sets []ast.SelectionSet) ([]query.Member, error) {
	fields := c.collect(sets...)
	out := make([]query.Member, 0, len(fields))
	for _, f := range fields {
		m := query.Member{Name: f.key}
		var err error
		switch c.schema.meaning(f.field()).kind {
		case connNodes:
			m.Kind = query.MemberRows
			m.Items, err = c.items(f.sets())
		case connEdges:
			m.Kind = query.MemberRows
			m.Items, err = c.edges(f.sets())
		case connPageInfo:
			m.Kind, m.Members = query.MemberObject, c.pageInfo(f.sets())
		case connTotal:
			m.Kind = query.MemberCount
		case connAggregate:
			m.Kind = query.MemberTotals
			var aggregates int
			m.Items, aggregates = c.aggregates(f.sets())
			if aggregates == 0 {
				m.Kind, m.Members, m.Items = query.MemberObject, fixed(m.Items), nil
			}
		case connGroups:
			m.Kind = query.MemberGroups
			m.Items, _ = c.aggregates(f.sets())
		default:
			m.Kind, m.Text = query.MemberFixed, f.field().ObjectDefinition.Name
		}
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// fixed are items that need no row as members.
func fixed(items []query.Item) []query.Member {
	out := make([]query.Member, 0, len(items))
	for _, it := range items {
		switch it := it.(type) {
		case *query.Fixed:
			out = append(out, query.Member{Name: it.Alias, Kind: query.MemberFixed, Text: it.Text})
		case *query.Object:
			out = append(out, query.Member{Name: it.Alias, Kind: query.MemberObject, Members: fixed(it.Items)})
		}
	}
	return out
}

// typename is __typename.
func typename(f *collected) *query.Fixed {
	return &query.Fixed{Alias: f.key, Text: f.field().ObjectDefinition.Name}
}

func (c *call) edges(sets []ast.SelectionSet) ([]query.Item, error) {
	var out []query.Item
	for _, f := range c.collect(sets...) {
		switch c.schema.meaning(f.field()).kind {
		case edgeNode:
			items, err := c.items(f.sets())
			if err != nil {
				return nil, err
			}
			out = append(out, &query.Object{Alias: f.key, Items: items})
		case edgeCursor:
			out = append(out, &query.RowCursor{Alias: f.key})
		default:
			out = append(out, typename(f))
		}
	}
	return out, nil
}

func (c *call) pageInfo(sets []ast.SelectionSet) []query.Member {
	fields := c.collect(sets...)
	out := make([]query.Member, len(fields))
	for i, f := range fields {
		out[i].Name = f.key
		switch c.schema.meaning(f.field()).kind {
		case pageNext:
			out[i].Kind = query.MemberNext
		case pagePrevious:
			out[i].Kind = query.MemberPrevious
		case pageStart:
			out[i].Kind = query.MemberFirstCursor
		case pageEnd:
			out[i].Kind = query.MemberLastCursor
		default:
			out[i].Kind, out[i].Text = query.MemberFixed, f.field().ObjectDefinition.Name
		}
	}
	return out
}

// asText is the cast of what is a text on this door and a number elsewhere.
func asText(t value.Type) string {
	switch {
	case !quoted(t):
		return ""
	case t.List:
		return "text[]"
	}
	return "text"
}

// aggregates compiles what is selected of all rows, or of groups of them, and
// tells how many aggregates that are.
func (c *call) aggregates(sets []ast.SelectionSet) (out []query.Item, n int) {
	for _, f := range c.collect(sets...) {
		m := c.schema.meaning(f.field())
		switch m.kind {
		case aggCount:
			out = append(out, &query.Column{Alias: f.key, Aggregate: query.CountRows})
			n++
		case aggSum, aggAvg, aggMin, aggMax, groupKey:
			items, more := c.aggregates(f.sets())
			out = append(out, &query.Object{Alias: f.key, Items: items})
			n += more
		case aggField:
			c.namesField(m.field)
			t, _ := typeOfAggregate(m.aggregate)(m.field.Type)
			out = append(out, &query.Column{Path: query.Path{Field: m.field.Name}, Alias: f.key, Aggregate: m.aggregate, AggCast: asText(t)})
			n++
		case groupField:
			c.namesField(m.field)
			out = append(out, &query.Column{Path: query.Path{Field: m.field.Name}, Alias: f.key, Cast: asText(m.field.Type)})
		default:
			out = append(out, typename(f))
		}
	}
	return out, n
}

func typeOfAggregate(fn query.Aggregate) func(value.Type) (value.Type, bool) {
	switch fn {
	case query.Sum:
		return sums
	case query.Avg:
		return averages
	case query.Min, query.Max, query.CountRows, query.NoAggregate:
	}
	return extremes
}

// items compiles what is selected of a row.
func (c *call) items(sets []ast.SelectionSet) ([]query.Item, error) {
	fields := c.collect(sets...)
	out := make([]query.Item, 0, len(fields))
	for _, f := range fields {
		m := c.schema.meaning(f.field())
		switch m.kind {
		case rowColumn:
			c.namesField(m.field)
			col := &query.Column{Path: query.Path{Field: m.field.Name}, Alias: f.key, Cast: asText(m.field.Type)}
			if val, _ := c.argument(f.field(), "path"); val != nil {
				col.Path.Steps = steps(val)
			}
			out = append(out, col)
		case rowToOne:
			c.names(m.entity)
			items, err := c.items(f.sets())
			if err != nil {
				return nil, err
			}
			out = append(out, &query.Embed{Relation: m.relation.Name, Hint: m.relation.ID(), Alias: f.key, Node: query.Node{Select: items}})
		case rowToMany:
			c.names(m.entity)
			em := &query.Embed{Relation: m.relation.Name, Hint: m.relation.ID(), Alias: f.key}
			if err := c.page(&em.Node, f.field(), m.entity); err != nil {
				return nil, err
			}
			var err error
			if em.Node.Connection, err = c.members(f.sets()); err != nil {
				return nil, err
			}
			out = append(out, em)
		default:
			out = append(out, typename(f))
		}
	}
	return out, nil
}

// steps is a path into JSON: keys, and the numbers of elements.
func steps(val any) []query.Step {
	list, _ := val.([]any)
	out := make([]query.Step, len(list))
	for i, el := range list {
		key, _ := el.(string)
		if n, err := strconv.ParseInt(key, 10, 32); err == nil {
			out[i].Index = n
			continue
		}
		out[i].Key, out[i].ByKey = key, true
	}
	return out
}

// noNull refuses a null in a condition: it would mean anything or nothing.
func noNull(name string) error {
	return fault.New(fault.InvalidInput, "`%s` is null in a condition", name).
		WithHint("`{ is: NULL }` asks for null; leave out what should not count")
}

// where compiles a filter of an entity's rows. nil: it holds for every row.
func (c *call) where(e *model.Entity, val any) (query.Expr, error) {
	if c.nested++; c.nested > c.door.app.Config.Limits.Depth+1 {
		return nil, fault.New(fault.LimitExceeded, "conditions stand in each other more than %d deep", c.door.app.Config.Limits.Depth).
			WithHint("limits.depth in pando.yaml sets this limit")
	}
	defer func() { c.nested-- }()
	m, _ := val.(map[string]any)
	def := c.schema.ast.Types[rowName(c.schema.view, e)+"Filter"]
	var args []query.Expr
	for _, name := range slices.Sorted(maps.Keys(m)) {
		val := m[name]
		if val == nil {
			return nil, noNull(name)
		}
		var cond query.Expr
		var err error
		switch name {
		case "and", "or":
			cond, err = c.several(e, val, name == "or")
		case "not":
			if cond, err = c.where(e, val); err == nil {
				if cond == nil {
					cond = &query.Const{Value: true}
				}
				cond = &query.Not{Arg: cond}
			}
		default:
			cond, err = c.about(def, name, val)
		}
		if err != nil {
			return nil, err
		}
		if cond != nil {
			args = append(args, cond)
		}
	}
	return all(args), nil
}

// all is the conjunction.
func all(args []query.Expr) query.Expr {
	switch len(args) {
	case 0:
		return nil
	case 1:
		return args[0]
	}
	return &query.And{Args: args}
}

// several is a list of conditions of which all have to hold, or one.
func (c *call) several(e *model.Entity, val any, or bool) (query.Expr, error) {
	list, _ := val.([]any)
	args := make([]query.Expr, 0, len(list))
	for _, el := range list {
		cond, err := c.where(e, el)
		if err != nil {
			return nil, err
		}
		if cond == nil {
			cond = &query.Const{Value: true}
		}
		args = append(args, cond)
	}
	if or {
		return &query.Or{Args: args}, nil // of none is false
	}
	return all(args), nil
}

// about is a condition about a field, or a relation.
func (c *call) about(def *ast.Definition, name string, val any) (query.Expr, error) {
	if def == nil {
		return nil, unknownMember(name)
	}
	f := def.Fields.ForName(name)
	if f == nil {
		return nil, unknownMember(name)
	}
	m := (*c.schema.library.told.Load())[f]
	if m.relation != nil {
		c.names(m.entity)
		where, err := c.where(m.entity, val)
		return &query.Related{Relation: m.relation.Name, Hint: m.relation.ID(), Where: where}, err
	}
	c.namesField(m.field)
	return c.comparisons(m.field.Type, query.Path{Field: m.field.Name}, name, val)
}

// unknownMember is of what validation has let through and should not have.
func unknownMember(name string) error {
	return fault.New(fault.InvalidInput, "there is no `%s` to compare with", name)
}

// comparisons compiles those of one field, or of a place within one.
func (c *call) comparisons(t value.Type, p query.Path, of string, val any) (query.Expr, error) {
	m, _ := val.(map[string]any)
	var args []query.Expr
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if m[name] == nil {
			return nil, noNull(of + "." + name)
		}
		if name == "at" {
			conds, err := c.within(p, m[name])
			if err != nil {
				return nil, err
			}
			args = append(args, conds...)
			continue
		}
		at := slices.IndexFunc(operators, func(o operator) bool { return o.name == name })
		if at < 0 {
			return nil, unknownMember(name)
		}
		cond, err := c.comparison(&operators[at], t, p, m[name])
		if err != nil {
			return nil, err
		}
		args = append(args, cond)
	}
	return all(args), nil
}

func (c *call) comparison(o *operator, t value.Type, p query.Path, val any) (query.Expr, error) {
	if c.filters++; c.filters > c.door.app.Config.Limits.Filters {
		return nil, fault.New(fault.LimitExceeded, "there are more than %d comparisons in one request", c.door.app.Config.Limits.Filters).
			WithHint("limits.filters in pando.yaml sets this limit; `in` takes a list")
	}
	cmp := comparison(p, o.op, nil)
	cmp.Quant = o.quant
	switch o.takes {
	case takesWord:
		word, _ := val.(string)
		cmp.Right = &query.Word{Word: strings.ToLower(word)}
		return cmp, nil
	case takesList, takesTexts:
		list, _ := val.([]any)
		texts := make([]string, len(list))
		el := t
		if o.takes == takesTexts {
			el = value.Type{Kind: value.Text}
		}
		for i, v := range list {
			text, err := c.text(el, v)
			if err != nil {
				return nil, err
			}
			texts[i] = text
		}
		cmp.Right = &query.List{Texts: texts}
		return cmp, nil
	case takesText:
		t = value.Type{Kind: value.Text}
	case takesOne, takesField:
	}
	text, err := c.text(t, val)
	cmp.Right = &query.Literal{Text: text}
	return cmp, err
}

// within are comparisons of places within a JSON field.
func (c *call) within(p query.Path, val any) ([]query.Expr, error) {
	list, _ := val.([]any)
	var args []query.Expr
	for _, el := range list {
		m, _ := el.(map[string]any)
		into := steps(m["path"])
		if len(into) == 0 {
			return nil, fault.New(fault.InvalidInput, "the path is empty")
		}
		for _, as := range []struct {
			name string
			kind value.Kind
		}{{"json", value.JSON}, {"text", value.Text}} {
			if m[as.name] == nil {
				continue
			}
			at := query.Path{Field: p.Field, Steps: append(slices.Clone(p.Steps), into...)}
			at.Steps[len(at.Steps)-1].Text = as.kind == value.Text
			cond, err := c.comparisons(value.Type{Kind: as.kind}, at, as.name, m[as.name])
			if err != nil {
				return nil, err
			}
			if cond != nil {
				args = append(args, cond)
			}
		}
	}
	return args, nil
}

// text is a value as the text that its type reads.
func (c *call) text(t value.Type, val any) (string, error) {
	if t.Kind == value.JSON || t.List {
		raw, err := json.Marshal(val)
		return string(raw), err
	}
	switch val := val.(type) {
	case string:
		return val, nil
	case json.Number:
		return val.String(), nil
	case bool:
		return strconv.FormatBool(val), nil
	}
	raw, err := json.Marshal(val) // its type refuses it
	return string(raw), err
}

// order compiles terms of an order: objects of one member each.
func (c *call) order(e *model.Entity, val any) ([]query.Order, error) {
	list, _ := val.([]any)
	def := c.schema.ast.Types[rowName(c.schema.view, e)+"Order"]
	out := make([]query.Order, 0, len(list))
	for _, el := range list {
		m, _ := el.(map[string]any)
		if len(m) != 1 || def == nil {
			return nil, fault.New(fault.InvalidInput, "a term of `orderBy` names one field").
				WithHint("write [{ a: ASC }, { b: DESC }]: the members of one object have no order")
		}
		for name, dir := range m {
			f := def.Fields.ForName(name)
			word, _ := dir.(string)
			if f == nil || word == "" {
				return nil, fault.New(fault.InvalidInput, "`orderBy.%s` has no direction", name)
			}
			field := (*c.schema.library.told.Load())[f].field
			c.namesField(field)
			o := query.Order{Path: query.Path{Field: field.Name}, Desc: strings.HasPrefix(word, "DESC")}
			switch {
			case strings.HasSuffix(word, "_FIRST"):
				o.Nulls = query.NullsFirst
			case strings.HasSuffix(word, "_LAST"):
				o.Nulls = query.NullsLast
			}
			out = append(out, o)
		}
	}
	return out, nil
}
