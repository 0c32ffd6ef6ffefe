package value

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/pandobase/pando/internal/fault"
)

// FromJSON reads one JSON value as PostgreSQL's json_populate_record reads it:
// a string is read like the text of its type ("5" is an int), a number or bool
// counts as its text where a text is wanted, null is [Null]. An object or
// array is taken only by json and, the array, by lists.
//
// The result may share raw's memory: a plain ASCII string costs no allocation.
// Errors are *fault.Error, without a field name.
func (t Type) FromJSON(raw string) (Value, error) {
	raw = trimJSON(raw)
	switch {
	case raw == "null":
		return Null(), nil
	case t.Kind == JSON && !t.List:
		return t.json(raw)
	case raw == "":
		return Value{}, fault.New(fault.InvalidText, "invalid JSON: a value is missing")
	}
	switch raw[0] {
	case '"':
		s, ascii, err := unquote(raw)
		if err != nil {
			return Value{}, err
		}
		if t.List {
			return t.listFromText(s)
		}
		return t.scalar(s, ascii)
	case '[':
		if t.List {
			return t.listFromJSON(raw)
		}
		return Value{}, fault.New(fault.InvalidText, "expected a value of type %s, got a JSON array", t)
	case '{':
		return Value{}, fault.New(fault.InvalidText, "expected a value of type %s, got a JSON object", t)
	}
	if raw != "true" && raw != "false" {
		if _, err := scanNumber(raw); err != nil {
			return Value{}, err
		}
	}
	if t.List {
		return Value{}, fault.New(fault.InvalidText, "expected a value of type %s, got %s", t, show(raw)).
			WithHint("write a list as a JSON array")
	}
	return t.scalar(raw, true)
}

// FromText reads a filter's value or a CSV cell: PostgreSQL's input form of
// the type, white space around it allowed except for text, enum, file, uuid
// and bytes. It never returns null. Lists are JSON arrays or PostgreSQL's
// array literals ({a,b,"c,d"}).
//
// The result may share s's memory. Errors are *fault.Error, without a field
// name.
func (t Type) FromText(s string) (Value, error) {
	if t.List {
		return t.listFromText(s)
	}
	return t.scalar(s, false)
}

// scalar reads s, of which the caller may already know that it is ASCII
// without NUL, by t's kind, and holds it against t's limits.
func (t Type) scalar(s string, ascii bool) (Value, error) {
	var v Value
	var err error
	switch t.Kind {
	case Text, Enum, File:
		return t.text(s, ascii)
	case Int:
		v, err = t.integer(s)
	case Float:
		v, err = t.float(s)
	case Decimal:
		v, err = t.decimal(s)
	case Bool:
		v, err = t.boolean(s)
	case UUID:
		v, err = t.uuid(s)
	case Timestamp:
		v, err = t.timestamp(s)
	case Date:
		v, err = t.date(s)
	case Time:
		v, err = t.time(s)
	case JSON:
		return t.json(s)
	case Bytes:
		v, err = t.bytes(s)
	case Invalid:
		fallthrough
	default:
		return Value{}, fault.New(fault.Internal, "an internal error occurred").WithDetails("a type without a kind")
	}
	if err != nil {
		return Value{}, err
	}
	if t.Min == nil && t.Max == nil {
		return v, nil
	}
	return v, t.bounds(v)
}

func (t Type) json(s string) (Value, error) {
	c, err := CanonicalJSON(s)
	if err != nil {
		return Value{}, err
	}
	return OfText(c), nil
}

// text normalises s and holds it against the enum's words and the lengths.
func (t Type) text(s string, ascii bool) (Value, error) {
	if !ascii {
		var err error
		if s, err = normalise(s); err != nil {
			return Value{}, err
		}
	}
	if t.Kind == Enum {
		return t.enum(s)
	}
	if t.Min == nil && t.Max == nil {
		return OfText(s), nil
	}
	n := int64(len(s))
	if !ascii {
		n = int64(utf8.RuneCountInString(s))
	}
	return OfText(s), t.length(n, "characters")
}

// normalise returns s in NFC, or a fault where it is not UTF-8 or has a NUL.
func normalise(s string) (string, error) {
	ascii := true
	for i := range len(s) {
		if s[i] == 0 {
			return "", fault.New(fault.InvalidEncoding, "a text may not contain the character NUL").
				WithDetails("at byte %d", i)
		}
		ascii = ascii && s[i] < utf8.RuneSelf
	}
	if ascii {
		return s, nil
	}
	if !utf8.ValidString(s) {
		return "", fault.New(fault.InvalidEncoding, "a text must be valid UTF-8").WithDetails("got %s", show(s))
	}
	return norm.NFC.String(s), nil
}

func (t Type) enum(s string) (Value, error) {
	for _, w := range t.Values {
		if w == s {
			return OfText(w), nil
		}
	}
	err := fault.New(fault.InvalidText, "invalid input value for enum: %s", show(s)).
		WithDetails("the values are %s", strings.Join(t.Values, ", "))
	if near := fault.Nearest(s, t.Values); near != "" {
		err = err.WithHint("did you mean %q?", near)
	}
	return Value{}, err
}

// length holds a text's or byte string's length against t's limits.
func (t Type) length(n int64, unit string) error {
	if t.Max != nil && n > t.Max.Int {
		return fault.New(fault.TextTooLong, "value too long: at most %d %s", t.Max.Int, unit).
			WithDetails("got %d %s", n, unit)
	}
	if t.Min != nil && n < t.Min.Int {
		return fault.New(fault.Check, "value too short: at least %d %s", t.Min.Int, unit).
			WithDetails("got %d %s", n, unit)
	}
	return nil
}

// bounds holds v against t's least and greatest value.
func (t Type) bounds(v Value) error {
	if t.Kind == Bytes {
		return t.length(int64(len(v.Str)), "bytes")
	}
	if t.Max != nil && Compare(v, *t.Max) > 0 {
		return fault.New(fault.Check, "value too large: at most %s", t.AppendText(nil, *t.Max)).
			WithDetails("got %s", t.AppendText(nil, v))
	}
	if t.Min != nil && Compare(v, *t.Min) < 0 {
		return fault.New(fault.Check, "value too small: at least %s", t.AppendText(nil, *t.Min)).
			WithDetails("got %s", t.AppendText(nil, v))
	}
	return nil
}

// boolean reads PostgreSQL's words: any prefix of true, false, yes, no (of on
// and off one that tells them apart), 1 and 0, in any case.
func (t Type) boolean(s string) (Value, error) {
	w := trimSpace(s)
	if w != "" && len(w) <= len("false") {
		for _, c := range [...]struct {
			word string
			min  int
			v    bool
		}{
			{"true", 1, true},
			{"false", 1, false},
			{"yes", 1, true},
			{"no", 1, false},
			{"on", 2, true},
			{"off", 2, false},
			{"1", 1, true},
			{"0", 1, false},
		} {
			if len(w) >= c.min && len(w) <= len(c.word) && strings.EqualFold(w, c.word[:len(w)]) {
				return OfBool(c.v), nil
			}
		}
	}
	return Value{}, t.invalid(s)
}

// invalid is the fault of a value that t's syntax does not have.
func (t Type) invalid(s string) *fault.Error {
	return fault.New(fault.InvalidText, "invalid input syntax for type %s: %s", t, show(s))
}

// show quotes what a caller sent for a message: one line, valid UTF-8, short.
func show(s string) string {
	const most = 60 // bytes
	if len(s) > most {
		s = s[:most] + "..."
	}
	return strconv.Quote(strings.ToValidUTF8(s, "\uFFFD"))
}

// trimSpace removes the white space that PostgreSQL's input functions skip.
func trimSpace(s string) string {
	for s != "" && isSpace(s[0]) {
		s = s[1:]
	}
	for s != "" && isSpace(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
