package graphql

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pandobase/pando/internal/fault"
)

func TestCoerce(t *testing.T) {
	const all = `query($w: Filter) { things(where: $w) { id } }`
	n := func(s string) json.Number { return json.Number(s) }
	tests := []struct {
		name, doc, variables string
		want                 map[string]any
	}{
		{"nothing given", all, ``, map[string]any{}},
		{"null", all, `{"w": null}`, map[string]any{"w": nil}},
		{"what is not declared means nothing", all, `{"x": 1}`, map[string]any{}},
		{"defaults within", all, `{"w": {}}`, map[string]any{"w": map[string]any{"color": "RED"}}},
		{"null is no absence", all, `{"w": {"color": null}}`, map[string]any{"w": map[string]any{"color": nil}}},
		{"defaults below", all, `{"w": {"nested": {"n": 1}}}`, map[string]any{"w": map[string]any{"color": "RED", "nested": map[string]any{"n": n("1"), "list": []any{n("7")}}}}},
		{"a list of one", all, `{"w": {"all": {"n": 1, "list": 5}}}`, map[string]any{"w": map[string]any{"color": "RED", "all": []any{map[string]any{"n": n("1"), "list": []any{n("5")}}}}}},
		{"lists of lists", all, `{"w": {"grid": [1, [2, null], null]}}`, map[string]any{"w": map[string]any{"color": "RED", "grid": []any{[]any{n("1")}, []any{n("2"), nil}, nil}}}},
		{"numbers", all, `{"w": {"big": 9223372036854775807, "price": 0.10, "ratio": 1e2, "id": 7}}`, map[string]any{"w": map[string]any{"color": "RED", "big": n("9223372036854775807"), "price": n("0.10"), "ratio": n("1e2"), "id": "7"}}},
		{"numbers as text", all, `{"w": {"big": "-9223372036854775808", "price": "123456789012345678.90"}}`, map[string]any{"w": map[string]any{"color": "RED", "big": n("-9223372036854775808"), "price": n("123456789012345678.90")}}},
		{"an integer may be written with a point", `query($f: Int) { things(first: $f) { id } }`, `{"f": 3.0}`, map[string]any{"f": n("3")}},
		{"any JSON", `query($m: JSON) { things(meta: $m) { id } }`, `{"m": {"a": [1.0, null]}}`, map[string]any{"m": map[string]any{"a": []any{n("1.0"), nil}}}},
		{"a default", `query($w: Filter = {text: "d"}) { things(where: $w) { id } }`, ``, map[string]any{"w": map[string]any{"color": "RED", "text": "d"}}},
		{"one of", `query($o: One) { things(one: $o) { id } }`, `{"o": {"a": 1}}`, map[string]any{"o": map[string]any{"a": n("1")}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, errs := callOf(t, tt.doc, tt.variables)
			if errs != nil {
				t.Fatal(errs)
			}
			if diff := cmp.Diff(tt.want, c.vars); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCoerceRefuses(t *testing.T) {
	const all = `query($w: Filter!) { things(where: $w) { id } }`
	tests := []struct{ doc, variables, want string }{
		{all, `{}`, `Variable "$w" of required type "Filter!" was not provided.`},
		{all, `{"w": null}`, `Variable "$w" of non-null type "Filter!" must not be null.`},
		{all, `{"w": 1}`, `Variable "$w" got invalid value 1; Expected type "Filter" to be an object.`},
		{all, `{"w": {"color": "red"}}`, `Variable "$w" got invalid value "red" at "w.color"; Value "red" does not exist in "Color" enum. Did you mean the enum value "RED"?`},
		{all, `{"w": {"color": 1}}`, `Variable "$w" got invalid value 1 at "w.color"; Enum "Color" cannot represent non-string value: 1.`},
		{all, `{"w": {"colour": "RED"}}`, `Variable "$w" got invalid value an object; Field "colour" is not defined by type "Filter". Did you mean "color"?`},
		{all, `{"w": {"nested": {}}}`, `Variable "$w" got invalid value an object at "w.nested"; Field "n" of required type "Int!" was not provided.`},
		{all, `{"w": {"nested": {"n": null}}}`, `Variable "$w" got invalid value null at "w.nested.n"; Expected non-nullable type "Int!" not to be null.`},
		{all, `{"w": {"all": [{"n": 1}, null]}}`, `Variable "$w" got invalid value null at "w.all[1]"; Expected non-nullable type "Nested!" not to be null.`},
		{all, `{"w": {"nested": {"n": "1"}}}`, `Variable "$w" got invalid value "1" at "w.nested.n"; Int cannot represent non-integer value: "1"`},
		{all, `{"w": {"nested": {"n": 1.5}}}`, `Variable "$w" got invalid value 1.5 at "w.nested.n"; Int cannot represent non-integer value: 1.5`},
		{all, `{"w": {"nested": {"n": 2147483648}}}`, `Variable "$w" got invalid value 2147483648 at "w.nested.n"; Int cannot represent non 32-bit signed integer value: 2147483648`},
		{all, `{"w": {"big": 9223372036854775808}}`, `Variable "$w" got invalid value 9223372036854775808 at "w.big"; Int64 cannot represent non 64-bit signed integer value: 9223372036854775808`},
		{all, `{"w": {"big": "1e3"}}`, `Variable "$w" got invalid value "1e3" at "w.big"; Int64 cannot represent non-integer value: "1e3"`},
		{all, `{"w": {"price": "1,5"}}`, `Variable "$w" got invalid value "1,5" at "w.price"; Decimal cannot represent non numeric value: "1,5"`},
		{all, `{"w": {"text": 1}}`, `Variable "$w" got invalid value 1 at "w.text"; String cannot represent a non string value: 1`},
		{all, `{"w": {"ok": "true"}}`, `Variable "$w" got invalid value "true" at "w.ok"; Boolean cannot represent a non boolean value: "true"`},
		{all, `{"w": {"ratio": 1e999}}`, `Variable "$w" got invalid value 1e999 at "w.ratio"; Float cannot represent a number that is out of range: 1e999`},
		{all, `{"w": {"id": 1.5}}`, `Variable "$w" got invalid value 1.5 at "w.id"; ID cannot represent a non-string and non-integer value: 1.5`},
		{all, `{"w": {"uuid": 5}}`, `Variable "$w" got invalid value 5 at "w.uuid"; UUID cannot represent a non string value: 5`},
		{`query($o: One) { things(one: $o) { id } }`, `{"o": {"a": 1, "b": "x"}}`, `Variable "$o" got invalid value an object; Exactly one key must be specified for OneOf type "One".`},
		{`query($o: One) { things(one: $o) { id } }`, `{"o": {"a": null}}`, `Variable "$o" got invalid value an object; Field "a" must be non-null.`},
	}
	for _, tt := range tests {
		_, errs := callOf(t, tt.doc, tt.variables)
		if len(errs) != 1 {
			t.Errorf("%s: %d errors: %v", tt.variables, len(errs), errs)
			continue
		}
		if f := fault.From(errs[0]); f.Message != tt.want || f.Code != fault.GraphQLVariables {
			t.Errorf("%s:\ngot  %s %s\nwant %s", tt.variables, f.Code, f.Message, tt.want)
		}
	}
}

func TestCoerceTellsOfAFew(t *testing.T) {
	_, errs := callOf(t, `query($w: Filter) { things(where: $w) { id } }`, `{"w": {"all": [`+strings.Repeat(`{"x": 1},`, 50_000)+`{"n": 1}]}}`)
	if len(errs) != maxVariableErrors {
		t.Errorf("%d errors", len(errs))
	}
}

func TestCoerceStrict(t *testing.T) {
	c, errs := callOf(t, `query($m: Int = 3) { thing { name(max: $m) } }`, `{"m": null}`)
	if errs != nil {
		t.Fatal(errs)
	}
	if errs = c.coerce(map[string]any{"m": nil}, map[string]bool{"m": true}, true); len(errs) != 1 || !strings.Contains(errs[0].Error(), "must not be null") {
		t.Errorf("null where it is not allowed: %v", errs)
	}
}
