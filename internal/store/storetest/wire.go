package storetest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/query"
)

const wireEntities = `  owners: { fields: { id: { type: int, primary: true } } }
  things:
    fields:
      id:      { type: int, primary: true }
      owner_id: { ref: owners }
      text:    { type: text, optional: true }
      int:     { type: int, optional: true }
      dec2:    { type: decimal, scale: 2, optional: true }
      dec0:    { type: decimal, scale: 0, optional: true }
      float:   { type: float, optional: true }
      bool:    { type: bool, optional: true }
      uuid:    { type: uuid, optional: true }
      stamp:   { type: timestamp, optional: true }
      date:    { type: date, optional: true }
      time:    { type: time, optional: true }
      json:    { type: json, optional: true }
      bytes:   { type: bytes, optional: true }
      enum:    { type: enum, values: [open, paid], optional: true }
      texts:   { type: text, list: true, optional: true }
      ints:    { type: int, list: true, optional: true }
      decs:    { type: decimal, scale: 1, list: true, optional: true }
      floats:  { type: float, list: true, optional: true }
      stamps:  { type: timestamp, list: true, optional: true }
      enums:   { type: enum, values: [open, paid], list: true, optional: true }
      bounded: { type: text, max: 3, min: 2, optional: true }
      range:   { type: int, min: 1, max: 5, optional: true }
`

// wireForms are the design's table "On the wire": what goes in and comes out.
func wireForms() []struct{ field, in, out string } {
	return []struct{ field, in, out string }{
		{"text", `""`, `""`},
		{"text", `"a\"\\\u0001\b\f\n\r\t/\u007f\u2028é😀"`, "\"a\\\"\\\\\\u0001\\b\\f\\n\\r\\t/\x7f\u2028é😀\""},
		{"text", `"e\u0301"`, `"é"`},
		{"text", `"\u212b"`, `"Å"`},
		{"text", `"'; DROP TABLE things; --"`, `"'; DROP TABLE things; --"`},
		{"int", `0`, `0`},
		{"int", `-9223372036854775808`, `-9223372036854775808`},
		{"int", `9223372036854775807`, `9223372036854775807`},
		{"dec2", `0`, `0.00`},
		{"dec2", `-0.05`, `-0.05`},
		{"dec2", `1.5`, `1.50`},
		{"dec2", `1e2`, `100.00`},
		{"dec2", `9999999999999999.99`, `9999999999999999.99`},
		{"dec0", `-7`, `-7`},
		{"float", `1.0`, `1`},
		{"float", `0.1`, `0.1`},
		{"float", `1e15`, `1e+15`},
		{"float", `123456789012345`, `123456789012345`},
		{"float", `1e-5`, `1e-05`},
		{"float", `1.7976931348623157e308`, `1.7976931348623157e+308`},
		{"bool", `true`, `true`},
		{"bool", `false`, `false`},
		{"uuid", `"0195F0A0-0000-7000-8000-00000000000A"`, `"0195f0a0-0000-7000-8000-00000000000a"`},
		{"stamp", `"2026-01-02T03:04:05.678900Z"`, `"2026-01-02T03:04:05.6789+00:00"`},
		{"stamp", `"2026-01-02 05:04:05+02"`, `"2026-01-02T03:04:05+00:00"`},
		{"stamp", `"2026-01-02T03:04:05.123456Z"`, `"2026-01-02T03:04:05.123456+00:00"`},
		{"date", `"2026-01-02"`, `"2026-01-02"`},
		{"time", `"03:04:05.50"`, `"03:04:05.5"`},
		{"json", `{"bb":1,"a":2,"a":3, "c" : [1.50, true,null,"x"]}`, `{"a":3,"c":[1.50,true,null,"x"],"bb":1}`},
		{"json", `"just a text"`, `"just a text"`},
		{"json", `1.50`, `1.50`},
		{"json", `[]`, `[]`},
		{"bytes", `"\\x00FFab"`, `"\\x00ffab"`},
		{"bytes", `"\\x"`, `"\\x"`},
		{"enum", `"paid"`, `"paid"`},
		{"texts", `["b","a","","e\u0301","\"\\"]`, `["b","a","","é","\"\\"]`},
		{"texts", `[]`, `[]`},
		{"ints", `[3, -1]`, `[3,-1]`},
		{"decs", `[1, 2.5]`, `[1.0,2.5]`},
		{"floats", `[1.0,1e20]`, `[1,1e+20]`},
		{"stamps", `["2026-01-02T03:04:05Z"]`, `["2026-01-02T03:04:05+00:00"]`},
		{"enums", `["paid","open","paid"]`, `["paid","open","paid"]`},
		{"bounded", `"éé😀"`, `"éé😀"`},
		{"range", `5`, `5`},
	}
}

func (s *suite) wire(t *testing.T) {
	t.Run("in and out", func(t *testing.T) { wireOut(s.world(t, "", wireEntities)) })
	t.Run("refused", func(t *testing.T) { wireRefused(s.world(t, "", wireEntities)) })
	t.Run("casts", func(t *testing.T) { wireCasts(s.world(t, "", wireEntities)) })
}

// wireOut sees every value three ways: in the representation of its write, in
// a read, and inside an array that the database built.
func wireOut(w *world) {
	w.add("owners", `{"id":1}`)
	w.add("things", `{"id":0,"owner_id":1}`)
	for i, f := range wireForms() {
		id := i + 1
		wr := create("things", fmt.Sprintf(`{"id":%d,"owner_id":1,%q:%s}`, id, f.field, f.in))
		wr.Returning.Select = []query.Item{&query.Column{Path: query.Path{Field: f.field}}}
		want := fmt.Sprintf(`[{%q:%s}]`, f.field, f.out)
		if body, _ := w.do(wr); body != want {
			w.Errorf("%s %s is represented as\n     %s\nwant %s", f.field, f.in, body, want)
		}
		w.answers(fmt.Sprintf("things(%s){where=id.eq.%d}", f.field, id), want)
		w.answers(fmt.Sprintf("owners(things(%s){where=id.eq.%d})", f.field, id), `[{"things":`+want+`}]`)
		w.answers(fmt.Sprintf("owners(things(%s){where=id.eq.0})", f.field), fmt.Sprintf(`[{"things":[{%q:null}]}]`, f.field))
		// What was answered is accepted again, and stored alike.
		if f.field != "json" {
			w.do(update("things", fmt.Sprintf("id.eq.%d", id), fmt.Sprintf(`{%q:%s}`, f.field, f.out)))
			w.answers(fmt.Sprintf("things(%s){where=id.eq.%d}", f.field, id), want)
		}
	}
	w.answers("things{where=id.eq.0}", `[{"id":0,"owner_id":1,`+strings.Join(nulls(w), ",")+`}]`)
}

func nulls(w *world) []string {
	var out []string
	for _, f := range w.app.Entity("t", "things").Fields[2:] {
		out = append(out, `"`+f.Name+`":null`)
	}
	return out
}

func wireRefused(w *world) {
	w.add("owners", `{"id":1}`)
	for _, c := range []struct {
		field, in string
		code      fault.Code
	}{
		{"text", `"\u0000"`, fault.InvalidEncoding},
		{"text", "\"\xff\"", fault.InvalidEncoding},
		{"text", `[`, fault.InvalidText},
		{"int", `9223372036854775808`, fault.NumericOutOfRange},
		{"int", `1.5`, fault.InvalidText},
		{"int", `"x"`, fault.InvalidText},
		{"dec2", `1.005`, fault.InvalidText},
		{"dec2", `99999999999999999`, fault.NumericOutOfRange},
		{"float", `1e400`, fault.NumericOutOfRange},
		{"bool", `2`, fault.InvalidText},
		{"uuid", `"x"`, fault.InvalidText},
		{"stamp", `"2026-02-30T00:00:00Z"`, fault.DatetimeOverflow},
		{"date", `"tomorrow"`, fault.InvalidText},
		{"json", `{"a":"\u0000"}`, fault.InvalidEncoding},
		{"bytes", `"\\xzz"`, fault.InvalidText},
		{"enum", `"paied"`, fault.InvalidText},
		{"texts", `["a",null]`, fault.InvalidText},
		{"texts", `"a"`, fault.InvalidText},
		{"bounded", `"abcd"`, fault.TextTooLong},
		{"bounded", `"a"`, fault.Check},
		{"range", `6`, fault.Check},
		{"range", `0`, fault.Check},
	} {
		wr := create("things", fmt.Sprintf(`{"id":1,"owner_id":1,%q:0}`, c.field))
		wr.Rows[0][2].Raw = c.in
		f := w.fails(wr, c.code)
		if !strings.Contains(f.Details, "'"+c.field+"'") {
			w.Errorf("%s %s: the details %q do not name the field", c.field, c.in, f.Details)
		}
	}
	w.answers("things(id)", `[]`)
}

func wireCasts(w *world) {
	w.add("owners", `{"id":1}`)
	w.add("things", `{"id":1,"owner_id":1,"text":"12","int":7,"dec2":2.50,"float":2.5,"bool":true,"stamp":"2026-01-02T03:04:05Z","date":"2026-01-02","json":{"n":1.50}}
{"id":2,"owner_id":1,"text":"twelve"}`)
	for _, c := range []struct{ sel, want string }{
		{"text::int", `{"text":12}`},
		{"int::text", `{"int":"7"}`},
		{"dec2::text", `{"dec2":"2.50"}`},
		{"dec2::int", `{"dec2":3}`},
		{"float::int", `{"float":2}`},
		{"bool::int", `{"bool":1}`},
		{"bool::text", `{"bool":"true"}`},
		{"int::bool", `{"int":true}`},
		{"stamp::date", `{"stamp":"2026-01-02"}`},
		{"date::timestamptz", `{"date":"2026-01-02T00:00:00+00:00"}`},
		{"json->n::text", `{"n":"1.50"}`},
		{"n:json->>n::float", `{"n":1.5}`},
	} {
		w.answers("things("+c.sel+"){where=id.eq.1}", "["+c.want+"]")
	}
	w.answers("things(int::text){where=id.eq.2}", `[{"int":null}]`)
	w.refuses("things(text::int)", fault.InvalidText)
	w.refuses("things(text::nonsense)", fault.UndefinedFunction)
	w.refuses("things(bool::date)", fault.UndefinedFunction)
}
