package auth

import (
	"net/http"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/provider"
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
	// Link is the profile that the exchange links to the user, wrapped, while
	// Session lives; nil: none.
	Link    []byte `json:"link,omitempty"`
	Session string `json:"session,omitempty"`
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

// linked is what is kept of a profile until it is linked: all but the tokens,
// which are kept beside it.
func linked(p *provider.Profile) *provider.Profile {
	out := *p
	out.AccessToken, out.RefreshToken = "", ""
	return &out
}

// linkContext binds a wrapped profile to whom it is linked to.
func linkContext(userID string) []byte { return []byte("provider profile " + userID) }

// linkByCode links the account that the exchange of a code brings. denied is
// why it cannot be; the code is spent all the same.
func (a *Auth) linkByCode(tx store.Tx, id *Caller, u *userRow, c *authCode) (denied *fault.Error, err error) {
	var p provider.Profile
	if err := a.unseal(c.Link, linkContext(u.id), &p); err != nil {
		return nil, err
	}
	if _, err := a.linkable(tx, u.id, c.Session, c.Provider, &p); err != nil {
		if f := fault.From(err); f.HTTPStatus() < http.StatusInternalServerError {
			return f, nil
		}
		return nil, err
	}
	return nil, a.linkAccount(tx, id, u, c.Provider, &p)
}
