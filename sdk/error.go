package pando

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/pandobase/pando/internal/fault"
)

// Error is what is wrong with something that was asked for. Message, Details and
// Hint may be shown to any caller.
type Error struct {
	// Code is the error's word in every door: 23505, 42501, or a word of the
	// application's own.
	Code    string
	Message string
	Details string
	Hint    string
	// Status is that of HTTP. In an error that code returns, 0 is what the code
	// stands for, and 400 where it is a word of the application's own.
	Status int

	cause error
}

// Errorf is an error of a kind that code returns to its caller. The format's %w is
// the error's cause, as in [fmt.Errorf], which is shown too.
func Errorf(k Kind, format string, args ...any) *Error {
	told := fmt.Errorf(format, args...)
	code := k.code()
	return &Error{Code: string(code), Message: told.Error(), Status: code.Status(), cause: errors.Unwrap(told)}
}

// Error is the message with its details.
func (e *Error) Error() string {
	if e.Details == "" {
		return e.Message
	}
	return e.Message + ": " + e.Details
}

// Unwrap returns what the error is made of.
func (e *Error) Unwrap() error { return e.cause }

// Is reports whether the error is of a [Kind], for [errors.Is].
func (e *Error) Is(target error) bool {
	k, ok := target.(Kind)
	return ok && k.has(e)
}

// Kind is a kind of error, to ask for with [errors.Is]:
//
//	if errors.Is(err, pando.Unique) { ...
//
//nolint:errname // it is a kind of errors, and reads as one: errors.Is(err, pando.NotFound)
type Kind string

// The kinds.
//
//nolint:errname // as above
const (
	NotFound        Kind = "not found"           // no such row, and none that the caller may see
	Unauthenticated Kind = "not signed in"       // nobody is signed in, and somebody has to be
	Forbidden       Kind = "forbidden"           // a policy, or a declaration that is not there, says no
	Conflict        Kind = "conflict"            // others were faster, or this is not the time
	Unique          Kind = "not unique"          // another row has the key
	Reference       Kind = "broken reference"    // the row that is referred to is not there, or still is
	Check           Kind = "check violated"      // of the entity
	Required        Kind = "value missing"       // null in a required field
	Invalid         Kind = "invalid"             // not of its type, unknown, or not understood
	Limit           Kind = "limit exceeded"      // one of pando.yaml's
	Timeout         Kind = "time limit reached"  // or the caller went away
	Unavailable     Kind = "service unavailable" // the store, or another part
	Internal        Kind = "internal error"      // what went wrong stands in the log
)

// Error makes a kind an error.
func (k Kind) Error() string { return string(k) }

// code is what an error of the kind is made with.
func (k Kind) code() fault.Code {
	switch k {
	case NotFound:
		return fault.NotFound
	case Unauthenticated:
		return fault.MissingCredential
	case Forbidden:
		return fault.Forbidden
	case Conflict:
		return fault.Conflict
	case Unique:
		return fault.Unique
	case Reference:
		return fault.ForeignKey
	case Check:
		return fault.Check
	case Required:
		return fault.NotNull
	case Invalid:
		return fault.InvalidInput
	case Limit:
		return fault.LimitExceeded
	case Timeout:
		return fault.QueryCanceled
	case Unavailable:
		return fault.StoreUnavailable
	case Internal:
	}
	return fault.Internal
}

// has reports whether an error is of the kind.
func (k Kind) has(e *Error) bool {
	status := e.Status
	switch code := fault.Code(e.Code); code { //nolint:exhaustive // the rest goes by status
	case k.code():
		return k != Forbidden || status != http.StatusUnauthorized
	case fault.Unique, fault.ForeignKey, fault.Check, fault.NotNull, fault.LimitExceeded, fault.MaxAffected:
		return k == Limit && code == fault.MaxAffected
	}
	switch k {
	case NotFound:
		return status == http.StatusNotFound
	case Unauthenticated:
		return status == http.StatusUnauthorized
	case Forbidden:
		return status == http.StatusForbidden
	case Conflict:
		return status == http.StatusConflict || status == http.StatusPreconditionFailed
	case Invalid:
		return status == http.StatusBadRequest || status == http.StatusUnprocessableEntity
	case Limit:
		return status == http.StatusRequestEntityTooLarge || status == http.StatusTooManyRequests
	case Timeout:
		return status == http.StatusGatewayTimeout || status == http.StatusRequestTimeout
	case Unavailable:
		return status == http.StatusServiceUnavailable || status == http.StatusInsufficientStorage
	case Internal:
		return status == http.StatusInternalServerError
	case Unique, Reference, Check, Required:
	}
	return false
}

// told makes an *Error of what the rooms below answer. nil stays nil.
func told(err error) error {
	if err == nil {
		return nil
	}
	f := fault.From(err)
	return &Error{Code: string(f.Code), Message: f.Message, Details: f.Details, Hint: f.Hint, Status: f.HTTPStatus(), cause: err}
}

// thrown makes a fault of what the code named has returned. An error that is no
// *Error tells the caller nothing.
func thrown(name string, err error) error {
	if err == nil {
		return nil
	}
	e, ok := errors.AsType[*Error](err)
	if !ok {
		if k, ok := errors.AsType[Kind](err); ok {
			return fault.Wrap(err, k.code(), "%s", k)
		}
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			return fault.Wrap(err, fault.QueryCanceled, "%s was ended", name)
		}
		return fault.Wrap(err, fault.FunctionFailed, "%s failed", name)
	}
	f := fault.Wrap(err, fault.Code(e.Code), "%s", e.Message)
	f.Details, f.Hint, f.Status = e.Details, e.Hint, e.Status
	if e.Status == 0 && f.Code.Title() == fault.Internal.Title() && f.Code != fault.Internal {
		f.Status = http.StatusBadRequest
	}
	if below, ok := errors.AsType[*fault.Error](e.cause); ok { // what it came with stays
		f.RetryAfter, f.Extra = below.RetryAfter, below.Extra
	}
	return f
}
