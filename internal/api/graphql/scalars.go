package graphql

import (
	"math"
	"regexp"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/pandobase/pando/internal/value"
)

// The scalars beside those of the specification.
const (
	scalarInt64    = "Int64"
	scalarDecimal  = "Decimal"
	scalarUUID     = "UUID"
	scalarDateTime = "DateTime"
	scalarDate     = "Date"
	scalarTime     = "Time"
	scalarJSON     = "JSON"
	scalarBytes    = "Bytes"
)

// scalarDefinitions tells what each scalar is, and where that is specified.
func scalarDefinitions() []*ast.Definition {
	var out []*ast.Definition
	for _, s := range [][3]string{
		{scalarInt64, "A whole number of 64 bits, as a text of digits; a number is taken too."},
		{scalarDecimal, "An exact decimal number, as a text with all digits of its scale; a number is taken too."},
		{scalarUUID, "A UUID.", "https://www.rfc-editor.org/rfc/rfc9562"},
		{scalarDateTime, "A time in UTC with microseconds; any offset is taken.", "https://www.rfc-editor.org/rfc/rfc3339"},
		{scalarDate, "A day, as 2026-01-31.", "https://www.rfc-editor.org/rfc/rfc3339#section-5.6"},
		{scalarTime, "A time of the day without a day or an offset, as 12:30:00."},
		{scalarJSON, "Any JSON.", "https://www.rfc-editor.org/rfc/rfc8259"},
		{scalarBytes, `Bytes, as \x and hexadecimal digits; base64 is taken too.`},
	} {
		def := &ast.Definition{Kind: ast.Scalar, Name: s[0], Description: s[1]}
		if s[2] != "" {
			def.Directives = ast.DirectiveList{directive("specifiedBy", "url", s[2])}
		}
		out = append(out, def)
	}
	return out
}

// directive is one with an argument that is a text.
func directive(name, argument, text string) *ast.Directive {
	d := &ast.Directive{Name: name}
	if argument != "" {
		d.Arguments = ast.ArgumentList{{Name: argument, Value: &ast.Value{Kind: ast.StringValue, Raw: text}}}
	}
	return d
}

// scalarOf is the name of a value's type, without a list; enum is that of its
// words, if they are names.
func scalarOf(t value.Type, enum string) string {
	switch t.Kind {
	case value.Int:
		if fits32(t) {
			return "Int"
		}
		return scalarInt64
	case value.Float:
		return "Float"
	case value.Decimal:
		return scalarDecimal
	case value.Bool:
		return "Boolean"
	case value.UUID:
		return scalarUUID
	case value.Timestamp:
		return scalarDateTime
	case value.Date:
		return scalarDate
	case value.Time:
		return scalarTime
	case value.JSON:
		return scalarJSON
	case value.Bytes:
		return scalarBytes
	case value.Enum:
		if enum != "" {
			return enum
		}
	case value.Text, value.File, value.Invalid:
	}
	return "String"
}

// fits32 reports whether all values are Ints of the specification.
func fits32(t value.Type) bool {
	return t.Min != nil && t.Max != nil && t.Min.Int >= math.MinInt32 && t.Max.Int <= math.MaxInt32
}

// quoted reports whether values are texts on this door and numbers elsewhere.
func quoted(t value.Type) bool {
	return t.Kind == value.Decimal || t.Kind == value.Int && !fits32(t)
}

var namePattern = regexp.MustCompile(`^[_A-Za-z][_0-9A-Za-z]*$`)

// areNames reports whether words can be values of an enum.
func areNames(words []string) bool {
	for _, w := range words {
		if !namePattern.MatchString(w) || strings.HasPrefix(w, "__") || w == "true" || w == "false" || w == "null" {
			return false
		}
	}
	return len(words) > 0
}

// pascal is customer_id as CustomerId.
func pascal(name string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(name, "_") {
		if part != "" {
			b.WriteString(strings.ToUpper(part[:1]) + part[1:])
		}
	}
	return b.String()
}
