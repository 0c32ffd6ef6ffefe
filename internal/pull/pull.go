// Package pull writes the modules of a database that Pando did not make: an
// entity for each table that the module language can express, whose table
// stays the database's (managed: false), and a report of what it could not
// express. It works on a [store.Survey], writes no SQL and no file.
package pull

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// Options say what of a survey is pulled.
type Options struct {
	// Module is the name of the module of the schema public, or of the one
	// schema that there is; empty: the schema's.
	Module string
	// Tables are patterns as of path.Match, of "table" or "schema.table";
	// empty: all.
	Tables []string
	// Existing are the module files that are there, by module.
	Existing map[string][]byte
}

// Result is what a pull makes.
type Result struct {
	Files  []File    `json:"files"`
	Left   []Finding `json:"left"`   // what no entity or field stands for
	Kept   []Finding `json:"kept"`   // what the database enforces or does by itself
	Notes  []Finding `json:"notes"`  // what to know of what was written
	Tables int       `json:"tables"` // that were looked at
}

// File is a module file.
type File struct {
	Path     string   `json:"path"` // modules/NAME.yaml
	Module   string   `json:"module"`
	Entities int      `json:"entities"`
	Exists   bool     `json:"exists"`
	Changes  []string `json:"changes,omitempty"` // against the file that is there
	Data     []byte   `json:"-"`
}

// Finding is a line of the report.
type Finding struct {
	What string `json:"what"` // schema.table, or schema.table.column
	Why  string `json:"why"`
	Hint string `json:"hint,omitempty"`
}

// module is a module to be written.
type module struct {
	name, schema string
	entities     []*entity
	old          *oldModule   // the file that is there; nil: none
	stay         []*oldEntity // of the file, that are not pulled
	gone         []*oldEntity // whose table is no longer there
}

// entity is an entity to be written.
type entity struct {
	module   *module
	name     string
	table    *store.SurveyTable
	fields   []*field
	unique   [][]string
	index    [][]string
	checks   []string
	readOnly bool
	notes    []string
	old      *oldEntity
}

// field is a field to be written.
type field struct {
	name      string
	column    *store.SurveyColumn
	kind      value.Kind
	list      bool
	scale     int
	values    []string
	min, max  string
	primary   bool
	optional  bool
	fallback  string // as YAML
	generated bool
	ref       *entity
	user      bool // it refers to auth.users, which Pando has made
	as        string
	inverse   string
	onDelete  model.OnDelete
	loose     bool // the column compares otherwise than its values do
	note      string
	old       *oldField
}

func (e *entity) field(column string) *field {
	for _, f := range e.fields {
		if f.column.Name == column {
			return f
		}
	}
	return nil
}

// builder makes the modules of a survey.
type builder struct {
	survey  *store.Survey
	opt     Options
	result  *Result
	modules []*module
	of      map[*store.SurveyTable]*entity
}

// Build makes the module files of a survey.
func Build(s *store.Survey, opt Options) (*Result, error) {
	b := &builder{survey: s, opt: opt, result: &Result{}, of: map[*store.SurveyTable]*entity{}}
	if err := b.entities(); err != nil {
		return nil, err
	}
	for _, m := range b.modules {
		for _, e := range m.entities {
			b.refs(e)
		}
	}
	for _, m := range b.modules {
		for _, e := range m.entities {
			b.keys(e)
			b.checks(e)
			b.keeps(e)
		}
	}
	for _, m := range b.modules {
		if len(m.entities) == 0 {
			continue
		}
		f := File{Path: model.ModulesDir + "/" + m.name + ".yaml", Module: m.name, Entities: len(m.entities)}
		m.others(b)
		f.Data = m.yaml(s)
		f.Exists, f.Changes = m.old != nil, m.changes()
		b.result.Files = append(b.result.Files, f)
	}
	return b.result, nil
}

func tableName(t *store.SurveyTable) string { return t.Schema + "." + t.Name }

func (b *builder) left(what, why, hint string) {
	b.result.Left = append(b.result.Left, Finding{what, why, hint})
}

func (b *builder) kept(what, why string) {
	b.result.Kept = append(b.result.Kept, Finding{What: what, Why: why})
}

func (b *builder) note(what, why, hint string) {
	b.result.Notes = append(b.result.Notes, Finding{what, why, hint})
}

// wanted reports whether a pattern names the table.
func (b *builder) wanted(t *store.SurveyTable) bool {
	if len(b.opt.Tables) == 0 {
		return true
	}
	return slices.ContainsFunc(b.opt.Tables, func(p string) bool {
		short, _ := path.Match(p, t.Name)
		long, _ := path.Match(p, tableName(t))
		return short || long
	})
}

// ours reports whether Pando keeps the table for itself.
func (b *builder) ours(t *store.SurveyTable) bool {
	if strings.HasPrefix(t.Name, "pando_") {
		return true
	}
	return t.Schema == "auth" && b.survey.Pando["auth."+t.Name] != nil
}

// entities makes an entity of each table that can have one.
func (b *builder) entities() error {
	schemas := map[string]*module{}
	names := newNamer(model.ReservedModules()...)
	entityNames := map[*module]*namer{}
	one := b.oneSchema()
	for _, t := range b.survey.Tables {
		if b.ours(t) || !b.wanted(t) {
			continue
		}
		b.result.Tables++
		if t.Schema == "auth" && t.Name == "users" {
			b.note(tableName(t), "Pando keeps its users in auth.users of the same database, and this table is there already",
				"a node does not start on this database until the table is called otherwise or lies in another schema")
		}
		if !b.servable(t) {
			continue
		}
		m := schemas[t.Schema]
		if m == nil {
			name := t.Schema
			if b.opt.Module != "" && (one || t.Schema == "public") {
				name = b.opt.Module
			}
			m = &module{name: names.name(name, "db"), schema: t.Schema}
			entityNames[m] = newNamer(model.ReservedEntities()...)
			if data := b.opt.Existing[m.name]; data != nil {
				var err error
				if m.old, err = readOld(m.name, data); err != nil {
					return err
				}
				for _, old := range m.old.entities {
					entityNames[m].taken[old.name] = true
				}
			}
			schemas[t.Schema] = m
			b.modules = append(b.modules, m)
		}
		e := &entity{module: m, table: t}
		if !b.fields(e) {
			continue
		}
		if e.old = m.old.keep(t); e.old != nil {
			e.name = e.old.name
		} else {
			e.name = entityNames[m].name(t.Name, "t")
		}
		b.fieldNames(e)
		m.entities = append(m.entities, e)
		b.of[t] = e
	}
	return nil
}

// others are the entities of the file that is there which no table was pulled
// for. Those of tables that are gone are left out.
func (m *module) others(b *builder) {
	if m.old == nil {
		return
	}
	for _, old := range m.old.entities {
		if slices.ContainsFunc(m.entities, func(e *entity) bool { return e.old == old }) {
			continue
		}
		schema, name, _ := strings.Cut(old.table, ".")
		if !old.managed && schema == m.schema && b.wanted(&store.SurveyTable{Schema: schema, Name: name}) {
			m.gone = append(m.gone, old)
		} else {
			m.stay = append(m.stay, old)
		}
	}
}

func (b *builder) oneSchema() bool {
	schema := ""
	for _, t := range b.survey.Tables {
		if b.ours(t) || !b.wanted(t) {
			continue
		}
		if schema != "" && schema != t.Schema {
			return false
		}
		schema = t.Schema
	}
	return true
}

// servable reports whether a table can be an entity at all.
func (b *builder) servable(t *store.SurveyTable) bool {
	switch {
	case t.Partition:
		b.left(tableName(t), "it is a partition, and is served by its table", "")
	case !t.Select:
		b.left(tableName(t), "the role "+b.survey.Role+" may not read it", "GRANT SELECT, or pull as the role that will serve it")
	case t.Kind == store.ForeignTable:
		b.left(tableName(t), "it is a foreign table, of which no key is known", "")
	default:
		return true
	}
	return false
}

// key is the column that names a row by itself; empty: there is none, and why.
func key(t *store.SurveyTable) (column, why, hint string) {
	if len(t.Primary) == 1 {
		return t.Primary[0], "", ""
	}
	for _, k := range t.Unique {
		if c := t.Column(k[0]); len(k) == 1 && c != nil && (c.Field.NotNull || t.Kind == store.MaterializedView) && keyKind(c) {
			return k[0], "", ""
		}
	}
	for _, k := range t.Keys {
		return k, "", ""
	}
	switch {
	case t.Kind == store.View || t.Kind == store.MaterializedView:
		return "", "it is a " + string(t.Kind) + ", and no column of it is known to be a key", "let it have the key of one of its tables, under the same name"
	case len(t.Primary) > 1:
		return "", "its primary key is of several columns (" + strings.Join(t.Primary, ", ") + "), and an entity's is a single field",
			"a column of its own that is unique and not null would do, such as an identity"
	}
	return "", "it has no primary key", "a column that is unique and not null would do"
}

func keyKind(c *store.SurveyColumn) bool {
	kind, _ := value.ParseKind(c.Field.Kind)
	switch kind {
	case value.Text, value.Int, value.Decimal, value.UUID, value.Timestamp, value.Date, value.Time, value.Enum:
		return !c.Field.List
	default:
		return false
	}
}

// fields makes the fields of the columns that have a type. false: the table
// cannot be an entity, which was reported.
func (b *builder) fields(e *entity) bool {
	t := e.table
	primary, why, hint := key(t)
	if primary == "" {
		b.left(tableName(t), why, hint)
		return false
	}
	if !keyKind(t.Column(primary)) {
		b.left(tableName(t), "its key "+primary+" is "+t.Column(primary).Declared+", which cannot name a row", "")
		return false
	}
	e.readOnly = t.Kind == store.View || t.Kind == store.MaterializedView
	made := b.survey.Pando[tableName(t)]
	for _, c := range t.Columns {
		what := tableName(t) + "." + c.Name
		if made != nil {
			if strings.HasSuffix(c.Name, ".search") {
				continue // Pando's own
			}
			if own := made.Column(c.Name); own != nil {
				c.Field.Kind, c.Field.List, c.Field.Scale, c.Field.Enum = own.Kind, own.List, own.Scale, own.Enum
			}
		}
		if c.Field.Kind == "" {
			hint := ""
			if c.Field.NotNull && c.Default == "" && !c.Generated && !e.readOnly {
				hint = "it is required: rows cannot be created through Pando"
			}
			b.left(what, c.Declared+" has no type of field", hint)
			e.notes = append(e.notes, "left out: "+c.Name+", which is "+c.Declared)
			continue
		}
		e.fields = append(e.fields, b.newField(e, c, c.Name == primary, what))
	}
	slices.SortStableFunc(e.fields, func(a, b *field) int { return cmp.Compare(place(a), place(b)) })
	if made != nil {
		b.note(tableName(t), "Pando has made this table, for the entity of that name", "take the application's own module file where you have it")
	}
	return true
}

// place puts the key first.
func place(f *field) int {
	if f.primary {
		return 0
	}
	return 1
}

func (b *builder) newField(e *entity, c *store.SurveyColumn, primary bool, what string) *field {
	kind, _ := value.ParseKind(c.Field.Kind)
	f := &field{
		column: c, kind: kind, list: c.Field.List, scale: c.Field.Scale, values: c.Field.Enum, primary: primary,
		optional: !c.Field.NotNull && !primary, generated: c.Generated && !e.readOnly,
		loose: c.Declared == "citext" || strings.HasPrefix(c.Declared, "character(") || c.Declared == "real",
	}
	if c.Length > 0 && !f.list {
		f.max = number(c.Length)
	}
	switch {
	case !c.Exact && f.kind == value.Decimal && c.Declared == "numeric":
		f.note = "numeric without a scale: read rounded to " + number(int64(f.scale)) + " digits"
		b.note(what, f.note, "set the scale that the application needs")
	case !c.Exact:
		b.note(what, c.Declared+" holds more than the 18 digits of a decimal; a row that does cannot be read", "")
	case c.Declared == "timestamp without time zone" || strings.HasPrefix(c.Declared, "timestamp(") && strings.HasSuffix(c.Declared, "without time zone"):
		f.note = "without a time zone: taken for UTC"
	case c.Declared == "json":
		f.note = "json, read as jsonb"
	}
	if c.Domain != "" {
		b.kept(what, "the checks of the domain "+c.Domain)
	}
	if f.generated {
		f.optional = !c.Field.NotNull
	} else if !e.readOnly {
		f.setDefault(c)
	}
	return f
}

// fieldNames names the fields, now that their entity has a name.
func (b *builder) fieldNames(e *entity) {
	names := newNamer(model.ReservedFields()...)
	for _, f := range e.fields {
		if f.old = e.old.field(f.column.Name); f.old != nil {
			f.name = f.old.name
			names.taken[f.name] = true
		}
	}
	for _, f := range e.fields {
		if f.old == nil {
			f.name = names.name(f.column.Name, e.name)
		}
	}
}

// refs makes references of foreign keys.
func (b *builder) refs(e *entity) {
	taken := map[string]bool{}
	for _, f := range e.fields {
		taken[f.name] = true
	}
	targets := map[*entity]int{}
	for _, r := range e.table.Refs {
		if f, target := b.target(e, &r); f != nil {
			f.ref, f.onDelete = target, r.OnDelete
			f.min, f.max, f.values = "", "", nil
			targets[target]++
			if r.OnDeleteWords != "" || r.OnUpdateWords != "" {
				b.kept(tableName(e.table)+"."+f.column.Name, strings.TrimSpace(r.OnDeleteWords+" "+r.OnUpdateWords))
			}
		}
	}
	for _, f := range e.fields {
		if f.ref == nil && !f.user {
			continue
		}
		name, implied := strings.CutSuffix(f.name, "_id")
		if !implied || name == "" || taken[name] {
			name = relationName(f.name)
			for taken[name] {
				name += "_row"
			}
			f.as = name
		}
		taken[name] = true
		if f.ref != nil && targets[f.ref] > 1 || f.ref == e {
			f.inverse = e.name + "_by_" + strings.TrimSuffix(name, "_row")
		}
	}
}

// target is the entity that a foreign key leads to, and the field that it is;
// nil where it is none, which was reported.
func (b *builder) target(e *entity, r *store.SurveyRef) (*field, *entity) {
	what := tableName(e.table) + ", " + r.Name
	if len(r.Columns) != 1 {
		b.kept(what, "a foreign key of several columns ("+strings.Join(r.Columns, ", ")+") is no relation")
		return nil, nil
	}
	f := e.field(r.Columns[0])
	if f == nil || f.ref != nil {
		return nil, nil
	}
	var target *entity
	for t, other := range b.of {
		if t.Schema == r.TargetSchema && t.Name == r.TargetTable {
			target = other
		}
	}
	switch {
	case target == nil && r.TargetSchema == "auth" && b.survey.Pando["auth."+r.TargetTable] != nil:
		if f.user = r.TargetTable == "users" && r.TargetColumns[0] == "id" && (r.OnDelete != model.SetNull || f.optional); f.user {
			f.onDelete, f.min, f.max = r.OnDelete, "", ""
		}
	case target == nil:
		b.kept(what, "a foreign key to "+r.TargetSchema+"."+r.TargetTable+", which is not among the entities, is no relation")
	default:
		key := target.fields[0]
		if key.column.Name == r.TargetColumns[0] && key.kind == f.kind && key.scale == f.scale && !f.list {
			if r.OnDelete == model.SetNull && !f.optional {
				return nil, nil
			}
			return f, target
		}
		b.kept(what, "a foreign key to another column than the key of "+target.name+" is no relation")
	}
	return nil, nil
}

// keys takes the keys and indexes whose columns all are fields.
func (b *builder) keys(e *entity) {
	take := func(lists [][]string) [][]string {
		var out [][]string
		for _, columns := range lists {
			names := make([]string, 0, len(columns))
			for _, c := range columns {
				if f := e.field(c); f != nil && f.kind != value.JSON && !f.list {
					names = append(names, f.name)
				}
			}
			own := len(names) == 1 && names[0] == e.fields[0].name
			if len(names) != len(columns) || own || slices.ContainsFunc(out, func(o []string) bool { return slices.Equal(o, names) }) {
				continue
			}
			out = append(out, names)
		}
		return out
	}
	unique := e.table.Unique
	if len(e.table.Primary) > 1 {
		unique = append([][]string{e.table.Primary}, unique...)
	}
	e.unique, e.index = take(unique), take(e.table.Index)
	e.index = slices.DeleteFunc(e.index, func(i []string) bool {
		return slices.ContainsFunc(e.unique, func(u []string) bool { return slices.Equal(u, i) })
	})
}

// checks turns check constraints into limits and CEL.
func (b *builder) checks(e *entity) {
	w := &celWriter{field: e.field}
	for _, c := range e.table.Checks {
		n := parse(c.SQL)
		var parts []*node
		switch {
		case n == nil:
		case n.kind == andNode:
			parts = n.args
		default:
			parts = []*node{n}
		}
		var cels []string
		sure := n != nil
		for _, part := range parts { // all or nothing: a half would say less than the constraint
			if cel, ok := w.cel(part); ok {
				cels = append(cels, cel)
			} else {
				sure = false
			}
		}
		if !sure {
			b.kept(tableName(e.table)+", "+c.Name, "the check "+c.SQL)
			continue
		}
		for i, part := range parts {
			if !w.fold(part) && !slices.Contains(e.checks, cels[i]) {
				e.checks = append(e.checks, cels[i])
			}
		}
	}
	e.checks = slices.DeleteFunc(e.checks, func(cel string) bool {
		if why := refused(e, cel); why != "" {
			b.kept(tableName(e.table), "the check "+cel+", which CEL does not take here: "+why)
			return true
		}
		return false
	})
}

// keeps reports what the database does that no module says.
func (b *builder) keeps(e *entity) {
	t, what := e.table, tableName(e.table)
	for _, s := range t.Special {
		b.kept(what, s)
	}
	if len(t.Triggers) > 0 {
		b.kept(what, "its triggers run: "+strings.Join(t.Triggers, ", "))
		e.notes = append(e.notes, "triggers run: "+strings.Join(t.Triggers, ", "))
	}
	if t.Secured {
		b.note(what, "row level security is in force for the role "+b.survey.Role, "Pando's policies come on top of it; every caller is this one role to the database")
		e.notes = append(e.notes, "row level security is in force for the database's role")
	}
	if t.Inherits {
		b.note(what, "it inherits from another table, whose rows include its own", "")
	}
	if e.readOnly {
		if t.Kind == store.View && len(t.Keys) > 0 {
			e.notes = append(e.notes, "a view declares no key: "+e.fields[0].column.Name+" was unique when this was written")
		}
	} else if !t.Write {
		b.note(what, "the role "+b.survey.Role+" may not write it", "GRANT INSERT, UPDATE and DELETE, or add read_only: true")
	}
}
