package graphql

import (
	"embed"
	"encoding/json"
	"io/fs"
	"net/http"

	"github.com/pandobase/pando/internal/api/page"
)

//go:embed graphiql
var graphiqlFiles embed.FS

// graphiqlPolicy lets the page load and call this server only, and run no script
// but its own. GraphiQL's widgets make styles of their own.
const graphiqlPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// graphiql is the page at /graphql, which writes, checks and sends documents. It
// is public and holds nothing of the application but its versions: it asks for a
// key.
func graphiql(versions []string) http.Handler {
	files, err := fs.Sub(graphiqlFiles, "graphiql")
	if err != nil {
		panic(err) // they are part of the binary
	}
	list, err := json.Marshal(map[string][]string{"versions": versions})
	if err != nil {
		panic(err) // texts
	}
	static := (&page.Page{Path: Prefix, Files: files, Policy: graphiqlPolicy, Hint: "GraphiQL is at " + Prefix}).Handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != Prefix+"/versions.json" {
			static.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(list) // the client may be gone
	})
}
