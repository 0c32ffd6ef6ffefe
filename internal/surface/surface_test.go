package surface_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/surface"
)

const lock = `
numbers:
  shop.orders: { id: 1, status: 2, note: 3, qty: 4, total: 5, tags: 6, pin: 7 }
  shop.orders.status: { open: 1, paid: 2 }
  shop.place().input: { note: 1, lines: 2, hint: 3 }
  shop.sum().output: { total: 1, at: 2 }
`

const module = `
module: shop
entities:
  orders:
    fields:
      id:     { type: int, primary: true }
      status: { type: enum, values: [open, paid], default: open }
      note:   { type: text, optional: true }
      qty:    { type: int, min: 0, max: 100, default: 1 }
      total:  { type: decimal, scale: 2 }
      tags:   { type: text, list: true, optional: true }
      pin:    { type: text, optional: true, hidden: true }
    unique: [[note]]
  lines:
    fields:
      order_id: { ref: orders, on_delete: cascade }
operations:
  place:
    input: { note: text, lines: { list: true, fields: { qty: int } }, hint: { type: text, optional: true } }
    output: orders
    run: go
  sum:
    input: {}
    output: { fields: { total: int, at: { type: timestamp, optional: true } } }
    run: go
    reads: true
`

func of(t *testing.T, versions, module, lock string) surface.Surface {
	t.Helper()
	app, problems := model.Load(fstest.MapFS{
		"pando.yaml":        {Data: []byte("app: shop\nversions: " + versions + "\n")},
		"modules/shop.yaml": {Data: []byte(module)},
		"pando.lock":        {Data: []byte(lock)},
	}, nil, model.Features{})
	for _, p := range problems {
		t.Fatal(p)
	}
	return surface.Of(app)
}

// Each rule, as the change of one line.
func TestCompare(t *testing.T) {
	for _, c := range []struct {
		name, from, to string
		lock           []string
		versions       string
		want           []string
	}{
		{name: "nothing"},
		{name: "policies", from: "    unique: [[note]]\n", to: "    unique: [[note]]\n    policy: { read: \"true\" }\n"},
		{name: "an entity goes", from: "  lines:\n    fields:\n      order_id: { ref: orders, on_delete: cascade }\n", to: "", want: []string{
			"breaking: v1 shop.lines: the entity is gone; one that has another name now keeps this one in older versions with was: and since: (REST, GraphQL, gRPC)",
			"breaking: v1 shop.orders.lines: the relation to shop.lines is gone; one that has another name now keeps this one in older versions with was: and since: (REST, GraphQL)",
		}},
		{name: "an entity comes", from: "  lines:\n", to: "  notes: { fields: { text: text } }\n  lines:\n", want: []string{"compatible: v1 shop.notes: the entity is new (REST, GraphQL, gRPC)"}},
		{name: "a field goes", from: "      tags:   { type: text, list: true, optional: true }\n", to: "", want: []string{
			"breaking: v1 shop.orders.tags: the field is gone; one that has another name now keeps this one in older versions with was: and since: (REST, GraphQL, gRPC)",
		}},
		{name: "a field comes", from: "      qty:", to: "      more: { type: text, optional: true }\n      qty:", want: []string{"compatible: v1 shop.orders.more: the field is new (REST, GraphQL, gRPC)"}},
		{name: "a required field comes", from: "      qty:", to: "      more: { type: text }\n      qty:", want: []string{
			"breaking: v1 shop.orders.more: the field is new, and a create has to give it; give it a default, or make it optional (REST, GraphQL, gRPC)",
		}},
		{name: "a rename without was", from: "      tags:", to: "      labels:", want: []string{
			"breaking: v1 shop.orders.tags: the field is gone; one that has another name now keeps this one in older versions with was: and since: (REST, GraphQL, gRPC)",
			"compatible: v1 shop.orders.labels: the field is new (REST, GraphQL, gRPC)",
		}},
		{name: "a rename with was in a new version", versions: "[v1, v2]", from: "      tags:   { type: text,", to: "      labels: { was: tags, since: v2, type: text,", want: []string{"compatible: v2: the version is new (REST, GraphQL, gRPC)"}},
		{name: "an entity is renamed in a new version", versions: "[v1, v2]", from: "  lines:\n    fields:", to: "  parts:\n    was: lines\n    since: v2\n    fields:", want: []string{"compatible: v2: the version is new (REST, GraphQL, gRPC)"}},
		{name: "a version goes", versions: "[v2]", want: []string{"breaking: v1: the version is gone (REST, GraphQL, gRPC)", "compatible: v2: the version is new (REST, GraphQL, gRPC)"}},
		{name: "a type changes", from: "note:   { type: text,", to: "note:   { type: int,", want: []string{"breaking: v1 shop.orders.note: it was text and is int (REST, GraphQL, gRPC)"}},
		{name: "a scale changes", from: "scale: 2", to: "scale: 3", want: []string{"breaking: v1 shop.orders.total: it was decimal(2) and is decimal(3) (REST, GraphQL, gRPC)"}},
		{name: "a list becomes single", from: "tags:   { type: text, list: true,", to: "tags:   { type: text,", want: []string{"breaking: v1 shop.orders.tags: it was a list of text and is text (REST, GraphQL, gRPC)"}},
		{name: "an int outgrows 32 bits", from: "max: 100", to: "max: 3000000000", want: []string{"breaking: v1 shop.orders.qty: GraphQL knew it as Int and knows it as Int64 (GraphQL)"}},
		{name: "a bound that 32 bits hold", from: "max: 100", to: "max: 200"},
		{name: "a value goes", from: "[open, paid]", to: "[open]", want: []string{"breaking: v1 shop.orders.status: the value paid is gone (REST, GraphQL, gRPC)"}},
		{name: "a value comes", from: "[open, paid]", to: "[open, paid, shipped]", want: []string{"compatible: v1 shop.orders.status: the value shipped is new (REST, GraphQL, gRPC)"}},
		{name: "null where there was none", from: "total:  { type: decimal, scale: 2 }", to: "total:  { type: decimal, scale: 2, optional: true }", want: []string{
			"breaking: v1 shop.orders.total: it can be null (GraphQL)", "compatible: v1 shop.orders.total: it need not be given (REST, GraphQL, gRPC)",
		}},
		{name: "no null any more", from: "note:   { type: text, optional: true }", to: "note:   { type: text, default: x }", want: []string{"breaking: v1 shop.orders.note: it cannot be null any more (REST, GraphQL, gRPC)"}},
		{name: "a default goes", from: "max: 100, default: 1", to: "max: 100", want: []string{"breaking: v1 shop.orders.qty: it has to be given (REST, GraphQL, gRPC)"}},
		{name: "a default comes", from: "scale: 2", to: "scale: 2, default: 1", want: []string{"compatible: v1 shop.orders.total: it need not be given (REST, GraphQL, gRPC)"}},
		{name: "it is hidden", from: "note:   { type: text, optional: true }", to: "note:   { type: text, optional: true, hidden: true }", want: []string{"breaking: v1 shop.orders.note: it is hidden (REST, GraphQL, gRPC)"}},
		{name: "it is hidden no more", from: "optional: true, hidden: true", to: "optional: true", want: []string{"compatible: v1 shop.orders.pin: it is answered (REST, GraphQL, gRPC)"}},
		{name: "a relation is renamed", from: "ref: orders, on_delete", to: "ref: orders, as: parent, on_delete", want: []string{
			"breaking: v1 shop.lines.order: the relation to shop.orders is gone; one that has another name now keeps this one in older versions with was: and since: (REST, GraphQL)",
			"compatible: v1 shop.lines.parent: the relation to shop.orders is new (REST, GraphQL)",
		}},
		{name: "many rows become one", from: "      order_id: { ref: orders, on_delete: cascade }\n", to: "      order_id: { ref: orders, on_delete: cascade }\n    unique: [[order_id]]\n", want: []string{
			"breaking: v1 shop.orders.lines: the relation led to many rows and leads to one row (REST, GraphQL)",
		}},
		{name: "a number moves", lock: []string{"note: 3, qty: 4", "note: 4, qty: 3"}, want: []string{
			"breaking: v1 shop.orders.note: its number was 3 and is 4; take pando.lock as it was committed (gRPC)",
			"breaking: v1 shop.orders.qty: its number was 4 and is 3; take pando.lock as it was committed (gRPC)",
		}},
		{name: "a value's number moves", lock: []string{"open: 1, paid: 2", "open: 2, paid: 1"}, want: []string{
			"breaking: v1 shop.orders.status: the number of open was 1 and is 2 (gRPC)", "breaking: v1 shop.orders.status: the number of paid was 2 and is 1 (gRPC)",
		}},
		{name: "an operation goes", from: "  sum:\n", to: "  total:\n", want: []string{
			"breaking: v1 shop.sum: the operation is gone; one that has another name now keeps this one in older versions with was: and since: (REST, GraphQL, gRPC)",
			"compatible: v1 shop.total: the operation is new (REST, GraphQL, gRPC)",
		}},
		{name: "an input goes", from: ", hint: { type: text, optional: true }", to: "", want: []string{"breaking: v1 shop.place().input.hint: it is gone (REST, GraphQL, gRPC)"}},
		{name: "an input comes", from: "{ note: text,", to: "{ note: text, more: { type: int, optional: true },", want: []string{"compatible: v1 shop.place().input.more: it is new (REST, GraphQL, gRPC)"}},
		{name: "a required input comes", from: "{ note: text,", to: "{ note: text, more: int,", want: []string{"breaking: v1 shop.place().input.more: it is new, and has to be given (REST, GraphQL, gRPC)"}},
		{name: "an input becomes required", from: "hint: { type: text, optional: true }", to: "hint: text", want: []string{"breaking: v1 shop.place().input.hint: it cannot be null any more (REST, GraphQL, gRPC)"}},
		{name: "an input becomes optional", from: "{ note: text,", to: "{ note: { type: text, optional: true },", want: []string{
			"compatible: v1 shop.place().input.note: it can be null (REST, GraphQL, gRPC)", "compatible: v1 shop.place().input.note: it need not be given (REST, GraphQL, gRPC)",
		}},
		{name: "an input deep inside", from: "fields: { qty: int }", to: "fields: { qty: text }", want: []string{"breaking: v1 shop.place().input.lines.qty: it was int and is text (REST, GraphQL, gRPC)"}},
		{name: "an input becomes a list", from: "{ note: text,", to: "{ note: { type: text, list: true },", want: []string{"breaking: v1 shop.place().input.note: it was text and is a list of text (REST, GraphQL, gRPC)"}},
		{name: "an output becomes a list", from: "output: orders", to: "output: { list: true, of: orders }", want: []string{"breaking: v1 shop.place: it answered one and answers a list (REST, GraphQL, gRPC)"}},
		{name: "an output of another entity", from: "output: orders", to: "output: lines", want: []string{"breaking: v1 shop.place: it answered rows of shop.orders and answers rows of shop.lines (REST, GraphQL, gRPC)"}},
		{name: "an output goes", from: "    output: orders\n", to: "", want: []string{"breaking: v1 shop.place: it answers nothing any more (REST, GraphQL, gRPC)"}},
		{name: "an output's member goes", from: "total: int, ", to: "", want: []string{"breaking: v1 shop.sum().output.total: it is gone (REST, GraphQL, gRPC)"}},
		{name: "an output's member comes", from: "total: int, ", to: "total: int, more: int, ", want: []string{"compatible: v1 shop.sum().output.more: it is new (REST, GraphQL, gRPC)"}},
		{name: "an output can be null", from: "total: int, ", to: "total: { type: int, optional: true }, ", want: []string{"breaking: v1 shop.sum().output.total: it can be null (GraphQL)"}},
		{name: "an output is never null", from: "at: { type: timestamp, optional: true }", to: "at: timestamp", want: []string{"compatible: v1 shop.sum().output.at: it is never null (REST, GraphQL, gRPC)"}},
		{name: "a query becomes a mutation", from: "    reads: true\n", to: "", want: []string{"breaking: v1 shop.sum: it was a query that GET may ask, and is not (REST, GraphQL)"}},
		{name: "a mutation becomes a query", from: "    output: orders\n", to: "    output: orders\n    reads: true\n", want: []string{"breaking: v1 shop.place: it was a mutation and is a query (GraphQL)"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			next, nextLock, versions := module, lock, "[v1]"
			if c.from != "" {
				if !strings.Contains(module, c.from) {
					t.Fatalf("the module has no %q", c.from)
				}
				next = strings.Replace(module, c.from, c.to, 1)
			}
			if c.lock != nil {
				nextLock = strings.Replace(lock, c.lock[0], c.lock[1], 1)
			}
			if c.versions != "" {
				versions = c.versions
			}
			changes := surface.Compare(of(t, "[v1]", module, lock), of(t, versions, next, nextLock))
			var got []string
			breaking := false
			for _, ch := range changes {
				got = append(got, ch.String())
				breaking = breaking || strings.HasPrefix(ch.String(), "breaking")
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if surface.Breaks(changes) != breaking {
				t.Error("Breaks says otherwise")
			}
		})
	}
}
