// Package scenario uses the example shop through the client that `pando client go`
// writes for it; the Go test of test/clients runs it against the binary.
package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	shop "example.test/shop/client"
	catalog "example.test/shop/client/catalogv1"
	"example.test/shop/client/filterv1"
	orders "example.test/shop/client/ordersv1"
)

// clients speak Connect over HTTP/1.1, and gRPC over HTTP/2.
func clients(c shop.Config) map[string]*shop.Client {
	c.URL = os.Getenv("PANDO_URL") + "/"
	overGRPC := c
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	overGRPC.HTTP = &http.Client{Transport: &http.Transport{Protocols: protocols}}
	overGRPC.Options = []connect.ClientOption{connect.WithGRPC()}
	return map[string]*shop.Client{"connect": shop.New(c), "grpc": shop.New(overGRPC)}
}

func each(t *testing.T, c shop.Config, run func(*testing.T, *shop.Client)) {
	for name, client := range clients(c) {
		t.Run(name, func(t *testing.T) { run(t, client) })
	}
}

func service() shop.Config { return shop.Config{Key: os.Getenv("PANDO_KEY")} }

// category is one of the seeds.
func category(t *testing.T, c *shop.Client) *catalog.Categories {
	t.Helper()
	list, err := c.Catalog.ListCategories(t.Context(), &catalog.ListCategoriesRequest{
		Filter: &catalog.CategoriesFilter{Name: &filterv1.TextFilter{Eq: proto.String("Tea")}},
	})
	if err != nil || len(list.GetRows()) != 1 {
		t.Fatalf("there is no category Tea: %v %v", list, err)
	}
	return list.GetRows()[0]
}

func TestRows(t *testing.T) {
	each(t, service(), func(t *testing.T, c *shop.Client) {
		made, err := c.Catalog.CreateProducts(t.Context(), &catalog.CreateProductsRequest{Row: &catalog.Products{
			Sku: proto.String("KITE"), Name: proto.String("Kite"), Price: proto.String("12.50"), Stock: proto.Int64(3),
			CategoryId: category(t, c).Id, Tags: []string{"wind", "string"}, Status: catalog.Products_STATUS_DRAFT.Enum(),
		}})
		if err != nil {
			t.Fatal(err)
		}
		if made.GetPrice() != "12.50" || made.GetStock() != 3 || made.GetStatus() != catalog.Products_STATUS_DRAFT || made.GetCreatedAt().AsTime().IsZero() || made.Description != nil {
			t.Errorf("made %v", made)
		}
		got, err := c.Catalog.GetProducts(t.Context(), &catalog.GetProductsRequest{Id: made.Id, ReadMask: &fieldmaskpb.FieldMask{Paths: []string{"sku", "tags"}}})
		if err != nil || got.GetSku() != "KITE" || len(got.GetTags()) != 2 || got.Name != nil {
			t.Errorf("got %v, %v", got, err)
		}
		changed, err := c.Catalog.UpdateProducts(t.Context(), &catalog.UpdateProductsRequest{
			Row: &catalog.Products{Id: made.Id, Price: proto.String("1.00")}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"price", "tags"}},
		})
		if err != nil || changed.GetPrice() != "1.00" || changed.GetName() != "Kite" || len(changed.GetTags()) != 0 {
			t.Errorf("changed %v, %v", changed, err)
		}
		if _, err := c.Catalog.DeleteProducts(t.Context(), &catalog.DeleteProductsRequest{Id: made.Id}); err != nil {
			t.Error(err)
		}
		_, err = c.Catalog.GetProducts(t.Context(), &catalog.GetProductsRequest{Id: made.Id})
		if connect.CodeOf(err) != connect.CodeNotFound {
			t.Errorf("a product that is gone: %v", err)
		}
	})
}

func TestListAndStream(t *testing.T) {
	each(t, service(), func(t *testing.T, c *shop.Client) {
		in := &catalog.ListProductsRequest{
			Filter:  &catalog.ProductsFilter{Price: &filterv1.DecimalFilter{Gt: proto.String("5")}, Status: &catalog.ProductsFilter_StatusFilter{Eq: catalog.Products_STATUS_LISTED.Enum()}},
			OrderBy: proto.String("price desc, id"), PageSize: proto.Int64(2), Count: proto.Bool(true),
		}
		first, err := c.Catalog.ListProducts(t.Context(), in)
		if err != nil || len(first.GetRows()) != 2 || first.GetNextPageToken() == "" || first.GetTotalSize() < 3 {
			t.Fatalf("the first page: %v, %v", first, err)
		}
		in.PageToken = first.NextPageToken
		second, err := c.Catalog.ListProducts(t.Context(), in)
		if err != nil || len(second.GetRows()) == 0 || second.GetRows()[0].GetId() == first.GetRows()[0].GetId() {
			t.Fatalf("the second page: %v, %v", second, err)
		}
		var all []*catalog.Products
		for row, err := range c.Catalog.StreamProducts(t.Context(), &catalog.StreamProductsRequest{Filter: in.GetFilter(), OrderBy: in.OrderBy}) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, row)
		}
		if int64(len(all)) != first.GetTotalSize() || all[0].GetId() != first.GetRows()[0].GetId() {
			t.Errorf("%d rows in the stream, %d counted", len(all), first.GetTotalSize())
		}
		for range c.Catalog.StreamProducts(t.Context(), &catalog.StreamProductsRequest{}) {
			break // and the connection is free again
		}
	})
}

func TestErrors(t *testing.T) {
	each(t, shop.Config{Key: os.Getenv("PANDO_PUBLISHABLE")}, func(t *testing.T, c *shop.Client) {
		_, err := c.Catalog.CreateCategories(t.Context(), &catalog.CreateCategoriesRequest{Row: &catalog.Categories{Slug: proto.String("mine"), Name: proto.String("Mine")}})
		if code := connect.CodeOf(err); code != connect.CodeUnauthenticated {
			t.Errorf("nobody makes a category: %v, %v", code, err)
		}
		for row, err := range c.Catalog.StreamProducts(t.Context(), &catalog.StreamProductsRequest{OrderBy: proto.String("colour")}) {
			if row != nil || connect.CodeOf(err) != connect.CodeInvalidArgument {
				t.Errorf("an order that is none: %v, %v", row, err)
			}
		}
	})
	gone := errors.New("the session is over")
	each(t, shop.Config{Key: os.Getenv("PANDO_KEY"), Token: func(context.Context) (string, error) { return "", gone }}, func(t *testing.T, c *shop.Client) {
		if _, err := c.Catalog.ListProducts(t.Context(), &catalog.ListProductsRequest{}); !errors.Is(err, gone) {
			t.Errorf("a call without a token: %v", err)
		}
		rows := 0
		for _, err := range c.Catalog.StreamProducts(t.Context(), &catalog.StreamProductsRequest{}) {
			if rows++; !errors.Is(err, gone) {
				t.Errorf("a stream without a token: %v", err)
			}
		}
		if rows != 1 {
			t.Errorf("a stream without a token ends after %d", rows)
		}
	})
}

// post is a request of the door of identity.
func post(t *testing.T, path string, body any) map[string]any {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, os.Getenv("PANDO_URL")+path, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Apikey", os.Getenv("PANDO_KEY"))
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var out map[string]any
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %v %v", path, res.StatusCode, out, err)
	}
	return out
}

func TestOperation(t *testing.T) {
	account := map[string]any{"email": "kim@example.test", "password": "seven herons over the weir", "email_confirm": true}
	post(t, "/auth/v1/admin/users", account)
	session := post(t, "/auth/v1/token?grant_type=password", account)
	token := func(context.Context) (string, error) { return session["access_token"].(string), nil }
	each(t, shop.Config{Key: os.Getenv("PANDO_PUBLISHABLE"), Token: token}, func(t *testing.T, c *shop.Client) {
		list, err := c.Catalog.ListProducts(t.Context(), &catalog.ListProductsRequest{Filter: &catalog.ProductsFilter{Stock: &filterv1.IntFilter{Gt: proto.Int64(5)}}, PageSize: proto.Int64(1)})
		if err != nil || len(list.GetRows()) != 1 {
			t.Fatal(list, err)
		}
		product := list.GetRows()[0]
		order, err := c.Orders.Place(t.Context(), &orders.PlaceRequest{
			Email: proto.String("kim@example.test"), Name: proto.String("Kim"),
			Lines: []*orders.PlaceRequest_Lines{{ProductId: product.Id, Qty: proto.Int64(1)}},
		})
		if err != nil || order.GetTotal() != product.GetPrice() || order.GetStatus() != orders.Orders_STATUS_OPEN {
			t.Errorf("placed %v, %v", order, err)
		}
		reserved, err := c.Catalog.Reserve(t.Context(), &catalog.ReserveRequest{ProductId: product.Id, Qty: proto.Int64(1)})
		if err != nil || reserved.GetPrice() != product.GetPrice() {
			t.Errorf("reserved %v, %v", reserved, err)
		}
	})
}
