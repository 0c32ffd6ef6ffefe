package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pandobase/pando/internal/api/rest"
	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/keys"
	"github.com/pandobase/pando/internal/migrate"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/outbox"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/teststore"
	"github.com/pandobase/pando/internal/value"
)

const eventful = `
module: m
entities:
  all:
    fields:
      id:   { type: int, primary: true }
      te:   { type: text, default: d }
      fl:   { type: float, optional: true }
      de:   { type: decimal, scale: 4, optional: true }
      bo:   { type: bool, optional: true }
      uu:   { type: uuid, optional: true }
      ts:   { type: timestamp, optional: true }
      da:   { type: date, optional: true }
      ti:   { type: time, optional: true }
      js:   { type: json, optional: true }
      by:   { type: bytes, optional: true }
      en:   { type: enum, values: [x, y], optional: true }
      tes:  { type: text, list: true, optional: true }
      ins:  { type: int, list: true, optional: true }
      fls:  { type: float, list: true, optional: true }
      des:  { type: decimal, scale: 2, list: true, optional: true }
      bos:  { type: bool, list: true, optional: true }
      uus:  { type: uuid, list: true, optional: true }
      tss:  { type: timestamp, list: true, optional: true }
      das:  { type: date, list: true, optional: true }
      tis:  { type: time, list: true, optional: true }
      bys:  { type: bytes, list: true, optional: true }
      jss:  { type: json, list: true, optional: true }
      ens:  { type: enum, values: [x, y], list: true, optional: true }
      hid:  { type: text, optional: true, hidden: true }
      told: { type: text, optional: true, hidden: true }
  notes:
    fields:
      id:    { type: int, primary: true }
      slug:  { type: text, optional: true }
      owner: { type: uuid, optional: true }
      n:     { type: int, default: 0, max: 1000 }
      up_id: { ref: notes, optional: true, on_delete: cascade }
      seen:  { type: timestamp, default: now(), on_update: now() }
    unique: [[slug]]
    check: ["row.n != 13"]
    policy:
      read: "row.owner == auth.uid"
      create: "row.owner == auth.uid"
      update: { when: "row.owner == auth.uid", check: "row.n < 100" }
      delete: "row.owner == auth.uid && row.n < 50"
  quiet: { fields: { id: { type: int, primary: true } } }
  heard: { fields: { id: { type: int, primary: true }, n: { type: int, default: 0 } } }
  parts:
    fields: { id: { type: int, primary: true }, area: int, n: { type: int, default: 0 } }
    partition: { by: area, into: 4 }
  pieces:
    fields: { id: { type: int, primary: true }, part_id: { ref: parts, on_delete: cascade }, n: { type: int, default: 0 } }
    partition: { with: part }
events:
  made:    { on: all.create, fields: [told] }
  changed: { on: all.update, fields: [told] }
  gone:    { on: all.delete, fields: [told] }
  noted:   { on: notes.create }
  edited:  { on: notes.update }
  bigger:  { on: notes.update, when: "row.n > old.n" }
  mine:    { on: notes.update, when: "row.owner == auth.uid" }
  removed: { on: notes.delete }
  large:   { on: notes.delete, when: "row.n > 10", version: 3 }
  part_made: { on: parts.create }
  part_changed: { on: parts.update }
  part_gone: { on: parts.delete }
  piece_made: { on: pieces.create }
  piece_changed: { on: pieces.update }
  piece_gone: { on: pieces.delete }
  said:    { data: { text: text } }
jobs:
  on_heard:   { on: heard.update, run: go }
  also_heard: { on: heard.update, run: go }
  lost:       { on: heard.delete, run: go }
`

// happening is an engine whose outbox can be read.
type happening struct {
	*engine.Engine
	box    *outbox.Outbox
	driver store.Driver
	t      *testing.T
	seen   int64
}

// openEventful serves a module on a new store.
func openEventful(t *testing.T, module string, before ...string) *happening {
	t.Helper()
	app, problems := model.Load(fstest.MapFS{"pando.yaml": {Data: []byte("app: a\n")}, "modules/m.yaml": {Data: []byte(module)}}, nil, model.Features{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	rules, problems := policy.Compile(app)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	ctx, d := t.Context(), teststore.Open(t)
	err := d.Alter(ctx, func(tx store.Tx) error {
		for _, sql := range before {
			if _, err := tx.Exec(&store.Statement{SQL: sql}, nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := migrate.Prepare(ctx, d, app)
	if err == nil {
		err = migrate.Apply(ctx, d, plan, migrate.Options{})
	}
	if err != nil {
		t.Fatal(err)
	}
	box, err := outbox.Open(ctx, outbox.Config{Driver: d})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := box.Close(); err != nil {
			t.Error(err)
		}
	})
	signer, err := keys.OpenSigner(keys.SignerConfig{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	e := engine.New(engine.Config{App: app, Rules: rules, Driver: d, Signer: signer, Outbox: box})
	return &happening{Engine: e, box: box, driver: d, t: t}
}

// happened is one event of the outbox.
type happened struct {
	Type, Key, Data, Schema, Subject, Trace string
}

// rows are the members of an event's data.
func (h *happened) rows(t *testing.T) (row, old string) {
	t.Helper()
	var d struct{ Row, Old json.RawMessage }
	if err := json.Unmarshal([]byte(h.Data), &d); err != nil {
		t.Fatal(err)
	}
	return string(d.Row), string(d.Old)
}

// take returns the events since the last call, in their order.
func (h *happening) take() (out []happened) {
	h.t.Helper()
	st := &store.Statement{SQL: `SELECT "seq","type","key","data","schema","subject","trace" FROM "pando_outbox" WHERE "seq">` + h.driver.Dialect().Param(1) + ` ORDER BY "seq"`}
	err := h.driver.Read(h.t.Context(), false, func(r store.Reader) error {
		out = nil
		return r.Query(st, []value.Value{value.OfInt(h.seen)}, func(row store.Row) error {
			text := func(i int) string { return string(row.Append(nil, i)) }
			out = append(out, happened{text(1), text(2), text(3), text(4), text(5), text(6)})
			h.seen = row.Int(0)
			return nil
		})
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return out
}

// took are the types and keys of the events since the last call, sorted: rows of
// one write are in no order.
func (h *happening) took() []string {
	h.t.Helper()
	out := []string{}
	for _, ev := range h.take() {
		out = append(out, strings.TrimPrefix(ev.Type, "m.")+" "+strings.TrimPrefix(ev.Key, "m."))
	}
	slices.Sort(out)
	return out
}

func (h *happening) want(what string, want ...string) {
	h.t.Helper()
	slices.Sort(want)
	if got := h.took(); !slices.Equal(got, want) {
		h.t.Errorf("%s: the events are %q; want %q", what, got, want)
	}
}

// ask performs a request as the door does.
func (h *happening) ask(ctx context.Context, x engine.Executor, id policy.Identity, method, entity, body string) (string, error) {
	entity, q, _ := strings.Cut(entity, "?")
	c := rest.Call{Method: method, Module: "m", Entity: entity, Query: q, Prefer: "return=representation"}
	if strings.Contains(q, "on_conflict=") {
		q, resolution, _ := strings.Cut(q, "&resolution=")
		c.Query, c.Prefer = q, c.Prefer+",resolution="+resolution+"-duplicates"
	}
	if body != "" {
		c.Body = json.RawMessage(body)
	}
	a, err := rest.Perform(ctx, x, id, c)
	return string(a.Body), err
}

// do is ask of the service, which has to succeed.
func (h *happening) do(method, entity, body string) string {
	h.t.Helper()
	out, err := h.ask(h.t.Context(), h.Engine, service, method, entity, body)
	if err != nil {
		h.t.Fatalf("%s %s: %v %s", method, entity, err, fault.From(err).Details)
	}
	return out
}

// whole is the row that a read answers.
func (h *happening) whole(entity, id string) string {
	h.t.Helper()
	return strings.Trim(h.do("GET", entity+"?id=eq."+id, ""), "[]\n")
}

// withTold is a row as an event has it that names the hidden field told, the last.
func withTold(row, told string) string {
	return strings.TrimSuffix(row, "}") + `,"told":` + told + "}"
}

// TestEventsHoldRowsAsReadsDo writes every type there is: what events tell of rows
// are the bytes that a read answers, on every store.
func TestEventsHoldRowsAsReadsDo(t *testing.T) {
	h := openEventful(t, eventful)
	full := `{"id":1,"te":"e\u0301 \"\\\n\u2028<","fl":-0.0,"de":-1.5,"bo":true,"uu":"0198F1C2-0000-7000-8000-00000000000A",
		"ts":"2026-01-02T05:04:05.6789+01:00","da":"0044-03-15","ti":"23:59:59.5","js":{"b":[1.0,null,1e2],"aa":"\u00e9","b":{"z":1,"y":12345678901234567890.5}},
		"by":"\\x00FF80","en":"y","tes":["","a,b","\"q\""],"ins":[9007199254740993,-1],"fls":[1,1e300,0.1],"des":[1,-2.5],"bos":[true,false],
		"uus":["0198F1C2-0000-7000-8000-00000000000A"],"tss":["2026-01-02T03:04:05Z"],"das":["2026-12-31"],"tis":["00:00:00"],"bys":["\\x","\\xAB"],"jss":[{"b":1,"a":2},"x",1.50],"ens":["x","y","x"],
		"hid":"secret","told":"named"}`
	h.do("POST", "all", full)
	const stored = `{"id":1,"te":"é \"\\\n` + "\u2028" + `<","fl":0,"de":-1.5000,"bo":true,"uu":"0198f1c2-0000-7000-8000-00000000000a",` +
		`"ts":"2026-01-02T04:04:05.6789+00:00","da":"0044-03-15","ti":"23:59:59.5","js":{"b":{"y":12345678901234567890.5,"z":1},"aa":"é"},` +
		`"by":"\\x00ff80","en":"y","tes":["","a,b","\"q\""],"ins":[9007199254740993,-1],"fls":[1,1e+300,0.1],"des":[1.00,-2.50],"bos":[true,false],` +
		`"uus":["0198f1c2-0000-7000-8000-00000000000a"],"tss":["2026-01-02T03:04:05+00:00"],"das":["2026-12-31"],"tis":["00:00:00"],"bys":["\\x","\\xab"],"jss":[{"a":2,"b":1},"x",1.50],"ens":["x","y","x"]}`
	read := h.whole("all", "1")
	if read != stored {
		t.Errorf("a read:\n%s\nwant:\n%s", read, stored)
	}
	events := h.take()
	if len(events) != 1 {
		t.Fatalf("%d events of a create", len(events))
	}
	if row, old := events[0].rows(t); row != withTold(read, `"named"`) || old != "null" {
		t.Errorf("the event of a create:\n%s %s\nthe row:\n%s", row, old, read)
	}
	if ev := events[0]; ev.Type != "m.made" || ev.Key != "m.all/1" || ev.Schema != "urn:pando:a:m.made:1" || ev.Subject != "" || ev.Trace != "" {
		t.Errorf("its envelope: %+v", ev)
	}
	h.do("POST", "all", `{"id":2}`)
	empty := h.whole("all", "2")
	if row, _ := h.take()[0].rows(t); row != withTold(empty, "null") || !strings.Contains(row, `"te":"d","fl":null`) {
		t.Errorf("a row of nulls: %s", row)
	}
	// The old row of the one is the new row of the other: both ways of reading it.
	for _, set := range []string{`"te":"x"`, `"hid":"other"`, `"told":null`, `"de":0.0001,"ts":"2026-06-01T00:00:00.000001Z","js":null`, `"by":"\\x","bys":[],"tes":[],"fl":1e21`} {
		before := h.whole("all", "1")
		h.do("PATCH", "all?id=eq.1", "{"+set+"}")
		events := h.take()
		if len(events) != 1 || events[0].Type != "m.changed" || events[0].Key != "m.all/1" {
			t.Fatalf("%s: %+v", set, events)
		}
		told := `"named"`
		if strings.Contains(events[0].Data, `"told":null`) {
			told = "null"
		}
		row, old := events[0].rows(t)
		if want := withTold(h.whole("all", "1"), told); row != want {
			t.Errorf("%s: the row is\n%s; want\n%s", set, row, want)
		}
		if want, _, _ := strings.Cut(withTold(before, ""), `"told"`); !strings.HasPrefix(old, want) || strings.Contains(old, "hid") {
			t.Errorf("%s: the old row is\n%s; want\n%s", set, old, want)
		}
	}
	before := h.whole("all", "1")
	h.do("DELETE", "all?id=eq.1", "")
	events = h.take()
	if row, old := events[0].rows(t); len(events) != 1 || events[0].Type != "m.gone" || row != withTold(before, "null") || old != "null" {
		t.Errorf("the event of a delete: %+v", events)
	}
}

// TestEventsOfWrites asks for every kind of write which events it has.
func TestEventsOfWrites(t *testing.T) {
	h := openEventful(t, eventful)
	for _, step := range []struct {
		what, method, entity, body string
		want                       []string
	}{
		{"many rows", "POST", "notes", `[{"id":1,"slug":"a","n":0},{"id":2,"slug":"b","n":20},{"id":3,"slug":"c","n":0}]`, []string{"noted notes/1", "noted notes/2", "noted notes/3"}},
		{"rows that refer forwards", "POST", "notes", `[{"id":5,"up_id":6},{"id":6,"up_id":null}]`, []string{"noted notes/5", "noted notes/6"}},
		{"rows in a circle", "POST", "notes", `[{"id":7,"up_id":8},{"id":8,"up_id":7}]`, []string{"noted notes/7", "noted notes/8"}},
		{"one row", "PATCH", "notes?id=eq.1", `{"n":1}`, []string{"edited notes/1", "bigger notes/1"}},
		{"a condition that is false", "PATCH", "notes?id=eq.1", `{"n":0}`, []string{"edited notes/1"}},
		{"rows of a filter", "PATCH", "notes?slug=in.(a,b,c)", `{"n":20}`, []string{"edited notes/1", "edited notes/2", "edited notes/3", "bigger notes/1", "bigger notes/3"}},
		{"rows within a limit", "PATCH", "notes?id=gte.1&order=id&limit=2", `{"n":21}`, []string{"edited notes/1", "edited notes/2", "bigger notes/1", "bigger notes/2"}},
		{"no row", "PATCH", "notes?id=eq.99", `{"n":1}`, nil},
		{"nothing to set", "PATCH", "notes?id=eq.1", `{}`, nil},
		{"another key", "PATCH", "notes?id=eq.1", `{"id":10}`, []string{"edited notes/10"}},
		{"the same key", "PATCH", "notes?id=eq.10", `{"id":10,"n":22}`, []string{"edited notes/10", "bigger notes/10"}},
		{"PUT of a row that is there", "PUT", "notes?id=eq.10", `{"id":10,"slug":"a","n":23,"owner":null,"up_id":null,"seen":"2026-01-01T00:00:00Z"}`, []string{"edited notes/10", "bigger notes/10"}},
		{"PUT of a new one", "PUT", "notes?id=eq.11", `{"id":11,"slug":"k","n":1,"owner":null,"up_id":null,"seen":"2026-01-01T00:00:00Z"}`, []string{"noted notes/11"}},
		{"a merge", "POST", "notes?on_conflict=id&resolution=merge", `[{"id":12,"n":1},{"id":10,"n":24},{"id":14,"n":1},{"id":2,"n":2}]`, []string{"noted notes/12", "edited notes/10", "bigger notes/10", "noted notes/14", "edited notes/2"}},
		{"a merge by another key", "POST", "notes?on_conflict=slug&resolution=merge", `[{"id":2,"slug":"b","n":30}]`, []string{"edited notes/2", "bigger notes/2"}},
		{"a merge that gives another key", "POST", "notes?on_conflict=slug&resolution=merge", `[{"id":15,"slug":"z","n":0},{"id":16,"slug":"b","n":31}]`, []string{"noted notes/15", "edited notes/16", "bigger notes/16"}},
		{"an upsert that ignores", "POST", "notes?on_conflict=id&resolution=ignore", `[{"id":10},{"id":17},{"id":12}]`, []string{"noted notes/17"}},
		{"a delete", "DELETE", "notes?id=eq.17", ``, []string{"removed notes/17"}},
		{"a delete of several", "DELETE", "notes?id=in.(10,12,99)", ``, []string{"removed notes/10", "large notes/10", "removed notes/12"}},
		{"a delete within a limit", "DELETE", "notes?id=gte.14&order=id&limit=1", ``, []string{"removed notes/14"}},
		{"a delete of none", "DELETE", "notes?id=eq.99", ``, nil},
		{"what nobody waits for", "POST", "quiet", `{"id":1}`, nil},
		{"an action that nobody waits for", "POST", "heard", `[{"id":1},{"id":2}]`, nil},
		{"a write as such, with two who wait", "PATCH", "heard?id=eq.1", `{"n":1}`, []string{"heard.update heard/1"}},
		{"a write as such of several", "DELETE", "heard?id=gt.0", ``, []string{"heard.delete heard/1", "heard.delete heard/2"}},
		{"partitioned rows", "POST", "parts", `[{"id":1,"area":1},{"id":2,"area":2}]`, []string{"part_made parts/1", "part_made parts/2"}},
		{"a partitioned one", "PATCH", "parts?id=eq.2&area=eq.2", `{"n":1}`, []string{"part_changed parts/2"}},
		{"partitioned ones of a filter", "PATCH", "parts?n=gte.0", `{"n":2}`, []string{"part_changed parts/1", "part_changed parts/2"}},
		{"a merge of partitioned ones", "POST", "parts?on_conflict=id&resolution=merge", `[{"id":2,"area":2,"n":3},{"id":3,"area":2,"n":0}]`, []string{"part_changed parts/2", "part_made parts/3"}},
		{"rows that lie with them", "POST", "pieces", `[{"id":1,"part_id":1},{"id":2,"part_id":2}]`, []string{"piece_made pieces/1", "piece_made pieces/2"}},
		{"a change of those", "PATCH", "pieces?id=gte.1", `{"n":1}`, []string{"piece_changed pieces/1", "piece_changed pieces/2"}},
		{"a merge of those", "POST", "pieces?on_conflict=id&resolution=merge", `[{"id":1,"part_id":1,"n":4}]`, []string{"piece_changed pieces/1"}},
		{"a delete of those", "DELETE", "pieces?id=gte.1", ``, []string{"piece_gone pieces/1", "piece_gone pieces/2"}},
		{"a delete of partitioned ones", "DELETE", "parts?area=eq.2", ``, []string{"part_gone parts/2", "part_gone parts/3"}},
	} {
		if _, err := h.ask(h.t.Context(), h.Engine, service, step.method, step.entity, step.body); err != nil {
			t.Errorf("%s: %v %s", step.what, err, fault.From(err).Details)
		}
		h.want(step.what, step.want...)
	}
}

// TestEventsTellBothRows: a change of many rows, of a key, and a merge tell each
// row beside the one that it was.
func TestEventsTellBothRows(t *testing.T) {
	h := openEventful(t, eventful)
	h.do("POST", "notes", `[{"id":1,"slug":"a","n":1},{"id":2,"slug":"b","n":2},{"id":3,"slug":"c","n":3}]`)
	h.take()
	pairs := func(what string, want ...string) {
		t.Helper()
		var got []string
		for _, ev := range h.take() {
			if ev.Type != "m.edited" {
				continue
			}
			var d struct {
				Row, Old struct {
					ID int
					N  int
				}
			}
			if err := json.Unmarshal([]byte(ev.Data), &d); err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprint(d.Old.ID, ":", d.Old.N, " ", d.Row.ID, ":", d.Row.N))
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q; want %q", what, got, want)
		}
	}
	h.do("PATCH", "notes?id=gte.1", `{"n":7}`)
	pairs("of a filter", "1:1 1:7", "2:2 2:7", "3:3 3:7")
	h.do("PATCH", "notes?id=eq.2", `{"id":20,"n":8}`)
	pairs("of a key", "2:7 20:8")
	h.do("POST", "notes?on_conflict=id&resolution=merge", `[{"id":3,"n":9},{"id":4,"n":1},{"id":1,"n":10}]`)
	pairs("of a merge", "1:7 1:10", "3:7 3:9")
	h.do("POST", "notes?on_conflict=slug&resolution=merge", `[{"id":30,"slug":"b","n":2},{"id":31,"slug":"a","n":3}]`)
	pairs("of a merge that gives other keys", "1:10 31:3", "20:8 30:2")
}

// TestEventsFollowFromWhatIsWritten: a write that fails, wholly or as one of
// several, has none.
func TestEventsFollowFromWhatIsWritten(t *testing.T) {
	h := openEventful(t, eventful)
	user := as(ann)
	h.do("POST", "notes", `[{"id":1,"slug":"a","n":1,"owner":"`+ann+`"},{"id":2,"slug":"b","n":60,"owner":"`+ann+`"},{"id":3,"slug":null,"n":0,"owner":"`+bob+`"}]`)
	h.take()
	for _, step := range []struct {
		id                         policy.Identity
		what, method, entity, body string
		code                       fault.Code
	}{
		{service, "a key that is taken", "POST", "notes", `[{"id":4},{"id":1}]`, fault.Unique},
		{service, "a check", "PATCH", "notes?id=gte.1", `{"n":13}`, fault.Check},
		{service, "a bound", "POST", "notes", `[{"id":4,"n":1},{"id":5,"n":1001}]`, fault.Check},
		{service, "a reference", "POST", "notes", `[{"id":4,"up_id":null},{"id":5,"up_id":99}]`, fault.ForeignKey},
		{service, "a key of several", "PATCH", "notes?id=gte.1", `{"slug":"s"}`, fault.Unique},
		{service, "a merge of which one fails", "POST", "notes?on_conflict=id&resolution=merge", `[{"id":1,"slug":"a"},{"id":2,"slug":"a"}]`, fault.Unique},
		{user, "a create for another", "POST", "notes", `[{"id":4,"owner":"` + bob + `"}]`, fault.Forbidden},
		{user, "a check of the policy", "PATCH", "notes?id=eq.1", `{"n":100}`, fault.Forbidden},
		{user, "a row of another", "PATCH", "notes?id=eq.3", `{"n":5}`, ""},
		{user, "a delete of one of another", "DELETE", "notes?id=gte.2", ``, ""},
		{user, "a merge into a row of another", "POST", "notes?on_conflict=id&resolution=merge", `[{"id":3,"n":2,"owner":"` + ann + `"}]`, fault.Forbidden},
	} {
		if _, err := h.ask(h.t.Context(), h.Engine, step.id, step.method, step.entity, step.body); step.code == "" && err != nil || step.code != "" && !fault.Is(err, step.code) {
			t.Errorf("%s: %v", step.what, err)
		}
		h.want(step.what)
	}
	if _, err := h.ask(h.t.Context(), h.Engine, user, "PATCH", "notes?id=gte.1", `{"n":70}`); err != nil {
		t.Error(err)
	}
	h.want("the rows within reach", "edited notes/1", "edited notes/2", "bigger notes/1", "bigger notes/2", "mine notes/1", "mine notes/2")
}

// TestEventsTellWho: the caller, and the trace of the request.
func TestEventsTellWho(t *testing.T) {
	h := openEventful(t, eventful)
	id := as(ann)
	id.Request.ID = strings.Repeat("0af7651916cd43dd", 2)
	if _, err := h.ask(h.t.Context(), h.Engine, id, "POST", "notes", `{"id":1,"owner":"`+ann+`"}`); err != nil {
		t.Fatal(err)
	}
	behalf := service
	behalf.OnBehalf = bob
	if _, err := h.ask(h.t.Context(), h.Engine, behalf, "POST", "notes", `{"id":2}`); err != nil {
		t.Fatal(err)
	}
	events := h.take()
	if len(events) != 2 || events[0].Subject != ann || events[0].Trace != "00-"+id.Request.ID+"-0af7651916cd43dd-01" || events[1].Subject != bob || events[1].Trace != "" {
		t.Errorf("%+v", events)
	}
	h.do("POST", "notes", `{"id":3,"n":11}`)
	h.take()
	h.do("DELETE", "notes?id=eq.3", "")
	if events := h.take(); len(events) != 2 || events[0].Schema != "urn:pando:a:m.removed:1" || events[1].Schema != "urn:pando:a:m.large:3" {
		t.Errorf("%+v", events)
	}
}

// TestEventsOfTransactions: they are there with all that the transaction has
// written, once, however often it has run; or not at all.
func TestEventsOfTransactions(t *testing.T) {
	h, undo := openEventful(t, eventful), errors.New("undo")
	h.do("POST", "notes", `[{"id":1},{"id":2}]`)
	h.take()
	app := h.App()
	said := app.Module("m").Events[slices.IndexFunc(app.Module("m").Events, func(e *model.Event) bool { return e.Name == "said" })]
	for _, fails := range []bool{true, false} {
		runs := 0
		_, err := h.Transact(t.Context(), service, write, func(ctx context.Context, tx *engine.Tx) ([]byte, error) {
			runs++
			if _, err := h.ask(ctx, tx, service, "GET", "notes?id=eq.2", ""); err != nil {
				return nil, err
			}
			if runs == 1 && !fails { // another one comes in the way
				if _, err := h.ask(ctx, h.Engine, service, "PATCH", "notes?id=eq.2", `{"n":5}`); err != nil {
					return nil, err
				}
			}
			for _, w := range []struct{ method, entity, body string }{
				{"POST", "notes", `[{"id":3},{"id":4}]`}, {"PATCH", "notes?id=eq.3", `{"n":1}`}, {"DELETE", "notes?id=eq.4", ""}, {"PATCH", "notes?id=eq.2", `{"n":6}`},
			} {
				if _, err := h.ask(ctx, tx, service, w.method, w.entity, w.body); err != nil {
					return nil, err
				}
			}
			if _, err := h.ask(ctx, tx, service, "POST", "notes", `[{"id":9},{"id":1}]`); !fault.Is(err, fault.Unique) && !fault.Is(err, fault.Serialization) {
				t.Errorf("a write within that fails: %v", err)
			}
			if err := tx.Append(ctx, func(s store.Tx) error { return h.Publish(s, &service, said, []byte(`{"text":"hi"}`)) }); err != nil {
				return nil, err
			}
			if fails {
				return nil, undo
			}
			return nil, nil
		})
		if fails {
			if !errors.Is(err, undo) {
				t.Error(err)
			}
			h.want("what was undone")
			continue
		}
		if err != nil || runs < 2 {
			t.Errorf("after %d runs: %v", runs, err)
		}
		h.want("a transaction", "edited notes/2", "bigger notes/2", // the other one's
			"noted notes/3", "noted notes/4", "edited notes/3", "bigger notes/3", "removed notes/4", "edited notes/2", "bigger notes/2", "said ")
	}
}

// TestEventsOfLoads: a load has those of its rows, new, merged and left alone.
func TestEventsOfLoads(t *testing.T) {
	h := openEventful(t, eventful)
	h.do("POST", "notes", `[{"id":1,"n":1},{"id":2,"n":2}]`)
	h.take()
	quiet := false
	load := func(resolution query.Resolution, rows ...string) (int, error) {
		at := 0
		return h.Load(t.Context(), service, &engine.Load{
			Target: query.Target{Module: "m", Entity: "notes"}, Columns: []string{"id", "n"}, Conflict: query.Conflict{Resolution: resolution}, Quiet: quiet,
			Next: func(r *engine.Row) error {
				if at == len(rows) {
					return io.EOF
				}
				id, n, _ := strings.Cut(rows[at], ":")
				at++
				r.Line, r.Cells = at, []query.Cell{{Kind: query.FromText, Raw: id}, {Kind: query.FromText, Raw: n}}
				return nil
			},
			Bad: func(_ int, _ string, err error) error {
				if fault.Is(err, fault.Unique) {
					return nil
				}
				return err
			},
		})
	}
	if n, err := load(query.Fail, "3:3", "1:9", "4:4"); err != nil || n != 2 {
		t.Errorf("%d, %v", n, err)
	}
	h.want("a load with a bad row", "noted notes/3", "noted notes/4")
	if n, err := load(query.Merge, "5:5", "1:9", "2:2"); err != nil || n != 3 {
		t.Errorf("%d, %v", n, err)
	}
	h.want("a load that merges", "noted notes/5", "edited notes/1", "bigger notes/1", "edited notes/2")
	if n, err := load(query.Ignore, "1:1", "6:6"); err != nil || n != 1 {
		t.Errorf("%d, %v", n, err)
	}
	h.want("a load that ignores", "noted notes/6")
	if _, err := load(query.Fail, "7:7", "8:13"); err == nil {
		t.Error("a check has let a row through")
	}
	h.want("a load that was given up")
	rows := make([]string, 600)
	for i := range rows {
		rows[i] = fmt.Sprint(1000+i, ":1")
	}
	if n, err := load(query.Fail, rows...); err != nil || n != len(rows) {
		t.Errorf("%d, %v", n, err)
	}
	if events := h.take(); len(events) != len(rows) || events[0].Key != "m.notes/1000" || events[599].Key != "m.notes/1599" {
		t.Errorf("%d events", len(events))
	}
	quiet = true
	if n, err := load(query.Merge, "2000:1", "1000:2"); err != nil || n != 2 {
		t.Errorf("%d, %v", n, err)
	}
	h.want("a load that is quiet")
	quiet = false
	// One row twice: each change tells what it has made.
	if n, err := load(query.Merge, "1:10", "9:1", "1:11", "9:2"); err != nil || n != 4 {
		t.Errorf("%d, %v", n, err)
	}
	var changes []string
	for _, ev := range h.take() {
		if ev.Type == "m.edited" {
			row, old := ev.rows(t)
			changes = append(changes, nOf(t, old)+">"+nOf(t, row))
		}
	}
	if want := []string{"9>10", "10>11", "1>2"}; !slices.Equal(changes, want) {
		t.Errorf("one row twice: %q; want %q", changes, want)
	}
}

// nOf is the member n of a row.
func nOf(t *testing.T, row string) string {
	t.Helper()
	var d struct{ N json.Number }
	if err := json.Unmarshal([]byte(row), &d); err != nil {
		t.Fatal(err)
	}
	return d.N.String()
}

// TestWatch: who writes rows without the engine has their events in its own
// transaction.
func TestWatch(t *testing.T) {
	h := openEventful(t, `
module: m
events:
  joined: { on: auth.users.create }
  changed: { on: auth.users.update, when: "row.email != old.email", fields: [email] }
  left: { on: auth.users.delete, fields: [email] }
`)
	users, id := h.App().Entity("auth", "users"), policy.Identity{Role: policy.Service, OnBehalf: ann}
	table := h.driver.Dialect().Table("auth", "users")
	run := func(action query.Action, key, sql string, end error) error {
		return h.driver.Write(t.Context(), func(tx store.Tx) error {
			done, err := h.Watch(tx, &id, users, action, value.OfText(key))
			if err != nil {
				return err
			}
			if _, err := tx.Exec(&store.Statement{SQL: sql}, nil); err != nil {
				return err
			}
			if err := done(); err != nil {
				return err
			}
			return end
		})
	}
	insert := `INSERT INTO ` + table + ` ("id","email","is_anonymous","created_at","updated_at","failures") VALUES ('` + ann + `','a@x.example',` +
		h.driver.Dialect().Bool(false) + `,'2026-01-01T00:00:00+00:00','2026-01-01T00:00:00+00:00',0)`
	set := func(email string) string {
		return `UPDATE ` + table + ` SET "email"='` + email + `' WHERE "id"='` + ann + `'`
	}
	undo := errors.New("undo")
	for _, step := range []struct {
		what   string
		action query.Action
		key    string
		sql    string
		end    error
		want   []string
	}{
		{"a create that is undone", query.Create, ann, insert, undo, nil},
		{"a create", query.Create, ann, insert, nil, []string{"joined auth.users/" + ann}},
		{"an update", query.Update, ann, set("b@x.example"), nil, []string{"changed auth.users/" + ann}},
		{"one that the condition does not mean", query.Update, ann, set("b@x.example"), nil, nil},
		{"one that is undone", query.Update, ann, set("c@x.example"), undo, nil},
		{"an update of nobody", query.Update, bob, set("b@x.example"), nil, nil},
		{"a delete", query.Delete, ann, `DELETE FROM ` + table + ` WHERE "id"='` + ann + `'`, nil, []string{"left auth.users/" + ann}},
		{"a delete of nobody", query.Delete, bob, `DELETE FROM ` + table + ` WHERE "id"='` + bob + `'`, nil, nil},
	} {
		if err := run(step.action, step.key, step.sql, step.end); !errors.Is(err, step.end) {
			t.Fatalf("%s: %v", step.what, err)
		}
		for _, ev := range h.take() {
			if ev.Subject != ann || strings.Contains(ev.Data, "encrypted_password") || strings.Contains(ev.Data, "failures") {
				t.Errorf("%s: %+v", step.what, ev)
			}
			got := []string{strings.TrimPrefix(ev.Type, "m.") + " " + ev.Key}
			if !slices.Equal(got, step.want) {
				t.Errorf("%s: %q; want %q", step.what, got, step.want)
			}
			step.want = nil
		}
		if step.want != nil {
			t.Errorf("%s: no event", step.what)
		}
	}
}

// TestEventsAreNeverLeftOut: a write whose event cannot be appended does not happen.
func TestEventsAreNeverLeftOut(t *testing.T) {
	h := openEventful(t, `
module: m
entities: { docs: { fields: { id: { type: int, primary: true }, body: { type: text, optional: true } } } }
events: { made: { on: docs.create }, changed: { on: docs.update } }
`)
	big := strings.Repeat("x", 600<<10) // two of them, row and old, are more than an event holds
	h.do("POST", "docs", `{"id":1,"body":"`+big+`"}`)
	if _, err := h.ask(h.t.Context(), h.Engine, service, "PATCH", "docs?id=eq.1", `{"body":"`+strings.ToUpper(big)+`"}`); !fault.Is(err, fault.BodyTooLarge) || fault.From(err).Hint == "" {
		t.Errorf("an event that is too large: %v", err)
	}
	if got := h.whole("docs", "1"); !strings.Contains(got, "xxx") {
		t.Error("the row was changed without its event")
	}
	h.want("a create", "made docs/1")
}

// TestEventsOfForeignTables: what the database makes of a row is what its event
// tells.
func TestEventsOfForeignTables(t *testing.T) {
	teststore.Only(t, teststore.Postgres, "tables that are not managed, with values that the database makes")
	h := openEventful(t, `
module: m
entities:
  old:
    managed: false
    table: public.old_things
    fields:
      id:   { type: int, primary: true, default: database() }
      name: { type: text, optional: true }
      made: { type: text, default: database() }
      loud: { type: text, generated: true, optional: true }
      hid:  { type: text, optional: true, hidden: true }
events: { made: { on: old.create }, changed: { on: old.update }, gone: { on: old.delete } }
`, `CREATE TABLE "old_things" ("name" text, "id" bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, "made" text NOT NULL DEFAULT 'made', "hid" text, "loud" text GENERATED ALWAYS AS (upper("name")) STORED)`)
	got := strings.Trim(h.do("POST", "old", `[{"name":"a"}]`), "[]")
	const want = `{"id":1,"name":"a","made":"made","loud":"A"}`
	if events := h.take(); got != want || len(events) != 1 || events[0].Data != `{"row":`+want+`,"old":null}` || events[0].Key != "m.old/1" {
		t.Errorf("a create: %s %+v", got, events)
	}
	h.do("PATCH", "old?id=eq.1", `{"name":"b"}`)
	changed := strings.ReplaceAll(strings.ReplaceAll(want, `"a"`, `"b"`), `"A"`, `"B"`)
	if events := h.take(); len(events) != 1 || events[0].Data != `{"row":`+changed+`,"old":`+want+`}` {
		t.Errorf("an update: %+v", events)
	}
	h.do("DELETE", "old?id=eq.1", "")
	if events := h.take(); len(events) != 1 || events[0].Data != `{"row":`+changed+`,"old":null}` {
		t.Errorf("a delete: %+v", events)
	}
}
