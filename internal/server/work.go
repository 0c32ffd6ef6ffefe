package server

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"path/filepath"
	"strings"
	"sync"

	jobsdoor "github.com/pandobase/pando/internal/api/jobs"
	"github.com/pandobase/pando/internal/audit"
	"github.com/pandobase/pando/internal/broker"
	"github.com/pandobase/pando/internal/broker/amqp"
	"github.com/pandobase/pando/internal/broker/embedded"
	"github.com/pandobase/pando/internal/broker/nats"
	"github.com/pandobase/pando/internal/edge"
	"github.com/pandobase/pando/internal/events"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/jobs"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/outbox"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/queue"
	"github.com/pandobase/pando/internal/store"
)

// brokerDir is the folder of the embedded broker below the data folder.
const brokerDir = "broker"

// openQueues opens what writes append to in their transactions: the outbox and the
// queue of a store.
func (n *Node) openQueues(ctx context.Context, app *Application, driver store.Driver) (*outbox.Outbox, *queue.Queue, error) {
	out, err := outbox.Open(ctx, outbox.Config{Driver: driver, Log: n.opt.Log, Meter: n.opt.Meter})
	if err != nil {
		return nil, nil, err
	}
	q, err := queue.Open(ctx, queue.Config{Driver: driver, Queues: queuesOf(app.Model), Log: n.opt.Log})
	if err != nil {
		return nil, nil, errors.Join(err, out.Close())
	}
	return out, q, nil
}

// work is what goes on behind the answers of a node that serves: jobs are run, events
// published and handed on. It belongs to one store; the zero work does nothing.
type work struct {
	mu      sync.Mutex
	started bool // by the node's life
	running bool
	broker  broker.Broker
	events  *events.Events
	ran     *queue.Queue   // the last one that was started: it is not started again
	queues  map[string]int // its queues
}

// openBroker opens the application's broker. One that is away is no error.
func (n *Node) openBroker(app *Application) (broker.Broker, error) {
	url := app.Model.Config.Broker
	if name, named := strings.CutPrefix(url, "secret:"); named {
		var err error
		if url, err = n.secrets.Get(name); err != nil {
			return nil, err
		}
	}
	log := n.opt.Log.With("part", "broker")
	prefix := app.Model.Config.App
	switch scheme, _, _ := strings.Cut(url, "://"); scheme {
	case "embedded":
		return openedBroker(embedded.Open(embedded.Options{Dir: filepath.Join(n.data, brokerDir), Log: log}))
	case "nats", "tls":
		return openedBroker(nats.Open(nats.Options{URL: url, Name: prefix, Log: log}))
	case "amqp", "amqps":
		return openedBroker(amqp.Open(amqp.Options{URL: url, Name: prefix, Log: log}))
	default:
		return nil, unsupported("broker", scheme, "embedded://, nats://, amqp://")
	}
}

// openedBroker keeps a broker that is nil from becoming one that is not.
func openedBroker[B broker.Broker](b B, err error) (broker.Broker, error) {
	if err != nil {
		return nil, err
	}
	return b, nil
}

// startWork begins to work. It waits for no broker.
func (n *Node) startWork(ctx context.Context) error {
	n.work.mu.Lock()
	defer n.work.mu.Unlock()
	n.work.started = true
	return n.resumeWork(ctx)
}

// resumeWork works for the application that is served. n.work.mu is held.
func (n *Node) resumeWork(ctx context.Context) error {
	w := &n.work
	if !w.started || w.running {
		return nil
	}
	if n.queue == w.ran {
		if err := n.reopenQueue(ctx); err != nil {
			return err
		}
	}
	live := n.live.Load()
	if err := n.queue.SetSchedules(ctx, live.jobs.Schedules()); err != nil {
		return err
	}
	w.ran = n.queue
	if err := n.queue.Start(context.WithoutCancel(ctx), n.runJob); err != nil {
		return err
	}
	w.queues, w.running = queuesOf(live.app.Model), true
	return n.useConsumers(live) //nolint:contextcheck // it outlives the call
}

// reopenQueue opens the queue anew for the application that is served. n.work.mu is
// held.
func (n *Node) reopenQueue(ctx context.Context) error {
	live := n.live.Load()
	q, err := queue.Open(ctx, queue.Config{Driver: live.driver, Queues: queuesOf(live.app.Model), Log: n.opt.Log})
	if err != nil {
		return err
	}
	n.queue = q
	return n.use(live.app) //nolint:contextcheck // it outlives the call
}

// useConsumers hands events to the application's consumers. Where nobody waits for
// any and none is declared, no broker is opened. n.work.mu is held.
func (n *Node) useConsumers(live *live) error {
	w := &n.work
	consumers := n.consumers(live)
	if w.events != nil {
		return w.events.Use(consumers...)
	}
	if !declaresEvents(live.app.Model) {
		return nil
	}
	if w.broker == nil {
		b, err := n.openBroker(live.app)
		if err != nil {
			return err
		}
		w.broker = b
	}
	var err error
	w.events, err = events.Start(events.Config{
		Outbox: n.outbox, Broker: w.broker, Source: "/" + live.app.Model.Config.App, Log: n.opt.Log, Meter: n.opt.Meter,
	}, consumers...)
	return err
}

// declaresEvents reports whether anything of an application is an event.
func declaresEvents(app *model.App) bool {
	for _, m := range app.Modules {
		if len(m.Events) > 0 {
			return true
		}
		for _, j := range m.Jobs {
			if j.Trigger.Given() {
				return true
			}
		}
		if len(m.Webhooks) > 0 {
			return true
		}
	}
	return false
}

// renewWork brings what works to the application that is served now.
func (n *Node) renewWork(ctx context.Context) error {
	n.work.mu.Lock()
	defer n.work.mu.Unlock()
	w, live := &n.work, n.live.Load()
	if !w.running {
		return nil
	}
	if !maps.Equal(w.queues, queuesOf(live.app.Model)) {
		if err := n.pauseWork(ctx); err != nil {
			return err
		}
		return n.resumeWork(ctx)
	}
	return errors.Join(n.queue.SetSchedules(ctx, live.jobs.Schedules()), n.useConsumers(live)) //nolint:contextcheck // it outlives the call
}

// holdWork lets what works finish, and begins nothing new until it is resumed.
func (n *Node) holdWork(ctx context.Context) error {
	n.work.mu.Lock()
	defer n.work.mu.Unlock()
	return n.pauseWork(ctx)
}

// pauseWork is holdWork with n.work.mu held.
func (n *Node) pauseWork(ctx context.Context) error {
	w := &n.work
	var errs []error
	if w.events != nil {
		errs = append(errs, w.events.Close())
		w.events = nil
	}
	if w.running {
		errs = append(errs, n.queue.Stop(ctx))
		w.running = false
	}
	return errors.Join(errs...)
}

// stopWork ends the work with the node. It is safe twice and before the start.
func (n *Node) stopWork(ctx context.Context) error {
	n.work.mu.Lock()
	defer n.work.mu.Unlock()
	n.work.started = false
	err := n.pauseWork(ctx)
	if n.work.broker != nil {
		err = errors.Join(err, n.work.broker.Close())
		n.work.broker = nil
	}
	return err
}

// runJob runs one try of a job.
func (n *Node) runJob(ctx context.Context, w *queue.Work) ([]byte, error) {
	live := n.live.Load()
	if mine, err := n.deliver(ctx, live, w); mine {
		return nil, err
	}
	out, err := live.jobs.Run(ctx, live.operations, w)
	if err != nil {
		f := fault.From(err)
		n.opt.Log.LogAttrs(ctx, slog.LevelWarn, "a job failed", slog.String("job", w.Kind), slog.String("id", w.ID.String()),
			slog.Int("try", w.Try), slog.Int("of", w.Attempts), slog.String("request_id", w.Trace), slog.Any("error", f), slog.Any("cause", f.Cause))
	}
	return out, err
}

// consumerName is the name of who waits for events at a broker, which takes no
// points.
func consumerName(qualified string) string { return strings.ReplaceAll(qualified, ".", "-") }

// consumers are who waits for the application's events: each job and each webhook
// by itself, so that each can be given them again.
func (n *Node) consumers(live *live) []events.Consumer {
	var out []events.Consumer
	source, q := "/"+live.app.Model.Config.App, live.queue
	for _, job := range live.jobs.Triggered() {
		out = append(out, events.Consumer{
			Name: consumerName(job.QualifiedName()), Types: []string{job.Trigger.Type()},
			Apply: func(_ context.Context, tx store.Tx, batch []events.Delivery) error {
				list := make([]queue.Job, len(batch))
				for i := range batch {
					args, err := events.Encode(source, &batch[i].Event)
					if err != nil {
						return err
					}
					list[i] = jobs.ForEvent(job, args, batch[i].Subject, batch[i].Trace)
				}
				_, err := q.Enqueue(tx, list...)
				return err
			},
		})
	}
	return append(out, n.webhookConsumers(live)...)
}

// jobsDoor is the handler of /jobs/v1.
func (n *Node) jobsDoor() http.Handler {
	q, trail := n.queue, n.audit
	return jobsdoor.New(jobsdoor.Config{
		Queue: q, Authenticate: n.caller("jobs"), Logger: n.opt.Log, RequestID: edge.RequestIDOf,
		Cancel: func(ctx context.Context, id *policy.Identity, job queue.ID) error {
			if err := q.Cancel(ctx, job); err != nil {
				return err
			}
			r := audit.FromIdentity(id)
			r.Action, r.Operation, r.Entity, r.Keys, r.Rows = "job.cancel", "cancel", "jobs", []string{job.String()}, 1
			return trail.Write(ctx, &r)
		},
	})
}
