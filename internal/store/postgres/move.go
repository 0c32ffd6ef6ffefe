package postgres

import (
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

var (
	_ store.Mover       = (*Driver)(nil)
	_ store.MoveDialect = dialect{}
	_ store.MoveTx      = (*conn)(nil)
)

// moving is the setting by which the triggers of a move know its own
// transactions.
const moving = "pando.moving"

// Unlinked implements store.Mover. References are not there while it is called
// (Unlink), or their rows are.
func (d *Driver) Unlinked(ctx context.Context, fn func(store.MoveTx) error) error {
	c, err := d.pool.get(ctx)
	if err != nil {
		return err
	}
	defer d.pool.put(c)
	if err := c.run("BEGIN; SET LOCAL " + moving + "='on'; SET CONSTRAINTS ALL DEFERRED; SAVEPOINT w"); err != nil {
		return err
	}
	if err = c.call(&job{ctx: ctx, fn: func(store.Tx) error { return fn(c) }}); err == nil {
		err = c.run("COMMIT")
	}
	if err != nil && c.lost == nil && c.status != 'I' {
		err = errors.Join(err, c.mend("ROLLBACK"))
	}
	return err
}

// Load implements store.MoveTx, by COPY.
func (c *conn) Load(t *store.StoredTable, next func() ([]value.Value, error)) (int64, error) {
	if t.AddOnly {
		return c.loadMissing(t, next)
	}
	return c.copyIn(dialect{}.Stored(t), t, next)
}

// loadMissing loads into a table beside, since COPY knows no conflicts.
func (c *conn) loadMissing(t *store.StoredTable, next func() ([]value.Value, error)) (int64, error) {
	const beside = "pando_beside"
	name := dialect{}.Stored(t)
	if _, err := c.Exec(&store.Statement{SQL: "CREATE TEMPORARY TABLE " + beside + " (LIKE " + name + ") ON COMMIT DROP"}, nil); err != nil {
		return 0, err
	}
	n, err := c.copyIn(beside, t, next)
	if err != nil {
		return n, err
	}
	for _, sql := range []string{"INSERT INTO " + name + " SELECT * FROM " + beside + " ON CONFLICT DO NOTHING", "DROP TABLE " + beside} {
		if _, err := c.Exec(&store.Statement{SQL: sql}, nil); err != nil {
			return n, err
		}
	}
	return n, nil
}

func (c *conn) copyIn(into string, t *store.StoredTable, next func() ([]value.Value, error)) (int64, error) {
	c.settle()
	if err := c.guard(); err != nil {
		return 0, err
	}
	names := make([]string, 0, len(t.Columns))
	for _, col := range t.Columns {
		names = append(names, quote(col.Name))
	}
	in := &copyReader{t: t, next: next}
	if t.Table != nil {
		for _, f := range t.Table.Search {
			names = append(names, tokensColumn(f))
			in.searched = append(in.searched, slices.IndexFunc(t.Columns, func(col store.StoredColumn) bool { return col.Name == f }))
		}
	}
	rows, err := c.copyFrom(in, "COPY "+into+" ("+strings.Join(names, ",")+") FROM STDIN")
	c.scope.dirty = true
	if in.err != nil {
		return 0, c.undo(in.err) // the server only heard that there is no more
	}
	return rows, c.undo(err)
}

// copyReader writes rows in COPY's text format.
type copyReader struct {
	t        *store.StoredTable
	searched []int // the columns whose words follow the row
	next     func() ([]value.Value, error)
	buf      []byte
	at       int // what of buf has been read
	cell     []byte
	done     bool
	err      error
}

// enough is how much is written ahead.
const enough = 64 << 10

// Read implements io.Reader.
func (r *copyReader) Read(p []byte) (int, error) {
	if r.at == len(r.buf) {
		r.buf, r.at = r.buf[:0], 0
		for !r.done && len(r.buf) < enough {
			row, err := r.next()
			if err != nil {
				r.err = err
				return 0, err
			}
			if row == nil {
				r.done = true
				break
			}
			r.append(row)
		}
		if len(r.buf) == 0 {
			return 0, io.EOF
		}
	}
	n := copy(p, r.buf[r.at:])
	r.at += n
	return n, nil
}

func (r *copyReader) append(row []value.Value) {
	for i := range row {
		if i > 0 {
			r.buf = append(r.buf, '\t')
		}
		r.field(r.t.Columns[i].Type, &row[i])
	}
	for _, i := range r.searched {
		r.buf = append(r.buf, '\t')
		if row[i].IsNull() {
			r.buf = append(r.buf, `\N`...)
		} else {
			r.buf = appendCopied(r.buf, value.TSVector(value.Tokens(row[i].Str)))
		}
	}
	r.buf = append(r.buf, '\n')
}

func (r *copyReader) field(t value.Type, v *value.Value) {
	switch v.Tag {
	case value.TagNull:
		r.buf = append(r.buf, `\N`...)
	case value.TagInt:
		if t.Kind == value.Bool {
			r.buf = strconv.AppendBool(r.buf, v.Int != 0)
		} else {
			r.buf = strconv.AppendInt(r.buf, v.Int, 10)
		}
	case value.TagFloat:
		r.buf = strconv.AppendFloat(r.buf, v.Float, 'g', -1, 64)
	case value.TagBytes:
		const digits = "0123456789abcdef"
		r.buf = append(r.buf, `\\x`...)
		for i := range len(v.Str) {
			r.buf = append(r.buf, digits[v.Str[i]>>4], digits[v.Str[i]&15])
		}
	case value.TagText:
		if t.List {
			r.cell = appendArray(r.cell[:0], v.Str, t.Kind == value.JSON)
			r.buf = appendCopied(r.buf, string(r.cell))
		} else {
			r.buf = appendCopied(r.buf, v.Str)
		}
	}
}

// appendCopied escapes what COPY's text format gives a meaning.
func appendCopied(dst []byte, s string) []byte {
	start := 0
	for i := range len(s) {
		var mark byte
		switch s[i] {
		case '\\':
			mark = '\\'
		case '\t':
			mark = 't'
		case '\n':
			mark = 'n'
		case '\r':
			mark = 'r'
		default:
			continue
		}
		dst = append(append(dst, s[start:i]...), '\\', mark)
		start = i + 1
	}
	return append(dst, s[start:]...)
}

// moveDDL creates what a store remembers of a move.
func moveDDL() string {
	return `CREATE TABLE IF NOT EXISTS "pando_move" ("key" text COLLATE "C" PRIMARY KEY, "value" text NOT NULL)`
}

// OwnTables implements store.MoveDialect. The tables that refuse changes have a
// trigger that says so.
func (dialect) OwnTables() string {
	return `SELECT c.relname::text, a.attname::text, CASE format_type(a.atttypid,NULL) WHEN 'bigint' THEN 'int' WHEN 'integer' THEN 'int' ` +
		`WHEN 'smallint' THEN 'int' WHEN 'boolean' THEN 'bool' WHEN 'double precision' THEN 'float' WHEN 'bytea' THEN 'bytes' WHEN 'uuid' THEN 'uuid' ` +
		`WHEN 'jsonb' THEN 'json' WHEN 'timestamp with time zone' THEN 'timestamp' ELSE 'text' END, ` +
		`coalesce((SELECT array_position(i.indkey::int2[],a.attnum)+1 FROM pg_index AS i WHERE i.indrelid=c.oid AND i.indisprimary),0), ` +
		`CASE WHEN EXISTS (SELECT 1 FROM pg_trigger AS g WHERE g.tgrelid=c.oid AND g.tgname=c.relname||'_refuse') THEN 1 ELSE 0 END ` +
		`FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid=c.oid WHERE c.relkind='r' AND c.relname LIKE 'pando\_%' AND c.relpersistence='p' ` +
		`AND pg_table_is_visible(c.oid) AND c.relname NOT IN ('pando_move','pando_changes') AND a.attnum>0 AND NOT a.attisdropped ORDER BY c.relname, a.attnum`
}

// Stored implements store.MoveDialect.
func (dialect) Stored(t *store.StoredTable) string {
	if t.Table != nil {
		return tableName(t.Table)
	}
	return quote(t.Name)
}

// CaptureLog implements store.MoveDialect.
func (dialect) CaptureLog() []string {
	return []string{`CREATE TABLE IF NOT EXISTS "pando_changes" ("seq" bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "tbl" bigint NOT NULL, "key" text NOT NULL)`}
}

// ReleaseLog implements store.MoveDialect.
func (dialect) ReleaseLog() []string { return []string{`DROP TABLE IF EXISTS "pando_changes"`} }

// Capture implements store.MoveDialect. The function has settings of its own:
// the session that writes may have any.
func (d dialect) Capture(t *store.StoredTable, n int) []string {
	insert := func(row string) string {
		return `INSERT INTO "pando_changes" ("tbl","key") VALUES (` + strconv.Itoa(n) + "," + keyText(t, row) + "); "
	}
	fn := captureFunction(n)
	return []string{
		"CREATE OR REPLACE FUNCTION " + fn + "() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT " +
			"SET timezone TO 'UTC' SET datestyle TO 'ISO' AS " + literal("BEGIN "+
			"IF current_setting('"+moving+"', true)='on' THEN RETURN NULL; END IF; "+
			"IF TG_OP<>'INSERT' THEN "+insert("OLD")+"END IF; "+
			"IF TG_OP='INSERT' THEN "+insert("NEW")+
			"ELSIF TG_OP='UPDATE' THEN IF "+keyText(t, "NEW")+"<>"+keyText(t, "OLD")+" THEN "+insert("NEW")+"END IF; END IF; "+
			"RETURN NULL; END"),
		`CREATE OR REPLACE TRIGGER "pando_capture" AFTER INSERT OR UPDATE OR DELETE ON ` + d.Stored(t) + " FOR EACH ROW EXECUTE FUNCTION " + fn + "()",
	}
}

func captureFunction(n int) string { return quote("pando_capture_" + strconv.Itoa(n)) }

// keyText is the key of a row as a JSON array of texts. No key is of bytes or
// floats.
func keyText(t *store.StoredTable, row string) string {
	parts := make([]string, len(t.Key))
	for i, k := range t.Key {
		parts[i] = row + "." + quote(t.Columns[k].Name) + "::text"
	}
	return "json_build_array(" + strings.Join(parts, ",") + ")::text"
}

// Release implements store.MoveDialect.
func (d dialect) Release(t *store.StoredTable, n int) []string {
	return []string{
		`DROP TRIGGER IF EXISTS "pando_capture" ON ` + d.Stored(t),
		"DROP FUNCTION IF EXISTS " + captureFunction(n) + "()",
	}
}

// Fence implements store.MoveDialect. To make the trigger takes a lock that
// waits for the transactions which have written to the table.
func (d dialect) Fence(t *store.StoredTable) []string {
	return []string{
		`CREATE OR REPLACE FUNCTION "pando_fence"() RETURNS trigger LANGUAGE plpgsql AS ` + literal("BEGIN "+
			"IF current_setting('"+moving+"', true)='on' THEN RETURN NULL; END IF; "+
			"RAISE EXCEPTION 'the store has moved' USING ERRCODE='"+stateMoved+"'; END"),
		`CREATE OR REPLACE TRIGGER "pando_fence" BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON ` + d.Stored(t) +
			` FOR EACH STATEMENT EXECUTE FUNCTION "pando_fence"()`,
	}
}

// Unfence implements store.MoveDialect.
func (d dialect) Unfence(t *store.StoredTable) []string {
	return []string{`DROP TRIGGER IF EXISTS "pando_fence" ON ` + d.Stored(t)}
}

// Bare implements store.MoveDialect. The columns of search tokens are there from
// the beginning, since a load fills them; their index is not.
func (dialect) Bare(t *store.Table) []string {
	bare := *t
	bare.Unique, bare.Index, bare.Refs = nil, nil, nil
	out := createTable(&bare)
	if len(t.Search) > 0 {
		out = append(out, "DROP INDEX "+quote(t.Module)+"."+quote(t.Entity+searchSuffix))
	}
	return out
}

// Finish implements store.MoveDialect. It counts the rows too: the first
// queries are planned by that.
func (dialect) Finish(t *store.Table) []string {
	var out []string
	for _, k := range t.Unique {
		out = append(out, createIndex(t, k, true))
	}
	for _, k := range t.Index {
		out = append(out, createIndex(t, k, false))
	}
	if len(t.Search) > 0 {
		out = append(out, searchIndex(t))
	}
	return append(out, "ANALYZE "+tableName(t))
}

// Link implements store.MoveDialect. Before version 18, PostgreSQL adds no
// reference of a partitioned table unchecked.
func (d dialect) Link(t *store.Table) []string {
	out := d.Unlink(t)
	unchecked := " NOT VALID"
	if t.Partition != nil {
		unchecked = ""
	}
	for _, fk := range t.Refs {
		out = append(out, "ALTER TABLE "+tableName(t)+" ADD CONSTRAINT "+quote(t.Entity+"_"+fk.Column+"_fkey")+
			" FOREIGN KEY ("+columnList(fk.Columns())+") "+references(fk)+unchecked)
	}
	return out
}

// Validate implements store.MoveDialect.
func (dialect) Validate(t *store.Table) []string {
	var out []string
	for _, fk := range t.Refs {
		out = append(out, "ALTER TABLE "+tableName(t)+" VALIDATE CONSTRAINT "+quote(t.Entity+"_"+fk.Column+"_fkey"))
	}
	return out
}

// Unlink implements store.MoveDialect.
func (dialect) Unlink(t *store.Table) []string {
	var out []string
	for _, fk := range t.Refs {
		out = append(out, "ALTER TABLE "+tableName(t)+" DROP CONSTRAINT IF EXISTS "+quote(t.Entity+"_"+fk.Column+"_fkey"))
	}
	return out
}

// Clear implements store.MoveDialect.
func (dialect) Clear(t *store.Table) []string {
	return []string{"DROP TABLE IF EXISTS " + tableName(t) + " CASCADE"}
}

// Settle implements store.MoveDialect: ids that the database counts go on
// behind those that were loaded.
func (dialect) Settle() []string {
	return []string{"DO " + literal(`DECLARE c record; BEGIN FOR c IN SELECT a.attrelid::regclass AS rel, a.attname AS col FROM pg_attribute AS a `+
		`JOIN pg_class AS r ON r.oid=a.attrelid WHERE r.relname LIKE 'pando\_%' AND r.relname<>'pando_changes' AND pg_table_is_visible(r.oid) AND a.attidentity<>'' LOOP `+
		`EXECUTE format('SELECT setval(pg_get_serial_sequence(%L,%L),coalesce((SELECT max(%I) FROM %s),0)+1,false)',c.rel,c.col,c.col,c.rel); END LOOP; END`)}
}
