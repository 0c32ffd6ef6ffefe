package nats_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/pandobase/pando/internal/broker"
	"github.com/pandobase/pando/internal/broker/brokertest"
	"github.com/pandobase/pando/internal/broker/nats"
	"github.com/pandobase/pando/internal/fault"
)

func TestConformance(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) }) // behind the server's
	s := brokertest.NATS(t)
	brokertest.Run(t, s.Harness(brokertest.Harness{Open: func(t *testing.T, log *slog.Logger) broker.Broker {
		t.Helper()
		b, err := nats.Open(nats.Options{URL: s.URL, Log: log})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}}))
}

// TestCredentials: a password in the URL is used, and told to nobody.
func TestCredentials(t *testing.T) {
	s := brokertest.NATS(t, "--user", "ann", "--pass", "s3cret")
	for _, url := range []string{
		strings.Replace(s.URL, "//", "//ann:s3cret@", 1), strings.Replace(s.URL, "//", "//ann:wr0ng@", 1), "nats://ann:wr0ng@[", "nats://ann:wr0ng@127.0.0.1:1",
	} {
		var log bytes.Buffer
		b, err := nats.Open(nats.Options{URL: url, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
		text := ""
		if err == nil {
			err = b.Ping(t.Context())
			if cerr := b.Close(); cerr != nil {
				t.Error(cerr)
			}
		}
		if (err == nil) != strings.Contains(url, "s3cret") {
			t.Errorf("%s: %v", url, err)
		}
		if f := fault.From(err); err != nil {
			text = f.Error() + f.Hint
			for cause := f.Cause; cause != nil; cause = nil {
				text += cause.Error()
			}
		}
		if text += log.String(); strings.Contains(text, "wr0ng") || strings.Contains(text, "s3cret") {
			t.Errorf("the password is told: %s", text)
		}
	}
}
