package authn

import (
	"net/http"
)

// aboutRoutes are the routes of what anybody may know.
func aboutRoutes() []route {
	return []route{
		{method: http.MethodGet, path: "settings", access: keyed, safe: true, operation: "settings", serve: (*request).settings},
		{method: http.MethodGet, path: "health", access: open, safe: true, operation: "health", serve: (*request).health},
		{method: http.MethodGet, path: ".well-known/jwks.json", access: open, safe: true, operation: "jwks", serve: (*request).jwks},
		{method: http.MethodGet, path: ".well-known/openid-configuration", access: open, safe: true, operation: "discovery", serve: (*request).discovery},
	}
}

// settings tells a sign-in page what it may offer.
func (q *request) settings() error {
	s := q.auth.Settings()
	external := map[string]bool{"email": true, "phone": false, "anonymous_users": s.Anonymous}
	for name := range s.Providers {
		external[name] = true
	}
	return q.answer(map[string]any{
		"external":           external,
		"disable_signup":     !s.Signup,
		"mailer_autoconfirm": s.Autoconfirm,
		"phone_autoconfirm":  false,
		"sms_provider":       "",
		"saml_enabled":       false,
		"passkeys_enabled":   false,
	})
}

func (q *request) health() error {
	return q.answer(map[string]string{"name": "pando", "description": "identity"})
}

// keysFor is how long what the keys' documents say may be kept, in seconds:
// longer than a new key is published before it signs, a client would meet
// tokens of a key that it does not know.
const keysFor = "max-age=600, public"

// jwks publishes the keys that access tokens are checked with (RFC 7517).
func (q *request) jwks() error {
	q.w.Header()["Cache-Control"] = []string{keysFor}
	return q.send(q.auth.JWKS())
}

// discovery is what OpenID Connect Discovery 1.0 wants of an issuer, as far as
// this one goes: it publishes keys for those that check its tokens.
func (q *request) discovery() error {
	issuer := q.auth.Issuer()
	q.w.Header()["Cache-Control"] = []string{keysFor}
	return q.answer(map[string]any{
		"issuer":                                issuer,
		"jwks_uri":                              issuer + "/.well-known/jwks.json",
		"authorization_endpoint":                issuer + "/authorize",
		"token_endpoint":                        issuer + "/token",
		"userinfo_endpoint":                     issuer + "/user",
		"response_types_supported":              []string{"code"},
		"grant_types_supported":                 []string{"client_credentials", "refresh_token"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"ES256"},
		"code_challenge_methods_supported":      []string{"S256"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post"},
		"claims_supported": []string{
			"aal", "amr", "app_metadata", "aud", "email", "exp", "iat", "is_anonymous", "iss", "phone", "role", "session_id", "sub", "user_metadata",
		},
	})
}
