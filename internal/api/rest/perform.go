package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
)

// Call is a request for an entity by code that runs in the node. Its members
// mean what they do in a request over HTTP.
type Call struct {
	Method string // GET, HEAD, POST, PUT, PATCH or DELETE
	Module string // the profile; empty: none
	Entity string
	Query  string // without the question mark
	Prefer string // the header; empty: none
	// Single asks for one row as an object.
	Single bool
	Body   json.RawMessage
}

// Answer is what a [Call] is answered.
type Answer struct {
	Status int
	Count  *int64 // of all rows that match, where Prefer asks for it
	Body   []byte // JSON; nil: none
}

// Perform answers a call as the door does, in the model's names, whatever an API
// version calls things: the same grammar, limits, policies and
// records. exec is the engine, or the transaction that the call belongs to. The
// faults are those of the door.
func Perform(ctx context.Context, exec engine.Executor, id policy.Identity, c Call) (Answer, error) {
	methods := []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}
	if !slices.Contains(methods, c.Method) {
		return Answer{}, fault.New(fault.MethodNotAllowed, "Unsupported HTTP method: %s", shorten(c.Method)).
			WithHint("an entity has %s", strings.Join(methods, ", "))
	}
	h := newHandler(Config{}, exec, exec.App())
	if c.Module == defaultSchema && h.app.Module(defaultSchema) == nil {
		c.Module = ""
	}
	if err := h.checkModule(c.Module); err != nil {
		return Answer{}, err
	}
	r := (&http.Request{
		Method: c.Method, URL: &url.URL{Path: h.prefix + c.Entity, RawQuery: c.Query}, Header: http.Header{},
		Body: io.NopCloser(bytes.NewReader(c.Body)), ContentLength: int64(len(c.Body)),
	}).WithContext(ctx)
	if c.Prefer != "" {
		r.Header.Set("Prefer", c.Prefer)
	}
	if c.Single {
		r.Header.Set("Accept", "application/vnd.pgrst.object+json")
	}
	w := &answering{header: http.Header{}}
	if err := h.entity(w, r, id, query.Target{Module: c.Module, Entity: c.Entity}); err != nil { //nolint:contextcheck // it is the request's
		return Answer{}, err
	}
	a := Answer{Status: w.status, Body: w.body}
	if _, total, ok := strings.Cut(w.header.Get("Content-Range"), "/"); ok && total != "*" {
		if n, err := strconv.ParseInt(total, 10, 64); err == nil {
			a.Count = &n
		}
	}
	return a, nil
}

// answering takes an answer down.
type answering struct {
	header http.Header
	status int
	body   []byte
}

var _ http.ResponseWriter = (*answering)(nil)

// Header implements [http.ResponseWriter].
func (a *answering) Header() http.Header { return a.header }

// WriteHeader implements [http.ResponseWriter].
func (a *answering) WriteHeader(status int) { a.status = status }

// Write implements [http.ResponseWriter].
func (a *answering) Write(b []byte) (int, error) {
	a.body = append(a.body, b...)
	return len(b), nil
}
