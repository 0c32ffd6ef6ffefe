package edge_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pandobase/pando/internal/edge"
	"github.com/pandobase/pando/internal/lifecycle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// buffer is a log that a test reads while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// node is a running edge.
type node struct {
	*edge.Server
	url, ops string
	group    *lifecycle.Group
	client   *http.Client
}

// start runs an edge with one door, /x, on free ports, until the test ends.
func start(t testing.TB, cfg edge.Config, handler http.HandlerFunc) *node {
	t.Helper()
	cfg.Listen, cfg.Ops = "127.0.0.1:0", "127.0.0.1:0"
	if handler != nil {
		cfg.Mounts = append(cfg.Mounts, edge.Mount{Prefix: "/x", Route: "/x/{entity}", Handler: handler})
	}
	s, err := edge.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{Server: s, group: lifecycle.New(lifecycle.Part{Name: "edge", Start: s.Start, Stop: s.Stop})}
	if err := n.group.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.client = &http.Client{Transport: &http.Transport{DisableCompression: true}}
	t.Cleanup(func() {
		n.client.CloseIdleConnections()
		// A connection that a client has opened and not used yet counts as busy
		// for 5 s to net/http: longer than that.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 15*time.Second)
		defer cancel()
		if err := n.group.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	scheme := "http"
	if cfg.TLS.Cert != "" {
		scheme = "https"
	}
	n.url, n.ops = scheme+"://"+s.Addr().String(), "http://"+s.OpsAddr().String()
	return n
}

// answer is a response that was read to its end.
type answer struct {
	*http.Response
	body []byte
}

func do(t testing.TB, c *http.Client, method, url string, body io.Reader, header ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res, data}
}

func (n *node) get(t testing.TB, path string, header ...string) answer {
	t.Helper()
	return do(t, n.client, http.MethodGet, n.url+path, nil, header...)
}

// wantProblem checks a problem document and returns its hint.
func wantProblem(t testing.TB, a answer, status int, code string) string {
	t.Helper()
	var doc struct {
		Type, Instance, Code, Message string
		Status                        int
		Hint                          *string
	}
	if err := json.Unmarshal(a.body, &doc); err != nil {
		t.Fatalf("%s: no problem document: %q", a.Status, a.body)
	}
	if a.StatusCode != status || doc.Status != status || doc.Code != code || doc.Type != "urn:pando:problem:"+code || doc.Message == "" {
		t.Errorf("%s %+v, want %d %s", a.Status, doc, status, code)
	}
	if id := a.Header.Get("X-Request-Id"); id == "" || id != doc.Instance {
		t.Errorf("instance %q, request id %q", doc.Instance, id)
	}
	if got := a.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("content type %q", got)
	}
	if doc.Hint == nil {
		return ""
	}
	return *doc.Hint
}

func hello(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"hello":"world"}`)
}

// readAll is a handler that reads the body and gives its errors on, as the
// doors do.
func readAll(s **edge.Server) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			edge.Problem(*s, w, r, fmt.Errorf("read: %w", err))
			return
		}
		_, _ = fmt.Fprintf(w, "%d", n)
	}
}

func TestRouting(t *testing.T) {
	at := func(name string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprintf(w, "%s %s", name, r.URL.Path) }
	}
	n := start(t, edge.Config{Mounts: []edge.Mount{
		{Prefix: "/rest/v1", Handler: at("rest")},
		{Prefix: "/rest/v1/rpc", Handler: at("rpc")},
		{Prefix: "/docs/", Handler: at("docs")},
		{Prefix: "/pando.app.*", Handler: at("calls")},
	}}, nil)
	for path, want := range map[string]string{
		"/rest/v1":            "rest /rest/v1",
		"/rest/v1/":           "rest /rest/v1/",
		"/rest/v1/orders?a=b": "rest /rest/v1/orders",
		"/rest/v1/rpc/place":  "rpc /rest/v1/rpc/place",
		"/rest/v1/rpcs":       "rest /rest/v1/rpcs",
		"/rest/v1//orders":    "rest /rest/v1//orders",
		"/rest/v1/a..b":       "rest /rest/v1/a..b",
		"/rest/v1/.hidden":    "rest /rest/v1/.hidden",
		"/rest/v1/%C3%A9":     "rest /rest/v1/é",
		"/docs":               "docs /docs",
		"/pando.app.a.v1.A/B": "calls /pando.app.a.v1.A/B",
	} {
		if got := n.get(t, path); string(got.body) != want || got.StatusCode != 200 {
			t.Errorf("%s: %s %q, want %q", path, got.Status, got.body, want)
		}
	}
	for path, hint := range map[string]string{"/rset/v1/orders": "/rest/v1", "/rest/v12": "/rest/v1", "/zzz": "/docs", "/doc": "/docs", "/rest": "", "/pando.apps/B": ""} {
		if got := wantProblem(t, n.get(t, path), 404, "not_found"); !strings.Contains(got, hint) {
			t.Errorf("%s: hint %q", path, got)
		}
	}
	for path, code := range map[string]string{
		"/rest/v1/../x": "bad_request", "/rest/v1/%2e%2e/x": "bad_request", "/rest/v1/..": "bad_request", "/./x": "bad_request",
		"/rest/v1/%00": "bad_request", "/rest/v1/a%0ab": "bad_request", "/rest/v1/..%5cx": "bad_request", "/rest/v1/%ff": "22021",
	} {
		wantProblem(t, rawGet(t, n, path), 400, code)
	}
}

// rawGet asks without the client's cleaning of the path.
func rawGet(t *testing.T, n *node, path string) answer {
	t.Helper()
	return raw(t, n, "GET "+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
}

// raw sends text and reads one answer.
func raw(t *testing.T, n *node, text string) answer {
	t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", n.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return readAnswer(t, conn)
}

func readAnswer(t *testing.T, conn net.Conn) answer {
	t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res, data}
}

func TestFrontPage(t *testing.T) {
	n := start(t, edge.Config{}, nil)
	got := n.get(t, "/")
	if got.StatusCode != 200 || !strings.Contains(string(got.body), `href="/docs"`) || !strings.HasPrefix(got.Header.Get("Content-Type"), "text/html") {
		t.Errorf("%s %q", got.Status, got.body)
	}
	for name, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "X-Frame-Options": "DENY",
		"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
	} {
		if got.Header.Get(name) != want {
			t.Errorf("%s: %q", name, got.Header.Get(name))
		}
	}
	post := do(t, n.client, http.MethodPost, n.url+"/", nil)
	wantProblem(t, post, 405, "PGRST101")
	if post.Header.Get("Allow") != "GET, HEAD" {
		t.Error("405 without Allow")
	}
	head := do(t, n.client, http.MethodHead, n.url+"/", nil)
	if head.StatusCode != 200 || head.Header.Get("Content-Length") != got.Header.Get("Content-Length") {
		t.Errorf("HEAD: %s %v", head.Status, head.Header)
	}
}

func TestSetMounts(t *testing.T) {
	n := start(t, edge.Config{}, hello)
	next := []edge.Mount{{Prefix: "/y", Handler: http.HandlerFunc(hello)}}
	if err := n.SetMounts(append(next, edge.Mount{Prefix: "z"})); err == nil {
		t.Error("a mount without a slash or handler was taken")
	}
	if got := n.get(t, "/x"); got.StatusCode != 200 {
		t.Errorf("after a refused exchange: %s", got.Status)
	}
	if err := n.SetMounts(next); err != nil {
		t.Fatal(err)
	}
	wantProblem(t, n.get(t, "/x"), 404, "not_found")
	if got := n.get(t, "/y"); got.StatusCode != 200 {
		t.Errorf("after the exchange: %s", got.Status)
	}
}

func TestRequestID(t *testing.T) {
	n := start(t, edge.Config{}, func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, edge.RequestIDOf(r))
	})
	const trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	for _, valid := range []string{"00-" + trace + "-" + span + "-01", "cc-" + trace + "-" + span + "-01-what-comes"} {
		got := n.get(t, "/x", "traceparent", valid)
		if string(got.body) != trace || got.Header.Get("X-Request-Id") != trace {
			t.Errorf("id %q %q", got.body, got.Header.Get("X-Request-Id"))
		}
		back := got.Header.Get("Traceparent")
		if !strings.HasPrefix(back, "00-"+trace+"-") || !strings.HasSuffix(back, "-01") || strings.Contains(back, span) || len(back) != 55 {
			t.Errorf("traceparent %q", back)
		}
	}
	seen := map[string]bool{}
	for _, invalid := range []string{
		"", "garbage", "00-" + trace + "-" + span, "ff-" + trace + "-" + span + "-01", "00-" + trace + "-" + span + "-01-more",
		"00-" + strings.ToUpper(trace) + "-" + span + "-01", "00-" + strings.Repeat("0", 32) + "-" + span + "-01",
		"00-" + trace + "-" + strings.Repeat("0", 16) + "-01", "00_" + trace + "-" + span + "-01", "cc-" + trace + "-" + span + "-01x",
		"00-" + trace + "-" + span + "-zz",
	} {
		id := string(n.get(t, "/x", "traceparent", invalid).body)
		if len(id) != 32 || strings.EqualFold(id, trace) || seen[id] || strings.Trim(id, "0") == "" {
			t.Errorf("%q: id %q", invalid, id)
		}
		seen[id] = true
	}
	if edge.RequestID(t.Context()) != "" {
		t.Error("an id outside a request")
	}
	edge.SetCaller(t.Context(), "x") // nothing to name, and no panic
}

func TestContextEndsInTime(t *testing.T) {
	type seen struct{ err, after error }
	results := make(chan seen, 1)
	n := start(t, edge.Config{Limits: edge.Limits{Request: 50 * time.Millisecond}}, func(_ http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		before := ctx.Err()
		if _, ok := ctx.Deadline(); !ok {
			t.Error("no deadline")
		}
		if r.URL.Path == "/x/child" {
			child, cancel := context.WithCancel(ctx)
			defer cancel()
			<-child.Done()
			results <- seen{before, child.Err()}
			return
		}
		if r.URL.Path == "/x/err" {
			for ctx.Err() == nil {
				time.Sleep(time.Millisecond) // a handler that only looks
			}
			results <- seen{before, ctx.Err()}
			return
		}
		<-ctx.Done()
		results <- seen{before, context.Cause(ctx)}
	})
	for _, path := range []string{"/x/done", "/x/child", "/x/err"} {
		n.get(t, path)
		if got := <-results; got.err != nil || got.after != context.DeadlineExceeded { //nolint:errorlint // the very value is the contract of context
			t.Errorf("%s: %+v", path, got)
		}
	}
}

// The children of a request's context hang in it: they cost no goroutine.
func TestContextHasCheapChildren(t *testing.T) {
	n := start(t, edge.Config{}, func(_ http.ResponseWriter, r *http.Request) {
		before := runtime.NumGoroutine()
		for range 100 {
			_, cancel := context.WithCancel(r.Context())
			defer cancel()
		}
		if after := runtime.NumGoroutine(); after > before+50 {
			t.Errorf("%d goroutines, %d before", after, before)
		}
	})
	n.get(t, "/x")
}

func TestContextEndsWithTheClient(t *testing.T) {
	entered, ended := make(chan struct{}), make(chan error, 1)
	n := start(t, edge.Config{}, func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
		ended <- r.Context().Err()
	})
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.url+"/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() { <-entered; cancel() }()
	if res, err := n.client.Do(req); err == nil {
		_ = res.Body.Close()
		t.Error("the request succeeded")
	}
	if err := <-ended; err != context.Canceled { //nolint:errorlint // the very value is the contract of context
		t.Errorf("the handler saw %v", err)
	}
}

func TestPanic(t *testing.T) {
	var log buffer
	n := start(t, edge.Config{Logger: slog.New(slog.NewJSONHandler(&log, nil))}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("ETag", `"void"`)
		switch r.URL.Path {
		case "/x/held": // small and compressible: not yet sent
			_, _ = io.WriteString(w, `{"half":`)
		case "/x/sent":
			_, _ = io.WriteString(w, `{"half":`)
			w.(http.Flusher).Flush() //nolint:forcetypeassert // the edge promises it
		case "/x/abort":
			panic(http.ErrAbortHandler)
		case "/x/fine":
			return
		}
		panic("kaboom with a cause")
	})
	for _, path := range []string{"/x/early", "/x/held"} {
		got := n.get(t, path, "Accept-Encoding", "gzip", "Origin", "https://a.example")
		wantProblem(t, got, 500, "XX000")
		if strings.Contains(string(got.body), "kaboom") || got.Header.Get("ETag") != "" || got.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %v %s", path, got.Header, got.body)
		}
		if line := log.String(); !strings.Contains(line, "kaboom with a cause") || !strings.Contains(line, "edge_test.go") || !strings.Contains(line, got.Header.Get("X-Request-Id")) {
			t.Errorf("log %s", line)
		}
	}
	for _, path := range []string{"/x/sent", "/x/abort"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := n.client.Do(req)
		if err == nil {
			_, err = io.ReadAll(res.Body)
			_ = res.Body.Close()
		}
		if err == nil {
			t.Errorf("%s: a part passed for the whole", path)
		}
	}
	if got := n.get(t, "/x/fine"); got.StatusCode != 200 {
		t.Errorf("after the panics: %s", got.Status)
	}
}

func TestAccessLog(t *testing.T) {
	var log buffer
	n := start(t, edge.Config{Access: slog.NewJSONHandler(&log, nil)}, func(w http.ResponseWriter, r *http.Request) {
		edge.SetCaller(r.Context(), "key_123")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, "12345")
	})
	got := n.get(t, "/x/orders?apikey=hunter2", "Authorization", "Bearer hunter2", "X-Forwarded-For", "6.6.6.6")
	n.get(t, "/nothing%0ahere")
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines: %s", len(lines), log.String())
	}
	var line map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &line); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"msg": "request", "level": "INFO", "method": "GET", "path": "/x/orders", "status": 201.0, "bytes": 5.0,
		"request_id": got.Header.Get("X-Request-Id"), "remote": "127.0.0.1", "caller": "key_123",
	} {
		if line[name] != want {
			t.Errorf("%s: %v, want %v", name, line[name], want)
		}
	}
	if d, ok := line["duration_us"].(float64); !ok || d < 0 {
		t.Errorf("duration %v", line["duration_us"])
	}
	if strings.Contains(log.String(), "hunter2") || strings.Contains(log.String(), "6.6.6.6") {
		t.Errorf("log %s", log.String())
	}
	if !strings.Contains(lines[1], `"status":400`) || strings.Contains(lines[1], "caller") {
		t.Errorf("line %s", lines[1])
	}
}
