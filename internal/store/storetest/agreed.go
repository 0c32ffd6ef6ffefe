package storetest

import (
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/fault"
)

const agreedEntities = `  things:
    fields:
      id:     { type: int, primary: true }
      text:   { type: text, optional: true }
      whole:  { type: decimal, scale: 0, optional: true }
      float:  { type: float, optional: true }
      texts:  { type: text, list: true, optional: true }
      enums:  { type: enum, values: [x, y], list: true, optional: true }
      floats: { type: float, list: true, optional: true }
      docs:   { type: json, list: true, optional: true }
  nodes:
    fields:
      id:        { type: int, primary: true }
      parent_id: { ref: nodes, optional: true, on_delete: cascade, inverse: children }
      code:      { type: text, optional: true }
    unique: [[code]]
  sums:
    fields:
      id:   { type: int, primary: true }
      a:    { type: int, optional: true }
      note: { type: text, optional: true }
    check: ["row.note != null || row.a * 9223372036854775807 <= 9223372036854775807", "row.note == null && row.a + 1 > 0 || row.note != 'x'"]
  links:
    fields:
      id:      { type: int, primary: true }
      next_id: { ref: links, optional: true, inverse: before }
`

// agreed are the cases in which the metamorphic test has seen stores differ.
func (s *suite) agreed(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func(*world)
	}{
		{"casts to JSON", agreedJSON},
		{"casts of texts", agreedTexts},
		{"rounding", agreedRounding},
		{"cascades to itself", agreedCascade},
		{"restricts itself", agreedRestrict},
		{"two keys are taken", agreedKeys},
		{"checks in order", agreedOrder},
		{"sums of floats", agreedSums},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(s.world(t, "", agreedEntities)) })
	}
}

// agreedJSON: lists become JSON, and JSON writes the digits of floats out.
func agreedJSON(w *world) {
	w.add("things", `{"id":1,"text":"a","float":1e-7,"texts":["a","é"],"enums":["y","x"],"floats":[1e20,5e-7],"docs":["e\u0301"]}`)
	for _, c := range []struct{ sel, want string }{
		{"texts::json", `{"texts":["a","é"]}`},
		{"enums::json", `{"enums":["y","x"]}`},
		{"floats::json", `{"floats":[100000000000000000000,0.0000005]}`},
		{"float::json", `{"float":0.0000001}`},
		{"d:docs->0::text", "{\"d\":\"\\\"e\u0301\\\"\"}"},
		{"d:docs->>0", "{\"d\":\"e\u0301\"}"},
		{"docs::text", "{\"docs\":\"[\\\"e\u0301\\\"]\"}"},
		{"f:floats->1", `{"f":0.0000005}`},
		{"f:floats->>0", `{"f":"100000000000000000000"}`},
		{"floats", `{"floats":[1e+20,5e-07]}`},
	} {
		w.answers("things("+c.sel+")", "["+c.want+"]")
	}
}

// agreedTexts: a cast takes the texts that a field of the type takes, and its
// fault does not say which value failed first.
func agreedTexts(w *world) {
	w.add("things", `{"id":1}`)
	for _, c := range []struct{ cast, text, want string }{
		{"bytea", `\\xff`, `"\\xff"`},
		{"bytea", `zqz`, ""},
		{"float", `NaN`, ""},
		{"float", `-0`, `0`},
		{"float", `0x10`, ""},
		{"int", ` 10 `, `10`},
		{"int", `0x10`, ""},
		{"int", `1_0`, ""},
		{"bool", `ye`, `true`},
		{"date", `now`, ""},
		{"date", `infinity`, ""},
		{"date", `Jan 2 2026`, ""},
		{"date", `20260102`, `"2026-01-02"`},
		{"timestamptz", `epoch`, ""},
		{"timestamptz", `2026-01-02 03:04+02`, `"2026-01-02T01:04:00+00:00"`},
		{"timestamptz", `2026-01-02 Europe/Paris`, ""},
		{"time", `allballs`, ""},
		{"time", `03:04`, `"03:04:00"`},
		{"uuid", `{0198f1c200007000800000000000000f}`, `"0198f1c2-0000-7000-8000-00000000000f"`},
	} {
		w.do(update("things", "id.eq.1", `{"text":"`+c.text+`"}`))
		spec := "things(text::" + c.cast + ")"
		if c.want != "" {
			w.answers(spec, `[{"text":`+c.want+`}]`)
			continue
		}
		if f := w.refuses(spec, fault.InvalidText); strings.Contains(f.Message+f.Details, c.text) {
			w.Errorf("%s of %s says %s", spec, c.text, explain(f))
		}
	}
}

// agreedRounding: no digit of a decimal is lost on its way to an integer.
func agreedRounding(w *world) {
	w.add("things", `{"id":1,"whole":999999999999999999}
{"id":2,"whole":-999999999999999999}`)
	w.answers("things(whole::int)", `[{"whole":999999999999999999},{"whole":-999999999999999999}]`)
}

// agreedCascade: a delete counts the rows that its filter names, also those
// that its own cascade reaches first.
func agreedCascade(w *world) {
	w.add("nodes", `{"id":1}
{"id":2,"parent_id":1}
{"id":3,"parent_id":2}
{"id":4,"parent_id":1}`)
	if _, res := w.do(remove("nodes", "id.lt.4")); res.Rows != 3 {
		w.Errorf("%d rows were deleted, want 3", res.Rows)
	}
	w.answers("nodes(id)", `[]`)
}

// agreedRestrict: rows that refer to each other are deleted together, and not
// alone.
func agreedRestrict(w *world) {
	w.add("links", `{"id":1}
{"id":2,"next_id":1}
{"id":3,"next_id":2}`)
	w.fails(remove("links", "id.eq.1"), fault.ForeignKey)
	w.fails(remove("links", "id.lt.3"), fault.ForeignKey)
	if _, res := w.do(remove("links", "id.gt.0")); res.Rows != 3 {
		w.Errorf("%d rows were deleted, want 3", res.Rows)
	}
}

// agreedKeys: of two keys that are taken the first is told.
func agreedKeys(w *world) {
	w.add("nodes", `{"id":1,"code":"a"}
{"id":2,"code":"b"}`)
	for row, want := range map[string]string{
		`{"id":1,"code":"b"}`: "Key (id)=(1) already exists.",
		`{"id":3,"code":"b"}`: "Key (code)=(b) already exists.",
	} {
		if f := w.fails(create("nodes", row), fault.Unique); f.Details != want {
			w.Errorf("%s: %s", row, explain(f))
		}
	}
}

// agreedOrder: a check is evaluated from the left, as far as it takes.
func agreedOrder(w *world) {
	w.add("sums", `{"id":1,"a":2,"note":"y"}
{"id":2,"a":1}
{"id":3}
{"id":4,"a":9223372036854775807,"note":"y"}`)
	w.fails(create("sums", `{"id":5,"a":2}`), fault.NumericOutOfRange)
	w.fails(create("sums", `{"id":6,"a":9223372036854775807}`), fault.NumericOutOfRange)
	w.fails(create("sums", `{"id":7,"a":1,"note":"x"}`), fault.Check)
	w.fails(update("sums", "id.eq.4", `{"note":null}`), fault.NumericOutOfRange)
	w.fails(update("sums", "id.eq.1", `{"note":"x"}`), fault.Check)
	w.answers("sums(id,note)", `[{"id":1,"note":"y"},{"id":2,"note":null},{"id":3,"note":null},{"id":4,"note":"y"}]`)
}

// agreedSums: floats are added exactly, in whatever order the rows come, and
// what no float can hold is out of range.
func agreedSums(w *world) {
	w.add("things", `{"id":1,"float":0.1}
{"id":2,"float":0.2}
{"id":3,"float":1e308}
{"id":4,"float":-1e308}
{"id":5,"float":1.7976931348623157e308}`)
	w.answers("things(s:float.sum(),m:float.avg()){where=id.lt.5}", `[{"s":0.3,"m":0.075}]`)
	w.answers("things(s:float.sum()){where=id.eq.9}", `[{"s":null}]`)
	w.refuses("things(float.sum()){where=id.in.(3,5)}", fault.NumericOutOfRange)
}
