// Package auth knows who somebody is: users with their passwords, sessions,
// one-time codes, second factors and accounts at providers, and the tokens and
// keys that requests carry. It turns a request's credentials into the
// [policy.Identity] that the engine judges.
//
// It keeps its rows in the tables of the module auth (internal/model) and
// writes each change together with its audit record in one transaction. Every
// fault is one of the identity door's (fault.Auth...), so that the door only
// translates. It is safe for concurrent use.
package auth

import (
	"encoding/json"
	"time"
)

// User is a user as the identity door shows it, in GoTrue's members.
type User struct {
	ID               string          `json:"id"`
	Aud              string          `json:"aud"`  // authenticated
	Role             string          `json:"role"` // authenticated
	Email            string          `json:"email"`
	Phone            string          `json:"phone"`
	EmailConfirmedAt *time.Time      `json:"email_confirmed_at,omitempty"`
	ConfirmedAt      *time.Time      `json:"confirmed_at,omitempty"` // the same
	InvitedAt        *time.Time      `json:"invited_at,omitempty"`
	ConfirmationSent *time.Time      `json:"confirmation_sent_at,omitempty"`
	RecoverySent     *time.Time      `json:"recovery_sent_at,omitempty"`
	EmailChangeSent  *time.Time      `json:"email_change_sent_at,omitempty"`
	ReauthSent       *time.Time      `json:"reauthentication_sent_at,omitempty"`
	NewEmail         string          `json:"new_email,omitempty"`
	LastSignInAt     *time.Time      `json:"last_sign_in_at,omitempty"`
	AppMetadata      json.RawMessage `json:"app_metadata"` // with provider and providers
	UserMetadata     json.RawMessage `json:"user_metadata"`
	Identities       []UserIdentity  `json:"identities"`
	Factors          []Factor        `json:"factors,omitempty"`
	BannedUntil      *time.Time      `json:"banned_until,omitempty"`
	CreatedAt        time.Time       `json:"created_at"`
	UpdatedAt        time.Time       `json:"updated_at"`
	IsAnonymous      bool            `json:"is_anonymous"`
}

// UserIdentity is a user's account at a provider; "email" is Pando itself.
type UserIdentity struct {
	IdentityID   string          `json:"identity_id"` // the row's id
	ID           string          `json:"id"`          // the provider's subject
	UserID       string          `json:"user_id"`
	IdentityData json.RawMessage `json:"identity_data"`
	Provider     string          `json:"provider"`
	Email        string          `json:"email,omitempty"`
	LastSignInAt *time.Time      `json:"last_sign_in_at"`
	CreatedAt    time.Time       `json:"created_at"`
	UpdatedAt    time.Time       `json:"updated_at"`
}

// Factor is a second factor.
type Factor struct {
	ID               string     `json:"id"`
	FriendlyName     string     `json:"friendly_name,omitempty"`
	FactorType       string     `json:"factor_type"` // totp
	Status           string     `json:"status"`      // verified, unverified
	CreatedAt        time.Time  `json:"created_at"`
	UpdatedAt        time.Time  `json:"updated_at"`
	LastChallengedAt *time.Time `json:"last_challenged_at,omitempty"`
}

// Grant is what a sign-in or a refresh answers: GoTrue's session object.
type Grant struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"` // bearer
	ExpiresIn    int64  `json:"expires_in"` // seconds
	ExpiresAt    int64  `json:"expires_at"` // Unix seconds
	RefreshToken string `json:"refresh_token,omitempty"`
	User         *User  `json:"user,omitempty"`

	ProviderToken        string `json:"provider_token,omitempty"`
	ProviderRefreshToken string `json:"provider_refresh_token,omitempty"`
	WeakPassword         any    `json:"weak_password,omitempty"`
}
