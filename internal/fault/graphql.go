package fault

import (
	"maps"
	"net/http"
	"slices"
)

// The codes that only the GraphQL door has. They are those that its clients
// know, of Apollo's server and router.
const (
	GraphQLParse         Code = "GRAPHQL_PARSE_FAILED"          // a document that is no GraphQL
	GraphQLInvalid       Code = "GRAPHQL_VALIDATION_FAILED"     // a document that the schema does not allow
	GraphQLVariables     Code = "BAD_USER_INPUT"                // variables that are not of their types
	GraphQLOperation     Code = "OPERATION_RESOLUTION_FAILURE"  // which operation of the document is meant
	GraphQLNotFound      Code = "PERSISTED_QUERY_NOT_FOUND"     // a hash whose document is not known
	GraphQLNotPersisted  Code = "PERSISTED_QUERY_NOT_SUPPORTED" // a way to persist that is not known
	GraphQLNotListed     Code = "QUERY_NOT_IN_SAFELIST"         // a document that is not of the application's list
	GraphQLIntrospection Code = "INTROSPECTION_DISABLED"        // __schema where it is off
)

//nolint:gochecknoglobals // a constant table; Go has no map constants
var graphqlEntries = map[Code]entry{
	GraphQLParse:         {http.StatusBadRequest, RPCInvalidArgument, "Document not understood"},
	GraphQLInvalid:       {http.StatusBadRequest, RPCInvalidArgument, "Document not valid"},
	GraphQLVariables:     {http.StatusBadRequest, RPCInvalidArgument, "Variables not valid"},
	GraphQLOperation:     {http.StatusBadRequest, RPCInvalidArgument, "No such operation in the document"},
	GraphQLNotFound:      {http.StatusNotFound, RPCNotFound, "Persisted document not found"},
	GraphQLNotPersisted:  {http.StatusBadRequest, RPCInvalidArgument, "Persisting not supported"},
	GraphQLNotListed:     {http.StatusBadRequest, RPCPermissionDenied, "Document not in the list"},
	GraphQLIntrospection: {http.StatusBadRequest, RPCPermissionDenied, "Introspection is off"},
}

// GraphQLCodes returns the codes that the GraphQL door has beside those of all
// doors to rows.
func GraphQLCodes() []Code {
	return slices.Sorted(maps.Keys(graphqlEntries))
}
