package provider

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// timeout bounds one request to a provider, its answer included.
const timeout = 10 * time.Second

// maxAnswer bounds an answer, in bytes.
const maxAnswer = 1 << 20

// maxRedirects bounds how often a provider sends a request on.
const maxRedirects = 3

// newClient returns a client that keeps to the package's rules, on top of
// base's connections.
func newClient(base *http.Client) *http.Client {
	c := &http.Client{Timeout: timeout}
	var transport http.RoundTripper
	if base != nil {
		*c = *base
		if c.Timeout == 0 || c.Timeout > timeout {
			c.Timeout = timeout
		}
		transport = c.Transport
	}
	if transport == nil {
		transport = http.DefaultTransport
	}
	if t, ok := transport.(*http.Transport); ok {
		transport = t.Clone() // its idle connections are the registry's to close
	}
	c.Transport, c.Jar = guarded{transport}, nil
	c.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		first := via[0]
		switch {
		case first.Method != http.MethodGet: // it carries a code and a secret
			return errors.New("a request that is not a GET is not redirected")
		case req.URL.Host != first.URL.Host || req.URL.Scheme != first.URL.Scheme:
			return errors.New("redirected to another host")
		case len(via) >= maxRedirects:
			return errors.New("redirected too often")
		}
		return nil
	}
	return c
}

// guarded bounds answers, and refuses to send anything over plain HTTP that
// leaves the machine.
type guarded struct{ next http.RoundTripper }

func (g guarded) RoundTrip(req *http.Request) (*http.Response, error) {
	if !reachable(req.URL, isLoopback(req.URL)) {
		return nil, fmt.Errorf("%s is not https", req.URL.Host)
	}
	resp, err := g.next.RoundTrip(req)
	if err == nil {
		resp.Body = &bounded{ReadCloser: resp.Body, left: maxAnswer}
	}
	return resp, err
}

// CloseIdleConnections is what http.Client looks for.
func (g guarded) CloseIdleConnections() {
	if c, ok := g.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// bounded fails once more than left bytes were read.
type bounded struct {
	io.ReadCloser
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if len(p) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if n > b.left {
		return 0, fmt.Errorf("the answer has more than %d bytes", maxAnswer)
	}
	b.left -= n
	return n, err
}

// reachable reports whether a provider's address may be used: https, or plain
// HTTP where local says that it stays on this machine.
func reachable(u *url.URL, local bool) bool {
	return u.Host != "" && (u.Scheme == "https" || u.Scheme == "http" && local && isLoopback(u))
}

// isLoopback reports whether the URL's host is this machine.
func isLoopback(u *url.URL) bool {
	host := u.Hostname()
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
