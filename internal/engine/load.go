package engine

import (
	"context"
	"errors"
	"io"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// Load is a long create: rows come one by one, and all of them are stored in
// one transaction or none is.
type Load struct {
	Target   query.Target
	Columns  []string
	Conflict query.Conflict
	// Next returns the next row and its line in the source, or io.EOF. It is
	// called on a goroutine of its own, ahead of the store.
	Next func() ([]query.Cell, int, error)
	// Bad takes a row that cannot be stored. Nil from it skips the row; an
	// error ends the load, and nothing is stored.
	Bad func(line int, err error) error
	// Progress, when set, is told how many rows have been stored so far.
	Progress func(rows int)
}

// item is one row on its way from the source to the store.
type item struct {
	vals []value.Value
	line int
	err  error
}

const loadBatch = 256 // rows that cross from the reader to the writer at once

// Load stores the rows of a source and returns how many were stored. Rows are
// read and validated beside the store's work. While it runs, other writes
// wait; a source that may take long is better split by its caller.
func (e *Engine) Load(ctx context.Context, id policy.Identity, l *Load) (int, error) {
	ent, err := e.planner.Entity(l.Target)
	if err != nil {
		return 0, err
	}
	w := &query.Write{Action: query.Create, Target: l.Target, Columns: l.Columns, Conflict: l.Conflict}
	ch := &change{e: e, w: w, id: id, guard: policy.For(id), entity: ent}
	if err := ch.prepareCreate(); err != nil {
		return 0, err
	}
	in, err := e.newInput(ent, id, ch.guard, l.Columns, query.Create)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	batches := make(chan []item, 4)
	go read(ctx, l, in, batches)
	stored := 0
	err = e.driver.Write(ctx, func(tx store.Tx) error {
		stored = 0
		out := &store.Outcome{}
		for batch := range batches {
			for i := range batch {
				if err := ch.store(tx, &batch[i], out, l); err != nil {
					return err
				}
			}
			stored += len(out.Primary)
			out.Primary = out.Primary[:0]
			if l.Progress != nil {
				l.Progress(stored)
			}
		}
		return ctx.Err()
	})
	cancel()
	for range batches { // until the reader has ended
	}
	if err != nil {
		return 0, err
	}
	return stored, nil
}

// read validates rows and sends them in batches. A row that is wrong travels
// with its error, so that Bad is told in the order of the source.
func read(ctx context.Context, l *Load, in *input, batches chan<- []item) {
	defer close(batches)
	batch := make([]item, 0, loadBatch)
	send := func() bool {
		select {
		case batches <- batch:
			batch = make([]item, 0, loadBatch)
			return true
		case <-ctx.Done():
			return false
		}
	}
	for {
		cells, line, err := l.Next()
		if errors.Is(err, io.EOF) {
			send()
			return
		}
		it := item{line: line, err: err}
		if err == nil {
			it.vals, it.err = in.row(cells)
		}
		batch = append(batch, it)
		if len(batch) == loadBatch && !send() {
			return
		}
	}
}

// store stores one row. A row that fails leaves no trace, so that the rest of
// the transaction can go on.
func (c *change) store(tx store.Tx, it *item, out *store.Outcome, l *Load) error {
	if it.err == nil {
		if it.err = c.references(tx, it.vals); it.err == nil {
			n := len(out.Primary)
			if it.err = c.plan.RunAlone(tx, it.vals, c.args, out); it.err != nil {
				out.Primary = out.Primary[:n]
				it.err = c.e.explain(tx, it.err, c.entity, c.plan.Fields, it.vals)
			}
		}
	}
	if it.err == nil {
		return nil
	}
	switch f := fault.From(it.err); f.Code {
	case fault.QueryCanceled, fault.DiskFull, fault.StoreIO, fault.StoreUnavailable, fault.Internal:
		return it.err // not the row's fault
	default:
		return l.Bad(it.line, it.err)
	}
}
