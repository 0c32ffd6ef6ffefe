package transfer

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
)

// The columns that a file of bad rows has beside the rows' own. No field can
// have their names, and an import passes over them, so that such a file can be
// corrected and imported as it is.
const (
	lineColumn   = "_line"
	codeColumn   = "_code"
	reasonColumn = "_reason"
)

// skipped is the place of a column that is left out.
const skipped = -1

// mapping finds the field for each of a file's columns.
type mapping struct {
	entity   *model.Entity
	writable []string
	given    map[string]string // file column -> field
}

func newMapping(e *model.Entity, guard policy.Guard, given map[string]string) (*mapping, error) {
	m := &mapping{entity: e, given: given}
	for _, f := range e.Fields {
		if guard.Writable(f, query.Create) {
			m.writable = append(m.writable, f.Name)
		}
	}
	if len(m.writable) == 0 { // the rule says why
		if _, err := guard.Filter(policy.Use{Entity: e, Rule: policy.RuleCreate}); err != nil {
			return nil, err
		}
	}
	for _, column := range slices.Sorted(maps.Keys(given)) {
		to := given[column]
		if to == "" || to == "-" || slices.Contains(m.writable, to) {
			continue
		}
		f := fault.New(fault.UnknownInput, "%s has no field %q, to which the column %q is mapped", e.QualifiedName(), to, column)
		if near := fault.Nearest(to, m.writable); near != "" {
			return nil, f.WithHint("--map %s", pair(column, near))
		}
		return nil, f.WithHint("it has %s", strings.Join(m.writable, ", "))
	}
	return m, nil
}

// field returns the field that a column goes to; "" leaves it out.
func (m *mapping) field(column string) (name string, known bool) {
	if to, ok := m.given[column]; ok {
		if to == "-" {
			to = ""
		}
		return to, true
	}
	switch column {
	case lineColumn, codeColumn, reasonColumn:
		return "", true
	}
	return column, slices.Contains(m.writable, column)
}

// header finds the fields of a file's columns: their names without those that
// are left out, and for each column its place among them.
func (m *mapping) header(columns []string) (fields []string, place []int, err error) {
	var unknown []string
	from := map[string]string{}
	for i, column := range columns {
		name, known := m.field(column)
		if slices.Contains(columns[:i], column) {
			return nil, nil, fault.New(fault.DuplicateField, "the file has the column %q twice", column)
		}
		switch {
		case !known:
			unknown = append(unknown, column)
		case name == "":
			place = append(place, skipped)
			continue
		case from[name] != "":
			return nil, nil, fault.New(fault.DuplicateField, "the columns %q and %q both go to the field %q", from[name], column, name).
				WithHint("leave one out: --map %s", pair(column, "-"))
		}
		from[name] = column
		place = append(place, len(fields))
		fields = append(fields, name)
	}
	if len(unknown) > 0 {
		return nil, nil, m.unknown(unknown)
	}
	for _, column := range slices.Sorted(maps.Keys(m.given)) {
		if !slices.Contains(columns, column) {
			f := fault.New(fault.UnknownInput, "the file has no column %q, which is mapped to %q", column, m.given[column])
			if near := fault.Nearest(column, columns); near != "" {
				return nil, nil, f.WithHint("did you mean --map %s?", pair(near, m.given[column]))
			}
			return nil, nil, f.WithHint("it has %s", strings.Join(columns, ", "))
		}
	}
	if len(fields) == 0 {
		return nil, nil, fault.New(fault.UnknownInput, "no column of the file goes to a field of %s", m.entity.QualifiedName())
	}
	return fields, place, nil
}

// unknown names every column that is no field, with the option that settles
// them all.
func (m *mapping) unknown(columns []string) *fault.Error {
	pairs := make([]string, len(columns))
	quoted := make([]string, len(columns))
	for i, c := range columns {
		quoted[i] = strconv.Quote(shorten(c))
		near := fault.Nearest(c, m.writable)
		if near == "" || slices.Contains(columns, near) {
			near = "-"
		}
		pairs[i] = pair(shorten(c), near)
	}
	f := fault.New(fault.UnknownInput, "%s has no field %s", m.entity.QualifiedName(), quoted[0])
	if len(columns) > 1 {
		f.Message = m.entity.QualifiedName() + " has no fields " + strings.Join(quoted, ", ")
	}
	f.WithDetails("its fields are %s", strings.Join(m.writable, ", "))
	if len(columns) == 1 {
		for _, sep := range []string{";", "\t", "|"} {
			if strings.Contains(columns[0], sep) {
				return f.WithHint("cells are separated by commas here, not by %q", sep)
			}
		}
	}
	return f.WithHint("say where they go, - leaves a column out: --map %s", strings.Join(pairs, ","))
}

// pair writes one assignment of --map, quoted where a shell or the option's
// own grammar would take it apart.
func pair(column, field string) string {
	if strings.ContainsAny(column, " ,=\"'$`\\|&;<>()*?!#~\t") || column == "" {
		return strconv.Quote(column + "=" + field)
	}
	return column + "=" + field
}

// shorten cuts what a file holds for a message.
func shorten(s string) string {
	const most = 60 // bytes
	if len(s) > most {
		s = s[:most] + "..."
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
