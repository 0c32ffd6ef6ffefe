package store

import (
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/value"
)

// Dialect writes what the databases write differently. Every method returns
// SQL text; operands are SQL texts too. Values never enter a text: they are
// parameters, written by Param.
type Dialect interface {
	// Table is the quoted name of an entity's table.
	Table(module, entity string) string
	// Ident quotes a column's or an alias's name.
	Ident(name string) string
	// Form is how a field is stored where its table is not Pando's; nil: as
	// Pando stores its type.
	Form(f *model.Field) *Form
	// Param is the placeholder of the n-th parameter, counted from 1, where its
	// surroundings tell the type: a column that it is compared with or stored in.
	Param(n int) string
	// TypedParam is the placeholder of a parameter that holds a value of type t.
	TypedParam(n int, t value.Type) string

	// JSONText is the wire form of a scalar as JSON text, 'null' for null.
	JSONText(t value.Type, notNull bool, expr string) string
	// JSONObject joins "key": JSON texts into one object's text.
	JSONObject(keys, texts []string) string
	// JSONArray aggregates the column j of a subquery, in the subquery's
	// order, into an array's text; no rows are '[]'.
	JSONArray(subquery string) string
	// JSONElement is the JSON text of an element of an array's text, counted from
	// the end where at is negative, or 'null'. The elements are JSON strings.
	JSONElement(array string, at int64) string
	// Hex is a text's UTF-8 bytes as hexadecimal digits.
	Hex(text string) string

	// JSONPath is the JSON (or with the last step's Text, the text) that a
	// path leads to in an expression of type t, which is JSON or a list; null
	// where it leads nowhere.
	JSONPath(t value.Type, expr string, steps []query.Step) string
	// Cast converts between types and fails with the SQLSTATE that PostgreSQL
	// gives. ok is false where there is no such cast.
	Cast(expr string, from, to value.Type) (sql string, ok bool)

	// Like, Regexp: x against a pattern. fold ignores case.
	Like(x, pattern string, fold bool) string
	Regexp(x, pattern string, fold bool) string
	// Comparable writes x, of type t, so that it is compared, ordered and grouped
	// by its type's order where the stored form alone does not do so.
	Comparable(t value.Type, x string) string
	// Where is x where a condition is true, else null. It compares as x does.
	Where(cond, x string) string
	// InList is x IN over a parameter that holds a list (see ListParam). Like
	// the two below it is null where x is, unless the list is empty.
	InList(t value.Type, x, list string) string
	// AnyOf and AllOf hold for one or all elements of a list parameter; cond
	// writes the condition for the element's SQL name.
	AnyOf(t value.Type, x, list string, cond func(element string) string) string
	AllOf(t value.Type, x, list string, cond func(element string) string) string
	// ListParam packs the values of a list into one parameter value.
	ListParam(values []value.Value) value.Value
	// Contains, Overlaps: lists of elements of a type, or JSON.
	Contains(t value.Type, x, y string) string
	Overlaps(t value.Type, x, y string) string
	// Search matches an entity's search index, restricted to one field;
	// negated is a parameter too: 1 asks for the rows that do not match.
	Search(e *model.Entity, alias string, f *model.Field, param, negated string) string
	// SearchParam is the parameter of Search.
	SearchParam(f *model.Field, s *value.Search) value.Value
	// SearchTokens is the column that a write fills beside a searched field, and
	// what it stores there for the field's value. It is empty where the database
	// keeps the index by itself.
	SearchTokens(f *model.Field) (column string, tokens func(value.Value) value.Value)

	// Aggregate of a column of a type, and the type of what it answers.
	Aggregate(fn query.Aggregate, t value.Type, expr string) (sql string, out value.Type, ok bool)
	// Call writes a function of checks and policies.
	Call(c *query.Call, t value.Type, args []string) string
	// IsDistinct is the null-safe inequality.
	IsDistinct(x, y string) string
	// Bool writes a constant condition.
	Bool(b bool) string
	// OnConflict writes the upsert clause of quoted names; set is empty for "do
	// nothing".
	OnConflict(key []string, set []string) string
	// Lock ends a SELECT whose rows of alias stay as they are read until the
	// transaction ends: nobody else changes them meanwhile. It is empty where
	// writes come one after the other.
	Lock(alias string) string
	// Estimate is a statement that answers the approximate number of rows of
	// an entity, or null when unknown.
	Estimate(e *model.Entity) string

	// DDL renders one schema change as statements to be run in order.
	DDL(c Change) []string
	// SystemDDL creates what Pando keeps for itself, if it is not there.
	SystemDDL() []string
	// Convert turns expr, a stored value of from, into one of to; the SQL is
	// null where the value has no form there. lost is a condition that holds
	// for the values that do not survive, empty when all do. same means that
	// the stored form stays: nothing is to be rewritten.
	Convert(from, to Column, expr string) (sql, lost string, same bool)
	// Catalog is a statement that answers what the database holds, one row for
	// each column of an entity's table: "module.entity", the column, its
	// storage type and 1 where null is refused.
	Catalog() string
	// StorageType is what Catalog says of such a column.
	StorageType(c Column) string
}
