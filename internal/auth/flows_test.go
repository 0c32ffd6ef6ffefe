package auth

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
)

// code makes a code for a user as a link in a mail does.
func (h *house) authCode(u *userRow, challenge, method string) (code string) {
	h.t.Helper()
	h.write(func(tx store.Tx) (err error) {
		code, err = h.newAuthCode(tx, u.id, authCode{Challenge: challenge, ChallengeMethod: method, Method: methodOTP})
		return err
	})
	return code
}

func TestCheckChallenge(t *testing.T) {
	_, good := pkce()
	for _, c := range []struct {
		challenge, method string
		ok                bool
	}{
		{"", "", true},
		{good, "s256", true},
		{good, "S256", true},
		{good, "", false},
		{"", "s256", false},
		{good, "plain", false},
		{good, "PLAIN", false},
		{good, "S512", false},
		{good + "=", "s256", false},
		{good[:42], "s256", false},
		{good + "A", "s256", false},
		{strings.Repeat("a", 1<<20), "s256", false},
		{strings.Repeat("+", 43), "s256", false},
		{good[:42] + "\n", "s256", false},
	} {
		_, err := checkChallenge(c.challenge, c.method)
		if (err == nil) != c.ok {
			t.Errorf("%.50q with %q: %v", c.challenge, c.method, err)
		}
	}
}

func TestVerifierVector(t *testing.T) { // RFC 7636, appendix B
	const verifier, challenge = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	if !verifies(verifier, challenge, "s256") {
		t.Error("the RFC's verifier is refused")
	}
}

// TestPKCEDowngrade is class 21 at the exchange: a code is worth nothing
// without the verifier of the challenge that its flow began with.
func TestPKCEDowngrade(t *testing.T) {
	h := openHouse(t)
	u := h.person("ann@example.com", true)
	verifier, challenge := pkce()
	other, _ := pkce()
	for what, wrong := range map[string]string{
		"no verifier":                 "",
		"another verifier":            other,
		"the challenge itself":        challenge,
		"a short verifier":            verifier[:42],
		"a verifier with more":        verifier + "x",
		"a verifier in another case":  strings.ToLower(verifier),
		"a verifier with a NUL":       verifier + "\x00",
		"a verifier of a megabyte":    strings.Repeat("a", 1<<20),
		"a verifier of no characters": strings.Repeat("é", 43),
	} {
		code := h.authCode(u, challenge, methodS256)
		_, err := h.ExchangeCode(t.Context(), h.anon(), code, wrong)
		want(t, what, err, fault.AuthBadCodeVerifier)
		_, err = h.ExchangeCode(t.Context(), h.anon(), code, verifier)
		want(t, what+", then the right one", err, fault.AuthFlowStateNotFound)
	}
	for _, c := range []struct{ challenge, method string }{{verifier, "plain"}, {"", ""}, {"", methodS256}, {challenge, ""}, {challenge, "plain"}} {
		_, err := h.ExchangeCode(t.Context(), h.anon(), h.authCode(u, c.challenge, c.method), verifier)
		want(t, fmt.Sprintf("a flow with challenge %q, %q", c.challenge, c.method), err, fault.AuthBadCodeVerifier)
	}
	if n := h.count(`SELECT count(*) FROM {sessions}`); n != 0 {
		t.Errorf("%d sessions", n)
	}
	g, err := h.ExchangeCode(t.Context(), h.anon(), h.authCode(u, challenge, methodS256), verifier)
	if err != nil || g.User.ID != u.id || g.RefreshToken == "" {
		t.Errorf("the right one: %+v, %v", g, err)
	}
}

func TestExchangeRefusals(t *testing.T) {
	h := openHouse(t)
	u := h.person("ann@example.com", true)
	verifier, challenge := pkce()
	exchange := func(code string) error {
		_, err := h.ExchangeCode(t.Context(), h.anon(), code, verifier)
		return err
	}
	for _, code := range []string{"", "x", strings.Repeat("x", 1<<20), "' OR 1=1 --", hash("x")} {
		want(t, fmt.Sprintf("code %.20q", code), exchange(code), fault.AuthFlowStateNotFound)
	}
	code := h.authCode(u, challenge, methodS256)
	h.clock.add(codeLife)
	want(t, "after five minutes", exchange(code), fault.AuthFlowStateExpired)
	want(t, "again", exchange(code), fault.AuthFlowStateNotFound)

	code = h.authCode(u, challenge, methodS256)
	want(t, "once", exchange(code), "")
	want(t, "twice", exchange(code), fault.AuthFlowStateNotFound)
	if n := h.count(`SELECT count(*) FROM {flows} WHERE hash = $1`, code); n != 0 {
		t.Error("a code lies in the store in clear")
	}

	code = h.authCode(u, challenge, methodS256)
	h.write(func(tx store.Tx) error {
		locked, err := h.lockUser(tx, u.id)
		if err != nil {
			return err
		}
		locked.bannedUntil = h.now().Add(time.Hour)
		return h.updateUser(tx, locked)
	})
	want(t, "a banned user", exchange(code), fault.AuthUserBanned)

	gone := h.person("bob@example.com", true)
	code = h.authCode(gone, challenge, methodS256)
	h.write(func(tx store.Tx) error {
		_, err := tx.Exec(sql(h.cfg.Driver.Dialect(), `DELETE FROM {users} WHERE id = $1`), args(text(gone.id)))
		return err
	})
	want(t, "a user who is gone", exchange(code), fault.AuthFlowStateNotFound)

	// A state is no code: the kinds do not mix.
	h.write(func(tx store.Tx) error {
		return h.putFlow(tx, kindState, "a-state", u.id, "acme", stateData{Challenge: challenge, ChallengeMethod: methodS256}, time.Minute)
	})
	want(t, "a state as a code", exchange("a-state"), fault.AuthFlowStateNotFound)
}

// TestExchangeRace is class 25: one of a thousand gets the session.
func TestExchangeRace(t *testing.T) {
	h := openHouse(t)
	u := h.person("ann@example.com", true)
	verifier, challenge := pkce()
	code := h.authCode(u, challenge, methodS256)
	won := race(1000, func(int) error {
		_, err := h.ExchangeCode(context.Background(), h.anon(), code, verifier)
		if err != nil && !fault.Is(err, fault.AuthFlowStateNotFound) {
			t.Error(err)
		}
		return err
	})
	if n := h.count(`SELECT count(*) FROM {sessions}`); won != 1 || n != 1 {
		t.Errorf("one code: %d answers, %d sessions", won, n)
	}
}
