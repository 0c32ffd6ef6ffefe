package rpc_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"connectrpc.com/connect"
)

const versionsModule = `
module: shop
entities:
  items:
    was: things
    since: v2
    fields:
      id:    { type: int, primary: true }
      label: { type: text, was: name, since: v2 }
      extra: { type: text, optional: true, since: v2 }
      old:   { type: text, optional: true, until: v1 }
      worn:  { type: text, optional: true, deprecated: { since: 2026-01-02, sunset: 2126-06-30, use: extra } }
      gone:  { type: text, optional: true, deprecated: { since: 2020-01-02, sunset: 2021-06-30, use: extra } }
    policy: { read: "true", create: "true", update: "true", delete: "true" }
operations:
  thing: { run: go, allow: "true", deprecated: { since: 2026-01-02, use: items } }
  quiet: { run: go, allow: "true", deprecated: { since: 2020-01-02, sunset: 2021-06-30, use: sum } }
`

// Two versions are two packages with one row behind them: a field has one number in
// both, whatever it is called.
func TestVersions(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, fstest.MapFS{
		"pando.yaml":        {Data: []byte("app: test\nversions: [v1, v2]\n")},
		"modules/shop.yaml": {Data: []byte(versionsModule)},
	})
	call := func(version, method, in string) (string, *connect.Response[dynamicMessage], error) {
		t.Helper()
		w.compile(version)
		m := w.methodOf("pando.app.shop."+version+".ShopService", method)
		return w.callOf(m, in, asked{key: "user"})
	}
	if out, _, err := call("v1", "CreateThings", `{"row":{"id":"1","name":"n","old":"o"}}`); err != nil || out != `{"id":"1","name":"n","old":"o"}` {
		t.Fatalf("v1 makes %s, %v", out, err)
	}
	if out, _, err := call("v2", "UpdateItems", `{"row":{"id":"1","extra":"e"}}`); err != nil || out != `{"id":"1","label":"n","extra":"e"}` {
		t.Errorf("v2 has %s, %v", out, err)
	}
	if out, _, err := call("v1", "ListThings", `{"filter":{"name":{"eq":"n"}},"order_by":"name desc","read_mask":"name"}`); err != nil || out != `{"rows":[{"name":"n"}]}` {
		t.Errorf("v1 lists %s, %v", out, err)
	}
	if _, _, err := call("v1", "GetThings", `{"id":"1","read_mask":"label"}`); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("v1 knows a name of v2: %v", err)
	}

	_, res, err := call("v2", "ListItems", `{"filter":{"worn":{"is":"IS_NULL"}}}`)
	if err != nil || res.Header().Get("Deprecation") != "@1767312000" || res.Header().Get("Sunset") != "Sun, 30 Jun 2126 00:00:00 GMT" ||
		!strings.Contains(res.Header().Get("Link"), "shop.items.worn") {
		t.Errorf("a deprecated field is told in %v, %v", res, err)
	}
	if _, res, err = call("v2", "ListItems", `{}`); err != nil || res.Header().Get("Deprecation") != "" {
		t.Errorf("who names nothing deprecated is told of it: %v, %v", res, err)
	}
	for method, in := range map[string]string{"ListItems": `{"order_by":"gone"}`, "CreateItems": `{"row":{"id":"2","label":"l","gone":"g"}}`, "Quiet": `{}`} {
		_, _, err := call("v2", method, in)
		if details := strings.Join(detailsOf(t, err), ""); connect.CodeOf(err) != connect.CodeUnimplemented || !strings.Contains(details, `"reason":"gone"`) || !strings.Contains(details, "use ") {
			t.Errorf("%s %s: %v %s, want that it is gone, and what replaces it", method, in, err, details)
		}
	}
	if w.runs > 0 {
		t.Error("an operation that is gone has run")
	}
}
