package postgres

import (
	"strings"

	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// natural is the type of field that serves a type of the database. length is
// the greatest length of a text. exact is false where the column may hold more
// than the field. ok is false where there is none.
func (c *catalog) natural(t *pgType, mod int64) (out store.Column, length int64, exact, ok bool) {
	if t == nil {
		return out, 0, false, false
	}
	if t.array {
		elem, _, _ := c.resolve(t.elem, -1)
		if elem == nil || elem.array {
			return out, 0, false, false
		}
		out, length, exact, ok = c.natural(elem, mod)
		if out.List = true; elem.name == "numeric" {
			out.Kind = value.Decimal.String()
		}
		return out, length, exact, ok
	}
	if t.kind == "e" {
		return store.Column{Kind: value.Enum.String(), Enum: t.labels}, 0, true, true
	}
	switch t.name {
	case "bpchar", "varchar":
		if mod > 4 {
			length = mod - 4
		}
		return store.Column{Kind: value.Text.String()}, length, true, true
	case "numeric":
		return natNumeric(mod)
	case "money":
		return store.Column{Kind: value.Decimal.String(), Scale: moneyScale}, 0, true, true
	}
	kind, ok := naturalKinds[t.name]
	return store.Column{Kind: kind.String()}, 0, true, ok
}

//nolint:gochecknoglobals // a constant table
var naturalKinds = map[string]value.Kind{
	"int2": value.Int, "int4": value.Int, "int8": value.Int, "float4": value.Float, "float8": value.Float, "bool": value.Bool,
	"text": value.Text, "citext": value.Text, "name": value.Text, "char": value.Text,
	"uuid": value.UUID, "timestamp": value.Timestamp, "timestamptz": value.Timestamp, "date": value.Date, "time": value.Time,
	"json": value.JSON, "jsonb": value.JSON, "bytea": value.Bytes,
}

const (
	moneyScale = 2  // of the locales that most have
	freeScale  = 6  // of a numeric without one
	maxDigits  = 18 // of a decimal
)

func natNumeric(mod int64) (store.Column, int64, bool, bool) {
	precision, scale, bound := numericMod(mod)
	switch {
	case !bound:
		return store.Column{Kind: value.Decimal.String(), Scale: freeScale}, 0, false, true
	case scale < 0 || scale > maxDigits:
		return store.Column{}, 0, false, false
	case scale == 0 && precision <= maxDigits:
		return store.Column{Kind: value.Int.String()}, 0, true, true
	}
	return store.Column{Kind: value.Decimal.String(), Scale: scale}, 0, precision <= maxDigits, true
}

// numericMod reads a numeric's precision and scale (numeric.c: the scale is
// eleven bits, signed).
func numericMod(mod int64) (precision, scale int, bound bool) {
	if mod < 4 {
		return 0, 0, false
	}
	mod -= 4
	scale = int(mod & 0x7ff)
	if scale >= 0x400 {
		scale -= 0x800
	}
	return int(mod>>16) & 0xffff, scale, true
}

// form is how a column holds a field of type ft. nil and true: as Pando does.
func (c *catalog) form(col *column, ft value.Type) (*store.Form, bool) {
	t, mod, _ := c.resolve(col.typ, col.mod)
	if t == nil {
		return nil, false
	}
	if t.array != ft.List {
		return nil, false
	}
	if t.array {
		return c.listForm(t, col, ft)
	}
	switch ft.Kind {
	case value.Text, value.Enum, value.File:
		return textForm(t, col.collation)
	case value.Int:
		return intForm(t, mod)
	case value.Decimal:
		return decimalForm(t, ft.Scale)
	case value.Float:
		return floatForm(t)
	case value.Timestamp:
		return timestampForm(t)
	case value.JSON:
		if t.name == "json" {
			return &store.Form{Read: func(x string) string { return "(" + x + "::jsonb)" }, Write: same, Class: t.name}, true
		}
		return nil, t.name == "jsonb"
	case value.Bool:
		return nil, t.name == "bool"
	case value.UUID:
		return nil, t.name == "uuid"
	case value.Date:
		return nil, t.name == "date"
	case value.Time:
		return nil, t.name == "time"
	case value.Bytes:
		return nil, t.name == "bytea"
	case value.Invalid:
	}
	return nil, false
}

// same leaves a placeholder to the column's type, which takes the text of the
// value.
func same(x string) string { return x }

// castTo writes a cast.
func castTo(name string) func(string) string {
	return func(x string) string { return "(" + x + "::" + name + ")" }
}

// each writes IN for a form whose elements are converted one by one.
func each(name string, key func(string) string) func(column, list string) string {
	return func(column, list string) string {
		return column + " = ANY(ARRAY(SELECT " + key("q.e") + " FROM unnest(" + list + "::" + name + "[]) AS q(e)))"
	}
}

func intForm(t *pgType, mod int64) (*store.Form, bool) {
	bigint := castTo("bigint")
	switch t.name {
	case "int8":
		return nil, true
	case "int2", "int4": // their operators and indexes take a bigint
		return &store.Form{
			Read: bigint, Write: same, Key: bigint, Ordered: true, Class: "own int",
			In: func(column, list string) string { return column + " = ANY(" + list + "::bigint[])" },
		}, true
	case "numeric":
		if _, scale, bound := numericMod(mod); !bound || scale != 0 {
			return nil, false
		}
		key := func(x string) string { return "(" + x + "::bigint::numeric)" }
		return &store.Form{Read: bigint, Write: key, Key: key, In: each("bigint", key), Ordered: true, Class: t.name}, true
	}
	return nil, false
}

func decimalForm(t *pgType, scale int) (*store.Form, bool) {
	unit := "1" + strings.Repeat("0", scale)
	key := func(x string) string { return unscaled(scale, x+"::bigint") }
	switch t.name {
	case "int8":
		return nil, true // a decimal of Pando's own
	case "numeric":
		read := func(x string) string { return "((" + x + "*" + unit + ")::bigint)" }
		return &store.Form{Read: read, Write: key, Key: key, In: each("bigint", key), Ordered: true, Class: t.name}, true
	case "money":
		if scale != moneyScale {
			return nil, false
		}
		money := func(x string) string { return "(" + key(x) + "::money)" }
		return &store.Form{
			Read: func(x string) string { return "((" + x + "::numeric*" + unit + ")::bigint)" }, Write: money, Key: money,
			In: each("bigint", money), Ordered: true, Class: t.name,
		}, true
	}
	return nil, false
}

func floatForm(t *pgType) (*store.Form, bool) {
	switch t.name {
	case "float8":
		return nil, true
	case "float4": // 0.1 stays 0.1
		return &store.Form{Read: func(x string) string { return "(" + x + "::text::double precision)" }, Write: same, Class: t.name}, true
	case "numeric":
		return &store.Form{Read: castTo("double precision"), Write: func(x string) string { return "(" + x + "::double precision::numeric)" }, Class: t.name}, true
	}
	return nil, false
}

// timestampForm takes a timestamp without a time zone for one of UTC.
func timestampForm(t *pgType) (*store.Form, bool) {
	switch t.name {
	case "timestamptz":
		return nil, true
	case "timestamp":
		key := func(x string) string { return "(" + x + "::timestamptz AT TIME ZONE 'UTC')" }
		return &store.Form{
			Read: func(x string) string { return "(" + x + " AT TIME ZONE 'UTC')" }, Write: key, Key: key, In: each("timestamptz", key),
			Ordered: true, Class: t.name,
		}, true
	}
	return nil, false
}

// textForm: values compare and order by bytes; the column itself is what has
// an index.
func textForm(t *pgType, col collation) (*store.Form, bool) {
	read := func(x string) string { return "(" + x + "::text" + collated + ")" }
	plain := castTo("text")
	f := &store.Form{
		Read: read, Write: same, Key: plain, Ordered: col.binary, Loose: col.loose, Class: "text",
		In: func(column, list string) string { return column + " = ANY(" + list + "::text[])" },
	}
	switch {
	case t.kind == "e":
		f.Key, f.Ordered, f.Class = castTo("text::"+t.sql()), false, "enum "+t.sql()
	case t.name == "text" && col.own:
		return nil, true
	case t.name == "text", t.name == "varchar":
	case t.name == "name":
		f.Ordered = true
	case t.name == "char":
		f.Key, f.Ordered, f.Class = nil, false, t.name
	case t.name == "bpchar":
		f.Key, f.Ordered, f.Loose, f.Class = castTo("text::bpchar"), false, true, t.name
	case t.name == "citext":
		f.Key, f.Ordered, f.Loose, f.Class = castTo("text::"+t.sql()), false, true, t.name
	default:
		return nil, false
	}
	if f.Key != nil && f.Class != "text" {
		f.In = each("text", f.Key)
	}
	return f, true
}

// listForm converts an array as a whole; conditions compare its value.
func (c *catalog) listForm(t *pgType, col *column, ft value.Type) (*store.Form, bool) {
	elem, _, _ := c.resolve(t.elem, -1)
	if elem == nil {
		return nil, false
	}
	natural, _, _, ok := c.natural(elem, -1)
	kind := ft.Kind.String()
	if natural.Kind == value.Text.String() && textual(ft) || natural.Kind == value.Enum.String() && ft.Kind == value.Text {
		kind = natural.Kind
	}
	if !ok || natural.Kind != kind || elem.name == "money" {
		return nil, false
	}
	own := typeName(ft)
	if "_"+elem.name == ownArrays[own] && (elem.name != "text" || col.collation.own) {
		return nil, true
	}
	read := "::" + own
	switch {
	case textual(ft):
		read += collated
	case elem.name == "float4":
		read = "::text[]" + read
	}
	return &store.Form{
		Read:  func(x string) string { return "(" + x + read + ")" },
		Write: func(x string) string { return "(" + x + "::" + own + "::" + elem.sql() + "[])" },
		Class: t.schema + "." + t.name,
	}, true
}

// ownArrays are the types of Pando's own lists, by what pg_type calls them.
//
//nolint:gochecknoglobals // a constant table
var ownArrays = map[string]string{
	"bigint[]": "_int8", "numeric[]": "_numeric", "double precision[]": "_float8", "boolean[]": "_bool", "uuid[]": "_uuid",
	"timestamp with time zone[]": "_timestamptz", "date[]": "_date", "time without time zone[]": "_time", "jsonb[]": "_jsonb",
	"bytea[]": "_bytea", "text[]": "_text",
}
