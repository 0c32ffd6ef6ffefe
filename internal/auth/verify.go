package auth

import (
	"context"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
)

// VerifyInput is a code, or the token of a link.
type VerifyInput struct {
	Type      string // signup, invite, magiclink, recovery, email_change, email
	Email     string // with Token
	Token     string // the code that was mailed
	TokenHash string // the token of the link
	Redirect  string
	Link      bool // a link was followed (GET): one that was asked for with PKCE answers a code
}

// VerifyResult has one of Grant, Code and Message.
type VerifyResult struct {
	Grant    *Grant
	Code     string // for the exchange with the verifier
	Message  string // the first of two confirmations was taken
	Type     string // what was verified, as links call it
	Redirect string // where a link leads to; allowed; empty: nowhere is configured
}

// confirmedOne is what the first of two confirmations of a new address answers.
const confirmedOne = "Confirmation link accepted. Please proceed to confirm link sent to the other email"

// purposes are what a type of verification accepts; nil: there is no such type.
func purposes(kind string) []purpose {
	switch kind {
	case "signup":
		return []purpose{toConfirm}
	case "invite":
		return []purpose{toAccept}
	case "magiclink":
		return []purpose{toSignIn}
	case "recovery":
		return []purpose{toRecover}
	case "email_change", "email_change_new", "email_change_current":
		return []purpose{toArrive, toLeave}
	case "email":
		return []purpose{toSignIn, toConfirm, toAccept}
	}
	return nil
}

// Verify takes a code or a link's token, once: of any number at the same time
// one succeeds. It confirms the address that it was mailed to and signs the user
// in. A code counts ten minutes and five tries, a link one hour, those of a
// sign-up and an invitation a day. Everything that is wrong with them is
// [fault.AuthOTPExpired].
func (a *Auth) Verify(ctx context.Context, id *Caller, in VerifyInput) (*VerifyResult, error) {
	allowed := purposes(in.Type)
	switch {
	case in.Type == "sms" || in.Type == "phone_change":
		return nil, fault.New(fault.AuthPhoneProviderDisabled, "Phone sign-in is not supported")
	case allowed == nil:
		return nil, fault.New(fault.AuthValidation, "Unknown type of verification").WithHint("signup, invite, magiclink, recovery, email_change or email")
	}
	email := ""
	if in.TokenHash == "" {
		var err error
		if email, err = address(in.Email); err != nil {
			return nil, err
		}
		if in.Token == "" {
			return nil, fault.New(fault.AuthValidation, "Verify requires a token or a token hash")
		}
	}
	if err := a.limit(ctx, id, "verify", email); err != nil {
		return nil, err
	}
	if email != "" {
		if err := a.slow(id, codesOf(email)); err != nil {
			return nil, err
		}
	}
	var v *verification
	wrong := false
	err := a.cfg.Driver.Write(ctx, func(tx store.Tx) error {
		v, wrong = nil, false
		var t *oneTime
		var err error
		if in.TokenHash != "" {
			t, err = a.takeLink(tx, in.TokenHash, allowed)
		} else {
			t, err = a.takeCode(tx, email, in.Token, allowed)
		}
		switch {
		case err != nil:
			return err
		case t == nil && in.TokenHash != "":
			return errOTP()
		case t == nil:
			wrong = true // the count of tries is to be committed
			return nil
		}
		v, err = a.accept(tx, id, t, in.Link)
		return err
	})
	if wrong {
		a.attempts.Failed(networkOf(id), codesOf(email))
		a.cfg.Audit.Count(id.Key, "auth.verify")
		return nil, errOTP()
	}
	if err != nil {
		return nil, err
	}
	a.forget(v.user.id)
	out := &VerifyResult{Code: v.code, Message: v.message, Type: v.purpose.wire(), Redirect: a.Redirect(in.Redirect)}
	if v.session != nil {
		out.Grant, err = a.issue(v.session)
	}
	return out, err
}

// codesOf is the account that wrong codes for an address count against.
func codesOf(email string) string { return "codes " + email }

// verification is what became of a token.
type verification struct {
	purpose purpose
	user    *userRow
	session *session
	code    string
	message string
}

// accept does what a token that was taken is for.
func (a *Auth) accept(tx store.Tx, id *Caller, t *oneTime, link bool) (*verification, error) {
	u, err := a.lockUser(tx, t.userID)
	switch {
	case err != nil:
		return nil, err
	case u == nil:
		return nil, errOTP()
	case u.banned(a.now()):
		return nil, errBanned()
	}
	v := &verification{purpose: t.purpose, user: u}
	switch t.purpose {
	case toArrive, toLeave:
		done, err := a.confirmChange(tx, u, t)
		if err != nil {
			return nil, err
		}
		if !done {
			v.message = confirmedOne
			return v, a.record(tx, id, "auth.email_change.confirmed_one", u.id, nil)
		}
		if err := a.record(tx, id, "auth.email_change", u.id, map[string]string{"email": u.email}); err != nil {
			return nil, err
		}
	default:
		if t.email != u.email { // it was mailed to an address that the account has no more
			return nil, errOTP()
		}
		if err := a.confirm(tx, id, u, t.purpose == toConfirm); err != nil {
			return nil, err
		}
	}
	if link && t.data.Challenge != "" {
		if err := a.updateUser(tx, u); err != nil {
			return nil, err
		}
		v.code, err = a.newAuthCode(tx, u.id, authCode{
			Challenge: t.data.Challenge, ChallengeMethod: t.data.ChallengeMethod, Method: methodOTP, Recovery: t.purpose == toRecover,
		})
		if err != nil {
			return nil, err
		}
		return v, a.record(tx, id, "auth.verify", u.id, map[string]string{"purpose": string(t.purpose)})
	}
	if v.session, err = a.newSession(tx, id, u, a.amrEntry(methodOTP)); err != nil {
		return nil, err
	}
	return v, a.record(tx, id, "auth.sign_in", u.id, map[string]string{"method": methodOTP, "purpose": string(t.purpose), "session": v.session.row.id})
}

// confirm marks a user's address as proven. When it was proven in another way
// than by the mail of the sign-up, nothing counts any longer that somebody else
// may have put there who only claimed the address: see [Auth.disown]. The caller
// stores the user.
func (a *Auth) confirm(tx store.Tx, id *Caller, u *userRow, bySignUp bool) error {
	proved, err := a.proved(tx, u)
	if err != nil || proved {
		return err
	}
	if u.emailConfirmed.IsZero() {
		u.emailConfirmed = micros(a.now())
	}
	if !bySignUp {
		if err := a.disown(tx, u); err != nil {
			return err
		}
		if err := a.record(tx, id, "auth.identity.take_over", u.id, map[string]string{"provider": providerEmail}); err != nil {
			return err
		}
	}
	return a.syncEmailIdentity(tx, u)
}

// disown takes from a user what whoever claimed the address before its owner
// came could sign in with: the password, sessions, codes, and accounts at
// providers. Second factors stay: one alone signs nobody in, and a mailbox must
// not be the way around it. The caller stores the user.
func (a *Auth) disown(tx store.Tx, u *userRow) error {
	if _, err := tx.Exec(a.flows.identitiesDelete, args(text(u.id))); err != nil {
		return err
	}
	u.password = ""
	u.setProviders(nil)
	if err := a.dropPending(tx, u); err != nil {
		return err
	}
	return a.endSessions(tx, u.id, "")
}

// syncEmailIdentity brings the account at Pando itself to the user's address,
// and makes it where the user has none.
func (a *Auth) syncEmailIdentity(tx store.Tx, u *userRow) error {
	i, err := a.identityBySubject(tx, providerEmail, u.id)
	if err != nil {
		return err
	}
	fresh := a.emailIdentity(u)
	if i == nil {
		u.addProvider(providerEmail)
		return a.insertIdentity(tx, fresh)
	}
	i.email, i.data = fresh.email, merged(i.data, fresh.data)
	return a.updateIdentity(tx, i)
}

// askBoth makes the tokens of a change of the address: one for the new address
// and, where the account has a confirmed one, one for that. The user has the new
// address in newEmail; the caller stores the user.
func (a *Auth) askBoth(tx store.Tx, u *userRow, redirect string, data oneTimeData) ([]*letter, error) {
	u.changeSent = micros(a.now())
	both := u.email != "" && !u.emailConfirmed.IsZero()
	data.Other = !both
	arrive, err := a.putOneTime(tx, u, toArrive, u.newEmail, redirect, data)
	if err != nil || !both {
		return []*letter{arrive}, err
	}
	leave, err := a.putOneTime(tx, u, toLeave, u.email, redirect, data)
	return []*letter{arrive, leave}, err
}

// confirmChange takes one confirmation of a new address; with both, or the only
// one, the user has it. The caller stores the user then.
func (a *Auth) confirmChange(tx store.Tx, u *userRow, t *oneTime) (done bool, err error) {
	if t.purpose == toArrive && t.email != u.newEmail || t.purpose == toLeave && t.email != u.email || u.newEmail == "" {
		return false, errOTP() // of an earlier change
	}
	if !t.data.Other {
		other := toArrive
		if t.purpose == toArrive {
			other = toLeave
		}
		// The other token learns of it: that one is gone proves nothing, it
		// may have expired.
		left, err := a.markOther(tx, u.id, other, t.data)
		if err == nil && !left {
			err = errOTP()
		}
		return false, err
	}
	if there, err := a.userByEmail(tx, u.newEmail); err != nil {
		return false, err
	} else if there != nil && there.id != u.id {
		return false, fault.New(fault.AuthEmailExists, "A user with this email address has already been registered")
	}
	return true, a.changeEmail(tx, u, u.newEmail)
}

func (a *Auth) markOther(tx store.Tx, userID string, p purpose, data oneTimeData) (bool, error) {
	data.Other = true
	v, err := encode(data)
	if err != nil {
		return false, err
	}
	n, err := tx.Exec(a.st.oneTimeConfirm, args(text(userID), text(string(p)), v))
	return n > 0, err
}

// changeEmail gives a user an address that is proven. The caller stores the user.
func (a *Auth) changeEmail(tx store.Tx, u *userRow, email string) error {
	u.email, u.emailConfirmed, u.anonymous = email, micros(a.now()), false
	if err := a.dropPending(tx, u); err != nil {
		return err
	}
	// The identity's row refers to the stored user, which still has the old
	// address: the order does not matter within the transaction.
	return a.syncEmailIdentity(tx, u)
}
