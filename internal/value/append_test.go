package value

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"
)

func TestAppendQuoted(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                             `""`,
		"plain":                        `"plain"`,
		"12345678":                     `"12345678"`,
		"1234567\"":                    `"1234567\""`,
		"12345678\\":                   `"12345678\\"`,
		"a\b\f\n\r\t\"\\/\x00\x1f\x7f": `"a\b\f\n\r\t\"\\/` + `\u0000\u001f` + "\x7f\"",
		"größe 😀\u2028":                "\"größe 😀\u2028\"",
		"bad \xff\xc3 utf-8\n":         "\"bad \uFFFD\uFFFD utf-8\\n\"",
		"12345678é\x01":                `"12345678é\u0001"`,
	} {
		if got := string(AppendQuoted([]byte("x"), in)); got != "x"+want {
			t.Errorf("AppendQuoted(%q) = %s, want %s", in, got[1:], want)
		}
		if got := string(AppendQuoted(nil, []byte(in))); got != want {
			t.Errorf("AppendQuoted([]byte(%q)) = %s, want %s", in, got, want)
		}
	}
}

func TestAppendQuotedReadsBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s") + string(rapid.SliceOfN(rapid.Byte(), 0, 12).Draw(t, "bytes"))
		out := AppendQuoted(nil, s)
		var back string
		if err := json.Unmarshal(out, &back); err != nil || !utf8.Valid(out) {
			t.Fatalf("%q gives %q: %v", s, out, err)
		}
		if want := string([]rune(s)); back != want {
			t.Fatalf("%q reads back as %q", s, back)
		}
	})
}

func TestAppendFloat(t *testing.T) {
	t.Parallel()
	// PostgreSQL 15: select to_json(x::float8)
	for f, want := range map[float64]string{
		0: "0", 1: "1", -1.5: "-1.5", 0.1: "0.1", 1e14: "100000000000000",
		999999999999999: "999999999999999", 1e15: "1e+15", 1234567890123456: "1.234567890123456e+15",
		1e16: "1e+16", 1e21: "1e+21", 1.5e300: "1.5e+300", 0.0001: "0.0001", 0.00001: "1e-05",
		0.00012345: "0.00012345", 1.2345e-5: "1.2345e-05", 5e-324: "5e-324",
		math.MaxFloat64: "1.7976931348623157e+308", 123456.789: "123456.789", 3e-10: "3e-10",
		math.Inf(1): "null", math.Inf(-1): "null",
	} {
		if got := string(AppendFloat(nil, f)); got != want {
			t.Errorf("AppendFloat(%v) = %s, want %s", f, got, want)
		}
	}
	if got := string(AppendFloat(nil, math.Copysign(0, -1))); got != "-0" {
		t.Errorf("AppendFloat(-0) = %s", got)
	}
	if got := string(AppendFloat(nil, math.NaN())); got != "null" {
		t.Errorf("AppendFloat(NaN) = %s", got)
	}
	v, err := Type{Kind: Float}.FromText("-0.0")
	if err != nil || math.Signbit(v.Float) {
		t.Errorf("-0.0 must be read as 0: %v, %v", v, err)
	}
}

func TestAppendDecimal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		n     int64
		scale int
		want  string
	}{
		{0, 0, "0"},
		{0, 2, "0.00"},
		{5, 2, "0.05"},
		{-5, 2, "-0.05"},
		{50, 2, "0.50"},
		{100, 2, "1.00"},
		{-12345, 2, "-123.45"},
		{7, 0, "7"},
		{1, 18, "0.000000000000000001"},
		{999999999999999999, 18, "0.999999999999999999"},
		{math.MaxInt64, 6, "9223372036854.775807"},
		{math.MinInt64, 0, "-9223372036854775808"},
		{math.MinInt64, 24, "-0.000009223372036854775808"},
	} {
		if got := string(AppendDecimal(nil, c.n, c.scale)); got != c.want {
			t.Errorf("AppendDecimal(%d, %d) = %s, want %s", c.n, c.scale, got, c.want)
		}
	}
	if !InDecimalRange(-999999999999999999) || InDecimalRange(1e18) || InDecimalRange(-1e18) {
		t.Error("a decimal has 18 digits")
	}
}

// drawn is a random canonical value of a random type.
func drawn(t *rapid.T) (Type, Value) {
	typ := Type{Kind: Kind(rapid.IntRange(int(Text), int(File)).Draw(t, "kind")), Values: []string{"open", "größer", "a,b"}}
	var v Value
	switch typ.Kind {
	case Text, File:
		v = OfText(norm.NFC.String(strings.ReplaceAll(rapid.String().Draw(t, "text"), "\x00", "")))
	case Int:
		v = OfInt(rapid.Int64().Draw(t, "int"))
	case Float:
		v = OfFloat(rapid.Float64().Draw(t, "float") + 0) // never -0
	case Decimal:
		typ.Scale = rapid.IntRange(0, 18).Draw(t, "scale")
		v = OfInt(rapid.Int64Range(-decimalLimit+1, decimalLimit-1).Draw(t, "decimal"))
	case Bool:
		v = OfBool(rapid.Bool().Draw(t, "bool"))
	case UUID:
		v = OfText(NewUUID(drawTime(t), strings.NewReader("12345678")))
	case Timestamp:
		v = OfTimestamp(drawTime(t))
	case Date:
		v = OfText(drawTime(t).Format("2006-01-02"))
	case Time:
		v = OfText(string(appendClock(nil, rapid.Int64Range(0, microsPerDay).Draw(t, "micros"))))
	case JSON:
		s, err := CanonicalJSON(drawJSON(t, 3))
		if err != nil {
			t.Fatal(err)
		}
		v = OfText(s)
	case Bytes:
		v = OfBytes(string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")))
	case Enum:
		v = OfText(rapid.SampledFrom(typ.Values).Draw(t, "word"))
	case Invalid:
	}
	return typ, v
}

// TestRoundTrip: what is appended is read back as the same value, from JSON
// and from text, alone and in a list, and JSON's form is JSON.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		typ, v := drawn(t)
		wire := typ.AppendJSON(nil, v)
		if !json.Valid(wire) {
			t.Fatalf("%s %+v gives %q", typ, v, wire)
		}
		if string(wire) != "null" || typ.Kind != JSON { // JSON's null is Pando's
			if back, err := typ.FromJSON(string(wire)); err != nil || back != v {
				t.Fatalf("%s %+v gives %s, read back as %+v, %v", typ, v, wire, back, err)
			}
		}
		text := typ.AppendText(nil, v)
		if back, err := typ.FromText(string(text)); err != nil || back != v {
			t.Fatalf("%s %+v gives %q, read back as %+v, %v", typ, v, text, back, err)
		}
		if string(wire) == "null" {
			return
		}
		list := typ
		list.List = true
		raw := "[" + string(wire) + "," + string(wire) + "]"
		back, err := list.FromJSON(raw)
		if err != nil || back != OfText(raw) {
			t.Fatalf("%s from %s = %+v, %v", list, raw, back, err)
		}
		// PostgreSQL's array literal, every element quoted.
		quoted := `"` + strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(string(text)) + `"`
		if back, err := list.FromText("{" + quoted + ", " + quoted + "}"); err != nil || back != OfText(raw) {
			t.Fatalf("%s from {%s,...} = %+v, %v; want %s", list, quoted, back, err, raw)
		}
	})
}

// TestCompareFollowsValues: canonical texts sort as what they stand for.
func TestCompareFollowsValues(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawTime(t), drawTime(t)
		if got, want := Compare(OfTimestamp(a), OfTimestamp(b)), a.Compare(b); got != want {
			t.Fatalf("Compare(%s, %s) = %d, want %d", a, b, got, want)
		}
		x := rapid.Int64Range(0, microsPerDay).Draw(t, "x")
		y := rapid.Int64Range(0, microsPerDay).Draw(t, "y")
		if got := strings.Compare(string(appendClock(nil, x)), string(appendClock(nil, y))); got != Compare(OfInt(x), OfInt(y)) {
			t.Fatalf("times %d and %d compare as %d", x, y, got)
		}
	})
	for i, c := range []struct {
		a, b Value
		want int
	}{
		{Null(), Null(), 0},
		{Null(), OfInt(1), 1},
		{OfText(""), Null(), -1},
		{OfInt(-1), OfInt(1), -1},
		{OfFloat(1), OfFloat(0.5), 1},
		{OfText("Z"), OfText("a"), -1},
		{OfText("z"), OfText("é"), -1},
		{OfBytes("\xff"), OfBytes("\x00"), 1},
		{OfInt(1), OfText("1"), -1},
	} {
		if got := Compare(c.a, c.b); got != c.want {
			t.Errorf("%d: Compare = %d, want %d", i, got, c.want)
		}
	}
}

func TestAppendAllocations(t *testing.T) {
	buf := make([]byte, 0, 256)
	uuid := OfText("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")
	if n := testing.AllocsPerRun(50, func() {
		buf = AppendQuoted(buf[:0], "plain")
		buf = AppendQuoted(buf, "größer \"\n\x01")
		buf = AppendFloat(buf, 1.5e300)
		buf = AppendDecimal(buf, -5, 2)
		buf = Type{Kind: UUID}.AppendJSON(buf, uuid)
		buf = Type{Kind: Bytes}.AppendJSON(buf, uuid)
		buf = Type{Kind: Timestamp}.AppendText(buf, uuid)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if got := string(Type{Kind: Text}.AppendJSON(nil, Null())) + string(Type{Kind: Text}.AppendText(nil, Null())); got != "null" {
		t.Errorf("null is %q", got)
	}
	if got := strconv.Quote(string(Type{Kind: Bytes}.AppendJSON(nil, OfBytes("\x00A")))); got != `"\"\\\\x0041\""` {
		t.Errorf("bytes are %s", got)
	}
}
