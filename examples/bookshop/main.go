// Command bookshop is an application whose logic is written in Go: the modules beside
// it say what there is and who may do what, and this program says how.
//
//	go run . serve
package main

import (
	"context"

	"github.com/pandobase/pando/examples/bookshop/shop"
	pando "github.com/pandobase/pando/sdk"
)

//go:generate go run github.com/pandobase/pando/cmd/pando gen go --package shop --out shop/shop.go

func main() { bookshop(".").Main() }

// bookshop is the application in a folder, with its code.
func bookshop(dir string) *pando.App {
	app := pando.New(dir)
	pando.Operation(app, shop.CatalogReserve, reserve)
	pando.Operation(app, shop.OrdersPlace, place)
	pando.Operation(app, shop.OrdersSpent, spent)
	pando.Handle(app, shop.OrdersSendReceipt, sendReceipt)
	pando.HandlePublished(app, shop.OrdersNoteReminder, noteReminder)
	pando.Job(app, shop.OrdersCloseStale, closeStale)
	pando.JobWith(app, shop.OrdersRemind, remind)
	return app
}

// reserve takes copies of a book out of the stock. Customers may not change books:
// the application does it for them.
func reserve(ctx context.Context, in shop.CatalogReserveInput) (shop.Book, error) {
	books := pando.From[shop.Book](pando.AsService(ctx))
	book, err := books.Get(in.BookID)
	if err != nil {
		return book, err
	}
	if book.Stock < in.Copies {
		return book, &pando.Error{Code: "out_of_stock", Status: 409, Message: "there are not enough copies of " + book.Title, Details: "in stock"}
	}
	return books.Update(in.BookID, shop.BookPatch{Stock: pando.Set(book.Stock - in.Copies)})
}
