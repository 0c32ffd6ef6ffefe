package store

import (
	"strings"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
)

// rule adds a condition of the application's own to those of the level.
func (l *level) rule(e query.Expr) error {
	sql, err := l.judge(e)
	if err == nil && sql != "" {
		l.conds = append(l.conds, sql)
	}
	if e != nil {
		trusted := *l
		trusted.trusted = true
		l.keyed = l.keyed || trusted.binds(e)
	}
	return err
}

// judge compiles a rule about the level's row. The row passes where the text
// is true; false and null are one. A rule that always holds is the empty text.
func (l *level) judge(e query.Expr) (string, error) {
	if e == nil {
		return "", nil
	}
	trusted, nots := l.trusted, l.nots
	l.trusted, l.nots = true, 0
	defer func() { l.trusted, l.nots = trusted, nots }()
	return l.expr(e)
}

// visible reports whether the caller may name a field. The plan then depends
// on what the caller sees of the entity.
func (l *level) visible(f *model.Field) bool { return l.trusted || l.c.visible(f) }

func (c *compiler) visible(f *model.Field) bool {
	c.depends(policy.Use{Entity: f.Entity, Rule: policy.RuleRead})
	return c.guard.Visible(f)
}

// masked is a field of a level.
type masked struct {
	l *level
	f *model.Field
}

// mask is the condition under which the caller reads a field's value; empty:
// in every row. It is written once for a level, so that two mentions of the
// field are the same text to GROUP BY.
func (l *level) mask(f *model.Field) (string, error) {
	if l.trusted || f.Read == nil {
		return "", nil
	}
	at := masked{l, f}
	if sql, ok := l.c.masks[at]; ok {
		return sql, nil
	}
	rule, err := l.c.rule(policy.Use{Entity: f.Entity, Rule: policy.RuleMask, Field: f})
	if err != nil {
		return "", err
	}
	sql, err := l.judge(rule)
	if err != nil {
		return "", err
	}
	if l.c.masks == nil {
		l.c.masks = map[masked]string{}
	}
	l.c.masks[at] = sql
	return sql, nil
}

// read is a field's value as the caller may know it: null in the rows whose
// value is not the caller's to read.
func (l *level) read(f *model.Field) (sql string, masked bool, err error) {
	mask, err := l.mask(f)
	if err != nil || mask == "" {
		return l.col(f), false, err
	}
	return l.c.d.Where(mask, l.col(f)), true, nil
}

// linked is the condition that a field of this level, the foreign key of a
// relation, leads to a key. It names the bare column, which has an index.
func (l *level) linked(f *model.Field, to *level, key *model.Field) (string, error) {
	mask, err := l.mask(f)
	if err != nil || mask == "" {
		return l.equal(f, to, key), err
	}
	return l.equal(f, to, key) + " AND (" + mask + ")", nil
}

// outward is the level that a reference of a rule counts from: up of those
// that [query.Exists] has opened around it.
func (l *level) outward(up int) (*level, error) {
	at := l
	for range up {
		if at = at.outer; at == nil {
			return nil, broken("a rule refers to a row around it that is not there")
		}
	}
	return at, nil
}

func broken(what string) error {
	return fault.New(fault.Internal, "an internal error occurred").WithDetails("%s", what)
}

// referred compiles a field that a rule names.
func (l *level) referred(ref *query.FieldRef) (place, error) {
	if len(ref.Via) == 0 && ref.Up == 0 && !ref.Old {
		return l.path(ref.Path)
	}
	if !l.trusted {
		return place{}, fault.New(fault.NotImplemented, "a path over relations cannot be part of this condition")
	}
	at, err := l.outward(ref.Up)
	if err != nil {
		return place{}, err
	}
	if at = at.before(ref.Old); len(ref.Via) == 0 {
		return at.path(ref.Path)
	}
	if at.alias != "" && at.reachesKey(ref) { // no need to go there
		return place{sql: at.partitionKey(), typ: at.e.PartitionKey().Type}, nil
	}
	w, err := at.walk(ref.Via)
	if err != nil {
		return place{}, err
	}
	p, err := w.end.path(ref.Path)
	if err != nil {
		return place{}, err
	}
	return place{sql: "(SELECT " + p.sql + w.text() + ")", typ: p.typ}, nil
}

// before is the level of the stored row where a rule asks for it.
func (l *level) before(old bool) *level {
	if !old || l.given == nil {
		return l
	}
	stored := *l
	stored.given = nil
	return &stored
}

// walk is a way over relations that begins at a level's row.
type walk struct {
	from  string // FROM's text
	conds []string
	end   *level
}

func (w *walk) text() string {
	return " FROM " + w.from + " WHERE " + strings.Join(w.conds, " AND ")
}

// walk goes over to-one relations.
func (l *level) walk(via []string) (*walk, error) {
	w := &walk{end: l}
	for _, name := range via {
		rel, err := l.c.way(w.end.e, name, true)
		if err != nil {
			return nil, err
		}
		if err := w.step(rel); err != nil {
			return nil, err
		}
		w.end.settle()
	}
	return w, nil
}

// step goes on over one relation of the end's.
func (w *walk) step(rel *model.Relation) error {
	near := w.end
	c, key := near.c, rel.Local
	if c.alias > maxRelations {
		return tooManyRelations()
	}
	c.looked = judgedBy(c.looked, rel.To)
	if rel.Cardinality == model.ManyToMany {
		c.looked = judgedBy(c.looked, rel.Via)
		via := &level{c: c, e: rel.Via, alias: c.newAlias()}
		w.join(via.from(), via.equal(rel.ViaLocal, near, key)+near.tie(via, rel.ViaLocal, rel.ViaLocal))
		via.settle()
		near, key = via, rel.ViaForeign
	}
	w.end = &level{c: c, e: rel.To, alias: c.newAlias(), trusted: true}
	w.join(w.end.from(), w.end.equal(rel.Foreign, near, key)+near.tie(w.end, rel.Ref, rel.Foreign))
	return nil
}

func (w *walk) join(table, on string) {
	if w.from == "" {
		w.from, w.conds = table, []string{on}
		return
	}
	w.from += " JOIN " + table + " ON " + on
}

// way finds the relation that a rule names. What a caller may see is no matter.
func (c *compiler) way(e *model.Entity, name string, one bool) (*model.Relation, error) {
	var found *model.Relation
	for _, r := range e.Relations {
		if r.Name != name || one && r.Cardinality != model.ToOne {
			continue
		}
		if found != nil {
			return nil, broken("two relations of " + e.QualifiedName() + " are called " + name)
		}
		found = r
	}
	if found == nil {
		return nil, broken(e.QualifiedName() + " has no relation " + name)
	}
	return found, nil
}

// anyRow compiles the or of a condition over a relation's rows. A rule asks
// only whether it is true: under an even number of negations an unknown row is
// as good as a false one, under an odd number as a true one. With that, the
// database's EXISTS, which knows no unknown, agrees with the or of three-valued
// logic wherever the rule as a whole is true.
func (l *level) anyRow(e *query.Exists) (string, error) {
	if !l.trusted {
		return "", fault.New(fault.NotImplemented, "a condition on a relation's rows cannot be part of this filter")
	}
	at, err := l.outward(e.Up)
	if err != nil {
		return "", err
	}
	w, err := at.before(e.Old).walk(e.Via)
	if err != nil {
		return "", err
	}
	rel, err := l.c.way(w.end.e, e.Relation, false)
	if err != nil {
		return "", err
	}
	if err := w.step(rel); err != nil {
		return "", err
	}
	if e.Where != nil {
		w.end.outer, w.end.nots = l, l.nots
		w.end.keyed = w.end.binds(e.Where)
		cond, err := w.end.expr(e.Where)
		if err != nil {
			return "", err
		}
		if l.nots%2 == 1 {
			cond = "coalesce(" + cond + "," + l.c.d.Bool(true) + ")"
		}
		w.conds = append(w.conds, cond)
	}
	w.end.settle()
	return "EXISTS (SELECT 1" + w.text() + ")", nil
}
