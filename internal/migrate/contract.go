package migrate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pandobase/pando/internal/store"
)

// tighten makes columns required and adds references that are new on columns
// that were there.
func (p *planner) tighten(w, n *store.Table) error {
	name := n.QualifiedName()
	next := clone(w)
	s := &Step{Additive: true}
	var said []string
	for i := range next.Columns {
		c := &next.Columns[i]
		nc := n.Column(c.Name)
		if nc == nil || !nc.NotNull || c.NotNull {
			continue
		}
		c.NotNull, c.Default, c.Fill = true, nc.Default, p.fill(name, c.Name)
		c.Filled = nc.Filled || c.Fill != ""
		said = append(said, c.Name+" is required")
		if err := p.fillNulls(s, name, *c); err != nil {
			return err
		}
	}
	for _, fk := range n.Refs {
		if refOf(next, fk.Column) != nil {
			continue
		}
		next.Refs = append(next.Refs, fk)
		said = append(said, fk.Column+" refers to "+target(&fk))
		if err := p.orphans(s, n, fk); err != nil {
			return err
		}
	}
	if len(said) == 0 {
		return nil
	}
	rows, err := p.count(name)
	if err != nil {
		return err
	}
	if rows > 0 && p.online == nil {
		s.Risk = Risk{Level: Rewrite, Rows: rows}
	}
	p.s.put(next)
	s.Title = name + ": " + strings.Join(said, "; ")
	s.changes = []store.Change{{Kind: store.RebuildTable, Old: w, Table: next}}
	p.emit(s)
	return nil
}

// fillNulls looks at the nulls of a field that becomes required.
func (p *planner) fillNulls(s *Step, name string, c store.Column) error {
	stored := p.columns[name][c.Name]
	if stored == "" {
		return nil // addColumns looked at it
	}
	nulls, err := p.ask("SELECT count(*) FROM " + p.storedTable(name) + " WHERE " + p.d.Ident(stored) + " IS NULL")
	if err != nil || nulls == 0 {
		return err
	}
	if c.Default != nil || c.Fill != "" {
		s.Additive = false // values change, though none is lost
		s.Risk = Risk{Level: Rewrite, Rows: s.Risk.Rows + nulls}
		return nil
	}
	s.Blocked = append(s.Blocked, fmt.Sprintf("%s.%s is required, and %s of it %s null", name, c.Name, counted(nulls, "value"), verb(nulls, "is", "are")))
	s.Hint = "fill those first, or give the field a default"
	return nil
}

// orphans looks for values that refer to nothing.
func (p *planner) orphans(s *Step, n *store.Table, fk store.ForeignKey) error {
	name := n.QualifiedName()
	stored := p.columns[name][fk.Column]
	if stored == "" {
		return nil // its values come with the migration
	}
	x, table := "c."+p.d.Ident(stored), p.storedTable(name)+" AS c"
	where := " FROM " + table + " WHERE " + x + " IS NOT NULL"
	if key := p.columns[target(&fk)][fk.TargetColumn]; key != "" {
		where += " AND NOT EXISTS (SELECT 1 FROM " + p.storedTable(target(&fk)) + " AS t WHERE t." + p.d.Ident(key) + " = " + x + ")"
	}
	count, err := p.ask("SELECT count(*)" + where)
	if err != nil || count == 0 {
		return err
	}
	typ := p.stored[name].Column(stored).Type()
	example, err := p.text("SELECT " + p.d.JSONText(typ, true, x) + where + " LIMIT 1")
	if err != nil {
		return err
	}
	s.Blocked = append(s.Blocked, fmt.Sprintf("%s of %s.%s %s to no row of %s, like %s",
		counted(count, "value"), name, fk.Column, verb(count, "refers", "refer"), target(&fk), example))
	s.Hint = "correct or delete those rows first, or make the reference loose"
	return nil
}

// addUnique makes new uniqueness rules, after a look for duplicates.
func (p *planner) addUnique(w, n *store.Table) error {
	for _, k := range n.Unique {
		if hasKey(w.Unique, k) {
			continue
		}
		s := &Step{Title: fmt.Sprintf("%s: (%s) must be unique", n.QualifiedName(), columnList(k.Columns)), Additive: true}
		if err := p.duplicates(s, n, k); err != nil {
			return err
		}
		w = clone(w)
		w.Unique = append(w.Unique, k)
		p.s.put(w)
		s.changes = []store.Change{{Kind: store.CreateIndex, Table: w, Key: k, Unique: true}}
		p.emit(s)
	}
	return nil
}

// duplicates looks for rows that a new uniqueness rule would refuse. Rows with
// a null in the key are never equal.
func (p *planner) duplicates(s *Step, n *store.Table, k store.KeyColumns) error {
	name := n.QualifiedName()
	var cols, shown, present []string
	for _, column := range k.Columns {
		stored := p.columns[name][column]
		if stored == "" {
			c := n.Column(column)
			if c.Default == nil && p.fill(name, column) != store.FillNow {
				return nil // null, or a value of its own, in each row
			}
			continue // the same value in each row
		}
		x := p.d.Ident(stored)
		cols = append(cols, x)
		shown = append(shown, p.d.JSONText(p.stored[name].Column(stored).Type(), true, x))
		present = append(present, x+" IS NOT NULL")
	}
	sql := " FROM " + p.storedTable(name)
	if len(cols) > 0 {
		sql += " WHERE " + strings.Join(present, " AND ") + " GROUP BY " + strings.Join(cols, ", ")
	}
	sql += " HAVING count(*) > 1"
	var example []string
	var times int64
	err := p.r.Query(&store.Statement{SQL: "SELECT count(*)" + prefixed(shown) + sql + " LIMIT 1"}, nil, func(row store.Row) error {
		times = row.Int(0)
		for i := range shown {
			example = append(example, string(row.Append(nil, i+1)))
		}
		return nil
	})
	if err != nil || times == 0 {
		return err
	}
	s.Blocked = []string{fmt.Sprintf("%s has duplicates: (%s) = (%s) occurs %d times", name, columnList(k.Columns), strings.Join(example, ", "), times)}
	s.Hint = "change or delete the duplicates first"
	return nil
}

func prefixed(columns []string) string {
	if len(columns) == 0 {
		return ""
	}
	return ", " + strings.Join(columns, ", ")
}

// dropSearch takes the fields out of the full-text index that the model no
// longer searches: the old one did.
func (p *planner) dropSearch(w, n *store.Table) error {
	if sameFields(w.Search, n.Search) {
		return nil
	}
	return p.search(w, n, n.Search, false)
}

// dropIndexes drops the plain indexes that the model no longer has.
func (p *planner) dropIndexes(w, n *store.Table) error {
	for _, k := range w.Index {
		if hasKey(n.Index, k) {
			continue
		}
		w = clone(w)
		w.Index = slices.DeleteFunc(w.Index, func(o store.KeyColumns) bool { return o.Name == k.Name })
		p.s.put(w)
		p.emit(&Step{
			Title: fmt.Sprintf("%s: drop the index (%s)", n.QualifiedName(), columnList(k.Columns)), Additive: true,
			changes: []store.Change{{Kind: store.DropIndex, Table: w, Key: k}},
		})
	}
	return nil
}

// dropColumns drops the fields that the model no longer has.
func (p *planner) dropColumns(w, n *store.Table) error {
	name := n.QualifiedName()
	for _, c := range w.Columns {
		if n.Column(c.Name) != nil {
			continue
		}
		full := name + "." + c.Name
		rows, err := p.count(name)
		if err != nil {
			return err
		}
		values, err := p.ask("SELECT count(" + p.d.Ident(p.columns[name][c.Name]) + ") FROM " + p.storedTable(name))
		if err != nil {
			return err
		}
		s := &Step{Title: "drop " + full, Risk: Risk{Rows: rows}, guards: []guard{{
			name: "drop " + full, what: "values of " + full,
			count: &store.Statement{SQL: "SELECT count(" + p.d.Ident(c.Name) + ") FROM " + p.d.Table(n.Module, n.Entity)},
			table: w, lost: p.d.Ident(c.Name) + " IS NOT NULL",
		}}}
		if rows > 0 && p.online == nil {
			s.Risk.Level = Rewrite
		}
		if values > 0 {
			s.loses("drop "+full, counted(values, "value")+" of "+full)
		}
		w = clone(w)
		w.Columns = slices.DeleteFunc(w.Columns, func(o store.Column) bool { return o.Name == c.Name })
		withoutRef(w, c.Name)
		p.s.put(w)
		s.changes = []store.Change{{Kind: store.DropColumn, Table: w, Column: c}}
		p.emit(s)
	}
	return nil
}

// dropTables drops the entities that the model no longer has, what refers
// before what is referred to. Those that refer to each other go in one part.
func (p *planner) dropTables() error {
	var gone []*store.Table
	for _, t := range p.s.tables {
		if name := t.QualifiedName(); p.wanted[name] == nil && !p.foreign[name] {
			gone = append(gone, t)
		}
	}
	for len(gone) > 0 {
		now, part := gone, p.part
		free := slices.IndexFunc(gone, func(t *store.Table) bool {
			return !slices.ContainsFunc(gone, func(o *store.Table) bool {
				return o != t && slices.ContainsFunc(o.Refs, func(fk store.ForeignKey) bool { return target(&fk) == t.QualifiedName() })
			})
		})
		if free >= 0 {
			now = gone[free : free+1]
		}
		for _, t := range now {
			s, err := p.dropTable(t)
			if err != nil {
				return err
			}
			p.emit(s)
			s.Part = part
		}
		if free < 0 {
			return nil
		}
		gone = slices.Delete(slices.Clone(gone), free, free+1)
	}
	return nil
}

func (p *planner) dropTable(t *store.Table) (*Step, error) {
	name := t.QualifiedName()
	rows, err := p.count(name)
	if err != nil {
		return nil, err
	}
	s := &Step{
		Title: "drop " + name, changes: []store.Change{{Kind: store.DropTable, Table: t}}, Risk: Risk{Level: None},
		guards: []guard{{name: "drop " + name, what: "rows of " + name, count: &store.Statement{SQL: "SELECT count(*) FROM " + p.d.Table(t.Module, t.Entity)}, table: t}},
	}
	if rows > 0 {
		s.loses("drop "+name, counted(rows, "row")+" of "+name)
	}
	p.s.remove(name)
	return s, nil
}

// noted is what a note writes of a table: not what is made by other steps.
func (p *planner) noted(w, n *store.Table) *store.Table {
	if p.opt.Expand {
		all := clone(w)
		for i := range all.Columns {
			c := &all.Columns[i]
			if o := n.Column(c.Name); o != nil {
				c.Kind, c.Enum = o.Kind, o.Enum
			}
		}
		return all
	}
	n = clone(n)
	for i := range n.Columns {
		c := &n.Columns[i]
		if o := w.Column(c.Name); o != nil {
			c.Filled = c.Filled || o.Filled
		}
	}
	if p.batching {
		n.Index = w.Index // batchIndexes completes it
	}
	return n
}

// note keeps in the manifest what changed in the model without a change of the
// database: another word in an enum, an enum that becomes text.
func (p *planner) note() {
	var said []string
	for _, n := range p.targets {
		name := n.QualifiedName()
		w := p.s.get(name)
		n = p.noted(w, n)
		if p.given[name] || sameTable(w, n) {
			continue
		}
		p.s.put(n)
		for _, c := range n.Columns {
			if o := w.Column(c.Name); o != nil && !sameType(*o, c) {
				said = append(said, fmt.Sprintf("%s.%s becomes %s", name, c.Name, typeName(c)))
			}
		}
	}
	for name := range p.foreign {
		if p.s.get(name) != nil {
			p.s.remove(name)
			said = append(said, name+" is no longer managed")
		}
	}
	if len(said) == 0 {
		return
	}
	slices.Sort(said)
	p.emit(&Step{Title: "note: " + strings.Join(said, "; "), Additive: true})
}
