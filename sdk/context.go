package pando

import (
	"context"
	"strings"
	"time"

	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/operations"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/server"
)

// scope is what somebody may do: code that runs, by *operations.Scope, or who
// stands outside of it, by outside.
type scope interface {
	App() *model.App
	Identity() policy.Identity
	Read(ctx context.Context, service bool, q *query.Read, opt engine.ReadOptions) (*engine.Result, error)
	Write(ctx context.Context, service bool, w *query.Write) (*engine.Result, error)
	Operation(ctx context.Context, service bool, name string, input []byte) ([]byte, error)
	Publish(ctx context.Context, name string, data []byte) error
	Enqueue(ctx context.Context, name string, e operations.Enqueued) (string, error)
	Progress(fraction float64, message string) error
	Secret(name string) (string, error)
	Fetch(ctx context.Context, r *operations.Fetch) (*operations.Fetched, error)
}

var (
	_ scope = (*operations.Scope)(nil)
	_ scope = outside{}
)

// actor is who acts in a context.
type actor struct {
	scope
	service bool // as the application itself
}

type actorKey struct{}

// with returns a context in which somebody acts.
func with(ctx context.Context, a *actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

// acting is who acts in the context.
func acting(ctx context.Context) (*actor, error) {
	if a, ok := ctx.Value(actorKey{}).(*actor); ok {
		return a, nil
	}
	return nil, &Error{
		Code: string(fault.FunctionFailed), Status: fault.FunctionFailed.Status(),
		Message: "this context is of no code that runs",
		Hint:    "use the context that the code was called with, or one of an Instance: app.Open, or pandotest in tests",
	}
}

// AsService returns a context that acts as the application itself, which no policy
// binds. Records still tell for whom.
//
// In a context that nobody acts in it changes nothing; what is done with it fails.
func AsService(ctx context.Context) context.Context {
	a, err := acting(ctx)
	if err != nil || a.service {
		return ctx
	}
	return with(ctx, &actor{a.scope, true})
}

// The roles of an [Identity], one each.
const (
	Anonymous     = string(policy.Anon)
	Authenticated = string(policy.Authenticated)
	Service       = string(policy.Service)
)

// Identity is who calls.
type Identity struct {
	UID   UUID   // empty: no user
	Role  string // Anonymous, Authenticated or Service
	Roles []string
	Email string
}

// HasRole reports whether the caller has a role of the application.
func (i Identity) HasRole(name string) bool {
	id := policy.Identity{Roles: i.Roles}
	return id.HasRole(name)
}

// Caller is who calls. In a job it is the application, on behalf of the user whom
// the job is owed to, if there is one: his is the UID. Where nobody acts it is the
// zero Identity.
func Caller(ctx context.Context) Identity {
	a, err := acting(ctx)
	if err != nil {
		return Identity{}
	}
	id := a.Identity()
	uid := id.UID
	if uid == "" {
		uid = id.OnBehalf
	}
	return Identity{UID: UUID(uid), Role: string(id.Role), Roles: id.Roles, Email: id.Email}
}

// outside is what somebody may do who stands outside of code: what code of each
// module might, as himself.
type outside struct {
	node *server.Node
	id   policy.Identity
}

// of is the scope of a module.
func (o outside) of(module string) (*operations.Scope, error) {
	m := o.App().Module(module)
	if m == nil {
		return nil, fault.New(fault.InvalidInput, "there is no module %q", module).WithHint("names are written as module.name")
	}
	return o.node.Operations().Outside(o.Identity(), m), nil
}

func (o outside) named(name string) (*operations.Scope, error) {
	module, _, _ := strings.Cut(name, ".")
	return o.of(module)
}

func (o outside) App() *model.App { return o.node.Application().Model }

// Identity is who acts, through a request of its own.
func (o outside) Identity() policy.Identity {
	id := o.id
	id.Request = &policy.Request{Door: "sdk", Version: "v1", Time: time.Now()}
	return id
}

func (o outside) Read(ctx context.Context, service bool, q *query.Read, opt engine.ReadOptions) (*engine.Result, error) {
	s, err := o.of(q.Target.Module)
	if err != nil {
		return nil, err
	}
	return s.Read(ctx, service, q, opt)
}

func (o outside) Write(ctx context.Context, service bool, w *query.Write) (*engine.Result, error) {
	s, err := o.of(w.Target.Module)
	if err != nil {
		return nil, err
	}
	return s.Write(ctx, service, w)
}

func (o outside) Operation(ctx context.Context, service bool, name string, input []byte) ([]byte, error) {
	s, err := o.named(name)
	if err != nil {
		return nil, err
	}
	return s.Operation(ctx, service, name, input)
}

func (o outside) Publish(ctx context.Context, name string, data []byte) error {
	s, err := o.named(name)
	if err != nil {
		return err
	}
	return s.Publish(ctx, name, data)
}

func (o outside) Enqueue(ctx context.Context, name string, e operations.Enqueued) (string, error) {
	s, err := o.named(name)
	if err != nil {
		return "", err
	}
	return s.Enqueue(ctx, name, e)
}

func inside(what string) error {
	return fault.New(fault.Forbidden, "%s are for code that runs", what).WithHint("ask for them in an operation, a function or a job, which declares them")
}

func (outside) Progress(float64, string) error { return inside("reports of progress") }

func (outside) Secret(string) (string, error) { return "", inside("secrets") }

func (outside) Fetch(context.Context, *operations.Fetch) (*operations.Fetched, error) {
	return nil, inside("integrations")
}
