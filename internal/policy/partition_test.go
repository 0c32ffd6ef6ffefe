package policy_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
)

// TestScattered: a rule that reaches a partitioned entity without its partition
// key is told with its place; one along which rows lie together, or that names
// the key, is not.
func TestScattered(t *testing.T) {
	app, problems := model.Load(fstest.MapFS{"pando.yaml": {Data: []byte("app: a\n")}, "modules/m.yaml": {Data: []byte(`module: m
entities:
  customers:
    fields: { name: text }
    policy:
      read: row.orders.exists(o, o.total > 1)
      create: row.slips.exists(s, s.order.total > 1)
  orders:
    fields: { customer_id: { ref: customers }, total: int, other_id: { ref: orders, link: loose, optional: true, inverse: others } }
    partition: { by: customer_id, into: 4 }
    policy:
      read: row.lines.exists(l, l.product.name == 'x')
      update: { when: row.other.total > 1 }
      delete: row.other.customer_id == auth.uid
  lines:
    fields: { order_id: { ref: orders }, product_id: { ref: products } }
    partition: { with: order }
    unique: [[order_id, product_id]]
    policy:
      read: row.order.customer_id == auth.uid
      create: row.order.total > 1
  products:
    fields: { name: text }
    policy:
      read: row.orders.exists(o, o.total > 1)
      create: row.lines.exists(l, l.order.customer_id == auth.uid)
      delete: row.lines.exists(l, auth.uid != null)
  slips:
    fields: { order_id: { ref: orders, link: loose }, customer_id: { ref: customers }, name: { type: text, read: row.order.total > 1 } }
    policy:
      read: row.customer.orders.exists(o, o.id == row.order_id)
`)}}, nil, model.Features{FieldPolicies: true})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	rules, problems := policy.Compile(app)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var got []string
	for _, p := range rules.Scattered(app) {
		at, _, _ := strings.Cut(p.String(), " (")
		got = append(got, at)
	}
	want := []string{
		"modules/m.yaml:7:15: the create policy of m.customers looks for m.orders by id, in all of its 4 partitions",
		"modules/m.yaml:13:23: the update policy of m.orders looks for m.orders by id, in all of its 4 partitions",
		"modules/m.yaml:14:15: the delete policy of m.orders looks for m.orders by id, in all of its 4 partitions",
		"modules/m.yaml:25:13: the read policy of m.products looks for m.lines by product_id, in all of its 4 partitions",
		"modules/m.yaml:27:15: the delete policy of m.products looks for m.lines by product_id, in all of its 4 partitions",
		"modules/m.yaml:29:114: the read policy of m.slips.name looks for m.orders by id, in all of its 4 partitions",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
