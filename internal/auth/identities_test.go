package auth

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/audit"
	"github.com/pandobase/pando/internal/fault"
)

// link goes through the linking of an account by a caller.
func (h *house) link(i *openIDIssuer, c *Caller, claims map[string]any) (code, verifier, errorCode string) {
	h.t.Helper()
	h.clock.add(time.Second) // identities are listed in the order of their making
	verifier, challenge := pkce()
	to, err := h.LinkIdentity(h.ctx, c, AuthorizeInput{Provider: "acme", CodeChallenge: challenge, CodeChallengeMethod: "s256"})
	h.must(err)
	q := h.back(i.consent(to, claims))
	return q.Get("code"), verifier, q.Get("error_code")
}

func TestLinkIdentity(t *testing.T) {
	h, i := withIssuer(t, "linking: true")
	h.user("ann@example.com")
	ann := h.as(h.signIn("ann@example.com").AccessToken)
	h.clock.add(time.Second) // the identities are in the order of their making
	code, verifier, _ := h.link(i, ann, claimsOf("7", "ann@elsewhere.example", false))
	g, err := h.ExchangeCode(h.ctx, h.anon(), code, verifier)
	h.must(err)
	if g.User.ID != ann.UID || len(g.User.Identities) != 2 || g.User.Email != "ann@example.com" {
		t.Errorf("linked: %+v", g.User)
	}
	if _, err := h.LinkIdentity(h.ctx, ann, AuthorizeInput{Provider: "acme"}); !fault.Is(err, fault.AuthValidation) {
		t.Errorf("without PKCE: %v", err)
	}
	if _, _, code := h.link(i, ann, claimsOf("7", "ann@elsewhere.example", false)); code != string(fault.AuthIdentityExists) {
		t.Errorf("twice: %s", code)
	}
	h.user("eve@example.com")
	eve := h.as(h.signIn("eve@example.com").AccessToken)
	if _, _, code := h.link(i, eve, claimsOf("7", "eve@example.com", true)); code != string(fault.AuthIdentityExists) {
		t.Errorf("somebody else's: %s", code)
	}

	// Whose session ended on the way, by logout or ban, links nothing.
	_, challenge := pkce()
	in8 := AuthorizeInput{Provider: "acme", CodeChallenge: challenge, CodeChallengeMethod: "s256"}
	to, err := h.LinkIdentity(h.ctx, eve, in8)
	h.must(err)
	in := i.consent(to, claimsOf("8", "x@example.com", true))
	h.must(h.Logout(h.ctx, eve, "local"))
	if q := h.back(in); q.Get("error_code") != string(fault.AuthSessionNotFound) || q.Get("access_token") != "" {
		t.Errorf("after the logout: %v", q)
	}
	_, err = h.LinkIdentity(h.ctx, h.anon(), in8)
	want(t, "nobody", err, fault.AuthNoAuthorization)
	_, err = h.LinkIdentity(h.ctx, service(), in8)
	want(t, "the service", err, fault.AuthNoAuthorization)

	ids, err := h.Identities(h.ctx, ann)
	h.must(err)
	if len(ids) != 2 || ids[0].Provider != "email" || ids[1].Provider != "acme" {
		t.Errorf("identities %+v", ids)
	}
	off, _ := withIssuer(t)
	off.user("ann@example.com")
	ann = off.as(off.signIn("ann@example.com").AccessToken)
	_, err = off.LinkIdentity(off.ctx, ann, AuthorizeInput{Provider: "acme"})
	want(t, "linking is off", err, fault.AuthLinkingDisabled)
	want(t, "unlinking too", off.UnlinkIdentity(off.ctx, ann, ids[0].IdentityID), fault.AuthLinkingDisabled)
	_, err = off.SignInIDToken(off.ctx, ann, IDTokenInput{Provider: "acme", IDToken: "a.b.c", Link: true})
	want(t, "and by an ID token", err, fault.AuthLinkingDisabled)
}

// TestLedToLink is the linking of a victim's account to the attacker's user
// (login CSRF, RFC 9700, section 4.7): the victim's browser is led onto the way
// that the attacker began. Without the attacker's own exchange nothing is linked,
// and the code is in the victim's browser.
func TestLedToLink(t *testing.T) {
	h, i := withIssuer(t, "linking: true")
	h.user("eve@example.com")
	eve := h.as(h.signIn("eve@example.com").AccessToken)
	code, verifier, _ := h.link(i, eve, claimsOf("7", "ann@example.com", true))
	ids, err := h.Identities(h.ctx, eve)
	if h.must(err); len(ids) != 1 {
		t.Fatalf("the victim's account is the attacker's: %+v", ids)
	}
	// The victim signs in with it, before or after, and gets a user of their own.
	g, _, err := h.visit(i, claimsOf("7", "ann@example.com", true))
	if h.must(err); g.User.ID == eve.UID {
		t.Error("the victim is signed in as the attacker")
	}
	_, err = h.ExchangeCode(h.ctx, h.anon(), code, verifier)
	want(t, "the account is somebody's by now", err, fault.AuthIdentityExists)
	_, err = h.ExchangeCode(h.ctx, h.anon(), code, verifier)
	want(t, "a spent code", err, fault.AuthFlowStateNotFound)

	// The session that began to link has to live when the code is exchanged.
	code, verifier, _ = h.link(i, eve, claimsOf("8", "eve@elsewhere.example", true))
	h.must(h.Logout(h.ctx, eve, "local"))
	_, err = h.ExchangeCode(h.ctx, h.anon(), code, verifier)
	want(t, "after the logout", err, fault.AuthSessionNotFound)
}

func TestAnonymousBecomesPermanent(t *testing.T) {
	h, i := withIssuer(t, "linking: true", "anonymous: true")
	h.user("taken@example.com")
	for email, adopted := range map[string]string{"new@example.com": "new@example.com", "taken@example.com": ""} {
		g, err := h.SignInAnonymously(h.ctx, h.anon(), nil)
		h.must(err)
		code, verifier, _ := h.link(i, h.as(g.AccessToken), claimsOf(email, email, true))
		now, err := h.ExchangeCode(h.ctx, h.anon(), code, verifier)
		h.must(err)
		if now.User.ID != g.User.ID || now.User.IsAnonymous || now.User.Email != adopted || (now.User.EmailConfirmedAt != nil) != (adopted != "") {
			t.Errorf("%s: %+v", email, now.User)
		}
	}
	g, err := h.SignInAnonymously(h.ctx, h.anon(), nil)
	h.must(err)
	linked, err := h.SignInIDToken(h.ctx, h.as(g.AccessToken), IDTokenInput{Provider: "acme", IDToken: i.sign(claimsOf("9", "by-token@example.com", true), ""), Link: true})
	h.must(err)
	if linked.User.ID != g.User.ID || linked.User.IsAnonymous || linked.User.Email != "by-token@example.com" {
		t.Errorf("by an ID token: %+v", linked.User)
	}
}

func TestUnlinkIdentity(t *testing.T) {
	h, i := withIssuer(t, "linking: true")
	h.user("ann@example.com")
	h.user("eve@example.com")
	ann := h.as(h.signIn("ann@example.com").AccessToken)
	ids, err := h.Identities(h.ctx, ann)
	h.must(err)
	want(t, "the last one", h.UnlinkIdentity(h.ctx, ann, ids[0].IdentityID), fault.AuthLastIdentity)
	code, verifier, _ := h.link(i, ann, claimsOf("7", "ann@elsewhere.example", true))
	if _, err := h.ExchangeCode(h.ctx, h.anon(), code, verifier); err != nil {
		t.Fatal(code)
	}
	eve := h.as(h.signIn("eve@example.com").AccessToken)
	want(t, "somebody else's", h.UnlinkIdentity(h.ctx, eve, ids[0].IdentityID), fault.AuthIdentityNotFound)
	want(t, "none", h.UnlinkIdentity(h.ctx, ann, "' OR ''='"), fault.AuthIdentityNotFound)

	// The password goes with the address, which no account left vouches for;
	// the one of the other account takes its place.
	want(t, "the address", h.UnlinkIdentity(h.ctx, ann, ids[0].IdentityID), "")
	u := h.stored(ann.UID)
	if u.password != "" || u.email != "ann@elsewhere.example" || len(u.providers()) != 1 || u.providers()[0] != "acme" || u.app["provider"] != "acme" {
		t.Errorf("Ann is %+v", u)
	}
	_, err = h.SignInPassword(h.ctx, h.anon(), "ann@example.com", good)
	want(t, "the password", err, fault.AuthInvalidCredentials)
	g, _, err := h.visit(i, claimsOf("7", "ann@elsewhere.example", true))
	if err != nil || g.User.ID != ann.UID {
		t.Errorf("the account left: %+v, %v", g, err)
	}
}

// TestUnlinkKeepsTheAddress: whom the application confirmed by itself keeps the
// address to sign in with.
func TestUnlinkKeepsTheAddress(t *testing.T) {
	h, i := withIssuer(t, "autoconfirm: true", "linking: true")
	up, err := h.SignUp(h.ctx, h.anon(), SignUpInput{Email: "ann@example.com", Password: good})
	h.must(err)
	ann := h.as(up.Grant.AccessToken)
	code, verifier, _ := h.link(i, ann, claimsOf("7", "ann@elsewhere.example", true))
	_, err = h.ExchangeCode(h.ctx, h.anon(), code, verifier)
	h.must(err)
	ids, err := h.Identities(h.ctx, ann)
	h.must(err)
	h.must(h.UnlinkIdentity(h.ctx, ann, ids[1].IdentityID))
	if u := h.stored(ann.UID); u.email != "ann@example.com" {
		t.Errorf("the address is %q", u.email)
	}
	h.signIn("ann@example.com")
}

func TestUnlinkProvider(t *testing.T) {
	h, i := withIssuer(t, "linking: true")
	h.user("ann@example.com")
	g, _, err := h.visit(i, claimsOf("7", "ann@example.com", true))
	h.must(err)
	ann := h.as(g.AccessToken)
	for _, id := range g.User.Identities {
		if id.Provider == "acme" {
			h.must(h.UnlinkIdentity(h.ctx, ann, id.IdentityID))
		}
	}
	if u := h.stored(ann.UID); u.email != "ann@example.com" || u.password == "" || u.emailConfirmed.IsZero() {
		t.Errorf("Ann is %+v", u)
	}
}

// TestFlowsOnRecord: what happens to an account stands in the audit trail, and
// no secret of it does.
func TestFlowsOnRecord(t *testing.T) {
	h, i := withIssuer(t, "linking: true")
	h.user("ann@example.com")
	ann := h.as(h.signIn("ann@example.com").AccessToken)
	e := h.secured(ann)
	code, _, _ := h.link(i, ann, claimsOf("7", "x@example.com", true))
	_, err := h.ExchangeCode(h.ctx, h.anon(), code, "wrong")
	want(t, "a wrong verifier", err, fault.AuthBadCodeVerifier)
	code, verifier, _ := h.link(i, ann, claimsOf("7", "x@example.com", true))
	_, err = h.ExchangeCode(h.ctx, h.anon(), code, verifier)
	h.must(err)
	h.person("bob@example.com", false)
	for sub, email := range map[string]string{"8": "new@example.com", "9": "bob@example.com"} {
		_, _, err := h.visit(i, claimsOf(sub, email, true))
		h.must(err)
	}
	ids, err := h.Identities(h.ctx, ann)
	h.must(err)
	h.must(h.UnlinkIdentity(h.ctx, ann, ids[1].IdentityID))
	_, err = h.try(ann, e.ID, "000000")
	want(t, "a wrong code", err, fault.AuthMFAVerificationFailed)
	h.must(h.Unenroll(h.ctx, ann, e.ID))
	c, err := h.CreateClient(h.ctx, service(), Client{Name: "warehouse"})
	h.must(err)
	_, err = h.ClientCredentials(h.ctx, h.anon(), c.ID, c.Secret, "")
	h.must(err)
	h.must(h.RevokeClient(h.ctx, service(), c.ID))

	done := h.actions()
	for _, action := range []string{
		"auth.factor.enroll", "auth.factor.challenge", "auth.factor.enrolled", "auth.factor.verify", "auth.factor.remove", "auth.identity.link",
		"auth.identity.unlink", "auth.identity.take_over", "auth.sign_up", "auth.sign_in", "admin.client.create", "auth.client.token", "admin.client.revoke",
	} {
		if !slices.Contains(done, action) {
			t.Errorf("%s is not on record", action)
		}
	}
	page, err := h.log.Search(h.ctx, audit.Query{Limit: audit.MaxLimit, Outcome: audit.Denied})
	h.must(err)
	if len(page.Records) != 2 {
		t.Errorf("%d denials on record, want 2", len(page.Records))
	}
	page, err = h.log.Search(h.ctx, audit.Query{Limit: audit.MaxLimit})
	h.must(err)
	raw, err := json.Marshal(page)
	h.must(err)
	for what, secret := range map[string]string{"code": code, "verifier": verifier, "TOTP secret": e.TOTP.Secret, "client secret": c.Secret} {
		if strings.Contains(string(raw), secret) {
			t.Errorf("the %s is on record", what)
		}
	}
}
