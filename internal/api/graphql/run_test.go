package graphql

import (
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/fault"
)

const seed = `mutation {
  shop_customersInsert(objects: [
    { id: "018f0000-0000-7000-8000-00000000000a", name: "ann", mail: "ann@x", level: old, mood: "so-so" },
    { id: "018f0000-0000-7000-8000-00000000000b", name: "bob", mail: "bob@x" }
  ]) { affectedRows }
  shop_ordersInsert(objects: [
    { id: "018f0000-0000-7000-8000-000000000001", number: 1, customer_id: "018f0000-0000-7000-8000-00000000000a", total: "12.50", weight: "9007199254740993",
      note: "red car", tags: ["a", "b"], sizes: ["1.5", 2], meta: { a: [1, { b: "x" }], s: "t" }, lines: [ { product: "p", qty: 2 }, { product: "q", qty: 60 }, { product: "r", qty: 3 } ] },
    { id: "018f0000-0000-7000-8000-000000000002", number: 2, customer_id: "018f0000-0000-7000-8000-00000000000a", seller_id: "018f0000-0000-7000-8000-00000000000b", total: 3, paid: true },
    { id: "018f0000-0000-7000-8000-000000000003", number: 3, customer_id: "018f0000-0000-7000-8000-00000000000b", total: "0.25", note: "a blue bus" }
  ]) { affectedRows returning { number customer { name } } }
}`

func TestRead(t *testing.T) {
	w := newWorld(t)
	w.answers(service(), seed, `{"shop_customersInsert":{"affectedRows":2},"shop_ordersInsert":{"affectedRows":3,"returning":[{"number":1,"customer":{"name":"ann"}},{"number":2,"customer":{"name":"ann"}},{"number":3,"customer":{"name":"bob"}}]}}`)
	for _, c := range [][2]string{
		{`{ __typename }`, `{"__typename":"Query"}`},
		{`{ a: shop_orders { t: __typename nodes { __typename number } } }`, `{"a":{"t":"shop_ordersConnection","nodes":[{"__typename":"shop_orders","number":1},{"__typename":"shop_orders","number":2},{"__typename":"shop_orders","number":3}]}}`},
		{`{ shop_orders { nodes { __typename } } }`, `{"shop_orders":{"nodes":[{"__typename":"shop_orders"},{"__typename":"shop_orders"},{"__typename":"shop_orders"}]}}`},
		{`{ shop_orders(first: 1) { nodes { total weight tags sizes paid note meta x: meta(path: ["a", "1", "b"]) } } }`, `{"shop_orders":{"nodes":[{"total":"12.50","weight":"9007199254740993","tags":["a","b"],"sizes":["1.5","2.0"],"paid":false,"note":"red car","meta":{"a":[1,{"b":"x"}],"s":"t"},"x":"x"}]}}`},
		{`{ shop_orders(first: 1) { nodes { number } totalCount pageInfo { hasNextPage hasPreviousPage } } }`, `{"shop_orders":{"nodes":[{"number":1}],"totalCount":3,"pageInfo":{"hasNextPage":true,"hasPreviousPage":false}}}`},
		{`{ shop_orders(last: 1) { nodes { number } pageInfo { hasNextPage hasPreviousPage } } }`, `{"shop_orders":{"nodes":[{"number":3}],"pageInfo":{"hasNextPage":false,"hasPreviousPage":true}}}`},
		{`{ shop_orders(orderBy: [{ paid: DESC }, { total: ASC }]) { edges { node { number } } } }`, `{"shop_orders":{"edges":[{"node":{"number":2}},{"node":{"number":3}},{"node":{"number":1}}]}}`},
		{`{ shop_ordersByKey(id: "018f0000-0000-7000-8000-000000000002") { number customer { name level mood } seller { name pals: orders_by_seller { nodes { number } } } } }`, `{"shop_ordersByKey":{"number":2,"customer":{"name":"ann","level":"old","mood":"so-so"},"seller":{"name":"bob","pals":{"nodes":[{"number":2}]}}}}`},
		{`{ shop_ordersByKey(id: "018f0000-0000-7000-8000-0000000000ff") { number } }`, `{"shop_ordersByKey":null}`},
		{`{ shop_customers { nodes { name orders_by_customer(orderBy: { number: DESC }, first: 1) { totalCount nodes { number lines { nodes { product } aggregate { count sum { qty } } } } } } } }`, `{"shop_customers":{"nodes":[{"name":"ann","orders_by_customer":{"totalCount":2,"nodes":[{"number":2,"lines":{"nodes":[],"aggregate":{"count":0,"sum":{"qty":null}}}}]}},{"name":"bob","orders_by_customer":{"totalCount":1,"nodes":[{"number":3,"lines":{"nodes":[],"aggregate":{"count":0,"sum":{"qty":null}}}}]}}]}}`},
		{`{ shop_orders { aggregate { __typename count sum { total weight number } avg { number } min { note } max { total paid: number } } } }`, `{"shop_orders":{"aggregate":{"__typename":"shop_ordersAggregate","count":3,"sum":{"total":"15.75","weight":"9007199254740993","number":"6"},"avg":{"number":"2.000000"},"min":{"note":"a blue bus"},"max":{"total":"12.50","paid":3}}}}`},
		{`{ shop_orders { groups { key { customer_id paid } count sum { total } } } }`, `{"shop_orders":{"groups":[{"key":{"customer_id":"018f0000-0000-7000-8000-00000000000a","paid":false},"count":1,"sum":{"total":"12.50"}},{"key":{"customer_id":"018f0000-0000-7000-8000-00000000000a","paid":true},"count":1,"sum":{"total":"3.00"}},{"key":{"customer_id":"018f0000-0000-7000-8000-00000000000b","paid":false},"count":1,"sum":{"total":"0.25"}}]}}`},
		{`{ shop_orders { aggregate { __typename } } }`, `{"shop_orders":{"aggregate":{"__typename":"shop_ordersAggregate"}}}`},
		{`query { a: shop_customers(where: { name: { eq: "ann" } }) { nodes { name } } b: shop_customers(where: { name: { eq: "bob" } }) { nodes { name } } }`, `{"a":{"nodes":[{"name":"ann"}]},"b":{"nodes":[{"name":"bob"}]}}`},
		{`{ shop_orders { ...f } } fragment f on shop_ordersConnection { nodes { number ... @skip(if: true) { total } ... on shop_orders { paid } } }`, `{"shop_orders":{"nodes":[{"number":1,"paid":false},{"number":2,"paid":true},{"number":3,"paid":false}]}}`},
		{`{ shop_count(at_least: 3) { n total parts { name } __typename } }`, `{"shop_count":{"n":"9007199254740993","total":"1.50","parts":[{"name":"{'at_least':3}"}],"__typename":"shop_countOutput"}}`},
		{`mutation { shop_close(number: 1) { id number total note sizes } }`, `{"shop_close":[{"id":"018f0000-0000-7000-8000-000000000001","number":7,"total":"2.00","note":null,"sizes":["1.5"]}]}`},
	} {
		w.answers(service(), c[0], c[1])
	}
	for _, c := range []struct{ where, want string }{
		{`{ number: { in: [1, 3] } }`, "1 3"},
		{`{ number: { gt: 1, lt: 3 } }`, "2"},
		{`{ or: [{ number: { eq: 1 } }, { paid: { is: TRUE } }] }`, "1 2"},
		{`{ or: [] }`, ""},
		{`{ and: [] }`, "1 2 3"},
		{`{ not: { paid: { eq: true } } }`, "1 3"},
		{`{ note: { is: NULL } }`, "2"},
		{`{ note: { ilike: "%CAR" } }`, "1"},
		{`{ note: { likeAny: ["red%", "%bus"] } }`, "1 3"},
		{`{ note: { wfts: "bus -red" } }`, "3"},
		{`{ total: { gte: "3.00" } }`, "1 2"},
		{`{ total: { eq: 12.5 } }`, "1"},
		{`{ weight: { eq: "9007199254740993" } }`, "1"},
		{`{ tags: { cs: ["b"] } }`, "1"},
		{`{ sizes: { ov: ["2.0"] } }`, "1"},
		{`{ meta: { cs: { s: "t" } } }`, "1"},
		{`{ meta: { at: [{ path: ["a", "1", "b"], text: { eq: "x" } }] } }`, "1"},
		{`{ meta: { at: [{ path: ["a", "0"], json: { eq: 1 } }] } }`, "1"},
		{`{ customer: { name: { eq: "ann" } } }`, "1 2"},
		{`{ seller: {} }`, "2"},
		{`{ not: { seller: {} } }`, "1 3"},
		{`{ lines: { qty: { eq: 3 } } }`, "1"},
		{`{ lines: { qty: { eq: 60 } } }`, "1"}, // the service reads all
		{`{ customer_id: { neq: "018f0000-0000-7000-8000-00000000000a" } }`, "3"},
	} {
		got, errs := w.try(service(), `{ shop_orders(where: `+c.where+`) { nodes { number } } }`)
		if numbers := strings.Join(strings.FieldsFunc(strings.TrimPrefix(got, `{"shop_orders":`), func(r rune) bool { return r < '0' || r > '9' }), " "); numbers != c.want || len(errs) > 0 {
			t.Errorf("%s: %s %v, want %s", c.where, got, errs, c.want)
		}
	}
	// What a policy keeps back.
	w.answers(anon(), `{ shop_orders(where: { lines: { qty: { eq: 60 } } }) { nodes { number } } }`, `{"shop_orders":{"nodes":[]}}`)
	w.answers(anon(), `{ shop_orders(first: 1) { nodes { lines { totalCount aggregate { sum { qty } } nodes { qty } } } } }`, `{"shop_orders":{"nodes":[{"lines":{"totalCount":2,"aggregate":{"sum":{"qty":"5"}},"nodes":[{"qty":2},{"qty":3}]}}]}}`)
	w.answers(anon(), `{ shop_customers { nodes { name mail } } }`, `{"shop_customers":{"nodes":[{"name":"ann","mail":"ann@x"},{"name":"bob","mail":null}]}}`)
	w.refuses(anon(), `{ shop_secrets { nodes { word } } }`, "", `Cannot query field "shop_secrets" on type "Query"`)
	w.refuses(service(), `{ shop_customers { nodes { pin } } }`, "", `Cannot query field "pin"`)
	w.refuses(anon(), `mutation { shop_close(number: 1) { id } }`, "", `Cannot query field "shop_close"`)
	// Errors are of their field; the others are answered.
	e := w.refuses(service(), `{ a: shop_orders(where: { note: { match: "(" } }) { nodes { number } } b: shop_orders(first: 1) { nodes { number } } }`, `{"a":null,"b":{"nodes":[{"number":1}]}}`, "regular expression")
	if e.Path[0] != "a" || e.Extensions["code"] != string(fault.InvalidRegexp) || len(e.Locations) == 0 {
		t.Errorf("%+v", e)
	}
	for _, c := range [][2]string{
		{`{ shop_orders(first: -1) { nodes { number } } }`, "must not be negative"},
		{`{ shop_orders(first: 1, last: 1) { nodes { number } } }`, "not both"},
		{`{ shop_orders(after: "zz") { nodes { number } } }`, "cursor"},
		{`{ shop_orders(where: { number: null }) { nodes { number } } }`, "is null in a condition"},
		{`{ shop_orders(where: { number: { eq: null } }) { nodes { number } } }`, "is null in a condition"},
		{`{ shop_orders(where: { not: {not: {not: {not: {not: {not: {not: {not: {not: {not: {}}}}}}}}}}}) { nodes { number } } }`, "deep"},
	} {
		w.refuses(service(), c[0], `{"shop_orders":null}`, c[1])
	}
}

// TestOneStatement counts the statements of root fields.
func TestOneStatement(t *testing.T) {
	w := newWorld(t)
	w.try(service(), seed)
	for _, doc := range []string{
		`{ shop_customers { nodes { name orders_by_customer { nodes { number lines { nodes { product order { customer { name } } } } } } } } }`,
		`{ shop_customers { totalCount pageInfo { hasNextPage endCursor } aggregate { count } groups { key { level } count } edges { cursor node { name orders_by_customer(first: 2) { totalCount pageInfo { hasNextPage startCursor } edges { cursor node { number lines { totalCount nodes { qty } } } } } } } } }`,
		`{ shop_ordersByKey(id: "018f0000-0000-7000-8000-000000000001") { number customer { name } lines { nodes { qty } } } }`,
	} {
		before := w.sql.n.Load()
		w.answers(service(), doc, first(w.try(service(), doc)))
		if n := w.sql.n.Load() - before; n != 2 {
			t.Errorf("%d statements for two times one root field: %s", n, doc)
		}
	}
	before := w.sql.n.Load()
	w.try(service(), `{ a: shop_orders { totalCount } b: shop_orders { nodes { number } } }`)
	if n := w.sql.n.Load() - before; n != 2 {
		t.Errorf("%d statements for two root fields", n)
	}
}

func first(data string, _ []*gqlError) string { return data }

// TestPages goes through a connection by its cursors.
func TestPages(t *testing.T) {
	w := newWorld(t)
	w.try(service(), seed)
	type page struct {
		Orders struct {
			Edges []struct {
				Cursor string
				Node   struct{ Number int }
			}
			PageInfo struct {
				HasNextPage bool
				EndCursor   *string
			}
		} `json:"shop_orders"`
	}
	var got []int
	after := "null"
	for range 5 {
		data, errs := w.try(service(), `{ shop_orders(first: 1, after: `+after+`, orderBy: { total: DESC }) { edges { cursor node { number } } pageInfo { hasNextPage endCursor } } }`)
		var p page
		if err := json.Unmarshal([]byte(data), &p); err != nil || len(errs) > 0 {
			t.Fatal(data, err, errs)
		}
		for _, e := range p.Orders.Edges {
			got = append(got, e.Node.Number)
			if e.Cursor != *p.Orders.PageInfo.EndCursor {
				t.Errorf("%s", data)
			}
		}
		if !p.Orders.PageInfo.HasNextPage {
			break
		}
		after = `"` + *p.Orders.PageInfo.EndCursor + `"`
	}
	if len(got) != 3 || got[0] != 1 || got[1] != 2 || got[2] != 3 {
		t.Errorf("the pages hold %v", got)
	}
}

// TestCursorsAndPolicies: the keys of a cursor, which whoever sends it chooses,
// are not what a policy compares with.
func TestCursorsAndPolicies(t *testing.T) {
	w := newWorld(t)
	w.try(service(), seed)
	cursor := hex.EncodeToString([]byte(`[1,"018f0000-0000-7000-8000-000000000000"]`))
	w.answers(anon(), `{ shop_lines(orderBy: [{ qty: ASC }], after: "`+cursor+`") { nodes { qty } totalCount } }`, `{"shop_lines":{"nodes":[{"qty":2},{"qty":3}],"totalCount":2}}`)
	cursor = hex.EncodeToString([]byte(`[100,"z",100,1]`))
	w.refuses(anon(), `{ shop_lines(orderBy: [{ qty: ASC }], before: "`+cursor+`") { nodes { qty } } }`, `{"shop_lines":null}`, "cursor")
	cursor = hex.EncodeToString([]byte(`[100,"z","018fffff-0000-7000-8000-000000000000"]`))
	w.answers(anon(), `{ shop_lines(orderBy: [{ qty: ASC }, { product: ASC }], before: "`+cursor+`") { nodes { qty } } }`, `{"shop_lines":{"nodes":[{"qty":2},{"qty":3}]}}`)
}

func TestMutate(t *testing.T) {
	w := newWorld(t)
	w.try(service(), seed)
	const two = `"018f0000-0000-7000-8000-000000000002"`
	for _, c := range [][2]string{
		{`mutation { shop_ordersUpdate(where: { number: { lte: 2 } }, set: { note: "x" }) { affectedRows returning { number note } __typename } }`, `{"shop_ordersUpdate":{"affectedRows":2,"returning":[{"number":1,"note":"x"},{"number":2,"note":"x"}],"__typename":"shop_ordersChanged"}}`},
		{`mutation { shop_ordersUpdateByKey(id: ` + two + `, set: { note: null, total: "1.10", meta: "just" }) { note total meta customer { name } } }`, `{"shop_ordersUpdateByKey":{"note":null,"total":"1.10","meta":"just","customer":{"name":"ann"}}}`},
		{`mutation { shop_ordersUpdateByKey(id: "018f0000-0000-7000-8000-0000000000ff", set: { note: "y" }) { note } }`, `{"shop_ordersUpdateByKey":null}`},
		{`mutation { shop_ordersUpdate(where: { number: { eq: 1 } }, set: {}) { affectedRows returning { number } } }`, `{"shop_ordersUpdate":{"affectedRows":0,"returning":[]}}`},
		{`mutation { shop_customersInsertOne(object: { name: "ann", level: new }, onConflict: { fields: [name], resolution: MERGE }) { name level mail } }`, `{"shop_customersInsertOne":{"name":"ann","level":"new","mail":"ann@x"}}`},
		{`mutation { shop_customersInsert(objects: [{ name: "ann", level: old }, { name: "cyd" }], onConflict: { fields: [name], resolution: IGNORE }) { affectedRows returning { name level } } }`, `{"shop_customersInsert":{"affectedRows":1,"returning":[{"name":"cyd","level":"new"}]}}`},
		{`mutation { shop_customersInsertOne(object: { name: "ann" }, onConflict: { fields: [name], resolution: IGNORE }) { name } }`, `{"shop_customersInsertOne":null}`},
		{
			`mutation { a: shop_ordersInsertOne(object: { number: 10, customer: { name: "dan" }, lines: [{ product: "l", qty: 1 }, { product: "m", qty: 2 }] }) { number customer { name } lines { nodes { product } } } b: shop_customersDelete(where: { name: { eq: "cyd" } }) { affectedRows returning { name } } __typename }`,
			`{"a":{"number":10,"customer":{"name":"dan"},"lines":{"nodes":[{"product":"l"},{"product":"m"}]}},"b":{"affectedRows":1,"returning":[{"name":"cyd"}]},"__typename":"Mutation"}`,
		},
		{
			`mutation { shop_customersInsert(objects: [{ name: "eve", orders_by_customer: [{ number: 20, lines: { product: "n", qty: 9 } }] }, { name: "fay", orders_by_customer: [{ number: 21 }, { number: 22 }] }]) { affectedRows returning { name orders_by_customer { nodes { number lines { nodes { qty } } } } } } }`,
			`{"shop_customersInsert":{"affectedRows":2,"returning":[{"name":"eve","orders_by_customer":{"nodes":[{"number":20,"lines":{"nodes":[{"qty":9}]}}]}},{"name":"fay","orders_by_customer":{"nodes":[{"number":21,"lines":{"nodes":[]}},{"number":22,"lines":{"nodes":[]}}]}}]}}`,
		},
		{`mutation { shop_ordersDeleteByKey(id: "018f0000-0000-7000-8000-000000000003") { number note } }`, `{"shop_ordersDeleteByKey":{"number":3,"note":"a blue bus"}}`},
		{`mutation { shop_ordersDeleteByKey(id: "018f0000-0000-7000-8000-000000000003") { number } }`, `{"shop_ordersDeleteByKey":null}`},
		{`mutation { __typename }`, `{"__typename":"Mutation"}`},
	} {
		w.answers(service(), c[0], c[1])
	}
	// One transaction: what comes before a failure is undone.
	e := w.refuses(service(), `mutation { a: shop_customersInsertOne(object: { name: "gus" }) { name } b: shop_ordersInsertOne(object: { number: 666, customer: { name: "hal" } }) { number } }`, "null", "check")
	if e.Path[0] != "b" || e.Extensions["code"] != string(fault.Check) {
		t.Errorf("%+v", e)
	}
	w.answers(service(), `{ shop_customers(where: { name: { in: ["gus", "hal"] } }) { totalCount } }`, `{"shop_customers":{"totalCount":0}}`)
	w.refuses(service(), `mutation { a: shop_customersInsertOne(object: { name: "ida" }) { name } shop_fail }`, "null", "")
	w.answers(service(), `{ shop_customers(where: { name: { eq: "ida" } }) { totalCount } }`, `{"shop_customers":{"totalCount":0}}`)
	for _, c := range [][3]string{
		{`mutation { shop_ordersDelete(where: {}) { affectedRows } }`, "requires a filter", string(fault.UnfilteredWrite)},
		{`mutation { shop_ordersUpdate(where: {}, set: { note: "z" }) { affectedRows } }`, "requires a filter", string(fault.UnfilteredWrite)},
		{`mutation { shop_customersInsertOne(object: { name: "ann" }) { name } }`, "", string(fault.Unique)},
		{`mutation { shop_ordersInsertOne(object: { number: 30 }) { number } }`, "", string(fault.NotNull)},
		{`mutation { shop_ordersInsertOne(object: { number: 30, customer_id: "018f0000-0000-7000-8000-00000000000a", customer: { name: "jo" } }) { number } }`, "both say", string(fault.InvalidInput)},
		{`mutation { shop_linesInsertOne(object: { order_id: ` + two + `, product: "p", qty: 1000 }) { qty } }`, "", string(fault.Check)},
	} {
		if e := w.refuses(service(), c[0], "null", c[1]); e.Extensions["code"] != c[2] {
			t.Errorf("%s: %+v", c[0], e)
		}
	}
	// What the caller may not delete is not there for him.
	w.answers(anon(), `mutation { shop_ordersDelete(where: { number: { eq: 2 } }) { affectedRows } }`, `{"shop_ordersDelete":{"affectedRows":0}}`)
	// A row that is written and not readable is not answered.
	w.answers(anon(), `mutation { shop_linesInsertOne(object: { order_id: `+two+`, product: "p", qty: 70 }) { qty } }`, `{"shop_linesInsertOne":null}`)
	w.refuses(anon(), `mutation { shop_linesDelete(where: { qty: { eq: 1 } }) { affectedRows } }`, "", "Cannot query field")
}
