package policy

import (
	"fmt"
	"slices"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/query"
)

// Binds reports whether a condition about a row holds only where a field is one
// of a few values that the row does not decide: a store then knows where to
// look. is tells that field.
func Binds(e query.Expr, is func(*query.FieldRef) bool) bool {
	switch e := e.(type) {
	case *query.And:
		return slices.ContainsFunc(e.Args, func(a query.Expr) bool { return Binds(a, is) })
	case *query.Or:
		return len(e.Args) > 0 && !slices.ContainsFunc(e.Args, func(a query.Expr) bool { return !Binds(a, is) })
	case *query.Const:
		return !e.Value
	case *query.Compare:
		if e.Op != query.Eq && e.Op != query.In || e.Quant == query.All {
			return false
		}
		that := func(o query.Operand) bool {
			ref, ok := o.(*query.FieldRef)
			return ok && ref.Up == 0 && !ref.Old && len(ref.Path.Steps) == 0 && is(ref)
		}
		return that(e.Left) && !varies(e.Right) || that(e.Right) && !varies(e.Left)
	}
	return false
}

// varies reports whether an operand depends on the row that is judged.
func varies(o query.Operand) bool {
	switch o := o.(type) {
	case *query.FieldRef:
		return o.Up == 0
	case *query.Call:
		return slices.ContainsFunc(o.Args, varies)
	}
	return false
}

// LeadsToKey reports whether a field, named from a row of e, is its partition
// key: by itself, or over what the row lies with, which has the same.
func LeadsToKey(e *model.Entity, ref *query.FieldRef) bool {
	for _, name := range ref.Via {
		p := e.Partition
		if p == nil || p.With == nil || p.With.Name != name {
			return false
		}
		e = p.With.To
	}
	k := e.PartitionKey()
	return k != nil && k.Name == ref.Path.Field
}

// Scattered lists the rules that look for rows of a partitioned entity without
// its partition key, and so in every partition. They hold; they cost more with
// every partition, and a store on many machines asks all of them.
func (r *Rules) Scattered(app *model.App) []model.Problem {
	w := &scatter{}
	for _, m := range app.Modules {
		for _, e := range m.Entities {
			for rule := RuleRead; rule <= RuleDelete; rule++ {
				if t := r.rules[Use{Entity: e, Rule: rule}]; t != nil {
					w.rule(t, fmt.Sprintf("the %s policy of %s", rule, e.QualifiedName()))
				}
			}
			for _, f := range e.Fields {
				for _, rule := range []Rule{RuleMask, RuleWrite} {
					if t := r.rules[Use{Entity: e, Rule: rule, Field: f}]; t != nil {
						w.rule(t, fmt.Sprintf("the %s policy of %s.%s", rule, e.QualifiedName(), f.Name))
					}
				}
			}
		}
	}
	return w.out
}

// scatter walks the conditions of rules.
type scatter struct {
	t    *template
	what string
	rows []*model.Entity // around a condition, the innermost last
	out  []model.Problem
}

func (w *scatter) rule(t *template, what string) {
	w.t, w.what, w.rows = t, what, []*model.Entity{t.entity}
	w.expr(t.expr)
}

func (w *scatter) expr(e query.Expr) {
	switch e := e.(type) {
	case *query.And:
		for _, a := range e.Args {
			w.expr(a)
		}
	case *query.Or:
		for _, a := range e.Args {
			w.expr(a)
		}
	case *query.Not:
		w.expr(e.Arg)
	case *query.Compare:
		w.operand(e.Left)
		w.operand(e.Right)
	case *query.Exists:
		at := w.path(e.Up, e.Via)
		rel := way(at, e.Relation, false)
		if rel == nil {
			return
		}
		if rel.Via != nil {
			w.enter(rel.Via, rel.ViaLocal, rel.ViaLocal, nil)
		}
		w.enter(rel.To, rel.Ref, rel.Foreign, e.Where)
		w.rows = append(w.rows, rel.To)
		w.expr(e.Where)
		w.rows = w.rows[:len(w.rows)-1]
	}
}

func (w *scatter) operand(o query.Operand) {
	switch o := o.(type) {
	case *query.FieldRef:
		if at := w.row(o.Up); len(o.Via) > 0 && at != nil && !LeadsToKey(at, o) {
			w.path(o.Up, o.Via)
		}
	case *query.Call:
		for _, a := range o.Args {
			w.operand(a)
		}
	}
}

// row is the entity of a row that a condition counts from.
func (w *scatter) row(up int) *model.Entity {
	if up >= len(w.rows) {
		return nil
	}
	return w.rows[len(w.rows)-1-up]
}

// path follows to-one relations and returns the entity that they lead to.
func (w *scatter) path(up int, via []string) *model.Entity {
	at := w.row(up)
	for _, name := range via {
		rel := way(at, name, true)
		if rel == nil {
			return nil
		}
		w.enter(rel.To, rel.Ref, rel.Foreign, nil)
		at = rel.To
	}
	return at
}

func way(e *model.Entity, name string, one bool) *model.Relation {
	if e == nil {
		return nil
	}
	for _, r := range e.Relations {
		if r.Name == name && (r.Cardinality == model.ToOne || !one) {
			return r
		}
	}
	return nil
}

// enter notes an entity whose rows are looked for by a column that does not say
// in which partition they are.
func (w *scatter) enter(e *model.Entity, ref, column *model.Field, where query.Expr) {
	key := e.PartitionKey()
	if key == nil || ref.Colocates() || column == key || where != nil && Binds(where, func(r *query.FieldRef) bool { return LeadsToKey(e, r) }) {
		return
	}
	name := key.Name
	if e.Field(name) == nil {
		name = "the partition key of " + e.Partition.With.To.QualifiedName()
	}
	p := model.Problem{
		Pos:     w.t.source.Pos,
		Message: fmt.Sprintf("%s looks for %s by %s, in all of its %d partitions", w.what, e.QualifiedName(), column.Name, e.Partitions()),
		Hint:    "name " + name + " in it, or judge by a field of the row itself",
	}
	if !slices.Contains(w.out, p) {
		w.out = append(w.out, p)
	}
}
