package rpc

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/value"
)

// message is a protobuf message that the door speaks. What is read and written
// goes by it and never by a descriptor: a descriptor is made of it where somebody
// asks for one.
type message struct {
	name   string // in its package or message: OrdersFilter
	full   string // pando.app.orders.v1.OrdersFilter
	file   *file
	doc    string
	fields []*field // by number
	nested []*message
	enums  []*enum
	oneof  string       // that all fields stand in; empty: none
	entity *entity      // that it is the row or the filter of; nil: none
	method *method      // that takes or answers it; nil: none
	model  *model.Field // that it compares; nil: none
	// Numbers and names that are free no more.
	reserved []reserved

	deprecated bool
}

// field is a member of a message.
type field struct {
	name    string // of the version
	json    string // what the member is called in the JSON of rows, inputs and outputs
	number  protowire.Number
	index   int        // among the fields of its message
	typ     value.Type // of a scalar; List says nothing here
	enum    *enum
	message *message
	list    bool
	model   *model.Field // of an entity; nil: none

	doc        string
	deprecated bool
}

// reserved is a number that a field or a value has had.
type reserved struct {
	number int
	name   string
}

// enum is a protobuf enum. Its value 0 is no word: UNSPECIFIED.
type enum struct {
	name   string
	full   string
	file   *file
	model  *model.Field // that it is of; nil: none
	zero   string       // the name of the value 0
	doc    string
	values []enumValue // by number
	gone   []reserved

	numbers map[string]int // by word, those that are gone too
	words   map[int]string // by number, without those
}

type enumValue struct {
	name   string
	word   string
	number int
}

// add appends a field; its message has them by number.
func (m *message) add(f *field) *field {
	f.index = len(m.fields)
	m.fields = append(m.fields, f)
	return f
}

// scalar adds a field of a type.
func (m *message) scalar(number int, name string, kind value.Kind, doc string) *field {
	return m.add(&field{name: name, json: name, number: protowire.Number(number), typ: value.Type{Kind: kind}, doc: doc})
}

// object adds a field that holds a message.
func (m *message) object(number int, name string, of *message, doc string) *field {
	return m.add(&field{name: name, json: name, number: protowire.Number(number), message: of, doc: doc})
}

func (m *message) byNumber(n protowire.Number) *field {
	at, ok := slices.BinarySearchFunc(m.fields, n, func(f *field, n protowire.Number) int { return int(f.number - n) })
	if !ok {
		return nil
	}
	return m.fields[at]
}

func (m *message) byName(name string) *field {
	for _, f := range m.fields {
		if f.name == name {
			return f
		}
	}
	return nil
}

// sort puts the fields in the order of their numbers.
func (m *message) sort() {
	slices.SortFunc(m.fields, func(a, b *field) int { return int(a.number - b.number) })
	for i, f := range m.fields {
		f.index = i
	}
	slices.SortFunc(m.reserved, func(a, b reserved) int { return a.number - b.number })
}

// wireType is how one value of the field goes over the wire.
func (f *field) wireType() protowire.Type {
	if f.message != nil {
		return protowire.BytesType
	}
	switch f.typ.Kind {
	case value.Int, value.Bool, value.Enum:
		return protowire.VarintType
	case value.Float:
		return protowire.Fixed64Type
	case value.Text, value.UUID, value.Decimal, value.Date, value.Time, value.Timestamp, value.JSON, value.Bytes, value.File, value.Invalid:
	}
	return protowire.BytesType
}

// packed reports whether a list's values stand together, without a tag each.
func (f *field) packed() bool { return f.list && f.wireType() != protowire.BytesType }
