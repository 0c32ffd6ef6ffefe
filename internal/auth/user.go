package auth

import (
	"context"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/store"
)

// freshSession is how old a session may be that changes a password without a
// code that was mailed.
const freshSession = 24 * time.Hour

// GetUser is the caller, as the store has it now.
func (a *Auth) GetUser(ctx context.Context, id *Caller) (*User, error) {
	if err := a.limit(ctx, id, "other", ""); err != nil {
		return nil, err
	}
	if id.Role != policy.Authenticated || id.UID == "" {
		return nil, errNobody()
	}
	return a.readUser(ctx, id.UID, 403)
}

// readUser is a user's view; missing is the status where there is none.
func (a *Auth) readUser(ctx context.Context, userID string, missing int) (v *User, err error) {
	err = a.cfg.Driver.Read(ctx, true, func(r store.Reader) error {
		u, err := a.userByID(r, userID)
		if err != nil {
			return err
		}
		if u == nil {
			return fault.New(fault.AuthUserNotFound, "User not found").WithStatus(missing)
		}
		v, err = a.view(r, u)
		return err
	})
	return v, err
}

// UpdateInput is what a user changes; nil: left as it is.
type UpdateInput struct {
	Email, Password, Nonce             *string
	Data                               map[string]any // merged into user_metadata; a null removes a member
	Phone                              *string
	Redirect                           string
	CodeChallenge, CodeChallengeMethod string
}

// UpdateUser changes the caller.
//
//   - A new address counts once it is confirmed, from the old one too where there
//     is one; until then it is new_email. That it belongs to another account shows
//     only to who confirms it. Under autoconfirm it counts at once.
//   - A new password ends every other session and what was mailed and not used.
//     In a session older than a day it needs the code of [Auth.Reauthenticate].
//   - Both need a session of aal2 where the user has a second factor.
//   - An anonymous user becomes a permanent one with a confirmed address.
func (a *Auth) UpdateUser(ctx context.Context, id *Caller, in UpdateInput) (*User, error) {
	if err := a.limit(ctx, id, "other", id.UID); err != nil {
		return nil, err
	}
	c := &change{UpdateInput: in}
	if in.Phone != nil && *in.Phone != "" {
		return nil, fault.New(fault.AuthPhoneProviderDisabled, "Phone sign-in is not supported")
	}
	var err error
	if c.CodeChallengeMethod, err = checkChallenge(in.CodeChallenge, in.CodeChallengeMethod); err != nil {
		return nil, err
	}
	if in.Email != nil {
		if c.email, err = address(*in.Email); err != nil {
			return nil, err
		}
		if !a.settings().Autoconfirm {
			if err := a.limit(ctx, id, "mail", c.email); err != nil {
				return nil, err
			}
		}
	}
	if in.Password != nil {
		if c.encoded, err = a.otherPassword(ctx, id, *in.Password); err != nil {
			return nil, err
		}
	}
	var view *User
	err = a.cfg.Driver.Write(ctx, func(tx store.Tx) (err error) {
		view, err = a.update(tx, id, c)
		return err
	})
	if err != nil {
		return nil, err
	}
	a.forget(view.ID)
	if c.badNonce {
		return nil, fault.New(fault.AuthReauthNotValid, "Nonce has expired or is invalid").WithHint("ask for a new one (reauthenticate)")
	}
	return view, a.post(c.letters...)
}

// change is an update on its way.
type change struct {
	UpdateInput
	email    string
	encoded  string // the new password's hash
	letters  []*letter
	badNonce bool // counted, and nothing changed
}

// otherPassword hashes a new password of the caller's, unless it is the old one.
func (a *Auth) otherPassword(ctx context.Context, id *Caller, pw string) (string, error) {
	var u *userRow
	err := a.cfg.Driver.Read(ctx, false, func(r store.Reader) (err error) {
		u, err = a.userByID(r, id.UID)
		return err
	})
	if err != nil {
		return "", err
	}
	if u == nil {
		return "", fault.New(fault.AuthUserNotFound, "User from sub claim in JWT does not exist").WithStatus(403)
	}
	if err := a.goodPassword(u.email, pw); err != nil {
		return "", err
	}
	if u.password != "" {
		same, _, err := a.cfg.Passwords.Verify(ctx, u.password, pw)
		if err != nil {
			return "", err
		}
		if same {
			return "", fault.New(fault.AuthSamePassword, "New password should be different from the old password.")
		}
	}
	return a.cfg.Passwords.Hash(ctx, pw)
}

func (a *Auth) update(tx store.Tx, id *Caller, c *change) (*User, error) {
	c.letters, c.badNonce = nil, false
	u, row, err := a.self(tx, id)
	if err != nil {
		return nil, err
	}
	if c.email != "" || c.encoded != "" {
		if err := a.secondFactor(tx, id, u.id); err != nil {
			return nil, err
		}
	}
	if c.encoded != "" {
		if ok, err := a.reauthenticated(tx, u, row, c.Nonce); err != nil {
			return nil, err
		} else if !ok {
			c.badNonce = true
			return &User{ID: u.id}, nil
		}
		u.password = c.encoded
		if err := a.dropPending(tx, u); err != nil {
			return nil, err
		}
		if err := a.endSessions(tx, u.id, row.id); err != nil {
			return nil, err
		}
		if err := a.record(tx, id, "auth.password_change", u.id, nil); err != nil {
			return nil, err
		}
	}
	if c.Data != nil {
		u.mergeUser(c.Data)
		if err := a.record(tx, id, "auth.user_update", u.id, nil); err != nil {
			return nil, err
		}
	}
	if c.email != "" && (c.email != u.email || u.emailConfirmed.IsZero()) {
		if err := a.wantEmail(tx, id, u, c); err != nil {
			return nil, err
		}
	}
	if err := a.updateUser(tx, u); err != nil {
		return nil, err
	}
	return a.view(tx, u)
}

// wantEmail begins the change of an address, or under autoconfirm makes it.
func (a *Auth) wantEmail(tx store.Tx, id *Caller, u *userRow, c *change) error {
	if a.settings().Autoconfirm {
		if err := a.changeEmail(tx, u, c.email); err != nil {
			return err
		}
		if err := a.unproved(tx, u); err != nil {
			return err
		}
		return a.record(tx, id, "auth.email_change", u.id, map[string]string{"email": u.email})
	}
	u.newEmail = c.email
	var err error
	c.letters, err = a.askBoth(tx, u, c.Redirect, oneTimeData{Challenge: c.CodeChallenge, ChallengeMethod: c.CodeChallengeMethod})
	if err != nil {
		return err
	}
	return a.record(tx, id, "auth.email_change.requested", u.id, map[string]string{"new_email": c.email})
}

// reauthenticated takes the code that an older session needs for a change of
// the password; false: it is wrong, and that was counted.
func (a *Auth) reauthenticated(tx store.Tx, u *userRow, row *sessionRow, nonce *string) (bool, error) {
	given := nonce != nil && *nonce != "" // then it is judged, needed or not
	switch {
	case !given && (a.now().Sub(row.created) < freshSession || u.email == "" || u.emailConfirmed.IsZero()):
		return true, nil
	case !given:
		return false, fault.New(fault.AuthReauthNeeded, "Password update requires reauthentication").
			WithHint("ask for a code (reauthenticate) and send it as nonce, or sign in again")
	}
	t, err := a.takeUserCode(tx, u.id, toAuthenticate, *nonce)
	return t != nil, err
}

// Logout ends sessions of the caller: local this one, others all but this one,
// global (and empty) all. Their access tokens are refused on this node at once,
// on every other within five seconds.
func (a *Auth) Logout(ctx context.Context, id *Caller, scope string) error {
	if err := a.limit(ctx, id, "other", ""); err != nil {
		return err
	}
	switch scope {
	case "":
		scope = "global"
	case "global", "local", "others":
	default:
		return fault.New(fault.AuthValidation, "Unknown scope of a logout").WithHint("global, local or others")
	}
	if id.Role != policy.Authenticated || id.UID == "" || id.Session == "" {
		return errNobody()
	}
	err := a.cfg.Driver.Write(ctx, func(tx store.Tx) error {
		var err error
		switch scope {
		case "local":
			_, err = tx.Exec(a.st.sessionEnd, args(text(id.Session)))
		case "others":
			err = a.endSessions(tx, id.UID, id.Session)
		default:
			err = a.endSessions(tx, id.UID, "")
		}
		if err != nil {
			return err
		}
		return a.record(tx, id, "auth.sign_out", id.UID, map[string]string{"scope": scope})
	})
	a.forget(id.UID)
	return err
}
