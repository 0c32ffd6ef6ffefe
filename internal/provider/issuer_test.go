package provider_test

import (
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
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// clientID and clientSecret are the node's at every issuer of the tests.
const (
	clientID     = "pando"
	clientSecret = "the-client's-secret"
)

// issuer is an OpenID provider: discovery, authorization, token and userinfo
// endpoints and keys, with one user. A test changes what it says.
type issuer struct {
	*httptest.Server

	mu       sync.Mutex
	key      *ecdsa.PrivateKey
	kid      string
	metadata map[string]any                                    // over the true one
	claims   map[string]any                                    // over the true ones of ID tokens; nil removes
	header   map[jose.HeaderKey]any                            // over the true one
	alter    func(idToken string) string                       // nil: as it is
	userInfo map[string]any                                    // nil: there is no such endpoint
	token    func(w http.ResponseWriter, r *http.Request) bool // answers in its place
	now      time.Time
	codes    map[string]url.Values // what the authorization was asked with
	calls    map[string]int        // by path
}

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key, kid: "k1", codes: map[string]url.Values{}, calls: map[string]int{}, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", i.serveMetadata)
	mux.HandleFunc("GET /keys", i.serveKeys)
	mux.HandleFunc("GET /authorize", i.serveAuthorize)
	mux.HandleFunc("POST /token", i.serveToken)
	mux.HandleFunc("GET /userinfo", i.serveUserInfo)
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.calls[r.URL.Path]++
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(i.Close)
	return i
}

// change changes the issuer between requests.
func (i *issuer) change(f func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f()
}

func (i *issuer) called(path string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.calls[path]
}

func (i *issuer) clock() time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.now
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (i *issuer) serveMetadata(w http.ResponseWriter, _ *http.Request) {
	doc := map[string]any{
		"issuer": i.URL, "authorization_endpoint": i.URL + "/authorize", "token_endpoint": i.URL + "/token", "jwks_uri": i.URL + "/keys",
		"id_token_signing_alg_values_supported": []string{"ES256", "HS256", "none"},
	}
	if i.userInfo != nil {
		doc["userinfo_endpoint"] = i.URL + "/userinfo"
	}
	maps.Copy(doc, i.metadata)
	answer(w, http.StatusOK, doc)
}

func (i *issuer) serveKeys(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &i.key.PublicKey, KeyID: i.kid, Algorithm: "ES256", Use: "sig"}}})
}

func (i *issuer) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	code := fmt.Sprintf("code-%d", len(i.codes))
	i.codes[code] = r.URL.Query()
	back := r.URL.Query().Get("redirect_uri") + "?" + url.Values{"code": {code}, "state": {r.URL.Query().Get("state")}}.Encode()
	w.Header().Set("Location", back)
	w.WriteHeader(http.StatusFound)
}

func (i *issuer) serveToken(w http.ResponseWriter, r *http.Request) {
	if i.token != nil && i.token(w, r) {
		return
	}
	id, secret, basic := r.BasicAuth()
	if !basic {
		id, secret = r.FormValue("client_id"), r.FormValue("client_secret")
	} else {
		id, _ = url.QueryUnescape(id)
		secret, _ = url.QueryUnescape(secret)
	}
	asked, ok := i.codes[r.FormValue("code")]
	delete(i.codes, r.FormValue("code"))
	sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	switch {
	case id != clientID || secret != clientSecret:
		answer(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client"})
	case !ok || asked.Get("code_challenge_method") != "S256" || asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(sum[:]) ||
		asked.Get("redirect_uri") != r.FormValue("redirect_uri"):
		answer(w, http.StatusBadRequest, map[string]any{"error": "invalid_grant"})
	default:
		answer(w, http.StatusOK, map[string]any{
			"access_token": "access", "refresh_token": "refresh", "token_type": "Bearer",
			"id_token": i.idToken(map[string]any{"nonce": asked.Get("nonce"), "at_hash": atHash("access")}),
		})
	}
}

func (i *issuer) serveUserInfo(w http.ResponseWriter, r *http.Request) {
	if i.userInfo == nil || r.Header.Get("Authorization") != "Bearer access" {
		answer(w, http.StatusForbidden, map[string]any{})
		return
	}
	answer(w, http.StatusOK, i.userInfo)
}

// atHash follows OpenID Connect Core 1.0, section 3.1.3.6.
func atHash(accessToken string) string {
	sum := sha256.Sum256([]byte(accessToken))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// idToken signs the true claims under more, under what the test set.
func (i *issuer) idToken(more map[string]any) string {
	claims := map[string]any{
		"iss": i.URL, "aud": clientID, "sub": "user-1", "iat": i.now.Unix(), "exp": i.now.Add(time.Minute).Unix(),
		"email": "alice@example.com", "email_verified": true, "name": "Alice",
	}
	for _, over := range []map[string]any{more, i.claims} {
		for k, v := range over {
			if claims[k] = v; v == nil {
				delete(claims, k)
			}
		}
	}
	opts := &jose.SignerOptions{ExtraHeaders: map[jose.HeaderKey]any{"kid": i.kid}}
	maps.Copy(opts.ExtraHeaders, i.header)
	text := sign(jose.ES256, i.key, opts, claims)
	if i.alter != nil {
		text = i.alter(text)
	}
	return text
}

func sign(alg jose.SignatureAlgorithm, key any, opts *jose.SignerOptions, claims map[string]any) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, opts)
	if err != nil {
		panic(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		panic(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return text
}

// browse follows the user's browser to the issuer and back, and returns the
// callback's parameters.
func browse(t testing.TB, to string) url.Values {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, to, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	back, err := resp.Location()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(back.String(), redirectURI+"?") {
		t.Fatalf("led back to %s", back)
	}
	return back.Query()
}
