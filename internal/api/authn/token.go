package authn

import (
	"net/http"

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
		return q.answer(http.StatusOK, out)
	case grantType == "web3":
		return fault.New(fault.AuthWeb3Disabled, "sign-in by a web3 wallet is not available")
	case grantType == "":
		return fault.New(fault.AuthValidation, "grant_type is missing").WithHint("one of %s", grantTypes)
	}
	return fault.New(fault.AuthValidation, "unsupported_grant_type").
		WithDetails("grant_type is %s", shorten(grantType)).WithHint("one of %s", grantTypes)
}

const grantTypes = "password, refresh_token"

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
