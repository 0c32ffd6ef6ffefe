package engine_test

import (
	"context"
	"testing"

	"github.com/pandobase/pando/examples"
	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/keys"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/teststore"
)

// openShop serves the example shop, without its policies, on a fresh store.
func openShop(t *testing.T) *engine.Engine {
	t.Helper()
	app, problems := model.Load(examples.Shop(), nil, model.Features{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for _, m := range app.Modules {
		for _, e := range m.Entities {
			e.Policy = nil
		}
	}
	rules, problems := policy.Compile(app)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	dir := t.TempDir()
	d := teststore.Open(t)
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
		t.Fatal(err)
	}
	signer, err := keys.OpenSigner(keys.SignerConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return engine.New(engine.Config{App: app, Rules: rules, Driver: d, Signer: signer})
}

// TestNobodyGetsIn: without a rule that allows it, no identity but the service
// reads or writes, also when the service has had the same query planned.
func TestNobodyGetsIn(t *testing.T) {
	e, ctx := openShop(t), t.Context()
	read := func(id policy.Identity) error {
		res, err := e.Read(ctx, id, &query.Read{
			Target: query.Target{Entity: "categories"}, Count: query.CountExact,
			Node: query.Node{Select: []query.Item{query.Star{}, &query.Embed{Relation: "products"}}},
		}, engine.ReadOptions{})
		if err == nil {
			res.Release()
		}
		return err
	}
	where := &query.Compare{Left: &query.FieldRef{Path: query.Path{Field: "slug"}}, Op: query.Eq, Right: &query.Literal{Text: "tea"}}
	write := func(id policy.Identity, a query.Action) error {
		w := &query.Write{Action: a, Target: query.Target{Entity: "categories"}}
		if a != query.Create {
			w.Where = where
		}
		if a != query.Delete {
			w.Columns = []string{"slug", "name"}
			w.Rows = [][]query.Cell{{{Kind: query.FromJSON, Raw: `"tea"`}, {Kind: query.FromJSON, Raw: `"Tea"`}}}
		}
		_, err := e.Write(ctx, id, w, nil)
		return err
	}
	service := policy.Identity{Role: policy.Service}
	for _, c := range []struct {
		id   policy.Identity
		want fault.Code
	}{
		{service, ""},
		{policy.Identity{}, fault.MissingCredential},
		{policy.Identity{Role: policy.Anon}, fault.Forbidden},
		{policy.Identity{Role: policy.Authenticated, UID: "0198f1c2-0000-7000-8000-000000000001"}, fault.Forbidden},
	} {
		errs := map[string]error{
			"create": write(c.id, query.Create), "read": read(c.id), "update": write(c.id, query.Update), "delete": write(c.id, query.Delete),
		}
		for what, err := range errs {
			if c.want == "" && err != nil || c.want != "" && !fault.Is(err, c.want) {
				t.Errorf("%s as %q: %v, want %q", what, c.id.Role, err, c.want)
			}
		}
	}
}
