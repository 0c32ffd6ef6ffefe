package secrets

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/pandobase/pando/internal/fault"
)

// version is that of the file's form.
const version = 1

// document is the file.
type document struct {
	Version int               `json:"version"`
	Secrets map[string]sealed `json:"secrets"`
}

// sealed is a secret at rest: its key, wrapped by the data folder's master key,
// and its value, encrypted under that (AES-256-GCM, a random nonce first). Both
// are bound to the secret's name.
type sealed struct {
	Key   []byte    `json:"key"`
	Value []byte    `json:"value"`
	At    time.Time `json:"at"`
}

const keySize = 32 // AES-256

func encode(list map[string]sealed) []byte {
	data, err := json.MarshalIndent(document{version, list}, "", "  ")
	if err != nil {
		panic(err) // bytes, texts and times of this process cannot fail to encode
	}
	return append(data, '\n')
}

func decode(data []byte) (map[string]sealed, error) {
	var doc document
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&doc); err != nil {
		return nil, err
	}
	if doc.Version != version {
		return nil, fmt.Errorf("its version is %d, not %d", doc.Version, version)
	}
	if d.More() {
		return nil, errors.New("something follows its end")
	}
	for name := range doc.Secrets {
		if !validName(name) {
			return nil, errors.New("a name in it is none")
		}
	}
	if doc.Secrets == nil {
		doc.Secrets = map[string]sealed{}
	}
	return doc.Secrets, nil
}

// context names a secret in its associated data.
func context(name string) []byte { return []byte("secrets/" + name) }

func (s *Store) seal(name, value string) (sealed, error) {
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // never fails: the process ends instead
	wrapped, err := s.wrapper.Wrap(key, context(name))
	if err != nil {
		return sealed{}, err
	}
	aead, err := newAEAD(key)
	if err != nil {
		return sealed{}, err
	}
	return sealed{Key: wrapped, Value: aead.Seal(nil, nil, []byte(value), context(name)), At: s.now().UTC().Truncate(time.Second)}, nil
}

func (s *Store) open(name string, box sealed) (string, error) {
	key, err := s.wrapper.Unwrap(box.Key, context(name))
	if err == nil {
		var aead cipher.AEAD
		if aead, err = newAEAD(key); err == nil {
			var plain []byte
			if plain, err = aead.Open(nil, nil, box.Value, context(name)); err == nil {
				return string(plain), nil
			}
		}
	}
	return "", fault.Wrap(err, fault.ConfigInvalid, "%s: the secret %s cannot be opened", s.path, name).
		WithHint("it was changed, or keys/master is not the key that it was wrapped with: restore both from one backup, or delete the entry and set it again")
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "a secret's key is not usable")
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "a secret's key is not usable")
	}
	return aead, nil
}
