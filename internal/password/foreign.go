package password

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/scrypt"
)

// The hashes of other systems compare with the password as it was sent, as
// those systems did: they did not normalise it. All of them are outdated.

// The bounds of imported parameters: each at most a few seconds of one CPU.
const (
	maxBcryptCost  = 14
	bcryptBytes    = 72        // bcrypt leaves out the rest of a password
	bcryptMemory   = 8 << 10   // bytes, its state
	maxScryptBytes = 128 << 20 // memory: 128 * N * r
	maxScryptReads = 512 << 20 // bytes: 128 * N * r * p
	maxIterations  = 4_000_000 // OWASP has 600,000 for SHA-256
)

// bcryptHash is a bcrypt hash, $2a$, $2b$ or $2y$. They are one algorithm for
// passwords up to 72 bytes. What comes after does not count in them, so that
// anything could stand there: a longer password is never right.
type bcryptHash struct{ encoded []byte }

func parseBcrypt(encoded string) (hash, error) {
	const size = 60
	c, err := bcrypt.Cost([]byte(encoded))
	switch {
	case err != nil || len(encoded) != size:
		return nil, fmt.Errorf("it must be %d characters of version, cost, salt and hash", size)
	case strings.Trim(encoded[7:], "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") != "":
		return nil, errors.New("salt and hash must be bcrypt's base64")
	case c > maxBcryptCost:
		return nil, fmt.Errorf("its cost is above %d", maxBcryptCost)
	}
	return bcryptHash{[]byte(encoded)}, nil
}

func (b bcryptHash) cost() cost     { return cost{memory: bcryptMemory, cpus: 1} }
func (b bcryptHash) outdated() bool { return true }
func (b bcryptHash) matches(pw string) bool {
	same := bcrypt.CompareHashAndPassword(b.encoded, []byte(pw[:min(len(pw), bcryptBytes)])) == nil
	return same && len(pw) <= bcryptBytes
}

// scryptHash is a scrypt hash (RFC 7914), also Firebase's.
type scryptHash struct {
	n, r, p   int
	salt, sum []byte
	signer    []byte // Firebase's key, which the derived key encrypts; nil: plain scrypt
}

// newScrypt checks the parameters; exponent is the binary logarithm of N.
func newScrypt(exponent, r, p int) (*scryptHash, error) {
	const maxExponent = 20
	if exponent < 1 || exponent > maxExponent || r < 1 || p < 1 || r > maxScryptReads || p > maxScryptReads {
		return nil, fmt.Errorf("the cost N must be 2^1 to 2^%d, r and p at least 1", maxExponent)
	}
	memory := int64(128) * int64(r) << exponent
	if memory > maxScryptBytes || memory*int64(p) > maxScryptReads {
		return nil, fmt.Errorf("128*N*r must be at most %d, and 128*N*r*p at most %d", maxScryptBytes, maxScryptReads)
	}
	return &scryptHash{n: 1 << exponent, r: r, p: p}, nil
}

func parseScrypt(encoded string) (hash, error) {
	parts := strings.Split(encoded, "$")
	if len(parts) != 5 {
		return nil, errors.New("it needs parameters, salt and hash")
	}
	p, err := params(parts[2], "ln", "r", "p")
	if err != nil {
		return nil, err
	}
	s, err := newScrypt(p["ln"], p["r"], p["p"])
	if err != nil {
		return nil, err
	}
	s.salt, s.sum, err = saltAndSum(parts[3], parts[4])
	return s, err
}

// parseFirebase reads Firebase's scrypt as GoTrue writes it:
// $fbscrypt$v=1,n=14,r=8,p=1,ss=SEPARATOR,sk=SIGNERKEY$SALT$HASH, with n the
// logarithm of N, and all but numbers in base64. ss may be left out.
func parseFirebase(encoded string) (hash, error) {
	parts := strings.Split(encoded, "$")
	if len(parts) != 5 {
		return nil, errors.New("it needs parameters, salt and hash")
	}
	numbers, secrets := []string{}, map[string]string{}
	for pair := range strings.SplitSeq(parts[2], ",") {
		if name, value, _ := strings.Cut(pair, "="); name == "ss" || name == "sk" {
			if _, twice := secrets[name]; twice {
				return nil, fmt.Errorf("%s stands twice", name)
			}
			secrets[name] = value
			continue
		}
		numbers = append(numbers, pair)
	}
	p, err := params(strings.Join(numbers, ","), "v", "n", "r", "p")
	if err != nil {
		return nil, err
	}
	if p["v"] != 1 {
		return nil, errors.New("only version 1 is supported")
	}
	s, err := newScrypt(p["n"], p["r"], p["p"])
	if err != nil {
		return nil, err
	}
	salt, err := decode(parts[3])
	if err != nil || len(salt) < 1 || len(salt) > maxSalt {
		return nil, fmt.Errorf("the salt must be 1 to %d bytes in base64", maxSalt)
	}
	separator, err := decode(secrets["ss"])
	if err != nil || len(separator) > maxSalt {
		return nil, fmt.Errorf("ss must be at most %d bytes in base64", maxSalt)
	}
	if s.signer, err = decode(secrets["sk"]); err != nil || len(s.signer) < minSum || len(s.signer) > maxSum {
		return nil, fmt.Errorf("sk must be %d to %d bytes in base64", minSum, maxSum)
	}
	if s.sum, err = decodeSum(parts[4]); err != nil {
		return nil, err
	}
	if len(s.sum) != len(s.signer) {
		return nil, errors.New("the hash must be as long as sk")
	}
	s.salt = append(salt, separator...)
	return s, nil
}

func (s *scryptHash) cost() cost     { return cost{memory: 128 * int64(s.n) * int64(s.r), cpus: 1} }
func (s *scryptHash) outdated() bool { return true }

func (s *scryptHash) matches(pw string) bool {
	size := len(s.sum)
	if s.signer != nil {
		size = 32 // AES-256
	}
	key, err := scrypt.Key([]byte(pw), s.salt, s.n, s.r, s.p, size)
	if err != nil {
		return false // the parameters were checked when it was parsed
	}
	if s.signer == nil {
		return subtle.ConstantTimeCompare(key, s.sum) == 1
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return false
	}
	// github.com/firebase/scrypt: the hash is the signer key, encrypted in
	// counter mode from zero.
	sealed := make([]byte, len(s.signer))
	cipher.NewCTR(block, make([]byte, aes.BlockSize)).XORKeyStream(sealed, s.signer)
	return subtle.ConstantTimeCompare(sealed, s.sum) == 1
}

// pbkdf2Hash is a PBKDF2 hash (RFC 8018) with HMAC of SHA-256 or SHA-512.
type pbkdf2Hash struct {
	sha512     bool
	iterations int
	salt, sum  []byte
}

func newPBKDF2(wide bool, iterations int) (*pbkdf2Hash, error) {
	if iterations < 1 || iterations > maxIterations {
		return nil, fmt.Errorf("its iterations must be 1 to %d", maxIterations)
	}
	return &pbkdf2Hash{sha512: wide, iterations: iterations}, nil
}

// parsePBKDF2 reads $pbkdf2-sha256$i=600000$SALT$HASH, also with the length ",l=32"
// and, as passlib writes it, without "i=".
func parsePBKDF2(encoded string) (hash, error) {
	parts := strings.Split(encoded, "$")
	if len(parts) != 5 {
		return nil, errors.New("it needs parameters, salt and hash")
	}
	names := []string{"i"}
	switch {
	case !strings.Contains(parts[2], "="):
		parts[2] = "i=" + parts[2]
	case strings.Contains(parts[2], "l="):
		names = append(names, "l")
	}
	p, err := params(parts[2], names...)
	if err != nil {
		return nil, err
	}
	h, err := newPBKDF2(parts[1] == "pbkdf2-sha512", p["i"])
	if err != nil {
		return nil, err
	}
	if h.salt, h.sum, err = saltAndSum(parts[3], parts[4]); err != nil {
		return nil, err
	}
	if l, told := p["l"]; told && l != len(h.sum) {
		return nil, errors.New("the hash is not as long as l says")
	}
	return h, h.bounded()
}

// parseDjango reads pbkdf2_sha256$600000$SALT$HASH; the salt is text.
func parseDjango(encoded string) (hash, error) {
	parts := strings.Split(encoded, "$")
	if len(parts) != 4 {
		return nil, errors.New("it needs iterations, salt and hash")
	}
	i, err := number(parts[1])
	if err != nil {
		return nil, fmt.Errorf("the count of iterations %w", err)
	}
	h, err := newPBKDF2(false, i)
	if err != nil {
		return nil, err
	}
	if len(parts[2]) < minSalt || len(parts[2]) > maxSalt {
		return nil, fmt.Errorf("the salt must be %d to %d characters", minSalt, maxSalt)
	}
	h.salt = []byte(parts[2])
	if h.sum, err = decodeSum(parts[3]); err != nil {
		return nil, err
	}
	return h, h.bounded()
}

// bounded refuses a sum of more than one block: it would multiply the work.
func (h *pbkdf2Hash) bounded() error {
	if !h.sha512 && len(h.sum) > sha256.Size {
		return fmt.Errorf("the hash is longer than %d bytes", sha256.Size)
	}
	return nil
}

func (h *pbkdf2Hash) cost() cost     { return cost{cpus: 1} }
func (h *pbkdf2Hash) outdated() bool { return true }

func (h *pbkdf2Hash) matches(pw string) bool {
	digest := sha256.New
	if h.sha512 {
		digest = sha512.New
	}
	key, err := pbkdf2.Key(digest, pw, h.salt, h.iterations, len(h.sum))
	return err == nil && subtle.ConstantTimeCompare(key, h.sum) == 1
}
