package model

import (
	"slices"
	"strings"

	"github.com/pandobase/pando/internal/value"
)

// PartitionColumn is the column in which the rows of an entity that lies with
// another carry the partition key of the row that they lie with. No field can
// have the name, for fields begin with a letter, and no door shows it.
const PartitionColumn = "_partition"

// Partition is how an entity is divided: by a field of its own, or with the
// entity that one of its relations names.
type Partition struct {
	By   *Field
	Into int
	With *Relation
	Pos  Pos

	key *Field // With: what holds the partition key
}

// PartitionKey is the field whose value decides in which partition a row lies;
// nil where the entity is not divided. Of an entity that lies with another it
// is the reference itself where that is the other's partition key, else none of
// the entity's Fields but the hidden column [PartitionColumn].
func (e *Entity) PartitionKey() *Field {
	switch p := e.Partition; {
	case p == nil:
		return nil
	case p.With != nil:
		return p.key
	default:
		return p.By
	}
}

// Key is what a store keeps apart the rows of the entity by: the primary key,
// behind the partition key where that is another field.
func (e *Entity) Key() []*Field {
	if k := e.PartitionKey(); k != nil && k != e.Primary {
		return []*Field{k, e.Primary}
	}
	return []*Field{e.Primary}
}

// Partitions is into how many the entity is divided; 0: it is not.
func (e *Entity) Partitions() int {
	p := e.Partition
	for p != nil && p.With != nil {
		p = p.With.To.Partition
	}
	if p == nil {
		return 0
	}
	return p.Into
}

// Colocates reports whether the field is the reference by which its entity
// lies with another: the rows of both ends have one partition key.
func (f *Field) Colocates() bool {
	p := f.Entity.Partition
	return p != nil && p.With != nil && p.With.Ref == f
}

// partition checks how an entity is divided. The rules hold on every store,
// so that a store that divides is no rewrite (design, "Partitions").
func (l *loader) partition(e *entityDraft) {
	p := e.raw.partition
	if !p.given() || !p.ok {
		return
	}
	switch {
	case p.v.by.given() && p.v.with.given():
		e.file.problem(p.n, "keep one of them", "a partition is by a field or with a relation, not both")
	case p.v.by.given():
		l.partitionBy(e, p.v)
	case p.v.with.given():
		l.partitionWith(e, p.v)
	default:
		e.file.problem(p.n, "write { by: FIELD, into: 16 } or { with: RELATION }", "the partition says neither by nor with")
	}
}

func (l *loader) partitionBy(e *entityDraft, p rawPartition) {
	if !p.into.given() {
		e.file.problem(e.raw.partition.n, "for example into: 16", "a partition by a field says into how many")
	}
	// Set before it is known to be right, so that what refers to the entity is
	// not reported as well.
	e.Partition = &Partition{Into: p.into.v, Pos: e.file.pos(e.raw.partition.n)}
	f := l.field(e, p.by)
	if f == nil {
		return
	}
	what := e.QualifiedName() + "." + f.Name
	switch {
	case f.Type.Kind == value.Invalid:
	case f.Optional:
		e.file.problem(p.by.n, "make the field required", "the partition key %s cannot be optional", what)
	case f.OnUpdateNow:
		e.file.problem(p.by.n, "choose a field that stays", "%s changes with every update, and a row cannot leave its partition", what)
	case f.Encrypted && l.features.Encrypted:
		e.file.problem(p.by.n, "choose another field", "%s is encrypted, and a store could not tell equal values", what)
	case f.Type.List, f.Type.Kind == value.JSON, f.Type.Kind == value.Float, f.Type.Kind == value.Bytes:
		e.file.problem(p.by.n, "uuid, int or text are good keys", "%s is %s, which cannot be a partition key", what, f.Type)
	}
	e.Partition.By = f
	l.uniqueHolds(e, f)
}

func (l *loader) partitionWith(e *entityDraft, p rawPartition) {
	if p.into.given() {
		e.file.problem(p.into.n, "leave into out", "an entity that lies with another is divided as that one is")
	}
	if !p.with.ok {
		return
	}
	var names []string
	for _, r := range e.Relations {
		if r.Cardinality != ToOne {
			continue
		}
		names = append(names, r.Name)
		if r.Name != p.with.v {
			continue
		}
		e.Partition = &Partition{With: r, Pos: e.file.pos(e.raw.partition.n)}
		if !e.Managed {
			e.file.problem(p.with.n, "divide it by a field that it has: partition: { by: FIELD, into: 16 }",
				"%s is not managed, so its table cannot be given the hidden column that lying with %s takes", e.QualifiedName(), r.Name)
		}
		if r.Ref.Optional {
			e.file.problem(p.with.n, "make the reference required", "%s lies with %s, so %s cannot be optional", e.QualifiedName(), r.Name, r.Ref.Name)
		}
		if r.Ref.Ref.Loose {
			e.file.problem(p.with.n, "leave link: loose out", "%s lies with %s, so the reference cannot be loose", e.QualifiedName(), r.Name)
		}
		l.uniqueHolds(e, r.Ref)
		return
	}
	e.Partition = &Partition{}
	e.file.problem(p.with.n, nearest(p.with.v, names), "%s has no relation %s to one entity", e.QualifiedName(), quote(p.with.v))
}

// uniqueHolds: a unique key holds the field that decides the partition, for a
// store can only keep apart what lies in one.
func (l *loader) uniqueHolds(e *entityDraft, key *Field) {
	for _, k := range e.Unique {
		if !slices.Contains(k.Fields, key) {
			l.report.add(k.Pos, "add "+key.Name+" to it", "a unique key of the partitioned %s must hold %s", e.QualifiedName(), key.Name)
		}
	}
}

// partitionedRefs checks, once every partition is known, what refers to
// partitioned entities.
func (l *loader) partitionedRefs() {
	l.each(l.partitionedRef)
	if len(l.report.problems) == 0 {
		l.each(func(e *entityDraft) { e.carry() })
	}
}

// carry finds what holds the partition key of an entity that lies with another.
func (e *Entity) carry() {
	p := e.Partition
	if p == nil || p.With == nil || p.key != nil {
		return
	}
	p.With.To.carry()
	of := p.With.To.PartitionKey()
	if of == p.With.To.Primary {
		p.key = p.With.Ref
		return
	}
	p.key = &Field{Entity: e, Name: PartitionColumn, Column: PartitionColumn, Pos: p.Pos, Type: of.Type, Hidden: true}
}

func (l *loader) partitionedRef(e *entityDraft) {
	for _, f := range e.fields {
		if f.Ref == nil || f.Ref.Loose || f.Ref.Target.Partition == nil {
			continue
		}
		if e.Partition == nil || e.Partition.With == nil || e.Partition.With.Ref != f.Field {
			e.file.problem(f.raw.ref.n, "add partition: { with: "+f.Ref.Relation+" } to "+e.Name+", or link: loose to the reference",
				"%s refers to the partitioned %s", e.QualifiedName(), f.Ref.Target.QualifiedName())
		}
	}
	if e.Partition == nil || e.Partition.With == nil {
		return
	}
	with := e.raw.partition.v.with.n
	if e.Partition.With.To.Partition == nil {
		e.file.problem(with, "partition "+e.Partition.With.To.QualifiedName()+", or leave it out here", "%s is not partitioned", e.Partition.With.To.QualifiedName())
		return
	}
	at := e.Entity
	for range len(l.app.Modules) + 1024 {
		if at.Partition == nil || at.Partition.With == nil {
			return
		}
		at = at.Partition.With.To
		if at == e.Entity {
			e.file.problem(with, "one of them needs partition: { by: FIELD }", "%s lies with itself in a circle", e.QualifiedName())
			return
		}
	}
}

// scattered lists what asks every partition of an entity, since it does not
// say in which one its rows lie.
func (l *loader) scattered() []Problem {
	r := &report{}
	l.each(func(e *entityDraft) {
		for _, f := range e.Fields {
			if f.Ref == nil || !f.Ref.Loose {
				continue
			}
			if to := f.Ref.Target; to.PartitionKey() != nil && to.PartitionKey() != to.Primary {
				r.add(f.Ref.Pos, "let it lie with it, partition: { with: "+f.Ref.Relation+" }, if their rows belong together",
					"%s.%s leads to a row of the partitioned %s by its %s, in any of its %d partitions",
					e.QualifiedName(), f.Name, to.QualifiedName(), to.Primary.Name, to.Partitions())
			}
		}
		key := e.PartitionKey()
		if key == nil || key == e.Primary || e.Entity.fields[key.Name] == nil {
			return
		}
		for _, k := range slices.Concat(e.Index, e.Unique) {
			if k.Fields[0] != key {
				r.add(k.Pos, "begin it with "+key.Name, "the key (%s) of the partitioned %s does not begin with %s: a query by both finds too much, one by %s alone asks all %d partitions",
					strings.Join(fieldNames(k.Fields), ", "), e.QualifiedName(), key.Name, k.Fields[0].Name, e.Partitions())
			}
		}
	})
	return r.sorted()
}

func fieldNames(fields []*Field) []string {
	out := make([]string, len(fields))
	for i, f := range fields {
		out[i] = f.Name
	}
	return out
}
