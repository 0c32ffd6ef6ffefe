package policy

import (
	"slices"
	"strconv"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/query"
)

// maxFrames bounds how deep exists() and all() may stand in each other: each is
// a subquery for each row of the one around it.
const maxFrames = 8

func objectOf(e *model.Entity) string { return "@" + e.QualifiedName() }

// relation is the relation that e follows, or nil.
func (x *expression) relation(e ast.Expr) *model.Relation {
	if e.Kind() != ast.SelectKind || e.AsSelect().IsTestOnly() {
		return nil
	}
	over := x.schema.entityOf(x.object(e.AsSelect().Operand()))
	if over == nil {
		return nil
	}
	return relation(over, e.AsSelect().FieldName())
}

// many is the relation to many rows that e follows, or nil.
func (x *expression) many(e ast.Expr) *model.Relation {
	if r := x.relation(e); r != nil && r.Cardinality != model.ToOne {
		return r
	}
	return nil
}

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
	name := e.AsIdent()
	for i, frame := range slices.Backward(x.frames) {
		if frame == name {
			return reached{up: len(x.frames) - 1 - i}
		}
	}
	return reached{up: len(x.frames), old: name == varOld}
}

// partner is the field that is null where e, a relation to one row, leads
// nowhere; nil where e is no such relation.
func (x *expression) partner(e ast.Expr) *query.FieldRef {
	r := x.relation(e)
	if r == nil || r.Cardinality != model.ToOne {
		return nil
	}
	at := x.reach(e.AsSelect().Operand())
	return &query.FieldRef{Path: query.Path{Field: r.Local.Name}, Via: at.via, Up: at.up, Old: at.old}
}

// quantifier is exists() or all() over the rows of a relation.
type quantifier struct {
	variable string
	over     ast.Expr
	relation *model.Relation
	all      bool
	cond     ast.Expr
}

// quantifier reads the comprehension that the two macros become.
func (x *expression) quantifier(e ast.Expr) (quantifier, bool) {
	c := e.AsComprehension()
	r := x.many(c.IterRange())
	start, isBool := c.AccuInit().AsLiteral().(types.Bool)
	step := c.LoopStep()
	if r == nil || c.HasIterVar2() || !isBool || step.Kind() != ast.CallKind || len(step.AsCall().Args()) != 2 {
		return quantifier{}, false
	}
	want := operators.LogicalOr
	if start {
		want = operators.LogicalAnd
	}
	if step.AsCall().FunctionName() != want {
		return quantifier{}, false
	}
	return quantifier{
		variable: c.IterVar(), over: c.IterRange(), relation: r, all: bool(start), cond: step.AsCall().Args()[1],
	}, true
}

// quantified compiles exists(), and all() as: there is none for which not.
func (x *expression) quantified(e ast.Expr, q quantifier) (query.Expr, bool) {
	if len(x.frames) == maxFrames {
		x.report(e.ID(), "", "exists() and all() stand more than %d deep in each other", maxFrames)
		return nil, false
	}
	at := x.reach(q.over.AsSelect().Operand())
	give := x.take(objectOf(q.relation.To), q.variable)
	x.frames = append(x.frames, q.variable)
	where, ok := x.condition(q.cond)
	x.frames = x.frames[:len(x.frames)-1]
	give()
	if !ok {
		return nil, false
	}
	if q.all {
		where = not(where)
	}
	if c, ok := where.(*query.Const); ok {
		if !c.Value {
			return &query.Const{Value: q.all}, true
		}
		where = nil
	}
	var out query.Expr = &query.Exists{Via: at.via, Up: at.up, Old: at.old, Relation: q.relation.Name, Where: where}
	if q.all {
		out = not(out)
	}
	return out, true
}

// member rewrites `x in row.members.user_id` as row.members.exists(m, x ==
// m.user_id). It is false where the right side leads over no such relation.
func (x *expression) member(e, left, right ast.Expr) bool {
	var names []string
	at := right
	for at.Kind() == ast.SelectKind && !at.AsSelect().IsTestOnly() && x.many(at) == nil {
		names = append(names, at.AsSelect().FieldName())
		at = at.AsSelect().Operand()
	}
	if x.many(at) == nil || len(names) == 0 {
		return false
	}
	slices.Reverse(names)
	e.SetKindCase(x.anyOf(e, left, at, names))
	return true
}

// anyOf is the comprehension of exists over a relation: left is the field of
// one of its rows that names lead to.
func (x *expression) anyOf(e, left, over ast.Expr, names []string) ast.Expr {
	f := x.factory()
	id := func() int64 {
		x.nextID++
		if r, ok := x.ast.SourceInfo().GetOffsetRange(e.ID()); ok {
			x.ast.SourceInfo().SetOffsetRange(x.nextID, r)
		}
		return x.nextID
	}
	variable := "@it" + strconv.FormatInt(id(), 10)
	x.ranges[variable] = over
	defer x.take(objectOf(x.many(over).To), variable)()
	field := f.NewIdent(id(), variable)
	var cond ast.Expr
	for i, name := range names {
		field = f.NewSelect(id(), field, name)
		if i < len(names)-1 && x.many(field) != nil {
			cond = x.anyOf(e, left, field, names[i+1:])
			break
		}
	}
	if cond == nil {
		x.agree(left, field)
		cond = f.NewCall(id(), fnEqual, left, field)
	}
	const found = "@found"
	return f.NewComprehension(id(), over, variable, found, f.NewLiteral(id(), types.False), f.NewLiteral(id(), types.True),
		f.NewCall(id(), operators.LogicalOr, f.NewIdent(id(), found), cond), f.NewIdent(id(), found))
}

// strays reports relations to many rows where one value is asked for.
func (x *expression) strays(e ast.Expr) {
	if e.Kind() == ast.ComprehensionKind {
		if q, ok := x.quantifier(e); ok {
			x.strays(q.over.AsSelect().Operand())
			defer x.take(objectOf(q.relation.To), q.variable)()
			x.strays(q.cond)
			return
		}
	}
	if r := x.many(e); r != nil && x.scope.relations {
		path := x.written(e)
		x.report(e.ID(), "write "+path+".exists(r, r."+r.To.Primary.Name+" == ...), .all(...), or ... in "+path+"."+r.To.Primary.Name,
			"%s leads to many rows of %s", path, r.To.QualifiedName())
		return
	}
	x.children(e, x.strays)
}
