package operations

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
)

func load(t *testing.T, module string) *model.App {
	t.Helper()
	app, problems := model.Load(fstest.MapFS{
		"pando.yaml":     &fstest.MapFile{},
		"modules/m.yaml": &fstest.MapFile{Data: []byte(module)},
	}, nil, model.Features{FieldPolicies: true})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return app
}

// TestInput checks what operations are given: the place and the reason of what is
// wrong, and one form for equal values.
func TestInput(t *testing.T) {
	op := load(t, `
module: m
entities: { products: { fields: { name: text } } }
operations:
  place:
    run: go
    input:
      lines: { list: true, fields: { product_id: { ref: products }, qty: { type: int, min: 1 } } }
      price: { type: decimal, scale: 2, optional: true }
      tags: { type: text, list: true, optional: true }
      at: { type: timestamp, optional: true }
`).Module("m").Operation("place")
	const id = "0192d3a0-1111-7000-8000-000000000001"
	for _, tt := range []struct{ in, want, bad string }{
		{in: `{"lines":[]}`, want: `{"lines":[]}`},
		{in: ` {"price": 1.5, "lines":[{"qty":2,"product_id":"` + strings.ToUpper(id) + `"}]} `, want: `{"lines":[{"product_id":"` + id + `","qty":2}],"price":1.50}`},
		{in: `{"lines":[],"tags":["a"],"at":"2026-01-02T03:04:05+01:00","price":null}`, want: `{"lines":[],"price":null,"tags":["a"],"at":"2026-01-02T02:04:05+00:00"}`},
		{in: ``, bad: "lines: it is missing"},
		{in: `null`, bad: "lines: it is missing"},
		{in: `[]`, bad: "expected an object, not a list"},
		{in: `{"lines":null}`, bad: "lines: it must not be null"},
		{in: `{"lines":{}}`, bad: "lines: expected a list, not an object"},
		{in: `{"lines":[1]}`, bad: "lines[0]: expected an object, not a number"},
		{in: `{"lines":[{"product_id":"` + id + `","qty":1},{"product_id":"` + id + `","qty":0}]}`, bad: "lines[1].qty: "},
		{in: `{"lines":[{"product_id":"x","qty":1}]}`, bad: "lines[0].product_id: "},
		{in: `{"lines":[{"product_id":"` + id + `"}]}`, bad: "lines[0].qty: it is missing"},
		{in: `{"lines":[],"pric":1}`, bad: "pric: there is no such member"},
		{in: `{"lines":[],"lines":[]}`, bad: "lines: it is given twice"},
		{in: `{"lines":[]} {}`, bad: "this is no JSON"},
		{in: `{"lines":[`, bad: "this is no JSON"},
		{in: ` { "l\u0069nes" : [ ] , "tags":["a,}\"","b]"],"price" :2} `, want: `{"lines":[],"price":2.00,"tags":["a,}\"","b]"]}`},
		{in: `{,}`, bad: "this is no JSON"},
		{in: `{"lines":[]`, bad: "this is no JSON"},
		{in: `{"lines":[],"price":1.005}`, bad: "price: "},
		{in: `{"lines":[],"__proto__":{}}`, bad: "__proto__: there is no such member"},
	} {
		got, err := Input(op.Input, []byte(tt.in))
		switch {
		case tt.bad == "" && (err != nil || string(got) != tt.want):
			t.Errorf("%s: %s, %v; want %s", tt.in, got, err, tt.want)
		case tt.bad != "" && (!fault.Is(err, fault.InvalidInput) || !strings.HasPrefix(fault.From(err).Message, tt.bad)):
			t.Errorf("%s: %s, %v; want %s", tt.in, got, err, tt.bad)
		}
	}
}

// TestOutput checks what code answers.
func TestOutput(t *testing.T) {
	m := load(t, `
module: m
entities:
  orders: { fields: { total: { type: decimal, scale: 2 }, note: { type: text, optional: true }, card: { type: text, hidden: true } } }
operations:
  none: { run: go }
  one: { run: go, output: orders }
  many: { run: go, output: { list: true, of: orders } }
  sum: { run: go, output: { fields: { n: int } } }
  sums: { run: go, output: { list: true, fields: { n: int } } }
`).Module("m")
	const row = `{"id":"0192d3a0-1111-7000-8000-000000000001","total":1.00}`
	for _, tt := range []struct{ op, in, want, bad string }{
		{op: "none", in: `{"whatever":1}`},
		{op: "one", in: row, want: row},
		{op: "one", in: strings.Replace(row, "1.00", `1,"note":null`, 1), want: strings.Replace(row, "1.00", `1.00,"note":null`, 1)},
		{op: "one", in: `null`, bad: "expected an object, not null"},
		{op: "one", in: `{"id":"0192d3a0-1111-7000-8000-000000000001"}`, bad: "total: it is missing"},
		{op: "one", in: strings.Replace(row, "1.00", `1,"card":"4242"`, 1), bad: "card: m.orders has no such field"},
		{op: "one", in: strings.Replace(row, "1.00", `"x"`, 1), bad: "total: "},
		{op: "many", in: "[" + row + "," + row + "]", want: "[" + row + "," + row + "]"},
		{op: "many", in: row, bad: "expected a list, not an object"},
		{op: "many", in: `[` + row + `,{}]`, bad: "[1].id: it is missing"},
		{op: "sum", in: `{"n":1}`, want: `{"n":1}`},
		{op: "sum", in: `{"n":"one"}`, bad: "n: "},
		{op: "sums", in: `[{"n":1},{"n":1.5}]`, bad: "[1].n: "},
	} {
		got, err := Output(m.Operation(tt.op).Output, []byte(tt.in))
		switch {
		case tt.bad == "" && (err != nil || string(got) != tt.want):
			t.Errorf("%s, %s: %s, %v; want %s", tt.op, tt.in, got, err, tt.want)
		case tt.bad != "" && (!fault.Is(err, fault.InvalidOutput) || !strings.HasPrefix(fault.From(err).Message, tt.bad)):
			t.Errorf("%s, %s: %s, %v; want %s", tt.op, tt.in, got, err, tt.bad)
		}
	}
}

// FuzzMembers compares how objects are split with how encoding/json reads them.
func FuzzMembers(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1,"b":{"c":[1,"}"]},"d\"":"\\"}`, ` {"a" : null , "b":-1e5} `, `{"a":1}x`, `[{"a":1}]`, `{"a":{"b":{}},"c":[]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := (&checker{code: fault.InvalidInput}).members(raw, "")
		var want map[string]json.RawMessage
		if bad := json.Unmarshal(raw, &want); bad != nil || want == nil {
			if err == nil {
				t.Fatalf("%q is read as %v", raw, got)
			}
			return
		}
		if err != nil {
			if !strings.Contains(err.Error(), "twice") {
				t.Fatalf("%q: %v", raw, err)
			}
			return
		}
		if len(got) != len(want) {
			t.Fatalf("%q has %v, want %v", raw, got, want)
		}
		for _, m := range got {
			if w, ok := want[m.name]; !ok || string(w) != string(m.raw) {
				t.Fatalf("%q: %q is %q, want %q", raw, m.name, m.raw, w)
			}
		}
	})
}
