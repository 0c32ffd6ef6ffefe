package attack

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// issuer is an OpenID provider on loopback.
type issuer struct {
	url    string
	key    *ecdsa.PrivateKey
	mu     sync.Mutex
	grants map[string]consent
}

// consent is a code of an issuer's and whom it is for.
type consent struct {
	claims                     object
	nonce, challenge, redirect string
}

func openIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key, grants: map[string]consent{}}
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	i.url = srv.URL
	answer := func(w http.ResponseWriter, status int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, object{
			"issuer": i.url, "authorization_endpoint": i.url + "/authorize", "token_endpoint": i.url + "/token", "jwks_uri": i.url + "/keys",
			"id_token_signing_alg_values_supported": []string{"ES256"}, "response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		point := must(i.key.PublicKey.Bytes())
		answer(w, 200, object{"keys": []object{{"kty": "EC", "crv": "P-256", "kid": "k1", "alg": "ES256", "use": "sig", "x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:])}}})
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		g, ok := i.grants[r.FormValue("code")]
		delete(i.grants, r.FormValue("code"))
		i.mu.Unlock()
		sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
		if !ok || base64.RawURLEncoding.EncodeToString(sum[:]) != g.challenge || r.FormValue("redirect_uri") != g.redirect {
			answer(w, 400, object{"error": "invalid_grant"})
			return
		}
		answer(w, 200, object{"access_token": "provider-access", "token_type": "Bearer", "expires_in": 3600, "id_token": i.sign(t, g.claims.with(object{"nonce": g.nonce}))})
	})
	return i
}

const issuersHeader = `{"alg":"ES256","typ":"JWT","kid":"k1"}`

// claims are those of an ID token about a person.
func (i *issuer) claims(of object) object {
	now := time.Now().Unix()
	return object{"iss": i.url, "aud": "town-client", "iat": now, "exp": now + 3600}.with(of)
}

// sign makes an ID token.
func (i *issuer) sign(t *testing.T, of object) string {
	t.Helper()
	return es256(t, i.key, issuersHeader, encode(i.claims(of)))
}

// providers are the lines of pando.yaml for issuers by name.
func providers(of map[string]*issuer) string {
	var list []string
	for name, i := range of {
		list = append(list, name+`: { issuer: "`+i.url+`", client_id: town-client, client_secret: hush }`)
	}
	return "  providers: { " + strings.Join(list, ", ") + " }\n"
}

// journey is a sign-in at a provider on its way.
type journey struct {
	state, code, cookie, verifier string
}

const afterward = "https://town.example/after"

// depart begins a sign-in. query may replace its parameters; an empty value
// leaves one out.
func (n *town) depart(t *testing.T, i *issuer, claims, query object) (j journey, a answer) {
	t.Helper()
	var challenge string
	j.verifier, challenge = pkce()
	q := url.Values{}
	for k, v := range (object{"provider": "acme", "redirect_to": afterward, "code_challenge": challenge, "code_challenge_method": "s256"}).with(query) {
		if s, ok := v.(string); ok && s != "" {
			q.Set(k, s)
		}
	}
	a = n.nowhere(t, "/auth/v1/authorize?"+q.Encode())
	if a.status != http.StatusFound {
		return j, a
	}
	to, err := url.Parse(a.header.Get("Location"))
	if err != nil || !strings.HasPrefix(to.String(), i.url+"/authorize?") {
		t.Fatalf("the browser goes to %s", a.header.Get("Location"))
	}
	j.state, j.code = to.Query().Get("state"), rand.Text()
	j.cookie, _, _ = strings.Cut(a.header.Get("Set-Cookie"), ";")
	i.mu.Lock()
	defer i.mu.Unlock()
	i.grants[j.code] = consent{claims, to.Query().Get("nonce"), to.Query().Get("code_challenge"), to.Query().Get("redirect_uri")}
	return j, a
}

// arrive ends it at the door and returns where the browser is led.
func (n *town) arrive(t *testing.T, j journey) (answer, *url.URL) {
	t.Helper()
	a := n.nowhere(t, "/auth/v1/callback?"+url.Values{"state": {j.state}, "code": {j.code}}.Encode(), "Cookie: "+j.cookie)
	to, err := url.Parse(a.header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	return a, to
}

// exchange turns a code into a session.
func (n *town) exchange(t *testing.T, code, verifier string) answer {
	t.Helper()
	return n.do(t, "POST", "/auth/v1/token?grant_type=pkce", encode(object{"auth_code": code, "code_verifier": verifier}))
}

// travel is a whole sign-in.
func (n *town) travel(t *testing.T, i *issuer, claims object) answer {
	t.Helper()
	j, _ := n.depart(t, i, claims, nil)
	_, to := n.arrive(t, j)
	return n.exchange(t, to.Query().Get("code"), j.verifier)
}
