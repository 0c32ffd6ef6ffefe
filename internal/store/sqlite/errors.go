package sqlite

import (
	"strings"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	zs "zombiezen.com/go/sqlite"
)

// translate turns an error of this connection into a fault. What a SQL
// function failed with comes back as the fault that it was.
func (c *conn) translate(err error) error {
	if f := c.fault; f != nil {
		c.fault = nil
		return f
	}
	if err == nil {
		return nil
	}
	return translate(err)
}

// translate maps SQLite's result codes to faults.
func translate(err error) error {
	code := zs.ErrCode(err)
	switch code {
	case zs.ResultConstraintUnique, zs.ResultConstraintPrimaryKey, zs.ResultConstraintRowID:
		f := fault.Wrap(err, fault.Unique, "duplicate key value violates unique constraint")
		if key := failedColumns(err); key != "" {
			f.WithDetails("Key (%s) already exists.", key)
		}
		return f
	case zs.ResultConstraintNotNull:
		return fault.Wrap(err, fault.NotNull, "null value in field %q violates not-null constraint", failedColumns(err))
	case zs.ResultConstraintForeignKey, zs.ResultConstraintTrigger:
		return fault.Wrap(err, fault.ForeignKey, "a reference to another row is violated")
	case zs.ResultConstraintCheck:
		return fault.Wrap(err, fault.Check, "a check is violated")
	default: // the primary code says enough
	}
	switch code.ToPrimary() {
	case zs.ResultInterrupt:
		return fault.Wrap(err, fault.QueryCanceled, "the statement was canceled at its time limit").
			WithHint("ask for fewer rows, or filter and order on indexed fields")
	case zs.ResultFull:
		return fault.Wrap(err, fault.DiskFull, "the disk is full: nothing was written").WithHint("free space; reads go on meanwhile")
	case zs.ResultIOErr, zs.ResultCantOpen, zs.ResultReadOnly, zs.ResultPerm:
		return fault.Wrap(err, fault.StoreIO, "the store cannot be read or written")
	case zs.ResultCorrupt, zs.ResultNotADB:
		return fault.Wrap(err, fault.StoreIO, "the database file is damaged").WithHint("restore the last backup")
	case zs.ResultBusy, zs.ResultLocked:
		return fault.Wrap(err, fault.StoreUnavailable, "the store is busy")
	case zs.ResultTooBig:
		f := store.AnswerTooLarge() // what is written is far below the limit of the write connection
		f.Cause = err
		return f
	case zs.ResultMismatch:
		return fault.Wrap(err, fault.InvalidText, "a value has the wrong type")
	default: // what no statement of ours should meet is internal
	}
	// SQLite gives its sum() no code of its own: the text is the only mark.
	if strings.Contains(err.Error(), "integer overflow") {
		return store.Computed(fault.NumericOutOfRange, err)
	}
	return fault.Wrap(err, fault.Internal, "an internal error occurred")
}

// failedColumns reads the columns out of "UNIQUE constraint failed: t.a, t.b".
// It only enriches the details; the class of the error comes from its code.
func failedColumns(err error) string {
	_, list, ok := strings.Cut(err.Error(), "constraint failed: ")
	if !ok {
		return ""
	}
	list, _, _ = strings.Cut(list, " (")
	parts := strings.Split(list, ", ")
	for i, p := range parts {
		parts[i] = p[strings.LastIndexByte(p, '.')+1:]
	}
	return strings.Join(parts, ", ")
}
