package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/budget"
	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/hedgepolicy"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	"github.com/google/uuid"
	"golang.org/x/net/http/httpguts"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/secrets"
)

// The waits between tries: FirstDelay, then twice as long each time, MaxDelay at
// most, less up to half of it at random. A target's Retry-After goes first; one
// of more than MaxRetryAfter, or behind the caller's deadline, is not waited for.
const (
	FirstDelay    = 100 * time.Millisecond
	MaxDelay      = 5 * time.Second
	MaxRetryAfter = 30 * time.Second
)

// Of the tries that run at a time, at most a fifth (and always three) may be
// hedges.
const (
	hedgeRate  = 0.2
	hedgeLeast = 3
)

// Client calls one target. It is safe for concurrent use.
type Client struct {
	out       *Outbound
	target    Target
	transport *http.Transport
	breaker   circuitbreaker.CircuitBreaker[*outcome] // nil: none
	bulkhead  bulkhead.Bulkhead[*outcome]
	budget    *retryBudget
	plain     failsafe.Executor[*outcome]
	hedged    failsafe.Executor[*outcome]
	active    atomic.Int64 // calls that run or wait
	tries     sync.WaitGroup
	closing   sync.RWMutex
	closed    bool
}

// Client returns a client of a target; what is wrong with the target is a
// [fault.ConfigInvalid]. The target need not be reachable. [Client.Close] ends it.
func (o *Outbound) Client(t Target) (*Client, error) {
	t = t.withDefaults()
	if err := t.check(); err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: t.Timeout, KeepAlive: 30 * time.Second, Resolver: o.cfg.Resolver, Control: control(t.Private)}
	c := &Client{out: o, target: t, transport: &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: o.cfg.Roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    t.Timeout,
		MaxIdleConnsPerHost:    t.Concurrent,
		MaxConnsPerHost:        2 * t.Concurrent, // hedges
		IdleConnTimeout:        time.Minute,
		MaxResponseHeaderBytes: t.MaxHeader,
		DisableCompression:     true, // an answer is decompressed within its bounds (send.go)
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{MaxReceiveBufferPerStream: 256 << 10, MaxReceiveBufferPerConnection: 4 << 20},
	}}
	c.bulkhead = bulkhead.New[*outcome](uint(t.Concurrent)) //nolint:gosec // positive
	if t.Breaker.Failures > 0 {
		c.breaker = circuitbreaker.NewBuilder[*outcome]().
			WithFailureThreshold(uint(t.Breaker.Failures)).WithSuccessThreshold(1).WithDelay(t.Breaker.Open). //nolint:gosec // positive
			OnStateChanged(func(e circuitbreaker.StateChangedEvent) {
				o.cfg.Log.Warn("an integration's breaker changed", "integration", t.Name, "from", e.OldState.String(), "to", e.NewState.String())
			}).Build()
	}
	c.budget = newRetryBudget(o.cfg.Now)
	retry := retrypolicy.NewBuilder[*outcome]().
		HandleIf(func(o *outcome, err error) bool { return err == nil && o.again }).
		WithMaxRetries(max(0, t.Retry)).ReturnLastFailure().
		WithDelayFunc(func(e failsafe.ExecutionAttempt[*outcome]) time.Duration { return e.LastResult().delay }).
		Build()
	c.plain = failsafe.With(failsafe.Policy[*outcome](retry))
	c.hedged = c.plain
	if t.Hedge > 0 {
		hedge := hedgepolicy.NewBuilderWithDelay[*outcome](t.Hedge).
			WithBudget(budget.NewBuilder().WithMaxRate(hedgeRate).WithMinConcurrency(hedgeLeast).Build()).
			CancelIf(func(o *outcome, _ error) bool { return o != nil && !o.failed }).
			OnHedge(func(e failsafe.ExecutionEvent[*outcome]) { o.meters.hedges.Add(e.Context(), 1, named(t.Name)) }).
			Build()
		c.hedged = failsafe.With(failsafe.Policy[*outcome](retry), failsafe.Policy[*outcome](hedge))
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.clients = append(o.clients, c)
	return c, nil
}

// Close refuses further calls, waits for those that run, and closes connections.
// It is safe to call twice.
func (c *Client) Close() {
	c.closing.Lock()
	c.closed = true
	c.closing.Unlock()
	c.tries.Wait()
	c.transport.CloseIdleConnections()
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	c.out.clients = slices.DeleteFunc(c.out.clients, func(other *Client) bool { return other == c })
}

// Target returns what the client was made of, with its defaults filled in.
func (c *Client) Target() Target { return c.target }

// String names the target and shows nothing else of it.
func (c *Client) String() string { return "integration " + c.target.Name }

// call is one request, ready to be sent as often as it takes.
type call struct {
	method string
	base   *url.URL
	url    *url.URL
	header http.Header
	body   []byte
	again  bool // it may be sent twice
	hide   *secrets.Redactor
	sent   atomic.Int64
}

// Do sends a request and returns the answer, whatever its status is: a 500 that
// is left after all tries is an answer too. Errors are faults that name the
// integration and neither its secret nor the URL: [fault.OutboundRefused] when
// the request must not leave, [fault.ConfigInvalid] when a secret is missing,
// and [fault.IntegrationUnavailable] when no answer came: 502 for a connection
// that failed or an answer that could not be taken, 503 while the breaker is
// open or too many calls wait, 504 when time was up.
func (c *Client) Do(ctx context.Context, r *Request) (*Response, error) {
	begin := c.out.cfg.Now()
	method := r.Method
	if method == "" {
		method = http.MethodGet
	}
	resp, kind, err := c.do(ctx, method, r)
	status := 0
	if resp != nil {
		status = resp.Status
	}
	if _, known := methods[method]; !known {
		method = "_OTHER"
	}
	c.out.meters.call(ctx, c.target.Name, method, status, kind, c.out.cfg.Now().Sub(begin))
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// do is Do; kind says what went wrong in one word.
func (c *Client) do(ctx context.Context, method string, r *Request) (*Response, string, error) {
	c.closing.RLock()
	if c.closed {
		c.closing.RUnlock()
		return nil, "closed", c.unavailable(nil, http.StatusServiceUnavailable, "it was closed", "try again")
	}
	c.tries.Add(1)
	c.closing.RUnlock()
	defer c.tries.Done()

	cl, err := c.prepare(ctx, method, r)
	if err != nil {
		return nil, "refused", err
	}
	if err := c.enter(ctx); err != nil {
		return nil, "full", err
	}
	defer c.leave()
	c.budget.earn()

	run := c.plain
	if method == http.MethodGet || method == http.MethodHead {
		run = c.hedged
	}
	o, err := run.WithContext(ctx).GetWithExecution(func(e failsafe.Execution[*outcome]) (*outcome, error) { //nolint:contextcheck // the execution has it
		c.tries.Add(1) // a hedge that lost may end behind the call
		defer c.tries.Done()
		return c.try(e.Context(), cl, e.Retries()), nil
	})
	if o == nil { // the call's context is over
		o = c.ended(ctx, err)
	}
	if n := cl.sent.Load(); n > 1 {
		c.out.meters.retries.Add(ctx, n-1, named(c.target.Name))
	}
	if o.failed && c.target.Fallback != nil && method == http.MethodGet && ctx.Err() == nil && !fault.Is(o.cause(), fault.OutboundRefused) {
		return &Response{
			Status: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}, FallbackHeader: {"true"}},
			Body: slices.Clone(c.target.Fallback), Tries: int(cl.sent.Load()), Fallback: true,
		}, "fallback", nil
	}
	if o.resp != nil {
		o.resp.Tries = int(cl.sent.Load())
	}
	return o.resp, o.kind, o.cause()
}

// enter waits for a place among the calls that run.
func (c *Client) enter(ctx context.Context) error {
	full := func() error {
		return c.unavailable(bulkhead.ErrFull, http.StatusServiceUnavailable, "too many calls wait for it", "try again later, or raise its concurrency")
	}
	if c.active.Add(1) > 2*int64(c.target.Concurrent) {
		c.active.Add(-1)
		return full()
	}
	switch err := c.bulkhead.AcquirePermitWithMaxWait(ctx, c.target.QueueWait); {
	case err == nil:
		return nil
	case errors.Is(err, bulkhead.ErrFull):
		c.active.Add(-1)
		return full()
	default:
		c.active.Add(-1)
		return c.ended(ctx, err).cause()
	}
}

func (c *Client) leave() {
	c.bulkhead.ReleasePermit()
	c.active.Add(-1)
}

// prepare judges a request and puts the secret in.
func (c *Client) prepare(ctx context.Context, method string, r *Request) (*call, error) {
	idempotent, known := methods[method]
	if !known {
		return nil, c.refuse("GET, HEAD, OPTIONS, POST, PUT, PATCH and DELETE are", "the method is not allowed")
	}
	if int64(len(r.Body)) > c.target.MaxRequest {
		return nil, c.refuse("send it in parts", "the body has %d bytes, more than %d", len(r.Body), c.target.MaxRequest)
	}
	cl := &call{method: method, body: r.Body, again: idempotent}
	var hide []string
	text := c.target.URL
	if name, ok := strings.CutPrefix(text, secretPrefix); ok {
		var err error
		if text, err = c.secret(name); err != nil {
			return nil, err
		}
		hide = append(hide, text)
	}
	var err error
	if cl.base, err = parseBase(c.target.Name, text); err != nil {
		return nil, err
	}
	if cl.url, err = c.within(cl.base, r.Path); err != nil {
		return nil, err
	}
	if cl.header, err = c.header(r.Header); err != nil {
		return nil, err
	}
	if c.target.Auth.Secret != "" {
		secret, err := c.secret(c.target.Auth.Secret)
		if err != nil {
			return nil, err
		}
		value, forms := c.target.Auth.value(secret)
		if !httpguts.ValidHeaderFieldValue(value) {
			return nil, fault.New(fault.ConfigInvalid, "the integration %s: its secret cannot stand in a header", c.target.Name).
				WithHint("set the secret %s without line breaks", c.target.Auth.Secret)
		}
		cl.header[c.target.Auth.Header] = []string{value}
		hide = append(hide, forms...)
	}
	cl.hide = secrets.NewRedactor(hide...)
	if !idempotent && c.target.Retry > 0 {
		if cl.header.Get(idempotencyKey) == "" {
			var raw [16]byte
			c.out.read(raw[:])
			raw[6], raw[8] = raw[6]&0x0f|0x40, raw[8]&0x3f|0x80 // UUIDv4, RFC 9562
			cl.header.Set(idempotencyKey, uuid.UUID(raw).String())
		}
		cl.again = true
	}
	if c.out.cfg.Inject != nil {
		c.out.cfg.Inject(ctx, cl.header)
	}
	return cl, nil
}

// secret looks a secret up. One that is there and empty is none.
func (c *Client) secret(name string) (string, error) {
	v, err := c.out.cfg.Secrets(name)
	if err == nil && v == "" {
		err = fault.New(fault.ConfigInvalid, "the secret %s is empty", name).WithHint("`pando secrets set %s`", name)
	}
	return v, err
}

// breakerState is 0 while calls pass, 1 while one tries, 2 while none does.
func (c *Client) breakerState() int64 {
	if c.breaker == nil {
		return 0
	}
	switch c.breaker.State() {
	case circuitbreaker.OpenState:
		return 2
	case circuitbreaker.HalfOpenState:
		return 1
	default:
		return 0
	}
}

// unavailable is the fault of a call that no answer came for.
func (c *Client) unavailable(cause error, status int, details, hint string) *fault.Error {
	f := fault.Wrap(cause, fault.IntegrationUnavailable, "the integration %s is not available", c.target.Name).
		WithDetails("%s", details).WithHint("%s", hint).WithStatus(status)
	return f
}

// ended is the outcome of a call whose context is over.
func (c *Client) ended(ctx context.Context, err error) *outcome {
	if cause := ctx.Err(); cause != nil {
		err = cause
	}
	kind, details := "canceled", "the call was canceled"
	if errors.Is(err, context.DeadlineExceeded) {
		kind, details = "timeout", "the caller's time was up"
	}
	return &outcome{kind: kind, err: c.unavailable(err, http.StatusGatewayTimeout, details, "try again, or give it more time")}
}
