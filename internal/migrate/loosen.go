package migrate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pandobase/pando/internal/store"
)

// rebuild is one table's part of a step that changes what a database cannot
// change in place.
type rebuild struct {
	change  store.Change
	said    []string
	step    *Step // of it alone: risk, names, reasons
	primary bool  // the primary key's type changes
}

// loosen rebuilds the tables whose columns change their type, may be null from
// now on, or refer otherwise. When a primary key changes its type, what refers
// to it does too: then one step takes them all, so that every reference holds
// when it is checked.
func (p *planner) loosen() error {
	var all []*rebuild
	err := p.each(func(w, n *store.Table) error {
		r, err := p.rebuildOf(w, n)
		if r != nil {
			all = append(all, r)
		}
		return err
	})
	if err != nil {
		return err
	}
	together := slices.ContainsFunc(all, func(r *rebuild) bool { return r.primary })
	joined := &Step{Additive: true, Risk: Risk{Level: None}}
	for _, r := range all {
		p.s.put(r.change.Table)
		r.step.Title = r.change.Table.QualifiedName() + ": " + strings.Join(r.said, "; ")
		r.step.changes = []store.Change{r.change}
		if !together {
			p.emit(r.step)
			continue
		}
		joined.join(r.step)
	}
	if together {
		p.emit(joined)
	}
	return nil
}

// join adds what another step does.
func (s *Step) join(o *Step) {
	if s.Title != "" {
		s.Title += "; "
	}
	s.Title += o.Title
	s.changes, s.guards = append(s.changes, o.changes...), append(s.guards, o.guards...)
	s.Additive = s.Additive && o.Additive
	s.Destructive, s.Blocked = append(s.Destructive, o.Destructive...), append(s.Blocked, o.Blocked...)
	if s.Hint == "" {
		s.Hint = o.Hint
	}
	s.Risk.Rows += o.Risk.Rows
	s.Risk.Loses = append(s.Risk.Loses, o.Risk.Loses...)
	if o.Risk.Level == Loss || s.Risk.Level == None {
		s.Risk.Level = o.Risk.Level
	}
}

// loses notes values that the step loses, under the name that allows it.
func (s *Step) loses(name, what string) {
	s.Risk.Level, s.Additive = Loss, false
	s.Risk.Loses = append(s.Risk.Loses, what)
	s.Destructive = append(s.Destructive, name)
}

// rebuildOf returns what loosen has to do for one table, nil for nothing.
func (p *planner) rebuildOf(w, n *store.Table) (*rebuild, error) {
	next := clone(w)
	r := &rebuild{
		step:   &Step{Additive: true, Risk: Risk{Level: Rewrite}},
		change: store.Change{Kind: store.RebuildTable, Old: w, Table: next, Convert: map[string]string{}},
	}
	for i := range next.Columns {
		if err := p.loosenColumn(r, &next.Columns[i], n); err != nil {
			return nil, err
		}
	}
	for _, c := range n.Columns {
		if next.Column(c.Name) != nil {
			continue
		}
		c.Fill = p.fill(n.QualifiedName(), c.Name) // addColumns left it: each row needs a value of its own
		next.Columns = append(next.Columns, c)
		if fk := refOf(n, c.Name); fk != nil {
			next.Refs = append(next.Refs, *fk)
		}
		r.said = append(r.said, fmt.Sprintf("add %s, filled with %s()", c.Name, c.Fill))
	}
	for _, fk := range w.Refs {
		r.loosenRef(fk, refOf(n, fk.Column), n.Column(fk.Column) == nil)
	}
	if len(r.said) == 0 {
		return nil, nil //nolint:nilnil // nothing to do is no error
	}
	rows, err := p.count(n.QualifiedName())
	r.step.Risk.Rows = rows
	if rows == 0 && r.step.Risk.Level == Rewrite {
		r.step.Risk.Level = None
	}
	return r, err
}

// loosenColumn changes one column of a rebuild's new table.
func (p *planner) loosenColumn(r *rebuild, c *store.Column, n *store.Table) error {
	nc := n.Column(c.Name)
	if nc == nil {
		if c.NotNull {
			c.NotNull = false // the new model does not write it
			r.said = append(r.said, c.Name+" may be null until it is dropped")
		}
		return nil
	}
	old := *c
	c.Default = nc.Default
	if c.NotNull && !nc.NotNull {
		c.NotNull = false
		r.said = append(r.said, c.Name+" may be null")
	}
	if sameType(old, *nc) {
		return nil
	}
	sql, lost, same := p.d.Convert(old, *nc, p.d.Ident(c.Name))
	if same {
		return nil // note says so in the end
	}
	c.Kind, c.List, c.Scale, c.Enum = nc.Kind, nc.List, nc.Scale, nc.Enum
	r.change.Convert[c.Name] = sql
	r.step.Additive = false
	r.primary = r.primary || c.Name == n.Primary
	r.said = append(r.said, fmt.Sprintf("%s becomes %s", c.Name, typeName(*nc)))
	if lost == "" {
		return nil
	}
	return p.losses(r.step, n, old, *nc)
}

// losses counts the values that a conversion loses, and those of them that a
// required field would be left without.
func (p *planner) losses(s *Step, n *store.Table, old, c store.Column) error {
	full := n.QualifiedName() + "." + c.Name
	name := "convert " + full + " to " + typeName(c)
	_, lost, _ := p.d.Convert(old, c, p.d.Ident(c.Name))
	s.guards = append(s.guards, guard{
		name: name, what: "values of " + full + " that are not " + typeName(c),
		count: &store.Statement{SQL: "SELECT count(*) FROM " + p.d.Table(n.Module, n.Entity) + " WHERE " + lost},
	})
	stored := p.columns[n.QualifiedName()][c.Name]
	if stored == "" {
		return nil
	}
	x, table := p.d.Ident(stored), p.storedTable(n.QualifiedName())
	sql, lost, _ := p.d.Convert(old, c, x)
	count, err := p.number("SELECT count(*) FROM " + table + " WHERE " + lost)
	if err != nil || count == 0 {
		return err
	}
	example, err := p.text("SELECT " + p.d.JSONText(old.Type(), true, x) + " FROM " + table + " WHERE " + lost + " LIMIT 1")
	if err != nil {
		return err
	}
	failing, err := p.number("SELECT count(*) FROM " + table + " WHERE " + x + " IS NOT NULL AND (" + sql + ") IS NULL")
	if err != nil {
		return err
	}
	s.loses(name, fmt.Sprintf("%s of %s that %s not survive as %s, like %s", counted(count, "value"), full, verb(count, "does", "do"), typeName(c), example))
	if failing > 0 && c.NotNull && c.Default == nil {
		s.Blocked = append(s.Blocked, fmt.Sprintf("%s of %s %s no %s, like %s, and the field is required", counted(failing, "value"), full, verb(failing, "is", "are"), typeName(c), example))
		s.Hint = "change those values first, or make the field optional or give it a default"
	}
	return nil
}

// loosenRef drops or changes a reference. Another target is a new reference,
// which tighten adds.
func (r *rebuild) loosenRef(fk store.ForeignKey, want *store.ForeignKey, dropped bool) {
	t := r.change.Table
	switch {
	case dropped || want != nil && *want == fk:
	case want == nil:
		withoutRef(t, fk.Column)
		r.said = append(r.said, fk.Column+" is no longer checked to refer to "+target(&fk))
	case target(want) == target(&fk) && want.TargetColumn == fk.TargetColumn:
		*refOf(t, fk.Column) = *want
		r.said = append(r.said, fmt.Sprintf("%s: on_delete becomes %s", fk.Column, want.OnDelete))
	default:
		withoutRef(t, fk.Column)
		r.said = append(r.said, fk.Column+" no longer refers to "+target(&fk))
	}
}

func sameType(a, b store.Column) bool {
	return a.Kind == b.Kind && a.List == b.List && a.Scale == b.Scale && slices.Equal(a.Enum, b.Enum)
}

// typeName is a type as messages and --allow write it; an enum by its words,
// since that is what differs between two.
func typeName(c store.Column) string {
	if len(c.Enum) > 0 {
		return c.Type().String() + "(" + strings.Join(c.Enum, ",") + ")"
	}
	return c.Type().String()
}

func verb(n int64, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
