package outbound

import (
	"net/netip"
	"testing"
)

// TestForbidden is the table of addresses; client_test.go dials some of them.
func TestForbidden(t *testing.T) {
	t.Parallel()
	const (
		never   = iota // refused, whatever the integration says
		private        // only with private: true
		public
	)
	for text, want := range map[string]int{
		"1.1.1.1": public, "8.8.8.8": public, "172.15.255.255": public, "172.32.0.0": public, "100.63.255.255": public, "100.128.0.0": public, "223.255.255.255": public,
		"2606:4700:4700::1111": public, "2a00:1450::1": public,
		"127.0.0.1": private, "127.255.255.254": private, "10.0.0.1": private, "172.16.0.1": private, "172.31.255.255": private, "192.168.1.1": private, "100.64.0.1": private,
		"::1": private, "fd12:3456::1": private, "fc00::1": private,
		"0.0.0.0": never, "0.1.2.3": never, "169.254.169.254": never, "169.254.0.1": never, "224.0.0.1": never, "239.255.255.250": never, "255.255.255.255": never, "240.0.0.1": never,
		"192.0.0.192": never, "100.100.100.200": never, "168.63.129.16": never, "192.0.2.1": never, "::": never, "fe80::1": never, "fe80::1%eth0": never, "ff02::1": never,
		"fd00:ec2::254": never, "2001:db8::1": never, "2001::1": never, "fec0::1": never, "100::1": never, "64:ff9b:1::a00:1": never, "5f00::1": never,
		// IPv4 in IPv6 counts as what it is.
		"::ffff:8.8.8.8": public, "::ffff:127.0.0.1": private, "::ffff:10.0.0.1": private, "::ffff:169.254.169.254": never, "::ffff:0.0.0.0": never,
		"64:ff9b::8.8.8.8": public, "64:ff9b::127.0.0.1": private, "64:ff9b::10.1.2.3": private, "64:ff9b::169.254.169.254": never,
		"2002:808:808::1": public, "2002:7f00:1::": private, "2002:a00:1::1": private, "2002:a9fe:a9fe::": never,
		"2606:4700::5efe:10.0.0.1": private, "2606:4700::200:5efe:169.254.169.254": never, "2606:4700::5efe:8.8.8.8": public,
		"::127.0.0.1": never, "::8.8.8.8": never, // IPv4-compatible: deprecated, nobody routes it
	} {
		addr := netip.MustParseAddr(text)
		if got := forbidden(addr, false); (got == "") != (want == public) {
			t.Errorf("%s: %q", text, got)
		}
		if got := forbidden(addr, true); (got == "") != (want != never) {
			t.Errorf("%s with private: true: %q", text, got)
		}
	}
}
