package gen

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/value"
)

// tsType is a type of TypeScript, which writes itself as prettier would.
type tsType interface {
	// write writes the type from a column on. Lines after the first are indented by
	// indent; room is what must stay free behind the last.
	write(b *strings.Builder, indent, column, room int)
	// flat is the type on one line; false: it never is.
	flat() (string, bool)
}

// tsWidth is how long a line may be.
const tsWidth = 80

// tsName is a type that is written as it stands.
type tsName string

// tsUnion is one of several types.
type tsUnion []tsType

// tsArray is a list.
type tsArray struct{ of tsType }

// tsTuple is a list of types.
type tsTuple []tsType

// tsGeneric is a generic type of another.
type tsGeneric struct {
	name string
	of   tsType
}

// tsArguments is a generic type of names.
type tsArguments struct {
	name string
	of   []string
}

// tsObject always takes a line for each of its members.
type tsObject []tsMember

// tsMember is a member of an object. One without a type is written as it stands.
type tsMember struct {
	doc      string // a comment; empty: none
	name     string
	optional bool
	of       tsType
}

func (n tsName) flat() (string, bool) { return string(n), true }

func (n tsName) write(b *strings.Builder, _, _, _ int) { b.WriteString(string(n)) }

func (u tsUnion) flat() (string, bool) { return flatAll(u, " | ") }

func flatAll(types []tsType, between string) (string, bool) {
	parts := make([]string, len(types))
	for i, t := range types {
		var ok bool
		if parts[i], ok = t.flat(); !ok {
			return "", false
		}
	}
	return strings.Join(parts, between), true
}

func (u tsUnion) write(b *strings.Builder, indent, column, room int) {
	if fits(b, u, column+room) {
		return
	}
	if len(u) == 1 {
		u[0].write(b, indent, column, room)
		return
	}
	if object, ok := u[0].(tsObject); ok && len(u) == 2 && u[1] == tsType(tsName("null")) {
		object.write(b, indent, column, room)
		b.WriteString(" | null")
		return
	}
	var line strings.Builder
	if fits(&line, u, indent+2+room) {
		newline(b, indent+2)
		b.WriteString(line.String())
		return
	}
	for _, t := range u {
		newline(b, indent+2)
		b.WriteString("| ")
		t.write(b, indent+4, indent+4, 0)
	}
}

func (a tsArray) flat() (string, bool) {
	of, ok := a.of.flat()
	if u, union := a.of.(tsUnion); union && len(u) > 1 {
		of = "(" + of + ")"
	}
	return of + "[]", ok
}

func (a tsArray) write(b *strings.Builder, indent, column, room int) {
	if fits(b, a, column+room) {
		return
	}
	if u, union := a.of.(tsUnion); union && len(u) > 1 {
		b.WriteByte('(')
		u.write(b, indent, column+1, tsWidth) // it has not fitted
		newline(b, indent)
		b.WriteString(")[]")
		return
	}
	a.of.write(b, indent, column, room+2)
	b.WriteString("[]")
}

func (t tsTuple) flat() (string, bool) {
	of, ok := flatAll(t, ", ")
	return "[" + of + "]", ok
}

func (t tsTuple) write(b *strings.Builder, indent, column, room int) {
	if fits(b, t, column+room) {
		return
	}
	b.WriteByte('[')
	for _, of := range t {
		newline(b, indent+2)
		of.write(b, indent+2, indent+2, 1)
		b.WriteByte(',')
	}
	newline(b, indent)
	b.WriteByte(']')
}

func (g tsGeneric) flat() (string, bool) {
	of, ok := g.of.flat()
	return g.name + "<" + of + ">", ok
}

func (g tsGeneric) write(b *strings.Builder, indent, column, room int) {
	b.WriteString(g.name + "<")
	g.of.write(b, indent, column+len(g.name)+1, room+1)
	b.WriteByte('>')
}

func (a tsArguments) flat() (string, bool) {
	return a.name + "<" + strings.Join(a.of, ", ") + ">", true
}

func (a tsArguments) write(b *strings.Builder, indent, column, room int) {
	if fits(b, a, column+room) {
		return
	}
	b.WriteString(a.name + "<")
	for i, of := range a.of {
		if i > 0 {
			b.WriteByte(',')
		}
		newline(b, indent+2)
		b.WriteString(of)
	}
	newline(b, indent)
	b.WriteByte('>')
}

func (o tsObject) flat() (string, bool) { return "{}", len(o) == 0 }

func (o tsObject) write(b *strings.Builder, indent, _, _ int) {
	if len(o) == 0 {
		b.WriteString("{}")
		return
	}
	b.WriteByte('{')
	for _, m := range o {
		m.write(b, indent+2)
	}
	newline(b, indent)
	b.WriteByte('}')
}

func (m tsMember) write(b *strings.Builder, indent int) {
	if m.doc != "" {
		newline(b, indent)
		b.WriteString(tsDoc(m.doc, indent))
	}
	newline(b, indent)
	if m.of == nil {
		b.WriteString(m.name + ";")
		return
	}
	name := m.name
	if m.optional {
		name += "?"
	}
	b.WriteString(name + ":")
	var of strings.Builder
	m.of.write(&of, indent, indent+utf8.RuneCountInString(name)+2, 1)
	if !strings.HasPrefix(of.String(), "\n") { // a union that has lines of its own
		b.WriteByte(' ')
	}
	b.WriteString(of.String() + ";")
}

// fits writes a type on one line, if it has the room for it.
func fits(b *strings.Builder, t tsType, taken int) bool {
	line, ok := t.flat()
	if !ok || taken+utf8.RuneCountInString(line) > tsWidth {
		return false
	}
	b.WriteString(line)
	return true
}

func newline(b *strings.Builder, indent int) { b.WriteString("\n" + strings.Repeat(" ", indent)) }

// tsDoc is a comment that editors show.
func tsDoc(text string, indent int) string {
	text = strings.ReplaceAll(strings.TrimSpace(text), "*/", "* /")
	if !strings.Contains(text, "\n") {
		return "/** " + text + " */"
	}
	var b strings.Builder
	b.WriteString("/**")
	for line := range strings.Lines(text) {
		newline(&b, indent)
		b.WriteString(strings.TrimRight(" * "+strings.TrimSpace(line), " "))
	}
	newline(&b, indent)
	b.WriteString(" */")
	return b.String()
}

// scalarType is a value, or a list of values, as its JSON reads it.
func scalarType(t value.Type) tsType {
	var of tsType = tsName("string")
	switch t.Kind {
	case value.Int, value.Float, value.Decimal:
		of = tsName("number")
	case value.Bool:
		of = tsName("boolean")
	case value.JSON:
		of = tsName("Json")
	case value.Enum:
		of = words(t.Values)
	case value.Invalid, value.Text, value.UUID, value.Timestamp, value.Date, value.Time, value.Bytes, value.File:
	}
	if t.List {
		return tsArray{of}
	}
	return of
}

// words is one of an enum's words.
func words(of []string) tsUnion {
	u := make(tsUnion, len(of))
	for i, w := range of {
		u[i] = tsName(quoted(w))
	}
	return u
}

// orNull is a type that may be null.
func orNull(t tsType, may bool) tsType {
	if !may {
		return t
	}
	if u, ok := t.(tsUnion); ok {
		return append(slices.Clip(u), tsName("null"))
	}
	return tsUnion{t, tsName("null")}
}

// parameters is an object of parameters.
func parameters(params []*model.Param) tsObject {
	o := make(tsObject, len(params))
	for i, p := range params {
		of := scalarType(p.Type)
		if p.Fields != nil {
			of = parameters(p.Fields)
			if p.List {
				of = tsArray{of}
			}
		}
		o[i] = tsMember{doc: p.Doc, name: key(p.Name), optional: p.Optional, of: orNull(of, p.Optional)}
	}
	return o
}

// output is what an operation answers, given the type of an entity's row.
func output(o *model.Output, row func(*model.Entity) tsType) tsType {
	if o == nil {
		return tsName("null")
	}
	var of tsType
	if o.Entity != nil {
		of = row(o.Entity)
	} else {
		of = parameters(o.Fields)
	}
	if o.List {
		return tsArray{of}
	}
	return of
}

// key is a member's name, in quotes where it has to be.
func key(name string) string {
	for i, c := range name {
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return quoted(name)
		}
	}
	return name
}

// quoted is a string of TypeScript, in the quotes that need fewer escapes.
func quoted(s string) string {
	q := string(value.AppendQuoted(nil, s))
	if strings.Count(s, `"`) <= strings.Count(s, "'") {
		return q
	}
	return "'" + strings.NewReplacer(`\\`, `\\`, `\"`, `"`, "'", `\'`).Replace(q[1:len(q)-1]) + "'"
}
