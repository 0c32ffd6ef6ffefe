// Package audit is the door /audit/v1: who did what, for those who have to know.
// It answers records as JSON pages, or as a stream of NDJSON or CloudEvents, to
// service callers and to users with the role auditor, and to nobody else. Every
// answer is on record before its first byte, and so is every refusal.
package audit

import (
	"encoding/json"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/pandobase/pando/internal/api/problem"
	trail "github.com/pandobase/pando/internal/audit"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/policy"
)

// Prefix is where the door is mounted.
const Prefix = "/audit/v1"

// Role is the application's role that opens the door to a user.
const Role = "auditor"

// The media types of an answer.
const (
	mediaJSON   = "application/json"
	mediaNDJSON = "application/x-ndjson"
	mediaEvents = "application/cloudevents-batch+json"
)

// Config is what the door stands on. Log and Authenticate are required.
type Config struct {
	Log *trail.Log
	// Authenticate names the caller. Its error is the answer.
	Authenticate func(*http.Request) (policy.Identity, error)
	// Source names the application in events. Default: Prefix.
	Source    string
	Logger    *slog.Logger
	RequestID func(*http.Request) string
}

type handler struct {
	cfg      Config
	problems problem.Writer
}

// New returns the door's handler. It is safe for concurrent use.
func New(c Config) http.Handler {
	if c.Source == "" {
		c.Source = Prefix
	}
	return &handler{cfg: c, problems: problem.Writer{RequestID: c.RequestID, Logger: c.Logger}}
}

// ServeHTTP implements [http.Handler].
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := h.serve(w, r); err != nil {
		h.problems.WriteProblem(w, r, err)
	}
}

// serve answers r, or returns a fault and has written nothing.
func (h *handler) serve(w http.ResponseWriter, r *http.Request) error {
	id, err := h.cfg.Authenticate(r)
	if err != nil {
		return err
	}
	path := strings.TrimPrefix(r.URL.Path, Prefix)
	by := trail.FromIdentity(&id)
	by.Door, by.Method, by.Entity = "audit", r.Method, "audit"
	by.Operation = operation(path)
	by.Action = by.Operation
	if err := h.allowed(r, &id, &by); err != nil {
		return err
	}
	if by.Operation == "" {
		return fault.New(fault.InvalidPath, "Invalid path specified in request URL").
			WithHint("there are %s/records, %[1]s/records/ID and %[1]s/checkpoint", Prefix)
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET,HEAD")
		return fault.New(fault.MethodNotAllowed, "the audit trail can only be read")
	}
	w.Header().Set("Cache-Control", "no-store")
	switch by.Operation {
	case "audit.search":
		return h.records(w, r, by)
	case "audit.get":
		return h.record(w, r, by, strings.TrimPrefix(path, "/records/"))
	}
	return h.checkpoint(w, r, by)
}

// operation names what a path asks for; empty: nothing.
func operation(path string) string {
	switch {
	case path == "/records":
		return "audit.search"
	case path == "/checkpoint":
		return "audit.checkpoint"
	case strings.HasPrefix(path, "/records/"):
		return "audit.get"
	}
	return ""
}

// allowed refuses who may not read the trail. Of callers who are known, the
// refusal is on record.
func (h *handler) allowed(r *http.Request, id *policy.Identity, by *trail.Record) error {
	switch {
	case id.Modules == nil && (id.Role == policy.Service || id.Role == policy.Authenticated && id.HasRole(Role)):
		return nil // a key of some modules must not tell of the others
	case id.Role != policy.Authenticated && id.Role != policy.Service:
		h.cfg.Log.Count(id.Key, "audit")
		return fault.New(fault.MissingCredential, "the audit trail is not public").
			WithHint("sign in as a user with the role %s, or send the secret key as the apikey header", Role)
	}
	by.Rule = "audit.read"
	if by.Action == "" {
		by.Action = "audit.search"
	}
	if err := h.cfg.Log.Refuse(r.Context(), by); err != nil {
		return err
	}
	return fault.New(fault.Forbidden, "permission denied for the audit trail").
		WithHint("it takes the role %s: declare it under roles in pando.yaml and give it to the user", Role)
}

// accept chooses the media type of the answer.
func accept(r *http.Request) (string, error) {
	all := strings.Join(r.Header.Values("Accept"), ",")
	if strings.TrimSpace(all) == "" {
		return mediaJSON, nil
	}
	best, weight := "", 0.0
	for part := range strings.SplitSeq(all, ",") {
		name, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		q := 1.0
		if text, ok := params["q"]; ok {
			if q, err = strconv.ParseFloat(text, 64); err != nil {
				continue
			}
		}
		switch name {
		case "*/*", "application/*":
			name = mediaJSON
		case mediaJSON, mediaNDJSON, mediaEvents:
		default:
			continue
		}
		if q > weight {
			best, weight = name, q
		}
	}
	if best == "" {
		return "", fault.New(fault.NotAcceptable, "None of these media types are available: %s", all).
			WithHint("there are %s, %s and %s", mediaJSON, mediaNDJSON, mediaEvents)
	}
	return best, nil
}

func (h *handler) records(w http.ResponseWriter, r *http.Request, by trail.Record) error {
	media, err := accept(r)
	if err != nil {
		return err
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return fault.New(fault.Parse, "the query of the URL cannot be read")
	}
	q, err := trail.ParseQuery(values)
	if err != nil {
		return err
	}
	by.Detail = map[string]string{"query": values.Encode()}
	if media == mediaJSON {
		page, err := h.cfg.Log.Search(r.Context(), q)
		if err != nil {
			return err
		}
		by.Rows = len(page.Records)
		if err := h.cfg.Log.Write(r.Context(), &by); err != nil {
			return err
		}
		return answer(w, r, page)
	}
	if q.Before != 0 || q.Limit != 0 {
		return fault.New(fault.Parse, "before and limit are for pages: %s has all records that match", media).
			WithHint("choose them with from and to, or ask for %s", mediaJSON)
	}
	by.Action = "audit.export"
	if err := h.cfg.Log.Write(r.Context(), &by); err != nil {
		return err
	}
	format := trail.NDJSON
	if media == mediaEvents {
		format = trail.EventBatch
	}
	w.Header().Set("Content-Type", media)
	if r.Method == http.MethodHead {
		return nil
	}
	out := &begun{w: w}
	if _, err := h.cfg.Log.Export(r.Context(), q, format, h.cfg.Source, out); err != nil {
		if !out.yes {
			w.Header().Del("Content-Type")
			return err
		}
		h.problems.Log(r, err)
		panic(http.ErrAbortHandler) // the client must not take a part for the whole
	}
	return nil
}

// begun remembers whether the answer has begun.
type begun struct {
	w   http.ResponseWriter
	yes bool
}

// Write implements io.Writer.
func (b *begun) Write(p []byte) (int, error) {
	b.yes = true
	return b.w.Write(p)
}

func (h *handler) record(w http.ResponseWriter, r *http.Request, by trail.Record, text string) error {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return fault.New(fault.Parse, "%q is no record's id", text).WithHint("it is a whole number")
	}
	if r.URL.RawQuery != "" {
		return fault.New(fault.Parse, "a single record takes no parameters")
	}
	rec, err := h.cfg.Log.Get(r.Context(), id)
	if err != nil {
		return err
	}
	by.Keys, by.Rows = []string{text}, 1
	if err := h.cfg.Log.Write(r.Context(), &by); err != nil {
		return err
	}
	return answer(w, r, rec)
}

// checkpoint answers a signed statement of where the trail ends, for somebody
// who keeps it elsewhere.
func (h *handler) checkpoint(w http.ResponseWriter, r *http.Request, by trail.Record) error {
	if r.URL.RawQuery != "" {
		return fault.New(fault.Parse, "a checkpoint takes no parameters")
	}
	if err := h.cfg.Log.Write(r.Context(), &by); err != nil {
		return err
	}
	c, err := h.cfg.Log.Checkpoint(r.Context())
	if err != nil {
		return err
	}
	return answer(w, r, c)
}

func answer(w http.ResponseWriter, r *http.Request, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "an internal error occurred")
	}
	w.Header().Set("Content-Type", mediaJSON)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client may be gone; there is nobody left to tell
	}
	return nil
}
