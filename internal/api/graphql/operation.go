package graphql

import (
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/value"
)

// operation returns what an operation adds to the schema.
func (b *builder) operation(o *model.Operation, name string) *part {
	x := &operationBuilder{builder: b, o: o, name: o.Module.Name + "_" + name, out: &part{}}
	for _, e := range o.Module.Entities { // an entity of that name has the field
		if n, there := b.view.EntityName(e); there && n == name {
			x.name += "Operation"
		}
	}
	key := "operation " + o.QualifiedName() + " " + x.name
	if o.Output != nil && o.Output.Entity != nil {
		names := []string{key, rowName(b.view, o.Output.Entity)}
		for _, f := range o.Output.Entity.Fields {
			n, _ := b.view.FieldName(f)
			names = append(names, n)
		}
		key = strings.Join(names, " ")
	}
	if p := b.parts[key]; p != nil {
		return p
	}
	b.parts[key] = x.out
	f := &ast.FieldDefinition{Name: x.name, Description: o.Doc, Type: x.output(), Directives: deprecated(&o.Lifespan)}
	for _, p := range o.Input {
		f.Arguments = append(f.Arguments, &ast.ArgumentDefinition{Name: p.Name, Description: p.Doc, Type: x.param(p, x.name+pascal(p.Name), true)})
	}
	x.meanings[f] = meaning{kind: rootOperation, operation: o}
	if o.Reads { // it may be null, so that one that fails takes no other field with it
		f.Type.NonNull = false
		x.out.query = append(x.out.query, f)
	} else {
		x.out.changes = append(x.out.changes, f)
	}
	return x.out
}

type operationBuilder struct {
	*builder
	o    *model.Operation
	name string
	out  *part
}

// output is the type of what the operation answers.
func (x *operationBuilder) output() *ast.Type {
	out := x.o.Output
	if out == nil {
		return ast.NonNullNamedType("Boolean", nil)
	}
	var name string
	if out.Entity != nil {
		name = x.row(out.Entity)
	} else {
		name = x.object(out.Fields, x.name+"Output")
	}
	if out.List {
		return ast.NonNullListType(ast.NonNullNamedType(name, nil), nil)
	}
	return ast.NonNullNamedType(name, nil)
}

// row is the type of a row that code answers: the entity's fields, without
// relations. What of it the caller sees is the operation's to say.
func (x *operationBuilder) row(e *model.Entity) string {
	def := &ast.Definition{Kind: ast.Object, Name: x.name + "Row", Description: e.Doc}
	for _, f := range e.Fields {
		name, there := x.view.FieldName(f)
		if !there || f.Hidden {
			continue
		}
		s := shownField{Field: f, name: name, scalar: scalarOf(f.Type, "")}
		x.field(def, name, f.Doc, s.typeOf(false), meaning{kind: outputRow, entity: e, field: f}).Directives = deprecated(&f.Lifespan)
	}
	x.out.types = append(x.out.types, def)
	return def.Name
}

// object is the type of an object that code answers.
func (x *operationBuilder) object(params []*model.Param, name string) string {
	def := &ast.Definition{Kind: ast.Object, Name: name}
	x.out.types = append(x.out.types, def)
	for _, p := range params {
		x.field(def, p.Name, p.Doc, x.param(p, name+pascal(p.Name), false), meaning{kind: outputParam, param: p})
	}
	return name
}

// param is the type of a parameter; the types in it begin with name.
func (x *operationBuilder) param(p *model.Param, name string, input bool) *ast.Type {
	var typ string
	switch {
	case p.Fields != nil && input:
		typ = name + "Input"
		def := &ast.Definition{Kind: ast.InputObject, Name: typ, Description: p.Doc}
		x.out.types = append(x.out.types, def)
		for _, f := range p.Fields {
			def.Fields = append(def.Fields, &ast.FieldDefinition{Name: f.Name, Description: f.Doc, Type: x.param(f, name+pascal(f.Name), true)})
		}
	case p.Fields != nil:
		typ = x.object(p.Fields, name)
	case p.Type.Kind == value.Enum && areNames(p.Type.Values):
		typ = name + "Enum"
		def := &ast.Definition{Kind: ast.Enum, Name: typ}
		for _, w := range p.Type.Values {
			def.EnumValues = append(def.EnumValues, &ast.EnumValueDefinition{Name: w})
		}
		x.out.types = append(x.out.types, def)
	default:
		typ = scalarOf(p.Type, "")
	}
	if p.List || p.Type.List {
		return &ast.Type{Elem: ast.NonNullNamedType(typ, nil), NonNull: !p.Optional}
	}
	return &ast.Type{NamedType: typ, NonNull: !p.Optional}
}
