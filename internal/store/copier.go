package store

import (
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/value"
)

// Copier is an optional power of a transaction: it stores many rows at once.
type Copier interface {
	// Copy adds rows to the columns of a table. insert is the statement that
	// adds one such row, with a parameter for each column; row gives the values
	// of the i-th. All rows are stored, or none and the transaction goes on.
	Copy(insert *Statement, table string, columns []string, rows int, row func(i int) ([]value.Value, error)) error
}

// bulk is what storing many rows at once takes of a plan: nothing has to be
// asked about each.
type bulk struct {
	table   string
	columns []string
}

// Copies reports whether a transaction can store rows of the plan at once.
func (p *WritePlan) Copies(tx Tx) bool {
	_, ok := tx.(Copier)
	return ok && p.bulk.table != ""
}

// Judges reports whether a new row is judged before it is stored.
func (p *WritePlan) Judges() bool { return p.create != nil }

// Copy stores rows that [WritePlan.Judge] has let through, all or none.
func (p *WritePlan) Copy(tx Tx, rows [][]value.Value) error {
	c, ok := tx.(Copier)
	if !ok {
		return fault.New(fault.Internal, "an internal error occurred").WithDetails("the store cannot copy")
	}
	var space []value.Value
	return c.Copy(&p.st, p.bulk.table, p.bulk.columns, len(rows), func(i int) ([]value.Value, error) {
		if len(p.params) == 0 {
			return rows[i], nil
		}
		var err error
		space, err = bindParams(p.params, rows[i], nil, append(space[:0], rows[i]...))
		return space, err
	})
}
