package server

import (
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pandobase/pando/internal/api/authn"
	"github.com/pandobase/pando/internal/audit"
	"github.com/pandobase/pando/internal/auth"
	"github.com/pandobase/pando/internal/edge"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/mail"
	"github.com/pandobase/pando/internal/password"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// mailsDir holds the application's own mail templates, mailboxDir in the data
// folder the mails of mailbox://.
const (
	mailsDir   = "mails"
	mailboxDir = "mail"
)

// openAuth puts identity together for an application.
func (n *Node) openAuth(app *Application) (err error) {
	n.hasher = password.New(password.Config{Worker: n.opt.HashWorker, Log: n.opt.Log})
	n.auth, err = n.newAuth(app, n.driver, n.audit)
	return err
}

// newAuth is identity on a store.
func (n *Node) newAuth(app *Application, driver store.Driver, trail *audit.Log) (*auth.Auth, error) {
	cfg := &app.Model.Config
	base := n.opt.URL
	if base == "" {
		var err error
		if base, err = publicURL(cfg, cfg.Listen); err != nil {
			return nil, err
		}
	}
	find := n.secrets.Lookup
	sender, err := mail.Open(mail.Config{
		URL: cfg.Mail, From: mailFrom(cfg.Auth.Sender, base), Dir: filepath.Join(n.data, mailboxDir), Secret: find,
		Note: n.opt.Mail,
	})
	if err != nil {
		return nil, err
	}
	templates, err := mail.LoadTemplates(appMails(app.Dir))
	if err != nil {
		return nil, err
	}
	return auth.New(auth.Config{
		App: app.Model, Driver: driver, Ring: n.ring, Wrapper: n.wrapper, Audit: trail, Passwords: n.hasher,
		Mail: sender, Templates: templates, Secret: find, URL: base, Log: n.opt.Log, Watch: n.watchUsers,
	})
}

// appMails are the application's own templates; nil: it has none.
func appMails(dir string) fs.FS {
	path := filepath.Join(dir, mailsDir)
	if fi, err := os.Stat(path); err != nil || !fi.IsDir() {
		return nil
	}
	return os.DirFS(path)
}

// mailFrom is the sender of mails where pando.yaml names none.
func mailFrom(sender, base string) string {
	if sender != "" {
		return sender
	}
	_, host, _ := strings.Cut(base, "://")
	if i := strings.LastIndexByte(host, ':'); i > 0 {
		host = host[:i]
	}
	if net.ParseIP(strings.Trim(host, "[]")) != nil || !strings.Contains(host, ".") {
		host = "pando.invalid" // a machine on a desk: RFC 2606 keeps the name free
	}
	return "no-reply@" + host
}

// versionOf is the version of the API that a path names: /rest/v1/orders,
// /pando.app.shop.v1.ShopService/GetOrder.
func versionOf(path string) string {
	separator := "/"
	if strings.HasPrefix(path, "/pando.app.") {
		separator = "."
	}
	for part := range strings.SplitSeq(path, separator) {
		if n, ok := strings.CutPrefix(part, "v"); ok && n != "" && strings.Trim(n, "0123456789") == "" {
			return part
		}
	}
	return ""
}

// identify is what a door knows of a request, its credentials apart. Nothing
// of it is a header that the client writes and somebody believes, but for the
// user agent, which decides nothing.
func identify(r *http.Request, door string) *policy.Request {
	ctx := r.Context()
	return &policy.Request{
		Door: door, Method: r.Method, IP: edge.ClientIP(ctx), UserAgent: r.UserAgent(), Client: r.Header.Get("X-Client-Info"), Version: versionOf(r.URL.Path),
		ID: edge.RequestID(ctx), Time: time.Now(),
	}
}

// credentials are what a request carries.
func credentials(r *http.Request) (auth.Credentials, error) {
	c := auth.Credentials{APIKey: r.Header.Get("Apikey")}
	bearer := r.Header.Get("Authorization")
	if bearer == "" {
		return c, nil
	}
	const scheme = "bearer "
	if len(bearer) < len(scheme) || !strings.EqualFold(bearer[:len(scheme)], scheme) {
		return c, fault.New(fault.InvalidCredential, "the Authorization header is not a Bearer token").
			WithHint("send 'Authorization: Bearer TOKEN', and the key as the apikey header")
	}
	c.Bearer = strings.TrimSpace(bearer[len(scheme):])
	return c, nil
}

// caller returns what names the callers of a door. Those who cannot be
// authenticated are counted for the audit trail.
func (n *Node) caller(door string) func(*http.Request) (policy.Identity, error) {
	identity, trail := n.auth, n.audit // those of this store
	return func(r *http.Request) (policy.Identity, error) {
		c, err := credentials(r)
		if err != nil {
			trail.Count("", string(fault.From(err).Code))
			return policy.Identity{}, err
		}
		id, err := identity.Authenticate(r.Context(), c, identify(r, door))
		if err != nil {
			if f := fault.From(err); f.HTTPStatus() == http.StatusUnauthorized {
				trail.Count(id.Key, string(f.Code))
			}
			return policy.Identity{}, err
		}
		tellCaller(r, &id)
		return id, nil
	}
}

// tellCaller names the caller in the access log.
func tellCaller(r *http.Request, id *policy.Identity) {
	who := id.UID
	if who == "" {
		who = id.Key
	}
	edge.SetCaller(r.Context(), who)
}

// authDoor is the handler of /auth/v1.
func (n *Node) authDoor() http.Handler {
	return authn.New(authn.Config{
		Auth: n.auth, Identify: func(r *http.Request) *policy.Request { return identify(r, "auth") },
		RequestID: edge.RequestIDOf, Caller: tellCaller, Logger: n.opt.Log,
	})
}

// watchUsers makes events of how users change, for who waits for them.
func (n *Node) watchUsers(tx store.Tx, action query.Action, userID string) (func() error, error) {
	live := n.live.Load()
	if live == nil { // the first user is not made before the application is served
		return func() error { return nil }, nil
	}
	id := policy.Identity{Role: policy.Service, Key: "auth", OnBehalf: userID}
	return live.engine.Watch(tx, &id, live.app.Model.Entity("auth", "users"), action, value.OfText(userID))
}
