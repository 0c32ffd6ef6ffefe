package authn

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/pandobase/pando/internal/auth"
)

// providerRoutes are the routes of sign-ins at providers.
func providerRoutes() []route {
	return []route{
		{method: http.MethodGet, path: "user/identities/authorize", access: member, operation: "identity.link", serve: (*request).linkIdentity},
		{method: http.MethodDelete, path: "user/identities/{id}", access: member, operation: "identity.unlink", serve: (*request).unlinkIdentity},
		{method: http.MethodGet, path: "authorize", access: open, operation: "authorize", serve: (*request).authorize},
		{method: http.MethodGet, path: "callback", access: open, operation: "callback", serve: (*request).callback},
		{method: http.MethodPost, path: "callback", access: open, operation: "callback", serve: (*request).callback},
	}
}

// authorize sends a browser to a provider.
func (q *request) authorize() error {
	in := q.authorizeInput()
	secret := q.browser()
	if secret == "" {
		secret = q.newSecret()
	}
	in.Browser = secret
	to, err := q.auth.Authorize(q.r.Context(), q.id, in)
	if err != nil {
		return err
	}
	http.SetCookie(q.w, q.cookie(secret))
	return q.redirect(http.StatusFound, to)
}

// The cookie that binds a sign-in at a provider to the browser that began it:
// who is led to the end of a stranger's sign-in has another one, or none (RFC
// 9700, section 4.7.1). It means nothing anywhere else.
const (
	cookieName = "pando-sign-in"
	// A browser takes __Host- from this very host alone (RFC 6265bis): no other
	// host of the domain can put the secret of its own there.
	secureCookie = "__Host-" + cookieName
	cookieLife   = 10 * time.Minute // as long as a provider may take
	secretSize   = 32               // bytes
)

func (q *request) secure() bool { return strings.HasPrefix(q.auth.Issuer(), "https:") }

// cookie comes back to the callback, and nothing else reads it. Apple sends the
// browser back with a form, which brings only cookies of SameSite=None, and those
// are for https.
func (q *request) cookie(secret string) *http.Cookie {
	c := &http.Cookie{
		Name: cookieName, Value: secret, Path: Path + "/", MaxAge: int(cookieLife.Seconds()), HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
	if q.secure() {
		c.Name, c.Path, c.Secure, c.SameSite = secureCookie, "/", true, http.SameSiteNoneMode
	}
	return c
}

// browser is the secret of the request's cookie; empty: it has none that could
// be ours.
func (q *request) browser() string {
	name := cookieName
	if q.secure() {
		name = secureCookie
	}
	c, err := q.r.Cookie(name)
	if err != nil || len(c.Value) != base64.RawURLEncoding.EncodedLen(secretSize) {
		return ""
	}
	if _, err := base64.RawURLEncoding.DecodeString(c.Value); err != nil {
		return ""
	}
	return c.Value
}

func (q *request) newSecret() string {
	b := make([]byte, secretSize)
	if _, err := io.ReadFull(q.random, b); err != nil {
		panic(err) // the system's source does not fail
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// linkIdentity starts the way to a further account of the caller. A client
// that follows no redirect is told the address.
func (q *request) linkIdentity() error {
	to, err := q.auth.LinkIdentity(q.r.Context(), q.id, q.authorizeInput())
	if err != nil {
		return err
	}
	if q.query.Get("skip_http_redirect") == "true" {
		return q.answer(map[string]string{"url": to})
	}
	return q.redirect(http.StatusFound, to)
}

func (q *request) authorizeInput() auth.AuthorizeInput {
	in := auth.AuthorizeInput{
		Provider: q.query.Get("provider"), Redirect: q.redirectTo(), Scopes: q.query.Get("scopes"),
		CodeChallenge: q.query.Get("code_challenge"), CodeChallengeMethod: q.query.Get("code_challenge_method"),
		Params: url.Values{},
	}
	for name, values := range q.query {
		switch name {
		case "provider", "redirect_to", "scopes", "code_challenge", "code_challenge_method", "skip_http_redirect", "apikey", "flow_type", "invite_token":
		default:
			in.Params[name] = values
		}
	}
	return in
}

// callback is where a provider sends the browser back to: by GET, or with a
// form where the provider wants it so (Apple).
func (q *request) callback() error {
	values := q.query
	if q.r.Method == http.MethodPost {
		kind, err := mediaType(q.r)
		if err != nil {
			return err
		}
		if kind != "application/x-www-form-urlencoded" {
			return unsupportedMedia(kind, "application/x-www-form-urlencoded")
		}
		if values, err = q.form(); err != nil {
			return err
		}
	}
	to, err := q.auth.Callback(q.r.Context(), q.id, auth.CallbackInput{
		State: values.Get("state"), Code: values.Get("code"), Issuer: values.Get("iss"), User: values.Get("user"),
		Error: values.Get("error"), ErrorDescription: values.Get("error_description"), Browser: q.browser(),
	})
	if to != "" {
		return q.redirect(http.StatusSeeOther, to)
	}
	return err
}

func (q *request) unlinkIdentity() error {
	if err := q.auth.UnlinkIdentity(q.r.Context(), q.id, q.vars["id"]); err != nil {
		return err
	}
	return q.done()
}
