package telemetry

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Replica is what is measured of one replica of the store.
type Replica struct {
	Name                          string // its host and port
	Healthy                       bool   // it is read from
	Lag                           time.Duration
	Outstanding, Reads, Ejections int64
}

// ObserveReplicas registers the metrics of the store's replicas:
// pando.store.replica.lag, .healthy, .outstanding and .ejections, and
// pando.store.reads by the server that answered. ask is called when they are
// read; it tells how many reads the primary has answered, too.
func (t *Telemetry) ObserveReplicas(ask func() (primary int64, list []Replica)) error {
	meter := t.Meter()
	lag, err := meter.Float64ObservableGauge("pando.store.replica.lag", metric.WithUnit("s"),
		metric.WithDescription("How old the replica's data is at most."))
	if err != nil {
		return fmt.Errorf("telemetry: %w", err)
	}
	healthy, err := meter.Int64ObservableGauge("pando.store.replica.healthy",
		metric.WithDescription("1 while the replica is read from."))
	if err != nil {
		return fmt.Errorf("telemetry: %w", err)
	}
	outstanding, err := meter.Int64ObservableGauge("pando.store.replica.outstanding", metric.WithUnit("{read}"),
		metric.WithDescription("Reads that the replica is answering."))
	if err != nil {
		return fmt.Errorf("telemetry: %w", err)
	}
	ejections, err := meter.Int64ObservableCounter("pando.store.replica.ejections", metric.WithUnit("{ejection}"),
		metric.WithDescription("How often the replica was taken out."))
	if err != nil {
		return fmt.Errorf("telemetry: %w", err)
	}
	reads, err := meter.Int64ObservableCounter("pando.store.reads", metric.WithUnit("{read}"),
		metric.WithDescription("Callers' reads by the server that answered them."))
	if err != nil {
		return fmt.Errorf("telemetry: %w", err)
	}
	server := func(name string) metric.MeasurementOption {
		return metric.WithAttributes(attribute.String("pando.store.server", name))
	}
	_, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		primary, list := ask()
		o.ObserveInt64(reads, primary, server("primary"))
		for i := range list {
			r := &list[i]
			at, up := server(r.Name), int64(0)
			if r.Healthy {
				up = 1
			}
			o.ObserveFloat64(lag, r.Lag.Seconds(), at)
			o.ObserveInt64(healthy, up, at)
			o.ObserveInt64(outstanding, r.Outstanding, at)
			o.ObserveInt64(ejections, r.Ejections, at)
			o.ObserveInt64(reads, r.Reads, at)
		}
		return nil
	}, lag, healthy, outstanding, ejections, reads)
	if err != nil {
		return fmt.Errorf("telemetry: %w", err)
	}
	return nil
}
