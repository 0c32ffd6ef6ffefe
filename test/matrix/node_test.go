// Package matrix lets every kind of caller do everything to every entity of a
// generated application, through every door, and compares each answer, and
// what is stored afterwards, with an oracle in plain Go.
package matrix

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/keys"
	"github.com/pandobase/pando/internal/server"
)

// foreignSecret signs the HS256 tokens of who migrates.
const foreignSecret = "a-secret-of-the-matrix-and-of-nothing-else" //nolint:gosec // of a test

// node is a node in this process, behind its real listener.
type node struct {
	*server.Node
	url, secret, publishable string
	client                   *http.Client
	grpc                     *grpcClient
}

// start serves a generated application.
func start(t *testing.T, a *app) *node {
	t.Helper()
	dir := folder(t)
	files := map[string]string{"pando.yaml": config}
	for _, m := range modules() {
		files["modules/"+m+".yaml"] = a.yaml(m)
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan *server.Running, 1), make(chan error, 1)
	go func() {
		ended <- server.Serve(ctx, server.ServeOptions{
			Options: server.Options{Dir: dir, Env: []string{"PANDO_SECRET_FOREIGN=" + foreignSecret}},
			Listen:  "127.0.0.1:0", Ops: "off", Output: t.Output(), Ready: func(r *server.Running) { ready <- r },
		})
	}()
	n := &node{client: &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 8, DisableCompression: true}}}
	t.Cleanup(func() {
		n.client.CloseIdleConnections()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the node's end: %v", err)
		}
	})
	select {
	case r := <-ready:
		n.Node, n.url = r.Node, r.URL
	case err := <-ended:
		ended <- nil
		t.Fatalf("the node did not start: %v", err)
	}
	n.publishable, n.secret = n.Keys().Pair()
	n.grpc = reflected(t, n)
	return n
}

// folder is an application's folder, in memory where the system has such: that
// writes outlive the machine is for other tests.
func folder(t *testing.T) string {
	t.Helper()
	const memory = "/dev/shm"
	dir, err := os.MkdirTemp(memory, "pando-matrix-") //nolint:usetesting // which may be on a disk
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// send sends one request as a caller.
func (n *node) send(c *caller, method, path string, body []byte, h http.Header) (*reply, error) {
	req, err := http.NewRequestWithContext(context.Background(), method, n.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	maps.Copy(req.Header, h)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		req.Header.Set("Apikey", c.key)
	}
	if c.bearer != nil {
		req.Header.Set("Authorization", "Bearer "+c.bearer())
	}
	told, err := url.QueryUnescape(path)
	if err != nil {
		return nil, err
	}
	out := &reply{request: fmt.Sprintf("%s %s %s %v", method, told, body, h)}
	res, err := n.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	out.status, out.header = res.StatusCode, res.Header
	out.body, err = io.ReadAll(res.Body)
	return out, err
}

// must sends a request that has to succeed, and reads its answer into v.
func (n *node) must(t *testing.T, c *caller, method, path string, in, v any) {
	t.Helper()
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			t.Fatal(err)
		}
	}
	h := http.Header{"Prefer": {"resolution=merge-duplicates"}}
	if strings.HasPrefix(path, "/rest/v1/user") {
		h["Accept-Profile"], h["Content-Profile"] = []string{"auth"}, []string{"auth"}
	}
	res, err := n.send(c, method, path, body, h)
	if err != nil {
		t.Fatal(err)
	}
	if res.status >= 300 {
		t.Fatalf("%s %s: %d %s", method, path, res.status, res.body)
	}
	if v != nil {
		if err := json.Unmarshal(res.body, v); err != nil {
			t.Fatalf("%s %s: %s: %v", method, path, res.body, err)
		}
	}
}

// The kinds of callers, as rules know them.
const (
	anonRole          = "anon"
	authenticatedRole = "authenticated"
	serviceRole       = "service"
)

// The codes of refusals before any rule.
const (
	missingCredential = "PGRST302"
	invalidCredential = "PGRST301"
)

// caller is who asks: what is sent, and what the oracle knows of it.
type caller struct {
	name   string
	key    string
	bearer func() string

	share     int    // of the classes of each operation, one in this many is tried
	refused   string // the code of who is never let in
	role      string
	uid       string
	roles     map[string]bool
	module    string // the only one that the key opens; empty: all of them
	org       string // the claim; empty: there is none
	anonymous *bool  // the claim
}

// grant is the answer to a sign-in.
type grant struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	User         struct {
		ID string `json:"id"`
	} `json:"user"`
}

// user is somebody who signed in.
type user struct {
	grant
	email string
}

// callers makes all of them.
func callers(t *testing.T, n *node) ([]*caller, people) {
	t.Helper()
	anon, service := &caller{key: n.publishable}, &caller{key: n.secret}
	no := false
	signUp := func(name string, app, own map[string]any) *user {
		u := &user{email: name + "@example.org"}
		n.must(t, anon, "POST", "/auth/v1/signup", map[string]any{"email": u.email, "password": "correct horse battery " + name, "data": own}, &u.grant)
		if app != nil {
			n.must(t, service, "PUT", "/auth/v1/admin/users/"+u.User.ID, map[string]any{"app_metadata": app}, nil)
			n.must(t, anon, "POST", "/auth/v1/token?grant_type=refresh_token", map[string]any{"refresh_token": u.RefreshToken}, &u.grant)
		}
		return u
	}
	as := func(u *user, c caller) *caller {
		token := u.AccessToken
		c.uid, c.role, c.bearer = u.User.ID, authenticatedRole, func() string { return token }
		if c.key == "" {
			c.key = n.publishable
		}
		if c.anonymous == nil {
			c.anonymous = &no
		}
		return &c
	}
	refuse := func(u *user, name string) *caller {
		return as(u, caller{name: name, refused: invalidCredential})
	}
	ada := signUp("ada", map[string]any{"org": "acme"}, nil)
	bob := signUp("bob", map[string]any{"org": "bolt"}, map[string]any{"roles": []string{"admin"}, "org": "acme"})
	sam := signUp("sam", map[string]any{"org": "acme", "roles": []string{"staff"}}, nil)
	amy := signUp("amy", nil, nil)
	n.must(t, service, "POST", "/rest/v1/user_roles", map[string]any{"user_id": amy.User.ID, "role": "admin"}, nil)
	cal := signUp("cal", map[string]any{"roles": []string{"admin"}}, nil)
	n.must(t, service, "PUT", "/auth/v1/admin/users/"+cal.User.ID, map[string]any{"app_metadata": map[string]any{"roles": nil}}, nil)
	dan := signUp("dan", map[string]any{"roles": []string{"auditor"}}, nil)
	guest := &user{}
	n.must(t, anon, "POST", "/auth/v1/signup", map[string]any{}, &guest.grant)
	banned, out, gone := signUp("banned", nil, nil), signUp("out", nil, nil), signUp("gone", nil, nil)
	n.must(t, service, "PUT", "/auth/v1/admin/users/"+banned.User.ID, map[string]any{"ban_duration": "24h"}, nil)
	n.must(t, as(out, caller{}), "POST", "/auth/v1/logout?scope=local", nil, nil)
	n.must(t, service, "DELETE", "/auth/v1/admin/users/"+gone.User.ID, nil, nil)

	crm := modules()[:1]
	scoped := n.key(t, keys.New{Kind: keys.Publishable, Name: "scoped", Modules: crm})
	yes := true
	list := []*caller{
		{name: "no key", refused: missingCredential},
		{name: "publishable key", role: anonRole, key: n.publishable},
		{name: "publishable key as bearer", role: anonRole, bearer: func() string { return n.publishable }},
		{name: "publishable key of a module", role: anonRole, key: scoped, module: crm[0]},
		{name: "secret key", role: serviceRole, key: n.secret},
		{name: "secret key of a module", role: serviceRole, key: n.key(t, keys.New{Kind: keys.Secret, Name: "part", Modules: crm}), module: crm[0]},
		as(ada, caller{name: "user", org: "acme"}),
		as(bob, caller{name: "user of another tenant", org: "bolt"}),
		as(sam, caller{name: "staff", org: "acme", roles: map[string]bool{"staff": true}}),
		as(amy, caller{name: "admin", roles: map[string]bool{"admin": true, "staff": true}}),
		as(cal, caller{name: "admin until lately"}),
		as(dan, caller{name: "auditor", roles: map[string]bool{"auditor": true}}),
		as(guest, caller{name: "guest", anonymous: &yes}),
		as(ada, caller{name: "user with a key of a module", key: scoped, module: crm[0], org: "acme"}),
		as(ada, caller{name: "user with a secret key", key: n.secret, org: "acme"}),
		{
			name: "machine key of a module", role: authenticatedRole, module: crm[0], roles: map[string]bool{"staff": true},
			key: n.key(t, keys.New{Kind: keys.Secret, Name: "machine", Modules: crm, Roles: []string{"staff"}}),
		},
		{
			name: "auditing key of a module", role: authenticatedRole, module: crm[0], roles: map[string]bool{"auditor": true},
			key: n.key(t, keys.New{Kind: keys.Secret, Name: "auditing", Modules: crm, Roles: []string{"auditor"}}),
		},
		{name: "client", role: authenticatedRole, roles: map[string]bool{"staff": true}, bearer: n.machine(t, "staff")},
		{name: "foreign token", role: authenticatedRole, key: n.publishable, uid: ada.User.ID, bearer: n.foreign(ada.User.ID, time.Hour)},
		{name: "revoked key", refused: invalidCredential, key: n.revoked(t)},
		{name: "token without a key", refused: missingCredential, bearer: func() string { return ada.AccessToken }},
		{name: "expired token", refused: invalidCredential, key: n.publishable, bearer: n.foreign(ada.User.ID, -time.Hour)},
		{name: "unsigned token", refused: invalidCredential, key: n.publishable, bearer: func() string { return unsigned(ada.AccessToken) }},
		refuse(banned, "banned user"), refuse(out, "signed-out user"), refuse(gone, "deleted user"),
	}
	for _, c := range list {
		switch {
		case c.refused != "":
			c.share = 100
		case len(c.roles)+len(c.module) == 0 || c.name == "staff" || c.name == "admin":
			c.share = 6
		default:
			c.share = 10
		}
	}
	return list, people{ada: ada.User.ID, bob: bob.User.ID, staff: sam.User.ID, admin: amy.User.ID, guest: guest.User.ID}
}

// key makes an API key.
func (n *node) key(t *testing.T, spec keys.New) string {
	t.Helper()
	_, text, err := n.Keys().Create(spec)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (n *node) revoked(t *testing.T) string {
	t.Helper()
	k, text, err := n.Keys().Create(keys.New{Kind: keys.Secret, Name: "revoked"})
	if err == nil {
		err = n.Keys().Revoke(k.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// machine makes a client with a role and returns what asks for its tokens:
// they live a minute.
func (n *node) machine(t *testing.T, role string) func() string {
	t.Helper()
	w := httptest.NewRecorder()
	n.Commands().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/clients?name=machine&role="+role, nil))
	var c struct{ ID, Secret string }
	if err := json.Unmarshal(w.Body.Bytes(), &c); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	var text string
	var until time.Time
	return func() string {
		if time.Now().After(until) {
			var g grant
			n.must(t, &caller{}, "POST", "/auth/v1/token?grant_type=client_credentials", map[string]any{"client_id": c.ID, "client_secret": c.Secret}, &g)
			text, until = g.AccessToken, time.Now().Add(20*time.Second)
		}
		return text
	}
}

// foreign makes a token of who shares the secret.
func (n *node) foreign(uid string, life time.Duration) func() string {
	now := time.Now()
	claims, err := json.Marshal(map[string]any{
		"sub": uid, "role": authenticatedRole, "aud": authenticatedRole, "iss": n.url + "/auth/v1", "iat": now.Add(-2 * time.Hour).Unix(), "exp": now.Add(life).Unix(),
	})
	if err != nil {
		panic(err)
	}
	enc := base64.RawURLEncoding
	text := enc.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + enc.EncodeToString(claims)
	mac := hmac.New(sha256.New, []byte(foreignSecret))
	mac.Write([]byte(text))
	text += "." + enc.EncodeToString(mac.Sum(nil))
	return func() string { return text }
}

// unsigned is a token whose header says that it needs no signature.
func unsigned(token string) string {
	parts := bytes.Split([]byte(token), []byte("."))
	head := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`))
	return head + "." + string(parts[1]) + "." + string(parts[2])
}
