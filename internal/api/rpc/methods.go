package rpc

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/value"
)

// The members of requests and answers that several have.
const (
	nameRow      = "row"
	nameRows     = "rows"
	nameFilter   = "filter"
	nameOrder    = "order_by"
	nameSize     = "page_size"
	nameToken    = "page_token"
	nameNext     = "next_page_token"
	nameTotal    = "total_size"
	nameOffset   = "offset"
	nameCount    = "count"
	nameReadMask = "read_mask"
	nameUpdate   = "update_mask"
	nameCreated  = "create_mask"
	nameLimit    = "limit"
	nameKeys     = "keys"
	nameChanges  = "changes"
	nameCreate   = "create"
	nameChange   = "update"
	nameDelete   = "delete"
)

// describe makes the module's methods. rows are the rows of all modules.
func (p *part) describe(rows map[*model.Entity]*entity) {
	for _, e := range p.entities {
		p.reads(e)
		if !e.model.ReadOnly && !e.model.Module.Builtin {
			p.writes(e)
		}
	}
	for _, o := range p.module.Operations {
		if name, there := p.view.OperationName(o); there {
			p.operation(o, name, rows)
		}
	}
}

// method adds a method with the message that it takes.
func (p *part) method(name, doc string) *method {
	name = p.methods.take(name, "_")
	m := &method{name: name, path: "/" + p.service.full + "/" + name, doc: doc}
	m.in = p.message(m, "Request")
	p.service.methods = append(p.service.methods, m)
	return m
}

// message adds a message that a method takes or answers.
func (p *part) message(m *method, what string) *message {
	out := p.calls.message(p.names.take(m.name+what, "_"), "")
	out.method = m
	return out
}

// of adds a method of an entity.
func (p *part) of(e *entity, verb, doc string, serve handler) *method {
	m := p.method(verb+e.row.name, joined(doc, deprecation(e.model.Deprecated)))
	m.entity, m.serve, m.deprecated = e, serve, e.row.deprecated
	return m
}

// keyField is the field of a request that names a row.
func (e *entity) keyField(number protowire.Number, name string, list bool) *field {
	if name == nameReadMask { // which stands beside it
		name = "key"
	}
	return &field{name: name, json: e.key.json, number: number, typ: e.key.typ, enum: e.key.enum, list: list, model: e.key.model, doc: "Which row."}
}

// which are the fields of a request that say which rows are read, and how.
func (p *part) which(m *message, e *entity) {
	m.object(1, nameFilter, e.filter, "Which rows; absent: all that the caller may read.")
	m.scalar(2, nameOrder, value.Text, "Fields, each with desc where it descends: \"created_at desc, id\". Absent: by the key.")
}

func (p *part) reads(e *entity) {
	get := p.of(e, "Get", "One row by its key.", (*call).get)
	get.reads, get.out = true, e.row
	get.in.add(e.keyField(1, e.key.name, false))
	get.in.object(2, nameReadMask, fieldMask(), "The fields that are answered; absent: all.")

	list := p.of(e, "List", "A page of rows.", (*call).list)
	list.reads = true
	p.which(list.in, e)
	list.in.scalar(3, nameSize, value.Int, "How many rows at most; absent: as many as the application allows.")
	list.in.scalar(4, nameToken, value.Text, "next_page_token of the page before; the other members as they were then.")
	list.in.scalar(5, nameOffset, value.Int, "How many rows to leave out. A page token is quicker.")
	list.in.object(6, nameReadMask, fieldMask(), "The fields that are answered; absent: all.")
	list.in.scalar(7, nameCount, value.Bool, "Whether total_size is wanted: it costs reading them all.")
	list.out = p.message(list, "Response")
	list.rows = list.out.object(1, nameRows, e.row, "The rows, in order.")
	list.rows.list = true
	list.out.scalar(2, nameNext, value.Text, "Where the next page begins; empty: there is none.")
	list.out.scalar(3, nameTotal, value.Int, "How many rows there are on all pages, where count was given.")

	stream := p.of(e, "Stream", "Rows one after the other, without a bound.", (*call).stream)
	stream.reads, stream.stream, stream.out = true, true, e.row
	p.which(stream.in, e)
	stream.in.object(3, nameReadMask, fieldMask(), "The fields that are answered; absent: all.")
	stream.in.scalar(4, nameLimit, value.Int, "How many rows at most; absent: all.")
	stream.in.scalar(5, nameOffset, value.Int, "How many rows to leave out.")

	batch := p.of(e, "BatchGet", "Rows by their keys, in their order; none of them where one is not there.", (*call).batchGet)
	batch.reads = true
	keys := batch.in.add(e.keyField(1, nameKeys, true))
	keys.doc = "Which rows."
	batch.in.object(2, nameReadMask, fieldMask(), "The fields that are answered; absent: all.")
	batch.out = p.message(batch, "Response")
	batch.rows = batch.out.object(1, nameRows, e.row, "The rows, in the order of the keys.")
	batch.rows.list = true
}

func (p *part) writes(e *entity) {
	create := p.of(e, "Create", "A new row. What is absent has its default.", (*call).create)
	create.out = e.row
	create.in.object(1, nameRow, e.row, "The row.")
	create.in.object(2, nameCreated, fieldMask(), "The fields that are given: those of them that the row has not are null. Absent: those that the row has.")

	update := p.of(e, "Update", "Changes one row and answers it.", (*call).update)
	update.out = e.row
	update.in.object(1, nameRow, e.row, "Its key says which row; the other fields what is set.")
	update.in.object(2, nameUpdate, fieldMask(), "The fields that are set: those of them that the row has not become null. Absent: those that the row has; *: all that the caller may write.")

	remove := p.of(e, "Delete", "Removes one row.", (*call).remove)
	remove.in.add(e.keyField(1, e.key.name, false))

	batch := p.of(e, "Batch", "Changes in one transaction: all of them or none.", (*call).batch)
	change := p.message(batch, "Change")
	change.oneof = "change"
	change.object(1, nameCreate, create.in, "")
	change.object(2, nameChange, update.in, "")
	change.object(3, nameDelete, remove.in, "")
	batch.in.object(1, nameChanges, change, "What is done, in this order.").list = true
	batch.out = p.message(batch, "Response")
	batch.rows = batch.out.object(1, nameRows, e.row, "A row for each change, as it is then; an empty one for a row that was removed.")
	batch.rows.list = true
}

func (p *part) operation(o *model.Operation, name string, rows map[*model.Entity]*entity) {
	m := p.method(pascal(name), joined(o.Doc, deprecation(o.Deprecated)))
	m.operation, m.reads, m.serve, m.deprecated = o, o.Reads, (*call).operation, o.Deprecated != nil
	p.params(m.in, o.Input, func(path ...string) model.Numbers { return p.view.App.InputNumbers(o, path...) })
	out := o.Output
	if out == nil {
		return
	}
	answered := rows[out.Entity]
	switch {
	case out.Entity != nil && answered == nil: // the version has no such rows
	case out.Entity != nil && !out.List:
		m.out = answered.row
	case out.Entity != nil:
		m.out = p.message(m, "Response")
		m.rows = m.out.object(1, nameRows, answered.row, "")
		m.rows.list = true
	default:
		m.out = p.message(m, "Response")
		fields := m.out
		if out.List {
			fields = m.out.child("Row", "")
			m.rows = m.out.object(1, nameRows, fields, "")
			m.rows.list = true
		}
		p.params(fields, out.Fields, func(path ...string) model.Numbers { return p.view.App.OutputNumbers(o, path...) })
	}
}

// params gives a message the members that code takes or answers.
func (p *part) params(m *message, params []*model.Param, numbers func(path ...string) model.Numbers) {
	own := numbers()
	members, types := scope{}, scope{}
	for _, in := range params {
		f := m.add(&field{
			name: in.Name, json: in.Name, number: protowire.Number(own[in.Name]), //nolint:gosec // the lock's numbers have 29 bits
			typ: in.Type, list: in.List || in.Type.List, doc: joined(in.Doc, typeDoc(in.Type)),
		})
		inner := func(path ...string) model.Numbers { return numbers(append([]string{in.Name}, path...)...) }
		switch {
		case in.Fields != nil:
			f.message = m.child(types.take(pascal(in.Name), "_"), in.Doc)
			p.params(f.message, in.Fields, inner)
		case in.Type.Kind == value.Enum:
			p.wordsOf(m, f, types, inner())
		}
		f.typ.List = false
	}
	for gone, n := range own {
		if !slices.ContainsFunc(params, func(in *model.Param) bool { return in.Name == gone }) {
			m.reserved = append(m.reserved, reserved{n, gone})
		}
	}
	m.sort()
	for _, f := range m.fields {
		f.name = members.member(f.name, int(f.number))
	}
}
