package auth

import (
	"maps"
	"slices"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/mail"
	"github.com/pandobase/pando/internal/provider"
	"github.com/pandobase/pando/internal/store"
)

// account finds or makes the user of an account at a provider, in tx. The
// returned user is not stored yet with what changed: [Auth.newSession] does it.
//
// An account that is known is its user's, whatever address it has by now. One
// that is not known is linked to a user only through an address that is
// verified on both sides:
//
//   - The provider does not say that it is verified: the address counts for
//     nothing. The new user has none, so that nobody gets an account, or keeps
//     an address from its owner, by what a provider lets people claim
//     (CVE-2024-38351 and its kin).
//   - No user has it: a new one gets it, confirmed.
//   - A user has it and has proved it: the account becomes one of theirs.
//   - A user claims it and has not proved it: whoever signed up with it may be
//     somebody else who waits for the owner to come. The owner gets the user;
//     the password, sessions, factors, codes and identities that were there go.
func (a *Auth) account(tx store.Tx, id *Caller, name string, p *provider.Profile) (*userRow, error) {
	known, err := a.identityBySubject(tx, name, p.Subject)
	if err != nil {
		return nil, err
	}
	if known != nil {
		return a.knownAccount(tx, known, p)
	}
	email := verifiedEmail(p)
	var u *userRow
	if email != "" {
		if u, err = a.userByEmail(tx, email); err != nil {
			return nil, err
		}
	}
	if u == nil {
		return a.newAccount(tx, id, name, email, p)
	}
	if u, err = a.lockUser(tx, u.id); err != nil {
		return nil, err
	}
	if u == nil || u.email != email {
		return nil, fault.New(fault.Conflict, "The user was changed at the same time").WithHint("try again")
	}
	if u.banned(a.now()) {
		return u, errBanned()
	}
	proved, err := a.proved(tx, u)
	if err != nil {
		return nil, err
	}
	action := "auth.identity.link"
	if !proved {
		action = "auth.identity.take_over"
		if err := a.takeOver(tx, u); err != nil {
			return nil, err
		}
	}
	if err := a.attach(tx, u, name, p); err != nil {
		return nil, err
	}
	return u, a.record(tx, id, action, u.id, a.detail("provider", name))
}

// knownAccount is the user whom an account belongs to.
func (a *Auth) knownAccount(tx store.Tx, known *identityRow, p *provider.Profile) (*userRow, error) {
	u, err := a.lockUser(tx, known.userID)
	if err != nil {
		return nil, err
	}
	if u == nil {
		return nil, fault.New(fault.AuthUserNotFound, "User not found")
	}
	if u.banned(a.now()) {
		return u, errBanned()
	}
	known.email, known.data, known.lastSignIn = profileEmail(p), identityData(p), a.now()
	if err := a.updateIdentity(tx, known); err != nil {
		return nil, err
	}
	u.learn(p)
	u.addProvider(known.provider)
	return u, a.adopt(tx, u, p)
}

// newAccount is a new user with an account at a provider.
func (a *Auth) newAccount(tx store.Tx, id *Caller, name, email string, p *provider.Profile) (*userRow, error) {
	if !a.settings().Signup {
		return nil, fault.New(fault.AuthSignupDisabled, "Signups not allowed for this instance")
	}
	u := a.newUser(name, email)
	if email != "" {
		u.emailConfirmed = u.created
	}
	u.learn(p)
	if err := a.insertUser(tx, u); err != nil {
		return nil, err
	}
	if err := a.insertIdentity(tx, a.newIdentity(u, name, p.Subject, profileEmail(p), identityData(p))); err != nil {
		return nil, err
	}
	return u, a.record(tx, id, "auth.sign_up", u.id, a.detail("provider", name))
}

// attach gives a user one more account at a provider.
func (a *Auth) attach(tx store.Tx, u *userRow, name string, p *provider.Profile) error {
	if err := a.insertIdentity(tx, a.newIdentity(u, name, p.Subject, profileEmail(p), identityData(p))); err != nil {
		return err
	}
	u.learn(p)
	u.addProvider(name)
	return a.adopt(tx, u, p)
}

// adopt gives a user without an address the verified one of a provider, unless
// somebody has it.
func (a *Auth) adopt(tx store.Tx, u *userRow, p *provider.Profile) error {
	email := verifiedEmail(p)
	if u.email != "" || email == "" {
		return nil
	}
	other, err := a.userByEmail(tx, email)
	if err != nil || other != nil {
		return err
	}
	u.email, u.emailConfirmed = email, a.now()
	return nil
}

// proved reports whether a user has shown that the address is theirs: it is
// confirmed, and not only because the application confirms every sign-up
// (autoconfirm), which the identity of the address tells.
func (a *Auth) proved(r store.Reader, u *userRow) (bool, error) {
	if u.emailConfirmed.IsZero() {
		return false, nil
	}
	ids, err := a.identities(r, u.id)
	if err != nil {
		return false, err
	}
	for _, i := range ids {
		if i.provider == providerEmail {
			verified, ok := i.data["email_verified"].(bool)
			return !ok || verified, nil
		}
	}
	return true, nil
}

// unproved notes that a user's address is confirmed because the application
// confirms all of them: nobody has shown that it is theirs. See [Auth.proved].
func (a *Auth) unproved(tx store.Tx, u *userRow) error {
	i, err := a.identityBySubject(tx, providerEmail, u.id)
	if err != nil || i == nil {
		return err
	}
	i.data = merged(i.data, map[string]any{"email_verified": false})
	return a.updateIdentity(tx, i)
}

// takeOver takes from a user all that whoever claimed the address first could
// come back with. What the application and its administrators have given to
// the address (app_metadata, roles, rows) stays.
func (a *Auth) takeOver(tx store.Tx, u *userRow) error {
	for _, st := range []*store.Statement{a.flows.identitiesDelete, a.flows.factorsDelete, a.flows.codesOfUser, a.flows.flowsOfUser} {
		if _, err := tx.Exec(st, args(text(u.id))); err != nil {
			return err
		}
	}
	if err := a.endSessions(tx, u.id, ""); err != nil {
		return err
	}
	u.password, u.newEmail, u.phone = "", "", ""
	u.emailConfirmed = a.now()
	u.anonymous = false
	u.user = map[string]any{}
	u.setProviders(nil)
	return nil
}

// learn puts what the provider tells into user_metadata, which nobody may
// trust: users write it, and what they wrote stays.
func (u *userRow) learn(p *provider.Profile) {
	told := identityData(p)
	maps.Copy(told, u.user)
	u.user = told
	u.anonymous = false
}

// identityData is what an account tells of itself, in GoTrue's names.
func identityData(p *provider.Profile) map[string]any {
	data := maps.Clone(p.Data)
	if data == nil {
		data = map[string]any{}
	}
	data["sub"], data["provider_id"] = p.Subject, p.Subject
	data["email_verified"], data["phone_verified"] = verifiedEmail(p) != "", false
	delete(data, "email")
	if e := profileEmail(p); e != "" {
		data["email"] = e
	}
	return data
}

// profileEmail is the address that a provider tells, in the form that ours
// have; empty: none that can be used.
func profileEmail(p *provider.Profile) string {
	email, err := mail.Address(p.Email)
	if err != nil {
		return ""
	}
	return email
}

// verifiedEmail is the address if the provider vouches for it.
func verifiedEmail(p *provider.Profile) string {
	if !p.EmailVerified {
		return ""
	}
	return profileEmail(p)
}

// linkable is the user of a session whom an account at a provider can be
// linked to.
func (a *Auth) linkable(tx store.Tx, userID, sessionID, name string, p *provider.Profile) (*userRow, error) {
	u, err := a.lockUser(tx, userID)
	if err != nil {
		return nil, err
	}
	row, err := a.sessionByID(tx, sessionID)
	switch {
	case err != nil:
		return nil, err
	case u == nil || row == nil || row.userID != userID:
		return nil, fault.New(fault.AuthSessionNotFound, "The session that began to link has ended").WithHint("sign in and begin again")
	case u.banned(a.now()):
		return u, errBanned()
	}
	known, err := a.identityBySubject(tx, name, p.Subject)
	switch {
	case err != nil:
		return nil, err
	case known == nil:
		return u, nil
	case known.userID == userID:
		return nil, fault.New(fault.AuthIdentityExists, "Identity is already linked")
	}
	return nil, fault.New(fault.AuthIdentityExists, "Identity is already linked to another user")
}

// linkAccount gives a user an account at a provider that is linkable. An
// anonymous user becomes a permanent one. The caller stores the user.
func (a *Auth) linkAccount(tx store.Tx, id *Caller, u *userRow, name string, p *provider.Profile) error {
	if err := a.attach(tx, u, name, p); err != nil {
		return err
	}
	return a.record(tx, id, "auth.identity.link", u.id, a.detail("provider", name))
}

// unlink takes an identity from a user and with it what it stood for: the
// password of the address, and the address unless another account vouches for it.
func (a *Auth) unlink(tx store.Tx, u *userRow, ids []*identityRow, gone *identityRow) error {
	if err := a.deleteIdentity(tx, gone.id); err != nil {
		return err
	}
	left := slices.DeleteFunc(slices.Clone(ids), func(i *identityRow) bool { return i.id == gone.id })
	var providers []string
	for _, i := range left {
		if !slices.Contains(providers, i.provider) {
			providers = append(providers, i.provider)
		}
	}
	u.setProviders(providers)
	if gone.provider == providerEmail {
		u.password, u.newEmail = "", ""
		if _, err := tx.Exec(a.flows.codesOfUser, args(text(u.id))); err != nil {
			return err
		}
	}
	if err := a.keepAddress(tx, u, left); err != nil {
		return err
	}
	return a.updateUser(tx, u)
}

// keepAddress gives a user the address that one of the accounts left vouches
// for: the same as before if one does, or it is the one to sign in with; else
// the first that is free, else none.
func (a *Auth) keepAddress(tx store.Tx, u *userRow, left []*identityRow) error {
	if slices.ContainsFunc(left, func(i *identityRow) bool { return i.provider == providerEmail && i.email == u.email }) {
		return nil
	}
	vouched := slices.DeleteFunc(slices.Clone(left), func(i *identityRow) bool { return i.email == "" || i.data["email_verified"] != true })
	if slices.ContainsFunc(vouched, func(i *identityRow) bool { return i.email == u.email }) {
		return nil
	}
	u.email, u.emailConfirmed = "", time.Time{}
	for _, i := range vouched {
		other, err := a.userByEmail(tx, i.email)
		if err != nil {
			return err
		}
		if other == nil || other.id == u.id {
			u.email, u.emailConfirmed = i.email, a.now()
			return nil
		}
	}
	return nil
}
