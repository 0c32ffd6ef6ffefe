package model

// Shown is the application as who knows only this version would describe it:
// what the version has, by its names. It is for descriptions: rules and
// expressions are those of the model, by the model's names. Where the version
// shows everything as it is, that is the application itself.
func (v *View) Shown() *App {
	if v.Plain() {
		return v.App
	}
	s := &showing{view: v, entities: map[*Entity]*Entity{}, fields: map[*Field]*Field{}}
	out := *v.App
	out.Modules, out.modules, out.unqualified = nil, map[string]*Module{}, map[string]*Entity{}
	for _, m := range v.App.Modules {
		shown := s.module(m)
		out.Modules = append(out.Modules, shown)
		out.modules[m.Name] = shown
	}
	for was, e := range s.entities {
		s.connect(was, e)
		if v.Entity("", e.Name) == was {
			out.unqualified[e.Name] = e
		}
	}
	for i, m := range v.App.Modules {
		for _, o := range m.Operations {
			if name, there := v.OperationName(o); there {
				out.Modules[i].Operations = append(out.Modules[i].Operations, s.operation(o, name, out.Modules[i]))
			}
		}
	}
	out.views = []*View{{App: &out, Version: v.Version, number: v.number}}
	return &out
}

// showing makes copies of what a version has.
type showing struct {
	view     *View
	entities map[*Entity]*Entity
	fields   map[*Field]*Field
}

func (s *showing) module(m *Module) *Module {
	out := *m
	out.Entities, out.Operations, out.entities = nil, nil, map[string]*Entity{}
	for _, e := range m.Entities {
		name, there := s.view.EntityName(e)
		if !there {
			continue
		}
		shown := *e
		shown.Module, shown.Name, shown.Fields, shown.fields = &out, name, nil, map[string]*Field{}
		for _, f := range e.Fields {
			name, there := s.view.FieldName(f)
			if !there {
				continue
			}
			field := *f
			field.Entity, field.Name = &shown, name
			shown.Fields = append(shown.Fields, &field)
			shown.fields[name] = &field
			s.fields[f] = &field
		}
		out.Entities = append(out.Entities, &shown)
		out.entities[name] = &shown
		s.entities[e] = &shown
	}
	return &out
}

// connect has a copy refer to copies.
func (s *showing) connect(was, e *Entity) {
	e.Primary = s.fields[was.Primary]
	e.Search = s.list(was.Search)
	e.Unique, e.Index = s.keys(was.Unique), s.keys(was.Index)
	e.Relations = nil
	for _, f := range e.Fields {
		if f.Ref == nil {
			continue
		}
		ref := *f.Ref
		if ref.Target = s.entities[ref.Target]; ref.Target == nil {
			f.Ref = nil
			continue
		}
		f.Ref = &ref
	}
	for _, r := range was.Relations {
		name, there := s.view.RelationName(r)
		if !there {
			continue
		}
		shown := *r
		shown.Name, shown.From, shown.To = name, e, s.entities[r.To]
		shown.Local, shown.Foreign, shown.Ref = s.fields[r.Local], s.fields[r.Foreign], s.fields[r.Ref]
		if r.Via != nil {
			shown.Via, shown.ViaLocal, shown.ViaForeign = s.entities[r.Via], s.fields[r.ViaLocal], s.fields[r.ViaForeign]
		}
		if r.Cardinality == ToOne && shown.Local.Ref != nil {
			shown.Local.Ref.Relation = name
		}
		e.Relations = append(e.Relations, &shown)
	}
}

func (s *showing) operation(o *Operation, name string, in *Module) *Operation {
	out := *o
	out.Module, out.Name, out.Input = in, name, s.params(o.Input)
	if o.Output != nil {
		answer := *o.Output
		answer.Entity, answer.Fields = s.entities[answer.Entity], s.params(answer.Fields)
		out.Output = &answer
	}
	return &out
}

func (s *showing) params(list []*Param) []*Param {
	out := make([]*Param, len(list))
	for i, p := range list {
		shown := *p
		shown.Ref, shown.Fields = s.entities[p.Ref], s.params(p.Fields)
		if p.Fields == nil {
			shown.Fields = nil
		}
		out[i] = &shown
	}
	return out
}

// list are the copies of those fields that the version has.
func (s *showing) list(fields []*Field) (out []*Field) {
	for _, f := range fields {
		if shown := s.fields[f]; shown != nil {
			out = append(out, shown)
		}
	}
	return out
}

// keys are those of which the version has every field.
func (s *showing) keys(keys []Key) (out []Key) {
	for _, k := range keys {
		if fields := s.list(k.Fields); len(fields) == len(k.Fields) {
			k.Fields = fields
			out = append(out, k)
		}
	}
	return out
}
