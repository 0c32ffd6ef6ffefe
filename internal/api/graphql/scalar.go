package graphql

import (
	"encoding/json"
	"strconv"
	"strings"
)

// scalars are the scalar types of the schema by name: what their values look
// like in a variable, where numbers are json.Number, or as a literal. Each
// returns the coerced value, or what the scalar cannot represent.
//
//nolint:gochecknoglobals // a constant table
var scalars = map[string]func(any) (any, string){
	"Int":      coerceInt,
	"Float":    coerceFloat,
	"String":   coerceText,
	"Boolean":  coerceBoolean,
	"ID":       coerceID,
	"Int64":    coerceInt64,
	"Decimal":  coerceDecimal,
	"UUID":     coerceText,
	"DateTime": coerceText,
	"Date":     coerceText,
	"Time":     coerceText,
	"Bytes":    coerceText,
}

// coerceScalar is a value as the scalar has it. A scalar that is not in the
// table is any JSON.
func coerceScalar(scalar string, v any) (any, string) {
	if coerce, ok := scalars[scalar]; ok {
		return coerce(v)
	}
	return v, ""
}

func coerceText(v any) (any, string) {
	if s, ok := v.(string); ok {
		return s, ""
	}
	return nil, "a non string value"
}

func coerceBoolean(v any) (any, string) {
	if b, ok := v.(bool); ok {
		return b, ""
	}
	return nil, "a non boolean value"
}

func coerceInt(v any) (any, string) {
	const bits = 32
	n, ok := whole(v, bits)
	switch {
	case ok:
		return n, ""
	case isNumeral(v) && integral(string(v.(json.Number))):
		return nil, "non 32-bit signed integer value"
	}
	return nil, "non-integer value"
}

func coerceInt64(v any) (any, string) {
	const bits = 64
	if s, ok := v.(string); ok && integral(s) {
		v = json.Number(s)
	}
	n, ok := whole(v, bits)
	switch {
	case ok:
		return n, ""
	case isNumeral(v) && integral(string(v.(json.Number))):
		return nil, "non 64-bit signed integer value"
	}
	return nil, "non-integer value"
}

// whole is a number without a fraction, written without one: 1.0 and 1e3 are
// integers too (section 3.5.1).
func whole(v any, bits int) (json.Number, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return "", false
	}
	if _, err := strconv.ParseInt(string(n), 10, bits); err == nil {
		return n, true
	}
	if integral(string(n)) {
		return "", false
	}
	f, err := strconv.ParseFloat(string(n), 64)
	const exact = 1 << 53
	if err != nil || f != float64(int64(f)) || f > exact || f < -exact {
		return "", false
	}
	text := strconv.FormatInt(int64(f), 10)
	_, err = strconv.ParseInt(text, 10, bits)
	return json.Number(text), err == nil
}

// integral reports whether a text is an integer of JSON.
func integral(s string) bool {
	return isNumberText(s) && !strings.ContainsAny(s, ".eE")
}

func isNumeral(v any) bool {
	_, ok := v.(json.Number)
	return ok
}

func coerceFloat(v any) (any, string) {
	n, ok := v.(json.Number)
	if !ok {
		return nil, "non numeric value"
	}
	if _, err := strconv.ParseFloat(string(n), 64); err != nil {
		return nil, "a number that is out of range"
	}
	return n, ""
}

func coerceID(v any) (any, string) {
	switch v := v.(type) {
	case string:
		return v, ""
	case json.Number:
		if integral(string(v)) {
			return string(v), ""
		}
	}
	return nil, "a non-string and non-integer value"
}

// coerceDecimal keeps the text of a number: no digit is lost.
func coerceDecimal(v any) (any, string) {
	switch v := v.(type) {
	case string:
		if isNumberText(v) {
			return json.Number(v), ""
		}
	case json.Number:
		return v, ""
	}
	return nil, "non numeric value"
}

// isNumberText reports whether a text is a number of JSON (RFC 8259, section 6).
func isNumberText(s string) bool {
	digits := func() bool {
		n := 0
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		s = s[n:]
		return n > 0
	}
	s = strings.TrimPrefix(s, "-")
	if strings.HasPrefix(s, "0") {
		s = s[1:]
	} else if !digits() {
		return false
	}
	if strings.HasPrefix(s, ".") {
		if s = s[1:]; !digits() {
			return false
		}
	}
	if s != "" && (s[0] == 'e' || s[0] == 'E') {
		s = s[1:]
		if s != "" && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		if !digits() {
			return false
		}
	}
	return s == ""
}
