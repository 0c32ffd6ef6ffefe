package edge_test

import (
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/pandobase/pando/internal/edge"
)

func decode(t *testing.T, a answer) string {
	t.Helper()
	var r io.Reader = bytes.NewReader(a.body)
	switch coding := a.Header.Get("Content-Encoding"); coding {
	case "":
	case "gzip":
		gz, err := gzip.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		r = gz
	case "zstd":
		zr, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		defer zr.Close()
		r = zr
	default:
		t.Fatalf("coding %q", coding)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestCompression(t *testing.T) {
	long := strings.Repeat(`{"name":"value"},`, 500)
	n := start(t, edge.Config{}, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		h := w.Header()
		h.Set("Content-Type", "application/json; charset=utf-8")
		h.Set("ETag", `"strong"`)
		if v := q.Get("type"); v != "" {
			h.Set("Content-Type", v)
		}
		if v := q.Get("header"); v != "" {
			name, value, _ := strings.Cut(v, "=")
			h.Set(name, value)
		}
		body := long
		if q.Has("short") {
			body = long[:1023]
		}
		if q.Has("length") {
			h.Set("Content-Length", strconv.Itoa(len(body)))
		}
		if status, err := strconv.Atoi(q.Get("status")); err == nil {
			w.WriteHeader(status)
			if status == http.StatusNotModified || status == http.StatusNoContent {
				return
			}
		}
		if q.Has("pieces") {
			for piece := range strings.SplitAfterSeq(body, ",") {
				_, _ = io.WriteString(w, piece)
			}
			return
		}
		_, _ = w.Write([]byte(body))
	})
	tests := []struct {
		query, accept, want string
	}{
		{"", "gzip", "gzip"},
		{"length", "gzip", "gzip"},
		{"pieces", "gzip", "gzip"},
		{"pieces&length", "gzip", "gzip"},
		{"", "gzip, deflate, br, zstd", "zstd"},
		{"", "GZIP;q=0.9, zstd;q=0.5", "gzip"},
		{"", "gzip;q=0, zstd ; q=0.001", "zstd"},
		{"", "gzip;q=0", ""},
		{"", "gzip;q=NaN", ""},
		{"", "gzip;q=nonsense", ""},
		{"", "br, deflate, identity", ""},
		{"", "*", ""},
		{"short", "gzip", ""},
		{"short&length", "gzip", ""},
		{"short&pieces", "gzip", ""},
		{"type=image/png", "gzip", ""},
		{"type=text/event-stream", "gzip", ""},
		{"type=application/openapi%2Bjson", "gzip", "gzip"},
		{"type=text/csv", "zstd", "zstd"},
		{"header=Content-Encoding=br", "gzip", "br"},
		{"header=Content-Range=bytes 0-1/9", "gzip", ""},
		{"header=Content-Range=0-29/300&status=206", "gzip", "gzip"},
		{"header=Cache-Control=no-transform", "gzip", ""},
		{"status=404", "gzip", "gzip"},
		{"status=304", "gzip", ""},
		{"status=204", "gzip", ""},
	}
	for _, tt := range tests {
		t.Run(tt.query+" "+tt.accept, func(t *testing.T) {
			got := n.get(t, "/x?"+strings.ReplaceAll(tt.query, " ", "%20"), "Accept-Encoding", tt.accept)
			if coding := got.Header.Get("Content-Encoding"); coding != tt.want {
				t.Fatalf("coding %q, want %q", coding, tt.want)
			}
			if !strings.Contains(got.Header.Get("Vary"), "Accept-Encoding") || got.Header.Get("ETag") != `"strong"` {
				t.Errorf("header %v", got.Header)
			}
			if tt.want == "br" || got.StatusCode == 204 || got.StatusCode == 304 {
				return
			}
			want := long
			if strings.Contains(tt.query, "short") {
				want = long[:1023]
			}
			if text := decode(t, got); text != want {
				t.Errorf("%d bytes of body, want %d", len(text), len(want))
			}
			if tt.want != "" && len(got.body) > len(long)/4 {
				t.Errorf("%d of %d bytes", len(got.body), len(long))
			}
		})
	}
	t.Run("HEAD", func(t *testing.T) {
		got := do(t, n.client, http.MethodHead, n.url+"/x?length", nil, "Accept-Encoding", "gzip")
		if got.Header.Get("Content-Encoding") != "" || got.Header.Get("Content-Length") != strconv.Itoa(len(long)) {
			t.Errorf("header %v", got.Header)
		}
	})
}

// What is flushed arrives, although the coding has not ended.
func TestCompressedStream(t *testing.T) {
	more := make(chan struct{})
	n := start(t, edge.Config{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-ndjson")
		_, _ = fmt.Fprintln(w, `{"row":1}`)
		w.(http.Flusher).Flush() //nolint:forcetypeassert // the edge promises it
		<-more
		_, _ = fmt.Fprintln(w, `{"row":2}`)
	})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.url+"/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "gzip")
	res, err := n.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	gz, err := gzip.NewReader(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	line := make([]byte, len(`{"row":1}`)+1)
	if _, err := io.ReadFull(gz, line); err != nil || string(line) != "{\"row\":1}\n" {
		t.Errorf("first line %q %v", line, err)
	}
	close(more)
	if rest, err := io.ReadAll(gz); err != nil || string(rest) != "{\"row\":2}\n" {
		t.Errorf("rest %q %v", rest, err)
	}
}

func TestCORS(t *testing.T) {
	preflight := func(n *node, origin string) answer {
		return do(t, n.client, http.MethodOptions, n.url+"/x/orders", nil, "Origin", origin,
			"Access-Control-Request-Method", "PATCH", "Access-Control-Request-Headers", "apikey,authorization,x-client-info,prefer")
	}
	t.Run("every origin", func(t *testing.T) {
		n := start(t, edge.Config{}, hello)
		got := preflight(n, "https://shop.example")
		for name, want := range map[string]string{
			"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
			"Access-Control-Allow-Headers": "apikey,authorization,x-client-info,prefer", "Access-Control-Max-Age": "86400",
			"Access-Control-Allow-Credentials": "",
		} {
			if got.Header.Get(name) != want {
				t.Errorf("%s: %q", name, got.Header.Get(name))
			}
		}
		if got.StatusCode != 204 || len(got.body) != 0 {
			t.Errorf("%s %q", got.Status, got.body)
		}
		vary := strings.Join(got.Header.Values("Vary"), ", ")
		if !strings.Contains(vary, "Origin") || !strings.Contains(vary, "Access-Control-Request-Headers") {
			t.Errorf("vary %q", vary)
		}
		for name, got := range map[string]answer{
			"answer": n.get(t, "/x", "Origin", "null"), "error": n.get(t, "/nothing", "Origin", "https://shop.example"),
		} {
			if got.Header.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(got.Header.Get("Vary"), "Origin") {
				t.Errorf("%s: %v", name, got.Header)
			}
			for _, want := range []string{"Content-Range", "Content-Location", "Location", "Link", "ETag", "Preference-Applied", "X-Request-Id", "traceparent", "Idempotency-Replayed", "Range-Unit"} {
				if !strings.Contains(got.Header.Get("Access-Control-Expose-Headers"), want) {
					t.Errorf("%s: %s is not exposed", name, want)
				}
			}
		}
		if got := n.get(t, "/x"); got.Header.Get("Access-Control-Allow-Origin") != "" || !strings.Contains(got.Header.Get("Vary"), "Origin") {
			t.Errorf("without an origin: %v", got.Header)
		}
	})
	t.Run("named origins", func(t *testing.T) {
		n := start(t, edge.Config{Origins: []string{"https://shop.example", "http://localhost:3000"}}, hello)
		for origin, want := range map[string]string{
			"https://shop.example": "https://shop.example", "http://localhost:3000": "http://localhost:3000",
			"https://shop.example.evil": "", "https://evil.example": "", "null": "", "http://shop.example": "",
		} {
			if got := preflight(n, origin); got.Header.Get("Access-Control-Allow-Origin") != want || (got.Header.Get("Access-Control-Allow-Methods") != "") != (want != "") {
				t.Errorf("preflight %s: %v", origin, got.Header)
			}
			if got := n.get(t, "/x", "Origin", origin); got.Header.Get("Access-Control-Allow-Origin") != want {
				t.Errorf("get %s: %v", origin, got.Header)
			}
		}
	})
	t.Run("strange headers are not given back", func(t *testing.T) {
		n := start(t, edge.Config{}, hello)
		for _, asked := range []string{`x"y`, "a;b", "a:b", "<b>", strings.Repeat("a", 5000)} {
			got := do(t, n.client, http.MethodOptions, n.url+"/x", nil, "Origin", "https://a.example",
				"Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", asked)
			if got.Header.Get("Access-Control-Allow-Headers") != "" {
				t.Errorf("%q came back", asked)
			}
		}
	})
	t.Run("OPTIONS without a question is the door's", func(t *testing.T) {
		n := start(t, edge.Config{}, hello)
		if got := do(t, n.client, http.MethodOptions, n.url+"/x", nil); got.StatusCode != 200 || len(got.body) == 0 {
			t.Errorf("%s %q", got.Status, got.body)
		}
	})
}

// A handler's own Vary stays beside the edge's.
func TestVaryIsJoined(t *testing.T) {
	n := start(t, edge.Config{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Vary", "Accept")
	})
	for range 2 { // twice: the shared value must not have grown
		if got := strings.Join(n.get(t, "/x").Header.Values("Vary"), "; "); got != "Accept; Accept-Encoding, Origin" {
			t.Errorf("vary %q", got)
		}
	}
}

// certificate makes a self-signed one for 127.0.0.1 and a pool that trusts it.
func certificate(t *testing.T) (edge.TLS, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "pando test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := edge.TLS{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	for path, block := range map[string]*pem.Block{
		files.Cert: {Type: "CERTIFICATE", Bytes: der}, files.Key: {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return files, pool
}

func TestProtocols(t *testing.T) {
	proto := func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, r.Proto) }
	client := func(t *testing.T, pool *x509.CertPool, set func(*http.Protocols)) *http.Client {
		var p http.Protocols
		set(&p)
		tr := &http.Transport{Protocols: &p, TLSClientConfig: &tls.Config{RootCAs: pool}}
		t.Cleanup(tr.CloseIdleConnections)
		return &http.Client{Transport: tr}
	}
	t.Run("plain", func(t *testing.T) {
		n := start(t, edge.Config{}, proto)
		for want, set := range map[string]func(*http.Protocols){
			"HTTP/1.1": func(p *http.Protocols) { p.SetHTTP1(true) },
			"HTTP/2.0": func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) },
		} {
			got := do(t, client(t, nil, set), http.MethodGet, n.url+"/x", nil)
			if string(got.body) != want || got.Header.Get("Strict-Transport-Security") != "" || len(got.Header.Get("X-Request-Id")) != 32 {
				t.Errorf("%q %v, want %q", got.body, got.Header, want)
			}
		}
	})
	t.Run("TLS", func(t *testing.T) {
		files, pool := certificate(t)
		n := start(t, edge.Config{TLS: files}, proto)
		for want, set := range map[string]func(*http.Protocols){
			"HTTP/1.1": func(p *http.Protocols) { p.SetHTTP1(true) },
			"HTTP/2.0": func(p *http.Protocols) { p.SetHTTP2(true) },
		} {
			got := do(t, client(t, pool, set), http.MethodGet, n.url+"/x", nil)
			if string(got.body) != want || got.Header.Get("Strict-Transport-Security") == "" {
				t.Errorf("%q %v, want %q", got.body, got.Header, want)
			}
		}
		old := client(t, pool, func(p *http.Protocols) { p.SetHTTP1(true) })
		old.Transport.(*http.Transport).TLSClientConfig.MaxVersion = tls.VersionTLS11 //nolint:forcetypeassert // made above
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.url+"/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		if res, err := old.Do(req); err == nil {
			_ = res.Body.Close()
			t.Error("TLS 1.1 was accepted")
		}
	})
}
