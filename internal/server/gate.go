package server

import (
	"bytes"
	"context"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/pandobase/pando/internal/api/problem"
	"github.com/pandobase/pando/internal/fault"
)

// gate keeps writers waiting while the store is exchanged. Requests that may
// write pass it one by one; reads do not, but where one of them writes after
// all (an audit record) and the store refuses it, the read is made again. The
// zero gate is open.
type gate struct {
	mu     sync.Mutex
	inside int
	shut   chan struct{} // closed when the gate opens again; nil: it is open
	empty  chan struct{} // closed when nobody is inside any more; nil: nobody waits for that

	near atomic.Bool // it may close any moment: reads are watched
}

// enter waits for the open gate; leave has to follow.
func (g *gate) enter(ctx context.Context) error {
	g.mu.Lock()
	for g.shut != nil {
		shut := g.shut
		g.mu.Unlock()
		select {
		case <-shut:
		case <-ctx.Done():
			return fault.Wrap(ctx.Err(), fault.QueryCanceled, "the write was canceled before its turn came")
		}
		g.mu.Lock()
	}
	g.inside++
	g.mu.Unlock()
	return nil
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.inside == 0 && g.empty != nil {
		close(g.empty)
		g.empty = nil
	}
}

// close shuts the gate and waits until nobody is inside, or opens it again when
// ctx ends before. It is not called while the gate is shut.
func (g *gate) close(ctx context.Context) error {
	g.mu.Lock()
	g.shut = make(chan struct{})
	var empty chan struct{}
	if g.inside > 0 {
		empty = make(chan struct{})
		g.empty = empty
	}
	g.mu.Unlock()
	if empty == nil {
		return nil
	}
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		g.open()
		return fault.Wrap(ctx.Err(), fault.QueryCanceled, "requests that write took too long to end")
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.shut)
	g.shut, g.empty = nil, nil
}

// passing serves requests that may write.
func (g *gate) passing(w http.ResponseWriter, r *http.Request, serve http.HandlerFunc) {
	if err := g.enter(r.Context()); err != nil {
		problem.WriteProblem(w, r, err)
		return
	}
	defer g.leave()
	serve(w, r)
}

// reading serves a request without a body that writes nothing but what goes on
// record. Where the store refuses that, the request is made again as one that
// writes.
func (g *gate) reading(w http.ResponseWriter, r *http.Request, serve http.HandlerFunc) {
	if !g.near.Load() {
		serve(w, r)
		return
	}
	first := &refused{ResponseWriter: w, header: w.Header().Clone()}
	serve(first, r)
	if first.moved() {
		g.passing(w, r, serve)
		return
	}
	first.flush()
}

// watching serves a request with a body that writes nothing but what goes on
// record. It cannot be made again: while the gate may close any moment it waits
// its turn as one that writes.
func (g *gate) watching(w http.ResponseWriter, r *http.Request, serve http.HandlerFunc) {
	if g.near.Load() {
		g.passing(w, r, serve)
		return
	}
	serve(w, r)
}

// refused holds an answer of 503 back. Every other goes through.
type refused struct {
	http.ResponseWriter
	header http.Header
	status int
	body   bytes.Buffer
}

func (h *refused) Header() http.Header { return h.header }

func (h *refused) WriteHeader(status int) {
	if h.status != 0 {
		return
	}
	h.status = status
	if status != http.StatusServiceUnavailable {
		h.pass()
	}
}

func (h *refused) Write(b []byte) (int, error) {
	if h.status == 0 {
		h.WriteHeader(http.StatusOK)
	}
	if h.status == http.StatusServiceUnavailable {
		return h.body.Write(b)
	}
	return h.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (h *refused) Unwrap() http.ResponseWriter { return h.ResponseWriter }

func (h *refused) pass() {
	to := h.ResponseWriter.Header()
	clear(to)
	maps.Copy(to, h.header)
	h.ResponseWriter.WriteHeader(h.status)
}

// moved reports whether the answer says that the store has moved.
func (h *refused) moved() bool {
	return h.status == http.StatusServiceUnavailable && bytes.Contains(h.body.Bytes(), []byte(`"`+fault.StoreMoved+`"`))
}

func (h *refused) flush() {
	if h.status != http.StatusServiceUnavailable {
		return
	}
	h.pass()
	_, _ = h.ResponseWriter.Write(h.body.Bytes()) // a client that has gone
}
