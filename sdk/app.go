package pando

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/pandobase/pando/internal/cli"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/operations"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/server"
)

// App is an application: its folder, and its code in Go. It is safe for concurrent
// use; code is registered before it is run or opened.
type App struct {
	dir    string
	env    []string
	listen string
	ops    string
	log    io.Writer
	ready  func(url string)

	mu   sync.Mutex
	code []code
}

// Option is a setting of an [App].
type Option func(*App)

// Listen is the public address, host:port, in place of pando.yaml's; port 0 takes a
// free one.
func Listen(addr string) Option { return func(a *App) { a.listen = addr } }

// Ops is the address of /healthz, /readyz and /metrics, in place of pando.yaml's.
func Ops(addr string) Option { return func(a *App) { a.ops = addr } }

// Data is the data folder, in place of pando.yaml's.
func Data(dir string) Option { return Env("PANDO_DATA=" + dir) }

// Env gives settings of pando.yaml as PANDO_NAME=value, in place of those of the
// process's environment and of earlier options.
func Env(settings ...string) Option {
	return func(a *App) {
		for _, s := range settings {
			name, _, _ := strings.Cut(s, "=")
			a.env = append(slices.DeleteFunc(slices.Clone(a.env), func(kv string) bool { return strings.HasPrefix(kv, name+"=") }), s)
		}
	}
}

// Log is where [App.Run] writes its log; by default standard error.
func Log(w io.Writer) Option { return func(a *App) { a.log = w } }

// Ready is called once [App.Run] serves, with the URL that it serves at.
func Ready(fn func(url string)) Option { return func(a *App) { a.ready = fn } }

// New is the application in a folder: the one with pando.yaml. Nothing is read yet.
func New(dir string, opts ...Option) *App {
	a := &App{dir: dir, env: os.Environ(), log: os.Stderr}
	for _, o := range opts {
		o(a)
	}
	return a
}

// With is the same application, with the code that it has now, under further options.
func (a *App) With(opts ...Option) *App {
	a.mu.Lock()
	b := &App{dir: a.dir, env: a.env, listen: a.listen, ops: a.ops, log: a.log, ready: a.ready, code: slices.Clone(a.code)}
	a.mu.Unlock()
	for _, o := range opts {
		o(b)
	}
	return b
}

// Main runs the command line of pando, with this application's folder as the default of
// -C and this application's code in it, and ends the process. What [Listen], [Ops]
// and [Log] say is for [App.Run] alone: the command line has its flags.
func (a *App) Main() {
	os.Exit(cli.Run(os.Args[1:], cli.Options{Dir: a.dir, Env: a.env, Go: a.funcs(), Check: a.check}))
}

// Run serves the application, as `pando serve` does, until ctx ends; then what runs
// is finished. A nil error is an orderly end.
func (a *App) Run(ctx context.Context) error {
	app, err := server.Load(a.dir, a.env)
	if err != nil {
		return err
	}
	if problems := a.check(app.Model); len(problems) > 0 {
		return &server.InvalidError{Problems: problems}
	}
	opt := server.ServeOptions{
		Options: server.Options{Dir: a.dir, Env: a.env, Go: a.funcs()},
		Listen:  a.listen, Ops: a.ops, Output: a.log,
	}
	if a.ready != nil {
		opt.Ready = func(run *server.Running) { a.ready(run.URL) }
	}
	return server.Serve(ctx, opt)
}

// funcs is the code by its names. What is registered twice is refused by check.
func (a *App) funcs() map[string]operations.Func {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make(map[string]operations.Func, len(a.code))
	for _, c := range a.code {
		out[c.name] = c.run
	}
	return out
}

// declared is what a model says of code in Go.
type declared struct {
	name string
	run  string
	kind kind
	pos  model.Pos
	what string
}

func declarations(app *model.App) (out []declared) {
	for _, m := range app.Modules {
		for _, o := range m.Operations {
			out = append(out, declared{o.QualifiedName(), o.Run, operation, o.Pos, "operation"})
		}
		for _, f := range m.Functions {
			out = append(out, declared{f.QualifiedName(), f.Run, function, f.Pos, "function"})
		}
		for _, j := range m.Jobs {
			out = append(out, declared{j.QualifiedName(), j.Run, kindOf(j), j.Pos, "job"})
		}
	}
	return out
}

func kindOf(j *model.Job) kind {
	switch {
	case j.Trigger.Entity != nil || j.Trigger.Event != nil && j.Trigger.Event.Entity != nil:
		return handler
	case j.Trigger.Event != nil:
		return published
	case len(j.Input) > 0:
		return jobWith
	}
	return job
}

// check compares the code that is registered with the code that the model declares,
// and lists all that does not fit.
func (a *App) check(app *model.App) (problems []model.Problem) {
	a.mu.Lock()
	codes := slices.Clone(a.code)
	a.mu.Unlock()
	known := declarations(app)
	names := make([]string, len(known))
	for i, d := range known {
		names[i] = d.name
	}
	add := func(pos model.Pos, hint, format string, args ...any) {
		problems = append(problems, model.Problem{Pos: pos, Message: fmt.Sprintf(format, args...), Hint: hint})
	}
	first := map[string]*code{}
	for i := range codes {
		c := &codes[i]
		here := model.Pos{File: c.file, Line: c.line, Column: 1}
		if before := first[c.name]; before != nil {
			add(here, fmt.Sprintf("it is registered in %s:%d already", before.file, before.line), "%s is registered twice", c.name)
			continue
		}
		first[c.name] = c
		fits := slices.DeleteFunc(slices.Clone(known), func(d declared) bool { return d.name != c.name })
		if len(fits) == 0 {
			hint := "names are written as module.name"
			if near := fault.Nearest(c.name, names); near != "" {
				hint = "did you mean " + near + "?"
			}
			add(here, hint, "the application has no operation, function or job %s", c.name)
			continue
		}
		d := fits[0]
		if at := slices.IndexFunc(fits, func(d declared) bool { return d.kind == c.kind }); at >= 0 {
			d = fits[at]
		}
		switch {
		case d.run != "go":
			add(here, "give it `run: go` in "+d.pos.String(), "the %s %s runs %s", d.what, d.name, d.run)
		case d.kind != c.kind:
			add(here, fmt.Sprintf("register it with %s", d.kind.register()), "%s does not fit the %s that %s declares", c, d.what, d.pos)
		}
	}
	for _, d := range known {
		if d.run == "go" && first[d.name] == nil {
			c := code{name: d.name, kind: d.kind}
			add(d.pos, "register it: "+c.String(), "the %s %s runs in Go, and this program has no code for it", d.what, d.name)
		}
	}
	slices.SortStableFunc(problems, func(a, b model.Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return problems
}

// Instance is an application that is open in this process, without a listener: for
// tests, and for programs that do one thing with an application and end. It is safe
// for concurrent use.
type Instance struct{ node *server.Node }

// Open opens the application: its data folder, which no other process may have open,
// and its store, whose schema it brings to the model where that loses nothing. [Data]
// and [Env] count; there is no listener.
func (a *App) Open(ctx context.Context) (*Instance, error) {
	node, err := server.Open(ctx, server.Options{Dir: a.dir, Env: a.env, Migrate: true, Work: true, Go: a.funcs()})
	if err != nil {
		return nil, err
	}
	if problems := a.check(node.Application().Model); len(problems) > 0 {
		return nil, errors.Join(&server.InvalidError{Problems: problems}, node.Close(context.WithoutCancel(ctx)))
	}
	return &Instance{node}, nil
}

// Close finishes what runs, until ctx ends, and closes the application. It is safe to
// call twice.
func (i *Instance) Close(ctx context.Context) error { return i.node.Close(ctx) }

// As returns a context in which somebody acts: [From], [Call], [Enqueue] and [Publish]
// work in it as in code, of every module. The roles that the identity's inherit are
// added. A user is one of [Instance.AddUser], or an id that nothing refers to.
func (i *Instance) As(ctx context.Context, id Identity) context.Context {
	p := policy.Identity{Role: policy.Role(cmp.Or(id.Role, Authenticated)), UID: string(id.UID), Email: id.Email, Key: "sdk"}
	p.Roles = closure(i.node.Application().Model.Config.Roles, id.Roles)
	return with(ctx, &actor{scope: outside{i.node, p}})
}

// Service returns a context in which the application itself acts, which no policy binds.
func (i *Instance) Service(ctx context.Context) context.Context {
	return i.As(ctx, Identity{Role: Service})
}

// Anonymous returns a context in which nobody known acts.
func (i *Instance) Anonymous(ctx context.Context) context.Context {
	return i.As(ctx, Identity{Role: Anonymous})
}

// AddUser makes the user of an identity, with its address and roles, unless there is
// one of that id.
func (i *Instance) AddUser(ctx context.Context, id Identity) error {
	return told(i.node.AddUser(ctx, string(id.UID), id.Email, id.Roles))
}

// Drain waits until the events and jobs that are due are worked, those among them that
// they cause. The error is ctx's, or that of the first job that failed for good.
func (i *Instance) Drain(ctx context.Context) error { return told(i.node.Drain(ctx)) }

// closure is every role that the named ones give, sorted.
func closure(roles map[string]model.Role, names []string) (out []string) {
	for len(names) > 0 {
		name := names[0]
		names = names[1:]
		if !slices.Contains(out, name) {
			out = append(out, name)
			names = append(slices.Clip(names), roles[name].Inherits...)
		}
	}
	slices.Sort(out)
	return out
}
