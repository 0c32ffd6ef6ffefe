package openapi

import (
	"cmp"
	"slices"
	"strings"

	"github.com/pandobase/pando/internal/model"
)

// resource is one path of the door: a name, and the entities that answer to
// it. More than one entity has the name when several modules use it; the
// profile header then says which one is meant.
type resource struct {
	name     string
	entities []*model.Entity // by module; at least one
	// owner answers when no profile is given: the only one, or the one that
	// pando.lock says was the first; nil: a profile is required.
	owner *model.Entity
}

// writable reports whether one of the entities is changed through the door.
func (r *resource) writable() bool {
	return slices.ContainsFunc(r.entities, func(e *model.Entity) bool { return !e.ReadOnly })
}

// shared reports whether the profile header is needed to tell entities apart.
func (r *resource) shared() bool { return len(r.entities) > 1 }

// resources groups the entities that have a door by name, in the order of the
// names. An internal entity does not count, not even against uniqueness.
func resources(app *model.App) []*resource {
	byName := make(map[string]*resource)
	var out []*resource
	for _, m := range app.Modules {
		for _, e := range m.Entities {
			if e.Internal {
				continue
			}
			r := byName[e.Name]
			if r == nil {
				r = &resource{name: e.Name}
				byName[e.Name] = r
				out = append(out, r)
			}
			r.entities = append(r.entities, e)
		}
	}
	for _, r := range out {
		slices.SortFunc(r.entities, func(a, b *model.Entity) int { return cmp.Compare(a.Module.Name, b.Module.Name) })
		r.owner = app.Entity("", r.name)
	}
	slices.SortFunc(out, func(a, b *resource) int { return cmp.Compare(a.name, b.name) })
	return out
}

// modules lists the modules that have an entity with a door, by name.
func modules(app *model.App) []*model.Module {
	var out []*model.Module
	for _, m := range app.Modules {
		if slices.ContainsFunc(m.Entities, func(e *model.Entity) bool { return !e.Internal }) {
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(a, b *model.Module) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// visible lists the fields that leave through the door.
func visible(e *model.Entity) []*model.Field {
	out := make([]*model.Field, 0, len(e.Fields))
	for _, f := range e.Fields {
		if !f.Hidden {
			out = append(out, f)
		}
	}
	return out
}

// componentKey joins names to a key that OpenAPI allows for components
// (letters, digits, - and _), with dots between; other bytes become -XX, so
// that different names never meet.
func componentKey(names ...string) string {
	var b strings.Builder
	for i, n := range names {
		if i > 0 {
			b.WriteByte('.')
		}
		for j := range len(n) {
			c := n[j]
			switch {
			case c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z':
				b.WriteByte(c)
			default:
				const digits = "0123456789ABCDEF"
				b.WriteByte('-')
				b.WriteByte(digits[c>>4])
				b.WriteByte(digits[c&15])
			}
		}
	}
	return b.String()
}

// entityKey is the component key of an entity's parts.
func entityKey(e *model.Entity, parts ...string) string {
	return componentKey(append([]string{e.Module.Name, e.Name}, parts...)...)
}

// ref is a reference to a component.
func ref(kind, key string) object { return object{{"$ref", "#/components/" + kind + "/" + key}} }
