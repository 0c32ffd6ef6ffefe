package value

import (
	"strings"

	"github.com/pandobase/pando/internal/fault"
)

// element is the type of a list's elements.
func (t Type) element() Type {
	t.List = false
	return t
}

// listFromText reads a JSON array or PostgreSQL's array literal.
func (t Type) listFromText(s string) (Value, error) {
	w := trimSpace(s)
	switch {
	case strings.HasPrefix(w, "["):
		return t.listFromJSON(w)
	case strings.HasPrefix(w, "{"):
		return t.listFromLiteral(w)
	}
	return Value{}, t.invalid(s).WithHint("write a list as {a,b} or as a JSON array")
}

// listFromJSON reads a JSON array of t's elements. raw starts with '['.
func (t Type) listFromJSON(raw string) (Value, error) {
	elem := t.element()
	out := make([]byte, 1, len(raw))
	out[0] = '['
	i := skipJSON(raw, 1)
	if i < len(raw) && raw[i] == ']' {
		return t.closeList(out, raw, i+1)
	}
	for {
		end := elementEnd(raw, i)
		if end == len(raw) {
			return Value{}, t.invalid(raw).WithDetails("the array is not closed")
		}
		v, err := elem.FromJSON(raw[i:end])
		if err != nil {
			return Value{}, err
		}
		if v.IsNull() {
			return Value{}, nullElement()
		}
		out = elem.AppendJSON(out, v)
		if raw[end] != ',' {
			return t.closeList(out, raw, end+1)
		}
		out = append(out, ',')
		i = end + 1
	}
}

// closeList ends the list, which in raw ended before i.
func (t Type) closeList(out []byte, raw string, i int) (Value, error) {
	if raw[i-1] != ']' || skipJSON(raw, i) != len(raw) {
		return Value{}, t.invalid(raw).WithDetails("at byte %d", i)
	}
	out = append(out, ']')
	return OfText(same(out, raw)), nil
}

func nullElement() *fault.Error {
	return fault.New(fault.InvalidText, "a list has no null elements").WithHint("leave the element out")
}

// elementEnd returns where the array element that starts at i ends: at the
// next comma or bracket of its own level, or at the end of raw. Whether it is
// JSON is for its type to find out.
func elementEnd(raw string, i int) int {
	depth := 0
	for ; i < len(raw); i++ {
		switch raw[i] {
		case '"':
			for i++; i < len(raw) && raw[i] != '"'; i++ {
				if raw[i] == '\\' {
					i++
				}
			}
		case '[', '{':
			depth++
		case ']', '}':
			if depth == 0 {
				return i
			}
			depth--
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
	return len(raw)
}

// listFromLiteral reads {a, "b,c", d\,e}: one dimension, no nulls. s starts
// with '{' and has no white space around it.
func (t Type) listFromLiteral(s string) (Value, error) {
	elem := t.element()
	out := make([]byte, 1, len(s)+2)
	out[0] = '['
	i := skipSpace(s, 1)
	if s[i:] == "}" {
		return OfText("[]"), nil
	}
	for {
		word, quoted, next, ok := literalElement(s, i)
		if !ok || next == len(s) {
			return Value{}, t.invalid(s).WithDetails("malformed array literal at byte %d", next)
		}
		if !quoted && strings.EqualFold(word, "null") && s[i] != '\\' && !strings.Contains(s[i:next], `\`) {
			return Value{}, nullElement()
		}
		v, err := elem.FromText(word)
		if err != nil {
			return Value{}, err
		}
		out = elem.AppendJSON(out, v)
		switch {
		case s[next] == ',':
			out = append(out, ',')
			i = skipSpace(s, next+1)
		case s[next:] == "}":
			return OfText(string(append(out, ']'))), nil
		default:
			return Value{}, t.invalid(s).WithDetails("malformed array literal at byte %d", next)
		}
	}
}

// literalElement reads the element at i and returns where its comma or brace
// stands. An element without quotes is not empty, and white space around it is
// not part of it.
func literalElement(s string, i int) (word string, quoted bool, next int, ok bool) {
	var b strings.Builder
	if i < len(s) && s[i] == '"' {
		for i++; i < len(s) && s[i] != '"'; i++ {
			if s[i] == '\\' {
				if i++; i == len(s) {
					return "", true, i, false
				}
			}
			b.WriteByte(s[i])
		}
		if i == len(s) {
			return "", true, i, false
		}
		return b.String(), true, skipSpace(s, i+1), true
	}
	kept := 0 // how much of b is no white space at its end
	for ; i < len(s) && s[i] != ',' && s[i] != '}'; i++ {
		c := s[i]
		switch c {
		case '{', '"':
			return "", false, i, false
		case '\\':
			if i++; i == len(s) {
				return "", false, i, false
			}
			b.WriteByte(s[i])
			kept = b.Len()
			continue
		}
		b.WriteByte(c)
		if !isSpace(c) {
			kept = b.Len()
		}
	}
	return b.String()[:kept], false, i, kept > 0
}

// skipSpace returns the index of the first byte of s from i on that is no
// white space.
func skipSpace(s string, i int) int {
	for i < len(s) && isSpace(s[i]) {
		i++
	}
	return i
}
