package store

import (
	"cmp"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/value"
)

// connection writes the object of a node's connection. Each member reads the
// level anew, in a subquery of its own.
type connection struct {
	c *compiler
	n *query.Node
	// open makes the level, its FROM, and the condition that ties it to a row
	// around it, if there is one.
	open func(exists bool) (l *level, from, link string, err error)
}

// object is the JSON text of the members.
func (x *connection) object(members []query.Member) (string, error) {
	if len(members) > maxItems {
		return "", fault.New(fault.LimitExceeded, "at most %d things are told of one connection, not %d", maxItems, len(members))
	}
	keys, texts := make([]string, len(members)), make([]string, len(members))
	var err error
	for i := range members {
		m := &members[i]
		keys[i] = m.Name
		if texts[i], err = x.member(m); err != nil {
			return "", err
		}
	}
	return x.c.d.JSONObject(keys, texts), nil
}

func (x *connection) member(m *query.Member) (string, error) {
	if x.c.alias > maxRelations {
		return "", tooManyRelations()
	}
	p := &x.n.Page
	switch m.Kind {
	case query.MemberObject:
		return x.object(m.Members)
	case query.MemberFixed:
		return x.c.fixed(m.Text), nil
	case query.MemberCount:
		from, err := x.counted(false)
		return x.c.d.JSONText(value.Type{Kind: value.Int}, true, "(SELECT count(*) FROM "+from+")"), err
	case query.MemberRows:
		rows, err := x.rows(m.Items, true)
		if err != nil {
			return "", err
		}
		return x.c.d.JSONArray(rows), nil
	case query.MemberGroups:
		return x.groups(m.Items)
	case query.MemberTotals:
		return x.totals(m.Items)
	case query.MemberFirstCursor:
		return x.end(0)
	case query.MemberLastCursor:
		return x.end(-1)
	case query.MemberNext:
		return x.more(!p.Last, x.n.Before)
	case query.MemberPrevious:
		return x.more(p.Last, x.n.After)
	}
	return "", fault.New(fault.Internal, "an internal error occurred").WithDetails("unknown member")
}

// filled opens the level and compiles what is selected of it, and the conditions.
func (x *connection) filled(exists bool, items []query.Item) (l *level, from, link string, err error) {
	if l, from, link, err = x.open(exists); err != nil {
		return nil, "", "", err
	}
	if err := l.fill(&query.Node{Select: items, Where: x.n.Where}); err != nil {
		return nil, "", "", err
	}
	l.settle()
	return l, from, link, nil
}

// counted is FROM's text of all rows; paged, of those beyond the cursors too.
func (x *connection) counted(paged bool) (string, error) {
	l, from, link, err := x.filled(true, nil)
	if err != nil {
		return "", err
	}
	if paged {
		terms, err := l.orderTerms(x.n.Order)
		if err == nil {
			err = l.beyond(x.n, terms)
		}
		if err != nil {
			return "", err
		}
	}
	return from + l.tail(link), nil
}

// more tells whether there are rows on a side of the page. On the side to which
// the page counts they are counted; on the other one a cursor tells, which is
// where they are, or the offset.
func (x *connection) more(counts bool, cursor *query.Keys) (string, error) {
	slot, limited := x.c.slots[query.LimitOf{Page: &x.n.Page}]
	offset, skips := x.c.slots[query.OffsetOf{Page: &x.n.Page}]
	if !counts {
		cond := x.c.d.Bool(cursor != nil)
		if skips && cursor == nil {
			cond = x.c.typedParam(param{slot: offset, read: func(a query.Arg) (value.Value, error) { return notNegative(a.Number) }}, value.Type{Kind: value.Int}) + ">0"
		}
		return x.c.jsonBool(cond), nil
	}
	bound := x.c.pl.MaxRows
	if !limited && bound <= 0 {
		return x.c.jsonBool(x.c.d.Bool(false)), nil
	}
	from, err := x.counted(true)
	if err != nil {
		return "", err
	}
	size := func(more int64) string {
		return x.c.typedParam(param{slot: slotOf(slot, limited), fixed: value.OfInt(bound + more), read: func(a query.Arg) (value.Value, error) {
			n, err := notNegative(a.Number)
			if bound > 0 && a.Number > bound {
				n = value.OfInt(bound)
			}
			n.Int += more
			return n, err
		}}, value.Type{Kind: value.Int})
	}
	sub := "SELECT 1 AS j FROM " + from + " LIMIT " + size(1)
	if skips {
		sub += " OFFSET " + x.c.param(param{slot: offset, read: func(a query.Arg) (value.Value, error) { return notNegative(a.Number) }})
	}
	return x.c.jsonBool("(SELECT count(*) FROM (" + sub + ") AS m)>" + size(0)), nil
}

func slotOf(slot int, given bool) int {
	if given {
		return slot
	}
	return -1
}

// rows is a subquery of the page's rows, in order: each as one text named j.
func (x *connection) rows(items []query.Item, objects bool) (string, error) {
	l, from, link, err := x.filled(false, items)
	if err != nil {
		return "", err
	}
	if l.aggregated {
		return "", fault.New(fault.Grouping, "the rows of a page are not grouped")
	}
	terms, err := l.orderTerms(x.n.Order)
	if err != nil {
		return "", err
	}
	if err := l.beyond(x.n, terms); err != nil {
		return "", err
	}
	if err := l.point(l.out, terms); err != nil {
		return "", err
	}
	what := l.c.object(l.out)
	if !objects {
		what = l.c.texts(l.out)[0]
	}
	tail := " FROM " + from + l.tail(link)
	if !x.n.Page.Last {
		return "SELECT " + what + " AS j" + tail + l.orderBy(terms, false) + l.c.page(&x.n.Page, false, 0), nil
	}
	// The last ones come first by the opposite order, and are turned around.
	names := make([]term, len(terms))
	selected := []string{what + " AS j"}
	for i, t := range terms {
		name := "k" + strconv.Itoa(i)
		selected = append(selected, t.sql+" AS "+name)
		names[i] = t
		names[i].sql = name
	}
	return "SELECT j FROM (SELECT " + strings.Join(selected, ",") + tail + l.orderBy(terms, true) + l.c.page(&x.n.Page, false, 0) + ") AS r" + l.orderBy(names, false), nil
}

// end is the cursor of a row of the page, by its index.
func (x *connection) end(at int64) (string, error) {
	rows, err := x.rows([]query.Item{&query.RowCursor{Alias: "c"}}, false)
	if err != nil {
		return "", err
	}
	return x.c.d.JSONElement(x.c.d.JSONArray(rows), at), nil
}

// groups is an array of what the aggregates are in each group of all rows.
func (x *connection) groups(items []query.Item) (string, error) {
	l, from, link, err := x.filled(false, items)
	if err != nil {
		return "", err
	}
	l.aggregated = true // also where it only tells which groups there are
	terms, err := l.orderTerms(nil)
	if err != nil {
		return "", err
	}
	page := query.Page{}
	return l.c.d.JSONArray("SELECT " + l.c.object(l.out) + " AS j FROM " + from + l.tail(link) + l.orderBy(terms, false) + l.c.page(&page, false, 0)), nil
}

// totals is one object of aggregates of all rows.
func (x *connection) totals(items []query.Item) (string, error) {
	l, from, link, err := x.filled(false, items)
	if err != nil {
		return "", err
	}
	if !l.aggregated || len(l.c.groups(l.out, nil)) > 0 {
		return "", fault.New(fault.Grouping, "totals are aggregates alone")
	}
	return "(SELECT " + l.c.object(l.out) + " FROM " + from + l.tail(link) + ")", nil
}

// beyond bounds a level to the rows on the far sides of the node's cursors.
func (l *level) beyond(n *query.Node, terms []term) error {
	for _, k := range []*query.Keys{n.After, n.Before} {
		if k == nil {
			continue
		}
		if walks, err := l.walks(); err != nil || !walks {
			return cmp.Or(err, noCursors())
		}
		cur := &Cursor{Before: k == n.Before, Keys: k.JSON, Null: make([]bool, len(k.JSON))}
		for i, key := range k.JSON {
			cur.Null[i] = key == "null"
		}
		cond, err := l.after(terms, cur, l.c.slots[query.KeyOf{Keys: k}], func(t value.Type, key string) (value.Value, error) {
			v, err := t.FromJSON(key)
			if err != nil {
				err = fault.Wrap(err, fault.InvalidCursor, "the cursor does not belong to this question").
					WithHint("take it unchanged from an answer in the same order")
			}
			return v, err
		})
		if err != nil {
			return err
		}
		l.conds = append(l.conds, cond)
	}
	return nil
}

// noCursors is the fault of a level that cannot be walked by cursors.
func noCursors() error {
	return fault.New(fault.InvalidCursor, "this result has no cursors: it is grouped, or its key is not yours to read")
}

// point fills in the cursors among the columns, once the order is known. A cursor
// holds the primary key, so that only who may read that is given one.
func (l *level) point(cols []column, terms []term) error {
	for i := range cols {
		if cols[i].obj != nil && cols[i].present == "" {
			if err := l.point(cols[i].obj, terms); err != nil {
				return err
			}
			continue
		}
		if !cols[i].cursor {
			continue
		}
		if walks, err := l.walks(); err != nil || !walks {
			return cmp.Or(err, noCursors())
		}
		keys := make([]string, len(terms))
		for j, t := range terms {
			keys[j] = l.c.d.JSONText(unlimited(t.typ), !t.nullable, t.read())
		}
		cols[i].sql = `'"'||` + l.c.d.Hex("'['||"+strings.Join(keys, "||','||")+"||']'") + `||'"'`
	}
	return nil
}

// fixed is a text that the plan knows, as JSON.
func (c *compiler) fixed(text string) string {
	return c.typedParam(param{slot: -1, fixed: value.OfText(string(value.AppendQuoted(nil, text)))}, value.Type{Kind: value.Text})
}

func (c *compiler) jsonBool(cond string) string {
	return "CASE WHEN " + cond + " THEN 'true' ELSE 'false' END"
}

// compileConnection plans a read whose root is a connection: one row of one
// text, and, where the keys of the page's rows are asked for, those.
func (pl *Planner) compileConnection(c *compiler, p *ReadPlan, q *query.Read, opt ReadOptions) error {
	if opt.Cursors || opt.After != nil || len(opt.Within) > 0 || opt.To != query.ReadRows || q.Count != query.CountNone || q.Unbounded || q.Edges {
		return fault.New(fault.Internal, "an internal error occurred").WithDetails("a connection has cursors and counts of its own")
	}
	x := &connection{c: c, n: &q.Node, open: func(exists bool) (*level, string, string, error) {
		l := &level{c: c, e: p.Entity, alias: c.newAlias(), inner: true, exists: exists}
		return l, l.from(), "", nil
	}}
	object, err := x.object(q.Node.Connection)
	if err != nil {
		return err
	}
	cols := &resultColumns{index: map[string]int{}}
	p.connection = &connectionRow{col: cols.add(object), keys: -1}
	if opt.Primary {
		key := []query.Item{&query.Column{Path: query.Path{Field: p.Entity.Primary.Name}}}
		rows, err := x.rows(key, false)
		if err != nil {
			return err
		}
		p.connection.keys = cols.add(c.d.JSONArray(rows))
	}
	p.rows.SQL = "SELECT " + cols.sqls[0]
	if p.connection.keys >= 0 {
		p.rows.SQL += "," + cols.sqls[p.connection.keys]
	}
	p.params = c.params
	p.rules = c.asked()
	return nil
}

// connectionRow says where the answer of a connection stands.
type connectionRow struct{ col, keys int }

// appendRow answers the one row of a connection.
func (x *connectionRow) appendRow(pg *Page, row Row) error {
	pg.Body = row.Append(pg.Body, x.col)
	pg.Rows = 1
	if x.keys < 0 {
		return nil
	}
	var keys []json.RawMessage
	if err := json.Unmarshal(row.Append(nil, x.keys), &keys); err != nil {
		return fault.Wrap(err, fault.Internal, "an internal error occurred")
	}
	for _, key := range keys {
		v, err := unlimited(pg.p.Entity.Primary.Type).FromJSON(string(key))
		if err != nil {
			return err
		}
		pg.Primary = append(pg.Primary, v)
	}
	pg.Rows = len(keys)
	return nil
}
