package keys

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pandobase/pando/internal/fault"
)

// TagSize is the length of a signature in bytes: HMAC-SHA-256 cut to 128 bits
// (RFC 2104, section 5).
const TagSize = 16

// signingKeySize is the length of a signing key in bytes.
const signingKeySize = 32

// signerDir and signerFile are where the keys lie in the data folder.
const (
	signerDir  = "keys"
	signerFile = "signing"
)

// SignerConfig says where a signer's keys live.
type SignerConfig struct {
	// Dir is the data folder; the keys lie in its folder "keys", which is
	// made when missing.
	Dir string
	// Rand is the source of keys. Default: crypto/rand.
	Rand io.Reader
}

// Signer signs what the node hands out and wants to recognise, such as
// cursors. A signature for one purpose is none for another. It is safe for
// concurrent use.
type Signer struct {
	cfg  SignerConfig
	path string
	mu   sync.Mutex // serialises Rotate and Reload
	keys atomic.Pointer[[]*signingKey]
}

// signingKey keeps keyed hashes ready: making one costs two hash blocks.
type signingKey struct{ macs sync.Pool }

func newSigningKey(key []byte) *signingKey {
	return &signingKey{macs: sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}}
}

// OpenSigner reads the signing keys of a data folder and makes one when there
// is none. A damaged file and one that others can read are a
// [fault.ConfigInvalid].
func OpenSigner(cfg SignerConfig) (*Signer, error) {
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	s := &Signer{cfg: cfg, path: filepath.Join(cfg.Dir, signerDir, signerFile)}
	err := s.Reload()
	if !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	key, err := s.newKey()
	if err != nil {
		return nil, err
	}
	if err := createFile(s.path, encodeKeys([][]byte{key})); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return s, s.Reload() // of two that made one at once, both read the same
}

func (s *Signer) newKey() ([]byte, error) {
	key := make([]byte, signingKeySize)
	if _, err := io.ReadFull(s.cfg.Rand, key); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "no randomness for a signing key")
	}
	return key, nil
}

// encodeKeys writes one key a line, in hexadecimal: the current one, then the
// previous one.
func encodeKeys(keys [][]byte) []byte {
	var out []byte
	for _, key := range keys {
		out = append(hex.AppendEncode(out, key), '\n')
	}
	return out
}

func (s *Signer) read() ([][]byte, error) {
	data, err := ReadPrivate(s.path)
	if err != nil {
		return nil, err
	}
	var keys [][]byte
	for line := range bytes.Lines(data) {
		key, err := hex.AppendDecode(nil, bytes.TrimSpace(line))
		if err != nil || len(key) != signingKeySize {
			keys = nil
			break
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 || len(keys) > 2 {
		return nil, fault.New(fault.ConfigInvalid, "%s is damaged", s.path).
			WithHint("restore it from a backup, or move it away: a new key is made, and cursors handed out before are refused")
	}
	return keys, nil
}

func (s *Signer) use(keys [][]byte) {
	ready := make([]*signingKey, len(keys))
	for i, key := range keys {
		ready[i] = newSigningKey(key)
	}
	s.keys.Store(&ready)
}

// Reload reads the keys again, after another process rotated them. When they
// cannot be read the signer goes on as it was.
func (s *Signer) Reload() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys, err := s.read()
	if err != nil {
		return err
	}
	s.use(keys)
	return nil
}

// Rotate makes a new key the current one. What the key before it signed is
// still recognised; what the one before that signed is not.
func (s *Signer) Rotate() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys, err := s.read()
	if err != nil {
		return err
	}
	key, err := s.newKey()
	if err != nil {
		return err
	}
	keys = [][]byte{key, keys[0]}
	if err := ReplacePrivate(s.path, encodeKeys(keys)); err != nil {
		return err
	}
	s.use(keys)
	return nil
}

// Sign appends the signature of payload to dst, TagSize bytes. The purpose
// names what the payload is and stands in the code, such as "rest.cursor.v1".
func (s *Signer) Sign(dst []byte, purpose string, payload []byte) []byte {
	sum := (*s.keys.Load())[0].sum(purpose, payload)
	return append(dst, sum[:TagSize]...)
}

// Verify reports whether tag is the signature of payload for the purpose, by
// the current or the previous key. It takes the same time wherever tag is
// wrong.
func (s *Signer) Verify(purpose string, payload, tag []byte) bool {
	if len(tag) != TagSize {
		return false
	}
	return slices.ContainsFunc(*s.keys.Load(), func(k *signingKey) bool {
		sum := k.sum(purpose, payload)
		return hmac.Equal(sum[:TagSize], tag)
	})
}

// sum is the whole HMAC of the purpose, after its length, and the payload: no
// two pairs of them are the same input.
func (k *signingKey) sum(purpose string, payload []byte) [sha256.Size]byte {
	mac, ok := k.macs.Get().(hash.Hash)
	if !ok {
		panic("keys: the pool holds hashes only")
	}
	mac.Reset()
	var head [binary.MaxVarintLen64 + 64]byte
	in := binary.AppendUvarint(head[:0], uint64(len(purpose)))
	mac.Write(append(in, purpose...))
	mac.Write(payload)
	var out [sha256.Size]byte
	mac.Sum(out[:0])
	k.macs.Put(mac)
	return out
}
