package server

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/api/problem"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
)

// TestGateIsExclusive holds that nobody is inside while the gate is shut.
func TestGateIsExclusive(t *testing.T) {
	var g gate
	var inside, passed atomic.Int64
	var stop atomic.Bool
	var work sync.WaitGroup
	for range 8 {
		work.Go(func() {
			for !stop.Load() {
				if err := g.enter(t.Context()); err != nil {
					t.Error(err)
					return
				}
				inside.Add(1)
				passed.Add(1)
				inside.Add(-1)
				g.leave()
			}
		})
	}
	for range 200 {
		if err := g.close(t.Context()); err != nil {
			t.Fatal(err)
		}
		before := passed.Load()
		if n := inside.Load(); n != 0 {
			t.Fatalf("%d are inside", n)
		}
		if passed.Load() != before {
			t.Fatal("somebody passed the gate")
		}
		g.open()
	}
	stop.Store(true)
	work.Wait()
}

// TestGateGivesUp opens the gate again when who is inside does not end.
func TestGateGivesUp(t *testing.T) {
	var g gate
	if err := g.enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := g.close(ctx); !fault.Is(err, fault.QueryCanceled) {
		t.Fatal(err)
	}
	if err := g.enter(t.Context()); err != nil { // it is open
		t.Fatal(err)
	}
	g.leave()
	g.leave()
	if err := g.close(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := g.enter(ended); !fault.Is(err, fault.QueryCanceled) {
		t.Errorf("a writer whose client has gone waits on: %v", err)
	}
	g.open()
}

// TestReadsAreMadeAgain holds that a read which the fence refused is answered
// from the new store, and that every other answer goes through as it is.
func TestReadsAreMadeAgain(t *testing.T) {
	var g gate
	g.near.Store(true)
	times := 0
	moved := func(w http.ResponseWriter, r *http.Request) {
		if times++; times == 1 {
			w.Header().Set("X-First", "yes")
			problem.WriteProblem(w, r, store.Moved())
			return
		}
		w.Header().Set("X-Second", "yes")
		_, _ = w.Write([]byte("fine"))
	}
	rec := httptest.NewRecorder()
	g.reading(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody), moved)
	if rec.Code != http.StatusOK || rec.Body.String() != "fine" || rec.Header().Get("X-First") != "" || rec.Header().Get("X-Second") != "yes" {
		t.Errorf("answered with %d %q %v", rec.Code, rec.Body, rec.Header())
	}
	for _, f := range []*fault.Error{fault.New(fault.Overloaded, "too much"), fault.New(fault.StoreUnavailable, "away"), fault.New(fault.NotFound, "nothing")} {
		rec := httptest.NewRecorder()
		g.reading(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody), func(w http.ResponseWriter, r *http.Request) { problem.WriteProblem(w, r, f) })
		want := httptest.NewRecorder()
		problem.WriteProblem(want, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody), f)
		if rec.Code != want.Code || rec.Body.String() != want.Body.String() || len(rec.Header()) != len(want.Header()) {
			t.Errorf("answered with %d %q %v, not %d %q", rec.Code, rec.Body, rec.Header(), want.Code, want.Body)
		}
	}
}
