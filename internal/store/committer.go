package store

// Committer is the power of a driver to run code within its commits.
type Committer interface {
	// OnCommit sets two functions, which run on the goroutine that commits a
	// transaction in which something was kept ([Tx.Keep]). before runs behind its
	// last write and is given what was kept, in order; what it writes is committed
	// with the transaction, and its error fails all of it. after runs when the
	// transaction has ended; with false, nothing of it was stored.
	//
	// From before to after, no other transaction of the store is between its own
	// two, whichever node it is of, and before sees what those have committed that
	// came first. OnCommit is called before the first write, once.
	OnCommit(before func(tx Tx, kept []any) error, after func(committed bool))

	// Shared reports whether other processes may write to the store meanwhile.
	Shared() bool
}
