package postgres

import (
	"slices"
	"strings"

	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// Convert implements store.Dialect. PostgreSQL 15 has no cast that answers
// null where it fails: a text is converted where an expression says that it is
// a number, a truth or a key, and counts as lost elsewhere.
func (d dialect) Convert(from, to store.Column, x string) (sql, lost string, same bool) {
	ft, tt := from.Type(), to.Type()
	sameType := ft.Kind == tt.Kind && ft.List == tt.List && ft.Scale == tt.Scale
	switch {
	case tt.Kind == value.Enum && textual(ft) && ft.List == tt.List:
		return convertEnum(from, to, x)
	case sameType, ft.List == tt.List && textual(ft) && (tt.Kind == value.Text || tt.Kind == value.File && ft.Kind == value.Text):
		return x, "", true
	case ft.List && !tt.List && tt.Kind == value.JSON:
		return "to_jsonb(" + x + ")", "", false
	case ft.List:
		return "NULL::" + typeName(tt), x + " IS NOT NULL", false
	case tt.List:
		one := to
		one.List = false
		sql, lost, _ = d.Convert(from, one, x)
		if tt.Kind == value.Decimal {
			sql = unscaled(tt.Scale, "("+sql+")")
		}
		return "CASE WHEN " + sql + " IS NOT NULL THEN ARRAY[" + sql + "] END", lost, false
	case ft.Kind == value.Decimal && tt.Kind == value.Decimal:
		sql, lost = rescale(ft.Scale, tt.Scale, x)
		return sql, lost, false
	}
	return d.convertScalar(ft, tt, x)
}

// shapes are the texts that a cast takes, by the type that it leads to. They
// are narrower than what the types take: what does not fit is lost, and told.
//
//nolint:gochecknoglobals // a constant table
var shapes = map[value.Kind]string{
	value.Int:   `^\s*[+-]?[0-9]{1,18}\s*$`,
	value.Float: `^\s*[+-]?([0-9]{1,300}(\.[0-9]{0,300})?|\.[0-9]{1,300})\s*$`,
	value.Bool:  `^(true|false|t|f|yes|no|on|off|1|0)$`,
	value.UUID:  `^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`,
	value.Bytes: `^\\x([0-9a-fA-F]{2})*$`,
}

func (d dialect) convertScalar(ft, tt value.Type, x string) (sql, lost string, same bool) {
	null := "NULL::" + typeName(tt)
	fits := ""
	switch {
	case textual(ft) && tt.Kind == value.Text:
		return x, "", true
	case textual(ft):
		shape, ok := shapes[tt.Kind]
		if !ok {
			return null, x + " IS NOT NULL", false
		}
		fits = x + " ~ " + literal(shape)
	case tt.Kind == value.Int && ft.Kind == value.Float:
		fits = x + " BETWEEN -9.2e18 AND 9.2e18"
	case tt.Kind == value.Decimal && ft.Kind == value.Int:
		sql, lost = rescale(0, tt.Scale, x)
		return sql, lost, false
	}
	cast, ok := d.Cast(x, ft, tt)
	if !ok {
		return null, x + " IS NOT NULL", false
	}
	if fits == "" {
		fits = "true"
	}
	sql = "CASE WHEN " + fits + " THEN " + cast + " END"
	lost = x + " IS NOT NULL AND (" + sql + ") IS NULL"
	if !textual(ft) {
		if back, ok := d.Cast("("+sql+")", tt, ft); ok && tt.Kind != value.Text {
			lost = x + " IS NOT NULL AND (" + back + ") IS DISTINCT FROM " + x
		}
	}
	return sql, lost, false
}

// rescale moves a decimal's point: half away from zero where digits go, null
// where 18 digits no longer hold the number.
func rescale(from, to int, x string) (sql, lost string) {
	const digits = 18
	switch {
	case to == from:
		return x, "abs(" + x + ") >= 1" + strings.Repeat("0", digits)
	case to > from:
		unit, limit := "1"+strings.Repeat("0", to-from), "1"+strings.Repeat("0", digits-(to-from))
		return "CASE WHEN abs(" + x + ") < " + limit + " THEN " + x + " * " + unit + " END", "abs(" + x + ") >= " + limit
	}
	unit, half := "1"+strings.Repeat("0", from-to), "5"+strings.Repeat("0", from-to-1)
	return "(" + x + " + CASE WHEN " + x + " < 0 THEN -" + half + " ELSE " + half + " END) / " + unit, x + " % " + unit + " <> 0"
}

// convertEnum keeps the words that the new enum has; of a list, its elements.
func convertEnum(from, to store.Column, x string) (sql, lost string, same bool) {
	if from.Type().Kind == value.Enum && !slices.ContainsFunc(from.Enum, func(w string) bool { return !slices.Contains(to.Enum, w) }) {
		return x, "", true
	}
	words := "(" + joinAll(to.Enum, literal) + ")"
	if to.List {
		return "CASE WHEN " + x + " IS NOT NULL THEN ARRAY(SELECT e FROM unnest(" + x + ") AS u(e) WHERE e IN " + words + ") END",
			"EXISTS (SELECT 1 FROM unnest(" + x + ") AS u(e) WHERE e NOT IN " + words + ")", false
	}
	return "CASE WHEN " + x + " IN " + words + " THEN " + x + " END", x + " NOT IN " + words, false
}
