package server

import (
	"fmt"
	"net/http"

	"github.com/pandobase/pando/internal/auth"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/policy"
)

// clientCommands are the endpoints of `pando keys client` and `pando users`.
func (n *Node) clientCommands(handle func(pattern string, fn func(http.ResponseWriter, *http.Request) error)) {
	handle("GET /clients", n.cmdClients)
	handle("POST /clients", n.cmdCreateClient)
	handle("DELETE /clients/{id}", n.cmdRevokeClient)
	handle("POST /users/import", n.cmdImportUsers)
}

// commander is the operator as identity knows a caller.
func commander(operation string) *auth.Caller {
	id := operator()
	id.Request = &policy.Request{Door: "cli", Operation: operation}
	return &id
}

// ClientList is the answer to `pando keys client list`.
type ClientList struct {
	Clients []auth.Client `json:"clients"`
}

func (n *Node) cmdClients(w http.ResponseWriter, r *http.Request) error {
	list, err := n.auth.Clients(r.Context(), commander("client.list"))
	if err != nil {
		return err
	}
	return answer(w, ClientList{list})
}

func (n *Node) cmdCreateClient(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	c, err := n.auth.CreateClient(r.Context(), commander("client.create"), auth.Client{Name: q.Get("name"), Roles: q["role"], Audiences: q["audience"]})
	if err != nil {
		return err
	}
	return answer(w, c)
}

func (n *Node) cmdRevokeClient(w http.ResponseWriter, r *http.Request) error {
	if err := n.auth.RevokeClient(r.Context(), commander("client.revoke"), r.PathValue("id")); err != nil {
		return err
	}
	return answer(w, struct{}{})
}

func (n *Node) cmdImportUsers(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	opt := auth.ImportOptions{Format: auth.ImportFormat(q.Get("format")), DryRun: q.Get("dry_run") == "true"}
	report, err := n.auth.ImportUsers(r.Context(), commander("users.import"), r.Body, opt)
	if err != nil {
		if report == nil || report.Imported == 0 {
			return err
		}
		f := *fault.From(err)
		f.Details = fmt.Sprintf("%s; %d users of the file were imported before it", f.Details, report.Imported)
		return &f
	}
	return answer(w, report)
}
