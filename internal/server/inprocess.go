package server

import (
	"context"
	"slices"
	"time"

	"github.com/pandobase/pando/internal/auth"
	"github.com/pandobase/pando/internal/events"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/jobs"
	"github.com/pandobase/pando/internal/operations"
	"github.com/pandobase/pando/internal/outbox"
	"github.com/pandobase/pando/internal/queue"
	"github.com/pandobase/pando/internal/store"
)

// Operations runs the code of the application that is served now.
func (n *Node) Operations() *operations.Operations { return n.live.Load().operations }

// AddUser makes a user of an id, who has no password. One that is there stays as it
// is.
func (n *Node) AddUser(ctx context.Context, id, email string, roles []string) error {
	yes := true // who has the node open vouches for the address
	_, err := n.auth.AdminCreateUser(ctx, commander("user.create"), auth.AdminUser{ID: id, Email: &email, EmailConfirm: &yes, Roles: roles})
	if fault.Is(err, fault.AuthUserExists) {
		return nil
	}
	return err
}

// drainPoll is how often Drain looks whether the queue is empty.
const drainPoll = time.Millisecond

// Drain works what is due, in a node that does not serve: it hands events to the jobs
// that wait for them, without a broker, and runs jobs, until none is left. What is due
// later, by the clock or after a try that failed, is left; webhooks are not sent.
// The error is that of a job that has failed.
func (n *Node) Drain(ctx context.Context) error {
	if err := n.startQueue(ctx); err != nil {
		return err
	}
	tick := time.NewTicker(drainPoll)
	defer tick.Stop()
	for {
		handed, err := n.handOn(ctx)
		if err != nil {
			return err
		}
		busy, err := n.busy(ctx)
		if err != nil {
			return err
		}
		if handed == 0 && !busy {
			// A job that ended between the two looks may have left events.
			if handed, err = n.handOn(ctx); err != nil || handed == 0 {
				return n.failure(ctx, err)
			}
		}
		select {
		case <-ctx.Done():
			return fault.Wrap(ctx.Err(), fault.QueryCanceled, "what is due was not worked in time")
		case <-tick.C:
		}
	}
}

// startQueue runs jobs, and hands on no events.
func (n *Node) startQueue(ctx context.Context) error {
	n.work.mu.Lock()
	defer n.work.mu.Unlock()
	w := &n.work
	if w.running {
		return nil
	}
	if n.queue == w.ran {
		if err := n.reopenQueue(ctx); err != nil {
			return err
		}
	}
	w.ran = n.queue
	if err := n.queue.Start(context.WithoutCancel(ctx), n.runJob); err != nil {
		return err
	}
	w.queues, w.running = queuesOf(n.live.Load().app.Model), true
	return nil
}

// drainBatch is how many events are handed on at once.
const drainBatch = 256

// handOn makes jobs of events and returns how many events there were.
func (n *Node) handOn(ctx context.Context) (handed int, err error) {
	live := n.live.Load()
	err = n.outbox.Lead(ctx, events.RelayLease, func(ctx context.Context, l *outbox.Lease) error {
		list, err := n.outbox.Publishable(ctx, drainBatch, nil)
		if err != nil || len(list) == 0 {
			return err
		}
		err = live.driver.Write(ctx, func(tx store.Tx) error {
			for i := range list {
				if err := n.begin(tx, live, &list[i]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		seqs := make([]int64, len(list))
		for i := range list {
			seqs[i] = list[i].Seq
		}
		handed = len(list)
		return n.outbox.Published(ctx, l, seqs)
	})
	return handed, err
}

// begin enqueues the jobs that wait for an event.
func (n *Node) begin(tx store.Tx, live *live, ev *outbox.Event) error {
	for _, job := range live.jobs.Triggered() {
		if job.Trigger.Type() != ev.Type {
			continue
		}
		args, err := events.Encode("/"+live.app.Model.Config.App, ev)
		if err != nil {
			return err
		}
		if _, err := live.queue.Enqueue(tx, jobs.ForEvent(job, args, ev.Subject, ev.Trace)); err != nil {
			return err
		}
	}
	return nil
}

// busy reports whether a job runs or could.
func (n *Node) busy(ctx context.Context) (bool, error) {
	q := n.live.Load().queue
	counts, err := q.Depth(ctx)
	if err != nil {
		return false, err
	}
	if slices.ContainsFunc(counts, func(c queue.Count) bool {
		return c.Jobs > 0 && (c.State == queue.Available || c.State == queue.Running)
	}) {
		return true, nil
	}
	waiting, err := q.List(ctx, queue.Filter{States: []queue.State{queue.Scheduled}, Limit: 1000})
	return slices.ContainsFunc(waiting, func(i queue.Info) bool { return i.Failed == 0 && !i.RunAt.After(time.Now()) }), err
}

// failure is the error of a job that has failed, if there is one.
func (n *Node) failure(ctx context.Context, err error) error {
	if err != nil {
		return err
	}
	q := n.live.Load().queue
	list, err := q.List(ctx, queue.Filter{States: []queue.State{queue.Scheduled, queue.Dead}, Limit: 1000})
	if err != nil {
		return err
	}
	for _, i := range list {
		if i.Failed == 0 {
			continue
		}
		info, err := q.Get(ctx, i.ID)
		if err != nil {
			return err
		}
		f := fault.New(fault.FunctionFailed, "the job %s has failed", info.Kind)
		if last := len(info.Errors) - 1; last >= 0 {
			f = f.WithDetails("%s", info.Errors[last].Error)
		}
		return f
	}
	return nil
}
