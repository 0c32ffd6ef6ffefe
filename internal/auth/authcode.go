package auth

import (
	"time"

	"github.com/pandobase/pando/internal/store"
)

// kindCode is the kind of the flows that wait for the exchange of a code.
const kindCode = "code"

// codeLife is how long a code can be exchanged (RFC 6749, section 4.1.2: at
// most ten minutes).
const codeLife = 5 * time.Minute

// authCode is the data of a flow of kindCode: what [Auth.ExchangeCode] turns
// into a session once its verifier fits.
type authCode struct {
	Challenge       string `json:"code_challenge"`
	ChallengeMethod string `json:"code_challenge_method"` // s256 or plain
	Method          string `json:"method"`                // for amr: otp, oauth
	Provider        string `json:"provider,omitempty"`
	Recovery        bool   `json:"recovery,omitempty"` // the sign-in of a password reset
	// The provider's tokens, wrapped; nil: none.
	Tokens []byte `json:"tokens,omitempty"`
}

// newAuthCode stores that a user may sign in by a code and returns the code,
// which is stored as its hash (auth.flows, kind "code", user_id).
func (a *Auth) newAuthCode(tx store.Tx, userID string, c authCode) (string, error) {
	code := a.newToken()
	data, err := encode(c)
	if err != nil {
		return "", err
	}
	now := a.now()
	_, err = tx.Exec(a.st.flowInsert, args(text(a.newID()), text(hash(code)), text(kindCode), text(userID), optText(c.Provider), data, at(now), at(now.Add(codeLife))))
	return code, err
}
