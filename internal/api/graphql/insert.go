package graphql

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/query"
)

func appendInt(dst []byte, n int) []byte { return strconv.AppendInt(dst, int64(n), 10) }

// nests reports whether one of the fields creates rows within rows.
func (c *call) nests(fields []*collected) bool {
	for _, f := range fields {
		m := c.schema.meaning(f.field())
		if m.kind != rootInsert && m.kind != rootInsertOne {
			continue
		}
		for _, o := range c.objects(f) {
			if len(c.relationsIn(m.entity, o)) > 0 {
				return true
			}
		}
	}
	return false
}

// objects are the new rows that a field gives.
func (c *call) objects(f *collected) []map[string]any {
	if val, given := c.argument(f.field(), "object"); given {
		o, _ := val.(map[string]any)
		return []map[string]any{o}
	}
	val, _ := c.argument(f.field(), "objects")
	return asObjects(val)
}

// asObjects is a list of objects, or one.
func asObjects(val any) []map[string]any {
	if o, ok := val.(map[string]any); ok {
		return []map[string]any{o}
	}
	list, _ := val.([]any)
	out := make([]map[string]any, len(list))
	for i, el := range list {
		out[i], _ = el.(map[string]any)
	}
	return out
}

// related is a member of an input object that is a relation.
type related struct {
	name     string
	relation *model.Relation
	entity   *model.Entity
}

// relationsIn are the relations through which an object creates further rows.
func (c *call) relationsIn(e *model.Entity, object map[string]any) []related {
	def := c.schema.ast.Types[rowName(c.schema.view, e)+"Insert"]
	if def == nil {
		return nil
	}
	told := *c.schema.library.told.Load()
	var out []related
	for _, f := range def.Fields {
		m := told[f]
		if m.relation == nil || object[f.Name] == nil {
			continue
		}
		out = append(out, related{f.Name, m.relation, m.entity})
	}
	return out
}

// insert creates rows and appends what is selected of the answer.
func (c *call) insert(ctx context.Context, exec engine.Executor, dst []byte, f *collected, m meaning) ([]byte, error) {
	c.names(m.entity)
	objects, one := c.objects(f), m.kind == rootInsertOne
	conflict, err := c.conflict(f, m.entity)
	if err != nil {
		return dst, err
	}
	if !c.nests([]*collected{f}) {
		w := &query.Write{Action: query.Create, Target: targetOf(m.entity), Conflict: conflict}
		if w.Columns, w.Rows, err = c.cells(m.entity, "Insert", objects); err != nil {
			return dst, err
		}
		return c.write(ctx, exec, dst, f, w, one)
	}
	if conflict.Resolution != query.Fail {
		return dst, fault.New(fault.NotImplemented, "`onConflict` is not possible with rows that are created within others").
			WithHint("create the inner rows with a field of their own; one mutation is one transaction")
	}
	keys, err := c.create(ctx, exec, m.entity, objects)
	if err != nil {
		return dst, err
	}
	returning, err := c.returning(f, one)
	if err == nil {
		err = c.notify()
	}
	if err != nil {
		return dst, err
	}
	body := []byte("[]")
	if returning != nil {
		if body, err = c.reread(ctx, exec, m.entity, returning, keys); err != nil {
			return dst, err
		}
	}
	if one {
		return appendOne(dst, body), nil
	}
	return c.appendChanged(dst, f, len(keys), body), nil
}

// conflict is what becomes of rows whose key is there.
func (c *call) conflict(f *collected, e *model.Entity) (query.Conflict, error) {
	val, _ := c.argument(f.field(), "onConflict")
	m, _ := val.(map[string]any)
	if m == nil {
		return query.Conflict{}, nil
	}
	out := query.Conflict{Resolution: query.Merge}
	if m["resolution"] == "IGNORE" {
		out.Resolution = query.Ignore
	}
	names, _ := m["fields"].([]any)
	for _, n := range names {
		name, _ := n.(string)
		field := c.schema.view.Field(e, name)
		if field == nil {
			return out, unknownMember(name)
		}
		out.Fields = append(out.Fields, field.Name)
	}
	return out, nil
}

// create creates rows with those within them, and returns their keys: first the
// rows that they refer to, then they, then the rows that refer to them; those of
// one relation at once, so that their number makes no statement more.
func (c *call) create(ctx context.Context, exec engine.Executor, e *model.Entity, objects []map[string]any) ([]string, error) {
	if c.nested++; c.nested > c.door.app.Config.Limits.Depth {
		return nil, fault.New(fault.LimitExceeded, "rows are created within each other more than %d deep", c.door.app.Config.Limits.Depth).
			WithHint("limits.depth in pando.yaml sets this limit")
	}
	defer func() { c.nested-- }()
	rows := make([]map[string]any, len(objects))
	before, after := map[string]related{}, map[string]related{}
	for i, o := range objects {
		rows[i] = maps.Clone(o)
		for _, r := range c.relationsIn(e, o) {
			if r.relation.Cardinality == model.ToOne {
				before[r.name] = r
			} else {
				after[r.name] = r
			}
			delete(rows[i], r.name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		r := before[name]
		var inner []map[string]any
		var at []int
		column, _ := c.schema.view.FieldName(r.relation.Local)
		for i, o := range objects {
			if o[name] == nil {
				continue
			}
			if rows[i][column] != nil {
				return nil, fault.New(fault.InvalidInput, "`%s` and `%s` both say what the row refers to", column, name)
			}
			inner, at = append(inner, asObjects(o[name])...), append(at, i)
		}
		keys, err := c.create(ctx, exec, r.entity, inner)
		if err != nil {
			return nil, err
		}
		for j, i := range at {
			rows[i][column] = keyOf(keys[j], r.entity)
		}
	}
	keys, err := c.createFlat(ctx, exec, e, rows)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		r := after[name]
		column, _ := c.schema.view.FieldName(r.relation.Foreign)
		var inner []map[string]any
		for i, o := range objects {
			for _, child := range asObjects(o[name]) {
				if child[column] != nil {
					return nil, fault.New(fault.InvalidInput, "`%s.%s` is that of the row around it", name, column)
				}
				own := maps.Clone(child)
				own[column] = keyOf(keys[i], e)
				inner = append(inner, own)
			}
		}
		if len(inner) == 0 {
			continue
		}
		if _, err := c.create(ctx, exec, r.entity, inner); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// keyOf is a key as an input value of its type.
func keyOf(text string, e *model.Entity) any {
	if numeric(e.Primary.Type) {
		return json.Number(text)
	}
	return text
}

// createFlat creates rows and returns their keys, in order.
func (c *call) createFlat(ctx context.Context, exec engine.Executor, e *model.Entity, rows []map[string]any) ([]string, error) {
	w := &query.Write{Action: query.Create, Target: targetOf(e), Returning: &query.Node{Select: []query.Item{keyColumn(e)}}}
	var err error
	if w.Columns, w.Rows, err = c.cells(e, "Insert", rows); err != nil {
		return nil, err
	}
	res, err := exec.Write(ctx, c.id, w, nil)
	if err != nil {
		return nil, err
	}
	defer res.Release()
	keys, err := keysOf(res.Body)
	if err == nil && len(keys) != len(rows) {
		err = fault.New(fault.Forbidden, "rows of %s that are created with others must be the caller's to read", e.QualifiedName()).
			WithHint("create them with a field of their own")
	}
	return keys, err
}

func keyColumn(e *model.Entity) *query.Column {
	return &query.Column{Path: query.Path{Field: e.Primary.Name}, Alias: "key", Cast: "text"}
}

func keysOf(body []byte) ([]string, error) {
	var list []struct {
		Key string `json:"key"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "an internal error occurred")
	}
	keys := make([]string, len(list))
	for i, k := range list {
		keys[i] = k.Key
	}
	return keys, nil
}

// reread reads rows by their keys, in the order of these.
func (c *call) reread(ctx context.Context, exec engine.Executor, e *model.Entity, node *query.Node, keys []string) ([]byte, error) {
	where := comparison(query.Path{Field: e.Primary.Name}, query.In, &query.List{Texts: keys})
	read := func(items []query.Item) ([]byte, error) {
		res, err := exec.Read(ctx, c.id, &query.Read{Target: targetOf(e), Unbounded: true, Node: query.Node{Select: items, Where: where}}, engine.ReadOptions{})
		if err != nil {
			return nil, err
		}
		defer res.Release()
		return slices.Clone(res.Body), nil
	}
	body, err := read(node.Select)
	if err != nil || len(keys) < 2 {
		return body, err
	}
	sorted, err := read([]query.Item{keyColumn(e)})
	if err != nil {
		return nil, err
	}
	order, err := keysOf(sorted)
	if err != nil {
		return nil, err
	}
	var rows []json.RawMessage
	if err := json.Unmarshal(body, &rows); err != nil || len(rows) != len(order) {
		return nil, fault.Wrap(err, fault.Internal, "an internal error occurred")
	}
	at := make(map[string]json.RawMessage, len(order))
	for i, k := range order {
		at[k] = rows[i]
	}
	out := []byte{'['}
	for _, k := range keys {
		if at[k] == nil {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, at[k]...)
	}
	return append(out, ']'), nil
}
