package attack

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/mail"
)

func said(sub, email string, verified any) object {
	return object{"sub": sub, "email": email, "email_verified": verified}
}

func TestFlows(t *testing.T) {
	t.Parallel()
	acme, other := openIssuer(t), openIssuer(t)
	n := openTown(t, "", freely+providers(map[string]*issuer{"acme": acme, "other": other}))
	t.Run("codes", func(t *testing.T) { codeFlows(t, n, acme, other) })
	t.Run("redirects", func(t *testing.T) { openRedirects(t, n, acme) })
	t.Run("claims", func(t *testing.T) { preHijack(t, n, acme) })
	t.Run("tokens", func(t *testing.T) { idTokens(t, n, acme, other) })
}

// codeFlows downgrades, replays and mixes up sign-ins.
func codeFlows(t *testing.T, n *town, acme, second *issuer) {
	c := attackDoor(t, authDoor, "21 PKCE, state and binding")
	ada := said("ada", "ada@flows.example", true)
	if a := n.travel(t, acme, ada); a.status != 200 {
		t.Fatalf("an honest sign-in: %d %s", a.status, a.body)
	}
	// A code is worth nothing without its verifier, and is spent by a wrong one.
	landed := func() (string, journey) {
		j, _ := n.depart(t, acme, ada, nil)
		_, to := n.arrive(t, j)
		return to.Query().Get("code"), j
	}
	_, strange := pkce()
	for _, verifier := range map[string]func(j journey) any{
		"none": func(journey) any { return nil }, "empty": func(journey) any { return "" }, "another": func(journey) any { v, _ := pkce(); return v }, "the challenge of another": func(journey) any { return strange }, "short": func(j journey) any { return j.verifier[:42] },
		"longer": func(j journey) any { return j.verifier + "x" }, "in upper case": func(j journey) any { return strings.ToLower(j.verifier) }, "with a space": func(j journey) any { return j.verifier + " " }, "a list": func(j journey) any { return []string{j.verifier} }, "the state": func(j journey) any { return j.state },
	} {
		code, j := landed()
		body := object{"auth_code": code}
		if v := verifier(j); v != nil {
			body["code_verifier"] = v
		}
		c.refused(n.node, "POST", "/auth/v1/token?grant_type=pkce", encode(body))
	}
	code, j := landed()
	for _, grantType := range []string{"authorization_code", "password", "refresh_token", "implicit", "id_token", "PKCE"} {
		c.refused(n.node, "POST", "/auth/v1/token?grant_type="+grantType, encode(object{"auth_code": code, "code": code, "code_verifier": j.verifier, "refresh_token": code}))
	}
	c.is(n.exchange(t, code, j.verifier).status == 200, "an honest exchange fails after that")
	c.status(n.node, 404, "POST", "/auth/v1/token?grant_type=pkce", encode(object{"auth_code": code, "code_verifier": j.verifier})) // again
	first, j1 := landed()
	_, j2 := landed()
	c.is(n.exchange(t, first, j2.verifier).status >= 400, "a code was exchanged with another flow's verifier")
	c.is(n.exchange(t, first, j1.verifier).status >= 400, "a code that was tried with a wrong verifier still counts")
	// Challenges that bind nothing.
	_, challenge := pkce()
	for _, q := range []object{
		{"code_challenge_method": "plain"},
		{"code_challenge_method": "PLAIN"},
		{"code_challenge_method": ""},
		{"code_challenge": ""},
		{"code_challenge_method": "none"},
		{"code_challenge_method": "S512"},
		{"code_challenge": "x"},
		{"code_challenge": challenge + "="},
		{"code_challenge": challenge[:42]},
		{"code_challenge": strings.Repeat("A", 44)},
		{"code_challenge": " " + challenge},
	} {
		_, a := n.depart(t, acme, ada, q)
		c.is(a.status == 400 || a.status == 422, "authorize with %v: %d", q, a.status)
		for _, path := range []string{"recover", "otp", "magiclink"} {
			body := object{"email": "ada@flows.example", "code_challenge": challenge, "code_challenge_method": "s256"}.with(q)
			c.refused(n.node, "POST", "/auth/v1/"+path, encode(body))
		}
	}
	// What the door sets itself nobody else sets.
	for _, name := range []string{"state", "nonce", "client_id", "redirect_uri", "response_type", "response_mode", "scope", "code_challenge", "request", "request_uri"} {
		j, a := n.depart(t, acme, ada, object{name: "https://evil.example"})
		to, err := url.Parse(a.header.Get("Location"))
		c.is(err == nil && (a.status >= 400 || to.Query()[name] == nil || len(to.Query()[name]) == 1 && !strings.Contains(to.Query().Get(name), "evil")), "%s was taken: %d %s %s", name, a.status, to, j.state)
	}
	states(t, n, c, acme, second, ada)
}

// states replays states, takes them to other browsers and mixes them up.
func states(t *testing.T, n *town, c *class, acme, second *issuer, ada object) {
	t.Helper()
	// A flow that began with a challenge never ends with tokens.
	j, _ := n.depart(t, acme, ada, nil)
	a, to := n.arrive(t, j)
	c.is(to.Fragment == "" && to.Query().Get("code") != "", "tokens stand in %s", to)
	b, to := n.arrive(t, j) // the same state again
	c.is(b.status >= 400 && to.String() == "", "a state was used twice: %d %s after %d", b.status, to, a.status)
	// Another browser, none, one that knows the state alone.
	for what, cookie := range map[string]string{"none": "", "another": "pando-sign-in=" + strings.Repeat("A", 43), "short": "pando-sign-in=x", "of another name": "sign-in=x", "empty": "pando-sign-in="} {
		j, _ := n.depart(t, acme, ada, nil)
		mine := j.cookie
		j.cookie = cookie
		_, to := n.arrive(t, j)
		c.is(to.Query().Get("code") == "" && to.Fragment == "", "with the cookie %s the browser got %s", what, to)
		j.cookie = mine
		_, to = n.arrive(t, j)
		c.is(to.Query().Get("code") == "", "the state counts after a strange browser used it: %s", to)
	}
	victim, _ := n.depart(t, acme, ada, nil)
	eve, _ := n.depart(t, acme, said("eve", "eve@flows.example", true), nil)
	for what, mixed := range map[string]journey{
		"the attacker's code under the victim's state": {state: victim.state, code: eve.code, cookie: victim.cookie}, "the victim's code under the attacker's state": {state: eve.state, code: victim.code, cookie: eve.cookie},
	} {
		_, to := n.arrive(t, mixed)
		c.is(to.Query().Get("code") == "" && to.Query().Get("error") != "", "%s: %s", what, to)
	}
	// The mix-up: begun at one provider, ended with another's code.
	j, _ = n.depart(t, acme, ada, nil)
	k, _ := n.depart(t, second, said("ada", "ada@flows.example", true), object{"provider": "other"})
	_, to = n.arrive(t, journey{state: j.state, code: k.code, cookie: j.cookie})
	c.is(to.Query().Get("code") == "", "a code of another provider: %s", to)
	for _, q := range []string{"", "?state=", "?code=x", "?state=x&code=x", "?state=" + strings.Repeat("x", 5000), "?state=%00&code=x", "?error=access_denied", "?state=" + j.state + "&state=" + k.state, "?state=" + j.state} {
		a := n.nowhere(t, "/auth/v1/callback"+q)
		c.is(a.status >= 400 && a.status < 500 && a.header.Get("Location") == "", "callback%.40s: %d %s", q, a.status, a.header.Get("Location"))
	}
	// A mail's link that was asked for with a challenge brings a code, no session.
	verifier, challenge := pkce()
	n.user(t, "pia@flows.example", nil)
	n.want(t, 200, "POST", "/auth/v1/recover?redirect_to="+url.QueryEscape(afterward), encode(object{"email": "pia@flows.example", "code_challenge": challenge, "code_challenge_method": "s256"}))
	token := tokenIn(t, n.letter(t, "pia@flows.example", 0))
	a = n.nowhere(t, "/auth/v1/verify?type=recovery&token="+token+"&redirect_to="+url.QueryEscape(afterward))
	to, err := url.Parse(a.header.Get("Location"))
	c.is(err == nil && to.Fragment == "" && to.Query().Get("code") != "" && !strings.Contains(to.String(), "access_token"), "the link led to %s", to)
	c.is(n.exchange(t, to.Query().Get("code"), verifier+"x").status >= 400, "a mail's code without its verifier")
}

// places are where nobody may be led.
func places() []string {
	return []string{
		"https://evil.example", "https://evil.example/after", "//evil.example/after", `\\evil.example`, "https:evil.example", "https:/evil.example", "/\\evil.example", "https://town.example.evil.example/after", "https://town.example@evil.example/after", "https://evil.example#https://town.example/after",
		"https://evil.example?https://town.example/after", "http://town.example/after", "https://town.example:8443/after", "https://town.example/after/", "https://town.example/after/../x", "https://town.example/after%2f..", "https://town.example/after?x=1", "https://town.example/after#x", "https://town.example/afterwards",
		"https://town.example/AFTER", "https://town.example./after", "https://user:pass@town.example/after", "https://xn--twn-tna.example/after", "https://tоwn.example/after", "https://town.example\\@evil.example/after", "https://town.example%00.evil.example/after", "https://town.example\n/after", " https://evil.example", "javascript:alert(1)",
		"javascript://town.example/after%0aalert(1)", "data:text/html,<script>", "townapp://callback/x", "townapp://callback?x", "townapp://evil", "TOWNAPP://callback@evil", "evilapp://callback", "file:///etc/passwd", "https://town.example/deep?a=2", "https://town.example/deep?a=1&b=2", "https://town.example/home/x", "*", "https://*", "http://127.0.0.1/after", "https://[::1]/after",
	}
}

func openRedirects(t *testing.T, n *town, acme *issuer) {
	c := attackDoor(t, authDoor, "22 open redirects")
	// right reports whether an address is one that the application named.
	right := func(to string) bool {
		u, err := url.Parse(to)
		if err != nil || u.User != nil {
			return false
		}
		u.Fragment, u.RawFragment = "", ""
		q := u.Query()
		for _, name := range []string{"code", "error", "error_code", "error_description"} {
			q.Del(name)
		}
		u.RawQuery = q.Encode()
		return u.String() == "https://town.example/home"
	}
	n.user(t, "red@flows.example", nil)
	for i, p := range places() {
		e := url.QueryEscape(p)
		a := n.nowhere(t, "/auth/v1/verify?type=magiclink&token=nothing&redirect_to="+e)
		c.is(a.status == 303 && right(a.header.Get("Location")), "verify leads from %q to %q (%d)", p, a.header.Get("Location"), a.status)
		j, b := n.depart(t, acme, said("red", "red@flows.example", true), object{"redirect_to": p})
		if b.status == 302 {
			_, to := n.arrive(t, j)
			c.is(right(to.String()), "a sign-in leads from %q to %q", p, to)
		} else {
			c.is(b.status >= 400, "authorize to %q: %d", p, b.status)
		}
		l := decode[link](t, n.want(t, 200, "POST", "/auth/v1/admin/generate_link", encode(object{"type": "magiclink", "email": "red@flows.example", "redirect_to": p}), boss))
		u, err := url.Parse(l.ActionLink)
		c.is(err == nil && right(u.Query().Get("redirect_to")), "a generated link leads from %q to %q", p, u.Query().Get("redirect_to"))
		if i%6 != 0 { // mails: a few of them, of every kind
			continue
		}
		who := fmt.Sprintf("red%d@flows.example", i)
		n.user(t, who, nil)
		for _, kind := range []string{"recover", "otp", "magiclink"} {
			had := len(n.mails(t, who))
			n.want(t, 200, "POST", "/auth/v1/"+kind+"?redirect_to="+e, encode(object{"email": who}))
			u, err := url.Parse(n.letter(t, who, had).Link)
			c.is(err == nil && right(u.Query().Get("redirect_to")), "%s mails %q for %q", kind, u, p)
		}
		guest := "guest-" + who
		n.want(t, 200, "POST", "/auth/v1/invite?redirect_to="+e, encode(object{"email": guest}), boss)
		u, err = url.Parse(n.letter(t, guest, 0).Link)
		c.is(err == nil && right(u.Query().Get("redirect_to")), "invite mails %q for %q", u, p)
	}
	// The ones that the application has named are kept.
	for _, p := range []string{afterward, "https://town.example/deep?a=1", "townapp://callback"} {
		a := n.nowhere(t, "/auth/v1/verify?type=magiclink&token=nothing&redirect_to="+url.QueryEscape(p))
		if to := a.header.Get("Location"); !strings.HasPrefix(to, p) {
			t.Errorf("an allowed place %s became %s", p, to)
		}
	}
}

// preHijack waits in accounts for their owners to come.
func preHijack(t *testing.T, n *town, acme *issuer) {
	c := attackDoor(t, authDoor, "23 accounts taken beforehand")
	in := func(email, password string) bool { return n.login(t, email, password).status == 200 }
	// Somebody signs up with the owner's address, and the owner comes by a provider.
	n.want(t, 200, "POST", "/auth/v1/signup", encode(object{"email": "own1@flows.example", "password": pass, "data": object{"x": "attacker"}}))
	g := decode[grant](t, n.travel(t, acme, said("own1", "own1@flows.example", true)))
	c.is(g.AccessToken != "" && !in("own1@flows.example", pass), "the password of who signed up first opens the owner's account")
	// The owner comes by a code to the mailbox.
	n.want(t, 200, "POST", "/auth/v1/signup", encode(object{"email": "own2@flows.example", "password": pass}))
	n.enter(t, "own2@flows.example")
	c.is(!in("own2@flows.example", pass), "the password counts after a sign-in by mail")
	// The owner signs up with a password of their own.
	n.want(t, 200, "POST", "/auth/v1/signup", encode(object{"email": "own3@flows.example", "password": pass}))
	n.letter(t, "own3@flows.example", 0)
	n.want(t, 200, "POST", "/auth/v1/signup", encode(object{"email": "own3@flows.example", "password": pass + " mine"}))
	n.want(t, 200, "POST", "/auth/v1/verify", encode(object{"type": "signup", "token_hash": tokenIn(t, n.letter(t, "own3@flows.example", 1))}))
	c.is(!in("own3@flows.example", pass), "the password of the first sign-up counts after the second's confirmation")
	// A provider that does not say that the address is verified links nobody.
	victim := n.member(t, "victim", nil)
	for i, verified := range []any{false, nil, "false", "yes", 0, "", []any{true}, object{"v": true}} {
		claims := said(fmt.Sprintf("claims%d", i), "victim@town.example", verified)
		if verified == nil {
			delete(claims, "email_verified")
		}
		a := n.travel(t, acme, claims)
		c.is(a.status >= 400 || decode[grant](t, a).User.ID != victim.ID, "email_verified %v opens the account of the address", verified)
	}
	for i, email := range []any{"VICTIM@town.example\x00", "victim@town.example, eve@evil.example", []string{"victim@town.example"}, "victim@town.examplе", "ｖictim@town.example", "<victim@town.example>", "victim@town.example\r\n"} {
		a := n.travel(t, acme, object{"sub": fmt.Sprintf("looks%d", i), "email": email, "email_verified": true})
		c.is(a.status >= 400 || decode[grant](t, a).User.ID != victim.ID, "the address %q opens the account of another", email)
	}
	// Somebody asks for the owner's address as a new one of theirs, and never confirms it.
	eve := n.member(t, "eve", nil)
	n.want(t, 200, "PUT", "/auth/v1/user", `{"email":"own4@flows.example"}`, eve.as())
	g = decode[grant](t, n.travel(t, acme, said("own4", "own4@flows.example", true)))
	c.is(g.User.ID != eve.ID && g.User.ID != "", "the owner got the account of who claimed the address")
	// Where every sign-up is confirmed, the confirmation proves nothing.
	auto := openTown(t, "", "  autoconfirm: true\n"+freely+providers(map[string]*issuer{"acme": acme}))
	a := auto.want(t, 200, "POST", "/auth/v1/signup", encode(object{"email": "own5@flows.example", "password": pass}))
	first := decode[grant](t, a)
	second := decode[grant](t, auto.travel(t, acme, said("own5", "own5@flows.example", true)))
	b := auto.do(t, "GET", "/auth/v1/user", "", "Authorization: Bearer "+first.AccessToken)
	c.is(second.AccessToken != "" && b.status != 200, "under autoconfirm the session of who signed up first is in the owner's account: %d", b.status)
	c.is(auto.login(t, "own5@flows.example", pass).status != 200, "under autoconfirm the password of who signed up first opens the owner's account")
	d := auto.do(t, "POST", "/auth/v1/token?grant_type=refresh_token", encode(object{"refresh_token": first.RefreshToken}))
	c.is(d.status >= 400, "under autoconfirm the refresh token of who signed up first counts")
}

// idTokens presents ID tokens that are not for this application, or nobody's.
func idTokens(t *testing.T, n *town, acme, other *issuer) {
	c := attackDoor(t, authDoor, "19 ID tokens of others")
	ada := said("ada-token", "ada.token@flows.example", true)
	ask := func(token string, more object) answer {
		return n.do(t, "POST", "/auth/v1/token?grant_type=id_token", encode(object{"provider": "acme", "id_token": token}.with(more)))
	}
	if a := ask(acme.sign(t, ada), nil); a.status != 200 {
		t.Fatalf("an honest ID token: %d %s", a.status, a.body)
	}
	for _, more := range []object{{"aud": "another-client"}, {"aud": nil}, {"aud": []string{}}, {"aud": "authenticated"}, {"iss": other.url}, {"iss": nil}, {"iss": acme.url + "/"}, {"exp": 1}, {"exp": nil}, {"sub": nil}, {"sub": ""}, {"nonce": "x"}, {"nbf": 1 << 40}} {
		all := acme.claims(ada).with(more)
		a := ask(es256(t, acme.key, issuersHeader, encode(all)), nil)
		c.is(a.status >= 400 && a.status < 500, "an ID token with %v: %d %.100s", more, a.status, a.body)
	}
	good := acme.sign(t, ada)
	parts := strings.Split(good, ".")
	for what, token := range map[string]string{
		"of another issuer": other.sign(t, ada), "of another issuer in this one's name": other.sign(t, ada.with(object{"iss": acme.url})), "none": b64(`{"alg":"none"}`) + "." + parts[1] + ".", "HS256": hs256("hush", `{"alg":"HS256","kid":"k1"}`, encode(ada.with(object{"iss": acme.url, "aud": "town-client", "exp": 1 << 32}))),
		"cut": good[:len(good)-3], "our own access token": n.member(t, "own-token", nil).token, "with a jku": es256(t, other.key, `{"alg":"ES256","kid":"k1","jku":"`+other.url+`/keys"}`, encode(ada)),
	} {
		a := ask(token, nil)
		c.is(a.status >= 400 && a.status < 500, "an ID token %s: %d %.100s", what, a.status, a.body)
	}
	a := ask(acme.sign(t, ada.with(object{"nonce": "abc"})), object{"nonce": "xyz"})
	c.is(a.status >= 400, "another nonce: %d", a.status)
	a = ask(good, object{"provider": "other"})
	c.is(a.status >= 400, "under another provider's name: %d", a.status)
}

// TestPoisonedMails has the headers of a request say where mails lead to, and
// addresses that look like another's.
func TestPoisonedMails(t *testing.T) {
	t.Parallel()
	n := openTown(t, "", freely)
	c := attackDoor(t, authDoor, "24 poisoned mails")
	ask := map[string]string{"recover": "/auth/v1/recover", "otp": "/auth/v1/otp", "resend": "/auth/v1/resend", "signup": "/auth/v1/signup"}
	i := 0
	for _, headers := range [][]string{
		{"Host: evil.example"},
		{"X-Forwarded-Host: evil.example"},
		{"X-Forwarded-Proto: gopher", "X-Forwarded-Host: evil.example"},
		{"Forwarded: host=evil.example;proto=https"},
		{"X-Original-Host: evil.example", "X-Host: evil.example"},
		{"X-Forwarded-Server: evil.example", "X-Http-Host-Override: evil.example"},
		{"Origin: https://evil.example", "Referer: https://evil.example/x"},
		{"X-Forwarded-Prefix: /evil.example", "X-Original-Url: https://evil.example/", "X-Rewrite-Url: https://evil.example/"},
		{"X-Forwarded-Port: 6666"},
		{"Host: " + n.address() + "@evil.example"},
	} {
		for name, path := range ask {
			i++
			who := fmt.Sprintf("poison%d@town.example", i)
			body := object{"email": who, "type": "signup", "password": pass, "site_url": "https://evil.example", "options": object{"redirectTo": "https://evil.example"}, "redirect_to": "https://evil.example"}
			if name == "recover" || name == "otp" {
				n.user(t, who, nil)
			}
			if name == "signup" && i > 8 { // each costs a password's hash
				continue
			}
			had := 0
			if name == "resend" {
				n.want(t, 200, "POST", "/auth/v1/admin/generate_link", encode(object{"type": "invite", "email": who}), boss)
			}
			a := n.do(t, "POST", path, encode(body), headers...)
			if a.status >= 400 { // a Host that is none
				c.is(a.status < 500, "%s with %v: %d", name, headers, a.status)
				continue
			}
			m := n.letter(t, who, had)
			all := m.Link + m.Text + m.HTML + m.Subject + m.From
			c.is(strings.HasPrefix(m.Link, n.url+"/auth/v1/verify?") && !strings.Contains(all, "evil") && !strings.Contains(all, "gopher") && !strings.Contains(all, "6666"), "%s with %v mails %s", name, headers, all)
		}
	}
	// Addresses that are nearly the victim's, or more than one.
	n.user(t, "vera@town.example", nil)
	before := len(n.mails(t, ""))
	for _, email := range []any{
		"vera@town.example\u200b", "vеra@town.example", "ｖera@town.example", "vera@town.example\u0000", "vera@town.example\r\nBcc: eve@evil.example", "vera@town.example\nSubject: x", "vera@town.example,eve@evil.example", "vera@town.example;eve@evil.example", "vera@town.example eve@evil.example",
		"eve@evil.example <vera@town.example>", "vera@town.example>", "\"vera\"@town.example", "vera@town.example@evil.example", "vera@[127.0.0.1]", "vera(eve@evil.example)@town.example", "vera%eve@evil.example@town.example",
		[]string{"vera@town.example", "eve@evil.example"},
		object{"$ne": nil},
		"vera@ＴＯＷＮ.example", "vera@town。example", "véra", "",
		strings.Repeat("v", 320) + "@town.example", "vera@" + strings.Repeat("x.", 200) + "example", "vera@town.example\u202e", "ve\u00adra@town.example", "vera@town.example\\", "\u212a@town.example", "vera@town.e\u212ample", "vera@ⓣown.example",
	} {
		for _, path := range []string{"recover", "otp", "signup", "resend"} {
			c.refused(n.node, "POST", "/auth/v1/"+path, encode(object{"email": email, "password": pass, "type": "signup"}))
		}
	}
	if got := len(n.mails(t, "")); got != before {
		list, _ := mail.List(filepath.Join(n.dir, "data", "mail"), got-before)
		for _, m := range list {
			t.Errorf("a mail was sent to %s", m.To)
		}
	}
	// A domain of other letters is another domain: its mail goes there alone.
	for _, email := range []string{"vera@town.examplе", "vera@tоwn.example", "vera@tówn.example", "vera@town.exampIe", "vera@town.example.evil.example"} {
		n.want(t, 200, "POST", "/auth/v1/otp", encode(object{"email": email}))
	}
	if !eventually(t, "mails to other domains", 5*time.Second, func() bool { return len(n.mails(t, "<vera@")) >= 5 }) {
		t.FailNow()
	}
	for _, m := range n.mails(t, "<vera@") {
		c.is(m.To != "<vera@town.example>", "a mail for another domain went to %s", m.To)
	}
	// What people write of themselves stays one line of a mail, and no HTML.
	for _, data := range []object{{"name": "x\r\nBcc: eve@evil.example"}, {"name": "<script>alert(1)</script>"}, {"name": "{{.Code}}"}, {"email": "eve@evil.example"}, {"SiteURL": "https://evil.example"}} {
		i++
		who := fmt.Sprintf("poison%d@town.example", i)
		n.want(t, 200, "POST", "/auth/v1/otp", encode(object{"email": who, "data": data}))
		m := n.letter(t, who, 0)
		c.is(!strings.Contains(m.Text+m.HTML+m.Subject+m.To, "evil") && !strings.Contains(m.HTML, "<script"), "data %v is in the mail %s", data, m.HTML)
	}
	// An address can hold what means something in HTML, in a query and in a template.
	for _, who := range []string{"a&b=c@town.example", "a{{.code}}@town.example", "a'onload='x@town.example", "a+b%0a@town.example", "a?redirect_to=x#@town.example"} {
		a := n.do(t, "POST", "/auth/v1/otp", encode(object{"email": who}))
		if a.status >= 400 {
			c.is(a.status == 400, "%s: %d", who, a.status)
			continue
		}
		c.is(eventually(t, "a mail to "+who, 5e9, func() bool { return len(n.mails(t, who)) == 1 }), "no mail to %s", who)
		u, err := url.Parse(n.letter(t, who, 0).Link)
		c.is(err == nil && u.Query().Get("redirect_to") == "https://town.example/home" && u.Query().Get("type") == "magiclink", "%s turns the link into %s", who, u)
	}
}
