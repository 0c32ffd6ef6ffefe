package policy

import (
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/value"
)

// What one expression may cost. The numbers are far above what a rule needs
// that a person wrote, and bound what a generated one can do.
const (
	maxSource    = 8192   // characters of one expression
	maxNesting   = 64     // parentheses, calls and operators within each other
	maxNodes     = 4096   // terms of the compiled condition
	defaultCost  = 10_000 // CEL cost units of one default (an operator is one)
	maxListTexts = 1000   // constants of one list
)

// The names that the rewriting step gives to what CEL's own operators do
// differently with null. They cannot be written in an expression.
const (
	fnEqual     = "@equal"       // ==, unknown (an error) when a side is null
	fnUnequal   = "@unequal"     // !=, likewise
	fnIsNull    = "@is_null"     // == null
	fnIsNotNull = "@is_not_null" // != null
	fnAmong     = "@among"       // in, likewise
	fnDecimal   = "decimal"      // decimal("0.10"); the literals beside decimals become this
	varNow      = "@now"         // now()
)

// The variables of expressions.
const (
	varRow     = "row"
	varOld     = "old"
	varAuth    = "auth"
	varRequest = "request"
	fnNow      = "now"
)

// The types of the variables. "@" keeps them out of reach of an expression;
// other entities are "@module.entity".
const (
	typeRow     = "@row"
	typeAuth    = "@auth"
	typeRequest = "@request"
)

// member is one member of auth or request.
type member struct {
	name string
	typ  *cel.Type
}

func authMembers() []member {
	return []member{
		{"uid", cel.StringType}, // null: nobody
		{"role", cel.StringType},
		{"roles", cel.ListType(cel.StringType)},
		{"claims", cel.MapType(cel.StringType, cel.DynType)},
		{"email", cel.StringType},
		{"aal", cel.StringType},
		{"amr", cel.ListType(cel.DynType)},
		{"session", cel.StringType},
		{"service", cel.BoolType},
	}
}

func requestMembers() []member {
	return []member{
		{"door", cel.StringType},
		{"method", cel.StringType},
		{"ip", cel.StringType},
		{"time", cel.TimestampType},
		{"version", cel.StringType},
	}
}

// schema is the types of one application as CEL asks for them. It answers from
// the model at each question, so that an application costs nothing before an
// expression names a field. row and old have the type [typeRow], which means
// the entity of the moment: one environment serves all entities, since building
// one costs more than checking an expression.
//
// It is used by one goroutine, while the application is compiled. The programs
// that come out do not ask it.
type schema struct {
	types.Provider // CEL's own types
	entity         *model.Entity
	entities       map[string]*model.Entity // by "@module.entity"
	members        map[string][]member
}

func newSchema(app *model.App, base types.Provider) *schema {
	s := &schema{Provider: base, entities: map[string]*model.Entity{}, members: map[string][]member{
		typeAuth: authMembers(), typeRequest: requestMembers(),
	}}
	for _, m := range app.Modules {
		for _, e := range m.Entities {
			s.entities["@"+e.QualifiedName()] = e
		}
	}
	return s
}

// entityOf returns the entity behind an object type, or nil.
func (s *schema) entityOf(typeName string) *model.Entity {
	if typeName == typeRow {
		return s.entity
	}
	return s.entities[typeName]
}

// FindStructType implements [types.Provider].
func (s *schema) FindStructType(name string) (*types.Type, bool) {
	if s.entityOf(name) != nil || s.members[name] != nil {
		return types.NewTypeTypeWithParam(types.NewObjectType(name)), true
	}
	return s.Provider.FindStructType(name)
}

// FindStructFieldNames implements [types.Provider].
func (s *schema) FindStructFieldNames(name string) ([]string, bool) {
	if e := s.entityOf(name); e != nil {
		return pathNames(e), true
	}
	if ms := s.members[name]; ms != nil {
		names := make([]string, len(ms))
		for i, m := range ms {
			names[i] = m.name
		}
		return names, true
	}
	return s.Provider.FindStructFieldNames(name)
}

// FindStructFieldType implements [types.Provider].
func (s *schema) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	if e := s.entityOf(name); e != nil {
		if f := fieldOf(e, field); f != nil {
			return &types.FieldType{Type: celType(f.Type)}, true
		}
		if r := relation(e, field); r != nil {
			to := cel.ObjectType("@" + r.To.QualifiedName())
			if r.Cardinality != model.ToOne {
				to = cel.ListType(to)
			}
			return &types.FieldType{Type: to}, true
		}
		return nil, false
	}
	if ms := s.members[name]; ms != nil {
		for _, m := range ms {
			if m.name == field {
				return &types.FieldType{Type: m.typ}, true
			}
		}
		return nil, false
	}
	return s.Provider.FindStructFieldType(name, field)
}

// pathNames are the names that may follow an entity's row: its fields, then
// its relations.
func pathNames(e *model.Entity) []string {
	names := fieldNames(e)
	for _, r := range e.Relations {
		if !r.To.Internal && !slices.Contains(names, r.Name) {
			names = append(names, r.Name)
		}
	}
	return names
}

func fieldNames(e *model.Entity) []string {
	names := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		names[i] = f.Name
	}
	return names
}

func fieldOf(e *model.Entity, name string) *model.Field {
	for _, f := range e.Fields {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// relations are the relations of a name. Those to tables without a door are
// left out.
func relations(e *model.Entity, name string) []*model.Relation {
	var out []*model.Relation
	for _, r := range e.Relations {
		if r.Name == name && !r.To.Internal {
			out = append(out, r)
		}
	}
	return out
}

// relation is the first relation of a name that no field has, or nil.
func relation(e *model.Entity, name string) *model.Relation {
	if fieldOf(e, name) == nil {
		for _, r := range e.Relations {
			if r.Name == name && !r.To.Internal {
				return r
			}
		}
	}
	return nil
}

// celType is the type that a field has in an expression. Every one of them may
// be null as well: comparisons with null are rewritten before the check.
func celType(t value.Type) *cel.Type {
	if t.List {
		t.List = false
		return cel.ListType(celType(t))
	}
	switch t.Kind {
	case value.Int:
		return cel.IntType
	case value.Float:
		return cel.DoubleType
	case value.Decimal:
		return decimalType
	case value.Bool:
		return cel.BoolType
	case value.Timestamp:
		return cel.TimestampType
	case value.Bytes:
		return cel.BytesType
	case value.Text, value.UUID, value.Date, value.Time, value.Enum, value.File:
		return cel.StringType
	case value.JSON, value.Invalid:
	}
	return cel.DynType
}

// newEnv builds the one environment of an application.
func newEnv(app *model.App) (*cel.Env, *schema, error) {
	registry, err := types.NewRegistry()
	if err != nil {
		return nil, nil, err
	}
	s := newSchema(app, registry)
	options := []cel.EnvOption{
		cel.CustomTypeAdapter(registry),
		cel.CustomTypeProvider(s),
		cel.ParserExpressionSizeLimit(maxSource),
		cel.ParserRecursionLimit(maxNesting),
		cel.EnableMacroCallTracking(),
		cel.Variable(varRow, cel.ObjectType(typeRow)),
		cel.Variable(varOld, cel.ObjectType(typeRow)),
		cel.Variable(varAuth, cel.ObjectType(typeAuth)),
		cel.Variable(varRequest, cel.ObjectType(typeRequest)),
		cel.Variable(varNow, cel.TimestampType),
	}
	options = append(options, nullFunctions()...)
	options = append(options, decimalFunctions()...)
	env, err := cel.NewEnv(options...)
	return env, s, err
}

// nullFunctions are the operators that treat null as SQL does. An error stands
// for unknown: && and || of CEL treat errors exactly as Kleene's logic treats
// unknown.
func nullFunctions() []cel.EnvOption {
	a, b := cel.TypeParamType("A"), cel.TypeParamType("B")
	pair := []*cel.Type{a, a}
	return []cel.EnvOption{
		cel.Function(fnEqual, cel.Overload("pando_equal", pair, cel.BoolType,
			cel.BinaryBinding(func(l, r ref.Val) ref.Val { return known(l, r, func() ref.Val { return l.Equal(r) }) }))),
		cel.Function(fnUnequal, cel.Overload("pando_unequal", pair, cel.BoolType,
			cel.BinaryBinding(func(l, r ref.Val) ref.Val {
				return known(l, r, func() ref.Val { return types.Bool(l.Equal(r) != types.True) })
			}))),
		cel.Function(fnIsNull, cel.Overload("pando_is_null", []*cel.Type{cel.DynType}, cel.BoolType,
			cel.UnaryBinding(func(v ref.Val) ref.Val { return types.Bool(v == types.NullValue) }))),
		cel.Function(fnIsNotNull, cel.Overload("pando_is_not_null", []*cel.Type{cel.DynType}, cel.BoolType,
			cel.UnaryBinding(func(v ref.Val) ref.Val { return types.Bool(v != types.NullValue) }))),
		cel.Function(fnAmong,
			cel.Overload("pando_among_list", []*cel.Type{a, cel.ListType(a)}, cel.BoolType, cel.BinaryBinding(among)),
			cel.Overload("pando_among_map", []*cel.Type{a, cel.MapType(a, b)}, cel.BoolType, cel.BinaryBinding(among))),
	}
}
