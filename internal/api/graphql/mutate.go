package graphql

import (
	"context"
	"errors"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/pandobase/pando/internal/api/position"
	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/value"
)

// fieldError is an error of a root field.
type fieldError struct {
	error
	field *collected
}

// Unwrap returns the error.
func (a *fieldError) Unwrap() error { return a.error }

// wrote tells where a write is in the store's history.
func (c *call) wrote(res *engine.Result) {
	if c.w == nil {
		return
	}
	position.Tell(c.w, res.Position, c.secure)
	if res.Replayed {
		c.w.Set("Idempotency-Replayed", "true")
	}
}

// mutate runs the fields of a mutation, one after the other, in one transaction.
// A mutation of one field that is one write, or an operation, has a transaction
// anyway.
func (c *call) mutate(ctx context.Context, fields []*collected) *answer {
	real, operation := 0, false
	for _, f := range fields {
		m := c.schema.meaning(f.field())
		if m.kind != noKind {
			real++
		}
		operation = operation || m.kind == rootOperation
	}
	var data []byte
	var err error
	switch {
	case real == 0 || real == 1 && operation || real == 1 && c.idempotency == nil && !c.nests(fields):
		data, err = c.changes(ctx, c.door.Engine, fields)
	default:
		var res *engine.Result
		res, err = c.door.Engine.Transact(ctx, c.id, engine.TransactOptions{Idempotency: c.idempotency}, func(ctx context.Context, tx *engine.Tx) ([]byte, error) {
			return c.changes(ctx, tx, fields)
		})
		if err == nil {
			c.wrote(res)
			data = res.Body
		}
	}
	if err == nil {
		return &answer{data: data}
	}
	var path []any
	pos := c.op.Position
	if at, ok := errors.AsType[*fieldError](err); ok {
		path, pos = []any{at.field.key}, at.field.field().Position
	}
	return &answer{data: []byte("null"), errs: []*gqlError{c.door.errorOf(ctx, c.tell(err), path, pos)}}
}

// changes runs the fields and returns the member data.
func (c *call) changes(ctx context.Context, exec engine.Executor, fields []*collected) ([]byte, error) {
	c.filters = 0 // a transaction may run again
	data := []byte{'{'}
	for i, f := range fields {
		if i > 0 {
			data = append(data, ',')
		}
		data = append(value.AppendQuoted(data, f.key), ':')
		var err error
		if data, err = c.change(ctx, exec, data, f); err != nil {
			return nil, &fieldError{err, f}
		}
	}
	return append(data, '}'), nil
}

// change runs one field and appends its value.
func (c *call) change(ctx context.Context, exec engine.Executor, dst []byte, f *collected) ([]byte, error) {
	m := c.schema.meaning(f.field())
	switch m.kind {
	case noKind:
		return value.AppendQuoted(dst, f.field().ObjectDefinition.Name), nil
	case rootOperation:
		return c.operation(ctx, exec, dst, f, m.operation)
	case rootInsert, rootInsertOne:
		return c.insert(ctx, exec, dst, f, m)
	default:
		return c.alter(ctx, exec, dst, f, m)
	}
}

// alter changes or deletes rows that are there.
func (c *call) alter(ctx context.Context, exec engine.Executor, dst []byte, f *collected, m meaning) ([]byte, error) {
	c.names(m.entity)
	w := &query.Write{Action: query.Delete, Target: targetOf(m.entity)}
	one := m.kind == rootUpdateByKey || m.kind == rootDeleteByKey
	var err error
	if one {
		w.Where, err = c.keyed(f.field(), m.entity)
	} else {
		val, _ := c.argument(f.field(), "where")
		w.Where, err = c.where(m.entity, val)
	}
	if err != nil {
		return dst, err
	}
	if m.kind == rootUpdate || m.kind == rootUpdateByKey {
		w.Action = query.Update
		val, _ := c.argument(f.field(), "set")
		set, _ := val.(map[string]any)
		if w.Columns, w.Rows, err = c.cells(m.entity, "Set", []map[string]any{set}); err != nil {
			return dst, err
		}
	}
	return c.write(ctx, exec, dst, f, w, one)
}

// write runs a write and appends what is selected of its answer: one row, or
// what was changed.
func (c *call) write(ctx context.Context, exec engine.Executor, dst []byte, f *collected, w *query.Write, one bool) ([]byte, error) {
	returning, err := c.returning(f, one)
	if err == nil {
		err = c.notify()
	}
	if err != nil {
		return dst, err
	}
	w.Returning = returning
	res, err := exec.Write(ctx, c.id, w, nil)
	if err != nil {
		return dst, err
	}
	defer res.Release()
	c.wrote(res)
	if one {
		return appendOne(dst, res.Body), nil
	}
	return c.appendChanged(dst, f, res.Rows, res.Body), nil
}

// returning is what is read of the rows that were changed; nil: nothing.
func (c *call) returning(f *collected, one bool) (*query.Node, error) {
	sets := f.sets()
	if !one {
		var found *collected
		for _, sub := range c.collect(sets...) {
			if c.schema.meaning(sub.field()).kind != changedReturning {
				continue
			}
			if found != nil {
				return nil, fault.New(fault.NotImplemented, "`returning` is selected twice, as %s and %s", found.key, sub.key).
					WithHint("select it once, with all that is wanted of a row")
			}
			found = sub
		}
		if found == nil {
			return nil, nil
		}
		sets = found.sets()
	}
	items, err := c.items(sets)
	if err != nil {
		return nil, err
	}
	return &query.Node{Select: items}, nil
}

// appendChanged appends what is selected of a change.
func (c *call) appendChanged(dst []byte, f *collected, rows int, body []byte) []byte {
	dst = append(dst, '{')
	for i, sub := range c.collect(f.sets()...) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(value.AppendQuoted(dst, sub.key), ':')
		switch c.schema.meaning(sub.field()).kind {
		case changedRows:
			dst = appendInt(dst, rows)
		case changedReturning:
			if len(body) == 0 { // nothing was set, so nothing was read back
				body = []byte("[]")
			}
			dst = append(dst, body...)
		default:
			dst = value.AppendQuoted(dst, sub.field().ObjectDefinition.Name)
		}
	}
	return append(dst, '}')
}

// cells are the values of input objects, by the fields that one of them gives.
// Members that are relations are left out.
func (c *call) cells(e *model.Entity, suffix string, objects []map[string]any) (columns []string, rows [][]query.Cell, err error) {
	def := c.schema.ast.Types[rowName(c.schema.view, e)+suffix]
	if def == nil {
		return nil, nil, unknownMember(suffix)
	}
	var used []*ast.FieldDefinition
	told := *c.schema.library.told.Load()
	for _, f := range def.Fields {
		if told[f].field == nil {
			continue
		}
		for _, o := range objects {
			if _, given := o[f.Name]; given {
				c.namesField(told[f].field)
				used = append(used, f)
				columns = append(columns, told[f].field.Name)
				break
			}
		}
	}
	rows = make([][]query.Cell, len(objects))
	all := make([]query.Cell, len(used)*len(objects))
	for i, o := range objects {
		rows[i] = all[i*len(used) : (i+1)*len(used) : (i+1)*len(used)]
		for j, f := range used {
			val, given := o[f.Name]
			switch {
			case !given:
			case val == nil:
				rows[i][j].Kind = query.NullCell
			default:
				raw, err := marshal(val)
				if err != nil {
					return nil, nil, err
				}
				rows[i][j] = query.Cell{Kind: query.FromJSON, Raw: string(raw)}
			}
		}
	}
	return columns, rows, nil
}
