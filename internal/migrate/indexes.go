package migrate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pandobase/pando/internal/store"
)

const (
	// lateIndexes is how many plain indexes a plan makes together with their
	// new tables. For each statement SQLite reads its whole schema, so that the
	// time to create a schema grows with its square: an application with more
	// than that serves its empty tables first.
	lateIndexes = 200
	// fewIndexes is how many indexes a plan makes as steps of their own.
	fewIndexes = 10
	// batchWait is the most that the steps of one batch are estimated to take,
	// unless one index alone takes longer.
	batchWait = 25 * time.Millisecond
)

// newIndexes is how many plain indexes the tables have that the plan creates.
func (p *planner) newIndexes() int {
	n := 0
	for _, t := range p.targets {
		if p.s.get(t.QualifiedName()) == nil {
			n += len(t.Index)
		}
	}
	return n
}

// missingIndexes is how many plain indexes the working schema lacks.
func (p *planner) missingIndexes() int {
	missing := 0
	for _, n := range p.targets {
		w := p.s.get(n.QualifiedName())
		if w == nil || p.given[n.QualifiedName()] {
			continue
		}
		for _, k := range n.Index {
			if !hasKey(w.Index, k) {
				missing++
			}
		}
	}
	return missing
}

// addIndexes makes new indexes, where they are not left to batchIndexes. One
// that changed under its name is replaced in the same step.
func (p *planner) addIndexes(w, n *store.Table) error {
	if p.batching {
		return nil
	}
	for _, k := range n.Index {
		if hasKey(w.Index, k) {
			continue
		}
		step := &Step{Title: fmt.Sprintf("%s: index (%s)", n.QualifiedName(), columnList(k.Columns)), Additive: true}
		before := w
		w = clone(w)
		if at := slices.IndexFunc(w.Index, func(o store.KeyColumns) bool { return o.Name == k.Name }); at >= 0 {
			step.changes = append(step.changes, store.Change{Kind: store.DropIndex, Table: before, Key: w.Index[at]})
			w.Index = slices.Delete(w.Index, at, at+1)
		}
		w.Index = append(w.Index, k)
		p.s.put(w)
		step.changes = append(step.changes, store.Change{Kind: store.CreateIndex, Table: w, Key: k})
		p.emit(step)
	}
	return nil
}

// batchIndexes makes the plain indexes that are still missing, as the last
// steps of the plan: nothing needs them but speed. Small tables share a step,
// since each one writes the manifest and makes every connection read the
// schema anew.
func (p *planner) batchIndexes() error {
	if !p.batching {
		return nil
	}
	var b batch
	for _, n := range p.targets {
		name := n.QualifiedName()
		if p.given[name] {
			continue
		}
		rows, err := p.count(name)
		if err != nil {
			return err
		}
		for _, k := range n.Index {
			w := p.s.get(name)
			if hasKey(w.Index, k) {
				continue
			}
			w = clone(w)
			w.Index = append(w.Index, k)
			c := store.Change{Kind: store.CreateIndex, Table: w, Key: k}
			if b.wait+cost(c, rows) > batchWait {
				b.emit(p)
			}
			p.s.put(w)
			b.wait += cost(c, rows)
			b.changes = append(b.changes, c)
		}
	}
	b.emit(p)
	return nil
}

// batch collects indexes for one step.
type batch struct {
	changes []store.Change
	wait    time.Duration
}

// emit makes a step of what was collected.
func (b *batch) emit(p *planner) {
	if len(b.changes) == 0 {
		return
	}
	const shown = 3
	var names []string
	for _, c := range b.changes[:min(shown, len(b.changes))] {
		names = append(names, fmt.Sprintf("%s (%s)", c.Table.QualifiedName(), columnList(c.Key.Columns)))
	}
	title := fmt.Sprintf("%d indexes: %s", len(b.changes), strings.Join(names, ", "))
	switch {
	case len(b.changes) == 1:
		title = fmt.Sprintf("%s: index (%s)", b.changes[0].Table.QualifiedName(), columnList(b.changes[0].Key.Columns))
	case len(b.changes) > shown:
		title += ", ..."
	}
	p.emit(&Step{Title: title, Additive: true, Late: true, changes: b.changes})
	*b = batch{}
}
