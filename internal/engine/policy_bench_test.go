package engine_test

import (
	"context"
	"fmt"
	"testing"
	"testing/fstest"

	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/keys"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/teststore"
)

const ledger = `module: m
entities:
  entries:
    fields:
      id: { type: int, primary: true }
      owner: { type: uuid }
      kind: { type: enum, values: [a, b], default: a }
      note: { type: text, optional: true }
      amount: { type: decimal, scale: 2, default: 1 }
      created_at: { type: timestamp, default: now() }
    index: [[owner]]
    policy: { read: "row.owner == auth.uid || 'staff' in auth.roles", create: "row.owner == auth.uid" }
`

const owner = "0198f1c2-0000-7000-8000-000000000001"

func openLedger(b *testing.B) *engine.Engine {
	b.Helper()
	app, problems := model.Load(fstest.MapFS{
		"pando.yaml":     {Data: []byte("app: bench\nroles: { staff: {} }\n")},
		"modules/m.yaml": {Data: []byte(ledger)},
	}, nil, model.Features{})
	if len(problems) > 0 {
		b.Fatal(problems)
	}
	rules, problems := policy.Compile(app)
	if len(problems) > 0 {
		b.Fatal(problems)
	}
	dir := b.TempDir()
	d := teststore.Open(b)
	err := d.Alter(context.Background(), func(tx store.Tx) error {
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
	if err != nil {
		b.Fatal(err)
	}
	signer, err := keys.OpenSigner(keys.SignerConfig{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	return engine.New(engine.Config{App: app, Rules: rules, Driver: d, Signer: signer})
}

// BenchmarkRead compares what a rule on the caller costs with the same read
// without: a row by its key, and a page of a list.
func BenchmarkRead(b *testing.B) {
	e := openLedger(b)
	w := &query.Write{Action: query.Create, Target: query.Target{Entity: "entries"}, Columns: []string{"id", "owner", "note"}}
	for i := range 2000 {
		w.Rows = append(w.Rows, []query.Cell{{Kind: query.FromJSON, Raw: fmt.Sprint(i)}, {Kind: query.FromJSON, Raw: `"` + owner + `"`}, {Kind: query.FromJSON, Raw: `"a note of some length"`}})
	}
	service := policy.Identity{Role: policy.Service}
	if _, err := e.Write(b.Context(), service, w, nil); err != nil {
		b.Fatal(err)
	}
	limit := int64(100)
	id := &query.Compare{Left: &query.FieldRef{Path: query.Path{Field: "id"}}, Op: query.Eq, Right: &query.Literal{Text: "77"}}
	queries := map[string]query.Node{
		"get":  {Where: id},
		"list": {Page: query.Page{Limit: &limit}, Order: []query.Order{{Path: query.Path{Field: "id"}, Desc: true}}},
	}
	for _, kind := range []string{"get", "list"} {
		for _, as := range []struct {
			name string
			id   policy.Identity
		}{{"service", service}, {"owner", policy.Identity{Role: policy.Authenticated, UID: owner}}} {
			b.Run(kind+"/"+as.name, func(b *testing.B) {
				q := &query.Read{Target: query.Target{Entity: "entries"}, Node: queries[kind]}
				b.ReportAllocs()
				for b.Loop() {
					res, err := e.Read(b.Context(), as.id, q, engine.ReadOptions{})
					if err != nil || res.Rows == 0 {
						b.Fatal(err)
					}
					res.Release()
				}
			})
		}
	}
}
