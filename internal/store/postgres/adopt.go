package postgres

import (
	"context"
	"slices"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/store"
)

var _ store.Adopter = (*Driver)(nil)

// Adopt implements store.Adopter.
func (d *Driver) Adopt(ctx context.Context, app *model.App) ([]store.Misfit, error) {
	var entities []*model.Entity
	for _, m := range app.Modules {
		for _, e := range m.Entities {
			if !e.Managed {
				entities = append(entities, e)
			}
		}
	}
	if len(entities) == 0 {
		d.adopted.Store(&dialect{})
		return nil, nil
	}
	a := &adoption{forms: map[*model.Field]*store.Form{}}
	err := d.Read(ctx, true, func(r store.Reader) (err error) {
		if a.catalog, err = readCatalog(r); err != nil {
			return err
		}
		if err := a.readKeys(r); err != nil {
			return err
		}
		for _, e := range entities {
			a.entity(e)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(a.misfits) == 0 {
		d.adopted.Store(&dialect{forms: a.forms})
	}
	return a.misfits, nil
}

// adoption compares a model with a catalog.
type adoption struct {
	catalog *catalog
	keys    map[tableID]*tableFacts
	forms   map[*model.Field]*store.Form
	misfits []store.Misfit
}

type tableID struct{ schema, name string }

// tableFacts are what a table's columns do not tell.
type tableFacts struct {
	unique   []string // the columns that are unique by themselves
	readable bool
}

const keysSQL = `SELECT n.nspname::text, c.relname::text, coalesce(a.attname::text,''), ` +
	`has_schema_privilege(n.oid,'USAGE') AND has_any_column_privilege(c.oid,'SELECT') ` +
	`FROM pg_class AS c JOIN pg_namespace AS n ON n.oid=c.relnamespace ` +
	`LEFT JOIN pg_index AS i ON i.indrelid=c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnkeyatts=1 ` +
	`LEFT JOIN pg_attribute AS a ON a.attrelid=c.oid AND a.attnum=i.indkey[0] ` +
	`WHERE c.relkind IN ('r','p','v','m','f') AND ` + foreignSchemas

func (a *adoption) readKeys(r store.Reader) error {
	a.keys = map[tableID]*tableFacts{}
	return r.Query(&store.Statement{SQL: keysSQL}, nil, func(row store.Row) error {
		id := tableID{text(row, 0), text(row, 1)}
		f := a.keys[id]
		if f == nil {
			f = &tableFacts{readable: row.Int(3) != 0}
			a.keys[id] = f
		}
		f.unique = append(f.unique, text(row, 2))
		return nil
	})
}

func (a *adoption) misfit(pos model.Pos, hint, format string, args ...any) {
	a.misfits = append(a.misfits, store.Misfit{Pos: pos, Message: fault.New(fault.ConfigInvalid, format, args...).Message, Hint: hint})
}

func (a *adoption) entity(e *model.Entity) {
	schema, name := e.Table.Schema, e.Table.Name
	columns := a.catalog.table(schema, name)
	if len(columns) == 0 {
		hint := "name it with table: schema.name, or make it again with `pando pull`"
		candidates, prefix := a.catalog.names(schema), schema+"."
		if len(candidates) == 0 {
			candidates, prefix, name = a.catalog.names(""), "", schema
		}
		if near := fault.Nearest(name, candidates); near != "" {
			hint = "is it " + prefix + near + "? Name it with table:"
		}
		a.misfit(e.Pos, hint, "the database has no table %s for %s, which is not managed", tableText(e), e.QualifiedName())
		return
	}
	facts := a.keys[tableID{schema, name}]
	if facts != nil && !facts.readable {
		a.misfit(e.Pos, "GRANT USAGE ON SCHEMA and SELECT ON the table to the role of the store's URL", "the database's role may not read %s", tableText(e))
		return
	}
	for _, f := range e.Fields {
		i := slices.IndexFunc(columns, func(c *column) bool { return c.name == f.Column })
		if i < 0 {
			a.missing(e, f, columns)
			continue
		}
		a.field(e, f, columns[i])
	}
	kind := columns[0].kind
	if table := kind == "r" || kind == "p"; table && facts != nil && !slices.Contains(facts.unique, e.Primary.Column) {
		a.misfit(e.Primary.Pos, "choose a column that is unique by itself as the primary field", "no unique index of %s is on %s alone, the key of %s",
			tableText(e), e.Primary.Column, e.QualifiedName())
	}
}

func tableText(e *model.Entity) string { return quote(e.Table.Schema) + "." + quote(e.Table.Name) }

func (a *adoption) missing(e *model.Entity, f *model.Field, columns []*column) {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.name
	}
	hint := "name the column with column:, or leave the field out"
	if near := fault.Nearest(f.Column, names); near != "" {
		hint = "is it " + near + "? Name it with column:"
	}
	if f == e.Primary && f.Pos == e.Pos {
		hint = "it is implied: make the field that is the table's key primary: true"
	}
	a.misfit(f.Pos, hint, "the table %s has no column %s for %s.%s", tableText(e), quote(f.Column), e.QualifiedName(), f.Name)
}

func (a *adoption) field(e *model.Entity, f *model.Field, c *column) {
	what := e.QualifiedName() + "." + f.Name
	form, ok := a.catalog.form(c, f.Type)
	if !ok {
		hint := "leave the field out: no type of field serves it"
		if t, mod, _ := a.catalog.resolve(c.typ, c.mod); t != nil {
			if natural, _, _, ok := a.catalog.natural(t, mod); ok {
				hint = "the field that serves it is type: " + natural.Kind
				if natural.List {
					hint += ", list: true"
				}
			}
		}
		a.misfit(f.Pos, hint, "%s is %s, and its column is %s", what, f.Type, c.declared)
		return
	}
	if form != nil {
		a.forms[f] = form
	}
	view := c.kind == "v" || c.kind == "m" || c.kind == "f"
	if !f.Optional && !c.notNull && (!view || f != e.Primary) {
		a.misfit(f.Pos, "add optional: true", "%s is required, and its column may be null", what)
	}
	if c.always() && !f.Generated && !e.ReadOnly {
		a.misfit(f.Pos, "add generated: true", "the database always makes the value of %s", what)
	}
}
