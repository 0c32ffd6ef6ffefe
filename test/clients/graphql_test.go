package clients_test

import (
	"os"
	"path/filepath"
	"testing"
)

// TestGraphQL holds the GraphQL door against what others have written: the audits
// of graphql-http, and graphql-js.
func TestGraphQL(t *testing.T) {
	node := findNode(t)
	if _, err := os.Stat(filepath.Join("node_modules", "graphql-http")); err != nil {
		t.Skip("graphql-http is not installed; `make test` does it, or: npm ci --ignore-scripts --prefix test/clients")
	}
	const public = "pando_pub_0123456789abcdefghijklmnopqrstuvwxyz0123456"
	url := serveShop(t, "PANDO_PUBLISHABLE_KEY="+public)
	play(t, node, "graphql/*.test.mjs", "PANDO_URL="+url, "PANDO_KEY="+key, "PANDO_PUBLIC_KEY="+public)
}
