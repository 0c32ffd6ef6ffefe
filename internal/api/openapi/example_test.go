package openapi_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"pgregory.net/rapid"

	"github.com/pandobase/pando/internal/api/openapi"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/value"
)

// examplesFit checks each example of each schema against the schema, which
// neither linter does for OpenAPI 3.1, and that a body has one.
func examplesFit(t rapid.TB, doc []byte) int {
	t.Helper()
	d, err := openapi3.NewLoader().LoadFromData(doc)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for name, s := range d.Components.Schemas {
		for _, ex := range s.Value.Examples {
			n++
			if err := s.Value.VisitJSON(ex, openapi3.EnableJSONSchema2020(), openapi3.EnableFormatValidation()); err != nil {
				b, _ := json.Marshal(ex)
				t.Errorf("the example of %s, %s: %v", name, b, err)
			}
		}
	}
	return n
}

func TestExamplesFitTheirSchemas(t *testing.T) {
	// Problem, and a row, an insert and an update of each of five entities, and
	// a row of auth.users.
	if n := examplesFit(t, document(t, shop(t))); n != 1+3*5+1 {
		t.Errorf("%d examples, want 17", n)
	}
}

// oneField is an application of one entity m.things with an id and the field
// f, whatever its type: the loader would refuse some that are worth trying.
func oneField(typ value.Type, optional bool) *model.App {
	m := &model.Module{Name: "m"}
	e := &model.Entity{Module: m, Name: "things"}
	id := &model.Field{Entity: e, Name: "id", Type: value.Type{Kind: value.UUID}, Primary: true, Default: &model.Default{Kind: model.DefaultUUID}}
	e.Primary = id
	e.Fields = []*model.Field{id, {Entity: e, Name: "f", Type: typ, Optional: optional}}
	m.Entities = []*model.Entity{e}
	return &model.App{Modules: []*model.Module{m}}
}

// genType draws a type with limits as the model would accept them.
func genType(t *rapid.T) value.Type {
	typ := value.Type{
		Kind:  value.Kind(rapid.IntRange(int(value.Text), int(value.File)).Draw(t, "kind")),
		List:  rapid.Bool().Draw(t, "list"),
		Scale: rapid.IntRange(0, 18).Draw(t, "scale"),
	}
	least := rapid.Int64Range(-1000, 1000).Draw(t, "min")
	most := least + rapid.Int64Range(0, 1000).Draw(t, "span")
	switch typ.Kind { //nolint:exhaustive // the others have no limits
	case value.Enum:
		typ.Values = rapid.SliceOfNDistinct(rapid.StringN(1, 8, -1), 1, 4, rapid.ID).Draw(t, "values")
		return typ
	case value.Float:
		typ.Min, typ.Max = new(value.OfFloat(float64(least)/8)), new(value.OfFloat(float64(most)/8))
	case value.Text, value.Bytes:
		typ.Min, typ.Max = new(value.OfInt(max(least, 0))), new(value.OfInt(max(most, 0)))
	case value.Int, value.Decimal:
		typ.Min, typ.Max = new(value.OfInt(least)), new(value.OfInt(most))
	}
	if rapid.Bool().Draw(t, "no min") {
		typ.Min = nil
	}
	if rapid.Bool().Draw(t, "no max") {
		typ.Max = nil
	}
	return typ
}

func TestExamplesFitAnyType(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc, err := openapi.Document(oneField(genType(t), rapid.Bool().Draw(t, "optional")), openapi.Options{})
		if err != nil {
			t.Fatal(err)
		}
		examplesFit(t, doc)
	})
}

// TestExampleDecimalsSurviveBinaryFloats: validators in JavaScript divide by
// multipleOf and want a whole number; 19.99 / 0.01 is none.
func TestExampleDecimalsSurviveBinaryFloats(t *testing.T) {
	for scale := range 19 {
		app := oneField(value.Type{Kind: value.Decimal, Scale: scale}, false)
		var d struct {
			Components struct {
				Schemas map[string]struct {
					Properties map[string]struct{ MultipleOf float64 }
					Examples   []struct{ F json.Number }
				}
			}
		}
		if err := json.Unmarshal(document(t, app), &d); err != nil {
			t.Fatal(err)
		}
		s := d.Components.Schemas["m.things"]
		if len(s.Examples) != 1 {
			t.Errorf("scale %d has no example", scale)
			continue
		}
		x, err := s.Examples[0].F.Float64()
		if err != nil {
			t.Fatal(err)
		}
		if q := x / s.Properties["f"].MultipleOf; q != float64(int64(q)) {
			t.Errorf("scale %d: %s is %v units", scale, s.Examples[0].F, q)
		}
		if _, digits, _ := strings.Cut(s.Examples[0].F.String(), "."); len(digits) != scale {
			t.Errorf("scale %d: the example %s has %d digits", scale, s.Examples[0].F, len(digits))
		}
	}
}
