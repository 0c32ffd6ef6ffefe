// Package surface tells what clients see of an application in each version of its
// API, and what a change of it does to them.
//
// A [Surface] is canonical: one application gives one surface, whatever order its
// files have. Policies are no part of it: who may see what is not the API's shape.
package surface

import (
	"cmp"
	"slices"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/value"
)

// Surface is what clients see of an application.
type Surface struct {
	App      string    `json:"app"`
	Versions []Version `json:"versions"` // the oldest first
}

// Version is one version of the API.
type Version struct {
	Name       string      `json:"name"`
	Entities   []Entity    `json:"entities"`
	Operations []Operation `json:"operations"`
}

// Entity is an entity of a version, as module.entity.
type Entity struct {
	Name      string     `json:"name"`
	Fields    []Field    `json:"fields"`
	Relations []Relation `json:"relations,omitempty"`
	ReadOnly  bool       `json:"read_only,omitempty"`
}

// Field is a field of an entity, or a member of what an operation takes or answers.
type Field struct {
	Name     string   `json:"name"`
	Type     string   `json:"type"` // int, decimal(2), object; of a list the elements'
	List     bool     `json:"list,omitempty"`
	Values   []string `json:"values,omitempty"` // of an enum
	Wide     bool     `json:"wide,omitempty"`   // an int that 32 bits do not hold
	Nullable bool     `json:"nullable,omitempty"`
	Required bool     `json:"required,omitempty"` // a create, or a call, has to give it
	Hidden   bool     `json:"hidden,omitempty"`   // it is never answered
	Given    bool     `json:"given,omitempty"`    // a write may give it
	Number   int      `json:"number,omitempty"`   // of protobuf
	Numbers  []int    `json:"numbers,omitempty"`  // of the enum's values
	Fields   []Field  `json:"fields,omitempty"`   // of an object
}

// Relation is a way to other rows.
type Relation struct {
	Name string `json:"name"`
	To   string `json:"to"`
	Many bool   `json:"many,omitempty"`
}

// Operation is an operation of a version, as module.operation.
type Operation struct {
	Name   string  `json:"name"`
	Input  []Field `json:"input"`
	Output *Output `json:"output,omitempty"`
	Reads  bool    `json:"reads,omitempty"`
}

// Output is what an operation answers: rows of an entity, or an object.
type Output struct {
	Of     string  `json:"of,omitempty"`
	List   bool    `json:"list,omitempty"`
	Fields []Field `json:"fields,omitempty"`
}

// Of is the surface of an application.
func Of(app *model.App) Surface {
	s := Surface{App: app.Config.App}
	for _, name := range app.Config.Versions {
		s.Versions = append(s.Versions, version{app: app, view: app.View(name)}.describe())
	}
	return s
}

// version describes one version.
type version struct {
	app  *model.App
	view *model.View
}

func (v version) describe() Version {
	out := Version{Name: v.view.Version, Entities: []Entity{}, Operations: []Operation{}}
	for _, m := range v.app.Modules {
		for _, e := range m.Entities {
			if _, there := v.view.EntityName(e); there && !e.Internal {
				out.Entities = append(out.Entities, v.entity(e))
			}
		}
		for _, o := range m.Operations {
			if name, there := v.view.OperationName(o); there {
				out.Operations = append(out.Operations, v.operation(o, m.Name+"."+name))
			}
		}
	}
	slices.SortFunc(out.Entities, func(a, b Entity) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(out.Operations, func(a, b Operation) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func (v version) name(e *model.Entity) string {
	name, _ := v.view.EntityName(e)
	return e.Module.Name + "." + name
}

func (v version) entity(e *model.Entity) Entity {
	out := Entity{Name: v.name(e), ReadOnly: e.ReadOnly}
	numbers := v.app.FieldNumbers(e)
	for _, f := range e.Fields {
		name, there := v.view.FieldName(f)
		if !there || f.Inner() {
			continue
		}
		field := typed(f.Type)
		field.Name, field.Hidden, field.Number = name, f.Hidden, numbers[f.Name]
		field.Nullable = f.Optional || f.Read != nil
		field.Given = !e.ReadOnly && !f.Generated
		field.Required = field.Given && !f.Optional && f.Default == nil && !f.OnUpdateNow
		of := v.app.EnumNumbers(f)
		for _, word := range field.Values {
			field.Numbers = append(field.Numbers, of[word])
		}
		out.Fields = append(out.Fields, field)
	}
	slices.SortFunc(out.Fields, byName)
	for _, r := range e.Relations {
		name, there := v.view.RelationName(r)
		if there && !r.To.Internal && !hides(r) {
			out.Relations = append(out.Relations, Relation{Name: name, To: v.name(r.To), Many: r.Cardinality != model.ToOne && !r.Unique})
		}
	}
	slices.SortFunc(out.Relations, func(a, b Relation) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.To, b.To)) })
	out.Relations = slices.Compact(out.Relations)
	return out
}

// hides reports whether a hidden field makes a relation.
func hides(r *model.Relation) bool {
	for _, f := range []*model.Field{r.Local, r.Foreign, r.ViaLocal, r.ViaForeign} {
		if f != nil && f.Hidden {
			return true
		}
	}
	return false
}

func byName(a, b Field) int { return cmp.Compare(a.Name, b.Name) }

// typed is a field that has its type alone.
func typed(t value.Type) Field {
	elem := t
	elem.List = false
	f := Field{Type: elem.String(), List: t.List}
	switch t.Kind { //nolint:exhaustive // the others' names say all
	case value.Enum:
		f.Type, f.Values = "enum", slices.Sorted(slices.Values(t.Values))
	case value.Int:
		f.Wide = t.Min == nil || t.Max == nil || t.Min.Int < -1<<31 || t.Max.Int > 1<<31-1
	}
	return f
}

func (v version) operation(o *model.Operation, name string) Operation {
	out := Operation{Name: name, Reads: o.Reads, Input: v.members(o.Input, func(path ...string) model.Numbers { return v.app.InputNumbers(o, path...) })}
	if o.Output == nil {
		return out
	}
	out.Output = &Output{List: o.Output.List, Fields: v.members(o.Output.Fields, func(path ...string) model.Numbers { return v.app.OutputNumbers(o, path...) })}
	if o.Output.Entity != nil {
		out.Output.Of = v.name(o.Output.Entity)
	}
	return out
}

func (v version) members(params []*model.Param, numbers func(path ...string) model.Numbers, path ...string) []Field {
	out := make([]Field, 0, len(params))
	for _, p := range params {
		f := Field{Type: "object", List: p.List}
		at := append(slices.Clip(path), p.Name)
		if p.Fields != nil {
			f.Fields = v.members(p.Fields, numbers, at...)
		} else {
			f = typed(p.Type)
			f.List = f.List || p.List
			for _, word := range f.Values {
				f.Numbers = append(f.Numbers, numbers(at...)[word])
			}
		}
		f.Name, f.Nullable, f.Required, f.Given, f.Number = p.Name, p.Optional, !p.Optional, true, numbers(path...)[p.Name]
		out = append(out, f)
	}
	slices.SortFunc(out, byName)
	return out
}

// typeText is a type as a change tells of it.
func (f *Field) typeText() string {
	if f.List {
		return "a list of " + f.Type
	}
	return f.Type
}
