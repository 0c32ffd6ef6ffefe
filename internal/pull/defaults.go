package pull

import (
	"regexp"
	"strconv"

	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

var (
	quotedDefault = regexp.MustCompile(`^'((?:[^'\\]|'')*)'::[a-z_."A-Z0-9 ]+(\(\d+(,\d+)?\))?$`)
	numberDefault = regexp.MustCompile(`^\(?(-?[0-9]+(?:\.[0-9]+)?)\)?(?:::(?:numeric|integer|bigint|smallint|double precision|real)(?:\(\d+(?:,\d+)?\))?)?$`)
)

// setDefault takes a default over where the field then has the same value:
// anything else is left to the database.
func (f *field) setDefault(c *store.SurveyColumn) {
	switch {
	case c.Default == "" && !c.Made:
		return
	case c.Made:
		f.fallback = database
		return
	case f.kind == value.Timestamp && !f.list && (c.Default == "now()" || c.Default == "CURRENT_TIMESTAMP"):
		f.fallback = "now()"
		return
	}
	f.fallback = database
	if text, ok := literalDefault(f, c.Default); ok {
		f.fallback = text
		return
	}
	if f.note == "" {
		f.note = "default " + c.Default
	}
}

const database = "database()"

func literalDefault(f *field, sql string) (yaml string, ok bool) {
	if f.list || f.kind == value.JSON || f.kind == value.Bytes || f.kind == value.Timestamp || f.kind == value.Float {
		return "", false
	}
	text := ""
	if m := quotedDefault.FindStringSubmatch(sql); m != nil {
		text, ok = regexp.MustCompile(`''`).ReplaceAllString(m[1], "'"), true
	} else if m := numberDefault.FindStringSubmatch(sql); m != nil {
		text, ok = m[1], f.kind == value.Int || f.kind == value.Decimal
	} else if sql == "true" || sql == "false" {
		text, ok = sql, f.kind == value.Bool
	}
	if !ok {
		return "", false
	}
	t := value.Type{Kind: f.kind, Scale: f.scale, Values: f.values}
	if _, err := t.FromText(text); err != nil {
		return "", false
	}
	if f.kind == value.Int || f.kind == value.Decimal || f.kind == value.Bool {
		return text, true
	}
	return scalar(text), true
}

func number(n int64) string { return strconv.FormatInt(n, 10) }
