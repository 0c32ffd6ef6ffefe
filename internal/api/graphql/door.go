// Package graphql is the GraphQL door: GraphQL over HTTP, compiled to query
// values that the engine executes, with one schema for each version of the API
// and each class of callers.
//
// A caller's schema holds only what policies could ever show him: a name that
// is not in it is unknown to validation, to introspection and to every message
// alike.
package graphql

import (
	"github.com/pandobase/pando/internal/api/problem"
)

// door serves one version of the application.
type door struct {
	problems problem.Writer
}
