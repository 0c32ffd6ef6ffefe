package policy

import (
	"fmt"
	"math/big"
	"reflect"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// maxDigits bounds a decimal inside an expression, before and after its point
// together: the product of two stored decimals fits.
const maxDigits = 38

// decimalType is the type of decimals. CEL's operators ask the type for its
// traits before they call a value's methods.
//
//nolint:gochecknoglobals // constant; a Go constant cannot hold it
var decimalType = cel.OpaqueType("decimal").WithTraits(
	traits.AdderType | traits.SubtractorType | traits.MultiplierType | traits.NegatorType | traits.ComparerType)

// decimal is an exact number inside an expression: n / 10^scale.
type decimal struct {
	n     *big.Int
	scale int
}

// parseDecimal reads [-+]digits[.digits][e[+-]digits].
func parseDecimal(s string) (decimal, error) {
	text, sign := strings.ToLower(s), ""
	if strings.HasPrefix(text, "-") || strings.HasPrefix(text, "+") {
		sign, text = text[:1], text[1:]
	}
	mantissa, exp, hasExp := strings.Cut(text, "e")
	whole, part, _ := strings.Cut(mantissa, ".")
	exponent := 0
	if hasExp {
		if _, err := fmt.Sscanf(exp+"\n", "%d\n", &exponent); err != nil || exponent > 400 || exponent < -400 {
			return decimal{}, fmt.Errorf("%q is not a decimal number", s)
		}
	}
	digits := whole + part
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return decimal{}, fmt.Errorf("%q is not a decimal number", s)
	}
	n, _ := new(big.Int).SetString(sign+digits, 10)
	d := decimal{n: n, scale: len(part) - exponent}
	if d.scale < 0 {
		d = d.rescale(0)
	}
	return d.check()
}

// check refuses what has too many digits.
func (d decimal) check() (decimal, error) {
	if d.scale > maxDigits || d.n.CmpAbs(pow10(maxDigits)) >= 0 {
		return decimal{}, fmt.Errorf("a decimal has more than %d digits", maxDigits)
	}
	return d, nil
}

func pow10(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

// rescale gives d more digits after the point.
func (d decimal) rescale(scale int) decimal {
	return decimal{n: new(big.Int).Mul(d.n, pow10(scale-d.scale)), scale: scale}
}

func align(a, b decimal) (decimal, decimal) {
	scale := max(a.scale, b.scale)
	return a.rescale(scale), b.rescale(scale)
}

// text is d without an exponent.
func (d decimal) text() string {
	digits := new(big.Int).Abs(d.n).String()
	if pad := d.scale + 1 - len(digits); pad > 0 {
		digits = strings.Repeat("0", pad) + digits
	}
	if d.scale > 0 {
		digits = digits[:len(digits)-d.scale] + "." + digits[len(digits)-d.scale:]
	}
	if d.n.Sign() < 0 {
		return "-" + digits
	}
	return digits
}

// The methods of ref.Val and of the operators' traits.

var (
	_ ref.Val           = decimal{}
	_ traits.Adder      = decimal{}
	_ traits.Subtractor = decimal{}
	_ traits.Multiplier = decimal{}
	_ traits.Negater    = decimal{}
	_ traits.Comparer   = decimal{}
)

func (d decimal) Type() ref.Type { return decimalType }
func (d decimal) Value() any     { return d.text() }

// ConvertToNative serves text alone.
func (d decimal) ConvertToNative(t reflect.Type) (any, error) {
	if t.Kind() == reflect.String {
		return d.text(), nil
	}
	return nil, fmt.Errorf("a decimal is no %v", t)
}

func (d decimal) ConvertToType(t ref.Type) ref.Val {
	switch t.TypeName() {
	case types.StringType.TypeName():
		return types.String(d.text())
	case decimalType.TypeName():
		return d
	}
	return types.NewErr("a decimal cannot become a %s", t.TypeName())
}

func (d decimal) Equal(other ref.Val) ref.Val {
	o, ok := asDecimal(other)
	if !ok {
		return types.False
	}
	a, b := align(d, o)
	return types.Bool(a.n.Cmp(b.n) == 0)
}

func (d decimal) Compare(other ref.Val) ref.Val {
	o, ok := asDecimal(other)
	if !ok {
		return types.MaybeNoSuchOverloadErr(other)
	}
	a, b := align(d, o)
	return types.Int(a.n.Cmp(b.n))
}

func (d decimal) Add(other ref.Val) ref.Val      { return d.combine(other, (*big.Int).Add) }
func (d decimal) Subtract(other ref.Val) ref.Val { return d.combine(other, (*big.Int).Sub) }
func (d decimal) Negate() ref.Val                { return decimal{n: new(big.Int).Neg(d.n), scale: d.scale} }

func (d decimal) Multiply(other ref.Val) ref.Val {
	o, ok := asDecimal(other)
	if !ok {
		return types.MaybeNoSuchOverloadErr(other)
	}
	return orError(decimal{n: new(big.Int).Mul(d.n, o.n), scale: d.scale + o.scale}.check())
}

func (d decimal) combine(other ref.Val, op func(z, x, y *big.Int) *big.Int) ref.Val {
	o, ok := asDecimal(other)
	if !ok {
		return types.MaybeNoSuchOverloadErr(other)
	}
	a, b := align(d, o)
	return orError(decimal{n: op(new(big.Int), a.n, b.n), scale: a.scale}.check())
}

func orError(d decimal, err error) ref.Val {
	if err != nil {
		return types.NewErr("%v", err)
	}
	return d
}

func asDecimal(v ref.Val) (decimal, bool) {
	switch v := v.(type) {
	case decimal:
		return v, true
	case types.Int:
		return decimal{n: big.NewInt(int64(v))}, true
	}
	return decimal{}, false
}

// decimalFunctions are decimal("0.10") and the operators of two decimals.
func decimalFunctions() []cel.EnvOption {
	two := []*cel.Type{decimalType, decimalType}
	options := []cel.EnvOption{cel.Function(fnDecimal,
		cel.Overload("decimal_string", []*cel.Type{cel.StringType}, decimalType, cel.UnaryBinding(func(v ref.Val) ref.Val {
			s, ok := v.(types.String)
			if !ok {
				return types.MaybeNoSuchOverloadErr(v)
			}
			return orError(parseDecimal(string(s)))
		})),
		cel.Overload("decimal_int", []*cel.Type{cel.IntType}, decimalType, cel.UnaryBinding(func(v ref.Val) ref.Val {
			d, ok := asDecimal(v)
			if !ok {
				return types.MaybeNoSuchOverloadErr(v)
			}
			return d
		})),
	)}
	for _, op := range []string{operators.Add, operators.Subtract, operators.Multiply} {
		options = append(options, cel.Function(op, cel.Overload("decimal"+op, two, decimalType)))
	}
	for _, op := range []string{operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals} {
		options = append(options, cel.Function(op, cel.Overload("decimal"+op, two, cel.BoolType)))
	}
	return append(options, cel.Function(operators.Negate,
		cel.Overload("decimal"+operators.Negate, []*cel.Type{decimalType}, decimalType)))
}
