package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

var _ store.Advisor = (*Driver)(nil)

// Explain implements store.Advisor. SQLite has no cost to show, and no index
// that is not there: a hypothesis is tried on an empty copy of the schema.
func (d *Driver) Explain(ctx context.Context, st *store.Statement, args []value.Value, with *store.Hypothesis) (store.Explained, bool, error) {
	if with != nil {
		e, err := d.suppose(ctx, st, args, with)
		return e, err == nil, err
	}
	var e store.Explained
	err := d.Read(ctx, false, func(r store.Reader) error {
		// EXPLAIN does not look whether the schema has changed since the connection
		// read it; a statement that runs does.
		if err := r.Query(touchSchema, nil, func(store.Row) error { return nil }); err != nil {
			return err
		}
		return explain(r, st, args, &e)
	})
	return e, err == nil, err
}

//nolint:gochecknoglobals // a constant text; a Statement is identified by its address
var touchSchema = &store.Statement{SQL: "SELECT 1 FROM sqlite_schema LIMIT 1"}

// explain reads EXPLAIN QUERY PLAN (https://sqlite.org/eqp.html).
func explain(r store.Reader, st *store.Statement, args []value.Value, into *store.Explained) error {
	return r.Query(&store.Statement{SQL: "EXPLAIN QUERY PLAN " + st.SQL}, args, func(row store.Row) error {
		words := strings.Fields(string(row.Append(nil, 3)))
		if len(words) < 2 {
			return nil
		}
		switch words[0] {
		case "SCAN", "SEARCH":
			into.Scans = append(into.Scans, store.Scan{Alias: words[1], Index: indexOf(words), Whole: words[0] == "SCAN"})
		case "USE":
			into.Sorts = into.Sorts || words[len(words)-2] == "ORDER" || words[len(words)-1] == "BY"
		}
		return nil
	})
}

// indexOf finds the index's name in "SEARCH t0 USING COVERING INDEX name (a=?)".
func indexOf(words []string) string {
	for i, w := range words[:len(words)-1] {
		switch {
		case w == "INDEX":
			_, name, _ := strings.Cut(words[i+1], ".") // behind the module's name
			return name
		case w == "PRIMARY" && words[i+1] == "KEY":
			return "primary key"
		}
	}
	return ""
}

// suppose explains a statement in a copy of the schema that has one index more.
// Without statistics SQLite takes its tables for large.
func (d *Driver) suppose(ctx context.Context, st *store.Statement, args []value.Value, with *store.Hypothesis) (e store.Explained, err error) {
	var schema []string
	err = d.Read(ctx, false, func(r store.Reader) error {
		const sql = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND type IN ('table','index') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY type DESC, rowid"
		return r.Query(&store.Statement{SQL: sql}, nil, func(row store.Row) error {
			if text := string(row.Append(nil, 0)); !shadow(text) {
				schema = append(schema, text)
			}
			return nil
		})
	})
	if err != nil {
		return e, err
	}
	dir, err := os.MkdirTemp("", "pando-advise")
	if err != nil {
		return e, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	c, err := openConn(filepath.Join(dir, "schema.db"), d.opt, false)
	if err != nil {
		return e, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	schema = append(schema, createIndex(with.Table, store.KeyColumns{Name: supposed, Columns: with.Columns}, false))
	for _, sql := range append([]string{"PRAGMA foreign_keys=OFF", "PRAGMA synchronous=OFF", "BEGIN"}, append(schema, "COMMIT")...) {
		if err := c.run(sql); err != nil {
			return e, err
		}
	}
	return e, explain(c, st, args, &e)
}

// supposed is the name of an index that is not there.
const supposed = "supposed"

// shadow tells the tables that a full-text index makes for itself.
func shadow(sql string) bool {
	for _, suffix := range []string{".search_data'", ".search_idx'", ".search_docsize'", ".search_config'", ".search_content'"} {
		if head, _, _ := strings.Cut(sql, "("); strings.Contains(head, suffix) {
			return true
		}
	}
	return false
}

// Statistics implements store.Advisor: SQLite counts nothing of its use.
func (d *Driver) Statistics(context.Context) (*store.Statistics, error) {
	return &store.Statistics{}, nil
}
