// Package limit bounds how often something may happen.
//
// [Limiter] counts by key with the generic cell rate algorithm, [Attempts]
// makes repeated failures slower and slower, and [Network] is the part of an
// address that one subscriber can not leave.
//
// Callers choose keys; nothing that the other side can vary at will may be the
// whole of one. An address, a network or an account may; a header may not.
package limit

import (
	"context"
	"net/netip"
	"time"
)

// Rate is how often: Count times per Per, all at once if nothing came before,
// then evenly. A rate without count or time allows nothing.
type Rate struct {
	Count int
	Per   time.Duration
}

// interval is the time that one event takes of the rate, rounded up so that
// never more than Count fit into Per; 0: nothing is allowed.
func (r Rate) interval() time.Duration {
	if r.Count <= 0 || r.Per <= 0 {
		return 0
	}
	return (r.Per + time.Duration(r.Count) - 1) / time.Duration(r.Count)
}

// Limiter counts events by key. Each key belongs to one rate: a caller that
// bounds one thing by two rates uses two keys. A batch takes once per element.
//
// Take counts one event if the rate allows it. If not, ok is false, nothing is
// counted and retry is when the next one is allowed, unless others take it. An
// error means that the limiter cannot be asked; the caller decides whether that
// stops the request. Implementations are safe for concurrent use.
//
// The state of a key is one time and may be forgotten when that has passed, so
// that a remote store needs one number with an expiry per key, one script for
// the comparison, and its own clock for now.
type Limiter interface {
	Take(ctx context.Context, key string, r Rate) (ok bool, retry time.Duration, err error)
}

// Network returns the network of an IP address that stands for one subscriber:
// the address itself in IPv4, its /64 in IPv6, of which a subscriber has at
// least one (RFC 6177). IPv4 written as IPv6 (::ffff:192.0.2.1) is IPv4, zones
// are left out. Text that is no address is one network of its own, "unknown".
func Network(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return "unknown"
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr.String()
	}
	const bits = 64
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return "unknown"
	}
	return prefix.String()
}
