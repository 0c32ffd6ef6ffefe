package model

import (
	"slices"
	"strings"
)

// View is an application as one version of its API shows it: which entities,
// fields and operations there are, and what they are called. It shares the
// model and holds only what differs from it. It is immutable and safe for
// concurrent use.
//
// A thing is there from the version of its `since` on; an older version has it
// under its former name (`was`), and has not where there is none. `was` without
// `since` renames in the newest version. After the version of its `until` it is
// not there any more.
type View struct {
	App     *App
	Version string

	number int
	// What differs, and nothing else. An empty name hides the thing.
	entities   map[*Entity]string
	fields     map[*Field]string
	operations map[*Operation]string
	differs    map[*Entity]bool // that has another name, or a field that has
	found      map[*Module]map[string]*Entity
	loose      map[string]*Entity // by name alone
	members    map[*Entity]map[string]*Field
}

// View returns a version of the application, or nil where it serves none of
// that name.
func (a *App) View(version string) *View {
	for _, v := range a.views {
		if v.Version == version {
			return v
		}
	}
	return nil
}

// Latest is the newest version of the application. One that was not loaded has v1
// alone.
func (a *App) Latest() *View {
	if len(a.views) == 0 {
		return &View{App: a, Version: "v1", number: 1}
	}
	return a.views[len(a.views)-1]
}

// newViews makes the view of each version.
func (a *App) newViews() {
	versions := a.Config.Versions
	a.views = make([]*View, len(versions))
	for i, version := range versions {
		a.views[i] = a.newView(version, versions[len(versions)-1])
	}
}

func (a *App) newView(version, latest string) *View {
	v := &View{App: a, Version: version, number: versionNumber(version)}
	named := func(l *Lifespan, name string) (string, bool) {
		now := l.nameIn(name, v.number, versionNumber(latest))
		return now, now != name
	}
	for _, m := range a.Modules {
		for _, e := range m.Entities {
			if name, other := named(&e.Lifespan, e.Name); other {
				put(&v.entities, e, name)
				put(&v.differs, e, true)
			}
			for _, f := range e.Fields {
				if name, other := named(&f.Lifespan, f.Name); other {
					put(&v.fields, f, name)
					put(&v.differs, e, true)
				}
			}
		}
		for _, o := range m.Operations {
			if name, other := named(&o.Lifespan, o.Name); other {
				put(&v.operations, o, name)
			}
		}
	}
	v.index()
	return v
}

func put[K comparable, V any](m *map[K]V, k K, val V) {
	if *m == nil {
		*m = map[K]V{}
	}
	(*m)[k] = val
}

// index finds by name what differs. A name that this version gives to another
// thing is that one's.
func (v *View) index() {
	for e := range v.entities {
		m := v.found[e.Module]
		put(&m, e.Name, nil)
		put(&v.found, e.Module, m)
		if v.App.unqualified[e.Name] == e {
			put(&v.loose, e.Name, nil)
		}
	}
	for e, name := range v.entities {
		if name == "" {
			continue
		}
		v.found[e.Module][name] = e
		if owner := v.App.Lock.Owners[name]; v.App.unqualified[e.Name] == e || owner == e.Module.Name {
			put(&v.loose, name, e)
		}
	}
	for e := range v.differs {
		var members map[string]*Field
		for _, f := range e.Fields {
			if _, other := v.fields[f]; other {
				put(&members, f.Name, nil)
			}
		}
		for _, f := range e.Fields {
			if name := v.fields[f]; name != "" {
				put(&members, name, f)
			}
		}
		if members != nil {
			put(&v.members, e, members)
		}
	}
}

// nameIn is what the thing is called in a version; empty: it is not there.
func (l *Lifespan) nameIn(name string, version, latest int) string {
	since := versionNumber(l.Since)
	if since == 0 && l.Was != "" {
		since = latest
	}
	switch {
	case l.Until != "" && version > versionNumber(l.Until):
		return ""
	case version < since:
		return l.Was
	}
	return name
}

// Plain reports whether the version shows everything just as the model has it.
func (v *View) Plain() bool { return v.entities == nil && v.differs == nil && v.operations == nil }

// Same reports whether the version shows an entity just as the model has it.
func (v *View) Same(e *Entity) bool { return !v.differs[e] }

// Entity is [App.Entity] by the names of the version.
func (v *View) Entity(module, name string) *Entity {
	if module == "" {
		if e, ok := v.loose[name]; ok {
			return e
		}
		return v.App.Entity("", name)
	}
	m := v.App.modules[module]
	if m == nil {
		return nil
	}
	if e, ok := v.found[m][name]; ok {
		return e
	}
	return m.entities[name]
}

// EntityName is what the version calls an entity; false: it has none such.
func (v *View) EntityName(e *Entity) (string, bool) {
	name, other := v.entities[e]
	if !other {
		name = e.Name
	}
	return name, name != ""
}

// Field is [Entity.Field] by the names of the version.
func (v *View) Field(e *Entity, name string) *Field {
	if f, other := v.members[e][name]; other {
		return f
	}
	return e.fields[name]
}

// FieldName is what the version calls a field; false: it has none such.
func (v *View) FieldName(f *Field) (string, bool) {
	name, other := v.fields[f]
	if !other {
		name = f.Name
	}
	return name, name != ""
}

// RelationName is what the version calls a relation; false: it has none such,
// as it has not the field that makes it, or the entity that it leads to.
func (v *View) RelationName(r *Relation) (string, bool) {
	ref, there := v.FieldName(r.Ref)
	to, shown := v.EntityName(r.To)
	if !there || !shown {
		return "", false
	}
	if r.Via != nil {
		if _, there = v.FieldName(r.ViaLocal); !there {
			return "", false
		}
		if _, there = v.EntityName(r.Via); !there {
			return "", false
		}
	}
	switch {
	case r.Cardinality == ToOne && r.Name == strings.TrimSuffix(r.Ref.Name, "_id"):
		return strings.TrimSuffix(ref, "_id"), true
	case r.Cardinality != ToOne && r.Name == r.To.Name:
		return to, true
	}
	return r.Name, true
}

// Relation returns the ways from an entity that the version calls by a name.
func (v *View) Relation(e *Entity, name string) []*Relation {
	var out []*Relation
	for _, r := range e.Relations {
		if n, there := v.RelationName(r); there && n == name {
			out = append(out, r)
		}
	}
	return out
}

// Operation is [Module.Operation] by the names of the version.
func (v *View) Operation(m *Module, name string) *Operation {
	i := slices.IndexFunc(m.Operations, func(o *Operation) bool {
		n, there := v.OperationName(o)
		return there && n == name
	})
	if i < 0 {
		return nil
	}
	return m.Operations[i]
}

// OperationName is what the version calls an operation; false: it has none such.
func (v *View) OperationName(o *Operation) (string, bool) {
	name, other := v.operations[o]
	if !other {
		name = o.Name
	}
	return name, name != ""
}
