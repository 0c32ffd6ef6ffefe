package migrate

import (
	"time"

	"github.com/pandobase/pando/internal/store"
)

// stage plans how an online database makes a step: what runs ahead of its
// transaction, and that.
func (p *planner) stage(s *Step) {
	a := p.online.Alteration(s.changes, p.counted, p.opt.Direct)
	s.SQL, s.Locks = append(s.SQL, a.SQL...), a.Locks
	for i := range s.guards {
		g := &s.guards[i]
		g.freeze = p.online.Freeze(g.table)
		if a.Locks == "" && g.lost != "" && p.counted(g.table) > p.opt.Direct {
			g.staged = true
			s.stages = append(s.stages, planned{p.online.Forbid(g.table, g.lost), g})
		}
	}
	for _, st := range a.Before {
		s.stages = append(s.stages, planned{stage: st})
	}
	for _, st := range s.stages {
		s.Before = append(s.Before, st.stage.Statements()...)
	}
	if len(s.stages) > 0 && p.part < laterParts && p.touched(s) {
		p.part++
	}
}

// counted is count for a dialect; emit reports its error.
func (p *planner) counted(t *store.Table) int64 {
	n, err := p.count(t.QualifiedName())
	if err != nil && p.err == nil {
		p.err = err
	}
	return n
}

// touched reports whether an earlier step of the part changes a table of s: its
// stages run ahead of that, and would not find what they work on.
func (p *planner) touched(s *Step) bool {
	tables := map[string]bool{}
	for _, c := range s.changes {
		tables[c.Table.QualifiedName()] = true
		for _, fk := range c.Table.Refs {
			tables[target(&fk)] = true
		}
	}
	for _, o := range p.plan.Steps {
		if o.Part != p.part {
			continue
		}
		for _, c := range o.changes {
			if tables[c.Table.QualifiedName()] {
				return true
			}
		}
	}
	return false
}

// cost estimates how long others wait for a change. A large table that is
// changed in stages makes nobody wait for its rows.
func (p *planner) cost(c store.Change) time.Duration {
	rows := p.counted(c.Table)
	if p.online == nil {
		return cost(c, rows)
	}
	switch c.Kind { //nolint:exhaustive // the others change the catalog alone
	case store.CreateIndex, store.RebuildTable, store.CreateSearch:
		if rows <= p.opt.Direct {
			return cost(c, rows)
		}
	}
	return tableCost
}
