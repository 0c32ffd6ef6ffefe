package store

import "github.com/pandobase/pando/internal/value"

// Sender is an optional power of a transaction on a store that a network lies
// before: statements whose outcome nobody waits for go there together.
type Sender interface {
	// Send runs st like Exec, but may return before it ran. When it fails then,
	// the write runs once more, with outcomes told at once: so only its last run
	// counts, as ever, and nothing can go on behind a failure that it was not
	// told of. The args may be used again at once.
	Send(st *Statement, args []value.Value) error
}

// Send runs a statement whose outcome is of no interest unless it fails.
func Send(tx Tx, st *Statement, args []value.Value) error {
	if s, ok := tx.(Sender); ok {
		return s.Send(st, args)
	}
	_, err := tx.Exec(st, args)
	return err
}
