package telemetry_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pandobase/pando/internal/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB) *telemetry.Telemetry {
	t.Helper()
	for _, name := range []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_SDK_DISABLED",
		"OTEL_TRACES_EXPORTER", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES",
	} {
		if tt, ok := t.(*testing.T); ok {
			tt.Setenv(name, "")
		}
	}
	return openAsIs(t)
}

func openAsIs(t testing.TB) *telemetry.Telemetry {
	t.Helper()
	tel, err := telemetry.New(t.Context(), telemetry.Config{Version: "1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 2 { // safe twice
			if err := tel.Close(context.WithoutCancel(t.Context())); err != nil {
				t.Errorf("close: %v", err)
			}
		}
	})
	return tel
}

func scrape(t testing.TB, tel *telemetry.Telemetry) string {
	t.Helper()
	w := httptest.NewRecorder()
	tel.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("scrape: %d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func wantLines(t *testing.T, metrics string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(metrics, "\n"+line) {
			t.Errorf("no line %q in\n%s", line, metrics)
		}
	}
}

func TestHTTPMetrics(t *testing.T) {
	tel := open(t)
	h, err := tel.NewHTTP("http")
	if err != nil {
		t.Fatal(err)
	}
	rest, none := h.Route("/rest/v1/{entity}"), h.Route("")
	h.Begin("GET")
	h.Begin("GET")
	h.Begin("BREW")
	h.End("BREW")
	rest.Record(t.Context(), "GET", 200, 300*time.Microsecond)
	rest.Record(t.Context(), "GET", 200, 2*time.Second)
	rest.Record(t.Context(), "POST", 503, time.Second)
	none.Record(t.Context(), "BREW", 404, time.Second)
	none.Record(t.Context(), "GET", 9999, time.Second)
	metrics := scrape(t, tel)
	wantLines(t, metrics,
		`http_server_request_duration_seconds_bucket{http_request_method="GET",http_response_status_code="200",http_route="/rest/v1/{entity}",url_scheme="http",le="0.0005"} 1`,
		`http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="200",http_route="/rest/v1/{entity}",url_scheme="http"} 2`,
		`http_server_request_duration_seconds_sum{http_request_method="GET",http_response_status_code="200",http_route="/rest/v1/{entity}",url_scheme="http"} 2.0003`,
		`http_server_request_duration_seconds_count{error_type="503",http_request_method="POST",http_response_status_code="503",http_route="/rest/v1/{entity}",url_scheme="http"} 1`,
		`http_server_request_duration_seconds_count{http_request_method="_OTHER",http_response_status_code="404",url_scheme="http"} 1`,
		`http_server_request_duration_seconds_count{error_type="500",http_request_method="GET",http_response_status_code="500",url_scheme="http"} 1`,
		`http_server_active_requests{http_request_method="GET",url_scheme="http"} 2`,
		`target_info{service_name="pando",service_version="1.2.3"`,
	)
	if strings.Contains(metrics, "BREW") {
		t.Error("a caller's word became a label")
	}
	h.End("GET")
	h.End("GET")
	wantLines(t, scrape(t, tel),
		`http_server_active_requests{http_request_method="GET",url_scheme="http"} 0`)
}

func TestDBMetrics(t *testing.T) {
	tel := open(t)
	db, err := tel.NewDB("sqlite")
	if err != nil {
		t.Fatal(err)
	}
	sel, commit := db.Operation("select", "orders"), db.Operation("commit", "")
	sel.Record(t.Context(), 40*time.Microsecond, "")
	sel.Record(t.Context(), time.Millisecond, telemetry.ErrorType(context.DeadlineExceeded))
	sel.Record(t.Context(), time.Millisecond, "timeout")
	commit.Record(t.Context(), time.Millisecond, telemetry.ErrorType(errors.New("x")))
	wantLines(t, scrape(t, tel),
		`db_client_operation_duration_seconds_bucket{db_collection_name="orders",db_operation_name="select",db_system_name="sqlite",le="5e-05"} 1`,
		`db_client_operation_duration_seconds_count{db_collection_name="orders",db_operation_name="select",db_system_name="sqlite",error_type="timeout"} 2`,
		`db_client_operation_duration_seconds_count{db_operation_name="commit",db_system_name="sqlite",error_type="_OTHER"} 1`,
	)
}

func TestProcessAndRuntimeMetrics(t *testing.T) {
	metrics := scrape(t, open(t))
	wantLines(t, metrics, "go_goroutine_count ", "go_memory_used_bytes{", "go_memory_allocated_bytes_total ",
		`process_cpu_time_seconds_total{cpu_mode="user"} `, "process_uptime_seconds ")
}

// Two nodes in one process share nothing.
func TestNoGlobals(t *testing.T) {
	one, two := open(t), open(t)
	h, err := one.NewHTTP("http")
	if err != nil {
		t.Fatal(err)
	}
	h.Route("/x").Record(t.Context(), "GET", 200, time.Second)
	if strings.Contains(scrape(t, two), "/x") {
		t.Error("a measurement reached another telemetry")
	}
}

func TestNilRecordsNothing(t *testing.T) {
	var h *telemetry.HTTP
	h.Begin("GET")
	h.Route("/x").Record(t.Context(), "GET", 200, time.Second)
	h.End("GET")
	var db *telemetry.DB
	db.Operation("select", "x").Record(t.Context(), time.Second, "")
	var tracer *telemetry.Tracer
	if tracer.Enabled() {
		t.Error("a nil tracer is on")
	}
}

func TestTracesAreOffWithoutAnEndpoint(t *testing.T) {
	tracer := open(t).Tracer()
	if tracer.Enabled() {
		t.Fatal("tracing without an endpoint")
	}
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		got, span := tracer.Start(ctx, "GET /x")
		if got != ctx || span.IsRecording() {
			t.Error("a span was made")
		}
		span.End()
	}); n != 0 {
		t.Errorf("%v allocations for nothing", n)
	}
}

func TestTracesSwitchedOff(t *testing.T) {
	for name, value := range map[string]string{"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "none"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
			t.Setenv(name, value)
			if openAsIs(t).Tracer().Enabled() {
				t.Error("tracing although switched off")
			}
		})
	}
}

func TestTracesGoToTheEndpoint(t *testing.T) {
	var mu sync.Mutex
	var body []byte
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Path == "/v1/traces" {
			body, _ = io.ReadAll(r.Body)
		}
		w.WriteHeader(http.StatusOK)
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	t.Setenv("OTEL_SERVICE_NAME", "shop")
	tel, err := telemetry.New(t.Context(), telemetry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	_, span := tel.Tracer().Start(t.Context(), "the-span-name")
	span.End()
	if err := tel.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if !strings.Contains(string(body), "the-span-name") || !strings.Contains(string(body), "shop") {
		t.Errorf("the collector got %q", body)
	}
}

func BenchmarkRecord(b *testing.B) {
	tel := open(b)
	h, err := tel.NewHTTP("http")
	if err != nil {
		b.Fatal(err)
	}
	route := h.Route("/rest/v1/{entity}")
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		h.Begin("GET")
		route.Record(ctx, "GET", 200, 300*time.Microsecond)
		h.End("GET")
	}
}

func BenchmarkRecordDB(b *testing.B) {
	db, err := open(b).NewDB("sqlite")
	if err != nil {
		b.Fatal(err)
	}
	op := db.Operation("select", "orders")
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		op.Record(ctx, 300*time.Microsecond, "")
	}
}

func TestRecordAllocatesNothing(t *testing.T) {
	tel := open(t)
	h, err := tel.NewHTTP("http")
	if err != nil {
		t.Fatal(err)
	}
	route, ctx := h.Route("/x"), t.Context()
	if n := testing.AllocsPerRun(1000, func() {
		h.Begin("GET")
		route.Record(ctx, "GET", 200, time.Millisecond)
		h.End("GET")
	}); n != 0 {
		t.Errorf("%v allocations a request", n)
	}
}
