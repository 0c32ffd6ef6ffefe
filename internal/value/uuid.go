package value

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"time"
)

const uuidLen = 36

// uuid reads 32 hexadecimal digits of any case, as PostgreSQL does: a hyphen
// may stand after each group of four, and braces around the whole.
func (t Type) uuid(s string) (Value, error) {
	w := s
	if len(w) > 1 && w[0] == '{' && w[len(w)-1] == '}' {
		w = w[1 : len(w)-1]
	}
	var buf [uuidLen]byte
	out := buf[:0]
	digits := 0
	for i := range len(w) {
		c := w[i]
		if c == '-' && digits > 0 && digits < 32 && digits%4 == 0 && w[i-1] != '-' {
			continue
		}
		if unhex(c) < 0 || digits == 32 {
			return Value{}, t.invalid(s)
		}
		if digits == 8 || digits == 12 || digits == 16 || digits == 20 {
			out = append(out, '-')
		}
		if c >= 'A' && c <= 'F' {
			c |= 0x20
		}
		out = append(out, c)
		digits++
	}
	if digits != 32 {
		return Value{}, t.invalid(s)
	}
	return OfText(same(out, s)), nil
}

// NewUUID returns a version 7 UUID (RFC 9562, 5.7) in its canonical form: 48
// bits of Unix milliseconds, 12 bits of the millisecond's fraction (6.2, method
// 3: later calls sort later down to a quarter of a microsecond, given a clock
// that fine), and 62 bits of random, which is read once for 8 bytes. Keys that
// are made in one such step are unique but in no order. It keeps no state.
//
// It panics when random fails: a key that can be guessed or repeats is worse.
func NewUUID(now time.Time, random io.Reader) string {
	const micro = uint64(time.Microsecond)
	const milli = uint64(time.Millisecond)
	// One array serves as the reader's buffer and as the text: what is handed
	// to an interface is allocated.
	b := make([]byte, uuidLen)
	if _, err := io.ReadFull(random, b[:8]); err != nil {
		panic(fmt.Sprintf("value: no random bytes for a UUID: %v", err))
	}
	var id [16]byte
	copy(id[8:], b[:8])
	fraction := uint64(now.Nanosecond()) % milli * 4096 / (1000 * micro)
	binary.BigEndian.PutUint64(id[:8], uint64(now.UnixMilli())<<16|7<<12|fraction)
	id[8] = id[8]&0x3f | 0x80
	hex.Encode(b[0:8], id[0:4])
	hex.Encode(b[9:13], id[4:6])
	hex.Encode(b[14:18], id[6:8])
	hex.Encode(b[19:23], id[8:10])
	hex.Encode(b[24:36], id[10:16])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b)
}

// NextUUID returns a UUID that sorts after a version 7 one and shares its
// time: its last 48 bits are raised by a random step below 2^24 (RFC 9562,
// section 6.2, method 2). It returns "" when prev is "" or there is none left.
// It panics if random fails.
func NextUUID(prev string, random io.Reader) string {
	const tail = 24 // where the last group begins
	if len(prev) != 36 {
		return ""
	}
	n, err := strconv.ParseUint(prev[tail:], 16, 64)
	if err != nil {
		return ""
	}
	var step [3]byte
	if _, err := io.ReadFull(random, step[:]); err != nil {
		panic(fmt.Sprintf("value: no randomness for a UUID: %v", err))
	}
	n += 1 + uint64(step[0])<<16 + uint64(step[1])<<8 + uint64(step[2])
	if n >= 1<<48 {
		return ""
	}
	return fmt.Sprintf("%s%012x", prev[:tail], n)
}
