package auth

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/fault"
)

func TestOTP(t *testing.T) {
	w := newWorld(t)
	w.must(w.SendOTP(w.ctx, w.anon(), OTPInput{Email: "ada@shop.example", CreateUser: true, Data: map[string]any{"a": "b"}}))
	code, link := w.mailed("ada@shop.example")
	if link.Get("type") != "magiclink" || link.Get("redirect_to") != "https://shop.example/start" {
		t.Errorf("the link has %v", link)
	}
	out, err := w.Verify(w.ctx, w.anon(), VerifyInput{Type: "email", Email: "Ada@shop.example", Token: code})
	w.must(err)
	id := w.as(out.Grant.AccessToken)
	amr, ok := id.Claims["amr"].([]any)
	if !ok || len(amr) != 1 || amr[0].(map[string]any)["method"] != "otp" { //nolint:forcetypeassert // a failure panics
		t.Errorf("amr is %v", id.Claims["amr"])
	}
	if out.Grant.User.EmailConfirmedAt == nil || string(out.Grant.User.UserMetadata) != `{"a":"b"}` {
		t.Errorf("got %+v", out.Grant.User)
	}

	w.must(w.SendOTP(w.ctx, w.anon(), OTPInput{Email: "ada@shop.example"}))
	_, link = w.mailed("ada@shop.example")
	_, err = w.Verify(w.ctx, w.anon(), VerifyInput{Type: "recovery", TokenHash: link.Get("token")})
	w.refuses(err, fault.AuthOTPExpired) // of another type, and not used up by it
	out, err = w.Verify(w.ctx, w.anon(), VerifyInput{Type: "magiclink", TokenHash: link.Get("token"), Link: true, Redirect: "https://evil.example"})
	w.must(err)
	if out.Grant == nil || out.Redirect != "https://shop.example/start" {
		t.Errorf("got %+v", out)
	}
}

// TestSameAnswers is attack 27: nobody learns from an answer which addresses
// have an account, whatever the account is like.
func TestSameAnswers(t *testing.T) {
	w := newWorld(t)
	w.user("old@shop.example")
	banned := w.user("banned@shop.example")
	day := "24h"
	_, err := w.AdminUpdateUser(w.ctx, service(), banned.ID, AdminUser{BanDuration: &day})
	w.must(err)
	for _, email := range []string{"old@shop.example", "new@shop.example", "banned@shop.example"} {
		w.must(w.SendOTP(w.ctx, w.anon(), OTPInput{Email: email}))
		w.must(w.Recover(w.ctx, w.anon(), RecoverInput{Email: email}))
		w.must(w.Resend(w.ctx, w.anon(), ResendInput{Type: "signup", Email: email}))
		w.must(w.Resend(w.ctx, w.anon(), ResendInput{Type: "email_change", Email: email}))
		_, err := w.Verify(w.ctx, w.anon(), VerifyInput{Type: "email", Email: email, Token: "000000x"})
		w.refuses(err, fault.AuthOTPExpired)
		_, err = w.SignInPassword(w.ctx, w.anon(), email, "a wrong password of nobody")
		w.refuses(err, fault.AuthInvalidCredentials)
		want := 0
		if email == "old@shop.example" {
			want = 2
		}
		if n := len(w.mails(email)); n != want {
			t.Errorf("%s got %d mails", email, n)
		}
	}
}

func TestCodesEnd(t *testing.T) {
	w := newWorld(t)
	w.user("ada@shop.example")
	ask := func() (string, string) {
		w.must(w.SendOTP(w.ctx, w.anon(), OTPInput{Email: "ada@shop.example"}))
		code, link := w.mailed("ada@shop.example")
		return code, link.Get("token")
	}
	try := func(code string) error {
		_, err := w.Verify(w.ctx, stranger(fmt.Sprintf("198.51.100.%d", w.clock.now().Second())), VerifyInput{Type: "email", Email: "ada@shop.example", Token: code})
		w.clock.add(time.Second)
		return err
	}
	code, link := ask()
	wrong := "000000"
	if code == wrong {
		wrong = "000001"
	}
	for range maxTries {
		w.refuses(try(wrong), fault.AuthOTPExpired)
	}
	w.refuses(try(code), fault.AuthOTPExpired) // tried too often
	_, err := w.Verify(w.ctx, w.anon(), VerifyInput{Type: "magiclink", TokenHash: link})
	w.must(err) // which a stranger's guesses do not spoil

	code, _ = ask()
	w.clock.add(codeTime)
	w.refuses(try(code), fault.AuthOTPExpired)
	_, link = ask()
	w.clock.add(linkTime)
	_, err = w.Verify(w.ctx, w.anon(), VerifyInput{Type: "magiclink", TokenHash: link})
	w.refuses(err, fault.AuthOTPExpired)

	first, _ := ask()
	second, _ := ask()
	if first != second {
		w.refuses(try(first), fault.AuthOTPExpired) // the newest counts
	}
	w.must(try(second))
	w.refuses(try(second), fault.AuthOTPExpired)
	w.clock.add(inviteTime)
	w.must(w.housekeep(w.ctx))
	if n := w.count(`SELECT count(*) FROM {one_time_tokens}`); n != 0 {
		t.Errorf("%d tokens are left", n)
	}
}

// TestOneWins is attack 25, over every kind of single-use token of a mail.
func TestOneWins(t *testing.T) {
	w := newWorld(t)
	w.user("ada@shop.example")
	for _, by := range []string{"code", "link"} {
		w.must(w.Recover(w.ctx, w.anon(), RecoverInput{Email: "ada@shop.example"}))
		code, link := w.mailed("ada@shop.example")
		in := VerifyInput{Type: "recovery", TokenHash: link.Get("token")}
		if by == "code" {
			in = VerifyInput{Type: "recovery", Email: "ada@shop.example", Token: code}
		}
		got := parallel(1000, func(i int) (string, error) {
			_, err := w.Verify(w.ctx, stranger(fmt.Sprintf("10.0.%d.%d", i/250, i%250)), in)
			return "won", err
		})
		won := 0
		for _, s := range got {
			switch s {
			case "won":
				won++
			case string(fault.AuthOTPExpired):
			default:
				t.Errorf("%s: got %s", by, s)
			}
		}
		if won != 1 {
			t.Errorf("%s: %d of 1000 won", by, won)
		}
	}
}

func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func TestLinkWithPKCE(t *testing.T) {
	w := newWorld(t)
	w.user("ada@shop.example")
	verifier := strings.Repeat("v", 50)
	w.must(w.Recover(w.ctx, w.anon(), RecoverInput{Email: "ada@shop.example", CodeChallenge: challengeOf(verifier), CodeChallengeMethod: "s256"}))
	_, link := w.mailed("ada@shop.example")
	out, err := w.Verify(w.ctx, w.anon(), VerifyInput{Type: "recovery", TokenHash: link.Get("token"), Link: true, Redirect: link.Get("redirect_to")})
	w.must(err)
	if out.Grant != nil || out.Code == "" || out.Type != "recovery" {
		t.Fatalf("the link opened a session by itself: %+v", out)
	}
	_, err = w.ExchangeCode(w.ctx, w.anon(), out.Code, strings.Repeat("x", 50))
	w.refuses(err, fault.AuthBadCodeVerifier)
	_, err = w.ExchangeCode(w.ctx, w.anon(), out.Code, verifier)
	w.refuses(err, fault.AuthFlowStateNotFound) // spent
}

// TestLinksComeFromTheConfiguration is attacks 22 and 24.
func TestLinksComeFromTheConfiguration(t *testing.T) {
	w := newWorld(t)
	w.user("ada@shop.example")
	for _, to := range []string{
		"https://evil.example", "https://shop.example@evil.example/after", "//evil.example", "javascript:alert(1)", "https://shop.example/after/../x",
		"https://shop.example.evil.example/after", "https://shop.example/other", "http://localhost:3000.evil.example/", "https://shop.example/after#x",
	} {
		w.must(w.Recover(w.ctx, w.anon(), RecoverInput{Email: "ada@shop.example", Redirect: to}))
		_, link := w.mailed("ada@shop.example")
		if got := link.Get("redirect_to"); got != "https://shop.example/start" {
			t.Errorf("%s leads to %s", to, got)
		}
	}
	for _, to := range []string{"https://shop.example/after", "http://localhost:3000/a/b"} {
		if got := w.Redirect(to); got != to {
			t.Errorf("%s leads to %s", to, got)
		}
	}
}

func TestEmailChange(t *testing.T) {
	for _, first := range []string{"old", "new"} {
		t.Run(first+" first", func(t *testing.T) {
			w := newWorld(t)
			w.user("old@shop.example")
			g := w.signIn("old@shop.example")
			email := "new@shop.example"
			u, err := w.UpdateUser(w.ctx, w.as(g.AccessToken), UpdateInput{Email: &email})
			w.must(err)
			if u.Email != "old@shop.example" || u.NewEmail != email {
				t.Fatalf("got %+v", u)
			}
			order := []string{"old", "new"}
			if first == "new" {
				slices.Reverse(order)
			}
			for i, side := range order {
				code, _ := w.mailed(side + "@shop.example")
				out, err := w.Verify(w.ctx, w.anon(), VerifyInput{Type: "email_change", Email: side + "@shop.example", Token: code})
				w.must(err)
				if i == 0 && (out.Message != confirmedOne || out.Grant != nil) || i == 1 && (out.Grant == nil || out.Grant.User.Email != email) {
					t.Fatalf("confirmation %d: %+v", i, out)
				}
			}
			w.signIn(email)
			_, err = w.SignInPassword(w.ctx, w.anon(), "old@shop.example", good)
			w.refuses(err, fault.AuthInvalidCredentials)
			if got := w.as(g.AccessToken).Email; got != email {
				t.Errorf("the caller's address is %s", got)
			}
			if n := w.count(`SELECT count(*) FROM {identities} WHERE email = $1`, email); n != 1 {
				t.Errorf("%d identities have the new address", n)
			}
		})
	}
}

// TestEmailChangeNeedsBoth is an attacker with somebody's session and an own
// address: the owner's confirmation is missing, and time does not replace it.
func TestEmailChangeNeedsBoth(t *testing.T) {
	w := newWorld(t)
	u := w.user("old@shop.example")
	id := w.as(w.signIn("old@shop.example").AccessToken)
	email := "evil@shop.example"
	_, err := w.UpdateUser(w.ctx, id, UpdateInput{Email: &email})
	w.must(err)
	_, link := w.mailed(email)
	w.clock.add(linkTime - time.Second)
	err = w.driverExec(`DELETE FROM {one_time_tokens} WHERE purpose = 'email_change_current'`) // as housekeeping might
	w.must(err)
	_, err = w.Verify(w.ctx, w.anon(), VerifyInput{Type: "email_change", TokenHash: link.Get("token")})
	w.refuses(err, fault.AuthOTPExpired)
	_, err = w.UpdateUser(w.ctx, id, UpdateInput{Email: &email})
	w.must(err)
	_, link = w.mailed(email)
	pw := "the owner resets the password"
	_, err = w.AdminUpdateUser(w.ctx, service(), u.ID, AdminUser{Password: &pw})
	w.must(err)
	_, err = w.Verify(w.ctx, w.anon(), VerifyInput{Type: "email_change", TokenHash: link.Get("token")})
	w.refuses(err, fault.AuthOTPExpired) // a new password ends the change
	got, err := w.AdminGetUser(w.ctx, service(), u.ID)
	w.must(err)
	if got.Email != "old@shop.example" || got.NewEmail != "" {
		t.Errorf("got %+v", got)
	}
}

func TestEmailChangeToAnothers(t *testing.T) {
	w := newWorld(t)
	w.user("old@shop.example")
	w.user("taken@shop.example")
	id := w.as(w.signIn("old@shop.example").AccessToken)
	email := "taken@shop.example"
	_, err := w.UpdateUser(w.ctx, id, UpdateInput{Email: &email})
	w.must(err) // which tells nothing
	code, _ := w.mailed("old@shop.example")
	_, err = w.Verify(w.ctx, w.anon(), VerifyInput{Type: "email_change", Email: "old@shop.example", Token: code})
	w.must(err)
	code, _ = w.mailed(email)
	_, err = w.Verify(w.ctx, w.anon(), VerifyInput{Type: "email_change", Email: email, Token: code})
	w.refuses(err, fault.AuthEmailExists)
}

func TestPasswordChange(t *testing.T) {
	w := newWorld(t)
	w.user("ada@shop.example")
	other := w.signIn("ada@shop.example")
	g := w.signIn("ada@shop.example")
	id := w.as(g.AccessToken)
	same, weak, pw := good, "short", "another long secret of hers"
	_, err := w.UpdateUser(w.ctx, id, UpdateInput{Password: &same})
	w.refuses(err, fault.AuthSamePassword)
	_, err = w.UpdateUser(w.ctx, id, UpdateInput{Password: &weak})
	w.refuses(err, fault.AuthWeakPassword)
	_, err = w.UpdateUser(w.ctx, id, UpdateInput{Password: &pw})
	w.must(err)
	w.as(g.AccessToken)
	_, err = w.who(other.AccessToken) // attack 20
	w.refuses(Fault(err), fault.AuthSessionNotFound)
	_, err = w.SignInPassword(w.ctx, w.anon(), "ada@shop.example", good)
	w.refuses(err, fault.AuthInvalidCredentials)
	_, err = w.SignInPassword(w.ctx, w.anon(), "ada@shop.example", pw)
	w.must(err)
}

func TestReauthentication(t *testing.T) {
	w := newWorld(t)
	w.user("ada@shop.example")
	g := w.signIn("ada@shop.example")
	w.clock.add(freshSession)
	g, err := w.Refresh(w.ctx, w.anon(), g.RefreshToken)
	w.must(err)
	id := w.as(g.AccessToken)
	pw, wrong := "another long secret of hers", "000000"
	_, err = w.UpdateUser(w.ctx, id, UpdateInput{Password: &pw})
	w.refuses(err, fault.AuthReauthNeeded)
	w.must(w.Reauthenticate(w.ctx, id))
	code, link := w.mailed("ada@shop.example")
	if link != nil {
		t.Errorf("the mail has a link: %v", link)
	}
	if code == wrong {
		wrong = "000001"
	}
	_, err = w.UpdateUser(w.ctx, id, UpdateInput{Password: &pw, Nonce: &wrong})
	w.refuses(err, fault.AuthReauthNotValid)
	_, err = w.UpdateUser(w.ctx, id, UpdateInput{Password: &pw, Nonce: &code})
	w.must(err)
	third := "a third long secret of hers"
	_, err = w.UpdateUser(w.ctx, id, UpdateInput{Password: &third, Nonce: &code})
	w.refuses(err, fault.AuthReauthNotValid)
}

func TestLogout(t *testing.T) {
	for scope, alive := range map[string][]bool{"local": {false, true, true}, "others": {true, false, false}, "global": {false, false, false}, "": {false, false, false}} {
		t.Run(scope, func(t *testing.T) {
			w := newWorld(t)
			w.user("ada@shop.example")
			var grants []*Grant
			for range 3 {
				grants = append(grants, w.signIn("ada@shop.example"))
			}
			w.must(w.Logout(w.ctx, w.as(grants[0].AccessToken), scope))
			for i, g := range grants {
				if _, err := w.who(g.AccessToken); (err == nil) != alive[i] {
					t.Errorf("session %d: %v", i, err)
				}
			}
		})
	}
	w := newWorld(t)
	w.user("ada@shop.example")
	w.refuses(w.Logout(w.ctx, w.as(w.signIn("ada@shop.example").AccessToken), "everything"), fault.AuthValidation)
	w.refuses(w.Logout(w.ctx, w.anon(), "global"), fault.AuthNoAuthorization)
}
