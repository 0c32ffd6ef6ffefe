package edge_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/edge"
)

// endless is a body without an end.
type endless struct{ sent atomic.Int64 }

func (e *endless) Read(p []byte) (int, error) {
	e.sent.Add(int64(len(p)))
	return len(p), nil
}

func (*endless) Close() error { return nil }

func TestBodyLimit(t *testing.T) {
	var s *edge.Server
	n := start(t, edge.Config{Limits: edge.Limits{Body: 1000}}, readAll(&s))
	s = n.Server
	chunked := func(size int) io.Reader { return io.MultiReader(bytes.NewReader(make([]byte, size))) } // of unknown length
	for name, body := range map[string]io.Reader{"known": bytes.NewReader(make([]byte, 1000)), "chunked": chunked(1000)} {
		if got := do(t, n.client, http.MethodPost, n.url+"/x", body); got.StatusCode != 200 || string(got.body) != "1000" {
			t.Errorf("%s, just enough: %s %s", name, got.Status, got.body)
		}
	}
	for name, body := range map[string]io.Reader{
		"known": bytes.NewReader(make([]byte, 1001)), "chunked": chunked(1001), "ten megabytes": bytes.NewReader(make([]byte, 10<<20)),
	} {
		got := do(t, n.client, http.MethodPost, n.url+"/x", body)
		wantProblem(t, got, 413, "body_too_large")
		if !got.Close {
			t.Errorf("%s: the connection goes on although its body was not read", name)
		}
	}
}

// A handler that does not look at its body is not asked to: the length alone
// refuses, and the client need not send.
func TestBodyLimitComesFirst(t *testing.T) {
	n := start(t, edge.Config{}, func(http.ResponseWriter, *http.Request) { t.Error("the handler was reached") })
	got := raw(t, n, "POST /x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 10737418240\r\n\r\n")
	wantProblem(t, got, 413, "body_too_large")
}

func TestEndlessBodyCostsNoMemory(t *testing.T) {
	var s *edge.Server
	n := start(t, edge.Config{}, readAll(&s))
	s = n.Server
	for name, client := range map[string]*http.Client{"HTTP/1.1": n.client, "h2c": h2c(t)} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		body := &endless{}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.url+"/x", body)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err == nil { // over HTTP/1.1 the client may see its broken pipe first
			data, readErr := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if readErr != nil {
				t.Fatal(readErr)
			}
			wantProblem(t, answer{res, data}, 413, "body_too_large")
		}
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 {
			t.Errorf("%s: %d bytes allocated", name, grown)
		}
		if sent := body.sent.Load(); sent > 64<<20 {
			t.Errorf("%s: %d bytes were taken", name, sent)
		}
	}
	if got := n.get(t, "/x"); got.StatusCode != 200 {
		t.Errorf("afterwards: %s", got.Status)
	}
}

func TestHeaderLimit(t *testing.T) {
	n := start(t, edge.Config{Limits: edge.Limits{Header: 8 << 10}}, hello)
	if got := n.get(t, "/x", "X-Big", strings.Repeat("x", 7<<10)); got.StatusCode != 200 {
		t.Errorf("just enough: %s", got.Status)
	}
	many := make([]string, 0, 400)
	for range 200 {
		many = append(many, "X", "") // 200 headers of a few bytes each
	}
	for name, got := range map[string]answer{
		"one":  n.get(t, "/x", "X-Big", strings.Repeat("x", 9<<10)),
		"line": n.get(t, "/x?q="+strings.Repeat("x", 9<<10)),
		"many": n.get(t, "/x", append(many, many...)...),
		"h2c":  do(t, h2c(t), http.MethodGet, n.url+"/x", nil, "X-Big", strings.Repeat("x", 9<<10)),
	} {
		t.Run(name, func(t *testing.T) { wantProblem(t, got, 431, "header_too_large") })
	}
	if got := n.get(t, "/x", "X-Big", strings.Repeat("x", 100<<10)); got.StatusCode != 431 {
		t.Errorf("far too much: %s", got.Status)
	}
}

func TestSlowHeader(t *testing.T) {
	n := start(t, edge.Config{Limits: edge.Limits{ReadHeader: 100 * time.Millisecond}}, hello)
	conn := dial(t, n)
	write(t, conn, "GET /x HTTP/1.1\r\nHost: x\r\nX-Slow: ")
	begun := time.Now()
	data, err := io.ReadAll(conn)
	if err != nil || len(data) != 0 || time.Since(begun) > 3*time.Second {
		t.Errorf("after %v: %q %v", time.Since(begun), data, err)
	}
	if got := n.get(t, "/x"); got.StatusCode != 200 {
		t.Errorf("others: %s", got.Status)
	}
}

func TestSlowBody(t *testing.T) {
	var s *edge.Server
	n := start(t, edge.Config{Limits: edge.Limits{ReadBody: 100 * time.Millisecond}}, readAll(&s))
	s = n.Server
	t.Run("HTTP/1.1", func(t *testing.T) {
		conn := dial(t, n)
		write(t, conn, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nonly this")
		got := readAnswer(t, conn)
		wantProblem(t, got, 408, "request_timeout")
		if !got.Close {
			t.Error("the connection goes on")
		}
	})
	t.Run("h2c", func(t *testing.T) {
		r, w := io.Pipe()
		defer func() { _ = w.Close() }()
		wantProblem(t, do(t, h2c(t), http.MethodPost, n.url+"/x", r), 408, "request_timeout")
	})
}

// A body that no handler reads holds no connection for longer either.
func TestSlowBodyThatNobodyReads(t *testing.T) {
	n := start(t, edge.Config{Limits: edge.Limits{ReadBody: 100 * time.Millisecond}}, hello)
	conn := dial(t, n)
	write(t, conn, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nonly this")
	begun := time.Now()
	data, _ := io.ReadAll(conn) // to the end of the connection
	if !bytes.HasPrefix(data, []byte("HTTP/1.1 200")) || time.Since(begun) > 3*time.Second {
		t.Errorf("after %v: %q", time.Since(begun), data)
	}
}

// The deadline is the body's, not the handler's.
func TestLongWorkAfterTheBody(t *testing.T) {
	n := start(t, edge.Config{Limits: edge.Limits{ReadBody: 50 * time.Millisecond}}, func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Error(err)
		}
		select {
		case <-r.Context().Done():
			t.Errorf("the context ended: %v", r.Context().Err())
		case <-time.After(200 * time.Millisecond):
		}
		w.WriteHeader(http.StatusNoContent)
	})
	if got := do(t, n.client, http.MethodPost, n.url+"/x", strings.NewReader("body")); got.StatusCode != 204 {
		t.Errorf("%s", got.Status)
	}
}

func TestBrokenBodyIsTheClientsFault(t *testing.T) {
	var s *edge.Server
	n := start(t, edge.Config{}, readAll(&s))
	s = n.Server
	got := raw(t, n, "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
	wantProblem(t, got, 400, "bad_request")
}

func TestClientThatDoesNotRead(t *testing.T) {
	ended := make(chan error, 1)
	n := start(t, edge.Config{Limits: edge.Limits{Request: 100 * time.Millisecond, Write: 300 * time.Millisecond}},
		func(w http.ResponseWriter, _ *http.Request) {
			chunk := make([]byte, 1<<20)
			for {
				if _, err := w.Write(chunk); err != nil {
					ended <- err
					return
				}
			}
		})
	conn := dial(t, n)
	write(t, conn, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
	select {
	case err := <-ended:
		t.Logf("ended with %v", err)
	case <-time.After(10 * time.Second):
		t.Error("the handler still writes")
	}
}

// A slow answer lives on for as long as the client accepts bytes.
func TestStreamOutlivesTheWriteLimit(t *testing.T) {
	n := start(t, edge.Config{Limits: edge.Limits{Request: 100 * time.Millisecond, Write: 200 * time.Millisecond}},
		func(w http.ResponseWriter, _ *http.Request) {
			for range 12 {
				_, _ = io.WriteString(w, "event\n")
				if err := http.NewResponseController(w).Flush(); err != nil {
					t.Error(err)
				}
				time.Sleep(50 * time.Millisecond) // what a stream waits for
			}
		})
	for name, client := range map[string]*http.Client{"HTTP/1.1": n.client, "h2c": h2c(t)} {
		if got := do(t, client, http.MethodGet, n.url+"/x", nil); strings.Count(string(got.body), "event\n") != 12 {
			t.Errorf("%s: %q", name, got.body)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	tests := []struct {
		name string
		cfg  edge.Config
		want string
	}{
		{"listen", edge.Config{Listen: "7263"}, `listen: "7263" is no address`},
		{"ops", edge.Config{Ops: "localhost"}, `ops: "localhost" is no address`},
		{"same", edge.Config{Listen: "127.0.0.1:1", Ops: "127.0.0.1:1"}, "never on the public listener"},
		{"tls", edge.Config{TLS: edge.TLS{Cert: "x"}}, "cert and key go together"},
		{"body", edge.Config{Limits: edge.Limits{Body: -1}}, "body is out of range"},
		{"write", edge.Config{Limits: edge.Limits{Request: time.Minute, Write: time.Second}}, "write is out of range"},
		{"origin", edge.Config{Origins: []string{"shop.example"}}, `"shop.example" is no origin`},
		{"mount", edge.Config{Mounts: []edge.Mount{{Prefix: "x", Handler: http.HandlerFunc(hello)}}}, "does not begin with a slash"},
		{"handler", edge.Config{Mounts: []edge.Mount{{Prefix: "/x"}}}, "has no handler"},
		{"twice", edge.Config{Mounts: []edge.Mount{
			{Prefix: "/x", Handler: http.HandlerFunc(hello)}, {Prefix: "/x/", Handler: http.HandlerFunc(hello)},
		}}, "is there twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := edge.New(tt.cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
	_, err := edge.New(edge.Config{Listen: "1", Ops: "2", Limits: edge.Limits{Idle: -1}})
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("not all at once: %v", err)
	}
}

func dial(t *testing.T, n *node) net.Conn {
	t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", n.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func write(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

// h2c is a client that begins with HTTP/2 without TLS.
func h2c(t testing.TB) *http.Client {
	t.Helper()
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	tr := &http.Transport{Protocols: &p, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func TestManyStreamsOnOneConnection(t *testing.T) {
	release := make(chan struct{})
	entered := make(chan struct{}, 100)
	n := start(t, edge.Config{Limits: edge.Limits{Streams: 3}}, func(w http.ResponseWriter, _ *http.Request) {
		entered <- struct{}{}
		<-release
		w.WriteHeader(http.StatusNoContent)
	})
	client := h2c(t)
	results := make(chan int, 9)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 9 {
		go func() {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.url+"/x", nil)
			if err != nil {
				results <- -1
				return
			}
			res, err := client.Do(req)
			if err != nil {
				results <- -1
				return
			}
			_ = res.Body.Close()
			results <- res.StatusCode
		}()
	}
	for range 3 {
		<-entered
	}
	close(release)
	for range 9 {
		if status := <-results; status != 204 {
			t.Errorf("status %d", status)
		}
	}
}
