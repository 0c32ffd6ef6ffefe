package value

import (
	"encoding/binary"
	"math/bits"
	"strconv"
	"unicode/utf8"
)

// AppendJSON appends v, a value of type t, in its JSON wire form. Null is
// null.
func (t Type) AppendJSON(dst []byte, v Value) []byte {
	if v.IsNull() {
		return append(dst, "null"...)
	}
	if t.List {
		return append(dst, v.Str...)
	}
	switch t.Kind {
	case Text, Enum, File:
		return AppendQuoted(dst, v.Str)
	case UUID, Timestamp, Date, Time: // nothing in them needs an escape
		dst = append(dst, '"')
		dst = append(dst, v.Str...)
		return append(dst, '"')
	case Bytes:
		dst = appendHex(dst, `"\`, v.Str)
		return append(dst, '"')
	case Int, Float, Decimal, Bool, JSON, Invalid:
	}
	return t.AppendText(dst, v)
}

// AppendText appends v, a value of type t, in its wire form as text: a CSV
// cell, a key, a cursor's part. [Type.FromText] reads it back. Null appends
// nothing; a list is a JSON array.
func (t Type) AppendText(dst []byte, v Value) []byte {
	if v.IsNull() {
		return dst
	}
	if t.List {
		return append(dst, v.Str...)
	}
	switch t.Kind {
	case Int:
		return strconv.AppendInt(dst, v.Int, 10)
	case Float:
		return AppendFloat(dst, v.Float)
	case Decimal:
		return AppendDecimal(dst, v.Int, t.Scale)
	case Bool:
		return strconv.AppendBool(dst, v.Int != 0)
	case Bytes:
		return appendHex(dst, "", v.Str)
	case Text, Enum, File, UUID, Timestamp, Date, Time, JSON, Invalid:
	}
	return append(dst, v.Str...)
}

// AppendQuoted appends s as a JSON string, with PostgreSQL's escapes: \b \f \n
// \r \t \" \\, other control characters as \u00xx, everything else as it is.
// What is not UTF-8 becomes U+FFFD, so that the result always is. It allocates
// only to grow dst.
func AppendQuoted[S ~[]byte | ~string](dst []byte, s S) []byte {
	dst = append(dst, '"')
	i := plain(s)
	if i == len(s) {
		dst = append(dst, s...)
		return append(dst, '"')
	}
	const digits = "0123456789abcdef"
	start := 0
	for i < len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			if c < utf8.RuneSelf {
				i++
				continue
			}
			if size := runeLen(s[i:]); size > 0 {
				i += size
				continue
			}
		}
		dst = append(dst, s[start:i]...)
		i++
		start = i
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, `\b`...)
		case '\f':
			dst = append(dst, `\f`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			if c >= utf8.RuneSelf {
				dst = append(dst, "\uFFFD"...)
				continue
			}
			dst = append(dst, `\u00`...)
			dst = append(dst, digits[c>>4], digits[c&15])
		}
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// runeLen is the length of the character at the start of s, or 0 where s does
// not start with valid UTF-8.
func runeLen[S ~[]byte | ~string](s S) int {
	var buf [utf8.UTFMax]byte
	n := copy(buf[:], s)
	r, size := utf8.DecodeRune(buf[:n])
	if r == utf8.RuneError && size <= 1 {
		return 0
	}
	return size
}

// plain returns the index of the first byte of s that a JSON string does not
// take as it is (a control character, a quote, a backslash) or that is not
// ASCII, or len(s). It looks at eight bytes at a time.
func plain[S ~[]byte | ~string](s S) int {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	i := 0
	var word [8]byte
	for ; i+8 <= len(s); i += 8 {
		copy(word[:], s[i:i+8])
		w := binary.LittleEndian.Uint64(word[:])
		quote := w ^ ones*'"'
		slash := w ^ ones*'\\'
		// The borrow of a subtraction may mark a byte above the first marked
		// one wrongly, never the first itself.
		mark := (w | (w - ones*' ') | (quote - ones) | (slash - ones)) & highs
		if mark != 0 {
			return i + bits.TrailingZeros64(mark)/8
		}
	}
	for ; i < len(s); i++ {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return i
		}
	}
	return i
}
