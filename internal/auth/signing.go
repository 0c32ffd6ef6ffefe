package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/token"
	"github.com/pandobase/pando/internal/value"
)

// audience is the aud of access tokens, and the role that clients know of.
const audience = token.DefaultAudience

// The row of auth.signing_keys that holds the secret behind refresh tokens and
// codes. It is never rotated: what was derived from it could not be recognised.
const (
	secretID        = "secret"
	secretAlgorithm = "HMAC-SHA256"
	secretState     = "active"
)

// reloadEvery is how often the signing keys are read again: a key that another
// node made is known by then, long before it signs.
const reloadEvery = 4 * time.Second

// keyring is what the node holds of auth.signing_keys; it never changes.
type keyring struct {
	keys   []token.Key
	secret []byte
	ids    []string // of all rows
	damage error    // of rows that cannot be read; nil: of none
}

// mac derives 32 bytes from a text for one purpose, in the same way on every node.
func (a *Auth) mac(purpose, text string) []byte {
	m := hmac.New(sha256.New, a.keyring.Load().secret)
	m.Write([]byte(purpose + "\x00" + text))
	return m.Sum(nil)
}

// wrapContext binds a wrapped key to its row.
func wrapContext(id string) []byte { return []byte("pando.auth.signing.v1:" + id) }

// readKeys reads all that is there; what is damaged is told by [keyring.whole].
func readKeys(r store.Reader, st *store.Statement, unwrap func(wrapped, context []byte) ([]byte, error)) (*keyring, error) {
	ring := &keyring{}
	err := all(r, st, nil, func(s *scan) {
		id, algorithm, private, state := s.text(), s.text(), s.bytes(), s.text()
		created, active, retired := s.time(), s.time(), s.time()
		ring.ids = append(ring.ids, id)
		plain, err := unwrap(private, wrapContext(id))
		if err != nil {
			ring.damage = errors.Join(ring.damage, fault.Wrap(err, fault.ConfigInvalid, "signing key %q cannot be unwrapped", id).
				WithHint("the master key of the data folder is not the one that it was wrapped with: restore data/keys from a backup"))
			return
		}
		if id == secretID && algorithm == secretAlgorithm && len(plain) == tokenSize {
			ring.secret = plain
			return
		}
		k, err := token.Parse(id, plain)
		if err != nil {
			ring.damage = errors.Join(ring.damage, err)
			return
		}
		k.State, k.Created, k.Activated, k.Retired = token.State(state), created, active, retired
		ring.keys = append(ring.keys, k)
	})
	return ring, err
}

// whole refuses keys that a node must not go on with. Without the secret, in
// particular, anybody could derive the refresh tokens and codes that follow.
func (k *keyring) whole() error {
	switch {
	case k.damage != nil:
		return k.damage
	case k.secret == nil:
		return fault.New(fault.ConfigInvalid, "the key behind refresh tokens and codes is not in the database").
			WithHint("restore the table of auth.signing_keys from a backup; with all of its rows removed, the next start makes new keys and every user signs in again")
	case !k.signs():
		return fault.New(fault.ConfigInvalid, "no signing key of the database is active").WithHint("start the node again: it makes one active")
	}
	return nil
}

// signs reports whether there is a key that signs.
func (k *keyring) signs() bool {
	return slices.ContainsFunc(k.keys, func(k token.Key) bool { return k.State == token.Active })
}

// openKeys reads the signing keys. It makes them at the first start, and one
// that signs where that was removed.
func (a *Auth) openKeys(ctx context.Context) error {
	missing := func(ring *keyring) bool {
		return len(ring.ids) == 0 || ring.damage == nil && ring.secret != nil && !ring.signs()
	}
	ring, err := a.readRing(ctx)
	if err == nil && missing(ring) {
		err = a.cfg.Driver.Write(ctx, func(tx store.Tx) error {
			ring, err := readKeys(tx, a.st.keysRead, a.cfg.Wrapper.Unwrap)
			if err != nil || !missing(ring) { // another node was faster
				return err
			}
			// Of two nodes that start at once, the second one's key has the same
			// id: it is refused, and reads the first one's.
			if len(ring.ids) == 0 {
				err = a.insertKey(tx, secretID, secretAlgorithm, a.random(tokenSize), []byte("{}"), secretState, a.now(), a.now(), time.Time{})
			} else {
				_, err = tx.Exec(a.st.keyTouch, args(text(secretID)))
			}
			if err != nil {
				return err
			}
			keys, err := token.Rotate(ring.keys, a.now(), false)
			if err != nil {
				return err
			}
			return a.storeKeys(tx, ring, keys)
		})
	}
	if err != nil && !fault.Is(err, fault.Unique) {
		return err
	}
	return a.loadKeys(ctx)
}

func (a *Auth) readRing(ctx context.Context) (ring *keyring, err error) {
	err = a.cfg.Driver.Read(ctx, true, func(r store.Reader) error {
		ring, err = readKeys(r, a.st.keysRead, a.cfg.Wrapper.Unwrap)
		return err
	})
	return ring, err
}

// loadKeys puts the keys of the store to use if they are whole; else those in
// use stay.
func (a *Auth) loadKeys(ctx context.Context) error {
	ring, err := a.readRing(ctx)
	if err != nil {
		return err
	}
	if err := ring.whole(); err != nil {
		return err
	}
	return a.useKeys(ring)
}

func (a *Auth) useKeys(ring *keyring) error {
	a.keysMu.Lock()
	defer a.keysMu.Unlock()
	if err := a.live.Load().tokens.Use(ring.keys); err != nil {
		return err
	}
	old := a.keyring.Swap(ring)
	if old != nil && !slices.EqualFunc(old.keys, ring.keys, func(x, y token.Key) bool { return x.ID == y.ID && x.State == y.State }) {
		a.cache.clear() // what a key signed that is gone must be refused
	}
	return nil
}

// lookAgain reads the keys again because a token names one that is not known,
// at most once a second: strangers can name any.
func (a *Auth) lookAgain(ctx context.Context) bool {
	now := a.now().UnixNano()
	last := a.looked.Load()
	if isRecent(now, last, time.Second) || !a.looked.CompareAndSwap(last, now) {
		return false
	}
	if err := a.loadKeys(ctx); err != nil {
		a.log.Error("the signing keys cannot be read", "error", err)
		return false
	}
	return true
}

// isRecent reports whether last, in Unix nanoseconds, lies less than d before
// now. A time after now is not recent: the clock was set back since.
func isRecent(now, last int64, d time.Duration) bool { return last <= now && now-last < int64(d) }

// RotateSigning lets the next key sign. It has been published since the last
// rotation, so that no token is refused for it; the one before verifies until
// the last token that it signed is over. With revoke it verifies no longer:
// every access token is refused, and renewed with its refresh token. Only the
// service may.
func (a *Auth) RotateSigning(ctx context.Context, id *Caller, revoke bool) error {
	if err := admin(id); err != nil {
		return err
	}
	err := a.cfg.Driver.Write(ctx, func(tx store.Tx) error {
		// The row that is always there orders those who rotate at once.
		if _, err := tx.Exec(a.st.keyTouch, args(text(secretID))); err != nil {
			return err
		}
		ring, err := readKeys(tx, a.st.keysRead, a.cfg.Wrapper.Unwrap)
		if err != nil {
			return err
		}
		if err := ring.whole(); err != nil && (!revoke || ring.secret == nil) { // damaged keys can be replaced
			return err
		}
		keys, err := token.Rotate(ring.keys, a.now(), revoke)
		if err != nil {
			return err
		}
		if err := a.storeKeys(tx, ring, keys); err != nil {
			return err
		}
		detail := map[string]string{"kid": keys[0].ID}
		if revoke {
			detail["revoke"] = "true"
		}
		return a.record(tx, id, "admin.signing.rotate", "", detail)
	})
	if err != nil {
		return err
	}
	return a.loadKeys(ctx)
}

// SigningKey is the id of the key that signs access tokens.
func (a *Auth) SigningKey() string { return a.live.Load().tokens.ActiveID() }

// storeKeys replaces the signing keys of the store, the damaged ones too; the
// secret stays.
func (a *Auth) storeKeys(tx store.Tx, old *keyring, keys []token.Key) error {
	for _, id := range old.ids {
		if id == secretID {
			continue
		}
		if _, err := tx.Exec(a.st.keyDelete, args(text(id))); err != nil {
			return err
		}
	}
	for _, k := range keys {
		private, err := k.Marshal()
		if err != nil {
			return err
		}
		public, err := k.Public()
		if err != nil {
			return err
		}
		if err := a.insertKey(tx, k.ID, k.Algorithm, private, public, string(k.State), k.Created, k.Activated, k.Retired); err != nil {
			return err
		}
	}
	return nil
}

func (a *Auth) insertKey(tx store.Tx, id, algorithm string, private, public []byte, state string, created, active, retired time.Time) error {
	wrapped, err := a.cfg.Wrapper.Wrap(private, wrapContext(id))
	if err != nil {
		return err
	}
	jwk, err := value.CanonicalJSON(string(public))
	if err != nil {
		return err
	}
	_, err = tx.Exec(a.st.keyInsert, args(text(id), text(algorithm), value.OfBytes(string(wrapped)), text(jwk), text(state), at(created), at(active), at(retired)))
	return err
}

// JWKS is the document of the public keys (RFC 7517). It may be kept for
// [token.JWKSMaxAge].
func (a *Auth) JWKS() []byte { return a.live.Load().tokens.JWKS() }

// Issuer is the iss of access tokens.
func (a *Auth) Issuer() string { return issuer(a.cfg.URL) }

func issuer(url string) string { return url + "/auth/v1" }

// sign signs the claims of an access token.
func (a *Auth) sign(claims map[string]any) (string, error) { return a.live.Load().tokens.Sign(claims) }

// claims are those of a user's access token, in GoTrue's names. Roles stand in
// app_metadata for the client to read; what the server goes by it reads from
// its own store.
func claims(s *session, now, expires time.Time) map[string]any {
	app := make(map[string]any, len(s.user.app)+1)
	maps.Copy(app, s.user.app)
	if roles := union(stringList(app["roles"]), s.roles); len(roles) > 0 {
		app["roles"] = roles
	}
	amr := slices.Clone(s.row.amr)
	slices.Reverse(amr) // the newest first
	return map[string]any{
		"sub": s.user.id, "aud": audience, "role": audience, "iat": now.Unix(), "exp": expires.Unix(), "email": s.user.email, "phone": s.user.phone,
		"app_metadata": app, "user_metadata": s.user.user, "aal": s.row.aal, "amr": amr, "session_id": s.row.id, "is_anonymous": s.user.anonymous,
	}
}

// union is the texts of both lists, sorted, each once.
func union(x, y []string) []string {
	out := slices.Concat(x, y)
	slices.Sort(out)
	return slices.Compact(out)
}

// tokenSet makes the set of an application's settings.
func (a *Auth) tokenSet(jwtSecret string) (*token.Set, error) {
	opt := token.Options{Issuer: a.Issuer(), Now: a.now}
	if jwtSecret != "" {
		secret, err := a.secret(jwtSecret)
		if err != nil {
			return nil, err
		}
		opt.HS256 = []byte(secret)
	}
	return token.NewSet(opt)
}

// secret resolves a setting that is secret:NAME, or the value itself.
func (a *Auth) secret(setting string) (string, error) {
	name, isName := strings.CutPrefix(setting, "secret:")
	if !isName {
		return setting, nil
	}
	v, ok := a.cfg.Secret(name)
	if !ok {
		return "", fault.New(fault.ConfigInvalid, "there is no secret %s", name).WithDetails("pando.yaml's auth.jwt_secret names it")
	}
	return v, nil
}

// refreshOf is the one child of a refresh token: whoever holds the parent can
// be given it again, although only hashes are stored.
func (a *Auth) refreshOf(parent string) string {
	return base64.RawURLEncoding.EncodeToString(a.mac("refresh", parent))
}
