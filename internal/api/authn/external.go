package authn

import (
	"net/http"
	"net/url"

	"github.com/pandobase/pando/internal/auth"
)

// authorize sends a browser to a provider.
func (q *request) authorize() error {
	to, err := q.auth.Authorize(q.r.Context(), q.id, q.authorizeInput())
	if err != nil {
		return err
	}
	return q.redirect(http.StatusFound, to)
}

// linkIdentity starts the way to a further account of the caller. A client
// that follows no redirect is told the address.
func (q *request) linkIdentity() error {
	to, err := q.auth.LinkIdentity(q.r.Context(), q.id, q.authorizeInput())
	if err != nil {
		return err
	}
	if q.query.Get("skip_http_redirect") == "true" {
		return q.answer(http.StatusOK, map[string]string{"url": to})
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
		State: values.Get("state"), Code: values.Get("code"), User: values.Get("user"),
		Error: values.Get("error"), ErrorDescription: values.Get("error_description"),
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
