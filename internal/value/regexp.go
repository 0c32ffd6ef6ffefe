package value

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pandobase/pando/internal/fault"
)

const (
	maxRegexp = 1024 // bytes of a pattern
	maxRepeat = 255  // PostgreSQL's bound for {m,n}
)

// CompileRegexp compiles what RE2 and PostgreSQL's regular expressions (ARE,
// under the collation "C") mean alike, and refuses everything else with
// [fault.InvalidRegexp], the reason and the place. What is taken:
//
//	characters, . (any character, a line feed too), [abc], [^a-f], | ( ) (?: )
//	* + ? {m} {m,} {m,n} up to 255, each also with ? behind it
//	^ and $: the start and the end of the text; \A: its start
//	\d \w \s and \D \W \S, [[:alpha:]] and so on: of ASCII, as in collation "C"
//	\n \t \r \f \v, and \ before any ASCII character that is no letter or digit
//
// With fold, ASCII letters match in both cases, as ~* does under "C"; other
// letters that have a case are refused, since nothing folds them there (ilike
// does). Patterns have at most 1024 bytes; matching is linear in the text.
func CompileRegexp(pattern string, fold bool) (*regexp.Regexp, error) {
	if len(pattern) > maxRegexp {
		return nil, fault.New(fault.InvalidRegexp, "invalid regular expression: longer than %d bytes", maxRegexp).
			WithDetails("got %d bytes", len(pattern))
	}
	if !utf8.ValidString(pattern) {
		return nil, badUTF8()
	}
	if i := strings.IndexByte(pattern, 0); i >= 0 {
		return nil, fault.New(fault.InvalidEncoding, "a text may not contain the character NUL").
			WithDetails("at byte %d", i)
	}
	c := regexpCompiler{in: pattern, fold: fold}
	c.out.WriteString(`(?s)`)
	if err := c.pattern(); err != nil {
		return nil, err
	}
	re, err := regexp.Compile(c.out.String())
	if err != nil { // what only RE2 refuses: repetitions that unfold to too much
		return nil, fault.Wrap(err, fault.InvalidRegexp, "invalid regular expression: too complex").
			WithHint("nested repetitions multiply; their product is at most 1000")
	}
	return re, nil
}

// regexpCompiler reads in and writes what means the same to RE2 to out.
type regexpCompiler struct {
	in   string
	at   int
	fold bool
	out  strings.Builder
	open int  // groups
	atom bool // a quantifier may follow
}

func (c *regexpCompiler) refuse(at int, reason string) *fault.Error {
	return fault.New(fault.InvalidRegexp, "invalid regular expression: %s", reason).
		WithDetails("at character %d of %s", utf8.RuneCountInString(c.in[:at])+1, show(c.in))
}

// pattern translates the whole of in.
func (c *regexpCompiler) pattern() error {
	for c.at < len(c.in) {
		b := c.in[c.at]
		atom := true
		var err error
		switch b {
		case '\\':
			atom, err = c.escape()
		case '[':
			err = c.bracket()
		case '(':
			atom, err = false, c.group()
		case ')':
			if c.open == 0 {
				return c.refuse(c.at, "a closing parenthesis without its opening one")
			}
			c.open--
			c.emit(1)
		case '*', '+', '?', '{':
			atom, err = false, c.quantifier()
		case '^', '$', '|':
			atom = false
			c.emit(1)
		case '.', ']', '}':
			if b != '.' {
				c.out.WriteByte('\\')
			}
			c.emit(1)
		default:
			err = c.character()
		}
		if err != nil {
			return err
		}
		c.atom = atom
	}
	if c.open > 0 {
		return c.refuse(len(c.in), "a parenthesis is not closed")
	}
	return nil
}

// emit copies n bytes.
func (c *regexpCompiler) emit(n int) {
	c.out.WriteString(c.in[c.at : c.at+n])
	c.at += n
}

// character translates a character that stands for itself.
func (c *regexpCompiler) character() error {
	r, size := utf8.DecodeRuneInString(c.in[c.at:])
	if !c.fold {
		c.emit(size)
		return nil
	}
	if r >= utf8.RuneSelf && unicode.SimpleFold(r) != r {
		return c.foldRefused()
	}
	if isLetter(byte(r)) && size == 1 {
		c.out.Write([]byte{'[', byte(r) &^ 0x20, byte(r) | 0x20, ']'})
		c.at++
		return nil
	}
	c.emit(size)
	return nil
}

func (c *regexpCompiler) foldRefused() error {
	return c.refuse(c.at, "without case only ASCII letters are matched").
		WithHint("use ilike, or use match and write both cases in brackets")
}

// group translates ( and (?: and refuses all other (?.
func (c *regexpCompiler) group() error {
	rest := c.in[c.at:]
	switch {
	case strings.HasPrefix(rest, "(?:"):
		c.open++
		c.emit(3)
	case strings.HasPrefix(rest, "(?"):
		return c.refuse(c.at, "of the groups that start with (? only (?: is supported").
			WithHint("look-around does not exist in RE2; for matching without case use imatch")
	default:
		c.open++
		c.emit(1)
	}
	return nil
}

// quantifier translates * + ? {m} {m,} {m,n} and the ? that may follow them.
func (c *regexpCompiler) quantifier() error {
	if !c.atom {
		return c.refuse(c.at, "a quantifier has nothing to repeat")
	}
	if c.in[c.at] != '{' {
		c.emit(1)
	} else {
		low, rest, ok := c.bound(c.in[c.at+1:])
		if !ok {
			return c.badBound()
		}
		high := low
		if strings.HasPrefix(rest, ",}") {
			rest = rest[1:]
		} else if strings.HasPrefix(rest, ",") {
			if high, rest, ok = c.bound(rest[1:]); !ok {
				return c.badBound()
			}
		}
		if !strings.HasPrefix(rest, "}") || high < low {
			return c.badBound()
		}
		c.emit(len(c.in) - c.at - len(rest) + 1)
	}
	if c.at < len(c.in) && c.in[c.at] == '?' {
		c.emit(1)
	}
	return nil
}

// bound reads a repetition count.
func (c *regexpCompiler) bound(s string) (n int, rest string, ok bool) {
	digits, rest := cutDigits(s)
	if digits == "" || len(digits) > 3 || number(digits) > maxRepeat {
		return 0, "", false
	}
	return number(digits), rest, true
}

func (c *regexpCompiler) badBound() error {
	return c.refuse(c.at, "{ must start {m}, {m,} or {m,n} with m <= n <= 255").WithHint(`write \{ for a brace`)
}

// The classes that stand for an ASCII set in collation "C". RE2's \s is short
// of the vertical tab.
const (
	digitClass = `0-9`
	wordClass  = `0-9A-Za-z_`
	spaceClass = `\t-\r `
)

func shorthand(b byte) string {
	switch b | 0x20 {
	case 'd':
		return digitClass
	case 'w':
		return wordClass
	case 's':
		return spaceClass
	}
	return ""
}

// escape translates \ and what follows it, and tells whether it is an atom.
func (c *regexpCompiler) escape() (atom bool, err error) {
	if c.at+1 == len(c.in) {
		return false, c.refuse(c.at, `\ at the end`)
	}
	b := c.in[c.at+1]
	if class := shorthand(b); class != "" && isLetter(b) {
		c.out.WriteByte('[')
		if b < 'a' {
			c.out.WriteByte('^')
		}
		c.out.WriteString(class + "]")
		c.at += 2
		return true, nil
	}
	switch {
	case b == 'A':
		c.emit(2)
		return false, nil
	case strings.IndexByte("ntrfv", b) >= 0, b < utf8.RuneSelf && !isLetter(b) && !isDigit(b) && b >= ' ':
		c.emit(2)
		return true, nil
	}
	return false, c.badEscape()
}

func (c *regexpCompiler) badEscape() error {
	err := c.refuse(c.at, "this escape means different things, or nothing, to RE2 and PostgreSQL")
	switch c.in[c.at+1] {
	case 'b', 'B', 'y', 'Y', 'm', 'M':
		return err.WithHint(`word boundaries are not supported; write (^|\W)word(\W|$)`)
	case 'z', 'Z':
		return err.WithHint("the end of the text is $")
	case 'x', 'u', 'U':
		return err.WithHint("write the character itself")
	}
	return err
}

// bracket translates [...].
func (c *regexpCompiler) bracket() error {
	start := c.at
	c.emit(1)
	if c.at < len(c.in) && c.in[c.at] == '^' {
		c.emit(1)
	}
	for first := true; ; first = false {
		if c.at == len(c.in) {
			return c.refuse(start, "a bracket is not closed")
		}
		if c.in[c.at] == ']' && !first {
			c.emit(1)
			return nil
		}
		if err := c.bracketItem(first); err != nil {
			return err
		}
	}
}

// bracketItem translates a class, a character or a range.
func (c *regexpCompiler) bracketItem(first bool) error {
	rest := c.in[c.at:]
	switch {
	case strings.HasPrefix(rest, "[:"):
		return c.posixClass()
	case strings.HasPrefix(rest, "[.") || strings.HasPrefix(rest, "[="):
		return c.refuse(c.at, "collating elements are not supported")
	case len(rest) > 1 && rest[0] == '\\' && shorthand(rest[1]) != "" && isLetter(rest[1]):
		if rest[1] < 'a' {
			return c.refuse(c.at, `\D, \W and \S cannot stand in brackets`)
		}
		c.out.WriteString(shorthand(rest[1]))
		c.at += 2
		return c.noRange()
	}
	low, err := c.bracketChar(first)
	if err != nil {
		return err
	}
	high := low
	if rest = c.in[c.at:]; len(rest) > 1 && rest[0] == '-' && rest[1] != ']' {
		c.at++
		at := c.at
		if rest[1] == '[' || rest[1] == '-' {
			return c.refuse(c.at, "a range must end with a single character")
		}
		if high, err = c.bracketChar(false); err != nil {
			return err
		}
		if high < low {
			return c.refuse(at, "a range must not go backwards")
		}
		if err := c.noRange(); err != nil {
			return err
		}
		if c.fold && high >= utf8.RuneSelf {
			c.at = at
			return c.foldRefused()
		}
	}
	c.set(low, high)
	return nil
}

// noRange refuses a - that would make a range of what is none: [a-c-e], [\d-z].
func (c *regexpCompiler) noRange() error {
	if rest := c.in[c.at:]; len(rest) > 1 && rest[0] == '-' && rest[1] != ']' {
		return c.refuse(c.at, "a range must start with a single character").WithHint(`write \- for a hyphen`)
	}
	return nil
}

// bracketChar reads one character in brackets. A - is one only as the first
// or the last.
func (c *regexpCompiler) bracketChar(first bool) (rune, error) {
	r, size := utf8.DecodeRuneInString(c.in[c.at:])
	if r == '-' && !first && !strings.HasPrefix(c.in[c.at+1:], "]") {
		return 0, c.refuse(c.at, "a hyphen between others must be escaped").WithHint(`write \- for a hyphen`)
	}
	if r == '\\' {
		if c.at+1 == len(c.in) {
			return 0, c.refuse(c.at, `\ at the end`)
		}
		b := c.in[c.at+1]
		if i := strings.IndexByte("ntrfv", b); i >= 0 {
			c.at += 2
			return rune("\n\t\r\f\v"[i]), nil
		}
		if b >= utf8.RuneSelf || isLetter(b) || isDigit(b) || b < ' ' {
			return 0, c.badEscape()
		}
		c.at += 2
		return rune(b), nil
	}
	if c.fold && r >= utf8.RuneSelf && unicode.SimpleFold(r) != r {
		return 0, c.foldRefused()
	}
	c.at += size
	return r, nil
}

// set writes the characters from low to high, with fold also their other case.
func (c *regexpCompiler) set(low, high rune) {
	c.runes(low, high)
	if !c.fold {
		return
	}
	if l, h := max(low, 'a'), min(high, 'z'); l <= h {
		c.runes(l-32, h-32)
	}
	if l, h := max(low, 'A'), min(high, 'Z'); l <= h {
		c.runes(l+32, h+32)
	}
}

func (c *regexpCompiler) runes(low, high rune) {
	c.rune(low)
	if high != low {
		c.out.WriteByte('-')
		c.rune(high)
	}
}

// rune writes one character so that it stands for itself inside brackets.
func (c *regexpCompiler) rune(r rune) {
	if r < utf8.RuneSelf && r > ' ' && !isLetter(byte(r)) && !isDigit(byte(r)) {
		c.out.WriteByte('\\')
	}
	c.out.WriteRune(r)
}

// posixClass translates [:name:].
func (c *regexpCompiler) posixClass() error {
	name, _, ok := strings.Cut(c.in[c.at+2:], ":]")
	if !ok {
		return c.refuse(c.at, "a character class is not closed")
	}
	out := name
	switch name {
	case "lower", "upper":
		if c.fold {
			out = "alpha"
		}
	case "alnum", "alpha", "blank", "cntrl", "digit", "graph", "print", "punct", "space", "xdigit":
	default:
		return c.refuse(c.at, "no such character class: "+show(name))
	}
	c.out.WriteString("[:" + out + ":]")
	c.at += len(name) + len("[::]")
	return c.noRange()
}

func isLetter(c byte) bool { c |= 0x20; return c >= 'a' && c <= 'z' }
