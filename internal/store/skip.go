package store

// Skipper is an optional power of a dialect whose database has several writers at
// a time: a SELECT passes by the rows that somebody else holds, and holds those
// that it answers until its transaction ends.
type Skipper interface {
	// LockFree ends such a SELECT. Rows of alias are held.
	LockFree(alias string) string
}

// LockFree ends a SELECT that takes rows of alias which nobody else has taken. It
// is empty where writes come one after the other.
func LockFree(d Dialect, alias string) string {
	if s, ok := d.(Skipper); ok {
		return s.LockFree(alias)
	}
	return d.Lock(alias)
}
