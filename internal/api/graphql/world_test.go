package graphql

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/engine/enginetest"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/operations"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/teststore"
	"github.com/pandobase/pando/internal/value"
)

const shop = `
module: shop
entities:
  customers:
    doc: Who buys.
    fields:
      name:  { type: text, doc: As it is written. }
      mail:  { type: text, optional: true, read: "auth.role == 'service' || row.name == 'ann'" }
      pin:   { type: text, optional: true, hidden: true }
      level: { type: enum, values: [new, old], default: new }
      mood:  { type: enum, values: [so-so, good], optional: true }
    unique: [[name]]
    policy: { read: "true", create: "true", update: "true", delete: "true" }
  orders:
    fields:
      number:      { type: int, min: 0, max: 1000000 }
      customer_id: { ref: customers, on_delete: cascade }
      seller_id:   { ref: customers, optional: true, on_delete: set_null }
      total:       { type: decimal, scale: 2, default: 0 }
      weight:      { type: int, optional: true }
      note:        { type: text, optional: true, max: 100 }
      tags:        { type: text, list: true, optional: true }
      sizes:       { type: decimal, scale: 1, list: true, optional: true }
      meta:        { type: json, optional: true }
      paid:        { type: bool, default: false }
      old_note:    { type: text, optional: true, deprecated: { since: v1, use: note, sunset: "2099-01-31" } }
    search: [note]
    check: [ "row.number != 666" ]
    unique: [[number]]
    policy: { read: "true", create: "true", update: "true", delete: "row.paid == false" }
  lines:
    fields:
      order_id:   { ref: orders, on_delete: cascade }
      product:    { type: text }
      qty:        { type: int, min: 1, max: 100 }
    policy: { read: "row.qty < 50", create: "true" }
  secrets:
    fields: { word: { type: text } }
operations:
  count:
    reads: true
    input: { at_least: { type: int, optional: true } }
    output: { fields: { n: { type: int }, total: { type: decimal, scale: 2 }, parts: { list: true, fields: { name: text } } } }
    allow: "true"
    run: go
  close:
    input: { number: { type: int } }
    output: { of: orders, list: true }
    allow: "auth.role != 'anon'"
    run: go
  fail:
    allow: "true"
    run: go
`

// world is an application behind the door.
type world struct {
	testing.TB
	door *door
	sql  *counting
	view *model.View // default: the newest
}

func service() policy.Identity { return policy.Identity{Role: policy.Service, Key: "test"} }
func anon() policy.Identity    { return policy.Identity{Role: policy.Anon, Key: "test"} }

func mapFS(files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	if fsys["pando.yaml"] == nil {
		fsys["pando.yaml"] = &fstest.MapFile{Data: []byte("app: shop\n")}
	}
	return fsys
}

func loadApp(t testing.TB, files map[string]string) (*model.App, *policy.Rules) {
	t.Helper()
	return enginetest.Load(t, mapFS(files))
}

func newWorld(t testing.TB) *world {
	return newWorldOf(t, map[string]string{"modules/shop.yaml": shop})
}

func newWorldOf(t testing.TB, files map[string]string) *world {
	t.Helper()
	made := enginetest.New(t, teststore.Open(t), mapFS(files))
	app, rules, driver := made.App, made.Rules, made.Driver
	w := &world{TB: t, sql: &counting{Driver: driver, Serial: driver.(store.Serial)}}
	eng := engine.New(engine.Config{App: app, Rules: rules, Driver: w.sql, Signer: made.Signer})
	ops := operations.New(operations.Config{Engine: eng, Rules: rules, Go: map[string]operations.Func{
		"shop.count": func(_ context.Context, _ *operations.Scope, in []byte) ([]byte, error) {
			return []byte(`{"n":9007199254740993,"total":1.50,"parts":[{"name":"` + strings.ReplaceAll(string(in), `"`, `'`) + `"}]}`), nil
		},
		"shop.close": func(ctx context.Context, s *operations.Scope, in []byte) ([]byte, error) {
			return []byte(`[{"id":"018f0000-0000-7000-8000-000000000001","number":7,"total":2.00,"customer_id":"018f0000-0000-7000-8000-00000000000a","seller_id":null,"weight":null,"note":null,"tags":null,"sizes":[1.5],"meta":null,"paid":true,"old_note":null}]`), nil
		},
		"shop.fail": func(context.Context, *operations.Scope, []byte) ([]byte, error) { return nil, context.DeadlineExceeded },
	}})
	w.door = newDoor(Config{Engine: eng, Operations: ops, Allows: func(o *model.Operation, id *policy.Identity) bool { return rules.Allow(o, id) }})
	return w
}

// counting counts statements.
type counting struct {
	store.Driver
	store.Serial
	n atomic.Int64
}

func (c *counting) Read(ctx context.Context, snapshot bool, fn func(store.Reader) error) error {
	return c.Driver.Read(ctx, snapshot, func(r store.Reader) error { return fn(countingReader{r, &c.n}) })
}

type countingReader struct {
	store.Reader
	n *atomic.Int64
}

func (c countingReader) Query(st *store.Statement, args []value.Value, each func(store.Row) error) error {
	c.n.Add(1)
	return c.Reader.Query(st, args, each)
}

// try executes a document and returns what the answer's data and errors are.
func (w *world) try(id policy.Identity, doc string) (string, []*gqlError) {
	w.Helper()
	return w.tryOf(&call{id: id}, doc)
}

// tryWith is try with the headers of the answer.
func (w *world) tryWith(id policy.Identity, doc string, h http.Header) (string, []*gqlError) {
	w.Helper()
	return w.tryOf(&call{id: id, w: h}, doc)
}

func (w *world) tryOf(c *call, doc string) (string, []*gqlError) {
	w.Helper()
	id := c.id
	guard := w.door.Engine.Guard(id)
	s := w.door.schemaFor(cmp.Or(w.view, w.door.app.Latest()), &id, guard)
	parsed, err := parser.ParseQuery(&ast.Source{Input: doc})
	if err != nil {
		w.Fatal(err)
	}
	if errs := validator.ValidateWithRules(s.ast, parsed, rules.NewDefaultRules()); len(errs) > 0 {
		return "", []*gqlError{{Message: errs.Error()}}
	}
	c.schema, c.guard, c.doc, c.op = s, guard, parsed, parsed.Operations[0]
	a := w.door.execute(w.Context(), c)
	var out bytes.Buffer
	if err := json.Compact(&out, a.data); err != nil {
		w.Fatalf("%s is no JSON: %v", a.data, err)
	}
	if out.String() != string(a.data) {
		w.Errorf("%s has blanks", a.data)
	}
	return string(a.data), a.errs
}

// answers checks what a document answers.
func (w *world) answers(id policy.Identity, doc, want string) {
	w.Helper()
	got, errs := w.try(id, doc)
	if len(errs) > 0 || got != want {
		w.Errorf("%s\nanswered %s\nwant     %s", doc, got, want)
		for _, e := range errs {
			w.Errorf("%s %v", e.Message, e.Extensions)
		}
	}
}

// refuses checks that a document fails, and returns its first error.
func (w *world) refuses(id policy.Identity, doc, data, message string) *gqlError {
	w.Helper()
	got, errs := w.try(id, doc)
	if len(errs) == 0 || got != data || !strings.Contains(errs[0].Message, message) {
		w.Fatalf("%s\nanswered %s %v, want %s with %q", doc, got, errs, data, message)
	}
	return errs[0]
}
