package rest

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/query"
)

// params is what the query string of one request asks for. Node holds the
// conditions, the order and the page of the root level; those of embedded
// relations stand in the nodes of its embeds.
type params struct {
	node       query.Node
	columns    []string // nil: not given
	onConflict []string
	cursor     string
	limit      int64 // the root's limit lies here
	hasOffset  bool
	selected   bool // select was given
}

// param is one name and value, decoded.
type param struct{ key, value string }

// limits are the bounds of pando.yaml that the grammar keeps.
type limits struct{ depth, filters int }

// parseParams reads a raw query string.
func parseParams(raw string, lim limits) (*params, error) {
	var room [16]param
	list, err := split(raw, room[:0])
	if err != nil {
		return nil, err
	}
	p := &params{}
	for i := range list {
		if list[i].key == "select" { // first, because the other parameters speak of what it embeds
			if p.selected {
				return nil, twice("select")
			}
			p.selected = true
			if p.node.Select, err = parseSelect(list[i].value, lim.depth); err != nil {
				return nil, err
			}
		}
	}
	b := binder{params: p, lim: lim, filters: filterCounter{limit: lim.filters}}
	for i := range list {
		if err := b.bind(list[i]); err != nil {
			return nil, err
		}
	}
	if p.cursor != "" && p.hasOffset {
		return nil, fault.New(fault.Parse, "cursor and offset cannot be combined").
			WithHint("a cursor is a position already; leave offset out")
	}
	return p, nil
}

func twice(key string) error {
	return fault.New(fault.Parse, "the parameter %s is given twice", shorten(key)).
		WithDetails("only filters, and, and or may be repeated").
		WithHint("join the two with a comma, or leave one out")
}

// split cuts a raw query string into decoded names and values.
func split(raw string, list []param) ([]param, error) {
	if !utf8.ValidString(raw) {
		return nil, fault.New(fault.InvalidEncoding, "the query string is not valid UTF-8")
	}
	for raw != "" {
		var part string
		part, raw, _ = strings.Cut(raw, "&")
		if part == "" {
			continue
		}
		key, value, _ := strings.Cut(part, "=")
		key, err := decode(key)
		if err != nil {
			return nil, err
		}
		if value, err = decode(value); err != nil {
			return nil, err
		}
		list = append(list, param{key, value})
	}
	return list, nil
}

// decode undoes percent-encoding; it allocates only where there is any.
func decode(s string) (string, error) {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s, nil
	}
	out, err := url.QueryUnescape(s)
	switch {
	case err != nil:
		return "", fault.New(fault.Parse, "the query string is not percent-encoded correctly").
			WithDetails("in %s", shorten(s)).WithHint("write a literal %% as %%25")
	case !utf8.ValidString(out):
		return "", fault.New(fault.InvalidEncoding, "the query string is not valid UTF-8").WithDetails("in %s", shorten(s))
	case strings.IndexByte(out, 0) >= 0:
		return "", fault.New(fault.InvalidEncoding, "a text cannot hold the character NUL").WithDetails("in %s", shorten(s))
	}
	return out, nil
}

// binder puts parameters where they belong.
type binder struct {
	*params
	lim     limits
	filters filterCounter
}

func (b *binder) bind(p param) error {
	switch p.key {
	case "select":
		return nil
	case "columns":
		return b.nameList(p, &b.columns)
	case "on_conflict":
		return b.nameList(p, &b.onConflict)
	case "cursor":
		if b.cursor != "" {
			return twice(p.key)
		}
		if p.value == "" {
			return fault.New(fault.InvalidCursor, "the cursor is empty").WithHint("leave cursor out for the first page")
		}
		b.cursor = p.value
		return nil
	}
	k, err := parseKey(p.key)
	if err != nil {
		return err
	}
	node, err := b.find(k.embeds)
	if err != nil {
		return err
	}
	switch k.kind {
	case filterKey:
		return b.filter(node, k, p)
	case andKey, orKey:
		e, err := parseTree(p.value, k.kind == orKey, k.negated, b.lim.depth, &b.filters)
		if err == nil {
			node.Where = conjunction(node.Where, e)
		}
		return err
	case orderKey:
		if node.Order != nil {
			return twice(p.key)
		}
		node.Order, err = parseOrder(p.value)
		return err
	case limitKey:
		return b.setLimit(node, p)
	case offsetKey:
		return b.setOffset(node, p)
	}
	return nil
}

func (b *binder) nameList(p param, to *[]string) error {
	if *to != nil {
		return twice(p.key)
	}
	s := scanner{what: p.key + " parameter", s: p.value}
	names, err := s.names()
	if err != nil {
		return err
	}
	for i, n := range names {
		if slices.Contains(names[:i], n) {
			return fault.New(fault.DuplicateField, "%s names %q twice", p.key, shorten(n))
		}
		if i == maxNames {
			return fault.New(fault.LimitExceeded, "%s names more than %d fields", p.key, maxNames)
		}
	}
	*to = names
	return nil
}

// maxNames bounds columns and on_conflict, which are compared pairwise.
const maxNames = 1000

// find returns the node of an embedded relation by the names that lead to it.
func (b *binder) find(embeds []string) (*query.Node, error) {
	node := &b.node
next:
	for _, name := range embeds {
		for _, item := range node.Select {
			if e, ok := item.(*query.Embed); ok && e.Name() == name {
				node = &e.Node
				continue next
			}
		}
		return nil, notEmbedded(name, node)
	}
	return node, nil
}

func notEmbedded(name string, in *query.Node) error {
	f := fault.New(fault.EmbedNotSelected, "'%s' is not an embedded resource in this request", shorten(name))
	var names []string
	for _, item := range in.Select {
		if e, ok := item.(*query.Embed); ok {
			names = append(names, e.Name())
		}
	}
	if n := fault.Nearest(name, names); n != "" {
		return f.WithHint("Perhaps you meant '%s'.", n)
	}
	return f.WithHint("Verify that '%s' is included in the 'select' query parameter.", shorten(name))
}

func (b *binder) filter(node *query.Node, k key, p param) error {
	if err := b.filters.add(); err != nil {
		return err
	}
	s := scanner{what: "filter", s: p.value}
	e, err := s.condition(query.Path{Field: k.name, Steps: k.steps}, false)
	if err != nil {
		if k.name == "apikey" { // the value may be a secret: it must not be repeated in an answer or a log
			return fault.New(fault.Parse, "a key does not belong into the URL").
				WithHint("send it as the apikey header or as Authorization: Bearer")
		}
		return err
	}
	node.Where = conjunction(node.Where, e)
	return nil
}

// conjunction joins two conditions; the first may be nil.
func conjunction(a, b query.Expr) query.Expr {
	if a == nil {
		return b
	}
	if and, ok := a.(*query.And); ok {
		and.Args = append(and.Args, b)
		return and
	}
	return &query.And{Args: []query.Expr{a, b}}
}

func (b *binder) setLimit(node *query.Node, p param) error {
	if node.Page.Limit != nil {
		return twice(p.key)
	}
	n, err := count(p)
	if err != nil {
		return err
	}
	to := &b.limit
	if node != &b.node {
		to = new(int64)
	}
	*to = n
	node.Page.Limit = to
	return nil
}

func (b *binder) setOffset(node *query.Node, p param) error {
	if node.Page.Offset != 0 || (node == &b.node && b.hasOffset) {
		return twice(p.key)
	}
	n, err := count(p)
	if err != nil {
		return err
	}
	node.Page.Offset = n
	if node == &b.node {
		b.hasOffset = true
	}
	return nil
}

// count reads the value of limit or offset.
func count(p param) (int64, error) {
	n, err := strconv.ParseInt(p.value, 10, 64)
	if err != nil {
		return 0, fault.New(fault.Parse, "%s is not a whole number", shorten(p.key)).WithDetails("it is %q", shorten(p.value))
	}
	if n < 0 {
		return 0, fault.New(fault.InvalidRange, "Requested range not satisfiable").
			WithDetails("%s should be greater than or equal to zero.", title(p.key))
	}
	return n, nil
}

func title(key string) string {
	if strings.HasSuffix(key, "offset") {
		return "Offset"
	}
	return "Limit"
}

// keyKind says what a parameter's name asks for.
type keyKind uint8

const (
	filterKey keyKind = iota
	andKey
	orKey
	orderKey
	limitKey
	offsetKey
)

// key is a parameter's name, taken apart: embeds lead to the level it speaks of.
type key struct {
	kind    keyKind
	negated bool // not.and, not.or
	embeds  []string
	name    string
	steps   []query.Step
}

// parseKey reads a parameter's name:
//
//	key = *( relation "." ) ( name [path] / ["not."] ( "and" / "or" ) / "order" / "limit" / "offset" )
func parseKey(text string) (key, error) {
	s := scanner{what: "parameter name", s: text}
	var k key
	for {
		quoted := s.peek() == '"'
		name, err := s.name("a field's name")
		if err != nil {
			return key{}, err
		}
		if s.accept('.') {
			k.embeds = append(k.embeds, name)
			continue
		}
		k.name = name
		if !quoted {
			k.kind = reserved(name)
		}
		break
	}
	var err error
	if k.steps, err = s.path(); err != nil {
		return key{}, err
	}
	if !s.end() {
		return key{}, s.fail(`"->", "->>", "." or "="`)
	}
	if k.steps != nil {
		k.kind = filterKey
	}
	if n := len(k.embeds); n > 0 && k.embeds[n-1] == "not" && (k.kind == andKey || k.kind == orKey) {
		k.negated, k.embeds = true, k.embeds[:n-1]
	}
	return k, nil
}

func reserved(name string) keyKind {
	switch name {
	case "and":
		return andKey
	case "or":
		return orKey
	case "order":
		return orderKey
	case "limit":
		return limitKey
	case "offset":
		return offsetKey
	}
	return filterKey
}
