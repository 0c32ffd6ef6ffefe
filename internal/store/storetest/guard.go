package storetest

import (
	"strconv"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
)

// ruled is a guard whose rules a test writes down.
type ruled struct {
	app *model.App
	// rules by use. What is not there is denied for the rules of an entity that
	// name an action, and holds for those of fields and for RuleCheck.
	rules  map[policy.Use]query.Expr
	hidden map[*model.Field]bool // neither visible nor writable
	closed map[*model.Field]bool // visible, never writable
	fixed  map[*model.Field]bool // writable in a create alone
}

var _ policy.Guard = (*ruled)(nil)

func (g *ruled) Filter(u policy.Use) (query.Expr, error) {
	e, ok := g.rules[u]
	if !ok && u.Field == nil && u.Rule != policy.RuleCheck {
		return nil, fault.New(fault.Forbidden, "permission denied for %s", u.Entity.QualifiedName())
	}
	return e, nil
}

func (g *ruled) Args(dst []query.Arg, u policy.Use) ([]query.Arg, error) {
	e, err := g.Filter(u)
	return query.Literals(e, dst), err
}

func (g *ruled) Signature(dst []byte, u policy.Use) []byte {
	e, err := g.Filter(u)
	if err != nil {
		return append(dst, 'x')
	}
	q := query.Read{Node: query.Node{Where: e}}
	dst, _ = q.Shape(dst, nil)
	if u.Rule == policy.RuleRead {
		for i, f := range u.Entity.Fields {
			if !g.Visible(f) {
				dst = append(strconv.AppendInt(dst, int64(i), 10), ',')
			}
		}
	}
	return append(dst, ';')
}

func (g *ruled) Visible(f *model.Field) bool { return !g.hidden[f] && !f.Hidden }

func (g *ruled) Writable(f *model.Field, a query.Action) bool {
	return !g.hidden[f] && !g.closed[f] && (a == query.Create || !g.fixed[f])
}
