package gen

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/value"
)

// File is a file of source code.
type File struct {
	Name string // with slashes, below the folder of all
	Text []byte
}

//go:embed client.ts
var clientSource string

// postgrestJS is the client that the written one stands on.
const postgrestJS = "^2.109.0"

// TypeScriptClient writes a client of one version of an application: the package.json
// and the one source of a package that stands on postgrest-js. Entities are properties
// of it and operations methods, with the types that [Supabase] writes.
func TypeScriptClient(v *model.View) []File {
	s := &supabase{view: v, enums: map[*model.Field]string{}}
	var b strings.Builder
	app := v.App.Config.App
	head, body, _ := strings.Cut(clientSource, "// --- the types ---\n")
	entity, operation := s.examples()
	fill := strings.NewReplacer("APPLICATION", app, "VERSION", v.Version, "ENTITY", entity, "OPERATION", operation)
	b.WriteString(fill.Replace(head))
	b.Write(Supabase(v))
	body, tail, _ := strings.Cut(body, "    // --- the members ---\n")
	b.WriteString(fill.Replace(body))
	s.members(&b, "from", (*supabase).getters)
	s.members(&b, "rpc", (*supabase).methods)
	b.WriteString(tail)
	name := npmName(app) + "-client"
	var p strings.Builder
	fmt.Fprintf(&p, "{\n  \"name\": %s,\n  \"version\": \"0.0.0\",\n  \"private\": true,\n", value.AppendQuoted(nil, name))
	fmt.Fprintf(&p, "  \"description\": %s,\n", value.AppendQuoted(nil, "The client of "+app+", "+v.Version+" of its API. Written by pando client ts: do not edit."))
	fmt.Fprintf(&p, "  \"type\": \"module\",\n  \"exports\": \"./index.ts\",\n  \"dependencies\": {\n    \"@supabase/postgrest-js\": %q\n  }\n}\n", postgrestJS)
	return []File{{"index.ts", []byte(b.String())}, {"package.json", []byte(p.String())}}
}

// examples are an entity and an operation of the application, for its comment.
func (s *supabase) examples() (entity, operation string) {
	entity, operation = "MODULE.ENTITY", "MODULE.OPERATION"
	for _, m := range slices.Backward(s.view.App.Modules) {
		if m.Builtin {
			continue
		}
		for _, e := range slices.Backward(s.shown(m)) {
			name, _ := s.view.EntityName(e)
			entity = m.Name + "." + name
		}
		for _, o := range slices.Backward(m.Operations) {
			if name, there := s.view.OperationName(o); there {
				operation = m.Name + "." + name
			}
		}
	}
	return entity, operation
}

// npmName is a name of an application as npm allows it.
func npmName(app string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, app), "-")
}

// members writes a property that has a property for each module with members.
func (s *supabase) members(b *strings.Builder, name string, write func(*supabase, *strings.Builder, *model.Module)) {
	var all strings.Builder
	for _, m := range s.view.App.Modules {
		var of strings.Builder
		if write(s, &of, m); of.Len() == 0 {
			continue
		}
		if m.Doc != "" {
			newline(&all, 6)
			all.WriteString(tsDoc(m.Doc, 6))
		}
		newline(&all, 6)
		all.WriteString(key(m.Name) + ": {" + of.String())
		newline(&all, 6)
		all.WriteString("},")
	}
	if all.Len() > 0 {
		newline(&all, 4)
	}
	fmt.Fprintf(b, "    %s: {%s},\n", name, all.String())
}

// getters give a new builder each: one is good for one request.
func (s *supabase) getters(b *strings.Builder, m *model.Module) {
	for _, e := range s.shown(m) {
		name, _ := s.view.EntityName(e)
		if doc := tsLife(e.Doc, &e.Lifespan); doc != "" {
			newline(b, 8)
			b.WriteString(tsDoc(doc, 8))
		}
		newline(b, 8)
		b.WriteString("get " + key(name) + "() {")
		chain(b, s.within(m, s.view.Entity("", name) == e), ".from("+quoted(name)+")")
		newline(b, 8)
		b.WriteString("},")
	}
}

func (s *supabase) methods(b *strings.Builder, m *model.Module) {
	for _, o := range m.Operations {
		name, there := s.view.OperationName(o)
		if !there {
			continue
		}
		if doc := tsLife(o.Doc, &o.Lifespan); doc != "" {
			newline(b, 8)
			b.WriteString(tsDoc(doc, 8))
		}
		newline(b, 8)
		input, call := "", quoted(name)
		if len(o.Input) > 0 {
			input, call = "input: Input<"+quoted(m.Name)+", "+quoted(name)+">", call+", input"
			if optionalAll(o.Input) {
				input += " = {}"
			}
		}
		line := key(name) + "(" + input + ") {"
		if 8+utf8.RuneCountInString(line) > tsWidth {
			line = key(name) + "(\n          " + input + ",\n        ) {"
		}
		b.WriteString(line)
		chain(b, s.within(m, false), ".rpc("+call+")")
		newline(b, 8)
		b.WriteString("},")
	}
}

func optionalAll(params []*model.Param) bool {
	for _, p := range params {
		if !p.Optional {
			return false
		}
	}
	return true
}

// within chooses the module, unless what is meant is found by its name alone.
func (s *supabase) within(m *model.Module, alone bool) string {
	if alone {
		return ""
	}
	return ".schema(" + quoted(m.Name) + ")"
}

// chain writes calls of the REST client, on lines of their own where one is too long.
func chain(b *strings.Builder, schema, call string) {
	newline(b, 10)
	line := "return rest" + schema + call + ";"
	if 10+utf8.RuneCountInString(line) > tsWidth && schema != "" {
		line = "return rest\n            " + schema + "\n            " + call + ";"
	}
	b.WriteString(line)
}
