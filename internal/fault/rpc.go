package fault

import "net/http"

// RPC is a canonical code of gRPC (google.rpc.Code).
type RPC uint8

// The canonical codes that faults have.
const (
	RPCCanceled           RPC = 1
	RPCInvalidArgument    RPC = 3
	RPCDeadlineExceeded   RPC = 4
	RPCNotFound           RPC = 5
	RPCAlreadyExists      RPC = 6
	RPCPermissionDenied   RPC = 7
	RPCResourceExhausted  RPC = 8
	RPCFailedPrecondition RPC = 9
	RPCAborted            RPC = 10
	RPCOutOfRange         RPC = 11
	RPCUnimplemented      RPC = 12
	RPCInternal           RPC = 13
	RPCUnavailable        RPC = 14
	RPCUnauthenticated    RPC = 16
)

// RPC returns the canonical code of c; an unknown code is internal.
func (c Code) RPC() RPC {
	if e, ok := table(c); ok {
		return e.rpc
	}
	return RPCInternal
}

// RPC is the fault's canonical code: its code's, unless it has an HTTP status of
// its own that says something else.
func (e *Error) RPC() RPC {
	if e.Status == 0 || e.Status == e.Code.Status() {
		return e.Code.RPC()
	}
	switch e.Status {
	case http.StatusUnauthorized:
		return RPCUnauthenticated
	case http.StatusForbidden:
		return RPCPermissionDenied
	case http.StatusNotFound:
		return RPCNotFound
	case http.StatusConflict:
		return RPCAborted
	case http.StatusGone:
		return RPCUnimplemented
	case http.StatusPreconditionFailed:
		return RPCFailedPrecondition
	case http.StatusTooManyRequests:
		return RPCResourceExhausted
	case http.StatusGatewayTimeout:
		return RPCDeadlineExceeded
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		return RPCUnavailable
	}
	return e.Code.RPC()
}
