package pull

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pandobase/pando/internal/value"
)

// A check constraint comes as PostgreSQL writes it back: fully bracketed, with
// its casts. What is read here is the part of that grammar whose meaning in
// CEL is certain; the rest stays the database's alone.

// node is a part of a condition.
type node struct {
	kind nodeKind
	text string // column, literal, operator or function
	args []*node
}

type nodeKind uint8

const (
	columnNode nodeKind = iota
	textNode
	numberNode
	boolNode
	callNode
	listNode // ARRAY[...]
	compareNode
	anyNode // text is the operator: x = ANY (list), x <> ALL (list)
	andNode
	orNode
	notNode
	nullNode // x IS NULL; text is NOT for IS NOT NULL
)

// parser reads a condition. Its methods panic with a syntax where they meet
// what they do not know.
type parser struct {
	tokens []token
	at     int
}

type token struct {
	kind byte // i identifier, q quoted identifier, s text, n number, o operator, e end
	text string
}

type syntax struct{}

// parse reads a condition; nil where it is not of the known grammar.
func parse(sql string) (n *node) {
	tokens, ok := tokenize(sql)
	if !ok {
		return nil
	}
	defer func() {
		if r := recover(); r != nil {
			if _, known := r.(syntax); !known {
				panic(r)
			}
			n = nil
		}
	}()
	p := &parser{tokens: tokens}
	n = p.or()
	if p.peek().kind != 'e' {
		return nil
	}
	return n
}

func tokenize(sql string) ([]token, bool) {
	var out []token
	for i := 0; i < len(sql); {
		c := sql[i]
		start := i
		switch {
		case c == ' ' || c == '\n' || c == '\t':
			i++
		case c == '\'' || c == '"':
			text, next, ok := quoted(sql, i)
			if !ok {
				return nil, false
			}
			kind := byte('s')
			if c == '"' {
				kind = 'q'
			}
			out, i = append(out, token{kind, text}), next
		case c >= '0' && c <= '9':
			for i < len(sql) && (sql[i] >= '0' && sql[i] <= '9' || sql[i] == '.') {
				i++
			}
			out = append(out, token{'n', sql[start:i]})
		case isLetter(c):
			for i < len(sql) && (isLetter(sql[i]) || sql[i] >= '0' && sql[i] <= '9') {
				i++
			}
			if i < len(sql) && sql[i] == '\'' { // E'...' and the like
				return nil, false
			}
			out = append(out, token{'i', sql[start:i]})
		case strings.IndexByte("()[],.", c) >= 0:
			i++
			out = append(out, token{'o', string(c)})
		case strings.IndexByte("<>=!:~+-*/%|&^#@", c) >= 0:
			for i < len(sql) && strings.IndexByte("<>=!:~+*/%|&^#@", sql[i]) >= 0 || i == start {
				i++
			}
			out = append(out, token{'o', sql[start:i]})
		default:
			return nil, false
		}
	}
	return append(out, token{kind: 'e'}), true
}

func isLetter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}

// quoted reads what stands between two quotes; one that is doubled is meant.
func quoted(sql string, i int) (text string, next int, ok bool) {
	q := sql[i]
	var b strings.Builder
	for i++; i < len(sql); i++ {
		if sql[i] != q {
			if sql[i] == '\\' {
				return "", 0, false // what it means depends on a setting
			}
			b.WriteByte(sql[i])
			continue
		}
		if i+1 < len(sql) && sql[i+1] == q {
			b.WriteByte(q)
			i++
			continue
		}
		return b.String(), i + 1, true
	}
	return "", 0, false
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) next() token {
	t := p.tokens[p.at]
	if t.kind != 'e' {
		p.at++
	}
	return t
}

// word takes a keyword or an operator if it comes next.
func (p *parser) word(w string) bool {
	t := p.peek()
	if t.text == w && (t.kind == 'i' || t.kind == 'o') {
		p.at++
		return true
	}
	return false
}

func (p *parser) need(w string) {
	if !p.word(w) {
		panic(syntax{})
	}
}

func (p *parser) or() *node { return p.chain("OR", orNode, p.and) }

func (p *parser) and() *node { return p.chain("AND", andNode, p.not) }

func (p *parser) chain(word string, kind nodeKind, part func() *node) *node {
	n := part()
	if !p.word(word) {
		return n
	}
	out := &node{kind: kind, args: []*node{n, part()}}
	for p.word(word) {
		out.args = append(out.args, part())
	}
	return out
}

func (p *parser) not() *node {
	if p.word("NOT") {
		return &node{kind: notNode, args: []*node{p.not()}}
	}
	return p.predicate()
}

func (p *parser) predicate() *node {
	x := p.operand()
	t := p.peek()
	switch {
	case p.word("IS"):
		n := &node{kind: nullNode, args: []*node{x}}
		if p.word("NOT") {
			n.text = "NOT"
		}
		p.need("NULL")
		return n
	case t.kind == 'o' && slices.Contains([]string{"=", "<>", "<", "<=", ">", ">="}, t.text):
		p.at++
		if p.word("ANY") || p.word("ALL") {
			if quantifier := p.tokens[p.at-1].text; quantifier == "ANY" != (t.text == "=") || t.text != "=" && t.text != "<>" {
				panic(syntax{})
			}
			p.need("(")
			y := p.operand()
			p.need(")")
			if y.kind != listNode {
				panic(syntax{})
			}
			return &node{kind: anyNode, text: t.text, args: []*node{x, y}}
		}
		return &node{kind: compareNode, text: t.text, args: []*node{x, p.operand()}}
	}
	return x
}

// operand is a value with its casts. Those that could change it are refused
// where the value is used, by its type.
func (p *parser) operand() *node {
	n := p.primary()
	for p.word("::") {
		p.cast(n)
	}
	return n
}

// plainCasts are those that leave a value what it is.
func plainCasts() []string {
	return []string{"text", "character varying", "numeric", "integer", "bigint", "smallint", "double precision", "bpchar"}
}

func (p *parser) cast(n *node) {
	var words []string
	for t := p.peek(); t.kind == 'i' && !slices.Contains([]string{"AND", "OR", "IS", "NOT"}, t.text) || t.kind == 'q' || t.text == "."; t = p.peek() {
		words = append(words, p.next().text)
	}
	name := strings.Join(words, " ")
	if p.word("[") {
		p.need("]")
		if n.kind != listNode {
			panic(syntax{})
		}
	}
	literal := n.kind == textNode || n.kind == numberNode || n.kind == listNode
	switch {
	case n.kind == columnNode && name == "text": // of a text or an enum; told by its type later
	case n.kind == numberNode && (name == "numeric" || name == "double precision" || name == "bigint"):
	case n.kind == textNode && slices.Contains(plainCasts(), name):
		if number := name != "text" && name != "character varying" && name != "bpchar"; number { // '-1'::integer
			if _, err := strconv.ParseFloat(n.text, 64); err != nil {
				panic(syntax{})
			}
			n.kind = numberNode
		}
	case n.kind == listNode && (name == "text" || name == "character varying"):
	case literal && strings.Contains(name, "."), literal && len(words) == 1 && !slices.Contains(plainCasts(), name):
		if n.kind == numberNode || strings.HasPrefix(name, "timestamp") || name == "date" || name == "time" || name == "interval" || name == "bytea" || name == "citext" {
			panic(syntax{})
		}
		// A word of an enum.
	default:
		panic(syntax{})
	}
	if p.word("(") { // a length
		panic(syntax{})
	}
}

func (p *parser) primary() *node {
	t := p.next()
	switch t.kind {
	case 's':
		return &node{kind: textNode, text: t.text}
	case 'n':
		return &node{kind: numberNode, text: t.text}
	case 'q':
		return &node{kind: columnNode, text: t.text}
	case 'o':
		if t.text == "-" && p.peek().kind == 'n' {
			return &node{kind: numberNode, text: "-" + p.next().text}
		}
		if t.text != "(" {
			panic(syntax{})
		}
		n := p.or()
		p.need(")")
		return n
	case 'i':
		return p.named(t)
	}
	panic(syntax{})
}

func (p *parser) named(t token) *node {
	switch t.text {
	case "true", "false":
		return &node{kind: boolNode, text: t.text}
	case "ARRAY":
		p.need("[")
		n := &node{kind: listNode, args: []*node{p.operand()}}
		for p.word(",") {
			n.args = append(n.args, p.operand())
		}
		p.need("]")
		return n
	case "NULL", "CASE", "SELECT", "CURRENT_DATE", "CURRENT_TIMESTAMP":
		panic(syntax{})
	}
	if !p.word("(") {
		return &node{kind: columnNode, text: t.text}
	}
	n := &node{kind: callNode, text: t.text, args: []*node{p.operand()}}
	p.need(")")
	return n
}

// celWriter writes a condition in CEL, about the columns that are fields.
type celWriter struct {
	field func(column string) *field // nil: there is none
}

// cel writes a condition; ok is false where its meaning is not certain.
func (w *celWriter) cel(n *node) (string, bool) {
	switch n.kind {
	case andNode, orNode:
		op := map[nodeKind]string{andNode: " && ", orNode: " || "}[n.kind]
		parts := make([]string, len(n.args))
		for i, a := range n.args {
			part, ok := w.cel(a)
			if !ok {
				return "", false
			}
			if a.kind == andNode || a.kind == orNode {
				part = "(" + part + ")"
			}
			parts[i] = part
		}
		return strings.Join(parts, op), true
	case notNode:
		part, ok := w.cel(n.args[0])
		return "!(" + part + ")", ok
	case nullNode:
		f := w.column(n.args[0])
		if f == nil {
			return "", false
		}
		op := " == "
		if n.text == "NOT" {
			op = " != "
		}
		return "row." + f.name + op + "null", true
	case columnNode:
		f := w.column(n)
		return "row." + nameOf(f), f != nil && f.kind == value.Bool
	case anyNode:
		return w.among(n)
	case compareNode:
		return w.compare(n)
	case textNode, numberNode, boolNode, callNode, listNode:
	}
	return "", false
}

func nameOf(f *field) string {
	if f == nil {
		return ""
	}
	return f.name
}

// column is the field of a column whose type is exactly the field's.
func (w *celWriter) column(n *node) *field {
	if n.kind != columnNode {
		return nil
	}
	f := w.field(n.text)
	if f == nil || f.list || f.loose {
		return nil
	}
	return f
}

func (w *celWriter) among(n *node) (string, bool) {
	f := w.column(n.args[0])
	if f == nil {
		return "", false
	}
	words := make([]string, len(n.args[1].args))
	for i, a := range n.args[1].args {
		lit, ok := literalOf(f, a)
		if !ok {
			return "", false
		}
		words[i] = lit
	}
	cel := "row." + f.name + " in [" + strings.Join(words, ", ") + "]"
	if n.text == "<>" {
		return "!(" + cel + ")", true
	}
	return cel, true
}

func (w *celWriter) compare(n *node) (string, bool) {
	op := map[string]string{"=": "==", "<>": "!="}[n.text]
	if op == "" {
		op = n.text
	}
	x, y := n.args[0], n.args[1]
	if f := w.sized(x); f != nil && y.kind == numberNode && isInt(y.text) {
		return "size(row." + f.name + ") " + op + " " + y.text, true
	}
	f := w.column(x)
	if f == nil {
		return "", false
	}
	if g := w.column(y); g != nil {
		return "row." + f.name + " " + op + " row." + g.name, f.kind == g.kind && f.scale == g.scale && (ordered(f) || op == "==" || op == "!=")
	}
	lit, ok := literalOf(f, y)
	if !ok || !ordered(f) && op != "==" && op != "!=" {
		return "", false
	}
	return "row." + f.name + " " + op + " " + lit, true
}

// ordered: the type has one order, here and there. Texts have many.
func ordered(f *field) bool {
	switch f.kind {
	case value.Int, value.Decimal, value.Float, value.Timestamp, value.Date, value.Time:
		return true
	default:
		return false
	}
}

// sized is the text field whose characters a call counts.
func (w *celWriter) sized(n *node) *field {
	if n.kind != callNode || n.text != "length" && n.text != "char_length" && n.text != "character_length" {
		return nil
	}
	if f := w.column(n.args[0]); f != nil && f.kind == value.Text {
		return f
	}
	return nil
}

func isInt(s string) bool {
	_, err := strconv.ParseInt(s, 10, 64)
	return err == nil
}

// literalOf is a literal of a field's type in CEL.
func literalOf(f *field, n *node) (string, bool) {
	switch {
	case n.kind == boolNode && f.kind == value.Bool:
		return n.text, true
	case n.kind == textNode && (f.kind == value.Text || f.kind == value.Enum):
		return celText(n.text), true
	case n.kind == numberNode && (f.kind == value.Int || f.kind == value.Decimal || f.kind == value.Float):
		t := value.Type{Kind: f.kind, Scale: f.scale}
		_, err := t.FromText(n.text)
		return n.text, err == nil
	}
	return "", false
}

// celText quotes a text as CEL does.
func celText(s string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for _, r := range s {
		switch {
		case r == '\'' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ':
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('\'')
	return b.String()
}
