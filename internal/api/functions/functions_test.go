package functions_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	functionsdoor "github.com/pandobase/pando/internal/api/functions"
	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/operations"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/store/teststore"
)

const module = `
module: m
functions:
  page:   { run: go, allow: "true" }
  member: { run: go, allow: "auth.uid != null" }
  closed: { run: go }
`

// door is the functions' door over HTTP; what the code is given is kept in given,
// and it answers what answer holds.
type door struct {
	*httptest.Server
	t      *testing.T
	given  string
	answer string
	fails  error
}

func open(t *testing.T) *door {
	t.Helper()
	app, problems := model.Load(fstest.MapFS{
		"pando.yaml": {Data: []byte("app: a\nlimits: { body: 64KiB }\n")}, "modules/m.yaml": {Data: []byte(module)},
	}, nil, model.Features{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	rules, problems := policy.Compile(app)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	d := &door{t: t}
	code := func(_ context.Context, _ *operations.Scope, in []byte) ([]byte, error) {
		d.given = string(in)
		return []byte(d.answer), d.fails
	}
	ops := operations.New(operations.Config{
		Engine: engine.New(engine.Config{App: app, Rules: rules, Driver: teststore.Open(t)}), Rules: rules,
		Go: map[string]operations.Func{"m.page": code, "m.member": code, "m.closed": code},
	})
	d.Server = httptest.NewServer(functionsdoor.New(functionsdoor.Config{
		App: app, Operations: ops, Authenticate: func(r *http.Request) (policy.Identity, error) {
			switch r.Header.Get("Apikey") {
			case "secret":
				return policy.Identity{Role: policy.Service, Key: "s"}, nil
			case "":
				return policy.Identity{}, fault.New(fault.MissingCredential, "an API key is required")
			}
			return policy.Identity{Role: policy.Anon, Key: "p"}, nil
		},
	}))
	t.Cleanup(d.Close)
	return d
}

// reply is the answer without its body.
type reply struct {
	StatusCode int
	Header     http.Header
}

func (d *door) do(method, path, body string, headers ...string) (reply, string) {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), method, d.URL+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	r.Header.Set("Apikey", "public-key-1")
	for _, h := range headers {
		name, text, _ := strings.Cut(h, ": ")
		r.Header.Add(name, text)
		if name == "Apikey" {
			r.Header.Set(name, text)
		}
	}
	d.given = ""
	client := *d.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := client.Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return reply{res.StatusCode, res.Header}, string(text)
}

// TestRequests: code is given the request as it is, but for what is a credential
// at this door.
func TestRequests(t *testing.T) {
	d := open(t)
	d.answer = `{"status":200,"headers":[],"body":"aGk="}`
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"} {
		body := ""
		if method != "GET" {
			body = "\x00\xff{}"
		}
		res, text := d.do(method, "/functions/v1/page/a%2Fb/../c?x=1&x=%zz", body, "X-Thing: one", "X-Thing: two", "Authorization: Bearer token-1",
			"Cookie: session-1", "Proxy-Authorization: basic-1", "Content-Type: text/weird")
		if res.StatusCode != 200 || text != "hi" {
			t.Errorf("%s: %d %s", method, res.StatusCode, text)
		}
		var in struct {
			Method, URL string
			Headers     [][2]string
			Body        []byte
		}
		if err := json.Unmarshal([]byte(d.given), &in); err != nil {
			t.Fatal(err)
		}
		if in.Method != method || in.URL != d.URL+"/functions/v1/page/a%2Fb/../c?x=1&x=%zz" || string(in.Body) != body {
			t.Errorf("%s: given is %s", method, d.given)
		}
		all := fmt.Sprint(in.Headers)
		for _, secret := range []string{"public-key-1", "token-1", "session-1", "basic-1"} {
			if strings.Contains(all, secret) {
				t.Errorf("%s: the code is told %s: %s", method, secret, all)
			}
		}
		if !strings.Contains(all, "[x-thing one] [x-thing two]") || !strings.Contains(all, "[content-type text/weird]") {
			t.Errorf("%s: the headers are %s", method, all)
		}
	}
	for _, tt := range []struct {
		path, header, body string
		status             int
		want               string
	}{
		{"/functions/v1/page", "Apikey: ", "", 401, "API key"},
		{"/functions/v1/member", "X: y", "", 401, "permission denied for m.member"},
		{"/functions/v1/member", "Apikey: secret", "", 200, ""},
		{"/functions/v1/closed", "X: y", "", 401, "only the secret key gets in"},
		{"/functions/v1/pag", "X: y", "", 404, "did you mean page?"},
		{"/functions/v1/", "X: y", "", 404, ""},
		{"/functions/v1", "X: y", "", 404, ""},
		{"/functions/v1/m.page", "X: y", "", 404, ""},
		{"/functions/v1/%2e%2e/page", "X: y", "", 404, ""},
		{"/functions/v1/" + strings.Repeat("x", 5000), "X: y", "", 404, ""},
		{"/functions/v1/PAGE", "X: y", "", 404, ""},
		{"/functions/v1/page", "X: y", strings.Repeat("x", 64<<10), 200, ""},
		{"/functions/v1/page", "X: y", strings.Repeat("x", 64<<10+1), 413, "limits.body"},
	} {
		res, text := d.do("POST", tt.path, tt.body, tt.header)
		if res.StatusCode != tt.status || !strings.Contains(text, tt.want) {
			t.Errorf("%.60s, %s: %d %.300s", tt.path, tt.header, res.StatusCode, text)
		}
		if tt.status >= 400 && (d.given != "" || res.Header.Get("Content-Type") != "application/problem+json" || len(text) > 1000) {
			t.Errorf("%.60s: ran %t, %s, %d bytes", tt.path, d.given != "", res.Header.Get("Content-Type"), len(text))
		}
	}
}

// TestResponses: the response is the code's, but for what is the server's.
func TestResponses(t *testing.T) {
	d := open(t)
	const guards = "Content-Security-Policy=sandbox; Cache-Control=no-store; X-Content-Type-Options=nosniff"
	for _, tt := range []struct {
		what, answer, method string
		status               int
		body, headers        string // name=value; an empty value: not there
	}{
		{"a body", `{"status":201,"headers":[["content-type","text/html"],["x-mine","1"],["x-mine","2"]],"body":"aGk="}`, "GET", 201, "hi", guards + "; Content-Type=text/html; X-Mine=1,2; Content-Length=2"},
		{"no type", `{"status":200,"headers":[],"body":"aGk="}`, "GET", 200, "hi", "Content-Type=application/octet-stream"},
		{"no body", `{"status":200,"headers":[],"body":null}`, "GET", 200, "", guards + "; Content-Type=; Content-Length=0"},
		{"HEAD", `{"status":200,"headers":[],"body":"aGk="}`, "HEAD", 200, "", guards + "; Content-Length=2"},
		{"204", `{"status":204,"headers":[["x-mine","1"]],"body":"aGk="}`, "POST", 204, "", guards + "; X-Mine=1; Content-Length="},
		{"304", `{"status":304,"headers":[["etag","\"1\""]],"body":"aGk="}`, "GET", 304, "", "Etag=\"1\""},
		{"a redirect", `{"status":302,"headers":[["location","https://elsewhere.example/"]],"body":null}`, "GET", 302, "", "Location=https://elsewhere.example/"},
		{"its own policy", `{"status":200,"headers":[["content-security-policy","default-src 'self'"],["cache-control","max-age=1"]],"body":null}`, "GET", 200, "", "Content-Security-Policy=default-src 'self'; Cache-Control=max-age=1; X-Content-Type-Options=nosniff"},
		{"sniffing", `{"status":200,"headers":[["x-content-type-options","sniff"]],"body":null}`, "GET", 200, "", "X-Content-Type-Options=nosniff"},
		{
			"what is the server's", `{"status":200,"headers":[["content-length","99"],["transfer-encoding","chunked"],["connection","close"],["upgrade","h2c"],["trailer","x"],["date","never"],` +
				`["access-control-allow-origin","*"],["ACCESS-CONTROL-ALLOW-CREDENTIALS","true"],["strict-transport-security","max-age=0"],["x-request-id","mine"],["keep-alive","1"],["te","x"]],"body":"aGk="}`,
			"GET", 200, "hi", "Content-Length=2; Access-Control-Allow-Origin=; Access-Control-Allow-Credentials=; Strict-Transport-Security=; X-Request-Id=; Upgrade=; Trailer=; Keep-Alive=; Te=",
		},
		{"an error of its own", `{"status":503,"headers":[["retry-after","3"]],"body":"aGk="}`, "GET", 503, "hi", "Retry-After=3"},
	} {
		d.answer = tt.answer
		res, text := d.do(tt.method, "/functions/v1/page", "")
		if res.StatusCode != tt.status || text != tt.body {
			t.Errorf("%s: %d %q", tt.what, res.StatusCode, text)
		}
		for pair := range strings.SplitSeq(tt.headers, "; ") {
			name, want, _ := strings.Cut(pair, "=")
			if got := strings.Join(res.Header.Values(name), ","); got != want {
				t.Errorf("%s: %s is %q; want %q", tt.what, name, got, want)
			}
		}
	}
	for _, answer := range []string{
		`{"status":200,"headers":[["x-mine","a\r\nset-cookie: x=1"]],"body":null}`, `{"status":200,"headers":[["x-mine\r\nset-cookie","x=1"]],"body":null}`,
		`{"status":200,"headers":[["x-mine","a\nb"]],"body":null}`, `{"status":200,"headers":[["x-mine","a\u0000b"]],"body":null}`, `{"status":200,"headers":[["",""]],"body":null}`,
		`{"status":200,"headers":[["x mine","a"]],"body":null}`, `{"status":200,"headers":[["x-é","a"]],"body":null}`, `{"status":200,"headers":[["x:y","a"]],"body":null}`,
		`{"status":100,"headers":[],"body":null}`, `{"status":101,"headers":[["upgrade","websocket"]],"body":null}`, `{"status":0}`, `{"status":-1}`, `{"status":600}`, `{"status":1e9}`, `{"status":"200"}`,
		`{"status":200,"body":"no base64!"}`, `{"status":200,"headers":{"a":"b"}}`, `[]`, `null`, `"text"`, ``,
	} {
		d.answer = answer
		res, text := d.do("GET", "/functions/v1/page", "")
		if res.StatusCode < 400 || !strings.Contains(text, `"code":"invalid_output"`) || res.Header.Get("Set-Cookie") != "" || res.Header.Get("X-Mine") != "" {
			t.Errorf("%s: %d %s %v", answer, res.StatusCode, text, res.Header)
		}
	}
	d.fails = fmt.Errorf("the password is hunter2")
	if res, text := d.do("GET", "/functions/v1/page", ""); res.StatusCode != 500 || strings.Contains(text, "hunter2") {
		t.Errorf("code that fails: %d %s", res.StatusCode, text)
	}
	d.fails = fault.New(fault.Conflict, "not now").WithHint("later")
	if res, text := d.do("GET", "/functions/v1/page", ""); res.StatusCode != 409 || !strings.Contains(text, "later") {
		t.Errorf("code that refuses: %d %s", res.StatusCode, text)
	}
}
