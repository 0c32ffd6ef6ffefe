package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/store"
)

// Look describes the tables of a database in the given schemas, or in all of
// them. It reads, in a transaction that cannot write, and leaves nothing
// behind.
func Look(ctx context.Context, opt Options, schemas []string) (_ *store.Survey, err error) {
	opt = opt.withDefaults()
	set, err := readURL(ctx, opt.URL)
	if err != nil {
		return nil, err
	}
	c, err := openConn(ctx, set)
	if err != nil {
		return nil, unfit(err, set.cfg)
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if err := c.fit(opt.Log); err != nil {
		return nil, unfit(err, set.cfg)
	}
	c.begin(ctx)
	defer c.end()
	if err := c.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"); err != nil {
		return nil, err
	}
	s := &surveyor{c: c, schemas: schemas, tables: map[tableID]*store.SurveyTable{}, out: &store.Survey{Pando: map[string]*store.Table{}}}
	return s.out, errors.Join(s.run(), c.run("ROLLBACK"))
}

// surveyor fills a survey.
type surveyor struct {
	c       *conn
	schemas []string
	tables  map[tableID]*store.SurveyTable
	out     *store.Survey
}

func (s *surveyor) run() error {
	cat, err := readCatalog(s.c)
	if err != nil {
		return err
	}
	for _, read := range []func(*catalog) error{s.readName, s.readTables, s.readColumns, s.readConstraints, s.readIndexes, s.readTriggers, s.readViews, s.readManifest} {
		if err := read(cat); err != nil {
			return err
		}
	}
	return nil
}

func (s *surveyor) query(sql string, each func(store.Row) error) error {
	return s.c.Query(&store.Statement{SQL: sql}, nil, each)
}

func (s *surveyor) readName(*catalog) error {
	return s.query("SELECT current_database()::text, current_user::text", func(r store.Row) error {
		s.out.Database, s.out.Role = text(r, 0), text(r, 1)
		return nil
	})
}

//nolint:gochecknoglobals // a constant table
var tableKinds = map[string]store.TableKind{
	"r": store.BaseTable, "p": store.PartitionedTable, "v": store.View, "m": store.MaterializedView, "f": store.ForeignTable,
}

func (s *surveyor) readTables(*catalog) error {
	const sql = `SELECT n.nspname::text, c.relname::text, c.relkind::text, coalesce(obj_description(c.oid,'pg_class'),''), ` +
		`row_security_active(c.oid), EXISTS (SELECT 1 FROM pg_inherits AS h WHERE h.inhrelid=c.oid) AND NOT c.relispartition, c.relispartition, ` +
		`has_schema_privilege(n.oid,'USAGE') AND has_table_privilege(c.oid,'SELECT'), ` +
		`has_table_privilege(c.oid,'INSERT') AND has_table_privilege(c.oid,'UPDATE') AND has_table_privilege(c.oid,'DELETE') ` +
		`FROM pg_class AS c JOIN pg_namespace AS n ON n.oid=c.relnamespace WHERE c.relkind IN ('r','p','v','m','f') AND ` + foreignSchemas +
		// Not what belongs to an extension.
		` AND NOT EXISTS (SELECT 1 FROM pg_depend AS d WHERE d.classid='pg_class'::regclass AND d.objid=c.oid AND d.deptype='e')` +
		` ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"`
	return s.query(sql, func(r store.Row) error {
		t := &store.SurveyTable{
			Schema: text(r, 0), Name: text(r, 1), Kind: tableKinds[text(r, 2)], Doc: text(r, 3),
			Secured: r.Int(4) != 0, Inherits: r.Int(5) != 0, Partition: r.Int(6) != 0, Select: r.Int(7) != 0, Write: r.Int(8) != 0,
		}
		if len(s.schemas) > 0 && !slices.Contains(s.schemas, t.Schema) {
			return nil
		}
		s.tables[tableID{t.Schema, t.Name}] = t
		s.out.Tables = append(s.out.Tables, t)
		return nil
	})
}

func (s *surveyor) readColumns(cat *catalog) error {
	for _, col := range cat.columns {
		t := s.tables[tableID{col.schema, col.table}]
		if t == nil {
			continue
		}
		typ, mod, domain := cat.resolve(col.typ, col.mod)
		c := &store.SurveyColumn{
			Name: col.name, Declared: col.declared, Doc: col.doc, Default: col.fallback, Domain: domain,
			Made: col.identity != "" || col.sequenced(), Generated: col.always(),
		}
		var ok bool
		if c.Field, c.Length, c.Exact, ok = cat.natural(typ, mod); !ok {
			c.Field = store.Column{}
		}
		c.Field.Name, c.Field.NotNull = col.name, col.notNull
		t.Columns = append(t.Columns, c)
	}
	return nil
}

// columnsOf is a JSON array of the names of columns.
func columnsOf(numbers, table string) string {
	return `coalesce((SELECT json_agg(a.attname ORDER BY k.ord)::text FROM unnest(` + numbers + `) WITH ORDINALITY AS k(num,ord) ` +
		`JOIN pg_attribute AS a ON a.attrelid=` + table + ` AND a.attnum=k.num),'[]')`
}

func list(r store.Row, i int) (out []string) {
	_ = json.Unmarshal(r.Append(nil, i), &out) // the database wrote it
	return out
}

func (s *surveyor) readConstraints(*catalog) error {
	sql := `SELECT n.nspname::text, c.relname::text, o.conname::text, o.contype::text, ` + columnsOf("o.conkey", "o.conrelid") + `, ` +
		`coalesce(tn.nspname::text,''), coalesce(tc.relname::text,''), ` + columnsOf("o.confkey", "o.confrelid") + `, o.confdeltype::text, o.confupdtype::text, ` +
		`coalesce(pg_get_expr(o.conbin,o.conrelid),''), pg_get_constraintdef(o.oid) ` +
		`FROM pg_constraint AS o JOIN pg_class AS c ON c.oid=o.conrelid JOIN pg_namespace AS n ON n.oid=c.relnamespace ` +
		`LEFT JOIN pg_class AS tc ON tc.oid=o.confrelid LEFT JOIN pg_namespace AS tn ON tn.oid=tc.relnamespace WHERE ` + foreignSchemas +
		` ORDER BY 1, 2, o.conname COLLATE "C"`
	return s.query(sql, func(r store.Row) error {
		t := s.tables[tableID{text(r, 0), text(r, 1)}]
		if t == nil {
			return nil
		}
		name, columns := text(r, 2), list(r, 4)
		switch text(r, 3) {
		case "p":
			t.Primary = columns
		case "f":
			ref := store.SurveyRef{Name: name, Columns: columns, TargetSchema: text(r, 5), TargetTable: text(r, 6), TargetColumns: list(r, 7)}
			ref.OnDelete, ref.OnDeleteWords = onDelete(text(r, 8))
			if w := text(r, 9); w == "c" {
				ref.OnUpdateWords = "ON UPDATE CASCADE"
			}
			t.Refs = append(t.Refs, ref)
		case "c":
			t.Checks = append(t.Checks, store.SurveyCheck{Name: name, SQL: text(r, 10)})
		case "x":
			t.Special = append(t.Special, "exclusion constraint "+name+": "+text(r, 11))
		}
		return nil
	})
}

func onDelete(code string) (action model.OnDelete, words string) {
	switch code {
	case "c":
		return model.Cascade, ""
	case "n":
		return model.SetNull, ""
	case "d":
		return model.Restrict, "ON DELETE SET DEFAULT"
	}
	return model.Restrict, ""
}

func (s *surveyor) readIndexes(*catalog) error {
	sql := `SELECT n.nspname::text, c.relname::text, ic.relname::text, i.indisunique, i.indisvalid AND i.indimmediate, am.amname::text, ` +
		`i.indpred IS NOT NULL, i.indexprs IS NOT NULL, ` + columnsOf("(string_to_array(i.indkey::text,' ')::int2[])[1:i.indnkeyatts]", "i.indrelid") + `, pg_get_indexdef(i.indexrelid) ` +
		`FROM pg_index AS i JOIN pg_class AS c ON c.oid=i.indrelid JOIN pg_namespace AS n ON n.oid=c.relnamespace ` +
		`JOIN pg_class AS ic ON ic.oid=i.indexrelid JOIN pg_am AS am ON am.oid=ic.relam ` +
		`WHERE NOT i.indisprimary AND NOT i.indisexclusion AND ` + foreignSchemas + ` ORDER BY 1, 2, ic.relname COLLATE "C"`
	return s.query(sql, func(r store.Row) error {
		t := s.tables[tableID{text(r, 0), text(r, 1)}]
		if t == nil {
			return nil
		}
		unique, usable, partial, computed := r.Int(3) != 0, r.Int(4) != 0, r.Int(6) != 0, r.Int(7) != 0
		kind := ""
		switch columns := list(r, 8); {
		case partial:
			kind = "partial index "
		case computed:
			kind = "index on an expression "
		case text(r, 5) != "btree":
			kind = text(r, 5) + " index "
		case unique && usable:
			t.Unique = append(t.Unique, columns)
		case unique:
			kind = "unique key that is checked late "
		default:
			t.Index = append(t.Index, columns)
		}
		if kind != "" {
			if unique && (partial || computed) {
				kind = "unique " + kind
			}
			t.Special = append(t.Special, kind+text(r, 2)+": "+text(r, 9))
		}
		return nil
	})
}

func (s *surveyor) readTriggers(*catalog) error {
	const sql = `SELECT n.nspname::text, c.relname::text, g.tgname::text FROM pg_trigger AS g JOIN pg_class AS c ON c.oid=g.tgrelid ` +
		`JOIN pg_namespace AS n ON n.oid=c.relnamespace WHERE NOT g.tgisinternal AND g.tgenabled<>'D' AND ` + foreignSchemas + ` ORDER BY 1, 2, 3`
	return s.query(sql, func(r store.Row) error {
		if t := s.tables[tableID{text(r, 0), text(r, 1)}]; t != nil {
			t.Triggers = append(t.Triggers, text(r, 2))
		}
		return nil
	})
}

// readViews finds the columns of views that may be a key: one that is called
// as the key of a table that the view reads, and is unique in what is there.
func (s *surveyor) readViews(*catalog) error {
	const sql = `SELECT DISTINCT n.nspname::text, v.relname::text, a.attname::text FROM pg_rewrite AS r JOIN pg_class AS v ON v.oid=r.ev_class ` +
		`JOIN pg_namespace AS n ON n.oid=v.relnamespace ` +
		`JOIN pg_depend AS d ON d.classid='pg_rewrite'::regclass AND d.objid=r.oid AND d.refclassid='pg_class'::regclass AND d.refobjsubid>0 ` +
		`JOIN pg_index AS i ON i.indrelid=d.refobjid AND i.indisprimary AND i.indnkeyatts=1 AND i.indkey[0]=d.refobjsubid ` +
		`JOIN pg_attribute AS a ON a.attrelid=d.refobjid AND a.attnum=d.refobjsubid WHERE v.relkind IN ('v','m') AND ` + foreignSchemas + ` ORDER BY 1, 2, 3`
	var found []func() error
	err := s.query(sql, func(r store.Row) error {
		t, column := s.tables[tableID{text(r, 0), text(r, 1)}], text(r, 2)
		if t != nil && t.Select && t.Column(column) != nil {
			found = append(found, func() error { return s.probeKey(t, column) })
		}
		return nil
	})
	for _, probe := range found {
		if err == nil {
			err = probe()
		}
	}
	return err
}

// probeTime bounds what is asked of a view's rows.
const probeTime = 3000

func (s *surveyor) probeKey(t *store.SurveyTable, column string) error {
	if err := s.c.run("SAVEPOINT probe; SET LOCAL statement_timeout=" + strconv.Itoa(probeTime)); err != nil {
		return err
	}
	unique := false
	x := quote(column)
	err := s.query("SELECT NOT EXISTS (SELECT 1 FROM "+quote(t.Schema)+"."+quote(t.Name)+" GROUP BY "+x+" HAVING count(*)>1 OR "+x+" IS NULL)", func(r store.Row) error {
		unique = r.Int(0) != 0
		return nil
	})
	if err == nil && unique {
		t.Keys = append(t.Keys, column)
	}
	return s.c.run("ROLLBACK TO probe") // whatever it failed with: the view has no such key then
}

// readManifest finds what Pando has made in this database.
func (s *surveyor) readManifest(cat *catalog) error {
	for _, c := range cat.columns {
		if c.table != "pando_migrations" || c.name != "manifest" {
			continue
		}
		var tables []*store.Table
		err := s.query("SELECT manifest FROM "+quote(c.schema)+"."+quote(c.table)+" ORDER BY id DESC LIMIT 1", func(r store.Row) error {
			if err := json.Unmarshal(r.Append(nil, 0), &tables); err != nil {
				return fault.Wrap(err, fault.StoreIO, "the migration history in %s is damaged", c.schema)
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, t := range tables {
			s.out.Pando[t.QualifiedName()] = t
		}
	}
	return nil
}
