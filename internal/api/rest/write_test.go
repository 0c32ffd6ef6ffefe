package rest

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
)

func testApp(t testing.TB) *model.App {
	t.Helper()
	app, problems := model.Load(fstest.MapFS{
		"pando.yaml": {Data: []byte("app: test\nlimits: { body: 1000, depth: 4, filters: 20 }\n")},
		"modules/todo.yaml": {Data: []byte(`
module: todo
entities:
  tasks:
    fields:
      id:       { type: int, primary: true }
      title:    { type: text }
      priority: { type: int, default: 1 }
  lists:
    fields:
      id:   { type: uuid, primary: true, default: uuid() }
      name: { type: text }
operations:
  finish: { input: { id: int }, output: tasks, allow: "true", run: functions/finish.ts }
`)},
		"functions/finish.ts": {Data: []byte("export default async () => null\n")},
	}, nil, model.Features{})
	for _, p := range problems {
		t.Error(p.String())
	}
	if app == nil {
		t.Fatal("the test application does not load")
	}
	return app
}

// testHandler takes the key "secret" and stands before no engine.
func testHandler(t testing.TB) *handler {
	t.Helper()
	return newHandler(Config{
		Authenticate: func(r *http.Request) (policy.Identity, error) {
			if r.Header.Get("Apikey") != "secret" {
				return policy.Identity{}, fault.New(fault.MissingCredential, "an API key is required")
			}
			return policy.Identity{Role: policy.Service}, nil
		},
		OpenAPI:   func() []byte { return []byte(`{"openapi":"3.1.0"}`) },
		RequestID: func(*http.Request) string { return "req-1" },
		Logger:    slog.New(slog.DiscardHandler),
	}, nil, testApp(t))
}

// newCall makes an authenticated request; call is "METHOD path".
func newCall(t *testing.T, call, body string, headers ...string) *http.Request {
	t.Helper()
	method, path, _ := strings.Cut(call, " ")
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Apikey", "secret")
	for _, h := range headers {
		k, v, _ := strings.Cut(h, ": ")
		if k == "Apikey" {
			r.Header.Del(k)
		}
		r.Header.Add(k, v)
	}
	return r
}

// TestFaults are the faults that a request meets before the engine.
func TestFaults(t *testing.T) {
	h := testHandler(t)
	for _, tt := range []struct {
		call    string
		body    string
		headers []string
		status  int
		code    fault.Code
		says    string // somewhere in the document
	}{
		{call: "GET /rest/v1/tasks", headers: []string{"Apikey: x"}, status: 401, code: fault.MissingCredential},
		{call: "GET /rest/v1/nothing?select=(", headers: []string{"Apikey: x"}, status: 401, code: fault.MissingCredential},
		{call: "GET /rest/v10/tasks", status: 404, code: fault.InvalidPath},
		{call: "GET /rest/v1/tasks/5", status: 404, code: fault.InvalidPath, says: "{entity}"},
		{call: "GET /rest/v1/tasks%2F5", status: 404, code: fault.InvalidPath},
		{call: "GET /rest/v1/%ff", status: 404, code: fault.InvalidPath},
		{call: "TRACE /rest/v1/tasks", status: 405, code: fault.MethodNotAllowed, says: "PATCH"},
		{call: "POST /rest/v1/", status: 405, code: fault.MethodNotAllowed},
		{call: "OPTIONS /rest/v1/taskss", status: 404, code: fault.UnknownEntity, says: "'tasks'"},
		{call: "GET /rest/v1/", headers: []string{"Accept: text/csv"}, status: 406, code: fault.NotAcceptable, says: "openapi"},

		{call: "GET /rest/v1/tasks", headers: []string{"Accept-Profile: toodo"}, status: 406, code: fault.UnknownSchema, says: "exposed: auth, todo\""},
		{call: "POST /rest/v1/tasks", body: "{}", headers: []string{"Content-Profile: Public"}, status: 406, code: fault.UnknownSchema},
		{call: "GET /rest/v1/tasks", headers: []string{"Accept: application/geo+json"}, status: 406, code: fault.NotAcceptable, says: "geometry"},
		{call: "GET /rest/v1/tasks", headers: []string{"Accept: application/vnd.pgrst.plan+json"}, status: 406, code: fault.NotAcceptable, says: "plans"},
		{call: "POST /rest/v1/tasks", body: "{}", headers: []string{"Accept: image/png"}, status: 406, code: fault.NotAcceptable},
		{call: "GET /rest/v1/tasks", headers: []string{"Prefer: handling=strict, tx=rollback"}, status: 400, code: fault.InvalidPreference, says: "tx=rollback"},
		{call: "POST /rest/v1/tasks", body: "{}", headers: []string{"Prefer: return=minimal, tx=rollback"}, status: 400, code: fault.NotImplemented, says: "tx=rollback"},
		{call: "GET /rest/v1/tasks", headers: []string{"Prefer: handling=strict, max-affected=1"}, status: 400, code: fault.InvalidPreference},
		{call: "GET /rest/v1/tasks", headers: []string{"Prefer: handling=strict, count=exact", "Accept: application/x-ndjson"}, status: 400, code: fault.InvalidPreference},
		{call: "GET /rest/v1/tasks?select=id,", status: 400, code: fault.Parse},
		{call: "GET /rest/v1/tasks?columns=id", status: 400, code: fault.Parse, says: "columns"},
		{call: "GET /rest/v1/tasks?on_conflict=id", status: 400, code: fault.Parse, says: "on_conflict"},
		{call: "GET /rest/v1/tasks", headers: []string{"Range: 9-0"}, status: 416, code: fault.InvalidRange},
		{call: "GET /rest/v1/tasks?cursor=x", headers: []string{"Range: 5-9"}, status: 400, code: fault.Parse},

		{call: "POST /rest/v1/tasks", body: "<a/>", headers: []string{"Content-Type: text/xml"}, status: 415, code: fault.UnsupportedMediaType},
		{call: "POST /rest/v1/tasks", body: "", status: 400, code: fault.InvalidBody},
		{call: "POST /rest/v1/tasks", body: strings.Repeat(" ", 1001), status: 413, code: fault.BodyTooLarge, says: "limits.body"},
		{call: "POST /rest/v1/tasks?id=eq.5", body: "{}", status: 400, code: fault.Parse, says: "PATCH"},
		{call: "POST /rest/v1/tasks?cursor=x", body: "{}", status: 400, code: fault.Parse},
		{call: "POST /rest/v1/tasks", body: "{}", headers: []string{"If-Match: *"}, status: 400, code: fault.NotImplemented},
		{call: "PUT /rest/v1/tasks?id=eq.1", body: `{"id":1}`, headers: []string{"If-None-Match: *"}, status: 400, code: fault.NotImplemented},
		{call: "POST /rest/v1/tasks", body: "{}", headers: []string{"Prefer: handling=strict, max-affected=1"}, status: 400, code: fault.InvalidPreference},
		{call: "POST /rest/v1/tasks", body: "{}", headers: []string{"Idempotency-Key: " + strings.Repeat("k", 256)}, status: 400, code: fault.BadRequest},
		{call: "POST /rest/v1/tasks", body: "{}", headers: []string{"Idempotency-Key: a", "Idempotency-Key: b"}, status: 400, code: fault.BadRequest},

		{call: "PATCH /rest/v1/tasks", body: `{"priority":2}`, status: 400, code: fault.UnfilteredWrite, says: "id=not.is.null"},
		{call: "PATCH /rest/v1/tasks?limit=5&order=id", body: `{"priority":2}`, status: 400, code: fault.UnfilteredWrite},
		{call: "PATCH /rest/v1/tasks?id=eq.1", body: `[{"priority":2},{"priority":3}]`, status: 400, code: fault.InvalidBody},
		{call: "PATCH /rest/v1/tasks?id=eq.1", body: `[]`, status: 400, code: fault.InvalidBody},
		{call: "PATCH /rest/v1/tasks?id=eq.1&on_conflict=id", body: `{}`, status: 400, code: fault.Parse},
		{call: "DELETE /rest/v1/tasks", status: 400, code: fault.UnfilteredWrite},
		{call: "DELETE /rest/v1/tasks?columns=id&id=eq.1", status: 400, code: fault.Parse},

		{call: "PUT /rest/v1/tasks", body: `{"id":1}`, status: 405, code: fault.InvalidPut},
		{call: "PUT /rest/v1/tasks?id=gt.1", body: `{"id":1}`, status: 405, code: fault.InvalidPut},
		{call: "PUT /rest/v1/tasks?id=not.eq.1", body: `{"id":1}`, status: 405, code: fault.InvalidPut},
		{call: "PUT /rest/v1/tasks?title=eq.1", body: `{"id":1}`, status: 405, code: fault.InvalidPut},
		{call: "PUT /rest/v1/tasks?id=eq.1&title=eq.x", body: `{"id":1}`, status: 405, code: fault.InvalidPut},
		{call: "PUT /rest/v1/tasks?id=eq.1&limit=1", body: `{"id":1}`, status: 400, code: fault.PutLimits},
		{call: "PUT /rest/v1/tasks?id=eq.1&offset=0", body: `{"id":1}`, status: 400, code: fault.PutLimits},
		{call: "PUT /rest/v1/tasks?id=eq.1", body: `{"id":2}`, status: 400, code: fault.PutMismatch},
		{call: "PUT /rest/v1/tasks?id=eq.1", body: `{"title":"x"}`, status: 400, code: fault.PutMismatch},
		{call: "PUT /rest/v1/tasks?id=eq.1", body: `{"id":null}`, status: 400, code: fault.PutMismatch},
		{call: "PUT /rest/v1/tasks?id=eq.one", body: `{"id":1}`, status: 400, code: fault.InvalidText},
		{call: "PUT /rest/v1/tasks?id=eq.1", body: `[{"id":1},{"id":1}]`, status: 400, code: fault.InvalidBody},
	} {
		t.Run(tt.call, func(t *testing.T) {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, newCall(t, tt.call, tt.body, tt.headers...))
			var doc struct {
				Code     fault.Code
				Status   int
				Instance string
			}
			if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
				t.Fatalf("%d %q: %v", w.Code, w.Body, err)
			}
			if w.Code != tt.status || doc.Status != tt.status || doc.Code != tt.code || doc.Instance != "req-1" {
				t.Errorf("%d %s, want %d %s", w.Code, w.Body, tt.status, tt.code)
			}
			if !strings.Contains(strings.ReplaceAll(w.Body.String(), `\"`, `"`), tt.says) {
				t.Errorf("%s does not say %q", w.Body, tt.says)
			}
			if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("Content-Type %q", got)
			}
			if (w.Header().Get("Allow") != "") != (tt.code == fault.MethodNotAllowed) {
				t.Errorf("Allow: %q", w.Header().Get("Allow"))
			}
		})
	}
}

func TestRoot(t *testing.T) {
	h := testHandler(t)
	for _, tt := range []struct{ call, accept, contentType, body string }{
		{"GET /rest/v1/", "application/openapi+json", "application/openapi+json; charset=utf-8", `{"openapi":"3.1.0"}`},
		{"GET /rest/v1", "*/*", "application/json; charset=utf-8", `{"openapi":"3.1.0"}`},
		{"HEAD /rest/v1/", "application/openapi+json", "application/openapi+json; charset=utf-8", ""},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, newCall(t, tt.call, "", "Accept: "+tt.accept))
		if w.Code != 200 || w.Header().Get("Content-Type") != tt.contentType || w.Body.String() != tt.body || w.Header().Get("Content-Length") != "19" {
			t.Errorf("%s: %d %v %s", tt.call, w.Code, w.Header(), w.Body)
		}
	}
}

func TestOptions(t *testing.T) {
	h := testHandler(t)
	for call, allow := range map[string]string{
		"OPTIONS /rest/v1/tasks": "OPTIONS,GET,HEAD,POST,PUT,PATCH,DELETE",
		"OPTIONS /rest/v1/":      "OPTIONS,GET,HEAD",
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, newCall(t, call, ""))
		if w.Code != 200 || w.Header().Get("Allow") != allow {
			t.Errorf("%s: %d %q", call, w.Code, w.Header().Get("Allow"))
		}
	}
}

// prepared is a request as far as its query.
func prepared(t *testing.T, call, body string, headers ...string) (*request, *query.Write, outcome, error) {
	t.Helper()
	r := newCall(t, call, body, headers...)
	q := &request{handler: testHandler(t), w: httptest.NewRecorder(), r: r, target: query.Target{Entity: strings.TrimPrefix(r.URL.Path, "/rest/v1/")}}
	if err := q.prepare(); err != nil {
		return q, nil, outcome{}, err
	}
	build := map[string]func(string) (*query.Write, outcome, error){
		"POST": q.create, "PATCH": q.update, "PUT": q.put, "DELETE": q.delete,
	}[r.Method]
	wr, out, err := build(body)
	if err == nil {
		q.complete(wr)
	}
	return q, wr, out, err
}

func showWrite(w *query.Write) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", [...]string{"read", "create", "update", "delete"}[w.Action], w.Target.Entity)
	if w.Action != query.Delete {
		fmt.Fprintf(&b, " %s", showInput(input{w.Columns, w.Rows}, nil))
	}
	if w.Conflict.Resolution != query.Fail || w.Conflict.Fields != nil {
		fmt.Fprintf(&b, "; conflict %d %q", w.Conflict.Resolution, w.Conflict.Fields)
	}
	b.WriteString("; ")
	showNode(&b, &query.Node{Where: w.Where, Order: w.Order, Page: w.Page}, "")
	if w.Returning != nil {
		b.WriteString("; returning ")
		showNode(&b, w.Returning, "")
	}
	if w.Embedded != nil {
		b.WriteString("; embedded ")
		showNode(&b, w.Embedded, "")
	}
	if w.MaxAffected != nil {
		fmt.Fprintf(&b, "; max %d", *w.MaxAffected)
	}
	if w.Singular {
		b.WriteString("; singular")
	}
	if w.IfMatch != nil {
		fmt.Fprintf(&b, "; if %q", w.IfMatch)
	}
	if w.Count != 0 || w.Format != 0 {
		fmt.Fprintf(&b, "; count %d format %d", w.Count, w.Format)
	}
	return strings.ReplaceAll(b.String(), "\n", ", ")
}

func TestWrites(t *testing.T) {
	for _, tt := range []struct {
		call    string
		body    string
		headers []string
		want    string
	}{
		{"POST /rest/v1/tasks", `{"id":1,"title":"x"}`, nil, `create tasks id,title | 1 "x"; `},
		{"POST /rest/v1/tasks", `[]`, nil, `create tasks ; `},
		{
			"POST /rest/v1/tasks?select=id&order=id.desc&limit=1", "id,title\n1,\n",
			[]string{"Content-Type: text/csv", "Prefer: return=representation,count=exact", "Accept: text/csv"},
			`create tasks id,title | t"1" t""; ; returning select id, order id desc, limit 1, ; count 1 format 2`,
		},
		{
			"POST /rest/v1/tasks?on_conflict=id&columns=id,title", `[{"id":1},{"title":"x"}]`,
			[]string{"Prefer: resolution=merge-duplicates,missing=null", "Accept: application/vnd.pgrst.object+json"},
			`create tasks id,title | 1 ∅ | ∅ "x"; conflict 1 ["id"]; ; singular`,
		},
		{"POST /rest/v1/tasks", `{"id":1}`, []string{"Prefer: resolution=ignore-duplicates"}, `create tasks id | 1; conflict 2 []; `},
		{
			"PATCH /rest/v1/tasks?id=gt.1&order=priority&select=id", `{"priority":null}`,
			[]string{"Prefer: return=representation,max-affected=5,handling=strict", `If-Match: "aa", W/"bb"`},
			`update tasks priority | ∅; where id gt "1", ; returning select id, order priority, ; max 5; if ["aa" "W/\"bb\""]`,
		},
		{
			"PATCH /rest/v1/tasks?id=gt.1&order=priority&limit=2", `{"priority":3}`,
			[]string{"Prefer: max-affected=5", "If-Match: *"},
			`update tasks priority | 3; where id gt "1", order priority, limit 2, ; if ["*"]`,
		},
		{"DELETE /rest/v1/tasks?id=eq.1", ``, []string{"If-Match: ,"}, `delete tasks; where id eq "1", ; if [""]`},
		{
			"PATCH /rest/v1/tasks?list=is.null&select=list(id)", `{"priority":3}`, nil,
			`update tasks priority | 3; where list is null, ; embedded embed "list",   select id, `,
		},
		{"DELETE /rest/v1/tasks?or=(id.eq.1,id.eq.2)", `ignored`, []string{"Prefer: return=headers-only"}, `delete tasks; where (id eq "1" or id eq "2"), `},
		{
			"PUT /rest/v1/tasks?id=eq.1", `{"title":"x","id":1}`,
			[]string{"Prefer: return=representation", `If-Match: "aa"`},
			`update tasks title,id | "x" 1; where id eq "1", ; returning ; if ["aa"]`,
		},
		{
			"PUT /rest/v1/tasks?id=eq.1", `{"title":"x","id":1}`,
			[]string{"Prefer: return=representation"},
			`create tasks title,id | "x" 1; conflict 1 []; ; returning `,
		},
		{
			"PUT /rest/v1/lists?id=eq.0190F2A4-0000-7000-8000-000000000001", `{"id":"0190f2a4-0000-7000-8000-000000000001","name":"x"}`, nil,
			`create lists id,name | "0190f2a4-0000-7000-8000-000000000001" "x"; conflict 1 []; `,
		},
	} {
		_, wr, _, err := prepared(t, tt.call, tt.body, tt.headers...)
		if err != nil {
			t.Errorf("%s: %v", tt.call, err)
			continue
		}
		if got := showWrite(wr); got != tt.want {
			t.Errorf("%s\n got %s\nwant %s", tt.call, got, tt.want)
		}
	}
}

// TestAnswerWrite turns results of the engine into answers.
func TestAnswerWrite(t *testing.T) {
	rows := func(n, inserted int, body string) engine.Result {
		return engine.Result{Rows: n, Inserted: inserted, Body: []byte(body), Total: -1}
	}
	for _, tt := range []struct {
		call    string
		body    string
		headers []string
		result  engine.Result
		want    string // status, body, then headers
	}{
		{"POST /rest/v1/tasks", `{}`, nil, rows(1, 1, ""), `201  Content-Range:*/* Content-Length:0`},
		{
			"POST /rest/v1/tasks", `{}`,
			[]string{"Prefer: return=headers-only"},
			engine.Result{Rows: 1, Inserted: 1, Key: "a b&"},
			`201  Content-Range:*/* Location:/rest/v1/tasks?id=eq.a+b%26 Preference-Applied:return=headers-only Content-Length:0`,
		},
		{
			"POST /rest/v1/tasks", `{}`,
			[]string{"Prefer: return=representation,count=exact"},
			rows(1, 1, `[{"id":1}]`),
			`201 [{"id":1}] Content-Range:*/1 Preference-Applied:return=representation, count=exact Content-Length:10 Content-Type:application/json; charset=utf-8`,
		},
		{
			"POST /rest/v1/tasks", `{}`,
			[]string{"Prefer: return=representation", "Accept: application/vnd.pgrst.object+json;nulls=stripped"},
			rows(1, 1, `[{"id":1,"a":null}]`),
			`201 {"id":1} Content-Range:*/* Preference-Applied:return=representation Content-Length:8 Content-Type:application/vnd.pgrst.object+json;nulls=stripped; charset=utf-8`,
		},
		{
			"POST /rest/v1/tasks", `{}`,
			[]string{"Prefer: resolution=merge-duplicates"},
			rows(1, 0, ""),
			`200  Content-Range:*/* Preference-Applied:resolution=merge-duplicates Content-Length:0`,
		},
		{
			"POST /rest/v1/tasks", `{}`,
			[]string{"Prefer: resolution=ignore-duplicates"},
			rows(0, 0, ""),
			`201  Content-Range:*/* Preference-Applied:resolution=ignore-duplicates Content-Length:0`,
		},
		{"PATCH /rest/v1/tasks?id=gt.1", `{"priority":2}`, nil, rows(3, 0, ""), `204  Content-Range:0-2/*`},
		{"PATCH /rest/v1/tasks?id=gt.1", `{"priority":2}`, nil, rows(0, 0, ""), `204  Content-Range:*/*`},
		{
			"PATCH /rest/v1/tasks?id=gt.1", `{"priority":2}`,
			[]string{"Prefer: return=representation,count=exact"},
			rows(0, 0, "[]"),
			`200 [] Content-Range:*/0 Preference-Applied:return=representation, count=exact Content-Length:2 Content-Type:application/json; charset=utf-8`,
		},
		{
			"PATCH /rest/v1/tasks?id=gt.1", `{}`,
			[]string{"Prefer: return=representation"},
			rows(0, 0, ""),
			`200 [] Content-Range:*/* Preference-Applied:return=representation Content-Length:2 Content-Type:application/json; charset=utf-8`,
		},
		{"DELETE /rest/v1/tasks?id=gt.1", ``, []string{"Prefer: return=minimal,count=exact"}, rows(3, 0, ""), `204  Content-Range:*/3 Preference-Applied:return=minimal, count=exact`},
		{"PUT /rest/v1/tasks?id=eq.1", `{"id":1}`, nil, rows(1, 1, ""), `201  Content-Length:0`},
		{"PUT /rest/v1/tasks?id=eq.1", `{"id":1}`, nil, rows(1, 0, ""), `204 `},
		{
			"PUT /rest/v1/tasks?id=eq.1", `{"id":1}`,
			[]string{"Prefer: return=representation"},
			rows(1, 0, `[{"id":1}]`),
			`200 [{"id":1}] Preference-Applied:return=representation Content-Length:10 Content-Type:application/json; charset=utf-8`,
		},
		{"DELETE /rest/v1/tasks?id=eq.1", ``, nil, engine.Result{Rows: 1, Replayed: true}, `204  Content-Range:*/* Idempotency-Replayed:true`},
	} {
		q, _, out, err := prepared(t, tt.call, tt.body, tt.headers...)
		if err != nil {
			t.Errorf("%s: %v", tt.call, err)
			continue
		}
		if err := q.answerWrite(&tt.result, out); err != nil {
			t.Errorf("%s: %v", tt.call, err)
			continue
		}
		if got := showAnswer(q.w.(*httptest.ResponseRecorder)); got != tt.want {
			t.Errorf("%s %q\n got %s\nwant %s", tt.call, tt.headers, got, tt.want)
		}
	}
}

func showAnswer(w *httptest.ResponseRecorder) string {
	s := fmt.Sprintf("%d %s", w.Code, w.Body)
	for _, k := range []string{"Content-Range", "Location", "Link", "Preference-Applied", "Idempotency-Replayed", "Content-Length", "Content-Type", "Etag"} {
		if v := w.Header().Get(k); v != "" {
			s += " " + k + ":" + v
		}
	}
	return s
}

// TestAnswerRead does the same for reads.
func TestAnswerRead(t *testing.T) {
	for _, tt := range []struct {
		call    string
		headers []string
		result  engine.Result
		want    string
	}{
		{
			"GET /rest/v1/tasks?limit=2", nil,
			engine.Result{Body: []byte(`[{"id":1},{"id":2}]`), Rows: 2, Total: -1, Next: "N"},
			`200 [{"id":1},{"id":2}] Content-Range:0-1/* Link:</rest/v1/tasks?limit=2&cursor=N>; rel="next" Content-Length:19 Content-Type:application/json; charset=utf-8 Etag:"` + query.Tag([]byte(`[{"id":1},{"id":2}]`)) + `"`,
		},
		{
			"HEAD /rest/v1/tasks?offset=5",
			[]string{"Prefer: count=exact"},
			engine.Result{Body: []byte(`[{"id":1}]`), Rows: 1, Total: 9},
			`206  Content-Range:5-5/9 Preference-Applied:count=exact Content-Length:10 Content-Type:application/json; charset=utf-8`,
		},
		{
			"GET /rest/v1/tasks?cursor=C",
			[]string{"Prefer: count=planned", "Accept: text/csv"},
			engine.Result{Body: []byte("id\n1\n"), Rows: 1, Total: 9, Prev: "P"},
			"206 id\n1\n Content-Range:*/9 Link:</rest/v1/tasks?cursor=P>; rel=\"prev\" Preference-Applied:count=planned Content-Length:5 Content-Type:text/csv; charset=utf-8",
		},
		{
			"GET /rest/v1/tasks?id=eq.1",
			[]string{"Accept: application/vnd.pgrst.object+json"},
			engine.Result{Body: []byte(`[{"id":1}]`), Rows: 1, Total: -1},
			`200 {"id":1} Content-Range:0-0/* Content-Length:8 Content-Type:application/vnd.pgrst.object+json; charset=utf-8 Etag:"` + query.Tag([]byte(`[{"id":1}]`)) + `"`,
		},
		{
			"GET /rest/v1/tasks",
			[]string{"Accept: application/vnd.pgrst.array+json;nulls=stripped"},
			engine.Result{Body: []byte(`[{"id":1,"a":null}]`), Rows: 1, Total: -1},
			`200 [{"id":1}] Content-Range:0-0/* Content-Length:10 Content-Type:application/vnd.pgrst.array+json;nulls=stripped; charset=utf-8 Etag:"` + query.Tag([]byte(`[{"id":1}]`)) + `"`,
		},
	} {
		r := newCall(t, tt.call, "", tt.headers...)
		w := httptest.NewRecorder()
		q := &request{handler: testHandler(t), w: w, r: r, target: query.Target{Entity: "tasks"}}
		if err := q.prepare(); err != nil {
			t.Errorf("%s: %v", tt.call, err)
			continue
		}
		if err := q.answerRead(&tt.result); err != nil {
			t.Errorf("%s: %v", tt.call, err)
			continue
		}
		if got := showAnswer(w); got != tt.want {
			t.Errorf("%s %q\n got %s\nwant %s", tt.call, tt.headers, got, tt.want)
		}
	}
}

func TestWantsCursors(t *testing.T) {
	for call, want := range map[string]bool{
		"":                               true,
		"limit=30&order=title":           true,
		"priority=eq.5":                  true,
		"id=eq.5":                        false, // one row at most
		"id=eq.5&title=eq.x":             true,
		"id=gt.5":                        true,
		"limit=0":                        false,
		"select=priority,count()":        false,
		"select=priority,lists(count())": true,
	} {
		q := &request{handler: testHandler(t), r: newCall(t, "GET /rest/v1/tasks?"+call, ""), target: query.Target{Entity: "tasks"}}
		if err := q.prepare(); err != nil {
			t.Fatal(err)
		}
		if got := q.wantsCursors(); got != want {
			t.Errorf("%s: %v", call, got)
		}
	}
}

func TestDigest(t *testing.T) {
	seen := map[string]string{}
	for _, tt := range []struct {
		call, body string
		headers    []string
	}{
		{"POST /rest/v1/tasks", "a", nil},
		{"POST /rest/v1/tasks", "b", nil},
		{"POST /rest/v1/tasks?a", "", nil},
		{"POST /rest/v1/tasks?a", "a", nil},
		{"POST /rest/v1/tasks", "a", []string{"Prefer: return=minimal"}},
		{"POST /rest/v1/tasks", "a", []string{"Accept: return=minimal"}},
		{"POST /rest/v1/tasks", "a", []string{"Content-Type: text/csv"}},
		{"POST /rest/v1/tasks", "a", []string{"Content-Profile: todo"}},
	} {
		q := &request{r: newCall(t, tt.call, tt.body, append(tt.headers, "Idempotency-Key: k", "X-Other: "+fmt.Sprint(len(seen)))...)}
		idem, err := q.idempotency(tt.body)
		if err != nil || idem.Key != "k" || idem.Method != "POST" || idem.Path != "/rest/v1/tasks" {
			t.Fatalf("%v, %v", idem, err)
		}
		again, _ := (&request{r: newCall(t, tt.call, tt.body, append(tt.headers, "Idempotency-Key: k", "X-Other: again")...)}).idempotency(tt.body)
		if again.Digest != idem.Digest {
			t.Errorf("%v: the same request has another digest", tt)
		}
		d := hex.EncodeToString(idem.Digest[:])
		if other, ok := seen[d]; ok {
			t.Errorf("%v and %s have one digest", tt, other)
		}
		seen[d] = fmt.Sprint(tt)
	}
	if idem, err := (&request{r: newCall(t, "POST /rest/v1/tasks", "")}).idempotency(""); idem != nil || err != nil {
		t.Errorf("without a key: %v, %v", idem, err)
	}
}

func TestNotSingular(t *testing.T) {
	var f *fault.Error
	if err := notSingular(0); !errors.As(err, &f) || f.Details != "The result contains 0 rows" || f.Code.Status() != 406 {
		t.Errorf("%v", err)
	}
}

// The header goes out with the first piece, so that a failure before it can
// still be told.
func TestRowStream(t *testing.T) {
	w := httptest.NewRecorder()
	q := &request{handler: testHandler(t), w: w, rep: representation{media: mediaNDJSON}}
	s := &rowStream{q: q}
	if w.Header().Get("Content-Type") != "" || s.begun {
		t.Error("the answer began before its first piece")
	}
	for _, piece := range []string{"{}\n", "{}\n"} {
		if n, err := s.Write([]byte(piece)); n != 3 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
	if !bytes.Equal(w.Body.Bytes(), []byte("{}\n{}\n")) || w.Code != 200 || w.Header().Get("Content-Type") != "application/x-ndjson; charset=utf-8" || len(w.Header().Values("Vary")) != 1 {
		t.Errorf("%d %v %q", w.Code, w.Header(), w.Body)
	}
}
