package operations

import (
	"context"
	"slices"
	"strings"

	"github.com/pandobase/pando/internal/audit"
	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/functions"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
)

// maxNested is how deep operations may call each other.
const maxNested = 16

// Scope is what one run of code may do: as whom, in which transaction, for which
// module. It is safe for concurrent use and valid until the run ends.
type Scope struct {
	o      *Operations
	exec   engine.Executor
	tx     *engine.Tx // nil: there is no transaction
	id     policy.Identity
	module *model.Module
	code   *model.Code
	name   string // of the operation, function or job
	job    *Job   // that runs; nil: none
	depth  int
}

// Name is what runs: module.name of the operation, function or job.
func (s *Scope) Name() string { return s.name }

// Identity is the caller.
func (s *Scope) Identity() policy.Identity { return s.id }

// App is the application.
func (s *Scope) App() *model.App { return s.o.app }

// Module is the module whose code runs.
func (s *Scope) Module() *model.Module { return s.module }

// Attempt is the number of the job's try, from 1; 0: no job runs.
func (s *Scope) Attempt() int {
	if s.job == nil {
		return 0
	}
	return s.job.Try
}

// as is who asks: the caller, or the application itself on his behalf.
func (s *Scope) as(service bool) policy.Identity {
	if !service || s.id.Role == policy.Service {
		return s.id
	}
	return policy.Identity{Role: policy.Service, Key: "code", OnBehalf: s.id.UID, Request: s.id.Request}
}

// target is the entity that code names: of its own module. Modules meet in
// operations, in events and in relations that the policies allow.
func (s *Scope) target(module, entity string) (query.Target, error) {
	if module == "" {
		module = s.module.Name
		if m, e, ok := strings.Cut(entity, "."); ok {
			module, entity = m, e
		}
	}
	if module != s.module.Name && !s.o.builtin(module) {
		return query.Target{}, fault.New(fault.Forbidden, "the module %s cannot reach %s.%s", s.module.Name, module, entity).
			WithHint("call an operation of %s, listen to its events, or read it along a relation of an entity of %s", module, s.module.Name)
	}
	return query.Target{Module: module, Entity: entity}, nil
}

func (o *Operations) builtin(module string) bool {
	m := o.app.Module(module)
	return m != nil && m.Builtin
}

// Rows performs a request for rows, with the caller's rights or as the application.
func (s *Scope) Rows(ctx context.Context, service bool, r *Request) (*Answer, error) {
	t, err := s.target(r.Module, r.Entity)
	if err != nil {
		return nil, err
	}
	own := *r
	own.Module, own.Entity = t.Module, t.Entity
	return s.o.cfg.Rows(ctx, s.exec, s.as(service), &own)
}

// Read reads rows, with the caller's rights or as the application.
func (s *Scope) Read(ctx context.Context, service bool, q *query.Read, opt engine.ReadOptions) (*engine.Result, error) {
	t, err := s.target(q.Target.Module, q.Target.Entity)
	if err != nil {
		return nil, err
	}
	own := *q
	own.Target = t
	return s.exec.Read(ctx, s.as(service), &own, opt)
}

// Write changes rows, with the caller's rights or as the application.
func (s *Scope) Write(ctx context.Context, service bool, w *query.Write) (*engine.Result, error) {
	t, err := s.target(w.Target.Module, w.Target.Entity)
	if err != nil {
		return nil, err
	}
	own := *w
	own.Target = t
	return s.exec.Write(ctx, s.as(service), &own, nil)
}

// perform runs an operation's code and checks what it answers. A call without a
// transaction is put on record, whatever it did.
func (s *Scope) perform(ctx context.Context, op *model.Operation, input []byte) ([]byte, error) {
	raw, err := s.run(ctx, op.Run, functions.KindOperation, op.Timeout, input)
	if err != nil {
		return nil, err
	}
	out, err := Output(op.Output, raw)
	if err != nil {
		s.o.cfg.Log.Error("an operation has answered what is not of its output's type", "operation", s.name, "request", s.request(), "error", err)
		return nil, err
	}
	if s.o.cfg.Audit == nil || op.Reads || s.tx != nil { // what it wrote in its transaction is on record in its name
		return out, nil
	}
	r := audit.FromIdentity(&s.id)
	r.Action, r.Operation, r.Rule = "call", s.name, s.name+".allow"
	return out, s.exec.Append(ctx, func(tx store.Tx) error { return s.o.cfg.Audit.Append(tx, &r) })
}

func (s *Scope) request() string {
	if s.id.Request == nil {
		return ""
	}
	return s.id.Request.ID
}

// Operation calls an operation: one of the module, or one that the code has
// declared to call. It runs under its own `allow`, in the transaction of the code that
// calls, if there is one. One that fails there with something written fails the whole
// transaction, also where the code goes on: it is never kept by half.
func (s *Scope) Operation(ctx context.Context, service bool, name string, input []byte) ([]byte, error) {
	module, op := s.module, name
	if m, n, ok := strings.Cut(name, "."); ok {
		if op = n; m != module.Name {
			if module = s.o.app.Module(m); module == nil {
				return nil, fault.New(fault.UnknownOperation, "there is no module %s", shorten(m))
			}
		}
	}
	called := module.Operation(op)
	if called == nil {
		return nil, fault.New(fault.UnknownOperation, "the module %s has no operation %s", module.Name, shorten(op))
	}
	if module != s.module && !slices.Contains(s.code.Calls, called) {
		return nil, fault.New(fault.Forbidden, "%s does not declare that it calls %s", s.name, called.QualifiedName()).
			WithHint("add `calls: [%s]` to it", called.QualifiedName())
	}
	if s.depth >= maxNested {
		return nil, fault.New(fault.LimitExceeded, "operations call each other more than %d deep", maxNested).WithDetails("%s calls %s", s.name, called.QualifiedName())
	}
	id := s.as(service)
	if s.tx == nil {
		if _, reads := s.exec.(reading); reads && !called.Reads {
			return nil, store.OnlyReads()
		}
		res, err := s.o.Call(ctx, id, &Call{Operation: called, Input: input, depth: s.depth + 1})
		if err != nil {
			return nil, err
		}
		return res.Body, nil
	}
	return s.o.within(ctx, s.tx, id, &Call{Operation: called, Input: input, depth: s.depth + 1}, s.name)
}

// Publish publishes an event of the module, with the transaction if there is one.
func (s *Scope) Publish(ctx context.Context, name string, data []byte) error {
	name = strings.TrimPrefix(name, s.module.Name+".")
	at := slices.IndexFunc(s.module.Events, func(e *model.Event) bool { return e.Name == name })
	if at < 0 {
		return fault.New(fault.InvalidInput, "the module %s has no event %s", s.module.Name, shorten(name)).
			WithHint("an event that code publishes is declared without `on` in the module that publishes it")
	}
	ev := s.module.Events[at]
	if ev.Entity != nil {
		return fault.New(fault.InvalidInput, "the event %s follows from a write: code does not publish it", ev.QualifiedName())
	}
	data, err := Input(ev.Data, data)
	if err != nil {
		return err
	}
	return s.exec.Append(ctx, func(tx store.Tx) error { return s.o.cfg.Engine.Publish(tx, &s.id, ev, data) })
}

// Enqueue puts a job of the module into its queue, with the transaction if there is
// one, and returns its id.
func (s *Scope) Enqueue(ctx context.Context, name string, e Enqueued) (id string, err error) {
	name = strings.TrimPrefix(name, s.module.Name+".")
	at := slices.IndexFunc(s.module.Jobs, func(j *model.Job) bool { return j.Name == name })
	if at < 0 {
		return "", fault.New(fault.InvalidInput, "the module %s has no job %s", s.module.Name, shorten(name)).
			WithHint("code enqueues jobs of its own module")
	}
	j := s.module.Jobs[at]
	if j.Trigger.Given() || j.Cron != "" {
		return "", fault.New(fault.InvalidInput, "the job %s starts by itself: code does not enqueue it", j.QualifiedName())
	}
	if e.Input, err = Input(j.Input, e.Input); err != nil {
		return "", err
	}
	if e.Priority < 0 || e.Priority > 4 {
		return "", fault.New(fault.InvalidInput, "a priority is from 1 to 4")
	}
	e.Caller = &s.id
	err = s.exec.Append(ctx, func(tx store.Tx) error {
		id, err = s.o.cfg.Enqueue(tx, j, e)
		return err
	})
	return id, err
}

// Progress tells how far the job is that runs.
func (s *Scope) Progress(fraction float64, message string) error {
	if s.job == nil {
		return fault.New(fault.Conflict, "only a job has progress")
	}
	s.job.Progress(fraction, message)
	return nil
}

// Secret returns a secret that the code has declared.
func (s *Scope) Secret(name string) (string, error) {
	name = strings.TrimPrefix(name, "secret:")
	if !slices.Contains(s.code.Secrets, name) {
		return "", fault.New(fault.Forbidden, "%s does not declare the secret %s", s.name, shorten(name)).
			WithHint("add `secrets: [\"secret:%s\"]` to it", shorten(name))
	}
	return s.o.cfg.Secret(name)
}

// Fetch calls an integration of the module. Within a transaction it is refused: it
// would hold what others wait for, and could not be undone.
func (s *Scope) Fetch(ctx context.Context, r *Fetch) (*Fetched, error) {
	if s.tx != nil {
		return nil, fault.New(fault.Conflict, "%s cannot call out within its transaction", s.name).
			WithHint("let a job make the call, or give the operation `transaction: false`")
	}
	in, err := s.integration(r.URL)
	if err != nil {
		return nil, err
	}
	return s.o.cfg.Fetch(ctx, in, r)
}

// integration finds the integration of the module that a URL belongs to:
// NAME:/path, or one below its own.
func (s *Scope) integration(url string) (*model.Integration, error) {
	var names []string
	for _, in := range s.module.Integrations {
		names = append(names, in.Name)
		if strings.HasPrefix(url, in.Name+":") && !strings.HasPrefix(url, in.Name+"://") {
			return in, nil
		}
		if base := strings.TrimSuffix(in.URL, "/"); in.URL != "" && !strings.HasPrefix(in.URL, "secret:") && (url == base || strings.HasPrefix(url, base+"/") || strings.HasPrefix(url, base+"?")) {
			return in, nil
		}
	}
	hint := "declare it under `integrations` of the module " + s.module.Name
	if len(names) > 0 {
		hint += "; it has: " + strings.Join(names, ", ")
	}
	return nil, fault.New(fault.Forbidden, "%s calls out to what is no integration", s.name).WithHint("%s", hint)
}
