package pandotest_test

import (
	"testing"
	"time"

	pando "github.com/pandobase/pando/sdk"
	"github.com/pandobase/pando/sdk/pandotest"
)

// the example shop has 6 entities, seeds and policies, and no code in Go.
const shop = "../../examples/shop"

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

// TestIsQuick holds the promise of the package's documentation; other processes may
// be in the way, so the quickest of several starts counts.
func TestIsQuick(t *testing.T) {
	const bound = 50 * time.Millisecond
	best := time.Hour
	for range 50 {
		t.Run("", func(t *testing.T) {
			start := time.Now()
			pandotest.Start(t, pando.New(shop))
			best = min(best, time.Since(start))
		})
		if best < bound {
			return
		}
	}
	t.Errorf("it takes %s to start, not %s", best, bound)
}

// BenchmarkStart measures a start, and the stop behind it.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		b.Run("", func(b *testing.B) { pandotest.Start(b, pando.New(shop)) })
	}
}
