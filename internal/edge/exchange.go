package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/telemetry"
)

// exchange is one request and its answer: the one allocation that holds what
// the edge knows of them.
type exchange struct {
	server         *Server
	start          time.Time
	trace          traceparent
	http1, head    bool
	acceptEncoding []string
	caller         string
	client         string // its address
	door           *door  // nil: none took the path
	method         string // of HTTP
	route          *telemetry.Route
	span           trace.Span
	ctx            requestContext
	rec            recorder
	body           requestBody
	// The header values of this request alone, kept here so that setting
	// them allocates nothing.
	idValue, traceValue [1]string
}

// serve answers one request of the public listener.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	x := &exchange{
		server:         s,
		start:          time.Now(),
		http1:          r.ProtoMajor < 2,
		head:           r.Method == http.MethodHead,
		acceptEncoding: r.Header["Accept-Encoding"],
		client:         clientIP(r, s.cfg.Proxies),
		method:         r.Method,
		route:          s.noRoute,
	}
	x.rec.w, x.rec.exchange = w, x
	rt := s.router.Load()
	x.door = rt.find(r.URL.Path)
	if x.door != nil {
		x.route = x.door.metrics
	}
	parent := x.identify(r)
	x.ctx.parent, x.ctx.exchange, x.ctx.deadline = parent, x, x.start.Add(s.cfg.Limits.Request)
	req := r.WithContext(&x.ctx) //nolint:contextcheck // its parent is r.Context()

	s.metrics.Begin(r.Method)
	defer x.end(req)
	h := w.Header()
	allowed := x.setHeaders(h, r)
	if err := x.admit(req); err != nil {
		s.problems.WriteProblem(&x.rec, req, err)
		return
	}
	switch {
	case isPreflight(r):
		preflight(&x.rec, r, allowed)
	case x.door != nil:
		x.door.handler.ServeHTTP(&x.rec, req)
	case r.URL.Path == "/":
		s.frontPage(&x.rec, req)
	default:
		s.problems.WriteProblem(&x.rec, req, rt.unknownPath(r.URL.Path))
	}
}

// identify continues the caller's trace or begins one, and returns the context
// that the request runs under.
func (x *exchange) identify(r *http.Request) context.Context {
	ctx := r.Context()
	tracer := x.server.tracer
	if !tracer.Enabled() {
		x.trace = newTraceparent(first(r.Header["Traceparent"]))
		return ctx
	}
	ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(r.Header))
	method := knownMethod(r.Method)
	name, route := method, x.door.routeName()
	attrs := []attribute.KeyValue{
		semconv.HTTPRequestMethodKey.String(method), semconv.URLPath(x.server.cfg.Redact(r.URL.Path)), semconv.URLScheme(x.server.scheme),
		semconv.ClientAddress(x.client),
	}
	if route != "" {
		name += " " + route
		attrs = append(attrs, semconv.HTTPRoute(route))
	}
	ctx, x.span = tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attrs...))
	sc := x.span.SpanContext()
	x.trace = traceparent("00-" + sc.TraceID().String() + "-" + sc.SpanID().String() + "-" + sc.TraceFlags().String())
	return ctx
}

func (d *door) routeName() string {
	if d == nil {
		return ""
	}
	return d.route
}

// setHeaders sets what every answer has, and reports whether a page of the
// request's origin may read it.
func (x *exchange) setHeaders(h http.Header, r *http.Request) (allowed bool) {
	x.idValue[0], x.traceValue[0] = x.trace.id(), string(x.trace)
	h["X-Request-Id"] = x.idValue[:]
	h["Traceparent"] = x.traceValue[:]
	h["X-Content-Type-Options"] = nosniff
	if x.server.scheme == schemeTLS {
		h["Strict-Transport-Security"] = strictTLS
	}
	if x.server.state.Load() == stateDraining {
		h["Connection"] = closing // HTTP/2 turns it into a GOAWAY
	}
	if origin := first(r.Header["Origin"]); origin != "" {
		if allowed = x.server.allowOrigin(h, origin); allowed {
			h["Access-Control-Expose-Headers"] = corsExposed
		}
	}
	return allowed
}

// admit holds the request against the limits.
func (x *exchange) admit(r *http.Request) error {
	limits := &x.server.cfg.Limits
	if size := headerSize(r); size > limits.Header {
		x.closeAfter()
		return fault.New(fault.HeaderTooLarge, "the request line and headers are larger than %d bytes", limits.Header).
			WithDetails("they have %d", size).WithHint("send fewer filters, or send them in parts")
	}
	if err := x.limitBody(r); err != nil {
		return err
	}
	return checkPath(r.URL.Path)
}

// headerSize counts as RFC 9113, section 6.5.2, does.
func headerSize(r *http.Request) int {
	const overhead = 32
	size := len(r.Method) + len(r.RequestURI) + len(r.Host) + 3*overhead
	for name, values := range r.Header {
		for _, v := range values {
			size += len(name) + len(v) + overhead
		}
	}
	return size
}

// end completes the answer, also after a panic, and tells of it. It is
// deferred.
func (x *exchange) end(r *http.Request) {
	abort := false
	if cause := recover(); cause != nil {
		abort = x.recovered(r, cause)
	} else if err := x.rec.finish(); err != nil && r.Context().Err() == nil {
		x.server.cfg.Logger.LogAttrs(r.Context(), slog.LevelDebug, "an answer could not be sent",
			slog.String("request_id", x.trace.id()), slog.String("error", err.Error()))
	}
	x.tell(r) //nolint:contextcheck // what is told is told also when the request was cancelled
	x.ctx.end()
	if abort {
		panic(http.ErrAbortHandler) // net/http cuts the connection or the stream, so that nobody takes a part for the whole
	}
}

// recovered answers for a handler that panicked. It reports whether the answer
// was begun already and must be cut off.
func (x *exchange) recovered(r *http.Request, cause any) (abort bool) {
	fresh := x.rec.abandon()
	if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		return true // its way to say: cut it off
	}
	x.server.cfg.Logger.LogAttrs(r.Context(), slog.LevelError, "a handler panicked",
		slog.String("request_id", x.trace.id()), slog.String("method", knownMethod(r.Method)), slog.String("path", x.server.cfg.Redact(r.URL.Path)),
		slog.String("panic", fmt.Sprint(cause)), slog.String("stack", string(debug.Stack())))
	if x.span != nil {
		x.span.RecordError(fmt.Errorf("panic: %v", cause))
	}
	if !fresh {
		return true
	}
	h := x.rec.w.Header()
	clear(h) // what the handler said is void
	x.setHeaders(h, r)
	x.closeAfter()
	x.server.quietProblems.WriteProblem(&x.rec, r, fault.New(fault.Internal, "an internal error occurred").
		WithHint("the log has more under the request id"))
	return x.rec.finish() != nil
}

// tell counts, traces and logs a request that has ended.
func (x *exchange) tell(r *http.Request) {
	s := x.server
	elapsed := time.Since(x.start)
	s.metrics.End(r.Method)
	status := x.rec.status
	if status == 0 { // cut off before anything was said
		status = http.StatusInternalServerError
	}
	x.route.Record(context.Background(), r.Method, status, elapsed)
	if x.span != nil {
		x.span.SetAttributes(semconv.HTTPResponseStatusCode(status))
		if status >= http.StatusInternalServerError {
			x.span.SetStatus(codes.Error, "")
		}
		x.span.End()
	}
	if s.cfg.Access != nil {
		x.logAccess(r, status, elapsed)
	}
}

// logAccess writes the access log's line. It has no query, no header and no
// body: those can hold secrets.
func (x *exchange) logAccess(r *http.Request, status int, elapsed time.Duration) {
	level := slog.LevelInfo
	if status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	ctx := context.Background()
	h := x.server.cfg.Access
	if !h.Enabled(ctx, level) {
		return
	}
	// slog.Logger would look its caller up, which costs as much as the line.
	rec := slog.NewRecord(x.start, level, "request", 0)
	rec.AddAttrs(
		slog.String("method", knownMethod(r.Method)),
		slog.String("path", x.server.cfg.Redact(r.URL.Path)),
		slog.Int("status", status),
		slog.Int64("duration_us", elapsed.Microseconds()),
		slog.Int64("bytes", x.rec.bytes),
		slog.String("request_id", x.trace.id()),
		slog.String("remote", x.client),
	)
	if x.caller != "" {
		rec.AddAttrs(slog.String("caller", x.caller))
	}
	_ = h.Handle(ctx, rec) // a log that fails must not fail requests
}

// knownMethod is the method as logs and traces have it. Any text without a
// space can be one, a key too; OpenTelemetry's name for those is _OTHER.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodOptions, http.MethodConnect, http.MethodTrace:
		return method
	}
	return "_OTHER"
}

// remoteIP is the address of the connection's other end. What headers claim
// about it is not believed.
func remoteIP(addr string) string {
	if i := strings.LastIndexByte(addr, ':'); i >= 0 {
		addr = addr[:i]
	}
	return strings.TrimSuffix(strings.TrimPrefix(addr, "["), "]")
}
