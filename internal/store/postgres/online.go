package postgres

import (
	"slices"
	"strconv"
	"strings"

	"github.com/pandobase/pando/internal/store"
)

var _ store.OnlineDialect = dialect{}

// Freeze implements store.OnlineDialect.
func (dialect) Freeze(t *store.Table) string {
	return "LOCK TABLE " + tableName(t) + " IN SHARE ROW EXCLUSIVE MODE"
}

// alteration collects how the changes of one step are made.
type alteration struct {
	store.Alteration
	d      dialect
	rows   func(*store.Table) int64
	direct int64
}

// Alteration implements store.OnlineDialect. What a stage makes has a name of
// our own until the transaction gives it the one that the model knows.
func (d dialect) Alteration(changes []store.Change, rows func(*store.Table) int64, direct int64) store.Alteration {
	a := &alteration{d: d, rows: rows, direct: direct}
	changes, fields := keepSearch(changes)
	if len(fields) > 0 {
		a.sql(ignoreStale(changes[0])...)
	}
	for i := 0; i < len(changes); i++ {
		if c := changes[i]; i+1 < len(changes) && a.replace(c, changes[i+1]) {
			i++
			continue
		}
		a.change(changes[i])
	}
	if len(fields) > 0 {
		t := *changes[len(changes)-1].Table
		t.Search = fields
		a.sql(noticeStale(&t)...)
	}
	return a.Alteration
}

// large reports whether a table is changed in stages. A step that has to lock
// does all at once.
func (a *alteration) large(t *store.Table) bool { return a.Locks == "" && a.rows(t) > a.direct }

func (a *alteration) before(stages ...store.Stage) { a.Before = append(a.Before, stages...) }

func (a *alteration) sql(sql ...string) { a.SQL = append(a.SQL, sql...) }

// keepSearch takes the drop and the creation of a search away from around a
// rename: the columns of tokens are renamed with their fields. It returns the
// fields that are searched behind the rename.
func keepSearch(changes []store.Change) ([]store.Change, []string) {
	last := len(changes) - 1
	renames := slices.ContainsFunc(changes, func(c store.Change) bool { return c.Kind == store.RenameTable || c.Kind == store.RenameColumn })
	if !renames || changes[0].Kind != store.DropSearch || changes[last].Kind != store.CreateSearch {
		return changes, nil
	}
	fields := changes[0].Table.Search
	out := slices.Clone(changes[1:last])
	for i := range out {
		switch c := &out[i]; c.Kind { //nolint:exhaustive // the others do not touch a search
		case store.RenameTable:
			old := *c.Old
			old.Search = fields
			c.Old = &old
		case store.RenameColumn:
			t := *c.Table
			t.Search = fields
			c.Table = &t
		}
	}
	return out, changes[last].Table.Search
}

// replace makes one change of two that belong together.
func (a *alteration) replace(drop, create store.Change) bool {
	switch {
	case drop.Kind == store.DropSearch && create.Kind == store.CreateSearch:
		a.search(create.Table, drop.Table.Search)
		return true
	case drop.Kind != store.DropIndex || create.Kind != store.CreateIndex || drop.Unique != create.Unique:
		return false
	case slices.Equal(drop.Key.Columns, create.Key.Columns):
		a.sql(renameIndex(create.Table, drop.Key.Name, create.Key.Name))
		return true
	case drop.Key.Name == create.Key.Name && a.large(create.Table):
		name := a.build(create.Table, create.Key, create.Unique)
		a.sql(ddl(drop)...)
		a.sql(renameIndex(create.Table, name, create.Key.Name))
		return true
	}
	return false
}

func renameIndex(t *store.Table, from, to string) string {
	return "ALTER INDEX " + quote(t.Module) + "." + quote(from) + " RENAME TO " + quote(to)
}

func (a *alteration) change(c store.Change) {
	t := c.Table
	switch {
	case c.Kind == store.AddColumn:
		a.addColumn(t, c.Column)
	case c.Kind == store.RebuildTable && c.Old.Primary != t.Primary:
		a.sql(replaceEmpty(c)...)
	case c.Kind == store.RebuildTable:
		a.rebuild(c)
	case c.Kind == store.CreateSearch:
		a.search(t, nil)
	case c.Kind == store.DropSearch:
		a.sql(ignoreStale(c)...)
		a.sql(ddl(c)...)
	case c.Kind == store.CreateIndex && a.large(t):
		a.sql(renameIndex(t, a.build(t, c.Key, c.Unique), c.Key.Name))
	default:
		a.sql(ddl(c)...)
	}
}

// build makes an index under a name of our own, and returns that.
func (a *alteration) build(t *store.Table, k store.KeyColumns, unique bool) string {
	k.Name = ""
	k.Name = temporary("index", createIndex(t, k, unique))
	a.concurrently("index "+t.QualifiedName()+" ("+strings.Join(k.Columns, ", ")+")", t, k.Name, createIndex(t, k, unique))
	return k.Name
}

func (a *alteration) concurrently(title string, t *store.Table, name, create string) {
	online := strings.Replace(create, "INDEX ", "INDEX CONCURRENTLY ", 1)
	if t.Partition == nil {
		a.before(&stage{title: title, index: &build{schema: t.Module, name: name, create: online}})
		return
	}
	// A divided table's index is made of its partitions' ones.
	whole := quote(t.Module) + "." + quote(name)
	together := []string{strings.Replace(create, " ON "+tableName(t), " ON ONLY "+tableName(t), 1)}
	for i := range t.Partition.Into {
		part := name + "." + strconv.Itoa(i)
		sql := strings.Replace(strings.Replace(online, quote(name), quote(part), 1), " ON "+tableName(t), " ON "+partitionName(t, i), 1)
		a.before(&stage{title: title, index: &build{schema: t.Module, name: part, create: sql}})
		together = append(together, "ALTER INDEX "+whole+" ATTACH PARTITION "+quote(t.Module)+"."+quote(part))
	}
	a.before(&stage{title: title, done: validIndex(whole), brief: together})
}

// replaceEmpty makes a table anew that has to be empty.
func replaceEmpty(c store.Change) []string {
	old := tableName(c.Old)
	return append([]string{
		"LOCK TABLE " + old + " IN ACCESS EXCLUSIVE MODE",
		"DO " + literal("BEGIN IF EXISTS (SELECT 1 FROM "+old+") THEN RAISE EXCEPTION 'the table is not empty' USING ERRCODE = 'check_violation'; END IF; END"),
		"DROP TABLE " + old,
	}, createTable(c.Table)...)
}

// addColumn takes a lock for a moment, with a default too, unless each row
// needs a value of its own.
func (a *alteration) addColumn(t *store.Table, c store.Column) {
	each := c.Default == nil && c.Fill == store.FillUUID && c.Name != t.Primary
	if !each || !a.large(t) {
		a.sql("ALTER TABLE " + tableName(t) + " ADD COLUMN " + columnDef(t, c))
		a.reference(t, c.Name)
		return
	}
	alter, def := "ALTER TABLE "+tableName(t), columnDefault(c)
	name := temporary("column", tableName(t), c.Name, columnType(c), def)
	column := quote(name)
	a.before(&stage{
		title: "add " + t.QualifiedName() + "." + c.Name, done: columnExists(t, name),
		brief: []string{alter + " ADD COLUMN " + column + " " + columnType(c), alter + " ALTER COLUMN " + column + " SET DEFAULT " + def},
	}, a.fill(t, c.Name, column+"="+def, column+" IS NULL"))
	required := ""
	if c.NotNull {
		required = a.required(t, c.Name, name)
	}
	a.sql(alter + " RENAME COLUMN " + column + " TO " + quote(c.Name))
	if c.NotNull {
		a.sql(setNotNull(t, c.Name, required)...)
	}
	a.reference(t, c.Name)
}

// reference adds the foreign key of a column that is new. On a large table it
// is checked behind the transaction (Finish).
func (a *alteration) reference(t *store.Table, column string) {
	sql := pending(t, column)
	if len(sql) > 0 && t.Partition != nil && a.large(t) {
		a.Locks = dividedReference(t, column)
	}
	if a.large(t) {
		for i := range sql { // the statement is the literal at the end
			sql[i] = strings.TrimSuffix(sql[i], "')") + " NOT VALID')"
		}
	}
	a.sql(sql...)
}

func (a *alteration) fill(t *store.Table, column, set, where string) *stage {
	return &stage{title: "fill " + t.QualifiedName() + "." + column, fill: &fill{table: t, set: set, where: where, rows: a.rows(t)}}
}

// required proves that a column holds no null, without a lock, by a check
// whose name it returns. field is what the model calls the column.
func (a *alteration) required(t *store.Table, field, column string, between ...*stage) string {
	name := temporary("required", tableName(t), column)
	a.before(constrain(t.QualifiedName()+"."+field+" is required", t, name, "CHECK ("+quote(column)+" IS NOT NULL)", between...)...)
	return name
}

// setNotNull takes a check's word that there is no null.
func setNotNull(t *store.Table, column, check string) []string {
	alter := "ALTER TABLE " + tableName(t)
	return []string{alter + " ALTER COLUMN " + quote(column) + " SET NOT NULL", alter + " DROP CONSTRAINT " + quote(check)}
}

// search brings a search from one list of fields to another.
func (a *alteration) search(t *store.Table, old []string) {
	alter := "ALTER TABLE " + tableName(t)
	var added, add []string
	for _, f := range t.Search {
		if !slices.Contains(old, f) {
			added = append(added, f)
			add = append(add, alter+" ADD COLUMN IF NOT EXISTS "+tokensColumn(f)+" tsvector")
		}
	}
	index := quote(t.Module) + "." + quote(t.Entity+searchSuffix)
	create := searchIndex(t)
	if len(added) > 0 {
		a.before(&stage{title: "search " + t.QualifiedName(), brief: append(add, noticeStale(t)...)}, a.tokens(t, added))
	}
	if a.large(t) {
		name := temporary("index", create)
		a.concurrently("index the words of "+t.QualifiedName(), t, name, strings.Replace(create, quote(t.Entity+searchSuffix), quote(name), 1))
		create = renameIndex(t, name, t.Entity+searchSuffix)
	}
	if len(old) > 0 {
		if len(added) == 0 {
			a.sql(ignoreStale(store.Change{Table: t})...)
		}
		a.sql("DROP INDEX " + index)
	}
	a.sql(create)
	for _, f := range old {
		if !slices.Contains(t.Search, f) {
			a.sql(alter + " DROP COLUMN " + tokensColumn(f))
		}
	}
}

// tokens fills the tokens of rows that have none.
func (a *alteration) tokens(t *store.Table, fields []string) *stage {
	return &stage{title: "find the words of " + t.QualifiedName(), fill: missingTokens(t, fields, a.rows(t))}
}

func missingTokens(t *store.Table, fields []string, rows int64) *fill {
	where := strings.Join(joinEach(fields, func(f string) string { return tokensColumn(f) + " IS NULL AND " + quote(f) + " IS NOT NULL" }), " OR ")
	return &fill{table: t, tokens: fields, where: where, rows: rows}
}

// staleTrigger takes the tokens of a field away that an older release changes,
// which does not know them: Finish fills them in.
const staleTrigger = ours + "search"

// ignoreStale ends that before what the trigger reads is renamed or dropped.
func ignoreStale(c store.Change) []string {
	t := c.Table
	if c.Kind == store.RenameTable {
		t = c.Old
	}
	return []string{
		"DROP TRIGGER IF EXISTS " + quote(staleTrigger) + " ON " + tableName(t),
		"DROP FUNCTION IF EXISTS " + quote(t.Module) + "." + quote(t.Entity+searchSuffix) + "()",
	}
}

func noticeStale(t *store.Table) []string {
	function := quote(t.Module) + "." + quote(t.Entity+searchSuffix)
	var body strings.Builder
	body.WriteString("BEGIN ")
	for _, f := range t.Search {
		field, tokens := quote(f), tokensColumn(f)
		body.WriteString("IF NEW." + field + " IS DISTINCT FROM OLD." + field + " AND NEW." + tokens + " IS NOT DISTINCT FROM OLD." + tokens +
			" THEN NEW." + tokens + " := NULL; END IF; ")
	}
	body.WriteString("RETURN NEW; END")
	return []string{
		"CREATE OR REPLACE FUNCTION " + function + "() RETURNS trigger LANGUAGE plpgsql AS " + literal(body.String()),
		"CREATE OR REPLACE TRIGGER " + quote(staleTrigger) + " BEFORE UPDATE ON " + tableName(t) + " FOR EACH ROW EXECUTE FUNCTION " + function + "()",
	}
}
