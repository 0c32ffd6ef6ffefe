package sqlite

import (
	"crypto/rand"
	"math"
	"regexp"
	"strings"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
	zs "zombiezen.com/go/sqlite"
)

// scalar is a SQL function that never sees null: null in, null out.
type scalar func(c *conn, ctx zs.Context, args []zs.Value) (zs.Value, error)

// functions are what SQLite lacks or answers otherwise than PostgreSQL. Each
// is deterministic but pando_uuid.
//
//nolint:gochecknoglobals // a constant table
var functions = map[string]struct {
	args int
	fn   scalar
}{
	"pando_like":     {2, like(false)},
	"pando_ilike":    {2, like(true)},
	"pando_match":    {2, match(false)},
	"pando_imatch":   {2, match(true)},
	"pando_contains": {2, contains},
	"pando_overlaps": {2, overlaps},
	"pando_text":     {1, jsonText},
	"pando_json":     {1, jsonForm},
	"pando_cast":     {3, cast},
	"pando_try_cast": {3, tryCast},
	"pando_float":    {1, floatText},
	"pando_decimal":  {2, decimalText},
	"pando_avg":      {3, average},
	"pando_tokens":   {1, tokens},
	"pando_length":   {2, length},
	"pando_compute":  {4, compute},
}

// jsonCollation compares JSON texts as PostgreSQL compares jsonb.
const jsonCollation = "pando_json"

func registerFunctions(c *conn) error {
	for name, f := range functions {
		impl := &zs.FunctionImpl{NArgs: f.args, Deterministic: true, AllowIndirect: true, Scalar: c.scalar(f.fn)}
		if err := c.c.CreateFunction(name, impl); err != nil {
			return translate(err)
		}
	}
	if err := registerSums(c); err != nil {
		return err
	}
	if err := c.c.SetCollation(jsonCollation, value.CompareJSON); err != nil {
		return translate(err)
	}
	if err := registerMove(c); err != nil {
		return err
	}
	return translateNil(c.c.CreateFunction("pando_uuid", &zs.FunctionImpl{
		NArgs: 0, AllowIndirect: true,
		Scalar: func(zs.Context, []zs.Value) (zs.Value, error) {
			return zs.TextValue(value.NewUUID(time.Now(), rand.Reader)), nil
		},
	}))
}

func translateNil(err error) error {
	if err == nil {
		return nil
	}
	return translate(err)
}

// scalar adapts fn: nulls pass through, and a fault is kept for translate,
// since SQLite would hand back its text only.
func (c *conn) scalar(fn scalar) func(zs.Context, []zs.Value) (zs.Value, error) {
	return func(ctx zs.Context, args []zs.Value) (zs.Value, error) {
		for i := range args {
			if args[i].Type() == zs.TypeNull {
				return zs.Value{}, nil
			}
		}
		v, err := fn(c, ctx, args)
		if err != nil {
			c.fault = fault.From(err)
			if f := store.Computed(c.fault.Code, c.fault); f != nil {
				c.fault = f
			}
		}
		return v, err
	}
}

func boolValue(b bool) zs.Value {
	if b {
		return zs.IntegerValue(1)
	}
	return zs.IntegerValue(0)
}

// compiled returns what make makes of the pattern in argument i, which SQLite
// keeps for the further rows of the same statement.
func compiled[T any](ctx zs.Context, args []zs.Value, i int, build func(string) (T, error)) (T, error) {
	if p, ok := ctx.AuxData(i).(T); ok {
		return p, nil
	}
	p, err := build(args[i].Text())
	if err == nil {
		ctx.SetAuxData(i, p)
	}
	return p, err
}

func like(fold bool) scalar {
	return func(_ *conn, ctx zs.Context, args []zs.Value) (zs.Value, error) {
		p, err := compiled(ctx, args, 1, func(s string) (*value.Like, error) { return value.CompileLike(s, fold) })
		if err != nil {
			return zs.Value{}, err
		}
		return boolValue(p.Match(args[0].Text())), nil
	}
}

func match(fold bool) scalar {
	return func(_ *conn, ctx zs.Context, args []zs.Value) (zs.Value, error) {
		p, err := compiled(ctx, args, 1, func(s string) (*regexp.Regexp, error) { return value.CompileRegexp(s, fold) })
		if err != nil {
			return zs.Value{}, err
		}
		return boolValue(p.MatchString(args[0].Text())), nil
	}
}

func contains(_ *conn, _ zs.Context, args []zs.Value) (zs.Value, error) {
	ok, err := value.JSONContains(args[0].Text(), args[1].Text())
	return boolValue(ok), err
}

func overlaps(_ *conn, _ zs.Context, args []zs.Value) (zs.Value, error) {
	ok, err := value.JSONOverlaps(args[0].Text(), args[1].Text())
	return boolValue(ok), err
}

// jsonForm is the canonical form of a JSON text.
func jsonForm(_ *conn, _ zs.Context, args []zs.Value) (zs.Value, error) {
	v, err := value.Type{Kind: value.JSON}.FromJSON(args[0].Text())
	return zs.TextValue(v.Str), err
}

// jsonText is PostgreSQL's ->> of a JSON text that was already selected: the
// content of a string, null for null, the text of anything else.
func jsonText(_ *conn, _ zs.Context, args []zs.Value) (zs.Value, error) {
	s := args[0].Text()
	switch {
	case s == "null":
		return zs.Value{}, nil
	case strings.HasPrefix(s, `"`):
		content, err := value.JSONString(s)
		return zs.TextValue(content), err
	}
	return zs.TextValue(s), nil
}

// cast converts between the wire forms of two types, named by their codes.
func cast(_ *conn, ctx zs.Context, args []zs.Value) (zs.Value, error) {
	from, err := compiled(ctx, args, 1, typeOfCode)
	if err != nil {
		return zs.Value{}, err
	}
	to, err := compiled(ctx, args, 2, typeOfCode)
	if err != nil {
		return zs.Value{}, err
	}
	out, err := value.Convert(goValue(args[0]), from, to)
	return sqlValue(out), err
}

func goValue(v zs.Value) value.Value {
	switch v.Type() {
	case zs.TypeInteger:
		return value.OfInt(v.Int64())
	case zs.TypeFloat:
		return value.OfFloat(v.Float())
	case zs.TypeText:
		return value.OfText(v.Text())
	case zs.TypeBlob:
		return value.OfBytes(string(v.Blob()))
	case zs.TypeNull:
	}
	return value.Null()
}

func sqlValue(v value.Value) zs.Value {
	switch v.Tag {
	case value.TagInt:
		return zs.IntegerValue(v.Int)
	case value.TagFloat:
		return zs.FloatValue(v.Float)
	case value.TagText:
		return zs.TextValue(v.Str)
	case value.TagBytes:
		return zs.BlobValue([]byte(v.Str))
	case value.TagNull:
	}
	return zs.Value{}
}

func floatText(_ *conn, _ zs.Context, args []zs.Value) (zs.Value, error) {
	return zs.TextValue(string(value.AppendFloat(nil, args[0].Float()))), nil
}

func decimalText(_ *conn, _ zs.Context, args []zs.Value) (zs.Value, error) {
	return zs.TextValue(string(value.AppendDecimal(nil, args[0].Int64(), int(args[1].Int64())))), nil
}

// average is sum/count of scaled integers with six more digits, rounded half
// away from zero as PostgreSQL's numeric is.
func average(_ *conn, _ zs.Context, args []zs.Value) (zs.Value, error) {
	n, err := value.DivideScaled(args[0].Int64(), args[1].Int64(), 6)
	return zs.IntegerValue(n), err
}

func tokens(_ *conn, _ zs.Context, args []zs.Value) (zs.Value, error) {
	return zs.TextValue(strings.Join(value.Tokens(args[0].Text()), " ")), nil
}

// length is characters of text ('t'), elements of a list ('l'), bytes ('b').
func length(_ *conn, _ zs.Context, args []zs.Value) (zs.Value, error) {
	s := args[0].Text()
	switch args[1].Text() {
	case "l":
		n, err := value.JSONLength(s)
		return zs.IntegerValue(int64(n)), err
	case "b":
		return zs.IntegerValue(int64(len(args[0].Blob()))), nil
	}
	return zs.IntegerValue(int64(len([]rune(s)))), nil
}

// compute is arithmetic that fails where the result leaves the type's range:
// SQLite would go on in floating point. A question mark behind the operator
// makes it null instead.
func compute(_ *conn, _ zs.Context, args []zs.Value) (zs.Value, error) {
	op, kind := args[0].Text(), args[1].Text()
	op, lenient := strings.CutSuffix(op, "?")
	if kind == value.Float.String() {
		f, ok := computeFloat(op, args[2].Float(), args[3].Float())
		if !ok && lenient {
			return zs.Value{}, nil
		}
		if !ok {
			return zs.Value{}, fault.New(fault.NumericOutOfRange, "float out of range")
		}
		return zs.FloatValue(f), nil
	}
	n, ok := computeInt(op, args[2].Int64(), args[3].Int64())
	if kind == value.Decimal.String() {
		ok = ok && value.InDecimalRange(n)
	}
	if !ok && lenient {
		return zs.Value{}, nil
	}
	if !ok {
		return zs.Value{}, fault.New(fault.NumericOutOfRange, "%s out of range", kind)
	}
	return zs.IntegerValue(n), nil
}

func computeFloat(op string, a, b float64) (float64, bool) {
	var f float64
	switch op {
	case "+":
		f = a + b
	case "-":
		f = a - b
	default:
		f = a * b
	}
	return f, !math.IsInf(f, 0) && !math.IsNaN(f)
}

func computeInt(op string, a, b int64) (int64, bool) {
	switch op {
	case "+":
		n := a + b
		return n, (n > a) == (b > 0)
	case "-":
		n := a - b
		return n, (n < a) == (b > 0)
	}
	if a == 0 || b == 0 {
		return 0, true
	}
	n := a * b
	return n, n/b == a && (a != -1 || b != math.MinInt64) && (b != -1 || a != math.MinInt64)
}
