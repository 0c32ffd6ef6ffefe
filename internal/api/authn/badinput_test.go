package authn_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// parts are the header and the claims of a token.
func parts(t *testing.T, token string) (header, claims map[string]any) {
	t.Helper()
	text := strings.Split(token, ".")
	for i, target := range []*map[string]any{&header, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(text[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, target); err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}

func encode(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// sign makes a token with a header of the test's choice.
func sign(t *testing.T, alg jose.SignatureAlgorithm, key any, header map[jose.HeaderKey]any, claims map[string]any) string {
	t.Helper()
	opt := (&jose.SignerOptions{ExtraHeaders: header}).WithType("JWT")
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, opt)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := s.Sign(raw)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Every forged, stale or foreign token is refused with bad_jwt, and the one
// that all of them are made of is accepted.
func TestBadTokens(t *testing.T) {
	d := newDoor(t)
	_, good, _ := d.member(t, "ada@example.com")
	header, claims := parts(t, good)
	with := func(name string, value any) map[string]any {
		out := maps.Clone(claims)
		if out[name] = value; value == nil {
			delete(out, name)
		}
		return out
	}
	foreign, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := d.clock.Now().Unix()
	secret := []byte(jwtSecret)
	dot := strings.Split(good, ".")
	none := func(alg string) string {
		return encode(t, map[string]any{"alg": alg, "typ": "JWT"}) + "." + dot[1] + "."
	}
	var jwks struct{ Keys []json.RawMessage }
	if err := json.Unmarshal([]byte(d.call(t, http.MethodGet, "/auth/v1/.well-known/jwks.json", "").body), &jwks); err != nil || len(jwks.Keys) == 0 {
		t.Fatal(err, "no keys")
	}
	asES256 := map[jose.HeaderKey]any{"kid": header["kid"]}
	tokens := map[string]string{
		"alg none":                       none("none"),
		"alg nOnE":                       none("nOnE"),
		"alg none with the signature":    none("none") + dot[2],
		"no signature":                   dot[0] + "." + dot[1] + ".",
		"another payload":                dot[0] + "." + encode(t, with("sub", "00000000-0000-7000-8000-000000000000")) + "." + dot[2],
		"a foreign key, our kid":         sign(t, jose.ES256, foreign, asES256, claims),
		"a foreign key, its kid":         sign(t, jose.ES256, foreign, map[jose.HeaderKey]any{"kid": "foreign"}, claims),
		"a foreign key, a kid of a path": sign(t, jose.ES256, foreign, map[jose.HeaderKey]any{"kid": "../../dev/null"}, claims),
		"a foreign key, no kid":          sign(t, jose.ES256, foreign, nil, claims),
		"an embedded jwk": sign(t, jose.ES256, foreign, map[jose.HeaderKey]any{
			"jwk": jose.JSONWebKey{Key: foreign.Public(), Algorithm: "ES256"},
		}, claims),
		"an embedded jwk, our kid": sign(t, jose.ES256, foreign, map[jose.HeaderKey]any{
			"kid": header["kid"], "jwk": jose.JSONWebKey{Key: foreign.Public(), Algorithm: "ES256"},
		}, claims),
		"a jku":                              sign(t, jose.ES256, foreign, map[jose.HeaderKey]any{"kid": "x", "jku": "https://evil.example/jwks.json"}, claims),
		"HS256 with the public key":          sign(t, jose.HS256, []byte(jwks.Keys[0]), asES256, claims),
		"HS256 with another secret":          sign(t, jose.HS256, []byte("another secret of HS256 that is long enough"), nil, claims),
		"HS256, expired":                     sign(t, jose.HS256, secret, nil, with("exp", now-3600)),
		"HS256, no expiry":                   sign(t, jose.HS256, secret, nil, with("exp", nil)),
		"HS256, from the future":             sign(t, jose.HS256, secret, nil, with("nbf", now+3600)),
		"HS256, issued in the future":        sign(t, jose.HS256, secret, nil, with("iat", now+3600)),
		"HS256, another audience":            sign(t, jose.HS256, secret, nil, with("aud", "another")),
		"HS256, a role that nobody can have": sign(t, jose.HS256, secret, nil, with("role", "postgres")),
		"HS512":                              sign(t, jose.HS512, []byte(jwtSecret+jwtSecret), nil, claims),
		"a token of 1 MB":                    dot[0] + "." + strings.Repeat("A", 1<<20) + "." + dot[2],
		"a token in another encoding":        dot[0] + "." + dot[1] + "." + dot[2] + "=",
		"four parts":                         good + ".x",
		"no token":                           "a.b.c",
		"encrypted":                          "eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..AAAA.AAAA.AAAA",
	}
	for name, token := range tokens {
		t.Run(name, func(t *testing.T) {
			if len(token) > 60<<10 {
				// The edge refuses such a header; the room must not fall either.
				defer d.Client().CloseIdleConnections()
			}
			r := d.tokenCall(t, token)
			if r == nil {
				return // refused below HTTP
			}
			if got := r.code(t); r.status != http.StatusForbidden && r.status != http.StatusUnauthorized || got != "bad_jwt" && got != "no_authorization" && got != "session_not_found" {
				t.Errorf("%d %s", r.status, r.body)
			}
		})
	}
	if r := d.tokenCall(t, good); r.status != http.StatusOK {
		t.Errorf("the token that all of these are made of: %d %s", r.status, r.body)
	}
	d.clock.Advance(time.Hour + 2*time.Minute)
	if r := d.tokenCall(t, good); r.code(t) != "bad_jwt" {
		t.Errorf("the same token when it has expired: %d %s", r.status, r.body)
	}
}

// tokenCall asks for the user; nil: the server did not read the request.
func (d *door) tokenCall(t *testing.T, token string) *reply {
	t.Helper()
	if len(token) > 900<<10 { // net/http's server bounds headers to 1 MiB and ends the connection
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.URL+"/auth/v1/user", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Apikey", d.publishable)
		r.Header.Set("Authorization", "Bearer "+token)
		res, err := d.Client().Do(r)
		if err != nil {
			return nil
		}
		defer res.Body.Close()
		if res.StatusCode == http.StatusOK {
			t.Error("accepted")
		}
		return nil
	}
	return d.call(t, http.MethodGet, "/auth/v1/user", "", "Authorization", "Bearer "+token)
}

// Addresses that could be taken for another one, are too long or carry a
// header are refused wherever one is read, and no mail goes out.
func TestBadAddresses(t *testing.T) {
	d := newDoor(t)
	addresses := map[string]string{
		"no address":            "ada",
		"two @":                 "ada@example.com@evil.example",
		"a Cyrillic a":          "аda@example.com",
		"a Kelvin sign":         "\u212Aay@example.com",
		"full width":            "ａda@example.com",
		"a ligature":            "ofﬁce@example.com",
		"a zero width joiner":   "ad\u200da@example.com",
		"right to left":         "ada@example.com\u202e",
		"321 characters":        strings.Repeat("a", 309) + "@example.com",
		"a long name":           strings.Repeat("a", 65) + "@example.com",
		"a header":              "ada@example.com\r\nBcc: bob@example.com",
		"a line feed":           "ada@example.com\n",
		"a NUL":                 "ada@example.com\x00",
		"a display name":        "Ada <ada@example.com>",
		"a comment":             "ada(x)@example.com",
		"a quoted name":         "\"ada@evil.example\"@example.com",
		"a list":                "ada@example.com,bob@example.com",
		"an address literal":    "ada@[127.0.0.1]",
		"a domain of one label": "ada@localhost",
		"a space":               "ada @example.com",
	}
	paths := map[string]func(email string) map[string]any{
		"/auth/v1/signup":  func(e string) map[string]any { return map[string]any{"email": e, "password": password} },
		"/auth/v1/otp":     func(e string) map[string]any { return map[string]any{"email": e} },
		"/auth/v1/recover": func(e string) map[string]any { return map[string]any{"email": e} },
		"/auth/v1/resend":  func(e string) map[string]any { return map[string]any{"email": e, "type": "signup"} },
		"/auth/v1/invite":  func(e string) map[string]any { return map[string]any{"email": e} },
		"/auth/v1/admin/users": func(e string) map[string]any {
			return map[string]any{"email": e, "password": password}
		},
	}
	for name, address := range addresses {
		for path, body := range paths {
			raw, err := json.Marshal(body(address))
			if err != nil {
				t.Fatal(err)
			}
			key := d.publishable
			if strings.Contains(path, "admin") || strings.Contains(path, "invite") {
				key = d.secret
			}
			r := d.call(t, http.MethodPost, path, string(raw), "Apikey", key)
			if got := r.code(t); r.status != http.StatusBadRequest || got != "validation_failed" && got != "email_address_invalid" && got != "bad_json" {
				t.Errorf("%s at %s: %d %s", name, path, r.status, r.body)
			}
			if strings.Contains(r.body, "evil") || strings.Contains(r.body, "Bcc") {
				t.Errorf("%s at %s is repeated: %s", name, path, r.body)
			}
		}
	}
	select {
	case m := <-d.mails.sent:
		t.Errorf("a mail to %q", m.To)
	default:
	}
}

// A password of any length is answered without a hash of it being made of more
// than is allowed, and never repeated.
func TestBadPasswords(t *testing.T) {
	d := newDoor(t)
	_, access, _ := d.member(t, "ada@example.com")
	long := strings.Repeat("p", 200<<10)
	huge := strings.Repeat("p", 1<<20)
	for name, c := range map[string]struct {
		method, path string
		body         map[string]any
		code         string
		headers      []string
	}{
		"sign-up, 200 kB":        {http.MethodPost, "/auth/v1/signup", map[string]any{"email": "bob@example.com", "password": long}, "weak_password validation_failed", nil},
		"sign-up, 1 MB":          {http.MethodPost, "/auth/v1/signup", map[string]any{"email": "bob@example.com", "password": huge}, "body_too_large", nil},
		"sign-in, 200 kB":        {http.MethodPost, "/auth/v1/token?grant_type=password", map[string]any{"email": "ada@example.com", "password": long}, "invalid_credentials", nil},
		"sign-in, 1 MB":          {http.MethodPost, "/auth/v1/token?grant_type=password", map[string]any{"email": "ada@example.com", "password": huge}, "body_too_large", nil},
		"change, 200 kB":         {http.MethodPut, "/auth/v1/user", map[string]any{"password": long}, "weak_password validation_failed", []string{"Authorization", "Bearer " + access}},
		"a number":               {http.MethodPost, "/auth/v1/signup", map[string]any{"email": "bob@example.com", "password": 123456789012345678}, "validation_failed", nil},
		"an object":              {http.MethodPost, "/auth/v1/token?grant_type=password", map[string]any{"email": "ada@example.com", "password": map[string]any{"$ne": ""}}, "validation_failed", nil},
		"a list":                 {http.MethodPost, "/auth/v1/token?grant_type=password", map[string]any{"email": "ada@example.com", "password": []string{password}}, "validation_failed", nil},
		"empty":                  {http.MethodPost, "/auth/v1/token?grant_type=password", map[string]any{"email": "ada@example.com", "password": ""}, "validation_failed", nil},
		"the right one, and NUL": {http.MethodPost, "/auth/v1/token?grant_type=password", map[string]any{"email": "ada@example.com", "password": password + "\x00x"}, "bad_json invalid_credentials", nil},
		"the right one, and more": {http.MethodPost, "/auth/v1/token?grant_type=password", map[string]any{
			"email": "ada@example.com", "password": password + strings.Repeat("x", 100),
		}, "invalid_credentials", nil},
	} {
		t.Run(name, func(t *testing.T) {
			raw, err := json.Marshal(c.body)
			if err != nil {
				t.Fatal(err)
			}
			r := d.call(t, c.method, c.path, string(raw), c.headers...)
			if got := r.code(t); got == "" || !strings.Contains(" "+c.code+" ", " "+got+" ") {
				t.Errorf("%d %s", r.status, r.body)
			}
			if strings.Contains(r.body, "pppp") || strings.Contains(r.body, "12345") {
				t.Error("the password is repeated")
			}
		})
	}
}

// Bodies and queries that are not what they should be are 400, and name what
// is wrong.
func TestBadRequests(t *testing.T) {
	d := newDoor(t)
	for name, c := range map[string]struct {
		method, path, body, code, message string
		headers                           []string
	}{
		"no body":          {http.MethodPost, "/auth/v1/signup", "", "bad_json", "", nil},
		"half an object":   {http.MethodPost, "/auth/v1/signup", `{"email": "a`, "bad_json", "", nil},
		"a list":           {http.MethodPost, "/auth/v1/signup", `[1]`, "bad_json", "object", nil},
		"null":             {http.MethodPost, "/auth/v1/signup", `null`, "bad_json", "object", nil},
		"two objects":      {http.MethodPost, "/auth/v1/signup", `{} {}`, "bad_json", "", nil},
		"a member twice":   {http.MethodPost, "/auth/v1/signup", `{"email":"a@example.com","email":"b@example.com"}`, "bad_json", "email", nil},
		"twice, escaped":   {http.MethodPost, "/auth/v1/signup", `{"email":"a@example.com","\u0065mail":"b@example.com"}`, "bad_json", "email", nil},
		"twice, deep":      {http.MethodPost, "/auth/v1/signup", `{"email":"a@example.com","data":{"a":[{"b":1,"b":2}]}}`, "bad_json", "b", nil},
		"half a surrogate": {http.MethodPost, "/auth/v1/signup", `{"email":"\ud800@example.com"}`, "bad_json", "", nil},
		"no UTF-8":         {http.MethodPost, "/auth/v1/signup", "{\"email\":\"\xff@example.com\"}", "bad_json", "", nil},
		"deep":             {http.MethodPost, "/auth/v1/signup", `{"data":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`, "bad_json", "", nil},
		"data of a text":   {http.MethodPost, "/auth/v1/signup", `{"email":"a@example.com","data":"x"}`, "validation_failed", "data", nil},
		"a flag of a text": {http.MethodPost, "/auth/v1/otp", `{"email":"a@example.com","create_user":"yes"}`, "validation_failed", "create_user", nil},
		"no email":         {http.MethodPost, "/auth/v1/otp", `{}`, "validation_failed", "email", nil},
		"no grant type":    {http.MethodPost, "/auth/v1/token", `{}`, "validation_failed", "grant_type", nil},
		"XML":              {http.MethodPost, "/auth/v1/signup", `<a/>`, "unsupported_media_type", "", []string{"Content-Type", "text/xml"}},
		"a form":           {http.MethodPost, "/auth/v1/signup", `email=a`, "unsupported_media_type", "", []string{"Content-Type", "application/x-www-form-urlencoded"}},
		"compressed":       {http.MethodPost, "/auth/v1/signup", `{}`, "unsupported_media_type", "", []string{"Content-Encoding", "gzip"}},
		"a bad form":       {http.MethodPost, "/auth/v1/token?grant_type=password", `a=%zz`, "validation_failed", "", []string{"Content-Type", "application/x-www-form-urlencoded"}},
		"a form's twice":   {http.MethodPost, "/auth/v1/token?grant_type=password", `password=a&password=b`, "validation_failed", "password", []string{"Content-Type", "application/x-www-form-urlencoded"}},
		"a parameter twice": {
			http.MethodPost, "/auth/v1/signup?redirect_to=https://app.example/after&redirect_to=https://evil.example", `{}`,
			"validation_failed", "redirect_to", nil,
		},
		"a bad query":         {http.MethodPost, "/auth/v1/signup?a=%zz", `{}`, "validation_failed", "", nil},
		"a scheme":            {http.MethodGet, "/auth/v1/user", "", "no_authorization", "", []string{"Authorization", "Basic YTpi"}},
		"page 0":              {http.MethodGet, "/auth/v1/admin/users?page=0", "", "validation_failed", "page", []string{"Apikey", d.secret}},
		"page -1":             {http.MethodGet, "/auth/v1/admin/users?page=-1", "", "validation_failed", "page", []string{"Apikey", d.secret}},
		"a huge page":         {http.MethodGet, "/auth/v1/admin/users?page=99999999999999999999", "", "validation_failed", "page", []string{"Apikey", d.secret}},
		"too many on a page":  {http.MethodGet, "/auth/v1/admin/users?per_page=100000", "", "validation_failed", "per_page", []string{"Apikey", d.secret}},
		"no user's id":        {http.MethodGet, "/auth/v1/admin/users/1%27--", "", "validation_failed user_not_found", "", []string{"Apikey", d.secret}},
		"a link without type": {http.MethodGet, "/auth/v1/verify?token=x", "", "validation_failed", "type", nil},
		"a path of its own":   {http.MethodGet, "/auth/v1/admin/users/", "", "not_found", "", []string{"Apikey", d.secret}},
	} {
		t.Run(name, func(t *testing.T) {
			r := d.call(t, c.method, c.path, c.body, c.headers...)
			if got := r.code(t); got == "" || !strings.Contains(" "+c.code+" ", " "+got+" ") {
				t.Errorf("%d %s", r.status, r.body)
			}
			if !strings.Contains(r.body, c.message) {
				t.Errorf("%q is not named: %s", c.message, r.body)
			}
		})
	}
}

// What a client writes itself decides nothing: headers of gateways name
// nobody, and links and redirects do not follow them.
func TestHeadersDecideNothing(t *testing.T) {
	d := newDoor(t)
	id, _, _ := d.member(t, "ada@example.com")
	forged := []string{
		"X-Forwarded-For", "127.0.0.1", "X-Real-Ip", "127.0.0.1", "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "http",
		"Forwarded", "for=127.0.0.1;host=evil.example", "X-User-Id", id, "X-User-Role", "service", "Remote-User", "ada@example.com",
		"X-Remote-User", "ada@example.com", "X-Hasura-Role", "admin", "Referer", "https://evil.example/", "Origin", "https://evil.example",
		"Redirect_to", "https://evil.example", "Apikey", d.publishable, "Cookie", "sb-access-token=" + id, "X-Http-Method-Override", "DELETE",
		"X-Original-Url", "/auth/v1/admin/users", "X-Rewrite-Url", "/auth/v1/admin/users",
	}
	if r := d.call(t, http.MethodGet, "/auth/v1/user", "", forged...); r.status != http.StatusUnauthorized {
		t.Errorf("/user: %d %s", r.status, r.body)
	}
	if r := d.call(t, http.MethodGet, "/auth/v1/admin/users", "", forged...); r.status != http.StatusUnauthorized {
		t.Errorf("/admin/users: %d %s", r.status, r.body)
	}
	if r := d.call(t, http.MethodPost, "/auth/v1/recover", `{"email":"ada@example.com"}`, forged...); r.status != http.StatusOK {
		t.Errorf("/recover: %d %s", r.status, r.body)
	}
	if m := d.mails.next(t); strings.Contains(m.Text+m.HTML, "evil") || !strings.Contains(m.Text, "https://notes.example/auth/v1/verify") {
		t.Errorf("the mail's link: %s", m.Text)
	}
	if r := d.call(t, http.MethodGet, "/auth/v1/.well-known/openid-configuration", "", forged...); strings.Contains(r.body, "evil") {
		t.Error(r.body)
	}
}

// The rates count by the client's network and by the account, whatever a
// client writes into its headers, and say when to try again.
func TestRates(t *testing.T) {
	d := newDoor(t)
	d.member(t, "ada@example.com")
	limited := 0
	for i := range 40 {
		body := fmt.Sprintf(`{"email":"u%d@example.com","password":"not the password at all"}`, i)
		r := d.call(t, http.MethodPost, "/auth/v1/token?grant_type=password", body, "X-Forwarded-For", fmt.Sprintf("198.51.100.%d", i))
		switch got := r.code(t); got {
		case "invalid_credentials":
			if limited > 0 {
				t.Errorf("try %d was judged after a refusal", i)
			}
		case "over_request_rate_limit":
			limited++
			if s, err := strconv.Atoi(r.header.Get("Retry-After")); r.status != http.StatusTooManyRequests || err != nil || s < 1 {
				t.Errorf("%d, Retry-After %q", r.status, r.header.Get("Retry-After"))
			}
		default:
			t.Fatalf("%d %s", r.status, r.body)
		}
	}
	if limited == 0 {
		t.Error("40 tries from one network were judged")
	}
	d.clock.Advance(5 * time.Minute)
	d.signIn(t, "ada@example.com") // nobody locked anybody out
}
