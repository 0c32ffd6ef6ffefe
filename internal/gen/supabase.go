package gen

import (
	_ "embed"
	"strings"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/value"
)

// postgrest is the version of PostgREST whose answers the REST API gives: clients
// infer from it what they may ask for.
const postgrest = "13.0"

//go:embed supabase_names.ts
var supabaseNames string

// Supabase writes the type Database that supabase-js's createClient<Database>() and
// postgrest-js take, of one version of an application. There is a schema for each
// module, and the schema public, which the clients ask for unless told another, of
// what is found by its name alone. The same model gives the same bytes, formatted as
// prettier does.
//
// The rows of a module are declared in its own schema; public refers to them. Beside
// its own entities a schema has the ones that these lead to, as views called
// module.entity, so that what is embedded has a type.
//
// A relation is found by its foreign key and by the other entity's name, as in
// PostgREST, and by its own name: that is declared as PostgREST declares a computed
// relationship, by a function. It cannot be called.
func Supabase(v *model.View) []byte {
	s := &supabase{view: v, enums: map[*model.Field]string{}}
	s.nameEnums()
	schemas := s.schemas()
	database := tsObject{{
		doc: "What supabase-js infers types by.", name: "__InternalSupabase",
		of: tsObject{{name: "PostgrestVersion", of: tsName(quoted(postgrest))}},
	}}
	for _, of := range schemas {
		database = append(database, tsMember{doc: of.doc, name: key(of.name), of: of.declare()})
	}
	var b strings.Builder
	b.WriteString("export type Json =\n  | string\n  | number\n  | boolean\n  | null\n  | { [key: string]: Json | undefined }\n  | Json[];\n\nexport type Database = ")
	database.write(&b, 0, 0, 0)
	b.WriteString(";\n\n" + supabaseNames + "\nexport const Constants = ")
	s.constants(&b, schemas)
	b.WriteString(" as const;\n")
	return []byte(b.String())
}

type supabase struct {
	view  *model.View
	enums map[*model.Field]string // their names, which are unique in a module
}

// schema is one of the schemas while it is written.
type schema struct {
	*supabase
	name   string
	doc    string
	module *model.Module // nil: public
	own    []*model.Entity
	keys   map[*model.Entity]string // what the schema calls its entities, and what they lead to
	others []*model.Entity          // of those what is not its own
}

// shown are the entities of a module that the version has.
func (s *supabase) shown(m *model.Module) (out []*model.Entity) {
	for _, e := range open(m) {
		if _, there := s.view.EntityName(e); there {
			out = append(out, e)
		}
	}
	return out
}

// schemas are those of the modules by name, and public among them.
func (s *supabase) schemas() (out []*schema) {
	loose := &schema{supabase: s, name: "public", doc: "What is found by its name alone.", keys: map[*model.Entity]string{}}
	public := s.view.App.Module("public") == nil // else it is that module
	for _, m := range s.view.App.Modules {
		of := &schema{supabase: s, name: m.Name, doc: m.Doc, module: m, own: s.shown(m), keys: map[*model.Entity]string{}}
		for _, e := range of.own {
			of.keys[e], _ = s.view.EntityName(e)
			if s.view.Entity("", of.keys[e]) == e {
				loose.own, loose.keys[e] = append(loose.own, e), of.keys[e]
			}
		}
		if public && m.Name > loose.name {
			out, public = append(out, loose), false
		}
		if len(of.own) > 0 || len(of.operations()) > 0 {
			out = append(out, of)
		}
	}
	if public {
		out = append(out, loose)
	}
	for _, of := range out {
		of.reach()
	}
	return out
}

// reach finds the entities that the schema's own lead to.
func (s *schema) reach() {
	for _, e := range s.own {
		for _, r := range e.Relations {
			if _, known := s.keys[r.To]; known || !s.leads(r) {
				continue
			}
			name, _ := s.view.EntityName(r.To)
			s.keys[r.To] = r.To.Module.Name + "." + name
			s.others = append(s.others, r.To)
		}
	}
}

// leads reports whether clients can know of a relation: none does that a hidden field
// makes, or that the version has not.
func (s *supabase) leads(r *model.Relation) bool {
	if _, there := s.view.RelationName(r); !there || r.To.Internal || r.Via != nil && r.Via.Internal {
		return false
	}
	for _, f := range []*model.Field{r.Local, r.Foreign, r.ViaLocal, r.ViaForeign} {
		if f != nil && f.Hidden {
			return false
		}
	}
	return true
}

func (s *schema) declare() tsObject {
	tables, views, enums := tsObject{}, tsObject{}, tsObject{}
	for _, e := range s.own {
		member := tsMember{doc: tsLife(e.Doc, &e.Lifespan), name: key(s.keys[e]), of: s.entity(e)}
		if e.ReadOnly {
			views = append(views, member)
		} else {
			tables = append(tables, member)
		}
		for _, f := range s.enumsOf(e) {
			of := tsType(words(f.Type.Values))
			if s.module == nil {
				of = s.enum(f)
			}
			enums = append(enums, tsMember{name: key(s.enumKey(f)), of: of})
		}
	}
	for _, e := range s.others {
		views = append(views, tsMember{name: quoted(s.keys[e]), of: tsObject{
			{name: "Row", of: ofRow(e, s.view, "Row")}, {name: "Relationships", of: s.relationships(e)},
		}})
	}
	return tsObject{
		{name: "Tables", of: orNever(tables)},
		{name: "Views", of: orNever(views)},
		{name: "Functions", of: orNever(s.functions())},
		{name: "Enums", of: orNever(enums)},
		{name: "CompositeTypes", of: orNever(nil)},
	}
}

// orNever is an object that may be empty: not {}, which takes any member.
func orNever(o tsObject) tsObject {
	if len(o) == 0 {
		return tsObject{{name: "[_ in never]: never"}}
	}
	return o
}

// tsLife is what the model says of a thing, and when it goes away.
func tsLife(doc string, life *model.Lifespan) string {
	d := life.Deprecated
	if d == nil {
		return doc
	}
	text := "@deprecated"
	if d.Since != "" {
		text += " since " + d.Since
	}
	if d.Sunset != "" {
		text += ", gone after " + d.Sunset
	}
	if d.Use != "" {
		text += "; use " + d.Use
	}
	return strings.TrimSpace(strings.TrimSpace(doc) + "\n" + text)
}

func (s *schema) entity(e *model.Entity) tsObject {
	kinds := []string{"Row", "Insert", "Update"}
	if e.ReadOnly {
		kinds = kinds[:1]
	}
	var o tsObject
	for _, kind := range kinds {
		of := ofRow(e, s.view, kind)
		if s.module != nil {
			of = s.fields(e, kind)
		}
		o = append(o, tsMember{name: kind, of: of})
	}
	return append(o, tsMember{name: "Relationships", of: s.relationships(e)})
}

// ofRow refers to a type of an entity where its module declares it.
func ofRow(e *model.Entity, v *model.View, kind string) tsType {
	name, _ := v.EntityName(e)
	among := "Tables"
	if e.ReadOnly {
		among = "Views"
	}
	return tsName("Database[" + quoted(e.Module.Name) + `]["` + among + `"][` + quoted(name) + `]["` + kind + `"]`)
}

func (s *schema) fields(e *model.Entity, kind string) tsObject {
	o := tsObject{}
	for _, f := range e.Fields {
		name, there := s.view.FieldName(f)
		if !there || kind == "Row" && f.Hidden {
			continue
		}
		m := tsMember{name: key(name), of: s.field(f)}
		switch {
		case kind == "Row":
			m.doc, m.of = tsLife(f.Doc, &f.Lifespan), orNull(m.of, absent(f))
		case f.Generated:
			m.optional, m.of = true, tsName("never")
		default:
			m.optional, m.of = kind == "Update" || !needed(f), orNull(m.of, f.Optional)
		}
		o = append(o, m)
	}
	return orNever(o)
}

func (s *supabase) field(f *model.Field) tsType {
	if f.Type.Kind != value.Enum {
		return scalarType(f.Type)
	}
	of := s.enum(declaring(f))
	if f.Type.List {
		return tsArray{of}
	}
	return of
}

// declaring is the field that declares an enum: a key's words are its target's.
func declaring(f *model.Field) *model.Field {
	for f.Ref != nil {
		f = f.Ref.Target.Primary
	}
	return f
}

func (s *supabase) enum(f *model.Field) tsType {
	if s.enums[f] == "" { // the version does not show it
		return words(f.Type.Values)
	}
	return tsName("Database[" + quoted(f.Entity.Module.Name) + `]["Enums"][` + quoted(s.enums[f]) + "]")
}

// enumsOf are the fields of an entity that declare an enum and are there.
func (s *supabase) enumsOf(e *model.Entity) (out []*model.Field) {
	for _, f := range e.Fields {
		if _, there := s.view.FieldName(f); there && f.Type.Kind == value.Enum && f.Ref == nil {
			out = append(out, f)
		}
	}
	return out
}

func (s *supabase) nameEnums() {
	for _, m := range s.view.App.Modules {
		taken := names{}
		for _, e := range s.shown(m) {
			of, _ := s.view.EntityName(e)
			for _, f := range s.enumsOf(e) {
				name, _ := s.view.FieldName(f)
				s.enums[f] = taken.claim(of + "_" + name)
			}
		}
	}
}

// enumKey is what the schema calls an enum. In public, two modules may have one of a
// name only where the entities' names run together with the fields'.
func (s *schema) enumKey(f *model.Field) string {
	if s.module != nil {
		return s.enums[f]
	}
	taken := names{}
	for _, e := range s.own {
		for _, other := range s.enumsOf(e) {
			name := taken.claim(s.enums[other])
			if other == f {
				return name
			}
		}
	}
	return s.enums[f]
}

// relationships are the foreign keys of an entity within the schema.
func (s *schema) relationships(e *model.Entity) tsType {
	t := tsTuple{}
	for _, r := range e.Relations {
		to, known := s.keys[r.To]
		if r.Cardinality != model.ToOne || !known || !s.leads(r) {
			continue
		}
		table, _ := s.view.EntityName(e)
		column, _ := s.view.FieldName(r.Local)
		foreign, _ := s.view.FieldName(r.Foreign)
		t = append(t, tsObject{
			{name: "foreignKeyName", of: tsName(quoted(table + "_" + column + "_fkey"))},
			{name: "columns", of: tsTuple{tsName(quoted(column))}},
			{name: "isOneToOne", of: boolean(alone(r))},
			{name: "referencedRelation", of: tsName(quoted(to))},
			{name: "referencedColumns", of: tsTuple{tsName(quoted(foreign))}},
		})
	}
	return t
}

// alone reports whether no two rows refer to the same one.
func alone(r *model.Relation) bool {
	for _, back := range r.To.Relations {
		if back.Cardinality == model.ToMany && back.Ref == r.Ref {
			return back.Unique
		}
	}
	return false
}

func boolean(b bool) tsName {
	if b {
		return "true"
	}
	return "false"
}

// operations are those that the schema finds by name.
func (s *schema) operations() (out []*model.Operation) {
	seen := map[string]int{}
	for _, m := range s.view.App.Modules {
		for _, o := range m.Operations {
			if name, there := s.view.OperationName(o); there && (s.module == nil || s.module == m) {
				seen[name]++
				out = append(out, o)
			}
		}
	}
	kept := out[:0]
	for _, o := range out {
		if name, _ := s.view.OperationName(o); seen[name] == 1 {
			kept = append(kept, o)
		}
	}
	return kept
}

// functions are the operations, and the relations by their names.
func (s *schema) functions() (o tsObject) {
	var order []string
	relations := map[string]tsUnion{}
	for _, entities := range [][]*model.Entity{s.own, s.others} {
		for _, e := range entities {
			for _, r := range e.Relations {
				name, there := s.view.RelationName(r)
				if !there || !s.named(r, name) {
					continue
				}
				if relations[name] == nil {
					order = append(order, name)
				}
				relations[name] = append(relations[name], s.relation(r))
			}
		}
	}
	for _, op := range s.operations() {
		name, _ := s.view.OperationName(op)
		of := s.operation(op)
		m := tsMember{doc: tsLife(op.Doc, &op.Lifespan), name: key(name), of: of}
		if also := relations[name]; also != nil {
			// Without options of its own it would be taken for the relation.
			of = append(of, tsMember{name: "SetofOptions", of: tsObject{
				{name: "from", of: tsName(`"*"`)}, {name: "to", of: tsName(`"*"`)}, {name: "isSetofReturn", of: tsName("false")},
			}})
			m.of = append(tsUnion{of}, also...)
			delete(relations, name)
		}
		o = append(o, m)
	}
	for _, name := range order {
		if of := relations[name]; of != nil {
			o = append(o, tsMember{name: key(name), of: of})
		}
	}
	return o
}

func (s *schema) operation(o *model.Operation) tsObject {
	var args tsType = tsName("never")
	if len(o.Input) > 0 {
		args = parameters(o.Input)
	}
	return tsObject{{name: "Args", of: args}, {name: "Returns", of: output(o.Output, s.answered)}}
}

// answered is the row that an operation answers.
func (s *schema) answered(e *model.Entity) tsType {
	if _, there := s.view.EntityName(e); !there || e.Internal {
		return tsName("Json")
	}
	return ofRow(e, s.view, "Row")
}

// named reports whether the schema has a relation and finds it by its name alone: one
// of several that have the name of the entity that they lead to is ambiguous, and a
// single one is found by its foreign key.
func (s *schema) named(r *model.Relation, name string) bool {
	to, known := s.keys[r.To]
	if !known || !s.leads(r) {
		return false
	}
	for _, other := range r.From.Relations {
		if n, there := s.view.RelationName(other); there && other != r && n == name && s.leads(other) {
			return false
		}
	}
	if r.Via != nil {
		via, known := s.keys[r.Via]
		return to != name || !known || strings.Contains(via, ".")
	}
	return to != name
}

// relation is the type Relation of the names' file.
func (s *schema) relation(r *model.Relation) tsType {
	kind := "many"
	switch {
	case r.Cardinality == model.ToOne && always(r):
		kind = "one"
	case r.Cardinality == model.ToOne || r.Unique:
		kind = "one or none"
	}
	return tsArguments{"Relation", []string{quoted(s.keys[r.From]), quoted(s.keys[r.To]), quoted(kind)}}
}

// always reports whether a row that is referred to is always there for whoever reads
// the row that refers to it.
func always(r *model.Relation) bool {
	p := r.To.Policy
	return !absent(r.Local) && !r.Ref.Ref.Loose && p != nil && p.Read != nil && strings.TrimSpace(p.Read.Source) == "true"
}

// constants writes the words of the enums as values.
func (s *supabase) constants(b *strings.Builder, schemas []*schema) {
	b.WriteByte('{')
	for _, of := range schemas {
		newline(b, 2)
		b.WriteString(key(of.name) + ": {")
		newline(b, 4)
		b.WriteString("Enums: {")
		empty := true
		for _, e := range of.own {
			for _, f := range s.enumsOf(e) {
				empty = false
				newline(b, 6)
				name := key(of.enumKey(f))
				b.WriteString(name + ": ")
				tsTuple(words(f.Type.Values)).write(b, 6, 6+len(name)+2, 1)
				b.WriteByte(',')
			}
		}
		if !empty {
			newline(b, 4)
		}
		b.WriteString("},")
		newline(b, 2)
		b.WriteString("},")
	}
	b.WriteString("\n}")
}
