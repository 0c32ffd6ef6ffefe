package policy

import (
	"encoding/json"
	"math"
	"math/big"
	"math/bits"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/value"
)

// comparer is the test that an operator makes of two values that are not null.
func comparer(op query.Op, x, y value.Type) (func(a, b value.Value) (bool, error), error) {
	if x.List != y.List || class(x) != class(y) {
		return nil, fault.New(fault.UndefinedFunction, "operator does not exist between %s and %s", x, y)
	}
	switch op {
	case query.Contains:
		return containment(x), nil
	case query.ContainedBy:
		test := containment(x)
		return func(a, b value.Value) (bool, error) { return test(b, a) }, nil
	case query.Overlaps:
		return func(a, b value.Value) (bool, error) {
			return compareLists(x, a, b, func(l, r []value.Value) bool {
				return slices.ContainsFunc(l, func(v value.Value) bool { return slices.Contains(r, v) })
			})
		}, nil
	case query.IsDistinct:
		op = query.Neq
	case query.Eq, query.Neq, query.Gt, query.Gte, query.Lt, query.Lte, query.Like, query.ILike, query.Match, query.IMatch,
		query.Is, query.In, query.FTS, query.PlainFTS, query.PhraseFTS, query.WebFTS:
	}
	if x.Kind == value.Decimal && !x.List && x.Scale != y.Scale {
		return func(a, b value.Value) (bool, error) {
			l, r := align(decimal{big.NewInt(a.Int), x.Scale}, decimal{big.NewInt(b.Int), y.Scale})
			return holds(op, l.n.Cmp(r.n)), nil
		}, nil
	}
	if x.Kind == value.JSON && !x.List {
		return func(a, b value.Value) (bool, error) {
			same, err := equalJSON(a.Str, b.Str)
			return same == (op == query.Eq), err
		}, nil
	}
	return func(a, b value.Value) (bool, error) { return holds(op, value.Compare(a, b)), nil }, nil
}

// containment is @>: of lists as sets, of json as jsonb has it.
func containment(t value.Type) func(a, b value.Value) (bool, error) {
	if t.List {
		return func(a, b value.Value) (bool, error) {
			return compareLists(t, a, b, func(l, r []value.Value) bool {
				return !slices.ContainsFunc(r, func(v value.Value) bool { return !slices.Contains(l, v) })
			})
		}
	}
	return func(a, b value.Value) (bool, error) {
		l, err := decodeJSON(a.Str)
		if err != nil {
			return false, err
		}
		r, err := decodeJSON(b.Str)
		if err != nil {
			return false, err
		}
		if elements, ok := l.([]any); ok && !isContainer(r) { // jsonb: an array contains its scalars
			return slices.ContainsFunc(elements, func(v any) bool { return sameScalar(v, r) }), nil
		}
		return containsJSON(l, r), nil
	}
}

func compareLists(t value.Type, a, b value.Value, test func(l, r []value.Value) bool) (bool, error) {
	l, err := listValues(t, a)
	if err != nil {
		return false, err
	}
	r, err := listValues(t, b)
	if err != nil {
		return false, err
	}
	return test(l, r), nil
}

func isContainer(v any) bool {
	switch v.(type) {
	case []any, map[string]any:
		return true
	}
	return false
}

// containsJSON is jsonb's containment: every member of r is in l, whatever
// else l has, order and repetition of elements aside.
func containsJSON(l, r any) bool {
	switch r := r.(type) {
	case map[string]any:
		lm, ok := l.(map[string]any)
		if !ok {
			return false
		}
		for k, v := range r {
			if have, ok := lm[k]; !ok || !containsJSON(have, v) {
				return false
			}
		}
		return true
	case []any:
		la, ok := l.([]any)
		if !ok {
			return false
		}
		return !slices.ContainsFunc(r, func(v any) bool {
			return !slices.ContainsFunc(la, func(have any) bool { return containsJSON(have, v) })
		})
	}
	return !isContainer(l) && sameScalar(l, r)
}

// sameScalar compares numbers by value: 1.0 is 1. Canonical JSON has no
// exponents.
func sameScalar(l, r any) bool {
	if n, ok := l.(json.Number); ok {
		m, ok := r.(json.Number)
		return ok && plainNumber(n) == plainNumber(m)
	}
	return !isContainer(l) && !isContainer(r) && l == r
}

func plainNumber(n json.Number) string {
	s := n.String()
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

func equalJSON(a, b string) (bool, error) {
	if a == b {
		return true, nil
	}
	l, err := decodeJSON(a)
	if err != nil {
		return false, err
	}
	r, err := decodeJSON(b)
	return err == nil && sameJSON(l, r), err
}

func sameJSON(l, r any) bool {
	switch l := l.(type) {
	case map[string]any:
		rm, ok := r.(map[string]any)
		if !ok || len(l) != len(rm) {
			return false
		}
		for k, v := range l {
			if other, ok := rm[k]; !ok || !sameJSON(v, other) {
				return false
			}
		}
		return true
	case []any:
		ra, ok := r.([]any)
		return ok && slices.EqualFunc(l, ra, sameJSON)
	}
	return sameScalar(l, r)
}

// jsonSide goes into a json field: -> gives json, ->> text, and nothing there
// gives null.
func jsonSide(f *model.Field, steps []query.Step) (side, error) {
	if f.Type.Kind != value.JSON || f.Type.List {
		return side{}, noOperator(f.Type, "->")
	}
	t := value.Type{Kind: value.JSON}
	last := steps[len(steps)-1]
	if last.Text {
		t = value.Type{Kind: value.Text}
	}
	return side{typ: t, get: func(r input) (value.Value, error) {
		v := r.row.Value(f)
		if v.IsNull() {
			return value.Null(), nil
		}
		raw := json.RawMessage(v.Str)
		for _, s := range steps {
			if raw = jsonStep(raw, s); raw == nil {
				return value.Null(), nil
			}
		}
		if !last.Text {
			return value.OfText(string(raw)), nil
		}
		switch raw[0] {
		case 'n':
			return value.Null(), nil
		case '"':
			return value.Type{Kind: value.Text}.FromJSON(string(raw))
		}
		return value.OfText(string(raw)), nil
	}}, nil
}

// jsonStep is nil where there is no such member.
func jsonStep(raw json.RawMessage, s query.Step) json.RawMessage {
	if s.ByKey {
		var object map[string]json.RawMessage
		if raw[0] != '{' || json.Unmarshal(raw, &object) != nil {
			return nil
		}
		return object[s.Key]
	}
	var array []json.RawMessage
	if raw[0] != '[' || json.Unmarshal(raw, &array) != nil {
		return nil
	}
	i := s.Index
	if i < 0 {
		i += int64(len(array))
	}
	if i < 0 || i >= int64(len(array)) {
		return nil
	}
	return array[i]
}

// call computes a function. Null in, null out.
func (m *matching) call(c *query.Call) (side, error) {
	args := make([]side, len(c.Args))
	var typ value.Type
	for i, a := range c.Args {
		s, err := m.operand(a)
		if err != nil {
			return side{}, err
		}
		if s.literal == nil && typ.Kind == value.Invalid {
			typ = s.typ
		}
		args[i] = s
	}
	out, want := typ, 2
	switch c.Func {
	case query.StartsWith, query.EndsWith, query.HasSubstring:
		typ, out = value.Type{Kind: value.Text}, value.Type{Kind: value.Bool}
	case query.Length:
		out, want = value.Type{Kind: value.Int}, 1
	case query.Neg:
		want = 1
	case query.Mul:
		if typ.Kind == value.Decimal {
			out.Scale *= 2
		}
	case query.Add, query.Sub:
	}
	if len(args) != want || typ.Kind == value.Invalid {
		return side{}, fault.New(fault.UndefinedFunction, "a function has the wrong arguments")
	}
	for i := range args {
		s, err := args[i].typed(typ)
		if err != nil {
			return side{}, err
		}
		if class(s.typ) != class(typ) || s.typ.List != typ.List || s.typ.Scale != typ.Scale {
			return side{}, fault.New(fault.UndefinedFunction, "a function has arguments of several types")
		}
		args[i] = s
	}
	fn, err := function(c.Func, typ)
	if err != nil {
		return side{}, err
	}
	return side{typ: out, get: func(r input) (value.Value, error) {
		var vs [2]value.Value
		for i, a := range args {
			v, err := a.get(r)
			if err != nil || v.IsNull() {
				return value.Null(), err
			}
			vs[i] = v
		}
		v, err := fn(vs[0], vs[1])
		if c.Lenient && fault.Is(err, fault.NumericOutOfRange) {
			return value.Null(), nil
		}
		return v, err
	}}, nil
}

// function is a function of values of type t that are not null.
func function(f query.Func, t value.Type) (func(a, b value.Value) (value.Value, error), error) {
	switch f {
	case query.Length:
		return length(t)
	case query.StartsWith:
		return onTexts(strings.HasPrefix), nil
	case query.EndsWith:
		return onTexts(strings.HasSuffix), nil
	case query.HasSubstring:
		return onTexts(strings.Contains), nil
	case query.Add, query.Sub, query.Mul, query.Neg:
	}
	switch {
	case t.List:
	case t.Kind == value.Int:
		return func(a, b value.Value) (value.Value, error) { return integers(f, a.Int, b.Int) }, nil
	case t.Kind == value.Decimal:
		return func(a, b value.Value) (value.Value, error) {
			v, err := integers(f, a.Int, b.Int)
			if err == nil && !value.InDecimalRange(v.Int) {
				return value.Null(), outOfRange(t)
			}
			return v, err
		}, nil
	case t.Kind == value.Float:
		return func(a, b value.Value) (value.Value, error) { return floats(f, a.Float, b.Float) }, nil
	}
	return nil, noOperator(t, "+")
}

func onTexts(test func(a, b string) bool) func(a, b value.Value) (value.Value, error) {
	return func(a, b value.Value) (value.Value, error) { return value.OfBool(test(a.Str, b.Str)), nil }
}

// length counts characters of a text, bytes of bytes, elements of a list.
func length(t value.Type) (func(a, b value.Value) (value.Value, error), error) {
	switch {
	case t.List:
		return func(a, _ value.Value) (value.Value, error) {
			var elements []json.RawMessage
			err := json.Unmarshal([]byte(a.Str), &elements)
			return value.OfInt(int64(len(elements))), err
		}, nil
	case t.Kind == value.Bytes:
		return func(a, _ value.Value) (value.Value, error) { return value.OfInt(int64(len(a.Str))), nil }, nil
	case class(t) == value.Text:
		return func(a, _ value.Value) (value.Value, error) {
			return value.OfInt(int64(utf8.RuneCountInString(a.Str))), nil
		}, nil
	}
	return nil, fault.New(fault.UndefinedFunction, "function length(%s) does not exist", t)
}

func outOfRange(t value.Type) error {
	return fault.New(fault.NumericOutOfRange, "%s out of range", t)
}

// integers computes in 64 bits, or fails as PostgreSQL does.
func integers(f query.Func, a, b int64) (value.Value, error) {
	var n int64
	ok := true
	switch f {
	case query.Add:
		n = a + b
		ok = (n > a) == (b > 0)
	case query.Sub:
		n = a - b
		ok = (n < a) == (b > 0)
	case query.Neg:
		n = -a
		ok = a != math.MinInt64
	case query.Mul:
		n, ok = multiply(a, b)
	case query.Length, query.StartsWith, query.EndsWith, query.HasSubstring:
		ok = false
	}
	if !ok {
		return value.Null(), outOfRange(value.Type{Kind: value.Int})
	}
	return value.OfInt(n), nil
}

func multiply(a, b int64) (int64, bool) {
	hi, lo := bits.Mul64(magnitude(a), magnitude(b))
	negative := (a < 0) != (b < 0)
	switch {
	case hi != 0:
		return 0, false
	case negative && lo <= 1<<63:
		return -int64(lo), true //nolint:gosec // 1<<63 wraps to MinInt64, whose negation is itself
	case !negative && lo <= math.MaxInt64:
		return int64(lo), true
	}
	return 0, false
}

func magnitude(a int64) uint64 {
	if a < 0 {
		return -uint64(a) //nolint:gosec // two's complement
	}
	return uint64(a)
}

// floats fails where the result is not finite.
func floats(f query.Func, a, b float64) (value.Value, error) {
	var n float64
	switch f {
	case query.Add:
		n = a + b
	case query.Sub:
		n = a - b
	case query.Neg:
		n = -a
	case query.Mul:
		n = a * b
	case query.Length, query.StartsWith, query.EndsWith, query.HasSubstring:
	}
	if math.IsInf(n, 0) {
		return value.Null(), outOfRange(value.Type{Kind: value.Float})
	}
	return value.OfFloat(n), nil
}
