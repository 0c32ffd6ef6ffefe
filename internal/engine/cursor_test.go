package engine

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/keys"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/store"
)

// shapeOf is long enough to have a count and a format at its end.
const shapeOf = "5:tasks{...}00"

func cursorEngine(tb testing.TB) *Engine {
	tb.Helper()
	signer, err := keys.OpenSigner(keys.SignerConfig{Dir: tb.TempDir()})
	if err != nil {
		tb.Fatal(err)
	}
	return &Engine{signer: signer}
}

func TestCursorOpensForItsQueryAndCallerOnly(t *testing.T) {
	e, id := cursorEngine(t), policy.Identity{Role: policy.Service}
	want := &store.Cursor{Before: true, Keys: []string{"", "2026-01-02", "", strings.Repeat("x", 300)}, Null: []bool{true, false, false, false}}
	token := e.sealCursor(want, []byte(shapeOf), id)
	got, err := e.openCursor(token, []byte(shapeOf), id)
	if err != nil || got.Before != want.Before || !slices.Equal(got.Keys, want.Keys) || !slices.Equal(got.Null, want.Null) {
		t.Fatalf("%+v, %v; want %+v", got, err, want)
	}
	if _, err := e.openCursor(token, []byte("5:tasks{...}12"), id); err != nil {
		t.Errorf("counted and encoded otherwise: %v", err)
	}
	for what, open := range map[string]func() error{
		"another query": func() error { _, err := e.openCursor(token, []byte("5:users{...}00"), id); return err },
		"another caller": func() error {
			_, err := e.openCursor(token, []byte(shapeOf), policy.Identity{Role: policy.Anon})
			return err
		},
		"another node's key": func() error {
			_, err := cursorEngine(t).openCursor(token, []byte(shapeOf), id)
			return err
		},
		"cut": func() error { _, err := e.openCursor(token[:len(token)-4], []byte(shapeOf), id); return err },
	} {
		if err := open(); !fault.Is(err, fault.InvalidCursor) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// FuzzCursor: whatever a client sends, a cursor opens only when this node has
// signed it, and what is signed is what was sealed.
func FuzzCursor(f *testing.F) {
	e, id := cursorEngine(f), policy.Identity{Role: policy.Service}
	good := e.sealCursor(&store.Cursor{Keys: []string{"a", ""}, Null: []bool{false, true}}, []byte(shapeOf), id)
	f.Add(good, "a")
	f.Add("", "")
	f.Add("AAAA", "\x00")
	f.Add(good+"A", "é")
	f.Fuzz(func(t *testing.T, token, key string) {
		if c, err := e.openCursor(token, []byte(shapeOf), id); err == nil {
			if again := e.sealCursor(c, []byte(shapeOf), id); again != token {
				t.Errorf("%q opened and seals to %q", token, again)
			}
		}
		// What carries a right signature over damaged contents is refused too.
		raw := append([]byte{0, byte(len(key))}, key...)
		raw = e.signer.Sign(raw, cursorPurpose, append(slices.Clip(raw), bound([]byte(shapeOf), id)...))
		_, _ = e.openCursor(base64.RawURLEncoding.EncodeToString(raw), []byte(shapeOf), id)

		sealed := e.sealCursor(&store.Cursor{Keys: []string{key}, Null: []bool{false}}, []byte(shapeOf), id)
		c, err := e.openCursor(sealed, []byte(shapeOf), id)
		if err != nil || c.Keys[0] != key {
			t.Errorf("%q came back as %+v, %v", key, c, err)
		}
	})
}
