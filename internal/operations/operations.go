package operations

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/pandobase/pando/internal/audit"
	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/functions"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
)

// Func is code of the application that is written in Go. It answers JSON, or
// nothing.
type Func func(ctx context.Context, s *Scope, input []byte) ([]byte, error)

// Config is what the room is made of. Engine and Rules are required.
type Config struct {
	Engine *engine.Engine
	Rules  *policy.Rules
	// Sandbox runs the code that lies in files; nil: none does.
	Sandbox *functions.Runtime
	// Go holds the code that is written in Go, by module.name of the operation,
	// function or job.
	Go map[string]Func
	// Rows performs a request in the grammar of the REST door.
	Rows func(ctx context.Context, exec engine.Executor, id policy.Identity, r *Request) (*Answer, error)
	// Enqueue puts a job into its queue, with the transaction.
	Enqueue func(tx store.Tx, j *model.Job, e Enqueued) (id string, err error)
	// Fetch calls an integration.
	Fetch func(ctx context.Context, in *model.Integration, r *Fetch) (*Fetched, error)
	// Secret returns a secret by its name.
	Secret func(name string) (string, error)
	// Audit takes what is called; nil: nobody does.
	Audit *audit.Log
	Log   *slog.Logger // default: none
}

// Request is a request for rows in the grammar of the REST door.
type Request struct {
	Method, Module, Entity string
	Query, Prefer          string
	Single                 bool
	Body                   json.RawMessage
}

// Answer is what it answers.
type Answer struct {
	Status int             `json:"status"`
	Count  *int64          `json:"count"`
	Body   json.RawMessage `json:"body"`
}

// Fetch is a request that code makes of an integration: URL is below the
// integration's, or NAME:/path.
type Fetch struct {
	URL     string      `json:"url"`
	Method  string      `json:"method"`
	Headers [][2]string `json:"headers"`
	Body    []byte      `json:"body"` // base64 in JSON; null: none
}

// Fetched is what the integration has answered.
type Fetched struct {
	Status  int         `json:"status"`
	Headers [][2]string `json:"headers"`
	Body    []byte      `json:"body"`
	URL     string      `json:"url"`
}

// Enqueued is a job that code enqueues.
type Enqueued struct {
	Input    []byte
	At       time.Time // zero: at once
	Unique   string    // empty: it may be there many times
	Priority int       // 0: the job's own
	Caller   *policy.Identity
}

// Operations runs the code of one application. It is safe for concurrent use.
type Operations struct {
	cfg Config
	app *model.App
}

// New returns the code of the engine's application.
func New(c Config) *Operations {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Operations{cfg: c, app: c.Engine.App()}
}

// Find returns an operation by its name in a module; without a module, the one of
// that name. The names are those of a version of the API; nil: the model's.
func (o *Operations) Find(v *model.View, module, name string) (*model.Operation, error) {
	var found *model.Operation
	var names []string
	for _, m := range o.app.Modules {
		if module != "" && m.Name != module {
			continue
		}
		for _, op := range m.Operations {
			called, there := op.Name, true
			if v != nil {
				called, there = v.OperationName(op)
			}
			if !there || called != name {
				names = append(names, called)
				continue
			}
			if found != nil {
				return nil, fault.New(fault.AmbiguousOperation, "the modules %s and %s both have an operation %s", found.Module.Name, m.Name, name).
					WithHint("choose the module with Content-Profile (supabase.schema('%s'))", m.Name)
			}
			found = op
		}
	}
	if found == nil {
		f := fault.New(fault.UnknownOperation, "Could not find the operation %s", shorten(name))
		if near := fault.Nearest(name, names); near != "" {
			f = f.WithHint("Perhaps you meant %s.", near)
		}
		return nil, f
	}
	return found, nil
}

const longestName = 63

func shorten(name string) string {
	if len(name) > longestName {
		return strings.ToValidUTF8(name[:longestName], "") + "..."
	}
	return name
}

// Call is a call of an operation.
type Call struct {
	Operation   *model.Operation
	Input       []byte              // JSON
	Idempotency *engine.Idempotency // nil: none

	depth int // of the calls that it stands in
}

// Call runs an operation as its caller and returns its output: JSON, or nil where
// none is declared.
//
// Faults: Forbidden where `allow` does not allow it (MissingCredential to
// strangers), InvalidInput, InvalidOutput, QueryCanceled after the operation's
// timeout, Serialization where others came in the way too often, and what its code
// has thrown.
func (o *Operations) Call(ctx context.Context, id policy.Identity, c *Call) (*engine.Result, error) {
	op := c.Operation
	if err := o.allowed(ctx, nil, id, op); err != nil {
		return nil, err
	}
	input, err := Input(op.Input, c.Input)
	if err != nil {
		return nil, err
	}
	id = through(id, op.QualifiedName())
	ctx, cancel := context.WithTimeoutCause(ctx, op.Timeout, errTimeout)
	defer cancel()
	s := &Scope{o: o, exec: o.cfg.Engine, id: id, module: op.Module, code: &op.Code, name: op.QualifiedName(), depth: c.depth}
	if !op.Transaction {
		if op.Reads {
			s.exec = reading{o.cfg.Engine}
		}
		return o.apart(ctx, s, c, input)
	}
	res, err := o.cfg.Engine.Transact(ctx, id, engine.TransactOptions{ReadOnly: op.Reads, Idempotency: c.Idempotency},
		func(ctx context.Context, tx *engine.Tx) ([]byte, error) {
			inner := *s
			inner.exec, inner.tx = tx, tx
			return inner.perform(ctx, op, input)
		})
	return res, timedOut(ctx, err, op.QualifiedName(), op.Timeout)
}

// Within is Call as a part of a transaction that a door leads. One that fails with
// something written fails all of it.
func (o *Operations) Within(ctx context.Context, tx *engine.Tx, id policy.Identity, c *Call) ([]byte, error) {
	return o.within(ctx, tx, id, c, "the request")
}

// within runs an operation in the transaction of what calls it, by its name.
func (o *Operations) within(ctx context.Context, tx *engine.Tx, id policy.Identity, c *Call, caller string) ([]byte, error) {
	op := c.Operation
	if !op.Transaction {
		return nil, fault.New(fault.Conflict, "%s cannot run within the transaction of %s", op.QualifiedName(), caller).
			WithHint("%s has `transaction: false`: call it by itself, or from a job, or give what calls it that too", op.QualifiedName())
	}
	if err := o.allowed(ctx, tx, id, op); err != nil {
		return nil, err
	}
	input, err := Input(op.Input, c.Input)
	if err != nil {
		return nil, err
	}
	s := &Scope{
		o: o, exec: tx, tx: tx, id: through(id, op.QualifiedName()), module: op.Module, code: &op.Code,
		name: op.QualifiedName(), depth: c.depth,
	}
	ctx, cancel := context.WithTimeoutCause(ctx, op.Timeout, errTimeout)
	defer cancel()
	var out []byte
	err = tx.Whole(func() error {
		out, err = s.perform(ctx, op, input)
		return timedOut(ctx, err, s.name, op.Timeout)
	})
	return out, err
}

// apart runs an operation without a transaction of its own.
func (o *Operations) apart(ctx context.Context, s *Scope, c *Call, input []byte) (*engine.Result, error) {
	run := func(ctx context.Context) ([]byte, error) { return s.perform(ctx, c.Operation, input) }
	if c.Idempotency == nil {
		body, err := run(ctx)
		if err != nil {
			return nil, timedOut(ctx, err, s.name, c.Operation.Timeout)
		}
		return &engine.Result{Body: body, Total: -1}, nil
	}
	res, err := o.cfg.Engine.Once(ctx, s.id, c.Idempotency, run)
	return res, timedOut(ctx, err, s.name, c.Operation.Timeout)
}

// reading is an executor of what only reads, where there is no transaction that
// sees to it.
type reading struct{ engine.Executor }

// Write implements [engine.Executor].
func (reading) Write(context.Context, policy.Identity, *query.Write, *engine.Idempotency) (*engine.Result, error) {
	return nil, store.OnlyReads()
}

// Append implements [engine.Executor].
func (reading) Append(context.Context, func(store.Tx) error) error { return store.OnlyReads() }

// errTimeout is the cause of contexts that end with an operation's time.
var errTimeout = errors.New("the time of the operation is over")

func timedOut(ctx context.Context, err error, name string, after time.Duration) error {
	if err == nil || !errors.Is(context.Cause(ctx), errTimeout) {
		return err
	}
	return fault.Wrap(err, fault.QueryCanceled, "%s did not end within %s", name, after).
		WithHint("give it a longer timeout, or let a job do what takes long")
}

// Allows reports whether a caller may run an operation.
func (o *Operations) Allows(id policy.Identity, op *model.Operation) bool {
	return o.cfg.Rules.Allow(op, &id)
}

// allowed judges an operation's `allow`; tx is the transaction that the call stands in.
func (o *Operations) allowed(ctx context.Context, tx *engine.Tx, id policy.Identity, op *model.Operation) error {
	if o.Allows(id, op) {
		return nil
	}
	return o.denied(ctx, tx, id, op.QualifiedName(), op.Allow == nil)
}

func (o *Operations) denied(ctx context.Context, tx *engine.Tx, id policy.Identity, name string, closed bool) error {
	f := fault.New(fault.Forbidden, "permission denied for %s", name)
	if closed {
		f = f.WithHint("%s has no `allow`: only the secret key gets in", name)
	}
	known := id.Role == policy.Authenticated || id.Role == policy.Service
	if !known {
		f = f.ToStranger()
	}
	if o.cfg.Audit == nil {
		return f
	}
	if !known {
		o.cfg.Audit.Count(id.Key, name)
		return f
	}
	r := audit.FromIdentity(&id)
	r.Action, r.Operation, r.Rule = "call", name, name+".allow"
	r.Detail = map[string]string{"reason": f.Message}
	if tx != nil { // which may hold what the record would wait for
		tx.Deny(r)
		return f
	}
	if err := o.cfg.Audit.Refuse(ctx, &r); err != nil {
		o.cfg.Log.Error("a denial could not be put on record", "operation", name, "error", err)
	}
	return f
}

// through is the identity of who asks through code: records tell its name.
func through(id policy.Identity, name string) policy.Identity {
	r := policy.Request{}
	if id.Request != nil {
		r = *id.Request
	}
	r.Operation = name
	id.Request = &r
	return id
}
