package server

import (
	"context"

	"github.com/pandobase/pando/internal/audit"
	"github.com/pandobase/pando/internal/keys"
)

// openAudit opens the trail of the store, before anything is written to it.
func (n *Node) openAudit(ctx context.Context) error {
	wrapper, err := keys.OpenWrapper(n.data)
	if err != nil {
		return err
	}
	n.audit, err = audit.Open(ctx, audit.Config{Driver: n.driver, Wrapper: wrapper, Log: n.opt.Log})
	return err
}

// Audit is the trail of the node's store.
func (n *Node) Audit() *audit.Log { return n.audit }
