package sqlite

import (
	"slices"
	"strings"

	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
	zs "zombiezen.com/go/sqlite"
)

// Convert implements store.Dialect. A value survives when it can be converted
// at all and, unless it was a text that merely gets its canonical form, when
// converting it back gives it again.
func (d dialect) Convert(from, to store.Column, x string) (sql, lost string, same bool) {
	ft, tt := from.Type(), to.Type()
	sameType := ft.Kind == tt.Kind && ft.List == tt.List && ft.Scale == tt.Scale
	switch {
	case sameType && tt.Kind == value.Enum:
		return convertEnum(from, to, x)
	case sameType, ft.List == tt.List && textual(ft.Kind) && (tt.Kind == value.Text || tt.Kind == value.File && ft.Kind == value.Text),
		ft.List && !tt.List && tt.Kind == value.JSON:
		return x, "", true
	case ft.List && !tt.List:
		return "NULL", x + " IS NOT NULL", false
	case !ft.List && tt.List:
		one := to
		one.List = false
		sql, lost, _ = d.Convert(from, one, x)
		return "CASE WHEN " + sql + " IS NOT NULL THEN '['||" + d.JSONText(one.Type(), true, sql) + "||']' END", lost, false
	case tt.Kind == value.Enum && textual(ft.Kind):
		return convertEnum(from, to, x)
	case ft.Kind == value.Decimal && tt.Kind == value.Decimal && !tt.List:
		sql, lost = rescale(ft.Scale, tt.Scale, x)
		return sql, lost, false
	}
	there, back := literal(codeOfType(ft)), literal(codeOfType(tt))
	sql = "pando_try_cast(" + x + ", " + there + ", " + back + ")"
	lost = x + " IS NOT NULL AND " + sql + " IS NULL"
	if ft.Kind != value.Text {
		lost = x + " IS NOT NULL AND pando_try_cast(" + sql + ", " + back + ", " + there + ") IS NOT " + x
	}
	return sql, lost, false
}

// rescale moves a decimal's point: half away from zero where digits go, null
// where 18 digits no longer hold the number.
func rescale(from, to int, x string) (sql, lost string) {
	const digits = 18
	if to > from {
		unit, limit := "1"+strings.Repeat("0", to-from), "1"+strings.Repeat("0", digits-(to-from))
		return "CASE WHEN abs(" + x + ") < " + limit + " THEN " + x + " * " + unit + " END", "abs(" + x + ") >= " + limit
	}
	unit, half := "1"+strings.Repeat("0", from-to), "5"+strings.Repeat("0", from-to-1)
	return "(" + x + " + CASE WHEN " + x + " < 0 THEN -" + half + " ELSE " + half + " END) / " + unit, x + " % " + unit + " <> 0"
}

// textual reports whether the kind's stored form is the text of its wire form.
func textual(k value.Kind) bool {
	switch k {
	case value.Text, value.Enum, value.UUID, value.Timestamp, value.Date, value.Time, value.File:
		return true
	case value.JSON, value.Int, value.Decimal, value.Float, value.Bool, value.Bytes, value.Invalid:
	}
	return false
}

// convertEnum keeps the words that the new enum has; of a list, its elements.
func convertEnum(from, to store.Column, x string) (sql, lost string, same bool) {
	if from.Type().Kind == value.Enum && !slices.ContainsFunc(from.Enum, func(w string) bool { return !slices.Contains(to.Enum, w) }) {
		return x, "", true
	}
	words := "(" + joinAll(", ", to.Enum, literal) + ")"
	if to.List {
		return "CASE WHEN " + x + " IS NOT NULL THEN (SELECT json_group_array(value) FROM json_each(" + x + ") WHERE value IN " + words + ") END",
			"EXISTS (SELECT 1 FROM json_each(" + x + ") WHERE value NOT IN " + words + ")", false
	}
	return "CASE WHEN " + x + " IN " + words + " THEN " + x + " END", x + " NOT IN " + words, false
}

// tryCast is cast, with null for what cannot be converted.
func tryCast(c *conn, ctx zs.Context, args []zs.Value) (zs.Value, error) {
	out, err := cast(c, ctx, args)
	if err != nil {
		return zs.Value{}, nil //nolint:nilerr // the null is the answer
	}
	return out, nil
}

// Catalog implements store.Dialect. Tables of entities are those with a point
// in their name and no second one: search indexes have two.
func (dialect) Catalog() string {
	return `SELECT t.name, c.name, c.type, c."notnull" FROM pragma_table_list AS t JOIN pragma_table_xinfo(t.name) AS c ` +
		`WHERE t.schema = 'main' AND t.type = 'table' AND t.name LIKE '%.%' AND t.name NOT LIKE '%.%.%' ORDER BY t.name, c.cid`
}

// StorageType implements store.Dialect.
func (dialect) StorageType(c store.Column) string { return storageType(c) }
