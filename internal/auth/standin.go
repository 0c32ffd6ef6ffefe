package auth

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/store"
)

// IdentityOf is the caller that a stored user is in a session of the first
// assurance level: what explanations of policies ask for. It is no credential,
// and a ban does not matter. user is an id or an e-mail address; the fault is
// [fault.NotFound] where nobody has it.
func (a *Auth) IdentityOf(ctx context.Context, user string) (policy.Identity, error) {
	var u *userRow
	var roles []string
	err := a.cfg.Driver.Read(ctx, true, func(r store.Reader) (err error) {
		if !strings.Contains(user, "@") {
			u, err = a.userByID(r, strings.ToLower(user))
		} else if email, bad := address(user); bad == nil {
			u, err = a.userByEmail(r, email)
		}
		if u != nil && err == nil {
			roles, err = a.rolesOf(r, u.id)
		}
		return err
	})
	switch {
	case err != nil:
		return policy.Identity{}, err
	case u == nil:
		return policy.Identity{}, fault.New(fault.NotFound, "there is no user %q", user).
			WithHint("name an e-mail address or an id of auth.users, anon, service, or role:NAME,...")
	}
	return standIn(a.live.Load().roles, u, roles, aal1, a.now())
}

// StandIn is a user of a test.
type StandIn struct {
	ID, Email, AAL string
	Roles          []string // as auth.user_roles gives them
	// Claims stand in the token beside those that every token has. Its
	// app_metadata and user_metadata are the user's.
	Claims map[string]any
}

// Identity is the caller that a stand-in is, as an access token would tell.
func (s StandIn) Identity(app *model.App, now time.Time) (policy.Identity, error) {
	u := &userRow{id: s.ID, email: s.Email, app: map[string]any{}, user: map[string]any{}}
	if m, ok := s.Claims["app_metadata"].(map[string]any); ok {
		u.app = m
	}
	if m, ok := s.Claims["user_metadata"].(map[string]any); ok {
		u.user = m
	}
	id, err := standIn(closures(app.Config.Roles), u, s.Roles, s.AAL, now)
	for name, v := range s.Claims {
		if name != "app_metadata" && name != "user_metadata" {
			id.Claims[name] = v
		}
	}
	return id, err
}

// RolesOf are the roles that the named ones give in an application, sorted,
// themselves included.
func RolesOf(app *model.App, names []string) []string {
	return (&live{roles: closures(app.Config.Roles)}).closure(names)
}

func standIn(known map[string][]string, u *userRow, roles []string, aal string, now time.Time) (policy.Identity, error) {
	s := &session{row: &sessionRow{userID: u.id, aal: aal, amr: []method{}}, user: u, roles: roles}
	c := claims(s, now, now.Add(time.Hour))
	delete(c, "session_id")
	raw, err := json.Marshal(c) // as a token would have carried them
	if err != nil {
		return policy.Identity{}, err
	}
	id := policy.Identity{Role: policy.Authenticated, UID: u.id, Email: u.email, AAL: aal}
	id.Roles = (&live{roles: known}).closure(roles, metadataRoles(u.app))
	return id, json.Unmarshal(raw, &id.Claims)
}
