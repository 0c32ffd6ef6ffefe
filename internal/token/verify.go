package token

import (
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"
)

// Claims are those of a token that was verified.
type Claims struct {
	Subject  string // sub: a lower-case UUID where Role is "authenticated"
	Role     string
	Session  string // session_id
	AAL      string
	Email    string
	IssuedAt time.Time // zero: an HS256 token without iat
	Expires  time.Time
	// Foreign tells an HS256 token: its session is none of Pando's.
	Foreign bool
	// Raw are all claims: objects as map[string]any, arrays as []any, numbers
	// as int64 where they are whole and fit, else as float64.
	Raw map[string]any
}

// userRole is the role of tokens whose subject is a user.
const userRole = "authenticated"

// Verify returns the claims of a token that the set accepts: signed with
// ES256 by one of its keys, or with HS256 and the configured secret; for the
// issuer and the audience; and valid now. Every refusal is an [*Error].
//
// A token over MaxSize costs nothing; no other one is parsed before its form
// and header are checked, and no claim is read before the signature.
func (s *Set) Verify(text string) (Claims, error) {
	if len(text) > MaxSize {
		return Claims{}, refuse(Malformed, "the token is too long")
	}
	header, rest, _ := strings.Cut(text, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	if !isBase64(header) || !isBase64(payload) || !isBase64(signature) { // a fourth part has its dot in signature
		return Claims{}, refuse(Malformed, "the token is not three parts of base64url")
	}
	snap := s.current.Load()
	key, err := s.key(snap, header)
	if err != nil {
		return Claims{}, err
	}
	now := s.opt.Now()
	if key != nil && !key.until.IsZero() && !now.Before(key.until) {
		return Claims{}, refuse(UnknownKey, "the token's key is no longer valid")
	}
	body, err := s.check(text, key)
	if err != nil {
		return Claims{}, err
	}
	raw, err := decodeObject(body)
	if err != nil {
		return Claims{}, refuse(BadClaims, "the token's claims are not one JSON object without duplicates")
	}
	return s.claims(raw, now, key == nil)
}

// isBase64 reports whether a part is base64url without padding, in the one
// form that encodes its bytes: two texts are never the same token.
func isBase64(part string) bool {
	if part == "" || strings.ContainsAny(part, "\r\n") { // which the decoder skips
		return false
	}
	var buf [MaxSize * 3 / 4]byte
	_, err := base64.RawURLEncoding.Strict().Decode(buf[:], []byte(part))
	return err == nil
}

// key returns the key that the header names, and nil for an HS256 token.
func (s *Set) key(snap *snapshot, encoded string) (*ready, error) {
	if k := snap.headers[encoded]; k != nil { // as the set writes it
		return k, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return nil, refuse(Malformed, "the token's header is not base64url")
	}
	header, err := decodeObject(text)
	if err != nil {
		return nil, refuse(Malformed, "the token's header is not one JSON object without duplicates")
	}
	for name, v := range header {
		switch name {
		case "alg":
		case "kid":
			if _, ok := v.(string); !ok {
				return nil, refuse(Malformed, "the token's kid is not a text")
			}
		case "typ": // RFC 8725, section 3.11: a token of another kind is none of ours
			if typ, ok := v.(string); !ok || !strings.EqualFold(typ, "JWT") {
				return nil, refuse(Malformed, "the token is of another type than JWT")
			}
		default:
			// Key material, extensions that must be understood (RFC 7515,
			// sections 4.1.2 to 4.1.8 and 4.1.11), and what nobody needs.
			return nil, refuse(Malformed, "the token's header has a member that is not accepted")
		}
	}
	kid, hasKid := header["kid"].(string)
	ours := snap.keys[kid]
	switch alg := header["alg"]; {
	case alg == Algorithm && ours != nil:
		return ours, nil
	case alg == Algorithm:
		return nil, refuse(UnknownKey, "the token's key is not known")
	case alg == string(jose.HS256) && s.opt.HS256 != nil && (!hasKid || ours == nil):
		return nil, nil //nolint:nilnil // nil stands for the configured secret
	}
	return nil, refuse(BadAlgorithm, "the token's algorithm is not allowed")
}

// check returns the payload if the signature is the key's, or the secret's
// when key is nil.
func (s *Set) check(text string, key *ready) ([]byte, error) {
	algorithm, with := jose.HS256, any(s.opt.HS256)
	if key != nil {
		algorithm, with = jose.ES256, &key.private.PublicKey
	}
	jws, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{algorithm})
	if err != nil {
		return nil, refuse(Malformed, "the token is not a signed JWT")
	}
	body, err := jws.Verify(with)
	if err != nil {
		return nil, refuse(Signature, "the token's signature is not valid")
	}
	return body, nil
}

// claims checks the claims of a token whose signature is good (RFC 7519,
// section 4.1).
func (s *Set) claims(raw map[string]any, now time.Time, foreign bool) (Claims, error) {
	c := Claims{Foreign: foreign, Raw: raw}
	for name, field := range map[string]*string{
		"sub": &c.Subject, "role": &c.Role, "session_id": &c.Session, "aal": &c.AAL, "email": &c.Email,
	} {
		var ok bool
		if v := raw[name]; v == nil {
			continue
		} else if *field, ok = v.(string); !ok {
			return Claims{}, refuse(BadClaims, "the token's "+name+" is not a text")
		}
	}
	if iss, ok := raw["iss"].(string); !ok || iss != s.opt.Issuer {
		return Claims{}, refuse(Issuer, "the token is of another issuer")
	}
	if !names(raw["aud"], s.opt.Audience) {
		return Claims{}, refuse(Audience, "the token is for another audience")
	}
	if err := s.times(&c, now); err != nil {
		return Claims{}, err
	}
	if c.Role == userRole || c.Role == "" {
		if id, err := uuid.Parse(c.Subject); err != nil || id.String() != c.Subject {
			return Claims{}, refuse(BadClaims, "the token's sub is not a user's id")
		}
	}
	return c, nil
}

// names reports whether aud, a text or a list of them, has the audience.
func names(aud any, audience string) bool {
	switch aud := aud.(type) {
	case string:
		return aud == audience
	case []any:
		return slices.Contains(aud, any(audience))
	}
	return false
}

func (s *Set) times(c *Claims, now time.Time) error {
	exp, hasExp, err := date(c.Raw, "exp")
	if err != nil {
		return err
	}
	iat, hasIat, err := date(c.Raw, "iat")
	if err != nil {
		return err
	}
	nbf, hasNbf, err := date(c.Raw, "nbf")
	if err != nil {
		return err
	}
	soon := now.Add(s.opt.Leeway)
	switch {
	case !hasExp:
		return refuse(BadClaims, "the token has no exp")
	case !hasIat && !c.Foreign:
		return refuse(BadClaims, "the token has no iat")
	case !c.Foreign && exp.Sub(iat) > MaxLife:
		return refuse(BadClaims, "the token lives too long")
	case hasNbf && soon.Before(nbf), hasIat && soon.Before(iat):
		return refuse(NotYet, "the token is not valid yet")
	case !now.Before(exp):
		return refuse(Expired, "the token has expired")
	}
	c.Expires, c.IssuedAt = exp, iat
	return nil
}

// maxDate is the last NumericDate that is read, in the year 9999.
const maxDate = 253402300799

// date reads a NumericDate (RFC 7519, section 2): seconds since 1970, perhaps
// with a fraction, which is dropped.
func date(raw map[string]any, name string) (at time.Time, ok bool, err error) {
	var seconds int64
	switch v := raw[name].(type) {
	case nil:
		if _, there := raw[name]; there {
			return time.Time{}, false, refuse(BadClaims, "the token's "+name+" is null")
		}
		return time.Time{}, false, nil
	case int64:
		seconds = v
	case float64:
		if v < 0 || v > maxDate {
			return time.Time{}, false, refuse(BadClaims, "the token's "+name+" is not a date")
		}
		seconds = int64(v)
	default:
		return time.Time{}, false, refuse(BadClaims, "the token's "+name+" is not a number")
	}
	if seconds < 0 || seconds > maxDate {
		return time.Time{}, false, refuse(BadClaims, "the token's "+name+" is not a date")
	}
	return time.Unix(seconds, 0).UTC(), true, nil
}
