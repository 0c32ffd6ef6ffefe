package auth

import (
	"context"
	"maps"
	"strings"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/password"
	"github.com/pandobase/pando/internal/store"
)

// SignUpInput is what somebody signs up with.
type SignUpInput struct {
	Email, Password                    string
	Data                               map[string]any // user_metadata
	Redirect                           string
	CodeChallenge, CodeChallengeMethod string
}

// SignUpResult has a Grant where the user is signed in at once, else the User.
type SignUpResult struct {
	Grant *Grant
	User  *User
}

// newPassword refuses a password that is not good enough and hashes one that is.
func (a *Auth) newPassword(ctx context.Context, email, pw string) (string, error) {
	if err := a.goodPassword(email, pw); err != nil {
		return "", err
	}
	return a.cfg.Passwords.Hash(ctx, pw)
}

func (a *Auth) goodPassword(email, pw string) error {
	app := a.live.Load().app
	name, domain, _ := strings.Cut(email, "@")
	return password.Check(pw, app.Config.Auth.MinPassword, email, name, domain, app.Config.App)
}

// SignUp makes a user with an address and a password. Under autoconfirm the
// user is signed in at once, and an address that has an account is
// [fault.AuthUserExists]: that tells by nature. Else the address gets a mail
// with a link and a code, and whether it had an account shows neither in the
// answer nor in its time: who owns it, reads it in the mail, or gets none.
//
// Signing up again before the address is confirmed sends another mail. If the
// passwords differ, none of them counts any longer, and the user who confirms
// sets one by a reset: nobody can leave a password behind in the account of an
// address that is not theirs.
func (a *Auth) SignUp(ctx context.Context, id *Caller, in SignUpInput) (*SignUpResult, error) {
	email, err := address(in.Email)
	if err != nil {
		return nil, err
	}
	if err := a.limit(ctx, id, "sign_up", email); err != nil {
		return nil, err
	}
	set := a.settings()
	if !set.Signup {
		return nil, fault.New(fault.AuthSignupDisabled, "Signups not allowed for this instance")
	}
	method, err := checkChallenge(in.CodeChallenge, in.CodeChallengeMethod)
	if err != nil {
		return nil, err
	}
	if err := a.goodPassword(email, in.Password); err != nil {
		return nil, err
	}
	if !set.Autoconfirm {
		if err := a.limit(ctx, id, "mail", email); err != nil {
			return nil, err
		}
	}
	var there *userRow
	err = a.cfg.Driver.Read(ctx, false, func(r store.Reader) (err error) {
		there, err = a.userByEmail(r, email)
		return err
	})
	if err != nil {
		return nil, err
	}
	if there == nil {
		return a.signUpNew(ctx, id, in, email, oneTimeData{Challenge: in.CodeChallenge, ChallengeMethod: method})
	}
	return a.signUpAgain(ctx, id, in, there, oneTimeData{Challenge: in.CodeChallenge, ChallengeMethod: method})
}

func (a *Auth) signUpNew(ctx context.Context, id *Caller, in SignUpInput, email string, data oneTimeData) (*SignUpResult, error) {
	encoded, err := a.cfg.Passwords.Hash(ctx, in.Password)
	if err != nil {
		return nil, err
	}
	auto := a.settings().Autoconfirm
	var s *session
	var l *letter
	var view *User
	err = a.cfg.Driver.Write(ctx, func(tx store.Tx) error {
		s, l, view = nil, nil, nil
		u := a.newUser(providerEmail, email)
		u.password = encoded
		u.mergeUser(in.Data)
		if auto {
			u.emailConfirmed = u.created
		} else {
			u.confirmationSent = u.created
		}
		if err := a.addUser(tx, u); err != nil {
			return err
		}
		if err := a.record(tx, id, "auth.sign_up", u.id, map[string]string{"email": email}); err != nil {
			return err
		}
		var err error
		if auto {
			if err := a.unproved(tx, u); err != nil {
				return err
			}
			if s, err = a.newSession(tx, id, u, a.amrEntry(methodPassword)); err != nil {
				return err
			}
			return a.record(tx, id, "auth.sign_in", u.id, map[string]string{"method": methodPassword, "session": s.row.id})
		}
		if l, err = a.putOneTime(tx, u, toConfirm, email, in.Redirect, data); err != nil {
			return err
		}
		view, err = a.view(tx, u)
		return err
	})
	switch {
	case fault.Is(err, fault.AuthEmailExists) && auto:
		return nil, userExists()
	case fault.Is(err, fault.AuthEmailExists): // of two who signed up at once
		return a.pretend(in, email)
	case err != nil:
		return nil, err
	case auto:
		g, err := a.issue(s)
		return &SignUpResult{Grant: g}, err
	}
	return &SignUpResult{User: view}, a.post(l)
}

// addUser stores a new user with the account at Pando itself.
func (a *Auth) addUser(tx store.Tx, u *userRow) error {
	if err := a.insertUser(tx, u); err != nil {
		return err
	}
	return a.insertIdentity(tx, a.emailIdentity(u))
}

func userExists() *fault.Error {
	return fault.New(fault.AuthUserExists, "User already registered").WithHint("sign in, or reset the password")
}

// signUpAgain answers a sign-up for an address that has an account, with the
// same work as for one that has none.
func (a *Auth) signUpAgain(ctx context.Context, id *Caller, in SignUpInput, there *userRow, data oneTimeData) (*SignUpResult, error) {
	if a.settings().Autoconfirm {
		return nil, userExists()
	}
	same := true
	var err error
	if there.emailConfirmed.IsZero() && there.password != "" {
		same, _, err = a.cfg.Passwords.Verify(ctx, there.password, in.Password)
	} else {
		err = a.cfg.Passwords.Dummy(ctx, in.Password)
	}
	if err != nil {
		return nil, err
	}
	var l *letter
	err = a.cfg.Driver.Write(ctx, func(tx store.Tx) error {
		l = nil
		u, err := a.lockUser(tx, there.id)
		if err != nil {
			return err
		}
		if u == nil || !u.emailConfirmed.IsZero() || u.banned(a.now()) {
			return a.record(tx, id, "auth.sign_up_repeated", there.id, nil)
		}
		if !same {
			u.password = ""
		}
		u.confirmationSent = micros(a.now())
		if err := a.updateUser(tx, u); err != nil {
			return err
		}
		if l, err = a.putOneTime(tx, u, toConfirm, u.email, in.Redirect, data); err != nil {
			return err
		}
		return a.record(tx, id, "auth.sign_up_repeated", u.id, nil)
	})
	if err != nil {
		return nil, err
	}
	if err := a.post(l); err != nil {
		return nil, err
	}
	return a.pretend(in, there.email)
}

// pretend is the answer to a sign-up whose address has an account: what a new
// user would get, of a user that does not exist.
func (a *Auth) pretend(in SignUpInput, email string) (*SignUpResult, error) {
	u := a.newUser(providerEmail, email)
	u.confirmationSent = u.created
	u.mergeUser(in.Data)
	if _, err := u.values(); err != nil {
		return nil, err
	}
	// GoTrue's clients take a user without identities for an account that is
	// there already; so it has one, as a new user would.
	v, err := u.view([]*identityRow{a.emailIdentity(u)}, nil)
	return &SignUpResult{User: v}, err
}

// SignInAnonymously makes a user without an address and signs it in.
func (a *Auth) SignInAnonymously(ctx context.Context, id *Caller, data map[string]any) (*Grant, error) {
	if err := a.limit(ctx, id, "anonymous", ""); err != nil {
		return nil, err
	}
	switch set := a.settings(); {
	case !set.Anonymous:
		return nil, fault.New(fault.AuthAnonymousDisabled, "Anonymous sign-ins are disabled")
	case !set.Signup:
		return nil, fault.New(fault.AuthSignupDisabled, "Signups not allowed for this instance")
	}
	var s *session
	err := a.cfg.Driver.Write(ctx, func(tx store.Tx) (err error) {
		u := a.newUser(providerAnonymous, "")
		u.mergeUser(data)
		if err := a.insertUser(tx, u); err != nil {
			return err
		}
		if s, err = a.newSession(tx, id, u, a.amrEntry(methodAnonymous)); err != nil {
			return err
		}
		return a.record(tx, id, "auth.sign_in", u.id, map[string]string{"method": methodAnonymous, "session": s.row.id})
	})
	if err != nil {
		return nil, err
	}
	return a.issue(s)
}

// mergeUser changes members of the user's metadata; a null removes one.
func (u *userRow) mergeUser(data map[string]any) { u.user = merged(u.user, data) }

func merged(into, data map[string]any) map[string]any {
	out := make(map[string]any, len(into)+len(data))
	maps.Copy(out, into)
	for k, v := range data {
		if v == nil {
			delete(out, k)
			continue
		}
		out[k] = v
	}
	return out
}
