package migrate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/store"
)

// rename gives an entity and its fields their new names, in one step. A `was`
// that was followed before, or whose name is still in use, is no rename.
func (p *planner) rename(n *store.Table) {
	e, name := p.entities[n.QualifiedName()], n.QualifiedName()
	step := &Step{}
	var said []string
	old := e.Module.Name + "." + e.Was
	w := p.s.get(name)
	entity := w == nil && e.Was != "" && p.s.get(old) != nil && p.wanted[old] == nil
	if entity {
		w = p.s.get(old)
	}
	if w == nil {
		return
	}
	renamed := map[string]string{}
	for _, f := range e.Fields {
		if f.Was != "" && w.Column(f.Name) == nil && w.Column(f.Was) != nil && n.Column(f.Was) == nil {
			renamed[f.Name] = f.Was
		}
	}
	if !entity && len(renamed) == 0 {
		return
	}
	search := slices.ContainsFunc(w.Search, func(s string) bool {
		for _, was := range renamed {
			if was == s {
				return true
			}
		}
		return false
	})
	if search {
		step.changes = append(step.changes, store.Change{Kind: store.DropSearch, Table: w})
		w = clone(w)
		w.Search = nil
		p.s.put(w)
	}
	if entity {
		to := clone(w)
		to.Entity = n.Entity
		step.changes = append(step.changes, store.Change{Kind: store.RenameTable, Old: w, Table: to})
		p.s.rename(w, to)
		p.stored[name], p.columns[name] = p.stored[old], p.columns[old]
		delete(p.stored, old)
		delete(p.columns, old)
		said = append(said, fmt.Sprintf("rename %s to %s", old, name))
	}
	for _, f := range e.Fields {
		if was, ok := renamed[f.Name]; ok {
			step.changes = append(step.changes, p.renameField(name, was, f.Name))
			said = append(said, fmt.Sprintf("rename %s.%s to %s", name, was, f.Name))
		}
	}
	step.changes = append(step.changes, p.renameKeys(n)...)
	if search {
		w = clone(p.s.get(name))
		w.Search = slices.Clone(p.stored[name].Search)
		for i, s := range w.Search {
			for to, was := range renamed {
				if s == was {
					w.Search[i] = to
				}
			}
		}
		p.s.put(w)
		step.changes = append(step.changes, store.Change{Kind: store.CreateSearch, Table: w})
	}
	step.vital = true
	step.Title = strings.Join(said, "; ")
	p.emit(step)
}

// renameField renames a column in the working schema.
func (p *planner) renameField(name, from, to string) store.Change {
	w := p.s.get(name)
	key := slices.Contains(w.PrimaryKey(), from)
	w = renameColumn(w, from, to)
	p.s.put(w)
	if key {
		p.s.retarget(func(fk *store.ForeignKey) bool {
			hit := target(fk) == name && (fk.TargetColumn == from || fk.TargetKey == from)
			if hit && fk.TargetColumn == from {
				fk.TargetColumn = to
			}
			if hit && fk.TargetKey == from {
				fk.TargetKey = to
			}
			return hit
		})
		w = p.s.get(name)
	}
	p.columns[name][to] = p.columns[name][from]
	delete(p.columns[name], from)
	return store.Change{Kind: store.RenameColumn, Table: w, From: from, Column: *w.Column(to)}
}

// renameKeys gives the keys that a rename left with old names their new ones,
// within the rename's step: no moment is without a unique key.
func (p *planner) renameKeys(n *store.Table) []store.Change {
	var out []store.Change
	w := clone(p.s.get(n.QualifiedName()))
	rename := func(have, want []store.KeyColumns, unique bool) {
		for i, k := range have {
			at := slices.IndexFunc(want, func(o store.KeyColumns) bool { return slices.Equal(o.Columns, k.Columns) })
			if at < 0 || hasKey(want, k) || slices.ContainsFunc(have, func(o store.KeyColumns) bool { return o.Name == want[at].Name }) {
				continue
			}
			out = append(out,
				store.Change{Kind: store.DropIndex, Table: w, Key: k, Unique: unique},
				store.Change{Kind: store.CreateIndex, Table: w, Key: want[at], Unique: unique})
			have[i] = want[at]
		}
	}
	rename(w.Unique, n.Unique, true)
	rename(w.Index, n.Index, false)
	p.s.put(w)
	return out
}

// create makes all new tables in one step: a new application is ready after
// one commit. Plain indexes beyond lateIndexes are left to batchIndexes.
func (p *planner) create() {
	step := &Step{Additive: true, vital: true}
	var names []string
	builtin := 0 // tables of Pando's own, which nobody needs to read the names of
	late := p.newIndexes() > lateIndexes
	for _, n := range p.targets {
		if p.s.get(n.QualifiedName()) != nil {
			continue
		}
		t := n
		if late && len(n.Index) > 0 {
			t = clone(n)
			t.Index = nil
		}
		step.changes = append(step.changes, store.Change{Kind: store.CreateTable, Table: t})
		if p.entities[n.QualifiedName()].Module.Builtin {
			builtin++
		} else {
			names = append(names, n.QualifiedName())
		}
		p.s.put(t)
	}
	if len(names)+builtin == 0 {
		return
	}
	if builtin > 0 {
		names = append(names, fmt.Sprintf("the %d tables of auth", builtin))
	}
	step.Title = "create " + strings.Join(names, ", ")
	if len(names) > 10 {
		step.Title = fmt.Sprintf("create %d tables: %s, ...", len(step.changes), strings.Join(names[:10], ", "))
	}
	p.emit(step)
}

// changeKey bridges another primary key on an empty table only. On rows that
// others refer to by the old key it would have to guess.
func (p *planner) changeKey(w, n *store.Table) error {
	if w.Primary == n.Primary {
		return nil
	}
	name := n.QualifiedName()
	rows, err := p.count(name)
	if err != nil {
		return err
	}
	var referred string
	for _, t := range p.s.tables {
		if slices.ContainsFunc(t.Refs, func(fk store.ForeignKey) bool { return target(&fk) == name }) {
			referred = t.QualifiedName()
		}
	}
	step := &Step{Title: fmt.Sprintf("%s: the primary key becomes %s", name, n.Primary), Additive: true, vital: true}
	switch {
	case rows > 0:
		step.Blocked = []string{fmt.Sprintf("%s holds %s with the key %s", name, counted(rows, "row"), w.Primary)}
	case referred != "":
		step.Blocked = []string{fmt.Sprintf("%s refers to %s by %s", referred, name, w.Primary)}
	default:
		step.changes = []store.Change{{Kind: store.RebuildTable, Old: w, Table: n}}
		p.s.put(n)
	}
	if step.Blocked != nil {
		step.Additive, step.Hint = false, "make a new entity, move the rows there, then drop the old one"
		p.given[name] = true
	}
	p.emit(step)
	return nil
}

// addColumns adds the new fields of a table that loosen has not made anew.
func (p *planner) addColumns(w, n *store.Table) error {
	for _, c := range n.Columns {
		if w.Column(c.Name) != nil {
			continue
		}
		s := &Step{Title: "add " + n.QualifiedName() + "." + c.Name, Additive: true, vital: true}
		c, err := p.newColumn(s, n, c)
		if err != nil {
			return err
		}
		w = withColumn(w, n, c)
		p.s.put(w)
		s.changes = []store.Change{{Kind: store.AddColumn, Table: w, Column: c}}
		p.emit(s)
	}
	return nil
}

// newColumn is how a new field comes in: a required one without a default as
// optional, for as long as the old model may write; tighten makes it required.
func (p *planner) newColumn(s *Step, n *store.Table, c store.Column) (store.Column, error) {
	if !c.NotNull || c.Default != nil {
		return c, nil
	}
	name := n.QualifiedName()
	if c.Fill = p.fill(name, c.Name); c.Fill != "" {
		c.Filled = true
		return c, nil
	}
	c.NotNull = false
	rows, err := p.count(name)
	if rows > 0 {
		s.Blocked = append(s.Blocked, fmt.Sprintf("%s.%s is required and has no default that every row could take, and there are %s", name, c.Name, counted(rows, "row")))
		s.Hint = "make it optional, or give it a literal default"
	}
	return c, err
}

// withColumn is a copy of w with a column of n more, and its reference.
func withColumn(w, n *store.Table, c store.Column) *store.Table {
	w = clone(w)
	w.Columns = append(w.Columns, c)
	if fk := refOf(n, c.Name); fk != nil {
		w.Refs = append(w.Refs, *fk)
	}
	return w
}

// fill says what makes the value of a new field for each row that is there.
func (p *planner) fill(name, column string) store.Fill {
	f := p.entities[name].Field(column)
	if f == nil || f.Default == nil {
		return ""
	}
	switch f.Default.Kind {
	case model.DefaultUUID:
		return store.FillUUID
	case model.DefaultNow:
		return store.FillNow
	case model.DefaultLiteral, model.DefaultAuthUID, model.DefaultCEL, model.DefaultDatabase:
	}
	return ""
}

// dropUnique drops the uniqueness rules that the model no longer has: what it
// now writes must not be refused.
func (p *planner) dropUnique(w, n *store.Table) error {
	for _, k := range w.Unique {
		if hasKey(n.Unique, k) {
			continue
		}
		w = clone(w)
		w.Unique = slices.DeleteFunc(w.Unique, func(o store.KeyColumns) bool { return o.Name == k.Name })
		p.s.put(w)
		p.emit(&Step{
			Title: fmt.Sprintf("%s: (%s) need no longer be unique", n.QualifiedName(), columnList(k.Columns)), Additive: true,
			changes: []store.Change{{Kind: store.DropIndex, Table: w, Key: k, Unique: true}},
		})
	}
	return nil
}

// addSearch adds fields to the full-text index. What the model no longer
// searches stays until dropSearch.
func (p *planner) addSearch(w, n *store.Table) error {
	if all := union(w, n); !sameFields(all, w.Search) {
		return p.search(w, n, all, true)
	}
	return nil
}

// union is the fields that the old or the new model searches.
func union(w, n *store.Table) []string {
	all := slices.Clone(n.Search)
	for _, f := range w.Search {
		if !slices.Contains(all, f) {
			all = append(all, f)
		}
	}
	return all
}

// search makes the full-text index one of the given fields.
func (p *planner) search(w, n *store.Table, fields []string, vital bool) error {
	s := &Step{Title: fmt.Sprintf("%s: search (%s)", n.QualifiedName(), strings.Join(fields, ", ")), Additive: true, vital: vital}
	if len(w.Search) > 0 {
		s.changes = append(s.changes, store.Change{Kind: store.DropSearch, Table: w})
	}
	w = clone(w)
	w.Search = fields
	p.s.put(w)
	if len(fields) > 0 {
		s.changes = append(s.changes, store.Change{Kind: store.CreateSearch, Table: w})
	} else {
		s.Title = n.QualifiedName() + ": no search"
	}
	p.emit(s)
	return nil
}
