package auth

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
)

// code is the code of a secret now.
func (h *house) code(secret string) string {
	h.t.Helper()
	c, err := totp.GenerateCode(secret, h.clock.now())
	if err != nil {
		h.t.Fatal(err, fault.From(err).Cause)
	}
	return c
}

// enroll gives a caller a factor that is not verified.
func (h *house) enroll(c *Caller, name string) *Enrollment {
	h.t.Helper()
	e, err := h.EnrollTOTP(h.t.Context(), c, EnrollInput{FriendlyName: name})
	if err != nil {
		h.t.Fatal(err, fault.From(err).Cause)
	}
	return e
}

// try makes a challenge and answers it.
func (h *house) try(c *Caller, factorID, code string) (*Grant, error) {
	ch, err := h.Challenge(h.t.Context(), c, factorID)
	if err != nil {
		return nil, err
	}
	return h.VerifyFactor(h.t.Context(), c, factorID, ch.ID, code)
}

// secured gives a caller a verified factor; the session is aal2 afterwards.
func (h *house) secured(c *Caller) *Enrollment {
	h.t.Helper()
	e := h.enroll(c, "phone")
	if _, err := h.try(c, e.ID, h.code(e.TOTP.Secret)); err != nil {
		h.t.Fatal(err, fault.From(err).Cause)
	}
	h.clock.add(totpPeriod * time.Second)
	return e
}

func TestEnrollAndVerify(t *testing.T) {
	h := openHouse(t)
	u := h.person("ann@example.com", true)
	c, other, elsewhere := h.session(u), h.session(u), h.session(h.person("bob@example.com", true))
	e := h.enroll(c, "phone")
	if e.Type != "totp" || !strings.HasPrefix(e.TOTP.QRCode, "<svg ") || !strings.Contains(e.TOTP.URI, "ann@example.com") || !strings.Contains(e.TOTP.URI, "issuer=shop") {
		t.Errorf("enrolment: %+v", e)
	}
	var secret []byte
	h.read(func(r store.Reader) error {
		f, err := h.factorByID(r, e.ID)
		secret = f.secret
		return err
	})
	if strings.Contains(string(secret), e.TOTP.Secret) || len(secret) == 0 {
		t.Error("the secret lies in the store in clear")
	}
	ch, err := h.Challenge(t.Context(), c, e.ID)
	if err != nil || ch.ExpiresAt != h.clock.now().Add(5*time.Minute).Unix() || ch.Type != "totp" {
		t.Fatalf("challenge %+v: %v", ch, err)
	}
	g, err := h.VerifyFactor(t.Context(), c, e.ID, ch.ID, h.code(e.TOTP.Secret))
	if err != nil {
		t.Fatal(err)
	}
	if g.RefreshToken == "" || g.AccessToken == "" || len(g.User.Factors) != 1 || g.User.Factors[0].Status != "verified" || g.User.Factors[0].LastChallengedAt == nil {
		t.Errorf("grant %+v", g)
	}
	if h.alive(c) != aal2 {
		t.Error("the session is not of aal2")
	}
	if h.alive(other) != "" {
		t.Error("a session of aal1 outlived the first factor")
	}
	if h.alive(elsewhere) != aal1 {
		t.Error("somebody else's session ended")
	}
	if n := h.count(`SELECT count(*) FROM {refresh_tokens} WHERE session_id = $1`, c.Session); n != 1 {
		t.Errorf("%d refresh tokens: those of before the second factor must go", n)
	}
	h.read(func(r store.Reader) error {
		row, err := h.sessionByID(r, c.Session)
		if row.amr[len(row.amr)-1].Method != "totp" || row.amr[0].Method != "password" || row.factorID != e.ID {
			t.Errorf("amr %+v of factor %s", row.amr, row.factorID)
		}
		return err
	})
}

func TestEnrollRefusals(t *testing.T) {
	h := openHouse(t)
	c := h.session(h.person("ann@example.com", true))
	for _, bad := range []struct {
		in   EnrollInput
		code fault.Code
	}{
		{EnrollInput{FactorType: "phone"}, fault.AuthMFAPhoneDisabled},
		{EnrollInput{FactorType: "webauthn"}, fault.AuthMFAWebAuthnDisabled},
		{EnrollInput{FactorType: "sms"}, fault.AuthValidation},
		{EnrollInput{FriendlyName: strings.Repeat("x", 129)}, fault.AuthValidation},
		{EnrollInput{FriendlyName: "a\x00b"}, fault.AuthValidation},
		{EnrollInput{FriendlyName: "a\nb"}, fault.AuthValidation},
		{EnrollInput{Issuer: strings.Repeat("x", 1<<20)}, fault.AuthValidation},
		{EnrollInput{Issuer: "\xff"}, fault.AuthValidation},
	} {
		_, err := h.EnrollTOTP(t.Context(), c, bad.in)
		want(t, fmt.Sprintf("%.40v", bad.in), err, bad.code)
	}
	h.enroll(c, "phone")
	_, err := h.EnrollTOTP(t.Context(), c, EnrollInput{FriendlyName: "phone"})
	want(t, "the same name", err, fault.AuthMFAFactorNameConflict)
	for range 9 {
		h.enroll(c, "")
	}
	_, err = h.EnrollTOTP(t.Context(), c, EnrollInput{FriendlyName: "one more"})
	want(t, "the eleventh", err, fault.AuthMFATooManyFactors)
	h.clock.add(unverifiedLife + time.Second)
	_, err = h.EnrollTOTP(t.Context(), c, EnrollInput{FriendlyName: "phone"})
	want(t, "after the others were given up", err, "")

	_, err = h.EnrollTOTP(t.Context(), h.anon(), EnrollInput{})
	want(t, "nobody", err, fault.AuthNoAuthorization)
	_, err = h.EnrollTOTP(t.Context(), service(), EnrollInput{})
	want(t, "the service", err, fault.AuthNoAuthorization)
	gone := *c
	gone.Session = h.newID()
	_, err = h.EnrollTOTP(t.Context(), &gone, EnrollInput{})
	want(t, "a session that has ended", err, fault.AuthSessionNotFound)
}

// TestSecondFactorBypass is class 26 of the attacks: each way to get past or
// rid of a second factor with a password alone.
func TestSecondFactorBypass(t *testing.T) {
	h := openHouse(t, "linking: true")
	u := h.person("ann@example.com", true)
	owner := h.session(u)
	e := h.secured(owner)
	eve := h.session(h.person("eve@example.com", true))
	theirs := h.secured(eve)
	thief := h.session(u) // has the password

	ctx := t.Context()
	wantCode := func(what string, err error, code fault.Code) { t.Helper(); want(t, what, err, code) }

	wantCode("remove the factor", h.Unenroll(ctx, thief, e.ID), fault.AuthInsufficientAAL)
	_, err := h.EnrollTOTP(ctx, thief, EnrollInput{FriendlyName: "mine"})
	wantCode("add a factor of one's own", err, fault.AuthInsufficientAAL)
	_, err = h.try(thief, theirs.ID, h.code(theirs.TOTP.Secret))
	wantCode("use somebody else's factor", err, fault.AuthMFAFactorNotFound)
	wantCode("remove somebody else's factor", h.Unenroll(ctx, eve, e.ID), fault.AuthMFAFactorNotFound)

	ch, err := h.Challenge(ctx, owner, e.ID)
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.VerifyFactor(ctx, thief, e.ID, ch.ID, h.code(e.TOTP.Secret))
	wantCode("a challenge of another session", err, fault.AuthMFAFactorNotFound)
	_, err = h.VerifyFactor(ctx, thief, e.ID, "", h.code(e.TOTP.Secret))
	wantCode("no challenge", err, fault.AuthMFAFactorNotFound)
	_, err = h.VerifyFactor(ctx, thief, e.ID, h.newID(), h.code(e.TOTP.Secret))
	wantCode("a challenge that is not there", err, fault.AuthMFAFactorNotFound)

	// A code that the owner has used, in a fresh challenge.
	code := h.code(e.TOTP.Secret)
	if _, err := h.VerifyFactor(ctx, owner, e.ID, ch.ID, code); err != nil {
		t.Fatal(err)
	}
	thief = h.session(u)
	_, err = h.try(thief, e.ID, code)
	wantCode("a code that was used", err, fault.AuthMFAVerificationFailed)
	_, err = h.VerifyFactor(ctx, owner, e.ID, ch.ID, code)
	wantCode("a challenge that was used", err, fault.AuthMFAFactorNotFound)
	for _, bad := range []string{"", "000000000", "abcdef", "12345\x00", strings.Repeat("1", 1<<20)} {
		_, err = h.try(h.session(u), e.ID, bad)
		if !fault.Is(err, fault.AuthMFAVerificationFailed) && !fault.Is(err, fault.AuthRateLimit) {
			t.Errorf("code %.10q: %v", bad, err)
		}
	}
	h.clock.add(24 * time.Hour)
	ch, err = h.Challenge(ctx, owner, e.ID)
	if err != nil {
		t.Fatal(err)
	}
	h.clock.add(challengeLife)
	_, err = h.VerifyFactor(ctx, owner, e.ID, ch.ID, h.code(e.TOTP.Secret))
	wantCode("a challenge that is too old", err, fault.AuthMFAChallengeExpired)

	// What the thief could change instead.
	for what, do := range map[string]func(store.Tx, *Caller) error{
		"a claim of aal2 in the token": func(tx store.Tx, c *Caller) error {
			forged := *c
			forged.AAL = aal2
			return h.secondFactor(tx, &forged, u.id)
		},
		"the session of another user": func(tx store.Tx, c *Caller) error {
			forged := *c
			forged.Session = eve.Session
			return h.secondFactor(tx, &forged, u.id)
		},
		"no session": func(tx store.Tx, c *Caller) error { return h.secondFactor(tx, &Caller{Role: c.Role, UID: c.UID}, u.id) },
	} {
		h.write(func(tx store.Tx) error { wantCode(what, do(tx, thief), fault.AuthInsufficientAAL); return nil })
	}
	h.write(func(tx store.Tx) error { wantCode("the owner", h.secondFactor(tx, owner, u.id), ""); return nil })
	wantCode("unlink an identity", h.UnlinkIdentity(ctx, h.session(u), h.newID()), fault.AuthInsufficientAAL)
}

// TestGuessing: wrong codes end a challenge, slow the factor down and never
// lock it for good.
func TestGuessing(t *testing.T) {
	h := openHouse(t)
	c := h.session(h.person("ann@example.com", true))
	e := h.secured(c)
	ch, err := h.Challenge(t.Context(), c, e.ID)
	if err != nil {
		t.Fatal(err)
	}
	wrong := "000000"
	if h.code(e.TOTP.Secret) == wrong {
		wrong = "000001"
	}
	for i := range maxCodeAttempts {
		_, err = h.VerifyFactor(t.Context(), c, e.ID, ch.ID, wrong)
		want(t, fmt.Sprint("wrong code ", i), err, fault.AuthMFAVerificationFailed)
	}
	_, err = h.VerifyFactor(t.Context(), c, e.ID, ch.ID, h.code(e.TOTP.Secret))
	want(t, "the right code after five wrong ones", err, fault.AuthMFAChallengeExpired)

	_, err = h.try(c, e.ID, wrong)
	want(t, "the sixth wrong code", err, fault.AuthMFAVerificationFailed)
	_, err = h.try(c, e.ID, h.code(e.TOTP.Secret))
	want(t, "at once after it", err, fault.AuthRateLimit)
	var f *fault.Error
	if !errors.As(err, &f) || f.RetryAfter <= 0 || f.RetryAfter > time.Second {
		t.Errorf("retry after %v", f)
	}
	guesses := 0
	for begin := h.clock.now(); h.clock.now().Sub(begin) < 2*time.Hour; h.clock.add(10 * time.Second) {
		code := "000000"
		if h.code(e.TOTP.Secret) == code {
			continue
		}
		if _, err = h.try(c, e.ID, code); fault.Is(err, fault.AuthMFAVerificationFailed) {
			guesses++
		}
	}
	if guesses > 36 { // a dozen while the waits double, then one in five minutes
		t.Errorf("%d guesses in two hours", guesses)
	}
	h.clock.add(5 * time.Minute)
	if _, err = h.try(c, e.ID, h.code(e.TOTP.Secret)); err != nil {
		t.Errorf("the owner is locked out: %v", err)
	}
}

// TestCodeRace is class 25: of many uses of one code at once, one wins.
func TestCodeRace(t *testing.T) {
	h := openHouse(t)
	u := h.person("ann@example.com", true)
	owner := h.session(u)
	e := h.secured(owner)
	code := h.code(e.TOTP.Secret)
	const n = 100
	callers, challenges := make([]*Caller, n), make([]string, n)
	for i := range n {
		callers[i] = h.session(u)
		ch, err := h.Challenge(t.Context(), callers[i], e.ID)
		if err != nil {
			t.Fatal(err)
		}
		challenges[i] = ch.ID
	}
	if won := race(n, func(i int) error {
		_, err := h.VerifyFactor(t.Context(), callers[i], e.ID, challenges[i], code)
		return err
	}); won != 1 {
		t.Errorf("one code opened %d sessions", won)
	}
}

func TestUnenroll(t *testing.T) {
	h := openHouse(t)
	u := h.person("ann@example.com", true)
	c := h.session(u)
	e := h.secured(c)
	second := h.enroll(c, "tablet")
	want(t, "a factor that is not verified", h.Unenroll(t.Context(), c, second.ID), "")
	want(t, "twice", h.Unenroll(t.Context(), c, second.ID), fault.AuthMFAFactorNotFound)
	want(t, "no id", h.Unenroll(t.Context(), c, "' OR 1=1 --"), fault.AuthMFAFactorNotFound)
	want(t, "the verified one", h.Unenroll(t.Context(), c, e.ID), "")
	if h.alive(c) != aal1 {
		t.Error("the session kept its level without the factor")
	}
	h.read(func(r store.Reader) error {
		row, err := h.sessionByID(r, c.Session)
		if len(row.amr) != 1 || row.amr[0].Method != "password" {
			t.Errorf("amr %+v", row.amr)
		}
		return err
	})
	h.write(func(tx store.Tx) error { want(t, "without a factor", h.secondFactor(tx, c, u.id), ""); return nil })
}

// TestResetKeepsSecondFactor: the mailbox is no second factor. Who can read it
// gets a session of aal1, in which nothing about the account can be changed.
func TestResetKeepsSecondFactor(t *testing.T) {
	h := openHouse(t)
	h.user("ann@example.com")
	owner := h.as(h.signIn("ann@example.com").AccessToken)
	e := h.secured(owner)
	h.must(h.Recover(h.ctx, h.anon(), RecoverInput{Email: "ann@example.com"}))
	code, _ := h.mailed("ann@example.com")
	v, err := h.Verify(h.ctx, h.anon(), VerifyInput{Type: "recovery", Email: "ann@example.com", Token: code})
	h.must(err)
	thief := h.as(v.Grant.AccessToken)
	if thief.AAL != aal1 {
		t.Errorf("a reset gives %s", thief.AAL)
	}
	pw, email := "a password of the thief's own", "eve@example.com"
	_, err = h.UpdateUser(h.ctx, thief, UpdateInput{Password: &pw})
	want(t, "another password", err, fault.AuthInsufficientAAL)
	_, err = h.UpdateUser(h.ctx, thief, UpdateInput{Email: &email})
	want(t, "another address", err, fault.AuthInsufficientAAL)
	want(t, "no factor", h.Unenroll(h.ctx, thief, e.ID), fault.AuthInsufficientAAL)
	if _, err = h.SignInPassword(h.ctx, h.anon(), "ann@example.com", good); err != nil {
		t.Errorf("the owner's password is gone: %v", err)
	}

	// With the factor the owner can do all of it.
	g, err := h.try(thief, e.ID, h.code(e.TOTP.Secret))
	h.must(err)
	raised := h.as(g.AccessToken)
	if raised.AAL != aal2 {
		t.Errorf("a verified factor gives %s", raised.AAL)
	}
	_, err = h.UpdateUser(h.ctx, raised, UpdateInput{Password: &pw})
	want(t, "the owner's other password", err, "")
}

// TestTokensBeforeTheFactor: what was stolen of a session before its second
// factor is worth nothing after it.
func TestTokensBeforeTheFactor(t *testing.T) {
	h := openHouse(t)
	h.user("ann@example.com")
	first := h.signIn("ann@example.com")
	other := h.signIn("ann@example.com")
	c := h.as(first.AccessToken)
	e := h.enroll(c, "phone")
	g, err := h.try(c, e.ID, h.code(e.TOTP.Secret))
	h.must(err)
	for what, token := range map[string]string{"the session's": first.RefreshToken, "another session's": other.RefreshToken} {
		if _, err := h.Refresh(h.ctx, h.anon(), token); err == nil {
			t.Errorf("%s earlier refresh token gives tokens of the second factor", what)
		}
	}
	if _, err := h.who(other.AccessToken); err == nil {
		t.Error("a session of before the factor goes on")
	}
	if old := h.as(first.AccessToken); old.AAL != aal1 {
		t.Errorf("an earlier access token has %s", old.AAL)
	}
	again, err := h.Refresh(h.ctx, h.anon(), g.RefreshToken)
	h.must(err)
	if h.as(again.AccessToken).AAL != aal2 {
		t.Error("a refresh loses the second factor")
	}
	h.must(h.Unenroll(h.ctx, h.as(again.AccessToken), e.ID))
	if aal := h.as(again.AccessToken).AAL; aal != aal1 {
		t.Errorf("without the factor the token has %s", aal)
	}
}
