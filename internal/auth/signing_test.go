package auth

import (
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/fault"
)

// without is a node on a store some of whose keys are gone or changed.
func (w *world) without(change string) error {
	w.t.Helper()
	if err := w.driverExec(change); err != nil {
		w.t.Fatal(err)
	}
	a, err := New(Config{App: w.app, Driver: w.driver, Ring: w.ring, Wrapper: w.wrapper, Audit: w.log, URL: "https://shop.example", Mail: w.box, Now: w.clock.now})
	w.must(err)
	err = a.Start(w.ctx)
	w.must(a.Stop(w.ctx))
	return err
}

// TestKeysLost: without the secret behind refresh tokens and codes, everybody
// could derive them. A node neither starts nor goes on with such keys, and says
// what is missing.
func TestKeysLost(t *testing.T) {
	for name, change := range map[string]string{
		"the secret":   `DELETE FROM {signing_keys} WHERE id = 'secret'`,
		"two swapped":  `UPDATE {signing_keys} SET private = (SELECT private FROM {signing_keys} WHERE id = 'secret')`,
		"a short one":  `UPDATE {signing_keys} SET private = x'0102' WHERE id = 'secret'`,
		"another kind": `UPDATE {signing_keys} SET algorithm = 'none' WHERE id = 'secret'`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			f := w.refuses(w.without(change), fault.ConfigInvalid)
			if f.Hint == "" || !strings.Contains(f.Message, "key") {
				t.Errorf("%s: %q, %q", f.Message, f.Details, f.Hint)
			}
			before := w.keyring.Load()
			w.refuses(w.loadKeys(w.ctx), fault.ConfigInvalid)
			if w.keyring.Load() != before {
				t.Error("the running node has taken them")
			}
		})
	}
}

// TestSigningKeyRemoved: the next start makes another one active; a running node
// goes on with those that it has.
func TestSigningKeyRemoved(t *testing.T) {
	for name, change := range map[string]string{
		"every one":  `DELETE FROM {signing_keys} WHERE id <> 'secret'`,
		"the active": `DELETE FROM {signing_keys} WHERE state = 'active' AND id <> 'secret'`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.user("ada@shop.example")
			g := w.signIn("ada@shop.example")
			if err := w.driverExec(change); err != nil {
				t.Fatal(err)
			}
			w.refuses(w.loadKeys(w.ctx), fault.ConfigInvalid)
			w.as(w.signIn("ada@shop.example").AccessToken)
			next := w.node()
			again, err := next.Refresh(w.ctx, w.anon(), g.RefreshToken)
			w.must(err)
			w.must(w.loadKeys(w.ctx))
			w.as(again.AccessToken)
		})
	}
}

// TestDamagedKeysAreReplaced: a rotation with revoke is the way out when a key
// cannot be read any more.
func TestDamagedKeysAreReplaced(t *testing.T) {
	w := newWorld(t)
	w.user("ada@shop.example")
	g := w.signIn("ada@shop.example")
	if err := w.driverExec(`UPDATE {signing_keys} SET private = x'0102' WHERE state = 'next'`); err != nil {
		t.Fatal(err)
	}
	w.refuses(w.RotateSigning(w.ctx, service(), false), fault.ConfigInvalid)
	w.must(w.RotateSigning(w.ctx, service(), true))
	if n := w.count(`SELECT count(*) FROM {signing_keys}`); n != 3 {
		t.Errorf("%d keys", n)
	}
	again, err := w.Refresh(w.ctx, w.anon(), g.RefreshToken)
	w.must(err)
	w.as(again.AccessToken)

	// The secret is no key that a rotation makes anew: what was derived from
	// it would be lost without a word.
	if err := w.driverExec(`UPDATE {signing_keys} SET private = x'0102' WHERE id = 'secret'`); err != nil {
		t.Fatal(err)
	}
	w.refuses(w.RotateSigning(w.ctx, service(), true), fault.ConfigInvalid)
}
