// Package secrets keeps an application's named secrets, which its files name as
// secret:NAME and never hold.
//
// At rest they lie in secrets.json in the data folder (mode 0600), each encrypted
// under a key of its own which the data folder's master key wraps; the name is
// bound to both, so that nobody exchanges two of them. A change is on disk before
// it counts. The environment goes first: PANDO_SECRET_NAME overrides the secret
// NAME. What is printed of a store shows no value, and [Store.Redact] takes the
// values out of any other text.
package secrets

import (
	"cmp"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/keys"
)

// The limits of secrets.
const (
	MaxValue = 32 << 10 // bytes of a value
	MaxName  = 63       // bytes of a name
	MaxCount = 1000     // secrets in the file
)

// Prefix begins the names of the environment's variables that hold secrets.
const Prefix = "PANDO_SECRET_"

// fileName is the file below the data folder.
const fileName = "secrets.json"

// Config says where secrets come from. Dir and Wrapper are required.
type Config struct {
	Dir     string           // the data folder
	Wrapper *keys.Wrapper    // of the secrets' keys
	Environ []string         // KEY=VALUE, of which PANDO_SECRET_* count; default os.Environ()
	Now     func() time.Time // default time.Now
}

// Entry is what may be known of a secret.
type Entry struct {
	Name string `json:"name"`
	// At is when it was set; zero: it is the environment's alone.
	At time.Time `json:"at,omitzero"`
	// Environment reports that the environment's value counts.
	Environment bool `json:"environment,omitempty"`
}

// Store is the secrets of one application. One process at a time writes a data
// folder's. It is safe for concurrent use.
type Store struct {
	path    string
	wrapper *keys.Wrapper
	now     func() time.Time
	environ map[string]string // by variable

	mu      sync.Mutex // held while the file is written
	current atomic.Pointer[snapshot]
}

// snapshot is one state of the secrets; it is never changed.
type snapshot struct {
	sealed   map[string]sealed
	values   map[string]string
	redactor *Redactor
}

// Open reads the secrets of a data folder; a folder without the file has none. A
// file that is damaged, that others can read, or that another master key wrapped
// is a [fault.ConfigInvalid].
func Open(c Config) (*Store, error) {
	if c.Environ == nil {
		c.Environ = os.Environ()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	s := &Store{path: filepath.Join(c.Dir, fileName), wrapper: c.Wrapper, now: c.Now, environ: map[string]string{}}
	for _, kv := range c.Environ {
		// PANDO_SECRET_KEY is the API's secret key, and nobody else's to read.
		if name, value, _ := strings.Cut(kv, "="); strings.HasPrefix(name, Prefix) && name != keys.EnvSecret && value != "" {
			s.environ[name] = value
		}
	}
	data, err := keys.ReadPrivate(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		s.publish(map[string]sealed{}, map[string]string{})
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	list, err := decode(data)
	if err != nil {
		return nil, fault.Wrap(err, fault.ConfigInvalid, "%s is damaged", s.path).
			WithHint("restore it from a backup, or delete it and set the secrets again")
	}
	values := make(map[string]string, len(list))
	for name, box := range list {
		if values[name], err = s.open(name, box); err != nil {
			return nil, err
		}
	}
	s.publish(list, values)
	return s, nil
}

// Get returns the value of a secret. One that is not there is a
// [fault.ConfigInvalid] that says how to set it.
func (s *Store) Get(name string) (string, error) {
	if v, ok := s.Lookup(name); ok {
		return v, nil
	}
	f := fault.New(fault.ConfigInvalid, "there is no secret %s", shown(name)).
		WithHint("`pando secrets set %s`, or set the variable %s", shown(name), Variable(shown(name)))
	if near := fault.Nearest(name, s.names()); near != "" {
		f.WithDetails("there is one called %s", near)
	}
	return "", f
}

// Lookup is Get for callers who can do without the secret.
func (s *Store) Lookup(name string) (string, bool) {
	if !validName(name) {
		return "", false
	}
	if v, ok := s.environ[Variable(name)]; ok {
		return v, true
	}
	v, ok := s.current.Load().values[name]
	return v, ok
}

// Set stores a secret or replaces it. When it returns nil the secret is on disk,
// and Get and Redact know it. One that the environment overrides is stored too.
func (s *Store) Set(name, value string) error {
	switch {
	case !validName(name):
		return fault.New(fault.BadRequest, "%q is no name for a secret", shown(name)).
			WithHint("letters, digits and _, not beginning with a digit, at most %d of them", MaxName)
	case value == "":
		return fault.New(fault.BadRequest, "the secret %s would be empty", name).WithHint("`pando secrets remove %s` removes it", name)
	case len(value) > MaxValue:
		return fault.New(fault.BadRequest, "the secret %s has %d bytes", name, len(value)).WithHint("at most %d bytes", MaxValue)
	}
	box, err := s.seal(name, value)
	if err != nil {
		return err
	}
	return s.change(func(list map[string]sealed, values map[string]string) error {
		if _, ok := list[name]; !ok && len(list) >= MaxCount {
			return fault.New(fault.LimitExceeded, "there are %d secrets already", len(list)).WithHint("`pando secrets remove` those that nothing uses")
		}
		list[name], values[name] = box, value
		return nil
	})
}

// Remove removes a stored secret. One that is not stored is a [fault.NotFound].
func (s *Store) Remove(name string) error {
	return s.change(func(list map[string]sealed, values map[string]string) error {
		if _, ok := list[name]; !ok {
			f := fault.New(fault.NotFound, "there is no stored secret %s", shown(name))
			if _, ok := s.environ[Variable(shown(name))]; ok {
				return f.WithHint("the variable %s holds it: take it out of the environment", Variable(shown(name)))
			}
			return f.WithHint("`pando secrets list` shows which there are")
		}
		delete(list, name)
		delete(values, name)
		return nil
	})
}

// List returns what may be known of every secret, by name. A variable's secret
// that is stored under no name is called as the variable is, in lower case.
func (s *Store) List() []Entry {
	now := s.current.Load()
	out := make([]Entry, 0, len(now.sealed)+len(s.environ))
	known := map[string]bool{}
	for name, box := range now.sealed {
		variable := Variable(name)
		_, overridden := s.environ[variable]
		out = append(out, Entry{Name: name, At: box.At, Environment: overridden})
		known[variable] = true
	}
	for variable := range s.environ {
		if name := strings.ToLower(strings.TrimPrefix(variable, Prefix)); !known[variable] && validName(name) {
			out = append(out, Entry{Name: name, Environment: true})
		}
	}
	slices.SortFunc(out, func(a, b Entry) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func (s *Store) names() []string {
	list := s.List()
	out := make([]string, len(list))
	for i := range list {
		out[i] = list[i].Name
	}
	return out
}

// Redact returns text with every secret's value masked ([Redactor]).
func (s *Store) Redact(text string) string { return s.current.Load().redactor.Redact(text) }

// change lets fn change a copy of the secrets, writes them, and publishes them.
func (s *Store) change(fn func(list map[string]sealed, values map[string]string) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.current.Load()
	list, values := maps.Clone(was.sealed), maps.Clone(was.values)
	if err := fn(list, values); err != nil {
		return err
	}
	if err := keys.ReplacePrivate(s.path, encode(list)); err != nil {
		return err
	}
	s.publish(list, values)
	return nil
}

func (s *Store) publish(list map[string]sealed, values map[string]string) {
	all := slices.AppendSeq(make([]string, 0, len(values)+len(s.environ)), maps.Values(values))
	all = slices.AppendSeq(all, maps.Values(s.environ))
	s.current.Store(&snapshot{list, values, NewRedactor(all...)})
}

// Variable is the environment's name of a secret.
func Variable(name string) string {
	return Prefix + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// validName is the module language's rule for what follows "secret:".
func validName(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case c == '_', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		case c >= '0' && c <= '9' && i > 0:
		default:
			return false
		}
	}
	return name != "" && len(name) <= MaxName
}

// shown is a name as a message shows it: what was given as one can be a value
// that stands in the wrong place, so it is shown only where it can be a name.
func shown(name string) string {
	if validName(name) {
		return name
	}
	return "?"
}

// String shows no secret.
func (s *Store) String() string { return "secrets" }

// GoString shows no secret.
func (s *Store) GoString() string { return "secrets" }

// MarshalJSON shows no secret.
func (s *Store) MarshalJSON() ([]byte, error) { return []byte(`"secrets"`), nil }

// LogValue shows no secret.
func (s *Store) LogValue() slog.Value { return slog.StringValue("secrets") }
