package server

import (
	"net/http"

	"github.com/pandobase/pando/internal/advise"
)

// cmdAdvise tells what would make the store faster or safer.
func (n *Node) cmdAdvise(w http.ResponseWriter, r *http.Request) error {
	recorded, since := n.Engine().Recorded()
	rep, err := advise.Look(r.Context(), advise.Input{App: n.Application().Model, Driver: n.driver, Recorded: recorded, Since: since})
	if err != nil {
		return err
	}
	return answer(w, rep)
}
