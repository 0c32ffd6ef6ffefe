// Package fault holds the closed set of errors that Pando answers with.
//
// A fault has a public side (Code, Message, Details, Hint: safe to show to any
// caller) and an internal cause (for the log only). Every error that crosses a
// door is a fault; an error that is none is [Internal] and shows nothing.
package fault

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// Error is one fault. Its public members go to the caller; Cause never does.
// The zero value is not useful: make faults with [New] or [Wrap].
type Error struct {
	Code    Code
	Message string // what is wrong, one line
	Details string // where: the value, the key, the position
	Hint    string // what to do, or the nearest valid thing
	Cause   error  // internal: logged, never shown

	Field      string         // the member of the input that is wrong; empty: not known
	Status     int            // of HTTP, where it is not the code's own; 0: it is
	RetryAfter time.Duration  // when to try again; 0: nothing is known
	Extra      map[string]any // further members of the problem document

	message, details, hint text // what the public side was made of, see [Error.Renamed]
}

// New returns a fault with a formatted public message.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), message: text{format, args}}
}

// Wrap returns a fault whose internal cause is err.
func Wrap(err error, code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), message: text{format, args}, Cause: err}
}

// WithDetails sets the details and returns e.
func (e *Error) WithDetails(format string, args ...any) *Error {
	e.Details, e.details = fmt.Sprintf(format, args...), text{format, args}
	return e
}

// AddDetails appends to the details and returns e.
func (e *Error) AddDetails(format string, args ...any) *Error {
	was := e.details
	if was.String() != e.Details {
		was = text{"%s", []any{e.Details}}
	}
	e.details = text{was.format + format, slices.Concat(was.args, args)}
	e.Details = e.details.String()
	return e
}

// WithMessage sets the message and returns e.
func (e *Error) WithMessage(format string, args ...any) *Error {
	e.Message, e.message = fmt.Sprintf(format, args...), text{format, args}
	return e
}

// WithHint sets the hint and returns e.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint, e.hint = fmt.Sprintf(format, args...), text{format, args}
	return e
}

// WithStatus sets the HTTP status and returns e.
func (e *Error) WithStatus(status int) *Error {
	e.Status = status
	return e
}

// ToStranger returns e as an anonymous caller hears it: signing in may help,
// which on HTTP is 401.
func (e *Error) ToStranger() *Error {
	told := *e
	told.Status = http.StatusUnauthorized
	return &told
}

// HTTPStatus is the fault's status, or its code's.
func (e *Error) HTTPStatus() int {
	if e.Status != 0 {
		return e.Status
	}
	return e.Code.Status()
}

// Error implements error; it shows the public side only.
func (e *Error) Error() string {
	if e.Details == "" {
		return e.Message
	}
	return e.Message + ": " + e.Details
}

// Unwrap returns the internal cause.
func (e *Error) Unwrap() error { return e.Cause }

// From returns err as a fault. An error that is none becomes [Internal] with
// err as its cause and a message that shows nothing of it. From(nil) is nil.
func From(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return Wrap(err, Internal, "an internal error occurred")
}

// Is reports whether err is a fault with the given code.
func Is(err error, code Code) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code
}
