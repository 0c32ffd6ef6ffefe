package fault

import "net/http"

// The codes of the identity door. They are GoTrue's, which its clients know.
const (
	AuthAnonymousDisabled     Code = "anonymous_provider_disabled"
	AuthBadCodeVerifier       Code = "bad_code_verifier"
	AuthBadJSON               Code = "bad_json"
	AuthBadJWT                Code = "bad_jwt"
	AuthBadOAuthCallback      Code = "bad_oauth_callback"
	AuthBadOAuthState         Code = "bad_oauth_state"
	AuthEmailExists           Code = "email_exists"
	AuthEmailInvalid          Code = "email_address_invalid"
	AuthEmailNotConfirmed     Code = "email_not_confirmed"
	AuthEmailProviderDisabled Code = "email_provider_disabled"
	AuthEmailRateLimit        Code = "over_email_send_rate_limit"
	AuthFlowStateExpired      Code = "flow_state_expired"
	AuthFlowStateNotFound     Code = "flow_state_not_found"
	AuthIdentityExists        Code = "identity_already_exists"
	AuthIdentityNotFound      Code = "identity_not_found"
	AuthInsufficientAAL       Code = "insufficient_aal"
	AuthInvalidCredentials    Code = "invalid_credentials"
	AuthLastIdentity          Code = "single_identity_not_deletable"
	AuthLinkingDisabled       Code = "manual_linking_disabled"
	AuthMFAChallengeExpired   Code = "mfa_challenge_expired"
	AuthMFAFactorNameConflict Code = "mfa_factor_name_conflict"
	AuthMFAFactorNotFound     Code = "mfa_factor_not_found"
	AuthMFAPhoneDisabled      Code = "mfa_phone_enroll_not_enabled"
	AuthMFATooManyFactors     Code = "too_many_enrolled_mfa_factors"
	AuthMFAVerificationFailed Code = "mfa_verification_failed"
	AuthMFAVerifiedExists     Code = "mfa_verified_factor_exists"
	AuthMFAWebAuthnDisabled   Code = "mfa_web_authn_enroll_not_enabled"
	AuthNoAuthorization       Code = "no_authorization"
	AuthNotAdmin              Code = "not_admin"
	AuthOAuthServerDisabled   Code = "oauth_server_disabled"
	AuthOTPDisabled           Code = "otp_disabled"
	AuthOTPExpired            Code = "otp_expired"
	AuthPhoneProviderDisabled Code = "phone_provider_disabled"
	AuthProviderDisabled      Code = "provider_disabled"
	AuthProviderNotSupported  Code = "oauth_provider_not_supported"
	AuthRateLimit             Code = "over_request_rate_limit"
	AuthReauthNeeded          Code = "reauthentication_needed"
	AuthReauthNotValid        Code = "reauthentication_not_valid"
	AuthRefreshNotFound       Code = "refresh_token_not_found"
	AuthRefreshUsed           Code = "refresh_token_already_used"
	AuthSAMLDisabled          Code = "saml_provider_disabled"
	AuthSamePassword          Code = "same_password"
	AuthSessionExpired        Code = "session_expired"
	AuthSessionNotFound       Code = "session_not_found"
	AuthSignupDisabled        Code = "signup_disabled"
	AuthUserBanned            Code = "user_banned"
	AuthUserExists            Code = "user_already_exists"
	AuthUserNotFound          Code = "user_not_found"
	AuthValidation            Code = "validation_failed"
	AuthWeakPassword          Code = "weak_password"
	AuthWeb3Disabled          Code = "web3_provider_disabled"
)

// authEntries map the identity door's codes to HTTP with GoTrue's statuses, and to gRPC.
// Nothing that a deployment has not switched on is a 5xx: clients retry those.
//
//nolint:gochecknoglobals // a constant table; Go has no map constants
var authEntries = map[Code]entry{
	AuthAnonymousDisabled:     {http.StatusUnprocessableEntity, RPCInvalidArgument, "Anonymous sign-in disabled"},
	AuthBadCodeVerifier:       {http.StatusBadRequest, RPCInvalidArgument, "Code verifier does not match"},
	AuthBadJSON:               {http.StatusBadRequest, RPCInvalidArgument, "Body not understood"},
	AuthBadJWT:                {http.StatusForbidden, RPCPermissionDenied, "Token not valid"},
	AuthBadOAuthCallback:      {http.StatusBadRequest, RPCInvalidArgument, "Provider's callback not valid"},
	AuthBadOAuthState:         {http.StatusBadRequest, RPCInvalidArgument, "State not valid"},
	AuthEmailExists:           {http.StatusUnprocessableEntity, RPCAlreadyExists, "E-mail address in use"},
	AuthEmailInvalid:          {http.StatusBadRequest, RPCInvalidArgument, "E-mail address not valid"},
	AuthEmailNotConfirmed:     {http.StatusBadRequest, RPCInvalidArgument, "E-mail address not confirmed"},
	AuthEmailProviderDisabled: {http.StatusUnprocessableEntity, RPCInvalidArgument, "E-mail sign-in disabled"},
	AuthEmailRateLimit:        {http.StatusTooManyRequests, RPCResourceExhausted, "Too many mails"},
	AuthFlowStateExpired:      {http.StatusForbidden, RPCPermissionDenied, "Sign-in flow expired"},
	AuthFlowStateNotFound:     {http.StatusNotFound, RPCNotFound, "Sign-in flow not found"},
	AuthIdentityExists:        {http.StatusUnprocessableEntity, RPCAlreadyExists, "Identity linked already"},
	AuthIdentityNotFound:      {http.StatusNotFound, RPCNotFound, "Identity not found"},
	AuthInsufficientAAL:       {http.StatusForbidden, RPCPermissionDenied, "Second factor needed"},
	AuthInvalidCredentials:    {http.StatusBadRequest, RPCInvalidArgument, "Credentials not valid"},
	AuthLastIdentity:          {http.StatusUnprocessableEntity, RPCInvalidArgument, "Last identity stays"},
	AuthLinkingDisabled:       {http.StatusNotFound, RPCNotFound, "Linking disabled"},
	AuthMFAChallengeExpired:   {http.StatusUnprocessableEntity, RPCInvalidArgument, "Challenge expired"},
	AuthMFAFactorNameConflict: {http.StatusUnprocessableEntity, RPCInvalidArgument, "Factor name in use"},
	AuthMFAFactorNotFound:     {http.StatusNotFound, RPCNotFound, "Factor not found"},
	AuthMFAPhoneDisabled:      {http.StatusUnprocessableEntity, RPCInvalidArgument, "Phone factors disabled"},
	AuthMFATooManyFactors:     {http.StatusUnprocessableEntity, RPCInvalidArgument, "Too many factors"},
	AuthMFAVerificationFailed: {http.StatusUnprocessableEntity, RPCInvalidArgument, "Code not valid"},
	AuthMFAVerifiedExists:     {http.StatusUnprocessableEntity, RPCInvalidArgument, "Verified factor exists"},
	AuthMFAWebAuthnDisabled:   {http.StatusUnprocessableEntity, RPCInvalidArgument, "Passkeys disabled"},
	AuthNoAuthorization:       {http.StatusUnauthorized, RPCUnauthenticated, "Authorization missing"},
	AuthNotAdmin:              {http.StatusForbidden, RPCPermissionDenied, "Not an administrator"},
	AuthOAuthServerDisabled:   {http.StatusUnprocessableEntity, RPCInvalidArgument, "OAuth server disabled"},
	AuthOTPDisabled:           {http.StatusUnprocessableEntity, RPCInvalidArgument, "One-time passwords disabled"},
	AuthOTPExpired:            {http.StatusForbidden, RPCPermissionDenied, "Code expired or not valid"},
	AuthPhoneProviderDisabled: {http.StatusUnprocessableEntity, RPCInvalidArgument, "Phone sign-in disabled"},
	AuthProviderDisabled:      {http.StatusUnprocessableEntity, RPCInvalidArgument, "Provider disabled"},
	AuthProviderNotSupported:  {http.StatusUnprocessableEntity, RPCInvalidArgument, "Provider not supported"},
	AuthRateLimit:             {http.StatusTooManyRequests, RPCResourceExhausted, "Too many requests"},
	AuthReauthNeeded:          {http.StatusUnprocessableEntity, RPCInvalidArgument, "Reauthentication needed"},
	AuthReauthNotValid:        {http.StatusUnprocessableEntity, RPCInvalidArgument, "Reauthentication not valid"},
	AuthRefreshNotFound:       {http.StatusBadRequest, RPCInvalidArgument, "Refresh token not found"},
	AuthRefreshUsed:           {http.StatusBadRequest, RPCInvalidArgument, "Refresh token used before"},
	AuthSAMLDisabled:          {http.StatusUnprocessableEntity, RPCInvalidArgument, "SAML disabled"},
	AuthSamePassword:          {http.StatusUnprocessableEntity, RPCInvalidArgument, "Password unchanged"},
	AuthSessionExpired:        {http.StatusForbidden, RPCPermissionDenied, "Session expired"},
	AuthSessionNotFound:       {http.StatusForbidden, RPCPermissionDenied, "Session not found"},
	AuthSignupDisabled:        {http.StatusUnprocessableEntity, RPCInvalidArgument, "Sign-up disabled"},
	AuthUserBanned:            {http.StatusForbidden, RPCPermissionDenied, "User banned"},
	AuthUserExists:            {http.StatusUnprocessableEntity, RPCAlreadyExists, "User exists"},
	AuthUserNotFound:          {http.StatusNotFound, RPCNotFound, "User not found"},
	AuthValidation:            {http.StatusBadRequest, RPCInvalidArgument, "Input not valid"},
	AuthWeakPassword:          {http.StatusUnprocessableEntity, RPCInvalidArgument, "Password too weak"},
	AuthWeb3Disabled:          {http.StatusUnprocessableEntity, RPCInvalidArgument, "Web3 sign-in disabled"},
}
