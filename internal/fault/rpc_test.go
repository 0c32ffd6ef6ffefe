package fault

import (
	"net/http"
	"testing"
)

// A canonical code and a status tell of the same side: nobody tries again what is
// wrong by itself, and nobody takes a fault of the server for one of his own.
func TestCanonicalCodesFitStatuses(t *testing.T) {
	t.Parallel()
	server := map[RPC]bool{RPCInternal: true, RPCUnavailable: true, RPCDeadlineExceeded: true, RPCResourceExhausted: true}
	for _, c := range append(Codes(), AuthCodes()...) {
		switch rpc, status := c.RPC(), c.Status(); {
		case rpc == 0:
			t.Errorf("%s has no canonical code", c)
		case status >= 500 && !server[rpc] && c != OutboundRefused:
			t.Errorf("%s is %d, and the canonical code %d puts it down to the caller", c, status, rpc)
		case status < 500 && (rpc == RPCInternal && c != InvalidOutput || rpc == RPCUnavailable):
			t.Errorf("%s is %d, and the canonical code %d puts it down to the server", c, status, rpc)
		case (status == http.StatusUnauthorized) != (rpc == RPCUnauthenticated):
			t.Errorf("%s is %d and has the canonical code %d", c, status, rpc)
		}
	}
	if got := New(Forbidden, "no").ToStranger().RPC(); got != RPCUnauthenticated {
		t.Errorf("a stranger hears %d, want unauthenticated", got)
	}
	if got := New(Raised, "gone").WithStatus(http.StatusNotFound).RPC(); got != RPCNotFound {
		t.Errorf("a fault with the status 404 is %d, want not found", got)
	}
}
