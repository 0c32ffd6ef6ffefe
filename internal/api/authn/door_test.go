package authn_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/pandobase/pando/internal/api/authn"
	"github.com/pandobase/pando/internal/audit"
	"github.com/pandobase/pando/internal/auth"
	"github.com/pandobase/pando/internal/keys"
	"github.com/pandobase/pando/internal/mail"
	"github.com/pandobase/pando/internal/migrate"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/store/teststore"
)

const testConfig = `
app: notes
url: https://notes.example
roles: { staff: {}, admin: { inherits: [staff] } }
auth:
  anonymous: true
  linking: true
  redirects: ["https://app.example/after"]
  jwt_secret: "secret:jwt"
  providers: { github: { client_id: notes, client_secret: a-secret-of-the-notes-client } }
`

// jwtSecret is the HS256 secret of those who migrate.
const jwtSecret = "a secret of HS256 that is long enough for it"

// door is the identity door on a new SQLite file.
type door struct {
	*httptest.Server
	auth        *auth.Auth
	publishable string
	secret      string
	mails       *outbox
	clock       *clock
}

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// outbox hands mails to the test that waits for them.
type outbox struct{ sent chan *mail.Message }

func (o *outbox) Send(ctx context.Context, m *mail.Message) error {
	select {
	case o.sent <- m:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// next waits for the next mail.
func (o *outbox) next(t testing.TB) *mail.Message {
	t.Helper()
	select {
	case m := <-o.sent:
		return m
	case <-time.After(10 * time.Second):
		t.Error("no mail came within 10 s")
		return &mail.Message{}
	}
}

// newDoor serves the door over loopback.
func newDoor(t testing.TB) *door {
	t.Helper()
	app, problems := model.Load(fstest.MapFS{"pando.yaml": {Data: []byte(testConfig)}}, nil, model.Features{})
	if problems != nil {
		t.Fatal(problems)
	}
	dir := t.TempDir()
	driver := teststore.Open(t)
	plan, err := migrate.Prepare(t.Context(), driver, app)
	if err != nil {
		t.Fatal(err)
	}
	if err := migrate.Apply(t.Context(), driver, plan, migrate.Options{}); err != nil {
		t.Fatal(err)
	}
	ring, err := keys.OpenRing(keys.RingConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	wrapper, err := keys.OpenWrapper(dir)
	if err != nil {
		t.Fatal(err)
	}
	trail, err := audit.Open(t.Context(), audit.Config{Driver: driver, Wrapper: wrapper})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := trail.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	d := &door{
		mails: &outbox{sent: make(chan *mail.Message, 64)},
		clock: &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)},
	}
	d.publishable, d.secret = ring.Pair()
	d.auth, err = auth.New(auth.Config{
		App: app, Driver: driver, Ring: ring, Wrapper: wrapper, Audit: trail, Mail: d.mails, URL: app.Config.URL, Now: d.clock.Now,
		Secret: func(name string) (string, bool) { return jwtSecret, name == "jwt" },
		Log:    slog.New(slog.NewTextHandler(logTo{t}, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.auth.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.auth.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	d.Server = httptest.NewServer(authn.New(authn.Config{
		Auth: d.auth, Logger: slog.New(slog.NewTextHandler(logTo{t}, nil)),
		Identify: func(r *http.Request) *policy.Request {
			return &policy.Request{Door: "auth", Method: r.Method, IP: "192.0.2.1", UserAgent: r.UserAgent(), Time: d.clock.Now()}
		},
	}))
	t.Cleanup(d.Close)
	d.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return d
}

// logTo writes a log as the test's own.
type logTo struct{ t testing.TB }

func (l logTo) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// reply is an answer that was read.
type reply struct {
	status int
	header http.Header
	body   string
}

// code is the code of a problem; empty: the answer is none.
func (r *reply) code(t testing.TB) string {
	t.Helper()
	if r.header.Get("Content-Type") != "application/problem+json" {
		return ""
	}
	var p struct{ Code, Message string }
	if err := json.Unmarshal([]byte(r.body), &p); err != nil || p.Message == "" {
		t.Fatalf("no problem: %v %s", err, r.body)
	}
	return p.Code
}

// call sends a request; headers are pairs. Without one of them the publishable
// key goes along; a header with an empty value is left out.
func (d *door) call(t testing.TB, method, path, body string, headers ...string) *reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, d.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Apikey", d.publishable)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if r.Header.Set(headers[i], headers[i+1]); headers[i+1] == "" {
			r.Header.Del(headers[i])
		}
	}
	res, err := d.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := &reply{res.StatusCode, res.Header, string(text)}
	out.promises(t, method+" "+path)
	return out
}

// promises checks what every answer of the door has in common.
func (r *reply) promises(t testing.TB, what string) {
	t.Helper()
	if v := r.header.Get("X-Supabase-Api-Version"); v != "2024-01-01" {
		t.Errorf("%s: X-Supabase-Api-Version is %q", what, v)
	}
	if v := r.header.Get("Cache-Control"); v != "no-store" && !strings.Contains(what, "/.well-known/") {
		t.Errorf("%s: Cache-Control is %q", what, v)
	}
	if r.status >= http.StatusInternalServerError {
		t.Errorf("%s: %d %s", what, r.status, r.body)
	}
	if kind := r.header.Get("Content-Type"); strings.Contains(kind, "html") {
		t.Errorf("%s: %s", what, kind)
	}
	if r.status >= http.StatusBadRequest && r.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s: %d is no problem document but %s", what, r.status, r.header.Get("Content-Type"))
	}
}

const password = "correct horse battery staple"

// member makes a confirmed user and signs them in.
func (d *door) member(t testing.TB, email string) (id, access, refresh string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"email": email, "password": password, "email_confirm": true})
	if err != nil {
		t.Fatal(err)
	}
	if r := d.call(t, http.MethodPost, "/auth/v1/admin/users", string(body), "Apikey", d.secret); r.status != http.StatusOK {
		t.Fatalf("%d %s", r.status, r.body)
	}
	return d.signIn(t, email)
}

func (d *door) signIn(t testing.TB, email string) (id, access, refresh string) {
	t.Helper()
	body, err := json.Marshal(map[string]string{"email": email, "password": password})
	if err != nil {
		t.Fatal(err)
	}
	r := d.call(t, http.MethodPost, "/auth/v1/token?grant_type=password", string(body))
	var g struct {
		AccessToken  string `json:"access_token"`
		RefreshToken string `json:"refresh_token"`
		User         struct{ ID string }
	}
	if err := json.Unmarshal([]byte(r.body), &g); err != nil || g.AccessToken == "" {
		t.Fatalf("%d %s", r.status, r.body)
	}
	return g.User.ID, g.AccessToken, g.RefreshToken
}

var (
	mailedLink = regexp.MustCompile(`https://\S+/auth/v1/verify\?\S+`)
	mailedCode = regexp.MustCompile(`\b[0-9]{6}\b`)
)

// compact is a JSON text on one line.
func compact(text string) string {
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(text)); err != nil {
		return text
	}
	return b.String()
}
