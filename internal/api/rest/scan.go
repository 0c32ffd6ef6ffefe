package rest

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/query"
)

// scanner walks over one parameter's text. Every part of the grammar is read
// in one pass from left to right; names and values are substrings of the text
// unless they hold escapes.
type scanner struct {
	what string // what is read, for messages: "select parameter"
	s    string
	pos  int
}

// longestShown bounds how much of a parameter a message repeats, in bytes.
const longestShown = 120

// shorten cuts a text for a message at a character's boundary.
func shorten(s string) string {
	if len(s) <= longestShown {
		return s
	}
	n := longestShown
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// fail is the fault at the scanner's position, in PostgREST's wording.
func (s *scanner) fail(expecting string) error {
	return s.failAt(s.pos, s.unexpected(s.pos)+", expecting "+expecting)
}

func (s *scanner) failAt(pos int, details string) *fault.Error {
	return fault.New(fault.Parse, "failed to parse %s (%s) (line 1, column %d)",
		s.what, shorten(s.s), utf8.RuneCountInString(s.s[:pos])+1).WithDetails("%s", details)
}

func (s *scanner) unexpected(pos int) string {
	if pos >= len(s.s) {
		return "unexpected end of input"
	}
	r, _ := utf8.DecodeRuneInString(s.s[pos:])
	return "unexpected " + strconv.QuoteRune(r)
}

func (s *scanner) end() bool { return s.pos >= len(s.s) }

// peek returns the next byte, or 0 at the end (a NUL never gets this far).
func (s *scanner) peek() byte {
	if s.pos < len(s.s) {
		return s.s[s.pos]
	}
	return 0
}

func (s *scanner) rest() string { return s.s[s.pos:] }

// accept consumes b when it is next.
func (s *scanner) accept(b byte) bool {
	if s.peek() != b || s.end() {
		return false
	}
	s.pos++
	return true
}

// acceptText consumes t when it is next.
func (s *scanner) acceptText(t string) bool {
	if !strings.HasPrefix(s.rest(), t) {
		return false
	}
	s.pos += len(t)
	return true
}

func (s *scanner) space() {
	for s.pos < len(s.s) && (s.s[s.pos] == ' ' || s.s[s.pos] == '\t') {
		s.pos++
	}
}

// identifierByte reports whether b stands in an unquoted name. Spaces do, as
// in PostgREST; leading and trailing ones are trimmed.
func identifierByte(b byte) bool {
	switch {
	case b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', b >= '0' && b <= '9', b == '_', b == '$', b == ' ', b >= utf8.RuneSelf:
		return true
	}
	return false
}

// identifier reads an unquoted run of name characters, dashes excluded. It may
// be empty.
func (s *scanner) identifier() string {
	start := s.pos
	for s.pos < len(s.s) && identifierByte(s.s[s.pos]) {
		s.pos++
	}
	return strings.Trim(s.s[start:s.pos], " ")
}

// name reads a field's, relation's or key's name: an identifier in which
// dashes may stand, or a quoted text.
func (s *scanner) name(expecting string) (string, error) {
	s.space()
	if s.peek() == '"' {
		return s.quoted()
	}
	start := s.pos
	for s.pos < len(s.s) {
		b := s.s[s.pos]
		if b == '-' && s.pos > start && s.pos+1 < len(s.s) && identifierByte(s.s[s.pos+1]) {
			s.pos++
			continue
		}
		if !identifierByte(b) {
			break
		}
		s.pos++
	}
	n := strings.TrimRight(s.s[start:s.pos], " ")
	if n == "" {
		s.pos = start
		return "", s.fail(expecting)
	}
	return n, nil
}

// quoted reads "text"; a backslash takes the next character as it is.
func (s *scanner) quoted() (string, error) {
	start := s.pos
	text, next, ok := unquote(s.s, s.pos)
	if !ok {
		return "", s.failAt(start, "the quotation mark is not closed")
	}
	s.pos = next
	return text, nil
}

// unquote reads a quoted text that begins at s[pos]; next is the place behind
// the closing quotation mark. It allocates only when there are escapes.
func unquote(s string, pos int) (text string, next int, ok bool) {
	pos++
	start, escaped := pos, false
	for ; pos < len(s); pos++ {
		switch s[pos] {
		case '\\':
			escaped = true
			pos++
		case '"':
			text = s[start:pos]
			if escaped {
				text = unescape(text)
			}
			return text, pos + 1, true
		}
	}
	return "", len(s), false
}

func unescape(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// path reads the arrows that follow a field's name: ->key, ->>key, ->0.
func (s *scanner) path() ([]query.Step, error) {
	var steps []query.Step
	for s.acceptText("->") {
		if n := len(steps); n > 0 && steps[n-1].Text {
			s.pos -= 2
			return nil, s.failAt(s.pos, "a path ends with ->>, nothing can be taken out of a text")
		}
		if len(steps) == maxPathSteps {
			return nil, fault.New(fault.LimitExceeded, "a JSON path has at most %d steps", maxPathSteps)
		}
		st := query.Step{Text: s.accept('>')}
		if i, ok, err := s.index(); err != nil {
			return nil, err
		} else if ok {
			st.Index = i
		} else {
			key, err := s.name("a key or an index")
			if err != nil {
				return nil, err
			}
			st.Key, st.ByKey = key, true
		}
		steps = append(steps, st)
	}
	return steps, nil
}

// maxPathSteps bounds a JSON path.
const maxPathSteps = 64

// index reads an array index, which may count from the end. ok is false, and
// nothing consumed, when a key follows.
func (s *scanner) index() (i int64, ok bool, err error) {
	start, p := s.pos, s.pos
	if p < len(s.s) && s.s[p] == '-' {
		p++
	}
	digits := p
	for p < len(s.s) && s.s[p] >= '0' && s.s[p] <= '9' {
		p++
	}
	if p == digits {
		return 0, false, nil
	}
	if p < len(s.s) && !strings.HasPrefix(s.s[p:], "->") && !strings.HasPrefix(s.s[p:], "::") && !strings.ContainsRune(".,):", rune(s.s[p])) {
		return 0, false, nil
	}
	i, convErr := strconv.ParseInt(s.s[start:p], 10, 32)
	if convErr != nil {
		return 0, false, s.failAt(start, "the index is out of range")
	}
	s.pos = p
	return i, true, nil
}

// names reads a comma-separated list of names to the end: columns, on_conflict.
func (s *scanner) names() ([]string, error) {
	out := make([]string, 0, strings.Count(s.s, ",")+1)
	for {
		n, err := s.name("a field's name")
		if err != nil {
			return nil, err
		}
		out = append(out, n)
		s.space()
		if s.end() {
			return out, nil
		}
		if !s.accept(',') {
			return nil, s.fail(`"," or end of input`)
		}
	}
}
