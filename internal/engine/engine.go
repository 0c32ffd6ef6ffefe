// Package engine executes queries: it resolves and authorises them, plans
// them once per shape, runs them on the store, and on the one write path
// validates, writes and records in one transaction. Every door goes through
// it; nothing else reaches a row.
package engine

import (
	"context"
	"io"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
)

// Result is what a read or a write answered.
type Result struct {
	// Body holds the encoded rows (query.JSON: an array); nil when they were
	// streamed or none were asked for. It is valid until Release.
	Body []byte
	Rows int // rows answered (read) or affected (write)
	// Total is the number of rows that match without the page; -1: not asked
	// for. TotalExact is false for an estimate.
	Total      int64
	TotalExact bool
	Next, Prev string // cursors; empty: no such page or not asked for
	// Inserted counts the rows of a create that were new (not merged).
	Inserted int
	// Key is the primary key, as text, of the row of a single create.
	Key string
	// Tag is the entity tag of the answered body, for reads that ask for it.
	Replayed bool // the answer of an earlier write with this idempotency key
}

// Release gives the result's memory back. Body must not be used afterwards.
func (r *Result) Release() {}

// ReadOptions say how a read is answered.
type ReadOptions struct {
	// Stream, when set, receives the rows in pieces as they are encoded, and
	// Result.Body stays nil. Used with query.NDJSON and query.CSV.
	Stream io.Writer
	// Cursors asks for Result.Next and Result.Prev.
	Cursors bool
}

// Idempotency identifies a write that a client may repeat.
type Idempotency struct {
	Key    string // the client's key
	Method string // scope, with Path and the identity
	Path   string
	Digest [32]byte // of the request's body and meaning-bearing headers
}

// Engine executes queries for one application. It is safe for concurrent use.
type Engine struct {
	app *model.App
}

// App is the application that the engine serves.
func (e *Engine) App() *model.App { return e.app }

// Read answers a query. The fault codes are those of package fault's groups
// PGRST1xx, PGRST2xx and the SQLSTATEs.
func (e *Engine) Read(ctx context.Context, id policy.Identity, q *query.Read, opt ReadOptions) (*Result, error) {
	panic("written by the engine's author")
}

// Write changes rows, all or none; when it returns without an error, the
// change is on disk. idem may be nil.
func (e *Engine) Write(ctx context.Context, id policy.Identity, w *query.Write, idem *Idempotency) (*Result, error) {
	panic("written by the engine's author")
}
