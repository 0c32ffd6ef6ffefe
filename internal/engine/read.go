package engine

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
)

// ReadOptions say how a read is answered.
type ReadOptions struct {
	// Stream, when set, receives the rows in pieces as they are encoded, and
	// Result.Body stays nil. Used with query.NDJSON and query.CSV.
	Stream io.Writer
	// Cursors asks for Result.Next and Result.Prev.
	Cursors bool
	// Consistency is how old the rows may be, where the store has replicas.
	Consistency query.Consistency
	// After is the [Result.Position] of a write that the read has to see; empty:
	// none. With one that is not valid, or not any more, the primary answers.
	After string
}

// read is Read without its denials.
func (e *Engine) read(ctx context.Context, in *Tx, id policy.Identity, q *query.Read, opt ReadOptions) (*Result, error) {
	guard := e.guards(&id)
	sc := scratches.Get().(*scratch) //nolint:forcetypeassert // the pool holds nothing else
	defer sc.release()
	shape, args := q.Shape(sc.shape[:0], sc.args[:0])
	sc.shape, sc.args = shape, args
	popt := store.ReadOptions{Cursors: opt.Cursors || q.Cursor != "", Primary: opt.Stream == nil && e.keysOnRecord(q.Target)}
	if q.Cursor != "" {
		if q.Node.Page.Offset != 0 {
			return nil, fault.New(fault.InvalidCursor, "a cursor and an offset exclude each other")
		}
		cur, err := e.openCursor(q.Cursor, shape, id)
		if err != nil {
			return nil, err
		}
		popt.After = cur
		for _, k := range cur.Keys {
			args = append(args, query.Arg{Text: k})
		}
	}
	plan, err := e.readPlan(q, guard, shape, popt)
	if err != nil {
		return nil, err
	}
	if args, err = plan.Args(args, guard); err != nil {
		return nil, err
	}
	audited := e.audited(plan)
	if audited && opt.Stream != nil {
		if err := e.recordRead(ctx, in, &id, plan, 0, nil); err != nil {
			return nil, err
		}
	}
	res := &Result{}
	run := store.RunOptions{Format: q.Format, Limit: e.limit(q), AtCursor: q.Cursor != "", Edges: q.Edges}
	if opt.Stream == nil {
		res.buf = buffers.Get().(*[]byte) //nolint:forcetypeassert // the pool holds nothing else
		run.Buffer = (*res.buf)[:0]
	} else {
		run.Buffer = make([]byte, 0, 40<<10)
		opt.Stream = &once{to: opt.Stream}
		run.Flush = func(b []byte) ([]byte, error) {
			_, err := opt.Stream.Write(b)
			return b[:0], err
		}
	}
	page := &sc.page
	start := time.Now()
	err = e.readFrom(ctx, in, q.Count != query.CountNone, &opt, plan, func(r store.Reader) error {
		return plan.Run(r, args, run, page)
	})
	e.meter.record(ctx, plan.Entity, query.ReadRows, start, err)
	if err == nil {
		plan.Usage.Add(time.Since(start), page.Rows, page.Bound())
	}
	e.meter.scattered(ctx, query.ReadRows, plan.Scattered())
	if err != nil {
		res.Body = run.Buffer
		res.Release()
		return nil, err
	}
	if audited && opt.Stream == nil {
		if err := e.recordRead(ctx, in, &id, plan, page.Rows, page.Primary); err != nil {
			res.Body = run.Buffer
			res.Release()
			return nil, err
		}
	}
	res.Rows, res.Total, res.TotalExact = page.Rows, page.Total, page.Exact
	if opt.Stream != nil {
		if _, err := opt.Stream.Write(page.Body); err != nil {
			return nil, fault.Wrap(err, fault.QueryCanceled, "the client went away")
		}
	} else {
		res.Body = page.Body
	}
	if q.Edges {
		res.More = page.More
		res.First, res.Last = page.Edges()
	}
	if popt.Cursors {
		e.links(res, page, shape, id)
	}
	return res, nil
}

// scratch is the memory that a read needs and does not answer.
type scratch struct {
	shape []byte
	args  []query.Arg
	page  store.Page
}

//nolint:gochecknoglobals // a pool has to outlive the engines that share it
var scratches = sync.Pool{New: func() any {
	return &scratch{shape: make([]byte, 0, 512), args: make([]query.Arg, 0, 12)}
}}

func (s *scratch) release() {
	clear(s.args)
	s.page.Forget()
	if cap(s.shape) <= 4096 && cap(s.args) <= 256 {
		scratches.Put(s)
	}
}

// limit is the page's size that a read gets; 0: none.
func (e *Engine) limit(q *query.Read) int64 {
	most := int64(e.app.Config.Limits.Rows)
	if q.Unbounded {
		most = 0
	}
	if l := q.Node.Page.Limit; l != nil && (most == 0 || *l < most) {
		return *l
	}
	return most
}

// links makes the cursors of the pages after and before this one. There is a
// page after when this one is full, and a page before when this one was
// reached by a cursor.
func (e *Engine) links(res *Result, page *store.Page, shape []byte, id policy.Identity) {
	if len(page.Last.Keys) > 0 {
		res.Next = e.sealCursor(&page.Last, shape, id)
	}
	if len(page.First.Keys) > 0 {
		res.Prev = e.sealCursor(&page.First, shape, id)
	}
}

// readPlan finds or makes the plan of a shape. shape is not kept, but it is
// extended: its owner must not rely on the bytes behind its length.
func (e *Engine) readPlan(q *query.Read, guard policy.Guard, shape []byte, opt store.ReadOptions) (*store.ReadPlan, error) {
	key := shape
	for _, flag := range []bool{q.Unbounded, opt.Cursors, opt.Primary, opt.After != nil, opt.After != nil && opt.After.Before} {
		if flag {
			key = append(key, '+')
		} else {
			key = append(key, '-')
		}
	}
	key = append(key, '0'+byte(opt.To), '0'+byte(min(len(opt.Within), 2)))
	if opt.After != nil {
		for _, null := range opt.After.Null {
			if null {
				key = append(key, '0')
			} else {
				key = append(key, '1')
			}
		}
	}
	return e.reads.find(key, guard, func() (*store.ReadPlan, error) { return e.planner.CompileRead(q, guard, opt) })
}

// Explain returns the statement that a read is planned to.
func (e *Engine) Explain(id policy.Identity, q *query.Read) (string, error) {
	p, err := e.planner.CompileRead(q, e.guards(&id), store.ReadOptions{})
	if err != nil {
		return "", err
	}
	return p.SQL(), nil
}

// Known returns a fault when the application has no such entity.
func (e *Engine) Known(t query.Target) error {
	_, err := e.planner.Entity(t)
	return err
}
