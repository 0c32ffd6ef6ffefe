package openapi

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/value"
)

// exampleUUID is a version 7 identifier, which is what uuid() makes.
const exampleUUID = `"019b7d2a-6c40-7a31-9c5e-2f8d4b6a1e03"`

// longest is how many characters or bytes an example may have; a type that
// asks for more has none.
const longest = 1000

// example returns a value that f's schema accepts, as JSON; it is made of the
// field's type, its limits and, where there is one, its literal default. ok is
// false where no such value could be made.
func example(f *model.Field) (v raw, ok bool) {
	if d := f.Default; d != nil && d.Kind == model.DefaultLiteral && !d.Value.IsNull() && f.Type.Kind != value.Decimal {
		return literal(f.Type, d.Value), true
	}
	v, ok = exampleScalar(f)
	if ok && f.Type.List {
		v = "[" + v + "]"
	}
	return v, ok
}

func exampleScalar(f *model.Field) (raw, bool) {
	t := f.Type
	switch t.Kind {
	case value.Text:
		return exampleText(f.Name, t)
	case value.Int:
		return raw(strconv.FormatInt(clamp(1, t.Min, t.Max), 10)), true
	case value.Float:
		return exampleFloat(t), true
	case value.Decimal:
		return exampleDecimal(t)
	case value.Bool:
		return "true", true
	case value.UUID:
		return exampleUUID, true
	case value.Timestamp:
		return `"2026-01-02T03:04:05.6789+00:00"`, true
	case value.Date:
		return `"2026-01-02"`, true
	case value.Time:
		return `"03:04:05.6789"`, true
	case value.JSON:
		return `{"key":"value"}`, true
	case value.Bytes:
		return exampleBytes(t)
	case value.Enum:
		if len(t.Values) == 0 {
			return "", false
		}
		return raw(value.AppendQuoted(nil, t.Values[0])), true
	case value.File:
		return `"reports/2026.pdf"`, true
	case value.Invalid:
	}
	return "", false
}

// exampleText makes a text of the field's name that keeps to its length.
func exampleText(name string, t value.Type) (raw, bool) {
	s := []rune("Example " + strings.ReplaceAll(name, "_", " "))
	least, most := int64(0), int64(math.MaxInt32)
	if t.Min != nil {
		least = t.Min.Int
	}
	if t.Max != nil {
		most = t.Max.Int
	}
	if least > longest || most < least {
		return "", false
	}
	for int64(len(s)) < least {
		s = append(s, '.')
	}
	if int64(len(s)) > most {
		s = s[:most]
	}
	return raw(value.AppendQuoted(nil, string(s))), true
}

func exampleFloat(t value.Type) raw {
	x := 1.5
	if t.Min != nil {
		x = math.Max(x, t.Min.Float)
	}
	if t.Max != nil {
		x = math.Min(x, t.Max.Float)
	}
	return literal(t, value.OfFloat(x))
}

func exampleBytes(t value.Type) (raw, bool) {
	n := clamp(5, t.Min, t.Max)
	if n < 0 || n > longest {
		return "", false
	}
	return raw(`"\\x` + strings.Repeat("2a", int(n)) + `"`), true
}

// exampleDecimal looks for a value near 12.5 for which a validator that
// computes in binary floating point, as most do, agrees that it is a multiple
// of the scale's unit: 19.99 / 0.01 is not whole there.
func exampleDecimal(t value.Type) (raw, bool) {
	unit, err := strconv.ParseFloat(string(decimalUnit(t.Scale)), 64)
	if err != nil {
		return "", false
	}
	start := int64(12)
	if p := pow10(t.Scale); start <= math.MaxInt64/p {
		start *= p
	}
	start = clamp(start, t.Min, t.Max)
	for _, step := range []int64{0, 1, 2, 5, 10, 100, -1, -2, -5, -10, -100} {
		n := start + step
		if clamp(n, t.Min, t.Max) != n {
			continue
		}
		text := decimalText(n, t.Scale)
		x, err := strconv.ParseFloat(text, 64)
		if err == nil && x/unit == math.Trunc(x/unit) && math.Abs(x/unit) < 1e21 {
			return raw(text), true
		}
	}
	return "", false
}

// clamp brings n between the limits, which are of n's own kind.
func clamp(n int64, least, most *value.Value) int64 {
	if least != nil {
		n = max(n, least.Int)
	}
	if most != nil {
		n = min(n, most.Int)
	}
	return n
}

// exampleRow is a whole row as a list answers it.
func exampleRow(e *model.Entity) object {
	var o object
	for _, f := range visible(e) {
		if v, ok := example(f); ok {
			o = o.with(f.Name, v)
		} else if f.Optional {
			o = o.with(f.Name, nil)
		} else {
			return nil // an example that lacks a required member would be a wrong one
		}
	}
	return o
}

// exampleInsert is the least that a create needs; where it needs nothing, the
// first field that says something.
func exampleInsert(e *model.Entity) object {
	var o object
	for _, f := range e.Fields {
		if !required(f) {
			continue
		}
		v, ok := example(f)
		if !ok {
			return nil
		}
		o = o.with(f.Name, v)
	}
	if len(o) > 0 {
		return o
	}
	return exampleUpdate(e)
}

// exampleUpdate changes one field: the first that is neither a key nor a
// reference, for those are seldom changed.
func exampleUpdate(e *model.Entity) object {
	for _, f := range visible(e) {
		if f.Primary || f.Ref != nil || f.OnUpdateNow {
			continue
		}
		if d := f.Default; d != nil && d.Kind != model.DefaultLiteral {
			continue
		}
		if v, ok := example(f); ok {
			return object{{f.Name, v}}
		}
	}
	return nil
}

// unquote is the text of a scalar's example, as a filter or a CSV cell has it.
func unquote(v raw) string {
	var s string
	if json.Unmarshal([]byte(v), &s) == nil {
		return s
	}
	return string(v) // no JSON string: a number, a bool, an object
}

// exampleCSV is the example of a create as CSV.
func exampleCSV(e *model.Entity) string {
	var header, line []string
	for _, m := range exampleInsert(e) {
		v, _ := m.value.(raw)
		cell := unquote(v)
		if strings.ContainsAny(cell, ",\"\n") {
			cell = `"` + strings.ReplaceAll(cell, `"`, `""`) + `"`
		}
		header, line = append(header, m.name), append(line, cell)
	}
	return strings.Join(header, ",") + "\n" + strings.Join(line, ",") + "\n"
}
