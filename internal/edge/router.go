package edge

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/telemetry"
)

// router finds the door of a path. It never changes after it was made.
type router struct {
	doors    []door // the longest prefix first
	prefixes []string
}

// door is a mount, ready to be met.
type door struct {
	prefix  string
	open    bool // it takes what goes on within the segment too
	route   string
	handler http.Handler
	metrics *telemetry.Route
}

func (s *Server) newRouter(mounts []Mount) (*router, error) {
	var errs []error
	rt := &router{}
	for _, m := range mounts {
		prefix, open := strings.CutSuffix(strings.TrimSuffix(m.Prefix, "/"), "*")
		switch {
		case !strings.HasPrefix(m.Prefix, "/"):
			errs = append(errs, fault.New(fault.ConfigInvalid, "mount %q does not begin with a slash", m.Prefix))
		case m.Handler == nil:
			errs = append(errs, fault.New(fault.ConfigInvalid, "mount %q has no handler", m.Prefix))
		case slices.ContainsFunc(rt.doors, func(d door) bool { return d.prefix == prefix }):
			errs = append(errs, fault.New(fault.ConfigInvalid, "mount %q is there twice", m.Prefix))
		}
		setDefault(&m.Route, m.Prefix)
		rt.doors = append(rt.doors, door{
			prefix: prefix, open: open, route: m.Route, handler: m.Handler, metrics: s.routeMetrics(m.Route),
		})
		rt.prefixes = append(rt.prefixes, m.Prefix)
	}
	slices.SortFunc(rt.doors, func(a, b door) int { return len(b.prefix) - len(a.prefix) })
	return rt, errors.Join(errs...)
}

// find returns the door of a path, or nil.
func (rt *router) find(path string) *door {
	for i := range rt.doors {
		d := &rt.doors[i]
		if strings.HasPrefix(path, d.prefix) && (d.open || len(path) == len(d.prefix) || path[len(d.prefix)] == '/') {
			return d
		}
	}
	return nil
}

// unknownPath is the fault of a path that no door takes.
func (rt *router) unknownPath(path string) *fault.Error {
	f := fault.New(fault.NotFound, "there is nothing at %s", path)
	if near := fault.Nearest(firstSegments(path, 2), rt.prefixes); near != "" {
		return f.WithHint("did you mean %s?", near)
	}
	return f.WithHint("/docs describes what there is")
}

// firstSegments cuts a path after its first n segments.
func firstSegments(path string, n int) string {
	for i := 1; i < len(path); i++ {
		if path[i] == '/' {
			if n--; n == 0 {
				return path[:i]
			}
		}
	}
	return path
}

// checkPath refuses what no handler should have to think about.
func checkPath(path string) error {
	if path == "" || path[0] != '/' {
		return fault.New(fault.BadRequest, "the request's path does not begin with a slash")
	}
	ascii, dots := true, false
	for i := range len(path) {
		switch c := path[i]; {
		case c < ' ' || c == 0x7f:
			return fault.New(fault.BadRequest, "the path holds a control character").WithDetails("byte %d is %#02x", i, c)
		case c == '\\':
			return fault.New(fault.BadRequest, "the path holds a backslash").WithDetails("byte %d", i)
		case c >= utf8.RuneSelf:
			ascii = false
		case c == '.' && path[i-1] == '/':
			dots = true
		}
	}
	if !ascii && !utf8.ValidString(path) {
		return fault.New(fault.InvalidEncoding, "the path is not UTF-8")
	}
	if dots {
		for segment := range strings.SplitSeq(path, "/") {
			if segment == "." || segment == ".." {
				return fault.New(fault.BadRequest, "the path holds the segment %q", segment)
			}
		}
	}
	return nil
}
