package pandotest_test

import (
	"syscall"
	"testing"
	"time"

	pando "github.com/pandobase/pando/sdk"
	"github.com/pandobase/pando/sdk/pandotest"
)

// The example shop has entities, seeds, policies, and code in files; airports has no
// code at all.
const (
	shop     = "../../examples/shop"
	airports = "../../examples/airports"
)

// customer is a row of the example shop.
type customer struct {
	Name string `json:"name"`
}

func (customer) PandoEntity() string { return "orders.customers" }

func TestStart(t *testing.T) {
	t.Parallel()
	app := pandotest.Start(t, pando.New(shop))
	other := pandotest.Start(t, pando.New(shop)) // side by side
	for _, a := range []*pandotest.App{app, other} {
		if n, err := pando.From[customer](a.Service()).Count(); err != nil || n == 0 {
			t.Errorf("there are %d customers (%v): the seeds are not loaded", n, err)
		}
	}
	if n, err := pando.From[customer](app.As(pandotest.User("ann"))).Count(); err != nil || n != 0 {
		t.Errorf("a user sees %d customers (%v), not 0", n, err)
	}
	if n, err := pando.From[customer](app.As(pandotest.User("ed", "staff"))).Count(); err != nil || n == 0 {
		t.Errorf("the staff sees %d customers (%v)", n, err)
	}
	if _, err := pando.From[customer](app.Anonymous()).Count(); err != nil {
		t.Error(err)
	}
	app.Drain()
}

func TestUsersAreTheSameEverywhere(t *testing.T) {
	t.Parallel()
	if a, b := pandotest.User("ann"), pandotest.User("ann"); a.UID != b.UID || a.UID == pandotest.User("bob").UID || len(a.UID) != 36 || a.UID[14] != '8' {
		t.Errorf("ann is %s, and %s", a.UID, b.UID)
	}
}

// TestIsQuick holds the promise of the package's documentation. What other processes
// do must not matter, so it is the processor's time that counts, of all threads.
func TestIsQuick(t *testing.T) {
	const bound = 50 * time.Millisecond
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	best := time.Hour
	for range 10 {
		t.Run("", func(t *testing.T) {
			before := used()
			pandotest.Start(t, pando.New(airports))
			best = min(best, used()-before)
		})
	}
	t.Logf("a start takes %s of the processor", best)
	if best > bound {
		t.Errorf("a start takes %s of the processor, not %s", best, bound)
	}
}
