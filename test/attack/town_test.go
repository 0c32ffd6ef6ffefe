package attack

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/mail"
)

// publishable is the key that everybody has; jwtSecret that of HS256 tokens.
const (
	publishable = "pando_pub_attackattackattackattackattackattackattack"
	jwtSecret   = "a-secret-of-HS256-tokens-0123456789abcdef" //nolint:gosec // of the test's own node
	boss        = "Apikey: " + secretKey
	pass        = "correct horse battery staple" //nolint:gosec // of the test's own users
)

// townModule has a rule of every kind: owners and null owners, masks, tenants
// by claim, lists, membership, levels, what fails, inherited roles, an address.
const townModule = `module: town
entities:
  docs:
    fields:
      owner_id: { ref: auth.users, optional: true, default: auth.uid, on_delete: cascade, as: owner }
      title:    { type: text, max: 200 }
      slug:     { type: text, optional: true }
      open:     { type: bool, default: false }
      salary:   { type: int, optional: true, read: "row.owner_id == auth.uid", write: "'staff' in auth.roles" }
      review:   { type: text, optional: true, read: "'staff' in auth.roles", write: "'staff' in auth.roles" }
      meta:     { type: json, optional: true, read: "'staff' in auth.roles" }
      code:     { type: text, optional: true, hidden: true }
    unique: [[slug], [code]]
    search: [title]
    policy:
      read:   "row.owner_id == auth.uid || row.open || 'staff' in auth.roles"
      create: "row.owner_id == auth.uid"
      update: { when: "row.owner_id == auth.uid", check: "row.owner_id == auth.uid", fields: [title, slug, open, salary, code, owner_id] }
      delete: "row.owner_id == auth.uid"
  pages:
    fields:
      doc_id: { ref: docs, on_delete: cascade }
      text:   { type: text }
    policy:
      read:   "row.doc.owner_id == auth.uid"
      create: "row.doc.owner_id == auth.uid"
      update: "row.doc.owner_id == auth.uid"
      delete: "row.doc.owner_id == auth.uid"
  ledgers:
    fields: { tenant: text, name: text }
    policy:
      read:   "row.tenant == auth.claims.app_metadata.tenant"
      create: "row.tenant == auth.claims.app_metadata.tenant"
      update: "row.tenant == auth.claims.app_metadata.tenant"
  listed:
    fields: { tenant: text, name: text }
    policy: { read: "row.tenant in auth.claims.app_metadata.tenants" }
  unlisted:
    fields: { tenant: text, name: text }
    policy: { read: "!(row.tenant in auth.claims.app_metadata.blocked)" }
  ratios:
    fields: { n: int, d: { type: int, optional: true } }
    policy: { read: "row.n < 10 / auth.claims.parts", create: "row.n * row.d > 0" }
  teams:
    fields: { name: text }
    policy: { read: "row.members.exists(m, m.user_id == auth.uid)" }
  members:
    fields:
      team_id: { ref: teams, on_delete: cascade }
      user_id: { ref: auth.users, on_delete: cascade }
    unique: [[team_id, user_id]]
    policy: { read: "row.user_id == auth.uid" }
  tasks:
    fields:
      team_id: { ref: teams, on_delete: cascade }
      text:    { type: text }
    policy:
      read:   "row.team.members.exists(m, m.user_id == auth.uid)"
      create: "row.team.members.exists(m, m.user_id == auth.uid)"
      update: "row.team.members.exists(m, m.user_id == auth.uid)"
  vaults:
    fields: { name: text }
    policy: { read: "auth.aal == 'aal2'", create: "auth.aal == 'aal2'" }
  near:
    fields: { name: text }
    policy: { read: "request.ip == '6.6.6.6'" }
  ranks:
    fields: { rank: text }
    policy:
      read:   "row.rank in auth.roles"
      create: "'admin' in auth.roles"
  nobody:
    fields: { name: text }
  watched:
    audit: [reads, values]
    fields: { name: text, code: { type: text, optional: true, hidden: true } }
    policy: { read: "auth.uid != null", create: "auth.uid != null" }
`

// townConfig is pando.yaml; lines of auth follow.
const townConfig = `app: town
roles: { member: {}, staff: { inherits: [member] }, admin: { inherits: [staff] }, auditor: {}, inspector: { inherits: [auditor] }, clerk: {} }
%sauth:
  anonymous: true
  linking: true
  jwt_secret: secret:jwt
  site: https://town.example/home
  redirects: ["https://town.example/after", "https://town.example/deep?a=1", "townapp://callback"]
`

// freely are rates that no honest test meets.
const freely = `  rates: { sign_in: 100000/1m, sign_up: 100000/1m, anonymous: 100000/1m, refresh: 100000/1m, verify: 100000/1m, mfa: 100000/1m, account: 100000/1m, mail: 100000/1m, resend: 100000/1m, admin: 100000/1m, other: 100000/1m }
`

// town is a node with the application of this file. Its key is the publishable one.
type town struct{ *node }

// townIn writes the application to a folder. top are lines of pando.yaml,
// lines those of its auth.
func townIn(t *testing.T, dir, top, lines string) {
	t.Helper()
	for name, text := range map[string]string{"pando.yaml": fmt.Sprintf(townConfig, top) + lines, "modules/town.yaml": townModule} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func openTown(t *testing.T, top, lines string, env ...string) *town {
	t.Helper()
	dir := t.TempDir()
	townIn(t, dir, top, lines)
	return serveTown(t, dir, env...)
}

func serveTown(t *testing.T, dir string, env ...string) *town {
	t.Helper()
	n := start(t, dir, append([]string{"PANDO_PUBLISHABLE_KEY=" + publishable, "PANDO_SECRET_JWT=" + jwtSecret}, env...)...)
	n.key = publishable
	return &town{n}
}

// person is a user who is signed in.
type person struct {
	ID, Email      string
	token, refresh string
}

// grant is what a sign-in answers.
type grant struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	User         struct {
		ID, Email string
	}
}

// decode reads an answer's body.
func decode[T any](t *testing.T, a answer) (out T) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), &out); err != nil {
		t.Fatalf("%d %.300s: %v", a.status, a.body, err)
	}
	return out
}

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // of the test's own values
	}
	return string(b)
}

// object is a JSON object.
type object map[string]any

// user makes a user with a confirmed address, who is signed in nowhere.
func (n *town) user(t *testing.T, email string, more object) {
	t.Helper()
	in := object{"email": email, "email_confirm": true}
	maps.Copy(in, more)
	n.want(t, 200, "POST", "/auth/v1/admin/users", encode(in), boss)
}

// link is what a mail would have held.
type link struct {
	ActionLink  string `json:"action_link"`
	HashedToken string `json:"hashed_token"`
	EmailOTP    string `json:"email_otp"`
}

func (n *town) link(t *testing.T, kind, email string) link {
	t.Helper()
	return decode[link](t, n.want(t, 200, "POST", "/auth/v1/admin/generate_link", encode(object{"type": kind, "email": email}), boss))
}

// enter signs a user in by a link, which costs no password.
func (n *town) enter(t *testing.T, email string) person {
	t.Helper()
	l := n.link(t, "magiclink", email)
	g := decode[grant](t, n.want(t, 200, "POST", "/auth/v1/verify", encode(object{"type": "magiclink", "token_hash": l.HashedToken})))
	return person{ID: g.User.ID, Email: email, token: g.AccessToken, refresh: g.RefreshToken}
}

// member makes a user and signs it in.
func (n *town) member(t *testing.T, name string, more object) person {
	t.Helper()
	email := name + "@town.example"
	n.user(t, email, more)
	return n.enter(t, email)
}

func (p person) as() string { return "Authorization: Bearer " + p.token }

// login signs in with a password.
func (n *town) login(t *testing.T, email, password string, header ...string) answer {
	t.Helper()
	return n.do(t, "POST", "/auth/v1/token?grant_type=password", encode(object{"email": email, "password": password}), header...)
}

// tell runs a command against the running node.
func (n *town) tell(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, append([]string{"-C", n.dir}, args...)...)
	cmd.Env = append(os.Environ(), "PANDO_SECRET_KEY="+secretKey, "PANDO_PUBLISHABLE_KEY="+publishable, "PANDO_SECRET_JWT="+jwtSecret)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("pando %v: %v %s", args, err, out)
	}
	return string(out)
}

// eventually waits until something holds; mails and records come behind answers.
func eventually(t *testing.T, what string, within time.Duration, ok func() bool) bool {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(within); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Errorf("not within %v: %s", within, what)
			return false
		}
	}
	return true
}

// mails are those to an address, the newest last.
func (n *town) mails(t *testing.T, to string) (out []*mail.Kept) {
	t.Helper()
	list, err := mail.List(filepath.Join(n.dir, "data", "mail"), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		if strings.Contains(m.To, to) {
			out = append(out, m)
		}
	}
	return out
}

// letter waits for the next mail to an address after those that had come.
func (n *town) letter(t *testing.T, to string, had int) *mail.Kept {
	t.Helper()
	var list []*mail.Kept
	if !eventually(t, "a mail to "+to, 20*time.Second, func() bool { list = n.mails(t, to); return len(list) > had }) {
		t.FailNow()
	}
	return list[len(list)-1]
}

// tokenIn is the token of a mail's link.
func tokenIn(t *testing.T, m *mail.Kept) string {
	t.Helper()
	u, err := url.Parse(m.Link)
	if err != nil || u.Query().Get("token") == "" {
		t.Fatalf("no link: %s", m.Text)
	}
	return u.Query().Get("token")
}

// knock is a request that a door answers with 200 to a caller who may.
type knock struct{ door, path string }

func knocks() []knock {
	return append(knocksOfRows(), knock{restDoor, "/rest/v1/ranks?select=rank"}, knock{authDoor, "/auth/v1/user"}, knock{auditDoor, "/audit/v1/records?limit=1"})
}

// knockAt is the path of a door's knock.
func knockAt(door string) string {
	for _, k := range knocks() {
		if k.door == door {
			return k.path
		}
	}
	return "/"
}

// trusted is a user for whom every door opens, and finds something behind it.
func (n *town) trusted(t *testing.T, name string) person {
	t.Helper()
	n.want(t, 201, "POST", "/rest/v1/ranks", `{"rank":"admin"}`, boss)
	return n.member(t, name, object{"app_metadata": object{"roles": []string{"admin", "auditor"}, "tenant": "a"}})
}

// Tokens.

func b64(v string) string { return base64.RawURLEncoding.EncodeToString([]byte(v)) }

// hs256 signs claims with a secret under a header.
func hs256(secret, header, claims string) string {
	text := b64(header) + "." + b64(claims)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// claimsOf decodes a token's claims.
func claimsOf(t *testing.T, token string) object {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var out object
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// with is a copy of claims with others in their place; nil removes one.
func (o object) with(more object) object {
	out := object{}
	maps.Copy(out, o)
	for k, v := range more {
		if out[k] = v; v == nil {
			delete(out, k)
		}
	}
	return out
}

// pkce is a verifier and its challenge.
func pkce() (verifier, challenge string) {
	verifier = rand.Text() + rand.Text()
	sum := sha256.Sum256([]byte(verifier))
	return verifier, base64.RawURLEncoding.EncodeToString(sum[:])
}

// Comparison.

// own are what answers alike may differ in: ids, dates, tokens, and the details of Connect, which it tells twice.
var own = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\d{4}-\d\d-\d\dT[0-9:.]+(Z|\+00:00)|[0-9a-f]{32}|"value":"[\w+/]+"`)

// shape is an answer without what is its own: the address that was asked for,
// ids and times. Headers count too, but for the date and the request's id.
func shape(a answer, address string) string {
	var b strings.Builder
	fmt.Fprintln(&b, a.status)
	names := make([]string, 0, len(a.header))
	for name := range a.header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		switch name {
		case "Date", "X-Request-Id", "Traceparent", "Server-Timing":
		case "Content-Length":
		default:
			fmt.Fprintln(&b, name, a.header[name])
		}
	}
	local, _, _ := strings.Cut(address, "@")
	body := own.ReplaceAllString(a.body, "*")
	if address != "" {
		body = strings.ReplaceAll(strings.ReplaceAll(body, address, "@"), local, "@")
	}
	return b.String() + body
}

// alike counts two answers that must not differ.
func (c *class) alike(what string, a, b answer, first, second string) {
	c.t.Helper()
	x, y := shape(a, first), shape(b, second)
	c.is(x == y, "%s: two answers differ:\n%s\n--\n%s", what, x, y)
}

// nowhere follows no redirect.
func (n *node) nowhere(t *testing.T, path string, header ...string) answer {
	t.Helper()
	client := *n.client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	a, err := n.send(&client, "GET", path, http.NoBody, header...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
