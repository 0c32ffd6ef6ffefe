package authn

import (
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/pandobase/pando/internal/auth"
	"github.com/pandobase/pando/internal/fault"
)

// verifyRoutes are the routes of codes and links out of mails.
func verifyRoutes() []route {
	return []route{
		{method: http.MethodPost, path: "verify", access: keyed, operation: "verify", serve: (*request).verify},
		{method: http.MethodGet, path: "verify", access: open, operation: "verify", serve: (*request).followLink},
		{method: http.MethodHead, path: "verify", access: open, operation: "verify", serve: (*request).lookAtLink},
	}
}

// verify takes the code or the hash out of a mail.
func (q *request) verify() error {
	f, err := q.body()
	if err != nil {
		return err
	}
	if f.text("phone") != "" || f.text("type") == "sms" || f.text("type") == "phone_change" {
		return phoneDisabled()
	}
	in := auth.VerifyInput{
		Type: f.required("type"), Email: f.text("email"), Token: f.text("token"), TokenHash: f.text("token_hash"), Redirect: q.redirectTo(),
	}
	switch {
	case f.err != nil:
		return f.err
	case in.TokenHash == "" && (in.Token == "" || in.Email == ""):
		return fault.New(fault.AuthValidation, "an email with its token, or a token_hash, is needed")
	case in.TokenHash != "" && in.Email != "":
		return fault.New(fault.AuthValidation, "a token_hash stands alone: it names its user itself")
	}
	out, err := q.auth.Verify(q.r.Context(), q.id, in)
	switch {
	case err != nil:
		return err
	case out.Grant != nil:
		return q.answer(out.Grant)
	}
	return q.answer(map[string]string{"msg": out.Message, "code": "200"})
}

// followLink takes the hash in a mail's link and leads back to the
// application, with a session or a code for one, or with what went wrong.
//
// A program that opens every link of a mail uses the token up. Who must live
// with such programs lets the mail's template lead to a page of the
// application, which calls verify with the token_hash when somebody clicks.
func (q *request) followLink() error {
	in := auth.VerifyInput{Type: q.query.Get("type"), TokenHash: q.query.Get("token"), Redirect: q.redirectTo()}
	if in.TokenHash == "" {
		in.TokenHash = q.query.Get("token_hash")
	}
	if in.Type == "" || in.TokenHash == "" {
		return fault.New(fault.AuthValidation, "the link is not complete: it needs type and token")
	}
	in.Link = true
	out, err := q.auth.Verify(q.r.Context(), q.id, in)
	if err != nil {
		if to := q.auth.Redirect(in.Redirect); to != "" {
			return q.redirect(http.StatusSeeOther, withFault(to, err))
		}
		return err
	}
	if out.Redirect == "" { // the application names no place: the mail was confirmed all the same
		return q.answer(map[string]string{"msg": "confirmed"})
	}
	return q.redirect(http.StatusSeeOther, withResult(out))
}

// withResult is where a followed link leads, with what it brings: a code in
// the query, which a server can read, or a session in the fragment, which
// never leaves the browser.
func withResult(out *auth.VerifyResult) string {
	switch {
	case out.Code != "":
		return withQuery(out.Redirect, url.Values{"code": {out.Code}})
	case out.Grant != nil:
		return withFragment(out.Redirect, url.Values{
			"access_token": {out.Grant.AccessToken}, "token_type": {out.Grant.TokenType}, "refresh_token": {out.Grant.RefreshToken},
			"expires_in": {strconv.FormatInt(out.Grant.ExpiresIn, 10)}, "expires_at": {strconv.FormatInt(out.Grant.ExpiresAt, 10)},
			"type": {out.Type},
		})
	}
	return withFragment(out.Redirect, url.Values{"message": {out.Message}})
}

// withFault is where a link that failed leads. The clients look for the error
// in the fragment, and pages that a server makes find it in the query.
func withFault(to string, err error) string {
	f := fault.From(err)
	kind := "access_denied"
	if f.HTTPStatus() >= http.StatusInternalServerError {
		kind = "server_error"
	}
	values := url.Values{"error": {kind}, "error_code": {string(f.Code)}, "error_description": {f.Message}}
	return withFragment(withQuery(to, values), values)
}

func withQuery(to string, values url.Values) string {
	u, err := url.Parse(to)
	if err != nil {
		return to
	}
	query := u.Query()
	maps.Copy(query, values)
	u.RawQuery = query.Encode()
	return u.String()
}

// withFragment replaces the fragment of an address.
func withFragment(to string, values url.Values) string {
	to, _, _ = strings.Cut(to, "#")
	return to + "#" + values.Encode()
}

// lookAtLink answers programs that look at a link before somebody follows it.
// It asks nobody and uses nothing up.
func (q *request) lookAtLink() error {
	q.w.WriteHeader(http.StatusOK)
	return nil
}
