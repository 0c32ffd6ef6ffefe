package query

// Consistency is how old the data of a read may be, where the store has
// replicas. Whatever it is, a read that follows a write's position sees that
// write.
type Consistency uint8

// The consistencies.
const (
	Bounded  Consistency = iota // at most as old as the application allows: the default
	Strong                      // the newest: what was acknowledged before the read began
	Eventual                    // of any age
)
