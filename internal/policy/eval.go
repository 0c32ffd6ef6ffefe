package policy

import (
	"slices"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/value"
)

// Truth is an answer in SQL's three-valued logic. The zero value is Unknown.
type Truth int8

// The answers, in Kleene's order: and is the least, or the greatest.
const (
	False   Truth = -1
	Unknown Truth = 0
	True    Truth = 1
)

// Not keeps Unknown.
func (t Truth) Not() Truth { return -t }

// String is "true", "false" or "unknown".
func (t Truth) String() string {
	switch t {
	case True:
		return "true"
	case False:
		return "false"
	case Unknown:
	}
	return "unknown"
}

func truth(b bool) Truth {
	if b {
		return True
	}
	return False
}

// Row is a row of values by field: null where the row has none.
type Row interface {
	Value(f *model.Field) value.Value
}

// Eval answers a condition about one row in memory, as the stores answer it
// in SQL; see [NewMatcher].
func Eval(e *model.Entity, x query.Expr, row Row) (Truth, error) {
	m, err := NewMatcher(e, x)
	if err != nil {
		return Unknown, err
	}
	return m.Match(row)
}

// Matcher is a condition made ready for rows of one entity. It is immutable
// and safe for concurrent use.
type Matcher struct{ judge judge }

type judge func(input) (Truth, error)

// NewMatcher reads the literals of a condition by the types beside them and
// compiles its patterns. A nil condition is true for every row.
//
// Faults: UndefinedField, UndefinedFunction for an operator that the type does
// not have, those of [value.Type.FromText] and of the patterns and searches,
// NotImplemented for what one row cannot answer: what leads over relations, and
// the row as it was before a write.
func NewMatcher(e *model.Entity, x query.Expr) (*Matcher, error) {
	if x == nil {
		return &Matcher{judge: func(input) (Truth, error) { return True, nil }}, nil
	}
	j, err := (&matching{entity: e}).expr(x)
	if err != nil {
		return nil, err
	}
	return &Matcher{judge: j}, nil
}

// Match answers for one row. The only fault is NumericOutOfRange, where
// arithmetic leaves its type's range, as in the stores.
func (m *Matcher) Match(row Row) (Truth, error) { return m.judge(input{row: row}) }

// input is what a condition is answered from.
type input struct {
	row    Row
	old    Row     // as it was before the write; nil: nothing asks for it
	values []bound // of the caller, where the condition is a residual with holes
}

// matching builds a matcher.
type matching struct {
	entity *model.Entity
	holes  bool // literals may be holes
	old    bool // the row as it was may be named
}

// hole is the index of the caller's value that a literal stands for.
func (m *matching) hole(text string) (int, bool) {
	if !m.holes {
		return 0, false
	}
	return holeOf(text)
}

func (m *matching) expr(x query.Expr) (judge, error) {
	switch x := x.(type) {
	case *query.And:
		return m.all(x.Args, False)
	case *query.Or:
		return m.all(x.Args, True)
	case *query.Not:
		j, err := m.expr(x.Arg)
		if err != nil {
			return nil, err
		}
		return func(r input) (Truth, error) {
			t, err := j(r)
			return t.Not(), err
		}, nil
	case *query.Const:
		t := truth(x.Value)
		return func(input) (Truth, error) { return t, nil }, nil
	case *query.Compare:
		return m.compare(x)
	case *query.Exists:
		return nil, fault.New(fault.NotImplemented, "a condition on a relation's rows cannot be answered from one row")
	}
	return nil, fault.New(fault.Internal, "an internal error occurred").WithDetails("unknown expression %T", x)
}

// all is or with decisive True, and with decisive False.
func (m *matching) all(args []query.Expr, decisive Truth) (judge, error) {
	js := make([]judge, len(args))
	for i, a := range args {
		j, err := m.expr(a)
		if err != nil {
			return nil, err
		}
		js[i] = j
	}
	return func(r input) (Truth, error) {
		out := decisive.Not()
		for _, j := range js {
			t, err := j(r)
			if err != nil {
				return Unknown, err
			}
			if t == decisive {
				return t, nil
			}
			if t == Unknown {
				out = Unknown
			}
		}
		return out, nil
	}, nil
}

// side is a typed operand.
type side struct {
	typ     value.Type
	get     func(input) (value.Value, error)
	literal *query.Literal // without a type of its own; get is nil unless it is a hole
	field   *model.Field   // the whole of a field
}

func constantSide(t value.Type, v value.Value) side {
	return side{typ: t, get: func(input) (value.Value, error) { return v, nil }}
}

// typed reads a literal by the type on its other side.
func (s side) typed(t value.Type) (side, error) {
	if s.literal == nil {
		return s, nil
	}
	t = unlimited(t)
	if s.get != nil {
		return side{typ: t, get: s.get}, nil
	}
	v, err := t.FromText(s.literal.Text)
	if err != nil {
		return side{}, err
	}
	return constantSide(t, v), nil
}

// unlimited drops the bounds that rule what is stored, not what is asked.
func unlimited(t value.Type) value.Type {
	t.Min, t.Max = nil, nil
	return t
}

func (m *matching) operand(o query.Operand) (side, error) {
	switch o := o.(type) {
	case *query.FieldRef:
		return m.field(o)
	case *query.Literal:
		if i, ok := m.hole(o.Text); ok {
			return side{literal: o, get: func(r input) (value.Value, error) { return r.values[i].v, nil }}, nil
		}
		return side{literal: o}, nil
	case *query.Call:
		return m.call(o)
	case *query.List, *query.Word:
	}
	return side{}, fault.New(fault.Parse, "this operator does not take a list")
}

func (m *matching) field(o *query.FieldRef) (side, error) {
	if len(o.Via) > 0 || o.Up > 0 || o.Old && !m.old {
		return side{}, fault.New(fault.NotImplemented, "a path over relations cannot be answered from one row")
	}
	f := fieldOf(m.entity, o.Path.Field)
	if f == nil {
		return side{}, fault.New(fault.UndefinedField, "%s has no field %s", m.entity.QualifiedName(), o.Path.Field).
			WithHint("%s", nearest(o.Path.Field, "", fieldNames(m.entity)))
	}
	if len(o.Path.Steps) > 0 {
		return jsonSide(f, o.Path.Steps)
	}
	get := func(r input) (value.Value, error) { return r.row.Value(f), nil }
	if o.Old {
		get = func(r input) (value.Value, error) { return r.old.Value(f), nil }
	}
	return side{typ: unlimited(f.Type), field: f, get: get}, nil
}

// compare answers one comparison.
func (m *matching) compare(c *query.Compare) (judge, error) {
	left, err := m.operand(c.Left)
	if err != nil {
		return nil, err
	}
	switch right := c.Right.(type) {
	case *query.Word:
		return is(left, c.Op, right.Word)
	case *query.List:
		if len(right.Texts) == 1 {
			if i, ok := m.hole(right.Texts[0]); ok {
				return amongValues(left, i)
			}
		}
		return list(left, c, right)
	case *query.Literal:
		if i, ok := m.hole(right.Text); ok && c.Op == query.Contains {
			return hasElement(left, i), nil
		}
	case *query.FieldRef, *query.Call:
	}
	right, err := m.operand(c.Right)
	if err != nil {
		return nil, err
	}
	switch {
	case c.Op == query.In || c.Op == query.Is || c.Quant != query.NoQuant:
		return nil, fault.New(fault.Parse, "this operator needs a list or a word")
	case left.literal != nil && right.literal != nil:
		left, err = left.typed(value.Type{Kind: value.Text})
	case left.literal != nil:
		left, err = left.typed(right.typ)
	}
	if err != nil {
		return nil, err
	}
	return operator(c.Op, left, right)
}

// is answers null, not_null, true, false and unknown, which is never unknown.
func is(x side, op query.Op, word string) (judge, error) {
	if op != query.Is {
		return nil, fault.New(fault.Parse, "only 'is' takes the word %s", word)
	}
	if x.literal != nil {
		return nil, fault.New(fault.Parse, "'is' needs a field on its left side")
	}
	var test func(value.Value) bool
	switch word {
	case "null":
		test = value.Value.IsNull
	case "not_null":
		test = func(v value.Value) bool { return !v.IsNull() }
	case "true":
		test = func(v value.Value) bool { return !v.IsNull() && v.Int != 0 }
	case "false":
		test = func(v value.Value) bool { return !v.IsNull() && v.Int == 0 }
	case "unknown":
		test = value.Value.IsNull
	default:
		return nil, fault.New(fault.Parse, "'%s' is not a word of the 'is' operator", word).
			WithHint("the words are null, not_null, true, false, unknown")
	}
	if word != "null" && word != "not_null" && (x.typ.Kind != value.Bool || x.typ.List) {
		return nil, noOperator(x.typ, "IS "+word)
	}
	return func(r input) (Truth, error) {
		v, err := x.get(r)
		return truth(test(v)), err
	}, nil
}

// list answers in, and an operator with any or all. An empty list is false for
// any and true for all, of null too, as = ANY('{}') is in PostgreSQL.
func list(x side, c *query.Compare, l *query.List) (judge, error) {
	op, quant := c.Op, c.Quant
	if op == query.In {
		op, quant = query.Eq, query.Any
	}
	if quant == query.NoQuant || op > query.IMatch {
		return nil, fault.New(fault.Parse, "this operator does not take a list")
	}
	if x.literal != nil {
		return nil, fault.New(fault.Parse, "a list needs a field on its left side")
	}
	if err := allowed(op, x.typ); err != nil {
		return nil, err
	}
	tests := make([]judge, len(l.Texts))
	for i, text := range l.Texts {
		j, err := operator(op, x, side{literal: &query.Literal{Text: text}})
		if err != nil {
			return nil, err
		}
		tests[i] = j
	}
	decisive := True
	if quant == query.All {
		decisive = False
	}
	return func(r input) (Truth, error) {
		out := decisive.Not()
		for _, j := range tests {
			t, err := j(r)
			if err != nil || t == decisive {
				return t, err
			}
			if t == Unknown {
				out = Unknown
			}
		}
		return out, nil
	}, nil
}

// amongValues answers in with a list of the caller's.
func amongValues(x side, hole int) (judge, error) {
	same, err := comparer(query.Eq, x.typ, x.typ)
	if err != nil {
		return nil, err
	}
	return func(r input) (Truth, error) {
		v, err := x.get(r)
		if err != nil {
			return Unknown, err
		}
		list := r.values[hole].list
		if v.IsNull() && len(list) > 0 {
			return Unknown, nil
		}
		for _, e := range list {
			if ok, err := same(v, e); ok || err != nil {
				return truth(ok), err
			}
		}
		return False, nil
	}, nil
}

// hasElement looks for a value of the caller in a list.
func hasElement(x side, hole int) judge {
	return func(r input) (Truth, error) {
		v, err := x.get(r)
		if err != nil || v.IsNull() {
			return Unknown, err
		}
		elements, err := listValues(x.typ, v)
		return truth(slices.Contains(elements, r.values[hole].v)), err
	}
}

// operator answers a comparison of one value with one other. x is typed.
func operator(op query.Op, x, y side) (judge, error) {
	if op >= query.FTS {
		return search(op, x, y)
	}
	if err := allowed(op, x.typ); err != nil {
		return nil, err
	}
	if op >= query.Like && op <= query.IMatch {
		return pattern(op, x, y)
	}
	y, err := y.typed(x.typ)
	if err != nil {
		return nil, err
	}
	test, err := comparer(op, x.typ, y.typ)
	if err != nil {
		return nil, err
	}
	distinct := op == query.IsDistinct
	return func(r input) (Truth, error) {
		a, err := x.get(r)
		if err != nil {
			return Unknown, err
		}
		b, err := y.get(r)
		if err != nil {
			return Unknown, err
		}
		if a.IsNull() || b.IsNull() {
			if distinct {
				return truth(a.IsNull() != b.IsNull()), nil
			}
			return Unknown, nil
		}
		ok, err := test(a, b)
		return truth(ok), err
	}, nil
}

// allowed says whether a type has an operator, as PostgreSQL's types do.
func allowed(op query.Op, t value.Type) error {
	ok, name := true, ""
	switch op {
	case query.Eq, query.Neq, query.IsDistinct:
	case query.Gt, query.Gte, query.Lt, query.Lte:
		ok, name = !t.List && t.Kind != value.JSON, "<"
	case query.Like, query.ILike, query.Match, query.IMatch:
		ok, name = !t.List && class(t) == value.Text, "~"
	case query.Contains, query.ContainedBy:
		ok, name = t.List || t.Kind == value.JSON, "@>"
	case query.Overlaps:
		ok, name = t.List, "&&"
	case query.FTS, query.PlainFTS, query.PhraseFTS, query.WebFTS:
		ok, name = !t.List && class(t) == value.Text, "@@"
	case query.In, query.Is:
		ok, name = false, "this one"
	}
	if ok {
		return nil
	}
	return noOperator(t, name)
}

func noOperator(t value.Type, op string) error {
	return fault.New(fault.UndefinedFunction, "operator does not exist: %s %s", t, op)
}

// pattern answers like, ilike, match and imatch with a constant pattern.
func pattern(op query.Op, x, y side) (judge, error) {
	if y.literal == nil {
		return nil, fault.New(fault.UndefinedFunction, "a pattern must be a constant")
	}
	text, err := value.Type{Kind: value.Text}.FromText(y.literal.Text)
	if err != nil {
		return nil, err
	}
	var match func(string) bool
	if op == query.Like || op == query.ILike {
		l, err := value.CompileLike(text.Str, op == query.ILike)
		if err != nil {
			return nil, err
		}
		match = l.Match
	} else {
		re, err := value.CompileRegexp(text.Str, op == query.IMatch)
		if err != nil {
			return nil, err
		}
		match = re.MatchString
	}
	return textual(x, match), nil
}

// textual answers a test of a text; null is unknown.
func textual(x side, match func(string) bool) judge {
	return func(r input) (Truth, error) {
		v, err := x.get(r)
		if err != nil || v.IsNull() {
			return Unknown, err
		}
		return truth(match(v.Str)), nil
	}
}

// search answers full-text search, which only the entity's search fields have.
func search(op query.Op, x, y side) (judge, error) {
	if x.field == nil || y.literal == nil {
		return nil, noOperator(x.typ, "@@")
	}
	if !slices.Contains(x.field.Entity.Search, x.field) {
		return nil, fault.New(fault.NotImplemented, "'%s' has no full-text index", x.field.Name)
	}
	modes := map[query.Op]value.SearchMode{
		query.FTS: value.SearchQuery, query.PlainFTS: value.SearchPlain,
		query.PhraseFTS: value.SearchPhrase, query.WebFTS: value.SearchWeb,
	}
	s, err := value.ParseSearch(modes[op], y.literal.Text)
	if err != nil {
		return nil, err
	}
	return textual(x, func(text string) bool { return s.Match(value.Tokens(text)) }), nil
}
