package sqlite

import (
	"errors"

	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// leastCounted is how many rows a table must have had for its statistics to
// be kept. A table that was nearly empty when it was looked at grows while a
// node runs; with a row counted, SQLite reads all of it rather than look into
// an index, for each statement. Without statistics it takes a table for large.
const leastCounted = 10_000

// analyze counts what has changed much, for the plans of the next start.
func (c *conn) analyze() error {
	return errors.Join(c.run("PRAGMA optimize"), c.forgetSmall())
}

// forgetSmall drops the statistics of small tables. What other connections
// have read of them already they keep.
func (c *conn) forgetSmall() error {
	there := false
	err := c.Query(&store.Statement{SQL: "SELECT 1 FROM sqlite_schema WHERE name='sqlite_stat1'"}, nil, func(store.Row) error {
		there = true
		return nil
	})
	if err != nil || !there {
		return err
	}
	n, err := c.Exec(&store.Statement{SQL: "DELETE FROM sqlite_stat1 WHERE CAST(stat AS INTEGER)<?"}, []value.Value{value.OfInt(leastCounted)})
	if err != nil || n == 0 {
		return err
	}
	return c.run("ANALYZE sqlite_schema") // reads what is left
}
