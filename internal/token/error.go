package token

// Reason is why a token is refused. The caller maps it to its door's code.
type Reason string

// The reasons.
const (
	Malformed    Reason = "malformed"   // it is no token, or one that this package never reads
	BadAlgorithm Reason = "algorithm"   // signed with an algorithm that is not allowed
	UnknownKey   Reason = "unknown_key" // its kid is none of the set's: perhaps one of another node's
	Signature    Reason = "signature"   // the signature is not the key's
	Issuer       Reason = "issuer"
	Audience     Reason = "audience"
	Expired      Reason = "expired"
	NotYet       Reason = "not_yet" // nbf or iat lie in the future
	BadClaims    Reason = "claims"  // a claim is missing or not of its form
)

// Error says why a token is refused. Its text names no part of the token and
// can be shown to whoever presented it.
type Error struct {
	Reason  Reason
	Message string
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

func refuse(reason Reason, message string) error { return &Error{Reason: reason, Message: message} }
