package auth

import (
	"cmp"
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/keys"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/store"
)

// Caller is who asks the identity door, with Request filled.
type Caller = policy.Identity

// Config is what identity stands on.
type Config struct {
	App     *model.App    // required; [Auth.Use] changes it
	Driver  store.Driver  // required; the tables of the module auth are there
	Ring    *keys.Ring    // required
	Wrapper *keys.Wrapper // seals the secrets of second factors and of flows; required
	// Secret finds a secret of the application by its name. Default: there are none.
	Secret func(name string) (string, bool)
	// URL is the public base of the application, without a slash at its end:
	// the issuer of tokens and what links in mails begin with. Required.
	URL string
	Log *slog.Logger // default: discards
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
	mu    sync.Mutex      // of Start and Stop
	ctx   context.Context //nolint:containedctx // ends with Stop; work behind an answer runs under it
	end   context.CancelFunc
	tasks sync.WaitGroup
}

// live is what a reload of the application changes.
type live struct {
	app   *model.App
	roles map[string][]string // a role with all that it inherits, sorted
}

// New puts the room together; nothing runs before Start.
func New(cfg Config) (*Auth, error) {
	cfg.URL = strings.TrimSuffix(cfg.URL, "/")
	if cfg.App == nil || cfg.Driver == nil || cfg.Ring == nil || cfg.URL == "" {
		return nil, fault.New(fault.Internal, "an internal error occurred").WithDetails("auth.New: App, Driver, Ring and URL are required")
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
	a := &Auth{cfg: cfg, now: cfg.Now, log: cfg.Log, st: newStatements(cfg.Driver.Dialect()), flows: newFlowStatements(cfg.Driver.Dialect())}
	a.Use(cfg.App)
	return a, nil
}

// Use makes an application that was loaded anew the one whose settings count.
func (a *Auth) Use(app *model.App) {
	a.live.Store(&live{app: app, roles: closures(app.Config.Roles)})
}

// settings are those of pando.yaml's auth.
func (a *Auth) settings() *model.Auth { return &a.live.Load().app.Config.Auth }
