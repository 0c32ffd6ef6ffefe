package edge

import (
	"net/http"
	"slices"
	"strings"
)

// Header values that every response shares. They are never changed: net/http
// only reads them, and an append by a handler copies, as they have no room.
//
//nolint:gochecknoglobals // constant tables; Go has no slice constants
var (
	anyOrigin      = []string{"*"}
	corsExposed    = []string{"Content-Range, Content-Location, Location, Link, ETag, Preference-Applied, Pando-Consistency, X-Request-Id, traceparent, Idempotency-Replayed, Range-Unit, Retry-After, Allow, X-Total-Count, X-Supabase-Api-Version, Grpc-Status, Grpc-Message, Grpc-Status-Details-Bin"}
	corsMethods    = []string{"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"}
	corsMaxAge     = []string{"86400"}
	varyDefault    = []string{"Accept-Encoding, Origin"}
	varyPreflight  = []string{"Access-Control-Request-Method, Access-Control-Request-Headers"}
	nosniff        = []string{"nosniff"}
	closing        = []string{"close"}
	frameDeny      = []string{"DENY"}
	noReferrer     = []string{"no-referrer"}
	nothingAllowed = []string{"default-src 'none'; frame-ancestors 'none'"}
	strictTLS      = []string{"max-age=31536000"}
	htmlType       = []string{"text/html; charset=utf-8"}
)

// allowOrigin sets what lets a page of the request's origin read the answer.
// There are no credentials: the API is used with keys in headers, so no page
// can act with what the browser knows of its user.
func (s *Server) allowOrigin(h http.Header, origin string) bool {
	switch {
	case len(s.cfg.Origins) == 0 || slices.Contains(s.cfg.Origins, "*"):
		h["Access-Control-Allow-Origin"] = anyOrigin
	case slices.Contains(s.cfg.Origins, origin):
		h["Access-Control-Allow-Origin"] = []string{origin}
	default:
		return false
	}
	return true
}

// isPreflight reports whether r is a browser's question before a request.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header["Origin"] != nil && r.Header["Access-Control-Request-Method"] != nil
}

// preflight answers. It allows every header that is asked for: which of them
// mean something is the handlers' matter.
func preflight(w http.ResponseWriter, r *http.Request, allowed bool) {
	h := w.Header()
	h["Vary"] = varyPreflight
	if allowed {
		h["Access-Control-Allow-Methods"] = corsMethods
		h["Access-Control-Max-Age"] = corsMaxAge
		if asked := r.Header.Get("Access-Control-Request-Headers"); isHeaderList(asked) {
			h["Access-Control-Allow-Headers"] = []string{asked}
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// isHeaderList reports whether s is a list of header names, safe to give back.
func isHeaderList(s string) bool {
	const longest = 4 << 10
	if s == "" || len(s) > longest {
		return false
	}
	return !strings.ContainsFunc(s, func(c rune) bool {
		isName := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", c)
		return !isName && c != ',' && c != ' '
	})
}
