package postgres

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"strconv"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// The types that values are bound to and read from, by their OIDs, which never
// change (pg_type.dat).
const (
	oidBool        = 16
	oidBytea       = 17
	oidInt8        = 20
	oidInt2        = 21
	oidInt4        = 23
	oidFloat4      = 700
	oidFloat8      = 701
	oidVarchar     = 1043
	oidTimestamptz = 1184
	oidNumeric     = 1700
	oidJSONB       = 3802
)

// elementOf is the element's type of the arrays that there are: text stands
// for everything that JSON shows as a string.
func elementOf(array uint32) (element uint32, ok bool) {
	const oidText = 25
	switch array {
	case 1000:
		return oidBool, true
	case 1001, 1009, 1015, 1182, 1183, 2951: // bytea, text, varchar, date, time, uuid
		return oidText, true
	case 1005, 1007, 1016, 1021, 1022, 1231: // int2, int4, int8, float4, float8, numeric
		return oidNumeric, true
	case 1185:
		return oidTimestamptz, true
	case 199, 3807:
		return oidJSONB, true
	}
	return 0, false
}

// appendValues appends parameters as a Bind message has them: each with its
// length, in the text format but for bytes.
func appendValues(dst []byte, oids []uint32, args []value.Value) ([]byte, error) {
	if len(oids) != len(args) {
		return dst, fault.New(fault.Internal, "an internal error occurred").
			WithDetails("a statement of %d parameters got %d values", len(oids), len(args))
	}
	for i := range args {
		at := len(dst)
		dst = append(dst, 0, 0, 0, 0)
		switch v := &args[i]; v.Tag {
		case value.TagInt:
			if oids[i] == oidBool {
				dst = strconv.AppendBool(dst, v.Int != 0)
			} else {
				dst = strconv.AppendInt(dst, v.Int, 10)
			}
		case value.TagFloat:
			dst = strconv.AppendFloat(dst, v.Float, 'g', -1, 64)
		case value.TagText:
			if element, ok := elementOf(oids[i]); ok {
				dst = appendArray(dst, v.Str, element == oidJSONB)
			} else {
				dst = append(dst, v.Str...)
			}
		case value.TagBytes:
			dst = append(dst, v.Str...)
		case value.TagNull:
			binary.BigEndian.PutUint32(dst[at:], null)
			continue
		}
		binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4)) //nolint:gosec // a message's length is bounded
	}
	return dst, nil
}

// null is the length of a value that is null.
const null = 1<<32 - 1

// appendArray appends the array literal of a JSON array's elements. raw keeps
// them as the JSON texts that they are.
func appendArray(dst []byte, list string, raw bool) []byte {
	dst = append(dst, '{')
	first := true
	for i := 1; i < len(list)-1; {
		end := elementEnd(list, i)
		el := list[i:end]
		i = end + 1 // behind the comma
		if !first {
			dst = append(dst, ',')
		}
		first = false
		switch {
		case !raw && el == "null":
			dst = append(dst, el...)
			continue
		case !raw && el[0] == '"':
			v, err := value.Type{Kind: value.Text}.FromJSON(el)
			if err == nil { // it was written by us: always
				el = v.Str
			}
		}
		dst = append(dst, '"')
		for j := range len(el) {
			if el[j] == '"' || el[j] == '\\' {
				dst = append(dst, '\\')
			}
			dst = append(dst, el[j])
		}
		dst = append(dst, '"')
	}
	return append(dst, '}')
}

// elementEnd is where the element that starts at i ends: at its comma or the
// array's bracket.
func elementEnd(list string, i int) int {
	depth, inside := 0, false
	for ; i < len(list)-1; i++ {
		switch c := list[i]; {
		case inside && c == '\\':
			i++
		case c == '"':
			inside = !inside
		case inside:
		case c == '[' || c == '{':
			depth++
		case c == ']' || c == '}':
			depth--
		case c == ',' && depth == 0:
			return i
		}
	}
	return len(list) - 1
}

// row is the current row of a result, in the text format.
type row struct {
	fields []uint32 // the columns' types
	vals   [][]byte
}

var _ store.Row = (*row)(nil)

func (r *row) Null(i int) bool { return r.vals[i] == nil }

func (r *row) Int(i int) int64 {
	v := r.vals[i]
	if r.fields[i] == oidBool {
		if len(v) == 1 && v[0] == 't' {
			return 1
		}
		return 0
	}
	n, _ := strconv.ParseInt(string(v), 10, 64) // null and what is no number is 0
	return n
}

func (r *row) Float(i int) float64 {
	f, _ := strconv.ParseFloat(string(r.vals[i]), 64) // null is 0
	return f
}

// Append implements store.Row: a column's value in its wire form.
func (r *row) Append(dst []byte, i int) []byte {
	v := r.vals[i]
	if v == nil {
		return dst
	}
	oid := r.fields[i]
	switch oid {
	case oidBytea:
		return appendUnhex(dst, v)
	case oidTimestamptz:
		return appendTimestamp(dst, v)
	case oidJSONB, oidVarchar:
		return appendCompact(dst, v)
	}
	if element, ok := elementOf(oid); ok {
		return appendList(dst, v, element)
	}
	return append(dst, v...)
}

func (r *row) Value(i int) value.Value {
	if r.vals[i] == nil {
		return value.Null()
	}
	switch r.fields[i] {
	case oidBool, oidInt2, oidInt4, oidInt8:
		return value.OfInt(r.Int(i))
	case oidFloat4, oidFloat8:
		return value.OfFloat(r.Float(i))
	case oidBytea:
		return value.OfBytes(string(r.Append(nil, i)))
	}
	return value.OfText(string(r.Append(nil, i)))
}

// appendUnhex reads \x and hexadecimal digits.
func appendUnhex(dst, v []byte) []byte {
	if len(v) < 2 {
		return dst
	}
	out, err := hex.AppendDecode(dst, v[2:])
	if err != nil {
		return dst
	}
	return out
}

// appendTimestamp turns 2026-01-02 03:04:05.6789+00 into the wire form. The
// connection's time zone is UTC.
func appendTimestamp(dst, v []byte) []byte {
	at := len(dst)
	dst = append(dst, v...)
	if len(v) <= 10 { // infinity
		return dst
	}
	dst[at+10] = 'T'

	return append(dst, ":00"...)
}

// appendCompact leaves out the blanks that jsonb puts between its tokens.
func appendCompact(dst, v []byte) []byte {
	inside := false
	start := 0
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case inside && c == '\\':
			i++
		case c == '"':
			inside = !inside
		case c == ' ' && !inside:
			dst = append(dst, v[start:i]...)
			start = i + 1
		}
	}
	return append(dst, v[start:]...)
}

// appendList turns an array literal into a JSON array; one of several
// dimensions, which Pando writes none of, into arrays of arrays.
func appendList(dst, v []byte, element uint32) []byte {
	if i := bytes.IndexByte(v, '{'); i > 0 { // behind the bounds of an array that does not begin at 1
		v = v[i:]
	}
	var cell []byte
	for i := 0; i < len(v); i++ {
		switch v[i] {
		case '{':
			dst = append(dst, '[')
			continue
		case '}':
			dst = append(dst, ']')
			continue
		case ',':
			dst = append(dst, ',')
			continue
		}
		cell = cell[:0]
		if v[i] == '"' {
			for i++; v[i] != '"'; i++ {
				if v[i] == '\\' {
					i++
				}
				cell = append(cell, v[i])
			}
		} else {
			for ; v[i] != ',' && v[i] != '}'; i++ {
				cell = append(cell, v[i])
			}
			i--
			if string(cell) == "NULL" {
				dst = append(dst, "null"...)
				continue
			}
		}
		dst = appendElement(dst, cell, element)
	}
	return dst
}

func appendElement(dst, cell []byte, element uint32) []byte {
	switch element {
	case oidNumeric:
		return append(dst, cell...)
	case oidBool:
		return strconv.AppendBool(dst, cell[0] == 't')
	case oidJSONB:
		return appendCompact(dst, cell)
	case oidTimestamptz:
		return append(appendTimestamp(append(dst, '"'), cell), '"')
	}
	return value.AppendQuoted(dst, cell)
}
