package outbound

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// meters are the instruments of all clients; each measurement names its target.
type meters struct {
	duration metric.Float64Histogram
	retries  metric.Int64Counter
	hedges   metric.Int64Counter
	callback metric.Registration
}

func newMeters(m metric.Meter, clients func() []*Client) (*meters, error) {
	fail := func(err error) (*meters, error) { return nil, fmt.Errorf("outbound: %w", err) }
	var out meters
	var err error
	if out.duration, err = m.Float64Histogram("pando.outbound.duration", metric.WithUnit("s"),
		metric.WithDescription("Calls to integrations with all their tries, by outcome."),
		metric.WithExplicitBucketBoundaries(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)); err != nil {
		return fail(err)
	}
	if out.retries, err = m.Int64Counter("pando.outbound.retries", metric.WithUnit("{try}"),
		metric.WithDescription("Tries behind the first.")); err != nil {
		return fail(err)
	}
	if out.hedges, err = m.Int64Counter("pando.outbound.hedges", metric.WithUnit("{try}"),
		metric.WithDescription("Reads that were sent a second time because the first took long.")); err != nil {
		return fail(err)
	}
	breaker, err := m.Int64ObservableGauge("pando.outbound.breaker", metric.WithDescription("0: calls pass; 1: one tries; 2: none does."))
	if err != nil {
		return fail(err)
	}
	active, err := m.Int64ObservableUpDownCounter("pando.outbound.active", metric.WithUnit("{call}"),
		metric.WithDescription("Calls that run or wait for their turn."))
	if err != nil {
		return fail(err)
	}
	out.callback, err = m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for _, c := range clients() {
			at := metric.WithAttributeSet(attribute.NewSet(integration(c.target.Name)))
			o.ObserveInt64(breaker, c.breakerState(), at)
			o.ObserveInt64(active, c.active.Load(), at)
		}
		return nil
	}, breaker, active)
	if err != nil {
		return fail(err)
	}
	return &out, nil
}

func (m *meters) close() { _ = m.callback.Unregister() } // only a foreign registration fails

func integration(name string) attribute.KeyValue {
	return attribute.String("pando.integration", name)
}

// call records a finished call. kind is empty for an answer.
func (m *meters) call(ctx context.Context, name, method string, status int, kind string, d time.Duration) {
	attrs := []attribute.KeyValue{integration(name), semconv.HTTPRequestMethodKey.String(method)}
	if status != 0 {
		attrs = append(attrs, semconv.HTTPResponseStatusCode(status))
	}
	if kind != "" {
		attrs = append(attrs, semconv.ErrorTypeKey.String(kind))
	}
	m.duration.Record(ctx, d.Seconds(), metric.WithAttributeSet(attribute.NewSet(attrs...)))
}
