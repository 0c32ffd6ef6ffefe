package functions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/pandobase/pando/internal/fault"
)

// problem is a fault as it crosses the border of an isolate, in both
// directions.
type problem struct {
	Name    string `json:"name,omitempty"`
	Code    string `json:"code,omitempty"`
	Message string `json:"message"`
	Details string `json:"details,omitempty"`
	Hint    string `json:"hint,omitempty"`
	Status  int    `json:"status,omitempty"`
	Stack   string `json:"stack,omitempty"`
	// Public: the function threw it for its caller, rather than failed.
	Public bool `json:"public,omitempty"`
	// Output: the function did not fail, and what it returned is no result.
	Output bool `json:"output,omitempty"`
}

// problemJSON is the public side of a fault, for the prelude.
func problemJSON(f *fault.Error) []byte {
	code := string(f.Code)
	if reason, ok := f.Extra["reason"].(string); ok && f.Code == fault.Raised { // what another function has chosen
		code = reason
	}
	b, err := json.Marshal(problem{
		Code: code, Message: f.Message, Details: f.Details, Hint: f.Hint, Status: f.HTTPStatus(),
	})
	if err != nil {
		panic(err) // texts and a number always marshal
	}
	return b
}

// thrown makes a fault of what a function threw: a problem that it means for
// its caller as it stands, anything else as an internal error whose reason is
// in the log.
func (r *run) thrown(text string) error {
	var p problem
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		p = problem{Message: "an exception that cannot be read"}
	}
	if p.Public {
		return p.fault()
	}
	if p.Output {
		r.logger.Error(p.Message, slog.String("export", r.call.Export))
		return r.hinted(fault.New(fault.Internal, "%s", p.Message))
	}
	cause := &script{name: p.Name, message: p.Message, stack: r.bundle.original(p.Stack)}
	if p.Name == "InternalError" && p.Message == "out of memory" {
		return r.told(fault.Wrap(cause, fault.LimitExceeded, "the function needs more memory than its limit of %d MiB", r.call.Limits.Memory>>20).
			WithStatus(fault.Internal.Status()), cause)
	}
	return r.told(fault.Wrap(cause, fault.Internal, "the function failed"), cause)
}

// told logs why a function failed and returns what its caller is told.
func (r *run) told(f *fault.Error, cause *script) error {
	r.logger.Error("function failed", slog.String("error", cause.Error()), slog.String("stack", strings.TrimSpace(cause.stack)))
	return r.hinted(f)
}

func (r *run) hinted(f *fault.Error) *fault.Error {
	if r.call.RequestID != "" && f.Hint == "" {
		return f.WithHint("the log has more under the request id %s", r.call.RequestID)
	}
	return f
}

// fault is the fault that a function chose. A code that is not of the closed set
// is kept beside it, as reason.
func (p problem) fault() *fault.Error {
	f := &fault.Error{Code: fault.Code(p.Code), Message: p.Message, Details: p.Details, Hint: p.Hint}
	if !slices.Contains(fault.Codes(), f.Code) {
		f.Code = fault.Raised
		if p.Code != "" {
			f.Extra = map[string]any{"reason": p.Code}
		}
	}
	if p.Status >= 400 && p.Status <= 599 && p.Status != f.Code.Status() {
		f.Status = p.Status
	}
	if f.Message == "" {
		f.Message = f.Code.Title()
	}
	return f
}

// failed makes a fault of how the engine ended.
func (r *run) failed(err error) error {
	var s *script
	switch {
	case r.ctx.Err() != nil:
		return r.stopped()
	case errors.Is(err, errNeverAnswers):
		r.logger.Error("function never answers", slog.String("export", r.call.Export))
		return r.hinted(fault.New(fault.Internal, "%s", errNeverAnswers))
	case errors.Is(err, errNoMemory):
		return r.told(fault.New(fault.LimitExceeded, "the function needs more memory than its limit of %d MiB", r.call.Limits.Memory>>20).
			WithStatus(fault.Internal.Status()), &script{name: "Error", message: "out of memory"})
	case errors.As(err, &s):
		s.stack = r.bundle.original(s.stack)
		return r.told(fault.Wrap(err, fault.Internal, "the function failed"), s)
	}
	r.logger.Error("function stopped the engine", slog.String("error", err.Error()))
	return r.hinted(fault.Wrap(err, fault.Internal, "the function failed"))
}

// errTimeout is the cause of a context that ended by [Limits.Timeout].
var errTimeout = errors.New("time is up")

// stopped is the fault of a call whose context is done.
func (r *run) stopped() error {
	cause := context.Cause(r.ctx)
	if !errors.Is(cause, errTimeout) && !errors.Is(cause, context.DeadlineExceeded) {
		return fault.Wrap(cause, fault.QueryCanceled, "the call was cancelled")
	}
	r.logger.Error("function took too long", slog.Duration("computed", r.computed), slog.Int("calls", r.calls))
	return r.hinted(fault.Wrap(cause, fault.QueryCanceled, "the function did not end within %s", r.limit()))
}

func (r *run) limit() time.Duration {
	if deadline, ok := r.ctx.Deadline(); ok {
		return min(r.call.Limits.Timeout, deadline.Sub(r.arrival).Round(time.Millisecond))
	}
	return r.call.Limits.Timeout
}

// log writes a line of the function's, within its limits.
func (r *run) log(level, text string) {
	if r.logged.lines > r.call.Limits.LogLines || r.logged.bytes > r.call.Limits.LogBytes {
		return
	}
	r.logged.lines++
	r.logged.bytes += len(text)
	if r.logged.lines > r.call.Limits.LogLines || r.logged.bytes > r.call.Limits.LogBytes {
		r.logger.Warn(fmt.Sprintf("the function logs more than %d lines or %d bytes; the rest is left out", r.call.Limits.LogLines, r.call.Limits.LogBytes))
		return
	}
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "warn": slog.LevelWarn, "error": slog.LevelError}
	r.logger.Log(r.ctx, levels[level], r.bundle.original(text))
}
