package rest_test

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/pandobase/pando/internal/api/rest"
	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/keys"
	"github.com/pandobase/pando/internal/migrate"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/store/teststore"
)

const sessionModule = `
module: todo
entities:
  lists:
    fields:
      id:   { type: int, primary: true }
      name: { type: text }
    unique: [[name]]
  tasks:
    fields:
      id:       { type: int, primary: true }
      title:    { type: text, max: 60 }
      priority: { type: int, default: 1, min: 0 }
      done:     { type: bool, default: false }
      meta:     { type: json, optional: true }
      tags:     { type: text, list: true, optional: true }
      list_id:  { ref: lists, optional: true, on_delete: cascade }
    index: [[priority, id]]
    search: [title]
  counters:
    fields:
      id:    { type: int, primary: true }
      count: { type: int }
`

// newEngine serves the test application on a new store.
func newEngine(t testing.TB) *engine.Engine {
	t.Helper()
	app, problems := model.Load(fstest.MapFS{
		"pando.yaml":        {Data: []byte("app: test\nlimits: { rows: 50 }\n")},
		"modules/todo.yaml": {Data: []byte(sessionModule)},
	}, nil, model.Features{})
	if problems != nil {
		t.Fatal(problems)
	}
	rules, problems := policy.Compile(app)
	if problems != nil {
		t.Fatal(problems)
	}
	dir := t.TempDir()
	driver := teststore.Open(t)
	plan, err := migrate.Prepare(t.Context(), driver, app)
	if err != nil {
		t.Fatal(err)
	}
	if err := migrate.Apply(t.Context(), driver, plan, migrate.Options{}); err != nil {
		t.Fatal(err)
	}
	signer, err := keys.OpenSigner(keys.SignerConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return engine.New(engine.Config{App: app, Rules: rules, Driver: driver, Signer: signer})
}

// newDoor is the door of the test application on a new store.
func newDoor(t testing.TB) http.Handler {
	t.Helper()
	e := newEngine(t)
	return rest.New(rest.Config{
		Engine: e,
		Authenticate: func(r *http.Request) (policy.Identity, error) {
			if r.Header.Get("Apikey") == "" {
				return policy.Identity{}, fault.New(fault.MissingCredential, "an API key is required")
			}
			return policy.Identity{Role: policy.Service}, nil
		},
		OpenAPI: func() []byte { return []byte("{}") },
		Logger:  slog.New(slog.DiscardHandler),
	})
}

// newServer serves a new door over loopback.
func newServer(t testing.TB) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(newDoor(t))
	t.Cleanup(s.Close)
	return s
}

// TestSession plays testdata/session.txt against the whole stack, down to
// the store.
func TestSession(t *testing.T) {
	playFile(t, newServer(t), "testdata/session.txt", func(string) {})
}

// playFile plays a file: lines that begin with > are requests (the method and
// path, headers, and after >| the body), the lines below each are its answer. It
// returns the answers. comment gets what stands in lines that begin with #.
func playFile(t *testing.T, s *httptest.Server, file string, comment func(text string)) string {
	t.Helper()
	in, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	vars := map[string]string{}
	var block []string
	flush := func() {
		if len(block) > 0 {
			fmt.Fprintf(&out, "%s\n%s\n", strings.Join(block, "\n"), play(t, s, block, vars))
			block = nil
		}
	}
	for line := range strings.Lines(string(in)) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, ">"):
			block = append(block, line)
		case strings.HasPrefix(line, "#"):
			flush()
			comment(strings.TrimPrefix(line, "# "))
			fmt.Fprintf(&out, "%s\n\n", line)
		case line == "":
			flush()
		}
	}
	flush()
	got := strings.TrimSpace(out.String()) + "\n"
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return got
	}
	if diff := gocmp.Diff(string(in), got); diff != "" {
		t.Errorf("the answers changed (-want +got); run with -update when they should:\n%s", diff)
	}
	return got
}

// play sends one request. $tag and $next stand for the last answer's ETag and
// the cursor of its next page.
func play(t *testing.T, s *httptest.Server, block []string, vars map[string]string) string {
	t.Helper()
	expand := func(text string) string {
		for k, v := range vars {
			text = strings.ReplaceAll(text, k, v)
		}
		return text
	}
	method, path, _ := strings.Cut(expand(strings.TrimPrefix(block[0], "> ")), " ")
	var body strings.Builder
	headers := http.Header{"Apikey": {"secret"}}
	for _, line := range block[1:] {
		if text, ok := strings.CutPrefix(line, ">| "); ok {
			body.WriteString(text + "\n")
			continue
		}
		k, v, _ := strings.Cut(strings.TrimPrefix(line, "> "), ": ")
		headers.Add(k, expand(v))
	}
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body.String()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = headers
	res, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if tag := res.Header.Get("ETag"); tag != "" {
		vars["$tag"] = tag
	}
	cursor := regexp.MustCompile(`cursor=([^>]+)>; rel="next"`)
	if m := cursor.FindStringSubmatch(res.Header.Get("Link")); m != nil {
		vars["$next"] = m[1]
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d\n", res.StatusCode)
	for _, k := range []string{"Content-Type", "Content-Range", "Content-Profile", "Location", "Link", "Preference-Applied", "Idempotency-Replayed", "Allow", "Deprecation", "Sunset"} {
		if v := res.Header.Get(k); v != "" && v != "application/json; charset=utf-8" {
			fmt.Fprintf(&b, "%s: %s\n", k, regexp.MustCompile(`cursor=[^>]+`).ReplaceAllString(v, "cursor=…"))
		}
	}
	b.WriteString(string(answer))
	return cmp.Or(strings.TrimRight(b.String(), "\n"), "nothing") + "\n"
}

// brokenPipe takes the header and fails with the first piece of the body.
type brokenPipe struct{ *httptest.ResponseRecorder }

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// A failure after the header went out must cut the connection: otherwise the
// client took the part for the whole.
func TestStreamAborts(t *testing.T) {
	door := newDoor(t)
	send := func(method, path, body string, w http.ResponseWriter) {
		r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
		r.Header.Set("Apikey", "secret")
		r.Header.Set("Accept", "application/x-ndjson")
		door.ServeHTTP(w, r)
	}
	send(http.MethodPost, "/rest/v1/lists", `{"id":1,"name":"a"}`, httptest.NewRecorder())
	defer func() {
		if got := recover(); got != http.ErrAbortHandler { //nolint:errorlint // net/http compares it like this
			t.Errorf("recovered %v", got)
		}
	}()
	send(http.MethodGet, "/rest/v1/lists", "", brokenPipe{httptest.NewRecorder()})
	t.Error("the answer ended as if it were whole")
}

// A stream is not bounded by limits.rows, a page of JSON is.
func TestStreamIsUnbounded(t *testing.T) {
	s := newServer(t)
	var rows []string
	for i := range 120 {
		rows = append(rows, fmt.Sprintf(`{"id":%d,"title":"t"}`, i))
	}
	vars := map[string]string{}
	play(t, s, []string{"> POST /rest/v1/tasks", ">| [" + strings.Join(rows, ",") + "]"}, vars)
	stream := play(t, s, []string{"> GET /rest/v1/tasks?select=id", "> Accept: application/x-ndjson"}, vars)
	if n := strings.Count(stream, `{"id":`); n != 120 {
		t.Errorf("a stream of %d rows", n)
	}
	page := play(t, s, []string{"> GET /rest/v1/tasks?select=id"}, vars)
	if n := strings.Count(page, `{"id":`); n != 50 || !strings.Contains(page, `rel="next"`) {
		t.Errorf("a page of %d rows: %s", n, page)
	}
	seen := 50
	for vars["$next"] != "" && seen < 500 {
		next := vars["$next"]
		delete(vars, "$next")
		page = play(t, s, []string{"> GET /rest/v1/tasks?select=id&cursor=" + next}, vars)
		seen += strings.Count(page, `{"id":`)
	}
	if seen != 120 {
		t.Errorf("the pages hold %d rows", seen)
	}
}

// discard is a ResponseWriter that costs nothing.
type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

func BenchmarkDoor(b *testing.B) {
	door := newDoor(b)
	var rows []string
	for i := range 1000 {
		rows = append(rows, fmt.Sprintf(`{"id":%d,"title":"a title","priority":%d}`, i, i%10))
	}
	r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/rest/v1/tasks", strings.NewReader("["+strings.Join(rows, ",")+"]"))
	r.Header.Set("Apikey", "secret")
	w := httptest.NewRecorder()
	if door.ServeHTTP(w, r); w.Code != http.StatusCreated {
		b.Fatal(w.Body)
	}
	for name, path := range map[string]string{
		"get":  "/rest/v1/tasks?id=eq.500",
		"list": "/rest/v1/tasks?select=id,title&priority=eq.5&order=id.desc&limit=30",
	} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, path, nil)
			r.Header.Set("Apikey", "secret")
			w := discard{http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.h)
				door.ServeHTTP(w, r)
			}
		})
	}
}
