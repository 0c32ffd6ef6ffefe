package postgres_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/postgres"
)

// adopted opens a database with a table, and the application over it.
func adopted(t *testing.T, sql, module string) (*postgres.Driver, *model.App, []store.Misfit) {
	t.Helper()
	url := database(t)
	psql(t, url)(sql)
	d := open(t, url)
	app, problems := model.Load(fstest.MapFS{"pando.yaml": {Data: []byte("app: a\n")}, "modules/old.yaml": {Data: []byte(module)}}, nil, model.Features{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	misfits, err := d.Adopt(t.Context(), app)
	if err != nil {
		t.Fatal(err)
	}
	return d, app, misfits
}

// A condition on a column of another type finds its rows by the index.
func TestConditionsUseTheColumnsIndex(t *testing.T) {
	t.Parallel()
	d, app, misfits := adopted(t, `CREATE SCHEMA old; CREATE TYPE old.mood AS ENUM ('sad','ok');
		CREATE TABLE old.rows (id serial PRIMARY KEY, s smallint NOT NULL, n numeric(10,2) NOT NULL, w numeric(8,0) NOT NULL, v varchar(9) NOT NULL,
			x text NOT NULL COLLATE "en-x-icu", c char(3) NOT NULL, e old.mood NOT NULL, at timestamp NOT NULL, m money NOT NULL);
		CREATE INDEX ON old.rows (s); CREATE INDEX ON old.rows (n); CREATE INDEX ON old.rows (w); CREATE INDEX ON old.rows (v); CREATE INDEX ON old.rows (x);
		CREATE INDEX ON old.rows (c); CREATE INDEX ON old.rows (e); CREATE INDEX ON old.rows (at); CREATE INDEX ON old.rows (m)`, `
module: old
entities:
  rows:
    managed: false
    fields:
      id: { type: int, primary: true, default: database() }
      s:  { type: int }
      n:  { type: decimal, scale: 2 }
      w:  { type: int }
      v:  { type: text }
      x:  { type: text }
      c:  { type: text }
      e:  { type: enum, values: [sad, ok] }
      at: { type: timestamp }
      m:  { type: decimal, scale: 2 }
`)
	if len(misfits) > 0 {
		t.Fatal(misfits)
	}
	value := map[string]string{"id": "'1'", "s": "'1'", "n": "'150'", "w": "'3'", "e": "'ok'", "at": "'2026-01-02T03:04:05+00:00'", "m": "'150'"}
	for _, f := range app.Entity("old", "rows").Fields {
		form := d.Dialect().Form(f)
		if form == nil {
			t.Errorf("%s has no form", f.Name)
			continue
		}
		literal := value[f.Name]
		if literal == "" {
			literal = "'abc'"
		}
		conds := map[string]string{"=": d.Dialect().Ident(f.Name) + "=" + form.Key(literal), "in": form.In(d.Dialect().Ident(f.Name), "'{"+strings.Trim(literal, "'")+"}'")}
		if form.Ordered {
			conds["<"] = d.Dialect().Ident(f.Name) + "<" + form.Key(literal)
		}
		for op, cond := range conds {
			plan := explained(t, d, "SELECT 1 FROM old.rows WHERE "+cond)
			if !strings.Contains(plan, "Index Cond: ("+f.Name) && !strings.Contains(plan, `Index Cond: ("`+f.Name) && !strings.Contains(plan, "Index Cond: (("+f.Name) {
				t.Errorf("%s %s does not use its index: %s\n%s", f.Name, op, cond, plan)
			}
		}
	}
}

func explained(t *testing.T, d *postgres.Driver, sql string) string {
	t.Helper()
	var b strings.Builder
	err := d.Read(t.Context(), true, func(r store.Reader) error {
		if err := r.Query(&store.Statement{SQL: "SET LOCAL enable_seqscan=off"}, nil, func(store.Row) error { return nil }); err != nil {
			return err
		}
		return r.Query(&store.Statement{SQL: "EXPLAIN " + sql}, nil, func(row store.Row) error {
			b.Write(row.Append(nil, 0))
			b.WriteByte('\n')
			return nil
		})
	})
	if err != nil {
		t.Fatal(sql, err)
	}
	return b.String()
}

// What does not fit is told with its place and what to do.
func TestAdoptTellsWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	_, _, misfits := adopted(t, `CREATE SCHEMA old; CREATE TABLE old.rows (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a text, b int NOT NULL, span interval);
		CREATE TABLE old.loose (id int NOT NULL)`, `
module: old
entities:
  rows:
    managed: false
    fields:
      id:   { type: int, primary: true }
      a:    { type: text }
      b:    { type: text }
      span: { type: text, optional: true }
      bb:   { type: int }
  loose: { managed: false, fields: { id: { type: int, primary: true } } }
  gone:  { managed: false, fields: { id: { type: int, primary: true } } }
`)
	want := []string{
		"modules/old.yaml:7:7 the database always makes the value of old.rows.id (add generated: true)",
		"modules/old.yaml:8:7 old.rows.a is required, and its column may be null (add optional: true)",
		"modules/old.yaml:9:7 old.rows.b is text, and its column is integer (the field that serves it is type: int)",
		"modules/old.yaml:10:7 old.rows.span is text, and its column is interval (leave the field out: no type of field serves it)",
		`modules/old.yaml:11:7 the table "old"."rows" has no column "bb" for old.rows.bb (is it b? Name it with column:)`,
		`modules/old.yaml:12:38 no unique index of "old"."loose" is on id alone, the key of old.loose (choose a column that is unique by itself as the primary field)`,
		`modules/old.yaml:13:3 the database has no table "old"."gone" for old.gone, which is not managed (name it with table: schema.name, or make it again with ` + "`pando pull`)",
	}
	got := make([]string, len(misfits))
	for i, m := range misfits {
		got[i] = m.Pos.String() + " " + m.Message + " (" + m.Hint + ")"
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}
