package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/pandobase/pando/internal/api/problem"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/keys"
	"github.com/pandobase/pando/internal/migrate"
	"github.com/pandobase/pando/internal/move"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/transfer"
)

// socket is the node's door for commands on the same machine: HTTP on a Unix
// socket that only the owner of the data folder can open. Whoever can read the
// folder holds the secret key anyway, so it asks for no credential.
type socket struct {
	node   *Node
	server *http.Server
	done   chan struct{}
}

func (s *socket) start(ctx context.Context) error {
	path := SocketPath(s.node.data)
	// The folder is locked, so a socket that is there belongs to nobody.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return fault.Wrap(err, fault.ConfigInvalid, "the command socket %s cannot be made", path)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return errors.Join(err, l.Close())
	}
	s.server = &http.Server{Handler: s.node.Commands(), ReadHeaderTimeout: 5 * time.Second}
	s.done = make(chan struct{})
	go func() {
		defer close(s.done)
		_ = s.server.Serve(l) // ends with the Close below
	}()
	return nil
}

func (s *socket) stop(ctx context.Context) error {
	s.node.moves.stop() // it goes on with the next command
	err := s.server.Shutdown(ctx)
	<-s.done
	return err
}

// Answer serves the socket without a listener for requests: for a command that
// found no node running and opened one itself. The returned func ends it.
func (n *Node) Answer(ctx context.Context) (func() error, error) {
	s := &socket{node: n}
	if err := s.start(ctx); err != nil {
		return nil, err
	}
	return func() error {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return s.stop(stop)
	}, nil
}

// Commands is the handler of the socket.
func (n *Node) Commands() http.Handler {
	mux := http.NewServeMux()
	plain := func(pattern string, fn func(http.ResponseWriter, *http.Request) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := fn(w, r); err != nil {
				if invalid, ok := errors.AsType[*InvalidError](err); ok {
					err = invalid.Fault()
				}
				problem.WriteProblem(w, r, err)
			}
		})
	}
	handle := func(pattern string, fn func(http.ResponseWriter, *http.Request) error) {
		plain(pattern, func(w http.ResponseWriter, r *http.Request) error {
			if err := n.gate.enter(r.Context()); err != nil {
				return err
			}
			defer n.gate.leave()
			return fn(w, r)
		})
	}
	handle("GET /keys", n.cmdKeys)
	handle("POST /keys", n.cmdCreateKey)
	handle("POST /keys/{id}/rotate", n.cmdRotateKey)
	handle("POST /keys/rotate-signing", n.cmdRotateSigning)
	handle("DELETE /keys/{id}", n.cmdRevokeKey)
	n.secretCommands(handle)
	handle("GET /migrate/plan", n.cmdPlan)
	handle("POST /migrate/apply", n.cmdApply)
	handle("GET /migrate/status", n.cmdStatus)
	imports := &imports{node: n}
	handle("POST /import", imports.run)
	handle("DELETE /import/{id}", imports.stop)
	plain("GET /export", n.cmdExport) // it only reads, and for long
	n.moveCommands(plain)
	handle("GET /advise", n.cmdAdvise)
	handle("GET /api/usage", n.cmdUsage)
	n.auditCommands(handle)
	n.clientCommands(handle)
	n.userCommands(handle)
	n.policyCommands(handle)
	n.workCommands(handle, plain)
	n.webhookCommands(handle)
	return mux
}

func answer(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(v)
}

// KeyList is the answer to `pando keys`.
type KeyList struct {
	Publishable string     `json:"publishable"`
	Secret      string     `json:"secret"`
	Keys        []keys.Key `json:"keys,omitempty"`
}

func (n *Node) cmdKeys(w http.ResponseWriter, _ *http.Request) error {
	pub, sec := n.ring.Pair()
	return answer(w, KeyList{Publishable: pub, Secret: sec, Keys: n.ring.List()})
}

// NewKey is a key that was made: its text is shown this once.
type NewKey struct {
	keys.Key
	Text string `json:"key"`
}

func (n *Node) cmdCreateKey(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return fault.New(fault.BadRequest, "the command cannot be read")
	}
	spec := keys.New{
		Kind: keys.Kind(r.Form.Get("kind")), Name: r.Form.Get("name"), Roles: r.Form["role"], Modules: r.Form["module"],
	}
	if text := r.Form.Get("expires"); text != "" {
		var err error
		if spec.Life, err = parseLife(text); err != nil {
			return err
		}
	}
	if err := knownScope(n.Application().Model, spec.Roles, spec.Modules); err != nil {
		return err
	}
	k, text, err := n.ring.Create(spec)
	if err == nil {
		err = n.administered(r, "admin.key.create", k.ID)
	}
	if err != nil {
		return err
	}
	return answer(w, NewKey{k, text})
}

func (n *Node) cmdRotateKey(w http.ResponseWriter, r *http.Request) error {
	grace, err := time.ParseDuration(r.FormValue("grace"))
	if err != nil {
		return fault.New(fault.BadRequest, "%q is no duration", r.FormValue("grace")).WithHint("write it as 1h or 30m")
	}
	k, text, err := n.ring.Rotate(r.PathValue("id"), grace)
	if err == nil {
		err = n.administered(r, "admin.key.rotate", r.PathValue("id"), k.ID)
	}
	if err != nil {
		return err
	}
	return answer(w, NewKey{k, text})
}

func (n *Node) cmdRevokeKey(w http.ResponseWriter, r *http.Request) error {
	if err := n.ring.Revoke(r.PathValue("id")); err != nil {
		return err
	}
	if err := n.administered(r, "admin.key.revoke", r.PathValue("id")); err != nil {
		return err
	}
	return answer(w, struct{}{})
}

// onDisk is the application as its folder has it now, which a running node may
// not serve yet.
func (n *Node) onDisk() (*Application, error) { return Load(n.opt.Dir, n.opt.Env) }

// planOnDisk is what lies between the store and that application.
func (n *Node) planOnDisk(r *http.Request) (*Application, *migrate.Plan, error) {
	app, err := n.onDisk()
	if err != nil {
		return nil, nil, err
	}
	plan, err := migrate.Planning{Expand: r.FormValue("expand_only") == "true"}.Prepare(r.Context(), n.driver, app.Model)
	return app, plan, err
}

func (n *Node) cmdPlan(w http.ResponseWriter, r *http.Request) error {
	_, plan, err := n.planOnDisk(r)
	if err != nil {
		return err
	}
	if r.FormValue("format") == "text" {
		_, err := io.WriteString(w, plan.String())
		return err
	}
	return answer(w, plan)
}

func (n *Node) cmdStatus(w http.ResponseWriter, r *http.Request) error {
	app, err := n.onDisk()
	if err != nil {
		return err
	}
	st, err := migrate.Inspect(r.Context(), n.driver, app.Model)
	if err != nil {
		return err
	}
	return answer(w, st)
}

func (n *Node) cmdApply(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return fault.New(fault.BadRequest, "the command cannot be read")
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.late.pause()
	defer n.late.resume(r.Context())
	app, plan, err := n.planOnDisk(r)
	if err != nil {
		return err
	}
	if err := n.mayMigrate(r.Context(), plan); err != nil {
		return err
	}
	ev := newEventStream(w)
	for first := true; ; first = false {
		err = migrate.Apply(r.Context(), n.driver, plan, migrate.Options{
			Allow: r.Form["allow"], AllowLock: r.FormValue("allow_lock") == "true",
			Progress: func(p migrate.Progress) { ev.send(Event{Migration: &p}) },
		})
		if !fault.Is(err, fault.Conflict) || !first {
			break
		}
		// Another node was faster: what is left may be nothing.
		if app, plan, err = n.planOnDisk(r); err != nil {
			break
		}
	}
	if err == nil {
		err = n.adopt(r.Context(), app)
	}
	if err == nil {
		n.late.replace(nil)
		if err = n.use(app); err == nil { //nolint:contextcheck // it outlives the call
			err = n.administered(r, "admin.migrate")
		}
	}
	return ev.end(Event{Plan: plan}, err)
}

// Progress is how far an import is.
type Progress struct {
	Done  int64 `json:"done"` // bytes of the file
	Total int64 `json:"total,omitempty"`
	Rows  int   `json:"rows"`
}

// Event is one line of a long command's answer.
type Event struct {
	Progress  *Progress         `json:"progress,omitempty"`
	Migration *migrate.Progress `json:"migration,omitempty"`
	Move      *move.Progress    `json:"move,omitempty"`
	Errors    string            `json:"errors,omitempty"` // a piece of the file of bad rows
	// The last event has one of these.
	Report   *transfer.Report  `json:"report,omitempty"`
	Plan     *migrate.Plan     `json:"plan,omitempty"`
	Moved    *MoveResult       `json:"moved,omitempty"`
	MovePlan *move.Plan        `json:"move_plan,omitempty"`
	Error    *problem.Document `json:"error,omitempty"`
}

// eventStream streams the progress of a command, one JSON object a line.
type eventStream struct {
	mu    sync.Mutex // the progress comes from another goroutine
	enc   *json.Encoder
	flush func()
}

func newEventStream(w http.ResponseWriter) *eventStream {
	w.Header().Set("Content-Type", "application/x-ndjson")
	rc := http.NewResponseController(w)
	_ = rc.EnableFullDuplex() // only HTTP/1.1 needs it, to answer while the body comes
	return &eventStream{enc: json.NewEncoder(w), flush: func() { _ = rc.Flush() }}
}

// send ignores a client that has gone: the request's context tells the command.
func (e *eventStream) send(ev Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	_ = e.enc.Encode(ev)
	e.flush()
}

func (e *eventStream) end(last Event, err error) error {
	if err != nil {
		doc := problem.Of(err, "")
		last.Error = &doc
	}
	e.send(last)
	return nil
}

// Write makes the events a file of bad rows.
func (e *eventStream) Write(b []byte) (int, error) {
	e.send(Event{Errors: string(b)})
	return len(b), nil
}

// target splits "module.entity"; a bare name is looked up as it is.
func target(name string) query.Target {
	if module, entity, ok := strings.Cut(name, "."); ok {
		return query.Target{Module: module, Entity: entity}
	}
	return query.Target{Entity: name}
}

// operator is who runs commands.
func operator() policy.Identity { return policy.Identity{Role: policy.Service, Key: "command line"} }

func (n *Node) cmdExport(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	opt := transfer.ExportOptions{Target: target(q.Get("entity")), Format: transfer.Format(q.Get("format")), Writer: &lateHeader{w: w}}
	if err := n.Engine().Known(opt.Target); err != nil {
		return err
	}
	_, err := transfer.Export(r.Context(), n.Engine(), operator(), opt)
	if err != nil && opt.Writer.(*lateHeader).started { //nolint:forcetypeassert // set four lines above
		panic(http.ErrAbortHandler) // the client must not take half a file for a whole one
	}
	return err
}

// lateHeader remembers whether the answer has begun.
type lateHeader struct {
	w       io.Writer
	started bool
}

func (l *lateHeader) Write(b []byte) (int, error) {
	l.started = true
	return l.w.Write(b)
}
