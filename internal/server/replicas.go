package server

import (
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/telemetry"
)

// observeReplicas measures the store's replicas, where it has any.
func (n *Node) observeReplicas(tel *telemetry.Telemetry) error {
	r, ok := n.driver.(store.Replicated)
	if !ok || r.Replicas() == nil {
		return nil
	}
	return tel.ObserveReplicas(func() (int64, []telemetry.Replica) {
		all := r.Replicas()
		list := make([]telemetry.Replica, len(all.List))
		for i, one := range all.List {
			list[i] = telemetry.Replica(one)
		}
		return all.Primary, list
	})
}
