package server

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/pandobase/pando/internal/queue"
)

// observeJobs measures the queue. What waits is counted at each look, by an index.
func (n *Node) observeJobs(m metric.Meter) error {
	counters := []struct {
		name, what string
		of         func(queue.Stats) int64
		c          metric.Int64ObservableCounter
	}{
		{"pando.jobs.enqueued", "Jobs that this node has enqueued.", func(s queue.Stats) int64 { return s.Enqueued }, nil},
		{"pando.jobs.completed", "Jobs that this node has completed.", func(s queue.Stats) int64 { return s.Completed }, nil},
		{"pando.jobs.failed", "Tries that have failed on this node.", func(s queue.Stats) int64 { return s.Failed }, nil},
		{"pando.jobs.dead", "Jobs that have used up their tries on this node.", func(s queue.Stats) int64 { return s.Dead }, nil},
		{"pando.jobs.rescued", "Jobs that this node has taken over from one that was lost.", func(s queue.Stats) int64 { return s.Rescued }, nil},
	}
	var watched []metric.Observable
	for i := range counters {
		c, err := m.Int64ObservableCounter(counters[i].name, metric.WithUnit("{job}"), metric.WithDescription(counters[i].what))
		if err != nil {
			return err
		}
		counters[i].c = c
		watched = append(watched, c)
	}
	depth, err := m.Int64ObservableGauge("pando.jobs.depth", metric.WithUnit("{job}"), metric.WithDescription("Jobs that wait, run or are dead, by queue and state."))
	if err != nil {
		return err
	}
	running, err := m.Int64ObservableGauge("pando.jobs.running", metric.WithUnit("{job}"), metric.WithDescription("Jobs that run on this node."))
	if err != nil {
		return err
	}
	_, err = m.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		live := n.live.Load()
		if live == nil {
			return nil
		}
		stats := live.queue.Stats()
		for _, c := range counters {
			o.ObserveInt64(c.c, c.of(stats))
		}
		o.ObserveInt64(running, int64(stats.Running))
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		counts, err := live.queue.Depth(ctx)
		if err != nil {
			return nil // the store's own metrics tell that it is away
		}
		for _, c := range counts {
			o.ObserveInt64(depth, c.Jobs, metric.WithAttributes(attribute.String("queue", c.Queue), attribute.String("state", c.State.String())))
		}
		return nil
	}, append(watched, depth, running)...)
	return err
}
