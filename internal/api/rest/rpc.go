package rest

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"slices"

	"github.com/pandobase/pando/internal/api/position"
	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/operations"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/value"
)

// rpc answers for an operation. POST gives the input as an object; GET, of an
// operation that only reads, as query parameters.
func (h *handler) rpc(w http.ResponseWriter, r *http.Request, id policy.Identity, module, name string) error {
	if h.operations == nil {
		return fault.New(fault.UnknownOperation, "Could not find the operation %s", shorten(name))
	}
	var view *model.View
	if h.names != nil {
		view = h.names.view
	}
	op, err := h.operations.Find(view, module, name)
	if err != nil {
		return err
	}
	methods := "OPTIONS,POST"
	if op.Reads {
		methods = "OPTIONS,GET,HEAD,POST"
	}
	q := &request{handler: h, w: w, r: r, id: id}
	if r.Method != http.MethodOptions && h.operations.Allows(id, op) { // who may not call it is not told what replaces it
		if err := q.calls(op); err != nil {
			return err
		}
	}
	call := &operations.Call{Operation: op}
	switch {
	case r.Method == http.MethodOptions:
		return options(w, methods)
	case r.Method == http.MethodPost:
		call.Input, err = q.posted(op)
	case op.Reads && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		call.Input, err = queried(op, r.URL.RawQuery, h.limits)
	default:
		return methodNotAllowed(w, r, methods)
	}
	if err != nil {
		return err
	}
	if q.rep, err = negotiate(r.Header["Accept"], false); err != nil {
		return err
	}
	if q.rep.media == mediaCSV || q.rep.media == mediaNDJSON {
		return notAcceptable("CSV and NDJSON", false).WithHint("an operation answers application/json")
	}
	if q.prefer, err = parsePrefer(r.Header["Prefer"]); err != nil {
		return err
	}
	if r.Method == http.MethodPost {
		if call.Idempotency, err = q.idempotency(string(call.Input)); err != nil {
			return err
		}
	}
	w.Header().Set("Content-Profile", op.Module.Name)
	res, err := h.operations.Call(r.Context(), id, call)
	if err != nil {
		return err
	}
	defer res.Release()
	return q.answerCall(op, res)
}

// posted is the input in the body.
func (q *request) posted(op *model.Operation) ([]byte, error) {
	if q.r.URL.RawQuery != "" {
		return nil, fault.New(fault.NotImplemented, "an operation takes no query parameters with POST").
			WithDetails("there is %s", shorten(q.r.URL.RawQuery)).WithHint("its input stands in the body; its output is answered as a whole")
	}
	body, err := readBody(q.w, q.r, q.body)
	if err != nil {
		return nil, err
	}
	if len(body) == 0 {
		return nil, nil
	}
	if ct := q.r.Header.Get("Content-Type"); ct != "" {
		if t, _, err := mime.ParseMediaType(ct); err != nil || t != "application/json" {
			return nil, fault.New(fault.UnsupportedMediaType, "%s is not supported", shorten(ct)).WithHint("send %s's input as application/json", op)
		}
	}
	return []byte(body), nil
}

// queried is the input in the query string: each value as text, a list as JSON or as
// PostgreSQL writes an array, which clients do, an object as JSON.
func queried(op *model.Operation, raw string, l limits) ([]byte, error) {
	vals, err := url.ParseQuery(raw)
	if err != nil {
		return nil, fault.New(fault.Parse, "the query string is not understood").WithDetails("%s", err)
	}
	if len(vals) > l.filters {
		return nil, fault.New(fault.LimitExceeded, "more than %d parameters", l.filters)
	}
	names := make([]string, 0, len(vals))
	for name := range vals {
		names = append(names, name)
	}
	slices.Sort(names)
	out := []byte{'{'}
	for i, name := range names {
		if len(vals[name]) > 1 {
			return nil, fault.New(fault.InvalidInput, "%s: it is given twice", shorten(name))
		}
		if i > 0 {
			out = append(out, ',')
		}
		out = append(value.AppendQuoted(out, name), ':')
		at := slices.IndexFunc(op.Input, func(p *model.Param) bool { return p.Name == name })
		if at < 0 { // the operation refuses it by name
			out = append(out, "null"...)
			continue
		}
		if out, err = appendQueried(out, op.Input[at], vals[name][0]); err != nil {
			return nil, err
		}
	}
	return append(out, '}'), nil
}

func appendQueried(dst []byte, p *model.Param, text string) ([]byte, error) {
	if p.Fields == nil && (p.List || p.Type.Kind != value.JSON) {
		v, err := p.Type.FromText(text)
		if err != nil {
			f := fault.From(err)
			told := fault.New(fault.InvalidInput, "%s: %s", p.Name, f.Message)
			told.Details, told.Hint = f.Details, f.Hint
			return nil, told
		}
		return p.Type.AppendJSON(dst, v), nil
	}
	if !json.Valid([]byte(text)) {
		return nil, fault.New(fault.InvalidInput, "%s: this is no JSON", p.Name)
	}
	return append(dst, text...), nil
}

func (q *request) answerCall(op *model.Operation, res *engine.Result) error {
	h := q.w.Header()
	position.Tell(h, res.Position, q.secure || q.r.TLS != nil)
	if res.Replayed {
		h.Set("Idempotency-Replayed", "true")
	}
	a := reply{status: http.StatusOK, contentType: q.rep.contentType(), body: res.Body}
	if len(a.body) == 0 || q.prefer.answer == answerMinimal {
		a.status = http.StatusNoContent
		return a.sendEmpty(q.w)
	}
	if op.Output != nil && op.Output.Entity != nil && q.names != nil {
		if seen := q.names.star(op.Output.Entity); seen != nil {
			a.body = renamed(a.body, seen)
		}
	}
	if q.rep.media == mediaObject && op.Output != nil && op.Output.List {
		var rows []json.RawMessage
		if err := json.Unmarshal(a.body, &rows); err != nil {
			return fault.Wrap(err, fault.Internal, "an internal error occurred")
		}
		if len(rows) != 1 {
			return notSingular(len(rows))
		}
		a.body = rows[0]
	}
	if q.rep.media == mediaArray && (op.Output == nil || !op.Output.List) {
		a.body = slices.Concat([]byte{'['}, bytes.TrimSpace(a.body), []byte{']'})
	}
	if q.rep.stripped {
		a.body = stripNulls(a.body)
	}
	return a.send(q.w, q.r)
}
