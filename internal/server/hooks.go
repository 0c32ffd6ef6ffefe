package server

import (
	"context"
	"net/http"

	"github.com/pandobase/pando/internal/events"
	"github.com/pandobase/pando/internal/queue"
)

func (n *Node) deliver(context.Context, *live, *queue.Work) ([]byte, bool, error) {
	return nil, false, nil
}
func (n *Node) webhookConsumers(*live) []events.Consumer { return nil }
func (n *Node) hooksDoor(*Application) http.Handler      { return http.NotFoundHandler() }
func (n *Node) door(d func(*live) http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { d(n.live.Load()).ServeHTTP(w, r) })
}
