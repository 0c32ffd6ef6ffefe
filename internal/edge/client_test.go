package edge

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func TestClientIP(t *testing.T) {
	t.Parallel()
	ours := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	long := strings.Repeat("10.0.0.1, ", 5000)
	for _, c := range []struct {
		name, remote string
		forwarded    []string
		proxies      []netip.Prefix
		want         string
	}{
		{"without proxies the header is nothing", "203.0.113.9:99", []string{"6.6.6.6"}, nil, "203.0.113.9"},
		{"loopback is no proxy by itself", "127.0.0.1:99", []string{"6.6.6.6"}, ours, "127.0.0.1"},
		{"a stranger's header is nothing", "203.0.113.9:99", []string{"6.6.6.6"}, ours, "203.0.113.9"},
		{"our proxy's word", "10.1.2.3:99", []string{"198.51.100.7"}, ours, "198.51.100.7"},
		{"what the client wrote stands before", "10.1.2.3:99", []string{"6.6.6.6, 198.51.100.7"}, ours, "198.51.100.7"},
		{"in a header line of its own", "10.1.2.3:99", []string{"6.6.6.6", "198.51.100.7"}, ours, "198.51.100.7"},
		{"over two of our proxies", "10.1.2.3:99", []string{"6.6.6.6, 198.51.100.7, 10.9.9.9"}, ours, "198.51.100.7"},
		{"a client that names our proxy before itself", "10.1.2.3:99", []string{"10.9.9.9, 198.51.100.7"}, ours, "198.51.100.7"},
		{"with a port", "10.1.2.3:99", []string{"198.51.100.7:4711"}, ours, "198.51.100.7"},
		{"IPv6", "[fd00::1]:99", []string{"2001:db8::1"}, ours, "2001:db8::1"},
		{"IPv4 in IPv6", "[::ffff:10.1.2.3]:99", []string{"::ffff:198.51.100.7"}, ours, "198.51.100.7"},
		{"rubbish ends the walk", "10.1.2.3:99", []string{"198.51.100.7, unknown"}, ours, "10.1.2.3"},
		{"no header", "10.1.2.3:99", nil, ours, "10.1.2.3"},
		{"thousands of hops", "10.1.2.3:99", []string{"6.6.6.6, " + long + "10.0.0.2"}, ours, "10.0.0.1"},
	} {
		r := &http.Request{RemoteAddr: c.remote, Header: http.Header{"X-Forwarded-For": c.forwarded}}
		if got := clientIP(r, c.proxies); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
