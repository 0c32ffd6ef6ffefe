package rest

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/pandobase/pando/internal/fault"
)

// reply is a complete answer with a body.
type reply struct {
	status       int
	contentType  string
	body         []byte
	tag          string // entity tag without quotes; empty: none
	contentRange string
	link         string
	location     string
}

// varies names the request headers that an answer depends on.
const varies = "Accept, Accept-Profile, Apikey, Authorization, Prefer, Range"

// send writes the answer, or a 304 where the client has it already. An answer
// to HEAD has the headers of the one to GET. A failed precondition is a fault,
// and nothing is written.
func (a *reply) send(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	var room [8]string // one allocation for all header values
	vals := room[:0:len(room)]
	set := func(name, val string) {
		vals = append(vals, val)
		h[name] = vals[len(vals)-1 : len(vals) : len(vals)]
	}
	if a.tag != "" {
		etag := `"` + a.tag + `"`
		if m := r.Header["If-Match"]; m != nil && !anyTag(m, etag, false) {
			return preconditionFailed()
		}
		set("Etag", etag)
		if m := r.Header["If-None-Match"]; m != nil && anyTag(m, etag, true) {
			a.vary(h)
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	a.vary(h)
	set("Content-Type", a.contentType)
	set("Content-Length", strconv.Itoa(len(a.body)))
	if a.contentRange != "" {
		set("Content-Range", a.contentRange)
	}
	if a.link != "" {
		if told := h.Get("Link"); told != "" {
			a.link = told + ", " + a.link
		}
		set("Link", a.link)
	}
	if a.location != "" {
		set("Location", a.location)
	}
	w.WriteHeader(a.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(a.body) // the client may be gone; there is nobody left to tell
	}
	return nil
}

// vary leaves what the edge has set.
func (a *reply) vary(h http.Header) { h["Vary"] = append(h["Vary"], varies) }

func preconditionFailed() error {
	return fault.New(fault.PreconditionFailed, "the entity tag does not match").
		WithDetails("If-Match names another version than the present one").
		WithHint("read the row again and use its ETag")
}

// anyTag reports whether one of the entity tags in the headers is etag (RFC
// 9110, 8.8.3.2), by weak comparison when weak is set. * is any tag.
func anyTag(headers []string, etag string, weak bool) bool {
	for _, t := range entityTags(headers) {
		if t == "*" || t == etag {
			return true
		}
		if s, isWeak := strings.CutPrefix(t, "W/"); weak && isWeak && s == etag {
			return true
		}
	}
	return false
}

// entityTags cuts the headers at their commas. A comma within a tag cuts too:
// Pando's tags have none.
func entityTags(headers []string) []string {
	var out []string
	for _, h := range headers {
		for t := range strings.SplitSeq(h, ",") {
			if t = strings.TrimSpace(t); t != "" {
				out = append(out, t)
			}
		}
	}
	return out
}
