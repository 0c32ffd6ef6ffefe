package store

import (
	"context"
	"slices"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/value"
)

// StoredTable is a table as a move sees it: rows of raw values, found by a key.
// It is an entity's, or one of Pando's own.
type StoredTable struct {
	Name    string // "module.entity", or that of a table of Pando's own
	Table   *Table // nil: a table of Pando's own
	Columns []StoredColumn
	Key     []int // the key's places in Columns
	AddOnly bool  // the database refuses that a row is changed or removed
}

// StoredColumn is a column without its limits.
type StoredColumn struct {
	Name string
	Type value.Type
}

// StoredTableOf is the stored form of an entity's table. What the database
// derives from other columns is no part of it.
func StoredTableOf(t *Table) *StoredTable {
	s := &StoredTable{Name: t.QualifiedName(), Table: t}
	key := t.PrimaryKey()
	for i, c := range t.Columns {
		s.Columns = append(s.Columns, StoredColumn{c.Name, c.Type()})
		if slices.Contains(key, c.Name) {
			s.Key = append(s.Key, i)
		}
	}
	return s
}

// MoveTx is a transaction that loads rows which are right already.
type MoveTx interface {
	Tx
	// Load adds the rows that next returns, one value for each column of t,
	// until that is nil, by the fastest way the database has. What the database
	// derives from them is made along.
	Load(t *StoredTable, next func() ([]value.Value, error)) (int64, error)
}

// Mover is the power of a driver whose database an application can be moved
// from and to while it serves. The dialect of such a driver is a [MoveDialect].
type Mover interface {
	Driver
	// Unlinked calls fn in a write transaction of its own in which no reference
	// is enforced or followed, no change is captured, and no fence stands in the
	// way. fn sees to it that what it leaves is whole. Nothing that belongs to
	// every commit (Committer) runs.
	Unlinked(ctx context.Context, fn func(MoveTx) error) error
}

// MoveDialect writes the SQL of a move. Where a method returns several
// statements, they are run in order in one transaction.
type MoveDialect interface {
	Dialect

	// OwnTables is a statement that answers the tables that Pando keeps for
	// itself, but for those of moves, one row for each column: table, column,
	// kind, place in the key (from 1; 0: none), and 1 where rows can only be
	// added.
	OwnTables() string
	// Stored is the quoted name of a table.
	Stored(t *StoredTable) string

	// Capture makes every transaction that changes a row of t append the row's
	// key to the log, table pando_changes (seq, tbl, key): n stands in tbl, and
	// key is a JSON array of the key's columns as texts. Release undoes it.
	// CaptureLog makes the log, ReleaseLog drops it with what is left in it; both
	// may be run twice, and so may Release.
	CaptureLog() []string
	Capture(t *StoredTable, n int) []string
	Release(t *StoredTable, n int) []string
	ReleaseLog() []string

	// Fence makes the database itself refuse every change of t's rows, with
	// fault.StoreMoved, whoever makes it and however old the connection is, from
	// the transaction's commit on. No change that began earlier commits later.
	// Both may be run twice.
	Fence(t *StoredTable) []string
	Unfence(t *StoredTable) []string

	// Bare creates a table for its rows alone, with its key. Finish adds what
	// else it has, but for references: indexes, and what is derived. Link adds
	// the references for what is written from then on, and Validate has the
	// database check the rows that were there. Unlink drops the references.
	Bare(t *Table) []string
	Finish(t *Table) []string
	Link(t *Table) []string
	Validate(t *Table) []string
	Unlink(t *Table) []string
	// Clear drops a table with all that Finish gave it, and what refers to it.
	Clear(t *Table) []string
	// Settle brings about what depends on the rows that were loaded: counters.
	Settle() []string
}

// Moved is the fault of a write to a store that is fenced.
func Moved() *fault.Error {
	f := fault.New(fault.StoreMoved, "the data is moving to another store, or has moved: this one takes no writes").
		WithHint("try again; when it goes on, start the node with the store that `pando move status` names")
	f.RetryAfter = time.Second
	return f
}
