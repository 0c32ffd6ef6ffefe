package server

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/pandobase/pando/internal/events"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/outbox"
	"github.com/pandobase/pando/internal/queue"
)

func (n *Node) workCommands(handle, plain func(pattern string, fn func(http.ResponseWriter, *http.Request) error)) {
	handle("GET /jobs", n.cmdJobs)
	handle("GET /jobs/counts", n.cmdJobCounts)
	handle("POST /jobs/{id}/retry", n.onJob("admin.job.retry", func(ctx context.Context, id queue.ID) error { return n.live.Load().queue.Retry(ctx, id) }))
	handle("POST /jobs/{id}/cancel", n.onJob("admin.job.cancel", func(ctx context.Context, id queue.ID) error { return n.live.Load().queue.Cancel(ctx, id) }))
	handle("POST /queues/{name}/pause", n.onQueue("admin.queue.pause", func(ctx context.Context, name string) error { return n.live.Load().queue.Pause(ctx, name) }))
	handle("POST /queues/{name}/resume", n.onQueue("admin.queue.resume", func(ctx context.Context, name string) error { return n.live.Load().queue.Resume(ctx, name) }))
	plain("GET /events", n.cmdTail) // it only reads, and for long
	handle("GET /events/dead", n.cmdDead)
	handle("POST /events/dead/retry", n.onDead("admin.event.retry", (*events.Events).Retry))
	handle("POST /events/dead/drop", n.onDead("admin.event.drop", (*events.Events).Drop))
	handle("POST /events/replay", n.cmdReplay)
}

// JobEntry is a job as `pando jobs list` shows it.
type JobEntry struct {
	ID       string           `json:"id"`
	Job      string           `json:"job"`
	Queue    string           `json:"queue"`
	State    string           `json:"state"`
	Priority int              `json:"priority"`
	RunAt    time.Time        `json:"run_at"`
	Attempts int              `json:"attempts"`
	Failed   int              `json:"failed"`
	Progress float64          `json:"progress"`
	Message  string           `json:"message,omitempty"`
	Errors   []queue.TryError `json:"errors,omitempty"`
}

func (n *Node) cmdJobs(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	f := queue.Filter{Queue: q.Get("queue"), Kind: q.Get("job")}
	for _, name := range q["state"] {
		s, err := queue.ParseState(name)
		if err != nil {
			return err
		}
		f.States = append(f.States, s)
	}
	if text := q.Get("limit"); text != "" {
		var err error
		if f.Limit, err = strconv.Atoi(text); err != nil {
			return fault.New(fault.BadRequest, "%q is no number", text)
		}
	}
	if text := q.Get("before"); text != "" {
		var err error
		if f.Before, err = queue.ParseID(text); err != nil {
			return err
		}
	}
	list, err := n.live.Load().queue.List(r.Context(), f)
	if err != nil {
		return err
	}
	out := make([]JobEntry, len(list))
	for i, j := range list {
		out[i] = JobEntry{
			ID: j.ID.String(), Job: j.Kind, Queue: j.Queue, State: j.State.String(), Priority: j.Priority, RunAt: j.RunAt.UTC(),
			Attempts: j.Attempts, Failed: j.Failed, Progress: j.Progress, Message: j.Message, Errors: j.Errors,
		}
	}
	return answer(w, out)
}

// JobCount is how many jobs of a queue are in a state.
type JobCount struct {
	Queue string `json:"queue"`
	State string `json:"state"`
	Jobs  int64  `json:"jobs"`
}

func (n *Node) cmdJobCounts(w http.ResponseWriter, r *http.Request) error {
	counts, err := n.live.Load().queue.Counts(r.Context())
	if err != nil {
		return err
	}
	out := make([]JobCount, len(counts))
	for i, c := range counts {
		out[i] = JobCount{c.Queue, c.State.String(), c.Jobs}
	}
	return answer(w, out)
}

// onJob is a command about one job, on record.
func (n *Node) onJob(action string, do func(context.Context, queue.ID) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		id, err := queue.ParseID(r.PathValue("id"))
		if err == nil {
			if err = do(r.Context(), id); err == nil {
				err = n.administered(r, action, id.String())
			}
		}
		if err != nil {
			return err
		}
		return answer(w, struct{}{})
	}
}

// onQueue is a command about one queue, on record.
func (n *Node) onQueue(action string, do func(context.Context, string) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		name := r.PathValue("name")
		if _, there := queuesOf(n.live.Load().app.Model)[name]; !there {
			return fault.New(fault.NotFound, "there is no queue %s", name)
		}
		err := do(r.Context(), name)
		if err == nil {
			err = n.administered(r, action, name)
		}
		if err != nil {
			return err
		}
		return answer(w, struct{}{})
	}
}

// running are the events of a node that works.
func (n *Node) running() (*events.Events, error) {
	n.work.mu.Lock()
	defer n.work.mu.Unlock()
	if n.work.events == nil {
		return nil, fault.New(fault.Conflict, "no node works on events").
			WithHint("start one with `pando serve`; where it runs, the application declares no events")
	}
	return n.work.events, nil
}

// TailEvent is an event as `pando events tail` shows it.
type TailEvent struct {
	ID      string          `json:"id"`
	Type    string          `json:"type"`
	Subject string          `json:"subject,omitempty"`
	Time    time.Time       `json:"time"`
	Schema  string          `json:"dataschema,omitempty"`
	AuthID  string          `json:"authid,omitempty"`
	Data    json.RawMessage `json:"data"`
}

func tailEvent(e *outbox.Event) TailEvent {
	return TailEvent{ID: e.ID, Type: e.Type, Subject: e.Key, Time: e.Time, Schema: e.Schema, AuthID: e.Subject, Data: e.Data}
}

// moment reads a time: RFC 3339, or how long ago, like 10m.
func moment(text string, otherwise time.Time) (time.Time, error) {
	if text == "" {
		return otherwise, nil
	}
	if d, err := time.ParseDuration(text); err == nil {
		return time.Now().Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return t, fault.New(fault.BadRequest, "%q is no time", text).WithHint("write it as 2026-01-02T15:04:05Z, or as how long ago: 10m")
	}
	return t, nil
}

func (n *Node) cmdTail(w http.ResponseWriter, r *http.Request) error {
	ev, err := n.running()
	if err != nil {
		return err
	}
	q := r.URL.Query()
	from, err := moment(q.Get("from"), time.Now())
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc, rc := json.NewEncoder(w), http.NewResponseController(w)
	err = ev.Tail(r.Context(), events.Filter{Types: q["type"], Key: q.Get("key")}, from, q.Get("follow") == "true", func(e *outbox.Event) error {
		if err := enc.Encode(tailEvent(e)); err != nil {
			return err
		}
		return rc.Flush()
	})
	if r.Context().Err() != nil {
		return nil //nolint:nilerr // whoever asked has gone
	}
	return err
}

// DeadEvent is an event that a consumer could not handle.
type DeadEvent struct {
	Consumer string    `json:"consumer"`
	At       time.Time `json:"at"`
	Tries    int       `json:"tries"`
	Error    string    `json:"error"`
	Event    TailEvent `json:"event"`
}

func (n *Node) cmdDead(w http.ResponseWriter, r *http.Request) error {
	ev, err := n.running()
	if err != nil {
		return err
	}
	const most = 1000
	list, err := ev.Dead(r.Context(), r.URL.Query().Get("consumer"), r.URL.Query().Get("after"), most)
	if err != nil {
		return err
	}
	out := make([]DeadEvent, len(list))
	for i := range list {
		d := &list[i]
		out[i] = DeadEvent{d.Consumer, d.At, d.Tries, d.Error, tailEvent(&d.Event)}
		out[i].Event.ID = d.ID
	}
	return answer(w, out)
}

func (n *Node) onDead(action string, do func(*events.Events, context.Context, string, string) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		ev, err := n.running()
		if err != nil {
			return err
		}
		consumer, id := consumerName(r.FormValue("consumer")), r.FormValue("id")
		if err := do(ev, r.Context(), consumer, id); err != nil {
			return err
		}
		if err := n.administered(r, action, consumer, id); err != nil {
			return err
		}
		return answer(w, struct{}{})
	}
}

func (n *Node) cmdReplay(w http.ResponseWriter, r *http.Request) error {
	ev, err := n.running()
	if err != nil {
		return err
	}
	in := events.Range{ID: r.FormValue("id"), Filter: events.Filter{Types: r.Form["type"], Key: r.FormValue("key")}}
	if in.ID == "" && r.FormValue("from") == "" {
		return fault.New(fault.BadRequest, "from when on?").WithHint("--from 1h, or --id EVENT")
	}
	if in.From, err = moment(r.FormValue("from"), time.Time{}); err != nil {
		return err
	}
	if in.To, err = moment(r.FormValue("to"), time.Time{}); err != nil {
		return err
	}
	consumer := consumerName(r.FormValue("consumer"))
	res, err := ev.Replay(r.Context(), consumer, in)
	if err != nil {
		return err
	}
	if err := n.administered(r, "admin.event.replay", consumer); err != nil {
		return err
	}
	return answer(w, Replayed{res.Events, res.Source, res.Oldest})
}

// Replayed is what was given to a consumer again.
type Replayed struct {
	Events int       `json:"events"`
	Source string    `json:"source"`
	Oldest time.Time `json:"oldest,omitzero"`
}
