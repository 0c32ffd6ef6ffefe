package graphql

import (
	"context"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/operations"
	"github.com/pandobase/pando/internal/value"
)

// execute runs a call. Each root field of a query is one statement, and fails
// alone; a mutation is one transaction, and fails as a whole.
func (d *door) execute(ctx context.Context, c *call) *answer {
	c.door = d
	root := d.rootOf(c)
	if root == nil {
		return &answer{errs: []*gqlError{d.errorOf(ctx, fault.New(fault.NotImplemented, "there are no subscriptions"), nil, c.op.Position)}}
	}
	fields := c.collect(c.op.SelectionSet)
	if c.op.Operation == ast.Mutation {
		return c.mutate(ctx, fields)
	}
	out := &answer{data: make([]byte, 0, 4<<10)}
	for i, f := range fields {
		out.data = append(out.data, "{,"[min(i, 1)])
		out.data = append(value.AppendQuoted(out.data, f.key), ':')
		at := len(out.data)
		data, err := c.field(ctx, d.Engine, out.data, f)
		if err == nil {
			out.data = data
			continue
		}
		out.errs = append(out.errs, d.errorOf(ctx, c.tell(err), []any{f.key}, f.field().Position))
		if f.field().Definition != nil && f.field().Definition.Type.NonNull { // __schema: then there is nothing
			return &answer{data: []byte("null"), errs: out.errs}
		}
		out.data = append(out.data[:at], "null"...)
	}
	if len(fields) == 0 { // all of them were skipped
		out.data = append(out.data, '{')
	}
	out.data = append(out.data, '}')
	return out
}

// tell says an error in the version's names.
func (c *call) tell(err error) error {
	if c.schema.view.Plain() {
		return err
	}
	return fault.From(err).Renamed(c.schema.view.Named)
}

// rootOf is the root type of the call's operation; nil: the schema has none.
func (d *door) rootOf(c *call) *ast.Definition {
	switch c.op.Operation {
	case ast.Query:
		return c.schema.ast.Query
	case ast.Mutation:
		return c.schema.ast.Mutation
	case ast.Subscription:
	}
	return nil
}

// field appends the value of a root field of a query.
func (c *call) field(ctx context.Context, exec engine.Executor, dst []byte, f *collected) ([]byte, error) {
	switch first := f.field(); first.Name {
	case "__typename":
		return value.AppendQuoted(dst, first.ObjectDefinition.Name), nil
	case "__schema", "__type":
		raw, err := c.introspect(first)
		return append(dst, raw...), err
	}
	m := c.schema.meaning(f.field())
	var q *question
	var err error
	switch m.kind {
	case rootRows:
		q, err = c.rows(f, m.entity)
	case rootByKey:
		q, err = c.byKey(f, m.entity)
	case rootOperation:
		return c.operation(ctx, exec, dst, f, m.operation)
	default:
		err = fault.New(fault.Internal, "an internal error occurred").WithDetails("the field %s means nothing", f.field().Name)
	}
	if err == nil {
		err = c.notify()
	}
	if err != nil {
		return dst, err
	}
	return c.ask(ctx, exec, dst, q)
}

// ask appends the answer to a question.
func (c *call) ask(ctx context.Context, exec engine.Executor, dst []byte, q *question) ([]byte, error) {
	res, err := exec.Read(ctx, c.id, q.read, c.reading)
	if err != nil {
		return dst, err
	}
	defer res.Release()
	if q.members == nil {
		return appendOne(dst, res.Body), nil
	}
	return appendMembers(dst, q.members, &q.read.Node, res), nil
}

// appendOne appends the one element of an array, or null.
func appendOne(dst, array []byte) []byte {
	if len(array) <= len("[]") {
		return append(dst, "null"...)
	}
	return append(dst, array[1:len(array)-1]...)
}

// input is what an operation is given, as JSON. What is not given is not there.
func (c *call) input(f *ast.Field) ([]byte, error) {
	out := []byte{'{'}
	for _, arg := range f.Definition.Arguments {
		val, given := c.argument(f, arg.Name)
		if !given {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		raw, err := marshal(val)
		if err != nil {
			return nil, err
		}
		out = append(append(value.AppendQuoted(out, arg.Name), ':'), raw...)
	}
	return append(out, '}'), nil
}

// operation runs an operation of the application and appends what is selected of
// its answer. In a transaction it is a part of that.
func (c *call) operation(ctx context.Context, exec engine.Executor, dst []byte, f *collected, op *model.Operation) ([]byte, error) {
	if c.door.Operations == nil {
		return dst, fault.New(fault.UnknownOperation, "there is nothing that runs %s", op.QualifiedName())
	}
	c.namesOperation(op)
	input, err := c.input(f.field())
	if err == nil {
		err = c.notify()
	}
	if err != nil {
		return dst, err
	}
	call := &operations.Call{Operation: op, Input: input, Idempotency: c.idempotency}
	tx, within := exec.(*engine.Tx)
	var body []byte
	if within {
		body, err = c.door.Operations.Within(ctx, tx, c.id, call)
	} else {
		var res *engine.Result
		if res, err = c.door.Operations.Call(ctx, c.id, call); err == nil {
			defer res.Release()
			c.wrote(res)
			body = res.Body
		}
	}
	if err != nil {
		return dst, err
	}
	if op.Output == nil {
		return append(dst, "true"...), nil
	}
	return c.project(dst, f, op.Output, body)
}
