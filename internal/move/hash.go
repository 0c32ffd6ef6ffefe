package move

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/bits"
	"strconv"
	"strings"

	"github.com/pandobase/pando/internal/value"
)

// sum is the sum of the hashes of rows, modulo 2^128: it does not depend on
// their order, and a row that is there twice counts twice.
type sum struct {
	hi, lo uint64
	rows   int64
}

func (s *sum) add(h [2]uint64) {
	var carry uint64
	s.lo, carry = bits.Add64(s.lo, h[1], 0)
	s.hi, _ = bits.Add64(s.hi, h[0], carry)
	s.rows++
}

func (s *sum) String() string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], s.hi)
	binary.BigEndian.PutUint64(b[8:], s.lo)
	return hex.EncodeToString(b[:])
}

// hasher hashes rows over the canonical form of their values, which both
// databases answer alike.
type hasher struct{ buf []byte }

func (h *hasher) row(t *table, row []value.Value) [2]uint64 {
	b := h.buf[:0]
	for i := range row {
		b = appendForm(b, t.Columns[i].Type, &row[i])
	}
	h.buf = b
	digest := sha256.Sum256(b)
	return [2]uint64{binary.BigEndian.Uint64(digest[:8]), binary.BigEndian.Uint64(digest[8:16])}
}

// appendForm appends a value so that no two rows have the same bytes.
func appendForm(b []byte, t value.Type, v *value.Value) []byte {
	b = append(b, byte(v.Tag))
	switch v.Tag {
	case value.TagInt:
		return binary.BigEndian.AppendUint64(b, uint64(v.Int)) //nolint:gosec // the bits are what is hashed
	case value.TagFloat:
		return binary.BigEndian.AppendUint64(b, math.Float64bits(v.Float+0)) // there is one zero
	case value.TagText, value.TagBytes:
		s := v.Str
		if t.List && t.Kind == value.Float {
			s = floats(s)
		}
		b = binary.AppendUvarint(b, uint64(len(s)))
		return append(b, s...)
	case value.TagNull:
	}
	return b
}

// floats writes the numbers of a list in one form: a database may choose
// another exponent.
func floats(list string) string {
	if len(list) < 2 {
		return list
	}
	parts := strings.Split(list[1:len(list)-1], ",")
	for i, p := range parts {
		if f, err := strconv.ParseFloat(p, 64); err == nil {
			parts[i] = strconv.FormatFloat(f+0, 'g', -1, 64)
		}
	}
	return "[" + strings.Join(parts, ",") + "]"
}
