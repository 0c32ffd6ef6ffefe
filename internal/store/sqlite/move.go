package sqlite

import (
	"context"
	"strconv"
	"strings"

	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
	zs "zombiezen.com/go/sqlite"
)

var (
	_ store.Mover       = (*Driver)(nil)
	_ store.MoveDialect = dialect{}
)

// moveDDL creates what a store remembers of a move.
func moveDDL() string {
	return `CREATE TABLE IF NOT EXISTS "pando_move" ("key" TEXT PRIMARY KEY NOT NULL, "value" TEXT NOT NULL) STRICT`
}

// Unlinked implements store.Mover.
func (d *Driver) Unlinked(ctx context.Context, fn func(store.MoveTx) error) error {
	return d.writer.hand(&job{ctx: ctx, alter: true, moves: true, fn: func(store.Tx) error { return fn(d.writer.c) }})
}

var _ store.MoveTx = (*conn)(nil)

// Load implements store.MoveTx: one statement, run for each row.
func (c *conn) Load(t *store.StoredTable, next func() ([]value.Value, error)) (n int64, err error) {
	var d dialect
	names, params := make([]string, len(t.Columns)), make([]string, len(t.Columns))
	for i, col := range t.Columns {
		names[i], params[i] = quote(col.Name), d.Param(i+1)
	}
	insert := &store.Statement{SQL: "INSERT INTO " + d.Stored(t) + " (" + strings.Join(names, ",") + ") VALUES (" + strings.Join(params, ",") + ")"}
	if t.AddOnly {
		insert.SQL += " ON CONFLICT DO NOTHING"
	}
	for {
		row, err := next()
		if row == nil || err != nil {
			return n, err
		}
		if _, err := c.Exec(insert, row); err != nil {
			return n, err
		}
		n++
	}
}

// moving and fence are what the triggers of a move ask the connection: a
// database that is opened by a program without them takes no writes.
func registerMove(c *conn) error {
	for name, fn := range map[string]func(zs.Context, []zs.Value) (zs.Value, error){
		"pando_moving": func(zs.Context, []zs.Value) (zs.Value, error) { return boolValue(c.moving), nil },
		"pando_fence": func(zs.Context, []zs.Value) (zs.Value, error) {
			c.fault = store.Moved()
			return zs.Value{}, c.fault
		},
	} {
		if err := c.c.CreateFunction(name, &zs.FunctionImpl{NArgs: 0, AllowIndirect: true, Scalar: fn}); err != nil {
			return translate(err)
		}
	}
	return nil
}

// OwnTables implements store.MoveDialect. The tables that refuse changes have a
// trigger named by the action.
func (dialect) OwnTables() string {
	return `SELECT t.name, c.name, CASE c.type WHEN 'INTEGER' THEN 'int' WHEN 'REAL' THEN 'float' WHEN 'BLOB' THEN 'bytes' ELSE 'text' END, c.pk, ` +
		`EXISTS (SELECT 1 FROM sqlite_schema AS s WHERE s.type='trigger' AND s.name=t.name||'.DELETE') ` +
		`FROM pragma_table_list AS t JOIN pragma_table_xinfo(t.name) AS c WHERE t.schema='main' AND t.type='table' AND t.name LIKE 'pando\_%' ESCAPE '\' ` +
		`AND t.name NOT IN ('pando_move','pando_changes') ORDER BY t.name, c.cid`
}

// Stored implements store.MoveDialect.
func (dialect) Stored(t *store.StoredTable) string { return quote(t.Name) }

// CaptureLog implements store.MoveDialect.
func (dialect) CaptureLog() []string {
	return []string{`CREATE TABLE IF NOT EXISTS "pando_changes" ("seq" INTEGER PRIMARY KEY NOT NULL, "tbl" INTEGER NOT NULL, "key" TEXT NOT NULL) STRICT`}
}

// ReleaseLog implements store.MoveDialect.
func (dialect) ReleaseLog() []string { return []string{`DROP TABLE IF EXISTS "pando_changes"`} }

// Capture implements store.MoveDialect. What a reference's action does to other
// rows fires their triggers too.
func (d dialect) Capture(t *store.StoredTable, n int) []string {
	insert := `INSERT INTO "pando_changes" ("tbl","key") `
	number := strconv.Itoa(n)
	return append(d.Release(t, n),
		captureTrigger(t, "insert")+insert+"VALUES ("+number+","+keyText(t, "new")+"); END",
		captureTrigger(t, "update")+insert+"SELECT "+number+","+keyText(t, "old")+" UNION SELECT "+number+","+keyText(t, "new")+"; END",
		captureTrigger(t, "delete")+insert+"VALUES ("+number+","+keyText(t, "old")+"); END",
	)
}

func captureTrigger(t *store.StoredTable, event string) string {
	return "CREATE TRIGGER " + moveTrigger(t, "capture", event) + " AFTER " + strings.ToUpper(event) + " ON " + quote(t.Name) + " WHEN NOT pando_moving() BEGIN "
}

func moveTrigger(t *store.StoredTable, what, event string) string {
	return quote(t.Name + "." + what + "." + event)
}

// keyText is the key of a row as a JSON array of texts. No key is of bytes or
// floats.
func keyText(t *store.StoredTable, row string) string {
	parts := make([]string, len(t.Key))
	for i, k := range t.Key {
		parts[i] = "CAST(" + row + "." + quote(t.Columns[k].Name) + " AS TEXT)"
	}
	return "json_array(" + strings.Join(parts, ",") + ")"
}

func dropMoveTriggers(t *store.StoredTable, what string) []string {
	var out []string
	for _, event := range []string{"insert", "update", "delete"} {
		out = append(out, "DROP TRIGGER IF EXISTS "+moveTrigger(t, what, event))
	}
	return out
}

// Release implements store.MoveDialect.
func (dialect) Release(t *store.StoredTable, _ int) []string { return dropMoveTriggers(t, "capture") }

// Fence implements store.MoveDialect.
func (d dialect) Fence(t *store.StoredTable) []string {
	out := d.Unfence(t)
	for _, event := range []string{"insert", "update", "delete"} {
		out = append(out, "CREATE TRIGGER "+moveTrigger(t, "fence", event)+" BEFORE "+strings.ToUpper(event)+" ON "+quote(t.Name)+
			" WHEN NOT pando_moving() BEGIN SELECT pando_fence(); SELECT RAISE(ABORT, 'the store has moved'); END")
	}
	return out
}

// Unfence implements store.MoveDialect.
func (dialect) Unfence(t *store.StoredTable) []string { return dropMoveTriggers(t, "fence") }

// Bare implements store.MoveDialect. References are part of the table.
func (dialect) Bare(t *store.Table) []string { return []string{createRows(t, tableName(t))} }

// Finish implements store.MoveDialect.
func (dialect) Finish(t *store.Table) []string {
	out := createIndexes(t)
	if len(t.Search) > 0 {
		out = append(append(out, createSearch(t)...), fillSearch(t))
	}
	return out
}

// Link, Validate and Unlink implement store.MoveDialect: there is nothing to
// add, and Unlinked passes over what is there.
func (dialect) Link(*store.Table) []string { return nil }

// Validate implements store.MoveDialect.
func (dialect) Validate(*store.Table) []string { return nil }

// Unlink implements store.MoveDialect.
func (dialect) Unlink(*store.Table) []string { return nil }

// Clear implements store.MoveDialect.
func (dialect) Clear(t *store.Table) []string {
	return []string{"DROP TABLE IF EXISTS " + searchName(t), "DROP TABLE IF EXISTS " + tableName(t)}
}

// Settle implements store.MoveDialect.
func (dialect) Settle() []string { return nil }
