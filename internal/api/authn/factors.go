package authn

import (
	"net/http"

	"github.com/pandobase/pando/internal/auth"
	"github.com/pandobase/pando/internal/fault"
)

// enroll begins a second factor.
func (q *request) enroll() error {
	f, err := q.body()
	if err != nil {
		return err
	}
	kind := f.required("factor_type")
	in := auth.EnrollInput{FriendlyName: f.text("friendly_name"), Issuer: f.text("issuer")}
	if f.err != nil {
		return f.err
	}
	switch kind {
	case "totp":
	case "phone":
		return fault.New(fault.AuthMFAPhoneDisabled, "factors by phone are not available").WithHint("use a factor of type totp")
	case "webauthn":
		return fault.New(fault.AuthMFAWebAuthnDisabled, "passkeys are not available").WithHint("use a factor of type totp")
	default:
		return fault.New(fault.AuthValidation, "factor_type must be totp")
	}
	out, err := q.auth.EnrollTOTP(q.r.Context(), q.id, in)
	if err != nil {
		return err
	}
	return q.answer(http.StatusOK, out)
}

// challenge asks for a code of a factor.
func (q *request) challenge() error {
	out, err := q.auth.Challenge(q.r.Context(), q.id, q.vars["id"])
	if err != nil {
		return err
	}
	return q.answer(http.StatusOK, out)
}

// verifyFactor takes the code and raises the session to aal2.
func (q *request) verifyFactor() error {
	f, err := q.body()
	if err != nil {
		return err
	}
	if f.has("webauthn") {
		return fault.New(fault.AuthMFAWebAuthnDisabled, "passkeys are not available")
	}
	challenge, code := f.required("challenge_id"), f.required("code")
	if f.err != nil {
		return f.err
	}
	grant, err := q.auth.VerifyFactor(q.r.Context(), q.id, q.vars["id"], challenge, code)
	if err != nil {
		return err
	}
	return q.answer(http.StatusOK, grant)
}

func (q *request) unenroll() error {
	if err := q.auth.Unenroll(q.r.Context(), q.id, q.vars["id"]); err != nil {
		return err
	}
	return q.answer(http.StatusOK, map[string]string{"id": q.vars["id"]})
}
