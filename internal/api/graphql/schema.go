package graphql

import (
	"maps"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator"

	"github.com/pandobase/pando/internal/model"
)

// schema is what a class of callers sees of one version of the application. It
// is immutable and shared.
type schema struct {
	ast     *ast.Schema
	view    *model.View
	library *library
}

// meaning says what a field of a validated document stands for.
func (s *schema) meaning(f *ast.Field) meaning { return (*s.library.told.Load())[f.Definition] }

// library makes the schemas of one application. What is alike in two of them,
// of versions or of callers, is one definition: another schema costs little
// more than a table of its types.
type library struct {
	app *model.App

	// told is read by whoever executes; it is replaced by a larger one while mu is held.
	told atomic.Pointer[map[*ast.FieldDefinition]meaning]

	mu       sync.RWMutex
	base     *ast.Schema // what every schema has
	parts    map[string]*part
	meanings map[*ast.FieldDefinition]meaning // what told will be
	schemas  map[string]*schema
}

// part is what an entity or an operation adds to a schema.
type part struct {
	types          []*ast.Definition
	query, changes ast.FieldList
}

// newLibrary returns the schemas of an application; they are made when they are
// asked for.
func newLibrary(app *model.App) *library {
	return &library{app: app, parts: map[string]*part{}, schemas: map[string]*schema{}}
}

// maxSchemas is how many schemas are kept; there are as many as callers see
// different things.
const maxSchemas = 64

// schema returns that of a version for a sight.
func (l *library) schema(v *model.View, see *sight) *schema {
	key := see.key(l.app, v.Version)
	l.mu.RLock()
	s := l.schemas[key]
	l.mu.RUnlock()
	if s != nil {
		return s
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.schemas[key]; s != nil {
		return s
	}
	if told := l.told.Load(); told == nil {
		l.meanings = map[*ast.FieldDefinition]meaning{}
		l.start()
	} else {
		l.meanings = maps.Clone(*told)
	}
	if len(l.schemas) >= maxSchemas {
		for k := range l.schemas { // any one: sights come from callers, and a schema is cheap to make again
			delete(l.schemas, k)
			break
		}
	}
	b := &builder{library: l, view: v, see: see, ast: &ast.Schema{
		Types: maps.Clone(l.base.Types), Directives: l.base.Directives,
		PossibleTypes: maps.Clone(l.base.PossibleTypes), Implements: l.base.Implements,
	}}
	b.build()
	told := l.meanings
	l.told.Store(&told)
	s = &schema{ast: b.ast, view: v, library: l}
	l.schemas[key] = s
	return s
}

// start makes what every schema has.
func (l *library) start() {
	l.base = &ast.Schema{Types: map[string]*ast.Definition{}, Directives: map[string]*ast.DirectiveDefinition{}, PossibleTypes: map[string][]*ast.Definition{}, Implements: map[string][]*ast.Definition{}}
	prelude := validator.PreludeDocument()
	for _, d := range prelude.Directives {
		if d.Name != "defer" { // answers come as one
			l.base.Directives[d.Name] = d
		}
	}
	add := func(defs ...*ast.Definition) {
		for _, d := range defs {
			l.base.Types[d.Name] = d
			if d.Kind == ast.Object {
				l.base.PossibleTypes[d.Name] = []*ast.Definition{d}
			}
		}
	}
	add(prelude.Definitions...)
	add(scalarDefinitions()...)
	add(sharedInputs()...)
	add(l.pageInfo())
}

// rowName is an entity's row type in a version: {module}_{entity}. The model sees
// to it that this is one name for one entity.
func rowName(v *model.View, e *model.Entity) string {
	name, there := v.EntityName(e)
	if !there {
		name = e.Name
	}
	return e.Module.Name + "_" + name
}

func (l *library) pageInfo() *ast.Definition {
	def := &ast.Definition{Kind: ast.Object, Name: "PageInfo", Description: "Where a page stands among all rows."}
	for _, f := range []struct {
		name string
		kind kind
		typ  *ast.Type
	}{
		{"hasNextPage", pageNext, ast.NonNullNamedType("Boolean", nil)},
		{"hasPreviousPage", pagePrevious, ast.NonNullNamedType("Boolean", nil)},
		{"startCursor", pageStart, ast.NamedType("String", nil)},
		{"endCursor", pageEnd, ast.NamedType("String", nil)},
	} {
		l.field(def, f.name, "", f.typ, meaning{kind: f.kind})
	}
	return def
}

// field adds a field to a type.
func (l *library) field(def *ast.Definition, name, doc string, typ *ast.Type, m meaning, args ...*ast.ArgumentDefinition) *ast.FieldDefinition {
	f := &ast.FieldDefinition{Name: name, Description: doc, Type: typ, Arguments: args}
	def.Fields = append(def.Fields, f)
	if m.kind != noKind {
		l.meanings[f] = m
	}
	return f
}

// builder makes one schema.
type builder struct {
	*library
	view *model.View
	see  *sight
	ast  *ast.Schema
}

func (b *builder) build() {
	q := &ast.Definition{Kind: ast.Object, Name: "Query"}
	mut := &ast.Definition{Kind: ast.Object, Name: "Mutation", Description: "All fields of one request are one transaction: all of it is done, or nothing."}
	for _, m := range b.app.Modules {
		for _, e := range m.Entities {
			if es, ok := b.see.entities[e]; ok && b.shown(e) && (es.read || es.create) {
				b.take(b.entity(e, es), q, mut)
			}
		}
	}
	for _, m := range b.app.Modules {
		for _, o := range m.Operations {
			if name, there := b.view.OperationName(o); there && b.see.operations[o] {
				b.take(b.operation(o, name), q, mut)
			}
		}
	}
	if len(q.Fields) == 0 {
		q.Description = "There is nothing here that the caller may see."
	}
	q.Fields = append(q.Fields, validator.QueryIntrospectionFields()...)
	b.add(q)
	b.ast.Query = q
	if len(mut.Fields) > 0 {
		b.add(mut)
		b.ast.Mutation = mut
	}
}

// take adds a part to the schema.
func (b *builder) take(p *part, q, mut *ast.Definition) {
	b.add(p.types...)
	q.Fields = append(q.Fields, p.query...)
	mut.Fields = append(mut.Fields, p.changes...)
}

func (b *builder) add(defs ...*ast.Definition) {
	for _, d := range defs {
		b.ast.Types[d.Name] = d
		if d.Kind == ast.Object { // fragments are held against these
			b.ast.PossibleTypes[d.Name] = []*ast.Definition{d}
		}
	}
}

// shown reports whether the version has an entity.
func (b *builder) shown(e *model.Entity) bool {
	_, there := b.view.EntityName(e)
	return there
}

// deprecated says so of a definition.
func deprecated(life *model.Lifespan) ast.DirectiveList {
	d := life.Deprecated
	if d == nil {
		return nil
	}
	var why []string
	if d.Use != "" {
		why = append(why, "Use "+d.Use+".")
	}
	if d.Sunset != "" {
		why = append(why, "It goes on "+d.Sunset+".")
	}
	if len(why) == 0 {
		why = append(why, "Deprecated since "+d.Since+".")
	}
	return ast.DirectiveList{directive("deprecated", "reason", strings.Join(why, " "))}
}
