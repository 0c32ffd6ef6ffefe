package authn

import (
	"net/http"

	"github.com/pandobase/pando/internal/auth"
	"github.com/pandobase/pando/internal/fault"
)

// accountRoutes are the routes of a user's own account.
func accountRoutes() []route {
	return []route{
		{method: http.MethodPost, path: "signup", access: keyed, operation: "signup", serve: (*request).signUp},
		{method: http.MethodPost, path: "token", access: open, operation: "token", serve: (*request).token},
		{method: http.MethodPost, path: "otp", access: keyed, operation: "otp", serve: (*request).otp},
		{method: http.MethodPost, path: "magiclink", access: keyed, operation: "magiclink", serve: (*request).magicLink},
		{method: http.MethodPost, path: "recover", access: keyed, operation: "recover", serve: (*request).recover},
		{method: http.MethodPost, path: "resend", access: keyed, operation: "resend", serve: (*request).resend},
		{method: http.MethodPost, path: "invite", access: admin, operation: "invite", serve: (*request).invite},
		{method: http.MethodGet, path: "user", access: member, safe: true, operation: "user.get", serve: (*request).getUser},
		{method: http.MethodPut, path: "user", access: member, operation: "user.update", serve: (*request).updateUser},
		{method: http.MethodGet, path: "reauthenticate", access: member, operation: "reauthenticate", serve: (*request).reauthenticate},
		{method: http.MethodPost, path: "reauthenticate", access: member, operation: "reauthenticate", serve: (*request).reauthenticate},
		{method: http.MethodPost, path: "logout", access: member, operation: "logout", serve: (*request).logout},
	}
}

// signUp makes an account; without an address it is an anonymous one.
func (q *request) signUp() error {
	f, err := q.body()
	if err != nil {
		return err
	}
	in := auth.SignUpInput{
		Email: f.text("email"), Password: f.text("password"), Data: f.object("data"), Redirect: q.redirectTo(),
		CodeChallenge: f.text("code_challenge"), CodeChallengeMethod: f.text("code_challenge_method"),
	}
	phone := f.text("phone")
	switch {
	case f.err != nil:
		return f.err
	case phone != "":
		return phoneDisabled()
	case in.Email == "" && in.Password == "":
		grant, err := q.auth.SignInAnonymously(q.r.Context(), q.id, in.Data)
		if err != nil {
			return err
		}
		return q.answer(grant)
	}
	out, err := q.auth.SignUp(q.r.Context(), q.id, in)
	if err != nil {
		return err
	}
	if out.Grant != nil {
		return q.answer(out.Grant)
	}
	return q.answer(out.User)
}

// otp mails a code and a link to sign in with.
func (q *request) otp() error {
	f, err := q.body()
	if err != nil {
		return err
	}
	create := f.flag("create_user")
	return q.sendOTP(f, create == nil || *create)
}

// magicLink is otp as it was called before.
func (q *request) magicLink() error {
	f, err := q.body()
	if err != nil {
		return err
	}
	return q.sendOTP(f, true)
}

func (q *request) sendOTP(f *fields, create bool) error {
	if f.text("phone") != "" {
		return phoneDisabled()
	}
	in := auth.OTPInput{
		Email: f.required("email"), CreateUser: create, Data: f.object("data"), Redirect: q.redirectTo(),
		CodeChallenge: f.text("code_challenge"), CodeChallengeMethod: f.text("code_challenge_method"),
	}
	if f.err != nil {
		return f.err
	}
	if err := q.auth.SendOTP(q.r.Context(), q.id, in); err != nil {
		return err
	}
	return q.done()
}

// recover mails what leads to a new password.
func (q *request) recover() error {
	f, err := q.body()
	if err != nil {
		return err
	}
	in := auth.RecoverInput{
		Email: f.required("email"), Redirect: q.redirectTo(),
		CodeChallenge: f.text("code_challenge"), CodeChallengeMethod: f.text("code_challenge_method"),
	}
	if f.err != nil {
		return f.err
	}
	if err := q.auth.Recover(q.r.Context(), q.id, in); err != nil {
		return err
	}
	return q.done()
}

// resend mails a confirmation again.
func (q *request) resend() error {
	f, err := q.body()
	if err != nil {
		return err
	}
	if f.text("phone") != "" {
		return phoneDisabled()
	}
	in := auth.ResendInput{
		Type: f.required("type"), Email: f.required("email"), Redirect: q.redirectTo(),
		CodeChallenge: f.text("code_challenge"), CodeChallengeMethod: f.text("code_challenge_method"),
	}
	if f.err != nil {
		return f.err
	}
	if err := q.auth.Resend(q.r.Context(), q.id, in); err != nil {
		return err
	}
	return q.done()
}

// invite makes an account for somebody and mails them.
func (q *request) invite() error {
	f, err := q.body()
	if err != nil {
		return err
	}
	in := auth.InviteInput{Email: f.required("email"), Data: f.object("data"), Redirect: q.redirectTo()}
	if f.err != nil {
		return f.err
	}
	user, err := q.auth.Invite(q.r.Context(), q.id, in)
	if err != nil {
		return err
	}
	return q.answer(user)
}

func (q *request) getUser() error {
	user, err := q.auth.GetUser(q.r.Context(), q.id)
	if err != nil {
		return err
	}
	return q.answer(user)
}

// updateUser changes the caller's own account.
func (q *request) updateUser() error {
	f, err := q.body()
	if err != nil {
		return err
	}
	in := auth.UpdateInput{
		Email: f.textPointer("email"), Password: f.textPointer("password"), Nonce: f.textPointer("nonce"), Phone: f.textPointer("phone"),
		Data: f.object("data"), Redirect: q.redirectTo(),
		CodeChallenge: f.text("code_challenge"), CodeChallengeMethod: f.text("code_challenge_method"),
	}
	switch {
	case f.err != nil:
		return f.err
	case in.Phone != nil && *in.Phone != "":
		return phoneDisabled()
	case f.has("app_metadata"):
		return fault.New(fault.AuthNotAdmin, "app_metadata is not the user's to change").WithHint("an administrator sets it, through admin/users")
	}
	user, err := q.auth.UpdateUser(q.r.Context(), q.id, in)
	if err != nil {
		return err
	}
	return q.answer(user)
}

// reauthenticate mails the code that a new password asks for.
func (q *request) reauthenticate() error {
	if err := q.auth.Reauthenticate(q.r.Context(), q.id); err != nil {
		return err
	}
	return q.done()
}

// logout ends the sessions that the scope names: all of the user's by default.
func (q *request) logout() error {
	scope := q.query.Get("scope")
	switch scope {
	case "":
		scope = "global"
	case "global", "local", "others":
	default:
		return fault.New(fault.AuthValidation, "scope must be global, local or others")
	}
	if err := q.auth.Logout(q.r.Context(), q.id, scope); err != nil {
		return err
	}
	q.w.WriteHeader(http.StatusNoContent)
	return nil
}
