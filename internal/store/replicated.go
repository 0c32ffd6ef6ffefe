package store

import (
	"context"
	"slices"
	"time"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/query"
)

// Replicated is an optional power of a driver: reads that others than the
// primary answer. [Driver.Read] stays on the primary.
type Replicated interface {
	// ReadFrom is Read on the primary or on a replica that fulfils the wish. fn
	// may run again, on another server, when one fails: only its last run counts.
	ReadFrom(ctx context.Context, snapshot bool, w Wish, fn func(Reader) error) error

	// Position is behind every write that the driver has acknowledged. It is
	// zero while there are no replicas: nobody needs it then.
	Position() Position

	// Changed notes that writes which were acknowledged may have changed rows of
	// these entities, see [Wish.Judges].
	Changed(entities []string)

	// Replicas tells how the replicas do; nil: there are none.
	Replicas() *Replicas
}

// Position is a place in the history of a database: after it, everything that
// was written before is there. Positions of two clusters or two timelines
// cannot be compared.
type Position struct {
	Cluster  uint64 // the database cluster's identity
	Timeline uint32 // grows when a replica becomes the primary
	LSN      uint64
}

// Wish is what a read asks of the server that answers it.
type Wish struct {
	Consistency query.Consistency
	// After is a write that the read has to see; zero: none.
	After Position
	// Judges are the entities, by their qualified names, whose rows decide what
	// the caller may see: none of them may be older than the last write that the
	// driver knows of. [Anything] stands for every entity.
	Judges []string
}

// Anything among [Wish.Judges] is every entity: written by others than the
// engine, so that no one notes which.
const Anything = "*"

// Replicas is the state of a store's replicas.
type Replicas struct {
	Primary int64 // callers' reads that the primary has answered
	List    []Replica
}

// Replica is the state of one replica.
type Replica struct {
	Name    string        // its host and port
	Healthy bool          // it is read from
	Lag     time.Duration // how old its data is at most
	// Reads that it is answering; those that it has answered; how often it was
	// taken out.
	Outstanding, Reads, Ejections int64
}

// judgedBy is an entity as one of a plan's judges.
func judgedBy(names []string, e *model.Entity) []string {
	name := e.QualifiedName()
	if e.Module.Builtin { // identity writes these in transactions of its own
		name = Anything
	}
	if slices.Contains(names, name) {
		return names
	}
	return append(names, name)
}
