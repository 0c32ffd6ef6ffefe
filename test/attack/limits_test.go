package attack

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// narrow are rates that few requests use up.
const narrow = `  rates: { sign_in: 6/1h, sign_up: 4/1h, anonymous: 4/1h, refresh: 6/1h, verify: 6/1h, mfa: 6/1h, account: 5/1h, mail: 5/1h, resend: 1/1h, admin: 100000/1m, other: 6/1h }
`

// behind is the town behind a balancer on loopback, which says by
// X-Forwarded-For who asks; each test asks from networks of its own.
const behind = "proxies: [127.0.0.0/8, \"::1/128\"]\n"

// through counts how many of n requests at once were not told to wait.
func through(t *testing.T, n int, ask func(i int) (answer, error)) int {
	t.Helper()
	var got atomic.Int64
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			switch a, err := ask(i); {
			case err != nil:
				t.Error(err)
			case a.status != 429:
				got.Add(1)
			case a.header.Get("Retry-After") == "":
				t.Error("429 without Retry-After")
			}
		})
	}
	wg.Wait()
	return int(got.Load())
}

func TestLimits(t *testing.T) {
	t.Parallel()
	n := openTown(t, behind, narrow)
	n.user(t, "ann@town.example", object{"password": pass})
	network := 0
	next := func() string {
		network++
		return fmt.Sprintf("X-Forwarded-For: 198.51.100.%d", network)
	}
	password := func(email string, header ...string) (answer, error) {
		return n.request("POST", "/auth/v1/token?grant_type=password", encode(object{"email": email, "password": "wrong wrong wrong"}), header...)
	}
	nobody := func(i int) string { return fmt.Sprintf("nobody%d@town.example", i) }
	t.Run("batch", func(t *testing.T) { batches(t, n, next, password, nobody) })
	t.Run("key", func(t *testing.T) { chosenKeys(t, n, next, password) })
	t.Run("proxies", func(t *testing.T) { trustedProxies(t, n) })
}

// guess tries a link's token, which is counted by network and costs no hash.
func (n *town) guess(i int, header ...string) (answer, error) {
	return n.request("POST", "/auth/v1/verify", encode(object{"type": "magiclink", "token_hash": fmt.Sprint(i)}), header...)
}

type (
	nextNetwork func() string
	tryPassword func(email string, header ...string) (answer, error)
	nameOf      func(i int) string
)

func batches(t *testing.T, n *town, next nextNetwork, password tryPassword, nobody nameOf) {
	c := attackDoor(t, authDoor, "14 a batch evades the limit")
	most := func(what string, limit, tries int, ask func(i int) (answer, error)) {
		t.Helper()
		got := through(t, tries, ask)
		c.is(got <= limit, "%s: %d of %d got through, at most %d may", what, got, tries, limit)
	}
	from := next()
	most("one account at once", 5, 16, func(int) (answer, error) { return password("ann@town.example", from) })
	from2 := next()
	most("many accounts at once", 6, 16, func(i int) (answer, error) { return password(nobody(i), from2) })
	var h2 http.Protocols
	h2.SetUnencryptedHTTP2(true)
	two := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{Protocols: &h2}}
	defer two.CloseIdleConnections()
	from3 := next()
	most("streams of one connection", 6, 16, func(i int) (answer, error) {
		return n.send(two, "POST", "/auth/v1/token?grant_type=password", strings.NewReader(encode(object{"email": nobody(i), "password": "wrong wrong wrong"})), from3)
	})
	from4 := next()
	body := encode(object{"email": "ann@town.example", "password": "wrong wrong wrong"})
	line := "POST /auth/v1/token?grant_type=password HTTP/1.1\r\nHost: x\r\nApikey: " + publishable + "\r\n" + from4 + "\r\nContent-Type: application/json\r\nContent-Length: " + fmt.Sprint(len(body)) + "\r\n\r\n" + body
	for range 3 { // one after the other, so that the answers fit into raw's patience
		n.raw(t, strings.Repeat(line, 3))
	}
	a, err := password("ann@town.example", from4)
	c.is(err == nil && a.status == 429, "nine pipelined tries were not counted: %d", a.status)
	for what, ask := range map[string]struct {
		limit        int
		method, path string
		body         func(i int) any
	}{
		"anonymous sign-ups":     {4, "POST", "/auth/v1/signup", func(int) any { return object{} }},
		"sign-ups":               {4, "POST", "/auth/v1/signup", func(i int) any { return object{"email": fmt.Sprintf("up%d@town.example", i), "password": pass} }},
		"mails to many":          {5, "POST", "/auth/v1/otp", func(i int) any { return object{"email": fmt.Sprintf("mail%d@town.example", i)} }},
		"resets of many":         {5, "POST", "/auth/v1/recover", func(i int) any { return object{"email": nobody(i)} }},
		"resends to many":        {5, "POST", "/auth/v1/resend", func(i int) any { return object{"type": "signup", "email": nobody(i)} }},
		"codes of many":          {6, "POST", "/auth/v1/verify", func(i int) any { return object{"type": "email", "email": nobody(i), "token": "123456"} }},
		"hashes":                 {6, "POST", "/auth/v1/verify", func(i int) any { return object{"type": "magiclink", "token_hash": fmt.Sprint(i)} }},
		"refresh tokens":         {6, "POST", "/auth/v1/token?grant_type=refresh_token", func(i int) any { return object{"refresh_token": fmt.Sprint(i)} }},
		"codes of flows":         {6, "POST", "/auth/v1/token?grant_type=pkce", func(i int) any { return object{"auth_code": fmt.Sprint(i), "code_verifier": strings.Repeat("v", 43)} }},
		"machines":               {6, "POST", "/auth/v1/token?grant_type=client_credentials", func(i int) any { return object{"client_id": fmt.Sprint(i), "client_secret": "x"} }},
		"one address's mails":    {1, "POST", "/auth/v1/otp", func(int) any { return object{"email": "one@town.example"} }},
		"links that are guessed": {6, "GET", "/auth/v1/callback?state=x&code=y", func(int) any { return nil }},
	} {
		from := next()
		most(what, ask.limit, 14, func(i int) (answer, error) {
			text := ""
			if v := ask.body(i); v != nil {
				text = encode(v)
			}
			return n.request(ask.method, ask.path, text, from)
		})
	}
	// Several in one body are refused as one.
	many := []object{{"email": "ann@town.example", "password": "a"}, {"email": "ann@town.example", "password": "b"}}
	for path, body := range map[string]any{
		"token?grant_type=password": many, "otp": []object{{"email": "a@town.example"}, {"email": "b@town.example"}}, "recover": []string{"a@town.example"}, "verify": []object{{"type": "email", "email": "ann@town.example", "token": "000000"}}, "signup": many,
	} {
		c.refused(n.node, "POST", "/auth/v1/"+path, encode(body), next())
	}
	for path, body := range map[string]object{"otp": {"email": []string{"a@town.example", "b@town.example"}}, "verify": {"email": "ann@town.example", "token": []string{"000000", "000001"}, "type": "email"}, "token?grant_type=password": {"email": "ann@town.example", "password": []string{"a", "b"}}} {
		c.refused(n.node, "POST", "/auth/v1/"+path, encode(body), next())
	}
	// The tries of one code are counted wherever they come from.
	l := n.link(t, "magiclink", "ann@town.example")
	wrong := "000000"
	if l.EmailOTP == wrong {
		wrong = "000001"
	}
	var froms []string
	for range 24 {
		froms = append(froms, next())
	}
	through(t, len(froms), func(i int) (answer, error) {
		return n.request("POST", "/auth/v1/verify", encode(object{"type": "magiclink", "email": "ann@town.example", "token": wrong}), froms[i])
	})
	a = n.do(t, "POST", "/auth/v1/verify", encode(object{"type": "magiclink", "email": "ann@town.example", "token": l.EmailOTP}), next())
	c.is(a.status >= 400, "a code counts after %d wrong tries: %d", len(froms), a.status)
	// And a stranger's tries keep nobody out who knows the password.
	if a := n.login(t, "ann@town.example", pass, next()); a.status != 200 {
		t.Errorf("strangers lock Ann out: %d %s", a.status, a.body)
	}
}

func chosenKeys(t *testing.T, n *town, next nextNetwork, password tryPassword) {
	c := attackDoor(t, authDoor, "15 the attacker chooses the limit's key")
	spent := func() string { // a network that may not sign in any more
		from := next()
		through(t, 10, func(int) (answer, error) { return password("ann@town.example", from) })
		return from
	}
	from := spent()
	for _, email := range []string{"ANN@town.example", "Ann@Town.Example", " ann@town.example", "ann@town.example ", "ann@TOWN.EXAMPLE", "ann+1@town.example", "a.nn@town.example", "ａnn@town.example", "ann@town.example\u200b", "ann@town.example\x00", "", "x", strings.Repeat("a", 400)} {
		a, err := password(email, from)
		c.is(err == nil && (a.status == 429 || a.status == 400 && !strings.Contains(a.body, "invalid_credentials")), "as %q: %d %.100s", email, a.status, a.body)
	}
	for _, h := range [][]string{
		{"Apikey: ", "Authorization: Bearer " + publishable},
		{"Authorization: Bearer " + publishable},
		{"Apikey: " + publishable, "X-Api-Key: x"},
		{"User-Agent: another"},
		{"X-Request-Id: 1"},
		{"X-Client-Info: x"},
		{"Cookie: a=b"},
		{"Accept-Language: x"},
		{"Origin: https://x.example"},
		{"X-Real-Ip: 203.0.113.1"},
		{"Idempotency-Key: 1"},
		{"X-Forwarded-User: x"},
	} {
		a, err := password("ann@town.example", append(h, from)...)
		c.is(err == nil && a.status == 429, "with %v: %d", h, a.status)
	}
	for _, path := range []string{"/auth/v1/token?grant_type=password&x=1", "/auth/v1/token?x=1&grant_type=password", "/auth/v1/token?grant_type=%70assword"} {
		a := n.do(t, "POST", path, encode(object{"email": "ann@town.example", "password": "x"}), from)
		c.is(a.status == 429, "%s: %d", path, a.status)
	}
	a := n.do(t, "POST", "/auth/v1/token", encode(object{"grant_type": "password", "username": "ann@town.example", "password": "x"}), from)
	c.is(a.status == 429, "as username: %d", a.status)
	// The addresses of one IPv6 subscriber, and other spellings of one address.
	for what, of := range map[string]func(i int) string{
		"one /64":                 func(i int) string { return fmt.Sprintf("2001:db8:0:1::%x", i+1) },
		"the upper half of a /64": func(i int) string { return fmt.Sprintf("2001:db8:0:2:%x::1", i*4096) },
		"IPv4 in IPv6": func(i int) string {
			return []string{"203.0.113.77", "::ffff:203.0.113.77", "::FFFF:cb00:714d", "203.0.113.77:" + fmt.Sprint(1000+i)}[i%4]
		},
		"ports":         func(i int) string { return fmt.Sprintf("203.0.113.78:%d", 2000+i) },
		"ports of IPv6": func(i int) string { return fmt.Sprintf("[2001:db8:0:3::1]:%d", 2000+i) },
		"spellings of IPv6": func(i int) string {
			return []string{"2001:db8:0:4::1", "2001:DB8:0:4:0:0:0:1", "2001:0db8:0000:0004::0001"}[i%3]
		},
		"zones":              func(i int) string { return fmt.Sprintf("fe80::1%%eth%d", i) },
		"what is no address": func(i int) string { return fmt.Sprintf("host%d", i) },
	} {
		got := through(t, 14, func(i int) (answer, error) { return n.guess(i, "X-Forwarded-For: "+of(i)) })
		c.is(got <= 6, "%s: %d of 14 got through", what, got)
	}
	// One mailbox under many spellings gets one mail.
	from = next()
	for _, email := range []string{"box@town.example", "BOX@town.example", "Box@Town.Example", " box@town.example ", "box@TOWN.example", "box@town.example "} {
		n.do(t, "POST", "/auth/v1/otp", encode(object{"email": email}), from)
		a := n.do(t, "POST", "/auth/v1/recover", encode(object{"email": email}), from)
		c.is(a.status == 429, "a mail more to %q: %d", email, a.status)
	}
	if n.letter(t, "box@town.example", 0); len(n.mails(t, "box@town.example")) != 1 {
		t.Errorf("%d mails to one mailbox", len(n.mails(t, "box@town.example")))
	}
}

// trustedProxies writes X-Forwarded-For in front of what the balancer adds.
func trustedProxies(t *testing.T, n *town) {
	c := attackDoor(t, authDoor, "16 X-Forwarded-For past a balancer")
	for what, of := range map[string]func(i int) []string{
		"addresses before it": func(i int) []string { return []string{fmt.Sprintf("X-Forwarded-For: 6.6.6.%d, 192.0.2.1", i)} },
		"a header before it": func(i int) []string {
			return []string{fmt.Sprintf("X-Forwarded-For: 6.6.6.%d", i), "X-Forwarded-For: 192.0.2.2"}
		},
		"many before it": func(i int) []string {
			return []string{"X-Forwarded-For: " + strings.Repeat(fmt.Sprintf("6.6.7.%d, ", i), 100) + "192.0.2.3"}
		},
		"balancers before it": func(i int) []string {
			return []string{fmt.Sprintf("X-Forwarded-For: 6.6.8.%d, 127.0.0.1, 192.0.2.4, 127.0.0.9", i)}
		},
		"other headers beside it": func(i int) []string {
			return []string{"X-Forwarded-For: 192.0.2.5", fmt.Sprintf("X-Real-Ip: 6.6.9.%d", i), fmt.Sprintf("Forwarded: for=6.6.9.%d", i), fmt.Sprintf("True-Client-Ip: 6.6.9.%d", i)}
		},
		"what is no address":   func(i int) []string { return []string{fmt.Sprintf("X-Forwarded-For: 6.6.10.%d, x, 192.0.2.6", i)} },
		"an address in quotes": func(i int) []string { return []string{fmt.Sprintf(`X-Forwarded-For: "6.6.11.%d", 192.0.2.7`, i)} },
		"only other headers": func(i int) []string {
			return []string{fmt.Sprintf("X-Real-Ip: 6.6.12.%d", i), fmt.Sprintf("Cf-Connecting-Ip: 6.6.12.%d", i)}
		},
		"a header of another case": func(i int) []string { return []string{fmt.Sprintf("x-forwarded-for: 6.6.13.%d,192.0.2.8", i)} },
	} {
		got := through(t, 10, func(i int) (answer, error) { return n.guess(i, of(i)...) })
		c.is(got <= 6, "%s: %d of 10 got through", what, got)
	}
}

// TestForwardedHeaders claims addresses where no balancer is configured.
func TestForwardedHeaders(t *testing.T) {
	t.Parallel()
	n := openTown(t, "", narrow)
	c := attackDoors(t, "16 an address that is claimed")
	n.want(t, 201, "POST", "/rest/v1/near", `{"name":"for 6.6.6.6 alone"}`, boss)
	eve := n.trusted(t, "eve")
	through(t, 10, func(i int) (answer, error) { return n.guess(i) })
	for _, h := range []string{
		"X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 6.6.6.6, 127.0.0.1", "X-Real-Ip: 6.6.6.6", "Forwarded: for=6.6.6.6", "Forwarded: for=\"[::ffff:6.6.6.6]\"", "True-Client-Ip: 6.6.6.6", "Cf-Connecting-Ip: 6.6.6.6", "X-Client-Ip: 6.6.6.6", "X-Cluster-Client-Ip: 6.6.6.6", "Fastly-Client-Ip: 6.6.6.6", "X-Original-Forwarded-For: 6.6.6.6",
		"X-Forwarded: 6.6.6.6", "Forwarded-For: 6.6.6.6", "X-Envoy-External-Address: 6.6.6.6", "X-Remote-Addr: 6.6.6.6", "X-Remote-Ip: 6.6.6.6", "Via: 1.1 6.6.6.6", "X-Azure-Clientip: 6.6.6.6",
	} {
		a := n.do(t, "GET", "/rest/v1/near", "", h, eve.as())
		c[restDoor].is(a.status == 200 && a.body == "[]", "%s: %d %s", h, a.status, a.body)
		for _, d := range rowDoors() {
			a := n.through(t, d.read("near", []string{"id"}, nil, "", nil), h, eve.as())
			c[d.name].is(rowless(a), "%s: %d %s", h, a.status, a.body)
		}
		b, err := n.guess(0, h)
		c[authDoor].is(err == nil && b.status == 429, "%s makes another network: %d %v", h, b.status, err)
		n.want(t, 200, "GET", "/audit/v1/checkpoint", "", eve.as(), h)
		d := n.do(t, "GET", "/audit/v1/records?limit=5", "", eve.as(), h)
		c[auditDoor].is(d.status == 200 && strings.Contains(d.body, `"ip":"127.0.0.1"`) && !strings.Contains(d.body, "6.6.6.6"), "%s: the trail has %.600s", h, d.body)
	}
}
