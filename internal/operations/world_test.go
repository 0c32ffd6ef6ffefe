package operations_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/pandobase/pando/internal/api/rest"
	"github.com/pandobase/pando/internal/audit"
	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/functions"
	"github.com/pandobase/pando/internal/jobs"
	"github.com/pandobase/pando/internal/keys"
	"github.com/pandobase/pando/internal/migrate"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/operations"
	"github.com/pandobase/pando/internal/outbox"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/queue"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/teststore"
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "pando-operations-*")
	if err != nil {
		panic(err)
	}
	compiled = filepath.Join(dir, "code")
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// compiled is where QuickJS lies, compiled once for the tests.
var compiled string //nolint:gochecknoglobals // set once

const (
	ann = "0198f1c2-0000-7000-8000-00000000000a"
	bob = "0198f1c2-0000-7000-8000-00000000000b"
)

// world is an application whose code runs on a store of its own.
type world struct {
	*operations.Operations
	t      *testing.T
	engine *engine.Engine
	app    *model.App
	driver store.Driver
	audit  *audit.Log
	queue  *queue.Queue
	code   map[string]operations.Func
	seen   int64 // the newest record that was taken
	events int64

	mu      sync.Mutex
	fetched []string
}

// open serves an application: its modules by their files' names, and its code.
func open(t *testing.T, files map[string]string, adapt ...func(*functions.Config)) *world {
	t.Helper()
	fsys, entries := fstest.MapFS{}, []string{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
		if strings.HasSuffix(name, ".ts") {
			entries = append(entries, name)
		}
	}
	if fsys["pando.yaml"] == nil {
		fsys["pando.yaml"] = &fstest.MapFile{Data: []byte("app: test\nroles: { staff: {}, admin: { inherits: [staff] } }\n")}
	}
	app, problems := model.Load(fsys, nil, model.Features{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	rules, problems := policy.Compile(app)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	ctx, d, dir := t.Context(), teststore.Open(t), t.TempDir()
	plan, err := migrate.Prepare(ctx, d, app)
	if err == nil {
		err = migrate.Apply(ctx, d, plan, migrate.Options{})
	}
	if err != nil {
		t.Fatal(err)
	}
	err = d.Alter(ctx, func(tx store.Tx) error {
		for _, id := range []string{ann, bob} {
			sql := `INSERT INTO ` + d.Dialect().Table("auth", "users") + ` ("id","email","is_anonymous","created_at","updated_at","failures") VALUES ('` +
				id + `','` + id[len(id)-1:] + `@x.example',` + d.Dialect().Bool(false) + `,'2026-01-01T00:00:00+00:00','2026-01-01T00:00:00+00:00',0)`
			if _, err := tx.Exec(&store.Statement{SQL: sql}, nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	wrapper, err := keys.OpenWrapper(dir)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := keys.OpenSigner(keys.SignerConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	trail, err := audit.Open(ctx, audit.Config{Driver: d, Wrapper: wrapper})
	if err != nil {
		t.Fatal(err)
	}
	box, err := outbox.Open(ctx, outbox.Config{Driver: d})
	if err != nil {
		t.Fatal(err)
	}
	q, err := queue.Open(ctx, queue.Config{Driver: d, Queues: jobs.New(app).Queues()})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, app: app, driver: d, audit: trail, queue: q, code: map[string]operations.Func{}}
	t.Cleanup(func() {
		if err := errors.Join(box.Close(), trail.Close(context.Background())); err != nil {
			t.Error(err)
		}
	})
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	var sandbox *functions.Runtime
	if len(entries) > 0 {
		cfg := functions.Config{Cache: compiled, Log: log}
		for _, f := range adapt {
			f(&cfg)
		}
		if sandbox, err = functions.New(cfg); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := sandbox.Close(); err != nil {
				t.Error(err)
			}
		})
		if problems := sandbox.Load(ctx, fsys, entries); len(problems) > 0 {
			t.Fatalf("%+v", problems)
		}
	}
	w.engine = engine.New(engine.Config{App: app, Rules: rules, Driver: d, Signer: signer, Audit: trail, Outbox: box})
	w.Operations = operations.New(operations.Config{
		Engine: w.engine, Rules: rules, Sandbox: sandbox, Go: w.code, Audit: trail, Log: log,
		Rows: func(ctx context.Context, exec engine.Executor, id policy.Identity, r *operations.Request) (*operations.Answer, error) {
			a, err := rest.Perform(ctx, exec, id, rest.Call{
				Method: r.Method, Module: r.Module, Entity: r.Entity, Query: r.Query, Prefer: r.Prefer, Single: r.Single, Body: r.Body,
			})
			if err != nil {
				return nil, err
			}
			return &operations.Answer{Status: a.Status, Count: a.Count, Body: a.Body}, nil
		},
		Enqueue: func(tx store.Tx, j *model.Job, e operations.Enqueued) (string, error) {
			return jobs.Enqueue(q, tx, j, e)
		},
		Fetch: func(_ context.Context, in *model.Integration, r *operations.Fetch) (*operations.Fetched, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.fetched = append(w.fetched, in.QualifiedName()+" "+r.URL)
			return &operations.Fetched{Status: 200, Headers: [][2]string{}, URL: r.URL}, nil
		},
		Secret: func(name string) (string, error) { return "value of " + name, nil },
	})
	return w
}

// identities.
func service() policy.Identity { return request(policy.Identity{Role: policy.Service, Key: "key_1"}) }
func anon() policy.Identity    { return request(policy.Identity{Role: policy.Anon, Key: "key_0"}) }
func as(uid string, roles ...string) policy.Identity {
	return request(policy.Identity{Role: policy.Authenticated, UID: uid, Key: "key_0", Roles: roles})
}

func request(id policy.Identity) policy.Identity {
	id.Request = &policy.Request{Door: "rest", Method: "POST", ID: strings.Repeat("0af7651916cd43dd", 2), Version: "v1"}
	return id
}

// call calls module.operation.
func (w *world) call(id policy.Identity, name, input string) (string, error) {
	w.t.Helper()
	res, err := w.with(id, name, input, nil)
	if err != nil {
		return "", err
	}
	defer res.Release()
	return string(res.Body), nil
}

// patient calls an operation until the machine lets it end in its time: code that is
// called for the first time within a transaction is made ready there.
func (w *world) patient(name string) (out string, err error) {
	w.t.Helper()
	for range 10 {
		if out, err = w.call(as(ann), name, ""); !fault.Is(err, fault.TransactionTimeout) {
			break
		}
	}
	return out, err
}

func (w *world) with(id policy.Identity, name, input string, idem *engine.Idempotency) (*engine.Result, error) {
	w.t.Helper()
	module, op, _ := strings.Cut(name, ".")
	o, err := w.Find(nil, module, op)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.Call(w.t.Context(), id, &operations.Call{Operation: o, Input: []byte(input), Idempotency: idem})
}

// rows asks for rows as code does.
func rows(ctx context.Context, s *operations.Scope, service bool, method, entity, body string) (string, error) {
	entity, query, _ := strings.Cut(entity, "?")
	r := &operations.Request{Method: method, Entity: entity, Query: query, Prefer: "return=representation"}
	if body != "" {
		r.Body = json.RawMessage(body)
	}
	a, err := s.Rows(ctx, service, r)
	if err != nil {
		return "", err
	}
	return string(a.Body), nil
}

// stored are rows as the service reads them.
func (w *world) stored(module, entity, query string) string {
	w.t.Helper()
	a, err := rest.Perform(w.t.Context(), w.engine, service(), rest.Call{Method: "GET", Module: module, Entity: entity, Query: query})
	if err != nil {
		w.t.Fatal(err)
	}
	return string(a.Body)
}

func (w *world) put(module, entity, body string) {
	w.t.Helper()
	_, err := rest.Perform(w.t.Context(), w.engine, service(), rest.Call{Method: "POST", Module: module, Entity: entity, Body: json.RawMessage(body)})
	if err != nil {
		w.t.Fatal(err)
	}
}

// records are those since the last call, oldest first.
func (w *world) records() (out []*audit.Record) {
	w.t.Helper()
	err := w.audit.Each(w.t.Context(), audit.Query{}, func(r *audit.Record) error {
		if r.ID > w.seen {
			out, w.seen = append(out, r), r.ID
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// published are the types and data of the events since the last call.
func (w *world) published() (out []string) {
	w.t.Helper()
	st := &store.Statement{SQL: `SELECT "seq","type","data","subject" FROM "pando_outbox" ORDER BY "seq"`}
	err := w.driver.Read(w.t.Context(), false, func(r store.Reader) error {
		return r.Query(st, nil, func(row store.Row) error {
			if row.Int(0) > w.events {
				w.events = row.Int(0)
				out = append(out, string(row.Append(nil, 1))+" "+string(row.Append(nil, 2))+" "+string(row.Append(nil, 3)))
			}
			return nil
		})
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// wants checks a fault's code, and that its hint says what to do.
func wants(t *testing.T, what string, err error, code fault.Code, hint string) {
	t.Helper()
	if !fault.Is(err, code) || !strings.Contains(fault.From(err).Hint, hint) {
		t.Errorf("%s: %v (%s, hint %q); want %s, hint %q", what, err, fault.From(err).Code, fault.From(err).Hint, code, hint)
	}
}

// clear deletes every row of an entity.
func (w *world) clear(module, entity string) error {
	_, err := rest.Perform(w.t.Context(), w.engine, service(), rest.Call{Method: "DELETE", Module: module, Entity: entity, Query: "id=not.is.null"})
	return err
}

// change changes rows as another caller.
func (w *world) change(ctx context.Context, module, entity, query, body string) {
	w.t.Helper()
	_, err := rest.Perform(ctx, w.engine, service(), rest.Call{Method: "PATCH", Module: module, Entity: entity, Query: query, Body: json.RawMessage(body)})
	if err != nil {
		w.t.Fatal(err)
	}
}

// enqueued are the jobs that wait, and who has enqueued them; they are taken out.
func (w *world) enqueued() (out []string) {
	w.t.Helper()
	list, err := w.queue.List(w.t.Context(), queue.Filter{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, i := range list {
		if i.State.Finished() {
			continue
		}
		out = append(out, i.Kind+" "+string(i.Caller))
		if err := w.queue.Cancel(w.t.Context(), i.ID); err != nil {
			w.t.Fatal(err)
		}
	}
	return out
}

// sameJSON compares values, in no order of members.
func sameJSON(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(x, y)
}
