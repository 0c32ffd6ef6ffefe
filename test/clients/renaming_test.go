package clients_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// renaming gives another name to what the tests of the written clients use.
type renaming struct {
	renamed, file string
	changes       []string
	inGo          string // what of it the client in Go has no more
}

func renamings() []renaming {
	return []renaming{
		{"a field", "catalog.yaml", []string{"sku:         {", "code:        {", "[[sku]]", "[[code]]"}, "Sku"},
		{"a reference", "catalog.yaml", []string{"category_id: {", "shelf_id: {", "[category_id, price]", "[shelf_id, price]"}, "CategoryId"},
		{"an entity", "catalog.yaml", []string{"  categories:\n    doc", "  shelves:\n    doc", "{ ref: categories", "{ ref: shelves"}, "ListCategoriesRequest"},
		{"an operation", "orders.yaml", []string{"  place:\n", "  buy:\n"}, "c.Orders.Place"},
		{"an input", "catalog.yaml", []string{"qty: { type: int", "pieces: { type: int"}, "Qty"},
		{"an output", "catalog.yaml", []string{"output: { fields: { price:", "output: { fields: { cost:"}, "reserved.GetPrice"},
	}
}

// rename changes modules of the shop, does something, and changes them back.
func rename(t *testing.T, shop string, all []renaming, then func()) {
	t.Helper()
	before := map[string][]byte{}
	for _, r := range all {
		path := filepath.Join(shop, "modules", r.file)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if before[path] == nil {
			before[path] = text
		}
		if err := os.WriteFile(path, []byte(strings.NewReplacer(r.changes...).Replace(string(text))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	then()
	for path, text := range before {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
