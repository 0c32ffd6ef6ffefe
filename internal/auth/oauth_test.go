package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
)

// begin starts a sign-in with PKCE and answers the provider's URL.
func (h *house) begin(in AuthorizeInput) string {
	h.t.Helper()
	if in.CodeChallenge == "" {
		_, in.CodeChallenge = pkce()
		in.CodeChallengeMethod = "s256"
	}
	if in.Provider == "" {
		in.Provider = "acme"
	}
	to, err := h.Authorize(h.t.Context(), h.anon(), in)
	if err != nil {
		h.t.Fatal(err, fault.From(err).Cause)
	}
	return to
}

// back is where a callback sends the browser.
func (h *house) back(in CallbackInput) url.Values {
	h.t.Helper()
	to, err := h.Callback(h.t.Context(), h.anon(), in)
	if err != nil {
		h.t.Fatal(err, fault.From(err).Cause)
	}
	return parameters(h.t, to)
}

func TestProviderSignIn(t *testing.T) {
	h, i := withIssuer(t)
	g, _, err := h.visit(i, claimsOf("7", "Ann@Example.com", true))
	if err != nil {
		t.Fatal(err, fault.From(err).Cause)
	}
	u := g.User
	if u.Email != "ann@example.com" || u.EmailConfirmedAt == nil || len(u.Identities) != 1 || u.Identities[0].Provider != "acme" || u.Identities[0].ID != "7" {
		t.Errorf("user %+v", u)
	}
	if string(u.AppMetadata) != `{"provider":"acme","providers":["acme"]}` || !strings.Contains(string(u.UserMetadata), `"full_name":"Ann 7"`) {
		t.Errorf("metadata %s %s", u.AppMetadata, u.UserMetadata)
	}
	if g.ProviderToken != "provider-access" || g.ProviderRefreshToken != "provider-refresh" {
		t.Errorf("the provider's tokens are %q and %q", g.ProviderToken, g.ProviderRefreshToken)
	}
	h.clock.add(time.Hour)
	again, _, err := h.visit(i, claimsOf("7", "ann@elsewhere.example", true))
	if err != nil || again.User.ID != u.ID || again.User.Email != "ann@example.com" || again.User.Identities[0].Email != "ann@elsewhere.example" {
		t.Errorf("the second sign-in: %+v, %v", again, err)
	}
	if n := h.count(`SELECT count(*) FROM {users}`); n != 1 {
		t.Errorf("%d users", n)
	}
}

func TestImplicitFlow(t *testing.T) {
	h, i := withIssuer(t)
	to, err := h.Authorize(t.Context(), h.anon(), AuthorizeInput{Provider: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	at, err := h.Callback(t.Context(), h.anon(), i.consent(to, claimsOf("7", "ann@example.com", true)))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(at, "?") || !strings.HasPrefix(at, "https://shop.example/start#") {
		t.Errorf("tokens leave the fragment: %s", at)
	}
	q := parameters(t, at)
	for _, name := range []string{"access_token", "refresh_token", "expires_in", "expires_at", "token_type", "provider_token", "provider_refresh_token"} {
		if q.Get(name) == "" {
			t.Errorf("no %s", name)
		}
	}
	to, err = h.Authorize(t.Context(), h.anon(), AuthorizeInput{Provider: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	in := i.consent(to, nil)
	at, err = h.Callback(t.Context(), h.anon(), CallbackInput{State: in.State, Error: "access_denied", ErrorDescription: "no\r\nSet-Cookie: x=y"})
	if err != nil || !strings.Contains(at, "#") || strings.ContainsAny(at, "\r\n") {
		t.Errorf("refused: %s, %v", at, err)
	}
	if q := parameters(t, at); q.Get("error") != "access_denied" || q.Get("error_code") != "bad_oauth_callback" || q.Get("error_description") != "no  Set-Cookie: x=y" {
		t.Errorf("refused: %v", q)
	}
}

// TestStateAttacks is class 21 at the callback: replayed, foreign, forged and
// expired states, codes of other flows, another browser.
func TestStateAttacks(t *testing.T) {
	h, i := withIssuer(t)
	callback := func(in CallbackInput) error {
		_, err := h.Callback(t.Context(), h.anon(), in)
		return err
	}
	in := i.consent(h.begin(AuthorizeInput{}), claimsOf("7", "ann@example.com", true))
	if q := h.back(in); q.Get("code") == "" {
		t.Fatalf("the sign-in itself: %v", q)
	}
	want(t, "a state that was used", callback(in), fault.AuthBadOAuthState)
	want(t, "no state", callback(CallbackInput{Code: in.Code}), fault.AuthBadOAuthCallback)
	for _, forged := range []string{"x", strings.Repeat("x", 1<<20), hash(in.State), in.State + " ", "' OR ''='"} {
		want(t, "a forged state", callback(CallbackInput{State: forged, Code: "c"}), fault.AuthBadOAuthState)
	}
	u := h.person("bob@example.com", true)
	verifier, challenge := pkce()
	code := h.authCode(u, challenge, methodS256)
	want(t, "a code as a state", callback(CallbackInput{State: code, Code: "c"}), fault.AuthBadOAuthState)
	if _, err := h.ExchangeCode(t.Context(), h.anon(), code, verifier); err != nil {
		t.Errorf("a callback has spent another flow's code: %v", err)
	}

	// An attacker's provider code in the victim's flow: nonce and the provider's
	// own PKCE do not fit.
	mine := i.consent(h.begin(AuthorizeInput{}), claimsOf("666", "eve@example.com", true))
	victims := i.consent(h.begin(AuthorizeInput{}), claimsOf("7", "ann@example.com", true))
	if q := h.back(CallbackInput{State: victims.State, Code: mine.Code}); q.Get("error_code") != string(fault.AuthBadOAuthCallback) || q.Get("code") != "" {
		t.Errorf("a foreign code: %v", q)
	}

	in = i.consent(h.begin(AuthorizeInput{}), claimsOf("7", "ann@example.com", true))
	h.clock.add(stateLife)
	if q := h.back(in); q.Get("error_code") != string(fault.AuthFlowStateExpired) || q.Get("error") != "access_denied" {
		t.Errorf("an old state: %v", q)
	}

	for _, other := range []string{"", "somebody-else"} {
		in = i.consent(h.begin(AuthorizeInput{Browser: "mine"}), claimsOf("7", "ann@example.com", true))
		in.Browser = other
		if q := h.back(in); q.Get("error_code") != string(fault.AuthBadOAuthState) {
			t.Errorf("browser %q: %v", other, q)
		}
	}
	in = i.consent(h.begin(AuthorizeInput{Browser: "mine"}), claimsOf("7", "ann@example.com", true))
	in.Browser = "mine"
	if q := h.back(in); q.Get("code") == "" {
		t.Errorf("the own browser: %v", q)
	}
	for _, p := range []string{"redirect_uri", "state", "client_id", "nonce", "code_challenge", "response_type", "response_mode"} {
		_, err := h.Authorize(t.Context(), h.anon(), AuthorizeInput{Provider: "acme", Params: url.Values{p: {"x"}}})
		want(t, "the parameter "+p, err, fault.AuthValidation)
	}
	_, err := h.Authorize(t.Context(), h.anon(), AuthorizeInput{Provider: "acme", CodeChallenge: challenge, CodeChallengeMethod: "plain"})
	want(t, "plain", err, fault.AuthValidation)
	_, err = h.Authorize(t.Context(), h.anon(), AuthorizeInput{Provider: "google"})
	want(t, "a provider that is off", err, fault.AuthProviderDisabled)
	_, err = h.Authorize(t.Context(), h.anon(), AuthorizeInput{Provider: "nobody"})
	want(t, "a provider that is none", err, fault.AuthProviderNotSupported)
	_, err = h.Authorize(t.Context(), h.anon(), AuthorizeInput{})
	want(t, "no provider", err, fault.AuthValidation)
}

// TestStateRace: one callback of many with one state gets through.
func TestStateRace(t *testing.T) {
	h, i := withIssuer(t)
	in := i.consent(h.begin(AuthorizeInput{}), claimsOf("7", "ann@example.com", true))
	won := race(200, func(int) error {
		_, err := h.Callback(context.Background(), h.anon(), in)
		return err
	})
	if n := h.count(`SELECT count(*) FROM {flows} WHERE kind = 'code'`); won != 1 || n != 1 {
		t.Errorf("%d callbacks, %d codes", won, n)
	}
}

// TestRedirects is class 22: no redirect leads to where the application did
// not allow it, at the start and at the end of a flow.
func TestRedirects(t *testing.T) {
	h, i := withIssuer(t)
	for _, evil := range []string{
		"https://evil.example", "https://evil.example/after", "//evil.example/after", "https://shop.example.evil.example/after",
		"https://shop.example@evil.example/after", "https://shop.example/after/../evil", "https://shop.example/afterwards", "http://app.example/after",
		"https://shop.example:8443/after", "https://shop.example/after?next=//evil.example", "javascript:alert(1)//https://shop.example/after",
		"https://shop.example\\@evil.example/after", "https://shop.example/after\r\nLocation: https://evil.example", "myapp://other", "", "\x00",
		"https://shop.example/after#@evil.example",
	} {
		in := i.consent(h.begin(AuthorizeInput{Redirect: evil}), claimsOf("7", "ann@example.com", true))
		h.back(in) // fails unless it is the site
		in = i.consent(h.begin(AuthorizeInput{Redirect: evil}), claimsOf("7", "ann@example.com", true))
		in.Error, in.ErrorDescription = "access_denied", "https://evil.example"
		h.back(in)
	}
	in := i.consent(h.begin(AuthorizeInput{Redirect: "myapp://callback"}), claimsOf("7", "ann@example.com", true))
	to, err := h.Callback(t.Context(), h.anon(), in)
	if err != nil || !strings.HasPrefix(to, "myapp://callback?code=") {
		t.Errorf("an app's own scheme: %s, %v", to, err)
	}
}

// TestPreHijack is class 23: somebody prepares an account for an address that
// is not theirs and waits for the owner.
func TestPreHijack(t *testing.T) {
	ann := claimsOf("7", "ann@example.com", true)
	t.Run("an unconfirmed password", func(t *testing.T) {
		h, i := withIssuer(t)
		u := h.person("ann@example.com", false)
		thief := h.session(u)
		e := h.secured(thief)
		h.write(func(tx store.Tx) error {
			locked, err := h.lockUser(tx, u.id)
			if err != nil {
				return err
			}
			locked.newEmail, locked.user = "eve@example.com", map[string]any{"name": "Eve", "role": "admin"}
			if err := h.insertIdentity(tx, h.newIdentity(locked, "other", "666", "ann@example.com", nil)); err != nil {
				return err
			}
			return h.updateUser(tx, locked)
		})
		_, challenge := pkce()
		h.authCode(u, challenge, methodS256)
		g, _, err := h.visit(i, ann)
		if err != nil {
			t.Fatal(err, fault.From(err).Cause)
		}
		now := h.stored(u.id)
		if g.User.ID != u.id || now.password != "" || now.newEmail != "" || now.emailConfirmed.IsZero() || now.user["name"] != "Ann 7" || now.user["role"] != nil {
			t.Errorf("the owner's user is %+v", now)
		}
		if h.alive(thief) != "" || len(g.User.Factors) != 0 || len(g.User.Identities) != 1 || g.User.Identities[0].Provider != "acme" {
			t.Errorf("what the thief left is there: %+v, factor %s", g.User, e.ID)
		}
		if n := h.count(`SELECT count(*) FROM {flows}`) + h.count(`SELECT count(*) FROM {one_time_tokens}`); n != 0 {
			t.Errorf("%d codes of the thief are there", n)
		}
		if string(g.User.AppMetadata) != `{"provider":"acme","providers":["acme"]}` {
			t.Errorf("app_metadata %s", g.User.AppMetadata)
		}
	})
	t.Run("a sign-up that was confirmed by itself", func(t *testing.T) {
		h, i := withIssuer(t, "autoconfirm: true")
		up, err := h.SignUp(t.Context(), h.anon(), SignUpInput{Email: "ann@example.com", Password: good})
		if err != nil || up.Grant == nil {
			t.Fatalf("%+v, %v", up, err)
		}
		g, _, err := h.visit(i, ann)
		if err != nil || g.User.ID != up.Grant.User.ID || len(g.User.Identities) != 1 {
			t.Fatalf("%+v, %v", g, err)
		}
		if _, err := h.who(up.Grant.AccessToken); err == nil {
			t.Error("the session of who never proved the address goes on")
		}
		if _, err := h.Refresh(t.Context(), h.anon(), up.Grant.RefreshToken); err == nil {
			t.Error("it can be refreshed")
		}
		_, err = h.SignInPassword(t.Context(), h.anon(), "ann@example.com", good)
		want(t, "the password", err, fault.AuthInvalidCredentials)
	})
	t.Run("an address that was changed without a mail", func(t *testing.T) {
		h, i := withIssuer(t, "autoconfirm: true")
		up, err := h.SignUp(t.Context(), h.anon(), SignUpInput{Email: "eve@example.com", Password: good})
		if err != nil {
			t.Fatal(err)
		}
		email := "ann@example.com"
		if _, err := h.UpdateUser(t.Context(), h.as(up.Grant.AccessToken), UpdateInput{Email: &email}); err != nil {
			t.Fatal(err)
		}
		if _, _, err = h.visit(i, ann); err != nil {
			t.Fatal(err)
		}
		_, err = h.SignInPassword(t.Context(), h.anon(), email, good)
		want(t, "the password", err, fault.AuthInvalidCredentials)
	})
	t.Run("a provider that does not verify", func(t *testing.T) {
		h, i := withIssuer(t)
		u := h.person("ann@example.com", true)
		g, _, err := h.visit(i, claimsOf("666", "ann@example.com", false))
		if err != nil {
			t.Fatal(err)
		}
		if g.User.ID == u.id || g.User.Email != "" || g.User.EmailConfirmedAt != nil || g.User.ConfirmedAt != nil {
			t.Errorf("the thief is %+v", g.User)
		}
		if h.stored(u.id).password == "" {
			t.Error("the owner lost the password to an address that nobody verified")
		}
	})
	t.Run("an address that is kept from its owner", func(t *testing.T) {
		h, i := withIssuer(t)
		thief, _, err := h.visit(i, claimsOf("666", "ann@example.com", false))
		if err != nil {
			t.Fatal(err)
		}
		owner, _, err := h.visit(i, ann)
		if err != nil || owner.User.ID == thief.User.ID || owner.User.Email != "ann@example.com" {
			t.Errorf("the owner is %+v, %v", owner, err)
		}
	})
	t.Run("email_verified in other types", func(t *testing.T) {
		h, i := withIssuer(t)
		u := h.person("ann@example.com", true)
		for n, v := range []any{"false", "TRUE ", 1, nil, []bool{true}, map[string]any{"a": true}} {
			c := claimsOf("x"+string(rune('0'+n)), "ann@example.com", false)
			c["email_verified"] = v
			g, _, err := h.visit(i, c)
			if err != nil || g.User.ID == u.id || g.User.Email != "" {
				t.Errorf("email_verified %#v: %+v, %v", v, g, err)
			}
		}
	})
	t.Run("an identity that changes its address", func(t *testing.T) {
		h, i := withIssuer(t)
		thief, _, err := h.visit(i, claimsOf("666", "eve@example.com", true))
		if err != nil {
			t.Fatal(err)
		}
		u := h.person("ann@example.com", true)
		g, _, err := h.visit(i, claimsOf("666", "ann@example.com", true))
		if err != nil || g.User.ID != thief.User.ID || g.User.Email != "eve@example.com" {
			t.Errorf("the thief became %+v of %s, %v", g, u.id, err)
		}
	})
	t.Run("addresses that look alike", func(t *testing.T) {
		h, i := withIssuer(t)
		u := h.person("ann@example.com", true)
		for _, alike := range []string{"аnn@example.com", "ann@example.com\x00", "ann@exam\u00adple.com", "ann@example.com, eve@example.com", "<ann@example.com>", "ann@example.com\r\nBcc: eve@example.com"} {
			c := claimsOf("n"+hex.EncodeToString([]byte(alike)), alike, true)
			g, _, err := h.visit(i, c)
			if err == nil && g != nil && g.User.ID == u.id {
				t.Errorf("%q is ann@example.com", alike)
			}
		}
	})
}

func TestLinkByVerifiedAddress(t *testing.T) {
	h, i := withIssuer(t)
	u := h.person("ann@example.com", true)
	c := h.session(u)
	g, _, err := h.visit(i, claimsOf("7", "ann@example.com", true))
	if err != nil {
		t.Fatal(err)
	}
	if g.User.ID != u.id || len(g.User.Identities) != 2 || h.stored(u.id).password == "" || h.alive(c) == "" {
		t.Errorf("linked: %+v", g.User)
	}
	if string(g.User.AppMetadata) != `{"provider":"email","providers":["email","acme"]}` {
		t.Errorf("app_metadata %s", g.User.AppMetadata)
	}
}

func TestProviderRefusals(t *testing.T) {
	h, i := withIssuer(t, "signup: false")
	_, q, err := h.visit(i, claimsOf("7", "ann@example.com", true))
	if err != nil || q.Get("error_code") != string(fault.AuthSignupDisabled) || q.Get("error") != "access_denied" {
		t.Errorf("without sign-up: %v, %v", q, err)
	}
	u := h.person("bob@example.com", true)
	h.write(func(tx store.Tx) error {
		locked, err := h.lockUser(tx, u.id)
		if err != nil {
			return err
		}
		locked.bannedUntil = h.now().Add(time.Hour)
		return h.updateUser(tx, locked)
	})
	_, q, err = h.visit(i, claimsOf("8", "bob@example.com", true))
	if err != nil || q.Get("error_code") != string(fault.AuthUserBanned) {
		t.Errorf("a banned user: %v, %v", q, err)
	}
	if n := h.count(`SELECT count(*) FROM {identities}`); n != 1 {
		t.Errorf("%d identities: a refusal left one", n)
	}
}

// TestFirstSignInRace: one account that comes many times at once is one user.
func TestFirstSignInRace(t *testing.T) {
	h, i := withIssuer(t)
	const n = 20
	ins := make([]CallbackInput, n)
	for k := range n {
		ins[k] = i.consent(h.begin(AuthorizeInput{}), claimsOf("7", "ann@example.com", true))
	}
	won := race(n, func(k int) error {
		_, err := h.Callback(context.Background(), h.anon(), ins[k])
		return err
	})
	if users := h.count(`SELECT count(*) FROM {users}`); won != n || users != 1 {
		t.Errorf("%d sign-ins, %d users", won, users)
	}
}

func TestIDToken(t *testing.T) {
	h, i := withIssuer(t)
	raw := "a-raw-nonce"
	sum := sha256.Sum256([]byte(raw))
	hashed := hex.EncodeToString(sum[:])
	ann := claimsOf("7", "ann@example.com", true)
	in := func(token, nonce string) IDTokenInput {
		return IDTokenInput{Provider: "acme", IDToken: token, Nonce: nonce}
	}
	g, err := h.SignInIDToken(t.Context(), h.anon(), in(i.sign(ann, hashed), raw))
	if err != nil || g.User.Email != "ann@example.com" {
		t.Fatalf("%+v, %v", g, err)
	}
	with := func(k string, v any) map[string]any {
		c := claimsOf("7", "ann@example.com", true)
		c[k] = v
		return c
	}
	for what, bad := range map[string]IDTokenInput{
		"another nonce":             in(i.sign(ann, hashed), "other"),
		"a nonce that is missing":   in(i.sign(ann, hashed), ""),
		"a nonce that was not sent": in(i.sign(ann, ""), raw),
		"another audience":          in(i.sign(with("aud", "other-client"), hashed), raw),
		"another issuer":            in(i.sign(with("iss", "https://evil.example"), hashed), raw),
		"expired":                   in(i.sign(with("exp", h.clock.now().Add(-time.Hour).Unix()), hashed), raw),
		"no subject":                in(i.sign(with("sub", ""), hashed), raw),
		"no token":                  in("", raw),
		"no JWT":                    in("a.b.c", raw),
		"a megabyte":                in(strings.Repeat("a", 1<<20)+".b.c", raw),
		"alg none":                  in("eyJhbGciOiJub25lIn0."+strings.Split(i.sign(ann, hashed), ".")[1]+".", raw),
		"no provider":               {IDToken: i.sign(ann, hashed), Nonce: raw},
	} {
		_, err := h.SignInIDToken(t.Context(), h.anon(), bad)
		want(t, what, err, fault.AuthValidation)
	}
	_, err = h.SignInIDToken(t.Context(), h.anon(), IDTokenInput{Provider: "google", IDToken: "a.b.c"})
	want(t, "a provider that is off", err, fault.AuthProviderDisabled)
	if n := h.count(`SELECT count(*) FROM {sessions}`); n != 1 {
		t.Errorf("%d sessions", n)
	}
}

// TestLinkByIDToken: the account of an ID token becomes the caller's, with the
// rules of linking by a redirect.
func TestLinkByIDToken(t *testing.T) {
	h, i := withIssuer(t, "linking: true")
	h.user("ann@example.com")
	ann := h.as(h.signIn("ann@example.com").AccessToken)
	in := IDTokenInput{Provider: "acme", IDToken: i.sign(claimsOf("7", "ann@elsewhere.example", true), ""), Link: true}
	_, err := h.SignInIDToken(h.ctx, h.anon(), in)
	want(t, "nobody", err, fault.AuthNoAuthorization)
	g, err := h.SignInIDToken(h.ctx, ann, in)
	if h.must(err); g.User.ID != ann.UID || len(g.User.Identities) != 2 || g.User.Email != "ann@example.com" {
		t.Errorf("linked: %+v", g.User)
	}
	h.user("eve@example.com")
	eve := h.as(h.signIn("eve@example.com").AccessToken)
	_, err = h.SignInIDToken(h.ctx, eve, in)
	want(t, "somebody else's", err, fault.AuthIdentityExists)
	h.secured(eve)
	in.IDToken = i.sign(claimsOf("8", "x@example.com", true), "")
	_, err = h.SignInIDToken(h.ctx, h.as(h.signIn("eve@example.com").AccessToken), in)
	want(t, "without the second factor", err, fault.AuthInsufficientAAL)
}
