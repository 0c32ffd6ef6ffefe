package provider_test

import (
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/provider"
)

func TestRedirects(t *testing.T) {
	r, err := provider.NewRedirects([]string{
		"https://shop.example/after", "https://shop.example/after?tab=1", "https://shop.example", "https://dev.shop.example:8443/cb",
		"http://localhost:3000/**", "http://127.0.0.1:*/cb", "http://[::1]:5173/*/done", "http://localhost:4000/a*z", "myapp://callback", "com.example.app://login/done",
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, allowed := range []string{
		"https://shop.example/after", "https://shop.example/after?tab=1", "https://shop.example", "https://shop.example/",
		"https://shop.example:443/after", "HTTPS://SHOP.example/after", "https://dev.shop.example:8443/cb",
		"http://localhost:3000", "http://localhost:3000/", "http://localhost:3000/a/b?c=d", "http://127.0.0.1:1/cb", "http://127.0.0.1:65535/cb", "http://127.0.0.1/cb",
		"http://[::1]:5173/x/done", "http://[0:0::1]:5173/x/done", "http://localhost:4000/abcz", "http://localhost:4000/az", "myapp://callback", "com.example.app://login/done",
	} {
		if !r.Allowed(allowed) {
			t.Errorf("%s is not allowed", allowed)
		}
	}
	for _, refused := range []string{
		"", "/", "/after", "//shop.example/after", "https:", "https:///after", "https://", "shop.example/after",
		// another host
		"https://evil.example/after", "https://shop.example.evil.example/after", "https://evilshop.example/after", "https://sub.shop.example/after",
		"https://shop.example./after", "https://shop.example..", "https://shop.example:8443/after", "https://shop.example:/after", "https://shop.example:443:443/after",
		"http://shop.example/after", "https://shop%2eexample/after", "https://shop.example%00.evil.example/after", "https://shop.example%2fevil/after",
		// user names
		"https://shop.example@evil.example/after", "https://shop.example:443@evil.example/after", "https://user@shop.example/after", "https://@shop.example/after",
		"https://shop.example%40evil.example/after", "http://localhost:3000@evil.example/",
		// what browsers read as a slash, or skip
		`https://evil.example\@shop.example/after`, `https:\\shop.example\after`, `https://shop.example\.evil.example/after`, `https:/\shop.example/after`,
		`http://localhost:3000/\evil.example`, "https:shop.example/after", "https:/shop.example/after",
		"https://shop.example/after\n", "\thttps://shop.example/after", " https://shop.example/after", "ht\ntps://shop.example/after", "https://shop.example/aft\rer", "https://shop.example/after\x00",
		// another path or query
		"https://shop.example/after/", "https://shop.example/After", "https://shop.example/after/../admin", "https://shop.example/x/../after", "https://shop.example/./after",
		"https://shop.example/%61fter", "https://shop.example//after", "https://shop.example/after?", "https://shop.example/after?tab=2", "https://shop.example/after?tab=1&x=2",
		"https://shop.example/after;x", "https://shop.example/after%2f", "https://shop.example/after#x", "https://shop.example/after?tab=1#", "https://shop.example?tab=1",
		"http://localhost:3000/../x", "http://localhost:3000/a/%2e%2e/x", "http://localhost:3000/%2E./x", "http://localhost:3000//evil.example", "http://localhost:3000/%2f/evil.example",
		"http://localhost:3000/%5cevil.example", "http://localhost:3000/%252e",
		// outside ASCII
		"https://ｓhop.example/after", "https://shop。example/after", "https://shοp.example/after", "https://shop.example/after\u202e", "https://shop.example/\u00e4",
		"https://xn--shp-7na.example/after",
		// globs end where they end
		"http://127.0.0.1:1/cb/x", "http://127.0.0.1:1/cb?x", "http://127.0.0.2:1/cb", "http://127.1:1/cb", "http://0x7f.0.0.1:1/cb", "http://2130706433:1/cb", "https://127.0.0.1:1/cb",
		"http://localhost:1/cb", "http://127.0.0.1:99999999999/cb", "http://127.0.0.1:*/cb", "http://[::1]:5173/x/y/done", "http://[::1]:5173/done", "http://[::1%25lo]:5173/x/done",
		"http://[::ffff:127.0.0.1]:5173/x/done", "http://localhost:4000/a/z", "http://localhost:4000/a?z", "http://localhost.evil.example:3000/", "http://localhost:30000/",
		// apps' schemes are exact, and never the browser's own
		"myapp://callback/", "myapp://callback?x=1", "MyApp://callback", "myapp://callback@evil", "myapp:callback", "myapp2://callback", "com.example.app://login/done/..",
		"javascript://shop.example/after%0aalert(1)", "javascript:alert(1)", "data://text/html,x", "data:text/html,x", "vbscript://x", "file:///etc/passwd", "blob:https://shop.example/x",
		"JAVASCRIPT://shop.example/%0aalert(1)", "java\tscript://x", "about://blank", "intent://x",
		"https://shop.example/" + strings.Repeat("a", 3000), "http://localhost:3000/" + strings.Repeat("a", 3000),
	} {
		if r.Allowed(refused) {
			t.Errorf("%q is allowed", refused)
		}
	}
	if (provider.Redirects{}).Allowed("https://shop.example/after") {
		t.Error("the empty list allows something")
	}
}

func TestNewRedirectsRefuses(t *testing.T) {
	bad := []string{
		"https://*.shop.example/after", "https://shop.example/**", "https://shop.example:*/after", "*://localhost/x", "http*://localhost/x", "http://*/x", "http://localhost*/x",
		"http://*localhost/x", "http://shop.example/after", "https://u@shop.example/x", "https://shop.example/x#y", "javascript://localhost/*", "data://x", "myapp://*", "/after", "",
		"http://localhost:3*/x", "http://localhost:1:*/x", "https://shop.example/../x", "http://192.168.0.1:*/x", "https://sch\u00f6n.example/x", "https://shop.example/a b",
		"http://[::1:*/x", "https://shop.example./x",
	}
	for _, text := range bad {
		r, err := provider.NewRedirects([]string{"https://good.example/x", text})
		if !fault.Is(err, fault.ConfigInvalid) || !strings.Contains(err.Error(), text) || r.Allowed("https://good.example/x") {
			t.Errorf("%q: %v", text, err)
		}
	}
	_, err := provider.NewRedirects(bad[:3])
	for _, text := range bad[:3] {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%q is not told: %v", text, err)
		}
	}
}

// No address is allowed that differs from an entry in more than case, port or
// the slash of an empty path.
func FuzzRedirects(f *testing.F) {
	r, err := provider.NewRedirects([]string{"https://shop.example/after"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("https://shop.example:443/after")
	f.Add("https://evil.example\\@shop.example/after")
	f.Fuzz(func(t *testing.T, text string) {
		if !r.Allowed(text) {
			return
		}
		switch {
		case !strings.HasSuffix(text, "/after"):
		case strings.EqualFold(text, "https://shop.example/after"), strings.EqualFold(text, "https://shop.example:443/after"):
			return
		}
		t.Errorf("%q is allowed", text)
	})
}
