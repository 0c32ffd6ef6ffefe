package store

import (
	"slices"
	"strings"

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
	fault func() *fault.Error
}

// WritePlan is a compiled change of rows that are selected by a filter, or of
// one given row. It is immutable and safe for concurrent use.
type WritePlan struct {
	Entity *model.Entity
	// Fields are the fields whose values each run gives, in order.
	Fields []*model.Field

	st     Statement
	params []param // behind the fields' values
	rules
	judges  []judgement
	probe   Statement // upsert: whether the row of the key is there
	key     []int     // upsert: the key's places in Fields
	returns bool      // the statement answers the primary key and the judges
	own     int       // where the primary key stands in Fields; -1: not among them
}

// SQL is the statement's text.
func (p *WritePlan) SQL() string { return p.st.SQL }

// Checks tells the constraints of an entity.
type Checks interface {
	Checks(e *model.Entity) []policy.CheckRule
}

// judges compiles what the new row must meet: the entity's checks, where
// unknown passes, and the guard's rule, where it does not.
func (c *compiler) judges(e *model.Entity, checks Checks, action query.Action) ([]judgement, error) {
	l := &level{c: c, e: e, trusted: true}
	var out []judgement
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
		out = append(out, judgement{sql: "coalesce(" + sql + "," + c.d.Bool(true) + ")", fault: func() *fault.Error {
			return fault.New(fault.Check, "new row for entity %q violates check constraint %q", e.Name, ck.Name).
				WithDetails("The check is: %s", ck.Source)
		}})
	}
	if action == query.Create {
		rule, err := c.rule(policy.Use{Entity: e, Rule: policy.RuleCreate})
		if err != nil {
			return nil, err
		}
		if rule != nil {
			sql, err := l.expr(rule)
			if err != nil {
				return nil, err
			}
			out = append(out, judgement{sql: "coalesce(" + sql + "," + c.d.Bool(false) + ")", fault: func() *fault.Error {
				return fault.New(fault.Forbidden, "new row violates the create policy of %q", e.Name)
			}})
		}
	}
	return out, nil
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
	cols := []string{c.d.Ident(p.Entity.Primary.Name)}
	for _, j := range judges {
		cols = append(cols, j.sql)
	}
	return " RETURNING " + strings.Join(cols, ",")
}

// values reserves the first parameters for the fields' values.
func (c *compiler) values(fields []*model.Field) []string {
	out := make([]string, len(fields))
	for i := range fields {
		out[i] = c.param(param{slot: -1})
	}
	return out
}

// CompileInsert plans the creation of one row with a value for every field.
// set names the fields that a merge replaces.
func (pl *Planner) CompileInsert(e *model.Entity, g policy.Guard, checks Checks, res query.Resolution, conflict, set []*model.Field) (*WritePlan, error) {
	c := pl.compiler(g, query.Slots{})
	p := &WritePlan{Entity: e, Fields: e.Fields, own: -1}
	var names []string
	for i, f := range e.Fields {
		names = append(names, pl.Dialect.Ident(f.Name))
		if f == e.Primary {
			p.own = i
		}
	}
	sql := "INSERT INTO " + pl.Dialect.Table(e.Module.Name, e.Name) + " (" + strings.Join(names, ",") + ") VALUES (" + strings.Join(c.values(e.Fields), ",") + ")"
	judges, err := c.judges(e, checks, query.Create)
	if err != nil {
		return nil, err
	}
	if res != query.Fail {
		sql += pl.Dialect.OnConflict(fieldNames(conflict), fieldNames(set))
		pl.probe(p, conflict)
	}
	if len(judges) > 0 || res != query.Fail {
		sql += c.returning(p, judges)
	}
	p.st.SQL, p.params, p.rules = sql, c.params[len(e.Fields):], c.asked()
	return p, nil
}

func (pl *Planner) probe(p *WritePlan, conflict []*model.Field) {
	var conds []string
	for _, k := range conflict {
		for i, f := range p.Fields {
			if f == k {
				p.key = append(p.key, i)
				conds = append(conds, pl.Dialect.Ident(f.Name)+"="+pl.Dialect.Param(len(p.key)))
			}
		}
	}
	p.probe.SQL = "SELECT 1 FROM " + pl.Dialect.Table(p.Entity.Module.Name, p.Entity.Name) + " WHERE " + strings.Join(conds, " AND ")
}

// CompileUpdate plans setting fields of the rows that match.
func (pl *Planner) CompileUpdate(w *query.Write, e *model.Entity, fields []*model.Field, g policy.Guard, checks Checks) (*WritePlan, error) {
	c := pl.compiler(g, w.Slots())
	p := &WritePlan{Entity: e, Fields: fields, own: -1}
	var sets []string
	for i, v := range c.values(fields) {
		sets = append(sets, pl.Dialect.Ident(fields[i].Name)+"="+v)
	}
	where, err := c.reach(w, e)
	if err != nil {
		return nil, err
	}
	judges, err := c.judges(e, checks, query.Update)
	if err != nil {
		return nil, err
	}
	p.st.SQL = "UPDATE " + pl.Dialect.Table(e.Module.Name, e.Name) + " AS t0 SET " + strings.Join(sets, ",") + where + c.returning(p, judges)
	p.params, p.rules = c.params[len(fields):], c.asked()
	return p, nil
}

// CompileDelete plans the removal of the rows that match.
func (pl *Planner) CompileDelete(w *query.Write, e *model.Entity, g policy.Guard) (*WritePlan, error) {
	c := pl.compiler(g, w.Slots())
	p := &WritePlan{Entity: e, own: -1}
	where, err := c.reach(w, e)
	if err != nil {
		return nil, err
	}
	p.st.SQL = "DELETE FROM " + pl.Dialect.Table(e.Module.Name, e.Name) + " AS t0" + where + c.returning(p, nil)
	p.params, p.rules = c.params, c.asked()
	return p, nil
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
	pk := c.d.Ident(e.Primary.Name)
	return " WHERE t0." + pk + " IN (SELECT t0." + pk + " FROM " + l.from() + l.tail() + l.orderBy(terms, false) + c.page(&w.Page, true) + ")", nil
}

// Outcome is what one run of a plan changed.
type Outcome struct {
	Primary []value.Value // of the affected rows
	// Existed: the row of an upsert was there before.
	Existed bool
}

// Run executes the plan with a value for each of Fields and the query's args.
// It fails when a row does not meet a check; the caller's transaction then has
// to be undone.
func (p *WritePlan) Run(tx Tx, values []value.Value, args []query.Arg, into *Outcome) error {
	all, err := bindParams(p.params, args, slices.Clip(values))
	if err != nil {
		return err
	}
	into.Existed = false
	if p.probe.SQL != "" {
		keys := make([]value.Value, len(p.key))
		for i, k := range p.key {
			keys[i] = values[k]
		}
		err := tx.Query(&p.probe, keys, func(Row) error {
			into.Existed = true
			return nil
		})
		if err != nil {
			return err
		}
	}
	if !p.returns {
		if _, err := tx.Exec(&p.st, all); err != nil {
			return err
		}
		into.Primary = append(into.Primary, values[p.own])
		return nil
	}
	return tx.Query(&p.st, all, func(r Row) error {
		for i, j := range p.judges {
			if r.Int(i+1) == 0 {
				return j.fault()
			}
		}
		into.Primary = append(into.Primary, r.Value(0))
		return nil
	})
}

// RunAlone runs the plan so that a failure undoes this row alone and the
// transaction can go on.
func (p *WritePlan) RunAlone(tx Tx, values []value.Value, args []query.Arg, into *Outcome) error {
	if len(p.judges) == 0 { // a statement that fails undoes itself
		return p.Run(tx, values, args, into)
	}
	return tx.Savepoint(func() error { return p.Run(tx, values, args, into) })
}
