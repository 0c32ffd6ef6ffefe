package auth

import (
	"encoding/base64"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/keys"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/store"
)

func TestAuthenticateKeys(t *testing.T) {
	w := newWorld(t)
	pub, sec := w.ring.Pair()
	w.user("ada@shop.example")
	token := w.signIn("ada@shop.example").AccessToken
	for name, c := range map[string]struct {
		c    Credentials
		role policy.Role
		code fault.Code
	}{
		"publishable":           {Credentials{APIKey: pub}, policy.Anon, ""},
		"publishable as Bearer": {Credentials{Bearer: pub}, policy.Anon, ""},
		"both":                  {Credentials{APIKey: pub, Bearer: pub}, policy.Anon, ""},
		"secret":                {Credentials{APIKey: sec}, policy.Service, ""},
		"secret as Bearer":      {Credentials{APIKey: pub, Bearer: sec}, policy.Service, ""},
		"a Bearer goes first":   {Credentials{APIKey: sec, Bearer: pub}, policy.Anon, ""},
		"a user":                {Credentials{APIKey: pub, Bearer: token}, policy.Authenticated, ""},
		"a user by the secret":  {Credentials{APIKey: sec, Bearer: token}, policy.Authenticated, ""},
		"nothing":               {Credentials{}, "", fault.MissingCredential},
		"a token alone":         {Credentials{Bearer: token}, "", fault.MissingCredential},
		"a wrong key":           {Credentials{APIKey: pub + "x"}, "", fault.InvalidCredential},
		"a wrong key, a token":  {Credentials{APIKey: "x", Bearer: token}, "", fault.InvalidCredential},
		"a token as key":        {Credentials{APIKey: token}, "", fault.InvalidCredential},
		"a wrong Bearer":        {Credentials{APIKey: sec, Bearer: "x"}, "", fault.InvalidCredential},
		"a bad token":           {Credentials{APIKey: sec, Bearer: "a.b.c"}, "", fault.InvalidCredential},
	} {
		r := &policy.Request{ID: name}
		id, err := w.Authenticate(w.ctx, c.c, r)
		if c.code != "" {
			if !fault.Is(err, c.code) || id.Role != "" {
				t.Errorf("%s: %v, %+v", name, err, id)
			}
			continue
		}
		if err != nil || id.Role != c.role || id.Request != r || id.Key == "" || id.OnBehalf != "" {
			t.Errorf("%s: %v, %+v", name, err, id)
		}
	}
}

// TestScopedKeys uses keys that are bounded to roles and modules.
func TestScopedKeys(t *testing.T) {
	w := newWorld(t)
	w.user("ada@shop.example")
	_, machine, err := w.ring.Create(keys.New{Kind: keys.Secret, Name: "robot", Roles: []string{"admin"}, Modules: []string{"orders"}, Life: time.Hour})
	w.must(err)
	id, err := w.Authenticate(w.ctx, Credentials{APIKey: machine}, nil)
	w.must(err)
	if id.Role != policy.Authenticated || id.UID != "" || !slices.Equal(id.Roles, []string{"admin", "staff"}) || !slices.Equal(id.Modules, []string{"orders"}) {
		t.Errorf("got %+v", id)
	}
	if _, err := w.AdminListUsers(w.ctx, &id, 1, 1); !fault.Is(err, fault.AuthNotAdmin) {
		t.Errorf("it administers users: %v", err)
	}
	for modules, want := range map[string]fault.Code{"orders": fault.AuthNotAdmin, "auth": ""} {
		_, bounded, err := w.ring.Create(keys.New{Kind: keys.Secret, Name: modules, Modules: []string{modules}, Life: time.Hour})
		w.must(err)
		id, err := w.Authenticate(w.ctx, Credentials{APIKey: bounded}, nil)
		w.must(err)
		if _, err := w.AdminListUsers(w.ctx, &id, 1, 1); want == "" && err != nil || want != "" && !fault.Is(err, want) {
			t.Errorf("a secret key of the module %s lists users: %v", modules, err)
		}
	}
	_, narrow, err := w.ring.Create(keys.New{Kind: keys.Publishable, Name: "app", Modules: []string{"catalog"}})
	w.must(err)
	id, err = w.Authenticate(w.ctx, Credentials{APIKey: narrow, Bearer: w.signIn("ada@shop.example").AccessToken}, nil)
	w.must(err)
	if id.UID == "" || !slices.Equal(id.Modules, []string{"catalog"}) {
		t.Errorf("a user is not bounded by the key: %+v", id)
	}
	w.clock.add(time.Hour)
	_, err = w.Authenticate(w.ctx, Credentials{APIKey: machine}, nil)
	w.refuses(err, fault.InvalidCredential)
}

// TestAuthenticateTokens is attacks 18 and 19.
func TestAuthenticateTokens(t *testing.T) {
	w := newWorld(t)
	u := w.user("ada@shop.example")
	g := w.signIn("ada@shop.example")
	claims := func(change map[string]any) map[string]any {
		c := map[string]any{
			"sub": u.ID, "role": "authenticated", "session_id": w.as(g.AccessToken).Session, "exp": w.clock.now().Add(time.Minute).Unix(), "aal": "aal1",
		}
		maps.Copy(c, change)
		return c
	}
	signed := func(change map[string]any) string {
		token, err := w.sign(claims(change))
		w.must(err)
		return token
	}
	parts := strings.Split(g.AccessToken, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`))
	for name, token := range map[string]string{
		"none":              none + "." + parts[1] + ".",
		"none with a tail":  none + "." + parts[1] + "." + parts[2],
		"another signature": parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])),
		"a changed payload": parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"x"}`)) + "." + parts[2],
		"a megabyte":        parts[0] + "." + strings.Repeat("A", 1<<20) + "." + parts[2],
		"another audience":  signed(map[string]any{"aud": "others"}),
		"no session":        signed(map[string]any{"session_id": nil}),
		"another's session": signed(map[string]any{"sub": "00000000-0000-7000-8000-000000000001"}),
		"service":           signed(map[string]any{"role": "service_role"}),
		"anon":              signed(map[string]any{"role": "anon"}),
		"from the future":   signed(map[string]any{"iat": w.clock.now().Add(time.Hour).Unix(), "exp": w.clock.now().Add(90 * time.Minute).Unix()}),
	} {
		if id, err := w.who(token); !fault.Is(err, fault.InvalidCredential) || id.Role != "" {
			t.Errorf("%s: %v, %+v", name, err, id)
		}
	}
	w.clock.add(time.Hour)
	_, err := w.who(g.AccessToken) // from the cache, and over
	f := w.refuses(Fault(err), fault.AuthBadJWT)
	if !strings.Contains(f.Message, "expired") {
		t.Errorf("got %q", f.Message)
	}
	_, err = w.Authenticate(w.ctx, Credentials{}, nil)
	w.refuses(Fault(err), fault.AuthNoAuthorization)
}

// TestEndedWithinFiveSeconds looks at each way to lose access, on the node
// where it happened and on another one of the same store.
func TestEndedWithinFiveSeconds(t *testing.T) {
	day := "24h"
	pw := "another long secret of hers"
	for name, c := range map[string]struct {
		end  func(w *world, u *User, g *Grant) error
		code fault.Code
	}{
		"logout": {func(w *world, _ *User, g *Grant) error { return w.Logout(w.ctx, w.as(g.AccessToken), "local") }, fault.AuthSessionNotFound},
		"ban": {func(w *world, u *User, _ *Grant) error {
			_, err := w.AdminUpdateUser(w.ctx, service(), u.ID, AdminUser{BanDuration: &day})
			return err
		}, fault.AuthUserBanned},
		"delete":      {func(w *world, u *User, _ *Grant) error { return w.AdminDeleteUser(w.ctx, service(), u.ID, false) }, fault.AuthSessionNotFound},
		"soft delete": {func(w *world, u *User, _ *Grant) error { return w.AdminDeleteUser(w.ctx, service(), u.ID, true) }, fault.AuthSessionNotFound},
		"password": {func(w *world, _ *User, _ *Grant) error {
			_, err := w.UpdateUser(w.ctx, w.as(w.signIn("ada@shop.example").AccessToken), UpdateInput{Password: &pw})
			return err
		}, fault.AuthSessionNotFound},
		"an administrator's password": {func(w *world, u *User, _ *Grant) error {
			_, err := w.AdminUpdateUser(w.ctx, service(), u.ID, AdminUser{Password: &pw})
			return err
		}, fault.AuthSessionNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			other := w.node()
			u := w.user("ada@shop.example")
			g := w.signIn("ada@shop.example")
			pub, _ := w.ring.Pair()
			there := func() error {
				_, err := other.Authenticate(w.ctx, Credentials{APIKey: pub, Bearer: g.AccessToken}, nil)
				return err
			}
			w.must(there())
			w.as(g.AccessToken)
			w.must(c.end(w, u, g))
			_, err := w.who(g.AccessToken)
			w.refuses(Fault(err), c.code)
			w.clock.add(5*time.Second - 1)
			w.refuses(Fault(there()), c.code)
			if _, err := w.Refresh(w.ctx, w.anon(), g.RefreshToken); err == nil {
				t.Error("the refresh token lives on")
			}
		})
	}
}

func TestRoles(t *testing.T) {
	w := newWorld(t)
	u := w.user("ada@shop.example")
	token := w.signIn("ada@shop.example").AccessToken
	roles := func(want ...string) {
		t.Helper()
		if got := w.as(token).Roles; !slices.Equal(got, want) {
			t.Errorf("the roles are %q, not %q", got, want)
		}
	}
	roles()
	w.must(w.SetRoles(w.ctx, service(), u.ID, []string{"admin"}))
	roles("admin", "staff") // with what it inherits, at once
	_, err := w.AdminUpdateUser(w.ctx, service(), u.ID, AdminUser{AppMetadata: map[string]any{"roles": []any{"auditor", "unheard of"}}})
	w.must(err)
	roles("admin", "auditor", "staff")
	w.must(w.SetRoles(w.ctx, service(), u.ID, nil))
	roles("auditor")
	_, err = w.UpdateUser(w.ctx, w.as(token), UpdateInput{Data: map[string]any{"roles": []any{"admin"}, "app_metadata": map[string]any{"roles": []any{"admin"}}}})
	w.must(err)
	roles("auditor") // what users write gives none
	w.refuses(w.SetRoles(w.ctx, service(), u.ID, []string{"amdin"}), fault.AuthValidation)
	role := "staff"
	_, err = w.AdminUpdateUser(w.ctx, service(), u.ID, AdminUser{Role: &role})
	w.must(err)
	roles("auditor", "staff")

	// Another node's change, by the clock.
	w.must(w.driver.Write(w.ctx, func(tx store.Tx) error {
		_, err := tx.Exec(sql(w.driver.Dialect(), `DELETE FROM {user_roles} WHERE user_id = $1`), args(text(u.ID)))
		return err
	}))
	w.clock.add(lookLife)
	roles("auditor")
}

func TestForeignTokens(t *testing.T) {
	w := newWorld(t, "jwt_secret: secret:jwt")
	u := w.user("ada@shop.example")
	key := jose.SigningKey{Algorithm: jose.HS256, Key: []byte(strings.Repeat("jwt", 32))}
	token := func(claims map[string]any) string {
		signer, err := jose.NewSigner(key, (&jose.SignerOptions{}).WithType("JWT"))
		w.must(err)
		all := map[string]any{"iss": "https://shop.example/auth/v1", "aud": "authenticated", "exp": w.clock.now().Add(time.Hour).Unix()}
		maps.Copy(all, claims)
		s, err := jwt.Signed(signer).Claims(all).Serialize()
		w.must(err)
		return s
	}
	user := token(map[string]any{"sub": u.ID, "role": "authenticated"})
	if id := w.as(user); id.Role != policy.Authenticated || id.UID != u.ID || id.Email != "ada@shop.example" {
		t.Errorf("got %+v", id)
	}
	if id := w.as(token(map[string]any{"role": "service_role"})); id.Role != policy.Service || id.Key == "" {
		t.Errorf("got %+v", id)
	}
	if id := w.as(token(map[string]any{"role": "anon"})); id.Role != policy.Anon {
		t.Errorf("got %+v", id)
	}
	outside := token(map[string]any{"sub": "00000000-0000-7000-8000-000000000001", "role": "authenticated", "app_metadata": map[string]any{"roles": []string{"staff"}}})
	if id := w.as(outside); !slices.Equal(id.Roles, []string{"staff"}) {
		t.Errorf("got %+v", id)
	}
	day := "24h"
	_, err := w.AdminUpdateUser(w.ctx, service(), u.ID, AdminUser{BanDuration: &day})
	w.must(err)
	_, err = w.who(user)
	w.refuses(Fault(err), fault.AuthUserBanned)
	if _, err := newWorld(t).who(user); !fault.Is(err, fault.InvalidCredential) {
		t.Errorf("without a configured secret: %v", err)
	}
}

// TestRotateSigning changes keys while requests come in on two nodes.
func TestRotateSigning(t *testing.T) {
	w := newWorld(t)
	other := w.node()
	w.user("ada@shop.example")
	pub, _ := w.ring.Pair()
	g := w.signIn("ada@shop.example")
	var failed atomic.Pointer[error]
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for token := g.RefreshToken; ; {
			select {
			case <-stop:
				return
			default:
			}
			next, err := w.Refresh(w.ctx, w.anon(), token)
			if err == nil {
				token = next.RefreshToken
				_, err = w.Authenticate(w.ctx, Credentials{APIKey: pub, Bearer: next.AccessToken}, nil)
				_, there := other.Authenticate(w.ctx, Credentials{APIKey: pub, Bearer: next.AccessToken}, nil)
				err = errors.Join(err, there)
			}
			if err != nil {
				failed.Store(&err)
				return
			}
		}
	}()
	for range 20 {
		w.clock.add(2 * time.Second)
		w.must(w.RotateSigning(w.ctx, service(), false))
	}
	close(stop)
	<-done
	if err := failed.Load(); err != nil {
		t.Fatalf("a request failed during the rotation: %v, %v", *err, Fault(*err))
	}
	w.as(g.AccessToken)
	w.must(w.RotateSigning(w.ctx, service(), true))
	_, err := w.who(g.AccessToken)
	w.refuses(Fault(err), fault.AuthBadJWT)
	w.refuses(w.RotateSigning(w.ctx, w.anon(), false), fault.AuthNoAuthorization)
}

// TestVerifiedWhileKeysChange: a token that was verified with a key, which went
// before the token was kept, is not kept.
func TestVerifiedWhileKeysChange(t *testing.T) {
	c := newTokenCache()
	clears := c.clears.Load()
	c.clear()
	if c.put("a.b.c", &cached{}, clears); c.get("a.b.c") != nil {
		t.Error("it is kept")
	}
	if c.put("a.b.c", &cached{}, c.clears.Load()); c.get("a.b.c") == nil {
		t.Error("nothing is kept")
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	w := newWorld(b)
	w.user("ada@shop.example")
	pub, _ := w.ring.Pair()
	c := Credentials{APIKey: pub, Bearer: w.signIn("ada@shop.example").AccessToken}
	r := &policy.Request{}
	for b.Loop() {
		if _, err := w.Authenticate(w.ctx, c, r); err != nil {
			b.Fatal(err)
		}
	}
}
