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

// Committed is a function that a write keeps ([Tx.Keep]) to be called once its
// transaction is on disk, on the goroutine that commits: it must not wait, and
// not write. It is not called where the transaction, or the savepoint in which it
// was kept, is undone. The hooks of [Committer.OnCommit] do not see it.
type Committed func()

// Kept parts what was kept in a transaction: what its hooks are given, and what is
// called when it is on disk. It is for drivers.
func Kept(kept []any) (hooked []any, done []Committed) {
	for _, v := range kept {
		if fn, ok := v.(Committed); ok {
			done = append(done, fn)
		}
	}
	if len(done) == 0 || len(done) == len(kept) {
		return kept[len(done):], done
	}
	hooked = make([]any, 0, len(kept)-len(done))
	for _, v := range kept {
		if _, ok := v.(Committed); !ok {
			hooked = append(hooked, v)
		}
	}
	return hooked, done
}
