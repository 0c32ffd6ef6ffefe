package policy_test

import (
	"testing"

	"github.com/pandobase/pando/internal/policy"
)

// TestScope: two callers have one scope exactly when they are the same one,
// whatever tokens and keys they come with.
func TestScope(t *testing.T) {
	claims := func(client string, expires int) map[string]any {
		return map[string]any{"client_id": client, "exp": expires, "jti": expires}
	}
	callers := [][]policy.Identity{ // each line is one caller
		{{Role: policy.Authenticated, UID: "u", Key: "a", Session: "1"}, {Role: policy.Authenticated, UID: "u", Key: "b", Claims: claims("x", 1)}},
		{{Role: policy.Authenticated, UID: "v"}},
		{{Role: policy.Authenticated, UID: ":0::1:a:"}},
		{{Role: policy.Authenticated, Key: "a"}},
		{{Role: policy.Authenticated, Key: "b"}},
		{{Role: policy.Authenticated, Key: "c", Claims: claims("c", 1)}, {Role: policy.Authenticated, Key: "c", Claims: claims("c", 2)}},
		{{Role: policy.Authenticated, Key: "c", Claims: claims("d", 1)}},
		{{Role: policy.Anon, Key: "a"}},
		{{Role: policy.Anon, Key: "b"}},
		{{Role: policy.Anon, Key: "b", Claims: map[string]any{"cart": "1"}}},
		{{Role: policy.Anon, Key: "b", Claims: map[string]any{"cart": "2"}}},
		{{Role: policy.Service, Key: "a"}},
		{{Role: policy.Service, Key: "a", UID: "u"}},
	}
	of := map[string]int{}
	for i, same := range callers {
		for _, id := range same {
			scope := id.Scope()
			if j, ok := of[scope]; ok && j != i {
				t.Errorf("callers %d and %d have one scope: %q", j, i, scope)
			} else if !ok && scope != same[0].Scope() {
				t.Errorf("caller %d has two scopes: %q", i, scope)
			}
			of[scope] = i
		}
	}
}
