package server

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	functionsdoor "github.com/pandobase/pando/internal/api/functions"
	"github.com/pandobase/pando/internal/api/rest"
	"github.com/pandobase/pando/internal/edge"
	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/functions"
	"github.com/pandobase/pando/internal/jobs"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/operations"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/store"
)

// codeDir is the folder below the data folder where compiled code is kept.
const codeDir = "code"

// code lists the files of an application that hold code, and how much memory a call
// may take at most.
func code(app *model.App) (entries []string, memory int64) {
	add := func(run string, c *model.Code) {
		file, _, _ := strings.Cut(run, "#")
		if file == "go" {
			return
		}
		memory = max(memory, c.Memory)
		if !slices.Contains(entries, file) {
			entries = append(entries, file)
		}
	}
	for _, m := range app.Modules {
		for _, o := range m.Operations {
			add(o.Run, &o.Code)
		}
		for _, f := range m.Functions {
			add(f.Run, &f.Code)
		}
		for _, j := range m.Jobs {
			add(j.Run, &j.Code)
		}
	}
	slices.Sort(entries)
	return entries, memory
}

// loadCode makes the application's code ready to run. What does not compile is an
// *InvalidError, and the code before it goes on.
func (n *Node) loadCode(ctx context.Context, app *Application) error {
	entries, memory := code(app.Model)
	if !n.opt.Work || len(entries) == 0 && n.sandbox == nil {
		return nil
	}
	if n.sandbox == nil {
		var err error
		n.sandbox, err = functions.New(functions.Config{ //nolint:contextcheck // it outlives the call
			Cache: filepath.Join(n.data, codeDir), Folder: app.Dir, Memory: memory, Log: n.opt.Log,
		})
		if err != nil {
			return err
		}
	}
	return invalidCode(n.sandbox.Load(ctx, os.DirFS(app.Dir), entries))
}

// invalidCode makes an error of what does not compile; nil: everything does.
func invalidCode(problems []functions.Problem) error {
	if len(problems) == 0 {
		return nil
	}
	out := make([]model.Problem, len(problems))
	for i, p := range problems {
		out[i] = model.Problem{Pos: model.Pos{File: p.File, Line: p.Line, Column: p.Column}, Message: p.Message, Hint: p.Hint}
	}
	return &InvalidError{out}
}

// CheckCode compiles the code of an application and runs none of it. What is wrong
// with it is an *InvalidError.
func (a *Application) CheckCode() error {
	entries, _ := code(a.Model)
	return invalidCode(functions.Check(os.DirFS(a.Dir), a.Dir, entries))
}

// operations is the code of an application on an engine.
func (n *Node) operations(app *Application, eng *engine.Engine) *operations.Operations {
	q := n.queue
	return operations.New(operations.Config{
		Engine: eng, Rules: app.Rules, Sandbox: n.sandbox, Go: n.opt.Go, Audit: n.audit, Log: n.opt.Log,
		Rows: func(ctx context.Context, exec engine.Executor, id policy.Identity, r *operations.Request) (*operations.Answer, error) {
			a, err := rest.Perform(ctx, exec, id, rest.Call{
				Method: r.Method, Module: r.Module, Entity: r.Entity, Query: r.Query, Prefer: r.Prefer, Single: r.Single, Body: r.Body,
			})
			if err != nil {
				return nil, err
			}
			return &operations.Answer{Status: a.Status, Count: a.Count, Body: a.Body}, nil
		},
		Enqueue: func(tx store.Tx, j *model.Job, e operations.Enqueued) (string, error) {
			return jobs.Enqueue(q, tx, j, e)
		},
		Fetch:  n.fetch,
		Secret: n.secrets.Get,
	})
}

// functionsDoor is the handler of /functions/v1.
func (n *Node) functionsDoor(app *Application, ops *operations.Operations) http.Handler {
	return functionsdoor.New(functionsdoor.Config{
		App: app.Model, Operations: ops, Authenticate: n.caller("functions"), Logger: n.opt.Log, RequestID: edge.RequestIDOf,
	})
}
