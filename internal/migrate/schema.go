package migrate

import (
	"slices"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/store"
)

// schema is the description of all tables at one moment of a plan. Tables are
// never written in place: a change puts a changed copy in, so that earlier
// moments stay what they were.
type schema struct {
	tables []*store.Table
	index  map[string]int
}

func newSchema(tables []*store.Table) *schema {
	s := &schema{index: make(map[string]int, len(tables))}
	for _, t := range tables {
		s.put(t)
	}
	return s
}

func (s *schema) get(name string) *store.Table {
	if i, ok := s.index[name]; ok {
		return s.tables[i]
	}
	return nil
}

// put adds a table or replaces the one of its name.
func (s *schema) put(t *store.Table) {
	if i, ok := s.index[t.QualifiedName()]; ok {
		s.tables[i] = t
		return
	}
	s.index[t.QualifiedName()] = len(s.tables)
	s.tables = append(s.tables, t)
}

func (s *schema) remove(name string) {
	i := s.index[name]
	s.tables = slices.Delete(s.tables, i, i+1)
	delete(s.index, name)
	for ; i < len(s.tables); i++ {
		s.index[s.tables[i].QualifiedName()] = i
	}
}

// snapshot is the moment's tables.
func (s *schema) snapshot() []*store.Table { return slices.Clone(s.tables) }

// rename gives a table another name, in the references to it too.
func (s *schema) rename(from, to *store.Table) {
	i := s.index[from.QualifiedName()]
	delete(s.index, from.QualifiedName())
	s.index[to.QualifiedName()], s.tables[i] = i, to
	s.retarget(func(fk *store.ForeignKey) bool {
		hit := fk.TargetModule == from.Module && fk.TargetEntity == from.Entity
		if hit {
			fk.TargetModule, fk.TargetEntity = to.Module, to.Entity
		}
		return hit
	})
}

// retarget changes references in every table that has one to be changed.
func (s *schema) retarget(change func(*store.ForeignKey) bool) {
	for i, t := range s.tables {
		var copied *store.Table
		for j := range t.Refs {
			fk := t.Refs[j]
			if !change(&fk) {
				continue
			}
			if copied == nil {
				copied = clone(t)
			}
			copied.Refs[j] = fk
		}
		if copied != nil {
			s.tables[i] = copied
		}
	}
}

// clone copies a table, so that the copy can be changed.
func clone(t *store.Table) *store.Table {
	c := *t
	c.Columns, c.Refs, c.Search = slices.Clone(t.Columns), slices.Clone(t.Refs), slices.Clone(t.Search)
	c.Unique, c.Index = cloneKeys(t.Unique), cloneKeys(t.Index)
	return &c
}

func cloneKeys(keys []store.KeyColumns) []store.KeyColumns {
	out := slices.Clone(keys)
	for i := range out {
		out[i].Columns = slices.Clone(out[i].Columns)
	}
	return out
}

// renameColumn renames a column of a copy of t, wherever the copy names it.
func renameColumn(t *store.Table, from, to string) *store.Table {
	t = clone(t)
	swap := func(name *string) {
		if *name == from {
			*name = to
		}
	}
	for i := range t.Columns {
		swap(&t.Columns[i].Name)
	}
	swap(&t.Primary)
	if t.Partition != nil {
		part := *t.Partition
		swap(&part.Column)
		t.Partition = &part
	}
	for i := range t.Refs {
		swap(&t.Refs[i].Column)
		swap(&t.Refs[i].Key)
	}
	for _, keys := range [][]store.KeyColumns{t.Unique, t.Index} {
		for i := range keys {
			for j := range keys[i].Columns {
				swap(&keys[i].Columns[j])
			}
		}
	}
	for i := range t.Search {
		swap(&t.Search[i])
	}
	return t
}

func refOf(t *store.Table, column string) *store.ForeignKey {
	for i := range t.Refs {
		if t.Refs[i].Column == column {
			return &t.Refs[i]
		}
	}
	return nil
}

func target(fk *store.ForeignKey) string { return fk.TargetModule + "." + fk.TargetEntity }

// withoutRef drops the reference of a column from t.
func withoutRef(t *store.Table, column string) {
	t.Refs = slices.DeleteFunc(t.Refs, func(fk store.ForeignKey) bool { return fk.Column == column })
}

func sameKey(a, b store.KeyColumns) bool {
	return a.Name == b.Name && slices.Equal(a.Columns, b.Columns)
}

func hasKey(keys []store.KeyColumns, k store.KeyColumns) bool {
	return slices.ContainsFunc(keys, func(o store.KeyColumns) bool { return sameKey(o, k) })
}

// sameFields compares lists whose order means nothing.
func sameFields(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

// sameTable reports whether two descriptions differ in nothing that the
// manifest keeps. The order of columns means nothing.
func sameTable(a, b *store.Table) bool {
	if a.Primary != b.Primary || !samePartition(a, b) || len(a.Columns) != len(b.Columns) || len(a.Unique) != len(b.Unique) ||
		len(a.Index) != len(b.Index) || len(a.Refs) != len(b.Refs) || !sameFields(a.Search, b.Search) {
		return false
	}
	for _, c := range a.Columns {
		o := b.Column(c.Name)
		if o == nil || c.Kind != o.Kind || c.List != o.List || c.Scale != o.Scale || c.NotNull != o.NotNull || !slices.Equal(c.Enum, o.Enum) {
			return false
		}
	}
	for _, fk := range a.Refs {
		if !slices.Contains(b.Refs, fk) {
			return false
		}
	}
	in := func(list []store.KeyColumns) func(store.KeyColumns) bool {
		return func(k store.KeyColumns) bool { return !hasKey(list, k) }
	}
	return !slices.ContainsFunc(a.Unique, in(b.Unique)) && !slices.ContainsFunc(a.Index, in(b.Index))
}

// managed returns the entities whose schema is Pando's, in the order in which
// they can be created: what is referred to comes first. Where references run
// in a circle the order is that of the model.
func managed(app *model.App) []*model.Entity {
	var out []*model.Entity
	seen := map[*model.Entity]bool{}
	var visit func(e *model.Entity)
	visit = func(e *model.Entity) {
		if seen[e] || !e.Managed {
			return
		}
		seen[e] = true
		for _, f := range e.Fields {
			if f.Ref != nil && !f.Ref.Loose {
				visit(f.Ref.Target)
			}
		}
		out = append(out, e)
	}
	for _, m := range app.Modules {
		for _, e := range m.Entities {
			visit(e)
		}
	}
	return out
}

// SameTables reports whether two manifests describe the same schema.
func SameTables(a, b []*store.Table) bool {
	if len(a) != len(b) {
		return false
	}
	other := newSchema(b)
	for _, t := range a {
		if o := other.get(t.QualifiedName()); o == nil || !sameTable(t, o) {
			return false
		}
	}
	return true
}
