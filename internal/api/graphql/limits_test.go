package graphql

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
)

// again writes a text n times, with each number in the place of %d.
func again(n int, text string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.ReplaceAll(text, "%d", fmt.Sprint(i)))
	}
	return b.String()
}

// tower is fragments that spread the next one twice.
func tower(n int, below string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "fragment F%d on Query { %s } ", i, strings.ReplaceAll(below, "...N", fmt.Sprintf("...F%d", i+1)))
	}
	fmt.Fprintf(&b, "fragment F%d on Query { __typename }", n)
	return b.String()
}

func TestLimits(t *testing.T) {
	w := spoken(t, "api: { graphql: { aliases: 5, fields: 4, directives: 3, depth: 2, tokens: 800, document: 3KiB } }\n")
	tests := []struct{ name, doc, want string }{
		{"bytes", "{ __typename # " + strings.Repeat("x", 4<<10) + "\n}", "the document has 4"},
		{"tokens", "{ " + again(900, "a ") + "}", "more than 800 tokens"},
		{"tokens in a value", `{ shop_orders(where: {or: [` + again(450, "{} ") + `]}) { totalCount } }`, "more than 800 tokens"},
		{"root fields", `{ a: __typename b: __typename c: __typename d: __typename e: __typename }`, "has 5 root fields"},
		{"root fields in fragments", `{ ...F ... { c: __typename } ...G } fragment F on Query { a: __typename b: __typename } fragment G on Query { d: __typename e: __typename }`, "has 5 root fields"},
		{"aliases", `{ shop_orders { nodes { id ` + again(7, "a%d: number ") + `} } }`, "has 6 fields that are asked for again"},
		{"aliases in fragments", `{ shop_orders { nodes { ` + again(7, "...F%d ") + `} } } ` + again(7, "fragment F%d on shop_orders { a%d: number } "), "has 6 fields that are asked for again"},
		{"aliases below what merges", `{ shop_orders { nodes { ` + again(7, "customer { a%d: name } ") + `} } }`, "has 6 fields that are asked for again"},
		{"aliases of a fragment that is spread often", `{ shop_orders { ` + again(1, "") + ` nodes { customer { ...F } seller { ...F } } edges { node { customer { ...F } } } } } fragment F on shop_customers { a: name b: name c: name }`, "has 6 fields that are asked for again"},
		{"directives", `{ __typename ` + again(4, "@skip(if: false) ") + `}`, "has 4 directives"},
		{"directives in fragments", `{ ...F ...F @skip(if: false) } fragment F on Query { __typename @skip(if: false) ... @include(if: true) { __typename } }`, "has 5 directives"},
		{"depth", `{ shop_orders { nodes { customer { orders_by_customer { nodes { customer { name } } } } } } }`, "relations nest 3 deep, and 2 is allowed"},
		{"depth in fragments", `{ shop_orders { nodes { ...A } } } fragment A on shop_orders { customer { ...B } } fragment B on shop_customers { orders_by_customer { nodes { ...C } } } fragment C on shop_orders { customer { name } }`, "relations nest 3 deep"},
		{"fragments that grow exponentially", `{ ...F0 } ` + tower(20, "...N ...N"), "fields, with its fragments"},
		{"fragments in a circle", `{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }`, "within itself"},
		{"a fragment in itself", `{ ...A } fragment A on Query { __typename ...A }`, "within itself"},
		{"a circle below a field", `{ shop_orders { nodes { ...A } } } fragment A on shop_orders { customer { orders_by_customer { nodes { ...A } } } }`, "within itself"},
		{"a circle that nobody spreads", `{ __typename } fragment A on Query { ...A }`, "within itself"},
		{"the schema, again and again", `{ __schema { types { fields { type { fields { type { fields { type { name } } } } } } } } }`, "introspection depth"},
		{"nothing", `{ }`, "expected at least one definition"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := w.send("POST|Apikey: service"+response, graphqlV1, asks(tt.doc)); got.Code != http.StatusBadRequest || !strings.Contains(got.Body.String(), tt.want) || strings.Contains(got.Body.String(), `"data"`) {
				t.Errorf("%d %.500s", got.Code, got.Body)
			}
		})
	}
	for name, doc := range map[string]string{
		"another name is no alias": `{ shop_orders { nodes { a: id b: number c: total d: weight e: note f: paid g: tags } } }`,
		"what merges is one field": `{ shop_orders { nodes { ...A ...B ...C id number } } } fragment A on shop_orders { id number total } fragment B on shop_orders { id number total } fragment C on shop_orders { id number total }`,
		"two relations beside one": `{ shop_orders { nodes { customer { name } seller { name } } } }`,
	} {
		if got := w.send("POST|Apikey: service", graphqlV1, asks(doc)); !strings.Contains(got.Body.String(), `"data"`) {
			t.Errorf("%s: %s", name, got.Body)
		}
	}
}

// TestMeasureIsLinear measures documents whose fragments, written out, fill no
// machine. It ends at once, or never.
func TestMeasureIsLinear(t *testing.T) {
	w := spoken(t, "api: { graphql: { tokens: 100000, document: 1MiB, aliases: 10000, fields: 10000, directives: 10000 } }\n")
	for name, doc := range map[string]string{
		"twice each":        `{ ...F0 } ` + tower(3000, "...N ...N"),
		"below two fields":  `{ ...F0 } ` + tower(1000, "a: shop_orders { totalCount } ...N b: shop_orders { totalCount } ...N"),
		"each spreads many": `{ ...F0 } ` + tower(500, again(20, "...N ")),
	} {
		if got := w.send("POST"+response, graphqlV1, asks(doc)); got.Code != http.StatusBadRequest {
			t.Errorf("%s: %d %.300s", name, got.Code, got.Body)
		}
	}
}

func TestCost(t *testing.T) {
	w := spoken(t, "limits: { rows: 100 }\napi: { graphql: { cost: 50000 } }\n")
	sizes := map[string]int64{"customers": 10_000, "orders": 100_000, "lines": 300_000}
	w.door.Rows = func(_ context.Context, e *model.Entity) (int64, bool) {
		n, ok := sizes[e.Name]
		return n, ok
	}
	tests := []struct {
		doc, variables string
		want           int
	}{
		{`{ __typename }`, ``, 0},
		{`{ shop_orders(first: 10) { nodes { id } } }`, ``, 10},
		{`{ shop_orders { nodes { id } } }`, ``, 100}, // the default page
		{`{ shop_orders(first: 0) { nodes { id } } }`, ``, 1},
		{`query($n: Int) { shop_orders(first: $n) { nodes { id } } }`, `{"n": 7}`, 7},
		{`{ shop_orders(last: 5) { edges { node { id } } } }`, ``, 5},
		{`{ shop_orders(first: 10) { nodes { customer { name } seller { name } } } }`, ``, 30},
		{`{ shop_customers(first: 10) { nodes { orders_by_customer(first: 20) { nodes { id } } } } }`, ``, 10 + 10*20},
		{`{ shop_customers(first: 10) { nodes { orders_by_customer { nodes { id } } } } }`, ``, 10 + 10*40}, // four times the average
		{`{ shop_customers(first: 10) { nodes { orders_by_customer { nodes { lines { nodes { id } } } } } } }`, ``, 10 + 10*40 + 10*40*12},
		{`{ shop_orders(first: 10) { totalCount } }`, ``, 1000}, // all rows are counted
		{`{ shop_orders(first: 10) { totalCount nodes { id } } }`, ``, 1010},
		{`{ a: shop_orders(first: 10) { nodes { id } } b: shop_orders(first: 10) { nodes { id } } }`, ``, 20},
		{`query($s: Boolean!) { shop_orders(first: 10) @skip(if: $s) { nodes { id } } }`, `{"s": true}`, 0},
		{`{ shop_ordersByKey(id: "018f0000-0000-7000-8000-000000000001") { id customer { name } } }`, ``, 2},
	}
	for _, tt := range tests {
		variables := tt.variables
		if variables == "" {
			variables = "null"
		}
		got := w.send("POST|Apikey: service", graphqlV1, `{"query":`+quoteJSON(tt.doc)+`,"variables":`+variables+`}`)
		if want := fmt.Sprintf(`"cost":{"limit":50000,"requested":%d}`, tt.want); !strings.Contains(got.Body.String(), want) {
			t.Errorf("%s\nanswered %.400s\nwant     %s", tt.doc, got.Body, want)
		}
	}
	deep := `{ shop_customers(first: 100) { nodes { orders_by_customer(first: 40) { nodes { lines(first: 12) { nodes { order { customer { name } } } } } } } } }`
	got := w.send("POST|Apikey: service"+response, graphqlV1, asks(deep))
	if got.Code != http.StatusBadRequest || !strings.Contains(got.Body.String(), `"cost":{"limit":50000,"requested":148100}`) || !strings.Contains(got.Body.String(), string(fault.LimitExceeded)) {
		t.Errorf("%d %s", got.Code, got.Body)
	}
}

// FuzzDocument takes any document and variables from the parser to what is
// executed. It never panics, and what it takes is within the limits.
func FuzzDocument(f *testing.F) {
	for _, doc := range []string{
		`{ __typename }`, `query($n: Int = 1) { shop_orders(first: $n, where: {note: {eq: "x"}}) { nodes { id customer { name } } } }`,
		`{ ...F } fragment F on Query { ...F }`, `{ a: __typename ... @include(if: true) { __schema { types { name fields { args { defaultValue } } } } } }`,
		`mutation { shop_customersInsertOne(object: {name: "x"}) { name } }`, `{ shop_orders(where: {and: [{or: {not: {meta: {}}}}]}) { totalCount } }`,
		"{ shop_customers(where: {name: {eq: \"\"\"\n a\n\"\"\"}}) { nodes { name } } }", `subscription { x }`, `query a { __typename } query b { __typename }`,
		`{ shop_orders(where: {total: {gt: "1.5"}, paid: {eq: true}}, orderBy: [{number: ASC}]) { edges { cursor node { lines { nodes { qty } } } } } }`,
	} {
		f.Add(doc, `{"n": 1}`)
	}
	f.Add(`query($w: shop_ordersFilter) { shop_orders(where: $w) { totalCount } }`, `{"w": {"or": [{"total": {"eq": 1.50}}, {"number": {"in": [1, 2]}}]}}`)
	app, rules := loadApp(f, map[string]string{"modules/shop.yaml": shop})
	d := &door{Config: Config{Allows: func(*model.Operation, *policy.Identity) bool { return true }}, app: app, limits: app.Config.GraphQL, library: newLibrary(app)}
	id := service()
	s := d.schemaFor(app.Latest(), &id, rules.For(&id))
	f.Fuzz(func(t *testing.T, doc, variables string) {
		p, errs := d.parse(s, doc, true)
		if errs != nil {
			for _, err := range errs {
				if fault.Is(err, fault.Internal) {
					t.Fatalf("%q: %v", doc, err)
				}
			}
			return
		}
		var given map[string]any
		if decodeJSON([]byte(variables), &given) != nil {
			return
		}
		for _, o := range p.operations {
			c := &call{door: d, schema: s, id: id, guard: rules.For(&id), doc: p.doc, op: o.def, w: http.Header{}}
			if c.coerce(given, o.strict, true) != nil {
				continue
			}
			if n, err := d.cost(t.Context(), c, &preparedOperation{def: c.op}, d.limits.Cost); err == nil && (n < 0 || n > d.limits.Cost) {
				t.Fatalf("%q costs %d", doc, n)
			}
			for _, f := range c.collect(o.def.SelectionSet) {
				for _, arg := range f.field().Definition.Arguments {
					c.argument(f.field(), arg.Name)
				}
				if name := f.field().Name; name == "__schema" || name == "__type" {
					if _, err := c.introspect(f.field()); err != nil && !fault.Is(err, fault.LimitExceeded) {
						t.Fatalf("%q: %v", doc, err)
					}
				}
			}
		}
	})
}
