package edge

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/pandobase/pando/internal/fault"
)

// requestBody bounds a request body in size and time. Its errors are faults,
// never internal ones: whatever goes wrong here the client did.
type requestBody struct {
	src      io.ReadCloser
	left     int64 // bytes that may still come
	exchange *exchange
	err      error // what every further Read returns
}

// deadliner is what net/http's response writers have beside their interface;
// http.ResponseController would be an allocation for each call.
type deadliner interface {
	SetReadDeadline(time.Time) error
}

// Read implements io.Reader.
func (b *requestBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	// One byte more than allowed tells too much from just enough.
	if int64(len(p))-1 > b.left {
		p = p[:b.left+1]
	}
	n, err := b.src.Read(p)
	if int64(n) > b.left {
		n = int(b.left)
		b.left = 0
		b.err = bodyTooLarge(b.exchange.server.cfg.Limits.Body)
		b.exchange.closeAfter()
		return n, b.err
	}
	b.left -= int64(n)
	b.err = b.translate(err)
	return n, b.err
}

func (b *requestBody) translate(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF):
		return io.EOF // net/http ends the deadline here: a handler may think for longer
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.exchange.closeAfter()
		return fault.Wrap(err, fault.RequestTimeout, "the body did not arrive within %s", b.exchange.server.cfg.Limits.ReadBody)
	default:
		b.exchange.closeAfter()
		return fault.Wrap(err, fault.BadRequest, "the body ended early or is malformed")
	}
}

// Close implements io.Closer.
func (b *requestBody) Close() error { return b.src.Close() }

func bodyTooLarge(limit int64) *fault.Error {
	return fault.New(fault.BodyTooLarge, "the body is larger than %d bytes", limit).
		WithHint("send it in parts, or raise limits.body in pando.yaml")
}

// limitBody refuses a body whose length is known to be too large and puts the
// guard before every other one.
func (x *exchange) limitBody(r *http.Request) error {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return nil
	}
	limits := &x.server.cfg.Limits
	// Also for a body that no handler reads: net/http reads a part of it away
	// before the connection's next request.
	x.setReadDeadline(x.start.Add(limits.ReadBody))
	if r.ContentLength > limits.Body {
		x.closeAfter()
		return bodyTooLarge(limits.Body).WithDetails("Content-Length is %d", r.ContentLength)
	}
	x.body = requestBody{src: r.Body, left: limits.Body, exchange: x}
	r.Body = &x.body
	return nil
}

func (x *exchange) setReadDeadline(t time.Time) {
	if d, ok := x.rec.w.(deadliner); ok {
		_ = d.SetReadDeadline(t) // fails only on a connection that is gone
	}
}

// closeAfter ends the connection after the answer: what is left of the body
// cannot be told from the next request, or is not worth reading. (Of HTTP/2
// only the stream ends, by itself.)
func (x *exchange) closeAfter() {
	if x.http1 && !x.rec.sent {
		x.rec.w.Header()["Connection"] = []string{"close"}
	}
}
