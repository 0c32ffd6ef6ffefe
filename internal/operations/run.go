package operations

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/functions"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
)

// inGo is what a module file says of code that is written in Go.
const inGo = "go"

// run runs code and returns what it answers.
func (s *Scope) run(ctx context.Context, what string, kind functions.Kind, limit time.Duration, input []byte) ([]byte, error) {
	if what == inGo {
		return s.runGo(ctx, input)
	}
	if s.o.cfg.Sandbox == nil {
		return nil, fault.New(fault.FunctionFailed, "%s cannot run: there is no sandbox", s.name)
	}
	entry, export, _ := strings.Cut(what, "#")
	out, err := s.o.cfg.Sandbox.Invoke(ctx, functions.Call{
		Entry: entry, Export: export, Kind: kind, Input: input, Context: s.context(), Host: s, RequestID: s.request(), Depth: s.depth,
		Limits: functions.Limits{Memory: s.code.Memory, Timeout: limit},
	})
	return out.Output, err
}

func (s *Scope) runGo(ctx context.Context, input []byte) (out []byte, err error) {
	fn := s.o.cfg.Go[s.name]
	if fn == nil {
		return nil, fault.New(fault.FunctionFailed, "%s runs in Go, and this binary does not have it", s.name).
			WithHint("register it in the program that serves the application, or run that program")
	}
	defer func() {
		if p := recover(); p != nil {
			err = fault.Wrap(fmt.Errorf("panic: %v\n%s", p, debug.Stack()), fault.FunctionFailed, "%s failed", s.name)
		}
	}()
	return fn(ctx, s, input)
}

// invocation is what code is told of its run.
type invocation struct {
	Auth    *callerInfo `json:"auth"`
	Request string      `json:"requestId"`
	Name    string      `json:"name"`
	Attempt int         `json:"attempt,omitempty"`
	Job     string      `json:"job,omitempty"`
}

type callerInfo struct {
	UID   *string     `json:"uid"`
	Role  policy.Role `json:"role"`
	Roles []string    `json:"roles"`
	Email *string     `json:"email"`
}

func (s *Scope) context() []byte {
	optional := func(t string) *string {
		if t == "" {
			return nil
		}
		return &t
	}
	uid := s.id.UID
	if uid == "" {
		uid = s.id.OnBehalf
	}
	in := invocation{
		Auth:    &callerInfo{UID: optional(uid), Role: s.id.Role, Roles: append([]string{}, s.id.Roles...), Email: optional(s.id.Email)},
		Request: s.request(), Name: s.name, Attempt: s.Attempt(),
	}
	if s.job != nil {
		in.Job = s.job.ID
	}
	out, _ := json.Marshal(in) // of texts and numbers: it cannot fail
	return out
}

// Function runs the code behind the functions' door: the answer is what it says of
// the response.
func (o *Operations) Function(ctx context.Context, id policy.Identity, f *model.Function, request []byte) ([]byte, error) {
	if !o.cfg.Rules.AllowFunction(f, &id) {
		return nil, o.denied(ctx, nil, id, f.QualifiedName(), f.Allow == nil)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, f.Timeout, errTimeout)
	defer cancel()
	s := &Scope{o: o, exec: o.cfg.Engine, id: through(id, f.QualifiedName()), module: f.Module, code: &f.Code, name: f.QualifiedName()}
	out, err := s.run(ctx, f.Run, functions.KindHTTP, f.Timeout, request)
	return out, timedOut(ctx, err, s.name, f.Timeout)
}

// Job is one try of a job.
type Job struct {
	ID    string
	Job   *model.Job
	Try   int // from 1
	Input []byte
	// UID is the user whom the job is owed to; empty: nobody.
	UID string
	// Trace is the id of the request that it is owed to.
	Trace string
	// Progress is told how far it is.
	Progress func(fraction float64, message string)
}

// RunJob runs the code of a job, as the application.
func (o *Operations) RunJob(ctx context.Context, j *Job) ([]byte, error) {
	kind := functions.KindJob
	if j.Job.Trigger.Given() {
		kind = functions.KindEvent
	}
	name := j.Job.QualifiedName()
	id := policy.Identity{
		Role: policy.Service, Key: "job", OnBehalf: j.UID,
		Request: &policy.Request{Door: "job", Operation: name, ID: j.Trace, Version: "v1", Time: time.Now()},
	}
	s := &Scope{o: o, exec: o.cfg.Engine, id: id, module: j.Job.Module, code: &j.Job.Code, name: name, job: j}
	return s.run(ctx, j.Job.Run, kind, j.Job.Timeout, j.Input)
}
