package value

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pandobase/pando/internal/fault"
)

// The bounds of a JSON value.
const (
	// MaxJSONDepth is how deep objects and arrays may nest.
	MaxJSONDepth = 128
	// maxJSONExponent bounds the written exponents of numbers: all floats fit.
	maxJSONExponent = 400
	// maxJSONZeros bounds the zeros that written exponents add to one value.
	maxJSONZeros = 1 << 20
	// The digits of a number: PostgreSQL's numeric.
	maxWhole, maxPart = 131072, 16383
)

// CanonicalJSON returns raw, one JSON value, as PostgreSQL's jsonb holds it,
// without white space: an object's keys by length in bytes and then byte by
// byte, the last of equal keys wins, numbers in numeric's text form (1.50
// stays, 1e2 is 100, -0 is 0), strings with no more escapes than they need.
//
// Faults: [fault.InvalidText] for what is not JSON, lone surrogates included;
// [fault.InvalidEncoding] for invalid UTF-8 and \u0000, which jsonb cannot hold;
// [fault.LimitExceeded] for nesting beyond [MaxJSONDepth] and for exponents
// that would unfold to megabytes; [fault.NumericOutOfRange] for exponents
// beyond ±400 and for more digits than numeric has. Space is linear in raw but
// for at most 1 MiB of zeros; time, times the depth of what is out of order.
func CanonicalJSON(raw string) (string, error) {
	if !utf8.ValidString(raw) {
		return "", badUTF8()
	}
	c := canon{raw: raw, out: make([]byte, 0, len(raw))}
	if err := c.value(); err != nil {
		return "", err
	}
	c.space()
	if c.at != len(raw) {
		return "", badJSON(raw, c.at)
	}
	return same(c.out, raw), nil
}

// canon reads raw and writes out.
type canon struct {
	raw     string
	at      int
	out     []byte
	depth   int
	zeros   int
	members []member // of the objects that are open; a stack
	spare   []byte
}

// member is one key of an object and where in out it stands, key and value.
type member struct {
	key        string
	start, end int
}

func (c *canon) space() { c.at = skipJSON(c.raw, c.at) }

// accept consumes b, after white space.
func (c *canon) accept(b byte) bool {
	c.space()
	if c.at < len(c.raw) && c.raw[c.at] == b {
		c.at++
		return true
	}
	return false
}

func (c *canon) value() error {
	c.space()
	if c.at == len(c.raw) {
		return badJSON(c.raw, c.at)
	}
	switch b := c.raw[c.at]; {
	case b == '"':
		_, err := c.string()
		return err
	case b == '{':
		return c.nested(true)
	case b == '[':
		return c.nested(false)
	case b == '-' || isDigit(b):
		return c.number()
	}
	for _, w := range [...]string{"true", "false", "null"} {
		if strings.HasPrefix(c.raw[c.at:], w) {
			c.out = append(c.out, w...)
			c.at += len(w)
			return nil
		}
	}
	return badJSON(c.raw, c.at)
}

// nested consumes a bracket and reads what is in it, one level deeper.
func (c *canon) nested(object bool) (err error) {
	if c.depth++; c.depth > MaxJSONDepth {
		return fault.New(fault.LimitExceeded, "JSON nests too deep").
			WithDetails("at most %d levels, at byte %d", MaxJSONDepth, c.at)
	}
	c.at++
	if object {
		err = c.object()
	} else {
		err = c.array()
	}
	c.depth--
	return err
}

func (c *canon) array() error {
	c.out = append(c.out, '[')
	if c.accept(']') {
		c.out = append(c.out, ']')
		return nil
	}
	for {
		if err := c.value(); err != nil {
			return err
		}
		if c.accept(']') {
			c.out = append(c.out, ']')
			return nil
		}
		if !c.accept(',') {
			return badJSON(c.raw, c.at)
		}
		c.out = append(c.out, ',')
	}
}

func (c *canon) object() error {
	c.out = append(c.out, '{')
	first := len(c.members)
	for end := c.accept('}'); !end; {
		c.space()
		if c.at == len(c.raw) || c.raw[c.at] != '"' {
			return badJSON(c.raw, c.at)
		}
		start := len(c.out)
		key, err := c.string()
		if err != nil {
			return err
		}
		if !c.accept(':') {
			return badJSON(c.raw, c.at)
		}
		c.out = append(c.out, ':')
		if err := c.value(); err != nil {
			return err
		}
		if c.members == nil {
			c.members = make([]member, 0, 8)
		}
		c.members = append(c.members, member{key, start, len(c.out)})
		if end = c.accept('}'); !end && !c.accept(',') {
			return badJSON(c.raw, c.at)
		}
		c.out = append(c.out, ',')
	}
	c.sort(c.members[first:])
	c.members = c.members[:first]
	c.out[len(c.out)-1] = '}' // over the last comma
	return nil
}

// sort brings the members of the object that ends c.out into jsonb's order. A
// comma stands behind each of them; an empty object gets one to be replaced.
func (c *canon) sort(ms []member) {
	if len(ms) == 0 {
		c.out = append(c.out, ',')
		return
	}
	byKey := func(a, b member) int {
		return cmp.Or(cmp.Compare(len(a.key), len(b.key)), strings.Compare(a.key, b.key))
	}
	sorted := true
	for i := 1; i < len(ms) && sorted; i++ {
		sorted = byKey(ms[i-1], ms[i]) < 0
	}
	if sorted {
		return
	}
	start := ms[0].start
	slices.SortStableFunc(ms, byKey)
	c.spare = append(c.spare[:0], c.out[start:]...)
	c.out = c.out[:start]
	for i, m := range ms {
		if i+1 < len(ms) && ms[i+1].key == m.key {
			continue
		}
		c.out = append(c.out, c.spare[m.start-start:m.end-start]...)
		c.out = append(c.out, ',')
	}
}

// string reads and writes a string and returns the text it stands for.
func (c *canon) string() (string, error) {
	end, escaped, err := scanString(c.raw, c.at)
	if err != nil {
		return "", err
	}
	token := c.raw[c.at:end]
	c.at = end
	text := token[1 : len(token)-1]
	if !escaped {
		c.out = append(c.out, token...)
		return text, nil
	}
	buf, err := decodeString(make([]byte, 0, len(text)), text)
	if err != nil {
		return "", err
	}
	c.out = AppendQuoted(c.out, buf)
	return string(buf), nil
}

// number reads a number and writes it as numeric does.
func (c *canon) number() error {
	size, err := scanNumber(c.raw[c.at:])
	if size == 0 {
		return err
	}
	token := c.raw[c.at : c.at+size]
	c.at += size
	n, _ := parseNumeral(token) // JSON's numbers are among numeric's
	if n.negative && n.zero() {
		token = token[1:]
		n.negative = false
	}
	if !n.exponentDigits {
		if len(n.whole) > maxWhole || len(n.part) > maxPart {
			return jsonRange(token)
		}
		c.out = append(c.out, token...)
		return nil
	}
	if n.exponent > maxJSONExponent || n.exponent < -maxJSONExponent {
		return jsonRange(token)
	}
	start := len(c.out)
	c.unfold(&n)
	if c.zeros += max(0, len(c.out)-start-len(token)); c.zeros > maxJSONZeros {
		return fault.New(fault.LimitExceeded, "JSON numbers with exponents unfold to too many digits").
			WithDetails("more than %d zeros", maxJSONZeros)
	}
	if len(n.whole)+int(n.exponent) > maxWhole || len(n.part)-int(n.exponent) > maxPart {
		return jsonRange(token)
	}
	return nil
}

// unfold writes n without its exponent. As in numeric the exponent moves the
// point, and the digits behind it stay as many as were written there.
func (c *canon) unfold(n *numeral) {
	if n.negative {
		c.out = append(c.out, '-')
	}
	whole, part := n.whole, n.part
	exp := int(n.exponent)
	switch {
	case exp >= 0:
		moved := min(exp, len(part))
		zeros := exp - moved
		digits := strings.TrimLeft(whole+part[:moved], "0")
		if digits == "" {
			c.out = append(c.out, '0')
		} else {
			c.out = append(c.out, digits...)
			c.out = appendZeros(c.out, zeros)
		}
		part = part[moved:]
	case -exp >= len(whole):
		c.out = append(c.out, '0', '.')
		c.out = appendZeros(c.out, -exp-len(whole))
		c.out = append(c.out, whole...)
		c.out = append(c.out, part...)
		return
	default:
		c.out = append(c.out, whole[:len(whole)+exp]...)
		part = whole[len(whole)+exp:] + part
	}
	if part != "" {
		c.out = append(c.out, '.')
		c.out = append(c.out, part...)
	}
}

func appendZeros(dst []byte, n int) []byte {
	for range n {
		dst = append(dst, '0')
	}
	return dst
}

// scanNumber returns the length of the JSON number that s starts with. The
// error tells that there is none (size 0) or that something follows it.
func scanNumber(s string) (size int, err error) {
	rest := strings.TrimPrefix(s, "-")
	digits, rest := cutDigits(rest)
	if digits == "" || digits[0] == '0' && len(digits) > 1 {
		return 0, badJSON(s, 0)
	}
	if strings.HasPrefix(rest, ".") {
		if digits, rest = cutDigits(rest[1:]); digits == "" {
			return 0, badJSON(s, 0)
		}
	}
	if rest != "" && (rest[0] == 'e' || rest[0] == 'E') {
		if digits, rest = cutDigits(unsigned(rest[1:])); digits == "" {
			return 0, badJSON(s, 0)
		}
	}
	if rest != "" {
		return len(s) - len(rest), badJSON(s, len(s)-len(rest))
	}
	return len(s), nil
}

func jsonRange(token string) error {
	return fault.New(fault.NumericOutOfRange, "JSON number out of range: %s", show(token)).
		WithHint("exponents go to ±%d; write longer numbers as strings", maxJSONExponent)
}
