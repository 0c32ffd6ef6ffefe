package auth

import (
	"cmp"
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pandobase/pando/internal/audit"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/keys"
	"github.com/pandobase/pando/internal/limit"
	"github.com/pandobase/pando/internal/mail"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/password"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/provider"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/token"
)

// Caller is who asks the identity door, with Request filled.
type Caller = policy.Identity

// Config is what identity stands on.
type Config struct {
	App     *model.App    // required; [Auth.Use] changes it
	Driver  store.Driver  // required; the tables of the module auth are there
	Ring    *keys.Ring    // required
	Wrapper *keys.Wrapper // seals signing keys, and the secrets of second factors and of flows; required
	Audit   *audit.Log    // required
	// Passwords hashes; default: one with the defaults of its room.
	Passwords *password.Hasher
	// Limits counts requests; default: in this process's memory.
	Limits limit.Limiter
	// Mail delivers; without it every mail is an error in the log.
	Mail      mail.Sender
	Templates *mail.Templates // default: the built-in ones
	// HTTP calls the providers. Default: the one of their room.
	HTTP *http.Client
	// Secret finds a secret of the application by its name. Default: there are none.
	Secret func(name string) (string, bool)
	// URL is the public base of the application, without a slash at its end:
	// the issuer of tokens and what links in mails begin with. Required.
	URL string
	Log *slog.Logger // default: discards
	// Watch is called before a user is stored, changed or deleted, in the
	// transaction; what it returns, behind it. Default: nobody watches.
	Watch func(tx store.Tx, action query.Action, userID string) (done func() error, err error)
	// Now is the clock, Random the source of tokens and codes. Default: the
	// system's. Random is read by many goroutines at once.
	Now    func() time.Time
	Random io.Reader
}

// Auth is the room. Its methods are safe for concurrent use.
type Auth struct {
	cfg   Config
	now   func() time.Time
	log   *slog.Logger
	st    *statements
	flows *flowStatements
	live  atomic.Pointer[live]

	keysMu  sync.Mutex // a reload of the keys, or of the application
	keyring atomic.Pointer[keyring]
	looked  atomic.Int64 // when the keys were read again for a token, Unix nanoseconds
	cache   *tokenCache
	stamps  stamps

	attempts *limit.Attempts // failed sign-ins and codes

	work work
}

// live is what a reload of the application changes.
type live struct {
	app       *model.App
	roles     map[string][]string // a role with all that it inherits, sorted
	redirects provider.Redirects
	providers *provider.Registry
	// tokens signs and verifies; it has the node's keys and the application's secret.
	tokens *token.Set
}

// New puts the room together; nothing runs before Start.
func New(cfg Config) (*Auth, error) {
	cfg.URL = strings.TrimSuffix(cfg.URL, "/")
	if cfg.App == nil || cfg.Driver == nil || cfg.Ring == nil || cfg.Wrapper == nil || cfg.Audit == nil || cfg.URL == "" {
		return nil, fault.New(fault.Internal, "an internal error occurred").WithDetails("auth.New: App, Driver, Ring, Wrapper, Audit and URL are required")
	}
	if cfg.Secret == nil {
		cfg.Secret = func(string) (string, bool) { return "", false }
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	if cfg.Random == nil {
		cfg.Random = rand.Reader
	}
	if cfg.Passwords == nil {
		cfg.Passwords = password.New(password.Config{Random: cfg.Random})
	}
	if cfg.Limits == nil {
		cfg.Limits = limit.NewMemory(limit.MemoryConfig{Now: cfg.Now})
	}
	if cfg.Templates == nil {
		var err error
		if cfg.Templates, err = mail.LoadTemplates(nil); err != nil {
			return nil, err
		}
	}
	a := &Auth{
		cfg: cfg, now: cfg.Now, log: cfg.Log, st: newStatements(cfg.Driver.Dialect()), flows: newFlowStatements(cfg.Driver.Dialect()),
		cache:    newTokenCache(),
		attempts: limit.NewAttempts(limit.DefaultBackoff(), limit.MemoryConfig{Now: cfg.Now}),
	}
	return a, a.Use(cfg.App)
}

// Use makes an application that was loaded anew the one whose settings count.
// After an error the one before stays.
func (a *Auth) Use(app *model.App) error {
	tokens, err := a.tokenSet(app.Config.Auth.JWTSecret)
	if err != nil {
		return err
	}
	redirects, err := provider.NewRedirects(app.Config.Auth.Redirects)
	if err != nil {
		return err
	}
	providers, err := provider.New(app.Config.Auth.Providers, provider.Options{HTTP: a.cfg.HTTP, Secret: a.cfg.Secret, Now: a.now})
	if err != nil {
		return err
	}
	a.keysMu.Lock()
	defer a.keysMu.Unlock()
	if ring := a.keyring.Load(); ring != nil {
		if err := tokens.Use(ring.keys); err != nil {
			return err
		}
	}
	a.live.Store(&live{app: app, roles: closures(app.Config.Roles), redirects: redirects, providers: providers, tokens: tokens})
	a.cache.clear() // tokens of a secret that is gone must be refused
	return nil
}

// settings are those of pando.yaml's auth.
func (a *Auth) settings() *model.Auth { return &a.live.Load().app.Config.Auth }
