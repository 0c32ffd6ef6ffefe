// Command grpc plays a scenario against the example shop, through a client that is
// generated from `pando proto`. The test lays what is generated over this folder.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	catalog "github.com/pandobase/pando/test/clients/testdata/grpc/generated/pando/app/catalog/v1"
	"github.com/pandobase/pando/test/clients/testdata/grpc/generated/pando/app/catalog/v1/catalogv1connect"
	filter "github.com/pandobase/pando/test/clients/testdata/grpc/generated/pando/filter/v1"
)

func main() {
	options := map[string][]connect.ClientOption{
		"grpc": {connect.WithGRPC()}, "grpc-web": {connect.WithGRPCWeb()}, "connect": {connect.WithHTTPGet()}, "connect-json": {connect.WithProtoJSON()},
	}[os.Args[1]]
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	client := catalogv1connect.NewCatalogServiceClient(&http.Client{Transport: &http.Transport{Protocols: &protocols}}, os.Getenv("PANDO_URL"), options...)
	if err := play(context.Background(), client, "go-"+os.Args[1]); err != nil {
		log.Fatal(err)
	}
	fmt.Println("the scenario has passed")
}

// with is a request with the key.
func with[T any](msg *T) *connect.Request[T] {
	req := connect.NewRequest(msg)
	req.Header().Set("Apikey", os.Getenv("PANDO_KEY"))
	return req
}

func play(ctx context.Context, c catalogv1connect.CatalogServiceClient, slug string) error {
	create := &catalog.CreateCategoriesRequest{Row: &catalog.Categories{Slug: &slug, Name: new("One")}}
	made, err := c.CreateCategories(ctx, with(create))
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	id := made.Msg.Id
	got, err := c.GetCategories(ctx, with(&catalog.GetCategoriesRequest{Id: id}))
	if err != nil || got.Msg.GetName() != "One" || got.Msg.ParentId != nil {
		return fmt.Errorf("get: %v, %w", got, err)
	}
	where := &catalog.CategoriesFilter{Slug: &filter.TextFilter{In: &filter.TextList{Values: []string{slug, "none"}}}}
	list, err := c.ListCategories(ctx, with(&catalog.ListCategoriesRequest{Filter: where, OrderBy: new("name desc")}))
	if err != nil || len(list.Msg.GetRows()) != 1 {
		return fmt.Errorf("list: %v, %w", list, err)
	}
	update := &catalog.UpdateCategoriesRequest{
		Row: &catalog.Categories{Id: id, Name: new("Two"), Slug: new("other")}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"name"}},
	}
	changed, err := c.UpdateCategories(ctx, with(update))
	if err != nil || changed.Msg.GetName() != "Two" || changed.Msg.GetSlug() != slug {
		return fmt.Errorf("update: %v, %w", changed, err)
	}
	if err := products(ctx, c); err != nil {
		return err
	}
	_, err = c.CreateCategories(ctx, with(create))
	if reason := reasonOf(err); connect.CodeOf(err) != connect.CodeAlreadyExists || reason != "23505" {
		return fmt.Errorf("a key that is taken: %s, %w", reason, err)
	}
	if _, err := c.DeleteCategories(ctx, with(&catalog.DeleteCategoriesRequest{Id: id})); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	if _, err := c.GetCategories(ctx, with(&catalog.GetCategoriesRequest{Id: id})); connect.CodeOf(err) != connect.CodeNotFound {
		return fmt.Errorf("a row that is gone: %w", err)
	}
	return nil
}

// products holds a stream against pages.
func products(ctx context.Context, c catalogv1connect.CatalogServiceClient) error {
	paged, token := 0, ""
	for {
		page, err := c.ListProducts(ctx, with(&catalog.ListProductsRequest{PageSize: new(int64(2)), PageToken: &token}))
		if err != nil {
			return fmt.Errorf("page: %w", err)
		}
		paged += len(page.Msg.GetRows())
		if token = page.Msg.GetNextPageToken(); token == "" {
			break
		}
	}
	stream, err := c.StreamProducts(ctx, with(&catalog.StreamProductsRequest{}))
	if err != nil {
		return fmt.Errorf("stream: %w", err)
	}
	streamed := 0
	for stream.Receive() {
		if stream.Msg().GetStatus() == catalog.Products_STATUS_UNSPECIFIED || stream.Msg().GetCreatedAt() == nil {
			return fmt.Errorf("a product is %v", stream.Msg())
		}
		streamed++
	}
	if err := stream.Err(); err != nil || streamed < 3 || streamed != paged {
		return fmt.Errorf("%d products are streamed and %d are on pages, %w", streamed, paged, err)
	}
	return nil
}

func reasonOf(err error) string {
	var e *connect.Error
	if !errors.As(err, &e) {
		return ""
	}
	for _, d := range e.Details() {
		if v, err := d.Value(); err == nil {
			if info, ok := v.(*errdetails.ErrorInfo); ok {
				return info.GetReason()
			}
		}
	}
	return ""
}
