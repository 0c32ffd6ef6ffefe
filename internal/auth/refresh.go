package auth

import (
	"context"
	"net/http"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/store"
)

// reuseWindow is how long after its use a refresh token still leads to the
// active one, for clients that sent it twice at once.
const reuseWindow = 10 * time.Second

// maxSteps bounds how far a used token is followed to the active one: nobody
// refreshes that often within the window.
const maxSteps = 100

// insertRefresh stores a refresh token of a session, active. parent is the hash
// of the one that it follows; empty: it is the first.
func (a *Auth) insertRefresh(tx store.Tx, sessionID, token, parent string) error {
	_, err := tx.Exec(a.st.refreshInsert, args(text(a.newID()), text(sessionID), text(hash(token)), optText(parent), at(a.now())))
	return err
}

// Refresh renews a session: it answers an access token and the refresh token
// that follows the given one, which is then used up.
//
// A used token answers the active one again while that is its own child (a
// client that never got the answer), or within ten seconds of its use (clients
// that refresh side by side). Any other reuse means that two hold the token: the
// session ends, and the audit trail says so. Each token has one child, which is
// derived from it; so a family never branches, and stays one token for any
// number of refreshes at once.
func (a *Auth) Refresh(ctx context.Context, id *Caller, token string) (*Grant, error) {
	if err := a.limit(ctx, id, "refresh", ""); err != nil {
		return nil, err
	}
	if token == "" || len(token) > 512 {
		return nil, refreshNotFound()
	}
	var s *session
	var refusal error
	err := a.cfg.Driver.Write(ctx, func(tx store.Tx) (err error) {
		s, refusal, err = a.refresh(tx, id, token)
		return err
	})
	if fault.Is(err, fault.ForeignKey) { // the session was ended by somebody else meanwhile
		err = refreshEnded()
	}
	if err != nil {
		return nil, err
	}
	if refusal != nil {
		a.forget(s.user.id)
		return nil, refusal
	}
	return a.issue(s)
}

func refreshNotFound() *fault.Error {
	return fault.New(fault.AuthRefreshNotFound, "Invalid Refresh Token: Refresh Token Not Found").WithHint("sign in again")
}

func refreshEnded() *fault.Error {
	return fault.New(fault.AuthSessionExpired, "Invalid Refresh Token: Session Expired").
		WithStatus(http.StatusBadRequest).WithHint("sign in again")
}

// refresh is Refresh within the transaction. A refusal comes with the session
// that was ended for it, and with a commit; an error undoes everything.
func (a *Auth) refresh(tx store.Tx, id *policy.Identity, token string) (s *session, refusal, err error) {
	now := micros(a.now())
	var sessionID string
	fresh, err := one(tx, a.st.refreshUse, args(text(hash(token)), at(now)), func(s *scan) { sessionID = s.text() })
	if err != nil {
		return nil, nil, err
	}
	active, reused := a.refreshOf(token), false
	if !fresh {
		if sessionID, active, err = a.follow(tx, token, now); err != nil {
			return nil, nil, err
		}
		reused = active == ""
	}
	if sessionID == "" {
		return nil, nil, refreshNotFound()
	}
	row, err := a.sessionByID(tx, sessionID)
	if err != nil {
		return nil, nil, err
	}
	if row == nil {
		return nil, nil, refreshEnded()
	}
	u, err := a.userByID(tx, row.userID)
	if err != nil {
		return nil, nil, err
	}
	if u == nil {
		return nil, nil, refreshNotFound()
	}
	s = &session{row: row, user: u, refresh: active}
	if reused {
		if _, err := tx.Exec(a.st.sessionEnd, args(text(row.id))); err != nil {
			return nil, nil, err
		}
		err = a.recordDenied(tx, id, "auth.refresh_reuse", u.id, map[string]string{"session": row.id})
		return s, fault.New(fault.AuthRefreshUsed, "Invalid Refresh Token: Already Used").
			WithHint("the session has ended, because somebody else may hold the token: sign in again"), err
	}
	if u.banned(now) {
		return nil, nil, fault.New(fault.AuthUserBanned, "User is banned").WithStatus(http.StatusBadRequest)
	}
	if fresh {
		if err := a.insertRefresh(tx, row.id, active, hash(token)); err != nil {
			return nil, nil, err
		}
		row.refreshed, row.expires = now, now.Add(sessionIdle)
		if err := a.updateSession(tx, row); err != nil {
			return nil, nil, err
		}
		if err := a.record(tx, id, "auth.refresh", u.id, map[string]string{"session": row.id}); err != nil {
			return nil, nil, err
		}
	}
	return s, nil, a.complete(tx, s)
}

// follow finds the active token that a used one leads to. active is empty where
// it may lead to none any more, and sessionID where the token is not known.
func (a *Auth) follow(tx store.Tx, token string, now time.Time) (sessionID, active string, err error) {
	var used, revoked time.Time
	read := func(token string) (found bool, err error) {
		return one(tx, a.st.refreshByHash, args(text(hash(token))), func(s *scan) { sessionID, used, revoked = s.text(), s.time(), s.time() })
	}
	if found, err := read(token); !found || err != nil {
		return "", "", err
	}
	late := now.Sub(used).Abs() >= reuseWindow // also before its use, by a clock that was set back
	for step := 1; step <= maxSteps && revoked.IsZero(); step++ {
		token = a.refreshOf(token)
		if found, err := read(token); err != nil || !found {
			return sessionID, "", err
		}
		if used.IsZero() && revoked.IsZero() {
			return sessionID, token, nil
		}
		if late { // more than the parent of the active one
			return sessionID, "", nil
		}
	}
	return sessionID, "", nil
}
