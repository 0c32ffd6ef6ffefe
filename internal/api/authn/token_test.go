package authn_test

import (
	"encoding/base64"
	"net/http"
	"testing"

	"github.com/pandobase/pando/internal/fault"
)

// TestClientChallenge: a client that came by HTTP Basic is asked for Basic (RFC
// 6749, section 5.2), every other caller for a Bearer token.
func TestClientChallenge(t *testing.T) {
	d := newDoor(t)
	const form = "application/x-www-form-urlencoded"
	basic := func(text string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(text)) }
	for what, c := range map[string]struct{ body, authorization, want string }{
		"a wrong secret":        {"grant_type=client_credentials", basic("01234567-89ab-7def-8123-456789abcdef:wrong"), `Basic realm="pando"`},
		"no secret":             {"grant_type=client_credentials", basic("01234567-89ab-7def-8123-456789abcdef:"), `Basic realm="pando"`},
		"no colon":              {"grant_type=client_credentials", basic("nobody"), `Basic realm="pando"`},
		"no base64":             {"grant_type=client_credentials", "basic !!!", `Basic realm="pando"`},
		"a secret in the body":  {"grant_type=client_credentials&client_id=x&client_secret=y", "", `Bearer realm="pando"`},
		"nothing":               {"grant_type=client_credentials", "", `Bearer realm="pando"`},
		"a sign-in by password": {"grant_type=password", basic("a:b"), `Bearer realm="pando"`},
	} {
		r := d.call(t, http.MethodPost, "/auth/v1/token", c.body, "Content-Type", form, "Authorization", c.authorization, "Apikey", "")
		if got := r.header.Get("WWW-Authenticate"); r.status != http.StatusUnauthorized || got != c.want {
			t.Errorf("%s: %d, WWW-Authenticate %q", what, r.status, got)
		}
	}
}

// TestSignInCookie: the cookie that binds a sign-in to its browser is one that
// no other host of the domain can set, and no script can read.
func TestSignInCookie(t *testing.T) {
	d := newDoor(t)
	d.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	r := d.call(t, http.MethodGet, "/auth/v1/authorize?provider=github&redirect_to=https%3A%2F%2Fapp.example%2Fafter", "")
	c, err := http.ParseSetCookie(r.header.Get("Set-Cookie"))
	if err != nil || r.status != http.StatusFound {
		t.Fatal(r.status, err, r.body)
	}
	if c.Name != "__Host-pando-sign-in" || c.Path != "/" || c.Domain != "" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteNoneMode || len(c.Value) != 43 {
		t.Errorf("%+v", c)
	}
}

// TestLinkByIDToken: the door hands link_identity on, to who is signed in.
func TestLinkByIDToken(t *testing.T) {
	d := newDoor(t)
	_, access, _ := d.member(t, "ann@example.com")
	body := `{"provider":"google","id_token":"a.b.c","link_identity":true}`
	r := d.call(t, http.MethodPost, "/auth/v1/token?grant_type=id_token", body, "Authorization", "Bearer "+access)
	if code := r.code(t); code != string(fault.AuthProviderDisabled) {
		t.Errorf("signed in: %d %s", r.status, code)
	}
	r = d.call(t, http.MethodPost, "/auth/v1/token?grant_type=id_token", body)
	if code := r.code(t); code != string(fault.AuthNoAuthorization) {
		t.Errorf("nobody: %d %s", r.status, code)
	}
}
