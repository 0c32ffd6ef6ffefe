package postgres

import (
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// dialect writes PostgreSQL's SQL. Fields have PostgreSQL's own types, so that
// its operators, indexes and other programs work on them: text under the
// collation C, bigint, timestamptz, jsonb, arrays. A decimal alone is a bigint
// scaled as value.Value is; inside lists it is a numeric.
type dialect struct {
	forms map[*model.Field]*store.Form // of the tables that are not Pando's
}

var _ store.Dialect = dialect{}

// Table implements store.Dialect: a module is a schema.
func (dialect) Table(module, entity string) string { return quote(module) + "." + quote(entity) }

// Form implements store.Dialect.
func (d dialect) Form(f *model.Field) *store.Form { return d.forms[f] }

// Ident implements store.Dialect.
func (dialect) Ident(name string) string { return quote(name) }

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// literal quotes a text so that it means the same whatever
// standard_conforming_strings is.
func literal(text string) string {
	if strings.Contains(text, `\`) {
		return "E'" + strings.NewReplacer(`\`, `\\`, "'", "''").Replace(text) + "'"
	}
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}

// Param implements store.Dialect.
func (dialect) Param(n int) string { return "$" + strconv.Itoa(n) }

// TypedParam implements store.Dialect.
func (dialect) TypedParam(n int, t value.Type) string {
	sql := "$" + strconv.Itoa(n) + "::" + typeName(t)
	if textual(t) {
		sql += collated
	}
	return "(" + sql + ")"
}

// collated puts an expression under the order of bytes, which every text has.
const collated = ` COLLATE "C"`

// textual reports whether a type is stored as text.
func textual(t value.Type) bool {
	return t.Kind == value.Text || t.Kind == value.Enum || t.Kind == value.File
}

// typeName is the type that stores values of t.
func typeName(t value.Type) string {
	var name string
	switch t.Kind {
	case value.Int:
		name = "bigint"
	case value.Decimal:
		name = "bigint"
		if t.List {
			name = "numeric"
		}
	case value.Float:
		name = "double precision"
	case value.Bool:
		name = "boolean"
	case value.UUID:
		name = "uuid"
	case value.Timestamp:
		name = "timestamp with time zone"
	case value.Date:
		name = "date"
	case value.Time:
		name = "time without time zone"
	case value.JSON:
		name = "jsonb"
	case value.Bytes:
		name = "bytea"
	case value.Text, value.Enum, value.File, value.Invalid:
		name = "text"
	}
	if t.List {
		name += "[]"
	}
	return name
}

// JSONText implements store.Dialect. PostgreSQL's JSON is the wire form but
// for jsonb's blanks: such a text is a varchar, by which the driver knows that
// it has to take them out.
func (d dialect) JSONText(t value.Type, notNull bool, x string) string {
	var sql string
	switch {
	case t.Kind == value.JSON && t.List:
		sql = "array_to_json(" + x + ")" + spaced
	case t.List:
		sql = "array_to_json(" + x + ")::text"
	case t.Kind == value.JSON:
		sql = x + spaced
	case t.Kind == value.Int, t.Kind == value.Float, t.Kind == value.Bool:
		sql = x + "::text"
	case t.Kind == value.Decimal:
		sql = decimalText(t.Scale, x)
	case t.Kind == value.UUID, t.Kind == value.Date, t.Kind == value.Time:
		sql = `'"'||` + x + `||'"'`
	default:
		sql = "to_json(" + x + ")::text"
	}
	if notNull {
		return "(" + sql + ")"
	}
	return "coalesce(" + sql + ",'null')"
}

// spaced casts to the type that marks texts with jsonb's blanks.
const spaced = "::varchar"

func decimalText(scale int, x string) string { return unscaled(scale, x) + "::text" }

// unscaled is the number that a scaled decimal stands for, with its digits.
func unscaled(scale int, x string) string {
	if scale == 0 {
		return "(" + x + ")::numeric"
	}
	return "(" + x + "*0." + strings.Repeat("0", scale-1) + "1)"
}

// JSONObject implements store.Dialect.
func (dialect) JSONObject(keys, texts []string) string {
	if len(keys) == 0 {
		return "'{}'::text"
	}
	var b strings.Builder
	for i, k := range keys {
		sep := ","
		if i == 0 {
			sep = "{"
		} else {
			b.WriteString("||")
		}
		b.WriteString(literal(sep + string(value.AppendQuoted(nil, []byte(k))) + ":"))
		b.WriteString("::text||(" + texts[i] + ")")
	}
	b.WriteString("||'}'")
	return "(" + b.String() + ")"
}

// JSONArray implements store.Dialect.
func (dialect) JSONArray(subquery string) string {
	sql := "(SELECT '['||coalesce(string_agg(j,','),'')||']' FROM (" + subquery + ") AS q)"
	if strings.Contains(subquery, spaced) {
		sql += spaced
	}
	return sql
}

// JSONElement implements store.Dialect.
func (dialect) JSONElement(array string, at int64) string {
	return "coalesce((" + array + "::json->" + strconv.FormatInt(at, 10) + ")::text,'null')"
}

// Hex implements store.Dialect.
func (dialect) Hex(text string) string { return "encode(convert_to(" + text + ",'UTF8'),'hex')" }

// compact takes the blanks out of a jsonb's text: the expression matches a
// string as a whole, which is kept, or a blank outside of any, which is not.
func compact(x string) string {
	return `regexp_replace((` + x + `)::text,'("(?:[^"\\]|\\.)*")|\s','\1','g')`
}

// JSONPath implements store.Dialect.
func (dialect) JSONPath(t value.Type, x string, steps []query.Step) string {
	if t.List {
		x = "to_jsonb(" + x + ")"
	}
	sql := "(" + follow(x, steps) + ")"
	if !steps[len(steps)-1].Text {
		return sql
	}
	return "(CASE WHEN jsonb_typeof" + sql + " IN ('object','array') THEN " + compact(sql) + " ELSE " + sql + "#>>'{}' END" + collated + ")"
}

// follow leads along a path. A jsonpath stands for one with an index: to the
// operator ->, a value that is no array is one of a single element.
func follow(x string, steps []query.Step) string {
	if !slices.ContainsFunc(steps, func(s query.Step) bool { return !s.ByKey }) {
		for _, s := range steps {
			x += "->" + literal(s.Key)
		}
		return x
	}
	path := []byte("strict $")
	for _, s := range steps {
		switch {
		case s.ByKey:
			path = value.AppendQuoted(append(path, '.'), s.Key)
		case s.Index < 0:
			path = append(strconv.AppendInt(append(path, "[last-"...), -(s.Index+1), 10), ']')
		default:
			path = append(strconv.AppendInt(append(path, '['), s.Index, 10), ']')
		}
	}
	return "jsonb_path_query_first(" + x + "," + literal(string(path)) + ",'{}',true)"
}

// Cast implements store.Dialect: PostgreSQL's own casts, with its errors.
func (dialect) Cast(x string, from, to value.Type) (string, bool) {
	if !value.Castable(from, to) {
		return "", false
	}
	if from.List == to.List && from.Kind == to.Kind && from.Scale == to.Scale {
		return x, true
	}
	switch {
	case textual(to) && to.List:
		return "((" + x + ")::text[]" + collated + ")", true
	case textual(to):
		return "(" + castText(x, from) + collated + ")", true
	}
	return "(" + castOther(x, from, to) + ")", true
}

func castText(x string, from value.Type) string {
	switch {
	case from.List:
		return compact("array_to_json(" + x + ")")
	case from.Kind == value.JSON:
		return compact(x)
	case from.Kind == value.Decimal:
		return decimalText(from.Scale, x)
	case from.Kind == value.Timestamp:
		return "to_json(" + x + ")#>>'{}'"
	}
	return "(" + x + ")::text"
}

func castOther(x string, from, to value.Type) string {
	switch {
	case to.Kind == value.JSON && from.Kind == value.Decimal && !from.List:
		return "to_jsonb(" + unscaled(from.Scale, x) + ")"
	case to.Kind == value.JSON && (from.List || !textual(from)):
		return "to_jsonb(" + x + ")"
	case to.Kind == value.Int && from.Kind == value.Decimal:
		return "round((" + unscaled(from.Scale, x) + "))::bigint"
	case to.Kind == value.Float && from.Kind == value.Decimal:
		return unscaled(from.Scale, x) + "::double precision"
	case to.Kind == value.Int && from.Kind == value.Bool:
		return x + "::int::bigint"
	case to.Kind == value.Bool && from.Kind == value.Int:
		return x + "<>0"
	case to.Kind == value.Decimal:
		return inDigits(x)
	}
	sql := "(" + x + ")::" + typeName(to)
	if !textual(from) {
		return sql
	}
	if to.Kind == value.Float {
		sql += "+0" // of -0, which no field holds
	}
	if form, ok := forms[to.Kind]; ok {
		sql = "CASE WHEN " + x + "~" + literal(form) + " THEN " + sql + " ELSE (E'\\\\x!'||" + x + ")::" + typeName(to) + " END"
	}
	return sql
}

// forms are the texts that are cast, where PostgreSQL takes more of them than
// the types do. No type takes a text that begins with \x!.
//
//nolint:gochecknoglobals // a constant table
var forms = map[value.Kind]string{
	value.Int:       `^\s*[+-]?[0-9]+\s*$`,
	value.Float:     `^\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*$`,
	value.Bytes:     `^\\x(\s*[0-9a-fA-F]{2})*\s*$`,
	value.Timestamp: `^\s*` + dayForm + `([tT]|\s+)?` + clockForm + `?\s*` + zoneForm + `?\s*$`,
	value.Date:      `^\s*` + dayForm + `(([tT]|\s+)` + clockForm + `)?\s*` + zoneForm + `?\s*$`,
	value.Time:      `^\s*` + clockForm + `\s*` + zoneForm + `?\s*$`,
}

const (
	dayForm   = `[0-9]{4}-?[0-9]{1,2}-?[0-9]{1,2}`
	clockForm = `[0-9:]+(\.[0-9]*)?`
	zoneForm  = `([zZ]|[uU][tT][cC]|[gG][mM][tT]|[+-][0-9:]+)`
)

// inDigits fails where a decimal has more than 18 digits.
func inDigits(x string) string { return "(" + x + ")::numeric(18,0)::bigint" }

// Like implements store.Dialect.
func (dialect) Like(x, pattern string, fold bool) string {
	if fold {
		return folded(x) + " LIKE " + folded(pattern)
	}
	return x + " LIKE " + pattern
}

// folded is Unicode's full case folding, told by ICU's mappings: what has the
// same capitals has the same small letters behind them. Two letters are put
// right: the final sigma, which depends on its place, and the dotless i, which
// folds to nothing else and is kept from ICU in a pair of control characters.
func folded(x string) string {
	const icu = ` COLLATE "und-x-icu"`
	sql := `replace(replace(` + x + `,E'\x02',E'\x02\x04'),'ı',E'\x02\x03')`
	sql = `lower(upper(lower(` + sql + icu + `)` + icu + `)` + icu + `)`
	sql = `replace(replace(translate(` + sql + `,'ς','σ'),E'\x02\x03','ı'),E'\x02\x04',E'\x02')`
	return `normalize(` + sql + `,NFC)` + collated
}

// Regexp implements store.Dialect. Under the collation C, ~* folds ASCII alone.
func (dialect) Regexp(x, pattern string, fold bool) string {
	if fold {
		return x + " ~* " + pattern
	}
	return x + " ~ " + pattern
}

// Comparable implements store.Dialect: every type has its order.
func (dialect) Comparable(_ value.Type, x string) string { return x }

// Where implements store.Dialect.
func (dialect) Where(cond, x string) string { return "(CASE WHEN " + cond + " THEN " + x + " END)" }

// InList implements store.Dialect.
func (d dialect) InList(t value.Type, x, list string) string {
	return x + " = ANY(" + elements(t, list) + ")"
}

// elements is the operand of ANY and ALL: an array, or for lists, of which
// there are no arrays, and JSON a query.
func elements(t value.Type, list string) string {
	if t.List || t.Kind == value.JSON {
		return "SELECT " + element(t) + " FROM " + unnested(t, list)
	}
	sql := list + "::" + typeName(t) + "[]"
	if textual(t) {
		sql += collated
	}
	return sql
}

// element is the column e of unnested, as t.
func element(t value.Type) string {
	switch {
	case t.List && t.Kind == value.JSON:
		return "ARRAY(SELECT jsonb_array_elements(q.e::jsonb))"
	case t.List:
		return "ARRAY(SELECT jsonb_array_elements_text(q.e::jsonb)::" + strings.TrimSuffix(typeName(t), "[]") + ")"
	case t.Kind == value.JSON:
		return "q.e::jsonb"
	case textual(t):
		return "q.e" + collated
	}
	return "q.e"
}

func unnested(t value.Type, list string) string {
	name := "text"
	if !t.List && t.Kind != value.JSON {
		name = typeName(t)
	}
	return "unnest(" + list + "::" + name + "[]) AS q(e)"
}

// AnyOf implements store.Dialect.
func (d dialect) AnyOf(t value.Type, x, list string, cond func(string) string) string {
	return unlessNull(x, t, list) + "EXISTS (SELECT 1 FROM " + unnested(t, list) + " WHERE " + cond(element(t)) + ") END"
}

// AllOf implements store.Dialect.
func (d dialect) AllOf(t value.Type, x, list string, cond func(string) string) string {
	return unlessNull(x, t, list) + "NOT EXISTS (SELECT 1 FROM " + unnested(t, list) + " WHERE NOT (" + cond(element(t)) + ")) END"
}

func unlessNull(x string, t value.Type, list string) string {
	return "CASE WHEN " + x + " IS NULL AND EXISTS (SELECT 1 FROM " + unnested(t, list) + ") THEN NULL ELSE "
}

// ListParam implements store.Dialect: a JSON array of the stored forms, which
// the driver writes as the array that the parameter is.
func (dialect) ListParam(values []value.Value) value.Value {
	b := []byte{'['}
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		switch v.Tag {
		case value.TagInt:
			b = strconv.AppendInt(b, v.Int, 10)
		case value.TagFloat:
			b = strconv.AppendFloat(b, v.Float, 'e', -1, 64)
		case value.TagText:
			b = value.AppendQuoted(b, v.Str)
		case value.TagBytes:
			b = append(hex.AppendEncode(append(b, `"\\x`...), []byte(v.Str)), '"')
		case value.TagNull:
			b = append(b, "null"...)
		}
	}
	return value.OfText(string(append(b, ']')))
}

// Contains implements store.Dialect.
func (dialect) Contains(_ value.Type, x, y string) string { return x + " @> " + y }

// Overlaps implements store.Dialect.
func (dialect) Overlaps(_ value.Type, x, y string) string { return x + " && " + y }

// Search implements store.Dialect. PostgreSQL negates by itself: the mark is
// only named, since each parameter must be.
func (d dialect) Search(_ *model.Entity, alias string, f *model.Field, param, negated string) string {
	column := tokensColumn(f.Name)
	if alias != "" {
		column = alias + "." + column
	}
	return "(" + column + " @@ " + param + "::tsquery AND " + negated + "::bigint IS NOT NULL)"
}

// SearchParam implements store.Dialect.
func (dialect) SearchParam(_ *model.Field, s *value.Search) value.Value {
	return value.OfText(s.TSQuery())
}

// tokensColumn holds the words of a searched field. No field has such a name.
func tokensColumn(field string) string { return quote(field + searchSuffix) }

const searchSuffix = ".search"

// SearchTokens implements store.Dialect: the words are cut in Go, so that both
// stores cut them alike.
func (dialect) SearchTokens(f *model.Field) (string, func(value.Value) value.Value) {
	return tokensColumn(f.Name), func(v value.Value) value.Value {
		if v.IsNull() {
			return v
		}
		return value.OfText(value.TSVector(value.Tokens(v.Str)))
	}
}

// Aggregate implements store.Dialect.
func (dialect) Aggregate(fn query.Aggregate, t value.Type, x string) (string, value.Type, bool) {
	number := !t.List && (t.Kind == value.Int || t.Kind == value.Decimal || t.Kind == value.Float)
	out := value.Type{Kind: t.Kind, List: t.List, Scale: t.Scale}
	switch fn {
	case query.CountRows:
		if x == "" {
			x = "*"
		}
		return "count(" + x + ")", value.Type{Kind: value.Int}, true
	case query.Sum:
		if t.Kind == value.Float {
			return floatSum(x), out, number
		}
		return "(sum(" + x + "))::bigint", out, number // of numeric: what does not fit is out of range
	case query.Avg:
		if t.Kind == value.Float {
			return "(" + floatSum(x) + "/count(" + x + "))", out, number
		}
		return average(x), value.Type{Kind: value.Decimal, Scale: t.Scale + 6}, number
	case query.Min:
		return "min(" + x + ")", out, ordered(t)
	case query.Max:
		return "max(" + x + ")", out, ordered(t)
	case query.NoAggregate:
	}
	return "", t, false
}

// floatSum adds floats as the decimals that they are written as: the sum of
// the floats themselves would depend on the order of the rows.
func floatSum(x string) string { return "(sum((" + x + ")::text::numeric))::double precision" }

// average is sum/count with six more digits, half away from zero. It divides
// whole numbers: numeric's own division would round twice.
func average(x string) string {
	return "(sign(sum(" + x + "))*div(abs(sum(" + x + "))*2000000+count(" + x + "),2*count(" + x + ")))::bigint"
}

func ordered(t value.Type) bool {
	return !t.List && t.Kind != value.JSON && t.Kind != value.Bool && t.Kind != value.Bytes && t.Kind != value.UUID
}

// Call implements store.Dialect.
func (dialect) Call(c *query.Call, t value.Type, args []string) string {
	compute := computed
	if c.Lenient {
		compute = lenient
	}
	switch c.Func {
	case query.Length:
		switch {
		case t.List:
			return "cardinality(" + args[0] + ")"
		case t.Kind == value.Bytes:
			return "octet_length(" + args[0] + ")"
		}
		return "char_length(" + args[0] + ")"
	case query.StartsWith:
		return "starts_with(" + args[0] + "," + args[1] + ")"
	case query.EndsWith:
		return "(right(" + args[0] + ",char_length(" + args[1] + "))=" + args[1] + ")"
	case query.HasSubstring:
		return "(strpos(" + args[0] + "," + args[1] + ")>0)"
	case query.Add:
		return compute(t, args[0], "+", args[1])
	case query.Sub:
		return compute(t, args[0], "-", args[1])
	case query.Mul:
		return compute(t, args[0], "*", args[1])
	case query.Neg:
		return compute(t, "0", "-", args[0])
	}
	return "NULL"
}

// computed is arithmetic that fails where the result leaves the type's range.
func computed(t value.Type, x, op, y string) string {
	if t.Kind == value.Decimal {
		return inDigits(x + "::numeric" + op + y)
	}
	return "(" + x + op + y + ")"
}

// lenient is arithmetic that is null where the result leaves the type's range.
// numeric tells the range, since it has none; the operands are written once,
// and OFFSET keeps the planner from writing them twice.
func lenient(t value.Type, x, op, y string) string {
	n := "(a::numeric" + op + "b::numeric)"
	cases := " WHEN abs(" + n + ")<1000000000000000000 THEN " + n + "::bigint"
	switch t.Kind { //nolint:exhaustive // there is arithmetic on these types alone
	case value.Int:
		cases = " WHEN " + n + " BETWEEN -9223372036854775808 AND 9223372036854775807 THEN " + n + "::bigint"
	case value.Float:
		cases = " WHEN abs(" + n + ")>1.79769313486231e308 THEN NULL"
		if op == "*" { // PostgreSQL refuses a product that is too small, too
			cases += " WHEN abs(" + n + ")<2.48e-324 THEN 0"
		}
		cases += " ELSE a" + op + "b"
	}
	return "(SELECT CASE" + cases + " END FROM (SELECT " + x + " AS a," + y + " AS b OFFSET 0) AS c)"
}

// IsDistinct implements store.Dialect.
func (dialect) IsDistinct(x, y string) string { return "(" + x + " IS DISTINCT FROM " + y + ")" }

// Bool implements store.Dialect.
func (dialect) Bool(b bool) string { return strconv.FormatBool(b) }

// OnConflict implements store.Dialect.
func (dialect) OnConflict(key, set []string) string {
	sql := " ON CONFLICT (" + strings.Join(key, ",") + ") DO "
	if len(set) == 0 {
		return sql + "NOTHING"
	}
	parts := make([]string, len(set))
	for i, c := range set {
		parts[i] = c + "=excluded." + c
	}
	return sql + "UPDATE SET " + strings.Join(parts, ",")
}

// Lock implements store.Dialect. References to the rows are let through.
func (dialect) Lock(alias string) string { return " FOR NO KEY UPDATE OF " + alias }

// Estimate implements store.Dialect: what ANALYZE has left, scaled by the
// table's size as the planner does; null before the first ANALYZE. A table that
// is divided has the rows of its partitions, and autovacuum counts those alone.
func (d dialect) Estimate(e *model.Entity) string {
	if e.PartitionKey() != nil {
		return "SELECT CASE WHEN min(c.reltuples)>=0 THEN sum(c.reltuples)::bigint END FROM pg_inherits AS i JOIN pg_class AS c ON c.oid=i.inhrelid WHERE i.inhparent=" +
			literal(d.Table(e.Table.Schema, e.Table.Name)) + "::regclass"
	}
	return "SELECT CASE WHEN reltuples>=0 THEN reltuples::bigint END FROM pg_class WHERE oid=" +
		literal(d.Table(e.Table.Schema, e.Table.Name)) + "::regclass"
}

// DDL implements store.Dialect.
func (dialect) DDL(c store.Change) []string { return ddl(c) }

// SystemDDL implements store.Dialect.
func (dialect) SystemDDL() []string { return systemDDL() }
