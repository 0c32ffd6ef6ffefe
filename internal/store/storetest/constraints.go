package storetest

import (
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/fault"
)

const constrained = `  users: { fields: { id: { type: int, primary: true } } }
  orders:
    fields:
      id: { type: int, primary: true }
      user_id: { ref: users, optional: true, on_delete: set_null }
      code: { type: text, optional: true }
      part: { type: int, default: 0 }
      status: { type: enum, values: [open, paid], default: open }
      total: { type: decimal, scale: 2, optional: true }
      note: { type: text, optional: true }
      a: { type: int, default: 1 }
      b: { type: int, default: 1 }
    unique: [[code, part]]
    check:
      - "row.status != 'paid' || row.total > 0.0"
      - "row.note != 'bad'"
      - "row.a + row.b <= 100"
      - "size(row.note) < 20 || row.note.startsWith('long')"
  lines:
    fields:
      id: { type: int, primary: true }
      order_id: { ref: orders, on_delete: cascade }
  invoices:
    fields:
      id: { type: int, primary: true }
      order_id: { ref: orders }
  marks:
    fields:
      id: { type: int, primary: true }
      order_id: { ref: orders, link: loose }
  nodes:
    fields:
      id: { type: int, primary: true }
      parent_id: { ref: nodes, optional: true, inverse: children }
      next_id: { ref: nodes, inverse: previous, optional: true }
      must_id: { ref: nodes, inverse: musts }
`

func (s *suite) constraint(t *testing.T) {
	for _, part := range []struct {
		name string
		run  func(*world)
	}{
		{"checks", checks}, {"not null and unique", notNullUnique}, {"references", references}, {"itself", itself},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(s.world(t, "", constrained)) })
	}
}

func checks(w *world) {
	w.add("orders", `{"id":1,"status":"paid","total":0.01}
{"id":2,"status":"paid"}
{"id":3,"status":"open","total":0}`) // unknown passes
	f := w.fails(create("orders", `{"id":4,"status":"open"}
{"id":5,"status":"paid","total":0}`), fault.Check)
	if !strings.Contains(f.Message, "orders_status_total_check") || !strings.Contains(f.Details, "row 2 of 2") {
		w.Errorf("the fault is %s", explain(f))
	}
	w.answers("orders(id)", `[{"id":1},{"id":2},{"id":3}]`)
	w.fails(update("orders", "id.in.(1,3)", `{"total":-1}`), fault.Check)
	w.answers("orders(id,total){where=id.in.(1,3)}", `[{"id":1,"total":0.01},{"id":3,"total":0.00}]`)
	w.fails(create("orders", `{"id":6,"note":"bad"}`), fault.Check)
	w.fails(merge("orders", `{"id":1,"note":"bad"}`), fault.Check)
	w.fails(create("orders", `{"id":6,"a":60,"b":41}`), fault.Check)
	w.do(create("orders", `{"id":6,"a":60,"b":40}`))
	w.fails(create("orders", `{"id":7,"a":9223372036854775807,"b":1}`), fault.NumericOutOfRange)
	w.fails(create("orders", `{"id":7,"note":"a note of many letters"}`), fault.Check)
	w.do(create("orders", `{"id":7,"note":"long notes are all right"}`))
	w.answers("orders(id,note){where=note.is.not_null}", `[{"id":7,"note":"long notes are all right"}]`)
}

func notNullUnique(w *world) {
	f := w.fails(create("lines", `{"id":1}`), fault.NotNull)
	if !strings.Contains(f.Message, `"order_id"`) {
		w.Errorf("the fault is %s", explain(f))
	}
	w.add("orders", `{"id":1,"code":"a"}
{"id":2,"code":"a","part":1}
{"id":3}
{"id":4}`) // nulls are not equal
	w.fails(update("orders", "id.eq.1", `{"status":null}`), fault.NotNull)
	f = w.fails(create("orders", `{"id":1}`), fault.Unique)
	if f.Details != "Key (id)=(1) already exists." || !strings.Contains(f.Message, `"orders_pkey"`) {
		w.Errorf("the fault is %s", explain(f))
	}
	f = w.fails(create("orders", `{"id":5,"code":"a","part":1}`), fault.Unique)
	if f.Details != "Key (code, part)=(a, 1) already exists." || !strings.Contains(f.Message, `"orders_code_part_key"`) {
		w.Errorf("the fault is %s", explain(f))
	}
	w.fails(update("orders", "id.eq.2", `{"part":0}`), fault.Unique)
	w.do(merge("orders", `{"id":10,"code":null,"note":"x"}
{"id":11,"code":null,"note":"y"}`, "code", "part")) // nulls do not conflict
	w.answers("orders(id,part){where=id.lt.5}", `[{"id":1,"part":0},{"id":2,"part":1},{"id":3,"part":0},{"id":4,"part":0}]`)
}

func references(w *world) {
	w.add("users", `{"id":1}
{"id":2}`)
	w.add("orders", `{"id":1,"user_id":1}
{"id":2,"user_id":2}
{"id":3,"user_id":2}`)
	w.add("lines", `{"id":1,"order_id":1}
{"id":2,"order_id":1}
{"id":3,"order_id":2}`)
	w.add("invoices", `{"id":1,"order_id":2}`)
	w.add("marks", `{"id":1,"order_id":3}`)

	f := w.fails(create("lines", `{"id":9,"order_id":99}`), fault.ForeignKey)
	if f.Details != `Key (order_id)=(99) is not present in table "orders".` || !strings.Contains(f.Message, `"lines_order_id_fkey"`) {
		w.Errorf("the fault is %s", explain(f))
	}
	w.fails(update("lines", "id.eq.1", `{"order_id":99}`), fault.ForeignKey)
	f = w.fails(remove("orders", "id.eq.2"), fault.ForeignKey)
	if !strings.Contains(f.Details, "invoices.order_id") {
		w.Errorf("the fault is %s", explain(f))
	}
	w.fails(update("orders", "id.eq.2", `{"id":22}`), fault.ForeignKey)
	w.answers("lines(id,order_id)", `[{"id":1,"order_id":1},{"id":2,"order_id":1},{"id":3,"order_id":2}]`)
	w.do(remove("users", "id.eq.2"))
	w.answers("orders(id,user_id)", `[{"id":1,"user_id":1},{"id":2,"user_id":null},{"id":3,"user_id":null}]`)
	w.do(remove("orders", "id.eq.1"))
	w.answers("lines(id)", `[{"id":3}]`)

	// A loose reference is checked when it is written, and by no key.
	f = w.fails(create("marks", `{"id":2,"order_id":99}`), fault.ForeignKey)
	if f.Details != `Key (order_id)=(99) is not present in table "orders".` {
		w.Errorf("the fault is %s", explain(f))
	}
	w.fails(update("marks", "id.eq.1", `{"order_id":99}`), fault.ForeignKey)
	w.do(remove("orders", "id.eq.3"))
	w.answers("marks(id,order(id))", `[{"id":1,"order":null}]`)
}

// itself creates rows that refer to rows of the same request.
func itself(w *world) {
	w.result(create("nodes", `{"id":3,"parent_id":2,"must_id":1}
{"id":2,"parent_id":1,"must_id":2}
{"id":1,"must_id":1}
{"id":4,"parent_id":3,"must_id":3}`),
		`[{"id":3,"parent_id":2,"next_id":null,"must_id":1},{"id":2,"parent_id":1,"next_id":null,"must_id":2},{"id":1,"parent_id":null,"next_id":null,"must_id":1},{"id":4,"parent_id":3,"next_id":null,"must_id":3}]`, 4, 4)
	// In a circle there is no order at all.
	w.result(create("nodes", `{"id":12,"next_id":10,"must_id":11}
{"id":10,"next_id":11,"must_id":12}
{"id":11,"next_id":12,"must_id":10}`),
		`[{"id":12,"parent_id":null,"next_id":10,"must_id":11},{"id":10,"parent_id":null,"next_id":11,"must_id":12},{"id":11,"parent_id":null,"next_id":12,"must_id":10}]`, 3, 3)
	for _, rows := range []string{
		`{"id":21,"must_id":20}
{"id":20,"must_id":99}`,
		`{"id":21,"must_id":20}
{"id":20,"must_id":21,"parent_id":99}`,
	} {
		f := w.fails(create("nodes", rows), fault.ForeignKey)
		if !strings.Contains(f.Details, "(99) is not present") || !strings.Contains(f.Details, "row 2 of 2") {
			w.Errorf("the fault is %s", explain(f))
		}
	}
	w.fails(create("nodes", `{"id":30,"must_id":99}`), fault.ForeignKey) // references are checked again
	w.answers("nodes(id){where=id.gt.12}", `[]`)
	f := w.fails(create("nodes", `{"id":41,"must_id":40}
{"id":40,"must_id":40}
{"id":4,"must_id":40}`), fault.Unique)
	if !strings.Contains(f.Details, "row 3 of 3") {
		w.Errorf("the fault is %s", explain(f))
	}
	w.result(merge("nodes", `{"id":42,"must_id":41,"parent_id":1}
{"id":41,"must_id":42,"parent_id":1}
{"id":1,"must_id":41}`),
		`[{"id":42,"parent_id":1,"next_id":null,"must_id":41},{"id":41,"parent_id":1,"next_id":null,"must_id":42},{"id":1,"parent_id":null,"next_id":null,"must_id":41}]`, 3, 2)
}
