package auth

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pandobase/pando/internal/fault"
)

func TestSignUpByMail(t *testing.T) {
	w := newWorld(t)
	in := SignUpInput{Email: " Ada@Shop.Example ", Password: good, Data: map[string]any{"name": "Ada"}, Redirect: "http://localhost:3000/welcome"}
	out, err := w.SignUp(w.ctx, w.anon(), in)
	w.must(err)
	if out.Grant != nil || out.User == nil || out.User.Email != "ada@shop.example" || out.User.EmailConfirmedAt != nil || len(out.User.Identities) != 1 {
		t.Fatalf("got %+v", out)
	}
	_, err = w.SignInPassword(w.ctx, w.anon(), in.Email, good)
	w.refuses(err, fault.AuthEmailNotConfirmed)
	_, err = w.SignInPassword(w.ctx, w.anon(), in.Email, good+"!")
	w.refuses(err, fault.AuthInvalidCredentials) // that it is not confirmed is for those who have the password

	code, link := w.mailed("ada@shop.example")
	if link.Get("type") != "signup" || link.Get("redirect_to") != in.Redirect || len(code) != codeDigits {
		t.Fatalf("the mail has code %q and link %v", code, link)
	}
	got, err := w.Verify(w.ctx, w.anon(), VerifyInput{Type: "signup", Email: in.Email, Token: code})
	w.must(err)
	if got.Grant == nil || got.Grant.User.ID != out.User.ID || got.Grant.User.EmailConfirmedAt == nil {
		t.Fatalf("got %+v", got)
	}
	var data map[string]any
	w.must(json.Unmarshal(got.Grant.User.Identities[0].IdentityData, &data))
	if data["email_verified"] != true || data["sub"] != out.User.ID {
		t.Errorf("the identity says %v", data)
	}
	_, err = w.Verify(w.ctx, w.anon(), VerifyInput{Type: "signup", TokenHash: link.Get("token"), Link: true})
	w.refuses(err, fault.AuthOTPExpired) // code and link are one token
	w.signIn("ada@shop.example")
	want := []string{"auth.sign_in", "auth.sign_in", "auth.sign_in", "auth.sign_up"} // the second one was refused
	if diff := cmp.Diff(want, w.actions()); diff != "" {
		t.Error(diff)
	}
}

// TestSignUpTellsNothing compares the answers for a new address and one with an
// account, member by member.
func TestSignUpTellsNothing(t *testing.T) {
	w := newWorld(t)
	w.user("old@shop.example")
	answer := func(email string) map[string]any {
		out, err := w.SignUp(w.ctx, w.anon(), SignUpInput{Email: email, Password: "quite another long secret", Data: map[string]any{"a": 1}})
		w.must(err)
		raw, err := json.Marshal(out.User)
		w.must(err)
		var m map[string]any
		w.must(json.Unmarshal(raw, &m))
		return m
	}
	ids := cmpopts.IgnoreMapEntries(func(k string, _ any) bool {
		return slices.Contains([]string{"id", "email", "user_id", "identity_id", "sub"}, k)
	})
	if diff := cmp.Diff(answer("new@shop.example"), answer("old@shop.example"), ids); diff != "" {
		t.Errorf("the answers differ (-new +old):\n%s", diff)
	}
	if n := len(w.mails("old@shop.example")); n != 0 {
		t.Errorf("the confirmed account got %d mails", n)
	}
	w.signIn("old@shop.example") // and its password stays
}

// TestSignUpTwice is attack 23: somebody signs up with the address of another
// before or after its owner does.
func TestSignUpTwice(t *testing.T) {
	const theirs = "the password of an attacker"
	for name, order := range map[string][]string{"stranger first": {theirs, good}, "owner first": {good, theirs}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var code string
			for _, pw := range order {
				_, err := w.SignUp(w.ctx, w.anon(), SignUpInput{Email: "eve@shop.example", Password: pw})
				w.must(err)
				code, _ = w.mailed("eve@shop.example")
			}
			_, err := w.Verify(w.ctx, w.anon(), VerifyInput{Type: "email", Email: "eve@shop.example", Token: code})
			w.must(err)
			_, err = w.SignInPassword(w.ctx, w.anon(), "eve@shop.example", theirs)
			w.refuses(err, fault.AuthInvalidCredentials)
		})
	}
	w := newWorld(t)
	var code string
	for range 2 { // the same person, twice
		_, err := w.SignUp(w.ctx, w.anon(), SignUpInput{Email: "ann@shop.example", Password: good})
		w.must(err)
		code, _ = w.mailed("ann@shop.example") // two mails at once come in any order
	}
	_, err := w.Verify(w.ctx, w.anon(), VerifyInput{Type: "email", Email: "ann@shop.example", Token: code})
	w.must(err)
	w.signIn("ann@shop.example")
}

// TestPasswordBeforeProof is attack 23 by way of a link: the account's password
// was set by whoever signed up first.
func TestPasswordBeforeProof(t *testing.T) {
	for _, kind := range []string{"magiclink", "recovery"} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t)
			_, err := w.SignUp(w.ctx, w.anon(), SignUpInput{Email: "eve@shop.example", Password: good})
			w.must(err)
			w.mailed("eve@shop.example")
			if kind == "recovery" {
				w.must(w.Recover(w.ctx, w.anon(), RecoverInput{Email: "eve@shop.example"}))
			} else {
				w.must(w.SendOTP(w.ctx, w.anon(), OTPInput{Email: "eve@shop.example", CreateUser: true}))
			}
			_, link := w.mailed("eve@shop.example")
			_, err = w.Verify(w.ctx, w.anon(), VerifyInput{Type: kind, TokenHash: link.Get("token")})
			w.must(err)
			_, err = w.SignInPassword(w.ctx, w.anon(), "eve@shop.example", good)
			w.refuses(err, fault.AuthInvalidCredentials)
		})
	}
}

// TestClaimBeforeProof is attack 23 where the application confirms every
// sign-up: the owner comes later, by a mail, and whoever claimed the address
// first has a password, a session, a code and an account at a provider.
func TestClaimBeforeProof(t *testing.T) {
	for _, kind := range []string{"magiclink", "recovery", "email"} {
		t.Run(kind, func(t *testing.T) {
			h, i := withIssuer(t, "autoconfirm: true", "linking: true")
			const email = "ann@example.com"
			up, err := h.SignUp(h.ctx, h.anon(), SignUpInput{Email: email, Password: good, Data: map[string]any{"name": "Ann"}})
			h.must(err)
			thief := h.as(up.Grant.AccessToken)
			code, verifier, _ := h.link(i, thief, claimsOf("666", "eve@example.com", true))
			linked, err := h.ExchangeCode(h.ctx, h.anon(), code, verifier)
			h.must(err)
			verifier, challenge := pkce()
			open := h.authCode(h.stored(thief.UID), challenge, methodS256)

			h.mails(email)
			if kind == "recovery" {
				h.must(h.Recover(h.ctx, h.anon(), RecoverInput{Email: email}))
			} else {
				h.must(h.SendOTP(h.ctx, h.anon(), OTPInput{Email: email}))
			}
			typed, mailed := h.mailed(email)
			in := VerifyInput{Type: kind, TokenHash: mailed.Get("token")}
			if kind == "email" {
				in = VerifyInput{Type: kind, Email: email, Token: typed}
			}
			out, err := h.Verify(h.ctx, h.anon(), in)
			h.must(err)
			owner := h.as(out.Grant.AccessToken)
			if owner.UID != thief.UID || len(out.Grant.User.Identities) != 1 || h.stored(owner.UID).user["name"] != "Ann" {
				t.Errorf("the owner is %+v", out.Grant.User)
			}
			_, err = h.SignInPassword(h.ctx, h.anon(), email, good)
			want(t, "the password", err, fault.AuthInvalidCredentials)
			_, err = h.who(linked.AccessToken)
			want(t, "a session", err, fault.InvalidCredential)
			_, err = h.Refresh(h.ctx, h.anon(), linked.RefreshToken)
			want(t, "its refresh token", err, fault.AuthRefreshNotFound)
			_, err = h.ExchangeCode(h.ctx, h.anon(), open, verifier)
			want(t, "a code", err, fault.AuthFlowStateNotFound)
			if g, _, err := h.visit(i, claimsOf("666", "eve@example.com", true)); err != nil || g.User.ID == owner.UID {
				t.Errorf("the account at the provider: %+v, %v", g, err)
			}

			// It happens once: what the owner puts there stays.
			pw := "the owner's own pass phrase"
			_, err = h.UpdateUser(h.ctx, owner, UpdateInput{Password: &pw})
			h.must(err)
			h.must(h.SendOTP(h.ctx, h.anon(), OTPInput{Email: email}))
			_, mailed = h.mailed(email)
			_, err = h.Verify(h.ctx, h.anon(), VerifyInput{Type: "magiclink", TokenHash: mailed.Get("token")})
			h.must(err)
			_, err = h.SignInPassword(h.ctx, h.anon(), email, pw)
			want(t, "the owner's password", err, "")
			if g, _, err := h.visit(i, claimsOf("7", email, true)); err != nil || g.User.ID != owner.UID || len(g.User.Identities) != 2 {
				t.Errorf("the owner's own account at the provider: %+v, %v", g, err)
			}
		})
	}
}

func TestSignUpAutoconfirm(t *testing.T) {
	w := newWorld(t, "autoconfirm: true")
	in := SignUpInput{Email: "ada@shop.example", Password: good}
	out, err := w.SignUp(w.ctx, w.anon(), in)
	w.must(err)
	if id := w.as(out.Grant.AccessToken); id.UID != out.Grant.User.ID || id.Email != "ada@shop.example" || id.AAL != aal1 {
		t.Errorf("the grant is %+v", id)
	}
	_, err = w.SignUp(w.ctx, w.anon(), in)
	w.refuses(err, fault.AuthUserExists)
	if got := out.Grant.ExpiresIn; got != 3600 {
		t.Errorf("expires in %d", got)
	}
	if n := len(w.mails("ada@shop.example")); n != 0 {
		t.Errorf("%d mails", n)
	}
}

func TestSignUpRefused(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		in   SignUpInput
		code fault.Code
	}{
		{SignUpInput{Email: "ada", Password: good}, fault.AuthValidation},
		{SignUpInput{Email: "ada@shop.example\r\nBcc: x@y.example", Password: good}, fault.AuthValidation},
		{SignUpInput{Email: "ada@shop.example", Password: ""}, fault.AuthValidation},
		{SignUpInput{Email: "ada@shop.example", Password: "short"}, fault.AuthWeakPassword},
		{SignUpInput{Email: "ada@shop.example", Password: "ada@shop.example"}, fault.AuthWeakPassword},
		{SignUpInput{Email: "ada@shop.example", Password: good, CodeChallenge: "x"}, fault.AuthValidation},
		{SignUpInput{Email: "ada@shop.example", Password: good, Data: map[string]any{"x": string(make([]byte, 1<<16))}}, fault.AuthValidation},
	} {
		_, err := w.SignUp(w.ctx, w.anon(), c.in)
		w.refuses(err, c.code)
	}
	closed := newWorld(t, "signup: false", "anonymous: true")
	_, err := closed.SignUp(w.ctx, w.anon(), SignUpInput{Email: "ada@shop.example", Password: good})
	closed.refuses(err, fault.AuthSignupDisabled)
	_, err = closed.SignInAnonymously(w.ctx, w.anon(), nil)
	closed.refuses(err, fault.AuthSignupDisabled)
	closed.must(closed.SendOTP(w.ctx, w.anon(), OTPInput{Email: "ada@shop.example", CreateUser: true})) // which tells nothing
	if n := len(closed.mails("ada@shop.example")); n != 0 {
		t.Errorf("%d mails", n)
	}
}

func TestAnonymous(t *testing.T) {
	w := newWorld(t, "anonymous: true")
	g, err := w.SignInAnonymously(w.ctx, w.anon(), map[string]any{"theme": "dark"})
	w.must(err)
	id := w.as(g.AccessToken)
	if !g.User.IsAnonymous || id.Claims["is_anonymous"] != true || id.UID != g.User.ID {
		t.Fatalf("got %+v, %+v", g.User, id)
	}
	email, pw := "ada@shop.example", good
	u, err := w.UpdateUser(w.ctx, id, UpdateInput{Email: &email})
	w.must(err)
	if u.NewEmail != email || u.Email != "" || !u.IsAnonymous {
		t.Fatalf("got %+v", u)
	}
	code, _ := w.mailed(email)
	out, err := w.Verify(w.ctx, w.anon(), VerifyInput{Type: "email_change", Email: email, Token: code})
	w.must(err)
	if got := out.Grant.User; got.IsAnonymous || got.Email != email || got.ID != g.User.ID || len(got.Identities) != 1 {
		t.Fatalf("got %+v", got)
	}
	_, err = w.UpdateUser(w.ctx, id, UpdateInput{Password: &pw})
	w.must(err)
	w.signIn(email)

	_, err = newWorld(t).SignInAnonymously(w.ctx, w.anon(), nil)
	w.refuses(err, fault.AuthAnonymousDisabled)
}

func TestFailuresSlowDown(t *testing.T) {
	w := newWorld(t)
	w.user("ada@shop.example")
	bad, owner := stranger("198.51.100.7"), stranger("192.0.2.1")
	wait := time.Duration(0)
	for range 30 {
		_, err := w.SignInPassword(w.ctx, bad, "ada@shop.example", "not the password of ada")
		if f := fault.From(err); f.Code == fault.AuthRateLimit {
			wait = f.RetryAfter
			break
		}
		w.refuses(err, fault.AuthInvalidCredentials)
	}
	if wait <= 0 {
		t.Fatal("thirty failures in a row and no wait")
	}
	_, err := w.SignInPassword(w.ctx, bad, "ada@shop.example", good)
	w.refuses(err, fault.AuthRateLimit) // nor is the right one judged
	if _, err := w.SignInPassword(w.ctx, owner, "ada@shop.example", good); err != nil {
		t.Errorf("a stranger locked the owner out: %v", err)
	}
	w.clock.add(wait)
	_, err = w.SignInPassword(w.ctx, bad, "ada@shop.example", good)
	w.must(err)
}
