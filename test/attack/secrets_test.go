package attack

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"unicode"

	"golang.org/x/crypto/bcrypt"
)

// TestKnownAndUnknown compares what accounts that are there are answered with
// what others are.
func TestKnownAndUnknown(t *testing.T) {
	t.Parallel()
	n := openTown(t, behind, freely)
	c := attackDoor(t, authDoor, "27 accounts told by the answer")
	n.user(t, "known@town.example", object{"password": pass})
	n.user(t, "banned@town.example", object{"password": pass, "ban_duration": "1h"})
	n.user(t, "nopassword@town.example", nil)
	n.want(t, 200, "POST", "/auth/v1/admin/users", encode(object{"email": "unproved@town.example", "password": pass}), boss)
	n.user(t, "factor@town.example", object{"password": pass})
	n.enroll(t, n.enter(t, "factor@town.example"))
	known := []string{"known@town.example", "banned@town.example", "nopassword@town.example", "unproved@town.example", "factor@town.example"}
	i := 0
	ask := func(path string, email string, more object) answer {
		i++ // a network of its own, so that no wait is in the answer
		return n.do(t, "POST", path, encode(object{"email": email}.with(more)), fmt.Sprintf("X-Forwarded-For: 198.51.%d.%d", 100+i/200, i%200))
	}
	_, challenge := pkce()
	for _, email := range known {
		for _, r := range []struct {
			path string
			more object
		}{
			{"/auth/v1/token?grant_type=password", object{"password": "wrong wrong wrong"}},
			{"/auth/v1/recover", nil},
			{"/auth/v1/recover", object{"code_challenge": challenge, "code_challenge_method": "s256"}},
			{"/auth/v1/otp", object{"create_user": false}},
			{"/auth/v1/otp", object{"create_user": true}},
			{"/auth/v1/magiclink", nil},
			{"/auth/v1/resend", object{"type": "signup"}},
			{"/auth/v1/resend", object{"type": "email_change"}},
			{"/auth/v1/verify", object{"type": "email", "token": "000000"}},
			{"/auth/v1/verify", object{"type": "recovery", "token": "000000"}},
			{"/auth/v1/verify", object{"type": "signup", "token": "000000"}},
			{"/auth/v1/verify", object{"type": "email_change", "token": "000000"}},
			{"/auth/v1/signup", object{"password": pass, "data": object{"a": 1}}},
			{"/auth/v1/signup", object{"password": "short"}},
		} {
			if r.path == "/auth/v1/signup" && email != known[0] && email != "unproved@town.example" && r.more["password"] == pass { // each costs hashes
				continue
			}
			other := fmt.Sprintf("unknown%d@town.example", i)
			c.alike(r.path+" "+encode(r.more), ask(r.path, email, r.more), ask(r.path, other, r.more), email, other)
		}
	}
	// What is wrong with an account is told to those who have its password alone.
	for _, email := range []string{"banned@town.example", "unproved@town.example"} {
		a := ask("/auth/v1/token?grant_type=password", email, object{"password": pass})
		c.is(a.status >= 400 && !strings.Contains(a.body, "access_token"), "%s signs in: %d", email, a.status)
	}
}

// TestPasswordsAreWhole signs in with what is nearly the password.
func TestPasswordsAreWhole(t *testing.T) {
	t.Parallel()
	n := openTown(t, behind, freely)
	c := attackDoor(t, authDoor, "28 truncated passwords")
	base := strings.Repeat("0123456789", 7) // 70 bytes
	long := base + "abcdefghij"
	old := must(bcrypt.GenerateFromPassword([]byte(base+"ab"), bcrypt.MinCost)) // 72 bytes, as far as bcrypt goes
	i := 0
	try := func(email, password string) answer {
		i++
		return n.login(t, email, password, fmt.Sprintf("X-Forwarded-For: 198.51.102.%d", i))
	}
	n.user(t, "long@town.example", object{"password": long})
	n.user(t, "old@town.example", object{"password_hash": string(old)})
	n.user(t, "marks@town.example", object{"password": "Passwörter sind é  lang"})
	for _, a := range []struct{ email, password string }{{"long@town.example", long}, {"marks@town.example", "Passwo\u0308rter sind e\u0301  lang"}} {
		if got := try(a.email, a.password); got.status != 200 {
			t.Errorf("%s with %q: %d %s", a.email, a.password, got.status, got.body)
		}
	}
	for _, p := range []string{base + "ab", base + "abcdefghi", long + "x", long + " ", " " + long, strings.ToUpper(long), base, base + "ab\x00cdefghij"} {
		c.is(try("long@town.example", p).status >= 400, "long: %q", p)
	}
	// An imported bcrypt hash holds 72 bytes and no more; the first sign-in
	// makes the whole password of it.
	c.is(try("old@town.example", base+"a").status >= 400, "an imported bcrypt hash: 71 bytes")
	if a := try("old@town.example", base+"ab"); a.status != 200 {
		t.Errorf("an imported hash: %d %s", a.status, a.body)
	}
	for _, p := range []string{base + "abc", base + "ab" + strings.Repeat("x", 100), base + "a", base + "ab\x00"} {
		c.is(try("old@town.example", p).status >= 400, "an imported bcrypt hash: %q", p)
	}
	for _, p := range []string{"Passworter sind e  lang", "Passwörter sind é lang", "passwörter sind é  lang", "Passwörter sind é  lang\x00", "Passwörter\u00a0sind é  lang", "Ｐasswörter sind é  lang", "Passwörter sind é\u200b  lang"} {
		c.is(try("marks@town.example", p).status >= 400, "marks: %q", p)
	}
	for _, p := range []string{"correct horse\x00 battery staple", strings.Repeat("long ", 60_000), "\xff\xfe correct horse battery", ""} {
		i++
		body := `{"email":"new@town.example","password":"` + strings.ReplaceAll(p, "\x00", `\u0000`) + `"}`
		a := n.do(t, "POST", "/auth/v1/signup", body, fmt.Sprintf("X-Forwarded-For: 198.51.103.%d", i))
		c.is(a.status >= 400 && a.status < 500, "a sign-up with %.20q: %d %.100s", p, a.status, a.body)
	}
}

// TestBadIdentityInput sends what no client sends to every endpoint.
func TestBadIdentityInput(t *testing.T) {
	t.Parallel()
	n := openTown(t, "", freely)
	ann := n.member(t, "ann", nil)
	c := attackDoor(t, authDoor, "33 bad bodies")
	deep := strings.Repeat("[", 50_000)
	bodies := []string{
		``, ` `, `{`, `[`, `null`, `[]`, `1`, `"x"`, `true`, `{"email":}`, `{"email":"a"`, `{"email":1}`, `{"email":{}}`, `{"email":[]}`, `{"email":true}`, `{"email":"a","email":"b"}`, `{"data":{"a":1,"a":2},"email":"a@b.example"}`, `{"email":"a\u0000@b.example"}`, "{\"email\":\"\xff\"}", `{"email":"\ud800"}`,
		`{"data":` + deep, `{"data":` + deep + strings.Repeat("]", 50_000) + `}`, strings.Repeat(`{"data":`, 20_000), `{"data":{"n":1e400}}`, `{"password":` + strings.Repeat("9", 100_000) + `}`, `{"token":1e999999999,"type":[],"email":{}}`, "\xff\xfe{}", "{'a':1}", `{"data":"x","app_metadata":1,"email":null,"type":7,"code":{},"challenge_id":[],"factor_type":1,"refresh_token":{},"auth_code":[],"id_token":1,"provider":{}}`,
		`{"email":"` + strings.Repeat("a", 200_000) + `"}`, `{"password":"` + strings.Repeat("p", 300_000) + `","email":"a@b.example"}`, strings.Repeat("{}", 1000), `{} {}`, `{"__proto__":{"admin":true},"constructor":{"prototype":1},"email":7}`,
	}
	for _, e := range []struct{ method, path, who string }{
		{"POST", "signup", ""},
		{"POST", "token?grant_type=password", ""},
		{"POST", "token?grant_type=refresh_token", ""},
		{"POST", "token?grant_type=pkce", ""},
		{"POST", "token?grant_type=id_token", ""},
		{"POST", "token?grant_type=client_credentials", ""},
		{"POST", "token", ""},
		{"POST", "otp", ""},
		{"POST", "magiclink", ""},
		{"POST", "recover", ""},
		{"POST", "resend", ""},
		{"POST", "verify", ""},
		{"PUT", "user", ann.as()},
		{"POST", "factors", ann.as()},
		{"POST", "factors/x/verify", ann.as()},
		{"POST", "invite", boss},
		{"POST", "admin/users", boss},
		{"PUT", "admin/users/" + ann.ID, boss},
		{"POST", "admin/generate_link", boss},
		{"POST", "admin/users/x/factors", boss},
	} {
		header := []string{"X: y"}
		if e.who != "" {
			header = []string{e.who}
		}
		for _, body := range bodies {
			a, err := n.request(e.method, "/auth/v1/"+e.path, body, header...)
			if err != nil { // the node may close while a body is still on its way
				c.is(strings.Contains(err.Error(), "reset") || strings.Contains(err.Error(), "broken pipe"), "%s: %v", e.path, err)
				continue
			}
			err = checkProblem(a, e.method)
			c.is(a.status < 500 && err == nil, "%s %s %.60q: %d %v", e.method, e.path, body, a.status, err)
		}
		// Of two members that differ one is not the one that was checked.
		for _, body := range []string{`{"email":"a@b.example","email":"c@d.example"}`, `{"data":{"a":1,"a":2}}`, `{"type":"email","password":"a","password":"b","token":"1","token":"2"}`} {
			a := n.do(t, e.method, "/auth/v1/"+e.path, body, header...)
			c.is(a.status == 404 || a.status == 405 || a.status == 400 && strings.Contains(a.body, "bad_json"), "%s %s: %d %.200s", e.path, body, a.status, a.body)
		}
		for _, kind := range []string{"text/plain", "application/xml", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", ";;", strings.Repeat("a/", 1000)} {
			a := n.do(t, e.method, "/auth/v1/"+e.path, "email=%zz&email=a&email=b", append(header, "Content-Type: "+kind)...)
			c.is(a.status >= 400 && a.status < 500, "%s as %.20s: %d", e.path, kind, a.status)
		}
	}
	for _, q := range []string{"%zz", "a=1&a=2", "redirect_to=%00", "redirect_to=%ff", "type=a&type=b", strings.Repeat("a&", 5000), "token=" + strings.Repeat("x", 20_000)} {
		for _, path := range []string{"verify", "authorize", "callback", "settings", "admin/users", ".well-known/jwks.json"} {
			a := n.do(t, "GET", "/auth/v1/"+path+"?"+q, "", boss)
			c.is(a.status < 500 && checkProblem(a, "GET") == nil, "%s?%.30s: %d %.200s", path, q, a.status, a.body)
		}
	}
	d := attackDoor(t, auditDoor, "33 bad queries")
	for _, q := range []string{"limit=0", "limit=-1", "limit=1e9", "limit=99999999999999999999", "before=-1", "before=x", "from=x", "from=99999-01-01", "to=0000", "outcome=maybe", "limit=1&limit=2", "%zz", "x=1", "key=1", "entity=%00", "actor=%ff", "from=2026-01-02&to=2026-01-01", strings.Repeat("a=1&", 5000)} {
		for _, accept := range []string{"application/json", "application/x-ndjson", "application/cloudevents-batch+json"} {
			a := n.do(t, "GET", "/audit/v1/records?"+q, "", boss, "Accept: "+accept)
			d.is(a.status < 500 && checkProblem(a, "GET") == nil, "%.40s: %d %.200s", q, a.status, a.body)
		}
	}
	for _, path := range []string{"/audit/v1", "/audit/v1/", "/audit/v1/records/", "/audit/v1/records/x", "/audit/v1/records/-1", "/audit/v1/records/99999999999999999999", "/audit/v1/records/1/2", "/audit/v1/records%00", "/audit/v1/..%2f", "/audit/v1/checkpoint/x", "/audit/v1/" + strings.Repeat("x/", 3000)} {
		d.refused(n.node, "GET", path, "", boss)
	}
	n.want(t, 200, "GET", "/auth/v1/user", "", ann.as())
	for _, bad := range []string{"panic", "goroutine"} {
		if strings.Contains(n.log.String(), bad) {
			t.Errorf("the log has %q", bad)
		}
	}
}

// TestCallersApart asks the same as different callers at the same time: nothing
// that was kept for one may answer another.
func TestCallersApart(t *testing.T) {
	t.Parallel()
	n := openTown(t, "", freely)
	people := []person{n.trusted(t, "ann"), n.member(t, "bob", nil), n.member(t, "cia", nil)}
	for _, p := range people {
		n.want(t, 201, "POST", docs, encode(object{"title": "of " + p.ID}), p.as())
	}
	c := attackDoors(t, "35 callers share what is kept")
	var wg sync.WaitGroup
	var mu sync.Mutex // a class is counted by one goroutine at a time
	check := func(door string, ok bool, format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		c[door].is(ok, format, args...)
	}
	foreign := func(body string, p person) bool {
		for _, other := range people {
			if other.ID != p.ID && strings.Contains(body, other.ID) {
				return true
			}
		}
		return false
	}
	const tries = 1000
	for w := range 4 {
		wg.Go(func() {
			for i := range tries / 4 {
				p := people[(w+i)%len(people)]
				a, err := n.request("GET", docs+"?select=title,owner_id&title=like.of*", "", p.as())
				rows := strings.Count(a.body, `"title"`)
				want := 1
				if p.ID == people[0].ID { // has a role that reads all
					want = len(people)
				}
				check(restDoor, err == nil && a.status == 200 && rows == want && (want > 1 || !foreign(a.body, p)), "%s reads %d %s %v", p.Email, a.status, a.body, err)
				if i%5 != 0 {
					continue
				}
				for _, d := range rowDoors() {
					q := d.read("docs", []string{"title", "owner_id"}, object{"title": is("like", "of%")}, "", nil)
					a, err := n.request("POST", q.path, q.body, p.as())
					check(d.name, err == nil && a.status == 200 && strings.Count(a.body, `"title"`) == want && (want > 1 || !foreign(a.body, p)), "%s reads %d %s %v", p.Email, a.status, a.body, err)
				}
				a, err = n.request("GET", "/auth/v1/user", "", p.as())
				check(authDoor, err == nil && a.status == 200 && strings.Contains(a.body, p.ID) && !foreign(a.body, p), "%s is %s", p.Email, a.body)
				a, err = n.request("GET", "/audit/v1/checkpoint", "", p.as())
				check(auditDoor, err == nil && (a.status == 200) == (p.ID == people[0].ID), "%s reads the trail: %d", p.Email, a.status)
				a, err = n.request("GET", docs+"?select=title&title=like.of*", "")
				check(restDoor, err == nil && (a.body == "[]" || a.status == 401), "nobody reads %s", a.body)
			}
		})
	}
	wg.Wait()
	ann, bob, cia := people[0], people[1], people[2]
	// Beside a token that is kept, one that begins or ends as it does.
	for _, token := range []string{bob.token[:len(bob.token)-1], bob.token + "A", "A" + bob.token, bob.token[1:], strings.Join([]string{strings.Split(bob.token, ".")[0], strings.Split(cia.token, ".")[1], strings.Split(bob.token, ".")[2]}, "."), bob.token[:len(bob.token)/2] + cia.token[len(bob.token)/2:]} {
		n.deny(c, "a token like another", token)
	}
	// One idempotency key of two callers.
	for i, header := range []string{bob.as(), cia.as(), bob.as(), cia.as()} {
		a := n.do(t, "POST", docs, `{"title":"once"}`, header, "Idempotency-Key: shared", rep)
		p := []person{bob, cia}[i%2]
		c[restDoor].is(a.status == 201 && strings.Contains(a.body, p.ID) && !foreign(a.body, p), "%s got %d %s", p.Email, a.status, a.body)
	}
	for _, d := range rowDoors() {
		for i, header := range []string{bob.as(), cia.as(), bob.as(), cia.as()} {
			q := d.write("docs", "", object{"title": "once"})
			a := n.through(t, q, header, "Idempotency-Key: shared-"+d.name)
			c[d.name].is(!a.failed() && (a.header.Get("Idempotency-Replayed") != "") == (i > 1), "%d: %d %s", i, a.status, a.body)
		}
	}
	// What a validator of another's answer says.
	a := n.want(t, 200, "GET", docs+"?select=title", "", bob.as())
	if tag := a.header.Get("Etag"); tag != "" {
		b := n.do(t, "GET", docs+"?select=title", "", cia.as(), "If-None-Match: "+tag)
		c[restDoor].is(b.status == 200, "another's answer counts as known: %d", b.status)
	}
	for _, k := range knocks() {
		a := n.do(t, "GET", k.path, "", ann.as())
		vary, control := strings.Join(a.header.Values("Vary"), ","), a.header.Get("Cache-Control")
		c[k.door].is(strings.Contains(control, "no-store") || strings.Contains(vary, "Authorization") && strings.Contains(vary, "Apikey"), "%s may be kept for others: %q %q", k.path, vary, control)
	}
}

// TestSecretsStayApart runs a session whose secrets can be recognised, and looks
// for them wherever they do not belong.
func TestSecretsStayApart(t *testing.T) {
	t.Parallel()
	acme := openIssuer(t)
	n := openTown(t, "", freely+providers(map[string]*issuer{"acme": acme}), "PANDO_LOG_LEVEL=debug")
	secrets := markedSession(t, n, acme)
	c := attackDoors(t, "39 secrets where they do not belong")
	misplaced(t, n, c, secrets)
	trail := n.want(t, 200, "GET", "/audit/v1/records", "", boss, "Accept: application/x-ndjson").body
	events := n.want(t, 200, "GET", "/audit/v1/records", "", boss, "Accept: application/cloudevents-batch+json").body
	if !strings.Contains(trail, `"seen"`) || !strings.Contains(trail, "auth.sign_in") {
		t.Errorf("the trail has not what it should have: %.500s", trail)
	}
	n.stop(t)
	log := n.log.String()
	for what, s := range secrets {
		for _, text := range []string{log, n.out.String()} {
			c[restDoor].is(!strings.Contains(text, s) && !strings.Contains(text, url.QueryEscape(s)), "the log has %s: %s", what, around(text, s))
		}
		for _, text := range []string{trail, events} {
			c[auditDoor].is(!strings.Contains(text, s), "the trail has %s: %s", what, around(text, s))
		}
	}
	keepsNone(t, n, c[authDoor], secrets)
	for i, line := range strings.Split(strings.TrimSpace(log), "\n") {
		if !strings.HasPrefix(line, "time=") || strings.ContainsFunc(line, unicode.IsControl) {
			t.Errorf("line %d of the log was forged: %q", i, line)
		}
	}
}

// markedSession does all that has to do with secrets, and returns them by what
// they are.
func markedSession(t *testing.T, n *town, acme *issuer) map[string]string {
	t.Helper()
	const (
		first  = "MARK-first-password-7c1d"
		second = "MARK-second-password-8e2f"
		wrong  = "MARK-wrong-password-1b9c"
		hidden = "MARK-hidden-field-5d5d"
	)
	secrets := map[string]string{"a password": first, "a new password": second, "a wrong password": wrong, "the secret of tokens": jwtSecret, "the secret key": secretKey, "a hidden field": hidden}
	keep := func(what, value string) {
		if value == "" {
			t.Errorf("%s is empty", what)
		}
		secrets[what] = value
	}
	n.want(t, 200, "POST", "/auth/v1/signup", encode(object{"email": "mark@town.example", "password": first}))
	token := tokenIn(t, n.letter(t, "mark@town.example", 0))
	keep("a link's token", token)
	n.want(t, 200, "POST", "/auth/v1/verify", encode(object{"type": "signup", "token_hash": token}))
	n.want(t, 400, "POST", "/auth/v1/token?grant_type=password", encode(object{"email": "mark@town.example", "password": wrong}))
	g := decode[grant](t, n.want(t, 200, "POST", "/auth/v1/token?grant_type=password", encode(object{"email": "mark@town.example", "password": first})))
	keep("an access token", g.AccessToken)
	keep("a refresh token", g.RefreshToken)
	mark := person{ID: g.User.ID, Email: "mark@town.example", token: g.AccessToken, refresh: g.RefreshToken}
	n.want(t, 200, "PUT", "/auth/v1/user", encode(object{"password": second, "email": "marked@town.example"}), mark.as())
	g = decode[grant](t, n.want(t, 200, "POST", "/auth/v1/token?grant_type=refresh_token", encode(object{"refresh_token": mark.refresh})))
	keep("the next refresh token", g.RefreshToken)
	f := n.enroll(t, mark)
	keep("a factor's secret", f.secret)
	n.want(t, 200, "POST", "/auth/v1/recover", encode(object{"email": "mark@town.example"}))
	l := n.link(t, "magiclink", "mark@town.example")
	keep("a generated link's token", l.HashedToken)
	n.nowhere(t, "/auth/v1/verify?type=magiclink&token="+l.HashedToken)
	n.nowhere(t, "/auth/v1/verify?type=magiclink&token="+l.HashedToken) // again, refused
	j, _ := n.depart(t, acme, said("m", "m@flows.example", true), nil)
	_, to := n.arrive(t, j)
	keep("a flow's code", to.Query().Get("code"))
	keep("a verifier", j.verifier)
	keep("a state", j.state)
	keep("a provider's code", j.code)
	n.exchange(t, to.Query().Get("code"), j.verifier)
	n.exchange(t, to.Query().Get("code"), j.verifier)
	key := decode[struct{ Key string }](t, answer{body: n.tell(t, "keys", "create", "--name", "marked", "--json")})
	keep("a further key", key.Key)
	robot := decode[struct{ ID, Secret string }](t, answer{body: n.tell(t, "keys", "client", "create", "robot", "--role", "staff", "--json")})
	keep("a machine's secret", robot.Secret)
	m := decode[grant](t, n.want(t, 200, "POST", "/auth/v1/token?grant_type=client_credentials", encode(object{"client_id": robot.ID, "client_secret": robot.Secret})))
	keep("a machine's token", m.AccessToken)
	n.want(t, 201, "POST", "/rest/v1/watched", encode(object{"name": "seen", "code": hidden}), f.as())
	return secrets
}

// misplaced sends secrets where one is asked for, and by mistake beside it. A
// path is no such place: it is in the log, but for API keys.
func misplaced(t *testing.T, n *town, c map[string]*class, secrets map[string]string) {
	t.Helper()
	for what, s := range secrets {
		e := url.QueryEscape(s)
		for door, paths := range map[string][]string{
			restDoor: {docs + "?title=eq." + e, docs + "?apikey=" + e, docs + "?access_token=" + e, docs + "?cursor=" + e}, graphqlDoor: {graphqlPath + "?query=" + e, graphqlPath + "?apikey=" + e}, grpcDoor: {grpcAt + "ListRanks?connect=v1&encoding=json&message=" + e},
			auditDoor: {"/audit/v1/records?apikey=" + e, "/audit/v1/checkpoint?token=" + e},
			authDoor:  {"/auth/v1/verify?type=magiclink&token=" + e, "/auth/v1/callback?state=" + e + "&code=" + e, "/auth/v1/verify?type=" + e + "&token=" + e, "/auth/v1/authorize?provider=acme&code_challenge=" + e, "/auth/v1/admin/users?page=" + e},
		} {
			for _, path := range paths {
				a := n.nowhere(t, path, boss)
				if door == authDoor { // the others repeat what they do not know
					c[door].is(!strings.Contains(a.body, s) && !strings.Contains(a.header.Get("Location"), s), "%s is repeated: %.300s %s", what, a.body, a.header.Get("Location"))
				}
			}
			for _, h := range []string{"Authorization: Bearer " + s, "Authorization: Bearer " + s + ".x.y", "Apikey: " + s + "x", "Cookie: sb=" + s, "Referer: https://x.example/#access_token=" + s, "X-Custom: " + s} {
				a := n.nowhere(t, knockAt(door), h)
				c[door].is(!strings.Contains(a.body, s), "%s is repeated: %.300s", what, a.body)
			}
		}
		for _, body := range []object{{"password": s}, {"email": s, "password": s}, {"refresh_token": s + "x"}, {"email": object{"x": s}}, {"type": "email", "email": "x@town.example", "token": s}, {"type": s}} {
			for _, path := range []string{"token?grant_type=password", "token?grant_type=refresh_token", "verify", "recover"} {
				a := n.do(t, "POST", "/auth/v1/"+path, encode(body))
				c[authDoor].is(!strings.Contains(a.body, s), "%s is repeated by %s: %.300s", what, path, a.body)
			}
		}
	}
}

// keepsNone looks for secrets in the files of the data folder. The mails and the
// first pair of keys belong where they are.
func keepsNone(t *testing.T, n *town, c *class, secrets map[string]string) {
	t.Helper()
	root := filepath.Join(n.dir, "data")
	files := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel(root, path)
		if err != nil || !d.Type().IsRegular() || strings.HasPrefix(name, "mail/") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		for what, s := range secrets {
			if what == "the secret key" && name == "keys.json" || what == "a hidden field" { // hidden is not encrypted
				continue
			}
			i := bytes.Index(text, []byte(s))
			c.is(i < 0, "%s has %s: %q", name, what, text[max(0, i-60):min(len(text), max(0, i)+20)])
		}
		if info, err := d.Info(); err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is open to others: %v", name, info.Mode())
		}
		return nil
	})
	if err != nil || files < 2 {
		t.Errorf("%d files, %v", files, err)
	}
}

var masked = regexp.MustCompile(`[\w-]{20,}`)

// around is where a text has a secret, without it.
func around(text, secret string) string {
	i := strings.Index(text, secret)
	if i < 0 {
		return ""
	}
	return masked.ReplaceAllString(text[max(0, i-200):min(len(text), i+100)], "***")
}
