package operations_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/audit"
	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/operations"
	"github.com/pandobase/pando/internal/policy"
)

// two are two modules that meet in operations, a relation and events.
func two() map[string]string {
	return map[string]string{
		"modules/a.yaml": `
module: a
entities:
  things:
    fields:
      id:       { type: int, primary: true }
      n:        { type: int, default: 0, max: 100 }
      owner:    { ref: auth.users, as: owned_by, optional: true, on_delete: cascade }
      other_id: { ref: b.others, optional: true }
      card:     { type: text, optional: true, hidden: true }
    policy: { read: "row.owner == auth.uid", create: "row.owner == auth.uid", update: "row.owner == auth.uid" }
operations:
  anybody: { run: go, allow: "true" }
  user:    { run: go, allow: "auth.uid != null" }
  staff:   { run: go, allow: "'staff' in auth.roles" }
  closed:  { run: go }
  change:  { run: go, allow: "true", calls: [b.change, b.closed, b.slow, b.apart], secrets: ["secret:mine"], output: { fields: { n: int } } }
  inner:   { run: go, allow: "true", input: { n: int }, output: { fields: { n: int } } }
  row:     { run: go, allow: "true", output: things }
  look:    { run: go, allow: "true", reads: true, calls: [b.change] }
  apart:   { run: go, allow: "true", transaction: false, calls: [b.change] }
  peek:    { run: go, allow: "true", transaction: false, reads: true, calls: [b.change] }
  short:   { run: go, allow: "true", timeout: 50ms }
events:
  said:    { data: { text: text, n: { type: int, optional: true } } }
  written: { on: things.create }
jobs:
  later:   { run: go, input: { n: int } }
  received: { run: go }
  nightly: { run: go, cron: "@daily" }
functions:
  page:    { run: go, allow: "auth.uid != null" }
integrations:
  partner: { url: "https://partner.example/api" }
  hooked:  { hook: { sign: "secret:partner", job: received } }
`,
		"modules/b.yaml": `
module: b
entities:
  others:
    fields: { id: { type: int, primary: true }, name: text, owner: { ref: auth.users, as: owned_by, optional: true, on_delete: cascade } }
    policy: { read: "row.owner == auth.uid" }
operations:
  change: { run: go, allow: "true" }
  closed: { run: go }
  hidden: { run: go, allow: "true" }
  slow:   { run: go, allow: "true", timeout: 50ms }
  apart:  { run: go, allow: "true", transaction: false }
events:
  theirs: { data: { text: text } }
jobs:
  theirs: { run: go }
integrations:
  other: { url: "https://other.example" }
`,
	}
}

func nothing(context.Context, *operations.Scope, []byte) ([]byte, error) { return nil, nil }

// TestAllow asks who may call what; who may not is on record, and the code does not
// run.
func TestAllow(t *testing.T) {
	w := open(t, two())
	ran := 0
	count := func(context.Context, *operations.Scope, []byte) ([]byte, error) { ran++; return nil, nil }
	for _, name := range []string{"anybody", "user", "staff", "closed", "page"} {
		w.code["a."+name] = count
	}
	bound := service()
	bound.Modules = []string{"b"}
	both := as(ann, "staff")
	both.Modules = []string{"a", "b"}
	foreign := as(ann, "staff")
	foreign.Modules = []string{"b"}
	none := as(ann, "staff")
	none.Modules = []string{}
	for _, tt := range []struct {
		who   string
		id    policy.Identity
		may   string
		knows bool
	}{
		{"nobody", policy.Identity{}, "", false},
		{"the anonymous", anon(), "anybody", false},
		{"a user", as(ann), "anybody user page", true},
		{"staff", as(ann, "staff"), "anybody user staff page", true},
		{"the service", service(), "anybody user staff closed page", true},
		{"the service of another module", bound, "", true},
		{"staff with a key to both modules", both, "anybody user staff page", true},
		{"staff with a key to another module", foreign, "", true},
		{"staff with a key to no module", none, "", true},
	} {
		for _, name := range []string{"anybody", "user", "staff", "closed", "page"} {
			w.records()
			before := ran
			var err error
			if name == "page" {
				_, err = w.Function(t.Context(), tt.id, w.app.Module("a").Functions[0], []byte("{}"))
			} else {
				_, err = w.call(tt.id, "a."+name, "")
			}
			may := slices.Contains(strings.Fields(tt.may), name)
			switch {
			case may != (err == nil) || may != (ran == before+1):
				t.Errorf("%s calls %s: %v, ran %d times", tt.who, name, err, ran-before)
			case !may && tt.knows && !fault.Is(err, fault.Forbidden):
				t.Errorf("%s calls %s: %v", tt.who, name, err)
			case !may && fault.From(err).HTTPStatus() != map[bool]int{true: 403, false: 401}[tt.knows]:
				t.Errorf("%s calls %s: %d", tt.who, name, fault.From(err).HTTPStatus())
			case !may && name == "closed" && !strings.Contains(fault.From(err).Hint, "allow"):
				t.Errorf("%s calls %s: the hint is %q", tt.who, name, fault.From(err).Hint)
			}
			recs := w.records()
			if !may && tt.knows && (len(recs) != 1 || recs[0].Outcome != audit.Denied || recs[0].Action != "call" ||
				recs[0].Operation != "a."+name || recs[0].Rule != "a."+name+".allow" || recs[0].UID != tt.id.UID || recs[0].Door != "rest") {
				t.Errorf("%s calls %s: on record is %+v", tt.who, name, recs)
			}
		}
	}
}

// TestInputAndOutput: code is given what is declared and nothing else, and what it
// answers beside that undoes what it has done.
func TestInputAndOutput(t *testing.T) {
	w := open(t, two())
	ran := ""
	w.code["a.inner"] = func(ctx context.Context, s *operations.Scope, in []byte) ([]byte, error) {
		ran = string(in)
		_, err := rows(ctx, s, true, "POST", "things", `{"id":1}`)
		return []byte(`{"n":"seven"}`), err
	}
	for _, in := range []string{``, `{}`, `{"n":1.5}`, `{"n":1,"owner":"x"}`, `{"n":1,"n":2}`, `[1]`, `{"N":1}`, `{"n":null}`, `nonsense`, `{"n":1}x`, "{\"n\":1,\"__proto__\":{}}"} {
		if _, err := w.call(as(ann), "a.inner", in); !fault.Is(err, fault.InvalidInput) || ran != "" {
			t.Errorf("%s: %v, the code was given %q", in, err, ran)
		}
	}
	_, err := w.call(as(ann), "a.inner", ` {"n": 7} `)
	if !fault.Is(err, fault.InvalidOutput) || ran != `{"n":7}` {
		t.Errorf("an output that is not declared: %v, given %s", err, ran)
	}
	if got := w.stored("a", "things", "select=id"); got != "[]" {
		t.Errorf("it left %s", got)
	}
	if ev := w.published(); ev != nil {
		t.Errorf("it left %s", ev)
	}
	w.put("a", "things", `{"id":2,"card":"4242","owner":"`+ann+`"}`)
	for _, answer := range []string{`{"id":2,"n":0,"card":"4242"}`, `{"id":2,"n":0,"card":null}`, `{"n":0}`, `[]`, `null`, ``} {
		w.code["a.row"] = func(context.Context, *operations.Scope, []byte) ([]byte, error) { return []byte(answer), nil }
		if out, err := w.call(as(ann), "a.row", ""); !fault.Is(err, fault.InvalidOutput) || strings.Contains(fmt.Sprint(fault.From(err).Details, err), "4242") {
			t.Errorf("%s: %s, %v", answer, out, err)
		}
	}
	w.code["a.row"] = func(ctx context.Context, s *operations.Scope, _ []byte) ([]byte, error) {
		out, err := rows(ctx, s, true, "GET", "things?id=eq.2", "")
		return []byte(strings.Trim(out, "[]\n")), err
	}
	if out, err := w.call(as(bob), "a.row", ""); err != nil || out != `{"id":2,"n":0,"owner":"`+ann+`","other_id":null}` {
		t.Errorf("a row as it is read: %s, %v", out, err)
	}
}

// TestTimeout: the code is told, what it did is undone, and the caller hears why.
func TestTimeout(t *testing.T) {
	w := open(t, two())
	w.code["a.short"] = func(ctx context.Context, s *operations.Scope, _ []byte) ([]byte, error) {
		if _, err := rows(ctx, s, true, "POST", "things", `{"id":1}`); err != nil {
			return nil, err
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	_, err := w.call(service(), "a.short", "")
	wants(t, "an operation", err, fault.QueryCanceled, "timeout")
	if !strings.Contains(err.Error(), "a.short did not end within 50ms") {
		t.Errorf("%v", err)
	}
	w.code["b.slow"] = func(ctx context.Context, _ *operations.Scope, _ []byte) ([]byte, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	w.code["a.change"] = func(ctx context.Context, s *operations.Scope, _ []byte) ([]byte, error) {
		_, err := s.Operation(ctx, false, "b.slow", nil)
		wants(t, "one within", err, fault.QueryCanceled, "timeout")
		_, err = rows(ctx, s, true, "POST", "things", `{"id":2}`)
		return []byte(`{"n":1}`), err
	}
	if _, err := w.call(service(), "a.change", ""); err != nil {
		t.Errorf("around one that took too long: %v", err)
	}
	if got := w.stored("a", "things", "select=id"); got != `[{"id":2}]` {
		t.Errorf("stored is %s", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	w.code["a.user"] = func(ctx context.Context, _ *operations.Scope, _ []byte) ([]byte, error) {
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}
	o, _ := w.Find(nil, "a", "user")
	if _, err := w.Call(ctx, service(), &operations.Call{Operation: o}); err == nil || strings.Contains(err.Error(), "did not end within") {
		t.Errorf("a caller who has gone: %v", err)
	}
}

// TestNested: operations that call each other are one transaction.
func TestNested(t *testing.T) {
	w, mine := open(t, two()), errors.New("mine")
	var fails, catches, writesBefore bool
	w.code["b.change"] = func(ctx context.Context, s *operations.Scope, _ []byte) ([]byte, error) {
		if s.Module().Name != "b" || s.Name() != "b.change" || s.Identity().Request.Operation != "b.change" {
			t.Errorf("it runs as %s of %s", s.Name(), s.Module().Name)
		}
		if _, err := rows(ctx, s, true, "GET", "others", ""); err != nil {
			return nil, err
		}
		if !fails || writesBefore {
			if _, err := rows(ctx, s, true, "POST", "others", `{"id":1,"name":"x"}`); err != nil {
				return nil, err
			}
		}
		if fails {
			return nil, mine
		}
		return []byte(`{"ignored":true}`), nil
	}
	w.code["a.change"] = func(ctx context.Context, s *operations.Scope, _ []byte) ([]byte, error) {
		if _, err := rows(ctx, s, true, "POST", "things", `{"id":1}`); err != nil {
			return nil, err
		}
		out, err := s.Operation(ctx, false, "b.change", nil)
		if err != nil && !catches {
			return nil, err
		}
		if fails != (err != nil) || out != nil {
			t.Errorf("within: %s, %v", out, err)
		}
		return []byte(`{"n":1}`), nil
	}
	state := func() string { return w.stored("a", "things", "select=id") + w.stored("b", "others", "select=id") }
	clear := func() {
		for _, e := range []string{"a.things", "b.others"} {
			m, e, _ := strings.Cut(e, ".")
			if err := w.clear(m, e); err != nil {
				t.Fatal(err)
			}
		}
		w.published()
	}
	const all, none, half = `[{"id":1}][{"id":1}]`, `[][]`, `[{"id":1}][]`
	for _, tt := range []struct {
		what                         string
		fails, catches, writesBefore bool
		ok                           bool
		want                         string
	}{
		{"both succeed", false, false, false, true, all},
		{"the inner one fails", true, false, true, false, none},
		{"it fails before it has written, and is caught", true, true, false, true, half},
		// Half of an operation is nothing that anybody asked for.
		{"it fails with what it has written, and is caught", true, true, true, false, none},
	} {
		clear()
		fails, catches, writesBefore = tt.fails, tt.catches, tt.writesBefore
		_, err := w.call(as(ann), "a.change", "")
		if tt.ok != (err == nil) || !tt.ok && !errors.Is(err, mine) {
			t.Errorf("%s: %v", tt.what, err)
		}
		if got := state(); got != tt.want {
			t.Errorf("%s: stored is %s; want %s", tt.what, got, tt.want)
		}
		events := 0
		if strings.HasPrefix(tt.want, `[{`) {
			events = 1
		}
		if ev := w.published(); len(ev) != events {
			t.Errorf("%s: the events are %s", tt.what, ev)
		}
	}
}

// TestNestedRules: who is called decides who may call, as if from outside.
func TestNestedRules(t *testing.T) {
	w := open(t, two())
	for _, name := range []string{"b.change", "b.closed", "b.hidden", "b.apart", "a.closed"} {
		w.code[name] = nothing
	}
	w.code["a.change"] = func(ctx context.Context, s *operations.Scope, _ []byte) ([]byte, error) {
		// It holds the store's writer while it is denied what follows.
		if _, err := rows(ctx, s, true, "POST", "things", `{"id":1}`); err != nil {
			return nil, err
		}
		_, err := s.Operation(ctx, false, "b.closed", nil)
		wants(t, "one that is closed", err, fault.Forbidden, "allow")
		_, err = s.Operation(ctx, false, "closed", nil)
		wants(t, "a closed one of the module", err, fault.Forbidden, "allow")
		_, err = s.Operation(ctx, true, "b.closed", nil)
		if err != nil {
			t.Errorf("as the application: %v", err)
		}
		_, err = s.Operation(ctx, true, "b.hidden", nil)
		wants(t, "one that is not declared", err, fault.Forbidden, "calls: [b.hidden]")
		_, err = s.Operation(ctx, true, "b.apart", nil)
		wants(t, "one without a transaction", err, fault.Conflict, "transaction: false")
		_, err = s.Operation(ctx, true, "b.nothing", nil)
		wants(t, "one that is not there", err, fault.UnknownOperation, "")
		_, err = s.Operation(ctx, true, "c.nothing", nil)
		wants(t, "a module that is not there", err, fault.UnknownOperation, "")
		_, err = s.Operation(ctx, true, "auth.sign_in", nil)
		wants(t, "what auth does", err, fault.UnknownOperation, "")
		_, err = s.Operation(ctx, false, "b.change", []byte(`{"more":1}`))
		wants(t, "an input that is not declared", err, fault.InvalidInput, "")
		return []byte(`{"n":1}`), nil
	}
	w.records()
	start := time.Now()
	if _, err := w.call(as(ann), "a.change", ""); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("a denial within has waited for its own transaction: %s", took)
	}
	var denials []string
	for _, r := range w.records() {
		if r.Outcome == audit.Denied {
			denials = append(denials, r.Operation)
		}
	}
	if !slices.Equal(denials, []string{"b.closed", "a.closed"}) {
		t.Errorf("the denials on record are %q", denials)
	}
	w.code["a.apart"] = func(ctx context.Context, s *operations.Scope, _ []byte) ([]byte, error) {
		_, err := s.Operation(ctx, false, "b.change", nil)
		return nil, err
	}
	if _, err := w.call(as(ann), "a.apart", ""); err != nil {
		t.Errorf("from one without a transaction: %v", err)
	}
}

// TestDepth: operations that call each other without an end do end, within a
// transaction and without.
func TestDepth(t *testing.T) {
	w := open(t, two())
	for _, name := range []string{"change", "apart"} {
		calls := 0
		w.code["a."+name] = func(ctx context.Context, s *operations.Scope, _ []byte) ([]byte, error) {
			calls++
			return s.Operation(ctx, false, name, nil)
		}
		_, err := w.call(as(ann), "a."+name, "")
		if !fault.Is(err, fault.LimitExceeded) || calls != 17 {
			t.Errorf("%s: after %d calls %v", name, calls, err)
		}
	}
}

// TestReads: what says that it only reads cannot write, in no way.
func TestReads(t *testing.T) {
	w := open(t, two())
	w.put("a", "things", `{"id":1}`)
	w.code["b.change"] = func(ctx context.Context, s *operations.Scope, _ []byte) ([]byte, error) {
		return nil, second(rows(ctx, s, true, "POST", "others", `{"id":1,"name":"x"}`))
	}
	for _, name := range []string{"look", "peek"} {
		w.code["a."+name] = func(ctx context.Context, s *operations.Scope, _ []byte) ([]byte, error) {
			if out, err := rows(ctx, s, true, "GET", "things?select=id", ""); err != nil || out != `[{"id":1}]` {
				t.Errorf("%s: a read: %s, %v", name, out, err)
			}
			for what, err := range map[string]error{
				"a create":  second(rows(ctx, s, true, "POST", "things", `{"id":2}`)),
				"an update": second(rows(ctx, s, true, "PATCH", "things?id=eq.1", `{"n":1}`)),
				"a delete":  second(rows(ctx, s, true, "DELETE", "things?id=eq.1", "")),
				"an event":  s.Publish(ctx, "said", []byte(`{"text":"x"}`)),
				"a job":     second(s.Enqueue(ctx, "later", operations.Enqueued{Input: []byte(`{"n":1}`)})),
				"a call":    second(s.Operation(ctx, false, "b.change", nil)),
			} {
				if !fault.Is(err, fault.ReadOnlyTransaction) {
					t.Errorf("%s: %s: %v", name, what, err)
				}
			}
			return nil, nil
		}
		if _, err := w.call(as(ann), "a."+name, ""); err != nil {
			t.Error(err)
		}
		if got := w.stored("a", "things", "") + w.stored("b", "others", ""); got != `[{"id":1,"n":0,"owner":null,"other_id":null}][]` {
			t.Errorf("%s: stored is %s", name, got)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// TestModuleBoundary: rows of another module are reached along relations only.
func TestModuleBoundary(t *testing.T) {
	w := open(t, two())
	w.put("b", "others", `[{"id":1,"name":"anns","owner":"`+ann+`"},{"id":2,"name":"bobs","owner":"`+bob+`"}]`)
	w.put("a", "things", `[{"id":1,"owner":"`+ann+`","other_id":1},{"id":2,"owner":"`+ann+`","other_id":2}]`)
	for _, name := range []string{"a.change", "a.apart"} {
		w.code[name] = func(ctx context.Context, s *operations.Scope, _ []byte) ([]byte, error) {
			for _, service := range []bool{false, true} {
				for _, r := range []operations.Request{
					{Method: "GET", Module: "b", Entity: "others"},
					{Method: "GET", Entity: "b.others"},
					{Method: "DELETE", Module: "b", Entity: "others", Query: "id=eq.1"},
					{Method: "GET", Module: "public", Entity: "others"},
					{Method: "GET", Module: "nowhere", Entity: "others"},
				} {
					_, err := s.Rows(ctx, service, &r)
					wants(t, r.Method+" "+r.Module+" "+r.Entity, err, fault.Forbidden, "operation")
				}
				for _, entity := range []string{"others", "../b/others", "things/../others", "b/others", "pando_outbox", "rpc/closed", ""} {
					if _, err := rows(ctx, s, service, "GET", entity, ""); err == nil {
						t.Errorf("%q is answered", entity)
					}
				}
				// A filter and an order along the relation are as an embedding: rows of who may read them.
				out, err := rows(ctx, s, service, "GET", "things?select=id,other(name)&order=id", "")
				want := `[{"id":1,"other":{"name":"anns"}},{"id":2,"other":null}]`
				if service {
					want = `[{"id":1,"other":{"name":"anns"}},{"id":2,"other":{"name":"bobs"}}]`
				}
				if err != nil || out != want {
					t.Errorf("along a relation: %s, %v", out, err)
				}
			}
			out, err := rows(ctx, s, true, "GET", "auth.users?select=email&order=email", "")
			if err != nil || out != `[{"email":"a@x.example"},{"email":"b@x.example"}]` {
				t.Errorf("users: %s, %v", out, err)
			}
			if out, err := rows(ctx, s, true, "GET", "auth.users", ""); err != nil || strings.Contains(out, "encrypted_password") || strings.Contains(out, "failures") {
				t.Errorf("users: %s, %v", out, err)
			}
			if out, err := rows(ctx, s, false, "GET", "auth.users?select=email", ""); err == nil && out != `[]` && out != `[{"email":"a@x.example"}]` {
				t.Errorf("other users: %s", out)
			}
			return []byte(`{"n":1}`), nil
		}
		if _, err := w.call(as(ann), name, ""); err != nil {
			t.Error(err)
		}
	}
}

// TestFetch: integrations are called outside of transactions, and nothing else is.
func TestFetch(t *testing.T) {
	w := open(t, two())
	w.code["a.change"] = func(ctx context.Context, s *operations.Scope, _ []byte) ([]byte, error) {
		_, err := s.Fetch(ctx, &operations.Fetch{URL: "partner:/x"})
		wants(t, "within a transaction", err, fault.Conflict, "transaction: false")
		return []byte(`{"n":1}`), nil
	}
	w.code["a.look"] = func(ctx context.Context, s *operations.Scope, _ []byte) ([]byte, error) {
		_, err := s.Fetch(ctx, &operations.Fetch{URL: "partner:/x"})
		wants(t, "within one that reads", err, fault.Conflict, "transaction: false")
		return nil, nil
	}
	w.code["a.apart"] = func(ctx context.Context, s *operations.Scope, _ []byte) ([]byte, error) {
		for _, url := range []string{"partner:/x", "https://partner.example/api", "https://partner.example/api/x", "https://partner.example/api?q"} {
			if _, err := s.Fetch(ctx, &operations.Fetch{URL: url}); err != nil {
				t.Errorf("%s: %v", url, err)
			}
		}
		for _, url := range []string{
			"https://partner.example", "https://partner.example/apix", "https://partner.example.evil/api", "https://partner.example@evil/api",
			"http://partner.example/api", "other:/x", "https://other.example/", "http://169.254.169.254/", "partner://x", "", "file:///etc/passwd", "hooked://x",
		} {
			_, err := s.Fetch(ctx, &operations.Fetch{URL: url})
			wants(t, url, err, fault.Forbidden, "integrations")
		}
		return nil, nil
	}
	for _, name := range []string{"a.change", "a.look", "a.apart"} {
		if _, err := w.call(as(ann), name, ""); err != nil {
			t.Error(err)
		}
	}
	if len(w.fetched) != 4 || w.fetched[0] != "a.partner partner:/x" {
		t.Errorf("asked for were %q", w.fetched)
	}
}

// TestSecrets: code has those that it declares.
func TestSecrets(t *testing.T) {
	w := open(t, two())
	w.code["a.change"] = func(_ context.Context, s *operations.Scope, _ []byte) ([]byte, error) {
		for _, name := range []string{"mine", "secret:mine"} {
			if v, err := s.Secret(name); err != nil || v != "value of mine" {
				t.Errorf("%s: %q, %v", name, v, err)
			}
		}
		for _, name := range []string{"other", "secret:other", "", "secret:secret:mine", "MINE", "mine\x00", "partner"} {
			_, err := s.Secret(name)
			wants(t, name, err, fault.Forbidden, "secrets: [")
		}
		return []byte(`{"n":1}`), nil
	}
	if _, err := w.call(as(ann), "a.change", ""); err != nil {
		t.Error(err)
	}
}

// TestPublishAndEnqueue: events and jobs are those of the module, checked, and there
// with the transaction or not at all.
func TestPublishAndEnqueue(t *testing.T) {
	w, undo := open(t, two()), errors.New("undo")
	var fails bool
	var ids []string
	code := func(ctx context.Context, s *operations.Scope, _ []byte) ([]byte, error) {
		ids = nil
		for _, name := range []string{"said", "a.said"} {
			if err := s.Publish(ctx, name, []byte(`{"text":"hi"}`)); err != nil {
				return nil, err
			}
		}
		for _, name := range []string{"later", "a.later"} {
			id, err := s.Enqueue(ctx, name, operations.Enqueued{Input: []byte(` {"n": 1}`)})
			if err != nil {
				return nil, err
			}
			ids = append(ids, id)
		}
		for what, err := range map[string]error{
			"data that is not declared":  s.Publish(ctx, "said", []byte(`{"text":"hi","more":1}`)),
			"data that is missing":       s.Publish(ctx, "said", nil),
			"an event of another one":    s.Publish(ctx, "b.theirs", []byte(`{"text":"hi"}`)),
			"an event that is not there": s.Publish(ctx, "nothing", nil),
			"an event of a write":        s.Publish(ctx, "written", []byte(`{}`)),
			"a write as such":            s.Publish(ctx, "things.create", []byte(`{}`)),
			"a job's wrong input":        second(s.Enqueue(ctx, "later", operations.Enqueued{Input: []byte(`{"n":"x"}`)})),
			"a job of another one":       second(s.Enqueue(ctx, "b.theirs", operations.Enqueued{})),
			"a job with a schedule":      second(s.Enqueue(ctx, "nightly", operations.Enqueued{})),
			"a job that is not there":    second(s.Enqueue(ctx, "nothing", operations.Enqueued{})),
			"a priority":                 second(s.Enqueue(ctx, "later", operations.Enqueued{Input: []byte(`{"n":1}`), Priority: 5})),
		} {
			wants(t, what, err, fault.InvalidInput, "")
		}
		if fails {
			return nil, undo
		}
		return []byte(`{"n":1}`), nil
	}
	w.code["a.change"], w.code["a.apart"] = code, code
	fails = true
	if _, err := w.call(as(ann), "a.change", ""); !errors.Is(err, undo) {
		t.Error(err)
	}
	if ev, jobs := w.published(), w.enqueued(); ev != nil || len(jobs) != 0 {
		t.Errorf("undone, and there are %q and %q", ev, jobs)
	}
	fails = false
	for _, name := range []string{"a.change", "a.apart"} {
		if _, err := w.call(as(ann), name, ""); err != nil {
			t.Error(err)
		}
		ev, jobs := w.published(), w.enqueued()
		if want := "a.said " + `{"text":"hi"} ` + ann; !slices.Equal(ev, []string{want, want}) {
			t.Errorf("%s: the events are %q", name, ev)
		}
		if len(jobs) != 2 || !strings.HasPrefix(jobs[0], "a.later ") || !strings.Contains(jobs[0], ann) || len(ids) != 2 || ids[0] == ids[1] {
			t.Errorf("%s: the jobs are %q, of the ids %q", name, jobs, ids)
		}
	}
}

// TestIdempotency: a key is answered once, with a transaction and without.
func TestIdempotency(t *testing.T) {
	w := open(t, two())
	for _, name := range []string{"a.change", "a.apart"} {
		var runs atomic.Int64
		inside, goOn := make(chan struct{}), make(chan struct{})
		w.code[name] = func(ctx context.Context, s *operations.Scope, _ []byte) ([]byte, error) {
			n := runs.Add(1)
			if n == 1 {
				close(inside)
				<-goOn
			}
			if n == 2 {
				return nil, fault.New(fault.Conflict, "not this time")
			}
			_, err := rows(ctx, s, true, "POST", "things", fmt.Sprintf(`{"id":%d%d}`, len(name), n))
			return []byte(`{"n":` + fmt.Sprint(n) + `}`), err
		}
		key := &engine.Idempotency{Key: "k", Method: "POST", Path: "/rest/v1/rpc/" + name}
		done := make(chan error)
		go func() {
			_, err := w.with(as(ann), name, "", key)
			done <- err
		}()
		<-inside
		if _, err := w.with(as(ann), name, "", key); !fault.Is(err, fault.IdempotencyInFlight) || fault.From(err).HTTPStatus() != 409 {
			t.Errorf("%s: meanwhile: %v", name, err)
		}
		close(goOn)
		if err := <-done; err != nil {
			t.Errorf("%s: %v", name, err)
		}
		want := `{"n":1}`
		if name == "a.apart" { // it declares no output
			want = ""
		}
		res, err := w.with(as(ann), name, "", key)
		if err != nil || !res.Replayed || string(res.Body) != want || runs.Load() != 1 {
			t.Errorf("%s: again: %v, after %d runs", name, err, runs.Load())
		}
		other := *key
		other.Digest = [32]byte{1}
		if _, err := w.with(as(ann), name, "", &other); !fault.Is(err, fault.IdempotencyMismatch) || fault.From(err).HTTPStatus() != 422 {
			t.Errorf("%s: another body: %v", name, err)
		}
		if _, err := w.with(as(bob), name, "", key); !fault.Is(err, fault.Conflict) { // his own: it fails the second time
			t.Errorf("%s: another caller: %v", name, err)
		}
		if res, err := w.with(as(bob), name, "", key); err != nil || res.Replayed || runs.Load() != 3 {
			t.Errorf("%s: after a failure: %v, %d runs", name, err, runs.Load())
		}
	}
}

// TestConflictsRunAgain: code that others come in the way of runs again, and what it
// did before is not there.
func TestConflictsRunAgain(t *testing.T) {
	w := open(t, two())
	w.put("a", "things", `{"id":1,"n":1}`)
	w.published()
	runs := 0
	w.code["a.change"] = func(ctx context.Context, s *operations.Scope, _ []byte) ([]byte, error) {
		runs++
		got, err := rows(ctx, s, true, "GET", "things?id=eq.1&select=n", "")
		if err != nil {
			return nil, err
		}
		if runs == 1 {
			w.change(ctx, "a", "things", "id=eq.1", `{"n":10}`)
		}
		var n int
		if _, err := fmt.Sscanf(got, `[{"n":%d}]`, &n); err != nil {
			return nil, err
		}
		if err := s.Publish(ctx, "said", []byte(`{"text":"run"}`)); err != nil {
			return nil, err
		}
		_, err = rows(ctx, s, true, "PATCH", "things?id=eq.1", fmt.Sprintf(`{"n":%d}`, n+1))
		return []byte(fmt.Sprintf(`{"n":%d}`, n+1)), err
	}
	if out, err := w.call(as(ann), "a.change", ""); err != nil || out != `{"n":11}` || runs != 2 {
		t.Errorf("%s, %v, after %d runs", out, err, runs)
	}
	if ev := w.published(); len(ev) != 1 {
		t.Errorf("the events are %q", ev)
	}
}

// TestRecords: what operations write is on record in their name, and on whose behalf.
func TestRecords(t *testing.T) {
	w := open(t, two())
	w.code["b.change"] = func(ctx context.Context, s *operations.Scope, _ []byte) ([]byte, error) {
		return nil, second(rows(ctx, s, true, "POST", "others", `{"id":1,"name":"x"}`))
	}
	w.code["a.change"] = func(ctx context.Context, s *operations.Scope, _ []byte) ([]byte, error) {
		if _, err := rows(ctx, s, false, "POST", "things", `{"id":1,"owner":"`+ann+`"}`); err != nil {
			return nil, err
		}
		if _, err := rows(ctx, s, true, "PATCH", "things?id=eq.1", `{"n":2}`); err != nil {
			return nil, err
		}
		_, err := rows(ctx, s, false, "POST", "things", `{"id":2,"owner":"`+bob+`"}`)
		wants(t, "a row for another", err, fault.Forbidden, "")
		return []byte(`{"n":1}`), second(s.Operation(ctx, false, "b.change", nil))
	}
	w.code["a.apart"] = nothing
	w.code["a.look"] = nothing
	w.records()
	for _, name := range []string{"a.change", "a.apart", "a.look"} {
		if _, err := w.call(as(ann), name, ""); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, r := range w.records() {
		got = append(got, strings.Join([]string{r.Operation, r.Action, r.Entity, r.Role, r.UID, r.OnBehalf, string(r.Outcome), r.Request}, " "))
	}
	req := strings.Repeat("0af7651916cd43dd", 2)
	want := []string{
		"a.change create a.things authenticated " + ann + "  allowed " + req,
		"a.change update a.things service  " + ann + " allowed " + req,
		"b.change create b.others service  " + ann + " allowed " + req,
		"a.change create a.things authenticated " + ann + "  denied " + req,
		"a.apart call  authenticated " + ann + "  allowed " + req,
	}
	if !slices.Equal(got, want) {
		t.Errorf("on record is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestPanic: code that panics fails alone, and tells nothing.
func TestPanic(t *testing.T) {
	w := open(t, two())
	w.code["a.change"] = func(ctx context.Context, s *operations.Scope, _ []byte) ([]byte, error) {
		_, _ = rows(ctx, s, true, "POST", "things", `{"id":1}`)
		panic("the password is hunter2")
	}
	_, err := w.call(as(ann), "a.change", "")
	if f := fault.From(err); f.Code != fault.FunctionFailed || strings.Contains(f.Message+f.Details+f.Hint, "hunter2") {
		t.Errorf("%+v", f)
	}
	if got := w.stored("a", "things", ""); got != "[]" {
		t.Errorf("it left %s", got)
	}
	_, err = w.call(service(), "a.closed", "")
	wants(t, "code that is not there", err, fault.FunctionFailed, "register")
}
