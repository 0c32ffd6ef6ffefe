package model

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/pandobase/pando/internal/value"
)

// maxName is the longest identifier that every store takes (PostgreSQL: 63).
const maxName = 63

// entityRules checks what an entity says about its fields as a whole.
func (l *loader) entityRules(e *entityDraft) {
	raw := e.raw
	e.Lifespan = l.lifespan(e.file, e.Name, &raw.rawLifespan, func(name string) *Lifespan {
		for _, other := range e.file.entities {
			if other.Name == name {
				return &Lifespan{Since: other.raw.since.v}
			}
		}
		return nil
	})
	e.formerNames()
	l.tableRules(e)
	e.Unique = l.keys(e, raw.unique, "key")
	e.Index = l.keys(e, raw.index, "idx")
	for _, c := range raw.check.v {
		if c.ok {
			e.Checks = append(e.Checks, *c.v)
		}
	}
	if p := raw.policy; p.given() {
		e.Policy = &Policy{Read: p.v.read.v, Create: p.v.create.v, Delete: p.v.delete.v, Pos: e.file.pos(p.n)}
		if u := p.v.update; u.given() {
			e.Policy.Update = &UpdatePolicy{When: u.v.when.v, Check: u.v.check.v, Fields: l.fieldList(e, u.v.fields)}
			if e.Policy.Update.Check == nil {
				e.Policy.Update.Check = e.Policy.Update.When
			}
		}
	}
	for _, f := range l.fieldList(e, raw.search) {
		node := raw.search.n
		for _, w := range raw.search.v {
			if w.v == f.Name {
				node = w.n
			}
		}
		switch {
		case f.Type.Kind == value.Invalid:
		case f.Type.Kind != value.Text || f.Type.List:
			e.file.problem(node, "only text can be searched", "%s.%s is %s", e.QualifiedName(), f.Name, f.Type)
		case f.Encrypted && l.features.Encrypted:
			e.file.problem(node, "leave it out of search", "%s.%s is encrypted, and a search index would hold it in the clear", e.QualifiedName(), f.Name)
		case f.Hidden:
			e.file.problem(node, "leave it out of search", "%s.%s is hidden, and searching would tell what it holds", e.QualifiedName(), f.Name)
		default:
			e.Search = append(e.Search, f)
		}
	}
	for _, w := range raw.audit.v {
		e.Audit.Reads = e.Audit.Reads || w.v == "reads"
		e.Audit.Values = e.Audit.Values || w.v == "values"
	}
	if raw.retain.given() {
		l.retain(e)
	}
}

// formerNames refuses two fields that were called the same.
func (e *entityDraft) formerNames() {
	was := map[string]string{}
	for _, f := range e.fields {
		if !f.raw.was.ok {
			continue
		}
		if other, twice := was[f.raw.was.v]; twice {
			e.file.problem(f.raw.was.n, "one of them is new: leave was out there", "%s and %s were both %s", other, f.Name, f.raw.was.v)
		}
		was[f.raw.was.v] = f.Name
	}
}

func (l *loader) retain(e *entityDraft) {
	r := e.raw.retain
	if !l.features.Retain {
		e.file.problem(r.n, "leave it out, or wait for the build that enforces it", "this build does not enforce retain yet, so it refuses it rather than ignore it")
		return
	}
	from := l.field(e, r.v.from)
	if from != nil && from.Type.Kind != value.Invalid && (from.Type.List || from.Type.Kind != value.Timestamp && from.Type.Kind != value.Date) {
		e.file.problem(r.v.from.n, "name a timestamp or a date", "%s.%s is %s", e.QualifiedName(), from.Name, from.Type)
	}
	e.Retain = &Retain{For: r.v.period.v, From: from, Then: r.v.then.v, Pos: e.file.pos(r.n)}
}

// fieldList resolves a list of field names; a name given twice is a problem.
func (l *loader) fieldList(e *entityDraft, names at[[]at[string]]) []*Field {
	var out []*Field
	for _, n := range names.v {
		f := l.field(e, n)
		if f == nil {
			continue
		}
		if slices.Contains(out, f) {
			e.file.problem(n.n, "name it once", "the field %s is named twice", f.Name)
			continue
		}
		out = append(out, f)
	}
	return out
}

// keys resolves unique: or index:.
func (l *loader) keys(e *entityDraft, raw at[[]at[[]at[string]]], suffix string) []Key {
	var out []Key
	for _, k := range raw.v {
		if !k.ok {
			continue
		}
		fields := l.fieldList(e, k)
		if len(fields) != len(k.v) {
			continue
		}
		if slices.ContainsFunc(out, func(o Key) bool { return slices.Equal(o.Fields, fields) }) {
			e.file.problem(k.n, "leave one out", "the same fields are listed twice")
			continue
		}
		for i, f := range fields {
			if f.Type.Kind == value.JSON {
				e.file.problem(k.v[i].n, "leave it out", "%s.%s is json, which no key can hold", e.QualifiedName(), f.Name)
			}
		}
		out = append(out, Key{Name: keyName(e.Entity, fields, suffix), Fields: fields, Pos: e.file.pos(k.n)})
	}
	return out
}

// keyName is entity_field_field_suffix, as PostgreSQL would call it. A longer
// name than a store can hold ends in a digest instead, so that it stays
// distinct.
func keyName(e *Entity, fields []*Field, suffix string) string {
	parts := make([]string, 0, len(fields)+2)
	parts = append(parts, e.Name)
	for _, f := range fields {
		parts = append(parts, f.Name)
	}
	name := strings.Join(append(parts, suffix), "_")
	if len(name) <= maxName {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	tail := "_" + hex.EncodeToString(sum[:4]) + "_" + suffix
	return name[:maxName-len(tail)] + tail
}

// relations makes every way between entities, both directions.
func (l *loader) relations() {
	for _, m := range l.app.Modules {
		for _, e := range m.Entities {
			for _, f := range e.Fields {
				if f.Ref != nil {
					link(e, f)
				}
			}
		}
	}
	for _, m := range l.app.Modules {
		for _, e := range m.Entities {
			bridge(e)
		}
	}
	for _, m := range l.app.Modules {
		for _, e := range m.Entities {
			l.relationNames(e)
		}
	}
}

func link(e *Entity, f *Field) {
	target, key := f.Ref.Target, f.Ref.Target.Primary
	e.Relations = append(e.Relations, &Relation{
		Name: f.Ref.Relation, Cardinality: ToOne, From: e, To: target, Local: f, Foreign: key, Ref: f,
	})
	back := f.Ref.Inverse
	if back == "" {
		back = e.Name
	}
	single := f.Primary || slices.ContainsFunc(e.Unique, func(k Key) bool { return len(k.Fields) == 1 && k.Fields[0] == f })
	target.Relations = append(target.Relations, &Relation{
		Name: back, Cardinality: ToMany, From: target, To: e, Local: key, Foreign: f, Ref: f, Unique: single,
	})
}

// bridge makes the many-to-many relations through e: one each way for each two
// of its references that stand together in a unique key.
func bridge(e *Entity) {
	type pair struct{ a, b *Field }
	seen := map[pair]bool{}
	for _, k := range e.Unique {
		for i, a := range k.Fields {
			for _, b := range k.Fields[i+1:] {
				if a.Ref == nil || b.Ref == nil || seen[pair{a, b}] || seen[pair{b, a}] {
					continue
				}
				seen[pair{a, b}] = true
				across(e, a, b)
				across(e, b, a)
			}
		}
	}
}

func across(via *Entity, from, to *Field) {
	source, target := from.Ref.Target, to.Ref.Target
	source.Relations = append(source.Relations, &Relation{
		Name: target.Name, Cardinality: ManyToMany, From: source, To: target,
		Local: source.Primary, Foreign: target.Primary, Via: via, ViaLocal: from, ViaForeign: to, Ref: to,
	})
}

// relationNames refuses chosen names that mean two things: a to-one relation's
// name and a written inverse must be alone among an entity's fields and chosen
// names.
func (l *loader) relationNames(e *Entity) {
	taken := make(map[string]string, len(e.Fields)+len(e.Relations))
	for _, f := range e.Fields {
		taken[f.Name] = "the field " + e.QualifiedName() + "." + f.Name
	}
	for _, r := range e.Relations {
		var what, key string
		switch {
		case r.Cardinality == ToOne && r.Name != r.Ref.Name: // else it has no name; reported
			what, key = "the relation of "+e.QualifiedName()+"."+r.Ref.Name, "as"
		case r.Cardinality == ToMany && r.Ref.Ref.Inverse != "":
			what, key = "the way back from "+e.QualifiedName()+" to "+r.To.QualifiedName()+"."+r.Ref.Name, "inverse"
		default:
			continue
		}
		if other, clash := taken[r.Name]; clash {
			l.report.add(r.Ref.Ref.Pos, "choose another name with "+key+":", "%s is called %s, as is %s", what, r.Name, other)
			continue
		}
		taken[r.Name] = what
	}
}
