package openapi_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/api/openapi"
	"github.com/pandobase/pando/internal/api/problem"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
)

func get(t *testing.T, method, target string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	openapi.Page(func() []string { return []string{"v1"} }).ServeHTTP(w, r)
	return w
}

func TestPageServesItsFiles(t *testing.T) {
	for target, kind := range map[string]string{
		"/docs":             "text/html; charset=utf-8",
		"/docs/":            "text/html; charset=utf-8",
		"/docs/docs.css":    "text/css; charset=utf-8",
		"/docs/docs.mjs":    "text/javascript; charset=utf-8",
		"/docs/clients.mjs": "text/javascript; charset=utf-8",
		"/docs/dom.mjs":     "text/javascript; charset=utf-8",
		"/docs/entity.mjs":  "text/javascript; charset=utf-8",
		"/docs/request.mjs": "text/javascript; charset=utf-8",
		"/docs/spec.mjs":    "text/javascript; charset=utf-8",
		"/docs/try.mjs":     "text/javascript; charset=utf-8",
		"/docs/icon.svg":    "image/svg+xml",
	} {
		res := get(t, http.MethodGet, target)
		if res.Code != http.StatusOK || res.Header().Get("Content-Type") != kind {
			t.Errorf("%s: %d %s, want 200 %s", target, res.Code, res.Header().Get("Content-Type"), kind)
		}
		if res.Body.String() == "" {
			t.Errorf("%s is empty", target)
		}
		if csp := res.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: policy %q", target, csp)
		}
		if again := get(t, http.MethodGet, target, "If-None-Match", res.Header().Get("ETag")); again.Code != http.StatusNotModified {
			t.Errorf("%s: asked again %d, want 304", target, again.Code)
		}
		if head := get(t, http.MethodHead, target); head.Code != http.StatusOK || head.Body.String() != "" {
			t.Errorf("%s: HEAD is %d or has a body", target, head.Code)
		}
	}
}

func TestPageRefuses(t *testing.T) {
	for _, tc := range []struct {
		method, target string
		status         int
		code           fault.Code
	}{
		{http.MethodGet, "/docs/nothing.js", 404, fault.InvalidPath},
		{http.MethodGet, "/docs/../page.go", 404, fault.InvalidPath},
		{http.MethodGet, "/docs/index.html", 404, fault.InvalidPath},
		{http.MethodPost, "/docs", 405, fault.MethodNotAllowed},
		{http.MethodDelete, "/docs/docs.css", 405, fault.MethodNotAllowed},
	} {
		res := get(t, tc.method, tc.target)
		var p problem.Document
		if err := json.Unmarshal(res.Body.Bytes(), &p); err != nil {
			t.Errorf("%s %s: no problem body: %v", tc.method, tc.target, err)
		}
		if res.Code != tc.status || p.Code != string(tc.code) {
			t.Errorf("%s %s: %d %s, want %d %s", tc.method, tc.target, res.Code, p.Code, tc.status, tc.code)
		}
		if tc.status == 405 && res.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("%s %s: Allow is %q", tc.method, tc.target, res.Header().Get("Allow"))
		}
	}
}

// TestPageSource holds the page's files to what its policy promises: nothing
// from other hosts, nothing inline, no text that becomes markup.
func TestPageSource(t *testing.T) {
	files, err := filepath.Glob("page/*")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	forbidden := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|localStorage|\bstyle=|<style|<script(?: type="module" src="/docs/[a-z]+\.mjs")?>\S|\son[a-z]+="|https?://`)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(b), "</script>", "")
		text = strings.ReplaceAll(text, `xmlns="http://www.w3.org/2000/svg"`, "")
		if m := forbidden.FindString(text); m != "" {
			t.Errorf("%s has %q", f, m)
		}
	}
}

// testKey is the key of the server below; it holds no secret.
const testKey = "sk_test_0123456789"

// pageServer serves the page, a document, and canned answers in the form of
// the REST door.
func pageServer(t *testing.T, app *model.App, rows string) *httptest.Server {
	t.Helper()
	doc := document(t, app)
	mux := http.NewServeMux()
	mux.Handle(openapi.PagePath, openapi.Page(func() []string { return []string{"v1"} }))
	mux.Handle(openapi.PagePath+"/", openapi.Page(func() []string { return []string{"v1"} }))
	mux.HandleFunc("/rest/v1/", func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Apikey") != testKey:
			problem.WriteProblem(w, r, fault.New(fault.InvalidCredential, "the key is not known").WithHint("pando keys shows the keys"))
		case r.URL.Path == "/rest/v1/":
			w.Header().Set("Content-Type", openapi.MediaType)
			_, _ = w.Write(doc)
		case r.Method == http.MethodDelete && r.URL.RawQuery == "":
			problem.WriteProblem(w, r, fault.New(fault.UnfilteredWrite, "DELETE without a filter").WithHint("add id=eq.…"))
		default:
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Range", "0-1/*")
			_, _ = io.WriteString(w, rows)
		}
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv
}

// TestPageInABrowser uses the page in Chromium; see test/browser/docs.mjs.
func TestPageInABrowser(t *testing.T) {
	const dir = "../../../test/browser"
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "playwright-core")); err != nil {
		t.Skip("playwright-core is not installed; `make test` does it, or: npm ci --ignore-scripts --prefix test/browser")
	}
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("node is not installed; `make test` does it")
	}
	chromium := os.Getenv("PANDO_CHROMIUM")
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); chromium == "" && err == nil {
			chromium = found
		}
	}
	if chromium == "" {
		t.Skip("chromium is not installed; `make test` does it, or: apt-get install -y chromium")
	}
	for name, tc := range map[string]struct {
		app    *model.App
		entity string
		rows   string
	}{
		"shop":           {shop(t), "catalog.products", `[{"id":"019b7d2a-6c40-7a31-9c5e-2f8d4b6a1e03","name":"<img src=x onerror=alert(1)>","price":12.50}]`},
		"1,000 entities": {large(t, 1000), "module19.entity0999", `[{"id":"019b7d2a-6c40-7a31-9c5e-2f8d4b6a1e03","count":9007199254740993}]`},
	} {
		t.Run(name, func(t *testing.T) {
			srv := pageServer(t, tc.app, tc.rows)
			cmd := exec.CommandContext(t.Context(), "node", "docs.mjs")
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "PANDO_URL="+srv.URL, "PANDO_KEY="+testKey, "PANDO_ENTITY="+tc.entity, "PANDO_CHROMIUM="+chromium)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// TestPageLines runs the tests of the page's pure parts in Node.
func TestPageLines(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed; `make test` does it")
	}
	cmd := exec.CommandContext(t.Context(), node, "--test", "lines.test.mjs")
	cmd.Dir = "../../../test/browser"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
