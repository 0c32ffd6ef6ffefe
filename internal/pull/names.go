package pull

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// namer gives the names of the module language, each once.
type namer struct {
	reserved []string
	taken    map[string]bool
}

func newNamer(reserved ...string) *namer {
	return &namer{reserved: reserved, taken: map[string]bool{}}
}

// name is what a name of the database becomes. prefix is put before one that
// is reserved or begins with a digit.
func (n *namer) name(of, prefix string) string {
	name := identifier(of)
	if name == "" || name[0] < 'a' || slices.Contains(n.reserved, name) {
		name = strings.Trim(prefix+"_"+name, "_")
	}
	if len(name) > maxName {
		name = name[:maxName]
	}
	for base, i := name, 2; n.taken[name]; i++ {
		tail := "_" + strconv.Itoa(i)
		name = base[:min(len(base), maxName-len(tail))] + tail
	}
	n.taken[name] = true
	return name
}

const maxName = 60

var notWord = regexp.MustCompile(`[^a-z0-9]+`)

// identifier writes a name in small letters: OrderLines and "Order Lines" are
// order_lines, as is ORDER_LINES.
func identifier(of string) string {
	var b strings.Builder
	var before rune
	for _, r := range of {
		if unicode.IsUpper(r) && (unicode.IsLower(before) || unicode.IsDigit(before)) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
		before = r
	}
	return strings.Trim(notWord.ReplaceAllString(b.String(), "_"), "_")
}

// relationName is what the relation of a field is called: the field less its
// id, else the row that the field names.
func relationName(f string) string {
	for _, tail := range []string{"_id", "_fk", "_no", "_uuid", "id"} {
		if name, ok := strings.CutSuffix(f, tail); ok && len(name) > 1 {
			return strings.TrimSuffix(name, "_")
		}
	}
	return f + "_row"
}
