package edge_test

import (
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/pandobase/pando/internal/edge"
	"github.com/pandobase/pando/internal/telemetry"
)

// nothing is a response writer that costs nothing, so that a benchmark shows
// the edge alone.
type nothing struct{ h http.Header }

func (n *nothing) Header() http.Header       { return n.h }
func (*nothing) WriteHeader(int)             {}
func (*nothing) Write(p []byte) (int, error) { return len(p), nil }

func constant(w http.ResponseWriter, _ *http.Request) {
	body := []byte(`{"hello":"world"}`)
	w.Header()["Content-Type"] = []string{"application/json"}
	_, _ = w.Write(body)
}

// BenchmarkOverhead is a constant handler behind the edge, with metrics and
// the access log, and by itself: the difference is what the edge costs.
func BenchmarkOverhead(b *testing.B) {
	log := telemetry.NewAsyncWriter(io.Discard)
	defer func() { _ = log.Close() }()
	access, err := telemetry.NewAccessHandler(telemetry.LogConfig{Format: "json", Writer: log})
	if err != nil {
		b.Fatal(err)
	}
	full := edge.Config{Telemetry: newTelemetry(b), Access: access}
	for _, bm := range []struct {
		name string
		cfg  *edge.Config
	}{{"bare", nil}, {"quiet", &edge.Config{}}, {"full", &full}} {
		b.Run(bm.name, func(b *testing.B) {
			var h http.Handler = http.HandlerFunc(constant)
			if bm.cfg != nil {
				cfg := *bm.cfg
				cfg.Mounts = []edge.Mount{{Prefix: "/docs", Handler: h}, {Prefix: "/rest/v1", Handler: h}}
				s, err := edge.New(cfg)
				if err != nil {
					b.Fatal(err)
				}
				h = s.Handler()
			}
			req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://127.0.0.1/rest/v1/orders?id=eq.1", nil)
			if err != nil {
				b.Fatal(err)
			}
			req.RequestURI, req.RemoteAddr = "/rest/v1/orders?id=eq.1", "127.0.0.1:5555"
			for _, kv := range [][2]string{{"Accept", "application/json"}, {"Accept-Encoding", "gzip"}, {"Apikey", "pando_sec_x"}, {"User-Agent", "bench"}} {
				req.Header.Set(kv[0], kv[1])
			}
			w := &nothing{h: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.h)
				h.ServeHTTP(w, req)
			}
		})
	}
}
