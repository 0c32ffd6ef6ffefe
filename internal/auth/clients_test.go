package auth

import (
	"strings"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/store"
)

func TestClientCredentials(t *testing.T) {
	h := openHouse(t)
	c, err := h.CreateClient(h.ctx, service(), Client{Name: "warehouse", Roles: []string{"admin"}, Audiences: []string{"billing"}})
	h.must(err)
	g, err := h.ClientCredentials(h.ctx, h.anon(), c.ID, c.Secret, "")
	h.must(err)
	if g.ExpiresIn != 60 || g.RefreshToken != "" || g.User != nil || g.TokenType != "bearer" {
		t.Errorf("grant %+v", g)
	}
	id, err := h.Authenticate(h.ctx, Credentials{Bearer: g.AccessToken}, nil)
	h.must(err)
	if id.Role != policy.Authenticated || id.UID != "" || id.Key != c.ID || id.Session != "" || !id.HasRole("admin") || !id.HasRole("staff") {
		t.Errorf("the machine is %+v", id)
	}
	h.write(func(tx store.Tx) error { // a machine is no user
		_, _, err := h.self(tx, &id)
		want(t, "a user's endpoint", err, fault.AuthNoAuthorization)
		return nil
	})
	want(t, "an administrator's", admin(&id), fault.AuthNotAdmin)

	other, err := h.ClientCredentials(h.ctx, h.anon(), c.ID, c.Secret, "billing")
	h.must(err)
	if _, err := h.Authenticate(h.ctx, Credentials{Bearer: other.AccessToken}, nil); err == nil {
		t.Error("a token for somebody else is taken by the application")
	}
	if n := h.count(`SELECT count(*) FROM {clients} WHERE hash = $1`, c.Secret); n != 0 {
		t.Error("the secret lies in the store in clear")
	}

	h.clock.add(61 * time.Second)
	if _, err := h.Authenticate(h.ctx, Credentials{Bearer: g.AccessToken}, nil); err == nil {
		t.Error("a token lives longer than 60 s")
	}
}

func TestClientRefusals(t *testing.T) {
	h := openHouse(t)
	c, err := h.CreateClient(h.ctx, service(), Client{Name: "warehouse", Audiences: []string{"billing"}})
	h.must(err)
	for what, bad := range map[string][2]string{
		"a wrong secret": {c.ID, h.newToken()}, "no secret": {c.ID, ""}, "an unknown client": {h.newID(), c.Secret}, "no client": {"", c.Secret},
		"the hash": {c.ID, hash(c.Secret)}, "a megabyte": {c.ID, strings.Repeat("x", 1<<20)}, "SQL": {"' OR ''='", ""}, "in capitals": {strings.ToUpper(c.ID), c.Secret},
	} {
		_, err := h.ClientCredentials(h.ctx, h.anon(), bad[0], bad[1], "")
		want(t, what, err, fault.AuthInvalidCredentials)
	}
	for _, aud := range []string{"other", "Billing", "billing ", "service_role"} {
		_, err = h.ClientCredentials(h.ctx, h.anon(), c.ID, c.Secret, aud)
		want(t, "audience "+aud, err, fault.AuthValidation)
	}
	for what, in := range map[string]Client{
		"no name": {}, "a role that is none": {Name: "x", Roles: []string{"root"}}, "service as a role": {Name: "x", Roles: []string{"service"}},
		"an empty audience": {Name: "x", Audiences: []string{""}}, "a long name": {Name: strings.Repeat("x", 129)}, "a name of lines": {Name: "x\ny"},
	} {
		_, err := h.CreateClient(h.ctx, service(), in)
		want(t, what, err, fault.AuthValidation)
	}
	h.user("ann@example.com")
	ann := h.as(h.signIn("ann@example.com").AccessToken)
	_, err = h.CreateClient(h.ctx, ann, Client{Name: "mine"})
	want(t, "a user makes one", err, fault.AuthNotAdmin)
	_, err = h.Clients(h.ctx, ann)
	want(t, "a user lists them", err, fault.AuthNotAdmin)
	want(t, "a user revokes one", h.RevokeClient(h.ctx, ann, c.ID), fault.AuthNotAdmin)
	want(t, "revoke none", h.RevokeClient(h.ctx, service(), "x"), fault.NotFound)
}

// TestRefusalsAreBounded: strangers do not fill the audit trail.
func TestRefusalsAreBounded(t *testing.T) {
	h := openHouse(t)
	c, err := h.CreateClient(h.ctx, service(), Client{Name: "warehouse"})
	h.must(err)
	written := func() (n int) {
		for _, action := range h.actions() {
			if action == "auth.client.token" {
				n++
			}
		}
		return n
	}
	try := func() {
		for range 2 * refusalsKept().Count {
			_, err := h.ClientCredentials(h.ctx, h.anon(), c.ID, "wrong", "")
			want(t, "a wrong secret", err, fault.AuthInvalidCredentials)
		}
	}
	try()
	if n := written(); n != refusalsKept().Count {
		t.Errorf("%d refusals are written down", n)
	}
	h.clock.add(refusalsKept().Per)
	try()
	if n := written(); n != 2*refusalsKept().Count {
		t.Errorf("an hour later there are %d", n)
	}
}

func TestRevokeClient(t *testing.T) {
	h := openHouse(t)
	c, err := h.CreateClient(h.ctx, service(), Client{Name: "warehouse"})
	h.must(err)
	g, err := h.ClientCredentials(h.ctx, h.anon(), c.ID, c.Secret, "")
	h.must(err)
	elsewhere := h.node()
	for _, n := range []*Auth{h.Auth, elsewhere} {
		_, err := n.Authenticate(h.ctx, Credentials{Bearer: g.AccessToken}, nil)
		h.must(err)
	}
	h.must(h.RevokeClient(h.ctx, service(), c.ID))
	if _, err := h.Authenticate(h.ctx, Credentials{Bearer: g.AccessToken}, nil); err == nil {
		t.Error("the token of a revoked client is taken where it was revoked")
	}
	h.clock.add(5 * time.Second)
	if _, err := elsewhere.Authenticate(h.ctx, Credentials{Bearer: g.AccessToken}, nil); err == nil {
		t.Error("the token of a revoked client is taken elsewhere after 5 s")
	}
	_, err = h.ClientCredentials(h.ctx, h.anon(), c.ID, c.Secret, "")
	want(t, "a new token", err, fault.AuthInvalidCredentials)
	want(t, "revoke it twice", h.RevokeClient(h.ctx, service(), c.ID), fault.NotFound)
	all, err := h.Clients(h.ctx, service())
	h.must(err)
	if len(all) != 1 || all[0].RevokedAt.IsZero() || all[0].Name != "warehouse" {
		t.Errorf("clients %+v", all)
	}
}
