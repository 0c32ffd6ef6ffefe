package authn

import (
	"net/http"

	"github.com/pandobase/pando/internal/auth"
	"github.com/pandobase/pando/internal/fault"
)

// factorRoutes are the routes of second factors.
func factorRoutes() []route {
	return []route{
		{method: http.MethodPost, path: "factors", access: member, operation: "factor.enroll", serve: (*request).enroll},
		{method: http.MethodPost, path: "factors/{id}/challenge", access: member, operation: "factor.challenge", serve: (*request).challenge},
		{method: http.MethodPost, path: "factors/{id}/verify", access: member, operation: "factor.verify", serve: (*request).verifyFactor},
		{method: http.MethodDelete, path: "factors/{id}", access: member, operation: "factor.unenroll", serve: (*request).unenroll},
	}
}

// enroll begins a second factor.
func (q *request) enroll() error {
	f, err := q.body()
	if err != nil {
		return err
	}
	in := auth.EnrollInput{FactorType: f.required("factor_type"), FriendlyName: f.text("friendly_name"), Issuer: f.text("issuer")}
	if f.err != nil {
		return f.err
	}
	out, err := q.auth.EnrollTOTP(q.r.Context(), q.id, in)
	if err != nil {
		return err
	}
	return q.answer(out)
}

// challenge asks for a code of a factor.
func (q *request) challenge() error {
	out, err := q.auth.Challenge(q.r.Context(), q.id, q.vars["id"])
	if err != nil {
		return err
	}
	return q.answer(out)
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
	return q.answer(grant)
}

func (q *request) unenroll() error {
	if err := q.auth.Unenroll(q.r.Context(), q.id, q.vars["id"]); err != nil {
		return err
	}
	return q.answer(map[string]string{"id": q.vars["id"]})
}
