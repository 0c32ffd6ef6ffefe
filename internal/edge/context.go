package edge

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// exchangeKey is the context key of a request's exchange.
type exchangeKey struct{}

// requestContext is the context of one request: the connection's, with a
// deadline and the exchange. context.WithDeadline would start a timer, and
// cost a microsecond, for every request; here only those pay that wait for
// Done. Err tells the deadline without a timer.
//
// It is not pooled: a goroutine that outlives its request must never see the
// next one's.
type requestContext struct {
	parent   context.Context
	deadline time.Time
	exchange *exchange
	mu       sync.Mutex // makes timed once
	timed    atomic.Pointer[timedContext]
}

// timedContext is the context that was made for the first Done.
type timedContext struct {
	context.Context
	cancel context.CancelFunc
}

// Deadline implements context.Context.
func (c *requestContext) Deadline() (time.Time, bool) {
	if d, ok := c.parent.Deadline(); ok && d.Before(c.deadline) {
		return d, true
	}
	return c.deadline, true
}

// Done implements context.Context.
func (c *requestContext) Done() <-chan struct{} { return c.withTimer().Done() }

func (c *requestContext) withTimer() *timedContext {
	if t := c.timed.Load(); t != nil {
		return t
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.timed.Load(); t != nil {
		return t
	}
	ctx, cancel := context.WithDeadline(c.parent, c.deadline)
	t := &timedContext{Context: ctx, cancel: cancel}
	c.timed.Store(t)
	return t
}

// Err implements context.Context.
func (c *requestContext) Err() error {
	if t := c.timed.Load(); t != nil {
		return t.Err()
	}
	if err := c.parent.Err(); err != nil {
		return err
	}
	if time.Now().Before(c.deadline) {
		return nil
	}
	return c.withTimer().Err() // past its deadline it is born ended
}

// Value implements context.Context. With a timer it asks that context, which
// lets the context package hang children into it without a goroutine each.
func (c *requestContext) Value(key any) any {
	if key == (exchangeKey{}) {
		return c.exchange
	}
	if t := c.timed.Load(); t != nil {
		return t.Value(key)
	}
	return c.parent.Value(key)
}

// end releases the timer.
func (c *requestContext) end() {
	if t := c.timed.Load(); t != nil {
		t.cancel()
	}
}

func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// RequestID returns the id of the request that ctx belongs to: 32 hexadecimal
// digits, the trace id. It is empty outside a request.
func RequestID(ctx context.Context) string {
	if x := exchangeOf(ctx); x != nil {
		return x.trace.id()
	}
	return ""
}

// RequestIDOf is [RequestID] in the form that problem.Writer takes.
func RequestIDOf(r *http.Request) string { return RequestID(r.Context()) }

// SetCaller names, for the access log, the API key or user that a request was
// made with: its id, never the key. Call it from the handler's goroutine.
func SetCaller(ctx context.Context, id string) {
	if x := exchangeOf(ctx); x != nil {
		x.caller = id
	}
}

// SetRoute names the route that the request takes, for metrics and traces, where
// a door has several. Call it from the handler's goroutine, and with few texts:
// each is a time series that stays.
func SetRoute(ctx context.Context, route string) {
	if x := exchangeOf(ctx); x != nil {
		x.route = x.server.routeMetrics(route)
		if x.span != nil {
			x.span.SetName(knownMethod(x.method) + " " + route)
			x.span.SetAttributes(semconv.HTTPRoute(route))
		}
	}
}
