package store

import (
	"strings"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/value"
)

// maxRelations bounds what one statement reads from. SQLite joins at most 64
// tables and takes longer with every one to choose their order (0.3 s for 60).
const maxRelations = 50

func tooManyRelations() error {
	return fault.New(fault.LimitExceeded, "more than %d relations in one query, those of its policies included", maxRelations).
		WithHint("embed fewer of them, or read the others with a query of their own")
}

// embed adds a relation: at most one row is joined, so that its columns stand
// beside the others; many rows become an array in a subquery of their own.
func (l *level) embed(em *query.Embed) error {
	rel, err := l.relation(em.Relation, em.Hint)
	if err != nil {
		return err
	}
	if l.c.alias > maxRelations {
		return tooManyRelations()
	}
	x := &embedded{item: em, rel: rel}
	if l.embeds[em.Name()] != nil {
		return fault.New(fault.DuplicateField, "the name '%s' is selected twice", em.Name()).
			WithHint("give one of them an alias: 'other:%s(...)'", rel)
	}
	l.embeds[em.Name()] = x
	one := rel.Cardinality == model.ToOne || rel.Unique
	if em.Join == query.Inner && (l.exists || !one || !l.inner) {
		cond, err := l.partner(x)
		if err != nil {
			return err
		}
		l.conds = append(l.conds, cond)
		l.keyed = l.keyed || x.keyed
	}
	switch {
	case l.exists:
		return nil
	case one:
		return l.joinOne(x)
	case em.Spread:
		return fault.New(fault.SpreadNotToOne, "A spread operation on '%s' is not possible", em.Name()).
			WithDetails("'%s' and '%s' do not form a many-to-one or one-to-one relationship", l.e, rel.To)
	}
	return l.array(x)
}

// joinOne joins the one row that a relation leads to.
func (l *level) joinOne(x *embedded) error {
	em, rel := x.item, x.rel
	if len(em.Node.Connection) > 0 || em.Node.After != nil || em.Node.Before != nil {
		return fault.New(fault.NotImplemented, "'%s' is one row at most: it has no connection", em.Name())
	}
	if em.Node.Page.Limit != nil || em.Node.Page.Offset != 0 {
		return fault.New(fault.NotImplemented, "limit and offset have no meaning on '%s': it is one row at most", em.Name())
	}
	sub := &level{c: l.c, e: rel.To, alias: l.c.newAlias(), depth: l.depth + 1, inner: l.inner && em.Join == query.Inner}
	x.lvl = sub
	var on strings.Builder
	_, tie, err := l.link(rel, sub)
	if err != nil {
		return err
	}
	on.WriteString(tie)
	if err := sub.fill(&em.Node); err != nil {
		return err
	}
	err = l.c.dry(func() error { // one row has no order, but a wrong one is still an error
		_, err := sub.orderTerms(em.Node.Order)
		return err
	})
	if err != nil {
		return err
	}
	sub.settle()
	l.keyed = l.keyed || sub.inner && sub.keyed && rel.Ref.Colocates()
	if sub.aggregated {
		return fault.New(fault.NotImplemented, "aggregates inside the to-one relation '%s' are not supported", em.Name())
	}
	for _, cond := range sub.conds {
		on.WriteString(" AND " + cond)
	}
	kind := "LEFT JOIN "
	if sub.inner {
		kind = "JOIN "
	}
	l.joins = append(append(l.joins, kind+sub.from()+" ON "+on.String()), sub.joins...)
	present := sub.col(rel.To.Primary)
	if em.Spread {
		for _, col := range sub.out {
			col.notNull = col.notNull && sub.inner
			if col.json && !sub.inner {
				col.json, col.typ = false, value.Type{Kind: value.JSON}
				col.sql = "CASE WHEN " + present + " IS NOT NULL THEN " + col.sql + " END"
			}
			l.out = append(l.out, col)
		}
		return nil
	}
	obj := sub.out
	if obj == nil {
		obj = []column{}
	}
	l.out = append(l.out, column{name: em.Name(), obj: obj, present: present})
	return nil
}

// array adds the rows of a to-many relation as JSON text.
func (l *level) array(x *embedded) error {
	em := x.item
	if len(em.Node.Connection) > 0 {
		return l.connected(x)
	}
	sub := &level{c: l.c, e: x.rel.To, alias: l.c.newAlias(), depth: l.depth + 1, inner: true}
	from, link, err := l.link(x.rel, sub)
	if err != nil {
		return err
	}
	if err := sub.fill(&em.Node); err != nil {
		return err
	}
	sub.settle()
	terms, err := sub.orderTerms(em.Node.Order)
	if err == nil {
		err = sub.beyond(&em.Node, terms)
	}
	if err != nil {
		return err
	}
	if err := sub.point(sub.out, terms); err != nil {
		return err
	}
	sql := "SELECT " + l.c.object(sub.out) + " AS j FROM " + from + sub.tail(link) + sub.orderBy(terms, false) + l.c.page(&em.Node.Page, false, 0)
	l.out = append(l.out, column{name: em.Name(), sql: l.c.d.JSONArray(sql), typ: value.Type{Kind: value.JSON}, notNull: true, json: true})
	return nil
}

// connected adds what a connection tells of a relation's rows.
func (l *level) connected(x *embedded) error {
	conn := &connection{c: l.c, n: &x.item.Node, open: func(exists bool) (*level, string, string, error) {
		sub := &level{c: l.c, e: x.rel.To, alias: l.c.newAlias(), depth: l.depth + 1, inner: true, exists: exists}
		from, link, err := l.link(x.rel, sub)
		return sub, from, link, err
	}}
	sql, err := conn.object(x.item.Node.Connection)
	if err != nil {
		return err
	}
	l.out = append(l.out, column{name: x.item.Name(), sql: sql, typ: value.Type{Kind: value.JSON}, notNull: true, json: true})
	return nil
}

// link is the FROM text of a relation's far side, and the condition that ties
// it to the near side. A foreign key leads nowhere in the rows where the caller
// may not read it, and a row between that the caller may not read does not
// connect.
func (l *level) link(rel *model.Relation, sub *level) (from, cond string, err error) {
	switch rel.Cardinality {
	case model.ToOne:
		cond, err = l.linked(rel.Local, sub, rel.Foreign)
		return sub.from(), cond + l.tie(sub, rel.Ref, rel.Foreign), err
	case model.ToMany:
		cond, err = sub.linked(rel.Foreign, l, rel.Local)
		return sub.from(), cond + l.tie(sub, rel.Ref, rel.Foreign), err
	case model.ManyToMany:
	}
	via := &level{c: l.c, e: rel.Via, alias: l.c.newAlias()}
	rule, err := l.c.rule(policy.Use{Entity: rel.Via, Rule: policy.RuleRead})
	if err != nil {
		return "", "", err
	}
	if err := via.rule(rule); err != nil {
		return "", "", err
	}
	on, err := via.linked(rel.ViaForeign, sub, rel.Foreign)
	if err != nil {
		return "", "", err
	}
	if cond, err = via.linked(rel.ViaLocal, l, rel.Local); err != nil {
		return "", "", err
	}
	cond += l.tie(via, rel.ViaLocal, rel.ViaLocal)
	on += via.tie(sub, rel.Ref, rel.Foreign)
	via.settle()
	for _, c := range via.conds {
		cond += " AND " + c
	}
	return sub.from() + " JOIN " + via.from() + " ON " + on, cond, nil
}

// partner is the condition that a relation leads to at least one row which
// meets the embed's own filters and inner joins.
func (l *level) partner(x *embedded) (string, error) {
	sub := &level{c: l.c, e: x.rel.To, alias: l.c.newAlias(), depth: l.depth + 1, exists: true}
	from, link, err := l.link(x.rel, sub)
	if err != nil {
		return "", err
	}
	if err := sub.fill(&x.item.Node); err != nil {
		return "", err
	}
	sub.settle()
	x.keyed = sub.keyed && x.rel.Cardinality != model.ManyToMany && x.rel.Ref.Colocates()
	return "EXISTS (SELECT 1 FROM " + from + sub.tail(link) + ")", nil
}
