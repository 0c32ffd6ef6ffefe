package postgres

import (
	"testing"
)

// TestArrays holds what is bound to an array, and what comes back of it,
// against the JSON that both stand for.
func TestArrays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		json, literal string
		element       uint32
	}{
		{`[]`, `{}`, oidNumeric},
		{`[1,-2.50]`, `{"1","-2.50"}`, oidNumeric},
		{`[true,false]`, `{"true","false"}`, oidBool},
		{`["a","","b,c","{}","\"\\","null"]`, `{"a","","b,c","{}","\"\\","null"}`, 25},
		{`["é\n"]`, "{\"é\n\"}", 25},
		{`["]","[,"]`, `{"]","[,"}`, 25},
		{`[{"a":[1,"x,]"]},"b",null,[]]`, `{"{\"a\":[1,\"x,]\"]}","\"b\"","null","[]"}`, oidJSONB},
	} {
		if got := string(appendArray(nil, c.json, c.element == oidJSONB)); got != c.literal {
			t.Errorf("%s is bound as %s, want %s", c.json, got, c.literal)
		}
		if got := string(appendList(nil, []byte(c.literal), c.element)); got != c.json {
			t.Errorf("%s is read as %s, want %s", c.literal, got, c.json)
		}
	}
	// What the server writes has quotes only where it must.
	for _, c := range []struct {
		literal, json string
		element       uint32
	}{
		{`{1,NaN}`, `[1,NaN]`, oidNumeric},
		{`{t,f}`, `[true,false]`, oidBool},
		{`{a,"",b}`, `["a","","b"]`, 25},
		{`{"2026-01-02 03:04:05.5+00","2026-01-02 03:04:05+00"}`, `["2026-01-02T03:04:05.5+00:00","2026-01-02T03:04:05+00:00"]`, oidTimestamptz},
		{`{"{\"a\": [1, \"x, y\"]}",1}`, `[{"a":[1,"x, y"]},1]`, oidJSONB},
	} {
		if got := string(appendList(nil, []byte(c.literal), c.element)); got != c.json {
			t.Errorf("%s is read as %s, want %s", c.literal, got, c.json)
		}
	}
}

func TestCompact(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"a": 1, "b c": [true, "x,  y", "\" : \\"]}`: `{"a":1,"b c":[true,"x,  y","\" : \\"]}`,
		`"a  b"`: `"a  b"`, `1`: `1`, ``: ``,
	} {
		if got := string(appendCompact([]byte(">"), []byte(in))); got != ">"+want {
			t.Errorf("%s became %s, want %s", in, got, want)
		}
	}
}
