package provider

import (
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/pandobase/pando/internal/fault"
)

// maxRedirect bounds a redirect address, in bytes.
const maxRedirect = 2048

// Redirects is the list of addresses that a sign-in may lead back to. The zero
// value allows none. It is never changed.
type Redirects struct{ entries []entry }

// entry is one allowed address.
type entry struct {
	origin string // scheme, host and port, as target.origin
	exact  string // path and query; or the whole address of an app's scheme
	glob   *regexp.Regexp
	port   bool // any port
}

// NewRedirects reads an allow-list. An entry allows exactly itself: scheme,
// host, port, path and query. On this machine (127.0.0.1, [::1], localhost) *
// stands for any characters of one segment of the path, or for any port, and
// ** for any characters at all. Addresses of an app's own scheme (myapp://...)
// are exact.
//
// Every entry that cannot be used is told, in one [fault.ConfigInvalid].
func NewRedirects(list []string) (Redirects, error) {
	var r Redirects
	var bad []string
	for _, text := range list {
		e, ok := parseEntry(text)
		if !ok {
			bad = append(bad, text)
			continue
		}
		r.entries = append(r.entries, e)
	}
	if bad != nil {
		return Redirects{}, fault.New(fault.ConfigInvalid, "auth.redirects: not usable: %s", strings.Join(bad, ", ")).
			WithHint("write https://host/path without user, fragment or escaped dots and slashes; http and * are for 127.0.0.1, [::1] and localhost; an app's scheme is written myapp://callback")
	}
	return r, nil
}

// anyPort stands in an entry where its port was "*".
const anyPort = ":*"

func parseEntry(text string) (entry, bool) {
	stars := strings.Contains(text, "*")
	parsed := text
	port := false
	if scheme, rest, ok := strings.Cut(text, "://"); ok && stars {
		end := strings.IndexAny(rest, "/?")
		if end < 0 {
			end = len(rest)
		}
		var host string
		if host, port = strings.CutSuffix(rest[:end], anyPort); port {
			parsed = scheme + "://" + host + rest[end:]
		}
	}
	t, ok := parseTarget(parsed)
	if !ok || stars && !t.local || t.web && t.scheme != "https" && !t.local {
		return entry{}, false
	}
	e := entry{origin: t.origin(), exact: t.rest, port: port}
	if port {
		if t.port != "" {
			return entry{}, false
		}
		e.origin = t.scheme + "://" + t.host
	}
	if strings.Contains(e.origin, "*") {
		return entry{}, false
	}
	if strings.Contains(t.rest, "*") {
		e.glob = compileGlob(t.rest)
	}
	return e, true
}

// compileGlob returns the expression of a path with * and **.
func compileGlob(pattern string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`\A`)
	for i, part := range strings.Split(pattern, "**") {
		if i > 0 {
			b.WriteString(`.*`)
		}
		for j, literal := range strings.Split(part, "*") {
			if j > 0 {
				b.WriteString(`[^/?]*`)
			}
			b.WriteString(regexp.QuoteMeta(literal))
		}
	}
	b.WriteString(`\z`)
	return regexp.MustCompile(b.String()) // of quoted text only
}

// Allowed reports whether a sign-in may lead back to the address. Anything
// that a browser could read in another way than this package is not allowed:
// backslashes, spaces, characters outside ASCII, user names, fragments, dots
// and slashes that are escaped.
func (r Redirects) Allowed(redirect string) bool {
	t, ok := parseTarget(redirect)
	if !ok {
		return false
	}
	for _, e := range r.entries {
		origin := t.origin()
		if e.port {
			origin = t.scheme + "://" + t.host
		}
		if origin == e.origin && (e.glob == nil && t.rest == e.exact || e.glob != nil && e.glob.MatchString(t.rest)) {
			return true
		}
	}
	return false
}

// target is an address in the form that is compared.
type target struct {
	scheme string // lower-case
	web    bool   // http or https
	host   string // lower-case; IPv6 in brackets
	port   string // empty: the scheme's own
	local  bool   // the host is this machine
	rest   string // path and query of a web address; else all after the scheme
}

func (t target) origin() string {
	if t.port == "" {
		return t.scheme + "://" + t.host
	}
	return t.scheme + "://" + t.host + ":" + t.port
}

// parseTarget reads an absolute address; false for what is never allowed.
func parseTarget(text string) (target, bool) {
	if len(text) > maxRedirect || strings.ContainsAny(text, "\\#\"<>^`{|}") ||
		strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return target{}, false
	}
	scheme, rest, ok := strings.Cut(text, "://")
	t := target{scheme: strings.ToLower(scheme)}
	if t.web = t.scheme == "http" || t.scheme == "https"; !ok || !isScheme(t.scheme) || !t.web && !isAppScheme(t.scheme) {
		return target{}, false
	}
	if !t.web { // exactly as the entry is written
		t.scheme, t.rest = scheme, rest
		return t, rest != ""
	}
	return t.parseWeb(text)
}

// parseWeb fills in host, port and the rest of a web address.
func (t target) parseWeb(text string) (target, bool) {
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" || u.User != nil || strings.Contains(u.Host, "@") || strings.HasSuffix(u.Host, ":") || u.ForceQuery {
		return target{}, false
	}
	t.host, t.port = strings.ToLower(u.Hostname()), u.Port()
	if _, err := strconv.ParseUint(t.port, 10, 16); t.port != "" && err != nil {
		return target{}, false
	}
	if strings.Contains(t.host, "%") || strings.HasSuffix(t.host, ".") || t.host == "" {
		return target{}, false
	}
	ip := net.ParseIP(t.host)
	switch {
	case strings.Contains(t.host, ":"):
		if ip == nil || !strings.HasPrefix(u.Host, "[") {
			return target{}, false
		}
		t.local = ip.Equal(net.IPv6loopback)
		t.host = "[" + ip.String() + "]"
	case strings.ContainsFunc(t.host, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_'
	}):
		return target{}, false
	default:
		t.local = t.host == "127.0.0.1" || t.host == "localhost"
	}
	if t.scheme == "https" && t.port == "443" || t.scheme == "http" && t.port == "80" {
		t.port = ""
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	if !isPlainPath(path) {
		return target{}, false
	}
	if t.rest = path; u.RawQuery != "" {
		t.rest += "?" + u.RawQuery
	}
	return t, true
}

// isPlainPath refuses what a browser or a server would read as another path.
func isPlainPath(path string) bool {
	lower := strings.ToLower(path)
	for _, escaped := range []string{"%2e", "%2f", "%5c", "%25", "%00"} {
		if strings.Contains(lower, escaped) {
			return false
		}
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return false
		}
	}
	return !strings.Contains(path, "//")
}

// isScheme follows RFC 3986, section 3.1, in lower case.
func isScheme(scheme string) bool {
	for i, c := range scheme {
		letter := c >= 'a' && c <= 'z'
		if !letter && (i == 0 || (c < '0' || c > '9') && c != '+' && c != '-' && c != '.') {
			return false
		}
	}
	return scheme != ""
}

// isAppScheme refuses the schemes that a browser itself acts on.
func isAppScheme(scheme string) bool {
	switch scheme {
	case "javascript", "data", "vbscript", "file", "filesystem", "blob", "about", "view-source", "ws", "wss", "ftp", "mailto", "tel",
		"jar", "resource", "chrome", "chrome-extension", "moz-extension", "intent", "ms-appx", "content", "mhtml", "livescript":
		return false
	}
	return true
}
