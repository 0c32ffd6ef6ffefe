package graphql

import (
	"bytes"
	"encoding/json"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/value"
)

// marshal writes a value as JSON, without the escapes that HTML needs.
func marshal(val any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(val); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "an internal error occurred")
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

// project appends what is selected of an operation's output, which has been
// checked to be of its type.
func (c *call) project(dst []byte, f *collected, out *model.Output, body []byte) ([]byte, error) {
	if !out.List {
		return c.projectObject(dst, f.sets(), body)
	}
	return c.projectList(dst, body, func(dst, el []byte) ([]byte, error) { return c.projectObject(dst, f.sets(), el) })
}

func (c *call) projectList(dst, body []byte, one func(dst, el []byte) ([]byte, error)) ([]byte, error) {
	var list []json.RawMessage
	if err := json.Unmarshal(body, &list); err != nil {
		return dst, fault.Wrap(err, fault.Internal, "an internal error occurred")
	}
	dst = append(dst, '[')
	var err error
	for i, el := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = one(dst, el); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

func (c *call) projectObject(dst []byte, sets []ast.SelectionSet, body []byte) ([]byte, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(body, &object); err != nil {
		return dst, fault.Wrap(err, fault.Internal, "an internal error occurred")
	}
	if object == nil {
		return append(dst, "null"...), nil
	}
	dst = append(dst, '{')
	var err error
	for i, f := range c.collect(sets...) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(value.AppendQuoted(dst, f.key), ':')
		m := c.schema.meaning(f.field())
		switch m.kind {
		case outputRow:
			dst = appendScalar(dst, m.field.Type, object[m.field.Name])
		case outputParam:
			dst, err = c.projectParam(dst, f, m.param, object[m.param.Name])
		default:
			dst = value.AppendQuoted(dst, f.field().ObjectDefinition.Name)
		}
		if err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

func (c *call) projectParam(dst []byte, f *collected, p *model.Param, raw json.RawMessage) ([]byte, error) {
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return append(dst, "null"...), nil
	case p.Fields == nil:
		return appendScalar(dst, p.Type, raw), nil
	case p.List:
		return c.projectList(dst, raw, func(dst, el []byte) ([]byte, error) { return c.projectObject(dst, f.sets(), el) })
	}
	return c.projectObject(dst, f.sets(), raw)
}

// appendScalar appends a value in the form of REST in the form of this door.
func appendScalar(dst []byte, t value.Type, raw json.RawMessage) []byte {
	raw = bytes.TrimSpace(raw)
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return append(dst, "null"...)
	case !quoted(t):
		return append(dst, raw...)
	case !t.List:
		return append(append(append(dst, '"'), raw...), '"')
	}
	var list []json.Number
	if json.Unmarshal(raw, &list) != nil {
		return append(dst, raw...)
	}
	dst = append(dst, '[')
	for i, n := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = value.AppendQuoted(dst, n.String())
	}
	return append(dst, ']')
}
