package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pandobase/pando/examples/bookshop/shop"
	pando "github.com/pandobase/pando/sdk"
)

// place orders books. If one of them is not there, nothing of the order stays: all of
// it is one transaction.
func place(ctx context.Context, in shop.OrdersPlaceInput) (shop.Order, error) {
	if len(in.Lines) == 0 {
		return shop.Order{}, pando.Errorf(pando.Invalid, "an order has at least one line")
	}
	lines := make([]shop.LineInsert, len(in.Lines))
	var total pando.Decimal
	for i, l := range in.Lines {
		book, err := shop.CatalogReserve.Call(ctx, shop.CatalogReserveInput(l))
		if err != nil {
			return shop.Order{}, err
		}
		lines[i] = shop.LineInsert{BookID: l.BookID, Copies: l.Copies, Price: book.Price}
		total = total.Add(book.Price.MulInt(l.Copies))
	}
	// The prices are the shop's, not the customer's: nobody else may write orders.
	service := pando.AsService(ctx)
	order, err := pando.From[shop.Order](service).Insert(shop.OrderInsert{
		CustomerID: new(pando.Caller(ctx).UID), Total: total.Round(2), Note: in.Note,
	})
	if err != nil {
		return order, err
	}
	for i := range lines {
		lines[i].OrderID = order.ID
	}
	if _, err := pando.InsertAll(pando.From[shop.Line](service), lines); err != nil {
		return order, err
	}
	_, err = shop.OrdersRemind.Enqueue(ctx, shop.OrdersRemindInput{OrderID: order.ID}, pando.At(time.Now().AddDate(0, 0, 3)), pando.UniqueBy(order.ID.String()))
	return order, err
}

// spent adds up what the caller has paid for.
func spent(ctx context.Context, _ pando.None) (out shop.OrdersSpentOutput, err error) {
	paid := pando.From[shop.Order](ctx).Where(pando.Eq("customer_id", pando.Caller(ctx).UID), pando.Eq("status", shop.OrderStatusPaid))
	for order, err := range paid.Each() {
		if err != nil {
			return out, err
		}
		out.Orders++
		out.Total = out.Total.Add(order.Total)
	}
	out.Total = out.Total.Round(2)
	return out, nil
}

// sendReceipt writes the receipt of an order that was paid for. An event may be handed
// over twice: the unique key keeps the second receipt out.
func sendReceipt(ctx context.Context, ev pando.Event[shop.Order]) error {
	_, err := pando.From[shop.Receipt](ctx).Insert(shop.ReceiptInsert{
		OrderID: ev.Row.ID, Text: fmt.Sprintf("You have paid %s.", ev.Row.Total),
	})
	if errors.Is(err, pando.Unique) {
		return nil
	}
	return err
}

// remind reminds a customer of an order that is still open.
func remind(ctx context.Context, in shop.OrdersRemindInput) error {
	order, err := pando.From[shop.Order](ctx).Get(in.OrderID)
	if err != nil || order.Status != shop.OrderStatusOpen {
		return err
	}
	return shop.OrdersReminded.Publish(ctx, shop.OrdersRemindedData(in))
}

// noteReminder notes on the order that its customer was reminded.
func noteReminder(ctx context.Context, ev pando.Published[shop.OrdersRemindedData]) error {
	_, err := pando.From[shop.Order](ctx).Update(ev.Data.OrderID, shop.OrderPatch{Note: pando.Set("reminded")})
	return err
}

// closeStale closes what was left open for a month.
func closeStale(ctx context.Context) error {
	_, err := pando.From[shop.Order](ctx).
		Where(pando.Eq("status", shop.OrderStatusOpen), pando.Lt("created_at", time.Now().AddDate(0, -1, 0))).
		UpdateAll(shop.OrderPatch{Status: pando.Set(shop.OrderStatusClosed)})
	return err
}
