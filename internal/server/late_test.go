package server

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/migrate"
	"github.com/pandobase/pando/internal/query"
)

// large writes an application of which so many indexes are made late; more
// are fields of its first entity.
func large(t *testing.T, dir, more string) {
	t.Helper()
	var m strings.Builder
	m.WriteString("module: m\nentities:\n")
	for i := range 120 {
		fmt.Fprintf(&m, "  e%d: { fields: { a: { type: text }, b: { type: int, optional: true }%s }, index: [[a], [b]], policy: { read: \"true\", create: \"true\" } }\n", i, more)
		more = ""
	}
	for name, text := range map[string]string{"pando.yaml": "app: test\nlisten: 127.0.0.1:0\nops: 127.0.0.1:0\n", "modules/m.yaml": m.String()} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func openLarge(t *testing.T, dir string) *Node {
	t.Helper()
	n, err := Open(t.Context(), Options{Dir: dir, Migrate: true})
	if err != nil {
		t.Fatal(describe(err))
	}
	t.Cleanup(func() {
		if err := n.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return n
}

func (n *Node) status(t *testing.T) *migrate.Status {
	t.Helper()
	s, err := migrate.Inspect(t.Context(), n.driver, n.Application().Model)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Drift) > 0 {
		t.Errorf("drift: %q", s.Drift)
	}
	return s
}

// hold keeps the late parts from beginning until they are stopped. It returns
// what is closed when they would have begun.
func (l *late) hold() <-chan struct{} {
	rest, began := l.rest, make(chan struct{})
	first := true
	l.replace(func(ctx context.Context) error {
		if first {
			first = false
			close(began)
			<-ctx.Done()
		}
		return rest(ctx)
	})
	return began
}

// finish starts the late parts and waits for their end.
func (l *late) finish(t *testing.T) {
	t.Helper()
	l.start(t.Context())
	l.mu.Lock()
	done := l.done
	l.mu.Unlock()
	if done != nil {
		<-done
	}
}

// TestLateGoesOn: a node serves before its indexes are made, a stop leaves the
// rest to the next start, and that one makes them.
func TestLateGoesOn(t *testing.T) {
	dir := t.TempDir()
	large(t, dir, "")
	n := openLarge(t, dir)
	if s := n.status(t); s.Pending.Empty() || s.History[0].State != migrate.Running {
		t.Fatalf("the indexes were made before the start: %+v", s)
	}
	if _, err := n.Engine().Entity(query.Target{Module: "m", Entity: "e0"}); err != nil {
		t.Errorf("not served: %v", err)
	}
	if err := n.Ready(t.Context()); err != nil {
		t.Errorf("not ready: %v", err)
	}
	began := n.late.hold()
	n.late.start(t.Context())
	<-began
	if err := n.Close(context.Background()); err != nil {
		t.Fatal(err)
	}

	n = openLarge(t, dir)
	if s := n.status(t); s.Pending.Resumes != 1 {
		t.Fatalf("the stop lost what is left: %+v", s)
	}
	n.late.finish(t)
	s := n.status(t)
	if !s.Pending.Empty() || len(s.History) != 2 || s.History[0].State != migrate.Resumed || s.History[1].State != migrate.Done {
		t.Errorf("in the end: %+v", s)
	}
	if n.late.rest != nil {
		t.Error("something is left")
	}
}

// TestLateReload: a reload brings its own change about first and takes over
// what is left; one that is refused lets it go on.
func TestLateReload(t *testing.T) {
	dir := t.TempDir()
	large(t, dir, "")
	n := openLarge(t, dir)
	began := n.late.hold()
	n.late.start(t.Context())
	<-began
	large(t, dir, ", c: { type: text }, b: { type: int }") // b twice
	if err := n.Reload(t.Context()); err == nil {
		t.Fatal("a broken module was loaded")
	}
	large(t, dir, ", c: { type: text, optional: true }")
	if err := n.Reload(t.Context()); err != nil {
		t.Fatal(describe(err))
	}
	n.late.finish(t)
	if s := n.status(t); !s.Pending.Empty() || len(s.History) != 2 {
		t.Errorf("after the reload: %+v", s)
	}

	large(t, dir, "") // an older release: it works with the schema of the newer one
	if err := n.Reload(t.Context()); err != nil {
		t.Fatal(describe(err))
	}
	if s := n.status(t); !s.Superseded || len(s.History) != 2 {
		t.Errorf("after the older release: %+v", s)
	}
	large(t, dir, ", d: { type: text, optional: true }") // loses c, which holds nothing, but is no addition
	if err := n.Reload(t.Context()); err == nil {
		t.Fatal("a field was dropped unasked")
	}
	if s := n.status(t); !s.Superseded || len(s.History) != 2 {
		t.Errorf("after the refusal: %+v", s)
	}
}

// TestLateRefused: what is left goes on after a reload that was refused.
func TestLateRefused(t *testing.T) {
	dir := t.TempDir()
	large(t, dir, ", c: { type: text, optional: true }")
	n := openLarge(t, dir)
	began := n.late.hold()
	n.late.start(t.Context())
	<-began
	large(t, dir, "")
	if err := n.Reload(t.Context()); err == nil {
		t.Fatal("a field was dropped unasked")
	}
	n.late.finish(t)
	if s := n.status(t); !s.Pending.Empty() || len(s.History) != 1 {
		t.Errorf("after the refusal: %+v", s)
	}
}

// TestLateApply: the command runs everything, also what was being made.
func TestLateApply(t *testing.T) {
	dir := t.TempDir()
	large(t, dir, "")
	n := openLarge(t, dir)
	began := n.late.hold()
	n.late.start(t.Context())
	<-began
	w := httptest.NewRecorder()
	n.Commands().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/migrate/apply", nil))
	if w.Code != http.StatusOK || strings.Contains(w.Body.String(), `"error"`) || !strings.Contains(w.Body.String(), `"Part":1`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if s := n.status(t); !s.Pending.Empty() {
		t.Errorf("after the apply: %+v", s)
	}
	if n.late.rest != nil || n.late.done != nil {
		t.Error("something is left")
	}
}

// TestServeLate: Serve makes the indexes behind its listeners and ends in an
// orderly way while it does.
func TestServeLate(t *testing.T) {
	dir := t.TempDir()
	large(t, dir, "")
	for _, wait := range []bool{false, true} {
		ctx, stop := context.WithCancel(t.Context())
		err := Serve(ctx, ServeOptions{Options: Options{Dir: dir}, Output: io.Discard, Ready: func(r *Running) {
			if wait {
				r.Node.late.finish(t)
				if s := r.Node.status(t); !s.Pending.Empty() {
					t.Errorf("nobody made the indexes: %+v", s)
				}
			}
			stop()
		}})
		if err != nil {
			t.Fatal(describe(err))
		}
	}
}
