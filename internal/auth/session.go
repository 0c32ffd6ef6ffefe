package auth

import (
	"cmp"
	"encoding/json"
	"time"

	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// The assurance levels of a session (NIST SP 800-63B).
const (
	aal1 = "aal1"
	aal2 = "aal2"
)

// The methods of authentication, as the claim amr names them.
const (
	methodPassword  = "password"
	methodOTP       = "otp"
	methodAnonymous = "anonymous"
	methodOAuth     = "oauth"
	methodTOTP      = "totp"
)

// method is one entry of the claim amr, in GoTrue's form.
type method struct {
	Method    string `json:"method"`
	Timestamp int64  `json:"timestamp"` // Unix seconds
	Provider  string `json:"provider,omitempty"`
}

// sessionIdle is how long a session lives without a refresh.
const sessionIdle = 180 * 24 * time.Hour

// sessionRow is a row of auth.sessions.
type sessionRow struct {
	id, userID, aal             string
	amr                         []method // the newest last
	factorID, ip, userAgent     string
	refreshed, expires, created time.Time
}

const sessionColumns = `id, user_id, aal, amr, factor_id, ip, user_agent, refreshed_at, expires_at, created_at, updated_at`

func (s *scan) session() *sessionRow {
	row := &sessionRow{id: s.text(), userID: s.text(), aal: s.text()}
	if err := json.Unmarshal(s.json(), &row.amr); err != nil && s.err == nil {
		s.err = err
	}
	row.factorID, row.ip, row.userAgent = s.text(), s.text(), s.text()
	row.refreshed, row.expires, row.created = s.time(), s.time(), s.time()
	return row
}

func (row *sessionRow) values(now time.Time) ([]value.Value, error) {
	amr, err := encode(row.amr)
	if err != nil {
		return nil, err
	}
	return args(text(row.id), text(row.userID), text(row.aal), amr, optText(row.factorID), optText(row.ip), optText(row.userAgent),
		at(row.refreshed), at(row.expires), at(row.created), at(now)), nil
}

// session is a session with what its grant tells.
type session struct {
	row     *sessionRow
	user    *userRow
	view    *User
	roles   []string // those of auth.user_roles
	refresh string   // the refresh token
}

// newSession signs a user in, in tx: it stores the user with the time of the
// sign-in, a session of aal1 and its first refresh token. Sign what it returns with
// [Auth.issue] after the transaction: the only writer is not kept waiting for it.
func (a *Auth) newSession(tx store.Tx, id *policy.Identity, u *userRow, amr ...method) (*session, error) {
	now := micros(a.now())
	u.lastSignIn = now
	if err := a.updateUser(tx, u); err != nil {
		return nil, err
	}
	row := &sessionRow{id: a.newID(), userID: u.id, aal: aal1, amr: amr, created: now, expires: now.Add(sessionIdle)}
	if id.Request != nil {
		row.ip, row.userAgent = clean(id.Request.IP, 64), clean(id.Request.UserAgent, 500)
	}
	v, err := row.values(now)
	if err != nil {
		return nil, err
	}
	if _, err := tx.Exec(a.st.sessionInsert, v); err != nil {
		return nil, err
	}
	return a.openSession(tx, row, u)
}

// openSession is a stored session with a new refresh token, beside those that
// it has. What was changed of row must be stored: see [Auth.updateSession].
func (a *Auth) openSession(tx store.Tx, row *sessionRow, u *userRow) (*session, error) {
	s := &session{row: row, user: u, refresh: a.newToken()}
	if err := a.insertRefresh(tx, row.id, s.refresh, ""); err != nil {
		return nil, err
	}
	return s, a.complete(tx, s)
}

// complete reads what a grant tells beside the session.
func (a *Auth) complete(r store.Reader, s *session) (err error) {
	if s.roles, err = a.rolesOf(r, s.user.id); err != nil {
		return err
	}
	s.view, err = a.view(r, s.user)
	return err
}

// sessionByID reads a session; nil: it has ended.
func (a *Auth) sessionByID(r store.Reader, id string) (row *sessionRow, err error) {
	if !isUUID(id) {
		return nil, nil
	}
	_, err = one(r, a.st.sessionByID, args(text(id)), func(s *scan) { row = s.session() })
	if row != nil && !a.now().Before(row.expires) {
		return nil, err
	}
	return row, err
}

// updateSession stores a session that was read before.
func (a *Auth) updateSession(tx store.Tx, row *sessionRow) error {
	v, err := row.values(a.now())
	if err != nil {
		return err
	}
	_, err = tx.Exec(a.st.sessionUpdate, v)
	return err
}

// noID is the id of nothing: some databases compare ids with ids only.
const noID = "00000000-0000-0000-0000-000000000000"

// endSessions ends a user's sessions, all of them or all but one, with their
// refresh tokens. Call [Auth.forget] after the commit.
func (a *Auth) endSessions(tx store.Tx, userID, except string) error {
	_, err := tx.Exec(a.st.sessionsEnd, args(text(userID), text(cmp.Or(except, noID))))
	return err
}

// issue signs an access token for a session and returns the grant. It takes
// as long as a signature, so it stands outside of transactions.
func (a *Auth) issue(s *session) (*Grant, error) {
	life := a.settings().AccessToken
	now := a.now()
	access, err := a.sign(claims(s, now, now.Add(life)))
	if err != nil {
		return nil, err
	}
	return &Grant{
		AccessToken: access, TokenType: "bearer", ExpiresIn: int64(life / time.Second), ExpiresAt: now.Add(life).Unix(),
		RefreshToken: s.refresh, User: s.view,
	}, nil
}

// amrEntry is how a user has just proved who they are.
func (a *Auth) amrEntry(name string) method { return method{Method: name, Timestamp: a.now().Unix()} }
