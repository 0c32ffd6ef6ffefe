package store

import (
	"context"
	"time"

	"github.com/pandobase/pando/internal/value"
)

// Serial is an optional power of a driver: transactions that code leads, which
// reads, thinks, and writes.
type Serial interface {
	// Begin begins a transaction. It takes nothing of the store before its first
	// statement. The context is that of all its statements; its end undoes what
	// is not committed.
	Begin(ctx context.Context, opt SessionOptions) *Session
}

// SessionOptions say what a [Session] may do. The zero value reads and writes.
type SessionOptions struct {
	// ReadOnly refuses writes, and spares what only they need.
	ReadOnly bool
	// Eager has every write tell its outcome at once, and undoes one that fails
	// by itself. Without it a write may fail no earlier than at the commit, and
	// behind one that has failed nothing goes on: all of it is a conflict
	// (fault.Serialization) then, and whoever runs the code again does so
	// eagerly. That is what most transactions never need, and they are cheaper
	// so.
	Eager bool
	// Ahead has the session take the writer's turn at its first statement, be it a
	// read: nothing can come in its way then, and everybody waits for it. It is
	// for quick ones that have met conflict after conflict.
	Ahead bool
}

// HoldTime is how long a session may take from its first write to its commit:
// other writes wait meanwhile. Then it is undone (fault.TransactionTimeout).
const HoldTime = 100 * time.Millisecond

// statementTime is when the statement of a session is interrupted: drivers look
// for such ends every 20 ms.
const statementTime = HoldTime - 20*time.Millisecond

// SessionSource is what a driver has to give for sessions. It is for drivers.
type SessionSource interface {
	// Read is [Driver.Read].
	Read(ctx context.Context, snapshot bool, fn func(Reader) error) error

	// Snapshot lends a reader that sees one state of the data until it is given
	// back. How many are lent is bounded, and so is the wait for one
	// (fault.TooManyConns).
	Snapshot(ctx context.Context) (r Reader, back func(), err error)

	// Hand is [Driver.Write] for a session's function: it returns at once. No
	// other transaction of the store commits from the call of fn to the commit,
	// whichever node it is of, so what fn reads holds until then. fn is not run
	// in place of a group that was undone once it has returned nil: it says so.
	Hand(ctx context.Context, eager bool, fn func(Tx) error) (Handed, error)

	// At is a number that differs after each commit of others than the session.
	At() uint64

	// Unchanged reports, inside of a function of Hand, that nothing was written
	// since At was what is given. With false nothing is known.
	Unchanged(at uint64) bool

	// Ended reports whether a statement's failure has undone more than itself.
	Ended(tx Tx) bool

	// Whole appends all columns of a row, so that rows which differ in type or
	// value differ in their bytes.
	Whole(dst []byte, row Row) []byte
}

// Handed is a write on its way to the disk.
type Handed interface {
	// Done is closed when the outcome is known, which is that of Err.
	Done() <-chan struct{}
	Err() error
}

// Verifier is an optional power of a transaction on a store that a network lies
// before: what was read is asked again together with what is written, and the
// answers are looked at later, before the commit. It is for drivers.
type Verifier interface {
	// Verifies reports whether this may be done now: it is cheaper, unless the
	// answers differ.
	Verifies() bool
	// Verify runs st and hands its rows to each. Where same then says no, the
	// session is a conflict, and what ran behind it in its group runs again.
	Verify(st *Statement, args []value.Value, each func(Row), same func() bool) error
}
