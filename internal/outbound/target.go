package outbound

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/pandobase/pando/internal/fault"
)

// Target is one named way out: a base URL and what bounds the calls to it. Name
// and URL are required.
type Target struct {
	Name string
	// URL is the base: scheme, host, port, a path below which every call stays,
	// and a query that every call has. "secret:NAME" is looked up at each call.
	URL string
	// Private lets the target be in a private network or on this machine.
	// Link-local addresses and metadata services are refused all the same.
	Private bool
	// Auth is sent with each call. Default: nothing.
	Auth Auth
	// Timeout bounds each try, its answer included. Default 10 s. What bounds the
	// whole call is the caller's context.
	Timeout time.Duration
	// Retry is how often a failed call is tried again: of idempotent methods, and
	// of POST and PATCH with an Idempotency-Key, which is added. Default: never.
	Retry int
	// Breaker stops calls after failures in a row. Default: never.
	Breaker Breaker
	// Concurrent bounds the calls that run at a time. Default 64. As many again
	// wait, for QueueWait (default 1 s) at most; others are refused at once.
	Concurrent int
	QueueWait  time.Duration
	// Hedge sends a GET or HEAD a second time when the first has not been
	// answered for so long, and takes what comes first. Default: never.
	Hedge time.Duration
	// Fallback is a JSON value that answers a GET when the target does not.
	// Default: none.
	Fallback json.RawMessage
	// MaxRequest and MaxResponse bound bodies, in bytes; the answer's after its
	// decompression and before. Default 10 MiB each.
	MaxRequest, MaxResponse int64
	// MaxHeader bounds the headers of an answer, in bytes. Default 64 KiB.
	MaxHeader int64
	// Cut cuts a longer answer at MaxResponse instead of refusing it.
	Cut bool
	// Redirects is how many redirects of a GET or HEAD are followed, each below
	// the base. Default: none, the redirect is the answer.
	Redirects int
}

// Auth is a secret that is sent in a header. The code that calls never sees it.
type Auth struct {
	Secret string // its name, without "secret:"; empty: none
	Header string // default Authorization
	// Format is the header's value: {secret} stands for the secret, {basic} for
	// its base64 form (a secret like user:password). Default "Bearer {secret}".
	Format string
}

// Breaker opens after Failures in a row (0: never) and lets one call through to
// see after Open (default 30 s).
type Breaker struct {
	Failures int
	Open     time.Duration
}

// The defaults of a target.
const (
	DefaultTimeout    = 10 * time.Second
	DefaultConcurrent = 64
	DefaultQueueWait  = time.Second
	DefaultOpen       = 30 * time.Second
	DefaultMaxBody    = 10 << 20
	DefaultMaxHeader  = 64 << 10
)

func (t Target) withDefaults() Target {
	if t.Timeout <= 0 {
		t.Timeout = DefaultTimeout
	}
	if t.Concurrent <= 0 {
		t.Concurrent = DefaultConcurrent
	}
	if t.QueueWait <= 0 {
		t.QueueWait = DefaultQueueWait
	}
	if t.Breaker.Open <= 0 {
		t.Breaker.Open = DefaultOpen
	}
	if t.MaxRequest <= 0 {
		t.MaxRequest = DefaultMaxBody
	}
	if t.MaxResponse <= 0 {
		t.MaxResponse = DefaultMaxBody
	}
	if t.MaxHeader <= 0 {
		t.MaxHeader = DefaultMaxHeader
	}
	if t.Auth.Header == "" {
		t.Auth.Header = "Authorization"
	}
	t.Auth.Header = http.CanonicalHeaderKey(t.Auth.Header)
	if t.Auth.Format == "" {
		t.Auth.Format = "Bearer {secret}"
	}
	return t
}

// check finds what is wrong with a target before it is used.
func (t *Target) check() error {
	bad := func(hint, format string, args ...any) error {
		return fault.New(fault.ConfigInvalid, "the integration %s: "+format, append([]any{t.Name}, args...)...).WithHint("%s", hint)
	}
	if !strings.HasPrefix(t.URL, secretPrefix) {
		if _, err := parseBase(t.Name, t.URL); err != nil {
			return err
		}
	}
	switch {
	case !httpguts.ValidHeaderFieldName(t.Auth.Header) || ours(t.Auth.Header):
		return bad("choose a header like X-Api-Key", "%q cannot hold its secret", t.Auth.Header)
	case t.Auth.Secret != "" && strings.Count(t.Auth.Format, "{secret}")+strings.Count(t.Auth.Format, "{basic}") != 1:
		return bad("write it like Bearer {secret}", "the format of its auth does not say where the secret stands")
	case t.Fallback != nil && !json.Valid(t.Fallback):
		return bad("write a JSON value", "its fallback is not JSON")
	}
	return nil
}

const secretPrefix = "secret:"

// parseBase reads a base URL. It may hold a token, so no error repeats it.
func parseBase(name, text string) (*url.URL, error) {
	bad := func(what, hint string) error {
		return fault.New(fault.ConfigInvalid, "the integration %s: its URL %s", name, what).WithHint("%s", hint)
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, bad("cannot be read", "write it like https://api.example.com/v1")
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http" || u.Opaque != "" || u.Hostname() == "":
		return nil, bad("is not one of a server", "write it like https://api.example.com/v1")
	case u.User != nil:
		return nil, bad("holds a user's name", "keep user:password as a secret and send it as auth with the format: Basic {basic}")
	case u.Fragment != "":
		return nil, bad("has a fragment", "leave out what begins with #")
	case climbs(u.Path):
		return nil, bad("has . or .. in its path", "write the path that is meant")
	}
	u.Host = strings.ToLower(u.Host)
	return u, nil
}

// value is the header's value with the secret in it, and the forms of it that
// must not come back.
func (a *Auth) value(secret string) (value string, hide []string) {
	basic := base64.StdEncoding.EncodeToString([]byte(secret))
	value = strings.ReplaceAll(strings.ReplaceAll(a.Format, "{basic}", basic), "{secret}", secret)
	hide = []string{secret}
	if strings.Contains(a.Format, "{basic}") {
		hide = append(hide, basic)
		if _, password, ok := strings.Cut(secret, ":"); ok {
			hide = append(hide, password)
		}
	}
	return value, hide
}
