package provider_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/provider"
)

const redirectURI = "http://127.0.0.1:7263/auth/v1/callback"

func secrets(name string) (string, bool) { return clientSecret, name == "idp" }

// open returns the provider called name at the issuer.
func open(t testing.TB, i *issuer, name string) *provider.Provider {
	t.Helper()
	r, err := provider.New(map[string]model.Provider{name: {ClientID: clientID, ClientSecret: "secret:idp", Issuer: i.URL}},
		provider.Options{Secret: secrets, Now: i.clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	p, err := r.Get(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// signIn goes through one whole flow.
func signIn(t testing.TB, p *provider.Provider) (*provider.Profile, error) {
	t.Helper()
	verifier := oauth2.GenerateVerifier()
	to, err := p.AuthCodeURL(t.Context(), provider.Start{State: "state-1", Nonce: "nonce-1", Verifier: verifier, RedirectURI: redirectURI})
	if err != nil {
		return nil, err
	}
	back := browse(t, to)
	if back.Get("state") != "state-1" {
		t.Errorf("state %q", back.Get("state"))
	}
	return p.Exchange(t.Context(), provider.Finish{Code: back.Get("code"), Verifier: verifier, Nonce: "nonce-1", RedirectURI: redirectURI})
}

func wantFault(t testing.TB, err error, code fault.Code, cause string) {
	t.Helper()
	if !fault.Is(err, code) {
		t.Errorf("%v, not %s", err, code)
		return
	}
	all := err.Error()
	for e := errors.Unwrap(err); e != nil; e = errors.Unwrap(e) {
		all += "\n" + e.Error()
	}
	if !strings.Contains(all, cause) {
		t.Errorf("%q does not tell %q", all, cause)
	}
	if strings.Contains(all, clientSecret) {
		t.Errorf("%q tells the secret", all)
	}
}

func TestSignIn(t *testing.T) {
	i := newIssuer(t)
	p := open(t, i, "idp")
	if n := i.called("/.well-known/openid-configuration"); n != 0 {
		t.Errorf("asked %d times before it was needed", n)
	}
	for range 2 {
		got, err := signIn(t, p)
		if err != nil {
			t.Fatal(err)
		}
		want := &provider.Profile{
			Subject: "user-1", Email: "alice@example.com", EmailVerified: true, AccessToken: "access", RefreshToken: "refresh",
			Data: map[string]any{
				"sub": "user-1", "provider_id": "user-1", "iss": i.URL, "email": "alice@example.com", "email_verified": true,
				"phone_verified": false, "name": "Alice", "full_name": "Alice",
			},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	if n, k := i.called("/.well-known/openid-configuration"), i.called("/keys"); n != 1 || k != 1 {
		t.Errorf("metadata was asked for %d times, keys %d times", n, k)
	}
}

func TestAuthCodeURL(t *testing.T) {
	i := newIssuer(t)
	p := open(t, i, "idp")
	start := provider.Start{
		State: "s", Nonce: "n", Verifier: strings.Repeat("v", 43), RedirectURI: redirectURI,
		Scopes: []string{"calendar", "email"}, Params: url.Values{"prompt": {"consent"}},
	}
	to, err := p.AuthCodeURL(t.Context(), start)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(start.Verifier))
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{
		"response_type": {"code"}, "client_id": {clientID}, "state": {"s"}, "nonce": {"n"}, "redirect_uri": {redirectURI},
		"code_challenge_method": {"S256"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])},
		"scope": {"openid email profile calendar"}, "prompt": {"consent"},
	}
	if diff := cmp.Diff(want, u.Query()); diff != "" || !strings.HasPrefix(to, i.URL+"/authorize?") {
		t.Error(to, diff)
	}
	for _, name := range []string{"client_id", "redirect_uri", "STATE", "state", "nonce", "code_challenge", "code_challenge_method", "response_type", "response_mode", "scope", "request", "request_uri"} {
		bad := start
		bad.Params = url.Values{name: {"x"}}
		_, err := p.AuthCodeURL(t.Context(), bad)
		wantFault(t, err, fault.AuthValidation, name)
	}
	for name, bad := range map[string]provider.Start{
		"twice":    {Params: url.Values{"prompt": {"a", "b"}}},
		"long":     {Params: url.Values{"login_hint": {strings.Repeat("x", 1025)}}},
		"no scope": {Scopes: []string{"a b"}},
	} {
		bad.State, bad.Nonce, bad.Verifier, bad.RedirectURI = "s", "n", start.Verifier, redirectURI
		if _, err := p.AuthCodeURL(t.Context(), bad); !fault.Is(err, fault.AuthValidation) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, edit := range map[string]func(*provider.Start){
		"state": func(s *provider.Start) { s.State = "" }, "nonce": func(s *provider.Start) { s.Nonce = "" },
		"verifier": func(s *provider.Start) { s.Verifier = "short" }, "redirect": func(s *provider.Start) { s.RedirectURI = "" },
	} {
		s := start
		edit(&s)
		if _, err := p.AuthCodeURL(t.Context(), s); !fault.Is(err, fault.Internal) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

func TestExchangeRefusesIDTokens(t *testing.T) {
	foreign, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	resign := func(alg jose.SignatureAlgorithm, key any) func(i *issuer) {
		return func(i *issuer) {
			i.alter = func(string) string {
				return sign(alg, key, &jose.SignerOptions{ExtraHeaders: map[jose.HeaderKey]any{"kid": "k1"}}, map[string]any{
					"iss": i.URL, "aud": clientID, "sub": "user-1", "exp": i.now.Add(time.Minute).Unix(), "nonce": "nonce-1",
				})
			}
		}
	}
	claims := func(kv map[string]any) func(*issuer) { return func(i *issuer) { i.claims = kv } }
	for name, test := range map[string]struct {
		edit  func(i *issuer)
		cause string
	}{
		"wrong nonce":      {claims(map[string]any{"nonce": "nonce-2"}), "nonce"},
		"hashed nonce":     {claims(map[string]any{"nonce": hash("nonce-1")}), "nonce"},
		"no nonce":         {claims(map[string]any{"nonce": nil}), "nonce"},
		"wrong audience":   {claims(map[string]any{"aud": "other"}), "audience"},
		"no audience":      {claims(map[string]any{"aud": nil}), "audience"},
		"audience, no azp": {claims(map[string]any{"aud": []string{clientID, "other"}}), "azp"},
		"another azp":      {claims(map[string]any{"aud": []string{clientID, "other"}, "azp": "other"}), "azp"},
		"another azp, one": {claims(map[string]any{"azp": "other"}), "azp"},
		"wrong issuer":     {claims(map[string]any{"iss": "https://evil.example"}), "different provider"},
		"no issuer":        {claims(map[string]any{"iss": nil}), "different provider"},
		"over":             {claims(map[string]any{"exp": time.Date(2026, 3, 1, 11, 59, 59, 0, time.UTC).Unix()}), "expired"},
		"no end":           {claims(map[string]any{"exp": nil}), "expired"},
		"future":           {claims(map[string]any{"nbf": time.Date(2026, 3, 1, 12, 6, 0, 0, time.UTC).Unix()}), "nbf"},
		"no subject":       {claims(map[string]any{"sub": nil}), "sub"},
		"empty subject":    {claims(map[string]any{"sub": ""}), "sub"},
		"long subject":     {claims(map[string]any{"sub": strings.Repeat("x", 256)}), "sub"},
		"wrong at_hash":    {claims(map[string]any{"at_hash": atHash("other")}), "access token hash"},
		"foreign key":      {resign(jose.ES256, foreign), "signature"},
		"HS256 by secret":  {resign(jose.HS256, []byte(clientSecret+clientSecret)), "HS256"},
		"none": {func(i *issuer) {
			i.alter = func(text string) string {
				return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + strings.Split(text, ".")[1] + "."
			}
		}, "none"},
		"unsigned": {func(i *issuer) {
			i.alter = func(text string) string { return text[:strings.LastIndexByte(text, '.')+1] }
		}, ""},
		"absent":   {func(i *issuer) { i.alter = func(string) string { return "" } }, "no ID token"},
		"too long": {claims(map[string]any{"x": strings.Repeat("x", 25<<10)}), "too long"},
		"JSON form": {func(i *issuer) {
			i.alter = func(string) string { return `{"payload":"e30","protected":"e30","signature":""}` }
		}, "three parts"},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			p := open(t, i, "idp")
			if _, err := signIn(t, p); err != nil {
				t.Fatalf("the control: %v", err)
			}
			i.change(func() { test.edit(i) })
			got, err := signIn(t, p)
			if got != nil {
				t.Errorf("accepted: %+v", got)
			}
			wantFault(t, err, fault.AuthBadOAuthCallback, test.cause)
		})
	}
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func TestExchangeRefusesCodes(t *testing.T) {
	i := newIssuer(t)
	p := open(t, i, "idp")
	verifier := oauth2.GenerateVerifier()
	begin := func() string {
		to, err := p.AuthCodeURL(t.Context(), provider.Start{State: "s", Nonce: "n", Verifier: verifier, RedirectURI: redirectURI})
		if err != nil {
			t.Fatal(err)
		}
		return browse(t, to).Get("code")
	}
	good := provider.Finish{Code: begin(), Verifier: verifier, Nonce: "n", RedirectURI: redirectURI}
	if _, err := p.Exchange(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	_, err := p.Exchange(t.Context(), good)
	wantFault(t, err, fault.AuthBadOAuthCallback, "invalid_grant")
	for name, edit := range map[string]func(*provider.Finish){
		"verifier": func(f *provider.Finish) { f.Verifier = oauth2.GenerateVerifier() },
		"redirect": func(f *provider.Finish) { f.RedirectURI += "/" },
		"code":     func(f *provider.Finish) { f.Code += "x" },
		"no code":  func(f *provider.Finish) { f.Code = "" },
		"long":     func(f *provider.Finish) { f.Code = strings.Repeat("x", 5000) },
	} {
		f := good
		f.Code = begin()
		edit(&f)
		if _, err := p.Exchange(t.Context(), f); !fault.Is(err, fault.AuthBadOAuthCallback) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, f := range map[string]provider.Finish{
		"nonce": {Code: "c", Verifier: verifier, RedirectURI: redirectURI}, "verifier": {Code: "c", Nonce: "n", RedirectURI: redirectURI},
	} {
		if _, err := p.Exchange(t.Context(), f); !fault.Is(err, fault.Internal) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

// TestMixUp: the answer of one issuer is not given to another (RFC 9207).
func TestMixUp(t *testing.T) {
	for what, c := range map[string]struct {
		supported bool
		iss       func(i *issuer) string
		good      bool
	}{
		"none":                        {false, func(*issuer) string { return "" }, true},
		"its own":                     {false, func(i *issuer) string { return i.URL }, true},
		"its own, announced":          {true, func(i *issuer) string { return i.URL }, true},
		"none, although announced":    {true, func(*issuer) string { return "" }, false},
		"another":                     {false, func(*issuer) string { return "https://honest.example" }, false},
		"its own with more":           {false, func(i *issuer) string { return i.URL + "/" }, false},
		"its own, and another behind": {true, func(i *issuer) string { return i.URL + "@honest.example" }, false},
	} {
		t.Run(what, func(t *testing.T) {
			i := newIssuer(t)
			i.metadata = map[string]any{"authorization_response_iss_parameter_supported": c.supported}
			p := open(t, i, "acme")
			verifier := oauth2.GenerateVerifier()
			to, err := p.AuthCodeURL(t.Context(), provider.Start{State: "state-1", Nonce: "n", Verifier: verifier, RedirectURI: redirectURI})
			if err != nil {
				t.Fatal(err)
			}
			_, err = p.Exchange(t.Context(), provider.Finish{
				Code: browse(t, to).Get("code"), Verifier: verifier, Nonce: "n", RedirectURI: redirectURI, Issuer: c.iss(i),
			})
			if c.good && err != nil {
				t.Error(err, fault.From(err).Cause)
			}
			if !c.good {
				wantFault(t, err, fault.AuthBadOAuthCallback, "iss")
				if n := i.called("/token"); n != 0 {
					t.Errorf("the code was sent %d times", n)
				}
			}
		})
	}
}

func TestEmailVerified(t *testing.T) {
	for name, test := range map[string]struct {
		claims, userInfo map[string]any
		email            string
		verified         bool
	}{
		"true":             {map[string]any{}, nil, "alice@example.com", true},
		"as a text":        {map[string]any{"email_verified": "true"}, nil, "alice@example.com", true},
		"false":            {map[string]any{"email_verified": false}, nil, "alice@example.com", false},
		"as a text, false": {map[string]any{"email_verified": "false"}, nil, "alice@example.com", false},
		"a number":         {map[string]any{"email_verified": 1}, nil, "alice@example.com", false},
		"upper case":       {map[string]any{"email_verified": "TRUE"}, nil, "alice@example.com", false},
		"another case":     {map[string]any{"email_verified": nil, "Email_Verified": true}, nil, "alice@example.com", false},
		"not said":         {map[string]any{"email_verified": nil}, nil, "alice@example.com", false},
		"no address":       {map[string]any{"email": nil}, nil, "", false},
		"long address":     {map[string]any{"email": strings.Repeat("x", 250) + "@x.example"}, nil, "", false},
		"userinfo tells": {
			map[string]any{"email": nil, "email_verified": nil}, map[string]any{"sub": "user-1", "email": "bob@example.com", "email_verified": true}, "bob@example.com", true,
		},
		"userinfo tells an address, the token its verification": {
			map[string]any{"email": nil}, map[string]any{"sub": "user-1", "email": "bob@example.com"}, "bob@example.com", false,
		},
		"the token tells an address, userinfo its verification": {
			map[string]any{"email_verified": nil}, map[string]any{"sub": "user-1", "email_verified": true}, "alice@example.com", false,
		},
		"userinfo is not asked": {map[string]any{}, map[string]any{"sub": "someone else", "email": "bob@example.com"}, "alice@example.com", true},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			i.claims, i.userInfo = test.claims, test.userInfo
			got, err := signIn(t, open(t, i, "idp"))
			if err != nil {
				t.Fatal(err)
			}
			if got.Email != test.email || got.EmailVerified != test.verified || got.Data["email_verified"] != test.verified {
				t.Errorf("%q, verified %v; data %v", got.Email, got.EmailVerified, got.Data)
			}
		})
	}
}

func TestUserInfoOfAnotherIsRefused(t *testing.T) {
	for name, info := range map[string]map[string]any{
		"another": {"sub": "user-2", "email": "bob@example.com", "email_verified": true},
		"nobody":  {"email": "bob@example.com", "email_verified": true},
	} {
		i := newIssuer(t)
		i.claims, i.userInfo = map[string]any{"email": nil}, info
		_, err := signIn(t, open(t, i, "idp"))
		t.Run(name, func(t *testing.T) { wantFault(t, err, fault.AuthBadOAuthCallback, "another subject") })
	}
}

// What goes into every access token is bounded, and is only what describes a
// person.
func TestProfileIsBounded(t *testing.T) {
	i := newIssuer(t)
	i.claims = map[string]any{
		"name": strings.Repeat("x", 2000), "picture": "https://idp.example/a.png", "preferred_username": "alice", "groups": []string{"admin"},
		"roles": []string{"admin"}, "hd": "example.com", "locale": map[string]any{"x": 1},
	}
	got, err := signIn(t, open(t, i, "idp"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"sub": "user-1", "provider_id": "user-1", "iss": i.URL, "email": "alice@example.com", "email_verified": true, "phone_verified": false,
		"picture": "https://idp.example/a.png", "avatar_url": "https://idp.example/a.png", "preferred_username": "alice", "user_name": "alice",
		"custom_claims": map[string]any{"hd": "example.com"},
	}
	if diff := cmp.Diff(want, got.Data); diff != "" {
		t.Error(diff)
	}
}

func TestVerifyIDToken(t *testing.T) {
	i := newIssuer(t)
	p := open(t, i, "idp")
	make := func(claims map[string]any) string {
		i.mu.Lock()
		defer i.mu.Unlock()
		return i.idToken(claims)
	}
	for name, test := range map[string]struct {
		claims        map[string]any
		nonce, access string
		cause         string // empty: accepted
	}{
		"plain nonce":         {map[string]any{"nonce": "n"}, "n", "", ""},
		"hashed nonce":        {map[string]any{"nonce": hash("n")}, "n", "", ""},
		"no nonce":            {nil, "", "", ""},
		"at_hash":             {map[string]any{"at_hash": atHash("a")}, "", "a", ""},
		"at_hash, no token":   {map[string]any{"at_hash": atHash("a")}, "", "", ""},
		"no at_hash":          {nil, "", "a", ""},
		"another app's party": {map[string]any{"azp": "the-phone's-client"}, "", "", ""},
		"wrong nonce":         {map[string]any{"nonce": "n"}, "m", "", "mismatch"},
		"nonce not passed":    {map[string]any{"nonce": "n"}, "", "", "both exist or not"},
		"nonce not in token":  {nil, "n", "", "both exist or not"},
		"nonce a number":      {map[string]any{"nonce": 1}, "1", "", ""},
		"empty nonce":         {map[string]any{"nonce": ""}, "", "", "both exist or not"},
		"wrong at_hash":       {map[string]any{"at_hash": atHash("b")}, "", "a", "access token hash"},
		"wrong audience":      {map[string]any{"aud": "other"}, "", "", "audience"},
		"wrong issuer":        {map[string]any{"iss": i.URL + "/"}, "", "", "different provider"},
		"over":                {map[string]any{"exp": i.now.Unix() - 1}, "", "", "expired"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := p.VerifyIDToken(t.Context(), make(test.claims), test.nonce, test.access)
			if name == "nonce a number" {
				test.cause = "not valid"
			}
			if test.cause != "" {
				wantFault(t, err, fault.AuthValidation, test.cause)
			} else if err != nil || got.Subject != "user-1" || got.AccessToken != test.access {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	_, err := p.VerifyIDToken(t.Context(), strings.Repeat("A", provider.MaxIDToken+1), "", "")
	wantFault(t, err, fault.AuthValidation, "too long")
}

// The issuer's keys are followed as they rotate; tokens with an invented kid
// do not have them asked for each time.
func TestKeysRotate(t *testing.T) {
	i := newIssuer(t)
	p := open(t, i, "idp")
	token := func() string {
		i.mu.Lock()
		defer i.mu.Unlock()
		return i.idToken(nil)
	}
	if _, err := p.VerifyIDToken(t.Context(), token(), "", ""); err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	// go-oidc answers from a request for keys that has just ended until its
	// goroutine has put it away: ask again, for as long as the test may take.
	verify := func(enough func(error) bool) error {
		for {
			_, err := p.VerifyIDToken(t.Context(), token(), "", "")
			if enough(err) || t.Context().Err() != nil {
				return err
			}
			runtime.Gosched()
		}
	}
	i.change(func() { i.key, i.kid, i.now = key, "k2", i.now.Add(6*time.Second) })
	if err := verify(func(err error) bool { return err == nil }); err != nil {
		t.Errorf("after the rotation: %v", err)
	}
	i.change(func() { i.header = map[jose.HeaderKey]any{"kid": "invented"} })
	for range 5 {
		err := verify(func(err error) bool {
			return err == nil || strings.Contains(errors.Unwrap(err).Error(), "a moment ago")
		})
		wantFault(t, err, fault.AuthValidation, "a moment ago")
	}
	if n := i.called("/keys"); n != 2 {
		t.Errorf("the keys were asked for %d times", n)
	}
}

func TestNew(t *testing.T) {
	config := func(name string, c model.Provider) map[string]model.Provider {
		if c.ClientSecret == "" {
			c.ClientSecret = "given"
		}
		return map[string]model.Provider{name: c}
	}
	for name, test := range map[string]struct {
		config map[string]model.Provider
		want   string // empty: accepted
		hint   string
	}{
		"preset":           {config("google", model.Provider{ClientID: "x"}), "", ""},
		"https":            {config("corp", model.Provider{Issuer: "https://id.example/realms/a"}), "", ""},
		"loopback":         {config("corp", model.Provider{Issuer: "http://[::1]:8080"}), "", ""},
		"plain http":       {config("corp", model.Provider{Issuer: "http://id.example"}), "not an https URL", "on this machine only"},
		"looks local":      {config("corp", model.Provider{Issuer: "http://localhost.evil.example"}), "not an https URL", ""},
		"user":             {config("corp", model.Provider{Issuer: "https://a@id.example"}), "not an https URL", ""},
		"query":            {config("corp", model.Provider{Issuer: "https://id.example?a=b"}), "not an https URL", ""},
		"another scheme":   {config("corp", model.Provider{Issuer: "file:///etc"}), "not an https URL", ""},
		"no issuer":        {config("corp", model.Provider{}), "auth.providers.corp has no issuer", ""},
		"near a preset":    {config("gogle", model.Provider{}), "auth.providers.gogle has no issuer", `"google"`},
		"no secret":        {config("google", model.Provider{ClientSecret: "secret:my-idp"}), `needs the secret "my-idp"`, "PANDO_SECRET_MY_IDP"},
		"several problems": {map[string]model.Provider{"a": {}, "google": {ClientSecret: "secret:b"}}, `auth.providers.a has no issuer; auth.providers.google needs the secret "b"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := provider.New(test.config, provider.Options{Secret: secrets})
			if test.want == "" {
				if err != nil || len(r.Names()) != 1 {
					t.Error(err)
				}
				return
			}
			wantFault(t, err, fault.ConfigInvalid, test.want)
			if f := fault.From(err); !strings.Contains(f.Hint, test.hint) {
				t.Errorf("hint %q", f.Hint)
			}
		})
	}
}

func TestGet(t *testing.T) {
	r, err := provider.New(map[string]model.Provider{"keycloak": {ClientSecret: "x", Issuer: "https://id.example"}}, provider.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, code := range map[string]fault.Code{
		"google": fault.AuthProviderDisabled, "azure": fault.AuthProviderDisabled,
		"": fault.AuthProviderNotSupported, "keycloack": fault.AuthProviderNotSupported, "Google": fault.AuthProviderNotSupported,
		strings.Repeat("x", 10_000): fault.AuthProviderNotSupported,
	} {
		p, err := r.Get(name)
		if p != nil || !fault.Is(err, code) || len(err.Error()) > 200 || fault.From(err).HTTPStatus() != 422 {
			t.Errorf("%.20q: %v", name, err)
		}
	}
	_, err = r.Get("keycloack")
	if f := fault.From(err); !strings.Contains(f.Hint, `"keycloak"`) || !strings.Contains(f.Message, `provider "keycloack" could not be found`) {
		t.Errorf("%q, hint %q", f.Message, f.Hint)
	}
}

// A provider that is down is asked less and less often; the last known
// metadata counts meanwhile.
func TestDiscoveryBacksOff(t *testing.T) {
	i := newIssuer(t)
	p := open(t, i, "idp")
	start := provider.Start{State: "s", Nonce: "n", Verifier: strings.Repeat("v", 43), RedirectURI: redirectURI}
	path := "/.well-known/openid-configuration"
	i.change(func() { i.metadata = map[string]any{"issuer": "https://evil.example"} })
	wait := time.Duration(0)
	for n := 1; n <= 8; n++ {
		for range 3 {
			_, err := p.AuthCodeURL(t.Context(), start)
			wantFault(t, err, fault.ProviderUnavailable, "cannot be reached")
			wait = fault.From(err).RetryAfter
		}
		if got := i.called(path); got != n {
			t.Fatalf("asked %d times, not %d", got, n)
		}
		if want := min(time.Second<<(n-1), time.Minute); wait != want {
			t.Errorf("the wait is %v, not %v", wait, want)
		}
		i.change(func() { i.now = i.now.Add(wait) })
	}
	i.change(func() { i.metadata = nil })
	if _, err := p.AuthCodeURL(t.Context(), start); err != nil {
		t.Fatal(err)
	}
	i.change(func() {
		i.metadata, i.now = map[string]any{"issuer": "https://evil.example"}, i.now.Add(13*time.Hour)
	})
	for range 3 {
		if _, err := p.AuthCodeURL(t.Context(), start); err != nil {
			t.Errorf("the known metadata is forgotten: %v", err)
		}
	}
	if got := i.called(path); got != 10 {
		t.Errorf("asked %d times", got)
	}
}

func TestDiscoveryRefusesMetadata(t *testing.T) {
	for name, over := range map[string]map[string]any{
		"another issuer":      {"issuer": "https://evil.example"},
		"no token endpoint":   {"token_endpoint": ""},
		"plain http":          {"token_endpoint": "http://id.example/token"},
		"script":              {"authorization_endpoint": "javascript:alert(1)"},
		"keys in a file":      {"jwks_uri": "file:///etc/passwd"},
		"userinfo plain http": {"userinfo_endpoint": "http://id.example/u"},
		"too large":           {"x": strings.Repeat("x", 2<<20)},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			i.metadata = over
			_, err := signIn(t, open(t, i, "idp"))
			wantFault(t, err, fault.ProviderUnavailable, "")
		})
	}
}

// A code and a secret go to the token endpoint alone.
func TestTokenEndpointDoesNotRedirect(t *testing.T) {
	leaked := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { leaked = true }))
	defer other.Close()
	for _, status := range []int{http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		i := newIssuer(t)
		i.token = func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, other.URL, status)
			return true
		}
		_, err := signIn(t, open(t, i, "idp"))
		wantFault(t, err, fault.ProviderUnavailable, "not redirected")
	}
	if leaked {
		t.Error("another host was asked")
	}
}

func TestTokenEndpointFails(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		body   string
		code   fault.Code
	}{
		"down":      {503, "<html>" + clientSecret, fault.ProviderUnavailable},
		"no JSON":   {200, "hello", fault.ProviderUnavailable},
		"too large": {200, `{"access_token":"` + strings.Repeat("x", 2<<20) + `"}`, fault.ProviderUnavailable},
		"refused":   {400, `{"error":"invalid_grant","error_description":"` + clientSecret + `"}`, fault.AuthBadOAuthCallback},
		"odd":       {400, clientSecret, fault.AuthBadOAuthCallback},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			i.token = func(w http.ResponseWriter, _ *http.Request) bool {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(test.status)
				_, _ = w.Write([]byte(test.body))
				return true
			}
			_, err := signIn(t, open(t, i, "idp"))
			wantFault(t, err, test.code, "")
		})
	}
}

// The secret is sent as the issuer's metadata wants it.
func TestClientAuthentication(t *testing.T) {
	for method, want := range map[string]bool{"client_secret_basic": true, "client_secret_post": false} {
		i := newIssuer(t)
		basic := false
		i.metadata = map[string]any{"token_endpoint_auth_methods_supported": []string{method}}
		i.token = func(_ http.ResponseWriter, r *http.Request) bool {
			_, _, basic = r.BasicAuth()
			return false
		}
		if _, err := signIn(t, open(t, i, "idp")); err != nil || basic != want {
			t.Errorf("%s: basic %v, %v", method, basic, err)
		}
	}
}
