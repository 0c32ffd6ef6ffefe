package value

import (
	"strings"
	"unicode/utf8"

	"github.com/pandobase/pando/internal/fault"
)

// SearchMode is a grammar of full-text queries.
type SearchMode uint8

// The grammars, by the filter operators and PostgreSQL's functions.
const (
	SearchQuery  SearchMode = iota // fts, to_tsquery: & | ! <-> ( ) 'words' word:*
	SearchPlain                    // plfts, plainto_tsquery: all the words
	SearchPhrase                   // phfts, phraseto_tsquery: the words in a row
	SearchWeb                      // wfts, websearch_to_tsquery: words "a phrase" or -without
)

// The bounds of a query.
const (
	maxSearch      = 4096 // bytes
	maxSearchDepth = 32
	maxSearchTerms = 256 // tokens
)

// ParseSearch reads q in the given grammar. Words are cut by [Tokens]; a word
// without any token (punctuation) is left out, and a query without any matches
// nothing. Plain, phrase and web queries have no syntax errors.
//
// Faults: [fault.InvalidText] for syntax, [fault.NotImplemented] for weights
// (word:A), distances other than <-> and <1>, and <-> between anything but
// words, [fault.LimitExceeded], [fault.InvalidEncoding].
func ParseSearch(mode SearchMode, q string) (*Search, error) {
	if len(q) > maxSearch {
		return nil, fault.New(fault.LimitExceeded, "a search has at most %d bytes", maxSearch).
			WithDetails("got %d bytes", len(q))
	}
	if !utf8.ValidString(q) {
		return nil, badUTF8()
	}
	if i := strings.IndexByte(q, 0); i >= 0 {
		return nil, fault.New(fault.InvalidEncoding, "a text may not contain the character NUL").
			WithDetails("at byte %d", i)
	}
	var root *searchNode
	var err error
	switch mode {
	case SearchPlain:
		root = join(opAnd, words(Tokens(q)))
	case SearchPhrase:
		root = phrase(Tokens(q))
	case SearchWeb:
		root = parseWeb(q)
	case SearchQuery:
		p := searchParser{in: q}
		root, err = p.query()
	default:
		return nil, fault.New(fault.Internal, "an internal error occurred").WithDetails("an unknown search grammar")
	}
	if err != nil {
		return nil, err
	}
	if root.count() > maxSearchTerms {
		return nil, fault.New(fault.LimitExceeded, "a search has at most %d words", maxSearchTerms)
	}
	return &Search{root: root}, nil
}

// count is the number of tokens below n.
func (n *searchNode) count() int {
	if n == nil {
		return 0
	}
	c := len(n.tokens)
	for _, a := range n.args {
		c += a.count()
	}
	return c
}

// phrase is the tokens in a row, or nil without any.
func phrase(tokens []string) *searchNode {
	if len(tokens) == 0 {
		return nil
	}
	return &searchNode{op: opPhrase, tokens: tokens}
}

// words is one node for each token.
func words(tokens []string) []*searchNode {
	out := make([]*searchNode, len(tokens))
	for i := range tokens {
		out[i] = phrase(tokens[i : i+1])
	}
	return out
}

// join combines what there is of args.
func join(op searchOp, args []*searchNode) *searchNode {
	var kept []*searchNode
	for _, a := range args {
		switch {
		case a == nil:
		case a.op == op:
			kept = append(kept, a.args...)
		default:
			kept = append(kept, a)
		}
	}
	switch len(kept) {
	case 0:
		return nil
	case 1:
		return kept[0]
	}
	return &searchNode{op: op, args: kept}
}

func negate(n *searchNode) *searchNode {
	if n == nil {
		return nil
	}
	if n.op == opNot {
		return n.args[0]
	}
	return &searchNode{op: opNot, args: []*searchNode{n}}
}

// parseWeb reads websearch_to_tsquery's grammar: words are all wanted, "..."
// is a phrase, or between two stands for either, a - before a word or phrase
// excludes it. As there, a word of several tokens is a phrase, and an or at an
// end, or after another, is a word.
func parseWeb(q string) *searchNode {
	var either, all []*searchNode
	pendingOr := false
	for i := 0; i < len(q); {
		if isSpace(q[i]) {
			i++
			continue
		}
		not, signs := false, i
		for i < len(q) && (q[i] == '-' || i > signs && isSpace(q[i])) {
			if q[i] == '-' {
				not = !not
			}
			i++
		}
		signed := i > signs
		var n *searchNode
		if i < len(q) && q[i] == '"' {
			text, rest, _ := strings.Cut(q[i+1:], `"`)
			n = phrase(Tokens(text))
			i = len(q) - len(rest)
		} else {
			end := i
			for end < len(q) && !isSpace(q[end]) && q[end] != '"' {
				end++
			}
			word := q[i:end]
			i = end
			if !signed && !pendingOr && len(all) > 0 && strings.EqualFold(word, "or") && strings.TrimSpace(q[i:]) != "" {
				pendingOr = true
				continue
			}
			n = phrase(Tokens(word))
		}
		if n == nil {
			continue
		}
		if not {
			n = negate(n)
		}
		if pendingOr {
			either, all, pendingOr = append(either, join(opAnd, all)), nil, false
		}
		all = append(all, n)
	}
	return join(opOr, append(either, join(opAnd, all)))
}

// searchParser reads to_tsquery's grammar; from loose to tight: | & <-> !.
type searchParser struct {
	in    string
	at    int
	depth int
}

func (p *searchParser) fail(what string) *fault.Error {
	return fault.New(fault.InvalidText, "syntax error in the search: %s", what).
		WithDetails("at character %d of %s", utf8.RuneCountInString(p.in[:p.at])+1, show(p.in)).
		WithHint("words are joined by & | <-> and !; plfts and wfts take any text")
}

func (p *searchParser) query() (*searchNode, error) {
	p.space()
	if p.at == len(p.in) {
		return nil, nil //nolint:nilnil // no node is the empty query
	}
	n, err := p.either()
	if err == nil && p.at < len(p.in) {
		err = p.fail("an operator is missing")
	}
	if err != nil {
		return nil, err
	}
	return n, nil
}

func (p *searchParser) space() { p.at = skipSpace(p.in, p.at) }

// accept consumes op, and the white space behind it.
func (p *searchParser) accept(op string) bool {
	if !strings.HasPrefix(p.in[p.at:], op) {
		return false
	}
	p.at += len(op)
	p.space()
	return true
}

func (p *searchParser) either() (*searchNode, error) { return p.chain(opOr, "|", p.all) }

func (p *searchParser) all() (*searchNode, error) { return p.chain(opAnd, "&", p.row) }

// chain reads operands with op between them.
func (p *searchParser) chain(op searchOp, sign string, operand func() (*searchNode, error)) (*searchNode, error) {
	var args []*searchNode
	for {
		n, err := operand()
		if err != nil {
			return nil, err
		}
		args = append(args, n)
		if !p.accept(sign) {
			return join(op, args), nil
		}
	}
}

// row reads operands with <-> between them.
func (p *searchParser) row() (*searchNode, error) {
	n, err := p.operand()
	for err == nil && strings.HasPrefix(p.in[p.at:], "<") {
		at := p.at
		if !p.accept("<->") && !p.accept("<1>") {
			return nil, p.distance()
		}
		var next *searchNode
		if next, err = p.operand(); err != nil {
			break
		}
		if next == nil {
			continue
		}
		if n == nil {
			n = next
			continue
		}
		if n.op != opPhrase || next.op != opPhrase || n.prefix {
			p.at = at
			return nil, fault.New(fault.NotImplemented, "<-> is supported only between words, of which the last may be a prefix").
				WithDetails("at character %d of %s", utf8.RuneCountInString(p.in[:at])+1, show(p.in))
		}
		tokens := append(append([]string(nil), n.tokens...), next.tokens...)
		n = &searchNode{op: opPhrase, tokens: tokens, prefix: next.prefix}
	}
	return n, err
}

// distance is the fault of a < that starts no <->.
func (p *searchParser) distance() error {
	digits, rest := cutDigits(p.in[p.at+1:])
	if digits != "" && strings.HasPrefix(rest, ">") {
		return fault.New(fault.NotImplemented, "the distance <%s> is not supported", show(digits)).
			WithHint("use <-> for words next to each other")
	}
	return p.fail("< must start <->")
}

// operand reads a word, a quoted text, a negation or a group.
func (p *searchParser) operand() (*searchNode, error) {
	if p.depth++; p.depth > maxSearchDepth {
		return nil, fault.New(fault.LimitExceeded, "a search nests at most %d levels", maxSearchDepth)
	}
	defer func() { p.depth-- }()
	switch {
	case p.at == len(p.in):
		return nil, p.fail("a word is missing at the end")
	case p.accept("!"):
		n, err := p.operand()
		return negate(n), err
	case p.accept("("):
		n, err := p.either()
		if err == nil && !p.accept(")") {
			err = p.fail("a parenthesis is not closed")
		}
		return n, err
	}
	var text string
	if p.in[p.at] == '\'' {
		var ok bool
		if text, ok = p.quoted(); !ok {
			return nil, p.fail("a quote is not closed")
		}
	} else {
		end := p.at
		for end < len(p.in) && !isSpace(p.in[end]) && strings.IndexByte("&|!()<:'", p.in[end]) < 0 {
			end++
		}
		if end == p.at {
			return nil, p.fail("a word is missing")
		}
		text = p.in[p.at:end]
		p.at = end
	}
	n := phrase(Tokens(text))
	if strings.HasPrefix(p.in[p.at:], ":") {
		if err := p.suffix(n); err != nil {
			return nil, err
		}
	}
	p.space()
	return n, nil
}

// quoted reads '...', in which two quotes are one and \ takes the next byte.
func (p *searchParser) quoted() (string, bool) {
	var b strings.Builder
	for i := p.at + 1; i < len(p.in); i++ {
		switch c := p.in[i]; c {
		case '\'':
			if i+1 == len(p.in) || p.in[i+1] != '\'' {
				p.at = i + 1
				return b.String(), true
			}
			i++
		case '\\':
			if i++; i == len(p.in) {
				return "", false
			}
		}
		b.WriteByte(p.in[i])
	}
	return "", false
}

// suffix reads :* behind the word n, which may have had no token. Of a word of
// several tokens only the last becomes a prefix: FTS5 has no other.
func (p *searchParser) suffix(n *searchNode) error {
	for p.at++; p.at < len(p.in); p.at++ {
		switch c := p.in[p.at]; {
		case c == '*':
			if n != nil {
				n.prefix = true
			}
			continue
		case strings.IndexByte("ABCDabcd", c) >= 0:
			return fault.New(fault.NotImplemented, "search weights are not supported: :%c", c).
				WithDetails("at character %d of %s", utf8.RuneCountInString(p.in[:p.at])+1, show(p.in))
		}
		break
	}
	if p.in[p.at-1] == ':' {
		return p.fail("a colon must be followed by *")
	}
	return nil
}
