// Package problem renders faults as RFC 9457 problem documents. It is the one
// renderer of every door and of the edge, so that an error looks the same
// wherever it was found: the members of the RFC, and beside them PostgREST's
// code, message, details and hint, which existing clients read.
//
// A problem shows the public side of a fault only; its cause goes to the log.
package problem

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"unicode/utf8"

	"github.com/pandobase/pando/internal/fault"
)

// ContentType is the media type of a problem document.
const ContentType = "application/problem+json"

// TypePrefix begins the "type" member; the fault's code follows it.
const TypePrefix = "urn:pando:problem:"

// Document is the body of a problem.
type Document struct {
	Type     string  `json:"type"`
	Title    string  `json:"title"`
	Status   int     `json:"status"`
	Detail   string  `json:"detail"`
	Instance string  `json:"instance,omitempty"` // the request id
	Code     string  `json:"code"`
	Message  string  `json:"message"`
	Details  *string `json:"details"`
	Hint     *string `json:"hint"`
}

// Of returns the document of an error. An error that is no fault is rendered
// as an internal one and shows nothing of itself. instance may be empty.
func Of(err error, instance string) Document {
	return of(fault.From(err), instance)
}

func of(f *fault.Error, instance string) Document {
	message := shorten(f.Message)
	d := Document{
		Type:     TypePrefix + string(f.Code),
		Title:    f.Code.Title(),
		Status:   f.HTTPStatus(),
		Detail:   message,
		Instance: instance,
		Code:     string(f.Code),
		Message:  message,
	}
	if details := shorten(f.Details); details != "" {
		d.Details = &details
	}
	if hint := shorten(f.Hint); hint != "" {
		d.Hint = &hint
	}
	return d
}

// shorten bounds a member, which may repeat a part of the request: a problem
// must not be a way to have megabytes sent back.
func shorten(s string) string {
	const longest = 1500 // bytes
	if len(s) <= longest {
		return s
	}
	n := longest
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// Writer answers requests with problems. Its zero value works; it is safe for
// concurrent use.
type Writer struct {
	// RequestID returns the id of a request, for the member "instance".
	// Default: none.
	RequestID func(*http.Request) string
	// Logger receives the faults whose status is 5xx, with their cause.
	// Default: slog.Default.
	Logger *slog.Logger
}

// WriteProblem answers r with err, which must not be nil. Nothing may have
// been written to w before. An answer to HEAD has the headers only; a 401
// says how to authenticate and a 503 when to try again.
func (p *Writer) WriteProblem(w http.ResponseWriter, r *http.Request, err error) {
	f := fault.From(err)
	var id string
	if p.RequestID != nil {
		id = p.RequestID(r)
	}
	p.log(r, f, id)
	if s := int64(math.Ceil(f.RetryAfter.Seconds())); s > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(s, 10))
	}
	write(w, r, of(f, id), f.Extra)
}

// Log logs err as WriteProblem would, for an answer that was begun already and
// can only be cut off.
func (p *Writer) Log(r *http.Request, err error) {
	var id string
	if p.RequestID != nil {
		id = p.RequestID(r)
	}
	p.log(r, fault.From(err), id)
}

// WriteProblem is [Writer.WriteProblem] of a Writer that knows no request id.
func WriteProblem(w http.ResponseWriter, r *http.Request, err error) {
	(&Writer{}).WriteProblem(w, r, err)
}

func write(w http.ResponseWriter, r *http.Request, d Document, extra map[string]any) {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false) // it is no HTML, and `>` stands in many hints
	if err := enc.Encode(d); err != nil {
		// A struct of strings and one int cannot fail to encode.
		panic(err)
	}
	if len(extra) > 0 {
		more, err := json.Marshal(extra)
		if err != nil {
			panic(err) // what doors put there are texts and lists of them
		}
		body.Truncate(body.Len() - len("}\n"))
		body.WriteByte(',')
		body.Write(more[1:])
	}
	h := w.Header()
	h.Set("Content-Type", ContentType)
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	h.Set("Cache-Control", "no-store")
	switch d.Status {
	case http.StatusUnauthorized:
		if h.Get("WWW-Authenticate") == "" { // a door may ask for another scheme
			h.Set("WWW-Authenticate", `Bearer realm="pando"`)
		}
	case http.StatusServiceUnavailable:
		if h.Get("Retry-After") == "" {
			h.Set("Retry-After", "1")
		}
	}
	w.WriteHeader(d.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body.Bytes()) // the client may be gone; there is nobody left to tell
	}
}

// log leaves out what is the client's own mistake.
func (p *Writer) log(r *http.Request, f *fault.Error, id string) {
	if f.HTTPStatus() < http.StatusInternalServerError {
		return
	}
	logger := p.Logger
	if logger == nil {
		logger = slog.Default()
	}
	attrs := []slog.Attr{
		slog.String("code", string(f.Code)),
		slog.String("method", r.Method),
		slog.String("path", r.URL.Path),
	}
	if id != "" {
		attrs = append(attrs, slog.String("request_id", id))
	}
	if f.Cause != nil {
		attrs = append(attrs, slog.String("cause", f.Cause.Error()))
	}
	logger.LogAttrs(r.Context(), slog.LevelError, f.Message, attrs...)
}
