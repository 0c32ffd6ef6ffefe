package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
)

// divided is an application of partitioned entities: orders by a field of their
// own, lines with their order, marks with their line, tenants by their primary
// key, and slips that refer to orders loosely.
const divided = `  customers: { fields: { id: { type: int, primary: true }, name: { type: text } } }
  products: { fields: { id: { type: int, primary: true }, name: { type: text } } }
  orders:
    fields:
      id: { type: int, primary: true }
      customer_id: { ref: customers, on_delete: cascade }
      code: { type: text, optional: true }
      note: { type: text, optional: true }
      total: { type: int, default: 0 }
    partition: { by: customer_id, into: 4 }
    unique: [[customer_id, code]]
    search: [note]
    check: ["row.total >= 0"]
  lines:
    fields:
      id: { type: int, primary: true }
      order_id: { ref: orders, on_delete: cascade }
      product_id: { ref: products }
      qty: { type: int, default: 1 }
    partition: { with: order }
    unique: [[order_id, product_id]]
  marks:
    fields:
      id: { type: int, primary: true }
      line_id: { ref: lines }
      word: { type: text, optional: true }
    partition: { with: line }
    unique: [[line_id]]
  slips:
    fields:
      id: { type: int, primary: true }
      order_id: { ref: orders, link: loose }
  tenants:
    fields: { id: { type: text, primary: true }, name: { type: text } }
    partition: { by: id, into: 3 }
  users:
    fields:
      id: { type: uuid, primary: true, default: uuid() }
      tenant_id: { ref: tenants, on_delete: cascade }
      name: { type: text }
    partition: { with: tenant }
  tasks:
    fields:
      id: { type: int, primary: true }
      user_id: { ref: users, on_delete: cascade }
      name: { type: text }
    partition: { with: user }
    policy:
      read: "row.user.tenant_id == auth.uid"
      create: "row.user.tenant_id == auth.uid"
      update: { when: "row.user.tenant_id == auth.uid" }
      delete: "row.user.tenant.id == auth.uid"
`

func (s *suite) partitions(t *testing.T) {
	for _, part := range []struct {
		name string
		run  func(*world)
	}{
		{"read", dividedReads},
		{"embed", dividedEmbeds},
		{"cursor", dividedCursors},
		{"write", dividedWrites},
		{"upsert", dividedUpserts},
		{"one key in two partitions", dividedKeys},
		{"update", dividedUpdates},
		{"references", dividedReferences},
		{"by the primary key", dividedTenants},
		{"policy", dividedPolicies},
		{"load", dividedLoad},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(s.divided(t)) })
	}
}

func (s *suite) divided(t *testing.T) *world {
	w := s.world(t, "limits: { rows: 100 }", divided)
	w.add("customers", `{"id":1,"name":"Ann"}
{"id":2,"name":"Bob"}
{"id":3,"name":"Cem"}
{"id":4,"name":"Dora"}`)
	w.add("products", `{"id":1,"name":"axe"}
{"id":2,"name":"bow"}`)
	w.add("orders", `{"id":5,"customer_id":3,"code":"a","note":"for a red bow","total":5}
{"id":1,"customer_id":1,"code":"a","note":"a red axe","total":10}
{"id":2,"customer_id":1,"code":"b","total":20}
{"id":3,"customer_id":2,"code":"a","note":"blue","total":20}
{"id":4,"customer_id":2}`)
	w.add("lines", `{"id":1,"order_id":1,"product_id":1,"qty":2}
{"id":2,"order_id":3,"product_id":1}
{"id":3,"order_id":1,"product_id":2}
{"id":4,"order_id":5,"product_id":2}`)
	w.add("marks", `{"id":1,"line_id":4,"word":"x"}
{"id":2,"line_id":1,"word":"y"}`)
	w.add("slips", `{"id":1,"order_id":5}
{"id":2,"order_id":1}`)
	return w
}

func dividedReads(w *world) {
	for _, c := range []struct{ spec, want string }{
		{"orders(id)", `[{"id":1},{"id":2},{"id":3},{"id":4},{"id":5}]`}, // in the order of the primary key, wherever they lie
		{"orders(id){where=customer_id.eq.2}", `[{"id":3},{"id":4}]`},
		{"orders(id){where=customer_id.in.(1,3);order=total.desc}", `[{"id":2},{"id":1},{"id":5}]`},
		{"orders(*){where=id.eq.4}", `[{"id":4,"customer_id":2,"code":null,"note":null,"total":0}]`},
		{"orders(id){where=note.fts.red}", `[{"id":1},{"id":5}]`},
		{"orders(id){where=and(note.fts.red,customer_id.eq.3)}", `[{"id":5}]`},
		{"orders(customer_id,total.sum()){order=customer_id}", `[{"customer_id":1,"sum":30},{"customer_id":2,"sum":20},{"customer_id":3,"sum":5}]`},
		{"lines(*){where=id.eq.4}", `[{"id":4,"order_id":5,"product_id":2,"qty":1}]`}, // the hidden column does not show
	} {
		w.answers(c.spec, c.want)
	}
	for spec, want := range map[string]int64{"orders(id)": 5, "orders(id){where=customer_id.eq.1}": 2, "lines(id,order!inner(id))": 4} {
		q := read(spec)
		q.Count = query.CountExact
		res, err := w.engine.Read(w.Context(), service(), q, readOptions)
		if err != nil || res.Total != want {
			w.Errorf("%s counts %v, want %d: %v", spec, res, want, err)
		}
	}
	q := read("orders(id)")
	q.Count = query.CountPlanned
	if res, err := w.engine.Read(w.Context(), service(), q, readOptions); err != nil || res.Total < 5 {
		w.Errorf("the planned count is %v, %v", res, err)
	}
	for _, spec := range []string{"lines(_partition)", "lines(id){where=_partition.eq.1}", "lines(id){order=_partition}"} {
		w.refuses(spec, fault.UndefinedField)
	}
	w.fails(create("lines", `{"id":9,"order_id":1,"product_id":1,"_partition":1}`), fault.UnknownInput)
}

func dividedEmbeds(w *world) {
	for _, c := range []struct{ spec, want string }{
		{"lines(id,order(id,customer(name)))", `[{"id":1,"order":{"id":1,"customer":{"name":"Ann"}}},{"id":2,"order":{"id":3,"customer":{"name":"Bob"}}},{"id":3,"order":{"id":1,"customer":{"name":"Ann"}}},{"id":4,"order":{"id":5,"customer":{"name":"Cem"}}}]`},
		{"orders(id,lines(id,qty)){where=customer_id.eq.1}", `[{"id":1,"lines":[{"id":1,"qty":2},{"id":3,"qty":1}]},{"id":2,"lines":[]}]`},
		{"orders(id,products(name)){where=id.in.(1,4)}", `[{"id":1,"products":[{"name":"axe"},{"name":"bow"}]},{"id":4,"products":[]}]`},
		{"products(id,orders(id))", `[{"id":1,"orders":[{"id":1},{"id":3}]},{"id":2,"orders":[{"id":1},{"id":5}]}]`},
		{"customers(name,orders(id,lines(id,marks(word)))){where=id.in.(1,4)}", `[{"name":"Ann","orders":[{"id":1,"lines":[{"id":1,"marks":{"word":"y"}},{"id":3,"marks":null}]},{"id":2,"lines":[]}]},{"name":"Dora","orders":[]}]`},
		{"marks(id,line(id,order(customer_id)))", `[{"id":1,"line":{"id":4,"order":{"customer_id":3}}},{"id":2,"line":{"id":1,"order":{"customer_id":1}}}]`},
		{"lines(id,order!inner(id){where=customer_id.eq.1})", `[{"id":1,"order":{"id":1}},{"id":3,"order":{"id":1}}]`},
		{"orders(id,lines!inner(id){where=qty.gt.1})", `[{"id":1,"lines":[{"id":1}]}]`},
		{"orders(id,lines(id)){where=lines.is.null}", `[{"id":2,"lines":[]},{"id":4,"lines":[]}]`},
		{"lines(id,marks(id)){where=marks.is.not_null;order=marks(word)}", `[{"id":4,"marks":{"id":1}},{"id":1,"marks":{"id":2}}]`},
		{"slips(id,order(total))", `[{"id":1,"order":{"total":5}},{"id":2,"order":{"total":10}}]`},
		{"orders(id,slips(id)){where=id.lte.2}", `[{"id":1,"slips":[{"id":2}]},{"id":2,"slips":[]}]`},
		{"lines(id,...order(code,customer_id)){limit=2}", `[{"id":1,"code":"a","customer_id":1},{"id":2,"code":"a","customer_id":2}]`},
		{"orders(id,lines(count())){where=customer_id.eq.1}", `[{"id":1,"lines":[{"count":2}]},{"id":2,"lines":[{"count":0}]}]`},
	} {
		w.answers(c.spec, c.want)
	}
}

func dividedCursors(w *world) {
	var rows []string
	for i := range 40 {
		rows = append(rows, fmt.Sprintf(`{"id":%d,"customer_id":%d,"total":%d}`, 100+(i*17)%41, i%4+1, i%5))
	}
	w.add("orders", strings.Join(rows, "\n"))
	for _, order := range []string{"", "order=id.desc", "order=customer_id", "order=total,customer_id.desc", "where=customer_id.eq.2;order=total", "order=code.desc,total"} {
		for _, limit := range []int64{1, 7, 100} {
			w.walk("orders(id,customer(name)){"+order+"}", limit)
		}
	}
	w.walk("lines(id,order(id)){order=order(total)}", 3)
}

func dividedWrites(w *world) {
	w.result(create("orders", `{"id":20,"customer_id":4}
{"id":19,"customer_id":1,"total":3}`),
		`[{"id":20,"customer_id":4,"code":null,"note":null,"total":0},{"id":19,"customer_id":1,"code":null,"note":null,"total":3}]`, 2, 2)
	wr := create("orders", `{"id":18,"customer_id":1}`)
	wr.Returning = &read("orders(id,customer(name),lines(id))").Node
	_, res := w.do(wr)
	if res.Key != "18" || res.Partition != "1" {
		w.Errorf("the row is at %q in %q", res.Key, res.Partition)
	}
	wr = create("lines", `{"id":12,"order_id":20,"product_id":1}
{"id":11,"order_id":3,"product_id":2}
{"id":10,"order_id":19,"product_id":2}`)
	wr.Returning = &read("lines(id,order(customer(name)))").Node
	w.result(wr, `[{"id":12,"order":{"customer":{"name":"Dora"}}},{"id":11,"order":{"customer":{"name":"Bob"}}},{"id":10,"order":{"customer":{"name":"Ann"}}}]`, 3, 3)
	wr = create("marks", `{"id":9,"line_id":12}`)
	wr.Returning = nil
	if _, res := w.do(wr); res.Key != "9" || res.Partition != "" {
		w.Errorf("the mark is at %q in %q", res.Key, res.Partition)
	}
	w.answers("marks(id,line(order(customer(name)))){where=id.eq.9}", `[{"id":9,"line":{"order":{"customer":{"name":"Dora"}}}}]`)
	w.fails(create("orders", `{"id":30,"customer_id":1,"total":-1}`), fault.Check)
	f := w.fails(create("orders", `{"id":30,"customer_id":1,"code":"a"}`), fault.Unique)
	if f.Details != "Key (customer_id, code)=(1, a) already exists." {
		w.Errorf("the fault is %s", explain(f))
	}
	f = w.fails(create("lines", `{"id":30,"order_id":1,"product_id":1}`), fault.Unique)
	if f.Details != "Key (order_id, product_id)=(1, 1) already exists." || !strings.Contains(f.Message, `"lines_order_id_product_id_key"`) {
		w.Errorf("the fault is %s", explain(f))
	}
	w.do(create("orders", `{"id":30,"customer_id":4,"code":"a"}`)) // another customer's
	wr = remove("orders", "customer_id.eq.4")
	wr.Returning = &read("orders(id,lines(id))").Node
	w.fails(wr, fault.ForeignKey) // a mark holds its line
	w.do(remove("marks", "id.eq.9"))
	w.result(wr, `[{"id":20,"lines":[{"id":12}]},{"id":30,"lines":[]}]`, 2, 0)
	wr = remove("orders", "")
	wr.Order, wr.Page.Limit = read("x{order=total.desc,id.desc}").Node.Order, new(int64(2))
	wr.Returning = &read("orders(id)").Node
	wr.Page.Limit = new(int64(3))
	w.fails(wr, fault.ForeignKey)
	wr.Page.Limit = new(int64(2))
	w.result(wr, `[{"id":3},{"id":2}]`, 2, 0)
}

func dividedUpserts(w *world) {
	w.result(merge("orders", `{"id":1,"customer_id":1,"total":11}
{"id":9,"customer_id":4,"total":9}`),
		`[{"id":1,"customer_id":1,"code":"a","note":"a red axe","total":11},{"id":9,"customer_id":4,"code":null,"note":null,"total":9}]`, 2, 1)
	w.result(merge("orders", `{"id":1,"customer_id":1,"total":12}`, "id"), `[{"id":1,"customer_id":1,"code":"a","note":"a red axe","total":12}]`, 1, 0)
	w.result(merge("orders", `{"id":1,"customer_id":1,"total":13}`, "customer_id", "id"), `[{"id":1,"customer_id":1,"code":"a","note":"a red axe","total":13}]`, 1, 0)
	w.result(merge("orders", `{"id":1,"customer_id":1}`), `[{"id":1,"customer_id":1,"code":"a","note":"a red axe","total":13}]`, 1, 0) // nothing is set
	w.result(merge("orders", `{"id":1,"customer_id":1,"code":"a","total":14}`, "code", "customer_id"), `[{"id":1,"customer_id":1,"code":"a","note":"a red axe","total":14}]`, 1, 0)
	w.result(merge("lines", `{"id":1,"order_id":1,"product_id":1,"qty":7}
{"id":8,"order_id":3,"product_id":2,"qty":8}`), `[{"id":1,"order_id":1,"product_id":1,"qty":7},{"id":8,"order_id":3,"product_id":2,"qty":8}]`, 2, 1)
	w.result(merge("lines", `{"id":1,"order_id":1,"product_id":1,"qty":9}`, "order_id", "product_id"), `[{"id":1,"order_id":1,"product_id":1,"qty":9}]`, 1, 0)
	wr := create("lines", `{"id":1,"order_id":1,"product_id":1,"qty":1}
{"id":7,"order_id":2,"product_id":1,"qty":7}`)
	wr.Conflict.Resolution = query.Ignore
	w.result(wr, `[{"id":7,"order_id":2,"product_id":1,"qty":7}]`, 1, 1)
	w.fails(merge("lines", `{"id":9,"order_id":99,"product_id":1}`), fault.ForeignKey)
	w.fails(merge("orders", `{"id":1,"customer_id":1,"total":1}
{"id":1,"customer_id":1,"total":2}`), fault.CardinalityClash)
	// To another order of the same customer a line may go, to another's not.
	w.result(merge("lines", `{"id":1,"order_id":2,"product_id":2}`), `[{"id":1,"order_id":2,"product_id":2,"qty":9}]`, 1, 0)
	w.fails(merge("lines", `{"id":1,"order_id":3,"product_id":2}`), fault.Unique)
	w.fails(merge("orders", `{"id":1,"customer_id":2}`), fault.Unique)
}

// dividedKeys: a primary key names one row, in whichever partition it lies.
func dividedKeys(w *world) {
	f := w.fails(create("orders", `{"id":1,"customer_id":2}`), fault.Unique)
	if f.Details != "Key (id)=(1) already exists." || !strings.Contains(f.Message, `"orders_pkey"`) {
		w.Errorf("the fault is %s", explain(f))
	}
	g := w.fails(create("orders", `{"id":1,"customer_id":1}`), fault.Unique) // which the database refuses by itself
	if g.Details != f.Details || g.Message != f.Message {
		w.Errorf("in its own partition the fault is %s", explain(g))
	}
	w.fails(create("orders", `{"id":70,"customer_id":1}
{"id":70,"customer_id":2}`), fault.Unique)
	w.fails(create("lines", `{"id":1,"order_id":3,"product_id":2}`), fault.Unique)
	w.fails(update("orders", "id.eq.4", `{"id":2}`), fault.Unique)
	w.fails(update("orders", "customer_id.eq.2", `{"id":2}`), fault.Unique)
	w.result(update("orders", "id.eq.4", `{"id":44}`), `[{"id":44,"customer_id":2,"code":null,"note":null,"total":0}]`, 1, 0)
	w.answers("orders(id){where=customer_id.lte.2}", `[{"id":1},{"id":2},{"id":3},{"id":44}]`)
	w.answers("lines(id)", `[{"id":1},{"id":2},{"id":3},{"id":4}]`)
}

func dividedUpdates(w *world) {
	w.result(update("orders", "customer_id.eq.1", `{"total":1}`),
		`[{"id":1,"customer_id":1,"code":"a","note":"a red axe","total":1},{"id":2,"customer_id":1,"code":"b","note":null,"total":1}]`, 2, 0)
	w.result(update("orders", "total.eq.20", `{"total":2,"note":"deep green"}`), `[{"id":3,"customer_id":2,"code":"a","note":"deep green","total":2}]`, 1, 0)
	w.answers("orders(id){where=note.fts.green}", `[{"id":3}]`)
	f := w.fails(update("orders", "id.eq.1", `{"customer_id":2}`), fault.NotImplemented)
	if !strings.Contains(f.Message, `"customer_id"`) || f.Hint == "" {
		w.Errorf("the fault is %s", explain(f))
	}
	w.fails(update("tenants", "id.eq.a", `{"id":"b"}`), fault.NotImplemented)
	w.fails(update("users", "name.eq.a", `{"tenant_id":"b"}`), fault.NotImplemented)
	w.result(update("lines", "id.eq.1", `{"order_id":2}`), `[{"id":1,"order_id":2,"product_id":1,"qty":2}]`, 1, 0)
	f = w.fails(update("lines", "id.eq.1", `{"order_id":3}`), fault.ForeignKey)
	if f.Details != `Key (order_id)=(3) is in another partition of table "orders".` {
		w.Errorf("the fault is %s", explain(f))
	}
	f = w.fails(update("lines", "id.eq.1", `{"order_id":99}`), fault.ForeignKey)
	if f.Details != `Key (order_id)=(99) is not present in table "orders".` {
		w.Errorf("the fault is %s", explain(f))
	}
	wr := update("lines", "", `{"qty":5}`)
	wr.Returning = nil
	wr.Embedded = &read("lines(order!inner(id){where=customer_id.eq.1})").Node
	if _, res := w.do(wr); res.Rows != 2 {
		w.Errorf("an update through the order changed %d rows", res.Rows)
	}
	wr = update("orders", "", `{"total":6}`)
	wr.Order, wr.Page.Limit = read("x{order=total.desc,id}").Node.Order, new(int64(2))
	wr.Returning = &read("orders(id)").Node
	w.result(wr, `[{"id":3},{"id":5}]`, 2, 0)
}

func dividedReferences(w *world) {
	f := w.fails(create("lines", `{"id":50,"order_id":99,"product_id":1}`), fault.ForeignKey)
	if f.Details != `Key (order_id)=(99) is not present in table "orders".` || !strings.Contains(f.Message, `"lines_order_id_fkey"`) {
		w.Errorf("the fault is %s", explain(f))
	}
	f = w.fails(create("lines", `{"id":50,"order_id":1,"product_id":99}`), fault.ForeignKey)
	if f.Details != `Key (product_id)=(99) is not present in table "products".` {
		w.Errorf("the fault is %s", explain(f))
	}
	w.fails(create("orders", `{"id":50,"customer_id":99}`), fault.ForeignKey)
	w.fails(create("slips", `{"id":50,"order_id":99}`), fault.ForeignKey)
	w.fails(create("marks", `{"id":50,"line_id":99}`), fault.ForeignKey)
	f = w.fails(remove("lines", "id.eq.1"), fault.ForeignKey)
	if !strings.Contains(f.Details, "marks.line_id") {
		w.Errorf("the fault is %s", explain(f))
	}
	w.fails(remove("orders", "id.eq.1"), fault.ForeignKey) // its lines would go, and one of them is held
	w.do(remove("marks", ""))
	w.do(remove("orders", "id.eq.1"))
	w.answers("lines(id)", `[{"id":2},{"id":4}]`)
	w.answers("slips(id,order(id))", `[{"id":1,"order":{"id":5}},{"id":2,"order":null}]`)
	w.do(remove("customers", "id.in.(1,3)"))
	w.answers("orders(id)", `[{"id":3},{"id":4}]`)
	w.answers("lines(id)", `[{"id":2}]`)
}

func dividedTenants(w *world) {
	w.add("tenants", `{"id":"a","name":"A"}
{"id":"b","name":"B"}
{"id":"é","name":"É"}`)
	w.add("users", `{"id":"0195f0a0-0000-7000-8000-000000000001","tenant_id":"b","name":"bea"}
{"id":"0195f0a0-0000-7000-8000-000000000002","tenant_id":"a","name":"al"}
{"id":"0195f0a0-0000-7000-8000-000000000003","tenant_id":"é","name":"eve"}`)
	w.add("tasks", `{"id":1,"user_id":"0195f0a0-0000-7000-8000-000000000001","name":"sew"}
{"id":2,"user_id":"0195f0a0-0000-7000-8000-000000000003","name":"dig"}`)
	w.answers("tenants(id,users(name,tasks(name)))", `[{"id":"a","users":[{"name":"al","tasks":[]}]},{"id":"b","users":[{"name":"bea","tasks":[{"name":"sew"}]}]},{"id":"é","users":[{"name":"eve","tasks":[{"name":"dig"}]}]}]`)
	w.answers("tasks(id,user(tenant(name)))", `[{"id":1,"user":{"tenant":{"name":"B"}}},{"id":2,"user":{"tenant":{"name":"É"}}}]`)
	w.result(merge("tenants", `{"id":"a","name":"AA"}
{"id":"c","name":"C"}`), `[{"id":"a","name":"AA"},{"id":"c","name":"C"}]`, 2, 1)
	w.result(merge("users", `{"id":"0195f0a0-0000-7000-8000-000000000002","tenant_id":"a","name":"alf"}`),
		`[{"id":"0195f0a0-0000-7000-8000-000000000002","tenant_id":"a","name":"alf"}]`, 1, 0)
	w.fails(create("tenants", `{"id":"a","name":"x"}`), fault.Unique)
	f := w.fails(create("users", `{"tenant_id":"zz","name":"x"}`), fault.ForeignKey)
	if f.Details != `Key (tenant_id)=(zz) is not present in table "tenants".` {
		w.Errorf("the fault is %s", explain(f))
	}
	wr := create("users", `{"tenant_id":"a","name":"new"}`)
	wr.Returning = &read("users(name,tenant(name))").Node
	w.result(wr, `[{"name":"new","tenant":{"name":"AA"}}]`, 1, 1)
	w.do(remove("tenants", "id.eq.b"))
	w.answers("tasks(id)", `[{"id":2}]`)
}

// dividedPolicies: rules name the partition key of a row that lies with another
// over the way to it.
func dividedPolicies(w *world) {
	w.add("tenants", `{"id":"a","name":"A"}
{"id":"b","name":"B"}`)
	w.add("users", `{"id":"0195f0a0-0000-7000-8000-000000000001","tenant_id":"b","name":"bea"}
{"id":"0195f0a0-0000-7000-8000-000000000002","tenant_id":"a","name":"al"}`)
	w.add("tasks", `{"id":1,"user_id":"0195f0a0-0000-7000-8000-000000000001","name":"sew"}
{"id":2,"user_id":"0195f0a0-0000-7000-8000-000000000002","name":"dig"}`)
	a := policy.Identity{Role: policy.Authenticated, UID: "a"}
	as := func(wr *query.Write) (string, error) {
		res, err := w.engine.Write(w.Context(), a, wr, nil)
		if err != nil {
			return "", err
		}
		return string(res.Body), nil
	}
	res, err := w.engine.Read(w.Context(), a, read("tasks(id)"), readOptions)
	if err != nil || string(res.Body) != `[{"id":2}]` {
		w.Fatalf("the tenant's tasks: %v, %v", res, err)
	}
	if body, err := as(create("tasks", `{"id":3,"user_id":"0195f0a0-0000-7000-8000-000000000002","name":"own"}`)); err != nil || !strings.Contains(body, `"own"`) {
		w.Errorf("a task of the tenant's own: %s, %v", body, err)
	}
	_, err = as(create("tasks", `{"id":4,"user_id":"0195f0a0-0000-7000-8000-000000000001","name":"x"}`))
	_ = refused(w.T, "a task of another tenant's", "", err, fault.Forbidden)
	_, err = as(update("tasks", "id.eq.3", `{"user_id":"0195f0a0-0000-7000-8000-000000000001"}`))
	_ = refused(w.T, "a task given to another tenant's", "", err, fault.Forbidden)
	if body, err := as(update("tasks", "", `{"name":"all"}`)); err != nil || strings.Count(body, `"all"`) != 2 {
		w.Errorf("an update of all: %s, %v", body, err)
	}
	if body, err := as(remove("tasks", "")); err != nil || strings.Count(body, `"id"`) != 2 {
		w.Errorf("a delete of all: %s, %v", body, err)
	}
	w.answers("tasks(id,name)", `[{"id":1,"name":"sew"}]`)
}

func dividedLoad(w *world) {
	rows := []string{"60,1,x", "61,2,x", "1,2,y", "60,1,z", "62,99,y", "63,4,", "64,2,x"}
	at := 0
	var bad []string
	l := &engine.Load{
		Target: query.Target{Entity: "orders"}, Columns: []string{"id", "customer_id", "code"},
		Next: func(r *engine.Row) error {
			if at == len(rows) {
				return io.EOF
			}
			r.Line, r.Source, r.Cells = at+1, rows[at], r.Cells[:0]
			for text := range strings.SplitSeq(rows[at], ",") {
				r.Cells = append(r.Cells, query.Cell{Kind: query.FromText, Raw: text})
			}
			at++
			return nil
		},
		Bad: func(line int, _ string, err error) error {
			var f *fault.Error
			if !errors.As(err, &f) {
				return err
			}
			bad = append(bad, fmt.Sprint(line, " ", f.Code))
			return nil
		},
	}
	n, err := w.engine.Load(context.Background(), service(), l)
	if err != nil || n != 3 {
		w.Fatalf("loaded %d rows: %v", n, err)
	}
	if got, want := strings.Join(bad, ", "), "3 23505, 4 23505, 5 23503, 7 23505"; got != want {
		w.Errorf("bad rows %s, want %s", got, want)
	}
	w.answers("orders(id,customer_id){where=id.gte.60}", `[{"id":60,"customer_id":1},{"id":61,"customer_id":2},{"id":63,"customer_id":4}]`)
}
