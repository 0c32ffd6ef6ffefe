package value

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pandobase/pando/internal/fault"
)

func TestFromJSON(t *testing.T) {
	t.Parallel()
	status := Type{Kind: Enum, Values: []string{"open", "paid", "shipped"}}
	short := Type{Kind: Text, Max: new(OfInt(3)), Min: new(OfInt(1))}
	price := Type{Kind: Decimal, Scale: 2}
	for _, c := range []struct {
		typ  Type
		raw  string
		want Value
		code fault.Code // of the error; want is ignored
	}{
		{Type{Kind: Text}, `null`, Null(), ""},
		{Type{Kind: Text}, ` "a" `, OfText("a"), ""},
		{Type{Kind: Text}, `"a\u0062\n\/\ud83d\ude00"`, OfText("ab\n/😀"), ""},
		{Type{Kind: Text}, `"e\u0301"`, OfText("é"), ""},
		{Type{Kind: Text}, `1.50`, OfText("1.50"), ""},
		{Type{Kind: Text}, `true`, OfText("true"), ""},
		{Type{Kind: Text}, `""`, OfText(""), ""},
		{Type{Kind: Text}, ``, Null(), fault.InvalidText},
		{Type{Kind: Text}, `"a`, Null(), fault.InvalidText},
		{Type{Kind: Text}, `"a\`, Null(), fault.InvalidText},
		{Type{Kind: Text}, `"a\"`, Null(), fault.InvalidText},
		{Type{Kind: Text}, `"a" "b"`, Null(), fault.InvalidText},
		{Type{Kind: Text}, `"a\q"`, Null(), fault.InvalidText},
		{Type{Kind: Text}, `"a\u12g4"`, Null(), fault.InvalidText},
		{Type{Kind: Text}, "\"a\nb\"", Null(), fault.InvalidText},
		{Type{Kind: Text}, "\"a\x00b\"", Null(), fault.InvalidEncoding},
		{Type{Kind: Text}, `"a\u0000"`, Null(), fault.InvalidEncoding},
		{Type{Kind: Text}, `"\ud800"`, Null(), fault.InvalidText},
		{Type{Kind: Text}, `"\ud800\u0041"`, Null(), fault.InvalidText},
		{Type{Kind: Text}, "\"\xff\"", Null(), fault.InvalidEncoding},
		{Type{Kind: Text}, "\"\\n\xff\"", Null(), fault.InvalidEncoding},
		{Type{Kind: Text}, `{"a":1}`, Null(), fault.InvalidText},
		{Type{Kind: Text}, `[1]`, Null(), fault.InvalidText},
		{Type{Kind: Text}, `nul`, Null(), fault.InvalidText},
		{Type{Kind: Text}, `01`, Null(), fault.InvalidText},
		{Type{Kind: Text}, `1 2`, Null(), fault.InvalidText},
		{short, `"äöü"`, OfText("äöü"), ""},
		{short, `"o\u0308o\u0308o\u0308"`, OfText("ööö"), ""}, // length counts after NFC
		{short, `"abcd"`, Null(), fault.TextTooLong},
		{short, `""`, Null(), fault.Check},
		{Type{Kind: Int}, `5`, OfInt(5), ""},
		{Type{Kind: Int}, `"5"`, OfInt(5), ""},
		{Type{Kind: Int}, `-9223372036854775808`, OfInt(-9223372036854775808), ""},
		{Type{Kind: Int}, `9223372036854775808`, Null(), fault.NumericOutOfRange},
		{Type{Kind: Int}, `1.0`, Null(), fault.InvalidText},
		{Type{Kind: Int}, `1e3`, Null(), fault.InvalidText},
		{Type{Kind: Int}, `true`, Null(), fault.InvalidText},
		{Type{Kind: Int}, `""`, Null(), fault.InvalidText},
		{Type{Kind: Int, Min: new(OfInt(1))}, `1`, OfInt(1), ""},
		{Type{Kind: Int, Min: new(OfInt(1))}, `0`, Null(), fault.Check},
		{Type{Kind: Int, Max: new(OfInt(9))}, `10`, Null(), fault.Check},
		{Type{Kind: Float}, `1e3`, OfFloat(1000), ""},
		{Type{Kind: Float}, `"NaN"`, Null(), fault.InvalidText},
		{Type{Kind: Float}, `"-Infinity"`, Null(), fault.InvalidText},
		{Type{Kind: Float}, `"0x1p3"`, Null(), fault.InvalidText},
		{Type{Kind: Float}, `1e999`, Null(), fault.NumericOutOfRange},
		{price, `1`, OfInt(100), ""},
		{price, `1.50000`, OfInt(150), ""},
		{price, `-0.01`, OfInt(-1), ""},
		{price, `1.005`, Null(), fault.InvalidText},
		{price, `1e-3`, Null(), fault.InvalidText},
		{price, `10e-3`, OfInt(1), ""},
		{price, `9999999999999999.99`, OfInt(999999999999999999), ""},
		{price, `10000000000000000`, Null(), fault.NumericOutOfRange},
		{price, `1e99999999999999999999`, Null(), fault.NumericOutOfRange},
		{price, `1e-99999999999999999999`, Null(), fault.InvalidText},
		{price, `0e-99999999999999999999`, OfInt(0), ""},
		{Type{Kind: Decimal}, `1.0`, OfInt(1), ""},
		{Type{Kind: Decimal}, `0.5`, Null(), fault.InvalidText},
		{Type{Kind: Decimal, Scale: 18}, `0.999999999999999999`, OfInt(999999999999999999), ""},
		{Type{Kind: Decimal, Scale: 18}, `1`, Null(), fault.NumericOutOfRange},
		{Type{Kind: Decimal, Scale: 2, Max: new(OfInt(1000))}, `10.01`, Null(), fault.Check},
		{Type{Kind: Bool}, `true`, OfBool(true), ""},
		{Type{Kind: Bool}, `"false"`, OfBool(false), ""},
		{Type{Kind: Bool}, `0`, OfBool(false), ""},
		{Type{Kind: Bool}, `2`, Null(), fault.InvalidText},
		{Type{Kind: UUID}, `"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"`, OfText("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), ""},
		{Type{Kind: Timestamp}, `"2026-01-02T03:04:05.6789+02:00"`, OfText("2026-01-02T01:04:05.6789+00:00"), ""},
		{Type{Kind: Timestamp}, `"infinity"`, Null(), fault.InvalidText},
		{Type{Kind: Timestamp}, `"0001-01-01T00:00:00+01"`, Null(), fault.DatetimeOverflow},
		{Type{Kind: Timestamp}, `"9999-12-31T23:59:59.9999999"`, Null(), fault.DatetimeOverflow},
		{Type{Kind: Timestamp}, `1767322800`, Null(), fault.InvalidText},
		{Type{Kind: Date, Max: new(OfText("2026-01-01"))}, `"2026-01-02"`, Null(), fault.Check},
		{Type{Kind: Bytes}, `"\\x00FF"`, OfBytes("\x00\xff"), ""},
		{Type{Kind: Bytes, Max: new(OfInt(1))}, `"\\x00FF"`, Null(), fault.TextTooLong},
		{Type{Kind: Bytes}, `"Zm9v"`, Null(), fault.InvalidText},
		{Type{Kind: JSON}, ` {"b":1, "a":"\u0041"} `, OfText(`{"a":"A","b":1}`), ""},
		{Type{Kind: JSON}, `null`, Null(), ""},
		{Type{Kind: JSON}, `[null]`, OfText(`[null]`), ""},
		{status, `"paid"`, OfText("paid"), ""},
		{status, `"piad"`, Null(), fault.InvalidText},
		{status, `null`, Null(), ""},
		{Type{Kind: File}, `"a/b.png"`, OfText("a/b.png"), ""},
		{Type{}, `1`, Null(), fault.Internal},

		{Type{Kind: Text, List: true}, `[ "a" , "b,]" ,"\"" ]`, OfText(`["a","b,]","\""]`), ""},
		{Type{Kind: Text, List: true}, `[]`, OfText(`[]`), ""},
		{Type{Kind: Text, List: true}, `[ ]`, OfText(`[]`), ""},
		{Type{Kind: Text, List: true}, `"{a,b}"`, OfText(`["a","b"]`), ""},
		{Type{Kind: Text, List: true}, `null`, Null(), ""},
		{Type{Kind: Text, List: true}, `[null]`, Null(), fault.InvalidText},
		{Type{Kind: Text, List: true}, `["a",]`, Null(), fault.InvalidText},
		{Type{Kind: Text, List: true}, `[,]`, Null(), fault.InvalidText},
		{Type{Kind: Text, List: true}, `["a"`, Null(), fault.InvalidText},
		{Type{Kind: Text, List: true}, `["a"}`, Null(), fault.InvalidText},
		{Type{Kind: Text, List: true}, `["a"]]`, Null(), fault.InvalidText},
		{Type{Kind: Text, List: true}, `[["a"]]`, Null(), fault.InvalidText},
		{Type{Kind: Text, List: true}, `"a"`, Null(), fault.InvalidText},
		{Type{Kind: Text, List: true}, `5`, Null(), fault.InvalidText},
		{Type{Kind: Text, List: true}, `{}`, Null(), fault.InvalidText},
		{Type{Kind: Int, List: true}, `[1,"2",-3]`, OfText(`[1,2,-3]`), ""},
		{Type{Kind: Int, List: true, Max: new(OfInt(2))}, `[1,3]`, Null(), fault.Check},
		{Type{Kind: Decimal, Scale: 2, List: true}, `[1,2.5]`, OfText(`[1.00,2.50]`), ""},
		{Type{Kind: JSON, List: true}, `[{"b":[1,2],"a":"]"},1e1]`, OfText(`[{"a":"]","b":[1,2]},10]`), ""},
		{Type{Kind: JSON, List: true}, `[{"b":[1,2}]`, Null(), fault.InvalidText},
		{Type{Kind: Bytes, List: true}, `["\\x41"]`, OfText(`["\\x41"]`), ""},
		{Type{Kind: Timestamp, List: true}, `["2026-01-02"]`, OfText(`["2026-01-02T00:00:00+00:00"]`), ""},
	} {
		got, err := c.typ.FromJSON(c.raw)
		if c.code != "" {
			if !fault.Is(err, c.code) {
				t.Errorf("%s from %s: got %v and error %v, want code %s", c.typ, c.raw, got, err, c.code)
			}
			continue
		}
		if err != nil || got != c.want {
			t.Errorf("%s from %s = %+v, %v; want %+v", c.typ, c.raw, got, err, c.want)
		}
	}
}

// TestMessages: a message names what was sent, the type and what is valid, in
// one short line of valid UTF-8.
func TestMessages(t *testing.T) {
	t.Parallel()
	_, err := Type{Kind: Enum, Values: []string{"open", "paid"}}.FromText("piad")
	if f := fault.From(err); f.Hint != `did you mean "paid"?` || f.Details != "the values are open, paid" {
		t.Errorf("enum: %+v", f)
	}
	_, err = Type{Kind: Int}.FromText("\xff" + strings.Repeat("x\n", 1000))
	if f := fault.From(err); len(f.Message) > 200 || strings.Contains(f.Message, "\n") || !utf8.ValidString(f.Message) {
		t.Errorf("int: %q", f.Message)
	}
	_, err = Type{Kind: Decimal, Scale: 2}.FromText("1.005")
	if f := fault.From(err); !strings.Contains(f.Hint, "never rounded") {
		t.Errorf("decimal: %+v", f)
	}
}

func TestKinds(t *testing.T) {
	t.Parallel()
	for k := Text; k <= File; k++ {
		if got, ok := ParseKind(k.String()); !ok || got != k {
			t.Errorf("ParseKind(%q) = %v, %v", k, got, ok)
		}
	}
	for _, name := range []string{"", "invalid", "ref", "Text"} {
		if k, ok := ParseKind(name); ok {
			t.Errorf("ParseKind(%q) = %v", name, k)
		}
	}
	if got := Kind(99).String(); got != "invalid" {
		t.Errorf("an unknown kind is %q", got)
	}
	if got := (Type{Kind: Decimal, Scale: 2, List: true}).String(); got != "decimal(2)[]" {
		t.Errorf("String() = %q", got)
	}
}

// TestFromJSONAllocations holds the hot path: plain texts, numbers and what is
// canonical already cost nothing.
func TestFromJSONAllocations(t *testing.T) {
	for _, c := range []struct {
		typ Type
		raw string
	}{
		{Type{Kind: Text}, `"a plain text without escapes"`},
		{Type{Kind: Text, Max: new(OfInt(100))}, `"schön"`},
		{Type{Kind: Int}, `123456`},
		{Type{Kind: Float}, `1.25`},
		{Type{Kind: Decimal, Scale: 2}, `12.50`},
		{Type{Kind: Bool}, `true`},
		{Type{Kind: UUID}, `"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"`},
		{Type{Kind: Timestamp}, `"2026-01-02T03:04:05.6789+00:00"`},
		{Type{Kind: Date}, `"2026-01-02"`},
		{Type{Kind: Time}, `"03:04:05"`},
		{Type{Kind: Enum, Values: []string{"open", "paid"}}, `"paid"`},
	} {
		if n := testing.AllocsPerRun(50, func() {
			if _, err := c.typ.FromJSON(c.raw); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s from %s: %v allocations", c.typ, c.raw, n)
		}
	}
}
