package gen

import (
	"slices"
	"strings"

	"github.com/pandobase/pando/internal/model"
)

// FunctionTypes returns pando.d.ts: the types of the module pando, with the
// entities, operations, events, jobs and integrations of an application before
// client, the declarations that are the same for every application. It takes
// TypeScript 5 and the types of fetch (lib DOM or WebWorker). The same
// application gives the same bytes.
func FunctionTypes(app *model.App, client string) []byte {
	var b strings.Builder
	b.WriteString("// Made by `pando types` from the modules. Do not edit.\n\ndeclare module \"pando\" {")
	declare := func(doc, name string, of tsObject) {
		b.WriteString("\n")
		if doc != "" {
			b.WriteString("  " + tsDoc(doc, 2) + "\n")
		}
		b.WriteString("  export interface " + name + " ")
		of.write(&b, 2, 0, 0)
	}
	modules, entities := functionEntities(app)
	declare("Every entity, by module.", "Modules", modules)
	b.WriteString("\n")
	declare("The entities that need no module.", "Entities", entities)
	b.WriteString("\n")
	operations, byModule := functionOperations(app)
	declare("Every operation, by its full name.", "Operations", operations)
	declare("", "OperationsByModule", byModule)
	b.WriteString("\n")
	declare("The data of every event.", "Events", functionEvents(app))
	b.WriteString("\n")
	declare("What every job is called with.", "Jobs", functionJobs(app))
	b.WriteString("\n\n  export type Integrations = " + integrations(app) + ";\n\n" + client + "}\n")
	return []byte(b.String())
}

// open are the entities that code and clients reach.
func open(m *model.Module) []*model.Entity {
	return slices.DeleteFunc(slices.Clone(m.Entities), func(e *model.Entity) bool { return e.Internal })
}

func functionEntities(app *model.App) (modules, entities tsObject) {
	for _, m := range app.Modules {
		var of tsObject
		for _, e := range open(m) {
			row := tsObject{{name: "Row", of: rowType(e)}}
			for _, kind := range []string{"Insert", "Update"} {
				var change tsType = tsName("never")
				if !e.ReadOnly {
					change = changeType(e, kind == "Update")
				}
				row = append(row, tsMember{name: kind, of: change})
			}
			of = append(of, tsMember{doc: e.Doc, name: key(e.Name), of: row})
			if app.Entity("", e.Name) == e {
				entities = append(entities, tsMember{name: key(e.Name), of: tsName(entityType(e))})
			}
		}
		if len(of) > 0 {
			modules = append(modules, tsMember{doc: m.Doc, name: key(m.Name), of: of})
		}
	}
	return modules, entities
}

// rowType is a row as functions read it.
func rowType(e *model.Entity) (o tsObject) {
	for _, f := range e.Fields {
		if !f.Hidden {
			o = append(o, tsMember{doc: f.Doc, name: key(f.Name), of: orNull(scalarType(f.Type), absent(f))})
		}
	}
	return o
}

// changeType is what functions insert, or change.
func changeType(e *model.Entity, update bool) (o tsObject) {
	for _, f := range e.Fields {
		if !f.Generated {
			o = append(o, tsMember{name: key(f.Name), optional: update || !needed(f), of: orNull(scalarType(f.Type), f.Optional)})
		}
	}
	return o
}

// absent reports whether a row that is read may have null in a field: where it is
// optional, or not everybody's to read.
func absent(f *model.Field) bool { return f.Optional || f.Read != nil }

// needed reports whether a new row must have a field.
func needed(f *model.Field) bool {
	return !f.Optional && f.Default == nil && !f.OnUpdateNow && !f.Generated
}

func functionOperations(app *model.App) (all, byModule tsObject) {
	for _, m := range app.Modules {
		var of tsObject
		for _, o := range m.Operations {
			name := quoted(o.QualifiedName())
			all = append(all, tsMember{doc: o.Doc, name: name, of: tsObject{
				{name: "input", of: parameters(o.Input)}, {name: "output", of: output(o.Output, func(e *model.Entity) tsType { return tsName(entityType(e) + `["Row"]`) })},
			}})
			of = append(of, tsMember{doc: o.Doc, name: key(o.Name), of: tsName("Call<Operations[" + name + "]>")})
		}
		if len(of) > 0 {
			byModule = append(byModule, tsMember{name: key(m.Name), of: of})
		}
	}
	return all, byModule
}

func functionEvents(app *model.App) (o tsObject) {
	for _, m := range app.Modules {
		for _, e := range m.Events {
			o = append(o, tsMember{doc: e.Doc, name: quoted(e.QualifiedName()), of: eventData(e.Entity, e.Action)})
		}
	}
	return o
}

// functionJobs are what jobs' functions get: an event, or null on schedule or
// whatever it was enqueued with.
func functionJobs(app *model.App) (o tsObject) {
	for _, m := range app.Modules {
		for _, j := range m.Jobs {
			var in tsType = tsName("any")
			switch {
			case j.Trigger.Event != nil:
				in = tsName("CloudEvent<Events[" + quoted(j.Trigger.Event.QualifiedName()) + "]>")
			case j.Trigger.Entity != nil:
				in = tsGeneric{"CloudEvent", eventData(j.Trigger.Entity, j.Trigger.Action)}
			}
			o = append(o, tsMember{doc: j.Doc, name: quoted(j.QualifiedName()), of: in})
		}
	}
	return o
}

func integrations(app *model.App) string {
	var names []string
	for _, m := range app.Modules {
		for _, i := range m.Integrations {
			names = append(names, quoted(i.Name))
		}
	}
	if len(names) == 0 {
		return "never"
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), " | ")
}

// eventData is the data of an event of an entity: the row after, and before.
func eventData(e *model.Entity, action string) tsType {
	if e == nil || e.Internal {
		return tsName("any")
	}
	row, old := tsType(tsName(entityType(e)+`["Row"]`)), tsType(tsName(entityType(e)+`["Row"]`))
	switch action {
	case "create":
		old = tsName("null")
	case "delete":
		row = tsName("null")
	}
	return tsObject{{name: "row", of: row}, {name: "old", of: old}}
}

func entityType(e *model.Entity) string {
	return "Modules[" + quoted(e.Module.Name) + "][" + quoted(e.Name) + "]"
}
