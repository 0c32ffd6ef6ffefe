package policy

import (
	"math/big"
	"strconv"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/value"
)

// constant is a value that the expression itself gives.
type constant struct {
	kind  value.Kind // Int, Float, Decimal, Text, Bool, Timestamp or Bytes
	text  string     // canonical; of a number its digits as written
	list  bool
	items []*constant
}

func intConstant(n int64) *constant {
	return &constant{kind: value.Int, text: strconv.FormatInt(n, 10)}
}

func (c *constant) describe() string {
	if c.list {
		return "a list"
	}
	return article(c.kind.String())
}

// isNumber reports whether c is a number.
func (c *constant) isNumber() bool {
	return !c.list && (c.kind == value.Int || c.kind == value.Float || c.kind == value.Decimal)
}

// fits reports whether c can stand beside a value of type t.
func (c *constant) fits(t value.Type) bool {
	switch t.Kind {
	case value.Int:
		return c.kind == value.Int
	case value.Float, value.Decimal:
		return c.isNumber()
	case value.Bool, value.Timestamp, value.Bytes:
		return c.kind == t.Kind
	case value.Text, value.Enum, value.File, value.UUID, value.Date, value.Time:
		return c.kind == value.Text
	case value.JSON, value.Invalid:
	}
	return false
}

func (x *expression) literalConstant(e ast.Expr) (*constant, bool) {
	switch v := e.AsLiteral().(type) {
	case types.Int:
		return intConstant(int64(v)), true
	case types.Double:
		return &constant{kind: value.Float, text: x.digits(e)}, true
	case types.String:
		// The stored texts are in Unicode's normal form C; so must be what is
		// compared with them.
		t, err := value.Type{Kind: value.Text}.FromText(string(v))
		if err != nil {
			x.reportFault(e.ID(), err)
			return nil, false
		}
		return &constant{kind: value.Text, text: t.Str}, true
	case types.Bool:
		return &constant{kind: value.Bool, text: strconv.FormatBool(bool(v))}, true
	case types.Bytes:
		return &constant{kind: value.Bytes, text: string(v)}, true
	case types.Null:
		x.report(e.ID(), "write x == null or x != null", "null can only be compared with == and !=")
		return nil, false
	}
	x.report(e.ID(), "", "constants of this type are not available here")
	return nil, false
}

func (x *expression) listConstant(e ast.Expr) (operand, bool) {
	elements := e.AsList().Elements()
	if len(elements) > maxListTexts {
		x.report(e.ID(), "", "a list has at most %d constants", maxListTexts)
		return operand{}, false
	}
	c := &constant{list: true}
	for _, a := range elements {
		if isNull(a) {
			x.report(a.ID(), "test for null with || x == null", "a list cannot hold null")
			return operand{}, false
		}
		o, ok := x.operand(a)
		if !ok {
			return operand{}, false
		}
		if o.con == nil || o.con.list {
			x.report(a.ID(), "write x == a || x == b", "a list here holds constants only")
			return operand{}, false
		}
		c.items = append(c.items, o.con)
	}
	return operand{con: c, at: e.ID(), source: "the list"}, true
}

// timestampConstant reads timestamp("..."). done is false where the argument
// is no text.
func (x *expression) timestampConstant(args []ast.Expr) (c *constant, ok, done bool) {
	text, isText := args[0].AsLiteral().(types.String)
	if !isText {
		return nil, false, false
	}
	t := value.Type{Kind: value.Timestamp}
	v, err := t.FromText(string(text))
	if err != nil {
		x.reportFault(args[0].ID(), err)
		return nil, false, true
	}
	return &constant{kind: value.Timestamp, text: v.Str}, true, true
}

func (x *expression) decimalConstant(e ast.Expr, args []ast.Expr) (c *constant, ok, done bool) {
	var text string
	switch v := args[0].AsLiteral().(type) {
	case types.String:
		text = string(v)
	case types.Int:
		text = strconv.FormatInt(int64(v), 10)
	default:
		return nil, false, false
	}
	d, err := parseDecimal(text)
	if err != nil {
		x.report(e.ID(), "", "%v", err)
		return nil, false, true
	}
	return &constant{kind: value.Decimal, text: d.text()}, true, true
}

// foldArithmetic computes with two constants, exactly.
func (x *expression) foldArithmetic(e ast.Expr, function string, l, r *constant) (operand, bool) {
	if !l.isNumber() || !r.isNumber() {
		return operand{}, x.refuse(e)
	}
	a, errA := parseDecimal(l.text)
	b, errB := parseDecimal(r.text)
	var d decimal
	if errA == nil && errB == nil {
		a, b = align(a, b)
		switch function {
		case operators.Add:
			d = decimal{n: new(big.Int).Add(a.n, b.n), scale: a.scale}
		case operators.Subtract:
			d = decimal{n: new(big.Int).Sub(a.n, b.n), scale: a.scale}
		default:
			d = decimal{n: new(big.Int).Mul(a.n, b.n), scale: a.scale + b.scale}
		}
		d, errA = d.trim().check()
	}
	kind := max(l.kind, r.kind) // Int < Float < Decimal
	if errA != nil || errB != nil || kind == value.Int && !d.n.IsInt64() {
		x.report(e.ID(), "", "the result is out of range")
		return operand{}, false
	}
	return operand{con: &constant{kind: kind, text: d.text()}, at: e.ID(), source: "the constant"}, true
}

// trim drops zeros after the point.
func (d decimal) trim() decimal {
	text := d.text()
	if d.scale == 0 {
		return d
	}
	zeros := len(text) - len(strings.TrimRight(text, "0"))
	zeros = min(zeros, d.scale)
	return decimal{n: new(big.Int).Quo(d.n, pow10(zeros)), scale: d.scale - zeros}
}

// order compares two constants of one kind; false where they have no order.
func order(l, r *constant) (int, bool) {
	switch {
	case l.list || r.list:
		return 0, false
	case l.isNumber() && r.isNumber():
		a, errA := parseDecimal(l.text)
		b, errB := parseDecimal(r.text)
		if errA != nil || errB != nil {
			return 0, false
		}
		a, b = align(a, b)
		return a.n.Cmp(b.n), true
	case l.kind != r.kind:
		return 0, false
	}
	return strings.Compare(l.text, r.text), true // timestamps in canonical form sort as texts
}

func (x *expression) foldCompare(e ast.Expr, op query.Op, l, r *constant) (query.Expr, bool) {
	n, ok := order(l, r)
	if !ok {
		x.report(e.ID(), "name a field on one side", "these constants cannot be compared")
		return nil, false
	}
	return &query.Const{Value: holds(op, n)}, true
}

func (x *expression) foldAmong(e ast.Expr, l, r *constant) (query.Expr, bool) {
	found := false
	for _, item := range r.items {
		n, ok := order(l, item)
		if !ok {
			x.report(e.ID(), "name a field on one side", "these constants cannot be compared")
			return nil, false
		}
		found = found || n == 0
	}
	return &query.Const{Value: found}, true
}

// holds tells what an order of two values means for a comparison.
func holds(op query.Op, order int) bool {
	switch op {
	case query.Eq:
		return order == 0
	case query.Neq:
		return order != 0
	case query.Gt:
		return order > 0
	case query.Gte:
		return order >= 0
	case query.Lt:
		return order < 0
	case query.Lte:
		return order <= 0
	case query.Like, query.ILike, query.Match, query.IMatch, query.Is, query.IsDistinct, query.In, query.Contains,
		query.ContainedBy, query.Overlaps, query.FTS, query.PlainFTS, query.PhraseFTS, query.WebFTS:
	}
	return false
}

func quoteAll(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = "'" + w + "'"
	}
	return strings.Join(quoted, ", ")
}
