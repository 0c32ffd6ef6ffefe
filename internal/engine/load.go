package engine

import (
	"context"
	"errors"
	"io"
	"slices"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// Entity finds the entity of a target, or says what is nearest.
func (e *Engine) Entity(t query.Target) (*model.Entity, error) { return e.planner.Entity(t) }

// Load is a long create: rows come one by one, and all of them are stored in
// one transaction or none is.
type Load struct {
	Target   query.Target
	Columns  []string
	Conflict query.Conflict
	// Quiet has the rows be no events: for what an application begins with.
	Quiet bool
	// Next fills in the next row, or returns io.EOF. Any other error belongs to
	// the row and goes to Bad with what was filled in. It is called on a
	// goroutine of its own, ahead of the store.
	Next func(*Row) error
	// Bad takes a row that cannot be stored, in the order of the source. Nil
	// from it skips the row; an error ends the load, and nothing is stored.
	Bad func(line int, source string, err error) error
	// Progress, when set, is told how many rows have been stored so far.
	Progress func(rows int)
	// Finish, when set, is called in the transaction behind the last row. An
	// error from it undoes the load.
	Finish func(tx store.Tx, rows int) error
}

// Row is one row of a source.
type Row struct {
	Line  int          // where it begins in the source
	Cells []query.Cell // a cell for each of the load's columns; free again at the next call
	// Source is the row as the source has it. The cells may share its memory.
	Source string
}

// item is one row on its way from the source to the store.
type item struct {
	vals   []value.Value
	source string
	line   int
	err    error
	bad    bool // told to Bad
}

const (
	loadBatch  = 256     // rows that cross from the reader to the writer at once,
	loadBytes  = 1 << 20 // or fewer, when they are this long together
	loadAhead  = 4       // batches that wait for the writer
	loadReplay = 8       // batches kept for a second run
	loadSlab   = 32      // rows whose values are allocated at once
)

// loadRows is Load without its denials.
func (e *Engine) loadRows(ctx context.Context, id policy.Identity, l *Load) (int, error) {
	ent, err := e.planner.Entity(l.Target)
	if err != nil {
		return 0, err
	}
	w := &query.Write{Action: query.Create, Target: l.Target, Columns: l.Columns, Conflict: l.Conflict}
	ch := &change{e: e, w: w, id: id, guard: e.guards(&id), entity: ent}
	if err := ch.prepare(); err != nil {
		return 0, err
	}
	in, err := e.newInput(ent, id, ch.guard, l.Columns, query.Create)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	batches := make(chan []item, loadAhead)
	go read(ctx, l, in, batches)
	r := &loading{change: ch, load: l, batches: batches}
	err = e.driver.Write(ctx, func(tx store.Tx) error { return r.run(ctx, tx) })
	cancel()
	for range batches { // until the reader has ended
	}
	if err != nil {
		return 0, err
	}
	e.wrote(ent)
	return r.stored, nil
}

// loading is the store's side of one load.
type loading struct {
	change  *change
	load    *Load
	batches <-chan []item
	taken   [][]item // what a second run begins with
	long    bool     // more was taken than is kept
	out     store.Outcome
	vals    [][]value.Value // of the rows whose keys out has
	merged  []bool          // which of them were there before
	stored  int
}

// run is the body of the transaction. The driver runs it again when a
// neighbour's failure undid the group that it was in. Only a short load can
// have been committed together with others, so only the first batches are kept
// for that.
func (r *loading) run(ctx context.Context, tx store.Tx) error {
	r.stored = 0
	if r.long {
		return fault.New(fault.Serialization, "the load was undone by the failure of another write").WithHint("try again")
	}
	for _, batch := range r.taken {
		if err := r.batch(tx, batch); err != nil {
			return err
		}
	}
	for batch := range r.batches {
		if r.long = r.long || len(r.taken) == loadReplay; r.long {
			r.taken = nil
		} else {
			r.taken = append(r.taken, batch)
		}
		if err := r.batch(tx, batch); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return fault.Wrap(err, fault.QueryCanceled, "the load was canceled")
	}
	if r.load.Finish != nil {
		return r.load.Finish(tx, r.stored)
	}
	return nil
}

func (r *loading) batch(tx store.Tx, batch []item) error {
	r.out.Primary, r.out.Partition, r.vals, r.merged = r.out.Primary[:0], r.out.Partition[:0], r.vals[:0], r.merged[:0]
	r.out.Former = nil
	if copied, err := r.copy(tx, batch); err != nil {
		return err
	} else if !copied {
		for i := range batch {
			if err := r.row(tx, &batch[i]); err != nil {
				return err
			}
		}
	}
	if err := r.recordChunk(tx); err != nil {
		return err
	}
	r.stored += len(r.out.Primary)
	if r.load.Progress != nil {
		r.load.Progress(r.stored)
	}
	return nil
}

// copy stores a batch at once, where the store can and nothing has to be asked
// about a row. One that fails has stored nothing: its rows are then stored one
// by one, which finds the bad ones.
func (r *loading) copy(tx store.Tx, batch []item) (bool, error) {
	c := r.change
	if len(c.loose) > 0 || !c.plan.Copies(tx) {
		return false, nil
	}
	own, key := slices.Index(c.plan.Fields, c.entity.Primary), slices.Index(c.plan.Fields, c.entity.PartitionKey())
	for i := range batch {
		it := &batch[i]
		if it.bad {
			continue
		}
		known, err := c.plan.Judge(c.guard, it.vals)
		if it.err != nil || err != nil || !known && c.plan.Judges() {
			r.vals = r.vals[:0]
			return false, nil //nolint:nilerr // told of the row, one by one
		}
		r.vals = append(r.vals, it.vals)
	}
	if err := c.plan.Copy(tx, r.vals); err != nil {
		r.vals = r.vals[:0]
		return false, unlessRow(err)
	}
	for _, vals := range r.vals {
		r.out.Primary, r.merged = append(r.out.Primary, vals[own]), append(r.merged, false)
		if key >= 0 {
			r.out.Partition = append(r.out.Partition, vals[key])
		}
		if err := r.happened(tx, vals[own], vals, false, nil); err != nil {
			return false, err
		}
	}
	return true, nil
}

// happened appends the events of a row.
func (r *loading) happened(tx store.Tx, key value.Value, vals []value.Value, merged bool, was []value.Value) error {
	if r.load.Quiet {
		return nil
	}
	return r.change.created(tx, key, vals, merged, was)
}

// unlessRow is an error that is not of a row's making.
func unlessRow(err error) error {
	switch fault.From(err).Code {
	case fault.QueryCanceled, fault.DiskFull, fault.StoreIO, fault.StoreUnavailable, fault.Internal:
		return err
	default:
		return nil
	}
}

// row stores one row. A row that fails leaves no trace, so that the rest of the
// transaction can go on.
func (r *loading) row(tx store.Tx, it *item) error {
	if it.bad {
		return nil
	}
	c, err := r.change, it.err
	if err == nil {
		if r.out.Judged, err = c.plan.Judge(c.guard, it.vals); err == nil {
			err = c.references(tx, it.vals)
		}
		if err == nil {
			n := len(r.out.Primary)
			if err = c.plan.RunAlone(tx, it.vals, c.args, &r.out); err != nil {
				r.out.Primary = r.out.Primary[:n]
				err = c.explain(tx, err, it.vals)
			} else if len(r.out.Primary) > n {
				r.vals, r.merged = append(r.vals, it.vals), append(r.merged, r.out.Existed)
				// At once: the next row may change the same one.
				if err := r.happened(tx, r.out.Primary[n], it.vals, r.out.Existed, lastOf(r.out.Former)); err != nil {
					return err
				}
			}
		}
	}
	if err == nil {
		return nil
	}
	if err := unlessRow(err); err != nil {
		return err
	}
	it.bad = true
	return r.load.Bad(it.line, it.source, err)
}

// read validates rows and sends them in batches. A row that is wrong travels
// with its error, so that Bad is told in the order of the source.
func read(ctx context.Context, l *Load, in *input, batches chan<- []item) {
	defer close(batches)
	var row Row
	fields := len(in.entity.Fields)
	for more := true; more; {
		batch := make([]item, 0, loadBatch)
		var space []value.Value // a slice for each row would be most of the garbage
		for size := 0; len(batch) < loadBatch && size < loadBytes; {
			err := l.Next(&row)
			if errors.Is(err, io.EOF) {
				more = false
				break
			}
			it := item{line: row.Line, source: row.Source, err: err}
			if err == nil {
				if len(space) == 0 {
					space = make([]value.Value, fields*loadSlab)
				}
				it.vals, space = space[:fields:fields], space[fields:]
				it.err = in.fill(it.vals, row.Cells)
			}
			batch = append(batch, it)
			size += len(row.Source)
		}
		select {
		case batches <- batch:
		case <-ctx.Done():
			return
		}
	}
}
