package server

import (
	"context"
	"net/http"

	auditdoor "github.com/pandobase/pando/internal/api/audit"
	"github.com/pandobase/pando/internal/audit"
	"github.com/pandobase/pando/internal/edge"
)

// openAudit opens the trail of the store, before anything is written to it.
func (n *Node) openAudit(ctx context.Context) error {
	var err error
	n.audit, err = audit.Open(ctx, audit.Config{Driver: n.driver, Wrapper: n.wrapper, Log: n.opt.Log})
	return err
}

// Audit is the trail of the node's store.
func (n *Node) Audit() *audit.Log { return n.audit }

// auditDoor is the handler of /audit/v1.
func (n *Node) auditDoor(app *Application) http.Handler {
	return auditdoor.New(auditdoor.Config{
		Log: n.audit, Logger: n.opt.Log, Source: "/" + app.Model.Config.App + auditdoor.Prefix,
		Authenticate: n.caller("audit"),
		RequestID:    func(r *http.Request) string { return edge.RequestID(r.Context()) },
	})
}

// commandRecord begins the record of a command.
func commandRecord(action string) audit.Record {
	id := operator()
	r := audit.FromIdentity(&id)
	r.Action, r.Operation, r.Door, r.Entity = action, action, "cli", "audit"
	return r
}

// onRecord puts a command's reading of the trail on record.
func (n *Node) onRecord(r *http.Request, action string, rows int) error {
	rec := commandRecord(action)
	rec.Rows = rows
	if q := r.URL.RawQuery; q != "" {
		rec.Detail = map[string]string{"query": q}
	}
	return n.audit.Write(r.Context(), &rec)
}

// administered puts a command on record that changed the keys or the schema. What
// it changed lies outside the transaction of the record, which comes right
// behind it.
func (n *Node) administered(r *http.Request, action string, keys ...string) error {
	rec := commandRecord(action)
	rec.Keys = keys
	rec.Entity = "keys"
	if len(keys) == 0 {
		rec.Entity = "schema"
	}
	return n.audit.Write(r.Context(), &rec)
}

// auditCommands are the endpoints of `pando audit`.
func (n *Node) auditCommands(handle func(pattern string, fn func(http.ResponseWriter, *http.Request) error)) {
	handle("GET /audit/records", n.cmdAuditSearch)
	handle("GET /audit/export", n.cmdAuditExport)
	handle("POST /audit/verify", n.cmdAuditVerify)
	handle("POST /audit/anchor", n.cmdAuditAnchor)
	handle("DELETE /audit/subjects/{subject}", n.cmdAuditErase)
}

func (n *Node) cmdAuditSearch(w http.ResponseWriter, r *http.Request) error {
	q, err := audit.ParseQuery(r.URL.Query())
	if err != nil {
		return err
	}
	page, err := n.audit.Search(r.Context(), q)
	if err != nil {
		return err
	}
	if err := n.onRecord(r, "audit.search", len(page.Records)); err != nil {
		return err
	}
	return answer(w, page)
}

func (n *Node) cmdAuditExport(w http.ResponseWriter, r *http.Request) error {
	v := r.URL.Query()
	format := audit.Format(v.Get("format"))
	v.Del("format")
	q, err := audit.ParseQuery(v)
	if err != nil {
		return err
	}
	if err := n.onRecord(r, "audit.export", 0); err != nil {
		return err
	}
	out := &lateHeader{w: w}
	source := "/" + n.Application().Model.Config.App + auditdoor.Prefix
	if _, err := n.audit.Export(r.Context(), q, format, source, out); err != nil {
		if out.started {
			panic(http.ErrAbortHandler) // the client must not take a part for the whole
		}
		return err
	}
	return nil
}

// cmdAuditVerify takes the anchors as its body. It puts nothing on record: it
// has to work on a trail that somebody has cut, and change nothing of it.
func (n *Node) cmdAuditVerify(w http.ResponseWriter, r *http.Request) error {
	anchors, err := audit.ReadAnchors(r.Body)
	if err != nil {
		return err
	}
	rep, err := n.audit.Verify(r.Context(), anchors)
	if err != nil {
		return err
	}
	return answer(w, rep)
}

func (n *Node) cmdAuditAnchor(w http.ResponseWriter, r *http.Request) error {
	if err := n.onRecord(r, "audit.anchor", 0); err != nil {
		return err
	}
	c, err := n.audit.Checkpoint(r.Context())
	if err != nil {
		return err
	}
	return answer(w, c)
}

// Erased is the answer to `pando audit erase`.
type Erased struct {
	Subject string `json:"subject"`
	Erased  bool   `json:"erased"` // false: there was no key
}

func (n *Node) cmdAuditErase(w http.ResponseWriter, r *http.Request) error {
	subject := r.PathValue("subject")
	there, err := n.audit.Erase(r.Context(), commandRecord("audit.erase"), subject)
	if err != nil {
		return err
	}
	return answer(w, Erased{subject, there})
}
