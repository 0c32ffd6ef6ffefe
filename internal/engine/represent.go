package engine

import (
	"slices"

	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// represent answers the rows that were written: in the order of the input, or
// of the keys.
func (c *change) represent(tx store.Tx, out *store.Outcome) error {
	pk, in := c.entity.Primary, &query.List{}
	node := *c.w.Returning
	node.Where = &query.Compare{Left: &query.FieldRef{Path: query.Path{Field: pk.Name}}, Op: query.In, Right: in}
	node.Order, node.Page = nil, query.Page{}
	q := &query.Read{Target: c.w.Target, Node: node, Format: c.w.Format, Unbounded: true}
	if c.w.Action == query.Create && c.w.Conflict.Resolution == query.Fail && c.entity.Managed {
		// What is stored is what was given: no need to read it back, unless
		// more than its fields is asked for.
		done, err := c.encode(q)
		if done || err != nil {
			return err
		}
	}
	in.Texts = make([]string, len(out.Primary))
	for i, v := range out.Primary {
		in.Texts[i] = string(pk.Type.AppendText(nil, v))
	}
	ordered := c.w.Action == query.Create && !slices.IsSortedFunc(out.Primary, value.Compare)
	opt := store.ReadOptions{Primary: ordered, Within: c.partitions(out)}
	page, err := c.e.readIn(tx, q, c.guard, opt, &c.res)
	if err == nil {
		err = c.recordReturned(tx, q, opt, page)
	}
	if err != nil {
		return err
	}
	if ordered && page.Primary != nil {
		c.res.Body = page.Reorder(c.w.Format, out.Primary, c.res.Body)
	}
	return c.single(page)
}

// partitions are the partition keys of the rows that were written, each once.
func (c *change) partitions(out *store.Outcome) []string {
	if len(out.Partition) == 0 {
		return nil
	}
	var texts []string
	seen := map[value.Value]bool{}
	for _, v := range out.Partition {
		if !seen[v] {
			seen[v] = true
			texts = append(texts, string(c.entity.PartitionKey().Type.AppendText(nil, v)))
		}
	}
	return texts
}

// single refuses to answer one object with a row that was written and is not
// the caller's to read.
func (c *change) single(page *store.Page) error {
	if c.w.Singular && page.Rows != 1 {
		return NotSingular(page.Rows)
	}
	return nil
}

// representFiltered answers the rows that a delete is about to remove.
func (c *change) representFiltered(tx store.Tx) error {
	node := *c.w.Returning
	node.Where, node.Order, node.Page = c.w.Where, c.w.Order, c.w.Page
	q := &query.Read{Target: c.w.Target, Node: node, Format: c.w.Format, Unbounded: true}
	opt := store.ReadOptions{To: query.Delete}
	page, err := c.e.readIn(tx, q, c.guard, opt, &c.res)
	if err != nil {
		return err
	}
	if err := c.single(page); err != nil {
		return err
	}
	return c.recordReturned(tx, q, opt, page)
}

// encode answers rows that were stored just now from their values, where one
// row tells whether the caller may read it.
func (c *change) encode(q *query.Read) (bool, error) {
	sc := scratches.Get().(*scratch) //nolint:forcetypeassert // the pool holds nothing else
	defer sc.release()
	sc.shape, sc.args = q.Shape(sc.shape[:0], sc.args[:0])
	plan, err := c.e.readPlan(q, c.guard, sc.shape, store.ReadOptions{})
	if err != nil {
		return false, err
	}
	res := &c.res
	res.buf = buffers.Get().(*[]byte) //nolint:forcetypeassert // the pool holds nothing else
	if !plan.Encode(c.rows, c.guard, store.RunOptions{Buffer: (*res.buf)[:0], Format: q.Format}, &sc.page) {
		buffers.Put(res.buf)
		res.buf = nil
		return false, nil
	}
	res.Body = sc.page.Body
	return true, c.single(&sc.page)
}

// readIn reads inside a transaction. Into res go the body and its buffer.
func (e *Engine) readIn(r store.Reader, q *query.Read, g policy.Guard, opt store.ReadOptions, res *Result) (*store.Page, error) {
	shape, args := q.Shape(nil, nil)
	plan, err := e.readPlan(q, g, shape, opt)
	if err != nil {
		return nil, err
	}
	switch len(opt.Within) {
	case 0:
	case 1:
		args = append(args, query.Arg{Text: opt.Within[0]})
	default:
		args = append(args, query.Arg{List: opt.Within})
	}
	if args, err = plan.Args(args, g); err != nil {
		return nil, err
	}
	run := store.RunOptions{Format: q.Format}
	if res != nil {
		res.buf = buffers.Get().(*[]byte) //nolint:forcetypeassert // the pool holds nothing else
		run.Buffer = (*res.buf)[:0]
	}
	page := &store.Page{}
	if err := plan.Run(r, args, run, page); err != nil {
		return nil, err
	}
	if res != nil {
		res.Body = page.Body
	}
	return page, nil
}
