package keys

import (
	"crypto/sha256"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pandobase/pando/internal/fault"
)

// maxName bounds a key's name, in characters.
const maxName = 100

// List returns the keys that are accepted now, the first pair before the
// others, in the order of their making. It tells no key's text.
func (r *Ring) List() []Key {
	s := r.current.Load()
	now := r.cfg.Now()
	var first, others []Key
	for _, k := range slices.Concat(r.env, s.doc.Keys) {
		switch {
		case expired(k, now) || k.First && s.first[k.Kind].ID != k.ID:
		case k.First:
			first = append(first, k.Key)
		default:
			others = append(others, k.Key)
		}
	}
	slices.SortStableFunc(first, func(a, b Key) int { return strings.Compare(string(a.Kind), string(b.Kind)) })
	return append(first, others...)
}

func expired(k record, now time.Time) bool { return !k.Expires.IsZero() && !now.Before(k.Expires) }

// New says what a further key is.
type New struct {
	Kind Kind
	// Name is for people: 1 to 100 printable characters.
	Name string
	// Roles and Modules bound a key, as in [Key]. Whether the application has
	// them is the caller's to check. Only secret keys have roles.
	Roles   []string
	Modules []string
	// Life is how long the key is accepted; 0: until it is revoked.
	Life time.Duration
}

// Bounds of a key's scope: entries of a list, bytes of one, and a life.
const (
	maxScope = 100
	maxWord  = 100
	minLife  = time.Second
	maxLife  = 100 * 365 * 24 * time.Hour
)

// check returns n with sorted lists, or the first thing that is wrong with it.
func (n New) check() (New, error) {
	if n.Kind != Publishable && n.Kind != Secret {
		valid := []string{string(Publishable), string(Secret)}
		f := fault.New(fault.BadRequest, "unknown kind of key %q", n.Kind).WithDetails("valid: %s", strings.Join(valid, ", "))
		if near := fault.Nearest(string(n.Kind), valid); near != "" {
			f = f.WithHint("did you mean %q?", near)
		}
		return n, f
	}
	if n.Name == "" || utf8.RuneCountInString(n.Name) > maxName || !isPrintable(n.Name) {
		return n, fault.New(fault.BadRequest, "a key's name has 1 to %d printable characters", maxName)
	}
	if n.Kind == Publishable && len(n.Roles) > 0 {
		return n, fault.New(fault.BadRequest, "a publishable key has no roles: anybody may read it").
			WithHint("make a secret key, for a machine that has these roles")
	}
	if n.Life != 0 && (n.Life < minLife || n.Life > maxLife) {
		return n, fault.New(fault.BadRequest, "a key lives %s to %d years", minLife, maxLife/(365*24*time.Hour))
	}
	for _, list := range []*[]string{&n.Roles, &n.Modules} {
		*list = slices.Compact(slices.Sorted(slices.Values(*list)))
		if len(*list) > maxScope || slices.ContainsFunc(*list, func(s string) bool { return s == "" || len(s) > maxWord || !isPrintable(s) }) {
			return n, fault.New(fault.BadRequest, "a key has at most %d roles and modules, each with a name", maxScope)
		}
	}
	return n, nil
}

func isPrintable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) })
}

// Create makes a further key and returns it with its text, which is stored
// nowhere: it cannot be shown again.
func (r *Ring) Create(n New) (Key, string, error) {
	n, err := n.check()
	if err != nil {
		return Key{}, "", err
	}
	var made record
	err = r.change(func(doc *document) error {
		made = r.newRecord(n)
		doc.Keys = append(doc.Keys, hashed(made))
		return nil
	})
	return made.Key, made.Text, err
}

// Rotate puts a new key in the place of the one with the id and returns it
// with its text. The old key is accepted for grace longer (0: no longer), so
// that running clients can change over. The new key has the old one's roles and
// modules, and lives as long as it did when it was made. A key of the first
// pair stays one.
func (r *Ring) Rotate(id string, grace time.Duration) (Key, string, error) {
	if grace < 0 {
		return Key{}, "", fault.New(fault.BadRequest, "the time that the old key lives on cannot be negative")
	}
	var made record
	err := r.change(func(doc *document) error {
		i, err := r.index(doc, id)
		if err != nil {
			return err
		}
		old := doc.Keys[i]
		made = r.newRecord(New{Kind: old.Kind, Name: old.Name, Roles: old.Roles, Modules: old.Modules, Life: old.Life})
		made.First = old.First
		stored := made
		if !made.First {
			stored = hashed(made)
		}
		doc.Keys[i] = stored
		if grace > 0 {
			old = hashed(old)
			old.First = false
			if end := r.cfg.Now().Add(grace).UTC(); old.Expires.IsZero() || end.Before(old.Expires) {
				old.Expires = end
			}
			doc.Keys = append(doc.Keys, old)
		}
		return nil
	})
	return made.Key, made.Text, err
}

// Revoke ends a key at once. A key of the first pair cannot be revoked, only
// rotated: a node without it could not be reached.
func (r *Ring) Revoke(id string) error {
	return r.change(func(doc *document) error {
		i, err := r.index(doc, id)
		if err != nil {
			return err
		}
		if doc.Keys[i].First {
			return fault.New(fault.Conflict, "key %s is one of the first pair", id).
				WithHint("`pando keys rotate %s` puts a new one in its place", id)
		}
		doc.Keys = slices.Delete(doc.Keys, i, i+1)
		return nil
	})
}

// hashed returns k as it is stored when its text is not.
func hashed(k record) record {
	if k.Text != "" {
		sum := sha256.Sum256([]byte(k.Text))
		k.Text, k.Hash = "", sum[:]
	}
	return k
}

// index returns that of a key in doc that can be changed.
func (r *Ring) index(doc *document, id string) (int, error) {
	var ids []string
	for i, k := range doc.Keys {
		fromEnv := k.First && slices.ContainsFunc(r.env, func(e record) bool { return e.Kind == k.Kind })
		if k.ID == id && !fromEnv {
			return i, nil
		}
		ids = append(ids, k.ID)
	}
	for _, k := range r.env {
		ids = append(ids, k.ID)
	}
	if slices.Contains(ids, id) {
		return 0, fault.New(fault.Conflict, "the environment gives the key in the place of %s", id).
			WithHint("change %s or %s and start the node again", EnvPublishable, EnvSecret)
	}
	f := fault.New(fault.NotFound, "no API key has the id %q", id)
	if near := fault.Nearest(id, ids); near != "" {
		return 0, f.WithHint("did you mean %s?", near)
	}
	return 0, f.WithHint("`pando keys list` shows the ids")
}

// change applies one edit to the file as it is now and then to the ring. Keys
// that have expired leave the file on the way.
func (r *Ring) change(edit func(*document) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	doc, err := r.read()
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // none yet: the environment gave the pair
		return err
	}
	now := r.cfg.Now()
	doc.Keys = slices.DeleteFunc(doc.Keys, func(k record) bool { return expired(k, now) })
	if err := edit(&doc); err != nil {
		return err
	}
	if err := r.write(doc); err != nil {
		return err
	}
	return r.use(doc)
}
