package pando_test

import (
	"encoding/json"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	pando "github.com/pandobase/pando/sdk"
)

func TestParseDecimal(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0": "0", "-0.50": "-0.50", "+1.5": "1.5", "007": "7", "19.90": "19.90", "0.000000000000000001": "0.000000000000000001",
		"999999999999999999": "999999999999999999", "-.5": "", ".5": "", "5.": "", "": "", "1e3": "", "1.2.3": "", "--1": "", "1_0": "", "0x1": "", " 1": "",
		"1000000000000000000": "", "0.0000000000000000001": "", "NaN": "", "99999999999999999999999": "",
	} {
		d, err := pando.ParseDecimal(text)
		if want == "" {
			if err == nil {
				t.Errorf("%q is %s", text, d)
			}
			continue
		}
		if err != nil || d.String() != want {
			t.Errorf("%q is %s (%v), not %s", text, d, err, want)
		}
	}
}

func TestDecimalArithmetic(t *testing.T) {
	t.Parallel()
	dec := pando.MustDecimal
	for _, tt := range []struct {
		what string
		got  pando.Decimal
		want string
	}{
		{"sum", dec("9.90").Add(dec("0.1")), "10.00"},
		{"difference", dec("0.1").Sub(dec("0.3")), "-0.2"},
		{"product", dec("9.90").MulInt(3), "29.70"},
		{"product of scales", dec("1.25").Mul(dec("-0.5")), "-0.625"},
		{"product that needs some of its zeros gone", dec("1.0000000000").Mul(dec("2.0000000000")), "2.00000000000000000"},
		{"sum that needs its zeros gone", dec("100000000000000000").Add(dec("1.00")), "100000000000000001"},
		{"half", dec("0.125").Round(2), "0.13"},
		{"half below zero", dec("-0.125").Round(2), "-0.13"},
		{"less than half", dec("0.1249").Round(2), "0.12"},
		{"more digits", dec("1.5").Round(3), "1.500"},
		{"third", dec("1").Div(dec("3"), 4), "0.3333"},
		{"two thirds, below zero", dec("2").Div(dec("-3.0"), 2), "-0.67"},
		{"too much", dec("999999999999999999").Add(dec("1")), "NaN"},
		{"far too much", dec("999999999999999999").MulInt(1000), "NaN"},
		{"nothing", dec("1").Div(dec("0"), 2), "NaN"},
		{"what is no number", dec("1").Div(dec("0"), 2).Sub(dec("1")).Round(2), "NaN"},
		{"rounded to too much", dec("999999999999999999").Round(2), "NaN"},
		{"the zero value", pando.Decimal{}.Add(dec("1.5")), "1.5"},
	} {
		if got := tt.got.String(); got != tt.want {
			t.Errorf("%s: %s, not %s", tt.what, got, tt.want)
		}
		if tt.got.Valid() != (tt.want != "NaN") {
			t.Errorf("%s: valid is %v", tt.what, tt.got.Valid())
		}
		if _, err := json.Marshal(tt.got); (err == nil) != tt.got.Valid() {
			t.Errorf("%s as JSON: %v", tt.what, err)
		}
	}
}

// TestDecimalIsExact compares with exact arithmetic of any size.
func TestDecimalIsExact(t *testing.T) {
	t.Parallel()
	const most = 1_000_000_000_000_000_000 - 1
	gen := rapid.Custom(func(t *rapid.T) pando.Decimal {
		n := rapid.OneOf(rapid.Int64Range(-most, most), rapid.Int64Range(-1000, 1000)).Draw(t, "units")
		return pando.NewDecimal(n, rapid.IntRange(0, 18).Draw(t, "scale"))
	})
	rat := func(d pando.Decimal) *big.Rat {
		r, ok := new(big.Rat).SetString(d.String())
		if !ok {
			t.Fatalf("%s cannot be read", d)
		}
		return r
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := gen.Draw(t, "a"), gen.Draw(t, "b")
		if back, err := pando.ParseDecimal(a.String()); err != nil || back != a {
			t.Fatalf("%s reads back as %s (%v)", a, back, err)
		}
		if got, want := a.Cmp(b), rat(a).Cmp(rat(b)); got != want {
			t.Fatalf("%s compared with %s is %d, not %d", a, b, got, want)
		}
		for _, op := range []struct {
			name  string
			got   pando.Decimal
			exact *big.Rat
		}{
			{"+", a.Add(b), new(big.Rat).Add(rat(a), rat(b))},
			{"-", a.Sub(b), new(big.Rat).Sub(rat(a), rat(b))},
			{"*", a.Mul(b), new(big.Rat).Mul(rat(a), rat(b))},
		} {
			if op.got.Valid() && rat(op.got).Cmp(op.exact) != 0 {
				t.Fatalf("%s %s %s is %s", a, op.name, b, op.got)
			}
			// What fits is a number: at most 18 digits, all of them.
			text := op.exact.FloatString(18)
			back, _ := new(big.Rat).SetString(text)
			if d, err := pando.ParseDecimal(trimZeros(text)); err == nil && back.Cmp(op.exact) == 0 && d.Valid() && !op.got.Valid() {
				t.Fatalf("%s %s %s is no number, and should be %s", a, op.name, b, d)
			}
		}
		scale := rapid.IntRange(0, 18).Draw(t, "places")
		if r := a.Round(scale); r.Valid() {
			if want := rat(a).FloatString(scale); rat(r).Cmp(mustRat(want)) != 0 { // FloatString rounds half away from zero
				t.Fatalf("%s to %d places is %s, not %s", a, scale, r, want)
			}
		}
		if !b.IsZero() {
			if q := a.Div(b, scale); q.Valid() {
				if want := new(big.Rat).Quo(rat(a), rat(b)).FloatString(scale); rat(q).Cmp(mustRat(want)) != 0 {
					t.Fatalf("%s / %s to %d places is %s, not %s", a, b, scale, q, want)
				}
			}
		}
	})
}

func mustRat(s string) *big.Rat {
	r, _ := new(big.Rat).SetString(s)
	return r
}

func trimZeros(s string) string {
	for len(s) > 0 && s[len(s)-1] == '0' {
		s = s[:len(s)-1]
	}
	if s[len(s)-1] == '.' {
		return s[:len(s)-1]
	}
	return s
}
