// Package rpc is the door of gRPC, gRPC-Web and Connect: a service for each
// module, made at run time from the model and the numbers of pando.lock.
//
// What is asked goes to the engine as query values, and what it answers is
// written as protobuf without a detour: no message is ever a tree, but for the
// JSON of Connect. Descriptors exist for those who ask for them.
//
// Every answer to a fault has its canonical code and google.rpc.ErrorInfo.
package rpc

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"connectrpc.com/connect"
	"connectrpc.com/grpchealth"

	"github.com/pandobase/pando/internal/api/problem"
	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/operations"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/usage"
)

// Config is what the door needs. Every field without a default is required.
type Config struct {
	// Engine executes what the door understands. The limits of its application
	// bound messages and filters.
	Engine *engine.Engine
	// Operations runs the operations; nil: there are none.
	Operations *operations.Operations
	// Authenticate names the caller of a request, or returns a fault.
	Authenticate func(*http.Request) (policy.Identity, error)
	// Allows tells whether a caller may run an operation.
	Allows func(*model.Operation, *policy.Identity) bool
	// Ready tells whether the node serves, for grpc.health.v1. Default: it does.
	Ready func(context.Context) error
	// Usage counts the use of deprecated things; nil: nobody does.
	Usage *usage.Counter
	// Reflection is who may ask for the services: a value of pando.yaml's
	// api.reflection. Default: who is signed in.
	Reflection string
	// Route is told which of the door's routes a request takes. Default: nobody is.
	Route func(ctx context.Context, route string)
	// RequestID returns the id of a request. Default: faults tell none.
	RequestID func(*http.Request) string
	// Logger receives faults that are the server's. Default: slog.Default.
	Logger *slog.Logger
}

// Door serves one application: another one takes another door. It is safe for
// concurrent use.
type Door struct {
	cfg      Config
	app      *model.App
	limits   model.Limits
	problems problem.Writer
	errors   *connect.ErrorWriter
	versions map[string]*version
	health   http.Handler

	reflections reflections
}

// version is a version of the application, made when somebody asks for it.
type version struct {
	schema   func() *schema
	handlers sync.Map // of methods, *connect.Handler by *method
}

// New returns a door. It makes no schema before a request needs it.
func New(c Config) *Door {
	if c.Route == nil {
		c.Route = func(context.Context, string) {}
	}
	if c.Ready == nil {
		c.Ready = func(context.Context) error { return nil }
	}
	d := &Door{
		cfg: c, app: c.Engine.App(), limits: c.Engine.App().Config.Limits,
		problems: problem.Writer{RequestID: c.RequestID, Logger: c.Logger},
		errors:   connect.NewErrorWriter(connect.WithCodec(protoCodec{})),
		versions: map[string]*version{},
	}
	_, d.health = grpchealth.NewHandler(health{c.Ready}, connect.WithReadMaxBytes(int(d.limits.Body)))
	for _, name := range d.app.Config.Versions {
		d.versions[name] = &version{schema: sync.OnceValue(func() *schema { return newSchema(d.app.View(name)) })}
	}
	return d
}

// pathPrefix begins the paths of the applications' services.
const pathPrefix = "/" + packagePrefix

const healthPrefix = "/" + grpchealth.HealthV1ServiceName

// Prefixes is where the edge mounts the door.
func Prefixes() []string { return []string{pathPrefix + "*", reflectionPrefix + "*", healthPrefix} }

// find returns the method of a path and its version, or nil.
func (d *Door) find(path string) (*version, *method) {
	rest, ok := strings.CutPrefix(path, pathPrefix)
	if !ok {
		return nil, nil
	}
	_, rest, _ = strings.Cut(rest, ".")
	name, _, _ := strings.Cut(rest, ".")
	v := d.versions[name]
	if v == nil {
		return nil, nil
	}
	m := v.schema().methods[path]
	if m == nil {
		return nil, nil
	}
	return v, m
}

// Reads reports whether a path is that of a method that changes nothing.
func (d *Door) Reads(path string) bool {
	_, m := d.find(path)
	return m == nil || m.reads
}

// varies names the headers that say who calls.
const varies = "Apikey, Authorization"

// ServeHTTP implements [http.Handler].
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor > 1 {
		deepen()
	}
	switch {
	case strings.HasPrefix(r.URL.Path, reflectionPrefix):
		d.reflect(w, r)
		return
	case strings.HasPrefix(r.URL.Path, healthPrefix):
		d.health.ServeHTTP(w, r)
		return
	}
	// What Connect reads with GET is the caller's own.
	w.Header().Add("Vary", varies)
	w.Header().Set("Cache-Control", "no-store")
	v, m := d.find(r.URL.Path)
	if m != nil {
		d.cfg.Route(r.Context(), m.path)
	}
	id, err := d.cfg.Authenticate(r)
	if err == nil && m == nil {
		err = d.unknown(r.URL.Path)
	}
	if err != nil {
		d.refuse(w, r, err)
		return
	}
	if m.stream {
		w = &unhurried{ResponseWriter: w}
	}
	name := v.schema().view.Version
	if id.Request != nil {
		id.Request.Version, id.Request.Operation = name, m.path[1:]
	}
	c := &call{door: d, schema: v.schema(), method: m, id: id, w: w, reply: http.Header{}}
	r = r.WithContext(context.WithValue(r.Context(), callKey{}, c))
	r.Body = faultyBody{r.Body, d, r}
	c.r = r
	v.handler(d, m).ServeHTTP(w, r)
}

// deepen grows the goroutine's stack once to what a call takes. HTTP/2 has a new
// goroutine for each call, which would double its stack, and copy it, four times on
// the way down to the database.
//
//go:noinline
func deepen() {
	var room [24 << 10]byte
	use(&room)
}

//go:noinline
func use(room *[24 << 10]byte) { room[0] = 1 }

// refuse answers a request that reaches no method.
func (d *Door) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if !d.errors.IsSupported(r) {
		d.problems.WriteProblem(w, r, err)
		return
	}
	_ = d.errors.Write(w, r, d.fault(r, nil, err)) // the client may be gone
}

// unknown is the fault of a path that is no method.
func (d *Door) unknown(path string) error {
	f := fault.New(fault.UnknownOperation, "there is no method %s", shorten(path))
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	if segments := strings.Split(parts[0], "."); len(segments) > 3 && !slices.Contains(d.app.Config.Versions, segments[3]) {
		return f.WithHint("the versions are %s", strings.Join(d.app.Config.Versions, ", "))
	}
	return f.WithHint("methods are /pando.app.MODULE.VERSION.ModuleService/Method; `pando proto` writes the services")
}

// shorten bounds what a caller has sent, for messages.
func shorten(s string) string {
	const longest = 200
	if len(s) > longest {
		return strings.ToValidUTF8(s[:longest], "") + "..."
	}
	return s
}

// handler speaks the protocols for a method.
func (v *version) handler(d *Door, m *method) http.Handler {
	if h, ok := v.handlers.Load(m); ok {
		return h.(http.Handler) //nolint:forcetypeassert // nothing else is stored
	}
	s := v.schema()
	opts := []connect.HandlerOption{
		connect.WithCodec(protoCodec{}), connect.WithCodec(jsonCodec{"json"}), connect.WithCodec(jsonCodec{"json; charset=utf-8"}),
		connect.WithRequestInitializer(func(_ connect.Spec, msg any) error {
			f := msg.(*frame) //nolint:forcetypeassert // the handlers' only type
			f.schema, f.message = s, m.in
			return nil
		}),
		connect.WithReadMaxBytes(int(d.limits.Body)), connect.WithCompressMinBytes(leastCompressed),
	}
	var h http.Handler
	if m.stream {
		h = connect.NewServerStreamHandler(m.path, func(ctx context.Context, req *connect.Request[frame], out *connect.ServerStream[frame]) error {
			c := callOf(ctx)
			c.reply = out.ResponseHeader()
			c.send = func(wire []byte) error { return out.Send(&frame{schema: s, message: m.out, wire: wire}) }
			_, err := c.serve(ctx, req.Msg)
			return err
		}, opts...)
	} else {
		if m.reads {
			opts = append(opts, connect.WithIdempotency(connect.IdempotencyNoSideEffects))
		}
		h = connect.NewUnaryHandler(m.path, func(ctx context.Context, req *connect.Request[frame]) (*connect.Response[frame], error) {
			c := callOf(ctx)
			wire, err := c.serve(ctx, req.Msg)
			if err != nil {
				return nil, err
			}
			res := connect.NewResponse(&frame{schema: s, message: m.out, wire: wire})
			maps.Copy(res.Header(), c.reply)
			return res, nil
		}, opts...)
	}
	kept, _ := v.handlers.LoadOrStore(m, h)
	return kept.(http.Handler) //nolint:forcetypeassert // nothing else is stored
}

// leastCompressed is the least message in bytes that is compressed.
const leastCompressed = 1 << 10

type callKey struct{}

func callOf(ctx context.Context) *call { return ctx.Value(callKey{}).(*call) } //nolint:forcetypeassert // ServeHTTP sets it

// unhurried is the writer of a stream: connect flushes after each message, and a
// frame for each row would cost more than the row.
type unhurried struct{ http.ResponseWriter }

// Flush implements [http.Flusher]; it waits for [unhurried.now].
func (*unhurried) Flush() {}

// now sends what there is. A client that is gone shows at the next write.
func (u *unhurried) now() { _ = http.NewResponseController(u.ResponseWriter).Flush() }
