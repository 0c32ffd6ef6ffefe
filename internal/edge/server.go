package edge

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pandobase/pando/internal/api/problem"
	"github.com/pandobase/pando/internal/lifecycle"
	"github.com/pandobase/pando/internal/telemetry"
)

// The states of a server.
const (
	stateNew int32 = iota
	stateServing
	stateDraining
)

// The schemes of the public listener.
const (
	schemePlain = "http"
	schemeTLS   = "https"
)

// Server is the edge of one node: two listeners. Make it with [New]; it lives
// once, as a lifecycle.Part. Its methods are safe for concurrent use.
type Server struct {
	cfg      Config
	scheme   string
	router   atomic.Pointer[router]
	state    atomic.Int32
	encoders encoders
	problems problem.Writer
	// quietProblems logs nothing: what it answers was logged better already.
	quietProblems problem.Writer
	tracer        *telemetry.Tracer
	metrics       *telemetry.HTTP
	noRoute       *telemetry.Route
	checks        []*checker

	mu     sync.RWMutex
	routes map[string]*telemetry.Route // by http.route; they outlive an exchange of the doors

	public, ops     *http.Server
	publicAt, opsAt net.Addr
	serving         sync.WaitGroup
	stopOnce        sync.Once
	stopErr         error
}

// New checks cfg, all of it at once, and returns a server that listens to
// nobody yet. The error is made of [fault.ConfigInvalid].
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg:           cfg,
		scheme:        schemePlain,
		routes:        map[string]*telemetry.Route{},
		problems:      problem.Writer{RequestID: RequestIDOf, Logger: cfg.Logger},
		quietProblems: problem.Writer{RequestID: RequestIDOf, Logger: slog.New(slog.DiscardHandler)},
	}
	if cfg.TLS.Cert != "" {
		s.scheme = schemeTLS
	}
	if cfg.Telemetry != nil {
		s.tracer = cfg.Telemetry.Tracer()
		if s.metrics, err = cfg.Telemetry.NewHTTP(s.scheme); err != nil {
			return nil, err
		}
	}
	s.noRoute = s.routeMetrics("")
	for _, c := range cfg.Checks {
		s.checks = append(s.checks, newChecker(c))
	}
	return s, s.SetMounts(cfg.Mounts)
}

// SetMounts exchanges all doors at once, also while serving: a request meets
// the old ones or the new ones. Requests in flight go on with the old. When a
// mount is not valid nothing changes.
func (s *Server) SetMounts(mounts []Mount) error {
	rt, err := s.newRouter(mounts)
	if err != nil {
		return err
	}
	s.router.Store(rt)
	return nil
}

func (s *Server) routeMetrics(route string) *telemetry.Route {
	s.mu.RLock()
	r, ok := s.routes[route]
	s.mu.RUnlock()
	if ok {
		return r
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok = s.routes[route]; !ok {
		r = s.metrics.Route(route)
		s.routes[route] = r
	}
	return r
}

// Handler returns the public side without a listener, for tests and
// benchmarks.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serve) }

// Start listens on both addresses and serves until [Server.Stop]. Requests run
// under life.Drain. ctx bounds the start. A listener that breaks later is told
// to life.Fail.
func (s *Server) Start(ctx context.Context, life lifecycle.Life) error {
	tlsConfig, err := s.cfg.TLS.load()
	if err != nil {
		return err
	}
	var lc net.ListenConfig
	var opsListener net.Listener
	if s.cfg.Ops != OpsOff {
		if opsListener, err = lc.Listen(ctx, "tcp", s.cfg.Ops); err != nil {
			return listenFault("ops", s.cfg.Ops, err)
		}
		s.opsAt = opsListener.Addr()
	}
	listener := s.cfg.Listener
	if listener == nil {
		listener, err = lc.Listen(ctx, "tcp", s.cfg.Listen)
	}
	if err != nil {
		err = listenFault("listen", s.cfg.Listen, err)
		if opsListener != nil {
			err = errors.Join(err, opsListener.Close())
		}
		return err
	}
	s.publicAt = listener.Addr()

	s.public = s.newPublic(life, tlsConfig)
	s.serving.Go(func() {
		serve := s.public.Serve
		if tlsConfig != nil {
			serve = func(l net.Listener) error { return s.public.ServeTLS(l, "", "") }
		}
		if err := serve(listener); !errors.Is(err, http.ErrServerClosed) {
			life.Fail(fmt.Errorf("the public listener broke: %w", err))
		}
	})
	if opsListener != nil {
		s.ops = s.newOps(life)
		s.serving.Go(func() {
			if err := s.ops.Serve(opsListener); !errors.Is(err, http.ErrServerClosed) {
				life.Fail(fmt.Errorf("the operators' listener broke: %w", err))
			}
		})
	}
	s.state.CompareAndSwap(stateNew, stateServing)
	return nil
}

func (s *Server) newPublic(life lifecycle.Life, tlsConfig *tls.Config) *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	if tlsConfig != nil {
		protocols.SetHTTP2(true)
	} else {
		protocols.SetUnencryptedHTTP2(true)
	}
	l := &s.cfg.Limits
	return &http.Server{
		Handler:   s.Handler(),
		TLSConfig: tlsConfig,
		Protocols: &protocols,
		// Beyond four times the limit net/http refuses by itself, in plain
		// text; up to there the answer is a problem document.
		MaxHeaderBytes:    4 * l.Header,
		ReadHeaderTimeout: l.ReadHeader,
		WriteTimeout:      l.Write,
		IdleTimeout:       l.Idle,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: l.Streams,
			WriteByteTimeout:     l.Write,
			// A stream may be sent less than one body of the default limit
			// before its handler reads, and a connection a few of them.
			MaxReceiveBufferPerStream:     256 << 10,
			MaxReceiveBufferPerConnection: 1 << 20,
		},
		ErrorLog:    newErrorLog(s.cfg.Logger),
		BaseContext: func(net.Listener) context.Context { return life.Drain },
	}
}

// Addr returns the public address; nil before the start.
func (s *Server) Addr() net.Addr { return s.publicAt }

// OpsAddr returns the operators' address; nil before the start or without one.
func (s *Server) OpsAddr() net.Addr { return s.opsAt }

// Stop lets /readyz turn false, goes on serving for the drain delay, refuses
// new connections then, waits for the requests in flight for the drain
// timeout, and closes what is left. It returns an error when requests were cut
// off or ctx ended before. /healthz and /readyz answer to the end.
func (s *Server) Stop(ctx context.Context) error {
	s.stopOnce.Do(func() { s.stopErr = s.stop(ctx) })
	return s.stopErr
}

func (s *Server) stop(ctx context.Context) error {
	s.state.Store(stateDraining)
	if s.public == nil {
		return nil
	}
	if s.cfg.DrainDelay > 0 {
		delay := time.NewTimer(s.cfg.DrainDelay)
		defer delay.Stop()
		select {
		case <-delay.C:
		case <-ctx.Done():
		}
	}
	errs := []error{shutdown(ctx, "public", s.public, s.cfg.DrainTimeout)}
	if s.ops != nil {
		const grace = time.Second // its answers are short
		errs = append(errs, shutdown(ctx, "operators'", s.ops, grace))
	}
	s.serving.Wait()
	return errors.Join(errs...)
}

// shutdown stops a server gracefully for the given time, then at once.
func shutdown(ctx context.Context, name string, srv *http.Server, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("requests on the %s listener were cut off: %w", name, err), srv.Close())
	}
	return nil
}
