package value

import (
	"math"
	"math/big"
	"strconv"
)

// FloatSum adds floats as the decimals that they are written as, exactly, and
// rounds once: the sum depends neither on the order nor on the machine, and
// 0.1 and 0.2 are 0.3. The zero value is the sum of nothing.
type FloatSum struct {
	// Count is how many were added.
	Count int64
	parts map[int]*big.Int // whole multiples of the powers of ten
}

// Add adds a finite number.
func (s *FloatSum) Add(f float64) {
	s.Count++
	if f == 0 {
		return
	}
	var space [32]byte
	digits, exp := int64(0), 0
	text := strconv.AppendFloat(space[:0], math.Abs(f), 'e', -1, 64) // d.ddde±dd
	for i, c := range text {
		if c == 'e' {
			e, _ := strconv.Atoi(string(text[i+1:])) // it was written by strconv
			exp += e
			break
		}
		if c == '.' {
			continue
		}
		if i > 1 { // behind the point
			exp--
		}
		digits = digits*10 + int64(c-'0')
	}
	if f < 0 {
		digits = -digits
	}
	if s.parts == nil {
		s.parts = map[int]*big.Int{}
	}
	part := s.parts[exp]
	if part == nil {
		part = new(big.Int)
		s.parts[exp] = part
	}
	part.Add(part, big.NewInt(digits))
}

// Sum is the sum; ok is false where no float is as large.
func (s *FloatSum) Sum() (sum float64, ok bool) {
	if len(s.parts) == 0 {
		return 0, true
	}
	least := math.MaxInt
	for exp := range s.parts {
		least = min(least, exp)
	}
	total, shift := new(big.Int), new(big.Int)
	for exp, part := range s.parts {
		shift.Exp(big.NewInt(10), big.NewInt(int64(exp-least)), nil)
		total.Add(total, shift.Mul(shift, part))
	}
	f, err := strconv.ParseFloat(total.String()+"e"+strconv.Itoa(least), 64)
	return f, err == nil
}

// Mean is the sum divided by the count, which is not zero; ok is false where a
// float has no such value, or none but zero.
func (s *FloatSum) Mean() (mean float64, ok bool) {
	sum, ok := s.Sum()
	mean = sum / float64(s.Count)
	return mean, ok && (mean != 0 || sum == 0)
}
