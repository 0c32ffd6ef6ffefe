package value

import "strconv"

// kindNames are the module language's words, by Kind.
//
//nolint:gochecknoglobals // a constant table; Go has no array constants
var kindNames = [...]string{
	Invalid: "invalid", Text: "text", Int: "int", Float: "float", Decimal: "decimal", Bool: "bool", UUID: "uuid",
	Timestamp: "timestamp", Date: "date", Time: "time", JSON: "json", Bytes: "bytes", Enum: "enum", File: "file",
}

// String returns the module language's word for k.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return kindNames[Invalid]
}

// ParseKind returns the kind of that name, or false where the module language
// has none ("ref" is no kind: a reference takes its target's type).
func ParseKind(name string) (Kind, bool) {
	for k := Text; int(k) < len(kindNames); k++ {
		if kindNames[k] == name {
			return k, true
		}
	}
	return Invalid, false
}

// String returns t as messages show it: text, decimal(2), uuid[].
func (t Type) String() string {
	s := t.Kind.String()
	if t.Kind == Decimal {
		s += "(" + strconv.Itoa(t.Scale) + ")"
	}
	if t.List {
		s += "[]"
	}
	return s
}
