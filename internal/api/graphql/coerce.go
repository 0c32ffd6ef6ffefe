package graphql

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator/core"

	"github.com/pandobase/pando/internal/fault"
)

// maxVariableErrors is how many wrong variables an answer tells of.
const maxVariableErrors = 10

// coerce makes c.vars of the variables that a request gives for the operation
// (CoerceVariableValues, section 6.1.2). given is JSON with its numbers as
// json.Number; it is not changed. Variables that the operation does not declare
// mean nothing, as the specification has it.
//
// strict are the variables of a type with null that stand, by virtue of a
// default, where null must not be. open lets messages suggest names of the schema.
func (c *call) coerce(given map[string]any, strict map[string]bool, open bool) []error {
	in := &coercion{call: c, open: open}
	c.vars = make(map[string]any, len(c.op.VariableDefinitions))
	for _, def := range c.op.VariableDefinitions {
		in.def, in.path = def, in.path[:0]
		val, ok := given[def.Variable]
		switch {
		case !ok && def.DefaultValue != nil:
			c.vars[def.Variable], _ = c.literal(def.Type, def.DefaultValue)
		case !ok && def.Type.NonNull:
			in.fail("Variable \"$%s\" of required type %q was not provided.", def.Variable, def.Type.String())
		case !ok:
		case val == nil && def.Type.NonNull:
			in.fail("Variable \"$%s\" of non-null type %q must not be null.", def.Variable, def.Type.String())
		case val == nil && strict[def.Variable]:
			in.fail("Variable \"$%s\" must not be null: it is used where null is not allowed.", def.Variable)
		default:
			if val, ok := in.value(def.Type, val); ok {
				c.vars[def.Variable] = val
			}
		}
	}
	return in.errs
}

// coercion is the reading of variables.
type coercion struct {
	*call
	open bool                    // messages may suggest names
	def  *ast.VariableDefinition // the variable that is being read
	path []any                   // within it
	errs []error
}

// fail notes what is wrong and returns false.
func (in *coercion) fail(format string, args ...any) bool {
	if len(in.errs) < maxVariableErrors {
		in.errs = append(in.errs, invalid(in.def.Position, fault.GraphQLVariables, format, args...))
	}
	return false
}

// wrong notes that a value of the variable is not of its type.
func (in *coercion) wrong(val any, format string, args ...any) bool {
	at := ""
	if len(in.path) > 0 {
		at = fmt.Sprintf(" at %q", in.def.Variable+pathText(in.path))
	}
	return in.fail("Variable \"$%s\" got invalid value %s%s; %s", in.def.Variable, inspect(val), at, fmt.Sprintf(format, args...))
}

// at reads a member or an element of the value.
func (in *coercion) at(step any, t *ast.Type, val any) (any, bool) {
	in.path = append(in.path, step)
	out, ok := in.value(t, val)
	in.path = in.path[:len(in.path)-1]
	return out, ok
}

// value is a value as its type has it (section 3.4.4 and those of the types).
func (in *coercion) value(t *ast.Type, val any) (any, bool) {
	if val == nil {
		if t.NonNull {
			return nil, in.wrong(val, "Expected non-nullable type %q not to be null.", t.String())
		}
		return nil, true
	}
	if t.Elem != nil {
		return in.list(t, val)
	}
	def := in.schema.ast.Types[t.NamedType]
	if def == nil { // validation lets no variable through whose type is not known
		return nil, in.wrong(val, "the type %s is not known.", t.NamedType)
	}
	switch def.Kind {
	case ast.InputObject:
		return in.object(def, val)
	case ast.Enum:
		return in.enum(def, val)
	default:
		out, not := coerceScalar(def.Name, val)
		if not != "" {
			return nil, in.wrong(val, "%s cannot represent %s: %s", def.Name, not, inspect(val))
		}
		return out, true
	}
}

// list reads a list; a value that is none is a list of one.
func (in *coercion) list(t *ast.Type, val any) (any, bool) {
	items, ok := val.([]any)
	if !ok {
		out, ok := in.value(t.Elem, val)
		return []any{out}, ok
	}
	out, good := make([]any, len(items)), true
	for i, item := range items {
		if len(in.errs) == maxVariableErrors {
			return nil, false
		}
		out[i], ok = in.at(i, t.Elem, item)
		good = good && ok
	}
	return out, good
}

func (in *coercion) enum(def *ast.Definition, val any) (any, bool) {
	name, ok := val.(string)
	if !ok {
		return nil, in.wrong(val, "Enum %q cannot represent non-string value: %s.", def.Name, inspect(val))
	}
	if def.EnumValues.ForName(name) == nil {
		known := make([]string, len(def.EnumValues))
		for i, v := range def.EnumValues {
			known[i] = v.Name
		}
		return nil, in.wrong(val, "Value %q does not exist in %q enum.%s", short(name), def.Name, in.didYouMean("the enum value ", name, known))
	}
	return name, true
}

func (in *coercion) object(def *ast.Definition, val any) (any, bool) {
	given, ok := val.(map[string]any)
	if !ok {
		return nil, in.wrong(val, "Expected type %q to be an object.", def.Name)
	}
	out, good := make(map[string]any, len(given)), true
	for _, field := range def.Fields {
		member, ok := given[field.Name]
		switch {
		case ok:
			member, ok = in.at(field.Name, field.Type, member)
			out[field.Name] = member
			good = good && ok
		case field.DefaultValue == nil && field.Type.NonNull:
			good = in.wrong(val, "Field %q of required type %q was not provided.", field.Name, field.Type.String())
		}
	}
	if len(out) < len(given) {
		good = in.unknown(def, given, out)
	}
	if def.Directives.ForName("oneOf") != nil {
		good = in.oneOf(def, given) && good
	}
	if good {
		in.defaults(def, out)
	}
	return out, good
}

// unknown tells of the members that the type has not.
func (in *coercion) unknown(def *ast.Definition, given, out map[string]any) bool {
	var names []string
	for name := range given {
		if _, ok := out[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	known := make([]string, len(def.Fields))
	for i, f := range def.Fields {
		known[i] = f.Name
	}
	for _, name := range names[:min(len(names), maxVariableErrors)] {
		in.wrong(given, "Field %q is not defined by type %q.%s", short(name), def.Name, in.didYouMean("", name, known))
	}
	return false
}

// oneOf holds an input object that is one of its members (section 3.10.1).
func (in *coercion) oneOf(def *ast.Definition, given map[string]any) bool {
	if len(given) != 1 {
		return in.wrong(given, "Exactly one key must be specified for OneOf type %q.", def.Name)
	}
	for name, member := range given {
		if member == nil {
			return in.wrong(given, "Field %q must be non-null.", name)
		}
	}
	return true
}

// didYouMean suggests what a name may have meant.
func (in *coercion) didYouMean(what, name string, known []string) string {
	if !in.open {
		return ""
	}
	near := core.SuggestionList(short(name), known)
	if len(near) == 0 {
		return ""
	}
	return " Did you mean " + what + core.QuotedOrList(near...) + "?"
}

// pathText writes a path as code would: .a[0].
func pathText(path []any) string {
	var b strings.Builder
	for _, step := range path {
		switch step := step.(type) {
		case int:
			b.WriteString("[" + strconv.Itoa(step) + "]")
		case string:
			b.WriteString("." + step)
		}
	}
	return b.String()
}

// inspect shows a value of a variable, the beginning of a long one.
func inspect(val any) string {
	switch val := val.(type) {
	case nil:
		return "null"
	case map[string]any:
		return "an object"
	case []any:
		return fmt.Sprintf("a list of %d", len(val))
	case string:
		return strconv.Quote(short(val))
	case json.Number:
		return short(string(val))
	default:
		return fmt.Sprint(val)
	}
}

// short bounds what a message repeats of a request.
func short(s string) string {
	const longest = 63
	if len(s) <= longest {
		return s
	}
	return strings.ToValidUTF8(s[:longest], "") + "…"
}
