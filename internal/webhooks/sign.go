package webhooks

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pandobase/pando/internal/fault"
)

// The headers of a webhook (Standard Webhooks 1.0).
const (
	HeaderID        = "Webhook-Id"
	HeaderTimestamp = "Webhook-Timestamp"
	HeaderSignature = "Webhook-Signature"
)

// Tolerance is how far a webhook's time may be from now.
const Tolerance = 5 * time.Minute

// The bounds of keys and ids, in bytes.
const (
	MinKey = 16
	MaxKey = 512
	MaxID  = 256
)

// maxKeys bounds the keys of one secret, and maxSignatures those of a header.
const (
	maxKeys       = 8
	maxSignatures = 16
)

// key signs or verifies with one of the standard's schemes.
type key struct {
	shared  []byte             // v1: HMAC-SHA256
	private ed25519.PrivateKey // v1a
	public  ed25519.PublicKey
}

// parseKeys reads a secret: keys with spaces between them, the current one first.
// A key is whsec_ and base64, or as it stands, for v1; whsk_ (private) or whpk_
// (public) and base64 for v1a. A secret without a key, or with one that is too
// short or not read, is an error: nobody signs with an empty key.
func parseKeys(secret string) ([]key, error) {
	fields := strings.Fields(secret)
	if len(fields) == 0 {
		return nil, errors.New("the secret is empty")
	}
	if len(fields) > maxKeys {
		return nil, fmt.Errorf("the secret has more than %d keys", maxKeys)
	}
	keys := make([]key, 0, len(fields))
	for i, text := range fields {
		k, err := parseKey(text)
		if err != nil {
			return nil, fmt.Errorf("key %d of the secret %w", i+1, err)
		}
		keys = append(keys, k)
	}
	return keys, nil
}

func parseKey(text string) (key, error) {
	prefix, encoded, _ := strings.Cut(text, "_")
	switch prefix {
	case "whsec", "whsk", "whpk":
	default:
		if len(text) < MinKey || len(text) > MaxKey {
			return key{}, fmt.Errorf("has not %d to %d bytes", MinKey, MaxKey)
		}
		return key{shared: []byte(text)}, nil
	}
	data, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		if data, err = base64.RawStdEncoding.DecodeString(encoded); err != nil {
			return key{}, fmt.Errorf("is not base64 behind %s_", prefix)
		}
	}
	switch {
	case prefix == "whsec" && (len(data) < MinKey || len(data) > MaxKey):
		return key{}, fmt.Errorf("has not %d to %d bytes", MinKey, MaxKey)
	case prefix == "whsec":
		return key{shared: data}, nil
	case prefix == "whsk" && len(data) == ed25519.SeedSize:
		private := ed25519.NewKeyFromSeed(data)
		return key{private: private, public: private.Public().(ed25519.PublicKey)}, nil //nolint:forcetypeassert // crypto/ed25519 says so
	case prefix == "whsk" && len(data) == ed25519.PrivateKeySize:
		private := ed25519.PrivateKey(data)
		return key{private: private, public: private.Public().(ed25519.PublicKey)}, nil //nolint:forcetypeassert // crypto/ed25519 says so
	case prefix == "whpk" && len(data) == ed25519.PublicKeySize:
		return key{public: data}, nil
	}
	return key{}, errors.New("has the wrong length for Ed25519")
}

// Sign returns the value of the header Webhook-Signature: one signature for each
// key of the secret, so that receivers can go from one key to the next. An error
// says what is wrong with the secret or the id and shows neither key.
func Sign(secret, id string, at time.Time, body []byte) (string, error) {
	keys, err := parseKeys(secret)
	if err != nil {
		return "", err
	}
	if !validID(id) {
		return "", errors.New("the id is not valid")
	}
	message := signed(id, strconv.FormatInt(at.Unix(), 10), body)
	out := make([]string, 0, len(keys))
	for i, k := range keys {
		switch {
		case k.shared != nil:
			out = append(out, "v1,"+base64.StdEncoding.EncodeToString(k.mac(message)))
		case k.private != nil:
			out = append(out, "v1a,"+base64.StdEncoding.EncodeToString(ed25519.Sign(k.private, message)))
		default:
			return "", fmt.Errorf("key %d of the secret is public: it signs nothing", i+1)
		}
	}
	return strings.Join(out, " "), nil
}

// validID: visible ASCII without a full stop. The standard's signature covers
// id.timestamp.body; with a stop in the id, a part of it could be read as another.
func validID(id string) bool {
	if id == "" || len(id) > MaxID {
		return false
	}
	for i := range len(id) {
		if c := id[i]; c <= ' ' || c > '~' || c == '.' {
			return false
		}
	}
	return true
}

func signed(id, timestamp string, body []byte) []byte {
	out := make([]byte, 0, len(id)+len(timestamp)+2+len(body))
	out = append(append(append(append(out, id...), '.'), timestamp...), '.')
	return append(out, body...)
}

func (k key) mac(message []byte) []byte {
	h := hmac.New(sha256.New, k.shared)
	h.Write(message) // never fails
	return h.Sum(nil)
}

// Verified is what a webhook's headers say, once its signature is known to be right.
type Verified struct {
	ID string
	At time.Time
}

// Verify checks an incoming webhook by its raw body: that one of its signatures
// is of one of the secret's keys, and that it is not from another time
// ([Tolerance]). It is for the caller to take each id once. What is wrong is a
// [fault.InvalidSignature] that says nothing of it but in its cause; a secret
// without keys lets nothing through. Its time does not depend on how much of a
// signature is right.
func Verify(secret string, h http.Header, body []byte, now time.Time) (Verified, error) {
	v, err := verify(secret, h, body, now)
	if err != nil {
		return Verified{}, fault.Wrap(err, fault.InvalidSignature, "the signature is not valid").
			WithHint("sign it as Standard Webhooks 1.0 says, with the current secret and time")
	}
	return v, nil
}

func verify(secret string, h http.Header, body []byte, now time.Time) (Verified, error) {
	keys, err := parseKeys(secret)
	if err != nil {
		return Verified{}, err
	}
	id, ok1 := single(h, HeaderID)
	timestamp, ok2 := single(h, HeaderTimestamp)
	header, ok3 := single(h, HeaderSignature)
	if !ok1 || !ok2 || !ok3 {
		return Verified{}, errors.New("a header is missing, or there twice")
	}
	if !validID(id) {
		return Verified{}, errors.New("the id is not valid")
	}
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || timestamp[0] < '0' || timestamp[0] > '9' || len(timestamp) > 12 {
		return Verified{}, errors.New("the timestamp is not valid")
	}
	at := time.Unix(seconds, 0)
	if d := now.Sub(at); d > Tolerance || d < -Tolerance {
		return Verified{}, errors.New("the timestamp is too far from now")
	}
	signatures := strings.Split(header, " ")
	if len(signatures) > maxSignatures {
		return Verified{}, errors.New("there are too many signatures")
	}
	message := signed(id, timestamp, body)
	macs := make([][]byte, len(keys))
	found := 0
	for _, s := range signatures {
		scheme, encoded, _ := strings.Cut(s, ",")
		got, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			continue
		}
		for i, k := range keys {
			switch {
			case scheme == "v1" && k.shared != nil:
				if macs[i] == nil {
					macs[i] = k.mac(message)
				}
				found |= subtle.ConstantTimeCompare(got, macs[i])
			case scheme == "v1a" && k.public != nil && len(got) == ed25519.SignatureSize && ed25519.Verify(k.public, message, got):
				found = 1
			}
		}
	}
	if found == 0 {
		return Verified{}, errors.New("no signature is of one of the keys")
	}
	return Verified{ID: id, At: at}, nil
}

// single is the one value of a header.
func single(h http.Header, name string) (string, bool) {
	v := h[name]
	if len(v) != 1 || v[0] == "" {
		return "", false
	}
	return v[0], true
}
