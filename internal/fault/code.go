package fault

import "net/http"

// Code names one kind of fault. Where PostgREST or PostgreSQL has a code for
// it, that is the code, so that existing clients recognise it.
type Code string

// The closed set of codes.
const (
	// PostgREST's group 0, 1, 2 and 3.
	Parse              Code = "PGRST100" // a query parameter that the grammar does not accept
	MethodNotAllowed   Code = "PGRST101" // a method that this resource does not have
	InvalidBody        Code = "PGRST102" // a body that is not what its content type says
	InvalidRange       Code = "PGRST103" // limit or offset outside the result
	InvalidPut         Code = "PGRST105" // PUT without exactly the primary key as filter
	UnknownSchema      Code = "PGRST106" // a profile that is no module
	NotAcceptable      Code = "PGRST107" // no media type of Accept is available
	EmbedNotSelected   Code = "PGRST108" // a filter or order on a relation that select does not embed
	PutLimits          Code = "PGRST114" // PUT with limit or offset
	PutMismatch        Code = "PGRST115" // PUT whose body has another key than its filter
	NotSingular        Code = "PGRST116" // one row was asked for; there are none or many
	OrderNotToOne      Code = "PGRST118" // order by a relation that is not to-one
	SpreadNotToOne     Code = "PGRST119" // spread of a relation that is not to-one
	EmbedFilter        Code = "PGRST120" // a filter on an embedded relation other than is.null
	InvalidPreference  Code = "PGRST122" // Prefer: handling=strict with an unknown preference
	MaxAffected        Code = "PGRST124" // more rows affected than max-affected allows
	InvalidPath        Code = "PGRST125" // no such path
	NotImplemented     Code = "PGRST127" // the grammar has it, Pando does not
	NoRelation         Code = "PGRST200" // no relation between the two entities
	AmbiguousRelation  Code = "PGRST201" // more than one relation between the two
	UnknownOperation   Code = "PGRST202" // no such operation
	AmbiguousOperation Code = "PGRST203" // more than one operation fits
	UnknownInput       Code = "PGRST204" // a field in columns or a body that the entity does not have
	UnknownEntity      Code = "PGRST205" // no such entity
	InvalidCredential  Code = "PGRST301" // a token or key that is not valid
	MissingCredential  Code = "PGRST302" // no key and no token

	// PostgreSQL's SQLSTATEs.
	NumericOutOfRange   Code = "22003"
	TextTooLong         Code = "22001"
	DatetimeOverflow    Code = "22008"
	DivisionByZero      Code = "22012"
	InvalidRegexp       Code = "2201B"
	InvalidText         Code = "22P02" // a value that its type does not accept
	InvalidEncoding     Code = "22021" // not UTF-8, or a NUL
	NotNull             Code = "23502"
	ForeignKey          Code = "23503"
	Unique              Code = "23505"
	Check               Code = "23514"
	Raised              Code = "P0001" // the application says no: its code, or a trigger of its database
	ReadOnlyTransaction Code = "25006" // a write in a transaction that only reads
	TransactionTimeout  Code = "25P04" // a transaction that kept others waiting for too long
	Serialization       Code = "40001" // a conflict with a concurrent transaction; try again
	Forbidden           Code = "42501"
	UndefinedField      Code = "42703"
	UndefinedFunction   Code = "42883" // an operator or cast that the type does not have
	DuplicateField      Code = "42701"
	Grouping            Code = "42803"
	CardinalityClash    Code = "21000" // ON CONFLICT would touch one row twice
	NoConflictTarget    Code = "42P10" // on_conflict names no unique key
	DiskFull            Code = "53100"
	TooManyConns        Code = "53300"
	QueryCanceled       Code = "57014" // time limit, or the client went away
	StoreUnavailable    Code = "57P03"
	StoreIO             Code = "58030" // the disk refused: nothing was acknowledged
	Internal            Code = "XX000"

	// Pando's own.
	BadRequest           Code = "bad_request"
	NotFound             Code = "not_found"
	Gone                 Code = "gone" // a deprecated thing behind its sunset
	BodyTooLarge         Code = "body_too_large"
	HeaderTooLarge       Code = "header_too_large"
	RequestTimeout       Code = "request_timeout"
	UnsupportedMediaType Code = "unsupported_media_type"
	PreconditionFailed   Code = "precondition_failed"
	IdempotencyInFlight  Code = "idempotency_in_flight"
	IdempotencyMismatch  Code = "idempotency_mismatch"
	InvalidCursor        Code = "invalid_cursor"
	UnfilteredWrite      Code = "unfiltered_write"
	LimitExceeded        Code = "limit_exceeded" // one of pando.yaml's limits: depth, filters, rows
	Overloaded           Code = "overloaded"
	ShuttingDown         Code = "shutting_down"
	ConfigInvalid        Code = "config_invalid"    // pando.yaml or a module file is wrong
	MigrationRefused     Code = "migration_refused" // the change can lose data and was not allowed by name
	Conflict             Code = "conflict"
	ProviderUnavailable  Code = "provider_unavailable" // an identity provider does not answer
	InvalidInput         Code = "invalid_input"        // what an operation, a job or an event is given is not of its type
	InvalidOutput        Code = "invalid_output"       // what the application's code answers is not of its type
	FunctionFailed       Code = "function_failed"      // the application's code ended without an answer
	StoreMoved           Code = "store_moved"          // the data is in another store now, or about to be

	OutboundRefused        Code = "outbound_refused"        // the application may not send this out
	IntegrationUnavailable Code = "integration_unavailable" // an integration does not answer; 502, 503 or 504
	InvalidSignature       Code = "invalid_signature"       // a webhook that is not signed by whom it should be
)

// entry is what a code means on each transport.
type entry struct {
	status int
	rpc    RPC
	title  string
}

// table maps each code to HTTP, with the status that PostgREST uses where it
// has one, and to gRPC. Further transports add a column.
func table(c Code) (entry, bool) {
	for _, t := range []map[Code]entry{entries, authEntries, graphqlEntries} {
		if e, ok := t[c]; ok {
			return e, true
		}
	}
	return entry{}, false
}

//nolint:gochecknoglobals // a constant table; Go has no map constants
var entries = map[Code]entry{
	Parse:              {http.StatusBadRequest, RPCInvalidArgument, "Query not understood"},
	MethodNotAllowed:   {http.StatusMethodNotAllowed, RPCUnimplemented, "Method not allowed"},
	InvalidBody:        {http.StatusBadRequest, RPCInvalidArgument, "Body not understood"},
	InvalidRange:       {http.StatusRequestedRangeNotSatisfiable, RPCOutOfRange, "Range not satisfiable"},
	InvalidPut:         {http.StatusMethodNotAllowed, RPCUnimplemented, "PUT needs exactly the primary key"},
	UnknownSchema:      {http.StatusNotAcceptable, RPCUnimplemented, "Unknown module"},
	NotAcceptable:      {http.StatusNotAcceptable, RPCInvalidArgument, "No acceptable media type"},
	EmbedNotSelected:   {http.StatusBadRequest, RPCInvalidArgument, "Relation not selected"},
	PutLimits:          {http.StatusBadRequest, RPCInvalidArgument, "PUT takes no limits"},
	PutMismatch:        {http.StatusBadRequest, RPCInvalidArgument, "PUT key mismatch"},
	NotSingular:        {http.StatusNotAcceptable, RPCFailedPrecondition, "Not exactly one row"},
	OrderNotToOne:      {http.StatusBadRequest, RPCInvalidArgument, "Order needs a to-one relation"},
	SpreadNotToOne:     {http.StatusBadRequest, RPCInvalidArgument, "Spread needs a to-one relation"},
	EmbedFilter:        {http.StatusBadRequest, RPCInvalidArgument, "Filter not possible on a relation"},
	InvalidPreference:  {http.StatusBadRequest, RPCInvalidArgument, "Invalid preference"},
	MaxAffected:        {http.StatusBadRequest, RPCFailedPrecondition, "Too many rows affected"},
	InvalidPath:        {http.StatusNotFound, RPCUnimplemented, "No such path"},
	NotImplemented:     {http.StatusBadRequest, RPCUnimplemented, "Not supported"},
	NoRelation:         {http.StatusBadRequest, RPCInvalidArgument, "No such relation"},
	AmbiguousRelation:  {http.StatusMultipleChoices, RPCInvalidArgument, "Ambiguous relation"},
	UnknownOperation:   {http.StatusNotFound, RPCUnimplemented, "No such operation"},
	AmbiguousOperation: {http.StatusMultipleChoices, RPCInvalidArgument, "Ambiguous operation"},
	UnknownInput:       {http.StatusBadRequest, RPCInvalidArgument, "Unknown field in the input"},
	UnknownEntity:      {http.StatusNotFound, RPCUnimplemented, "No such entity"},
	InvalidCredential:  {http.StatusUnauthorized, RPCUnauthenticated, "Credential not valid"},
	MissingCredential:  {http.StatusUnauthorized, RPCUnauthenticated, "Credential missing"},

	NumericOutOfRange:   {http.StatusBadRequest, RPCInvalidArgument, "Number out of range"},
	TextTooLong:         {http.StatusBadRequest, RPCInvalidArgument, "Text too long"},
	DatetimeOverflow:    {http.StatusBadRequest, RPCInvalidArgument, "Date or time out of range"},
	DivisionByZero:      {http.StatusBadRequest, RPCInvalidArgument, "Division by zero"},
	InvalidRegexp:       {http.StatusBadRequest, RPCInvalidArgument, "Invalid regular expression"},
	InvalidText:         {http.StatusBadRequest, RPCInvalidArgument, "Invalid value"},
	InvalidEncoding:     {http.StatusBadRequest, RPCInvalidArgument, "Invalid text encoding"},
	NotNull:             {http.StatusBadRequest, RPCInvalidArgument, "Required field is null"},
	ForeignKey:          {http.StatusConflict, RPCFailedPrecondition, "Reference violated"},
	Unique:              {http.StatusConflict, RPCAlreadyExists, "Duplicate key"},
	Check:               {http.StatusBadRequest, RPCInvalidArgument, "Check violated"},
	Raised:              {http.StatusBadRequest, RPCFailedPrecondition, "Refused"},
	ReadOnlyTransaction: {http.StatusMethodNotAllowed, RPCFailedPrecondition, "Transaction only reads"},
	TransactionTimeout:  {http.StatusGatewayTimeout, RPCDeadlineExceeded, "Transaction took too long"},
	Serialization:       {http.StatusConflict, RPCAborted, "Concurrent change"},
	Forbidden:           {http.StatusForbidden, RPCPermissionDenied, "Not allowed"},
	UndefinedField:      {http.StatusBadRequest, RPCInvalidArgument, "No such field"},
	UndefinedFunction:   {http.StatusBadRequest, RPCInvalidArgument, "No such operator or cast"},
	DuplicateField:      {http.StatusBadRequest, RPCInvalidArgument, "Field named twice"},
	Grouping:            {http.StatusBadRequest, RPCInvalidArgument, "Invalid grouping"},
	CardinalityClash:    {http.StatusBadRequest, RPCInvalidArgument, "Row affected twice"},
	NoConflictTarget:    {http.StatusBadRequest, RPCInvalidArgument, "No such unique key"},
	DiskFull:            {http.StatusInsufficientStorage, RPCResourceExhausted, "Disk full"},
	TooManyConns:        {http.StatusServiceUnavailable, RPCUnavailable, "No connection free"},
	QueryCanceled:       {http.StatusGatewayTimeout, RPCDeadlineExceeded, "Time limit reached"},
	StoreUnavailable:    {http.StatusServiceUnavailable, RPCUnavailable, "Store unavailable"},
	StoreIO:             {http.StatusServiceUnavailable, RPCUnavailable, "Store failed"},
	Internal:            {http.StatusInternalServerError, RPCInternal, "Internal error"},

	BadRequest:           {http.StatusBadRequest, RPCInvalidArgument, "Bad request"},
	NotFound:             {http.StatusNotFound, RPCNotFound, "Not found"},
	Gone:                 {http.StatusGone, RPCUnimplemented, "Gone"},
	BodyTooLarge:         {http.StatusRequestEntityTooLarge, RPCResourceExhausted, "Body too large"},
	HeaderTooLarge:       {http.StatusRequestHeaderFieldsTooLarge, RPCResourceExhausted, "Headers too large"},
	RequestTimeout:       {http.StatusRequestTimeout, RPCDeadlineExceeded, "Request took too long to arrive"},
	UnsupportedMediaType: {http.StatusUnsupportedMediaType, RPCInvalidArgument, "Unsupported media type"},
	PreconditionFailed:   {http.StatusPreconditionFailed, RPCFailedPrecondition, "Precondition failed"},
	IdempotencyInFlight:  {http.StatusConflict, RPCAborted, "Same request in flight"},
	IdempotencyMismatch:  {http.StatusUnprocessableEntity, RPCInvalidArgument, "Idempotency key reused"},
	InvalidCursor:        {http.StatusBadRequest, RPCInvalidArgument, "Invalid cursor"},
	UnfilteredWrite:      {http.StatusBadRequest, RPCInvalidArgument, "Write without a filter"},
	LimitExceeded:        {http.StatusBadRequest, RPCInvalidArgument, "Limit exceeded"},
	Overloaded:           {http.StatusServiceUnavailable, RPCUnavailable, "Overloaded"},
	ShuttingDown:         {http.StatusServiceUnavailable, RPCUnavailable, "Shutting down"},
	StoreMoved:           {http.StatusServiceUnavailable, RPCUnavailable, "Store moved"},
	ConfigInvalid:        {http.StatusBadRequest, RPCInvalidArgument, "Invalid configuration"},
	MigrationRefused:     {http.StatusConflict, RPCFailedPrecondition, "Migration refused"},
	Conflict:             {http.StatusConflict, RPCAborted, "Conflict"},
	ProviderUnavailable:  {http.StatusServiceUnavailable, RPCUnavailable, "Provider not reachable"},
	InvalidInput:         {http.StatusUnprocessableEntity, RPCInvalidArgument, "Input not valid"},
	InvalidOutput:        {http.StatusUnprocessableEntity, RPCInternal, "Output not valid"},
	FunctionFailed:       {http.StatusInternalServerError, RPCInternal, "Function failed"},

	OutboundRefused:        {http.StatusBadGateway, RPCFailedPrecondition, "Outbound request refused"},
	IntegrationUnavailable: {http.StatusServiceUnavailable, RPCUnavailable, "Integration not available"},
	InvalidSignature:       {http.StatusUnauthorized, RPCUnauthenticated, "Signature not valid"},
}

// Status returns the HTTP status of c; an unknown code is 500.
func (c Code) Status() int {
	if e, ok := table(c); ok {
		return e.status
	}
	return http.StatusInternalServerError
}

// Title returns the short, constant English name of c (RFC 9457 "title").
func (c Code) Title() string {
	if e, ok := table(c); ok {
		return e.title
	}
	return entries[Internal].title
}

// Codes returns the codes of the doors to rows, for documentation and tests.
func Codes() []Code {
	out := make([]Code, 0, len(entries))
	for c := range entries {
		out = append(out, c)
	}
	return out
}

// AuthCodes returns the codes that the identity door has beside them.
func AuthCodes() []Code {
	out := make([]Code, 0, len(authEntries))
	for c := range authEntries {
		out = append(out, c)
	}
	return out
}
