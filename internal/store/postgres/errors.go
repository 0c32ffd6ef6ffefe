package postgres

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
)

// The SQLSTATEs that the driver itself acts upon (PostgreSQL's appendix A).
const (
	stateLockTimeout   = "55P03"
	stateDeadlock      = "40P01"
	stateSerialization = "40001"
	stateStalePlan     = "0A000"
	stateMoved         = "PM001" // our own: a fence's (move.go)
	stateReadOnly      = "25006" // the server is a standby, or was made read-only
	stateShutdown      = "57P01"
	stateCrash         = "57P02"
	stateStarting      = "57P03"
)

// state is the SQLSTATE of an error, or "".
func state(err error) string {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code
	}
	return ""
}

// translate maps SQLSTATEs to faults.
func translate(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return translateState(err, pg)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return canceled(err)
	}
	return unreachable(err)
}

func unreachable(err error) *fault.Error {
	return fault.Wrap(err, fault.StoreUnavailable, "the store cannot be reached").WithHint("try again")
}

func canceled(err error) *fault.Error {
	return fault.Wrap(err, fault.QueryCanceled, "the statement was canceled at its time limit").
		WithHint("ask for fewer rows, or filter and order on indexed fields")
}

//nolint:cyclop // a table of codes
func translateState(err error, pg *pgconn.PgError) error {
	switch pg.Code {
	case "23505", "23P01":
		f := fault.Wrap(err, fault.Unique, "duplicate key value violates unique constraint")
		if key := keyOf(pg.Detail); key != "" {
			f.WithDetails("Key (%s) already exists.", key)
		}
		return f
	case "23502":
		return fault.Wrap(err, fault.NotNull, "null value in field %q violates not-null constraint", pg.ColumnName)
	case "23503", "23001":
		return fault.Wrap(err, fault.ForeignKey, "a reference to another row is violated")
	case "23514", "44000": // the latter: a view's WITH CHECK OPTION
		return checkFault(err, pg)
	case "P0001":
		return raised(err, pg)
	case "42P10":
		return fault.Wrap(err, fault.NoConflictTarget, "there is no unique or exclusion constraint matching the ON CONFLICT specification").
			WithHint("a key of the database that is partial, on an expression or checked late decides no upsert")
	case "428C9", "55000":
		return fault.Wrap(err, fault.NotImplemented, "the database takes no such write to this table or view")
	case "22003":
		return store.Computed(fault.NumericOutOfRange, err)
	case "22012":
		return store.Computed(fault.DivisionByZero, err)
	case "22008":
		return store.Computed(fault.DatetimeOverflow, err)
	case "22P02", "22007", "22023", "22P03", "22025", "22018":
		return store.Computed(fault.InvalidText, err)
	case "22021", "22P05":
		return fault.Wrap(err, fault.InvalidEncoding, "a text holds a character that cannot be stored")
	case "22001":
		return fault.Wrap(err, fault.TextTooLong, "a text is too long")
	case "2201B":
		return fault.Wrap(err, fault.InvalidRegexp, "invalid regular expression")
	case "21000":
		return fault.Wrap(err, fault.CardinalityClash, "a row is affected a second time")
	case "57014":
		return canceled(err)
	case stateLockTimeout, stateDeadlock, stateSerialization:
		return fault.Wrap(err, fault.Serialization, "a concurrent change is in the way").WithHint("try again")
	case "53100":
		return fault.Wrap(err, fault.DiskFull, "the disk is full: nothing was written").WithHint("free space; reads go on meanwhile")
	case "53300":
		return fault.Wrap(err, fault.TooManyConns, "the database has no connection left").
			WithHint("raise max_connections, or lower the connections of each node")
	case "54000", "54001", "54011", "54023":
		return fault.Wrap(err, fault.LimitExceeded, "the statement is too large for the database")
	case stateReadOnly:
		return takesNoWrites(err)
	case "42P01", "42703", "42704", "42804", "42846", "42883", "3F000", stateStalePlan:
		return fault.Wrap(schemaError{err}, fault.StoreUnavailable, "the database is not as the application needs it: a table or a column was changed").
			WithHint("`pando migrate status` tells what is different; what was changed by hand has to be put back")
	case "42501":
		return fault.Wrap(err, fault.StoreUnavailable, "the database's user lacks a right that the application needs").
			WithHint("the tables and their schemas have to belong to the user of the store's URL, or be granted to it; row level security binds that user too")
	}
	if pg.Code == stateMoved {
		f := store.Moved()
		f.Cause = err
		return f
	}
	switch pg.Code[:min(2, len(pg.Code))] {
	case "08", "57", "53", "28", "3D":
		return fault.Wrap(err, fault.StoreUnavailable, "the store is not available").WithHint("try again")
	case "58", "XX":
		if pg.Code == "XX000" {
			break
		}
		return fault.Wrap(err, fault.StoreIO, "the store cannot be read or written")
	}
	if ownState(pg.Code) {
		return raised(err, pg)
	}
	return fault.Wrap(err, fault.Internal, "an internal error occurred")
}

func takesNoWrites(err error) *fault.Error {
	return fault.Wrap(err, fault.StoreUnavailable, "the database takes no writes: it is a standby or read-only").
		WithHint("promote it, or name the primary in the store's URL")
}

// checkFault names the check: of Pando's own tables none is in the database.
func checkFault(err error, pg *pgconn.PgError) error {
	f := fault.Wrap(err, fault.Check, "a check is violated")
	if pg.ConstraintName != "" {
		f.Message = fault.New(fault.Check, "new row for relation %q violates check constraint %q", pg.TableName, pg.ConstraintName).Message
	}
	return f
}

// raised tells what a function of the database says: it is written for who
// writes the row.
func raised(err error, pg *pgconn.PgError) error {
	f := fault.Wrap(err, fault.Raised, "%s", pg.Message)
	f.Details, f.Hint = pg.Detail, pg.Hint
	return f
}

// ownState reports whether a SQLSTATE is an application's: its classes begin
// with I to Z, or 5 to 9 (ISO/IEC 9075-2, 24.1), of which PostgreSQL uses some.
func ownState(code string) bool {
	if len(code) != 5 || code[0] < '5' || code[0] > '9' && code[0] < 'I' {
		return false
	}
	switch code[:2] {
	case "53", "54", "55", "57", "58", "72", "P0", "XX":
		return false
	}
	return true
}

// schemaError is a statement that does not fit the schema: somebody else has
// changed it.
type schemaError struct{ error }

func (e schemaError) Unwrap() error { return e.error }

// Is implements what errors.Is asks for.
func (schemaError) Is(target error) bool { return target == store.ErrSchema }

// keyOf reads the columns out of "Key (a, b)=(1, 2) already exists.", without
// the values. It only enriches the details.
func keyOf(detail string) string {
	_, rest, ok := strings.Cut(detail, "(")
	if !ok {
		return ""
	}
	columns, _, ok := strings.Cut(rest, ")=(")
	if !ok {
		return ""
	}
	return strings.ReplaceAll(columns, `"`, "")
}
