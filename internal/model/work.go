package model

import (
	"io/fs"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/pandobase/pando/internal/value"
)

// actions are the writes that events can be derived from.
func actions() []string { return []string{"create", "update", "delete"} }

// events resolves the module's events; jobs and webhooks of every module can
// name them afterwards.
func (l *loader) events(f *moduleFile) {
	for _, raw := range f.raw.events.v {
		e := &Event{Module: f.module, Name: raw.name, Pos: f.pos(raw.key), Doc: raw.v.doc.v, When: raw.v.when.v}
		f.module.Events = append(f.module.Events, e)
		if !raw.v.on.ok {
			continue
		}
		at := strings.LastIndexByte(raw.v.on.v, '.')
		e.Action = raw.v.on.v[at+1:]
		e.Entity = l.find(f, raw.v.on.n, raw.v.on.v[:at])
		if e.Entity == nil {
			continue
		}
		for _, name := range raw.v.fields.v {
			if name.ok && e.Entity.fields[name.v] == nil {
				f.problem(name.n, nearest(name.v, e.Entity.fieldNames()), "%s has no field %s", e.Entity.QualifiedName(), quote(name.v))
			}
		}
		e.Fields = texts(raw.v.fields)
	}
}

// work resolves the module's operations, jobs, webhooks and integrations.
func (l *loader) work(f *moduleFile) {
	for i := range f.raw.operations.v {
		l.operation(f, &f.raw.operations.v[i])
	}
	for _, raw := range f.raw.jobs.v {
		j := &Job{
			Module: f.module, Name: raw.name, Pos: f.pos(raw.key), Doc: raw.v.doc.v, On: raw.v.on.v, Cron: raw.v.cron.v,
			Run: raw.v.run.v, Retry: or(raw.v.retry, defaultRetry), Timeout: or(raw.v.timeout, defaultJobTimeout),
		}
		f.module.Jobs = append(f.module.Jobs, j)
		switch {
		case raw.v.on.given() && raw.v.cron.given():
			f.problem(raw.key, "make two jobs of it", "the job %s has both on and cron", raw.name)
		case !raw.v.on.given() && !raw.v.cron.given() && raw.ok:
			f.problem(raw.key, "add on: EVENT or cron: \"0 3 * * *\"", "the job %s has neither on nor cron", raw.name)
		}
		l.trigger(f, raw.v.on)
		if cron := raw.v.cron; cron.ok {
			if err := checkCron(cron.v); err != nil {
				f.problem(cron.n, "minute hour day month weekday, like \"0 3 * * *\"; or @hourly, @daily, @weekly, @monthly, @yearly", "%s", err)
			}
		}
		l.run(f, raw.v.run)
	}
	for _, raw := range f.raw.webhooks.v {
		w := &Webhook{Module: f.module, Name: raw.name, Pos: f.pos(raw.key), Doc: raw.v.doc.v, On: raw.v.on.v, URL: raw.v.url.v, Sign: raw.v.sign.v}
		f.module.Webhooks = append(f.module.Webhooks, w)
		l.trigger(f, raw.v.on)
		if raw.v.url.ok {
			f.absolute(raw.v.url.n, w.URL)
		}
	}
	for _, raw := range f.raw.integrations.v {
		in := &Integration{
			Module: f.module, Name: raw.name, Pos: f.pos(raw.key), Doc: raw.v.doc.v, URL: raw.v.url.v, Auth: raw.v.auth.v,
			Timeout: or(raw.v.timeout, defaultCallTimeout), Retry: raw.v.retry.v,
		}
		if b := raw.v.breaker; b.given() {
			in.Breaker = &Breaker{Failures: b.v.failures.v, Open: b.v.open.v}
		}
		f.module.Integrations = append(f.module.Integrations, in)
		if raw.v.url.ok {
			f.absolute(raw.v.url.n, in.URL)
		}
	}
}

// trigger checks what a job or webhook waits for: event, module.event,
// entity.action or module.entity.action.
func (l *loader) trigger(f *moduleFile, on at[string]) {
	if !on.ok {
		return
	}
	parts := strings.Split(on.v, ".")
	last := parts[len(parts)-1]
	if len(parts) > 1 && slices.Contains(actions(), last) {
		l.find(f, on.n, strings.Join(parts[:len(parts)-1], "."))
		return
	}
	if len(parts) == 3 {
		f.problem(on.n, nearest(last, actions()), "unknown action %s", quote(last))
		return
	}
	m := f.module
	if len(parts) == 2 {
		if e := f.module.entities[parts[0]]; e != nil {
			f.problem(on.n, nearest(last, actions()), "unknown action %s", quote(last))
			return
		}
		if m = l.app.modules[parts[0]]; m == nil {
			if !l.unknown[parts[0]] {
				f.problem(on.n, "an event's name, or entity.create, entity.update, entity.delete", "%s is neither a module nor an entity of %s", quote(parts[0]), f.module.Name)
			}
			return
		}
	}
	var names []string
	for _, e := range m.Events {
		if e.Name == last {
			return
		}
		names = append(names, e.Name)
	}
	f.problem(on.n, nearest(last, names), "the module %s has no event %s", m.Name, quote(last))
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

func (l *loader) operation(f *moduleFile, e *entry[rawOperation]) {
	raw := &e.v
	o := &Operation{
		Module: f.module, Name: e.name, Pos: f.pos(e.key), Doc: raw.doc.v, Allow: raw.allow.v, Run: raw.run.v,
		Timeout: or(raw.timeout, defaultCallTimeout), Reads: raw.reads.v, Transaction: or(raw.transaction, true),
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
