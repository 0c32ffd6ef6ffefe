package edge

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// recorder is the response writer that handlers get. It records the status and
// the bytes, and compresses.
//
// An entity tag is left as the handler made it: it names the representation
// before the coding, and Vary keeps the codings apart in caches. So the same
// strong tag serves If-Match and If-None-Match however the body was sent.
type recorder struct {
	w        http.ResponseWriter
	exchange *exchange
	status   int   // 0: the handler has not decided
	bytes    int64 // of the body, as sent
	sent     bool  // the header is out
	taken    bool  // hijacked: nothing here may be touched
	coding   coding
	enc      encoder
	// held is the beginning of a body of unknown length that could be
	// compressed, as long as it is too short to tell (waiting): the first
	// heldLen bytes of a buffer that is made at need.
	waiting bool
	held    *shortBody
	heldLen int
	// The answer's time limit moves on while the client accepts bytes.
	sinceExtended int
	extended      time.Time
}

// Header implements http.ResponseWriter.
func (c *recorder) Header() http.Header { return c.w.Header() }

// Unwrap lets http.ResponseController reach the connection.
func (c *recorder) Unwrap() http.ResponseWriter { return c.w }

// WriteHeader implements http.ResponseWriter.
func (c *recorder) WriteHeader(status int) {
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		c.w.WriteHeader(status)
		return
	}
	if c.status != 0 {
		if c.sent {
			c.w.WriteHeader(status) // net/http complains with the caller's line
		}
		return
	}
	c.status = status
	h := c.w.Header()
	contentType := first(h["Content-Type"])
	if contentType != "" && !isRows(contentType) {
		protectPage(h)
	}
	if vary := h["Vary"]; vary == nil {
		h["Vary"] = varyDefault
	} else {
		h["Vary"] = append(slices.Clip(vary), varyDefault...)
	}
	if !c.mayCompress(h, contentType) {
		c.send()
		return
	}
	if c.coding = negotiate(first(c.exchange.acceptEncoding)); c.coding == identity {
		c.send()
		return
	}
	if h["Content-Length"] != nil {
		c.encode() // mayCompress has seen that it is enough
		return
	}
	c.waiting = true
}

// mayCompress reports whether this response could be compressed if the client
// likes and, where the length is not known, the body turns out long enough.
func (c *recorder) mayCompress(h http.Header, contentType string) bool {
	if c.exchange.acceptEncoding == nil || c.exchange.head || !compressible(contentType) {
		return false
	}
	switch {
	case c.status < 200, c.status == http.StatusNoContent, c.status == http.StatusNotModified, c.status == http.StatusResetContent:
		return false
	case h["Content-Encoding"] != nil, strings.HasPrefix(first(h["Content-Range"]), "bytes"),
		strings.Contains(first(h["Cache-Control"]), "no-transform"):
		return false
	}
	if length := first(h["Content-Length"]); length != "" {
		n, err := strconv.ParseInt(length, 10, 64)
		return err == nil && n >= minCompressed
	}
	return true
}

// isRows reports whether the body is JSON of rows, one or many, which no
// browser renders: most answers are, and three headers cost a twentieth of one.
func isRows(contentType string) bool {
	return strings.HasPrefix(contentType, "application/json") || strings.HasPrefix(contentType, "application/vnd.pgrst.object+json")
}

// protectPage adds what only matters to a body that a browser would render. A
// handler that has set its own is right.
func protectPage(h http.Header) {
	if h["Content-Security-Policy"] == nil {
		h["Content-Security-Policy"] = nothingAllowed
	}
	if h["X-Frame-Options"] == nil {
		h["X-Frame-Options"] = frameDeny
	}
	if h["Referrer-Policy"] == nil {
		h["Referrer-Policy"] = noReferrer
	}
}

// send sends the header as it is.
func (c *recorder) send() {
	c.sent = true
	c.w.WriteHeader(c.status)
}

// encode sends the header for a compressed body.
func (c *recorder) encode() {
	h := c.w.Header()
	delete(h, "Content-Length")
	h["Content-Encoding"] = []string{c.coding.String()}
	c.enc = c.exchange.server.encoders.get(c.coding, (*wire)(c))
	c.waiting = false
	c.send()
}

// Write implements io.Writer.
func (c *recorder) Write(p []byte) (int, error) {
	if c.status == 0 {
		c.WriteHeader(http.StatusOK)
	}
	if c.waiting {
		if c.heldLen+len(p) < minCompressed {
			if c.held == nil {
				c.held = c.exchange.server.encoders.getShort()
			}
			c.heldLen += copy(c.held[c.heldLen:], p)
			return len(p), nil
		}
		c.encode()
		if err := c.releaseHeld(c.enc); err != nil {
			return 0, err
		}
	}
	if c.enc != nil {
		return c.enc.Write(p)
	}
	return (*wire)(c).Write(p)
}

// WriteString implements io.StringWriter.
func (c *recorder) WriteString(s string) (int, error) {
	if c.enc == nil && !c.waiting && c.status != 0 && len(s) <= wireChunk {
		n, err := io.WriteString(c.w, s)
		(*wire)(c).count(n)
		return n, err
	}
	return c.Write([]byte(s))
}

// wire is the recorder seen from the encoder: what goes to the connection.
type wire recorder

// wireChunk bounds what is written under one time limit.
const wireChunk = 256 << 10

func (c *wire) Write(p []byte) (int, error) {
	total := 0
	for {
		n, err := c.w.Write(p[:min(len(p), wireChunk)])
		total += n
		c.count(n)
		if p = p[n:]; err != nil || len(p) == 0 {
			return total, err
		}
	}
}

func (c *wire) count(n int) {
	c.bytes += int64(n)
	if c.sinceExtended += n; c.sinceExtended >= wireChunk {
		(*recorder)(c).extend()
	}
}

// extend moves the limit for accepting the answer on: the client does accept.
func (c *recorder) extend() {
	c.sinceExtended = 0
	limit := c.exchange.server.cfg.Limits.Write
	now := time.Now()
	if c.extended.IsZero() {
		c.extended = c.exchange.start
	}
	if now.Sub(c.extended) < limit/8 {
		return
	}
	c.extended = now
	if d, ok := c.w.(interface{ SetWriteDeadline(time.Time) error }); ok {
		_ = d.SetWriteDeadline(now.Add(limit)) // fails only on a connection that is gone
	}
}

// Flush implements http.Flusher.
func (c *recorder) Flush() { _ = c.FlushError() } // a lost client shows at the next write

// FlushError sends what there is, for http.ResponseController.
func (c *recorder) FlushError() error {
	if c.status == 0 {
		c.WriteHeader(http.StatusOK)
	}
	if c.waiting { // a stream: it will be long
		c.encode()
		if err := c.releaseHeld(c.enc); err != nil {
			return err
		}
	}
	if c.enc != nil {
		if err := c.enc.Flush(); err != nil {
			return err
		}
	}
	c.extend()
	switch f := c.w.(type) {
	case interface{ FlushError() error }:
		return f.FlushError()
	case http.Flusher:
		f.Flush()
		return nil
	default:
		return http.ErrNotSupported
	}
}

// Hijack implements http.Hijacker; HTTP/2 has none.
func (c *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	hijacker, ok := c.w.(http.Hijacker)
	if !ok {
		return nil, nil, http.ErrNotSupported
	}
	conn, rw, err := hijacker.Hijack()
	if err == nil {
		c.taken = true
		if c.status == 0 {
			c.status = http.StatusSwitchingProtocols
		}
	}
	return conn, rw, err
}

// finish sends what is left of a response that the handler has completed.
func (c *recorder) finish() error {
	if c.taken {
		return nil
	}
	if c.status == 0 {
		c.WriteHeader(http.StatusOK)
	}
	var err error
	if c.waiting { // the whole body is known now, and short
		c.waiting = false
		h := c.w.Header()
		if h["Content-Length"] == nil {
			h["Content-Length"] = []string{strconv.Itoa(c.heldLen)}
		}
		c.send()
		err = c.releaseHeld((*wire)(c))
	}
	if c.enc != nil {
		err = errors.Join(err, c.enc.Close())
		c.release()
	}
	return err
}

// abandon drops what the handler had begun. It reports whether nothing of it
// is out, so that another answer can be given.
func (c *recorder) abandon() bool {
	c.release()
	if c.sent || c.taken {
		return false
	}
	c.status, c.waiting, c.heldLen, c.coding = 0, false, 0, identity
	return true
}

// releaseHeld writes what was held to dst and gives its buffer back.
func (c *recorder) releaseHeld(dst io.Writer) error {
	if c.held == nil {
		return nil
	}
	_, err := dst.Write(c.held[:c.heldLen])
	c.exchange.server.encoders.short.Put(c.held)
	c.held, c.heldLen = nil, 0
	return err
}

func (c *recorder) release() {
	if c.enc != nil {
		c.exchange.server.encoders.put(c.coding, c.enc)
		c.enc = nil
	}
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}
