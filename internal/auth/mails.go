package auth

import (
	"context"
	"net/url"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/mail"
)

// kind is the mail of a purpose, and wire what its links and the clients call it.
func (p purpose) kind() mail.Kind {
	switch p {
	case toConfirm:
		return mail.Confirmation
	case toRecover:
		return mail.Recovery
	case toAccept:
		return mail.Invite
	case toLeave, toArrive:
		return mail.EmailChange
	case toAuthenticate:
		return mail.Reauthentication
	default:
		return mail.MagicLink
	}
}

func (p purpose) wire() string {
	switch p {
	case toConfirm:
		return "signup"
	case toLeave, toArrive:
		return "email_change"
	default:
		return string(p)
	}
}

// link is the address that a mail sends its reader to. It begins with the URL
// of the configuration: no header of a request has a say in it.
func (a *Auth) link(l *letter) string {
	if l.purpose == toAuthenticate { // a code that belongs into the open session
		return ""
	}
	q := url.Values{"token": {l.token}, "type": {l.purpose.wire()}}
	if to := a.Redirect(l.redirect); to != "" {
		q.Set("redirect_to", to)
	}
	return a.Issuer() + "/verify?" + q.Encode()
}

// send mails a letter.
func (a *Auth) send(ctx context.Context, l *letter) error {
	if a.cfg.Mail == nil {
		return fault.New(fault.Internal, "a mail cannot be sent: this node has no mail")
	}
	app := a.live.Load().app
	site := app.Config.Auth.Site
	if site == "" {
		site = a.cfg.URL
	}
	m, err := a.cfg.Templates.Render(l.purpose.kind(), mail.Data{
		SiteURL: site, URL: a.link(l), Code: l.code, Email: l.email, NewEmail: l.newEmail, App: app.Config.App,
	})
	if err != nil {
		return err
	}
	m.To = l.to
	return a.cfg.Mail.Send(ctx, m)
}

// post sends letters behind the answer.
func (a *Auth) post(letters ...*letter) error {
	for _, l := range letters {
		if l == nil {
			continue
		}
		if err := a.later("mail", func(ctx context.Context) error { return a.send(ctx, l) }); err != nil {
			return err
		}
	}
	return nil
}

// address is the one form of an e-mail address.
func address(email string) (string, error) { return mail.Address(email) }
