package postgres

import (
	"context"
	"slices"
	"strings"

	"github.com/pandobase/pando/internal/store"
)

// Finish implements store.Online.
func (d *Driver) Finish(ctx context.Context, tables []*store.Table, last bool, told func(store.StageProgress)) error {
	if told == nil {
		told = func(store.StageProgress) {}
	}
	c, err := d.own(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.close() }() // its outcome is known
	f := finish{c: c, told: told, tables: map[string]*store.Table{}}
	for _, t := range tables {
		f.tables[t.QualifiedName()] = t
	}
	changed := false
	for _, part := range []func(context.Context) (bool, error){
		f.validate, func(ctx context.Context) (bool, error) { return f.words(ctx, last) }, f.sweep,
	} {
		some, err := part(ctx)
		changed = changed || some
		if err != nil {
			return err
		}
	}
	if changed {
		d.pool.schema.Add(1)
	}
	return nil
}

// finish completes and removes what migrations left.
type finish struct {
	c      *conn
	told   func(store.StageProgress)
	tables map[string]*store.Table
}

// find returns the texts of a statement whose first column is "module.entity",
// of the tables that are ours.
func (f *finish) find(ctx context.Context, sql string) (out [][]string, err error) {
	f.c.begin(ctx)
	defer f.c.end()
	err = once(f.c, sql, func(row store.Row) error {
		texts := []string{string(row.Append(nil, 0)), string(row.Append(nil, 1))}
		if f.tables[texts[0]] != nil {
			out = append(out, texts)
		}
		return nil
	})
	return out, err
}

// tablesJoined reads what belongs to tables, c being their pg_class.
const tablesJoined = " JOIN pg_namespace AS n ON n.oid=c.relnamespace WHERE "

// validate checks the constraints that a transaction added unchecked.
func (f *finish) validate(ctx context.Context) (bool, error) {
	found, err := f.find(ctx, "SELECT n.nspname||'.'||c.relname, k.conname::text FROM pg_constraint AS k JOIN pg_class AS c ON c.oid=k.conrelid"+tablesJoined+
		"NOT k.convalidated AND k.conname NOT LIKE '"+ours+"%' ORDER BY 1, 2")
	for _, k := range found {
		if err != nil {
			break
		}
		t := f.tables[k[0]]
		err = f.c.stage(ctx, &stage{title: "check " + k[1], alone: []string{"ALTER TABLE " + tableName(t) + " VALIDATE CONSTRAINT " + quote(k[1])}}, f.told)
	}
	return len(found) > 0, err
}

// words fills the search tokens that an older release left out. When that one
// is gone nobody has to look for them any more.
func (f *finish) words(ctx context.Context, last bool) (bool, error) {
	found, err := f.find(ctx, "SELECT n.nspname||'.'||c.relname, t.tgfoid::regprocedure::text FROM pg_trigger AS t JOIN pg_class AS c ON c.oid=t.tgrelid"+tablesJoined+
		"t.tgname='"+staleTrigger+"' ORDER BY 1")
	for _, k := range found {
		if err != nil {
			break
		}
		t := f.tables[k[0]]
		if len(t.Search) > 0 {
			err = f.c.stage(ctx, &stage{title: "find the words of " + k[0], fill: missingTokens(t, t.Search, 0)}, f.told)
		}
		if err == nil && (last || len(t.Search) == 0) {
			err = f.c.statements(ctx, []string{"DROP TRIGGER " + quote(staleTrigger) + " ON " + tableName(t), "DROP FUNCTION " + k[1]}, f.told)
		}
	}
	return len(found) > 0, err
}

// sweep drops what stages made for a change that was given up.
func (f *finish) sweep(ctx context.Context) (bool, error) {
	const mine = " LIKE '" + ours + "%'"
	columns, err := f.find(ctx, "SELECT n.nspname||'.'||c.relname, a.attname::text FROM pg_attribute AS a JOIN pg_class AS c ON c.oid=a.attrelid"+tablesJoined+
		"c.relkind IN ('r','p') AND a.attnum>0 AND NOT a.attisdropped AND (a.attname"+mine+" OR a.attname LIKE '%"+searchSuffix+"') ORDER BY 1, 2")
	if err != nil {
		return false, err
	}
	triggers, err := f.find(ctx, "SELECT n.nspname||'.'||c.relname, t.tgname::text FROM pg_trigger AS t JOIN pg_class AS c ON c.oid=t.tgrelid"+tablesJoined+
		"t.tgname"+mine+" AND t.tgname<>'"+staleTrigger+"' ORDER BY 1, 2")
	if err != nil {
		return false, err
	}
	constraints, err := f.find(ctx, "SELECT n.nspname||'.'||c.relname, k.conname::text FROM pg_constraint AS k JOIN pg_class AS c ON c.oid=k.conrelid"+tablesJoined+
		"k.conname"+mine+" ORDER BY 1, 2")
	if err != nil {
		return false, err
	}
	// Those of partitions keep their names when they have become part of their table's.
	indexes, err := f.find(ctx, "SELECT n.nspname||'.'||coalesce(p.relname, c.relname), x.relname::text FROM pg_index AS i JOIN pg_class AS x ON x.oid=i.indexrelid "+
		"JOIN pg_class AS c ON c.oid=i.indrelid LEFT JOIN pg_inherits AS h ON h.inhrelid=c.oid LEFT JOIN pg_class AS p ON p.oid=h.inhparent"+
		tablesJoined+"x.relname"+mine+" AND NOT EXISTS (SELECT 1 FROM pg_inherits AS o WHERE o.inhrelid=x.oid) ORDER BY 1, 2")
	if err != nil {
		return false, err
	}
	swept := false
	drop := func(found [][]string, sql func(t *store.Table, name string) []string) {
		for _, k := range found {
			if err == nil {
				if sqls := sql(f.tables[k[0]], k[1]); len(sqls) > 0 {
					swept = true
					err = f.c.statements(ctx, sqls, f.told)
				}
			}
		}
	}
	drop(triggers, func(t *store.Table, name string) []string {
		return []string{"DROP TRIGGER " + quote(name) + " ON " + tableName(t), "DROP FUNCTION IF EXISTS " + quote(t.Module) + "." + quote(name) + "()"}
	})
	drop(constraints, func(t *store.Table, name string) []string {
		return []string{"ALTER TABLE " + tableName(t) + " DROP CONSTRAINT IF EXISTS " + quote(name)}
	})
	drop(indexes, func(t *store.Table, name string) []string {
		return []string{"DROP INDEX IF EXISTS " + quote(t.Module) + "." + quote(name)}
	})
	drop(columns, func(t *store.Table, name string) []string {
		if field, ok := strings.CutSuffix(name, searchSuffix); ok && slices.Contains(t.Search, field) {
			return nil
		}
		return []string{"ALTER TABLE " + tableName(t) + " DROP COLUMN IF EXISTS " + quote(name)}
	})
	return swept, err
}
