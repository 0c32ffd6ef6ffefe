package outbox

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
)

// Backlog is what no broker has yet.
type Backlog struct {
	// Rows is about how many: the distance of the newest number from the oldest
	// that is not published. Numbers that were never committed count too.
	Rows int64
	// Oldest is when the oldest of them happened; zero: there is none.
	Oldest time.Time
}

// Backlog returns what was measured last, within [Config.WatchEvery].
func (o *Outbox) Backlog() Backlog { return *o.backlog.Load() }

// Measure measures the backlog now: two looks at indexes, however long it is.
func (o *Outbox) Measure(ctx context.Context) (Backlog, error) {
	err := o.measure(ctx)
	return o.Backlog(), err
}

func (o *Outbox) measure(ctx context.Context) error {
	var b Backlog
	before := o.appended.Load()
	err := o.cfg.Driver.Read(ctx, false, func(r store.Reader) error {
		b = Backlog{}
		return r.Query(o.st.backlog, nil, func(row store.Row) error {
			b = Backlog{Rows: row.Int(0) - row.Int(1) + 1, Oldest: time.UnixMicro(row.Int(2)).UTC()}
			return nil
		})
	})
	if err != nil {
		if o.backlog.Load() == nil {
			o.backlog.Store(&Backlog{})
		}
		return err
	}
	o.backlog.Store(&b)
	o.appended.Add(-before)
	return nil
}

// full is the fault of a write that has an event at the bound. What was appended
// since the last look counts as if nothing had been published: near the bound, a
// node may refuse until the next look.
func (o *Outbox) full() error {
	rows := o.backlog.Load().Rows
	if rows+o.appended.Load() < o.cfg.MaxBacklog || rows < o.cfg.MaxBacklog/2 {
		return nil
	}
	f := fault.New(fault.Overloaded, "%d events wait for the broker: no more are taken", rows).
		WithHint("see that the broker is reachable and takes messages; the write can be tried again when the events have gone out")
	f.RetryAfter = time.Minute
	return f
}

// watch measures until the outbox is closed.
func (o *Outbox) watch(ctx context.Context) {
	defer close(o.done)
	tick := time.NewTicker(o.cfg.WatchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := o.measure(ctx); err != nil {
			continue // the store tells of its own faults
		}
		o.alarm()
	}
}

// alarm tells the log when the backlog passes its bounds, once each way.
func (o *Outbox) alarm() {
	b := o.Backlog()
	age := b.age(o.cfg.Now())
	if over := b.Rows >= o.cfg.AlarmAt || age >= o.cfg.AlarmAge; o.alarmed.Swap(over) != over {
		if over {
			o.cfg.Log.Error("events wait for the broker: the backlog of the outbox grows", "rows", b.Rows, "oldest", age, "refused_at", o.cfg.MaxBacklog)
		} else {
			o.cfg.Log.Info("the outbox has caught up with the broker", "rows", b.Rows)
		}
	}
}

// age is how long the oldest event has waited.
func (b Backlog) age(now time.Time) time.Duration {
	if b.Oldest.IsZero() {
		return 0
	}
	return max(0, now.Sub(b.Oldest))
}

// observe registers the metrics.
func (o *Outbox) observe() error {
	rows, err := o.cfg.Meter.Int64ObservableGauge("pando.outbox.backlog", metric.WithUnit("{event}"),
		metric.WithDescription("Events that the broker does not have yet, approximately."))
	if err != nil {
		return err
	}
	oldest, err := o.cfg.Meter.Float64ObservableGauge("pando.outbox.oldest", metric.WithUnit("s"),
		metric.WithDescription("How long the oldest of them has waited."))
	if err != nil {
		return err
	}
	alarm, err := o.cfg.Meter.Int64ObservableGauge("pando.outbox.alarm",
		metric.WithDescription("1 while the backlog is beyond its bound."))
	if err != nil {
		return err
	}
	o.gauges, err = o.cfg.Meter.RegisterCallback(func(_ context.Context, to metric.Observer) error {
		b := o.Backlog()
		to.ObserveInt64(rows, b.Rows)
		to.ObserveFloat64(oldest, b.age(o.cfg.Now()).Seconds())
		var on int64
		if o.alarmed.Load() {
			on = 1
		}
		to.ObserveInt64(alarm, on)
		return nil
	}, rows, oldest, alarm)
	return err
}
