package server

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/operations"
	"github.com/pandobase/pando/internal/outbound"
)

// outside are the ways out of one application: a client for each integration, by its
// qualified name.
type outside struct {
	out     *outbound.Outbound
	clients map[string]*outbound.Client
}

// openOutside makes the clients of an application's integrations.
func (n *Node) openOutside(app *Application) (*outside, error) {
	out, err := outbound.New(outbound.Config{Secrets: n.secrets.Get, Meter: n.opt.Meter, Log: n.opt.Log})
	if err != nil {
		return nil, err
	}
	o := &outside{out: out, clients: map[string]*outbound.Client{}}
	for _, m := range app.Model.Modules {
		for _, in := range m.Integrations {
			if in.URL == "" {
				continue
			}
			c, err := out.Client(wayOutOf(in))
			if err != nil {
				out.Close()
				return nil, err
			}
			o.clients[in.QualifiedName()] = c
		}
	}
	return o, nil
}

func wayOutOf(in *model.Integration) outbound.Target {
	t := outbound.Target{
		Name: in.QualifiedName(), URL: in.URL, Private: in.Private, Auth: outbound.Auth{Secret: strings.TrimPrefix(in.Auth, "secret:")},
		Timeout: in.Timeout, Retry: in.Retry, Concurrent: in.Concurrency, Hedge: in.Hedge, Fallback: in.Fallback, MaxResponse: in.Response,
	}
	if in.Breaker != nil {
		t.Breaker = outbound.Breaker{Failures: in.Breaker.Failures, Open: in.Breaker.Open}
	}
	return t
}

// fetch calls an integration for code. A URL is NAME:/path, or one below the
// integration's.
func (n *Node) fetch(ctx context.Context, in *model.Integration, r *operations.Fetch) (*operations.Fetched, error) {
	c := n.live.Load().outside.clients[in.QualifiedName()]
	if c == nil {
		return nil, fault.New(fault.ConfigInvalid, "the integration %s has no URL: it only sends webhooks", in.QualifiedName())
	}
	path := r.URL
	if rest, named := strings.CutPrefix(path, in.Name+":"); named {
		path = rest
	}
	req := &outbound.Request{Method: r.Method, Path: path, Header: http.Header{}, Body: r.Body}
	for _, kv := range r.Headers {
		req.Header.Add(kv[0], kv[1])
	}
	res, err := c.Do(ctx, req)
	if err != nil {
		return nil, err
	}
	f := &operations.Fetched{Status: res.Status, Headers: [][2]string{}, Body: res.Body, URL: r.URL}
	for _, name := range slices.Sorted(maps.Keys(res.Header)) {
		for _, v := range res.Header[name] {
			f.Headers = append(f.Headers, [2]string{strings.ToLower(name), v})
		}
	}
	return f, nil
}
