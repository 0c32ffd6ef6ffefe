package engine

import (
	"context"
	"slices"
	"sync"

	"github.com/pandobase/pando/internal/audit"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
)

// Executor is what a door asks for rows: the engine, where each request is a
// transaction of its own, or a transaction of several.
type Executor interface {
	// App is the application that is served.
	App() *model.App
	// Read is [Engine.Read].
	Read(ctx context.Context, id policy.Identity, q *query.Read, opt ReadOptions) (*Result, error)
	// Write is [Engine.Write].
	Write(ctx context.Context, id policy.Identity, w *query.Write, idem *Idempotency) (*Result, error)
	// Append calls fn in the transaction, or in one of its own: for what other rooms
	// add to it. fn must not wait.
	Append(ctx context.Context, fn func(store.Tx) error) error
}

var (
	_ Executor = (*Engine)(nil)
	_ Executor = (*Tx)(nil)
)

// Tx is one run of a transaction's code, see [Engine.Transact]. What is asked of
// it goes the way of every request, policies, validation and records included.
// Calls may come from several goroutines: they run one after the other.
type Tx struct {
	e       *Engine
	session *store.Session
	// readOnly refuses the code's writes; the answer's idempotency key is one.
	readOnly bool

	mu       sync.Mutex
	read     []audit.Record // of what was read
	denied   []audit.Record
	entities []*model.Entity // that were written
	writes   int             // that have not failed
	half     error           // of what failed with a part of it written
}

// App implements [Executor].
func (t *Tx) App() *model.App { return t.e.app }

// Read is [Engine.Read] in the transaction: it sees one state of the data, and
// what the transaction has written. How old the rows may be says nothing here.
func (t *Tx) Read(ctx context.Context, id policy.Identity, q *query.Read, opt ReadOptions) (*Result, error) {
	return t.e.readAs(ctx, t, id, q, opt)
}

// Write is [Engine.Write] in the transaction: it is on disk with the
// transaction's end, and one that fails leaves nothing behind, so that the code
// may go on. A key of idempotency is the whole transaction's alone.
func (t *Tx) Write(ctx context.Context, id policy.Identity, w *query.Write, idem *Idempotency) (*Result, error) {
	return t.e.writeAs(ctx, t, id, w, idem)
}

// Append calls fn in the transaction: for what other rooms add to it. fn must
// not wait.
func (t *Tx) Append(ctx context.Context, fn func(store.Tx) error) error {
	if t.readOnly {
		return store.OnlyReads()
	}
	return t.add(ctx, fn)
}

func (t *Tx) add(ctx context.Context, fn func(store.Tx) error) error {
	if err := t.session.Write(ctx, fn); err != nil {
		return err
	}
	t.changed(nil)
	return nil
}

// change runs a write.
func (t *Tx) change(ctx context.Context, idem *Idempotency, ch *change) error {
	if idem != nil {
		return fault.New(fault.NotImplemented, "a write within a transaction has no idempotency key of its own").
			WithHint("give the key to the operation")
	}
	if t.readOnly {
		return store.OnlyReads()
	}
	if err := t.session.Write(ctx, ch.run); err != nil {
		return err
	}
	t.changed(ch.entity)
	return nil
}

func (t *Tx) changed(ent *model.Entity) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.writes++
	if ent != nil && !slices.Contains(t.entities, ent) {
		t.entities = append(t.entities, ent)
	}
}

// Whole calls fn, which is all or nothing: where it fails with something written,
// the transaction fails with its error, whatever the code makes of that. Writes of
// other goroutines meanwhile count as fn's.
func (t *Tx) Whole(fn func() error) error {
	before := t.written()
	err := fn()
	if err != nil && t.written() != before {
		t.mu.Lock()
		if t.half == nil {
			t.half = err
		}
		t.mu.Unlock()
	}
	return err
}

func (t *Tx) written() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.writes
}

// broken is why the transaction cannot be kept, though its code has ended well.
func (t *Tx) broken() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.half
}

// remember keeps the records of a read until the transaction's end: nothing of it
// is answered before.
func (t *Tx) remember(records []audit.Record) {
	t.mu.Lock()
	t.read = append(t.read, records...)
	t.mu.Unlock()
}

// Deny keeps the record of a denial until the transaction's end: it is written
// in another one, for which there is no room meanwhile.
func (t *Tx) Deny(r audit.Record) {
	t.mu.Lock()
	t.denied = append(t.denied, r)
	t.mu.Unlock()
}

// commit ends the transaction. What was read is on record with what was written,
// or, where nothing was, before it is answered.
func (t *Tx) commit(ctx context.Context) error {
	t.mu.Lock()
	records, wrote := t.read, t.writes > 0
	t.mu.Unlock()
	if wrote && len(records) > 0 {
		if err := t.session.Write(ctx, func(tx store.Tx) error { return t.e.appendAll(tx, records) }); err != nil {
			return err
		}
		records = nil
	}
	if err := t.session.Commit(); err != nil {
		return err
	}
	t.mu.Lock()
	t.read = nil
	t.mu.Unlock()
	return t.e.recordReads(ctx, records)
}

// settle puts on record what is left when the transaction has ended for good.
func (t *Tx) settle(ctx context.Context) error {
	t.mu.Lock()
	read, denied := t.read, t.denied
	t.read, t.denied = nil, nil
	t.mu.Unlock()
	ctx = context.WithoutCancel(ctx)
	for i := range denied {
		t.e.recordDenial(ctx, &denied[i])
	}
	return t.e.recordReads(ctx, read)
}
