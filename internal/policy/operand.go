package policy

import (
	"errors"
	"math"
	"slices"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/value"
)

// operand is one side of a comparison: a constant, or something stored.
type operand struct {
	op     query.Operand
	typ    value.Type // of op, without limits but with an enum's words
	con    *constant  // when op is nil
	caller valueFunc  // when op and con are nil: a value of the caller
	json   bool       // op leads into a json value
	at     int64      // the node, for messages
	source string     // how it is called in messages

	callerType *types.Type // of caller, as CEL knows it
}

// fixed reports whether o is the same for every row.
func (o operand) fixed() bool { return o.con != nil || o.caller != nil }

func (o operand) name() string {
	if o.source == "" {
		return "this"
	}
	return o.source
}

// operand compiles a value.
func (x *expression) operand(e ast.Expr) (operand, bool) {
	if x.ofCaller(e) && !x.isConstant(e) {
		return x.callerOperand(e)
	}
	switch e.Kind() {
	case ast.LiteralKind:
		c, ok := x.literalConstant(e)
		return operand{con: c, at: e.ID(), source: "the constant"}, ok
	case ast.ListKind:
		return x.listConstant(e)
	case ast.SelectKind:
		return x.path(e)
	case ast.CallKind:
		return x.operandCall(e)
	case ast.ComprehensionKind, ast.IdentKind, ast.MapKind, ast.StructKind, ast.UnspecifiedExprKind:
	}
	return operand{}, x.refuse(e)
}

// isConstant reports what is compiled here rather than computed by CEL: a
// literal keeps its digits.
func (x *expression) isConstant(e ast.Expr) bool {
	switch e.Kind() {
	case ast.LiteralKind:
		return true
	case ast.ListKind:
		return !slices.ContainsFunc(e.AsList().Elements(), func(a ast.Expr) bool { return !x.isConstant(a) })
	case ast.CallKind:
		call := e.AsCall()
		switch call.FunctionName() {
		case "timestamp", fnDecimal:
			return len(call.Args()) == 1 && call.Args()[0].Kind() == ast.LiteralKind
		case operators.Negate, operators.Add, operators.Subtract, operators.Multiply:
			for _, a := range call.Args() {
				if !x.isConstant(a) {
					return false
				}
				switch a.AsLiteral().(type) {
				case types.String, types.Bytes, types.Bool:
					return false
				}
			}
			return x.ast.GetType(e.ID()).Kind() != types.ListKind
		}
	case ast.ComprehensionKind, ast.IdentKind, ast.MapKind, ast.SelectKind, ast.StructKind, ast.UnspecifiedExprKind:
	}
	return false
}

// path compiles row.field, and row.field.key.key of a json field.
func (x *expression) path(e ast.Expr) (operand, bool) {
	if e.AsSelect().IsTestOnly() {
		return operand{}, x.refuse(e)
	}
	if f := x.field(e); f != nil {
		t := value.Type{Kind: f.Type.Kind, List: f.Type.List, Scale: f.Type.Scale, Values: f.Type.Values}
		at := x.reach(e.AsSelect().Operand())
		return operand{
			op:  &query.FieldRef{Path: query.Path{Field: f.Name}, Via: at.via, Up: at.up, Old: at.old},
			typ: t, at: e.ID(), source: x.written(e),
		}, true
	}
	sel := e.AsSelect()
	base, ok := x.operand(sel.Operand())
	if !ok {
		return operand{}, false
	}
	return x.step(e, base, query.Step{Key: sel.FieldName(), ByKey: true})
}

// step goes into a json value. What is there is taken as text, as ->> takes
// it, so that null and absent are one and texts need no quotes.
func (x *expression) step(e ast.Expr, base operand, s query.Step) (operand, bool) {
	ref, ok := base.op.(*query.FieldRef)
	if !ok || base.typ.List || !base.json && base.typ.Kind != value.JSON {
		return operand{}, x.refuse(e)
	}
	s.Text = true
	steps := slices.Clone(ref.Path.Steps)
	if n := len(steps); n > 0 {
		steps[n-1].Text = false
	}
	return operand{
		op:  &query.FieldRef{Path: query.Path{Field: ref.Path.Field, Steps: append(steps, s)}, Via: ref.Via, Up: ref.Up, Old: ref.Old},
		typ: value.Type{Kind: value.Text}, json: true, at: e.ID(), source: base.source + "." + s.Key,
	}, true
}

func (x *expression) operandCall(e ast.Expr) (operand, bool) {
	call := e.AsCall()
	args := call.Args()
	switch call.FunctionName() {
	case "timestamp":
		if c, ok, done := x.timestampConstant(args); done {
			return operand{con: c, at: e.ID(), source: "the constant"}, ok
		}
	case fnDecimal:
		if c, ok, done := x.decimalConstant(e, args); done {
			return operand{con: c, at: e.ID(), source: "the constant"}, ok
		}
	case "size":
		return x.size(e, call)
	case operators.Index:
		return x.index(e, args)
	case operators.Negate:
		return x.negate(e, args[0])
	case operators.Add, operators.Subtract, operators.Multiply:
		return x.arithmetic(e, call.FunctionName(), args)
	}
	return operand{}, x.refuse(e)
}

func (x *expression) index(e ast.Expr, args []ast.Expr) (operand, bool) {
	base, ok := x.operand(args[0])
	if !ok {
		return operand{}, false
	}
	switch k := args[1].AsLiteral().(type) {
	case types.String:
		return x.step(e, base, query.Step{Key: string(k), ByKey: true})
	case types.Int:
		if k >= 0 && k <= math.MaxInt32 {
			return x.step(e, base, query.Step{Index: int64(k)})
		}
	}
	return operand{}, x.refuse(e)
}

func (x *expression) size(e ast.Expr, call ast.CallExpr) (operand, bool) {
	of := call.Target()
	if !call.IsMemberFunction() {
		of = call.Args()[0]
	}
	o, ok := x.operand(of)
	if !ok {
		return operand{}, false
	}
	if o.con != nil {
		n := len([]rune(o.con.text))
		switch {
		case o.con.list:
			n = len(o.con.items)
		case o.con.kind == value.Bytes:
			n = len(o.con.text)
		}
		return operand{con: intConstant(int64(n)), at: e.ID(), source: "size()"}, true
	}
	if k := class(o.typ); !o.typ.List && k != value.Text && k != value.Bytes {
		x.report(e.ID(), "size() works on text, bytes and lists", "%s is %s, which has no size", o.name(), describe(o.typ))
		return operand{}, false
	}
	return operand{
		op:  &query.Call{Func: query.Length, Args: []query.Operand{o.op}},
		typ: value.Type{Kind: value.Int}, at: e.ID(), source: "size(" + o.source + ")",
	}, true
}

func (x *expression) negate(e, arg ast.Expr) (operand, bool) {
	o, ok := x.operand(arg)
	if !ok {
		return operand{}, false
	}
	if o.con != nil {
		return x.foldArithmetic(e, operators.Subtract, intConstant(0), o.con)
	}
	if !x.isNumber(e, o) {
		return operand{}, false
	}
	o.op = &query.Call{Func: query.Neg, Args: []query.Operand{o.op}, Lenient: x.scope.auth}
	o.source = "-" + o.source
	return o, true
}

func (x *expression) isNumber(e ast.Expr, o operand) bool {
	if k := o.typ.Kind; (k == value.Int || k == value.Float || k == value.Decimal) && !o.typ.List {
		return true
	}
	hint := "arithmetic needs int, float or decimal fields"
	if o.typ.Kind == value.Timestamp && x.rule != nil {
		hint = "compare it with a time of its own, as in row.at > now() - duration('1h')"
	}
	x.report(e.ID(), hint, "%s is %s, no number", o.name(), describe(o.typ))
	return false
}

// arithmetic compiles +, - and *. Both operands have one type; the product of
// two decimals has both scales' digits.
func (x *expression) arithmetic(e ast.Expr, function string, args []ast.Expr) (operand, bool) {
	l, okl := x.operand(args[0])
	r, okr := x.operand(args[1])
	if !okl || !okr {
		return operand{}, false
	}
	if l.con != nil && r.con != nil {
		return x.foldArithmetic(e, function, l.con, r.con)
	}
	typ := l.typ
	if l.fixed() {
		typ = r.typ
	}
	sides := []operand{l, r}
	ops := make([]query.Operand, 2)
	for i, o := range sides {
		other := sides[1-i]
		if o.fixed() {
			if !x.isNumber(e, other) {
				return operand{}, false
			}
			literal, ok := x.literal(o, other)
			if !ok {
				return operand{}, false
			}
			ops[i] = literal
			continue
		}
		if !x.isNumber(e, o) {
			return operand{}, false
		}
		if !other.fixed() && !comparable(o, other) {
			x.report(e.ID(), "both sides must have one type", "cannot compute with %s, %s, and %s, %s",
				l.name(), describe(l.typ), r.name(), describe(r.typ))
			return operand{}, false
		}
		ops[i] = o.op
	}
	fn := query.Add
	switch function {
	case operators.Subtract:
		fn = query.Sub
	case operators.Multiply:
		if fn = query.Mul; typ.Kind == value.Decimal {
			if typ.Scale *= 2; typ.Scale > maxScale {
				x.report(e.ID(), "multiply decimals of a smaller scale", "the product has %d digits after the point, more than %d", typ.Scale, maxScale)
				return operand{}, false
			}
		}
	}
	return operand{op: &query.Call{Func: fn, Args: ops, Lenient: x.scope.auth}, typ: typ, at: e.ID(), source: "the result"}, true
}

// maxScale is the greatest scale that a decimal type has.
const maxScale = 18

// literalText is a constant as the text of a literal beside an operand: in the
// canonical form of the operand's type.
func (x *expression) literalText(o, beside operand) (string, bool) {
	c, t := o.con, beside.typ
	if beside.json && c.kind != value.Text {
		x.report(o.at, "compare it with a text or with null", "%s is part of a json value, which is compared as text", beside.name())
		return "", false
	}
	if t.Kind == value.JSON && !t.List {
		x.report(o.at, "name a part of it, as in "+beside.source+".key", "a json value can only be compared with null")
		return "", false
	}
	text := c.text
	switch {
	case c.list && t.List:
		items, ok := x.listText(o, beside)
		return items, ok
	case c.list != t.List:
		x.report(o.at, "", "cannot compare %s, %s, with %s", beside.name(), describe(t), c.describe())
		return "", false
	case c.kind == value.Bytes:
		text = string(value.Type{Kind: value.Bytes}.AppendText(nil, value.OfBytes(c.text)))
	}
	if !c.fits(t) {
		x.report(o.at, "", "cannot compare %s, %s, with %s", beside.name(), describe(t), c.describe())
		return "", false
	}
	if t.Kind == value.Enum && !slices.Contains(t.Values, text) {
		hint := nearest(text, "", t.Values)
		if hint == "" {
			hint = "it can be one of " + quoteAll(t.Values)
		}
		x.report(o.at, hint, "%s is never %q", beside.name(), text)
		return "", false
	}
	v, err := t.FromText(text)
	if err != nil {
		x.reportFault(o.at, err)
		return "", false
	}
	return string(t.AppendText(nil, v)), true
}

// listText is a list constant as a list field's text.
func (x *expression) listText(o, beside operand) (string, bool) {
	element := beside
	element.typ.List = false
	out := []byte{'['}
	for i, item := range o.con.items {
		text, ok := x.literalText(operand{con: item, at: o.at}, element)
		if !ok {
			return "", false
		}
		if i > 0 {
			out = append(out, ',')
		}
		out = appendJSONText(out, element.typ, text)
	}
	return string(append(out, ']')), true
}

// appendJSONText appends a value that is given as its canonical text.
func appendJSONText(dst []byte, t value.Type, text string) []byte {
	v, err := t.FromText(text)
	if err != nil { // the text is canonical
		return append(dst, "null"...)
	}
	return t.AppendJSON(dst, v)
}

// reportFault reports what a reader of values says.
func (x *expression) reportFault(id int64, err error) {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		x.report(id, f.Hint, "%s", f.Error())
		return
	}
	x.report(id, "", "%v", err)
}
