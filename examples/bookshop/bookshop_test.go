package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pandobase/pando/examples/bookshop/shop"
	"github.com/pandobase/pando/internal/gen"
	"github.com/pandobase/pando/internal/server"
	pando "github.com/pandobase/pando/sdk"
	"github.com/pandobase/pando/sdk/pandotest"
)

func TestTypesAreThoseOfTheModel(t *testing.T) {
	app, err := server.Load(".", nil)
	if err != nil {
		t.Fatal(err)
	}
	want, err := gen.Go(app.Model, gen.Options{Package: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("shop/shop.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("shop/shop.go is not what the model gives: run go generate")
	}
}

// stocked is the shop with a book in it.
func stocked(t *testing.T) (*pandotest.App, shop.Book) {
	t.Helper()
	app := pandotest.Start(t, bookshop("."))
	book, err := pando.From[shop.Book](app.As(pandotest.User("ed", "admin"))).Insert(shop.BookInsert{
		Isbn: "9780141439518", Title: "Emma", Price: pando.MustDecimal("9.90"), Stock: new(int64(3)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return app, book
}

func TestPlace(t *testing.T) {
	t.Parallel()
	app, book := stocked(t)
	ann, bob := app.As(pandotest.User("ann")), app.As(pandotest.User("bob"))

	order, err := shop.OrdersPlace.Call(ann, shop.OrdersPlaceInput{Lines: []shop.OrdersPlaceInputLine{{BookID: book.ID, Copies: 2}}})
	if err != nil {
		t.Fatal(err)
	}
	if order.Total.String() != "19.80" || order.Status != shop.OrderStatusOpen || order.CustomerID != pandotest.User("ann").UID {
		t.Errorf("the order is %+v", order)
	}
	if left, err := pando.From[shop.Book](ann).Get(book.ID); err != nil || left.Stock != 1 {
		t.Errorf("%d copies are left (%v), not 1", left.Stock, err)
	}
	if lines, err := pando.From[shop.Line](ann).All(); err != nil || len(lines) != 1 || lines[0].Copies != 2 {
		t.Errorf("the lines are %+v (%v)", lines, err)
	}
	if _, err := pando.From[shop.Order](bob).Get(order.ID); !errors.Is(err, pando.NotFound) {
		t.Errorf("somebody else gets the order: %v", err)
	}
	if _, err := shop.OrdersPlace.Call(app.Anonymous(), shop.OrdersPlaceInput{}); !errors.Is(err, pando.Unauthenticated) {
		t.Errorf("a stranger orders: %v", err)
	}
	if _, err := shop.OrdersPlace.Call(ann, shop.OrdersPlaceInput{}); !errors.Is(err, pando.Invalid) {
		t.Errorf("an order of nothing: %v", err)
	}
}

func TestPlaceUndoesAllOfIt(t *testing.T) {
	t.Parallel()
	app, book := stocked(t)
	other, err := pando.From[shop.Book](app.Service()).Insert(shop.BookInsert{Isbn: "9780141439600", Title: "Persuasion", Price: pando.MustDecimal("8.50")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = shop.OrdersPlace.Call(app.As(pandotest.User("ann")), shop.OrdersPlaceInput{Lines: []shop.OrdersPlaceInputLine{
		{BookID: book.ID, Copies: 1}, {BookID: other.ID, Copies: 1},
	}})
	var told *pando.Error
	if !errors.As(err, &told) || told.Code != "out_of_stock" || told.Status != http.StatusConflict {
		t.Fatalf("the error is %#v", err)
	}
	if left, err := pando.From[shop.Book](app.Service()).Get(book.ID); err != nil || left.Stock != 3 {
		t.Errorf("%d copies are left (%v), not 3", left.Stock, err)
	}
	if n, err := pando.From[shop.Order](app.Service()).Count(); err != nil || n != 0 {
		t.Errorf("there are %d orders (%v), not 0", n, err)
	}
}

func TestPaying(t *testing.T) {
	t.Parallel()
	app, book := stocked(t)
	ann, staff := app.As(pandotest.User("ann")), app.As(pandotest.User("ed", "staff"))
	order, err := shop.OrdersPlace.Call(ann, shop.OrdersPlaceInput{Lines: []shop.OrdersPlaceInputLine{{BookID: book.ID, Copies: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	pay := shop.OrderPatch{Status: pando.Set(shop.OrderStatusPaid)}
	if _, err := pando.From[shop.Order](ann).Update(order.ID, pay); !errors.Is(err, pando.NotFound) {
		t.Errorf("a customer changes an order: %v", err)
	}
	if _, err := pando.From[shop.Order](staff).Update(order.ID, pay); err != nil {
		t.Fatal(err)
	}
	app.Drain()
	receipt, err := pando.From[shop.Receipt](ann).One()
	if err != nil || receipt.OrderID != order.ID || receipt.Text != "You have paid 9.90." {
		t.Errorf("the receipt is %+v (%v)", receipt, err)
	}
	if spent, err := shop.OrdersSpent.Call(ann, pando.None{}); err != nil || spent.Orders != 1 || spent.Total.String() != "9.90" {
		t.Errorf("spent is %+v (%v)", spent, err)
	}
}

func TestReminding(t *testing.T) {
	t.Parallel()
	app, book := stocked(t)
	ann := app.As(pandotest.User("ann"))
	order, err := shop.OrdersPlace.Call(ann, shop.OrdersPlaceInput{Lines: []shop.OrdersPlaceInputLine{{BookID: book.ID, Copies: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := shop.OrdersRemind.Enqueue(ann, shop.OrdersRemindInput{OrderID: order.ID}); err != nil {
		t.Fatal(err)
	}
	app.Drain() // the reminder publishes an event, and that starts a job
	if order, err = pando.From[shop.Order](ann).Get(order.ID); err != nil || order.Note == nil || *order.Note != "reminded" {
		t.Errorf("the order is %+v (%v)", order, err)
	}
}

// TestBinary builds the program and uses it as its operator and its customers do.
func TestBinary(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it builds a binary")
	}
	dir := t.TempDir()
	binary := filepath.Join(dir, "bookshop")
	run := func(name string, args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	run("go", "build", "-o", binary, ".")
	app := filepath.Join(dir, "app")
	for _, name := range []string{"pando.yaml", "modules/catalog.yaml", "modules/orders.yaml"} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(app, name)), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(app, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out := run(binary, "-C", app, "check"); !strings.HasPrefix(out, "ok: bookshop, 2 modules, 4 entities") {
		t.Errorf("check prints %s", out)
	}
	secret := strings.TrimSpace(run(binary, "-C", app, "keys", "secret"))

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	node := exec.CommandContext(ctx, binary, "-C", app, "serve", "--listen", "127.0.0.1:0", "--ops", "127.0.0.1:0")
	log := &bytes.Buffer{}
	node.Stderr = log
	out, err := node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	url := listening(t, out)
	call := func(path, body string, into any) int {
		t.Helper()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]string{"apikey": secret, "content-type": "application/json", "prefer": "return=representation"} {
			req.Header.Set(name, value)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if err := json.NewDecoder(res.Body).Decode(into); err != nil {
			t.Fatal(err)
		}
		return res.StatusCode
	}
	var books []shop.Book
	if status := call("/rest/v1/books", `{"isbn":"9780141439518","title":"Emma","price":9.90,"stock":1}`, &books); status != http.StatusCreated {
		t.Fatalf("the book: %d %+v", status, books)
	}
	var reserved shop.Book
	order := `{"book_id":"` + books[0].ID.String() + `","copies":1}`
	if status := call("/rest/v1/rpc/reserve", order, &reserved); status != http.StatusOK || reserved.Stock != 0 {
		t.Errorf("the first copy: %d %+v", status, reserved)
	}
	var problem struct{ Code, Message string }
	if status := call("/rest/v1/rpc/reserve", order, &problem); status != http.StatusConflict || problem.Code != "out_of_stock" {
		t.Errorf("the second copy: %d %+v", status, problem)
	}
	if err := node.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := node.Wait(); err != nil {
		t.Errorf("serve ends with %v:\n%s", err, log)
	}
}

// listening reads what serve prints up to its address.
func listening(t *testing.T, out io.Reader) string {
	t.Helper()
	var text []byte
	for buf := make([]byte, 256); ; {
		n, err := out.Read(buf)
		text = append(text, buf[:n]...)
		if _, rest, ok := strings.Cut(string(text), "listening on "); ok && strings.Contains(rest, "\n") {
			url, _, _ := strings.Cut(rest, "\n")
			go func() { _, _ = io.Copy(io.Discard, out) }() // it ends with the process
			return url
		}
		if err != nil {
			t.Fatalf("serve does not listen: %v\n%s", err, text)
		}
	}
}
