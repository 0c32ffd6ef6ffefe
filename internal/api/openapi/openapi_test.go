package openapi_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"github.com/pandobase/pando/internal/api/openapi"
	"github.com/pandobase/pando/internal/api/problem"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
)

func document(t testing.TB, app *model.App) []byte {
	t.Helper()
	b, err := openapi.Document(app, openapi.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func load(t testing.TB, doc []byte) *openapi3.T {
	t.Helper()
	d, err := openapi3.NewLoader().LoadFromData(doc)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDocumentIsValid(t *testing.T) {
	for name, app := range map[string]*model.App{
		"shop":  shop(t),
		"empty": empty(t),
		"large": large(t, 20),
	} {
		t.Run(name, func(t *testing.T) {
			d := load(t, document(t, app))
			if !strings.HasPrefix(d.OpenAPI, "3.1.") {
				t.Errorf("version %s, want 3.1.x", d.OpenAPI)
			}
			if err := d.Validate(t.Context(), openapi3.IsOpenAPI31OrLater()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestDocumentIsTheSameEachTime(t *testing.T) {
	first := document(t, shop(t))
	for range 5 {
		if !bytes.Equal(first, document(t, shop(t))) {
			t.Fatal("two documents of one application differ")
		}
	}
}

// TestGolden holds what a reader of the document sees of one entity.
// PANDO_UPDATE=1 rewrites the file.
func TestGolden(t *testing.T) {
	var all struct {
		Paths      map[string]json.RawMessage
		Components map[string]map[string]json.RawMessage
		Index      json.RawMessage `json:"x-pando"`
	}
	if err := json.Unmarshal(document(t, shop(t)), &all); err != nil {
		t.Fatal(err)
	}
	part := map[string]any{"x-pando": all.Index, "/orders": all.Paths["/orders"], "/notes": all.Paths["/notes"], "/rpc/place": all.Paths["/rpc/place"], "/rpc/overdue": all.Paths["/rpc/overdue"]}
	for kind, members := range all.Components {
		for name, v := range members {
			if strings.HasPrefix(name, "orders.orders") || strings.HasPrefix(name, "notes.") {
				part[kind+" "+name] = v
			}
		}
	}
	got, err := json.MarshalIndent(part, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", "shop.golden.json")
	if os.Getenv("PANDO_UPDATE") != "" {
		if err := os.WriteFile(file, append(got, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
		t.Errorf("the document changed; check it, then run with PANDO_UPDATE=1 (-want +got):\n%s", diff)
	}
}

func TestPathsAreTheEntitiesWithADoorAndTheOperations(t *testing.T) {
	d := load(t, document(t, shop(t)))
	want := []string{"/", "/notes", "/orders", "/products", "/rpc/cancel", "/rpc/overdue", "/rpc/place", "/user_roles", "/users"}
	if got := slices.Sorted(maps.Keys(d.Paths.Map())); !slices.Equal(got, want) {
		t.Fatalf("paths %v, want %v", got, want)
	}
	for path, item := range d.Paths.Map() {
		if path == "/" {
			continue
		}
		want := []string{"DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"}
		switch path {
		case "/users":
			want = []string{"GET", "HEAD"}
		case "/rpc/overdue": // it only reads
			want = []string{"GET", "POST"}
		case "/rpc/place", "/rpc/cancel":
			want = []string{"POST"}
		}
		if got := slices.Sorted(maps.Keys(item.Operations())); !slices.Equal(got, want) {
			t.Errorf("%s has %v, want %v", path, got, want)
		}
	}
	if bytes.Contains(document(t, shop(t)), []byte("auth.users.insert")) {
		t.Error("auth.users can be written")
	}
}

func TestHiddenFieldsAreOnlyWritten(t *testing.T) {
	d := load(t, document(t, shop(t)))
	row, insert := d.Components.Schemas["orders.orders"].Value, d.Components.Schemas["orders.orders.insert"].Value
	if row.Properties["card_last4"] != nil {
		t.Error("a hidden field is in the row")
	}
	if f := insert.Properties["card_last4"]; f == nil || !f.Value.WriteOnly {
		t.Error("a hidden field cannot be written")
	}
	if d.Components.Parameters["orders.orders.card_last4"] != nil {
		t.Error("a hidden field can be filtered by, which tells its value")
	}
}

func TestRequired(t *testing.T) {
	d := load(t, document(t, shop(t)))
	for name, want := range map[string][]string{
		"catalog.products":        {"id", "name", "price"},
		"catalog.products.insert": {"name", "price"},
		"catalog.products.update": nil,
		"orders.orders.insert":    {"customer_id", "product_id", "total", "qty", "gift"},
	} {
		if got := d.Components.Schemas[name].Value.Required; !slices.Equal(got, want) {
			t.Errorf("%s requires %v, want %v", name, got, want)
		}
	}
}

func TestSharedNameIsToldApartByProfile(t *testing.T) {
	for name, tc := range map[string]struct {
		app      *model.App
		required bool
	}{
		"first in pando.lock": {shop(t), false},
		"nobody's":            {unowned(t), true},
	} {
		t.Run(name, func(t *testing.T) {
			d := load(t, document(t, tc.app))
			for header, op := range map[string]*openapi3.Operation{
				"Accept-Profile": d.Paths.Value("/notes").Get, "Content-Profile": d.Paths.Value("/notes").Post,
			} {
				p := op.Parameters.GetByInAndName("header", header)
				if p == nil {
					t.Fatalf("%s has no %s", op.OperationID, header)
				}
				if p.Required != tc.required {
					t.Errorf("%s required: %v, want %v", header, p.Required, tc.required)
				}
				if diff := cmp.Diff([]any{"catalog", "orders"}, p.Schema.Value.Enum); diff != "" {
					t.Error(diff)
				}
			}
			if d.Paths.Value("/orders").Get.Parameters.GetByInAndName("header", "Accept-Profile") != nil {
				t.Error("a unique name asks for a profile")
			}
		})
	}
}

func TestEveryCodeOfTheDoorIsListed(t *testing.T) {
	d := load(t, document(t, shop(t)))
	schema := d.Components.Schemas["Problem"].Value
	listed := schema.Properties["code"].Value.Enum
	for _, c := range fault.Codes() {
		cli := c == fault.ConfigInvalid || c == fault.MigrationRefused
		if slices.Contains(listed, any(string(c))) == cli {
			t.Errorf("code %s: on the door %v, listed %v", c, !cli, cli)
		}
	}
	b, err := json.Marshal(problem.Of(fault.New(fault.Unique, "x"), "id"))
	if err != nil {
		t.Fatal(err)
	}
	var body map[string]any
	if err := json.Unmarshal(b, &body); err != nil {
		t.Fatal(err)
	}
	if err := schema.VisitJSON(body, openapi3.EnableJSONSchema2020()); err != nil {
		t.Errorf("a problem as it is rendered does not fit its schema: %v", err)
	}
	for name := range body {
		if schema.Properties[name] == nil {
			t.Errorf("member %s of a problem is not described", name)
		}
	}
}

func TestProblemsAreThoseOfTheMethod(t *testing.T) {
	d := load(t, document(t, shop(t)))
	for _, tc := range []struct {
		op     *openapi3.Operation
		status int
		code   fault.Code
		want   bool
	}{
		{d.Paths.Value("/orders").Get, 400, fault.NotNull, false},
		{d.Paths.Value("/orders").Get, 400, fault.InvalidCursor, true},
		{d.Paths.Value("/orders").Post, 400, fault.NotNull, true},
		{d.Paths.Value("/orders").Post, 400, fault.InvalidCursor, false},
		{d.Paths.Value("/orders").Post, 409, fault.Unique, true},
		{d.Paths.Value("/orders").Get, 404, fault.UnknownEntity, true},
		{d.Paths.Value("/orders").Delete, 404, fault.UnknownEntity, true},
		{d.Paths.Value("/orders").Delete, 404, fault.UnknownOperation, false},
	} {
		r := tc.op.Responses.Status(tc.status)
		if r == nil {
			t.Fatalf("%s has no %d", tc.op.OperationID, tc.status)
		}
		codes := r.Value.Content[problem.ContentType].Schema.Value.AllOf[1].Value.Properties["code"].Value.Enum
		if got := slices.Contains(codes, any(string(tc.code))); got != tc.want {
			t.Errorf("%s %d lists %s: %v, want %v", tc.op.OperationID, tc.status, tc.code, got, tc.want)
		}
	}
}

func TestRowsAndBodiesAreJudgedAsTheEngineWould(t *testing.T) {
	d := load(t, document(t, shop(t)))
	const id = `"019b7d2a-6c40-7a31-9c5e-2f8d4b6a1e03"`
	for _, tc := range []struct {
		schema, body string
		ok           bool
	}{
		{"catalog.products.insert", `{"name":"Pen","price":12.5}`, true},
		{"catalog.products.insert", `{"name":"Pen"}`, false},
		{"catalog.products.insert", `{"name":"P","price":1}`, false},
		{"catalog.products.insert", `{"name":"Pen","price":0}`, false},
		{"catalog.products.insert", `{"name":"Pen","price":1.255}`, false},
		{"catalog.products.insert", `{"name":null,"price":1}`, false},
		{"catalog.products.insert", `{"name":"Pen","price":1,"colour":"red"}`, false},
		{"catalog.products.update", `{}`, false},
		{"catalog.products.update", `{"price":2}`, true},
		{"catalog.products", `{"id":` + id + `,"name":"Pen","price":12.5}`, true},
		{"catalog.products", `{"id":` + id + `,"name":"Pen"}`, false},
		{"orders.orders.update", `{"status":"lost"}`, false},
		{"orders.orders.update", `{"mood":null,"tags":["a"],"meta":[1,{"a":null}],"blob":"\\x00ff"}`, true},
		{"orders.orders.update", `{"tags":[null]}`, false},
		{"orders.orders.update", `{"qty":101}`, false},
		{"orders.orders.update", `{"status":null}`, false},
		{"orders.orders.update", `{"blob":"00ff"}`, false},
	} {
		var v any
		if err := json.Unmarshal([]byte(tc.body), &v); err != nil {
			t.Fatal(err)
		}
		err := d.Components.Schemas[tc.schema].Value.VisitJSON(v, openapi3.EnableJSONSchema2020())
		if (err == nil) != tc.ok {
			t.Errorf("%s %s: accepted %v, want %v (%v)", tc.schema, tc.body, err == nil, tc.ok, err)
		}
	}
}

func TestAuthorsTextCannotCarryMarkup(t *testing.T) {
	if bytes.Contains(document(t, shop(t)), []byte(`<script`)) {
		t.Error("a script tag of an entity's doc is in the document as it is")
	}
}

func TestOptions(t *testing.T) {
	b, err := openapi.Document(shop(t), openapi.Options{
		Server:  "https://api.shop.test/rest/v1",
		Contact: openapi.Contact{Name: "Ada", URL: "https://shop.test/help", Email: "ada@shop.test"},
		License: openapi.License{Name: "MIT", Identifier: "MIT"},
	})
	if err != nil {
		t.Fatal(err)
	}
	d := load(t, b)
	got := []string{
		d.Servers[0].URL, d.Info.Version, d.Info.Contact.Name, d.Info.Contact.URL, d.Info.Contact.Email, d.Info.License.Name,
	}
	want := []string{"https://api.shop.test/rest/v1", "v1", "Ada", "https://shop.test/help", "ada@shop.test", "MIT"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestEntityWithoutKeyIsRefused(t *testing.T) {
	app := shop(t)
	app.Entity("catalog", "products").Primary = nil
	if _, err := openapi.Document(app, openapi.Options{}); !fault.Is(err, fault.Internal) {
		t.Errorf("got %v, want an internal fault", err)
	}
}

func BenchmarkDocument(b *testing.B) {
	app := large(b, 1000)
	b.ReportAllocs()
	for b.Loop() {
		b.SetBytes(int64(len(document(b, app))))
	}
}
