package jobs_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	jobsdoor "github.com/pandobase/pando/internal/api/jobs"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/jobs"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/operations"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/queue"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/teststore"
)

const (
	ann = "0198f1c2-0000-7000-8000-00000000000a"
	bob = "0198f1c2-0000-7000-8000-00000000000b"
)

// callers are who may be named in the header apikey.
func callers() map[string]policy.Identity {
	return map[string]policy.Identity{
		"ann": {Role: policy.Authenticated, UID: ann, Key: "p"}, "bob": {Role: policy.Authenticated, UID: bob, Key: "p"},
		"anon": {Role: policy.Anon, Key: "p"}, "service": {Role: policy.Service, Key: "s"},
		"bound":   {Role: policy.Service, Key: "b", Modules: []string{"m"}},
		"machine": {Role: policy.Authenticated, Key: "machine"}, "nobody": {},
	}
}

// door is the jobs' door over HTTP.
type door struct {
	*httptest.Server
	t      *testing.T
	queue  *queue.Queue
	driver store.Driver
	job    *model.Job
	goOn   chan string // what a job is told: progress, or to end
}

func open(t *testing.T) *door {
	t.Helper()
	app, problems := model.Load(fstest.MapFS{"pando.yaml": {Data: []byte("app: a\n")}, "modules/m.yaml": {Data: []byte("module: m\njobs: { work: { run: go, retry: 0 } }\n")}}, nil, model.Features{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	d := &door{t: t, driver: teststore.Open(t), job: app.Module("m").Jobs[0], goOn: make(chan string)}
	var err error
	if d.queue, err = queue.Open(t.Context(), queue.Config{Driver: d.driver, Queues: jobs.New(app).Queues()}); err != nil {
		t.Fatal(err)
	}
	d.Server = httptest.NewServer(jobsdoor.New(jobsdoor.Config{
		Queue: d.queue, Cancel: func(ctx context.Context, _ *policy.Identity, id queue.ID) error { return d.queue.Cancel(ctx, id) },
		Authenticate: func(r *http.Request) (policy.Identity, error) {
			id, ok := callers()[r.Header.Get("Apikey")]
			if !ok {
				return policy.Identity{}, fault.New(fault.MissingCredential, "an API key is required")
			}
			return id, nil
		},
	}))
	t.Cleanup(d.Close)
	return d
}

// work runs jobs, each as goOn says.
func (d *door) work() {
	d.t.Helper()
	err := d.queue.Start(d.t.Context(), func(ctx context.Context, w *queue.Work) ([]byte, error) {
		for {
			select {
			case text := <-d.goOn:
				switch text {
				case "end":
					return []byte(`{"done":true}`), nil
				case "fail":
					return nil, fault.New(fault.Conflict, "the password is hunter2")
				}
				w.Progress(0.5, text)
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	})
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := d.queue.Stop(ctx); err != nil {
			d.t.Error(err)
		}
	})
}

func (d *door) enqueue(caller string) string {
	d.t.Helper()
	id := callers()[caller]
	var job string
	err := d.driver.Write(d.t.Context(), func(tx store.Tx) (err error) {
		job, err = jobs.Enqueue(d.queue, tx, d.job, operations.Enqueued{Input: []byte("{}"), Caller: &id})
		return err
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return job
}

func (d *door) ask(caller, method, path string, headers ...string) *http.Response {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), method, d.URL+path, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	r.Header.Set("Apikey", caller)
	for _, h := range headers {
		name, text, _ := strings.Cut(h, ": ")
		r.Header.Set(name, text)
	}
	res, err := d.Client().Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	return res
}

// reply is an answer without its body.
type reply struct {
	StatusCode int
	Header     http.Header
}

func (d *door) do(caller, method, path string, headers ...string) (reply, string) {
	d.t.Helper()
	res := d.ask(caller, method, path, headers...)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return reply{res.StatusCode, res.Header}, string(body)
}

// TestWhoFollows: a job is there for who has enqueued it and for the service; to
// others it is as if it were not.
func TestWhoFollows(t *testing.T) {
	d := open(t)
	for owner, may := range map[string]string{"ann": "ann service", "machine": "machine service", "anon": "service", "service": "service"} {
		id := d.enqueue(owner)
		_, none := d.do("bob", "GET", "/jobs/v1/"+id+"0")
		for caller := range callers() {
			allowed := strings.Contains(" "+may+" ", " "+caller+" ")
			for _, accept := range []string{"application/json", "text/event-stream"} {
				if allowed && accept != "application/json" {
					continue
				}
				res, text := d.do(caller, "GET", "/jobs/v1/"+id, "Accept: "+accept)
				if want := map[bool]int{true: 200, false: 404}[allowed]; res.StatusCode != want {
					t.Errorf("%s follows the job of %s: %d %s", caller, owner, res.StatusCode, text)
				}
				if !allowed && text != none {
					t.Errorf("%s learns that the job of %s is there: %s; else it is %s", caller, owner, text, none)
				}
				if allowed && (!strings.Contains(text, `"job":"m.work","state":"available"`) || strings.Contains(text, ann)) {
					t.Errorf("%s follows the job of %s: %s", caller, owner, text)
				}
			}
			if allowed {
				continue
			}
			for _, method := range []string{"POST", "GET", "DELETE"} {
				if res, _ := d.do(caller, method, "/jobs/v1/"+id+"/cancel"); res.StatusCode != 404 {
					t.Errorf("%s cancels the job of %s by %s: %d", caller, owner, method, res.StatusCode)
				}
			}
		}
		if res, _ := d.do("", "GET", "/jobs/v1/"+id); res.StatusCode != 401 {
			t.Errorf("without a key: %d", res.StatusCode)
		}
		if res, text := d.do("service", "GET", "/jobs/v1/"+id); !strings.Contains(text, "available") {
			t.Errorf("it was canceled: %d %s", res.StatusCode, text)
		}
	}
}

// TestMethods: what the door answers, and how it says what it does not.
func TestMethods(t *testing.T) {
	d := open(t)
	id := d.enqueue("ann")
	for _, tt := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/" + id, 200, ""},
		{"HEAD", "/" + id, 200, ""},
		{"POST", "/" + id, 405, "GET, HEAD"},
		{"PUT", "/" + id, 405, "GET, HEAD"},
		{"DELETE", "/" + id, 405, "GET, HEAD"},
		{"PATCH", "/" + id, 405, "GET, HEAD"},
		{"GET", "/" + id + "/cancel", 405, "POST"},
		{"GET", "/" + id + "/more", 404, ""},
		{"GET", "/" + id + "/cancel/x", 404, ""},
		{"GET", "/", 404, ""},
		{"GET", "", 404, ""},
		{"GET", "/x", 404, ""},
		{"GET", "/-1", 404, ""},
		{"GET", "/" + strings.Repeat("9", 400), 404, ""},
		{"GET", "/%00", 404, ""},
		{"GET", "/" + id + "%20", 404, ""},
		{"GET", "/" + strings.ToUpper(id) + "'--", 404, ""},
		{"POST", "/" + id + "/cancel", 204, ""},
		{"GET", "/" + id, 200, ""},
	} {
		res, text := d.do("ann", tt.method, "/jobs/v1"+tt.path)
		if res.StatusCode != tt.status || res.Header.Get("Allow") != tt.allow {
			t.Errorf("%s %.40s: %d %q %.200s", tt.method, tt.path, res.StatusCode, res.Header.Get("Allow"), text)
		}
		if tt.status >= 400 && (res.Header.Get("Content-Type") != "application/problem+json" || !json.Valid([]byte(text))) {
			t.Errorf("%s %.40s: %s", tt.method, tt.path, text)
		}
		if tt.method == "HEAD" && text != "" {
			t.Errorf("HEAD: %s", text)
		}
	}
	if _, text := d.do("ann", "GET", "/jobs/v1/"+id); !strings.Contains(text, `"state":"canceled"`) {
		t.Errorf("after it was canceled: %s", text)
	}
}

// TestStream follows a job to its end, and others to theirs.
func TestStream(t *testing.T) {
	d := open(t)
	for _, end := range []string{"end", "fail", "cancel"} {
		id := d.enqueue("ann")
		res := d.ask("ann", "GET", "/jobs/v1/"+id, "Accept: text/event-stream")
		if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream; charset=utf-8" || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%d %v", res.StatusCode, res.Header)
		}
		lines := bufio.NewScanner(res.Body)
		next := func() (event string, s map[string]any) {
			for lines.Scan() {
				name, text, _ := strings.Cut(lines.Text(), ": ")
				switch name {
				case "event":
					event = text
				case "data":
					if err := json.Unmarshal([]byte(text), &s); err != nil {
						t.Fatal(err)
					}
					return event, s
				}
			}
			return "", nil
		}
		if event, s := next(); event != "available" && (end == "end" || event != "running") || s["id"] != id || s["result"] != nil {
			t.Errorf("%s: at first it is %s %v", end, event, s)
		}
		if end == "end" {
			d.work()
		}
		d.goOn <- "half way"
		last, state := "", map[string]any(nil)
		told := false
		for {
			event, s := next()
			if event == "" {
				break
			}
			if last, state = event, s; s["message"] == "half way" && s["progress"] == 0.5 && !told {
				told = true
				if end == "cancel" {
					if res, text := d.do("ann", "POST", "/jobs/v1/"+id+"/cancel"); res.StatusCode != 204 {
						t.Errorf("a cancel: %d %s", res.StatusCode, text)
					}
				} else {
					d.goOn <- end
				}
			}
		}
		res.Body.Close()
		want := map[string]string{"end": "completed", "fail": "dead", "cancel": "canceled"}[end]
		if !told || last != want || end == "end" && state["result"] == nil {
			t.Errorf("%s: it ends as %s, not %s, %v, progress told %v", end, last, want, state, told)
		}
		if body, _ := json.Marshal(state); strings.Contains(string(body), "hunter2") {
			t.Errorf("%s: it tells %s", end, body)
		}
		// What has ended is one event.
		_, text := d.do("ann", "GET", "/jobs/v1/"+id, "Accept: text/event-stream")
		if strings.Count(text, "event: ") != 1 || !strings.Contains(text, "event: "+last) {
			t.Errorf("%s: followed after its end: %s", end, text)
		}
	}
}
