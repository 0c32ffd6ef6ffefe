// Package value holds the scalar types of the module language: how a value is
// written on the wire, how it is read from JSON and from text, its canonical
// form, and its order. Both stores and every door share these rules, which is
// why their answers agree byte for byte (design, "On the wire").
//
// The package is pure and safe for concurrent use.
package value

// Kind is one of the module language's scalar types.
type Kind uint8

// The kinds. A list is a Type with List set, whatever its kind.
const (
	Invalid Kind = iota
	Text
	Int
	Float
	Decimal
	Bool
	UUID
	Timestamp
	Date
	Time
	JSON
	Bytes
	Enum
	File
)

// Type is a field's type with what limits its values.
type Type struct {
	Kind   Kind
	List   bool
	Scale  int      // Decimal: digits after the point, 0..18
	Values []string // Enum: the allowed words
	Max    *Value   // greatest value, or for Text and Bytes the greatest length (characters, bytes), as Int; nil: none
	Min    *Value   // least value, or for Text and Bytes the least length; nil: none
}

// Tag says which member of a [Value] is set.
type Tag uint8

// The tags.
const (
	TagNull Tag = iota
	TagInt
	TagFloat
	TagText
	TagBytes
)

// Value is one canonical value, as a store binds it:
//
//	Text, Enum, File   TagText   NFC, no NUL
//	Int                TagInt
//	Float              TagFloat  finite
//	Decimal            TagInt    the number times 10^Scale
//	Bool               TagInt    0 or 1
//	UUID               TagText   36 lower-case characters
//	Timestamp          TagText   2026-01-02T03:04:05.6789+00:00: UTC, at most 6 digits without trailing zeros
//	Date               TagText   2026-01-02
//	Time               TagText   03:04:05.6789
//	JSON               TagText   canonical JSON (jsonb's key order, last duplicate wins, no white space)
//	Bytes              TagBytes
//	any list           TagText   a JSON array of wire forms, without null elements, no white space
//
// Text forms sort as their values do. The zero Value is null.
type Value struct {
	Tag   Tag
	Int   int64
	Float float64
	Str   string // TagText and TagBytes
}

// Null is the null value.
func Null() Value { return Value{} }

// OfInt returns an integer (or a scaled decimal, or a bool as 0 and 1).
func OfInt(i int64) Value { return Value{Tag: TagInt, Int: i} }

// OfFloat returns a float.
func OfFloat(f float64) Value { return Value{Tag: TagFloat, Float: f} }

// OfText returns a text, which must already be canonical.
func OfText(s string) Value { return Value{Tag: TagText, Str: s} }

// OfBytes returns a byte string.
func OfBytes(s string) Value { return Value{Tag: TagBytes, Str: s} }

// OfBool returns a bool.
func OfBool(b bool) Value {
	if b {
		return OfInt(1)
	}
	return OfInt(0)
}

// IsNull reports whether v is null.
func (v Value) IsNull() bool { return v.Tag == TagNull }
