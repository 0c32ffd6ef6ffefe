package clients_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// goShop is a Go module with the client of the example shop in client, and a test that
// uses it. It has what this module requires, so that nothing is fetched.
func goShop(t *testing.T, bin, shop string) string {
	t.Helper()
	dir := t.TempDir()
	for from, to := range map[string]string{"../../go.mod": "go.mod", "../../go.sum": "go.sum", "testdata/go/shop_test.go": "shop_test.go"} {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if to == "go.mod" {
			text = bytes.Replace(text, []byte("module github.com/pandobase/pando"), []byte("module example.test/shop"), 1)
		}
		if err := os.WriteFile(filepath.Join(dir, to), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	writeGoClient(t, bin, shop, dir)
	return dir
}

func writeGoClient(t *testing.T, bin, shop, dir string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), bin, "-C", shop, "client", "go", "--out", filepath.Join(dir, "client")).CombinedOutput(); err != nil {
		t.Fatalf("pando client go: %v\n%s", err, out)
	}
}

func goIn(t *testing.T, dir string, env []string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "GOFLAGS=", "GOWORK=off"), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestWrittenGoClient writes the client of the example shop in Go, runs a test with it against
// the binary, and renames what it uses.
func TestWrittenGoClient(t *testing.T) {
	bin, shop := build(t), filepath.Join(t.TempDir(), "shop")
	if err := os.CopyFS(shop, os.DirFS("../../examples/shop")); err != nil {
		t.Fatal(err)
	}
	dir := goShop(t, bin, shop)
	if out, err := exec.CommandContext(t.Context(), "gofmt", "-l", dir).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("gofmt: %v\n%s", err, out)
	}
	url := serve(t, bin, shop, "PANDO_SECRET_KEY="+key, "PANDO_PUBLISHABLE_KEY="+publishable, "PANDO_DATA="+t.TempDir())
	if out, err := goIn(t, dir, []string{"PANDO_URL=" + url, "PANDO_KEY=" + key, "PANDO_PUBLISHABLE=" + publishable}, "test", "-count=1", "./..."); err != nil {
		t.Fatalf("go test: %v\n%s", err, out)
	}
	goExample(t, dir, url)
	rename(t, shop, renamings(), func() {
		writeGoClient(t, bin, shop, dir)
		out, err := goIn(t, dir, nil, "test", "-gcflags=-e", "-run=^$", ".")
		if err == nil {
			t.Fatal("the test of the former client still compiles")
		}
		for _, tt := range renamings() {
			if !regexp.MustCompile(`shop_test\.go:\d+:\d+: .*\b` + regexp.QuoteMeta(tt.inGo) + `\b`).MatchString(out) {
				t.Errorf("%s has another name, and %s still compiles:\n%s", tt.renamed, tt.inGo, out)
			}
		}
	})
}

// goExample runs the program of docs/clients.md.
func goExample(t *testing.T, dir, url string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)```text\n(// main.go\n.*?)\n```").FindSubmatch(page)
	if m == nil {
		t.Fatal("docs/clients.md has no program main.go")
	}
	text := bytes.Replace(m[1], []byte("http://127.0.0.1:7263"), []byte(url), 1)
	if err := os.MkdirAll(filepath.Join(dir, "example"), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "example", "main.go"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, line := range regexp.MustCompile(`(?m)^// prints: (.*)$`).FindAllSubmatch(text, -1) {
		want.Write(append(line[1], '\n'))
	}
	if out, err := goIn(t, dir, []string{"PANDO_KEY=" + key}, "run", "./example"); err != nil || out != want.String() {
		t.Errorf("the program of docs/clients.md prints (%v)\n%s\nnot\n%s", err, out, want.String())
	}
}
