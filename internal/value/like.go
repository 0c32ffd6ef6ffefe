package value

import (
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/pandobase/pando/internal/fault"
)

// maxLike bounds a pattern, in bytes: with wildcards in it, matching takes
// time proportional to the text times the pattern.
const maxLike = 4096

// Like is a compiled LIKE pattern. It is immutable and safe for concurrent
// use.
type Like struct {
	fold bool
	// The runs between the % signs. The first is anchored at the text's start
	// and the last at its end; with one run the text is that run.
	runs []run
}

// run is what stands between two % signs: literals between _ signs, so that n
// literals, of which any may be empty, have n-1 single characters in between.
type run []string

// CompileLike reads a pattern of PostgreSQL's LIKE: % stands for any run of
// characters, _ for one character, and \ takes the next character literally.
// With fold it is ILIKE: pattern and text are compared by [Fold], and _ is one
// character of the folded text (so that __ matches ß, which folds to ss).
func CompileLike(pattern string, fold bool) (*Like, error) {
	if len(pattern) > maxLike {
		return nil, fault.New(fault.LimitExceeded, "a LIKE pattern has at most %d bytes", maxLike).
			WithDetails("got %d bytes", len(pattern))
	}
	p, err := normalise(pattern)
	if err != nil {
		return nil, err
	}
	l := &Like{fold: fold}
	var literal strings.Builder
	var current run
	endLiteral := func() {
		s := literal.String()
		literal.Reset()
		if fold {
			s = Fold(s)
		}
		current = append(current, s)
	}
	for i := 0; i < len(p); i++ {
		switch c := p[i]; c {
		case '%':
			endLiteral()
			l.runs = append(l.runs, current)
			current = nil
		case '_':
			endLiteral()
		case '\\':
			if i++; i == len(p) {
				return nil, fault.New(fault.InvalidText, `a LIKE pattern must not end with the escape character \`).
					WithDetails("the pattern is %s", show(pattern)).WithHint(`write \\ for a backslash`)
			}
			literal.WriteByte(p[i]) // the rest of a longer character follows by itself
		default:
			literal.WriteByte(c)
		}
	}
	endLiteral()
	l.runs = append(l.runs, current)
	return l, nil
}

// Match reports whether the whole of s, which is canonical text, fits the
// pattern. It allocates only to fold what is not folded yet.
func (l *Like) Match(s string) bool {
	if l.fold {
		s = Fold(s)
	}
	end, ok := l.runs[0].prefix(s)
	if !ok {
		return false
	}
	if len(l.runs) == 1 {
		return end == len(s)
	}
	s = s[end:]
	last := len(l.runs) - 1
	for _, r := range l.runs[1:last] {
		if end, ok = r.find(s); !ok {
			return false
		}
		s = s[end:]
	}
	return l.runs[last].suffix(s)
}

// prefix matches r at the start of s and returns where it ends.
func (r run) prefix(s string) (end int, ok bool) {
	rest := s
	for i, literal := range r {
		if i > 0 {
			if rest == "" {
				return 0, false
			}
			_, size := utf8.DecodeRuneInString(rest)
			rest = rest[size:]
		}
		if rest, ok = strings.CutPrefix(rest, literal); !ok {
			return 0, false
		}
	}
	return len(s) - len(rest), true
}

// find matches r at the first place possible and returns where it ends there:
// that leaves the most for the runs that follow.
func (r run) find(s string) (end int, ok bool) {
	at := 0
	for {
		i := strings.Index(s[at:], r[0])
		if i < 0 {
			return 0, false
		}
		at += i
		if n, ok := r.prefix(s[at:]); ok {
			return at + n, true
		}
		if at == len(s) {
			return 0, false
		}
		_, size := utf8.DecodeRuneInString(s[at:])
		at += size
	}
}

// suffix matches r at the end of s.
func (r run) suffix(s string) bool {
	for i, v := range slices.Backward(r) {
		var ok bool
		if s, ok = strings.CutSuffix(s, v); !ok {
			return false
		}
		if i > 0 {
			if s == "" {
				return false
			}
			_, size := utf8.DecodeLastRuneInString(s)
			s = s[:len(s)-size]
		}
	}
	return true
}

// Fold returns s as comparisons without case see it: Unicode's full case
// folding (CaseFolding.txt, status C and F: ß is ss, ς and Σ are σ, without
// the Turkic i), as golang.org/x/text/cases.Fold has it. It is the table of
// ICU's root fold, and it does not depend on a language. The result is in NFC
// when s is. It returns s itself where nothing changes.
func Fold(s string) string {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= utf8.RuneSelf:
			return norm.NFC.String(caseFold(s))
		case c >= 'A' && c <= 'Z':
			return foldFrom(s, i)
		}
	}
	return s
}

// foldFrom folds s, of which the first i bytes are folded ASCII.
func foldFrom(s string, i int) string {
	b := []byte(s)
	for ; i < len(b); i++ {
		switch c := b[i]; {
		case c >= utf8.RuneSelf:
			return norm.NFC.String(caseFold(s))
		case c >= 'A' && c <= 'Z':
			b[i] = c | 0x20
		}
	}
	return string(b)
}

// caseFold is cases.Fold, put right for Cherokee: the table folds its small
// letters to capitals, as Unicode does since it had no small ones at first,
// but cases.Fold also turns the capitals into small ones.
func caseFold(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 0xAB70 && r <= 0xABBF:
			return r - 0xAB70 + 0x13A0
		case r >= 0x13F8 && r <= 0x13FD:
			return r - 8
		}
		return r
	}, cases.Fold().String(s))
}
