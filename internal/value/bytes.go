package value

import "strings"

// bytes reads \x and pairs of hexadecimal digits, between which white space
// may stand. PostgreSQL's old escape format is refused: it would take any text
// for bytes.
func (t Type) bytes(s string) (Value, error) {
	digits, ok := strings.CutPrefix(s, `\x`)
	if !ok {
		return Value{}, t.invalid(s).WithHint(`write bytes in hexadecimal, like \x48656c6c6f`)
	}
	out := make([]byte, 0, len(digits)/2)
	for i := 0; i < len(digits); {
		if isSpace(digits[i]) {
			i++
			continue
		}
		if i+1 == len(digits) {
			return Value{}, t.invalid(s).WithHint("the number of hexadecimal digits is odd")
		}
		hi, lo := unhex(digits[i]), unhex(digits[i+1])
		if hi < 0 || lo < 0 {
			return Value{}, t.invalid(s).WithHint("at byte %d there is no pair of hexadecimal digits", i+2)
		}
		out = append(out, byte(hi<<4|lo))
		i += 2
	}
	return OfBytes(string(out)), nil
}

// unhex is the value of a hexadecimal digit, or -1.
func unhex(c byte) int {
	switch {
	case isDigit(c):
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// appendHex appends \x and the digits of s; esc is put before the backslash.
func appendHex(dst []byte, esc, s string) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, esc...)
	dst = append(dst, `\x`...)
	for i := range len(s) {
		dst = append(dst, digits[s[i]>>4], digits[s[i]&15])
	}
	return dst
}
