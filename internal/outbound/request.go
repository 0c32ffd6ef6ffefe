package outbound

import (
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/pandobase/pando/internal/fault"
)

// Request is one call. Its zero value is a GET of the base itself.
type Request struct {
	Method string // default GET
	// Path is below the base: it is appended, with or without a / at its
	// beginning, and may have a query. A whole URL is taken if it lies below.
	Path   string
	Header http.Header
	Body   []byte
}

// Response is an answer, read to its end.
type Response struct {
	Status   int
	Header   http.Header // without hop-by-hop headers, and without the secret
	Body     []byte      // decompressed
	Tries    int         // how often it was sent
	Fallback bool        // it is the target's fallback; the header Pando-Fallback says so too
	Cut      bool        // the body was longer (Target.Cut)
}

// FallbackHeader marks an answer that is the target's fallback.
const FallbackHeader = "Pando-Fallback"

const idempotencyKey = "Idempotency-Key"

// methods that may be sent, and whether sending one twice does no more than once.
//
//nolint:gochecknoglobals // a constant table; Go has no map constants
var methods = map[string]bool{
	http.MethodGet: true, http.MethodHead: true, http.MethodOptions: true, http.MethodPut: true, http.MethodDelete: true,
	http.MethodPost: false, http.MethodPatch: false,
}

// refuse is the fault of a request that must not leave.
func (c *Client) refuse(hint, format string, args ...any) *fault.Error {
	return fault.New(fault.OutboundRefused, "the integration %s: "+format, append([]any{c.target.Name}, args...)...).WithHint("%s", hint)
}

// within is the URL of a path below the base, or a refusal. Whatever the path
// is, the scheme and the host of what it returns are the base's.
func (c *Client) within(base *url.URL, path string) (*url.URL, error) {
	out := *base
	if path == "" {
		return &out, nil
	}
	const hint = "write the path below the integration's base URL, or declare another integration"
	ref, err := url.Parse(path)
	if err != nil {
		return nil, c.refuse(hint, "the path cannot be read")
	}
	prefix := strings.TrimSuffix(base.EscapedPath(), "/")
	rest := ref.EscapedPath()
	switch {
	case ref.Opaque != "" || ref.User != nil:
		return nil, c.refuse(hint, "the URL is outside of its base")
	case ref.Scheme != "" || ref.Host != "":
		if !sameOrigin(base, ref) || rest != prefix && !strings.HasPrefix(rest, prefix+"/") {
			return nil, c.refuse(hint, "the URL is outside of its base")
		}
	default:
		rest = prefix + "/" + strings.TrimPrefix(rest, "/")
	}
	if climbs(rest) {
		return nil, c.refuse(hint, "the path has . or .. in it")
	}
	if out.Path, err = url.PathUnescape(rest); err != nil {
		return nil, c.refuse(hint, "the path cannot be read")
	}
	out.RawPath = rest
	if out.RawQuery != "" && ref.RawQuery != "" {
		out.RawQuery += "&"
	}
	out.RawQuery += ref.RawQuery
	return &out, nil
}

// sameOrigin compares scheme, host and port.
func sameOrigin(a, b *url.URL) bool {
	return strings.EqualFold(a.Scheme, b.Scheme) && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if strings.EqualFold(u.Scheme, "http") {
		return "80"
	}
	return "443"
}

// climbs reports whether a path has a segment . or .., in whatever way a server
// may read it: encoded once or more, with backslashes, with parameters.
func climbs(path string) bool {
	for {
		segments := strings.FieldsFunc(path, func(r rune) bool { return r == '/' || r == '\\' })
		for _, s := range segments {
			if s, _, _ = strings.Cut(s, ";"); s == "." || s == ".." {
				return true
			}
		}
		again, err := url.PathUnescape(path)
		if err != nil || again == path {
			return false
		}
		path = again
	}
}

// hopByHop are the headers of one connection (RFC 9110, 7.6.1).
//
//nolint:gochecknoglobals // a constant table; Go has no slice constants
var hopByHop = []string{
	"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Proxy-Authentication-Info",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade", "Http2-Settings",
}

// ours reports whether a header is the connection's and never the code's.
func ours(name string) bool {
	return name == "Host" || name == "Expect" || slices.Contains(hopByHop, name)
}

// header copies the headers that code may send. Accept-Encoding and
// Content-Length are left out: they describe what the connection does.
func (c *Client) header(given http.Header) (http.Header, error) {
	out := make(http.Header, len(given)+3)
	for name, values := range given {
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		switch {
		case !httpguts.ValidHeaderFieldName(name):
			return nil, c.refuse("header names have letters, digits and -", "a header's name is not valid")
		case ours(canonical):
			return nil, c.refuse("leave it out: the connection sets it", "the header %s cannot be set", canonical)
		case c.target.Auth.Secret != "" && (canonical == c.target.Auth.Header || canonical == "Authorization"):
			return nil, c.refuse("leave it out: the integration's auth is sent", "the header %s cannot be set", canonical)
		case canonical == "Accept-Encoding" || canonical == "Content-Length":
			continue
		}
		for _, v := range values {
			if !httpguts.ValidHeaderFieldValue(v) {
				return nil, c.refuse("header values have no line breaks", "the value of the header %s is not valid", canonical)
			}
			out[canonical] = append(out[canonical], v)
		}
	}
	if _, ok := out["User-Agent"]; !ok {
		out["User-Agent"] = []string{"Pando"}
	}
	return out, nil
}
