package auth

import (
	"context"
	"io"
	"net/url"

	"github.com/pandobase/pando/internal/fault"
)

// AuthorizeInput begins a sign-in at a provider.
type AuthorizeInput struct {
	Provider, Redirect                 string
	Scopes                             string // beside the configured ones, separated by spaces
	CodeChallenge, CodeChallengeMethod string
	Params                             url.Values // further parameters of the request; what providers may be told of them goes on to it
	// Browser is a secret that the door keeps in a cookie of the browser;
	// the callback must bring the same one. Empty: the flow is not bound to a
	// browser, but by its code challenge to who holds the verifier.
	Browser string
}

// CallbackInput is what a provider sends a browser back with.
type CallbackInput struct {
	State, Code             string
	Error, ErrorDescription string
	User                    string // Apple's form: the name, as JSON
	Browser                 string // see AuthorizeInput
}

// IDTokenInput is an ID token that an application got from a provider itself.
type IDTokenInput struct {
	Provider, IDToken, AccessToken string
	Nonce                          string // raw; the token holds its SHA-256
}

// Client is a machine that gets tokens of its own.
type Client struct {
	ID        string   `json:"id"`
	Name      string   `json:"name"`
	Roles     []string `json:"roles"`
	Audiences []string `json:"audiences"`
}

// ImportOptions say what is imported and how.
type ImportOptions struct {
	Format ImportFormat
	DryRun bool // read and check only
}

// ImportReport tells what an import did.
type ImportReport struct {
	Imported int `json:"imported"`
}

// Authorize answers the URL at the provider to which the browser goes.
func (a *Auth) Authorize(ctx context.Context, id *Caller, in AuthorizeInput) (string, error) {
	return "", pending()
}

// Callback answers where the browser goes on to.
func (a *Auth) Callback(ctx context.Context, id *Caller, in CallbackInput) (string, error) {
	return "", pending()
}

// SignInIDToken is grant_type=id_token.
func (a *Auth) SignInIDToken(ctx context.Context, id *Caller, in IDTokenInput) (*Grant, error) {
	return nil, pending()
}

// LinkIdentity answers the URL at the provider whose account becomes the caller's.
func (a *Auth) LinkIdentity(ctx context.Context, id *Caller, in AuthorizeInput) (string, error) {
	return "", pending()
}

// Identities are the caller's accounts.
func (a *Auth) Identities(ctx context.Context, id *Caller) ([]UserIdentity, error) {
	return nil, pending()
}

// UnlinkIdentity removes one of them.
func (a *Auth) UnlinkIdentity(ctx context.Context, id *Caller, identityID string) error {
	return pending()
}

// ClientCredentials is grant_type=client_credentials.
func (a *Auth) ClientCredentials(ctx context.Context, id *Caller, clientID, secret, audience string) (*Grant, error) {
	return nil, pending()
}

// ImportUsers imports users.
func (a *Auth) ImportUsers(ctx context.Context, id *Caller, r io.Reader, opt ImportOptions) (*ImportReport, error) {
	return nil, pending()
}

func (a *Auth) unsealTokens(userID string, sealed []byte, g *Grant) error {
	if len(sealed) > 0 {
		return fault.New(fault.Internal, "an internal error occurred")
	}
	return nil
}
