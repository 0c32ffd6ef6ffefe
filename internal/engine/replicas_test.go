package engine

import (
	"encoding/base64"
	"slices"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/keys"
	"github.com/pandobase/pando/internal/store"
)

// TestPositionTokens: a token is read for as long as it counts, and by the
// application that made it. Anything else opens nothing.
func TestPositionTokens(t *testing.T) {
	e, other := cursorEngine(t), cursorEngine(t)
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	e.now, other.now = func() time.Time { return now }, func() time.Time { return now }
	at := store.Position{Cluster: 7<<60 + 1, Timeline: 3, LSN: 1 << 40}
	token := e.sealPosition(at)
	if got, ok := e.openPosition(token); !ok || got != at {
		t.Errorf("opened as %+v, %v", got, ok)
	}
	if _, ok := other.openPosition(token); ok {
		t.Error("another application opens it")
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		changed := slices.Clone(raw)
		changed[i] ^= 1
		if _, ok := e.openPosition(base64.RawURLEncoding.EncodeToString(changed)); ok {
			t.Errorf("it opens with byte %d changed", i)
		}
	}
	for _, bad := range []string{"", "x", token[1:], token + "A", token[:len(token)-1] + "=", token + token} {
		if _, ok := e.openPosition(bad); ok {
			t.Errorf("%q opens", bad)
		}
	}
	cursor := e.signer.Sign(slices.Clone(raw[:positionSize]), cursorPurpose, raw[:positionSize])
	if len(cursor) != positionSize+keys.TagSize {
		t.Fatal("the signature's size has changed")
	}
	if _, ok := e.openPosition(base64.RawURLEncoding.EncodeToString(cursor)); ok {
		t.Error("what was signed as a cursor opens")
	}
	now = now.Add(PositionLife - time.Second)
	if _, ok := e.openPosition(token); !ok {
		t.Error("it does not open in its last second")
	}
	now = now.Add(time.Second)
	if _, ok := e.openPosition(token); ok {
		t.Error("it opens when its time is over")
	}
}
