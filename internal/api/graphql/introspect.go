package graphql

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/pandobase/pando/internal/fault"
)

// maxIntrospection is how many bytes an answer about the schema has: its types
// lead to one another, and to all of the schema each time.
const maxIntrospection = 32 << 20

// introspect answers __schema and __type (section 4.2) as the bytes of the
// field's value. All that they tell of is in the caller's schema.
func (c *call) introspect(f *ast.Field) ([]byte, error) {
	in := &introspection{call: c}
	switch f.Name {
	case "__schema":
		in.object(f.SelectionSet, in.schemaField)
	case "__type":
		name, _ := c.argument(f, "name")
		text, _ := name.(string)
		in.named(f.SelectionSet, text)
	}
	if in.large() {
		return nil, invalid(f.Position, fault.LimitExceeded, "what is asked of the schema is larger than %d bytes", maxIntrospection)
	}
	return in.out, nil
}

// introspection writes what a selection asks of the schema.
type introspection struct {
	*call
	out []byte
}

func (in *introspection) large() bool { return len(in.out) > maxIntrospection }

// object writes the fields of an object; field writes the value of one.
func (in *introspection) object(set ast.SelectionSet, field func(f *ast.Field)) {
	in.out = append(in.out, '{')
	for i, f := range in.collect(set) {
		if in.large() {
			break // it is not answered
		}
		if i > 0 {
			in.out = append(in.out, ',')
		}
		in.text(f.key)
		in.out = append(in.out, ':')
		one := *f.field()
		for _, more := range f.fields[1:] {
			one.SelectionSet = append(slices.Clip(one.SelectionSet), more.SelectionSet...)
		}
		if one.Name == "__typename" {
			in.text(one.ObjectDefinition.Name)
			continue
		}
		field(&one)
	}
	in.out = append(in.out, '}')
}

// each writes a list, an object for each element.
func each[T any](in *introspection, set ast.SelectionSet, list []T, field func(T, *ast.Field)) {
	in.out = append(in.out, '[')
	for i, one := range list {
		if in.large() {
			break
		}
		if i > 0 {
			in.out = append(in.out, ',')
		}
		in.object(set, func(f *ast.Field) { field(one, f) })
	}
	in.out = append(in.out, ']')
}

func (in *introspection) null() { in.out = append(in.out, "null"...) }

func (in *introspection) boolean(b bool) {
	if b {
		in.out = append(in.out, "true"...)
		return
	}
	in.out = append(in.out, "false"...)
}

func (in *introspection) text(s string) {
	quoted, err := json.Marshal(s)
	if err != nil {
		panic(err) // a text cannot fail to encode
	}
	in.out = append(in.out, quoted...)
}

// description writes a text, or null where there is none.
func (in *introspection) description(s string) {
	if s == "" {
		in.null()
		return
	}
	in.text(s)
}

func (in *introspection) schemaField(f *ast.Field) {
	s := in.schema.ast
	switch f.Name {
	case "description":
		in.description(s.Description)
	case "types":
		each(in, f.SelectionSet, slices.Sorted(maps.Keys(s.Types)), func(name string, f *ast.Field) { in.typeField(s.Types[name], f) })
	case "queryType":
		in.definition(f.SelectionSet, s.Query)
	case "mutationType":
		in.definition(f.SelectionSet, s.Mutation)
	case "subscriptionType":
		in.definition(f.SelectionSet, s.Subscription)
	case "directives":
		each(in, f.SelectionSet, slices.Sorted(maps.Keys(s.Directives)), func(name string, f *ast.Field) { in.directiveField(s.Directives[name], f) })
	}
}

// named writes the type of a name; null: there is none.
func (in *introspection) named(set ast.SelectionSet, name string) {
	in.definition(set, in.schema.ast.Types[name])
}

func (in *introspection) definition(set ast.SelectionSet, def *ast.Definition) {
	if def == nil {
		in.null()
		return
	}
	in.object(set, func(f *ast.Field) { in.typeField(def, f) })
}

// typ writes a type as a field or an argument has it: with its wrappers.
func (in *introspection) typ(set ast.SelectionSet, t *ast.Type) {
	wrapper := func(kind string, of *ast.Type) {
		in.object(set, func(f *ast.Field) {
			switch f.Name {
			case "kind":
				in.text(kind)
			case "ofType":
				in.typ(f.SelectionSet, of)
			default:
				in.null()
			}
		})
	}
	switch {
	case t.NonNull:
		of := *t
		of.NonNull = false
		wrapper("NON_NULL", &of)
	case t.Elem != nil:
		wrapper("LIST", t.Elem)
	default:
		in.named(set, t.NamedType)
	}
}

// typeField writes a field of a named type (section 4.2.2).
func (in *introspection) typeField(def *ast.Definition, f *ast.Field) {
	isObject := def.Kind == ast.Object
	switch f.Name {
	case "kind":
		in.text(string(def.Kind))
	case "name":
		in.text(def.Name)
	case "description":
		in.description(def.Description)
	case "specifiedByURL":
		in.directiveArgument(def.Directives, "specifiedBy", "url")
	case "fields":
		if !isObject {
			in.null()
			return
		}
		fields := slices.DeleteFunc(visible(in, f, def.Fields, fieldDirectives), func(field *ast.FieldDefinition) bool {
			return strings.HasPrefix(field.Name, "__")
		})
		each(in, f.SelectionSet, fields, in.fieldField)
	case "interfaces":
		if !isObject {
			in.null()
			return
		}
		in.out = append(in.out, "[]"...)
	case "enumValues":
		if def.Kind != ast.Enum {
			in.null()
			return
		}
		each(in, f.SelectionSet, visible(in, f, def.EnumValues, func(v *ast.EnumValueDefinition) ast.DirectiveList { return v.Directives }), in.enumField)
	case "inputFields":
		if def.Kind != ast.InputObject {
			in.null()
			return
		}
		each(in, f.SelectionSet, visible(in, f, def.Fields, fieldDirectives), in.inputField)
	case "isOneOf":
		if def.Kind != ast.InputObject {
			in.null()
			return
		}
		in.boolean(def.Directives.ForName("oneOf") != nil)
	default: // possibleTypes and ofType
		in.null()
	}
}

func fieldDirectives(f *ast.FieldDefinition) ast.DirectiveList { return f.Directives }

// visible are the members that are shown.
func visible[T any](in *introspection, f *ast.Field, members []T, directives func(T) ast.DirectiveList) []T {
	out := make([]T, 0, len(members))
	for _, m := range members {
		if in.shows(f, directives(m)) {
			out = append(out, m)
		}
	}
	return out
}

// shows reports whether a member is shown: deprecated ones are, if that is asked
// for.
func (in *introspection) shows(f *ast.Field, directives ast.DirectiveList) bool {
	if directives.ForName("deprecated") == nil {
		return true
	}
	deprecated, _ := in.argument(f, "includeDeprecated")
	return deprecated == true
}

// member writes what fields, arguments and values of enums have in common.
func (in *introspection) member(name, description string, directives ast.DirectiveList, f *ast.Field) {
	switch f.Name {
	case "name":
		in.text(name)
	case "description":
		in.description(description)
	case "isDeprecated":
		in.boolean(directives.ForName("deprecated") != nil)
	case "deprecationReason":
		in.directiveArgument(directives, "deprecated", "reason")
	default:
		in.null()
	}
}

// directiveArgument writes an argument of a directive that stands there, or else
// null. One that is left out has the default of its definition.
func (in *introspection) directiveArgument(directives ast.DirectiveList, name, argument string) {
	d := directives.ForName(name)
	if d == nil {
		in.null()
		return
	}
	if arg := d.Arguments.ForName(argument); arg != nil && arg.Value.Kind != ast.NullValue {
		in.text(arg.Value.Raw)
		return
	}
	if def := in.schema.ast.Directives[name]; def != nil {
		if arg := def.Arguments.ForName(argument); arg != nil && arg.DefaultValue != nil {
			in.text(arg.DefaultValue.Raw)
			return
		}
	}
	in.null()
}

func (in *introspection) fieldField(field *ast.FieldDefinition, f *ast.Field) {
	switch f.Name {
	case "args":
		in.arguments(field.Arguments, f)
	case "type":
		in.typ(f.SelectionSet, field.Type)
	default:
		in.member(field.Name, field.Description, field.Directives, f)
	}
}

func (in *introspection) arguments(args ast.ArgumentDefinitionList, f *ast.Field) {
	each(in, f.SelectionSet, visible(in, f, args, func(a *ast.ArgumentDefinition) ast.DirectiveList { return a.Directives }),
		func(a *ast.ArgumentDefinition, f *ast.Field) {
			in.input(a.Name, a.Description, a.Type, a.DefaultValue, a.Directives, f)
		})
}

func (in *introspection) inputField(field *ast.FieldDefinition, f *ast.Field) {
	in.input(field.Name, field.Description, field.Type, field.DefaultValue, field.Directives, f)
}

// input writes a field of __InputValue.
func (in *introspection) input(name, description string, t *ast.Type, fallback *ast.Value, directives ast.DirectiveList, f *ast.Field) {
	switch f.Name {
	case "type":
		in.typ(f.SelectionSet, t)
	case "defaultValue":
		if fallback == nil {
			in.null()
			return
		}
		in.text(fallback.String())
	default:
		in.member(name, description, directives, f)
	}
}

func (in *introspection) enumField(v *ast.EnumValueDefinition, f *ast.Field) {
	in.member(v.Name, v.Description, v.Directives, f)
}

func (in *introspection) directiveField(d *ast.DirectiveDefinition, f *ast.Field) {
	switch f.Name {
	case "args":
		in.arguments(d.Arguments, f)
	case "isRepeatable":
		in.boolean(d.IsRepeatable)
	case "locations":
		in.out = append(in.out, '[')
		for i, l := range d.Locations {
			if i > 0 {
				in.out = append(in.out, ',')
			}
			in.text(string(l))
		}
		in.out = append(in.out, ']')
	default:
		in.member(d.Name, d.Description, d.Directives, f)
	}
}
