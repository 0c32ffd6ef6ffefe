package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// imports times `pando import` of a file into an empty entity, and right after
// it a bare loop of one prepared INSERT that writes the same stored values, in
// one transaction, into tables and indexes made by the same statements. The
// import is the whole command with its start and the reading of the file; the
// loop has its values in memory. Written: import_rows_s, bare_rows_s,
// import_ratio.
func imports(args []string, _ io.Writer) error {
	fs := flag.NewFlagSet("import", flag.ExitOnError)
	pando := fs.String("pando", "", "the binary")
	dir := fs.String("app", "", "an application with its store, what the entity refers to already in it")
	csv := fs.String("csv", "", "the rows")
	entity := fs.String("entity", "tasks", "their entity, which lies in the module of the same name")
	reps := fs.Int("reps", 3, "pairs")
	out := fs.String("out", "", "where the facts go")
	_ = fs.Parse(args) // exits on error
	var imported, bare, ratio []float64
	scratch := *dir + ".import"
	defer os.RemoveAll(scratch)
	for range *reps {
		if err := os.RemoveAll(scratch); err != nil {
			return err
		}
		if msg, err := exec.Command("cp", "-a", *dir, scratch).CombinedOutput(); err != nil { // the key file's mode matters
			return fmt.Errorf("%w: %s", err, msg)
		}
		cmd := exec.Command(*pando, "-C", scratch, "import", *entity, *csv)
		begin := time.Now()
		if msg, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, msg)
		}
		took := time.Since(begin).Seconds()
		n, loop, err := bareLoop(filepath.Join(scratch, "data"), *entity+"."+*entity)
		if err != nil {
			return err
		}
		imported, bare, ratio = append(imported, float64(n)/took), append(bare, float64(n)/loop), append(ratio, loop/took)
	}
	f := facts{"import_rows_s": median(imported), "bare_rows_s": median(bare), "import_ratio": median(ratio)}
	return f.write(*out)
}

// openStore opens a database with the pragmas of Pando's writer.
func openStore(path string) (*sqlite.Conn, error) {
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite, sqlite.OpenCreate)
	if err != nil {
		return nil, err
	}
	for _, p := range []string{
		"journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY",
		"cache_size=-16384", "mmap_size=268435456", "wal_autocheckpoint=16000",
	} {
		if err := sqlitex.ExecuteTransient(c, "PRAGMA "+p, nil); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return c, nil
}

// bareLoop reads the table's rows from the store in dir and times their
// insertion into a new file beside it.
func bareLoop(dir, table string) (n int, took float64, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.db"))
	if err != nil || len(files) != 1 {
		return 0, 0, errors.Join(err, fmt.Errorf("%d databases in %s", len(files), dir))
	}
	path := filepath.Join(dir, "bare.db")
	c, err := openStore(path)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, c.Close(), os.Remove(path)) }()
	values, columns, err := prepareBare(c, files[0], table)
	if err != nil {
		return 0, 0, err
	}
	begin := time.Now()
	err = insertAll(c, table, columns, values)
	return len(values) / columns, time.Since(begin).Seconds(), err
}

// prepareBare makes c's tables and indexes as the store has them, fills all but
// the one table, and gives that one's values, row after row.
func prepareBare(c *sqlite.Conn, from, table string) (values []any, columns int, err error) {
	if err := sqlitex.Execute(c, "ATTACH ? AS source", &sqlitex.ExecOptions{Args: []any{from}}); err != nil {
		return nil, 0, err
	}
	var ddl, tables []string
	err = sqlitex.Execute(c, "SELECT sql, type, name FROM source.sqlite_master WHERE sql IS NOT NULL AND tbl_name NOT LIKE 'pando\\_%' ESCAPE '\\' AND tbl_name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY type DESC, rowid",
		&sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error {
			ddl = append(ddl, s.ColumnText(0))
			if s.ColumnText(1) == "table" && s.ColumnText(2) != table {
				tables = append(tables, s.ColumnText(2))
			}
			return nil
		}})
	if err != nil {
		return nil, 0, err
	}
	for _, t := range tables {
		ddl = append(ddl, fmt.Sprintf(`INSERT INTO main.%q SELECT * FROM source.%q`, t, t))
	}
	for _, sql := range ddl {
		if err := sqlitex.ExecuteTransient(c, sql, nil); err != nil {
			return nil, 0, fmt.Errorf("%s: %w", sql, err)
		}
	}
	err = sqlitex.Execute(c, fmt.Sprintf("SELECT * FROM source.%q", table), &sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error {
		columns = s.ColumnCount()
		for i := range columns {
			switch s.ColumnType(i) {
			case sqlite.TypeInteger:
				values = append(values, s.ColumnInt64(i))
			case sqlite.TypeText:
				values = append(values, s.ColumnText(i))
			default:
				return fmt.Errorf("column %s holds %s", s.ColumnName(i), s.ColumnType(i))
			}
		}
		return nil
	}})
	if err == nil && columns == 0 {
		err = fmt.Errorf("%s is empty", table)
	}
	return values, columns, errors.Join(err, sqlitex.ExecuteTransient(c, "DETACH source", nil))
}

func insertAll(c *sqlite.Conn, table string, columns int, values []any) error {
	if err := sqlitex.ExecuteTransient(c, "BEGIN IMMEDIATE", nil); err != nil {
		return err
	}
	s, err := c.Prepare(fmt.Sprintf("INSERT INTO %q VALUES (?%s)", table, strings.Repeat(",?", columns-1)))
	if err != nil {
		return err
	}
	for i, v := range values {
		switch v := v.(type) {
		case int64:
			s.BindInt64(i%columns+1, v)
		case string:
			s.BindText(i%columns+1, v)
		}
		if i%columns < columns-1 {
			continue
		}
		if _, err := s.Step(); err != nil {
			return err
		}
		if err := s.Reset(); err != nil {
			return err
		}
	}
	return sqlitex.ExecuteTransient(c, "COMMIT", nil)
}
