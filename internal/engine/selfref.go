package engine

import (
	"slices"

	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// sequence finds the order in which the rows of a create are inserted: each
// behind those of the same create that it refers to, since a reference is
// checked row by row, while the rows of one request may stand in any order, as
// those of one INSERT in PostgreSQL. Without such rows there is no order: the
// input's will do. Rows that refer to each other in a circle have none.
func (c *change) sequence() {
	targets := c.within()
	if targets == nil {
		return
	}
	const fresh, open, done = 0, 1, 2
	state := make([]int, len(c.rows))
	order := make([]int, 0, len(c.rows))
	var stack []int
	for i := range c.rows {
		stack = append(stack, i)
		for len(stack) > 0 {
			at := stack[len(stack)-1]
			if state[at] == fresh {
				state[at] = open
				for _, t := range targets[at] {
					switch state[t] {
					case fresh:
						stack = append(stack, t)
					case open:
						c.circle = true
					}
				}
				continue
			}
			stack = stack[:len(stack)-1]
			if state[at] == open {
				state[at] = done
				order = append(order, at)
			}
		}
	}
	c.order = order
}

// within tells for each row which others of the same create it refers to; nil
// when all of those come before it.
func (c *change) within() [][]int {
	var refs []int
	for i, f := range c.entity.Fields {
		if f.Ref != nil && !f.Ref.Loose && f.Ref.Target == c.entity {
			refs = append(refs, i)
		}
	}
	if len(refs) == 0 || len(c.rows) < 2 {
		return nil
	}
	own := slices.Index(c.entity.Fields, c.entity.Primary)
	at := make(map[value.Value]int, len(c.rows))
	for i, vals := range c.rows {
		at[vals[own]] = i
	}
	targets, forward := make([][]int, len(c.rows)), false
	for i, vals := range c.rows {
		for _, r := range refs {
			if j, ok := at[vals[r]]; ok && j != i {
				targets[i] = append(targets[i], j)
				forward = forward || j > i
			}
		}
	}
	if !forward {
		return nil
	}
	return targets
}

// create inserts the rows and then checks what the store does not.
func (c *change) create(tx store.Tx, out *store.Outcome) error {
	if !c.circle {
		_, err := c.insert(tx, out)
		return err
	}
	return tx.Unchecked(func() error {
		rows, err := c.insert(tx, out)
		if err != nil {
			return err
		}
		for _, i := range rows {
			if err := c.proved(tx, c.rows[i]); err != nil {
				return numbered(err, i, len(c.rows))
			}
		}
		return nil
	})
}

// insert inserts the rows and returns which of them were written. The keys in
// out are in the order of the input.
func (c *change) insert(tx store.Tx, out *store.Outcome) ([]int, error) {
	out.Primary = make([]value.Value, 0, len(c.rows))
	written := make([]int, 0, len(c.rows))
	if c.merged, c.was = nil, nil; c.w.Conflict.Resolution == query.Merge {
		c.merged, c.was = make([]bool, len(c.rows)), make([][]value.Value, len(c.rows))
	}
	for n := range c.rows {
		i := n
		if c.order != nil {
			i = c.order[n]
		}
		vals, before := c.rows[i], len(out.Primary)
		if err := c.plan.Run(tx, vals, c.args, out); err != nil {
			return nil, numbered(c.explain(tx, err, vals), i, len(c.rows))
		}
		if len(out.Primary) == before {
			continue // a conflict, which is ignored
		}
		written = append(written, i)
		if !out.Existed {
			c.res.Inserted++
		} else if c.merged != nil {
			c.merged[i], c.was[i] = true, lastOf(out.Former)
		}
	}
	if c.order != nil {
		keys := make([]value.Value, len(c.rows))
		for n, i := range written {
			keys[i] = out.Primary[n]
		}
		slices.Sort(written)
		for n, i := range written {
			out.Primary[n] = keys[i]
		}
	}
	c.written = written
	for _, i := range written {
		if err := c.references(tx, c.rows[i]); err != nil {
			return nil, numbered(err, i, len(c.rows))
		}
	}
	return written, nil
}

// lastOf is the last of the rows; nil: there are none.
func lastOf(rows [][]value.Value) []value.Value {
	if len(rows) == 0 {
		return nil
	}
	return rows[len(rows)-1]
}

// proved checks the references that the store was told to let through.
func (c *change) proved(tx store.Tx, vals []value.Value) error {
	for i, f := range c.entity.Fields {
		if f.Ref == nil || f.Ref.Loose || vals[i].IsNull() {
			continue
		}
		there, err := c.e.there(tx, f.Ref.Target, vals[i])
		if err != nil {
			return err
		}
		if !there {
			return missing(c.entity, f, vals[i])
		}
	}
	return nil
}
