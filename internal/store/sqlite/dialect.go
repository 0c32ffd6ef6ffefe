package sqlite

import (
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// dialect writes SQLite's SQL. Values are stored in their canonical forms (see
// value.Value), so that most comparisons need no function at all.
type dialect struct{}

var _ store.Dialect = dialect{}

// Table implements store.Dialect: "module.entity" is one identifier.
func (dialect) Table(module, entity string) string { return quote(module + "." + entity) }

// Form implements store.Dialect: other tables hold what Pando's do.
func (dialect) Form(*model.Field) *store.Form { return nil }

// Ident implements store.Dialect.
func (dialect) Ident(name string) string { return quote(name) }

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// Param implements store.Dialect.
func (dialect) Param(n int) string { return "?" + strconv.Itoa(n) }

// TypedParam implements store.Dialect: SQLite's values bring their types along.
func (d dialect) TypedParam(n int, _ value.Type) string { return d.Param(n) }

// JSONText implements store.Dialect. Texts that cannot hold a character to
// escape are only put between quotes, which is cheaper than json_quote.
func (dialect) JSONText(t value.Type, notNull bool, x string) string {
	var sql string
	switch {
	case t.List, t.Kind == value.JSON, t.Kind == value.Int:
		sql = x
	case t.Kind == value.Bool:
		sql = "iif(" + x + ",'true','false')"
		if !notNull {
			return "CASE WHEN " + x + " IS NULL THEN 'null' WHEN " + x + " THEN 'true' ELSE 'false' END"
		}
	case t.Kind == value.Float:
		sql = "pando_float(" + x + ")"
	case t.Kind == value.Decimal:
		sql = x
		if t.Scale > 0 {
			sql = "pando_decimal(" + x + "," + itoa(t.Scale) + ")"
		}
	case t.Kind == value.Bytes:
		sql = `'"\\x'||lower(hex(` + x + `))||'"'`
		if !notNull {
			return "CASE WHEN " + x + " IS NULL THEN 'null' ELSE " + sql + " END"
		}
	case t.Kind == value.UUID, t.Kind == value.Timestamp, t.Kind == value.Date, t.Kind == value.Time:
		sql = `'"'||` + x + `||'"'`
	default:
		return "json_quote(" + x + ")"
	}
	if notNull {
		return sql
	}
	return "coalesce(" + sql + ",'null')"
}

// JSONObject implements store.Dialect.
func (dialect) JSONObject(keys, texts []string) string {
	if len(keys) == 0 {
		return "'{}'"
	}
	var b strings.Builder
	for i, k := range keys {
		sep := ","
		if i == 0 {
			sep = "{"
		}
		if i > 0 {
			b.WriteString("||")
		}
		b.WriteString(literal(sep + string(value.AppendQuoted(nil, []byte(k))) + ":"))
		b.WriteString("||" + texts[i])
	}
	b.WriteString("||'}'")
	return b.String()
}

// JSONArray implements store.Dialect.
func (dialect) JSONArray(subquery string) string {
	return "(SELECT '['||coalesce(group_concat(j,','),'')||']' FROM (" + subquery + "))"
}

// JSONElement implements store.Dialect.
func (dialect) JSONElement(array string, at int64) string {
	path := "$[" + strconv.FormatInt(at, 10) + "]"
	if at < 0 {
		path = "$[#" + strconv.FormatInt(at, 10) + "]"
	}
	return "coalesce(" + array + " -> " + literal(path) + ",'null')"
}

// Hex implements store.Dialect.
func (dialect) Hex(text string) string { return "lower(hex(" + text + "))" }

// JSONPath implements store.Dialect.
func (dialect) JSONPath(t value.Type, x string, steps []query.Step) string {
	path, text := "$", false
	if t.List && t.Kind == value.Float { // JSON writes its digits out
		x = "pando_json(" + x + ")"
	}
	for _, s := range steps {
		switch {
		case s.ByKey:
			path += "." + string(value.AppendQuoted(nil, s.Key))
		case s.Index < 0:
			path += "[#" + strconv.FormatInt(s.Index, 10) + "]"
		default:
			path += "[" + strconv.FormatInt(s.Index, 10) + "]"
		}
		text = s.Text
	}
	sql := "(" + x + " -> " + literal(path) + ")"
	if text {
		return "pando_text" + sql
	}
	return sql
}

// Cast implements store.Dialect. Casts that cannot fail and keep the stored
// form cost nothing; the rest is done in Go, where it fails as PostgreSQL's does.
func (dialect) Cast(x string, from, to value.Type) (string, bool) {
	if !value.Castable(from, to) {
		return "", false
	}
	if from.List == to.List && from.Kind == to.Kind && from.Scale == to.Scale {
		return x, true
	}
	return "pando_cast(" + x + "," + literal(codeOfType(from)) + "," + literal(codeOfType(to)) + ")", true
}

// codeOfType and typeOfCode carry a type through SQL text.
func codeOfType(t value.Type) string {
	code := t.Kind.String() + ":" + itoa(t.Scale)
	if t.List {
		code += ":list"
	}
	return code
}

func typeOfCode(code string) (value.Type, error) {
	parts := strings.Split(code, ":")
	kind, ok := value.ParseKind(parts[0])
	scale, err := strconv.Atoi(parts[1])
	if !ok || err != nil {
		return value.Type{}, fault.New(fault.Internal, "an internal error occurred").WithDetails("type code %s", code)
	}
	return value.Type{Kind: kind, Scale: scale, List: len(parts) > 2}, nil
}

// Like implements store.Dialect.
func (dialect) Like(x, pattern string, fold bool) string {
	if fold {
		return "pando_ilike(" + x + "," + pattern + ")"
	}
	return "pando_like(" + x + "," + pattern + ")"
}

// Regexp implements store.Dialect.
func (dialect) Regexp(x, pattern string, fold bool) string {
	if fold {
		return "pando_imatch(" + x + "," + pattern + ")"
	}
	return "pando_match(" + x + "," + pattern + ")"
}

// Comparable implements store.Dialect: JSON has an order of its own.
func (dialect) Comparable(t value.Type, x string) string {
	if t.Kind == value.JSON && !t.List {
		return x + " COLLATE " + jsonCollation
	}
	return x
}

// Where implements store.Dialect. A collation inside a condition becomes that
// of the whole expression, unless it says its own.
func (dialect) Where(cond, x string) string {
	sql := "CASE WHEN " + cond + " THEN " + x + " END"
	if strings.Contains(cond, jsonCollation) {
		sql = "(" + sql + " COLLATE BINARY)"
	}
	return sql
}

// InList implements store.Dialect.
func (d dialect) InList(t value.Type, x, list string) string {
	return d.Comparable(t, x) + " IN (SELECT " + element(t, "value") + " FROM json_each(" + list + "))"
}

// AnyOf implements store.Dialect: null when x is, as PostgreSQL's ANY.
func (d dialect) AnyOf(t value.Type, x, list string, cond func(string) string) string {
	return unlessNull(x, list) + "EXISTS (SELECT 1 FROM json_each(" + list + ") AS q WHERE " + cond(element(t, "q.value")) + ") END"
}

// AllOf implements store.Dialect.
func (d dialect) AllOf(t value.Type, x, list string, cond func(string) string) string {
	return unlessNull(x, list) + "NOT EXISTS (SELECT 1 FROM json_each(" + list + ") AS q WHERE NOT (" + cond(element(t, "q.value")) + ")) END"
}

func unlessNull(x, list string) string {
	return "CASE WHEN " + x + " IS NULL AND json_array_length(" + list + ")>0 THEN NULL ELSE "
}

// element is a list parameter's element in the stored form of t.
func element(t value.Type, x string) string {
	if t.Kind == value.Bytes && !t.List {
		return "unhex(" + x + ")"
	}
	return x
}

// ListParam implements store.Dialect: a JSON array of the stored forms, bytes
// in hexadecimal.
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
			b = append(hex.AppendEncode(append(b, '"'), []byte(v.Str)), '"')
		case value.TagNull:
			b = append(b, "null"...)
		}
	}
	return value.OfText(string(append(b, ']')))
}

// Contains implements store.Dialect.
func (dialect) Contains(_ value.Type, x, y string) string {
	return "pando_contains(" + x + "," + y + ")"
}

// Overlaps implements store.Dialect.
func (dialect) Overlaps(_ value.Type, x, y string) string {
	return "pando_overlaps(" + x + "," + y + ")"
}

// Search implements store.Dialect. FTS5 knows no negation of its own: the
// second branch of the union is the complement, and costs nothing when it is
// not asked for. A null text matches neither way.
func (d dialect) Search(e *model.Entity, alias string, f *model.Field, param, negated string) string {
	fts := quote(e.QualifiedName() + ".search")
	hits := "SELECT rowid FROM " + fts + " WHERE " + fts + " MATCH " + param
	if alias != "" {
		alias += "."
	}
	return alias + rowid + " IN (" + hits + " AND " + negated + "=0 UNION ALL SELECT n." + rowid + " FROM " + d.Table(e.Table.Schema, e.Table.Name) +
		" AS n WHERE " + negated + "=1 AND n." + quote(f.Name) + " IS NOT NULL AND n." + rowid + " NOT IN (" + hits + "))"
}

// SearchParam implements store.Dialect.
func (d dialect) SearchParam(f *model.Field, s *value.Search) value.Value {
	return value.OfText("{" + searchColumn(f.Name) + "} : (" + s.FTS5() + ")")
}

// SearchTokens implements store.Dialect: triggers keep the index.
func (dialect) SearchTokens(*model.Field) (string, func(value.Value) value.Value) { return "", nil }

// Aggregate implements store.Dialect.
func (d dialect) Aggregate(fn query.Aggregate, t value.Type, x string) (string, value.Type, bool) {
	number := !t.List && (t.Kind == value.Int || t.Kind == value.Decimal || t.Kind == value.Float)
	switch fn {
	case query.CountRows:
		if x == "" {
			x = "*"
		}
		return "count(" + x + ")", value.Type{Kind: value.Int}, true
	case query.Sum:
		if t.Kind == value.Float {
			return "pando_sum(" + x + ")", bare(t), number
		}
		return "sum(" + x + ")", bare(t), number
	case query.Avg:
		if t.Kind == value.Float {
			return "pando_mean(" + x + ")", bare(t), number
		}
		return "pando_avg(sum(" + x + "),count(" + x + "),6)", value.Type{Kind: value.Decimal, Scale: t.Scale + 6}, number
	case query.Min:
		return "min(" + x + ")", bare(t), ordered(t)
	case query.Max:
		return "max(" + x + ")", bare(t), ordered(t)
	case query.NoAggregate:
	}
	return "", t, false
}

// bare is the type without the limits that an aggregate need not keep.
func bare(t value.Type) value.Type {
	return value.Type{Kind: t.Kind, List: t.List, Scale: t.Scale}
}

func ordered(t value.Type) bool {
	return !t.List && t.Kind != value.JSON && t.Kind != value.Bool && t.Kind != value.Bytes && t.Kind != value.UUID
}

// Call implements store.Dialect.
func (dialect) Call(c *query.Call, t value.Type, args []string) string {
	compute := func(op, a, b string) string {
		if c.Lenient {
			op += "?"
		}
		return "pando_compute(" + literal(op) + "," + kindOf(t) + "," + a + "," + b + ")"
	}
	switch c.Func {
	case query.Length:
		kind := "t"
		if t.List {
			kind = "l"
		} else if t.Kind == value.Bytes {
			kind = "b"
		}
		return "pando_length(" + args[0] + "," + literal(kind) + ")"
	case query.StartsWith:
		return "(substr(" + args[0] + ",1,length(" + args[1] + "))=" + args[1] + ")"
	case query.EndsWith:
		return "(length(" + args[0] + ")>=length(" + args[1] + ") AND substr(" + args[0] + ",length(" + args[0] + ")-length(" + args[1] + ")+1)=" + args[1] + ")"
	case query.HasSubstring:
		return "(instr(" + args[0] + "," + args[1] + ")>0)"
	case query.Add:
		return compute("+", args[0], args[1])
	case query.Sub:
		return compute("-", args[0], args[1])
	case query.Mul:
		return compute("*", args[0], args[1])
	case query.Neg:
		return compute("-", "0", args[0])
	}
	return "NULL"
}

func kindOf(t value.Type) string { return literal(t.Kind.String()) }

// IsDistinct implements store.Dialect.
func (dialect) IsDistinct(x, y string) string { return x + " IS NOT " + y }

// Bool implements store.Dialect.
func (dialect) Bool(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// OnConflict implements store.Dialect.
func (dialect) OnConflict(key, set []string) string {
	var b strings.Builder
	b.WriteString(" ON CONFLICT (")
	for i, k := range key {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(k)
	}
	if len(set) == 0 {
		return b.String() + ") DO NOTHING"
	}
	b.WriteString(") DO UPDATE SET ")
	for i, c := range set {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(c + "=excluded." + c)
	}
	return b.String()
}

// Lock implements store.Dialect: there is one writer.
func (dialect) Lock(string) string { return "" }

// Estimate implements store.Dialect: the statistics that ANALYZE has left, or
// else the highest rowid, which deletes make too high but never too low.
func (d dialect) Estimate(e *model.Entity) string {
	return "SELECT coalesce(max(" + rowid + "),0) FROM " + d.Table(e.Table.Schema, e.Table.Name)
}

// DDL implements store.Dialect.
func (dialect) DDL(c store.Change) []string { return ddl(c) }

// SystemDDL implements store.Dialect.
func (dialect) SystemDDL() []string { return systemDDL() }
