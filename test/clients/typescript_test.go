package clients_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pandobase/pando/test/types/tstest"
)

// TestTypeScriptClient writes the client of the example shop, compiles a test with it,
// runs that against the binary, and renames what it uses.
func TestTypeScriptClient(t *testing.T) {
	source, err := os.ReadFile("typescript/shop.test.ts")
	if err != nil {
		t.Fatal(err)
	}
	dir := tstest.Folder(t, map[string]string{"shop.test.ts": string(source), "package.json": `{ "type": "module" }`, "tsconfig.json": tstest.Node})
	bin, shop := build(t), filepath.Join(t.TempDir(), "shop")
	if err := os.CopyFS(shop, os.DirFS("../../examples/shop")); err != nil {
		t.Fatal(err)
	}
	write := func() {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), bin, "-C", shop, "client", "ts", "--out", filepath.Join(dir, "shop")).CombinedOutput(); err != nil {
			t.Fatalf("pando client ts: %v\n%s", err, out)
		}
	}
	write()
	if wrong := tstest.Compile(t, dir); wrong != "" {
		t.Fatalf("tsc:\n%s", wrong)
	}
	url := serve(t, bin, shop, "PANDO_SECRET_KEY="+key, "PANDO_PUBLISHABLE_KEY="+publishable, "PANDO_DATA="+t.TempDir())
	play(t, findNode(t), filepath.Join(dir, "out", "*.test.js"), "PANDO_URL="+url, "PANDO_KEY="+key, "PANDO_PUBLISHABLE="+publishable)

	for _, tt := range []struct {
		renamed, file string
		changes       []string
	}{
		{"a field", "catalog.yaml", []string{"sku:         {", "code:        {", "[[sku]]", "[[code]]"}},
		{"a relation", "catalog.yaml", []string{"category_id: {", "shelf_id: {", "[category_id, price]", "[shelf_id, price]"}},
		{"an entity", "orders.yaml", []string{"  lines:\n    fields:", "  items:\n    fields:"}},
		{"an operation", "orders.yaml", []string{"  place:\n", "  buy:\n"}},
		{"an input", "catalog.yaml", []string{"qty: { type: int", "pieces: { type: int"}},
		{"an output", "catalog.yaml", []string{"output: { fields: { price:", "output: { fields: { cost:"}},
	} {
		path := filepath.Join(shop, "modules", tt.file)
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		after := strings.NewReplacer(tt.changes...).Replace(string(before))
		if err := os.WriteFile(path, []byte(after), 0o600); err != nil {
			t.Fatal(err)
		}
		write()
		if wrong := tstest.Compile(t, dir); !strings.Contains(wrong, "shop.test.ts(") {
			t.Errorf("%s has another name, and the test of the former client still compiles:\n%s", tt.renamed, wrong)
		}
		if err := os.WriteFile(path, before, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
