package amqp_test

import (
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/pandobase/pando/internal/broker"
	"github.com/pandobase/pando/internal/broker/amqp"
	"github.com/pandobase/pando/internal/broker/brokertest"
	"github.com/pandobase/pando/internal/fault"
)

func TestConformance(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) }) // behind the server's
	s := brokertest.RabbitMQ(t)
	brokertest.Run(t, s.Harness(brokertest.Harness{Open: func(t *testing.T, log *slog.Logger) broker.Broker {
		t.Helper()
		b, err := amqp.Open(amqp.Options{URL: s.URL, Log: log})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}}))
}

// TestCredentials: a password in the URL is told to nobody.
func TestCredentials(t *testing.T) {
	for _, url := range []string{"amqp://ann:wr0ng@[", "amqp://ann:wr0ng@127.0.0.1:1/", "http://ann:wr0ng@host/"} {
		b, err := amqp.Open(amqp.Options{URL: url})
		if err == nil {
			err = b.Ping(t.Context())
			if cerr := b.Close(); cerr != nil {
				t.Error(cerr)
			}
		}
		if err == nil {
			t.Fatalf("%s can be reached", url)
		}
		f := fault.From(err)
		text := f.Error() + f.Hint
		if f.Cause != nil {
			text += f.Cause.Error()
		}
		if strings.Contains(text, "wr0ng") {
			t.Errorf("the password is told: %s", text)
		}
	}
}
