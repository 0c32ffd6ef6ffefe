package openapi

import (
	"math"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/value"
)

// required reports whether a create must give the field.
func required(f *model.Field) bool {
	return !f.Optional && f.Default == nil && !f.OnUpdateNow && !f.Generated
}

// rowSchema describes a row as it is answered when select leaves nothing out:
// every visible field is there, an optional one possibly as null.
func rowSchema(e *model.Entity) object {
	props := object{}
	var names []string
	for _, f := range visible(e) {
		props = props.with(f.Name, fieldSchema(f, false))
		names = append(names, f.Name)
	}
	return entitySchema(e, "A row of "+e.QualifiedName()+".", props, names, exampleRow(e))
}

// inputProperties are the fields as a body has them, for insert and update.
func inputProperties(e *model.Entity) raw {
	props := object{}
	for _, f := range e.Fields {
		if !f.Generated {
			props = props.with(f.Name, fieldSchema(f, true))
		}
	}
	return compact(props)
}

// insertSchema describes one row of a create. A field that is not given takes
// its default; a name that the entity does not have is refused (PGRST204).
func insertSchema(e *model.Entity, props raw) object {
	var names []string
	for _, f := range e.Fields {
		if required(f) {
			names = append(names, f.Name)
		}
	}
	s := entitySchema(e, "A new row of "+e.QualifiedName()+".", props, names, exampleInsert(e))
	return s.with("additionalProperties", false)
}

// updateSchema describes a change: any of the fields, at least one.
func updateSchema(e *model.Entity, props raw) object {
	s := entitySchema(e, "A change to rows of "+e.QualifiedName()+".", props, nil, exampleUpdate(e))
	return s.with("additionalProperties", false).with("minProperties", 1)
}

func entitySchema(e *model.Entity, title string, props any, names []string, ex object) object {
	s := object{{"type", "object"}, {"description", join(title, markdown(e.Doc))}}
	if e.Deprecated != nil {
		s = s.with("deprecated", true)
	}
	s = s.with("properties", props)
	if len(names) > 0 {
		s = s.with("required", names)
	}
	if len(ex) > 0 {
		s = s.with("examples", array{ex})
	}
	return s
}

// fieldSchema is a field's schema in a row, or, for input, in a body.
func fieldSchema(f *model.Field, input bool) object {
	s := typeSchema(f.Type, f.Optional)
	if d := describe(f, input); d != "" {
		s = s.with("description", d)
	}
	if input {
		// What a hidden field defaults to is what most rows hold.
		if d := f.Default; d != nil && d.Kind == model.DefaultLiteral && !f.Hidden {
			s = s.with("default", literal(f.Type, d.Value))
		}
		if f.Hidden {
			s = s.with("writeOnly", true)
		}
	}
	if f.Deprecated != nil {
		s = s.with("deprecated", true)
	}
	return s
}

// typeSchema is the schema of a type's wire form (design, "On the wire").
func typeSchema(t value.Type, nullable bool) object {
	if !t.List {
		return scalarSchema(t, nullable)
	}
	return object{{"type", typeWord("array", nullable)}, {"items", scalarSchema(t, false)}}
}

func typeWord(name string, nullable bool) any {
	if nullable {
		return []string{name, "null"}
	}
	return name
}

func scalarSchema(t value.Type, nullable bool) object {
	text := func(format string) object {
		return object{{"type", typeWord("string", nullable)}, {"format", format}}
	}
	switch t.Kind {
	case value.Int:
		s := object{{"type", typeWord("integer", nullable)}, {"format", "int64"}}
		return limits(s, t, "minimum", "maximum")
	case value.Float:
		s := object{{"type", typeWord("number", nullable)}, {"format", "double"}}
		return limits(s, t, "minimum", "maximum")
	case value.Decimal:
		s := object{{"type", typeWord("number", nullable)}, {"format", "decimal"}, {"multipleOf", decimalUnit(t.Scale)}}
		return limits(s, t, "minimum", "maximum")
	case value.Bool:
		return object{{"type", typeWord("boolean", nullable)}}
	case value.UUID:
		return text("uuid")
	case value.Timestamp:
		return text("date-time")
	case value.Date:
		return text("date")
	case value.Time:
		return text("time-local")
	case value.JSON:
		return object{} // any JSON value
	case value.Bytes:
		return bytesSchema(t, nullable)
	case value.Enum:
		words := make(array, 0, len(t.Values)+1)
		for _, w := range t.Values {
			words = append(words, w)
		}
		if nullable {
			words = append(words, nil)
		}
		return object{{"type", typeWord("string", nullable)}, {"enum", words}}
	case value.Text:
		return limits(object{{"type", typeWord("string", nullable)}}, t, "minLength", "maxLength")
	case value.File, value.Invalid:
	}
	return object{{"type", typeWord("string", nullable)}}
}

// bytesSchema describes PostgreSQL's hex form: two digits for each byte after
// a backslash and an x.
func bytesSchema(t value.Type, nullable bool) object {
	s := object{{"type", typeWord("string", nullable)}, {"pattern", `^\\x([0-9a-f]{2})*$`}}
	if t.Min != nil {
		s = s.with("minLength", int(2+2*min(t.Min.Int, math.MaxInt32)))
	}
	if t.Max != nil {
		s = s.with("maxLength", int(2+2*min(t.Max.Int, math.MaxInt32)))
	}
	return s
}

func limits(s object, t value.Type, least, most string) object {
	scalar := t
	scalar.List = false
	if t.Kind == value.Text {
		scalar.Kind = value.Int // lengths are integers
	}
	if t.Min != nil {
		s = s.with(least, literal(scalar, *t.Min))
	}
	if t.Max != nil {
		s = s.with(most, literal(scalar, *t.Max))
	}
	return s
}

// literal writes a canonical value in its wire form.
func literal(t value.Type, v value.Value) raw { return raw(t.AppendJSON(nil, v)) }

// decimalText writes n / 10^scale with exactly scale digits.
func decimalText(n int64, scale int) string { return string(value.AppendDecimal(nil, n, scale)) }

// decimalUnit is the smallest step of a scale.
func decimalUnit(scale int) raw { return raw(decimalText(1, scale)) }

// pow10 is 10^n for the scales that exist, 0 to 18.
func pow10(n int) int64 {
	p := int64(1)
	for range min(max(n, 0), 18) {
		p *= 10
	}
	return p
}
