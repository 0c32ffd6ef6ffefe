// Package jobs is the door /jobs/v1: how a job is doing, for who has enqueued it
// and for the service, as JSON or as a stream of events (Server-Sent Events, HTML
// Living Standard, section 9.2); and its end before its time.
package jobs

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/pandobase/pando/internal/api/problem"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/jobs"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/queue"
)

// Prefix is where the door is mounted.
const Prefix = "/jobs/v1"

// Config is what the door stands on. Queue and Authenticate are required.
type Config struct {
	Queue *queue.Queue
	// Authenticate names the caller. Its error is the answer.
	Authenticate func(*http.Request) (policy.Identity, error)
	// Cancel ends a job before its time, on record.
	Cancel    func(ctx context.Context, id *policy.Identity, job queue.ID) error
	Logger    *slog.Logger
	RequestID func(*http.Request) string
}

type handler struct {
	cfg      Config
	problems problem.Writer
}

// New returns the door's handler. It is safe for concurrent use.
func New(c Config) http.Handler {
	return &handler{cfg: c, problems: problem.Writer{RequestID: c.RequestID, Logger: c.Logger}}
}

// ServeHTTP implements [http.Handler].
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := h.serve(w, r); err != nil {
		h.problems.WriteProblem(w, r, err)
	}
}

// status is how a job is doing.
type status struct {
	ID       string          `json:"id"`
	Job      string          `json:"job"`
	State    string          `json:"state"`
	Progress float64         `json:"progress"`
	Message  string          `json:"message,omitempty"`
	Attempts int             `json:"attempts"` // tries that have failed
	RunAt    time.Time       `json:"run_at"`
	Started  *time.Time      `json:"started_at"`
	Finished *time.Time      `json:"finished_at"`
	Result   json.RawMessage `json:"result"`
}

func statusOf(i *queue.Info) status {
	at := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		t = t.UTC()
		return &t
	}
	s := status{
		ID: i.ID.String(), Job: i.Kind, State: i.State.String(), Progress: i.Progress, Message: i.Message, Attempts: i.Failed,
		RunAt: i.RunAt.UTC(), Started: at(i.Started), Finished: at(i.Finished), Result: i.Result,
	}
	if len(s.Result) == 0 {
		s.Result = json.RawMessage("null")
	}
	return s
}

// serve answers r, or returns a fault and has written nothing.
func (h *handler) serve(w http.ResponseWriter, r *http.Request) error {
	id, err := h.cfg.Authenticate(r)
	if err != nil {
		return err
	}
	name, action, acting := strings.Cut(strings.TrimPrefix(r.URL.Path, Prefix+"/"), "/")
	job, err := queue.ParseID(name)
	if err != nil || acting && action != "cancel" {
		return unknown()
	}
	info, err := h.cfg.Queue.Get(r.Context(), job)
	if fault.Is(err, fault.NotFound) || err == nil && !jobs.Follows(&id, &info) {
		return unknown() // that it is there is told to who may follow it
	}
	if err != nil {
		return err
	}
	allow := "GET, HEAD"
	if acting {
		allow = "POST"
	}
	switch {
	case acting && r.Method == http.MethodPost:
		if err := h.cfg.Cancel(r.Context(), &id, job); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	case !acting && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		if strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
			return h.stream(w, r, job)
		}
		return answer(w, r, &info)
	}
	w.Header().Set("Allow", allow)
	return fault.New(fault.MethodNotAllowed, "Unsupported HTTP method").WithHint("this resource has %s", allow)
}

func unknown() error {
	return fault.New(fault.NotFound, "there is no such job, or it is not yours to follow").
		WithHint("GET %s/{id} tells the user who enqueued a job how it is doing; POST %s/{id}/cancel ends it", Prefix, Prefix)
}

func answer(w http.ResponseWriter, r *http.Request, info *queue.Info) error {
	body, err := json.Marshal(statusOf(info))
	if err != nil {
		return fault.Wrap(err, fault.Internal, "an internal error occurred")
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client may be gone
	}
	return nil
}

// heartbeat is how often a stream on which nothing happens says that it lives.
const heartbeat = 15 * time.Second

// stream tells each change until the job has finished.
func (h *handler) stream(w http.ResponseWriter, r *http.Request, job queue.ID) error {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	states := make(chan queue.Info)
	go func() {
		defer close(states)
		for info, err := range h.cfg.Queue.Watch(ctx, job) {
			if err != nil {
				return
			}
			select {
			case states <- info:
			case <-ctx.Done():
				return
			}
		}
	}()
	rc := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	send := func(text string) bool {
		_ = rc.SetWriteDeadline(time.Now().Add(heartbeat)) // not every connection has one
		if _, err := w.Write([]byte(text)); err != nil {
			return false
		}
		return rc.Flush() == nil
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		select {
		case info, ok := <-states:
			if !ok {
				return nil
			}
			body, err := json.Marshal(statusOf(&info))
			if err != nil || !send("event: "+info.State.String()+"\ndata: "+string(body)+"\n\n") {
				return nil // the client is gone
			}
			if info.State.Finished() {
				return nil
			}
		case <-beat.C:
			if !send(": \n\n") {
				return nil
			}
		case <-ctx.Done():
			return nil
		}
	}
}
