package authn

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"

	"github.com/pandobase/pando/internal/auth"
	"github.com/pandobase/pando/internal/fault"
)

// token gives out tokens for what the grant type names.
func (q *request) token() error {
	f, err := q.bodyOrForm()
	if err != nil {
		return err
	}
	grantType := q.query.Get("grant_type")
	if grantType == "" { // RFC 6749 has it in the body
		grantType = f.text("grant_type")
	}
	grants := map[string]func(*request, *fields) (*auth.Grant, error){
		"password":      (*request).byPassword,
		"refresh_token": (*request).byRefreshToken,
		"pkce":          (*request).byCode,
		"id_token":      (*request).byIDToken,
	}
	switch grant := grants[grantType]; {
	case f.err != nil:
		return f.err
	case grant != nil:
		if err := q.authenticate(); err != nil {
			return err
		}
		q.id.Request.Operation = "token." + grantType
		out, err := grant(q, f)
		if err != nil {
			return err
		}
		return q.answer(out)
	case grantType == "client_credentials":
		q.id.Request.Operation = "token." + grantType
		return q.byClient(f)
	case grantType == "web3":
		return fault.New(fault.AuthWeb3Disabled, "sign-in by a web3 wallet is not available")
	case grantType == "":
		return fault.New(fault.AuthValidation, "grant_type is missing").WithHint("one of %s", grantTypes)
	}
	return fault.New(fault.AuthValidation, "unsupported_grant_type").
		WithDetails("grant_type is %s", shorten(grantType)).WithHint("one of %s", grantTypes)
}

const grantTypes = "password, refresh_token, pkce, id_token, client_credentials"

func (q *request) byPassword(f *fields) (*auth.Grant, error) {
	email := f.text("email")
	if email == "" {
		email = f.text("username") // RFC 6749, section 4.3.2
	}
	password, phone := f.text("password"), f.text("phone")
	switch {
	case f.err != nil:
		return nil, f.err
	case phone != "":
		return nil, phoneDisabled()
	case email == "" || password == "":
		return nil, fault.New(fault.AuthValidation, "an e-mail address and a password are needed")
	}
	return q.auth.SignInPassword(q.r.Context(), q.id, email, password)
}

func (q *request) byRefreshToken(f *fields) (*auth.Grant, error) {
	token := f.required("refresh_token")
	if f.err != nil {
		return nil, f.err
	}
	return q.auth.Refresh(q.r.Context(), q.id, token)
}

func (q *request) byCode(f *fields) (*auth.Grant, error) {
	code, verifier := f.required("auth_code"), f.required("code_verifier")
	if f.err != nil {
		return nil, f.err
	}
	return q.auth.ExchangeCode(q.r.Context(), q.id, code, verifier)
}

func (q *request) byIDToken(f *fields) (*auth.Grant, error) {
	in := auth.IDTokenInput{
		Provider: f.required("provider"), IDToken: f.required("id_token"),
		AccessToken: f.text("access_token"), Nonce: f.text("nonce"),
	}
	link := f.flag("link_identity")
	if f.err != nil {
		return nil, f.err
	}
	in.Link = link != nil && *link
	return q.auth.SignInIDToken(q.r.Context(), q.id, in)
}

// byClient is RFC 6749's client credentials grant, for machines: its errors
// have that standard's members too.
func (q *request) byClient(f *fields) error {
	id, secret := f.text("client_id"), f.text("client_secret")
	audience := f.text("audience")
	if f.err != nil {
		return f.err
	}
	header := q.r.Header.Get("Authorization")
	isBasic := len(header) > 6 && strings.EqualFold(header[:6], "basic ")
	wrong := func(err error) error {
		if isBasic { // RFC 6749, section 5.2: who came by a scheme is asked for the same one
			q.w.Header().Set("WWW-Authenticate", `Basic realm="pando"`)
		}
		return oauthFault(err, "invalid_client")
	}
	if isBasic {
		var ok bool
		if id, secret, ok = basic(header[6:]); !ok {
			return wrong(fault.New(fault.AuthInvalidCredentials, "the Authorization header is no client's name and secret"))
		}
	}
	if id == "" || secret == "" {
		return wrong(fault.New(fault.AuthInvalidCredentials, "client_id and client_secret are needed"))
	}
	grant, err := q.auth.ClientCredentials(q.r.Context(), q.id, id, secret, audience)
	if err != nil {
		if fault.Is(err, fault.AuthInvalidCredentials) {
			return wrong(err)
		}
		return err
	}
	return q.answer(grant)
}

// basic reads a client's credentials, which stand in the header form-encoded
// (RFC 6749, section 2.3.1).
func basic(text string) (id, secret string, ok bool) {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return "", "", false
	}
	id, secret, ok = strings.Cut(string(raw), ":")
	if !ok {
		return "", "", false
	}
	id, errID := url.QueryUnescape(id)
	secret, errSecret := url.QueryUnescape(secret)
	return id, secret, errID == nil && errSecret == nil
}

// oauthFault adds the members of RFC 6749, section 5.2.
func oauthFault(err error, code string) error {
	out := *fault.From(err)
	out.Status = http.StatusUnauthorized
	out.Extra = map[string]any{"error": code, "error_description": out.Message}
	return &out
}
