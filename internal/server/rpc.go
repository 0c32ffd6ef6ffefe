package server

import (
	"net/http"

	"github.com/pandobase/pando/internal/api/rpc"
	"github.com/pandobase/pando/internal/edge"
	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/operations"
)

// rpcDoor is the door of gRPC for an application.
func (n *Node) rpcDoor(app *Application, eng *engine.Engine, ops *operations.Operations) *rpc.Door {
	reflection := app.Model.Config.Reflection
	if reflection == "" && n.opt.Develop {
		reflection = model.IntrospectionAll
	}
	return rpc.New(rpc.Config{
		Engine: eng, Operations: ops, Allows: app.Rules.Allow, Authenticate: n.caller("grpc"), Ready: n.Ready, Reflection: reflection,
		Usage: n.usage, Route: edge.SetRoute, RequestID: edge.RequestIDOf, Logger: n.opt.Log,
	})
}

// serveRPC serves the door of gRPC of the application that is live.
func (n *Node) serveRPC(w http.ResponseWriter, r *http.Request) {
	serve := func(w http.ResponseWriter, r *http.Request) { n.live.Load().rpc.ServeHTTP(w, r) }
	if n.live.Load().rpc.Reads(r.URL.Path) {
		n.gate.watching(w, r, serve)
		return
	}
	n.gate.passing(w, r, serve)
}
