// Package edge is where requests come in: the public listener with its limits,
// request ids, compression, CORS and access log, and the operators' listener
// with the health and metrics pages.
//
// What it promises to the handlers behind it: no header, body or duration
// beyond the limits; a path without NUL, control characters or dot segments; a
// request id; a panic that ends one request only. What it promises to clients:
// every refusal it can still answer is a problem document (RFC 9457).
package edge

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/telemetry"
)

// The default addresses. Both are loopback: nothing is reachable from another
// machine that was not told to be.
const (
	DefaultListen = "127.0.0.1:7263"
	DefaultOps    = "127.0.0.1:7264"
)

// OpsOff as [Config.Ops] means no operators' listener.
const OpsOff = "off"

// Config is what an edge is made of. The zero value of a member is its
// default.
type Config struct {
	// Listen is the public address, host:port. Default: [DefaultListen].
	Listen string
	// Listener is served in place of Listen by an owner that must know the port
	// before the edge starts. Start takes it over. Default: none.
	Listener net.Listener
	// Ops is the address of the health and metrics pages. They ask for no
	// credential: put them on no public address. Default: [DefaultOps];
	// [OpsOff]: none.
	Ops string
	// TLS encrypts the public listener. Default: it is plain, with HTTP/2 for
	// the clients that begin with it.
	TLS TLS
	// Limits bound every request.
	Limits Limits
	// Origins are the web origins that may call from a browser, such as
	// "https://shop.example". Default: every origin; credentials in cookies
	// are never allowed, so an origin gains nothing that its key does not.
	Origins []string
	// Proxies are the networks of the balancers before the edge: what they say
	// in X-Forwarded-For is believed. Default: nobody is.
	Proxies []netip.Prefix
	// Mounts are the doors. [Server.SetMounts] exchanges them.
	Mounts []Mount
	// Checks decide, each time /readyz is asked, whether the node is ready.
	Checks []Check
	// DrainDelay is how long a stopping node goes on serving after /readyz
	// has turned false, so that balancers can take it out. Default: 0.
	DrainDelay time.Duration
	// DrainTimeout bounds how long requests in flight may then take to
	// finish. Default: the request limit plus 5 s.
	DrainTimeout time.Duration
	// Logger receives panics, failures and what the listeners complain about.
	// Default: nobody.
	Logger *slog.Logger
	// Access receives one record for each request. It must not keep it.
	// Default: nobody.
	Access slog.Handler
	// Redact returns a request's path as logs and traces may have it: a client
	// may put a key anywhere. Default: as it is.
	Redact func(path string) string
	// Telemetry counts and traces the requests and serves /metrics. Default:
	// neither.
	Telemetry *telemetry.Telemetry
}

// TLS names the PEM files of the certificate chain and its key. Both or none.
type TLS struct {
	Cert, Key string
}

// Limits bound what one request may take.
type Limits struct {
	// Body is the size of a request body in bytes, as it comes over the wire.
	// More is 413, before it is read where Content-Length tells. Default: 1 MiB.
	Body int64
	// Header is the size of the request line and the headers in bytes, each
	// header counted with 32 more (as RFC 9113 does, so that many small ones
	// count too). More is 431. Default: 64 KiB.
	Header int
	// ReadHeader is how long the headers may take to arrive; then the
	// connection is closed. Default: 10 s.
	ReadHeader time.Duration
	// ReadBody is how long the body may take to arrive, counted from the
	// headers; then it is 408. Default: 30 s.
	ReadBody time.Duration
	// Request is the deadline in the request's context. Default: 30 s.
	Request time.Duration
	// Write is how long a client may take to accept an answer without
	// accepting any of it. Default: Request plus 30 s; never less than Request.
	Write time.Duration
	// Idle is how long a connection may rest between requests. Default: 2 min.
	Idle time.Duration
	// Streams is the number of requests in flight on one HTTP/2 connection.
	// Default: 250.
	Streams int
}

// Mount is a door: the handler of one path and everything below it.
type Mount struct {
	// Prefix is the path, such as "/rest/v1". It takes "/rest/v1" itself and
	// all that begins with "/rest/v1/"; of several the longest counts. The
	// handler sees the whole path. "/" takes what nothing else takes. With a star
	// at its end, such as "/pando.app.*", it takes all that begins so.
	Prefix string
	// Route is http.route in metrics and traces, a template such as
	// "/rest/v1/{entity}". Default: Prefix. A handler that knows better says so
	// with [SetRoute].
	Route string
	// Handler answers. It must observe its request's context, and give errors
	// of the body on as they are: they are faults.
	Handler http.Handler
}

// withDefaults returns cfg complete, or every problem at once.
func (cfg Config) withDefaults() (Config, error) {
	setDefault(&cfg.Listen, DefaultListen)
	setDefault(&cfg.Ops, DefaultOps)
	setDefault(&cfg.Limits.Body, 1<<20)
	setDefault(&cfg.Limits.Header, 64<<10)
	setDefault(&cfg.Limits.ReadHeader, 10*time.Second)
	setDefault(&cfg.Limits.ReadBody, 30*time.Second)
	setDefault(&cfg.Limits.Request, 30*time.Second)
	setDefault(&cfg.Limits.Write, cfg.Limits.Request+30*time.Second)
	setDefault(&cfg.Limits.Idle, 2*time.Minute)
	setDefault(&cfg.Limits.Streams, 250)
	setDefault(&cfg.DrainTimeout, cfg.Limits.Request+5*time.Second)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Redact == nil {
		cfg.Redact = func(path string) string { return path }
	}
	cfg.Origins = slices.Clone(cfg.Origins)
	return cfg, cfg.validate()
}

func setDefault[T comparable](p *T, value T) {
	var zero T
	if *p == zero {
		*p = value
	}
}

func (cfg Config) validate() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fault.New(fault.ConfigInvalid, format, args...))
	}
	for name, addr := range map[string]string{"listen": cfg.Listen, "ops": cfg.Ops} {
		if name == "ops" && addr == OpsOff {
			continue
		}
		if _, _, err := net.SplitHostPort(addr); err != nil {
			bad("%s: %q is no address: write host:port, such as %s", name, addr, DefaultListen)
		}
	}
	if _, port, err := net.SplitHostPort(cfg.Listen); err == nil && cfg.Ops == cfg.Listen && port != "0" {
		bad("listen and ops are both %s: the operators' pages are never on the public listener", cfg.Listen)
	}
	if (cfg.TLS.Cert == "") != (cfg.TLS.Key == "") {
		bad("tls: cert and key go together; one of them is missing")
	}
	l := cfg.Limits
	for name, ok := range map[string]bool{
		"body": l.Body > 0, "header": l.Header >= 4<<10 && l.Header <= 16<<20, "streams": l.Streams > 0,
		"read_header": l.ReadHeader > 0, "read_body": l.ReadBody > 0, "request": l.Request > 0,
		"write": l.Write >= l.Request, "idle": l.Idle > 0, "drain": cfg.DrainDelay >= 0 && cfg.DrainTimeout > 0,
	} {
		if !ok {
			bad("limits: %s is out of range", name)
		}
	}
	for _, origin := range cfg.Origins {
		if scheme, host, ok := strings.Cut(origin, "://"); origin != "*" && (!ok || scheme == "" || host == "" || strings.ContainsAny(host, "/*? ")) {
			bad("origins: %q is no origin: write scheme://host[:port], or * for every one", origin)
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

// load reads the certificate; nil without TLS.
func (t TLS) load() (*tls.Config, error) {
	if t.Cert == "" {
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, fault.Wrap(err, fault.ConfigInvalid, "tls: the certificate cannot be used").WithDetails("%s", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, nil
}

func listenFault(what, addr string, err error) error {
	return fault.Wrap(err, fault.ConfigInvalid, "%s: cannot listen on %s", what, addr).
		WithDetails("%s", fmt.Sprint(err)).
		WithHint("is another process there? --%s chooses another address", what)
}
