// Package storetest is the conformance suite of the store: every driver passes
// it unchanged. It drives the seam itself (transactions, durability,
// interrupts) and, through the engine, everything that a planner's statements
// have to answer, byte for byte.
package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/keys"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
)

// Open opens the database of one test: an empty one when it is called first
// with a test, the same one again when it is called further. The suite closes
// what it opens.
type Open func(t *testing.T) store.Driver

// Run runs the suite against a driver.
func Run(t *testing.T, open func(t *testing.T) store.Driver) { RunWithin(t, open, slack) }

// RunWithin is Run on a way to the store by which the end of a context may take
// longer to interrupt a statement.
func RunWithin(t *testing.T, open func(t *testing.T) store.Driver, interrupt time.Duration) {
	s := &suite{open: open, slack: interrupt}
	for _, part := range []struct {
		name string
		run  func(*suite, *testing.T)
	}{
		{"driver", (*suite).driver},
		{"session", (*suite).sessions},
		{"wire", (*suite).wire},
		{"read", (*suite).read},
		{"filter", (*suite).filter},
		{"embed", (*suite).embed},
		{"aggregate", (*suite).aggregate},
		{"cursor", (*suite).cursor},
		{"connection", (*suite).connection},
		{"connection policy", (*suite).connectionPolicies},
		{"write", (*suite).write},
		{"constraint", (*suite).constraint},
		{"default", (*suite).defaults},
		{"hidden", (*suite).hidden},
		{"policy", (*suite).policies},
		{"oracles", (*suite).oracles},
		{"idempotency", (*suite).idempotency},
		{"search", (*suite).search},
		{"format", (*suite).format},
		{"partition", (*suite).partitions},
		{"move", (*suite).move},
		{"agreed", (*suite).agreed},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(s, t) })
	}
}

type suite struct {
	open  Open
	slack time.Duration // within which an interrupt takes effect
}

// readOptions are those of a plain read.
var readOptions engine.ReadOptions //nolint:gochecknoglobals // a zero value

// service is the caller of almost every test.
func service() policy.Identity { return policy.Identity{Role: policy.Service} }

// application loads a pando.yaml and one module, t, from its entities.
func application(t testing.TB, config, entities string) (*model.App, *policy.Rules) {
	t.Helper()
	files := fstest.MapFS{
		"pando.yaml":     {Data: []byte("app: conformance\n" + config)},
		"modules/t.yaml": {Data: []byte("module: t\nentities:\n" + entities)},
	}
	app, problems := model.Load(files, nil, model.Features{FieldPolicies: true})
	if len(problems) > 0 {
		t.Fatalf("the application is wrong: %v", problems)
	}
	rules, problems := policy.Compile(app)
	if len(problems) > 0 {
		t.Fatalf("the application's expressions are wrong: %v", problems)
	}
	return app, rules
}

// createTables makes the tables of an application.
func createTables(d store.Driver, app *model.App) error {
	return d.Alter(context.Background(), func(tx store.Tx) error {
		for _, m := range app.Modules {
			for _, e := range m.Entities {
				for _, sql := range d.Dialect().DDL(store.Change{Kind: store.CreateTable, Table: store.TableOf(e)}) {
					if _, err := tx.Exec(&store.Statement{SQL: sql}, nil); err != nil {
						return err
					}
				}
			}
		}
		return nil
	})
}

// world is an application that is served from a fresh store.
type world struct {
	*testing.T
	app    *model.App
	rules  *policy.Rules
	driver store.Driver
	signer *keys.Signer
	engine *engine.Engine
	now    time.Time
}

func (s *suite) world(t *testing.T, config, entities string) *world {
	t.Helper()
	w := &world{T: t, driver: s.open(t), now: time.Date(2026, 1, 2, 3, 4, 5, 678900000, time.UTC)}
	t.Cleanup(func() { closeDriver(t, w.driver) })
	w.app, w.rules = application(t, config, entities)
	if err := createTables(w.driver, w.app); err != nil {
		t.Fatal(err)
	}
	signer, err := keys.OpenSigner(keys.SignerConfig{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	w.signer = signer
	w.engine = engine.New(engine.Config{
		App: w.app, Rules: w.rules, Driver: w.driver, Signer: signer, Now: func() time.Time { return w.now },
	})
	return w
}

func closeDriver(t *testing.T, d store.Driver) {
	t.Helper()
	if err := d.Check(context.Background()); err != nil {
		t.Errorf("the store's integrity: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Errorf("closing the store: %v", err)
	}
}

// get answers a read as JSON.
func (w *world) get(spec string) string {
	w.Helper()
	body, err := w.try(read(spec))
	if err != nil {
		w.Fatalf("%s\n%s", spec, explain(err))
	}
	return body
}

func (w *world) try(q *query.Read) (string, error) {
	res, err := w.engine.Read(context.Background(), service(), q, engine.ReadOptions{})
	if err != nil {
		return "", err
	}
	defer res.Release()
	return string(res.Body), nil
}

// answers compares a read's answer.
func (w *world) answers(spec, want string) {
	w.Helper()
	if got := w.get(spec); got != want {
		sql, _ := w.engine.Explain(service(), read(spec))
		w.Errorf("%s\n got %s\nwant %s\n sql %s", spec, got, want, sql)
	}
}

// refuses checks the code of a read that must fail; nothing of an internal
// cause may be shown, and every fault has a message.
func (w *world) refuses(spec string, code fault.Code) *fault.Error {
	w.Helper()
	body, err := w.try(read(spec))
	return refused(w.T, spec, body, err, code)
}

func refused(t *testing.T, what, body string, err error, code fault.Code) *fault.Error {
	t.Helper()
	var f *fault.Error
	switch {
	case err == nil:
		t.Errorf("%s\nanswered %s, want %s", what, body, code)
	case !errors.As(err, &f):
		t.Errorf("%s\nfailed with %v, which is no fault", what, err)
	case f.Code != code || f.Message == "":
		t.Errorf("%s\nfailed with %s, want %s", what, explain(err), code)
	default:
		return f
	}
	return &fault.Error{}
}

func explain(err error) string {
	f := fault.From(err)
	out := string(f.Code) + " " + f.Message
	if f.Details != "" {
		out += " | " + f.Details
	}
	if f.Hint != "" {
		out += " | " + f.Hint
	}
	if f.Cause != nil {
		out += " | cause: " + f.Cause.Error()
	}
	return out
}

// do runs a write and returns the representation and the result.
func (w *world) do(wr *query.Write) (string, *engine.Result) {
	w.Helper()
	res, err := w.engine.Write(context.Background(), service(), wr, nil)
	if err != nil {
		w.Fatalf("%s: %s", wr.Target.Entity, explain(err))
	}
	body := string(res.Body)
	return body, res
}

// add creates rows from JSON objects, one to a line.
func (w *world) add(entity, rows string) string {
	w.Helper()
	body, _ := w.do(create(entity, rows))
	return body
}

// fails checks the code of a write that must fail.
func (w *world) fails(wr *query.Write, code fault.Code) *fault.Error {
	w.Helper()
	res, err := w.engine.Write(context.Background(), service(), wr, nil)
	body := ""
	if err == nil {
		body = string(res.Body)
	}
	return refused(w.T, wr.Target.Entity, body, err, code)
}

// create is a create of JSON objects, one to a line, with all their fields.
func create(entity, rows string) *query.Write {
	w := &query.Write{Action: query.Create, Target: query.Target{Entity: entity}, Returning: &query.Node{}}
	var parsed []map[string]string
	at := map[string]int{}
	for line := range strings.Lines(strings.TrimSpace(rows)) {
		o, names := members(line)
		for _, n := range names {
			if _, ok := at[n]; !ok {
				at[n] = len(w.Columns)
				w.Columns = append(w.Columns, n)
			}
		}
		parsed = append(parsed, o)
	}
	for _, o := range parsed {
		cells := make([]query.Cell, len(w.Columns))
		for n, raw := range o {
			cells[at[n]] = query.Cell{Kind: query.FromJSON, Raw: raw}
		}
		w.Rows = append(w.Rows, cells)
	}
	return w
}

// members splits a JSON object into its members, in their order.
func members(line string) (map[string]string, []string) {
	d := json.NewDecoder(strings.NewReader(line))
	out, names := map[string]string{}, []string(nil)
	if _, err := d.Token(); err != nil {
		panic("not an object: " + line)
	}
	for d.More() {
		name, err := d.Token()
		var raw json.RawMessage
		if err == nil {
			err = d.Decode(&raw)
		}
		if err != nil {
			panic("not an object: " + line)
		}
		key := fmt.Sprint(name)
		out[key], names = string(raw), append(names, key)
	}
	return out, names
}

// update is a change of the rows that a condition names; "" names all.
func update(entity, cond, set string) *query.Write {
	w := create(entity, set)
	w.Action = query.Update
	return reach(w, cond)
}

// remove is a removal of the rows that a condition names; "" names all.
func remove(entity, cond string) *query.Write {
	return reach(&query.Write{Action: query.Delete, Target: query.Target{Entity: entity}, Returning: &query.Node{}}, cond)
}

func reach(w *query.Write, cond string) *query.Write {
	if w.All = cond == ""; !w.All {
		w.Where = where(cond)
	}
	return w
}

// merge is an upsert; without fields by the primary key.
func merge(entity, rows string, fields ...string) *query.Write {
	w := create(entity, rows)
	w.Conflict = query.Conflict{Resolution: query.Merge, Fields: fields}
	return w
}
