package store

import (
	"context"
	"slices"
	"time"

	"github.com/pandobase/pando/internal/value"
)

// Advisor is an optional power of a driver: it tells what the database knows of
// its own work. Nothing of it changes a row.
type Advisor interface {
	// Explain tells how the database runs a statement, without running it. With
	// a hypothesis it tells how it would if that index were there; ok is then
	// false when this database cannot tell.
	Explain(ctx context.Context, st *Statement, args []value.Value, with *Hypothesis) (e Explained, ok bool, err error)
	// Statistics tells what the database has counted.
	Statistics(ctx context.Context) (*Statistics, error)
}

// Hypothesis is an index that is not there.
type Hypothesis struct {
	Table   *Table
	Columns []string
}

// Explained is how a statement is run.
type Explained struct {
	Cost  float64 // in the database's own unit; 0: it has none
	Scans []Scan
	Sorts bool // rows are sorted after they were read
}

// Scan is one way in which a statement reads a table.
type Scan struct {
	Alias string // the table's in the statement: [Root] is that of its entity
	Index string // the index that it is read by; empty: the table itself is read
	Whole bool   // from one end to the other, or until there are rows enough
}

// Root is the alias of the entity that a statement is about.
const Root = "t0"

// Walks reports whether the rows of the statement's entity are looked at one
// after the other, in the order of an index or in none.
func (e *Explained) Walks() bool {
	return slices.ContainsFunc(e.Scans, func(s Scan) bool { return s.Alias == Root && s.Whole })
}

// By reports whether the statement reads by an index.
func (e *Explained) By(index string) bool {
	return slices.ContainsFunc(e.Scans, func(s Scan) bool { return s.Index == index })
}

// Statistics are what a database has counted since a time.
type Statistics struct {
	Since    time.Time // zero: this database counts nothing of its use
	Tables   []TableStatistics
	Indexes  []IndexStatistics
	Standbys []StandbyStatistics
	// Connections are those of all clients to the server; MaxConnections is 0
	// where there is no such limit.
	Connections, MaxConnections int
}

// TableStatistics are those of one table, or of one partition of it.
type TableStatistics struct {
	Table      string // "module.entity"
	Partition  string // the partition's own name; empty: the table itself
	Rows       int64  // approximately
	Bytes      int64  // with its indexes; 0: unknown
	FullScans  int64
	FullRows   int64 // rows that those have read
	IndexScans int64
	Writes     int64 // rows inserted, updated or deleted
}

// IndexStatistics are those of one index.
type IndexStatistics struct {
	Table string // "module.entity"
	Index string // as Explained has it
	Scans int64
	Bytes int64
	Valid bool // false: it was never completed, and only costs
}

// StandbyStatistics are those of one server that replays this one's changes.
type StandbyStatistics struct {
	Name        string
	State       string
	Synchronous bool
	Lag         time.Duration // of what it has replayed; 0 when it is idle
	Bytes       int64         // that it has yet to replay
}
