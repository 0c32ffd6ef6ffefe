package openapi

import (
	"embed"
	"net/http"

	"github.com/pandobase/pando/internal/api/page"
)

// PagePath is where the page must be mounted: this path and all beneath it.
const PagePath = "/docs"

//go:embed page
var pageFiles embed.FS

// pagePolicy lets the page load and call this server only, and run no script
// but its own files. Trusted types make the browser refuse any text that
// would become markup.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// versionsPath is where the page finds which versions there are.
const versionsPath = PagePath + "/versions.json"

// Page serves the documentation page at /docs and its files beneath. It is
// public and holds nothing of the application but which versions its API has: it
// asks for a key and reads the document of a version with it, in the browser. A
// path that does not exist is 404, a method other than GET and HEAD is 405, each
// with a problem body.
func Page(versions func() []string) http.Handler {
	files := (&page.Page{Path: PagePath, Files: pageFiles, Policy: pagePolicy, Hint: "the documentation is at " + PagePath}).Handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != versionsPath || r.Method != http.MethodGet {
			files.ServeHTTP(w, r)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-cache")
		_, _ = w.Write(appendJSON(nil, object{{"versions", versions()}})) // the client may be gone
	})
}
