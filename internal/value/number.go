package value

import (
	"math"
	"strconv"
	"strings"

	"github.com/pandobase/pando/internal/fault"
)

// decimalDigits is how many digits a decimal has at most, before and after the
// point together: what PostgreSQL's numeric(18, scale) and an int64 both hold.
const decimalDigits = 18

const decimalLimit int64 = 1e18 // 10^decimalDigits

// integer reads an optional sign and digits. 1.0 and 1e3 are no ints, as in
// PostgreSQL.
func (t Type) integer(s string) (Value, error) {
	w := trimSpace(s)
	digits := strings.TrimLeft(unsigned(w), "0")
	for i := range len(digits) {
		if !isDigit(digits[i]) {
			return Value{}, t.invalid(s)
		}
	}
	if unsigned(w) == "" {
		return Value{}, t.invalid(s)
	}
	n, err := strconv.ParseInt(w, 10, 64)
	if err != nil { // the syntax was checked above: only the range is left
		return Value{}, fault.New(fault.NumericOutOfRange, "value %s is out of range for type %s", show(w), t)
	}
	return OfInt(n), nil
}

// unsigned is s without one leading sign.
func unsigned(s string) string {
	if s != "" && (s[0] == '+' || s[0] == '-') {
		return s[1:]
	}
	return s
}

// numeral is a decimal number taken apart: mantissa digits with their point
// left out, and the power of ten of the last one.
type numeral struct {
	negative       bool
	whole, part    string // digits before and after the point
	exponent       int64  // as written, clamped to ±maxExponent
	exponentDigits bool   // there was an exponent
}

// maxExponent is where exponents are clamped: far outside of every range, far
// inside of int64.
const maxExponent = 1 << 40

// parseNumeral reads [+-] digits [. digits] [e [+-] digits], with at least one
// digit before the exponent.
func parseNumeral(s string) (numeral, bool) {
	var n numeral
	n.negative = s != "" && s[0] == '-'
	s = unsigned(s)
	n.whole, s = cutDigits(s)
	if s != "" && s[0] == '.' {
		n.part, s = cutDigits(s[1:])
	}
	if n.whole == "" && n.part == "" {
		return n, false
	}
	if s == "" {
		return n, true
	}
	if s[0] != 'e' && s[0] != 'E' {
		return n, false
	}
	sign := int64(1)
	if len(s) > 1 && s[1] == '-' {
		sign = -1
	}
	digits, rest := cutDigits(unsigned(s[1:]))
	if digits == "" || rest != "" {
		return n, false
	}
	n.exponentDigits = true
	for i := range len(digits) {
		n.exponent = min(n.exponent*10+int64(digits[i]-'0'), maxExponent)
	}
	n.exponent *= sign
	return n, true
}

func cutDigits(s string) (digits, rest string) {
	i := 0
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	return s[:i], s[i:]
}

// zero reports whether every digit is 0.
func (n *numeral) zero() bool {
	return strings.TrimLeft(n.whole, "0") == "" && strings.TrimLeft(n.part, "0") == ""
}

// float reads a finite float. NaN and the infinities are refused, since JSON
// cannot show them; what rounds to them, or to zero, is out of range, as in
// PostgreSQL. -0 becomes 0: SQLite's REAL columns do not keep the sign.
func (t Type) float(s string) (Value, error) {
	w := trimSpace(s)
	n, ok := parseNumeral(w)
	if !ok {
		err := t.invalid(s)
		switch strings.ToLower(unsigned(w)) {
		case "nan", "inf", "infinity":
			err = err.WithHint("JSON has no form for it; store null instead")
		}
		return Value{}, err
	}
	f, err := strconv.ParseFloat(w, 64)
	if err != nil || f == 0 && !n.zero() {
		return Value{}, fault.New(fault.NumericOutOfRange, "value %s is out of range for type %s", show(w), t)
	}
	if f == 0 {
		f = 0 // also of -0
	}
	return OfFloat(f), nil
}

// decimal reads a number exactly: digits beyond the scale are refused unless
// they are zeros.
func (t Type) decimal(s string) (Value, error) {
	w := trimSpace(s)
	n, ok := parseNumeral(w)
	if !ok {
		return Value{}, t.invalid(s)
	}
	if n.zero() {
		return OfInt(0), nil
	}
	// The value is digits × 10^(exponent - len(part)); trailing zeros of the
	// digits go into the power, so that it alone tells what does not fit.
	digits := strings.TrimLeft(n.whole+n.part, "0")
	power := n.exponent - int64(len(n.part)) + int64(len(digits))
	digits = strings.TrimRight(digits, "0")
	power -= int64(len(digits))
	shift := power + int64(t.Scale)
	if shift < 0 {
		return Value{}, fault.New(fault.InvalidText, "value %s has more than %d digits after the point", show(w), t.Scale).
			WithHint("values of type %s are never rounded", t)
	}
	if int64(len(digits))+shift > decimalDigits {
		return Value{}, fault.New(fault.NumericOutOfRange, "value %s is out of range for type %s", show(w), t).
			WithDetails("at most %d digits stand before the point", decimalDigits-t.Scale)
	}
	var v int64
	for i := range len(digits) {
		v = v*10 + int64(digits[i]-'0')
	}
	for range shift {
		v *= 10
	}
	if n.negative {
		v = -v
	}
	return OfInt(v), nil
}

// InDecimalRange reports whether a scaled decimal has at most 18 digits: the
// range check for arithmetic on decimals.
func InDecimalRange(n int64) bool { return n > -decimalLimit && n < decimalLimit }

// AppendFloat appends f as PostgreSQL's float8 prints it: the shortest digits
// that read back as f, without a point where none is needed (1, not 1.0), with
// an exponent of at least two digits below 1e-4 and from 1e+15 on. -0 prints
// -0. f must be finite; JSON's null is appended where it is not.
func AppendFloat(dst []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(dst, "null"...)
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
	// d.ddde±XX: PostgreSQL goes by the decimal exponent of the shortest form.
	e := len(dst) - 1
	for dst[e] != 'e' {
		e--
	}
	exp := 0
	for _, c := range dst[e+2:] {
		exp = exp*10 + int(c-'0')
	}
	if dst[e+1] == '-' {
		exp = -exp
	}
	if exp < -4 || exp >= 15 {
		return dst
	}
	return strconv.AppendFloat(dst[:start], f, 'f', -1, 64)
}

// AppendDecimal appends n / 10^scale with exactly scale digits after the
// point.
func AppendDecimal(dst []byte, n int64, scale int) []byte {
	u := uint64(n)
	if n < 0 {
		dst = append(dst, '-')
		u = -u
	}
	if scale <= 0 {
		return strconv.AppendUint(dst, u, 10)
	}
	var buf [20]byte
	digits := strconv.AppendUint(buf[:0], u, 10)
	whole := len(digits) - scale
	if whole <= 0 {
		dst = append(dst, "0."...)
		for ; whole < 0; whole++ {
			dst = append(dst, '0')
		}
		return append(dst, digits...)
	}
	dst = append(dst, digits[:whole]...)
	dst = append(dst, '.')
	return append(dst, digits[whole:]...)
}
