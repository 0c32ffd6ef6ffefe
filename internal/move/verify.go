package move

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

const (
	fewChanges  = 2_000 // entries of the log that are brought along within a freeze
	tailEntries = 20_000
	maxRounds   = 200 // of catching up, after which writers are faster than the move
)

// catchUp brings along what was captured while the rows were copied, until
// little is left, and then all of it at once: from here on the target is in a
// state that the source has had.
func (r *run) catchUp(ctx context.Context) error {
	r.step(Tailing)
	if r.linked {
		if err := r.unlink(ctx, r.to, r.dst); err != nil {
			return stopped(err, "the target cannot be made ready for changes")
		}
		r.linked = false
	}
	f := r.there()
	for range maxRounds {
		n, err := f.waiting(ctx)
		if err == nil && n <= fewChanges {
			break
		}
		var b *batch
		if err == nil && !r.indexed(ctx) {
			b, err = f.drain(ctx, tailEntries)
		} else if err == nil {
			b, err = f.drain(ctx, 0) // unique keys hold for whole states alone
		}
		if err != nil {
			return stopped(err, "what was captured cannot be brought along")
		}
		r.result.Changes += int64(b.keys)
	}
	b, err := f.drain(ctx, 0)
	if err != nil {
		return stopped(err, "what was captured cannot be brought along")
	}
	r.result.Changes += int64(b.keys)
	return nil
}

// indexed reports whether the target's indexes are there.
func (r *run) indexed(ctx context.Context) bool {
	claim, err := Standing(ctx, r.to)
	return err != nil || claim == nil || claim.Done
}

// finish makes the target's indexes, and has it capture what will be written to
// it after the switch, for the way back.
func (r *run) finish(ctx context.Context) error {
	if r.indexed(ctx) {
		return nil
	}
	r.step(Indexing)
	err := r.to.Unlinked(ctx, func(tx store.MoveTx) error {
		if err := exec(tx, r.dst.CaptureLog()); err != nil {
			return err
		}
		for _, t := range r.tables {
			if t.Table != nil {
				r.at.Table = t.Name
				r.cfg.Progress(r.at)
				if err := exec(tx, r.dst.Finish(t.Table)); err != nil {
					return err
				}
			}
			if err := exec(tx, r.dst.Capture(t.StoredTable, t.n)); err != nil {
				return err
			}
		}
		s := r.state
		s.Role, s.Step, s.Done = Target, Filling, true
		return s.write(tx, r.dst)
	})
	if err != nil {
		return stopped(err, "the indexes of the target cannot be made")
	}
	return nil
}

// approach catches up once more and compares every row of both stores, in a
// state of the source that the target is brought to. Writers go on meanwhile.
func (r *run) approach(ctx context.Context) error {
	if err := r.catchUp(ctx); err != nil {
		return err
	}
	r.at.Done = 0
	r.step(Verifying)
	f := r.there()
	var b *batch
	err := r.from.Read(ctx, true, func(src store.Reader) (err error) {
		if b, err = f.readLog(src, 0); err != nil {
			return err
		}
		if err := f.apply(ctx, b); err != nil {
			return err
		}
		return r.to.Read(ctx, true, func(dst store.Reader) error { return r.compare(src, dst) })
	})
	if err == nil {
		err = f.forget(ctx, b)
	}
	if err != nil {
		return stopped(err, "the stores could not be compared")
	}
	r.result.Changes += int64(b.keys)
	return nil
}

// compare sums the hashes of all rows, of both stores at the same time.
func (r *run) compare(src, dst store.Reader) error {
	r.result.Tables, r.result.Rows = nil, 0
	for _, t := range r.tables {
		var a, b sum
		var errB error
		done := make(chan struct{})
		go func() {
			defer close(done)
			b, errB = hashes(dst, t, t.dst.all)
		}()
		a, errA := hashes(src, t, t.src.all)
		<-done
		switch {
		case errA != nil:
			return errA
		case errB != nil:
			return errB
		case a != b:
			return r.differs(src, dst, t, &a, &b)
		}
		r.result.Tables = append(r.result.Tables, TableResult{t.Name, a.rows, a.String()})
		r.result.Rows += a.rows
		r.at.Table, r.at.Done = t.Name, r.at.Done+a.rows
		r.cfg.Progress(r.at)
	}
	return nil
}

func hashes(rd store.Reader, t *table, st *store.Statement) (s sum, err error) {
	var h hasher
	row := make([]value.Value, len(t.Columns))
	err = rd.Query(st, nil, func(r store.Row) error {
		for i := range row {
			row[i] = r.Value(i)
		}
		s.add(h.row(t, row))
		return nil
	})
	return s, err
}

// differs names the rows by which the stores differ.
func (r *run) differs(src, dst store.Reader, t *table, a, b *sum) error {
	const most = 5
	rows := map[string][2]uint64{}
	var h hasher
	read := func(rd store.Reader, st *store.Statement, each func(key string, hash [2]uint64)) error {
		return rd.Query(st, nil, func(row store.Row) error {
			vs := t.rowOf(row)
			each(t.showKey(vs), h.row(t, vs))
			return nil
		})
	}
	err := read(src, t.src.all, func(key string, hash [2]uint64) { rows[key] = hash })
	if err == nil {
		err = read(dst, t.dst.all, func(key string, hash [2]uint64) {
			if other, ok := rows[key]; ok && other == hash {
				delete(rows, key)
			} else {
				rows[key] = hash
			}
		})
	}
	if err != nil {
		return err
	}
	keys := slices.Sorted(maps.Keys(rows))
	return fault.New(fault.StoreIO, "the two stores differ in %s", t.Name).
		WithDetails("%d rows against %d; by %s", a.rows, b.rows, strings.Join(keys[:min(len(keys), most)], "; "))
}

// compareKeys compares the rows of the keys that a batch brought along: the
// others have been compared and have not changed since.
func (f *flow) compareKeys(ctx context.Context, b *batch) error {
	return f.to.Read(ctx, true, func(rd store.Reader) error {
		for _, tb := range b.tables {
			var h hasher
			var want, got sum
			for _, row := range tb.rows {
				want.add(h.row(tb.t, row))
			}
			if err := f.written(tb.t).rowsOf(rd, tb.t, tb.keys, func(row []value.Value) { got.add(h.row(tb.t, row)) }); err != nil {
				return err
			}
			if want != got {
				return fault.New(fault.StoreIO, "the two stores differ in %s", tb.t.Name).
					WithDetails("%s", fmt.Sprintf("of %d rows that were changed last, %d are there", want.rows, got.rows))
			}
		}
		return nil
	})
}
