package outbound

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/pandobase/pando/internal/fault"
)

// outcome is what came of one try.
type outcome struct {
	resp   *Response
	err    *fault.Error
	kind   string        // error.type; empty: an answer
	failed bool          // the target did not do its part
	again  bool          // another try may help, and may be made
	delay  time.Duration // before it
}

// cause is the outcome's error; an untyped nil where there is none.
func (o *outcome) cause() error {
	if o.err == nil {
		return nil
	}
	return o.err
}

func named(name string) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(integration(name)))
}

// try sends a call once, if the breaker lets it through.
func (c *Client) try(ctx context.Context, cl *call, retries int) *outcome {
	if c.breaker != nil && !c.breaker.TryAcquirePermit() {
		wait := c.breaker.RemainingDelay()
		f := c.unavailable(errBreakerOpen, http.StatusServiceUnavailable, "it has failed again and again", "it is tried again soon")
		f.RetryAfter = max(wait, time.Second)
		return &outcome{err: f, kind: "breaker_open", failed: true}
	}
	cl.sent.Add(1)
	bounded, cancel := context.WithTimeout(ctx, c.target.Timeout)
	defer cancel()
	o := c.send(bounded, cl)
	switch {
	case c.breaker == nil:
	case o.failed:
		c.breaker.RecordFailure()
	case o.kind == "":
		c.breaker.RecordSuccess()
	case c.breaker.IsHalfOpen(): // canceled or refused: nothing is known, and the one permit has to go back
		c.breaker.RecordFailure()
	}
	if o.again = o.again && cl.again && retries < c.target.Retry; o.again {
		if o.delay, o.again = c.wait(ctx, o, retries); o.again {
			o.again = c.budget.spend()
		}
	}
	return o
}

var errBreakerOpen = errors.New("the circuit breaker is open")

// wait is how long to wait before the next try; false: too long.
func (c *Client) wait(ctx context.Context, o *outcome, retries int) (time.Duration, bool) {
	d := MaxDelay
	if retries < 16 {
		d = min(FirstDelay<<retries, MaxDelay)
	}
	d -= time.Duration(c.out.fraction() * float64(d) / 2)
	if o.resp != nil {
		if after := RetryAfter(o.resp.Header, c.out.cfg.Now()); after > MaxRetryAfter {
			return 0, false
		} else if after > d {
			d = after + time.Duration(c.out.fraction()*float64(after)/10)
		}
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= d { // a context's deadline is of the real clock
		return 0, false
	}
	return d, true
}

// RetryAfter reads the header of that name (RFC 9110, 10.2.3): seconds or a
// date. 0: it is not there, not valid, or over.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		const most = int64(365 * 24 * time.Hour / time.Second)
		return time.Duration(min(max(n, 0), most)) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// send sends a call once and reads the answer, redirects included.
func (c *Client) send(ctx context.Context, cl *call) *outcome {
	at := cl.url
	for left := c.target.Redirects; ; left-- {
		resp, err := c.roundTrip(ctx, cl, at)
		if err != nil {
			return c.failure(ctx, cl, err)
		}
		next, redirected, err := c.redirect(cl, at, resp)
		if err != nil {
			_ = resp.Body.Close() // it is not read
			return &outcome{err: fault.From(err), kind: "refused"}
		}
		if redirected && left > 0 {
			_ = resp.Body.Close() // it is not read
			at = next
			continue
		}
		return c.receive(ctx, cl, resp)
	}
}

func (c *Client) roundTrip(ctx context.Context, cl *call, at *url.URL) (*http.Response, error) {
	var body io.Reader
	if len(cl.body) > 0 || cl.method == http.MethodPost || cl.method == http.MethodPut || cl.method == http.MethodPatch {
		body = bytes.NewReader(cl.body)
	}
	req, err := http.NewRequestWithContext(ctx, cl.method, at.String(), body)
	if err != nil {
		return nil, err
	}
	req.Header = cl.header.Clone()
	req.Header.Set("Accept-Encoding", "gzip")
	return c.transport.RoundTrip(req)
}

// redirect is where an answer sends a call on, if it is to be followed.
func (c *Client) redirect(cl *call, at *url.URL, resp *http.Response) (*url.URL, bool, error) {
	if c.target.Redirects == 0 || cl.method != http.MethodGet && cl.method != http.MethodHead {
		return nil, false, nil
	}
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return nil, false, nil
	}
	to, err := at.Parse(resp.Header.Get("Location"))
	if err != nil {
		return nil, false, c.refuse("ask those who run it", "it redirects to what is no URL")
	}
	to.Fragment, to.RawFragment = "", ""
	prefix := strings.TrimSuffix(cl.base.EscapedPath(), "/")
	if to.User != nil || !sameOrigin(cl.base, to) || climbs(to.EscapedPath()) || to.EscapedPath() != prefix && !strings.HasPrefix(to.EscapedPath(), prefix+"/") {
		return nil, false, c.refuse("declare the base URL that it redirects to, if that is meant", "it redirects outside of its base URL")
	}
	return to, true, nil
}

// receive reads an answer within its bounds.
func (c *Client) receive(ctx context.Context, cl *call, resp *http.Response) *outcome {
	defer func() { _ = resp.Body.Close() }() // it was read, or is given up
	out := &Response{Status: resp.StatusCode, Header: resp.Header}
	wire := &capped{r: resp.Body, left: c.target.MaxResponse}
	var body io.Reader = wire
	if strings.EqualFold(resp.Header.Get("Content-Encoding"), "gzip") && cl.method != http.MethodHead && resp.StatusCode != http.StatusNoContent {
		body = &gunzip{r: wire}
		out.Header.Del("Content-Encoding")
	}
	body = &capped{r: body, left: c.target.MaxResponse}
	data, err := io.ReadAll(body)
	switch {
	case errors.Is(err, errTooLong) && c.target.Cut:
		out.Cut = true
	case errors.Is(err, errTooLong):
		return &outcome{
			kind: "too_large", failed: true,
			err: c.unavailable(err, http.StatusBadGateway, "its answer has more than "+strconv.FormatInt(c.target.MaxResponse, 10)+" bytes", "ask for less at a time"),
		}
	case err != nil:
		return c.failure(ctx, cl, err)
	}
	clean(out.Header, cl)
	out.Body = data
	if cl.hide != nil {
		if redacted := cl.hide.Redact(string(data)); len(redacted) != len(data) || redacted != string(data) {
			out.Body = []byte(redacted)
		}
	}
	return &outcome{resp: out, failed: out.Status >= http.StatusInternalServerError, again: temporary(out.Status)}
}

// clean takes out of an answer's headers what code must not see.
func clean(h http.Header, cl *call) {
	for name := range strings.SplitSeq(strings.Join(h["Connection"], ","), ",") {
		h.Del(strings.TrimSpace(name))
	}
	for _, name := range hopByHop {
		h.Del(name)
	}
	h.Del("Content-Length")
	h.Del(FallbackHeader)
	for name, values := range h {
		for i := range values {
			values[i] = cl.hide.Redact(values[i])
		}
		if redacted := cl.hide.Redact(name); redacted != name {
			delete(h, name)
		}
	}
}

// temporary reports whether an answer of this status may be another one soon.
func temporary(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// failure is the outcome of a try that has no answer.
func (c *Client) failure(ctx context.Context, cl *call, err error) *outcome {
	if r, ok := errors.AsType[*refusal](err); ok {
		return &outcome{kind: "refused", err: c.refuse("an integration inside of your network says private: true", "its host has an address that is not public").
			WithDetails("it is %s", r.kind)}
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return c.ended(ctx, err)
	}
	// What the error says may be the target's words, and repeat the request.
	cause := errors.New(cl.hide.Redact(err.Error()))
	if errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
		return &outcome{kind: "timeout", failed: true, again: true, err: c.unavailable(errors.Join(cause, context.DeadlineExceeded), http.StatusGatewayTimeout, "it has not answered in time", "try again, or raise its timeout")}
	}
	kind, details := reason(err)
	return &outcome{kind: kind, failed: true, again: true, err: c.unavailable(cause, http.StatusBadGateway, details, "see the log for the cause")}
}

// reason names what went wrong without a word of the other side's.
func reason(err error) (kind, details string) {
	var dns *net.DNSError
	var op *net.OpError
	var unverified *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &dns):
		return "dns", "its host is not found"
	case errors.As(err, &unverified):
		return "tls", "its certificate is not valid"
	case errors.As(err, &record):
		return "tls", "it does not speak TLS"
	case errors.As(err, &op) && op.Op == "dial":
		return "connect", "it cannot be connected to"
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum):
		return "answer", "its answer is not what its encoding says"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.As(err, &op):
		return "connection", "the connection broke"
	default:
		return "answer", "its answer cannot be read"
	}
}

var errTooLong = errors.New("the answer is too long")

// capped fails with errTooLong behind left bytes, and never reads more than one
// beyond them.
type capped struct {
	r    io.Reader
	left int64
}

// Read implements io.Reader.
func (b *capped) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if b.left <= 0 {
		var one [1]byte
		n, err := io.ReadFull(b.r, one[:])
		if n > 0 {
			return 0, errTooLong
		}
		return 0, err
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	return n, err
}

// gunzip decompresses; an empty body is empty.
type gunzip struct {
	r io.Reader
	z *gzip.Reader
}

// Read implements io.Reader.
func (g *gunzip) Read(p []byte) (int, error) {
	if g.z == nil {
		z, err := gzip.NewReader(g.r)
		if err != nil {
			return 0, err // io.EOF: nothing was sent
		}
		g.z = z
	}
	return g.z.Read(p)
}
