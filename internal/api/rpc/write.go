package rpc

import (
	"context"
	"slices"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/operations"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
)

// change is a write on its way from a request to the engine.
type change struct {
	write *query.Write
	key   string // of the row that is changed; empty: it is a new one
}

// create answers a new row.
func (c *call) create(in *given) ([]byte, error) { return c.write(in, (*call).creating) }

// update answers a row that was changed.
func (c *call) update(in *given) ([]byte, error) { return c.write(in, (*call).updating) }

// remove answers nothing: the row is gone.
func (c *call) remove(in *given) ([]byte, error) { return c.write(in, (*call).removing) }

func (c *call) write(in *given, read func(*call, *given) (*change, error)) ([]byte, error) {
	ch, err := read(c, in)
	if err != nil {
		return nil, err
	}
	idem, err := c.idempotency(in)
	if err != nil {
		return nil, err
	}
	if err := c.notify(); err != nil {
		return nil, err
	}
	res, err := c.door.cfg.Engine.Write(c.ctx, c.id, ch.write, idem)
	if err != nil {
		return nil, err
	}
	defer res.Release()
	c.told(res)
	return c.changed(ch, res)
}

// changed is the message of the row that a write has answered.
func (c *call) changed(ch *change, res *engine.Result) ([]byte, error) {
	e := c.method.entity
	switch {
	case ch.key != "" && res.Rows == 0:
		return nil, e.missing(ch.key)
	case ch.write.Action == query.Delete:
		return nil, nil
	}
	t := &text{b: res.Body}
	if t.accept('[') && t.next() == '{' {
		return e.row.appendObject(make([]byte, 0, len(res.Body)), t)
	}
	// The caller may not read the row, or not any more: its key is all there is to
	// tell.
	key := ch.key
	if key == "" {
		key = res.Key
	}
	if key == "" {
		return nil, nil
	}
	v, err := e.key.model.Type.FromText(key)
	if err != nil {
		return nil, err
	}
	return e.key.append(nil, e.key.model.Type.AppendJSON(nil, v))
}

// creating reads what creates a row.
func (c *call) creating(in *given) (*change, error) {
	e := c.method.entity
	row, err := in.message(nameRow)
	if err != nil {
		return nil, err
	}
	if row == nil {
		row = &given{of: e.row, items: make([][]item, len(e.row.fields))}
	}
	mask, err := in.mask(nameCreated)
	if err != nil {
		return nil, err
	}
	w := &query.Write{Action: query.Create, Target: e.target, Rows: [][]query.Cell{nil}}
	for _, f := range e.row.fields {
		named := slices.Contains(mask, f.name)
		// A list has no presence: one that has to be there is the empty one.
		needed := f.list && !f.model.Optional && f.model.Default == nil && !f.model.Generated
		if !named && (mask != nil || !row.sent(f) && !needed) {
			continue
		}
		if err := c.set(w, row, f); err != nil {
			return nil, err
		}
	}
	for _, path := range mask {
		if e.row.byName(path) == nil {
			return nil, c.noField(path)
		}
	}
	return &change{write: c.returning(w)}, nil
}

// updating reads what changes a row.
func (c *call) updating(in *given) (*change, error) {
	e := c.method.entity
	row, err := in.message(nameRow)
	if err != nil {
		return nil, err
	}
	if row == nil || !row.sent(e.key) {
		return nil, about(fault.New(fault.InvalidInput, "%s.%s is missing: it says which row", nameRow, e.key.name), nameRow+"."+e.key.name)
	}
	key, err := e.key.literal(row.items[e.key.index][0])
	if err != nil {
		return nil, err
	}
	set, err := c.masked(in, row)
	if err != nil {
		return nil, err
	}
	one := int64(1)
	w := &query.Write{Action: query.Update, Target: e.target, Where: e.byKey(key), MaxAffected: &one, Rows: [][]query.Cell{nil}}
	for _, f := range set {
		if err := c.set(w, row, f); err != nil {
			return nil, err
		}
	}
	return &change{write: c.returning(w), key: key}, nil
}

// masked are the fields that an update sets.
func (c *call) masked(in, row *given) ([]*field, error) {
	e := c.method.entity
	mask, err := in.mask(nameUpdate)
	if err != nil {
		return nil, err
	}
	var set []*field
	switch {
	case slices.Contains(mask, "*"):
		guard := c.door.cfg.Engine.Guard(c.id)
		for _, f := range e.row.fields {
			if f != e.key && guard.Writable(f.model, query.Update) {
				set = append(set, f)
			}
		}
	case mask != nil:
		for _, path := range mask {
			f := e.row.byName(path)
			if f == nil {
				return nil, c.noField(path)
			}
			if f == e.key {
				return nil, about(fault.New(fault.InvalidInput, "%s says which row: an update does not change it", f.name), nameUpdate)
			}
			if !slices.Contains(set, f) {
				set = append(set, f)
			}
		}
	default:
		for _, f := range e.row.fields {
			if f != e.key && row.sent(f) {
				set = append(set, f)
			}
		}
	}
	if len(set) == 0 {
		return nil, about(fault.New(fault.InvalidInput, "nothing is set").WithHint("give the row a field, or name one in update_mask to make it null"), nameRow)
	}
	return set, nil
}

// removing reads what removes a row.
func (c *call) removing(in *given) (*change, error) {
	e := c.method.entity
	key, err := e.keyOf(in, in.of.fields[0].name)
	if err != nil {
		return nil, err
	}
	one := int64(1)
	return &change{write: &query.Write{Action: query.Delete, Target: e.target, Where: e.byKey(key), MaxAffected: &one}, key: key}, nil
}

// set gives a column of a write what the row has: null where that is nothing, but
// for a list, which is empty then.
func (c *call) set(w *query.Write, g *given, f *field) error {
	c.names(f)
	cell := query.Cell{Kind: query.NullCell}
	if g.sent(f) || f.list {
		raw, err := g.appendField(nil, f)
		if err != nil {
			return err
		}
		cell = query.Cell{Kind: query.FromJSON, Raw: string(raw)}
	}
	w.Columns = append(w.Columns, f.json)
	w.Rows[0] = append(w.Rows[0], cell)
	return nil
}

// returning asks for the row, where the caller may read any.
func (c *call) returning(w *query.Write) *query.Write {
	guard := c.door.cfg.Engine.Guard(c.id)
	if _, err := guard.Filter(policy.Use{Entity: c.method.entity.model, Rule: policy.RuleRead}); err == nil {
		w.Returning = &query.Node{}
	}
	return w
}

// batch makes several changes in one transaction.
func (c *call) batch(in *given) ([]byte, error) {
	sent, err := in.messages(nameChanges)
	if err != nil {
		return nil, err
	}
	if len(sent) > c.door.limits.Rows {
		return nil, tooMany(nameChanges, c.door.limits.Rows)
	}
	changes := make([]*change, len(sent))
	for i, g := range sent {
		if changes[i], err = c.changing(g); err != nil {
			return nil, numbered(err, i)
		}
	}
	idem, err := c.idempotency(in)
	if err != nil {
		return nil, err
	}
	if err := c.notify(); err != nil {
		return nil, err
	}
	res, err := c.door.cfg.Engine.Transact(c.ctx, c.id, engine.TransactOptions{Idempotency: idem}, func(ctx context.Context, tx *engine.Tx) ([]byte, error) {
		var out []byte
		for i, ch := range changes {
			row, err := c.within(ctx, tx, ch)
			if err != nil {
				return nil, numbered(err, i)
			}
			out = protowire.AppendBytes(protowire.AppendTag(out, c.method.rows.number, protowire.BytesType), row)
		}
		return out, nil
	})
	if err != nil {
		return nil, err
	}
	defer res.Release()
	c.told(res)
	return slices.Clone(res.Body), nil
}

// changing reads one change of a batch.
func (c *call) changing(g *given) (*change, error) {
	var found *change
	for _, kind := range []struct {
		name string
		read func(*call, *given) (*change, error)
	}{{nameCreate, (*call).creating}, {nameChange, (*call).updating}, {nameDelete, (*call).removing}} {
		in, err := g.message(kind.name)
		if in == nil && err == nil {
			continue
		}
		if err != nil {
			return nil, err
		}
		if found, err = kind.read(c, in); err != nil {
			return nil, err
		}
	}
	if found == nil {
		return nil, fault.New(fault.InvalidInput, "this is no change").WithHint("give one of create, update and delete")
	}
	return found, nil
}

// within makes one change in a transaction.
func (c *call) within(ctx context.Context, tx *engine.Tx, ch *change) ([]byte, error) {
	res, err := tx.Write(ctx, c.id, ch.write, nil)
	if err != nil {
		return nil, err
	}
	defer res.Release()
	return c.changed(ch, res)
}

// numbered is the fault of one change of several.
func numbered(err error, i int) error {
	f := *fault.From(err)
	if f.Details != "" {
		f.Details += " "
	}
	f.Details += "(change " + strconv.Itoa(i+1) + ")"
	return &f
}

// operation runs code of the application.
func (c *call) operation(in *given) ([]byte, error) {
	o := c.method.operation
	input, err := in.appendJSON(nil)
	if err != nil {
		return nil, err
	}
	idem, err := c.idempotency(in)
	if err != nil {
		return nil, err
	}
	if err := c.notify(); err != nil {
		return nil, err
	}
	res, err := c.door.cfg.Operations.Call(c.ctx, c.id, &operations.Call{Operation: o, Input: input, Idempotency: idem})
	if err != nil {
		return nil, err
	}
	defer res.Release()
	c.told(res)
	t := &text{b: res.Body}
	out := make([]byte, 0, len(res.Body))
	switch {
	case c.method.out == nil || t.next() == 0 || t.next() == 'n':
		return nil, nil
	case c.method.rows != nil:
		return c.method.rows.appendList(out, t)
	}
	return c.method.out.appendObject(out, t)
}
