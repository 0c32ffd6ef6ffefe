package keys_test

import (
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/keys"
)

func TestRedact(t *testing.T) {
	const own = "a-secret-of-ours-without-any-prefix"
	ring, err := keys.OpenRing(keys.RingConfig{Dir: t.TempDir(), Getenv: func(name string) string {
		if name == keys.EnvSecret {
			return own
		}
		return ""
	}})
	if err != nil {
		t.Fatal(err)
	}
	pub, _ := ring.Pair()
	for _, tt := range []struct{ path, want string }{
		{"", ""},
		{"/", "/"},
		{"/rest/v1/orders", "/rest/v1/orders"},
		{"/rest/v1/an_entity_of_a_very_long_name_that_is_no_key", "/rest/v1/an_entity_of_a_very_long_name_that_is_no_key"},
		{"/rest/v1/" + own, "/rest/v1/[key]"},
		{"/" + own + "/" + pub + "/x", "/[key]/[key]/x"},
		{own, "[key]"},
		{"/x/" + own + "/", "/x/[key]/"},
		{"/rest/v1/apikey=" + pub, "/rest/v1/[key]"},
		{"/rest/v1/pando_sec_" + strings.Repeat("a", 43), "/rest/v1/[key]"},
	} {
		if got := ring.Redact(tt.path); got != tt.want {
			t.Errorf("Redact(%q) = %q, want %q", tt.path, got, tt.want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { ring.Redact("/rest/v1/an_entity_of_a_long_name") }); n != 0 {
		t.Errorf("a path without a key costs %v allocations", n)
	}
}
