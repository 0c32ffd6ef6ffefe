// Package rest is the REST door: PostgREST's grammar over HTTP, compiled to
// query values that the engine executes, and the engine's results as HTTP.
//
// What the grammar has and Pando has not is a fault that names it; nothing
// that a client asks for is ignored silently, except preferences without
// handling=strict, as RFC 7240 wants it. Every answer to a fault is a problem
// document.
package rest

import (
	"log/slog"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/pandobase/pando/internal/api/problem"
	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/operations"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/usage"
)

// Prefix is where the doors of all versions stand.
const Prefix = "/rest"

// root is where the door of a version stands.
func root(v *model.View) string { return Prefix + "/" + v.Version + "/" }

// Config is what the door needs. Every field without a default is required.
type Config struct {
	// Engine executes what the door understands. The limits of its
	// application bound the grammar and the body.
	Engine *engine.Engine
	// Authenticate names the caller of a request, or returns a fault.
	Authenticate func(*http.Request) (policy.Identity, error)
	// View is the version of the API that is served; default: the newest.
	View *model.View
	// Usage counts who uses what is deprecated; nil: nobody does. Its clock says
	// what is gone.
	Usage *usage.Counter
	// Operations runs what is behind rpc/; nil: nothing is.
	Operations *operations.Operations
	// OpenAPI returns the document of the root.
	OpenAPI func() []byte
	// RequestID returns the id of a request. Default: problems have none.
	RequestID func(*http.Request) string
	// Secure says that clients come over TLS: cookies are for it alone.
	Secure bool
	// Logger receives faults that are the server's. Default: slog.Default.
	Logger *slog.Logger
}

// New returns the handler of /rest/v1, where v1 is the view's version, and
// everything below it. It is safe for concurrent use and serves one application in
// one version: another one takes another handler.
func New(c Config) http.Handler {
	if c.View == nil {
		c.View = c.Engine.App().Latest()
	}
	h := newHandler(c, c.Engine, c.Engine.App())
	h.names = newNames(&c)
	return h
}

// Unversioned answers below [Prefix] what is no version of the application.
func Unversioned(app *model.App, p problem.Writer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		version, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, Prefix), "/"), "/")
		f := fault.New(fault.InvalidPath, "there is no version %s of the API", shorten(version))
		if version == "" {
			f = fault.New(fault.InvalidPath, "the path names no version of the API")
		}
		versions := app.Config.Versions
		p.WriteProblem(w, r, f.WithHint("there is %s: %s/%s/{entity}", strings.Join(versions, ", "), Prefix, versions[len(versions)-1]))
	})
}

type handler struct {
	engine       engine.Executor
	operations   *operations.Operations
	app          *model.App
	prefix       string // of every path, with a slash at the end
	names        *names
	authenticate func(*http.Request) (policy.Identity, error)
	openAPI      func() []byte
	problems     problem.Writer
	limits       limits
	body         int64
	secure       bool
}

func newHandler(c Config, e engine.Executor, app *model.App) *handler {
	if c.View == nil {
		c.View = app.Latest()
	}
	return &handler{
		prefix:       root(c.View),
		engine:       e,
		operations:   c.Operations,
		app:          app,
		authenticate: c.Authenticate,
		openAPI:      c.OpenAPI,
		problems:     problem.Writer{RequestID: c.RequestID, Logger: c.Logger},
		limits:       limits{depth: app.Config.Limits.Depth, filters: app.Config.Limits.Filters},
		body:         app.Config.Limits.Body,
		secure:       c.Secure,
	}
}

// ServeHTTP implements [http.Handler].
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := h.serve(w, r); err != nil { //nolint:contextcheck // it is the request's
		h.problems.WriteProblem(w, r, h.names.tell(err))
	}
}

// serve answers r, or returns a fault and has written nothing.
func (h *handler) serve(w http.ResponseWriter, r *http.Request) error {
	name, ok := strings.CutPrefix(r.URL.Path, h.prefix)
	if !ok && r.URL.Path != strings.TrimSuffix(h.prefix, "/") {
		return h.noSuchPath()
	}
	id, err := h.authenticate(r)
	if err != nil {
		return err
	}
	if name == "" || !ok {
		return h.root(w, r)
	}
	module := h.profile(r)
	if err := h.checkModule(module); err != nil {
		return err
	}
	if operation, ok := strings.CutPrefix(name, "rpc/"); ok {
		return h.rpc(w, r, id, module, operation)
	}
	if strings.IndexByte(name, '/') >= 0 || !utf8.ValidString(name) {
		return h.noSuchPath()
	}
	if module != "" {
		w.Header().Set("Content-Profile", module)
	}
	return h.entity(w, r, id, query.Target{Module: module, Entity: name})
}

func (h *handler) noSuchPath() error {
	return fault.New(fault.InvalidPath, "Invalid path specified in request URL").
		WithHint("entities are at %s{entity}, operations at %srpc/{operation}", h.prefix, h.prefix)
}

const entityMethods = "OPTIONS,GET,HEAD,POST,PUT,PATCH,DELETE"

func (h *handler) entity(w http.ResponseWriter, r *http.Request, id policy.Identity, target query.Target) error {
	q := &request{handler: h, w: w, r: r, id: id, target: h.names.target(target)}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return q.read()
	case http.MethodPost:
		return q.write(q.create)
	case http.MethodPatch:
		return q.write(q.update)
	case http.MethodPut:
		return q.write(q.put)
	case http.MethodDelete:
		return q.write(q.delete)
	case http.MethodOptions:
		if e := h.app.Entity(q.target.Module, q.target.Entity); e == nil || e.Internal {
			return h.unknownEntity(q.target)
		}
		return options(w, entityMethods)
	}
	return methodNotAllowed(w, r, entityMethods)
}

// request is one request for an entity while it is answered.
type request struct {
	*handler
	w      http.ResponseWriter
	r      *http.Request
	id     policy.Identity
	target query.Target
	prefer preferences
	rep    representation
	params *params

	translation *translation // nil: the version has the model's names, and nothing is deprecated
}

// prepare reads what every request for an entity has: the representation that
// is wanted, the preferences and the parameters.
func (q *request) prepare() error {
	var err error
	if q.rep, err = negotiate(q.r.Header["Accept"], false); err != nil {
		return err
	}
	if q.prefer, err = parsePrefer(q.r.Header["Prefer"]); err != nil {
		return err
	}
	if q.params, err = parseParams(q.r.URL.RawQuery, q.limits); err != nil {
		return err
	}
	q.translate()
	return nil
}

func options(w http.ResponseWriter, allow string) error {
	w.Header().Set("Allow", allow)
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
	return nil
}

func methodNotAllowed(w http.ResponseWriter, r *http.Request, allow string) error {
	w.Header().Set("Allow", allow)
	return fault.New(fault.MethodNotAllowed, "Unsupported HTTP method: %s", shorten(r.Method)).
		WithHint("this resource has %s", strings.ReplaceAll(allow, ",", ", "))
}

// root answers the OpenAPI document.
func (h *handler) root(w http.ResponseWriter, r *http.Request) error {
	const methods = "OPTIONS,GET,HEAD"
	switch r.Method {
	case http.MethodOptions:
		return options(w, methods)
	case http.MethodGet, http.MethodHead:
	default:
		return methodNotAllowed(w, r, methods)
	}
	rep, err := negotiate(r.Header["Accept"], true)
	if err != nil {
		return err
	}
	body := h.openAPI()
	a := reply{body: body, contentType: rep.contentType(), tag: query.Tag(body), status: http.StatusOK}
	return a.send(w, r)
}

// checkModule refuses a profile that is no module of the application.
func (h *handler) checkModule(module string) error {
	if module == "" {
		return nil
	}
	if h.app.Module(module) != nil {
		return nil
	}
	names := make([]string, 0, len(h.app.Modules))
	for _, m := range h.app.Modules {
		names = append(names, m.Name)
	}
	f := fault.New(fault.UnknownSchema, "Invalid schema: %s", shorten(module))
	if n := fault.Nearest(module, names); n != "" {
		f.Details = "Perhaps you meant " + n + "."
	}
	return f.WithHint("Only the following schemas are exposed: %s", strings.Join(names, ", "))
}

func (h *handler) unknownEntity(t query.Target) error {
	var entities []*model.Entity
	for _, m := range h.app.Modules {
		if t.Module == "" && m.Builtin || t.Module != "" && m.Name != t.Module {
			continue
		}
		for _, e := range m.Entities {
			if !e.Internal {
				entities = append(entities, e)
			}
		}
	}
	name := t.Entity
	if t.Module != "" {
		name = t.Module + "." + name
	}
	f := fault.New(fault.UnknownEntity, "Could not find the table '%s' in the schema cache", shorten(name))
	if n, ok := fault.NearestOf(t.Entity, entities); ok {
		return f.WithHint("Perhaps you meant the table '%s'", n)
	}
	return f
}
