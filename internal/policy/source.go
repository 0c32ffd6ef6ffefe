package policy

import (
	"strconv"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// Precedences of CEL's operators, the loosest first.
const (
	looseTernary = iota
	looseOr
	looseAnd
	looseRelation
	looseSum
	looseProduct
	looseUnary
	looseMember
)

// binary is how a function of two arguments is written between them.
func binary(function string) (symbol string, precedence int) {
	switch function {
	case operators.LogicalOr:
		return "||", looseOr
	case operators.LogicalAnd:
		return "&&", looseAnd
	case fnEqual, operators.Equals:
		return "==", looseRelation
	case fnUnequal, operators.NotEquals:
		return "!=", looseRelation
	case fnAmong, operators.In:
		return "in", looseRelation
	case operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals:
		return operatorName(function), looseRelation
	case operators.Add, operators.Subtract:
		return operatorName(function), looseSum
	case operators.Multiply, operators.Divide, operators.Modulo:
		return operatorName(function), looseProduct
	}
	return "", 0
}

// written is e as a person would write it: what was rewritten for the checker
// is turned back.
func (x *expression) written(e ast.Expr) string {
	var b strings.Builder
	x.write(&b, e, looseTernary)
	return b.String()
}

func (x *expression) write(b *strings.Builder, e ast.Expr, outer int) {
	switch e.Kind() {
	case ast.LiteralKind:
		writeLiteral(b, e)
	case ast.IdentKind:
		switch name := e.AsIdent(); {
		case name == varNow:
			b.WriteString("now()")
		case x.ranges[name] != nil:
			x.write(b, x.ranges[name], looseMember)
		default:
			b.WriteString(name)
		}
	case ast.SelectKind:
		x.writeSelect(b, e.AsSelect())
	case ast.CallKind:
		x.writeCall(b, e.AsCall(), outer)
	case ast.ListKind:
		b.WriteByte('[')
		x.writeList(b, e.AsList().Elements())
		b.WriteByte(']')
	case ast.MapKind:
		b.WriteByte('{')
		for i, entry := range e.AsMap().Entries() {
			if i > 0 {
				b.WriteString(", ")
			}
			x.write(b, entry.AsMapEntry().Key(), looseTernary)
			b.WriteString(": ")
			x.write(b, entry.AsMapEntry().Value(), looseTernary)
		}
		b.WriteByte('}')
	case ast.ComprehensionKind:
		if macro, ok := x.ast.SourceInfo().GetMacroCall(e.ID()); ok && macro.Kind() == ast.CallKind {
			x.writeMacro(b, e.AsComprehension(), macro.AsCall())
			return
		}
		b.WriteString("a comprehension")
	case ast.StructKind, ast.UnspecifiedExprKind:
		b.WriteString("an object")
	}
}

// writeMacro writes a macro as it was called. Its arguments may hold further
// macros, which the parser keeps apart by their ids.
func (x *expression) writeMacro(b *strings.Builder, c ast.ComprehensionExpr, call ast.CallExpr) {
	x.write(b, c.IterRange(), looseMember)
	b.WriteString("." + call.FunctionName() + "(")
	for i, a := range call.Args() {
		if i > 0 {
			b.WriteString(", ")
		}
		if macro, ok := x.ast.SourceInfo().GetMacroCall(a.ID()); ok {
			x.write(b, macro, looseTernary)
			continue
		}
		x.write(b, a, looseTernary)
	}
	b.WriteByte(')')
}

func writeLiteral(b *strings.Builder, e ast.Expr) {
	switch v := e.AsLiteral().(type) {
	case types.String:
		b.WriteString(quote(string(v)))
	case types.Bytes:
		b.WriteString("b" + strconv.Quote(string(v)))
	case types.Int:
		b.WriteString(strconv.FormatInt(int64(v), 10))
	case types.Uint:
		b.WriteString(strconv.FormatUint(uint64(v), 10) + "u")
	case types.Double:
		text := strconv.FormatFloat(float64(v), 'g', -1, 64)
		if !strings.ContainsAny(text, ".eIN") {
			text += ".0"
		}
		b.WriteString(text)
	case types.Bool:
		b.WriteString(strconv.FormatBool(bool(v)))
	default:
		b.WriteString("null")
	}
}

// quote is a text as a literal of an expression.
func quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(s) + "'"
}

func (x *expression) writeSelect(b *strings.Builder, s ast.SelectExpr) {
	if s.IsTestOnly() {
		b.WriteString("has(")
	}
	x.write(b, s.Operand(), looseMember)
	b.WriteString("." + s.FieldName())
	if s.IsTestOnly() {
		b.WriteByte(')')
	}
}

func (x *expression) writeList(b *strings.Builder, es []ast.Expr) {
	for i, a := range es {
		if i > 0 {
			b.WriteString(", ")
		}
		x.write(b, a, looseTernary)
	}
}

func (x *expression) writeCall(b *strings.Builder, call ast.CallExpr, outer int) {
	args := call.Args()
	open := func(precedence int) func() {
		if precedence >= outer {
			return func() {}
		}
		b.WriteByte('(')
		return func() { b.WriteByte(')') }
	}
	name := call.FunctionName()
	if symbol, precedence := binary(name); symbol != "" && len(args) == 2 {
		closed := open(precedence)
		x.write(b, args[0], precedence)
		b.WriteString(" " + symbol + " ")
		x.write(b, args[1], precedence+1)
		closed()
		return
	}
	switch name {
	case fnIsNull, fnIsNotNull:
		closed := open(looseRelation)
		x.write(b, args[0], looseRelation)
		if name == fnIsNull {
			b.WriteString(" == null")
		} else {
			b.WriteString(" != null")
		}
		closed()
	case operators.LogicalNot, operators.Negate:
		b.WriteString(operatorName(name))
		x.write(b, args[0], looseUnary)
	case operators.Conditional:
		closed := open(looseTernary)
		x.write(b, args[0], looseOr)
		b.WriteString(" ? ")
		x.write(b, args[1], looseOr)
		b.WriteString(" : ")
		x.write(b, args[2], looseTernary)
		closed()
	case operators.Index:
		x.write(b, args[0], looseMember)
		b.WriteByte('[')
		x.write(b, args[1], looseTernary)
		b.WriteByte(']')
	default:
		if call.IsMemberFunction() {
			x.write(b, call.Target(), looseMember)
			b.WriteByte('.')
		}
		b.WriteString(name + "(")
		x.writeList(b, args)
		b.WriteByte(')')
	}
}
