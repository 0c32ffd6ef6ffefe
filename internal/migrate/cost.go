package migrate

import (
	"time"

	"github.com/pandobase/pando/internal/store"
)

// What a change costs, measured on SQLite with 100,000 rows of 100 bytes on a
// virtual machine with two cores (TestEstimate logs the rates anew). They are
// for an estimate of one or two digits: what differs by disk and row width
// matters less than the number of rows does.
const (
	commitCost   = 5 * time.Millisecond
	checkCost    = 150 * time.Nanosecond  // per row and reference: to check them
	tableCost    = 500 * time.Microsecond // create or drop a table with its indexes
	addCost      = 500 * time.Nanosecond  // per row: the database checks the rows of the table
	rewriteCost  = 3000 * time.Nanosecond // per row: copy or rewrite it
	indexCost    = 1200 * time.Nanosecond // per row and index
	searchCost   = 9000 * time.Nanosecond // per row: tokens of its texts
	functionCost = 1500 * time.Nanosecond // per row and converted column
)

// cost estimates how long a change of a table with so many rows takes.
func cost(c store.Change, rows int64) time.Duration {
	n := time.Duration(rows)
	switch c.Kind {
	case store.CreateTable, store.DropTable, store.RenameTable, store.RenameColumn, store.DropIndex, store.DropSearch:
		return tableCost
	case store.AddColumn:
		return tableCost + n*addCost
	case store.DropColumn:
		return tableCost + n*rewriteCost
	case store.CreateIndex:
		return tableCost + n*indexCost
	case store.CreateSearch:
		return tableCost + n*searchCost
	case store.RebuildTable:
		each := rewriteCost + time.Duration(len(c.Table.Unique)+len(c.Table.Index))*indexCost + time.Duration(len(c.Convert))*functionCost
		if len(c.Table.Search) > 0 {
			each += searchCost
		}
		return tableCost + n*each
	}
	return tableCost
}
