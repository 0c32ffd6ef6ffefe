package engine

import (
	"fmt"
	"slices"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/outbox"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// derived is an event that follows from a write of an entity.
type derived struct {
	name   string       // of its type
	schema string       // what its data is, with the version
	event  *model.Event // nil: any write of the action
	fields []int        // the places of the entity's fields that its data holds
}

// writeOf is a kind of write.
type writeOf struct {
	entity *model.Entity
	action query.Action
}

// derivations finds the events of an application by what they follow from. An
// event that is declared happens, whoever listens; a write as such is an event
// where a job or a webhook waits for it.
func derivations(app *model.App) map[writeOf][]derived {
	out := map[writeOf][]derived{}
	add := func(e *model.Entity, action string, d derived) {
		k := writeOf{e, actionOf(action)}
		if slices.ContainsFunc(out[k], func(o derived) bool { return o.name == d.name }) {
			return
		}
		for i, f := range e.Fields {
			if !f.Hidden && !f.Encrypted || d.event != nil && slices.Contains(d.event.Fields, f.Name) {
				d.fields = append(d.fields, i)
			}
		}
		out[k] = append(out[k], d)
	}
	for _, m := range app.Modules {
		for _, ev := range m.Events {
			if ev.Entity != nil {
				add(ev.Entity, ev.Action, derived{name: ev.QualifiedName(), event: ev, schema: EventSchema(app, ev)})
			}
		}
		var triggers []*model.Trigger
		for _, j := range m.Jobs {
			triggers = append(triggers, &j.Trigger)
		}
		for _, w := range m.Webhooks {
			triggers = append(triggers, &w.Trigger)
		}
		for _, t := range triggers {
			if t.Entity != nil {
				add(t.Entity, t.Action, derived{name: t.Type(), schema: fmt.Sprintf("urn:pando:%s:%s:1", app.Config.App, t.Type())})
			}
		}
	}
	return out
}

// EventSchema names what an event's data is, with its version.
func EventSchema(app *model.App, ev *model.Event) string {
	return fmt.Sprintf("urn:pando:%s:%s:%d", app.Config.App, ev.QualifiedName(), ev.Version)
}

func actionOf(name string) query.Action {
	switch name {
	case "create":
		return query.Create
	case "update":
		return query.Update
	}
	return query.Delete
}

// written is one row that was written: as it is now or, deleted, as it was, and an
// updated one as it was before. Values are those of all fields of the entity.
type written struct {
	row, old []value.Value
}

// stored is a row of values, one for each field of its entity.
type stored struct {
	fields []*model.Field
	vals   []value.Value
}

// Value implements [policy.Row].
func (r *stored) Value(f *model.Field) value.Value { return r.vals[slices.Index(r.fields, f)] }

// happen appends the events of a write to the outbox, in its transaction.
func (c *change) happen(tx store.Tx, out *store.Outcome) error {
	if len(c.e.derived) == 0 || len(out.Primary) == 0 {
		return nil
	}
	switch c.w.Action {
	case query.Create:
		for i, key := range out.Primary {
			n := c.written[i]
			var was []value.Value
			if c.was != nil {
				was = c.was[n]
			}
			if err := c.created(tx, key, c.rows[n], c.merged != nil && c.merged[n], was); err != nil {
				return err
			}
		}
	case query.Update:
		if c.e.derived[writeOf{c.entity, query.Update}] == nil {
			return nil
		}
		for i, key := range out.Primary {
			was := key
			if len(out.Before) == 1 && len(out.Primary) == 1 { // two rows cannot get one key
				was = out.Before[0]
			}
			if err := c.updated(tx, key, formerOf(c.entity, out.Former, was, i)); err != nil {
				return err
			}
		}
	case query.Delete:
		for _, old := range out.Former {
			if err := c.e.emit(tx, &c.id, c.entity, query.Delete, written{row: old}); err != nil {
				return err
			}
		}
	case query.ReadRows:
	}
	return nil
}

// created appends the events of a row of a create: where it was merged, those of
// an update of the row that was there.
func (c *change) created(tx store.Tx, key value.Value, vals []value.Value, merged bool, was []value.Value) error {
	switch {
	case merged && c.e.derived[writeOf{c.entity, query.Update}] != nil:
		return c.updated(tx, key, was)
	case !merged && c.e.derived[writeOf{c.entity, query.Create}] != nil:
		rows, err := c.storedRows(tx, []value.Value{key}, [][]value.Value{vals})
		if err != nil {
			return err
		}
		return c.e.emit(tx, &c.id, c.entity, query.Create, written{row: rows[0]})
	}
	return nil
}

// formerOf finds the row as it was; at is where it most likely stands.
func formerOf(e *model.Entity, former [][]value.Value, key value.Value, at int) []value.Value {
	own := slices.Index(e.Fields, e.Primary)
	if at < len(former) && former[at][own] == key {
		return former[at]
	}
	for _, row := range former {
		if row[own] == key {
			return row
		}
	}
	return nil
}

func (c *change) updated(tx store.Tx, key value.Value, old []value.Value) error {
	if old == nil {
		return fault.New(fault.Internal, "an internal error occurred").WithDetails("a row of %s was updated and not seen before", c.entity.QualifiedName())
	}
	row, err := c.e.rowOf(tx, c.entity, key)
	if err != nil {
		return err
	}
	return c.e.emit(tx, &c.id, c.entity, query.Update, written{row: row, old: old})
}

// emit appends the events of one written row.
func (e *Engine) emit(tx store.Tx, id *policy.Identity, ent *model.Entity, action query.Action, w written) error {
	row := &stored{ent.Fields, w.row}
	var old policy.Row
	if w.old != nil {
		old = &stored{ent.Fields, w.old}
	}
	for i := range e.derived[writeOf{ent, action}] {
		d := &e.derived[writeOf{ent, action}][i]
		if d.event != nil {
			happened, err := e.rules.Happened(d.event, id, row, old)
			if err != nil {
				return err
			}
			if !happened {
				continue
			}
		}
		ev := &outbox.Event{Type: d.name, Key: e.eventKey(ent, row), Time: e.now(), Schema: d.schema, Data: d.data(ent, w), Subject: actor(id), Trace: traceparent(id)}
		if err := e.outbox.Append(tx, ev); err != nil {
			return err
		}
	}
	return nil
}

// Watch is for who writes rows of an entity without the engine: auth, its users. It
// is called in the transaction before the row of the key is written, and what it
// returns behind it: that appends the events of the write.
func (e *Engine) Watch(tx store.Tx, id *policy.Identity, ent *model.Entity, action query.Action, key value.Value) (func() error, error) {
	if e.derived[writeOf{ent, action}] == nil {
		return func() error { return nil }, nil
	}
	var before []value.Value
	if action != query.Create {
		var err error
		if before, err = e.rowOf(tx, ent, key); err != nil {
			return nil, err
		}
	}
	return func() error {
		w := written{row: before}
		if action != query.Delete {
			now, err := e.rowOf(tx, ent, key)
			if err != nil {
				return err
			}
			w = written{row: now, old: before}
		}
		if w.row == nil || action == query.Update && w.old == nil {
			return nil // there was no such row
		}
		return e.emit(tx, id, ent, action, w)
	}, nil
}

// rowOf are the fields of the row of a key; nil: there is none.
func (e *Engine) rowOf(tx store.Tx, ent *model.Entity, key value.Value) (row []value.Value, err error) {
	err = tx.Query(e.whole[ent], []value.Value{key}, func(r store.Row) error {
		row = make([]value.Value, len(ent.Fields))
		for i := range row {
			row[i] = r.Value(i)
		}
		return nil
	})
	return row, err
}

// eventKey is what the events of one row have in common: they are in order.
func (e *Engine) eventKey(ent *model.Entity, row *stored) string {
	return ent.QualifiedName() + "/" + string(ent.Primary.Type.AppendText(nil, row.Value(ent.Primary)))
}

// actor is the user whom a write is owed to; empty: nobody, the application itself.
func actor(id *policy.Identity) string {
	if id.UID != "" {
		return id.UID
	}
	return id.OnBehalf
}

// data is {"row": ..., "old": ...}; a row that is not there is null.
func (d *derived) data(ent *model.Entity, w written) []byte {
	out := make([]byte, 0, 512)
	out = d.appendRow(append(out, `{"row":`...), ent, w.row)
	out = d.appendRow(append(out, `,"old":`...), ent, w.old)
	return append(out, '}')
}

func (d *derived) appendRow(dst []byte, ent *model.Entity, vals []value.Value) []byte {
	if vals == nil {
		return append(dst, "null"...)
	}
	dst = append(dst, '{')
	for n, i := range d.fields {
		if n > 0 {
			dst = append(dst, ',')
		}
		f := ent.Fields[i]
		dst = append(value.AppendQuoted(dst, f.Name), ':')
		dst = f.Type.AppendJSON(dst, vals[i])
	}
	return append(dst, '}')
}

// Publish appends an event that code publishes to the outbox, in a transaction. It
// is checked by the caller.
func (e *Engine) Publish(tx store.Tx, id *policy.Identity, ev *model.Event, data []byte) error {
	return e.outbox.Append(tx, &outbox.Event{ // it is about no row, so it waits for no other one
		Type: ev.QualifiedName(), Time: e.now(), Schema: EventSchema(e.app, ev), Data: data, Subject: actor(id), Trace: traceparent(id),
	})
}

// traceparent is the trace of the request that an event is owed to (W3C Trace
// Context); empty: none.
func traceparent(id *policy.Identity) string {
	const traceID, spanID = 32, 16
	if id.Request == nil || len(id.Request.ID) != traceID {
		return ""
	}
	return "00-" + id.Request.ID + "-" + id.Request.ID[:spanID] + "-01"
}
