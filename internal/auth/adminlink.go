package auth

import (
	"context"
	"encoding/json"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
)

// InviteInput asks somebody in.
type InviteInput struct {
	Email    string
	Data     map[string]any
	Redirect string
	Roles    []string // of the application
}

// Invite makes a user without a password and mails the way in. Only the service
// may. An address that is confirmed already is [fault.AuthEmailExists].
func (a *Auth) Invite(ctx context.Context, id *Caller, in InviteInput) (*User, error) {
	if err := a.administer(ctx, id); err != nil {
		return nil, err
	}
	email, err := address(in.Email)
	if err != nil {
		return nil, err
	}
	if err := a.knownRoles(in.Roles); err != nil {
		return nil, err
	}
	var l *letter
	var v *User
	err = a.cfg.Driver.Write(ctx, func(tx store.Tx) error {
		u, err := a.invited(tx, email, in.Data)
		if err != nil {
			return err
		}
		if err := a.addRoles(tx, u.id, union(in.Roles, nil)); err != nil {
			return err
		}
		if l, err = a.putOneTime(tx, u, toAccept, email, in.Redirect, oneTimeData{}); err != nil {
			return err
		}
		if err := a.record(tx, id, "admin.user.invite", u.id, map[string]string{"email": email}); err != nil {
			return err
		}
		v, err = a.view(tx, u)
		return err
	})
	if err != nil {
		return nil, err
	}
	return v, a.post(l)
}

// invited is the stored user of an invitation: a new one, or one who has not
// confirmed yet.
func (a *Auth) invited(tx store.Tx, email string, data map[string]any) (*userRow, error) {
	u, err := a.userByEmail(tx, email)
	if err != nil {
		return nil, err
	}
	if u != nil && !u.emailConfirmed.IsZero() {
		return nil, fault.New(fault.AuthEmailExists, "A user with this email address has already been registered")
	}
	fresh := u == nil
	if fresh {
		u = a.newUser(providerEmail, email)
	} else if u, err = a.lockUser(tx, u.id); err != nil {
		return nil, err
	}
	u.invited = micros(a.now())
	u.mergeUser(data)
	if fresh {
		return u, a.addUser(tx, u)
	}
	return u, a.updateUser(tx, u)
}

// LinkInput asks for a link without a mail.
type LinkInput struct {
	Type     string // signup, invite, magiclink, recovery, email_change_current, email_change_new
	Email    string
	NewEmail string // of an email_change
	Password string // of signup
	Data     map[string]any
	Redirect string
}

// Link is what a mail would have held.
type Link struct {
	ActionLink       string `json:"action_link"`
	EmailOTP         string `json:"email_otp"`
	HashedToken      string `json:"hashed_token"`
	VerificationType string `json:"verification_type"`
	RedirectTo       string `json:"redirect_to"`
	User             *User  `json:"-"` // its members stand beside the others
}

// MarshalJSON writes the members of the user beside those of the link, as the
// clients expect them.
func (l *Link) MarshalJSON() ([]byte, error) {
	type link Link
	own, err := json.Marshal((*link)(l))
	if err != nil || l.User == nil {
		return own, err
	}
	user, err := json.Marshal(l.User)
	if err != nil {
		return nil, err
	}
	return append(append(user[:len(user)-1], ','), own[1:]...), nil
}

// AdminGenerateLink makes a link and a code for somebody else to send. They are
// what a mail would have held: whoever has one is signed in by it. Only the
// service may.
func (a *Auth) AdminGenerateLink(ctx context.Context, id *Caller, in LinkInput) (*Link, error) {
	if err := a.administer(ctx, id); err != nil {
		return nil, err
	}
	email, err := address(in.Email)
	if err != nil {
		return nil, err
	}
	encoded := ""
	switch in.Type {
	case "signup":
		if encoded, err = a.newPassword(ctx, email, in.Password); err != nil {
			return nil, err
		}
	case "email_change_current", "email_change_new":
		if in.NewEmail, err = address(in.NewEmail); err != nil {
			return nil, err
		}
	case "invite", "magiclink", "recovery":
	default:
		return nil, fault.New(fault.AuthValidation, "Unknown type of link").
			WithHint("signup, invite, magiclink, recovery, email_change_current or email_change_new")
	}
	var l *letter
	var v *User
	err = a.cfg.Driver.Write(ctx, func(tx store.Tx) error {
		u, err := a.userOfLink(tx, in, email, encoded)
		if err != nil {
			return err
		}
		if l, err = a.letterOfLink(tx, u, in); err != nil {
			return err
		}
		if err := a.record(tx, id, "admin.generate_link", u.id, map[string]string{"purpose": in.Type}); err != nil {
			return err
		}
		v, err = a.view(tx, u)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &Link{
		ActionLink: a.link(l), EmailOTP: l.code, HashedToken: l.token, VerificationType: in.Type, RedirectTo: a.Redirect(in.Redirect), User: v,
	}, nil
}

// userOfLink is the stored user that a link is for; some types make one.
func (a *Auth) userOfLink(tx store.Tx, in LinkInput, email, encoded string) (*userRow, error) {
	if in.Type == "invite" {
		return a.invited(tx, email, in.Data)
	}
	u, err := a.userByEmail(tx, email)
	if err != nil {
		return nil, err
	}
	switch {
	case in.Type == "signup" && u != nil && !u.emailConfirmed.IsZero():
		return nil, fault.New(fault.AuthEmailExists, "A user with this email address has already been registered")
	case u != nil:
		if u, err = a.lockUser(tx, u.id); err != nil {
			return nil, err
		}
		if encoded != "" {
			u.password = encoded
			u.mergeUser(in.Data)
		}
		return u, a.updateUser(tx, u)
	case in.Type == "signup" || in.Type == "magiclink":
		u = a.newUser(providerEmail, email)
		u.password = encoded
		u.mergeUser(in.Data)
		return u, a.addUser(tx, u)
	}
	return nil, userNotFound()
}

func (a *Auth) letterOfLink(tx store.Tx, u *userRow, in LinkInput) (*letter, error) {
	p := map[string]purpose{"signup": toConfirm, "invite": toAccept, "magiclink": toSignIn, "recovery": toRecover}[in.Type]
	if p != "" {
		return a.putOneTime(tx, u, p, u.email, in.Redirect, oneTimeData{})
	}
	// The links of both sides belong to one change: asking for the second one
	// leaves the first one as it is.
	same := u.newEmail == in.NewEmail
	u.newEmail, u.changeSent = in.NewEmail, micros(a.now())
	if err := a.updateUser(tx, u); err != nil {
		return nil, err
	}
	mine, to, other := toArrive, u.newEmail, toLeave
	if in.Type == "email_change_current" {
		mine, to, other = toLeave, u.email, toArrive
	}
	if !same {
		otherTo := u.email
		if other == toArrive {
			otherTo = u.newEmail
		}
		if _, err := a.putOneTime(tx, u, other, otherTo, in.Redirect, oneTimeData{}); err != nil {
			return nil, err
		}
	}
	var data oneTimeData
	if same { // the other side may have confirmed already
		if _, err := one(tx, a.st.oneTimeRead, args(text(u.id), text(string(mine))), func(s *scan) { data.Other = s.oneTime().data.Other }); err != nil {
			return nil, err
		}
	}
	return a.putOneTime(tx, u, mine, to, in.Redirect, data)
}
