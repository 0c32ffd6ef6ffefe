package server

import (
	"net/http"
	"strings"
	"sync"

	"github.com/pandobase/pando/internal/api/openapi"
	"github.com/pandobase/pando/internal/api/problem"
	"github.com/pandobase/pando/internal/api/rest"
	"github.com/pandobase/pando/internal/edge"
	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/operations"
)

// restDoors is the handler of /rest: a door for each version of the application.
func (n *Node) restDoors(app *Application, eng *engine.Engine, ops *operations.Operations) http.Handler {
	doors := make(map[string]http.Handler, len(app.Model.Config.Versions))
	for _, version := range app.Model.Config.Versions {
		view := app.Model.View(version)
		doors[version] = rest.New(rest.Config{
			Engine: eng, View: view, Usage: n.usage, Operations: ops, Authenticate: n.caller("rest"),
			OpenAPI: n.document(app, view), Logger: n.opt.Log, RequestID: edge.RequestIDOf,
			Secure: strings.HasPrefix(n.auth.Issuer(), "https:"),
		})
	}
	none := rest.Unversioned(app.Model, problem.Writer{RequestID: edge.RequestIDOf, Logger: n.opt.Log})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		version, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, rest.Prefix+"/"), "/")
		if door := doors[version]; door != nil {
			door.ServeHTTP(w, r)
			return
		}
		none.ServeHTTP(w, r)
	})
}

// document makes the description of a version when it is asked for.
func (n *Node) document(app *Application, view *model.View) func() []byte {
	return sync.OnceValue(func() []byte {
		doc, err := openapi.Document(app.Model, openapi.Options{View: view})
		if err != nil {
			n.opt.Log.Error("the API description cannot be made", "version", view.Version, "error", err)
		}
		return doc
	})
}

// restMounts are where the REST doors stand: each version under a route of its own
// in the metrics, and what is below /rest else, which is another version after the
// application was reloaded, or none.
func restMounts(versions []string, node http.Handler) []edge.Mount {
	mounts := []edge.Mount{{Prefix: rest.Prefix, Route: rest.Prefix + "/{version}/{entity}", Handler: node}}
	for _, v := range versions {
		mounts = append(mounts, edge.Mount{Prefix: rest.Prefix + "/" + v, Route: rest.Prefix + "/" + v + "/{entity}", Handler: node})
	}
	return mounts
}
