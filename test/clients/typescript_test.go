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

	for _, tt := range renamings() {
		rename(t, shop, []renaming{tt}, func() {
			write()
			if wrong := tstest.Compile(t, dir); !strings.Contains(wrong, "shop.test.ts(") {
				t.Errorf("%s has another name, and the test of the former client still compiles:\n%s", tt.renamed, wrong)
			}
		})
	}
}
