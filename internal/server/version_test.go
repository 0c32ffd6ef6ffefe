package server

import "testing"

func TestVersionOf(t *testing.T) {
	for path, want := range map[string]string{
		"/rest/v1/orders": "v1", "/rest/v12": "v12", "/graphql/v2": "v2", "/rest/v/x": "", "/docs": "",
		"/pando.app.shop.v2.ShopService/ListOrders": "v2", "/rest/v1x/v3": "v3", "/rest/v2/v1": "v2",
	} {
		if got := versionOf(path); got != want {
			t.Errorf("%s: %q", path, got)
		}
	}
}
