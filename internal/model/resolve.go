package model

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/pandobase/pando/internal/fault"
)

// resolve gives every declared name its meaning and checks the rest of the
// language's rules. Each step uses what the ones before it made.
func (l *loader) resolve() {
	drafts := map[*Entity]*entityDraft{}
	l.each(func(e *entityDraft) { drafts[e.Entity] = e })
	l.each(l.primary)
	l.each(func(e *entityDraft) {
		for _, f := range e.fields {
			l.reference(e, f)
		}
	})
	l.each(func(e *entityDraft) {
		for _, f := range e.fields {
			l.fieldType(drafts, e, f)
		}
	})
	l.each(func(e *entityDraft) {
		for _, f := range e.fields {
			l.fieldRules(e, f)
		}
		l.entityRules(e)
	})
	l.relations()
	l.each(l.partition)
	l.partitionedRefs()
	l.checkTypeNames()
	for _, f := range l.files {
		l.events(f)
	}
	for _, f := range l.files {
		l.work(f)
	}
	for _, f := range l.files {
		l.calls(f)
		l.outside(f)
	}
}

func (l *loader) each(visit func(*entityDraft)) {
	for _, f := range l.files {
		for _, e := range f.entities {
			visit(e)
		}
	}
}

// primary finds the entity's key, or adds the implied one as its first field.
func (l *loader) primary(e *entityDraft) {
	for _, f := range e.fields {
		if !f.Primary {
			continue
		}
		if e.Primary != nil {
			e.file.problem(f.raw.primary.n, "make the others unique: unique: [["+e.Primary.Name+", "+f.Name+"]]",
				"%s has two primary keys, %s and %s; a primary key is a single field", e.QualifiedName(), e.Primary.Name, f.Name)
			continue
		}
		e.Primary = f.Field
	}
	if e.Primary != nil {
		return
	}
	key := impliedKey(e.Entity)
	if other := e.Entity.fields[key.Name]; other != nil {
		l.report.add(other.Pos, "add primary: true, or call it something else", "%s has a field id that is not its primary key", e.QualifiedName())
		e.Primary = other
		return
	}
	e.Primary = key
	e.Fields = slices.Insert(e.Fields, 0, key)
	e.Entity.fields[key.Name] = key
}

// find returns the entity that a file's text names, or nil with the reason
// reported.
func (l *loader) find(f *moduleFile, n *yaml.Node, name string) *Entity {
	module, entity, qualified := strings.Cut(name, ".")
	if !qualified {
		module, entity = f.module.Name, name
	}
	m := l.app.modules[module]
	if m == nil {
		if l.unknown[module] {
			return nil
		}
		modules := make([]string, 0, len(l.app.Modules))
		for _, m := range l.app.Modules {
			modules = append(modules, m.Name)
		}
		f.problem(n, nearest(module, modules), "unknown module %s", quote(module))
		return nil
	}
	if e := m.entities[entity]; e != nil {
		return e
	}
	f.problem(n, l.nearestEntity(f, m, entity, qualified), "the module %s has no entity %s", module, quote(entity))
	return nil
}

// nearestEntity is the hint for an entity that is not there: one of the same
// name elsewhere, else one of a similar name.
func (l *loader) nearestEntity(f *moduleFile, m *Module, name string, qualified bool) string {
	for _, other := range l.app.Modules {
		if other.entities[name] != nil {
			return nearest(other.Name+"."+name, []string{other.Name + "." + name})
		}
	}
	own := make([]string, 0, len(m.Entities))
	for _, e := range m.Entities {
		own = append(own, e.Name)
	}
	if near := fault.Nearest(name, own); near != "" {
		if qualified {
			near = m.Name + "." + near
		}
		return nearest(near, []string{near})
	}
	var all []string
	for _, other := range l.app.Modules {
		for _, e := range other.Entities {
			all = append(all, e.QualifiedName())
		}
	}
	if !qualified {
		name = f.module.Name + "." + name
	} else {
		name = m.Name + "." + name
	}
	return nearest(name, all)
}

// field returns the entity's field of that name, or nil with the reason
// reported.
func (l *loader) field(e *entityDraft, a at[string]) *Field {
	if !a.ok {
		return nil
	}
	if f := e.Entity.fields[a.v]; f != nil {
		return f
	}
	e.file.problem(a.n, nearest(a.v, e.fieldNames()), "%s has no field %s", e.QualifiedName(), quote(a.v))
	return nil
}

func (e *Entity) fieldNames() []string {
	out := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		out[i] = f.Name
	}
	return out
}

// reference resolves ref: and the keys that go with it.
func (l *loader) reference(e *entityDraft, f *fieldDraft) {
	raw := f.raw
	if !raw.ref.given() {
		for _, k := range []struct {
			name string
			a    at[string]
		}{{"as", raw.as}, {"inverse", raw.inverse}, {"on_delete", raw.onDelete}, {"link", raw.link}} {
			if k.a.given() {
				e.file.problem(k.a.n, "add ref: ENTITY, or leave "+k.name+" out", "%s.%s has %s but is no reference", e.QualifiedName(), f.Name, k.name)
			}
		}
		return
	}
	if !raw.ref.ok {
		return
	}
	target := l.find(e.file, raw.ref.n, raw.ref.v)
	if target == nil {
		return
	}
	// A foreign key of Pando's would change the other table too.
	outward := e.Managed && !target.Managed && !e.raw.partition.given()
	ref := &Ref{Target: target, Inverse: raw.inverse.v, OnDelete: Restrict, Loose: raw.link.ok || outward, Pos: e.file.pos(raw.ref.n)}
	f.Ref = ref
	relation, ends := strings.CutSuffix(f.Name, "_id")
	switch {
	case raw.as.ok:
		ref.Relation = raw.as.v
	case ends && relation != "":
		ref.Relation = relation
	default:
		ref.Relation = f.Name
		e.file.problem(raw.ref.n, "name it with as: NAME, or call the field "+f.Name+"_id",
			"the relation of %s.%s has no name, for the field does not end in _id", e.QualifiedName(), f.Name)
	}
	switch {
	case raw.onDelete.ok:
		ref.OnDelete = OnDelete(raw.onDelete.v)
	case !raw.onDelete.given() && target.Module.Builtin:
		e.file.problem(raw.ref.n, "write on_delete: cascade, restrict or set_null", "what happens to %s when a user is deleted must be written", e.QualifiedName())
	}
	if ref.OnDelete == SetNull && !f.Optional {
		e.file.problem(raw.onDelete.n, "add optional: true, or choose restrict or cascade", "on_delete: set_null needs an optional field")
	}
}

// checkTypeNames refuses two entities whose module and name run together to
// the same word, which names their GraphQL type and their table.
func (l *loader) checkTypeNames() {
	seen := map[string]*Entity{}
	for _, m := range l.app.Modules {
		for _, e := range m.Entities {
			name := m.Name + "_" + e.Name
			if other := seen[name]; other != nil {
				l.report.add(e.Pos, "rename one of them", "%s and %s (%s) would both be called %s", e.QualifiedName(), other.QualifiedName(), other.Pos, name)
			}
			seen[name] = e
		}
	}
}
