package graphql

import (
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/core"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"github.com/pandobase/pando/internal/fault"
)

// preparedKey finds what was made of a document: for each schema that is
// something else.
type preparedKey struct {
	schema *schema
	text   string
}

// prepared is a valid document within the limits. It is immutable and shared.
type prepared struct {
	doc        *ast.QueryDocument
	operations map[string]*preparedOperation // by name
	fixed      fixedParts
}

type preparedOperation struct {
	def *ast.OperationDefinition
	// strict are variables that must not be null although their type has it.
	strict map[string]bool
	// cost, not 0, is what the operation costs whatever its variables are.
	cost atomic.Int64
	// introspects is where the operation first asks for the schema; nil: nowhere.
	introspects *ast.Position
}

// document parses a text, holds it against the limits and validates it. What
// was valid once is not looked at again. open says that the caller may ask for
// the schema: only then do messages suggest names of it.
func (d *door) prepare(s *schema, text string, open bool) (*prepared, []error) {
	key := preparedKey{schema: s, text: text}
	if p, ok := d.prepared.get(key); ok {
		return p, nil
	}
	p, errs := d.parse(s, text, open)
	if errs == nil {
		// A parsed document takes about this many times its text.
		const unfolded = 20
		d.prepared.put(key, p, unfolded*len(text))
	}
	return p, errs
}

func (d *door) parse(s *schema, text string, open bool) (*prepared, []error) {
	if len(text) > d.limits.Document {
		return nil, []error{fault.New(fault.LimitExceeded, "the document has %d bytes, and %d are allowed", len(text), d.limits.Document).
			WithHint("api.graphql.document of pando.yaml bounds it")}
	}
	doc, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: text}, d.limits.Tokens)
	if err != nil {
		if strings.Contains(err.Error(), "exceeded token limit") {
			return nil, []error{fault.New(fault.LimitExceeded, "the document has more than %d tokens", d.limits.Tokens).
				WithHint("api.graphql.tokens of pando.yaml bounds it")}
		}
		return nil, documentErrors(fault.GraphQLParse, err)
	}
	if len(doc.Operations) == 0 {
		return nil, []error{fault.New(fault.GraphQLParse, "the document has no operation")}
	}
	if err := checkLimits(doc, &d.limits); err != nil {
		return nil, []error{err}
	}
	strict := map[*ast.OperationDefinition]map[string]bool{}
	if errs := validate(s.ast, doc, open, strict); len(errs) > 0 {
		return nil, documentErrors(fault.GraphQLInvalid, errs)
	}
	p := &prepared{doc: doc, operations: make(map[string]*preparedOperation, len(doc.Operations))}
	depths := depths{schema: s, fragments: map[*ast.FragmentDefinition]depth{}}
	for _, def := range doc.Operations {
		o := &preparedOperation{def: def, strict: strict[def]}
		found := depths.of(def.SelectionSet)
		if found.relations > d.limits.Depth {
			return nil, []error{invalid(def.Position, fault.LimitExceeded, "relations nest %d deep, and %d is allowed", found.relations, d.limits.Depth)}
		}
		o.introspects = found.introspects
		p.operations[def.Name] = o
	}
	return p, nil
}

// operation finds the one that is asked for.
func (p *prepared) operation(name string) (*preparedOperation, error) {
	if name == "" && len(p.operations) == 1 {
		for _, o := range p.operations {
			return o, nil
		}
	}
	if o, ok := p.operations[name]; ok && name != "" {
		return o, nil
	}
	names := strings.Join(slices.Sorted(maps.Keys(p.operations)), ", ")
	if name == "" {
		return nil, fault.New(fault.GraphQLOperation, "Must provide operation name if query contains multiple operations.").WithHint("operationName is one of %s", names)
	}
	return nil, fault.New(fault.GraphQLOperation, "Unknown operation named %q.", short(name)).WithHint("the document has %s", names)
}

// validate holds a document against a schema. It notes in strict, by operation,
// the variables that must not be null although their type has it.
func validate(s *ast.Schema, doc *ast.QueryDocument, open bool, strict map[*ast.OperationDefinition]map[string]bool) gqlerror.List {
	set := rules.NewDefaultRules()
	if !open {
		for _, r := range []struct {
			told  string
			quiet core.Rule
		}{
			{rules.FieldsOnCorrectTypeRule.Name, rules.FieldsOnCorrectTypeRuleWithoutSuggestions},
			{rules.KnownArgumentNamesRule.Name, rules.KnownArgumentNamesRuleWithoutSuggestions},
			{rules.KnownTypeNamesRule.Name, rules.KnownTypeNamesRuleWithoutSuggestions},
			{rules.ValuesOfCorrectTypeRule.Name, rules.ValuesOfCorrectTypeRuleWithoutSuggestions},
		} {
			set.ReplaceRule(r.told, r.quiet.RuleFunc)
		}
	}
	set.AddRule("Scalars", func(observers *core.Events, addError core.AddErrFunc) {
		observers.OnValue(func(w *core.Walker, v *ast.Value) { checkScalar(v, addError) })
	})
	set.AddRule("Strict", func(observers *core.Events, addError core.AddErrFunc) {
		observers.OnValue(func(w *core.Walker, v *ast.Value) { checkVariables(w, v, addError, strict) })
	})
	return validator.ValidateWithRules(s, doc, set)
}

// checkScalar holds the literals of scalars that the validation knows too little
// of against them.
func checkScalar(v *ast.Value, addError core.AddErrFunc) {
	def := v.Definition
	if def == nil || v.ExpectedType == nil || v.ExpectedType.Elem != nil && v.Kind == ast.ListValue || def.Kind != ast.Scalar {
		return
	}
	switch v.Kind {
	case ast.Variable, ast.NullValue:
	case ast.ListValue, ast.ObjectValue, ast.EnumValue:
		if builtin(def.Name) {
			return // told of already
		}
		if _, known := scalars[def.Name]; known {
			addError(core.Message("%s cannot represent this value: %s", def.Name, short(v.String())), core.At(v.Position))
		} else if name := nameWithin(v); name != nil {
			addError(core.Message("%s cannot represent a name: %s", def.Name, short(name.Raw)), core.At(name.Position))
		}
	default:
		if builtin(def.Name) && (def.Name != "Int" || v.Kind != ast.IntValue) {
			return
		}
		if _, not := coerceScalar(def.Name, (&call{}).scalarLiteral("", v)); not != "" {
			addError(core.Message("%s cannot represent %s: %s", def.Name, not, short(v.String())), core.At(v.Position))
		}
	}
}

// nameWithin finds the value of an enum in a literal that is any JSON; nil: there
// is none.
func nameWithin(v *ast.Value) *ast.Value {
	if v.Kind == ast.EnumValue {
		return v
	}
	for _, child := range v.Children {
		if name := nameWithin(child.Value); name != nil {
			return name
		}
	}
	return nil
}

// builtin reports whether a scalar is the specification's.
func builtin(name string) bool {
	switch name {
	case "Int", "Float", "String", "Boolean", "ID":
		return true
	}
	return false
}

// checkVariables notes variables that stand where null must not be, and refuses
// those in an input object that is one of its members.
func checkVariables(w *core.Walker, v *ast.Value, addError core.AddErrFunc, strict map[*ast.OperationDefinition]map[string]bool) {
	nullable := func(v *ast.Value) bool {
		return v.Kind == ast.Variable && v.VariableDefinition != nil && !v.VariableDefinition.Type.NonNull
	}
	if nullable(v) && v.ExpectedType != nil && v.ExpectedType.NonNull && w.CurrentOperation != nil {
		if strict[w.CurrentOperation] == nil {
			strict[w.CurrentOperation] = map[string]bool{}
		}
		strict[w.CurrentOperation][v.Raw] = true
	}
	if v.Kind != ast.ObjectValue || v.Definition == nil || v.Definition.Directives.ForName("oneOf") == nil {
		return
	}
	for _, child := range v.Children {
		if nullable(child.Value) {
			addError(core.Message("Variable \"$%s\" is of type %q but must be non-nullable to be used for OneOf Input Object %q.",
				child.Value.Raw, child.Value.VariableDefinition.Type.String(), v.Definition.Name), core.At(child.Value.Position))
		}
	}
}
