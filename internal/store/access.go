package store

import (
	"slices"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/query"
)

// Access is how a statement looks for the rows of its entity: what an index
// would have to hold for the rows to be read off it. Conditions under or, not
// and JSON paths are left out: no plain index helps with them.
type Access struct {
	Entity *model.Entity
	Write  bool
	Every  bool           // there is no condition: every row is wanted
	Equal  []*model.Field // fields that must equal a value, or one of several
	Range  []*model.Field // fields that are compared with a bound
	Order  []*model.Field // the leading terms of the order, all of one direction
}

// asking is what a plan keeps of the query and the rules that it was made of.
type asking struct {
	where, rule query.Expr
	order       []query.Order
	write       bool
}

func (a *asking) access(e *model.Entity) Access {
	out := Access{Entity: e, Write: a.write, Every: a.where == nil && a.rule == nil}
	out.narrow(a.where)
	out.narrow(a.rule)
	for i, o := range a.order {
		f := e.Field(o.Path.Field)
		if o.Relation != "" || f == nil || len(o.Path.Steps) > 0 || o.Desc != a.order[0].Desc || o.Nulls != query.NullsDefault {
			break
		}
		if i == len(out.Order) && !slices.Contains(out.Equal, f) {
			out.Order = append(out.Order, f)
		}
	}
	out.Range = slices.DeleteFunc(out.Range, func(f *model.Field) bool { return slices.Contains(out.Equal, f) })
	return out
}

// narrow adds the conditions that every row has to meet.
func (a *Access) narrow(e query.Expr) {
	switch e := e.(type) {
	case *query.And:
		for _, arg := range e.Args {
			a.narrow(arg)
		}
	case *query.Compare:
		f := a.own(e.Left)
		if f == nil {
			if f = a.own(e.Right); f == nil || e.Op != query.Eq {
				return
			}
		}
		a.compared(f, e)
	}
}

// own is the field that an operand is, of the row itself.
func (a *Access) own(o query.Operand) *model.Field {
	ref, ok := o.(*query.FieldRef)
	if !ok || len(ref.Via) > 0 || ref.Up > 0 || ref.Old || len(ref.Path.Steps) > 0 {
		return nil
	}
	return a.Entity.Field(ref.Path.Field)
}

func (a *Access) compared(f *model.Field, e *query.Compare) {
	into := &a.Range
	switch e.Op { // no index answers the others
	case query.Eq, query.In:
		into = &a.Equal
	case query.Is:
		if w, ok := e.Right.(*query.Word); !ok || w.Word != "null" {
			return
		}
		into = &a.Equal
	case query.Gt, query.Gte, query.Lt, query.Lte:
	default:
		return
	}
	if e.Quant == query.NoQuant && !f.Type.List && !slices.Contains(*into, f) {
		*into = append(*into, f)
	}
}
