package store

import (
	"slices"
	"strings"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/value"
)

// hiddenKey is the partition key of an entity where it is none of its fields;
// nil elsewhere.
func hiddenKey(e *model.Entity) *model.Field {
	if k := e.PartitionKey(); k != nil && k.Name == model.PartitionColumn {
		return k
	}
	return nil
}

// partitionKey is the level's partition key; empty where it has none at hand: a
// new row that lies with another has none before it is written.
func (l *level) partitionKey() string {
	k := l.e.PartitionKey()
	if k == nil || l.alias == "" && k == hiddenKey(l.e) {
		return ""
	}
	return l.col(k)
}

// tie completes the condition by which a level leads to another, far, over a
// reference of one of them: rows that lie together have one partition key, and
// the database reads the partition that it names alone. column is the
// reference's column at the far end.
func (l *level) tie(far *level, ref, column *model.Field) string {
	far.tied = column == far.e.PartitionKey()
	if !ref.Colocates() || hiddenKey(ref.Entity) == nil {
		return ""
	}
	near, there := l.partitionKey(), far.partitionKey()
	if near == "" || there == "" {
		return ""
	}
	far.tied = true
	return " AND " + there + "=" + near
}

// settle notes a level whose rows are looked for in every partition.
func (l *level) settle() {
	if l.e.PartitionKey() != nil && !l.tied && !l.keyed && !slices.Contains(l.c.scattered, l.e) {
		l.c.scattered = append(l.c.scattered, l.e)
	}
}

// binds reports whether a condition about the level's row holds only where the
// partition key is one of a few values.
func (l *level) binds(e query.Expr) bool {
	return l.e.PartitionKey() != nil && policy.Binds(e, func(ref *query.FieldRef) bool {
		if len(ref.Via) > 0 {
			return l.reachesKey(ref)
		}
		return policy.LeadsToKey(l.e, ref) && (l.trusted || l.e.PartitionKey().Read == nil)
	})
}

// reachesKey reports whether a path leads from the level's row, over what it
// lies with, to the partition key that they have in common.
func (l *level) reachesKey(ref *query.FieldRef) bool {
	if !policy.LeadsToKey(l.e, ref) || len(ref.Path.Steps) > 0 {
		return false
	}
	_, set := l.given[l.e.Partition.With.Ref] // then it may lead elsewhere than the row lies
	return !set
}

// conflict is the condition for the row that a new one conflicts with, on the
// fields of a key; param writes the new value of the i-th field of the entity,
// and is compares a field with it.
func (c *compiler) conflict(e *model.Entity, key []*model.Field, column func(*model.Field) string, param func(i int) string,
	is func(k *model.Field, i int) string,
) string {
	conds := make([]string, len(key))
	for n, k := range key {
		if k == hiddenKey(e) {
			conds[n] = column(k) + "=" + c.parentKey(e, param(slices.Index(e.Fields, e.Partition.With.Ref)))
			continue
		}
		conds[n] = is(k, slices.Index(e.Fields, k))
	}
	return strings.Join(conds, " AND ")
}

// parentKey is the partition key of the row that a reference leads to, in the
// statement that writes it: what a row lies with is named by the reference
// alone.
func (c *compiler) parentKey(e *model.Entity, ref string) string {
	to := e.Partition.With.To
	return "(SELECT p." + c.d.Ident(to.PartitionKey().Name) + " FROM " + table(c.d, to) + " AS p WHERE p." +
		c.d.Ident(to.Primary.Name) + "=" + ref + ")"
}

// within bounds a read to the partitions of the given keys, whose values are
// the query's arg of that slot.
func (l *level) within(keys []string, slot int) {
	k := l.e.PartitionKey()
	l.keyed = true
	typ := unlimited(k.Type)
	if len(keys) == 1 {
		p := param{slot: slot, read: func(a query.Arg) (value.Value, error) { return typ.FromText(a.Text) }}
		l.conds = append(l.conds, l.col(k)+"="+l.c.typedParam(p, typ))
		return
	}
	p := l.c.param(param{slot: slot, read: func(a query.Arg) (value.Value, error) {
		vs := make([]value.Value, len(a.List))
		for i, text := range a.List {
			v, err := typ.FromText(text)
			if err != nil {
				return v, err
			}
			vs[i] = v
		}
		return l.c.d.ListParam(vs), nil
	}})
	l.conds = append(l.conds, l.c.d.InList(typ, l.col(k), p))
}

// stays refuses to change the partition key of rows that are there: a store
// whose partitions lie on different machines could not.
func stays(e *model.Entity, fields []*model.Field) error {
	k := e.PartitionKey()
	if k == nil || !slices.Contains(fields, k) {
		return nil
	}
	f := fault.New(fault.NotImplemented, "the partition key %q of %q cannot be changed", k, e)
	if k == e.Primary {
		return f.WithHint("create the row anew under the other key, and delete this one")
	}
	return f.WithHint("leave it out of an update; to move a row, delete it and create it anew")
}

// sameKey finds how many rows have a primary key, in all partitions: no
// constraint of a divided table can. It is needed where the key was not made by
// Pando: one UUID is not made twice. The empty text: no need.
func (pl *Planner) sameKey(e *model.Entity, given []*model.Field) string {
	made := e.Primary.Default != nil && e.Primary.Default.Kind == model.DefaultUUID
	if len(e.Key()) == 1 || made && !slices.Contains(given, e.Primary) {
		return ""
	}
	return "SELECT count(*) FROM " + table(pl.Dialect, e) + " WHERE " + pl.Dialect.Ident(e.Primary.Name) + "=" + pl.Dialect.Param(1)
}

// alone fails where another partition has a row of the key that was written.
func (p *WritePlan) alone(tx Tx, values []value.Value) error {
	if p.same.SQL == "" {
		return nil
	}
	return tx.Query(&p.same, []value.Value{values[p.own]}, func(r Row) error {
		if r.Int(0) < 2 {
			return nil
		}
		return fault.New(fault.Unique, "duplicate key value violates unique constraint").
			WithDetails("Key (%s) already exists.", p.Entity.Primary)
	})
}

// Scattered are the entities whose rows a plan looks for in every partition,
// since no condition of it names their partition key.
func (r *rules) Scattered() []*model.Entity { return r.scattered }
