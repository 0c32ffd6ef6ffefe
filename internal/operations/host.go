package operations

import (
	"context"
	"encoding/json"
	"net/url"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/functions"
)

var _ functions.Host = (*Scope)(nil)

// Call implements [functions.Host]: what code asks for across the sandbox's wall.
func (s *Scope) Call(ctx context.Context, method string, body []byte) ([]byte, error) {
	m, ok := hostMethods()[method]
	if !ok {
		return nil, fault.New(fault.NotImplemented, "code cannot ask for %s", shorten(method)).WithHint("this build has no such part")
	}
	return m(s, ctx, body)
}

type hostMethod func(s *Scope, ctx context.Context, body []byte) ([]byte, error)

func hostMethods() map[string]hostMethod {
	return map[string]hostMethod{
		"rows":      (*Scope).hostRows,
		"operation": (*Scope).hostOperation,
		"publish":   (*Scope).hostPublish,
		"enqueue":   (*Scope).hostEnqueue,
		"progress":  (*Scope).hostProgress,
		"secret":    (*Scope).hostSecret,
		"fetch":     (*Scope).hostFetch,
	}
}

// asked reads what code asks for.
func asked(body []byte, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return fault.New(fault.InvalidInput, "what is asked for is not understood").WithDetails("%s", err)
	}
	return nil
}

func (s *Scope) hostRows(ctx context.Context, body []byte) ([]byte, error) {
	var in struct {
		Service bool            `json:"service"`
		Method  string          `json:"method"`
		Module  string          `json:"module"`
		Entity  string          `json:"entity"`
		Query   string          `json:"query"`
		Prefer  string          `json:"prefer"`
		Single  bool            `json:"single"`
		Body    json.RawMessage `json:"body"`
	}
	if err := asked(body, &in); err != nil {
		return nil, err
	}
	a, err := s.Rows(ctx, in.Service, &Request{
		Method: in.Method, Module: in.Module, Entity: in.Entity, Query: in.Query, Prefer: in.Prefer, Single: in.Single, Body: in.Body,
	})
	if err != nil {
		return nil, err
	}
	return json.Marshal(a)
}

func (s *Scope) hostOperation(ctx context.Context, body []byte) ([]byte, error) {
	var in struct {
		Service bool            `json:"service"`
		Name    string          `json:"name"`
		Input   json.RawMessage `json:"input"`
	}
	if err := asked(body, &in); err != nil {
		return nil, err
	}
	return s.Operation(ctx, in.Service, in.Name, in.Input)
}

func (s *Scope) hostPublish(ctx context.Context, body []byte) ([]byte, error) {
	var in struct {
		Name string          `json:"name"`
		Data json.RawMessage `json:"data"`
	}
	if err := asked(body, &in); err != nil {
		return nil, err
	}
	return nil, s.Publish(ctx, in.Name, in.Data)
}

func (s *Scope) hostEnqueue(ctx context.Context, body []byte) ([]byte, error) {
	var in struct {
		Name     string          `json:"name"`
		Input    json.RawMessage `json:"input"`
		At       *time.Time      `json:"at"`
		Unique   *string         `json:"unique"`
		Priority *int            `json:"priority"`
	}
	if err := asked(body, &in); err != nil {
		return nil, err
	}
	e := Enqueued{Input: in.Input}
	if in.At != nil {
		e.At = *in.At
	}
	if in.Unique != nil {
		e.Unique = *in.Unique
	}
	if in.Priority != nil {
		e.Priority = *in.Priority
	}
	id, err := s.Enqueue(ctx, in.Name, e)
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]string{"id": id})
}

func (s *Scope) hostProgress(_ context.Context, body []byte) ([]byte, error) {
	var in struct {
		Fraction float64 `json:"fraction"`
		Message  string  `json:"message"`
	}
	if err := asked(body, &in); err != nil {
		return nil, err
	}
	return nil, s.Progress(in.Fraction, in.Message)
}

func (s *Scope) hostSecret(_ context.Context, body []byte) ([]byte, error) {
	var in struct {
		Name string `json:"name"`
	}
	if err := asked(body, &in); err != nil {
		return nil, err
	}
	secret, err := s.Secret(in.Name)
	if err != nil {
		return nil, err
	}
	return json.Marshal(secret)
}

func (s *Scope) hostFetch(ctx context.Context, body []byte) ([]byte, error) {
	var in struct {
		Fetch

		Integration string `json:"integration"` // of the URL, only its path and query mean something then
	}
	if err := asked(body, &in); err != nil {
		return nil, err
	}
	if in.Integration != "" {
		u, err := url.Parse(in.URL)
		if err != nil {
			return nil, fault.New(fault.InvalidInput, "what is asked for is not understood").WithDetails("%s", err)
		}
		in.URL = in.Integration + ":" + u.RequestURI()
	}
	out, err := s.Fetch(ctx, &in.Fetch)
	if err != nil {
		return nil, err
	}
	return json.Marshal(out)
}
