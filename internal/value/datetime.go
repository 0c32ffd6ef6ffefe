package value

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/pandobase/pando/internal/fault"
)

const (
	microsPerSecond = 1_000_000
	microsPerDay    = 86_400 * microsPerSecond
	maxZone         = 16 * 3600 // seconds; PostgreSQL's bound, exclusive
)

// badTime tells why a date or time was refused; none means it was not.
type badTime uint8

const (
	none       badTime = iota
	badSyntax          // 22P02 (PostgreSQL: 22007)
	outOfRange         // 22008
)

// moment reads, in PostgreSQL's ISO input forms, what stands at the start of
// in, and cuts it off.
type moment struct{ in string }

// timestamp reads 2026-01-02T03:04:05.6789+02:00 with ' ' or 'T', any number
// of fractional digits (rounded to microseconds as PostgreSQL does), and the
// zones Z, UTC, GMT, ±hh, ±hhmm, ±hh:mm, ±hh:mm:ss; without a zone it is UTC,
// without a time midnight. Also 20260102T030405. Years are 1 to 9999 in UTC.
// Zone names are refused: their meaning changes with the zone database.
func (t Type) timestamp(s string) (Value, error) {
	m := moment{trimSpace(s)}
	day, bad := m.day()
	if bad != none {
		return Value{}, t.badTime(s, bad)
	}
	micros := int64(0)
	if m.timeFollows() {
		if micros, bad = m.clock(); bad != none {
			return Value{}, t.badTime(s, bad)
		}
	}
	zone, bad := m.zone()
	if bad == none && m.in != "" {
		bad = badSyntax
	}
	if bad != none {
		return Value{}, t.badTime(s, bad)
	}
	at := day.Add(time.Duration(micros)*time.Microsecond - time.Duration(zone)*time.Second)
	if at.Year() < 1 || at.Year() > 9999 {
		return Value{}, t.badTime(s, outOfRange)
	}
	var buf [32]byte
	return OfText(same(AppendTimestamp(buf[:0], at), s)), nil
}

// date reads 2026-01-02 or 20260102. As in PostgreSQL a time of day and a zone
// may follow and are dropped.
func (t Type) date(s string) (Value, error) {
	m := moment{trimSpace(s)}
	day, bad := m.day()
	if bad == none && m.timeFollows() {
		_, bad = m.clock()
	}
	if bad == none {
		_, bad = m.zone()
	}
	if bad == none && m.in != "" {
		bad = badSyntax
	}
	if bad != none {
		return Value{}, t.badTime(s, bad)
	}
	var buf [10]byte
	return OfText(same(day.AppendFormat(buf[:0], time.DateOnly), s)), nil
}

// time reads 03:04:05.6789, 03:04, 030405 and 24:00:00. As in PostgreSQL a
// zone may follow and is dropped.
func (t Type) time(s string) (Value, error) {
	m := moment{trimSpace(s)}
	if m.in != "" && (m.in[0] == 'T' || m.in[0] == 't') {
		m.in = m.in[1:]
	}
	micros, bad := m.clock()
	if bad == none {
		_, bad = m.zone()
	}
	if bad == none && m.in != "" {
		bad = badSyntax
	}
	if bad != none {
		return Value{}, t.badTime(s, bad)
	}
	var buf [15]byte
	return OfText(same(appendClock(buf[:0], micros), s)), nil
}

// badTime is the fault for a date or time that was refused.
func (t Type) badTime(s string, bad badTime) error {
	if bad == outOfRange {
		return fault.New(fault.DatetimeOverflow, "%s value out of range: %s", t, show(s)).
			WithHint("years are 0001 to 9999 in UTC, zones less than 16 hours away")
	}
	err := t.invalid(s)
	switch strings.ToLower(unsigned(trimSpace(s))) {
	case "infinity", "now", "today", "tomorrow", "yesterday", "epoch":
		return err.WithHint("special values are not supported; write the value out")
	}
	var example string
	switch t.Kind {
	case Timestamp:
		example = "2026-01-02T03:04:05+00:00"
	case Date:
		example = "2026-01-02"
	default:
		example = "03:04:05"
	}
	return err.WithHint("write it like %s", example)
}

// day reads a date.
func (m *moment) day() (time.Time, badTime) {
	digits, rest := cutDigits(m.in)
	var y, mo, d int
	if len(digits) == 8 && (rest == "" || rest[0] != '-') {
		y, mo, d = number(digits[:4]), number(digits[4:6]), number(digits[6:])
		m.in = rest
	} else {
		// A year has four digits at least: 26-01-02 would be a guess.
		if len(digits) < 4 || len(digits) > 7 {
			return time.Time{}, badSyntax
		}
		y, m.in = number(digits), rest
		var ok1, ok2 bool
		mo, ok1 = m.field('-')
		d, ok2 = m.field('-')
		if !ok1 || !ok2 {
			return time.Time{}, badSyntax
		}
	}
	if y < 1 || y > 9999 || mo < 1 || mo > 12 || d < 1 || d > 31 {
		return time.Time{}, outOfRange
	}
	day := time.Date(y, time.Month(mo), d, 0, 0, 0, 0, time.UTC)
	if day.Day() != d {
		return time.Time{}, outOfRange
	}
	return day, none
}

// timeFollows cuts the separator of a time that follows a date: a T, or white
// space before a digit (a zone may stand after white space too).
func (m *moment) timeFollows() bool {
	if m.in != "" && (m.in[0] == 'T' || m.in[0] == 't') {
		m.in = m.in[1:]
		return true
	}
	rest := trimSpace(m.in)
	if len(rest) == len(m.in) || rest == "" || !isDigit(rest[0]) {
		return false
	}
	m.in = rest
	return true
}

// clock reads a time of day as microseconds since midnight, up to and
// including 24:00:00. Second 60 is the next minute's first.
func (m *moment) clock() (int64, badTime) {
	digits, rest := cutDigits(m.in)
	var h, mi, s int
	switch {
	case len(digits) == 6:
		h, mi, s = number(digits[:2]), number(digits[2:4]), number(digits[4:])
		m.in = rest
	case len(digits) == 1 || len(digits) == 2:
		h, m.in = number(digits), rest
		var ok bool
		if mi, ok = m.field(':'); !ok {
			return 0, badSyntax
		}
		if strings.HasPrefix(m.in, ":") {
			if s, ok = m.field(':'); !ok {
				return 0, badSyntax
			}
		}
	default:
		return 0, badSyntax
	}
	micros := int64(0)
	if strings.HasPrefix(m.in, ".") {
		digits, m.in = cutDigits(m.in[1:])
		micros = fraction(digits)
		if s == 60 && strings.Trim(digits, "0") != "" {
			return 0, outOfRange
		}
	}
	if h > 24 || mi > 59 || s > 60 {
		return 0, outOfRange
	}
	micros += int64(h*3600+mi*60+s) * microsPerSecond
	if h == 24 && (mi != 0 || s != 0 || micros != microsPerDay) {
		return 0, outOfRange
	}
	return micros, none
}

// fraction reads the digits after a second's point as microseconds. More than
// six are rounded in binary floating point, half to even, as PostgreSQL does:
// .0000005 is 0.
func fraction(digits string) int64 {
	if len(digits) > 6 {
		f, err := strconv.ParseFloat("0."+digits, 64)
		if err != nil {
			return 0 // impossible: digits only, below 1
		}
		return int64(math.RoundToEven(f * microsPerSecond))
	}
	n := int64(number(digits))
	for range 6 - len(digits) {
		n *= 10
	}
	return n
}

// zone reads a zone, which may be missing, as seconds east of UTC.
func (m *moment) zone() (int, badTime) {
	m.in = trimSpace(m.in)
	if m.in == "" {
		return 0, none
	}
	sign := 1
	switch m.in[0] {
	case '-':
		sign = -1
	case '+':
	default:
		if w := strings.ToLower(m.in); w == "z" || w == "utc" || w == "gmt" {
			m.in = ""
			return 0, none
		}
		return 0, badSyntax
	}
	digits, rest := cutDigits(m.in[1:])
	m.in = rest
	var h, mi, s int
	switch len(digits) {
	case 1, 2:
		h = number(digits)
		var ok bool
		if strings.HasPrefix(m.in, ":") {
			if mi, ok = m.field(':'); !ok {
				return 0, badSyntax
			}
		}
		if strings.HasPrefix(m.in, ":") {
			if s, ok = m.field(':'); !ok {
				return 0, badSyntax
			}
		}
	case 4:
		h, mi = number(digits[:2]), number(digits[2:])
	default:
		return 0, badSyntax
	}
	east := h*3600 + mi*60 + s
	if mi > 59 || s > 59 || east >= maxZone {
		return 0, outOfRange
	}
	return sign * east, none
}

// field reads sep and one or two digits.
func (m *moment) field(sep byte) (int, bool) {
	if m.in == "" || m.in[0] != sep {
		return 0, false
	}
	digits, rest := cutDigits(m.in[1:])
	if digits == "" || len(digits) > 2 {
		return 0, false
	}
	m.in = rest
	return number(digits), true
}

// number is the value of at most 8 digits.
func number(digits string) int {
	n := 0
	for i := range len(digits) {
		n = n*10 + int(digits[i]-'0')
	}
	return n
}

// AppendTimestamp appends the canonical form of at: UTC, microseconds (the
// rest is cut off) without trailing zeros. The year must be 1 to 9999.
func AppendTimestamp(dst []byte, at time.Time) []byte {
	at = at.UTC()
	dst = at.AppendFormat(dst, "2006-01-02T")
	h, m, s := at.Clock()
	dst = appendClock(dst, int64(h*3600+m*60+s)*microsPerSecond+int64(at.Nanosecond()/1000))
	return append(dst, "+00:00"...)
}

// OfTimestamp returns the canonical value of at, cut to microseconds.
func OfTimestamp(at time.Time) Value {
	var buf [32]byte
	return OfText(string(AppendTimestamp(buf[:0], at)))
}

// appendClock appends microseconds since midnight as hh:mm:ss[.ffffff].
func appendClock(dst []byte, micros int64) []byte {
	s := micros / microsPerSecond
	dst = append(dst,
		byte('0'+s/36000), byte('0'+s/3600%10), ':',
		byte('0'+s%3600/600), byte('0'+s/60%10), ':',
		byte('0'+s%60/10), byte('0'+s%10))
	f := micros % microsPerSecond
	if f == 0 {
		return dst
	}
	dst = append(dst, '.')
	for unit := int64(microsPerSecond / 10); f > 0; unit /= 10 {
		dst = append(dst, byte('0'+f/unit))
		f %= unit
	}
	return dst
}

// same returns canonical as a string, without a copy where s already is it.
func same(canonical []byte, s string) string {
	if string(canonical) == s {
		return s
	}
	return string(canonical)
}
