package store

import (
	"fmt"
	"strings"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
)

// relation finds the way from e that an embed names: by the relation's name,
// then by the other entity's name, then by the referring field; a hint (a
// relation of either side, the referring field, its foreign key's name or the
// entity between) chooses among several. A relation whose foreign key the
// caller does not see is not there.
func (l *level) relation(name, hint string) (*model.Relation, error) {
	e := l.e
	found := l.match(hint, func(r *model.Relation) bool { return r.Name == name })
	if len(found) == 0 {
		found = l.match(hint, func(r *model.Relation) bool { return r.To.Name == name })
	}
	if len(found) == 0 {
		found = l.match(hint, func(r *model.Relation) bool { return r.Cardinality == model.ToOne && r.Local.Name == name })
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, l.noRelation(name, hint)
	}
	var ways, names []string
	for _, r := range found {
		ways = append(ways, describe(r))
		names = append(names, "'"+name+"!"+r.Name+"'")
	}
	return nil, fault.New(fault.AmbiguousRelation, "Could not embed because more than one relationship was found for '%s' and '%s'", e.Name, name).
		WithDetails("%s", strings.Join(ways, "; ")).
		WithHint("Try changing '%s' to one of the following: %s.", name, strings.Join(names, ", "))
}

func (l *level) match(hint string, named func(*model.Relation) bool) []*model.Relation {
	var found []*model.Relation
	for _, r := range l.e.Relations {
		if named(r) && (hint == "" || fits(r, hint)) && l.leads(r) {
			found = append(found, r)
		}
	}
	return found
}

// leads reports whether the caller may know of a relation: of its other end,
// and of the foreign keys that make it.
func (l *level) leads(r *model.Relation) bool {
	if r.To.Internal || !l.visible(r.Ref) {
		return false
	}
	return r.Via == nil || !r.Via.Internal && l.visible(r.ViaLocal)
}

func fits(r *model.Relation, hint string) bool {
	if r.Via != nil && r.Via.Name == hint || hint == r.ID() {
		return true
	}
	return r.Name == hint || r.Local.Name == hint || r.Ref.Name == hint || r.Ref.Ref.Relation == hint ||
		r.Ref.Entity.Name+"_"+r.Ref.Name+"_fkey" == hint
}

func describe(r *model.Relation) string {
	kind := map[model.Cardinality]string{model.ToOne: "many-to-one", model.ToMany: "one-to-many", model.ManyToMany: "many-to-many"}[r.Cardinality]
	if r.Unique {
		kind = "one-to-one"
	}
	return fmt.Sprintf("%s: %s with %s using %s.%s", r.Name, r.From.Name, r.To.Name, r.Ref.Entity.Name, r.Ref.Name) + " (" + kind + ")"
}

func (l *level) noRelation(name, hint string) error {
	e := l.e
	var names, hints []string
	for _, r := range e.Relations {
		if !l.leads(r) {
			continue
		}
		if r.Name == name || r.To.Name == name {
			hints = append(hints, r.Ref.Name)
		} else {
			names = append(names, r.Name, r.To.Name)
		}
	}
	f := fault.New(fault.NoRelation, "Could not find a relationship between '%s' and '%s'", e.Name, name)
	if hint != "" {
		f.WithDetails("Searched for a relationship between '%s' and '%s' using the hint '%s', but none was found.", e.Name, name, hint)
	} else {
		f.WithDetails("Searched for a relationship between '%s' and '%s', but none was found.", e.Name, name)
	}
	switch near := fault.Nearest(name, names); {
	case hint != "" && len(hints) > 0:
		f.WithHint("'%s' can be reached by these hints: %s.", name, strings.Join(dedupe(hints), ", "))
	case near != "":
		f.WithHint("Perhaps you meant '%s' instead of '%s'.", near, name)
	case len(names) == 0:
		f.WithHint("'%s' has no relations; declare one with a field of type ref.", e.Name)
	default:
		f.WithHint("'%s' has these relations: %s.", e.Name, strings.Join(dedupe(names), ", "))
	}
	return f
}

func dedupe(names []string) []string {
	var out []string
	seen := map[string]bool{}
	for _, n := range names {
		if !seen[n] {
			seen[n] = true
			out = append(out, n)
		}
	}
	return out
}
