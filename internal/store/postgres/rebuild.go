package postgres

import (
	"slices"

	"github.com/pandobase/pando/internal/store"
)

// shadow is a column that is filled with another one's converted values while
// others write, and takes its place in the transaction.
type shadow struct{ field, name string }

// rebuild changes types, nullability and references of a table.
func (a *alteration) rebuild(c store.Change) {
	t, old := c.Table, c.Old
	alter := "ALTER TABLE " + tableName(t)
	var shadows []shadow
	a.lock(c)
	a.release(c)
	for _, col := range t.Columns {
		was := old.Column(col.Name)
		switch {
		case was == nil:
			a.addColumn(t, col)
		case !a.large(t):
			a.sql(rebuildColumn(alter, c, col)...)
		case !converted(c, *was, col):
			a.tighten(t, *was, col)
		default:
			shadows = append(shadows, a.convert(c, *was, col))
		}
	}
	a.reindex(t, shadows)
	a.references(c)
}

// converted reports whether a column's stored form changes.
func converted(c store.Change, was, col store.Column) bool {
	_, ok := c.Convert[col.Name]
	return ok || columnType(was) != columnType(col)
}

// conversion is what a column's values become, x being where they are read.
func (a *alteration) conversion(was, col store.Column, x string) string {
	sql := x + "::" + typeName(col.Type())
	if was.Kind != col.Kind || was.List != col.List || was.Scale != col.Scale || !slices.Equal(was.Enum, col.Enum) {
		if by, _, same := a.d.Convert(was, col, x); !same {
			sql = by
		}
	}
	if def := columnDefault(col); def != "" && col.NotNull {
		sql = "coalesce(" + sql + ", " + def + ")"
	}
	return sql
}

// lock tells that a large table has to be rewritten under a lock: the type of a
// key and those of the references to it change in one moment.
func (a *alteration) lock(c store.Change) {
	for _, fk := range c.Table.Refs {
		if c.Table.Partition != nil && a.large(c.Table) && !slices.Contains(c.Old.Refs, fk) {
			a.Locks = dividedReference(c.Table, fk.Column)
		}
	}
	for _, col := range c.Table.Columns {
		was := c.Old.Column(col.Name)
		if was != nil && a.large(c.Table) && converted(c, *was, col) && bound(c, col.Name) {
			a.Locks = c.Table.QualifiedName() + "." + col.Name + " is a key or a reference, which cannot change its type aside"
		}
	}
}

// dividedReference is why a reference of a divided table takes a lock:
// PostgreSQL adds it to all partitions checked, or not at all.
func dividedReference(t *store.Table, column string) string {
	return t.QualifiedName() + "." + column + " refers to another table, which PostgreSQL checks at once where the table is divided"
}

// bound reports whether a column is a key that others refer to, or refers.
func bound(c store.Change, column string) bool {
	return slices.Contains(c.Table.PrimaryKey(), column) || slices.ContainsFunc(c.Table.Refs, func(fk store.ForeignKey) bool { return slices.Contains(fk.Columns(), column) })
}

// release drops the references that go, and those that cannot stay while a
// type changes: both sides get theirs back at the end of the transaction.
func (a *alteration) release(c store.Change) {
	t := c.Table
	alter := "ALTER TABLE " + tableName(t)
	for _, fk := range c.Old.Refs {
		gone := !slices.ContainsFunc(t.Refs, func(o store.ForeignKey) bool { return o.Column == fk.Column })
		if col := t.Column(fk.Column); gone || !a.large(t) || col != nil && converted(c, *c.Old.Column(fk.Column), *col) {
			a.sql(alter + " DROP CONSTRAINT IF EXISTS " + quote(t.Entity+"_"+fk.Column+"_fkey"))
		}
	}
	key, was := t.Column(t.Primary), c.Old.Column(t.Primary)
	if key == nil || was == nil || columnType(*key) == columnType(*was) {
		return
	}
	a.sql("DO " + literal("DECLARE r record; BEGIN FOR r IN SELECT conrelid::regclass AS t, conname AS n FROM pg_constraint WHERE contype='f' AND confrelid="+
		literal(tableName(t))+"::regclass LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', r.t, r.n); END LOOP; END"))
}

// tighten changes whether a column may be null, and its default.
func (a *alteration) tighten(t *store.Table, was, col store.Column) {
	column := "ALTER TABLE " + tableName(t) + " ALTER COLUMN " + quote(col.Name)
	def := columnDefault(col)
	if col.Name == t.Primary {
		def = ""
	}
	required := col.NotNull && !was.NotNull
	switch {
	case required && def != "":
		// Rows that are written between the two fills and the check are few,
		// and only an older release writes nulls.
		fill := a.fill(t, col.Name, quote(col.Name)+"="+def, quote(col.Name)+" IS NULL")
		a.before(&stage{title: t.QualifiedName() + "." + col.Name + " has a default", brief: []string{column + " SET DEFAULT " + def}}, fill)
		a.sql(setNotNull(t, col.Name, a.required(t, col.Name, col.Name, fill))...)
	case required:
		a.sql(setNotNull(t, col.Name, a.required(t, col.Name, col.Name))...)
	case def != "":
		a.sql(column + " SET DEFAULT " + def)
	}
	if !col.NotNull && was.NotNull {
		a.sql(column + " DROP NOT NULL")
	}
}

// convert makes the shadow of a column. A trigger keeps it in step with what
// is written to the column.
func (a *alteration) convert(c store.Change, was, col store.Column) shadow {
	t := c.Table
	alter := "ALTER TABLE " + tableName(t)
	by := a.conversion(was, col, quote(col.Name))
	s := shadow{col.Name, temporary("column", tableName(t), col.Name, columnType(col), by)}
	name := quote(s.name)
	function := quote(t.Module) + "." + name
	body := "BEGIN NEW." + name + " := " + a.conversion(was, col, "NEW."+quote(col.Name)) + "; RETURN NEW; END"
	full := t.QualifiedName() + "." + col.Name
	a.before(&stage{
		title: "make room for " + full, done: columnExists(t, s.name),
		brief: []string{
			alter + " ADD COLUMN " + name + " " + columnType(col),
			"CREATE OR REPLACE FUNCTION " + function + "() RETURNS trigger LANGUAGE plpgsql AS " + literal(body),
			"CREATE TRIGGER " + name + " BEFORE INSERT OR UPDATE ON " + tableName(t) + " FOR EACH ROW EXECUTE FUNCTION " + function + "()",
		},
	}, &stage{title: "convert " + full, fill: &fill{
		table: c.Old, set: name + "=" + by, where: name + " IS DISTINCT FROM " + by, rows: a.rows(t),
	}})
	required := ""
	if col.NotNull {
		required = a.required(t, col.Name, s.name)
	}
	a.sql(
		"DROP TRIGGER "+name+" ON "+tableName(t), "DROP FUNCTION "+function+"()",
		alter+" DROP COLUMN "+quote(col.Name), // with the indexes on it
		alter+" RENAME COLUMN "+name+" TO "+quote(col.Name))
	if def := columnDefault(col); def != "" {
		a.sql(alter + " ALTER COLUMN " + quote(col.Name) + " SET DEFAULT " + def)
	}
	if col.NotNull {
		a.sql(setNotNull(t, col.Name, required)...)
	}
	return s
}

// reindex makes the indexes on shadows ahead, and gives them their names.
func (a *alteration) reindex(t *store.Table, shadows []shadow) {
	each := func(keys []store.KeyColumns, unique bool) {
		for _, k := range keys {
			over := store.KeyColumns{Columns: slices.Clone(k.Columns)}
			for i, column := range over.Columns {
				for _, s := range shadows {
					if s.field == column {
						over.Columns[i] = s.name
					}
				}
			}
			if !slices.Equal(over.Columns, k.Columns) {
				a.sql(renameIndex(t, a.build(t, over, unique), k.Name))
			}
		}
	}
	each(t.Unique, true)
	each(t.Index, false)
}

// references adds those that are new or differ. The one that it replaces goes
// when the new one has been checked, so that no moment is without.
func (a *alteration) references(c store.Change) {
	t := c.Table
	for _, fk := range t.Refs {
		was := slices.IndexFunc(c.Old.Refs, func(o store.ForeignKey) bool { return o.Column == fk.Column })
		name := t.Entity + "_" + fk.Column + "_fkey"
		old := c.Old.Column(fk.Column)
		switch {
		case old == nil: // addColumn has seen to it
		case !a.large(t) || converted(c, *old, *t.Column(fk.Column)):
			a.sql(pending(t, fk.Column)...)
		case was < 0 || c.Old.Refs[was] != fk:
			definition := "FOREIGN KEY (" + joinAll(fk.Columns(), quote) + ") " + references(fk)
			own := temporary("reference", tableName(t), definition)
			a.before(constrain(t.QualifiedName()+"."+fk.Column+" refers to "+fk.TargetModule+"."+fk.TargetEntity, t, own, definition)...)
			alter := "ALTER TABLE " + tableName(t)
			if was >= 0 {
				a.sql(alter + " DROP CONSTRAINT IF EXISTS " + quote(name))
			}
			a.sql(alter + " RENAME CONSTRAINT " + quote(own) + " TO " + quote(name))
		}
	}
}
