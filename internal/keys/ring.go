// Package keys holds what a node signs and admits with: the API keys of its
// callers ([Ring]), the node's own signing key ([Signer]) and the master key of
// the secrets in the database ([Wrapper]).
//
// Files are made with mode 0600 and refused when others could read them; they
// are replaced as a whole, so that a crash leaves the old or the new one. The
// package assumes one writing process at a time (the data folder's lock).
package keys

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pandobase/pando/internal/fault"
)

// Kind is what an API key lets its holder be.
type Kind string

// The kinds.
const (
	Publishable Kind = "publishable" // may be in an app's source: the anonymous caller
	Secret      Kind = "secret"      // the application itself, or a machine with roles
)

// prefix is what a key of the kind begins with, so that people and secret
// scanners recognise it. Kinds are told by lookup, never by prefix.
func (k Kind) prefix() string {
	if k == Secret {
		return "pando_sec_"
	}
	return "pando_pub_"
}

// The environment's names of the first pair.
const (
	EnvPublishable = "PANDO_PUBLISHABLE_KEY"
	EnvSecret      = "PANDO_SECRET_KEY"
)

// The bounds of a key's length in bytes. 24 is the least that the environment
// may give: shorter ones could be guessed.
const (
	minKey = 24
	maxKey = 512
)

// ringFile is the ring's file in the data folder.
const ringFile = "keys.json"

// Key is what may be told of an API key. Its lists are shared: nobody changes
// them.
type Key struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
	Kind Kind   `json:"kind"`
	// Roles are those of the application that a secret key's holder has. With
	// any, the holder is a machine whom the policies bind like everybody;
	// without, a secret key bypasses them.
	Roles []string `json:"roles,omitempty"`
	// Modules are those that the key opens; none: all of them.
	Modules []string  `json:"modules,omitempty"`
	Created time.Time `json:"created_at,omitzero"`
	// Expires is when the key stops being accepted; zero: never. A rotated
	// key has one.
	Expires time.Time `json:"expires_at,omitzero"`
	// First tells the pair that `pando keys` shows; Env, that it comes from
	// the environment and cannot be changed here.
	First bool `json:"first,omitempty"`
	Env   bool `json:"env,omitempty"`
}

// RingConfig says where a ring lives.
type RingConfig struct {
	// Dir is the data folder; it is made when missing.
	Dir string
	// Getenv looks the first pair up. Default: os.Getenv.
	Getenv func(string) string
	// Rand is the source of keys. Default: crypto/rand.
	Rand io.Reader
	// Now is the clock of Created and Expires. Default: time.Now.
	Now func() time.Time
}

// IsService reports whether the key's holder bypasses the policies.
func (k *Key) IsService() bool { return k.Kind == Secret && len(k.Roles) == 0 }

// Ring is the set of a node's API keys. Find and Lookup are safe for concurrent
// use with everything else, take no lock and allocate nothing.
type Ring struct {
	cfg  RingConfig
	path string
	env  []record // the keys that the environment gives

	mu      sync.Mutex // serialises the writers of the file and of current
	current atomic.Pointer[ringState]
}

// record is a key as the file has it. Text is kept for the first pair only,
// which must be shown again; of every other key the hash alone is stored.
type record struct {
	Key
	// Life is how long the key lives, so that a rotation gives its follower as
	// long; 0: for ever.
	Life time.Duration `json:"life,omitempty"`
	Text string        `json:"key,omitempty"`
	Hash []byte        `json:"sha256,omitempty"`
}

// document is the file.
type document struct {
	Version int      `json:"version"`
	Keys    []record `json:"keys"`
}

const documentVersion = 1

// ringState is one reading of the file, ready for lookups; it never changes.
type ringState struct {
	doc    document
	byHash map[uint64]*entry
	first  map[Kind]record
}

// entry is one key that is accepted.
type entry struct {
	hash [sha256.Size]byte
	key  Key
	next *entry // with the same first 8 bytes of the hash
}

// OpenRing reads the ring of a data folder. What the folder lacks of the first
// pair is made, unless the environment gives it; a key in the environment
// takes the place of the one in the file, which is then not accepted.
//
// A damaged file, one that others can read, and a weak key in the environment
// are a [fault.ConfigInvalid].
func OpenRing(cfg RingConfig) (*Ring, error) {
	if cfg.Getenv == nil {
		cfg.Getenv = os.Getenv
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	r := &Ring{cfg: cfg, path: filepath.Join(cfg.Dir, ringFile)}
	if err := r.readEnv(); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	doc, err := r.read()
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return nil, err
	}
	if r.complete(&doc) {
		if doc, err = r.create(doc, missing); err != nil {
			return nil, err
		}
	}
	return r, r.use(doc)
}

func (r *Ring) readEnv() error {
	for _, v := range []struct {
		name string
		kind Kind
	}{{EnvPublishable, Publishable}, {EnvSecret, Secret}} {
		text := r.cfg.Getenv(v.name)
		if text == "" {
			continue
		}
		switch {
		case len(text) < minKey || len(text) > maxKey:
			return fault.New(fault.ConfigInvalid, "%s has %d characters", v.name, len(text)).
				WithHint("give it %d to %d random characters, or unset it and let Pando make a key", minKey, maxKey)
		case strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' }):
			return fault.New(fault.ConfigInvalid, "%s holds a space or a character that is not printable ASCII", v.name)
		}
		r.env = append(r.env, record{Key: Key{ID: "env_" + string(v.kind), Kind: v.kind, First: true, Env: true}, Text: text})
	}
	if len(r.env) == 2 && r.env[0].Text == r.env[1].Text {
		return fault.New(fault.ConfigInvalid, "%s and %s are the same key", EnvPublishable, EnvSecret)
	}
	return nil
}

// complete adds what doc lacks of the first pair and tells whether it did.
func (r *Ring) complete(doc *document) bool {
	added := false
	for _, kind := range []Kind{Publishable, Secret} {
		has := func(k record) bool { return k.First && k.Kind == kind }
		if slices.ContainsFunc(r.env, has) || slices.ContainsFunc(doc.Keys, has) {
			continue
		}
		rec := r.newRecord(New{Kind: kind})
		rec.First = true
		doc.Keys = append(doc.Keys, rec)
		added = true
	}
	return added
}

// create writes doc; when another process made a new file meanwhile, that
// file counts.
func (r *Ring) create(doc document, missing bool) (document, error) {
	if !missing {
		return doc, r.write(doc)
	}
	err := createFile(r.path, encode(doc))
	if errors.Is(err, fs.ErrExist) {
		return r.read()
	}
	return doc, err
}

// newRecord makes a key with all its text.
func (r *Ring) newRecord(n New) record {
	now := r.cfg.Now().UTC().Truncate(time.Second)
	rec := record{
		Key:  Key{ID: "key_" + random(r.cfg.Rand, 10), Name: n.Name, Kind: n.Kind, Roles: n.Roles, Modules: n.Modules, Created: now},
		Life: n.Life,
		Text: n.Kind.prefix() + random(r.cfg.Rand, 43), // 43 characters of 62: 256 bits
	}
	if n.Life > 0 {
		rec.Expires = now.Add(n.Life)
	}
	return rec
}

// read reads the file; fs.ErrNotExist when there is none.
func (r *Ring) read() (document, error) {
	doc := document{Version: documentVersion}
	data, err := ReadPrivate(r.path)
	if err != nil {
		return doc, err
	}
	damaged := func(why string) error {
		return fault.New(fault.ConfigInvalid, "%s is damaged", r.path).WithDetails("%s", why).
			WithHint("restore it from a backup, or move it away: new keys are made and every client needs them")
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return doc, damaged(err.Error())
	}
	if doc.Version != documentVersion {
		return doc, damaged("a version that this build does not know")
	}
	for _, k := range doc.Keys {
		switch {
		case k.ID == "" || (k.Kind != Publishable && k.Kind != Secret):
			return doc, damaged("a key without an id or kind")
		case k.Life < 0 || k.Kind != Secret && len(k.Roles) > 0 || k.First && len(k.Roles)+len(k.Modules) > 0:
			return doc, damaged("key " + k.ID + " has a scope that its kind cannot have")
		case k.Text == "" && len(k.Hash) != sha256.Size, k.Text != "" && (len(k.Text) < minKey || len(k.Text) > maxKey):
			return doc, damaged("key " + k.ID + " has no usable text or hash")
		case k.First && k.Text == "":
			return doc, damaged("key " + k.ID + " of the first pair has no text")
		}
	}
	return doc, nil
}

func encode(doc document) []byte {
	data, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		panic(err) // strings, times and bytes cannot fail to encode
	}
	return append(data, '\n')
}

func (r *Ring) write(doc document) error { return ReplacePrivate(r.path, encode(doc)) }

// use makes doc what lookups see.
func (r *Ring) use(doc document) error {
	s := &ringState{doc: doc, byHash: make(map[uint64]*entry), first: make(map[Kind]record)}
	for _, k := range slices.Concat(r.env, doc.Keys) {
		if k.First {
			if _, ok := s.first[k.Kind]; ok {
				continue // the environment's goes before the file's
			}
			s.first[k.Kind] = k
		}
		e := &entry{key: k.Key}
		if k.Text != "" {
			e.hash = sha256.Sum256([]byte(k.Text))
		} else {
			copy(e.hash[:], k.Hash)
		}
		h := binary.LittleEndian.Uint64(e.hash[:])
		for same := s.byHash[h]; same != nil; same = same.next {
			if same.hash == e.hash {
				return fault.New(fault.ConfigInvalid, "two API keys are the same: %s and %s", same.key.ID, k.ID)
			}
		}
		e.next = s.byHash[h]
		s.byHash[h] = e
	}
	r.current.Store(s)
	return nil
}

// Lookup returns the kind and id of the presented key, as [Ring.Find] does.
func (r *Ring) Lookup(key string) (kind Kind, id string, ok bool) {
	if k := r.find(key); k != nil {
		return k.Kind, k.ID, true
	}
	return "", "", false
}

// Find returns the presented key, and false when it is none of the ring's or
// has expired. It compares hashes in constant time: how long it takes tells
// nothing about how near a guess was.
func (r *Ring) Find(key string) (Key, bool) {
	if k := r.find(key); k != nil {
		return *k, true
	}
	return Key{}, false
}

func (r *Ring) find(key string) *Key {
	if len(key) < minKey || len(key) > maxKey {
		return nil
	}
	var buf [maxKey]byte // on the stack: a conversion of the string would allocate
	n := copy(buf[:], key)
	hash := sha256.Sum256(buf[:n])
	for e := r.current.Load().byHash[binary.LittleEndian.Uint64(hash[:])]; e != nil; e = e.next {
		if subtle.ConstantTimeCompare(e.hash[:], hash[:]) == 1 {
			if !e.key.Expires.IsZero() && !r.cfg.Now().Before(e.key.Expires) {
				return nil
			}
			return &e.key
		}
	}
	return nil
}

// Pair returns the first pair in full, for `pando keys`.
func (r *Ring) Pair() (publishable, secret string) {
	s := r.current.Load()
	return s.first[Publishable].Text, s.first[Secret].Text
}

// Reload reads the file again, after another process changed it. When it
// cannot be read the ring goes on as it was.
func (r *Ring) Reload() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	doc, err := r.read()
	if err != nil {
		return err
	}
	return r.use(doc)
}
