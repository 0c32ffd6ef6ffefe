package gen

import (
	"go/token"
	"strconv"
	"strings"
	"unicode"
)

// initialisms are words that Go writes in capitals (go.dev/wiki/CodeReviewComments).
const initialisms = " acl api ascii cpu css dns eof guid html http https id ip json lhs qps ram rhs rpc sku sla smtp sql ssh tcp tls ttl udp ui uid uuid uri url utf8 vm xml "

// exported is a name of the model as an exported name of Go: customer_id is
// CustomerID.
func exported(name string) string {
	var b strings.Builder
	for word := range strings.FieldsFuncSeq(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		if strings.Contains(initialisms, " "+strings.ToLower(word)+" ") {
			b.WriteString(strings.ToUpper(word))
			continue
		}
		for i, r := range word {
			if i == 0 {
				r = unicode.ToUpper(r)
			}
			b.WriteRune(r)
		}
	}
	out := b.String()
	if !token.IsExported(out) { // it begins with a digit, or a letter that has no capital
		return "X" + out
	}
	return out
}

// singular is one of what a plural English noun names, by the rules alone: no list
// of words would be complete.
func singular(noun string) string {
	stem, s := strings.CutSuffix(noun, "s")
	switch {
	case !s || stem == "" || strings.HasSuffix(noun, "ss") || strings.HasSuffix(noun, "us") || strings.HasSuffix(noun, "is") || strings.HasSuffix(noun, "news") || strings.HasSuffix(noun, "series"):
		return noun
	case strings.HasSuffix(stem, "ie") && len(stem) > 3:
		return stem[:len(stem)-2] + "y"
	}
	for _, end := range []string{"sse", "she", "che", "xe", "zze"} {
		if strings.HasSuffix(stem, end) {
			return stem[:len(stem)-1]
		}
	}
	return stem
}

// names are the identifiers that are taken.
type names map[string]bool

// claim takes the first of the names that is free; when none is, the last with a
// number.
func (n names) claim(wanted ...string) string {
	for _, w := range wanted {
		if !n[w] {
			n[w] = true
			return w
		}
	}
	last := wanted[len(wanted)-1]
	for i := 2; ; i++ {
		if w := last + strconv.Itoa(i); !n[w] {
			n[w] = true
			return w
		}
	}
}

// packageName is a name of an application as a package's.
func packageName(app string) string {
	name := strings.ToLower(strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return r
		}
		return -1
	}, app))
	if !token.IsIdentifier(name) || name == "pando" || name == "main" || name == "json" || name == "time" {
		return "app" + name
	}
	return name
}
