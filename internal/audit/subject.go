package audit

import (
	"crypto/aes"
	"crypto/cipher"
	"io"
	"sync"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

const (
	keySize     = 32   // AES-256
	maxSubjects = 4096 // opened keys that are kept: 1 KiB each
)

// dataKey is the opened key of one subject.
type dataKey struct{ aead cipher.AEAD }

func newDataKey(plain []byte) (*dataKey, error) {
	block, err := aes.NewCipher(plain)
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "an internal error occurred")
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "an internal error occurred")
	}
	return &dataKey{aead}, nil
}

// seal appends nonce and ciphertext. Nonces are random: one key is good for
// 2^32 records (NIST SP 800-38D, section 8.3).
func (k *dataKey) seal(dst, plain, additional []byte, random io.Reader) ([]byte, error) {
	var nonce [12]byte
	if _, err := io.ReadFull(random, nonce[:]); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "no randomness for the audit trail")
	}
	dst = append(dst, nonce[:]...)
	return k.aead.Seal(dst, nonce[:], plain, additional), nil
}

func (k *dataKey) open(sealed, additional []byte) ([]byte, bool) {
	const nonce = 12
	if len(sealed) < nonce {
		return nil, false
	}
	plain, err := k.aead.Open(nil, sealed[:nonce], sealed[nonce:], additional)
	return plain, err == nil
}

// subjects are the opened data keys. A key that was made or found within a
// commit is one of the store's only when that has succeeded.
type subjects struct {
	mu      sync.Mutex
	known   map[string]*dataKey
	pending map[string]*dataKey // used in the running commit; its goroutine's alone
}

func (s *subjects) init() { s.known, s.pending = map[string]*dataKey{}, map[string]*dataKey{} }

func (s *subjects) get(subject string) *dataKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known[subject]
}

// begin begins a commit. Where a key was erased since the last one, perhaps by
// another node, none counts as known: what is hidden with an erased key is lost.
func (s *subjects) begin(erased bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if erased {
		clear(s.known)
	}
	clear(s.pending)
}

func (s *subjects) forget(subject string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.known, subject)
	delete(s.pending, subject)
}

func (s *subjects) ended(committed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if committed {
		for subject, k := range s.pending {
			s.keep(subject, k)
		}
	}
	clear(s.pending)
}

// keep remembers a key. Which one makes room is left to chance.
func (s *subjects) keep(subject string, k *dataKey) {
	for old := range s.known {
		if len(s.known) < maxSubjects {
			break
		}
		delete(s.known, old)
	}
	s.known[subject] = k
}

func wrapContext(subject string) []byte { return []byte("pando.audit.subject.v1:" + subject) }

// dataKey returns the key of a subject within a commit, and makes one where there
// is none. No other commit is on its way, so that two nodes never make two.
func (l *Log) dataKey(tx store.Tx, subject string) (*dataKey, error) {
	s := &l.subjects
	if k := s.get(subject); k != nil {
		return k, nil
	}
	if k := s.pending[subject]; k != nil {
		return k, nil
	}
	k, err := l.readKey(tx, subject)
	if err == nil && k == nil {
		k, err = l.makeKey(tx, subject)
	}
	if err == nil && len(s.pending) < maxSubjects {
		s.pending[subject] = k
	}
	return k, err
}

// readKey returns the key that the store has; nil: it has none.
func (l *Log) readKey(r store.Reader, subject string) (*dataKey, error) {
	var wrapped []byte
	err := r.Query(l.st.subject, []value.Value{value.OfText(subject)}, func(row store.Row) error {
		wrapped = row.Append(nil, 0)
		return nil
	})
	if err != nil || wrapped == nil {
		return nil, err
	}
	plain, err := l.cfg.Wrapper.Unwrap(wrapped, wrapContext(subject))
	if err != nil {
		return nil, fault.Wrap(err, fault.StoreIO, "the audit trail's key of a user cannot be opened").
			WithHint("the key in data/keys is not the one that the store was written with: restore it from a backup")
	}
	return newDataKey(plain)
}

func (l *Log) makeKey(tx store.Tx, subject string) (*dataKey, error) {
	plain := make([]byte, keySize)
	if _, err := io.ReadFull(l.cfg.Random, plain); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "no randomness for the audit trail")
	}
	wrapped, err := l.cfg.Wrapper.Wrap(plain, wrapContext(subject))
	if err != nil {
		return nil, err
	}
	if _, err := tx.Exec(l.st.insertSubject, []value.Value{value.OfText(subject), value.OfBytes(string(wrapped))}); err != nil {
		return nil, err
	}
	return newDataKey(plain)
}
