// Package authn is the identity door: the open GoTrue surface at /auth/v1 that
// supabase-js and its siblings speak, in front of package auth. It reads
// requests, names their callers and writes answers in the shapes those clients
// expect; it decides nothing about users itself.
//
// Every answer is JSON, a redirect, or empty, is stored by nobody and carries
// X-Supabase-Api-Version. Every fault is a problem document with GoTrue's
// codes; where a browser is on its way through a sign-in, it is a redirect
// with the same code. Nothing of a request is repeated as HTML. Members of a
// body and parameters that no endpoint reads are ignored, as GoTrue does,
// because its clients send what other servers know.
package authn

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/pandobase/pando/internal/api/problem"
	"github.com/pandobase/pando/internal/auth"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/policy"
)

// Path is where the door stands.
const Path = "/auth/v1"

const prefix = Path + "/"

// apiVersion is the version of the errors that clients are told to expect;
// without it they look for another shape.
const apiVersion = "2024-01-01"

// defaultBody is the default of [Config.Body]. No honest body comes near it.
const defaultBody = 256 << 10

// Config is what the door needs. Every field without a default is required.
type Config struct {
	// Auth does what is asked for.
	Auth *auth.Auth
	// Identify says what a request is known by, its credentials apart. Headers
	// that a client can write itself are no part of it.
	Identify func(*http.Request) *policy.Request
	// Body bounds a request's body in bytes. Default: 256 KiB.
	Body int64
	// RequestID returns the id of a request. Default: problems have none.
	RequestID func(*http.Request) string
	// Caller is told who makes a request once that is known, for the access
	// log. Default: nobody is told.
	Caller func(*http.Request, *policy.Identity)
	// Random is where secrets of browsers come from. Default: the system's.
	Random io.Reader
	// Logger receives faults that are the server's. Default: slog.Default.
	Logger *slog.Logger
}

// New returns the handler of /auth/v1 and everything below it. It is safe for
// concurrent use.
func New(c Config) http.Handler {
	h := &handler{
		auth: c.Auth, identify: c.Identify, caller: c.Caller, maxBody: c.Body, random: c.Random,
		problems: problem.Writer{RequestID: c.RequestID, Logger: c.Logger},
		table:    newTable(routes()),
	}
	if h.maxBody == 0 {
		h.maxBody = defaultBody
	}
	if h.random == nil {
		h.random = rand.Reader
	}
	if h.caller == nil {
		h.caller = func(*http.Request, *policy.Identity) {}
	}
	return h
}

type handler struct {
	auth     *auth.Auth
	identify func(*http.Request) *policy.Request
	caller   func(*http.Request, *policy.Identity)
	maxBody  int64
	random   io.Reader
	problems problem.Writer
	table    *table
}

// ServeHTTP implements [http.Handler].
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header()["X-Supabase-Api-Version"] = []string{apiVersion}
	w.Header()["Cache-Control"] = []string{"no-store"}
	if err := h.serve(w, r); err != nil {
		h.problems.WriteProblem(w, r, err)
	}
}

// routes are all of the door's.
func routes() []route {
	return slices.Concat(accountRoutes(), verifyRoutes(), providerRoutes(), factorRoutes(), adminRoutes(), aboutRoutes(), disabledRoutes())
}

// request is one request while it is answered.
type request struct {
	*handler
	w     http.ResponseWriter
	r     *http.Request
	id    *auth.Caller // never nil; with the request it came by
	vars  map[string]string
	query url.Values // each name once
}

// serve answers r, or returns a fault and has written nothing.
func (h *handler) serve(w http.ResponseWriter, r *http.Request) error {
	path, ok := strings.CutPrefix(r.URL.Path, prefix)
	if !ok {
		return h.table.unknown("")
	}
	rt, vars, allowed := h.table.find(r.Method, path)
	switch {
	case rt == nil && allowed == nil:
		return h.table.unknown(path)
	case rt == nil:
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusNoContent)
			return nil
		}
		return fault.New(fault.MethodNotAllowed, "%s has no %s", path, shorten(r.Method)).
			WithHint("it has %s", strings.Join(allowed, ", "))
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return fault.New(fault.AuthValidation, "the query of the address is not encoded as it should be")
	}
	if err := once(query); err != nil {
		return err
	}
	by := *h.identify(r)
	by.Operation = rt.operation
	q := &request{handler: h, w: w, r: r, vars: vars, query: query, id: &auth.Caller{Role: policy.Anon, Request: &by}}
	if rt.access != open {
		if err := q.authenticate(); err != nil {
			return err
		}
		if err := rt.access.allow(q.id); err != nil {
			return err
		}
	}
	return rt.serve(q)
}

// authenticate names the caller by the credentials of the request, which are
// the headers apikey and Authorization and nothing else.
func (q *request) authenticate() error {
	bearer := ""
	if header := q.r.Header.Get("Authorization"); header != "" {
		scheme, token, _ := strings.Cut(header, " ")
		if !strings.EqualFold(scheme, "bearer") {
			return fault.New(fault.AuthNoAuthorization, "the Authorization header is not a Bearer token").
				WithHint("send 'Authorization: Bearer TOKEN'")
		}
		bearer = strings.TrimSpace(token)
	}
	id, err := q.auth.Authenticate(q.r.Context(), auth.Credentials{APIKey: q.r.Header.Get("Apikey"), Bearer: bearer}, q.id.Request)
	if err != nil {
		return auth.Fault(err)
	}
	q.id = &id
	q.caller(q.r, q.id)
	return nil
}

// allow refuses a caller who may not ask for a route.
func (a access) allow(id *auth.Caller) error {
	switch {
	case a == member && (id.Role != policy.Authenticated || id.UID == ""): // a key or a machine may have roles, and is no user
		return fault.New(fault.AuthNoAuthorization, "this endpoint wants a user's access token").
			WithHint("sign in, and send 'Authorization: Bearer ACCESS_TOKEN'")
	case a == admin && id.Role == policy.Anon:
		return fault.New(fault.AuthNoAuthorization, "this endpoint wants a secret key").
			WithHint("send the secret key as the apikey header, from a server and never from a browser; `pando keys` shows it")
	case a == admin && id.Role != policy.Service:
		return fault.New(fault.AuthNotAdmin, "User not allowed").WithHint("this endpoint wants a secret key")
	}
	return nil
}

// answer sends v as JSON.
func (q *request) answer(v any) error {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false) // it is no HTML, and a QR code has hundreds of <
	if err := enc.Encode(v); err != nil {
		return fault.Wrap(err, fault.Internal, "an internal error occurred")
	}
	return q.send(bytes.TrimSuffix(body.Bytes(), []byte("\n")))
}

func (q *request) send(body []byte) error {
	h := q.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	q.w.WriteHeader(http.StatusOK)
	if q.r.Method != http.MethodHead {
		_, _ = q.w.Write(body) // the client may be gone; there is nobody left to tell
	}
	return nil
}

// done is the answer to what has nothing to tell.
func (q *request) done() error { return q.send([]byte("{}")) }

// redirect sends a browser on. The address is one that package auth has
// checked against the list of those that are allowed.
func (q *request) redirect(status int, to string) error {
	h := q.w.Header()
	h.Set("Location", to)
	// The address holds a code or tokens.
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Length", "0")
	q.w.WriteHeader(status)
	return nil
}

// redirectTo is where a sign-in shall lead back to, as the clients say it.
func (q *request) redirectTo() string { return q.query.Get("redirect_to") }
