package graphql

import (
	"slices"
	"strconv"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/value"
)

// shownField is a field of an entity as a version and a caller have it.
type shownField struct {
	*model.Field
	fieldSight
	name   string
	scalar string // of an element, where it is a list
	enum   bool   // scalar is an enum of the entity's
}

// shownRelation is a relation so.
type shownRelation struct {
	*model.Relation
	name   string
	to     string // the row type at the other end
	nested bool   // rows can be created through it
}

// entityBuilder makes what an entity adds to a schema.
type entityBuilder struct {
	*builder
	e         *model.Entity
	see       entitySight
	name      string // of the row type, and what all others begin with
	fields    []shownField
	relations []shownRelation
	out       *part
}

// entity returns what an entity adds to the schema: that of another schema where
// it would be the same.
func (b *builder) entity(e *model.Entity, see entitySight) *part {
	x := &entityBuilder{builder: b, e: e, see: see, name: rowName(b.view, e), out: &part{}}
	x.findFields()
	x.findRelations()
	key := x.key()
	if p := b.parts[key]; p != nil {
		return p
	}
	b.parts[key] = x.out
	for _, f := range x.fields {
		if f.enum {
			x.enum(&f)
		}
	}
	if see.read {
		x.reading()
	}
	if see.create || see.update || see.delete {
		x.changing()
	}
	return x.out
}

func (x *entityBuilder) findFields() {
	for i, f := range x.e.Fields {
		name, there := x.view.FieldName(f)
		if see := x.see.fields[i]; there && (see.visible || see.creatable || see.updatable) {
			s := shownField{Field: f, fieldSight: see, name: name}
			if f.Type.Kind == value.Enum && areNames(f.Type.Values) {
				s.enum, s.scalar = true, x.name+pascal(name)+"Enum"
			}
			s.scalar = scalarOf(f.Type, s.scalar)
			x.fields = append(x.fields, s)
		}
	}
}

// findRelations names the relations. A name that means two of them, or a field
// too, is completed by the way that each goes; what a caller does not see counts
// in this, so that names do not depend on him.
func (x *entityBuilder) findRelations() {
	count := map[string]int{}
	for _, f := range x.e.Fields {
		if name, there := x.view.FieldName(f); there {
			count[name]++
		}
	}
	for _, r := range x.e.Relations {
		if name, there := x.view.RelationName(r); there && !r.To.Internal {
			count[name]++
		}
	}
	taken := map[string]bool{}
	for _, r := range x.e.Relations {
		name, there := x.view.RelationName(r)
		if !there || r.To.Internal || r.Via != nil && r.Via.Internal {
			continue
		}
		if chosen := r.Cardinality == model.ToOne || r.Cardinality == model.ToMany && r.Ref.Ref.Inverse != ""; count[name] > 1 && !chosen {
			ref, _ := x.view.FieldName(r.Ref)
			if r.Cardinality == model.ToMany {
				name += "_by_" + strings.TrimSuffix(ref, "_id")
			} else {
				local, _ := x.view.FieldName(r.ViaLocal)
				via, _ := x.view.EntityName(r.Via)
				name += "_via_" + via + "_" + strings.TrimSuffix(local, "_id")
			}
		}
		for n, base := 2, name; taken[name]; n++ {
			name = base + "_" + strconv.Itoa(n)
		}
		taken[name] = true
		if !x.leads(r) {
			continue
		}
		to := x.builder.see.entities[r.To]
		x.relations = append(x.relations, shownRelation{
			Relation: r, name: name, to: rowName(x.view, r.To),
			nested: x.see.create && to.create && r.Cardinality != model.ManyToMany && to.read && x.creatable(r.Ref),
		})
	}
}

// leads reports whether the caller may know of a relation.
func (x *entityBuilder) leads(r *model.Relation) bool {
	return x.builder.see.entities[r.To].read && x.visible(r.Ref) && (r.Via == nil || x.visible(r.ViaLocal))
}

func (x *entityBuilder) visible(f *model.Field) bool {
	return x.sightOf(f).visible
}

func (x *entityBuilder) creatable(f *model.Field) bool {
	return x.sightOf(f).creatable
}

func (x *entityBuilder) sightOf(f *model.Field) fieldSight {
	es := x.builder.see.entities[f.Entity]
	for i, g := range f.Entity.Fields {
		if g == f && i < len(es.fields) {
			return es.fields[i]
		}
	}
	return fieldSight{}
}

// key is equal for two entities' parts exactly when they are alike.
func (x *entityBuilder) key() string {
	var b strings.Builder
	flags := func(on ...bool) {
		for _, o := range on {
			b.WriteByte('-' + map[bool]byte{true: 1}[o])
		}
	}
	b.WriteString(x.e.QualifiedName() + " " + x.name)
	flags(x.see.read, x.see.create, x.see.update, x.see.delete)
	for _, f := range x.fields {
		b.WriteString(" " + f.Name + ":" + f.name)
		flags(f.visible, f.creatable, f.updatable)
	}
	for _, r := range x.relations {
		b.WriteString(" " + r.ID() + ":" + r.name + ":" + r.to)
		flags(r.nested)
	}
	return b.String()
}

// typ adds a type to the part.
func (x *entityBuilder) typ(kind ast.DefinitionKind, suffix, doc string) *ast.Definition {
	def := &ast.Definition{Kind: kind, Name: x.name + suffix, Description: doc}
	x.out.types = append(x.out.types, def)
	return def
}

func (x *entityBuilder) of(suffix string, non bool) *ast.Type {
	return &ast.Type{NamedType: x.name + suffix, NonNull: non}
}

func (x *entityBuilder) enum(f *shownField) {
	def := x.typ(ast.Enum, pascal(f.name)+"Enum", "")
	for _, w := range f.Type.Values {
		def.EnumValues = append(def.EnumValues, &ast.EnumValueDefinition{Name: w})
	}
}

// typeOf is a field's type.
func (f *shownField) typeOf(non bool) *ast.Type {
	if f.Type.List {
		return &ast.Type{Elem: ast.NonNullNamedType(f.scalar, nil), NonNull: non}
	}
	return &ast.Type{NamedType: f.scalar, NonNull: non}
}

// searched reports whether the field has a search index.
func (f *shownField) searched() bool {
	return slices.Contains(f.Entity.Search, f.Field)
}

// comparisons is the input type of comparisons with the field. That of a scalar is
// made once, and from then on every schema has it; that of an enum is the part's.
func (x *entityBuilder) comparisons(f *shownField) *ast.Type {
	name := filterName(f.Type, f.scalar, f.searched())
	if x.ast.Types[name] == nil && !slices.ContainsFunc(x.out.types, func(d *ast.Definition) bool { return d.Name == name }) {
		def := filterDefinition(f.Type, f.scalar, f.searched())
		if f.enum {
			x.out.types = append(x.out.types, def)
		} else {
			x.base.Types[name] = def
			x.add(def)
		}
	}
	return ast.NamedType(name, nil)
}

// reading adds the row, its connection and what asks for them.
func (x *entityBuilder) reading() {
	row := x.typ(ast.Object, "", x.e.Doc)
	row.Directives = deprecated(&x.e.Lifespan)
	for i := range x.fields {
		f := &x.fields[i]
		if !f.visible {
			continue
		}
		var args []*ast.ArgumentDefinition
		if f.Type.Kind == value.JSON && !f.Type.List {
			args = append(args, &ast.ArgumentDefinition{Name: "path", Description: "Keys, and the numbers of elements, that lead to a part of it.", Type: listOf("String")})
		}
		def := x.field(row, f.name, f.Doc, f.typeOf(!f.Optional && f.Read == nil), meaning{kind: rowColumn, entity: x.e, field: f.Field}, args...)
		def.Directives = deprecated(&f.Lifespan)
	}
	for _, r := range x.relations {
		m := meaning{kind: rowToMany, entity: r.To, relation: r.Relation}
		var def *ast.FieldDefinition
		if r.Cardinality == model.ToOne || r.Unique {
			m.kind = rowToOne
			def = x.field(row, r.name, "", ast.NamedType(r.to, nil), m)
		} else {
			def = x.field(row, r.name, "", ast.NonNullNamedType(r.to+"Connection", nil), m, pageArguments(r.to)...)
		}
		if r.Cardinality == model.ToOne {
			def.Directives = deprecated(&r.Ref.Lifespan)
		}
	}
	x.filter()
	x.order()
	x.connection()
	life := deprecated(&x.e.Lifespan)
	// They may be null, so that one that fails takes no other with it.
	list := &ast.FieldDefinition{Name: x.name, Description: x.e.Doc, Type: x.of("Connection", false), Arguments: pageArguments(x.name), Directives: life}
	x.meanings[list] = meaning{kind: rootRows, entity: x.e}
	x.out.query = append(x.out.query, list)
	if args := x.keyArguments(); args != nil {
		one := &ast.FieldDefinition{Name: x.name + "ByKey", Description: "The row of a key, or null.", Type: x.of("", false), Arguments: args, Directives: life}
		x.meanings[one] = meaning{kind: rootByKey, entity: x.e}
		x.out.query = append(x.out.query, one)
	}
}

// keyArguments name one row; nil: the caller cannot.
func (x *entityBuilder) keyArguments() ast.ArgumentDefinitionList {
	var args ast.ArgumentDefinitionList
	for i := range x.fields {
		f := &x.fields[i]
		if f.Field == x.e.Primary && f.visible {
			args = append(args, &ast.ArgumentDefinition{Name: f.name, Type: f.typeOf(true)})
		}
	}
	return args
}

// pageArguments choose rows, their order and a page of them.
func pageArguments(row string) ast.ArgumentDefinitionList {
	return ast.ArgumentDefinitionList{
		{Name: "where", Description: "Which rows.", Type: ast.NamedType(row+"Filter", nil)},
		{Name: "orderBy", Description: "One field each; without it, and at last, the order is that of the key.", Type: listOf(row + "Order")},
		{Name: "first", Description: "How many rows from the beginning.", Type: ast.NamedType("Int", nil)},
		{Name: "after", Description: "Only rows behind this cursor.", Type: ast.NamedType("String", nil)},
		{Name: "last", Description: "How many rows from the end.", Type: ast.NamedType("Int", nil)},
		{Name: "before", Description: "Only rows in front of this cursor.", Type: ast.NamedType("String", nil)},
		{Name: "offset", Description: "How many rows are passed over.", Type: ast.NamedType("Int", nil)},
	}
}

func (x *entityBuilder) filter() {
	def := x.typ(ast.InputObject, "Filter", "All that is given has to hold.")
	def.Fields = append(def.Fields,
		&ast.FieldDefinition{Name: "and", Description: "All of them hold.", Type: listOf(def.Name)},
		&ast.FieldDefinition{Name: "or", Description: "One of them holds.", Type: listOf(def.Name)},
		&ast.FieldDefinition{Name: "not", Description: "It does not hold.", Type: ast.NamedType(def.Name, nil)})
	for i := range x.fields {
		if f := &x.fields[i]; f.visible {
			x.field(def, f.name, f.Doc, x.comparisons(f), meaning{kind: rowColumn, entity: x.e, field: f.Field}).Directives = nil
		}
	}
	for _, r := range x.relations {
		x.field(def, r.name, "There is such a row, and it meets this.", ast.NamedType(r.to+"Filter", nil), meaning{kind: rowToMany, entity: r.To, relation: r.Relation})
	}
}

// orders reports whether rows are ordered by a field of the type.
func orders(t value.Type) bool { return !t.List }

func (x *entityBuilder) order() {
	def := x.typ(ast.InputObject, "Order", "")
	def.Directives = ast.DirectiveList{directive("oneOf", "", "")}
	for i := range x.fields {
		if f := &x.fields[i]; f.visible && orders(f.Type) {
			x.field(def, f.name, f.Doc, ast.NamedType(directionEnum, nil), meaning{kind: rowColumn, entity: x.e, field: f.Field})
		}
	}
}

func (x *entityBuilder) connection() {
	conn := x.typ(ast.Object, "Connection", "")
	m := func(k kind) meaning { return meaning{kind: k, entity: x.e} }
	x.field(conn, "nodes", "The rows of the page.", ast.NonNullListType(x.of("", true), nil), m(connNodes))
	x.field(conn, "edges", "The rows of the page with their cursors.", ast.NonNullListType(x.of("Edge", true), nil), m(connEdges))
	x.field(conn, "pageInfo", "", ast.NonNullNamedType("PageInfo", nil), m(connPageInfo))
	x.field(conn, "totalCount", "How many rows there are on all pages.", ast.NonNullNamedType("Int", nil), m(connTotal))
	edge := x.typ(ast.Object, "Edge", "")
	x.field(edge, "node", "", x.of("", true), m(edgeNode))
	x.field(edge, "cursor", "", ast.NonNullNamedType("String", nil), m(edgeCursor))

	agg := x.typ(ast.Object, "Aggregate", "What the rows of all pages come to.")
	x.field(agg, "count", "", ast.NonNullNamedType("Int", nil), m(aggCount))
	group := x.typ(ast.Object, "Group", "The rows of all pages that have these values in common.")
	key := x.typ(ast.Object, "GroupKey", "The values that the rows are grouped by.")
	for i := range x.fields {
		if f := &x.fields[i]; f.visible && f.Type.Kind != value.JSON && !f.Type.List {
			x.field(key, f.name, f.Doc, f.typeOf(false), meaning{kind: groupField, entity: x.e, field: f.Field})
		}
	}
	x.field(group, "count", "", ast.NonNullNamedType("Int", nil), m(aggCount))
	for _, a := range []struct {
		kind kind
		fn   query.Aggregate
		name string
		of   func(value.Type) (value.Type, bool)
	}{
		{aggSum, query.Sum, "sum", sums},
		{aggAvg, query.Avg, "avg", averages},
		{aggMin, query.Min, "min", extremes},
		{aggMax, query.Max, "max", extremes},
	} {
		def := &ast.Definition{Kind: ast.Object, Name: x.name + pascal(a.name)}
		for i := range x.fields {
			f := &x.fields[i]
			if t, ok := a.of(f.Type); ok && f.visible {
				enum := ""
				if f.enum {
					enum = f.scalar
				}
				x.field(def, f.name, f.Doc, ast.NamedType(scalarOf(t, enum), nil), meaning{kind: aggField, entity: x.e, field: f.Field, aggregate: a.fn})
			}
		}
		if len(def.Fields) == 0 {
			continue
		}
		x.out.types = append(x.out.types, def)
		for _, to := range []*ast.Definition{agg, group} {
			x.field(to, a.name, "", ast.NonNullNamedType(def.Name, nil), meaning{kind: a.kind, entity: x.e, aggregate: a.fn})
		}
	}
	x.field(conn, "aggregate", "", ast.NonNullNamedType(agg.Name, nil), m(connAggregate))
	if len(key.Fields) > 0 {
		x.field(group, "key", "Its selection says by what the rows are grouped.", ast.NonNullNamedType(key.Name, nil), m(groupKey))
		x.field(conn, "groups", "", ast.NonNullListType(ast.NonNullNamedType(group.Name, nil), nil), m(connGroups))
	}
}

// The types of aggregates, as both stores have them.
func sums(t value.Type) (value.Type, bool) {
	return value.Type{Kind: t.Kind, Scale: t.Scale}, numeric(t)
}

func averages(t value.Type) (value.Type, bool) {
	if t.Kind == value.Float {
		return sums(t)
	}
	return value.Type{Kind: value.Decimal, Scale: t.Scale + 6}, numeric(t)
}

func extremes(t value.Type) (value.Type, bool) {
	ok := !t.List && t.Kind != value.JSON && t.Kind != value.Bool && t.Kind != value.Bytes && t.Kind != value.UUID
	return t, ok
}

func numeric(t value.Type) bool {
	return !t.List && (t.Kind == value.Int || t.Kind == value.Decimal || t.Kind == value.Float)
}

// changing adds what creates, changes and deletes rows.
func (x *entityBuilder) changing() {
	changed := x.typ(ast.Object, "Changed", "")
	x.field(changed, "affectedRows", "", ast.NonNullNamedType("Int", nil), meaning{kind: changedRows, entity: x.e})
	if x.see.read {
		x.field(changed, "returning", "The rows that the caller may read.", ast.NonNullListType(x.of("", true), nil), meaning{kind: changedReturning, entity: x.e})
	}
	root := func(suffix, doc string, typ *ast.Type, k kind, args ...*ast.ArgumentDefinition) {
		f := &ast.FieldDefinition{Name: x.name + suffix, Description: doc, Type: typ, Arguments: args, Directives: deprecated(&x.e.Lifespan)}
		x.meanings[f] = meaning{kind: k, entity: x.e}
		x.out.changes = append(x.out.changes, f)
	}
	arg := func(name string, typ *ast.Type) *ast.ArgumentDefinition {
		return &ast.ArgumentDefinition{Name: name, Type: typ}
	}
	all := x.of("Changed", true)
	key := x.keyArguments()
	if x.see.create && x.insert() {
		more := x.conflict()
		root("Insert", "Creates rows.", all, rootInsert, append(ast.ArgumentDefinitionList{arg("objects", ast.NonNullListType(x.of("Insert", true), nil))}, more...)...)
		if x.see.read {
			root("InsertOne", "Creates a row; null where the caller may not read it, or one was there.", x.of("", false), rootInsertOne, append(ast.ArgumentDefinitionList{arg("object", x.of("Insert", true))}, more...)...)
		}
	}
	if x.see.update && x.set() {
		root("Update", "Changes the rows that meet a condition.", all, rootUpdate, arg("where", x.of("Filter", true)), arg("set", x.of("Set", true)))
		if key != nil {
			root("UpdateByKey", "Changes the row of a key; null where there is none.", x.of("", false), rootUpdateByKey, append(key, arg("set", x.of("Set", true)))...)
		}
	}
	if x.see.delete {
		root("Delete", "Deletes the rows that meet a condition.", all, rootDelete, arg("where", x.of("Filter", true)))
		if key != nil {
			root("DeleteByKey", "Deletes the row of a key; null where there is none.", x.of("", false), rootDeleteByKey, x.keyArguments()...)
		}
	}
}

// insert adds the input type of new rows.
func (x *entityBuilder) insert() bool {
	def := &ast.Definition{Kind: ast.InputObject, Name: x.name + "Insert", Description: "A new row. What is left out gets its default; what is null is null."}
	for i := range x.fields {
		f := &x.fields[i]
		if !f.creatable {
			continue
		}
		required := !f.Optional && f.Default == nil && !f.Generated && (!f.Primary || f.Type.Kind != value.UUID)
		if f.Ref != nil { // it may be given by what the row stands in, or by a row that is created with it
			required = false
		}
		x.field(def, f.name, f.Doc, f.typeOf(required), meaning{kind: rowColumn, entity: x.e, field: f.Field}).Directives = deprecatedInput(&f.Lifespan, required)
	}
	for _, r := range x.relations {
		if !r.nested {
			continue
		}
		typ, doc := ast.NamedType(r.to+"Insert", nil), "A row that is created with this one."
		if r.Cardinality == model.ToMany && !r.Unique {
			typ, doc = listOf(r.to+"Insert"), "Rows that are created with this one."
		}
		x.field(def, r.name, doc, typ, meaning{kind: rowToMany, entity: r.To, relation: r.Relation})
	}
	if len(def.Fields) == 0 {
		return false
	}
	x.out.types = append(x.out.types, def)
	return true
}

// deprecatedInput leaves out what a required input cannot be (section 3.13.3).
func deprecatedInput(life *model.Lifespan, required bool) ast.DirectiveList {
	if required {
		return nil
	}
	return deprecated(life)
}

// conflict adds what becomes of rows whose key is there.
func (x *entityBuilder) conflict() ast.ArgumentDefinitionList {
	if !x.see.read {
		return nil
	}
	fields := &ast.Definition{Kind: ast.Enum, Name: x.name + "Field"}
	for i := range x.fields {
		if f := &x.fields[i]; f.visible {
			fields.EnumValues = append(fields.EnumValues, &ast.EnumValueDefinition{Name: f.name, Description: f.Doc})
		}
	}
	if len(fields.EnumValues) == 0 {
		return nil
	}
	x.out.types = append(x.out.types, fields)
	def := x.typ(ast.InputObject, "Conflict", "What becomes of rows whose key is there.")
	def.Fields = append(def.Fields, &ast.FieldDefinition{Name: "fields", Description: "The fields of the unique key; by default those of the primary key.", Type: listOf(fields.Name)})
	resolution := "IGNORE: the row that is there stays."
	if x.see.update {
		resolution = "MERGE: what is given replaces what is there. " + resolution
	}
	def.Fields = append(def.Fields, &ast.FieldDefinition{Name: "resolution", Description: resolution, Type: ast.NonNullNamedType("ConflictResolution", nil)})
	return ast.ArgumentDefinitionList{{Name: "onConflict", Description: "Without it a row whose key is there is an error.", Type: ast.NamedType(def.Name, nil)}}
}

// set adds the input type of changes.
func (x *entityBuilder) set() bool {
	def := &ast.Definition{Kind: ast.InputObject, Name: x.name + "Set", Description: "What is left out stays; what is null becomes null."}
	for i := range x.fields {
		if f := &x.fields[i]; f.updatable {
			x.field(def, f.name, f.Doc, f.typeOf(false), meaning{kind: rowColumn, entity: x.e, field: f.Field}).Directives = deprecated(&f.Lifespan)
		}
	}
	if len(def.Fields) == 0 {
		return false
	}
	x.out.types = append(x.out.types, def)
	return true
}
