package embedded_test

import (
	"log/slog"
	"testing"

	"go.uber.org/goleak"

	"github.com/pandobase/pando/internal/broker"
	"github.com/pandobase/pando/internal/broker/brokertest"
	"github.com/pandobase/pando/internal/broker/embedded"
)

// TestConformance runs the suite. The server is one, so other nodes are other
// handles on it.
func TestConformance(t *testing.T) {
	defer goleak.VerifyNone(t)
	b, err := embedded.Open(embedded.Options{Dir: t.TempDir(), Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	brokertest.Run(t, brokertest.Harness{Open: func(*testing.T, *slog.Logger) broker.Broker { return open{b} }})
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

// open is a handle that leaves the server open.
type open struct{ *embedded.Broker }

func (open) Close() error { return nil }

// TestReopen: messages and positions are there when the folder is opened again.
func TestReopen(t *testing.T) {
	dir := t.TempDir()
	for range 3 {
		b, err := embedded.Open(embedded.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		s := broker.Subscription{Name: "c"}
		if err := b.Declare(t.Context(), &s); err != nil {
			t.Fatal(err)
		}
		before, err := b.Pending(t.Context(), "c")
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Publish(t.Context(), []broker.Message{{ID: t.TempDir(), Type: "t", Data: []byte("x")}}); err != nil {
			t.Fatal(err)
		}
		if after, err := b.Pending(t.Context(), "c"); err != nil || after != before+1 {
			t.Errorf("%d, then %d (%v)", before, after, err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
