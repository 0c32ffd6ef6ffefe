// Package jobs runs the jobs of an application: it names what starts them, an
// event, a schedule, a webhook that came in or code that enqueued them, and runs
// what their queue hands over.
package jobs

import (
	"context"
	"encoding/json"
	"maps"
	"strings"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/operations"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/queue"
	"github.com/pandobase/pando/internal/store"
)

// Jobs are the jobs of one application. It is safe for concurrent use.
type Jobs struct {
	app    *model.App
	byKind map[string]*model.Job
}

// New returns the jobs of an application.
func New(app *model.App) *Jobs {
	j := &Jobs{app: app, byKind: map[string]*model.Job{}}
	for _, m := range app.Modules {
		for _, job := range m.Jobs {
			j.byKind[job.QualifiedName()] = job
		}
	}
	return j
}

// Queues are the queues that the jobs wait in, with how many run at once.
func (j *Jobs) Queues() map[string]int {
	out := map[string]int{model.DefaultQueue: concurrency}
	for _, job := range j.byKind {
		out[job.Queue] = concurrency
	}
	maps.Copy(out, j.app.Config.Queues)
	return out
}

// concurrency is how many jobs of a queue run at once that pando.yaml does not
// bound.
const concurrency = 10

// Schedules are the jobs that start by the clock.
func (j *Jobs) Schedules() []queue.Schedule {
	var out []queue.Schedule
	for _, m := range j.app.Modules {
		for _, job := range m.Jobs {
			if job.Cron != "" {
				out = append(out, queue.Schedule{Name: job.QualifiedName(), Cron: job.Cron, Zone: job.Zone.String(), Job: params(job)})
			}
		}
	}
	return out
}

// Triggered are the jobs that wait for events.
func (j *Jobs) Triggered() []*model.Job {
	var out []*model.Job
	for _, m := range j.app.Modules {
		for _, job := range m.Jobs {
			if job.Trigger.Given() {
				out = append(out, job)
			}
		}
	}
	return out
}

func params(job *model.Job) queue.Job {
	return queue.Job{
		Kind: job.QualifiedName(), Queue: job.Queue, Priority: job.Priority, Attempts: job.Retry + 1, Timeout: job.Timeout,
	}
}

// Caller is who has enqueued a job: whom its progress is for.
type Caller struct {
	// Scope is policy.Identity.Scope; empty: nobody but the service follows it.
	Scope string `json:"scope,omitempty"`
	// UID is the user to whom the job is owed.
	UID string `json:"uid,omitempty"`
}

// CallerOf reads who has enqueued a job.
func CallerOf(raw []byte) (c Caller) {
	_ = json.Unmarshal(raw, &c) // what is not there is nobody
	return c
}

func (c Caller) text() []byte {
	out, _ := json.Marshal(c) // of texts: it cannot fail
	return out
}

// ForEvent is the job that an event starts: args is the event as JSON, owed to a
// user and a trace.
func ForEvent(job *model.Job, args []byte, uid, trace string) queue.Job {
	q := params(job)
	q.Args, q.Caller, q.Trace = args, Caller{UID: uid}.text(), traceID(trace)
	return q
}

// ForHook is the job that is given a webhook which came in.
func ForHook(job *model.Job, args []byte) queue.Job {
	q := params(job)
	q.Args = args
	return q
}

// traceID is the trace of a traceparent (W3C Trace Context).
func traceID(parent string) string {
	if parts := strings.Split(parent, "-"); len(parts) == 4 {
		return parts[1]
	}
	return ""
}

// Enqueue puts a job that code asks for into its queue, in the transaction. It is
// operations.Config.Enqueue.
func Enqueue(q *queue.Queue, tx store.Tx, job *model.Job, e operations.Enqueued) (string, error) {
	p := params(job)
	p.Args, p.RunAt, p.Unique = e.Input, e.At, e.Unique
	if e.Priority != 0 {
		p.Priority = e.Priority
	}
	if e.Caller != nil {
		c := Caller{Scope: e.Caller.Scope(), UID: e.Caller.UID}
		if c.UID == "" {
			c.UID = e.Caller.OnBehalf
		}
		p.Caller = c.text()
		if e.Caller.Request != nil {
			p.Trace = e.Caller.Request.ID
		}
	}
	got, err := q.Enqueue(tx, p)
	if err != nil {
		return "", err
	}
	return got[0].ID.String(), nil
}

// Run runs one try of a job of the application.
func (j *Jobs) Run(ctx context.Context, o *operations.Operations, w *queue.Work) ([]byte, error) {
	job := j.byKind[w.Kind]
	if job == nil {
		return nil, queue.Unknown(w.Kind)
	}
	return o.RunJob(ctx, &operations.Job{
		ID: w.ID.String(), Job: job, Try: w.Try, Input: w.Args, UID: CallerOf(w.Caller).UID, Trace: w.Trace,
		Progress: w.Progress,
	})
}

// Follows reports whether a caller may see how a job is doing: a user who has
// enqueued it, and the service. Strangers cannot be told apart, so none may.
func Follows(id *policy.Identity, info *queue.Info) bool {
	if id.Role == policy.Service {
		return id.Modules == nil
	}
	c := CallerOf(info.Caller)
	return id.Role == policy.Authenticated && c.Scope != "" && c.Scope == id.Scope()
}
