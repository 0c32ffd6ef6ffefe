// Package hooks is the door /hooks/v1/{integration}: webhooks of other systems,
// signed as Standard Webhooks 1.0 says.
//
// Nothing of a request is interpreted before its signature is verified over the
// raw body, and nothing is answered with success before it is stored. One that
// comes again is stored once. An integration that takes no webhooks does not exist
// here, one whose secret is missing lets nothing through, and a signature that is
// wrong is told from another one by nobody. Requests are counted against a rate
// by integration and network before they cost a signature.
package hooks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/pandobase/pando/internal/api/problem"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/limit"
	"github.com/pandobase/pando/internal/webhooks"
)

// Prefix is where the door is mounted.
const Prefix = "/hooks/v1"

// DefaultMaxBody bounds a body, in bytes.
const DefaultMaxBody = 1 << 20

// Hook is a webhook whose signature is right.
type Hook struct {
	Integration string
	ID          string    // the sender's: the same when it comes again
	SentAt      time.Time // by the sender's clock
	ReceivedAt  time.Time
	ContentType string
	Body        []byte // as it came; the door does not know whether it is what ContentType says
}

// Store keeps hooks.
type Store interface {
	// Store stores a hook and queues what it starts in one transaction, unless
	// one with the same integration and id is stored: then fresh is false. When
	// it returns, the hook is on disk.
	Store(ctx context.Context, h *Hook) (fresh bool, err error)
}

// Integration is how the webhooks of one are taken.
type Integration struct {
	// Secret is the name of the secret that they are signed with; it may hold
	// several keys with spaces between them. Empty: it takes no webhooks.
	Secret  string
	MaxBody int64      // default 1 MiB
	Rate    limit.Rate // of requests from one network; default 100 per second
}

// Config is what the door stands on. Integrations, Secrets, Store and Client are
// required.
type Config struct {
	// Integrations finds an integration by its name in the path.
	Integrations func(name string) (Integration, bool)
	Secrets      func(name string) (string, error)
	Store        Store
	// Client returns the address of the client that sent a request.
	Client    func(*http.Request) string
	Limiter   limit.Limiter    // default: in memory
	Now       func() time.Time // default time.Now
	Meter     metric.Meter     // default: nothing is measured
	Logger    *slog.Logger     // default: none
	RequestID func(*http.Request) string
}

type handler struct {
	cfg      Config
	problems problem.Writer
	received metric.Int64Counter
}

// New returns the door's handler. It is safe for concurrent use.
func New(c Config) (http.Handler, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Limiter == nil {
		c.Limiter = limit.NewMemory(limit.MemoryConfig{Now: c.Now, Keys: 1 << 16})
	}
	if c.Meter == nil {
		c.Meter = noop.NewMeterProvider().Meter("")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	received, err := c.Meter.Int64Counter("pando.hooks.received", metric.WithUnit("{hook}"),
		metric.WithDescription("Webhooks that came in, by integration and outcome."))
	if err != nil {
		return nil, fmt.Errorf("hooks: %w", err)
	}
	return &handler{cfg: c, received: received, problems: problem.Writer{RequestID: c.RequestID, Logger: c.Logger}}, nil
}

// The outcomes that are counted.
const (
	stored    = "stored"
	repeated  = "repeated"
	unsigned  = "bad_signature"
	limited   = "limited"
	malformed = "malformed"
	failed    = "failed"
)

// ServeHTTP implements [http.Handler].
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, in, err := h.find(w, r)
	if err != nil {
		h.problems.WriteProblem(w, r, err)
		return
	}
	outcome, err := h.receive(w, r, name, in)
	h.received.Add(r.Context(), 1, metric.WithAttributeSet(attribute.NewSet(
		attribute.String("pando.integration", name), attribute.String("pando.outcome", outcome))))
	switch {
	case err != nil:
		h.problems.WriteProblem(w, r, err)
	case outcome == stored:
		w.WriteHeader(http.StatusAccepted)
	default:
		w.WriteHeader(http.StatusOK)
	}
}

// find is the integration of a request's path.
func (h *handler) find(w http.ResponseWriter, r *http.Request) (string, Integration, error) {
	name, ok := strings.CutPrefix(r.URL.Path, Prefix+"/")
	var in Integration
	if ok && name != "" && !strings.Contains(name, "/") {
		in, ok = h.cfg.Integrations(name)
	}
	if !ok || in.Secret == "" {
		return "", in, fault.New(fault.NotFound, "there is no such integration").
			WithHint("webhooks come in at %s/INTEGRATION, for integrations that declare hook: in their module", Prefix)
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return "", in, fault.New(fault.MethodNotAllowed, "a webhook is a POST")
	}
	if in.MaxBody <= 0 {
		in.MaxBody = DefaultMaxBody
	}
	if in.Rate == (limit.Rate{}) {
		in.Rate = limit.Rate{Count: 100, Per: time.Second}
	}
	return name, in, nil
}

// receive takes one webhook; the outcome is told in either case.
func (h *handler) receive(w http.ResponseWriter, r *http.Request, name string, in Integration) (string, error) {
	ok, retry, err := h.cfg.Limiter.Take(r.Context(), "hook "+name+" "+limit.Network(h.cfg.Client(r)), in.Rate)
	if err != nil {
		return failed, err
	}
	if !ok {
		f := fault.New(fault.AuthRateLimit, "too many webhooks from this address").WithHint("try again later")
		f.RetryAfter = retry
		return limited, f
	}
	body, err := h.read(w, r, in.MaxBody)
	if err != nil {
		return malformed, err
	}
	now := h.cfg.Now()
	secret, err := h.cfg.Secrets(in.Secret)
	if err != nil {
		h.cfg.Logger.Error("webhooks are refused: their secret is missing", "integration", name, "secret", in.Secret)
		secret = "" // as for the wrong one: nothing is let through
	}
	v, err := webhooks.Verify(secret, r.Header, body, now)
	if err != nil {
		w.Header().Set("WWW-Authenticate", "Webhook-Signature")
		return unsigned, err
	}
	fresh, err := h.cfg.Store.Store(r.Context(), &Hook{
		Integration: name, ID: v.ID, SentAt: v.At, ReceivedAt: now, ContentType: contentType(r), Body: body,
	})
	switch {
	case err != nil:
		return failed, err
	case !fresh:
		return repeated, nil
	}
	return stored, nil
}

// read returns the raw body.
func (h *handler) read(w http.ResponseWriter, r *http.Request, most int64) ([]byte, error) {
	for _, coding := range r.Header.Values("Content-Encoding") {
		if coding != "" && !strings.EqualFold(coding, "identity") {
			return nil, fault.New(fault.UnsupportedMediaType, "a webhook is not compressed").
				WithHint("the signature is of the body as it is sent: send it without Content-Encoding")
		}
	}
	tooLarge := fault.New(fault.BodyTooLarge, "the webhook has more than %d bytes", most)
	if r.ContentLength > most {
		w.Header().Set("Connection", "close") // what is left is not read
		return nil, tooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	switch {
	case err == nil:
		return body, nil
	case errors.As(err, new(*http.MaxBytesError)):
		return nil, tooLarge
	case errors.As(err, new(*fault.Error)): // the edge's: it came too slowly, say
		return nil, err
	default:
		return nil, fault.Wrap(err, fault.InvalidBody, "the body did not arrive as a whole")
	}
}

// contentType is the media type that the sender names; empty: none that is one.
// It is not signed, and is passed on for what it is: a hint.
func contentType(r *http.Request) string {
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	const longest = 100
	if text := mime.FormatMediaType(media, params); err == nil && len(text) <= longest {
		return text
	}
	return ""
}
