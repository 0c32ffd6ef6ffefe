package sqlite

import (
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// rowid is SQLite's own key of a row. Of its three names this is the one that
// no field can take, since fields begin with a letter.
const rowid = "_rowid_"

// ddl renders one schema change. The statements belong into one transaction
// with foreign keys unenforced (store.Driver.Alter).
func ddl(c store.Change) []string {
	switch c.Kind {
	case store.CreateTable:
		return createTable(c.Table)
	case store.DropTable:
		return append(dropSearch(c.Table), "DROP TABLE "+tableName(c.Table))
	case store.RenameTable:
		return renameTable(c.Old, c.Table)
	case store.AddColumn:
		return []string{"ALTER TABLE " + tableName(c.Table) + " ADD COLUMN " + columnDef(c.Table, c.Column)}
	case store.DropColumn:
		return []string{"ALTER TABLE " + tableName(c.Table) + " DROP COLUMN " + quote(c.Column.Name)}
	case store.RenameColumn:
		return rewriting("ALTER TABLE " + tableName(c.Table) + " RENAME COLUMN " + quote(c.From) + " TO " + quote(c.Column.Name))
	case store.CreateIndex:
		return []string{createIndex(c.Table, c.Key, c.Unique)}
	case store.DropIndex:
		return []string{"DROP INDEX " + indexName(c.Table, c.Key)}
	case store.RebuildTable:
		return rebuildTable(c)
	case store.CreateSearch:
		return append(createSearch(c.Table), fillSearch(c.Table))
	case store.DropSearch:
		return dropSearch(c.Table)
	}
	return nil
}

// systemDDL creates the tables that Pando keeps for itself. No entity's table
// can have their names: those hold a point.
func systemDDL() []string {
	ddl := append([]string{
		`CREATE TABLE IF NOT EXISTS "pando_meta" ("key" TEXT PRIMARY KEY NOT NULL, "value" TEXT) STRICT`,
		`CREATE TABLE IF NOT EXISTS "pando_migrations" ("id" INTEGER PRIMARY KEY NOT NULL, "at" TEXT NOT NULL, ` +
			`"plan" TEXT NOT NULL, "state" TEXT NOT NULL, "step" INTEGER NOT NULL, "manifest" TEXT NOT NULL) STRICT`,
		`CREATE TABLE IF NOT EXISTS "pando_idempotency" ("scope" TEXT PRIMARY KEY NOT NULL, "digest" BLOB NOT NULL, "at" TEXT NOT NULL, "result" BLOB) STRICT`,
		`CREATE INDEX IF NOT EXISTS "pando_idempotency_at" ON "pando_idempotency" ("at")`,
		`CREATE TABLE IF NOT EXISTS "pando_seeds" ("file" TEXT PRIMARY KEY NOT NULL, "at" TEXT NOT NULL, "rows" INTEGER NOT NULL) STRICT`,
		moveDDL(),
	}, auditDDL()...)
	ddl = append(append(ddl, queueDDL()...), outboxDDL()...)
	ddl = append(ddl, webhooksDDL()...)
	ddl = append(ddl, usageDDL()...)
	return ddl
}

func tableName(t *store.Table) string { return quote(t.QualifiedName()) }

// indexName is qualified by the module: SQLite's index names are unique in the
// whole database, the model's in a module.
func indexName(t *store.Table, k store.KeyColumns) string { return quote(t.Module + "." + k.Name) }

// storageType is the type of STRICT tables that holds a column's stored form.
func storageType(c store.Column) string {
	if c.List {
		return "TEXT"
	}
	switch c.Type().Kind {
	case value.Int, value.Decimal, value.Bool:
		return "INTEGER"
	case value.Float:
		return "REAL"
	case value.Bytes:
		return "BLOB"
	case value.Text, value.UUID, value.Timestamp, value.Date, value.Time, value.JSON, value.Enum, value.File, value.Invalid:
	}
	return "TEXT"
}

// keyed reports whether the primary key is one column, which then can be the
// rowid itself.
func keyed(t *store.Table) bool { return len(t.PrimaryKey()) == 1 }

// rowidIsKey reports whether the rowid is the primary key.
func rowidIsKey(t *store.Table) bool {
	return keyed(t) && storageType(*t.Column(t.Primary)) == "INTEGER"
}

// columnDef is a column's definition. The key is declared with the column, so
// that ALTER TABLE can drop it together with its reference. What takes two
// columns follows behind all of them.
func columnDef(t *store.Table, c store.Column) string {
	var b strings.Builder
	b.WriteString(quote(c.Name) + " " + storageType(c))
	if c.Name == t.Primary && keyed(t) {
		b.WriteString(" PRIMARY KEY")
	}
	if c.NotNull {
		b.WriteString(" NOT NULL")
	}
	if def := columnDefault(c); def != "" && c.Name != t.Primary {
		b.WriteString(" DEFAULT " + def)
	}
	for _, fk := range t.Refs {
		if fk.Column == c.Name && fk.Key == "" {
			b.WriteString(references(fk))
		}
	}
	return b.String()
}

func references(fk store.ForeignKey) string {
	return " REFERENCES " + quote(fk.TargetModule+"."+fk.TargetEntity) + "(" + joinAll(", ", fk.TargetColumns(), quote) + ")" + onDelete(fk.OnDelete)
}

// columnDefault is what the database itself fills a column with: for the rows
// that are there when it is added, and for writers that do not know it yet.
func columnDefault(c store.Column) string {
	switch {
	case c.Default != nil && !c.Default.IsNull():
		return valueSQL(*c.Default)
	case c.Fill == store.FillUUID:
		return "(pando_uuid())"
	case c.Fill == store.FillNow:
		return "(" + nowSQL(c) + ")"
	}
	return ""
}

// nowSQL is the current time in the column's canonical form: no trailing
// zeros in the fraction of a second.
func nowSQL(c store.Column) string {
	const clock = `rtrim(rtrim(strftime('%s','now'),'0'),'.')`
	switch c.Type().Kind { //nolint:exhaustive // the model allows now() on these types only
	case value.Date:
		return "date('now')"
	case value.Time:
		return strings.Replace(clock, "%s", "%H:%M:%f", 1)
	}
	return strings.Replace(clock, "%s", "%Y-%m-%dT%H:%M:%f", 1) + "||'+00:00'"
}

// valueSQL writes a canonical value as a literal: schema statements take no
// parameters.
func valueSQL(v value.Value) string {
	switch v.Tag {
	case value.TagInt:
		return strconv.FormatInt(v.Int, 10)
	case value.TagFloat:
		return strconv.FormatFloat(v.Float, 'e', -1, 64)
	case value.TagText:
		return literal(v.Str)
	case value.TagBytes:
		return "x'" + hex.EncodeToString([]byte(v.Str)) + "'"
	case value.TagNull:
	}
	return "NULL"
}

func onDelete(a model.OnDelete) string {
	switch a {
	case model.Cascade:
		return " ON DELETE CASCADE"
	case model.SetNull:
		return " ON DELETE SET NULL"
	case model.Restrict:
	}
	// NO ACTION: RESTRICT would refuse row by row, also where the statement goes
	// on to delete the row that refers to this one.
	return ""
}

func createTable(t *store.Table) []string {
	out := []string{createRows(t, tableName(t))}
	out = append(out, createIndexes(t)...)
	return append(out, createSearch(t)...)
}

// createRows is the table alone, under any name.
func createRows(t *store.Table, name string) string {
	defs := make([]string, 0, len(t.Columns))
	for _, c := range t.Columns {
		defs = append(defs, columnDef(t, c))
	}
	if !keyed(t) {
		defs = append(defs, "PRIMARY KEY ("+joinAll(", ", t.PrimaryKey(), quote)+")")
	}
	for _, fk := range t.Refs {
		if fk.Key != "" {
			defs = append(defs, "FOREIGN KEY ("+joinAll(", ", fk.Columns(), quote)+")"+references(fk))
		}
	}
	return "CREATE TABLE " + name + " (" + strings.Join(defs, ", ") + ") STRICT"
}

func createIndexes(t *store.Table) []string {
	var out []string
	for _, k := range t.Unique {
		out = append(out, createIndex(t, k, true))
	}
	for _, k := range t.Index {
		out = append(out, createIndex(t, k, false))
	}
	return out
}

func createIndex(t *store.Table, k store.KeyColumns, unique bool) string {
	create := "CREATE INDEX "
	if unique {
		create = "CREATE UNIQUE INDEX "
	}
	return create + indexName(t, k) + " ON " + tableName(t) + " (" + joinAll(", ", k.Columns, quote) + ")"
}

// joinAll writes each name and joins what it wrote.
func joinAll(sep string, names []string, write func(string) string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = write(n)
	}
	return strings.Join(out, sep)
}

// rewriting runs a rename that takes every reference to the old name along.
// Driver.Alter switches that off, for the sake of rebuilds.
func rewriting(sql string) []string {
	return []string{"PRAGMA legacy_alter_table=OFF", sql, "PRAGMA legacy_alter_table=ON"}
}

// renameTable keeps the indexes, whose names the planner changes where the
// model does, and the search index with its rows.
func renameTable(from, to *store.Table) []string {
	var out []string
	if len(from.Search) > 0 {
		out = append(out, dropTriggers(from)...)
		out = append(out, "ALTER TABLE "+searchName(from)+" RENAME TO "+searchName(to))
	}
	out = append(out, rewriting("ALTER TABLE "+tableName(from)+" RENAME TO "+tableName(to))...)
	if len(from.Search) > 0 {
		out = append(out, createTriggers(to)...)
	}
	return out
}

// rebuildTable is the procedure of https://www.sqlite.org/lang_altertable.html
// section 7: copy into a new table, drop the old one, give the new one its
// name. In this order, and with foreign keys off, references of other tables
// stay as they are and no row of theirs is touched.
func rebuildTable(c store.Change) []string {
	t, old := c.Table, c.Old
	scratch := quote(t.QualifiedName() + ".new")
	var into, from []string
	if !rowidIsKey(t) {
		into, from = append(into, rowid), append(from, rowid)
	}
	for _, col := range t.Columns {
		x, ok := c.Convert[col.Name]
		if !ok && old.Column(col.Name) != nil {
			x, ok = quote(col.Name), true
		}
		if !ok {
			continue // the default fills it
		}
		if def := columnDefault(col); def != "" && col.NotNull {
			x = "coalesce(" + x + ", " + def + ")"
		}
		into, from = append(into, quote(col.Name)), append(from, x)
	}
	out := append(dropSearch(old),
		createRows(t, scratch),
		"INSERT INTO "+scratch+" ("+strings.Join(into, ", ")+") SELECT "+strings.Join(from, ", ")+" FROM "+tableName(old),
		"DROP TABLE "+tableName(old),
		"ALTER TABLE "+scratch+" RENAME TO "+tableName(t),
	)
	out = append(out, createIndexes(t)...)
	if len(t.Search) > 0 {
		out = append(out, createSearch(t)...)
		out = append(out, fillSearch(t))
	}
	return out
}

// tokenizer splits at white space only: what a word is was decided by
// value.Tokens, and FTS5's own tables are of an older Unicode. "ascii" takes
// every character beyond ASCII as part of a word; tokenchars does so with the
// punctuation.
const tokenizer = `"ascii tokenchars '!""#$%&()*+,-./:;<=>?@[\]^_` + "`" + `{|}~'"`

func searchName(t *store.Table) string { return quote(t.QualifiedName() + ".search") }

// searchColumn is a field's column in the search index. FTS5 keeps the names
// rank and rowid for itself.
func searchColumn(field string) string { return quote("_" + field) }

// createSearch makes the full-text index and what keeps it up to date. The
// index holds no text (content empty): its rows are found by the row's rowid,
// which SQLite changes in no statement that Pando runs, VACUUM included as
// long as the table has an index (TestRowidsSurviveVacuum).
func createSearch(t *store.Table) []string {
	if len(t.Search) == 0 {
		return nil
	}
	return append([]string{
		"CREATE VIRTUAL TABLE " + searchName(t) + " USING fts5(" + joinAll(", ", t.Search, searchColumn) +
			", content='', contentless_delete=1, tokenize=" + tokenizer + ")",
	}, createTriggers(t)...)
}

func createTriggers(t *store.Table) []string {
	tokens := func(field string) string { return "pando_tokens(new." + quote(field) + ")" }
	changed := func(field string) string { return "old." + quote(field) + " IS NOT new." + quote(field) }
	insert := "INSERT INTO " + searchName(t) + " (rowid, " + joinAll(", ", t.Search, searchColumn) + ") VALUES (new." + rowid + ", " + joinAll(", ", t.Search, tokens) + "); "
	remove := "DELETE FROM " + searchName(t) + " WHERE rowid = old." + rowid + "; "
	watched := t.Search
	if rowidIsKey(t) {
		watched = append([]string{t.Primary}, watched...)
	}
	return []string{
		"CREATE TRIGGER " + triggerName(t, "insert") + " AFTER INSERT ON " + tableName(t) + " BEGIN " + insert + "END",
		"CREATE TRIGGER " + triggerName(t, "update") + " AFTER UPDATE OF " + joinAll(", ", watched, quote) + " ON " + tableName(t) +
			" WHEN " + joinAll(" OR ", watched, changed) + " BEGIN " + remove + insert + "END",
		"CREATE TRIGGER " + triggerName(t, "delete") + " AFTER DELETE ON " + tableName(t) + " BEGIN " + remove + "END",
	}
}

func triggerName(t *store.Table, event string) string {
	return quote(t.QualifiedName() + ".search." + event)
}

func fillSearch(t *store.Table) string {
	tokens := func(field string) string { return "pando_tokens(" + quote(field) + ")" }
	return "INSERT INTO " + searchName(t) + " (rowid, " + joinAll(", ", t.Search, searchColumn) + ") SELECT " + rowid + ", " + joinAll(", ", t.Search, tokens) + " FROM " + tableName(t)
}

func dropTriggers(t *store.Table) []string {
	var out []string
	for _, event := range []string{"insert", "update", "delete"} {
		out = append(out, "DROP TRIGGER "+triggerName(t, event))
	}
	return out
}

func dropSearch(t *store.Table) []string {
	if len(t.Search) == 0 {
		return nil
	}
	return append(dropTriggers(t), "DROP TABLE "+searchName(t))
}
