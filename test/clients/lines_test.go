package clients_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// lines are how to begin with an existing client, as the page /docs says.
type lines struct {
	Language, Client, Install string
	Lines                     []string
}

// pageLines reads the lines of the page.
func pageLines(t *testing.T, node, origin string) []lines {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), node, "testdata/lines/list.mjs", "../../internal/api/openapi/page/clients.mjs", origin, "catalog", "products").Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []lines
	if err := json.Unmarshal(out, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestLinesInDocs compares docs/clients.md with the page /docs; PANDO_TEST_UPDATE=1
// writes it.
func TestLinesInDocs(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed; `make test` does it")
	}
	var b strings.Builder
	for _, l := range pageLines(t, node, "http://127.0.0.1:7263") {
		if len(l.Lines) != 3 {
			t.Errorf("%s: %d lines", l.Language, len(l.Lines))
		}
		fmt.Fprintf(&b, "**%s**, with %s (`%s`):\n\n```text\n%s\n```\n\n", l.Language, l.Client, l.Install, strings.Join(l.Lines, "\n"))
	}
	const file, begin, end = "../../docs/clients.md", "<!-- the lines of the page /docs; a test writes them -->\n\n", "<!-- end -->\n"
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(page), begin)
	there, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no place for the lines", file)
	}
	if there == b.String() {
		return
	}
	if os.Getenv("PANDO_TEST_UPDATE") == "" {
		t.Fatalf("%s differs from the page; PANDO_TEST_UPDATE=1 writes it:\n%s", file, b.String())
	}
	if err := os.WriteFile(file, []byte(before+begin+b.String()+end+after), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestLines runs the lines of the page with the clients that can be run here: those
// in JavaScript, Go and on the command line. Those of other languages are not run.
func TestLines(t *testing.T) {
	node := findNode(t)
	url := serveShop(t)
	run := func(t *testing.T, dir, name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "NODE_OPTIONS=", "GOWORK=off", "GOFLAGS=", "PANDO_KEY="+key)
		out, err := cmd.Output()
		if err != nil {
			var stderr []byte
			if exit, ok := err.(*exec.ExitError); ok { //nolint:errorlint // Output returns it as it is
				stderr = exit.Stderr
			}
			t.Fatalf("%v\n%s%s", err, out, stderr)
		}
		return string(out)
	}
	script := func(t *testing.T, text, shown string) string {
		t.Helper()
		dir := t.TempDir()
		modules, err := filepath.Abs("node_modules")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
			t.Fatal(err)
		}
		text = "const key = process.env.PANDO_KEY\n" + text + "\nconsole.log(JSON.stringify(" + shown + "))\n"
		if err := os.WriteFile(filepath.Join(dir, "lines.mjs"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return run(t, dir, node, "--experimental-websocket", "lines.mjs")
	}
	ran := map[string]bool{}
	for _, l := range pageLines(t, node, url) {
		text := strings.Join(l.Lines, "\n")
		var got, want string
		t.Run(l.Language, func(t *testing.T) {
			switch l.Language {
			case "JavaScript":
				got, want = script(t, text, "data"), `"sku"`
			case "GraphQL":
				got, want = script(t, text, "data"), `"totalCount"`
			case "Go":
				got, want = run(t, postgrestGo(t, l.Lines), "go", "run", "."), `"sku"`
			case "Connect":
				got, want = run(t, ".", "bash", "-c", text), `"sku"`
			case "gRPC":
				if _, err := exec.LookPath("grpcurl"); err != nil {
					t.Skip("grpcurl is not installed: " + l.Install)
				}
				got, want = run(t, ".", "bash", "-c", text), `"sku"`
			default:
				t.Skip("no test runs this language")
			}
			ran[l.Language] = true
			if !strings.Contains(got, want) {
				t.Errorf("%s prints\n%s\nwithout %s", text, got, want)
			}
		})
	}
	if !ran["JavaScript"] || !ran["GraphQL"] || !ran["Connect"] {
		t.Errorf("only %v ran", ran)
	}
}

// postgrestGo is a module with a program of the lines.
func postgrestGo(t *testing.T, lines []string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join("testdata", "lines", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", "mod", "download")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("postgrest-go cannot be fetched: %v\n%s", err, bytes.TrimSpace(out))
	}
	program := "package main\n\nimport (\n\t\"fmt\"\n\t\"log\"\n\t\"os\"\n)\n\n" + lines[0] + "\n\nfunc main() {\n\tkey := os.Getenv(\"PANDO_KEY\")\n\t" + lines[1] + "\n\t" + lines[2] +
		"\n\tif err != nil {\n\t\tlog.Fatal(err)\n\t}\n\tfmt.Println(string(data))\n}\n"
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}
