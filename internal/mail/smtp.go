package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/pandobase/pando/internal/fault"
)

// smtpSender hands each mail to an SMTP server (RFC 5321) over a connection of
// its own.
type smtpSender struct {
	host       string
	port       int
	user, pass string // both "" without
	implicit   bool   // TLS from the first byte (RFC 8314)
	startTLS   bool   // insisted on (RFC 3207)
	tls        *tls.Config
	from       party
	timeout    time.Duration
	now        func() time.Time
}

const (
	submissionPort  = 587 // RFC 6409
	submissionsPort = 465 // RFC 8314
	retryMail       = 30 * time.Second
)

func openSMTP(cfg Config, u *url.URL, from party) (Sender, error) {
	s := &smtpSender{host: u.Hostname(), port: submissionPort, implicit: u.Scheme == "smtps", from: from, timeout: cfg.Timeout, now: cfg.Now}
	if s.implicit {
		s.port = submissionsPort
	}
	if s.host == "" || strings.Trim(u.Path, "/") != "" || u.Fragment != "" || u.Opaque != "" {
		return nil, invalid("mail: the URL needs a host and no path").WithHint("like smtp://user:password@mail.example:587")
	}
	if text := u.Port(); text != "" {
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil || port == 0 {
			return nil, invalid("mail: the URL's port is not valid").WithHint("1 to 65535")
		}
		s.port = int(port)
	}
	if err := s.login(u.User, cfg.Secret); err != nil {
		return nil, err
	}
	if err := s.encryption(u); err != nil {
		return nil, err
	}
	s.tls = &tls.Config{ServerName: s.host, MinVersion: tls.VersionTLS12, RootCAs: cfg.Roots}
	return s, nil
}

// login reads user and password; the latter may be secret:NAME.
func (s *smtpSender) login(info *url.Userinfo, secret func(string) (string, bool)) error {
	if info == nil {
		return nil
	}
	s.user = info.Username()
	s.pass, _ = info.Password()
	if name, isRef := strings.CutPrefix(s.pass, "secret:"); isRef {
		found := false
		if secret != nil {
			s.pass, found = secret(name)
		}
		if !found {
			return invalid("mail: there is no secret %q", name).WithHint("set the environment variable of that secret")
		}
	}
	if s.user == "" || s.pass == "" {
		return invalid("mail: the URL needs both a user and a password, or neither").WithHint("like smtp://user:password@mail.example:587")
	}
	return nil
}

// encryption decides how the connection is protected: a password never crosses
// a connection that is not.
func (s *smtpSender) encryption(u *url.URL) error {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return invalid("mail: the URL's query cannot be read")
	}
	mode := query.Get("tls")
	query.Del("tls")
	switch {
	case len(query) > 0:
		return invalid("mail: the URL has unknown options").WithHint("tls=off or tls=starttls")
	case mode != "" && mode != "off" && mode != "starttls":
		return invalid("mail: tls=%s is not known", mode).WithHint("tls=off or tls=starttls")
	case s.implicit && mode != "":
		return invalid("mail: smtps:// is always encrypted and takes no tls option")
	case mode == "off" && s.user != "":
		return invalid("mail: a password is not sent without encryption").WithHint("leave out tls=off, or the user and password")
	}
	s.startTLS = !s.implicit && mode != "off" && (mode == "starttls" || s.user != "" || !loopback(s.host))
	return nil
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// Send implements [Sender].
func (s *smtpSender) Send(ctx context.Context, m *Message) error {
	msg, err := compose(m, s.from, s.now())
	if err != nil {
		return err
	}
	const steps = 3 // of a server that answers each of them only just in time
	ctx, cancel := context.WithTimeout(ctx, steps*s.timeout)
	defer cancel()
	if err := s.deliver(ctx, msg); err != nil {
		return s.failed(ctx, err)
	}
	return nil
}

func (s *smtpSender) deliver(ctx context.Context, msg *gomail.Msg) error {
	// go-mail forgets the connection when the greeting, TLS or the login fails,
	// and looks at ctx only while it connects.
	var conns connections
	defer conns.close()
	stop := context.AfterFunc(ctx, conns.close)
	defer stop()

	client, err := gomail.NewClient(s.host, s.options(&conns)...)
	if err != nil {
		return err
	}
	if err := client.DialWithContext(ctx); err != nil {
		return err
	}
	if err := client.Send(msg); err != nil && !msg.IsDelivered() { // delivered: only the farewell failed
		return err
	}
	_ = client.Close() // the mail was accepted; a server that does not say goodbye changes nothing
	return nil
}

func (s *smtpSender) options(conns *connections) []gomail.Option {
	_, domain, _ := strings.Cut(s.from.address, "@")
	options := []gomail.Option{
		gomail.WithPort(s.port), gomail.WithTimeout(s.timeout), gomail.WithTLSConfig(s.tls),
		gomail.WithHELO(domain), // not the machine's name, which is nobody's business
		gomail.WithoutNoop(), gomail.WithoutSMTPUTF8(),
		gomail.WithDialContextFunc(func(ctx context.Context, network, address string) (net.Conn, error) {
			return s.dial(ctx, conns, network, address)
		}),
		gomail.WithTLSPolicy(gomail.NoTLS),
	}
	if s.startTLS {
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if s.user != "" {
		options = append(options, gomail.WithUsername(s.user), gomail.WithPassword(s.pass),
			gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthPlain, gomail.SMTPAuthLogin))
	}
	return options
}

func (s *smtpSender) dial(ctx context.Context, conns *connections, network, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: s.timeout}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	conns.add(conn)
	if !s.implicit {
		return conn, nil
	}
	secured := tls.Client(conn, s.tls)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return secured, nil
}

// failed is what the caller learns; the server's answer is for the log.
func (s *smtpSender) failed(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w (%w)", err, cause)
	}
	f := fault.Wrap(fmt.Errorf("send mail through %s: %w", net.JoinHostPort(s.host, strconv.Itoa(s.port)), err),
		fault.Internal, "the mail could not be sent").WithStatus(503).WithHint("try again later")
	const permanent = 500 // RFC 5321 section 4.2.1; a timeout has no code
	if sendErr, ok := errors.AsType[*gomail.SendError](err); !ok || sendErr.ErrorCode() < permanent {
		f.RetryAfter = retryMail
	}
	return f
}

// connections closes what was dialed for one mail, once.
type connections struct {
	mu     sync.Mutex
	open   []net.Conn
	closed bool
}

func (c *connections) add(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		_ = conn.Close() // it was never used
		return
	}
	c.open = append(c.open, conn)
}

func (c *connections) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, conn := range c.open {
		_ = conn.Close() // done, or given up
	}
	c.open = nil
}
