package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/pandobase/pando/internal/api/rpc"
	"github.com/pandobase/pando/internal/audit"
	"github.com/pandobase/pando/internal/auth"
	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/functions"
	"github.com/pandobase/pando/internal/jobs"
	"github.com/pandobase/pando/internal/keys"
	"github.com/pandobase/pando/internal/migrate"
	"github.com/pandobase/pando/internal/operations"
	"github.com/pandobase/pando/internal/outbound"
	"github.com/pandobase/pando/internal/outbox"
	"github.com/pandobase/pando/internal/password"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/queue"
	"github.com/pandobase/pando/internal/secrets"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/telemetry"
	"github.com/pandobase/pando/internal/transfer"
	"github.com/pandobase/pando/internal/usage"
	"github.com/pandobase/pando/internal/webhooks"
)

// Options say how a node is opened.
type Options struct {
	Dir string
	Env []string // PANDO_* settings; usually os.Environ()
	Log *slog.Logger
	// Migrate brings the store to the model when that loses nothing, and
	// loads the seeds into a new store. Without it the store is left as it is.
	Migrate bool
	// Convert lets Migrate rename fields and change types too, where no value
	// is lost: what a developer wants at the desk, and an operator wants to
	// decide.
	Convert bool
	// Develop is for a developer's desk: pages that try the API out, and more is
	// told of it.
	Develop bool
	// Note receives what a person at the terminal should know, one line each.
	Note func(line string)
	// URL is where clients reach the node; empty: as pando.yaml says.
	URL string
	// HashWorker makes the command of a process that hashes passwords
	// (password.Config.Worker); nil: the node does.
	HashWorker func() *exec.Cmd
	// Mail receives a line for each mail that mailbox:// takes, with its link or
	// code: a secret. nil: nobody does.
	Mail func(line string)
	// Await waits for a store that is not there. It is called with the reason
	// before each pause; it reports whether there is time for another try. nil: there
	// is none.
	Await func(ctx context.Context, reason error, pause time.Duration) bool
	// DB measures the store; nil: nobody does.
	DB *telemetry.DB
	// Meter measures events, jobs and integrations; nil: nobody does.
	Meter metric.Meter
	// Work has the node run the application's code: operations, functions, jobs and
	// what waits for events. Without it, what is written waits for one that does.
	Work bool
	// Go holds the application's code that is written in Go, by module.name.
	Go map[string]operations.Func
}

// Node is an application with its open store and keys. Listeners are added by
// [Serve]; commands use a node without them.
type Node struct {
	opt      Options
	data     string
	lock     *folderLock
	ring     *keys.Ring
	signer   *keys.Signer
	driver   store.Driver
	audit    *audit.Log
	wrapper  *keys.Wrapper
	secrets  *secrets.Store
	hasher   *password.Hasher
	auth     *auth.Auth
	outbox   *outbox.Outbox
	queue    *queue.Queue
	outbound *outbound.Outbound
	leaving  sync.WaitGroup // clients that are closed when their calls have ended
	webhooks *webhooks.Webhooks
	usage    *usage.Counter
	sandbox  *functions.Runtime // nil: there is no code to run
	work     work

	late  late
	drift drift

	live  atomic.Pointer[live]
	mu    sync.Mutex // one reload or migration at a time
	gate  gate       // of whoever writes; driver, audit and auth are exchanged while it is shut
	moves moves
}

// live is the application that is served right now, and from which store.
type live struct {
	app     *Application
	engine  *engine.Engine
	driver  store.Driver
	rest    http.Handler
	graphql http.Handler
	auth    http.Handler
	audit   http.Handler

	operations *operations.Operations
	queue      *queue.Queue
	jobs       *jobs.Jobs
	waysOut    map[string]wayOut
	webhooks   *webhooks.Webhooks
	functions  http.Handler
	jobsDoor   http.Handler
	hooks      http.Handler
	rpc        *rpc.Door
}

// Open loads the application, locks its data folder and opens its store.
func Open(ctx context.Context, opt Options) (*Node, error) {
	app, err := Load(opt.Dir, opt.Env)
	if err != nil {
		return nil, err
	}
	return open(ctx, opt, app)
}

// open is Open with the application that was loaded from opt.Dir.
func open(ctx context.Context, opt Options, app *Application) (_ *Node, err error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Note == nil {
		opt.Note = func(string) {}
	}
	if err := app.Supported(); err != nil {
		return nil, err
	}
	n := &Node{opt: opt, data: app.DataDir(), late: late{log: opt.Log}}
	if err := os.MkdirAll(n.data, 0o700); err != nil {
		return nil, fault.Wrap(err, fault.ConfigInvalid, "the data folder %s cannot be made", n.data).WithDetails("%s", err)
	}
	if n.lock, err = lockFolder(n.data); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close(context.WithoutCancel(ctx)))
		}
	}()
	if n.ring, err = keys.OpenRing(keys.RingConfig{Dir: n.data, Getenv: n.getenv}); err != nil {
		return nil, err
	}
	if n.signer, err = keys.OpenSigner(keys.SignerConfig{Dir: n.data}); err != nil {
		return nil, err
	}
	if n.wrapper, err = keys.OpenWrapper(n.data); err != nil {
		return nil, err
	}
	if n.secrets, err = secrets.Open(secrets.Config{Dir: n.data, Wrapper: n.wrapper, Environ: append([]string{}, opt.Env...)}); err != nil {
		return nil, err
	}
	if n.driver, err = n.awaitStore(ctx, app); err != nil {
		return nil, err
	}
	if err := n.claim(ctx, app); err != nil {
		return nil, err
	}
	if err := n.openAudit(ctx); err != nil {
		return nil, err
	}
	if err := n.openAuth(app); err != nil {
		return nil, err
	}
	if n.outbound, err = outbound.New(outbound.Config{Secrets: n.secrets.Get, Meter: opt.Meter, Log: opt.Log}); err != nil {
		return nil, err
	}
	if n.outbox, n.queue, err = n.openQueues(ctx, app, n.driver); err != nil {
		return nil, err
	}
	n.webhooks = n.openWebhooks(ctx, n.driver)
	n.usage = usage.Open(ctx, usage.Config{Driver: n.driver, Log: n.opt.Log})
	if !opt.Migrate {
		if err := n.adopt(ctx, app); err != nil {
			return nil, err
		}
		return n, n.use(app) //nolint:contextcheck // it outlives the call
	}
	if err := n.bring(ctx, app); err != nil {
		return nil, err
	}
	return n, n.auth.Start(ctx)
}

func (n *Node) getenv(name string) string { return n.opt.getenv(name) }

// getenv looks a variable up in Env.
func (o *Options) getenv(name string) string {
	for _, kv := range o.Env {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			return v
		}
	}
	return ""
}

// bring migrates the store to an application if that loses nothing, loads the
// seeds when the store was new, and serves it from then on. What the
// application can do without is left to n.late.
func (n *Node) bring(ctx context.Context, app *Application) error {
	n.late.pause()
	defer n.late.resume(ctx)
	if err := n.adopt(ctx, app); err != nil {
		return err
	}
	if err := n.loadCode(ctx, app); err != nil {
		return err
	}
	var rest migrate.Rest
	var fresh bool
	err := overtaken(func() (err error) {
		rest, fresh, err = n.fit(ctx, app)
		return err
	})
	if err != nil {
		return err
	}
	n.late.replace(rest)
	if err := intact(ctx, n.driver); err != nil {
		return err
	}
	if err := n.auth.Use(app.Model); err != nil {
		return err
	}
	if err := n.use(app); err != nil { //nolint:contextcheck // it outlives the call
		return err
	}
	seeds, err := transfer.Seeds(ctx, n.Engine(), policy.Identity{Role: policy.Service, Key: "seeds"}, transfer.SeedOptions{
		Driver: n.driver, FS: os.DirFS(app.Dir), Fresh: fresh,
	})
	for _, s := range seeds {
		n.opt.Note(fmt.Sprintf("seeded: %s, %d row(s) of %s", s.File, s.Rows, s.Entity))
	}
	if err != nil {
		return err
	}
	return n.renewWork(ctx)
}

// use makes an application the one that is served.
func (n *Node) use(app *Application) error {
	eng := engine.New(engine.Config{App: app.Model, Rules: app.Rules, Driver: n.driver, Signer: n.signer, Log: n.opt.Log, DB: n.opt.DB, Audit: n.audit, Outbox: n.outbox, Drift: n.drifted(app)})
	out, err := n.waysOut(app)
	if err == nil {
		err = n.webhooks.Set(endpoints(app.Model))
	}
	if err != nil {
		return err
	}
	hooks, err := n.hooksDoor(app)
	if err != nil {
		return err
	}
	ops := n.operations(app, eng)
	graphql, err := n.graphqlDoor(app, eng, ops)
	if err != nil {
		return err
	}
	was := n.live.Swap(&live{
		app: app, engine: eng, driver: n.driver, auth: n.authDoor(), audit: n.auditDoor(app), rest: n.restDoors(app, eng, ops),
		operations: ops, queue: n.queue, jobs: jobs.New(app.Model), waysOut: out, webhooks: n.webhooks, functions: n.functionsDoor(app, ops), jobsDoor: n.jobsDoor(), hooks: hooks,
		graphql: graphql, rpc: n.rpcDoor(app, eng, ops),
	})
	if was != nil {
		n.leave(was.waysOut, out)
	}
	return nil
}

// Engine executes queries for the application that is served now.
func (n *Node) Engine() *engine.Engine { return n.live.Load().engine }

// Application is what is served now.
func (n *Node) Application() *Application { return n.live.Load().app }

// Keys are the node's API keys.
func (n *Node) Keys() *keys.Ring { return n.ring }

// Reload takes the application from its folder again. When it has problems, or
// its schema cannot be brought about without loss, the last good one stays.
func (n *Node) Reload(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	app, err := Load(n.opt.Dir, n.opt.Env)
	if err != nil {
		return err
	}
	old := n.Application()
	if app.Model.Config.Listen != old.Model.Config.Listen || app.DataDir() != old.DataDir() || !reflect.DeepEqual(app.Model.Config.Store, old.Model.Config.Store) {
		n.opt.Note("listen, data and store take effect at the next start")
	}
	return n.bring(ctx, app)
}

// ServeHTTP serves the REST doors of the application that is live.
func (n *Node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.byMethod(w, r, func(l *live) http.Handler { return l.rest })
}

// reading is a door that reads where the method says so.
func (n *Node) reading(door func(*live) http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { n.byMethod(w, r, door) })
}

// byMethod serves a door whose requests read or write as their method says.
func (n *Node) byMethod(w http.ResponseWriter, r *http.Request, door func(*live) http.Handler) {
	serve := func(w http.ResponseWriter, r *http.Request) { door(n.live.Load()).ServeHTTP(w, r) }
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		n.gate.reading(w, r, serve)
	default:
		n.gate.passing(w, r, serve)
	}
}

// writing is a door whose every request may write, reads too: they go on record.
func (n *Node) writing(door func(*live) http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.gate.passing(w, r, func(w http.ResponseWriter, r *http.Request) { door(n.live.Load()).ServeHTTP(w, r) })
	})
}

// Ready reports whether the store answers, takes writes and has what the
// application needs.
func (n *Node) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	live := n.live.Load()
	if err := live.driver.Ping(ctx); err != nil || !n.mu.TryLock() { // a migration is under way
		return err
	}
	defer n.mu.Unlock()
	return intact(ctx, live.driver)
}

// intact refuses a store whose schema somebody has changed behind Pando's back.
func intact(ctx context.Context, d store.Driver) error {
	broken, err := migrate.Broken(ctx, d)
	if err != nil || len(broken) == 0 {
		return err
	}
	return fault.New(fault.StoreUnavailable, "the database is not as Pando made it").WithDetails("%s", strings.Join(broken, "; ")).
		WithHint("put back what was changed by hand, or restore the database from a backup")
}

// Close closes the store and frees the data folder. Mails and audit records that
// are on their way have until ctx ends. It is safe to call twice.
func (n *Node) Close(ctx context.Context) error {
	var errs []error
	n.moves.stop()
	n.late.stop()
	errs = append(errs, n.stopWork(ctx))
	if n.webhooks != nil {
		errs = append(errs, n.webhooks.Close(ctx))
		n.webhooks = nil
	}
	if n.outbound != nil {
		n.outbound.Close()
		n.leaving.Wait()
		n.outbound = nil
	}
	if n.sandbox != nil {
		errs = append(errs, n.sandbox.Close()) //nolint:contextcheck // it waits for calls, which have their own
		n.sandbox = nil
	}
	if n.queue != nil {
		errs = append(errs, n.queue.Stop(ctx))
		n.queue = nil
	}
	if n.outbox != nil {
		errs = append(errs, n.outbox.Close())
		n.outbox = nil
	}
	if n.auth != nil {
		errs = append(errs, n.auth.Stop(ctx))
		n.auth = nil
		n.hasher.Close()
	}
	if n.audit != nil {
		errs = append(errs, n.audit.Close(ctx))
		n.audit = nil
	}
	if n.usage != nil {
		errs = append(errs, n.usage.Close(ctx))
		n.usage = nil
	}
	if n.driver != nil {
		errs = append(errs, n.driver.Close())
		n.driver = nil
	}
	errs = append(errs, n.moves.close())
	if n.lock != nil {
		errs = append(errs, n.lock.release())
		n.lock = nil
	}
	return errors.Join(errs...)
}
