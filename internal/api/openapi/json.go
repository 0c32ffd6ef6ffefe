package openapi

import (
	"strconv"

	"github.com/pandobase/pando/internal/value"
)

// object is a JSON object whose members keep the order in which they are
// written, which is what makes a document deterministic and readable.
type object []member

type member struct {
	name  string
	value any
}

// array is a JSON array.
type array []any

// raw is JSON that is already encoded.
type raw string

// with returns o with one more member; o itself may share its memory.
func (o object) with(name string, v any) object { return append(o, member{name, v}) }

// appendJSON appends v, which is an object, an array, raw, a string, an int, a
// bool, a []string or nil. Other types are a programming error and panic.
func appendJSON(dst []byte, v any) []byte {
	switch v := v.(type) {
	case object:
		return appendObject(dst, v)
	case array:
		dst = append(dst, '[')
		for i, e := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSON(dst, e)
		}
		return append(dst, ']')
	case []string:
		dst = append(dst, '[')
		for i, e := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = value.AppendQuoted(dst, e)
		}
		return append(dst, ']')
	case raw:
		return append(dst, v...)
	case string:
		return value.AppendQuoted(dst, v)
	case int:
		return strconv.AppendInt(dst, int64(v), 10)
	case bool:
		return strconv.AppendBool(dst, v)
	case nil:
		return append(dst, "null"...)
	}
	panic("openapi: a value of an unexpected type in a document")
}

func appendObject(dst []byte, o object) []byte {
	dst = append(dst, '{')
	for i, m := range o {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = value.AppendQuoted(dst, m.name)
		dst = append(dst, ':')
		dst = appendJSON(dst, m.value)
	}
	return append(dst, '}')
}

// compact encodes v once, for parts that a document repeats.
func compact(v any) raw { return raw(appendJSON(nil, v)) }

// concat makes one array (or object) of several that are encoded: [a] and
// [b,c] give [a,b,c].
func concat(parts ...raw) raw {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	out := make([]byte, 0, n)
	out = append(out, parts[0][0])
	for _, p := range parts {
		if inner := p[1 : len(p)-1]; inner != "" {
			if len(out) > 1 {
				out = append(out, ',')
			}
			out = append(out, inner...)
		}
	}
	last := parts[0]
	return raw(append(out, last[len(last)-1]))
}
