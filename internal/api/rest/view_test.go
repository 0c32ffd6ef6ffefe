package rest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/pandobase/pando/internal/api/problem"
	"github.com/pandobase/pando/internal/api/rest"
	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/engine/enginetest"
	"github.com/pandobase/pando/internal/operations"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/store/teststore"
	"github.com/pandobase/pando/internal/usage"
)

// versionsModule has everything that versions can tell apart: v1 knows people as
// customers, full_name as name, orders.person as orders.customer; v2 has nick and has
// no fax. The field customer of v2 stands where v1 has a relation.
const versionsModule = `
module: shop
entities:
  people:
    was: customers
    since: v2
    fields:
      id:        { type: int, primary: true, was: number, since: v2 }
      full_name: { type: text, was: name, since: v2 }
      nick:      { type: text, optional: true, since: v2 }
      count:     { type: int, default: 0, since: v2 }
      fax:       { type: text, optional: true, until: v1 }
      phone:     { type: text, optional: true, deprecated: { since: 2026-06-30, sunset: 2027-06-30, use: nick } }
      pin:       { type: text, optional: true, read: "'staff' in auth.roles", write: "'staff' in auth.roles", deprecated: { since: v1, use: phone } }
    unique: [[full_name]]
    check: [ "row.full_name != 'nobody'" ]
    policy: &all { read: "true", create: "true", update: { when: "true" }, delete: "true" }
  orders:
    fields:
      id:        { type: int, primary: true }
      person_id: { ref: people, was: customer_id, since: v2, on_delete: restrict }
      payer_id:  { ref: people, was: debtor_id, since: v2, optional: true, inverse: paid, on_delete: set_null }
      giver_id:  { ref: people, since: v2, optional: true, as: giver, on_delete: set_null }
      customer:  { type: text, optional: true, since: v2 }
      total:     { type: int, default: 1 }
    policy: { read: "true", create: "true", update: { when: "true" }, delete: "true" }
  notes:
    deprecated: { since: v1, sunset: 2027-01-01, grace: 30d, use: orders }
    fields:
      id: { type: int, primary: true }
    policy: { read: "true" }
  secrets:
    deprecated: { since: v1, sunset: 2020-01-01, use: people }
    fields:
      id: { type: int, primary: true }
operations:
  rename:
    was: baptise
    since: v2
    input: { id: int, name: text }
    output: people
    allow: "true"
    run: go
  everybody:
    output: { list: true, of: people }
    allow: "true"
    run: go
    reads: true
    deprecated: { since: 2026-01-01, sunset: 2026-12-01, use: rename }
  closed:
    allow: "'staff' in auth.roles"
    run: go
    deprecated: { since: v1, sunset: 2020-01-01, use: rename }
`

// versioned are the doors of an application with two versions, and its clock.
type versioned struct {
	*httptest.Server
	now    time.Time
	usage  *usage.Counter
	engine *engine.Engine
}

func newVersioned(t testing.TB) *versioned {
	t.Helper()
	module := strings.Replace(versionsModule, "&all ", "", 1)
	w := enginetest.New(t, teststore.Open(t), fstest.MapFS{
		"pando.yaml":        {Data: []byte("app: test\nversions: [v1, v2]\nroles: { staff: {} }\nlimits: { rows: 50 }\n")},
		"modules/shop.yaml": {Data: []byte(module)},
	})
	app, rules, driver, signer := w.App, w.Rules, w.Driver, w.Signer
	v := &versioned{now: time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)}
	v.usage = usage.Open(t.Context(), usage.Config{Driver: driver, Now: func() time.Time { return v.now }})
	t.Cleanup(func() { _ = v.usage.Close(context.WithoutCancel(t.Context())) })
	v.engine = engine.New(engine.Config{App: app, Rules: rules, Driver: driver, Signer: signer})
	ops := operations.New(operations.Config{
		Engine: v.engine, Rules: rules,
		Rows: func(ctx context.Context, exec engine.Executor, id policy.Identity, r *operations.Request) (*operations.Answer, error) {
			a, err := rest.Perform(ctx, exec, id, rest.Call{Method: r.Method, Module: r.Module, Entity: r.Entity, Query: r.Query, Prefer: r.Prefer, Single: r.Single, Body: r.Body})
			return &operations.Answer{Status: a.Status, Body: a.Body}, err
		},
		Go: map[string]operations.Func{"shop.rename": renamePerson, "shop.everybody": everybody},
	})
	mux := http.NewServeMux()
	for _, version := range app.Config.Versions {
		mux.Handle("/rest/"+version+"/", rest.New(rest.Config{
			Engine: v.engine, View: app.View(version), Usage: v.usage, Operations: ops, OpenAPI: func() []byte { return []byte("{}") },
			Authenticate: func(r *http.Request) (policy.Identity, error) {
				id := policy.Identity{Role: policy.Authenticated, UID: "u", Key: "web", Request: &policy.Request{Door: "rest", UserAgent: "test"}}
				if role := r.Header.Get("Role"); role != "" {
					id.Roles = []string{role}
				}
				return id, nil
			},
		}))
	}
	mux.Handle("/rest/", rest.Unversioned(app, problem.Writer{}))
	v.Server = httptest.NewServer(mux)
	t.Cleanup(v.Close)
	return v
}

// renamePerson and everybody speak the model's names: code is part of the
// application.
func renamePerson(ctx context.Context, s *operations.Scope, input []byte) ([]byte, error) {
	var in struct {
		ID   int    `json:"id"`
		Name string `json:"name"`
	}
	if err := json.Unmarshal(input, &in); err != nil {
		return nil, err
	}
	a, err := s.Rows(ctx, false, &operations.Request{
		Method: http.MethodPatch, Entity: "people", Query: fmt.Sprintf("id=eq.%d", in.ID), Single: true, Prefer: "return=representation",
		Body: fmt.Appendf(nil, `{"full_name":%q}`, in.Name),
	})
	if err != nil {
		return nil, err
	}
	return a.Body, nil
}

func everybody(ctx context.Context, s *operations.Scope, _ []byte) ([]byte, error) {
	a, err := s.Rows(ctx, false, &operations.Request{Method: http.MethodGet, Entity: "people"})
	if err != nil {
		return nil, err
	}
	return a.Body, nil
}

// TestVersions plays testdata/versions.txt against two versions of one application;
// "# now DAY" sets the clock. What is deprecated is counted. No answer has a name that only the other version has.
func TestVersions(t *testing.T) {
	v := newVersioned(t)
	answers := playFile(t, v.Server, "testdata/versions.txt", func(comment string) {
		if day, ok := strings.CutPrefix(comment, "now "); ok {
			var err error
			if v.now, err = time.Parse(time.DateOnly, day); err != nil {
				t.Fatal(err)
			}
		}
	})
	uses, err := v.usage.List(t.Context(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	var counted []string
	for _, u := range uses {
		counted = append(counted, fmt.Sprintln(u.Thing, u.Version, u.Door, u.Key, u.Client, u.Count))
	}
	want := []string{
		"shop.closed v2 rest web test 1\n", "shop.customers.phone v1 rest web test 3\n", "shop.everybody v1 rest web test 1\n", "shop.everybody v2 rest web test 1\n",
		"shop.notes v2 rest web test 3\n", "shop.people.phone v2 rest web test 3\n", "shop.people.pin v2 rest web test 1\n",
	}
	if diff := gocmp.Diff(want, counted); diff != "" {
		t.Error("counted:", diff)
	}
	foreign := map[string]*regexp.Regexp{
		"/rest/v1/": regexp.MustCompile(`people|full_name|nick|person|payer|giver|rename\b`),
		"/rest/v2/": regexp.MustCompile(`customers|customer_id|debtor|fax|baptise|\bnumber\b`),
	}
	for exchange := range strings.SplitSeq(answers, "\n\n") {
		version, asked := "", ""
		for line := range strings.Lines(exchange) {
			if request, ok := strings.CutPrefix(line, ">"); ok {
				asked += request
				if _, path, ok := strings.Cut(request, " /rest/v"); ok && version == "" {
					version = "/rest/v" + path[:2]
				}
				continue
			}
			if re := foreign[version]; re != nil && !strings.HasPrefix(line, "#") {
				if name := re.FindString(line); name != "" && !strings.Contains(asked, name) && !strings.Contains(line, "hint\":\"use "+name) {
					t.Errorf("%s is told of %s:\n%s", version, name, exchange)
				}
			}
		}
	}
}
