package edge

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// maxHops bounds how many addresses of X-Forwarded-For are looked at.
const maxHops = 32

// ClientIP returns the address of the client that a request came from: the
// other end of the connection or, where that is one of [Config.Proxies], what
// it says in X-Forwarded-For. It is empty outside a request.
func ClientIP(ctx context.Context) string {
	if x := exchangeOf(ctx); x != nil {
		return x.client
	}
	return ""
}

// clientIP finds the client's address. Each proxy appends the address that it
// was called from, so the list is believed from its end as far as the proxies
// are ours: the first address that is not one of theirs is the client's.
// What stands before it anybody can have written.
func clientIP(r *http.Request, proxies []netip.Prefix) string {
	remote := remoteIP(r.RemoteAddr)
	if len(proxies) == 0 {
		return remote
	}
	addr, ok := address(remote)
	if !ok || !trusted(addr, proxies) {
		return remote
	}
	client := addr
	hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	for i, hop := range slices.Backward(hops) {
		if len(hops)-i > maxHops {
			break
		}
		next, ok := address(strings.TrimSpace(hop))
		if !ok {
			break // a proxy of ours would not write this
		}
		client = next
		if !trusted(next, proxies) {
			break
		}
	}
	return client.String()
}

// address reads an IP address, with or without a port.
func address(text string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(text)
	if err != nil {
		withPort, err := netip.ParseAddrPort(text)
		if err != nil {
			return netip.Addr{}, false
		}
		a = withPort.Addr()
	}
	return a.Unmap().WithZone(""), true
}

func trusted(a netip.Addr, proxies []netip.Prefix) bool {
	return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(a) })
}
