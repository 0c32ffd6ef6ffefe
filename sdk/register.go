package pando

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"runtime"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/operations"
)

// kind is what code is registered for.
type kind uint8

const (
	operation kind = iota
	job            // by schedule, or enqueued without input
	jobWith        // enqueued with input
	handler        // of a write's event
	published      // of an event that code publishes
	function
)

// register is the call that registers code of the kind.
func (k kind) register() string {
	switch k {
	case operation:
		return "pando.Operation"
	case job:
		return "pando.Job"
	case jobWith:
		return "pando.JobWith"
	case handler:
		return "pando.Handle"
	case published:
		return "pando.HandlePublished"
	case function:
	}
	return "pando.Function"
}

// code is code that was registered.
type code struct {
	name string
	kind kind
	run  operations.Func
	file string // where it was registered
	line int
}

// add registers code for the caller of its caller.
func (a *App) add(k kind, name string, run operations.Func) {
	c := code{name: name, kind: k, run: run}
	if _, file, line, ok := runtime.Caller(2); ok {
		c.file, c.line = filepath.Base(file), line
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.code = append(a.code, c)
}

// Operation registers the code of an operation. Its input was checked and has the
// types of the model; its output is checked. What the code writes is one transaction
// with all that it calls, and nothing of it stays if it returns an error, unless the
// operation has `transaction: false`.
//
// The transaction may run again where others came in its way: code has no effects but
// those that it has through its context.
func Operation[In, Out any](app *App, name OperationName[In, Out], fn func(ctx context.Context, in In) (Out, error)) {
	app.add(operation, string(name), func(ctx context.Context, s *operations.Scope, input []byte) ([]byte, error) {
		in, err := decodeInput[In](string(name), input)
		if err != nil {
			return nil, err
		}
		out, err := fn(with(ctx, &actor{scope: s}), in)
		if err != nil {
			return nil, thrown(string(name), err)
		}
		raw, err := json.Marshal(out)
		if err != nil {
			return nil, fault.Wrap(err, fault.InvalidOutput, "what %s answers cannot be written", name)
		}
		if string(raw) == "null" && listed(s, string(name)) { // a nil slice
			return []byte("[]"), nil
		}
		return raw, nil
	})
}

// listed reports whether an operation answers a list.
func listed(s *operations.Scope, name string) bool {
	_, op, _ := bytes.Cut([]byte(name), []byte{'.'})
	o := s.Module().Operation(string(op))
	return o != nil && o.Output != nil && o.Output.List
}

func decodeInput[In any](name string, input []byte) (in In, err error) {
	if len(input) == 0 {
		return in, nil
	}
	if err := json.Unmarshal(input, &in); err != nil {
		return in, fault.Wrap(err, fault.FunctionFailed, "the input of %s does not fit its type in Go", name).WithHint("write the types again: pando gen go")
	}
	return in, nil
}

// Job registers the code of a job that a schedule starts, or that is enqueued
// without an input. It runs as the application, again after an error, as the job's
// retry says.
func Job(app *App, name JobName[None], fn func(ctx context.Context) error) {
	app.add(job, string(name), func(ctx context.Context, s *operations.Scope, _ []byte) ([]byte, error) {
		return nil, thrown(string(name), fn(with(ctx, &actor{scope: s})))
	})
}

// JobWith registers the code of a job that is enqueued with an input.
func JobWith[In any](app *App, name JobName[In], fn func(ctx context.Context, in In) error) {
	app.add(jobWith, string(name), func(ctx context.Context, s *operations.Scope, input []byte) ([]byte, error) {
		in, err := decodeInput[In](string(name), input)
		if err != nil {
			return nil, err
		}
		return nil, thrown(string(name), fn(with(ctx, &actor{scope: s}), in))
	})
}

// HandlerName is module.name of a job on a write, with the type of its row.
type HandlerName[T any] string

// Event is what follows from a write: the row as it is now or, deleted, as it was,
// and an updated row as it was before. Hidden and encrypted fields are left out,
// unless the event names them.
type Event[T any] struct {
	ID   string // the same in each try, for code that has to know what it has done
	Type string // module.event, or module.entity.action
	Time time.Time
	Row  T
	Old  *T // nil: the row was created or deleted
}

// Handle registers the code of a job on a write or on the event of one. It runs as
// the application, at least once for each event.
func Handle[T any](app *App, name HandlerName[T], fn func(ctx context.Context, ev Event[T]) error) {
	app.add(handler, string(name), func(ctx context.Context, s *operations.Scope, input []byte) ([]byte, error) {
		in, err := decodeInput[cloudEvent[struct {
			Row T  `json:"row"`
			Old *T `json:"old"`
		}]](string(name), input)
		if err != nil {
			return nil, err
		}
		ev := Event[T]{ID: in.ID, Type: in.Type, Time: in.Time, Row: in.Data.Row, Old: in.Data.Old}
		return nil, thrown(string(name), fn(with(ctx, &actor{scope: s}), ev))
	})
}

// PublishedName is module.name of a job on an event that code publishes, with the
// type of what the event holds.
type PublishedName[T any] string

// Published is an event that code has published.
type Published[T any] struct {
	ID   string // the same in each try
	Type string // module.event
	Time time.Time
	Data T
}

// HandlePublished registers the code of a job on an event that code publishes. It
// runs as the application, at least once for each event.
func HandlePublished[T any](app *App, name PublishedName[T], fn func(ctx context.Context, ev Published[T]) error) {
	app.add(published, string(name), func(ctx context.Context, s *operations.Scope, input []byte) ([]byte, error) {
		in, err := decodeInput[cloudEvent[T]](string(name), input)
		if err != nil {
			return nil, err
		}
		return nil, thrown(string(name), fn(with(ctx, &actor{scope: s}), Published[T](in)))
	})
}

// cloudEvent is what jobs on events are given (CloudEvents 1.0, in JSON).
type cloudEvent[T any] struct {
	ID   string    `json:"id"`
	Type string    `json:"type"`
	Time time.Time `json:"time"`
	Data T         `json:"data"`
}

// String names what was registered, for messages.
func (c *code) String() string { return fmt.Sprintf("%s(app, %q, ...)", c.kind.register(), c.name) }
