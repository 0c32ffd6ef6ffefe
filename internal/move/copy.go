package move

import (
	"context"
	"encoding/json"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

const (
	chunkRows  = 20_000  // copied in one transaction
	chunkBytes = 8 << 20 // of values, after which a chunk ends too
	tellEvery  = 5_000   // rows
)

// begin makes both ends ready for the rows: the target is claimed and has the
// tables, the source captures what changes.
func (r *run) begin(ctx context.Context) error {
	r.step(Preparing)
	standing, err := Standing(ctx, r.from)
	if err != nil {
		return err
	}
	if standing != nil && (standing.Role != Source || standing.Step == Moved) {
		return fault.New(fault.Conflict, "the store has been moved to %s already", standing.Peer)
	}
	if err := r.readTables(ctx); err != nil {
		return err
	}
	if standing != nil {
		r.state = *standing
	} else {
		r.state = State{ID: r.cfg.ID, Role: Source, Step: Copying, Peer: r.cfg.Name, Tables: r.names(), Began: r.cfg.Now().UTC()}
	}
	if err := r.number(); err != nil {
		return err
	}
	if err := Thaw(ctx, r.from, &r.state); err != nil {
		return err
	}
	if err := r.claim(ctx); err != nil {
		return err
	}
	if standing == nil {
		if err := insist(func() error { return r.from.Write(ctx, r.capture) }); err != nil {
			return stopped(err, "changes cannot be captured")
		}
	}
	return r.count(ctx)
}

// capture has the source capture what changes from here on.
func (r *run) capture(tx store.Tx) error {
	if err := exec(tx, r.src.CaptureLog()); err != nil {
		return err
	}
	for _, t := range r.tables {
		if err := exec(tx, r.src.Capture(t.StoredTable, t.n)); err != nil {
			return err
		}
	}
	return r.state.write(tx, r.src)
}

// claim makes the target this move's, unless it is.
func (r *run) claim(ctx context.Context) error {
	claim, err := Standing(ctx, r.to)
	if err != nil {
		return err
	}
	if claim != nil && claim.ID == r.state.ID && claim.Step != Returned {
		r.linked = claim.Step == Ready
		return nil
	}
	if claim != nil && claim.Step == Returned {
		if err := clear(ctx, r.to); err != nil {
			return err
		}
	}
	err = r.to.Unlinked(ctx, func(tx store.MoveTx) error {
		for _, t := range r.tables {
			switch {
			case t.Table != nil:
				if err := exec(tx, r.dst.Bare(t.Table)); err != nil {
					return err
				}
			case !t.AddOnly:
				if err := exec(tx, []string{"DELETE FROM " + t.dst.name}); err != nil {
					return err
				}
			}
		}
		s := r.state
		s.Role, s.Step = Target, Filling
		return s.write(tx, r.dst)
	})
	if err != nil {
		return stopped(err, "the target cannot be prepared")
	}
	return nil
}

// mark is how far a table is copied; the target keeps it, in the transaction of
// the rows.
type mark struct {
	Last []cell `json:"last,omitempty"` // the key of the last row
	Rows int64  `json:"rows"`
	Done bool   `json:"done"`
}

// cell is a value in JSON.
type cell struct {
	Tag   value.Tag `json:"t"`
	Int   int64     `json:"i,omitempty"`
	Float float64   `json:"f,omitempty"`
	Bytes []byte    `json:"b,omitempty"` // of texts too
}

func cells(vs []value.Value) []cell {
	out := make([]cell, len(vs))
	for i, v := range vs {
		out[i] = cell{v.Tag, v.Int, v.Float, []byte(v.Str)}
	}
	return out
}

func values(cs []cell) []value.Value {
	out := make([]value.Value, len(cs))
	for i, c := range cs {
		out[i] = value.Value{Tag: c.Tag, Int: c.Int, Float: c.Float, Str: string(c.Bytes)}
	}
	return out
}

func (t *table) markKey() string { return "copied " + t.Name }

// copyAll copies what is not copied yet.
func (r *run) copyAll(ctx context.Context) error {
	began := time.Now()
	r.at.Done, r.at.Total = 0, 0
	for _, t := range r.tables {
		r.at.Total += t.rows
	}
	r.step(Copying)
	var bad unfit
	for _, t := range r.tables {
		if err := r.copyTable(ctx, t, &bad); err != nil {
			return stopped(err, "%s cannot be copied", t.Name)
		}
	}
	if err := bad.err(); err != nil {
		return joinUndone(err, Abort(ctx, r.from, r.to))
	}
	r.result.Copied = time.Since(began)
	return nil
}

// joinUndone keeps the fault that matters in front.
func joinUndone(err, undo error) error {
	if undo == nil {
		return err
	}
	f := *fault.From(err)
	f.Details += "; and what was copied could not be removed: " + fault.From(undo).Message
	return &f
}

// chunk is some rows on their way.
type chunk struct {
	rows [][]value.Value
	last []value.Value
	end  bool
	err  error
}

// copyTable reads one chunk while it loads the one before.
func (r *run) copyTable(ctx context.Context, t *table, bad *unfit) error {
	var m mark
	err := r.to.Read(ctx, false, func(rd store.Reader) error {
		text, err := readNote(rd, r.dst, t.markKey())
		if err != nil || text == "" {
			return err
		}
		return json.Unmarshal([]byte(text), &m)
	})
	if err != nil {
		return err
	}
	r.at.Done += m.Rows
	if m.Done {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	chunks := make(chan chunk)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(chunks)
		r.readChunks(ctx, t, values(m.Last), bad, chunks)
	}()
	defer func() { cancel(); <-done }()
	for c := range chunks {
		if c.err != nil {
			return c.err
		}
		if err := r.load(ctx, t, &m, &c); err != nil {
			return err
		}
		r.at.Table = t.Name
		r.at.Done += int64(len(c.rows))
		r.cfg.Progress(r.at)
	}
	return ctx.Err()
}

// readChunks reads in the order of the key. Each chunk is a state of its own:
// what changes behind it, or before, is captured.
func (r *run) readChunks(ctx context.Context, t *table, last []value.Value, bad *unfit, out chan<- chunk) {
	for {
		c := r.readChunk(ctx, t, last, bad)
		select {
		case out <- c:
		case <-ctx.Done():
			return
		}
		if c.end || c.err != nil {
			return
		}
		last = c.last
	}
}

// errEnough ends a query early.
var errEnough = fault.New(fault.Internal, "a chunk is full")

func (r *run) readChunk(ctx context.Context, t *table, last []value.Value, bad *unfit) chunk {
	st, args := t.src.first, []value.Value{value.OfInt(chunkRows)}
	if len(last) > 0 {
		st, args = t.src.rest, append(append([]value.Value{}, last...), value.OfInt(chunkRows))
	}
	c := chunk{rows: make([][]value.Value, 0, 1024), end: true}
	bytes, read := 0, 0
	err := r.from.Read(ctx, false, func(rd store.Reader) error {
		return rd.Query(st, args, func(row store.Row) error {
			vs := t.rowOf(row)
			c.last = t.keyOf(vs)
			read++
			if bad.check(t, vs) {
				c.rows = append(c.rows, vs)
			}
			for i := range vs {
				bytes += len(vs[i].Str)
			}
			if bytes >= chunkBytes {
				return errEnough
			}
			return nil
		})
	})
	if read == chunkRows {
		c.end = false
	}
	if err == error(errEnough) { //nolint:errorlint // it is ours
		c.end, err = false, nil
	}
	c.err = err
	return c
}

// load puts a chunk into the target, with how far the table is then.
func (r *run) load(ctx context.Context, t *table, m *mark, c *chunk) error {
	next := mark{Last: cells(c.last), Rows: m.Rows + int64(len(c.rows)), Done: c.end}
	text, err := json.Marshal(next)
	if err != nil {
		return err
	}
	fresh := *t.StoredTable
	fresh.AddOnly = false // no row of it can be there already
	err = r.to.Unlinked(ctx, func(tx store.MoveTx) error {
		if _, err := tx.Load(&fresh, each(c.rows)); err != nil {
			return err
		}
		return writeNote(tx, r.dst, t.markKey(), string(text))
	})
	if err == nil {
		*m = next
	}
	return err
}

// each hands rows out one by one.
func each(rows [][]value.Value) func() ([]value.Value, error) {
	i := 0
	return func() ([]value.Value, error) {
		if i == len(rows) {
			return nil, nil
		}
		i++
		return rows[i-1], nil
	}
}
