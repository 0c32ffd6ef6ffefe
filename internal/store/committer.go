package store

// Committer is an optional power of a driver whose commits come one after the
// other: code that belongs to every commit, however many writes share it.
type Committer interface {
	// OnCommit sets two functions, which run on the goroutine that commits. before
	// runs once in each transaction, behind its last write; what it writes is
	// committed with them, and its error fails them all. after runs when the
	// transaction has ended; with false, nothing of it was stored. A transaction
	// that ends before its commit has an after alone. It is called before the
	// first write, once.
	OnCommit(before func(Tx) error, after func(committed bool))
}
