package auth

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/audit"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/policy"
)

func TestAdminUsers(t *testing.T) {
	w := newWorld(t)
	const id = "0198c0de-0000-7000-8000-000000000001"
	u, err := w.AdminCreateUser(w.ctx, service(), AdminUser{
		ID: id, Email: new("Ada@Shop.example"), PasswordHash: new("$2b$04$zIDsvHUvkAmrhqkV7FAlQeBKNX.lTdMHvDEoABeT0gUkPLZkS5vle"), EmailConfirm: new(true),
		UserMetadata: map[string]any{"name": "Ada"}, AppMetadata: map[string]any{"plan": "gold"}, Role: new("staff"),
	})
	w.must(err)
	if u.ID != id || u.Email != "ada@shop.example" || u.EmailConfirmedAt == nil || string(u.AppMetadata) != `{"plan":"gold","provider":"email","providers":["email"]}` {
		t.Fatalf("got %+v, %s", u, u.AppMetadata)
	}
	if n := w.count(`SELECT count(*) FROM {user_roles} WHERE user_id = $1 AND role = 'staff'`, id); n != 1 {
		t.Errorf("the role is there %d times", n)
	}
	for _, c := range []struct {
		in   AdminUser
		code fault.Code
	}{
		{AdminUser{}, fault.AuthValidation},
		{AdminUser{Email: new("x")}, fault.AuthValidation},
		{AdminUser{Email: new("ada@shop.example")}, fault.AuthEmailExists},
		{AdminUser{Email: new("bob@shop.example"), ID: id}, fault.AuthUserExists},
		{AdminUser{Email: new("bob@shop.example"), ID: "x"}, fault.AuthValidation},
		{AdminUser{Email: new("bob@shop.example"), Password: new("short")}, fault.AuthWeakPassword},
		{AdminUser{Email: new("bob@shop.example"), PasswordHash: new("plain")}, fault.AuthValidation},
		{AdminUser{Email: new("bob@shop.example"), Password: new(good), PasswordHash: new("x")}, fault.AuthValidation},
		{AdminUser{Email: new("bob@shop.example"), Role: new("owner")}, fault.AuthValidation},
		{AdminUser{Email: new("bob@shop.example"), BanDuration: new("soon")}, fault.AuthValidation},
		{AdminUser{Email: new("bob@shop.example"), BanDuration: new("-1h")}, fault.AuthValidation},
		{AdminUser{Email: new("bob@shop.example"), Phone: new("+1")}, fault.AuthPhoneProviderDisabled},
	} {
		_, err := w.AdminCreateUser(w.ctx, service(), c.in)
		w.refuses(err, c.code)
	}
	u, err = w.AdminUpdateUser(w.ctx, service(), id, AdminUser{Email: new("eve@shop.example"), UserMetadata: map[string]any{"name": nil, "x": 1}})
	w.must(err)
	if u.Email != "eve@shop.example" || u.Identities[0].Email != "eve@shop.example" || string(u.UserMetadata) != `{"x":1}` {
		t.Errorf("got %+v, %s", u, u.UserMetadata)
	}
	found, err := w.AdminFindUser(w.ctx, service(), "Eve@shop.example")
	w.must(err)
	if found.ID != id {
		t.Errorf("found %s", found.ID)
	}
	for _, missing := range []string{"0198c0de-0000-7000-8000-000000000002", "x", "'; DROP TABLE users"} {
		_, err = w.AdminGetUser(w.ctx, service(), missing)
		w.refuses(err, fault.AuthUserNotFound)
		_, err = w.AdminUpdateUser(w.ctx, service(), missing, AdminUser{})
		w.refuses(err, fault.AuthUserNotFound)
		w.refuses(w.AdminDeleteUser(w.ctx, service(), missing, false), fault.AuthUserNotFound)
	}
	w.must(w.AdminDeleteUser(w.ctx, service(), id, false))
	if n := w.count(`SELECT count(*) FROM {users}`) + w.count(`SELECT count(*) FROM {identities}`) + w.count(`SELECT count(*) FROM {user_roles}`); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	want := []string{"admin.user.delete", "admin.user.update", "admin.user.create"}
	if got := w.actions(); !slices.Equal(got, want) {
		t.Errorf("on record is %q", got)
	}
}

func TestAdminSoftDelete(t *testing.T) {
	w := newWorld(t)
	u := w.user("ada@shop.example")
	w.must(w.AdminDeleteUser(w.ctx, service(), u.ID, true))
	got, err := w.AdminGetUser(w.ctx, service(), u.ID)
	w.must(err)
	if got.Email != "" || len(got.Identities) != 0 || got.BannedUntil == nil || string(got.UserMetadata) != "{}" {
		t.Errorf("got %+v", got)
	}
	w.user("ada@shop.example") // the address is free again
}

func TestAdminList(t *testing.T) {
	w := newWorld(t)
	for i := range 7 {
		_, err := w.AdminCreateUser(w.ctx, service(), AdminUser{Email: new(fmt.Sprintf("u%d@shop.example", i))})
		w.must(err)
		w.clock.add(time.Second)
	}
	var got []string
	for page := 1; page <= 3; page++ {
		p, err := w.AdminListUsers(w.ctx, service(), page, 3)
		w.must(err)
		if p.Total != 7 || p.Last != 3 || p.Page != page {
			t.Errorf("got %+v", p)
		}
		for _, u := range p.Users {
			got = append(got, u.Email[:2])
		}
	}
	if want := []string{"u6", "u5", "u4", "u3", "u2", "u1", "u0"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	for _, c := range [][2]int{{-1, -1}, {1 << 62, 1 << 62}, {9, 0}} {
		if _, err := w.AdminListUsers(w.ctx, service(), c[0], c[1]); err != nil {
			t.Errorf("%v: %v", c, err)
		}
	}
}

// TestOnlyServiceAdministers calls every administrator's method as everybody else.
func TestOnlyServiceAdministers(t *testing.T) {
	w := newWorld(t)
	u := w.user("ada@shop.example")
	w.must(w.SetRoles(w.ctx, service(), u.ID, []string{"admin"})) // a role of the application is not the service
	user := w.as(w.signIn("ada@shop.example").AccessToken)
	for name, do := range map[string]func(*Caller) error{
		"create": func(id *Caller) error {
			_, err := w.AdminCreateUser(w.ctx, id, AdminUser{Email: new("x@shop.example")})
			return err
		},
		"list":   func(id *Caller) error { _, err := w.AdminListUsers(w.ctx, id, 1, 1); return err },
		"get":    func(id *Caller) error { _, err := w.AdminGetUser(w.ctx, id, u.ID); return err },
		"find":   func(id *Caller) error { _, err := w.AdminFindUser(w.ctx, id, "ada@shop.example"); return err },
		"update": func(id *Caller) error { _, err := w.AdminUpdateUser(w.ctx, id, u.ID, AdminUser{}); return err },
		"delete": func(id *Caller) error { return w.AdminDeleteUser(w.ctx, id, u.ID, false) },
		"link": func(id *Caller) error {
			_, err := w.AdminGenerateLink(w.ctx, id, LinkInput{Type: "magiclink", Email: "ada@shop.example"})
			return err
		},
		"invite": func(id *Caller) error {
			_, err := w.Invite(w.ctx, id, InviteInput{Email: "x@shop.example"})
			return err
		},
		"factors": func(id *Caller) error { _, err := w.AdminFactors(w.ctx, id, u.ID); return err },
		"factor":  func(id *Caller) error { return w.AdminDeleteFactor(w.ctx, id, u.ID, u.ID) },
		"roles":   func(id *Caller) error { return w.SetRoles(w.ctx, id, u.ID, []string{"admin"}) },
		"rotate":  func(id *Caller) error { return w.RotateSigning(w.ctx, id, true) },
	} {
		for who, c := range map[string]struct {
			id   *Caller
			code fault.Code
		}{
			"anonymous": {w.anon(), fault.AuthNoAuthorization}, "nobody": {&Caller{}, fault.AuthNoAuthorization}, "a user": {user, fault.AuthNotAdmin},
			"a machine": {&Caller{Role: policy.Authenticated, Roles: []string{"admin"}}, fault.AuthNotAdmin},
		} {
			if err := do(c.id); !fault.Is(err, c.code) {
				t.Errorf("%s by %s: %v", name, who, err)
			}
		}
	}
}

func TestInvite(t *testing.T) {
	w := newWorld(t)
	u, err := w.Invite(w.ctx, service(), InviteInput{Email: "ada@shop.example", Data: map[string]any{"team": "x"}, Redirect: "https://shop.example/after"})
	w.must(err)
	_, link := w.mailed("ada@shop.example")
	if u.InvitedAt == nil || link.Get("type") != "invite" || link.Get("redirect_to") != "https://shop.example/after" {
		t.Fatalf("got %+v, %v", u, link)
	}
	w.clock.add(inviteTime - time.Second)
	out, err := w.Verify(w.ctx, w.anon(), VerifyInput{Type: "invite", TokenHash: link.Get("token")})
	w.must(err)
	if out.Grant.User.ID != u.ID || out.Grant.User.EmailConfirmedAt == nil {
		t.Errorf("got %+v", out.Grant.User)
	}
	_, err = w.Invite(w.ctx, service(), InviteInput{Email: "ada@shop.example"})
	w.refuses(err, fault.AuthEmailExists)
}

func TestGenerateLink(t *testing.T) {
	w := newWorld(t)
	w.user("ada@shop.example")
	for _, in := range []LinkInput{
		{Type: "signup", Email: "new@shop.example", Password: good},
		{Type: "invite", Email: "guest@shop.example"},
		{Type: "magiclink", Email: "ada@shop.example"},
		{Type: "magiclink", Email: "fresh@shop.example"},
		{Type: "recovery", Email: "ada@shop.example"},
	} {
		for _, by := range []string{"code", "hash", "link"} {
			l, err := w.AdminGenerateLink(w.ctx, service(), in)
			if in.Type != "magiclink" && in.Type != "recovery" && by != "code" { // the address is confirmed by now
				w.refuses(err, fault.AuthEmailExists)
				continue
			}
			w.must(err)
			raw, err := json.Marshal(l)
			w.must(err)
			var m map[string]any
			w.must(json.Unmarshal(raw, &m))
			if m["email"] != in.Email || m["hashed_token"] != l.HashedToken || m["verification_type"] != in.Type || m["redirect_to"] != "https://shop.example/start" {
				t.Errorf("%s: got %s", in.Type, raw)
			}
			u, err := url.Parse(l.ActionLink)
			w.must(err)
			v := VerifyInput{Type: in.Type, Email: in.Email, Token: l.EmailOTP}
			switch by {
			case "hash":
				v = VerifyInput{Type: in.Type, TokenHash: l.HashedToken}
			case "link":
				v = VerifyInput{Type: u.Query().Get("type"), TokenHash: u.Query().Get("token"), Link: true}
			}
			out, err := w.Verify(w.ctx, w.anon(), v)
			w.must(err)
			if out.Grant.User.Email != in.Email {
				t.Errorf("%s by %s signs %s in", in.Type, by, out.Grant.User.Email)
			}
		}
	}
	for _, kind := range []string{"email_change_current", "email_change_new"} {
		l, err := w.AdminGenerateLink(w.ctx, service(), LinkInput{Type: kind, Email: "ada@shop.example", NewEmail: "ada2@shop.example"})
		w.must(err)
		_, err = w.Verify(w.ctx, w.anon(), VerifyInput{Type: "email_change", TokenHash: l.HashedToken})
		w.must(err)
	}
	w.signIn("ada2@shop.example")
	_, err := w.AdminGenerateLink(w.ctx, service(), LinkInput{Type: "recovery", Email: "nobody@shop.example"})
	w.refuses(err, fault.AuthUserNotFound)
	_, err = w.AdminGenerateLink(w.ctx, service(), LinkInput{Type: "sms", Email: "ada@shop.example"})
	w.refuses(err, fault.AuthValidation)
	if n := len(w.mails("ada@shop.example")); n != 0 {
		t.Errorf("%d mails", n)
	}
}

// TestNoSecretOnRecord is attack 39: what the trail and the errors hold.
func TestNoSecretOnRecord(t *testing.T) {
	w := newWorld(t)
	w.user("ada@shop.example")
	g := w.signIn("ada@shop.example")
	w.must(w.Recover(w.ctx, w.anon(), RecoverInput{Email: "ada@shop.example"}))
	code, link := w.mailed("ada@shop.example")
	_, err := w.SignInPassword(w.ctx, w.anon(), "ada@shop.example", "a wrong password of ada")
	w.refuses(err, fault.AuthInvalidCredentials)
	g2, err := w.Refresh(w.ctx, w.anon(), g.RefreshToken)
	w.must(err)
	w.idle()
	page, err := w.log.Search(w.ctx, audit.Query{Limit: audit.MaxLimit})
	w.must(err)
	raw, err := json.Marshal(page)
	w.must(err)
	for _, secret := range []string{good, "a wrong password", g.AccessToken, g.RefreshToken, g2.RefreshToken, code, link.Get("token"), "argon2"} {
		if strings.Contains(string(raw), secret) {
			t.Errorf("the trail holds %.20q", secret)
		}
	}
	if !strings.Contains(string(raw), `"outcome":"denied"`) {
		t.Error("the failed sign-in is not on record")
	}
}
