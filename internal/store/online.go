package store

import "context"

// OnlineDialect is a dialect of a database that changes large tables while
// others read and write them: in stages, each of which blocks nobody for long,
// and a short transaction behind them.
type OnlineDialect interface {
	Dialect
	// Alteration renders the changes of one step. Tables of more than direct
	// rows are changed in stages; rows is 0 for a table that the plan creates.
	Alteration(changes []Change, rows func(*Table) int64, direct int64) Alteration
	// Forbid is a stage after which no row of a table meets cond, and none can
	// come to. It ends with the columns that cond names, or with Finish.
	Forbid(t *Table, cond string) Stage
	// Freeze keeps writers out of a table until the transaction ends.
	Freeze(t *Table) string
}

// Alteration is how a step is made.
type Alteration struct {
	// Before runs ahead of the transaction, in order. It leaves nothing that
	// the models before and after the step could see.
	Before []Stage
	// SQL is the transaction.
	SQL []string
	// Locks says why readers and writers wait while the transaction rewrites a
	// large table; empty: they do not.
	Locks string
}

// Stage is work ahead of a transaction. One that was interrupted at any point
// is completed when it runs again.
type Stage interface {
	Title() string
	Statements() []string // as far as they are known beforehand
}

// StageProgress is where a stage, or a wait, stands.
type StageProgress struct {
	Title       string `json:"title"`
	Done, Total int64  `json:",omitempty"` // rows; Total is 0 where they are not counted
	Tries       int    `json:",omitempty"` // how often a lock was not to be had in time
}

// Online is a driver with an OnlineDialect. What told is given may be nil.
type Online interface {
	Driver
	// Exclusive calls fn while nobody else is in it, on any node. It calls
	// waiting once when it has to wait for its turn.
	Exclusive(ctx context.Context, waiting func(), fn func(context.Context) error) error
	// Stage runs one stage.
	Stage(ctx context.Context, s Stage, told func(StageProgress)) error
	// Brief calls fn in a transaction of its own as Alter does, but waits for
	// locks for a moment only, since everybody behind it waits too. It then
	// undoes everything, pauses and calls fn again, for some minutes.
	Brief(ctx context.Context, told func(StageProgress), fn func(Tx) error) error
	// Finish completes what stages and transactions left behind in tables, and
	// removes what no table of them needs. last: no release that is older than
	// the schema writes any more.
	Finish(ctx context.Context, tables []*Table, last bool, told func(StageProgress)) error
}
