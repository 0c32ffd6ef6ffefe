package auth

import (
	"encoding/json"
	"time"

	"github.com/pandobase/pando/internal/store"
)

// view is a user as the identity door shows it, with identities and factors.
func (a *Auth) view(r store.Reader, u *userRow) (*User, error) {
	ids, err := a.identities(r, u.id)
	if err != nil {
		return nil, err
	}
	var factors []Factor
	err = all(r, a.st.factorsOf, args(text(u.id)), func(s *scan) {
		factors = append(factors, Factor{
			ID: s.text(), FriendlyName: s.text(), FactorType: s.text(), Status: s.text(), CreatedAt: s.time(), UpdatedAt: s.time(), LastChallengedAt: optTime(s.time()),
		})
	})
	if err != nil {
		return nil, err
	}
	return u.view(ids, factors)
}

func (u *userRow) view(ids []*identityRow, factors []Factor) (*User, error) {
	app, err := json.Marshal(u.app)
	if err != nil {
		return nil, err
	}
	user, err := json.Marshal(u.user)
	if err != nil {
		return nil, err
	}
	v := &User{
		ID: u.id, Aud: audience, Role: audience, Email: u.email, Phone: u.phone,
		EmailConfirmedAt: optTime(u.emailConfirmed), ConfirmedAt: optTime(u.emailConfirmed), InvitedAt: optTime(u.invited),
		ConfirmationSent: optTime(u.confirmationSent), RecoverySent: optTime(u.recoverySent), EmailChangeSent: optTime(u.changeSent),
		ReauthSent: optTime(u.reauthSent), NewEmail: u.newEmail, LastSignInAt: optTime(u.lastSignIn),
		AppMetadata: app, UserMetadata: user, Identities: []UserIdentity{}, Factors: factors, BannedUntil: optTime(u.bannedUntil),
		CreatedAt: u.created, UpdatedAt: u.updated, IsAnonymous: u.anonymous,
	}
	for _, i := range ids {
		view, err := i.view()
		if err != nil {
			return nil, err
		}
		v.Identities = append(v.Identities, view)
	}
	return v, nil
}

func (i *identityRow) view() (UserIdentity, error) {
	data, err := json.Marshal(i.data)
	return UserIdentity{
		IdentityID: i.id, ID: i.subject, UserID: i.userID, IdentityData: data, Provider: i.provider, Email: i.email,
		LastSignInAt: optTime(i.lastSignIn), CreatedAt: i.created, UpdatedAt: i.updated,
	}, err
}

// optTime is nil for the zero time.
func optTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
