package model

import "go.yaml.in/yaml/v4"

// tableRules are what an entity says about a table that is not Pando's.
func (l *loader) tableRules(e *entityDraft) {
	raw := e.raw
	for _, k := range []struct {
		name string
		n    *yaml.Node
	}{{"table", raw.table.n}, {"read_only", raw.readOnly.n}} {
		if k.n != nil && e.Managed {
			e.file.problem(k.n, "add managed: false, or leave "+k.name+" out", "%s has %s, and its table is made by Pando", e.QualifiedName(), k.name)
		}
	}
	if e.Managed {
		return
	}
	if t := raw.table.v; t.schema.ok {
		e.Table.Schema = t.schema.v
	}
	if t := raw.table.v; t.name.ok {
		e.Table.Name = t.name.v
	}
	e.ReadOnly = raw.readOnly.v
	if raw.search.given() {
		e.file.problem(raw.search.n, "leave search out, and filter with ilike", "%s is not managed, and a search index would be a change of its table", e.QualifiedName())
	}
	columns := map[string]string{}
	for _, f := range e.Fields {
		if other, twice := columns[f.Column]; twice {
			l.report.add(f.Pos, "give one of them another column", "%s and %s of %s are both the column %s", other, f.Name, e.QualifiedName(), quote(f.Column))
		}
		columns[f.Column] = f.Name
	}
}

// databaseRules are what a field says about a column that is not Pando's.
func (l *loader) databaseRules(e *entityDraft, f *fieldDraft, what string) {
	raw := f.raw
	if raw.column.ok && !e.Managed {
		f.Column = raw.column.v
	}
	database := f.Default != nil && f.Default.Kind == DefaultDatabase
	if e.Managed {
		if database {
			e.file.problem(raw.fallback.n, "choose uuid(), now(), auth.uid, a literal or { cel: ... }",
				"database() is the default of a column that Pando did not make, and %s is managed", what)
		}
		for _, k := range []struct {
			name string
			n    *yaml.Node
		}{{"column", raw.column.n}, {"generated", raw.generated.n}} {
			if k.n != nil {
				e.file.problem(k.n, "add managed: false to the entity, or leave "+k.name+" out", "%s has %s, and its column is made by Pando", what, k.name)
			}
		}
		return
	}
	if f.Generated && raw.fallback.given() {
		e.file.problem(raw.fallback.n, "leave default out", "%s is generated: it takes no other value", what)
	}
	if f.Generated && f.OnUpdateNow {
		e.file.problem(raw.onUpdate.n, "leave on_update out", "%s is generated: it takes no other value", what)
	}
}
