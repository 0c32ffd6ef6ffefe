package server

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	neturl "net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/pandobase/pando/internal/audit"
	"github.com/pandobase/pando/internal/auth"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/migrate"
	"github.com/pandobase/pando/internal/move"
	"github.com/pandobase/pando/internal/outbox"
	"github.com/pandobase/pando/internal/queue"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// moves is the move of a node's data, one at a time.
type moves struct {
	mu     sync.Mutex
	cancel context.CancelFunc // of the one that runs; nil: none does
	ended  <-chan struct{}    // closed when its command has gone: it comes to its end by itself
	done   chan struct{}
	left   []store.Driver // stores that were served from: what still reads there ends by itself
	url    string         // of the store that is served from
}

// begin takes the turn; the returned func ends it. A move whose command has gone
// is waited for: it is about to stop, or to bring a switch to its end.
func (m *moves) begin(ctx context.Context) (context.Context, func(), error) {
	m.mu.Lock()
	for m.cancel != nil {
		select {
		case <-m.ended:
		default:
			m.mu.Unlock()
			return nil, nil, fault.New(fault.Conflict, "a move is running").WithHint("`pando move status` tells how far it is")
		}
		done := m.done
		m.mu.Unlock()
		select {
		case <-done:
		case <-ctx.Done():
			return nil, nil, fault.Wrap(ctx.Err(), fault.QueryCanceled, "the command was canceled before its turn came")
		}
		m.mu.Lock()
	}
	defer m.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	m.cancel, m.ended, m.done = cancel, ctx.Done(), done
	return ctx, func() {
		cancel()
		m.mu.Lock()
		m.cancel = nil
		m.mu.Unlock()
		close(done)
	}, nil
}

// stop ends the move that runs where it stands, and waits for it.
func (m *moves) stop() {
	m.mu.Lock()
	cancel, done := m.cancel, m.done
	m.mu.Unlock()
	if cancel != nil {
		cancel()
		<-done
	}
}

// serve notes which store is served from.
func (m *moves) serve(url string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.url = url
}

func (m *moves) served() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.url
}

func (m *moves) leave(d store.Driver) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.left = append(m.left, d)
}

func (m *moves) close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var errs []error
	for _, d := range m.left {
		errs = append(errs, d.Close())
	}
	m.left = nil
	return errors.Join(errs...)
}

// moveNote is what a node keeps of its move in the data folder, readable by its
// owner alone: the URLs may hold passwords, which no store is told.
type moveNote struct {
	ID   string    `json:"id"`
	From string    `json:"from"`
	To   string    `json:"to"`
	At   time.Time `json:"at"`
}

func (n *Node) notePath() string { return filepath.Join(n.data, "move.json") }

// readMoveNote returns nil where there is none.
func (n *Node) readMoveNote() (*moveNote, error) {
	data, err := os.ReadFile(n.notePath())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	note := &moveNote{}
	if err == nil {
		err = json.Unmarshal(data, note)
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.ConfigInvalid, "%s cannot be read", n.notePath()).
			WithHint("it names the store that the application has moved to: set store: in pando.yaml to that and remove the file")
	}
	return note, nil
}

// writeMoveNote puts the note on disk before anything depends on it.
func (n *Node) writeMoveNote(note *moveNote) error {
	data, err := json.MarshalIndent(note, "", "  ")
	if err != nil {
		return err
	}
	path := n.notePath()
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fault.Wrap(err, fault.StoreIO, "%s cannot be written", path)
	}
	_, err = f.Write(append(data, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(path+".new", path)
	}
	if err == nil {
		err = syncFolder(n.data)
	}
	if err != nil {
		return fault.Wrap(err, fault.StoreIO, "%s cannot be written", path)
	}
	return nil
}

func syncFolder(path string) error {
	d, err := os.Open(path) //nolint:gosec // the data folder
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// publicName is a store's URL without what is secret in it.
func publicName(url string) string {
	u, err := neturl.Parse(url)
	if err != nil || u.Scheme == "" {
		return "the other store"
	}
	q := u.Query()
	for k := range q {
		if strings.Contains(k, "password") || strings.Contains(k, "key") {
			q.Set(k, "xxxxx")
		}
	}
	u.RawQuery = q.Encode()
	return u.Redacted()
}

// openStore opens the application's store: the one that pando.yaml names, or
// the one that it has moved to.
func (n *Node) openStore(ctx context.Context, app *Application) (store.Driver, error) {
	url, replicas, err := app.storeURLs(n.secrets.Get)
	if err != nil {
		return nil, err
	}
	d, err := openURL(ctx, app, &n.opt, url, replicas...)
	if err != nil {
		return nil, err
	}
	n.moves.serve(url)
	m, ok := d.(store.Mover)
	if !ok {
		return d, nil
	}
	right, at, err := n.follow(ctx, app, m, url)
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	if right != m {
		n.tell("the application's store is " + publicName(at) + ", not " + publicName(url) + " as pando.yaml or PANDO_STORE says: change it there")
		n.moves.serve(at)
		return right, m.Close()
	}
	return m, nil
}

// follow finds the store that is the application's by what the stores remember
// of moves, and ends what a stop has left undone. It returns m, which is at url,
// or another with its URL.
func (n *Node) follow(ctx context.Context, app *Application, m store.Mover, url string) (store.Mover, string, error) {
	s, err := move.Standing(ctx, m)
	if err != nil || s == nil {
		return m, url, err
	}
	note, err := n.readMoveNote()
	if err != nil {
		return nil, "", err
	}
	ours := note != nil && note.ID == s.ID
	switch {
	case s.Role == move.Source && s.Step == move.Moved:
		if !ours {
			return nil, "", fault.New(fault.ConfigInvalid, "the application has moved from this store to %s", s.Peer).
				WithHint("set store: in pando.yaml, or PANDO_STORE, to that")
		}
		return n.followTo(ctx, app, m, s, note)
	case s.Role == move.Target && s.Step == move.Returned:
		if !ours {
			return nil, "", fault.New(fault.ConfigInvalid, "the move to this store was taken back: the application is where it was before").
				WithHint("set store: in pando.yaml, or PANDO_STORE, to that")
		}
		old, err := n.openMover(ctx, app, note.From)
		if err != nil {
			return nil, "", err
		}
		if err := move.Reclaim(ctx, old); err != nil {
			return nil, "", errors.Join(err, old.Close())
		}
		return old, note.From, nil
	case s.Role == move.Target && (s.Step == move.Filling || s.Step == move.Ready):
		return m, url, n.unfinished(ctx, app, m, s, note)
	case s.Step == move.Frozen && ours:
		return m, url, move.Thaw(ctx, m, s)
	case s.Role == move.Source:
		n.tell("a move to " + s.Peer + " has begun: `pando move --to` goes on with it, `pando move abort` takes it back")
	}
	return m, url, nil
}

// followTo opens the store that a source has moved to; from, where that move
// was taken back.
func (n *Node) followTo(ctx context.Context, app *Application, from store.Mover, s *move.State, note *moveNote) (_ store.Mover, _ string, err error) {
	to, err := n.openMover(ctx, app, note.To)
	if err != nil {
		return nil, "", err
	}
	stay := false
	defer func() {
		if stay || err != nil {
			err = errors.Join(err, to.Close())
		}
	}()
	there, err := move.Standing(ctx, to)
	switch {
	case err != nil:
	case there == nil: // confirmed: its history tells that it is no empty database
		var tables []*store.Table
		if tables, err = migrate.Manifest(ctx, to); err == nil && len(tables) == 0 {
			err = fault.New(fault.StoreIO, "the application has moved to %s, which is empty now", s.Peer)
		}
	case there.ID != s.ID:
		err = fault.New(fault.Conflict, "the application has moved to %s, which holds something else now", s.Peer)
	case there.Step == move.Returned && there.Epoch > s.Epoch:
		stay = true
		return from, note.From, move.Reclaim(ctx, from)
	case there.Step == move.Frozen:
		err = move.Thaw(ctx, to, there)
	default:
		err = move.GoLive(ctx, to)
	}
	return to, note.To, err
}

// unfinished refuses a store that holds a part of a move, unless the move's
// source has decided for it.
func (n *Node) unfinished(ctx context.Context, app *Application, m store.Mover, s *move.State, note *moveNote) error {
	refusal := fault.New(fault.ConfigInvalid, "the move to this store has not been finished").
		WithHint("keep the old store: in pando.yaml until `pando move` has said that it is done")
	if note == nil || note.ID != s.ID || s.Step != move.Ready {
		return refusal
	}
	from, err := n.openMover(ctx, app, note.From)
	if err != nil {
		return err
	}
	old, err := move.Standing(ctx, from)
	if err = errors.Join(err, from.Close()); err != nil {
		return err
	}
	if old == nil || old.Step != move.Moved || old.ID != s.ID {
		return refusal
	}
	return move.GoLive(ctx, m)
}

func (n *Node) openMover(ctx context.Context, app *Application, url string) (store.Mover, error) {
	d, err := openURL(ctx, app, &n.opt, url)
	if err != nil {
		return nil, err
	}
	m, ok := d.(store.Mover)
	if !ok {
		return nil, errors.Join(fault.New(fault.ConfigInvalid, "nothing can be moved to %s", publicName(url)), d.Close())
	}
	return m, nil
}

// tell says something to whoever runs the node.
func (n *Node) tell(line string) {
	n.opt.Log.Warn(line)
	n.opt.Note(line)
}

// mayMigrate refuses a change of the schema while a move has not been ended:
// the two stores would no longer fit each other.
func (n *Node) mayMigrate(ctx context.Context, plan *migrate.Plan) error {
	if plan.Empty() && plan.Resumes == 0 {
		return nil
	}
	s, err := move.Standing(ctx, n.driver)
	if err != nil || s == nil {
		return err
	}
	hint := "`pando move confirm` or `pando move rollback` ends it"
	if s.Role == move.Source {
		hint = "`pando move --to` finishes it, `pando move abort` takes it back"
	}
	return fault.New(fault.Conflict, "the schema cannot change while the data is moving").WithHint("%s", hint)
}

// moveCommands are the endpoints of `pando move`.
func (n *Node) moveCommands(handle func(pattern string, fn func(http.ResponseWriter, *http.Request) error)) {
	handle("POST /move", n.cmdMove)
	handle("GET /move", n.cmdMoveStatus)
	handle("POST /move/confirm", n.cmdMoveConfirm)
	handle("POST /move/rollback", n.cmdMoveRollback)
	handle("POST /move/abort", n.cmdMoveAbort)
}

// MoveResult is what a move did, and what is left to do for people.
type MoveResult struct {
	*move.Result
	Store string `json:"store"` // what is served from, without its password
}

// MoveStatus is the answer to `pando move status`.
type MoveStatus struct {
	Store string     `json:"store"` // what is served from
	Role  string     `json:"role"`  // source, target; empty: no move is open
	Step  string     `json:"step,omitempty"`
	Peer  string     `json:"peer,omitempty"`
	Began *time.Time `json:"began,omitempty"`
	Epoch int64      `json:"epoch,omitempty"`
	Runs  bool       `json:"runs"` // a command is at work on it right now
}

// form reads the parameters of a command, which are in its body: a URL may hold
// a password.
func form(r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return fault.New(fault.BadRequest, "the command cannot be read")
	}
	return nil
}

func (n *Node) cmdMove(w http.ResponseWriter, r *http.Request) error {
	if err := form(r); err != nil {
		return err
	}
	app := n.Application()
	url, err := secretURL("--to", r.PostForm.Get("to"), n.secrets.Get)
	if err != nil {
		return err
	}
	ctx, done, err := n.moves.begin(r.Context())
	if err != nil {
		return err
	}
	defer done()
	from, ok := n.driver.(store.Mover)
	if !ok {
		return fault.New(fault.ConfigInvalid, "nothing can be moved from this store")
	}
	note, err := n.planned(ctx, from, url)
	if err != nil {
		return err
	}
	to, err := n.openMover(ctx, app, url)
	if err != nil {
		return err
	}
	x := &exchange{n: n, to: to, url: url}
	defer x.end()
	ev := newEventStream(w)
	c := move.Config{
		From: from, To: to, ID: note.ID, Name: publicName(url), Log: n.opt.Log,
		Hold: x.hold, Ready: x.ready, Switched: x.switched,
		Progress: func(p move.Progress) {
			n.gate.near.Store(p.Step == move.Verifying || p.Step == move.Frozen || n.gate.near.Load())
			ev.send(Event{Move: &p})
		},
	}
	if c.Freeze, err = freezeOf(r.PostForm.Get("freeze")); err != nil {
		return ev.end(Event{}, err)
	}
	if r.PostForm.Get("dry_run") == "true" {
		plan, err := move.Preflight(ctx, c, app.Model)
		return ev.end(Event{MovePlan: plan}, err)
	}
	res, err := n.run(ctx, c, app, note, x)
	if err != nil {
		return ev.end(Event{}, err)
	}
	return ev.end(Event{Moved: &MoveResult{res, publicName(url)}}, nil)
}

func (n *Node) run(ctx context.Context, c move.Config, app *Application, note *moveNote, x *exchange) (*move.Result, error) {
	if err := move.Check(ctx, c, app.Model); err != nil {
		return nil, err
	}
	if err := n.writeMoveNote(note); err != nil {
		return nil, err
	}
	res, err := move.Run(ctx, c)
	if x.done { // whatever came behind it
		rec := commandRecord("admin.move")
		rec.Entity = "store"
		err = errors.Join(err, n.audit.Write(ctx, &rec))
	}
	return res, err
}

func freezeOf(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fault.New(fault.BadRequest, "%q is no duration", text).WithHint("write it as 500ms or 2s")
	}
	return d, nil
}

// planned is the note of a move: that of one which has begun, or a new one.
func (n *Node) planned(ctx context.Context, from store.Mover, to string) (*moveNote, error) {
	standing, err := move.Standing(ctx, from)
	if err != nil {
		return nil, err
	}
	note, err := n.readMoveNote()
	if err != nil {
		return nil, err
	}
	if standing != nil && standing.Role == move.Source {
		switch {
		case note == nil || note.ID != standing.ID:
			return nil, fault.New(fault.Conflict, "a move to %s was begun by another node", standing.Peer).
				WithHint("go on with it there, or take it back with `pando move abort`")
		case note.To != to:
			return nil, fault.New(fault.Conflict, "a move to %s has begun", standing.Peer).
				WithHint("go on with that one, or take it back with `pando move abort`")
		}
		return note, nil
	}
	url := n.moves.served()
	if note != nil && note.To == to && note.From == url && standing == nil {
		return note, nil // it was stopped before its first step, or taken back
	}
	if url == to {
		return nil, fault.New(fault.BadRequest, "the application is in %s already", publicName(to))
	}
	return &moveNote{ID: value.NewUUID(time.Now(), rand.Reader), From: url, To: to, At: time.Now().UTC()}, nil
}

func (n *Node) cmdMoveStatus(w http.ResponseWriter, r *http.Request) error {
	st := MoveStatus{Store: publicName(n.moves.served())}
	n.moves.mu.Lock()
	st.Runs = n.moves.cancel != nil
	n.moves.mu.Unlock()
	s, err := move.Standing(r.Context(), n.live.Load().driver)
	if err != nil {
		return err
	}
	if s != nil {
		st.Role, st.Step, st.Peer, st.Began, st.Epoch = string(s.Role), string(s.Step), s.Peer, &s.Began, s.Epoch
	}
	return answer(w, st)
}

func (n *Node) cmdMoveConfirm(w http.ResponseWriter, r *http.Request) error {
	ctx, done, err := n.moves.begin(r.Context())
	if err != nil {
		return err
	}
	defer done()
	m, ok := n.driver.(store.Mover)
	if !ok {
		return fault.New(fault.NotFound, "there is no move to be confirmed")
	}
	if err := move.Confirm(ctx, m); err != nil {
		return err
	}
	rec := commandRecord("admin.move.confirm")
	rec.Entity = "store"
	if err := n.audit.Write(ctx, &rec); err != nil {
		return err
	}
	return answer(w, struct{}{})
}

func (n *Node) cmdMoveRollback(w http.ResponseWriter, r *http.Request) error {
	if err := form(r); err != nil {
		return err
	}
	ctx, done, err := n.moves.begin(r.Context())
	if err != nil {
		return err
	}
	defer done()
	app := n.Application()
	note, err := n.readMoveNote()
	if err != nil {
		return err
	}
	m, ok := n.driver.(store.Mover)
	if note == nil || !ok {
		return fault.New(fault.NotFound, "there is no move to be taken back")
	}
	old, err := n.openMover(ctx, app, note.From)
	if err != nil {
		return err
	}
	x := &exchange{n: n, to: old, url: note.From}
	defer x.end()
	ev := newEventStream(w)
	c := move.Config{
		From: old, To: m, ID: note.ID, Name: publicName(note.From), Log: n.opt.Log, Hold: x.hold, Ready: x.ready, Switched: x.switched,
		Progress: func(p move.Progress) {
			n.gate.near.Store(true)
			ev.send(Event{Move: &p})
		},
	}
	if c.Freeze, err = freezeOf(r.PostForm.Get("freeze")); err != nil {
		return ev.end(Event{}, err)
	}
	res, err := move.Rollback(ctx, c)
	if x.done {
		rec := commandRecord("admin.move.rollback")
		rec.Entity = "store"
		err = errors.Join(err, n.audit.Write(ctx, &rec))
	}
	if err != nil {
		return ev.end(Event{}, err)
	}
	return ev.end(Event{Moved: &MoveResult{res, publicName(note.From)}}, nil)
}

func (n *Node) cmdMoveAbort(w http.ResponseWriter, r *http.Request) error {
	ctx, done, err := n.moves.begin(r.Context())
	if err != nil {
		return err
	}
	defer done()
	app := n.Application()
	note, err := n.readMoveNote()
	if err != nil {
		return err
	}
	from, ok := n.driver.(store.Mover)
	standing, err := move.Standing(ctx, n.driver)
	if err != nil {
		return err
	}
	if !ok || standing == nil && note == nil {
		return fault.New(fault.NotFound, "there is no move to be taken back")
	}
	var to store.Mover
	if note != nil && (standing == nil || note.ID == standing.ID) {
		if to, err = n.openMover(ctx, app, note.To); err != nil {
			n.tell("the target cannot be reached: what was copied stays there")
		} else {
			defer func() { _ = to.Close() }() // it has been emptied, or that failed and is told
		}
	}
	if err := move.Abort(ctx, from, to); err != nil {
		return err
	}
	if err := os.Remove(n.notePath()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fault.Wrap(err, fault.StoreIO, "%s cannot be removed", n.notePath())
	}
	return answer(w, struct{}{})
}

// exchange puts another store in the place of the one that is served from.
type exchange struct {
	n     *Node
	to    store.Mover
	url   string // of to
	trail *audit.Log
	auth  *auth.Auth
	done  bool
}

// hold is move.Config.Hold: nobody is inside the gate, no reload runs, nothing
// is left to be done behind an answer, and what was counted is stored.
func (x *exchange) hold(ctx context.Context) (func(), error) {
	n := x.n
	if err := n.holdWork(ctx); err != nil {
		n.goOn(ctx)
		return nil, err
	}
	if err := n.gate.close(ctx); err != nil {
		n.goOn(ctx)
		return nil, err
	}
	for !n.mu.TryLock() {
		select {
		case <-ctx.Done():
			n.gate.open()
			n.goOn(ctx)
			return nil, fault.Wrap(ctx.Err(), fault.QueryCanceled, "a reload took too long to end")
		case <-time.After(time.Millisecond):
		}
	}
	release := func() {
		n.mu.Unlock()
		n.gate.open()
		n.goOn(ctx)
	}
	err := n.auth.Idle(ctx)
	if err == nil {
		if err = n.auth.Stop(ctx); err == nil {
			err = n.audit.Flush(ctx)
		}
	}
	resume := func() {
		if !x.done {
			if err := n.auth.Start(context.WithoutCancel(ctx)); err != nil {
				n.opt.Log.Error("identity could not be started again: restart the node", "error", err)
			}
			x.forget(context.WithoutCancel(ctx))
		}
		release()
	}
	if err != nil {
		resume()
		return nil, err
	}
	return resume, nil
}

// goOn works again after a hold.
func (n *Node) goOn(ctx context.Context) {
	n.work.mu.Lock()
	defer n.work.mu.Unlock()
	if err := n.resumeWork(context.WithoutCancel(ctx)); err != nil {
		n.opt.Log.Error("jobs and events stand still: restart the node", "error", err)
	}
}

// ready opens on the new store what is served from it.
func (x *exchange) ready(ctx context.Context) (err error) {
	x.trail, err = audit.Open(ctx, audit.Config{Driver: x.to, Wrapper: x.n.wrapper, Log: x.n.opt.Log})
	if err != nil {
		return err
	}
	if x.auth, err = x.n.newAuth(x.n.Application(), x.to, x.trail); err != nil {
		return err
	}
	return x.auth.Start(ctx) // it only reads: the keys are there
}

// forget closes what ready has opened, after a switch that was given up.
func (x *exchange) forget(ctx context.Context) {
	if x.auth != nil {
		_ = x.auth.Stop(ctx) // it has done nothing
		x.auth = nil
	}
	if x.trail != nil {
		_ = x.trail.Close(ctx) // nothing was written to it
		x.trail = nil
	}
}

// switched is move.Config.Switched. The gate is shut and n.mu is held.
func (x *exchange) switched() {
	n := x.n
	out, q, err := x.openQueues()
	if err != nil { // nothing is served from a store that loses events; the old one takes no writes
		n.opt.Log.Error("the new store's queues cannot be opened: restart the node", "error", err)
		return
	}
	old, trail, left := n.driver, n.audit, n.outbox
	gone := n.webhooks
	n.driver, n.audit, n.auth, n.outbox, n.queue, n.webhooks = x.to, x.trail, x.auth, out, q, n.openWebhooks(context.Background(), x.to)
	if err := n.use(n.Application()); err != nil { // it was used before
		n.opt.Log.Error("the application cannot be served from its new store: restart the node", "error", err)
	}
	n.usage.Move(x.to)
	n.moves.leave(old)
	n.moves.serve(x.url)
	x.done = true
	_ = left.Close()
	_ = gone.Close(context.Background())  // the old store takes no more of what has worked
	_ = trail.Close(context.Background()) // what was counted has been stored; what was since is refused by the fence
}

// openQueues opens the outbox and the queue of the new store, which takes writes
// from now on and not before.
func (x *exchange) openQueues() (out *outbox.Outbox, q *queue.Queue, err error) {
	const tries = 5
	for range tries {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		out, q, err = x.n.openQueues(ctx, x.n.Application(), x.to)
		cancel()
		if err == nil {
			break
		}
	}
	return out, q, err
}

// end closes the new store where it did not become the application's.
func (x *exchange) end() {
	x.n.gate.near.Store(false)
	if !x.done {
		_ = x.to.Close() // the move has answered
	}
}
