package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/query"
)

// showInput prints the columns and then each row's cells: raw JSON as it is,
// text in quotation marks after t, - for absent, ∅ for null.
func showInput(in input, err error) string {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return fmt.Sprintf("%s %s: %s", f.Code, f.Message, f.Details)
	}
	if err != nil {
		return "NOT A FAULT: " + err.Error()
	}
	s := strings.Join(in.columns, ",")
	for _, row := range in.rows {
		s += " |"
		for _, c := range row {
			switch c.Kind {
			case query.Absent:
				s += " -"
			case query.NullCell:
				s += " ∅"
			case query.FromJSON:
				s += " " + c.Raw
			case query.FromText:
				s += fmt.Sprintf(" t%q", c.Raw)
			}
		}
	}
	return s
}

func TestParseBody(t *testing.T) {
	deep := func(n int) string { return `{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + "}" }
	for _, tt := range []struct {
		name    string
		kind    bodyKind
		body    string
		columns []string
		miss    missing
		want    string
	}{
		{name: "one", body: ` { "a" : 1 , "b":"x\ny", "c":null,"d":[1, {"e":null}] } `, want: `a,b,c,d | 1 "x\ny" ∅ [1, {"e":null}]`},
		{name: "many", body: `[{"a":1,"b":true},{"b":false,"a":-2.5e+3},{"a":0,"b":{}}]`, want: `a,b | 1 true | -2.5e+3 false | 0 {}`},
		{name: "nothing", body: `[]`, want: ``},
		{name: "an empty object", body: `{}`, want: ` |`},
		{name: "empty objects", body: `[{},{}]`, want: ` | |`},
		{name: "the last of a key wins", body: `[{"a":1,"a":2,"b":3},{"b":4,"a":5,"b":null}]`, want: `a,b | 2 3 | 5 ∅`},
		{name: "escaped keys", body: `[{"\u0061\"":1},{"a\"":2}]`, want: `a" | 1 | 2`},
		{name: "more keys", body: `[{"a":1},{"a":1,"b":2}]`, want: `PGRST102 All object keys must match: the object at line 1, column 10 has the key "b", which the first one has not`},
		{name: "fewer keys", body: "[{\"a\":1,\"b\":2},\n {\"a\":1}]", want: `PGRST102 All object keys must match: the object at line 2, column 2 lacks a key of the first one`},
		{name: "columns", body: `[{"a":1,"x":0},{"b":2}]`, columns: []string{"b", "a"}, want: `b,a | - 1 | 2 -`},
		{name: "columns, null for what is missing", body: `[{"a":1},{"b":null}]`, columns: []string{"b", "a"}, miss: missingNull, want: `b,a | ∅ 1 | ∅ ∅`},
		{name: "columns, default for what is missing", body: `[{"a":1}]`, columns: []string{"b", "a"}, miss: missingDefault, want: `b,a | - 1`},
		{
			name: "many columns", body: `[{"a":0,"b":0,"c":0,"d":0,"e":0,"f":0,"g":0,"h":0,"i":0,"j":0,"k":0,"l":0,"m":0,"n":0,"o":0,"p":0,"q":0,"r":0,"a":9},{"r":1,"q":0,"p":0,"o":0,"n":0,"m":0,"l":0,"k":0,"j":0,"i":0,"h":0,"g":0,"f":0,"e":0,"d":0,"c":0,"b":0,"a":2}]`,
			want: `a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r | 9 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 | 2 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 1`,
		},

		{name: "an empty body", body: ` `, want: `PGRST102 Empty or invalid json: the body is empty`},
		{name: "a number", body: `5`, want: `PGRST102 Empty or invalid json: unexpected '5' at line 1, column 1, expecting an object or an array of objects`},
		{name: "an array of numbers", body: `[5]`, want: `PGRST102 Empty or invalid json: unexpected '5' at line 1, column 2, expecting an object in the array`},
		{name: "cut off", body: `[{"a":1},`, want: `PGRST102 Empty or invalid json: unexpected end at line 1, column 10, expecting an object in the array`},
		{name: "cut off in a text", body: `{"a":"b`, want: `PGRST102 Empty or invalid json: unexpected end at line 1, column 8, expecting a value`},
		{name: "a comma too many", body: `{"a":1,}`, want: `PGRST102 Empty or invalid json: unexpected '}' at line 1, column 8, expecting a key in quotation marks`},
		{name: "more behind it", body: `{"a":1} {"a":2}`, want: `PGRST102 Empty or invalid json: unexpected '{' at line 1, column 9, expecting the end of the body`},
		{name: "no colon", body: `{"a" 1}`, want: `PGRST102 Empty or invalid json: unexpected '1' at line 1, column 6, expecting ":"`},
		{name: "a bare word", body: "{\n\"ä\":yes}", want: `PGRST102 Empty or invalid json: unexpected 'y' at line 2, column 5, expecting a value`},
		{name: "a leading zero", body: `{"a":01}`, want: `PGRST102 Empty or invalid json: unexpected '1' at line 1, column 7, expecting "," or "}"`},
		{name: "a control character", body: "{\"a\":\"\x01\"}", want: `PGRST102 Empty or invalid json: unexpected '\x01' at line 1, column 7, expecting a value`},
		{name: "nested to the limit", body: deep(maxBodyDepth - 1), want: "a | " + strings.Repeat("[", maxBodyDepth-1) + strings.Repeat("]", maxBodyDepth-1)},
		{name: "nested deeper", body: deep(maxBodyDepth), want: "limit_exceeded the body is nested more than 500 levels deep: "},
		{name: "nested without end", body: `{"a":` + strings.Repeat(`[{"b":`, 100000), want: "limit_exceeded the body is nested more than 500 levels deep: "},

		{name: "csv", kind: csvBody, body: "\ufeffa,b\r\n1,\"x,\"\"y\"\n,\n", want: `a,b | t"1" t"x,\"y" | t"" t""`},
		{name: "csv, columns", kind: csvBody, body: "a,x,b\n1,2,3\n", columns: []string{"b", "a", "c"}, want: `b,a,c | t"3" t"1" -`},
		{name: "csv, only a header", kind: csvBody, body: "a,b\n", want: `a,b`},
		{name: "csv, nothing", kind: csvBody, body: "", want: `PGRST102 Empty or invalid csv: `},
		{name: "csv, a line too short", kind: csvBody, body: "a,b\n1\n", want: `PGRST102 All lines must have same number of fields: line 2, column 1: wrong number of fields`},
		{name: "csv, a bare quotation mark", kind: csvBody, body: "a\nx\"y\n", want: `PGRST102 Empty or invalid csv: line 2, column 2: bare " in non-quoted-field`},
		{name: "csv, one field twice", kind: csvBody, body: "a,a\n1,2\n", want: `42701 the header names "a" twice: `},
		{name: "csv, a field without a name", kind: csvBody, body: "a,\n1,2\n", want: `PGRST102 a field without a name: it is the 2. of the body`},
		{name: "csv, NUL", kind: csvBody, body: "a\n\x00\n", want: `22021 a text cannot hold the character NUL: `},

		{name: "form", kind: formBody, body: "a=1&b=x+y%26&a=2&c=", want: `a,b,c | t"2" t"x y&" t""`},
		{name: "form, columns", kind: formBody, body: "a=1&x=2", columns: []string{"b", "a"}, want: `b,a | - t"1"`},
		{name: "form that is JSON", kind: formBody, body: ` {"a":1}`, want: `unsupported_media_type the body is JSON, but its Content-Type says application/x-www-form-urlencoded: `},
		{name: "form, malformed", kind: formBody, body: "a=%", want: `PGRST100 the query string is not percent-encoded correctly: in %`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := showInput(parseBody(tt.kind, tt.body, tt.columns, tt.miss)); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestReadBody(t *testing.T) {
	for _, tt := range []struct {
		name    string
		body    string
		chunked bool
		header  string
		want    fault.Code
	}{
		{name: "fits", body: "0123456789"},
		{name: "fits, chunked", body: "0123456789", chunked: true},
		{name: "empty"},
		{name: "too large", body: "0123456789a", want: fault.BodyTooLarge},
		{name: "too large, chunked", body: strings.Repeat("x", 100), chunked: true, want: fault.BodyTooLarge},
		{name: "not UTF-8", body: "a\xff", want: fault.InvalidEncoding},
		{name: "compressed", body: "a", header: "gzip", want: fault.UnsupportedMediaType},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(tt.body))
			if tt.chunked {
				r.ContentLength = -1
			}
			r.Header.Set("Content-Encoding", tt.header)
			got, err := readBody(httptest.NewRecorder(), r, 10)
			if tt.want == "" && (err != nil || got != tt.body) {
				t.Errorf("got %q, %v", got, err)
			}
			if tt.want != "" && !fault.Is(err, tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestKindOf(t *testing.T) {
	for in, want := range map[string]bodyKind{
		"": jsonBody, "application/json": jsonBody, "Application/JSON; Charset=UTF-8": jsonBody,
		`text/csv; charset="utf-8"`: csvBody, "application/x-www-form-urlencoded": formBody, "application/vnd.pgrst.object+json": jsonBody,
	} {
		if got, err := kindOf(in); err != nil || got != want {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"text/plain", "application/xml", "multipart/form-data; boundary=x", "application/json; charset=latin1", "json"} {
		if _, err := kindOf(in); !fault.Is(err, fault.UnsupportedMediaType) {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestStripNulls(t *testing.T) {
	for in, want := range map[string]string{
		`[]`:                           `[]`,
		`{}`:                           `{}`,
		`[{"a":null}]`:                 `[{}]`,
		`[{"a":null,"b":1,"c":null}]`:  `[{"b":1}]`,
		`[{"a":1,"b":null},{"b":"x"}]`: `[{"a":1},{"b":"x"}]`,
		`{"a":{"b":null,"c":[null,1,{"d":null}]},"e":true}`: `{"a":{"c":[null,1,{}]},"e":true}`,
		`{"n":"null","\"k\\":"a,\"}","x":-1.5e3}`:           `{"n":"null","\"k\\":"a,\"}","x":-1.5e3}`,
		` [ { "a" : null , "b" : [ null , 2 ] } ] `:         `[{"b":[null,2]}]`,
		`[null]`: `[null]`,
		`null`:   `null`,
	} {
		src := []byte(in)
		if got := string(stripNulls(src)); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
		if string(src) != in {
			t.Errorf("%s was changed to %s", in, src)
		}
	}
}

func FuzzSplitJSON(f *testing.F) {
	for _, s := range []string{
		`{"a":1}`, `[{"a":1,"b":[null]},{"b":"\u00e4","a":-0.5e-7}]`, `[]`, `{}`, `[{},{}]`, `{"a":{"a":{"a":[[[]]]}}}`, `[{"a":tru}]`,
		`{"\ud800":1}`, "{\"a\":\"\x00\"}", `{"a":1}x`, `[{"a":1},]`, `{"a":01}`, `{"a":"\q"}`, `{"a":1,"a":2}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		in, err := splitJSON(body, nil)
		if err != nil {
			requireFault(t, err)
		} else if !json.Valid([]byte(body)) {
			t.Errorf("%q is no JSON and was taken", body)
		}
		for _, row := range in.rows {
			if len(row) != len(in.columns) {
				t.Fatalf("%q: a row of %d cells for %d columns", body, len(row), len(in.columns))
			}
			for _, c := range row {
				if c.Kind == query.Absent || (c.Kind == query.FromJSON && !json.Valid([]byte(c.Raw))) {
					t.Errorf("%q: cell %v", body, c)
				}
			}
		}
		if json.Valid([]byte(body)) {
			once := stripNulls([]byte(body))
			if !json.Valid(once) || string(stripNulls(once)) != string(once) {
				t.Errorf("%q stripped is %q", body, once)
			}
		}
		// With columns given, only the syntax can be wrong.
		if _, err := splitJSON(body, []string{"a"}); err == nil && !json.Valid([]byte(body)) {
			t.Errorf("%q is no JSON and was taken with columns", body)
		}
	})
}

func FuzzCSV(f *testing.F) {
	for _, s := range []string{"a,b\n1,2\n", "\ufeffa\n\"x\"\"\"\n", "a,a\n", "\n\na\nb", "a\n\"b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		in, err := splitCSV(body, nil)
		if err != nil {
			requireFault(t, err)
			return
		}
		for _, row := range in.rows {
			if len(row) != len(in.columns) {
				t.Fatalf("%q: a row of %d cells for %d columns", body, len(row), len(in.columns))
			}
		}
	})
}

func BenchmarkSplitJSON(b *testing.B) {
	row := `{"id":"0190f2a4-0000-7000-8000-000000000001","title":"a title of some length","priority":5,"done":false,"note":null}`
	for name, body := range map[string]string{"one": row, "thousand": "[" + strings.Repeat(row+",", 999) + row + "]"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if _, err := splitJSON(body, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
