package provider_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/provider"
)

const (
	tenant      = "72f988bf-86f1-41af-91ab-2d7cd011db47"
	otherTenant = "9188040d-6c67-4c5b-b112-36a304b66dad"
)

func TestMicrosoft(t *testing.T) {
	template := func(i *issuer) { i.metadata = map[string]any{"issuer": i.URL + "/{tenantid}/v2.0"} }
	for name, test := range map[string]struct {
		edit     func(i *issuer)
		verified bool
		cause    string
	}{
		"any tenant": {func(i *issuer) {
			template(i)
			i.claims = map[string]any{"iss": i.URL + "/" + tenant + "/v2.0", "tid": tenant}
		}, false, ""},
		"domain owned": {func(i *issuer) {
			template(i)
			i.claims = map[string]any{"iss": i.URL + "/" + tenant + "/v2.0", "tid": tenant, "xms_edov": true}
		}, true, ""},
		"one tenant": {func(*issuer) {}, false, ""},
		"another tenant's issuer": {func(i *issuer) {
			template(i)
			i.claims = map[string]any{"iss": i.URL + "/" + otherTenant + "/v2.0", "tid": tenant}
		}, false, "its tenant's"},
		"no tenant": {func(i *issuer) {
			template(i)
			i.claims = map[string]any{"iss": i.URL + "/{tenantid}/v2.0"}
		}, false, "its tenant's"},
		"odd tenant": {func(i *issuer) {
			template(i)
			i.claims = map[string]any{"iss": i.URL + "/x/v2.0", "tid": "x"}
		}, false, "its tenant's"},
		"one tenant, another issuer": {func(i *issuer) { i.claims = map[string]any{"iss": i.URL + "/x", "tid": tenant} }, false, "different provider"},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			test.edit(i)
			got, err := signIn(t, open(t, i, "microsoft"))
			if test.cause != "" {
				wantFault(t, err, fault.AuthBadOAuthCallback, test.cause)
			} else if err != nil || got.Email != "alice@example.com" || got.EmailVerified != test.verified {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	for name, issuer := range map[string]string{"a foreign template": "https://evil.example/{tenantid}/v2.0", "another issuer": "https://evil.example"} {
		i := newIssuer(t)
		i.metadata = map[string]any{"issuer": issuer}
		_, err := signIn(t, open(t, i, "azure"))
		t.Run(name, func(t *testing.T) { wantFault(t, err, fault.ProviderUnavailable, "another issuer") })
	}
	for iss, code := range map[string]fault.Code{ // the parameter of the callback
		tenant: fault.AuthBadOAuthCallback, "/" + tenant + "/v2.0": "", "/x/v2.0": fault.AuthBadOAuthCallback, "/{tenantid}/v2.0": fault.AuthBadOAuthCallback,
	} {
		i := newIssuer(t)
		template(i)
		i.claims = map[string]any{"iss": i.URL + "/" + tenant + "/v2.0", "tid": tenant}
		p, verifier := open(t, i, "microsoft"), oauth2.GenerateVerifier()
		to, err := p.AuthCodeURL(t.Context(), provider.Start{State: "s", Nonce: "n", Verifier: verifier, RedirectURI: redirectURI})
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Exchange(t.Context(), provider.Finish{
			Code: browse(t, to).Get("code"), Verifier: verifier, Nonce: "n", RedirectURI: redirectURI, Issuer: i.URL + iss,
		})
		if code == "" && err != nil || code != "" && !fault.Is(err, code) {
			t.Errorf("iss %s: %v", iss, err)
		}
	}
	i := newIssuer(t)
	template(i)
	_, err := signIn(t, open(t, i, "idp")) // templates are Microsoft's alone
	wantFault(t, err, fault.ProviderUnavailable, "did not match")
}

func TestApple(t *testing.T) {
	i := newIssuer(t)
	i.claims = map[string]any{"name": nil, "email_verified": "true"}
	p := open(t, i, "apple")
	verifier := oauth2.GenerateVerifier()
	for form, name := range map[string]any{
		`{"name":{"firstName":"Alice","lastName":"Liddell"},"email":"evil@example.com"}`: "Alice Liddell",

		`{"name":{"firstName":"Alice"}}`: "Alice",

		`{"name":{"firstName":"` + strings.Repeat("x", 9000) + `"}}`: nil,

		`{}`: nil, `{"name":`: nil, "": nil,
	} {
		to, err := p.AuthCodeURL(t.Context(), provider.Start{State: "s", Nonce: "n", Verifier: verifier, RedirectURI: redirectURI})
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(to)
		if err != nil || u.Query().Get("response_mode") != "form_post" || u.Query().Get("scope") != "openid email name" {
			t.Errorf("%s, %v", to, err)
		}
		got, err := p.Exchange(t.Context(), provider.Finish{
			Code: browse(t, to).Get("code"), Verifier: verifier, Nonce: "n", RedirectURI: redirectURI, User: form,
		})
		if err != nil || got.Data["full_name"] != name || got.Email != "alice@example.com" || !got.EmailVerified {
			t.Errorf("%.50s: %+v, %v", form, got, err)
		}
	}
}

// gitHub is a GitHub with one user.
func gitHub(t *testing.T, user string, emails any) *provider.Provider {
	t.Helper()
	mux := http.NewServeMux()
	challenge := ""
	mux.HandleFunc("GET /login/oauth/authorize", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if challenge = q.Get("code_challenge"); q.Get("scope") != "read:user user:email" || q.Get("code_challenge_method") != "S256" {
			t.Errorf("asked %v", q)
		}
		http.Redirect(w, r, q.Get("redirect_uri")+"?code=good&state="+q.Get("state"), http.StatusFound)
	})
	mux.HandleFunc("POST /login/oauth/access_token", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("client_secret") != clientSecret || oauth2.S256ChallengeFromVerifier(r.FormValue("code_verifier")) != challenge {
			answer(w, http.StatusOK, map[string]any{"error": "bad_verification_code"}) // with 200, as GitHub does
			return
		}
		answer(w, http.StatusOK, map[string]any{"access_token": "gho", "token_type": "bearer"})
	})
	api := func(path string, v any) {
		mux.HandleFunc("GET /api/v3"+path, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer gho" {
				t.Errorf("%s with %q", path, r.Header.Get("Authorization"))
			}
			if status, ok := v.(int); ok {
				w.WriteHeader(status)
				return
			}
			answer(w, http.StatusOK, v)
		})
	}
	api("/user", json.RawMessage(user))
	api("/user/emails", emails)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	r, err := provider.New(map[string]model.Provider{"github": {ClientID: clientID, ClientSecret: "secret:idp", Issuer: server.URL}},
		provider.Options{Secret: secrets})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	p, err := r.Get("github")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestGitHub(t *testing.T) {
	const user = `{"id":42,"login":"alice","name":"Alice","avatar_url":"https://a.example/42","email":"public@example.com"}`
	email := func(address string, primary, verified bool) map[string]any {
		return map[string]any{"email": address, "primary": primary, "verified": verified}
	}
	for name, test := range map[string]struct {
		emails   any
		email    string
		verified bool
	}{
		"verified":       {[]any{email("b@x.example", false, true), email("a@x.example", true, true)}, "a@x.example", true},
		"not verified":   {[]any{email("a@x.example", true, false), email("b@x.example", false, true)}, "a@x.example", false},
		"none":           {[]any{}, "", false},
		"without scopes": {404, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := signIn(t, gitHub(t, user, test.emails))
			if _, ok := test.emails.(int); ok {
				wantFault(t, err, fault.AuthBadOAuthCallback, "/user/emails answered 404")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Subject != "42" || got.Email != test.email || got.EmailVerified != test.verified || got.AccessToken != "gho" || got.Data["user_name"] != "alice" {
				t.Errorf("%+v", got)
			}
		})
	}
	_, err := signIn(t, gitHub(t, `{"login":"alice"}`, []any{}))
	wantFault(t, err, fault.AuthBadOAuthCallback, "who the user is")
	_, err = signIn(t, gitHub(t, `{"id":1}`, 500))
	wantFault(t, err, fault.ProviderUnavailable, "500")

	p := gitHub(t, user, []any{})
	_, err = p.Exchange(t.Context(), provider.Finish{Code: "good", Verifier: "other", Nonce: "n", RedirectURI: redirectURI})
	wantFault(t, err, fault.AuthBadOAuthCallback, "bad_verification_code")
	_, err = p.VerifyIDToken(t.Context(), "a.b.c", "", "")
	wantFault(t, err, fault.AuthValidation, "no ID tokens")
}

func TestPresetNames(t *testing.T) {
	configured := map[string]model.Provider{}
	for _, name := range []string{"apple", "azure", "github", "gitlab", "google", "microsoft"} {
		configured[name] = model.Provider{ClientID: "x", ClientSecret: "x"}
	}
	r, err := provider.New(configured, provider.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"apple", "azure", "github", "gitlab", "google", "microsoft"}, r.Names()); diff != "" {
		t.Error(diff)
	}
}
