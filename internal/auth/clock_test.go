package auth

import (
	"testing"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/limit"
)

// unlimited counts requests by the machine's own clock, which is monotonic and
// so never goes back within a process.
func (w *world) unlimited() *world {
	w.cfg.Limits = limit.NewMemory(limit.MemoryConfig{})
	return w
}

// TestClockGoesBack: a clock that was set back (by an operator, by NTP, by a
// machine that was restored) gives nothing that had ended its life again.
func TestClockGoesBack(t *testing.T) {
	t.Run("a revoked session on another node", func(t *testing.T) {
		w := newWorld(t).unlimited()
		other := w.node()
		other.cfg.Limits = w.cfg.Limits
		w.user("ada@shop.example")
		g := w.signIn("ada@shop.example")
		pub, _ := w.ring.Pair()
		there := func() error {
			_, err := other.Authenticate(w.ctx, Credentials{APIKey: pub, Bearer: g.AccessToken}, nil)
			return err
		}
		w.must(there())
		w.clock.add(-10 * time.Second)
		w.must(w.Logout(w.ctx, w.as(g.AccessToken), "local"))
		w.clock.add(5 * time.Second)
		w.refuses(Fault(there()), fault.AuthSessionNotFound)
	})
	t.Run("a used refresh token", func(t *testing.T) {
		w := newWorld(t).unlimited()
		w.user("ada@shop.example")
		first := w.signIn("ada@shop.example")
		second, err := w.Refresh(w.ctx, w.anon(), first.RefreshToken)
		w.must(err)
		_, err = w.Refresh(w.ctx, w.anon(), second.RefreshToken)
		w.must(err)
		w.clock.add(-time.Hour)
		_, err = w.Refresh(w.ctx, w.anon(), first.RefreshToken)
		w.refuses(err, fault.AuthRefreshUsed)
	})
	t.Run("a key that another node made", func(t *testing.T) {
		w := newWorld(t).unlimited()
		other := w.node()
		other.cfg.Limits = w.cfg.Limits
		w.user("ada@shop.example")
		g := w.signIn("ada@shop.example")
		pub, _ := w.ring.Pair()
		w.must(w.RotateSigning(w.ctx, service(), true))
		again, err := w.Refresh(w.ctx, w.anon(), g.RefreshToken)
		w.must(err)
		_, err = other.Authenticate(w.ctx, Credentials{APIKey: pub, Bearer: again.AccessToken}, nil) // looks, and finds it
		w.must(err)
		w.clock.add(-10 * time.Second)
		w.must(w.RotateSigning(w.ctx, service(), true))
		again, err = w.Refresh(w.ctx, w.anon(), again.RefreshToken)
		w.must(err)
		_, err = other.Authenticate(w.ctx, Credentials{APIKey: pub, Bearer: again.AccessToken}, nil)
		w.must(err)
	})
	t.Run("an enrolment that was left open", func(t *testing.T) {
		h := openHouse(t)
		h.unlimited()
		u := h.person("ann@example.com", true)
		thief := h.session(u)
		h.clock.add(time.Hour)
		open := h.enroll(thief, "thief's")
		h.clock.add(-time.Hour)
		h.secured(h.session(u))
		low := h.session(u)
		h.clock.add(30 * time.Second)
		if _, err := h.try(low, open.ID, h.code(open.TOTP.Secret)); err == nil || h.alive(low) == aal2 {
			t.Errorf("a factor of a session of aal1 raised it beside a verified one: %v", err)
		}
	})
}
