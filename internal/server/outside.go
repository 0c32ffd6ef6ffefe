package server

import (
	"context"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/operations"
	"github.com/pandobase/pando/internal/outbound"
)

// wayOut is the client of an integration.
type wayOut struct {
	target outbound.Target
	client *outbound.Client
}

// waysOut are the clients of an application's integrations, by their qualified
// names. One whose integration has not changed goes on with the state of its breaker.
func (n *Node) waysOut(app *Application) (map[string]wayOut, error) {
	var was map[string]wayOut
	if live := n.live.Load(); live != nil {
		was = live.waysOut
	}
	out := map[string]wayOut{}
	for _, m := range app.Model.Modules {
		for _, in := range m.Integrations {
			if in.URL == "" {
				continue
			}
			name, target := in.QualifiedName(), wayOutOf(in)
			if before, ok := was[name]; ok && reflect.DeepEqual(before.target, target) {
				out[name] = before
				continue
			}
			c, err := n.outbound.Client(target)
			if err != nil {
				n.leave(out, was)
				return nil, err
			}
			out[name] = wayOut{target, c}
		}
	}
	return out, nil
}

// leave closes the clients of old that stay does not have, when their calls have
// ended.
func (n *Node) leave(old, stay map[string]wayOut) {
	for name, w := range old {
		if stay[name].client != w.client {
			n.leaving.Go(w.client.Close)
		}
	}
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
	c := n.live.Load().waysOut[in.QualifiedName()].client
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
