package policy

import (
	"regexp"
	"strconv"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/value"
)

// Before CEL checks an expression, it is rewritten where Pando means more than
// CEL does:
//
//	x == null           @is_null(x), for x of any type
//	x == y, x in y      @equal, @among: unknown when a side is null
//	row.total > 0.10    row.total > decimal("0.10"), with the literal's own digits
//	row.ratio > 1       row.ratio > 1.0
//	now()               the variable @now
//
// Nodes keep their ids, so places stay right.
//
// children calls fn for each part of e, with the names that a comprehension
// takes hidden in the parts that see them.
func (x *expression) children(e ast.Expr, fn func(ast.Expr)) {
	switch e.Kind() {
	case ast.CallKind:
		call := e.AsCall()
		if call.IsMemberFunction() {
			fn(call.Target())
		}
		for _, a := range call.Args() {
			fn(a)
		}
	case ast.SelectKind:
		fn(e.AsSelect().Operand())
	case ast.ListKind:
		for _, a := range e.AsList().Elements() {
			fn(a)
		}
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			fn(entry.AsMapEntry().Key())
			fn(entry.AsMapEntry().Value())
		}
	case ast.StructKind:
		for _, field := range e.AsStruct().Fields() {
			fn(field.AsStructField().Value())
		}
	case ast.ComprehensionKind:
		x.comprehension(e.AsComprehension(), fn)
	case ast.IdentKind, ast.LiteralKind, ast.UnspecifiedExprKind:
	}
}

func (x *expression) comprehension(c ast.ComprehensionExpr, fn func(ast.Expr)) {
	fn(c.IterRange())
	fn(c.AccuInit())
	defer x.take("", c.AccuVar(), c.IterVar2())()
	object := ""
	if r := x.many(c.IterRange()); r != nil {
		object = objectOf(r.To)
	}
	defer x.take(object, c.IterVar())()
	fn(c.LoopCondition())
	fn(c.LoopStep())
	fn(c.Result())
}

// take hides names behind variables of an object type, until the function
// that it returns is called.
func (x *expression) take(object string, names ...string) (give func()) {
	for _, name := range names {
		x.taken[name] = append(x.taken[name], object)
	}
	return func() {
		for _, name := range names {
			x.taken[name] = x.taken[name][:len(x.taken[name])-1]
		}
	}
}

// variable returns the variable that e names, or "".
func (x *expression) variable(e ast.Expr) string {
	if e.Kind() != ast.IdentKind || len(x.taken[e.AsIdent()]) > 0 {
		return ""
	}
	return strings.TrimPrefix(e.AsIdent(), ".")
}

// object returns the type name of the object that e names, or "".
func (x *expression) object(e ast.Expr) string {
	switch x.variable(e) {
	case varRow, varOld:
		return typeRow
	case varAuth:
		return typeAuth
	case varRequest:
		return typeRequest
	}
	switch e.Kind() {
	case ast.IdentKind:
		if taken := x.taken[e.AsIdent()]; len(taken) > 0 {
			return taken[len(taken)-1]
		}
	case ast.SelectKind:
		if r := x.relation(e); r != nil && r.Cardinality == model.ToOne {
			return objectOf(r.To)
		}
	default:
	}
	return ""
}

// field returns the field that e is, or nil.
func (x *expression) field(e ast.Expr) *model.Field {
	if e.Kind() != ast.SelectKind || e.AsSelect().IsTestOnly() {
		return nil
	}
	if over := x.schema.entityOf(x.object(e.AsSelect().Operand())); over != nil {
		return fieldOf(over, e.AsSelect().FieldName())
	}
	return nil
}

// numeric tells the kind of number that e is, as far as its fields tell:
// Decimal or Float, or Invalid for anything else.
func (x *expression) numeric(e ast.Expr) value.Kind {
	switch e.Kind() {
	case ast.SelectKind:
		if f := x.field(e); f != nil && (f.Type.Kind == value.Decimal || f.Type.Kind == value.Float) {
			return f.Type.Kind
		}
	case ast.ListKind:
		return x.numericOf(e.AsList().Elements())
	case ast.CallKind:
		call := e.AsCall()
		switch call.FunctionName() {
		case fnDecimal:
			return value.Decimal
		case operators.Conditional:
			return x.numericOf(call.Args()[1:])
		case operators.Add, operators.Subtract, operators.Multiply, operators.Negate:
			return x.numericOf(call.Args())
		}
	default: // literals take the kind that the fields tell; nothing else has one
	}
	return value.Invalid
}

func (x *expression) numericOf(es []ast.Expr) value.Kind {
	for _, e := range es {
		if k := x.numeric(e); k != value.Invalid {
			return k
		}
	}
	return value.Invalid
}

// settle makes the number literals in e literals of a kind of number, as far
// as e is made of literals, signs and arithmetic.
func (x *expression) settle(e ast.Expr, kind value.Kind) {
	switch e.Kind() {
	case ast.LiteralKind:
		x.settleLiteral(e, kind)
	case ast.ListKind:
		for _, a := range e.AsList().Elements() {
			x.settle(a, kind)
		}
	case ast.CallKind:
		call := e.AsCall()
		switch call.FunctionName() {
		case operators.Add, operators.Subtract, operators.Multiply, operators.Negate:
			for _, a := range call.Args() {
				x.settle(a, kind)
			}
		case operators.Conditional:
			x.settle(call.Args()[1], kind)
			x.settle(call.Args()[2], kind)
		}
	default: // what is no literal keeps its type
	}
}

func (x *expression) settleLiteral(e ast.Expr, kind value.Kind) {
	var text string
	switch v := e.AsLiteral().(type) {
	case types.Int:
		if text = strconv.FormatInt(int64(v), 10); kind == value.Float {
			e.SetKindCase(x.factory().NewLiteral(e.ID(), types.Double(v)))
			return
		}
	case types.Double:
		text = x.digits(e)
	default:
		return
	}
	if kind != value.Decimal {
		return
	}
	x.nextID++
	literal := x.factory().NewLiteral(x.nextID, types.String(text))
	if r, ok := x.ast.SourceInfo().GetOffsetRange(e.ID()); ok {
		x.ast.SourceInfo().SetOffsetRange(x.nextID, r)
	}
	e.SetKindCase(x.factory().NewCall(e.ID(), fnDecimal, literal))
}

// number is CEL's double literal, with the sign that belongs to it.
var number = regexp.MustCompile(`^(-?)\s*([0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)`)

// digits returns a double literal as it is written: a float64 would lose what
// a decimal keeps.
func (x *expression) digits(e ast.Expr) string {
	v, _ := e.AsLiteral().(types.Double)
	shortest := strconv.FormatFloat(float64(v), 'g', -1, 64)
	r, ok := x.ast.SourceInfo().GetOffsetRange(e.ID())
	if !ok || int(r.Start) >= len(x.runes) || r.Start < 0 {
		return shortest
	}
	m := number.FindStringSubmatch(string(x.runes[r.Start:]))
	if m == nil {
		return shortest
	}
	written := m[1] + m[2]
	if f, err := strconv.ParseFloat(written, 64); err != nil || f != float64(v) {
		return shortest
	}
	return written
}

func (x *expression) factory() ast.ExprFactory { return ast.NewExprFactory() }

// rewrite rewrites e and everything in it.
func (x *expression) rewrite(e ast.Expr) {
	x.children(e, x.rewrite)
	if e.Kind() != ast.CallKind {
		return
	}
	call := e.AsCall()
	args := call.Args()
	switch name := call.FunctionName(); name {
	case fnNow:
		if !call.IsMemberFunction() && len(args) == 0 {
			e.SetKindCase(x.factory().NewIdent(e.ID(), varNow))
		}
	case operators.Equals, operators.NotEquals:
		x.rewriteEquality(e, name == operators.Equals, args)
	case operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals,
		operators.Add, operators.Subtract, operators.Multiply:
		x.agree(args[0], args[1])
	case operators.In:
		if x.member(e, args[0], args[1]) {
			return
		}
		x.agree(args[0], args[1])
		e.SetKindCase(x.factory().NewCall(e.ID(), fnAmong, args...))
	case operators.Conditional:
		x.agree(args[1], args[2])
		for _, a := range args[1:] {
			if isNull(a) { // CEL has no type for "a text or null"
				x.nextID++
				e := x.factory().NewLiteral(x.nextID, types.NullValue)
				a.SetKindCase(x.factory().NewCall(a.ID(), "dyn", e))
			}
		}
	}
}

func (x *expression) rewriteEquality(e ast.Expr, equal bool, args []ast.Expr) {
	test, compare := fnIsNull, fnEqual
	if !equal {
		test, compare = fnIsNotNull, fnUnequal
	}
	switch {
	case isNull(args[1]):
		e.SetKindCase(x.factory().NewCall(e.ID(), test, args[0]))
	case isNull(args[0]):
		e.SetKindCase(x.factory().NewCall(e.ID(), test, args[1]))
	default:
		x.agree(args[0], args[1])
		e.SetKindCase(x.factory().NewCall(e.ID(), compare, args...))
	}
}

// agree gives the literals of each side the kind of number of the other.
func (x *expression) agree(a, b ast.Expr) {
	ka, kb := x.numeric(a), x.numeric(b)
	if ka != value.Invalid {
		x.settle(b, ka)
	}
	if kb != value.Invalid {
		x.settle(a, kb)
	}
}

func isNull(e ast.Expr) bool {
	return e.Kind() == ast.LiteralKind && e.AsLiteral() == types.NullValue
}

// names reports the variables that are out of scope, or stand without one of
// their members.
func (x *expression) names(e ast.Expr) {
	if e.Kind() == ast.SelectKind {
		operand := e.AsSelect().Operand()
		if x.inScope(operand) {
			x.throughRelation(e)
			if operand.Kind() != ast.IdentKind {
				x.names(operand)
			}
		}
		return
	}
	if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == fnNow && !x.scope.now {
		x.report(e.ID(), "name fields of the row", "%s cannot use now(): the same row must always have the same answer", x.scope.what)
		return
	}
	if e.Kind() == ast.IdentKind && x.object(e) != "" && x.inScope(e) {
		name := e.AsIdent()
		x.report(e.ID(), "for example "+name+"."+x.example(e), "%s alone is no value: name one of its members", name)
	}
	x.children(e, x.names)
}

// example is a member's name for a hint.
func (x *expression) example(e ast.Expr) string {
	names, _ := x.schema.FindStructFieldNames(x.object(e))
	if len(names) == 0 {
		return "id"
	}
	return names[0]
}

// inScope reports a variable that the expression cannot have.
func (x *expression) inScope(e ast.Expr) bool {
	name := x.variable(e)
	has, hint := true, ""
	switch name {
	case varRow:
		has, hint = x.scope.row && x.entity != nil, "there is no row; auth and request are at hand"
	case varOld:
		has, hint = x.scope.old, "old is known in an update policy's `check` and in the `when` of an event on update"
	case varAuth:
		has, hint = x.scope.auth, "a rule about the caller belongs into the entity's policy"
	case varRequest:
		has, hint = x.scope.request, "a rule about the request belongs into the entity's policy"
	}
	if !has {
		x.report(e.ID(), hint, "%s cannot use %s", x.scope.what, name)
	}
	return has
}

// throughRelation reports a path over a relation where there may be none, and
// a name that several relations have.
func (x *expression) throughRelation(e ast.Expr) {
	over := x.schema.entityOf(x.object(e.AsSelect().Operand()))
	if over == nil {
		return
	}
	name := e.AsSelect().FieldName()
	r := relation(over, name)
	if r == nil {
		return
	}
	if !x.scope.relations {
		hint := ""
		if r.Cardinality == model.ToOne {
			hint = "the row itself has " + r.Local.Name
		}
		x.report(e.ID(), hint, "%s sees one row: it cannot follow the relation %s", x.scope.what, name)
		return
	}
	if all := relations(over, name); len(all) > 1 {
		x.report(e.ID(), "name them apart with `as:` or `inverse:`, for example that of "+all[1].Ref.Entity.QualifiedName()+"."+all[1].Ref.Name,
			"%s has %d relations %s", over.QualifiedName(), len(all), name)
	}
}

// nearest is a hint that names the candidate that was probably meant.
func nearest(word, prefix string, candidates []string) string {
	if n := fault.Nearest(word, candidates); n != "" {
		return "did you mean " + prefix + n + "?"
	}
	return ""
}
