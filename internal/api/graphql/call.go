package graphql

import (
	"net/http"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
)

// call is one operation of a validated document, with its coerced variables.
type call struct {
	schema      *schema
	id          policy.Identity
	guard       policy.Guard
	doc         *ast.QueryDocument
	op          *ast.OperationDefinition
	vars        map[string]any // those that are given or have a default
	w           http.Header    // of the answer
	idempotency *engine.Idempotency
}

// answer is what executing a call gives.
type answer struct {
	data []byte // the member data; nil: there is none
	errs []*gqlError
	free func() // nil, or called when data is not needed any more
}

// schema is what a class of callers sees of one version of the application. It
// is immutable and shared.
type schema struct {
	ast  *ast.Schema
	view *model.View
}
