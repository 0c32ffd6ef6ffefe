package metamorphic

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// kind is a type of the module language with values, as JSON, that reach its
// edges. Some of them it must refuse: both stores alike.
type kind struct {
	base   string // the word of the module language
	decl   string
	list   bool
	values []string
	wrong  []string
}

// texts are what stores, encodings and alphabets differ in.
func texts() []string {
	return []string{
		`""`, `"a"`, `"b"`, `"A"`, `"B"`, `"ab"`, `"aB"`, `"abc"`, `" a "`, `"ß"`, `"ẞ"`, `"ss"`, `"SS"`, `"Straße"`, `"STRASSE"`, `"i"`, `"I"`, `"İ"`, `"ı"`, `"i\u0307"`,
		`"σ"`, `"ς"`, `"Σ"`, `"ὈΔΥΣΣΕΎΣ"`, `"é"`, `"e\u0301"`, `"É"`, `"E\u0301\u0323"`, `"ﬁ"`, `"FI"`, `"ŉ"`, `"ΐ"`, `"ᾳ"`, `"ᾼ"`, `"ǆ"`, `"ǅ"`, `"Ǆ"`, `"\u212a"`, `"k"`, `"Å"`, `"\u212b"`,
		`"😀"`, `"𐐀"`, `"𐐨"`, `"Ა"`, `"ა"`, `"ꭰ"`, `"Ꭰ"`, `"ⅷ"`, `"Ⅷ"`, `"１"`, `"\u200d"`, `"\ufeffa"`, `"\u2028"`, `"\u007f"`, `"\u0001"`, `"\u0002"`, `"\u0003"`, `"\u0002\u0003ı"`, `"\uffff"`, `"\ue000"`,
		`"a%b"`, `"a_b"`, `"a\\b"`, `"%"`, `"_"`, `"\\"`, `"*"`, `"\""`, `"'"`, `"\n"`, `"a\tb"`, `"\r\n"`, `"--"`, `"{a,b}"`, `"(a)"`, `"[1]"`, `"null"`, `"NULL"`, `"true"`, `"t"`, `"10"`, `" 10 "`, `"1e2"`, `"-0"`, `"0.10"`,
		`"the quick brown fox"`, `"Quick foxes, quick!"`, `"brown-fox 42"`, `"don't"`, `"a.b@c.de"`, `"3.14 x1y2"`, `"über cool"`, `"2026-01-02"`, `"2026-01-02T03:04:05Z"`, `"0198f1c2-0000-7000-8000-000000000001"`, `"{\"a\":1}"`,
	}
}

// broken are no texts, or none that can be stored.
func broken() []string {
	return []string{`"\u0000"`, `"a\u0000b"`, "\"a\x00b\"", "\"\xff\"", "\"a\xc3\"", `"\ud800"`, `"\udc00a"`, "\"\xed\xa0\x80\"", `1`, `true`, `{}`, `["a"]`, `"\x"`}
}

// scalars are the kinds whose values stand alone.
func scalars() []kind {
	return []kind{
		{
			base: "int", decl: "type: int", values: []string{"0", "1", "-1", "2", "3", "10", "100", "9223372036854775807", "-9223372036854775808", "9223372036854775806", "4611686018427387904", "9007199254740993"},
			wrong: []string{"9223372036854775808", "-9223372036854775809", "1.0", "1e2", "1.5", `"5"`, `" 5 "`, `"a"`, "true", "1e400", "[]", "00", "-0"},
		},
		{base: "text", decl: "type: text", values: texts(), wrong: broken()},
		{
			base: "decimal", decl: "type: decimal, scale: 2", values: []string{"0", "0.01", "-0.01", "0.5", "-0.5", "1.25", "1.30", "10", "9999999999999999.99", "-9999999999999999.99", "1e2", "1234567890123456.78", "1.250", "-0"},
			wrong: []string{"10000000000000000", "0.001", "1e30", `"1.5"`, `"x"`, "1e-3", `"NaN"`, "true", "1e999999999"},
		},
		{
			base: "decimal", decl: "type: decimal, scale: 0", values: []string{"0", "1", "-1", "2", "7", "999999999999999999", "-999999999999999999", "1.0"},
			wrong: []string{"1000000000000000000", "0.5", "1e18"},
		},
		{base: "decimal", decl: "type: decimal, scale: 8", values: []string{"0", "0.00000001", "-0.00000001", "1.5", "9999999999.99999999", "3.14159265"}, wrong: []string{"0.000000001", "10000000000"}},
		{
			base: "float", decl: "type: float", values: []string{"0", "-0", "-0.0", "0.1", "0.2", "0.5", "1", "-1.5", "1e20", "1e21", "1e-7", "1e-5", "1e308", "-1e308", "1.7976931348623157e308", "5e-324", "2.2250738585072014e-308", "123456789012345680", "0.30000000000000004", "3.0e0"},
			wrong: []string{"1e309", "1e-400", `"1.5"`, `"NaN"`, `"Infinity"`, "true", `"x"`},
		},
		{base: "bool", decl: "type: bool", values: []string{"true", "false"}, wrong: []string{"1", "0", `"true"`, `"t"`, `"yes"`, `"x"`}},
		{
			base: "uuid", decl: "type: uuid", values: []string{`"0198f1c2-0000-7000-8000-000000000001"`, `"0198f1c2-0000-7000-8000-000000000002"`, `"00000000-0000-0000-0000-000000000000"`, `"ffffffff-ffff-ffff-ffff-ffffffffffff"`, `"0198F1C2-0000-7000-8000-0000000000AB"`},
			wrong: []string{`"{0198f1c2-0000-7000-8000-000000000001}"`, `"0198f1c200007000800000000000000f"`, `"x"`, `1`, `""`},
		},
		{
			base: "timestamp", decl: "type: timestamp", values: []string{
				`"2026-01-02T03:04:05Z"`, `"2026-01-02T03:04:05.5Z"`, `"2026-01-02T03:04:05.678901Z"`, `"2026-01-02T04:04:05+01:00"`, `"2026-01-02T03:04:05.100000-12:00"`, `"2026-01-02 03:04:05+14"`, `"1969-12-31T23:59:59.999999Z"`,
				`"0001-01-01T00:00:00Z"`, `"9999-12-31T23:59:59.999999Z"`, `"2024-02-29T00:00:00Z"`, `"2026-06-30T23:30:00-05:30"`, `"1900-01-01T00:00:00.000001Z"`,
			},
			wrong: []string{`"2026-02-30T00:00:00Z"`, `"2026-01-02T03:04:05.1234567Z"`, `"2026-01-02T24:00:00Z"`, `"2026-01-02T03:04:60Z"`, `"2026-01-02"`, `"2026-01-02T03:04:05"`, `"infinity"`, `"now"`, `"0000-01-01T00:00:00Z"`, `"10000-01-01T00:00:00Z"`, `"0001-01-01T00:00:00+01:00"`, `"9999-12-31T23:59:59-01:00"`, `"x"`, `1`, `"2026-01-02T03:04:05+25:00"`},
		},
		{base: "date", decl: "type: date", values: []string{`"2026-01-02"`, `"1999-12-31"`, `"0001-01-01"`, `"9999-12-31"`, `"2024-02-29"`}, wrong: []string{`"2026-02-30"`, `"2023-02-29"`, `"infinity"`, `"0000-01-01"`, `"2026-1-2"`, `"x"`, `"2026-01-02T03:04:05Z"`}},
		{base: "time", decl: "type: time", values: []string{`"00:00:00"`, `"03:04:05"`, `"03:04:05.5"`, `"23:59:59.999999"`, `"12:00"`}, wrong: []string{`"24:00:00"`, `"12:00:60"`, `"25:00"`, `"12:00:00Z"`, `"12:00:00+01"`, `"x"`, `"03:04:05.1234567"`}},
		{base: "json", decl: "type: json", values: jsons(), wrong: []string{`{"a":"\u0000"}`, `["\ud800"]`, `{"a":}`, `{"\u0000":1}`, "{\"a\":\"\xff\"}", strings.Repeat("[", 300) + strings.Repeat("]", 300)}},
		{base: "enum", decl: "type: enum, values: [x, y, z, Z]", values: []string{`"x"`, `"y"`, `"z"`, `"Z"`}, wrong: []string{`"w"`, `""`, `1`, `"X"`}},
		{base: "bytes", decl: "type: bytes", values: []string{`"\\x"`, `"\\x00"`, `"\\x00ff"`, `"\\xFF"`, `"\\xdeadbeef"`}, wrong: []string{`"\\x0"`, `"x"`, `"\\xzz"`, `1`, `""`}},
	}
}

// jsons differ in order, duplicates, numbers and depth.
func jsons() []string {
	return []string{
		`1`, `1.0`, `1.10`, `10`, `-0`, `-0.0`, `1e2`, `1E+2`, `1e-2`, `1e100`, `12345678901234567890.12345`, `0.1000`, `9223372036854775808`, `"a"`, `"1"`, `""`, `"é"`, `"e\u0301"`, `"\u0041\n"`, `"\u007f\u2028"`, `null`, `true`, `false`, `[]`, `{}`, `[[]]`, `[1,2]`, `[1, 2, [3]]`,
		`{"a":1}`, `{"a":null}`, `{"b":1,"a":2}`, `{"a":1,"a":2}`, `{"a":{"a":1,"b":0,"a":3}}`, `{"bb":1,"a":2,"ccc":{"z":1,"y":2}}`, `{"é":1,"z":2}`, `{"a":1.50,"b":[1,"x",null,true]}`, `["a",{"a":"b"}]`, `{"a":true,"b":false}`, `{"a":"true","b":"1"}`, `{"":1," ":2}`, `{"a\"b":1,"a\\b":2}`,
		`{"a":[{"b":1},{"b":null},{"b":"x"}]}`, `{"a":"\u00e9\ud83d\ude00"}`, `{"0":"zero","a":{"0":[0]}}`, `[0,[1,[2,[3,[4]]]]]`, `[null]`, `[true,false,1,"1"]`, `{"a":1e2,"b":100,"c":100.0}`, "{ \"a\" : [ 1 , 2 ] ,\n\"b\":\"x  y\" }", `" "`, `"null"`,
		strings.Repeat("[", 40) + strings.Repeat("]", 40), strings.Repeat(`{"a":`, 30) + "1" + strings.Repeat("}", 30),
	}
}

// kinds are those of scalars, of lists of them, and with bounds.
func kinds() []kind {
	out := scalars()
	for _, k := range scalars() {
		k.list = true
		k.decl += ", list: true"
		k.wrong = append(k.wrong, "null")
		out = append(out, k)
	}
	bounded := func(i int, more string) {
		k := scalars()[i]
		k.decl += more
		out = append(out, k)
	}
	bounded(0, ", min: -1, max: 10")
	bounded(1, ", max: 3")
	bounded(1, ", min: 1, max: 5")
	bounded(2, ", min: 0, max: 10")
	return out
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// one draws a value, as JSON.
func (k *kind) one(r *rand.Rand) string {
	scalar := func() string {
		if len(k.wrong) > 0 && r.IntN(40) == 0 {
			return pick(r, k.wrong)
		}
		return pick(r, k.values)
	}
	if !k.list {
		return scalar()
	}
	if r.IntN(60) == 0 {
		return pick(r, []string{`[[]]`, `"{}"`, `{}`, `1`, `[null]`, `"{a,b}"`, `[[1],[2]]`})
	}
	elements := make([]string, r.IntN(4))
	for i := range elements {
		elements[i] = scalar()
	}
	return "[" + strings.Join(elements, ",") + "]"
}

// plain is a JSON value as a filter writes it.
func plain(j string) string {
	if len(j) < 2 || j[0] != '"' {
		return j
	}
	var b strings.Builder
	for i := 1; i < len(j)-1; i++ {
		if j[i] != '\\' {
			b.WriteByte(j[i])
			continue
		}
		i++
		switch j[i] {
		case 'n':
			b.WriteByte('\n')
		case 't':
			b.WriteByte('\t')
		case 'r':
			b.WriteByte('\r')
		case 'u':
			var c rune
			if _, err := fmt.Sscanf(j[i+1:min(i+5, len(j)-1)], "%04x", &c); err == nil {
				b.WriteRune(c)
			}
			i = min(i+4, len(j)-1)
		default:
			b.WriteByte(j[i])
		}
	}
	return b.String()
}

// filterText draws the text of a filter's value.
func (k *kind) filterText(r *rand.Rand) string {
	if !k.list {
		if r.IntN(30) == 0 {
			return plain(pick(r, texts()))
		}
		return plain(k.one(r))
	}
	parts := make([]string, r.IntN(3))
	for i := range parts {
		parts[i] = quoted(plain(pick(r, k.values)))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// quoted is a text as an element of a list.
func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
