package provider

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/pandobase/pando/internal/fault"
)

// How long metadata is used before it is asked for again, and how long a
// provider that could not be reached is left alone: twice as long each time.
const (
	metadataLife = 12 * time.Hour
	firstRetry   = time.Second
	longestRetry = time.Minute
)

// discovery is what is known of an issuer's metadata.
type discovery struct {
	found atomic.Pointer[metadata]
	turn  chan struct{} // one asks at a time; guards what follows
	retry time.Time     // nobody asks before
	pause time.Duration
}

// metadata is that of one issuer (OpenID Connect Discovery 1.0, section 3). It
// is never changed.
type metadata struct {
	until    time.Time
	endpoint oauth2.Endpoint
	userInfo bool
	names    bool   // every callback names the issuer (RFC 9207, section 3)
	template string // of the iss, with {tenantid}; empty: it is the issuer
	oidc     *oidc.Provider
	verifier *oidc.IDTokenVerifier
}

// metadata returns the issuer's metadata, which is asked for when it is first
// needed. While a provider cannot be reached, the last known one counts;
// without one it is a [fault.ProviderUnavailable].
func (p *Provider) metadata(ctx context.Context) (*metadata, error) {
	if m := p.found.Load(); m != nil && p.reg.now().Before(m.until) {
		return m, nil
	}
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return nil, p.unavailable(ctx.Err())
	}
	known, now := p.found.Load(), p.reg.now()
	if known != nil && now.Before(known.until) {
		return known, nil // another asked meanwhile
	}
	var err error
	if !now.Before(p.retry) {
		var m *metadata
		if m, err = p.discover(ctx); err == nil {
			p.found.Store(m)
			p.pause, p.retry = 0, time.Time{}
			return m, nil
		}
		if ctx.Err() == nil { // otherwise the caller went, which says nothing about the provider
			p.pause = min(max(2*p.pause, firstRetry), longestRetry)
			p.retry = now.Add(p.pause)
		}
	}
	if known != nil {
		return known, nil
	}
	f := p.unavailable(err)
	f.RetryAfter = max(p.retry.Sub(now), 0)
	return nil, f
}

// unavailable says that the provider could not be asked.
func (p *Provider) unavailable(cause error) *fault.Error {
	return fault.Wrap(cause, fault.ProviderUnavailable, "the provider %s cannot be reached", p.name).
		WithHint("try again later; the node's log says what went wrong")
}

// discover asks for the metadata.
func (p *Provider) discover(ctx context.Context) (*metadata, error) {
	issuer := p.issuer.String()
	ctx = oidc.ClientContext(ctx, p.reg.client)
	if p.preset.tenants { // the issuer is compared below
		ctx = oidc.InsecureIssuerURLContext(ctx, issuer)
	}
	found, err := oidc.NewProvider(ctx, issuer)
	if err != nil {
		return nil, short(err)
	}
	var doc struct {
		Issuer   string   `json:"issuer"`
		Auth     string   `json:"authorization_endpoint"`
		Token    string   `json:"token_endpoint"`
		JWKS     string   `json:"jwks_uri"`
		UserInfo string   `json:"userinfo_endpoint"`
		Methods  []string `json:"token_endpoint_auth_methods_supported"`
		Signing  []string `json:"id_token_signing_alg_values_supported"`
		Names    bool     `json:"authorization_response_iss_parameter_supported"`
	}
	if err := found.Claims(&doc); err != nil {
		return nil, err
	}
	m := &metadata{oidc: found, userInfo: doc.UserInfo != "", names: doc.Names, until: p.reg.now().Add(metadataLife)}
	if p.preset.tenants && doc.Issuer != issuer {
		if !isTemplate(doc.Issuer, p.issuer) {
			return nil, errors.New("the metadata is of another issuer; one tenant is named by its id")
		}
		m.template = doc.Issuer
	}
	for _, endpoint := range []string{doc.Auth, doc.Token, doc.JWKS, doc.UserInfo} {
		u, err := url.Parse(endpoint)
		if endpoint == "" && endpoint == doc.UserInfo {
			continue
		}
		if err != nil || u.User != nil || !reachable(u, isLoopback(p.issuer)) {
			return nil, errors.New("the metadata names an endpoint that is missing or not https")
		}
		if isLoopback(u) && !isLoopback(p.issuer) {
			return nil, errors.New("the metadata names an endpoint on this machine")
		}
	}
	m.endpoint = oauth2.Endpoint{AuthURL: doc.Auth, TokenURL: doc.Token, AuthStyle: oauth2.AuthStyleInHeader}
	if len(doc.Methods) > 0 && !slices.Contains(doc.Methods, "client_secret_basic") {
		m.endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	m.verifier = p.verifier(ctx, doc.JWKS, asymmetric(doc.Signing), m.template != "")
	return m, nil
}

// isTemplate reports whether text is the template of issuers that Microsoft's
// common endpoints have, at the host of the configured issuer.
func isTemplate(text string, issuer *url.URL) bool {
	return text == issuer.Scheme+"://"+issuer.Host+"/{tenantid}/v2.0"
}

// verifier verifies ID tokens by the keys at the address.
func (p *Provider) verifier(ctx context.Context, jwks string, algorithms []string, template bool) *oidc.IDTokenVerifier {
	client := *p.reg.client
	client.Transport = &patient{next: client.Transport, now: p.reg.now}
	set := oidc.NewRemoteKeySet(oidc.ClientContext(ctx, &client), jwks) // which outlives the context's end
	return oidc.NewVerifier(p.issuer.String(), set, &oidc.Config{
		ClientID: p.id, SupportedSigningAlgs: algorithms, SkipIssuerCheck: template, Now: p.reg.now,
	})
}

// asymmetric keeps the signature algorithms with public keys. Without any,
// RS256 is what an issuer must have.
func asymmetric(algorithms []string) []string {
	var out []string
	for _, a := range algorithms {
		switch a {
		case oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA:
			out = append(out, a)
		}
	}
	if out == nil {
		out = []string{oidc.RS256}
	}
	return out
}

// keyPause is the least time between two requests for an issuer's keys.
const keyPause = 5 * time.Second

// patient lets one request for keys through in a while: a token with an
// invented kid has them asked for again, and strangers send tokens.
type patient struct {
	next http.RoundTripper
	now  func() time.Time
	last atomic.Int64 // when the last request was let through, in nanoseconds since 1970
}

func (p *patient) RoundTrip(req *http.Request) (*http.Response, error) {
	now, last := p.now().UnixNano(), p.last.Load()
	if last != 0 && now-last < int64(keyPause) && now >= last || !p.last.CompareAndSwap(last, now) {
		return nil, errors.New("the keys were asked for a moment ago")
	}
	return p.next.RoundTrip(req)
}

// maxCause bounds what is kept of a provider's answer for the log, in bytes.
const maxCause = 200

// short cuts an error that may hold a provider's whole answer.
func short(err error) error {
	text, _, _ := strings.Cut(err.Error(), "\n")
	if len(text) <= maxCause {
		return err
	}
	return errors.New(strings.ToValidUTF8(text[:maxCause], ""))
}
