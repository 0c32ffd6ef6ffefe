package auth

import (
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// purpose is what a mailed code or link is for. A user has one of each.
type purpose string

const (
	toConfirm      purpose = "confirmation"
	toRecover      purpose = "recovery"
	toSignIn       purpose = "magiclink"
	toAccept       purpose = "invite"
	toLeave        purpose = "email_change_current" // the address that the account has
	toArrive       purpose = "email_change_new"     // the one that it gets
	toAuthenticate purpose = "reauthentication"
)

// How long codes and links can be used. Codes can be guessed, so theirs is short.
const (
	codeTime   = 10 * time.Minute
	linkTime   = time.Hour
	inviteTime = 24 * time.Hour // of links that nobody waits for: sign-up, invitation
)

// maxTries is how often a code may be wrong before it is void.
const maxTries = 5

func (p purpose) life() time.Duration {
	switch p {
	case toConfirm, toAccept:
		return inviteTime
	case toAuthenticate:
		return codeTime
	default:
		return linkTime
	}
}

// oneTime is a row of auth.one_time_tokens.
type oneTime struct {
	id, userID       string
	purpose          purpose
	codeHash, email  string
	data             oneTimeData
	created, expires time.Time
}

// oneTimeData is what is to be done when the token comes back.
type oneTimeData struct {
	Challenge       string `json:"code_challenge,omitempty"`
	ChallengeMethod string `json:"code_challenge_method,omitempty"`
	// Other tells, of the change of an address, that the other side has
	// confirmed, or that there is none.
	Other bool `json:"other,omitempty"`
}

const oneTimeColumns = `id, user_id, purpose, code_hash, email, data, created_at, expires_at`

func (s *scan) oneTime() *oneTime {
	t := &oneTime{id: s.text(), userID: s.text(), purpose: purpose(s.text()), codeHash: s.text(), email: s.text()}
	if raw := s.json(); len(raw) > 0 {
		if err := json.Unmarshal(raw, &t.data); err != nil && s.err == nil {
			s.err = err
		}
	}
	t.created, t.expires = s.time(), s.time()
	return t
}

// letter is what a mail has to hold.
type letter struct {
	purpose  purpose
	to       string
	email    string // the account's address
	newEmail string
	token    string // of the link
	code     string
	redirect string // allowed; empty: the site
}

// putOneTime makes a token for an address, in the place of the user's earlier
// one for the same purpose, and returns what to mail. Only hashes are stored.
func (a *Auth) putOneTime(tx store.Tx, u *userRow, p purpose, to, redirect string, data oneTimeData) (*letter, error) {
	encoded, err := encode(data)
	if err != nil {
		return nil, err
	}
	if _, err := tx.Exec(a.st.oneTimeReplace, args(text(u.id), text(string(p)))); err != nil {
		return nil, err
	}
	l := &letter{purpose: p, to: to, email: u.email, newEmail: u.newEmail, token: a.newToken(), code: a.newCode(), redirect: redirect}
	if l.email == "" {
		l.email = to
	}
	now, id := a.now(), a.newID()
	_, err = tx.Exec(a.st.oneTimeInsert, args(text(id), text(u.id), text(string(p)), text(hash(l.token)), text(a.codeHash(id, l.code)), text(to),
		value.OfInt(0), encoded, at(now), at(now.Add(p.life()))))
	return l, err
}

// codeHash is what is stored of a code: six digits could be found again from
// a hash without a key.
func (a *Auth) codeHash(rowID, code string) string {
	return hex.EncodeToString(a.mac("code", rowID+"\x00"+code))
}

func errOTP() *fault.Error {
	return fault.New(fault.AuthOTPExpired, "Token has expired or is invalid").WithHint("ask for a new one; each can be used once")
}

// takeLink removes the token of a link and returns it: of many at once, one
// gets it. nil: there is none that can be used for one of the purposes.
func (a *Auth) takeLink(tx store.Tx, token string, allowed []purpose) (t *oneTime, err error) {
	if token == "" || len(token) > maxToken {
		return nil, nil
	}
	_, err = one(tx, a.st.oneTimeTakeHash, args(text(hash(token))), func(s *scan) { t = s.oneTime() })
	if err != nil || t == nil || !slices.Contains(allowed, t.purpose) || !a.now().Before(t.expires) {
		return nil, err
	}
	return t, nil
}

// takeCode removes the token of the code that was mailed to an address and
// returns it. A wrong code counts against every token that it was tried on, so
// that guesses are few; nil: it was wrong, and the count is to be committed.
func (a *Auth) takeCode(tx store.Tx, email, code string, allowed []purpose) (*oneTime, error) {
	var ids []string
	for _, p := range allowed {
		// Of several accounts that want the same new address, the last one's
		// code counts: more would mean more codes to hit.
		err := all(tx, a.st.oneTimeNewest, args(text(email), text(string(p))), func(s *scan) { ids = append(ids, s.text()) })
		if err != nil {
			return nil, err
		}
	}
	return a.tryCodes(tx, ids, code)
}

// takeUserCode is takeCode for the code of a known user.
func (a *Auth) takeUserCode(tx store.Tx, userID string, p purpose, code string) (*oneTime, error) {
	var ids []string
	if err := all(tx, a.st.oneTimeOf, args(text(userID), text(string(p))), func(s *scan) { ids = append(ids, s.text()) }); err != nil {
		return nil, err
	}
	return a.tryCodes(tx, ids, code)
}

func (a *Auth) tryCodes(tx store.Tx, ids []string, code string) (found *oneTime, err error) {
	for _, id := range ids {
		var t *oneTime
		// The try is counted before it is judged: those at once get no more.
		_, err := one(tx, a.st.oneTimeTry, args(text(id), value.OfInt(maxTries)), func(s *scan) { t = s.oneTime() })
		if err != nil {
			return nil, err
		}
		if t == nil || !a.now().Before(t.expires) || !a.now().Before(t.created.Add(codeTime)) {
			continue
		}
		if len(code) == codeDigits && subtle.ConstantTimeCompare([]byte(a.codeHash(t.id, code)), []byte(t.codeHash)) == 1 {
			found = t
		}
	}
	if found == nil {
		return nil, nil
	}
	gone, err := tx.Exec(a.st.oneTimeDelete, args(text(found.id)))
	if err != nil || gone == 0 {
		return nil, err
	}
	return found, nil
}

// dropPending voids what was mailed to a user and not used: codes, links, and a
// change of the address that has not come about.
func (a *Auth) dropPending(tx store.Tx, u *userRow) error {
	u.newEmail = ""
	for _, st := range []*store.Statement{a.st.oneTimeDrop, a.st.flowsDrop} {
		if _, err := tx.Exec(st, args(text(u.id))); err != nil {
			return err
		}
	}
	return nil
}
