package edge_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/edge"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/lifecycle"
	"github.com/pandobase/pando/internal/telemetry"
)

func newTelemetry(t testing.TB) *telemetry.Telemetry {
	t.Helper()
	tel, err := telemetry.New(t.Context(), telemetry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tel.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return tel
}

func (n *node) op(t testing.TB, path string) answer {
	t.Helper()
	return do(t, n.client, http.MethodGet, n.ops+path, nil)
}

func TestReadiness(t *testing.T) {
	var broken atomic.Bool
	hang, back := make(chan struct{}), make(chan struct{})
	n := start(t, edge.Config{Checks: []edge.Check{
		{Name: "fine", Func: func(context.Context) error { return nil }},
		{Name: "store", Func: func(context.Context) error {
			if broken.Load() {
				return errors.New("disk on fire")
			}
			return nil
		}},
		{Name: "hanging", Timeout: 50 * time.Millisecond, Func: func(context.Context) error {
			if broken.Load() {
				<-hang // it does not even look at its context
				close(back)
			}
			return nil
		}},
	}}, nil)
	if got := n.op(t, "/readyz"); got.StatusCode != 200 || strings.TrimSpace(string(got.body)) != `{"status":"ready"}` {
		t.Errorf("ready: %s %s", got.Status, got.body)
	}
	broken.Store(true)
	want := `{"status":"failing","failing":[{"name":"store","error":"disk on fire"},{"name":"hanging","error":"context deadline exceeded"}]}`
	if got := n.op(t, "/readyz"); got.StatusCode != 503 || strings.TrimSpace(string(got.body)) != want {
		t.Errorf("failing: %s %s", got.Status, got.body)
	}
	if got := n.op(t, "/readyz"); !strings.Contains(string(got.body), `"hanging","error":"an earlier check has not come back"`) {
		t.Errorf("a second question: %s", got.body)
	}
	if got := n.op(t, "/healthz"); got.StatusCode != 200 {
		t.Errorf("health: %s", got.Status)
	}
	close(hang)
	<-back
}

func TestOpsPages(t *testing.T) {
	n := start(t, edge.Config{Telemetry: newTelemetry(t)}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/x/named" {
			edge.SetRoute(r.Context(), "/x/named")
		}
		hello(w, r)
	}))
	n.get(t, "/x/1")
	n.get(t, "/x/2")
	n.get(t, "/x/named")
	n.get(t, "/nowhere")
	metrics := string(n.op(t, "/metrics").body)
	for _, want := range []string{
		`http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="200",http_route="/x/{entity}",url_scheme="http"} 2`,
		`http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="200",http_route="/x/named",url_scheme="http"} 1`,
		`http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="404",url_scheme="http"} 1`,
		`http_server_active_requests{http_request_method="GET",url_scheme="http"} 0`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s in\n%s", want, metrics)
		}
	}
	if got := n.op(t, "/x"); got.StatusCode != 404 || !strings.Contains(string(got.body), "/readyz") {
		t.Errorf("ops: %s %s", got.Status, got.body)
	}
	if got := do(t, n.client, http.MethodPost, n.ops+"/healthz", nil); got.StatusCode != 405 {
		t.Errorf("POST: %s", got.Status)
	}
	for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
		if got := n.get(t, path); got.StatusCode != 404 {
			t.Errorf("%s on the public listener: %s", path, got.Status)
		}
	}
}

// The order of a stop: not ready, still serving, then no new connection, what
// runs finishes, and only then the operators' pages end.
func TestDrain(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	n := start(t, edge.Config{DrainDelay: 300 * time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/x/slow" {
			close(entered)
			<-release
			if r.Context().Err() != nil {
				t.Error("a request in flight was cancelled")
			}
		}
		_, _ = io.WriteString(w, "done")
	})
	slow := make(chan answer, 1)
	go func() {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.url+"/x/slow", nil)
		if err != nil {
			slow <- answer{}
			return
		}
		res, err := n.client.Do(req)
		if err != nil {
			slow <- answer{}
			return
		}
		defer func() { _ = res.Body.Close() }()
		body, _ := io.ReadAll(res.Body)
		slow <- answer{res, body}
	}()
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- n.group.Stop(t.Context()) }()

	waitFor(t, "not ready", func() bool { return n.op(t, "/readyz").StatusCode == 503 })
	if got := n.op(t, "/readyz"); !strings.Contains(string(got.body), "draining") {
		t.Errorf("readyz %s", got.body)
	}
	if got := n.get(t, "/x"); got.StatusCode != 200 || !got.Close {
		t.Errorf("while draining: %s, close %v", got.Status, got.Close)
	}
	waitFor(t, "the listener to close", func() bool {
		var d net.Dialer
		conn, err := d.DialContext(t.Context(), "tcp", n.Addr().String())
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	if got := n.op(t, "/healthz"); got.StatusCode != 200 {
		t.Errorf("health while finishing: %s", got.Status)
	}
	select {
	case err := <-stopped:
		t.Fatalf("stopped before the request finished: %v", err)
	default:
	}
	close(release)
	if got := <-slow; string(got.body) != "done" {
		t.Errorf("the request in flight got %q", got.body)
	}
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
}

func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestDrainIsBounded(t *testing.T) {
	entered := make(chan struct{})
	s, err := edge.New(edge.Config{
		Listen: "127.0.0.1:0", Ops: edge.OpsOff, DrainTimeout: 50 * time.Millisecond,
		Mounts: []edge.Mount{{Prefix: "/x", Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			close(entered)
			<-r.Context().Done()
		})}},
	})
	if err != nil {
		t.Fatal(err)
	}
	g := lifecycle.New(lifecycle.Part{Name: "edge", Start: s.Start, Stop: s.Stop})
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	write(t, conn, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
	<-entered
	begun := time.Now()
	if err := g.Stop(t.Context()); err == nil || !strings.Contains(err.Error(), "cut off") || time.Since(begun) > 3*time.Second {
		t.Errorf("after %v: %v", time.Since(begun), err)
	}
	if data, _ := io.ReadAll(conn); len(data) != 0 {
		t.Errorf("the connection was not cut off: %q", data)
	}
}

func TestAddressInUse(t *testing.T) {
	n := start(t, edge.Config{}, hello)
	for name, cfg := range map[string]edge.Config{
		"listen": {Listen: n.Addr().String(), Ops: "127.0.0.1:0"},
		"ops":    {Listen: "127.0.0.1:0", Ops: n.Addr().String()},
	} {
		s, err := edge.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		err = lifecycle.New(lifecycle.Part{Name: "edge", Start: s.Start, Stop: s.Stop}).Start(t.Context())
		if f := fault.From(err); !fault.Is(err, fault.ConfigInvalid) || !strings.Contains(f.Hint, "--"+name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBadCertificate(t *testing.T) {
	s, err := edge.New(edge.Config{Listen: "127.0.0.1:0", Ops: edge.OpsOff, TLS: edge.TLS{Cert: "/nowhere", Key: "/nowhere"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context(), lifecycle.Life{}); !fault.Is(err, fault.ConfigInvalid) {
		t.Errorf("%v", err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Errorf("stop before a start: %v", err)
	}
}

// With tracing on, the ids in the answer are the exported span's.
func TestTracing(t *testing.T) {
	var mu sync.Mutex
	var exported []byte
	collector := start(t, edge.Config{Mounts: []edge.Mount{{Prefix: "/v1/traces", Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		data, _ := io.ReadAll(r.Body)
		exported = append(exported, data...)
	})}}}, nil)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
	tel, err := telemetry.New(t.Context(), telemetry.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	n := start(t, edge.Config{Telemetry: tel}, hello)
	const trace = "0af7651916cd43dd8448eb211c80319c"
	got := n.get(t, "/x/7", "traceparent", "00-"+trace+"-b7ad6b7169203331-01")
	if got.Header.Get("X-Request-Id") != trace || !strings.HasPrefix(got.Header.Get("Traceparent"), "00-"+trace+"-") || !strings.HasSuffix(got.Header.Get("Traceparent"), "-01") {
		t.Errorf("header %v", got.Header)
	}
	if err := tel.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if !strings.Contains(string(exported), "GET /x/{entity}") || !strings.Contains(string(exported), "/x/7") {
		t.Errorf("exported %q", exported)
	}
}
