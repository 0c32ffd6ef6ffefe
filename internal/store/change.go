package store

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/value"
)

// judgement is a condition that the stored row must meet after a write, told
// by one column of RETURNING: 1 where it does.
type judgement struct {
	sql   string
	fault *fault.Error
}

// WritePlan is a compiled change of rows that are selected by a filter, or of
// one given row. It is immutable, but for its Usage, and safe for concurrent use.
type WritePlan struct {
	Entity *model.Entity
	Usage  Usage
	// Fields are the fields whose values each run gives, in order.
	Fields []*model.Field

	st     Statement
	params []param // behind the fields' values
	rules
	judges  []judgement
	returns bool      // the statement answers the primary key and the judges
	own     int       // where the primary key stands in Fields; -1: not among them
	send    []int     // the places of Fields whose values are sent; nil: all
	same    Statement // how many rows have the primary key, in all partitions; empty: one, by its constraint

	create *gate     // judges the new row, before it is inserted
	change *gate     // judges what an update makes of rows, before it does
	before *gate     // judges nothing: names the rows that get another key
	doomed *gate     // judges nothing: names the rows of a delete that a cascade may be the first to reach
	failed *gate     // does so behind an update that a key or a reference has refused
	former *gate     // judges nothing: answers the rows as they are before a change
	was    Statement // does so for the row that a merge meets; empty: nobody asks
	asked  *asking   // nil: no rows are looked for
	upsert
	bulk bulk // a create of which nothing is asked
}

// upsert is what a create needs that may meet a row of its key.
type upsert struct {
	merges bool
	merge  *gate     // judges the row of the key that is there
	probe  Statement // tells whether it is there, where nothing judges it
	key    []int     // the key's places in Fields
	insert Statement // where it is not there: a row that was not judged is not merged
}

// SQL is the statement's text.
func (p *WritePlan) SQL() string { return p.st.SQL }

// Statements are the texts of all that a run asks, in order: the gates that
// judge before anything is written, then the change itself.
func (p *WritePlan) Statements() []string {
	var out []string
	for _, g := range []*gate{p.merge, p.change, p.create} {
		if g != nil {
			out = append(out, g.st.SQL)
		}
	}
	return append(out, p.st.SQL)
}

// Checks tells the constraints of an entity.
type Checks interface {
	Checks(e *model.Entity) []policy.CheckRule
}

// judges compiles what the new row must meet: a rule of the guard, and the
// entity's checks, where unknown passes.
func (c *compiler) judges(e *model.Entity, checks Checks, rule query.Expr, policy string) ([]judgement, error) {
	l := &level{c: c, e: e, trusted: true}
	var out []judgement
	sql, err := l.judge(rule)
	if err != nil {
		return nil, err
	}
	if sql != "" { // first of all: what a check says is not for who may not write the row
		out = append(out, judgement{sql: "coalesce(" + sql + "," + c.d.Bool(false) + ")", fault: violates(e, policy)})
	}
	for _, ck := range checks.Checks(e) {
		from := c.args
		query.ExprSlots(ck.Expr, c.slots, from)
		args := query.Literals(ck.Expr, nil)
		before := len(c.params)
		sql, err := l.expr(ck.Expr)
		if err != nil {
			return nil, err
		}
		if err := fixParams(c.params[before:], from, args); err != nil {
			return nil, err
		}
		out = append(out, judgement{sql: "coalesce(" + sql + "," + c.d.Bool(true) + ")", fault: c.checkFault(e, &ck)})
	}
	return out, nil
}

// checkFault names a check, which names fields: not to who must not know them.
func (c *compiler) checkFault(e *model.Entity, ck *policy.CheckRule) *fault.Error {
	known := true
	eachRef(ck.Expr, func(ref *query.FieldRef) {
		f := e.Field(ref.Path.Field)
		known = known && f != nil && c.visible(f)
	})
	if !known {
		return fault.New(fault.Check, "new row for entity %q violates a check constraint", e)
	}
	return fault.New(fault.Check, "new row for entity %q violates check constraint %q", e, model.Text{Entity: e, Text: ck.Name}).
		WithDetails("The check is: %s", model.Text{Entity: e, Text: ck.Source})
}

// fixParams turns literals of a rule, which never change, into fixed values.
func fixParams(ps []param, from int, args []query.Arg) error {
	for i := range ps {
		if ps[i].slot < from {
			continue
		}
		v, err := ps[i].read(args[ps[i].slot-from])
		if err != nil {
			return err
		}
		ps[i] = param{slot: -1, fixed: v}
	}
	return nil
}

func (c *compiler) returning(p *WritePlan, judges []judgement) string {
	p.judges, p.returns = judges, true
	cols := []string{read(c.d, "", p.Entity.Primary)}
	for _, j := range judges {
		cols = append(cols, j.sql)
	}
	if k := p.Entity.PartitionKey(); k != nil {
		cols = append(cols, c.d.Ident(k.Name))
	}
	return " RETURNING " + strings.Join(cols, ",")
}

// reserve keeps the first parameters for the fields' values.
func (c *compiler) reserve(fields []*model.Field) []string {
	out := make([]string, len(fields))
	for i, f := range fields {
		out[i] = write(c.d, f, c.param(param{slot: -1}))
	}
	return out
}

// stored is a column of search tokens that a write fills.
type stored struct {
	field       *model.Field
	column, sql string
}

// tokens are the search tokens to store beside the fields of a write.
func (c *compiler) tokens(e *model.Entity, fields []*model.Field) []stored {
	var out []stored
	for i, f := range fields {
		if !slices.Contains(e.Search, f) {
			continue
		}
		if column, tokens := c.d.SearchTokens(f); column != "" {
			out = append(out, stored{f, column, c.param(param{slot: -1, value: i + 1, made: tokens})})
		}
	}
	return out
}

// Insert is what a create is planned by, beside its entity.
type Insert struct {
	Given      []*model.Field // by the caller: their own rules judge them
	Made       []*model.Field // by the database: no value is sent
	Resolution query.Resolution
	Conflict   []*model.Field // the key that decides
	Set        []*model.Field // what a merge replaces
}

// CompileInsert plans the creation of one row with a value for every field.
func (pl *Planner) CompileInsert(e *model.Entity, g policy.Guard, checks Checks, in *Insert) (*WritePlan, error) {
	c := pl.compiler(g, query.Slots{})
	p := &WritePlan{Entity: e, Fields: e.Fields, own: slices.Index(e.Fields, e.Primary)}
	made, err := c.judgedBehind(e, in.Made)
	if err != nil {
		return nil, err
	}
	if p.create, err = c.created(e, in.Given, made == nil); err != nil {
		return nil, err
	}
	if p.merges = in.Resolution == query.Merge; p.merges {
		if p.merge, err = c.merged(e, in); err != nil {
			return nil, err
		}
	}
	c.statement()
	sent := e.Fields
	if len(in.Made) > 0 {
		sent, p.send = without(e.Fields, in.Made)
	}
	columns, vals := c.idents(sent), c.reserve(sent)
	set := c.idents(in.Set)
	hidden := hiddenKey(e)
	if hidden != nil {
		columns = append(columns, c.d.Ident(hidden.Column))
		vals = append(vals, c.parentKey(e, vals[slices.Index(e.Fields, e.Partition.With.Ref)]))
	}
	p.same.SQL = pl.sameKey(e, in.Given)
	for _, tk := range c.tokens(e, e.Fields) {
		columns, vals = append(columns, tk.column), append(vals, tk.sql)
		if slices.Contains(in.Set, tk.field) {
			set = append(set, tk.column)
		}
	}
	sql := "INSERT INTO " + table(pl.Dialect, e)
	if len(columns) == 0 {
		sql += " DEFAULT VALUES"
	} else {
		sql += " (" + strings.Join(columns, ",") + ") VALUES (" + strings.Join(vals, ",") + ")"
	}
	judges, err := c.judges(e, checks, made, "create")
	if err != nil {
		return nil, err
	}
	returning := ""
	if e.Managed && len(judges) == 0 && in.Resolution == query.Fail && hidden == nil && p.same.SQL == "" {
		p.bulk = bulk{table(pl.Dialect, e), columns}
	}
	if len(judges) > 0 || in.Resolution != query.Fail || hidden != nil || !e.Managed { // whose key the database may make
		returning = c.returning(p, judges)
	}
	p.st.SQL = sql + returning
	if in.Resolution != query.Fail {
		p.insert.SQL = p.st.SQL
		p.st.SQL = sql + pl.Dialect.OnConflict(c.idents(in.Conflict), set) + returning
		c.probe(p, in.Conflict)
	}
	p.params, p.rules = c.params[len(sent):], c.asked()
	return p, nil
}

// without leaves fields out, and tells where the others stood.
func without(fields, out []*model.Field) (kept []*model.Field, at []int) {
	at = []int{}
	for i, f := range fields {
		if !slices.Contains(out, f) {
			kept, at = append(kept, f), append(at, i)
		}
	}
	return kept, at
}

// judgedBehind is the create rule where it is about values that the database
// makes: RETURNING answers it, and a row that fails is undone. A rule that also
// follows relations is judged before, when those values are unknown: it lets
// no row through that depends on them.
func (c *compiler) judgedBehind(e *model.Entity, made []*model.Field) (query.Expr, error) {
	if len(made) == 0 {
		return nil, nil
	}
	rule, err := c.rule(policy.Use{Entity: e, Rule: policy.RuleCreate})
	if err != nil || !plain(rule) {
		return nil, err
	}
	about := false
	eachRef(rule, func(ref *query.FieldRef) {
		about = about || slices.Contains(made, e.Field(ref.Path.Field))
	})
	if !about {
		return nil, nil
	}
	return rule, nil
}

func (c *compiler) idents(fields []*model.Field) []string {
	out := make([]string, len(fields))
	for i, f := range fields {
		out[i] = c.d.Ident(f.Column)
	}
	return out
}

// probe tells whether the row of an upsert's key is there.
func (c *compiler) probe(p *WritePlan, conflict []*model.Field) {
	e := p.Entity
	param := func(i int) string {
		p.key = append(p.key, i)
		return c.d.Param(len(p.key))
	}
	where := " WHERE " +
		c.conflict(e, conflict, func(k *model.Field) string { return c.d.Ident(k.Column) }, param, func(k *model.Field, i int) string {
			p.key = append(p.key, i)
			return equals(c.d, k, c.d.Ident(k.Column), len(p.key))
		})
	if p.merges { // the row that is found must be the one that is changed
		where += c.d.Lock("t0")
		if c.pl.Former != nil && c.pl.Former(e, query.Update) {
			p.was.SQL = c.selects(e, e.Fields...) + where
		}
	}
	p.probe.SQL = "SELECT 1 FROM " + table(c.d, e) + " AS t0" + where
}

// CompileUpdate plans setting fields of the rows that match. given are those
// of the fields that the caller gives.
func (pl *Planner) CompileUpdate(w *query.Write, e *model.Entity, fields, given []*model.Field, g policy.Guard, checks Checks) (*WritePlan, error) {
	c := pl.compiler(g, w.Slots())
	p := &WritePlan{Entity: e, Fields: fields, own: slices.Index(fields, e.Primary)}
	if err := stays(e, fields); err != nil {
		return nil, err
	}
	check, err := c.rule(policy.Use{Entity: e, Rule: policy.RuleCheck})
	if err != nil {
		return nil, err
	}
	if p.former, err = c.formerRows(w, e); err != nil {
		return nil, err
	}
	if p.own >= 0 {
		p.same.SQL = pl.sameKey(e, fields)
		if p.before, err = c.keysOf(w, e); err != nil {
			return nil, err
		}
	}
	before := !plain(check)
	if p.change, err = c.changed(w, e, fields, given, before); err != nil {
		return nil, err
	}
	if before {
		check = nil
	} else if p.failed, err = c.changed(w, e, fields, nil, true); err != nil {
		return nil, err
	}
	c.statement()
	var sets []string
	for i, v := range c.reserve(fields) {
		sets = append(sets, pl.Dialect.Ident(fields[i].Column)+"="+v)
	}
	for _, tk := range c.tokens(e, fields) {
		sets = append(sets, tk.column+"="+tk.sql)
	}
	where, err := c.reach(w, e)
	if err != nil {
		return nil, err
	}
	judges, err := c.judges(e, checks, check, "update")
	if err != nil {
		return nil, err
	}
	p.asked = c.looks(w, e)
	p.st.SQL = "UPDATE " + table(pl.Dialect, e) + " AS t0 SET " + strings.Join(sets, ",") + where + c.returning(p, judges)
	p.params, p.rules = c.params[len(fields):], c.asked()
	return p, nil
}

// keysOf names the rows that an update is about to change.
func (c *compiler) keysOf(w *query.Write, e *model.Entity) (*gate, error) {
	c.statement()
	where, err := c.reach(w, e)
	if err != nil {
		return nil, err
	}
	return &gate{st: Statement{SQL: c.selects(e, e.Primary) + where + c.d.Lock("t0")}, params: c.params}, nil
}

// selects begins a query of fields of an entity's rows.
func (c *compiler) selects(e *model.Entity, fields ...*model.Field) string {
	cols := make([]string, len(fields))
	for i, f := range fields {
		cols[i] = read(c.d, "t0", f)
	}
	return "SELECT " + strings.Join(cols, ",") + " FROM " + table(c.d, e) + " AS t0"
}

// formerRows answers the rows that a change is about to reach, where they are
// wanted; it leaves the compiler at the beginning of a statement.
func (c *compiler) formerRows(w *query.Write, e *model.Entity) (*gate, error) {
	if c.pl.Former == nil || !c.pl.Former(e, w.Action) {
		return nil, nil //nolint:nilnil // nobody asks
	}
	c.statement()
	where, err := c.reach(w, e)
	if err != nil {
		return nil, err
	}
	g := &gate{st: Statement{SQL: c.selects(e, e.Fields...) + where + c.d.Lock("t0")}, params: c.params, width: len(e.Fields)}
	c.statement()
	return g, nil
}

// CompileDelete plans the removal of the rows that match.
func (pl *Planner) CompileDelete(w *query.Write, e *model.Entity, g policy.Guard) (*WritePlan, error) {
	c := pl.compiler(g, w.Slots())
	p := &WritePlan{Entity: e, own: -1}
	var err error
	if p.former, err = c.formerRows(w, e); err != nil {
		return nil, err
	}
	if e.PartitionKey() == nil && cascades(e, e, nil) {
		if p.doomed, err = c.keysOf(w, e); err != nil {
			return nil, err
		}
		c.statement()
	}
	where, err := c.reach(w, e)
	if err != nil {
		return nil, err
	}
	p.asked = c.looks(w, e)
	p.st.SQL = "DELETE FROM " + table(pl.Dialect, e) + " AS t0" + where + c.returning(p, nil)
	p.params, p.rules = c.params, c.asked()
	return p, nil
}

// looks is how a change looks for the rows that it reaches.
func (c *compiler) looks(w *query.Write, e *model.Entity) *asking {
	return &asking{where: w.Where, rule: c.rules[policy.Use{Entity: e, Rule: policy.RuleOf(w.Action)}], order: w.Order, write: true}
}

// cascades reports whether a delete of rows of from may delete rows of to.
func cascades(from, to *model.Entity, seen []*model.Entity) bool {
	if slices.Contains(seen, from) {
		return false
	}
	seen = append(seen, from)
	for _, r := range from.Relations {
		if r.Cardinality == model.ToMany && !r.Ref.Ref.Loose && r.Ref.Ref.OnDelete == model.Cascade && (r.To == to || cascades(r.To, to, seen)) {
			return true
		}
	}
	return false
}

// reach writes the condition for the rows that an update or delete may touch:
// those that its filter names, that the action's rule allows and that the
// caller may read.
func (c *compiler) reach(w *query.Write, e *model.Entity) (string, error) {
	l := &level{c: c, e: e, alias: c.newAlias(), exists: true}
	rule, err := c.rule(policy.Use{Entity: e, Rule: policy.RuleOf(w.Action)})
	if err != nil {
		return "", err
	}
	if err := l.rule(rule); err != nil {
		return "", err
	}
	n := query.Node{Where: w.Where}
	for _, from := range []*query.Node{w.Returning, w.Embedded} {
		if from == nil {
			continue
		}
		for _, it := range from.Select {
			if em, ok := it.(*query.Embed); ok {
				n.Select = append(n.Select, em)
			}
		}
	}
	if err := l.fill(&n); err != nil {
		return "", err
	}
	l.settle()
	if w.Page.Limit == nil && w.Page.Offset == 0 {
		return l.tail(), nil
	}
	for _, o := range w.Order {
		if o.Relation != "" {
			return "", fault.New(fault.NotImplemented, "an order by a relation cannot choose the rows of a write")
		}
	}
	terms, err := l.orderTerms(w.Order)
	if err != nil {
		return "", err
	}
	key := make([]string, 0, 2)
	for _, k := range e.Key() {
		key = append(key, "t0."+c.d.Ident(k.Column))
	}
	pk, row := strings.Join(key, ","), strings.Join(key, ",")
	if len(key) > 1 {
		row = "(" + row + ")"
	}
	return " WHERE " + row + " IN (SELECT " + pk + " FROM " + l.from() + l.tail() + l.orderBy(terms, false) + c.page(&w.Page, true, 0) + ")", nil
}

// Judge judges a new row in memory, where its rules are about the row by
// itself; what is given are the values of all fields. known is false where it
// takes the store, and where it depends on whether the row is there.
func (p *WritePlan) Judge(g policy.Guard, values []value.Value) (known bool, err error) {
	if p.create == nil || p.merges {
		return false, nil
	}
	return p.create.known(g, &newRow{fields: p.Entity.Fields, vals: values})
}

// Outcome is what one run of a plan changed.
type Outcome struct {
	// Judged is set for runs whose rows [WritePlan.Judge] has let through.
	Judged  bool
	Primary []value.Value // of the affected rows
	// Partition are the partition keys of the affected rows, where the entity
	// is divided.
	Partition []value.Value
	// Before are the keys that the rows had, in no order, where an update sets
	// the key.
	Before []value.Value
	// Former are the rows as they were, with values for all fields of the entity,
	// where the planner was asked for them; in no order.
	Former [][]value.Value
	// Existed: the row of an upsert was there before.
	Existed bool
	// Later is set for runs whose failure fails the whole write: it need not be
	// told at once.
	Later bool
}

func (o *Outcome) exec(tx Tx, st *Statement, args []value.Value) error {
	if o.Later {
		return Send(tx, st, args)
	}
	_, err := tx.Exec(st, args)
	return err
}

// maxMeets is how often a merge begins again because the row of its key came to
// be there after it was looked for.
const maxMeets = 3

// Run executes the plan with a value for each of Fields and the query's args.
// It fails when a row does not meet a rule or a check; the caller's transaction
// then has to be undone.
func (p *WritePlan) Run(tx Tx, values []value.Value, args []query.Arg, into *Outcome) error {
	for range maxMeets {
		err := p.attempt(tx, values, args, into)
		if !p.merges || into.Existed || !fault.Is(err, fault.Unique) {
			return err
		}
		// Another transaction may have created the row of this very key: it is
		// merged then, and judged as one that is there.
		if found, merr := p.met(tx, values); merr != nil || !found {
			return errors.Join(err, merr)
		}
	}
	return concurrent()
}

// concurrent is the fault of a write that another one came in the way of.
func concurrent() error {
	return fault.New(fault.Serialization, "a concurrent change is in the way").WithHint("try again")
}

func (p *WritePlan) attempt(tx Tx, values []value.Value, args []query.Arg, into *Outcome) error {
	st, judged, err := p.judge(tx, values, args, into)
	if err != nil {
		return err
	}
	from := len(into.Primary)
	if p.before != nil {
		if into.Before, err = p.before.keys(tx, values, args); err != nil {
			return err
		}
	}
	if err := p.remember(tx, values, args, into); err != nil {
		return err
	}
	start, rows := time.Now(), len(into.Primary)
	if p.doomed != nil {
		keys, err := p.doomed.keys(tx, values, args)
		if err != nil {
			return err
		}
		into.Primary = append(into.Primary, keys...)
	}
	all, err := bindParams(p.params, values, args, p.sent(values))
	if err != nil {
		return err
	}
	if !p.returns {
		if err := into.exec(tx, st, all); err != nil {
			return err
		}
		into.Primary = append(into.Primary, values[p.own])
		if k := slices.Index(p.Fields, p.Entity.PartitionKey()); k >= 0 {
			into.Partition = append(into.Partition, values[k])
		}
		return p.alone(tx, values)
	}
	err = tx.Query(st, all, func(r Row) error {
		for i, j := range p.judges {
			if r.Int(i+1) == 0 {
				f := *j.fault
				return &f
			}
		}
		if p.doomed != nil {
			return nil
		}
		into.Primary = append(into.Primary, r.Value(0))
		if p.Entity.PartitionKey() != nil {
			into.Partition = append(into.Partition, r.Value(len(p.judges)+1))
		}
		return nil
	})
	if p.asked != nil {
		p.Usage.Add(time.Since(start), len(into.Primary)-rows, all)
	}
	if err == nil && p.change != nil && len(into.Primary)-from > judged {
		return concurrent() // a row that came to match since: nothing has judged it
	}
	if p.failed != nil && (fault.Is(err, fault.Unique) || fault.Is(err, fault.ForeignKey)) {
		// That a key is taken, or a row not there, is told only to who may
		// write the row: the rule would have been asked behind the statement.
		if _, denied := p.failed.run(tx, values, args); denied != nil {
			return denied
		}
	}
	if err == nil {
		err = p.alone(tx, values)
	}
	return err
}

// remember notes the rows as they are before the change.
func (p *WritePlan) remember(tx Tx, values []value.Value, args []query.Arg, into *Outcome) (err error) {
	switch {
	case p.former != nil:
		into.Former, err = p.former.rows(tx, values, args)
	case p.was.SQL != "" && into.Existed:
		err = tx.Query(&p.was, p.keyOf(values), func(r Row) error {
			into.Former = append(into.Former, rowOf(r, len(p.Entity.Fields)))
			return nil
		})
	}
	return err
}

// sent are the values that the statement itself takes.
func (p *WritePlan) sent(values []value.Value) []value.Value {
	if p.send == nil {
		return slices.Clip(values)
	}
	out := make([]value.Value, len(p.send), len(p.send)+len(p.params))
	for i, at := range p.send {
		out[i] = values[at]
	}
	return out
}

// judge asks what has to be known before anything is written, and returns the
// statement to run then, and the number of the rows that are let through to be
// changed.
func (p *WritePlan) judge(tx Tx, values []value.Value, args []query.Arg, into *Outcome) (st *Statement, judged int, err error) {
	into.Existed = false
	switch {
	case p.merge != nil:
		var found int
		found, err = p.merge.run(tx, values, args)
		into.Existed = found > 0
	case p.probe.SQL != "":
		into.Existed, err = p.met(tx, values)
	}
	if err == nil && p.change != nil {
		judged, err = p.change.run(tx, values, args)
	}
	// A row that is merged is not created. One that is ignored is judged all
	// the same: whether it was there is nobody's to learn by a row that he
	// could not create.
	if err == nil && p.create != nil && !into.Judged && (!p.merges || !into.Existed) {
		_, err = p.create.run(tx, values, args)
	}
	if p.merges && !into.Existed {
		return &p.insert, judged, err
	}
	return &p.st, judged, err
}

// met tells whether the row of an upsert's key is there.
func (p *WritePlan) met(tx Tx, values []value.Value) (found bool, err error) {
	err = tx.Query(&p.probe, p.keyOf(values), func(Row) error {
		found = true
		return nil
	})
	return found, err
}

// keyOf are the values of the key that an upsert names.
func (p *WritePlan) keyOf(values []value.Value) []value.Value {
	keys := make([]value.Value, len(p.key))
	for i, k := range p.key {
		keys[i] = values[k]
	}
	return keys
}

// RunAlone runs the plan so that a failure undoes this row alone and the
// transaction can go on.
func (p *WritePlan) RunAlone(tx Tx, values []value.Value, args []query.Arg, into *Outcome) error {
	if len(p.judges) == 0 && p.same.SQL == "" { // a statement that fails undoes itself
		return p.Run(tx, values, args, into)
	}
	return tx.Savepoint(func() error { return p.Run(tx, values, args, into) })
}
