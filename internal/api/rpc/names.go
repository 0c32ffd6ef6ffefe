package rpc

import (
	"strconv"
	"strings"
)

// pascal writes a name of the module language as protobuf names messages and
// methods: order_lines is OrderLines. An underscore that no letter follows stays,
// so that two names never become one.
func pascal(name string) string {
	out := make([]byte, 0, len(name))
	for i := 0; i < len(name); i++ {
		c := name[i]
		if c == '_' && i+1 < len(name) && isLower(name[i+1]) {
			i++
			c = name[i] - 'a' + 'A'
		} else if i == 0 && isLower(c) {
			c -= 'a' - 'A'
		}
		out = append(out, c)
	}
	return string(out)
}

func isLower(c byte) bool { return c >= 'a' && c <= 'z' }

// constant writes a word of an enum as protobuf names values: STATUS_IN_STOCK.
func constant(field, word string) string {
	plain := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, word)
	return strings.ToUpper(field) + "_" + plain
}

// scope keeps the names of one namespace apart.
type scope map[string]bool

// take returns name, or, where another thing has it, the name with suffixes.
func (s scope) take(name, suffix string) string {
	for s[name] {
		name += suffix
	}
	s[name] = true
	return name
}

// member returns a field's name. Protobuf compares those of a message without
// regard to underscores, because of their JSON names.
func (s scope) member(name string, number int) string {
	for s[strings.ReplaceAll(name, "_", "")] {
		name += "_n" + strconv.Itoa(number)
	}
	s[strings.ReplaceAll(name, "_", "")] = true
	return name
}
