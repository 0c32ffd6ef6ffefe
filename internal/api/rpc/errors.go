package rpc

import (
	"context"
	"errors"
	"net/http"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/pandobase/pando/internal/fault"
)

// errorDomain is the domain of google.rpc.ErrorInfo: reasons are Pando's codes.
const errorDomain = "pando"

// fault is an error as clients of the protocols get it: the canonical code, the
// public message, and google.rpc details. Its cause goes to the log.
func (d *Door) fault(r *http.Request, m *method, err error) *connect.Error {
	if told, ok := errors.AsType[*connect.Error](err); ok {
		return told
	}
	f := fault.From(err)
	d.problems.Log(r, f)
	code := connect.Code(f.RPC())
	if f.Code == fault.QueryCanceled && errors.Is(context.Cause(r.Context()), context.Canceled) {
		code = connect.CodeCanceled
	}
	out := connect.NewError(code, errors.New(shorten(f.Message)))
	info := &errdetails.ErrorInfo{Reason: string(f.Code), Domain: errorDomain, Metadata: map[string]string{}}
	id := ""
	if d.cfg.RequestID != nil {
		id = d.cfg.RequestID(r)
	}
	for name, text := range map[string]string{"details": f.Details, "hint": f.Hint, "request_id": id} {
		if text != "" {
			info.Metadata[name] = shorten(text)
		}
	}
	detail(out, info)
	if f.Field != "" {
		detail(out, &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{
			Field: m.fieldName(f.Field), Description: shorten(f.Message), Reason: string(f.Code),
		}}})
	}
	if f.RetryAfter > 0 {
		detail(out, &errdetails.RetryInfo{RetryDelay: durationpb.New(f.RetryAfter)})
	}
	return out
}

func detail(e *connect.Error, m proto.Message) {
	if d, err := connect.NewErrorDetail(m); err == nil { // it fails for what is no message
		e.AddDetail(d)
	}
}

// fieldName is what the version calls a field that a fault is about.
func (m *method) fieldName(name string) string {
	if m == nil || m.entity == nil {
		return name
	}
	for _, f := range m.entity.row.fields {
		if f.json == name {
			return f.name
		}
	}
	return name
}
