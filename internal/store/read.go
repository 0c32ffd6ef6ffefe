package store

import (
	"cmp"
	"slices"
	"strings"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/value"
)

// ReadOptions say what a read's plan has to provide beside the rows.
type ReadOptions struct {
	// Cursors adds the keys of the order, so that [Cursor]s can be made.
	Cursors bool
	// After starts behind a row. Its keys are further args of every run, right
	// after those of the query. The plan depends on which of them are null.
	After *Cursor
	// Primary adds the primary key, for [Page.Primary].
	Primary bool
	// Within bounds the rows to the partitions of these keys, given as text: a
	// further arg of every run, behind those of After. The plan depends on
	// whether it is one or more.
	Within []string
	// To bounds the rows to those that the rule of this action reaches too.
	To query.Action
}

// CompileRead plans a read for what a guard lets through.
func (pl *Planner) CompileRead(q *query.Read, g policy.Guard, opt ReadOptions) (*ReadPlan, error) {
	e, err := pl.Entity(q.Target)
	if err != nil {
		return nil, err
	}
	c := pl.compiler(g, q.Slots())
	first := c.args
	if opt.After != nil {
		c.args += len(opt.After.Keys)
	}
	within := c.args
	if len(opt.Within) > 0 {
		c.args++
	}
	p := &ReadPlan{Entity: e, primary: -1}
	if len(q.Node.Connection) > 0 {
		err := pl.compileConnection(c, p, q, opt)
		p.asked = asking{where: q.Node.Where, rule: c.rules[policy.Use{Entity: e, Rule: policy.RuleRead}], order: q.Node.Order}
		return p, err
	}
	if q.Node.Page.Last {
		return nil, fault.New(fault.NotImplemented, "only a connection counts from the end")
	}
	root := &level{c: c, e: e, alias: c.newAlias(), inner: true}
	if err := root.fill(&q.Node); err != nil {
		return nil, err
	}
	if opt.To != query.ReadRows {
		rule, err := c.rule(policy.Use{Entity: e, Rule: policy.RuleOf(opt.To)})
		if err != nil {
			return nil, err
		}
		if err := root.rule(rule); err != nil {
			return nil, err
		}
	}
	if len(opt.Within) > 0 {
		root.within(opt.Within, within)
	}
	root.settle()
	terms, err := root.orderTerms(q.Node.Order)
	if err != nil {
		return nil, err
	}
	if err := root.beyond(&q.Node, terms); err != nil {
		return nil, err
	}
	if len(root.out) == 0 {
		return nil, fault.New(fault.UndefinedField, "'%s' has no field that may be read", e)
	}
	cols := &resultColumns{index: map[string]int{}}
	if pointed(root.out) {
		walks, err := root.walks()
		if err != nil || !walks {
			return nil, cmp.Or(err, noCursors())
		}
		for _, t := range terms {
			cols.keys = append(cols.keys, key{col: cols.add(t.read()), typ: unlimited(t.typ)})
		}
	}
	p.out = cols.object(root.out, "")
	if opt.Primary && !root.aggregated {
		p.primary = cols.add(root.col(e.Primary))
	}
	walks, err := root.walks()
	if err != nil {
		return nil, err
	}
	if q.Edges && !walks {
		return nil, noCursors()
	}
	if (opt.Cursors || q.Edges) && walks {
		for _, t := range terms {
			p.keys = append(p.keys, key{col: cols.add(t.read()), typ: unlimited(t.typ)})
		}
	}
	if opt.After != nil {
		if !walks {
			return nil, noCursors()
		}
		cond, err := root.after(terms, opt.After, first, func(t value.Type, key string) (value.Value, error) { return t.FromText(key) })
		if err != nil {
			return nil, err
		}
		root.conds = append(root.conds, cond)
		p.reverse = opt.After.Before
	}
	if len(cols.sqls) == 0 { // only what the plan knows itself is selected
		cols.add("1")
	}
	body := " FROM " + root.from() + root.tail()
	p.rows.SQL = "SELECT " + strings.Join(cols.sqls, ",") + body + root.orderBy(terms, p.reverse) + c.page(&q.Node.Page, q.Unbounded, peek(q))
	p.params = c.params
	p.plain = root.plainColumns(cols)
	if q.Count != query.CountNone {
		if err := pl.compileCount(c, p, q); err != nil {
			return nil, err
		}
	}
	p.rules = c.asked()
	p.asked = asking{where: q.Node.Where, rule: c.rules[policy.Use{Entity: e, Rule: policy.RuleRead}], order: q.Node.Order}
	never, ok := c.rules[policy.Use{Entity: e, Rule: policy.RuleRead}].(*query.Const)
	p.nothing = ok && !never.Value && !root.aggregated
	return p, nil
}

// pointed reports whether a row's cursor is among the columns.
func pointed(cols []column) bool {
	return slices.ContainsFunc(cols, func(c column) bool { return c.cursor || c.obj != nil && c.present == "" && pointed(c.obj) })
}

// peek is how many rows behind the page are looked at.
func peek(q *query.Read) int64 {
	if q.Edges {
		return 1
	}
	return 0
}

// walks reports whether the rows can be walked by cursors, which hold their keys.
func (l *level) walks() (bool, error) {
	if l.aggregated || !l.visible(l.e.Primary) {
		return false, nil
	}
	if l.e.Primary.Read == nil {
		return true, nil
	}
	mask, err := l.c.rule(policy.Use{Entity: l.e, Rule: policy.RuleMask, Field: l.e.Primary})
	return mask == nil, err
}

// compileCount adds the statement that counts all rows without the page. What
// only decorates a row (columns, left joins) is left away.
func (pl *Planner) compileCount(c *compiler, p *ReadPlan, q *query.Read) error {
	c.statement()
	root := &level{c: c, e: p.Entity, alias: c.newAlias()}
	aggregated := false
	for _, it := range q.Node.Select {
		col, ok := it.(*query.Column)
		aggregated = aggregated || ok && root.bareCount(col).Aggregate != query.NoAggregate
	}
	root.exists, root.inner = !aggregated, aggregated
	if err := root.fill(&q.Node); err != nil {
		return err
	}
	p.count.SQL = "SELECT count(*) FROM " + root.from() + root.tail()
	if aggregated {
		// An aggregate without groups answers one row; one that is not read makes none.
		cols := &resultColumns{index: map[string]int{}}
		cols.object(root.out, "")
		p.count.SQL = "SELECT count(*) FROM (SELECT " + strings.Join(cols.sqls, ",") + " FROM " + root.from() + root.tail() + ") AS g"
	}
	p.countParams = c.params
	if q.Count != query.CountExact && q.Node.Where == nil && len(c.params) == 0 && len(root.conds) == 0 && !aggregated {
		p.estimate.SQL = pl.Dialect.Estimate(p.Entity)
	}
	return nil
}

// resultColumns collects the columns of a statement, each text once.
type resultColumns struct {
	sqls  []string
	index map[string]int
	keys  []key // of the order, where a row's cursor is selected
}

func (r *resultColumns) add(sql string) int {
	if i, ok := r.index[sql]; ok {
		return i
	}
	r.index[sql] = len(r.sqls)
	r.sqls = append(r.sqls, sql)
	return len(r.sqls) - 1
}

func (r *resultColumns) object(cols []column, present string) *object {
	o := &object{present: -1}
	if present != "" {
		o.present = r.add(present)
	}
	for _, col := range cols {
		m := member{name: col.name, key: memberKey(col.name)}
		switch {
		case col.fixed != nil:
			m.fixed = col.fixed
		case col.cursor:
			m.keys = r.keys
		case col.obj != nil:
			m.obj = r.object(col.obj, col.present)
		default:
			m.col, m.enc, m.scale, m.text = r.add(col.sql), encodingOf(col.typ), col.typ.Scale, col.quoted
		}
		o.members = append(o.members, m)
	}
	return o
}

// Page is what one run of a plan answered, and the memory that it needs: a
// caller who runs many plans keeps one, so that a run allocates nothing. The
// zero value is ready. It holds one run at a time.
type Page struct {
	Body  []byte // appended to the buffer that was given
	Rows  int
	Total int64 // -1: not counted
	Exact bool
	First Cursor // Before the first row; without keys: no such page
	Last  Cursor // after the last row
	More  bool   // rows follow, where the read asks for its edges
	// Primary holds the primary keys of the rows, in order, where asked for,
	// and Ends the end of each row in Body.
	Primary []value.Value
	Ends    []int

	head        int // where the first row begins
	p           *ReadPlan
	opt         RunOptions
	first, last []value.Value // keys
	bound       []value.Value
	each        func(Row) error // row, as a value: made once
}

// reset makes the page ready for a run; what it has allocated stays.
func (pg *Page) reset(p *ReadPlan, opt RunOptions) {
	bound, each := pg.bound[:0], pg.each
	*pg = Page{Body: opt.Buffer, Total: -1, p: p, opt: opt, bound: bound, each: each}
	if each == nil {
		pg.each = pg.row
	}
}

// Forget drops what the page refers to, so that it can be kept for later.
func (pg *Page) Forget() {
	clear(pg.bound)
	pg.reset(nil, RunOptions{})
}

// RunOptions say how a plan is run.
type RunOptions struct {
	Buffer []byte
	Format query.Format
	// Flush, when set, takes the body in pieces of about 32 KiB and returns
	// the buffer to go on with.
	Flush func([]byte) ([]byte, error)
	// AtCursor says that the page was reached by a cursor: one without has no
	// page before it.
	AtCursor bool
	// Edges keeps the keys of the first row and of the last, and does not answer
	// the row behind Limit.
	Edges bool
	// Limit is the page's size where the caller knows it; a page that is full
	// gets a Last cursor. 0: unknown.
	Limit int64
}

const flushAt = 32 << 10

// Run binds the args and appends the encoded rows.
func (p *ReadPlan) Run(r Reader, args []query.Arg, opt RunOptions, pg *Page) error {
	pg.reset(p, opt)
	var err error
	if pg.bound, err = bindParams(p.params, nil, args, pg.bound); err != nil {
		return err
	}
	pg.start()
	if p.nothing {
		pg.finish()
		if p.count.SQL != "" {
			pg.Total, pg.Exact = 0, true
		}
		return nil
	}
	if err := r.Query(&p.rows, pg.bound, pg.each); err != nil {
		return err
	}
	pg.finish()
	if p.count.SQL != "" {
		return p.total(r, args, pg)
	}
	return nil
}

func (p *ReadPlan) total(r Reader, args []query.Arg, page *Page) error {
	if p.estimate.SQL != "" {
		known := false
		err := r.Query(&p.estimate, nil, func(row Row) error {
			known, page.Total = !row.Null(0), row.Int(0)
			return nil
		})
		if err != nil || known {
			return err
		}
	}
	bound, err := bindParams(p.countParams, nil, args, nil)
	if err != nil {
		return err
	}
	page.Exact = true
	return r.Query(&p.count, bound, func(row Row) error {
		page.Total = row.Int(0)
		return nil
	})
}

func (pg *Page) start() {
	switch pg.opt.Format {
	case query.JSON:
		pg.Body = append(pg.Body, '[')
	case query.CSV:
		pg.Body = pg.p.out.appendCSVHeader(pg.Body)
	case query.NDJSON:
	}
	pg.head = len(pg.Body)
}

// MaxAnswer is how many bytes of an answer are held in memory. Embedded lists
// multiply, so that a short query can ask for more than any machine has; an
// answer that is streamed has no bound but for each of its rows.
const MaxAnswer = 64 << 20

// AnswerTooLarge is the fault of an answer that passes [MaxAnswer].
func AnswerTooLarge() *fault.Error {
	return fault.New(fault.LimitExceeded, "the answer is larger than %d MiB", MaxAnswer>>20).
		WithHint("ask for fewer rows or relations: limit, filters, or a limit on what is embedded")
}

// row encodes one row.
func (pg *Page) row(row Row) error {
	if x := pg.p.connection; x != nil {
		if err := x.appendRow(pg, row); err != nil {
			return err
		}
		if len(pg.Body) > MaxAnswer {
			return AnswerTooLarge()
		}
		return nil
	}
	if pg.opt.Edges && pg.opt.Limit > 0 && int64(pg.Rows) == pg.opt.Limit {
		pg.More = true
		return nil
	}
	switch pg.opt.Format {
	case query.JSON:
		if pg.Rows > 0 {
			pg.Body = append(pg.Body, ',')
		}
		pg.Body = pg.p.out.appendJSON(pg.Body, row)
	case query.CSV:
		pg.Body = pg.p.out.appendCSV(pg.Body, row)
	case query.NDJSON:
		pg.Body = append(pg.p.out.appendJSON(pg.Body, row), '\n')
	}
	pg.Rows++
	if pg.p.primary >= 0 {
		pg.Primary = append(pg.Primary, row.Value(pg.p.primary))
	}
	if pg.p.primary >= 0 || pg.p.reverse {
		pg.Ends = append(pg.Ends, len(pg.Body))
	}
	if pg.p.keys != nil {
		if pg.Rows == 1 && (pg.opt.AtCursor || pg.opt.Edges) {
			pg.first = pg.keys(row, pg.first)
		}
		if int64(pg.Rows) == pg.opt.Limit || pg.opt.Edges {
			pg.last = pg.keys(row, pg.last)
		}
	}
	if len(pg.Body) > MaxAnswer {
		return AnswerTooLarge()
	}
	if pg.opt.Flush != nil && !pg.p.reverse && len(pg.Body) >= flushAt {
		var err error
		pg.Body, err = pg.opt.Flush(pg.Body)
		return err
	}
	return nil
}

func (pg *Page) keys(row Row, out []value.Value) []value.Value {
	out = out[:0]
	for _, k := range pg.p.keys {
		out = append(out, row.Value(k.col))
	}
	return out
}

// Edges are the row cursors of the first row and of the last; empty where
// there are no rows.
func (pg *Page) Edges() (first, last string) {
	if pg.Rows == 0 {
		return "", ""
	}
	cursor := func(keys []value.Value) string {
		return string(query.AppendRowCursor(nil, len(keys), func(dst []byte, i int) []byte {
			if keys[i].IsNull() {
				return append(dst, "null"...)
			}
			return pg.p.keys[i].typ.AppendJSON(dst, keys[i])
		}))
	}
	return cursor(pg.first), cursor(pg.last)
}

func (pg *Page) finish() {
	if pg.p.reverse {
		pg.turn()
	}
	if pg.opt.Format == query.JSON {
		pg.Body = append(pg.Body, ']')
	}
	first, last := pg.first, pg.last
	if pg.opt.Edges {
		return
	}
	if pg.p.reverse {
		// Read backwards: the row met first is the page's last one, and there
		// is a page before only when this one is full.
		pg.Last, pg.First = pg.p.cursor(first, false), pg.p.cursor(last, true)
		return
	}
	pg.Last, pg.First = pg.p.cursor(last, false), pg.p.cursor(first, true)
}

func (p *ReadPlan) cursor(keys []value.Value, before bool) Cursor {
	c := Cursor{Before: before}
	for i, v := range keys {
		c.Null = append(c.Null, v.IsNull())
		c.Keys = append(c.Keys, string(p.keys[i].typ.AppendText(nil, v)))
	}
	return c
}

// turn puts rows that were read backwards into their order.
func (pg *Page) turn() {
	open := pg.head
	out := make([]byte, 0, len(pg.Body))
	out = append(out, pg.Body[:open]...)
	for i, end := range slices.Backward(pg.Ends) {
		from := open
		if i > 0 {
			from = pg.Ends[i-1]
			if pg.opt.Format == query.JSON {
				from++ // the comma
			}
		}
		if pg.opt.Format == query.JSON && i < len(pg.Ends)-1 {
			out = append(out, ',')
		}
		out = append(out, pg.Body[from:end]...)
	}
	pg.Body, pg.Ends = out, nil
}

// Reorder puts the rows of a page that was run with [ReadOptions.Primary] into
// the order of the given keys.
func (p *Page) Reorder(format query.Format, keys []value.Value, body []byte) []byte {
	at := make(map[value.Value]int, len(p.Primary))
	for i, k := range p.Primary {
		at[k] = i
	}
	start := p.head
	out := append(make([]byte, 0, len(body)), body[:start]...)
	first := true
	for _, k := range keys {
		i, ok := at[k]
		if !ok {
			continue
		}
		from := start
		if i > 0 {
			if from = p.Ends[i-1]; format == query.JSON {
				from++ // the comma
			}
		}
		if format == query.JSON && !first {
			out = append(out, ',')
		}
		first = false
		out = append(out, body[from:p.Ends[i]]...)
	}
	if format == query.JSON {
		out = append(out, ']')
	}
	return out
}
