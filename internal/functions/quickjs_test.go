package functions

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
)

// TestQuickJSHash holds that the engine is what npm has.
func TestQuickJSHash(t *testing.T) {
	sum := sha256.Sum256(quickjsWasm)
	if got := hex.EncodeToString(sum[:]); got != quickjsSHA256 {
		t.Errorf("quickjs.wasm has the hash %s, want %s", got, quickjsSHA256)
	}
}
