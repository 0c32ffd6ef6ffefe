// Package store is the seam to the database: it plans [query] values into one
// SQL statement each, runs them through a [Driver], and encodes the rows. What
// differs between databases lies in the driver and its [Dialect]; callers
// never ask which one they have, and store/storetest holds every driver to the
// same answers.
package store

import (
	"context"

	"github.com/pandobase/pando/internal/value"
)

// Statement is one SQL text. Drivers cache what they prepare for it by its
// address, so a statement that is run often is kept and reused by its owner.
type Statement struct {
	SQL string
}

// Row is the current row of a result. It is valid until the next row.
type Row interface {
	// Null reports whether column i is null.
	Null(i int) bool
	Int(i int) int64
	Float(i int) float64
	// Append appends the text or the bytes of column i.
	Append(dst []byte, i int) []byte
	// Value returns column i by the type the database holds it in.
	Value(i int) value.Value
}

// Reader runs statements that only read.
type Reader interface {
	// Query runs st and calls each for every row. Parameters are bound in
	// order. Errors are faults.
	Query(st *Statement, args []value.Value, each func(Row) error) error
}

// Tx is a write transaction. A statement that fails undoes itself alone: the
// transaction goes on.
type Tx interface {
	Reader
	// Exec runs st and returns how many rows it changed.
	Exec(st *Statement, args []value.Value) (int64, error)
	// Savepoint calls fn and undoes its changes when it fails.
	Savepoint(fn func() error) error
	// Unchecked calls fn and lets references through to rows that are not
	// there. Before it returns without an error, fn has seen to it that they
	// are: the driver may find out no earlier than at the commit.
	Unchecked(fn func() error) error
	// Keep hands v to the function that runs with the commit (see [Committer]),
	// unless the savepoint in which it was kept is undone before. A [Committed]
	// is called behind the commit instead.
	Keep(v any)
}

// Driver is one database. It is safe for concurrent use.
type Driver interface {
	Dialect() Dialect

	// Read calls fn with a reader. With snapshot, all statements of fn see
	// one state of the data. The context's end interrupts the statement that
	// runs (fault.QueryCanceled).
	Read(ctx context.Context, snapshot bool, fn func(Reader) error) error

	// Write calls fn in a write transaction and returns after the commit is on
	// disk. Concurrent writes may share one commit; each has a savepoint of
	// its own, so that fn's error undoes fn's changes and nobody else's. fn
	// runs on a goroutine of the driver's choice and must not wait for other
	// writes. It may run again when a neighbour's failure undid the group: only
	// its last run counts.
	Write(ctx context.Context, fn func(Tx) error) error

	// Alter calls fn in a transaction of its own for changes of the schema,
	// with foreign keys unenforced until the end, where they are checked as a
	// whole. Statements prepared before are prepared anew afterwards.
	Alter(ctx context.Context, fn func(Tx) error) error

	// Ping reports whether the store can be read and still takes writes.
	Ping(ctx context.Context) error

	// Check verifies the integrity of the stored data.
	Check(ctx context.Context) error

	// Size returns the bytes that the database occupies.
	Size(ctx context.Context) (int64, error)

	Close() error
}
