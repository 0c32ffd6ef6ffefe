package auth

import (
	"context"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
)

// SignInPassword opens a session. An unknown address, an account without
// password and a wrong password are the same answer in the same time; that an
// account is banned or its address not confirmed is told only to those who have
// the password. After failures a network waits longer and longer for its next
// try on the account ([fault.AuthRateLimit]); nobody waits for a stranger's.
func (a *Auth) SignInPassword(ctx context.Context, id *Caller, email, password string) (*Grant, error) {
	email, err := address(email)
	if err != nil { // an address that nobody can have: no account, as for any other
		email = ""
	}
	if err := a.limit(ctx, id, "sign_in", email); err != nil {
		return nil, err
	}
	if err := a.slow(id, email); err != nil {
		return nil, err
	}
	var u *userRow
	err = a.cfg.Driver.Read(ctx, false, func(r store.Reader) (err error) {
		u, err = a.userByEmail(r, email)
		return err
	})
	if err != nil {
		return nil, err
	}
	encoded := ""
	if u != nil {
		encoded = u.password
	}
	ok, rehash, err := a.cfg.Passwords.Verify(ctx, encoded, password)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, a.failed(id, email, u)
	}
	switch {
	case u.banned(a.now()):
		return nil, errBanned()
	case u.emailConfirmed.IsZero():
		return nil, fault.New(fault.AuthEmailNotConfirmed, "Email not confirmed").WithHint("follow the link in the mail, or ask for it again (resend)")
	}
	a.attempts.Succeeded(networkOf(id), email)
	renewed := ""
	if rehash { // once for an imported hash; a queue that is full need not stop a sign-in
		if renewed, err = a.cfg.Passwords.Hash(ctx, password); err != nil && !fault.Is(err, fault.Overloaded) {
			return nil, err
		}
	}
	return a.openBy(ctx, id, u, renewed)
}

// openBy opens the session of a user whose password, as it was read, is right.
func (a *Auth) openBy(ctx context.Context, id *Caller, was *userRow, renewed string) (*Grant, error) {
	var s *session
	err := a.cfg.Driver.Write(ctx, func(tx store.Tx) error {
		u, err := a.lockUser(tx, was.id)
		if err != nil {
			return err
		}
		if u == nil || u.password != was.password || u.email != was.email { // changed since it was verified
			return invalidCredentials()
		}
		if u.banned(a.now()) {
			return errBanned()
		}
		if renewed != "" {
			u.password = renewed
		}
		if s, err = a.newSession(tx, id, u, a.amrEntry(methodPassword)); err != nil {
			return err
		}
		return a.record(tx, id, "auth.sign_in", u.id, map[string]string{"method": methodPassword, "session": s.row.id})
	})
	if err != nil {
		return nil, err
	}
	return a.issue(s)
}

func invalidCredentials() *fault.Error {
	return fault.New(fault.AuthInvalidCredentials, "Invalid login credentials")
}

// failed counts a failed sign-in and, of an account that exists, writes it down
// behind the answer: an unknown one must not be answered faster.
func (a *Auth) failed(id *Caller, email string, u *userRow) error {
	a.cfg.Audit.Count(id.Key, "auth.sign_in")
	a.attempts.Failed(networkOf(id), email)
	if u != nil {
		a.refuseLater(id, "auth.sign_in", u.id, u.id, map[string]string{"reason": string(fault.AuthInvalidCredentials)})
	}
	return invalidCredentials()
}
