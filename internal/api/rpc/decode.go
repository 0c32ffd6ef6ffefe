package rpc

import (
	"encoding/hex"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/value"
)

// item is one value as it stood on the wire.
type item struct {
	number uint64 // of a varint or a fixed number
	bytes  []byte // of everything else
}

// given is a message that was sent: what each of its fields has, by the field's
// index. A field that is no list has one value at most.
type given struct {
	of    *message
	items [][]item
}

// read splits a message off the wire. What the message has no field for is left
// out, as protobuf wants it: a newer client may send it.
func (m *message) read(wire []byte) (*given, error) {
	g := &given{of: m, items: make([][]item, len(m.fields))}
	space := make([]item, 0, len(m.fields))
	for len(wire) > 0 {
		number, typ, n := protowire.ConsumeTag(wire)
		if n < 0 {
			return nil, malformed(m, "", protowire.ParseError(n))
		}
		wire = wire[n:]
		f := m.byNumber(number)
		if f == nil {
			if n = protowire.ConsumeFieldValue(number, typ, wire); n < 0 {
				return nil, malformed(m, "", protowire.ParseError(n))
			}
			wire = wire[n:]
			continue
		}
		n, err := g.take(f, typ, wire, &space)
		if err != nil {
			return nil, err
		}
		wire = wire[n:]
	}
	return g, nil
}

// take reads one value of a field, or a list's packed ones, and tells how long it
// was.
func (g *given) take(f *field, typ protowire.Type, wire []byte, space *[]item) (int, error) {
	have := &g.items[f.index]
	if f.packed() && typ == protowire.BytesType {
		packed, n := protowire.ConsumeBytes(wire)
		for n >= 0 && len(packed) > 0 {
			v, used, err := f.consume(f.wireType(), packed)
			if err != nil {
				return 0, malformed(g.of, f.name, err)
			}
			*have, packed = append(*have, v), packed[used:]
		}
		if n < 0 {
			return 0, malformed(g.of, f.name, protowire.ParseError(n))
		}
		return n, nil
	}
	v, n, err := f.consume(typ, wire)
	switch {
	case err != nil:
		return 0, malformed(g.of, f.name, err)
	case f.list:
		*have = append(*have, v)
	case *have == nil:
		*space = append(*space, v)
		*have = (*space)[len(*space)-1 : len(*space) : len(*space)]
	case f.merges(): // a message that comes in parts is their sum
		(*have)[0].bytes = slices.Concat((*have)[0].bytes, v.bytes)
	default:
		(*have)[0] = v
	}
	return n, nil
}

func (f *field) merges() bool { return f.message != nil || f.typ.Kind == value.Timestamp }

func (f *field) consume(typ protowire.Type, wire []byte) (item, int, error) {
	var v item
	var n int
	switch {
	case typ != f.wireType():
		return v, 0, fault.New(fault.InvalidBody, "it is of another type")
	case typ == protowire.VarintType:
		v.number, n = protowire.ConsumeVarint(wire)
	case typ == protowire.Fixed64Type:
		v.number, n = protowire.ConsumeFixed64(wire)
	default:
		v.bytes, n = protowire.ConsumeBytes(wire)
	}
	return v, n, protowire.ParseError(n)
}

func malformed(m *message, field string, err error) error {
	f := fault.New(fault.InvalidBody, "the message is no %s", m.full).WithDetails("%s", err)
	if field != "" {
		f = f.WithDetails("%s: %s", field, err)
	}
	return f
}

// has reports whether the field was sent. Of a list that is: with a value.
func (g *given) has(f *field) bool { return f != nil && len(g.items[f.index]) > 0 }

// one is the value of a field; ok is false where it was not sent.
func (g *given) one(name string) (f *field, v item, ok bool) {
	f = g.of.byName(name)
	if !g.has(f) {
		return f, item{}, false
	}
	return f, g.items[f.index][0], true
}

// text is a field's text; empty where it was not sent.
func (g *given) text(name string) string {
	_, v, _ := g.one(name)
	return string(v.bytes)
}

// int is a field's number; 0 where it was not sent.
func (g *given) int(name string) int64 {
	_, v, _ := g.one(name)
	return int64(v.number) //nolint:gosec // two's complement is what the wire has
}

// message is a field's message; nil where it was not sent.
func (g *given) message(name string) (*given, error) {
	f, v, ok := g.one(name)
	if !ok {
		return nil, nil //nolint:nilnil // it is allowed not to be there
	}
	return f.message.read(v.bytes)
}

// messages are a list's messages.
func (g *given) messages(name string) ([]*given, error) {
	f := g.of.byName(name)
	out := make([]*given, len(g.items[f.index]))
	for i, v := range g.items[f.index] {
		var err error
		if out[i], err = f.message.read(v.bytes); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// mask are the paths of a FieldMask; nil where it was not sent.
func (g *given) mask(name string) ([]string, error) {
	m, err := g.message(name)
	if m == nil || err != nil {
		return nil, err
	}
	paths := make([]string, len(m.items[0]))
	for i, v := range m.items[0] {
		paths[i] = string(v.bytes)
	}
	return paths, nil
}

// appendWire appends the message in one form of the many that the wire allows: two
// requests that mean the same have the same.
func (g *given) appendWire(dst []byte) ([]byte, error) {
	for _, f := range g.of.fields {
		for _, v := range g.items[f.index] {
			dst = protowire.AppendTag(dst, f.number, f.wireType())
			switch {
			case f.message != nil:
				inner, err := f.message.read(v.bytes)
				if err != nil {
					return dst, err
				}
				start := len(dst)
				if dst, err = inner.appendWire(dst); err != nil {
					return dst, err
				}
				dst = measured(dst, start)
			case f.wireType() == protowire.BytesType:
				dst = protowire.AppendBytes(dst, v.bytes)
			default:
				dst = protowire.AppendVarint(dst, v.number)
			}
		}
	}
	return dst, nil
}

// appendJSON appends the message as the JSON object that operations take.
func (g *given) appendJSON(dst []byte) ([]byte, error) {
	dst = append(dst, '{')
	first := true
	for _, f := range g.of.fields {
		if !g.sent(f) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(value.AppendQuoted(dst, f.json), ':')
		var err error
		if dst, err = g.appendField(dst, f); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

// sent reports whether a field has a value: an enum's 0 is none.
func (g *given) sent(f *field) bool {
	have := g.items[f.index]
	return len(have) > 0 && (f.list || f.enum == nil || have[0].number != 0)
}

// appendField appends what the field has as JSON.
func (g *given) appendField(dst []byte, f *field) ([]byte, error) {
	have := g.items[f.index]
	if !f.list {
		return f.appendText(dst, have[0])
	}
	dst = append(dst, '[')
	for i, v := range have {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = f.appendText(dst, v); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

// appendText appends one value as the JSON of its type.
func (f *field) appendText(dst []byte, v item) ([]byte, error) {
	if f.message != nil {
		g, err := f.message.read(v.bytes)
		if err != nil {
			return dst, err
		}
		return g.appendJSON(dst)
	}
	switch f.typ.Kind {
	case value.Int, value.Float, value.Bool:
		s, err := f.literal(v)
		return append(dst, s...), err
	case value.JSON:
		s, err := value.CanonicalJSON(string(v.bytes))
		if err != nil {
			return dst, about(err, f.name)
		}
		return append(dst, s...), nil
	case value.Text, value.UUID, value.Decimal, value.Date, value.Time, value.Timestamp, value.Bytes, value.Enum, value.File, value.Invalid:
	}
	s, err := f.literal(v)
	if err != nil {
		return dst, err
	}
	return value.AppendQuoted(dst, s), nil
}

// literal is one value as the text that its type reads.
func (f *field) literal(v item) (string, error) {
	switch f.typ.Kind {
	case value.Int:
		return strconv.FormatInt(int64(v.number), 10), nil //nolint:gosec // two's complement is what the wire has
	case value.Float:
		n := math.Float64frombits(v.number)
		if math.IsNaN(n) || math.IsInf(n, 0) {
			return "", about(fault.New(fault.NumericOutOfRange, "a float is finite"), f.name)
		}
		return strconv.FormatFloat(n, 'g', -1, 64), nil
	case value.Bool:
		return strconv.FormatBool(v.number != 0), nil
	case value.Bytes:
		return `\x` + hex.EncodeToString(v.bytes), nil
	case value.Timestamp:
		return f.timestamp(v.bytes)
	case value.Enum:
		word, ok := f.enum.words[int(v.number)] //nolint:gosec // what is no number of the enum is found in none
		if !ok {
			return "", about(fault.New(fault.InvalidText, "%s has no value %d", f.enum.full, int64(v.number)), f.name) //nolint:gosec // as above
		}
		return word, nil
	case value.Text, value.UUID, value.Decimal, value.Date, value.Time, value.JSON, value.File, value.Invalid:
	}
	if !utf8.Valid(v.bytes) {
		return "", about(fault.New(fault.InvalidEncoding, "a text must be valid UTF-8"), f.name)
	}
	return string(v.bytes), nil
}

// timestamp reads a google.protobuf.Timestamp.
func (f *field) timestamp(wire []byte) (string, error) {
	var sec, nanos int64
	for len(wire) > 0 {
		number, typ, n := protowire.ConsumeTag(wire)
		if n < 0 {
			return "", about(fault.New(fault.InvalidBody, "this is no Timestamp"), f.name)
		}
		wire = wire[n:]
		var v uint64
		if typ == protowire.VarintType && (number == secondsNumber || number == nanosNumber) {
			v, n = protowire.ConsumeVarint(wire)
		} else {
			n = protowire.ConsumeFieldValue(number, typ, wire)
		}
		if n < 0 {
			return "", about(fault.New(fault.InvalidBody, "this is no Timestamp"), f.name)
		}
		wire = wire[n:]
		switch number { //nolint:exhaustive // the others are not the message's
		case secondsNumber:
			sec = int64(v) //nolint:gosec // two's complement is what the wire has
		case nanosNumber:
			nanos = int64(v) //nolint:gosec // as above
		}
	}
	// The bounds of google.protobuf.Timestamp: the years 1 to 9999.
	const first, last = -62135596800, 253402300799
	if sec < first || sec > last || nanos < 0 || nanos > 999_999_999 {
		return "", about(fault.New(fault.DatetimeOverflow, "a Timestamp is within the years 1 to 9999"), f.name)
	}
	return time.Unix(sec, nanos).UTC().Format(time.RFC3339Nano), nil
}

// about is a fault that is about a field.
func about(err error, field string) error {
	f := *fault.From(err)
	f.Field = field
	return &f
}
