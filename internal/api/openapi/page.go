package openapi

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/pandobase/pando/internal/api/problem"
	"github.com/pandobase/pando/internal/fault"
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

// asset is one embedded file, ready to be served.
type asset struct {
	name    string
	kind    string // its media type
	content []byte
	etag    string
}

// Page serves the documentation page at /docs and its files beneath. It is
// public and holds nothing of the application: it asks for a key and reads the
// document of /rest/v1/ with it, in the browser. A path that does not exist is
// 404, a method other than GET and HEAD is 405, each with a problem body.
func Page() http.Handler {
	assets := make(map[string]*asset)
	err := fs.WalkDir(pageFiles, "page", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := pageFiles.ReadFile(name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		base := path.Base(name)
		assets[PagePath+"/"+base] = &asset{
			name: base, kind: mediaType(base), content: content,
			etag: `"` + hex.EncodeToString(sum[:16]) + `"`,
		}
		return nil
	})
	if err != nil {
		panic(err) // the files are part of the binary
	}
	index := assets[PagePath+"/index.html"]
	delete(assets, PagePath+"/index.html") // one address for the page
	assets[PagePath], assets[PagePath+"/"] = index, index

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := assets[r.URL.Path]
		switch {
		case a == nil:
			problem.WriteProblem(w, r, fault.New(fault.InvalidPath, "there is no %s", r.URL.Path).
				WithHint("the documentation is at %s", PagePath))
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			problem.WriteProblem(w, r, fault.New(fault.MethodNotAllowed, "%s does not take %s", r.URL.Path, r.Method).
				WithHint("use GET"))
		default:
			a.serve(w, r)
		}
	})
}

func (a *asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", a.kind)
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache") // kept, but asked for again: a new binary has a new page
	h.Set("ETag", a.etag)
	http.ServeContent(w, r, a.name, time.Time{}, bytes.NewReader(a.content))
}

// mediaType does not ask the operating system, whose table may lack one.
func mediaType(name string) string {
	switch name[strings.LastIndexByte(name, '.')+1:] {
	case "html":
		return "text/html; charset=utf-8"
	case "css":
		return "text/css; charset=utf-8"
	case "mjs":
		return "text/javascript; charset=utf-8"
	case "svg":
		return "image/svg+xml"
	}
	return "application/octet-stream"
}
