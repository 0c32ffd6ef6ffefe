package store

import (
	"slices"
	"strings"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/value"
)

// term is one term of a total order.
type term struct {
	sql        string
	typ        value.Type
	nullable   bool
	desc       bool
	nullsFirst bool

	// Of a term that is a column of another form than its values': the value,
	// and what the column is compared with (see Form.Key).
	value string
	key   func(param string) string
}

// read is the value that the term orders by.
func (t *term) read() string {
	if t.value != "" {
		return t.value
	}
	return t.sql
}

// Bounds below what every database compiles (SQLite: 2,000 terms); a cursor
// counts the keys of its order in one byte.
const (
	maxOrder  = 64
	maxGroups = 500
)

// orderTerms compiles an order and ends it with the primary key, in the
// direction of the last term, so that every order is total and an index that
// ends with the primary key serves it.
func (l *level) orderTerms(order []query.Order) ([]term, error) {
	if len(order) > maxOrder {
		return nil, fault.New(fault.LimitExceeded, "an order has at most %d terms, not %d", maxOrder, len(order))
	}
	var terms []term
	unique := false
	for _, o := range order {
		at, nullable := l, false
		if o.Relation != "" {
			x := l.embeds[o.Relation]
			if x == nil {
				return nil, fault.New(fault.EmbedNotSelected, "'%s' is not an embedded resource in this request", o.Relation).
					WithHint("Verify that '%s' is included in the 'select' query parameter.", o.Relation)
			}
			if x.lvl == nil && !l.exists {
				return nil, fault.New(fault.OrderNotToOne, "A related order on '%s' is not possible", o.Relation).
					WithDetails("'%s' and '%s' do not form a many-to-one or one-to-one relationship", l.e, x.rel.To)
			}
			if x.lvl == nil {
				continue // EXISTS and count have no order
			}
			at, nullable = x.lvl, true
		}
		p, err := at.path(o.Path)
		if err != nil {
			return nil, err
		}
		if p.typ.List {
			return nil, fault.New(fault.UndefinedFunction, "a field of type %s has no order", p.typ).
				WithHint("order by one of its elements, such as '%s->0'", p.field)
		}
		t := term{sql: l.c.d.Comparable(p.typ, p.sql), typ: p.typ, desc: o.Desc, nullsFirst: o.Desc, nullable: nullable || p.nullable}
		if o.Nulls != query.NullsDefault {
			t.nullsFirst = o.Nulls == query.NullsFirst
		}
		terms = append(terms, l.ordered(t, p.column, p.form))
		unique = unique || at == l && !p.nullable && p.field == l.e.Primary && len(o.Path.Steps) == 0
	}
	if l.aggregated {
		return l.groupedOrder(terms)
	}
	if !unique {
		t := l.ordered(term{sql: l.col(l.e.Primary), typ: l.e.Primary.Type}, l.qualified(l.e.Primary.Column), l.form(l.e.Primary))
		if n := len(terms); n > 0 {
			t.desc = terms[n-1].desc
		}
		terms = append(terms, t)
	}
	return terms, nil
}

// groupedOrder completes an order over groups with what they group by.
func (l *level) groupedOrder(terms []term) ([]term, error) {
	by := l.c.groups(l.out, nil)
	if len(by) > maxGroups {
		return nil, fault.New(fault.LimitExceeded, "rows are grouped by at most %d fields, not %d", maxGroups, len(by))
	}
	have := map[string]bool{}
	for _, g := range by {
		have[g] = true
	}
	for _, t := range terms {
		if !have[t.sql] {
			return nil, fault.New(fault.Grouping, "the order names a field that is neither selected nor aggregated").
				WithHint("select it too, so that the rows are grouped by it")
		}
		delete(have, t.sql)
	}
	for _, g := range by {
		if have[g] {
			terms = append(terms, term{sql: g, nullable: true})
			delete(have, g)
		}
	}
	return terms, nil
}

// orderBy writes the terms; where nulls stand is said wherever there may be
// any, since the databases' defaults differ.
func (l *level) orderBy(terms []term, reverse bool) string {
	if len(terms) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString(" ORDER BY ")
	for i, t := range terms {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(t.sql)
		if t.desc != reverse {
			b.WriteString(" DESC")
		}
		if t.nullable {
			if t.nullsFirst != reverse {
				b.WriteString(" NULLS FIRST")
			} else {
				b.WriteString(" NULLS LAST")
			}
		}
	}
	return b.String()
}

// page writes LIMIT and OFFSET. A page without a limit of its own gets the
// application's, and none may pass it. more rows than that are looked at.
func (c *compiler) page(p *query.Page, unbounded bool, more int64) string {
	var b strings.Builder
	bound := c.pl.MaxRows
	if unbounded {
		bound = 0
	}
	slot, given := c.slots[query.LimitOf{Page: p}]
	switch {
	case given:
		b.WriteString(" LIMIT " + c.param(param{slot: slot, read: func(a query.Arg) (value.Value, error) {
			n, err := notNegative(a.Number)
			if bound > 0 && a.Number > bound {
				n = value.OfInt(bound)
			}
			n.Int += more
			return n, err
		}}))
	case bound > 0:
		b.WriteString(" LIMIT " + c.param(param{slot: -1, fixed: value.OfInt(bound + more)}))
	}
	if slot, ok := c.slots[query.OffsetOf{Page: p}]; ok {
		if b.Len() == 0 { // SQLite has no OFFSET without LIMIT
			b.WriteString(" LIMIT " + c.param(param{slot: -1, fixed: value.OfInt(1<<63 - 1)}))
		}
		b.WriteString(" OFFSET " + c.param(param{slot: slot, read: func(a query.Arg) (value.Value, error) { return notNegative(a.Number) }}))
	}
	return b.String()
}

// notNegative refuses what one database takes for "no limit" and another not
// at all.
func notNegative(n int64) (value.Value, error) {
	if n < 0 {
		return value.Value{}, fault.New(fault.InvalidRange, "limit and offset must not be negative")
	}
	return value.OfInt(n), nil
}

// key is one key of a cursor: its column in the result and its type.
type key struct {
	col int
	typ value.Type
}

// Cursor is a place in a total order: the keys of the row that it follows (or,
// Before, precedes), as text; Null marks those that are null.
type Cursor struct {
	Before bool
	Keys   []string
	Null   []bool
}

// after is the condition that a row comes after the cursor. The keys' values
// are the args from first on, which read reads. Where no key can be null and all run the same
// way it is one row comparison, which an index serves directly.
func (l *level) after(terms []term, cur *Cursor, first int, read func(value.Type, string) (value.Value, error)) (string, error) {
	if len(cur.Keys) != len(terms) {
		return "", fault.New(fault.InvalidCursor, "the cursor does not belong to this query")
	}
	vals := make([]string, len(terms))
	uniform := true
	for i, t := range terms {
		typ := unlimited(t.typ)
		if !cur.Null[i] {
			p := param{slot: first + i, read: func(a query.Arg) (value.Value, error) { return read(typ, a.Text) }}
			if t.key != nil {
				vals[i] = t.key(l.c.param(p))
			} else {
				vals[i] = l.c.typedParam(p, typ)
			}
		}
		uniform = uniform && !t.nullable && t.desc == terms[0].desc
	}
	if uniform {
		return tuple(terms) + comparison(terms[0].desc != cur.Before) + "(" + strings.Join(vals, ",") + ")", nil
	}
	cond := ""
	for i, term := range slices.Backward(terms) {
		cond = step(term, vals[i], cur.Before, cond)
	}
	if t := terms[0]; !t.nullable { // a range that an index can start from
		cond = t.sql + strings.TrimSuffix(comparison(t.desc != cur.Before), " ") + "=" + vals[0] + " AND (" + cond + ")"
	}
	return "(" + cond + ")", nil
}

// step is "beyond this key, or level with it and beyond the rest".
func step(t term, val string, before bool, rest string) string {
	nullsAfter := t.nullable && t.nullsFirst == before
	var beyond, level string
	switch {
	case val == "" && nullsAfter: // the cursor stands among the nulls, which come last
		level = t.sql + " IS NULL"
	case val == "":
		beyond, level = t.sql+" IS NOT NULL", t.sql+" IS NULL"
	default:
		beyond, level = t.sql+comparison(t.desc != before)+val, t.sql+"="+val
		if nullsAfter {
			beyond = "(" + beyond + " OR " + t.sql + " IS NULL)"
		}
	}
	if rest != "" {
		level = "(" + level + " AND (" + rest + "))"
	} else {
		level = ""
	}
	switch {
	case beyond == "" && level == "":
		return "1=0"
	case beyond == "":
		return level
	case level == "":
		return beyond
	}
	return beyond + " OR " + level
}

func comparison(desc bool) string {
	if desc {
		return "<"
	}
	return ">"
}

func tuple(terms []term) string {
	cols := make([]string, len(terms))
	for i, t := range terms {
		cols[i] = t.sql
	}
	return "(" + strings.Join(cols, ",") + ")"
}
