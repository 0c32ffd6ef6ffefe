package auth

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/keys"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/token"
)

// lookLife is how long the store's word on a session counts: a session that
// was ended, a user who was banned and a role that was taken away on another
// node are noticed within it; on this node, at once.
const lookLife = 4 * time.Second

// Credentials are what a request carries.
type Credentials struct {
	APIKey string // the header apikey
	Bearer string // of Authorization, without the scheme
}

// Authenticate names the caller of a request; nothing but the credentials
// decides who it is. It is on every request's path: a token that was verified
// before costs no cryptography but its API key's hash.
//
//   - A key in either place is enough: a secret one is the service (or, if it
//     has roles of its own, a machine with those), a publishable one the
//     anonymous caller. Of two keys the Bearer counts.
//   - A token as Bearer is its user, whatever kind of key came along; but a key
//     must have come, except with a machine's token.
//   - HS256 tokens of the configured secret are their subject, without a
//     session of ours; their role service_role is the service, anon the anonymous.
//
// A fault is [fault.MissingCredential] or [fault.InvalidCredential] (401); that
// of the identity door is behind it: see [Fault].
func (a *Auth) Authenticate(ctx context.Context, c Credentials, r *policy.Request) (policy.Identity, error) {
	key, bearerToken, err := a.readKeys(c)
	if err != nil {
		return policy.Identity{}, err
	}
	if !bearerToken {
		id := a.keyIdentity(&key)
		id.Request = r
		return id, nil
	}
	e, err := a.verified(ctx, c.Bearer)
	if err != nil {
		return policy.Identity{}, err
	}
	if key.ID == "" && e.client == "" {
		return policy.Identity{}, fault.New(fault.MissingCredential, "an API key is required beside the token").
			WithHint("send the publishable key as the apikey header; `pando keys` shows it")
	}
	st, err := a.stateOf(ctx, e)
	if err != nil {
		return policy.Identity{}, err
	}
	id := st.id
	if e.client == "" {
		id.Key = key.ID
	}
	id.Modules, id.Request = key.Modules, r
	return id, nil
}

// readKeys finds the API key of the credentials, and tells whether the Bearer
// is a token.
func (a *Auth) readKeys(c Credentials) (key keys.Key, bearerToken bool, err error) {
	if c.APIKey == "" && c.Bearer == "" {
		return key, false, fault.New(fault.MissingCredential, "an API key is required").
			WithHint("send a key as the apikey header; `pando keys` shows them")
	}
	if c.APIKey != "" {
		var ok bool
		if key, ok = a.cfg.Ring.Find(c.APIKey); !ok {
			return key, false, unknownKey()
		}
	}
	if c.Bearer == "" {
		return key, false, nil
	}
	if strings.Count(c.Bearer, ".") == 2 { // no key has a dot; a token has two
		return key, true, nil
	}
	second, ok := a.cfg.Ring.Find(c.Bearer)
	if !ok {
		return key, false, unknownKey()
	}
	return second, false, nil
}

func unknownKey() error {
	return fault.New(fault.InvalidCredential, "the API key is not valid").
		WithHint("`pando keys` shows the keys of this application")
}

// keyIdentity is the caller that an API key alone stands for.
func (a *Auth) keyIdentity(k *keys.Key) policy.Identity {
	id := policy.Identity{Role: policy.Anon, Key: k.ID, Modules: k.Modules}
	switch {
	case k.IsService():
		id.Role = policy.Service
	case k.Kind == keys.Secret:
		id.Role, id.Roles = policy.Authenticated, a.live.Load().closure(k.Roles)
	}
	return id
}

// Fault is an error as the identity door tells it: the one that Authenticate
// put behind the 401 of the other doors, where there is one.
func Fault(err error) error {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok {
		return err
	}
	if f.Code != fault.InvalidCredential && f.Code != fault.MissingCredential {
		return err
	}
	if inner, ok := errors.AsType[*fault.Error](f.Cause); ok {
		return inner
	}
	return fault.Wrap(f, fault.AuthNoAuthorization, "%s", f.Message).WithHint("%s", f.Hint)
}

// refused is the fault of a token that is not accepted, for every door.
func refused(inner *fault.Error) error {
	return fault.Wrap(inner, fault.InvalidCredential, "%s", inner.Message).WithHint("%s", inner.Hint)
}

// verified returns the entry of a token whose signature and claims are good.
func (a *Auth) verified(ctx context.Context, text string) (*cached, error) {
	now := a.now()
	if e := a.cache.get(text); e != nil {
		if now.UnixNano() < e.expires {
			return e, nil
		}
		a.cache.drop(text)
	}
	clears := a.cache.clears.Load()
	tokens := a.live.Load().tokens
	claims, err := tokens.Verify(text)
	if reason, ok := errors.AsType[*token.Error](err); ok && reason.Reason == token.UnknownKey && a.lookAgain(ctx) {
		claims, err = tokens.Verify(text)
	}
	if err != nil {
		f := fault.Wrap(err, fault.AuthBadJWT, "invalid JWT: %s", err.Error())
		if reason, ok := errors.AsType[*token.Error](err); ok && reason.Reason == token.Expired {
			f = f.WithHint("refresh the session")
		}
		return nil, refused(f)
	}
	e := &cached{claims: claims, expires: claims.Expires.UnixNano()}
	if client, ok := claims.Raw["client_id"].(string); ok && !claims.Foreign && claims.Session == "" {
		e.client = client
	}
	return a.cache.put(text, e, clears), nil
}

// stateOf returns what the store says of a token, at most lookLife old.
func (a *Auth) stateOf(ctx context.Context, e *cached) (*state, error) {
	fresh := func() *state {
		s := e.state.Load()
		if s != nil && isRecent(a.now().UnixNano(), s.at, lookLife) && s.live == a.live.Load() && s.stamp == a.stamp(e.claims.Subject).Load() {
			return s
		}
		return nil
	}
	s := fresh()
	if s == nil {
		e.mu.Lock()
		defer e.mu.Unlock()
		if s = fresh(); s == nil {
			s = &state{at: a.now().UnixNano(), stamp: a.stamp(e.claims.Subject).Load(), live: a.live.Load()}
			var err error
			if s.id, s.err, err = a.look(ctx, s.live, e); err != nil {
				return nil, err
			}
			e.state.Store(s)
		}
	}
	return s, s.err
}

// look asks the store who a verified token is now. The first error refuses the
// token; the second one means that the store could not be asked.
func (a *Auth) look(ctx context.Context, l *live, e *cached) (id policy.Identity, refusal, err error) {
	c := &e.claims
	id = policy.Identity{Role: policy.Authenticated, UID: c.Subject, Email: c.Email, AAL: c.AAL, Session: c.Session, Claims: c.Raw}
	switch {
	case e.client != "":
		id = policy.Identity{Role: policy.Authenticated, Key: e.client, Claims: c.Raw}
	case c.Foreign && c.Role == "service_role":
		return policy.Identity{Role: policy.Service, Key: "jwt", Claims: c.Raw}, nil, nil
	case c.Foreign && c.Role == string(policy.Anon):
		return policy.Identity{Role: policy.Anon, Claims: c.Raw}, nil, nil
	case c.Role != audience:
		return id, refused(fault.New(fault.AuthBadJWT, "invalid JWT: its role is none that a caller can have")), nil
	case !c.Foreign && c.Session == "":
		return id, refused(fault.New(fault.AuthBadJWT, "invalid JWT: it names no session")), nil
	}
	err = a.cfg.Driver.Read(ctx, false, func(r store.Reader) error {
		id, refusal, err = a.lookIn(r, l, e, id)
		return err
	})
	return id, refusal, err
}

func (a *Auth) lookIn(r store.Reader, l *live, e *cached, id policy.Identity) (_ policy.Identity, refusal, err error) {
	if e.client != "" {
		if !isUUID(e.client) {
			return id, refused(fault.New(fault.AuthBadJWT, "invalid JWT: its client_id is no client's")), nil
		}
		var roles []string
		found, err := one(r, a.st.clientState, args(text(e.client)), func(s *scan) { roles = s.list() })
		if err == nil && !found {
			refusal = refused(fault.New(fault.AuthSessionNotFound, "the client of the token was revoked"))
		}
		id.Roles = l.closure(roles)
		return id, refusal, err
	}
	var u struct {
		app          map[string]any
		banned, ends time.Time
		email, aal   string
	}
	st, by := a.st.sessionState, args(text(id.Session), text(id.UID))
	if e.claims.Foreign {
		st, by = a.st.userState, args(text(id.UID))
	} else if !isUUID(id.Session) {
		return id, refused(sessionNotFound()), nil
	}
	found, err := one(r, st, by, func(s *scan) {
		u.app, u.banned, u.email, u.ends, u.aal = s.object(), s.time(), s.text(), s.time(), s.text()
	})
	switch {
	case err != nil:
		return id, nil, err
	case !found && e.claims.Foreign: // a user of whoever shares the secret
		id.Roles = l.closure(metadataRoles(e.claims.Raw["app_metadata"]))
		return id, nil, nil
	case !found || !e.claims.Foreign && !a.now().Before(u.ends):
		return id, refused(sessionNotFound()), nil
	case a.now().Before(u.banned):
		return id, refused(fault.New(fault.AuthUserBanned, "User is banned")), nil
	}
	given, err := a.rolesOf(r, id.UID)
	id.Email, id.Roles = u.email, l.closure(given, metadataRoles(u.app))
	if !e.claims.Foreign && id.AAL > u.aal { // the second factor was removed since
		id.AAL = u.aal
	}
	return id, nil, err
}

func sessionNotFound() *fault.Error {
	return fault.New(fault.AuthSessionNotFound, "Session from session_id claim in JWT does not exist").WithHint("sign in again")
}

// metadataRoles are the roles that the application's metadata of a user gives.
func metadataRoles(app any) []string {
	m, ok := app.(map[string]any)
	if !ok {
		return nil
	}
	return stringList(m["roles"])
}

// forget makes this node look at a user's sessions, roles and ban again at the
// next request. It is called after the commit of what changed them.
func (a *Auth) forget(userID string) { a.stamp(userID).Add(1) }

// stamp counts the changes of a user on this node.
func (a *Auth) stamp(userID string) *atomic.Uint64 { return a.stamps.of(a.cache.seed, userID) }
