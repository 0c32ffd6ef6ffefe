package surface

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Change is one difference between two surfaces.
type Change struct {
	Version string `json:"version"`
	// Breaking: a client of the version that worked may not work any more.
	Breaking bool     `json:"breaking"`
	Doors    []string `json:"doors"` // that it touches: REST, GraphQL, gRPC
	Where    string   `json:"where"` // shop.orders.total; empty: the version
	What     string   `json:"what"`
}

// String is the change in a line.
func (c Change) String() string {
	kind := "compatible"
	if c.Breaking {
		kind = "breaking"
	}
	where := c.Version
	if c.Where != "" {
		where += " " + c.Where
	}
	return fmt.Sprintf("%s: %s: %s (%s)", kind, where, c.What, strings.Join(c.Doors, ", "))
}

// The doors.
const (
	REST    = "REST"
	GraphQL = "GraphQL"
	GRPC    = "gRPC"
)

// Compare lists what becomes of the versions that the old surface has, the
// breaking changes of each version first. A new version is compatible, whatever it
// has: so is every change that it alone shows.
func Compare(old, now Surface) []Change {
	var out []Change
	for _, was := range old.Versions {
		c := &comparison{version: was.Name}
		at := slices.IndexFunc(now.Versions, func(v Version) bool { return v.Name == was.Name })
		if at < 0 {
			c.breaks("", "the version is gone", REST, GraphQL, GRPC)
		} else {
			c.versions(&was, &now.Versions[at])
		}
		slices.SortStableFunc(c.changes, func(a, b Change) int { return rank(a) - rank(b) })
		out = append(out, c.changes...)
	}
	for _, v := range now.Versions {
		if !slices.ContainsFunc(old.Versions, func(o Version) bool { return o.Name == v.Name }) {
			c := &comparison{version: v.Name}
			c.allows("", "the version is new", REST, GraphQL, GRPC)
			out = append(out, c.changes...)
		}
	}
	return out
}

func rank(c Change) int {
	if c.Breaking {
		return 0
	}
	return 1
}

// Breaks reports whether one of the changes is breaking.
func Breaks(changes []Change) bool {
	return slices.ContainsFunc(changes, func(c Change) bool { return c.Breaking })
}

// comparison collects the changes of one version.
type comparison struct {
	version string
	changes []Change
}

func (c *comparison) breaks(where, what string, doors ...string) {
	c.changes = append(c.changes, Change{Version: c.version, Breaking: true, Doors: doors, Where: where, What: what})
}

func (c *comparison) allows(where, what string, doors ...string) {
	c.changes = append(c.changes, Change{Version: c.version, Doors: doors, Where: where, What: what})
}

// each calls both for the things that two lists have, and gone and added for the
// others, by name.
func each[T any](old, now []T, name func(*T) string, both func(was, is *T), gone, added func(*T)) {
	index := make(map[string]*T, len(now))
	for i := range now {
		index[name(&now[i])] = &now[i]
	}
	for i := range old {
		is := index[name(&old[i])]
		if is == nil {
			gone(&old[i])
			continue
		}
		delete(index, name(&old[i]))
		both(&old[i], is)
	}
	for _, n := range slices.Sorted(maps.Keys(index)) {
		added(index[n])
	}
}

// renamed is what keeps a thing where a newer version has another name for it.
const renamed = "; one that has another name now keeps this one in older versions with was: and since:"

func (c *comparison) versions(old, now *Version) {
	each(old.Entities, now.Entities, func(e *Entity) string { return e.Name }, c.entity,
		func(e *Entity) { c.breaks(e.Name, "the entity is gone"+renamed, REST, GraphQL, GRPC) },
		func(e *Entity) { c.allows(e.Name, "the entity is new", REST, GraphQL, GRPC) })
	each(old.Operations, now.Operations, func(o *Operation) string { return o.Name }, c.operation,
		func(o *Operation) { c.breaks(o.Name, "the operation is gone"+renamed, REST, GraphQL, GRPC) },
		func(o *Operation) { c.allows(o.Name, "the operation is new", REST, GraphQL, GRPC) })
}

func (c *comparison) entity(old, now *Entity) {
	switch {
	case !old.ReadOnly && now.ReadOnly:
		c.breaks(now.Name, "it cannot be written any more", REST, GraphQL, GRPC)
	case old.ReadOnly && !now.ReadOnly:
		c.allows(now.Name, "it can be written", REST, GraphQL, GRPC)
	}
	each(old.Fields, now.Fields, fieldName,
		func(was, is *Field) { c.field(now.Name+"."+is.Name, was, is, true, true) },
		func(f *Field) { c.breaks(now.Name+"."+f.Name, "the field is gone"+renamed, REST, GraphQL, GRPC) },
		func(f *Field) {
			if f.Required {
				c.breaks(now.Name+"."+f.Name, "the field is new, and a create has to give it; give it a default, or make it optional", REST, GraphQL, GRPC)
				return
			}
			c.allows(now.Name+"."+f.Name, "the field is new", REST, GraphQL, GRPC)
		})
	relation := func(r *Relation) string { return r.Name + " " + r.To }
	each(old.Relations, now.Relations, relation,
		func(was, is *Relation) {
			if was.Many != is.Many {
				c.breaks(now.Name+"."+is.Name, "the relation led to "+rows(was.Many)+" and leads to "+rows(is.Many), REST, GraphQL)
			}
		},
		func(r *Relation) {
			c.breaks(now.Name+"."+r.Name, "the relation to "+r.To+" is gone"+renamed, REST, GraphQL)
		},
		func(r *Relation) { c.allows(now.Name+"."+r.Name, "the relation to "+r.To+" is new", REST, GraphQL) })
}

func rows(many bool) string {
	if many {
		return "many rows"
	}
	return "one row"
}

func fieldName(f *Field) string { return f.Name }

// field compares what is answered, or given, or both.
func (c *comparison) field(where string, old, now *Field, answered, given bool) {
	given = given && old.Given
	if old.Type != now.Type || old.List != now.List {
		c.breaks(where, "it was "+old.typeText()+" and is "+now.typeText(), REST, GraphQL, GRPC)
	} else {
		c.sameType(where, old, now, answered, given)
	}
	if answered {
		switch {
		case !old.Hidden && now.Hidden:
			c.breaks(where, "it is hidden", REST, GraphQL, GRPC)
		case old.Hidden && !now.Hidden:
			c.allows(where, "it is answered", REST, GraphQL, GRPC)
		}
		answered = !old.Hidden && !now.Hidden
	}
	switch {
	case given && !now.Given:
		c.breaks(where, "it cannot be given any more", REST, GraphQL, GRPC)
	case !old.Given && now.Given:
		c.allows(where, "it can be given", REST, GraphQL, GRPC)
	}
	switch {
	case !old.Nullable && now.Nullable && answered:
		c.breaks(where, "it can be null", GraphQL)
	case !old.Nullable && now.Nullable:
		c.allows(where, "it can be null", REST, GraphQL, GRPC)
	case old.Nullable && !now.Nullable && given:
		c.breaks(where, "it cannot be null any more", REST, GraphQL, GRPC)
	case old.Nullable && !now.Nullable:
		c.allows(where, "it is never null", REST, GraphQL, GRPC)
	}
	switch {
	case !old.Required && now.Required && (!old.Nullable || now.Nullable):
		c.breaks(where, "it has to be given", REST, GraphQL, GRPC)
	case old.Required && !now.Required:
		c.allows(where, "it need not be given", REST, GraphQL, GRPC)
	}
	if old.Number != 0 && old.Number != now.Number {
		c.breaks(where, fmt.Sprintf("its number was %d and is %d; take pando.lock as it was committed", old.Number, now.Number), GRPC)
	}
}

// sameType compares what a type of one name can still differ in.
func (c *comparison) sameType(where string, old, now *Field, answered, given bool) {
	for i, word := range old.Values {
		at := slices.Index(now.Values, word)
		if at < 0 {
			c.breaks(where, "the value "+word+" is gone", REST, GraphQL, GRPC)
			continue
		}
		if i < len(old.Numbers) && at < len(now.Numbers) && old.Numbers[i] != now.Numbers[at] {
			c.breaks(where, fmt.Sprintf("the number of %s was %d and is %d", word, old.Numbers[i], now.Numbers[at]), GRPC)
		}
	}
	for _, word := range now.Values {
		if !slices.Contains(old.Values, word) {
			c.allows(where, "the value "+word+" is new", REST, GraphQL, GRPC)
		}
	}
	if old.Wide != now.Wide {
		c.breaks(where, "GraphQL knew it as "+graphQLInt(old.Wide)+" and knows it as "+graphQLInt(now.Wide), GraphQL)
	}
	if old.Fields != nil || now.Fields != nil {
		c.members(where, old.Fields, now.Fields, answered, given)
	}
}

func graphQLInt(wide bool) string {
	if wide {
		return "Int64"
	}
	return "Int"
}

// members compares what an operation takes or answers.
func (c *comparison) members(where string, old, now []Field, answered, given bool) {
	each(old, now, fieldName,
		func(was, is *Field) {
			was, is = member(was, given), member(is, given)
			c.field(where+"."+is.Name, was, is, answered, given)
		},
		func(f *Field) { c.breaks(where+"."+f.Name, "it is gone", REST, GraphQL, GRPC) },
		func(f *Field) {
			if given && f.Required {
				c.breaks(where+"."+f.Name, "it is new, and has to be given", REST, GraphQL, GRPC)
				return
			}
			c.allows(where+"."+f.Name, "it is new", REST, GraphQL, GRPC)
		})
}

// member is a member of an output as one that nobody gives.
func member(f *Field, given bool) *Field {
	out := *f
	if !given {
		out.Given, out.Required = false, false
	}
	return &out
}

func (c *comparison) operation(old, now *Operation) {
	switch {
	case old.Reads && !now.Reads:
		c.breaks(now.Name, "it was a query that GET may ask, and is not", REST, GraphQL)
	case !old.Reads && now.Reads:
		c.breaks(now.Name, "it was a mutation and is a query", GraphQL)
	}
	c.members(now.Name+"().input", old.Input, now.Input, false, true)
	was, is := old.Output, now.Output
	switch {
	case was == nil && is == nil:
		return
	case was == nil:
		c.breaks(now.Name, "it answers something", GraphQL, GRPC)
		return
	case is == nil:
		c.breaks(now.Name, "it answers nothing any more", REST, GraphQL, GRPC)
		return
	}
	if was.Of != is.Of {
		c.breaks(now.Name, "it answered "+what(was)+" and answers "+what(is), REST, GraphQL, GRPC)
		return
	}
	if was.List != is.List {
		c.breaks(now.Name, "it answered "+one(was.List)+" and answers "+one(is.List), REST, GraphQL, GRPC)
	}
	c.members(now.Name+"().output", was.Fields, is.Fields, true, false)
}

func what(o *Output) string {
	if o.Of == "" {
		return "an object"
	}
	return "rows of " + o.Of
}

func one(list bool) string {
	if list {
		return "a list"
	}
	return "one"
}
