package model

import "strings"

// String is the entity's name.
func (e *Entity) String() string { return e.Name }

// String is the field's name.
func (f *Field) String() string { return f.Name }

// String is the relation's name.
func (r *Relation) String() string { return r.Name }

// String is the operation's name.
func (o *Operation) String() string { return o.Name }

// Qualified is an entity as module.entity.
type Qualified struct{ Entity *Entity }

// Qualified is the entity as module.entity.
func (e *Entity) Qualified() Qualified { return Qualified{e} }

// String is module.entity.
func (q Qualified) String() string { return q.Entity.QualifiedName() }

// Text is a text that tells of an entity by the names of the model.
type Text struct {
	Entity *Entity
	Text   string
}

// String is the text.
func (t Text) String() string { return t.Text }

// unknown marks a name that a version does not have: no name holds it.
const unknown = "\x00"

// Unknown is a name that the version does not have, for where the model looks
// names up: the model does not have it either, whatever is called so there.
func (v *View) Unknown(name string) string { return name + unknown }

// Named returns what the version calls a thing that a fault tells of, for
// fault.Error.Renamed; false: it does not have it.
func (v *View) Named(thing any) (any, bool) {
	switch t := thing.(type) {
	case *Entity:
		return told(v.EntityName(t))
	case *Field:
		return told(v.FieldName(t))
	case *Relation:
		return told(v.RelationName(t))
	case *Operation:
		return told(v.OperationName(t))
	case Qualified:
		name, ok := v.EntityName(t.Entity)
		return t.Entity.Module.Name + "." + name, ok
	case Text:
		return t.Text, v.Same(t.Entity)
	case string:
		return strings.ReplaceAll(t, unknown, ""), true
	}
	return thing, true
}

func told(name string, ok bool) (any, bool) { return name, ok }
