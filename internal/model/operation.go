package model

import (
	"io/fs"
	"path"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/pandobase/pando/internal/value"
)

func (l *loader) operation(f *moduleFile, e *entry[rawOperation]) {
	raw := &e.v
	o := &Operation{
		Module: f.module, Name: e.name, Pos: f.pos(e.key), Doc: raw.doc.v, Allow: raw.allow.v, Run: raw.run.v,
		Timeout: or(raw.timeout, defaultCallTimeout), Reads: raw.reads.v, Transaction: or(raw.transaction, true), Code: f.code(&raw.rawCode),
	}
	f.module.Operations = append(f.module.Operations, o)
	o.Lifespan = l.lifespan(f, e.name, &raw.rawLifespan, func(name string) *Lifespan {
		for i := range f.raw.operations.v {
			if other := &f.raw.operations.v[i]; other.name == name {
				return &Lifespan{Since: other.v.since.v}
			}
		}
		return nil
	})
	o.Input = l.params(f, e.name, raw.input.v)
	l.run(f, raw.run)
	out := raw.output
	if !out.given() {
		return
	}
	o.Output = &Output{List: out.v.list.v}
	switch {
	case out.v.of.given() && out.v.fields.given():
		f.problem(out.n, "keep one of them", "an output is rows of an entity or fields, not both")
	case out.v.of.ok:
		o.Output.Entity = l.find(f, out.v.of.n, out.v.of.v)
	case out.v.fields.given():
		o.Output.Fields = l.params(f, e.name, out.v.fields.v)
	case out.ok:
		f.problem(out.n, "write of: ENTITY, or fields: { ... }", "the output says neither of nor fields")
	}
}

// function resolves code behind the functions' door.
func (l *loader) function(f *moduleFile, e *entry[rawFunction]) {
	raw := &e.v
	fn := &Function{
		Module: f.module, Name: e.name, Pos: f.pos(e.key), Doc: raw.doc.v, Allow: raw.allow.v, Run: or(raw.run, "functions/"+e.name+".ts"),
		Timeout: or(raw.timeout, defaultCallTimeout), Code: f.code(&raw.rawCode),
	}
	f.module.Functions = append(f.module.Functions, fn)
	for _, m := range l.app.Modules {
		for _, other := range m.Functions {
			if other != fn && other.Name == fn.Name {
				f.problem(e.key, "functions share one path, so their names differ in all modules", "the module %s has a function %s too", m.Name, fn.Name)
			}
		}
	}
	run := raw.run
	if !run.given() {
		run = at[string]{v: fn.Run, n: e.key, ok: e.ok}
	}
	l.run(f, run)
}

// code are the limits of code. What it calls is resolved by [loader.calls], once all
// operations are known.
func (f *moduleFile) code(raw *rawCode) Code {
	c := Code{Memory: or(raw.memory, defaultMemory)}
	if c.Memory < leastMemory || c.Memory > mostMemory {
		f.problem(raw.memory.n, "between 4MiB and 1GiB", "the memory of a call cannot be %d bytes", c.Memory)
	}
	for _, s := range texts(raw.secrets) {
		c.Secrets = append(c.Secrets, strings.TrimPrefix(s, "secret:"))
	}
	return c
}

// calls resolves the operations that the module's code calls in other modules.
func (l *loader) calls(f *moduleFile) {
	for i, raw := range f.raw.operations.v {
		f.module.Operations[i].Calls = l.called(f, raw.v.calls)
	}
	for i, raw := range f.raw.functions.v {
		f.module.Functions[i].Calls = l.called(f, raw.v.calls)
	}
	for i, raw := range f.raw.jobs.v {
		f.module.Jobs[i].Calls = l.called(f, raw.v.calls)
	}
}

func (l *loader) called(f *moduleFile, raw at[[]at[string]]) (out []*Operation) {
	for _, name := range raw.v {
		if !name.ok {
			continue
		}
		module, operation, _ := strings.Cut(name.v, ".")
		if module == f.module.Name {
			f.problem(name.n, "leave it out", "operations of the module itself need not be declared")
			continue
		}
		m := l.app.modules[module]
		if m == nil {
			if !l.unknown[module] {
				f.problem(name.n, "", "unknown module %s", quote(module))
			}
			continue
		}
		o := m.Operation(operation)
		if o == nil {
			var names []string
			for _, o := range m.Operations {
				names = append(names, o.QualifiedName())
			}
			f.problem(name.n, nearest(name.v, names), "the module %s has no operation %s", module, quote(operation))
			continue
		}
		out = append(out, o)
	}
	return out
}

func (l *loader) params(f *moduleFile, what string, raw []entry[rawParam]) []*Param {
	out := make([]*Param, 0, len(raw))
	for i := range raw {
		out = append(out, l.param(f, what, &raw[i]))
	}
	return out
}

func (l *loader) param(f *moduleFile, of string, e *entry[rawParam]) *Param {
	raw := &e.v
	p := &Param{Name: e.name, Pos: f.pos(e.key), Doc: raw.doc.v, Optional: raw.optional.v, List: raw.list.v}
	what := of + "." + e.name
	t := typeKeys{what: what, kind: raw.kind, ref: raw.ref, scale: raw.scale, values: raw.values, least: raw.least, most: raw.most}
	if raw.fields.given() {
		for _, n := range []*yaml.Node{raw.kind.n, raw.ref.n, raw.scale.n, raw.values.n, raw.least.n, raw.most.n} {
			if n != nil {
				f.problem(n, "leave it out", "%s has fields, so it is an object and has no type", what)
			}
		}
		p.Fields = l.params(f, what, raw.fields.v)
		return p
	}
	if !t.complete(f) {
		if !raw.kind.given() && !raw.ref.given() && e.ok {
			f.problem(e.key, "add type: text, ref: ENTITY, or fields: { ... }", "%s has no type", what)
		}
		return p
	}
	if raw.ref.ok {
		if p.Ref = l.find(f, raw.ref.n, raw.ref.v); p.Ref != nil && p.Ref.Primary != nil {
			p.Type = p.Ref.Primary.Type
		}
	} else if raw.kind.ok {
		p.Type = t.build(f)
	}
	if p.Type.Kind != value.Invalid {
		p.Type.List = p.List
	}
	return p
}

// run checks that the code is there.
func (l *loader) run(f *moduleFile, run at[string]) {
	if !run.ok || run.v == "go" {
		return
	}
	file, export, _ := strings.Cut(run.v, "#")
	if path.Clean(file) != file || !fs.ValidPath(file) {
		f.problem(run.n, "write the path without . and ..", "%s is no path below functions/", quote(file))
		return
	}
	if strings.HasSuffix(file, ".wasm") && export == "" {
		f.problem(run.n, file+"#NAME", "which function of %s?", file)
	}
	info, err := fs.Stat(l.fsys, file)
	switch {
	case err != nil:
		f.problem(run.n, l.nearestFile(file), "there is no file %s", file)
	case !info.Mode().IsRegular():
		f.problem(run.n, "", "%s is not a file", file)
	}
}

// nearestFile is the hint for a file that is not there, from its folder.
func (l *loader) nearestFile(name string) string {
	entries, err := fs.ReadDir(l.fsys, path.Dir(name))
	if err != nil {
		return ""
	}
	var names []string
	for _, e := range entries {
		names = append(names, path.Join(path.Dir(name), e.Name()))
	}
	return nearest(name, names)
}

// Operation returns an operation of the module; nil: it has none of that name.
func (m *Module) Operation(name string) *Operation {
	for _, o := range m.Operations {
		if o.Name == name {
			return o
		}
	}
	return nil
}
