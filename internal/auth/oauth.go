package auth

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/provider"
	"github.com/pandobase/pando/internal/store"
)

// AuthorizeInput begins a sign-in at a provider.
type AuthorizeInput struct {
	Provider, Redirect                 string
	Scopes                             string // beside the configured ones, separated by spaces
	CodeChallenge, CodeChallengeMethod string
	Params                             url.Values // further parameters for the provider; those that Pando sets are refused
	// Browser is a secret that the door keeps in a cookie of the browser; the
	// callback must bring the same one (RFC 9700, section 2.1). Empty: the
	// flow is bound by its code challenge alone to who holds the verifier.
	Browser string
}

// stateData is what a flow of kindState remembers of the way out to a provider
// for the way back.
type stateData struct {
	Redirect        string `json:"redirect"`
	Challenge       string `json:"code_challenge,omitempty"`
	ChallengeMethod string `json:"code_challenge_method,omitempty"`
	Browser         string `json:"browser,omitempty"` // hash
	Session         string `json:"session,omitempty"` // of who links an identity
	Sealed          []byte `json:"sealed"`            // secrets, wrapped
}

// secrets are what the provider's answer is checked with. They lie wrapped in
// the store; the state itself does not lie there at all.
type secrets struct {
	Verifier string `json:"verifier"`
	Nonce    string `json:"nonce"`
}

// callbackURL is where providers send browsers back to.
func (a *Auth) callbackURL() string { return a.Issuer() + "/callback" }

// Authorize begins a sign-in at a provider and answers where the browser goes.
// With a code challenge the flow ends with a code for [Auth.ExchangeCode], else
// with tokens in the fragment of the redirect, as clients without PKCE expect.
// A redirect that is not allowed becomes the application's site.
func (a *Auth) Authorize(ctx context.Context, id *Caller, in AuthorizeInput) (string, error) {
	if err := a.limit(ctx, id, "sign_in", ""); err != nil {
		return "", err
	}
	return a.depart(ctx, in, "", "", nil)
}

// LinkIdentity begins to link an account at a provider to the caller and
// answers where the browser goes. The account is linked by the exchange of the
// code that the browser comes back with, and so needs the verifier: who was led
// onto somebody else's way to a provider gives their account to nobody. The
// session must still be there then. A user with a second factor needs a session
// of aal2.
func (a *Auth) LinkIdentity(ctx context.Context, id *Caller, in AuthorizeInput) (string, error) {
	if !a.settings().Linking {
		return "", errLinking()
	}
	if in.CodeChallenge == "" {
		return "", fault.New(fault.AuthValidation, "an account is linked with PKCE only: code_challenge is missing").
			WithHint("create the client with the option auth: { flowType: 'pkce' }")
	}
	if err := a.limit(ctx, id, "other", id.UID); err != nil {
		return "", err
	}
	return a.depart(ctx, in, id.UID, id.Session, func(tx store.Tx) error {
		u, _, err := a.self(tx, id)
		if err != nil {
			return err
		}
		return a.secondFactor(tx, id, u.id)
	})
}

// depart stores a flow and answers the provider's URL for it.
func (a *Auth) depart(ctx context.Context, in AuthorizeInput, userID, sessionID string, allowed func(store.Tx) error) (string, error) {
	method, err := checkChallenge(in.CodeChallenge, in.CodeChallengeMethod)
	if err != nil {
		return "", err
	}
	if in.Provider == "" {
		return "", fault.New(fault.AuthValidation, "Unsupported provider: Provider name is missing").WithHint("add the parameter provider")
	}
	p, err := a.provider(in.Provider)
	if err != nil {
		return "", err
	}
	state, s := a.newToken(), secrets{Verifier: a.newToken(), Nonce: a.newToken()}
	to, err := p.AuthCodeURL(ctx, provider.Start{
		State: state, Nonce: s.Nonce, Verifier: s.Verifier, RedirectURI: a.callbackURL(), Scopes: strings.Fields(in.Scopes), Params: in.Params,
	})
	if err != nil {
		return "", err
	}
	data := stateData{Redirect: a.Redirect(in.Redirect), Challenge: in.CodeChallenge, ChallengeMethod: method, Session: sessionID}
	if data.Redirect == "" {
		return "", fault.New(fault.AuthValidation, "there is no address to come back to").WithHint("name auth.site or auth.redirects in pando.yaml")
	}
	if in.Browser != "" {
		data.Browser = hash(in.Browser)
	}
	if data.Sealed, err = a.seal(s, stateContext(state)); err != nil {
		return "", err
	}
	err = a.cfg.Driver.Write(ctx, func(tx store.Tx) error {
		if allowed != nil {
			if err := allowed(tx); err != nil {
				return err
			}
		}
		return a.putFlow(tx, kindState, state, userID, p.Name(), data, stateLife)
	})
	if err != nil {
		return "", err
	}
	return to, nil
}

// stateContext binds wrapped secrets to their flow.
func stateContext(state string) []byte { return []byte("state " + hash(state)) }

// seal wraps a value as JSON.
func (a *Auth) seal(v any, context []byte) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return a.cfg.Wrapper.Wrap(raw, context)
}

func (a *Auth) unseal(sealed, context []byte, v any) error {
	raw, err := a.cfg.Wrapper.Unwrap(sealed, context)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, v)
}

// CallbackInput is what a provider sends a browser back with.
type CallbackInput struct {
	State, Code             string
	Issuer                  string // the parameter iss
	Error, ErrorDescription string
	User                    string // Apple's form: the name, as JSON
	Browser                 string // see AuthorizeInput
}

// Callback ends a sign-in at a provider and answers where the browser goes on
// to: with ?code= (PKCE), with tokens in the fragment, or with error,
// error_code and error_description in the place of either. An error is only
// returned when the state is none of a flow, so that nothing says where to go:
// [fault.AuthBadOAuthCallback] without a state, [fault.AuthBadOAuthState] for
// one that is unknown or was used.
func (a *Auth) Callback(ctx context.Context, id *Caller, in CallbackInput) (string, error) {
	if err := a.limit(ctx, id, "sign_in", ""); err != nil {
		return "", err
	}
	if in.State == "" {
		return "", fault.New(fault.AuthBadOAuthCallback, "OAuth state parameter missing").WithHint("begin the sign-in again")
	}
	var f *flow
	if len(in.State) <= maxToken {
		err := a.cfg.Driver.Write(ctx, func(tx store.Tx) (err error) {
			f, err = a.takeFlow(tx, kindState, in.State)
			return err
		})
		if err != nil {
			return "", err
		}
	}
	if f == nil {
		return "", fault.New(fault.AuthBadOAuthState, "OAuth state is unknown or was used before").WithHint("begin the sign-in again")
	}
	var data stateData
	if err := json.Unmarshal(f.data, &data); err != nil {
		return "", err
	}
	to, userID, err := a.arrive(ctx, id, in, f, &data)
	if err == nil {
		return to, nil
	}
	if why := fault.From(err); why.Code.Status() < http.StatusInternalServerError {
		if err := a.denied(ctx, id, "auth.sign_in", userID, why); fault.From(err).Code == fault.Internal {
			return "", err
		}
	} else {
		a.log.Error("a sign-in at a provider failed", "provider", f.provider, "error", why, "cause", why.Cause)
	}
	return errorRedirect(&data, err, in), nil
}

// arrive checks what a provider's callback brought and signs the user in.
// userID is who was refused, where that is known.
func (a *Auth) arrive(ctx context.Context, id *Caller, in CallbackInput, f *flow, data *stateData) (to, userID string, err error) {
	switch {
	case !a.now().Before(f.expires):
		return "", "", fault.New(fault.AuthFlowStateExpired, "The sign-in has taken too long").WithHint("begin it again")
	case data.Browser != "" && subtle.ConstantTimeCompare([]byte(data.Browser), []byte(hash(in.Browser))) != 1:
		return "", "", fault.New(fault.AuthBadOAuthState, "The sign-in was begun in another browser").WithHint("begin it again in this one")
	case in.Error != "":
		return "", "", fault.New(fault.AuthBadOAuthCallback, "%s", said(in.ErrorDescription, "The provider refused the sign-in"))
	}
	p, err := a.provider(f.provider)
	if err != nil {
		return "", "", err
	}
	var s secrets
	if err := a.unseal(data.Sealed, stateContext(in.State), &s); err != nil {
		return "", "", err
	}
	profile, err := p.Exchange(ctx, provider.Finish{Code: in.Code, Verifier: s.Verifier, Nonce: s.Nonce, RedirectURI: a.callbackURL(), Issuer: in.Issuer, User: in.User})
	if err != nil {
		return "", "", err
	}
	return a.land(ctx, id, f, data, profile)
}

// land signs the user of a profile in, or keeps the profile for who asked to
// link it.
func (a *Auth) land(ctx context.Context, id *Caller, f *flow, data *stateData, profile *provider.Profile) (to, userID string, err error) {
	var (
		s    *session
		u    *userRow
		code string
	)
	err = a.resolved(ctx, func(tx store.Tx) (err error) {
		s, code = nil, ""
		c := authCode{Challenge: data.Challenge, ChallengeMethod: data.ChallengeMethod, Method: methodOAuth, Provider: f.provider}
		if f.userID != "" {
			if u, err = a.linkable(tx, f.userID, data.Session, f.provider, profile); err != nil {
				return err
			}
			c.Session = data.Session
			if c.Link, err = a.seal(linked(profile), linkContext(u.id)); err != nil {
				return err
			}
		} else if u, err = a.account(tx, id, f.provider, profile); err != nil {
			return err
		}
		if data.Challenge == "" {
			if s, err = a.newSession(tx, id, u, a.amrEntry(methodOAuth)); err != nil {
				return err
			}
			return a.record(tx, id, "auth.sign_in", u.id, a.detail("method", methodOAuth, "provider", f.provider))
		}
		if err := a.updateUser(tx, u); err != nil {
			return err
		}
		if c.Tokens, err = a.sealTokens(u.id, profile); err != nil {
			return err
		}
		code, err = a.newAuthCode(tx, u.id, c)
		return err
	})
	if err != nil {
		userID = f.userID
		if u != nil {
			userID = u.id
		}
		return "", userID, err
	}
	a.forget(u.id)
	if code != "" {
		return withQuery(data.Redirect, url.Values{"code": {code}}), "", nil
	}
	g, err := a.issue(s)
	if err != nil {
		return "", "", err
	}
	g.ProviderToken, g.ProviderRefreshToken = profile.AccessToken, profile.RefreshToken
	return withFragment(data.Redirect, g.values()), "", nil
}

// resolved runs a transaction that finds or makes the user of a profile, and
// once more when another one made the same user at the same time.
func (a *Auth) resolved(ctx context.Context, fn func(store.Tx) error) error {
	err := a.cfg.Driver.Write(ctx, fn)
	if fault.Is(err, fault.AuthEmailExists) || fault.Is(err, fault.AuthIdentityExists) || fault.Is(err, fault.Conflict) {
		err = a.cfg.Driver.Write(ctx, fn)
	}
	return err
}

// values are the members of a grant that clients read from a fragment.
func (g *Grant) values() url.Values {
	v := url.Values{
		"access_token": {g.AccessToken}, "token_type": {g.TokenType}, "refresh_token": {g.RefreshToken},
		"expires_in": {strconv.FormatInt(g.ExpiresIn, 10)}, "expires_at": {strconv.FormatInt(g.ExpiresAt, 10)},
	}
	if g.ProviderToken != "" {
		v.Set("provider_token", g.ProviderToken)
	}
	if g.ProviderRefreshToken != "" {
		v.Set("provider_refresh_token", g.ProviderRefreshToken)
	}
	return v
}

// withQuery adds parameters to an address that is allowed.
func withQuery(to string, v url.Values) string {
	to, _, _ = strings.Cut(to, "#")
	sep := "?"
	if strings.Contains(to, "?") {
		sep = "&"
	}
	return to + sep + v.Encode()
}

// withFragment gives an address that is allowed a fragment.
func withFragment(to string, v url.Values) string {
	to, _, _ = strings.Cut(to, "#")
	return to + "#" + v.Encode()
}

// maxSaid bounds what is passed on of a provider's words.
const maxSaid = 200

// said is a provider's text made fit to be passed on.
func said(text, fallback string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, clean(text, maxSaid))
	if strings.TrimSpace(text) == "" {
		return fallback
	}
	return text
}

// errorRedirect tells an error to the application: RFC 6749's error, and the
// code and text that its clients show.
func errorRedirect(data *stateData, err error, in CallbackInput) string {
	why := fault.From(err)
	kind := "server_error"
	switch status := why.HTTPStatus(); {
	case in.Error != "" && why.Code == fault.AuthBadOAuthCallback:
		kind = said(in.Error, "access_denied")
	case status == http.StatusForbidden || status == http.StatusUnauthorized || why.Code == fault.AuthSignupDisabled:
		kind = "access_denied"
	case status < http.StatusInternalServerError:
		kind = "invalid_request"
	case status == http.StatusServiceUnavailable:
		kind = "temporarily_unavailable"
	}
	v := url.Values{"error": {kind}, "error_code": {string(why.Code)}, "error_description": {why.Message}}
	if data.Challenge != "" {
		return withQuery(data.Redirect, v)
	}
	return withFragment(data.Redirect, v)
}

// tokens are a provider's, sealed beside a code.
type tokens struct {
	Access  string `json:"access"`
	Refresh string `json:"refresh"`
}

// maxProviderTokens bounds what is kept of them until the exchange; longer
// ones are not passed on.
const maxProviderTokens = 32 << 10

func tokensContext(userID string) []byte { return []byte("provider tokens " + userID) }

func (a *Auth) sealTokens(userID string, p *provider.Profile) ([]byte, error) {
	if size := len(p.AccessToken) + len(p.RefreshToken); size == 0 || size > maxProviderTokens {
		return nil, nil
	}
	return a.seal(tokens{p.AccessToken, p.RefreshToken}, tokensContext(userID))
}

// unsealTokens gives a grant the provider's tokens.
func (a *Auth) unsealTokens(userID string, sealed []byte, g *Grant) error {
	if len(sealed) == 0 {
		return nil
	}
	var t tokens
	if err := a.unseal(sealed, tokensContext(userID), &t); err != nil {
		return err
	}
	g.ProviderToken, g.ProviderRefreshToken = t.Access, t.Refresh
	return nil
}

// IDTokenInput is an ID token that an application got from a provider itself.
type IDTokenInput struct {
	Provider, IDToken, AccessToken string
	Nonce                          string // raw; the token holds it, or its SHA-256
	Link                           bool   // to the caller, instead of a sign-in
}

// SignInIDToken is grant_type=id_token: it signs the user of an ID token in, by
// the same rules as a callback. With Link the account becomes the caller's.
func (a *Auth) SignInIDToken(ctx context.Context, id *Caller, in IDTokenInput) (*Grant, error) {
	if err := a.limit(ctx, id, "sign_in", ""); err != nil {
		return nil, err
	}
	if in.Link {
		switch {
		case !a.settings().Linking:
			return nil, errLinking()
		case id.Session == "": // before a provider is asked; [Auth.self] judges the rest
			return nil, errNobody()
		}
	}
	if in.Provider == "" || in.IDToken == "" {
		return nil, fault.New(fault.AuthValidation, "provider and id_token required")
	}
	p, err := a.provider(in.Provider)
	if err != nil {
		return nil, err
	}
	profile, err := p.VerifyIDToken(ctx, in.IDToken, in.Nonce, in.AccessToken)
	if err != nil {
		return nil, err
	}
	var s *session
	err = a.resolved(ctx, func(tx store.Tx) error {
		var u *userRow
		var err error
		if in.Link {
			if u, _, err = a.self(tx, id); err == nil {
				err = a.secondFactor(tx, id, u.id)
			}
			if err == nil {
				u, err = a.linkable(tx, id.UID, id.Session, p.Name(), profile)
			}
			if err == nil {
				err = a.linkAccount(tx, id, u, p.Name(), profile)
			}
		} else {
			u, err = a.account(tx, id, p.Name(), profile)
		}
		if err != nil {
			return err
		}
		if s, err = a.newSession(tx, id, u, a.amrEntry(methodOAuth)); err != nil {
			return err
		}
		return a.record(tx, id, "auth.sign_in", u.id, a.detail("method", methodOAuth, "provider", p.Name(), "grant", "id_token"))
	})
	if err != nil {
		return nil, err
	}
	a.forget(s.user.id)
	return a.issue(s)
}

// provider finds a configured provider by its name.
func (a *Auth) provider(name string) (*provider.Provider, error) {
	return a.live.Load().providers.Get(name)
}
