package openapi

import (
	"slices"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/value"
)

// filterParam is the query parameter that filters by a field. In a shared name
// it stands for the fields of that name of several entities.
func filterParam(fields []*model.Field) object {
	var lines []string
	for _, f := range fields {
		line := "Filter by `" + f.Name + "` (" + typeName(f.Type) + "): " + operators(f) + "; `not.` negates."
		if len(fields) > 1 {
			line = "In module " + f.Entity.Module.Name + ": " + line
		}
		lines = append(lines, line)
	}
	p := object{
		{"name", fields[0].Name},
		{"in", "query"},
		{"description", join(lines...)},
		{"schema", object{{"type", "string"}}},
	}
	if ex := filterExample(fields[0]); ex != "" {
		p = p.with("example", ex)
	}
	return p
}

// operators lists what a field can be compared with, as the grammar writes it.
func operators(f *model.Field) string {
	const (
		equal   = "`eq` `neq` `in.(a,b)` `isdistinct` `is.null` `is.not_null`"
		ordered = equal + " `gt` `gte` `lt` `lte`"
	)
	var s string
	switch {
	case f.Type.List:
		s = equal + " `cs.{a,b}` (contains) `cd.{a,b}` (is contained by) `ov.{a,b}` (overlaps)"
	case f.Type.Kind == value.JSON:
		s = equal + " `cs` (contains) `cd` (is contained by)" +
			"; a path such as `" + f.Name + "->key` or `" + f.Name + "->>key` filters by a part"
	case f.Type.Kind == value.Bool:
		s = ordered + " `is.true` `is.false` `is.unknown`"
	case f.Type.Kind == value.Text, f.Type.Kind == value.Enum, f.Type.Kind == value.File:
		s = ordered + " `like` `ilike` (* is any run) `match` `imatch` (regular expressions)"
	default:
		s = ordered
	}
	if slices.Contains(f.Entity.Search, f) {
		s += " `fts` `plfts` `phfts` `wfts` (full-text search)"
	}
	return s
}

// filterExample is a condition that the field's type accepts.
func filterExample(f *model.Field) string {
	v, ok := exampleScalar(f)
	if !ok {
		return ""
	}
	text := unquote(v)
	switch {
	case f.Type.Kind == value.JSON:
		return `cs.{"key":"value"}`
	case f.Type.List:
		return "cs.{" + text + "}"
	case f.Type.Kind == value.Bool:
		return "is.true"
	case f.Type.Kind == value.Text:
		return "ilike.*example*"
	case f.Type.Kind == value.Bytes:
		return "not.is.null"
	case f.Type.Kind == value.Int, f.Type.Kind == value.Float, f.Type.Kind == value.Decimal,
		f.Type.Kind == value.Timestamp, f.Type.Kind == value.Date, f.Type.Kind == value.Time:
		return "gte." + text
	}
	return "eq." + text
}

// filters are the parameters of every field that a resource can be filtered
// by, in the order of the first entity that has it.
func (r *resource) filters() [][]*model.Field {
	var out [][]*model.Field
	at := make(map[string]int)
	for _, e := range r.entities {
		for _, f := range visible(e) {
			i, seen := at[f.Name]
			if !seen {
				i = len(out)
				at[f.Name] = i
				out = append(out, nil)
			}
			out[i] = append(out[i], f)
		}
	}
	return out
}

// filterKey is the component key of a filter parameter: module.entity.field,
// or entity.field for a name that several modules share.
func (r *resource) filterKey(field string) string {
	if r.shared() {
		return componentKey(r.name, field)
	}
	return entityKey(r.entities[0], field)
}
