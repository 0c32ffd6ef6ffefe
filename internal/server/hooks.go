package server

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pandobase/pando/internal/api/hooks"
	"github.com/pandobase/pando/internal/edge"
	"github.com/pandobase/pando/internal/events"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/jobs"
	"github.com/pandobase/pando/internal/limit"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/queue"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/webhooks"
)

// deliveryKind begins the kinds and the queues of jobs that deliver to a webhook:
// each has a queue of its own, so that none waits for another one's receiver.
const deliveryKind = "webhook:"

// deliveries is how many deliveries of a webhook run at once on a node.
const deliveries = 4

// deliveryTries bounds the tries of a delivery; webhooks.Next ends them before.
const deliveryTries = 100

// queuesOf are the queues of an application: those of its jobs, and one of each
// webhook.
func queuesOf(app *model.App) map[string]int {
	out := jobs.New(app).Queues()
	for _, m := range app.Modules {
		for _, w := range m.Webhooks {
			out[deliveryKind+w.QualifiedName()] = deliveries
		}
	}
	return out
}

// openWebhooks opens what the store knows of the webhooks.
func (n *Node) openWebhooks(ctx context.Context, driver store.Driver) *webhooks.Webhooks {
	return webhooks.Open(ctx, webhooks.Config{
		Driver: driver, Outbound: n.outbound, Secrets: n.secrets.Get, Log: n.opt.Log,
		Notice: func(_ context.Context, no webhooks.Notice) {
			n.opt.Log.Error("a webhook is disabled: it has failed for too long; `pando webhooks enable` tries it again",
				"webhook", no.Endpoint, "since", no.Since, "reason", no.Reason)
		},
	})
}

// endpoints are the receivers of an application's webhooks.
func endpoints(app *model.App) []webhooks.Endpoint {
	var out []webhooks.Endpoint
	for _, m := range app.Modules {
		for _, w := range m.Webhooks {
			out = append(out, webhooks.Endpoint{
				Name: w.QualifiedName(), URL: w.URL, Sign: strings.TrimPrefix(w.Sign, "secret:"), Private: w.Private, Timeout: w.Timeout,
				Rate: limit.Rate{Count: w.Rate.Count, Per: w.Rate.Per}, DisableAfter: w.Disable,
			})
		}
	}
	return out
}

func delivery(name string, body []byte) queue.Job {
	kind := deliveryKind + name
	return queue.Job{Kind: kind, Queue: kind, Args: body, Attempts: deliveryTries, Timeout: time.Minute}
}

// webhookConsumers hand events to the webhooks that wait for them.
func (n *Node) webhookConsumers(live *live) []events.Consumer {
	var out []events.Consumer
	source, q := "/"+live.app.Model.Config.App, live.queue
	for _, m := range live.app.Model.Modules {
		for _, w := range m.Webhooks {
			out = append(out, events.Consumer{
				Name: consumerName(w.QualifiedName()), Types: []string{w.Trigger.Type()},
				Apply: func(_ context.Context, tx store.Tx, batch []events.Delivery) error {
					list := make([]queue.Job, len(batch))
					for i := range batch {
						body, err := events.Encode(source, &batch[i].Event)
						if err != nil {
							return err
						}
						list[i] = delivery(w.QualifiedName(), body)
					}
					_, err := q.Enqueue(tx, list...)
					return err
				},
			})
		}
	}
	return out
}

// deliver makes one try of a delivery; mine is false for other jobs.
func (n *Node) deliver(ctx context.Context, live *live, w *queue.Work) (mine bool, err error) {
	name, mine := strings.CutPrefix(w.Kind, deliveryKind)
	if !mine {
		return false, nil
	}
	ev, err := events.Decode(w.Args)
	if err != nil {
		return true, queue.Discard(err)
	}
	err = live.webhooks.Deliver(ctx, webhooks.Delivery{Endpoint: name, ID: ev.ID, Event: ev.Type, Body: w.Args, Try: w.Try})
	failed := new(webhooks.Failed)
	if !errors.As(err, &failed) {
		return true, err
	}
	wait, again := webhooks.Next(w.Try, failed, rand.Float64()) //nolint:gosec // of a pause
	switch {
	case !again:
		return true, queue.Discard(err)
	case failed.Deferred:
		return true, queue.Snooze(wait)
	}
	return true, queue.RetryAfter(wait, err)
}

// hooksDoor is the handler of /hooks/v1.
func (n *Node) hooksDoor(app *Application) (http.Handler, error) {
	taken := map[string]*model.Integration{}
	for _, m := range app.Model.Modules {
		for _, in := range m.Integrations {
			if in.Hook != nil {
				taken[in.Name] = in
			}
		}
	}
	return hooks.New(hooks.Config{
		Integrations: func(name string) (hooks.Integration, bool) {
			in := taken[name]
			if in == nil {
				return hooks.Integration{}, false
			}
			return hooks.Integration{Secret: strings.TrimPrefix(in.Hook.Sign, "secret:"), MaxBody: app.Model.Config.Limits.Body}, true
		},
		Secrets: n.secrets.Get, Store: &hookStore{n.queue, taken}, Client: func(r *http.Request) string { return edge.ClientIP(r.Context()) },
		Meter: n.opt.Meter, Logger: n.opt.Log, RequestID: edge.RequestIDOf,
	})
}

// hookStore keeps a webhook that came in as the job that works on it.
type hookStore struct {
	queue *queue.Queue
	taken map[string]*model.Integration
}

// hookMemory is how long a webhook is known that has come before.
const hookMemory = 3 * 24 * time.Hour

// received is what a job is given of a webhook.
type received struct {
	ID          string          `json:"id"`
	Integration string          `json:"integration"`
	SentAt      time.Time       `json:"sent_at"`
	ReceivedAt  time.Time       `json:"received_at"`
	ContentType string          `json:"content_type"`
	Body        json.RawMessage `json:"body"`               // as JSON, or a text
	Encoding    string          `json:"encoding,omitempty"` // base64, where it is neither
}

// Store implements hooks.Store.
func (s *hookStore) Store(ctx context.Context, h *hooks.Hook) (fresh bool, err error) {
	in := s.taken[h.Integration]
	r := received{ID: h.ID, Integration: in.Name, SentAt: h.SentAt.UTC(), ReceivedAt: h.ReceivedAt.UTC(), ContentType: h.ContentType, Body: h.Body}
	if !json.Valid(h.Body) {
		text := string(h.Body)
		if !utf8.Valid(h.Body) || strings.IndexByte(text, 0) >= 0 {
			text, r.Encoding = base64.StdEncoding.EncodeToString(h.Body), "base64"
		}
		if r.Body, err = json.Marshal(text); err != nil {
			return false, fault.Wrap(err, fault.Internal, "an internal error occurred")
		}
	}
	args, err := json.Marshal(&r)
	if err != nil {
		return false, fault.Wrap(err, fault.Internal, "an internal error occurred")
	}
	job := jobs.ForHook(in.Hook.Job, args)
	job.Unique, job.Window = in.QualifiedName()+"/"+h.ID, hookMemory
	got, err := s.queue.Add(ctx, job)
	if err != nil {
		return false, err
	}
	return !got[0].Existed, nil
}

// redelivery queues deliveries again.
type redelivery struct{ queue *queue.Queue }

// Enqueue implements webhooks.Enqueuer.
func (r redelivery) Enqueue(ctx context.Context, list []webhooks.Delivery) error {
	out := make([]queue.Job, len(list))
	for i, d := range list {
		out[i] = delivery(d.Endpoint, d.Body)
	}
	_, err := r.queue.Add(ctx, out...)
	return err
}

func (n *Node) webhookCommands(handle func(pattern string, fn func(http.ResponseWriter, *http.Request) error)) {
	handle("GET /webhooks", n.cmdWebhooks)
	handle("GET /webhooks/{name}/deliveries", n.cmdDeliveries)
	handle("POST /webhooks/{name}/enable", n.onWebhook("admin.webhook.enable", func(ctx context.Context, w *webhooks.Webhooks, name string) error { return w.Enable(ctx, name) }))
	handle("POST /webhooks/{name}/disable", n.onWebhook("admin.webhook.disable", func(ctx context.Context, w *webhooks.Webhooks, name string) error {
		return w.Disable(ctx, name, "by hand")
	}))
	handle("POST /webhooks/{name}/replay", n.cmdRedeliver)
}

func (n *Node) cmdWebhooks(w http.ResponseWriter, r *http.Request) error {
	live := n.live.Load()
	known, err := live.webhooks.List(r.Context())
	if err != nil {
		return err
	}
	states := map[string]webhooks.Status{}
	for _, s := range known {
		states[s.Endpoint] = s
	}
	out := []webhooks.Status{}
	for _, e := range endpoints(live.app.Model) {
		s := states[e.Name]
		s.Endpoint = e.Name
		out = append(out, s)
	}
	return answer(w, out)
}

// webhook is the webhook that a command names.
func (n *Node) webhook(r *http.Request) (*live, string, error) {
	live, name := n.live.Load(), r.PathValue("name")
	var names []string
	for _, e := range endpoints(live.app.Model) {
		if e.Name == name {
			return live, name, nil
		}
		names = append(names, e.Name)
	}
	f := fault.New(fault.NotFound, "there is no webhook %s", name)
	if near := fault.Nearest(name, names); near != "" {
		f = f.WithHint("did you mean %s?", near)
	}
	return nil, "", f
}

func (n *Node) cmdDeliveries(w http.ResponseWriter, r *http.Request) error {
	live, name, err := n.webhook(r)
	if err != nil {
		return err
	}
	const most = 100
	list, err := live.webhooks.Recent(r.Context(), name, most)
	if err != nil {
		return err
	}
	return answer(w, list)
}

func (n *Node) onWebhook(action string, do func(context.Context, *webhooks.Webhooks, string) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		live, name, err := n.webhook(r)
		if err == nil {
			if err = do(r.Context(), live.webhooks, name); err == nil {
				err = n.administered(r, action, name)
			}
		}
		if err != nil {
			return err
		}
		return answer(w, struct{}{})
	}
}

func (n *Node) cmdRedeliver(w http.ResponseWriter, r *http.Request) error {
	live, name, err := n.webhook(r)
	if err != nil {
		return err
	}
	if r.FormValue("from") == "" {
		return fault.New(fault.BadRequest, "from when on?").WithHint("--from 1h")
	}
	from, err := moment(r.FormValue("from"), time.Time{})
	if err != nil {
		return err
	}
	to, err := moment(r.FormValue("to"), time.Now())
	if err != nil {
		return err
	}
	sent, err := live.webhooks.Replay(r.Context(), name, from, to, redelivery{live.queue})
	if err != nil {
		return err
	}
	if err := n.administered(r, "admin.webhook.replay", name); err != nil {
		return err
	}
	return answer(w, map[string]int{"deliveries": sent})
}

// door is a door whose requests only read, but for what their handlers see to.
func (n *Node) door(of func(*live) http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { of(n.live.Load()).ServeHTTP(w, r) })
}
