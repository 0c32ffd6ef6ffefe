package rest

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/query"
)

// input is a request's body as rows: rows[i][j] belongs to columns[j].
type input struct {
	columns []string
	rows    [][]query.Cell
}

// maxBodyDepth bounds the nesting of a JSON body: SQLite and PostgreSQL read
// JSON by recursion and stop at about twice as much.
const maxBodyDepth = 500

// mapColumns is how many columns are searched one after the other.
const mapColumns = 16

// splitter turns a JSON object, or an array of objects, into cells that are
// substrings of the body: names are decoded, values are not. It checks the
// whole syntax (RFC 8259), because the cells go to the store unread.
type splitter struct {
	s   string
	pos int

	in      input
	fixed   bool           // columns are given: other keys are left out, absent ones may be
	known   bool           // the first object has named the columns
	index   map[string]int // where there are more than mapColumns columns
	cells   []query.Cell   // memory for the next rows
	tooDeep bool
}

// splitJSON splits a body. With columns given only those are taken; otherwise
// the first object names them and every other must have the same keys. Of a
// key that is given twice the last counts.
func splitJSON(body string, columns []string) (input, error) {
	sp := &splitter{s: body}
	if columns != nil {
		sp.fixed, sp.known = true, true
		sp.in.columns = columns
		sp.indexColumns()
	}
	if err := sp.document(); err != nil {
		return input{}, err
	}
	return sp.in, nil
}

func (sp *splitter) document() error {
	sp.space()
	switch sp.peek() {
	case '{':
		if err := sp.object(); err != nil {
			return err
		}
	case '[':
		sp.pos++
		if err := sp.array(); err != nil {
			return err
		}
	default:
		return sp.fail("expecting an object or an array of objects")
	}
	sp.space()
	if sp.pos < len(sp.s) {
		return sp.fail("expecting the end of the body")
	}
	return nil
}

func (sp *splitter) array() error {
	sp.space()
	if sp.accept(']') {
		return nil
	}
	for {
		sp.space()
		if sp.peek() != '{' {
			return sp.fail("expecting an object in the array")
		}
		if err := sp.object(); err != nil {
			return err
		}
		sp.space()
		if sp.accept(']') {
			return nil
		}
		if !sp.accept(',') {
			return sp.fail(`expecting "," or "]"`)
		}
	}
}

// object reads one row.
func (sp *splitter) object() error {
	start := sp.pos
	sp.pos++
	row, set := sp.newRow(), 0
	sp.space()
	if !sp.accept('}') {
		for i := 0; ; i++ {
			key, cell, err := sp.member()
			if err != nil {
				return err
			}
			at := sp.column(key, i)
			switch {
			case at >= 0:
			case !sp.known:
				at = len(row)
				sp.in.columns = append(sp.in.columns, key)
				sp.indexColumns()
				row = append(row, query.Cell{})
			case !sp.fixed:
				return unequalKeys(start, sp.s, key)
			}
			if at >= 0 {
				if row[at].Kind == query.Absent {
					set++
				}
				row[at] = cell
			}
			sp.space()
			if sp.accept('}') {
				break
			}
			if !sp.accept(',') {
				return sp.fail(`expecting "," or "}"`)
			}
		}
	}
	if !sp.fixed && set != len(sp.in.columns) {
		return unequalKeys(start, sp.s, "")
	}
	sp.known = true
	sp.in.rows = append(sp.in.rows, row)
	return nil
}

func unequalKeys(start int, s, key string) error {
	line, column := place(s, start)
	f := fault.New(fault.InvalidBody, "All object keys must match").
		WithHint("give every object the same keys, or name the fields in the parameter columns")
	if key == "" {
		return f.WithDetails("the object at line %d, column %d lacks a key of the first one", line, column)
	}
	return f.WithDetails("the object at line %d, column %d has the key %q, which the first one has not", line, column, shorten(key))
}

// member reads "key": value.
func (sp *splitter) member() (string, query.Cell, error) {
	sp.space()
	start := sp.pos
	if sp.peek() != '"' || !sp.text() {
		return "", query.Cell{}, sp.fail("expecting a key in quotation marks")
	}
	key := sp.s[start+1 : sp.pos-1]
	if strings.IndexByte(key, '\\') >= 0 {
		key = decodeText(sp.s[start:sp.pos])
	}
	sp.space()
	if !sp.accept(':') {
		return "", query.Cell{}, sp.fail(`expecting ":"`)
	}
	sp.space()
	start = sp.pos
	if !sp.value(2) {
		if sp.tooDeep {
			return "", query.Cell{}, fault.New(fault.LimitExceeded, "the body is nested more than %d levels deep", maxBodyDepth)
		}
		return "", query.Cell{}, sp.fail("expecting a value")
	}
	raw := sp.s[start:sp.pos]
	if raw == "null" {
		return key, query.Cell{Kind: query.NullCell}, nil
	}
	return key, query.Cell{Kind: query.FromJSON, Raw: raw}, nil
}

// decodeText decodes a string that is known to be well-formed.
func decodeText(raw string) string {
	var text string
	if err := json.Unmarshal([]byte(raw), &text); err != nil {
		panic(err) // the splitter and encoding/json disagree on what a string is
	}
	return text
}

// newRow returns a row of absent cells. Rows are cut from blocks that grow.
func (sp *splitter) newRow() []query.Cell {
	n := len(sp.in.columns)
	if !sp.known || n == 0 {
		return make([]query.Cell, 0, 8)
	}
	if len(sp.cells) < n {
		sp.cells = make([]query.Cell, n*min(len(sp.in.rows)+1, 256))
	}
	row := sp.cells[:n:n]
	sp.cells = sp.cells[n:]
	return row
}

// column finds a key among the columns; hint is where it probably stands.
func (sp *splitter) column(key string, hint int) int {
	if hint < len(sp.in.columns) && sp.in.columns[hint] == key {
		return hint
	}
	if sp.index != nil {
		if i, ok := sp.index[key]; ok {
			return i
		}
		return -1
	}
	for i, c := range sp.in.columns {
		if c == key {
			return i
		}
	}
	return -1
}

// indexColumns keeps the index in step with the columns.
func (sp *splitter) indexColumns() {
	n := len(sp.in.columns)
	if n <= mapColumns {
		return
	}
	if sp.index != nil {
		sp.index[sp.in.columns[n-1]] = n - 1
		return
	}
	sp.index = make(map[string]int, 2*n)
	for i, c := range sp.in.columns {
		sp.index[c] = i
	}
}

func (sp *splitter) peek() byte {
	if sp.pos < len(sp.s) {
		return sp.s[sp.pos]
	}
	return 0
}

func (sp *splitter) accept(b byte) bool {
	if sp.pos < len(sp.s) && sp.s[sp.pos] == b {
		sp.pos++
		return true
	}
	return false
}

func (sp *splitter) space() {
	for sp.pos < len(sp.s) {
		switch sp.s[sp.pos] {
		case ' ', '\t', '\n', '\r':
			sp.pos++
		default:
			return
		}
	}
}

// fail is the fault at the splitter's position.
func (sp *splitter) fail(expecting string) error {
	f := fault.New(fault.InvalidBody, "Empty or invalid json")
	if strings.TrimSpace(sp.s) == "" {
		return f.WithDetails("the body is empty").WithHint("send a JSON object or an array of objects")
	}
	line, column := place(sp.s, sp.pos)
	if sp.pos >= len(sp.s) {
		return f.WithDetails("unexpected end at line %d, column %d, %s", line, column, expecting)
	}
	r, _ := utf8.DecodeRuneInString(sp.s[sp.pos:])
	return f.WithDetails("unexpected %q at line %d, column %d, %s", r, line, column, expecting)
}

// place is the line and the column (in characters) of s[pos], from 1.
func place(s string, pos int) (line, column int) {
	pos = min(pos, len(s))
	before := s[:pos]
	return strings.Count(before, "\n") + 1, utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1
}

// value passes over one value and reports whether it is well-formed; when it
// is not, the splitter stands at the mistake.
func (sp *splitter) value(depth int) bool {
	if depth > maxBodyDepth {
		sp.tooDeep = true
		return false
	}
	switch c := sp.peek(); {
	case c == '"':
		return sp.text()
	case c == '{':
		return sp.skipObject(depth)
	case c == '[':
		return sp.skipArray(depth)
	case c == '-' || (c >= '0' && c <= '9'):
		return sp.number()
	}
	for _, w := range [...]string{"null", "true", "false"} {
		if strings.HasPrefix(sp.s[sp.pos:], w) {
			sp.pos += len(w)
			return true
		}
	}
	return false
}

func (sp *splitter) skipObject(depth int) bool {
	sp.pos++
	sp.space()
	if sp.accept('}') {
		return true
	}
	for {
		sp.space()
		if sp.peek() != '"' || !sp.text() {
			return false
		}
		sp.space()
		if !sp.accept(':') {
			return false
		}
		sp.space()
		if !sp.value(depth + 1) {
			return false
		}
		sp.space()
		if sp.accept('}') {
			return true
		}
		if !sp.accept(',') {
			return false
		}
	}
}

func (sp *splitter) skipArray(depth int) bool {
	sp.pos++
	sp.space()
	if sp.accept(']') {
		return true
	}
	for {
		sp.space()
		if !sp.value(depth + 1) {
			return false
		}
		sp.space()
		if sp.accept(']') {
			return true
		}
		if !sp.accept(',') {
			return false
		}
	}
}

// text passes over a string.
func (sp *splitter) text() bool {
	sp.pos++
	for sp.pos < len(sp.s) {
		switch c := sp.s[sp.pos]; {
		case c == '"':
			sp.pos++
			return true
		case c == '\\':
			if !sp.escape() {
				return false
			}
		case c < 0x20:
			return false
		default:
			sp.pos++
		}
	}
	return false
}

func (sp *splitter) escape() bool {
	if sp.pos+1 >= len(sp.s) {
		sp.pos = len(sp.s)
		return false
	}
	switch sp.s[sp.pos+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		sp.pos += 2
		return true
	case 'u':
		for i := 2; i < 6; i++ {
			if sp.pos+i >= len(sp.s) || !hexDigit(sp.s[sp.pos+i]) {
				return false
			}
		}
		sp.pos += 6
		return true
	}
	return false
}

func hexDigit(c byte) bool {
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')
}

// number passes over a number.
func (sp *splitter) number() bool {
	sp.accept('-')
	if !sp.accept('0') && !sp.digits() {
		return false
	}
	if sp.accept('.') && !sp.digits() {
		return false
	}
	if sp.accept('e') || sp.accept('E') {
		if !sp.accept('+') {
			sp.accept('-')
		}
		return sp.digits()
	}
	return true
}

func (sp *splitter) digits() bool {
	start := sp.pos
	for sp.pos < len(sp.s) && sp.s[sp.pos] >= '0' && sp.s[sp.pos] <= '9' {
		sp.pos++
	}
	return sp.pos > start
}
