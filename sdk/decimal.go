package pando

import (
	"bytes"
	"cmp"
	"errors"
	"math"
	"math/big"
	"math/bits"
	"strconv"
	"strings"
)

// MaxDigits is how many digits a [Decimal] has at most.
const MaxDigits = 18

const tooLarge = 1_000_000_000_000_000_000 // 10^MaxDigits

// Decimal is an exact decimal number of at most 18 digits: the model's type
// decimal. The zero value is 0. Values are compared with [Decimal.Equal] and
// [Decimal.Cmp]: == also compares how many digits stand behind the point.
//
// A result that needs more than 18 digits, or a division by zero, is no number
// (see [Decimal.Valid]). That stays so in whatever is computed with it, and neither
// JSON nor the store takes it, so no rounded or wrapped amount is ever written.
type Decimal struct {
	units int64 // the number times 10^scale
	scale uint8
	bad   bool
}

// NewDecimal is units times 10^-scale: NewDecimal(1999, 2) is 19.99. A scale outside
// 0..18 is no number.
func NewDecimal(units int64, scale int) Decimal {
	if scale < 0 || scale > MaxDigits || units <= -tooLarge || units >= tooLarge {
		return Decimal{bad: true}
	}
	return Decimal{units: units, scale: uint8(scale)}
}

var errDecimal = errors.New("this is no decimal number of at most 18 digits")

// ParseDecimal reads a number like -19.90, without an exponent. The digits behind
// the point are kept.
func ParseDecimal(s string) (Decimal, error) {
	whole, fraction, point := strings.Cut(s, ".")
	if point && fraction == "" || !digits(strings.TrimLeft(whole, "+-")) || fraction != "" && !digits(fraction) || len(fraction) > MaxDigits {
		return Decimal{}, errDecimal
	}
	units, err := strconv.ParseInt(whole+fraction, 10, 64)
	if err != nil || units <= -tooLarge || units >= tooLarge {
		return Decimal{}, errDecimal
	}
	return Decimal{units: units, scale: uint8(len(fraction))}, nil //nolint:gosec // at most MaxDigits
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// MustDecimal is [ParseDecimal] for constants. It panics where s is no number.
func MustDecimal(s string) Decimal {
	d, err := ParseDecimal(s)
	if err != nil {
		panic("pando: " + strconv.Quote(s) + ": " + err.Error())
	}
	return d
}

// Valid reports whether d is a number.
func (d Decimal) Valid() bool { return !d.bad }

// Scale is how many digits stand behind the point.
func (d Decimal) Scale() int { return int(d.scale) }

// Units is the number times 10^Scale.
func (d Decimal) Units() int64 { return d.units }

// Sign is -1, 0 or 1.
func (d Decimal) Sign() int {
	switch {
	case d.units < 0:
		return -1
	case d.units > 0:
		return 1
	}
	return 0
}

// IsZero reports whether d is 0.
func (d Decimal) IsZero() bool { return d.units == 0 && !d.bad }

// Float64 is the nearest float; NaN where d is no number.
func (d Decimal) Float64() float64 {
	f, err := strconv.ParseFloat(d.String(), 64)
	if err != nil {
		return math.NaN()
	}
	return f
}

// pow10 is 10^n, for n up to 18.
func pow10(n uint8) int64 {
	p := int64(1)
	for range n {
		p *= 10
	}
	return p
}

// scaled is d's units at a scale that is not less than its own. false: they are too
// many.
func (d Decimal) scaled(scale uint8) (int64, bool) {
	p := pow10(scale - d.scale)
	if u := d.units * p; u/p == d.units && u > -tooLarge && u < tooLarge {
		return u, true
	}
	return 0, false
}

// Cmp is -1, 0 or 1 as d is less than, equal to or greater than e. What is no
// number is less than every number.
func (d Decimal) Cmp(e Decimal) int {
	switch {
	case d.bad || e.bad:
		return compare(e.bad, d.bad)
	case d.Sign() != e.Sign():
		return cmp.Compare(d.Sign(), e.Sign())
	}
	scale := max(d.scale, e.scale)
	a, fits := d.scaled(scale)
	b, also := e.scaled(scale)
	switch {
	case fits && also && a < b || fits && !also && d.Sign() > 0 || !fits && also && d.Sign() < 0:
		return -1
	case fits && also && a == b:
		return 0
	}
	return 1
}

func compare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// Equal reports whether d and e are the same number: 1.5 and 1.50 are.
func (d Decimal) Equal(e Decimal) bool { return d.Cmp(e) == 0 }

// Neg is -d.
func (d Decimal) Neg() Decimal {
	d.units = -d.units
	return d
}

// Add is d + e, with as many digits behind the point as the one that has more; with
// fewer where 18 digits want it and nothing is lost.
func (d Decimal) Add(e Decimal) Decimal {
	if d.bad || e.bad {
		return Decimal{bad: true}
	}
	scale := max(d.scale, e.scale)
	a, fits := d.scaled(scale)
	b, also := e.scaled(scale)
	if sum := a + b; fits && also && sum > -tooLarge && sum < tooLarge {
		return Decimal{units: sum, scale: scale}
	}
	sum := new(big.Int).Mul(big.NewInt(d.units), tenTo(int(scale-d.scale)))
	return fit(sum.Add(sum, new(big.Int).Mul(big.NewInt(e.units), tenTo(int(scale-e.scale)))), int(scale))
}

// fit is units times 10^-scale, without zeros at the end that there is no room for.
func fit(units *big.Int, scale int) Decimal {
	ten, rest := big.NewInt(10), new(big.Int)
	for scale > 0 && (scale > MaxDigits || units.CmpAbs(big.NewInt(tooLarge)) >= 0) {
		var q *big.Int
		if q, rest = new(big.Int).QuoRem(units, ten, rest); rest.Sign() != 0 {
			break
		}
		units, scale = q, scale-1
	}
	if !units.IsInt64() {
		return Decimal{bad: true}
	}
	return NewDecimal(units.Int64(), scale)
}

// Sub is d - e.
func (d Decimal) Sub(e Decimal) Decimal { return d.Add(e.Neg()) }

// Mul is d times e, with the digits behind the point of both together; with fewer
// where 18 digits want it and nothing is lost.
func (d Decimal) Mul(e Decimal) Decimal {
	if d.bad || e.bad {
		return Decimal{bad: true}
	}
	hi, lo := bits.Mul64(magnitude(d.units), magnitude(e.units))
	if hi != 0 || lo >= tooLarge || d.scale+e.scale > MaxDigits {
		return fit(new(big.Int).Mul(big.NewInt(d.units), big.NewInt(e.units)), int(d.scale)+int(e.scale))
	}
	units := int64(lo) //nolint:gosec // below 10^18
	if (d.units < 0) != (e.units < 0) {
		units = -units
	}
	return Decimal{units: units, scale: d.scale + e.scale}
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return uint64(-n) //nolint:gosec // above -10^18
	}
	return uint64(n)
}

// MulInt is d times n: the price of n pieces.
func (d Decimal) MulInt(n int64) Decimal { return d.Mul(NewDecimal(n, 0)) }

// Div is d / e with scale digits behind the point, rounded as [Decimal.Round] does.
func (d Decimal) Div(e Decimal, scale int) Decimal {
	if d.bad || e.bad || e.units == 0 || scale < 0 || scale > MaxDigits {
		return Decimal{bad: true}
	}
	// d.units/10^d.scale / (e.units/10^e.scale) * 10^scale
	over := new(big.Int).Mul(big.NewInt(d.units), tenTo(scale+int(e.scale)))
	under := new(big.Int).Mul(big.NewInt(e.units), tenTo(int(d.scale)))
	q, rest := new(big.Int).QuoRem(over, under, new(big.Int))
	if rest.Abs(rest).Lsh(rest, 1).CmpAbs(under) >= 0 { // half or more: away from zero
		q.Add(q, big.NewInt(int64(over.Sign()*under.Sign())))
	}
	if !q.IsInt64() {
		return Decimal{bad: true}
	}
	return NewDecimal(q.Int64(), scale)
}

func tenTo(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

// Round is d with scale digits behind the point; half is rounded away from zero, as
// PostgreSQL does: 0.125 is 0.13, -0.125 is -0.13.
func (d Decimal) Round(scale int) Decimal {
	switch {
	case d.bad || scale < 0 || scale > MaxDigits:
		return Decimal{bad: true}
	case scale >= int(d.scale):
		units, fits := d.scaled(uint8(scale)) //nolint:gosec // checked above
		return Decimal{units: units, scale: uint8(scale), bad: !fits}
	}
	p := pow10(d.scale - uint8(scale)) //nolint:gosec // checked above
	units, rest := d.units/p, d.units%p
	switch {
	case rest*2 >= p:
		units++
	case rest*2 <= -p:
		units--
	}
	return NewDecimal(units, scale)
}

// String is d as it is written: 19.90. What is no number is NaN.
func (d Decimal) String() string { return string(d.appendText(nil)) }

func (d Decimal) appendText(dst []byte) []byte {
	if d.bad {
		return append(dst, "NaN"...)
	}
	if d.units < 0 {
		dst = append(dst, '-')
	}
	p := uint64(pow10(d.scale)) //nolint:gosec // positive
	m := magnitude(d.units)
	dst = strconv.AppendUint(dst, m/p, 10)
	if d.scale == 0 {
		return dst
	}
	dst = append(dst, '.')
	at := len(dst)
	dst = strconv.AppendUint(dst, p+m%p, 10) // a 1, and the digits with their zeros
	return append(dst[:at], dst[at+1:]...)
}

// MarshalJSON writes a JSON number with exactly d's digits.
func (d Decimal) MarshalJSON() ([]byte, error) {
	if d.bad {
		return nil, errDecimal
	}
	return d.appendText(make([]byte, 0, 24)), nil
}

// UnmarshalJSON reads a JSON number, or a text that holds one. null leaves d as it
// is.
func (d *Decimal) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	n, err := ParseDecimal(string(bytes.Trim(b, `"`)))
	if err != nil {
		return err
	}
	*d = n
	return nil
}
