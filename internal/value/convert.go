package value

import (
	"encoding/json"
	"math"
	"math/big"
	"strings"

	"github.com/pandobase/pando/internal/fault"
)

// CastType finds the type that a cast names, by PostgreSQL's names.
func CastType(name string) (Type, bool) {
	base, list := strings.CutSuffix(strings.ToLower(name), "[]")
	kinds := map[string]Kind{
		"text": Text, "varchar": Text, "character varying": Text, "char": Text,
		"int": Int, "integer": Int, "int2": Int, "int4": Int, "int8": Int, "smallint": Int, "bigint": Int,
		"float": Float, "float4": Float, "float8": Float, "real": Float, "double precision": Float, "double": Float,
		"numeric": Decimal, "decimal": Decimal, "bool": Bool, "boolean": Bool, "uuid": UUID, "date": Date, "time": Time,
		"timestamp": Timestamp, "timestamptz": Timestamp, "timestamp with time zone": Timestamp,
		"json": JSON, "jsonb": JSON, "bytea": Bytes,
	}
	k, ok := kinds[base]
	return Type{Kind: k, List: list}, ok
}

// Castable reports whether there is a cast. A decimal has a fixed scale here,
// so only integers and decimals become decimals.
func Castable(from, to Type) bool {
	if from.List || to.List {
		texts := isText(from.Kind) || from.Kind == Int || from.Kind == Decimal // whose elements are written alike everywhere
		return from.List == to.List && (from.Kind == to.Kind || to.Kind == Text && texts) || from.List && (to.Kind == Text || to.Kind == JSON)
	}
	if from.Kind == to.Kind || to.Kind == Text || isText(from.Kind) && to.Kind != Decimal {
		return true
	}
	switch to.Kind {
	case Int:
		return from.Kind == Float || from.Kind == Decimal || from.Kind == Bool
	case Float:
		return from.Kind == Int || from.Kind == Decimal
	case Decimal:
		return from.Kind == Int
	case Bool:
		return from.Kind == Int
	case Timestamp:
		return from.Kind == Date
	case Date:
		return from.Kind == Timestamp
	case Time:
		return from.Kind == Timestamp
	case JSON:
		return from.Kind != Bytes
	default:
		return false
	}
}

func isText(k Kind) bool { return k == Text || k == Enum || k == File }

// Convert casts a value as PostgreSQL does, or fails with its SQLSTATE.
func Convert(v Value, from, to Type) (Value, error) {
	if v.IsNull() || from.Kind == to.Kind && from.List == to.List && from.Scale == to.Scale {
		return v, nil
	}
	switch {
	case to.Kind == JSON && !isText(from.Kind):
		if from.Kind == Float { // JSON writes its digits out
			return to.FromJSON(string(from.AppendJSON(nil, v)))
		}
		return OfText(string(from.AppendJSON(nil, v))), nil
	case to.Kind == Text && from.List && to.List:
		return textElements(v.Str)
	case to.Kind == Text && (from.Kind == JSON || from.List): // the strings inside stay as they are
		return OfText(string(from.AppendText(nil, v))), nil
	case to.Kind == Int && from.Kind == Float:
		f := math.RoundToEven(v.Float)
		if !(f >= -1<<63 && f < 1<<63) {
			return Value{}, fault.New(fault.NumericOutOfRange, "bigint out of range")
		}
		return OfInt(int64(f)), nil
	case to.Kind == Int && from.Kind == Decimal:
		return OfInt(roundScaled(v.Int, from.Scale)), nil
	case to.Kind == Int && from.Kind == Bool:
		return v, nil
	case to.Kind == Float && from.Kind == Int:
		return OfFloat(float64(v.Int)), nil
	case to.Kind == Bool && from.Kind == Int:
		return OfBool(v.Int != 0), nil
	case to.Kind == Timestamp && from.Kind == Date:
		return OfText(v.Str + "T00:00:00+00:00"), nil
	case to.Kind == Date && from.Kind == Timestamp:
		return OfText(v.Str[:10]), nil
	case to.Kind == Time && from.Kind == Timestamp:
		return OfText(strings.TrimSuffix(v.Str[11:], "+00:00")), nil
	}
	return to.FromText(string(from.AppendText(nil, v)))
}

// textElements is a list with its elements as texts.
func textElements(list string) (Value, error) {
	var in []json.RawMessage
	if err := json.Unmarshal([]byte(list), &in); err != nil {
		return Value{}, fault.Wrap(err, fault.Internal, "an internal error occurred")
	}
	out := []byte{'['}
	for i, el := range in {
		if i > 0 {
			out = append(out, ',')
		}
		if el[0] == '"' {
			out = append(out, el...)
		} else {
			out = AppendQuoted(out, el)
		}
	}
	return OfText(string(append(out, ']'))), nil
}

// roundScaled drops the fraction, half away from zero as numeric rounds.
func roundScaled(n int64, scale int) int64 {
	unit := pow10(scale)
	q, r := n/unit, n%unit
	if r < 0 {
		r = -r
	}
	if r >= unit-r && unit > 1 {
		if n < 0 {
			return q - 1
		}
		return q + 1
	}
	return q
}

func pow10(n int) int64 {
	p := int64(1)
	for range n {
		p *= 10
	}
	return p
}

// DivideScaled is sum/count with digits more digits, half away from zero.
func DivideScaled(sum, count int64, digits int) (int64, error) {
	if count == 0 {
		return 0, fault.New(fault.DivisionByZero, "division by zero")
	}
	num := new(big.Int).Mul(big.NewInt(sum), big.NewInt(pow10(digits)))
	den := big.NewInt(count)
	twice := new(big.Int).Mul(num, big.NewInt(2))
	if num.Sign() < 0 {
		twice.Sub(twice, den)
	} else {
		twice.Add(twice, den)
	}
	q := twice.Quo(twice, new(big.Int).Mul(den, big.NewInt(2)))
	if !q.IsInt64() {
		return 0, fault.New(fault.NumericOutOfRange, "numeric out of range")
	}
	return q.Int64(), nil
}
