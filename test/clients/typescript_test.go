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

// TestTypeScriptVersions uses an application through the clients of two versions.
func TestTypeScriptVersions(t *testing.T) {
	source, err := os.ReadFile("typescript/notes.test.ts")
	if err != nil {
		t.Fatal(err)
	}
	dir := tstest.Folder(t, map[string]string{"notes.test.ts": string(source), "package.json": `{ "type": "module" }`, "tsconfig.json": tstest.Node})
	bin, app := build(t), t.TempDir()
	if err := os.Mkdir(filepath.Join(app, "modules"), 0o750); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"pando.yaml": "app: notes\nversions: [v1, v2]\n",
		"modules/notes.yaml": `module: notes
entities:
  notes:
    fields:
      text:  { type: text, optional: true, was: remark }
      stars: { type: int, default: 1, since: v2 }
    policy: { read: "true" }
`,
	} {
		if err := os.WriteFile(filepath.Join(app, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, version := range []string{"v1", "v2"} {
		if out, err := exec.CommandContext(t.Context(), bin, "-C", app, "client", "ts", "--version", version, "--out", filepath.Join(dir, version)).CombinedOutput(); err != nil {
			t.Fatalf("pando client ts: %v\n%s", err, out)
		}
	}
	if wrong := tstest.Compile(t, dir); wrong != "" {
		t.Fatalf("tsc:\n%s", wrong)
	}
	url := serve(t, bin, app, "PANDO_SECRET_KEY="+key, "PANDO_DATA="+t.TempDir())
	play(t, findNode(t), filepath.Join(dir, "out", "*.test.js"), "PANDO_URL="+url, "PANDO_KEY="+key)
}
