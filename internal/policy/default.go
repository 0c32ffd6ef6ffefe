package policy

import (
	"encoding/json"
	"errors"
	"sort"
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/value"
)

// DefaultFunc computes a field's default from the caller, the values that the
// input gives (by field; an absent field is null) and the time of the write.
//
// The result satisfies the field's type and its limits; it may be null, which
// the caller holds against the field as any null. Errors are faults without a
// field name: LimitExceeded beyond the cost limit, InvalidText where the
// expression has no value, for instance because it computes with null, and
// those of [value.Type.FromJSON]. The function is safe for concurrent use.
type DefaultFunc func(id Identity, row map[string]value.Value, now time.Time) (value.Value, error)

// defaultValue compiles a field's CEL default.
func (c *compiler) defaultValue(f *model.Field) {
	x := c.expression(f.Entity, f.Default.Expr, scope{what: "a default", row: true, auth: true, now: true})
	x.parse()
	x.checkTypes(f.Type)
	if x.ok() {
		x.constants(x.ast.Expr())
	}
	if x.ok() {
		program, err := x.env.Program(x.parsed, cel.CostLimit(defaultCost))
		if err != nil {
			x.report(x.ast.Expr().ID(), "", "the default cannot be computed: %v", err)
		} else {
			c.rules.defaults[f] = x.evaluator(f, program)
		}
	}
	c.problems = append(c.problems, x.problems...)
}

// constants finds at load what would fail at each write: a decimal or a
// timestamp that is none.
func (x *expression) constants(e ast.Expr) {
	if e.Kind() == ast.CallKind && len(e.AsCall().Args()) == 1 {
		switch e.AsCall().FunctionName() {
		case fnDecimal:
			x.decimalConstant(e, e.AsCall().Args())
		case "timestamp":
			if s, ok := e.AsCall().Args()[0].AsLiteral().(types.String); ok {
				if _, err := time.Parse(time.RFC3339, string(s)); err != nil {
					x.report(e.ID(), "write timestamp(\"2026-01-02T03:04:05Z\")", "%q is no RFC 3339 timestamp", string(s))
				}
			}
		}
	}
	x.children(e, x.constants)
}

// evaluator runs a program with the variables that it uses.
func (x *expression) evaluator(f *model.Field, program cel.Program) DefaultFunc {
	fields := x.rowFields()
	usesAuth := x.uses(varAuth)
	typ := f.Type
	return func(id Identity, row map[string]value.Value, now time.Time) (value.Value, error) {
		given := make(map[string]any, len(fields))
		for _, f := range fields {
			v, err := toCEL(f.Type, row[f.Name])
			if err != nil {
				return value.Value{}, err
			}
			given[f.Name] = v
		}
		variables := map[string]any{varRow: given, varNow: types.Timestamp{Time: now.UTC()}}
		if usesAuth {
			variables[varAuth] = id.members()
		}
		out, _, err := program.Eval(variables)
		if err != nil {
			return value.Value{}, defaultFault(err)
		}
		raw, err := appendCEL(nil, out)
		if err != nil {
			return value.Value{}, defaultFault(err)
		}
		return typ.FromJSON(string(raw))
	}
}

// defaultFault keeps CEL's message from the caller: it may quote what the
// caller must not see.
func defaultFault(err error) error {
	if _, ok := errors.AsType[interpreter.EvalCancelledError](err); ok {
		return fault.Wrap(err, fault.LimitExceeded, "the default costs more than %d steps to compute", defaultCost)
	}
	return fault.Wrap(err, fault.InvalidText, "the default has no value for this input").
		WithHint("give the field a value")
}

// rowFields are the fields of the row that the expression names.
func (x *expression) rowFields() []*model.Field {
	seen := map[*model.Field]bool{}
	var find func(ast.Expr)
	find = func(e ast.Expr) {
		if f := x.field(e); f != nil {
			seen[f] = true
		}
		x.children(e, find)
	}
	find(x.ast.Expr())
	var fields []*model.Field
	for _, f := range x.entity.Fields {
		if seen[f] {
			fields = append(fields, f)
		}
	}
	return fields
}

func (x *expression) uses(variable string) bool {
	found := false
	var find func(ast.Expr)
	find = func(e ast.Expr) {
		found = found || x.variable(e) == variable
		x.children(e, find)
	}
	find(x.ast.Expr())
	return found
}

// toCEL is a stored value inside an expression.
func toCEL(t value.Type, v value.Value) (ref.Val, error) {
	if v.IsNull() {
		return types.NullValue, nil
	}
	if t.List {
		return listToCEL(t, v)
	}
	switch t.Kind {
	case value.Int:
		return types.Int(v.Int), nil
	case value.Float:
		return types.Double(v.Float), nil
	case value.Decimal:
		return orError(parseDecimal(string(value.AppendDecimal(nil, v.Int, t.Scale)))), nil
	case value.Bool:
		return types.Bool(v.Int != 0), nil
	case value.Timestamp:
		at, err := time.Parse(time.RFC3339Nano, v.Str)
		if err != nil {
			return nil, fault.Wrap(err, fault.Internal, "an internal error occurred")
		}
		return types.Timestamp{Time: at.UTC()}, nil
	case value.Bytes:
		return types.Bytes(v.Str), nil
	case value.JSON:
		return jsonToCEL(v.Str)
	case value.Text, value.UUID, value.Date, value.Time, value.Enum, value.File, value.Invalid:
	}
	return types.String(v.Str), nil
}

func listToCEL(t value.Type, v value.Value) (ref.Val, error) {
	elements, err := listValues(t, v)
	if err != nil {
		return nil, err
	}
	t.List = false
	out := make([]ref.Val, len(elements))
	for i, e := range elements {
		if out[i], err = toCEL(t, e); err != nil {
			return nil, err
		}
	}
	return types.NewRefValList(types.DefaultTypeAdapter, out), nil
}

// listValues are the elements of a list value of type t.
func listValues(t value.Type, v value.Value) ([]value.Value, error) {
	t.List, t.Min, t.Max = false, nil, nil
	var raws []json.RawMessage
	if err := json.Unmarshal([]byte(v.Str), &raws); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "an internal error occurred")
	}
	out := make([]value.Value, len(raws))
	for i, raw := range raws {
		e, err := t.FromJSON(string(raw))
		if err != nil {
			return nil, err
		}
		out[i] = e
	}
	return out, nil
}

// jsonToCEL is JSON inside an expression: integers of 64 bits are ints, other
// numbers doubles.
func jsonToCEL(raw string) (ref.Val, error) {
	v, err := decodeJSON(raw)
	if err != nil {
		return nil, err
	}
	return types.DefaultTypeAdapter.NativeToValue(plainNumbers(v)), nil
}

func decodeJSON(raw string) (any, error) {
	d := json.NewDecoder(strings.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "an internal error occurred")
	}
	return v, nil
}

func plainNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return n
		}
		f, err := v.Float64()
		if err != nil {
			return types.NewErr("the number %s is out of range", v)
		}
		return f
	case []any:
		for i := range v {
			v[i] = plainNumbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = plainNumbers(v[k])
		}
	}
	return v
}

// appendCEL appends a value of an expression as JSON, from which the field's
// type reads it.
func appendCEL(dst []byte, v ref.Val) ([]byte, error) {
	switch v := v.(type) {
	case types.Null:
		return append(dst, "null"...), nil
	case types.Bool:
		return strconv.AppendBool(dst, bool(v)), nil
	case types.Int:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case types.Uint:
		return strconv.AppendUint(dst, uint64(v), 10), nil
	case types.Double:
		return value.AppendFloat(dst, float64(v)), nil
	case decimal:
		return append(dst, v.text()...), nil
	case types.String:
		return value.AppendQuoted(dst, string(v)), nil
	case types.Bytes:
		t := value.Type{Kind: value.Bytes}
		return t.AppendJSON(dst, value.OfBytes(string(v))), nil
	case types.Timestamp:
		return value.AppendQuoted(dst, value.AppendTimestamp(nil, v.Time)), nil
	case traits.Mapper:
		return appendMap(dst, v)
	case traits.Lister:
		return appendList(dst, v)
	}
	return nil, errors.New("a default cannot be a " + v.Type().TypeName())
}

func appendList(dst []byte, l traits.Lister) ([]byte, error) {
	dst = append(dst, '[')
	first := true
	var err error
	for it := l.Iterator(); it.HasNext() == types.True; first = false {
		if !first {
			dst = append(dst, ',')
		}
		if dst, err = appendCEL(dst, it.Next()); err != nil {
			return nil, err
		}
	}
	return append(dst, ']'), nil
}

func appendMap(dst []byte, m traits.Mapper) ([]byte, error) {
	values := map[string]ref.Val{}
	var keys []string
	for it := m.Iterator(); it.HasNext() == types.True; {
		k := it.Next()
		name, ok := k.(types.String)
		if !ok {
			return nil, errors.New("the keys of an object must be texts")
		}
		keys = append(keys, string(name))
		values[string(name)] = m.Get(k)
	}
	sort.Strings(keys)
	dst = append(dst, '{')
	var err error
	for i, k := range keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(value.AppendQuoted(dst, k), ':')
		if dst, err = appendCEL(dst, values[k]); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

// known is fn's answer, or an error, which stands for unknown, when a side is
// null.
func known(l, r ref.Val, fn func() ref.Val) ref.Val {
	if l == types.NullValue || r == types.NullValue {
		return types.NewErr("a comparison with null is unknown")
	}
	return fn()
}

// among is `in`: an or of comparisons, of which those with null are unknown.
func among(l, r ref.Val) ref.Val {
	return known(l, r, func() ref.Val {
		c, ok := r.(traits.Container)
		if !ok {
			return types.MaybeNoSuchOverloadErr(r)
		}
		found := c.Contains(l)
		if _, isList := r.(traits.Lister); isList && found == types.False && c.Contains(types.NullValue) == types.True {
			return types.NewErr("a comparison with null is unknown")
		}
		return found
	})
}
