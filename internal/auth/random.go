package auth

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/pandobase/pando/internal/value"
)

// tokenSize is the randomness of a token in bytes.
const tokenSize = 32

// codeDigits is the length of a code that people type.
const codeDigits = 6

// newID is the id of a new row.
func (a *Auth) newID() string { return value.NewUUID(a.now(), a.cfg.Random) }

// newToken is a secret of 256 bits as 43 characters that a URL can carry.
func (a *Auth) newToken() string { return base64.RawURLEncoding.EncodeToString(a.random(tokenSize)) }

// newCode is a number of six digits, each as likely as any other.
func (a *Auth) newCode() string {
	const space = 1_000_000
	for {
		// What lies above the last whole multiple of space would favour small numbers.
		if n := binary.BigEndian.Uint32(a.random(4)); n < 1<<32-1<<32%space {
			return fmt.Sprintf("%0*d", codeDigits, n%space)
		}
	}
}

// random panics without randomness: a secret that can be guessed is worse.
func (a *Auth) random(n int) []byte {
	b := make([]byte, n)
	if _, err := io.ReadFull(a.cfg.Random, b); err != nil {
		panic(fmt.Sprintf("auth: no randomness: %v", err))
	}
	return b
}

// hash is what is stored of a token: tokens are random, so that SHA-256 alone
// hides them.
func hash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}
