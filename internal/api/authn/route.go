package authn

import (
	"net/http"
	"slices"
	"strings"

	"github.com/pandobase/pando/internal/fault"
)

// access is who may ask for a route.
type access uint8

const (
	// open routes ask for no credential: browsers get there by a link, or it
	// is public anyway.
	open access = iota
	// keyed routes want an API key, or a token that has come of one.
	keyed
	// member routes want a user's access token.
	member
	// admin routes want a secret key, or a service's token.
	admin
)

// route is one method of one resource.
type route struct {
	method string
	// path is below /auth/v1/; a segment in braces takes anything, and is
	// found under its name in request.vars.
	path   string
	access access
	// safe marks a GET that changes nothing, so that HEAD may do the same.
	safe bool
	// operation is what the audit record calls it.
	operation string
	serve     func(*request) error
}

// table finds routes. It never changes after it was made.
type table struct {
	routes []route
	split  [][]string // the paths of routes, by segments
}

func newTable(routes []route) *table {
	t := &table{routes: routes}
	for _, r := range routes {
		t.split = append(t.split, strings.Split(r.path, "/"))
	}
	return t
}

// find returns the route of a method and a path with the values of the path's
// variables. Where the path is known and the method is not, it returns no
// route and the methods that there are.
func (t *table) find(method, path string) (rt *route, vars map[string]string, allowed []string) {
	segments := strings.Split(path, "/")
	for i := range t.routes {
		r := &t.routes[i]
		if !matches(t.split[i], segments) {
			continue
		}
		if r.method == method || r.safe && method == http.MethodHead {
			for j, s := range t.split[i] {
				if s[0] == '{' {
					if vars == nil {
						vars = map[string]string{}
					}
					vars[s[1:len(s)-1]] = segments[j]
				}
			}
			return r, vars, nil
		}
		allowed = append(allowed, r.method)
		if r.safe {
			allowed = append(allowed, http.MethodHead)
		}
	}
	if allowed != nil {
		allowed = append(allowed, http.MethodOptions)
		slices.Sort(allowed)
		allowed = slices.Compact(allowed)
	}
	return nil, nil, allowed
}

func matches(pattern, segments []string) bool {
	if len(pattern) != len(segments) {
		return false
	}
	for i, p := range pattern {
		if p != segments[i] && (p[0] != '{' || segments[i] == "") {
			return false
		}
	}
	return true
}

func (t *table) unknown(path string) error {
	var known []string
	for _, r := range t.routes {
		known = append(known, r.path)
	}
	f := fault.New(fault.NotFound, "there is nothing at %s%s", prefix, shorten(path))
	if near := fault.Nearest(path, known); near != "" {
		return f.WithHint("did you mean %s%s?", prefix, near)
	}
	return f
}
