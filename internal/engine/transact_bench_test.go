package engine_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/pandobase/pando/internal/audit"
	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/keys"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/teststore"
)

const market = `module: m
entities:
  products:
    fields:
      id: { type: int, primary: true }
      name: { type: text }
      price: { type: decimal, scale: 2, default: 1 }
      stock: { type: int, default: 1000 }
    policy: { read: "auth.uid != null" }
  orders:
    fields:
      owner: { type: uuid, default: auth.uid }
      product_id: { ref: products }
      qty: { type: int, default: 1 }
      note: { type: text, optional: true }
      created_at: { type: timestamp, default: now() }
    index: [[owner]]
    policy: { read: "row.owner == auth.uid", create: "row.owner == auth.uid" }
`

func openMarket(b *testing.B) *engine.Engine {
	b.Helper()
	app, problems := model.Load(fstest.MapFS{
		"pando.yaml": {Data: []byte("app: bench\n")}, "modules/m.yaml": {Data: []byte(market)},
	}, nil, model.Features{})
	if len(problems) > 0 {
		b.Fatal(problems)
	}
	rules, problems := policy.Compile(app)
	if len(problems) > 0 {
		b.Fatal(problems)
	}
	dir, ctx := b.TempDir(), context.Background()
	d := teststore.Open(b)
	w, err := keys.OpenWrapper(dir)
	if err != nil {
		b.Fatal(err)
	}
	log, err := audit.Open(ctx, audit.Config{Driver: d, Wrapper: w})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = log.Close(ctx) })
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
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	signer, err := keys.OpenSigner(keys.SignerConfig{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	e := engine.New(engine.Config{App: app, Rules: rules, Driver: d, Signer: signer, Audit: log})
	wr := &query.Write{Action: query.Create, Target: query.Target{Entity: "products"}, Columns: []string{"id", "name"}}
	for i := range 1000 {
		wr.Rows = append(wr.Rows, []query.Cell{cell(fmt.Sprint(i)), cell(`"a product"`)})
	}
	if _, err := e.Write(ctx, service, wr, nil); err != nil {
		b.Fatal(err)
	}
	return e
}

// BenchmarkTransact compares a transaction of one read and one create with a
// plain create, and with the two as requests of their own, by 64 callers. Every
// answer is on disk.
func BenchmarkTransact(b *testing.B) {
	e, buyer := openMarket(b), policy.Identity{Role: policy.Authenticated, UID: ann}
	get := func(ctx context.Context, x engine.Executor, n int64) error {
		res, err := x.Read(ctx, buyer, &query.Read{Target: query.Target{Entity: "products"}, Node: query.Node{
			Where: byID(query.Eq, strconv.FormatInt(n%1000, 10)),
		}}, engine.ReadOptions{})
		if err == nil {
			res.Release()
		}
		return err
	}
	create := func(ctx context.Context, x engine.Executor, n int64) error {
		res, err := x.Write(ctx, buyer, &query.Write{
			Action: query.Create, Target: query.Target{Entity: "orders"}, Columns: []string{"product_id", "note"},
			Rows: [][]query.Cell{{cell(strconv.FormatInt(n%1000, 10)), cell(`"please be quick"`)}}, Returning: &query.Node{},
		}, nil)
		if err == nil {
			res.Release()
		}
		return err
	}
	var n atomic.Int64
	kinds := []struct {
		name string
		do   func(ctx context.Context, n int64) error
	}{
		{"create", func(ctx context.Context, n int64) error { return create(ctx, e, n) }},
		{"get+create", func(ctx context.Context, n int64) error {
			if err := get(ctx, e, n); err != nil {
				return err
			}
			return create(ctx, e, n)
		}},
		{"transact", func(ctx context.Context, n int64) error {
			_, err := e.Transact(ctx, buyer, engine.TransactOptions{}, func(ctx context.Context, tx *engine.Tx) ([]byte, error) {
				if err := get(ctx, tx, n); err != nil {
					return nil, err
				}
				return nil, create(ctx, tx, n)
			})
			return err
		}},
	}
	// In turns, a while each: what else the machine does meets all of them.
	const callers, while = 64, 250 * time.Millisecond
	done, took := make([]float64, len(kinds)), make([]time.Duration, len(kinds))
	for b.Loop() {
		for i, kind := range kinds {
			var ops atomic.Int64
			var wg sync.WaitGroup
			start := time.Now()
			for range callers {
				wg.Go(func() {
					for time.Since(start) < while {
						if err := kind.do(context.Background(), n.Add(1)); err != nil {
							b.Error(err)
							return
						}
						ops.Add(1)
					}
				})
			}
			wg.Wait()
			done[i] += float64(ops.Load())
			took[i] += time.Since(start)
		}
	}
	rate := func(i int) float64 { return done[i] / took[i].Seconds() }
	for i, kind := range kinds {
		b.ReportMetric(rate(i), kind.name+"/s")
	}
	b.ReportMetric(rate(len(kinds)-1)/rate(0), "of-create")
	b.ReportMetric(rate(len(kinds)-1)/rate(1), "of-get+create")
}
