package rpc

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/pandobase/pando/internal/value"
)

// The engine answers JSON, and the door writes protobuf of it without a tree
// between: each member is found by its name and written by its type. The members
// come in the order of the fields, but for what no message has.

var errJSON = errors.New("rows that are no JSON")

// text is JSON while it is read. It is valid, for Pando has written it: what is
// wrong is refused, and need not be explained.
type text struct {
	b  []byte
	at int
}

// next skips blanks and returns the byte that follows, or 0.
func (t *text) next() byte {
	for ; t.at < len(t.b); t.at++ {
		switch c := t.b[t.at]; c {
		case ' ', '\n', '\t', '\r':
		default:
			return c
		}
	}
	return 0
}

// accept skips c, where it is the next byte.
func (t *text) accept(c byte) bool {
	if t.next() != c {
		return false
	}
	t.at++
	return true
}

// raw returns the value that is next.
func (t *text) raw() ([]byte, error) {
	first := t.next()
	start, depth := t.at, 0
	for ; t.at < len(t.b); t.at++ {
		switch t.b[t.at] {
		case '"':
			end, ok := closing(t.b, t.at)
			if !ok {
				return nil, errJSON
			}
			t.at = end
			if depth == 0 && first == '"' {
				t.at++
				return t.b[start:t.at], nil
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return t.scalar(start)
			}
			if depth--; depth == 0 {
				t.at++
				return t.b[start:t.at], nil
			}
		case ',', ' ', '\n', '\t', '\r':
			if depth == 0 {
				return t.scalar(start)
			}
		}
	}
	return t.scalar(start)
}

func (t *text) scalar(start int) ([]byte, error) {
	if t.at == start {
		return nil, errJSON
	}
	return t.b[start:t.at], nil
}

// closing is where the text that begins at at has its last quote.
func closing(b []byte, at int) (int, bool) {
	for at++; ; at++ {
		i := bytes.IndexByte(b[at:], '"')
		if i < 0 {
			return 0, false
		}
		at += i
		escapes := 0
		for b[at-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return at, true
		}
	}
}

// unquote returns what a JSON text says. It shares raw's memory where it can.
func unquote(raw []byte) ([]byte, error) {
	if len(raw) < 2 || raw[0] != '"' {
		return nil, errJSON
	}
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner, nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, err
	}
	return []byte(s), nil
}

// appendObject appends the message that the JSON object in t is. Members without a
// field, and nulls, are left out.
func (m *message) appendObject(dst []byte, t *text) ([]byte, error) {
	if !t.accept('{') {
		return dst, errJSON
	}
	at := 0 // the field that comes next, if any is left out
	for t.next() == '"' {
		end, ok := closing(t.b, t.at)
		if !ok {
			return dst, errJSON
		}
		name := t.b[t.at+1 : end]
		t.at = end + 1
		if !t.accept(':') {
			return dst, errJSON
		}
		raw, err := t.raw()
		if err != nil {
			return dst, err
		}
		if f := m.find(name, &at); f != nil && raw[0] != 'n' {
			if dst, err = f.append(dst, raw); err != nil {
				return dst, fmt.Errorf("%s.%s: %w", m.full, f.name, err)
			}
		}
		if !t.accept(',') {
			break
		}
	}
	if !t.accept('}') {
		return dst, errJSON
	}
	return dst, nil
}

// find is the field of a JSON member. from is where it is looked for first.
func (m *message) find(name []byte, from *int) *field {
	for range m.fields {
		if *from == len(m.fields) {
			*from = 0
		}
		f := m.fields[*from]
		*from++
		if f.json == string(name) {
			return f
		}
	}
	return nil
}

// appendList appends a field for each element of the JSON array in t.
func (f *field) appendList(dst []byte, t *text) ([]byte, error) {
	if !t.accept('[') {
		return dst, errJSON
	}
	start := len(dst)
	if f.packed() {
		dst = protowire.AppendTag(dst, f.number, protowire.BytesType)
	}
	values, count := len(dst), 0
	for t.next() != ']' {
		raw, err := t.raw()
		if err != nil {
			return dst, err
		}
		if !f.packed() {
			dst = protowire.AppendTag(dst, f.number, f.wireType())
		}
		if dst, err = f.appendValue(dst, raw); err != nil {
			return dst, err
		}
		count++
		if !t.accept(',') {
			break
		}
	}
	if !t.accept(']') {
		return dst, errJSON
	}
	switch {
	case count == 0:
		return dst[:start], nil
	case f.packed():
		return measured(dst, values), nil
	}
	return dst, nil
}

// append appends the field with the value of a JSON member.
func (f *field) append(dst, raw []byte) ([]byte, error) {
	if f.list {
		return f.appendList(dst, &text{b: raw})
	}
	return f.appendValue(protowire.AppendTag(dst, f.number, f.wireType()), raw)
}

// appendValue appends one value, without its tag.
func (f *field) appendValue(dst, raw []byte) ([]byte, error) {
	if f.message != nil {
		start := len(dst)
		dst, err := f.message.appendObject(dst, &text{b: raw})
		return measured(dst, start), err
	}
	switch f.typ.Kind {
	case value.Int:
		n, err := strconv.ParseInt(string(raw), 10, 64)
		return protowire.AppendVarint(dst, uint64(n)), err //nolint:gosec // two's complement is what the wire has
	case value.Float:
		n, err := strconv.ParseFloat(string(raw), 64)
		return protowire.AppendFixed64(dst, math.Float64bits(n)), err
	case value.Bool:
		return protowire.AppendVarint(dst, protowire.EncodeBool(raw[0] == 't')), nil
	case value.Decimal, value.JSON:
		return protowire.AppendBytes(dst, raw), nil
	case value.Text, value.UUID, value.Date, value.Time, value.Timestamp, value.Bytes, value.Enum, value.File, value.Invalid:
	}
	s, err := unquote(raw)
	if err != nil {
		return dst, err
	}
	switch f.typ.Kind {
	case value.Enum:
		// A word that the model never had is as good as none.
		return protowire.AppendVarint(dst, uint64(f.enum.numbers[string(s)])), nil //nolint:gosec // numbers of the lock are positive
	case value.Timestamp:
		return appendTimestamp(dst, s)
	case value.Bytes:
		if len(s) < 2 {
			return dst, errJSON
		}
		digits := s[len(`\x`):]
		dst = protowire.AppendVarint(dst, uint64(len(digits)/2))
		return hex.AppendDecode(dst, digits)
	case value.Text, value.UUID, value.Date, value.Time, value.File, value.Int, value.Float, value.Bool, value.Decimal, value.JSON, value.Invalid:
	}
	return protowire.AppendBytes(dst, s), nil
}

// The fields of google.protobuf.Timestamp.
const (
	secondsNumber protowire.Number = 1
	nanosNumber   protowire.Number = 2
)

// appendTimestamp appends a google.protobuf.Timestamp with its length.
func appendTimestamp(dst, s []byte) ([]byte, error) {
	at, err := time.Parse(time.RFC3339Nano, string(s))
	if err != nil {
		return dst, err
	}
	start := len(dst)
	if sec := at.Unix(); sec != 0 {
		dst = protowire.AppendVarint(protowire.AppendTag(dst, secondsNumber, protowire.VarintType), uint64(sec)) //nolint:gosec // two's complement is what the wire has
	}
	if nanos := at.Nanosecond(); nanos != 0 {
		dst = protowire.AppendVarint(protowire.AppendTag(dst, nanosNumber, protowire.VarintType), uint64(nanos)) //nolint:gosec // 0 to 999,999,999
	}
	return measured(dst, start), nil
}

// measured puts the length of what stands in dst from start on before it.
func measured(dst []byte, start int) []byte {
	n := len(dst) - start
	size := protowire.SizeVarint(uint64(n))
	dst = append(dst, "0123456789"[:size]...)
	copy(dst[start+size:], dst[start:start+n])
	protowire.AppendVarint(dst[:start], uint64(n))
	return dst
}
