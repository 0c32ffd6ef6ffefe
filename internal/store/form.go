package store

import (
	"strings"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/query"
)

// Form is how a column that Pando did not make holds its field's values: by
// another type, or under another collation. Conditions name the column itself
// where they can, so that its indexes serve; all else names its value, and
// means the same on every column. A field without a Form is stored as Pando
// stores its type, which costs nothing.
type Form struct {
	// Read is the value, of the field's type, of a column.
	Read func(column string) string
	// Write is what is stored for a bare placeholder of [Dialect.Param].
	Write func(param string) string
	// Key is what the column itself is compared with for a value; nil: with
	// nothing, its values are compared.
	Key func(param string) string
	// In is column IN over a parameter that holds a list; set where Key is.
	In func(column, list string) string
	// Ordered: the column's order is that of the values.
	Ordered bool
	// Loose: the column takes more for equal than the values are.
	Loose bool
	// Class: columns of one class are compared with each other as they are.
	Class string
}

// OwnClass is the class of the columns that hold a kind as Pando does.
func OwnClass(f *model.Field) string { return "own " + f.Type.Kind.String() }

func class(f *model.Field, form *Form) string {
	if form == nil {
		return OwnClass(f)
	}
	return form.Class
}

// table is the quoted name of an entity's table.
func table(d Dialect, e *model.Entity) string { return d.Table(e.Table.Schema, e.Table.Name) }

// read is a field's value in a row of its table, which an alias names.
func read(d Dialect, alias string, f *model.Field) string {
	column := d.Ident(f.Column)
	if alias != "" {
		column = alias + "." + column
	}
	if form := d.Form(f); form != nil {
		return form.Read(column)
	}
	return column
}

// write is what is stored for a field's placeholder.
func write(d Dialect, f *model.Field, param string) string {
	if form := d.Form(f); form != nil {
		return form.Write(param)
	}
	return param
}

// equals is the condition that a stored field, of a column's SQL name, is the
// value of a placeholder.
func equals(d Dialect, f *model.Field, column string, n int) string {
	form := d.Form(f)
	switch {
	case form == nil:
		return column + "=" + d.Param(n)
	case form.Key == nil:
		return form.Read(column) + "=" + d.TypedParam(n, f.Type)
	case form.Loose:
		return "(" + column + "=" + form.Key(d.Param(n)) + " AND " + form.Read(column) + "=" + d.TypedParam(n, f.Type) + ")"
	}
	return column + "=" + form.Key(d.Param(n))
}

// ByKey is a statement that finds the row of a key, its one parameter, and
// answers fields of it; without any, that it is there.
func (pl *Planner) ByKey(e *model.Entity, fields ...*model.Field) *Statement {
	cols := []string{"1"}
	for i, f := range fields {
		if i == 0 {
			cols = cols[:0]
		}
		cols = append(cols, read(pl.Dialect, "", f))
	}
	return &Statement{SQL: "SELECT " + strings.Join(cols, ",") + pl.having(e, []*model.Field{e.Primary})}
}

// Having is a statement that answers 1 for each row with the values of fields,
// its parameters.
func (pl *Planner) Having(e *model.Entity, fields []*model.Field) *Statement {
	return &Statement{SQL: "SELECT 1" + pl.having(e, fields)}
}

func (pl *Planner) having(e *model.Entity, fields []*model.Field) string {
	conds := make([]string, len(fields))
	for i, f := range fields {
		conds[i] = equals(pl.Dialect, f, pl.Dialect.Ident(f.Column), i+1)
	}
	return " FROM " + table(pl.Dialect, e) + " WHERE " + strings.Join(conds, " AND ")
}

// form is how a field of the level is stored; nil where a new value stands for
// it, too.
func (l *level) form(f *model.Field) *Form {
	if _, given := l.given[f]; given {
		return nil
	}
	return l.c.d.Form(f)
}

// equal is the condition that a field of this level equals one of another: by
// the columns themselves, which have indexes, where the database compares them
// as their values.
func (l *level) equal(f *model.Field, m *level, g *model.Field) string {
	a, b := l.form(f), m.form(g)
	if a == nil && b == nil {
		return l.col(f) + "=" + m.col(g)
	}
	_, fGiven := l.given[f]
	_, gGiven := m.given[g]
	switch {
	case fGiven && b.Key != nil && !b.Loose:
		return b.Key(l.col(f)) + "=" + m.qualified(g.Column)
	case gGiven && a.Key != nil && !a.Loose:
		return l.qualified(f.Column) + "=" + a.Key(m.col(g))
	case !fGiven && !gGiven && class(f, a) == class(g, b):
		return l.qualified(f.Column) + "=" + m.qualified(g.Column)
	}
	return l.col(f) + "=" + m.col(g)
}

// stored compiles a comparison with a literal by the column itself. ok is
// false where the values have to be compared.
func (l *level) stored(op query.Op, x, y operand) (sql string, ok bool) {
	form := x.form
	if form == nil || form.Key == nil || y.literal == nil || form.Loose && op != query.Eq {
		return "", false
	}
	switch op {
	case query.Eq, query.Neq, query.IsDistinct:
	case query.Gt, query.Gte, query.Lt, query.Lte:
		if !form.Ordered {
			return "", false
		}
	default:
		return "", false
	}
	typed := l.typed(y, x.typ, x.ref) // its parameter is the last one
	cond := l.binary(op, x.column, form.Key(l.c.d.Param(len(l.c.params))))
	if form.Loose {
		cond = "(" + cond + " AND " + x.sql + "=" + typed.sql + ")"
	}
	return cond, true
}

// ordered completes a term of an order: by the column itself where that is the
// order of its values.
func (l *level) ordered(t term, column string, form *Form) term {
	if form == nil || !form.Ordered || form.Key == nil || l.aggregated {
		return t
	}
	t.value, t.sql, t.key = t.sql, column, form.Key
	return t
}
