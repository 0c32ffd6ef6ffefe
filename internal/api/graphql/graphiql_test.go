package graphql

import (
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// developed is a door at a developer's desk.
func developed(t *testing.T) *world {
	w := spoken(t, "")
	w.door.Develop, w.door.page = true, graphiql(w.door.app.Config.Versions)
	return w
}

func TestGraphiQL(t *testing.T) {
	if got := spoken(t, "").send("GET", "/graphql", ""); got.Code != http.StatusNotFound {
		t.Errorf("it is there in production: %d", got.Code)
	}
	w := developed(t)
	for path, kind := range map[string]string{
		"/graphql": "text/html; charset=utf-8", "/graphql/": "text/html; charset=utf-8", "/graphql/graphiql.css": "text/css; charset=utf-8",
		"/graphql/graphiql.js": "text/javascript; charset=utf-8", "/graphql/versions.json": "application/json",
	} {
		got := w.send("GET", path, "")
		if got.Code != http.StatusOK || got.Header().Get("Content-Type") != kind {
			t.Errorf("%s: %d %s", path, got.Code, got.Header().Get("Content-Type"))
		}
		if csp := got.Header().Get("Content-Security-Policy"); kind != "application/json" && (!strings.Contains(csp, "default-src 'none'; script-src 'self';") || strings.Contains(csp, "http")) {
			t.Errorf("%s: policy %q", path, csp)
		}
	}
	if got := w.send("GET", "/graphql/nothing", ""); got.Code != http.StatusNotFound {
		t.Errorf("a file that is not there: %d", got.Code)
	}
	if got := w.send("POST", graphqlV1, asks(`{ __typename }`)); got.Code != http.StatusOK {
		t.Errorf("the door beside it: %d", got.Code)
	}
}

// TestGraphiQLInABrowser runs a query in Chromium; see test/browser/graphiql.mjs.
func TestGraphiQLInABrowser(t *testing.T) {
	const dir = "../../../test/browser"
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "playwright-core")); err != nil {
		t.Skip("playwright-core is not installed; `make test` does it, or: npm ci --ignore-scripts --prefix test/browser")
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed; `make test` does it")
	}
	w := developed(t)
	srv := httptest.NewServer(w.door)
	t.Cleanup(srv.Close)
	cmd := exec.CommandContext(t.Context(), node, "graphiql.mjs")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PANDO_URL="+srv.URL, "PANDO_KEY=service", "PANDO_QUERY={ shop_customers { totalCount } }", `PANDO_ANSWER="totalCount": 0`)
	out, err := cmd.CombinedOutput()
	if exit := new(exec.ExitError); errors.As(err, &exit) && exit.ExitCode() == 2 {
		t.Skipf("%s", out)
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestGraphiQLIsOfItsSource builds the page anew: what is embedded is what
// `make graphiql` makes of web/graphiql.
func TestGraphiQLIsOfItsSource(t *testing.T) {
	const source = "../../../web/graphiql"
	if _, err := os.Stat(filepath.Join(source, "node_modules", "esbuild")); err != nil {
		t.Skip("what builds GraphiQL is not installed; `make test` does it, or: npm ci --ignore-scripts --prefix web/graphiql")
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed; `make test` does it")
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), node, "build.mjs", dir)
	cmd.Dir = source
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	read := func(fsys fs.FS) map[string]string {
		files := map[string]string{}
		names, err := fs.Glob(fsys, "*")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			data, err := fs.ReadFile(fsys, name)
			if err != nil {
				t.Fatal(err)
			}
			files[name] = string(data)
		}
		return files
	}
	built, kept := read(os.DirFS(dir)), read(os.DirFS("graphiql"))
	if len(built) != len(kept) {
		t.Errorf("%d files are built, and %d are kept", len(built), len(kept))
	}
	for name, text := range built {
		if kept[name] != text {
			t.Errorf("%s is not what `make graphiql` makes of its source", name)
		}
	}
}
