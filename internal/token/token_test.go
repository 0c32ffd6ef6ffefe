package token_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/token"
)

const (
	issuer = "https://shop.example/auth/v1"
	alice  = "0198c6e4-7f3a-7b1e-9a55-2f1f0d6f3c11"
)

// clock is a clock that a test moves.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func newClock() *clock { return &clock{time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func newSet(t testing.TB, c *clock, keys []token.Key, hs256 []byte) *token.Set {
	t.Helper()
	s, err := token.NewSet(token.Options{Issuer: issuer, Now: c.now, HS256: hs256})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Use(keys); err != nil {
		t.Fatal(err)
	}
	return s
}

func rotate(t testing.TB, c *clock, keys []token.Key, revoke bool) []token.Key {
	t.Helper()
	out, err := token.Rotate(keys, c.at, revoke)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// user are the claims of a good token.
func user(c *clock) map[string]any {
	return map[string]any{
		"sub": alice, "role": "authenticated", "session_id": "s1", "aal": "aal1", "email": "alice@example.com",
		"exp": c.at.Add(time.Hour).Unix(), "iat": c.at.Unix(), "iss": issuer, "aud": "authenticated",
	}
}

func with(claims map[string]any, name string, v any) map[string]any {
	claims = maps.Clone(claims)
	if claims[name] = v; v == nil {
		delete(claims, name)
	}
	return claims
}

func signed(t testing.TB, s *token.Set, claims map[string]any) string {
	t.Helper()
	text, err := s.Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func wantReason(t testing.TB, s *token.Set, text string, want token.Reason) {
	t.Helper()
	claims, err := s.Verify(text)
	var refused *token.Error
	if !errors.As(err, &refused) || refused.Reason != want {
		t.Errorf("got %+v, %v; want it refused: %s", claims, err, want)
	}
}

// private reads a key's private half as its owner stores it.
func private(t testing.TB, k token.Key) *ecdsa.PrivateKey {
	t.Helper()
	der, err := k.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.(*ecdsa.PrivateKey)
}

// forge signs any header and payload with any key.
func forge(t testing.TB, alg jose.SignatureAlgorithm, key any, header map[string]any, payload string) string {
	t.Helper()
	opts := &jose.SignerOptions{ExtraHeaders: map[jose.HeaderKey]any{}}
	for k, v := range header {
		opts.ExtraHeaders[jose.HeaderKey(k)] = v
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, opts)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func text(t testing.TB, v any) string {
	t.Helper()
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestSignAndVerify(t *testing.T) {
	c := newClock()
	s := newSet(t, c, rotate(t, c, nil, false), nil)
	in := map[string]any{
		"sub": alice, "role": "authenticated", "session_id": "s1", "aal": "aal2", "email": "alice@example.com", "exp": c.at.Add(time.Hour).Unix(),
		"app_metadata": map[string]any{"roles": []string{"staff"}, "level": 3, "half": 0.5}, "amr": []any{},
	}
	got, err := s.Verify(signed(t, s, in))
	if err != nil {
		t.Fatal(err)
	}
	if got.Subject != alice || got.Role != "authenticated" || got.Session != "s1" || got.AAL != "aal2" || got.Email != "alice@example.com" || got.Foreign ||
		!got.IssuedAt.Equal(c.at) || !got.Expires.Equal(c.at.Add(time.Hour)) {
		t.Errorf("claims %+v", got)
	}
	if got.Raw["iss"] != issuer || got.Raw["aud"] != "authenticated" || got.Raw["iat"] != c.at.Unix() {
		t.Errorf("raw claims %v", got.Raw)
	}
	if meta := fmt.Sprintf("%#v", got.Raw["app_metadata"]); meta != `map[string]interface {}{"half":0.5, "level":3, "roles":[]interface {}{"staff"}}` {
		t.Error(meta)
	}
	if len(in) != 8 {
		t.Errorf("Sign changed the claims: %v", in)
	}
}

func TestSignRefuses(t *testing.T) {
	c := newClock()
	none, err := token.NewSet(token.Options{Issuer: issuer, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := none.Sign(user(c)); !fault.Is(err, fault.Internal) {
		t.Errorf("signed without a key: %v", err)
	}
	s := newSet(t, c, rotate(t, c, nil, false), nil)
	for name, claims := range map[string]map[string]any{
		"no end":   with(user(c), "exp", nil),
		"too long": with(user(c), "exp", c.at.Add(time.Hour+time.Second).Unix()),
		"no JSON":  with(user(c), "x", func() {}),
	} {
		if text, err := s.Sign(claims); text != "" || !fault.Is(err, fault.Internal) {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	big := with(user(c), "user_metadata", strings.Repeat("x", token.MaxSize))
	if text, err := s.Sign(big); text != "" && !fault.Is(err, fault.AuthValidation) {
		t.Errorf("a token that nobody verifies: %v", err)
	}
	got, err := s.Verify(signed(t, s, with(user(c), "iss", "https://other.example")))
	if err != nil || got.Raw["iss"] != issuer {
		t.Errorf("another issuer was signed: %v, %v", got.Raw["iss"], err)
	}
}

func TestVerifyForm(t *testing.T) {
	c := newClock()
	s := newSet(t, c, rotate(t, c, nil, false), nil)
	good := signed(t, s, user(c))
	parts := strings.Split(good, ".")
	// A P-256 signature has 64 bytes: the last of its 86 characters holds four
	// unused bits, which make 15 other texts of the same bytes.
	alphabet := "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, good[len(good)-1])
	for name, text := range map[string]string{
		"empty": "", "dots": "..", "one part": parts[0], "two parts": parts[0] + "." + parts[1], "four parts": good + ".e30",
		"five parts": good + ".e30.e30", "no signature": parts[0] + "." + parts[1] + ".", "space": " " + good, "line": good[:30] + "\n" + good[30:],
		"padded": good + "==", "other alphabet": strings.Replace(good, good[len(good)-5:], "+/+/+", 1),
		"unused bits": good[:len(good)-1] + string(alphabet[last^1]), "JSON": `{"payload":"e30","signatures":[]}`,
		"long": strings.Repeat("A", token.MaxSize+1), "header no JSON": "AAAA." + parts[1] + "." + parts[2],
	} {
		t.Run(name, func(t *testing.T) { wantReason(t, s, text, token.Malformed) })
	}
	for _, i := range []int{len(parts[0]) + 5, len(good) - 40} {
		changed := []byte(good)
		changed[i] = alphabet[(strings.IndexByte(alphabet, changed[i])+1)%64]
		wantReason(t, s, string(changed), token.Signature)
	}
	if _, err := s.Verify(good); err != nil {
		t.Error(err)
	}
}

func TestVerifyHeader(t *testing.T) {
	c := newClock()
	keys := rotate(t, c, nil, false)
	secret := []byte(strings.Repeat("s", 32))
	s := newSet(t, c, keys, secret)
	key, kid, body := private(t, keys[0]), keys[0].ID, text(t, user(c))
	public, err := keys[0].Public()
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw := func(header string) string {
		b64 := base64.RawURLEncoding.EncodeToString
		return b64([]byte(header)) + "." + b64([]byte(body)) + "." + b64(make([]byte, 64))
	}
	h := func(kv ...any) map[string]any {
		out := map[string]any{"kid": kid, "typ": "JWT"}
		for i := 0; i < len(kv); i += 2 {
			out[kv[i].(string)] = kv[i+1]
		}
		return out
	}
	if _, err := s.Verify(forge(t, jose.ES256, key, h(), body)); err != nil {
		t.Fatalf("the control is refused: %v", err)
	}
	if _, err := s.Verify(forge(t, jose.ES256, key, map[string]any{"kid": kid}, body)); err != nil {
		t.Errorf("typ is optional: %v", err)
	}
	for name, test := range map[string]struct {
		text   string
		reason token.Reason
	}{
		"none":              {raw(`{"alg":"none","typ":"JWT"}`), token.BadAlgorithm},
		"None":              {raw(`{"alg":"nOnE","kid":"` + kid + `"}`), token.BadAlgorithm},
		"no algorithm":      {raw(`{"kid":"` + kid + `"}`), token.BadAlgorithm},
		"algorithm a list":  {raw(`{"alg":["ES256"],"kid":"` + kid + `"}`), token.BadAlgorithm},
		"algorithm twice":   {raw(`{"alg":"none","alg":"ES256","kid":"` + kid + `"}`), token.Malformed},
		"empty signature":   {raw(`{"alg":"ES256","kid":"` + kid + `"}`), token.Signature},
		"RS256":             {forge(t, jose.RS256, rsaKey, h(), body), token.BadAlgorithm},
		"PS256":             {forge(t, jose.PS256, rsaKey, h(), body), token.BadAlgorithm},
		"ES384":             {forge(t, jose.ES384, p384, h(), body), token.BadAlgorithm},
		"HS512":             {forge(t, jose.HS512, append(secret, secret...), map[string]any{}, body), token.BadAlgorithm},
		"our kid by HS256":  {forge(t, jose.HS256, secret, h(), body), token.BadAlgorithm},
		"public as secret":  {forge(t, jose.HS256, public, h(), body), token.BadAlgorithm},
		"public, no kid":    {forge(t, jose.HS256, public, map[string]any{}, body), token.Signature},
		"another secret":    {forge(t, jose.HS256, []byte(strings.Repeat("t", 32)), map[string]any{}, body), token.Signature},
		"foreign key":       {forge(t, jose.ES256, foreign, h(), body), token.Signature},
		"no kid":            {forge(t, jose.ES256, key, map[string]any{}, body), token.UnknownKey},
		"unknown kid":       {forge(t, jose.ES256, key, h("kid", "k2"), body), token.UnknownKey},
		"path as kid":       {forge(t, jose.ES256, key, h("kid", "../../dev/null"), body), token.UnknownKey},
		"kid a number":      {forge(t, jose.ES256, key, h("kid", 1), body), token.Malformed},
		"jwk":               {forge(t, jose.ES256, foreign, h("jwk", jose.JSONWebKey{Key: &foreign.PublicKey}), body), token.Malformed},
		"jku":               {forge(t, jose.ES256, key, h("jku", "https://evil.example/jwks"), body), token.Malformed},
		"x5u":               {forge(t, jose.ES256, key, h("x5u", "https://evil.example/x"), body), token.Malformed},
		"x5c":               {forge(t, jose.ES256, key, h("x5c", []string{"AAAA"}), body), token.Malformed},
		"crit":              {forge(t, jose.ES256, key, h("crit", []string{"exp"}, "exp", 1), body), token.Malformed},
		"b64":               {raw(`{"alg":"ES256","kid":"` + kid + `","b64":false}`), token.Malformed},
		"zip":               {forge(t, jose.ES256, key, h("zip", "DEF"), body), token.Malformed},
		"logout token":      {forge(t, jose.ES256, key, h("typ", "logout+jwt"), body), token.Malformed},
		"deep header":       {raw(`{"alg":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`), token.Malformed},
		"text after header": {raw(`{"alg":"ES256","kid":"` + kid + `"}{}`), token.Malformed},
		"header a list":     {raw(`["ES256"]`), token.Malformed},
	} {
		t.Run(name, func(t *testing.T) { wantReason(t, s, test.text, test.reason) })
	}
}

func TestVerifyClaims(t *testing.T) {
	c := newClock()
	keys := rotate(t, c, nil, false)
	s := newSet(t, c, keys, nil)
	key, header := private(t, keys[0]), map[string]any{"kid": keys[0].ID}
	good := user(c)
	at := func(d time.Duration) int64 { return c.at.Add(d).Unix() }
	for name, test := range map[string]struct {
		claims map[string]any
		reason token.Reason // empty: accepted
	}{
		"good":                  {good, ""},
		"audience in a list":    {with(good, "aud", []string{"x", "authenticated"}), ""},
		"whole as a fraction":   {with(good, "exp", float64(at(time.Minute))+0.5), ""},
		"iat within the leeway": {with(good, "iat", at(29*time.Second)), ""},
		"service":               {with(with(good, "role", "service_role"), "sub", nil), ""},
		"no issuer":             {with(good, "iss", nil), token.Issuer},
		"another issuer":        {with(good, "iss", issuer+"/"), token.Issuer},
		"issuer in a list":      {with(good, "iss", []string{issuer}), token.Issuer},
		"no audience":           {with(good, "aud", nil), token.Audience},
		"another audience":      {with(good, "aud", "billing"), token.Audience},
		"empty audience":        {with(good, "aud", []string{}), token.Audience},
		"no end":                {with(good, "exp", nil), token.BadClaims},
		"end a text":            {with(good, "exp", "9999999999"), token.BadClaims},
		"end past all time":     {with(good, "exp", 1e300), token.BadClaims},
		"end negative":          {with(good, "exp", -1), token.BadClaims},
		"over":                  {with(with(good, "exp", at(-time.Second)), "iat", at(-time.Minute)), token.Expired},
		"over now":              {with(with(good, "exp", at(0)), "iat", at(-time.Minute)), token.Expired},
		"too long a life":       {with(good, "exp", at(time.Hour+time.Second)), token.BadClaims},
		"no iat":                {with(good, "iat", nil), token.BadClaims},
		"iat in the future":     {with(good, "iat", at(31*time.Second)), token.NotYet},
		"nbf in the future":     {with(good, "nbf", at(31*time.Second)), token.NotYet},
		"nbf a text":            {with(good, "nbf", "now"), token.BadClaims},
		"nbf null":              {with(good, "nbf", json.RawMessage("null")), token.BadClaims},
		"no subject":            {with(good, "sub", nil), token.BadClaims},
		"subject a name":        {with(good, "sub", "alice"), token.BadClaims},
		"subject a urn":         {with(good, "sub", "urn:uuid:"+alice), token.BadClaims},
		"subject upper-case":    {with(good, "sub", strings.ToUpper(alice)), token.BadClaims},
		"subject a number":      {with(good, "sub", 1), token.BadClaims},
		"no role, no subject":   {with(with(good, "role", nil), "sub", nil), token.BadClaims},
		"role a list":           {with(good, "role", []string{"service_role"}), token.BadClaims},
		"session a number":      {with(good, "session_id", 1), token.BadClaims},
	} {
		t.Run(name, func(t *testing.T) {
			token := forge(t, jose.ES256, key, header, text(t, test.claims))
			if test.reason != "" {
				wantReason(t, s, token, test.reason)
			} else if _, err := s.Verify(token); err != nil {
				t.Error(err)
			}
		})
	}
	open := strings.TrimSuffix(text(t, good), "}")
	for name, payload := range map[string]string{
		"member twice":       open + `,"role":"service_role"}`,
		"member twice, deep": open + `,"app_metadata":{"roles":[],"roles":["admin"]}}`,
		"escaped twice":      open + `,"rol\u0065":"service_role"}`,
		"a list":             "[" + text(t, good) + "]",
		"two documents":      text(t, good) + text(t, good),
		"not UTF-8":          open + ",\"x\":\"\xff\"}",
		"cut":                open,
		"null":               "null",
		"empty":              "{}",
		"deep":               open + `,"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + "}",
		"huge number":        open + `,"x":1e999}`,
	} {
		t.Run(name, func(t *testing.T) {
			reason := token.BadClaims
			if payload == "{}" {
				reason = token.Issuer
			}
			wantReason(t, s, forge(t, jose.ES256, key, header, payload), reason)
		})
	}
}

func TestHS256(t *testing.T) {
	c := newClock()
	secret := []byte(strings.Repeat("s", 32))
	keys := rotate(t, c, nil, false)
	without, s := newSet(t, c, keys, nil), newSet(t, c, keys, secret)
	long := with(with(user(c), "exp", c.at.AddDate(5, 0, 0).Unix()), "iat", nil)
	for name, header := range map[string]map[string]any{"no kid": {}, "another kid": {"kid": "legacy"}} {
		foreign := forge(t, jose.HS256, secret, header, text(t, long))
		got, err := s.Verify(foreign)
		if err != nil || !got.Foreign || got.Subject != alice {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		wantReason(t, without, foreign, token.BadAlgorithm)
	}
	wantReason(t, s, forge(t, jose.HS256, secret, nil, text(t, with(long, "iss", "supabase"))), token.Issuer)
	wantReason(t, s, forge(t, jose.HS256, secret, nil, text(t, with(long, "aud", nil))), token.Audience)
	wantReason(t, s, forge(t, jose.HS256, secret, nil, text(t, with(long, "exp", c.at.Unix()))), token.Expired)
	if _, err := token.NewSet(token.Options{Issuer: issuer, HS256: secret[:31]}); !fault.Is(err, fault.ConfigInvalid) {
		t.Errorf("a short secret: %v", err)
	}
	if _, err := token.NewSet(token.Options{Issuer: issuer, HS256: []byte{}}); !fault.Is(err, fault.ConfigInvalid) {
		t.Errorf("an empty secret: %v", err)
	}
	if _, err := token.NewSet(token.Options{}); !fault.Is(err, fault.ConfigInvalid) {
		t.Errorf("no issuer: %v", err)
	}
	secret[0] = 'x' // the set keeps a copy
	if _, err := s.Verify(forge(t, jose.HS256, []byte(strings.Repeat("s", 32)), nil, text(t, long))); err != nil {
		t.Error(err)
	}
}

func TestRotation(t *testing.T) {
	c := newClock()
	first := rotate(t, c, nil, false)
	s, other := newSet(t, c, first, nil), newSet(t, c, first, nil)
	old := signed(t, s, user(c))

	c.at = c.at.Add(30 * time.Minute)
	second := rotate(t, c, first, false)
	if err := s.Use(second); err != nil {
		t.Fatal(err)
	}
	if s.ActiveID() != first[1].ID || other.ActiveID() != first[0].ID {
		t.Error("the next key is not the one that follows")
	}
	fresh := signed(t, s, user(c))
	if _, err := s.Verify(old); err != nil {
		t.Errorf("a token of the retired key: %v", err)
	}
	if _, err := other.Verify(fresh); err != nil { // it has not heard of the rotation
		t.Errorf("a token of the next key: %v", err)
	}
	if got := published(t, s); len(got) != 3 || !got[first[0].ID] || !got[first[1].ID] || !got[second[1].ID] {
		t.Errorf("published %v", got)
	}

	// The retired key goes when the last token that it signed is over, also
	// where nobody renews the set.
	last := user(c)
	byOld := forge(t, jose.ES256, private(t, first[0]), map[string]any{"kid": first[0].ID}, text(t, last))
	c.at = c.at.Add(time.Hour - time.Second)
	if _, err := s.Verify(byOld); err != nil {
		t.Errorf("the retired key's last token: %v", err)
	}
	c.at = c.at.Add(time.Second + token.DefaultLeeway)
	wantReason(t, s, forge(t, jose.ES256, private(t, first[0]), map[string]any{"kid": first[0].ID}, text(t, user(c))), token.UnknownKey)
	third := rotate(t, c, second, false)
	for _, k := range third {
		if k.ID == first[0].ID {
			t.Error("a key that verifies nothing is kept")
		}
	}
	if err := s.Use(second); err != nil || published(t, s)[first[0].ID] {
		t.Errorf("a key that verifies nothing is published, %v", err)
	}

	revoked := rotate(t, c, third, true)
	if err := s.Use(revoked); err != nil {
		t.Fatal(err)
	}
	if got := published(t, s); len(got) != 2 || got[third[0].ID] || got[third[1].ID] {
		t.Errorf("published %v", got)
	}
	wantReason(t, s, signed(t, other, user(c)), token.UnknownKey)
}

// published are the ids of the JWKS; nothing private may be in it.
func published(t testing.TB, s *token.Set) map[string]bool {
	t.Helper()
	var doc struct{ Keys []map[string]any }
	if err := json.Unmarshal(s.JWKS(), &doc); err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, k := range doc.Keys {
		id, _ := k["kid"].(string)
		ids[id] = true
		if len(k) != 7 || k["kty"] != "EC" || k["crv"] != "P-256" || k["alg"] != "ES256" || k["use"] != "sig" || k["x"] == nil || k["y"] == nil {
			t.Errorf("a published key: %v", k)
		}
	}
	return ids
}

func TestKeysAreStored(t *testing.T) {
	c := newClock()
	keys := rotate(t, c, nil, false)
	k := keys[0]
	der, err := k.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := token.Parse(k.ID, der)
	if err != nil {
		t.Fatal(err)
	}
	again.State, again.Created, again.Activated = k.State, k.Created, k.Activated
	s := newSet(t, c, []token.Key{again}, nil)
	if _, err := newSet(t, c, keys, nil).Verify(signed(t, s, user(c))); err != nil {
		t.Error(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	other, err := x509.MarshalPKCS8PrivateKey(rsaKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		id  string
		der []byte
	}{"empty": {k.ID, nil}, "cut": {k.ID, der[:20]}, "RSA": {k.ID, other}, "another id": {keys[1].ID, der}} {
		if _, err := token.Parse(test.id, test.der); !fault.Is(err, fault.ConfigInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUseRefuses(t *testing.T) {
	c := newClock()
	keys := rotate(t, c, nil, false)
	s := newSet(t, c, keys, nil)
	good := signed(t, s, user(c))
	both := []token.Key{keys[0], keys[1]}
	both[1].State = token.Active
	odd := keys[0]
	odd.State = "asleep"
	for name, list := range map[string][]token.Key{"two active": both, "twice": {keys[0], keys[0]}, "no state": {odd}} {
		if err := s.Use(list); !fault.Is(err, fault.ConfigInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.Verify(good); err != nil {
		t.Errorf("the set did not go on as it was: %v", err)
	}
}

func TestRotationFailsNoRequest(t *testing.T) {
	c := newClock()
	keys := rotate(t, c, nil, false)
	s := newSet(t, c, keys, nil)
	done := make(chan struct{})
	var wg sync.WaitGroup
	claims := user(c)
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				text, err := s.Sign(claims)
				if err == nil {
					_, err = s.Verify(text)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 50 {
		keys = rotate(t, c, keys, false)
		if err := s.Use(keys); err != nil {
			t.Error(err)
		}
	}
	close(done)
	wg.Wait()
}

// A hostile length costs nothing.
func TestLongTokensCostNothing(t *testing.T) {
	c := newClock()
	s := newSet(t, c, rotate(t, c, nil, false), nil)
	long := strings.Repeat("A.", 500_000)
	if n := testing.AllocsPerRun(10, func() { _, _ = s.Verify(long) }); n > 1 { // the error
		t.Errorf("%v allocations", n)
	}
}

func FuzzVerify(f *testing.F) {
	c := newClock()
	s := newSet(f, c, rotate(f, c, nil, false), []byte(strings.Repeat("s", 32)))
	f.Add(signed(f, s, user(c)))
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	other := newSet(f, c, rotate(f, c, nil, false), nil)
	f.Add(signed(f, other, user(c)))
	good := signed(f, s, user(c))
	f.Fuzz(func(t *testing.T, text string) {
		_, err := s.Verify(text)
		var refused *token.Error
		if err != nil && !errors.As(err, &refused) {
			t.Errorf("%q: %v", text, err)
		}
		if err == nil && text != good && !strings.HasPrefix(text, "eyJhbGciOiJFUzI1NiIs") {
			t.Errorf("accepted %q", text)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	c := newClock()
	s := newSet(b, c, rotate(b, c, nil, false), nil)
	text := signed(b, s, user(c))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Verify(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyLong(b *testing.B) {
	c := newClock()
	s := newSet(b, c, rotate(b, c, nil, false), nil)
	text := strings.Repeat("A", 1<<20)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Verify(text); err == nil {
			b.Fatal("accepted")
		}
	}
}

func BenchmarkSign(b *testing.B) {
	c := newClock()
	s := newSet(b, c, rotate(b, c, nil, false), nil)
	claims := user(c)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Sign(claims); err != nil {
			b.Fatal(err)
		}
	}
}
