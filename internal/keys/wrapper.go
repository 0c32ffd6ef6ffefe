package keys

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/pandobase/pando/internal/fault"
)

// wrapperFile is where the master key lies, beside the signing keys.
const wrapperFile = "master"

// masterSize is the length of a master key in bytes: AES-256.
const masterSize = 32

// wrapVersion is the first byte of what Wrap writes.
const wrapVersion = 1

// MaxWrapped bounds what is wrapped, in bytes: keys and secrets, not documents.
const MaxWrapped = 64 << 10

// Wrapper encrypts the keys and secrets that lie in the database, so that a
// copy of it opens none of them. It uses AES-256-GCM (NIST SP 800-38D) with a
// random nonce of 96 bits; below 2^32 wrappings the chance that one repeats
// is under 2^-32. It is safe for concurrent use.
type Wrapper struct{ aead cipher.AEAD }

// OpenWrapper reads the master key of a data folder, keys/master with mode
// 0600, and makes one when there is none. A damaged file and one that others
// can read are a [fault.ConfigInvalid].
func OpenWrapper(dir string) (*Wrapper, error) {
	path := filepath.Join(dir, signerDir, wrapperFile)
	key, err := readMaster(path)
	if errors.Is(err, fs.ErrNotExist) {
		fresh := make([]byte, masterSize)
		_, _ = rand.Read(fresh) // never fails: the process ends instead
		err = createFile(path, append(hex.AppendEncode(nil, fresh), '\n'))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		key, err = readMaster(path) // of two that made one at once, both read the same
	}
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the master key is not usable")
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the master key is not usable")
	}
	return &Wrapper{aead}, nil
}

func readMaster(path string) ([]byte, error) {
	data, err := ReadPrivate(path)
	if err != nil {
		return nil, err
	}
	key, err := hex.AppendDecode(nil, bytes.TrimSpace(data))
	if err != nil || len(key) != masterSize {
		return nil, fault.New(fault.ConfigInvalid, "%s is damaged", path).
			WithHint("restore it from a backup: without it nobody reads the signing keys, second factors and personal values of the audit trail in the database")
	}
	return key, nil
}

// Wrap encrypts plain, at most MaxWrapped bytes. The context names what it is
// and whose, such as "auth.signing_keys/ID": only the same context opens it, so
// that nobody exchanges two wrapped values.
func (w *Wrapper) Wrap(plain, context []byte) ([]byte, error) {
	if len(plain) > MaxWrapped {
		return nil, fault.New(fault.Internal, "%d bytes are too many to be wrapped", len(plain))
	}
	out := make([]byte, 1, 1+len(plain)+w.aead.Overhead())
	out[0] = wrapVersion
	return w.aead.Seal(out, nil, plain, additional(context)), nil
}

// Unwrap decrypts what Wrap wrote with the same context. Anything else is a
// [fault.ConfigInvalid] that shows nothing of it.
func (w *Wrapper) Unwrap(wrapped, context []byte) ([]byte, error) {
	if len(wrapped) > 0 && wrapped[0] == wrapVersion {
		if plain, err := w.aead.Open(nil, nil, wrapped[1:], additional(context)); err == nil {
			return plain, nil
		}
	}
	return nil, fault.New(fault.ConfigInvalid, "a secret in the database cannot be opened").
		WithDetails("%s", context).
		WithHint("it was changed, or data/keys/master is not the key that it was wrapped with: restore both from one backup")
}

// additional binds the version beside the context.
func additional(context []byte) []byte { return append([]byte{wrapVersion}, context...) }
