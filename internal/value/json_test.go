package value

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pandobase/pando/internal/fault"
)

func drawTime(t *rapid.T) time.Time {
	first := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	last := time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)
	at := rapid.Int64Range(first.UnixMicro(), last.UnixMicro()).Draw(t, "micros")
	if rapid.Bool().Draw(t, "whole") {
		at -= at % microsPerSecond
	}
	return time.UnixMicro(at).UTC()
}

// drawJSON is a random JSON text, with white space, escapes and doubled keys.
func drawJSON(t *rapid.T, depth int) string {
	kinds := 6
	if depth == 0 {
		kinds = 4
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "form") {
	case 0:
		return rapid.SampledFrom([]string{"null", " true", "false "}).Draw(t, "word")
	case 1:
		return rapid.StringMatching(`-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,10})?([eE][+-]?[0-9]{1,2})?`).Draw(t, "number")
	case 2, 3:
		b, err := json.Marshal(strings.ReplaceAll(rapid.String().Draw(t, "string"), "\x00", ""))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	case 4:
		var parts []string
		for range rapid.IntRange(0, 4).Draw(t, "elements") {
			parts = append(parts, drawJSON(t, depth-1))
		}
		return "[ " + strings.Join(parts, " ,\n") + "]"
	}
	var parts []string
	for range rapid.IntRange(0, 5).Draw(t, "members") {
		key := rapid.SampledFrom([]string{"", "a", "b", `\u0061`, "aa", "é", "zz", `\"`, "c", `\ud83d\ude00`}).Draw(t, "key")
		parts = append(parts, `"`+key+`" :`+drawJSON(t, depth-1))
	}
	return "{" + strings.Join(parts, ",\t") + " }"
}

// decoded is what encoding/json makes of s, an independent reader: numbers as
// exact texts that are made comparable by big rationals' string form.
func decoded(s string) (any, error) {
	dec := json.NewDecoder(strings.NewReader(s))
	dec.UseNumber()
	var v any
	err := dec.Decode(&v)
	return rationals(v), err
}

func TestCanonicalJSONKeepsMeaning(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		raw := drawJSON(t, 4)
		c, err := CanonicalJSON(raw)
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		want, err := decoded(raw)
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		got, err := decoded(c)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%s became %s: %v", raw, c, err)
		}
		if again, err := CanonicalJSON(c); err != nil || again != c {
			t.Fatalf("%s is not stable: %s, %v", c, again, err)
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, []byte(c)); err != nil || compact.String() != c {
			t.Fatalf("%s has white space", c)
		}
	})
}

func TestCanonicalJSONLimits(t *testing.T) {
	t.Parallel()
	nest := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	if _, err := CanonicalJSON(nest(MaxJSONDepth)); err != nil {
		t.Errorf("depth %d: %v", MaxJSONDepth, err)
	}
	for name, c := range map[string]struct {
		raw  string
		code fault.Code
	}{
		"one level too deep": {nest(MaxJSONDepth + 1), fault.LimitExceeded},
		"a tower":            {strings.Repeat(`{"a":[`, 1<<19), fault.LimitExceeded},
		"exponent":           {`1e401`, fault.NumericOutOfRange},
		"negative exponent":  {`[1e-401]`, fault.NumericOutOfRange},
		"huge exponent":      {`1e99999999999999999999999`, fault.NumericOutOfRange},
		"many zeros":         {"[1e400" + strings.Repeat(",1e400", 3000) + "]", fault.LimitExceeded},
		"whole digits":       {strings.Repeat("1", maxWhole+1), fault.NumericOutOfRange},
		"part digits":        {"0." + strings.Repeat("1", maxPart+1), fault.NumericOutOfRange},
		"moved digits":       {strings.Repeat("1", maxWhole) + "e1", fault.NumericOutOfRange},
		"NUL escape in key":  {`{"a\u0000":1}`, fault.InvalidEncoding},
		"invalid UTF-8":      {"[\"\xc3\x28\"]", fault.InvalidEncoding},
		"UTF-8 outside":      {"1\xff", fault.InvalidEncoding},
		"surrogate in key":   {`{"\udc00":1}`, fault.InvalidText},
		"empty":              {"", fault.InvalidText},
		"only space":         {" \n", fault.InvalidText},
		"no colon":           {`{"a" 1}`, fault.InvalidText},
		"no comma":           {`[1 2]`, fault.InvalidText},
		"open object":        {`{"a":1`, fault.InvalidText},
		"open key":           {`{`, fault.InvalidText},
		"comma":              {`[,1]`, fault.InvalidText},
		"byte order mark":    {"\uFEFF1", fault.InvalidText},
		"vertical tab":       {"\v1", fault.InvalidText},
		"comment":            {"1//", fault.InvalidText},
	} {
		start := time.Now()
		got, err := CanonicalJSON(c.raw)
		if !fault.Is(err, c.code) {
			t.Errorf("%s: %.40q, %v; want code %s", name, got, err, c.code)
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("%s took %s", name, d)
		}
	}
}

// TestCanonicalJSONKeyOrder: jsonb's order is by length in bytes, then bytes;
// of equal keys the last wins, however they are escaped.
func TestCanonicalJSONKeyOrder(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"b":1,"aa":2,"a":3}`:                     `{"a":3,"b":1,"aa":2}`,
		`{"é":1,"zz":2,"aaa":3,"z":4}`:             `{"z":4,"zz":2,"é":1,"aaa":3}`,
		`{"a":1,"a":2}`:                            `{"a":2}`,
		`{"a":1,"b":0,"\u0061":{"y":1,"x":2}}`:     `{"a":{"x":2,"y":1},"b":0}`,
		`{"\"":1,"ab":2,"c":3}`:                    `{"\"":1,"c":3,"ab":2}`, // the length is the text's, not the escape's
		`{"b":{"b":1,"a":[{"d":1,"c":2}]},"a":{}}`: `{"a":{},"b":{"a":[{"c":2,"d":1}],"b":1}}`,
	} {
		if got, err := CanonicalJSON(in); err != nil || got != want {
			t.Errorf("%s became %s, %v; want %s", in, got, err, want)
		}
	}
	var members strings.Builder
	for i := range 20000 {
		fmt.Fprintf(&members, `,"k%d":%d`, i*7919%1000, i)
	}
	c, err := CanonicalJSON("{" + members.String()[1:] + "}")
	if err != nil || strings.Count(c, ":") != 1000 || !strings.HasPrefix(c, `{"k0":19000,"k1":`) {
		t.Errorf("20,000 members with 1,000 keys: %.60s, %v", c, err)
	}
}

// rationals replaces every number in v by its exact value's one form.
func rationals(v any) any {
	switch v := v.(type) {
	case json.Number:
		r, ok := new(big.Rat).SetString(v.String())
		if !ok {
			return "not a number: " + v.String()
		}
		return r.RatString()
	case []any:
		for i := range v {
			v[i] = rationals(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = rationals(v[k])
		}
	}
	return v
}
