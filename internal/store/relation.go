package store

import (
	"fmt"

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
	called := func(r *model.Relation) any { return r }
	found := l.match(hint, func(r *model.Relation) bool { return r.Name == name })
	if len(found) == 0 {
		called = func(r *model.Relation) any { return r.To }
		found = l.match(hint, func(r *model.Relation) bool { return r.To.Name == name })
	}
	if len(found) == 0 {
		called = func(r *model.Relation) any { return r.Local }
		found = l.match(hint, func(r *model.Relation) bool { return r.Cardinality == model.ToOne && r.Local.Name == name })
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, l.noRelation(name, hint)
	}
	ways, names := fault.Names{Sep: "; "}, fault.Names{Sep: ", "}
	for _, r := range found {
		ways.Of = append(ways.Of, describe(r))
		names.Of = append(names.Of, fault.Joined("", "'", called(r), "!", r, "'"))
	}
	named := called(found[0])
	return nil, fault.New(fault.AmbiguousRelation, "Could not embed because more than one relationship was found for '%s' and '%s'", e, named).
		WithDetails("%s", ways).
		WithHint("Try changing '%s' to one of the following: %s.", named, names)
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

func describe(r *model.Relation) fault.Names {
	kind := map[model.Cardinality]string{model.ToOne: "many-to-one", model.ToMany: "one-to-many", model.ManyToMany: "many-to-many"}[r.Cardinality]
	if r.Unique {
		kind = "one-to-one"
	}
	return fault.Joined("", r, ": ", r.From, " with ", r.To, " using ", r.Ref.Entity, ".", r.Ref, " ("+kind+")")
}

func (l *level) noRelation(name, hint string) error {
	e := l.e
	var names []fmt.Stringer
	var hints []*model.Field
	for _, r := range e.Relations {
		if !l.leads(r) {
			continue
		}
		if r.Name == name || r.To.Name == name {
			hints = append(hints, r.Ref)
		} else {
			names = append(names, r, r.To)
		}
	}
	f := fault.New(fault.NoRelation, "Could not find a relationship between '%s' and '%s'", e, name)
	if hint != "" {
		f.WithDetails("Searched for a relationship between '%s' and '%s' using the hint '%s', but none was found.", e, name, hint)
	} else {
		f.WithDetails("Searched for a relationship between '%s' and '%s', but none was found.", e, name)
	}
	switch near, ok := fault.NearestOf(name, names); {
	case hint != "" && len(hints) > 0:
		f.WithHint("'%s' can be reached by these hints: %s.", name, fault.List(dedupe(hints)))
	case ok:
		f.WithHint("Perhaps you meant '%s' instead of '%s'.", near, name)
	case len(names) == 0:
		f.WithHint("'%s' has no relations; declare one with a field of type ref.", e)
	default:
		f.WithHint("'%s' has these relations: %s.", e, fault.List(dedupe(names)))
	}
	return f
}

// dedupe leaves the first of those of one name.
func dedupe[T fmt.Stringer](things []T) []T {
	var out []T
	seen := map[string]bool{}
	for _, t := range things {
		if n := t.String(); !seen[n] {
			seen[n] = true
			out = append(out, t)
		}
	}
	return out
}
