package authn

import (
	"net/http"

	"github.com/pandobase/pando/internal/fault"
)

// What the clients have and this build has not. All of it is refused with 422
// and GoTrue's code for something that is not switched on: a 5xx would be
// tried again by the clients, a 404 looks like a wrong address.

func refuse(code fault.Code, why string) func(*request) error {
	return func(*request) error { return fault.New(code, "%s", why) }
}

func phoneDisabled() error {
	return fault.New(fault.AuthPhoneProviderDisabled, "sign-in by phone is not available").WithHint("use an e-mail address")
}

// disabledRoutes are the resources of what is not there.
func disabledRoutes() []route {
	var (
		saml     = refuse(fault.AuthSAMLDisabled, "sign-in by SAML is not available")
		passkeys = refuse(fault.AuthMFAWebAuthnDisabled, "passkeys are not available")
		oauth    = refuse(fault.AuthOAuthServerDisabled, "this server is no OAuth server for other applications")
		custom   = refuse(fault.AuthProviderDisabled, "providers are configured in pando.yaml, under auth.providers")
	)
	var routes []route
	add := func(who access, serve func(*request) error, methods []string, paths ...string) {
		for _, p := range paths {
			for _, m := range methods {
				routes = append(routes, route{method: m, path: p, access: who, operation: "unavailable", serve: serve})
			}
		}
	}
	get, post := http.MethodGet, http.MethodPost
	put, patch, del := http.MethodPut, http.MethodPatch, http.MethodDelete
	add(keyed, saml, []string{post}, "sso")
	add(open, saml, []string{get}, "sso/saml/metadata")
	add(open, saml, []string{post}, "sso/saml/acs")
	add(admin, saml, []string{get, post}, "admin/sso/providers")
	add(admin, saml, []string{get, put, del}, "admin/sso/providers/{id}")
	add(keyed, passkeys, []string{get}, "passkeys")
	add(keyed, passkeys, []string{patch, del}, "passkeys/{id}")
	add(keyed, passkeys, []string{post}, "passkeys/authentication/options", "passkeys/authentication/verify",
		"passkeys/registration/options", "passkeys/registration/verify")
	add(admin, passkeys, []string{get}, "admin/users/{id}/passkeys")
	add(admin, passkeys, []string{del}, "admin/users/{id}/passkeys/{passkey}")
	add(open, oauth, []string{get}, "oauth/authorize")
	add(open, oauth, []string{post}, "oauth/token", "oauth/clients/register")
	add(open, oauth, []string{get, post}, "oauth/userinfo")
	add(keyed, oauth, []string{get}, "oauth/authorizations/{id}")
	add(keyed, oauth, []string{post}, "oauth/authorizations/{id}/consent")
	add(keyed, oauth, []string{get, del}, "user/oauth/grants")
	add(admin, oauth, []string{get, post}, "admin/oauth/clients")
	add(admin, oauth, []string{get, put, del}, "admin/oauth/clients/{id}")
	add(admin, oauth, []string{post}, "admin/oauth/clients/{id}/regenerate_secret")
	add(admin, custom, []string{get, post}, "admin/custom-providers")
	add(admin, custom, []string{get, put, del}, "admin/custom-providers/{id}")
	return routes
}
