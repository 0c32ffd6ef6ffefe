package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// kindState is the kind of the flows that wait for a provider's callback.
const kindState = "state"

// stateLife is how long a user may take at the provider.
const stateLife = 10 * time.Minute

// methodS256 is the one code challenge method (RFC 7636, section 4.2) that is
// taken: with plain, whoever sees the URL of the first request has the
// verifier. auth-js falls back to plain only on pages without WebCrypto, which
// are neither https nor on the own machine.
const methodS256 = "s256"

// The bounds of a verifier (RFC 7636, section 4.1).
const (
	minVerifier = 43
	maxVerifier = 128
)

// checkChallenge returns the method of a code challenge in its stored form,
// empty without a challenge. Half a challenge, another method than S256 and a
// challenge that is no SHA-256 hash are [fault.AuthValidation].
func checkChallenge(challenge, method string) (string, error) {
	if challenge == "" && method == "" {
		return "", nil
	}
	switch {
	case challenge == "" || method == "":
		return "", fault.New(fault.AuthValidation, "code_challenge and code_challenge_method come together or not at all")
	case strings.EqualFold(method, "plain"):
		return "", fault.New(fault.AuthValidation, "the code challenge method plain is not accepted").
			WithHint("use S256; browsers have it on https and on localhost")
	case !strings.EqualFold(method, methodS256):
		return "", fault.New(fault.AuthValidation, "unknown code challenge method").WithHint("use S256")
	}
	if raw, err := base64.RawURLEncoding.Strict().DecodeString(challenge); err != nil || len(raw) != sha256.Size {
		return "", fault.New(fault.AuthValidation, "code_challenge is no S256 challenge").WithHint("it is the base64url form, without padding, of the verifier's SHA-256")
	}
	return methodS256, nil
}

// verifies reports, in constant time, whether a verifier is what a challenge
// was made of.
func verifies(verifier, challenge, method string) bool {
	if method != methodS256 || challenge == "" || len(verifier) < minVerifier || len(verifier) > maxVerifier {
		return false
	}
	for _, c := range []byte(verifier) {
		unreserved := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
		if !unreserved {
			return false
		}
	}
	sum := sha256.Sum256([]byte(verifier))
	got := base64.RawURLEncoding.EncodeToString(sum[:])
	return subtle.ConstantTimeCompare([]byte(got), []byte(challenge)) == 1
}

// flow is a flow that was taken: it is in the table no more.
type flow struct {
	id, userID, provider string
	data                 json.RawMessage
	expires              time.Time
}

// takeFlow removes a flow and returns it; nil: there is none. Of many that
// take the same one at once exactly one gets it. It is spent whatever comes of
// it, unless the transaction is undone.
func (a *Auth) takeFlow(tx store.Tx, kind, secret string) (f *flow, err error) {
	_, err = one(tx, a.flows.take, args(text(hash(secret)), text(kind)), func(s *scan) {
		f = &flow{id: s.text(), userID: s.text(), provider: s.text(), data: s.json(), expires: s.time()}
	})
	return f, err
}

// putFlow stores a flow under the hash of a secret.
func (a *Auth) putFlow(tx store.Tx, kind, secret, userID, provider string, data any, life time.Duration) error {
	raw, err := json.Marshal(data)
	if err != nil {
		return err
	}
	canonical, err := value.CanonicalJSON(string(raw))
	if err != nil {
		return err
	}
	now := a.now()
	_, err = tx.Exec(a.st.flowInsert, args(text(a.newID()), text(hash(secret)), text(kind), optText(userID), optText(provider), text(canonical), at(now), at(now.Add(life))))
	return err
}

// ExchangeCode is grant_type=pkce: it answers the session that a code stands
// for, which a callback or a link in a mail has given to the browser. A code is
// spent by its first use, also by one with the wrong verifier: who has a code
// and not its verifier is not who asked for it.
//
// An unknown or used code is [fault.AuthFlowStateNotFound], one that is older
// than five minutes [fault.AuthFlowStateExpired], a wrong or missing verifier
// [fault.AuthBadCodeVerifier].
func (a *Auth) ExchangeCode(ctx context.Context, id *Caller, code, verifier string) (*Grant, error) {
	if err := a.limit(ctx, id, "sign_in", ""); err != nil {
		return nil, err
	}
	if code == "" || len(code) > maxToken {
		return nil, errNoFlow()
	}
	var (
		s      *session
		c      authCode
		denied *fault.Error // what is answered although the code's removal is kept
		userID string
	)
	err := a.cfg.Driver.Write(ctx, func(tx store.Tx) error {
		s, c, denied, userID = nil, authCode{}, nil, ""
		f, err := a.takeFlow(tx, kindCode, code)
		if err != nil {
			return err
		}
		if f == nil {
			denied = errNoFlow()
			return nil
		}
		userID = f.userID
		if err := json.Unmarshal(f.data, &c); err != nil {
			return err
		}
		switch {
		case !a.now().Before(f.expires):
			denied = fault.New(fault.AuthFlowStateExpired, "The sign-in has taken too long").WithHint("begin it again")
			return nil
		case !verifies(verifier, c.Challenge, c.ChallengeMethod):
			denied = fault.New(fault.AuthBadCodeVerifier, "The code verifier does not match the code challenge").
				WithHint("exchange the code in the browser that began the sign-in")
			return nil
		}
		u, err := a.lockUser(tx, f.userID)
		if err != nil {
			return err
		}
		if u == nil {
			denied = errNoFlow()
			return nil
		}
		if u.banned(a.now()) {
			denied = errBanned()
			return nil
		}
		if c.Link != nil {
			if denied, err = a.linkByCode(tx, id, u, &c); denied != nil || err != nil {
				return err
			}
		}
		if s, err = a.newSession(tx, id, u, a.amrEntry(c.Method)); err != nil {
			return err
		}
		return a.record(tx, id, "auth.sign_in", u.id, a.detail("method", c.Method, "provider", c.Provider, "grant", "pkce"))
	})
	if err != nil {
		return nil, err
	}
	if denied != nil {
		return nil, a.denied(ctx, id, "auth.sign_in", userID, denied)
	}
	if c.Link != nil {
		a.forget(userID)
	}
	g, err := a.issue(s)
	if err != nil {
		return nil, err
	}
	return g, a.unsealTokens(userID, c.Tokens, g)
}

// maxToken bounds what is hashed of what a caller presents.
const maxToken = 512

func errNoFlow() *fault.Error {
	return fault.New(fault.AuthFlowStateNotFound, "This code is unknown or was used before").WithHint("begin the sign-in again")
}

func errBanned() *fault.Error { return fault.New(fault.AuthUserBanned, "User is banned") }

// detail makes a record's detail of names and values; empty ones are left out.
func (a *Auth) detail(pairs ...string) map[string]string {
	m := make(map[string]string, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			m[pairs[i]] = pairs[i+1]
		}
	}
	return m
}

// denied records a refusal that concerns a user and returns it. Refusals about
// nobody known are the limiter's and the counters' matter: a record for each
// would let strangers fill the disk.
func (a *Auth) denied(ctx context.Context, id *Caller, action, userID string, why *fault.Error) error {
	if userID == "" {
		return why
	}
	if err := a.refuse(ctx, id, action, userID, map[string]string{"reason": string(why.Code)}); err != nil {
		return err
	}
	return why
}
