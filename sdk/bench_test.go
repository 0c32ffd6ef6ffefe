package pando_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/operations"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/server"
	pando "github.com/pandobase/pando/sdk"
)

const benchModule = `module: shop
entities:
  products: { fields: { name: { type: text }, price: { type: decimal, scale: 2 } } }
  orders: { fields: { product_id: { ref: products }, copies: { type: int }, total: { type: decimal, scale: 2 }, note: { type: text, optional: true }, created_at: { type: timestamp, default: now() } } }
operations:
  place: { input: { product_id: { ref: products }, copies: int }, output: orders, run: go }
`

type product struct {
	ID    pando.UUID    `json:"id"`
	Name  string        `json:"name"`
	Price pando.Decimal `json:"price"`
}

func (product) PandoEntity() string { return "shop.products" }

type order struct {
	ID        pando.UUID    `json:"id"`
	ProductID pando.UUID    `json:"product_id"`
	Copies    int64         `json:"copies"`
	Total     pando.Decimal `json:"total"`
	Note      *string       `json:"note"`
	CreatedAt string        `json:"created_at"`
}

func (order) PandoEntity() string { return "shop.orders" }

type newOrder struct {
	ProductID pando.UUID    `json:"product_id"`
	Copies    int64         `json:"copies"`
	Total     pando.Decimal `json:"total"`
}

func (newOrder) PandoInsert(order) {}

type placing struct {
	ProductID pando.UUID `json:"product_id"`
	Copies    int64      `json:"copies"`
}

const productID = "01980002-0000-7000-8000-000000000001"

// BenchmarkOperation compares an operation that reads a row and writes one, written with
// the SDK and with the engine's own values, and the create of a row alone.
func BenchmarkOperation(b *testing.B) {
	app := pando.New(".")
	pando.Operation(app, "shop.place", func(ctx context.Context, in placing) (order, error) {
		p, err := pando.From[product](ctx).Get(in.ProductID)
		if err != nil {
			return order{}, err
		}
		return pando.From[order](ctx).Insert(newOrder{in.ProductID, in.Copies, p.Price.MulInt(in.Copies)})
	})
	bare := func(ctx context.Context, s *operations.Scope, _ []byte) ([]byte, error) {
		one := int64(1)
		read, err := s.Read(ctx, false, &query.Read{Target: query.Target{Module: "shop", Entity: "products"}, Unbounded: true, Node: query.Node{
			Where: &query.Compare{Left: &query.FieldRef{Path: query.Path{Field: "id"}}, Right: &query.Literal{Text: productID}}, Page: query.Page{Limit: &one},
		}}, engine.ReadOptions{})
		if err != nil {
			return nil, err
		}
		read.Release()
		res, err := s.Write(ctx, false, create())
		if err != nil {
			return nil, err
		}
		return []byte(strings.Trim(string(res.Body), "[]")), nil
	}
	service := policy.Identity{Role: policy.Service, Key: "bench"}
	place := func(n *server.Node) func(context.Context) error {
		op := n.Application().Model.Module("shop").Operation("place")
		return func(ctx context.Context) error {
			_, err := n.Operations().Call(ctx, service, &operations.Call{Operation: op, Input: []byte(`{"product_id":"` + productID + `","copies":2}`)})
			return err
		}
	}
	for _, bb := range []struct {
		name string
		code operations.Func
		call func(n *server.Node) func(context.Context) error
	}{
		{"create", nil, func(n *server.Node) func(context.Context) error {
			return func(ctx context.Context) error {
				res, err := n.Engine().Write(ctx, service, create(), nil)
				if err == nil {
					res.Release()
				}
				return err
			}
		}},
		{"engine", bare, place},
		{"sdk", pando.Funcs(app)["shop.place"], place},
	} {
		b.Run(bb.name, func(b *testing.B) {
			call := bb.call(benchNode(b, bb.code))
			b.ReportAllocs()
			b.SetParallelism(16)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := call(context.Background()); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

func create() *query.Write {
	return &query.Write{
		Action: query.Create, Target: query.Target{Module: "shop", Entity: "orders"}, Columns: []string{"product_id", "copies", "total"}, Returning: &query.Node{}, Singular: true,
		Rows: [][]query.Cell{{{Kind: query.FromJSON, Raw: `"` + productID + `"`}, {Kind: query.FromJSON, Raw: "2"}, {Kind: query.FromJSON, Raw: "19.80"}}},
	}
}

// benchNode is a node on a disk, as in production.
func benchNode(b *testing.B, code operations.Func) *server.Node {
	b.Helper()
	dir := b.TempDir()
	for name, text := range map[string]string{"pando.yaml": "app: shop\n", "modules/shop.yaml": benchModule} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o750); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	n, err := server.Open(b.Context(), server.Options{Dir: dir, Migrate: true, Work: true, Go: map[string]operations.Func{"shop.place": code}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := n.Close(context.Background()); err != nil {
			b.Error(err)
		}
	})
	w := &query.Write{
		Action: query.Create, Target: query.Target{Module: "shop", Entity: "products"}, Columns: []string{"id", "name", "price"},
		Rows: [][]query.Cell{{{Kind: query.FromText, Raw: productID}, {Kind: query.FromText, Raw: "Tea"}, {Kind: query.FromText, Raw: "9.90"}}},
	}
	if _, err := n.Engine().Write(b.Context(), policy.Identity{Role: policy.Service, Key: "bench"}, w, nil); err != nil {
		b.Fatal(err)
	}
	return n
}
