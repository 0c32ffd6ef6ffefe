package store

import "github.com/pandobase/pando/internal/fault"

// Computed is the fault of a value that a statement could not compute: by a
// cast, or by arithmetic. It does not say which value it was: where several
// fail, the database chooses the first, and every database chooses otherwise.
// Of other codes it is nil.
func Computed(code fault.Code, cause error) *fault.Error {
	switch code { //nolint:exhaustive // those that a computation has
	case fault.InvalidText:
		return fault.Wrap(cause, code, "a value has the wrong form for the type that it is cast to").
			WithHint("filter such rows out, or leave the cast out")
	case fault.NumericOutOfRange:
		return fault.Wrap(cause, code, "a number is out of range")
	case fault.DatetimeOverflow:
		return fault.Wrap(cause, code, "a date or time is out of range")
	case fault.DivisionByZero:
		return fault.Wrap(cause, code, "division by zero")
	}
	return nil
}
