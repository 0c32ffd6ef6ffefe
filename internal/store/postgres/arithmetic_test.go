package postgres_test

import (
	"testing"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// TestArithmetic goes over the edges of the types: a fault, or null where the
// call is lenient.
func TestArithmetic(t *testing.T) {
	d := open(t, database(t))
	ints, decimals, floats := value.Type{Kind: value.Int}, value.Type{Kind: value.Decimal, Scale: 2}, value.Type{Kind: value.Float}
	for _, c := range []struct {
		fn   query.Func
		t    value.Type
		args []string
		want string // empty: out of range
	}{
		{query.Add, ints, []string{"9223372036854775806::bigint", "1::bigint"}, "9223372036854775807"},
		{query.Add, ints, []string{"9223372036854775807::bigint", "1::bigint"}, ""},
		{query.Sub, ints, []string{"(-9223372036854775808)::bigint", "1::bigint"}, ""},
		{query.Mul, ints, []string{"4294967296::bigint", "4294967296::bigint"}, ""},
		{query.Neg, ints, []string{"(-9223372036854775808)::bigint"}, ""},
		{query.Neg, ints, []string{"5::bigint"}, "-5"},
		{query.Add, decimals, []string{"999999999999999998::bigint", "1::bigint"}, "999999999999999999"},
		{query.Add, decimals, []string{"999999999999999999::bigint", "1::bigint"}, ""},
		{query.Mul, decimals, []string{"1000000000::bigint", "1000000000::bigint"}, ""},
		{query.Mul, floats, []string{"1e308::float8", "10::float8"}, ""},
		{query.Mul, floats, []string{"0.1::float8", "3::float8"}, "0.30000000000000004"},
		{query.Add, floats, []string{"0.1::float8", "0.2::float8"}, "0.30000000000000004"},
	} {
		for _, lenient := range []bool{false, true} {
			sql := d.Dialect().Call(&query.Call{Func: c.fn, Lenient: lenient}, c.t, c.args)
			got := ""
			err := d.Read(t.Context(), false, func(r store.Reader) error {
				return r.Query(&store.Statement{SQL: "SELECT " + sql}, nil, func(row store.Row) error {
					got = string(row.Append(nil, 0))
					return nil
				})
			})
			refused := c.want == "" && !lenient
			if got != c.want || refused != fault.Is(err, fault.NumericOutOfRange) || !refused && err != nil {
				t.Errorf("%s: %q, %v; want %q", sql, got, err, c.want)
			}
		}
	}
}
