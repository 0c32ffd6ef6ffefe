package auth

import (
	"fmt"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
)

// rates gives a world the rates that pando.yaml has by default.
func (w *world) rates() *world {
	w.app.Config.Auth.Rates = model.DefaultRates()
	return w
}

// TestLimitsByNetwork calls each method until it is refused, from one network.
func TestLimitsByNetwork(t *testing.T) {
	w := newWorld(t, "anonymous: true").rates()
	ip := 0
	for name, do := range map[string]func(id *Caller, i int) error{
		"sign_in": func(id *Caller, i int) error {
			_, err := w.SignInPassword(w.ctx, id, fmt.Sprintf("u%d@x.example", i), "")
			return err
		},
		"sign_up": func(id *Caller, i int) error {
			_, err := w.SignUp(w.ctx, id, SignUpInput{Email: fmt.Sprintf("u%d@x.example", i)})
			return err
		},
		"anonymous": func(id *Caller, _ int) error { _, err := w.SignInAnonymously(w.ctx, id, nil); return err },
		"refresh":   func(id *Caller, _ int) error { _, err := w.Refresh(w.ctx, id, "x"); return err },
		"verify": func(id *Caller, i int) error {
			_, err := w.Verify(w.ctx, id, VerifyInput{Type: "email", Email: fmt.Sprintf("u%d@x.example", i), Token: "1"})
			return err
		},
		"mail": func(id *Caller, i int) error {
			return w.Recover(w.ctx, id, RecoverInput{Email: fmt.Sprintf("u%d@x.example", i)})
		},
		"other": func(id *Caller, _ int) error { _, err := w.GetUser(w.ctx, id); return err },
	} {
		ip++
		id, other := stranger(fmt.Sprintf("10.1.1.%d", ip)), stranger(fmt.Sprintf("10.1.2.%d", ip))
		code, want := fault.AuthRateLimit, w.app.Config.Auth.Rates[name].Count
		if name == "mail" {
			code = fault.AuthEmailRateLimit
		}
		n := 0
		var wait time.Duration
		for ; n < 1000; n++ {
			if err := do(id, n); fault.Is(err, code) {
				wait = fault.From(err).RetryAfter
				break
			}
		}
		if n != want || wait <= 0 {
			t.Errorf("%s: refused after %d, not %d; wait %s", name, n, want, wait)
		}
		if err := do(other, 5000); fault.Is(err, code) {
			t.Errorf("%s: another network is refused too", name)
		}
		w.clock.add(wait)
		if err := do(id, 6000); fault.Is(err, code) {
			t.Errorf("%s: still refused after the wait", name)
		}
	}
}

func TestResendOncePerMinute(t *testing.T) {
	w := newWorld(t).rates()
	ask := func(email string) error { return w.Resend(w.ctx, w.anon(), ResendInput{Type: "signup", Email: email}) }
	w.must(ask("ada@shop.example"))
	f := w.refuses(ask("ada@shop.example"), fault.AuthEmailRateLimit)
	if f.RetryAfter != time.Minute || f.Message != "For security purposes, you can only request this after 60 seconds." {
		t.Errorf("got %q after %s", f.Message, f.RetryAfter)
	}
	w.must(ask("bob@shop.example"))
	w.must(w.Resend(w.ctx, stranger("198.51.100.7"), ResendInput{Type: "signup", Email: "ada@shop.example"})) // nobody waits for a stranger
	w.clock.add(time.Minute)
	w.must(ask("ada@shop.example"))
}

// TestMailsToOneAddress bounds what strangers together can send somebody.
func TestMailsToOneAddress(t *testing.T) {
	w := newWorld(t).rates()
	sent := 0
	for i := range 100 {
		if w.Recover(w.ctx, stranger(fmt.Sprintf("10.1.%d.1", i)), RecoverInput{Email: "ada@shop.example"}) == nil {
			sent++
		}
	}
	if want := w.app.Config.Auth.Rates["mail"].Count; sent != want {
		t.Errorf("%d mails to one address, not %d", sent, want)
	}
}

// TestNetworks is attack 15: a subscriber has a whole /64, which counts as one.
func TestNetworks(t *testing.T) {
	w := newWorld(t).rates()
	refused := 0
	for i := range 100 {
		_, err := w.SignInPassword(w.ctx, stranger(fmt.Sprintf("2001:db8:1:2::%x", i+1)), fmt.Sprintf("u%d@x.example", i), "")
		if fault.Is(err, fault.AuthRateLimit) {
			refused++
		}
	}
	if want := 100 - w.app.Config.Auth.Rates["sign_in"].Count; refused != want {
		t.Errorf("%d of 100 were refused, not %d", refused, want)
	}
}
