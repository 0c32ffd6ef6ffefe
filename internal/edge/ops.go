package edge

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/lifecycle"
)

// Check is one condition of readiness.
type Check struct {
	// Name stands in /readyz.
	Name string
	// Func returns nil when the condition holds. It is not called again while
	// it runs.
	Func func(ctx context.Context) error
	// Timeout ends the context, and counts as a failure. Default: 2 s.
	Timeout time.Duration
}

// errStillRunning is the failure of a check that an earlier question hangs in.
var errStillRunning = errors.New("an earlier check has not come back")

// checker runs a check for one asker at a time, so that a check that hangs
// holds one goroutine, however often it is asked.
type checker struct {
	Check
	running sync.Mutex
}

func newChecker(c Check) *checker {
	setDefault(&c.Timeout, 2*time.Second)
	return &checker{Check: c}
}

// run returns the check's error, at the latest when its time is up.
func (c *checker) run(ctx context.Context) error {
	if !c.running.TryLock() {
		return errStillRunning
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	result := make(chan error, 1)
	go func() {
		defer c.running.Unlock()
		defer cancel()
		result <- c.Func(ctx)
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		select {
		case err := <-result: // both at once: the answer counts
			return err
		default:
			return context.Cause(ctx)
		}
	}
}

// failing is one line of /readyz.
type failing struct {
	Name  string `json:"name"`
	Error string `json:"error"`
}

// readiness is the body of /readyz.
type readiness struct {
	Status  string    `json:"status"` // ready, starting, draining or failing
	Failing []failing `json:"failing,omitempty"`
}

// readiness asks all checks at once.
func (s *Server) readiness(ctx context.Context) readiness {
	switch s.state.Load() {
	case stateNew:
		return readiness{Status: "starting"}
	case stateDraining:
		return readiness{Status: "draining"}
	}
	errs := make([]error, len(s.checks))
	var wg sync.WaitGroup
	for i, c := range s.checks {
		wg.Go(func() { errs[i] = c.run(ctx) })
	}
	wg.Wait()
	out := readiness{Status: "ready"}
	for i, err := range errs {
		if err != nil {
			out.Status = "failing"
			out.Failing = append(out.Failing, failing{Name: s.checks[i].Name, Error: err.Error()})
		}
	}
	return out
}

func (s *Server) newOps(life lifecycle.Life) *http.Server {
	const limit = 30 * time.Second
	return &http.Server{
		Handler:           s.OpsHandler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       limit,
		WriteTimeout:      limit,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          newErrorLog(s.cfg.Logger),
		BaseContext:       func(net.Listener) context.Context { return life.Drain },
	}
}

// OpsHandler returns the operators' side without its listener.
func (s *Server) OpsHandler() http.Handler {
	var metrics http.Handler
	if s.cfg.Telemetry != nil {
		metrics = s.cfg.Telemetry.Handler()
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			s.problems.WriteProblem(w, r, fault.New(fault.MethodNotAllowed, "%s is not possible here", r.Method))
		case r.URL.Path == "/healthz":
			writeJSON(w, http.StatusOK, readiness{Status: "alive"})
		case r.URL.Path == "/readyz":
			answer := s.readiness(r.Context())
			status := http.StatusOK
			if answer.Status != "ready" {
				status = http.StatusServiceUnavailable
			}
			writeJSON(w, status, answer)
		case r.URL.Path == "/metrics" && metrics != nil:
			metrics.ServeHTTP(w, r)
		default:
			s.problems.WriteProblem(w, r, fault.New(fault.NotFound, "there is nothing at %s", r.URL.Path).
				WithHint("/healthz, /readyz and /metrics are here"))
		}
	})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the asker may be gone
}
