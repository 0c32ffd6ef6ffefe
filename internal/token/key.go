package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/pandobase/pando/internal/fault"
)

// Algorithm is what Pando signs its own tokens with: ECDSA on P-256 with
// SHA-256 (RFC 7518, section 3.4).
const Algorithm = string(jose.ES256)

// State is where a signing key is in its life.
type State string

// The states, in the order that a key goes through them.
const (
	// Next is published and verifies, and does not sign yet: by the time it
	// does, whoever keeps a copy of the JWKS has it.
	Next State = "next"
	// Active signs; a set has one.
	Active State = "active"
	// Retired signs no more, and verifies until the longest token that it
	// signed is over.
	Retired State = "retired"
)

// Key is one signing key. It is never changed.
type Key struct {
	ID        string // kid: the thumbprint of the public key (RFC 7638)
	Algorithm string // always [Algorithm]
	State     State
	Created   time.Time
	Activated time.Time // zero: not yet
	Retired   time.Time // zero: not yet

	private *ecdsa.PrivateKey
}

// NewKey makes a key that is [Next]. Its randomness is the system's: Go takes
// no other for keys.
func NewKey(now time.Time) (Key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Key{}, fault.Wrap(err, fault.Internal, "a signing key cannot be made")
	}
	return newKey(private, now)
}

func newKey(private *ecdsa.PrivateKey, created time.Time) (Key, error) {
	thumbprint, err := (&jose.JSONWebKey{Key: &private.PublicKey}).Thumbprint(crypto.SHA256)
	if err != nil {
		return Key{}, fault.Wrap(err, fault.Internal, "a signing key has no thumbprint")
	}
	return Key{
		ID: base64.RawURLEncoding.EncodeToString(thumbprint), Algorithm: Algorithm,
		State: Next, Created: created.UTC(), private: private,
	}, nil
}

// Marshal returns the private part as PKCS #8 (RFC 5958). It is a secret: wrap
// it before it is stored.
func (k Key) Marshal() ([]byte, error) {
	out, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "signing key %s cannot be written", k.ID)
	}
	return out, nil
}

// Public returns the public part as a JSON Web Key (RFC 7517), as it stands in
// the JWKS.
func (k Key) Public() ([]byte, error) {
	out, err := json.Marshal(k.jwk())
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "signing key %s cannot be published", k.ID)
	}
	return out, nil
}

func (k Key) jwk() jose.JSONWebKey {
	return jose.JSONWebKey{Key: &k.private.PublicKey, KeyID: k.ID, Algorithm: k.Algorithm, Use: "sig"}
}

// Parse reads what [Key.Marshal] wrote. A text that is no such key, and one
// whose id is not the given one, are a [fault.ConfigInvalid]: the row was
// changed, or exchanged for another one. State and times are the caller's to
// set.
func Parse(id string, private []byte) (Key, error) {
	damaged := func(err error) (Key, error) {
		return Key{}, fault.Wrap(err, fault.ConfigInvalid, "signing key %q is damaged", id).
			WithHint("restore it from a backup, or remove it: users sign in again")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(private)
	if err != nil {
		return damaged(err)
	}
	ec, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || ec.Curve != elliptic.P256() {
		return damaged(nil)
	}
	k, err := newKey(ec, time.Time{})
	if err != nil || k.ID != id {
		return damaged(err)
	}
	return k, nil
}

// over reports whether a retired key verifies nothing any more.
func (k Key) over(now time.Time, leeway time.Duration) bool {
	return k.State == Retired && !now.Before(k.Retired.Add(MaxLife+leeway))
}

// Rotate returns the keys after one turn: the next key is active, the active
// one retired, a fresh one next; retired keys whose tokens are all over are
// left out. Without an active key, as at first start, one is made.
//
// With revoke no old key verifies any more, the published next one included:
// it lay beside the active one. Every access token is then refused, and
// renewed by its refresh token.
func Rotate(keys []Key, now time.Time, revoke bool) ([]Key, error) {
	now = now.UTC()
	var out []Key
	var next *Key
	for _, k := range keys {
		switch {
		case revoke || k.over(now, DefaultLeeway):
		case k.State == Next && next == nil:
			next = &k
		case k.State == Active:
			k.State, k.Retired = Retired, now
			out = append(out, k)
		default: // retired, or one next key too many
			out = append(out, k)
		}
	}
	if next == nil {
		k, err := NewKey(now)
		if err != nil {
			return nil, err
		}
		next = &k
	}
	next.State, next.Activated = Active, now
	fresh, err := NewKey(now)
	if err != nil {
		return nil, err
	}
	return slices.Concat([]Key{*next, fresh}, out), nil
}
