package rest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pandobase/pando/internal/api/rest"
	"github.com/pandobase/pando/internal/engine/enginetest"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/operations"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/store/teststore"
)

const calledModule = `
module: a
entities: { notes: { fields: { id: { type: int, primary: true }, text: { type: text, optional: true }, hid: { type: text, optional: true, hidden: true } } } }
operations:
  echo:
    run: go
    allow: "true"
    reads: true
    input:
      n: { type: int, optional: true }
      d: { type: decimal, scale: 2, optional: true }
      t: { type: text, optional: true }
      at: { type: timestamp, optional: true }
      j: { type: json, optional: true }
      list: { type: int, list: true, optional: true }
      words: { type: text, list: true, optional: true }
      lines: { list: true, fields: { q: int }, optional: true }
    output: { fields: { v: json } }
  add:    { run: go, allow: "true", input: { id: int }, output: notes }
  many:   { run: go, allow: "true", input: { n: int }, output: { list: true, of: notes } }
  quiet:  { run: go, allow: "true" }
  closed: { run: go }
  twice:  { run: go, allow: "true" }
`

// newCalls serves operations.
func newCalls(t *testing.T) http.Handler {
	t.Helper()
	w := enginetest.New(t, teststore.Open(t), fstest.MapFS{
		"pando.yaml": {Data: []byte("app: test\nlimits: { body: 64KiB }\n")}, "modules/a.yaml": {Data: []byte(calledModule)},
		"modules/b.yaml": {Data: []byte("module: b\noperations: { twice: { run: go, allow: \"true\" } }\n")},
	})
	rules, e := w.Rules, w.Engine()
	nothing := func(context.Context, *operations.Scope, []byte) ([]byte, error) { return []byte(`{"ignored":1}`), nil }
	ops := operations.New(operations.Config{Engine: e, Rules: rules, Go: map[string]operations.Func{
		"a.echo": func(_ context.Context, _ *operations.Scope, in []byte) ([]byte, error) {
			return []byte(`{"v":` + string(in) + `}`), nil
		},
		"a.add": func(ctx context.Context, s *operations.Scope, in []byte) ([]byte, error) {
			var input struct{ ID int }
			if err := json.Unmarshal(in, &input); err != nil {
				return nil, err
			}
			a, err := rest.Perform(ctx, e, policy.Identity{Role: policy.Service}, rest.Call{
				Method: "POST", Module: "a", Entity: "notes", Prefer: "return=representation", Single: true, Body: json.RawMessage(fmt.Sprintf(`{"id":%d}`, input.ID)),
			})
			return a.Body, err
		},
		"a.many": func(_ context.Context, _ *operations.Scope, in []byte) ([]byte, error) {
			var input struct{ N int }
			if err := json.Unmarshal(in, &input); err != nil {
				return nil, err
			}
			rows := make([]string, input.N)
			for i := range rows {
				rows[i] = fmt.Sprintf(`{"id":%d,"text":null}`, i)
			}
			return []byte("[" + strings.Join(rows, ",") + "]"), nil
		},
		"a.quiet": nothing, "a.twice": nothing, "b.twice": nothing,
	}})
	return rest.New(rest.Config{Engine: e, Operations: ops, Authenticate: func(r *http.Request) (policy.Identity, error) {
		if r.Header.Get("Apikey") == "" {
			return policy.Identity{}, nil
		}
		return policy.Identity{Role: policy.Anon, Key: r.Header.Get("Apikey")}, nil
	}})
}

// TestCalls calls operations over HTTP.
func TestCalls(t *testing.T) {
	door := newCalls(t)
	long := strings.Repeat("x", 70<<10)
	for _, tt := range []struct {
		call, body string // the method, the path below rpc/, and headers
		status     int
		want       string // the whole body, or a part of a problem's
		header     string
	}{
		{call: "POST echo", body: `{"n":1}`, status: 200, want: `{"v":{"n":1}}`, header: "Content-Profile: a"},
		{call: "POST echo", body: ``, status: 200, want: `{"v":{}}`},
		{call: "POST echo", body: `null`, status: 200, want: `{"v":{}}`},
		{call: "POST echo|Content-Type: application/json; charset=utf-8", body: `{"d":1}`, status: 200, want: `{"v":{"d":1.00}}`},
		{call: "POST echo|Content-Type: text/plain", body: `{}`, status: 415, want: "text/plain"},
		{call: "POST echo|Content-Type: application/x-www-form-urlencoded", body: `n=1`, status: 415, want: "application/json"},
		{call: "POST echo|Content-Type: text/csv", body: "n\n1", status: 415, want: "csv"},
		{call: "POST echo|Content-Type: ///", body: `{}`, status: 415, want: "///"},
		{call: "POST echo", body: `{"n":1,"n":2}`, status: 422, want: "n: it is given twice"},
		{call: "POST echo", body: `{"n":1`, status: 422, want: "this is no JSON"},
		{call: "POST echo", body: `[{"n":1}]`, status: 422, want: "expected an object, not a list"},
		{call: "POST echo", body: `{"m":1}`, status: 422, want: "did you mean n?"},
		{call: "POST echo", body: `{"t":"` + long + `"}`, status: 413, want: ""},
		{call: "POST echo?n=1", body: `{}`, status: 400, want: "its input stands in the body"},
		{call: "POST echo?select=v", body: `{}`, status: 400, want: "output is answered as a whole"},
		{call: "GET echo?n=1&d=1.5&t=a%20b&at=2026-01-02T03:04:05Z", status: 200, want: `{"v":{"d":1.50,"n":1,"t":"a b","at":"2026-01-02T03:04:05+00:00"}}`},
		{call: "GET echo?list=[1,2]&words=%5B%22a%2Cb%22%5D&lines=[{%22q%22:1}]&j={%22x%22:1}", status: 200, want: `{"v":{"j":{"x":1},"list":[1,2],"lines":[{"q":1}],"words":["a,b"]}}`},
		// What supabase-js writes of an array.
		{call: "GET echo?list=%7B1%2C2%7D&words=%7Ba%2Cb%7D", status: 200, want: `{"v":{"list":[1,2],"words":["a","b"]}}`},
		{call: "GET echo?list=%7B%7D", status: 200, want: `{"v":{"list":[]}}`},
		{call: "GET echo?list=%7B1,x%7D", status: 422, want: "list"},
		{call: "GET echo?list=1", status: 422, want: "list"},
		{call: "GET echo", status: 200, want: `{"v":{}}`},
		{call: "GET echo?n=1&n=2", status: 422, want: "n: it is given twice"},
		{call: "GET echo?n=x", status: 422, want: "n: "},
		{call: "GET echo?m=1", status: 422, want: "m: there is no such member"},
		{call: "GET echo?j=x", status: 422, want: "j: this is no JSON"},
		{call: "GET echo?n=%zz", status: 400, want: ""},
		{call: "GET echo?" + strings.Repeat("&x=", 2000), status: 422, want: ""},
		{call: "HEAD echo?n=1", status: 200, want: ""},
		{call: "OPTIONS echo", status: 200, want: "", header: "Allow: OPTIONS,GET,HEAD,POST"},
		{call: "OPTIONS add", status: 200, want: "", header: "Allow: OPTIONS,POST"},
		{call: "GET add?id=1", status: 405, want: "", header: "Allow: OPTIONS,POST"},
		{call: "HEAD add?id=1", status: 405, want: ""},
		{call: "PUT echo", body: `{}`, status: 405, want: ""},
		{call: "DELETE echo", status: 405, want: ""},
		{call: "PATCH add", body: `{}`, status: 405, want: ""},
		{call: "POST add", body: `{"id":1}`, status: 200, want: `{"id":1,"text":null}`},
		{call: "POST add", body: `{"id":1}`, status: 409, want: `"code":"23505"`},
		{call: "POST add|Accept: application/vnd.pgrst.object+json", body: `{"id":2}`, status: 200, want: `{"id":2,"text":null}`},
		{call: "POST add|Accept: application/vnd.pgrst.object+json;nulls=stripped", body: `{"id":3}`, status: 200, want: `{"id":3}`},
		{call: "POST add|Accept: application/vnd.pgrst.array+json", body: `{"id":4}`, status: 200, want: `[{"id":4,"text":null}]`},
		{call: "POST add|Accept: text/csv", body: `{"id":5}`, status: 406, want: "an operation answers application/json"},
		{call: "POST add|Accept: application/x-ndjson", body: `{"id":5}`, status: 406, want: ""},
		{call: "POST add|Accept: image/png", body: `{"id":5}`, status: 406, want: ""},
		{call: "POST add|Prefer: return=minimal", body: `{"id":6}`, status: 204, want: ""},
		{call: "POST add|Prefer: tx=rollback", body: `{"id":7}`, status: 400, want: "tx=rollback"},
		{call: "POST add|Prefer: handling=strict, nonsense=1", body: `{"id":7}`, status: 400, want: "nonsense"},
		{call: "POST add", body: `{"id":7}`, status: 200, want: `{"id":7,"text":null}`}, // the three before did nothing
		{call: "POST many", body: `{"n":2}`, status: 200, want: `[{"id":0,"text":null},{"id":1,"text":null}]`},
		{call: "POST many|Accept: application/vnd.pgrst.object+json", body: `{"n":1}`, status: 200, want: `{"id":0,"text":null}`},
		{call: "POST many|Accept: application/vnd.pgrst.object+json", body: `{"n":2}`, status: 406, want: "PGRST116"},
		{call: "POST many|Accept: application/vnd.pgrst.object+json", body: `{"n":0}`, status: 406, want: "PGRST116"},
		{call: "POST quiet", body: `{}`, status: 204, want: ""},
		{call: "POST closed", body: `{}`, status: 401, want: "permission denied"},
		{call: "POST twic", body: `{}`, status: 404, want: "twice"},
		{call: "POST " + strings.Repeat("x", 3000), body: `{}`, status: 404, want: ""},
		{call: "POST twice", body: `{}`, status: 300, want: "supabase.schema('"},
		{call: "POST twice|Content-Profile: b", body: `{}`, status: 204, want: "", header: "Content-Profile: b"},
		{call: "POST echo|Content-Profile: b", body: `{}`, status: 404, want: ""},
		{call: "POST echo|Content-Profile: nowhere", body: `{}`, status: 406, want: ""},
		{call: "GET echo|Accept-Profile: a", status: 200, want: `{"v":{}}`},
		{call: "GET echo|Accept-Profile: b", status: 404, want: ""},
		{call: "POST a.echo", body: `{}`, status: 404, want: ""},
		{call: "POST echo/more", body: `{}`, status: 404, want: ""},
		{call: "POST ", body: `{}`, status: 404, want: ""},
		{call: "POST echo|Apikey: ", body: `{}`, status: 401, want: ""},
		{call: "POST add|Idempotency-Key: ", body: `{"id":8}`, status: 400, want: "Idempotency-Key"},
		{call: "POST add|Idempotency-Key: k", body: `{"id":8}`, status: 200, want: `{"id":8,"text":null}`},
		{call: "POST add|Idempotency-Key: k", body: `{"id":8}`, status: 200, want: `{"id":8,"text":null}`, header: "Idempotency-Replayed: true"},
		{call: "POST add|Idempotency-Key: k", body: `{"id":9}`, status: 422, want: ""},
		{call: "POST add|Idempotency-Key: k|Accept: application/vnd.pgrst.array+json", body: `{"id":8}`, status: 422, want: ""},
		{call: "POST quiet|Idempotency-Key: q", body: `{}`, status: 204, want: ""},
		{call: "POST quiet|Idempotency-Key: q", body: `{}`, status: 204, want: "", header: "Idempotency-Replayed: true"},
	} {
		parts := strings.Split(tt.call, "|")
		method, path, _ := strings.Cut(parts[0], " ")
		r := httptest.NewRequestWithContext(t.Context(), method, "/rest/v1/rpc/"+path, strings.NewReader(tt.body))
		r.Header.Set("Apikey", "k")
		for _, h := range parts[1:] {
			name, text, _ := strings.Cut(h, ": ")
			r.Header.Set(name, text)
		}
		w := httptest.NewRecorder()
		door.ServeHTTP(w, r)
		got := strings.TrimSuffix(w.Body.String(), "\n")
		problem := w.Code >= 300
		if w.Code != tt.status || !problem && got != tt.want && method != "HEAD" || problem && !strings.Contains(got, tt.want) {
			t.Errorf("%.120s %.60s\nanswers %d %.400s\nwant    %d %s", tt.call, tt.body, w.Code, got, tt.status, tt.want)
		}
		if name, text, ok := strings.Cut(tt.header, ": "); ok && strings.ReplaceAll(w.Header().Get(name), " ", "") != strings.ReplaceAll(text, " ", "") {
			t.Errorf("%s: %s is %q; want %q", tt.call, name, w.Header().Get(name), text)
		}
		if problem && method != "HEAD" && (w.Header().Get("Content-Type") != "application/problem+json" || !json.Valid(w.Body.Bytes())) {
			t.Errorf("%s: no problem: %s %.200s", tt.call, w.Header().Get("Content-Type"), got)
		}
		if w.Code == http.StatusInternalServerError || strings.Contains(got, string(fault.Internal)) && w.Code != 200 {
			t.Errorf("%s: %s", tt.call, got)
		}
	}
}
