package outbound

import (
	"errors"
	"net/netip"
	"syscall"
)

// refusal is why an address is not dialled.
type refusal struct{ kind string }

// Error implements error. The address itself stays out: whoever may choose a
// host must not learn what it resolves to.
func (r *refusal) Error() string { return "the address is " + r.kind }

// control is the dialer's: it sees the address that is really dialled, behind
// every resolution and for each of a name's answers.
func control(private bool) func(network, address string, c syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return errors.New("the dialled address cannot be read") // never: the dialer wrote it
		}
		if kind := forbidden(at.Addr(), private); kind != "" {
			return &refusal{kind}
		}
		return nil
	}
}

// class is a range of addresses that is not the public internet's.
type class struct {
	prefix  netip.Prefix
	kind    string
	private bool // an integration with private: true may reach it
}

// ipv4Classes follow IANA's registry of special-purpose addresses (RFC 6890).
// The first that fits counts.
//
//nolint:gochecknoglobals // a constant table; Go has no slice constants
var ipv4Classes = []class{
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local", false}, // 169.254.169.254: clouds' metadata
	{netip.MustParsePrefix("100.100.100.200/32"), "a cloud's metadata service", false},
	{netip.MustParsePrefix("168.63.129.16/32"), "a cloud's metadata service", false},
	{netip.MustParsePrefix("192.0.0.0/24"), "reserved", false}, // 192.0.0.192: a cloud's metadata
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified", false}, // systems take 0.0.0.0 for the loopback
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback", true},
	{netip.MustParsePrefix("10.0.0.0/8"), "private", true},
	{netip.MustParsePrefix("172.16.0.0/12"), "private", true},
	{netip.MustParsePrefix("192.168.0.0/16"), "private", true},
	{netip.MustParsePrefix("100.64.0.0/10"), "shared (CGNAT)", true},
	{netip.MustParsePrefix("192.0.2.0/24"), "reserved", false},
	{netip.MustParsePrefix("192.88.99.0/24"), "reserved", false},
	{netip.MustParsePrefix("198.18.0.0/15"), "reserved", true}, // benchmarks; some networks use it inside
	{netip.MustParsePrefix("198.51.100.0/24"), "reserved", false},
	{netip.MustParsePrefix("203.0.113.0/24"), "reserved", false},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast", false},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved", false}, // and the broadcast
}

// ipv6Classes end with everything that is not global unicast.
//
//nolint:gochecknoglobals // a constant table; Go has no slice constants
var ipv6Classes = []class{
	{netip.MustParsePrefix("fd00:ec2::/32"), "a cloud's metadata service", false},
	{netip.MustParsePrefix("::1/128"), "loopback", true},
	{netip.MustParsePrefix("::/128"), "unspecified", false},
	{netip.MustParsePrefix("fc00::/7"), "private", true},
	{netip.MustParsePrefix("fe80::/10"), "link-local", false},
	{netip.MustParsePrefix("ff00::/8"), "multicast", false},
	{netip.MustParsePrefix("2001::/23"), "reserved", false}, // Teredo and others that carry IPv4
	{netip.MustParsePrefix("2001:db8::/32"), "reserved", false},
	{netip.MustParsePrefix("3fff::/20"), "reserved", false},
}

//nolint:gochecknoglobals // constants that Go cannot write as such
var (
	globalUnicast = netip.MustParsePrefix("2000::/3")
	nat64         = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052
	sixToFour     = netip.MustParsePrefix("2002::/16")    // RFC 3056
)

// forbidden says why an address must not be dialled; empty: it may. With
// private, the networks behind the internet's edge may be reached, but neither
// link-local addresses nor metadata services. An IPv4 address inside of an IPv6
// one is judged as what it is.
func forbidden(addr netip.Addr, private bool) string {
	if addr.Zone() != "" {
		return "link-local"
	}
	addr = addr.Unmap()
	if addr.Is4() {
		return classify(addr, ipv4Classes, private)
	}
	if kind := classify(addr, ipv6Classes, private); kind != "" || loopbackOrPrivate(addr) {
		return kind
	}
	b := addr.As16()
	switch {
	case nat64.Contains(addr):
		return forbidden(netip.AddrFrom4([4]byte(b[12:16])), private)
	case sixToFour.Contains(addr):
		return forbidden(netip.AddrFrom4([4]byte(b[2:6])), private)
	case !globalUnicast.Contains(addr):
		return "reserved"
	case b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe: // ISATAP, RFC 5214
		return forbidden(netip.AddrFrom4([4]byte(b[12:16])), private)
	}
	return ""
}

func classify(addr netip.Addr, classes []class, private bool) string {
	for i := range classes {
		if c := &classes[i]; c.prefix.Contains(addr) {
			if c.private && private {
				return ""
			}
			return c.kind
		}
	}
	return ""
}

// loopbackOrPrivate are the classes of IPv6 that lie outside of global unicast
// and still may be allowed.
func loopbackOrPrivate(addr netip.Addr) bool { return addr.IsLoopback() || addr.IsPrivate() }
