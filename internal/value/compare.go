package value

import (
	"cmp"
	"strings"
)

// Compare orders two values of one type: -1, 0 or 1. Text and bytes are
// compared byte by byte, and their canonical forms sort as dates, times and
// UUIDs do. Null equals null and stands after every value, as in PostgreSQL;
// values of different tags, which no type has, are ordered by tag.
func Compare(a, b Value) int {
	if a.Tag != b.Tag {
		switch {
		case a.IsNull():
			return 1
		case b.IsNull():
			return -1
		}
		return cmp.Compare(a.Tag, b.Tag)
	}
	switch a.Tag {
	case TagInt:
		return cmp.Compare(a.Int, b.Int)
	case TagFloat:
		return cmp.Compare(a.Float, b.Float)
	case TagText, TagBytes:
		return strings.Compare(a.Str, b.Str)
	case TagNull:
	}
	return 0
}
