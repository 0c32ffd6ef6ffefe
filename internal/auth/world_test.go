package auth

import (
	"context"
	"errors"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/pandobase/pando/internal/audit"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/keys"
	"github.com/pandobase/pando/internal/limit"
	"github.com/pandobase/pando/internal/mail"
	"github.com/pandobase/pando/internal/migrate"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/password"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/teststore"
	"github.com/pandobase/pando/internal/value"
)

// clock is a clock that tests set.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// world is identity on a real store, with the mails that it sent.
type world struct {
	*Auth
	t       testing.TB
	ctx     context.Context //nolint:containedctx // the test's
	clock   *clock
	driver  store.Driver
	app     *model.App
	ring    *keys.Ring
	wrapper *keys.Wrapper
	log     *audit.Log
	box     *outbox
}

// outbox keeps what is sent. It is a transport of its own, beside SMTP and the
// mailbox.
type outbox struct {
	mu    sync.Mutex
	mails []*mail.Message
}

// Send implements mail.Sender.
func (o *outbox) Send(_ context.Context, m *mail.Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mails = append(o.mails, m)
	return nil
}

const basics = `app: shop
url: https://shop.example
roles: { staff: {}, admin: { inherits: [staff] }, auditor: {} }
auth:
  site: https://shop.example/start
  redirects: ["https://shop.example/after", "http://localhost:3000/**", "myapp://callback"]
  rates: { sign_in: 99999/1s, sign_up: 99999/1s, anonymous: 99999/1s, refresh: 99999/1s, verify: 99999/1s, mfa: 99999/1s, account: 99999/1s, mail: 99999/1s, resend: 99999/1s, other: 99999/1s, admin: 99999/1s }
`

// newWorld makes a store from pando.yaml; lines are added to its auth section.
func newWorld(t testing.TB, lines ...string) *world {
	t.Helper()
	yaml := strings.TrimSuffix(basics, "\n") + "\n"
	for _, l := range lines {
		yaml += "  " + l + "\n"
	}
	app, problems := model.Load(fstest.MapFS{"pando.yaml": {Data: []byte(yaml)}}, nil, model.Features{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	dir := t.TempDir()
	ctx := context.Background()
	w := &world{t: t, ctx: ctx, clock: &clock{at: time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC)}, app: app, box: &outbox{}}
	w.driver = teststore.Open(t)
	plan, _, err := migrate.Compare(ctx, w.driver, app)
	w.must(err)
	w.must(migrate.Apply(ctx, w.driver, plan, migrate.Options{}))
	w.ring, err = keys.OpenRing(keys.RingConfig{Dir: dir, Getenv: func(string) string { return "" }, Now: w.clock.now})
	w.must(err)
	w.wrapper, err = keys.OpenWrapper(dir)
	w.must(err)
	w.log, err = audit.Open(ctx, audit.Config{Driver: w.driver, Wrapper: w.wrapper, Now: w.clock.now})
	w.must(err)
	t.Cleanup(func() { w.must(w.log.Close(ctx)) })
	w.Auth = w.node()
	return w
}

// node is one more node on the same store.
func (w *world) node() *Auth {
	w.t.Helper()
	a, err := New(Config{
		App: w.app, Driver: w.driver, Ring: w.ring, Wrapper: w.wrapper, Audit: w.log, URL: "https://shop.example",
		Passwords: password.New(password.Config{}), Limits: limit.NewMemory(limit.MemoryConfig{Now: w.clock.now}),
		Mail: w.box, Now: w.clock.now,
		Secret: func(name string) (string, bool) { return strings.Repeat(name, 32), name == "jwt" },
	})
	w.must(err)
	w.must(a.Start(w.ctx))
	w.t.Cleanup(func() { w.must(a.Stop(context.Background())) })
	return a
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("%v: cause %v", err, fault.From(err).Cause)
	}
}

// refuses checks the code of an error.
func (w *world) refuses(err error, code fault.Code) *fault.Error {
	w.t.Helper()
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Code != code {
		w.t.Fatalf("got %v, want a fault %s", err, code)
	}
	return f
}

// stranger is an anonymous caller from an address.
func stranger(ip string) *Caller {
	return &Caller{Role: policy.Anon, Key: "pub", Request: &policy.Request{Door: "auth", IP: ip, UserAgent: "test"}}
}

func (w *world) anon() *Caller { return stranger("192.0.2.1") }

func service() *Caller {
	return &Caller{Role: policy.Service, Key: "sec", Request: &policy.Request{Door: "auth", IP: "192.0.2.9"}}
}

// as is the caller of an access token, as a request would be.
func (w *world) as(token string) *Caller {
	w.t.Helper()
	id, err := w.who(token)
	w.must(err)
	return &id
}

func (w *world) who(token string) (policy.Identity, error) {
	pub, _ := w.ring.Pair()
	return w.Authenticate(w.ctx, Credentials{APIKey: pub, Bearer: token}, &policy.Request{IP: "192.0.2.1"})
}

// idle waits until what goes on behind the answers is done.
func (w *world) idle() { w.work.open.Wait() }

// mails are those that were sent to an address since the last call.
func (w *world) mails(to string) (out []*mail.Message) {
	w.idle()
	w.box.mu.Lock()
	defer w.box.mu.Unlock()
	var rest []*mail.Message
	for _, m := range w.box.mails {
		if m.To == to {
			out = append(out, m)
		} else {
			rest = append(rest, m)
		}
	}
	w.box.mails = rest
	return out
}

var (
	codePattern = regexp.MustCompile(`\b\d{6}\b`)
	linkPattern = regexp.MustCompile(`https://shop\.example/auth/\S+`)
)

// mailed is the one mail to an address: its code, and the parameters of its link.
func (w *world) mailed(to string) (code string, link url.Values) {
	w.t.Helper()
	all := w.mails(to)
	if len(all) != 1 {
		w.t.Fatalf("%s got %d mails", to, len(all))
	}
	body := all[0].Text
	if l := linkPattern.FindString(body); l != "" {
		u, err := url.Parse(l)
		w.must(err)
		link = u.Query()
		if u.Path != "/auth/v1/verify" {
			w.t.Fatalf("the link is %s", l)
		}
		body = strings.ReplaceAll(body, l, "")
	}
	return codePattern.FindString(body), link
}

const good = "correct horse battery staple"

// user makes a confirmed user with the password good.
func (w *world) user(email string) *User {
	w.t.Helper()
	yes, pw := true, good
	u, err := w.AdminCreateUser(w.ctx, service(), AdminUser{Email: &email, Password: &pw, EmailConfirm: &yes})
	w.must(err)
	return u
}

func (w *world) signIn(email string) *Grant {
	w.t.Helper()
	g, err := w.SignInPassword(w.ctx, w.anon(), email, good)
	w.must(err)
	return g
}

// count runs a statement that answers one number.
func (w *world) count(sqlText string, values ...string) (n int64) {
	w.t.Helper()
	var bound []value.Value
	for _, v := range values {
		bound = append(bound, value.OfText(v))
	}
	w.must(w.driver.Read(w.ctx, true, func(r store.Reader) error {
		return r.Query(sql(w.driver.Dialect(), sqlText), bound, func(row store.Row) error { n = row.Int(0); return nil })
	}))
	return n
}

// actions are those of the audit trail, the newest first.
func (w *world) actions() (out []string) {
	w.t.Helper()
	w.idle()
	page, err := w.log.Search(w.ctx, audit.Query{Limit: audit.MaxLimit})
	w.must(err)
	for _, r := range page.Records {
		out = append(out, r.Action)
	}
	return out
}

// driverExec changes the store behind the room's back.
func (w *world) driverExec(sqlText string) error {
	if teststore.Kind(w.t) == teststore.Postgres {
		sqlText = regexp.MustCompile(`x'([0-9a-f]*)'`).ReplaceAllString(sqlText, `'\x$1'`)
	}
	return w.driver.Write(w.ctx, func(tx store.Tx) error {
		_, err := tx.Exec(sql(w.driver.Dialect(), sqlText), nil)
		return err
	})
}
