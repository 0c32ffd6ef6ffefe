// Package engine executes queries: it authorises them, plans them once per
// shape, runs them on the store, and on the one write path validates, writes
// and records in one transaction. Every door goes through it; nothing else
// reaches a row.
package engine

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/pandobase/pando/internal/audit"
	"github.com/pandobase/pando/internal/keys"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/outbox"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/telemetry"
)

// Config is what an engine is made of. App, Rules, Driver and Signer are
// required.
type Config struct {
	App    *model.App
	Rules  *policy.Rules
	Driver store.Driver
	Signer *keys.Signer // of cursors
	Log    *slog.Logger
	Now    func() time.Time // default time.Now
	Random io.Reader        // of UUIDs; default crypto/rand
	DB     *telemetry.DB    // measures the store; default: nobody
	Audit  *audit.Log       // what is done is put on record; default: nothing is
	Outbox *outbox.Outbox   // takes the events of writes; default: there are none
	// Guards tells what an identity may; default Rules.For.
	Guards func(*policy.Identity) policy.Guard
	// Drift is told of a statement that does not fit the schema, of an
	// application with tables that are not managed, and says what to answer.
	Drift func(context.Context, error) error
}

// Engine executes queries for one application. It is safe for concurrent use.
type Engine struct {
	app     *model.App
	rules   *policy.Rules
	guards  func(*policy.Identity) policy.Guard
	drift   func(context.Context, error) error
	driver  store.Driver
	copies  store.Replicated // the driver, where it can have replicas; else nil
	reaches map[*model.Entity][]string
	planner *store.Planner
	signer  *keys.Signer
	log     *slog.Logger
	now     func() time.Time
	random  io.Reader
	audit   *audit.Log
	onRead  bool // reads of some entity are on record
	since   time.Time

	reads  plans[*store.ReadPlan]
	writes plans[*store.WritePlan]
	probes cache[*store.Statement] // whether a row is there, by entity

	outbox  *outbox.Outbox
	derived map[writeOf][]derived              // what follows from writes
	whole   map[*model.Entity]*store.Statement // a row's fields, where updates are events

	meter meter
	sizes sizes

	mu      sync.Mutex
	running map[string]bool // idempotent writes in flight, by scope
}

// New returns an engine. It starts nothing and needs no closing.
func New(c Config) *Engine {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Guards == nil {
		c.Guards = c.Rules.For
	}
	limits := c.App.Config.Limits
	onRead := false
	for _, m := range c.App.Modules {
		for _, ent := range m.Entities {
			onRead = onRead || ent.Audit.Reads
		}
	}
	e := &Engine{
		app: c.App, rules: c.Rules, guards: c.Guards, drift: c.Drift, driver: c.Driver, signer: c.Signer, log: c.Log, now: c.Now, random: c.Random,
		audit: c.Audit, onRead: onRead && c.Audit != nil,
		since:   c.Now(),
		planner: &store.Planner{App: c.App, Dialect: c.Driver.Dialect(), MaxRows: int64(limits.Rows), MaxDepth: limits.Depth},
		meter:   meter{db: c.DB},
		running: map[string]bool{},
	}
	if c.Outbox != nil {
		e.outbox, e.derived = c.Outbox, derivations(c.App)
		e.planner.Former = func(ent *model.Entity, a query.Action) bool { return e.derived[writeOf{ent, a}] != nil }
		e.whole = map[*model.Entity]*store.Statement{}
		for w := range e.derived {
			e.whole[w.entity] = e.planner.ByKey(w.entity, w.entity.Fields...)
		}
	}
	if r, ok := c.Driver.(store.Replicated); ok && r.Replicas() != nil {
		e.copies, e.reaches = r, reaches(c.App)
	}
	return e
}

// App is the application that the engine serves.
func (e *Engine) App() *model.App { return e.app }

// Guard is what an identity may see and do.
func (e *Engine) Guard(id policy.Identity) policy.Guard { return e.guards(&id) }

// Result is what a read or a write answered.
type Result struct {
	// Body holds the encoded rows (query.JSON: an array); nil when they were
	// streamed or none were asked for. It is valid until Release.
	Body []byte
	Rows int // rows answered (read) or affected (write)
	// Total is the number of rows that match without the page; -1: not asked
	// for. TotalExact is false for an estimate.
	Total      int64
	TotalExact bool
	Next, Prev string // cursors; empty: no such page or not asked for
	// More says that rows follow, First and Last are the row cursors of the first
	// row and of the last, where the read asks for its edges.
	More        bool
	First, Last string
	// Inserted counts the rows of a create that were new (not merged).
	Inserted int
	// Key is the primary key, as text, of the row of a single create.
	Key string
	// Partition is the partition key, as text, of that row; empty: there is none
	// beside Key, or it is no field that the caller reads.
	Partition string
	Replayed  bool // the answer of an earlier write with this idempotency key
	// Position is the token of a write's place: a read with it sees the write.
	// Empty where the store has no replicas, which is where nobody needs it.
	Position string

	buf *[]byte
}

//nolint:gochecknoglobals // a pool has to outlive the engines that share it
var buffers = sync.Pool{New: func() any {
	b := make([]byte, 0, 8<<10)
	return &b
}}

const maxPooled = 1 << 20 // larger buffers go to the garbage collector

// Release gives the result's memory back. Body must not be used afterwards.
func (r *Result) Release() {
	if r.buf == nil {
		return
	}
	if cap(r.Body) <= maxPooled {
		*r.buf = r.Body[:0]
		buffers.Put(r.buf)
	}
	r.buf, r.Body = nil, nil
}
