package openapi

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/value"
)

// describe says in words what a field's schema cannot.
func describe(f *model.Field, input bool) string {
	parts := []string{markdown(f.Doc)}
	if f.Primary {
		parts = append(parts, "The primary key.")
	}
	if f.Ref != nil {
		parts = append(parts, refText(f.Ref))
	}
	if input && !f.Hidden {
		parts = append(parts, defaultText(f.Default))
	}
	if f.OnUpdateNow {
		parts = append(parts, "Set to the time of each update.")
	}
	if f.Hidden {
		parts = append(parts, "Can be written, is never answered.")
	}
	switch f.Type.Kind { //nolint:exhaustive // the other types' formats say all
	case value.JSON:
		parts = append(parts, "Any JSON value.")
	case value.Time:
		parts = append(parts, "A time of day without a zone, microseconds at most.")
	case value.Bytes:
		parts = append(parts, "Hexadecimal digits after a backslash and an x.")
	case value.Decimal:
		parts = append(parts, fmt.Sprintf("A decimal with %s; more are refused, never rounded.", digits(f.Type.Scale)))
	}
	return join(append(parts, deprecatedText(f.Deprecated))...)
}

func digits(scale int) string {
	if scale == 1 {
		return "1 digit after the point"
	}
	return strconv.Itoa(scale) + " digits after the point"
}

func refText(r *model.Ref) string {
	if r.Target == nil || r.Target.Primary == nil {
		return ""
	}
	s := "Refers to `" + r.Target.QualifiedName() + "." + r.Target.Primary.Name + "`"
	switch r.OnDelete {
	case model.Cascade:
		return s + "; deleted with it."
	case model.SetNull:
		return s + "; null once that row is deleted."
	case model.Restrict:
	}
	return s + ", which cannot be deleted meanwhile."
}

func defaultText(d *model.Default) string {
	if d == nil {
		return ""
	}
	switch d.Kind {
	case model.DefaultUUID:
		return "Made by the server (a version 7 UUID) when not given."
	case model.DefaultNow:
		return "The time of the request when not given."
	case model.DefaultAuthUID:
		return "The caller's user id when not given."
	case model.DefaultCEL:
		return "Computed by the server when not given."
	case model.DefaultDatabase:
		return "Made by the database when not given."
	case model.DefaultLiteral:
	}
	return "" // the schema has it
}

func deprecatedText(d *model.Deprecated) string {
	if d == nil {
		return ""
	}
	s := "Deprecated"
	if d.Since != "" {
		s += " since " + d.Since
	}
	if d.Sunset != "" {
		s += ", gone after " + d.Sunset
	}
	if d.Use != "" {
		s += ": use `" + d.Use + "`"
	}
	return s + "."
}

// relationsText lists what select can embed.
func relationsText(e *model.Entity) string {
	var b strings.Builder
	for _, r := range e.Relations {
		if !embeddable(r) {
			continue
		}
		if b.Len() == 0 {
			b.WriteString("`select` can embed ")
		} else {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "`%s` (%s `%s`)", r.Name, cardinality(r), r.To.QualifiedName())
	}
	if b.Len() == 0 {
		return ""
	}
	return b.String() + "."
}

// embeddable reports whether requests can use a relation: one that a hidden
// field makes is as hidden as the field.
func embeddable(r *model.Relation) bool {
	if r.To == nil || r.To.Internal {
		return false
	}
	for _, f := range []*model.Field{r.Local, r.Foreign, r.ViaLocal, r.ViaForeign} {
		if f != nil && f.Hidden {
			return false
		}
	}
	return true
}

func cardinality(r *model.Relation) string {
	switch {
	case r.Cardinality == model.ToOne:
		return "one"
	case r.Cardinality == model.ToMany && r.Unique:
		return "at most one"
	}
	return "many"
}

// keysText lists what on_conflict accepts.
func keysText(e *model.Entity) string {
	var keys []string
	if e.Primary != nil {
		keys = append(keys, "`"+e.Primary.Name+"`")
	}
	for _, k := range e.Unique {
		names := make([]string, len(k.Fields))
		for i, f := range k.Fields {
			names[i] = f.Name
		}
		keys = append(keys, "`"+strings.Join(names, ",")+"`")
	}
	if len(keys) == 0 {
		return ""
	}
	return "Unique keys for `on_conflict`: " + strings.Join(keys, ", ") + "."
}

// typeName is a type as messages show it, an enum with its words.
func typeName(t value.Type) string {
	if t.Kind == value.Enum {
		return t.String() + ": " + strings.Join(t.Values, ", ")
	}
	return t.String()
}

// markdown makes an author's text safe to be rendered as CommonMark: no script
// tag and nothing that a linter takes for a call of eval.
func markdown(doc string) string {
	doc = strings.TrimSpace(doc)
	doc = strings.ReplaceAll(doc, "<", "&lt;")
	return strings.ReplaceAll(doc, "eval(", "eval&#40;")
}

// join puts sentences together, leaving out what is empty.
func join(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		if p == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(p)
	}
	return b.String()
}
