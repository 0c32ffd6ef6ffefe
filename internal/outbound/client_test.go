package outbound_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/outbound"
)

func TestRetries(t *testing.T) {
	t.Parallel()
	var keys sync.Map
	for _, tt := range []struct {
		name, method  string
		retry         int
		answers       []int // the last one stays
		after         string
		given         string // Idempotency-Key
		status, tries int
	}{
		{"a GET until it works", "GET", 3, []int{503, 502, 200}, "", "", 200, 3},
		{"no more than that", "GET", 2, []int{503}, "", "", 503, 3},
		{"never", "GET", 0, []int{503, 200}, "", "", 503, 1},
		{"a POST with a key", "POST", 2, []int{503, 200}, "", "", 200, 2},
		{"a PATCH with its own", "PATCH", 1, []int{429, 200}, "", "mine", 200, 2},
		{"a DELETE", "DELETE", 1, []int{504, 204}, "", "", 204, 2},
		{"what is the caller's fault", "GET", 3, []int{400, 200}, "", "", 400, 1},
		{"what is not temporary", "GET", 3, []int{500, 200}, "", "", 500, 1},
		{"at once, it says", "GET", 1, []int{503, 200}, "0", "", 200, 2},
		{"not soon, it says", "GET", 1, []int{503, 200}, "3600", "", 503, 1},
		{"not soon, as a date", "GET", 1, []int{429, 200}, time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), "", 429, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var n atomic.Int64
			var first atomic.Value
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				i := int(n.Add(1)) - 1
				key := r.Header.Get("Idempotency-Key")
				if body, _ := io.ReadAll(r.Body); r.Method != "GET" && r.Method != "DELETE" && string(body) != "body" {
					t.Errorf("try %d has the body %q", i, body)
				}
				if !first.CompareAndSwap(nil, key) && first.Load() != key {
					t.Errorf("try %d has another key", i)
				}
				if tt.after != "" {
					w.Header().Set("Retry-After", tt.after)
				}
				w.WriteHeader(tt.answers[min(i, len(tt.answers)-1)])
			})
			req := &outbound.Request{Method: tt.method, Header: http.Header{}}
			if tt.method == "POST" || tt.method == "PATCH" {
				req.Body = []byte("body")
			}
			if tt.given != "" {
				req.Header.Set("Idempotency-Key", tt.given)
			}
			c := client(t, outbound.Target{URL: s.URL, Retry: tt.retry})
			resp, err := c.Do(t.Context(), req)
			if err != nil || resp.Status != tt.status || resp.Tries != tt.tries || int(s.hits.Load()) != tt.tries {
				t.Fatalf("%+v after %d requests, %v", resp, s.hits.Load(), err)
			}
			key, _ := first.Load().(string)
			if wants := req.Body != nil; wants != (key != "") || tt.given != "" && key != tt.given {
				t.Errorf("its key is %q", key)
			}
			if _, twice := keys.LoadOrStore(key, true); twice && key != "" {
				t.Errorf("the key %s was used before", key)
			}
		})
	}
}

// TestRetryAfterIsHeld: a second try does not come before the target wants it.
func TestRetryAfterIsHeld(t *testing.T) {
	t.Parallel()
	var at [2]time.Time
	s := serve(t, nil)
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := s.hits.Add(1)
		at[n-1] = time.Now()
		if n == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(429)
		}
	})
	c := client(t, outbound.Target{URL: s.URL, Retry: 1})
	if resp := get(t, c, ""); resp.Status != 200 {
		t.Fatal(resp.Status)
	}
	if d := at[1].Sub(at[0]); d < time.Second {
		t.Errorf("tried again after %v", d)
	}
	// Where the caller's time ends before, the first answer is the answer, at once.
	s.hits.Store(0)
	ctx, cancel := context.WithTimeout(t.Context(), 900*time.Millisecond)
	defer cancel()
	begin := time.Now()
	resp, err := c.Do(ctx, &outbound.Request{})
	if err != nil || resp.Status != 429 || time.Since(begin) > 500*time.Millisecond {
		t.Errorf("%v, %v after %v", resp, err, time.Since(begin))
	}
}

func TestConnections(t *testing.T) {
	t.Parallel()
	reset := raw(t, func(conn net.Conn, _ string) { _ = conn.(*net.TCPConn).SetLinger(0) })
	half := raw(t, func(conn net.Conn, _ string) {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
	})
	garbage := raw(t, func(conn net.Conn, _ string) { _, _ = io.WriteString(conn, "SSH-2.0-x\r\n\r\n") })
	notGzip := raw(t, func(conn net.Conn, _ string) {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 20\r\n\r\nthis is not gzip....")
	})
	closed := httptest.NewServer(nil)
	closed.Close()
	tls := httptest.NewTLSServer(http.HandlerFunc(ok))
	t.Cleanup(tls.Close)
	tls.Config.ErrorLog, tls.Config.Handler = nil, http.HandlerFunc(ok)
	plain := serve(t, ok)
	for name, tt := range map[string]struct{ url, details string }{
		"reset": {reset, "the connection broke"}, "half an answer": {half, "the connection broke"}, "not HTTP": {garbage, "its answer cannot be read"},
		"not gzip": {notGzip, "its answer is not what its encoding says"}, "nobody listens": {closed.URL, "it cannot be connected to"}, "no such name": {"http://nowhere.invalid", "its host is not found"},
		"a certificate of nobody": {tls.URL, "its certificate is not valid"}, "no TLS": {"https" + strings.TrimPrefix(plain.URL, "http"), "it does not speak TLS"},
	} {
		c := of(t, open(t, outbound.Config{Resolver: resolver(t, nil)}), outbound.Target{URL: tt.url, Private: true, Retry: 1})
		_, err := c.Do(t.Context(), &outbound.Request{Path: "?token=abc"})
		f := failure(t, err, fault.IntegrationUnavailable, 502)
		if f.Details != tt.details || f.Cause == nil {
			t.Errorf("%s: %s (%v)", name, f.Details, f.Cause)
		}
	}
	roots := tls.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	c := of(t, open(t, outbound.Config{Roots: roots}), outbound.Target{URL: tls.URL, Private: true})
	if resp := get(t, c, ""); resp.Status != 200 {
		t.Errorf("a certificate that is known: %d", resp.Status)
	}
}

// TestTimeouts: headers or a body that do not come end the try; the caller's
// end ends the call.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	silent := func(conn net.Conn, _ string) { _, _ = conn.Read(make([]byte, 1)) } // until the client is gone
	variants := map[string]string{
		"nothing": raw(t, silent),
		"headers, one by one": raw(t, func(conn net.Conn, _ string) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nX: ")
			silent(conn, "")
		}),
		"no body": raw(t, func(conn net.Conn, _ string) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
			silent(conn, "")
		}),
	}
	for name, url := range variants {
		c := client(t, outbound.Target{URL: url, Timeout: 50 * time.Millisecond, Retry: 1, Breaker: outbound.Breaker{Failures: 2, Open: time.Hour}})
		_, err := c.Do(t.Context(), &outbound.Request{})
		if f := failure(t, err, fault.IntegrationUnavailable, 504); !errors.Is(f, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, f.Cause)
		}
		if _, err = c.Do(t.Context(), &outbound.Request{}); fault.From(err).HTTPStatus() != 503 {
			t.Errorf("%s: two tries that took too long do not open the breaker: %v", name, err)
		}
		patient := client(t, outbound.Target{URL: url, Breaker: outbound.Breaker{Failures: 1, Open: time.Hour}})
		for range 3 { // who goes away does not open it
			ctx, cancel := context.WithCancel(t.Context())
			timer := time.AfterFunc(20*time.Millisecond, cancel)
			_, err = patient.Do(ctx, &outbound.Request{})
			timer.Stop()
			cancel()
			if f := failure(t, err, fault.IntegrationUnavailable, 504); !errors.Is(f, context.Canceled) {
				t.Errorf("%s, canceled: %v", name, f)
			}
		}
	}
}

func TestBreaker(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	broken.Store(true)
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if broken.Load() {
			w.WriteHeader(500)
		}
	})
	other := serve(t, ok)
	o := open(t, outbound.Config{})
	c := of(t, o, outbound.Target{URL: s.URL, Private: true, Breaker: outbound.Breaker{Failures: 3, Open: 300 * time.Millisecond}})
	neighbour := of(t, o, outbound.Target{Name: "other", URL: other.URL, Private: true, Breaker: outbound.Breaker{Failures: 1}})
	for range 3 {
		if resp := get(t, c, ""); resp.Status != 500 {
			t.Fatal(resp.Status)
		}
	}
	for range 50 {
		_, err := c.Do(t.Context(), &outbound.Request{})
		if f := failure(t, err, fault.IntegrationUnavailable, 503); f.RetryAfter <= 0 {
			t.Fatalf("%+v", f)
		}
	}
	if n := s.hits.Load(); n != 3 {
		t.Errorf("%d requests arrived, 3 of them before it opened", n)
	}
	if resp := get(t, neighbour, ""); resp.Status != 200 {
		t.Error("another integration is stopped")
	}
	passes := func() bool {
		resp, err := c.Do(t.Context(), &outbound.Request{})
		return err == nil && resp.Status != 503
	}
	await(t, passes) // half open: the one that is let through fails
	if _, err := c.Do(t.Context(), &outbound.Request{}); fault.From(err).HTTPStatus() != 503 || s.hits.Load() != 4 {
		t.Errorf("after a failure it is not open: %v, %d requests", err, s.hits.Load())
	}
	broken.Store(false)
	await(t, passes)
	for range 10 {
		if resp := get(t, c, ""); resp.Status != 200 {
			t.Fatal(resp.Status)
		}
	}
}

// await waits for a condition.
func await(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); {
		if time.Now().After(deadline) {
			t.Fatal("it does not come")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestBulkhead(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s := serve(t, func(http.ResponseWriter, *http.Request) { <-release })
	c := client(t, outbound.Target{URL: s.URL, Concurrent: 2, QueueWait: time.Minute})
	quick := client(t, outbound.Target{URL: s.URL, Concurrent: 2, QueueWait: 10 * time.Millisecond})
	var all sync.WaitGroup
	var answered, full atomic.Int64
	call := func(c *outbound.Client) {
		resp, err := c.Do(t.Context(), &outbound.Request{})
		switch {
		case err == nil && resp.Status == 200:
			answered.Add(1)
		case fault.Is(err, fault.IntegrationUnavailable) && fault.From(err).HTTPStatus() == 503:
			full.Add(1)
		default:
			t.Error(err)
		}
	}
	for range 10 {
		all.Go(func() { call(c) })
	}
	await(t, func() bool { return full.Load() == 6 && s.hits.Load() == 2 }) // two run, two wait
	for range 4 {
		all.Go(func() { call(quick) })
	}
	await(t, func() bool { return full.Load() == 8 && s.hits.Load() == 4 }) // two waited in vain
	close(release)
	all.Wait()
	if answered.Load() != 6 {
		t.Errorf("%d were answered", answered.Load())
	}
}

func TestHedge(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.hits.Add(1)%2 == 1 {
			<-r.Context().Done()
			return
		}
		ok(w, r)
	})
	c := client(t, outbound.Target{URL: s.URL, Hedge: 20 * time.Millisecond, Breaker: outbound.Breaker{Failures: 1, Open: time.Hour}})
	for range 3 { // the loser does not count as a failure
		if resp := get(t, c, ""); string(resp.Body) != "ok" || resp.Tries != 2 {
			t.Fatalf("%+v", resp)
		}
	}
	before := s.hits.Load()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := c.Do(ctx, &outbound.Request{Method: "POST"}); err == nil || s.hits.Load() != before+1 {
		t.Errorf("a POST was sent %d times: %v", s.hits.Load()-before, err)
	}
}

func TestFallback(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Pando-Fallback", "true")
		switch r.URL.Path {
		case "/bad":
			w.WriteHeader(500)
		case "/none":
			w.WriteHeader(404)
		}
	})
	c := client(t, outbound.Target{URL: s.URL, Fallback: []byte(`{"rate":1}`)})
	resp := get(t, c, "/bad")
	if resp.Status != 200 || !resp.Fallback || resp.Header.Get(outbound.FallbackHeader) != "true" || string(resp.Body) != `{"rate":1}` {
		t.Errorf("%+v", resp)
	}
	resp.Body[1] = 'X'
	if again := get(t, c, "/bad"); string(again.Body) != `{"rate":1}` {
		t.Error("the fallback can be changed")
	}
	for _, path := range []string{"/none", "/good"} {
		if resp := get(t, c, path); resp.Fallback || resp.Header.Get(outbound.FallbackHeader) != "" {
			t.Errorf("%s: %+v", path, resp)
		}
	}
	if resp, err := c.Do(t.Context(), &outbound.Request{Method: "POST", Path: "/bad"}); err != nil || resp.Status != 500 {
		t.Errorf("a write has a fallback: %+v, %v", resp, err)
	}
	if _, err := c.Do(t.Context(), &outbound.Request{Path: "../x"}); !fault.Is(err, fault.OutboundRefused) {
		t.Errorf("a refusal has a fallback: %v", err)
	}
}

// TestRetryBudget: when everything fails, retries stay a fraction of the load.
func TestRetryBudget(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
	c := client(t, outbound.Target{URL: s.URL, Retry: 10, Concurrent: 50, QueueWait: time.Minute})
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			resp, err := c.Do(t.Context(), &outbound.Request{})
			if err != nil || resp.Status != 503 {
				t.Errorf("%+v, %v", resp, err)
			}
		})
	}
	all.Wait()
	if n := s.hits.Load(); n > 150 { // 1100 without a budget
		t.Errorf("100 calls became %d requests", n)
	} else {
		t.Logf("100 calls became %d requests", n)
	}
}

func TestMeters(t *testing.T) {
	t.Parallel()
	reader := sdkmetric.NewManualReader()
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	o := open(t, outbound.Config{Meter: provider.Meter("test")})
	s := serve(t, nil)
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if s.hits.Add(1) != 2 {
			w.WriteHeader(503)
		}
	})
	c := of(t, o, outbound.Target{URL: s.URL, Private: true, Retry: 1, Breaker: outbound.Breaker{Failures: 2, Open: time.Hour}})
	get(t, c, "")
	get(t, c, "?secret=of-a-caller") // two failures in a row
	_, _ = c.Do(t.Context(), &outbound.Request{Method: "get me\n"})
	var data metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &data); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, m := range data.ScopeMetrics[0].Metrics {
		var b bytes.Buffer
		switch d := m.Data.(type) {
		case metricdata.Histogram[float64]:
			for _, p := range d.DataPoints {
				b.WriteString(p.Attributes.Encoded(encoder{}) + ";")
			}
		case metricdata.Sum[int64]:
			for _, p := range d.DataPoints {
				b.WriteString(p.Attributes.Encoded(encoder{}) + "=" + string(rune('0'+p.Value)) + ";")
			}
		case metricdata.Gauge[int64]:
			for _, p := range d.DataPoints {
				b.WriteString(p.Attributes.Encoded(encoder{}) + "=" + string(rune('0'+p.Value)) + ";")
			}
		}
		got[m.Name] = b.String()
	}
	if got["pando.outbound.retries"] != "pando.integration:payments =2;" || got["pando.outbound.breaker"] != "pando.integration:payments =2;" || got["pando.outbound.active"] != "pando.integration:payments =0;" {
		t.Errorf("%v", got)
	}
	d := got["pando.outbound.duration"]
	if !strings.Contains(d, "http.request.method:GET http.response.status_code:200 ") || !strings.Contains(d, "_OTHER") || !strings.Contains(d, "error.type:refused") || strings.Contains(d, "caller") {
		t.Error(d)
	}
}

// TestClose: a closed client sends nothing more, and waits for what it sends.
func TestClose(t *testing.T) {
	t.Parallel()
	begun, release := make(chan struct{}), make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { close(begun); <-release; ok(w, r) })
	c := client(t, outbound.Target{URL: s.URL})
	var all sync.WaitGroup
	all.Go(func() {
		if resp, err := c.Do(t.Context(), &outbound.Request{}); err != nil || string(resp.Body) != "ok" {
			t.Errorf("what ran when it was closed: %+v, %v", resp, err)
		}
	})
	<-begun
	all.Go(c.Close)
	await(t, func() bool {
		_, err := c.Do(t.Context(), &outbound.Request{Path: "../x"})
		return fault.Is(err, fault.IntegrationUnavailable)
	})
	close(release)
	all.Wait()
	c.Close()
	if s.hits.Load() != 1 {
		t.Errorf("%d requests", s.hits.Load())
	}
}

func BenchmarkDo(b *testing.B) {
	s := httptest.NewServer(http.HandlerFunc(ok))
	defer s.Close()
	o, err := outbound.New(outbound.Config{Secrets: secrets})
	if err != nil {
		b.Fatal(err)
	}
	defer o.Close()
	c, err := o.Client(outbound.Target{Name: "x", URL: s.URL, Private: true, Retry: 2, Auth: outbound.Auth{Secret: "key"}, Breaker: outbound.Breaker{Failures: 5}})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Do(b.Context(), &outbound.Request{}); err != nil {
			b.Fatal(err)
		}
	}
}
