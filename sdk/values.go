package pando

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pandobase/pando/internal/value"
)

// UUID is a UUID in its canonical form: 36 lower-case characters. The zero value,
// the empty text, is none.
type UUID string

// NewUUID returns a new UUID of version 7: later ones sort later.
func NewUUID() UUID { return UUID(value.NewUUID(time.Now(), rand.Reader)) }

// String is the UUID's text.
func (u UUID) String() string { return string(u) }

// Bytes is a byte string: the model's type bytes. On the wire it is PostgreSQL's
// hexadecimal form, \x0a0b.
type Bytes []byte

// MarshalJSON writes the hexadecimal form; nil is null.
func (b Bytes) MarshalJSON() ([]byte, error) {
	if b == nil {
		return []byte("null"), nil
	}
	out := make([]byte, 0, 5+2*len(b))
	out = hex.AppendEncode(append(out, `"\\x`...), b)
	return append(out, '"'), nil
}

// UnmarshalJSON reads the hexadecimal form; null is nil.
func (b *Bytes) UnmarshalJSON(raw []byte) error {
	var s *string
	if err := json.Unmarshal(raw, &s); err != nil {
		return err
	}
	if s == nil {
		*b = nil
		return nil
	}
	digits, ok := strings.CutPrefix(*s, `\x`)
	if !ok {
		return errors.New(`bytes are written as \x and hexadecimal digits`)
	}
	out, err := hex.DecodeString(digits)
	if err != nil {
		return err
	}
	*b = out
	return nil
}

// List is a list that is never null: nil is the empty list on the wire. Slices are
// assigned to it, and it to slices, as they are.
type List[T any] []T

// MarshalJSON writes an array.
func (l List[T]) MarshalJSON() ([]byte, error) {
	if l == nil {
		return []byte("[]"), nil
	}
	return json.Marshal([]T(l))
}

// Date is a day of the calendar: the model's type date. The zero value is no day.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// DateOf is the day of a time, in the time's own zone.
func DateOf(t time.Time) Date {
	y, m, d := t.Date()
	return Date{y, m, d}
}

// ParseDate reads a day like 2026-01-31.
func ParseDate(s string) (Date, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return Date{}, fmt.Errorf("%q is no date like 2026-01-31", s)
	}
	return DateOf(t), nil
}

// String is the day like 2026-01-31.
func (d Date) String() string { return fmt.Sprintf("%04d-%02d-%02d", d.Year, d.Month, d.Day) }

// In is the beginning of the day in a zone.
func (d Date) In(zone *time.Location) time.Time {
	return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, zone)
}

// AddDays is the day n days later.
func (d Date) AddDays(n int) Date { return DateOf(d.In(time.UTC).AddDate(0, 0, n)) }

// Compare is -1, 0 or 1 as d is before, equal to or after e.
func (d Date) Compare(e Date) int { return d.In(time.UTC).Compare(e.In(time.UTC)) }

// MarshalText writes the day as [Date.String] does.
func (d Date) MarshalText() ([]byte, error) {
	if DateOf(d.In(time.UTC)) != d {
		return nil, fmt.Errorf("%s is no day of the calendar", d)
	}
	return []byte(d.String()), nil
}

// UnmarshalText reads a day as [ParseDate] does.
func (d *Date) UnmarshalText(b []byte) (err error) {
	*d, err = ParseDate(string(b))
	return err
}

// Clock is a time of the day: the model's type time. It is the time since midnight,
// to the microsecond, at most 24 hours.
type Clock time.Duration

// NewClock is a time of the day.
func NewClock(hour, minute, second int) Clock {
	return Clock(time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second)
}

// ParseClock reads a time of the day like 03:04, 03:04:05 or 03:04:05.6789.
func ParseClock(s string) (Clock, error) {
	if s == "24:00:00" {
		return Clock(24 * time.Hour), nil
	}
	for _, layout := range []string{time.TimeOnly, "15:04"} { // a fraction may follow the seconds
		if t, err := time.Parse(layout, s); err == nil {
			return Clock(time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute +
				time.Duration(t.Second())*time.Second + time.Duration(t.Nanosecond())), nil
		}
	}
	return 0, fmt.Errorf("%q is no time of the day like 03:04:05", s)
}

// Duration is the time since midnight.
func (c Clock) Duration() time.Duration { return time.Duration(c) }

// String is the time like 03:04:05.6789.
func (c Clock) String() string {
	d := time.Duration(c).Round(time.Microsecond)
	s := fmt.Sprintf("%02d:%02d:%02d", d/time.Hour, d/time.Minute%60, d/time.Second%60)
	if micros := d % time.Second / time.Microsecond; micros != 0 {
		s += strings.TrimRight(fmt.Sprintf(".%06d", micros), "0")
	}
	return s
}

// MarshalText writes the time as [Clock.String] does.
func (c Clock) MarshalText() ([]byte, error) {
	if c < 0 || c.Duration() > 24*time.Hour {
		return nil, fmt.Errorf("%s is no time of the day", c.Duration())
	}
	return []byte(c.String()), nil
}

// UnmarshalText reads a time as [ParseClock] does.
func (c *Clock) UnmarshalText(b []byte) (err error) {
	*c, err = ParseClock(string(b))
	return err
}

// Opt is what a change says of a field: nothing, which is the zero value and
// leaves the field as it is; null; or a value.
type Opt[T any] struct {
	value T
	state uint8 // absent, null, given
}

const (
	absent uint8 = iota
	null
	given
)

// Set is an [Opt] that gives a value: pando.Set("paid").
func Set[T any](v T) Opt[T] { return Opt[T]{v, given} }

// Null is an [Opt] that takes the value away.
func Null[T any]() Opt[T] { return Opt[T]{state: null} }

// Get is the value that is given; false: none is.
func (o Opt[T]) Get() (T, bool) { return o.value, o.state == given }

// IsZero reports whether nothing is said, for the omitzero of JSON.
func (o Opt[T]) IsZero() bool { return o.state == absent }

// MarshalJSON writes the value or null.
func (o Opt[T]) MarshalJSON() ([]byte, error) {
	if o.state != given {
		return []byte("null"), nil
	}
	return json.Marshal(o.value)
}

// UnmarshalJSON reads the value or null.
func (o *Opt[T]) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*o = Null[T]()
		return nil
	}
	o.state = given
	return json.Unmarshal(b, &o.value)
}
