package policy

import (
	"encoding/json"
	"math"
	"strconv"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"

	"github.com/pandobase/pando/internal/value"
)

// subject is the caller as the terms of a rule see it. What only some terms
// need is made when the first of them asks. It serves one goroutine.
type subject struct {
	id        *Identity
	variables map[string]any // of auth and request; nil: not made yet
}

// truthFunc answers a condition about the caller alone.
type truthFunc func(*subject) Truth

// valueFunc computes a value of the caller alone; known is false where it has
// none: null, a missing claim, a division by zero.
type valueFunc func(*subject) (v given, known bool)

// given is a value of the caller. A text stands beside, since boxing it would
// allocate at each request.
type given struct {
	text string  // when val is nil
	val  ref.Val // any other value
}

// run evaluates a program. An error of the program is no answer.
func (s *subject) run(p cel.Program) (ref.Val, bool) {
	out, _, err := p.Eval(s)
	if err != nil || out == types.NullValue || types.IsUnknownOrError(out) {
		return nil, false
	}
	return out, true
}

var _ interpreter.Activation = (*subject)(nil)

// Parent implements [interpreter.Activation].
func (*subject) Parent() interpreter.Activation { return nil }

// ResolveName implements [interpreter.Activation].
func (s *subject) ResolveName(name string) (any, bool) {
	switch name {
	case varNow:
		return s.now()
	case varAuth, varRequest:
	default:
		return nil, false
	}
	if v, ok := s.variables[name]; ok {
		return v, true
	}
	if s.variables == nil {
		s.variables = make(map[string]any, 2)
	}
	v := s.id.Request.members()
	if name == varAuth {
		v = s.id.members()
	}
	s.variables[name] = v
	return v, true
}

// now is the time of the request. There is none without a request: a rule that
// asks for it is unknown then, rather than true by a clock that nobody set.
func (s *subject) now() (any, bool) {
	if s.id.Request == nil || s.id.Request.Time.IsZero() {
		return nil, false
	}
	return types.Timestamp{Time: s.id.Request.Time.UTC()}, true
}

// orNull is a text as a variable's member: null when it is empty.
func orNull(s string) any {
	if s == "" {
		return types.NullValue
	}
	return types.String(s)
}

// members is the identity as the variable auth.
func (id *Identity) members() map[string]any {
	claims, _ := plainClaims(id.Claims).(map[string]any)
	if claims == nil {
		claims = map[string]any{}
	}
	amr, _ := claims["amr"].([]any)
	if amr == nil {
		amr = []any{}
	}
	roles := id.Roles
	if roles == nil {
		roles = []string{}
	}
	return map[string]any{
		"uid": orNull(id.UID), "role": types.String(id.Role), "service": types.Bool(id.Role == Service),
		"roles": roles, "claims": claims, "amr": amr,
		"email": orNull(id.Email), "aal": orNull(id.AAL), "session": orNull(id.Session),
	}
}

// members is the request as the variable request.
func (r *Request) members() map[string]any {
	if r == nil {
		r = &Request{}
	}
	var at any = types.NullValue
	if !r.Time.IsZero() {
		at = types.Timestamp{Time: r.Time.UTC()}
	}
	return map[string]any{
		"door": orNull(r.Door), "method": orNull(r.Method), "ip": orNull(r.IP), "version": orNull(r.Version), "time": at,
	}
}

// plainClaims is a copy of claims with numbers that CEL knows: claims are
// shared between requests.
func plainClaims(v any) any {
	switch v := v.(type) {
	case json.Number:
		return plainNumbers(v)
	case float64:
		if n := int64(v); float64(n) == v && math.Abs(v) < 1<<53 { // JSON knows one kind of number
			return n
		}
		return v
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = plainClaims(v[i])
		}
		return out
	case map[string]any:
		if v == nil {
			return nil
		}
		out := make(map[string]any, len(v))
		for k := range v {
			out[k] = plainClaims(v[k])
		}
		return out
	}
	return v
}

// claim walks into the claims; known is false where there is nothing.
func (s *subject) claim(path []string) (given, bool) {
	var at any = s.id.Claims
	for _, name := range path {
		m, ok := at.(map[string]any)
		if !ok {
			return given{}, false
		}
		if at, ok = m[name]; !ok {
			return given{}, false
		}
	}
	switch v := at.(type) {
	case nil:
		return given{}, false
	case string:
		return given{text: v}, true
	}
	val := types.DefaultTypeAdapter.NativeToValue(plainClaims(at))
	if val == types.NullValue || types.IsUnknownOrError(val) {
		return given{}, false
	}
	return given{val: val}, true
}

// convert reads a value of the caller as one of type t: false where it is none
// of that type. Numbers convert where they stay the same number.
func (g given) convert(t value.Type) (value.Value, bool) {
	if t.List {
		return g.convertList(t)
	}
	if g.val == nil {
		return convertText(t, g.text)
	}
	switch v := g.val.(type) {
	case types.String:
		return convertText(t, string(v))
	case types.Int:
		return convertInt(t, int64(v))
	case types.Uint:
		if v <= math.MaxInt64 {
			return convertInt(t, int64(v))
		}
	case types.Double:
		return convertFloat(t, float64(v))
	case decimal:
		if t.Kind == value.Decimal {
			return read(t, v.text())
		}
	case types.Bool:
		if t.Kind == value.Bool {
			return value.OfBool(bool(v)), true
		}
	case types.Bytes:
		if t.Kind == value.Bytes {
			return value.OfBytes(string(v)), true
		}
	case types.Timestamp:
		if year := v.UTC().Year(); t.Kind == value.Timestamp && year >= 1 && year <= 9999 {
			return value.OfTimestamp(v.Truncate(time.Microsecond)), true
		}
	}
	return value.Value{}, false
}

func read(t value.Type, text string) (value.Value, bool) {
	v, err := t.FromText(text)
	return v, err == nil
}

func convertText(t value.Type, s string) (value.Value, bool) {
	switch t.Kind {
	case value.Text, value.UUID, value.Date, value.Time, value.Enum, value.File:
		return read(t, s)
	case value.Int, value.Float, value.Decimal, value.Bool, value.Timestamp, value.JSON, value.Bytes, value.Invalid:
	}
	return value.Value{}, false
}

func convertInt(t value.Type, n int64) (value.Value, bool) {
	switch t.Kind {
	case value.Int:
		return value.OfInt(n), true
	case value.Float:
		f := float64(n)
		return value.OfFloat(f), f < 1<<63 && int64(f) == n
	case value.Decimal:
		return read(t, strconv.FormatInt(n, 10))
	case value.Text, value.UUID, value.Date, value.Time, value.Enum, value.File, value.Bool, value.Timestamp, value.JSON, value.Bytes, value.Invalid:
	}
	return value.Value{}, false
}

func convertFloat(t value.Type, f float64) (value.Value, bool) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return value.Value{}, false
	}
	switch t.Kind {
	case value.Int:
		n := int64(f)
		return value.OfInt(n), math.Abs(f) < 1<<63 && float64(n) == f
	case value.Float:
		return value.OfFloat(f), true
	case value.Decimal:
		return read(t, strconv.FormatFloat(f, 'f', -1, 64))
	case value.Text, value.UUID, value.Date, value.Time, value.Enum, value.File, value.Bool, value.Timestamp, value.JSON, value.Bytes, value.Invalid:
	}
	return value.Value{}, false
}

// convertList reads a list as a value of a list type.
func (g given) convertList(t value.Type) (value.Value, bool) {
	element := t
	element.List = false
	vs, nulls, ok := g.elements(element)
	if !ok || nulls {
		return value.Value{}, false
	}
	out := []byte{'['}
	for i, v := range vs {
		if i > 0 {
			out = append(out, ',')
		}
		out = element.AppendJSON(out, v)
	}
	return read(t, string(append(out, ']')))
}

// maxElements bounds the list that one value of the caller may become.
const maxElements = 10_000

// elements reads a list, or the keys of a map, as values of type t. nulls
// tells of elements that are null or none of that type, which are left out.
func (g given) elements(t value.Type) (vs []value.Value, nulls, ok bool) {
	if g.val == nil {
		return nil, false, false
	}
	it, ok := g.val.(traits.Iterable)
	if _, isText := g.val.(types.String); !ok || isText {
		return nil, false, false
	}
	for i := it.Iterator(); i.HasNext() == types.True; {
		if len(vs) == maxElements {
			return nil, false, false
		}
		v, ok := given{val: i.Next()}.convert(t)
		if !ok {
			nulls = true
			continue
		}
		vs = append(vs, v)
	}
	return vs, nulls, true
}

// roleList is the caller's roles as a list's elements.
func roleList(s *subject) (given, bool) {
	roles := s.id.Roles
	if roles == nil {
		roles = []string{}
	}
	return given{val: types.NewStringList(types.DefaultTypeAdapter, roles)}, true
}
