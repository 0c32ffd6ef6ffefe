package graphql

import (
	"encoding/json"
	"slices"

	"github.com/vektah/gqlparser/v2/ast"
)

// collected are the fields of selection sets that answer under one key. They
// are the same field with the same arguments, as validation has it: the first
// speaks for them, and their selection sets are merged.
type collected struct {
	key    string
	fields []*ast.Field
}

// field speaks for the others.
func (c *collected) field() *ast.Field { return c.fields[0] }

// sets are the selection sets below the fields.
func (c *collected) sets() []ast.SelectionSet {
	out := make([]ast.SelectionSet, len(c.fields))
	for i, f := range c.fields {
		out[i] = f.SelectionSet
	}
	return out
}

// collect returns the fields of selection sets by response key, in the order in
// which the keys are met: CollectFields of the specification (section 6.3.2).
// Types are concrete objects, so that every fragment that validation lets
// through applies.
func (c *call) collect(sets ...ast.SelectionSet) []*collected {
	p := collector{call: c}
	for _, set := range sets {
		p.take(set)
	}
	return p.out
}

type collector struct {
	*call
	out  []*collected
	keys map[string]*collected // by key, from where looking through out is slower
	seen map[*ast.FragmentDefinition]bool
}

const fewKeys = 16

func (p *collector) take(set ast.SelectionSet) {
	for _, s := range set {
		switch s := s.(type) {
		case *ast.Field:
			if p.included(s.Directives) {
				p.add(s)
			}
		case *ast.InlineFragment:
			if p.included(s.Directives) {
				p.take(s.SelectionSet)
			}
		case *ast.FragmentSpread:
			if s.Definition == nil || p.seen[s.Definition] || !p.included(s.Directives) {
				continue
			}
			if p.seen == nil {
				p.seen = map[*ast.FragmentDefinition]bool{}
			}
			p.seen[s.Definition] = true
			p.take(s.Definition.SelectionSet)
		}
	}
}

func (p *collector) add(f *ast.Field) {
	if at := p.find(f.Alias); at != nil {
		at.fields = append(at.fields, f)
		return
	}
	at := &collected{key: f.Alias, fields: []*ast.Field{f}}
	p.out = append(p.out, at)
	switch {
	case p.keys != nil:
		p.keys[at.key] = at
	case len(p.out) > fewKeys:
		p.keys = make(map[string]*collected, 2*len(p.out))
		for _, o := range p.out {
			p.keys[o.key] = o
		}
	}
}

func (p *collector) find(key string) *collected {
	if p.keys != nil {
		return p.keys[key]
	}
	if i := slices.IndexFunc(p.out, func(o *collected) bool { return o.key == key }); i >= 0 {
		return p.out[i]
	}
	return nil
}

// included says what @skip and @include make of a selection.
func (c *call) included(directives ast.DirectiveList) bool {
	for _, d := range directives {
		switch d.Name {
		case "skip":
			if c.condition(d) {
				return false
			}
		case "include":
			if !c.condition(d) {
				return false
			}
		}
	}
	return true
}

// condition is the argument `if`, which is Boolean!.
func (c *call) condition(d *ast.Directive) bool {
	arg := d.Arguments.ForName("if")
	if arg == nil {
		return false
	}
	if arg.Value.Kind == ast.Variable {
		is, _ := c.vars[arg.Value.Raw].(bool)
		return is
	}
	return arg.Value.Raw == "true"
}

// argument is the value of a field's argument: what the document says, or the
// argument's default. given is false where there is neither. The value is nil,
// a bool, a string (enums too), a json.Number, a []any or a map[string]any,
// coerced to the argument's type (sections 3.13 and 6.4.1). It belongs to
// whoever asked, its maps and lists excepted when they come from a variable.
func (c *call) argument(f *ast.Field, name string) (val any, given bool) {
	if f.Definition == nil {
		return nil, false
	}
	def := f.Definition.Arguments.ForName(name)
	if def == nil {
		return nil, false
	}
	if arg := f.Arguments.ForName(name); arg != nil {
		if val, given = c.literal(def.Type, arg.Value); given {
			return val, true
		}
	}
	if def.DefaultValue != nil {
		return c.literal(def.Type, def.DefaultValue)
	}
	return nil, false
}

// literal is the value of a literal of a type, which validation has found to be
// of it. given is false for a variable that has no value.
func (c *call) literal(t *ast.Type, v *ast.Value) (val any, given bool) {
	switch {
	case v.Kind == ast.Variable:
		val, given = c.vars[v.Raw]
		return val, given
	case v.Kind == ast.NullValue:
		return nil, true
	case t.Elem != nil:
		if v.Kind != ast.ListValue {
			val, given = c.literal(t.Elem, v)
			return []any{val}, given
		}
		list := make([]any, len(v.Children))
		for i, child := range v.Children {
			list[i], _ = c.literal(t.Elem, child.Value)
		}
		return list, true
	}
	def := c.schema.ast.Types[t.NamedType]
	if def == nil || def.Kind == ast.Scalar {
		return c.scalarLiteral(t.NamedType, v), true
	}
	if def.Kind != ast.InputObject {
		return v.Raw, true
	}
	object := make(map[string]any, len(v.Children))
	for _, child := range v.Children {
		field := def.Fields.ForName(child.Name)
		if field == nil {
			continue
		}
		if val, given := c.literal(field.Type, child.Value); given {
			object[child.Name] = val
		}
	}
	c.defaults(def, object)
	return object, true
}

// defaults fills in what an input object leaves out and has a default for.
func (c *call) defaults(def *ast.Definition, object map[string]any) {
	for _, field := range def.Fields {
		if _, given := object[field.Name]; given || field.DefaultValue == nil {
			continue
		}
		if val, given := c.literal(field.Type, field.DefaultValue); given {
			object[field.Name] = val
		}
	}
}

// scalarLiteral is a literal as the scalar has it.
func (c *call) scalarLiteral(scalar string, v *ast.Value) any {
	switch v.Kind {
	case ast.BooleanValue:
		return v.Raw == "true"
	case ast.IntValue, ast.FloatValue:
		if scalar == "ID" {
			return v.Raw
		}
		return json.Number(v.Raw)
	case ast.StringValue, ast.BlockValue:
		if scalar == "Int64" || scalar == "Decimal" {
			return json.Number(v.Raw)
		}
		return v.Raw
	case ast.ListValue: // of a scalar that is any JSON
		list := make([]any, len(v.Children))
		for i, child := range v.Children {
			list[i] = c.anyLiteral(scalar, child.Value)
		}
		return list
	case ast.ObjectValue:
		object := make(map[string]any, len(v.Children))
		for _, child := range v.Children {
			if child.Value.Kind == ast.Variable {
				if val, given := c.vars[child.Value.Raw]; given {
					object[child.Name] = val
				}
				continue
			}
			object[child.Name] = c.anyLiteral(scalar, child.Value)
		}
		return object
	default: // an enum's name has no meaning in a scalar; validation lets none through
		return v.Raw
	}
}

// anyLiteral is a literal within one that is any JSON.
func (c *call) anyLiteral(scalar string, v *ast.Value) any {
	switch v.Kind {
	case ast.Variable:
		return c.vars[v.Raw]
	case ast.NullValue:
		return nil
	default:
		return c.scalarLiteral(scalar, v)
	}
}
