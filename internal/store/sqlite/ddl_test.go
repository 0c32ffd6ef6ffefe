package sqlite

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

var update = flag.Bool("update", false, "write the golden file anew") //nolint:gochecknoglobals // a flag

// people is a table that has a bit of everything.
func people() *store.Table {
	open, nan := value.OfText("it's"), value.OfFloat(0.5)
	raw := value.OfBytes("\x00\xff")
	return &store.Table{
		Module: "m", Entity: "people", Primary: "id",
		Columns: []store.Column{
			{Name: "id", Kind: "uuid", NotNull: true},
			{Name: "name", Kind: "text"},
			{Name: "rank", Kind: "text"},
			{Name: "state", Kind: "enum", Enum: []string{"it's", "new"}, NotNull: true, Default: &open},
			{Name: "share", Kind: "float", Default: &nan},
			{Name: "total", Kind: "decimal", Scale: 2},
			{Name: "photo", Kind: "bytes", Default: &raw},
			{Name: "tags", Kind: "int", List: true},
			{Name: "boss_id", Kind: "uuid"},
		},
		Unique: []store.KeyColumns{{Name: "people_name_key", Columns: []string{"name"}}},
		Index:  []store.KeyColumns{{Name: "people_boss_id_ref", Columns: []string{"boss_id", "id"}}},
		Refs:   []store.ForeignKey{{Column: "boss_id", TargetModule: "m", TargetEntity: "people", TargetColumn: "id", OnDelete: model.SetNull}},
		Search: []string{"name", "rank"},
	}
}

func pets() *store.Table {
	return &store.Table{
		Module: "m", Entity: "pets", Primary: "id",
		Columns: []store.Column{{Name: "id", Kind: "int", NotNull: true}, {Name: "owner_id", Kind: "uuid", NotNull: true}, {Name: "name", Kind: "text"}},
		Refs:    []store.ForeignKey{{Column: "owner_id", TargetModule: "m", TargetEntity: "people", TargetColumn: "id", OnDelete: model.Cascade}},
		Index:   []store.KeyColumns{{Name: "pets_owner_id_ref", Columns: []string{"owner_id", "id"}}},
		Search:  []string{"name"},
	}
}

func renamed(t *store.Table, entity string) *store.Table {
	c := *t
	c.Entity = entity
	return &c
}

// TestDDL holds every kind of change against testdata/ddl.sql.
func TestDDL(t *testing.T) {
	t.Parallel()
	p := people()
	wide := people()
	wide.Columns = append(slices.Clone(wide.Columns), store.Column{Name: "made", Kind: "timestamp", NotNull: true, Fill: store.FillNow},
		store.Column{Name: "day", Kind: "date", Fill: store.FillNow}, store.Column{Name: "at", Kind: "time", Fill: store.FillNow},
		store.Column{Name: "key", Kind: "uuid", NotNull: true, Fill: store.FillUUID})
	var b strings.Builder
	write := func(title string, statements []string) {
		b.WriteString("-- " + title + "\n" + strings.Join(statements, ";\n") + ";\n\n")
	}
	write("system", systemDDL())
	for _, c := range []struct {
		title  string
		change store.Change
	}{
		{"create table", store.Change{Kind: store.CreateTable, Table: p}},
		{"create table, int key", store.Change{Kind: store.CreateTable, Table: pets()}},
		{"drop table", store.Change{Kind: store.DropTable, Table: p}},
		{"rename table", store.Change{Kind: store.RenameTable, Old: p, Table: renamed(p, "persons")}},
		{"add column", store.Change{Kind: store.AddColumn, Table: p, Column: *p.Column("state")}},
		{"add reference", store.Change{Kind: store.AddColumn, Table: p, Column: *p.Column("boss_id")}},
		{"drop column", store.Change{Kind: store.DropColumn, Table: p, Column: *p.Column("total")}},
		{"rename column", store.Change{Kind: store.RenameColumn, Table: p, From: "titel", Column: *p.Column("name")}},
		{"create index", store.Change{Kind: store.CreateIndex, Table: p, Key: p.Index[0]}},
		{"create unique index", store.Change{Kind: store.CreateIndex, Table: p, Key: p.Unique[0], Unique: true}},
		{"drop index", store.Change{Kind: store.DropIndex, Table: p, Key: p.Index[0]}},
		{"rebuild table", store.Change{Kind: store.RebuildTable, Old: p, Table: wide, Convert: map[string]string{"total": `"total" * 10`}}},
		{"rebuild table, int key", store.Change{Kind: store.RebuildTable, Old: pets(), Table: pets()}},
		{"create search", store.Change{Kind: store.CreateSearch, Table: p}},
		{"drop search", store.Change{Kind: store.DropSearch, Table: p}},
	} {
		write(c.title, ddl(c.change))
	}
	path := filepath.Join("testdata", "ddl.sql")
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// testStore is a database with people and pets.
type testStore struct {
	*testing.T
	d *Driver
}

func newTestStore(t *testing.T) testStore {
	t.Helper()
	d, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "x.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	s := testStore{t, d}
	s.alter(store.Change{Kind: store.CreateTable, Table: people()}, store.Change{Kind: store.CreateTable, Table: pets()})
	return s
}

func (s testStore) alter(changes ...store.Change) {
	s.Helper()
	err := s.d.Alter(s.Context(), func(tx store.Tx) error {
		for _, c := range changes {
			for _, sql := range ddl(c) {
				if _, err := tx.Exec(&store.Statement{SQL: sql}, nil); err != nil {
					return errors.Join(errors.New(sql), err, errors.Unwrap(err))
				}
			}
		}
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
	if err := s.d.Check(s.Context()); err != nil {
		s.Fatal(err)
	}
}

func (s testStore) exec(sql string, args ...value.Value) error {
	return s.d.Write(s.Context(), func(tx store.Tx) error {
		_, err := tx.Exec(&store.Statement{SQL: sql}, args)
		return err
	})
}

func (s testStore) must(sql string, args ...value.Value) {
	s.Helper()
	if err := s.exec(sql, args...); err != nil {
		s.Fatal(sql, err, errors.Unwrap(err))
	}
}

// ask joins what a statement answers: columns by a bar, rows by a blank.
func (s testStore) ask(sql string, args ...value.Value) string {
	s.Helper()
	var rows []string
	err := s.d.Read(s.Context(), false, func(r store.Reader) error {
		return r.Query(&store.Statement{SQL: sql}, args, func(row store.Row) error {
			rows = append(rows, string(row.Append(nil, 0)))
			return nil
		})
	})
	if err != nil {
		s.Fatal(sql, err, errors.Unwrap(err))
	}
	return strings.Join(rows, " ")
}

// find returns the ids whose field has all words of a text.
func (s testStore) find(entity, field, text string) string {
	s.Helper()
	var words []string
	for _, w := range value.Tokens(text) {
		words = append(words, `"`+strings.ReplaceAll(w, `"`, `""`)+`"`)
	}
	table := quote("m." + entity)
	fts := quote("m." + entity + ".search")
	return s.ask("SELECT id FROM "+table+" AS q WHERE q."+rowid+" IN (SELECT rowid FROM "+fts+" WHERE "+fts+" MATCH ?1) ORDER BY id",
		value.OfText("{"+searchColumn(field)+"} : ("+strings.Join(words, " AND ")+")"))
}

// TestSearchFollowsRows: whatever a word is to value.Tokens it is to the
// index, in any script, and writes of every kind keep the index right.
func TestSearchFollowsRows(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	texts := []string{
		"Größe naïve ΣΊΣΥΦΟΣ Привет", "日本語 テキスト", "شكرا עברית", "हिन्दी ไทย", "𞤀𞤣𞤤𞤢𞤥 ⴰⵣⵓⵍ 𐐀", "x-y foo_bar don't a.b@c.de 3.14", "e\u0301te\u0301 I\u0307",
	}
	for i, text := range texts {
		s.must(`INSERT INTO "m.people" (id, name, rank) VALUES (?1, ?2, 'rowid')`, value.OfText(string(rune('a'+i))), value.OfText(text))
	}
	for i, text := range texts {
		id := string(rune('a' + i))
		tokens := value.Tokens(text)
		if len(tokens) == 0 {
			t.Fatalf("%q has no words", text)
		}
		for _, w := range tokens {
			if got := s.find("people", "name", w); got != id {
				t.Errorf("%q of %q is found in [%s], want [%s]", w, text, got, id)
			}
			if got := s.find("people", "rank", w); got != "" {
				t.Errorf("%q is found in another field of [%s]", w, got)
			}
		}
	}
	if got := s.find("people", "name", "gr"); got != "" {
		t.Errorf("a part of a word is found in [%s]", got)
	}
	s.must(`UPDATE "m.people" SET name = 'changed' WHERE id = 'a'`)
	s.must(`DELETE FROM "m.people" WHERE id = 'b'`)
	s.must(`INSERT INTO "m.people" (id, name) VALUES ('c', 'again') ON CONFLICT (id) DO UPDATE SET name = excluded.name`)
	for word, want := range map[string]string{"größe": "", "changed": "a", "日本語": "", "again": "c", "شكرا": ""} {
		if got := s.find("people", "name", word); got != want {
			t.Errorf("%q is found in [%s], want [%s]", word, got, want)
		}
	}
	// The key is the rowid where it is an int; deletes cascade.
	s.must(`INSERT INTO "m.pets" VALUES (1, 'a', 'rex'), (2, 'a', NULL), (3, 'c', 'rex')`)
	s.must(`UPDATE "m.pets" SET id = 9 WHERE id = 3`)
	if got := s.find("pets", "name", "rex"); got != "1 9" {
		t.Errorf("after a change of the key: [%s]", got)
	}
	s.must(`DELETE FROM "m.people" WHERE id = 'a'`)
	if got := s.find("pets", "name", "rex"); got != "9" {
		t.Errorf("after a cascade: [%s]", got)
	}
}

// TestRowidsSurviveVacuum: search indexes name rows by rowid. SQLite promises
// to keep it only for integer keys; that it does for every table with an index
// must hold in each version that Pando is built with.
func TestRowidsSurviveVacuum(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	s.must(`INSERT INTO "m.people" (id, name) VALUES ('a', 'one'), ('b', 'two'), ('c', 'three')`)
	s.must(`DELETE FROM "m.people" WHERE id < 'c'`)
	copied := filepath.Join(t.TempDir(), "copy.db")
	for _, sql := range []string{"VACUUM", "VACUUM INTO " + literal(copied)} {
		c, err := openConn(s.d.path, s.d.opt, false)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(c.run(sql), c.close()); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.find("people", "name", "three"); got != "c" {
		t.Errorf("after VACUUM: [%s]", got)
	}
	d, err := Open(t.Context(), Options{Path: copied})
	if err != nil {
		t.Fatal(err)
	}
	if got := (testStore{t, d}).find("people", "name", "three"); got != "c" {
		t.Errorf("in the copy: [%s]", got)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestRebuildKeepsChildren: dropping the old table of a rebuild deletes no row
// that refers to it, and the references, keys and triggers go on working.
func TestRebuildKeepsChildren(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	s.must(`INSERT INTO "m.people" (id, name, boss_id) VALUES ('a', 'ann', NULL), ('b', 'bob', 'a')`)
	s.must(`INSERT INTO "m.pets" VALUES (1, 'a', 'rex'), (2, 'b', 'tom')`)
	next := people()
	next.Columns[1].NotNull = true
	s.alter(
		store.Change{Kind: store.RebuildTable, Old: people(), Table: next},
		store.Change{Kind: store.RebuildTable, Old: pets(), Table: pets()},
	)
	if got := s.ask(`SELECT p.name || ':' || q.name FROM "m.pets" AS p JOIN "m.people" AS q ON q.id = p.owner_id ORDER BY 1`); got != "rex:ann tom:bob" {
		t.Errorf("rows: %s", got)
	}
	if err := s.exec(`INSERT INTO "m.people" (id) VALUES ('x')`); !fault.Is(err, fault.NotNull) {
		t.Errorf("null in a required column: %v", err)
	}
	if err := s.exec(`INSERT INTO "m.people" (id, name) VALUES ('x', 'ann')`); !fault.Is(err, fault.Unique) {
		t.Errorf("a duplicate: %v", err)
	}
	if err := s.exec(`INSERT INTO "m.pets" VALUES (3, 'nobody', '')`); !fault.Is(err, fault.ForeignKey) {
		t.Errorf("a reference to nothing: %v", err)
	}
	if got := s.find("people", "name", "bob"); got != "b" {
		t.Errorf("search: [%s]", got)
	}
	s.must(`DELETE FROM "m.people" WHERE id = 'a'`)
	if got := s.ask(`SELECT id || coalesce(boss_id, '-') FROM "m.people" UNION ALL SELECT name FROM "m.pets"`); got != "b- tom" {
		t.Errorf("on_delete after the rebuild: %s", got)
	}
}

// TestRenameTakesReferencesAlong: in other tables, in the table itself, and
// the search index with its rows.
func TestRenameTakesReferencesAlong(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	s.must(`INSERT INTO "m.people" (id, name, boss_id) VALUES ('a', 'ann', NULL), ('b', 'bob', 'a')`)
	s.must(`INSERT INTO "m.pets" VALUES (1, 'a', 'rex'), (2, 'b', 'tom')`)
	to := renamed(people(), "persons")
	s.alter(store.Change{Kind: store.RenameTable, Old: people(), Table: to})
	if got := s.find("persons", "name", "ann"); got != "a" {
		t.Errorf("search: [%s]", got)
	}
	s.must(`UPDATE "m.persons" SET name = 'zoe' WHERE id = 'b'`)
	if got := s.find("persons", "name", "zoe"); got != "b" {
		t.Errorf("search after a write: [%s]", got)
	}
	s.must(`DELETE FROM "m.persons" WHERE id = 'a'`)
	if got := s.ask(`SELECT id || coalesce(boss_id, '-') FROM "m.persons" UNION ALL SELECT name FROM "m.pets"`); got != "b- tom" {
		t.Errorf("on_delete after the rename: %s", got)
	}
	// The old name is free.
	s.must(`DROP INDEX "m.people_name_key"`)
	s.must(`DROP INDEX "m.people_boss_id_ref"`)
	s.alter(store.Change{Kind: store.CreateTable, Table: people()})
}

// TestConvert: what survives a change of type, and in what form.
func TestConvert(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	col := func(kind string, more ...func(*store.Column)) store.Column {
		c := store.Column{Name: "x", Kind: kind}
		for _, f := range more {
			f(&c)
		}
		return c
	}
	scale := func(n int) func(*store.Column) { return func(c *store.Column) { c.Scale = n } }
	words := func(w ...string) func(*store.Column) { return func(c *store.Column) { c.Enum = w } }
	list := func(c *store.Column) { c.List = true }
	for _, c := range []struct {
		from, to store.Column
		x, want  string
		lost     bool
	}{
		{col("int"), col("decimal", scale(2)), "7", "700", false},
		{col("int"), col("decimal", scale(2)), "10000000000000000", "null", true},
		{col("int"), col("text"), "-7", "'-7'", false},
		{col("int"), col("float"), "7", "7.0", false},
		{col("int"), col("float"), "9007199254740993", "9007199254740992.0", true},
		{col("int"), col("bool"), "1", "1", false},
		{col("int"), col("bool"), "2", "1", true},
		{col("decimal", scale(2)), col("decimal", scale(4)), "-150", "-15000", false},
		{col("decimal", scale(2)), col("decimal", scale(4)), "99999999999999999", "null", true},
		{col("decimal", scale(2)), col("decimal", scale(0)), "-150", "-2", true},
		{col("decimal", scale(2)), col("decimal", scale(1)), "-150", "-15", false},
		{col("decimal", scale(2)), col("int"), "200", "2", false},
		{col("decimal", scale(2)), col("int"), "250", "3", true},
		{col("decimal", scale(2)), col("text"), "5", "'0.05'", false},
		{col("float"), col("int"), "2.0", "2", false},
		{col("float"), col("int"), "2.5", "2", true},
		{col("float"), col("text"), "2.0", "'2'", false},
		{col("text"), col("int"), "'007'", "7", false},
		{col("text"), col("int"), "'7x'", "null", true},
		{col("text"), col("uuid"), "'6A2F4E9C-0000-4000-8000-000000000000'", "'6a2f4e9c-0000-4000-8000-000000000000'", false},
		{col("text"), col("date"), "'2026-02-30'", "null", true},
		{col("text"), col("enum", words("a", "b")), "'a'", "'a'", false},
		{col("text"), col("enum", words("a", "b")), "'c'", "null", true},
		{col("text"), col("json"), `'{"b": 1,  "a": 2}'`, `'{"a":2,"b":1}'`, false},
		{col("date"), col("timestamp"), "'2026-01-02'", "'2026-01-02T00:00:00+00:00'", false},
		{col("timestamp"), col("date"), "'2026-01-02T00:00:00+00:00'", "'2026-01-02'", false},
		{col("timestamp"), col("date"), "'2026-01-02T00:00:01+00:00'", "'2026-01-02'", true},
		{col("int"), col("int", list), "7", "'[7]'", false},
		{col("int"), col("text", list), "7", `'["7"]'`, false},
		{col("text", list), col("text"), `'["a"]'`, "null", true},
		{col("enum", words("a", "b"), list), col("enum", words("b"), list), `'["a","b"]'`, `'["b"]'`, true},
		{col("bytes"), col("uuid"), "x'00'", "null", true},
	} {
		sql, lost, same := dialect{}.Convert(c.from, c.to, "("+c.x+")")
		if same {
			t.Errorf("%v to %v: the stored form differs", c.from, c.to)
		}
		if lost == "" {
			lost = "0"
		}
		if got := s.ask("SELECT CASE WHEN (" + sql + ") IS NULL THEN 'null' ELSE quote(" + sql + ") END"); got != c.want {
			t.Errorf("%s as %v to %v: %s, want %s", c.x, c.from.Type(), c.to.Type(), got, c.want)
		}
		if got := s.ask("SELECT coalesce(" + lost + ", 0)"); (got != "0") != c.lost {
			t.Errorf("%s as %v to %v: lost is %s, want %v", c.x, c.from.Type(), c.to.Type(), got, c.lost)
		}
		// Null stays null and is never lost.
		sql, lost, _ = dialect{}.Convert(c.from, c.to, "NULL")
		if lost == "" {
			lost = "0"
		}
		if got := s.ask("SELECT (" + sql + ") IS NULL AND NOT coalesce(" + lost + ", 0)"); got != "1" {
			t.Errorf("null as %v to %v: %s", c.from.Type(), c.to.Type(), got)
		}
	}
	for _, c := range [][2]store.Column{
		{col("uuid"), col("text")},
		{col("enum", words("a")), col("text")},
		{col("enum", words("a")), col("enum", words("a", "b"))},
		{col("int", list), col("json")},
		{col("date"), col("text")},
		{col("int"), col("int")},
	} {
		if sql, lost, same := (dialect{}).Convert(c[0], c[1], "x"); !same || lost != "" || sql != "x" {
			t.Errorf("%v to %v: %q, lost %q; the stored form is the same", c[0].Type(), c[1].Type(), sql, lost)
		}
	}
}
