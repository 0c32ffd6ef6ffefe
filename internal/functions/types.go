package functions

import (
	"bytes"
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/value"
)

//go:embed client.d.ts
var clientTypes string

// Types returns pando.d.ts: the types of the module pando, with the entities,
// operations, events, jobs and integrations of an application. It takes
// TypeScript 5 and the types of fetch (lib DOM or WebWorker). The same
// application gives the same bytes.
func Types(app *model.App) []byte {
	t := &typeWriter{app: app}
	t.line("// Made by `pando types` from the modules. Do not edit.")
	t.line("")
	t.line(`declare module "pando" {`)
	t.entities()
	t.operations()
	t.work()
	t.b.WriteString("\n" + clientTypes)
	t.line("}")
	return t.b.Bytes()
}

type typeWriter struct {
	app *model.App
	b   bytes.Buffer
}

func (t *typeWriter) line(format string, args ...any) {
	fmt.Fprintf(&t.b, format+"\n", args...)
}

// doc writes what a module says of a thing.
func (t *typeWriter) doc(indent, text string) {
	if text != "" {
		t.line("%s/** %s */", indent, strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "*/", "* /"))
	}
}

// open are the entities that functions reach.
func open(m *model.Module) []*model.Entity {
	return slices.DeleteFunc(slices.Clone(m.Entities), func(e *model.Entity) bool { return e.Internal })
}

func (t *typeWriter) entities() {
	t.line("  /** Every entity, by module. */")
	t.line("  export interface Modules {")
	for _, m := range t.app.Modules {
		if len(open(m)) == 0 {
			continue
		}
		t.doc("    ", m.Doc)
		t.line("    %s: {", key(m.Name))
		for _, e := range open(m) {
			t.entity(e)
		}
		t.line("    };")
	}
	t.line("  }")
	t.line("")
	t.line("  /** The entities that need no module. */")
	t.line("  export interface Entities {")
	for _, m := range t.app.Modules {
		for _, e := range open(m) {
			if t.app.Entity("", e.Name) == e {
				t.line("    %s: %s;", key(e.Name), entityType(e))
			}
		}
	}
	t.line("  }")
}

func (t *typeWriter) entity(e *model.Entity) {
	t.doc("      ", e.Doc)
	t.line("      %s: {", key(e.Name))
	t.line("        Row: {")
	for _, f := range e.Fields {
		if !f.Hidden {
			t.doc("          ", f.Doc)
			t.line("          %s: %s;", key(f.Name), nullable(typeOf(f.Type), f.Optional))
		}
	}
	t.line("        };")
	for _, kind := range []string{"Insert", "Update"} {
		if e.ReadOnly {
			t.line("        %s: never;", kind)
			continue
		}
		t.line("        %s: {", kind)
		for _, f := range e.Fields {
			if f.Generated {
				continue
			}
			mark := ""
			if kind == "Update" || f.Optional || f.Default != nil {
				mark = "?"
			}
			t.line("          %s%s: %s;", key(f.Name), mark, nullable(typeOf(f.Type), f.Optional))
		}
		t.line("        };")
	}
	t.line("      };")
}

func (t *typeWriter) operations() {
	t.line("")
	t.line("  /** Every operation, by its full name. */")
	t.line("  export interface Operations {")
	for _, m := range t.app.Modules {
		for _, o := range m.Operations {
			t.doc("    ", o.Doc)
			t.line("    %s: { input: %s; output: %s };", quoted(m.Name+"."+o.Name), object(o.Input), output(o.Output))
		}
	}
	t.line("  }")
	t.line("  export interface OperationsByModule {")
	for _, m := range t.app.Modules {
		if len(m.Operations) == 0 {
			continue
		}
		t.line("    %s: {", key(m.Name))
		for _, o := range m.Operations {
			t.doc("      ", o.Doc)
			t.line("      %s: Call<Operations[%s]>;", key(o.Name), quoted(m.Name+"."+o.Name))
		}
		t.line("    };")
	}
	t.line("  }")
}

// work writes events, jobs and integrations.
func (t *typeWriter) work() {
	t.line("")
	t.line("  /** The data of every event. */")
	t.line("  export interface Events {")
	for _, m := range t.app.Modules {
		for _, e := range m.Events {
			t.doc("    ", e.Doc)
			t.line("    %s: %s;", quoted(m.Name+"."+e.Name), eventData(e.Entity, e.Action))
		}
	}
	t.line("  }")
	t.line("")
	t.line("  /** What every job is called with. */")
	t.line("  export interface Jobs {")
	var integrations []string
	for _, m := range t.app.Modules {
		for _, j := range m.Jobs {
			t.doc("    ", j.Doc)
			t.line("    %s: %s;", quoted(m.Name+"."+j.Name), t.jobInput(m, j))
		}
		for _, i := range m.Integrations {
			integrations = append(integrations, quoted(i.Name))
		}
	}
	t.line("  }")
	t.line("")
	slices.Sort(integrations)
	if len(integrations) == 0 {
		integrations = []string{"never"}
	}
	t.line("  export type Integrations = %s;", strings.Join(slices.Compact(integrations), " | "))
}

// jobInput is what a job's function gets: an event, or null on schedule or
// whatever it was enqueued with.
func (t *typeWriter) jobInput(m *model.Module, j *model.Job) string {
	if j.On == "" {
		return "any"
	}
	name, module := j.On, m
	if before, after, ok := strings.Cut(j.On, "."); ok && t.app.Module(before) != nil {
		module, name = t.app.Module(before), after
	}
	for _, of := range []*model.Module{module, m} {
		for _, e := range of.Events {
			if e.Name == name || e.Name == j.On {
				return "CloudEvent<Events[" + quoted(of.Name+"."+e.Name) + "]>"
			}
		}
	}
	if entity, action, ok := strings.Cut(name, "."); ok {
		if e := module.Entity(entity); e != nil {
			return "CloudEvent<" + eventData(e, action) + ">"
		}
	}
	if entity, action, ok := strings.Cut(j.On, "."); ok {
		if e := m.Entity(entity); e != nil {
			return "CloudEvent<" + eventData(e, action) + ">"
		}
	}
	return "CloudEvent<any>"
}

// eventData is the data of an event of an entity: the row after, and before.
func eventData(e *model.Entity, action string) string {
	if e == nil || e.Internal {
		return "any"
	}
	row := entityType(e) + `["Row"]`
	switch action {
	case "create":
		return "{ row: " + row + "; old: null }"
	case "delete":
		return "{ row: null; old: " + row + " }"
	}
	return "{ row: " + row + "; old: " + row + " }"
}

func entityType(e *model.Entity) string {
	return "Modules[" + quoted(e.Module.Name) + "][" + quoted(e.Name) + "]"
}

func object(params []*model.Param) string {
	if len(params) == 0 {
		return "{}"
	}
	members := make([]string, 0, len(params))
	for _, p := range params {
		of := typeOf(p.Type)
		if p.Fields != nil {
			of = object(p.Fields)
		}
		if p.List {
			of += "[]"
		}
		mark := ""
		if p.Optional {
			mark = "?"
		}
		members = append(members, key(p.Name)+mark+": "+nullable(of, p.Optional))
	}
	return "{ " + strings.Join(members, "; ") + " }"
}

func output(o *model.Output) string {
	if o == nil {
		return "null"
	}
	of := object(o.Fields)
	if o.Entity != nil {
		of = entityType(o.Entity) + `["Row"]`
	}
	if o.List {
		of += "[]"
	}
	return of
}

// typeOf is a type as its JSON reads it.
func typeOf(t value.Type) string {
	of := "string"
	switch t.Kind {
	case value.Int, value.Float, value.Decimal:
		of = "number"
	case value.Bool:
		of = "boolean"
	case value.JSON:
		of = "Json"
	case value.Enum:
		words := make([]string, len(t.Values))
		for i, w := range t.Values {
			words[i] = quoted(w)
		}
		of = strings.Join(words, " | ")
		if t.List {
			of = "(" + of + ")"
		}
	case value.Invalid, value.Text, value.UUID, value.Timestamp, value.Date, value.Time, value.Bytes, value.File:
	}
	if t.List {
		of += "[]"
	}
	return of
}

func nullable(of string, optional bool) string {
	if optional {
		return of + " | null"
	}
	return of
}

// key is a member's name, in quotes where it has to be.
func key(name string) string {
	for i, c := range name {
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return quoted(name)
		}
	}
	return name
}

func quoted(s string) string { return strconv.Quote(s) }
