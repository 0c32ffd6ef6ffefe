package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	gomail "github.com/wneessen/go-mail"

	"github.com/pandobase/pando/internal/fault"
)

const password = "s3cr3t-0f-th3-s3rv3r"

// smtpServer is a real SMTP server that keeps what it was given.
type smtpServer struct {
	addr   string
	roots  *x509.CertPool
	refuse error // of each recipient

	mu       sync.Mutex
	mails    []received
	attempts int // logins
}

type received struct {
	from, to, data, user string
	encrypted            bool
}

type smtpMode int

const (
	plain smtpMode = iota
	startTLS
	implicitTLS
)

func serve(t *testing.T, mode smtpMode, insecureAuth bool, refuse error) *smtpServer {
	t.Helper()
	certified := httptest.NewTLSServer(nil) // for its certificate
	t.Cleanup(certified.Close)
	s := &smtpServer{roots: x509.NewCertPool(), refuse: refuse}
	s.roots.AddCert(certified.Certificate())
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &session{server: s, conn: c}, nil }))
	server.AllowInsecureAuth = insecureAuth
	server.ErrorLog = silent{}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = listener.Addr().String()
	config := &tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS12}
	switch mode {
	case startTLS:
		server.TLSConfig = config
	case implicitTLS:
		listener = tls.NewListener(listener, config)
	case plain:
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // it ends when it is closed
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return s
}

type silent struct{}

func (silent) Printf(string, ...any) {}
func (silent) Println(...any)        {}

func (s *smtpServer) got() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mails
}

func (s *smtpServer) logins() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.attempts
}

type session struct {
	server *smtpServer
	conn   *smtp.Conn
	mail   received
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }
func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, pass string) error {
		s.server.mu.Lock()
		defer s.server.mu.Unlock()
		s.server.attempts++
		if user != "mailer" || pass != password {
			return smtp.ErrAuthFailed
		}
		s.mail.user = user
		return nil
	}), nil
}
func (s *session) Reset()                                      {}
func (s *session) Logout() error                               { return nil }
func (s *session) Mail(from string, _ *smtp.MailOptions) error { s.mail.from = from; return nil }
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error   { s.mail.to = to; return s.server.refuse }

func (s *session) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.mail.data = string(data)
	_, s.mail.encrypted = s.conn.TLSConnectionState()
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.mails = append(s.server.mails, s.mail)
	return nil
}

func (s *smtpServer) config(scheme, user, options string) Config {
	return Config{
		URL: scheme + "://" + user + s.addr + options, From: "Shop <no-reply@shop.example>", Roots: s.roots, Timeout: 5 * time.Second,
		Secret: func(name string) (string, bool) { return password, name == "smtp" },
	}
}

func TestSMTP(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		mode                  smtpMode
		scheme, user, options string
		encrypted             bool
	}{
		"plain":               {plain, "smtp", "", "", false},
		"STARTTLS":            {startTLS, "smtp", "", "?tls=starttls", true},
		"STARTTLS with login": {startTLS, "smtp", "mailer:" + password + "@", "", true},
		"secret":              {startTLS, "smtp", "mailer:secret:smtp@", "", true},
		"implicit":            {implicitTLS, "smtps", "", "", true},
		"implicit with login": {implicitTLS, "smtps", "mailer:secret:smtp@", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, c.mode, false, nil)
			sender := openTest(t, s.config(c.scheme, c.user, c.options))
			m := message()
			for range 2 { // each over its own connection
				if err := sender.Send(t.Context(), m); err != nil {
					t.Fatalf("%v: %v", err, fault.From(err).Cause)
				}
			}
			if len(s.got()) != 2 {
				t.Fatalf("%d mails arrived", len(s.got()))
			}
			got := s.got()[0]
			if got.from != "no-reply@shop.example" || got.to != m.To || got.encrypted != c.encrypted || (got.user != "") != (c.user != "") {
				t.Errorf("%+v", got)
			}
			parsed, err := gomail.EMLToMsgFromString(got.data)
			if err != nil || len(parsed.GetParts()) != 2 {
				t.Fatalf("%v in %s", err, got.data)
			}
			for i, want := range []string{m.Text, m.HTML} {
				content, err := parsed.GetParts()[i].GetContent()
				if err != nil || strings.ReplaceAll(string(content), "\r\n", "\n") != want {
					t.Errorf("part %d: %v %q, want %q", i, err, content, want)
				}
			}
			if !strings.Contains(got.data, "From: \"Shop\" <no-reply@shop.example>\r\n") || strings.Contains(strings.ToLower(got.data), "user-agent") {
				t.Errorf("headers of\n%s", got.data)
			}
		})
	}
}

// failure sends a mail that must not go, and returns why; it shows no secret.
func failure(ctx context.Context, t *testing.T, cfg Config) *fault.Error {
	t.Helper()
	err := openTest(t, cfg).Send(ctx, message())
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.HTTPStatus() != 503 || f.Cause == nil {
		t.Fatalf("%v", err)
	}
	if strings.Contains(fmt.Sprintf("%v %v %+v", f, f.Cause, f.Cause), password) {
		t.Errorf("the error shows the password: %v", f.Cause)
	}
	return f
}

// A password never crosses a connection without encryption, or one to somebody
// who cannot prove to be the server.
func TestNoPasswordInPlainText(t *testing.T) {
	t.Parallel()
	s := serve(t, plain, true, nil) // offers the login without TLS
	for _, how := range [][2]string{{"mailer:secret:smtp@", ""}, {"mailer:secret:smtp@", "?tls=starttls"}, {"", "?tls=starttls"}} {
		if f := failure(t.Context(), t, s.config("smtp", how[0], how[1])); !strings.Contains(f.Cause.Error(), "STARTTLS") {
			t.Errorf("%v: %v", how, f.Cause)
		}
	}
	if len(s.got()) != 0 || s.logins() != 0 {
		t.Errorf("%d mails and %d logins", len(s.got()), s.logins())
	}
	for _, mode := range []smtpMode{startTLS, implicitTLS} {
		s := serve(t, mode, false, nil)
		cfg := s.config(map[smtpMode]string{startTLS: "smtp", implicitTLS: "smtps"}[mode], "mailer:secret:smtp@", "")
		cfg.Roots = x509.NewCertPool()
		if f := failure(t.Context(), t, cfg); !strings.Contains(f.Cause.Error(), "certificate") {
			t.Errorf("%v", f.Cause)
		}
		if len(s.got()) != 0 || s.logins() != 0 {
			t.Errorf("%d mails and %d logins", len(s.got()), s.logins())
		}
	}
}

func TestEncryptionIsInsistedOn(t *testing.T) {
	t.Parallel()
	for u, want := range map[string]bool{
		"smtp://mail.example": true, "smtp://192.0.2.1": true, "smtp://mail.example?tls=off": false, "smtp://u:p@mail.example": true,
		"smtp://localhost": false, "smtp://127.0.0.1:2525": false, "smtp://[::1]": false, "smtp://[::ffff:127.0.0.1]": false, "smtp://localhost.evil.example": true,
		"smtp://localhost?tls=starttls": true, "smtp://u:p@localhost": true, "smtp://127.0.0.1.evil.example": true,
	} {
		sender, ok := openTest(t, Config{URL: u, From: "a@shop.example"}).(*smtpSender)
		if !ok || sender.startTLS != want || sender.port == 0 {
			t.Errorf("%s: %+v", u, sender)
		}
	}
}

func TestSMTPRefusal(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		refuse error
		user   string
		retry  bool
	}{
		"unknown mailbox": {&smtp.SMTPError{Code: 550, Message: "no such mailbox"}, "", false},
		"busy mailbox":    {&smtp.SMTPError{Code: 451, Message: "try later"}, "", true},
		"wrong password":  {nil, "mailer:wrong@", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, startTLS, false, c.refuse)
			if f := failure(t.Context(), t, s.config("smtp", c.user, "")); (f.RetryAfter > 0) != c.retry || strings.Contains(f.Error(), "mailbox") {
				t.Errorf("%v, retry after %v", f, f.RetryAfter)
			}
			if len(s.got()) != 0 {
				t.Error("the mail arrived")
			}
		})
	}
	s := serve(t, plain, false, nil)
	cfg := s.config("smtp", "", "")
	cfg.URL = "smtp://127.0.0.1:1" // nobody listens
	if f := failure(t.Context(), t, cfg); f.RetryAfter == 0 {
		t.Errorf("%v", f)
	}
}

// A server that says nothing, or stops in the middle, costs no more than the
// time it is given, and its connection is closed.
func TestHangingServer(t *testing.T) {
	t.Parallel()
	for name, greeting := range map[string]string{
		"silent": "", "after the greeting": "220 hello\r\n", "after EHLO": "220 hello\r\n250-hello\r\n250 8BITMIME\r\n", "after MAIL": "220 hello\r\n250 hello\r\n250 ok\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr, closed := hang(t, greeting)
			cfg := Config{URL: "smtp://" + addr, From: "a@shop.example", Timeout: 50 * time.Millisecond}
			start := time.Now()
			if f := failure(t.Context(), t, cfg); f.RetryAfter == 0 || time.Since(start) > 5*time.Second {
				t.Errorf("%v after %v", f, time.Since(start))
			}
			<-closed

			addr, closed = hang(t, greeting)
			cfg = Config{URL: "smtp://" + addr, From: "a@shop.example", Timeout: time.Hour}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if f := failure(ctx, t, cfg); !errors.Is(f, context.DeadlineExceeded) {
				t.Errorf("%v: %v", f, f.Cause)
			}
			<-closed
		})
	}
}

// hang accepts one connection, says greeting and nothing more; closed is closed
// when the other side has gone.
func hang(t *testing.T, greeting string) (addr string, closed <-chan struct{}) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		if _, err := io.WriteString(conn, greeting); err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, conn)
	}()
	return listener.Addr().String(), gone
}
