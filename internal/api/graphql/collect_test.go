package graphql

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
)

// testSchema has every kind of type that an application's schema has.
const testSchema = `
scalar Int64
scalar Decimal
scalar UUID
scalar JSON
enum Color { RED GREEN }
input Nested { n: Int!, deep: Nested, list: [Int!] = [7] }
input Filter { color: Color = RED, text: String, price: Decimal, big: Int64, meta: JSON, nested: Nested, all: [Nested!], id: ID, ok: Boolean, ratio: Float, uuid: UUID, grid: [[Int]] }
input One @oneOf { a: Int, b: String }
type Thing { id: ID!, name(upper: Boolean = false, max: Int! = 3): String, again: Thing, things(first: Int = 10, where: Filter, one: One, meta: JSON, price: Decimal): [Thing!]! }
type Query { thing: Thing, things(first: Int = 10, where: Filter, one: One, meta: JSON, price: Decimal, big: Int64): [Thing!]! }
type Mutation { change(input: Filter!): Thing }
`

func loadTestSchema(t testing.TB) *schema {
	t.Helper()
	s, err := gqlparser.LoadSchema(&ast.Source{Input: testSchema})
	if err != nil {
		t.Fatal(err)
	}
	return &schema{ast: s}
}

// callOf is the first operation of a document, with variables given as JSON.
func callOf(t testing.TB, doc, variables string) (*call, []error) {
	t.Helper()
	s := loadTestSchema(t)
	q, errs := gqlparser.LoadQueryWithRules(s.ast, doc, nil)
	if errs != nil {
		t.Fatal(errs)
	}
	c := &call{schema: s, doc: q, op: q.Operations[0]}
	given := map[string]any{}
	if variables != "" {
		dec := json.NewDecoder(strings.NewReader(variables))
		dec.UseNumber()
		if err := dec.Decode(&given); err != nil {
			t.Fatal(err)
		}
	}
	return c, c.coerce(given, nil, true)
}

// keys are the response keys of a selection, those below in brackets.
func keys(c *call, sets ...ast.SelectionSet) string {
	var out []string
	for _, f := range c.collect(sets...) {
		key := f.key
		if below := keys(c, f.sets()...); below != "" {
			key += "(" + below + ")"
		}
		out = append(out, key)
	}
	return strings.Join(out, " ")
}

func TestCollect(t *testing.T) {
	many := func(n int) (doc, want string) {
		names := make([]string, n)
		for i := range names {
			names[i] = fmt.Sprintf("k%d", i)
		}
		return "{ thing { " + strings.Join(names, ":id ") + ":id k0:id k39:id } }", "thing(" + strings.Join(names, " ") + ")"
	}
	manyDoc, manyWant := many(40)
	tests := []struct{ name, doc, variables, want string }{
		{"order and aliases", `{ b: thing { id name } a: thing { id } }`, "", "b(id name) a(id)"},
		{"the same key is merged", `{ thing { id } thing { name again { id } } thing { again { name } } }`, "", "thing(id name again(id name))"},
		{"fragments", `{ ...A thing { name } ... on Query { thing { x: id } } } fragment A on Query { thing { ...B } } fragment B on Thing { id again { ...C } } fragment C on Thing { id }`, "", "thing(id again(id) name x)"},
		{"a fragment twice", `{ thing { ...B ...B again { ...B } } } fragment B on Thing { id }`, "", "thing(id again(id))"},
		{"skip and include", `query($y: Boolean!, $n: Boolean = false) { a: thing @skip(if: $y) { id } b: thing @include(if: $y) { id } c: thing @include(if: $n) { id } d: thing @skip(if: false) @include(if: true) { id ... @include(if: $n) { name } ...B @skip(if: $y) } } fragment B on Thing { again { id } }`, `{"y": true}`, "b(id) d(id)"},
		{"a fragment that is left out once", `query($n: Boolean!) { thing { ...B @include(if: $n) ...B } } fragment B on Thing { id }`, `{"n": false}`, "thing(id)"},
		{"many keys", manyDoc, "", manyWant},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, errs := callOf(t, tt.doc, tt.variables)
			if errs != nil {
				t.Fatal(errs)
			}
			if got := keys(c, c.op.SelectionSet); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestArgument(t *testing.T) {
	tests := []struct {
		name, doc, variables, arg string
		want                      any
		given                     bool
	}{
		{"a default", `{ things { id } }`, "", "first", json.Number("10"), true},
		{"a literal", `{ things(first: 3) { id } }`, "", "first", json.Number("3"), true},
		{"null is given", `{ things(first: null) { id } }`, "", "first", nil, true},
		{"nothing", `{ things { id } }`, "", "where", nil, false},
		{"unknown", `{ things { id } }`, "", "nowhere", nil, false},
		{"a variable", `query($f: Int) { things(first: $f) { id } }`, `{"f": 5}`, "first", json.Number("5"), true},
		{"a variable that is not given takes the argument's default", `query($f: Int) { things(first: $f) { id } }`, ``, "first", json.Number("10"), true},
		{"a variable that is null", `query($f: Int) { things(first: $f) { id } }`, `{"f": null}`, "first", nil, true},
		{"a variable's default", `query($f: Int = 2) { things(first: $f) { id } }`, ``, "first", json.Number("2"), true},
		{"an object with defaults within", `{ things(where: { text: "x", nested: { n: 1, deep: { n: 2, list: 5 } } }) { id } }`, "", "where", map[string]any{
			"color": "RED", "text": "x", "nested": map[string]any{"n": json.Number("1"), "list": []any{json.Number("7")}, "deep": map[string]any{"n": json.Number("2"), "list": []any{json.Number("5")}}},
		}, true},
		{"a member that is a variable without a value", `query($t: String, $c: Color) { things(where: { text: $t, color: $c }) { id } }`, "", "where", map[string]any{"color": "RED"}, true},
		{"variables in lists", `query($n: Nested!) { things(where: { all: [{ n: 1 }, $n] }) { id } }`, `{"n": {"n": 2, "list": null}}`, "where", map[string]any{
			"color": "RED", "all": []any{map[string]any{"n": json.Number("1"), "list": []any{json.Number("7")}}, map[string]any{"n": json.Number("2"), "list": nil}},
		}, true},
		{"a value for a list", `{ things(where: { all: { n: 1 } }) { id } }`, "", "where", map[string]any{"color": "RED", "all": []any{map[string]any{"n": json.Number("1"), "list": []any{json.Number("7")}}}}, true},
		{"scalars keep their digits", `{ things(where: { price: "1.50", big: "9007199254740993", id: 5, ratio: 3, ok: true, color: GREEN, uuid: "u" }) { id } }`, "", "where", map[string]any{
			"price": json.Number("1.50"), "big": json.Number("9007199254740993"), "id": "5", "ratio": json.Number("3"), "ok": true, "color": "GREEN", "uuid": "u",
		}, true},
		{"any JSON", `query($v: JSON, $w: JSON) { things(meta: { a: [1, 2.50, "x", null, true, { b: $v }], c: $w, d: $v }) { id } }`, `{"v": {"deep": [12345678901234567890]}}`, "meta", map[string]any{
			"a": []any{json.Number("1"), json.Number("2.50"), "x", nil, true, map[string]any{"b": map[string]any{"deep": []any{json.Number("12345678901234567890")}}}},
			"d": map[string]any{"deep": []any{json.Number("12345678901234567890")}},
		}, true},
		{"a block string", "{ things(where: { text: \"\"\"\n  a\n    b\n  \"\"\" }) { id } }", "", "where", map[string]any{"color": "RED", "text": "a\n  b"}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, errs := callOf(t, tt.doc, tt.variables)
			if errs != nil {
				t.Fatal(errs)
			}
			got, given := c.argument(c.collect(c.op.SelectionSet)[0].field(), tt.arg)
			if given != tt.given {
				t.Errorf("given is %v", given)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
