package engine_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/pandobase/pando/examples"
	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/keys"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/sqlite"
)

// openShop serves the example shop on a fresh store.
func openShop(t *testing.T) *engine.Engine {
	t.Helper()
	app, problems := model.Load(examples.Shop(), nil, model.Features{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	rules, problems := policy.Compile(app)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	dir := t.TempDir()
	d, err := sqlite.Open(context.Background(), sqlite.Options{Path: filepath.Join(dir, "shop.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	err = d.Alter(context.Background(), func(tx store.Tx) error {
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
		t.Fatal(err)
	}
	signer, err := keys.OpenSigner(keys.SignerConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return engine.New(engine.Config{App: app, Rules: rules, Driver: d, Signer: signer})
}

func TestShop(t *testing.T) {
	e := openShop(t)
	id := policy.Identity{Role: policy.Service}
	ctx := context.Background()
	cell := func(raw string) query.Cell { return query.Cell{Kind: query.FromJSON, Raw: raw} }
	res, err := e.Write(ctx, id, &query.Write{
		Action: query.Create, Target: query.Target{Entity: "categories"},
		Columns: []string{"slug", "name"}, Rows: [][]query.Cell{{cell(`"tea"`), cell(`"Tea \"x\""`)}, {cell(`"b"`), cell(`"B"`)}},
		Returning: &query.Node{},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(string(res.Body))
	for _, emb := range []string{"parent", "children", "products"} {
		r, err := e.Read(ctx, id, &query.Read{
			Target: query.Target{Entity: "categories"}, Count: query.CountExact,
			Node: query.Node{Select: []query.Item{query.Star{}, &query.Embed{Relation: emb}}},
		}, engine.ReadOptions{Cursors: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Log(string(r.Body), r.Total)
	}
}
