package webhooks_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/limit"
	"github.com/pandobase/pando/internal/outbound"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/teststore"
	"github.com/pandobase/pando/internal/webhooks"
)

// TestMain looks for goroutines without an owner; teststore's PostgreSQL lives as
// long as the process, with some of its own.
func TestMain(m *testing.M) {
	if os.Getenv(teststore.Variable) == teststore.Postgres {
		os.Exit(m.Run())
	}
	goleak.VerifyTestMain(m)
}

// world is webhooks on an empty store, with a clock and secrets that can be set.
type world struct {
	*testing.T
	driver  store.Driver
	out     *outbound.Outbound
	w       *webhooks.Webhooks
	clock   atomic.Int64 // ahead of the real one
	mu      sync.Mutex
	secrets map[string]string
	notices []webhooks.Notice
}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.clock.Load())) }

func (w *world) secret(name string) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if v, ok := w.secrets[name]; ok {
		return v, nil
	}
	return "", fault.New(fault.ConfigInvalid, "there is no secret %s", name)
}

func (w *world) setSecret(name, value string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.secrets[name] = value
}

func newWorld(t *testing.T, change ...func(*webhooks.Config)) *world {
	t.Helper()
	w := &world{T: t, driver: teststore.Open(t), secrets: map[string]string{"key": vectorSecret}}
	err := w.driver.Alter(t.Context(), func(tx store.Tx) error {
		for _, sql := range w.driver.Dialect().SystemDDL() {
			if _, err := tx.Exec(&store.Statement{SQL: sql}, nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if w.out, err = outbound.New(outbound.Config{Secrets: w.secret}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.out.Close)
	cfg := webhooks.Config{Driver: w.driver, Outbound: w.out, Secrets: w.secret, Now: w.now, FlushEvery: time.Hour, Notice: func(_ context.Context, n webhooks.Notice) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.notices = append(w.notices, n)
	}}
	for _, c := range change {
		c(&cfg)
	}
	w.w = webhooks.Open(t.Context(), cfg)
	t.Cleanup(func() {
		if err := w.w.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return w
}

// set declares endpoints on this machine.
func (w *world) set(endpoints ...webhooks.Endpoint) {
	w.Helper()
	for i := range endpoints {
		endpoints[i].Private = true
	}
	if err := w.w.Set(endpoints); err != nil {
		w.Fatal(err)
	}
}

func delivery(id string) webhooks.Delivery {
	return webhooks.Delivery{Endpoint: "warehouse", ID: id, Event: "order_paid", Body: []byte(`{"id":"` + id + `"}`), Try: 1}
}

func (w *world) deliver(d webhooks.Delivery) *webhooks.Failed {
	w.Helper()
	err := w.w.Deliver(w.Context(), d)
	if err == nil {
		return nil
	}
	f, ok := errors.AsType[*webhooks.Failed](err)
	if !ok {
		w.Fatal(err)
	}
	return f
}

func (w *world) status() webhooks.Status {
	w.Helper()
	list, err := w.w.List(w.Context())
	if err != nil || len(list) == 0 {
		w.Fatal(list, err)
	}
	return list[0]
}

func (w *world) recent() []webhooks.Entry {
	w.Helper()
	if err := w.w.Flush(w.Context()); err != nil {
		w.Fatal(err)
	}
	list, err := w.w.Recent(w.Context(), "warehouse", 1000)
	if err != nil {
		w.Fatal(err)
	}
	return list
}

// receiver is a server that answers a status and counts.
type receiver struct {
	*httptest.Server
	hits   atomic.Int64
	status atomic.Int64
	header http.Header
	last   atomic.Pointer[http.Request]
	body   atomic.Pointer[[]byte]
}

func receive(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{header: http.Header{}}
	r.status.Store(204)
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.hits.Add(1)
		data, _ := io.ReadAll(req.Body)
		r.body.Store(&data)
		r.last.Store(req)
		maps.Copy(w.Header(), r.header)
		w.WriteHeader(int(r.status.Load()))
	}))
	t.Cleanup(r.Close)
	return r
}

func TestDeliver(t *testing.T) {
	w, r := newWorld(t), receive(t)
	w.setSecret("url", r.URL+"/in?token=t0ken-of-the-url")
	w.set(webhooks.Endpoint{Name: "warehouse", URL: "secret:url", Sign: "key"})
	if f := w.deliver(delivery("e1")); f != nil {
		t.Fatal(f)
	}
	req, body := r.last.Load(), *r.body.Load()
	if req.Method != "POST" || req.RequestURI != "/in?token=t0ken-of-the-url" || req.Header.Get("Content-Type") != "application/cloudevents+json" || string(body) != `{"id":"e1"}` {
		t.Errorf("%s %s %v %s", req.Method, req.RequestURI, req.Header, body)
	}
	if v, err := webhooks.Verify(vectorSecret, req.Header, body, time.Now()); err != nil || v.ID != "e1" {
		t.Errorf("%+v, %v", v, err)
	}
	// A new key beside the old one signs at the next try.
	w.setSecret("key", "a-new-key-of-the-warehouse "+vectorSecret)
	second := delivery("e1")
	second.Try, second.ContentType = 2, "application/json"
	if f := w.deliver(second); f != nil {
		t.Fatal(f)
	}
	for _, key := range []string{"a-new-key-of-the-warehouse", vectorSecret} {
		if _, err := webhooks.Verify(key, r.last.Load().Header, body, time.Now()); err != nil {
			t.Error(err)
		}
	}
	list := w.recent()
	if len(list) != 1 || list[0].Outcome != webhooks.Delivered || list[0].Tries != 2 || list[0].Status != 204 || list[0].Event != "order_paid" {
		t.Errorf("%+v", list)
	}
	if s := w.status(); s.Endpoint != "warehouse" || s.Failures != 0 || s.Succeeded.IsZero() {
		t.Errorf("%+v", s)
	}
}

// TestFailures: what the answer is, and what it says of further tries.
func TestFailures(t *testing.T) {
	for name, tt := range map[string]struct {
		status    int
		header    http.Header
		permanent bool
		after     time.Duration
	}{
		"500": {500, nil, false, 0}, "404": {404, nil, false, 0}, "429": {429, http.Header{"Retry-After": {"120"}}, false, 2 * time.Minute},
		"503 for a year": {503, http.Header{"Retry-After": {"31536000"}}, false, 24 * time.Hour}, "410": {410, nil, true, 0},
		"302 to metadata": {302, http.Header{"Location": {"http://169.254.169.254/latest/"}}, false, 0}, "307": {307, http.Header{"Location": {"/again"}}, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w, r := newWorld(t), receive(t)
			w.set(webhooks.Endpoint{Name: "warehouse", URL: r.URL})
			r.status.Store(int64(tt.status))
			maps.Copy(r.header, tt.header)
			f := w.deliver(delivery("e1"))
			if f == nil || f.Permanent != tt.permanent || f.Deferred || f.After != tt.after || f.Status != tt.status || r.hits.Load() != 1 {
				t.Fatalf("%+v after %d requests", f, r.hits.Load())
			}
			s := w.status()
			if s.Failures != 1 || s.Failing.IsZero() || s.Disabled.IsZero() == tt.permanent || len(w.notices) != map[bool]int{true: 1}[tt.permanent] {
				t.Errorf("%+v, %v", s, w.notices)
			}
			list := w.recent()
			if want := map[bool]webhooks.Outcome{false: webhooks.Failing, true: webhooks.Lost}[tt.permanent]; len(list) != 1 || list[0].Outcome != want || list[0].Status != tt.status {
				t.Errorf("%+v", list)
			}
			if tt.permanent {
				return
			}
			r.status.Store(200)
			if f := w.deliver(delivery("e1")); f != nil {
				t.Fatal(f)
			}
			if s := w.status(); s.Failures != 0 || !s.Failing.IsZero() || s.Succeeded.IsZero() || s.Reason != "" {
				t.Errorf("after a success: %+v", s)
			}
			if list := w.recent(); list[0].Outcome != webhooks.Delivered || list[0].Error != "" {
				t.Errorf("%+v", list)
			}
		})
	}
}

// hostile answers a connection as a test likes, until it is told to end.
func hostile(t *testing.T, answer func(conn net.Conn, end <-chan struct{})) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	end := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer func() { _ = conn.Close() }()
				_, _ = conn.Read(make([]byte, 4096))
				answer(conn, end)
			})
		}
	})
	t.Cleanup(func() {
		close(end)
		_ = l.Close()
		all.Wait()
	})
	return "http://" + l.Addr().String()
}

// TestHostileReceivers is attack class 37 for webhooks, and the fault of a target
// that hangs: each ends in its time, takes no memory, and holds up nobody else.
func TestHostileReceivers(t *testing.T) {
	good := receive(t)
	megabyte := make([]byte, 1<<20)
	for name, tt := range map[string]struct {
		works  bool
		answer func(conn net.Conn, end <-chan struct{})
	}{
		"never answers": {false, func(_ net.Conn, end <-chan struct{}) { <-end }},
		"slow headers": {false, func(conn net.Conn, end <-chan struct{}) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
			for tick := time.NewTicker(10 * time.Millisecond); ; {
				select {
				case <-end:
					tick.Stop()
					return
				case <-tick.C:
				}
				if _, err := io.WriteString(conn, "X: y\r\n"); err != nil {
					tick.Stop()
					return
				}
			}
		}},
		"a body that does not end in time": {false, func(conn net.Conn, end <-chan struct{}) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
			<-end
		}},
		"10 GB": {true, func(conn net.Conn, _ <-chan struct{}) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
			for {
				if _, err := conn.Write(megabyte); err != nil {
					return
				}
			}
		}},
		"endless headers": {false, func(conn net.Conn, _ <-chan struct{}) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nX: ")
			for {
				if _, err := conn.Write([]byte(strings.Repeat("y", 1000))); err != nil {
					return
				}
			}
		}},
		"connection reset": {false, func(conn net.Conn, _ <-chan struct{}) { _ = conn.(*net.TCPConn).SetLinger(0) }},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.set(webhooks.Endpoint{Name: "warehouse", URL: hostile(t, tt.answer), Timeout: 300 * time.Millisecond}, webhooks.Endpoint{Name: "good", URL: good.URL})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			begin := time.Now()
			f := w.deliver(delivery("e1"))
			took := time.Since(begin)
			runtime.ReadMemStats(&after)
			if (f == nil) != tt.works || f != nil && (f.Permanent || f.Deferred) || took > 5*time.Second {
				t.Errorf("%+v in %v", f, took)
			}
			if grown := int64(after.TotalAlloc - before.TotalAlloc); grown > 8<<20 { //nolint:gosec // it only grows
				t.Errorf("it took %d MiB", grown>>20)
			}
			if tt.works {
				return
			}
			for i := range 10 { // then its breaker opens: tries are put off at no cost
				f = w.deliver(delivery(fmt.Sprint("x", i)))
			}
			if f == nil || !f.Deferred || f.After <= 0 {
				t.Errorf("the eleventh: %+v", f)
			}
			other := delivery("e1")
			other.Endpoint = "good"
			if f := w.deliver(other); f != nil {
				t.Errorf("another endpoint: %+v", f)
			}
			for _, e := range w.recent() {
				if e.Outcome != webhooks.Failing {
					t.Errorf("%+v", e)
				}
			}
		})
	}
}

// TestWebhookForgery is attack class 29 for webhooks: addresses that are not the
// internet's are not called, and the answer of a redirect is not followed.
func TestWebhookForgery(t *testing.T) {
	w, inside := newWorld(t), receive(t)
	port := inside.URL[strings.LastIndexByte(inside.URL, ':'):]
	for _, host := range []string{"127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[64:ff9b::127.0.0.1]", "0.0.0.0", "169.254.169.254", "10.0.0.1", "[fd00:ec2::254]"} {
		if err := w.w.Set([]webhooks.Endpoint{{Name: "warehouse", URL: "http://" + host + port}}); err != nil {
			t.Fatal(err)
		}
		if f := w.deliver(delivery("e1")); f == nil || !f.Permanent || !fault.Is(f, fault.OutboundRefused) {
			t.Errorf("%s: %+v", host, f)
		}
	}
	redirecting := receive(t)
	redirecting.status.Store(307)
	w.set(webhooks.Endpoint{Name: "warehouse", URL: redirecting.URL})
	for _, to := range []string{inside.URL, "http://169.254.169.254/", "http://[::ffff:127.0.0.1]" + port, "//127.0.0.1" + port, redirecting.URL + "/x"} {
		redirecting.header.Set("Location", to)
		if f := w.deliver(delivery("e1")); f == nil || f.Permanent || f.Deferred && redirecting.hits.Load() < 5 {
			t.Errorf("%s: %+v", to, f)
		}
	}
	if inside.hits.Load() != 0 || redirecting.hits.Load() != 5 {
		t.Errorf("%d and %d requests", inside.hits.Load(), redirecting.hits.Load())
	}
	if err := w.w.Set([]webhooks.Endpoint{{Name: "warehouse", URL: "file:///etc/passwd"}}); !fault.Is(err, fault.ConfigInvalid) {
		t.Errorf("a file: %v", err)
	}
}

// TestRevoked is attack class 34: nothing is sent to whom it was taken from.
func TestRevoked(t *testing.T) {
	w, r := newWorld(t), receive(t)
	ep := webhooks.Endpoint{Name: "warehouse", URL: r.URL, Sign: "key"}
	w.set(ep)
	if f := w.deliver(delivery("e0")); f != nil {
		t.Fatal(f)
	}
	refused := func(name string, permanent bool) {
		t.Helper()
		before := r.hits.Load()
		f := w.deliver(delivery("e1"))
		if f == nil || f.Permanent != permanent || r.hits.Load() != before {
			t.Errorf("%s: %+v, %d requests", name, f, r.hits.Load()-before)
		}
	}
	for _, secret := range badSecrets() {
		w.setSecret("key", secret)
		refused("with the secret "+secret, false)
	}
	w.mu.Lock()
	delete(w.secrets, "key")
	w.mu.Unlock()
	refused("without its secret", false)
	w.setSecret("key", vectorSecret)
	if err := w.w.Disable(t.Context(), "warehouse", "it leaks"); err != nil {
		t.Fatal(err)
	}
	refused("disabled", true)
	if s := w.status(); s.Reason != "it leaks" || s.Disabled.IsZero() {
		t.Errorf("%+v", s)
	}
	// Another node has disabled it, or this one was started again.
	again := webhooks.Open(t.Context(), webhooks.Config{Driver: w.driver, Outbound: w.out, Secrets: w.secret})
	if err := again.Set([]webhooks.Endpoint{{Name: "warehouse", URL: r.URL, Private: true}}); err != nil {
		t.Fatal(err)
	}
	before := r.hits.Load()
	if err := again.Deliver(t.Context(), delivery("e2")); err == nil || r.hits.Load() != before {
		t.Errorf("on another node: %v", err)
	}
	if err := again.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.w.Enable(t.Context(), "warehouse"); err != nil {
		t.Fatal(err)
	}
	if f := w.deliver(delivery("e3")); f != nil {
		t.Fatal(f)
	}
	w.set() // removed
	refused("removed", true)
	w.set(webhooks.Endpoint{Name: "other", URL: r.URL})
	refused("renamed", true)
	if err := w.w.Enable(t.Context(), "warehouse"); !fault.Is(err, fault.NotFound) {
		t.Errorf("enabled when it is gone: %v", err)
	}
	w.set(ep)
	for _, id := range []string{"", "a.b", "x\r\nX-Evil: 1", strings.Repeat("x", 300)} {
		if f := w.deliver(delivery(id)); f == nil || !f.Permanent {
			t.Errorf("the id %q: %+v", id, f)
		}
	}
}

// TestDisabledAfterDays: five days and five failures, told once.
func TestDisabledAfterDays(t *testing.T) {
	w, r := newWorld(t), receive(t)
	w.set(webhooks.Endpoint{Name: "warehouse", URL: r.URL, Timeout: time.Second})
	r.status.Store(500)
	fail := func(id string) {
		t.Helper()
		if f := w.deliver(delivery(id)); f == nil || f.Permanent || f.Deferred {
			t.Fatalf("%+v", f)
		}
	}
	fail("e1")
	w.clock.Store(int64(30 * 24 * time.Hour)) // a clock that jumps
	for i := range 3 {
		fail(fmt.Sprint("f", i))
	}
	if s := w.status(); !s.Disabled.IsZero() || len(w.notices) > 0 {
		t.Fatalf("disabled after four failures: %+v", s)
	}
	r.status.Store(200)
	if f := w.deliver(delivery("g")); f != nil {
		t.Fatal(f)
	}
	r.status.Store(500)
	for i := range 4 { // 5 in a row would open the breaker, which is not what this is about
		fail(fmt.Sprint("h", i))
	}
	w.clock.Add(int64(5*24*time.Hour - time.Minute))
	if s := w.status(); s.Failures != 4 || !s.Disabled.IsZero() {
		t.Fatalf("%+v", s)
	}
	w.clock.Add(int64(2 * time.Minute))
	fail("last")
	s := w.status()
	if s.Disabled.IsZero() || len(w.notices) != 1 || w.notices[0].Endpoint != "warehouse" || !w.notices[0].Since.Equal(s.Failing) || !strings.Contains(s.Reason, "500") {
		t.Fatalf("%+v, %v", s, w.notices)
	}
	before := r.hits.Load()
	if f := w.deliver(delivery("later")); f == nil || !f.Permanent || r.hits.Load() != before || len(w.notices) != 1 {
		t.Errorf("%+v, %v", f, w.notices)
	}
}

func TestRate(t *testing.T) {
	w, r := newWorld(t), receive(t)
	w.set(webhooks.Endpoint{Name: "warehouse", URL: r.URL, Rate: limit.Rate{Count: 2, Per: time.Hour}})
	for i, deferred := range []bool{false, false, true, true} {
		if f := w.deliver(delivery(fmt.Sprint(i))); (f != nil) != deferred || f != nil && (!f.Deferred || f.After <= 0) {
			t.Errorf("number %d: %+v", i, f)
		}
	}
	if r.hits.Load() != 2 {
		t.Errorf("%d requests", r.hits.Load())
	}
}

// queue is where replays go.
type queue struct {
	list []webhooks.Delivery
	err  error
}

func (q *queue) Enqueue(_ context.Context, list []webhooks.Delivery) error {
	if q.err != nil {
		return q.err
	}
	q.list = append(q.list, list...)
	return nil
}

func TestReplay(t *testing.T) {
	w, r := newWorld(t), receive(t)
	w.set(webhooks.Endpoint{Name: "warehouse", URL: r.URL, Rate: limit.Rate{Count: 1 << 20, Per: time.Second}})
	if err := w.w.Disable(t.Context(), "warehouse", "a test"); err != nil {
		t.Fatal(err)
	}
	begin := w.now()
	const n = 250
	for i := range n {
		d := delivery(fmt.Sprintf("e%03d", i))
		d.Try = i%webhooks.Tries + 1
		if f := w.deliver(d); f == nil {
			t.Fatal("it was sent")
		}
	}
	end := w.now().Add(time.Millisecond)
	w.clock.Add(int64(time.Hour))
	var q queue
	if _, err := w.w.Replay(t.Context(), "warehouse", begin, end, &q); !fault.Is(err, fault.Conflict) {
		t.Fatalf("while it is disabled: %v", err)
	}
	if _, err := w.w.Replay(t.Context(), "warehose", begin, end, &q); !fault.Is(err, fault.NotFound) || !strings.Contains(fault.From(err).Hint, "warehouse") {
		t.Fatalf("of no endpoint: %v", err)
	}
	if err := w.w.Enable(t.Context(), "warehouse"); err != nil {
		t.Fatal(err)
	}
	q.err = errors.New("full")
	if got, err := w.w.Replay(t.Context(), "warehouse", begin, end, &q); got != 0 || err == nil {
		t.Fatalf("%d, %v", got, err)
	}
	q.err = nil
	if got, err := w.w.Replay(t.Context(), "warehouse", begin.Add(-time.Hour), begin.Add(-time.Minute), &q); got != 0 || err != nil {
		t.Fatalf("another time: %d, %v", got, err)
	}
	if got, err := w.w.Replay(t.Context(), "warehouse", begin.Add(-time.Second), end, &q); got != n || err != nil {
		t.Fatalf("%d, %v", got, err)
	}
	seen := map[string]bool{}
	for _, d := range q.list {
		if d.Try != 1 || string(d.Body) != `{"id":"`+d.ID+`"}` || d.Event != "order_paid" || seen[d.ID] {
			t.Fatalf("%+v", d)
		}
		seen[d.ID] = true
		if f := w.deliver(d); f != nil {
			t.Fatal(f)
		}
	}
	if got, err := w.w.Replay(t.Context(), "warehouse", begin, w.now().Add(time.Hour), &q); got != 0 || err != nil {
		t.Fatalf("replayed twice: %d, %v", got, err)
	}
	list := w.recent()
	if len(list) != n || list[0].Outcome != webhooks.Delivered {
		t.Errorf("%d entries", len(list))
	}
}

func TestPrune(t *testing.T) {
	w, r := newWorld(t, func(c *webhooks.Config) { c.KeepRows = 10 }), receive(t)
	w.set(webhooks.Endpoint{Name: "warehouse", URL: r.URL})
	for i := range 20 {
		w.clock.Add(int64(time.Second))
		if f := w.deliver(delivery(fmt.Sprint("old", i))); f != nil {
			t.Fatal(f)
		}
	}
	if err := w.w.Prune(t.Context()); err != nil || len(w.recent()) != 20 {
		t.Fatal("what is not stored yet is not there to be forgotten", err)
	}
	if err := w.w.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	if list := w.recent(); len(list) != 10 || list[0].ID != "old19" || list[9].ID != "old10" {
		t.Errorf("%d are left", len(list))
	}
	w.clock.Add(int64(8 * 24 * time.Hour))
	if f := w.deliver(delivery("new")); f != nil {
		t.Fatal(f)
	}
	if err := w.w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.w.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	if list := w.recent(); len(list) != 1 || list[0].ID != "new" {
		t.Errorf("%+v", list)
	}
}

// TestConcurrentDeliveries: no failure is lost in the count.
func TestConcurrentDeliveries(t *testing.T) {
	w := newWorld(t)
	w.set(webhooks.Endpoint{Name: "warehouse", URL: "http://127.0.0.1:1", Sign: "none"})
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for j := range 5 {
				_ = w.w.Deliver(t.Context(), delivery(fmt.Sprintf("e%d_%d", i, j)))
			}
		})
	}
	all.Wait()
	if s := w.status(); s.Failures != 20 {
		t.Errorf("%+v", s)
	}
	if n := len(w.recent()); n != 20 {
		t.Errorf("%d entries", n)
	}
}

func TestSchedule(t *testing.T) {
	t.Parallel()
	want := []time.Duration{0, 5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour}
	for i, d := range want {
		for random, most := range map[float64]time.Duration{0: d, 0.999999: d + d/5} {
			if got, ok := webhooks.Backoff(i+1, random); !ok || got < d || got > most {
				t.Errorf("try %d: %v", i+1, got)
			}
		}
	}
	for _, n := range []int{-1, 0, webhooks.Tries + 1, 1 << 40} {
		if _, ok := webhooks.Backoff(n, 0); ok {
			t.Errorf("there is a try %d", n)
		}
	}
	for _, tt := range []struct {
		n      int
		failed webhooks.Failed
		want   time.Duration
		ok     bool
	}{
		{2, webhooks.Failed{}, 5 * time.Second, true},
		{2, webhooks.Failed{After: time.Minute}, time.Minute, true},
		{2, webhooks.Failed{Permanent: true}, 0, false},
		{11, webhooks.Failed{Deferred: true, After: time.Second}, time.Second, true},
		{11, webhooks.Failed{}, 0, false},
		{3, webhooks.Failed{After: 1 << 62}, 24 * time.Hour, true},
	} {
		if got, ok := webhooks.Next(tt.n, &tt.failed, 0); got != tt.want || ok != tt.ok {
			t.Errorf("%+v: %v, %v", tt, got, ok)
		}
	}
}

func BenchmarkDeliver(b *testing.B) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }))
	defer s.Close()
	driver := teststore.Open(b)
	err := driver.Alter(b.Context(), func(tx store.Tx) error {
		for _, sql := range driver.Dialect().SystemDDL() {
			if _, err := tx.Exec(&store.Statement{SQL: sql}, nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	key := func(string) (string, error) { return vectorSecret, nil }
	out, err := outbound.New(outbound.Config{Secrets: key})
	if err != nil {
		b.Fatal(err)
	}
	defer out.Close()
	w := webhooks.Open(b.Context(), webhooks.Config{Driver: driver, Outbound: out, Secrets: key})
	defer func() { _ = w.Close(context.Background()) }()
	if err := w.Set([]webhooks.Endpoint{{Name: "warehouse", URL: s.URL, Sign: "key", Private: true, Rate: limit.Rate{Count: 1 << 30, Per: time.Second}}}); err != nil {
		b.Fatal(err)
	}
	var n atomic.Int64
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := w.Deliver(b.Context(), delivery(fmt.Sprint("e", n.Add(1)))); err != nil {
				b.Error(err)
			}
		}
	})
}
