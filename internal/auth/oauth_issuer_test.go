package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// openIDIssuer is an OpenID provider: discovery, keys, authorization codes with PKCE.
type openIDIssuer struct {
	t      *testing.T
	url    string
	key    *ecdsa.PrivateKey
	now    func() time.Time
	mu     sync.Mutex
	grants map[string]grantAt
}

// grantAt is a code of an issuer and who it is for.
type grantAt struct {
	claims    map[string]any
	nonce     string
	challenge string
	redirect  string
}

const issuerClient = "shop-client"

func openIssuer(t *testing.T) *openIDIssuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &openIDIssuer{t: t, key: key, grants: map[string]grantAt{}}
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	i.url = srv.URL
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		i.answer(w, map[string]any{
			"issuer": i.url, "authorization_endpoint": i.url + "/authorize", "token_endpoint": i.url + "/token", "jwks_uri": i.url + "/keys",
			"id_token_signing_alg_values_supported": []string{"ES256"}, "response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		i.answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: i.key.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"}}})
	})
	mux.HandleFunc("/token", i.token)
	return i
}

func (i *openIDIssuer) answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		i.t.Error(err)
	}
}

func (i *openIDIssuer) token(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	g, ok := i.grants[r.FormValue("code")]
	delete(i.grants, r.FormValue("code"))
	i.mu.Unlock()
	sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	if !ok || base64.RawURLEncoding.EncodeToString(sum[:]) != g.challenge || r.FormValue("redirect_uri") != g.redirect {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error":"invalid_grant"}`)
		return
	}
	i.answer(w, map[string]any{
		"access_token": "provider-access", "refresh_token": "provider-refresh", "token_type": "Bearer", "expires_in": 3600,
		"id_token": i.sign(g.claims, g.nonce),
	})
}

// sign makes an ID token of claims.
func (i *openIDIssuer) sign(claims map[string]any, nonce string) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: i.key, KeyID: "k1"}}, nil)
	if err != nil {
		i.t.Error(err)
		return ""
	}
	now := i.now()
	all := map[string]any{"iss": i.url, "aud": issuerClient, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	if nonce != "" {
		all["nonce"] = nonce
	}
	maps.Copy(all, claims)
	text, err := jwt.Signed(signer).Claims(all).Serialize()
	if err != nil {
		i.t.Error(err)
	}
	return text
}

// consent is a user who says yes at the issuer: it answers the callback's
// parameters.
func (i *openIDIssuer) consent(to string, claims map[string]any) CallbackInput {
	i.t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		i.t.Fatal(err)
	}
	q := u.Query()
	if q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" || q.Get("client_id") != issuerClient || q.Get("nonce") == "" {
		i.t.Fatalf("the request to the provider is %s", to)
	}
	code := rand.Text()
	i.mu.Lock()
	i.grants[code] = grantAt{claims: claims, nonce: q.Get("nonce"), challenge: q.Get("code_challenge"), redirect: q.Get("redirect_uri")}
	i.mu.Unlock()
	return CallbackInput{State: q.Get("state"), Code: code}
}

// withIssuer opens identity with an issuer of its own, and one more that is
// called other and is the same machine.
func withIssuer(t *testing.T, lines ...string) (*house, *openIDIssuer) {
	t.Helper()
	i := openIssuer(t)
	h := openHouse(t, append(lines, `providers: { acme: { issuer: "`+i.url+`", client_id: `+issuerClient+`, client_secret: hush } }`)...)
	i.now = h.clock.now
	return h, i
}

// person who signs in at an issuer.
func claimsOf(sub, email string, verified bool) map[string]any {
	return map[string]any{"sub": sub, "email": email, "email_verified": verified, "name": "Ann " + sub}
}

// pkce is a verifier and its challenge.
func pkce() (verifier, challenge string) {
	verifier = rand.Text() + rand.Text()
	sum := sha256.Sum256([]byte(verifier))
	return verifier, base64.RawURLEncoding.EncodeToString(sum[:])
}

// visit goes through a whole sign-in with PKCE and answers its grant, or where
// the browser ended with an error.
func (h *house) visit(i *openIDIssuer, claims map[string]any) (*Grant, url.Values, error) {
	h.t.Helper()
	verifier, challenge := pkce()
	to, err := h.Authorize(h.t.Context(), h.anon(), AuthorizeInput{Provider: "acme", CodeChallenge: challenge, CodeChallengeMethod: "s256", Redirect: "https://shop.example/after"})
	if err != nil {
		return nil, nil, err
	}
	back, err := h.Callback(h.t.Context(), h.anon(), i.consent(to, claims))
	if err != nil {
		return nil, nil, err
	}
	q := parameters(h.t, back)
	if q.Get("code") == "" {
		return nil, q, nil
	}
	g, err := h.ExchangeCode(context.Background(), h.anon(), q.Get("code"), verifier)
	return g, q, err
}

// query is the query of an address that must be the application's.
func parameters(t testing.TB, address string) url.Values {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil || !slices.Contains([]string{"https://shop.example/after", "https://shop.example/start"}, u.Scheme+"://"+u.Host+u.Path) {
		t.Fatalf("the browser goes to %s", address)
	}
	if u.Fragment != "" {
		v, err := url.ParseQuery(u.Fragment)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	return u.Query()
}
