package provider

import "unicode/utf8"

// Profile is what a provider tells about a user.
type Profile struct {
	Subject string // who it is there; never used again for another
	Email   string // as the provider writes it; empty: it tells none
	// EmailVerified: the provider says that the address is the user's.
	EmailVerified bool
	// Data are the claims that describe the user, under OpenID Connect's names
	// and those that existing clients look for (full_name, avatar_url).
	Data         map[string]any
	AccessToken  string // of the provider's own API; empty: none
	RefreshToken string
}

// Bounds of what is kept, in bytes. A subject has at most 255 (OpenID Connect
// Core 1.0, section 2), an address at most 254 (RFC 5321). A claim goes into
// every access token, so that a long one is left out.
const (
	maxSubject = 255
	maxEmail   = 254
	maxClaim   = 1024
)

// profile makes a profile of claims that were verified.
func (p *Provider) profile(claims map[string]any) *Profile {
	out := &Profile{Data: map[string]any{}}
	out.Subject, _ = claims["sub"].(string)
	if email, _ := claims["email"].(string); len(email) <= maxEmail && utf8.ValidString(email) {
		out.Email = email
	}
	verified := p.preset.verified
	if verified == nil {
		verified = emailVerified
	}
	out.EmailVerified = out.Email != "" && verified(claims)
	for _, name := range []string{
		"iss", "name", "given_name", "family_name", "middle_name", "nickname", "preferred_username",
		"profile", "picture", "website", "gender", "birthdate", "zoneinfo", "locale",
	} {
		if v, _ := claims[name].(string); v != "" && len(v) <= maxClaim {
			out.Data[name] = v
		}
	}
	for from, to := range map[string]string{"name": "full_name", "picture": "avatar_url", "preferred_username": "user_name"} {
		if v, ok := out.Data[from]; ok {
			out.Data[to] = v
		}
	}
	custom := map[string]any{}
	for _, name := range []string{"hd", "tid"} { // which organisation: Google's and Microsoft's
		if v, _ := claims[name].(string); v != "" && len(v) <= maxClaim {
			custom[name] = v
		}
	}
	if len(custom) > 0 {
		out.Data["custom_claims"] = custom
	}
	out.finish()
	return out
}

// finish adds the members that every provider's data has.
func (o *Profile) finish() {
	o.Data["sub"], o.Data["provider_id"] = o.Subject, o.Subject
	o.Data["email_verified"], o.Data["phone_verified"] = o.EmailVerified, false
	if o.Email != "" {
		o.Data["email"] = o.Email
	}
}

// emailVerified reports whether email_verified is true; some issuers write it
// as a text.
func emailVerified(claims map[string]any) bool {
	v := claims["email_verified"]
	return v == true || v == "true"
}
