package attack

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

// es256 signs claims under a header with a key of the attacker's.
func es256(t *testing.T, key *ecdsa.PrivateKey, header, claims string) string {
	t.Helper()
	text := b64(header) + "." + b64(claims)
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

// deny counts a token that every door must refuse.
func (n *town) deny(cs map[string]*class, what, token string) {
	for _, k := range knocks() {
		c := cs[k.door]
		c.t.Helper()
		a := n.do(c.t, "GET", k.path, "", "Authorization: Bearer "+token)
		c.is(a.status == 401 || a.status == 403 && k.door == authDoor || a.status == 431, "%s: %d %.200s", what, a.status, a.body)
		if a.status != 431 {
			if err := checkProblem(a, "GET"); err != nil {
				c.t.Errorf("%s: %v", what, err)
			}
		}
	}
}

func TestForgedTokens(t *testing.T) {
	t.Parallel()
	n := openTown(t, "", freely)
	eve := n.trusted(t, "eve")
	for _, k := range knocks() { // what is forged below opens every door when it is not
		if a := n.want(t, 200, "GET", k.path, "", eve.as()); k.shut(a) {
			t.Fatal("nothing is behind " + k.path)
		}
	}
	jwks := n.want(t, 200, "GET", "/auth/v1/.well-known/jwks.json", "").body
	published := decode[struct{ Keys []struct{ Kid, X, Y string } }](t, answer{body: jwks}).Keys[0]
	claims := claimsOf(t, eve.token)
	text := encode(claims)
	parts := strings.Split(eve.token, ".")
	header := decode[object](t, answer{body: string(must(base64.RawURLEncoding.DecodeString(parts[0])))})
	kid := published.Kid
	mine, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public := must(mine.PublicKey.Bytes())
	jwk := object{"kty": "EC", "crv": "P-256", "kid": kid, "x": base64.RawURLEncoding.EncodeToString(public[1:33]), "y": base64.RawURLEncoding.EncodeToString(public[33:])}
	c := attackDoors(t, "18 JWT forgery")

	for _, alg := range []string{"none", "None", "NONE", "nOnE", "", "HS256", "HS384", "HS512", "RS256", "PS256", "ES384", "ES512", "EdDSA", "ES256K", "dir"} {
		h := encode(header.with(object{"alg": alg}))
		n.deny(c, "alg "+alg+" without a signature", b64(h)+"."+b64(text)+".")
		n.deny(c, "alg "+alg+" with the old signature", b64(h)+"."+b64(text)+"."+parts[2])
	}
	// The public key in all its forms as a secret.
	x, y := must(base64.RawURLEncoding.DecodeString(published.X)), must(base64.RawURLEncoding.DecodeString(published.Y))
	for what, secret := range map[string]string{
		"the JWKS": jwks, "x": string(x), "x and y": string(x) + string(y), "the point": "\x04" + string(x) + string(y), "x as text": published.X, "the kid": kid, "nothing": "", "NUL": strings.Repeat("\x00", 32), "the publishable key": publishable, "secret": "secret", "a prefix": jwtSecret[:32],
	} {
		n.deny(c, "HS256 by "+what, hs256(secret, encode(header.with(object{"alg": "HS256"})), text))
		n.deny(c, "HS256 without kid by "+what, hs256(secret, `{"alg":"HS256","typ":"JWT"}`, text))
	}
	n.deny(c, "HS256 with the kid of an ES256 key", hs256(jwtSecret, encode(object{"alg": "HS256", "kid": kid}), text))
	for _, k := range []any{"../../../../dev/null", "/dev/null", "file:///dev/null", "' OR 1=1 --", "x' UNION SELECT 'AAAA", kid + "\x00", kid + "/../" + kid, "", nil, 0, []string{kid}, object{"kid": kid}, true, strings.Repeat("k", 5000), "http://127.0.0.1:9/keys"} {
		h := encode(header.with(object{"kid": k}))
		n.deny(c, "kid "+h[:min(len(h), 60)], es256(t, mine, h, text))
		n.deny(c, "HS256 and kid "+h[:min(len(h), 60)], hs256("", encode(object{"alg": "HS256", "kid": k}), text))
	}
	for _, more := range []object{
		{"jwk": jwk},
		{"jku": "http://127.0.0.1:9/keys"},
		{"x5u": "http://127.0.0.1:9/cert"},
		{"x5c": []string{"MIIB"}},
		{"x5t": "AAAA"},
		{"x5t#S256": "AAAA"},
		{"crit": []string{"exp"}, "exp": 1},
		{"crit": []string{}},
		{"b64": false, "crit": []string{"b64"}},
		{"zip": "DEF"},
		{"enc": "A128GCM"},
		{"cty": "JWT"},
		{"typ": "at+jwt"},
		{"typ": "logout+jwt"},
		{"typ": 1},
		{"alg": []string{"ES256"}},
		{"alg": nil},
		{"p2c": 1 << 30},
		{"epk": jwk},
		{"nonce": "x"},
	} {
		h := encode(header.with(more))
		n.deny(c, "header "+h, es256(t, mine, h, text))
		n.deny(c, "header "+h+" and the old signature", b64(h)+"."+parts[1]+"."+parts[2])
		n.deny(c, "HS256 and header "+h, hs256(jwtSecret, encode(object{"alg": "HS256", "typ": "JWT"}.with(more)), text)) // by the right secret
	}
	n.deny(c, "a key of one's own", es256(t, mine, encode(header), text))
	// The signature's bytes.
	sig := must(base64.RawURLEncoding.DecodeString(parts[2]))
	order := elliptic.P256().Params().N
	for what, b := range map[string][]byte{
		"zero": make([]byte, 64), "r zero": append(make([]byte, 32), sig[32:]...), "s is n": append(append([]byte{}, sig[:32]...), order.FillBytes(make([]byte, 32))...), "swapped": append(append([]byte{}, sig[32:]...), sig[:32]...),
		"short": sig[:63], "long": append(append([]byte{}, sig...), 0), "twice": append(append([]byte{}, sig...), sig...), "DER": append([]byte{0x30, 0x44, 2, 0x20}, sig...), "a bit": append(append([]byte{}, sig[:63]...), sig[63]^1),
	} {
		n.deny(c, "signature "+what, parts[0]+"."+parts[1]+"."+base64.RawURLEncoding.EncodeToString(b))
	}
	// Two texts of one token, which a cache or a ban could take for two.
	for what, token := range map[string]string{
		"padding": eve.token + "=", "a line break": parts[0] + "." + parts[1][:10] + "%0A" + parts[1][10:] + "." + parts[2], "a fourth part": eve.token + ".x", "a dot": eve.token + ".", "two dots": parts[0] + ".." + parts[2], "JWE": strings.Join(append(parts, "x", "y"), "."), "JSON": `{"payload":"` + parts[1] + `"}`,
		"trailing bits": parts[0] + "." + parts[1] + "." + parts[2][:len(parts[2])-1] + other(parts[2]), "standard alphabet": strings.NewReplacer("-", "+", "_", "/").Replace(eve.token) + "+", "a prefix": "x" + eve.token, "upper case": strings.ToUpper(eve.token), "twice": eve.token + eve.token, "1 MB": eve.token + strings.Repeat("A", 30<<10), "cut": eve.token[:len(eve.token)-2],
		"other claims": parts[0] + "." + b64(encode(claims.with(object{"sub": "01980009-0000-7000-8000-00000000ffff"}))) + "." + parts[2], "two members": parts[0] + "." + b64(text[:len(text)-1]+`,"role":"service_role"}`) + "." + parts[2],
	} {
		n.deny(c, what, token)
	}

	issued(t, n, claims)
}

// other is another last character of base64 that stands for the same bytes.
func other(part string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	i := strings.IndexByte(alphabet, part[len(part)-1])
	return string(alphabet[i^1])
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // of the test's own values
	}
	return v
}

// issued tries claims under a signature that is right.
func issued(t *testing.T, n *town, claims object) {
	t.Helper()
	c := attackDoors(t, "19 issuer, audience and times")
	sign := func(more object) string {
		return hs256(jwtSecret, `{"alg":"HS256","typ":"JWT"}`, encode(claims.with(more)))
	}
	n.want(t, 200, "GET", "/rest/v1/ranks?select=rank", "", "Authorization: Bearer "+sign(nil))
	n.want(t, 200, "GET", "/audit/v1/records?limit=1", "", "Authorization: Bearer "+sign(nil))
	iss := claims["iss"].(string) //nolint:forcetypeassert // the node's own token
	now := time.Now().Unix()
	for _, more := range []object{
		{"iss": nil},
		{"iss": ""},
		{"iss": "https://evil.example/auth/v1"},
		{"iss": iss + "/"},
		{"iss": strings.ToUpper(iss)},
		{"iss": []string{iss}},
		{"iss": object{"iss": iss}},
		{"iss": iss + "\x00"},
		{"iss": strings.TrimSuffix(iss, "/auth/v1")},
		{"iss": " " + iss},
		{"iss": 1},
		{"aud": nil},
		{"aud": ""},
		{"aud": "anon"},
		{"aud": "service_role"},
		{"aud": []string{}},
		{"aud": []string{"other"}},
		{"aud": object{"authenticated": true}},
		{"aud": "authenticated "},
		{"aud": "Authenticated"},
		{"aud": []any{[]string{"authenticated"}}},
		{"aud": "*"},
		{"aud": 1},
		{"aud": "authenticated,other"},
		{"exp": nil},
		{"exp": now - 1},
		{"exp": "9999999999"},
		{"exp": 0},
		{"exp": -1},
		{"exp": 1e300},
		{"exp": []int64{now + 100}},
		{"nbf": now + 3600},
		{"iat": now + 3600},
		{"nbf": "x"},
		{"sub": nil},
		{"sub": ""},
		{"sub": 1},
		{"sub": "admin"},
		{"sub": strings.ToUpper(claims["sub"].(string))},
		{"sub": "' OR 1=1"}, //nolint:forcetypeassert // the node's own token
		{"role": "admin"},
		{"role": "postgres"},
		{"role": "service"},
		{"role": []string{"service_role"}},
		{"role": "SERVICE_ROLE"},
		{"role": "service_role\x00"},
		{"role": ""},
		{"role": nil},
	} {
		n.deny(c, "claims "+encode(more), sign(more))
	}
	for _, text := range []string{``, `[]`, `null`, `"x"`, `1`, `{"sub":1,"sub":2}`, encode(claims)[1:], strings.Repeat("[", 4000), encode(claims.with(object{"x": nil}))[:20]} {
		n.deny(c, "payload "+text[:min(len(text), 20)], hs256(jwtSecret, `{"alg":"HS256","typ":"JWT"}`, text))
	}
	// A token of a machine for somebody else, and one of another issuer that has
	// the same key: this node under the address that it had before.
	made := decode[struct{ ID, Secret string }](t, answer{body: n.tell(t, "keys", "client", "create", "robot", "--role", "staff", "--audience", "https://other.example", "--json")})
	asked := func(body object) string {
		return decode[grant](t, n.want(t, 200, "POST", "/auth/v1/token?grant_type=client_credentials", encode(object{"client_id": made.ID, "client_secret": made.Secret}.with(body)))).AccessToken
	}
	n.want(t, 200, "GET", "/rest/v1/ranks", "", "Authorization: Bearer "+asked(nil))
	n.deny(c, "a machine's token for another audience", asked(object{"audience": "https://other.example"}))
	for _, body := range []object{{"audience": "https://nobody.example"}, {"audience": "service_role"}, {"client_secret": "x"}, {"client_id": "x"}, {"client_secret": ""}, {"client_id": made.ID + "'"}} {
		c[authDoor].refused(n.node, "POST", "/auth/v1/token?grant_type=client_credentials", encode(object{"client_id": made.ID, "client_secret": made.Secret}.with(body)))
	}
}

func TestTokenOfAnotherAddress(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	townIn(t, dir, "", freely)
	n := serveTown(t, dir, "PANDO_URL=https://one.example")
	eve := n.trusted(t, "eve")
	n.want(t, 200, "GET", "/rest/v1/ranks", "", eve.as())
	n.stop(t)
	n = serveTown(t, dir, "PANDO_URL=https://two.example")
	c := attackDoors(t, "19 the same key under another issuer")
	for range least { // out of no cache either
		n.deny(c, "a token of https://one.example", eve.token)
	}
}

// TestEndedSessions uses tokens after what they stand for has ended.
func TestEndedSessions(t *testing.T) {
	t.Parallel()
	n := openTown(t, "", freely)
	c := attackDoors(t, "20 a token outlives its session")
	i := 0
	fresh := func() person {
		i++
		return n.trusted(t, fmt.Sprintf("gone%d", i))
	}
	warm := func(p person) {
		for _, k := range knocks() {
			n.want(t, 200, "GET", k.path, "", p.as())
		}
	}
	// refreshed must not give a token any more.
	dead := func(what string, p person) {
		t.Helper()
		n.deny(c, what, p.token)
		a := n.do(t, "POST", "/auth/v1/token?grant_type=refresh_token", encode(object{"refresh_token": p.refresh}))
		c[authDoor].is(a.status >= 400 && a.status < 500, "%s: the refresh token gives %d %.200s", what, a.status, a.body)
	}
	for _, scope := range []string{"", "?scope=global", "?scope=local"} {
		p := fresh()
		second := n.enter(t, p.Email)
		warm(p)
		warm(second)
		n.want(t, 204, "POST", "/auth/v1/logout"+scope, "", p.as())
		dead("signed out "+scope, p)
		if scope != "?scope=local" {
			dead("signed out elsewhere "+scope, second)
		} else {
			warm(second)
		}
	}
	for what, end := range map[string]func(p person){
		"others":  func(p person) { n.want(t, 204, "POST", "/auth/v1/logout?scope=others", "", n.enter(t, p.Email).as()) },
		"banned":  func(p person) { n.want(t, 200, "PUT", "/auth/v1/admin/users/"+p.ID, `{"ban_duration":"1h"}`, boss) },
		"deleted": func(p person) { n.want(t, 200, "DELETE", "/auth/v1/admin/users/"+p.ID, "", boss) },
		"deleted softly": func(p person) {
			n.want(t, 200, "DELETE", "/auth/v1/admin/users/"+p.ID, `{"should_soft_delete":true}`, boss)
		},
		"a new password": func(p person) {
			n.want(t, 200, "PUT", "/auth/v1/user", encode(object{"password": pass}), n.enter(t, p.Email).as())
		},
		"an admin's password": func(p person) {
			n.want(t, 200, "PUT", "/auth/v1/admin/users/"+p.ID, encode(object{"password": pass}), boss)
		},
		"deleted by command": func(p person) { n.tell(t, "user", "delete", p.Email) },
		"banned by command":  func(p person) { n.tell(t, "user", "ban", p.Email) },
		"signed out after refreshes": func(p person) {
			body := encode(object{"refresh_token": p.refresh})
			a := decode[grant](t, n.want(t, 200, "POST", "/auth/v1/token?grant_type=refresh_token", body))
			b := decode[grant](t, n.want(t, 200, "POST", "/auth/v1/token?grant_type=refresh_token", encode(object{"refresh_token": a.RefreshToken})))
			n.want(t, 204, "POST", "/auth/v1/logout?scope=local", "", "Authorization: Bearer "+b.AccessToken)
		},
	} {
		p := fresh()
		warm(p)
		end(p)
		dead(what, p)
	}
	// A banned user gets no new session either.
	p := fresh()
	l := n.link(t, "magiclink", p.Email)
	n.want(t, 200, "PUT", "/auth/v1/admin/users/"+p.ID, `{"ban_duration":"1h"}`, boss)
	for _, body := range []object{{"type": "magiclink", "token_hash": l.HashedToken}, {"type": "magiclink", "email": p.Email, "token": l.EmailOTP}} {
		c[authDoor].refused(n.node, "POST", "/auth/v1/verify", encode(body))
	}
	takenRoles(t, n, c, fresh, warm)
	endedKeys(t, n, c)
}

// takenRoles uses roles after they were taken away, by every way there is.
func takenRoles(t *testing.T, n *town, c map[string]*class, fresh func() person, warm func(person)) {
	t.Helper()
	for what, take := range map[string]func(p person){
		"app_metadata": func(p person) {
			n.want(t, 200, "PUT", "/auth/v1/admin/users/"+p.ID, `{"app_metadata":{"roles":[]}}`, boss)
		},
		"user_roles": func(p person) {
			n.want(t, 204, "DELETE", "/rest/v1/user_roles?user_id=eq."+p.ID, "", boss, "Content-Profile: auth")
		},
	} {
		p := fresh()
		if what == "user_roles" {
			n.want(t, 200, "PUT", "/auth/v1/admin/users/"+p.ID, `{"app_metadata":{"roles":null}}`, boss)
			n.want(t, 201, "POST", "/rest/v1/user_roles", encode([]object{{"user_id": p.ID, "role": "admin"}, {"user_id": p.ID, "role": "auditor"}}), boss, "Content-Profile: auth")
			eventually(t, "roles that were given count", 6*time.Second, func() bool {
				return n.do(t, "GET", "/audit/v1/records?limit=1", "", p.as()).status == 200
			})
		}
		warm(p)
		take(p)
		begin := time.Now()
		for _, k := range append(knocksOfRows(), knock{restDoor, "/rest/v1/ranks"}, knock{auditDoor, "/audit/v1/records"}) {
			var a answer
			ok := eventually(t, what+" still opens "+k.door, 5*time.Second-time.Since(begin), func() bool {
				a = n.do(t, "GET", k.path, "", p.as())
				return a.status == 403 || k.shut(a)
			})
			c[k.door].is(ok, "%s: %d %.100s", what, a.status, a.body)
		}
	}
}

// endedKeys uses API keys and machines after they were revoked.
func endedKeys(t *testing.T, n *town, c map[string]*class) {
	t.Helper()
	key := decode[struct{ ID, Key string }](t, answer{body: n.tell(t, "keys", "create", "--name", "backend", "--json")})
	ask := append(knocksOfRows(), knock{restDoor, "/rest/v1/ranks"}, knock{authDoor, "/auth/v1/admin/users"}, knock{auditDoor, "/audit/v1/records?limit=1"})
	for _, k := range ask {
		n.want(t, 200, "GET", k.path, "", "Apikey: "+key.Key)
	}
	n.tell(t, "keys", "revoke", key.ID)
	for _, k := range ask {
		for _, h := range [][]string{{"Apikey: " + key.Key}, {"Authorization: Bearer " + key.Key}, {"Apikey: " + key.Key, "Authorization: Bearer " + publishable}} {
			c[k.door].status(n.node, 401, "GET", k.path, "", h...)
		}
	}
	made := decode[struct{ ID, Secret string }](t, answer{body: n.tell(t, "keys", "client", "create", "robot", "--role", "admin", "--json")})
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {made.ID}, "client_secret": {made.Secret}}.Encode()
	g := decode[grant](t, n.want(t, 200, "POST", "/auth/v1/token", form, "Content-Type: application/x-www-form-urlencoded"))
	who := "Authorization: Bearer " + g.AccessToken
	if a := n.want(t, 200, "GET", "/rest/v1/ranks", "", who); a.body == "[]" {
		t.Error("a machine has no role")
	}
	c[authDoor].status(n.node, 403, "GET", "/auth/v1/admin/users", "", who) // a machine is no administrator of users
	n.tell(t, "keys", "client", "revoke", made.ID)
	c[authDoor].status(n.node, 401, "POST", "/auth/v1/token", form, "Content-Type: application/x-www-form-urlencoded")
	begin := time.Now()
	var a answer
	ok := eventually(t, "a revoked machine is let in", 5*time.Second-time.Since(begin), func() bool {
		a = n.do(t, "GET", "/rest/v1/ranks", "", who)
		return a.status == 401
	})
	c[restDoor].is(ok, "a revoked machine: %d", a.status)
}

// TestIdentityHeaders says who one is in every way but a credential.
func TestIdentityHeaders(t *testing.T) {
	t.Parallel()
	n := openTown(t, "", freely)
	eve := n.trusted(t, "eve")
	none := n.member(t, "none", nil)
	c := attackDoors(t, "17 identity headers")
	uid, mailTo := eve.ID, eve.Email
	for _, h := range []string{
		"X-User-Id: " + uid, "X-User: " + mailTo, "X-Auth-User: " + mailTo, "X-Auth-Request-User: " + uid, "X-Auth-Request-Email: " + mailTo, "X-Auth-Roles: admin", "X-Forwarded-User: " + mailTo, "X-Forwarded-Email: " + mailTo, "X-Forwarded-Access-Token: " + eve.token,
		"Remote-User: " + mailTo, "X-Remote-User: " + mailTo, "Remote_User: " + mailTo, "X-Role: service", "Role: service", "X-Hasura-Role: admin", "X-Hasura-Admin-Secret: " + secretKey, "X-Access-Token: " + eve.token, "X-Jwt-Assertion: " + eve.token, "X-Goog-Iap-Jwt-Assertion: " + eve.token, "Cf-Access-Jwt-Assertion: " + eve.token,
		"Cookie: access_token=" + eve.token + "; sb-access-token=" + eve.token + "; pando-sign-in=" + eve.token, "X-Api-Key: " + secretKey, "X-Supabase-Auth: " + eve.token, "Proxy-Authorization: Bearer " + eve.token, "X-Client-Cert: CN=admin", "Ssl-Client-Verify: SUCCESS", "X-Original-Authorization: Bearer " + eve.token, "Forwarded: by=service;for=" + uid, "X-Service-Role: true", "Sec-Websocket-Protocol: " + eve.token, "X-Http-Method-Override: GET", "Prefer: role=service", "Apikey: " + publishable + ", " + secretKey,
	} {
		for _, k := range knocks() {
			a := n.do(t, "GET", k.path, "", h)
			c[k.door].is(a.status >= 401 && a.status <= 403 || k.shut(a), "%s: %d %.200s", h, a.status, a.body)
			b := n.do(t, "GET", k.path, "", h, none.as())
			c[k.door].is(b.status == 401 || k.shut(b) || k.door == auditDoor && b.status == 403 || k.door == authDoor && b.status == 200 && strings.Contains(b.body, none.ID), "%s as somebody else: %d %.200s", h, b.status, b.body)
		}
	}
	// Nor in the address, nor by another scheme, nor twice.
	for _, k := range knocks() {
		sep := "?"
		if strings.Contains(k.path, "?") {
			sep = "&"
		}
		for _, q := range []string{"apikey=" + secretKey, "access_token=" + eve.token, "token=" + eve.token, "Authorization=Bearer%20" + eve.token, "jwt=" + eve.token, "apikey=" + publishable} {
			a := n.do(t, "GET", k.path+sep+q, "", "Apikey: ")
			c[k.door].is(a.status >= 400 && a.status <= 403, "%s: %d %.200s", q, a.status, a.body)
		}
		for _, h := range []string{"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(mailTo+":"+pass)), "Authorization: Token " + eve.token, "Authorization: " + eve.token, "Authorization: Negotiate " + eve.token, "Authorization: Digest username=" + mailTo, "Authorization: Bearer" + eve.token} {
			a := n.do(t, "GET", k.path, "", h)
			c[k.door].is(a.status == 401, "%.60s: %d %.200s", h, a.status, a.body)
		}
		a := n.do(t, "GET", k.path, "", none.as(), "Authorization: Bearer "+eve.token) // both
		c[k.door].is(a.status >= 400 && a.status <= 403 || k.shut(a) || k.door == authDoor && strings.Contains(a.body, none.ID), "two Authorization headers: %d %.200s", a.status, a.body)
	}
	var caller struct{ Role string }
	if err := json.Unmarshal([]byte(n.want(t, 200, "GET", "/auth/v1/user", "", none.as(), "Role: service").body), &caller); err != nil || caller.Role != "authenticated" {
		t.Errorf("%v %v", caller, err)
	}
}
