// Package graphql is the GraphQL door: GraphQL over HTTP, compiled to query
// values that the engine executes, with one schema for each version of the API
// and each class of callers.
//
// A caller's schema holds only what policies could ever show him: a name that
// is not in it is unknown to validation, to introspection and to every message
// alike.
package graphql

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/pandobase/pando/internal/api/problem"
	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/operations"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/usage"
)

// Prefix is where the door stands; the version of the API follows it.
const Prefix = "/graphql"

// Config is what the door needs. Every field without a default is required.
type Config struct {
	// Engine executes what the door understands, for its application.
	Engine *engine.Engine
	// Operations runs the application's operations; nil: there are none.
	Operations *operations.Operations
	// Allows reports whether an identity may ever call an operation; required where
	// there are operations.
	Allows func(*model.Operation, *policy.Identity) bool
	// Authenticate names the caller of a request, or returns a fault.
	Authenticate func(*http.Request) (policy.Identity, error)
	// Develop tells the schema to everybody, unless api.graphql.introspection says
	// otherwise, and serves GraphiQL.
	Develop bool
	// Secure says that clients come over TLS: cookies are for it alone.
	Secure bool
	// Documents are the only documents that are executed. Default: all are.
	Documents *Documents
	// Rows is about how many rows an entity has, for the cost of documents; false:
	// nobody knows. Default: nobody knows.
	Rows func(context.Context, *model.Entity) (int64, bool)
	// Usage counts who uses deprecated things; nil: nobody does.
	Usage *usage.Counter
	// RequestID returns the id of a request. Default: errors have none.
	RequestID func(*http.Request) string
	// Logger receives faults that are the server's. Default: slog.Default.
	Logger *slog.Logger
}

// New returns the handler of /graphql/{version}, of every version of the
// engine's application. It is safe for concurrent use and serves one
// application: another one takes another handler.
func New(c Config) http.Handler {
	return newDoor(c)
}

type door struct {
	Config
	asksRequest bool // what a caller sees may depend on the request
	app         *model.App
	limits      model.GraphQL
	library     *library
	callers     callers
	page        http.Handler // GraphiQL; nil: there is none
	problems    problem.Writer
	prepared    cache[preparedKey, *prepared] // documents that are valid, by schema and text
	persists    cache[string, string]         // texts by the hash under which clients have stored them
}

func newDoor(c Config) *door {
	app := c.Engine.App()
	d := &door{Config: c, app: app, limits: app.Config.GraphQL, library: newLibrary(app), asksRequest: asksRequest(app), problems: problem.Writer{RequestID: c.RequestID, Logger: c.Logger}}
	d.prepared.max, d.persists.max = maxCached, maxCached
	if c.Develop {
		d.page = graphiql(app.Config.Versions)
	}
	return d
}

const methods = "GET, POST, OPTIONS"

// varies names the request headers that an answer depends on.
const varies = "Accept, Apikey, Authorization"

// ServeHTTP implements [http.Handler].
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if d.page != nil && d.app.View(versionOf(r.URL.Path)) == nil {
		d.page.ServeHTTP(w, r)
		return
	}
	h := w.Header()
	h["Vary"] = append(h["Vary"], varies)
	h.Set("Cache-Control", "no-store")
	r = r.WithContext(context.WithValue(r.Context(), requestKey{}, r))
	view, err := d.view(r.URL.Path)
	if err != nil {
		d.problems.WriteProblem(w, r, err)
		return
	}
	if r.Method == http.MethodOptions {
		h.Set("Allow", methods)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	kind, err := negotiate(r.Header["Accept"])
	if err != nil {
		d.problems.WriteProblem(w, r, err)
		return
	}
	out := &reply{door: d, w: w, r: r, media: kind}
	if err := d.serve(out, view); err != nil { //nolint:contextcheck // it is the request's
		out.refuse(err) //nolint:contextcheck // it is the request's
	}
}

// versionOf is the version of the API that a path names.
func versionOf(path string) string { return strings.TrimPrefix(strings.TrimPrefix(path, Prefix), "/") }

// view is the version of the API that a path names, where there is one.
func (d *door) view(path string) (*model.View, error) {
	if v := d.app.View(versionOf(path)); v != nil {
		return v, nil
	}
	at := make([]string, len(d.app.Config.Versions))
	for i, v := range d.app.Config.Versions {
		at[i] = Prefix + "/" + v
	}
	return nil, fault.New(fault.InvalidPath, "Invalid path specified in request URL").WithHint("GraphQL is at %s", strings.Join(at, ", "))
}

// serve answers a request, or returns a fault and has written nothing.
func (d *door) serve(out *reply, view *model.View) error {
	if !slices.Contains([]string{http.MethodGet, http.MethodPost}, out.r.Method) {
		return out.methodNotAllowed("Unsupported HTTP method: %s", short(out.r.Method))
	}
	id, err := d.Authenticate(out.r)
	if err != nil {
		return err
	}
	asked, err := d.read(out.w, out.r)
	if err != nil {
		return err
	}
	s := &session{door: d, out: out, id: id, guard: d.Engine.Guard(id)}
	s.schema = d.schemaFor(view, &s.id, s.guard)
	if err := s.prepare(asked); err != nil {
		return err
	}
	s.answer(asked)
	return nil
}
