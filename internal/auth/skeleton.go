package auth

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/store"
)

// audience is the aud of access tokens, and the role that clients know of.
const audience = "authenticated"

func pending() error { return fault.New(fault.NotImplemented, "not built yet") }

func clean(s string, most int) string {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	return s
}

func (a *Auth) insertRefresh(tx store.Tx, sessionID, token, parent string) error {
	_, err := tx.Exec(a.st.refreshInsert, args(text(a.newID()), text(sessionID), text(hash(token)), optText(parent), at(a.now())))
	return err
}

func (a *Auth) sign(claims map[string]any) (string, error) { return "", pending() }

func (a *Auth) claims(s *session, now, expires time.Time) map[string]any { return nil }

// forget makes this node look at a user's sessions, roles and ban again at the next request.
func (a *Auth) forget(userID string) {}

// Start makes what is missing and starts what runs beside the requests.
func (a *Auth) Start(ctx context.Context) error { return nil }

// Stop ends it.
func (a *Auth) Stop(ctx context.Context) error { return nil }

// JWKS is the document of the public keys.
func (a *Auth) JWKS() []byte { return nil }

// RotateSigning changes the key that access tokens are signed with.
func (a *Auth) RotateSigning(ctx context.Context) error { return pending() }

// Issuer is the iss of access tokens.
func (a *Auth) Issuer() string { return a.cfg.URL + "/auth/v1" }

// Redirect is where a flow leads back to: the place that was asked for if the application allows it, else the site.
func (a *Auth) Redirect(asked string) string { return "" }

// Credentials are what a request carries.
type Credentials struct {
	APIKey string // the header apikey
	Bearer string // of Authorization, without the scheme
}

// Authenticate names the caller of a request.
func (a *Auth) Authenticate(ctx context.Context, c Credentials, r *policy.Request) (policy.Identity, error) {
	return policy.Identity{}, pending()
}

// SignUpInput is what somebody signs up with.
type SignUpInput struct {
	Email, Password                    string
	Data                               map[string]any // user_metadata
	Redirect                           string
	CodeChallenge, CodeChallengeMethod string
}

// SignUpResult has a Grant where the user is signed in at once, else the User.
type SignUpResult struct {
	Grant *Grant
	User  *User
}

// SignUp makes a user with an address and a password.
func (a *Auth) SignUp(ctx context.Context, id *Caller, in SignUpInput) (*SignUpResult, error) {
	return nil, pending()
}

// SignInPassword opens a session.
func (a *Auth) SignInPassword(ctx context.Context, id *Caller, email, password string) (*Grant, error) {
	return nil, pending()
}

// SignInAnonymously makes a user without an address.
func (a *Auth) SignInAnonymously(ctx context.Context, id *Caller, data map[string]any) (*Grant, error) {
	return nil, pending()
}

// Refresh answers a new pair of tokens.
func (a *Auth) Refresh(ctx context.Context, id *Caller, token string) (*Grant, error) {
	return nil, pending()
}

// OTPInput asks for a code and a link by mail.
type OTPInput struct {
	Email                              string
	CreateUser                         bool
	Data                               map[string]any
	Redirect                           string
	CodeChallenge, CodeChallengeMethod string
}

// SendOTP mails a code and a link.
func (a *Auth) SendOTP(ctx context.Context, id *Caller, in OTPInput) error { return pending() }

// RecoverInput asks for a new password.
type RecoverInput struct {
	Email, Redirect                    string
	CodeChallenge, CodeChallengeMethod string
}

// Recover mails the way to a new password.
func (a *Auth) Recover(ctx context.Context, id *Caller, in RecoverInput) error { return pending() }

// ResendInput asks for a mail again.
type ResendInput struct {
	Type                               string // signup, email_change
	Email, Redirect                    string
	CodeChallenge, CodeChallengeMethod string
}

// Resend mails again.
func (a *Auth) Resend(ctx context.Context, id *Caller, in ResendInput) error { return pending() }

// VerifyInput is a code or a link's token.
type VerifyInput struct {
	Type      string // signup, invite, magiclink, recovery, email_change, email
	Email     string // with Token
	Token     string // the code that was mailed; in a link (GET), its token hash
	TokenHash string
	Redirect  string
	Link      bool // a link was followed (GET): a flow with PKCE answers a code
}

// VerifyResult has one of Grant, Code and Message.
type VerifyResult struct {
	Grant    *Grant
	Code     string // for the exchange with the verifier
	Message  string // a first of two confirmations
	Type     string
	Redirect string // allowed; where a link leads to
}

// Verify takes a code or a link's token, once.
func (a *Auth) Verify(ctx context.Context, id *Caller, in VerifyInput) (*VerifyResult, error) {
	return nil, pending()
}

// Reauthenticate mails a nonce to the caller.
func (a *Auth) Reauthenticate(ctx context.Context, id *Caller) error { return pending() }

// GetUser is the caller.
func (a *Auth) GetUser(ctx context.Context, id *Caller) (*User, error) { return nil, pending() }

// UpdateInput is what a user changes; nil: left as it is.
type UpdateInput struct {
	Email, Password, Nonce             *string
	Data                               map[string]any // merged into user_metadata; a null removes a member
	Phone                              *string
	Redirect                           string
	CodeChallenge, CodeChallengeMethod string
}

// UpdateUser changes the caller.
func (a *Auth) UpdateUser(ctx context.Context, id *Caller, in UpdateInput) (*User, error) {
	return nil, pending()
}

// Logout ends sessions of the caller: global, local or others.
func (a *Auth) Logout(ctx context.Context, id *Caller, scope string) error { return pending() }

// InviteInput asks somebody in.
type InviteInput struct {
	Email    string
	Data     map[string]any
	Redirect string
}

// Invite makes a user and mails the way in. Only the service may.
func (a *Auth) Invite(ctx context.Context, id *Caller, in InviteInput) (*User, error) {
	return nil, pending()
}

// AdminUser is what an administrator gives a user; nil: left as it is.
type AdminUser struct {
	ID                        string // of a new user; empty: made here
	Email, Phone, Password    *string
	PasswordHash              *string // encoded, of an algorithm that can be imported
	EmailConfirm              *bool
	UserMetadata, AppMetadata map[string]any // merged when updating
	Role                      *string        // authenticated, or a role of the application
	BanDuration               *string        // 24h; none lifts the ban
}

// AdminCreateUser makes a user.
func (a *Auth) AdminCreateUser(ctx context.Context, id *Caller, in AdminUser) (*User, error) {
	return nil, pending()
}

// UserPage is one page of users, the newest first.
type UserPage struct {
	Users []*User `json:"users"`
	Aud   string  `json:"aud"`
	Total int     `json:"-"` // for X-Total-Count
	Page  int     `json:"-"`
	Last  int     `json:"-"` // the last page; at least 1
}

// AdminListUsers lists users; pages count from 1.
func (a *Auth) AdminListUsers(ctx context.Context, id *Caller, page, perPage int) (*UserPage, error) {
	return nil, pending()
}

// AdminGetUser is one user.
func (a *Auth) AdminGetUser(ctx context.Context, id *Caller, userID string) (*User, error) {
	return nil, pending()
}

// AdminUpdateUser changes a user.
func (a *Auth) AdminUpdateUser(ctx context.Context, id *Caller, userID string, in AdminUser) (*User, error) {
	return nil, pending()
}

// AdminDeleteUser removes a user; soft: the row stays, with nothing personal in it.
func (a *Auth) AdminDeleteUser(ctx context.Context, id *Caller, userID string, soft bool) error {
	return pending()
}

// LinkInput asks for a link without a mail.
type LinkInput struct {
	Type     string // signup, invite, magiclink, recovery, email_change_current, email_change_new
	Email    string
	NewEmail string
	Password string // of signup
	Data     map[string]any
	Redirect string
}

// Link is what a mail would have held.
type Link struct {
	ActionLink       string `json:"action_link"`
	EmailOTP         string `json:"email_otp"`
	HashedToken      string `json:"hashed_token"`
	VerificationType string `json:"verification_type"`
	RedirectTo       string `json:"redirect_to"`
	User             *User  `json:"-"` // its members stand beside the others'
}

// MarshalJSON writes the members of the user beside those of the link.
func (l *Link) MarshalJSON() ([]byte, error) { return json.Marshal(nil) }

// AdminGenerateLink makes a link for somebody else to send.
func (a *Auth) AdminGenerateLink(ctx context.Context, id *Caller, in LinkInput) (*Link, error) {
	return nil, pending()
}

// AdminFactors lists a user's second factors.
func (a *Auth) AdminFactors(ctx context.Context, id *Caller, userID string) ([]Factor, error) {
	return nil, pending()
}

// AdminDeleteFactor removes one.
func (a *Auth) AdminDeleteFactor(ctx context.Context, id *Caller, userID, factorID string) error {
	return pending()
}

// SetRoles replaces the roles that auth.user_roles gives a user.
func (a *Auth) SetRoles(ctx context.Context, id *Caller, userID string, roles []string) error {
	return pending()
}
