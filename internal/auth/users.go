package auth

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// The provider of users who sign in with an address, and those of nobody.
const (
	providerEmail     = "email"
	providerAnonymous = "anonymous"
)

// The bounds of the metadata as JSON, in bytes. Both stand in every access token
// (token.MaxSize, a third of which is base64) and so in every request's header.
const (
	maxAppMetadata  = 4 << 10
	maxUserMetadata = 6 << 10
)

// userRow is a row of auth.users.
type userRow struct {
	id, email, phone                     string // empty: null
	emailConfirmed, lastSignIn           time.Time
	app, user                            map[string]any // the metadata; never nil
	anonymous                            bool
	bannedUntil, created, updated        time.Time
	password                             string // encoded; empty: none
	newEmail                             string
	invited, confirmationSent            time.Time
	recoverySent, changeSent, reauthSent time.Time
}

const userColumns = `id, email, phone, email_confirmed_at, last_sign_in_at, app_metadata, user_metadata, is_anonymous, banned_until, created_at, updated_at, ` +
	`password, new_email, invited_at, confirmation_sent_at, recovery_sent_at, email_change_sent_at, reauthentication_sent_at`

func (s *scan) user() *userRow {
	u := &userRow{id: s.text(), email: s.text(), phone: s.text(), emailConfirmed: s.time(), lastSignIn: s.time()}
	u.app, u.user = s.object(), s.object()
	u.anonymous, u.bannedUntil, u.created, u.updated = s.bool(), s.time(), s.time(), s.time()
	u.password, u.newEmail = s.text(), s.text()
	u.invited, u.confirmationSent, u.recoverySent, u.changeSent, u.reauthSent = s.time(), s.time(), s.time(), s.time(), s.time()
	return u
}

// object reads a JSON object; anything else is an empty one.
func (s *scan) object() map[string]any {
	m := map[string]any{}
	if raw := s.json(); len(raw) > 0 && json.Unmarshal(raw, &m) != nil || m == nil {
		return map[string]any{}
	}
	return m
}

// values are the columns in the order of userColumns.
func (u *userRow) values() ([]value.Value, error) {
	app, err := object(u.app)
	if err != nil {
		return nil, err
	}
	user, err := object(u.user)
	if err != nil {
		return nil, err
	}
	if len(app.Str) > maxAppMetadata || len(user.Str) > maxUserMetadata {
		return nil, fault.New(fault.AuthValidation, "the metadata is too large").
			WithDetails("app_metadata has %d bytes of at most %d, user_metadata %d of %d", len(app.Str), maxAppMetadata, len(user.Str), maxUserMetadata).
			WithHint("it stands in every access token: keep what is large in an entity of the application")
	}
	return args(text(u.id), optText(u.email), optText(u.phone), at(u.emailConfirmed), at(u.lastSignIn), app, user, value.OfBool(u.anonymous),
		at(u.bannedUntil), at(u.created), at(u.updated), optText(u.password), optText(u.newEmail), at(u.invited), at(u.confirmationSent),
		at(u.recoverySent), at(u.changeSent), at(u.reauthSent)), nil
}

// userByID reads a user; nil: there is none.
func (a *Auth) userByID(r store.Reader, id string) (*userRow, error) {
	if !isUUID(id) {
		return nil, nil
	}
	return a.userWhere(r, a.st.userByID, args(text(id)))
}

// userByEmail reads the user of a normalised address; nil: there is none.
func (a *Auth) userByEmail(r store.Reader, email string) (*userRow, error) {
	return a.userWhere(r, a.st.userByEmail, args(text(email)))
}

// lockUser reads a user for a change: other transactions that change the same
// user wait for this one's end. nil: there is none.
func (a *Auth) lockUser(tx store.Tx, id string) (*userRow, error) {
	if !isUUID(id) {
		return nil, nil
	}
	return a.userWhere(tx, a.st.userLock, args(text(id), at(a.now())))
}

func (a *Auth) userWhere(r store.Reader, st *store.Statement, by []value.Value) (u *userRow, err error) {
	_, err = one(r, st, by, func(s *scan) { u = s.user() })
	return u, err
}

// newUser is a user that is not stored yet, of this provider.
func (a *Auth) newUser(provider, email string) *userRow {
	now := micros(a.now())
	u := &userRow{id: a.newID(), email: email, app: map[string]any{}, user: map[string]any{}, created: now, updated: now}
	if provider == providerAnonymous {
		u.anonymous = true
		return u
	}
	u.addProvider(provider)
	return u
}

// addProvider keeps provider and providers of the application's metadata:
// the first one that a user came with, and all of them.
func (u *userRow) addProvider(name string) {
	list := u.providers()
	if !slices.Contains(list, name) {
		list = append(list, name)
	}
	u.setProviders(list)
}

// setProviders replaces the providers; the first stays first if it is there.
func (u *userRow) setProviders(list []string) {
	u.app = maps.Clone(u.app)
	if len(list) == 0 {
		delete(u.app, "provider")
		delete(u.app, "providers")
		return
	}
	if first, ok := u.app["provider"].(string); !ok || !slices.Contains(list, first) {
		u.app["provider"] = list[0]
	}
	u.app["providers"] = list
}

func (u *userRow) providers() []string { return stringList(u.app["providers"]) }

// stringList is the texts of a list that came out of JSON, or was put there.
func stringList(v any) []string {
	switch l := v.(type) {
	case []string:
		return slices.Clone(l)
	case []any:
		var out []string
		for _, e := range l {
			if s, ok := e.(string); ok {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}

// banned reports whether the user may not sign in at a moment.
func (u *userRow) banned(now time.Time) bool { return now.Before(u.bannedUntil) }

// insertUser stores a new user. An address that another user has is
// fault.AuthEmailExists.
func (a *Auth) insertUser(tx store.Tx, u *userRow) error {
	return a.watched(tx, query.Create, u.id, func() error { return a.putUser(tx, a.st.userInsert, u) })
}

// updateUser stores a user that was read before, all columns of it.
func (a *Auth) updateUser(tx store.Tx, u *userRow) error {
	u.updated = micros(a.now())
	return a.watched(tx, query.Update, u.id, func() error { return a.putUser(tx, a.st.userUpdate, u) })
}

// deleteUser removes a user with all that is theirs.
func (a *Auth) deleteUser(tx store.Tx, u *userRow) error {
	return a.watched(tx, query.Delete, u.id, func() error {
		_, err := tx.Exec(a.st.userDelete, args(text(u.id)))
		return err
	})
}

// watched makes a change of a user that others may wait for.
func (a *Auth) watched(tx store.Tx, action query.Action, userID string, change func() error) error {
	if a.cfg.Watch == nil {
		return change()
	}
	done, err := a.cfg.Watch(tx, action, userID)
	if err == nil {
		if err = change(); err == nil {
			err = done()
		}
	}
	return err
}

func (a *Auth) putUser(tx store.Tx, st *store.Statement, u *userRow) error {
	v, err := u.values()
	if err != nil {
		return err
	}
	_, err = tx.Exec(st, v)
	if fault.Is(err, fault.Unique) {
		return fault.New(fault.AuthEmailExists, "A user with this email address has already been registered")
	}
	return err
}

// identityRow is a row of auth.identities.
type identityRow struct {
	id, userID, provider, subject, email string
	data                                 map[string]any
	lastSignIn, created, updated         time.Time
}

const identityColumns = `id, user_id, provider, subject, email, data, last_sign_in_at, created_at, updated_at`

func (s *scan) identity() *identityRow {
	return &identityRow{
		id: s.text(), userID: s.text(), provider: s.text(), subject: s.text(), email: s.text(), data: s.object(),
		lastSignIn: s.time(), created: s.time(), updated: s.time(),
	}
}

// identities are a user's, the oldest first.
func (a *Auth) identities(r store.Reader, userID string) (out []*identityRow, err error) {
	err = all(r, a.st.identitiesOf, args(text(userID)), func(s *scan) { out = append(out, s.identity()) })
	return out, err
}

// identityBySubject is a provider's account; nil: nobody has it.
func (a *Auth) identityBySubject(r store.Reader, provider, subject string) (i *identityRow, err error) {
	_, err = one(r, a.st.identityBySubject, args(text(provider), text(subject)), func(s *scan) { i = s.identity() })
	return i, err
}

// newIdentity is a user's account at a provider that is not stored yet.
func (a *Auth) newIdentity(u *userRow, provider, subject, email string, data map[string]any) *identityRow {
	now := micros(a.now())
	return &identityRow{
		id: a.newID(), userID: u.id, provider: provider, subject: subject, email: email, data: data, lastSignIn: now, created: now, updated: now,
	}
}

// emailIdentity is the account at Pando itself: its subject is the user's id.
func (a *Auth) emailIdentity(u *userRow) *identityRow {
	return a.newIdentity(u, providerEmail, u.id, u.email, map[string]any{
		"sub": u.id, "email": u.email, "email_verified": !u.emailConfirmed.IsZero(), "phone_verified": false,
	})
}

// insertIdentity stores a new identity; one that is there already is
// fault.AuthIdentityExists.
func (a *Auth) insertIdentity(tx store.Tx, i *identityRow) error {
	return a.putIdentity(tx, a.st.identityInsert, i)
}

// updateIdentity stores an identity that was read before.
func (a *Auth) updateIdentity(tx store.Tx, i *identityRow) error {
	i.updated = micros(a.now())
	return a.putIdentity(tx, a.st.identityUpdate, i)
}

func (a *Auth) putIdentity(tx store.Tx, st *store.Statement, i *identityRow) error {
	data, err := object(i.data)
	if err != nil {
		return err
	}
	_, err = tx.Exec(st, args(text(i.id), text(i.userID), text(i.provider), text(i.subject), optText(i.email), data, at(i.lastSignIn), at(i.created), at(i.updated)))
	if fault.Is(err, fault.Unique) {
		return fault.New(fault.AuthIdentityExists, "Identity is already linked to another user")
	}
	return err
}

// deleteIdentity removes an identity.
func (a *Auth) deleteIdentity(tx store.Tx, id string) error {
	_, err := tx.Exec(a.st.identityDelete, args(text(id)))
	return err
}
