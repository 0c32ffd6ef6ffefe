package provider

import "github.com/google/uuid"

// openID names the entry of presets for issuers that are not built in.
const openID = ""

// preset is what is particular to a provider. Its issuer can be replaced by
// the configured one: a GitLab or GitHub of one's own, one Microsoft tenant.
type preset struct {
	issuer string
	scopes []string // beside openid
	// plain: OAuth 2.0 with GitHub's API instead of OpenID Connect.
	plain bool
	// formPost: the answer comes as a form, as Apple wants it where it tells
	// an address or a name.
	formPost bool
	// tenants: the issuer's metadata may name a template of issuers.
	tenants bool
	// verified says whether an address with these claims is the user's. nil:
	// email_verified does.
	verified func(claims map[string]any) bool
}

func presets() map[string]preset {
	standard := []string{"email", "profile"}
	microsoft := preset{
		issuer: "https://login.microsoftonline.com/common/v2.0", scopes: standard, tenants: true,
		verified: microsoftVerified,
	}
	return map[string]preset{
		openID:      {scopes: standard},
		"google":    {issuer: "https://accounts.google.com", scopes: standard},
		"gitlab":    {issuer: "https://gitlab.com", scopes: standard},
		"apple":     {issuer: "https://appleid.apple.com", scopes: []string{"email", "name"}, formPost: true},
		"github":    {issuer: "https://github.com", scopes: []string{"read:user", "user:email"}, plain: true},
		"microsoft": microsoft,
		"azure":     microsoft, // what existing clients call it
	}
}

// microsoftVerified: an administrator of any tenant can write any address into
// a user's email, so that email_verified does not exist and the address means
// nothing, unless the optional claim xms_edov says that the tenant owns the
// domain.
func microsoftVerified(claims map[string]any) bool {
	switch v := claims["xms_edov"].(type) {
	case bool:
		return v
	case string:
		return v == "1" || v == "true"
	case float64:
		return v == 1
	}
	return false
}

// isTenant reports whether a tid claim is a tenant's id, which goes into the
// template of the issuer.
func isTenant(tid string) bool {
	id, err := uuid.Parse(tid)
	return err == nil && id.String() == tid
}
