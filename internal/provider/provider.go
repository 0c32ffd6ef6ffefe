// Package provider signs users in with accounts that they have elsewhere: any
// OpenID Connect issuer by discovery (OpenID Connect Core 1.0, Discovery 1.0),
// and the presets of [New].
//
// Every flow has PKCE with S256 (RFC 7636), a state and a nonce (RFC 9700,
// section 2.1). Keeping those, and comparing the state, is the caller's part.
// An e-mail address counts as verified only when the provider says so itself.
//
// Nothing is asked of a provider when a node starts. The package answers with
// faults that can be shown; what a provider said goes to their causes, without
// tokens and secrets.
package provider

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
)

// Options are a registry's.
type Options struct {
	// HTTP calls the providers. Its redirect rule is replaced, its answers are
	// bounded. Default: a client with a time limit of 10 s.
	HTTP *http.Client
	// Secret returns the secret with a name. Required when a provider's client
	// secret is "secret:NAME".
	Secret func(name string) (string, bool)
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// Registry holds the providers that an application has. It is safe for
// concurrent use.
type Registry struct {
	client    *http.Client
	secret    func(string) (string, bool)
	now       func() time.Time
	providers map[string]*Provider
}

// Provider is one of them.
type Provider struct {
	name   string
	id     string // client id
	key    string // client secret, or "secret:NAME"
	scopes []string
	issuer *url.URL
	preset preset
	reg    *Registry
	discovery
}

// secretPrefix begins a client secret that is the name of one.
const secretPrefix = "secret:"

// New checks the configured providers and asks nothing of them. google,
// github, gitlab, microsoft (also azure) and apple are presets; any other name
// needs an issuer. All problems are told at once, as a [fault.ConfigInvalid].
func New(configured map[string]model.Provider, opt Options) (*Registry, error) {
	r := &Registry{client: newClient(opt.HTTP), secret: opt.Secret, now: opt.Now, providers: map[string]*Provider{}}
	if r.now == nil {
		r.now = time.Now
	}
	if r.secret == nil {
		r.secret = func(string) (string, bool) { return "", false }
	}
	var problems, hints []string
	for _, name := range slices.Sorted(maps.Keys(configured)) {
		p, err := r.newProvider(name, configured[name])
		if err != nil {
			problems, hints = append(problems, err.Message), append(hints, err.Hint)
			continue
		}
		r.providers[name] = p
	}
	if problems != nil {
		return nil, fault.New(fault.ConfigInvalid, "%s", strings.Join(problems, "; ")).WithHint("%s", strings.Join(hints, "; "))
	}
	return r, nil
}

func (r *Registry) newProvider(name string, c model.Provider) (*Provider, *fault.Error) {
	preset, known := presets()[name]
	issuer := c.Issuer
	if issuer == "" {
		issuer = preset.issuer
	}
	at := "auth.providers." + name
	if issuer == "" {
		f := fault.New(fault.ConfigInvalid, "%s has no issuer", at).WithHint("write its OpenID issuer's URL")
		if near := fault.Nearest(name, slices.Sorted(maps.Keys(presets()))); near != "" {
			f = f.WithHint("write its OpenID issuer's URL, or did you mean the built-in provider %q?", near)
		}
		return nil, f
	}
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || !reachable(u, isLoopback(u)) {
		return nil, fault.New(fault.ConfigInvalid, "the issuer of %s is not an https URL", at).
			WithHint("http is for issuers on this machine only: 127.0.0.1, [::1] or localhost")
	}
	if !known {
		preset = presets()[openID]
	}
	p := &Provider{
		name: name, id: c.ClientID, key: c.ClientSecret, scopes: c.Scopes, issuer: u, preset: preset, reg: r,
		discovery: discovery{turn: make(chan struct{}, 1)},
	}
	if len(p.scopes) == 0 {
		p.scopes = preset.scopes
	}
	if _, err := p.clientSecret(); err != nil {
		return nil, err
	}
	return p, nil
}

// clientSecret is looked up at each use, so that a new one counts at once.
func (p *Provider) clientSecret() (string, *fault.Error) {
	name, named := strings.CutPrefix(p.key, secretPrefix)
	if !named {
		return p.key, nil
	}
	secret, ok := p.reg.secret(name)
	if !ok {
		variable := "PANDO_SECRET_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		return "", fault.New(fault.ConfigInvalid, "auth.providers.%s needs the secret %q", p.name, name).
			WithHint("pando secrets set %s, or put it into the environment as %s", name, variable)
	}
	return secret, nil
}

// Names are those of the configured providers, sorted.
func (r *Registry) Names() []string { return slices.Sorted(maps.Keys(r.providers)) }

// Close lets go of idle connections. The registry can still be used.
func (r *Registry) Close() { r.client.CloseIdleConnections() }

// maxShown bounds how much of a caller's word stands in an error.
const maxShown = 64

// Get returns a configured provider. A preset that is not configured is a
// [fault.AuthProviderDisabled], any other name a
// [fault.AuthProviderNotSupported].
func (r *Registry) Get(name string) (*Provider, error) {
	if p := r.providers[name]; p != nil {
		return p, nil
	}
	if _, ok := presets()[name]; ok && name != openID {
		return nil, fault.New(fault.AuthProviderDisabled, "Unsupported provider: provider is not enabled").
			WithHint("configure auth.providers.%s in pando.yaml", name)
	}
	f := fault.New(fault.AuthProviderNotSupported, "Unsupported provider: provider %.*q could not be found", maxShown, name)
	if near := fault.Nearest(name, r.Names()); near != "" {
		f = f.WithHint("did you mean %q?", near)
	}
	return nil, f
}

// Name is what the provider is called in pando.yaml.
func (p *Provider) Name() string { return p.name }

// Start begins a sign-in. All but Scopes and Params must be given, State,
// Nonce and Verifier fresh and unguessable.
type Start struct {
	State    string
	Nonce    string
	Verifier string // of PKCE: 43 to 128 characters
	// RedirectURI is where the provider leads back to: this node's callback,
	// as it is registered there.
	RedirectURI string
	Scopes      []string // beside the configured ones
	// Params are further parameters of the request, such as prompt. None may
	// be one that Pando sets itself.
	Params url.Values
}

// Bounds of what a caller adds to a request.
const (
	maxParams = 20
	maxParam  = 1024 // bytes of one value
)

// isReserved reports whether a parameter of the authorization request is never
// the caller's: Pando sets it, or it would take the place of one that it sets.
func isReserved(name string) bool {
	switch name {
	case "client_id", "client_secret", "response_type", "response_mode", "redirect_uri", "scope", "state", "nonce",
		"code_challenge", "code_challenge_method", "request", "request_uri", "registration", "claims", "resource":
		return true
	}
	return false
}

// AuthCodeURL returns where the user's browser is sent to.
func (p *Provider) AuthCodeURL(ctx context.Context, s Start) (string, error) {
	if s.State == "" || s.Nonce == "" || len(s.Verifier) < 43 || s.RedirectURI == "" {
		return "", fault.New(fault.Internal, "a sign-in at a provider needs state, nonce, verifier and redirect URI")
	}
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(s.Verifier)}
	if !p.preset.plain {
		options = append(options, oauth2.SetAuthURLParam("nonce", s.Nonce))
	}
	if p.preset.formPost {
		options = append(options, oauth2.SetAuthURLParam("response_mode", "form_post"))
	}
	if len(s.Params) > maxParams || len(s.Scopes) > maxParams {
		return "", fault.New(fault.AuthValidation, "a sign-in takes at most %d scopes and as many further parameters", maxParams)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Params)) {
		v := s.Params[name]
		if isReserved(strings.ToLower(name)) || len(v) != 1 || len(name) > maxShown || len(v[0]) > maxParam {
			return "", fault.New(fault.AuthValidation, "the parameter %.*q cannot be given to a provider", maxShown, name).
				WithHint("a parameter stands once, has at most %d bytes, and is not one that Pando sets itself", maxParam)
		}
		options = append(options, oauth2.SetAuthURLParam(name, v[0]))
	}
	for _, scope := range s.Scopes {
		if !isScope(scope) {
			return "", fault.New(fault.AuthValidation, "%.*q is not a scope", maxShown, scope)
		}
	}
	cfg, err := p.oauth(ctx, s.RedirectURI, s.Scopes)
	if err != nil {
		return "", err
	}
	return cfg.AuthCodeURL(s.State, options...), nil
}

// isScope follows RFC 6749, section 3.3.
func isScope(scope string) bool {
	return scope != "" && len(scope) <= maxParam &&
		!strings.ContainsFunc(scope, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' })
}

// oauth is the client of one request.
func (p *Provider) oauth(ctx context.Context, redirect string, scopes []string) (*oauth2.Config, error) {
	endpoint, err := p.endpoint(ctx)
	if err != nil {
		return nil, err
	}
	secret, missing := p.clientSecret()
	if missing != nil {
		return nil, missing
	}
	var all []string
	if !p.preset.plain {
		all = []string{"openid"}
	}
	for _, scope := range slices.Concat(p.scopes, scopes) {
		if !slices.Contains(all, scope) {
			all = append(all, scope)
		}
	}
	return &oauth2.Config{ClientID: p.id, ClientSecret: secret, Endpoint: endpoint, RedirectURL: redirect, Scopes: all}, nil
}

func (p *Provider) endpoint(ctx context.Context) (oauth2.Endpoint, error) {
	if p.preset.plain {
		return p.github().endpoint, nil
	}
	m, err := p.metadata(ctx)
	if err != nil {
		return oauth2.Endpoint{}, err
	}
	return m.endpoint, nil
}
