package model

import (
	"cmp"
	"slices"
	"strings"
)

// Edge is one way in which a module depends on another.
type Edge struct {
	From, To *Module
	// How is calls (an operation), hears (an event or a write) or refers (a
	// relation).
	How string
	// Of is what depends in From, and On what it depends on in To: names without
	// their modules.
	Of, On string
	Pos    Pos
}

// Graph tells how the modules depend on each other, sorted. References to the
// built-in modules are left out: everything may refer to users.
func (a *App) Graph() []Edge {
	var out []Edge
	add := func(e Edge) {
		if e.From != e.To && !e.To.Builtin {
			out = append(out, e)
		}
	}
	for _, m := range a.Modules {
		for _, c := range m.codes() {
			for _, o := range c.code.Calls {
				add(Edge{m, o.Module, "calls", c.name, o.Name, c.pos})
			}
		}
		for _, j := range m.Jobs {
			if j.Trigger.Given() {
				add(Edge{m, j.Trigger.module(), "hears", j.Name, j.Trigger.name(), j.Pos})
			}
		}
		for _, w := range m.Webhooks {
			if w.Trigger.Given() {
				add(Edge{m, w.Trigger.module(), "hears", w.Name, w.Trigger.name(), w.Pos})
			}
		}
		for _, e := range m.Entities {
			for _, f := range e.Fields {
				if f.Ref != nil {
					add(Edge{m, f.Ref.Target.Module, "refers", e.Name + "." + f.Name, f.Ref.Target.Name, f.Pos})
				}
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Edge) int {
		return cmp.Or(cmp.Compare(a.From.Name, b.From.Name), cmp.Compare(a.To.Name, b.To.Name), cmp.Compare(a.How, b.How), cmp.Compare(a.Of, b.Of))
	})
	return out
}

func (t *Trigger) module() *Module {
	if t.Event != nil {
		return t.Event.Module
	}
	return t.Entity.Module
}

func (t *Trigger) name() string { return strings.TrimPrefix(t.Type(), t.module().Name+".") }

// named is code with what it is the code of.
type named struct {
	name string
	code *Code
	pos  Pos
}

func (m *Module) codes() (out []named) {
	for _, o := range m.Operations {
		out = append(out, named{o.Name, &o.Code, o.Pos})
	}
	for _, f := range m.Functions {
		out = append(out, named{f.Name, &f.Code, f.Pos})
	}
	for _, j := range m.Jobs {
		out = append(out, named{j.Name, &j.Code, j.Pos})
	}
	return out
}

// circles warns of modules whose operations call each other in a circle: neither
// can be set apart, and a call may find no end.
func (l *loader) circles() (out []Problem) {
	calls := map[*Module][]Edge{}
	for _, e := range l.app.Graph() {
		if e.How == "calls" {
			calls[e.From] = append(calls[e.From], e)
		}
	}
	warned := map[*Module]bool{}
	for _, m := range l.app.Modules {
		path := circle(m, m, calls, nil)
		if path == nil || warned[m] {
			continue
		}
		names := []string{m.Name}
		for _, e := range path {
			warned[e.To] = true
			names = append(names, e.To.Name)
		}
		out = append(out, Problem{
			Pos:     path[0].Pos,
			Message: "modules call each other in a circle: " + strings.Join(names, " -> "),
			Hint:    "let one of them publish an event that the other one hears",
		})
	}
	return out
}

// circle finds a way from a module back to itself.
func circle(from, to *Module, calls map[*Module][]Edge, seen []*Module) []Edge {
	for _, e := range calls[from] {
		if e.To == to {
			return []Edge{e}
		}
		if slices.Contains(seen, e.To) {
			continue
		}
		if rest := circle(e.To, to, calls, append(seen, from)); rest != nil {
			return append([]Edge{e}, rest...)
		}
	}
	return nil
}
