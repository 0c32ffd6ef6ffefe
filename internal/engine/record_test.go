package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pandobase/pando/internal/audit"
	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/keys"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/teststore"
)

const clinic = `
module: clinic
entities:
  patients:
    audit: [reads, values]
    fields:
      id:      { type: int, primary: true }
      user_id: { ref: auth.users, on_delete: cascade, optional: true }
      name:    { type: text }
      pin:     { type: text, optional: true, hidden: true }
    policy:
      read:   "row.user_id == auth.uid || 'remover' in auth.roles"
      create: "row.user_id == auth.uid"
      delete: "'remover' in auth.roles"
      update: { when: "row.user_id == auth.uid", fields: [name] }
  visits:
    fields:
      id:         { type: int, primary: true }
      patient_id: { ref: patients, on_delete: cascade }
    policy:
      read: "auth.uid != null"
`

const (
	ann = "0198f1c2-0000-7000-8000-00000000000a"
	bob = "0198f1c2-0000-7000-8000-00000000000b"
)

// recorded is an engine whose trail can be read.
type recorded struct {
	*engine.Engine
	log    *audit.Log
	driver store.Driver
	t      *testing.T
	seen   int64 // the newest record that take has returned
}

func openClinic(t *testing.T) *recorded {
	t.Helper()
	app, problems := model.Load(fstest.MapFS{
		"pando.yaml": {Data: []byte("roles: { remover: {} }\n")}, "modules/clinic.yaml": {Data: []byte(clinic)},
	}, nil, model.Features{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	rules, problems := policy.Compile(app)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	dir, ctx := t.TempDir(), context.Background()
	d := teststore.Open(t)
	w, err := keys.OpenWrapper(dir)
	if err != nil {
		t.Fatal(err)
	}
	log, err := audit.Open(ctx, audit.Config{Driver: d, Wrapper: w})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	err = d.Alter(ctx, func(tx store.Tx) error {
		for _, m := range app.Modules {
			for _, e := range m.Entities {
				for _, sql := range d.Dialect().DDL(store.Change{Kind: store.CreateTable, Table: store.TableOf(e)}) {
					if _, err := tx.Exec(&store.Statement{SQL: sql}, nil); err != nil {
						return err
					}
				}
			}
		}
		for _, id := range []string{ann, bob} {
			sql := `INSERT INTO ` + d.Dialect().Table("auth", "users") + ` ("id","is_anonymous","created_at","updated_at","failures") VALUES ('` +
				id + `',` + d.Dialect().Bool(false) + `,'2026-01-01T00:00:00+00:00','2026-01-01T00:00:00+00:00',0)`
			if _, err := tx.Exec(&store.Statement{SQL: sql}, nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	signer, err := keys.OpenSigner(keys.SignerConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	e := engine.New(engine.Config{App: app, Rules: rules, Driver: d, Signer: signer, Audit: log})
	return &recorded{Engine: e, log: log, driver: d, t: t}
}

// take returns what was put on record since the last call, oldest first.
func (r *recorded) take() (out []*audit.Record) {
	r.t.Helper()
	err := r.log.Each(r.t.Context(), audit.Query{}, func(rec *audit.Record) error {
		if rec.ID > r.seen {
			out = append(out, rec)
			r.seen = rec.ID
		}
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

// one returns the only new record.
func (r *recorded) one() *audit.Record {
	r.t.Helper()
	recs := r.take()
	if len(recs) != 1 {
		r.t.Fatalf("%d records, not 1", len(recs))
	}
	return recs[0]
}

func as(uid string) policy.Identity {
	return policy.Identity{Role: policy.Authenticated, UID: uid, Request: &policy.Request{Door: "rest", Method: "POST", IP: "203.0.113.4", ID: "r-" + uid}}
}

func cell(text string) query.Cell { return query.Cell{Kind: query.FromJSON, Raw: text} }

func patients(first, n int, user string) *query.Write {
	w := &query.Write{Action: query.Create, Target: query.Target{Entity: "patients"}, Columns: []string{"id", "user_id", "name", "pin"}}
	for i := range n {
		w.Rows = append(w.Rows, []query.Cell{cell(fmt.Sprint(first + i)), cell(`"` + user + `"`), cell(`"N"`), cell(`"1234"`)})
	}
	return w
}

func byID(op query.Op, text string) *query.Compare {
	return &query.Compare{Left: &query.FieldRef{Path: query.Path{Field: "id"}}, Op: op, Right: &query.Literal{Text: text}}
}

var service = policy.Identity{Role: policy.Service, Key: "key_1"} //nolint:gochecknoglobals // never changed

// TestWritesAreOnRecord: a write has its record, with who, what and which rows.
func TestWritesAreOnRecord(t *testing.T) {
	r, ctx := openClinic(t), t.Context()
	mine := patients(1, 1, ann)
	mine.Columns = mine.Columns[:3]
	mine.Rows[0] = mine.Rows[0][:3]
	if _, err := r.Write(ctx, as(ann), mine, nil); err != nil {
		t.Fatal(err)
	}
	rec := r.one()
	if rec.Action != "create" || rec.Entity != "clinic.patients" || rec.UID != ann || rec.Role != "authenticated" || rec.Service ||
		!reflect.DeepEqual(rec.Keys, []string{"1"}) || !reflect.DeepEqual(rec.Fields, mine.Columns) || rec.Rows != 1 ||
		rec.Outcome != audit.Allowed || rec.Rule != "clinic.patients.create" || rec.Door != "rest" || rec.IP != "203.0.113.4" || rec.Request != "r-"+ann {
		t.Errorf("a create: %+v", rec)
	}
	many := patients(10, 1200, bob)
	if _, err := r.Write(ctx, service, many, nil); err != nil {
		t.Fatal(err)
	}
	recs := r.take()
	if len(recs) != 3 || len(recs[0].Keys) != 500 || len(recs[2].Keys) != 200 || recs[2].Keys[199] != "1209" || !recs[1].Service || recs[1].Rule != "" {
		t.Fatalf("a large create: %d records", len(recs))
	}
	v := recs[2].Values[199]
	if v.Subject != bob || v.Key != "1209" || string(v.Data) != `{"id":1209,"user_id":"`+bob+`","name":"N"}` {
		t.Errorf("the values of a row: %+v %s", v, v.Data)
	}
	update := &query.Write{
		Action: query.Update, Target: query.Target{Entity: "patients"}, Where: byID(query.Lte, "11"), Columns: []string{"name", "pin"},
		Rows: [][]query.Cell{{cell(`"M"`), cell(`"9"`)}},
	}
	if _, err := r.Write(ctx, service, update, nil); err != nil {
		t.Fatal(err)
	}
	rec = r.one()
	if rec.Action != "update" || rec.Rows != 3 || len(rec.Values) != 2 || string(rec.Values[0].Data) != `{"name":"M"}` || !reflect.DeepEqual(rec.Fields, []string{"name", "pin"}) {
		t.Errorf("an update: %+v", rec)
	}
	remove := &query.Write{Action: query.Delete, Target: query.Target{Entity: "patients"}, Where: byID(query.Eq, "11")}
	if _, err := r.Write(ctx, service, remove, nil); err != nil {
		t.Fatal(err)
	}
	if rec = r.one(); rec.Action != "delete" || rec.Keys[0] != "11" || rec.Values != nil {
		t.Errorf("a delete: %+v", rec)
	}
	if _, err := r.Write(ctx, service, remove, nil); err != nil { // nothing is there any more
		t.Fatal(err)
	}
	if _, err := r.Write(ctx, service, patients(1, 1, ann), nil); !fault.Is(err, fault.Unique) {
		t.Fatal(err)
	}
	if recs := r.take(); len(recs) != 0 {
		t.Errorf("writes that changed nothing: %+v", recs[0])
	}
}

// TestMergedRows: the values of an upsert stand with the row that they went to.
func TestMergedRows(t *testing.T) {
	r, ctx := openClinic(t), t.Context()
	if _, err := r.Write(ctx, service, patients(2, 1, bob), nil); err != nil {
		t.Fatal(err)
	}
	r.take()
	w := patients(1, 3, ann)
	w.Conflict = query.Conflict{Resolution: query.Ignore}
	if _, err := r.Write(ctx, service, w, nil); err != nil {
		t.Fatal(err)
	}
	rec := r.one()
	if !reflect.DeepEqual(rec.Keys, []string{"1", "3"}) || rec.Values[1].Key != "3" || !strings.Contains(string(rec.Values[1].Data), `"id":3,`) {
		t.Errorf("%+v", rec)
	}
}

// TestIdempotentOnce: a replayed answer is no second write.
func TestIdempotentOnce(t *testing.T) {
	r := openClinic(t)
	for range 2 {
		if _, err := r.Write(t.Context(), service, patients(1, 1, ann), &engine.Idempotency{Key: "k", Method: "POST", Path: "/"}); err != nil {
			t.Fatal(err)
		}
	}
	r.one()
}

// TestLoadsAreOnRecord: a load has a record for each chunk, of the rows that
// were stored.
func TestLoadsAreOnRecord(t *testing.T) {
	r, ctx := openClinic(t), t.Context()
	load := func(n int, fail bool) (int, error) {
		i := 0
		return r.Load(ctx, service, &engine.Load{
			Target: query.Target{Entity: "patients"}, Columns: []string{"id", "name"},
			Next: func(row *engine.Row) error {
				if i == n {
					return io.EOF
				}
				i++
				text := fmt.Sprint(i)
				if i == 5 {
					text = `"five"` // a bad row
				}
				row.Line, row.Cells = i, []query.Cell{cell(text), cell(`"N"`)}
				return nil
			},
			Bad: func(int, string, error) error { return nil },
			Finish: func(store.Tx, int) error {
				if fail {
					return errors.New("no")
				}
				return nil
			},
		})
	}
	if _, err := load(600, true); err == nil {
		t.Fatal("the load did not fail")
	}
	if recs := r.take(); len(recs) != 0 {
		t.Fatalf("a load that was undone: %+v", recs[0])
	}
	if n, err := load(600, false); n != 599 || err != nil {
		t.Fatal(n, err)
	}
	total := 0
	for _, rec := range r.take() {
		total += len(rec.Keys)
		if rec.Action != "create" || rec.Rows != len(rec.Keys) || len(rec.Values) != rec.Rows || rec.Values[rec.Rows-1].Key != rec.Keys[rec.Rows-1] {
			t.Errorf("%+v", rec)
		}
	}
	if total != 599 {
		t.Errorf("%d rows are on record", total)
	}
}

// TestDenialsAreOnRecord: those of known callers one by one, the others counted.
func TestDenialsAreOnRecord(t *testing.T) {
	r, ctx := openClinic(t), t.Context()
	if _, err := r.Write(ctx, as(ann), patients(1, 1, bob), nil); !fault.Is(err, fault.Forbidden) {
		t.Fatal(err)
	}
	rec := r.one()
	if rec.Outcome != audit.Denied || rec.Rule != "clinic.patients.create" || rec.UID != ann || rec.Detail["reason"] == "" {
		t.Errorf("a create in somebody else's name: %+v", rec)
	}
	remove := &query.Write{Action: query.Delete, Target: query.Target{Entity: "visits"}, Where: byID(query.Eq, "1")}
	if _, err := r.Write(ctx, as(ann), remove, nil); !fault.Is(err, fault.Forbidden) {
		t.Fatal(err)
	}
	if rec := r.one(); rec.Outcome != audit.Denied || rec.Action != "delete" || rec.Entity != "clinic.visits" {
		t.Errorf("a delete without a rule: %+v", rec)
	}
	for range 40 {
		if _, err := r.Write(ctx, policy.Identity{Role: policy.Anon, Key: "pub"}, remove, nil); err == nil {
			t.Fatal("the anonymous may delete")
		}
	}
	if recs := r.take(); len(recs) != 0 {
		t.Errorf("the anonymous write records: %+v", recs[0])
	}
	if err := r.log.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	var n int64
	err := r.driver.Read(ctx, false, func(rd store.Reader) error {
		return rd.Query(&store.Statement{SQL: `SELECT sum("count") FROM "pando_audit_counts" WHERE "key"='pub'`}, nil, func(row store.Row) error {
			n = row.Int(0)
			return nil
		})
	})
	if n != 40 || err != nil {
		t.Errorf("counted %d, %v", n, err)
	}
}

// TestReadsAreOnRecord: with audit: reads, whoever sees a row is on record
// before it is answered.
func TestReadsAreOnRecord(t *testing.T) {
	r, ctx := openClinic(t), t.Context()
	if _, err := r.Write(ctx, service, patients(1, 2, ann), nil); err != nil {
		t.Fatal(err)
	}
	visit := &query.Write{Action: query.Create, Target: query.Target{Entity: "visits"}, Columns: []string{"id", "patient_id"}, Rows: [][]query.Cell{{cell("1"), cell("1")}}}
	if _, err := r.Write(ctx, service, visit, nil); err != nil {
		t.Fatal(err)
	}
	r.take()
	read := func(id policy.Identity, entity string, opt engine.ReadOptions, items ...query.Item) {
		t.Helper()
		q := &query.Read{Target: query.Target{Entity: entity}, Node: query.Node{Select: append([]query.Item{query.Star{}}, items...)}}
		if opt.Stream != nil {
			q.Format = query.NDJSON
		}
		res, err := r.Read(ctx, id, q, opt)
		if err != nil {
			t.Fatal(err)
		}
		res.Release()
	}
	read(as(ann), "patients", engine.ReadOptions{})
	if rec := r.one(); rec.Action != "read" || rec.UID != ann || rec.Rows != 2 || !reflect.DeepEqual(rec.Keys, []string{"1", "2"}) {
		t.Errorf("a read: %+v", rec)
	}
	read(as(bob), "patients", engine.ReadOptions{})
	if rec := r.one(); rec.UID != bob || rec.Rows != 0 {
		t.Errorf("a read that found nothing: %+v", rec)
	}
	read(as(bob), "visits", engine.ReadOptions{})
	if recs := r.take(); len(recs) != 0 {
		t.Errorf("a read of another entity: %+v", recs[0])
	}
	read(as(bob), "visits", engine.ReadOptions{}, &query.Embed{Relation: "patient"})
	if rec := r.one(); rec.Entity != "clinic.patients" || rec.Detail["within"] != "clinic.visits" {
		t.Errorf("an embedded read: %+v", rec)
	}
	var out bytes.Buffer
	read(service, "patients", engine.ReadOptions{Stream: &out})
	if rec := r.one(); !rec.Service || out.Len() == 0 {
		t.Errorf("a stream: %+v", rec)
	}
	update := &query.Write{
		Action: query.Update, Target: query.Target{Entity: "visits"}, Where: byID(query.Eq, "1"), Columns: []string{"patient_id"}, Rows: [][]query.Cell{{cell("2")}},
		Returning: &query.Node{Select: []query.Item{query.Star{}, &query.Embed{Relation: "patient"}}},
	}
	if _, err := r.Write(ctx, service, update, nil); err != nil {
		t.Fatal(err)
	}
	if recs := r.take(); len(recs) != 2 || recs[1].Action != "read" || recs[1].Entity != "clinic.patients" {
		t.Errorf("what a write answers with: %+v", recs)
	}
}
