package operations

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/value"
)

// The bounds of what is given and answered.
const (
	maxDepth = 32
	maxItems = 100_000 // of one list
)

// Input checks what an operation, a job or an event is given, an object of the
// parameters, and returns it in the form of each type: one text for equal values.
// Nothing at all is an object without members. The fault, InvalidInput, names the
// place: lines[2].qty.
func Input(params []*model.Param, raw []byte) ([]byte, error) {
	c := &checker{code: fault.InvalidInput}
	if raw = bytes.TrimSpace(raw); len(raw) == 0 || string(raw) == "null" {
		raw = []byte("{}")
	}
	return c.object(nil, params, raw, "", 0)
}

// Output checks what the code of an operation has answered. Without a declared
// output there is no answer: it is nil. Members of a row that are hidden are refused,
// as those that the entity does not have.
func Output(out *model.Output, raw []byte) ([]byte, error) {
	if out == nil {
		return nil, nil
	}
	c := &checker{code: fault.InvalidOutput}
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		raw = []byte("null")
	}
	one := func(dst, raw []byte, path string) ([]byte, error) {
		if out.Entity != nil {
			return c.row(dst, out.Entity, raw, path)
		}
		return c.object(dst, out.Fields, raw, path, 0)
	}
	if out.List {
		return c.list(nil, raw, "", one)
	}
	return one(nil, raw, "")
}

// checker checks JSON against the model.
type checker struct{ code fault.Code }

func (c *checker) wrong(path, format string, args ...any) *fault.Error {
	f := fault.New(c.code, format, args...)
	if path != "" {
		f = fault.New(c.code, "%s: %s", path, fmt.Sprintf(format, args...))
		f.Field = path
	}
	return f
}

// member is one member of an object, in the order given.
type member struct {
	name string
	raw  json.RawMessage
}

// members splits an object, which has each name once. Values are split off and not
// decoded: their types read them.
func (c *checker) members(raw []byte, path string) ([]member, error) {
	if !json.Valid(raw) {
		var ignored json.RawMessage
		return nil, c.wrong(path, "this is no JSON").WithDetails("%s", json.Unmarshal(raw, &ignored))
	}
	raw = bytes.TrimSpace(raw)
	if raw[0] != '{' {
		return nil, c.wrong(path, "expected an object, not %s", kindOf(raw))
	}
	var out []member
	for at := space(raw, 1); raw[at] != '}'; at = space(raw, at) {
		if raw[at] == ',' {
			at = space(raw, at+1)
		}
		end := beyond(raw, at)
		var m member
		if m.name = string(raw[at+1 : end-1]); strings.IndexByte(m.name, '\\') >= 0 || !utf8.ValidString(m.name) {
			if err := json.Unmarshal(raw[at:end], &m.name); err != nil {
				return nil, c.wrong(path, "this is no JSON").WithDetails("%s", err)
			}
		}
		at = space(raw, space(raw, end)+1) // behind the colon
		end = beyond(raw, at)
		m.raw, at = raw[at:end:end], end
		if slices.ContainsFunc(out, func(o member) bool { return o.name == m.name }) {
			return nil, c.wrong(join(path, m.name), "it is given twice")
		}
		out = append(out, m)
	}
	return out, nil
}

// space is where what is no blank begins, from at on.
func space(valid []byte, at int) int {
	for valid[at] == ' ' || valid[at] == '\n' || valid[at] == '\t' || valid[at] == '\r' {
		at++
	}
	return at
}

// beyond is where the value ends that begins at at, in valid JSON.
func beyond(valid []byte, at int) int {
	depth := 0
	for ; at < len(valid); at++ {
		switch valid[at] {
		case '"':
			for at++; valid[at] != '"'; at++ {
				if valid[at] == '\\' {
					at++
				}
			}
		case '{', '[':
			depth++
			continue
		case '}', ']':
			if depth == 0 { // that of what the value stands in
				return at
			}
			depth--
		case ',', ':', ' ', '\n', '\t', '\r':
			if depth == 0 {
				return at
			}
			continue
		default: // of a number or a word
			if depth == 0 && at+1 < len(valid) && !ends(valid[at+1]) {
				continue
			}
		}
		if depth == 0 {
			return at + 1
		}
	}
	return at
}

// ends reports whether a byte cannot go on with a number or a word.
func ends(b byte) bool {
	switch b {
	case ',', ':', '}', ']', ' ', '\n', '\t', '\r':
		return true
	}
	return false
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func kindOf(raw []byte) string {
	switch {
	case len(raw) == 0:
		return "nothing"
	case raw[0] == '{':
		return "an object"
	case raw[0] == '[':
		return "a list"
	case raw[0] == '"':
		return "a text"
	case raw[0] == 't' || raw[0] == 'f':
		return "a bool"
	case raw[0] == 'n':
		return "null"
	}
	return "a number"
}

func (c *checker) object(dst []byte, params []*model.Param, raw []byte, path string, depth int) ([]byte, error) {
	if depth > maxDepth {
		return nil, c.wrong(path, "it is nested more than %d deep", maxDepth)
	}
	given, err := c.members(raw, path)
	if err != nil {
		return nil, err
	}
	for _, m := range given {
		if !slices.ContainsFunc(params, func(p *model.Param) bool { return p.Name == m.name }) {
			names := make([]string, len(params))
			for i, p := range params {
				names[i] = p.Name
			}
			f := c.wrong(join(path, m.name), "there is no such member")
			if near := fault.Nearest(m.name, names); near != "" {
				f = f.WithHint("did you mean %s?", near)
			}
			return nil, f
		}
	}
	dst = append(dst, '{')
	first := true
	for _, p := range params {
		at := slices.IndexFunc(given, func(m member) bool { return m.name == p.Name })
		null := at < 0 || string(given[at].raw) == "null"
		if null && !p.Optional {
			if at < 0 {
				return nil, c.wrong(join(path, p.Name), "it is missing")
			}
			return nil, c.wrong(join(path, p.Name), "it must not be null")
		}
		if at < 0 {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(value.AppendQuoted(dst, p.Name), ':')
		if null {
			dst = append(dst, "null"...)
			continue
		}
		if dst, err = c.param(dst, p, given[at].raw, join(path, p.Name), depth); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

func (c *checker) param(dst []byte, p *model.Param, raw []byte, path string, depth int) ([]byte, error) {
	if p.Fields == nil {
		return c.value(dst, p.Type, raw, path)
	}
	if !p.List {
		return c.object(dst, p.Fields, raw, path, depth+1)
	}
	return c.list(dst, raw, path, func(dst, raw []byte, path string) ([]byte, error) {
		return c.object(dst, p.Fields, raw, path, depth+1)
	})
}

func (c *checker) list(dst, raw []byte, path string, each func(dst, raw []byte, path string) ([]byte, error)) ([]byte, error) {
	var items []json.RawMessage
	if len(raw) == 0 || raw[0] != '[' {
		return nil, c.wrong(path, "expected a list, not %s", kindOf(raw))
	}
	if err := json.Unmarshal(raw, &items); err != nil {
		return nil, c.wrong(path, "this is no JSON").WithDetails("%s", err)
	}
	if len(items) > maxItems {
		return nil, c.wrong(path, "a list has %d members at most", maxItems).WithDetails("this one has %d", len(items))
	}
	dst = append(dst, '[')
	var err error
	for i, item := range items {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = each(dst, item, path+"["+strconv.Itoa(i)+"]"); err != nil {
			return nil, err
		}
	}
	return append(dst, ']'), nil
}

func (c *checker) value(dst []byte, t value.Type, raw []byte, path string) ([]byte, error) {
	v, err := t.FromJSON(string(raw))
	if err != nil {
		f := fault.From(err)
		told := c.wrong(path, "%s", f.Message)
		told.Details, told.Hint = f.Details, f.Hint
		return nil, told
	}
	return t.AppendJSON(dst, v), nil
}

// row checks a row of an entity as code answers it. What every reader may see of
// a row has to be there.
func (c *checker) row(dst []byte, e *model.Entity, raw []byte, path string) ([]byte, error) {
	given, err := c.members(raw, path)
	if err != nil {
		return nil, err
	}
	for _, m := range given {
		if f := e.Field(m.name); f == nil || f.Hidden {
			return nil, c.wrong(join(path, m.name), "%s has no such field", e.QualifiedName())
		}
	}
	dst = append(dst, '{')
	first := true
	for _, f := range e.Fields {
		at := slices.IndexFunc(given, func(m member) bool { return m.name == f.Name })
		if at < 0 {
			if f.Hidden || f.Optional || f.Read != nil {
				continue
			}
			return nil, c.wrong(join(path, f.Name), "it is missing").WithHint("answer the row as it is read: await pando.from('%s')....select().single()", e.Name)
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(value.AppendQuoted(dst, f.Name), ':')
		if string(given[at].raw) == "null" {
			if !f.Optional && f.Read == nil {
				return nil, c.wrong(join(path, f.Name), "it must not be null")
			}
			dst = append(dst, "null"...)
			continue
		}
		if dst, err = c.value(dst, f.Type, given[at].raw, join(path, f.Name)); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}
