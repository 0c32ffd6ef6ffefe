package migrate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/store"
)

// samePartition reports whether rows lie alike in two descriptions of a table:
// by the same column of the same type, into as many parts, and with the same
// other table.
func samePartition(a, b *store.Table) bool {
	if (a.Partition == nil) != (b.Partition == nil) {
		return false
	}
	if a.Partition == nil {
		return true
	}
	x, y := a.Column(a.Partition.Column), b.Column(b.Partition.Column)
	return *a.Partition == *b.Partition && x != nil && y != nil && sameType(*x, *y) && carrier(a) == carrier(b)
}

// carrier names the reference that brings the partition key along; empty: none.
func carrier(t *store.Table) string {
	for i := range t.Refs {
		if fk := &t.Refs[i]; fk.Key != "" {
			return fk.Column + " " + target(fk)
		}
	}
	return ""
}

// dividing finds the tables that are to be divided otherwise than they are.
// Only empty ones can be: rows change their partition in a move.
func (p *planner) dividing() error {
	for _, n := range p.targets { // what is referred to comes first
		name := n.QualifiedName()
		w := p.s.get(name)
		if p.stored[name] == nil || samePartition(w, n) {
			continue
		}
		rows, err := p.count(name)
		if err != nil {
			return err
		}
		var reason []string
		switch {
		case rows > 0:
			reason = []string{fmt.Sprintf("%s holds %s, which a migration cannot bring to other partitions", name, counted(rows, "row"))}
		case slices.ContainsFunc(n.Refs, func(fk store.ForeignKey) bool { return fk.Key != "" && p.given[target(&fk)] }):
			p.given[name] = true // what it lies with says why
			continue
		default:
			p.divided = append(p.divided, n)
			continue
		}
		p.given[name] = true
		p.emit(&Step{
			Title: name + ": " + division(n), Blocked: reason,
			Hint: "it takes a move: `pando move --to URL` copies the rows into a store that is divided so, while the application serves",
		})
	}
	return nil
}

// division says how a table is divided.
func division(t *store.Table) string {
	switch {
	case t.Partition == nil:
		return "one table, not divided"
	case t.Partition.Column == model.PartitionColumn:
		for i := range t.Refs {
			if fk := &t.Refs[i]; fk.Key != "" {
				return fmt.Sprintf("lies with %s by %s", target(fk), fk.Column)
			}
		}
	}
	return fmt.Sprintf("divided by %s into %d", t.Partition.Column, t.Partition.Into)
}

// divide makes the empty tables anew that are to be divided otherwise: what
// refers is dropped before what is referred to, and made behind it.
func (p *planner) divide() error {
	is := func(name string) bool {
		return slices.ContainsFunc(p.divided, func(t *store.Table) bool { return t.QualifiedName() == name })
	}
	step := &Step{Additive: true, vital: true}
	var said []string
	for _, t := range slices.Backward(p.divided) {
		step.changes = append(step.changes, store.Change{Kind: store.DropTable, Table: p.s.get(t.QualifiedName())})
		step.guards = append(step.guards, guard{
			name: "divide " + t.QualifiedName(), what: "rows of " + t.QualifiedName(),
			count: &store.Statement{SQL: "SELECT count(*) FROM " + p.d.Table(t.Module, t.Entity)},
			table: p.s.get(t.QualifiedName()),
		})
	}
	for _, t := range p.divided {
		step.changes = append(step.changes, store.Change{Kind: store.CreateTable, Table: t})
		said = append(said, t.QualifiedName()+": "+division(t))
		for _, o := range p.s.tables {
			name := o.QualifiedName()
			if p.stored[name] != nil && !is(name) && slices.ContainsFunc(o.Refs, func(fk store.ForeignKey) bool { return target(&fk) == t.QualifiedName() }) {
				step.Blocked = append(step.Blocked, fmt.Sprintf("%s refers to %s", name, t.QualifiedName()))
				step.Hint = "drop that reference in a release of its own first"
			}
		}
	}
	if len(said) == 0 {
		return nil
	}
	step.Title = "make anew " + strings.Join(said, "; ")
	for _, t := range p.divided {
		if step.Blocked != nil {
			step.Additive, p.given[t.QualifiedName()] = false, true
			continue
		}
		p.s.put(t)
	}
	if step.Blocked != nil {
		step.changes, step.guards = nil, nil
	}
	p.emit(step)
	p.divided = nil
	return nil
}

// columnList writes the columns of a key for people, without what the model
// does not name.
func columnList(columns []string) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(columns), func(c string) bool { return c == model.PartitionColumn }), ", ")
}
