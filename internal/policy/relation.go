package policy

import (
	"cel.dev/cel-go/common/ast"

	"github.com/pandobase/pando/internal/query"
)

// reached is a row that an expression names, as seen from where it does.
type reached struct {
	via []string
	up  int
	old bool
}

// reach finds the row that e, whose object type is an entity, stands for.
func (x *expression) reach(e ast.Expr) reached {
	if e.Kind() == ast.SelectKind {
		at := x.reach(e.AsSelect().Operand())
		at.via = append(at.via, e.AsSelect().FieldName())
		return at
	}
	return reached{old: x.variable(e) == varOld}
}

// partner is the field that is null where e, a relation to one row, leads
// nowhere; nil where e is no such relation.
func (x *expression) partner(e ast.Expr) *query.FieldRef {
	if e.Kind() != ast.SelectKind || x.object(e) == "" {
		return nil
	}
	over := x.schema.entityOf(x.object(e.AsSelect().Operand()))
	if over == nil {
		return nil
	}
	at := x.reach(e.AsSelect().Operand())
	return &query.FieldRef{Path: query.Path{Field: toOne(over, e.AsSelect().FieldName()).Local.Name}, Via: at.via, Up: at.up, Old: at.old}
}
