// Package functions is the door /functions/v1: code of the application behind
// its own paths. It hands a request over as it is, to who may call the function, and
// answers what the code makes of it.
package functions

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"

	"github.com/pandobase/pando/internal/api/problem"
	"github.com/pandobase/pando/internal/fault"
	code "github.com/pandobase/pando/internal/functions"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/operations"
	"github.com/pandobase/pando/internal/policy"
)

// Prefix is where the door is mounted.
const Prefix = "/functions/v1"

// Config is what the door stands on. App, Operations and Authenticate are required.
type Config struct {
	App        *model.App
	Operations *operations.Operations
	// Authenticate names the caller. Its error is the answer.
	Authenticate func(*http.Request) (policy.Identity, error)
	Logger       *slog.Logger
	RequestID    func(*http.Request) string
}

type handler struct {
	cfg       Config
	functions map[string]*model.Function
	problems  problem.Writer
}

// New returns the door's handler. It is safe for concurrent use.
func New(c Config) http.Handler {
	h := &handler{cfg: c, functions: map[string]*model.Function{}, problems: problem.Writer{RequestID: c.RequestID, Logger: c.Logger}}
	for _, m := range c.App.Modules {
		for _, f := range m.Functions {
			h.functions[f.Name] = f
		}
	}
	return h
}

// ServeHTTP implements [http.Handler].
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := h.serve(w, r); err != nil {
		h.problems.WriteProblem(w, r, err)
	}
}

// serve answers r, or returns a fault and has written nothing.
func (h *handler) serve(w http.ResponseWriter, r *http.Request) error {
	id, err := h.cfg.Authenticate(r)
	if err != nil {
		return err
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, Prefix+"/"), "/")
	f := h.functions[name]
	if f == nil {
		return h.unknown(name)
	}
	in, err := h.read(w, r)
	if err != nil {
		return err
	}
	out, err := h.cfg.Operations.Function(r.Context(), id, f, in)
	if err != nil {
		return err
	}
	return answer(w, r, f, out)
}

func (h *handler) unknown(name string) error {
	names := make([]string, 0, len(h.functions))
	for n := range h.functions {
		names = append(names, n)
	}
	slices.Sort(names)
	const longest = 63
	if len(name) > longest {
		name = strings.ToValidUTF8(name[:longest], "") + "..."
	}
	f := fault.New(fault.NotFound, "there is no function %s", name)
	if near := fault.Nearest(name, names); near != "" {
		return f.WithHint("did you mean %s?", near)
	}
	return f.WithHint("functions are declared under `functions` of a module")
}

// secret are the headers that code is not told: they are the caller's credentials
// at this door.
func secret(name string) bool {
	switch name {
	case "Authorization", "Apikey", "Cookie", "Proxy-Authorization":
		return true
	}
	return false
}

func (h *handler) read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	limit := h.cfg.App.Config.Limits.Body
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		if big := new(http.MaxBytesError); errors.As(err, &big) {
			return nil, fault.New(fault.BodyTooLarge, "the body is larger than %d bytes", limit).WithHint("limits.body of pando.yaml bounds it")
		}
		return nil, fault.Wrap(err, fault.InvalidBody, "the body could not be read")
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	in := code.HTTPRequest{Method: r.Method, URL: scheme + "://" + r.Host + r.URL.RequestURI(), Headers: [][2]string{}}
	names := make([]string, 0, len(r.Header))
	for name := range r.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if secret(name) {
			continue
		}
		for _, v := range r.Header[name] {
			in.Headers = append(in.Headers, [2]string{strings.ToLower(name), v})
		}
	}
	if len(body) > 0 {
		in.Body = body
	}
	return json.Marshal(in)
}

// ours are the headers that the server sets, or that would change what the
// connection carries.
func ours(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
		"Content-Length", "Date", "Strict-Transport-Security", "X-Request-Id":
		return true
	}
	return strings.HasPrefix(name, "Access-Control-")
}

func answer(w http.ResponseWriter, r *http.Request, f *model.Function, raw []byte) error {
	var out code.HTTPResponse
	wrong := func(why string) error {
		return fault.New(fault.InvalidOutput, "the function %s has answered no response", f.Name).WithDetails("%s", why).
			WithHint("return new Response(...), or a value that becomes JSON")
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		return wrong(err.Error())
	}
	if out.Status < http.StatusOK || out.Status > 599 {
		return wrong("the status " + strconv.Itoa(out.Status) + " is not from 200 to 599")
	}
	header := w.Header()
	given := http.Header{}
	for _, kv := range out.Headers {
		name := textproto.CanonicalMIMEHeaderKey(kv[0])
		if !token(name) || strings.ContainsAny(kv[1], "\r\n\x00") {
			return wrong("a header is not valid")
		}
		if !ours(name) {
			given.Add(name, kv[1])
		}
	}
	maps.Copy(header, given)
	header.Set("X-Content-Type-Options", "nosniff")
	if given.Get("Content-Security-Policy") == "" {
		// What code answers must not act with the rights of pages of this origin.
		header.Set("Content-Security-Policy", "sandbox")
	}
	if given.Get("Cache-Control") == "" {
		header.Set("Cache-Control", "no-store")
	}
	if len(out.Body) > 0 && given.Get("Content-Type") == "" {
		header.Set("Content-Type", "application/octet-stream")
	}
	bodiless := out.Status == http.StatusNoContent || out.Status == http.StatusNotModified
	if !bodiless {
		header.Set("Content-Length", strconv.Itoa(len(out.Body)))
	}
	w.WriteHeader(out.Status)
	if r.Method != http.MethodHead && !bodiless {
		_, _ = w.Write(out.Body) // the client may be gone
	}
	return nil
}

// token reports whether a header's name is one (RFC 9110, 5.6.2).
func token(name string) bool {
	if name == "" {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte("\"(),/:;<=>?@[\\]{}", c) >= 0 {
			return false
		}
	}
	return true
}
