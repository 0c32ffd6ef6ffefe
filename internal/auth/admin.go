package auth

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/password"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/store"
)

// admin refuses callers that are not the service, and keys of it that are
// bounded to other modules: users are those of the module auth.
func admin(id *policy.Identity) error {
	switch {
	case id.Role == policy.Service && (len(id.Modules) == 0 || slices.Contains(id.Modules, "auth")):
		return nil
	case id.Role == policy.Service:
		return fault.New(fault.AuthNotAdmin, "User not allowed").WithHint("this key is bounded to other modules than auth")
	case id.Role == policy.Authenticated:
		return fault.New(fault.AuthNotAdmin, "User not allowed").WithHint("use the secret key, on a server")
	}
	return fault.New(fault.AuthNoAuthorization, "This endpoint requires the secret key").WithHint("`pando keys` shows it; it belongs on a server")
}

// administer lets the service in and counts the request.
func (a *Auth) administer(ctx context.Context, id *policy.Identity) error {
	if err := admin(id); err != nil {
		return err
	}
	return a.limit(ctx, id, "admin", "")
}

// AdminUser is what an administrator gives a user; nil: left as it is.
type AdminUser struct {
	ID                        string // of a new user; empty: made here
	Email, Phone, Password    *string
	PasswordHash              *string        // encoded, of an algorithm that can be imported
	EmailConfirm              *bool          // true: the address is proven; false changes nothing
	UserMetadata, AppMetadata map[string]any // merged; a null removes a member
	// Role is authenticated, which every user is, or one of the application's,
	// which the user then has beside those of before.
	Role        *string
	Roles       []string // of the application; the same for several
	BanDuration *string  // like 24h; none lifts the ban
}

// adminChange is what an administrator's input comes to.
type adminChange struct {
	in       AdminUser
	email    string
	password string // encoded
	roles    []string
	ban      time.Duration
	unban    bool
}

func (a *Auth) readAdmin(ctx context.Context, in AdminUser) (c *adminChange, err error) {
	c = &adminChange{in: in}
	if in.Phone != nil && *in.Phone != "" {
		return nil, fault.New(fault.AuthPhoneProviderDisabled, "Phone sign-in is not supported")
	}
	if in.Email != nil {
		if c.email, err = address(*in.Email); err != nil {
			return nil, err
		}
	}
	switch {
	case in.Password != nil && in.PasswordHash != nil:
		return nil, fault.New(fault.AuthValidation, "Only a password or a password hash should be provided")
	case in.PasswordHash != nil && !password.Importable(*in.PasswordHash):
		return nil, fault.New(fault.AuthValidation, "The password hash is of no known form").WithHint("argon2, bcrypt, scrypt and PBKDF2 are read")
	case in.PasswordHash != nil:
		c.password = *in.PasswordHash
	case in.Password != nil:
		if c.password, err = a.newPassword(ctx, c.email, *in.Password); err != nil {
			return nil, err
		}
	}
	if in.Role != nil && *in.Role != "" && *in.Role != audience {
		c.roles = []string{*in.Role}
	}
	c.roles = union(c.roles, in.Roles)
	if err := a.knownRoles(c.roles); err != nil {
		return nil, err
	}
	if in.BanDuration == nil {
		return c, nil
	}
	if c.unban = *in.BanDuration == "none" || *in.BanDuration == "0"; c.unban {
		return c, nil
	}
	if c.ban, err = time.ParseDuration(*in.BanDuration); err != nil || c.ban <= 0 {
		return nil, fault.New(fault.AuthValidation, "Invalid format for ban duration").WithHint("like 24h or 30m; none lifts a ban")
	}
	return c, nil
}

// knownRoles refuses roles that pando.yaml does not name.
func (a *Auth) knownRoles(roles []string) error {
	known := a.live.Load().roles
	for _, r := range roles {
		if known[r] != nil {
			continue
		}
		names := make([]string, 0, len(known))
		for n := range known {
			names = append(names, n)
		}
		slices.Sort(names)
		f := fault.New(fault.AuthValidation, "Unknown role %q", clean(r, 64))
		if near := fault.Nearest(r, names); near != "" {
			return f.WithHint("did you mean %q?", near)
		}
		return f.WithHint("pando.yaml's roles name them")
	}
	return nil
}

// apply changes a user in memory; what other tables have is told by the results.
func (c *adminChange) apply(u *userRow, now time.Time) {
	if c.email != "" {
		u.email = c.email
	}
	if c.in.EmailConfirm != nil && *c.in.EmailConfirm && u.email != "" && u.emailConfirmed.IsZero() {
		u.emailConfirmed = micros(now)
	}
	if u.email != "" && !u.emailConfirmed.IsZero() {
		u.anonymous = false
	}
	if c.password != "" {
		u.password = c.password
	}
	u.mergeUser(c.in.UserMetadata)
	u.app = merged(u.app, c.in.AppMetadata)
	switch {
	case c.unban:
		u.bannedUntil = time.Time{}
	case c.ban > 0:
		u.bannedUntil = micros(now.Add(c.ban))
	}
}

// AdminCreateUser makes a user. Only the service may.
func (a *Auth) AdminCreateUser(ctx context.Context, id *Caller, in AdminUser) (*User, error) {
	if err := a.administer(ctx, id); err != nil {
		return nil, err
	}
	switch {
	case in.Email == nil || *in.Email == "":
		return nil, fault.New(fault.AuthValidation, "Cannot create a user without an email")
	case in.ID != "" && !isUUID(in.ID):
		return nil, fault.New(fault.AuthValidation, "ID must be a lower-case UUID")
	}
	c, err := a.readAdmin(ctx, in)
	if err != nil {
		return nil, err
	}
	var v *User
	err = a.cfg.Driver.Write(ctx, func(tx store.Tx) error {
		u := a.newUser(providerEmail, c.email)
		if in.ID != "" {
			u.id = in.ID
			if there, err := a.userByID(tx, in.ID); err != nil {
				return err
			} else if there != nil {
				return fault.New(fault.AuthUserExists, "A user with this id exists already")
			}
		}
		c.apply(u, a.now())
		if err := a.addUser(tx, u); err != nil {
			return err
		}
		if err := a.addRoles(tx, u.id, c.roles); err != nil {
			return err
		}
		if err := a.record(tx, id, "admin.user.create", u.id, map[string]string{"email": u.email, "roles": joined(c.roles)}); err != nil {
			return err
		}
		v, err = a.view(tx, u)
		return err
	})
	return v, err
}

// UserPage is one page of users, the newest first.
type UserPage struct {
	Users []*User `json:"users"`
	Aud   string  `json:"aud"`
	Total int     `json:"-"` // for X-Total-Count
	Page  int     `json:"-"`
	Last  int     `json:"-"` // the last page; at least 1
}

// The bounds of a page of users.
const (
	defaultPage = 50
	maxPage     = 1000
	maxPages    = 1 << 31 / maxPage
)

// AdminListUsers lists users; pages count from 1, and have 50 users unless
// perPage says otherwise, at most 1000. Only the service may.
func (a *Auth) AdminListUsers(ctx context.Context, id *Caller, page, perPage int) (*UserPage, error) {
	if err := a.administer(ctx, id); err != nil {
		return nil, err
	}
	if perPage <= 0 {
		perPage = defaultPage
	}
	perPage, page = min(perPage, maxPage), min(max(page, 1), maxPages)
	out := &UserPage{Users: []*User{}, Aud: audience, Page: page}
	err := a.cfg.Driver.Read(ctx, true, func(r store.Reader) error {
		var rows []*userRow
		if err := all(r, a.st.usersPage, args(number(perPage), number((page-1)*perPage)), func(s *scan) { rows = append(rows, s.user()) }); err != nil {
			return err
		}
		for _, u := range rows {
			v, err := a.view(r, u)
			if err != nil {
				return err
			}
			out.Users = append(out.Users, v)
		}
		return all(r, a.st.usersCount, nil, func(s *scan) { out.Total = int(s.int()) })
	})
	out.Last = max(1, (out.Total+perPage-1)/perPage)
	return out, err
}

// AdminGetUser is one user. Only the service may.
func (a *Auth) AdminGetUser(ctx context.Context, id *Caller, userID string) (*User, error) {
	if err := a.administer(ctx, id); err != nil {
		return nil, err
	}
	return a.readUser(ctx, userID, http.StatusNotFound)
}

// AdminFindUser is the user of an address. Only the service may.
func (a *Auth) AdminFindUser(ctx context.Context, id *Caller, email string) (v *User, err error) {
	if err := a.administer(ctx, id); err != nil {
		return nil, err
	}
	if email, err = address(email); err != nil {
		return nil, err
	}
	err = a.cfg.Driver.Read(ctx, true, func(r store.Reader) error {
		u, err := a.userByEmail(r, email)
		if err != nil {
			return err
		}
		if u == nil {
			return userNotFound()
		}
		v, err = a.view(r, u)
		return err
	})
	return v, err
}

func userNotFound() *fault.Error { return fault.New(fault.AuthUserNotFound, "User not found") }

// AdminUpdateUser changes a user. A new password ends the user's sessions; a
// ban counts on this node at once, on every other within five seconds. Only the
// service may.
func (a *Auth) AdminUpdateUser(ctx context.Context, id *Caller, userID string, in AdminUser) (*User, error) {
	if err := a.administer(ctx, id); err != nil {
		return nil, err
	}
	c, err := a.readAdmin(ctx, in)
	if err != nil {
		return nil, err
	}
	var v *User
	err = a.cfg.Driver.Write(ctx, func(tx store.Tx) (err error) {
		v, err = a.adminUpdate(tx, id, userID, c)
		return err
	})
	a.forget(userID)
	return v, err
}

func (a *Auth) adminUpdate(tx store.Tx, id *Caller, userID string, c *adminChange) (*User, error) {
	u, err := a.lockUser(tx, userID)
	if err != nil {
		return nil, err
	}
	if u == nil {
		return nil, userNotFound()
	}
	was := *u
	c.apply(u, a.now())
	if u.password != was.password || u.email != was.email {
		if err := a.dropPending(tx, u); err != nil {
			return nil, err
		}
	}
	if u.password != was.password {
		if err := a.endSessions(tx, u.id, ""); err != nil {
			return nil, err
		}
	}
	if u.email != was.email || !u.emailConfirmed.Equal(was.emailConfirmed) {
		if err := a.syncEmailIdentity(tx, u); err != nil {
			return nil, err
		}
	}
	if err := a.updateUser(tx, u); err != nil {
		return nil, err
	}
	if err := a.addRoles(tx, u.id, c.roles); err != nil {
		return nil, err
	}
	detail := map[string]string{"changed": c.changed(&was, u)}
	if c.in.BanDuration != nil {
		detail["ban"] = clean(*c.in.BanDuration, 64)
	}
	if err := a.record(tx, id, "admin.user.update", u.id, detail); err != nil {
		return nil, err
	}
	return a.view(tx, u)
}

// changed names what an update was about, for the audit trail.
func (c *adminChange) changed(was, is *userRow) string {
	out := ""
	for _, f := range []struct {
		name string
		is   bool
	}{
		{"email", was.email != is.email},
		{"email_confirmed_at", !was.emailConfirmed.Equal(is.emailConfirmed)},
		{"password", was.password != is.password},
		{"user_metadata", c.in.UserMetadata != nil},
		{"app_metadata", c.in.AppMetadata != nil},
		{"roles", len(c.roles) > 0},
		{"banned_until", !was.bannedUntil.Equal(is.bannedUntil)},
	} {
		if f.is {
			if out != "" {
				out += " "
			}
			out += f.name
		}
	}
	return out
}

// AdminDeleteUser removes a user with all that belongs to it; rows of the
// application that refer to it without on_delete keep it from being removed. A
// soft deletion leaves the row for them, with nothing personal in it, banned for
// good. Only the service may.
func (a *Auth) AdminDeleteUser(ctx context.Context, id *Caller, userID string, soft bool) error {
	if err := a.administer(ctx, id); err != nil {
		return err
	}
	err := a.cfg.Driver.Write(ctx, func(tx store.Tx) error {
		u, err := a.lockUser(tx, userID)
		if err != nil {
			return err
		}
		if u == nil {
			return userNotFound()
		}
		detail := map[string]string{}
		if soft {
			detail["soft"] = "true"
			err = a.hollow(tx, u)
		} else {
			err = a.deleteUser(tx, u)
		}
		if fault.Is(err, fault.ForeignKey) {
			return fault.Wrap(err, fault.ForeignKey, "rows of the application refer to the user").
				WithHint("delete them first, or delete the user softly (should_soft_delete): the row stays, with nothing personal in it")
		}
		if err != nil {
			return err
		}
		return a.record(tx, id, "admin.user.delete", userID, detail)
	})
	a.forget(userID)
	return err
}

// forEver is when a ban without an end ends.
func forEver() time.Time { return time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) }

// hollow takes everything personal out of a user.
func (a *Auth) hollow(tx store.Tx, u *userRow) error {
	if err := a.dropPending(tx, u); err != nil {
		return err
	}
	for _, st := range []*store.Statement{a.flows.identitiesDelete, a.flows.factorsDelete, a.st.rolesDelete} {
		if _, err := tx.Exec(st, args(text(u.id))); err != nil {
			return err
		}
	}
	if err := a.endSessions(tx, u.id, ""); err != nil {
		return err
	}
	empty := &userRow{id: u.id, created: u.created, app: map[string]any{}, user: map[string]any{}, bannedUntil: forEver()}
	return a.updateUser(tx, empty)
}

// AdminFactors lists a user's second factors. Only the service may.
func (a *Auth) AdminFactors(ctx context.Context, id *Caller, userID string) ([]Factor, error) {
	v, err := a.AdminGetUser(ctx, id, userID)
	if err != nil {
		return nil, err
	}
	return v.Factors, nil
}

// AdminDeleteFactor removes a user's second factor, and what it gave the
// sessions. Only the service may.
func (a *Auth) AdminDeleteFactor(ctx context.Context, id *Caller, userID, factorID string) error {
	if err := a.administer(ctx, id); err != nil {
		return err
	}
	err := a.cfg.Driver.Write(ctx, func(tx store.Tx) error {
		f, err := a.factorByID(tx, factorID)
		if err != nil {
			return err
		}
		if f == nil || f.userID != userID {
			return errNoFactor()
		}
		if err := a.removeFactor(tx, f); err != nil {
			return err
		}
		return a.record(tx, id, "admin.factor.delete", userID, map[string]string{"factor": factorID})
	})
	a.forget(userID)
	return err
}

// SetRoles replaces the roles that auth.user_roles gives a user. They count on
// this node at once, on every other within five seconds. Only the service may.
func (a *Auth) SetRoles(ctx context.Context, id *Caller, userID string, roles []string) error {
	if err := a.administer(ctx, id); err != nil {
		return err
	}
	if err := a.knownRoles(roles); err != nil {
		return err
	}
	err := a.cfg.Driver.Write(ctx, func(tx store.Tx) error {
		u, err := a.lockUser(tx, userID)
		if err != nil {
			return err
		}
		if u == nil {
			return userNotFound()
		}
		if _, err := tx.Exec(a.st.rolesDelete, args(text(userID))); err != nil {
			return err
		}
		all := union(roles, nil)
		if err := a.addRoles(tx, userID, all); err != nil {
			return err
		}
		return a.record(tx, id, "admin.user.roles", userID, map[string]string{"roles": joined(all)})
	})
	a.forget(userID)
	return err
}

// addRoles gives a user roles, some of which it may have already.
func (a *Auth) addRoles(tx store.Tx, userID string, roles []string) error {
	if len(roles) == 0 {
		return nil
	}
	have, err := a.rolesOf(tx, userID)
	if err != nil {
		return err
	}
	for _, role := range roles {
		if slices.Contains(have, role) {
			continue
		}
		if _, err := tx.Exec(a.st.roleInsert, args(text(a.newID()), text(userID), text(role), at(a.now()))); err != nil {
			return err
		}
	}
	return nil
}

// Roles are those that auth.user_roles gives a user, sorted, without what they
// inherit. Only the service may.
func (a *Auth) Roles(ctx context.Context, id *Caller, userID string) (roles []string, err error) {
	if err := admin(id); err != nil {
		return nil, err
	}
	if !isUUID(userID) {
		return nil, userNotFound()
	}
	err = a.cfg.Driver.Read(ctx, false, func(r store.Reader) error {
		roles, err = a.rolesOf(r, userID)
		return err
	})
	return roles, err
}
