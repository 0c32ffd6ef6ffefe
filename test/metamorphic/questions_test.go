package metamorphic

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// question asks for rows, in no door's words.
type question struct {
	as            string // who asks
	entity        *entity
	shape         shape
	where         *condition // nil: none
	order         []term
	limit, offset int // -1: none
	count         bool
	pages         bool // follow the pages to the end
	totals        []*totalOf
}

// shape is what is read of a row.
type shape struct {
	fields  []*field
	related []*relatedRows
}

// relatedRows are the rows of a relation.
type relatedRows struct {
	name  string
	to    *entity
	one   bool
	limit int // -1: none
	shape shape
}

type term struct {
	field *field
	desc  bool
}

// condition is all of, one of or none of others, or a comparison.
type condition struct {
	word   string // and, or, not; empty: a comparison
	of     []*condition
	field  *field
	op     string
	values []string // as JSON; of is a word; of patterns and searches a text
}

// totalOf is an aggregate of all rows.
type totalOf struct {
	fn    string // count, sum, avg, min, max
	field *field // nil: of count
}

// simple tells whether the door of gRPC has words for the question.
func (q *question) simple() bool { return len(q.shape.related) == 0 && len(q.totals) == 0 }

// asks draws a question.
func (a *asker) question() *question {
	q := &question{as: pick(a.r, []string{"service", "ann", "bob", "anon"}), entity: pick(a.r, a.app.entities), limit: -1, offset: -1}
	if !a.chance(4) {
		q.where = a.conditions(q.entity, 2)
	}
	if a.chance(6) {
		q.totals = a.totals(q.entity)
		return q
	}
	q.shape = a.shape(q.entity, a.r.IntN(4)-1)
	for range a.r.IntN(3) {
		if f := a.visible(q.entity); !f.kind.list {
			q.order = append(q.order, term{f, a.chance(2)})
		}
	}
	if !a.chance(3) {
		q.limit = a.r.IntN(5)
	}
	switch {
	case q.limit > 0 && a.chance(2):
		q.pages = true
	case a.chance(4): // without a count: REST answers 416 behind the last row of a known number
		q.offset = a.r.IntN(4)
		return q
	}
	q.count = a.chance(3)
	return q
}

func (a *asker) shape(e *entity, depth int) shape {
	var s shape
	for range 1 + a.r.IntN(4) {
		if f := a.visible(e); !slices.Contains(s.fields, f) {
			s.fields = append(s.fields, f)
		}
	}
	if depth <= 0 {
		return s
	}
	var ways []*relatedRows
	for _, f := range e.fields {
		if f.target != nil {
			ways = append(ways, &relatedRows{name: f.relation, to: f.target, one: true, limit: -1})
		}
	}
	for _, f := range e.back {
		ways = append(ways, &relatedRows{name: f.inverse, to: f.owner, one: f.alone(), limit: -1})
	}
	for range 2 {
		if len(ways) == 0 {
			break
		}
		w := pick(a.r, ways)
		if slices.ContainsFunc(s.related, func(o *relatedRows) bool { return o.name == w.name }) {
			continue
		}
		w.shape = a.shape(w.to, depth-1)
		if !w.one && a.chance(3) {
			w.limit = a.r.IntN(3)
		}
		s.related = append(s.related, w)
	}
	return s
}

// alone tells whether the field is a unique key by itself.
func (f *field) alone() bool {
	return slices.ContainsFunc(f.owner.unique, func(key []string) bool { return len(key) == 1 && key[0] == f.name })
}

func (a *asker) totals(e *entity) []*totalOf {
	out := []*totalOf{{fn: "count"}}
	for range 1 + a.r.IntN(3) {
		f := a.visible(e)
		t := &totalOf{fn: pick(a.r, []string{"sum", "avg", "min", "max"}), field: f}
		number := f.kind.base == "int" || f.kind.base == "decimal"
		switch f.kind.base {
		case "json", "bool", "bytes", "uuid", "float": // a sum of floats depends on the order
			continue
		}
		if f.kind.list || f.target != nil || !number && (t.fn == "sum" || t.fn == "avg") {
			continue
		}
		if !slices.ContainsFunc(out, func(o *totalOf) bool { return o.fn == t.fn && o.field == f }) {
			out = append(out, t)
		}
	}
	return out
}

// conditions draws a tree.
func (a *asker) conditions(e *entity, depth int) *condition {
	if depth > 0 && a.chance(2) {
		c := &condition{word: pick(a.r, []string{"and", "or", "not"})}
		n := 1
		if c.word != "not" {
			n += a.r.IntN(3)
		}
		for range n {
			c.of = append(c.of, a.conditions(e, depth-1))
		}
		return c
	}
	return a.comparison(e)
}

func (a *asker) comparison(e *entity) *condition {
	f := a.visible(e)
	c := &condition{field: f}
	list, base := f.kind.list, f.kind.base
	ops := []string{"eq", "eq", "neq", "isdistinct", "is"}
	if list || base == "json" {
		ops = append(ops, "cs", "cs", "cd")
	}
	if list {
		ops = append(ops, "ov", "ov")
	} else {
		ops = append(ops, "in")
	}
	if !list && base != "json" {
		ops = append(ops, "gt", "gte", "lt", "lte")
	}
	if !list && (base == "text" || base == "enum") {
		ops = append(ops, "like", "ilike", "match", "imatch")
	}
	if f.search {
		ops = append(ops, "fts", "plfts", "phfts", "wfts")
	}
	c.op = pick(a.r, ops)
	switch c.op {
	case "is":
		c.values = []string{pick(a.r, []string{"null", "not_null"})}
		if base == "bool" && !list {
			c.values = []string{pick(a.r, []string{"null", "not_null", "true", "false", "unknown"})}
		}
	case "like", "ilike":
		c.values = []string{pick(a.r, []string{"%a%", "a%", "%ß%", "_", "__", `a\%b`, "%Σ%", "i%", "%É%", "", "%", "ss%", "fi", `%\\%`})}
	case "match", "imatch":
		c.values = []string{pick(a.r, []string{"a", "^a", "b$", "^.$", "[a-c]+", "é", "^[^a]", "(a|b)c?", `\d+`, `\s`, "^$", "(", "a{2}", "ß"})}
	case "fts", "plfts", "phfts", "wfts":
		c.values = []string{pick(a.r, searches())}
	case "in":
		for range a.r.IntN(4) {
			c.values = append(c.values, a.operand(e, f))
		}
	default:
		n := 1
		if list {
			n = a.r.IntN(3)
		}
		for range n {
			c.values = append(c.values, a.operand(e, f))
		}
	}
	return c
}

// operand draws a value that is not null.
func (a *asker) operand(e *entity, f *field) string {
	switch {
	case f.name == "id":
		return a.key(e)
	case f.target != nil:
		return a.key(f.target)
	case strings.Contains(f.kind.decl, "max: 10") && f.kind.base == "int": // an Int of GraphQL's, and no other compares with it
		return pick(a.r, []string{"-1", "0", "1", "5", "10", "11"})
	}
	for {
		if v := pick(a.r, f.kind.values); v != "null" {
			return v
		}
	}
}

// String tells the question for a person.
func (q *question) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "as %s: %s%s", q.as, q.entity.name, q.shape.String())
	if q.where != nil {
		fmt.Fprintf(&b, " where %s", q.where)
	}
	for _, t := range q.order {
		fmt.Fprintf(&b, " by %s desc=%v", t.field.name, t.desc)
	}
	for _, t := range q.totals {
		b.WriteString(" " + t.fn)
		if t.field != nil {
			b.WriteString("(" + t.field.name + ")")
		}
	}
	fmt.Fprintf(&b, " limit %d offset %d count %v pages %v", q.limit, q.offset, q.count, q.pages)
	return b.String()
}

func (s shape) String() string {
	var parts []string
	for _, f := range s.fields {
		parts = append(parts, f.name)
	}
	for _, r := range s.related {
		parts = append(parts, r.name+r.shape.String())
	}
	return "(" + strings.Join(parts, ", ") + ")"
}

func (c *condition) String() string {
	if c.word == "" {
		return fmt.Sprintf("%s.%s%q", c.field.name, c.op, c.values)
	}
	var parts []string
	for _, o := range c.of {
		parts = append(parts, o.String())
	}
	return c.word + "(" + strings.Join(parts, ", ") + ")"
}

// object is the condition as input objects have it, with a door's values.
func (c *condition) object(value func(*condition) any) map[string]any {
	if c.word == "" {
		return map[string]any{c.field.name: map[string]any{c.op: value(c)}}
	}
	if c.word == "not" {
		return map[string]any{"not": c.of[0].object(value)}
	}
	list := []any{}
	for _, o := range c.of {
		list = append(list, o.object(value))
	}
	return map[string]any{c.word: list}
}

// raws are values as they are.
func raws(values []string) any {
	list := []json.RawMessage{}
	for _, v := range values {
		list = append(list, json.RawMessage(v))
	}
	return list
}

// smaller are questions with a part less.
func (q *question) smaller() []*question {
	var out []*question
	without := func(change func(*question)) {
		o := *q
		change(&o)
		out = append(out, &o)
	}
	if q.where != nil {
		without(func(o *question) { o.where = nil })
		for _, c := range q.where.of {
			without(func(o *question) { o.where = c })
		}
	}
	for i := range q.order {
		without(func(o *question) { o.order = slices.Delete(slices.Clone(q.order), i, i+1) })
	}
	for i := range q.shape.fields {
		if len(q.shape.fields) > 1 {
			without(func(o *question) { o.shape.fields = slices.Delete(slices.Clone(q.shape.fields), i, i+1) })
		}
	}
	for i := range q.shape.related {
		without(func(o *question) { o.shape.related = slices.Delete(slices.Clone(q.shape.related), i, i+1) })
	}
	for i := range q.totals {
		if len(q.totals) > 1 {
			without(func(o *question) { o.totals = slices.Delete(slices.Clone(q.totals), i, i+1) })
		}
	}
	if q.pages || q.limit >= 0 {
		without(func(o *question) { o.pages, o.limit = false, -1 })
	}
	if q.offset >= 0 {
		without(func(o *question) { o.offset = -1 })
	}
	if q.count {
		without(func(o *question) { o.count = false })
	}
	return out
}

// drawing is a source that a seed repeats.
func drawing(seed, of int) *rand.Rand {
	return rand.New(rand.NewPCG(uint64(seed), uint64(of))) //nolint:gosec // it has to be the same each time
}
