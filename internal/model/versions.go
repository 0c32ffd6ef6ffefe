package model

import "slices"

// checkViews reports what a version of the API could not serve: two things of
// one name, an entity without its key, one of which no row can be created, an
// operation that answers what the version does not have.
func (l *loader) checkViews() {
	for _, v := range l.app.views {
		if v.Plain() {
			continue
		}
		for _, m := range l.app.Modules {
			entities := siblings{report: l.report, view: v, what: "entities"}
			for _, e := range m.Entities {
				if name, there := v.EntityName(e); there {
					entities.add(name, e.Pos, e.Name)
					l.checkView(v, e)
				}
			}
			operations := siblings{report: l.report, view: v, what: "operations"}
			for _, o := range m.Operations {
				if name, there := v.OperationName(o); there {
					operations.add(name, o.Pos, o.Name)
					l.answerable(v, o)
				}
			}
		}
	}
}

// siblings finds two things that a version calls the same.
type siblings struct {
	report *report
	view   *View
	what   string
	seen   map[string]string // by the version's name: the model's
}

func (s *siblings) add(name string, pos Pos, now string) {
	if other, twice := s.seen[name]; twice {
		s.report.add(pos, "end one of them with until:, begin the other with since:, or leave was: out",
			"%s has two %s called %s: %s and %s", s.view.Version, s.what, name, other, now)
		return
	}
	put(&s.seen, name, now)
}

// checkView checks an entity that a version shows.
func (l *loader) checkView(v *View, e *Entity) {
	if v.Same(e) {
		return
	}
	if name, _ := v.EntityName(e); name != e.Name && slices.Contains(ReservedEntities(), name) {
		l.report.add(e.Pos, "choose another was:", "%s calls %s %s, where operations are", v.Version, e.Name, name)
	}
	fields := siblings{report: l.report, view: v, what: "fields of " + e.QualifiedName()}
	for _, f := range e.Fields {
		name, there := v.FieldName(f)
		switch {
		case there:
			fields.add(name, f.Pos, f.Name)
			if name != f.Name && slices.Contains(ReservedFields(), name) {
				l.report.add(f.Pos, "choose another was:", "%s calls %s %s, a word of the query grammar", v.Version, f.Name, name)
			}
		case f.Primary:
			l.report.add(f.Pos, "a key is there in every version that has its entity", "%s does not have %s, the primary key of %s", v.Version, f.Name, e.QualifiedName())
		case !e.ReadOnly && !f.Optional && f.Default == nil && !f.Generated && !f.OnUpdateNow:
			l.report.add(f.Pos, "give it a default, make it optional, or say with was: what it is called there",
				"%s cannot create rows of %s: it does not have the required field %s", v.Version, e.QualifiedName(), f.Name)
		}
	}
}

// answerable checks that a version has what an operation answers.
func (l *loader) answerable(v *View, o *Operation) {
	if o.Output == nil || o.Output.Entity == nil {
		return
	}
	if _, there := v.EntityName(o.Output.Entity); !there {
		name, _ := v.OperationName(o)
		l.report.add(o.Pos, "give the operation the lifespan of what it answers",
			"%s has %s, which answers %s, and does not have that", v.Version, name, o.Output.Entity.QualifiedName())
	}
}
