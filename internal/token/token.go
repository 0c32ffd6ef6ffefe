// Package token signs and verifies access tokens: JSON Web Tokens (RFC 7519)
// in the compact serialisation (RFC 7515, section 7.1), verified as RFC 8725
// recommends.
//
// A token is read with the keys of the [Set] and with nothing else: key
// material or addresses in a token's header (jwk, jku, x5u, x5c) are refused,
// and the algorithm follows from the key, never from the token alone.
//
// The package stores nothing and remembers no token. Whether a session still
// lives is its caller's question.
package token

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/pandobase/pando/internal/fault"
)

// MaxSize bounds a token, in bytes. A longer one is refused unread.
const MaxSize = 16 << 10

// MaxLife is the longest time between iat and exp of a token that Pando
// signed.
const MaxLife = time.Hour

// DefaultLeeway is how far in the future nbf and iat may lie, since clocks
// differ. exp has no leeway.
const DefaultLeeway = 30 * time.Second

// DefaultAudience is who the tokens of signed-in users are for.
const DefaultAudience = "authenticated"

// MinSecret is the least length of an HS256 secret in bytes: that of the hash
// (RFC 7518, section 3.2).
const MinSecret = 32

// JWKSMaxAge is how long the JWKS may be kept by others. A next key is
// published at least that long before it signs, unless keys are rotated faster.
const JWKSMaxAge = 10 * time.Minute

// Options are a set's.
type Options struct {
	// Issuer is the iss of every token. Required.
	Issuer string
	// Audience is the aud that tokens must name. Default: DefaultAudience.
	Audience string
	// HS256 is the secret of tokens that are accepted beside Pando's own, at
	// least MinSecret bytes; nil: none are. Pando signs nothing with it.
	HS256 []byte
	// Leeway of nbf and iat. Default: DefaultLeeway.
	Leeway time.Duration
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// Set signs with its active key and verifies with all of its keys. It is safe
// for concurrent use; a change of keys never blocks nor fails a verification.
type Set struct {
	opt     Options
	current atomic.Pointer[snapshot]
}

// snapshot is one list of keys, ready for use; it never changes.
type snapshot struct {
	keys     map[string]*ready // by kid
	headers  map[string]*ready // by the encoded header that the set itself writes
	signer   jose.Signer       // nil: there is no active key
	activeID string
	jwks     []byte
}

// ready is a key prepared for verification.
type ready struct {
	Key
	until time.Time // when it verifies no longer; zero: it does
}

// NewSet returns a set without keys: it verifies HS256 tokens only, if at all,
// until [Set.Use]. A short HS256 secret is a [fault.ConfigInvalid].
func NewSet(opt Options) (*Set, error) {
	if opt.Audience == "" {
		opt.Audience = DefaultAudience
	}
	if opt.Leeway == 0 {
		opt.Leeway = DefaultLeeway
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	opt.HS256 = slices.Clone(opt.HS256)
	switch {
	case opt.Issuer == "":
		return nil, fault.New(fault.ConfigInvalid, "access tokens need an issuer")
	case opt.HS256 != nil && len(opt.HS256) < MinSecret:
		return nil, fault.New(fault.ConfigInvalid, "the secret of HS256 tokens has %d bytes", len(opt.HS256)).
			WithHint("auth.jwt_secret needs at least %d random bytes", MinSecret)
	}
	s := &Set{opt: opt}
	return s, s.Use(nil)
}

// Use puts keys in the place of those in use, all at once. Two active keys, or
// two with the same id, are a [fault.ConfigInvalid]; the set then goes on as it
// was.
func (s *Set) Use(keys []Key) error {
	next := &snapshot{keys: map[string]*ready{}, headers: map[string]*ready{}}
	doc := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, k := range keys {
		if k.over(s.opt.Now(), s.opt.Leeway) {
			continue
		}
		if next.keys[k.ID] != nil {
			return fault.New(fault.ConfigInvalid, "two signing keys have the id %s", k.ID)
		}
		signer, header, err := k.signer()
		if err != nil {
			return err
		}
		r := &ready{Key: k}
		switch k.State {
		case Next:
		case Active:
			if next.signer != nil {
				return fault.New(fault.ConfigInvalid, "two signing keys are active: %s and %s", next.activeID, k.ID)
			}
			next.signer, next.activeID = signer, k.ID
		case Retired:
			r.until = k.Retired.Add(MaxLife + s.opt.Leeway)
		default:
			return fault.New(fault.ConfigInvalid, "signing key %s has the unknown state %q", k.ID, k.State)
		}
		next.keys[k.ID], next.headers[header] = r, r
		doc.Keys = append(doc.Keys, k.jwk())
	}
	var err error
	if next.jwks, err = json.Marshal(doc); err != nil {
		return fault.Wrap(err, fault.Internal, "the signing keys cannot be published")
	}
	s.current.Store(next)
	return nil
}

// signer returns what signs with the key, and the encoded header that it
// writes.
func (k Key) signer() (jose.Signer, string, error) {
	opts := (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", k.ID)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: k.private}, opts)
	if err != nil {
		return nil, "", fault.Wrap(err, fault.Internal, "signing key %s is not usable", k.ID)
	}
	probe, err := sign(signer, []byte("{}"))
	if err != nil {
		return nil, "", err
	}
	header, _, _ := strings.Cut(probe, ".")
	return signer, header, nil
}

func sign(signer jose.Signer, payload []byte) (string, error) {
	jws, err := signer.Sign(payload)
	if err != nil {
		return "", fault.Wrap(err, fault.Internal, "a token cannot be signed")
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		return "", fault.Wrap(err, fault.Internal, "a token cannot be written")
	}
	return text, nil
}

// JWKS returns the published keys (RFC 7517): next, active, and retired ones
// that still verify. It may be cached for [JWKSMaxAge]. The caller does not
// change it.
func (s *Set) JWKS() []byte { return s.current.Load().jwks }

// ActiveID is the kid of the key that signs; empty: there is none.
func (s *Set) ActiveID() string { return s.current.Load().activeID }

// Knows reports whether a key with the kid is in the set, so that a caller can
// look for one that another node made.
func (s *Set) Knows(kid string) bool { return s.current.Load().keys[kid] != nil }

// Sign returns a token of the claims, signed by the active key. iss is the
// set's; aud and iat are the set's audience and now where claims name none. A
// missing exp, and one more than MaxLife after iat, are faults of the caller:
// [fault.Internal]. claims is not changed.
func (s *Set) Sign(claims map[string]any) (string, error) {
	now := s.opt.Now()
	all := make(map[string]any, len(claims)+3)
	all["aud"], all["iat"] = s.opt.Audience, now.Unix()
	maps.Copy(all, claims)
	all["iss"] = s.opt.Issuer
	payload, err := json.Marshal(all)
	if err != nil {
		return "", fault.Wrap(err, fault.Internal, "a token's claims cannot be written")
	}
	var times struct {
		Exp *float64 `json:"exp"`
		Iat float64  `json:"iat"`
	}
	err = json.Unmarshal(payload, &times)
	if err != nil || times.Exp == nil || *times.Exp-times.Iat > MaxLife.Seconds() {
		return "", fault.Wrap(err, fault.Internal, "a token is not signed without an end within %s", MaxLife)
	}
	snap := s.current.Load()
	if snap.signer == nil {
		return "", fault.New(fault.Internal, "there is no active signing key")
	}
	text, err := sign(snap.signer, payload)
	if err == nil && len(text) > MaxSize {
		return "", fault.New(fault.AuthValidation, "the access token would have %d bytes", len(text)).
			WithHint("app_metadata and user_metadata stand in every token: keep them small (a token has at most %d bytes)", MaxSize)
	}
	return text, err
}
