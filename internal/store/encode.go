package store

import (
	"strconv"

	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/value"
)

// encoding is how one column becomes JSON.
type encoding uint8

const (
	encRaw    encoding = iota // already JSON: lists, json, embedded rows
	encInt                    // a number
	encQuoted                 // a text, escaped
	encPlain                  // a text that never holds a character to escape
	encBool
	encFloat
	encDecimal
	encBytes
)

func encodingOf(t value.Type) encoding {
	if t.List {
		return encRaw
	}
	switch t.Kind {
	case value.JSON:
		return encRaw
	case value.Int:
		return encInt
	case value.Bool:
		return encBool
	case value.Float:
		return encFloat
	case value.Decimal:
		return encDecimal
	case value.Bytes:
		return encBytes
	case value.UUID, value.Timestamp, value.Date, value.Time:
		return encPlain
	case value.Text, value.Enum, value.File, value.Invalid:
	}
	return encQuoted
}

// object says how a row of columns becomes a JSON object. Objects nest where
// a to-one relation was joined.
type object struct {
	members []member
	present int // column that is null when the joined row is not there; -1: always there
}

type member struct {
	name  string
	key   []byte // ,"name":
	col   int
	enc   encoding
	scale int
	obj   *object
	text  bool   // a number between quotes
	keys  []key  // the row's cursor is made of these; nil: it is no cursor
	fixed []byte // JSON that is always the same; nil: there is a column or an object
}

// appendJSON appends the row's object.
func (o *object) appendJSON(dst []byte, row Row) []byte {
	if o.present >= 0 && row.Null(o.present) {
		return append(dst, "null"...)
	}
	open := len(dst)
	for i := range o.members {
		m := &o.members[i]
		dst = append(dst, m.key...)
		switch {
		case m.fixed != nil:
			dst = append(dst, m.fixed...)
		case m.keys != nil:
			dst = m.appendCursor(dst, row)
		case m.obj != nil:
			dst = m.obj.appendJSON(dst, row)
		default:
			dst = m.append(dst, row)
		}
	}
	if len(dst) == open {
		return append(dst, '{', '}')
	}
	dst[open] = '{' // each key starts with a comma
	return append(dst, '}')
}

// appendCursor appends the row's cursor.
func (m *member) appendCursor(dst []byte, row Row) []byte {
	dst = query.AppendRowCursor(append(dst, '"'), len(m.keys), func(dst []byte, i int) []byte {
		k := &m.keys[i]
		if row.Null(k.col) {
			return append(dst, "null"...)
		}
		return k.typ.AppendJSON(dst, row.Value(k.col))
	})
	return append(dst, '"')
}

// append appends the column's value.
func (m *member) append(dst []byte, row Row) []byte {
	if !m.text {
		return m.appendValue(dst, row)
	}
	if row.Null(m.col) {
		return append(dst, "null"...)
	}
	return append(m.appendValue(append(dst, '"'), row), '"')
}

// appendValue appends the value itself. Null is asked for last where a cheaper
// sign exists: an empty text or a zero may be null, anything else is not.
func (m *member) appendValue(dst []byte, row Row) []byte {
	switch m.enc {
	case encInt:
		if n := row.Int(m.col); n != 0 {
			return strconv.AppendInt(dst, n, 10)
		}
		if row.Null(m.col) {
			return append(dst, "null"...)
		}
		return append(dst, '0')
	case encPlain:
		at := len(dst)
		dst = row.Append(append(dst, '"'), m.col)
		if len(dst) == at+1 && row.Null(m.col) {
			return append(dst[:at], "null"...)
		}
		return append(dst, '"')
	case encQuoted:
		return m.appendQuoted(dst, row)
	case encRaw:
		at := len(dst)
		if dst = row.Append(dst, m.col); len(dst) == at {
			return append(dst, "null"...)
		}
		return dst
	case encBool, encFloat, encDecimal, encBytes:
		if row.Null(m.col) {
			return append(dst, "null"...)
		}
		return m.appendOther(dst, row)
	}
	return dst
}

// appendQuoted copies the text behind an opening quote and escapes it in place
// only when it must be.
func (m *member) appendQuoted(dst []byte, row Row) []byte {
	at := len(dst)
	dst = row.Append(append(dst, '"'), m.col)
	raw := dst[at+1:]
	if len(raw) == 0 && row.Null(m.col) {
		return append(dst[:at], "null"...)
	}
	for _, c := range raw {
		if c < 0x20 || c == '"' || c == '\\' || c == 0x7f {
			return value.AppendQuoted(dst[:at], append([]byte(nil), raw...))
		}
	}
	return append(dst, '"')
}

func (m *member) appendOther(dst []byte, row Row) []byte {
	switch m.enc {
	case encBool:
		return strconv.AppendBool(dst, row.Int(m.col) != 0)
	case encFloat:
		return value.AppendFloat(dst, row.Float(m.col))
	case encDecimal:
		return value.AppendDecimal(dst, row.Int(m.col), m.scale)
	case encBytes:
		return value.Type{Kind: value.Bytes}.AppendJSON(dst, value.OfBytes(string(row.Append(nil, m.col))))
	case encRaw, encInt, encQuoted, encPlain:
	}
	return dst
}

// appendCSV appends the row as one CSV record with its line end (RFC 4180, but
// with a bare newline, as PostgreSQL's COPY writes it). Null is an empty cell;
// an empty text is a quoted empty cell, so that the two stay apart.
func (o *object) appendCSV(dst []byte, row Row) []byte {
	var cell []byte
	for i := range o.members {
		m := &o.members[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		switch {
		case m.fixed != nil:
			cell = append(cell[:0], m.fixed...)
		case m.keys != nil:
			cell = m.appendCursor(cell[:0], row)
		case m.obj != nil:
			cell = m.obj.appendJSON(cell[:0], row)
			if string(cell) == "null" {
				continue
			}
		case row.Null(m.col):
			continue
		case m.enc == encQuoted || m.enc == encPlain:
			if cell = row.Append(cell[:0], m.col); len(cell) == 0 {
				dst = append(dst, '"', '"')
				continue
			}
		case m.enc == encBytes:
			cell = value.Type{Kind: value.Bytes}.AppendText(cell[:0], value.OfBytes(string(row.Append(nil, m.col))))
		default:
			cell = m.appendValue(cell[:0], row)
		}
		dst = appendCell(dst, cell)
	}
	return append(dst, '\n')
}

func (o *object) appendCSVHeader(dst []byte) []byte {
	for i := range o.members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendCell(dst, []byte(o.members[i].name))
	}
	return append(dst, '\n')
}

func appendCell(dst, cell []byte) []byte {
	quote := len(cell) > 0 && cell[0] == ' '
	for _, c := range cell {
		if c == '"' || c == ',' || c == '\n' || c == '\r' {
			quote = true
			break
		}
	}
	if !quote {
		return append(dst, cell...)
	}
	dst = append(dst, '"')
	for _, c := range cell {
		if c == '"' {
			dst = append(dst, '"')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}

func memberKey(name string) []byte {
	return append(value.AppendQuoted([]byte{','}, []byte(name)), ':')
}
