package graphql

import (
	"net/http"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/usage"
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
	reading     engine.ReadOptions // how old what is read may be
	secure      bool               // the client came over TLS

	fixed   *fixedParts // what is the same for every call of the document; nil: nothing is kept
	door    *door
	things  []usage.Thing // deprecated, of the field that is compiled
	told    []usage.Thing // of those before it
	filters int           // comparisons so far
	nested  int           // conditions that stand in each other
}

// answer is what executing a call gives.
type answer struct {
	data []byte // the member data; nil: there is none
	errs []*gqlError
	free func() // nil, or called when data is not needed any more
}
