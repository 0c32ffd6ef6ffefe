// Package mail makes and sends the mails of identity.
//
// [Templates] turn a link or a code into a [Message]; a [Sender] delivers it:
// over SMTP, or into a mailbox in the data folder, for development. No text of a
// user can become a header, an address or markup: addresses and subjects with
// line breaks are refused, values in templates are escaped. Links come from the
// caller's data alone.
package mail

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/pandobase/pando/internal/fault"
)

// Message is one mail.
type Message struct {
	From    string // an address or "Name <address>"; "" for the sender's own
	To      string // one address as [Address] returns it
	Subject string // one line
	Text    string
	HTML    string // "" for none
}

// Sender delivers mails. It is safe for concurrent use.
type Sender interface {
	// Send returns nil when the mail was accepted for delivery. After an error it
	// may be called again; the mail may then arrive twice. A message that cannot
	// be one (see [Message]) is [fault.Internal], a server that does not take it
	// [fault.Internal] with status 503 and, if waiting may help, a RetryAfter.
	Send(ctx context.Context, m *Message) error
}

// Config says how mail leaves.
type Config struct {
	// URL is mailbox://, smtp://[USER:PASSWORD@]HOST[:PORT][?tls=off|starttls] or
	// smtps://[USER:PASSWORD@]HOST[:PORT]. The ports are 587 and 465 unless given.
	//
	// smtp:// insists on STARTTLS. It does without it only on a loopback host or
	// with tls=off, and never with a password. A password secret:NAME is looked
	// up with Secret. Default mailbox://.
	URL string
	// From is the sender, an address or "Name <address>". SMTP needs it.
	From string
	// Dir is the folder of mailbox://; it is made when the first mail comes.
	Dir string
	// Secret finds the secret of a name.
	Secret func(name string) (string, bool)
	// Note is told, in one line, of each mail that mailbox:// takes; may be nil.
	Note func(line string)
	// Timeout is how long an SMTP server may take for a step; default 10 s. A
	// mail as a whole may take three times that.
	Timeout time.Duration
	// Roots are whom SMTP trusts to issue certificates; default the system's.
	Roots *x509.CertPool
	// Now is the clock of mails' dates; default time.Now.
	Now func() time.Time
}

// DefaultTimeout is the default of [Config.Timeout].
const DefaultTimeout = 10 * time.Second

// Open returns the sender that cfg describes. It does not connect. Its errors
// are [fault.ConfigInvalid] and never hold the URL's password.
func Open(cfg Config) (Sender, error) {
	if cfg.URL == "" {
		cfg.URL = "mailbox://"
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	u, err := url.Parse(cfg.URL)
	if err != nil { // its text would hold the URL
		return nil, invalid("mail: the URL cannot be read").WithHint("a URL like smtp://user:password@mail.example:587; special characters in it are written as %%XX")
	}
	from, err := sender(cfg.From, u.Scheme)
	if err != nil {
		return nil, err
	}
	switch u.Scheme {
	case "mailbox":
		return openMailbox(cfg, u, from)
	case "smtp", "smtps":
		return openSMTP(cfg, u, from)
	default:
		return nil, invalid("mail: %q is no way to send mail", u.Scheme).WithHint("mailbox://, smtp:// or smtps://")
	}
}

func sender(text, scheme string) (party, error) {
	if text == "" && scheme == "mailbox" {
		return party{"", "no-reply@pando.invalid"}, nil // RFC 2606: it never leaves the mailbox
	}
	const hint = "set auth.sender in pando.yaml, like Shop <no-reply@shop.example>"
	if text == "" {
		return party{}, invalid("mail: there is no address to send from").WithHint(hint)
	}
	from, err := parseFrom(text)
	if err != nil {
		return party{}, invalid("mail: the sender is not valid").WithDetails("%v", err).WithHint(hint)
	}
	return from, nil
}

func invalid(format string, args ...any) *fault.Error {
	return fault.New(fault.ConfigInvalid, format, args...)
}

// compose checks a message and makes the mail of it (RFC 5322), with from as
// its sender unless it has one.
func compose(m *Message, from party, now time.Time) (*gomail.Msg, error) {
	if m.From != "" {
		var err error
		if from, err = parseFrom(m.From); err != nil {
			return nil, refused("the sender", err)
		}
	}
	switch to, err := normalize(m.To); {
	case err != nil:
		return nil, refused("the recipient", err)
	case to != m.To:
		return nil, refused("the recipient", errors.New("it is not in its normal form"))
	}
	if err := oneLine(m.Subject); err != nil {
		return nil, refused("the subject", err)
	}
	if len(m.Subject) > maxName {
		return nil, refused("the subject", fmt.Errorf("it is longer than %d bytes", maxName))
	}
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent(), gomail.WithEncoding(gomail.EncodingQP))
	if err := msg.FromFormat(from.name, from.address); err != nil {
		return nil, refused("the sender", err)
	}
	if err := msg.To(m.To); err != nil {
		return nil, refused("the recipient", err)
	}
	msg.Subject(m.Subject)
	msg.SetDateWithValue(now)
	_, domain, _ := strings.Cut(from.address, "@")
	msg.SetMessageIDWithValue(rand.Text() + "@" + domain) // not the machine's name, which is nobody's business
	msg.SetGenHeader("Auto-Submitted", "auto-generated")  // RFC 3834: no holiday replies
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	if m.HTML != "" {
		msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
	return msg, nil
}

// refused is a message that the caller should not have made.
func refused(what string, err error) error {
	return fault.Wrap(fmt.Errorf("%s of a mail is not valid: %w", what, err), fault.Internal, "the mail could not be sent")
}
