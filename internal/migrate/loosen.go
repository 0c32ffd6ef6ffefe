package migrate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// rebuild is a table made anew, since the database cannot change it in place.
type rebuild struct {
	step   *Step
	change store.Change
	said   []string
	needed bool // false: only the description changes
}

func (r *rebuild) say(format string, args ...any) {
	r.said = append(r.said, fmt.Sprintf(format, args...))
}

// loosen rebuilds a table whose columns change their type, may be null from
// now on, or refer otherwise, and then brings in everything else that the
// first part does on that table. A type that changes together with the keys
// that refer to it needs no order: references are checked at the part's end.
func (p *planner) loosen(w, n *store.Table) error {
	next := clone(w)
	r := &rebuild{
		step:   &Step{Additive: true},
		change: store.Change{Kind: store.RebuildTable, Old: w, Table: next, Convert: map[string]string{}},
	}
	for i := range next.Columns {
		if err := p.loosenColumn(r, &next.Columns[i], n); err != nil {
			return err
		}
	}
	for _, fk := range w.Refs {
		r.loosenRef(fk, refOf(n, fk.Column), n.Column(fk.Column) == nil)
	}
	for _, c := range n.Columns {
		// Each row needs a value of its own.
		r.needed = r.needed || p.online == nil && w.Column(c.Name) == nil && c.NotNull && c.Default == nil && p.fill(n.QualifiedName(), c.Name) != ""
	}
	switch {
	case r.needed && p.online != nil:
		if len(r.change.Convert) > 0 && r.step.Risk.Level != Loss {
			rows, err := p.count(n.QualifiedName())
			if err != nil {
				return err
			}
			r.step.Risk = Risk{Level: Rewrite, Rows: rows}
		}
		r.step.changes = []store.Change{r.change}
	case r.needed:
		if err := p.loosenRest(r, w, n); err != nil {
			return err
		}
		r.step.changes = []store.Change{r.change}
	case len(r.said) == 0:
		return nil
	}
	r.step.Title = n.QualifiedName() + ": " + strings.Join(r.said, "; ")
	p.s.put(r.change.Table)
	p.emit(r.step)
	return nil
}

// loosenRest takes along what else the first part does on a table.
func (p *planner) loosenRest(r *rebuild, w, n *store.Table) error {
	t := r.change.Table
	for _, c := range n.Columns {
		if w.Column(c.Name) != nil {
			continue
		}
		c, err := p.newColumn(r.step, n, c)
		if err != nil {
			return err
		}
		t = withColumn(t, n, c)
		r.step.vital = true
		if c.Fill != "" {
			r.say("add %s, filled with %s()", c.Name, c.Fill)
		} else {
			r.say("add %s", c.Name)
		}
	}
	for _, k := range w.Unique {
		if !hasKey(n.Unique, k) {
			r.say("(%s) need no longer be unique", columnList(k.Columns))
		}
	}
	t.Unique = slices.DeleteFunc(t.Unique, func(k store.KeyColumns) bool { return !hasKey(n.Unique, k) })
	if all := union(w, n); !sameFields(all, w.Search) {
		t.Search, r.step.vital = all, true
		r.say("search (%s)", strings.Join(all, ", "))
	}
	r.change.Table = t
	rows, err := p.count(n.QualifiedName())
	if r.step.Risk.Rows = rows; rows > 0 && r.step.Risk.Level != Loss {
		r.step.Risk.Level = Rewrite
	}
	return err
}

// loses notes values that the step loses, under the name that allows it.
func (s *Step) loses(name, what string) {
	s.Risk.Level, s.Additive = Loss, false
	s.Risk.Loses = append(s.Risk.Loses, what)
	s.Destructive = append(s.Destructive, name)
}

// loosenColumn changes one column of a rebuild's new table.
func (p *planner) loosenColumn(r *rebuild, c *store.Column, n *store.Table) error {
	nc := n.Column(c.Name)
	if nc == nil {
		if c.NotNull { // the new model does not write it
			r.step.vital = r.step.vital || !c.Filled
			c.NotNull, r.needed = false, true
			r.say("%s may be null until it is dropped", c.Name)
		}
		return nil
	}
	old := *c
	c.Default = nc.Default
	if c.NotNull && !nc.NotNull {
		c.NotNull, r.needed, r.step.vital = false, true, true
		r.say("%s may be null", c.Name)
	}
	if sameType(old, *nc) {
		return nil
	}
	sql, lost, same := p.d.Convert(old, *nc, p.d.Ident(c.Name))
	if same {
		return nil // note says so in the end
	}
	c.Kind, c.List, c.Scale, c.Enum = nc.Kind, nc.List, nc.Scale, nc.Enum
	r.step.Additive, r.step.vital = false, true
	r.say("%s becomes %s", c.Name, typeName(*nc))
	if lost != "" {
		if err := p.losses(r.step, n, old, *nc); err != nil {
			return err
		}
	}
	// Words that are all allowed are stored as they are.
	if nc.Kind == value.Enum.String() && p.d.StorageType(old) == p.d.StorageType(*nc) && old.List == nc.List && len(r.step.Destructive) == 0 {
		return nil
	}
	r.needed = true
	r.change.Convert[c.Name] = sql
	return nil
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
		table: p.s.get(n.QualifiedName()), lost: lost,
	})
	stored := p.columns[n.QualifiedName()][c.Name]
	if stored == "" {
		return nil
	}
	x, table := p.d.Ident(stored), p.storedTable(n.QualifiedName())
	sql, lost, _ := p.d.Convert(old, c, x)
	count, err := p.ask("SELECT count(*) FROM " + table + " WHERE " + lost)
	if err != nil || count == 0 {
		return err
	}
	example, err := p.text("SELECT " + p.d.JSONText(old.Type(), true, x) + " FROM " + table + " WHERE " + lost + " LIMIT 1")
	if err != nil {
		return err
	}
	failing, err := p.ask("SELECT count(*) FROM " + table + " WHERE " + x + " IS NOT NULL AND (" + sql + ") IS NULL")
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
		r.needed = true
		r.say("%s is no longer checked to refer to %s", fk.Column, target(&fk))
	case target(want) == target(&fk) && want.TargetColumn == fk.TargetColumn:
		*refOf(t, fk.Column) = *want
		r.needed = true
		r.say("%s: on_delete becomes %s", fk.Column, want.OnDelete)
	default:
		withoutRef(t, fk.Column)
		r.needed = true
		r.say("%s no longer refers to %s", fk.Column, target(&fk))
	}
}

func sameType(a, b store.Column) bool {
	return a.Kind == b.Kind && a.List == b.List && a.Scale == b.Scale && slices.Equal(a.Enum, b.Enum)
}

// typeName is a type as messages and --allow write it; an enum by its words,
// since that is what differs between two.
func typeName(c store.Column) string {
	if len(c.Enum) > 0 {
		name := c.Kind + "(" + strings.Join(c.Enum, ",") + ")"
		if c.List {
			name += "[]"
		}
		return name
	}
	return c.Type().String()
}

func verb(n int64, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
