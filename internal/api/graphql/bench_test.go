package graphql

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"github.com/pandobase/pando/internal/api/rest"
	"github.com/pandobase/pando/internal/policy"
)

// BenchmarkDoors asks the same of this door, without HTTP, and of REST: rows with
// two levels of relations.
func BenchmarkDoors(b *testing.B) {
	w := newWorld(b)
	var objects []string
	for i := range 60 {
		objects = append(objects, fmt.Sprintf(`{ id: "018f0000-0000-7000-8000-%012d", number: %d, total: "1.50", note: "some words", customer: { name: "c%d" }, lines: [{ product: "p", qty: 2 }, { product: "q", qty: 3 }] }`, i, i, i))
	}
	if _, errs := w.try(service(), "mutation { shop_ordersInsert(objects: ["+strings.Join(objects, ",")+"]) { affectedRows } }"); len(errs) > 0 {
		b.Fatal(errs[0].Message)
	}
	id := service()
	guard := w.door.Engine.Guard(id)
	s := w.door.schemaFor(w.door.app.Latest(), &id, guard)
	handler := rest.New(rest.Config{Engine: w.door.Engine, Authenticate: func(*http.Request) (policy.Identity, error) { return id, nil }})
	for _, c := range []struct{ name, doc, path string }{
		{"get", `{ shop_ordersByKey(id: "018f0000-0000-7000-8000-000000000007") { number total note customer { name level } } }`, "/rest/v1/orders?id=eq.018f0000-0000-7000-8000-000000000007&select=number,total,note,customer(name,level)"},
		{"list", `{ shop_orders(first: 30) { nodes { number total note customer { name level } lines { nodes { product qty } } } } }`, "/rest/v1/orders?limit=30&select=number,total,note,customer(name,level),lines(product,qty)"},
		{"flat", `{ shop_orders(first: 30) { nodes { number total note } } }`, "/rest/v1/orders?limit=30&select=number,total,note"},
		{"page", `{ shop_orders(first: 30) { pageInfo { hasNextPage endCursor } edges { cursor node { number total note customer { name level } } } } }`, "/rest/v1/orders?limit=30&select=number,total,note,customer(name,level)"},
	} {
		parsed, err := parser.ParseQuery(&ast.Source{Input: c.doc})
		if err != nil {
			b.Fatal(err)
		}
		if errs := validator.ValidateWithRules(s.ast, parsed, rules.NewDefaultRules()); len(errs) > 0 {
			b.Fatal(errs)
		}
		b.Run(c.name+"/graphql", func(b *testing.B) {
			for b.Loop() {
				c := &call{schema: s, id: id, guard: guard, doc: parsed, op: parsed.Operations[0]}
				a := w.door.execute(b.Context(), c)
				if len(a.errs) > 0 {
					b.Fatal(a.errs[0].Message)
				}
			}
		})
		b.Run(c.name+"/rest", func(b *testing.B) {
			u, _ := url.Parse(c.path)
			for b.Loop() {
				rec := httptest.NewRecorder()
				handler.ServeHTTP(rec, (&http.Request{Method: "GET", URL: u, Header: http.Header{}}).WithContext(b.Context()))
				if rec.Code != 200 {
					b.Fatal(rec.Body)
				}
			}
		})
	}
}
