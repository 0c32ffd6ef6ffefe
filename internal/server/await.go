package server

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/pandobase/pando/internal/edge"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
)

// The pauses between two tries to open a store that is not there.
const (
	firstPause = 250 * time.Millisecond
	mostPause  = 5 * time.Second
)

// awaitStore opens the store. One that cannot be reached, or takes no writes, is
// waited for where that is asked for; what only a person can put right is an
// error at once.
func (n *Node) awaitStore(ctx context.Context, app *Application) (store.Driver, error) {
	for pause := firstPause; ; pause = min(2*pause, mostPause) {
		d, err := n.openStore(ctx, app)
		if err == nil || n.opt.Await == nil || !passes(err) || ctx.Err() != nil {
			return d, err
		}
		if !n.opt.Await(ctx, err, pause) {
			return nil, err
		}
	}
}

// passes reports whether what keeps a store from being opened may be over by
// itself.
func passes(err error) bool {
	return fault.Is(err, fault.StoreUnavailable) || fault.Is(err, fault.TooManyConns) || fault.Is(err, fault.DiskFull)
}

// waiting is a node on its way to its store. Meanwhile its operators' side says
// that it lives and what it waits for.
type waiting struct {
	ops   string
	log   *slog.Logger
	note  func(line string)
	until time.Time

	mu     sync.Mutex
	reason string
	server *http.Server
	served sync.WaitGroup
}

// wait waits for a pause.
func (w *waiting) wait(ctx context.Context, reason error, pause time.Duration) bool {
	f := fault.From(reason)
	w.mu.Lock()
	w.reason = f.Error()
	w.mu.Unlock()
	if time.Now().Add(pause).After(w.until) {
		return false
	}
	w.log.Warn("the store is not there: the node waits for it", "error", f, "hint", f.Hint, "pause", pause)
	if err := w.begin(ctx); err != nil {
		w.log.Error("the operators' side cannot be served while the node waits", "error", err)
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// begin serves the operators' side, once.
func (w *waiting) begin(ctx context.Context) error {
	if w.server != nil || w.ops == edge.OpsOff {
		return nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", w.ops)
	if err != nil {
		return err
	}
	w.server = &http.Server{Handler: http.HandlerFunc(w.answer), ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second}
	w.served.Go(func() { _ = w.server.Serve(l) }) // it ends when it is closed
	if w.note != nil {
		w.note("waiting for the store, operations on http://" + l.Addr().String())
	}
	return nil
}

func (w *waiting) answer(rw http.ResponseWriter, r *http.Request) {
	type failing struct {
		Name  string `json:"name"`
		Error string `json:"error"`
	}
	answer := struct {
		Status  string    `json:"status"`
		Failing []failing `json:"failing,omitempty"`
	}{Status: "alive"}
	status := http.StatusOK
	switch r.URL.Path {
	case "/healthz":
	case "/readyz":
		w.mu.Lock()
		answer.Status, answer.Failing = "starting", []failing{{"store", w.reason}}
		w.mu.Unlock()
		status = http.StatusServiceUnavailable
	default:
		status, answer.Status = http.StatusServiceUnavailable, "starting"
	}
	rw.Header().Set("Content-Type", "application/json")
	rw.Header().Set("Cache-Control", "no-store")
	rw.WriteHeader(status)
	_ = json.NewEncoder(rw).Encode(answer) // the asker may be gone
}

// end frees the operators' address for the node.
func (w *waiting) end() error {
	if w.server == nil {
		return nil
	}
	err := w.server.Close()
	w.served.Wait()
	return err
}
