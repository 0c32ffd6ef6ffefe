package server

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"

	graphqldoor "github.com/pandobase/pando/internal/api/graphql"
	"github.com/pandobase/pando/internal/edge"
	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/operations"
)

// graphqlDoor is the handler of /graphql.
func (n *Node) graphqlDoor(app *Application, eng *engine.Engine, ops *operations.Operations) (http.Handler, error) {
	documents, err := app.documents()
	if err != nil {
		return nil, err
	}
	return graphqldoor.New(graphqldoor.Config{
		Engine: eng, Operations: ops, Allows: app.Rules.Allow, Authenticate: n.caller("graphql"), Rows: eng.Rows, Documents: documents,
		Usage: n.usage, Develop: n.opt.Develop, Secure: strings.HasPrefix(n.auth.Issuer(), "https:"), RequestID: edge.RequestIDOf, Logger: n.opt.Log,
	}), nil
}

// documents are the only ones that GraphQL executes; nil: all are.
func (a *Application) documents() (*graphqldoor.Documents, error) {
	dir := a.Model.Config.GraphQL.Documents
	if dir == "" {
		return nil, nil
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(a.Dir, dir)
	}
	return graphqldoor.ReadDocuments(os.DirFS(dir))
}
