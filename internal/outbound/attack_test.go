package outbound_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/outbound"
)

// TestServerSideRequestForgery is attack class 29: ways to a server on this
// machine that is listening, none of which arrives.
func TestServerSideRequestForgery(t *testing.T) {
	t.Parallel()
	s := serve(t, ok)
	dns := resolver(t, map[string][][]string{
		"one.example.": {{"127.0.0.1"}}, "mapped.example.": {{"::ffff:127.0.0.1"}}, "many.example.": {{"10.0.0.1", "169.254.169.254", "127.0.0.1"}},
		"six.example.": {{"::1"}}, "nat.example.": {{"64:ff9b::7f00:1"}}, "zero.example.": {{"0.0.0.0"}}, "metadata.example.": {{"169.254.169.254"}},
		"sixtofour.example.": {{"2002:7f00:1::1"}}, "cgnat.example.": {{"100.64.0.1"}},
	})
	hosts := []string{
		"127.0.0.1", "127.1.2.3", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "0.0.0.0", "[::]", "169.254.169.254",
		"10.0.0.1", "192.168.0.1", "100.64.0.1", "224.0.0.1", "255.255.255.255", "100.100.100.200", "[fd00:ec2::254]", "[fe80::1]",
		"one.example", "mapped.example", "many.example", "six.example", "nat.example", "zero.example", "metadata.example", "sixtofour.example", "cgnat.example", "ONE.EXAMPLE.",
	}
	o := open(t, outbound.Config{Resolver: dns})
	for _, host := range hosts {
		c := of(t, o, outbound.Target{URL: "http://" + host + ":" + s.port(), Retry: 1, Timeout: 5 * time.Second, Fallback: []byte(`"x"`)})
		_, err := c.Do(t.Context(), &outbound.Request{})
		f := fault.From(err)
		if f == nil || f.Code != fault.OutboundRefused || strings.Contains(f.Details, "127.") {
			t.Errorf("%s: %+v", host, f)
		}
	}
	// Numbers that inet_aton takes for addresses are names to a resolver that is
	// strict; whichever is at work, they do not arrive.
	for _, host := range []string{"2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost", "localhost."} {
		c := of(t, o, outbound.Target{URL: "http://" + host + ":" + s.port(), Timeout: 5 * time.Second})
		if resp, err := c.Do(t.Context(), &outbound.Request{}); err == nil {
			t.Errorf("%s answers %d", host, resp.Status)
		}
	}
	if n := s.hits.Load(); n != 0 {
		t.Fatalf("%d requests arrived", n)
	}
	// The server is there: with private: true it answers, by address and by name.
	for _, host := range []string{"127.0.0.1", "one.example", "mapped.example"} {
		c := of(t, o, outbound.Target{URL: "http://" + host + ":" + s.port(), Private: true})
		if resp := get(t, c, ""); resp.Status != 200 {
			t.Errorf("%s with private: true: %d", host, resp.Status)
		}
	}
	// And private: true does not open the way to metadata.
	for _, host := range []string{"metadata.example", "169.254.169.254", "[::ffff:169.254.169.254]", "zero.example", "[fe80::1]"} {
		c := of(t, o, outbound.Target{URL: "http://" + host + ":" + s.port(), Private: true})
		_, err := c.Do(t.Context(), &outbound.Request{})
		fails(t, err, fault.OutboundRefused)
	}
}

// TestRebinding: a name that changes between two connections is judged at each.
func TestRebinding(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		http.Redirect(w, r, "/again", http.StatusFound)
	})
	dns := resolver(t, map[string][][]string{"rebind.example.": {{"127.0.0.1"}, {"169.254.169.254"}}})
	c := of(t, open(t, outbound.Config{Resolver: dns}), outbound.Target{URL: "http://rebind.example:" + s.port(), Private: true, Redirects: 3})
	_, err := c.Do(t.Context(), &outbound.Request{})
	fails(t, err, fault.OutboundRefused)
	if s.hits.Load() != 1 {
		t.Errorf("%d requests arrived", s.hits.Load())
	}
}

// TestRedirectsStayWithin is attack class 29 by redirect.
func TestRedirectsStayWithin(t *testing.T) {
	t.Parallel()
	elsewhere := serve(t, ok)
	var location string
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/end" {
			_, _ = fmt.Fprint(w, r.Header.Get("Authorization") != "", r.URL.RawQuery)
			return
		}
		w.Header().Set("Location", location)
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	auth := outbound.Auth{Secret: "key"}
	c := client(t, outbound.Target{URL: s.URL + "/v1", Redirects: 2, Auth: auth})
	for _, location = range []string{
		"http://169.254.169.254/latest/meta-data/", elsewhere.URL, elsewhere.URL + "/v1/end", "//" + strings.TrimPrefix(elsewhere.URL, "http://") + "/v1/end",
		"https" + strings.TrimPrefix(s.URL, "http") + "/v1/end", "/v2", "/", "/v1/../admin", "/v1/%2e%2e/admin", "../admin", "/v10", "gopher://127.0.0.1/_x", "file:///etc/passwd",
		"http://user:pass@" + strings.TrimPrefix(s.URL, "http://") + "/v1/end", "http://[::1",
	} {
		_, err := c.Do(t.Context(), &outbound.Request{Path: "begin"})
		fails(t, err, fault.OutboundRefused)
	}
	if elsewhere.hits.Load() != 0 {
		t.Error("a redirect was followed out of the base")
	}
	location = "/v1/end?x=1#f"
	if resp := get(t, c, "begin"); resp.Status != 200 || string(resp.Body) != "truex=1" {
		t.Errorf("a redirect within the base: %d %s", resp.Status, resp.Body)
	}
	location = "/v1/loop"
	if resp := get(t, c, "begin"); resp.Status != http.StatusTemporaryRedirect {
		t.Errorf("a loop ends with %d", resp.Status)
	}
	location = "/v1/end"
	off := client(t, outbound.Target{URL: s.URL + "/v1", Auth: auth})
	if resp := get(t, off, "begin"); resp.Status != http.StatusTemporaryRedirect {
		t.Errorf("redirects are off: %d", resp.Status)
	}
	if resp, err := c.Do(t.Context(), &outbound.Request{Method: "POST", Path: "begin"}); err != nil || resp.Status != http.StatusTemporaryRedirect {
		t.Errorf("a POST is redirected: %v", err)
	}
}

// TestBaseHolds: no path leads out of the base URL.
func TestBaseHolds(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Host+" "+r.RequestURI) })
	host := strings.TrimPrefix(s.URL, "http://")
	c := client(t, outbound.Target{URL: s.URL + "/v1?k=a%26b"})
	for path, want := range map[string]string{
		"": "/v1?k=a%26b", "/charges": "/v1/charges?k=a%26b", "charges?x=1": "/v1/charges?k=a%26b&x=1", "a%2Fb": "/v1/a%2Fb?k=a%26b", s.URL + "/v1/x": "/v1/x?k=a%26b",
		strings.ToUpper(s.URL[:4]) + s.URL[4:] + "/v1": "/v1?k=a%26b", "a..b/...": "/v1/a..b/...?k=a%26b", "?y": "/v1/?k=a%26b&y", "a//b": "/v1/a//b?k=a%26b", "x#frag": "/v1/x?k=a%26b",
		"@evil.example/": "/v1/@evil.example/?k=a%26b", "///evil.example/": "/v1///evil.example/?k=a%26b",
	} {
		if got := string(get(t, c, path).Body); got != host+" "+want {
			t.Errorf("%s: %s", path, got)
		}
	}
	before := s.hits.Load()
	for _, path := range []string{
		"..", "../admin", "/../admin", "a/../../admin", "%2e%2e/admin", "%2E%2e%2fadmin", "%252e%252e/admin", "a/..;x=1/../b", "..%5cadmin", `..\admin`, "./x", "a/.",
		"http://evil.example/v1", "https://" + host + "/v1", s.URL + "/v2", s.URL + "/v10", s.URL, s.URL + "/v1/../v2", "//evil.example/v1", "http://" + host + "@evil.example/v1",
		"http://ann:pw@" + host + "/v1", "mailto:x@y", "http:v1", "javascript:1", "\x00", "a\r\nHost: evil", "http://[::1/v1", "%zz",
	} {
		_, err := c.Do(t.Context(), &outbound.Request{Path: path})
		fails(t, err, fault.OutboundRefused)
	}
	if s.hits.Load() != before {
		t.Error("a refused request arrived")
	}
}

func TestHeadersAreFiltered(t *testing.T) {
	t.Parallel()
	var seen http.Header
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { seen = r.Header.Clone(); ok(w, r) })
	c := client(t, outbound.Target{URL: s.URL, Auth: outbound.Auth{Secret: "key", Header: "x-api-key", Format: "Token {secret}"}})
	for name, value := range map[string]string{
		"Host": "evil", "host": "evil", "Connection": "x", "Transfer-Encoding": "chunked", "Upgrade": "h2c", "Te": "trailers", "Proxy-Authorization": "x", "Keep-Alive": "1", "trailer": "x",
		"Authorization": "Bearer mine", "X-Api-Key": "mine", "x-api-KEY": "mine", "Expect": "100-continue", "X Y": "1", "X:Y": "1", "": "1", "X-Ok": "a\r\nX-Evil: 1", "X-Nul": "\x00",
	} {
		_, err := c.Do(t.Context(), &outbound.Request{Header: http.Header{name: {value}}})
		fails(t, err, fault.OutboundRefused)
	}
	for _, method := range []string{"CONNECT", "TRACE", "get", "GET /x HTTP/1.1\r\n", "PURGE"} {
		_, err := c.Do(t.Context(), &outbound.Request{Method: method})
		fails(t, err, fault.OutboundRefused)
	}
	if s.hits.Load() != 0 {
		t.Fatal("a refused request arrived")
	}
	if _, err := c.Do(t.Context(), &outbound.Request{Header: http.Header{"x-one": {"1", "2"}, "Content-Length": {"999"}, "Accept-Encoding": {"br"}, "Cookie": {"a=b"}}}); err != nil {
		t.Fatal(err)
	}
	if seen.Get("X-Api-Key") != "Token sk_live_0123456789" || len(seen["X-One"]) != 2 || seen.Get("Accept-Encoding") != "gzip" || seen.Get("Cookie") != "a=b" || seen.Get("User-Agent") != "Pando" {
		t.Errorf("sent: %v", seen)
	}
	free := client(t, outbound.Target{URL: s.URL})
	if _, err := free.Do(t.Context(), &outbound.Request{Header: http.Header{"Authorization": {"Basic mine"}}}); err != nil || seen.Get("Authorization") != "Basic mine" {
		t.Errorf("without auth: %v, %v", err, seen)
	}
}

// TestSecretStaysInside is attack class 39: wherever a target repeats a secret,
// code does not see it, and neither does a log.
func TestSecretStaysInside(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	o := open(t, outbound.Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
	echo := serve(t, func(w http.ResponseWriter, r *http.Request) {
		h := r.Header.Get("Authorization")
		w.Header().Set("X-Echo", h)
		w.Header().Set("X-"+strings.TrimPrefix(h, "Bearer "), "name")
		w.Header().Set("Location", "https://h/?token="+strings.TrimPrefix(h, "Bearer "))
		w.Header().Set("Www-Authenticate", h)
		z := gzip.NewWriter(w)
		if r.URL.Path == "/zip" {
			w.Header().Set("Content-Encoding", "gzip")
			_ = json.NewEncoder(z).Encode(map[string]string{"auth": h})
			_ = z.Close()
			return
		}
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = fmt.Fprintf(w, "bad key %s / %x", h, h)
	})
	garbage := raw(t, func(conn net.Conn, head string) {
		auth := head[strings.Index(head, "Authorization: ")+len("Authorization: "):]
		auth, _, _ = strings.Cut(auth, "\r\n")
		_, _ = io.WriteString(conn, "HTTP/1.1 "+auth+"\r\n\r\n")
	})
	auths := map[string]outbound.Auth{"bearer": {Secret: "key"}, "basic": {Secret: "user", Format: "Basic {basic}"}}
	for name, auth := range auths {
		c := of(t, o, outbound.Target{URL: echo.URL, Private: true, Auth: auth})
		for _, path := range []string{"/", "/zip"} {
			resp := get(t, c, path)
			all := fmt.Sprintf("%v %s %v %+v", resp.Header, resp.Body, c, c)
			for _, secret := range []string{"sk_live_0123456789", "hunter2hunter2", "YW5uOmh1bnRlcjI", "736b5f6c697665"} {
				if strings.Contains(all, secret) {
					t.Errorf("%s%s: the secret came back: %s", name, path, all)
				}
			}
			if !strings.Contains(resp.Header.Get("X-Echo"), "[secret]") {
				t.Errorf("%s: nothing was masked: %v", name, resp.Header)
			}
		}
		bad := of(t, o, outbound.Target{URL: garbage, Private: true, Auth: auth, Breaker: outbound.Breaker{Failures: 1}})
		_, err := bad.Do(t.Context(), &outbound.Request{Path: "/x?token=of-the-caller"})
		f := failure(t, err, fault.IntegrationUnavailable, 502)
		for _, text := range []string{fmt.Sprintf("%+v %v", f, f.Cause), log.String()} {
			if strings.Contains(text, "sk_live") || strings.Contains(text, "hunter2") || strings.Contains(text, "YW5uOmh1bn") || strings.Contains(text, "of-the-caller") {
				t.Errorf("%s: an error shows it: %s", name, text)
			}
		}
	}
	// A URL that is a secret shows in no error either, and a secret that is missing,
	// empty or not fit for a header stops the call.
	hits := echo.hits.Load()
	for _, auth := range []string{"none", "empty", "broken"} {
		c := of(t, o, outbound.Target{URL: echo.URL, Private: true, Auth: outbound.Auth{Secret: auth}})
		if _, err := c.Do(t.Context(), &outbound.Request{}); !fault.Is(err, fault.ConfigInvalid) || strings.Contains(err.Error(), "Evil") {
			t.Errorf("%s: %v", auth, err)
		}
	}
	c := of(t, o, outbound.Target{URL: "secret:key", Private: true})
	if _, err := c.Do(t.Context(), &outbound.Request{}); !fault.Is(err, fault.ConfigInvalid) || strings.Contains(fmt.Sprintf("%+v", fault.From(err)), "sk_live") {
		t.Errorf("a URL that is none: %v", err)
	}
	if echo.hits.Load() != hits {
		t.Error("a call left without its secret")
	}
}

// raw is a server that reads a request's head and then does what it likes.
func raw(t *testing.T, answer func(conn net.Conn, head string)) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var conns []chan struct{}
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			over := make(chan struct{})
			conns = append(conns, over)
			go func() {
				defer close(over)
				defer func() { _ = conn.Close() }()
				head := make([]byte, 0, 4096)
				for !bytes.Contains(head, []byte("\r\n\r\n")) {
					n, err := conn.Read(head[len(head):cap(head)])
					if err != nil {
						return
					}
					head = head[:len(head)+n]
				}
				answer(conn, string(head))
			}()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
		for _, over := range conns {
			<-over
		}
	})
	return "http://" + l.Addr().String()
}

// forever writes a piece until the other side is gone.
func forever(w io.Writer, piece []byte) {
	for {
		if _, err := w.Write(piece); err != nil {
			return
		}
	}
}

// TestBombs is attack class 37: answers without an end. Memory stays flat, and
// the call ends within its time.
func TestBombs(t *testing.T) {
	zeros := make([]byte, 64<<10)
	var bomb bytes.Buffer // 64 KiB that become 64 MiB
	z := gzip.NewWriter(&bomb)
	for range 1 << 10 {
		_, _ = z.Write(zeros)
	}
	_ = z.Close()
	var empty bytes.Buffer
	_ = gzip.NewWriter(&empty).Close()
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
	variants := map[string]struct {
		kind   string
		answer func(conn net.Conn)
	}{
		"10 GB with their length": {"bytes", func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
			forever(conn, zeros)
		}},
		"no length": {"bytes", func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
			forever(conn, zeros)
		}},
		"chunks": {"bytes", func(conn net.Conn) {
			_, _ = io.WriteString(conn, chunked+"\r\n")
			forever(conn, []byte("1000\r\n"+strings.Repeat("x", 0x1000)+"\r\n"))
		}},
		"gzip bomb": {"bytes", func(conn net.Conn) {
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n", bomb.Len())
			_, _ = conn.Write(bomb.Bytes())
		}},
		"gzip of nothing, forever": {"bytes", func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n")
			forever(conn, bytes.Repeat(empty.Bytes(), 1000))
		}},
		"headers": {"", func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
			forever(conn, []byte("X-Y: "+strings.Repeat("z", 1000)+"\r\n"))
		}},
		"one header": {"", func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nX: ")
			forever(conn, zeros[:1000:1000])
		}},
		"informational": {"", func(conn net.Conn) { forever(conn, []byte("HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n")) }},
		"trailers": {"", func(conn net.Conn) {
			_, _ = io.WriteString(conn, chunked+"Trailer: X\r\n\r\n0\r\n")
			forever(conn, []byte("X: "+strings.Repeat("z", 1000)+"\r\n"))
		}},
		"an endless chunk's extension": {"", func(conn net.Conn) {
			_, _ = io.WriteString(conn, chunked+"\r\n1;")
			forever(conn, bytes.Repeat([]byte("x"), 1000))
		}},
	}
	for name, v := range variants {
		url := raw(t, func(conn net.Conn, _ string) { v.answer(conn) })
		for _, cut := range []bool{false, true} {
			c := client(t, outbound.Target{URL: url, MaxResponse: 1 << 20, Cut: cut, Timeout: 20 * time.Second})
			runtime.GC()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			begin := time.Now()
			resp, err := c.Do(t.Context(), &outbound.Request{})
			runtime.ReadMemStats(&after)
			switch {
			case v.kind == "bytes" && cut && name != "gzip of nothing, forever":
				if err != nil || !resp.Cut || len(resp.Body) != 1<<20 {
					t.Errorf("%s, cut: %v", name, err)
				}
			case v.kind == "bytes" && !cut:
				if f := failure(t, err, fault.IntegrationUnavailable, 502); !strings.Contains(f.Details, "1048576 bytes") {
					t.Errorf("%s: %+v", name, f)
				}
			case v.kind == "" && name != "trailers":
				fails(t, err, fault.IntegrationUnavailable)
			}
			if took := time.Since(begin); took > 10*time.Second {
				t.Errorf("%s took %v", name, took)
			}
			if grown := int64(after.TotalAlloc - before.TotalAlloc); grown > 24<<20 { //nolint:gosec // it only grows
				t.Errorf("%s took %d MiB of memory", name, grown>>20)
			}
			c.Close()
		}
	}
}

// TestProxiesOfTheEnvironmentAreIgnored: a proxy would dial past the guard.
func TestProxiesOfTheEnvironmentAreIgnored(t *testing.T) {
	proxy := serve(t, ok)
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"} {
		t.Setenv(name, proxy.URL)
	}
	c := strict(t, outbound.Target{URL: "http://203.0.113.1:81"})
	_, err := c.Do(t.Context(), &outbound.Request{})
	fails(t, err, fault.OutboundRefused)
	if proxy.hits.Load() != 0 {
		t.Error("the proxy was asked")
	}
}

func TestTargetsAreChecked(t *testing.T) {
	t.Parallel()
	o := open(t, outbound.Config{})
	for name, target := range map[string]outbound.Target{
		"no URL": {}, "scheme": {URL: "ftp://h/"}, "host": {URL: "https://"}, "relative": {URL: "/x"}, "opaque": {URL: "http:h"}, "user": {URL: "https://ann:hunter2@h/"}, "fragment": {URL: "https://h/#x"},
		"dots": {URL: "https://h/a/../b"}, "not read": {URL: "https://h/%zz"}, "header": {URL: "https://h", Auth: outbound.Auth{Secret: "key", Header: "Host"}}, "header name": {URL: "https://h", Auth: outbound.Auth{Secret: "key", Header: "X Y"}},
		"format": {URL: "https://h", Auth: outbound.Auth{Secret: "key", Format: "Bearer"}}, "fallback": {URL: "https://h", Fallback: []byte("{")},
	} {
		target.Name = "payments"
		_, err := o.Client(target)
		if f := fault.From(err); f == nil || f.Code != fault.ConfigInvalid || f.Hint == "" || strings.Contains(fmt.Sprint(f, f.Cause), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
