package attack

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
)

// race sends n requests at once and returns their answers.
func race(t *testing.T, n int, ask func(client *http.Client, i int) (answer, error)) []answer {
	t.Helper()
	client := &http.Client{
		Timeout:       30 * time.Second,
		Transport:     &http.Transport{MaxConnsPerHost: 256, MaxIdleConnsPerHost: 256, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	out := make([]answer, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			a, err := ask(client, i)
			if err != nil {
				t.Error(err)
			}
			out[i] = a
		})
	}
	close(start)
	wg.Wait()
	return out
}

// one counts a race of which exactly one may win.
func (c *class) one(what string, list []answer, won func(answer) bool) {
	c.t.Helper()
	wins := 0
	for _, a := range list {
		if won(a) {
			wins++
		} else if a.status >= 500 {
			c.t.Errorf("%s: %d %.200s", what, a.status, a.body)
		}
	}
	c.is(wins == 1, "%s: %d of %d have won", what, wins, len(list))
}

func ok200(a answer) bool { return a.status == 200 }

// leads reports a redirect that brings a code or a session.
func leads(a answer) bool {
	to := a.header.Get("Location")
	return strings.Contains(to, "access_token=") || strings.Contains(to, "?code=")
}

func TestRaces(t *testing.T) {
	t.Parallel()
	acme := openIssuer(t)
	n := openTown(t, "", freely+providers(map[string]*issuer{"acme": acme}))
	c := attackDoor(t, authDoor, "25 races for single-use tokens")
	n.user(t, "racer@town.example", nil)
	post := func(path string, body any, header ...string) func(client *http.Client, i int) (answer, error) {
		text := encode(body)
		return func(client *http.Client, _ int) (answer, error) {
			return n.send(client, "POST", path, strings.NewReader(text), header...)
		}
	}
	l := n.link(t, "magiclink", "racer@town.example")
	c.one("a link's token, 1,000 at once", race(t, 1000, post("/auth/v1/verify", object{"type": "magiclink", "token_hash": l.HashedToken})), ok200)
	l = n.link(t, "magiclink", "racer@town.example")
	c.one("a code", race(t, 100, post("/auth/v1/verify", object{"type": "magiclink", "email": "racer@town.example", "token": l.EmailOTP})), ok200)
	l = n.link(t, "recovery", "racer@town.example")
	path := "/auth/v1/verify?type=recovery&token=" + l.HashedToken
	c.one("a recovery link", race(t, 100, func(client *http.Client, _ int) (answer, error) {
		return n.send(client, "GET", path, http.NoBody)
	}), leads)
	l = n.link(t, "recovery", "racer@town.example")
	both := []func(client *http.Client, i int) (answer, error){
		post("/auth/v1/verify", object{"type": "recovery", "token_hash": l.HashedToken}), post("/auth/v1/verify", object{"type": "recovery", "email": "racer@town.example", "token": l.EmailOTP}),
		func(client *http.Client, _ int) (answer, error) {
			return n.send(client, "GET", "/auth/v1/verify?type=recovery&token="+l.HashedToken, http.NoBody)
		},
	}
	c.one("the code and the link of one mail", race(t, 100, func(client *http.Client, i int) (answer, error) { return both[i%3](client, i) }),
		func(a answer) bool { return ok200(a) || leads(a) })
	l = n.link(t, "invite", "invited@town.example")
	c.one("an invitation", race(t, 100, post("/auth/v1/verify", object{"type": "invite", "token_hash": l.HashedToken})), ok200)

	j, _ := n.depart(t, acme, said("racer", "racer@flows.example", true), nil)
	var code string
	callback := "/auth/v1/callback?" + url.Values{"state": {j.state}, "code": {j.code}}.Encode()
	landed := race(t, 100, func(client *http.Client, _ int) (answer, error) {
		return n.send(client, "GET", callback, http.NoBody, "Cookie: "+j.cookie)
	})
	c.one("a state", landed, leads)
	for _, a := range landed {
		if to, err := url.Parse(a.header.Get("Location")); err == nil && to.Query().Get("code") != "" {
			code = to.Query().Get("code")
		}
	}
	c.one("a flow's code", race(t, 100, post("/auth/v1/token?grant_type=pkce", object{"auth_code": code, "code_verifier": j.verifier})), ok200)

	// A refresh token has one child, however many ask for it at once.
	p := n.enter(t, "racer@town.example")
	children := map[string]bool{}
	for _, a := range race(t, 100, post("/auth/v1/token?grant_type=refresh_token", object{"refresh_token": p.refresh})) {
		if a.status == 200 {
			children[decode[grant](t, a).RefreshToken] = true
		} else {
			t.Errorf("a refresh within the window: %d %.200s", a.status, a.body)
		}
	}
	c.is(len(children) == 1 && !children[p.refresh], "one refresh token became %d", len(children))

	f := n.enroll(t, n.member(t, "racer2", nil))
	f.person = n.enter(t, f.Email)
	var challenges []string
	for range 100 {
		challenges = append(challenges, n.challenge(t, f))
	}
	now := f.code(t, 1)
	c.one("a code of a second factor", race(t, 100, func(client *http.Client, i int) (answer, error) {
		return n.send(client, "POST", "/auth/v1/factors/"+f.id+"/verify", strings.NewReader(encode(object{"challenge_id": challenges[i], "code": now})), f.as())
	}), ok200)
}

// factor is a second factor of a person.
type factor struct {
	person
	id, secret string
	at         time.Time // when it was made: no test waits for a step to pass
}

// code is the code of a step from now; each is accepted once, one step early
// or late.
func (f factor) code(t *testing.T, steps int) string {
	t.Helper()
	return must(totp.GenerateCode(f.secret, f.at.Add(time.Duration(steps)*30*time.Second)))
}

// enroll gives a person a verified second factor; the code of the step after is
// left for the test.
func (n *town) enroll(t *testing.T, p person) factor {
	t.Helper()
	f := n.begin(t, p)
	g := decode[grant](t, n.want(t, 200, "POST", "/auth/v1/factors/"+f.id+"/verify", encode(object{"challenge_id": n.challenge(t, f), "code": f.code(t, 0)}), p.as()))
	f.token, f.refresh = g.AccessToken, g.RefreshToken
	return f
}

// begin enrolls a factor that is not verified yet.
func (n *town) begin(t *testing.T, p person) factor {
	t.Helper()
	a := decode[struct {
		ID   string
		TOTP struct{ Secret string }
	}](t, n.want(t, 200, "POST", "/auth/v1/factors", `{"factor_type":"totp"}`, p.as()))
	return factor{person: p, id: a.ID, secret: a.TOTP.Secret, at: time.Now()}
}

func (n *town) challenge(t *testing.T, f factor) string {
	t.Helper()
	return decode[struct{ ID string }](t, n.want(t, 200, "POST", "/auth/v1/factors/"+f.id+"/challenge", "{}", f.as())).ID
}

func TestSecondFactor(t *testing.T) {
	t.Parallel()
	n := openTown(t, "", freely)
	c := attackDoor(t, authDoor, "26 around the second factor")
	rest := attackDoor(t, restDoor, "26 a rule that asks for a second factor")
	n.want(t, 201, "POST", "/rest/v1/vaults", `{"name":"for aal2"}`, boss)
	shut := func(what, token string) {
		t.Helper()
		a := n.do(t, "GET", "/rest/v1/vaults?select=name", "", "Authorization: Bearer "+token)
		rest.is(a.status == 200 && a.body == "[]", "%s: %d %s", what, a.status, a.body)
		b := n.do(t, "POST", "/rest/v1/vaults", `{"name":"x"}`, "Authorization: Bearer "+token)
		rest.is(b.status == 403, "%s creates: %d", what, b.status)
	}
	ann := n.member(t, "ann", object{"password": pass})
	shut("without a factor", ann.token)
	f := n.begin(t, ann)
	shut("enrolled and not verified", f.token)
	verify := func(f factor, who, challenge string, code any) answer {
		return n.do(t, "POST", "/auth/v1/factors/"+f.id+"/verify", encode(object{"challenge_id": challenge, "code": code}), who)
	}
	for _, code := range []any{"", "0", "1234567", " 23456", "12345\n", "１２３４５６", nil, []string{f.code(t, 0)}, 123456, object{"$gt": ""}, "' OR 1", true} {
		c.is(verify(f, f.as(), n.challenge(t, f), code).status >= 400, "the code %v was taken", code)
	}
	// Those were wrong codes too, and the factor is slow now: another one.
	n.want(t, 200, "DELETE", "/auth/v1/factors/"+f.id, "", f.as())
	f = n.enroll(t, ann)
	if a := n.do(t, "GET", "/rest/v1/vaults?select=name", "", f.as()); a.body == "[]" {
		t.Fatalf("the second factor opens nothing: %s", a.body)
	}
	shut("the token from before the factor", ann.token)

	// What a password, a link or a code gives is aal1, and may not shed the factor.
	for what, p := range map[string]person{
		"a link": n.enter(t, ann.Email),
		"a password": func() person {
			g := decode[grant](t, n.login(t, ann.Email, pass))
			return person{ID: ann.ID, token: g.AccessToken, refresh: g.RefreshToken}
		}(),
		"a reset": func() person {
			l := n.link(t, "recovery", ann.Email)
			g := decode[grant](t, n.want(t, 200, "POST", "/auth/v1/verify", encode(object{"type": "recovery", "token_hash": l.HashedToken})))
			return person{ID: ann.ID, token: g.AccessToken, refresh: g.RefreshToken}
		}(),
	} {
		shut("by "+what, p.token)
		for _, r := range []struct{ method, path, body string }{
			{"PUT", "/auth/v1/user", encode(object{"password": pass + " new"})},
			{"PUT", "/auth/v1/user", `{"email":"new@town.example"}`},
			{"POST", "/auth/v1/factors", `{"factor_type":"totp"}`},
			{"DELETE", "/auth/v1/factors/" + f.id, ""},
			{"GET", "/auth/v1/user/identities/authorize?provider=acme", ""},
		} {
			c.refused(n.node, r.method, r.path, r.body, p.as())
		}
		n.want(t, 200, "PUT", "/auth/v1/user", `{"data":{"aal":"aal2","amr":["totp"]},"aal":"aal2"}`, p.as())
		g := decode[grant](t, n.want(t, 200, "POST", "/auth/v1/token?grant_type=refresh_token", encode(object{"refresh_token": p.refresh})))
		shut("refreshed, by "+what, g.AccessToken)
	}
	if a := n.login(t, ann.Email, pass); a.status != 200 {
		t.Errorf("the password was changed around the factor: %d", a.status)
	}
	session, other := n.enter(t, ann.Email), n.enter(t, ann.Email)
	f1, f2 := f, f
	f1.person, f2.person = session, other
	spent, now := f.code(t, 0), f.code(t, 1)
	// Codes that were used, of other times, of other factors, sessions and users.
	c.is(verify(f, session.as(), n.challenge(t, f1), spent).status >= 400, "a code was used twice")
	for _, steps := range []int{-3, -10, 3, 10} {
		c.is(verify(f, session.as(), n.challenge(t, f1), f.code(t, steps)).status >= 400, "a code of %d steps from now", steps)
	}
	eve := n.enroll(t, n.member(t, "eve", nil))
	c.is(verify(eve, session.as(), n.challenge(t, f1), eve.code(t, 1)).status >= 400, "Eve's factor raises Ann's session")
	c.is(verify(f, session.as(), n.challenge(t, eve), eve.code(t, 1)).status >= 400, "Eve's challenge and code raise Ann's session")
	c.is(verify(f, eve.as(), n.challenge(t, f1), now).status >= 400, "Ann's challenge in Eve's session")
	c.is(verify(f, session.as(), n.challenge(t, f2), now).status >= 400, "a challenge of another session of Ann's")
	for _, id := range []string{"", "x", f.id, eve.id, "01980009-0000-7000-8000-00000000f0f0", "' OR 1=1"} {
		c.is(verify(f, session.as(), id, now).status >= 400, "the challenge %q", id)
	}
	for _, r := range []struct{ method, path, body string }{{"POST", "/auth/v1/factors/" + eve.id + "/challenge", "{}"}, {"DELETE", "/auth/v1/factors/" + eve.id, ""}, {"DELETE", "/auth/v1/admin/users/" + eve.ID + "/factors/" + eve.id, ""}, {"GET", "/auth/v1/admin/users/" + ann.ID + "/factors", ""}} {
		c.refused(n.node, r.method, r.path, r.body, session.as())
	}
	shut("after all of that", session.token)

	// Guessing is bounded by the challenge and slows the factor down.
	bob := n.enroll(t, n.member(t, "bob", nil))
	bob.person = n.enter(t, bob.Email)
	slow := false
	for i := range 3 {
		id := n.challenge(t, bob)
		for k := range 6 {
			code := fmt.Sprintf("%06d", (i*6+k)*37)
			if code == bob.code(t, 0) || code == bob.code(t, 1) || code == bob.code(t, -1) {
				continue
			}
			a := verify(bob, bob.as(), id, code)
			c.is(a.status >= 400, "the code %s was right", code)
			slow = slow || a.status == 429
		}
	}
	a := verify(bob, bob.as(), n.challenge(t, bob), bob.code(t, 1))
	c.is(slow && a.status == 429, "guessing goes on at full speed: %d %.200s", a.status, a.body)

	// A factor that is gone takes its level along.
	g := decode[grant](t, verify(f, session.as(), n.challenge(t, f1), f.code(t, 1)))
	raised := factor{person: person{ID: ann.ID, token: g.AccessToken, refresh: g.RefreshToken}, id: f.id}
	if a := n.do(t, "GET", "/rest/v1/vaults?select=name", "", raised.as()); a.body == "[]" {
		t.Fatalf("the second factor opens nothing: %s", a.body)
	}
	c.is(n.do(t, "POST", "/auth/v1/token?grant_type=refresh_token", encode(object{"refresh_token": session.refresh})).status >= 400, "the refresh token from before the factor renews the session")
	n.want(t, 200, "DELETE", "/auth/v1/factors/"+f.id, "", raised.as())
	shut("the factor was removed", raised.token)
	n.want(t, 200, "DELETE", "/auth/v1/admin/users/"+eve.ID+"/factors/"+eve.id, "", boss)
	shut("an administrator removed the factor", eve.token)
}
