package policy

import (
	"slices"
	"strconv"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/value"
)

// termCost bounds a term that loops, in CEL's cost units (an operator is one).
// One beyond it is unknown.
const termCost = 10_000

// What a part of an expression is about.
const (
	aboutRow = 1 << iota
	aboutCaller
	loops
)

// about tells what e names. The checked types tell a relation's row from other
// variables, so it works on checked expressions only.
func (x *expression) about(e ast.Expr) int {
	if known, ok := x.abouts[e.ID()]; ok {
		return known
	}
	what := 0
	switch e.Kind() {
	case ast.IdentKind:
		switch t := x.ast.GetType(e.ID()); {
		case e.AsIdent() == varNow:
			what = aboutCaller
		case t.Kind() != types.StructKind:
		case x.schema.entityOf(t.TypeName()) != nil:
			what = aboutRow
		default:
			what = aboutCaller
		}
	case ast.ComprehensionKind:
		what = loops
	default:
	}
	x.children(e, func(part ast.Expr) { what |= x.about(part) })
	x.abouts[e.ID()] = what
	return what
}

// ofCaller reports whether e is a term about the caller: it names no row. A
// constant is one too where only CEL can compute it.
func (x *expression) ofCaller(e ast.Expr) bool { return x.rule != nil && x.about(e)&aboutRow == 0 }

// callerCondition makes a condition of the caller alone a term of the rule.
func (x *expression) callerCondition(e ast.Expr) (query.Expr, bool) {
	if x.about(e)&aboutCaller == 0 {
		out, ok := x.compute(e)
		if !ok {
			return nil, false
		}
		b, isBool := out.(types.Bool)
		if !isBool {
			x.report(e.ID(), "", "%s is no condition", x.written(e))
		}
		return &query.Const{Value: bool(b)}, isBool
	}
	source := x.written(e)
	if at := x.term(source); at >= 0 {
		return x.placeholder(at), true
	}
	fn, ok := x.truth(e)
	if !ok {
		return nil, false
	}
	x.rule.truths = append(x.rule.truths, truthTerm{source: source, eval: fn, parts: x.parts(e)})
	return x.placeholder(len(x.rule.truths) - 1), true
}

// parts are the conditions that a condition of the caller joins, which was
// compiled before; none when it joins none.
func (x *expression) parts(e ast.Expr) []truthTerm {
	if e.Kind() != ast.CallKind {
		return nil
	}
	call := e.AsCall()
	switch call.FunctionName() {
	case operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot:
	default:
		return nil
	}
	var out []truthTerm
	for _, a := range call.Args() {
		if within := x.parts(a); within != nil {
			out = append(out, within...)
		} else if fn := x.joined[a.ID()]; fn != nil {
			out = append(out, truthTerm{source: x.written(a), eval: fn})
		}
	}
	return out
}

// join remembers what && || and ! join, for explanations.
func (x *expression) join(e ast.Expr) (truthFunc, bool) {
	fn, ok := x.truth(e)
	if x.joined == nil {
		x.joined = map[int64]truthFunc{}
	}
	x.joined[e.ID()] = fn
	return fn, ok
}

// unknown is true where a term of the caller is unknown, and else false. The
// term is one of the rule's already.
func (x *expression) unknown(e ast.Expr) query.Expr {
	source := x.written(e)
	eval := x.rule.truths[x.term(source)].eval
	x.rule.truths = append(x.rule.truths, truthTerm{source: "unknown(" + source + ")", eval: func(s *subject) Truth {
		return truth(eval(s) == Unknown)
	}})
	return x.placeholder(len(x.rule.truths) - 1)
}

// term is the index of a condition of the caller, or -1.
func (x *expression) term(source string) int {
	return slices.IndexFunc(x.rule.truths, func(t truthTerm) bool { return t.source == source })
}

func (x *expression) placeholder(at int) query.Expr {
	placeholder := &query.Compare{}
	x.rule.conds[placeholder] = at
	return placeholder
}

// callerOperand is a value of the caller beside something of the row.
func (x *expression) callerOperand(e ast.Expr) (operand, bool) {
	source := x.written(e)
	if x.about(e)&aboutCaller == 0 {
		out, ok := x.compute(e)
		if !ok {
			return operand{}, false
		}
		c, ok := constantOf(out)
		if !ok {
			x.report(e.ID(), "", "%s cannot be compared with something of the row", source)
			return operand{}, false
		}
		return operand{con: c, at: e.ID(), source: source}, true
	}
	fn, ok := x.value(e)
	return operand{caller: fn, callerType: x.ast.GetType(e.ID()), at: e.ID(), source: source}, ok
}

// compute computes a constant, when the rule is loaded.
func (x *expression) compute(e ast.Expr) (ref.Val, bool) {
	p, ok := x.program(e)
	if !ok {
		return nil, false
	}
	out, _, err := p.Eval(map[string]any{})
	if err != nil {
		x.report(e.ID(), "", "%s has no value: %v", x.written(e), err)
		return nil, false
	}
	return out, true
}

// constantOf is a computed value as a constant.
func constantOf(v ref.Val) (*constant, bool) {
	switch v := v.(type) {
	case types.Int:
		return intConstant(int64(v)), true
	case types.Double:
		return &constant{kind: value.Float, text: strconv.FormatFloat(float64(v), 'g', -1, 64)}, true
	case decimal:
		return &constant{kind: value.Decimal, text: v.text()}, true
	case types.String:
		t, err := value.Type{Kind: value.Text}.FromText(string(v))
		return &constant{kind: value.Text, text: t.Str}, err == nil
	case types.Bool:
		return &constant{kind: value.Bool, text: strconv.FormatBool(bool(v))}, true
	case types.Bytes:
		return &constant{kind: value.Bytes, text: string(v)}, true
	case types.Timestamp:
		at, ok := given{val: v}.convert(value.Type{Kind: value.Timestamp})
		return &constant{kind: value.Timestamp, text: at.Str}, ok
	case traits.Lister:
		c := &constant{list: true}
		for it := v.Iterator(); it.HasNext() == types.True; {
			item, ok := constantOf(it.Next())
			if !ok || item.list || len(c.items) == maxListTexts {
				return nil, false
			}
			c.items = append(c.items, item)
		}
		return c, true
	}
	return nil, false
}

// program compiles a part of the expression for CEL.
func (x *expression) program(e ast.Expr) (cel.Program, bool) {
	if !x.patterns(e) {
		return nil, false
	}
	options := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize)}
	if x.about(e)&loops != 0 {
		options = append(options, cel.CostLimit(termCost))
	}
	part := ast.NewCheckedAST(ast.NewAST(e, x.ast.SourceInfo()), x.ast.TypeMap(), x.ast.ReferenceMap())
	p, err := x.env.PlanProgram(part, options...)
	if err != nil {
		x.report(e.ID(), "", "%s cannot be computed: %v", x.written(e), err)
		return nil, false
	}
	return p, true
}

// patterns refuses patterns that are not constant: one of the caller's would
// be compiled at each request.
func (x *expression) patterns(e ast.Expr) bool {
	ok := true
	if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == "matches" {
		args := e.AsCall().Args()
		pattern := args[len(args)-1]
		text, constant := pattern.AsLiteral().(types.String)
		if !constant {
			x.report(e.ID(), "", "the pattern of matches() must be a constant")
			ok = false
		} else if _, err := value.CompileRegexp(string(text), false); err != nil {
			x.reportFault(pattern.ID(), err)
			ok = false
		}
	}
	x.children(e, func(part ast.Expr) { ok = x.patterns(part) && ok })
	return ok
}

// truth compiles a condition about the caller. The usual ones need no CEL.
func (x *expression) truth(e ast.Expr) (truthFunc, bool) {
	switch e.Kind() {
	case ast.LiteralKind:
		if b, ok := e.AsLiteral().(types.Bool); ok {
			return func(*subject) Truth { return truth(bool(b)) }, true
		}
	case ast.SelectKind:
		if isMember(e, "service") {
			return func(s *subject) Truth { return truth(s.id.Role == Service) }, true
		}
	case ast.CallKind:
		if fn, ok, done := x.truthCall(e.AsCall()); done {
			return fn, ok
		}
	default:
	}
	p, ok := x.program(e)
	return func(s *subject) Truth {
		out, ok := s.run(p)
		if b, isBool := out.(types.Bool); ok && isBool {
			return truth(bool(b))
		}
		return Unknown
	}, ok
}

// truthCall compiles what needs no CEL; done is false for anything else.
func (x *expression) truthCall(call ast.CallExpr) (fn truthFunc, ok, done bool) {
	args := call.Args()
	switch name := call.FunctionName(); name {
	case operators.LogicalAnd, operators.LogicalOr:
		l, okl := x.join(args[0])
		r, okr := x.join(args[1])
		decisive := False
		if name == operators.LogicalOr {
			decisive = True
		}
		return func(s *subject) Truth {
			a := l(s)
			if a == decisive {
				return a
			}
			if b := r(s); a == Unknown && b != decisive {
				return Unknown
			} else {
				return b
			}
		}, okl && okr, true
	case operators.LogicalNot:
		a, ok := x.join(args[0])
		return func(s *subject) Truth { return a(s).Not() }, ok, true
	case fnIsNull, fnIsNotNull:
		if text := memberText(args[0]); text != nil {
			null := name == fnIsNull
			return func(s *subject) Truth { return truth((text(s.id) == "") == null) }, true, true
		}
	case fnEqual, fnUnequal:
		text, word := memberText(args[0]), args[1]
		if text == nil {
			text, word = memberText(args[1]), args[0]
		}
		if w, isText := word.AsLiteral().(types.String); text != nil && isText {
			equal := name == fnEqual
			return func(s *subject) Truth {
				t := text(s.id)
				if t == "" {
					return Unknown
				}
				return truth((t == string(w)) == equal)
			}, true, true
		}
	case fnAmong:
		if w, isText := args[0].AsLiteral().(types.String); isText && isMember(args[1], "roles") {
			return func(s *subject) Truth { return truth(s.id.HasRole(string(w))) }, true, true
		}
	}
	return nil, false, false
}

// value compiles a value of the caller.
func (x *expression) value(e ast.Expr) (valueFunc, bool) {
	if text := memberText(e); text != nil {
		return func(s *subject) (given, bool) {
			t := text(s.id)
			return given{text: t}, t != ""
		}, true
	}
	if isMember(e, "roles") {
		return roleList, true
	}
	if e.Kind() == ast.IdentKind && e.AsIdent() == varNow {
		return func(s *subject) (given, bool) {
			now, ok := s.now()
			if !ok {
				return given{}, false
			}
			at, ok := now.(ref.Val)
			return given{val: at}, ok
		}, true
	}
	if path := claimPath(e); path != nil {
		return func(s *subject) (given, bool) { return s.claim(path) }, true
	}
	p, ok := x.program(e)
	return func(s *subject) (given, bool) {
		out, ok := s.run(p)
		return given{val: out}, ok
	}, ok
}

// isMember reports whether e is auth.name.
func isMember(e ast.Expr, name string) bool {
	if e.Kind() != ast.SelectKind || e.AsSelect().IsTestOnly() || e.AsSelect().FieldName() != name {
		return false
	}
	of := e.AsSelect().Operand()
	return of.Kind() == ast.IdentKind && of.AsIdent() == varAuth
}

// memberText reads a text of the identity; empty stands for null.
func memberText(e ast.Expr) func(*Identity) string {
	switch {
	case isMember(e, "uid"):
		return func(id *Identity) string { return id.UID }
	case isMember(e, "role"):
		return func(id *Identity) string { return string(id.Role) }
	case isMember(e, "email"):
		return func(id *Identity) string { return id.Email }
	case isMember(e, "aal"):
		return func(id *Identity) string { return id.AAL }
	case isMember(e, "session"):
		return func(id *Identity) string { return id.Session }
	}
	return nil
}

// claimPath is the names of auth.claims.a.b, or nil.
func claimPath(e ast.Expr) []string {
	if isMember(e, "claims") {
		return []string{}
	}
	if e.Kind() != ast.SelectKind || e.AsSelect().IsTestOnly() {
		return nil
	}
	path := claimPath(e.AsSelect().Operand())
	if path == nil {
		return nil
	}
	return append(path, e.AsSelect().FieldName())
}

// literal is o as an operand beside another one: a constant as its text, a
// value of the caller as a hole.
func (x *expression) literal(o, beside operand) (*query.Literal, bool) {
	if o.caller == nil {
		text, ok := x.literalText(o, beside)
		return &query.Literal{Text: text}, ok
	}
	if !x.besideCaller(o, beside) {
		return nil, false
	}
	return &query.Literal{Text: x.hole(o, beside.typ, useSingle)}, true
}

// besideCaller reports what no value of the caller can be compared with. CEL
// has checked the types as far as it knows them.
func (x *expression) besideCaller(o, beside operand) bool {
	if beside.typ.Kind == value.JSON && !beside.typ.List {
		x.report(o.at, "name a part of it, as in "+beside.source+".key", "a json value can only be compared with null")
		return false
	}
	if t := o.callerType; beside.json && t.Kind() != types.DynKind && t.Kind() != types.StringKind {
		x.report(o.at, "compare it with a text or with null", "%s is part of a json value, which is compared as text", beside.name())
		return false
	}
	return true
}

// hole adds a value of the caller to the rule's, as one of type t.
func (x *expression) hole(o operand, t value.Type, use valueUse) string {
	same := func(v valueTerm) bool {
		return v.source == o.source && v.use == use && v.typ.Kind == t.Kind && v.typ.List == t.List && v.typ.Scale == t.Scale &&
			slices.Equal(v.typ.Values, t.Values)
	}
	at := slices.IndexFunc(x.rule.values, same)
	if at < 0 {
		at = len(x.rule.values)
		x.rule.values = append(x.rule.values, valueTerm{source: o.source, typ: t, use: use, eval: o.caller})
	}
	return hole + strconv.Itoa(at)
}
