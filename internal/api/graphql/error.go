package graphql

import (
	"context"
	"errors"
	"maps"
	"net/http"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/pandobase/pando/internal/api/problem"
	"github.com/pandobase/pando/internal/fault"
)

// gqlError is one error of an answer (section 7.1.2). Extensions hold what a
// problem document would say beside the message: code, status, details, hint
// and the request's id.
type gqlError struct {
	Message    string         `json:"message"`
	Locations  []location     `json:"locations,omitempty"`
	Path       []any          `json:"path,omitempty"`
	Extensions map[string]any `json:"extensions,omitempty"`

	fault *fault.Error // what it was made of
}

// location is a place in the document; both count from 1.
type location struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}

// requestKey finds the request in a context, for the log and the request's id.
type requestKey struct{}

// errorOf is an error as the caller may see it. What is the server's fault goes
// to the log, with its cause. path and pos may be nil.
func (d *door) errorOf(ctx context.Context, err error, path []any, pos *ast.Position) *gqlError {
	var id string
	if r, ok := ctx.Value(requestKey{}).(*http.Request); ok {
		d.problems.Log(r, err)
		if d.problems.RequestID != nil {
			id = d.problems.RequestID(r)
		}
	}
	f := fault.From(err)
	doc := problem.Of(f, id)
	out := &gqlError{Message: doc.Message, Locations: locations(pos), Path: path, Extensions: map[string]any{}, fault: f}
	if at, ok := errors.AsType[*refused](err); ok {
		out.Locations = at.pos
	}
	maps.Copy(out.Extensions, f.Extra)
	out.Extensions["code"], out.Extensions["status"] = doc.Code, doc.Status
	if doc.Details != nil {
		out.Extensions["details"] = *doc.Details
	}
	if doc.Hint != nil {
		out.Extensions["hint"] = *doc.Hint
	}
	if id != "" {
		out.Extensions["requestId"] = id
	}
	return out
}

// locations is where a position is; nil: nowhere that the document has.
func locations(pos *ast.Position) []location {
	if pos == nil || pos.Line <= 0 {
		return nil
	}
	return []location{{Line: pos.Line, Column: pos.Column}}
}

// refused is a fault before execution, at a place of the document.
type refused struct {
	fault *fault.Error
	pos   []location
}

// Error implements error.
func (r *refused) Error() string { return r.fault.Error() }

// Unwrap returns the fault.
func (r *refused) Unwrap() error { return r.fault }

// invalid is a fault at a place of the document; pos may be nil.
func invalid(pos *ast.Position, code fault.Code, format string, args ...any) *refused {
	return &refused{fault: fault.New(code, format, args...), pos: locations(pos)}
}

// because says more of the fault, and returns it.
func (r *refused) because(extra map[string]any, hint string) *refused {
	r.fault.Extra, r.fault.Hint = extra, hint
	return r
}

// maxDocumentErrors is how many errors of a document an answer tells of.
const maxDocumentErrors = 10

// documentErrors are what the parser or the validation finds wrong.
func documentErrors(code fault.Code, err error) []error {
	var list gqlerror.List
	if one := (*gqlerror.Error)(nil); errors.As(err, &one) {
		list = gqlerror.List{one}
	}
	errors.As(err, &list)
	out := make([]error, 0, min(len(list), maxDocumentErrors))
	for _, e := range list {
		if len(out) == maxDocumentErrors {
			break
		}
		told := &refused{fault: fault.New(code, "%s", e.Message)}
		for _, l := range e.Locations {
			if l.Line > 0 {
				told.pos = append(told.pos, location{Line: l.Line, Column: l.Column})
			}
		}
		out = append(out, told)
	}
	if len(out) == 0 {
		out = append(out, fault.Wrap(err, fault.Internal, "an internal error occurred"))
	}
	return out
}
