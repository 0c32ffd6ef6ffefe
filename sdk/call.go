package pando

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/operations"
)

// None is the input or the output that there is none of.
type None = struct{}

// OperationName is module.name of an operation, with the types of what it takes and
// answers. `pando gen go` writes a constant for each.
type OperationName[In, Out any] string

// Call calls the operation as [Call] does.
func (n OperationName[In, Out]) Call(ctx context.Context, in In) (Out, error) {
	return Call[Out](ctx, string(n), in)
}

// JobName is module.name of a job that code enqueues or a schedule starts, with the
// type of its input.
type JobName[In any] string

// Enqueue enqueues the job as [Enqueue] does.
func (n JobName[In]) Enqueue(ctx context.Context, in In, opts ...EnqueueOption) (string, error) {
	return Enqueue(ctx, string(n), in, opts...)
}

// EventName is module.name of an event that code publishes, with the type of what
// it holds.
type EventName[T any] string

// Publish publishes the event as [Publish] does.
func (n EventName[T]) Publish(ctx context.Context, data T) error {
	return Publish(ctx, string(n), data)
}

// Call calls an operation: one of the code's own module, or one that its `calls`
// names. It runs as the caller, under its own allow, and within the transaction of the
// operation that calls it.
func Call[Out any](ctx context.Context, name string, in any) (out Out, err error) {
	a, err := acting(ctx)
	if err != nil {
		return out, err
	}
	raw, err := encode(in)
	if err != nil {
		return out, err
	}
	answer, err := a.Operation(ctx, a.service, name, raw)
	if err != nil {
		return out, told(err)
	}
	if len(answer) == 0 {
		return out, nil
	}
	if err := json.Unmarshal(answer, &out); err != nil {
		return out, mismatch(err)
	}
	return out, nil
}

// Publish publishes an event that the code's module declares without `on`. Within
// an operation it happens if the operation's transaction does.
func Publish(ctx context.Context, name string, data any) error {
	a, err := acting(ctx)
	if err != nil {
		return err
	}
	raw, err := encode(data)
	if err != nil {
		return err
	}
	return told(a.Publish(ctx, name, raw))
}

// EnqueueOption says how a job is enqueued.
type EnqueueOption func(*operations.Enqueued)

// At lets the job wait until a time.
func At(t time.Time) EnqueueOption { return func(e *operations.Enqueued) { e.At = t } }

// UniqueBy leaves the job that waits already under the same key in place of a
// second one.
func UniqueBy(key string) EnqueueOption { return func(e *operations.Enqueued) { e.Unique = key } }

// Priority puts the job before those of a greater number: 1 to 4, in place of the
// job's own.
func Priority(n int) EnqueueOption { return func(e *operations.Enqueued) { e.Priority = n } }

// Enqueue puts a job of the code's module into its queue and returns its id.
// Within an operation it is there if the operation's transaction is.
func Enqueue(ctx context.Context, name string, in any, opts ...EnqueueOption) (string, error) {
	a, err := acting(ctx)
	if err != nil {
		return "", err
	}
	var e operations.Enqueued
	if e.Input, err = encode(in); err != nil {
		return "", err
	}
	for _, o := range opts {
		o(&e)
	}
	id, err := a.Enqueue(ctx, name, e)
	return id, told(err)
}

// Progress tells how far the job is that runs: from 0 to 1, with a word on it.
func Progress(ctx context.Context, fraction float64, message string) error {
	a, err := acting(ctx)
	if err != nil {
		return err
	}
	return told(a.Progress(fraction, message))
}

// Secret is a secret that the code declares under `secrets`.
func Secret(ctx context.Context, name string) (string, error) {
	a, err := acting(ctx)
	if err != nil {
		return "", err
	}
	s, err := a.Secret(name)
	return s, told(err)
}

// Request is a request to an integration.
type Request struct {
	Method string // default GET, or POST where there is a body
	Path   string // below the integration's URL, with a query if there is one: /charges?limit=1
	Header http.Header
	Body   []byte
}

// JSON is a request with a value as its body. The error is that of [json.Marshal].
func JSON(method, path string, body any) (*Request, error) {
	raw, err := encode(body)
	if err != nil {
		return nil, err
	}
	return &Request{Method: method, Path: path, Header: http.Header{"Content-Type": {"application/json"}}, Body: raw}, nil
}

// Response is what an integration has answered, whatever its status.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// Decode reads the body, which is JSON, into a value.
func (r *Response) Decode(into any) error {
	if err := json.Unmarshal(r.Body, into); err != nil {
		return mismatch(err)
	}
	return nil
}

// Fetch calls an integration of the code's module, within its bounds. An operation
// calls out only if it has `transaction: false`: a call cannot be undone.
func Fetch(ctx context.Context, integration string, r *Request) (*Response, error) {
	a, err := acting(ctx)
	if err != nil {
		return nil, err
	}
	req := operations.Fetch{URL: integration + ":" + r.Path, Method: r.Method, Body: r.Body}
	switch {
	case r.Method != "":
	case r.Body == nil:
		req.Method = http.MethodGet
	default:
		req.Method = http.MethodPost
	}
	for name, values := range r.Header {
		for _, v := range values {
			req.Headers = append(req.Headers, [2]string{name, v})
		}
	}
	res, err := a.Fetch(ctx, &req)
	if err != nil {
		return nil, told(err)
	}
	out := &Response{Status: res.Status, Header: http.Header{}, Body: res.Body}
	for _, h := range res.Headers {
		out.Header.Add(h[0], h[1])
	}
	return out, nil
}

// encode is a value as JSON.
func encode(v any) ([]byte, error) {
	if raw, ok := v.(json.RawMessage); ok || v == nil {
		return raw, nil
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, &Error{Code: string(fault.InvalidInput), Status: fault.InvalidInput.Status(), Message: "the value cannot be written as JSON", Details: err.Error(), cause: err}
	}
	return raw, nil
}
