package edge

import (
	"net/http"
	"strconv"

	"github.com/pandobase/pando/internal/fault"
)

// frontPageHTML leads whoever opens the address in a browser to the docs.
const frontPageHTML = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Pando</title>
</head>
<body>
<h1>Pando</h1>
<p>This is an application's API. <a href="/docs">The documentation</a> describes it and lets you try each call.</p>
</body>
</html>
`

func (s *Server) frontPage(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h["Allow"] = []string{"GET, HEAD"}
		s.problems.WriteProblem(w, r, fault.New(fault.MethodNotAllowed, "%s is not possible on /", r.Method).
			WithHint("/docs describes what there is"))
		return
	}
	h["Content-Type"] = htmlType
	h["Content-Length"] = []string{strconv.Itoa(len(frontPageHTML))}
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodGet {
		_, _ = w.Write([]byte(frontPageHTML)) // the client may be gone
	}
}
