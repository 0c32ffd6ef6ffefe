// Package page serves web pages that are part of the binary: public files that
// hold nothing of the application, each with a policy that lets the browser load
// and call this server only.
package page

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/pandobase/pando/internal/api/problem"
	"github.com/pandobase/pando/internal/fault"
)

// Page is a page with its files.
type Page struct {
	// Path is where the page must be mounted: this path and all beneath it.
	Path string
	// Files are the files, index.html among them. They lie in one folder.
	Files fs.FS
	// Policy is the content security policy of all of them.
	Policy string
	// Hint says where the page is, for who asks for a file that is not there.
	Hint string
}

// asset is one embedded file, ready to be served.
type asset struct {
	name    string
	kind    string // its media type
	content []byte
	etag    string
	policy  string
}

// Handler serves the page. A path that does not exist is 404, a method other
// than GET and HEAD is 405, each with a problem body.
func (p *Page) Handler() http.Handler {
	const indexName = "index.html"
	assets := make(map[string]*asset)
	err := fs.WalkDir(p.Files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(p.Files, name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		base := path.Base(name)
		assets[p.Path+"/"+base] = &asset{
			name: base, kind: mediaType(base), content: content, policy: p.Policy,
			etag: `"` + hex.EncodeToString(sum[:16]) + `"`,
		}
		return nil
	})
	if err != nil {
		panic(err) // the files are part of the binary
	}
	index := assets[p.Path+"/"+indexName]
	delete(assets, p.Path+"/"+indexName) // one address for the page
	assets[p.Path], assets[p.Path+"/"] = index, index

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := assets[r.URL.Path]
		switch {
		case a == nil:
			problem.WriteProblem(w, r, fault.New(fault.InvalidPath, "there is no %s", r.URL.Path).WithHint("%s", p.Hint))
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			problem.WriteProblem(w, r, fault.New(fault.MethodNotAllowed, "%s does not take %s", r.URL.Path, r.Method).WithHint("use GET"))
		default:
			a.serve(w, r)
		}
	})
}

func (a *asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", a.kind)
	h.Set("Content-Security-Policy", a.policy)
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
	case "js", "mjs":
		return "text/javascript; charset=utf-8"
	case "json":
		return "application/json"
	case "svg":
		return "image/svg+xml"
	}
	return "application/octet-stream"
}
