package value

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxToken is the greatest length of a token in bytes: PostgreSQL's bound for
// a lexeme. Longer runs are no tokens.
const maxToken = 2046

// Tokens returns the words of s as every search sees them: NFKC with
// Unicode's case folding ([Fold]'s table), cut into runs of letters, marks and
// numbers that do not start with a mark. No stemming, no stop words, no
// language; a script without spaces is one run. Runs longer than 2046 bytes
// are left out. Tokens(strings.Join(Tokens(s), " ")) is Tokens(s).
func Tokens(s string) []string {
	s = foldCompatible(s)
	var out []string
	start := -1
	for i, r := range s {
		switch {
		case isWordRune(r, start >= 0):
			if start < 0 {
				start = i
			}
			continue
		case start >= 0 && i-start <= maxToken:
			out = append(out, s[start:i])
		}
		start = -1
	}
	if start >= 0 && len(s)-start <= maxToken {
		out = append(out, s[start:])
	}
	return out
}

func isWordRune(r rune, inside bool) bool {
	if r < utf8.RuneSelf {
		return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z'
	}
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsNumber(r) || inside && unicode.IsMark(r))
}

// foldCompatible brings s into NFKC and folds its case, until nothing changes:
// either may undo the other.
func foldCompatible(s string) string {
	for i := range len(s) {
		if s[i] < utf8.RuneSelf {
			continue
		}
		for range 3 { // Unicode's NFKC_Casefold is stable after two
			before := s
			if s = norm.NFKC.String(caseFold(s)); s == before {
				break
			}
		}
		return s
	}
	return Fold(s)
}

// Search is a compiled full-text query. It is immutable and safe for
// concurrent use.
type Search struct{ root *searchNode } // nil: matches nothing

// searchOp is what a node of a query does.
type searchOp uint8

const (
	opPhrase searchOp = iota // the tokens stand next to each other, in order
	opAnd
	opOr
	opNot
)

// searchNode is one node. A phrase has tokens; and and or have at least two
// arguments, not has one.
type searchNode struct {
	op     searchOp
	tokens []string
	prefix bool // of a phrase: the last token may go on
	args   []*searchNode
}

// Empty reports whether the query has no token at all, and so matches nothing.
func (s *Search) Empty() bool { return s.root == nil }

// Match reports whether the document with these [Tokens] fits the query.
func (s *Search) Match(tokens []string) bool { return s.root != nil && s.root.match(tokens) }

func (n *searchNode) match(doc []string) bool {
	switch n.op {
	case opAnd:
		for _, a := range n.args {
			if !a.match(doc) {
				return false
			}
		}
		return true
	case opOr:
		for _, a := range n.args {
			if a.match(doc) {
				return true
			}
		}
		return false
	case opNot:
		return !n.args[0].match(doc)
	case opPhrase:
	}
	for i := 0; i+len(n.tokens) <= len(doc); i++ {
		if n.matchAt(doc[i:]) {
			return true
		}
	}
	return false
}

// matchAt reports whether the phrase stands at the start of doc.
func (n *searchNode) matchAt(doc []string) bool {
	last := len(n.tokens) - 1
	for j, tok := range n.tokens {
		if doc[j] != tok && (j < last || !n.prefix || !strings.HasPrefix(doc[j], tok)) {
			return false
		}
	}
	return true
}

// FTS5 returns the query for SQLite's FTS5 over a table that holds each
// document as its [Tokens] with spaces between. Every token is quoted and has
// no quote in it, so nothing in it is syntax. FTS5 has no negation on its own:
// when [Search.Negated], the rows of the query are all those that this does
// not match. An empty query gives "", which FTS5 matches with nothing.
func (s *Search) FTS5() string {
	if s.root == nil {
		return `""`
	}
	expr, _ := s.root.fts5()
	return expr
}

// Negated reports whether [Search.FTS5] matches exactly the rows that the
// query does not.
func (s *Search) Negated() bool {
	if s.root == nil {
		return false
	}
	_, negated := s.root.fts5()
	return negated
}

// fts5 renders n as an expression or as the complement of one, which takes
// only FTS5's AND, OR and binary NOT.
func (n *searchNode) fts5() (expr string, negated bool) {
	switch n.op {
	case opNot:
		expr, negated = n.args[0].fts5()
		return expr, !negated
	case opPhrase:
		expr = `"` + strings.Join(n.tokens, `" + "`) + `"`
		if n.prefix {
			expr += " *"
		}
		return expr, false
	case opAnd, opOr:
	}
	var plain, complements []string
	for _, a := range n.args {
		e, neg := a.fts5()
		if neg {
			complements = append(complements, e)
		} else {
			plain = append(plain, e)
		}
	}
	// An or is the complement of the and of its complements.
	and, or := " AND ", " OR "
	if n.op == opOr {
		plain, complements = complements, plain
	}
	switch {
	case len(plain) == 0: // ¬a AND ¬b is ¬(a OR b)
		return group(complements, or), n.op == opAnd
	case len(complements) == 0:
		return group(plain, and), n.op == opOr
	default: // a AND ¬b is a NOT b
		return "(" + group(plain, and) + " NOT " + group(complements, or) + ")", n.op == opOr
	}
}

func group(exprs []string, op string) string {
	if len(exprs) == 1 {
		return exprs[0]
	}
	return "(" + strings.Join(exprs, op) + ")"
}

// TSQuery returns the query for PostgreSQL's tsquery over a tsvector that
// [TSVector] made. Every token is quoted, so nothing in it is syntax. An empty
// query gives "", which PostgreSQL matches with nothing.
func (s *Search) TSQuery() string {
	if s.root == nil {
		return ""
	}
	return string(s.root.tsquery(nil))
}

func (n *searchNode) tsquery(dst []byte) []byte {
	switch n.op {
	case opNot:
		dst = append(dst, '!')
		return n.args[0].tsquery(dst)
	case opPhrase:
		dst = append(dst, '(')
		for i, tok := range n.tokens {
			if i > 0 {
				dst = append(dst, " <-> "...)
			}
			dst = append(append(append(dst, '\''), tok...), '\'')
		}
		if n.prefix {
			dst = append(dst, ":*"...)
		}
		return append(dst, ')')
	case opAnd, opOr:
	}
	op := " & "
	if n.op == opOr {
		op = " | "
	}
	dst = append(dst, '(')
	for i, a := range n.args {
		if i > 0 {
			dst = append(dst, op...)
		}
		dst = a.tsquery(dst)
	}
	return append(dst, ')')
}

// TSVector returns the text of a tsvector that holds these [Tokens] with their
// positions. PostgreSQL keeps 256 positions of a token and none beyond 16383,
// so that a phrase is found in the first 16383 tokens of a text.
func TSVector(tokens []string) string {
	var b strings.Builder
	for i, tok := range tokens {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString("'" + tok + "':" + strconv.Itoa(min(i+1, maxPosition)))
	}
	return b.String()
}

// maxPosition is PostgreSQL's greatest position of a lexeme.
const maxPosition = 16383
