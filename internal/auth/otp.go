package auth

import (
	"context"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/store"
)

// OTPInput asks for a code and a link by mail.
type OTPInput struct {
	Email                              string
	CreateUser                         bool
	Data                               map[string]any
	Redirect                           string
	CodeChallenge, CodeChallengeMethod string
}

// RecoverInput asks for a new password.
type RecoverInput struct {
	Email, Redirect                    string
	CodeChallenge, CodeChallengeMethod string
}

// ResendInput asks for a mail again.
type ResendInput struct {
	Type                               string // signup, email_change
	Email, Redirect                    string
	CodeChallenge, CodeChallengeMethod string
}

// SendOTP mails a code and a link to sign in with. Whether the address has an
// account, and what comes of it, shows in the mailbox alone: the answer is given
// before the account is looked for. With CreateUser, and where sign-up is open,
// an unknown address gets an account.
func (a *Auth) SendOTP(ctx context.Context, id *Caller, in OTPInput) error {
	return a.request(ctx, id, in.Email, in.CodeChallenge, in.CodeChallengeMethod, func(tx store.Tx, id *Caller, email string, data oneTimeData) (*letter, error) {
		u, err := a.userForMail(tx, email)
		if err != nil {
			return nil, err
		}
		if u == nil {
			if !in.CreateUser || !a.settings().Signup {
				return nil, nil
			}
			u = a.newUser(providerEmail, email)
			u.mergeUser(in.Data)
			if err := a.addUser(tx, u); err != nil {
				return nil, err
			}
			if err := a.record(tx, id, "auth.sign_up", u.id, map[string]string{"email": email}); err != nil {
				return nil, err
			}
		}
		u.recoverySent = micros(a.now())
		return a.mailed(tx, id, u, toSignIn, in.Redirect, data)
	})
}

// Recover mails the way to a new password: a link and a code that sign in, so
// that the user can set one. It answers like [Auth.SendOTP].
func (a *Auth) Recover(ctx context.Context, id *Caller, in RecoverInput) error {
	return a.request(ctx, id, in.Email, in.CodeChallenge, in.CodeChallengeMethod, func(tx store.Tx, id *Caller, email string, data oneTimeData) (*letter, error) {
		u, err := a.userForMail(tx, email)
		if err != nil || u == nil {
			return nil, err
		}
		u.recoverySent = micros(a.now())
		return a.mailed(tx, id, u, toRecover, in.Redirect, data)
	})
}

// Resend mails the confirmation of a sign-up or of a new address again, with a
// new link and code. It answers like [Auth.SendOTP].
func (a *Auth) Resend(ctx context.Context, id *Caller, in ResendInput) error {
	switch in.Type {
	case "signup", "email_change":
	case "sms", "phone_change":
		return fault.New(fault.AuthPhoneProviderDisabled, "Phone sign-in is not supported")
	default:
		return fault.New(fault.AuthValidation, "Missing or unknown type of what is to be sent again").WithHint("signup or email_change")
	}
	return a.request(ctx, id, in.Email, in.CodeChallenge, in.CodeChallengeMethod, func(tx store.Tx, id *Caller, email string, data oneTimeData) (*letter, error) {
		u, err := a.userForMail(tx, email)
		if err != nil || u == nil {
			return nil, err
		}
		switch {
		case in.Type == "signup" && u.emailConfirmed.IsZero():
			u.confirmationSent = micros(a.now())
			return a.mailed(tx, id, u, toConfirm, in.Redirect, data)
		case in.Type == "email_change" && u.newEmail != "":
			letters, err := a.askBoth(tx, u, in.Redirect, data)
			if err != nil {
				return nil, err
			}
			if err := a.updateUser(tx, u); err != nil {
				return nil, err
			}
			if err := a.record(tx, id, "auth.mail", u.id, map[string]string{"purpose": "email_change"}); err != nil {
				return nil, err
			}
			return nil, a.post(letters...)
		}
		return nil, nil
	})
}

// request checks what an anonymous caller asks to be mailed, and does it behind
// the answer, so that the answer is the same, at the same time, for every address.
func (a *Auth) request(ctx context.Context, id *Caller, email, challenge, method string,
	do func(tx store.Tx, id *Caller, email string, data oneTimeData) (*letter, error),
) error {
	email, err := address(email)
	if err != nil {
		return err
	}
	if method, err = checkChallenge(challenge, method); err != nil {
		return err
	}
	for _, rate := range []string{"mail", "resend"} {
		if err := a.limit(ctx, id, rate, email); err != nil {
			return err
		}
	}
	who := aside(id)
	return a.later("mail", func(ctx context.Context) error {
		var l *letter
		err := a.cfg.Driver.Write(ctx, func(tx store.Tx) (err error) {
			l, err = do(tx, who, email, oneTimeData{Challenge: challenge, ChallengeMethod: method})
			return err
		})
		if err != nil || l == nil {
			return err
		}
		return a.send(ctx, l)
	})
}

// aside is a caller for work that goes on after its request.
func aside(id *policy.Identity) *policy.Identity {
	who := *id
	if id.Request != nil {
		request := *id.Request
		who.Request = &request
	}
	return &who
}

// userForMail reads the user of an address for a change; nil: there is none
// that may be mailed to.
func (a *Auth) userForMail(tx store.Tx, email string) (*userRow, error) {
	u, err := a.userByEmail(tx, email)
	if err != nil || u == nil {
		return nil, err
	}
	if u, err = a.lockUser(tx, u.id); err != nil || u == nil || u.banned(a.now()) || u.email != email {
		return nil, err
	}
	return u, nil
}

// mailed stores a user with a new token for the own address, and the record.
func (a *Auth) mailed(tx store.Tx, id *Caller, u *userRow, p purpose, redirect string, data oneTimeData) (*letter, error) {
	if err := a.updateUser(tx, u); err != nil {
		return nil, err
	}
	l, err := a.putOneTime(tx, u, p, u.email, redirect, data)
	if err != nil {
		return nil, err
	}
	return l, a.record(tx, id, "auth.mail", u.id, map[string]string{"purpose": string(p)})
}

// Reauthenticate mails a code to the caller, which [Auth.UpdateUser] asks for
// before it changes the password of a session that is not new.
func (a *Auth) Reauthenticate(ctx context.Context, id *Caller) error {
	for _, rate := range []string{"mail", "resend"} {
		if err := a.limit(ctx, id, rate, id.UID); err != nil {
			return err
		}
	}
	var l *letter
	err := a.cfg.Driver.Write(ctx, func(tx store.Tx) error {
		u, _, err := a.self(tx, id)
		if err != nil {
			return err
		}
		if u.email == "" || u.emailConfirmed.IsZero() {
			return fault.New(fault.AuthValidation, "Reauthentication requires the user to have a confirmed email")
		}
		u.reauthSent = micros(a.now())
		l, err = a.mailed(tx, id, u, toAuthenticate, "", oneTimeData{})
		return err
	})
	if err != nil {
		return err
	}
	return a.post(l)
}
