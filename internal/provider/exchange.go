package provider

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/pandobase/pando/internal/fault"
)

// MaxIDToken bounds an ID token, in bytes.
const MaxIDToken = 32 << 10

// maxCode bounds an authorization code, in bytes.
const maxCode = 4 << 10

// Finish ends a sign-in that [Start] began: Verifier, Nonce and RedirectURI
// are what was given there.
type Finish struct {
	Code        string
	Verifier    string
	Nonce       string
	RedirectURI string
	// Issuer is the parameter iss of the callback (RFC 9207); empty: it had none.
	Issuer string
	// User is the form field "user", by which Apple tells a name once. It is
	// not signed and only names the user.
	User string
}

// Exchange trades the code that the provider's callback brought for the user's
// profile. A code, or an ID token, that is not good is a
// [fault.AuthBadOAuthCallback].
func (p *Provider) Exchange(ctx context.Context, f Finish) (*Profile, error) {
	if f.Nonce == "" || f.Verifier == "" || f.RedirectURI == "" {
		return nil, fault.New(fault.Internal, "a sign-in at a provider ends with its nonce, verifier and redirect URI")
	}
	if f.Code == "" || len(f.Code) > maxCode {
		return nil, fault.New(fault.AuthBadOAuthCallback, "the callback of %s has no usable code", p.name)
	}
	cfg, err := p.oauth(ctx, f.RedirectURI, nil)
	if err != nil {
		return nil, err
	}
	if err := p.answeredBy(ctx, f.Issuer); err != nil { // before the code goes anywhere
		return nil, err
	}
	ctx = oidc.ClientContext(ctx, p.reg.client)
	tokens, err := cfg.Exchange(ctx, f.Code, oauth2.VerifierOption(f.Verifier))
	if err != nil {
		return nil, p.exchangeFault(err)
	}
	var profile *Profile
	if p.preset.plain {
		profile, err = p.github().profile(ctx, tokens.AccessToken)
	} else {
		profile, err = p.openIDProfile(ctx, tokens, f)
	}
	if err != nil {
		return nil, err
	}
	profile.AccessToken, profile.RefreshToken = tokens.AccessToken, tokens.RefreshToken
	return profile, nil
}

// answeredBy refuses a callback of another issuer than the one that the browser
// was sent to: its code is not for this one to see (RFC 9207; mix-up, RFC 9700,
// section 4.4).
func (p *Provider) answeredBy(ctx context.Context, issuer string) error {
	if p.preset.plain { // which names another issuer than its address
		return nil
	}
	m, err := p.metadata(ctx)
	switch {
	case err != nil:
		return err
	case issuer == "" && !m.names, issuer == p.issuer.String(), issuer != "" && m.template != "" && ofTemplate(issuer, m.template):
		return nil
	}
	return fault.Wrap(errors.New("iss is not the issuer of the sign-in"), fault.AuthBadOAuthCallback, "the callback of %s is of another issuer", p.name)
}

// ofTemplate reports whether an issuer is one of a template's.
func ofTemplate(issuer, template string) bool {
	before, after, ok := strings.Cut(template, "{tenantid}")
	tenant, isBefore := strings.CutPrefix(issuer, before)
	tenant, isAfter := strings.CutSuffix(tenant, after)
	return ok && isBefore && isAfter && isTenant(tenant)
}

// exchangeFault says why a code was not traded. The cause keeps no body, which
// may hold tokens.
func (p *Provider) exchangeFault(err error) error {
	answer, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok {
		return p.unavailable(short(err))
	}
	cause := fmt.Errorf("the token endpoint answered %d, error %.*q", answer.Response.StatusCode, maxShown, answer.ErrorCode)
	if answer.Response.StatusCode >= http.StatusInternalServerError {
		return p.unavailable(cause)
	}
	return fault.Wrap(cause, fault.AuthBadOAuthCallback, "%s did not accept the code of its callback", p.name).
		WithHint("begin the sign-in again; if it always fails, compare client_id, client_secret and the redirect URI with what is registered there")
}

func (p *Provider) openIDProfile(ctx context.Context, tokens *oauth2.Token, f Finish) (*Profile, error) {
	m, err := p.metadata(ctx)
	if err != nil {
		return nil, err
	}
	text, _ := tokens.Extra("id_token").(string)
	claims, err := p.verify(ctx, m, text, tokens.AccessToken)
	if err != nil {
		return nil, p.refused(fault.AuthBadOAuthCallback, err)
	}
	if azp, there := claims["azp"]; there && azp != p.id {
		return nil, p.refused(fault.AuthBadOAuthCallback, errors.New("azp names another client"))
	}
	if nonce, _ := claims["nonce"].(string); !equal(nonce, f.Nonce) {
		return nil, p.refused(fault.AuthBadOAuthCallback, errors.New("nonce is not that of the sign-in"))
	}
	// Many issuers tell the address at the userinfo endpoint only.
	_, email := claims["email"].(string)
	_, said := claims["email_verified"]
	if whole := email && (said || p.preset.verified != nil); m.userInfo && !whole {
		if err := p.addUserInfo(ctx, m, tokens, claims); err != nil {
			return nil, err
		}
	}
	if p.preset.formPost {
		addAppleName(claims, f.User)
	}
	return p.profile(claims), nil
}

// addUserInfo adds what the userinfo endpoint tells to the claims, if it tells
// it about the same subject (OpenID Connect Core 1.0, section 5.3.2). What the
// ID token said stays, except an address without a word on its verification.
func (p *Provider) addUserInfo(ctx context.Context, m *metadata, tokens *oauth2.Token, claims map[string]any) error {
	info, err := m.oidc.UserInfo(oidc.ClientContext(ctx, p.reg.client), oauth2.StaticTokenSource(tokens))
	if err != nil {
		return p.unavailable(fmt.Errorf("userinfo: %w", short(err)))
	}
	var more map[string]any
	if err := info.Claims(&more); err != nil {
		return p.refused(fault.AuthBadOAuthCallback, err)
	}
	if sub, _ := more["sub"].(string); sub == "" || sub != claims["sub"] {
		return p.refused(fault.AuthBadOAuthCallback, errors.New("the userinfo endpoint tells of another subject"))
	}
	if email, _ := more["email"].(string); email != "" {
		delete(claims, "email") // the pair of address and verification comes from one place
		delete(claims, "email_verified")
	} else {
		delete(more, "email_verified")
	}
	for name, v := range more {
		if _, there := claims[name]; !there {
			claims[name] = v
		}
	}
	return nil
}

// VerifyIDToken returns the profile of an ID token that a client got from the
// provider itself. The nonce must be the token's: as it is, or as its SHA-256
// in hexadecimal, which is what the clients on phones do; "" for a token
// without one. Where both the token has an at_hash and an accessToken is given,
// they must match. Any other token is a [fault.AuthValidation].
func (p *Provider) VerifyIDToken(ctx context.Context, idToken, nonce, accessToken string) (*Profile, error) {
	if p.preset.plain {
		return nil, fault.New(fault.AuthValidation, "%s has no ID tokens", p.name).WithHint("sign in through /auth/v1/authorize")
	}
	m, err := p.metadata(ctx)
	if err != nil {
		return nil, err
	}
	claims, err := p.verify(ctx, m, idToken, accessToken)
	if err != nil {
		return nil, p.refused(fault.AuthValidation, err)
	}
	said, there := claims["nonce"]
	have, _ := said.(string)
	sum := sha256.Sum256([]byte(nonce))
	switch {
	case there != (nonce != ""):
		return nil, fault.New(fault.AuthValidation, "Passed nonce and nonce in id_token should either both exist or not.")
	case there && !equal(have, nonce) && !equal(have, hex.EncodeToString(sum[:])):
		return nil, fault.New(fault.AuthValidation, "Nonces mismatch")
	}
	profile := p.profile(claims)
	profile.AccessToken = accessToken
	return profile, nil
}

// refused says that an ID token is not good.
func (p *Provider) refused(code fault.Code, cause error) error {
	return fault.Wrap(short(cause), code, "the ID token of %s is not valid", p.name)
}

// verify returns the claims of an ID token that is signed by the issuer, for
// this client and not over (OpenID Connect Core 1.0, section 3.1.3.7). The
// nonce is the caller's to compare.
func (p *Provider) verify(ctx context.Context, m *metadata, text, accessToken string) (map[string]any, error) {
	if text == "" || len(text) > MaxIDToken {
		return nil, errors.New("there is no ID token, or it is too long")
	}
	if strings.Count(text, ".") != 2 {
		return nil, errors.New("the ID token is not three parts")
	}
	token, err := m.verifier.Verify(ctx, text)
	if err != nil {
		return nil, err
	}
	var claims map[string]any
	if err := token.Claims(&claims); err != nil {
		return nil, err
	}
	if m.template != "" {
		tid, _ := claims["tid"].(string)
		if !isTenant(tid) || token.Issuer != strings.Replace(m.template, "{tenantid}", tid, 1) {
			return nil, errors.New("the ID token is of another issuer than its tenant's")
		}
	}
	if sub, _ := claims["sub"].(string); sub == "" || sub != token.Subject || len(sub) > maxSubject {
		return nil, errors.New("the ID token has no usable sub")
	}
	if len(token.Audience) > 1 && claims["azp"] != p.id || !slices.Contains(token.Audience, p.id) {
		return nil, errors.New("the ID token is for other clients too, and azp does not name this one")
	}
	if token.AccessTokenHash != "" && accessToken != "" {
		if err := token.VerifyAccessToken(accessToken); err != nil {
			return nil, err
		}
	}
	return claims, nil
}

// equal compares in constant time; nothing equals the empty text.
func equal(a, b string) bool {
	return a != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}

// addAppleName adds the name that Apple's form tells at the first sign-in.
func addAppleName(claims map[string]any, form string) {
	var user struct {
		Name struct {
			First string `json:"firstName"`
			Last  string `json:"lastName"`
		} `json:"name"`
	}
	if len(form) > maxCode || json.Unmarshal([]byte(form), &user) != nil {
		return // it only names the user
	}
	if name := strings.TrimSpace(user.Name.First + " " + user.Name.Last); name != "" && claims["name"] == nil {
		claims["name"] = name
	}
}
