package policy

import (
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/value"
)

// condition compiles a checked expression of type bool. It returns false after
// it has reported why it cannot.
func (x *expression) condition(e ast.Expr) (query.Expr, bool) {
	if x.ofCaller(e) && e.Kind() != ast.LiteralKind {
		return x.callerCondition(e)
	}
	switch e.Kind() {
	case ast.LiteralKind:
		if b, ok := e.AsLiteral().(types.Bool); ok {
			return &query.Const{Value: bool(b)}, true
		}
	case ast.SelectKind:
		if e.AsSelect().IsTestOnly() {
			return nil, x.refuse(e)
		}
		return x.boolField(e)
	case ast.CallKind:
		return x.conditionCall(e)
	case ast.ComprehensionKind:
		if q, ok := x.quantifier(e); ok && x.rule != nil {
			return x.quantified(e, q)
		}
	case ast.IdentKind, ast.ListKind, ast.MapKind, ast.StructKind, ast.UnspecifiedExprKind:
	}
	return nil, x.refuse(e)
}

// boolField is a bool field as a condition: null stays unknown.
func (x *expression) boolField(e ast.Expr) (query.Expr, bool) {
	o, ok := x.operand(e)
	if !ok {
		return nil, false
	}
	if o.typ.Kind != value.Bool || o.typ.List {
		x.report(e.ID(), "compare it, for example with == 'yes'", "%s is %s: it is no condition", o.name(), describe(o.typ))
		return nil, false
	}
	return &query.Compare{Left: o.op, Op: query.Eq, Right: &query.Literal{Text: "true"}}, true
}

func (x *expression) conditionCall(e ast.Expr) (query.Expr, bool) {
	call := e.AsCall()
	args := call.Args()
	switch name := call.FunctionName(); name {
	case operators.LogicalAnd, operators.LogicalOr:
		l, okl := x.condition(args[0])
		r, okr := x.condition(args[1])
		if !okl || !okr {
			return nil, false
		}
		if name == operators.LogicalAnd {
			return and(l, r), true
		}
		return or(l, r), true
	case operators.LogicalNot:
		a, ok := x.condition(args[0])
		return not(a), ok
	case operators.Conditional:
		return x.ternary(args)
	case fnIsNull, fnIsNotNull:
		return x.nullTest(args[0], name == fnIsNull)
	case fnAmong:
		return x.among(e, args[0], args[1])
	case "startsWith", "endsWith", "contains":
		return x.textTest(e, call)
	case "matches":
		return x.matches(e, call)
	}
	if op, ok := comparison(call.FunctionName()); ok {
		return x.compare(e, op, args[0], args[1])
	}
	return nil, x.refuse(e)
}

// comparison is the operator of a function.
func comparison(function string) (query.Op, bool) {
	switch function {
	case fnEqual:
		return query.Eq, true
	case fnUnequal:
		return query.Neq, true
	case operators.Less:
		return query.Lt, true
	case operators.LessEquals:
		return query.Lte, true
	case operators.Greater:
		return query.Gt, true
	case operators.GreaterEquals:
		return query.Gte, true
	}
	return 0, false
}

// ternary rewrites c ? a : b as (c && a) || (!c && b) || (a && b). That is
// Kleene's extension: the answer is unknown exactly when it depends on an
// unknown c, where SQL's CASE would take b.
func (x *expression) ternary(args []ast.Expr) (query.Expr, bool) {
	c, okc := x.condition(args[0])
	a, oka := x.condition(args[1])
	b, okb := x.condition(args[2])
	if !okc || !oka || !okb {
		return nil, false
	}
	if k, ok := c.(*query.Const); ok {
		if k.Value {
			return a, true
		}
		return b, true
	}
	if x.ofCaller(args[0]) { // which folds to one of the two, or else to what both say
		return or(or(and(c, a), and(not(c), b)), and(x.unknown(args[0]), a, b)), true
	}
	return or(or(and(c, a), and(not(c), b)), and(a, b)), true
}

func (x *expression) nullTest(e ast.Expr, null bool) (query.Expr, bool) {
	if e.Kind() == ast.LiteralKind {
		return &query.Const{Value: (e.AsLiteral() == types.NullValue) == null}, true
	}
	word := "not_null"
	if null {
		word = "null"
	}
	if ref := x.partner(e); ref != nil {
		return &query.Compare{Left: ref, Op: query.Is, Right: &query.Word{Word: word}}, true
	}
	o, ok := x.operand(e)
	if !ok {
		return nil, false
	}
	if o.con != nil {
		return &query.Const{Value: !null}, true
	}
	ref, ok := o.op.(*query.FieldRef)
	if !ok {
		x.report(e.ID(), "compare the field itself with null", "only a field can be compared with null")
		return nil, false
	}
	return &query.Compare{Left: ref, Op: query.Is, Right: &query.Word{Word: word}}, true
}

// compare compiles ==, !=, <, <=, > and >= between two operands, neither of
// which is the literal null.
func (x *expression) compare(e ast.Expr, op query.Op, le, re ast.Expr) (query.Expr, bool) {
	if op == query.Eq || op == query.Neq {
		if c, ok, done := x.compareBool(op, le, re); done {
			return c, ok
		}
		if c, ok, done := x.sameTruth(op, le, re); done {
			return c, ok
		}
	}
	l, okl := x.operand(le)
	r, okr := x.operand(re)
	if !okl || !okr {
		return nil, false
	}
	switch {
	case l.con != nil && r.con != nil:
		return x.foldCompare(e, op, l.con, r.con)
	case l.fixed():
		return x.compareOperand(e, flip(op), r, l)
	default:
		return x.compareOperand(e, op, l, r)
	}
}

// compareBool compares a condition with true or false. done is false where
// neither side is one of the two words.
func (x *expression) compareBool(op query.Op, l, r ast.Expr) (c query.Expr, ok, done bool) {
	word, isWord := r.AsLiteral().(types.Bool)
	other := l
	if !isWord {
		word, isWord = l.AsLiteral().(types.Bool)
		other = r
	}
	if !isWord {
		return nil, false, false
	}
	c, ok = x.condition(other)
	if ok && bool(word) != (op == query.Eq) {
		c = not(c)
	}
	return c, ok, true
}

// sameTruth compares a condition on rows with one of the caller. done is false
// where the row's side is a plain field or no condition.
func (x *expression) sameTruth(op query.Op, l, r ast.Expr) (c query.Expr, ok, done bool) {
	if x.ofCaller(r) {
		l, r = r, l
	}
	if !x.ofCaller(l) || r.Kind() != ast.CallKind && r.Kind() != ast.ComprehensionKind || x.ast.GetType(r.ID()) != types.BoolType {
		return nil, false, false
	}
	a, oka := x.condition(l)
	b, okb := x.condition(r)
	if !oka || !okb {
		return nil, false, true
	}
	if op == query.Neq {
		a = not(a)
	}
	return or(and(a, b), and(not(a), not(b))), true, true
}

// flip is op with its sides changed.
func flip(op query.Op) query.Op {
	switch op {
	case query.Gt:
		return query.Lt
	case query.Gte:
		return query.Lte
	case query.Lt:
		return query.Gt
	case query.Lte:
		return query.Gte
	case query.Eq, query.Neq, query.Like, query.ILike, query.Match, query.IMatch, query.Is, query.IsDistinct, query.In, query.Contains,
		query.ContainedBy, query.Overlaps, query.FTS, query.PlainFTS, query.PhraseFTS, query.WebFTS:
	}
	return op
}

// compareOperand compares l, which is no constant, with r.
func (x *expression) compareOperand(e ast.Expr, op query.Op, l, r operand) (query.Expr, bool) {
	ordered := op != query.Eq && op != query.Neq
	if ordered && (l.typ.List || l.typ.Kind == value.Bool || l.json) {
		what := describe(l.typ)
		if l.json {
			what = "part of a json value"
		}
		x.report(e.ID(), "use == or !=", "%s is %s, which has no order", l.name(), what)
		return nil, false
	}
	if r.fixed() {
		literal, ok := x.literal(r, l)
		return &query.Compare{Left: l.op, Op: op, Right: literal}, ok
	}
	if !comparable(l, r) {
		x.report(e.ID(), "both sides must have one type", "cannot compare %s, %s, with %s, %s",
			l.name(), describe(l.typ), r.name(), describe(r.typ))
		return nil, false
	}
	return &query.Compare{Left: l.op, Op: op, Right: r.op}, true
}

// comparable reports whether two stored values compare alike on every store.
func comparable(l, r operand) bool {
	if l.json || r.json || l.typ.List != r.typ.List {
		return false
	}
	return class(l.typ) == class(r.typ) && (l.typ.Kind != value.Decimal || l.typ.Scale == r.typ.Scale)
}

// class is a kind, the text kinds being one.
func class(t value.Type) value.Kind {
	if t.Kind == value.Enum || t.Kind == value.File {
		return value.Text
	}
	return t.Kind
}

// among compiles `x in y`: a field in a list of constants, or a constant in a
// list field.
func (x *expression) among(e, le, re ast.Expr) (query.Expr, bool) {
	if re.Kind() == ast.ListKind && x.rule != nil && x.about(re)&aboutRow != 0 {
		return x.oneOf(e, le, re.AsList().Elements())
	}
	l, ok := x.operand(le)
	if !ok {
		return nil, false
	}
	r, ok := x.operand(re)
	if !ok {
		return nil, false
	}
	switch {
	case r.con != nil && r.con.list && l.con != nil:
		return x.foldAmong(e, l.con, r.con)
	case r.con != nil && r.con.list:
		return x.fieldAmong(e, l, r)
	case r.caller != nil:
		return x.amongCaller(e, l, r)
	case r.con == nil && r.typ.List && l.caller != nil:
		element := r.typ
		element.List = false
		return &query.Compare{Left: r.op, Op: query.Contains, Right: &query.Literal{Text: x.hole(l, element, useElement)}}, true
	case r.con == nil && r.typ.List && l.con != nil:
		element := operand{typ: r.typ, at: r.at, source: r.source}
		element.typ.List = false
		text, ok := x.literalText(l, element)
		if !ok {
			return nil, false
		}
		elements := appendJSONText([]byte{'['}, element.typ, text)
		return &query.Compare{Left: r.op, Op: query.Contains, Right: &query.Literal{Text: string(append(elements, ']'))}}, true
	case r.con == nil && r.typ.List:
		x.report(e.ID(), "a constant can be looked for in a list field", "cannot look for %s in %s", l.name(), r.name())
	default:
		x.report(e.ID(), "write x in ['a', 'b'], or 'a' in row.list", "the right side of in must be a list")
	}
	return nil, false
}

func (x *expression) fieldAmong(e ast.Expr, l, r operand) (query.Expr, bool) {
	if len(r.con.items) == 0 {
		return &query.Const{Value: false}, true
	}
	if l.typ.List {
		x.report(e.ID(), "compare single values", "%s is a list", l.name())
		return nil, false
	}
	list := &query.List{}
	for _, item := range r.con.items {
		text, ok := x.literalText(operand{con: item, at: r.at}, l)
		if !ok {
			return nil, false
		}
		list.Texts = append(list.Texts, text)
	}
	return &query.Compare{Left: l.op, Op: query.In, Right: list}, true
}

// amongCaller compiles `row.field in auth.roles`.
func (x *expression) amongCaller(e ast.Expr, l, r operand) (query.Expr, bool) {
	if l.typ.List {
		x.report(e.ID(), "compare single values", "%s is a list", l.name())
		return nil, false
	}
	beside := r
	if t := r.callerType; t.Kind() == types.ListKind || t.Kind() == types.MapKind {
		beside.callerType = t.Parameters()[0]
	}
	if !x.besideCaller(beside, l) {
		return nil, false
	}
	return &query.Compare{Left: l.op, Op: query.In, Right: &query.List{Texts: []string{x.hole(r, l.typ, useList)}}}, true
}

// oneOf compiles `x in [a, b]` where a or b is of the row.
func (x *expression) oneOf(e, le ast.Expr, elements []ast.Expr) (query.Expr, bool) {
	var any []query.Expr
	for _, a := range elements {
		if x.about(le)&aboutRow == 0 && x.about(a)&aboutRow == 0 {
			x.report(a.ID(), "write "+x.written(le)+" == "+x.written(a)+" || ...", "neither side of this comparison is of the row")
			return nil, false
		}
		if isNull(a) {
			x.report(a.ID(), "test for null with || x == null", "a list cannot hold null")
			return nil, false
		}
		c, ok := x.compare(e, query.Eq, le, a)
		if !ok {
			return nil, false
		}
		any = append(any, c)
	}
	return or(any...), true
}

// textTest compiles startsWith, endsWith and contains.
func (x *expression) textTest(e ast.Expr, call ast.CallExpr) (query.Expr, bool) {
	name := call.FunctionName()
	if !call.IsMemberFunction() || len(call.Args()) != 1 {
		return nil, x.refuse(e)
	}
	l, okl := x.operand(call.Target())
	r, okr := x.operand(call.Args()[0])
	if !okl || !okr {
		return nil, false
	}
	if l.con != nil && r.con != nil {
		switch name {
		case "startsWith":
			return &query.Const{Value: strings.HasPrefix(l.con.text, r.con.text)}, true
		case "endsWith":
			return &query.Const{Value: strings.HasSuffix(l.con.text, r.con.text)}, true
		}
		return &query.Const{Value: strings.Contains(l.con.text, r.con.text)}, true
	}
	var args []query.Operand
	for _, o := range []operand{l, r} {
		if o.fixed() {
			literal, ok := x.literal(o, operand{typ: value.Type{Kind: value.Text}, source: name + "()"})
			if !ok {
				return nil, false
			}
			args = append(args, literal)
			continue
		}
		if !x.isText(e, name, o) {
			return nil, false
		}
		args = append(args, o.op)
	}
	fn := query.HasSubstring
	switch name {
	case "startsWith":
		fn = query.StartsWith
	case "endsWith":
		fn = query.EndsWith
	}
	return &query.Compare{
		Left: &query.Call{Func: fn, Args: args}, Op: query.Eq, Right: &query.Literal{Text: "true"},
	}, true
}

func (x *expression) isText(e ast.Expr, function string, o operand) bool {
	if class(o.typ) == value.Text && !o.typ.List {
		return true
	}
	x.report(e.ID(), function+"() works on text, enum and file", "%s is %s, no text", o.name(), describe(o.typ))
	return false
}

func (x *expression) matches(e ast.Expr, call ast.CallExpr) (query.Expr, bool) {
	operands := call.Args()
	if call.IsMemberFunction() {
		operands = append([]ast.Expr{call.Target()}, operands...)
	}
	l, okl := x.operand(operands[0])
	r, okr := x.operand(operands[1])
	if !okl || !okr {
		return nil, false
	}
	if r.con == nil {
		x.report(e.ID(), "", "the pattern of matches() must be a constant")
		return nil, false
	}
	compiled, err := value.CompileRegexp(r.con.text, false)
	if err != nil {
		x.reportFault(operands[1].ID(), err)
		return nil, false
	}
	if l.con != nil {
		return &query.Const{Value: compiled.MatchString(l.con.text)}, true
	}
	if !x.isText(e, "matches", l) {
		return nil, false
	}
	return &query.Compare{Left: l.op, Op: query.Match, Right: &query.Literal{Text: r.con.text}}, true
}

// and, or and not fold constants: in Kleene's logic false && unknown is false
// and true || unknown is true, so no answer changes.

func and(args ...query.Expr) query.Expr { return join(args, false) }

func or(args ...query.Expr) query.Expr { return join(args, true) }

// join is Or with dominant true, And with dominant false.
func join(args []query.Expr, dominant bool) query.Expr {
	var out []query.Expr
	for _, a := range args {
		switch a := a.(type) {
		case *query.Const:
			if a.Value == dominant {
				return a
			}
		case *query.Or:
			if dominant {
				out = append(out, a.Args...)
			} else {
				out = append(out, a)
			}
		case *query.And:
			if dominant {
				out = append(out, a)
			} else {
				out = append(out, a.Args...)
			}
		default:
			out = append(out, a)
		}
	}
	switch len(out) {
	case 0:
		return &query.Const{Value: !dominant}
	case 1:
		return out[0]
	}
	if dominant {
		return &query.Or{Args: out}
	}
	return &query.And{Args: out}
}

func not(a query.Expr) query.Expr {
	switch a := a.(type) {
	case nil:
		return nil
	case *query.Const:
		return &query.Const{Value: !a.Value}
	case *query.Not:
		return a.Arg
	}
	return &query.Not{Arg: a}
}

// refuse reports a construct that both stores cannot answer alike, with what
// to use in its place. It is false, for the caller to return.
func (x *expression) refuse(e ast.Expr) bool {
	name, hint := "this", ""
	switch e.Kind() {
	case ast.CallKind:
		name, hint = refusedCall(e.AsCall().FunctionName())
	case ast.ComprehensionKind:
		name, hint = "a macro over a list", "use in, or size()"
		if x.rule != nil {
			hint = "exists() and all() work over relations; look for one element with in"
		}
		if macro, ok := x.ast.SourceInfo().GetMacroCall(e.ID()); ok && macro.Kind() == ast.CallKind {
			name = macro.AsCall().FunctionName() + "()"
		}
	case ast.MapKind:
		name, hint = "a map", "compare single fields"
	case ast.StructKind:
		name, hint = "an object", "compare single fields"
	case ast.ListKind:
		name, hint = "a list", "use it with in"
	case ast.SelectKind:
		name, hint = "has()", "compare the field with null"
	case ast.LiteralKind, ast.IdentKind, ast.UnspecifiedExprKind:
	}
	x.report(e.ID(), hint, "%s is not available in %s", name, x.scope.what)
	return false
}

func refusedCall(function string) (name, hint string) {
	name = operatorName(function)
	switch function {
	case operators.Divide:
		hint = "multiply the other side instead"
	case operators.Modulo:
		hint = "there is no remainder that all stores compute alike"
	case operators.Index:
		hint = "use in to look for an element"
	case operators.Conditional:
		hint = "a ? b : c works between conditions"
	case operators.Add:
		hint = "+ adds numbers of one type"
	case "duration":
		name, hint = "duration()", "compare timestamps with each other or with timestamp(\"...\")"
	case "int", "uint", "double", "string", "bool", "bytes", "type", "dyn":
		name, hint = name+"()", "compare values of one type"
	default:
		if isWord([]rune(name)[0]) {
			name += "()"
			if strings.HasPrefix(function, "get") {
				hint = "compare timestamps with each other or with timestamp(\"...\")"
			}
		}
	}
	return name, hint
}
